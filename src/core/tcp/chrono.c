#include "core/tcp/chrono.h"

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

static enum nst_chrono_kind kind_of(const struct nst_tcb *t)
{
    int32_t wnd = nst_seq_diff(nst_seq_add(t->snd.una, t->snd.wnd), t->snd.nxt);
    int32_t waiting = nst_seq_diff(t->act->sendq.end, t->snd.nxt);

    if (nst_tcb_unacked(t) == 0)
        return NST_CHRONO_IDLE;
    if (waiting > 0 && wnd < waiting && wnd < t->snd_mss &&
        nst_board_pipe(t) + t->snd_mss <= t->act->cc.cwnd)
        return NST_CHRONO_RWND_LIMITED;
    if (waiting <= 0 && t->tx_blocked && !t->cwnd_was_full)
        return NST_CHRONO_SNDBUF_LIMITED;
    return NST_CHRONO_BUSY;
}

void nst_chrono_update(struct nst_tcb *t)
{
    struct nst_chrono *c = &t->act->chrono;
    enum nst_chrono_kind kind = kind_of(t);

    if (kind == c->kind)
        return;
    c->sum[c->kind] += t->tcps->env->now - c->since;
    c->since = t->tcps->env->now;
    c->kind = (uint8_t)kind;
}

void nst_chrono_rest(struct nst_tcb *t)
{
    for (unsigned kind = NST_CHRONO_BUSY; kind < NST_CHRONO_KINDS; kind++)
        t->chrono.ms[kind - 1] = (uint32_t)(nst_chrono_time(t, kind) / NST_MS);
}

nst_time nst_chrono_time(const struct nst_tcb *t, enum nst_chrono_kind kind)
{
    const struct nst_chrono *c = t->act ? &t->act->chrono : NULL;
    nst_time before = t->chrono.ms[kind - 1] * NST_MS;

    if (!c)
        return before;
    return before + c->sum[kind] + (c->kind == kind ? t->tcps->env->now - c->since : 0);
}
