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

static void begin_round(struct nst_hystart *h, const struct nst_cc *cc)
{
    h->last_us = h->current_us;
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
}

/* 9406-1: the delay has risen by more than noise. */
static bool is_delayed(const struct nst_hystart *h)
{
    uint32_t thresh = h->last_us / MIN_RTT_DIVISOR;

    if (h->last_us == NONE)
        return false;
    thresh = nst_max32(MIN_RTT_THRESH_US, nst_min32(thresh, MAX_RTT_THRESH_US));
    return h->current_us >= (uint64_t)h->last_us + thresh;
}

static void judge(struct nst_hystart *h)
{
    if (h->samples < N_RTT_SAMPLE)
        return;
    if (h->css_rounds == 0 && is_delayed(h)) {
        h->baseline_us = h->current_us;
        h->css_rounds = 1;
    } else if (h->css_rounds && h->current_us < h->baseline_us) { /* 9406-3 */
        h->baseline_us = NONE;
        h->css_rounds = 0;
    } else if (h->css_rounds && h->current_us >= (uint64_t)h->baseline_us + MIN_RTT_THRESH_US) {
        h->css_rounds = CSS_ROUNDS + 1; /* that was no noise: the queue goes on growing */
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
    if (h->css_rounds > CSS_ROUNDS) { /* 9406-4 */
        cc->ssthresh = cc->cwnd;
        return acked;
    }
    if (!cc->paced) /* what isn't spread out must not grow in leaps (9406-6) */
        acked = nst_min32(acked, L * cc->mss);
    return h->css_rounds ? acked / CSS_GROWTH_DIVISOR : acked; /* 9406-2 */
}
