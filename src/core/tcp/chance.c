#include "core/tcp/chance.h"

#include "core/base/bytes.h"

#define CHANCE_MAX      (NST_CHANCE_ONE / 10)
#define LEARNT_SEGMENTS 512
#define JUDGED_SEGMENTS 256
#define QUEUE_MIN       (500 * NST_US)
#define QUEUE_DIVISOR   32
#define QUEUE_SAMPLES   8
#define DEVIATIONS      3 /* of chance, which is asked about with every loss */

void nst_chance_sample(struct nst_chance *c, nst_time rtt)
{
    if (!rtt)
        return;
    c->rtt = c->samples ? nst_min(c->rtt, rtt) : rtt;
    c->samples++;
}

void nst_chance_round(struct nst_chance *c, nst_time min_rtt)
{
    if (c->samples < QUEUE_SAMPLES)
        return;
    c->queue = c->rtt > min_rtt + nst_max(min_rtt / QUEUE_DIVISOR, QUEUE_MIN);
    c->samples = 0;
}

static uint32_t least_share(const struct nst_chance *c)
{
    uint32_t least = CHANCE_MAX;

    for (unsigned i = 0; i < NST_CHANCE_SHARES && i < c->count; i++)
        least = nst_min32(least, c->shares[i]);
    return c->count ? least : 0;
}

static void add_share(struct nst_chance *c, uint32_t share)
{
    c->shares[c->count % NST_CHANCE_SHARES] = share;
    c->count = c->count == UINT32_MAX ? NST_CHANCE_SHARES : c->count + 1;
}

void nst_chance_learn(struct nst_chance *c, uint32_t mss, uint64_t sent, uint64_t lost)
{
    struct nst_chance_count *n = c->queue ? &c->queued : &c->calm;

    n->sent += sent;
    n->lost += lost;
    if (n->sent < (uint64_t)LEARNT_SEGMENTS * mss)
        return;
    uint32_t share = (uint32_t)nst_min(n->lost * NST_CHANCE_ONE / n->sent, CHANCE_MAX);
    *n = (struct nst_chance_count){.sent = 0};
    if (!c->queue || share < least_share(c))
        add_share(c, share);
}

uint32_t nst_chance_share(const struct nst_chance *c)
{
    return c->count || c->queue ? least_share(c) : CHANCE_MAX;
}

bool nst_chance_exceeded(const struct nst_chance *c, uint32_t mss, uint64_t sent, uint64_t lost,
                         uint32_t percent)
{
    uint64_t bearable = sent * percent / 100;
    uint64_t chance = sent * nst_chance_share(c) / NST_CHANCE_ONE;
    uint64_t excess = lost - nst_min(lost, bearable + chance);

    return excess * excess > (bearable + DEVIATIONS * DEVIATIONS * chance) * mss;
}

bool nst_chance_can_judge(const struct nst_chance *c, uint32_t mss, uint64_t sent)
{
    return c->queue || !nst_chance_share(c) || sent >= (uint64_t)JUDGED_SEGMENTS * mss;
}
