/* Reassembly by itself: what becomes of the pieces' memory and descriptions, timers, the budget.
 * The rules for overlaps and the like are tested through the whole stack, in
 * stack/test_fragments.c. */
#include "core/ip/reassembly.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

#define BUDGET ((size_t)64 * 1024)

static struct test_core core;
static struct nst_reassembly reassembly;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    nst_reassembly_init(&reassembly, &core.env, BUDGET, 8);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_reassembly_check(&reassembly);
    nst_reassembly_fini(&reassembly);
    test_core_fini(&core);
    return 0;
}

/* A fragment of `len` bytes, each of which is `off` / 8. */
static struct nst_pkt *input(const char *src, uint16_t id, size_t off, size_t len, bool more)
{
    uint8_t bytes[2048];
    struct nst_ipv4 ip = {.src = test_addr(src),
                          .dst = test_addr("192.0.2.1"),
                          .ttl = 9,
                          .proto = 17,
                          .mf = more,
                          .id = id,
                          .frag_off = (uint16_t)off,
                          .total_len = (uint16_t)(20 + len)};

    nst_ipv4_emit(&ip, bytes);
    memset(bytes + 20, (int)(off / 8), len);
    struct nst_pkt *pkt = test_pkt(&core.pool, bytes, 20 + len);
    pkt->ip = (struct nst_pkt_ip){.src = ip.src, .dst = ip.dst, .proto = 17, .ttl = 9, .hlen = 20};
    pkt->frag_off = (uint16_t)off;
    pkt->id = 100 + off;
    pkt->link = 1;
    pkt->time = core.env.now;
    pkt->offload.csum = NST_CSUM_VALID;
    struct nst_pkt *whole = nst_reassembly_input_take(&reassembly, pkt, &ip);
    nst_reassembly_check(&reassembly);
    return whole;
}

static void test_whole(void **state)
{
    struct nst_ipv4 ip;
    (void)state;

    assert_null(input("192.0.2.2", 1, 1000, 500, false));
    core.env.now += NST_SEC;
    struct nst_pkt *whole = input("192.0.2.2", 1, 0, 1000, true);
    assert_non_null(whole);
    assert_int_equal(whole->len, 1520);
    assert_int_equal(nst_ipv4_parse(&ip, nst_pkt_head(whole), nst_pkt_head_len(whole), whole->len),
                     NST_DROP_NONE);
    assert_false(ip.mf);
    assert_int_equal(ip.frag_off, 0);
    assert_int_equal(ip.total_len, 1520);
    /* It bears the number of the first fragment; its checksum was not vouched for as a whole. */
    assert_int_equal(whole->id, 100);
    assert_int_equal(whole->offload.csum, NST_CSUM_NONE);
    assert_int_equal(whole->frag_off, 0);
    for (size_t i = 0; i < 1500; i++) {
        uint8_t byte;
        nst_pkt_read(whole, 20 + i, &byte, 1);
        assert_int_equal(byte, i < 1000 ? 0 : 125);
    }
    nst_pkt_free(whole);
    assert_int_equal(reassembly.used_bytes, 0);
    assert_int_equal(nst_wheel_deadline(&core.env.wheel), NST_TIME_NEVER);
}

/* Source, identification and protocol tell datagrams apart. Shows 791-2. */
static void test_datagrams_are_told_apart(void **state)
{
    (void)state;
    assert_null(input("192.0.2.2", 1, 0, 8, true));
    assert_null(input("192.0.2.2", 2, 8, 8, false));
    assert_null(input("192.0.2.3", 1, 8, 8, false));
    struct nst_pkt *whole = input("192.0.2.2", 1, 8, 8, false);
    assert_non_null(whole);
    nst_pkt_free(whole);
}

static void fire(void *ctx, struct nst_timer *timer)
{
    (void)ctx;
    nst_reassembly_timeout(&reassembly, nst_datagram_of_timer(timer));
    nst_reassembly_check(&reassembly);
}

/* The time runs from the first piece that came and is not prolonged (RFC 1122 §3.3.2).
 * Shows 1122-132. */
static void test_timeout(void **state)
{
    (void)state;
    assert_null(input("192.0.2.2", 1, 0, 8, true));
    core.env.now += 20 * NST_SEC;
    assert_null(input("192.0.2.2", 1, 16, 8, true));
    assert_null(input("192.0.2.2", 2, 16, 8, true));
    test_core_run(&core, TEST_START + 31 * NST_SEC, fire, NULL);
    /* The first fragment is kept for the report, the other is dropped. */
    assert_int_equal(core.env.drops[NST_DROP_frag_timeout], 1);
    struct nst_list *e = nst_list_pop_front(&reassembly.expired);
    assert_non_null(e);
    nst_pkt_free(NST_CONTAINER(e, struct nst_pkt, node));
    test_core_run(&core, TEST_START + 51 * NST_SEC, fire, NULL);
    assert_int_equal(core.env.drops[NST_DROP_frag_timeout], 2);
    assert_true(nst_list_empty(&reassembly.expired));
    assert_int_equal(reassembly.used_bytes, 0);
}

static void test_budget(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < 1000; id++)
        assert_null(input("192.0.2.2", id, 0, 1000, true));
    assert_in_range(reassembly.used_bytes, BUDGET / 2, BUDGET);
    assert_true(core.env.drops[NST_DROP_frag_budget] > 900);
    assert_int_equal(core.env.drops[NST_DROP_frag_budget],
                     core.env.stats[NST_STAT_frag_datagrams_failed]);
    /* The youngest are still here. */
    struct nst_pkt *whole = input("192.0.2.2", 999, 1000, 8, false);
    assert_non_null(whole);
    nst_pkt_free(whole);
}

static void test_refused_ones_count_once(void **state)
{
    (void)state;
    assert_null(input("192.0.2.2", 1, 0, 16, true));
    assert_null(input("192.0.2.2", 1, 8, 16, true));
    assert_int_equal(core.env.stats[NST_STAT_frag_datagrams_failed], 1);
    for (uint16_t id = 2; id < 100; id++)
        assert_null(input("192.0.2.2", id, 0, 1000, true));
    assert_int_equal(core.env.stats[NST_STAT_frag_datagrams_failed],
                     1 + core.env.drops[NST_DROP_frag_budget]);
}

static void test_more_than_the_budget(void **state)
{
    (void)state;
    reassembly.budget_bytes = 100;
    assert_null(input("192.0.2.2", 1, 0, 8, true));
    assert_int_equal(core.env.drops[NST_DROP_frag_budget], 1);
    assert_int_equal(reassembly.used_bytes, 0);
}

static void test_scarce_memory(void **state)
{
    (void)state;
    assert_null(input("192.0.2.2", 1, 0, 8, true));
    core.pool.budget_bytes = 2 * core.pool.used_bytes + 1;
    assert_null(input("192.0.2.2", 2, 0, 8, true));
    assert_int_equal(core.env.drops[NST_DROP_no_memory], 1);
    /* Nobody had to make room. */
    assert_int_equal(core.env.drops[NST_DROP_frag_budget], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_datagrams_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_ones_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scarce_memory, setup, teardown),
    };

    return cmocka_run_group_tests_name("reassembly", tests, NULL, NULL);
}
