#include "tcp_apps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define BLOCK       65536
#define RETRY_PAUSE (100 * NST_MS) /* when the stack has no memory */

static uint8_t block[BLOCK + 16];

/* ---- Streams --------------------------------------------------------------------------------- */

uint64_t tcp_word(uint64_t key, uint64_t pos)
{
    uint64_t x = (key ^ pos / 8) * 0x9e3779b97f4a7c15u;

    if (pos == 0)
        return key;
    x = (x ^ x >> 31) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

/* Fills `block` with the stream's bytes from `pos` on; returns where they begin in it. */
static const uint8_t *fill(uint64_t key, uint64_t pos, size_t len)
{
    uint64_t at = pos - pos % 8;

    for (size_t i = 0; at + i < pos + len; i += 8)
        nst_store_le64(block + i, tcp_word(key, at + i));
    return block + pos % 8;
}

/* The key is learnt from the stream itself, if nobody knew whose it is. */
static size_t take_head(struct tcp_end *e, const uint8_t *p, size_t len)
{
    size_t n = 0;

    while (n < len && e->received + n < TCP_KEY_BYTES) {
        e->head[e->received + n] = p[n];
        n++;
    }
    if (n > 0 && e->received + n == TCP_KEY_BYTES) {
        uint64_t key = nst_load_le64(e->head);
        SIM_REQUIRE(e->app.sim, !e->expected || e->expected == key);
        e->expected = key;
    }
    return n;
}

static void check(struct tcp_end *e, const uint8_t *p, size_t len)
{
    size_t head = take_head(e, p, len);

    e->received += head;
    p += head;
    len -= head;
    if (len == 0)
        return;
    if (memcmp(p, fill(e->expected, e->received, len), len) != 0)
        sim_fail(e->app.sim, "wrong bytes between %" PRIu64 " and %" PRIu64, e->received,
                 e->received + len);
    e->received += len;
}

/* ---- An end's life --------------------------------------------------------------------------- */

static struct nst_stack *stack_of(const struct tcp_end *e)
{
    return sim_stack(e->app.node);
}

static void set(struct tcp_end *e, enum nst_opt opt, int64_t value)
{
    SIM_REQUIRE(e->app.sim, nst_setopt(stack_of(e), e->sock, opt, value) == 0);
}

static void finish(struct tcp_end *e, int error)
{
    if (e->closed)
        return;
    e->closed = true;
    e->error = error ? error : e->broken;
    SIM_REQUIRE(e->app.sim, nst_close(stack_of(e), e->sock) == 0);
    e->app.wake = NST_TIME_NEVER;
}

void tcp_end_abort(struct tcp_end *e)
{
    if (e->closed)
        return;
    set(e, NST_OPT_LINGER, 0);
    finish(e, ECANCELED);
}

static uint64_t total(const struct tcp_end *e)
{
    return TCP_KEY_BYTES + e->plan.send;
}

/* How much may have been sent by now. */
static uint64_t allowed(const struct tcp_end *e)
{
    uint32_t turn = e->plan.turn;

    if (e->plan.after_peer && !e->eof)
        return 0;
    if (!turn || e->eof)
        return total(e);
    return nst_min((e->received / turn + e->plan.first) * turn, total(e));
}

/* True when it has ended. */
static bool quits(struct tcp_end *e)
{
    if (e->plan.finish < TCP_ABORT || e->sent + e->received < e->plan.quit_at)
        return false;
    if (e->plan.finish == TCP_ABORT)
        tcp_end_abort(e);
    else
        finish(e, ECANCELED);
    return true;
}

/* Fast Open lets it write already; but who closes now takes that back. */
static bool is_connecting(const struct tcp_end *e)
{
    struct nst_sock_info info;

    return e->plan.fastopen && nst_info(stack_of(e), e->sock, &info) == 0 &&
           info.state == NST_TCP_SYN_SENT;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool read_some(struct tcp_end *e)
{
    static uint8_t in[BLOCK];
    size_t want = e->plan.read_bytes ? nst_min(e->plan.read_bytes, BLOCK) : BLOCK;
    struct nst_slice slice[2] = {{in, want / 3}, {in + want / 3, want - want / 3}};
    struct nst_msg msg = {.data = slice, .ndata = 2};
    int64_t n = nst_recv(stack_of(e), e->sock, &msg, 0);

    if (n == -EAGAIN)
        e->readable = false;
    else if (n < 0)
        finish(e, (int)-n);
    else if (n == 0)
        e->eof = true;
    if (n <= 0)
        return false;
    e->moved = sim_now(e->app.sim);
    check(e, in, (size_t)n);
    e->read_at = e->moved + e->plan.read_pause;
    return !quits(e);
}

static void read_all(struct tcp_end *e)
{
    while (!e->closed && e->readable && !e->eof && e->read_at <= sim_now(e->app.sim))
        if (!read_some(e))
            return;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static bool write_some(struct tcp_end *e)
{
    uint64_t want = nst_min(allowed(e) - e->sent, BLOCK);

    if (e->plan.write_bytes)
        want = nst_min(want, e->plan.write_bytes);
    const uint8_t *from = fill(e->key, e->sent, want);
    struct nst_slice slice = {(void *)(uintptr_t)from, want};
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t n = nst_send(stack_of(e), e->sock, &msg);
    nst_time now = sim_now(e->app.sim);

    if (n == -EAGAIN) {
        e->writable = false;
        return false;
    }
    if (n == -ENOBUFS) {
        e->write_at = now + RETRY_PAUSE;
        return false;
    }
    if (n < 0) {
        e->writable = false; /* what still comes is read, to its end */
        e->shut = true;
        e->readable = true;
        e->broken = (int)-n;
        return false;
    }
    e->moved = now;
    e->sent += (uint64_t)n;
    if (e->plan.waits && (uint64_t)n < want)
        e->writable = false;
    e->write_at = now + e->plan.write_pause;
    return !quits(e);
}

static void write_all(struct tcp_end *e)
{
    while (!e->closed && !e->shut && e->writable && e->sent < allowed(e) &&
           e->write_at <= sim_now(e->app.sim))
        if (!write_some(e))
            return;
}

static void end_if_done(struct tcp_end *e)
{
    if (e->closed || is_connecting(e))
        return;
    if (!e->shut && e->sent == total(e)) {
        if (e->plan.finish == TCP_CLOSE) {
            finish(e, 0);
            return;
        }
        e->shut = true;
        if (nst_shutdown(stack_of(e), e->sock, NST_SHUT_WR) != 0)
            e->readable = true; /* it has ended: the error is to be read */
    }
    if (e->shut && e->eof)
        finish(e, 0);
}

static void sleep_until(struct tcp_end *e, nst_time when)
{
    e->app.wake = nst_min(e->app.wake, nst_max(when, sim_now(e->app.sim) + 1));
}

static void step(struct tcp_end *e)
{
    bool was_eof;

    do { /* the end of the peer's stream may begin our own */
        was_eof = e->eof;
        read_all(e);
        write_all(e);
        end_if_done(e);
    } while (!e->closed && was_eof != e->eof);
    if (e->closed)
        return;
    if (e->readable && !e->eof)
        sleep_until(e, e->read_at);
    if (e->writable && !e->shut && e->sent < allowed(e))
        sleep_until(e, e->write_at);
}

bool tcp_end_pauses(const struct tcp_end *e)
{
    return !e->closed && e->app.wake != NST_TIME_NEVER;
}

/* ---- The simulator's calls ------------------------------------------------------------------- */

static void on_event(struct sim_app *app, const struct nst_event *event)
{
    struct tcp_end *e = NST_CONTAINER(app, struct tcp_end, app);

    if (event->kind != NST_EVENT_READY || e->closed || event->sock != e->sock)
        return;
    if (event->ready & (NST_READY_IN | NST_READY_ERR | NST_READY_HUP))
        e->readable = true;
    if (event->ready & NST_READY_OUT) {
        e->writable = true;
        e->connected |= !(event->ready & NST_READY_ERR) && !is_connecting(e);
    }
    step(e);
}

static void on_timer(struct sim_app *app)
{
    struct tcp_end *e = NST_CONTAINER(app, struct tcp_end, app);

    if (!e->closed)
        step(e);
}

static void begin(struct tcp_end *e, const struct tcp_plan *plan, uint64_t key)
{
    e->plan = *plan;
    e->key = key;
    e->begun = e->moved = sim_now(e->app.sim);
    e->read_at = e->begun + plan->read_after;
    set(e, NST_OPT_NODELAY, plan->nodelay);
    set(e, NST_OPT_CORK, plan->cork);
    set(e, NST_OPT_KEEPIDLE, 60);
    set(e, NST_OPT_KEEPINTVL, 10);
    set(e, NST_OPT_KEEPCNT, 6);
    set(e, NST_OPT_KEEPALIVE, plan->keepalive);
    if (plan->sndbuf)
        set(e, NST_OPT_SNDBUF, plan->sndbuf);
    if (plan->rcvbuf)
        set(e, NST_OPT_RCVBUF, plan->rcvbuf);
    if (plan->maxseg)
        set(e, NST_OPT_MAXSEG, plan->maxseg);
}

static void enlist(struct tcp_end *e, struct sim_node *node)
{
    e->app = (struct sim_app){.event = on_event, .timer = on_timer, .wake = NST_TIME_NEVER};
    sim_app_add(node, &e->app);
}

bool tcp_end_connect(struct tcp_end *e, struct sim_node *node, const struct tcp_plan *plan,
                     uint64_t key, const struct nst_sockaddr *local,
                     const struct nst_sockaddr *peer)
{
    struct nst_stack *stack = sim_stack(node);

    if (!e->app.sim)
        enlist(e, node);
    e->closed = true;
    e->error = TCP_REFUSED;
    if (nst_socket(stack, &e->sock, NST_AF_INET, NST_SOCK_STREAM, 0, sim_cookie(&e->app)) != 0)
        return false;
    e->closed = false;
    e->error = e->broken = 0;
    begin(e, plan, key);
    sim_app_wake(&e->app, e->begun);
    set(e, NST_OPT_FASTOPEN_CONNECT, plan->fastopen);
    int err = nst_bind(stack, e->sock, local);
    if (!err)
        err = nst_connect(stack, e->sock, peer);
    if (err == -EINPROGRESS || (plan->fastopen && err == 0))
        return true;
    finish(e, TCP_REFUSED);
    return false;
}

int tcp_end_accept(struct tcp_end *e, struct sim_node *node, nst_sock listener)
{
    if (!e->app.sim)
        enlist(e, node);
    return nst_accept(sim_stack(node), listener, &e->sock, sim_cookie(&e->app));
}

void tcp_end_begin(struct tcp_end *e, const struct tcp_plan *plan, uint64_t key)
{
    e->connected = true;
    begin(e, plan, key);
}

void tcp_end_print(const struct tcp_end *e)
{
    printf("# end %p: sent %" PRIu64 " of %" PRIu64 " received %" PRIu64
           " moved %.6f reads at %.6f finish %d error %d%s%s%s%s%s%s%s%s\n",
           (const void *)e, e->sent, total(e), e->received, (double)e->moved / (double)NST_SEC,
           (double)e->read_at / (double)NST_SEC, e->plan.finish, e->error,
           e->connected ? " connected" : "", e->readable ? " readable" : "",
           e->writable ? " writable" : "", e->shut ? " shut" : "", e->eof ? " eof" : "",
           e->closed ? " closed" : "", e->peer ? "" : " alone", tcp_end_pauses(e) ? " pauses" : "");
}
