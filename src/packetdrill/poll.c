/* poll() and epoll. */
#include <errno.h>
#include <stdlib.h>

#include "core/base/bytes.h"
#include "packetdrill/host.h"

/* ---- Readiness ------------------------------------------------------------------------------- */

static uint32_t pipe_readiness(const struct nst_pd_file *file)
{
    const struct nst_pd_pipe *pipe = file->pipe;

    if (file->kind == NST_PD_PIPE_READ)
        return (pipe->len ? NST_READY_IN : 0u) | (pipe->written_by_nobody ? NST_READY_HUP : 0u);
    return (pipe->len < NST_PD_PIPE_SIZE ? NST_READY_OUT : 0u) |
           (pipe->read_by_nobody ? NST_READY_ERR : 0u);
}

static uint32_t datagram_readiness(const struct nst_socket *s)
{
    const struct nst_dgram *d = s->dgram;

    return (nst_list_empty(&d->rxq) ? 0u : NST_READY_IN) |
           (d->tx_mem < d->sndbuf ? NST_READY_OUT : 0u) |
           (d->error || !nst_list_empty(&d->errq) ? NST_READY_ERR : 0u);
}

/* As Linux has it: a socket that was never connected is hung up, and may be written to. */
static bool is_fresh(const struct nst_socket *s)
{
    return nst_sock_tcb(s) && s->tcb->state == NST_TCP_CLOSED && !s->connected;
}

uint32_t nst_pd_readiness(const struct nst_pd_host *host, const struct nst_pd_file *file)
{
    if (file->kind == NST_PD_EPOLL)
        return 0;
    if (file->kind != NST_PD_SOCKET)
        return pipe_readiness(file);
    const struct nst_socket *s = nst_pd_core_socket(host, file);
    if (s->type != NST_SOCK_STREAM)
        return datagram_readiness(s);
    return is_fresh(s) ? NST_READY_OUT | NST_READY_HUP : nst_sock_kind(s)->readiness(s);
}

/* The bits of poll() and epoll are the same numbers. */
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI &&
                   POLLERR == EPOLLERR && POLLHUP == EPOLLHUP && POLLRDHUP == EPOLLRDHUP,
               "poll and epoll");

static uint32_t poll_bits(uint32_t ready)
{
    return (ready & NST_READY_IN ? POLLIN | POLLRDNORM : 0u) |
           (ready & NST_READY_OUT ? POLLOUT | POLLWRNORM : 0u) |
           (ready & NST_READY_ERR ? POLLERR : 0u) | (ready & NST_READY_HUP ? POLLHUP : 0u) |
           (ready & NST_READY_RDHUP ? POLLRDHUP : 0u) | (ready & NST_READY_PRI ? POLLPRI : 0u);
}

static uint32_t bits_of(const struct nst_pd_host *host, const struct nst_pd_file *file,
                        uint32_t wanted)
{
    return poll_bits(nst_pd_readiness(host, file)) & (wanted | POLLERR | POLLHUP);
}

static nst_time timeout_at(const struct nst_pd_host *host, int timeout_ms)
{
    return timeout_ms < 0 ? NST_TIME_NEVER : host->now + (nst_time)timeout_ms * NST_MS;
}

/* ---- poll() ---------------------------------------------------------------------------------- */

static int look(struct nst_pd_host *host, struct pollfd *fds, nfds_t n)
{
    int ready = 0;

    for (nfds_t i = 0; i < n; i++) {
        const struct nst_pd_file *file = nst_pd_file(host, fds[i].fd);
        uint32_t bits = file ? bits_of(host, file, (uint16_t)fds[i].events) : POLLNVAL;
        fds[i].revents = (short)(fds[i].fd < 0 ? 0 : bits);
        ready += fds[i].revents != 0;
    }
    return ready;
}

static int pd_poll(void *userdata, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct nst_pd_host *host = userdata;
    int ready, err = 0;

    nst_pd_enter(host);
    nst_time until = timeout_at(host, timeout_ms);
    while ((ready = look(host, fds, n)) == 0 && !err)
        err = nst_pd_sleep(host, NULL, until);
    return (int)nst_pd_return(host, err == -EDEADLK ? err : ready);
}

/* ---- epoll ----------------------------------------------------------------------------------- */

/* What one epoll wants of one descriptor. */
struct interest {
    struct nst_list node;
    struct nst_pd_file *file;
    struct epoll_event event;
    uint64_t reported; /* edges of the file so far */
    bool told;         /* since the last change of the interest */
};

static struct interest *find(const struct nst_pd_file *ep, const struct nst_pd_file *file)
{
    NST_LIST_FOREACH (e, &ep->interests) {
        struct interest *i = NST_CONTAINER(e, struct interest, node);
        if (i->file == file)
            return i;
    }
    return NULL;
}

static void interest_free(struct interest *i)
{
    nst_list_del(&i->node);
    free(i);
}

void nst_pd_forget_interests(struct nst_pd_host *host, const struct nst_pd_file *file)
{
    for (int fd = 0; fd < NST_PD_FILES; fd++) {
        struct nst_pd_file *ep = host->files[fd];
        struct interest *i = ep && ep->kind == NST_PD_EPOLL ? find(ep, file) : NULL;
        if (i)
            interest_free(i);
    }
    NST_LIST_FOREACH_SAFE (e, &file->interests)
        interest_free(NST_CONTAINER(e, struct interest, node));
}

static int pd_epoll_create(void *userdata, int size)
{
    struct nst_pd_host *host = userdata;

    if (size <= 0) {
        errno = EINVAL;
        return -1;
    }
    nst_pd_enter(host);
    const struct nst_pd_file *file = nst_pd_file_new(host, NST_PD_EPOLL);
    return (int)nst_pd_return(host, file ? file->fd : -EMFILE);
}

static int interest_add(struct nst_pd_file *ep, struct nst_pd_file *file)
{
    struct interest *i = calloc(1, sizeof *i);

    if (!i)
        return -ENOMEM;
    i->file = file;
    nst_list_push_back(&ep->interests, &i->node);
    return 0;
}

static int control(struct nst_pd_file *ep, int op, struct nst_pd_file *file,
                   const struct epoll_event *event)
{
    struct interest *i;
    int err;

    if (!ep || !file)
        return -EBADF;
    if (ep->kind != NST_PD_EPOLL || ep == file)
        return -EINVAL;
    i = find(ep, file);
    if (op == EPOLL_CTL_ADD ? i != NULL : i == NULL)
        return i ? -EEXIST : -ENOENT;
    if (op == EPOLL_CTL_DEL) {
        interest_free(i);
        return 0;
    }
    if (op == EPOLL_CTL_ADD && (err = interest_add(ep, file)))
        return err;
    i = find(ep, file);
    i->event = *event;
    i->told = false;
    return 0;
}

static int pd_epoll_ctl(void *userdata, int epfd, int op, int fd, struct epoll_event *event)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    int err = control(nst_pd_file(host, epfd), op, nst_pd_file(host, fd), event);
    return (int)nst_pd_return(host, err);
}

/* Edge-triggered, what was told is told again when something has happened to the file since. */
static uint32_t news(const struct nst_pd_host *host, struct interest *i)
{
    bool old = i->told && i->reported == i->file->edges;

    if (old && i->event.events & EPOLLET)
        return 0;
    if (i->told && i->event.events & EPOLLONESHOT)
        return 0;
    return bits_of(host, i->file, i->event.events);
}

static int collect(struct nst_pd_host *host, const struct nst_pd_file *ep,
                   struct epoll_event *events, int max)
{
    int n = 0;

    NST_LIST_FOREACH (e, &ep->interests) {
        struct interest *i = NST_CONTAINER(e, struct interest, node);
        uint32_t bits = n < max ? news(host, i) : 0;
        if (!bits)
            continue;
        i->told = true;
        i->reported = i->file->edges;
        events[n] = i->event;
        events[n++].events = bits;
    }
    return n;
}

static int pd_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int max,
                         int timeout_ms)
{
    struct nst_pd_host *host = userdata;
    int n, err = 0;

    nst_pd_enter(host);
    struct nst_pd_file *ep = nst_pd_file(host, epfd);
    if (!ep || ep->kind != NST_PD_EPOLL || max <= 0)
        return (int)nst_pd_return(host, ep ? -EINVAL : -EBADF);
    nst_time until = timeout_at(host, timeout_ms);
    while ((n = collect(host, ep, events, max)) == 0)
        if ((err = nst_pd_sleep(host, ep, until)))
            break;
    return (int)nst_pd_return(host, n || err == -EAGAIN ? n : err);
}

void nst_pd_fill_poll(struct packetdrill_interface *ifc)
{
    ifc->poll = pd_poll;
    ifc->epoll_create = pd_epoll_create;
    ifc->epoll_ctl = pd_epoll_ctl;
    ifc->epoll_wait = pd_epoll_wait;
}
