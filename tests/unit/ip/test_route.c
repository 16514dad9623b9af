/* The routing table: which route wins, and what redirects may change.
 *
 * The interface bears 192.0.2.1/24. */
#include "core/ip/route.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

static struct test_core core;
static struct nst_neigh_table neighbours;
static struct nst_route_table table;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    assert_int_equal(nst_neigh_init(&neighbours, &core.env, 16, 3), 0);
    nst_route_init(&table, &core.env, &neighbours, 8);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_route_fini(&table);
    nst_neigh_fini(&neighbours);
    test_core_fini(&core);
    return 0;
}

static struct nst_route route(const char *dst, const char *gateway, uint32_t metric)
{
    struct nst_route r = {.dst = test_prefix(dst), .link = 1, .metric = metric};

    r.origin = gateway ? NST_ROUTE_STATIC : NST_ROUTE_CONNECTED;
    if (gateway)
        r.gateway = test_addr(gateway);
    return r;
}

static int add(const char *dst, const char *gateway, uint32_t metric)
{
    struct nst_route r = route(dst, gateway, metric);

    return nst_route_insert(&table, &r, &core.iface);
}

static void assert_hop(const char *dst, const char *hop)
{
    struct nst_addr to = test_addr(dst), wanted;
    struct nst_hop got;

    if (!hop) {
        assert_false(nst_route_lookup(&table, &to, 0, &got));
        return;
    }
    wanted = test_addr(hop);
    assert_true(nst_route_lookup(&table, &to, 0, &got));
    assert_ptr_equal(got.iface, &core.iface);
    assert_true(nst_addr_eq(&got.addr, &wanted));
}

/* Shows 1122-109. */
static void test_longest_prefix_wins(void **state)
{
    (void)state;
    assert_hop("192.0.2.9", NULL);
    assert_int_equal(add("0.0.0.0/0", "192.0.2.254", 0), 0);
    assert_int_equal(add("192.0.2.0/24", NULL, 0), 0);
    assert_int_equal(add("10.1.2.3/32", "192.0.2.5", 0), 0);
    assert_int_equal(add("10.0.0.0/8", "192.0.2.3", 0), 0);
    assert_int_equal(add("10.1.0.0/16", "192.0.2.4", 0), 0);
    assert_hop("192.0.2.9", "192.0.2.9");
    assert_hop("198.51.100.1", "192.0.2.254");
    assert_hop("10.9.9.9", "192.0.2.3");
    assert_hop("10.1.9.9", "192.0.2.4");
    assert_hop("10.1.2.3", "192.0.2.5");
}

static void test_lowest_metric_wins(void **state)
{
    (void)state;
    assert_int_equal(add("0.0.0.0/0", "192.0.2.20", 20), 0);
    assert_int_equal(add("0.0.0.0/0", "192.0.2.10", 10), 0);
    assert_int_equal(add("0.0.0.0/0", "192.0.2.30", 30), 0);
    assert_hop("198.51.100.1", "192.0.2.10");
}

/* Shows 1122-114, 1122-125. */
static void test_dead_gateway_gives_way(void **state)
{
    struct nst_addr first = test_addr("192.0.2.10"), second = test_addr("192.0.2.20");
    struct nst_mac mac = test_mac("02:00:00:00:00:0a");
    (void)state;

    assert_int_equal(add("0.0.0.0/0", "192.0.2.10", 10), 0);
    assert_int_equal(add("0.0.0.0/0", "192.0.2.20", 20), 0);
    assert_int_equal(nst_neigh_table_set(&neighbours, &core.iface, &first, &mac), 0);
    nst_neigh_find(&neighbours, &core.iface, &first)->state = NST_NEIGH_FAILED;
    assert_hop("198.51.100.1", "192.0.2.20");
    /* With none alive the best is tried again. */
    assert_int_equal(nst_neigh_table_set(&neighbours, &core.iface, &second, &mac), 0);
    nst_neigh_find(&neighbours, &core.iface, &second)->state = NST_NEIGH_FAILED;
    assert_hop("198.51.100.1", "192.0.2.10");
    /* A shorter prefix is no way round a dead gateway. */
    assert_int_equal(add("198.51.100.0/24", "192.0.2.10", 0), 0);
    assert_hop("198.51.100.1", "192.0.2.10");
}

static void test_interface_without_carrier(void **state)
{
    (void)state;
    assert_int_equal(add("0.0.0.0/0", "192.0.2.10", 0), 0);
    core.iface.up = false;
    assert_hop("198.51.100.1", "192.0.2.10"); /* better than none: the drop has a name */
}

static void test_link_restricts(void **state)
{
    struct nst_addr dst = test_addr("198.51.100.1");
    struct nst_hop hop;
    (void)state;

    assert_int_equal(add("0.0.0.0/0", "192.0.2.10", 0), 0);
    assert_true(nst_route_lookup(&table, &dst, 1, &hop));
    assert_false(nst_route_lookup(&table, &dst, 2, &hop));
}

static void test_insert_and_remove(void **state)
{
    struct nst_route r = route("10.0.0.0/8", "192.0.2.3", 5);
    (void)state;

    assert_int_equal(nst_route_remove(&table, &r), -ENOENT);
    assert_int_equal(nst_route_insert(&table, &r, &core.iface), 0);
    assert_int_equal(nst_route_insert(&table, &r, &core.iface), -EEXIST);
    assert_int_equal(add("10.0.0.0/9", "192.0.2.3", 5), 0);
    assert_int_equal(nst_route_remove(&table, &r), 0);
    assert_int_equal(nst_route_remove(&table, &r), -ENOENT);
    assert_hop("10.0.0.1", "192.0.2.3");
}

static void test_limits(void **state)
{
    char dst[] = "10.0.0.0/24";
    (void)state;

    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(add(dst, "192.0.2.3", 0), -ENOMEM);
    test_memory_fail_in(&core.memory, 0);
    for (dst[5] = '0'; dst[5] < '8'; dst[5]++)
        assert_int_equal(add(dst, "192.0.2.3", 0), 0);
    assert_int_equal(add(dst, "192.0.2.3", 0), -ENOSPC);
}

/* ---- Redirects ---------------------------------------------------------------------------- */

static enum nst_drop redirect(const char *from, const char *dst, const char *gateway)
{
    struct nst_addr f = test_addr(from), d = test_addr(dst), g = test_addr(gateway);

    return nst_route_redirect(&table, &core.iface, &f, &d, &g);
}

/* Shows 1122-68, 1122-117. */
static void test_redirect(void **state)
{
    (void)state;
    assert_int_equal(add("0.0.0.0/0", "192.0.2.254", 0), 0);
    assert_int_equal(redirect("192.0.2.254", "198.51.100.1", "192.0.2.3"), NST_DROP_NONE);
    assert_hop("198.51.100.1", "192.0.2.3");
    assert_hop("198.51.100.2", "192.0.2.254");
    /* The new gateway knows better still. */
    assert_int_equal(redirect("192.0.2.3", "198.51.100.1", "192.0.2.4"), NST_DROP_NONE);
    assert_hop("198.51.100.1", "192.0.2.4");
    assert_int_equal(table.count, 2);
    /* It ends after ten minutes. */
    core.env.now += 601 * NST_SEC;
    struct nst_timer *timer = nst_wheel_pull(&core.env.wheel, core.env.now);
    assert_non_null(timer);
    nst_route_timeout(&table, NST_CONTAINER(timer, struct nst_route_entry, timer));
    assert_hop("198.51.100.1", "192.0.2.254");
}

/* Shows 1122-70. */
static void test_279_redirects_refused(void **state)
{
    static const struct {
        const char *from, *dst, *gateway;
    } table_[] = {
        {"192.0.2.7", "198.51.100.1", "192.0.2.3"},     /* not from the gateway */
        {"192.0.2.254", "198.51.100.1", "203.0.113.1"}, /* gateway off-link */
        {"192.0.2.254", "198.51.100.1", "192.0.2.1"},   /* ourselves */
        {"192.0.2.254", "198.51.100.1", "192.0.2.255"}, /* broadcast */
        {"192.0.2.254", "198.51.100.1", "192.0.2.0"},   /* its old form */
        {"192.0.2.254", "198.51.100.1", "224.0.0.1"},   /* multicast */
        {"192.0.2.254", "198.51.100.1", "0.0.0.0"},     /* nobody */
        {"192.0.2.9", "192.0.2.9", "192.0.2.3"},        /* a neighbour about itself */
    };
    (void)state;

    assert_int_equal(redirect("192.0.2.254", "198.51.100.1", "192.0.2.3"),
                     NST_DROP_icmp_redirect); /* no route at all */
    assert_int_equal(add("0.0.0.0/0", "192.0.2.254", 0), 0);
    assert_int_equal(add("192.0.2.0/24", NULL, 0), 0);
    for (size_t i = 0; i < NST_ARRAY_LEN(table_); i++)
        assert_int_equal(redirect(table_[i].from, table_[i].dst, table_[i].gateway),
                         NST_DROP_icmp_redirect);
    assert_int_equal(table.count, 2);
}

static void test_redirects_are_bounded(void **state)
{
    char dst[] = "198.51.100.1";
    (void)state;

    assert_int_equal(add("0.0.0.0/0", "192.0.2.254", 0), 0);
    for (dst[11] = '1'; dst[11] < '8'; dst[11]++)
        assert_int_equal(redirect("192.0.2.254", dst, "192.0.2.3"), NST_DROP_NONE);
    assert_int_equal(redirect("192.0.2.254", dst, "192.0.2.3"), NST_DROP_icmp_redirect);
    assert_hop(dst, "192.0.2.254");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_longest_prefix_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lowest_metric_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_gateway_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface_without_carrier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_link_restricts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_insert_and_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redirect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_279_redirects_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redirects_are_bounded, setup, teardown),
    };

    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
