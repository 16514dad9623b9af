/* HyStart++ (RFC 9406): rounds made by hand, with the delays that its thresholds are about. */
#include "core/tcp/hystart.h"

#include "core/base/bytes.h"

#include "../core.h"

#define MSS    1000
#define FLIGHT (20 * MSS)
#define MS(n)  ((nst_time)(n)*NST_MS)

static struct nst_cc cc;
static struct nst_hystart h;

static int setup(void **state)
{
    (void)state;
    cc = (struct nst_cc){.mss = MSS,
                         .cwnd = FLIGHT,
                         .ssthresh = UINT32_MAX,
                         .hystart = true,
                         .paced = true,
                         .nxt = {FLIGHT}};
    h = (struct nst_hystart){.begun = false};
    return 0;
}

/* A round of `n` ACKs for one segment each, all of this RTT. Returns what the last one allowed. */
static uint32_t round_of(unsigned n, nst_time rtt)
{
    nst_seq end = cc.nxt;
    uint32_t grow = 0;

    for (unsigned i = 1; i <= n; i++) {
        cc.una = i < n ? nst_seq_add(cc.una, 1) : end;
        grow = nst_hystart_acked(&h, &cc, MSS, rtt);
        cc.nxt = nst_seq_add(cc.nxt, 2 * MSS);
    }
    return grow;
}

/* `n` ACKs for one byte each, amid a round. Returns what the last one allowed. */
static uint32_t acks(unsigned n, nst_time rtt)
{
    uint32_t grow = 0;

    while (n-- > 0) {
        cc.una = nst_seq_add(cc.una, 1);
        grow = nst_hystart_acked(&h, &cc, MSS, rtt);
    }
    return grow;
}

/* Shows 9406-1: at 40 ms the threshold is an eighth, 5 ms. */
static void test_threshold(void **state)
{
    (void)state;

    cc.paced = false;
    round_of(8, MS(40));
    assert_int_equal(round_of(8, MS(45) - NST_US), MSS);
    setup(NULL);
    round_of(8, MS(40));
    assert_int_equal(round_of(8, MS(45)), MSS / 4);
}

/* Shows 9406-1: it is 4 ms at least, and 16 ms at most. */
static void test_threshold_bounds(void **state)
{
    static const struct {
        nst_time base, below, at;
    } rows[] = {{MS(1), MS(5) - NST_US, MS(5)}, {MS(400), MS(416) - NST_US, MS(416)}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        setup(NULL);
        cc.paced = false;
        round_of(8, rows[i].base);
        assert_int_equal(round_of(8, rows[i].below), MSS);
        setup(NULL);
        round_of(8, rows[i].base);
        assert_int_equal(round_of(8, rows[i].at), MSS / 4);
    }
}

/* Shows 9406-1: fewer than eight samples in a round say nothing. */
static void test_eight_samples(void **state)
{
    (void)state;

    round_of(8, MS(40));
    assert_int_equal(round_of(7, MS(80)), MSS);
    assert_int_equal(round_of(8, MS(160)), MSS / 4);
}

/* Shows 9406-2: in conservative slow start growth is a quarter. */
static void test_quarter(void **state)
{
    (void)state;

    round_of(8, MS(40));
    round_of(8, MS(46));
    assert_int_equal(nst_hystart_acked(&h, &cc, MSS, MS(46)), MSS / 4);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
}

/* Shows 9406-3: the delay went away: slow start goes on. */
static void test_resumes(void **state)
{
    (void)state;

    round_of(8, MS(40));
    assert_int_equal(round_of(8, MS(46)), MSS / 4);
    assert_int_equal(round_of(8, MS(46)), MSS / 4);
    assert_int_equal(round_of(8, MS(45)), MSS);
    assert_int_equal(round_of(8, MS(45)), MSS);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
}

/* Shows 9406-4: five rounds of it, the one in which it began counted, end slow start. */
static void test_five_rounds(void **state)
{
    (void)state;

    round_of(8, MS(40));
    for (unsigned n = 1; n <= 5; n++) {
        assert_int_equal(cc.ssthresh, UINT32_MAX);
        round_of(8, MS(46));
    }
    assert_int_equal(cc.ssthresh, FLIGHT);
}

/* A queue that goes on growing needs no five rounds: eight samples in a row, wherever in a round,
 * of 4 ms more than it took to begin. */
static void test_queue_goes_on_growing(void **state)
{
    (void)state;

    round_of(8, MS(40));
    round_of(8, MS(45));
    round_of(7, MS(49));
    round_of(8, MS(49) - NST_US);
    round_of(7, MS(49));
    assert_int_equal(cc.ssthresh, UINT32_MAX);
    round_of(1, MS(49));
    assert_int_equal(cc.ssthresh, FLIGHT);
}

/* The round that fills the path begins with an empty queue, and so its least RTT tells nothing of
 * it: what is paced doesn't grow while the last eight samples do. */
static void test_queue_within_a_round(void **state)
{
    (void)state;

    round_of(8, MS(40));
    cc.nxt = nst_seq_add(cc.nxt, FLIGHT);
    assert_int_equal(acks(8, MS(40)), MSS);
    assert_int_equal(acks(7, MS(44)), MSS);
    assert_int_equal(acks(1, MS(44)), 0);
    assert_int_equal(acks(1, MS(60)), 0);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
    assert_int_equal(acks(1, MS(44) - NST_US), MSS);
    acks(8, MS(60));
    cc.paced = false;
    assert_int_equal(acks(1, MS(60)), MSS);
}

/* Shows 9406-5: only the first slow start; and only where it is wanted. */
static void test_only_initial(void **state)
{
    (void)state;

    cc.ssthresh = 1000 * MSS;
    round_of(8, MS(40));
    assert_int_equal(round_of(8, MS(80)), MSS);
    setup(NULL);
    cc.hystart = false;
    round_of(8, MS(40));
    assert_int_equal(round_of(8, MS(80)), MSS);
}

/* Shows 9406-6: what isn't paced grows by eight segments at most for an ACK. */
static void test_limit(void **state)
{
    (void)state;

    assert_int_equal(nst_hystart_acked(&h, &cc, 12 * MSS, MS(40)), 12 * MSS);
    cc.paced = false;
    assert_int_equal(nst_hystart_acked(&h, &cc, 12 * MSS, MS(40)), 8 * MSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_threshold, setup),
        cmocka_unit_test_setup(test_threshold_bounds, setup),
        cmocka_unit_test_setup(test_eight_samples, setup),
        cmocka_unit_test_setup(test_quarter, setup),
        cmocka_unit_test_setup(test_resumes, setup),
        cmocka_unit_test_setup(test_five_rounds, setup),
        cmocka_unit_test_setup(test_queue_goes_on_growing, setup),
        cmocka_unit_test_setup(test_queue_within_a_round, setup),
        cmocka_unit_test_setup(test_only_initial, setup),
        cmocka_unit_test_setup(test_limit, setup),
    };
    return cmocka_run_group_tests_name("hystart", tests, NULL, NULL);
}
