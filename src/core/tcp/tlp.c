/* Tail loss probes (RFC 8985 §7): when the last segments of a flight are lost, nothing comes back
 * that would tell. So after two round trips of silence, before the timeout, one segment more is
 * sent: new data, or the last segment again. Its acknowledgement bears the SACK from which RACK
 * sees what is lost before it.
 *
 * If the probe itself made good the only loss, nothing else tells: the window shrinks for it when
 * everything that was out is acknowledged and no duplicate was reported. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define MAX_ACK_DELAY (200 * NST_MS) /* of a lone segment's acknowledgement: RFC 8985 §7.2 */
#define PTO_UNKNOWN   (1 * NST_SEC)  /* without a round trip measured */
#define SLACK         (2 * NST_MS)   /* as in Linux: of the peer's and our timers */

/* 8985-14, 8985-16: one at a time, and only when nothing else would find a loss. */
static bool is_useful(const struct nst_tcb *t)
{
    bool is_out = nst_seq_lt(t->snd.una, t->snd.nxt);

    return t->sack_ok && t->opt.recovery & NST_TCP_RECOVERY_TLP && is_out && !t->act->tlp.out &&
           t->snd.wnd > 0 && t->state >= NST_TCP_ESTABLISHED && t->act->phase < NST_TCP_RECOVERY &&
           t->act->board.sacked == 0 && t->act->board.lost == 0;
}

/* TLP_calc_PTO() (8985-15). */
static nst_time pto(const struct nst_tcb *t)
{
    bool alone = (uint32_t)nst_seq_diff(t->snd.nxt, t->snd.una) <= t->snd_mss;

    if (t->rtt.srtt == 0)
        return PTO_UNKNOWN;
    return 2 * t->rtt.srtt + (alone ? MAX_ACK_DELAY : SLACK);
}

void nst_tlp_schedule(struct nst_tcb *t)
{
    if (!is_useful(t)) {
        nst_tcb_clear(t, NST_TCP_DL_PTO);
        return;
    }
    nst_tcb_set(t, NST_TCP_DL_PTO,
                nst_min(t->tcps->env->now + pto(t), t->act->deadlines[NST_TCP_DL_RTO]));
}

bool nst_tlp_take_due(struct nst_tcb *t)
{
    bool due = t->act->tlp.due && is_useful(t);

    t->act->tlp.due = false;
    return due;
}

void nst_tlp_sent(struct nst_tcb *t, uint32_t again_bytes)
{
    t->act->tlp =
        (struct nst_tcp_tlp){.end_seq = t->snd.nxt, .again_bytes = again_bytes, .out = true};
    nst_tcb_clear(t, NST_TCP_DL_PTO);
    nst_tcb_trouble(t)->probes++;
    NST_COUNT(t->tcps->env, tcp_loss_probes);
}

void nst_tlp_stop(struct nst_tcb *t)
{
    t->act->tlp.out = t->act->tlp.due = false;
    nst_tcb_clear(t, NST_TCP_DL_PTO);
}

bool nst_tlp_came_twice(const struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    const struct nst_tcp_tlp *p = &t->act->tlp;

    return p->out && a->dsack && nst_seq_eq(a->dsack->end, p->end_seq);
}

bool nst_tlp_acked(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    struct nst_tcp_tlp *p = &t->act->tlp;

    if (!p->out || nst_seq_lt(t->snd.una, p->end_seq))
        return false;
    bool twice = nst_tlp_came_twice(t, a);
    bool beyond = nst_seq_gt(t->snd.una, p->end_seq);
    if (p->again_bytes == 0 || twice || beyond || (a->duplicate && a->sacked == 0))
        p->out = false;
    return p->again_bytes && !twice && beyond; /* 8985-18 */
}
