/* A segment arrives: RFC 9293 §3.10.7, one function for each of its steps, in its order. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define PAWS_IDLE_S (24 * 24 * 3600u) /* 7323-10 */
#define DELACK_MIN  (40 * NST_MS)     /* what peers are tuned to; MUST-40: below 500 ms */
#define QUICK_ACKS  16

/* ---- §3.10.7.3: SYN-SENT ----------------------------------------------------------------- */

static uint32_t clock_s(const struct nst_tcb *t)
{
    return (uint32_t)(t->tcps->env->now / NST_SEC);
}

/* What the peer's SYN says about itself. What it doesn't say isn't used (2018-1, 7323-4). */
static void learn_from_syn(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    const struct nst_tcp_opts *o = &seg->h.opts;
    const struct nst_tcp_config *c = &t->tcps->config;

    t->act->irs = seg->h.seq;
    t->rcv.nxt = t->last_ack_sent = nst_seq_add(seg->h.seq, 1);
    t->rcv.adv = nst_seq_add(t->rcv.nxt, t->act->syn_window);
    t->ts_ok = c->timestamps && o->has_ts;
    t->sack_ok = c->sack && o->sack_ok;
    t->ws_ok = c->wscale && o->has_wscale;
    t->snd_wscale = (t->ws_ok ? nst_min32(o->wscale, 14) : 0) & 15u; /* 7323-1 */
    if (!t->ws_ok)
        t->rcv_wscale = 0;
    t->peer_mss = o->mss;
    if (t->ts_ok) {
        t->ts_recent = o->ts_val;
        t->ts_recent_s = clock_s(t);
    }
    nst_tcb_set_mss(t);
    nst_ecn_answered(t, seg->h.flags);
    /* The window of a SYN is never scaled (7323-3). */
    t->snd.wnd = t->snd.max_wnd = seg->h.wnd;
    t->snd.wl1 = seg->h.seq;
    t->snd.wl2 = seg->h.ack;
}

void nst_tcb_begin(struct nst_tcb *t, bool lost)
{
    t->state = t->fin_queued ? NST_TCP_FIN_WAIT_1 : NST_TCP_ESTABLISHED;
    t->snd.una = t->snd.nxt;
    nst_mtu_begin(t);
    nst_metrics_begin(t);
    t->cc.cwnd = lost ? t->snd_mss : nst_cc_initial_window(t->snd_mss); /* 6928-2 */
    t->quick = QUICK_ACKS;
    if (t->act) {
        t->act->retries = 0;
        t->act->first_unacked = 0;
        nst_board_init(&t->act->board, t->snd.una);
        t->act->rack.fack = t->act->recovery_point = t->snd.una;
        t->act->rack.reordering_seen = t->reorders;
        nst_recovery_begin(t);
        nst_tcb_clear(t, NST_TCP_DL_RTO);
    }
    nst_tcb_keepalive_restart(t);
    nst_tcb_changed(t);
    nst_tcb_wants_output(t);
}

void nst_tcb_establish(struct nst_tcb *t, nst_time syn_time, bool lost)
{
    nst_time now = t->tcps->env->now;

    if (lost)
        nst_rtt_syn_was_lost(&t->rtt);
    else if (syn_time)
        nst_rtt_sample(&t->rtt, now - syn_time, now);
    nst_tcb_begin(t, lost);
}

/* The answer to our SYN has come. */
static void establish_active(struct nst_tcb *t)
{
    nst_tcb_establish(t, t->act->syn_time, t->act->retries > 0);
}

static enum nst_drop input_syn_sent(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    const struct nst_tcp *h = &seg->h;
    bool ack = h->flags & NST_TCP_ACK;

    /* First: the ACK bit. */
    if (ack && (nst_seq_le(h->ack, t->act->iss) || nst_seq_gt(h->ack, nst_fastopen_sent(t)))) {
        if (!(h->flags & NST_TCP_RST))
            nst_tcp_send_rst_for(t->tcps, seg->pkt, h, seg->len);
        return NST_DROP_tcp_ack;
    }
    /* Second: the RST bit. */
    if (h->flags & NST_TCP_RST) {
        if (!ack)
            return NST_DROP_tcp_rst;
        nst_tcb_ended(t, ECONNREFUSED);
        return NST_DROP_NONE;
    }
    /* Fourth: the SYN bit. */
    if (!(h->flags & NST_TCP_SYN))
        return NST_DROP_tcp_flags;
    learn_from_syn(t, seg);
    if (ack) {
        nst_fastopen_answered(t, h);
        establish_active(t);
        t->ack_now = true;
        /* Data or a FIN in the SYN is processed as if it came next; nothing is urgent so early
         * (CVE-2019-12261). */
        seg->seq = seg->h.seq = nst_seq_add(h->seq, 1);
        seg->h.flags &= (uint8_t) ~(NST_TCP_SYN | NST_TCP_URG);
        return seg->len || h->flags & NST_TCP_FIN ? nst_tcb_input(t, seg) : NST_DROP_NONE;
    }
    /* Simultaneous open (MUST-10): our SYN goes out again, with an ACK. */
    t->state = NST_TCP_SYN_RECEIVED;
    t->probe_now = true;
    nst_tcb_wants_output(t);
    return NST_DROP_NONE;
}

/* ---- §3.10.7.4: the others --------------------------------------------------------------- */

/* A RST takes no room, whatever it bears: only its own number counts (RFC 5961 §3.2). */
static uint32_t seg_space(const struct nst_tcp_seg *seg)
{
    if (seg->h.flags & NST_TCP_RST)
        return 0;
    return seg->len + (seg->h.flags & NST_TCP_SYN ? 1 : 0) + (seg->h.flags & NST_TCP_FIN ? 1 : 0);
}

/* RFC 7323 §5 (7323-8): a segment from the past, by its timestamp. RSTs are exempt (7323-9), and
 * the connection that was idle too long for the clock to mean anything; a missing timestamp is
 * tolerated (7323-6). */
static bool is_from_the_past(const struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    const struct nst_tcp_opts *o = &seg->h.opts;

    return t->ts_ok && o->has_ts && !(seg->h.flags & NST_TCP_RST) &&
           (int32_t)(o->ts_val - t->ts_recent) < 0 && clock_s(t) - t->ts_recent_s < PAWS_IDLE_S;
}

/* RFC 7323 §4.3 (7323-7): the timestamp to echo is that of the earliest segment not acknowledged
 * yet. */
static void update_ts_recent(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (!t->ts_ok || !seg->h.opts.has_ts || nst_seq_gt(seg->h.seq, t->last_ack_sent))
        return;
    if ((int32_t)(seg->h.opts.ts_val - t->ts_recent) < 0 &&
        clock_s(t) - t->ts_recent_s < PAWS_IDLE_S)
        return;
    t->ts_recent = seg->h.opts.ts_val;
    t->ts_recent_s = clock_s(t);
}

static bool is_between(nst_seq seq, nst_seq first, nst_seq end)
{
    return nst_seq_ge(seq, first) && nst_seq_lt(seq, end);
}

/* First: the sequence number. The four cases of RFC 9293 table 6; and a segment that is larger than
 * the window, which has neither its first nor its last number there, is in order as well. */
bool nst_tcp_in_window(const struct nst_tcp_seg *seg, nst_seq nxt, nst_seq adv)
{
    uint32_t space = seg_space(seg);
    nst_seq seq = seg->h.seq;

    if (nst_seq_eq(nxt, adv))
        return space == 0 && nst_seq_eq(seq, nxt);
    if (space == 0)
        return is_between(seq, nxt, adv);
    return nst_seq_lt(seq, adv) && nst_seq_gt(nst_seq_add(seq, space), nxt);
}

/* Says what of an unacceptable segment was here before (2883-1), and what is expected. */
static void answer_unacceptable(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (seg->len && nst_seq_lt(seg->seq, t->rcv.nxt) && t->sack_ok && nst_tcb_activate(t)) {
        t->act->dsack = (struct nst_tcp_sack){
            seg->seq, nst_seq_min(nst_seq_add(seg->seq, seg->len), t->rcv.nxt)};
        t->dsack_due = true;
    }
    if (seg_space(seg) && !(seg->h.flags & NST_TCP_SYN)) {
        t->ack_now = true; /* sent again: our acknowledgement was lost, perhaps */
        nst_tcb_wants_output(t);
    } else {
        nst_tcb_challenge(t);
    }
}

static enum nst_drop check_sequence(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    bool zero_window = nst_seq_eq(t->rcv.adv, t->rcv.nxt);

    if (is_from_the_past(t, seg)) {
        nst_tcb_challenge(t);
        return NST_DROP_tcp_paws;
    }
    if (nst_tcp_in_window(seg, t->rcv.nxt, t->rcv.adv))
        return NST_DROP_NONE;
    if (seg->h.flags & NST_TCP_RST)
        return NST_DROP_tcp_seq;
    answer_unacceptable(t, seg);
    /* With a closed window, valid ACKs and urgent pointers count all the same (MUST-66). */
    if (zero_window && nst_seq_eq(seg->h.seq, t->rcv.nxt) && !(seg->h.flags & NST_TCP_SYN)) {
        nst_pkt_trim(seg->pkt, seg->pkt->len - seg->len);
        seg->len = 0;
        seg->h.flags &= (uint8_t)~NST_TCP_FIN;
        return NST_DROP_NONE;
    }
    return NST_DROP_tcp_seq;
}

/* Second: the RST bit (RFC 5961 §3.2; 5961-1, 5961-2), with or without data (SHLD-2). The owner
 * hears how the connection ended (MUST-12). */
static enum nst_drop check_rst(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (!nst_seq_eq(seg->h.seq, t->rcv.nxt)) {
        nst_tcb_challenge(t);
        return NST_DROP_tcp_rst;
    }
    nst_fastopen_reset(t);
    bool refused = t->state == NST_TCP_SYN_RECEIVED;
    bool orderly = t->state == NST_TCP_CLOSING || t->state == NST_TCP_LAST_ACK;
    nst_tcb_ended(t, refused                          ? ECONNREFUSED
                     : orderly                        ? 0
                     : t->state == NST_TCP_CLOSE_WAIT ? EPIPE
                                                      : ECONNRESET);
    return NST_DROP_NONE;
}

/* Fifth, in SYN-RECEIVED: the handshake's last ACK. */
static enum nst_drop ack_in_syn_received(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (nst_seq_le(seg->h.ack, t->snd.una) || nst_seq_gt(seg->h.ack, t->snd.nxt)) {
        nst_tcp_send_rst_for(t->tcps, seg->pkt, &seg->h, seg->len);
        return NST_DROP_tcp_ack;
    }
    establish_active(t);
    t->snd.wnd = t->snd.max_wnd = seg->wnd;
    t->snd.wl1 = seg->h.seq;
    t->snd.wl2 = seg->h.ack;
    return NST_DROP_NONE;
}

/* Fifth, afterwards: has our FIN been acknowledged, and what follows from it? True if the
 * connection is gone. */
static bool fin_was_acked(struct nst_tcb *t)
{
    if (!t->fin_sent || !nst_seq_eq(t->snd.una, t->snd.nxt))
        return false;
    switch (t->state) {
    case NST_TCP_FIN_WAIT_1:
        t->state = NST_TCP_FIN_WAIT_2;
        nst_tcb_fin_wait(t);
        nst_tcb_changed(t);
        return false;
    case NST_TCP_CLOSING:
        nst_timewait_enter(t);
        return true;
    case NST_TCP_LAST_ACK:
        nst_tcb_ended(t, 0);
        return true;
    default:
        return false;
    }
}

/* Sixth: the URG bit. The pointer is behind the last urgent byte (MUST-62); it only moves forward.
 */
static void check_urgent(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    nst_seq up = nst_seq_add(seg->h.seq, seg->h.urg);

    if (!(seg->h.flags & NST_TCP_URG) || seg->h.urg == 0 || t->fin_received)
        return;
    if (nst_seq_le(up, t->rcv.nxt) || (t->rcv_urgent && nst_seq_le(up, t->act->rcv_up)))
        return;
    if (!nst_tcb_activate(t))
        return; /* it will be said again */
    t->act->rcv_up = up;
    t->rcv_urgent = true;
    t->urgent_taken = false;
    nst_tcb_changed(t); /* MUST-32 */
}

/* ---- Seventh: the segment text ----------------------------------------------------------- */

/* Of the payload, as it was sent: a packet may be a run of segments that the device joined, or
 * nst_pkt_join_take(). A device that joins may be somebody's who says nonsense of it. */
static uint32_t segment_size(const struct nst_tcp_seg *seg)
{
    const struct nst_offload *o = &seg->pkt->offload;

    return o->gso && o->gso_size ? o->gso_size : seg->len;
}

/* How many were sent that are one packet here. */
static uint32_t segments(const struct nst_tcp_seg *seg)
{
    uint32_t size = segment_size(seg);

    return seg->len > size ? (seg->len + size - 1) / size : 1;
}

/* When the acknowledgement is due: at once at the start of a connection, for more than one full
 * segment, and whenever something was missing; otherwise the owner gets the time to answer
 * (SHLD-18, SHLD-19, 5681-11, MUST-58, MUST-59: it is built when everything that came has been
 * seen). */
static void schedule_ack(struct nst_tcb *t, bool fills_gap)
{
    uint32_t unacked = (uint32_t)nst_seq_diff(t->rcv.nxt, t->last_ack_sent);

    if (unacked > t->rcv_mss || fills_gap || (t->quick && !t->pingpong)) {
        t->ack_now = true;
        nst_tcb_wants_output(t);
        return;
    }
    if (!t->ack_pending)
        nst_tcb_set(t, NST_TCP_DL_DELACK, t->tcps->env->now + DELACK_MIN);
    t->ack_pending = true;
}

void nst_tcb_quickack(struct nst_tcb *t, bool on)
{
    t->pingpong = !on;
    t->quick = on ? QUICK_ACKS : 0;
    if (on && t->ack_pending) {
        t->ack_now = true;
        nst_tcb_wants_output(t);
    }
}

/* In order: the segment and what had waited for it. */
static void input_in_order(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    nst_seq end = nst_seq_add(t->rcv.nxt, seg->len);
    struct nst_tcp_sack again = nst_ooo_overlap(t->act->ooo, t->rcv.nxt, end);
    uint32_t gained = seg->len;
    bool fills_gap = t->act->ooo != NULL;

    if (t->sack_ok && !nst_seq_eq(again.start, again.end)) {
        t->act->dsack = again;
        t->dsack_due = true;
    }
    t->rcv_mss = (uint16_t)nst_max32(t->rcv_mss, nst_min32(segment_size(seg), t->snd_mss));
    nst_recvq_push_take(&t->act->recvq, seg->pkt);
    seg->pkt = NULL;
    if (t->act->ooo) {
        t->tcps->ooo_bytes -= nst_ooo_mem(t->act->ooo);
        gained += (uint32_t)nst_ooo_pull(&t->act->ooo, t->tcps->env, end, &t->act->recvq);
        t->tcps->ooo_bytes += nst_ooo_mem(t->act->ooo);
    }
    t->rcv.nxt = nst_seq_add(t->rcv.nxt, gained);
    t->count.bytes_received += gained;
    nst_tcb_changed(t);
    schedule_ack(t, fills_gap);
}

/* How much may wait out of order: twice the receive buffer, and of all connections together a
 * quarter of the memory (CVE-2015-1417); no more than does already while memory is scarce. */
static size_t ooo_limit(const struct nst_tcb *t)
{
    const struct nst_pool *pool = t->tcps->pool;
    size_t own = nst_ooo_mem(t->act->ooo), others = t->tcps->ooo_bytes - own;
    size_t room = pool->budget_bytes / 4 - nst_min(others, pool->budget_bytes / 4);

    return nst_min(nst_pool_is_scarce(pool) ? own : 2 * (size_t)t->opt.rcvbuf, room);
}

static enum nst_drop input_out_of_order(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    struct nst_pkt *pkt = seg->pkt;
    size_t before = nst_ooo_mem(t->act->ooo);
    enum nst_drop drop;

    nst_tcb_trouble(t)->ooo++;
    t->ack_now = true; /* MAY-13, 5681-10 */
    nst_tcb_wants_output(t);
    seg->pkt = NULL;
    drop =
        nst_ooo_push_take(&t->act->ooo, t->tcps->env, pkt, seg->seq, ooo_limit(t), &t->act->dsack);
    t->tcps->ooo_bytes += nst_ooo_mem(t->act->ooo) - before;
    t->dsack_due = t->sack_ok && !nst_seq_eq(t->act->dsack.start, t->act->dsack.end);
    return drop;
}

/* Cuts the segment to what is new and inside the window. False if nothing is left. */
static bool trim_to_window(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    int32_t before = nst_seq_diff(t->rcv.nxt, seg->seq);
    int32_t behind = nst_seq_diff(nst_seq_add(seg->seq, seg->len), t->rcv.adv);

    if (before > 0) { /* 2883-2 */
        t->act->dsack = (struct nst_tcp_sack){seg->seq, t->rcv.nxt};
        t->dsack_due = t->sack_ok && seg->len > 0;
        if ((uint32_t)before >= seg->len) {
            seg->seq = t->rcv.nxt;
            seg->len = 0;
            return false;
        }
        nst_pkt_consume(seg->pkt, (size_t)before);
        seg->seq = t->rcv.nxt;
        seg->len -= (uint32_t)before;
    }
    if (behind > 0) {
        seg->len -= nst_min32(seg->len, (uint32_t)behind);
        seg->h.flags &= (uint8_t)~NST_TCP_FIN;
        nst_pkt_trim(seg->pkt, seg->len);
    }
    return seg->len > 0;
}

/* Data after the owner has let go: it is lost, and the peer must know (SHLD-3, RFC 2525 §2.17). */
static bool arrives_too_late(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    return !t->owner && seg->len && !t->fin_received &&
           nst_seq_gt(nst_seq_add(seg->seq, seg->len), t->rcv.nxt);
}

static enum nst_drop input_text(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    if (t->fin_received || seg->len == 0)
        return NST_DROP_NONE;
    if (!nst_tcb_activate(t))
        return NST_DROP_no_memory;
    t->count.data_segs_in += segments(seg);
    t->last_rcv_ms = nst_tcp_ms(t->tcps);
    if (!trim_to_window(t, seg)) {
        t->ack_now = true;
        nst_tcb_wants_output(t);
        return NST_DROP_tcp_dup;
    }
    if (!nst_seq_eq(seg->seq, t->rcv.nxt))
        return input_out_of_order(t, seg);
    if (nst_tcb_unread(t) && nst_pool_is_scarce(t->tcps->pool))
        return NST_DROP_tcp_rcvbuf; /* whose owner reads goes on */
    input_in_order(t, seg);
    return NST_DROP_NONE;
}

/* Eighth: the FIN bit. It counts when everything before it is here, and is remembered until then.
 * True if the connection is gone. */
static bool check_fin(struct nst_tcb *t)
{
    if (!t->fin_known || t->fin_received || !nst_seq_eq(t->act->fin_at, t->rcv.nxt))
        return false;
    t->fin_received = true;
    t->rcv.nxt = nst_seq_add(t->rcv.nxt, 1);
    t->rcv.adv = nst_seq_max(t->rcv.adv, t->rcv.nxt);
    t->ack_now = true;
    nst_tcb_wants_output(t);
    nst_tcb_changed(t);
    switch (t->state) {
    case NST_TCP_ESTABLISHED:
        t->state = NST_TCP_CLOSE_WAIT;
        return false;
    case NST_TCP_FIN_WAIT_1:
        t->state = NST_TCP_CLOSING;
        return false;
    case NST_TCP_FIN_WAIT_2:
        nst_timewait_enter(t);
        return true;
    default:
        return false;
    }
}

static void note_fin(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    nst_seq at = nst_seq_add(seg->seq, seg->len);

    if (!(seg->h.flags & NST_TCP_FIN) || t->fin_known || nst_seq_gt(at, t->rcv.adv) ||
        !nst_tcb_activate(t))
        return; /* without memory it comes again */
    t->fin_known = true;
    t->act->fin_at = at;
}

/* Any sign of life starts the keep-alive's clock anew (MUST-26, MUST-29). */
static void hear(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    t->count.segs_in += segments(seg);
    t->rcv_tos = seg->pkt->ip.tos;
    t->probes = 0;
    if (t->opt.keepalive)
        nst_tcb_keepalive_restart(t);
}

/* In a simultaneous open the peer's SYN comes once more, with the ACK that we wait for (figure 8).
 */
static void forget_known_syn(const struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    uint8_t both = NST_TCP_SYN | NST_TCP_ACK;

    if (t->state != NST_TCP_SYN_RECEIVED || (seg->h.flags & (both | NST_TCP_RST)) != both ||
        !nst_seq_eq(seg->h.seq, t->act->irs) || !nst_seq_eq(seg->h.ack, t->snd.nxt))
        return;
    seg->h.flags &= (uint8_t)~NST_TCP_SYN;
    seg->h.seq = seg->seq;
}

/* Of a connection that began with data: its SYN comes once more, for our SYN-ACK was lost. */
static bool is_known_syn(const struct nst_tcb *t, const struct nst_tcp *h)
{
    return nst_fastopen_shakes(t) && nst_seq_eq(h->seq, t->act->irs) &&
           (h->flags & (NST_TCP_SYN | NST_TCP_ACK | NST_TCP_RST)) == NST_TCP_SYN;
}

enum nst_drop nst_tcb_syn_data(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    seg->h.seq = seg->seq;
    seg->h.flags &= (uint8_t) ~(NST_TCP_SYN | NST_TCP_URG);
    return input_text(t, seg);
}

enum nst_drop nst_tcb_input(struct nst_tcb *t, struct nst_tcp_seg *seg)
{
    const struct nst_tcp *h = &seg->h;

    if (is_known_syn(t, h)) {
        t->act->fastopen->synack_due = true;
        nst_tcb_wants_output(t);
        return NST_DROP_tcp_dup;
    }
    forget_known_syn(t, seg);
    enum nst_drop drop = check_sequence(t, seg);

    if (drop)
        return drop;
    hear(t, seg);
    if (h->flags & NST_TCP_RST)
        return check_rst(t, seg);
    if (h->flags & NST_TCP_SYN) { /* fourth: 5961-3 */
        nst_tcb_challenge(t);
        return NST_DROP_tcp_syn;
    }
    if (!(h->flags & NST_TCP_ACK))
        return NST_DROP_tcp_flags;
    if (t->state == NST_TCP_SYN_RECEIVED)
        drop = ack_in_syn_received(t, seg);
    else
        drop = nst_tcb_ack_input(t, seg);
    if (drop)
        return drop;
    update_ts_recent(t, seg);
    if (fin_was_acked(t))
        return NST_DROP_NONE;
    if (arrives_too_late(t, seg)) {
        nst_tcb_abort(t, ECONNRESET);
        return NST_DROP_tcp_closed;
    }
    check_urgent(t, seg);
    note_fin(t, seg);
    nst_ecn_data_input(t, seg);
    drop = input_text(t, seg);
    check_fin(t);
    return drop;
}

/* ---- From a packet to its flow ----------------------------------------------------------- */

/* §3.10.7.1: nobody is there (MUST: a RST is never answered). */
static enum nst_drop input_closed(struct nst_tcps *tcps, const struct nst_tcp_seg *seg)
{
    if (!(seg->h.flags & NST_TCP_RST))
        nst_tcp_send_rst_for(tcps, seg->pkt, &seg->h, seg->len);
    return NST_DROP_tcp_port;
}

static enum nst_drop input_unknown(struct nst_tcps *tcps, const struct nst_flow_id *id,
                                   struct nst_tcp_seg *seg)
{
    struct nst_tcp_listener *l = nst_listener_find(tcps, id, seg->pkt->link);

    return l ? nst_listen_input(l, id, seg) : input_closed(tcps, seg);
}

static enum nst_drop input_flow(struct nst_tcps *tcps, struct nst_flow *flow,
                                struct nst_tcp_seg *seg)
{
    const struct nst_flow_id id = flow->id;
    enum nst_drop drop = NST_DROP_NONE;
    struct nst_tcb *t;

    switch ((enum nst_flow_kind)flow->kind) {
    case NST_FLOW_REQ:
        return nst_req_input(NST_CONTAINER(flow, struct nst_tcp_req, flow), seg);
    case NST_FLOW_TIMEWAIT:
        if (nst_timewait_input(tcps, NST_CONTAINER(flow, struct nst_tcp_timewait, flow), seg,
                               &drop))
            return input_unknown(tcps, &id, seg);
        return drop;
    case NST_FLOW_TCB:
        t = NST_CONTAINER(flow, struct nst_tcb, flow);
        seg->wnd = (uint32_t)seg->h.wnd << (seg->h.flags & NST_TCP_SYN ? 0 : t->snd_wscale);
        if (t->state == NST_TCP_SYN_SENT)
            return input_syn_sent(t, seg);
        return t->state == NST_TCP_CLOSED ? input_closed(tcps, seg) : nst_tcb_input(t, seg);
    }
    return drop;
}

/* Reads and verifies the header. */
static enum nst_drop read_segment(struct nst_pkt *pkt, struct nst_tcp_seg *seg)
{
    size_t off = pkt->ip.hlen, len = pkt->len - off;
    enum nst_drop drop =
        nst_tcp_parse(&seg->h, nst_pkt_head(pkt) + off, nst_pkt_head_len(pkt) - off, len);

    if (drop)
        return drop;
    if (pkt->ip.dst_group || pkt->l2_group) /* MUST-57 */
        return NST_DROP_tcp_group;
    if (!nst_pkt_transport_ok(pkt, off, len)) /* MUST-3 */
        return NST_DROP_tcp_checksum;
    seg->pkt = pkt;
    seg->len = (uint32_t)(len - seg->h.hlen);
    seg->seq = seg->h.flags & NST_TCP_SYN ? nst_seq_add(seg->h.seq, 1) : seg->h.seq;
    seg->wnd = seg->h.wnd;
    pkt->sport = seg->h.sport;
    pkt->dport = seg->h.dport;
    return NST_DROP_NONE;
}

void nst_tcp_input_take(struct nst_tcps *tcps, struct nst_pkt *pkt)
{
    struct nst_tcp_seg seg = {.pkt = pkt};
    enum nst_drop drop = read_segment(pkt, &seg);

    NST_COUNT(tcps->env, tcp_in);
    if (!drop) {
        const struct nst_flow_id id = {
            .local = pkt->ip.dst, .peer = pkt->ip.src, .lport = seg.h.dport, .pport = seg.h.sport};
        struct nst_flow *flow = nst_flow_find(tcps, &id);
        nst_pkt_pull(pkt, pkt->ip.hlen + (size_t)seg.h.hlen); /* IP options: MUST-50 */
        drop = flow ? input_flow(tcps, flow, &seg) : input_unknown(tcps, &id, &seg);
    }
    if (!seg.pkt)
        return; /* its payload was taken */
    if (drop)
        nst_pkt_drop(pkt, drop);
    else
        nst_pkt_free(pkt);
}
