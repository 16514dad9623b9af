/* When the sender believes that segments are lost, and how much it may have in flight.
 *
 *     OPEN -> DISORDER   duplicate ACKs or SACKs, not enough of them yet
 *     -> CONGESTED       the network says that it is congested (ECN): the window shrinks once
 *     -> RECOVERY        three segments' worth above a hole (RFC 6675), or three duplicate ACKs
 * where SACK is off (RFC 6582): the window shrinks once, what is lost is sent again
 *     -> LOSS            the retransmission timer expired: everything not SACKed is taken as lost
 *     -> OPEN            everything that was out when it began is acknowledged
 *
 * The window's size is the congestion control's business (cc.h), asked at these turns only. */
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

static void shrink(struct nst_tcb *t, uint32_t flight_bytes)
{
    nst_recovery_prepare(t);
    t->act->prior_cwnd = t->act->cc.cwnd;
    t->act->cc.ssthresh = t->act->cc.ops->ssthresh(&t->act->cc, flight_bytes);
    nst_ecn_reduced(t);
}

/* As by a loss, but nothing is (3168-6); not again in a window that did already. */
static void congested(struct nst_tcb *t, uint32_t acked)
{
    if (t->act->phase >= NST_TCP_CONGESTED)
        return;
    shrink(t, flight(t) + acked);
    t->act->phase = NST_TCP_CONGESTED;
    t->act->recovery_point = t->snd.nxt;
    t->act->cc.cwnd = nst_min32(t->act->cc.cwnd, t->act->cc.ssthresh);
}

/* The window shrinks once (5681-7), which it may have done by now. */
static void enter_recovery(struct nst_tcb *t)
{
    if (t->act->phase != NST_TCP_CONGESTED)
        shrink(t, flight(t));
    t->act->phase = NST_TCP_RECOVERY;
    t->act->recovery_point = t->snd.nxt;
    if (!t->act->cc.ops->control)
        t->act->cc.cwnd = t->act->cc.ssthresh;
    t->rexmit_now = true; /* RFC 6675 §5 (4.3) */
}

/* RFC 6582 §3.2: without SACK, duplicate ACKs are counted; a partial acknowledgement takes away as
 * many as segments it covers (6582-3; nst_board_pipe() counts them as arrived). After a timeout
 * they tell of what counts as lost already. */
static void newreno_acked(struct nst_tcb *t, uint32_t acked, bool duplicate)
{
    if (t->act->phase == NST_TCP_LOSS)
        return;
    if (duplicate && (t->act->dupacks < DUP_THRESH || t->act->dupacks * t->snd_mss < flight(t)))
        t->act->dupacks++; /* more cannot have arrived than was sent */
    else if (acked)
        t->act->dupacks = t->act->phase == NST_TCP_RECOVERY
                              ? t->act->dupacks - nst_min32(t->act->dupacks, acked / t->snd_mss)
                              : 0;
    if (t->act->phase == NST_TCP_RECOVERY) {
        if (acked) { /* a partial acknowledgement: the next hole begins there (6582-2) */
            nst_board_mark_first_lost(t);
            t->rexmit_now = true; /* RFC 6582 §3.2, step 3 */
        }
        return;
    }
    if (t->act->phase < NST_TCP_RECOVERY && t->act->dupacks >= DUP_THRESH) { /* 5681-6, 6582-5 */
        nst_board_mark_first_lost(t);
        enter_recovery(t);
    }
}

static void sack_acked(struct nst_tcb *t)
{
    bool lost = nst_board_mark_lost(t);

    if (lost && t->act->phase < NST_TCP_RECOVERY)
        enter_recovery(t);
}

/* Everything that was out at its beginning is acknowledged (6582-1, 6582-4, 6675-8). */
static void leave_recovery(struct nst_tcb *t)
{
    struct nst_cc *cc = &t->act->cc;

    if (t->act->phase == NST_TCP_RECOVERY && !cc->ops->control)
        cc->cwnd = nst_min32(cc->cwnd, nst_max32(cc->ssthresh, t->snd_mss));
    if (cc->ops->recovered)
        cc->ops->recovered(cc);
    t->act->phase = NST_TCP_OPEN;
    t->act->dupacks = 0;
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

void nst_recovery_acked(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    grow(t, a->congested ? 0 : a->delivered);
    if (t->act->phase >= NST_TCP_CONGESTED && nst_seq_ge(t->snd.una, t->act->recovery_point))
        leave_recovery(t);
    if (a->congested)
        congested(t, a->acked);
    if (t->sack_ok)
        sack_acked(t);
    else
        newreno_acked(t, a->acked, a->duplicate);
    if (t->act->phase < NST_TCP_CONGESTED)
        t->act->phase = t->act->board.sacked || t->act->dupacks ? NST_TCP_DISORDER : NST_TCP_OPEN;
}

/* RFC 5681 §3.1, RFC 6298 §5.4 to §5.7 (5681-4, 6298-10). What was out shrinks the window once: not
 * again when the timeout comes during the recovery from it, or repeatedly. */
void nst_recovery_timeout(struct nst_tcb *t)
{
    bool progress_since = t->act->phase == NST_TCP_LOSS && t->act->retries <= 1;

    if (t->act->phase < NST_TCP_CONGESTED || progress_since)
        shrink(t, flight(t));
    t->act->phase = NST_TCP_LOSS;
    t->act->recovery_point = t->snd.nxt;
    t->act->cc.cwnd = t->snd_mss;
    t->act->cc.cwnd_cnt = 0;
    t->act->dupacks = 0;
    nst_board_mark_all_lost(t);
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
