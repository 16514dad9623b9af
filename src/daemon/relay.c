/* Relays: connections that other processes use as file descriptors.
 *
 * A relay joins a TCP connection of the stack with the daemon's end of an AF_UNIX stream socket,
 * whose other end a program has. It holds no data: what the program has written is read straight
 * into the connection's send queue, and no more than that has room for; what has arrived is written
 * straight from its receive queue, and what the program doesn't read stays there and shrinks the
 * window.
 *
 *     the program            the relay               the connection
 *     shutdown(SHUT_WR)      RDHUP, all read         FIN
 *     read() gives 0         shutdown(SHUT_WR)       a FIN came, all delivered
 *     close()                HUP, all read           FIN, and RST for what comes later
 *     close(), data unread   ERR                     RST
 *     close(), linger 0      HUP                     RST
 *     ECONNRESET             close(), a byte unread  RST came, or it timed out
 *
 * The last line is the difficult one. An AF_UNIX socket gives ECONNRESET only if the other end is
 * closed while it has unread data; otherwise a connection that broke would look as if it had ended
 * well. So there always is a byte unread, the *sentinel*: at first one that the client library
 * wrote before the program got the descriptor, then the last byte that the program wrote, which is
 * peeked and sent, but stays in the socket until the next one comes. It is taken out only when the
 * connection ends in order. So a program notices, too, when the daemon is killed. A byte keeps the
 * whole buffer that it is in, though, against what the program may write: 64 KiB at once, as
 * sendfile() makes them, and it would never be writable again. So of much that came at once nothing
 * is kept, and until the program writes less than that, a reset looks like an end.
 *
 * After accept() the library may not have had its turn. Hence its byte bears a mark (a descriptor,
 * which is thrown away): a first byte without one is the program's.
 *
 * Urgent data is what AF_UNIX calls out-of-band, as TCP does: the last byte of a send(MSG_OOB), one
 * at a time. In our end it stays in line, and the kernel lets no read go past it: so it is found as
 * the first byte of the next one (SIOCATMARK). To the program it is sent as such again.
 *
 * With the sentinel the socket is always readable, hence the edge-triggered source. */
#include "daemon/relay.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "ipc/packet.h"

#define SLICES       16
#define BATCH        (256u * 1024) /* read at once, at most */
#define SENTINEL_MAX (32u * 1024)  /* no more at once, for its last byte to be kept */
#define STARVED_NS   (20 * NST_LOOP_MSEC)

static struct nst_stack *stack_of(const struct nst_relay *r)
{
    return r->queue->stack;
}

/* ---- What waits ------------------------------------------------------------------------------ */

static void set_share(struct nst_relay *r, size_t bytes)
{
    if (nst_share_set(r->share, bytes))
        r->crowded(r);
}

/* Counts it, and holds the window back while it is too much. */
static void count(struct nst_relay *r)
{
    struct nst_sock_info info;
    int unread = 0;

    if (r->share->account->owner || nst_info(stack_of(r), r->sock, &info) != 0)
        return;
    (void)ioctl(r->fd, SIOCOUTQ, &unread);
    set_share(r, info.memory_bytes + (size_t)unread);
    bool hold = nst_share_room(r->share) == 0;
    if (hold != r->held)
        (void)nst_setopt(stack_of(r), r->sock, NST_OPT_HOLD, hold);
    r->held = hold;
}

/* ---- From the program to the connection ------------------------------------------------------ */

/* Finds out whether the first byte is one that no program sent. */
static void look_for_mark(struct nst_relay *r)
{
    int marked = nst_ipc_stream_marked(r->fd);

    r->maybe_marked = marked == -EAGAIN;
    r->sentinel = marked > 0;
}

/* Bytes that the program wrote and that were not sent. */
static size_t unsent(struct nst_relay *r)
{
    int queued = 0;

    if (r->maybe_marked)
        look_for_mark(r);
    if (r->maybe_marked) /* nothing was there; what is now, may begin with the mark */
        return 0;
    if (ioctl(r->fd, FIONREAD, &queued) != 0 || queued < 0)
        return 0;
    return (size_t)queued - (r->sentinel ? 1 : 0);
}

/* Prepares to read the old sentinel to `used`, and `len` bytes into the room. Returns how many
 * pieces. */
static size_t make_iov(struct nst_relay *r, struct iovec *iov, char *used,
                       const struct nst_slice *room, size_t nroom, size_t len)
{
    size_t n = 0;

    if (r->sentinel)
        iov[n++] = (struct iovec){used, 1};
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

/* Whether the first byte in the socket is urgent. */
static bool is_at_mark(const struct nst_relay *r)
{
    int at_mark = 0;

    return ioctl(r->fd, SIOCATMARK, &at_mark) == 0 && at_mark;
}

/* Takes `len` bytes out of the socket, or what stands before an urgent one, except the last one if
 * it is to be the sentinel: that is only copied. Returns how many are in the room. */
static ssize_t take(struct nst_relay *r, const struct nst_slice *room, size_t nroom, size_t len,
                    bool keep)
{
    struct iovec iov[1 + NST_SEND_SLICES];
    size_t whole = keep ? len - 1 : len;
    char used;

    if (r->sentinel || whole > 0) {
        size_t n = make_iov(r, iov, &used, room, nroom, whole);
        ssize_t got = nst_ipc_stream_recv(r->fd, iov, n, 0);
        if (got <= 0)
            return got < 0 ? got : -ECONNRESET;
        size_t fresh = (size_t)got - (r->sentinel ? 1 : 0);
        r->sentinel = false;
        if (!keep || fresh < whole || is_at_mark(r))
            return (ssize_t)fresh;
    }
    struct iovec last = {place_in(room, whole), 1};
    ssize_t got = nst_ipc_stream_recv(r->fd, &last, 1, MSG_PEEK);
    if (got < 0)
        return got;
    r->sentinel = true;
    return (ssize_t)len;
}

/* Sends what there is room for of `waiting` bytes, as many as are allowed. Returns how many, or
 * -errno. */
static ssize_t send_some(struct nst_relay *r, size_t waiting, size_t allowed)
{
    struct nst_slice room[NST_SEND_SLICES];
    bool urgent = !r->sentinel && is_at_mark(r);
    size_t len = 0;
    size_t want = urgent ? 1 : nst_min(nst_min(waiting, allowed), BATCH);
    int n = nst_send_reserve(stack_of(r), r->sock, want, room);

    if (n < 0)
        return n;
    for (int i = 0; i < n; i++)
        len += room[i].len;
    bool small = !r->amid && waiting <= SENTINEL_MAX;
    bool keep = (small || urgent) && len == waiting; /* an urgent byte has a buffer of its own */
    ssize_t got = take(r, room, (size_t)n, len, keep);
    if (!urgent)
        r->amid = !keep && got != (ssize_t)waiting;
    (void)nst_send_commit(stack_of(r), r->sock, got > 0 ? (size_t)got : 0,
                          urgent ? NST_SEND_OOB : 0);
    return got;
}

/* -EAGAIN: no more for now; another errno is the connection's end. */
static int send_on(struct nst_relay *r)
{
    size_t waiting;

    while (!r->dry && (waiting = unsent(r)) > 0) {
        size_t allowed = nst_share_room(r->share);
        if (allowed == 0)
            return -EAGAIN; /* the account will come back to it */
        ssize_t got = send_some(r, waiting, allowed);
        if (got < 0)
            return (int)got;
        set_share(r, r->share->bytes + (size_t)got);
        r->dry = (size_t)got == waiting; /* what has come since it was asked makes an edge */
    }
    r->dry = true; /* until the next edge */
    if (r->no_more && !r->fin_sent)
        r->fin_sent = nst_shutdown(stack_of(r), r->sock, NST_SHUT_WR) != -ENOTCONN;
    return -EAGAIN;
}

/* ---- From the connection to the program ------------------------------------------------------ */

/* How many bytes stand before the urgent one, which comes next if that is 0; or all there are. */
static size_t before_urgent(const struct nst_relay *r)
{
    int64_t n = -1;

    if (r->urgent)
        (void)nst_getopt(stack_of(r), r->sock, NST_OPT_URGENT, &n);
    return n < 0 ? SIZE_MAX : (size_t)n;
}

/* Cuts the pieces down to `limit` bytes, one at least. Returns how many pieces are left. */
static size_t cut(struct nst_slice *in, size_t n, size_t limit)
{
    for (size_t i = 0; i < n; limit -= in[i++].len) {
        if (in[i].len < limit)
            continue;
        in[i].len = limit;
        return i + 1;
    }
    return n;
}

/* The call for one piece spares the kernel reading a list of them, and most messages are one. */
static ssize_t give(int fd, const struct nst_slice *in, size_t n, int flags)
{
    struct iovec iov[SLICES];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};

    flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
    if (n == 1)
        return send(fd, in->base, in->len, flags);
    for (size_t i = 0; i < n; i++)
        iov[i] = (struct iovec){in[i].base, in[i].len};
    return sendmsg(fd, &msg, flags);
}

/* What a program doesn't want (SHUT_RD) is taken in and dropped. -EPIPE when it has gone. */
static ssize_t deliver(const struct nst_relay *r, struct nst_slice *in, size_t n)
{
    size_t before = before_urgent(r), len = 0;

    n = cut(in, n, before ? before : 1);
    ssize_t sent = give(r->fd, in, n, before ? 0 : MSG_OOB);
    if (sent >= 0)
        return sent;
    for (size_t i = 0; i < n; i++)
        len += in[i].len;
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

/* Ends it with the sentinel out: the program sees no reset. */
static void finish(struct nst_relay *r, int err)
{
    char sentinel;
    struct iovec iov = {&sentinel, 1};

    if (r->sentinel)
        (void)nst_ipc_stream_recv(r->fd, &iov, 1, 0);
    r->ended(r, err);
}

/* Whether a reset came after all that there was to read: who writes is to have EPIPE for it. */
static bool is_reset_after_end(const struct nst_relay *r)
{
    struct nst_sock_info info;

    return r->eof_given && !r->fin_sent && nst_info(stack_of(r), r->sock, &info) == 0 &&
           info.state == NST_TCP_CLOSED;
}

/* Whether the program has closed a connection that still waits for the first data (Fast Open). */
static bool is_closed_unused(const struct nst_relay *r)
{
    struct nst_sock_info info;

    return r->gone && nst_info(stack_of(r), r->sock, &info) == 0 &&
           info.state == NST_TCP_SYN_SENT && info.tx_bytes == 0;
}

/* Whether the program has closed it and wants a reset for that. */
static bool is_aborted(const struct nst_relay *r)
{
    int64_t linger_s = -1;

    return r->gone && nst_getopt(stack_of(r), r->sock, NST_OPT_LINGER, &linger_s) == 0 &&
           linger_s == 0;
}

/* Carries what there is, both ways. */
static void carry(struct nst_relay *r)
{
    int in = r->broken || is_aborted(r) ? -ECONNRESET : receive_on(r);
    int out = in == -EAGAIN ? send_on(r) : in;

    if (out == -ENOBUFS)
        nst_loop_timer_after(r->queue->loop, &r->retry, STARVED_NS);
    else if (out != -EAGAIN)
        r->ended(r, out);
    else if (r->fin_sent && (r->eof_given || r->gone))
        finish(r, 0);
    else if (is_closed_unused(r))
        finish(r, 0);
    else if (is_reset_after_end(r))
        finish(r, -EPIPE);
    else
        count(r);
}

void nst_relay_ready(struct nst_relay *r, uint32_t ready)
{
    r->urgent = ready & NST_READY_PRI;
    carry(r);
}

static bool on_end(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events, unsigned budget)
{
    struct nst_relay *r = NST_CONTAINER(fd, struct nst_relay, end);

    (void)loop, (void)budget; /* the send queue is the bound */
    r->urgent = true;         /* the event that tells may be under way still */
    r->dry &= !(events & ~(unsigned)NST_LOOP_OUT);
    r->no_more |= (events & (NST_LOOP_RDHUP | NST_LOOP_HUP)) != 0;
    r->gone |= (events & NST_LOOP_HUP) != 0;
    r->broken |= (events & NST_LOOP_ERR) != 0;
    if (r->sock)
        carry(r);
    else if (r->gone)
        r->ended(r, -ECONNABORTED);
    return false;
}

static void on_retry(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_relay *r = NST_CONTAINER(timer, struct nst_relay, retry);

    (void)loop;
    r->urgent = true;
    carry(r);
}

/* ---- Life ------------------------------------------------------------------------------------ */

int nst_relay_init_take(struct nst_relay *r, struct nst_queue *q, struct nst_share *share, int fd)
{
    static const int buffer = NST_RELAY_BUFFER, yes = 1;

    r->queue = q;
    r->share = share;
    r->fd = fd;
    r->end.fn = on_end;
    r->retry.fn = on_retry;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    (void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
    int err = nst_loop_fd_add(q->loop, &r->end, fd,
                              NST_LOOP_IN | NST_LOOP_OUT | NST_LOOP_RDHUP | NST_LOOP_EDGE);
    if (err)
        nst_relay_fini(r);
    return err;
}

void nst_relay_start(struct nst_relay *r, nst_sock sock, enum nst_relay_start how)
{
    r->sock = sock;
    r->sentinel = how == NST_RELAY_FILLED;
    r->maybe_marked = how == NST_RELAY_ACCEPTED;
    r->urgent = true; /* it may have come before; the next event tells */
    carry(r);
}

void nst_relay_halt(struct nst_relay *r)
{
    nst_loop_timer_stop(&r->retry);
    nst_loop_fd_del(&r->end);
}

void nst_relay_fini(struct nst_relay *r)
{
    nst_relay_halt(r);
    nst_ipc_stream_close(r->fd);
    r->fd = -1;
}
