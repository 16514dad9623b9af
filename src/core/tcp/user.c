/* The owner's calls (RFC 9293 §3.9.1, §3.10.1 to §3.10.6), and how a connection ends. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

/* ---- Open -------------------------------------------------------------------------------- */

uint8_t nst_tcp_wscale(const struct nst_tcps *tcps)
{
    uint8_t shift = 0;

    while (shift < 14 && tcps->config.rcvbuf_max / 2 >> shift > 65535)
        shift++;
    return shift;
}

int nst_tcb_connect(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;
    struct nst_path path;
    int err = nst_ip_path(tcps->ip, &t->flow.id.peer, 0, &path);

    if (err)
        return err;
    if (path.group || !(path.ours || nst_addr_is_host(&t->flow.id.peer))) /* MUST-46 */
        return -ENETUNREACH;
    if (nst_flow_find(tcps, &t->flow.id))
        return -EADDRINUSE;
    if (!nst_tcb_activate(t))
        return -ENOBUFS;
    if ((err = nst_flow_insert(tcps, &t->flow, NST_FLOW_TCB))) {
        nst_tcb_deactivate(t);
        return err;
    }
    t->mtu = (uint16_t)nst_min32(path.mtu, UINT16_MAX);
    t->state = NST_TCP_SYN_SENT;
    t->act->iss = t->snd.una = nst_tcp_isn(tcps, &t->flow.id);
    t->snd.nxt = t->act->snd_up = nst_seq_add(t->act->iss, 1);
    t->ts_offset = nst_tcp_ts_offset(tcps, &t->flow.id);
    t->rcv_wscale = (tcps->config.wscale ? nst_tcp_wscale(tcps) : 0) & 15u;
    t->act->syn_window = (uint16_t)nst_min32(t->opt.rcvbuf / 2, 65535);
    nst_sendq_init(&t->act->sendq, t->snd.nxt);
    t->act->psh = nst_tcb_snd_end(t);
    t->act->syn_time = t->act->first_unacked = tcps->env->now;
    t->begun = true;
    if (t->opt.fastopen_connect)
        nst_fastopen_connect(t);
    t->probe_now = !nst_fastopen_waits(t);
    NST_COUNT(tcps->env, tcp_active_opens);
    nst_tcb_changed(t);
    nst_tcb_wants_output(t);
    return 0;
}

/* ---- Send -------------------------------------------------------------------------------- */

static bool was_never_open(const struct nst_tcb *t)
{
    return t->state == NST_TCP_CLOSED && !t->begun;
}

static int check_sendable(const struct nst_tcb *t)
{
    switch (t->state) {
    case NST_TCP_SYN_SENT:
        return nst_fastopen_waits(t) ? 0 : -EAGAIN;
    case NST_TCP_SYN_RECEIVED:
        return -EAGAIN;
    case NST_TCP_ESTABLISHED:
    case NST_TCP_CLOSE_WAIT:
        return t->fin_queued ? -EPIPE : 0;
    default:
        return was_never_open(t) ? -ENOTCONN : -EPIPE;
    }
}

/* What has arrived behind a hole waits for nothing but the hole: it takes no room, up to as much as
 * a buffer may have, unless the owner said how large all of it is to be. */
uint32_t nst_tcb_sndbuf_used(const struct nst_tcb *t)
{
    uint32_t queued = (uint32_t)nst_seq_diff(nst_tcb_snd_end(t), t->snd.una);

    if (!t->act || t->opt.sndbuf_fixed)
        return queued;
    return queued - nst_min32(t->act->board.sacked, t->tcps->config.sndbuf_max);
}

/* While memory is scarce each connection has a segment at a time. */
uint32_t nst_tcb_send_room(const struct nst_tcb *t)
{
    uint32_t used = nst_tcb_sndbuf_used(t);

    if (nst_pool_is_scarce(t->tcps->pool))
        return nst_seq_lt(t->snd.una, nst_tcb_snd_end(t)) ? 0 : t->snd_mss;
    uint32_t room = t->opt.sndbuf - nst_min32(used, t->opt.sndbuf);
    return (uint32_t)nst_min(room, nst_max(nst_pool_spare(t->tcps->pool), t->snd_mss));
}

/* What may be appended now, at most `len` bytes; or why nothing can be. */
static int64_t check_room(struct nst_tcb *t, size_t len)
{
    int err = check_sendable(t);
    uint32_t room = err ? 0 : nst_tcb_send_room(t);

    if (err || room > 0)
        return err ? err : nst_tcb_activate(t) ? (int64_t)nst_min(len, room) : -ENOBUFS;
    t->tx_blocked = true;
    return -EAGAIN;
}

/* `n` bytes have been appended. */
static void appended(struct nst_tcb *t, uint32_t n, uint32_t flags)
{
    if (t->state == NST_TCP_SYN_SENT) { /* which waited for that */
        t->act->syn_time = t->act->first_unacked = t->tcps->env->now;
        t->probe_now = true;
    }
    if (t->act->idle_since && nst_seq_eq(t->snd.una, nst_seq_sub(nst_tcb_snd_end(t), n)))
        nst_recovery_restart(t);
    t->more = flags & NST_SEND_MORE;
    if (!t->more)
        t->act->psh = nst_tcb_snd_end(t);
    if (flags & NST_SEND_OOB) { /* as much as there is (MUST-30, MUST-31) */
        t->act->snd_up = nst_tcb_snd_end(t);
        t->snd_urgent = true;
    }
    if (nst_tcb_send_room(t) == 0)
        t->tx_blocked = true;
    nst_tcb_wants_output(t);
}

int64_t nst_tcb_send(struct nst_tcb *t, const struct nst_slice *data, size_t n, uint32_t flags)
{
    int64_t room = check_room(t, UINT32_MAX);
    size_t done = 0, i = 0;

    for (; i < n && (int64_t)done < room; i++) {
        size_t got = nst_sendq_push(&t->act->sendq, t->tcps->pool, data[i].base,
                                    nst_min(data[i].len, (size_t)room - done));
        done += got;
        if (got < data[i].len)
            break;
    }
    if (room > 0 && i < n) /* who has written less than all waits without another try */
        t->tx_blocked = true;
    if (done > 0)
        appended(t, (uint32_t)done, flags);
    return done > 0 ? (int64_t)done : room < 0 ? room : -ENOBUFS;
}

int nst_tcb_reserve(struct nst_tcb *t, size_t len, struct nst_slice out[NST_SENDQ_ROOM])
{
    int64_t room = check_room(t, len);

    if (room <= 0)
        return (int)room;
    int n = (int)nst_sendq_reserve(&t->act->sendq, t->tcps->pool, (size_t)room, out);
    t->tx_blocked = n == 0;
    return n ? n : -ENOBUFS;
}

void nst_tcb_commit(struct nst_tcb *t, size_t len, uint32_t flags)
{
    nst_sendq_commit(&t->act->sendq, t->tcps->pool, len);
    if (len > 0)
        appended(t, (uint32_t)len, flags);
}

/* ---- Receive ----------------------------------------------------------------------------- */

/* Receive-buffer auto-tuning: what the owner takes in one round trip, the peer should be able to
 * send twice in the next. */
static void tune_rcvbuf(struct nst_tcb *t, size_t n)
{
    nst_time now = t->tcps->env->now, round = nst_max(t->rtt.srtt, NST_MS);
    const struct nst_tcp_config *c = &t->tcps->config;

    t->act->tune_bytes += (uint32_t)n;
    if (t->opt.rcvbuf_fixed || now - t->act->tune_time < round)
        return;
    uint64_t wanted = 4 * (uint64_t)t->act->tune_bytes + 64 * (uint64_t)t->rcv_mss;
    bool memory = t->tcps->pool->used_bytes < t->tcps->pool->budget_bytes / 4 * 3;
    if (wanted > t->opt.rcvbuf && memory)
        t->opt.rcvbuf = (uint32_t)nst_min(wanted, c->rcvbuf_max);
    t->act->tune_time = now;
    t->act->tune_bytes = 0;
}

void nst_tcb_consumed(struct nst_tcb *t, size_t n)
{
    if (n == 0)
        return;
    tune_rcvbuf(t, n);
    if (t->state >= NST_TCP_ESTABLISHED)
        nst_tcb_window_opened(t);
}

static int check_receivable(struct nst_tcb *t)
{
    if (nst_tcb_unread(t))
        return 1;
    if (t->error) {
        int err = -t->error;
        t->error = 0;
        return err;
    }
    if (was_never_open(t))
        return -ENOTCONN;
    if (t->fin_received || t->rcv_shutdown || t->state == NST_TCP_CLOSED)
        return 0;
    return -EAGAIN; /* and before there is a connection (RFC 9293 §3.10.3) */
}

/* RFC 9293 §3.8.5, RFC 6093 */
int64_t nst_tcb_urgent_at(const struct nst_tcb *t)
{
    nst_seq first = nst_seq_sub(t->rcv.nxt, (uint32_t)nst_tcb_unread(t) + t->fin_received);
    int32_t at = t->rcv_urgent ? nst_seq_diff(nst_seq_sub(t->act->rcv_up, 1), first) : -1;

    return at >= 0 && (size_t)at < nst_tcb_unread(t) ? at : -1;
}

/* The owner has come to the mark: out of line, the urgent byte leaves the stream. */
static void pass_mark(struct nst_tcb *t)
{
    uint8_t byte;
    const struct nst_slice out = {&byte, 1};

    if (nst_tcb_urgent_at(t) != 0)
        return;
    t->rcv_urgent = false;
    if (t->opt.oobinline)
        return;
    nst_recvq_read(&t->act->recvq, 0, &out, 1);
    nst_recvq_consume(&t->act->recvq, 1);
    if (!t->urgent_taken)
        t->act->urgent_byte = (uint16_t)(0x100 | byte);
}

/* An urgent byte that was passed waits out of line. */
static bool has_urgent_byte(const struct nst_tcb *t)
{
    return t->act && t->act->urgent_byte;
}

/* The urgent byte, out of line and out of turn: once (MUST-33: reads stop before it). -EINVAL when
 * there is none, -EAGAIN when it is announced but not here. */
static int64_t recv_urgent(struct nst_tcb *t, const struct nst_slice *data, uint32_t flags)
{
    int64_t at = nst_tcb_urgent_at(t);
    uint8_t byte = t->act ? (uint8_t)t->act->urgent_byte : 0;
    const struct nst_slice out = {&byte, 1};

    if (t->opt.oobinline || t->urgent_taken)
        return -EINVAL;
    if (at < 0 && !has_urgent_byte(t))
        return t->rcv_urgent ? -EAGAIN : -EINVAL;
    if (at >= 0)
        nst_recvq_read(&t->act->recvq, (size_t)at, &out, 1);
    memcpy(data[0].base, &byte, 1);
    if (!(flags & NST_RECV_PEEK)) {
        t->urgent_taken = at >= 0;
        t->act->urgent_byte = 0;
    }
    return 1;
}

/* Copies the first bytes of the queue, `limit` at most. */
static size_t copy_out(const struct nst_tcb *t, const struct nst_slice *data, size_t n,
                       size_t limit)
{
    size_t done = 0;

    for (size_t i = 0; i < n && done < limit; i++) {
        struct nst_slice part = {data[i].base, nst_min(data[i].len, limit - done)};
        done += nst_recvq_read(&t->act->recvq, done, &part, 1);
    }
    return done;
}

int64_t nst_tcb_recv(struct nst_tcb *t, const struct nst_slice *data, size_t n, uint32_t flags)
{
    if (flags & NST_RECV_OOB)
        return n && data[0].len ? recv_urgent(t, data, flags) : -EINVAL;
    pass_mark(t);
    int ready = check_receivable(t);
    if (ready <= 0)
        return ready;
    /* A read ends there: so the owner knows where it is (MUST-33). */
    int64_t mark = nst_tcb_urgent_at(t);
    size_t done = copy_out(t, data, n, mark > 0 ? (size_t)mark : nst_tcb_unread(t));
    if (!(flags & NST_RECV_PEEK)) {
        nst_recvq_consume(&t->act->recvq, done);
        nst_tcb_consumed(t, done);
    }
    return (int64_t)done;
}

int nst_tcb_peek(struct nst_tcb *t, struct nst_slice *out, size_t max)
{
    int ready = check_receivable(t);

    return ready > 0 ? (int)nst_recvq_peek(&t->act->recvq, out, max) : ready;
}

int nst_tcb_consume(struct nst_tcb *t, size_t n)
{
    int64_t mark = nst_tcb_urgent_at(t);

    if (n > nst_tcb_unread(t))
        return -EINVAL;
    if (mark >= 0 && (size_t)mark < n)
        t->rcv_urgent = false;
    if (n > 0)
        nst_recvq_consume(&t->act->recvq, n);
    nst_tcb_consumed(t, n);
    return 0;
}

/* ---- Close ------------------------------------------------------------------------------- */

static void send_fin(struct nst_tcb *t)
{
    if (t->fin_queued)
        return;
    t->fin_queued = true;
    if (t->state != NST_TCP_SYN_RECEIVED) /* there it waits for the handshake (§3.10.4) */
        t->state = t->state == NST_TCP_CLOSE_WAIT ? NST_TCP_LAST_ACK : NST_TCP_FIN_WAIT_1;
    nst_tcb_wants_output(t);
}

static bool may_send_fin(const struct nst_tcb *t)
{
    return t->state == NST_TCP_ESTABLISHED || t->state == NST_TCP_CLOSE_WAIT ||
           t->state == NST_TCP_SYN_RECEIVED;
}

int nst_tcb_shutdown(struct nst_tcb *t, bool rd, bool wr)
{
    if (t->state < NST_TCP_ESTABLISHED)
        return -ENOTCONN;
    if (rd)
        t->rcv_shutdown = true;
    if (wr && may_send_fin(t))
        send_fin(t);
    nst_tcb_changed(t);
    return 0;
}

void nst_tcb_ended(struct nst_tcb *t, int err)
{
    nst_metrics_end(t);
    for (unsigned i = 0; i <= NST_TCP_DL_WATCH; i++)
        nst_tcb_clear(t, i);
    nst_flow_remove(t->tcps, &t->flow);
    nst_list_del(&t->ready);
    t->state = NST_TCP_CLOSED;
    t->error = (uint8_t)err;
    nst_tcb_release(t);
    if (!t->owner) {
        nst_tcb_free(t);
        return;
    }
    nst_tcb_changed(t);
}

void nst_tcb_abort(struct nst_tcb *t, int err)
{
    if (t->state >= NST_TCP_SYN_RECEIVED)
        nst_tcb_send_rst(t);
    nst_tcb_ended(t, err);
}

/* Past the limit of orphans, or of memory, they are reset (attack rows 162, 174, 317). */
static bool becomes_orphan(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;

    nst_tcb_disown(t);
    if (tcps->norphans >= tcps->config.max_orphans || (may_send_fin(t) && !nst_tcb_activate(t))) {
        NST_COUNT(tcps->env, tcp_orphans_reset);
        nst_tcb_abort(t, ECONNRESET);
        return false;
    }
    nst_list_push_back(&tcps->orphans, &t->place);
    tcps->norphans++;
    return true;
}

void nst_tcb_close(struct nst_tcb *t)
{
    bool unread = nst_tcb_unread(t) > 0;

    if (t->state == NST_TCP_CLOSED) {
        nst_tcb_free(t);
        return;
    }
    if (t->state == NST_TCP_SYN_SENT) { /* silently */
        nst_tcb_disown(t);
        nst_tcb_ended(t, 0);
        return;
    }
    if (unread || t->opt.linger_s == 0) { /* SHLD-3, MAY-1, RFC 2525 §2.17 */
        nst_tcb_disown(t);
        nst_tcb_abort(t, 0);
        return;
    }
    if (!becomes_orphan(t))
        return;
    t->rcv_shutdown = true;
    if (may_send_fin(t))
        send_fin(t);
    nst_tcb_fin_wait(t);
}

/* ---- What comes from below --------------------------------------------------------------- */

void nst_tcb_path_changed(struct nst_tcb *t)
{
    struct nst_path path;

    if (nst_ip_path(t->tcps->ip, &t->flow.id.peer, 0, &path) == 0 && path.mtu < t->mtu)
        nst_tcb_set_mtu(t, path.mtu);
}

/* What was sent too large is sent again, without being taken for congestion (1191-3). */
void nst_tcb_set_mtu(struct nst_tcb *t, uint32_t mtu)
{
    t->mtu = (uint16_t)nst_min32(nst_max32(mtu, 68), UINT16_MAX);
    nst_tcb_set_mss(t);
    nst_mtu_lowered(t);
    if (t->state < NST_TCP_ESTABLISHED || !t->act)
        return;
    nst_board_mark_all_lost(t);
    if (t->act->phase < NST_TCP_RECOVERY) {
        t->act->phase = NST_TCP_LOSS;
        t->act->recovery_point = t->snd.nxt;
    }
    nst_tcb_wants_output(t);
}

/* 5927-1, 8899-2: only about what is really out. */
static bool quotes_what_is_out(const struct nst_tcb *t, nst_seq seq)
{
    return nst_seq_ge(seq, t->snd.una) && nst_seq_lt(seq, t->snd.nxt);
}

static void path_mtu_error(struct nst_tcb *t, uint32_t mtu)
{
    mtu = nst_max32(mtu, NST_TCP_PMTU_MIN);
    if (mtu >= t->mtu)
        return;
    nst_tcb_set_mtu(t, mtu);
    nst_metrics_narrowed(t);
}

bool nst_tcp_error(struct nst_tcps *tcps, const struct nst_pkt *pkt, size_t off,
                   const struct nst_pkt_ip *quoted, const struct nst_sock_error *error)
{
    uint8_t p[8];

    nst_pkt_read(pkt, off, p, sizeof p);
    const struct nst_flow_id id = {.local = quoted->src,
                                   .peer = quoted->dst,
                                   .lport = nst_load16(p),
                                   .pport = nst_load16(p + 2)};
    struct nst_flow *flow = nst_flow_find(tcps, &id);
    if (!flow || flow->kind != NST_FLOW_TCB)
        return false;
    struct nst_tcb *t = NST_CONTAINER(flow, struct nst_tcb, flow);
    if (!quotes_what_is_out(t, nst_seq_of(nst_load32(p + 4))))
        return false;
    bool hard = error->err == ECONNREFUSED || error->err == ENOPROTOOPT;
    if (error->err == EMSGSIZE) {
        path_mtu_error(t, error->info);
    } else if (t->state == NST_TCP_SYN_SENT &&
               (hard || error->err == EHOSTUNREACH || error->err == ENETUNREACH)) {
        nst_tcb_ended(t, error->err);
    } else { /* only a hint (5927-2, MUST-56, SHLD-25) */
        t->act->soft_error = error->err;
    }
    return true;
}

/* ---- Readiness --------------------------------------------------------------------------- */

uint32_t nst_tcb_readiness(const struct nst_tcb *t)
{
    uint32_t ready = 0;
    bool ended = t->state == NST_TCP_CLOSED;

    if (nst_tcb_unread(t) || t->fin_received || t->rcv_shutdown || ended)
        ready |= NST_READY_IN;
    if (ended || t->fin_queued || nst_fastopen_waits(t) ||
        (t->state >= NST_TCP_ESTABLISHED && !t->tx_blocked))
        ready |= NST_READY_OUT; /* to be told EPIPE, too; and if memory has become scarce, EAGAIN */
    if (t->error)
        ready |= NST_READY_ERR;
    if (ended || (t->fin_received && t->fin_queued))
        ready |= NST_READY_HUP;
    if (t->fin_received || ended)
        ready |= NST_READY_RDHUP;
    if ((t->rcv_urgent && !t->urgent_taken) || has_urgent_byte(t))
        ready |= NST_READY_PRI;
    return ready;
}
