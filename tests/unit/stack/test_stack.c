/* The stack's own calls: their errors and limits, the configuration of links, addresses, routes and
 * neighbours, carrier, lists, counters, tracing, and memory that runs out at any point. */
#include "core/stack/stack.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../harness.h"

static struct harness h;
static struct frame frame;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

/* ---- The stack ---------------------------------------------------------------------------- */

static void test_new_and_free(void **state)
{
    struct test_memory memory = {0};
    struct nst_config config = {.now = 5};
    struct nst_stack *stack;
    size_t used, budget;
    (void)state;

    assert_int_equal(nst_stack_new(&stack, &config), -EINVAL);
    config.allocator = test_memory_allocator(&memory);
    for (uint64_t n = 1; n <= 3; n++) {
        test_memory_fail_in(&memory, n);
        assert_int_equal(nst_stack_new(&stack, &config), -ENOMEM);
        assert_int_equal(memory.live_blocks, 0);
    }
    test_memory_fail_in(&memory, 0);
    assert_int_equal(nst_stack_new(&stack, &config), 0);
    nst_memory(stack, &used, &budget);
    assert_int_equal(used, 0);
    assert_int_equal(budget, (size_t)64 << 20);
    assert_int_equal(nst_deadline(stack), NST_TIME_NEVER);
    nst_stack_check(stack);
    nst_stack_free(stack);
    nst_stack_free(NULL);
    assert_int_equal(memory.live_blocks, 0);
}

/* The least and the most that each limit can be. */
static void test_extreme_limits(void **state)
{
    const struct nst_limits least = {1, 1, 1, 1, 1, 2, 1, 1, 1, 1};
    const struct nst_limits most = {SIZE_MAX,   SIZE_MAX,   UINT32_MAX, 65536,      UINT32_MAX,
                                    UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const struct nst_limits *all[] = {&least, &most};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(all); i++) {
        struct nst_link_config link = {.name = "tun", .medium = NST_MEDIUM_IP, .mtu = 1500};
        struct nst_config config = {.limits = *all[i], .now = TEST_START};
        struct nst_prefix prefix = test_prefix(US "/24");
        struct harness g = {.now = TEST_START, .check_every = 1};
        config.allocator = test_memory_allocator(&g.memory);
        assert_int_equal(nst_stack_new(&g.stack, &config), 0);
        assert_int_equal(nst_link_add(g.stack, &g.link, &link), 0);
        assert_int_equal(nst_addr_add(g.stack, g.link, &prefix, NST_ACD_OFF), 0);
        frame_udp(&frame, &(struct frame_ip){0}, 1, 9, NULL, 64);
        memmove(frame.bytes, frame.bytes + IP, frame.len -= IP);
        assert_int_equal(harness_input(&g, &frame), i == 1);
        harness_run(&g, 10 * NST_SEC);
        nst_sock sock = harness_socket(&g, NST_SOCK_DGRAM, 0);
        assert_int_equal(harness_send(&g, sock, PEER, 9, "x", 1), i == 1 ? 1 : -ENOBUFS);
        harness_run(&g, 10 * NST_SEC);
        harness_fini(&g);
    }
}

/* ---- Links -------------------------------------------------------------------------------- */

static struct nst_link_config link_config(const char *name)
{
    struct nst_link_config c = {
        .medium = NST_MEDIUM_ETHERNET, .mac = {{2, 0, 0, 0, 0, 9}}, .mtu = 1500};

    memcpy(c.name, name, strlen(name));
    return c;
}

static int try_link(struct nst_link_config c)
{
    nst_link link = 0;
    int err = nst_link_add(h.stack, &link, &c);

    assert_int_equal(link != 0, err == 0);
    return err;
}

static void test_link_errors(void **state)
{
    struct nst_link_config c = link_config("x");
    (void)state;

    memset(c.name, 'x', sizeof c.name); /* not terminated */
    assert_int_equal(try_link(c), -EINVAL);
    assert_int_equal(try_link(link_config("")), -EINVAL);
    assert_int_equal(try_link(link_config("eth0")), -EEXIST);
    c = link_config("x");
    c.mtu = 67;
    assert_int_equal(try_link(c), -EINVAL);
    c.mtu = 65536;
    assert_int_equal(try_link(c), -EINVAL);
    c.mtu = 65535;
    c.mac.bytes[0] = 3;
    assert_int_equal(try_link(c), -EINVAL);
    c.mac = (struct nst_mac){{0}};
    assert_int_equal(try_link(c), -EINVAL);
    c.medium = (enum nst_medium)7;
    assert_int_equal(try_link(c), -EINVAL);
    c.medium = NST_MEDIUM_IP; /* needs no MAC address */
    assert_int_equal(try_link(c), 0);
    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(try_link(link_config("y")), -ENOMEM);
    test_memory_fail_in(&h.memory, 0);
    for (char name[] = "a"; name[0] < 'a' + 14; name[0]++)
        assert_int_equal(try_link(link_config(name)), 0);
    assert_int_equal(try_link(link_config("z")), -ENOSPC);
    assert_int_equal(nst_link_list(h.stack, NULL, 0), 16);
}

static void test_unknown_link(void **state)
{
    static const nst_link unknown[] = {0, 2, 17, UINT32_MAX};
    struct nst_prefix prefix = test_prefix("10.0.0.1/8");
    struct nst_mac mac = test_mac(PEER_MAC);
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(unknown); i++) {
        nst_link l = unknown[i];
        struct nst_route route = {.dst = prefix, .link = l};
        struct nst_pkt *pkt = nst_pkt_alloc(h.stack, 60);
        assert_int_equal(nst_link_set_mtu(h.stack, l, 1500), -ENODEV);
        assert_int_equal(nst_link_set_carrier(h.stack, l, true), -ENODEV);
        assert_int_equal(nst_addr_add(h.stack, l, &prefix, NST_ACD_OFF), -ENODEV);
        assert_int_equal(nst_addr_del(h.stack, l, &prefix.addr), -ENODEV);
        assert_int_equal(nst_route_add(h.stack, &route), -ENODEV);
        assert_int_equal(nst_neigh_set(h.stack, l, &prefix.addr, &mac), -ENODEV);
        assert_int_equal(nst_neigh_del(h.stack, l, &prefix.addr), -ENODEV);
        nst_input(h.stack, l, &pkt, 1, h.now);
        assert_int_equal(harness_drops(&h, NST_DROP_no_link), i + 1);
        assert_int_equal(nst_output(h.stack, l, &pkt, 1, h.now), 0);
    }
    assert_int_equal(harness_memory(&h), 0);
}

static void test_mtu(void **state)
{
    (void)state;
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 67), -EINVAL);
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 65536), -EINVAL);
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 68), 0);
    frame_echo(&frame, 1, 1, 92);
    harness_input(&h, &frame);
    assert_int_equal(h.ntx, 3); /* of 48, 48 and 4 bytes */
    assert_int_equal(h.tx[0]->len, IP + 68);
}

/* The largest echo at the smallest MTU: many frames, all from one packet. */
static void test_huge_echo_in_tiny_pieces(void **state)
{
    static struct frame whole;
    (void)state;

    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 68), 0);
    frame_icmp(&whole, &(struct frame_ip){.id = 1}, 8, 0, 1, NULL, 65507);
    for (size_t off = 0; off < 65515; off += 1480) {
        frame_fragment(&frame, &whole, off, nst_min(1480, 65515 - off));
        harness_input(&h, &frame);
    }
    assert_int_equal(h.ntx, (65515 + 47) / 48);
    assert_int_equal(harness_memory(&h), 0);
}

/* One call says all that there is to say, and hands over what the host sends to itself. */
static void test_output_is_complete(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_pkt *pkts[4];
    struct nst_msg msg;
    (void)state;

    assert_int_equal(harness_send(&h, sock, US, 5000, "x", 1), 1);
    assert_int_equal(harness_send(&h, sock, STRANGER, 9, "x", 1), 1);
    assert_int_equal(nst_output(h.stack, h.link, pkts, 4, h.now), 1); /* an ARP request */
    nst_pkt_free(pkts[0]);
    assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, 0), 1);
}

static void test_counters_of_a_link(void **state)
{
    struct nst_link_info info;
    (void)state;

    frame_echo(&frame, 1, 1, 50);
    harness_input(&h, &frame);
    frame.bytes[ICMP_DATA]++;
    harness_input(&h, &frame);
    assert_int_equal(nst_link_list(h.stack, &info, 1), 1);
    assert_int_equal(info.rx_pkts, 2);
    assert_int_equal(info.rx_bytes, 2 * frame.len);
    assert_int_equal(info.rx_drops, 1);
    assert_int_equal(info.tx_pkts, 1);
    assert_int_equal(info.tx_bytes, frame.len);
    assert_int_equal(info.tx_drops, 0);
    assert_string_equal(info.config.name, "eth0");
    assert_false(info.config.down);
}

static void test_queue_of_a_link_is_bounded(void **state)
{
    struct nst_limits limits = {.link_pkts = 5};
    struct nst_pkt *pkts[20];
    (void)state;

    harness_fini(&h);
    harness_init(&h, &limits, 0);
    frame_echo(&frame, 1, 1, 50);
    for (size_t i = 0; i < 20; i++) {
        pkts[i] = nst_pkt_alloc(h.stack, frame.len);
        nst_pkt_write(pkts[i], 0, frame.bytes, frame.len);
    }
    nst_input(h.stack, h.link, pkts, 20, h.now);
    harness_pull(&h);
    assert_int_equal(h.ntx, 5);
    assert_int_equal(harness_drops(&h, NST_DROP_link_queue), 15);
}

/* ---- Carrier ------------------------------------------------------------------------------ */

static void test_no_carrier(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_link_info info;
    (void)state;

    assert_int_equal(nst_link_set_carrier(h.stack, h.link, false), 0);
    nst_link_list(h.stack, &info, 1);
    assert_true(info.config.down);
    frame_echo(&frame, 1, 1, 50);
    harness_input(&h, &frame);
    harness_silent(&h);
    assert_int_equal(harness_send(&h, sock, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_link_down), 2);
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, true), 0);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
}

static enum nst_addr_state addr_state(const char *addr)
{
    struct nst_addr_info list[16];
    size_t n = nst_addr_list(h.stack, list, 16);
    struct nst_addr a = test_addr(addr);

    for (size_t i = 0; i < n; i++)
        if (nst_addr_eq(&list[i].prefix.addr, &a))
            return list[i].state;
    fail_msg("%s is not ours", addr);
    return NST_ADDR_CONFLICT;
}

/* What nobody could hear was not probed (RFC 5227 §2.1). */
static void test_probing_waits_for_the_carrier(void **state)
{
    struct nst_prefix prefix = test_prefix("192.0.2.50/24");
    (void)state;

    assert_int_equal(nst_link_set_carrier(h.stack, h.link, false), 0);
    assert_int_equal(nst_addr_add(h.stack, h.link, &prefix, NST_ACD_PROBE), 0);
    harness_run(&h, 60 * NST_SEC);
    assert_int_equal(addr_state("192.0.2.50"), NST_ADDR_TENTATIVE);
    assert_int_equal(nst_deadline(h.stack), NST_TIME_NEVER);
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, true), 0);
    harness_run(&h, 2 * NST_SEC);
    assert_in_range(h.ntx, 1, 2);
    /* Interrupted, it begins anew: three probes, then two announcements. */
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, false), 0);
    harness_run(&h, 60 * NST_SEC);
    harness_silent(&h);
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, true), 0);
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, true), 0);
    harness_run(&h, 20 * NST_SEC);
    assert_int_equal(h.ntx, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(frame_get32(h.tx[i], ARP_SPA), i < 3 ? 0 : 0xc0000232);
    assert_int_equal(addr_state("192.0.2.50"), NST_ADDR_VALID);
    assert_int_equal(harness_drops(&h, NST_DROP_link_down), 0);
    /* A valid one is announced again when the carrier comes back. */
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, false), 0);
    assert_int_equal(nst_link_set_carrier(h.stack, h.link, true), 0);
    harness_run(&h, 20 * NST_SEC);
    assert_int_equal(h.ntx, 2);
}

static void test_conflict_is_told(void **state)
{
    struct nst_prefix prefix = test_prefix("192.0.2.50/24");
    struct nst_event events[2];
    struct nst_mac mac = test_mac(PEER_MAC);
    (void)state;

    assert_int_equal(nst_addr_add(h.stack, h.link, &prefix, NST_ACD_PROBE), 0);
    harness_run(&h, 2 * NST_SEC);
    frame_arp(&frame, 2, PEER_MAC, "192.0.2.50", US_MAC, "0.0.0.0");
    harness_input(&h, &frame);
    assert_int_equal(nst_events(h.stack, events, 2), 1);
    assert_int_equal(events[0].kind, NST_EVENT_CONFLICT);
    assert_int_equal(events[0].link, h.link);
    assert_int_equal(events[0].addr_state, NST_ADDR_CONFLICT);
    assert_true(nst_addr_eq(&events[0].addr, &prefix.addr));
    assert_true(nst_mac_eq(&events[0].mac, &mac));
    assert_int_equal(nst_events(h.stack, events, 2), 0);
    assert_int_equal(nst_addr_del(h.stack, h.link, &prefix.addr), 0);
}

/* However little room the owner has for events. */
static void test_conflicts_are_told_one_by_one(void **state)
{
    static const char *const addrs[] = {"192.0.2.50", "192.0.2.51"};
    struct nst_prefix prefixes[2];
    struct nst_event event;
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        prefixes[i] = (struct nst_prefix){test_addr(addrs[i]), 24};
        assert_int_equal(nst_addr_add(h.stack, h.link, &prefixes[i], NST_ACD_PROBE), 0);
    }
    harness_run(&h, 2 * NST_SEC);
    for (size_t i = 0; i < 2; i++) {
        frame_arp(&frame, 2, PEER_MAC, addrs[i], US_MAC, "0.0.0.0");
        harness_input(&h, &frame);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(nst_events(h.stack, &event, 1), 1);
        assert_int_equal(event.kind, NST_EVENT_CONFLICT);
        assert_true(nst_addr_eq(&event.addr, &prefixes[i].addr));
    }
    assert_int_equal(nst_events(h.stack, &event, 1), 0);
}

/* ---- Addresses ---------------------------------------------------------------------------- */

static int add_addr(const char *prefix)
{
    struct nst_prefix p = test_prefix(prefix);

    return nst_addr_add(h.stack, h.link, &p, NST_ACD_OFF);
}

static int del_addr(const char *addr)
{
    struct nst_addr a = test_addr(addr);

    return nst_addr_del(h.stack, h.link, &a);
}

static void test_address_errors(void **state)
{
    static const char *const wrong[] = {
        "0.0.0.0/8",      "127.0.0.1/8",  "224.0.0.1/24", "255.255.255.255/32", "240.0.0.1/24",
        "192.0.2.255/24", "192.0.2.0/24", "10.0.0.1/0",   "2001:db8::1/64",
    };
    struct nst_prefix p = test_prefix("10.0.0.1/8");
    nst_link eth1;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(wrong); i++)
        assert_int_equal(add_addr(wrong[i]), -EINVAL);
    p.len = 33;
    assert_int_equal(nst_addr_add(h.stack, h.link, &p, NST_ACD_OFF), -EINVAL);
    p.len = 255;
    assert_int_equal(nst_addr_add(h.stack, h.link, &p, NST_ACD_OFF), -EINVAL);
    p.len = 8;
    assert_int_equal(nst_addr_add(h.stack, h.link, &p, (enum nst_acd)9), -EINVAL);
    assert_int_equal(add_addr(US "/24"), -EEXIST);
    assert_int_equal(add_addr(US "/16"), -EEXIST);
    eth1 = harness_link(&h, "eth1", "02:00:00:00:01:01", NULL);
    p = test_prefix(US "/24");
    assert_int_equal(nst_addr_add(h.stack, eth1, &p, NST_ACD_OFF), -EEXIST);
    assert_int_equal(del_addr("192.0.2.9"), -EADDRNOTAVAIL);
    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(add_addr("10.0.0.1/8"), -ENOMEM);
    test_memory_fail_in(&h.memory, 0);
    for (char text[] = "10.0.0.A/8"; text[7] < 'A' + 15; text[7]++) {
        char addr[16];
        snprintf(addr, sizeof addr, "10.0.0.%d/8", text[7] - 'A' + 1);
        assert_int_equal(add_addr(addr), 0);
    }
    assert_int_equal(add_addr("10.0.0.99/8"), -ENOSPC);
    assert_int_equal(nst_addr_list(h.stack, NULL, 0), 16);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 3); /* one network, one route */
}

/* The network's route stays as long as an address lies in it. */
static void test_address_and_its_route(void **state)
{
    (void)state;
    assert_int_equal(add_addr("10.0.0.1/8"), 0);
    assert_int_equal(add_addr("10.0.0.2/8"), 0);
    assert_int_equal(add_addr("10.0.0.3/16"), 0);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 4);
    assert_int_equal(del_addr("10.0.0.1"), 0);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 4);
    assert_int_equal(del_addr("10.0.0.2"), 0);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 3);
    assert_int_equal(del_addr("10.0.0.3"), 0);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 2);
    assert_int_equal(del_addr("10.0.0.3"), -EADDRNOTAVAIL);
}

/* ---- Routes ------------------------------------------------------------------------------- */

static int add_route(const char *dst, const char *gateway)
{
    struct nst_route r = {.dst = test_prefix(dst), .link = h.link};

    if (gateway)
        r.gateway = test_addr(gateway);
    return nst_route_add(h.stack, &r);
}

static void test_route_errors(void **state)
{
    struct nst_route r = {.dst = test_prefix("10.0.0.0/8"), .link = h.link};
    (void)state;

    assert_int_equal(add_route("10.0.0.0/8", FAR), -ENETUNREACH);
    assert_int_equal(add_route("10.0.0.0/8", US), -EINVAL);
    assert_int_equal(add_route("10.0.0.0/8", "192.0.2.255"), -EINVAL);
    assert_int_equal(add_route("10.0.0.0/8", "192.0.2.0"), -EINVAL);
    assert_int_equal(add_route("2001:db8::/32", NULL), -EINVAL);
    assert_int_equal(add_route("0.0.0.0/0", GATEWAY), -EEXIST);
    r.dst.len = 33;
    assert_int_equal(nst_route_add(h.stack, &r), -EINVAL);
    assert_int_equal(nst_route_del(h.stack, &r), -ENOENT);
    r.dst.len = 255;
    assert_int_equal(nst_route_del(h.stack, &r), -ENOENT);
    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(add_route("10.0.0.0/8", PEER), -ENOMEM);
    test_memory_fail_in(&h.memory, 0);
}

/* What was given to add removes again; bits behind the prefix don't matter. */
static void test_route_add_and_delete(void **state)
{
    struct nst_route r = {.dst = test_prefix("10.1.2.3/8"), .link = h.link}, list[4];
    (void)state;

    r.gateway = test_addr(PEER);
    assert_int_equal(nst_route_add(h.stack, &r), 0);
    assert_int_equal(nst_route_list(h.stack, list, 4), 3);
    assert_int_equal(list[1].origin, NST_ROUTE_STATIC);
    assert_int_equal(list[1].dst.addr.bytes[3], 0);
    r.dst = test_prefix("10.9.9.9/8");
    assert_int_equal(nst_route_del(h.stack, &r), 0);
    assert_int_equal(nst_route_del(h.stack, &r), -ENOENT);
    /* The route of a network that we are on goes only with the address. */
    r = list[0];
    assert_int_equal(r.origin, NST_ROUTE_CONNECTED);
    assert_int_equal(nst_route_del(h.stack, &r), -ENOENT);
}

/* ---- Neighbours --------------------------------------------------------------------------- */

static int set_neigh(const char *addr, const char *mac)
{
    struct nst_addr a = test_addr(addr);
    struct nst_mac m = test_mac(mac);

    return nst_neigh_set(h.stack, h.link, &a, &m);
}

static void test_neighbours(void **state)
{
    struct nst_link_config tun = {.name = "tun0", .medium = NST_MEDIUM_IP, .mtu = 1500};
    struct nst_addr a = test_addr(STRANGER), peer = test_addr(PEER);
    struct nst_mac mac = test_mac(PEER_MAC);
    struct nst_neigh_info list[4];
    nst_link link;
    (void)state;

    assert_int_equal(set_neigh(STRANGER, "03:00:00:00:00:01"), -EINVAL);
    assert_int_equal(set_neigh(STRANGER, "00:00:00:00:00:00"), -EINVAL);
    assert_int_equal(set_neigh("224.0.0.1", PEER_MAC), -EINVAL);
    assert_int_equal(set_neigh("0.0.0.0", PEER_MAC), -EINVAL);
    assert_int_equal(nst_link_add(h.stack, &link, &tun), 0);
    assert_int_equal(nst_neigh_set(h.stack, link, &a, &mac), -ENODEV);
    assert_int_equal(nst_neigh_del(h.stack, h.link, &a), -ENOENT);
    assert_int_equal(set_neigh(STRANGER, "02:00:00:00:00:4d"), 0);
    assert_int_equal(nst_neigh_list(h.stack, list, 4), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(list[i].state, NST_NEIGH_PERMANENT);
    assert_int_equal(nst_neigh_del(h.stack, h.link, &a), 0);
    assert_int_equal(nst_neigh_del(h.stack, h.link, &peer), 0);
    assert_int_equal(nst_neigh_list(h.stack, list, 1), 1);
    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(set_neigh(STRANGER, PEER_MAC), -ENOMEM);
    test_memory_fail_in(&h.memory, 0);
}

static void test_cache_full_of_permanent_neighbours(void **state)
{
    struct nst_limits limits = {.neighbours = 2};
    (void)state;

    harness_fini(&h);
    harness_init(&h, &limits, 0);
    assert_int_equal(set_neigh(STRANGER, PEER_MAC), -ENOSPC);
}

/* ---- Statistics --------------------------------------------------------------------------- */

static void test_counters(void **state)
{
    const char *name, *again;
    uint64_t value;
    size_t n = 0;
    (void)state;

    while (nst_stat(h.stack, n, &name, &value)) {
        for (size_t i = 0; i < n; i++) {
            assert_true(nst_stat(h.stack, i, &again, &value));
            assert_string_not_equal(name, again);
        }
        n++;
    }
    assert_int_equal(n, NST_STAT_COUNT);
    assert_false(nst_stat(h.stack, SIZE_MAX, &name, &value));
    assert_int_equal(nst_drops(h.stack, 0), 0);
    assert_int_equal(nst_drops(h.stack, UINT16_MAX), 0);
}

static struct nst_trace_event traced[8];
static size_t ntraced;

static void trace(void *ctx, const struct nst_trace_event *event)
{
    assert_ptr_equal(ctx, &h);
    assert_true(ntraced < NST_ARRAY_LEN(traced));
    assert_true(nst_pkt_len(event->pkt) > 0);
    traced[ntraced++] = *event;
}

static void test_trace(void **state)
{
    static const enum nst_trace_kind kinds[] = {NST_TRACE_RX, NST_TRACE_TX, NST_TRACE_RX,
                                                NST_TRACE_DROP};
    static const uint64_t ids[] = {1, 0, 2, 2};
    (void)state;

    ntraced = 0;
    h.stack->env.trace = trace;
    h.stack->env.trace_ctx = &h;
    frame_echo(&frame, 1, 1, 50);
    harness_input(&h, &frame);
    frame.bytes[ICMP_DATA]++;
    harness_input(&h, &frame);
    assert_int_equal(ntraced, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(traced[i].kind, kinds[i]);
        assert_int_equal(traced[i].id, ids[i]);
        assert_int_equal(traced[i].link, h.link);
        assert_int_equal(traced[i].time, h.now);
    }
    assert_int_equal(traced[3].drop, NST_DROP_icmp_checksum);
}

/* ---- Memory that runs out ----------------------------------------------------------------- */

/* A little of everything: a new link, an address, sockets, datagrams both ways, neighbours,
 * fragments, an error queue. Calls may fail for lack of memory, or of what could not be made before
 * for lack of memory. */
static void well_or_memory(int64_t result)
{
    if (result < 0 && result != -ENOMEM && result != -ENOBUFS && result != -EBADF &&
        result != -ENETUNREACH && result != -ENODEV && result != -EAGAIN)
        fail_msg("%lld", (long long)result);
}

static void live(void)
{
    static struct frame whole;
    struct nst_sockaddr any = {.port = 5000};
    struct nst_prefix prefix = test_prefix("10.0.0.1/8");
    struct nst_link_config config = link_config("eth9");
    struct nst_route route = {.dst = test_prefix("172.16.0.0/12"), .gateway = test_addr(PEER)};
    nst_link link = 0;
    nst_sock sock = 0, raw = 0;
    struct nst_msg msg;
    uint8_t buf[64];

    route.link = h.link;
    well_or_memory(nst_link_add(h.stack, &link, &config));
    well_or_memory(nst_addr_add(h.stack, link, &prefix, NST_ACD_ANNOUNCE));
    well_or_memory(nst_route_add(h.stack, &route));
    well_or_memory(nst_socket(h.stack, &sock, NST_AF_INET, NST_SOCK_DGRAM, 0, 0));
    well_or_memory(nst_socket(h.stack, &raw, NST_AF_INET, NST_SOCK_RAW, 17, 0));
    well_or_memory(nst_bind(h.stack, sock, &any));
    well_or_memory(nst_setopt(h.stack, sock, NST_OPT_RECVERR, 1));
    well_or_memory(harness_send(&h, sock, STRANGER, 9, "stranger", 8));
    well_or_memory(harness_send(&h, sock, "10.0.0.9", 9, "nobody", 6));
    well_or_memory(harness_send(&h, sock, US, 5000, "ourselves", 9));
    harness_pull(&h);
    frame_arp(&frame, 1, "02:00:00:00:00:4d", STRANGER, "00:00:00:00:00:00", US);
    harness_input(&h, &frame);
    frame_udp(&whole, &(struct frame_ip){.id = 1}, 9, 5000, NULL, 4000);
    for (size_t off = 0; off < 4008; off += 1480) {
        frame_fragment(&frame, &whole, off, nst_min(1480, 4008 - off));
        harness_input(&h, &frame);
    }
    well_or_memory(harness_recv(&h, sock, &msg, buf, sizeof buf, 0));
    harness_run(&h, 60 * NST_SEC);
    well_or_memory(harness_recv(&h, sock, &msg, buf, sizeof buf, NST_RECV_ERROR));
    nst_stack_check(h.stack);
}

static void test_memory_runs_out(void **state)
{
    bool enough = false;
    unsigned n;
    (void)state;

    for (n = 1; !enough; n++) {
        harness_fini(&h);
        harness_init(&h, NULL, 0);
        test_memory_fail_in(&h.memory, n);
        live();
        enough = h.memory.calls < h.memory.fail_at;
        test_memory_fail_in(&h.memory, 0);
        frame_echo(&frame, 1, 1, 50);
        harness_input(&h, &frame);
        harness_sent_icmp(&h, 0, 0, PEER);
    }
    assert_in_range(n, 20, 500);
}

/* The same with budgets from nothing to plenty. */
static void test_every_budget(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 60000; bytes += 997) {
        struct nst_limits limits = {.memory_bytes = bytes};
        harness_fini(&h);
        harness_init(&h, &limits, 0);
        live();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_and_free),
        cmocka_unit_test(test_extreme_limits),
        cmocka_unit_test_setup_teardown(test_link_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mtu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_huge_echo_in_tiny_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_is_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_of_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_of_a_link_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_carrier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probing_waits_for_the_carrier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conflict_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conflicts_are_told_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_and_its_route, setup, teardown),
        cmocka_unit_test_setup_teardown(test_route_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_route_add_and_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_full_of_permanent_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_budget, setup, teardown),
    };

    return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
