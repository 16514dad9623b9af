/* What the ladders under tests/script/igmp/ cannot show: limits, floods, a lack of memory.
 *
 * Rows of the list of attacks: 107 234 307. */
#include <errno.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/link/group.h"

#include "../harness.h"

#define IGMP          (L4 + 4) /* behind a router alert */
#define REPORT_GROUPS (IGMP + 6)

static struct harness h;
static struct frame frame;
static uint8_t query[12 + 4 * 16000];

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

static int join(nst_sock sock, const char *group, const char *source)
{
    struct nst_addr g = test_addr(group), s;

    if (source)
        s = test_addr(source);
    return nst_join(h.stack, sock, h.link, &g, source ? &s : NULL);
}

static int leave(nst_sock sock, const char *group)
{
    struct nst_addr g = test_addr(group);

    return nst_leave(h.stack, sock, 0, &g, NULL);
}

static const char *nth(const char *net, unsigned i)
{
    static char text[20];

    snprintf(text, sizeof text, "%s.%u.%u", net, i >> 8, i & 255);
    return text;
}

/* A version 3 query of a tenth of a second; the sources are those that stand in `query`. */
static void ask(const char *group, unsigned nsources)
{
    struct nst_addr g = test_addr(group ? group : "0.0.0.0");
    size_t len = 12 + (size_t)4 * nsources;
    uint32_t sum = 0;

    query[0] = 0x11;
    query[1] = 1;
    nst_store16(query + 2, 0);
    memcpy(query + 4, g.bytes, 4);
    query[8] = 2;
    query[9] = 125;
    nst_store16(query + 10, (uint16_t)nsources);
    for (size_t i = 0; i < len; i += 2)
        sum += nst_load16(query + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    nst_store16(query + 2, (uint16_t)~sum);
    frame_ip(&frame,
             &(struct frame_ip){.proto = 2,
                                .ttl = 1,
                                .options = "94040000",
                                .dst = "224.0.0.1",
                                .mac_dst = "01:00:5e:00:00:01"},
             query, len);
    assert_true(harness_input(&h, &frame));
}

/* An interface hears at most NST_GROUPS groups; all are told of in few reports, each within the
 * MTU.
 */
static void test_groups_are_limited(void **state)
{
    unsigned told = 0;
    nst_sock sock = 0;

    (void)state;
    for (unsigned i = 0; i < NST_GROUPS; i++) {
        if (i % 64 == 0)
            sock = harness_socket(&h, NST_SOCK_DGRAM, 0);
        assert_int_equal(join(sock, nth("239.1", i), NULL), 0);
    }
    assert_int_equal(join(sock, "239.2.0.0", NULL), -ENOBUFS);
    sock = harness_socket(&h, NST_SOCK_DGRAM, 0);
    assert_int_equal(join(sock, "239.2.0.0", NULL), -ENOBUFS);
    assert_int_equal(join(sock, "239.1.0.0", NULL), 0);
    harness_run(&h, 10 * NST_SEC);

    ask(NULL, 0);
    harness_run(&h, NST_SEC);
    for (size_t i = 0; i < h.ntx; i++) {
        assert_true(h.tx[i]->len <= 14 + 1500);
        told += frame_get16(h.tx[i], REPORT_GROUPS);
    }
    assert_int_equal(told, NST_GROUPS);
    assert_int_equal(h.ntx, 2);
}

static void test_sources_are_limited(void **state)
{
    nst_sock a = harness_socket(&h, NST_SOCK_DGRAM, 0), b = harness_socket(&h, NST_SOCK_RAW, 89);

    (void)state;
    for (unsigned i = 0; i < NST_GROUP_SOURCES; i++)
        assert_int_equal(join(i % 2 ? a : b, "232.1.1.1", nth("192.0", 512 + i)), 0);
    assert_int_equal(join(a, "232.1.1.1", "192.0.2.200"), -ENOBUFS);
    /* One who wants them all still finds room; so does another group. */
    assert_int_equal(join(harness_socket(&h, NST_SOCK_DGRAM, 0), "232.1.1.1", NULL), 0);
    assert_int_equal(join(a, "232.1.1.2", "192.0.2.200"), 0);
}

static void test_other_sockets_cannot_join(void **state)
{
    (void)state;
    assert_int_equal(join(harness_socket(&h, NST_SOCK_PACKET, 0), "239.1.1.1", NULL), -ENOPROTOOPT);
    assert_int_equal(join(0, "239.1.1.1", NULL), -EBADF);
    assert_int_equal(leave(0, "239.1.1.1"), -EBADF);
}

/* 307: ten thousand sources in a frame, a thousand such frames: one answer, and no memory. */
static void test_307_query_of_many_sources(void **state)
{
    (void)state;
    assert_int_equal(join(harness_udp(&h, NULL, 5000), "239.1.1.1", NULL), 0);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 65535), 0);
    for (unsigned i = 0; i < 10000; i++)
        nst_store32(query + 12 + (size_t)4 * i, 0x0a000000 + i);
    h.check_every = 100;
    for (unsigned i = 0; i < 1000; i++) {
        ask("239.1.1.1", 10000);
        harness_silent(&h);
    }
    assert_int_equal(harness_memory(&h), 0);
    harness_run(&h, NST_SEC);
    assert_int_equal(frame_get16(harness_sent(&h), REPORT_GROUPS), 1);
    assert_int_equal(harness_sent(&h)->bytes[IGMP + 8], 2); /* IS_EX, of the whole group */
}

/* 107: no byte of a report is from elsewhere: the same state gives the same bytes, whatever was
 * asked before. */
static void test_107_reports_hold_nothing_else(void **state)
{
    uint8_t first[64];
    size_t len;

    (void)state;
    assert_int_equal(join(harness_udp(&h, NULL, 5000), "232.1.1.1", "192.0.2.7"), 0);
    harness_run(&h, 10 * NST_SEC);
    ask("232.1.1.1", 0);
    harness_run(&h, NST_SEC);
    len = harness_sent(&h)->len - IGMP;
    assert_int_equal(len, 8 + 8 + 4);
    memcpy(first, harness_sent(&h)->bytes + IGMP, len);
    memset(query + 12, 0xa5, 16 * 4);
    nst_store32(query + 12, 0xc0000207);
    ask("232.1.1.1", 16);
    harness_run(&h, NST_SEC);
    assert_int_equal(harness_sent(&h)->len - IGMP, len);
    assert_memory_equal(harness_sent(&h)->bytes + IGMP, first, len);
}

/* 234: a response time of zero in version 2 is version 1, and no division by it. */
static void test_234_no_response_time(void **state)
{
    static const uint8_t v1[8] = {0x11, 0, 0xee, 0xff};

    (void)state;
    assert_int_equal(join(harness_udp(&h, NULL, 5000), "239.1.1.1", NULL), 0);
    harness_run(&h, 10 * NST_SEC);
    frame_ip(&frame, &(struct frame_ip){.proto = 2, .dst = "224.0.0.1", .mac_dst = BROADCAST}, v1,
             sizeof v1);
    harness_input(&h, &frame);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(harness_sent(&h)->bytes[IGMP], 0x12);
}

/* A join that runs out of memory leaves nothing behind, at whichever allocation that is. */
static void test_no_memory(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    int err = -ENOMEM;

    (void)state;
    assert_int_equal(join(sock, "239.1.1.1", NULL), 0); /* the pool keeps what it has once got */
    assert_int_equal(leave(sock, "239.1.1.1"), 0);
    harness_run(&h, 10 * NST_SEC);
    size_t memory = h.memory.live_bytes;
    for (unsigned n = 1; err; n++) {
        test_memory_fail_in(&h.memory, n);
        err = join(sock, "239.1.1.1", NULL);
        assert_true(n == 3 ? err == 0 : err == -ENOMEM);
        if (err)
            assert_int_equal(h.memory.live_bytes, memory);
    }
    test_memory_fail_in(&h.memory, 0);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(h.ntx, 2);
    assert_int_equal(leave(sock, "239.1.1.1"), 0);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(h.ntx, 2);
    assert_int_equal(h.memory.live_bytes, memory);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_groups_are_limited),
        TEST(test_sources_are_limited),
        TEST(test_other_sockets_cannot_join),
        TEST(test_307_query_of_many_sources),
        TEST(test_107_reports_hold_nothing_else),
        TEST(test_234_no_response_time),
        TEST(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
