/* Reading and writing, blocking or not. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/base/bytes.h"
#include "packetdrill/host.h"

/* One call, whichever of the many it was. */
struct transfer {
    const struct iovec *iov;
    size_t n;
    int flags;
    struct nst_sockaddr peer; /* out: unspecified for the connected one */
};

nst_time nst_pd_patience(const struct nst_pd_host *host, const struct nst_pd_file *file,
                         nst_time timeout, int flags)
{
    if (file->nonblock || flags & MSG_DONTWAIT)
        return 0;
    return timeout ? host->now + timeout : NST_TIME_NEVER;
}

/* The kernel's answers to what no program should ask for. */
static int check_iov(const struct iovec *iov, size_t n)
{
    if (n > IOV_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!iov[i].iov_base && iov[i].iov_len)
            return -EFAULT;
    return 0;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

ssize_t nst_pd_try_recv(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_msg *msg,
                        uint32_t flags)
{
    ssize_t got = (ssize_t)nst_recv(host->stack, file->sock, msg, flags);

    nst_pd_pump(host); /* a window may have opened */
    return got;
}

static uint32_t recv_flags(int flags)
{
    return (flags & MSG_PEEK ? NST_RECV_PEEK : 0u) | (flags & MSG_OOB ? NST_RECV_OOB : 0u) |
           (flags & MSG_ERRQUEUE ? NST_RECV_ERROR : 0u);
}

/* Fills in `msg` with what surrounds the data. */
static ssize_t receive(struct nst_pd_host *host, struct nst_pd_file *file, const struct transfer *x,
                       struct nst_msg *msg)
{
    struct nst_slice slices[IOV_MAX];
    ssize_t got;
    int err = check_iov(x->iov, x->n);

    for (size_t i = 0; i < x->n && !err; i++)
        slices[i] = (struct nst_slice){x->iov[i].iov_base, x->iov[i].iov_len};
    *msg = (struct nst_msg){.data = slices, .ndata = x->n};
    nst_time until = nst_pd_patience(host, file, file->rcv_timeout,
                                     x->flags & MSG_ERRQUEUE ? MSG_DONTWAIT : x->flags);
    if (err)
        return err;
    while ((got = nst_pd_try_recv(host, file, msg, recv_flags(x->flags))) == -EAGAIN)
        if ((err = nst_pd_sleep(host, file, until)))
            return err;
    msg->data = NULL;
    return got;
}

static ssize_t receive_from(struct nst_pd_host *host, int fd, const struct transfer *x,
                            struct nst_msg *msg)
{
    struct nst_pd_file *file;
    int err = nst_pd_socket_of(host, fd, &file);

    return err ? err : receive(host, file, x, msg);
}

static ssize_t pd_readv(void *userdata, int fd, const struct iovec *iov, int n)
{
    const struct transfer x = {.iov = iov, .n = n < 0 ? SIZE_MAX : (size_t)n};
    struct nst_pd_host *host = userdata;
    struct nst_msg msg;

    nst_pd_enter(host);
    struct nst_pd_file *file = nst_pd_file(host, fd);
    if (file && file->kind != NST_PD_SOCKET && n == 1) {
        const struct nst_slice out = {iov->iov_base, iov->iov_len};
        return nst_pd_return(host, nst_pd_pipe_read(host, file, out));
    }
    return nst_pd_return(host, file ? receive_from(host, fd, &x, &msg) : -EBADF);
}

static ssize_t pd_read(void *userdata, int fd, void *buf, size_t count)
{
    const struct iovec iov = {buf, count};

    return pd_readv(userdata, fd, &iov, 1);
}

static ssize_t pd_recvfrom(void *userdata, int fd, void *buf, size_t len, int flags,
                           struct sockaddr *addr, socklen_t *addrlen)
{
    const struct iovec iov = {buf, len};
    const struct transfer x = {.iov = &iov, .n = 1, .flags = flags};
    struct nst_pd_host *host = userdata;
    struct nst_msg msg;

    nst_pd_enter(host);
    ssize_t got = receive_from(host, fd, &x, &msg);
    if (got >= 0)
        nst_pd_put_name(host->files[fd], &msg.peer, addr, addrlen);
    return nst_pd_return(host, got);
}

static ssize_t pd_recv(void *userdata, int fd, void *buf, size_t len, int flags)
{
    return pd_recvfrom(userdata, fd, buf, len, flags, NULL, NULL);
}

/* What is left to read, and one more for the end of the stream. */
static void put_inq(const struct nst_tcb *t, struct msghdr *msg)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int left = (int)nst_tcb_unread(t) + t->fin_received;

    if (!c || msg->msg_controllen < CMSG_SPACE(sizeof left)) {
        msg->msg_flags |= MSG_CTRUNC;
        msg->msg_controllen = 0;
        return;
    }
    c->cmsg_level = IPPROTO_TCP;
    c->cmsg_type = TCP_CM_INQ;
    c->cmsg_len = CMSG_LEN(sizeof left);
    memcpy(CMSG_DATA(c), &left, sizeof left);
    msg->msg_controllen = CMSG_SPACE(sizeof left);
}

static ssize_t pd_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags)
{
    const struct transfer x = {.iov = msg->msg_iov, .n = msg->msg_iovlen, .flags = flags};
    struct nst_pd_host *host = userdata;
    struct nst_msg got;

    nst_pd_enter(host);
    ssize_t len = receive_from(host, fd, &x, &got);
    if (len < 0)
        return nst_pd_return(host, len);
    struct nst_pd_file *file = host->files[fd];
    nst_pd_put_name(file, &got.peer, msg->msg_name, &msg->msg_namelen);
    msg->msg_flags = got.truncated ? MSG_TRUNC : 0;
    if (file->inq && nst_pd_tcb(host, file))
        put_inq(nst_pd_tcb(host, file), msg);
    else
        msg->msg_controllen = 0;
    return nst_pd_return(host, len);
}

/* ---- Sending --------------------------------------------------------------------------------- */

ssize_t nst_pd_try_send(struct nst_pd_host *host, struct nst_pd_file *file,
                        const struct nst_msg *msg)
{
    ssize_t sent = (ssize_t)nst_send(host->stack, file->sock, msg);

    nst_pd_pump(host);
    return sent;
}

/* Leaves in `slices` what lies behind the first `done` bytes; returns how many of them are left. */
static size_t skip(struct nst_slice *slices, size_t n, size_t done)
{
    size_t first = 0;

    while (first < n && done >= slices[first].len)
        done -= slices[first++].len;
    for (size_t i = first; i < n; i++)
        slices[i - first] = slices[i];
    if (first < n) {
        slices[0].base = (uint8_t *)slices[0].base + done;
        slices[0].len -= done;
    }
    return n - first;
}

/* Blocking, a stream takes everything; what was taken before an error is what counts. */
static ssize_t transmit(struct nst_pd_host *host, struct nst_pd_file *file,
                        const struct transfer *x)
{
    struct nst_slice slices[IOV_MAX];
    struct nst_msg msg = {.data = slices, .ndata = x->n, .peer = x->peer, .tos = -1};
    nst_time until = nst_pd_patience(host, file, file->snd_timeout, x->flags);
    ssize_t total = 0, sent;
    int err = check_iov(x->iov, x->n);

    if (err || x->flags & MSG_FASTOPEN)
        return err ? err : -EOPNOTSUPP;
    for (size_t i = 0; i < x->n; i++)
        slices[i] = (struct nst_slice){x->iov[i].iov_base, x->iov[i].iov_len};
    msg.flags = (x->flags & MSG_MORE ? NST_SEND_MORE : 0u) |
                (x->flags & MSG_OOB ? NST_SEND_OOB : 0u);
    msg.ndata = skip(slices, x->n, 0);
    do {
        sent = msg.ndata || file->type == SOCK_DGRAM ? nst_pd_try_send(host, file, &msg) : 0;
        total += sent > 0 ? sent : 0;
        msg.ndata = skip(slices, msg.ndata, sent > 0 ? (size_t)sent : 0);
        if (sent == -EAGAIN)
            err = nst_pd_sleep(host, file, until);
    } while (!err && (sent == -EAGAIN || (sent > 0 && msg.ndata)));
    if (total)
        return total;
    return err ? err : sent;
}

static ssize_t transmit_to(struct nst_pd_host *host, int fd, struct transfer *x,
                           const struct sockaddr *addr, socklen_t len)
{
    struct nst_pd_file *file;
    int err = nst_pd_socket_of(host, fd, &file);

    if (!err && addr)
        err = nst_pd_get_name(addr, len, &x->peer);
    return err ? err : transmit(host, file, x);
}

static ssize_t pd_writev(void *userdata, int fd, const struct iovec *iov, int n)
{
    struct transfer x = {.iov = iov, .n = n < 0 ? SIZE_MAX : (size_t)n};
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    struct nst_pd_file *file = nst_pd_file(host, fd);
    if (file && file->kind != NST_PD_SOCKET && n == 1) {
        const struct nst_slice in = {iov->iov_base, iov->iov_len};
        return nst_pd_return(host, nst_pd_pipe_write(host, file, in));
    }
    return nst_pd_return(host, file ? transmit_to(host, fd, &x, NULL, 0) : -EBADF);
}

/* An iovec's memory is not const; what is sent isn't written to. */
static struct iovec iovec_of(const void *buf, size_t len)
{
    struct iovec iov = {.iov_len = len};

    memcpy(&iov.iov_base, &buf, sizeof buf);
    return iov;
}

static ssize_t pd_write(void *userdata, int fd, const void *buf, size_t count)
{
    const struct iovec iov = iovec_of(buf, count);

    return pd_writev(userdata, fd, &iov, 1);
}

static ssize_t pd_sendto(void *userdata, int fd, const void *buf, size_t len, int flags,
                         const struct sockaddr *addr, socklen_t addrlen)
{
    const struct iovec iov = iovec_of(buf, len);
    struct transfer x = {.iov = &iov, .n = 1, .flags = flags};
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    return nst_pd_return(host, transmit_to(host, fd, &x, addr, addrlen));
}

static ssize_t pd_send(void *userdata, int fd, const void *buf, size_t len, int flags)
{
    return pd_sendto(userdata, fd, buf, len, flags, NULL, 0);
}

static ssize_t pd_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags)
{
    struct transfer x = {.iov = msg->msg_iov, .n = msg->msg_iovlen, .flags = flags};
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    return nst_pd_return(host, transmit_to(host, fd, &x, msg->msg_name, msg->msg_namelen));
}

void nst_pd_fill_data(struct packetdrill_interface *ifc)
{
    ifc->read = pd_read;
    ifc->readv = pd_readv;
    ifc->recv = pd_recv;
    ifc->recvfrom = pd_recvfrom;
    ifc->recvmsg = pd_recvmsg;
    ifc->write = pd_write;
    ifc->writev = pd_writev;
    ifc->send = pd_send;
    ifc->sendto = pd_sendto;
    ifc->sendmsg = pd_sendmsg;
}
