/* The Internet layer within the whole stack: what is for this host, where its own packets go and
 * with which source. A second link, eth1, bears 10.0.0.1/8. */
#include "core/ip/ip.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../harness.h"

#define US1     "10.0.0.1"
#define US1_MAC "02:00:00:00:01:01"

static struct harness h;
static struct frame frame;
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

/* ---- In ---------------------------------------------------------------------------------- */

/* The strong model: a packet comes in where its destination is (RFC 1122 §3.3.4.2).
 * Shows 1122-140. */
static void test_destination_on_another_link(void **state)
{
    struct harness_state before;
    (void)state;

    frame_udp(&frame, &(struct frame_ip){.dst = US1}, 1, 9, NULL, 8);
    harness_state(&h, &before);
    harness_input(&h, &frame);
    harness_silent(&h);
    harness_unchanged(&h, &before, NST_DROP_ip_other, 1);
}

static void test_source_is_ours_on_another_link(void **state)
{
    (void)state;
    frame_udp(&frame, &(struct frame_ip){.src = US1}, 1, 9, NULL, 8);
    harness_input(&h, &frame);
    assert_int_equal(harness_drops(&h, NST_DROP_martian), 1);
}

static void test_tentative_address_is_not_ours(void **state)
{
    struct nst_prefix prefix = test_prefix("192.0.2.100/24");
    (void)state;

    assert_int_equal(nst_addr_add(h.stack, h.link, &prefix, NST_ACD_PROBE), 0);
    frame_icmp(&frame, &(struct frame_ip){.dst = "192.0.2.100"}, 8, 0, 1, NULL, 8);
    harness_input(&h, &frame);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_ip_other), 1);
    harness_run(&h, 10 * NST_SEC);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
}

/* ---- Out: the way ------------------------------------------------------------------------- */

static int path(const char *dst, nst_link link, struct nst_path *out)
{
    struct nst_addr a = test_addr(dst);

    return nst_ip_path(&h.stack->ip, &a, link, out);
}

static void assert_path(const char *dst, nst_link link, nst_link iface, const char *hop,
                        const char *src)
{
    struct nst_addr hop_addr = test_addr(hop), src_addr = test_addr(src);
    struct nst_path p;

    assert_int_equal(path(dst, link, &p), 0);
    assert_false(p.ours);
    assert_int_equal(p.hop.iface->link, iface);
    assert_true(nst_addr_eq(&p.hop.addr, &hop_addr));
    assert_true(nst_addr_eq(&p.src, &src_addr));
    assert_int_equal(p.mtu, 1500);
}

static void test_paths(void **state)
{
    struct nst_path p;
    (void)state;

    assert_path(PEER, 0, h.link, PEER, US);
    assert_path(FAR, 0, h.link, GATEWAY, US);
    assert_path("10.1.1.1", 0, eth1, "10.1.1.1", US1);
    assert_path("10.1.1.1", h.link, h.link, GATEWAY, US);
    assert_int_equal(path(PEER, eth1, &p), -ENETUNREACH);
    assert_int_equal(path(PEER, 99, &p), -ENETUNREACH);
}

static void test_paths_to_groups(void **state)
{
    struct nst_path p;
    (void)state;

    assert_path("192.0.2.255", 0, h.link, "192.0.2.255", US);
    assert_path("10.255.255.255", 0, eth1, "10.255.255.255", US1);
    assert_path("255.255.255.255", 0, h.link, "255.255.255.255", US);
    assert_path("255.255.255.255", eth1, eth1, "255.255.255.255", US1);
    assert_path("224.0.0.9", 0, h.link, "224.0.0.9", US);
    assert_path("224.0.0.9", eth1, eth1, "224.0.0.9", US1);
    assert_int_equal(path("255.255.255.255", 99, &p), -ENETUNREACH);
    assert_int_equal(path("224.0.0.9", 99, &p), -ENETUNREACH);
}

/* Destinations that cannot be a host's (RFC 1122 §3.2.1.3). */
static void test_no_path(void **state)
{
    static const char *const nowhere[] = {"0.0.0.0", "0.1.2.3", "240.0.0.1", "255.255.255.254"};
    struct nst_path p;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(nowhere); i++)
        assert_int_equal(path(nowhere[i], 0, &p), -ENETUNREACH);
}

static void test_path_to_ourselves(void **state)
{
    static const char *const ours[] = {US, US1, "127.0.0.1", "127.255.255.255"};
    struct nst_path p;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(ours); i++) {
        assert_int_equal(path(ours[i], 0, &p), 0);
        assert_true(p.ours);
        assert_int_equal(p.mtu, 65535);
    }
}

static void test_no_source(void **state)
{
    struct nst_addr us1 = test_addr(US1);
    struct nst_route route = {.dst = test_prefix("10.0.0.0/8"), .link = eth1};
    struct nst_path p;
    (void)state;

    assert_int_equal(nst_addr_del(h.stack, eth1, &us1), 0);
    assert_int_equal(nst_route_add(h.stack, &route), 0);
    assert_int_equal(path("10.1.1.1", 0, &p), -EADDRNOTAVAIL);
}

/* Of several addresses the one in the next hop's network, else the first. */
static void test_source_in_the_network_of_the_hop(void **state)
{
    struct nst_prefix second = test_prefix("172.16.0.1/16");
    (void)state;

    assert_int_equal(nst_addr_add(h.stack, h.link, &second, NST_ACD_OFF), 0);
    assert_path("172.16.9.9", 0, h.link, "172.16.9.9", "172.16.0.1");
    assert_path(PEER, 0, h.link, PEER, US);
    assert_path(FAR, 0, h.link, GATEWAY, US);
}

/* ---- Out: headers ------------------------------------------------------------------------- */

/* Shows 1122-157. */
static void test_ttl_and_mac_of_groups(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_mac mac = test_mac("01:00:5e:7f:00:09"), all = test_mac(BROADCAST);
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_BROADCAST, 1), 0);
    assert_int_equal(harness_send(&h, sock, "224.255.0.9", 9, "x", 1), 1);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->bytes[IP_TTL], 1);
    assert_memory_equal(harness_sent(&h)->bytes, &mac, 6);
    assert_int_equal(harness_send(&h, sock, "192.0.2.255", 9, "x", 1), 1);
    harness_pull(&h);
    assert_memory_equal(harness_sent(&h)->bytes, &all, 6);
    assert_int_equal(harness_send(&h, sock, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->bytes[IP_TTL], 64);
}

/* Shows 1122-133, 1122-135, 1191-5. */
static void test_larger_than_the_mtu(void **state)
{
    static uint8_t data[65507];
    nst_sock sock = harness_udp(&h, NULL, 5000);
    (void)state;

    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1472), 1472);
    harness_pull(&h);
    assert_int_equal(h.ntx, 1);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1473), 1473);
    harness_pull(&h);
    assert_int_equal(h.ntx, 2);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 65507), 65507);
    harness_pull(&h);
    assert_int_equal(h.ntx, 45);
    for (size_t i = 0; i < h.ntx; i++)
        assert_int_equal(frame_get16(h.tx[i], IP_ID), frame_get16(h.tx[0], IP_ID));
    assert_int_equal(harness_stat(&h, "frag.out"), 47);
    assert_int_equal(harness_stat(&h, "frag.fragmented"), 2);
}

/* The MTU shrinks while a datagram waits that may not be fragmented. */
static void test_mtu_shrinks(void **state)
{
    static uint8_t data[1400];
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_pkt *pkt;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_DONTFRAG, 1), 0);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 100), 100);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1400), 1400);
    frame_echo(&frame, 1, 1, 1400);
    harness_input(&h, &frame);
    assert_int_equal(h.ntx, 3);
    /* Both are in the interface's queue once the other link has asked for work. */
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1400), 1400);
    assert_int_equal(nst_output(h.stack, eth1, &pkt, 1, h.now), 0);
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 1000), 0);
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_too_big), 1);
}

/* ---- To ourselves ------------------------------------------------------------------------- */

static void test_to_ourselves(void **state)
{
    static const char *const ours[] = {US, US1, "127.0.0.1", "127.9.9.9"};
    nst_sock from = harness_udp(&h, NULL, 5000), to = harness_udp(&h, NULL, 6000);
    static uint8_t data[65507];
    struct nst_link_info links[2];
    struct nst_msg msg;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(ours); i++) {
        struct nst_addr addr = test_addr(ours[i]);
        assert_int_equal(harness_send(&h, from, ours[i], 6000, data, 65507), 65507);
        harness_pull(&h);
        harness_silent(&h);
        assert_int_equal(harness_recv(&h, to, &msg, data, sizeof data, 0), 65507);
        assert_true(nst_addr_eq(&msg.peer.addr, &addr) && nst_addr_eq(&msg.local.addr, &addr));
        assert_int_equal(msg.peer.port, 5000);
    }
    /* To a port that is closed: told by the host itself, and no interface counts it. */
    assert_int_equal(harness_send(&h, from, US, 7000, data, 10), 10);
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_udp_port), 1);
    nst_link_list(h.stack, links, 2);
    assert_int_equal(links[0].rx_drops, 0);
    assert_int_equal(harness_memory(&h), 0);
}

static void test_ping_ourselves(void **state)
{
    static const uint8_t request[16] = {8};
    nst_sock echo = harness_socket(&h, NST_SOCK_DGRAM, 1);
    uint8_t buf[16];
    struct nst_msg msg;
    (void)state;

    assert_int_equal(harness_send(&h, echo, "127.0.0.1", 0, request, sizeof request), 16);
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_recv(&h, echo, &msg, buf, sizeof buf, 0), 16);
    assert_int_equal(buf[0], 0);
}

/* However much is sent to ourselves, it is handled and does not come round again. */
static void test_a_flood_of_our_own_is_bounded(void **state)
{
    static const uint8_t error[36] = {3, 3};
    nst_sock raw = harness_socket(&h, NST_SOCK_RAW, 1);
    nst_sock udp = harness_udp(&h, NULL, 5000);
    (void)state;

    assert_int_equal(nst_setopt(h.stack, raw, NST_OPT_RCVBUF, 4096), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(harness_send(&h, raw, "127.0.0.1", 0, error, sizeof error), 36);
        assert_int_equal(harness_send(&h, udp, "127.0.0.1", 9, error, sizeof error), 36);
    }
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_udp_port), 100);
}

/* An ICMP error to ourselves whose options are broken causes no other (RFC 1122 §3.2.2). */
static void test_no_error_about_our_own_error(void **state)
{
    static uint8_t error[8] = {3, 3};
    nst_sock raw = harness_socket(&h, NST_SOCK_RAW, 1);
    struct nst_slice slice = {error, sizeof error};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .tos = -1, .options_len = 4};
    (void)state;

    msg.peer.addr = test_addr("127.0.0.1");
    memcpy(msg.options, "\x4d\x29", 2);
    assert_int_equal(nst_send(h.stack, raw, &msg), 8);
    harness_pull(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_ip_option), 1);
    assert_int_equal(harness_stat(&h, "icmp.errors_forbidden"), 1);
    assert_int_equal(harness_stat(&h, "icmp.errors_sent"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_destination_on_another_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source_is_ours_on_another_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tentative_address_is_not_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths_to_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path_to_ourselves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source_in_the_network_of_the_hop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ttl_and_mac_of_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_larger_than_the_mtu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mtu_shrinks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_to_ourselves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping_ourselves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flood_of_our_own_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_error_about_our_own_error, setup, teardown),
    };

    return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
