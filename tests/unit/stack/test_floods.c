/* Attacks by many frames, and what must go on meanwhile: memory stays within its budget, a ping
 * from somebody else is answered, and nothing can be learnt from what is refused.
 *
 * Rows: 136 137 138 141 143 144 148 214 227 240 294 303 (for ARP) 309 311. */
#include <errno.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/base/drop.h"
#include "core/pkt/pkt.h"

#include "../harness.h"

static struct harness h;
static struct frame frame;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    return 0;
}

/* With as little memory that a flood can fill it. */
static int setup_small(void **state)
{
    const struct nst_limits limits = {.memory_bytes = (size_t)8 << 20};
    (void)state;

    harness_init(&h, &limits, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static void assert_ping_answered(void)
{
    frame_echo(&frame, 77, 78, 56);
    assert_true(harness_input(&h, &frame));
    for (size_t i = 0; i < h.ntx; i++)
        if (frame_get16(h.tx[i], ETH_TYPE) == 0x0800 && h.tx[i]->bytes[IP_PROTO] == 1 &&
            frame_get32(h.tx[i], ICMP_REST) == (77 << 16 | 78))
            return;
    fail_msg("the ping was not answered");
}

static const char *address(const char *net, unsigned i)
{
    static char text[16];

    snprintf(text, sizeof text, "%s.%u.%u", net, i >> 8 & 255, i & 255);
    return text;
}

static enum nst_neigh_state neigh_state(const char *addr)
{
    static struct nst_neigh_info list[2048];
    size_t n = nst_neigh_list(h.stack, list, NST_ARRAY_LEN(list));
    struct nst_addr a = test_addr(addr);

    assert_in_range(n, 1, 1024);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&list[i].addr, &a, sizeof a) == 0)
            return list[i].state;
    fail_msg("%s is not in the cache", addr);
    return NST_NEIGH_FAILED;
}

/* ---- The neighbour cache ------------------------------------------------------------------ */

#define SCANNED 65536

/* A wide network, with one neighbour in it that answers. */
static nst_link wide_network(nst_sock sock)
{
    nst_link link = harness_link(&h, "eth1", "02:00:00:00:01:01", "10.9.0.1/16");

    harness_send(&h, sock, "10.9.0.2", 9, "x", 1);
    harness_pull(&h);
    frame_arp(&frame, 2, "02:00:00:00:01:02", "10.9.0.2", "02:00:00:00:01:01", "10.9.0.1");
    frame_put_mac(&frame, ETH_DST, "02:00:00:00:01:01");
    harness_input_on(&h, link, &frame);
    assert_int_equal(h.ntx, 1);
    assert_int_equal(neigh_state("10.9.0.2"), NST_NEIGH_REACHABLE);
    h.check_every = 256;
    return link;
}

static void assert_cache_kept_its_best(void)
{
    assert_int_equal(neigh_state("10.9.0.2"), NST_NEIGH_REACHABLE);
    assert_int_equal(neigh_state(PEER), NST_NEIGH_PERMANENT);
    assert_int_equal(neigh_state(GATEWAY), NST_NEIGH_PERMANENT);
    assert_ping_answered();
}

static void test_303_scan_from_here(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 0);
    (void)state;

    wide_network(sock);
    for (unsigned i = 3; i < SCANNED - 1; i++) {
        harness_send(&h, sock, address("10.9", i), 9, "x", 1);
        harness_pull(&h);
        if (i % 4096 == 0)
            assert_cache_kept_its_best();
    }
    assert_cache_kept_its_best();
    assert_in_range(harness_memory(&h), 0, (size_t)1024 * 4096);
    harness_run(&h, 5 * NST_SEC);
    assert_int_equal(harness_memory(&h), 0);
}

static void test_309_arp_flood(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 0);
    nst_link link = wide_network(sock);
    unsigned answers = 0;
    (void)state;

    for (unsigned i = 3; i < SCANNED - 1; i++) {
        frame_arp(&frame, 1, "02:00:00:00:66:66", address("10.9", i), "00:00:00:00:00:00",
                  "10.9.0.1");
        harness_input_on(&h, link, &frame);
        answers += h.ntx == 1;
        if (i % 4096 == 0)
            assert_cache_kept_its_best();
    }
    assert_int_equal(answers, SCANNED - 4);
    assert_cache_kept_its_best();
}

/* Pings from a whole network of made-up neighbours: each has to be asked for. */
static void test_303_scan_from_outside(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 0);
    nst_link link = wide_network(sock);
    (void)state;

    for (unsigned i = 3; i < SCANNED - 1; i++) {
        struct frame_ip ip = {.src = address("10.9", i),
                              .dst = "10.9.0.1",
                              .mac_dst = "02:00:00:00:01:01",
                              .mac_src = "02:00:00:00:66:66"};
        frame_icmp(&frame, &ip, 8, 0, i, NULL, 8);
        harness_input_on(&h, link, &frame);
        assert_int_equal(h.ntx, 1);
        if (i % 4096 == 0)
            assert_cache_kept_its_best();
    }
    assert_cache_kept_its_best();
    harness_run(&h, 5 * NST_SEC);
    assert_int_equal(harness_memory(&h), 0);
}

/* ---- Memory ------------------------------------------------------------------------------- */

/* Feeds an echo request of 65,507 bytes from `src`, in fragments. */
static void feed_large_echo(const char *src, uint16_t id)
{
    static struct frame whole;
    const struct frame_ip ip = {.src = src, .id = id};

    frame_icmp(&whole, &ip, 8, 0, id, NULL, 65507);
    for (size_t off = 0; off < 65515; off += 1480) {
        frame_fragment(&frame, &whole, off, nst_min(1480, 65515 - off));
        harness_input(&h, &frame);
    }
}

/* Their answers wait for neighbours that don't exist. */
static void test_large_echoes_from_nobody(void **state)
{
    (void)state;
    h.check_every = 16;
    for (unsigned i = 100; i < 250; i++) {
        feed_large_echo(address("192.0", 2 << 8 | i), (uint16_t)i);
        assert_ping_answered();
    }
    harness_run(&h, 40 * NST_SEC);
    assert_int_equal(harness_memory(&h), 0);
}

/* Datagrams that nobody reads. */
static void test_136_sockets_that_nobody_reads(void **state)
{
    nst_sock socks[64];
    int64_t got;
    struct nst_msg msg;
    (void)state;

    h.check_every = 64;
    for (uint16_t i = 0; i < NST_ARRAY_LEN(socks); i++)
        socks[i] = harness_udp(&h, NULL, (uint16_t)(5000 + i));
    for (unsigned n = 0; n < 400; n++) {
        for (uint16_t i = 0; i < NST_ARRAY_LEN(socks); i++) {
            frame_udp(&frame, &(struct frame_ip){0}, 1, (uint16_t)(5000 + i), NULL, 1000);
            harness_input(&h, &frame);
        }
        assert_ping_answered();
    }
    assert_true(harness_drops(&h, NST_DROP_no_memory) > 0);
    /* What was taken can still be read, and makes room. */
    for (got = 0; harness_recv(&h, socks[0], &msg, NULL, 0, 0) == 1000; got++)
        ;
    assert_true(got > 0);
    frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, 1000);
    harness_input(&h, &frame);
    assert_int_equal(harness_recv(&h, socks[0], &msg, NULL, 0, 0), 1000);
}

/* Errors for a socket with an error queue that nobody reads. */
static void test_136_error_queue(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct frame ours;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECVERR, 1), 0);
    frame_udp(&ours, &(struct frame_ip){.src = US, .dst = FAR}, 5000, 53, NULL, 500);
    for (unsigned i = 0; i < 5000; i++) {
        frame_icmp_error(&frame, GATEWAY, 3, 1, 0, &ours, 500);
        harness_input(&h, &frame);
    }
    assert_in_range(harness_memory(&h), 1, 512 * 1024);
    assert_ping_answered();
}

static void test_240_flood_and_close(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        nst_sock sock = harness_udp(&h, NULL, 5000);
        for (unsigned i = 0; i < 20; i++) {
            frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, 100);
            harness_input(&h, &frame);
        }
        assert_int_equal(nst_close(h.stack, sock), 0);
        assert_int_equal(harness_memory(&h), 0);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_sock_closed), 1000);
}

/* ---- Sockets under fire ------------------------------------------------------------------- */

static void test_137_wrong_checksums_wake_nobody(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_event event;
    struct nst_msg msg;
    (void)state;

    frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, 100);
    frame.bytes[UDP_DATA] ^= 1;
    for (unsigned i = 0; i < 1000; i++) {
        harness_input(&h, &frame);
        assert_int_equal(nst_events(h.stack, &event, 1), 0);
        assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, 0), -EAGAIN);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_udp_checksum), 1000);
}

static void test_138_peek_with_a_short_buffer(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_msg msg;
    uint8_t buf[100];
    (void)state;

    frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, 100);
    harness_input(&h, &frame);
    for (size_t len = 0; len < 100; len++) {
        assert_int_equal(harness_recv(&h, sock, &msg, buf, len, NST_RECV_PEEK), 100);
        assert_true(msg.truncated);
    }
    assert_int_equal(harness_recv(&h, sock, &msg, buf, 100, 0), 100);
    assert_false(msg.truncated);
    assert_memory_equal(buf, frame.bytes + UDP_DATA, 100);
}

/* An input batch is handled whole but nothing more: the owner gets its turn after each. */
static void test_214_227_the_owner_gets_its_turn(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_pkt *pkts[64];
    struct nst_msg msg;
    (void)state;

    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 64; i++) {
            frame_echo(&frame, 1, (uint16_t)i, 100);
            if (i == 63)
                frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, 10);
            pkts[i] = nst_pkt_alloc(h.stack, frame.len);
            nst_pkt_write(pkts[i], 0, frame.bytes, frame.len);
        }
        nst_input(h.stack, h.link, pkts, 64, h.now);
        assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, 0), 10);
        assert_int_equal(nst_output(h.stack, h.link, pkts, 16, h.now), 16);
        for (unsigned i = 0; i < 16; i++)
            nst_pkt_free(pkts[i]);
        harness_pull(&h);
        assert_int_equal(h.ntx, 47);
    }
}

/* ---- ICMP errors -------------------------------------------------------------------------- */

/* A datagram for a closed port, by way of the gateway. */
static bool probe(const char *src, uint16_t port)
{
    frame_udp(&frame, &(struct frame_ip){.src = src, .mac_src = GATEWAY_MAC}, 1, port, NULL, 200);
    harness_input(&h, &frame);
    if (h.ntx > 0)
        assert_in_range(h.tx[0]->len, 1, frame.len + 28);
    return h.ntx > 0;
}

static unsigned errors_in_a_second(unsigned sources)
{
    unsigned errors = 0;

    for (unsigned i = 0; i < 50000; i++) {
        h.now += NST_SEC / 50000;
        errors += probe(address("198.51", i % sources), 9);
    }
    return errors;
}

static void test_311_errors_in_all(void **state)
{
    (void)state;
    assert_in_range(errors_in_a_second(1000), 600, 1050);
    harness_run(&h, NST_SEC);
    assert_in_range(errors_in_a_second(1000), 600, 1050);
}

static void test_311_errors_for_one(void **state)
{
    (void)state;
    assert_in_range(errors_in_a_second(1), 300, 525);
    assert_true(probe("203.0.113.5", 9)); /* others are not silenced by that */
}

#define TRIALS 200

/* The attack: as many probes from made-up sources as the limit allows, of which one may or may not
 * have hit an open port and so cost nothing; whether a probe of one's own is answered then tells
 * which. How often is it right, of 2 * TRIALS? */
static unsigned guesses_right(unsigned probes)
{
    unsigned right = 0;

    for (unsigned trial = 0; trial < 2 * TRIALS; trial++) {
        bool open = trial % 2;
        harness_run(&h, NST_SEC);
        for (unsigned i = 0; i < probes; i++)
            probe(address("198.51", trial * 64 + i), open && i == 7 ? 5000 : 9);
        right += probe("203.0.113.5", 9) == open;
    }
    return right;
}

static void test_148_limit_is_no_oracle(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    (void)state;

    h.check_every = 64;
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RCVBUF, 4096), 0);
    for (unsigned probes = 36; probes <= 52; probes += 2)
        assert_in_range(guesses_right(probes), TRIALS * 7 / 10, TRIALS * 13 / 10);
}

/* ---- What identifications tell ------------------------------------------------------------ */

/* Shows 6864-2. */
static void test_294_identifications(void **state)
{
    static bool seen[65536];
    static unsigned steps[65536];
    unsigned last = 0, repeated = 0;
    (void)state;

    for (unsigned i = 0; i < 32768; i++) {
        frame_echo(&frame, 1, (uint16_t)i, 0);
        harness_input(&h, &frame);
        unsigned id = frame_get16(harness_sent(&h), IP_ID);
        assert_false(seen[id]);
        seen[id] = true;
        repeated += steps[(id - last) & 0xffff]++ > 8;
        last = id;
    }
    /* No step from one to the next is frequent: who sees one does not know the next. */
    assert_in_range(repeated, 0, 64);
}

/* Datagrams that must not be fragmented need none (RFC 6864), whatever an ICMP error says.
 * Shows 6864-1. */
static void test_141_atomic_datagrams(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct frame ours;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_DONTFRAG, 1), 0);
    for (int i = 0; i < 2; i++) {
        harness_send(&h, sock, FAR, 53, "query", 5);
        harness_pull(&h);
        frame_copy(&ours, harness_sent(&h));
        assert_int_equal(frame_get16(&ours, IP_FRAG), FRAG_DF);
        assert_int_equal(frame_get16(&ours, IP_ID), 0);
        frame_icmp_error(&frame, GATEWAY, 3, 4, 68, &ours, ours.len - IP);
        harness_input(&h, &frame);
        harness_silent(&h);
    }
}

int main(void)
{
#define ROW(name, test)                   \
    {                                     \
        name, test, setup, teardown, NULL \
    }
#define ROW_SMALL(name, test)                   \
    {                                           \
        name, test, setup_small, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        ROW("303 RFC 6583, for ARP: scan from here", test_303_scan_from_here),
        ROW("303 RFC 6583, for ARP: scan from outside", test_303_scan_from_outside),
        ROW("309 ARP flood", test_309_arp_flood),
        ROW_SMALL("large echoes from nobody", test_large_echoes_from_nobody),
        ROW_SMALL("136 CVE-2010-4251: sockets that nobody reads",
                  test_136_sockets_that_nobody_reads),
        ROW_SMALL("136 CVE-2010-4251: error queue", test_136_error_queue),
        ROW("240 gVisor #8025: flood and close", test_240_flood_and_close),
        ROW("137 CVE-2015-5364: wrong checksums wake nobody", test_137_wrong_checksums_wake_nobody),
        ROW("138 CVE-2016-10229: peek with a short buffer", test_138_peek_with_a_short_buffer),
        ROW("214, 227 smoltcp #226, #848: the owner gets its turn",
            test_214_227_the_owner_gets_its_turn),
        ROW("311 ICMP rate limit: in all", test_311_errors_in_all),
        ROW("311 ICMP rate limit: for one", test_311_errors_for_one),
        ROW("148 CVE-2020-25705 SAD DNS: the limit is no oracle", test_148_limit_is_no_oracle),
        ROW("143, 144, 294 CVE-2021-45486, RFC 6864: identifications", test_294_identifications),
        ROW("141 CVE-2020-36516: atomic datagrams", test_141_atomic_datagrams),
    };

    return cmocka_run_group_tests_name("floods", tests, NULL, NULL);
}
