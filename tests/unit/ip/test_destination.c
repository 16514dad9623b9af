/* The Destination Cache: whatever a way depends on may change between two questions, and the second
 * answer is as if nobody had asked before. nst_stack_check() compares as well, after each step. */
#include <errno.h>
#include <stdio.h>

#include "core/base/addr.h"
#include "core/ip/ip.h"
#include "core/stack/stack.h"

#include "../harness.h"

#define US1     "10.0.0.1"
#define US1_MAC "02:00:00:00:01:01"
#define OTHER   "192.0.2.77" /* a neighbour that doesn't answer */

static struct harness h;
static nst_link eth1;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    eth1 = harness_link(&h, "eth1", US1_MAC, US1 "/8");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static int path(const char *dst, struct nst_path *out)
{
    struct nst_addr a = test_addr(dst);

    return nst_ip_path(&h.stack->ip, &a, 0, out);
}

static void assert_hop(const char *dst, const char *hop, const char *src)
{
    struct nst_addr hop_addr = test_addr(hop), src_addr = test_addr(src);
    struct nst_path p;

    assert_int_equal(path(dst, &p), 0);
    assert_true(nst_addr_eq(&p.hop.addr, &hop_addr));
    assert_true(nst_addr_eq(&p.src, &src_addr));
}

static struct nst_route route_over(const char *dst, const char *gateway, nst_link link)
{
    return (struct nst_route){
        .dst = test_prefix(dst), .gateway = test_addr(gateway), .link = link, .metric = 0};
}

static void test_routes(void **state)
{
    struct nst_route route = route_over("198.51.100.0/24", "10.0.0.9", eth1);
    (void)state;

    assert_hop(FAR, GATEWAY, US);
    assert_int_equal(nst_route_add(h.stack, &route), 0);
    assert_hop(FAR, "10.0.0.9", US1);
    assert_int_equal(nst_route_del(h.stack, &route), 0);
    assert_hop(FAR, GATEWAY, US);
}

static void test_links(void **state)
{
    struct nst_route route = route_over("198.51.100.0/24", "10.0.0.9", eth1);
    struct nst_route dear = route_over("198.51.100.0/24", GATEWAY, h.link);
    struct nst_path p;
    (void)state;

    dear.metric = 1;
    assert_int_equal(nst_route_add(h.stack, &route), 0);
    assert_int_equal(nst_route_add(h.stack, &dear), 0);
    assert_hop(FAR, "10.0.0.9", US1);
    assert_int_equal(nst_link_set_carrier(h.stack, eth1, false), 0);
    assert_hop(FAR, GATEWAY, US);
    assert_int_equal(nst_link_set_carrier(h.stack, eth1, true), 0);
    assert_hop(FAR, "10.0.0.9", US1);
    assert_int_equal(nst_link_set_mtu(h.stack, eth1, 1000), 0);
    assert_int_equal(path(FAR, &p), 0);
    assert_int_equal(p.mtu, 1000);
}

static void test_first_link_that_is_up(void **state)
{
    struct nst_path p;
    (void)state;

    assert_int_equal(nst_link_set_carrier(h.stack, h.link, false), 0);
    assert_int_equal(nst_link_set_carrier(h.stack, eth1, false), 0);
    assert_int_equal(path("255.255.255.255", &p), -ENETUNREACH);
    harness_link(&h, "eth2", "02:00:00:00:02:01", NULL);
    assert_int_equal(path("255.255.255.255", &p), -EADDRNOTAVAIL);
}

static void test_addresses(void **state)
{
    struct nst_prefix second = test_prefix("192.0.2.100/24"), probed = test_prefix("10.0.0.2/8");
    struct nst_addr us = test_addr(US);
    struct nst_path p;
    (void)state;

    assert_hop(PEER, PEER, US);
    assert_int_equal(nst_addr_add(h.stack, h.link, &second, NST_ACD_OFF), 0);
    assert_hop(PEER, PEER, US);
    assert_int_equal(nst_addr_del(h.stack, h.link, &us), 0);
    assert_hop(PEER, PEER, "192.0.2.100");
    /* An address is ours from the moment on at which it is valid. */
    assert_int_equal(nst_addr_add(h.stack, eth1, &probed, NST_ACD_PROBE), 0);
    assert_int_equal(path("10.0.0.2", &p), 0);
    assert_false(p.ours);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(path("10.0.0.2", &p), 0);
    assert_true(p.ours);
}

/* The cheaper of two gateways dies and is back. */
static void test_gateways(void **state)
{
    struct nst_route route = route_over("198.51.100.0/24", OTHER, h.link);
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_mac mac = test_mac(PEER_MAC);
    struct nst_addr other = test_addr(OTHER);
    (void)state;

    assert_int_equal(nst_route_add(h.stack, &route), 0);
    route = route_over("198.51.100.0/24", GATEWAY, h.link);
    route.metric = 1;
    assert_int_equal(nst_route_add(h.stack, &route), 0);
    assert_int_equal(harness_send(&h, sock, FAR, 9, "x", 1), 1);
    harness_run(&h, 2 * NST_SEC);
    assert_hop(FAR, OTHER, US);
    harness_run(&h, 2 * NST_SEC);
    assert_hop(FAR, GATEWAY, US);
    assert_int_equal(nst_neigh_set(h.stack, h.link, &other, &mac), 0);
    assert_hop(FAR, OTHER, US);
}

/* What is sent to a neighbour that was forgotten asks for it anew. */
static void test_neighbours(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_addr peer = test_addr(PEER);
    struct nst_mac broadcast = test_mac(BROADCAST), mac = test_mac(PEER_MAC);
    (void)state;

    assert_int_equal(harness_send(&h, sock, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    assert_memory_equal(harness_sent(&h)->bytes, &mac, 6);
    assert_int_equal(nst_neigh_del(h.stack, h.link, &peer), 0);
    assert_int_equal(harness_send(&h, sock, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    assert_memory_equal(harness_sent(&h)->bytes, &broadcast, 6);
}

/* More destinations than there are places. */
static void test_many(void **state)
{
    char dst[NST_ADDR_TEXT];
    (void)state;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 2; i < 250; i++) {
            snprintf(dst, sizeof dst, "10.%u.0.%u", i, i);
            assert_hop(dst, dst, US1);
        }
        harness_pull(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_link_that_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gateways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };

    return cmocka_run_group_tests_name("destination", tests, NULL, NULL);
}
