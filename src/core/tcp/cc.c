#include "core/tcp/cc.h"

#include <string.h>

#include "core/base/bytes.h"

#define WINDOW_MAX ((uint32_t)1 << 30)

/* What may be chosen (MAY-18). */
static const struct nst_cc_ops *const algorithms[] = {
    [NST_CC_CUBIC] = &nst_cc_cubic,
    [NST_CC_NEWRENO] = &nst_cc_newreno,
    [NST_CC_BBR] = &nst_cc_bbr,
};

const struct nst_cc_ops *nst_cc_find(const char *name)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(algorithms); i++)
        if (strcmp(algorithms[i]->name, name) == 0)
            return algorithms[i];
    return NULL;
}

const struct nst_cc_ops *nst_cc_of(const struct nst_cc_kept *kept)
{
    return algorithms[kept->number];
}

const char *nst_cc_name(size_t index)
{
    return index < NST_ARRAY_LEN(algorithms) ? algorithms[index]->name : NULL;
}

void nst_cc_begin(struct nst_cc *cc, const struct nst_cc_kept *kept)
{
    void *model = cc->model;

    *cc = (struct nst_cc){.ops = nst_cc_of(kept),
                          .cwnd = kept->cwnd,
                          .ssthresh = kept->ssthresh,
                          .cwnd_max = UINT32_MAX,
                          .model = model};
    if (model)
        memset(model, 0, cc->ops->model_bytes);
    memcpy(cc->kept, kept->kept, sizeof cc->kept);
}

void nst_cc_rest(struct nst_cc *cc, struct nst_cc_kept *kept)
{
    cc->ops->rest(cc);
    kept->cwnd = cc->cwnd;
    kept->ssthresh = cc->ssthresh;
    memcpy(kept->kept, cc->kept, sizeof kept->kept);
}

uint32_t nst_cc_initial_window(uint32_t mss)
{
    uint32_t large = 2 * mss > 14600 ? 2 * mss : 14600;

    return 10 * mss < large ? 10 * mss : large;
}

/* Back to the initial window (5681-9). */
void nst_cc_slow_start_restart(struct nst_cc *cc)
{
    uint32_t initial = nst_cc_initial_window(cc->mss);

    if (cc->cwnd > initial)
        cc->cwnd = initial;
    cc->cwnd_cnt = 0;
}

void nst_cc_grow(struct nst_cc *cc, uint32_t bytes)
{
    uint32_t limit = cc->cwnd_max < WINDOW_MAX ? cc->cwnd_max : WINDOW_MAX;

    if (cc->cwnd >= limit)
        return;
    cc->cwnd += bytes < limit - cc->cwnd ? bytes : limit - cc->cwnd;
}

/* A byte for each byte acknowledged (MUST-19, 5681-1, 9438-9). */
uint32_t nst_cc_slow_start(struct nst_cc *cc, uint32_t acked)
{
    if (acked > cc->cwnd)
        acked = cc->cwnd;
    if (cc->cwnd >= cc->ssthresh)
        return acked;
    uint32_t room = cc->ssthresh - cc->cwnd;
    uint32_t used = acked < room ? acked : room;
    nst_cc_grow(cc, used);
    return acked - used;
}
