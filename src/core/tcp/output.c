/* What a connection says, one segment at a time, when the device has room for it.
 *
 *     nst_tcp_output -> output_one -> SYN | what is lost | new data, and FIN | a probe | an ACK
 *
 * The order is that of urgency. Every segment bears the newest acknowledgement and window, so each
 * that goes out settles what was due of them. */
#include <assert.h>
#include <errno.h>

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"
#include "core/wire/checksum.h"

#define CHECKSUM_OFFSET 16
#define IP_MAX          65535u
#define MSS_MIN         48  /* Linux; CVE-2019-11479 */
#define MSS_DEFAULT     536 /* MUST-15 */
#define RST_PER_SEC     1000
#define SACKS_LEN       36 /* the option with as many blocks as there can be */
#define CORK_TIME       (200 * NST_MS)
#define MEMORY_PAUSE    (500 * NST_MS)
/* So long after a challenge ACK there is no other one, for each connection by itself (RFC 5961 §7;
 * 5961-6, CVE-2016-5696: what is shared tells about others). As in Linux. */
#define CHALLENGE_PAUSE_MS 500
#define PINGPONG_MS        40

/* ---- Segments ---------------------------------------------------------------------------- */

/* Puts the header in front of a payload and sends it, with the owner's TTL (MUST-49) and DiffServ
 * field (MUST-48, SHLD-22). `mss` cuts a large one into segments. */
static int send_take(struct nst_tcps *tcps, const struct nst_flow_id *id, struct nst_tcp *h,
                     struct nst_pkt *pkt, uint32_t mss, uint8_t ttl, uint8_t tos)
{
    size_t payload = pkt->len;
    uint8_t *p = nst_pkt_push(pkt, nst_tcp_emit_len(h));

    if (!p) {
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return -ENOBUFS;
    }
    h->sport = id->lport;
    h->dport = id->pport;
    h->checksum = nst_csum_pseudo(&id->local, &id->peer, NST_IPPROTO_TCP, (uint32_t)pkt->len);
    nst_tcp_emit(h, p);
    pkt->offload = (struct nst_offload){.csum = NST_CSUM_PARTIAL, .csum_offset = CHECKSUM_OFFSET};
    if (payload > mss) {
        pkt->offload.gso = NST_GSO_TCP4;
        pkt->offload.gso_size = (uint16_t)mss;
        pkt->offload.gso_ecn = h->flags & NST_TCP_CWR; /* on the first segment only: 3168-9 */
        pkt->offload.hdr_len = h->hlen;
    }
    pkt->ip.src = id->local;
    pkt->ip.dst = id->peer;
    pkt->ip.proto = NST_IPPROTO_TCP;
    pkt->ip.ttl = ttl;
    pkt->ip.tos = tos;
    pkt->ip.df = true; /* 1191-1 */
    NST_COUNT(tcps->env, tcp_out);
    return nst_ip_output_take(tcps->ip, pkt);
}

void nst_tcp_send_bare(struct nst_tcps *tcps, const struct nst_flow_id *id, struct nst_tcp *h,
                       uint8_t ttl, uint8_t tos)
{
    struct nst_pkt *pkt = nst_pkt_new(tcps->pool, NST_PKT_HEADROOM, 0);

    if (pkt)
        send_take(tcps, id, h, pkt, UINT32_MAX, ttl, tos);
}

/* ---- The window that is offered ---------------------------------------------------------- */

/* Half of the receive buffer is for payload, the other half for what surrounds it. */
static uint32_t capacity(const struct nst_tcb *t)
{
    return t->opt.rcvbuf / 2;
}

/* The right edge that the buffer allows now; it may stay where it is for ever (MAY-8). */
static nst_seq free_edge(const struct nst_tcb *t)
{
    uint32_t queued = (uint32_t)nst_tcb_unread(t);
    uint32_t room = capacity(t) - nst_min32(queued, capacity(t));

    if (t->opt.hold || nst_pool_is_scarce(t->tcps->pool))
        room = 0;
    return nst_seq_add(t->rcv.nxt, nst_min32(room, (uint32_t)65535 << t->rcv_wscale));
}

/* RFC 9293 §3.8.6.2.2 (MUST-39): the edge moves by a segment or half of the buffer, or not at all;
 * it never moves back (SHLD-14). */
static bool edge_may_move(const struct nst_tcb *t, nst_seq edge)
{
    int32_t gain = nst_seq_diff(edge, t->rcv.adv);

    return gain > 0 && (uint32_t)gain >= nst_min32(capacity(t) / 2, t->rcv_mss ? t->rcv_mss : 1);
}

uint32_t nst_tcb_window(struct nst_tcb *t)
{
    nst_seq edge = free_edge(t);

    return (uint32_t)nst_seq_diff(edge_may_move(t, edge) ? edge : t->rcv.adv, t->rcv.nxt);
}

void nst_tcb_window_opened(struct nst_tcb *t)
{
    uint32_t open = (uint32_t)nst_seq_diff(t->rcv.adv, t->rcv.nxt);
    int32_t gain = nst_seq_diff(free_edge(t), t->rcv.adv);

    /* Worth a segment of its own once it doubles what the peer knows of. */
    if (gain > 0 &&
        (uint32_t)gain >= nst_max32(open, nst_min32(capacity(t) / 2, 2u * t->rcv_mss))) {
        t->ack_now = true;
        nst_tcb_wants_output(t);
    }
}

/* ---- Headers ----------------------------------------------------------------------------- */

void nst_tcb_set_mss(struct nst_tcb *t)
{
    uint32_t mss = nst_max32(t->peer_mss ? t->peer_mss : MSS_DEFAULT, MSS_MIN);

    if (t->opt.user_mss)
        mss = nst_min32(mss, t->opt.user_mss);
    mss = nst_min32(mss, t->mtu - NST_IPV4_HLEN - NST_TCP_HLEN);
    t->snd_mss = (uint16_t)(mss - (t->ts_ok ? 12 : 0)); /* MUST-16, 7323-12 */
}

/* The acknowledgement and what goes with it (7323-5, 2018-4), in every segment but a first SYN. */
static void add_ack(struct nst_tcb *t, struct nst_tcp *h)
{
    uint8_t shift = h->flags & NST_TCP_SYN ? 0 : t->rcv_wscale;
    uint32_t wnd = nst_tcb_window(t), unit = 1u << shift;

    h->flags |= NST_TCP_ACK;
    if (t->ecn_echo) /* 3168-11 */
        h->flags |= NST_TCP_ECE;
    h->ack = t->rcv.nxt;
    h->wnd = (uint16_t)nst_min32((wnd + unit - 1) >> shift, 65535);
    t->rcv.adv = nst_seq_max(t->rcv.adv, nst_seq_add(t->rcv.nxt, (uint32_t)h->wnd << shift));
    if (t->ts_ok) {
        h->opts.has_ts = true;
        h->opts.ts_val = nst_tcp_ts(t->tcps, t->ts_offset);
        h->opts.ts_ecr = t->ts_recent;
    }
}

static bool has_sacks(const struct nst_tcb *t)
{
    return t->sack_ok && t->act && (t->dsack_due || t->act->ooo);
}

static void add_sacks(const struct nst_tcb *t, struct nst_tcp *h)
{
    if (!has_sacks(t))
        return;
    if (t->dsack_due) /* first, and once: 2883-1 */
        h->opts.sacks[h->opts.nsacks++] = t->act->dsack;
    h->opts.nsacks += (uint8_t)nst_ooo_sacks(t->act->ooo, h->opts.sacks + h->opts.nsacks,
                                             NST_TCP_SACK_MAX - h->opts.nsacks);
}

/* What was due of acknowledgements has gone out. */
static void ack_was_sent(struct nst_tcb *t)
{
    if (t->quick && (t->ack_now || t->ack_pending))
        t->quick--;
    t->last_ack_sent = t->rcv.nxt;
    t->ack_now = t->ack_pending = t->dsack_due = false;
    nst_tcb_clear(t, NST_TCP_DL_DELACK);
    t->count.segs_out++;
}

static void add_urgent(const struct nst_tcb *t, struct nst_tcp *h)
{
    int32_t ahead = t->snd_urgent ? nst_seq_diff(t->act->snd_up, h->seq) : 0;

    if (ahead <= 0)
        return;
    h->flags |= NST_TCP_URG;
    h->urg = (uint16_t)nst_min32((uint32_t)ahead, 65535); /* MUST-62 */
}

static void send_bare(struct nst_tcb *t, nst_seq seq, uint8_t flags)
{
    struct nst_tcp h = {.seq = seq, .flags = flags};

    add_ack(t, &h);
    add_sacks(t, &h);
    add_urgent(t, &h);
    nst_tcp_send_bare(t->tcps, &t->flow.id, &h, t->opt.ttl, t->opt.tos);
    ack_was_sent(t);
}

/* ---- Answers outside the queue ----------------------------------------------------------- */

bool nst_tcp_may_challenge(const struct nst_tcps *tcps, uint32_t *last_ms)
{
    uint32_t now = nst_tcp_ms(tcps);

    if (*last_ms && now - *last_ms < CHALLENGE_PAUSE_MS)
        return false;
    *last_ms = now;
    return true;
}

void nst_tcb_challenge(struct nst_tcb *t)
{
    if (!nst_tcp_may_challenge(t->tcps, &t->challenged_ms))
        return;
    NST_COUNT(t->tcps->env, tcp_challenges);
    t->ack_now = true;
    nst_tcb_wants_output(t);
}

void nst_tcb_send_rst(struct nst_tcb *t)
{
    struct nst_tcp h = {.seq = t->snd.nxt, .ack = t->rcv.nxt, .flags = NST_TCP_RST | NST_TCP_ACK};

    if (t->ts_ok) {
        h.opts.has_ts = true;
        h.opts.ts_val = nst_tcp_ts(t->tcps, t->ts_offset);
        h.opts.ts_ecr = t->ts_recent;
    }
    NST_COUNT(t->tcps->env, tcp_resets_sent);
    nst_tcp_send_bare(t->tcps, &t->flow.id, &h, t->opt.ttl, t->opt.tos);
}

/* RSTs for strangers are limited (attack rows 274, 312). */
static bool may_reset(struct nst_tcps *tcps)
{
    nst_time now = tcps->env->now, per_token = NST_SEC / RST_PER_SEC;
    nst_time earned = (now - tcps->rst_refilled) / per_token;

    if (earned >= RST_PER_SEC || tcps->rst_refilled == 0) {
        tcps->rst_tokens = RST_PER_SEC;
        tcps->rst_refilled = now;
    } else {
        tcps->rst_tokens = nst_min32(tcps->rst_tokens + (uint32_t)earned, RST_PER_SEC);
        tcps->rst_refilled += earned * per_token;
    }
    if (tcps->rst_tokens == 0)
        return false;
    tcps->rst_tokens--;
    return true;
}

/* RFC 9293 §3.5.2, first group. */
void nst_tcp_send_rst_for(struct nst_tcps *tcps, const struct nst_pkt *about,
                          const struct nst_tcp *h, uint32_t len)
{
    const struct nst_flow_id id = {
        .local = about->ip.dst, .peer = about->ip.src, .lport = h->dport, .pport = h->sport};
    struct nst_tcp rst = {.flags = NST_TCP_RST};

    if (!may_reset(tcps)) {
        NST_COUNT(tcps->env, tcp_resets_limited);
        return;
    }
    if (h->flags & NST_TCP_ACK) {
        rst.seq = h->ack;
    } else {
        uint32_t space = len + (h->flags & NST_TCP_SYN ? 1 : 0) + (h->flags & NST_TCP_FIN ? 1 : 0);
        rst.ack = nst_seq_add(h->seq, space);
        rst.flags |= NST_TCP_ACK;
    }
    NST_COUNT(tcps->env, tcp_resets_sent);
    nst_tcp_send_bare(tcps, &id, &rst, 0, 0);
}

/* ---- SYN --------------------------------------------------------------------------------- */

static void send_syn(struct nst_tcb *t)
{
    struct nst_pkt *pkt = nst_pkt_new(t->tcps->pool, NST_PKT_HEADROOM, 0);
    const struct nst_tcp_config *c = &t->tcps->config;
    bool active = t->state == NST_TCP_SYN_SENT;
    struct nst_tcp h = {.seq = t->act->iss, .flags = NST_TCP_SYN | nst_ecn_syn_flags(t)};
    uint32_t mss = t->mtu - NST_IPV4_HLEN - NST_TCP_HLEN;

    if (active) {
        t->ts_ok = c->timestamps;
        h.wnd = t->act->syn_window;
    } else {
        add_ack(t, &h);
    }
    /* MUST-14, MUST-67, SHLD-5, SHLD-6, MAY-3 */
    h.opts.mss = (uint16_t)(t->opt.user_mss ? nst_min32(mss, t->opt.user_mss) : mss);
    h.opts.sack_ok = active ? c->sack : t->sack_ok;
    h.opts.has_wscale = active ? c->wscale : t->ws_ok;
    h.opts.wscale = t->rcv_wscale;
    h.opts.nsacks = 0;
    if (t->ts_ok) {
        h.opts.has_ts = true;
        h.opts.ts_val = nst_tcp_ts(t->tcps, t->ts_offset);
    }
    uint32_t len = nst_fastopen_syn(t, &h);
    if (pkt) {
        size_t got = nst_sendq_slice(&t->act->sendq, pkt, t->snd.nxt, len);
        assert(got == len);
        send_take(t->tcps, &t->flow.id, &h, pkt, UINT32_MAX, t->opt.ttl, t->opt.tos);
    }
    ack_was_sent(t);
    if (nst_tcb_deadline(t, NST_TCP_DL_RTO) == NST_TIME_NEVER)
        nst_tcb_set(t, NST_TCP_DL_RTO, t->tcps->env->now + nst_rtt_rto(&t->rtt));
}

/* ---- Data -------------------------------------------------------------------------------- */

/* Sends [seq, seq + len) of the queue, `fresh` when that is for the first time, with FIN if `fin`.
 * Returns how much went, FIN not counted; 0 (or, without data, -ENOBUFS) if there was no memory. */
static int64_t send_data(struct nst_tcb *t, nst_seq seq, uint32_t len, bool fin, bool fresh)
{
    struct nst_pkt *pkt = nst_pkt_new(t->tcps->pool, NST_PKT_HEADROOM, 0);
    struct nst_tcp h = {.seq = seq};

    if (!pkt)
        return -ENOBUFS;
    uint32_t got = (uint32_t)nst_sendq_slice(&t->act->sendq, pkt, seq, len);
    nst_seq end = nst_seq_add(seq, got);
    if (fin && got == len)
        h.flags |= NST_TCP_FIN;
    bool last = nst_seq_eq(end, t->act->psh) || nst_seq_eq(end, nst_tcb_snd_end(t));
    if (got && (last || got > t->snd_mss))
        h.flags |= NST_TCP_PSH; /* MUST-61, SHLD-27 */
    add_ack(t, &h);
    if (got + SACKS_LEN <= t->snd_mss) /* a full segment has no room for more options (MUST-16) */
        add_sacks(t, &h);
    add_urgent(t, &h);
    uint8_t ecn = nst_ecn_mark(t, &h, got, fresh);
    uint32_t mss = fresh && nst_mtu_is_probe(t, seq) ? got : t->snd_mss;
    int err = send_take(t->tcps, &t->flow.id, &h, pkt, mss, t->opt.ttl, t->opt.tos | ecn);
    ack_was_sent(t);
    if (err == -EMSGSIZE)
        nst_tcb_path_changed(t);
    t->count.data_segs_out += got > t->snd_mss ? (got + t->snd_mss - 1) / t->snd_mss : got > 0;
    t->count.bytes_sent += got;
    t->act->prr.out += got;
    nst_pace_sent(t, got);
    return got;
}

/* As many whole segments as fit into one packet (SHLD-28), and pacing lets go at once; one in
 * urgent mode, whose pointer is relative to its own segment. */
static uint32_t burst_max(const struct nst_tcb *t)
{
    uint32_t most = IP_MAX - NST_IPV4_HLEN - NST_TCP_HLEN_MAX;

    most = nst_min32(most, nst_pace_quantum(t));
    if (t->snd_urgent || most < t->snd_mss)
        return t->snd_mss;
    return most / t->snd_mss * t->snd_mss;
}

/* Whether the congestion window is what limits the flight (5681-12, 7661-1): it is if that
 * held something back at any time of it. Slow start goes on while more than half of the window
 * is used. */
static void note_use(struct nst_tcb *t, uint32_t used, bool full)
{
    const struct nst_cc *cc = &t->act->cc;

    if (!full && nst_seq_lt(t->snd.una, t->act->flight_end) && t->cwnd_was_full)
        return;
    t->cwnd_was_full = full || (cc->cwnd < cc->ssthresh && used > cc->cwnd / 2);
    t->act->flight_end = t->snd.nxt;
}

/* That others hold the memory is no congestion: what is lost is tried again soon, for as long as it
 * takes, and no timeout is doubled for it. As in Linux. */
static void wait_for_memory(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    if (s->flags & NST_SENT_LOST)
        nst_board_mark_one_lost(t, s);
    t->act->starved = true;
    nst_tcb_set(t, NST_TCP_DL_RTO, t->tcps->env->now + nst_min(nst_rtt_rto(&t->rtt), MEMORY_PAUSE));
}

/* Sends the first `len` bytes of a record again, and FIN if that is all behind them. False if there
 * is no memory for it. */
static bool resend(struct nst_tcb *t, struct nst_tcp_sent *s, uint32_t len)
{
    nst_seq end = nst_seq_add(s->start, len);
    bool fin = nst_seq_gt(s->end, nst_tcb_snd_end(t)) && nst_seq_eq(end, nst_tcb_snd_end(t));

    end = nst_seq_add(end, fin ? 1 : 0);
    if (nst_board_resent(t, s, end) != 0)
        return false;
    nst_undo_resent(t, s->start, end);
    int64_t sent = send_data(t, s->start, len, fin, false);
    if (sent < 0 || (sent == 0 && len))
        wait_for_memory(t, s);
    if (sent < (int64_t)len)
        return sent > 0;
    struct nst_tcp_trouble *trouble = nst_tcb_trouble(t);
    trouble->bytes_retrans += len;
    trouble->retrans += nst_max32((len + t->snd_mss - 1) / t->snd_mss, 1);
    NST_COUNT(t->tcps->env, tcp_retransmitted);
    return true;
}

/* Of a record, what is data and no FIN. */
static uint32_t data_len(const struct nst_tcb *t, const struct nst_tcp_sent *s)
{
    return (uint32_t)nst_seq_diff(nst_seq_min(s->end, nst_tcb_snd_end(t)), s->start);
}

/* What is lost goes as the congestion window allows (6675-4), inside the peer's window (SHLD-16) or
 * beyond what is left of it (MAY-7). It waits while new data is tried (5682-2). */
static bool retransmit(struct nst_tcb *t)
{
    struct nst_tcp_sent *s = nst_board_next_lost(t);
    uint32_t pipe = nst_board_pipe(t), mss = t->snd_mss;

    if (!s || t->snd.wnd == 0 || t->act->frto == NST_FRTO_PROBED)
        return false;
    uint32_t len = data_len(t, s);
    if (!t->act->rexmit_now && pipe != 0 && pipe + nst_min32(len, mss) > t->act->cc.cwnd) {
        note_use(t, pipe, true);
        return false;
    }
    if (nst_pace_holds(t))
        return false;
    t->act->rexmit_now = false;
    uint32_t room = nst_max32(t->act->cc.cwnd - nst_min32(pipe, t->act->cc.cwnd), mss);
    bool first = nst_seq_eq(s->start, t->snd.una);

    if (len > mss)
        len = nst_min32(len, nst_min32(room / mss * mss, burst_max(t)));
    if (!resend(t, s, len))
        return false;
    if (first) /* the timer watches this one */
        nst_tcb_rearm(t);
    return true;
}

/* Data that the window allows now (SHLD-15), and what the congestion window does: one segment at
 * least, also where they have grown since (RFC 5681 §3.1 counts the smallest window in them). */
static uint32_t sendable(struct nst_tcb *t, uint32_t queued)
{
    int32_t wnd = nst_seq_diff(nst_seq_add(t->snd.una, t->snd.wnd), t->snd.nxt);
    uint32_t pipe = nst_board_pipe(t);
    uint32_t cwnd = nst_max32(nst_min32(t->act->cc.cwnd, t->act->cc.cwnd_max), t->snd_mss);
    uint32_t room = cwnd - nst_min32(pipe, cwnd);
    uint32_t allowed = nst_min32(queued, wnd > 0 ? (uint32_t)wnd : 0);

    if (allowed > room) {
        note_use(t, pipe, true);
        return room >= t->snd_mss ? room : 0;
    }
    if (allowed)
        note_use(t, pipe + allowed, false);
    return allowed;
}

/* Sender's silly window avoidance and the Nagle algorithm (RFC 9293 §3.8.6.2.1, MUST-38; §3.7.4,
 * SHLD-7): `len` is less than a full segment. */
static bool may_send_small(const struct nst_tcb *t, uint32_t len, uint32_t queued)
{
    bool idle = nst_seq_eq(t->snd.una, t->snd.nxt);

    if (t->push_now) /* MUST-60 */
        return true;
    if (len == queued && (t->fin_queued || t->snd_urgent))
        return true;
    if (t->opt.cork || t->more) /* MAY-15, MAY-16 */
        return false;
    if (len == queued && (idle || t->opt.nodelay)) /* MUST-17 */
        return true;
    return len >= t->snd.max_wnd / 2 && idle;
}

/* How much new data goes now: whole segments, and the rest if it may. */
static uint32_t choose_len(struct nst_tcb *t, uint32_t queued)
{
    nst_mtu_raise(t);
    uint32_t allowed = sendable(t, queued), mss = t->snd_mss;
    uint32_t len = allowed < mss ? allowed : nst_min32(allowed, burst_max(t));
    uint32_t tail = len < mss ? len : len % mss, probe = nst_mtu_probe_len(t, queued, allowed);

    if (probe)
        return probe;
    if (tail && !may_send_small(t, tail, tail + queued - len))
        len -= tail;
    return len;
}

/* Held back by the owner's cork, or for more to come: not for long. Once that is over, something
 * else holds it back. */
static void start_cork(struct nst_tcb *t, uint32_t queued)
{
    bool held = queued && (t->opt.cork || t->more) && !t->push_now && t->snd.wnd >= queued;

    if (held && nst_tcb_deadline(t, NST_TCP_DL_CORK) == NST_TIME_NEVER)
        nst_tcb_set(t, NST_TCP_DL_CORK, t->tcps->env->now + CORK_TIME);
}

/* Notes that [snd.nxt, end) is about to be out. */
static bool begin(struct nst_tcb *t, nst_seq end)
{
    if (nst_board_sent(t, t->snd.nxt, end) != 0)
        return false;
    if (!t->act->first_unacked)
        t->act->first_unacked = t->tcps->env->now;
    return true;
}

/* Sends the next `len` bytes, and FIN behind them if there is one. False without memory. */
static bool send_next(struct nst_tcb *t, uint32_t len)
{
    nst_seq seq = t->snd.nxt, end = nst_seq_add(seq, len);
    bool fin = t->fin_queued && nst_seq_eq(end, nst_tcb_snd_end(t));

    end = nst_seq_add(end, fin ? 1 : 0);
    if (!begin(t, end)) {
        nst_mtu_probe_forget(t);
        nst_tcb_rearm_if_idle(t);
        return false;
    }
    t->snd.nxt = end;
    t->fin_sent = fin;
    t->push_now = false;
    bool first = nst_seq_eq(t->snd.una, seq);
    t->last_snd_ms = nst_tcp_ms(t->tcps);
    t->pingpong = t->last_rcv_ms && t->last_snd_ms - t->last_rcv_ms < PINGPONG_MS;
    nst_tcb_clear(t, NST_TCP_DL_CORK);
    send_data(t, seq, len, fin, true); /* what has no memory now is lost, as in a network */
    if (first)
        nst_tcb_rearm(t); /* the timer may have run for what was held back */
    else
        nst_tcb_rearm_if_idle(t);
    return true;
}

/* What limits the flight is not the path: less than a segment is left to send, or the peer's window
 * has no room for one. Without SACK the window says little: it is full whenever there are several
 * holes, of which each takes a round trip. */
static void note_lack(struct nst_tcb *t, uint32_t queued)
{
    const struct nst_tcp_board *b = &t->act->board;
    int32_t wnd = nst_seq_diff(nst_seq_add(t->snd.una, t->snd.wnd), t->snd.nxt);
    bool lack = queued < t->snd_mss || (t->sack_ok && wnd < (int32_t)t->snd_mss);

    if (lack && b->lost == b->retrans && nst_board_pipe(t) < t->act->cc.cwnd)
        nst_rate_app_limited(t);
}

static bool send_new(struct nst_tcb *t)
{
    uint32_t queued = (uint32_t)nst_seq_diff(nst_tcb_snd_end(t), t->snd.nxt);

    if (t->fin_sent)
        return false;
    uint32_t len = choose_len(t, queued);
    if (len == 0 && !(t->fin_queued && queued == 0)) {
        start_cork(t, queued);
        note_lack(t, queued);
        nst_tcb_rearm_if_idle(t);
        return false;
    }
    if (nst_pace_holds(t)) {
        nst_tcb_rearm_if_idle(t);
        return false;
    }
    if (!send_next(t, len))
        return false;
    nst_tlp_schedule(t);
    return true;
}

/* RFC 8985 §7.3: one segment of new data, whatever the congestion window says, or what was sent
 * last once more (8985-17). */
static bool send_loss_probe(struct nst_tcb *t)
{
    int32_t wnd = nst_seq_diff(nst_seq_add(t->snd.una, t->snd.wnd), t->snd.nxt);
    uint32_t queued = t->fin_sent ? 0 : (uint32_t)nst_seq_diff(nst_tcb_snd_end(t), t->snd.nxt);
    uint32_t len = nst_min32(nst_min32(queued, t->snd_mss), wnd > 0 ? (uint32_t)wnd : 0);

    if (!nst_tlp_take_due(t))
        return false;
    if (len > 0 && !send_next(t, len))
        return false;
    if (len == 0) {
        struct nst_tcp_sent *s = nst_board_last_segment(t);
        if (!s || !resend(t, s, data_len(t, s)))
            return false;
        nst_tlp_sent(t, nst_max32(data_len(t, s), 1));
    } else {
        nst_tlp_sent(t, 0);
    }
    nst_tcb_rearm(t); /* 8985-19 */
    return true;
}

/* What is lost, then new data (6675-5, 6675-6). After a timeout new data tries first whether
 * anything is; where there is none, what is lost goes after all (5682-5). */
static bool send_queued(struct nst_tcb *t)
{
    if (send_loss_probe(t) || retransmit(t) || send_new(t))
        return true;
    if (t->act->frto != NST_FRTO_PROBED || nst_seq_gt(t->snd.nxt, t->act->recovery_point) ||
        nst_pace_holds(t))
        return false;
    t->act->frto = NST_FRTO_OFF;
    return retransmit(t);
}

/* ---- In turn ----------------------------------------------------------------------------- */

/* Before the handshake is done: the SYN, once more when the timer says so, and answers to what
 * does not fit. */
static bool output_syn(struct nst_tcb *t)
{
    if (t->probe_now) {
        t->probe_now = false;
        send_syn(t);
        return true;
    }
    if (!t->ack_now)
        return false;
    send_bare(t, t->snd.nxt, 0);
    return true;
}

static bool output_one(struct nst_tcb *t)
{
    if (t->state == NST_TCP_CLOSED)
        return false;
    if (t->state < NST_TCP_ESTABLISHED)
        return output_syn(t);
    if (nst_fastopen_shakes(t) && t->act->fastopen->synack_due) {
        t->act->fastopen->synack_due = false;
        send_syn(t);
        return true;
    }
    if (t->ack_now && has_sacks(t)) { /* what is missing is said before more is sent */
        send_bare(t, t->snd.nxt, 0);
        return true;
    }
    if (t->fin_queued && !t->fin_sent && !nst_tcb_activate(t))
        nst_tcb_rearm(t); /* it waits for memory */
    if (t->act && send_queued(t))
        return true;
    if (t->probe_now) {
        t->probe_now = false;
        send_bare(t, nst_seq_sub(t->snd.una, 1), 0); /* SHLD-12 */
        return true;
    }
    if (!t->ack_now)
        return false;
    send_bare(t, t->snd.nxt, 0);
    return true;
}

/* Whether output_one() might find anything. */
static bool may_have_more(const struct nst_tcb *t)
{
    const struct nst_tcp_activity *act = t->act;

    if (t->ack_now || t->probe_now || t->state < NST_TCP_ESTABLISHED || nst_fastopen_shakes(t))
        return true;
    if (t->fin_queued && !t->fin_sent)
        return true;
    return act && (nst_seq_lt(t->snd.nxt, act->sendq.end) || act->board.lost || act->tlp.due ||
                   act->frto != NST_FRTO_OFF);
}

void nst_tcb_goes_on(struct nst_tcb *t)
{
    if (may_have_more(t))
        nst_tcb_wants_output(t);
    else if (t->act && !t->fin_sent)
        note_lack(t, 0);
}

bool nst_tcp_output(struct nst_tcps *tcps)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&tcps->ready))) {
        struct nst_tcb *t = NST_CONTAINER(e, struct nst_tcb, ready);
        bool sent = output_one(t);
        if (t->act)
            nst_chrono_update(t);
        if (sent) {
            nst_tcb_goes_on(t);
            return true;
        }
    }
    return false;
}
