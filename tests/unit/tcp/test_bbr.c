/* BBR (draft-ietf-ccwg-bbr), by what it sets: each step is a round trip in which a path delivers at
 * a given rate. The numbers follow from the draft's constants, which the code has in 1/256. */
#include "core/base/bytes.h"
#include "core/tcp/cc.h"

#include "../core.h"

#define MSS 1460
#define RTT (20 * NST_MS)
#define BW  12500000u /* bytes a second: 100 Mb/s */
#define BDP 250000u

/* What is sent: the gain, a hundredth less (bbr-2). */
#define PACED(gain_256) ((uint64_t)BW * (gain_256) / 256 * 99 / 100)
#define STARTUP         709 /* 2.77 */
#define DRAIN           89  /* 0.35 */
#define DOWN            230 /* 0.90 */
#define CRUISE          256
#define UP              320 /* 1.25 */

static struct nst_cc cc;
static uint64_t delivered, lost;
static uint8_t model[1024];

static void begin(nst_time srtt)
{
    memset(model, 0, sizeof model);
    assert_true(nst_cc_bbr.model_bytes <= sizeof model);
    delivered = lost = 0;
    cc = (struct nst_cc){.ops = &nst_cc_bbr,
                         .model = model,
                         .mss = MSS,
                         .cwnd = nst_cc_initial_window(MSS),
                         .ssthresh = UINT32_MAX,
                         .cwnd_max = UINT32_MAX,
                         .now = TEST_START,
                         .srtt = srtt,
                         .nxt = {12345},
                         .sack = true,
                         .cwnd_limited = true};
    cc.ops->init(&cc);
}

static int setup(void **state)
{
    (void)state;
    begin(RTT);
    return 0;
}

/* A round trip at `rate`, which leaves `in_flight` out. */
static void trip(uint64_t rate, nst_time rtt, uint32_t in_flight, bool app_limited)
{
    struct nst_cc_sample s = {.prior_delivered = delivered,
                              .rate = rate,
                              .rtt = rtt,
                              .acked = (uint32_t)(rate * rtt / NST_SEC),
                              .in_flight = in_flight,
                              .tx_in_flight = in_flight,
                              .has_data = true,
                              .app_limited = app_limited};

    delivered += s.acked;
    s.delivered = delivered;
    cc.now += rtt;
    cc.ops->control(&cc, &s);
}

/* `n` of the 100 segments that went with the last of them are lost, and told at once. */
static void lose(unsigned n)
{
    const struct nst_cc_loss loss = {.bytes = n * MSS,
                                     .tx_in_flight = 100 * MSS,
                                     .lost = n * MSS,
                                     .delivered = delivered,
                                     .prior_delivered = delivered};

    cc.ops->lost(&cc, &loss);
}

/* Through STARTUP into DRAIN. */
static void fill_pipe(void)
{
    for (unsigned i = 0; i < 4; i++)
        trip(BW, RTT, 2 * BDP, false);
}

/* ... and on, until the rate is that of a phase. Fails after 400 round trips. */
static void go_on_until(uint32_t gain)
{
    for (unsigned i = 0; cc.pacing_rate != PACED(gain); i++) {
        assert_true(i < 400);
        trip(BW, RTT, BDP, false);
    }
}

/* Shows bbr-1: 2.77 times the initial window a round trip, or a millisecond until one is measured.
 */
static void test_initial_rate(void **state)
{
    (void)state;

    assert_int_equal(cc.pacing_rate, 14600ull * 50 * STARTUP / 256);
    begin(0);
    assert_int_equal(cc.pacing_rate, 14600ull * 1000 * STARTUP / 256);
    cc.srtt = RTT;
    trip(BW / 100, RTT, 0, true);
    assert_int_equal(cc.pacing_rate, 14600ull * 50 * STARTUP / 256);
}

/* Shows bbr-2, bbr-3: STARTUP goes on while the rate grows by a quarter, and for three rounds. */
static void test_startup(void **state)
{
    (void)state;

    for (uint64_t rate = BW / 8; rate < BW; rate = rate * 5 / 4 + 1) {
        trip(rate, RTT, BDP, false);
        assert_true(cc.pacing_rate >= rate * STARTUP / 256 * 99 / 100);
    }
    trip(2 * BW, RTT, BDP, false);
    for (unsigned i = 0; i < 2; i++) {
        trip(2 * BW, RTT, BDP, false);
        assert_int_equal(cc.pacing_rate, 2ull * BW * STARTUP / 256 * 99 / 100);
    }
    trip(2 * BW, RTT, 4 * BDP, false);
    assert_int_equal(cc.pacing_rate, 2ull * BW * DRAIN / 256 * 99 / 100);
}

/* Shows bbr-3: a flow that had no more to send has not found the path's limit. */
static void test_startup_app_limited(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 10; i++)
        trip(BW, RTT, BDP, true);
    assert_int_equal(cc.pacing_rate, PACED(STARTUP));
}

/* Shows bbr-4: DRAIN lasts until no more is out than the path holds. */
static void test_drain(void **state)
{
    (void)state;

    fill_pipe();
    assert_int_equal(cc.pacing_rate, PACED(DRAIN));
    trip(BW, RTT, BDP + 10 * MSS, false);
    assert_int_equal(cc.pacing_rate, PACED(DRAIN));
    trip(BW, RTT, BDP, false); /* and so does DOWN, which is over at once */
    assert_int_equal(cc.pacing_rate, PACED(CRUISE));
}

/* A round of fast recovery in which `n` of `sent` segments were lost, in eight places. */
static void recovery_round(unsigned n, unsigned sent)
{
    const struct nst_cc_loss loss = {.bytes = MSS, .tx_in_flight = sent * MSS, .lost = MSS};
    const struct nst_cc_sample s = {.delivered = delivered + (sent - n) * MSS,
                                    .prior_delivered = delivered,
                                    .lost = n * MSS,
                                    .tx_in_flight = sent * MSS,
                                    .in_flight = 2 * BDP,
                                    .has_data = true,
                                    .recovery = true};

    for (unsigned i = 0; i < 8; i++)
        cc.ops->lost(&cc, &loss);
    cc.ops->control(&cc, &s);
    delivered = s.delivered;
}

/* STARTUP ends when a round has lost too much; a small flight can't show that. */
static void test_startup_losses(void **state)
{
    (void)state;

    trip(BW, RTT, BDP, false);
    recovery_round(10, 30);
    assert_int_equal(cc.pacing_rate, PACED(STARTUP));
    recovery_round(100, 300);
    assert_int_equal(cc.pacing_rate, PACED(DRAIN));
}

/* Losses that are told in DRAIN are STARTUP's: they don't bound the rate. */
static void test_drain_losses(void **state)
{
    (void)state;

    fill_pipe();
    trip(BW / 3, RTT, BDP + 10 * MSS, false);
    lose(60);
    trip(BW / 3, RTT, BDP + 10 * MSS, false);
    assert_int_equal(cc.pacing_rate, PACED(DRAIN));
    trip(BW, RTT, BDP, false);
    assert_int_equal(cc.pacing_rate, PACED(CRUISE));
}

/* Shows bbr-5: DOWN, CRUISE, REFILL, UP, and again; two to three seconds a cycle, or 63 rounds. */
static void test_cycle(void **state)
{
    (void)state;

    fill_pipe();
    trip(BW, RTT, BDP, false);
    nst_time down = cc.now;
    go_on_until(CRUISE);
    go_on_until(UP);
    assert_true(cc.now - down <= 3 * NST_SEC + 2 * RTT && cc.now - down >= 61 * RTT);
    go_on_until(DOWN);
}

/* Shows bbr-6: the window is twice what the path holds, beside what ACKs bunch up. */
static void test_cwnd(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(CRUISE);
    for (unsigned i = 0; i < 20; i++)
        trip(BW, RTT, BDP, false);
    assert_true(cc.cwnd >= 2 * BDP && cc.cwnd <= 3 * BDP);
}

/* Shows bbr-7: losses of more than 2 % of what was out, and more than chance makes of that, end
 * probing, and bound what may be. */
static void test_too_high(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(UP);
    lose(3); /* two, and the root of two, are bearable */
    trip(BW, RTT, BDP, false);
    assert_int_equal(cc.pacing_rate, PACED(UP));
    lose(4);
    trip(BW, RTT, 110 * MSS, false);
    assert_int_equal(cc.pacing_rate, PACED(DOWN));
    assert_int_equal(cc.cwnd, 175000); /* 0.7 of the path */
}

/* Beyond the draft: a path that has lost 5 % of what was sent while its queue was empty does so by
 * chance, and probing goes on; what chance does not explain ends it. */
static void test_chance(void **state)
{
    (void)state;

    fill_pipe();
    for (unsigned i = 0; cc.pacing_rate != PACED(UP); i++) {
        assert_true(i < 400);
        lose(9); /* of the 171 of a trip */
        trip(BW, RTT, BDP, false);
    }
    lose(12);
    trip(BW, RTT, BDP, false);
    assert_int_equal(cc.pacing_rate, PACED(UP));
    lose(20);
    trip(BW, RTT, 110 * MSS, false);
    assert_int_equal(cc.pacing_rate, PACED(DOWN));
}

/* Also where a cycle is so short that it can't be judged: this path has lost nothing by chance. */
static void test_chance_of_short_path(void **state)
{
    nst_time rtt = RTT / 20;
    (void)state;

    begin(rtt);
    for (unsigned i = 0; i < 300 || cc.pacing_rate != PACED(UP); i++) {
        assert_true(i < 400);
        trip(BW, rtt, BDP / 20, false);
    }
    lose(5);
    trip(BW, rtt, 110 * MSS, false);
    assert_int_equal(cc.pacing_rate, PACED(DOWN));
}

/* What was sent twice takes longer to be lost again, and the others' losses meanwhile are of what
 * was sent meanwhile. */
static void test_late_loss(void **state)
{
    struct nst_cc_loss loss = {.bytes = MSS, .tx_in_flight = 100 * MSS, .lost = 4 * MSS};
    (void)state;

    fill_pipe();
    go_on_until(UP);
    loss.delivered = delivered;
    loss.prior_delivered = delivered - 200 * MSS;
    cc.ops->lost(&cc, &loss);
    trip(BW, RTT, BDP, false);
    assert_int_equal(cc.pacing_rate, PACED(UP));
}

/* Shows bbr-8: after five seconds without a sample as low as the least, half the path is left idle
 * for 200 ms and a round trip. */
static void test_probe_rtt(void **state)
{
    nst_time entered;
    (void)state;

    fill_pipe();
    for (unsigned i = 0; !cc.probing_rtt; i++) {
        assert_true(i < 300);
        trip(BW, RTT + NST_MS, BDP, false);
    }
    assert_true(cc.now - TEST_START > 5 * NST_SEC);
    assert_true(cc.cwnd <= BDP / 2 + BDP / 10);
    entered = cc.now;
    while (cc.probing_rtt)
        trip(BW, RTT, BDP / 2, true);
    assert_true(cc.now - entered > 200 * NST_MS && cc.now - entered < 300 * NST_MS);
    assert_true(cc.cwnd > BDP);
}

/* Shows bbr-9: recovery from too many losses begins with what is in flight, and ends with the
 * window of before. */
static void test_recovery(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(CRUISE);
    uint32_t before = cc.cwnd;
    lose(30);
    cc.ssthresh = cc.ops->ssthresh(&cc, BDP);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
    trip(BW / 10, RTT, 50 * MSS, false);
    assert_int_equal(cc.cwnd, 50 * MSS + BW / 10 / 50);
    cc.ops->recovered(&cc);
    assert_int_equal(cc.cwnd, before);
}

/* Losses that are bearable leave the window as it is. */
static void test_bearable_recovery(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(CRUISE);
    uint32_t before = cc.cwnd;
    lose(3);
    cc.ssthresh = cc.ops->ssthresh(&cc, BDP);
    trip(BW / 10, RTT, 50 * MSS, false);
    assert_in_range(cc.cwnd, before - 3 * MSS, before + BW / 10 / 50);
    cc.ops->recovered(&cc);
    cc.sack = false; /* nobody knows how many they are */
    cc.ssthresh = cc.ops->ssthresh(&cc, BDP);
    trip(BW / 10, RTT, 50 * MSS, false);
    assert_int_equal(cc.cwnd, 50 * MSS + BW / 10 / 50);
}

/* A recovery that was wrong: what its losses bound is as before. */
static void test_undo(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(UP);
    uint32_t before = cc.cwnd;
    cc.ssthresh = cc.ops->ssthresh(&cc, BDP);
    lose(10);
    trip(BW, RTT, 90 * MSS, false);
    assert_int_equal(cc.cwnd, 148750); /* 0.7 of the path, and headroom */
    cc.ops->undo(&cc);
    cc.ops->recovered(&cc);
    assert_int_equal(cc.cwnd, before);
    trip(BW, RTT, BDP, false);
    trip(BW, RTT, BDP, false);
    assert_true(cc.cwnd > 3 * before / 4);
}

/* Shows bbr-10: after idleness it goes on at the path's rate; also after a rest. */
static void test_restart(void **state)
{
    (void)state;

    fill_pipe();
    go_on_until(UP);
    cc.now += 3 * NST_SEC;
    cc.ops->restart(&cc, 3 * NST_SEC);
    assert_int_equal(cc.pacing_rate, PACED(CRUISE));
    cc.ops->rest(&cc);
    uint32_t kept = cc.kept[0];
    memset(model, 0, sizeof model);
    cc.pacing_rate = 0;
    cc.ops->init(&cc);
    assert_int_equal(kept, BW / 1024);
    assert_in_range(cc.pacing_rate, PACED(CRUISE) - 1024, PACED(CRUISE));
}

/* Whatever is told, the window stays between four segments, one in recovery, and 1 GiB. */
static void test_extremes(void **state)
{
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 1);
    for (unsigned i = 0; i < 200000; i++) {
        nst_time rtt = 1 + nst_prng_below(&prng, (uint64_t)1 << nst_prng_below(&prng, 37));
        uint64_t rate = nst_prng_below(&prng, (uint64_t)1 << nst_prng_below(&prng, 40));
        uint32_t out = (uint32_t)nst_prng_below(&prng, 1u << nst_prng_below(&prng, 31));
        const struct nst_cc_loss loss = {
            .bytes = 1 + out / 2, .tx_in_flight = out, .lost = out / 3, .delivered = delivered};
        rate = nst_min(rate, ((uint64_t)1 << 30) * NST_SEC / rtt);
        switch (nst_prng_below(&prng, 8)) {
        case 0:
            cc.ops->lost(&cc, &loss);
            break;
        case 1:
            cc.ssthresh = cc.ops->ssthresh(&cc, out);
            break;
        case 2:
            cc.ops->recovered(&cc);
            break;
        case 3:
            cc.ops->restart(&cc, rtt);
            break;
        default:
            trip(rate, rtt, out, nst_prng_below(&prng, 2));
        }
        assert_in_range(cc.cwnd, MSS, UINT32_MAX / 2);
        assert_true(cc.pacing_rate > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_initial_rate, setup),
        cmocka_unit_test_setup(test_startup, setup),
        cmocka_unit_test_setup(test_startup_app_limited, setup),
        cmocka_unit_test_setup(test_drain, setup),
        cmocka_unit_test_setup(test_startup_losses, setup),
        cmocka_unit_test_setup(test_drain_losses, setup),
        cmocka_unit_test_setup(test_cycle, setup),
        cmocka_unit_test_setup(test_cwnd, setup),
        cmocka_unit_test_setup(test_too_high, setup),
        cmocka_unit_test_setup(test_chance, setup),
        cmocka_unit_test_setup(test_chance_of_short_path, setup),
        cmocka_unit_test_setup(test_late_loss, setup),
        cmocka_unit_test_setup(test_probe_rtt, setup),
        cmocka_unit_test_setup(test_recovery, setup),
        cmocka_unit_test_setup(test_bearable_recovery, setup),
        cmocka_unit_test_setup(test_undo, setup),
        cmocka_unit_test_setup(test_restart, setup),
        cmocka_unit_test_setup(test_extremes, setup),
    };
    return cmocka_run_group_tests_name("bbr", tests, NULL, NULL);
}
