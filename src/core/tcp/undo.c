/* Reductions of the window that were wrong: nothing had been lost, it was late.
 *
 *     Eifel (RFC 3522)   the acknowledgement of what was sent again first echoes a timestamp that
 * is older than that: so it is the original's DSACK (RFC 3708)   everything that was sent again
 * came twice F-RTO (RFC 5682)   is recovery.c's
 *
 * The window becomes what it was (RFC 4015 §3.2), as in Linux. Only duplicates of what was sent
 * again count, and only as many bytes of it: a receiver that lies about them gains what it would by
 * hiding losses, no more. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

/* 4015-1 */
void nst_undo_begin(struct nst_tcb *t)
{
    t->act->undo = (struct nst_tcp_undo){.cwnd = t->act->cc.cwnd,
                                         .ssthresh = t->act->cc.ssthresh,
                                         .possible = t->opt.recovery & NST_TCP_RECOVERY_UNDO};
}

void nst_undo_resent(struct nst_tcb *t, nst_seq start, nst_seq end)
{
    struct nst_tcp_undo *u = &t->act->undo;

    if (!u->resent) { /* 3522-2 */
        u->resent = true;
        u->first_ts = nst_tcp_ts(t->tcps, t->ts_offset);
        u->first_end = u->to = end;
        u->from = start;
    }
    u->from = nst_seq_min(u->from, start);
    u->to = nst_seq_max(u->to, end);
    u->resent_bytes += (uint32_t)nst_seq_diff(end, start);
}

/* 3522-1, 3522-3. While more that was sent again is out, not everything need have been late. */
static bool was_late(const struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    const struct nst_tcp_undo *u = &t->act->undo;

    return u->resent && a->acked && a->has_ecr && nst_seq_ge(t->snd.una, u->first_end) &&
           (int32_t)(a->ecr - u->first_ts) < 0 &&
           (t->act->phase == NST_TCP_LOSS ||
            (t->act->phase == NST_TCP_RECOVERY && t->act->board.retrans == 0));
}

/* A duplicate of what was sent again (3522-4). */
static void count_twice(struct nst_tcb *t, const struct nst_tcp_sack *block)
{
    struct nst_tcp_undo *u = &t->act->undo;
    uint32_t len = (uint32_t)nst_seq_diff(block->end, block->start);

    if (u->resent && nst_seq_ge(block->start, u->from) && nst_seq_le(block->end, u->to))
        u->dsacked_bytes += nst_min32(len, u->resent_bytes - u->dsacked_bytes);
}

bool nst_undo_acked(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    struct nst_tcp_undo *u = &t->act->undo;
    bool over = nst_seq_ge(t->snd.una, t->act->recovery_point);

    if (over && nst_seq_gt(t->snd.una, nst_seq_add(t->act->recovery_point, t->snd.max_wnd)))
        u->possible = false; /* whatever comes now is about something else */
    if (!u->possible)
        return false;
    if (a->dsack)
        count_twice(t, a->dsack);
    bool all_twice = u->resent_bytes && u->dsacked_bytes == u->resent_bytes;
    bool all_once = t->act->phase >= NST_TCP_RECOVERY && over && !u->resent;
    return all_twice || all_once || was_late(t, a);
}

/* 4015-2, 4015-3 */
void nst_undo_do(struct nst_tcb *t)
{
    struct nst_cc *cc = &t->act->cc;

    if (!cc->ops->control)
        cc->cwnd = nst_max32(cc->cwnd, t->act->undo.cwnd);
    cc->ssthresh = nst_max32(cc->ssthresh, t->act->undo.ssthresh);
    cc->ops->undo(cc);
    nst_board_unmark_lost(t);
    t->act->undo.possible = false;
    nst_tcb_trouble(t)->undos++;
    NST_COUNT(t->tcps->env, tcp_undos);
}
