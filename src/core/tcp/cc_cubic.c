/* CUBIC (RFC 9438), the usual algorithm of the Internet's senders.
 *
 * After a loss at the window W_max, the window follows a cubic curve of time: steeply up at first,
 * flat about W_max, which it reaches after K seconds, and steeply up again beyond, where nothing is
 * known yet:
 *
 *     W_cubic(t) = C (t - K)^3 + W_max      segments, with C = 0.4
 *
 * On short or slow paths that is less than Reno would reach; there the window is W_est, which
 * models Reno with CUBIC's gentler decrease. Growth so depends on time, not on round trips, and
 * time in which the application left the window unused must not count: it moves the curve's
 * beginning on.
 *
 * The numbers: windows are in bytes, times in ticks of 2^-20 s, below 2^30 (17 minutes, when any
 * curve has left the largest window behind). Fractions of a byte are carried from ACK to ACK, so
 * that the size of the ACKs doesn't matter. */
#include "core/tcp/hystart.h"

#include <assert.h>

/* The part of the window that a loss leaves: 717/1024, 0.7 (9438-1). */
#define BETA     717
#define BETA_ONE 1024

#define TICK_BITS 20
#define T_BITS    30
#define T_MAX     (((uint32_t)1 << T_BITS) - 1)

struct curve {
    nst_time epoch; /* when t was 0; NST_TIME_NEVER: congestion avoidance has to begin yet */
    uint32_t k;     /* when the curve meets w_max, ticks after the epoch */
    uint32_t w_max;
    uint32_t w_est;
    uint32_t cwnd_prior; /* the window before the last loss; 0: none yet */
};

struct cubic {
    struct curve curve;
    struct curve before; /* the last reduction, for undoing that */
    nst_time last_ack;
    uint32_t est_cnt; /* for w_est what cwnd_cnt is for cwnd */
    struct nst_hystart hystart;
};

_Static_assert(sizeof(struct cubic) <= NST_CC_STATE_BYTES, "CUBIC's state has to fit");

/* Nothing else ever accesses these bytes, except to copy or to clear them. */
static struct cubic *state_of(struct nst_cc *cc)
{
    return (struct cubic *)(void *)cc->state;
}

static uint32_t saturate(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static uint32_t ticks(nst_time time)
{
    if (time >= NST_SEC << (T_BITS - TICK_BITS))
        return T_MAX;
    return (uint32_t)((time << TICK_BITS) / NST_SEC);
}

/* C t^3, in 2^-16 bytes: rounded down, by less than a tenth of a segment. */
static uint64_t rise(uint32_t t, uint32_t mss)
{
    uint64_t square = (uint64_t)t * t >> 26; /* in 2^-14 s^2, below 2^34 */
    uint64_t cube = square * t >> 18;        /* in 2^-16 s^3, below 2^46 */

    return cube * mss * 2 / 5;
}

/* When the curve has risen by `bytes`: the cube root of RFC 9438 §4.2, equation 2, found bit by bit
 * as the inverse of rise(), so that the curve begins at the window that there is. */
static uint32_t rise_time(uint32_t bytes, uint32_t mss)
{
    uint32_t t = 0;

    for (uint32_t bit = (uint32_t)1 << (T_BITS - 1); bit > 0; bit >>= 1)
        if (rise(t | bit, mss) < (uint64_t)bytes << 16)
            t |= bit;
    return t;
}

/* 9438-2, equation 1. */
static uint32_t w_cubic(const struct curve *w, nst_time time, uint32_t mss)
{
    uint32_t t = ticks(time);

    if (t >= w->k)
        return saturate(w->w_max + (rise(t - w->k, mss) >> 16));
    uint64_t below = rise(w->k - t, mss) >> 16;
    return below < w->w_max ? w->w_max - (uint32_t)below : 0; /* 0: the mss has grown since */
}

/* `amount` divided by `whole`, with what the last division left over (less than `whole`, unless the
 * owner has reduced the window since). */
static uint32_t divide(uint64_t amount, uint32_t whole, uint32_t *left)
{
    assert(whole > 0);
    amount += *left % whole;
    *left = (uint32_t)(amount % whole);
    return saturate(amount / whole);
}

/* Congestion avoidance begins, after a loss (RFC 9438 §4.2) or, where there is no W_max above the
 * window, after a timeout or a slow start that ended without loss (§4.8, §4.10). */
static void begin(struct nst_cc *cc, struct cubic *c)
{
    struct curve *w = &c->curve;

    if (w->w_max < cc->cwnd)
        w->w_max = cc->cwnd;
    w->k = rise_time(w->w_max - cc->cwnd, cc->mss);
    w->epoch = cc->now;
    w->w_est = cc->cwnd;
    c->est_cnt = 0;
    cc->cwnd_cnt = 0;
}

/* Time that passed without the window's being used does not count (9438-7). */
static void postpone(struct nst_cc *cc, struct curve *w, nst_time by)
{
    if (w->epoch >= cc->now)
        return;
    w->epoch += by < cc->now - w->epoch ? by : cc->now - w->epoch;
}

/* RFC 9438 §4.3: alpha is 3 (1 - beta) / (1 + beta), and 1 as soon as the loss is made good. */
static void grow_est(struct nst_cc *cc, struct cubic *c, uint32_t acked)
{
    struct curve *w = &c->curve;
    uint64_t amount = (uint64_t)acked * cc->mss;

    if (w->w_est < w->cwnd_prior)
        amount = amount * 3 * (BETA_ONE - BETA) / (BETA_ONE + BETA);
    w->w_est = saturate((uint64_t)w->w_est + divide(amount, cc->cwnd, &c->est_cnt));
}

/* The Reno-friendly region (9438-3). The window is W_est, but doesn't leap to it when that
 * was held down for another reason. */
static void follow_est(struct nst_cc *cc, uint32_t w_est, uint32_t acked)
{
    if (w_est > cc->cwnd)
        nst_cc_grow(cc, w_est - cc->cwnd < acked ? w_est - cc->cwnd : acked);
}

/* The concave and the convex region (RFC 9438 §4.4, §4.5; 9438-8): in a round trip's time the
 * window is to be where the curve is then, within the bounds of §4.2. */
static void follow_curve(struct nst_cc *cc, uint32_t target, uint32_t acked)
{
    uint32_t ahead = target > cc->cwnd ? target - cc->cwnd : 0;
    uint32_t most = cc->cwnd / 2;
    uint64_t amount = (uint64_t)acked * (ahead < most ? ahead : most);

    nst_cc_grow(cc, divide(amount, cc->cwnd, &cc->cwnd_cnt));
}

static void avoid_congestion(struct nst_cc *cc, struct cubic *c, uint32_t acked)
{
    struct curve *w = &c->curve;

    if (w->epoch == NST_TIME_NEVER)
        begin(cc, c);
    nst_time t = cc->now > w->epoch ? cc->now - w->epoch : 0;
    bool friendly = w_cubic(w, t, cc->mss) < w->w_est;
    grow_est(cc, c, acked);
    if (friendly)
        follow_est(cc, w->w_est, acked);
    else
        follow_curve(cc, w_cubic(w, t + cc->srtt, cc->mss), acked);
}

static void init(struct nst_cc *cc)
{
    struct cubic *c = state_of(cc);

    c->curve =
        (struct curve){.epoch = NST_TIME_NEVER, .w_max = cc->kept[0], .cwnd_prior = cc->kept[1]};
    c->before.epoch = NST_TIME_NEVER;
}

/* Where the curve leads to; it will begin anew, at the window that there is. */
static void rest(struct nst_cc *cc)
{
    cc->kept[0] = state_of(cc)->curve.w_max;
    cc->kept[1] = state_of(cc)->curve.cwnd_prior;
}

static void acked(struct nst_cc *cc, uint32_t acked, nst_time rtt)
{
    struct cubic *c = state_of(cc);
    nst_time since = cc->now - c->last_ack;

    c->last_ack = cc->now;
    acked = nst_hystart_acked(&c->hystart, cc, acked, rtt);
    if (!cc->cwnd_limited) {
        postpone(cc, &c->curve, since);
        return;
    }
    if (cc->cwnd < cc->ssthresh)
        c->curve.epoch = NST_TIME_NEVER;
    acked = nst_cc_slow_start(cc, acked);
    if (acked > 0)
        avoid_congestion(cc, c, acked);
}

/* RFC 9438 §4.6, §4.7 (9438-4). The window serves in place of what is in flight, as it may: it
 * never grows while it isn't used. */
static uint32_t ssthresh(struct nst_cc *cc, uint32_t flight)
{
    struct cubic *c = state_of(cc);
    struct curve *w = &c->curve;
    uint64_t cwnd = cc->cwnd;
    uint32_t reduced = (uint32_t)(cwnd * BETA / BETA_ONE);

    (void)flight;
    c->before = *w;
    if (cc->cwnd < w->w_max) /* a flow that has lost ground leaves some to others */
        w->w_max = (uint32_t)(cwnd * (BETA_ONE + BETA) / 2 / BETA_ONE);
    else
        w->w_max = cc->cwnd;
    w->cwnd_prior = cc->cwnd;
    w->epoch = NST_TIME_NEVER;
    return reduced > 2 * cc->mss ? reduced : 2 * cc->mss;
}

/* 9438-5: after it the curve begins flat, at the window that slow start reaches. */
static void timeout(struct nst_cc *cc)
{
    struct curve *w = &state_of(cc)->curve;

    w->w_max = 0;
    w->epoch = NST_TIME_NEVER;
}

/* As if nothing had been (9438-6). */
static void undo(struct nst_cc *cc)
{
    struct cubic *c = state_of(cc);

    c->curve = c->before;
}

static void restart(struct nst_cc *cc, nst_time idle)
{
    struct cubic *c = state_of(cc);

    postpone(cc, &c->curve, idle);
    c->last_ack = cc->now;
}

const struct nst_cc_ops nst_cc_cubic = {
    .name = "cubic",
    .number = NST_CC_CUBIC,
    .init = init,
    .rest = rest,
    .acked = acked,
    .ssthresh = ssthresh,
    .timeout = timeout,
    .undo = undo,
    .restart = restart,
};
