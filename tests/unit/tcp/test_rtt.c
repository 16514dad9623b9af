/* Round-trip time, retransmission timeout, windowed minimum. */
#include "core/tcp/rtt.h"

#include "core/base/bytes.h"

#include "../core.h"

#define MINUTE (60 * NST_SEC)
#define HOUR   (60 * MINUTE)

static struct nst_rtt fresh(void)
{
    struct nst_rtt rtt;

    nst_rtt_init(&rtt);
    return rtt;
}

/* Shows 6298-1. */
static void test_initial_timeout(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    assert_int_equal(nst_rtt_rto(&rtt), NST_SEC);
    assert_int_equal(rtt.srtt, 0);
    assert_int_equal(nst_rtt_min(&rtt), 0);
    assert_int_equal(rtt.rttvar, 250 * NST_MS); /* what TCP_INFO shows of a Linux connection too */
}

/* RFC 6298 §2, computed by hand. Shows 6298-2, 6298-3. */
static void test_samples(void **state)
{
    static const struct {
        nst_time sample, srtt, rttvar, rto; /* us */
    } steps[] = {
        {400000, 400000, 200000, 1200000},
        {400000, 400000, 150000, 1000000},
        {240000, 380000, 152500, 990000},
        {700000, 420000, 194375, 1197500},
    };
    struct nst_rtt rtt = fresh();
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(steps); i++) {
        nst_rtt_sample(&rtt, steps[i].sample * NST_US, i * NST_SEC);
        assert_int_equal(rtt.srtt, steps[i].srtt * NST_US);
        assert_int_equal(rtt.rttvar, steps[i].rttvar * NST_US);
        assert_int_equal(nst_rtt_rto(&rtt), steps[i].rto * NST_US);
    }
}

/* Linux's shape: 200 ms stand in for the deviation alone, not for the sum. */
static void test_steady_path_keeps_200ms_of_variance(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    for (unsigned i = 0; i < 100; i++)
        nst_rtt_sample(&rtt, 30 * NST_MS, i * 30 * NST_MS);
    assert_int_equal(rtt.srtt, 30 * NST_MS);
    assert_true(rtt.rttvar < NST_US);
    assert_int_equal(nst_rtt_rto(&rtt), 230 * NST_MS);
}

/* Shows MUST-19, 6298-5, 6298-11. */
static void test_backoff_doubles_up_to_the_maximum(void **state)
{
    static const nst_time seconds[] = {2, 4, 8, 16, 32, 64, 120, 120};
    struct nst_rtt rtt = fresh();
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(seconds); i++) {
        nst_rtt_backoff(&rtt);
        assert_int_equal(nst_rtt_rto(&rtt), seconds[i] * NST_SEC);
        assert_int_equal(rtt.backoff, i + 1);
    }
    for (unsigned i = 0; i < 1000; i++)
        nst_rtt_backoff(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), NST_RTO_MAX);
    assert_int_equal(rtt.backoff, UINT8_MAX);
}

/* From the least timeout there is, each doubling shows until the maximum. */
static void test_backoff_of_the_least_timeout(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 1, 0);
    for (nst_time rto = nst_rtt_rto(&rtt); rto < NST_RTO_MAX; rto *= 2) {
        assert_int_equal(nst_rtt_rto(&rtt), rto);
        nst_rtt_backoff(&rtt);
    }
    assert_int_equal(nst_rtt_rto(&rtt), NST_RTO_MAX);
}

static void test_backoff_ends(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 100 * NST_MS, 0);
    nst_time rto = nst_rtt_rto(&rtt);
    nst_rtt_backoff(&rtt);
    nst_rtt_backoff(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), 4 * rto);
    nst_rtt_reset_backoff(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), rto);
    assert_int_equal(rtt.backoff, 0);

    nst_rtt_backoff(&rtt);
    nst_rtt_sample(&rtt, 100 * NST_MS, NST_SEC);
    assert_int_equal(nst_rtt_rto(&rtt), 100 * NST_MS + NST_RTO_VAR_MIN);
    assert_int_equal(rtt.backoff, 0);
}

/* RFC 6298 §5.7. Shows 6298-12. */
static void test_lost_syn(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_backoff(&rtt);
    nst_rtt_syn_was_lost(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), 3 * NST_SEC);
    assert_int_equal(rtt.backoff, 0);
    nst_rtt_sample(&rtt, 100 * NST_MS, 0);
    assert_int_equal(nst_rtt_rto(&rtt), 300 * NST_MS);
}

/* With timestamps the SYN that was lost could be measured. */
static void test_lost_syn_that_was_measured(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 100 * NST_MS, 0);
    nst_rtt_syn_was_lost(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), 300 * NST_MS);
}

static void test_minimum_lasts_five_minutes(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 10 * NST_MS, 0);
    nst_rtt_sample(&rtt, 5 * NST_MS, NST_SEC);
    for (nst_time now = 2 * NST_SEC; now <= 300 * NST_SEC; now += NST_SEC) {
        nst_rtt_sample(&rtt, (now == 200 * NST_SEC ? 7 : 20) * NST_MS, now);
        assert_int_equal(nst_rtt_min(&rtt), 5 * NST_MS);
    }
    nst_rtt_sample(&rtt, 20 * NST_MS, 301 * NST_SEC);
    assert_int_equal(nst_rtt_min(&rtt), 7 * NST_MS);
    assert_int_equal(rtt.min_at_ms, 200 * 1000);
    nst_rtt_sample(&rtt, 6 * NST_MS, 302 * NST_SEC);
    assert_int_equal(nst_rtt_min(&rtt), 6 * NST_MS);
}

static void test_minimum_after_long_silence(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 5 * NST_MS, 0);
    nst_rtt_sample(&rtt, 6 * NST_MS, 3 * MINUTE);
    nst_rtt_sample(&rtt, 50 * NST_MS, HOUR);
    assert_int_equal(nst_rtt_min(&rtt), 50 * NST_MS);
}

/* Against all samples: what is given is one of the window's, and none of its last half is less. */
static void test_minimum_against_all_samples(void **state)
{
    enum { SAMPLES = 20000 };
    static nst_time at[SAMPLES], value[SAMPLES];
    struct nst_rtt rtt = fresh();
    struct nst_prng prng;
    nst_time now = TEST_START;
    size_t window = 0, half = 0;
    (void)state;

    test_prng_init(&prng, 1);
    for (size_t i = 0; i < SAMPLES; i++) {
        now += nst_prng_below(&prng, 8000) * NST_MS;
        at[i] = now;
        value[i] = NST_MS + nst_prng_below(&prng, 100) * NST_MS + i % 1000 * NST_MS;
        nst_rtt_sample(&rtt, value[i], now);
        while (now - at[window] >= NST_RTT_MIN_WINDOW)
            window++;
        while (now - at[half] > NST_RTT_MIN_WINDOW / 2)
            half++;
        bool found = false;
        for (size_t j = window; j <= i; j++)
            found |= (uint32_t)(at[j] / NST_MS) == rtt.min_at_ms && value[j] == nst_rtt_min(&rtt);
        assert_true(found);
        for (size_t j = half; j <= i; j++)
            assert_true(value[j] >= nst_rtt_min(&rtt));
    }
}

/* What is expected makes the timeout longer, not shorter, and no longer than 3 s; backed off as
 * ever, and forgotten with the next sample. */
static void test_expectation(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 20 * NST_MS, 0);
    assert_int_equal(nst_rtt_rto(&rtt), 220 * NST_MS);
    nst_rtt_expect(&rtt, 10 * NST_MS, 1 * NST_MS);
    assert_int_equal(nst_rtt_rto(&rtt), 220 * NST_MS);
    nst_rtt_expect(&rtt, 120 * NST_MS, 60 * NST_MS);
    assert_int_equal(nst_rtt_rto(&rtt), 360 * NST_MS);
    assert_int_equal(rtt.srtt, 20 * NST_MS);
    nst_rtt_backoff(&rtt);
    assert_int_equal(nst_rtt_rto(&rtt), 720 * NST_MS);
    nst_rtt_sample(&rtt, 20 * NST_MS, NST_SEC);
    assert_int_equal(nst_rtt_rto(&rtt), 220 * NST_MS);
    nst_rtt_expect(&rtt, UINT64_MAX, UINT64_MAX);
    assert_int_equal(nst_rtt_rto(&rtt), 3 * NST_SEC);
}

/* Attack row 224: samples of hours, clocks that jump either way. */
static void test_absurd_samples_saturate(void **state)
{
    static const nst_time samples[] = {
        HOUR, 24 * HOUR, UINT64_MAX / 8, UINT64_MAX / 7 + 1, UINT64_MAX - NST_MS, UINT64_MAX, 0, 1};
    static const nst_time times[] = {0, 1, UINT64_MAX / 2, UINT64_MAX, 5 * MINUTE};
    struct nst_rtt rtt = fresh();
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 2);
    for (unsigned i = 0; i < 100000; i++) {
        nst_time sample = samples[nst_prng_below(&prng, NST_ARRAY_LEN(samples))];
        nst_rtt_sample(&rtt, sample, times[nst_prng_below(&prng, NST_ARRAY_LEN(times))]);
        if (nst_prng_below(&prng, 2))
            nst_rtt_backoff(&rtt);
        assert_in_range(nst_rtt_rto(&rtt), NST_RTO_VAR_MIN, NST_RTO_MAX);
        assert_in_range(rtt.srtt, 1, NST_RTO_MAX);
        assert_true(rtt.rttvar <= NST_RTO_MAX);
        assert_in_range(nst_rtt_min(&rtt), 1, NST_RTO_MAX);
    }
}

/* One wild sample is forgotten within a few dozen good ones. */
static void test_recovers_from_an_absurd_sample(void **state)
{
    struct nst_rtt rtt = fresh();
    (void)state;

    nst_rtt_sample(&rtt, 20 * NST_MS, 0);
    nst_rtt_sample(&rtt, UINT64_MAX, NST_SEC);
    for (unsigned i = 2; i < 80; i++)
        nst_rtt_sample(&rtt, 20 * NST_MS, i * NST_SEC);
    assert_in_range(nst_rtt_rto(&rtt), 220 * NST_MS, 221 * NST_MS);
    assert_int_equal(nst_rtt_min(&rtt), 20 * NST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_timeout),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_steady_path_keeps_200ms_of_variance),
        cmocka_unit_test(test_backoff_doubles_up_to_the_maximum),
        cmocka_unit_test(test_backoff_of_the_least_timeout),
        cmocka_unit_test(test_backoff_ends),
        cmocka_unit_test(test_lost_syn),
        cmocka_unit_test(test_lost_syn_that_was_measured),
        cmocka_unit_test(test_minimum_lasts_five_minutes),
        cmocka_unit_test(test_minimum_after_long_silence),
        cmocka_unit_test(test_minimum_against_all_samples),
        cmocka_unit_test(test_expectation),
        cmocka_unit_test(test_absurd_samples_saturate),
        cmocka_unit_test(test_recovers_from_an_absurd_sample),
    };
    return cmocka_run_group_tests_name("rtt", tests, NULL, NULL);
}
