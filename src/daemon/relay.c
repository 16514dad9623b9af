/* Relays: connections that other processes use as file descriptors.
 *
 * A relay joins a TCP connection of the stack with one end of an AF_UNIX stream socket pair, whose
 * other end a client got. It holds no data: what the client has written is read straight into the
 * connection's send queue, and no more than that has room for; what has arrived is written straight
 * from its receive queue, and what the client doesn't read stays there and shrinks the window.
 *
 *     the client             the relay               the connection
 *     shutdown(SHUT_WR)      RDHUP, all read         FIN
 *     read() gives 0         shutdown(SHUT_WR)       a FIN came, all delivered
 *     close()                HUP, all read           FIN, and RST for what comes later
 *     close(), data unread   ERR                     RST
 *     ECONNRESET             close(), a byte unread  RST came, or it timed out
 *
 * The last line is the difficult one. An AF_UNIX socket gives ECONNRESET only if the other end is
 * closed while it has unread data; otherwise a connection that broke would look as if it had ended
 * well. So there always is a byte unread, the *sentinel*: at first one that is written into the
 * pair before the client gets its end, then the last byte that the client wrote, which is peeked
 * and sent, but stays in the socket until the next one comes. It is taken out only when the
 * connection ends in order. So a client notices, too, when the daemon is killed.
 *
 * With that byte the socket is always readable, hence the edge-triggered source. */
#include "daemon/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "ipc/packet.h"

#define RELAYS_MAX      8192
#define RELAYS_PER_USER 2048
#define SLICES          16
#define BATCH           (256u * 1024) /* read at once, at most */
#define BUFFER          (256 * 1024)  /* of each end; the sentinel's page counts, too */
#define STARVED_NS      (20 * NST_LOOP_MSEC)

struct nst_relay {
    struct nst_handler handler;
    struct nst_list node;
    struct nst_daemon *daemon;
    nst_sock sock; /* 0: not started */
    int fd;        /* our end of the pair */
    struct nst_loop_fd end;
    struct nst_loop_timer retry; /* after there was no memory */
    struct ucred cred;           /* of the client */
    bool sentinel;               /* the first byte in the socket has been sent already */
    bool no_more, gone, broken;  /* RDHUP, HUP and ERR were seen */
    bool fin_sent, eof_given;
};

static struct nst_stack *stack_of(const struct nst_relay *r)
{
    return r->daemon->stack;
}

/* ---- From the client to the connection ------------------------------------------------------- */

/* Bytes that the client wrote and that were not sent. */
static size_t unsent(const struct nst_relay *r)
{
    int queued = 0;

    if (ioctl(r->fd, FIONREAD, &queued) != 0 || queued < 0)
        return 0;
    return (size_t)queued - (r->sentinel ? 1 : 0);
}

/* Prepares to read the old sentinel and `len` bytes into the room. Returns how many pieces. */
static size_t make_iov(struct nst_relay *r, struct iovec *iov, const struct nst_slice *room,
                       size_t nroom, size_t len)
{
    static char used;
    size_t n = 0;

    if (r->sentinel)
        iov[n++] = (struct iovec){&used, 1};
    for (size_t i = 0; i < nroom && len > 0; i++) {
        size_t part = nst_min(len, room[i].len);
        iov[n++] = (struct iovec){room[i].base, part};
        len -= part;
    }
    return n;
}

/* The address of the byte at `at` in the room. */
static void *place_in(const struct nst_slice *room, size_t at)
{
    for (; at >= room->len; room++)
        at -= room->len;
    return (uint8_t *)room->base + at;
}

/* Takes `len` bytes out of the socket, except the last one if it is the last of all: that is only
 * copied. Returns how many are in the room. */
static ssize_t take(struct nst_relay *r, const struct nst_slice *room, size_t nroom, size_t len,
                    bool all)
{
    struct iovec iov[1 + NST_SEND_SLICES];
    size_t whole = all ? len - 1 : len;

    if (r->sentinel || whole > 0) {
        size_t n = make_iov(r, iov, room, nroom, whole);
        ssize_t got = nst_ipc_stream_recv(r->fd, iov, n, 0);
        if (got <= 0)
            return got < 0 ? got : -ECONNRESET;
        size_t fresh = (size_t)got - (r->sentinel ? 1 : 0);
        r->sentinel = false;
        if (!all || fresh < whole)
            return (ssize_t)fresh;
    }
    struct iovec last = {place_in(room, whole), 1};
    ssize_t got = nst_ipc_stream_recv(r->fd, &last, 1, MSG_PEEK);
    if (got < 0)
        return got;
    r->sentinel = true;
    return (ssize_t)len;
}

/* -EAGAIN: no more for now; another errno is the connection's end. */
static int send_on(struct nst_relay *r)
{
    struct nst_slice room[NST_SEND_SLICES];
    size_t waiting;

    while ((waiting = unsent(r)) > 0) {
        int n = nst_send_reserve(stack_of(r), r->sock, nst_min(waiting, BATCH), room);
        if (n < 0)
            return n;
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += room[i].len;
        ssize_t got = take(r, room, (size_t)n, len, len == waiting);
        (void)nst_send_commit(stack_of(r), r->sock, got > 0 ? (size_t)got : 0, 0);
        if (got < 0)
            return (int)got;
    }
    if (r->no_more && !r->fin_sent) {
        r->fin_sent = true;
        (void)nst_shutdown(stack_of(r), r->sock, NST_SHUT_WR);
    }
    return -EAGAIN;
}

/* ---- From the connection to the client ------------------------------------------------------- */

/* What a client doesn't want (SHUT_RD) is taken in and dropped. -EPIPE when it has gone. */
static ssize_t deliver(struct nst_relay *r, const struct nst_slice *in, size_t n)
{
    struct iovec iov[SLICES];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
    size_t len = 0;

    for (size_t i = 0; i < n; len += in[i++].len)
        iov[i] = (struct iovec){in[i].base, in[i].len};
    ssize_t sent = sendmsg(r->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EPIPE && !r->gone ? (ssize_t)len : -errno;
}

static int receive_on(struct nst_relay *r)
{
    struct nst_slice in[SLICES];
    int n;

    while (!r->eof_given && (n = nst_recv_peek(stack_of(r), r->sock, in, SLICES)) != 0) {
        ssize_t taken = n < 0 ? n : deliver(r, in, (size_t)n);
        if (taken < 0)
            return (int)taken;
        (void)nst_recv_consume(stack_of(r), r->sock, (size_t)taken);
    }
    if (!r->eof_given) {
        r->eof_given = true;
        shutdown(r->fd, SHUT_WR);
    }
    return -EAGAIN;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void relay_free(struct nst_relay *r)
{
    nst_loop_timer_stop(&r->retry);
    nst_loop_fd_del(&r->end);
    close(r->fd);
    if (r->sock)
        nst_close(stack_of(r), r->sock);
    nst_list_del(&r->node);
    free(r);
}

/* Ends it in order: with the sentinel out, the client sees no reset. */
static void finish(struct nst_relay *r)
{
    char sentinel;

    if (r->sentinel)
        (void)recv(r->fd, &sentinel, 1, MSG_DONTWAIT);
    relay_free(r);
}

/* Resets both sides, whichever is left. */
static void break_off(struct nst_relay *r)
{
    (void)nst_setopt(stack_of(r), r->sock, NST_OPT_LINGER, 0);
    relay_free(r);
}

/* Carries what there is, both ways. False when the relay has ended. */
static bool carry(struct nst_relay *r)
{
    int in = r->broken ? -ECONNRESET : receive_on(r);
    int out = in == -EAGAIN ? send_on(r) : in;

    if (out == -ENOBUFS) {
        nst_loop_timer_after(r->daemon->loop, &r->retry, STARVED_NS);
        return true;
    }
    if (out != -EAGAIN) {
        break_off(r);
        return false;
    }
    if (r->fin_sent && (r->eof_given || r->gone)) {
        finish(r);
        return false;
    }
    return true;
}

static void on_ready(struct nst_handler *handler, uint32_t ready)
{
    (void)ready;
    carry(NST_CONTAINER(handler, struct nst_relay, handler));
}

static bool on_end(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events, unsigned budget)
{
    struct nst_relay *r = NST_CONTAINER(fd, struct nst_relay, end);

    (void)loop, (void)budget; /* the send queue is the bound */
    r->no_more |= (events & (NST_LOOP_RDHUP | NST_LOOP_HUP)) != 0;
    r->gone |= (events & NST_LOOP_HUP) != 0;
    r->broken |= (events & NST_LOOP_ERR) != 0;
    carry(r);
    return false;
}

static void on_retry(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)loop;
    carry(NST_CONTAINER(timer, struct nst_relay, retry));
}

/* ---- The beginning --------------------------------------------------------------------------- */

int nst_relay_allowed(const struct nst_daemon *d, const struct nst_ipc_peer *peer)
{
    size_t all = 0, own = 0;

    NST_LIST_FOREACH (e, &d->relays) {
        all++;
        own += NST_CONTAINER(e, struct nst_relay, node)->cred.uid == nst_ipc_peer_cred(peer)->uid;
    }
    if (all >= RELAYS_MAX || (own >= RELAYS_PER_USER && !nst_ipc_peer_is_owner(peer)))
        return -EMFILE;
    return 0;
}

/* A pair with the sentinel in it. 0 or -errno. */
static int make_pair(int ends[2])
{
    static const int buffer = BUFFER;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (send(ends[1], "", 1, MSG_NOSIGNAL) == 1)
        return 0;
    int err = -errno;
    close(ends[0]);
    close(ends[1]);
    return err;
}

int nst_relay_new(struct nst_relay **out, struct nst_daemon *d, const struct nst_ipc_peer *peer)
{
    struct nst_relay *r = calloc(1, sizeof *r);
    int ends[2], err = r ? make_pair(ends) : -ENOMEM;

    if (err) {
        free(r);
        return err;
    }
    *r = (struct nst_relay){.handler.ready = on_ready,
                            .daemon = d,
                            .fd = ends[0],
                            .end.fn = on_end,
                            .retry.fn = on_retry,
                            .cred = *nst_ipc_peer_cred(peer),
                            .sentinel = true};
    nst_list_push_back(&d->relays, &r->node);
    err = nst_loop_fd_add(d->loop, &r->end, ends[0],
                          NST_LOOP_IN | NST_LOOP_OUT | NST_LOOP_RDHUP | NST_LOOP_EDGE);
    if (err) {
        close(ends[1]);
        relay_free(r);
        return err;
    }
    *out = r;
    return ends[1];
}

uint64_t nst_relay_cookie(const struct nst_relay *r)
{
    return (uintptr_t)&r->handler;
}

void nst_relay_start_take(struct nst_relay *r, nst_sock sock)
{
    r->sock = sock;
    /* The client cannot ask for it, and writes of its own making are as large as it wants. */
    (void)nst_setopt(stack_of(r), sock, NST_OPT_NODELAY, 1);
    (void)nst_set_cookie(stack_of(r), sock, nst_relay_cookie(r));
    carry(r);
}

void nst_relay_drop(struct nst_relay *r)
{
    relay_free(r);
}

void nst_relays_free(struct nst_daemon *d)
{
    NST_LIST_FOREACH_SAFE (e, &d->relays)
        relay_free(NST_CONTAINER(e, struct nst_relay, node));
}

const struct ucred *nst_relay_cred(uint64_t cookie)
{
    const struct nst_handler *h = (const struct nst_handler *)(uintptr_t)cookie;

    return h->ready == on_ready ? &NST_CONTAINER(h, const struct nst_relay, handler)->cred : NULL;
}
