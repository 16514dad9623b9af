#include "core/tcp/hystart.h"

#include "core/base/bytes.h"

/* RFC 9406 §4.3 */
#define MIN_RTT_THRESH_US  4000
#define MAX_RTT_THRESH_US  16000
#define MIN_RTT_DIVISOR    8
#define N_RTT_SAMPLE       8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS         5
#define L                  8

#define NONE UINT32_MAX

/* Samples count from here on that bear so much more than `least_us`. */
static void watch(struct nst_hystart *h, uint32_t least_us, uint32_t more_us)
{
    h->late_us = least_us < NONE - more_us ? least_us + more_us : NONE;
}

static void begin_round(struct nst_hystart *h, const struct nst_cc *cc)
{
    h->last_us = h->current_us;
    if (h->css_rounds == 0)
        watch(h, h->last_us, MIN_RTT_THRESH_US);
    h->current_us = NONE;
    h->samples = 0;
    h->window_end = cc->nxt;
    if (h->css_rounds)
        h->css_rounds++;
}

static void sample(struct nst_hystart *h, nst_time rtt)
{
    uint32_t us = (uint32_t)nst_min(rtt / NST_US, NONE - 1);

    if (rtt == 0)
        return;
    h->current_us = nst_min32(h->current_us, us);
    if (h->samples < N_RTT_SAMPLE)
        h->samples++;
    if (us < h->late_us)
        h->late = 0;
    else if (h->late < N_RTT_SAMPLE)
        h->late++;
}

/* By how much the least delay of a round rises where it is more than noise. */
static uint32_t threshold(const struct nst_hystart *h)
{
    return nst_max32(MIN_RTT_THRESH_US, nst_min32(h->last_us / MIN_RTT_DIVISOR, MAX_RTT_THRESH_US));
}

/* 9406-1 */
static bool is_delayed(const struct nst_hystart *h)
{
    return h->last_us != NONE && h->current_us >= (uint64_t)h->last_us + threshold(h);
}

static void judge(struct nst_hystart *h)
{
    if (h->samples < N_RTT_SAMPLE)
        return;
    if (h->css_rounds == 0 && is_delayed(h)) {
        h->baseline_us = h->current_us;
        h->css_rounds = 1;
        h->late = 0;
        watch(h, h->last_us, threshold(h) + MIN_RTT_THRESH_US);
    } else if (h->css_rounds && h->current_us < h->baseline_us) { /* 9406-3 */
        h->baseline_us = NONE;
        h->css_rounds = 0;
        watch(h, h->last_us, MIN_RTT_THRESH_US);
    }
}

uint32_t nst_hystart_acked(struct nst_hystart *h, struct nst_cc *cc, uint32_t acked, nst_time rtt)
{
    if (!cc->hystart || cc->ssthresh != UINT32_MAX) /* 9406-5 */
        return acked;
    if (!h->begun) {
        h->begun = true;
        h->current_us = NONE;
        begin_round(h, cc);
    }
    sample(h, rtt);
    judge(h);
    if (nst_seq_ge(cc->una, h->window_end))
        begin_round(h, cc);
    bool queue = h->late >= N_RTT_SAMPLE;
    if (h->css_rounds > CSS_ROUNDS || (h->css_rounds && queue)) { /* 9406-4 */
        cc->ssthresh = cc->cwnd;
        return acked;
    }
    if (cc->paced && queue)
        return 0;
    if (!cc->paced) /* what isn't spread out must not grow in leaps (9406-6) */
        acked = nst_min32(acked, L * cc->mss);
    return h->css_rounds ? acked / CSS_GROWTH_DIVISOR : acked; /* 9406-2 */
}
