/* TCP sockets of programs, from socket() to the relay.
 *
 * A program's stream socket is not connected at first, because it may be told to listen. What is to
 * be done to it, the client library does: the daemon does not have it.
 *
 *   connect()   The daemon begins to connect, and opens a *door*: a listening socket that is called
 *               after both ends of the connection, so that getpeername() tells them. The library
 *               connects the program's socket to it, and writes *filler* into it until it is not
 *               writable any more: now it looks to poll() as one in SYN-SENT does. The daemon takes
 *               its end, and drains it once the connection is established, down to the last byte,
 *               the relay's sentinel. If that fails, it closes it with the filler unread, and keeps
 *               the error for SO_ERROR.
 *               With TCP_FASTOPEN_CONNECT, to a server that is known to take data with the SYN, it
 *               counts as established at once, and the first that the program writes is that data.
 *   listen()    The library lets the program's socket listen; the daemon connects an end for each
 *               finished handshake, named after the connection. When the program's queue is full,
 *               connections wait in the stack's, and that is the back-pressure which the peer sees.
 *   accept()    is the kernel's alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "daemon/lent.h"
#include "daemon/thread.h"
#include "ipc/packet.h"

#define PATIENCE_NS  (10 * NST_LOOP_SECOND) /* for the library to bring the program's end in */
#define OFFER_MIN_NS NST_LOOP_MSEC
#define OFFER_MAX_NS (32 * NST_LOOP_MSEC)
#define ACCEPT_BATCH 64

static void on_timer(struct nst_loop *loop, struct nst_loop_timer *timer);
static void on_relay_ended(struct nst_relay *relay, int err);
static void on_relay_crowded(struct nst_relay *relay);

static struct nst_lent *lent_of(struct nst_relay *relay)
{
    return NST_CONTAINER(relay, struct nst_lent, stream.relay);
}

void nst_lent_stream_init(struct nst_lent *lent)
{
    lent->handler.ready = nst_lent_stream_ready;
    lent->stream.door = -1;
    lent->stream.relay.fd = -1;
    lent->stream.relay.ended = on_relay_ended;
    lent->stream.relay.crowded = on_relay_crowded;
    lent->stream.timer = (struct nst_loop_timer){.fn = on_timer, .arg = lent};
    nst_list_init(&lent->stream.waiters);
}

static void set_state(struct nst_lent *lent, enum nst_stream_state state)
{
    enum nst_stream_state old = lent->stream.state;

    lent->account->connecting -= old == NST_STREAM_CONNECTING;
    lent->account->connecting += state == NST_STREAM_CONNECTING;
    lent->account->listeners -= old == NST_STREAM_LISTENING;
    lent->account->listeners += state == NST_STREAM_LISTENING;
    lent->stream.state = state;
    nst_lent_watch(lent, lent->stream.relay.fd < 0);
}

/* With one queue all is on it. */
static bool is_spread(const struct nst_lent *lent)
{
    return lent->daemon->nqueues > 1;
}

static void close_door(struct nst_lent *lent)
{
    int fd;

    if (lent->stream.door < 0)
        return;
    while ((fd = accept4(lent->stream.door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        nst_ipc_stream_close(fd); /* whoever came in and was not asked for */
    close(lent->stream.door);
    lent->stream.door = -1;
}

/* Ends the connection with a reset, if there is one. */
static void abort_sock(struct nst_lent *lent)
{
    struct nst_stack *stack = lent->queue->stack;

    (void)nst_setopt(stack, lent->sock, NST_OPT_LINGER, 0);
    nst_close(stack, lent->sock);
    lent->sock = 0;
}

/* ---- Waiting for a connection ---------------------------------------------------------------- */

void nst_waiter_free(struct nst_waiter *waiter)
{
    nst_list_del(&waiter->of_lent);
    nst_session_waits_not(waiter->session, waiter);
    free(waiter);
}

static void answer(struct nst_ipc_peer *peer, uint32_t call, int err)
{
    if (err)
        nst_ipc_error(peer, call, err, "cannot connect: %s", strerror(-err));
    else
        nst_ipc_reply_take(peer, call, json_object());
}

/* Tells everyone who waits. Whether anybody did. */
static bool answer_waiters(struct nst_lent *lent, int err)
{
    bool any = false;

    NST_LIST_FOREACH_SAFE (e, &lent->stream.waiters) {
        struct nst_waiter *w = NST_CONTAINER(e, struct nst_waiter, of_lent);
        answer(w->peer, w->call, err);
        nst_waiter_free(w);
        any = true;
    }
    return any;
}

/* What a connect() gives when it is decided. */
static int outcome(struct nst_lent *lent)
{
    int err = -lent->error;

    if (lent->stream.state == NST_STREAM_CONNECTED) {
        err = lent->stream.told ? -EISCONN : 0;
        lent->stream.told = true;
    } else {
        lent->error = 0;
        err = err ? err : -ECONNABORTED;
    }
    return err;
}

void nst_lent_stream_await(struct nst_lent *lent, struct nst_ipc_peer *peer, uint32_t call)
{
    struct nst_session *session = nst_ipc_peer_data(peer);

    if (lent->stream.state != NST_STREAM_CONNECTING) {
        answer(peer, call, outcome(lent));
        return;
    }
    struct nst_waiter *w = session && nst_session_may_wait(session) ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        answer(peer, call, -ENOBUFS);
        return;
    }
    w->peer = peer;
    w->call = call;
    w->session = session;
    nst_list_push_back(&lent->stream.waiters, &w->of_lent);
    nst_session_waits(session, w);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void fail(struct nst_lent *lent, int err)
{
    lent->stream.over = false;
    close_door(lent);
    nst_loop_timer_stop(&lent->stream.timer);
    if (lent->stream.relay.fd >= 0)
        nst_relay_fini(&lent->stream.relay); /* with the filler unread */
    abort_sock(lent);
    set_state(lent, NST_STREAM_FAILED);
    lent->error = answer_waiters(lent, err) ? 0 : -err;
}

static void drain(struct nst_lent *lent)
{
    static char junk[64 * 1024];
    size_t left = lent->stream.filler - 1;

    while (left > 0) {
        struct iovec iov = {junk, nst_min(left, sizeof junk)};
        ssize_t n = nst_ipc_stream_recv(lent->stream.relay.fd, &iov, 1, 0);
        if (n <= 0)
            return;
        left -= (size_t)n;
    }
}

static void established(struct nst_lent *lent)
{
    nst_loop_timer_stop(&lent->stream.timer);
    set_state(lent, NST_STREAM_CONNECTED);
    drain(lent);
    lent->stream.told = answer_waiters(lent, 0);
    nst_relay_start(&lent->stream.relay, lent->sock, NST_RELAY_FILLED);
}

/* Looks whether it is decided, once the program's end is in. */
static void decide(struct nst_lent *lent)
{
    struct nst_stack *stack = lent->queue->stack;
    struct nst_sock_info info;
    int64_t error = 0;

    if (lent->stream.relay.fd < 0 || lent->stream.over || nst_info(stack, lent->sock, &info) != 0)
        return;
    if (info.state >= NST_TCP_ESTABLISHED || (lent->stream.early && info.state == NST_TCP_SYN_SENT))
        established(lent);
    else if (info.state == NST_TCP_CLOSED)
        fail(lent, nst_getopt(stack, lent->sock, NST_OPT_ERROR, &error) == 0 && error
                       ? (int)-error
                       : -ECONNRESET);
}

/* The name of the daemon's end of the connection. */
static struct nst_ipc_sockname end_name(const struct nst_lent *lent)
{
    struct nst_sock_info info = {0};

    nst_info(lent->queue->stack, lent->sock, &info);
    return (struct nst_ipc_sockname){.kind = NST_IPC_NAME_END,
                                     .protocol = lent->protocol,
                                     .token = lent->token,
                                     .local = info.local,
                                     .peer = info.peer};
}

static int open_door(struct nst_lent *lent)
{
    const struct nst_ipc_sockname name = end_name(lent);
    int fd = nst_lent_socket(SOCK_STREAM, &name);

    if (fd < 0)
        return fd;
    lent->stream.door = fd;
    /* syscall: listen */
    return listen(fd, 1) == 0 ? 0 : -errno;
}

int nst_lent_stream_connect(struct nst_lent *lent, const struct nst_sockaddr *to)
{
    struct nst_account *account = lent->account;

    switch (lent->stream.state) {
    case NST_STREAM_CONNECTING:
        return -EALREADY;
    case NST_STREAM_LISTENING:
        return -EISCONN;
    case NST_STREAM_CONNECTED:
    case NST_STREAM_FAILED:
        return outcome(lent);
    case NST_STREAM_FRESH:
        break;
    }
    if (!account->owner && account->connecting >= account->person->connecting)
        return nst_account_refuse(account, NST_QUOTA_CONNECTING);
    int err = is_spread(lent) ? nst_lent_spread_connect(lent, to)
                              : nst_connect(lent->queue->stack, lent->sock, to);
    if (err && err != -EINPROGRESS)
        return err;
    lent->stream.early = err == 0;
    set_state(lent, NST_STREAM_CONNECTING);
    nst_loop_timer_after(lent->daemon->loop, &lent->stream.timer, PATIENCE_NS);
    int door = open_door(lent);
    if (door)
        fail(lent, door);
    return door ? door : -EINPROGRESS;
}

/* The end of whoever came in by the door: it must be the program. */
static int take_end(struct nst_lent *lent)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof addr;
    int fd =
        accept4(lent->stream.door, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return errno == EAGAIN ? -EINVAL : -errno;
    if (nst_lent_is_program(lent, &addr, len))
        return fd;
    nst_ipc_stream_close(fd);
    return -EPERM;
}

int nst_lent_stream_begin(struct nst_lent *lent, size_t filler)
{
    int queued = 0;

    if (lent->stream.state != NST_STREAM_CONNECTING || lent->stream.door < 0)
        return 0; /* it has begun, and may be decided */
    int fd = take_end(lent);
    if (fd < 0)
        return fd;
    /* syscall: ioctl */
    if (ioctl(fd, FIONREAD, &queued) != 0 || filler == 0 || filler > (size_t)queued) {
        nst_ipc_stream_close(fd);
        return -EINVAL;
    }
    lent->stream.filler = filler;
    close_door(lent);
    nst_loop_timer_stop(&lent->stream.timer);
    int err = nst_relay_init_take(&lent->stream.relay, lent->queue, &lent->share, fd);
    nst_lent_watch(lent, err != 0);
    if (err)
        fail(lent, err);
    else
        decide(lent);
    return err;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void end_relay(struct nst_lent *lent, int err)
{
    struct nst_relay *relay = &lent->stream.relay;
    bool told = relay->gone || err == 0 || err == -ECONNRESET;

    lent->stream.over = false;
    nst_relay_fini(relay);
    if (err)
        abort_sock(lent);
    if (told) {
        nst_lent_free(lent);
        return;
    }
    lent->error = -err;
    set_state(lent, NST_STREAM_FAILED);
}

static void on_relay_ended(struct nst_relay *relay, int err)
{
    struct nst_lent *lent = lent_of(relay);

    if (nst_queue_is_home(lent->queue)) {
        end_relay(lent, err);
        return;
    }
    nst_relay_halt(relay);
    lent->stream.over = true;
    lent->stream.end = err;
    nst_queue_defer(lent->queue, &lent->errand);
}

void nst_lent_stream_fini(struct nst_lent *lent)
{
    struct nst_lent_stream *s = &lent->stream;

    answer_waiters(lent, -ECONNABORTED);
    nst_loop_timer_stop(&s->timer);
    close_door(lent);
    if (s->held) {
        nst_queue_visit(s->held->queue);
        abort_sock(s->held);
        nst_lent_free(s->held);
    }
    nst_lent_twins_free(lent);
    if (s->relay.fd >= 0)
        nst_relay_fini(&s->relay);
    set_state(lent, NST_STREAM_FRESH);
}

/* ---- Listening ------------------------------------------------------------------------------- */

static bool has_enough_listeners(const struct nst_account *account)
{
    return !account->owner && account->listeners >= account->person->listeners;
}

int nst_lent_stream_listen(struct nst_lent *lent, uint32_t backlog)
{
    bool first = lent->stream.state == NST_STREAM_FRESH;

    if (!first && lent->stream.state != NST_STREAM_LISTENING)
        return -EINVAL;
    if (first && has_enough_listeners(lent->account)) {
        nst_lent_watch(lent, false); /* it stays */
        nst_lender_make_room(lent->daemon->lender, lent->account);
        nst_lent_watch(lent, true);
    }
    if (first && has_enough_listeners(lent->account))
        return nst_account_refuse(lent->account, NST_QUOTA_LISTENERS);
    (void)nst_setopt(lent->queue->stack, lent->sock, NST_OPT_SYN_EVENTS, 1);
    int err = is_spread(lent) ? nst_lent_spread_listen(lent, backlog)
                              : nst_listen(lent->queue->stack, lent->sock, backlog);
    if (!err)
        set_state(lent, NST_STREAM_LISTENING);
    return err;
}

/* Connects the child's end to its listener. 0; -EAGAIN: there is no room; -ECONNREFUSED: the
 * program has gone; or what else is wrong. */
static int offer(const struct nst_lent *lent, struct nst_lent *child)
{
    nst_queue_visit(child->queue);
    const struct nst_ipc_sockname name = end_name(child);
    struct sockaddr_un addr;
    socklen_t len = nst_lent_program(lent, &addr);
    int fd = nst_lent_socket(SOCK_STREAM, &name);

    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&addr, len) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    int err = nst_relay_init_take(&child->stream.relay, child->queue, &child->share, fd);
    if (err)
        return err;
    set_state(child, NST_STREAM_CONNECTED);
    child->stream.told = true;
    nst_relay_start(&child->stream.relay, child->sock, NST_RELAY_ACCEPTED);
    return 0;
}

/* The next connection that is finished, of the listener `sock`. -EAGAIN, or another error. */
static int take_next(struct nst_lent *lent, struct nst_queue *q, nst_sock sock,
                     struct nst_lent **out)
{
    struct nst_lent *child;
    int err = nst_lent_new(&child, lent->daemon, lent->account, lent->protocol, lent->pid);

    if (err)
        return err;
    child->queue = q;
    err = nst_accept(q->stack, sock, &child->sock, (uintptr_t)&child->handler);
    if (err) {
        nst_lent_free(child);
        return err;
    }
    (void)nst_setopt(child->queue->stack, child->sock, NST_OPT_NODELAY, 1);
    child->remembered = lent->remembered;
    *out = child;
    return 0;
}

static void offer_later(struct nst_lent *lent)
{
    struct nst_lent_stream *s = &lent->stream;

    s->delay_ns = nst_min(nst_max(2 * s->delay_ns, OFFER_MIN_NS), OFFER_MAX_NS);
    nst_loop_timer_after(lent->daemon->loop, &s->timer, s->delay_ns);
}

/* Until there are none, or the program takes no more. */
void nst_lent_stream_offer(struct nst_lent *lent, struct nst_queue *q, nst_sock sock)
{
    struct nst_lent_stream *s = &lent->stream;

    for (unsigned i = 0; i < ACCEPT_BATCH && !nst_account_is_full(lent->account); i++) {
        struct nst_lent *child = s->held;
        int err = child ? 0 : take_next(lent, q, sock, &child);
        if (err == -EAGAIN)
            return;
        s->held = NULL;
        err = err ? err : offer(lent, child);
        if (!err) {
            s->delay_ns = 0;
            continue;
        }
        if (err == -ECONNREFUSED) {
            abort_sock(child);
            nst_lent_free(child);
            nst_lent_free(lent);
            return;
        }
        s->held = child; /* none, if it was a limit that is reached */
        break;
    }
    offer_later(lent);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void on_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_lent *lent = timer->arg;

    (void)loop;
    if (lent->stream.state != NST_STREAM_LISTENING) {
        nst_lent_free(lent); /* the library went while it connected */
        return;
    }
    nst_queues_visit(lent->daemon);
    if (nst_lent_spread_offer(lent))
        nst_lent_stream_offer(lent, lent->queue, lent->sock);
}

/* What is not the relay's. */
static void attend(struct nst_lent *lent)
{
    if (lent->stream.crowded)
        nst_account_recount(lent->account);
    lent->stream.crowded = false;
    if (lent->stream.over)
        end_relay(lent, lent->stream.end);
    else if (lent->stream.state == NST_STREAM_CONNECTING)
        decide(lent);
    else if (lent->stream.state == NST_STREAM_LISTENING)
        nst_lent_stream_offer(lent, lent->queue, lent->sock);
}

void nst_lent_stream_attend(struct nst_errand *errand)
{
    attend(NST_CONTAINER(errand, struct nst_lent, errand));
}

static void on_relay_crowded(struct nst_relay *relay)
{
    struct nst_lent *lent = lent_of(relay);

    if (nst_queue_is_home(lent->queue)) {
        nst_account_recount(lent->account);
        return;
    }
    lent->stream.crowded = true;
    nst_queue_defer(lent->queue, &lent->errand);
}

static bool is_carried(const struct nst_lent *lent)
{
    return lent->stream.state == NST_STREAM_CONNECTED && lent->stream.relay.fd >= 0 &&
           !lent->stream.over;
}

void nst_lent_stream_recount(struct nst_lent *lent)
{
    nst_queue_visit(lent->queue);
    if (is_carried(lent))
        nst_relay_ready(&lent->stream.relay, NST_READY_PRI); /* for all one knows */
}

void nst_lent_stream_ready(struct nst_handler *handler, uint32_t ready)
{
    struct nst_lent *lent = NST_CONTAINER(handler, struct nst_lent, handler);

    if (is_carried(lent))
        nst_relay_ready(&lent->stream.relay, ready);
    else if (lent->stream.state == NST_STREAM_LISTENING && ready & NST_READY_SYN &&
             !nst_lent_is_alive(lent, lent->queue))
        nst_lent_free(lent); /* which refuses */
    else if (nst_queue_is_home(lent->queue))
        attend(lent);
    else
        nst_queue_defer(lent->queue, &lent->errand);
}
