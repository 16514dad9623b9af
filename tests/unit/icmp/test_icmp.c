/* ICMP within the whole stack: echo, the errors that come in and whom they reach, redirects. What
 * is refused stands in stack/test_attacks.c, the rate limits in stack/test_floods.c. */
#include "core/icmp/icmp.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../harness.h"

static struct harness h;
static struct frame frame, ours;
static nst_sock sock;

static void init(uint32_t flags)
{
    harness_init(&h, NULL, flags);
    sock = harness_udp(&h, NULL, 5000);
}

static int setup(void **state)
{
    (void)state;
    init(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

/* ---- Echo --------------------------------------------------------------------------------- */

/* Shows 1122-78, 1122-82, 1122-83. */
static void test_echo(void **state)
{
    (void)state;
    frame_icmp(&frame, &(struct frame_ip){.tos = 0xb8, .ttl = 1, .mac_src = PEER_MAC}, 8, 0,
               0x12345678, NULL, 56);
    harness_input(&h, &frame);
    const struct frame *reply = harness_sent(&h);
    assert_int_equal(reply->len, frame.len);
    assert_memory_equal(reply->bytes, frame.bytes + ETH_SRC, 6);
    assert_memory_equal(reply->bytes + IP_SRC, frame.bytes + IP_DST, 4);
    assert_memory_equal(reply->bytes + IP_DST, frame.bytes + IP_SRC, 4);
    assert_int_equal(reply->bytes[IP_TTL], 64);
    assert_int_equal(reply->bytes[IP_TOS], 0xb8);
    assert_int_equal(frame_get16(reply, ICMP_TYPE), 0);
    assert_memory_equal(reply->bytes + ICMP_REST, frame.bytes + ICMP_REST, 60);
}

/* Every checksum that the request can have, among them those that become a zero. */
static void test_echo_checksums(void **state)
{
    (void)state;
    h.check_every = 1024;
    for (uint32_t word = 0; word <= 0xffff; word += 1) {
        frame_icmp(&frame, &(struct frame_ip){0}, 8, 0, word, NULL, 0);
        harness_input(&h, &frame);
        assert_int_equal(frame_get32(harness_sent(&h), ICMP_REST), word);
    }
}

/* Options are not echoed (RFC 1122 §3.2.2.6 wants some; a source route would be one of them). */
static void test_86_echo_with_options(void **state)
{
    (void)state;
    frame_icmp(&frame, &(struct frame_ip){.options = "07 07 04 00000000 00"}, 8, 0, 1, NULL, 56);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
    assert_int_equal(harness_sent(&h)->bytes[IP], 0x45);
    assert_int_equal(harness_sent(&h)->len, ICMP_DATA + 56);
}

/* Shows 1122-162. */
static void test_echo_to_groups_if_wanted(void **state)
{
    (void)state;
    harness_fini(&h);
    init(NST_STACK_BROADCAST_ECHO);
    frame_icmp(&frame, &(struct frame_ip){.dst = "192.0.2.255", .mac_dst = BROADCAST}, 8, 0, 1,
               NULL, 8);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
    frame_icmp(&frame, &(struct frame_ip){.dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"}, 8, 0,
               1, NULL, 8);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
}

/* ---- Errors that come in ------------------------------------------------------------------ */

static void error_about_ours(uint8_t type, uint8_t code, uint32_t rest)
{
    frame_udp(&ours, &(struct frame_ip){.src = US, .dst = FAR}, 5000, 53, NULL, 100);
    frame_icmp_error(&frame, GATEWAY, type, code, rest, &ours, ours.len - IP);
    harness_input(&h, &frame);
    harness_silent(&h);
}

/* RFC 1122 §3.2.2.1 and what Linux makes of each code. */
static void test_errno_of_each_message(void **state)
{
    static const int unreachable[] = {
        ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED, EMSGSIZE,     EOPNOTSUPP,
        ENETUNREACH,  EHOSTDOWN,    ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
        EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH,
    };
    (void)state;

    for (unsigned code = 0; code < 256; code++) {
        int wanted = code < NST_ARRAY_LEN(unreachable) ? unreachable[code] : EHOSTUNREACH;
        assert_int_equal(nst_icmp_errno(3, (uint8_t)code), wanted);
    }
    assert_int_equal(nst_icmp_errno(11, 0), EHOSTUNREACH);
    assert_int_equal(nst_icmp_errno(11, 1), EHOSTUNREACH);
    assert_int_equal(nst_icmp_errno(12, 0), EPROTO);
    assert_int_equal(nst_icmp_errno(4, 0), 0);
    assert_int_equal(nst_icmp_errno(8, 0), 0);
}

/* Shows 1122-55, 1122-168. */
static void test_error_queue(void **state)
{
    struct nst_addr gateway = test_addr(GATEWAY), far = test_addr(FAR), us = test_addr(US);
    uint8_t buf[200];
    struct nst_msg msg;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECVERR, 1), 0);
    error_about_ours(3, 4, 1400);
    assert_int_equal(harness_recv(&h, sock, &msg, buf, sizeof buf, 0), -EAGAIN);
    assert_int_equal(harness_recv(&h, sock, &msg, buf, sizeof buf, NST_RECV_ERROR), 100);
    assert_memory_equal(buf, ours.bytes + UDP_DATA, 100);
    assert_int_equal(msg.error.err, EMSGSIZE);
    assert_true(msg.error.icmp);
    assert_int_equal(msg.error.type, 3);
    assert_int_equal(msg.error.code, 4);
    assert_int_equal(msg.error.info, 1400);
    assert_true(nst_addr_eq(&msg.error.offender, &gateway));
    assert_true(nst_addr_eq(&msg.peer.addr, &far) && nst_addr_eq(&msg.local.addr, &us));
    assert_int_equal(msg.peer.port, 53);
    assert_int_equal(msg.local.port, 5000);
    assert_int_equal(harness_recv(&h, sock, &msg, buf, sizeof buf, NST_RECV_ERROR), -EAGAIN);
}

/* Eight bytes behind the header are all that must be quoted (RFC 792). Shows 1122-169. */
static void test_shortest_quotation(void **state)
{
    struct nst_msg msg;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECVERR, 1), 0);
    frame_udp(&ours, &(struct frame_ip){.src = US, .dst = FAR}, 5000, 53, NULL, 100);
    frame_icmp_error(&frame, GATEWAY, 11, 0, 0, &ours, 28);
    harness_input(&h, &frame);
    assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, NST_RECV_PEEK | NST_RECV_ERROR), 0);
    assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, NST_RECV_ERROR), 0);
    assert_int_equal(msg.error.err, EHOSTUNREACH);
    assert_int_equal(msg.peer.port, 53);
}

/* Without an error queue only a connected socket hears, and only of what will not get better. */
static void test_pending_error(void **state)
{
    struct nst_sockaddr far = {.addr = test_addr(FAR), .port = 53};
    struct nst_event event;
    struct nst_msg msg;
    int64_t value;
    (void)state;

    error_about_ours(3, 3, 0);
    assert_int_equal(nst_events(h.stack, &event, 1), 0);
    assert_int_equal(nst_connect(h.stack, sock, &far), 0);
    error_about_ours(3, 1, 0);
    assert_int_equal(nst_events(h.stack, &event, 1), 0);
    error_about_ours(3, 3, 0);
    assert_int_equal(nst_events(h.stack, &event, 1), 1);
    assert_true(event.ready & NST_READY_ERR);
    assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, 0), -ECONNREFUSED);
    assert_int_equal(harness_recv(&h, sock, &msg, NULL, 0, 0), -EAGAIN);
    error_about_ours(3, 3, 0);
    assert_int_equal(harness_send(&h, sock, NULL, 0, "x", 1), -ECONNREFUSED);
    assert_int_equal(harness_send(&h, sock, NULL, 0, "x", 1), 1);
    harness_pull(&h);
    error_about_ours(3, 3, 0);
    assert_int_equal(nst_getopt(h.stack, sock, NST_OPT_ERROR, &value), 0);
    assert_int_equal(value, ECONNREFUSED);
    assert_int_equal(nst_getopt(h.stack, sock, NST_OPT_ERROR, &value), 0);
    assert_int_equal(value, 0);
}

/* A connected socket does not believe errors about others' conversations. */
static void test_error_about_another_peer(void **state)
{
    struct nst_sockaddr peer = {.addr = test_addr(PEER), .port = 53};
    (void)state;

    assert_int_equal(nst_connect(h.stack, sock, &peer), 0);
    error_about_ours(3, 3, 0);
    assert_int_equal(harness_drops(&h, NST_DROP_icmp_unmatched), 1);
}

static void test_error_about_an_echo(void **state)
{
    static const uint8_t request[12] = {8};
    nst_sock echo = harness_socket(&h, NST_SOCK_DGRAM, 1);
    struct nst_msg msg;
    uint8_t buf[20];
    (void)state;

    assert_int_equal(nst_setopt(h.stack, echo, NST_OPT_RECVERR, 1), 0);
    assert_int_equal(harness_send(&h, echo, FAR, 0, request, sizeof request), 12);
    harness_pull(&h);
    frame_copy(&ours, harness_sent(&h));
    frame_icmp_error(&frame, GATEWAY, 11, 0, 0, &ours, ours.len - IP);
    harness_input(&h, &frame);
    assert_int_equal(harness_recv(&h, echo, &msg, buf, sizeof buf, NST_RECV_ERROR), 12);
    assert_int_equal(buf[0], 8);
    assert_int_equal(msg.error.type, 11);
}

/* ---- Errors that go out ------------------------------------------------------------------- */

/* As much of the packet as 576 bytes hold (RFC 1812 §4.3.2.3). Shows 1122-53, 1122-54. */
static void test_quotation(void **state)
{
    (void)state;
    for (size_t len = 0; len < 1400; len += 11) {
        frame_udp(&frame, &(struct frame_ip){0}, 1, 9, NULL, len);
        harness_input(&h, &frame);
        harness_sent_icmp(&h, 3, 3, PEER);
        const struct frame *f = harness_sent(&h);
        size_t quoted = nst_min(28 + len, 576 - 28);
        assert_int_equal(f->len, ICMP_DATA + quoted);
        assert_int_equal(frame_get32(f, ICMP_REST), 0);
        assert_memory_equal(f->bytes + ICMP_DATA, frame.bytes + IP, quoted);
        harness_run(&h, NST_SEC);
    }
}

/* Which byte is at fault (RFC 792): counted from the beginning of the IP header. Shows 1122-75. */
static void test_parameter_problem_pointer(void **state)
{
    (void)state;
    frame_udp(&frame, &(struct frame_ip){.options = "01 01 4d 09 00000000"}, 1, 9, NULL, 8);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 12, 0, PEER);
    assert_int_equal(frame_get32(harness_sent(&h), ICMP_REST), (uint32_t)(20 + 3) << 24);
}

/* ---- Redirects ---------------------------------------------------------------------------- */

static void test_279_redirect_if_wanted(void **state)
{
    struct nst_route routes[8];
    struct nst_addr peer = test_addr(PEER);
    (void)state;

    harness_fini(&h);
    init(NST_STACK_REDIRECTS);
    frame_udp(&ours, &(struct frame_ip){.src = US, .dst = FAR}, 5000, 53, NULL, 100);
    frame_icmp_error(&frame, GATEWAY, 5, 1, nst_load32(peer.bytes), &ours, 28);
    harness_input(&h, &frame);
    assert_int_equal(nst_route_list(h.stack, routes, 8), 3);
    assert_int_equal(routes[0].origin, NST_ROUTE_REDIRECT);
    assert_int_equal(routes[0].dst.len, 32);
    assert_true(nst_addr_eq(&routes[0].gateway, &peer));
    /* No such code; from a neighbour that is not the gateway. */
    frame.bytes[ICMP_CODE] = 4;
    frame_fix(&frame);
    harness_input(&h, &frame);
    frame_icmp_error(&frame, STRANGER, 5, 1, nst_load32(peer.bytes), &ours, 28);
    harness_input(&h, &frame);
    assert_int_equal(harness_drops(&h, NST_DROP_icmp_redirect), 2);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 3);
    /* The owner can take it away, and else it ends after ten minutes. */
    assert_int_equal(nst_route_del(h.stack, &routes[0]), 0);
    frame_icmp_error(&frame, GATEWAY, 5, 1, nst_load32(peer.bytes), &ours, 28);
    harness_input(&h, &frame);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 3);
    harness_run(&h, 601 * NST_SEC);
    assert_int_equal(nst_route_list(h.stack, NULL, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_echo_checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_86_echo_with_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_echo_to_groups_if_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errno_of_each_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shortest_quotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pending_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_about_another_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_about_an_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameter_problem_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_279_redirect_if_wanted, setup, teardown),
    };

    return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}
