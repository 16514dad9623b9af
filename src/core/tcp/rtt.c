#include "core/tcp/rtt.h"

/* Doublings after which the least timeout has passed NST_RTO_MAX. */
#define BACKOFF_ENOUGH 10

_Static_assert(NST_RTO_VAR_MIN << BACKOFF_ENOUGH >= NST_RTO_MAX, "capped before it is largest");

static nst_time at_most(nst_time value, nst_time limit)
{
    return value < limit ? value : limit;
}

/* RFC 6298 §2.3, §5.5 (6298-11), §2.5 (6298-5). The sum is at most 3 * NST_RTO_MAX: shifting cannot
 * overflow. */
static void set_rto(struct nst_rtt *rtt)
{
    nst_time var = 4 * rtt->rttvar;
    nst_time rto = rtt->srtt + (var > NST_RTO_VAR_MIN ? var : NST_RTO_VAR_MIN);
    unsigned shift = rtt->backoff < BACKOFF_ENOUGH ? rtt->backoff : BACKOFF_ENOUGH;

    rtt->rto = at_most(rto << shift, NST_RTO_MAX);
}

void nst_rtt_init(struct nst_rtt *rtt)
{
    *rtt = (struct nst_rtt){.rttvar = NST_RTO_INITIAL / 4};
    set_rto(rtt);
}

/* 6298-3: the deviation first, from the old mean. Alpha is 1/8, beta 1/4. */
static void smooth(struct nst_rtt *rtt, nst_time sample)
{
    nst_time off = sample > rtt->srtt ? sample - rtt->srtt : rtt->srtt - sample;

    rtt->rttvar = (3 * rtt->rttvar + off) / 4;
    rtt->srtt = (7 * rtt->srtt + sample) / 8;
}

/* A clock that went backwards makes every age huge: the minimum begins anew. */
static void take_min(struct nst_rtt *rtt, nst_time sample, nst_time now)
{
    if (now - rtt->min_at >= NST_RTT_MIN_WINDOW) {
        rtt->min_rtt = rtt->heir_rtt;
        rtt->min_at = rtt->heir_at;
        rtt->heir_rtt = 0;
    }
    nst_time age = now - rtt->min_at;
    if (rtt->min_rtt == 0 || sample <= rtt->min_rtt || age >= NST_RTT_MIN_WINDOW) {
        rtt->min_rtt = sample;
        rtt->min_at = now;
        rtt->heir_rtt = 0;
    } else if (age >= NST_RTT_MIN_WINDOW / 2 && (rtt->heir_rtt == 0 || sample <= rtt->heir_rtt)) {
        rtt->heir_rtt = sample;
        rtt->heir_at = now;
    }
}

void nst_rtt_sample(struct nst_rtt *rtt, nst_time sample, nst_time now)
{
    sample = sample == 0 ? 1 : at_most(sample, NST_RTO_MAX);
    take_min(rtt, sample, now);
    if (rtt->srtt == 0) { /* 6298-2 */
        rtt->srtt = sample;
        rtt->rttvar = sample / 2;
    } else {
        smooth(rtt, sample);
    }
    rtt->backoff = 0;
    set_rto(rtt);
}

void nst_rtt_backoff(struct nst_rtt *rtt)
{
    if (rtt->backoff < UINT8_MAX)
        rtt->backoff++;
    set_rto(rtt);
}

void nst_rtt_reset_backoff(struct nst_rtt *rtt)
{
    rtt->backoff = 0;
    set_rto(rtt);
}

void nst_rtt_syn_was_lost(struct nst_rtt *rtt)
{
    if (rtt->srtt == 0)
        rtt->rttvar = NST_RTO_FALLBACK / 4;
    nst_rtt_reset_backoff(rtt);
}
