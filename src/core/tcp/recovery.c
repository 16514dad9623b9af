/* When the sender believes that segments are lost, and how much it may have in flight.
 *
 *     OPEN -> DISORDER   duplicate ACKs or SACKs, not enough of them yet
 *     -> CONGESTED       the network says that it is congested (ECN): the window shrinks
 *     -> RECOVERY        something is lost: overdue (rack.c), or where that is off three segments'
 *                        worth above a hole (RFC 6675), or three duplicate ACKs where SACK is off
 *                        (RFC 6582): the window shrinks once, what is lost is sent again
 *     -> LOSS            the retransmission timer expired: the window is one segment, and grows
 *     -> OPEN            everything that was out when it began is acknowledged, or it turns out
 *                        that nothing had been lost (undo.c, F-RTO): then all is as it was
 *
 * The window's size is the congestion control's business (cc.h), asked at these turns only; on the
 * way to it prr.c says what goes. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define DUP_THRESH 3

static uint32_t flight(const struct nst_tcb *t)
{
    return (uint32_t)nst_seq_diff(t->snd.nxt, t->snd.una);
}

void nst_recovery_prepare(struct nst_tcb *t)
{
    struct nst_cc *cc = &t->act->cc;

    cc->now = t->tcps->env->now;
    cc->mss = t->snd_mss;
    cc->srtt = t->rtt.srtt;
    cc->min_rtt = nst_rtt_min(&t->rtt);
    cc->una = t->snd.una;
    cc->nxt = t->snd.nxt;
    cc->sack = t->sack_ok;
    cc->paced = t->act->pace.bytes_per_sec != 0;
    cc->cwnd_limited = t->cwnd_was_full;
}

void nst_recovery_begin(struct nst_tcb *t)
{
    struct nst_cc *cc = &t->act->cc;

    nst_cc_begin(cc, &t->cc);
    cc->hystart = t->opt.hystart;
    nst_recovery_prepare(t);
    cc->ops->init(cc);
    nst_pace_update(t);
}

/* Whoever models the path sets the window itself. */
static void set_cwnd(struct nst_tcb *t, uint32_t bytes)
{
    if (!t->act->cc.ops->control)
        t->act->cc.cwnd = bytes;
}

static bool has_prr(const struct nst_tcb *t)
{
    return t->opt.recovery & NST_TCP_RECOVERY_PRR && !t->act->cc.ops->control;
}

/* ---- The window shrinks ------------------------------------------------------------------ */

static void shrink(struct nst_tcb *t, enum nst_tcp_reason reason, uint32_t flight_bytes)
{
    nst_recovery_prepare(t);
    nst_undo_begin(t);
    t->act->undo.possible &= reason != NST_TCP_REASON_TLP && reason != NST_TCP_REASON_ECN;
    t->act->cc.ssthresh = t->act->cc.ops->ssthresh(&t->act->cc, flight_bytes);
    t->reason = reason & 7;
    nst_ecn_reduced(t);
}

/* On the way to ssthresh PRR says what goes; without it the window is there at once. `news` is what
 * the acknowledgement reported that began it. */
static void approach(struct nst_tcb *t, uint32_t news)
{
    t->act->recovery_point = t->snd.nxt;
    if (has_prr(t))
        nst_prr_begin(t, news);
    else
        set_cwnd(t, nst_min32(t->act->cc.cwnd, t->act->cc.ssthresh));
}

/* As by a loss, but nothing is (3168-6); not again in a window that did already. */
static void congested(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    if (t->act->phase >= NST_TCP_CONGESTED)
        return;
    shrink(t, NST_TCP_REASON_ECN, flight(t) + a->acked);
    t->act->phase = NST_TCP_CONGESTED;
    approach(t, a->delivered + a->sacked);
}

/* The window shrinks once (5681-7), which it may have done by now. The first of what is lost goes
 * at once (RFC 6675 §5 (4.3)), which PRR does for itself. */
static void enter_recovery(struct nst_tcb *t, enum nst_tcp_reason reason, uint32_t news)
{
    if (t->act->phase != NST_TCP_CONGESTED)
        shrink(t, reason, flight(t));
    nst_tlp_stop(t);
    t->act->rexmit_now = !has_prr(t);
    t->act->phase = NST_TCP_RECOVERY;
    approach(t, news);
}

/* The window is what the reduction made of it. */
static void reduced(struct nst_tcb *t)
{
    if (t->act->cc.ops->recovered)
        t->act->cc.ops->recovered(&t->act->cc);
}

/* The probe's loss was one like any other (8985-18), but it is made good already. */
static void tail_was_lost(struct nst_tcb *t)
{
    if (t->act->phase >= NST_TCP_CONGESTED)
        return;
    shrink(t, NST_TCP_REASON_TLP, flight(t));
    set_cwnd(t, nst_min32(t->act->cc.cwnd, t->act->cc.ssthresh));
    reduced(t);
}

static void open(struct nst_tcb *t)
{
    reduced(t);
    t->act->phase = NST_TCP_OPEN;
    t->act->frto = NST_FRTO_OFF;
    t->act->rexmit_now = false;
    t->act->dupacks = 0;
}

/* Everything that was out at its beginning is acknowledged (6582-1, 6582-4, 6675-8, 6937-6). */
static void leave_recovery(struct nst_tcb *t)
{
    if (t->act->phase != NST_TCP_LOSS)
        set_cwnd(t, nst_max32(t->act->cc.ssthresh, t->snd_mss));
    if (t->act->phase != NST_TCP_CONGESTED)
        nst_rack_recovered(t);
    open(t);
}

/* Nothing had been lost. What made it seem so was reordering, unless it was a timeout. */
static void take_back(struct nst_tcb *t)
{
    if (t->act->phase == NST_TCP_RECOVERY)
        t->act->rack.reordering_seen = true;
    nst_recovery_prepare(t);
    nst_undo_do(t);
    if (t->act->phase >= NST_TCP_RECOVERY)
        open(t);
}

/* ---- F-RTO (RFC 5682) -------------------------------------------------------------------- */

/* After a timeout, the acknowledgement of the first segment lets two new ones go rather than more
 * of the old, if there are (output.c). When something is acknowledged then that was sent only
 * before the timeout, it was late, not lost. True if so (5682-4). */
static bool frto_acked(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    enum nst_tcp_frto step = t->act->frto;

    if (step == NST_FRTO_PROBED && a->original)
        return true;
    if (step == NST_FRTO_RESENT && a->acked) {
        t->act->frto = NST_FRTO_PROBED;   /* 5682-2 */
    } else if (step == NST_FRTO_PROBED) { /* beside what was tried one segment goes (5682-3) */
        t->act->frto = NST_FRTO_OFF;
        set_cwnd(t, nst_max32(t->act->cc.cwnd, nst_board_pipe(t) + t->snd_mss));
    } else if (!t->sack_ok) { /* 5682-6 */
        t->act->frto = NST_FRTO_OFF;
    }
    return false;
}

/* ---- What is lost ------------------------------------------------------------------------ */

/* RFC 6582 §3.2: without SACK, duplicate ACKs are counted; a partial acknowledgement takes away as
 * many as segments it covers (6582-3; nst_board_pipe() counts them as arrived). After a timeout
 * they tell of what counts as lost already. True if a segment is lost. */
static bool newreno_acked(struct nst_tcb *t, uint32_t acked, bool duplicate)
{
    if (t->act->phase == NST_TCP_LOSS)
        return false;
    if (duplicate && (t->act->dupacks < DUP_THRESH || t->act->dupacks * t->snd_mss < flight(t)))
        t->act->dupacks++; /* more cannot have arrived than was sent */
    else if (acked)
        t->act->dupacks = t->act->phase == NST_TCP_RECOVERY
                              ? t->act->dupacks - nst_min32(t->act->dupacks, acked / t->snd_mss)
                              : 0;
    bool partial = t->act->phase == NST_TCP_RECOVERY &&
                   acked; /* the next hole begins there (6582-2) */
    bool third = t->act->phase < NST_TCP_RECOVERY &&
                 t->act->dupacks >= DUP_THRESH; /* 5681-6, 6582-5 */
    if (partial || third)
        nst_board_mark_first_lost(t);
    if (partial)
        t->act->rexmit_now = true; /* RFC 6582 §3.2, step 3 */
    return partial || third;
}

static bool detect(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    if (nst_rack_is_on(t))
        return nst_rack_detect(t);
    return t->sack_ok ? nst_board_mark_lost(t) : newreno_acked(t, a->acked, a->duplicate);
}

static enum nst_tcp_reason reason_of_detection(const struct nst_tcb *t)
{
    return nst_rack_is_on(t) ? NST_TCP_REASON_RACK : NST_TCP_REASON_DUPACKS;
}

/* Bytes that an acknowledgement tells have arrived; of a duplicate one without SACK it is taken to
 * be a segment, which a later one must not tell again (RFC 6937 §3). */
static uint32_t news_of(const struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    if (t->sack_ok)
        return a->delivered + a->sacked;
    return a->duplicate ? t->snd_mss : a->acked - nst_min32(t->act->dupacks * t->snd_mss, a->acked);
}

/* Growth: not in fast recovery or while congested (3168-10), nor by the ACK that ends it. After a
 * timeout only by what this ACK newly reports, and without SACK by a segment at most (RFC 3465
 * §2.3). */
static void grow(struct nst_tcb *t, uint32_t delivered)
{
    if (t->act->phase == NST_TCP_LOSS && !t->sack_ok)
        delivered = nst_min32(delivered, t->snd_mss);
    bool steady = t->act->phase == NST_TCP_CONGESTED || t->act->phase == NST_TCP_RECOVERY;

    if (delivered == 0 || steady || t->act->cc.ops->control)
        return;
    nst_recovery_prepare(t);
    t->act->cc.ops->acked(&t->act->cc, delivered, t->tcps->ack.rtt);
}

/* Looks for losses, and sets the window of a sender that makes them good. */
static void recover(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    uint32_t news = news_of(t, a);
    bool lost = detect(t, a);

    if (lost && t->act->phase < NST_TCP_RECOVERY && !nst_mtu_probe_lost(t))
        enter_recovery(t, reason_of_detection(t), news);
    bool shrinking = t->act->phase == NST_TCP_CONGESTED || t->act->phase == NST_TCP_RECOVERY;
    if (shrinking && has_prr(t))
        nst_prr_acked(t, news, a->acked && !lost);
}

void nst_recovery_acked(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    bool late = nst_undo_acked(t, a);

    if (frto_acked(t, a) || late)
        take_back(t);
    grow(t, a->congested ? 0 : a->delivered);
    if (t->act->phase >= NST_TCP_CONGESTED && nst_seq_ge(t->snd.una, t->act->recovery_point))
        leave_recovery(t);
    if (a->congested)
        congested(t, a);
    nst_rack_adapt(t, a);
    if (nst_tlp_acked(t, a))
        tail_was_lost(t);
    recover(t, a);
    if (t->act->phase < NST_TCP_CONGESTED)
        t->act->phase = t->act->board.sacked || t->act->dupacks ? NST_TCP_DISORDER : NST_TCP_OPEN;
}

/* ---- Timers ------------------------------------------------------------------------------ */

void nst_recovery_reordered(struct nst_tcb *t)
{
    const struct nst_tcp_acked nothing = {.acked = 0};

    recover(t, &nothing);
    nst_tcb_wants_output(t);
}

/* RFC 5681 §3.1, RFC 6298 §5.4 to §5.7 (5681-4, 6298-10). What was out shrinks the window once: not
 * again when the timeout comes during the recovery from it, or repeatedly. The window is one
 * segment more than what is believed to be under way. */
void nst_recovery_timeout(struct nst_tcb *t)
{
    bool progress_since = t->act->phase == NST_TCP_LOSS && t->act->retries <= 1;
    bool fresh = t->act->phase < NST_TCP_CONGESTED, reneged = nst_board_is_reneged(t);
    bool try_new = fresh && !reneged && t->opt.recovery & NST_TCP_RECOVERY_FRTO; /* 5682-1 */

    if (fresh || progress_since)
        shrink(t, NST_TCP_REASON_RTO, flight(t));
    t->act->frto = try_new ? NST_FRTO_RESENT : NST_FRTO_OFF;
    t->reason = NST_TCP_REASON_RTO;
    t->act->phase = NST_TCP_LOSS;
    t->act->recovery_point = t->snd.nxt;
    t->act->rexmit_now = false;
    t->act->dupacks = 0;
    nst_tlp_stop(t);
    if (nst_rack_is_on(t) && !reneged)
        nst_rack_timeout(t);
    else
        nst_board_mark_all_lost(t);
    t->act->cc.cwnd = nst_board_pipe(t) + t->snd_mss;
    t->act->cc.cwnd_cnt = 0;
    nst_recovery_prepare(t);
    t->act->cc.ops->timeout(&t->act->cc);
}

void nst_recovery_restart(struct nst_tcb *t)
{
    nst_time idle = t->tcps->env->now - t->act->idle_since;

    nst_recovery_prepare(t);
    t->act->cc.ops->restart(&t->act->cc, idle);
    if (t->tcps->config.restart_idle && idle > nst_rtt_rto(&t->rtt))
        nst_cc_slow_start_restart(&t->act->cc); /* 5681-9 */
}
