/* An interface: its queue, and which addresses are what on it. */
#include "core/link/iface.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

static struct test_core core;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

static void output(uint64_t id)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, "payload", 7);

    pkt->id = id;
    nst_iface_output_take(&core.iface, pkt);
}

static void test_queue_is_in_order(void **state)
{
    (void)state;

    assert_null(nst_iface_pull(&core.iface));
    for (uint64_t id = 1; id <= 3; id++)
        output(id);
    assert_int_equal(core.iface.txq_pkts, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        struct nst_pkt *pkt = nst_iface_pull(&core.iface);
        assert_int_equal(pkt->id, id);
        assert_int_equal(pkt->link, 1);
        assert_false(nst_list_linked(&pkt->node));
        nst_pkt_free(pkt);
    }
    assert_null(nst_iface_pull(&core.iface));
    assert_int_equal(core.iface.txq_pkts, 0);
}

/* What is over the limit is dropped, not what waits; fini frees the rest. */
static void test_queue_limit(void **state)
{
    (void)state;

    core.iface.txq_max = 2;
    for (uint64_t id = 1; id <= 5; id++)
        output(id);
    assert_int_equal(core.iface.txq_pkts, 2);
    assert_int_equal(core.iface.tx_drops, 3);
    assert_int_equal(core.env.drops[NST_DROP_link_queue], 3);
    struct nst_pkt *pkt = nst_iface_pull(&core.iface);
    assert_int_equal(pkt->id, 1);
    nst_pkt_free(pkt);
    output(6);
    assert_int_equal(core.env.drops[NST_DROP_link_queue], 3);
}

static void record_link(void *ctx, const struct nst_trace_event *event)
{
    nst_link *link = ctx;

    *link = event->link;
}

static void test_no_carrier(void **state)
{
    nst_link link = 0;
    (void)state;

    core.iface.up = false;
    core.env.trace = record_link;
    core.env.trace_ctx = &link;
    output(1);
    assert_null(nst_iface_pull(&core.iface));
    assert_int_equal(core.env.drops[NST_DROP_link_down], 1);
    assert_int_equal(core.iface.tx_drops, 1);
    assert_int_equal(link, 1); /* the trace knows where */
}

static void test_starts_down_when_asked(void **state)
{
    struct nst_link_config config = core.iface.config;
    struct nst_iface iface;
    (void)state;

    config.down = true;
    nst_iface_init(&iface, &core.pool, 2, &config, 10);
    assert_false(iface.up);
    nst_iface_fini(&iface);
}

static void test_fini_stops_the_timers(void **state)
{
    (void)state;

    nst_timer_arm(&core.env.wheel, &core.addr->timer, TEST_START + NST_SEC);
    output(1);
    /* teardown() sees what is left behind */
}

static void fired(void *ctx, struct nst_timer *timer)
{
    struct nst_timer **to = ctx;

    *to = timer;
}

/* Whichever is taken away, the others stay, with their timers. */
static void test_address_removed(void **state)
{
    (void)state;

    for (unsigned gone = 0; gone < 3; gone++) {
        struct nst_addr addr[3];
        test_core_init(&core);
        test_core_addr_add(&core, "192.0.2.2/24", NST_ACD_PROBE);
        test_core_addr_add(&core, "192.0.2.3/24", NST_ACD_PROBE);
        for (unsigned i = 0; i < 3; i++) {
            struct nst_ifaddr *a = &core.iface.addrs[i];
            addr[i] = a->prefix.addr;
            nst_timer_arm(&core.env.wheel, &a->timer, TEST_START + (i + 1) * NST_SEC);
        }
        nst_iface_addr_remove(&core.iface, &core.iface.addrs[gone]);
        nst_wheel_check(&core.env.wheel);
        assert_int_equal(core.iface.naddrs, 2);
        for (unsigned i = 0; i < 3; i++) {
            struct nst_ifaddr *a = nst_iface_addr_find(&core.iface, &addr[i]);
            struct nst_timer *timer = NULL;
            assert_int_equal(a == NULL, i == gone);
            test_core_run(&core, TEST_START + (i + 1) * NST_SEC, fired, &timer);
            assert_ptr_equal(timer, a ? &a->timer : NULL);
        }
        test_core_fini(&core);
    }
}

/* Shows 1122-27, 1122-156. */
static void test_which_address_is_what(void **state)
{
    static const struct {
        const char *addr;
        bool found, ours, broadcast, onlink;
    } rows[] = {
        {"192.0.2.1", true, true, false, true},
        {"192.0.2.5", true, false, false, true},
        {"192.0.2.6", true, false, false, true},
        {"192.0.2.7", false, false, false, true},
        {"192.0.2.0", false, false, true, true},
        {"192.0.2.255", false, false, true, true},
        {"192.0.3.1", false, false, false, false},
        {"255.255.255.255", false, false, true, false},
        {"198.51.100.2", true, true, false, true},
        {"198.51.100.3", false, false, false, true},
        {"198.51.100.4", false, false, false, false},
        {"203.0.113.9", true, true, false, true},
        {"203.0.113.8", false, false, false, false},
        {"0.0.0.0", false, false, false, false},
        {"2001:db8::1", true, true, false, true},
        {"2001:db8::", false, false, false, true},
        {"2001:db8:0:1::1", false, false, false, false},
        {"::", false, false, false, false},
    };
    struct nst_iface *iface = &core.iface;
    (void)state;

    test_core_addr_add(&core, "192.0.2.5/24", NST_ACD_PROBE)->state = NST_ADDR_TENTATIVE;
    test_core_addr_add(&core, "192.0.2.6/24", NST_ACD_PROBE)->state = NST_ADDR_CONFLICT;
    test_core_addr_add(&core, "198.51.100.2/31", NST_ACD_OFF); /* RFC 3021: no broadcast */
    test_core_addr_add(&core, "203.0.113.9/32", NST_ACD_OFF);
    test_core_addr_add(&core, "2001:db8::1/64", NST_ACD_OFF);
    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_addr a = test_addr(rows[i].addr);
        const struct nst_ifaddr *entry = nst_iface_addr_find(iface, &a);
        if ((entry != NULL) != rows[i].found || nst_iface_addr_is_ours(iface, &a) != rows[i].ours ||
            nst_iface_addr_is_broadcast(iface, &a) != rows[i].broadcast ||
            nst_iface_addr_is_onlink(iface, &a) != rows[i].onlink)
            fail_msg("%s", rows[i].addr);
        assert_true(!entry || nst_addr_eq(&entry->prefix.addr, &a));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_queue_is_in_order),
        TEST(test_queue_limit),
        TEST(test_no_carrier),
        TEST(test_starts_down_when_asked),
        TEST(test_fini_stops_the_timers),
        cmocka_unit_test(test_address_removed),
        TEST(test_which_address_is_what),
    };
    return cmocka_run_group_tests_name("iface", tests, NULL, NULL);
}
