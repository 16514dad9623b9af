#include "core/tcp/rtt.h"

/* Doublings after which the least timeout has passed NST_RTO_MAX. */
#define BACKOFF_ENOUGH 10

#define MIN_WINDOW_MS (uint32_t)(NST_RTT_MIN_WINDOW / NST_MS)

_Static_assert(NST_RTO_VAR_MIN << BACKOFF_ENOUGH >= NST_RTO_MAX, "capped before it is largest");

static nst_time at_most(nst_time value, nst_time limit)
{
    return value < limit ? value : limit;
}

/* RFC 6298 §2.3. */
static nst_time timeout_of(nst_time srtt, nst_time rttvar)
{
    nst_time var = 4 * rttvar;

    return srtt + (var > NST_RTO_VAR_MIN ? var : NST_RTO_VAR_MIN);
}

/* RFC 6298 §5.5 (6298-11), §2.5 (6298-5). What is shifted is at most 5 * NST_RTO_MAX: that cannot
 * overflow. */
nst_time nst_rtt_rto(const struct nst_rtt *rtt)
{
    nst_time rto = timeout_of(rtt->srtt, rtt->rttvar), least = rtt->least_rto_us * NST_US;
    unsigned shift = rtt->backoff < BACKOFF_ENOUGH ? rtt->backoff : BACKOFF_ENOUGH;

    return at_most((rto > least ? rto : least) << shift, NST_RTO_MAX);
}

nst_time nst_rtt_min(const struct nst_rtt *rtt)
{
    return rtt->min_us * NST_US;
}

void nst_rtt_init(struct nst_rtt *rtt)
{
    *rtt = (struct nst_rtt){.rttvar = NST_RTO_INITIAL / 4};
}

/* 6298-3: the deviation first, from the old mean. Alpha is 1/8, beta 1/4. */
static void smooth(struct nst_rtt *rtt, nst_time sample)
{
    nst_time off = sample > rtt->srtt ? sample - rtt->srtt : rtt->srtt - sample;

    rtt->rttvar = (3 * rtt->rttvar + off) / 4;
    rtt->srtt = (7 * rtt->srtt + sample) / 8;
}

/* A clock that went backwards makes every age huge: the minimum begins anew. */
static void take_min(struct nst_rtt *rtt, uint32_t sample_us, uint32_t now_ms)
{
    if (now_ms - rtt->min_at_ms >= MIN_WINDOW_MS) {
        rtt->min_us = rtt->heir_us;
        rtt->min_at_ms = rtt->heir_at_ms;
        rtt->heir_us = 0;
    }
    uint32_t age_ms = now_ms - rtt->min_at_ms;
    if (rtt->min_us == 0 || sample_us <= rtt->min_us || age_ms >= MIN_WINDOW_MS) {
        rtt->min_us = sample_us;
        rtt->min_at_ms = now_ms;
        rtt->heir_us = 0;
    } else if (age_ms >= MIN_WINDOW_MS / 2 && (!rtt->heir_us || sample_us <= rtt->heir_us)) {
        rtt->heir_us = sample_us;
        rtt->heir_at_ms = now_ms;
    }
}

void nst_rtt_sample(struct nst_rtt *rtt, nst_time sample, nst_time now)
{
    sample = sample == 0 ? 1 : at_most(sample, NST_RTO_MAX);
    take_min(rtt, (uint32_t)((sample + NST_US - 1) / NST_US), (uint32_t)(now / NST_MS));
    if (rtt->srtt == 0) { /* 6298-2 */
        rtt->srtt = sample;
        rtt->rttvar = sample / 2;
    } else {
        smooth(rtt, sample);
    }
    rtt->least_rto_us = 0;
    rtt->backoff = 0;
}

/* Whatever was measured stays as it is (as in Linux): what is remembered is no sample. */
void nst_rtt_expect(struct nst_rtt *rtt, nst_time srtt, nst_time rttvar)
{
    nst_time rto = timeout_of(at_most(srtt, NST_RTO_MAX), at_most(rttvar, NST_RTO_MAX));

    rtt->least_rto_us = (uint32_t)(at_most(rto, NST_RTO_FALLBACK) / NST_US);
}

void nst_rtt_backoff(struct nst_rtt *rtt)
{
    if (rtt->backoff < UINT8_MAX)
        rtt->backoff++;
}

void nst_rtt_reset_backoff(struct nst_rtt *rtt)
{
    rtt->backoff = 0;
}

void nst_rtt_syn_was_lost(struct nst_rtt *rtt)
{
    if (rtt->srtt == 0)
        rtt->rttvar = NST_RTO_FALLBACK / 4;
    nst_rtt_reset_backoff(rtt);
}
