/* pipe(), and splice() between a pipe and a socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "packetdrill/host.h"

void nst_pd_pipe_close(struct nst_pd_file *file)
{
    struct nst_pd_pipe *pipe = file->pipe;

    if (file->kind == NST_PD_PIPE_READ)
        pipe->read_by_nobody = true;
    else
        pipe->written_by_nobody = true;
    if (pipe->read_by_nobody && pipe->written_by_nobody)
        free(pipe);
}

static int make_pipe(struct nst_pd_host *host, int fds[2])
{
    struct nst_pd_pipe *pipe = calloc(1, sizeof *pipe);
    struct nst_pd_file *from = pipe ? nst_pd_file_new(host, NST_PD_PIPE_READ) : NULL;
    struct nst_pd_file *to = from ? nst_pd_file_new(host, NST_PD_PIPE_WRITE) : NULL;

    if (!to) {
        if (from)
            nst_pd_file_close(host, from);
        free(pipe);
        return pipe ? -EMFILE : -ENOMEM;
    }
    from->pipe = to->pipe = pipe;
    fds[0] = from->fd;
    fds[1] = to->fd;
    return 0;
}

static int pd_pipe(void *userdata, int fds[2])
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    return (int)nst_pd_return(host, make_pipe(host, fds));
}

/* The first `n` bytes have left. */
static void drop_front(struct nst_pd_pipe *pipe, size_t n)
{
    pipe->len -= n;
    memmove(pipe->bytes, pipe->bytes + n, pipe->len);
}

/* Until there is something to read: 1, 0 at the end, or why not. */
static int wait_for_bytes(struct nst_pd_host *host, struct nst_pd_file *file, nst_time until)
{
    int err = 0;

    while (!err && !file->pipe->len && !file->pipe->written_by_nobody)
        err = nst_pd_sleep(host, file, until);
    return err ? err : file->pipe->len > 0;
}

static int wait_for_room(struct nst_pd_host *host, struct nst_pd_file *file, nst_time until)
{
    int err = 0;

    while (!err && file->pipe->len == NST_PD_PIPE_SIZE && !file->pipe->read_by_nobody)
        err = nst_pd_sleep(host, file, until);
    return err ? err : file->pipe->read_by_nobody ? -EPIPE : 1;
}

ssize_t nst_pd_pipe_read(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_slice out)
{
    if (file->kind != NST_PD_PIPE_READ)
        return -EBADF;
    int ready = wait_for_bytes(host, file, nst_pd_patience(host, file, 0, 0));
    if (ready <= 0)
        return ready;
    size_t n = nst_min(out.len, file->pipe->len);
    memcpy(out.base, file->pipe->bytes, n);
    drop_front(file->pipe, n);
    return (ssize_t)n;
}

ssize_t nst_pd_pipe_write(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_slice in)
{
    if (file->kind != NST_PD_PIPE_WRITE)
        return -EBADF;
    int ready = wait_for_room(host, file, nst_pd_patience(host, file, 0, 0));
    if (ready < 0)
        return ready;
    size_t n = nst_min(in.len, NST_PD_PIPE_SIZE - file->pipe->len);
    memcpy(file->pipe->bytes + file->pipe->len, in.base, n);
    file->pipe->len += n;
    return (ssize_t)n;
}

/* ---- splice() -------------------------------------------------------------------------------- */

static int patience_flags(unsigned flags)
{
    return flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
}

static ssize_t try_into_socket(struct nst_pd_host *host, struct nst_pd_file *from,
                               struct nst_pd_file *to, size_t len, unsigned flags)
{
    struct nst_slice in = {from->pipe->bytes, nst_min(len, from->pipe->len)};
    const struct nst_msg msg = {
        .data = &in, .ndata = 1, .tos = -1, .flags = flags & SPLICE_F_MORE ? NST_SEND_MORE : 0};
    ssize_t sent = nst_pd_try_send(host, to, &msg);

    if (sent > 0)
        drop_front(from->pipe, (size_t)sent);
    return sent;
}

static ssize_t into_socket(struct nst_pd_host *host, struct nst_pd_file *from,
                           struct nst_pd_file *to, size_t len, unsigned flags)
{
    nst_time until = nst_pd_patience(host, to, to->snd_timeout, patience_flags(flags));
    ssize_t sent = wait_for_bytes(host, from, until);
    int err = 0;

    if (sent <= 0)
        return sent;
    while ((sent = try_into_socket(host, from, to, len, flags)) == -EAGAIN)
        if ((err = nst_pd_sleep(host, to, until)))
            return err;
    return sent;
}

static ssize_t try_from_socket(struct nst_pd_host *host, struct nst_pd_file *from,
                               struct nst_pd_file *to, size_t len)
{
    struct nst_pd_pipe *pipe = to->pipe;
    struct nst_slice out = {pipe->bytes + pipe->len, nst_min(len, NST_PD_PIPE_SIZE - pipe->len)};
    struct nst_msg msg = {.data = &out, .ndata = 1};
    ssize_t got = nst_pd_try_recv(host, from, &msg, 0);

    if (got > 0)
        pipe->len += (size_t)got;
    return got;
}

static ssize_t from_socket(struct nst_pd_host *host, struct nst_pd_file *from,
                           struct nst_pd_file *to, size_t len, unsigned flags)
{
    nst_time until = nst_pd_patience(host, from, from->rcv_timeout, patience_flags(flags));
    ssize_t got = wait_for_room(host, to, until);
    int err = 0;

    if (got < 0)
        return got;
    while ((got = try_from_socket(host, from, to, len)) == -EAGAIN)
        if ((err = nst_pd_sleep(host, from, until)))
            return err;
    return got;
}

static ssize_t splice_files(struct nst_pd_host *host, struct nst_pd_file *from,
                            struct nst_pd_file *to, size_t len, unsigned flags)
{
    if (from->kind == NST_PD_PIPE_READ && to->kind == NST_PD_SOCKET)
        return into_socket(host, from, to, len, flags);
    if (from->kind == NST_PD_SOCKET && to->kind == NST_PD_PIPE_WRITE)
        return from_socket(host, from, to, len, flags);
    return -EINVAL;
}

static ssize_t pd_splice(void *userdata, int from_fd, off_t *from_off, int to_fd, off_t *to_off,
                         size_t len, unsigned flags)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    struct nst_pd_file *from = nst_pd_file(host, from_fd), *to = nst_pd_file(host, to_fd);
    if (!from || !to || from_off || to_off)
        return nst_pd_return(host, from && to ? -ESPIPE : -EBADF);
    nst_pd_file_hold(from);
    nst_pd_file_hold(to);
    ssize_t moved = splice_files(host, from, to, len, flags);
    nst_pd_file_release(from);
    nst_pd_file_release(to);
    return nst_pd_return(host, moved);
}

void nst_pd_fill_pipe(struct packetdrill_interface *ifc)
{
    ifc->pipe = pd_pipe;
    ifc->splice = pd_splice;
}
