/* How much a path loses by chance: what has nothing to do with how much is sent.
 *
 * To a congestion control that bears so many losses and no more, a radio link that loses 3 % is a
 * congested path, of which it leaves nearly all unused. What tells the two apart is the queue: who
 * sends too much fills it first, and the round trips grow. So losses are counted as chance
 *
 *     - in rounds at whose end what was lost was sent no faster than the path had delivered before:
 *       the owner says which these are;
 *     - while there was no queue: the least round trip of the round is within a thirty-second, or
 *       half a millisecond, of the least that there is. Fewer than eight of them tell nothing.
 *
 * 512 segments of such rounds make a share; the lesser of the last two is the chance, a tenth at
 * most. Rounds with a queue can lower it, never raise it nor begin it. Before the first share is
 * there, up to a tenth is taken for chance where there is no queue, and nothing where there is one.
 *
 * What that costs: a queue that is too short to be seen looks like chance. Flows that share one
 * bear more of each other's losses than they should: in tests/sim/fairness.txt 16 flows lose 23 %
 * instead of 4 % where there is room for five packets, 0.6 ms; with room for 16 they lose 6 %.
 * The bound of a tenth keeps that from growing.
 *
 * Numbers of losses vary by the square root of what one expects. A judgement takes that into
 * account, so that small numbers don't decide. */
#ifndef NST_TCP_CHANCE_H
#define NST_TCP_CHANCE_H

#include "core/base/timer.h"

#define NST_CHANCE_ONE    65536 /* shares are in such parts of what is sent */
#define NST_CHANCE_SHARES 2

struct nst_chance_count {
    uint64_t sent, lost; /* bytes */
};

/* Zero: nothing is known. */
struct nst_chance {
    struct nst_chance_count calm, queued; /* of rounds without a queue, and with one */
    uint32_t shares[NST_CHANCE_SHARES];   /* in turn */
    uint32_t count;                       /* of them, ever; stays at the largest number */
    nst_time rtt;                         /* the least of this round */
    uint32_t samples;                     /* of it */
    bool queue;                           /* there was one in the last round that told */
};

/* A segment took so long. 0 tells nothing. */
void nst_chance_sample(struct nst_chance *c, nst_time rtt);

/* A round is over; `min_rtt` is that of the path without a queue. */
void nst_chance_round(struct nst_chance *c, nst_time min_rtt);

/* What came of a round in which nothing was provoked: of `sent` bytes in segments of `mss`, `lost`
 * were lost. Belongs behind nst_chance_round(). */
void nst_chance_learn(struct nst_chance *c, uint32_t mss, uint64_t sent, uint64_t lost);

/* The share that is taken for chance now. */
uint32_t nst_chance_share(const struct nst_chance *c);

/* `lost` of `sent` bytes is more than `percent` of them, beside what is chance, and beside what the
 * numbers vary by: the root of what `percent` makes of them, and three times that of chance. */
bool nst_chance_exceeded(const struct nst_chance *c, uint32_t mss, uint64_t sent, uint64_t lost,
                         uint32_t percent);

/* So much is enough to judge by. Where there is a queue, or chance has no part in it, anything is;
 * otherwise 256 segments, which a short flight takes some rounds to send. */
bool nst_chance_can_judge(const struct nst_chance *c, uint32_t mss, uint64_t sent);

#endif
