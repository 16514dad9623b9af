/* Congestion avoidance as RFC 5681 has it: a segment more for each window acknowledged, half as
 * much after a loss. ("New" is the recovery of RFC 6582, which every algorithm shares.) Growth
 * counts acknowledged bytes (5681-2, 5681-5, RFC 3465 §2.1). */
#include "core/tcp/hystart.h"

static struct nst_hystart *hystart_of(struct nst_cc *cc)
{
    return (struct nst_hystart *)(void *)cc->state;
}

static void forget_count(struct nst_cc *cc)
{
    cc->cwnd_cnt = 0;
}

static void acked(struct nst_cc *cc, uint32_t acked, nst_time rtt)
{
    acked = nst_hystart_acked(hystart_of(cc), cc, acked, rtt);
    if (!cc->cwnd_limited) /* 5681-12 */
        return;
    uint64_t count = (uint64_t)cc->cwnd_cnt + nst_cc_slow_start(cc, acked);
    if (count >= cc->cwnd) {
        count -= cc->cwnd;
        nst_cc_grow(cc, cc->mss);
    }
    cc->cwnd_cnt = (uint32_t)count;
}

/* 5681-3, equation 4. What limited transmit sent beyond the window is not to count. */
static uint32_t ssthresh(struct nst_cc *cc, uint32_t flight)
{
    uint32_t half = (flight < cc->cwnd ? flight : cc->cwnd) / 2;

    forget_count(cc);
    return half > 2 * cc->mss ? half : 2 * cc->mss;
}

static void restart(struct nst_cc *cc, nst_time idle)
{
    (void)idle;
    forget_count(cc);
}

const struct nst_cc_ops nst_cc_newreno = {
    .name = "reno",
    .number = NST_CC_NEWRENO,
    .init = forget_count,
    .rest = forget_count,
    .acked = acked,
    .ssthresh = ssthresh,
    .timeout = forget_count,
    .undo = forget_count,
    .restart = restart,
};
