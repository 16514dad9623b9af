/* Pacing in figures: what the rate is, how much goes at a time, and when the next may. */
#include "core/tcp/pace.h"

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#include "../core.h"

static struct test_core core;
static struct nst_tcps tcps;
static struct nst_tcb t;
static struct nst_tcp_activity act;

/* A window of 100,000 bytes over 100 ms, in congestion avoidance. */
static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    tcps = (struct nst_tcps){.env = &core.env};
    act = (struct nst_tcp_activity){
        .cc = {.ops = &nst_cc_newreno, .cwnd = 100000, .ssthresh = 100000}};
    for (unsigned i = 0; i < NST_TCP_DLS_ACTIVE; i++)
        act.deadlines[i] = NST_TIME_NEVER;
    t = (struct nst_tcb){.tcps = &tcps, .act = &act, .snd_mss = 1460, .watch = NST_TIME_NEVER};
    t.state = NST_TCP_ESTABLISHED;
    t.opt.pacing = true;
    t.count.data_segs_out = 10;
    nst_timer_init(&t.timer, NST_TIMER_TCP);
    nst_rtt_init(&t.rtt);
    nst_rtt_sample(&t.rtt, 100 * NST_MS, core.env.now);
    nst_pace_update(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_timer_cancel(&core.env.wheel, &t.timer);
    test_core_fini(&core);
    return 0;
}

static uint64_t rate(void)
{
    nst_pace_update(&t);
    return act.pace.bytes_per_sec;
}

static void test_rate_of_a_window(void **state)
{
    (void)state;
    assert_int_equal(rate(), 1200000); /* a fifth more than 100,000 bytes in 100 ms */
    act.cc.cwnd = 49999;               /* slow start, and not near its end */
    assert_int_equal(rate(), 999980);
    act.cc.cwnd = 50000;
    assert_int_equal(rate(), 600000);
    act.cc.cwnd = 1u << 30;
    act.cc.ssthresh = UINT32_MAX;
    assert_int_equal(rate(), 21474836480);
}

static void test_who_decides(void **state)
{
    (void)state;
    act.cc.pacing_rate = 5000000; /* the congestion control */
    assert_int_equal(rate(), 5000000);
    t.opt.max_pacing_rate = 300000; /* the owner */
    assert_int_equal(rate(), 300000);
    act.cc.pacing_rate = 0;
    assert_int_equal(rate(), 300000);
    t.opt.pacing = false;
    assert_int_equal(rate(), 300000);
    t.opt.max_pacing_rate = 0;
    assert_int_equal(rate(), 0);
}

/* Where a round trip is shorter than a quantum takes, the window alone decides. */
static void test_short_paths(void **state)
{
    (void)state;
    nst_rtt_init(&t.rtt);
    assert_int_equal(rate(), 0);
    nst_rtt_sample(&t.rtt, NST_MS - NST_US, core.env.now);
    assert_int_equal(rate(), 0);
    nst_rtt_init(&t.rtt);
    nst_rtt_sample(&t.rtt, NST_MS, core.env.now);
    assert_int_equal(rate(), 120000000);
}

static void test_quantum(void **state)
{
    static const struct {
        uint64_t rate;
        uint32_t bytes;
    } rows[] = {
        {0, UINT32_MAX},   {149999, 1460},      {150000, 2920},           {2920000, 2920},
        {10000000, 10000}, {125000000, 125000}, {UINT64_MAX, UINT32_MAX},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        act.pace.bytes_per_sec = rows[i].rate;
        assert_int_equal(nst_pace_quantum(&t), rows[i].bytes);
    }
    act.pace.bytes_per_sec = 149999;
    t.count.data_segs_out = 9; /* an initial window goes at once */
    assert_int_equal(nst_pace_quantum(&t), UINT32_MAX);
}

/* A million bytes a second: 10,000 are 10 ms, and 14.6 ms are credited. */
static void test_time_of_the_next(void **state)
{
    nst_time start = core.env.now;
    (void)state;

    act.pace.bytes_per_sec = 1000000;
    nst_pace_sent(&t, 10000);
    assert_false(nst_pace_holds(&t));
    nst_pace_sent(&t, 10000);
    assert_true(nst_pace_holds(&t));
    assert_int_equal(act.pace.at, start + 5400 * NST_US);
    assert_int_equal(nst_tcb_deadline(&t, NST_TCP_DL_PACE), start + 5400 * NST_US);
    core.env.now = start + 5400 * NST_US - 1;
    assert_true(nst_pace_holds(&t));
    core.env.now++;
    assert_false(nst_pace_holds(&t));
    nst_pace_sent(&t, 1460); /* 1.46 ms, behind what was due */
    assert_int_equal(nst_tcb_deadline(&t, NST_TCP_DL_PACE), NST_TIME_NEVER);
    assert_int_equal(act.pace.at, start + 6860 * NST_US);
    core.env.now += NST_SEC; /* a second of silence is worth no more than that credit */
    nst_pace_sent(&t, 14600);
    assert_int_equal(act.pace.at, core.env.now);
    act.pace.bytes_per_sec = 0;
    nst_pace_sent(&t, 100000);
    assert_false(nst_pace_holds(&t));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_rate_of_a_window), T(test_who_decides),      T(test_short_paths),
        T(test_quantum),          T(test_time_of_the_next),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
