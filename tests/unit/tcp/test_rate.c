/* Delivery rates: segments are sent and acknowledged by the scoreboard at times that the test
 * chooses, so that each sample is a division which can be done by hand. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#include "../core.h"

#define LEN 1000u

static struct test_core core;
static struct nst_tcps tcps;
static struct nst_tcb t;
static struct nst_tcp_activity act;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    tcps = (struct nst_tcps){.env = &core.env};
    act = (struct nst_tcp_activity){.cc = {.ops = &nst_cc_newreno}};
    t = (struct nst_tcb){.tcps = &tcps, .act = &act, .snd_mss = LEN, .sack_ok = true};
    t.state = NST_TCP_ESTABLISHED;
    t.snd.una = t.snd.nxt = nst_seq_of(UINT32_MAX - 2 * LEN); /* it wraps */
    nst_rtt_init(&t.rtt);
    nst_board_init(&act.board, t.snd.una);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_board_free(&t);
    nst_env_free(&core.env, t.trouble, sizeof *t.trouble);
    nst_board_fini_spares(&tcps);
    test_core_fini(&core);
    return 0;
}

static void wait_ms(unsigned ms)
{
    core.env.now += ms * NST_MS;
}

static void send(unsigned n)
{
    while (n-- > 0) {
        nst_seq end = nst_seq_add(t.snd.nxt, LEN);
        assert_int_equal(nst_board_sent(&t, t.snd.nxt, end), 0);
        t.snd.nxt = end;
    }
}

/* The next `n` segments have arrived. */
static void ack(unsigned n)
{
    struct nst_tcp_acked a = {.acked = n * LEN};
    nst_seq una = nst_seq_add(t.snd.una, n * LEN);

    nst_rate_begin(&t);
    nst_board_acked(&t, una, &a);
    t.snd.una = una;
    nst_rate_end(&t);
}

/* The segments from the `from`-th that is out to before the `to`-th have. */
static void sack(unsigned from, unsigned to)
{
    const struct nst_tcp_sack block = {nst_seq_add(t.snd.una, from * LEN),
                                       nst_seq_add(t.snd.una, to * LEN)};
    struct nst_tcp_acked a = {.acked = 0};

    nst_rate_begin(&t);
    nst_board_sacked(&t, &block, &a);
    nst_rate_end(&t);
}

static void test_a_flight(void **state)
{
    (void)state;
    send(10);
    wait_ms(20);
    ack(10);
    assert_int_equal(act.rate.bytes_per_sec, 500000); /* 10,000 bytes in 20 ms */
    assert_int_equal(act.rate.delivered, 10000);
    assert_int_equal(tcps.ack.rtt, 20 * NST_MS);
    assert_int_equal(tcps.ack.newest.tx_in_flight, 10000);
    assert_false(act.rate.was_app_limited);
}

/* What is measured is from the acknowledgement before a segment was sent to its own. */
static void test_acknowledgements_at_a_rate(void **state)
{
    (void)state;
    send(10);
    wait_ms(20);
    for (unsigned i = 0; i < 20; i++) { /* what came from the first flight was sent at once */
        ack(1);
        send(1);
        wait_ms(2);
    }
    for (unsigned i = 0; i < 10; i++) {
        ack(1); /* 10 of them since it was sent, 20 ms ago */
        assert_int_equal(act.rate.bytes_per_sec, 500000);
        wait_ms(2);
    }
}

/* ACKs that come together say nothing of the path: nothing arrives faster than it was sent. */
static void test_compressed_acknowledgements(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        send(1);
        wait_ms(10);
    }
    ack(1); /* at 40 ms: 1,000 bytes since the beginning */
    assert_int_equal(act.rate.bytes_per_sec, 25000);
    send(1);
    wait_ms(1);
    ack(4); /* 4,000 bytes in 1 ms, that were sent in 40 ms */
    assert_int_equal(act.rate.bytes_per_sec, 100000);
}

/* Nor does what is acknowledged sooner than a round trip takes. */
static void test_too_short(void **state)
{
    (void)state;
    nst_rtt_sample(&t.rtt, 20 * NST_MS, core.env.now);
    send(10);
    wait_ms(19);
    ack(10);
    assert_int_equal(act.rate.bytes_per_sec, 0);
    assert_int_equal(act.rate.delivered, 10000);
}

/* What SACK tells counts once. */
static void test_sacked(void **state)
{
    (void)state;
    send(4);
    wait_ms(10);
    sack(2, 4);
    assert_int_equal(act.rate.bytes_per_sec, 200000);
    assert_int_equal(act.rate.delivered, 2000);
    wait_ms(10);
    ack(4);
    assert_int_equal(act.rate.delivered, 4000);
    assert_int_equal(act.rate.bytes_per_sec, 200000); /* 4,000 in 20 ms */
}

/* A sender that has too little to send says how slow the path is not: a lower bound, which is taken
 * only where it is more than is known. */
static void test_application_limited(void **state)
{
    (void)state;
    send(10);
    wait_ms(20);
    ack(10);
    nst_rate_app_limited(&t);
    send(1);
    wait_ms(20);
    ack(1); /* 50,000 bytes a second */
    assert_int_equal(act.rate.bytes_per_sec, 500000);
    assert_false(act.rate.was_app_limited);
    nst_rate_app_limited(&t);
    send(20);
    wait_ms(20);
    ack(20);
    assert_int_equal(act.rate.bytes_per_sec, 1000000);
    assert_true(act.rate.was_app_limited);
    send(1); /* what was out then is delivered */
    wait_ms(20);
    ack(1);
    assert_int_equal(act.rate.bytes_per_sec, 50000);
    assert_false(act.rate.was_app_limited);
}

/* A segment that was sent twice has no round trip, but arrives all the same. */
static void test_sent_again(void **state)
{
    (void)state;
    send(2);
    wait_ms(10);
    sack(1, 2);
    nst_board_mark_first_lost(&t);
    assert_int_equal(act.rate.lost, 1000);
    struct nst_tcp_sent *s = nst_board_next_lost(&t);
    assert_int_equal(nst_board_resent(&t, s, s->end), 0);
    wait_ms(10);
    ack(2);
    assert_int_equal(tcps.ack.rtt, 0);
    assert_int_equal(act.rate.delivered, 2000);
    assert_int_equal(act.rate.bytes_per_sec, 100000); /* 1,000 since it was sent again, 10 ms ago */
    assert_int_equal(act.rate.lost, 1000);
}

/* What arrives 5 ms after it was sent again was sent before, at a time that nobody knows any more:
 * no round trip has passed, and no rate was measured. What follows counts from its own time. */
static void test_sent_again_needlessly(void **state)
{
    (void)state;
    nst_rtt_sample(&t.rtt, 20 * NST_MS, core.env.now);
    send(4);
    wait_ms(20);
    sack(1, 4);
    nst_board_mark_first_lost(&t);
    struct nst_tcp_sent *s = nst_board_next_lost(&t);
    assert_int_equal(nst_board_resent(&t, s, s->end), 0);
    send(1);
    wait_ms(5);
    ack(4);
    assert_int_equal(act.rate.delivered, 4000);
    assert_false(tcps.ack.has_data);
    assert_int_equal(act.rate.bytes_per_sec, 150000); /* as before: 3,000 in 20 ms */
    wait_ms(15);
    ack(1);
    assert_true(tcps.ack.has_data);
    assert_int_equal(act.rate.bytes_per_sec, 100000); /* 2,000 in 20 ms */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_flight),
        T(test_acknowledgements_at_a_rate),
        T(test_compressed_acknowledgements),
        T(test_too_short),
        T(test_sacked),
        T(test_application_limited),
        T(test_sent_again),
        T(test_sent_again_needlessly),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
