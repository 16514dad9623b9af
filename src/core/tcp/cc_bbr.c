/* BBR, version 3 (draft-ietf-ccwg-bbr): a model of the path instead of a reaction to loss.
 *
 * Two figures describe a path: how fast it delivers (max_bw, the largest rate of the last two
 * probing cycles) and how long it takes when its queues are empty (min_rtt, the least of the last
 * ten seconds). Their product is what must be out to keep it busy; data is sent at the one rate,
 * with about twice the other's worth as the window.
 *
 *     STARTUP    the rate doubles each round trip, until it has stopped to grow for three
 *     DRAIN      what queued up meanwhile goes away
 *     PROBE_BW   DOWN    a little less than the path takes, until the queue is empty
 *                CRUISE  just as much, for two to three seconds
 *                REFILL  for one round trip, without the short-term bounds
 *                UP      more and more, until losses or a queue show that it is enough
 *     PROBE_RTT  every five seconds, if no sample came near min_rtt: little is out for 200 ms
 *
 * Losses bound the model from above: `inflight_long` is the most that was out without losing more
 * than 2 %, `inflight_short` and `bw_short` are what was left after the losses since the last
 * probing. (The draft calls them longterm and shortterm, earlier versions hi and lo.)
 *
 * Beyond the draft, losses by chance bound nothing (chance.h): a path that loses 3 % while its
 * queue is empty is as good as one that loses nothing, and loses as much however little is sent.
 * What chance does not explain counts as the draft has it, so that a shallow queue is not overrun.
 * Three rules follow:
 *
 *     - more than 2 % is lost: besides what is lost by chance, and beyond what numbers vary by;
 *       STARTUP does not end for a small flight that was less than the path holds;
 *     - the short-term bounds are for rounds that have lost too much, not for each that lost: else
 *       every loss costs the rate what was lost, until the next probing. Nor are they for DRAIN,
 *       which hears of what STARTUP lost, and delivers a third of what the path can;
 *     - recovery begins with the packets that are out for losses that were too many, else with the
 *       window that there is: where a flight seldom comes through whole, one recovery follows the
 *       other, and the window would never grow. (Without SACK nobody knows how many they were.)
 *
 * Functions are in the draft's order and bear its names. The numbers: bytes, bytes a second, and
 * gains in 1/256. */
#include "core/base/bytes.h"
#include "core/tcp/cc.h"
#include "core/tcp/chance.h"

#define GAIN(x)             ((uint32_t)((x)*256 / 100)) /* of a percentage */
#define STARTUP_PACING_GAIN GAIN(277)
#define STARTUP_CWND_GAIN   GAIN(200)
#define DRAIN_PACING_GAIN   GAIN(35)
#define DOWN_PACING_GAIN    GAIN(90)
#define UP_PACING_GAIN      GAIN(125)
#define UP_CWND_GAIN        GAIN(225)
#define CWND_GAIN           GAIN(200)
#define PROBE_RTT_CWND_GAIN GAIN(50)

#define PACING_MARGIN_PERCENT 1
#define LOSS_PERCENT          2
#define BETA_PERCENT          70
#define HEADROOM_PERCENT      15
#define STARTUP_FULL_LOSSES   6
#define FULL_BW_ROUNDS        3
#define MIN_PIPE_SEGMENTS     4
#define MIN_RTT_WINDOW        (10 * NST_SEC)
#define PROBE_RTT_INTERVAL    (5 * NST_SEC)
#define PROBE_RTT_DURATION    (200 * NST_MS)
#define EXTRA_ACKED_ROUNDS    5 /* of each of two windows */
#define RENO_ROUNDS_MAX       63
#define SEND_QUANTUM_MAX      65536
#define SLOW                  150000 /* bytes a second */
#define INFINITE              UINT32_MAX
#define BYTES_MAX             ((uint32_t)1 << 30)

enum state {
    STARTUP,
    DRAIN,
    PROBE_DOWN,
    PROBE_CRUISE,
    PROBE_REFILL,
    PROBE_UP,
    PROBE_RTT,
};

/* How ACKs are to be read, in relation to probing. */
enum ack_phase {
    ACKS_INIT,
    ACKS_REFILLING,
    ACKS_PROBE_STARTING,
    ACKS_PROBE_FEEDBACK,
    ACKS_PROBE_STOPPING,
};

struct bbr {
    enum state state;
    enum ack_phase ack_phase;
    uint32_t pacing_gain, cwnd_gain;
    bool round_start, loss_round_start, idle_restart, full_bw_now, full_bw_reached;
    bool pacing_begun, bw_probe_samples, steady_round, loss_in_round, too_high,
        probe_rtt_round_done;

    uint64_t next_round_delivered, loss_round_delivered;
    uint64_t max_bw[2]; /* of the last cycle, and of this one */
    uint64_t bw;        /* max_bw within bw_short */
    uint64_t bw_short, bw_latest, full_bw;
    uint32_t inflight_short, inflight_long, inflight_latest;
    uint32_t full_bw_count, losses_in_round;
    uint64_t lost_in_round, loss_round_begun; /* bytes; delivered when the round began */
    struct nst_chance_count learnt;           /* what `chance` knows of it */
    struct nst_chance chance;

    nst_time min_rtt, min_rtt_stamp; /* 0: none yet */
    nst_time probe_rtt_min_delay, probe_rtt_min_stamp, probe_rtt_done;

    nst_time cycle_stamp, bw_probe_wait;
    uint32_t rounds_since_probe, probe_up_rounds, probe_up_bytes, probe_up_count, random;

    nst_time extra_acked_start;
    uint64_t extra_acked_delivered;
    uint32_t extra_acked[2], extra_acked_rounds;

    uint32_t prior_cwnd;
    bool recovery, packet_conservation;
    uint64_t conserve_until; /* delivered */
    uint64_t undo_bw_short;  /* as they were when recovery began */
    uint32_t undo_inflight_short, undo_inflight_long;
};

static struct bbr *model_of(struct nst_cc *cc)
{
    return cc->model;
}

static bool is_probing_bw_state(const struct bbr *b)
{
    return b->state >= PROBE_DOWN && b->state <= PROBE_UP;
}

static uint64_t max_bw(const struct bbr *b)
{
    return b->max_bw[0] > b->max_bw[1] ? b->max_bw[0] : b->max_bw[1];
}

/* ---- What should be out ------------------------------------------------------------------------
 */

static uint32_t min_pipe_cwnd(const struct nst_cc *cc)
{
    return MIN_PIPE_SEGMENTS * cc->mss;
}

/* What `bw` delivers in that time. */
static uint64_t amount(uint64_t bw, nst_time time)
{
    return time && bw > UINT64_MAX / time ? UINT64_MAX : bw * time / NST_SEC;
}

/* Bandwidth times delay, times the gain. */
static uint32_t bdp_multiple(const struct nst_cc *cc, const struct bbr *b, uint64_t bw,
                             uint32_t gain)
{
    if (b->min_rtt == 0)
        return nst_cc_initial_window(cc->mss);
    return (uint32_t)nst_min(nst_min(amount(bw, b->min_rtt), BYTES_MAX) * gain / 256, BYTES_MAX);
}

static uint32_t send_quantum(const struct nst_cc *cc)
{
    uint64_t floor = cc->pacing_rate < SLOW ? cc->mss : 2 * cc->mss;

    return (uint32_t)nst_max(nst_min(cc->pacing_rate / 1000, SEND_QUANTUM_MAX), floor);
}

/* Room for what offloads hold back, and for the probing to be seen. */
static uint32_t quantization_budget(const struct nst_cc *cc, const struct bbr *b, uint32_t inflight)
{
    inflight = nst_max32(inflight, 3 * send_quantum(cc));
    inflight = nst_max32(inflight, min_pipe_cwnd(cc));
    return b->state == PROBE_UP ? inflight + 2 * cc->mss : inflight;
}

static uint32_t target_in_flight(const struct nst_cc *cc, const struct bbr *b, uint32_t gain)
{
    return quantization_budget(cc, b, bdp_multiple(cc, b, max_bw(b), gain));
}

static uint32_t target_inflight(const struct nst_cc *cc, const struct bbr *b)
{
    return nst_min32(bdp_multiple(cc, b, b->bw, GAIN(100)), cc->cwnd);
}

/* Leaves other flows some of the path that this one knows to be there. */
static uint32_t inflight_with_headroom(const struct nst_cc *cc, const struct bbr *b)
{
    if (b->inflight_long == INFINITE)
        return INFINITE;
    uint64_t headroom = nst_max(cc->mss, (uint64_t)b->inflight_long * HEADROOM_PERCENT / 100);
    uint64_t left = b->inflight_long - nst_min(headroom, b->inflight_long);
    return nst_max32((uint32_t)left, min_pipe_cwnd(cc));
}

static uint32_t probe_rtt_cwnd(const struct nst_cc *cc, const struct bbr *b)
{
    return nst_max32(bdp_multiple(cc, b, b->bw, PROBE_RTT_CWND_GAIN), min_pipe_cwnd(cc));
}

/* ---- Rounds, and what they delivered -----------------------------------------------------------
 */

static void start_round(struct bbr *b, const struct nst_cc_sample *s)
{
    b->next_round_delivered = s->delivered;
}

static void update_round(struct bbr *b, const struct nst_cc_sample *s)
{
    b->round_start = s->has_data && s->prior_delivered >= b->next_round_delivered;
    if (!b->round_start)
        return;
    start_round(b, s);
    b->rounds_since_probe++;
}

static void update_max_bw(struct bbr *b, const struct nst_cc_sample *s)
{
    update_round(b, s);
    if (s->rate && (s->rate >= max_bw(b) || !s->app_limited))
        b->max_bw[1] = nst_max(b->max_bw[1], s->rate);
}

static void advance_max_bw_filter(struct bbr *b)
{
    if (b->max_bw[1] == 0) /* a cycle without a sample says nothing */
        return;
    b->max_bw[0] = b->max_bw[1];
    b->max_bw[1] = 0;
}

/* ---- The short-term model ----------------------------------------------------------------------
 */

/* What is reported now was sent no faster than the path delivers. */
static bool is_steady(const struct bbr *b)
{
    return (b->state == PROBE_DOWN || b->state == PROBE_CRUISE) && b->ack_phase == ACKS_INIT;
}

static void begin_loss_round(struct bbr *b, const struct nst_cc_sample *s)
{
    b->steady_round = is_steady(b);
    b->loss_in_round = false;
    b->lost_in_round = 0;
    b->loss_round_begun = s->delivered;
    b->learnt = (struct nst_chance_count){.sent = 0};
}

static void reset_congestion_signals(struct bbr *b, const struct nst_cc_sample *s)
{
    begin_loss_round(b, s);
    b->bw_latest = 0;
    b->inflight_latest = 0;
}

static void reset_short_term_model(struct bbr *b)
{
    b->bw_short = UINT64_MAX;
    b->inflight_short = INFINITE;
}

static void update_latest_delivery_signals(struct bbr *b, const struct nst_cc_sample *s)
{
    uint32_t delivered = s->has_data ? (uint32_t)(s->delivered - s->prior_delivered) : 0;

    b->loss_round_start = false;
    b->bw_latest = nst_max(b->bw_latest, s->rate);
    b->inflight_latest = nst_max32(b->inflight_latest, delivered);
    if (s->has_data && s->prior_delivered >= b->loss_round_delivered) {
        b->loss_round_delivered = s->delivered;
        b->loss_round_start = true;
    }
}

static void advance_latest_delivery_signals(struct bbr *b, const struct nst_cc_sample *s)
{
    if (!b->loss_round_start)
        return;
    b->bw_latest = s->rate;
    b->inflight_latest = (uint32_t)(s->delivered - s->prior_delivered);
}

/* Of a flight, or of what came of the path since it was sent, if that is more: what is sent again
 * takes longer than a round trip to be lost again. */
static bool is_inflight_too_high(const struct nst_cc *cc, const struct bbr *b, uint64_t lost,
                                 uint64_t tx_in_flight, uint64_t delivered)
{
    uint64_t sent = nst_max(tx_in_flight, delivered + lost);

    return nst_chance_exceeded(&b->chance, cc->mss, sent, lost, LOSS_PERCENT);
}

static bool is_sample_too_high(const struct nst_cc *cc, const struct bbr *b,
                               const struct nst_cc_sample *s)
{
    return is_inflight_too_high(cc, b, s->lost, s->tx_in_flight, s->delivered - s->prior_delivered);
}

/* Not while losses are provoked, nor where STARTUP has provoked them. */
static void adapt_short_term_model(struct nst_cc *cc, struct bbr *b, uint64_t sent)
{
    bool provoked = b->state == STARTUP || b->state == DRAIN || b->state == PROBE_REFILL ||
                    b->state == PROBE_UP;

    if (provoked || !b->loss_in_round ||
        !nst_chance_exceeded(&b->chance, cc->mss, sent, b->lost_in_round, LOSS_PERCENT))
        return;
    if (b->bw_short == UINT64_MAX)
        b->bw_short = max_bw(b);
    if (b->inflight_short == INFINITE)
        b->inflight_short = b->recovery ? nst_max32(cc->cwnd, b->prior_cwnd) : cc->cwnd;
    b->bw_short = nst_max(b->bw_latest, b->bw_short * BETA_PERCENT / 100);
    b->inflight_short =
        nst_max32(b->inflight_latest, (uint32_t)((uint64_t)b->inflight_short * BETA_PERCENT / 100));
}

/* Each round by itself, however many of them a judgement takes: on a short path the next probing
 * comes sooner. */
static void learn_from_round(const struct nst_cc *cc, struct bbr *b, uint64_t sent)
{
    nst_chance_learn(&b->chance, cc->mss, sent - b->learnt.sent, b->lost_in_round - b->learnt.lost);
    b->learnt = (struct nst_chance_count){.sent = sent, .lost = b->lost_in_round};
}

/* Once a round trip, or as many as it takes to tell losses from chance. */
static void update_congestion_signals(struct nst_cc *cc, struct bbr *b,
                                      const struct nst_cc_sample *s)
{
    uint64_t sent = s->delivered - b->loss_round_begun + b->lost_in_round;
    bool steady = b->steady_round && is_steady(b);

    update_max_bw(b, s);
    nst_chance_sample(&b->chance, s->rtt);
    if (!b->loss_round_start)
        return;
    nst_chance_round(&b->chance, b->min_rtt);
    if (steady)
        learn_from_round(cc, b, sent);
    if (steady && !nst_chance_can_judge(&b->chance, cc->mss, sent))
        return;
    adapt_short_term_model(cc, b, sent);
    begin_loss_round(b, s);
}

static void bound_bw_for_model(struct bbr *b)
{
    b->bw = nst_min(max_bw(b), b->bw_short);
}

/* ---- ACKs that come in bunches -----------------------------------------------------------------
 */

/* How much more came in one go than the rate explains: as much more must be out to wait for it. The
 * largest of the last five to ten rounds. */
static void update_ack_aggregation(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    uint64_t expected = amount(b->bw, cc->now - b->extra_acked_start);
    uint32_t rounds = b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1;

    if (b->round_start && ++b->extra_acked_rounds >= rounds) {
        b->extra_acked_rounds = 0;
        b->extra_acked[0] = b->extra_acked[1];
        b->extra_acked[1] = 0;
    }
    if (b->extra_acked_delivered <= expected) {
        b->extra_acked_delivered = 0;
        b->extra_acked_start = cc->now;
        expected = 0;
    }
    b->extra_acked_delivered += s->acked;
    uint32_t extra = (uint32_t)nst_min(b->extra_acked_delivered - expected, cc->cwnd);
    b->extra_acked[1] = nst_max32(b->extra_acked[1], extra);
}

/* ---- STARTUP, DRAIN ----------------------------------------------------------------------------
 */

static void enter_startup(struct bbr *b)
{
    b->state = STARTUP;
    b->pacing_gain = STARTUP_PACING_GAIN;
    b->cwnd_gain = STARTUP_CWND_GAIN;
}

static void reset_full_bw(struct bbr *b, uint64_t bw)
{
    b->full_bw = bw;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

/* The rate has grown by less than a quarter in each of three rounds (bbr-3). */
static void check_full_bw_reached(struct bbr *b, const struct nst_cc_sample *s)
{
    if (b->full_bw_now || !b->round_start || s->app_limited)
        return;
    if (s->rate >= b->full_bw + b->full_bw / 4) {
        reset_full_bw(b, s->rate);
        return;
    }
    b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
    b->full_bw_reached |= b->full_bw_now;
}

/* A flight that is small, and less than the path holds, can't tell: where the receiver's window
 * holds the sender back, little more is out in the end than what is lost. */
static bool is_flight_telling(const struct nst_cc *cc, const struct bbr *b,
                              const struct nst_cc_sample *s)
{
    return s->tx_in_flight >= bdp_multiple(cc, b, max_bw(b), GAIN(100)) ||
           nst_chance_can_judge(&b->chance, cc->mss, s->tx_in_flight);
}

/* A whole round trip of fast recovery has lost too much, in six places at least. */
static void check_startup_high_loss(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    bool high = b->loss_round_start && s->recovery && b->losses_in_round >= STARTUP_FULL_LOSSES &&
                is_flight_telling(cc, b, s) && is_sample_too_high(cc, b, s);

    if (b->loss_round_start)
        b->losses_in_round = 0;
    if (!high || b->full_bw_reached)
        return;
    b->full_bw_reached = true;
    b->inflight_long = nst_max32(bdp_multiple(cc, b, max_bw(b), GAIN(100)), b->inflight_latest);
}

static void check_startup_done(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    check_startup_high_loss(cc, b, s);
    if (b->state != STARTUP || !b->full_bw_reached)
        return;
    b->state = DRAIN;
    b->pacing_gain = DRAIN_PACING_GAIN;
    b->cwnd_gain = CWND_GAIN;
}

/* ---- PROBE_BW ----------------------------------------------------------------------------------
 */

/* xorshift */
static uint32_t random_bits(struct bbr *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 17;
    b->random ^= b->random << 5;
    return b->random;
}

/* Two to three seconds, so that flows don't probe together. */
static void pick_probe_wait(struct bbr *b)
{
    b->rounds_since_probe = random_bits(b) & 1;
    b->bw_probe_wait = 2 * NST_SEC + random_bits(b) % NST_SEC;
}

static void start_down(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    reset_congestion_signals(b, s);
    b->probe_up_count = INFINITE;
    pick_probe_wait(b);
    b->cycle_stamp = cc->now;
    b->ack_phase = ACKS_PROBE_STOPPING;
    start_round(b, s);
    b->state = PROBE_DOWN;
    b->pacing_gain = DOWN_PACING_GAIN;
    b->cwnd_gain = CWND_GAIN;
}

static void start_cruise(struct bbr *b)
{
    b->state = PROBE_CRUISE;
    b->pacing_gain = GAIN(100);
    b->cwnd_gain = CWND_GAIN;
}

static void start_refill(struct bbr *b, const struct nst_cc_sample *s)
{
    reset_short_term_model(b);
    b->probe_up_rounds = 0;
    b->probe_up_bytes = 0;
    b->ack_phase = ACKS_REFILLING;
    start_round(b, s);
    b->state = PROBE_REFILL;
    b->pacing_gain = GAIN(100);
    b->cwnd_gain = CWND_GAIN;
}

/* The bound rises by one segment in the first round of UP, by two in the second, and so on. */
static void raise_inflight_long_slope(const struct nst_cc *cc, struct bbr *b)
{
    uint64_t growth = (uint64_t)cc->mss << b->probe_up_rounds;

    b->probe_up_rounds = nst_min32(b->probe_up_rounds + 1, 30);
    b->probe_up_count = nst_max32((uint32_t)(cc->cwnd / growth), 1);
}

static void start_up(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    b->ack_phase = ACKS_PROBE_STARTING;
    start_round(b, s);
    reset_full_bw(b, s->rate);
    b->cycle_stamp = cc->now;
    b->state = PROBE_UP;
    b->pacing_gain = UP_PACING_GAIN;
    b->cwnd_gain = UP_CWND_GAIN;
    raise_inflight_long_slope(cc, b);
}

static void probe_inflight_long_upward(struct nst_cc *cc, struct bbr *b,
                                       const struct nst_cc_sample *s)
{
    if (!cc->cwnd_limited || cc->cwnd < b->inflight_long)
        return; /* it isn't used up */
    b->probe_up_bytes += s->acked;
    uint64_t step = (uint64_t)b->probe_up_count * cc->mss;
    if (b->probe_up_bytes >= step) {
        uint32_t delta = (uint32_t)(b->probe_up_bytes / step);
        b->probe_up_bytes -= (uint32_t)(delta * step);
        b->inflight_long =
            (uint32_t)nst_min(b->inflight_long + (uint64_t)delta * cc->mss, BYTES_MAX);
    }
    if (b->round_start)
        raise_inflight_long_slope(cc, b);
}

/* Losses show that probing went too far: once a cycle (bbr-7). */
static void handle_inflight_too_high(struct nst_cc *cc, struct bbr *b,
                                     const struct nst_cc_sample *s)
{
    uint32_t least = (uint32_t)((uint64_t)target_inflight(cc, b) * BETA_PERCENT / 100);

    b->bw_probe_samples = false;
    if (!s->app_limited)
        b->inflight_long = nst_max32(s->tx_in_flight, least);
    if (b->state == PROBE_UP)
        start_down(cc, b, s);
}

static void adapt_long_term_model(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    if (b->ack_phase == ACKS_PROBE_STARTING && b->round_start)
        b->ack_phase = ACKS_PROBE_FEEDBACK;
    if (b->ack_phase == ACKS_PROBE_STOPPING && b->round_start) {
        b->bw_probe_samples = false;
        b->ack_phase = ACKS_INIT;
        if (is_probing_bw_state(b) && !s->app_limited)
            advance_max_bw_filter(b);
    }
    if (is_sample_too_high(cc, b, s)) {
        if (b->bw_probe_samples)
            handle_inflight_too_high(cc, b, s);
        return;
    }
    if (b->inflight_long == INFINITE)
        return;
    b->inflight_long = nst_max32(b->inflight_long, s->tx_in_flight);
    if (b->state == PROBE_UP)
        probe_inflight_long_upward(cc, b, s);
}

/* As soon as Reno would have had to back off, where that is the sooner. */
static bool is_time_to_probe(const struct nst_cc *cc, const struct bbr *b)
{
    uint32_t reno_rounds = nst_min32(target_inflight(cc, b) / cc->mss, RENO_ROUNDS_MAX);

    return cc->now - b->cycle_stamp > b->bw_probe_wait || b->rounds_since_probe >= reno_rounds;
}

static bool is_time_to_cruise(const struct nst_cc *cc, const struct bbr *b,
                              const struct nst_cc_sample *s)
{
    return s->in_flight <= inflight_with_headroom(cc, b) &&
           s->in_flight <= target_in_flight(cc, b, GAIN(100));
}

static bool is_time_to_go_down(const struct nst_cc *cc, struct bbr *b,
                               const struct nst_cc_sample *s)
{
    if (cc->cwnd_limited && cc->cwnd >= b->inflight_long) {
        reset_full_bw(b, s->rate); /* the bound, not the path, keeps the rate from growing */
        return false;
    }
    return b->full_bw_now;
}

/* bbr-5 */
static void update_cycle_phase(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    if (!b->full_bw_reached || !s->has_data)
        return;
    adapt_long_term_model(cc, b, s);
    switch (b->state) {
    case PROBE_DOWN:
    case PROBE_CRUISE:
        if (is_time_to_probe(cc, b))
            start_refill(b, s);
        else if (b->state == PROBE_DOWN && is_time_to_cruise(cc, b, s))
            start_cruise(b);
        break;
    case PROBE_REFILL:
        if (b->round_start) {
            b->bw_probe_samples = true;
            start_up(cc, b, s);
        }
        break;
    case PROBE_UP:
        if (is_time_to_go_down(cc, b, s))
            start_down(cc, b, s);
        break;
    default:
        break;
    }
}

/* bbr-4 */
static void check_drain_done(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    if (b->state == DRAIN && s->in_flight <= target_in_flight(cc, b, GAIN(100)))
        start_down(cc, b, s);
}

/* ---- PROBE_RTT --------------------------------------------------------------------------- */

static void save_cwnd(const struct nst_cc *cc, struct bbr *b)
{
    if (!b->recovery && b->state != PROBE_RTT)
        b->prior_cwnd = cc->cwnd;
    else
        b->prior_cwnd = nst_max32(b->prior_cwnd, cc->cwnd);
}

static void restore_cwnd(struct nst_cc *cc, const struct bbr *b)
{
    cc->cwnd = nst_max32(cc->cwnd, b->prior_cwnd);
}

static void check_probe_rtt_done(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    if (!b->probe_rtt_done || cc->now <= b->probe_rtt_done)
        return;
    b->probe_rtt_min_stamp = cc->now;
    cc->probing_rtt = false;
    restore_cwnd(cc, b);
    reset_short_term_model(b);
    if (!b->full_bw_reached) {
        enter_startup(b);
        return;
    }
    start_down(cc, b, s);
    start_cruise(b);
}

static void handle_probe_rtt(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    cc->probing_rtt = true;
    if (!b->probe_rtt_done && s->in_flight <= probe_rtt_cwnd(cc, b)) {
        b->probe_rtt_done = cc->now + PROBE_RTT_DURATION;
        b->probe_rtt_round_done = false;
        start_round(b, s);
    } else if (b->probe_rtt_done) {
        b->probe_rtt_round_done |= b->round_start;
        if (b->probe_rtt_round_done)
            check_probe_rtt_done(cc, b, s);
    }
}

/* True if it is high time for a sample without a queue. */
static bool update_min_rtt(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    bool expired = cc->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;

    if (s->rtt && (s->rtt < b->probe_rtt_min_delay || !b->probe_rtt_min_delay || expired)) {
        b->probe_rtt_min_delay = s->rtt;
        b->probe_rtt_min_stamp = cc->now;
    }
    if (b->probe_rtt_min_delay < b->min_rtt || !b->min_rtt ||
        cc->now > b->min_rtt_stamp + MIN_RTT_WINDOW) {
        b->min_rtt = b->probe_rtt_min_delay;
        b->min_rtt_stamp = b->probe_rtt_min_stamp;
    }
    return expired;
}

/* bbr-8 */
static void check_probe_rtt(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s,
                            bool expired)
{
    if (b->state != PROBE_RTT && expired && !b->idle_restart) {
        save_cwnd(cc, b);
        b->state = PROBE_RTT;
        b->pacing_gain = GAIN(100);
        b->cwnd_gain = PROBE_RTT_CWND_GAIN;
        b->probe_rtt_done = 0;
        b->ack_phase = ACKS_PROBE_STOPPING;
        start_round(b, s);
    }
    if (b->state == PROBE_RTT)
        handle_probe_rtt(cc, b, s);
    if (s->acked)
        b->idle_restart = false;
}

/* ---- The outputs ------------------------------------------------------------------------- */

/* bbr-2 */
static void set_pacing_rate_with_gain(struct nst_cc *cc, const struct bbr *b, uint32_t gain)
{
    uint64_t bw = nst_min(b->bw, UINT64_MAX >> 20);
    uint64_t rate = bw * gain / 256 * (100 - PACING_MARGIN_PERCENT) / 100;

    if (rate && (b->full_bw_reached || rate > cc->pacing_rate))
        cc->pacing_rate = rate;
}

/* For one round trip of a recovery from congestion as much goes as arrives (bbr-9). */
static void modulate_cwnd_for_recovery(struct nst_cc *cc, struct bbr *b,
                                       const struct nst_cc_sample *s)
{
    if (b->packet_conservation && b->conserve_until == UINT64_MAX) {
        b->conserve_until = s->delivered;
        cc->cwnd = s->in_flight + nst_max32(s->acked, cc->mss);
    }
    cc->cwnd -= nst_min32(s->newly_lost, cc->cwnd - nst_min32(cc->mss, cc->cwnd));
    if (b->packet_conservation && s->has_data && s->prior_delivered >= b->conserve_until)
        b->packet_conservation = false;
    if (b->packet_conservation)
        cc->cwnd = nst_max32(cc->cwnd, s->in_flight + s->acked);
}

static void bound_cwnd_for_model(struct nst_cc *cc, const struct bbr *b)
{
    uint32_t cap = INFINITE;

    if (is_probing_bw_state(b) && b->state != PROBE_CRUISE)
        cap = b->inflight_long;
    else if (b->state == PROBE_RTT || b->state == PROBE_CRUISE)
        cap = inflight_with_headroom(cc, b);
    cap = nst_max32(nst_min32(cap, b->inflight_short), min_pipe_cwnd(cc));
    cc->cwnd = nst_min32(cc->cwnd, cap);
    if (b->state == PROBE_RTT)
        cc->cwnd = nst_min32(cc->cwnd, probe_rtt_cwnd(cc, b));
}

/* bbr-6 */
static uint32_t max_inflight(const struct nst_cc *cc, const struct bbr *b)
{
    uint32_t inflight = bdp_multiple(cc, b, b->bw, b->cwnd_gain);

    inflight += nst_max32(b->extra_acked[0], b->extra_acked[1]);
    return quantization_budget(cc, b, inflight);
}

static void set_cwnd(struct nst_cc *cc, struct bbr *b, const struct nst_cc_sample *s)
{
    uint32_t most = max_inflight(cc, b);

    if (b->recovery)
        modulate_cwnd_for_recovery(cc, b, s);
    if (!b->packet_conservation) {
        if (b->full_bw_reached)
            cc->cwnd = nst_min32(cc->cwnd + s->acked, most);
        else if (cc->cwnd < most || s->delivered < nst_cc_initial_window(cc->mss))
            nst_cc_grow(cc, s->acked);
        cc->cwnd = nst_max32(cc->cwnd, min_pipe_cwnd(cc));
    }
    bound_cwnd_for_model(cc, b);
}

/* ---- The table --------------------------------------------------------------------------- */

/* As if a round trip took a millisecond, until one is measured: a handshake that lost a segment
 * measures none (bbr-1). */
static void init_pacing_rate(struct nst_cc *cc, struct bbr *b)
{
    nst_time srtt = cc->srtt ? cc->srtt : NST_MS;

    b->pacing_begun = cc->srtt != 0;
    cc->pacing_rate = nst_cc_initial_window(cc->mss) * NST_SEC / srtt * STARTUP_PACING_GAIN / 256;
}

static void control(struct nst_cc *cc, const struct nst_cc_sample *s)
{
    struct bbr *b = model_of(cc);

    if (!b->pacing_begun && cc->srtt)
        init_pacing_rate(cc, b);
    update_latest_delivery_signals(b, s);
    update_congestion_signals(cc, b, s);
    update_ack_aggregation(cc, b, s);
    check_full_bw_reached(b, s);
    check_startup_done(cc, b, s);
    check_drain_done(cc, b, s);
    update_cycle_phase(cc, b, s);
    check_probe_rtt(cc, b, s, update_min_rtt(cc, b, s));
    advance_latest_delivery_signals(b, s);
    bound_bw_for_model(b);
    set_pacing_rate_with_gain(cc, b, b->pacing_gain);
    set_cwnd(cc, b, s);
}

/* After a rest the path is thought to be as fast as it was. */
static void resume(struct nst_cc *cc, struct bbr *b)
{
    const struct nst_cc_sample nothing = {.delivered = 0};

    b->max_bw[0] = (uint64_t)cc->kept[0] * 1024;
    b->full_bw_reached = true;
    bound_bw_for_model(b);
    start_down(cc, b, &nothing);
    start_cruise(b);
    set_pacing_rate_with_gain(cc, b, b->pacing_gain);
}

static void rest(struct nst_cc *cc)
{
    const struct bbr *b = model_of(cc);

    cc->kept[0] = b->full_bw_reached ? (uint32_t)nst_min(max_bw(b) / 1024, UINT32_MAX) : 0;
}

static void init(struct nst_cc *cc)
{
    struct bbr *b = model_of(cc);

    b->random = cc->nxt.v | 1; /* nobody can predict it (RFC 6528) */
    b->min_rtt = b->probe_rtt_min_delay = cc->srtt;
    b->min_rtt_stamp = b->probe_rtt_min_stamp = b->extra_acked_start = cc->now;
    b->inflight_long = INFINITE;
    reset_short_term_model(b);
    enter_startup(b);
    init_pacing_rate(cc, b);
    if (cc->kept[0])
        resume(cc, b);
}

/* The lost part of the flight that took it beyond what is bearable: up to there it was good. */
static uint32_t inflight_at_loss(const struct bbr *b, const struct nst_cc_loss *l)
{
    uint64_t share = LOSS_PERCENT * NST_CHANCE_ONE / 100 + nst_chance_share(&b->chance);
    uint64_t inflight = l->tx_in_flight - nst_min32(l->bytes, l->tx_in_flight);
    uint64_t lost = l->lost - nst_min32(l->bytes, l->lost);
    uint64_t bearable = inflight * share / NST_CHANCE_ONE;

    if (bearable <= lost)
        return (uint32_t)inflight;
    return (uint32_t)(inflight + (bearable - lost) * NST_CHANCE_ONE / (NST_CHANCE_ONE - share));
}

static void lost(struct nst_cc *cc, const struct nst_cc_loss *l)
{
    struct bbr *b = model_of(cc);
    const struct nst_cc_sample s = {.delivered = l->delivered,
                                    .tx_in_flight = inflight_at_loss(b, l),
                                    .app_limited = l->app_limited};

    if (!b->loss_in_round) {
        b->loss_round_delivered = l->delivered;
    }
    b->loss_in_round = true;
    b->lost_in_round += l->bytes;
    b->losses_in_round++;
    b->too_high =
        is_inflight_too_high(cc, b, l->lost, l->tx_in_flight, l->delivered - l->prior_delivered);
    if (b->bw_probe_samples && b->too_high)
        handle_inflight_too_high(cc, b, &s);
}

/* Recovery begins. */
static uint32_t ssthresh(struct nst_cc *cc, uint32_t flight)
{
    struct bbr *b = model_of(cc);

    (void)flight;
    save_cwnd(cc, b);
    b->undo_bw_short = b->bw_short;
    b->undo_inflight_short = b->inflight_short;
    b->undo_inflight_long = b->inflight_long;
    b->recovery = true;
    b->packet_conservation = b->too_high || !cc->sack;
    b->conserve_until = UINT64_MAX;
    return cc->ssthresh;
}

static void timeout(struct nst_cc *cc)
{
    model_of(cc)->packet_conservation = false;
}

static void recovered(struct nst_cc *cc)
{
    struct bbr *b = model_of(cc);

    b->recovery = b->packet_conservation = false;
    restore_cwnd(cc, b);
}

static void undo(struct nst_cc *cc)
{
    struct bbr *b = model_of(cc);

    b->loss_in_round = false;
    reset_full_bw(b, 0);
    b->bw_short = nst_max(b->bw_short, b->undo_bw_short);
    b->inflight_short = nst_max32(b->inflight_short, b->undo_inflight_short);
    b->inflight_long = nst_max32(b->inflight_long, b->undo_inflight_long);
    restore_cwnd(cc, b);
}

/* bbr-10 */
static void restart(struct nst_cc *cc, nst_time idle)
{
    struct bbr *b = model_of(cc);
    const struct nst_cc_sample s = {.delivered = b->next_round_delivered};

    (void)idle;
    b->idle_restart = true;
    b->extra_acked_start = cc->now;
    if (is_probing_bw_state(b))
        set_pacing_rate_with_gain(cc, b, GAIN(100));
    else if (b->state == PROBE_RTT)
        check_probe_rtt_done(cc, b, &s);
}

const struct nst_cc_ops nst_cc_bbr = {
    .name = "bbr",
    .number = NST_CC_BBR,
    .model_bytes = sizeof(struct bbr),
    .init = init,
    .rest = rest,
    .control = control,
    .lost = lost,
    .ssthresh = ssthresh,
    .timeout = timeout,
    .recovered = recovered,
    .undo = undo,
    .restart = restart,
};
