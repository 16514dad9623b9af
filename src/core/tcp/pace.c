#include "core/tcp/pace.h"

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define FIRST_SEGMENTS 10
#define QUANTUM_TIME   (1 * NST_MS)
#define SLOW           150000 /* bytes a second, 1.2 Mb/s: below it one segment is a quantum */

/* What the window is worth: cwnd is at most 2^30, so nothing overflows. */
static uint64_t rate_of_window(const struct nst_tcb *t)
{
    uint64_t rate = t->rtt.srtt ? t->act->cc.cwnd * NST_SEC / t->rtt.srtt : 0;

    return t->act->cc.cwnd < t->act->cc.ssthresh / 2 ? 2 * rate : rate + rate / 5;
}

void nst_pace_update(struct nst_tcb *t)
{
    struct nst_pace *p = &t->act->pace;
    uint64_t rate = t->act->cc.pacing_rate;

    if (!rate && t->opt.pacing)
        rate = rate_of_window(t);
    if (t->opt.max_pacing_rate)
        rate = rate ? nst_min(rate, t->opt.max_pacing_rate) : t->opt.max_pacing_rate;
    p->bytes_per_sec = rate;
}

uint32_t nst_pace_quantum(const struct nst_tcb *t)
{
    uint64_t rate = t->act->pace.bytes_per_sec, mss = t->snd_mss;
    uint64_t least = rate < SLOW ? mss : 2 * mss;

    if (!rate || t->count.data_segs_out < FIRST_SEGMENTS)
        return UINT32_MAX;
    return (uint32_t)nst_min(nst_max(rate / (NST_SEC / QUANTUM_TIME), least), UINT32_MAX);
}

bool nst_pace_holds(struct nst_tcb *t)
{
    if (!t->act->pace.bytes_per_sec || t->tcps->env->now >= t->act->pace.at)
        return false;
    if (nst_tcb_deadline(t, NST_TCP_DL_PACE) != t->act->pace.at)
        nst_tcb_set(t, NST_TCP_DL_PACE, t->act->pace.at);
    if (!nst_tcb_waits(t))
        nst_tcb_clear(t, NST_TCP_DL_RTO);
    return true;
}

void nst_pace_sent(struct nst_tcb *t, uint32_t len)
{
    nst_time now = t->tcps->env->now;
    uint64_t rate = t->act->pace.bytes_per_sec;

    nst_tcb_clear(t, NST_TCP_DL_PACE);
    if (!rate)
        return;
    uint64_t burst = nst_max(nst_cc_initial_window(t->snd_mss) * NST_SEC / rate, QUANTUM_TIME);
    t->act->pace.at = nst_max(t->act->pace.at, now - nst_min(now, burst)) + len * NST_SEC / rate;
}
