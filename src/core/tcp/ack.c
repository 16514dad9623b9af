/* What an acknowledgement means: the window, what has arrived, how long it took, what is lost. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define RENEGING_PATIENCE (10 * NST_MS)
#define ADVICE_EVERY      (2 * NST_SEC)
#define SHORT_RTT         (20 * NST_MS) /* what a host and its scheduling explain */
#define SHORT_SNDBUF      (512 * 1024)

/* 5961-4, 5961-5, MAY-12: an ACK older than anything the peer can still mean, or for what was never
 * sent. */
static bool is_acceptable(const struct nst_tcb *t, nst_seq ack)
{
    return nst_seq_ge(ack, nst_seq_sub(t->snd.una, t->snd.max_wnd)) && nst_seq_le(ack, t->snd.nxt);
}

/* RFC 9293 §3.10.7.4: SND.WL1 and SND.WL2 keep old segments from changing the window. A window that
 * shrinks is believed (MUST-34); nothing is taken back. */
static bool update_window(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    nst_seq ack = seg->h.ack;
    bool newer = nst_seq_lt(t->snd.wl1, seg->h.seq) ||
                 (nst_seq_eq(t->snd.wl1, seg->h.seq) && nst_seq_le(t->snd.wl2, ack));
    bool changed = newer && t->snd.wnd != seg->wnd;

    if (!newer)
        return false;
    if (t->act && t->snd.wnd == 0 &&
        seg->wnd) { /* what the probes counted says nothing about losses */
        t->act->retries = 0;
        nst_rtt_reset_backoff(&t->rtt);
    }
    t->snd.wnd = seg->wnd;
    t->snd.max_wnd = nst_max32(t->snd.max_wnd, seg->wnd);
    t->snd.wl1 = seg->h.seq;
    t->snd.wl2 = ack;
    return changed;
}

/* ---- Round-trip times -------------------------------------------------------------------- */

/* RFC 7323 §4.1 with timestamps; without them one segment at a time that was sent once (Karn,
 * MUST-18, 6298-6). `sent` is when the newest of the segments acknowledged was sent, if only once.
 */
static void sample_rtt(struct nst_tcb *t, const struct nst_tcp_seg *seg, nst_time sent)
{
    nst_time now = t->tcps->env->now;

    if (sent) {
        nst_rtt_sample(&t->rtt, now - sent, now);
        return;
    }
    if (t->ts_ok && seg->h.opts.has_ts && seg->h.opts.ts_ecr) {
        uint32_t ms = nst_tcp_ts(t->tcps, t->ts_offset) - seg->h.opts.ts_ecr;
        if (ms < INT32_MAX / 2)
            nst_rtt_sample(&t->rtt, nst_max(ms, 1) * NST_MS, now);
    }
}

/* ---- SACK -------------------------------------------------------------------------------- */

/* A block is worth looking at if it lies in what is out (attack row 95). */
static bool is_sound(const struct nst_tcb *t, const struct nst_tcp_sack *b)
{
    return nst_seq_lt(b->start, b->end) && nst_seq_gt(b->start, t->snd.una) &&
           nst_seq_le(b->end, t->snd.nxt);
}

/* 2883-4: the first block reports a duplicate if it lies below the acknowledgement, or inside
 * the second one. */
static bool is_dsack(const struct nst_tcp_seg *seg)
{
    const struct nst_tcp_sack *b = seg->h.opts.sacks;

    if (seg->h.opts.nsacks == 0)
        return false;
    if (nst_seq_le(b[0].end, seg->h.ack))
        return true;
    return seg->h.opts.nsacks > 1 && nst_seq_ge(b[0].start, b[1].start) &&
           nst_seq_le(b[0].end, b[1].end);
}

/* A duplicate that we may have caused: others, of the network's or an attacker's making, say
 * nothing about what was sent again. */
static bool is_about_resent(const struct nst_tcb *t, const struct nst_tcp_sack *b)
{
    const struct nst_tcp_trouble *had = nst_tcb_troubles(t);

    return had->dsacks < had->retrans && nst_seq_lt(b->start, b->end) &&
           nst_seq_le(b->end, t->snd.nxt) &&
           nst_seq_ge(b->start, nst_seq_sub(t->snd.una, t->snd.max_wnd));
}

/* Brings the scoreboard up to date (6675-1). */
static void process_sacks(struct nst_tcb *t, const struct nst_tcp_seg *seg, struct nst_tcp_acked *a)
{
    const struct nst_tcp_sack *blocks = seg->h.opts.sacks;
    bool dsack = is_dsack(seg);

    if (!t->sack_ok)
        return;
    if (dsack) {
        a->dsack = is_about_resent(t, &blocks[0]) ? &blocks[0] : NULL;
        nst_tcb_trouble(t)->dsacks++;
    }
    for (unsigned i = dsack; i < seg->h.opts.nsacks; i++)
        if (is_sound(t, &blocks[i]))
            nst_board_sacked(t, &blocks[i], a);
}

/* ---- The acknowledgement ----------------------------------------------------------------- */

/* RFC 5681 §2: a duplicate bears no data, no SYN or FIN, moves no window, and something is out. */
static bool is_duplicate(const struct nst_tcb *t, const struct nst_tcp_seg *seg,
                         bool window_changed)
{
    return nst_seq_eq(seg->h.ack, t->snd.una) && seg->len == 0 && !window_changed &&
           !(seg->h.flags & (NST_TCP_SYN | NST_TCP_FIN)) && nst_seq_lt(t->snd.una, t->snd.nxt);
}

/* New data acknowledged: what we send arrives, so the next hop is there (1122-123, 1122-124; RFC
 * 4861 §7.3.1). Told now and then, well within the time for which a neighbour is believed. */
static void advise_ip(struct nst_tcb *t)
{
    nst_time now = t->tcps->env->now;

    if (t->act->advised && now - t->act->advised < ADVICE_EVERY)
        return;
    t->act->advised = now;
    nst_ip_confirm(t->tcps->ip, &t->flow.id.peer);
}

/* SND.UNA moves, and only by that is data freed (2018-5). SYN and FIN don't count as bytes. */
static void advance(struct nst_tcb *t, const struct nst_tcp_seg *seg, struct nst_tcp_acked *a)
{
    nst_seq data_end = nst_seq_min(seg->h.ack, nst_tcb_snd_end(t));
    uint32_t sacked = t->act->board.sacked;
    nst_time now = t->tcps->env->now;

    if (nst_seq_gt(data_end, t->snd.una))
        a->acked = (uint32_t)nst_seq_diff(data_end, t->snd.una);
    sample_rtt(t, seg, nst_board_acked(t, seg->h.ack, a));
    a->delivered = a->acked - nst_min32(sacked - t->act->board.sacked, a->acked);
    t->snd.una = seg->h.ack;
    nst_sendq_consume(&t->act->sendq, t->tcps->pool, data_end);
    t->count.bytes_acked += a->acked;
    if (a->acked)
        advise_ip(t);
    t->act->retries = 0; /* the timeout stays doubled until there is a sample (MUST-18) */
    t->r1_told = false;
    t->act->soft_error = 0;
    t->act->idle_since = now;
    t->act->first_unacked = nst_seq_lt(t->snd.una, t->snd.nxt) ? now : 0;
    if (t->snd_urgent && nst_seq_ge(t->snd.una, t->act->snd_up))
        t->snd_urgent = false;
}

/* The owner may write again once a third of the buffer is free, and there is memory for it. */
static void tell_writable(struct nst_tcb *t)
{
    if (t->tx_blocked && nst_tcb_sndbuf_used(t) <= t->opt.sndbuf - t->opt.sndbuf / 3 &&
        nst_tcb_send_room(t) > 0) {
        t->tx_blocked = false;
        nst_tcb_changed(t);
    }
}

/* What keeps a path busy is what it holds without a queue, rate times least round trip; four times
 * that leaves room for its varying. Where round trips are short, more would only wait in memory,
 * and be copied from there after it has left the processor's cache. They show no queue of a network
 * then; in one that does, who holds less of the queue gets less of the path. */
static uint64_t sndbuf_bound(const struct nst_tcb *t)
{
    if (t->rtt.srtt >= SHORT_RTT)
        return UINT64_MAX;
    return nst_max(SHORT_SNDBUF, 4 * t->act->rate.bytes_per_sec * nst_rtt_min(&t->rtt) / NST_SEC);
}

/* Room for two windows, so that the owner can keep one full while the other is out. */
static void tune_sndbuf(struct nst_tcb *t)
{
    const struct nst_tcp_config *c = &t->tcps->config;
    uint64_t wanted = 2 * (uint64_t)t->act->cc.cwnd;

    if (t->opt.sndbuf_fixed || t->opt.sndbuf >= wanted ||
        t->tcps->pool->used_bytes >= t->tcps->pool->budget_bytes / 4 * 3)
        return;
    wanted = nst_min(nst_min(wanted, c->sndbuf_max), sndbuf_bound(t));
    t->opt.sndbuf = nst_max32(t->opt.sndbuf, (uint32_t)wanted);
}

/* What was SACKed is at the front, and still not acknowledged: its receiver has given it up. Unless
 * an acknowledgement follows soon, all is sent again (2018-6). As in Linux. */
static void suspect_reneging(struct nst_tcb *t)
{
    nst_time soon = t->tcps->env->now + nst_max(t->rtt.srtt / 2, RENEGING_PATIENCE);

    if (nst_board_is_reneged(t))
        nst_tcb_set(t, NST_TCP_DL_RTO, nst_min(soon, t->act->deadlines[NST_TCP_DL_RTO]));
}

/* RFC 6298 §5.3: only what moves something puts a timeout off. Any answer to a probe counts: the
 * peer is there (MUST-37). */
static void restart_timer(struct nst_tcb *t, bool moves)
{
    if (t->snd.wnd == 0 || nst_seq_eq(t->snd.una, t->snd.nxt))
        t->act->retries = 0;
    if (moves)
        nst_tcb_rearm(t);
    else
        nst_tcb_rearm_if_idle(t);
    suspect_reneging(t);
}

/* What only matters while something is out, or waits. */
static void active_ack_input(struct nst_tcb *t, const struct nst_tcp_seg *seg,
                             struct nst_tcp_acked *a, bool moves, bool opens)
{
    if (seg->h.opts.nsacks)
        process_sacks(t, seg, a);
    if (moves || a->duplicate || a->sacked || a->dsack || a->congested)
        nst_recovery_acked(t, a);
    nst_mtu_acked(t);
    nst_rate_end(t);
    nst_chrono_update(t);
    tune_sndbuf(t);
    tell_writable(t);
    restart_timer(t, moves || opens);
    if (moves || a->sacked)
        nst_tlp_schedule(t);
    nst_tcb_goes_on(t);
}

/* Nothing is out or waits, and nothing new is said: what who only receives hears with each segment.
 */
static bool says_nothing(const struct nst_tcb *t, const struct nst_tcp_seg *seg,
                         bool window_changed)
{
    return nst_seq_eq(seg->h.ack, t->snd.nxt) && nst_seq_eq(t->snd.nxt, nst_tcb_snd_end(t)) &&
           !window_changed && t->snd.wnd && seg->h.opts.nsacks == 0 && !t->tx_blocked &&
           !t->fin_queued;
}

enum nst_drop nst_tcb_ack_input(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (!is_acceptable(t, seg->h.ack)) {
        nst_tcb_challenge(t);
        return NST_DROP_tcp_ack;
    }
    bool moves = nst_seq_gt(seg->h.ack, t->snd.una);
    bool old = nst_seq_lt(seg->h.ack, t->snd.una), closed = t->snd.wnd == 0;
    struct nst_tcp_acked a = {.has_ecr = t->ts_ok && seg->h.opts.has_ts && seg->h.opts.ts_ecr,
                              .ecr = seg->h.opts.ts_ecr};

    if (t->act)
        nst_rate_begin(t);
    if (!old) {
        a.congested = t->act && nst_ecn_congested(t, seg);
        bool shook = nst_fastopen_acked(t), window_changed = update_window(t, seg);
        if (!moves && !shook && !a.congested && says_nothing(t, seg, window_changed))
            return NST_DROP_NONE;
        a.duplicate = !shook && is_duplicate(t, seg, window_changed);
        if (moves)
            advance(t, seg, &a);
    }
    if (t->act)
        active_ack_input(t, seg, &a, moves, closed && t->snd.wnd);
    return NST_DROP_NONE;
}
