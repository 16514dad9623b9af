/* Conflict detection: the times of RFC 5227 §1.1, and what a conflict does in each phase. */
#include "core/link/acd.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

static const struct nst_mac RIVAL = {{2, 0, 0, 0, 0, 0x66}};

static struct test_core core;
static struct nst_ifaddr *addr; /* 192.0.2.77 */

/* What was sent: a probe or an announcement for `addr`, and when, since the start. */
struct sent {
    char what; /* P or A */
    nst_time at;
};

static struct sent log_[64];
static unsigned logged;
static nst_time started;

static void begin(enum nst_acd acd, unsigned seed)
{
    test_core_init(&core);
    test_prng_init(&core.env.prng, seed);
    addr = test_core_addr_add(&core, "192.0.2.77/24", acd);
    logged = 0;
    started = core.env.now;
}

static void end(void)
{
    assert_int_equal(core.iface.txq_pkts, 0);
    test_core_fini(&core);
}

static bool is(const struct nst_pkt *pkt, const char *text)
{
    struct hex bytes = hex_bytes(text);
    bool same = nst_pkt_head_len(pkt) == bytes.len && nst_pkt_len(pkt) == bytes.len &&
                memcmp(nst_pkt_head(pkt), bytes.p, bytes.len) == 0;

    hex_free(bytes);
    return same;
}

/* Takes what waits for the device; each packet is a probe or an announcement to everybody. */
static void collect(void)
{
    static const char probe[] = "0001 0800 06 04 0001 020000000001 00000000 000000000000 c000024d";
    static const char announcement[] =
        "0001 0800 06 04 0001 020000000001 c000024d 000000000000 c000024d";
    struct nst_pkt *pkt;

    while ((pkt = nst_iface_pull(&core.iface))) {
        assert_true(is(pkt, probe) || is(pkt, announcement));
        assert_true(nst_mac_is_broadcast(&pkt->mac));
        assert_true(logged < NST_ARRAY_LEN(log_));
        log_[logged++] = (struct sent){is(pkt, probe) ? 'P' : 'A', core.env.now - started};
        nst_pkt_free(pkt);
    }
}

static void fire(void *ctx, struct nst_timer *timer)
{
    (void)ctx;
    assert_int_equal(timer->kind, NST_TIMER_ACD);
    assert_ptr_equal(timer, &addr->timer);
    nst_acd_timeout(addr);
    collect();
}

static void run(nst_time after)
{
    test_core_run(&core, core.env.now + after, fire, NULL);
}

static void conflict(void)
{
    nst_acd_conflict(addr, &RIVAL);
    collect();
}

/* ---- Without conflicts ------------------------------------------------------------------- */

/* Within PROBE_WAIT the first of three probes, PROBE_MIN to PROBE_MAX apart; ANNOUNCE_WAIT after
 * the last the address is in use and announced twice, ANNOUNCE_INTERVAL apart.
 * Shows 5227-1, 5227-3. */
static void test_probing(void **state)
{
    nst_time least_wait = NST_TIME_NEVER, most_wait = 0, least_gap = NST_TIME_NEVER, most_gap = 0;
    (void)state;

    for (unsigned seed = 0; seed < 200; seed++) {
        begin(NST_ACD_PROBE, seed);
        nst_acd_start(addr);
        assert_int_equal(addr->state, NST_ADDR_TENTATIVE);
        while (logged < 3)
            run(NST_MS);
        nst_time wait = log_[0].at, gap = log_[1].at - log_[0].at;
        assert_true(wait < NST_SEC + NST_US);
        for (unsigned i = 1; i < 3; i++)
            assert_in_range(log_[i].at - log_[i - 1].at, NST_SEC, 2 * NST_SEC + NST_US);
        least_wait = nst_min(least_wait, wait);
        most_wait = nst_max(most_wait, wait);
        least_gap = nst_min(least_gap, gap);
        most_gap = nst_max(most_gap, gap);
        nst_time since = core.env.now - started - log_[2].at;
        run(2 * NST_SEC - since - NST_US);
        assert_int_equal(addr->state, NST_ADDR_TENTATIVE);
        run(20 * NST_SEC);
        assert_int_equal(addr->state, NST_ADDR_VALID);
        assert_int_equal(logged, 5);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(log_[i].what, i < 3 ? 'P' : 'A');
        assert_int_equal(log_[3].at - log_[2].at, 2 * NST_SEC);
        assert_int_equal(log_[4].at - log_[3].at, 2 * NST_SEC);
        end();
    }
    /* The random parts use their ranges. */
    assert_true(least_wait < NST_SEC / 20 && most_wait > NST_SEC * 19 / 20);
    assert_true(least_gap < NST_SEC * 21 / 20 && most_gap > NST_SEC * 39 / 20);
}

static void test_announcing_only(void **state)
{
    (void)state;

    begin(NST_ACD_ANNOUNCE, 1);
    nst_acd_start(addr);
    assert_int_equal(addr->state, NST_ADDR_VALID);
    run(60 * NST_SEC);
    assert_int_equal(logged, 2);
    assert_int_equal(log_[0].what, 'A');
    assert_int_equal(log_[0].at, 0);
    assert_int_equal(log_[1].what, 'A');
    assert_int_equal(log_[1].at, 2 * NST_SEC);
    end();
}

static void assert_silent(void)
{
    nst_acd_start(addr);
    assert_int_equal(addr->state, NST_ADDR_VALID);
    nst_acd_carrier(addr);
    run(60 * NST_SEC);
    assert_int_equal(logged, 0);
    end();
}

/* Where it is off, or there is no ARP, the address is used and nothing is said. */
static void test_silence(void **state)
{
    static const enum nst_acd modes[] = {NST_ACD_ANNOUNCE, NST_ACD_PROBE};
    (void)state;

    begin(NST_ACD_OFF, 1);
    assert_silent();
    for (size_t i = 0; i < NST_ARRAY_LEN(modes); i++) {
        begin(modes[i], 1);
        core.iface.config.medium = NST_MEDIUM_IP;
        assert_silent();
        begin(modes[i], 1);
        addr->prefix = test_prefix("2001:db8::77/64");
        assert_silent();
    }
}

/* The carrier came back: two announcements, of an address in use only. */
static void test_announced_again(void **state)
{
    (void)state;

    begin(NST_ACD_ANNOUNCE, 1);
    nst_acd_start(addr);
    run(3 * NST_SEC);
    nst_acd_carrier(addr);
    run(NST_SEC);
    nst_acd_carrier(addr); /* again, before the first round is over */
    run(60 * NST_SEC);
    assert_int_equal(logged, 2 + 1 + 2);
    end();
    begin(NST_ACD_PROBE, 1);
    addr->state = NST_ADDR_CONFLICT;
    nst_acd_carrier(addr);
    run(60 * NST_SEC);
    assert_int_equal(logged, 0);
    end();
}

/* Without a carrier nobody could answer: the probing waits for one, and then begins anew.
 * Shows 5227-5. */
static void test_probing_waits_for_carrier(void **state)
{
    (void)state;

    begin(NST_ACD_PROBE, 1);
    core.iface.up = false;
    nst_acd_start(addr);
    run(60 * NST_SEC);
    assert_int_equal(logged, 0);
    assert_int_equal(addr->state, NST_ADDR_TENTATIVE);
    core.iface.up = true;
    nst_acd_carrier(addr);
    run(60 * NST_SEC);
    assert_int_equal(logged, 3 + 2);
    assert_int_equal(addr->state, NST_ADDR_VALID);
    end();
}

/* ---- Conflicts --------------------------------------------------------------------------- */

/* Before the first probe, after each, and just before the address would be used: it is given up,
 * and nothing more is sent. Shows 5227-2. */
static void test_conflict_while_probing(void **state)
{
    (void)state;

    for (unsigned after = 0; after <= 4; after++) {
        begin(NST_ACD_PROBE, after);
        nst_acd_start(addr);
        while (logged < nst_min(after, 3))
            run(NST_MS);
        if (after == 4)
            run(2 * NST_SEC - 2 * NST_MS);
        conflict();
        assert_int_equal(addr->state, NST_ADDR_CONFLICT);
        assert_true(addr->contested);
        assert_true(nst_mac_eq(&addr->contender, &RIVAL));
        assert_false(nst_timer_armed(&addr->timer));
        run(60 * NST_SEC);
        assert_int_equal(addr->state, NST_ADDR_CONFLICT);
        assert_int_equal(logged, nst_min(after, 3));
        assert_int_equal(core.env.stats[NST_STAT_acd_conflicts], 1);
        assert_int_equal(core.env.stats[NST_STAT_acd_defences], 0);
        end();
    }
}

/* An address in use is kept, and defended once in DEFEND_INTERVAL however many claim it. */
static void test_defence(void **state)
{
    (void)state;

    begin(NST_ACD_ANNOUNCE, 1);
    nst_acd_start(addr);
    run(10 * NST_SEC);
    logged = 0;
    started = core.env.now;
    for (unsigned i = 0; i < 1000; i++) {
        conflict();
        run(50 * NST_MS);
    }
    assert_int_equal(addr->state, NST_ADDR_VALID);
    assert_int_equal(logged, 5);
    for (unsigned i = 0; i < logged; i++) {
        assert_int_equal(log_[i].what, 'A');
        assert_int_equal(log_[i].at, i * 10 * NST_SEC);
    }
    assert_int_equal(core.env.stats[NST_STAT_acd_conflicts], 1000);
    assert_int_equal(core.env.stats[NST_STAT_acd_defences], 5);
    end();
}

/* Shows 5227-4. */
static void test_defence_interval_is_exact(void **state)
{
    (void)state;

    begin(NST_ACD_ANNOUNCE, 1);
    conflict();
    assert_int_equal(logged, 1);
    run(10 * NST_SEC - 1);
    conflict();
    assert_int_equal(logged, 1);
    run(1);
    conflict();
    assert_int_equal(logged, 2);
    end();
}

/* A conflict between the announcements is answered, and they go on. */
static void test_conflict_while_announcing(void **state)
{
    (void)state;

    begin(NST_ACD_ANNOUNCE, 1);
    nst_acd_start(addr);
    run(NST_SEC);
    conflict();
    run(60 * NST_SEC);
    assert_int_equal(logged, 3);
    assert_int_equal(log_[1].at, NST_SEC);
    assert_int_equal(log_[2].at, 2 * NST_SEC);
    end();
}

/* Switched off, the owner is told all the same. */
static void test_conflict_without_detection(void **state)
{
    (void)state;

    begin(NST_ACD_OFF, 1);
    nst_acd_start(addr);
    conflict();
    run(60 * NST_SEC);
    assert_int_equal(addr->state, NST_ADDR_VALID);
    assert_true(addr->contested);
    assert_true(nst_mac_eq(&addr->contender, &RIVAL));
    assert_int_equal(logged, 0);
    assert_int_equal(core.env.stats[NST_STAT_acd_conflicts], 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probing),
        cmocka_unit_test(test_announcing_only),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_announced_again),
        cmocka_unit_test(test_probing_waits_for_carrier),
        cmocka_unit_test(test_conflict_while_probing),
        cmocka_unit_test(test_defence),
        cmocka_unit_test(test_defence_interval_is_exact),
        cmocka_unit_test(test_conflict_while_announcing),
        cmocka_unit_test(test_conflict_without_detection),
    };
    return cmocka_run_group_tests_name("acd", tests, NULL, NULL);
}
