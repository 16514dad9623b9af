/* Congestion control. The flows here are made of the algorithm alone: what it lets out is
 * acknowledged, evenly over a round trip. CUBIC is held against RFC 9438's equations in long
 * double, in segments and seconds. */
#include "core/tcp/cc.h"

#include "core/base/bytes.h"

#include "../core.h"

#define MSS   1460
#define RTT   (20 * NST_MS)
#define GIB   ((uint32_t)1 << 30)
#define LIMIT UINT32_MAX

static const struct nst_cc_ops *const both[] = {&nst_cc_newreno, &nst_cc_cubic};

/* A flow in slow start. */
static struct nst_cc flow(const struct nst_cc_ops *ops, uint32_t mss, uint32_t cwnd, nst_time rtt)
{
    struct nst_cc cc = {.ops = ops,
                        .mss = mss,
                        .cwnd = cwnd,
                        .ssthresh = UINT32_MAX,
                        .cwnd_max = LIMIT,
                        .now = TEST_START,
                        .srtt = rtt,
                        .min_rtt = rtt,
                        .cwnd_limited = true};

    ops->init(&cc);
    return cc;
}

static void lose(struct nst_cc *cc)
{
    cc->ssthresh = cc->ops->ssthresh(cc, cc->cwnd);
    cc->cwnd = cc->ssthresh;
}

static void time_out(struct nst_cc *cc)
{
    cc->ssthresh = cc->ops->ssthresh(cc, cc->cwnd);
    cc->cwnd = cc->mss;
    cc->ops->timeout(cc);
}

/* A flow that has lost a packet of a window of `cwnd` and begins congestion avoidance. */
static struct nst_cc flow_after_loss(const struct nst_cc_ops *ops, uint32_t mss, uint32_t cwnd,
                                     nst_time rtt)
{
    struct nst_cc cc = flow(ops, mss, cwnd, rtt);

    lose(&cc);
    return cc;
}

/* A whole window is acknowledged in a round trip, by ACKs of `size` bytes. */
static void run_round(struct nst_cc *cc, uint32_t size)
{
    uint32_t window = cc->cwnd;
    nst_time start = cc->now;

    for (uint64_t done = 0; done < window;) {
        uint32_t acked = window - done < size ? (uint32_t)(window - done) : size;
        done += acked;
        cc->now = start + cc->srtt * done / window;
        cc->ops->acked(cc, acked, cc->srtt);
    }
}

static void run_rounds(struct nst_cc *cc, unsigned rounds)
{
    while (rounds-- > 0)
        run_round(cc, cc->mss);
}

static void run_for(struct nst_cc *cc, nst_time time)
{
    for (nst_time end = cc->now + time; cc->now < end;)
        run_round(cc, cc->mss);
}

/* Shows MAY-18. */
static void test_names(void **state)
{
    (void)state;

    assert_ptr_equal(nst_cc_find("reno"), &nst_cc_newreno);
    assert_ptr_equal(nst_cc_find("cubic"), &nst_cc_cubic);
    assert_null(nst_cc_find("cubi"));
    assert_null(nst_cc_find(""));
    assert_string_equal(nst_cc_name(0), "cubic");
    assert_string_equal(nst_cc_name(1), "reno");
    assert_string_equal(nst_cc_name(2), "bbr");
    assert_null(nst_cc_name(3));
    assert_null(nst_cc_name(SIZE_MAX));
}

/* RFC 6928 §2. Shows 6928-1. */
static void test_initial_window(void **state)
{
    static const struct {
        uint32_t mss, window;
    } rows[] = {{48, 480},     {536, 5360},   {1460, 14600}, {1461, 14600},
                {4000, 14600}, {7300, 14600}, {8960, 17920}, {65495, 130990}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++)
        assert_int_equal(nst_cc_initial_window(rows[i].mss), rows[i].window);
}

/* Shows MUST-19, 5681-1, 9438-9. */
static void test_slow_start_doubles_each_round(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(both); i++) {
        struct nst_cc cc = flow(both[i], MSS, 10 * MSS, RTT);
        for (unsigned n = 1; n <= 10; n++) {
            run_rounds(&cc, 1);
            assert_int_equal(cc.cwnd, 10 * MSS << n);
        }
    }
}

/* What is acknowledged beyond ssthresh counts for congestion avoidance. */
static void test_slow_start_ends_at_ssthresh(void **state)
{
    struct nst_cc cc = flow(&nst_cc_newreno, MSS, 10 * MSS, RTT);
    (void)state;

    cc.ssthresh = 12 * MSS;
    cc.ops->acked(&cc, 8 * MSS, RTT);
    assert_int_equal(cc.cwnd, 12 * MSS);
    cc.ops->acked(&cc, 6 * MSS - 1, RTT);
    assert_int_equal(cc.cwnd, 12 * MSS);
    cc.ops->acked(&cc, 1, RTT);
    assert_int_equal(cc.cwnd, 13 * MSS);
}

/* Shows MUST-19, 5681-2. */
static void test_reno_adds_a_segment_each_round(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_newreno, MSS, 20 * MSS, RTT);
    (void)state;

    assert_int_equal(cc.cwnd, 10 * MSS);
    for (unsigned n = 1; n <= 100; n++) {
        run_rounds(&cc, 1);
        assert_int_equal(cc.cwnd, (10 + n) * MSS);
    }
}

/* Shows 5681-3, 9438-1. */
static void test_reductions(void **state)
{
    static const struct {
        const struct nst_cc_ops *ops;
        uint32_t cwnd, flight, ssthresh;
    } rows[] = {
        {&nst_cc_newreno, 10 * MSS, 10 * MSS, 5 * MSS},
        {&nst_cc_newreno, 10 * MSS, 6 * MSS, 3 * MSS},
        {&nst_cc_newreno, 10 * MSS, 12 * MSS, 5 * MSS}, /* with two by limited transmit */
        {&nst_cc_newreno, 3 * MSS, 3 * MSS, 2 * MSS},
        {&nst_cc_newreno, GIB, GIB, GIB / 2},
        {&nst_cc_cubic, 10 * MSS, 10 * MSS, 10222}, /* 7 segments */
        {&nst_cc_cubic, 10 * MSS, 6 * MSS, 10222},
        {&nst_cc_cubic, 2 * MSS, 2 * MSS, 2 * MSS},
        {&nst_cc_cubic, MSS, MSS, 2 * MSS},
        {&nst_cc_cubic, GIB, GIB, 717 * (GIB / 1024)},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_cc cc = flow(rows[i].ops, MSS, rows[i].cwnd, RTT);
        assert_int_equal(cc.ops->ssthresh(&cc, rows[i].flight), rows[i].ssthresh);
        assert_int_equal(cc.cwnd, rows[i].cwnd);
        assert_int_equal(cc.ssthresh, UINT32_MAX);
    }
}

/* Shows 5681-9. */
static void test_slow_start_restart(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, MSS, 100 * MSS, RTT);
    (void)state;

    nst_cc_slow_start_restart(&cc);
    assert_int_equal(cc.cwnd, 10 * MSS);
    cc.cwnd = 4 * MSS;
    nst_cc_slow_start_restart(&cc);
    assert_int_equal(cc.cwnd, 4 * MSS);
}

/* The owner's limit holds, and lowering it takes nothing away. */
static void test_limits(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(both); i++) {
        struct nst_cc cc = flow(both[i], MSS, 10 * MSS, RTT);
        cc.cwnd_max = 25 * MSS + 7;
        run_rounds(&cc, 5);
        assert_int_equal(cc.cwnd, 25 * MSS + 7);
        cc.cwnd_max = 20 * MSS;
        run_rounds(&cc, 5);
        assert_int_equal(cc.cwnd, 25 * MSS + 7);

        cc = flow(both[i], MSS, GIB - MSS / 2, RTT);
        cc.ops->acked(&cc, 10 * MSS, RTT);
        assert_int_equal(cc.cwnd, GIB);
    }
}

/* --- the reference ------------------------------------------------------------------------- */

struct model {
    long double cwnd, w_max, w_est, prior, k, epoch;
};

static long double cube_root(long double x)
{
    long double root = x > 1 ? x : 1;

    for (unsigned i = 0; i < 200; i++)
        root -= (root * root * root - x) / (3 * root * root);
    return root;
}

/* `cwnd` is what the window is then, in whole bytes. */
static void model_lose(struct model *m, long double cwnd)
{
    const long double beta = 717.0L / 1024;

    m->w_max = m->cwnd < m->w_max ? m->cwnd * (1 + beta) / 2 : m->cwnd;
    m->prior = m->cwnd;
    m->cwnd = cwnd;
    m->epoch = -1;
}

static long double model_curve(const struct model *m, long double t)
{
    return 0.4L * (t - m->k) * (t - m->k) * (t - m->k) + m->w_max;
}

static void model_acked(struct model *m, long double acked, long double now, long double rtt)
{
    const long double beta = 717.0L / 1024;

    if (m->epoch < 0) {
        m->epoch = now;
        m->w_est = m->cwnd;
        m->k = cube_root((m->w_max - m->cwnd) / 0.4L);
    }
    long double t = now - m->epoch;
    bool friendly = model_curve(m, t) < m->w_est - 1e-6L;
    m->w_est += (m->w_est < m->prior ? 3 * (1 - beta) / (1 + beta) : 1) * acked / m->cwnd;
    if (friendly) {
        m->cwnd = m->w_est > m->cwnd ? m->w_est : m->cwnd;
        return;
    }
    long double target = model_curve(m, t + rtt);
    if (target > 1.5L * m->cwnd)
        target = 1.5L * m->cwnd;
    if (target > m->cwnd)
        m->cwnd += acked * (target - m->cwnd) / m->cwnd;
}

static long double seconds(nst_time time)
{
    return (long double)time / NST_SEC;
}

/* Both see the same ACKs, at most about 64 a round trip; they never differ by more than a segment.
 */
static void assert_like_model(uint32_t mss, uint32_t w_max, nst_time rtt, unsigned rounds)
{
    struct nst_cc cc = flow(&nst_cc_cubic, mss, w_max, rtt);
    struct model m = {.cwnd = (long double)w_max / mss, .epoch = -1};

    for (unsigned losses = 0; losses < 3; losses++) {
        uint32_t before = cc.cwnd;
        lose(&cc);
        assert_int_equal(cc.cwnd, (uint64_t)before * 717 / 1024);
        model_lose(&m, (long double)cc.cwnd / mss);
        for (unsigned n = 0; n < rounds && cc.cwnd < GIB / 2; n++) {
            uint32_t window = cc.cwnd, size = window / 64 > mss ? window / 64 : mss;
            for (uint32_t done = 0; done + size <= window; done += size) {
                cc.now += rtt * size / window;
                cc.ops->acked(&cc, size, rtt);
                model_acked(&m, (long double)size / mss, seconds(cc.now), seconds(rtt));
                long double off = (long double)cc.cwnd / mss - m.cwnd;
                assert_true(off < 1 && off > -1);
            }
        }
    }
}

/* Shows 9438-2, 9438-8. */
static void test_cubic_against_the_model(void **state)
{
    static const uint32_t sizes[] = {48, 536, 1460, 8960, 65495};
    static const uint32_t windows[] = {10, 33, 100, 1000, 20000, 600000, 22000000};
    static const nst_time rtts[] = {100 * NST_US, NST_MS, 20 * NST_MS, 200 * NST_MS, 3 * NST_SEC};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(sizes); i++)
        for (size_t j = 0; j < NST_ARRAY_LEN(windows); j++)
            for (size_t k = 0; k < NST_ARRAY_LEN(rtts); k++)
                if ((uint64_t)sizes[i] * windows[j] <= GIB)
                    assert_like_model(sizes[i], sizes[i] * windows[j], rtts[k], 200);
}

/* --- CUBIC --------------------------------------------------------------------------------- */

/* From 7000 segments back to 10,000 in K = 19.57 s, slower and slower; then faster and faster. */
static void test_cubic_plateau(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, MSS, 10000 * MSS, RTT);
    const nst_time k = 19572 * NST_MS;
    uint32_t at[5];
    (void)state;

    run_for(&cc, k - 10 * NST_SEC);
    for (size_t i = 0; i < NST_ARRAY_LEN(at); i++) {
        at[i] = cc.cwnd / MSS;
        run_for(&cc, 5 * NST_SEC);
    }
    assert_in_range(at[0], 9595, 9605); /* 0.4 * 10^3 below */
    assert_in_range(at[1], 9948, 9952); /* 0.4 * 5^3 below */
    assert_in_range(at[2], 9999, 10001);
    assert_in_range(at[3], 10048, 10052);
    assert_in_range(at[4], 10395, 10405);
}

/* RFC 9438 §4.3: 0.53 segments a round up to the window of the loss, then one. Shows 9438-3. */
static void test_cubic_is_reno_friendly(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, MSS, 20 * MSS, NST_MS);
    (void)state;

    assert_int_equal(cc.cwnd, 20 * MSS * 717 / 1024);
    run_rounds(&cc, 5);
    assert_in_range(cc.cwnd, 20 * MSS * 7 / 10 + MSS * 24 / 10, 20 * MSS * 7 / 10 + MSS * 27 / 10);
    while (cc.cwnd < 20 * MSS)
        run_rounds(&cc, 1);
    uint32_t cwnd = cc.cwnd;
    run_rounds(&cc, 50);
    assert_in_range(cc.cwnd, cwnd + 49 * MSS, cwnd + 50 * MSS);
}

/* RFC 9438 §4.7: a loss before W_max was reached lowers the next plateau below that window.
 * Shows 9438-4. */
static void test_cubic_fast_convergence(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, MSS, 10000 * MSS, RTT);
    (void)state;

    run_for(&cc, 5 * NST_SEC);
    uint32_t plateau = (uint32_t)((uint64_t)cc.cwnd * 1741 / 2048);
    assert_true(cc.cwnd < 10000 * MSS);
    lose(&cc);
    run_for(&cc, 15532 * NST_MS); /* 0.85 - 0.7 of about 8,970 segments, in segments by 0.4 */
    assert_in_range(cc.cwnd, plateau - 8 * MSS, plateau + 8 * MSS);
    assert_true(cc.cwnd < 9000 * MSS);
}

/* RFC 9438 §4.8: slow start up to ssthresh, then the curve from its flat point, whatever W_max was.
 * Shows 9438-5. */
static void test_cubic_timeout(void **state)
{
    struct nst_cc cc = flow(&nst_cc_cubic, MSS, 1000 * MSS, RTT);
    (void)state;

    time_out(&cc);
    uint32_t ssthresh = cc.ssthresh;
    assert_int_equal(ssthresh, 1000 * MSS / 1024 * 717 + 1000 * MSS % 1024 * 717 / 1024);
    while (cc.cwnd < ssthresh)
        cc.ops->acked(&cc, MSS, RTT);
    cc.ops->acked(&cc, MSS, RTT);
    assert_in_range(cc.cwnd, ssthresh, ssthresh + MSS);
    run_for(&cc, 10 * NST_SEC);
    assert_in_range(cc.cwnd, ssthresh + 398 * MSS, ssthresh + 404 * MSS);
}

/* After an undo everything goes on as if there had been no loss. Shows 9438-6. */
static void test_undo(void **state)
{
    (void)state;

    for (size_t i = 0; i < 2 * NST_ARRAY_LEN(both); i++) {
        struct nst_cc a = flow_after_loss(both[i / 2], MSS, 1000 * MSS, RTT);
        run_rounds(&a, 50);
        struct nst_cc b = a;
        if (i % 2)
            time_out(&b);
        else
            lose(&b);
        assert_true(b.cwnd < a.cwnd);
        b.cwnd = a.cwnd;
        b.ssthresh = a.ssthresh;
        b.ops->undo(&b);
        for (unsigned n = 0; n < 100; n++) {
            run_rounds(&a, 1);
            run_rounds(&b, 1);
            assert_in_range(b.cwnd, a.cwnd - 1, a.cwnd + 1);
        }
    }
}

/* --- what isn't used doesn't grow ----------------------------------------------------------- */

/* Shows 5681-12. */
static void test_no_growth_unless_limited(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(both); i++) {
        struct nst_cc cc = flow(both[i], MSS, 10 * MSS, RTT);
        cc.cwnd_limited = false;
        run_rounds(&cc, 100);
        assert_int_equal(cc.cwnd, 10 * MSS);
        cc.cwnd_limited = true;
        lose(&cc);
        run_rounds(&cc, 2);
        uint32_t cwnd = cc.cwnd;
        cc.cwnd_limited = false;
        run_rounds(&cc, 1000);
        assert_int_equal(cc.cwnd, cwnd);
    }
}

/* RFC 9438 §5.8: a minute in which the application sends little, or nothing, is no time at all.
 * Shows 9438-7. */
static void test_unused_time_does_not_count(void **state)
{
    (void)state;

    for (unsigned idle = 0; idle < 2; idle++) {
        struct nst_cc a = flow_after_loss(&nst_cc_cubic, MSS, 5000 * MSS, RTT);
        run_for(&a, 5 * NST_SEC);
        struct nst_cc b = a;
        if (idle) {
            b.now += 60 * NST_SEC;
            b.ops->restart(&b, 60 * NST_SEC);
        } else {
            b.cwnd_limited = false;
            for (unsigned n = 0; n < 600; n++) {
                b.now += 100 * NST_MS;
                b.ops->acked(&b, MSS, RTT);
            }
            b.cwnd_limited = true;
        }
        assert_int_equal(b.cwnd, a.cwnd);
        for (unsigned n = 0; n < 1000; n++) {
            run_rounds(&a, 1);
            run_rounds(&b, 1);
            assert_int_equal(b.cwnd, a.cwnd);
        }
    }
}

/* Slow start after an idle time begins a new curve: the window doesn't leap to where it once was.
 */
static void test_restart_does_not_leap(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, MSS, 100 * MSS, NST_MS);
    (void)state;

    run_rounds(&cc, 200);
    assert_true(cc.cwnd > 240 * MSS);
    cc.now += 10 * NST_SEC;
    cc.ops->restart(&cc, 10 * NST_SEC);
    nst_cc_slow_start_restart(&cc);
    while (cc.cwnd < cc.ssthresh) {
        uint32_t cwnd = cc.cwnd;
        run_rounds(&cc, 1);
        assert_true(cc.cwnd <= 2 * cwnd);
    }
    run_rounds(&cc, 1);
    assert_true(cc.cwnd <= cc.ssthresh + 2 * MSS);
}

/* The path takes larger segments from now on: the curve is far below the window, which then grows
 * no faster than Reno's. */
static void test_larger_mss_does_not_leap(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, 48, 10000 * 48, RTT);
    (void)state;

    run_rounds(&cc, 1);
    uint32_t cwnd = cc.cwnd;
    cc.mss = 8960;
    run_rounds(&cc, 10);
    assert_in_range(cc.cwnd, cwnd + 4 * 8960, cwnd + 6 * 8960);
}

/* --- the size of ACKs ----------------------------------------------------------------------- */

/* The growth of 12 rounds with ACKs of `size` bytes, from where `cc` is. */
static uint32_t growth(struct nst_cc cc, uint32_t size)
{
    uint32_t start = cc.cwnd;

    for (unsigned n = 0; n < 12; n++)
        run_round(&cc, size);
    return cc.cwnd - start;
}

/* Flows in each phase: slow start, Reno's avoidance, friendly, concave, plateau, convex. */
static size_t phases(struct nst_cc flows[6])
{
    flows[0] = flow(&nst_cc_newreno, MSS, MSS, RTT);
    flows[1] = flow_after_loss(&nst_cc_newreno, MSS, 200 * MSS, RTT);
    flows[2] = flow_after_loss(&nst_cc_cubic, MSS, 150 * MSS, NST_MS);
    flows[3] = flow_after_loss(&nst_cc_cubic, MSS, 150 * MSS, 200 * NST_MS);
    flows[4] = flows[3];
    run_for(&flows[4], 4 * NST_SEC);
    flows[5] = flows[3];
    run_for(&flows[5], 10 * NST_SEC);
    return 6;
}

/* Attack row 284: an ACK for each byte gains nothing. Shows 5681-5. */
static void test_ack_division_gains_nothing(void **state)
{
    struct nst_cc flows[6];
    (void)state;

    for (size_t i = 0, n = phases(flows); i < n; i++) {
        uint64_t whole = growth(flows[i], MSS), divided = growth(flows[i], i == 0 ? 10 : 1);
        assert_true(whole > 0);
        assert_true(divided * 100 <= whole * 105);
        assert_true(divided * 105 >= whole * 100);
    }
}

/* ACKs of eight segments, as offloads make them, lose nothing. */
static void test_stretch_acks_lose_nothing(void **state)
{
    struct nst_cc flows[6];
    (void)state;

    for (size_t i = 0, n = phases(flows); i < n; i++) {
        uint64_t single = growth(flows[i], MSS), stretched = growth(flows[i], 8 * MSS);
        assert_true(stretched * 100 <= single * 105);
        assert_true(stretched * 105 >= single * 100);
    }
}

/* One ACK for more than was ever out is worth a window at most. */
static void test_ack_of_everything(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(both); i++) {
        struct nst_cc cc = flow(both[i], MSS, 10 * MSS, RTT);
        cc.ops->acked(&cc, UINT32_MAX, RTT);
        assert_int_equal(cc.cwnd, 20 * MSS);
        lose(&cc);
        uint32_t cwnd = cc.cwnd;
        cc.ops->acked(&cc, UINT32_MAX, RTT);
        assert_in_range(cc.cwnd, cwnd, cwnd + MSS);
    }
}

/* --- extremes -------------------------------------------------------------------------------- */

static uint32_t any_window(struct nst_prng *prng)
{
    uint64_t draw = nst_prng_next(prng);

    return (uint32_t)draw >> (draw >> 32) % 32;
}

static nst_time any_time(struct nst_prng *prng)
{
    return nst_prng_next(prng) >> (8 + nst_prng_below(prng, 56));
}

static void any_event(struct nst_cc *cc, struct nst_prng *prng)
{
    switch (nst_prng_below(prng, 40)) {
    case 0:
        lose(cc);
        break;
    case 1:
        time_out(cc);
        break;
    case 2:
        cc->ops->undo(cc);
        break;
    case 3:
        cc->now += any_time(prng) / 2;
        cc->ops->restart(cc, any_time(prng));
        break;
    case 4:
        cc->cwnd = cc->mss + any_window(prng) / 2;
        break;
    case 5:
        cc->mss = 48 + (uint32_t)nst_prng_below(prng, 65535 - 48 + 1);
        cc->cwnd = cc->cwnd < cc->mss ? cc->mss : cc->cwnd;
        break;
    case 6:
        cc->ssthresh = any_window(prng);
        break;
    case 7:
        cc->srtt = any_time(prng);
        break;
    case 8:
        cc->cwnd_limited = !cc->cwnd_limited;
        break;
    default:
        break;
    }
}

/* Whatever happens, an ACK never shrinks the window, nor grows it by more than it acknowledges or,
 * in Reno's whole steps, a segment; and never beyond 1 GiB. */
static void test_extremes(void **state)
{
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 3);
    for (unsigned i = 0; i < 400; i++) {
        struct nst_cc cc = flow(both[i % 2], 48, 480, any_time(&prng));
        for (unsigned n = 0; n < 1000; n++) {
            any_event(&cc, &prng);
            uint32_t before = cc.cwnd, acked = 1 + any_window(&prng) / 2;
            cc.now += any_time(&prng) / 1000;
            cc.ops->acked(&cc, acked, any_time(&prng));
            assert_true(cc.cwnd >= before && cc.cwnd - before <= acked + cc.mss);
            assert_true(cc.cwnd == before || cc.cwnd <= GIB);
            assert_true(cc.cwnd == before || cc.cwnd_limited);
        }
    }
}

/* Days in one stage: the curve is far above any window, which grows by a half each round. */
static void test_days_in_one_stage(void **state)
{
    struct nst_cc cc = flow_after_loss(&nst_cc_cubic, 48, 1000 * 48, RTT);
    (void)state;

    run_rounds(&cc, 10);
    for (unsigned day = 1; day < 30; day++) {
        uint32_t cwnd = cc.cwnd;
        cc.now += 24 * 3600 * NST_SEC;
        cc.ops->acked(&cc, cwnd, RTT);
        assert_int_equal(cc.cwnd, cwnd + cwnd / 2 < GIB ? cwnd + cwnd / 2 : GIB);
    }
    assert_int_equal(cc.cwnd, GIB);
}

/* The same to the byte on every compiler and machine. */
static void test_deterministic(void **state)
{
    static const uint32_t expected[] = {119191, 348437};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(both); i++) {
        struct nst_cc cc = flow(both[i], MSS, 10 * MSS, 30 * NST_MS);
        struct nst_prng prng;
        test_prng_init(&prng, 4);
        for (unsigned n = 0; n < 20000; n++) {
            cc.now += nst_prng_below(&prng, 3 * NST_MS);
            cc.ops->acked(&cc, 1 + (uint32_t)nst_prng_below(&prng, 3 * MSS), 30 * NST_MS);
            if (nst_prng_below(&prng, 3000) == 0)
                lose(&cc);
        }
        assert_int_equal(cc.cwnd, expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_initial_window),
        cmocka_unit_test(test_slow_start_doubles_each_round),
        cmocka_unit_test(test_slow_start_ends_at_ssthresh),
        cmocka_unit_test(test_reno_adds_a_segment_each_round),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_slow_start_restart),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cubic_against_the_model),
        cmocka_unit_test(test_cubic_plateau),
        cmocka_unit_test(test_cubic_is_reno_friendly),
        cmocka_unit_test(test_cubic_fast_convergence),
        cmocka_unit_test(test_cubic_timeout),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_no_growth_unless_limited),
        cmocka_unit_test(test_unused_time_does_not_count),
        cmocka_unit_test(test_restart_does_not_leap),
        cmocka_unit_test(test_larger_mss_does_not_leap),
        cmocka_unit_test(test_ack_division_gains_nothing),
        cmocka_unit_test(test_stretch_acks_lose_nothing),
        cmocka_unit_test(test_ack_of_everything),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_days_in_one_stage),
        cmocka_unit_test(test_deterministic),
    };
    return cmocka_run_group_tests_name("cc", tests, NULL, NULL);
}
