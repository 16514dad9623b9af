/* The messages against literal bytes (of a little-endian machine), and every way to cut them short.
 */
#include "ipc/proto.h"

#include "../unit.h"

#include <errno.h>
#include <stdlib.h>

static const uint8_t CALL[] = {'N',  'S',  'T',  'K', 2, 0, 2, 0,   0x78,
                               0x56, 0x34, 0x12, 2,   0, 0, 0, '{', '}'};

static void test_header(void **state)
{
    struct nst_ipc_header header;
    uint8_t bytes[NST_IPC_HLEN];
    (void)state;

    assert_int_equal(nst_ipc_header_parse(&header, CALL, sizeof CALL), 0);
    assert_int_equal(header.version, 2);
    assert_int_equal(header.type, NST_IPC_CALL);
    assert_int_equal(header.id, 0x12345678);
    assert_int_equal(header.len, 2);
    nst_ipc_header_emit(&header, bytes);
    assert_memory_equal(bytes, CALL, sizeof bytes);
}

/* Parses a copy in memory of exactly that length, so that a sanitizer sees any byte too many. */
static int parse_exact(const uint8_t *p, size_t len)
{
    struct nst_ipc_header header;
    uint8_t *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy + 1, p, len); /* at an odd address */
    int err = nst_ipc_header_parse(&header, copy + 1, len);
    free(copy);
    return err;
}

static void test_header_truncated(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof CALL; len++)
        assert_int_equal(parse_exact(CALL, len), -EPROTO);
}

static void test_header_hostile(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        int err;
    } rows[] = {
        {0, 'n', -EPROTO},        {3, 0, -EPROTO},          {4, 0, -EPROTONOSUPPORT},
        {4, 1, -EPROTONOSUPPORT}, {5, 1, -EPROTONOSUPPORT}, {6, 0, -EPROTO},
        {6, 7, -EPROTO},          {7, 1, -EPROTO},          {12, 1, -EPROTO},
        {12, 3, -EPROTO},         {15, 0xff, -EPROTO},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[sizeof CALL];
        memcpy(bytes, CALL, sizeof CALL);
        bytes[rows[i].at] = rows[i].value;
        assert_int_equal(parse_exact(bytes, sizeof bytes), rows[i].err);
    }
}

static void test_header_other_version_is_told(void **state)
{
    uint8_t bytes[sizeof CALL];
    struct nst_ipc_header header = {0};
    (void)state;

    memcpy(bytes, CALL, sizeof CALL);
    bytes[4] = 9;
    assert_int_equal(nst_ipc_header_parse(&header, bytes, sizeof bytes), -EPROTONOSUPPORT);
    assert_int_equal(header.version, 9);
}

static void test_header_longest(void **state)
{
    uint8_t *bytes = calloc(1, NST_IPC_MSG_MAX + 1);
    struct nst_ipc_header header = {NST_IPC_VERSION, NST_IPC_REPLY, 1, NST_IPC_BODY_MAX};
    (void)state;

    assert_non_null(bytes);
    nst_ipc_header_emit(&header, bytes);
    assert_int_equal(nst_ipc_header_parse(&header, bytes, NST_IPC_MSG_MAX), 0);
    header.len++;
    nst_ipc_header_emit(&header, bytes);
    assert_int_equal(nst_ipc_header_parse(&header, bytes, NST_IPC_MSG_MAX + 1), -EPROTO);
    free(bytes);
}

/* An error report: "host unreachable" from 10.0.0.1 for what was sent to 8.8.4.4. */
static const uint8_t DATAGRAM[NST_IPC_DATAGRAM_HLEN] = {
    3,   0, 0, 0, 4,    63, 0x2e, 6,                         /* sock, family, ttl, tos, flags */
    8,   8, 4, 4, 0,    0,  0,    0, 0, 0, 0, 0, 0, 0, 0, 0, /* peer */
    10,  0, 0, 1, 0,    0,  0,    0, 0, 0, 0, 0, 0, 0, 0, 0, /* offender */
    113, 0, 3, 1, 0xdc, 5,  0,    0,                         /* errno, type, code, info */
    8,   7, 6, 5, 4,    3,  2,    1,                         /* time */
    53,  0, 0, 0, 0,    0,  0,    0,                         /* port */
};

static void test_datagram(void **state)
{
    struct nst_ipc_datagram d;
    uint8_t bytes[NST_IPC_DATAGRAM_HLEN];
    (void)state;

    assert_int_equal(nst_ipc_datagram_parse(&d, DATAGRAM, sizeof DATAGRAM), 0);
    assert_int_equal(d.sock, 3);
    assert_int_equal(d.ttl, 63);
    assert_int_equal(d.tos, 0x2e);
    assert_int_equal(d.flags, NST_IPC_REPORT | NST_IPC_BY_ICMP);
    assert_int_equal(d.peer.family, NST_AF_INET);
    assert_memory_equal(d.peer.bytes, "\x08\x08\x04\x04\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(d.offender.family, NST_AF_INET);
    assert_memory_equal(d.offender.bytes, "\x0a\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(d.err, EHOSTUNREACH);
    assert_int_equal(d.icmp_type, 3);
    assert_int_equal(d.icmp_code, 1);
    assert_int_equal(d.info, 1500);
    assert_int_equal(d.time, 0x0102030405060708);
    assert_int_equal(d.port, 53);
    nst_ipc_datagram_emit(&d, bytes);
    assert_memory_equal(bytes, DATAGRAM, sizeof bytes);
}

static void test_datagram_without_offender(void **state)
{
    struct nst_ipc_datagram d;
    uint8_t bytes[sizeof DATAGRAM];
    (void)state;

    memcpy(bytes, DATAGRAM, sizeof bytes);
    memset(bytes + 24, 0, 16);
    assert_int_equal(nst_ipc_datagram_parse(&d, bytes, sizeof bytes), 0);
    assert_int_equal(d.offender.family, NST_AF_UNSPEC);
}

/* Bytes behind the family's address length are no part of it: equal addresses have equal memory. */
static void test_datagram_address_padding(void **state)
{
    struct nst_ipc_datagram d, clean;
    uint8_t bytes[sizeof DATAGRAM];
    (void)state;

    memcpy(bytes, DATAGRAM, sizeof bytes);
    memset(bytes + 12, 0xee, 12);
    memset(bytes + 28, 0xee, 12);
    assert_int_equal(nst_ipc_datagram_parse(&d, bytes, sizeof bytes), 0);
    assert_int_equal(nst_ipc_datagram_parse(&clean, DATAGRAM, sizeof DATAGRAM), 0);
    assert_memory_equal(&d.peer, &clean.peer, sizeof d.peer);
    assert_memory_equal(&d.offender, &clean.offender, sizeof d.offender);
}

static void test_datagram_v6_round_trip(void **state)
{
    struct nst_ipc_datagram d, in = {.sock = 1, .peer.family = NST_AF_INET6, .ttl = 1};
    uint8_t bytes[NST_IPC_DATAGRAM_HLEN];
    (void)state;

    for (uint8_t i = 0; i < 16; i++)
        in.peer.bytes[i] = (uint8_t)(0xf0 + i);
    nst_ipc_datagram_emit(&in, bytes);
    assert_int_equal(nst_ipc_datagram_parse(&d, bytes, sizeof bytes), 0);
    assert_memory_equal(&d.peer, &in.peer, sizeof d.peer);
}

static void test_datagram_hostile(void **state)
{
    static const uint8_t families[] = {1, 2, 5, 7, 10, 255};
    struct nst_ipc_datagram d;
    uint8_t bytes[sizeof DATAGRAM];
    (void)state;

    for (size_t len = 0; len < sizeof DATAGRAM; len++)
        assert_int_equal(nst_ipc_datagram_parse(&d, DATAGRAM, len), -EPROTO);
    memcpy(bytes, DATAGRAM, sizeof bytes);
    for (size_t i = 0; i < sizeof families; i++) {
        bytes[4] = families[i];
        assert_int_equal(nst_ipc_datagram_parse(&d, bytes, sizeof bytes), -EPROTO);
    }
    bytes[4] = 4;
    bytes[7] = 8;
    assert_int_equal(nst_ipc_datagram_parse(&d, bytes, sizeof bytes), -EPROTO);
}

static const uint8_t FRAME[NST_IPC_FRAME_HLEN + 2] = {
    8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 9, 0, 1, 0, 0xea, 5, 0, 0, 17, 0, 0, 0, 0xde, 0xad,
};

static void test_frame(void **state)
{
    struct nst_ipc_frame f;
    uint8_t bytes[NST_IPC_FRAME_HLEN];
    (void)state;

    assert_int_equal(nst_ipc_frame_parse(&f, FRAME, sizeof FRAME), 0);
    assert_int_equal(f.time, 0x0102030405060708);
    assert_int_equal(f.link, 2);
    assert_int_equal(f.drop, 9);
    assert_int_equal(f.direction, NST_IPC_OUT);
    assert_int_equal(f.len, 1514);
    assert_int_equal(f.lost, 17);
    nst_ipc_frame_emit(&f, bytes);
    assert_memory_equal(bytes, FRAME, sizeof bytes);
}

static void test_frame_hostile(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {{14, 3}, {14, 255}, {15, 1}};
    struct nst_ipc_frame f;
    uint8_t bytes[sizeof FRAME];
    (void)state;

    for (size_t len = 0; len < NST_IPC_FRAME_HLEN; len++)
        assert_int_equal(nst_ipc_frame_parse(&f, FRAME, len), -EPROTO);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(bytes, FRAME, sizeof bytes);
        bytes[rows[i].at] = rows[i].value;
        assert_int_equal(nst_ipc_frame_parse(&f, bytes, sizeof bytes), -EPROTO);
    }
    memcpy(bytes, FRAME, sizeof bytes);
    bytes[16] = 1, bytes[17] = 0; /* two bytes of a frame of one */
    assert_int_equal(nst_ipc_frame_parse(&f, bytes, sizeof bytes), -EPROTO);
}

static void test_json(void **state)
{
    static const char *const garbage[] = {"",
                                          " ",
                                          "[]",
                                          "1",
                                          "\"x\"",
                                          "null",
                                          "{",
                                          "{}{}",
                                          "{\"a\":1,}",
                                          "{\"a\":1,\"a\":2}",
                                          "{\"a\":\"\xff\"}"};
    (void)state;

    json_t *json = nst_ipc_json_parse((const uint8_t *)"{\"op\":\"status\"}", 15);
    assert_string_equal(json_string_value(json_object_get(json, "op")), "status");
    json_decref(json);
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        assert_null(nst_ipc_json_parse((const uint8_t *)garbage[i], strlen(garbage[i])));
}

/* A deep nest must end at the parser's own limit, not at the end of the stack. */
static void test_json_deep(void **state)
{
    uint8_t *nest = malloc(NST_IPC_BODY_MAX);
    (void)state;

    assert_non_null(nest);
    memset(nest, '[', NST_IPC_BODY_MAX);
    memcpy(nest, "{\"a\":", 5);
    assert_null(nst_ipc_json_parse(nest, NST_IPC_BODY_MAX));
    free(nest);
}

static void test_error(void **state)
{
    const char *message;
    json_t *body = nst_ipc_error_new(EPERM, "only the owner may do that");
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    (void)state;

    assert_string_equal(text, "{\"errno\":\"EPERM\",\"message\":\"only the owner may do that\"}");
    assert_int_equal(nst_ipc_error_parse(body, &message), EPERM);
    assert_string_equal(message, "only the owner may do that");
    free(text);
    json_decref(body);
}

static void test_error_odd(void **state)
{
    const char *message;
    json_t *body = json_pack("{s:s, s:i}", "errno", "ENOSUCHTHING", "message", 5);
    (void)state;

    assert_int_equal(nst_ipc_error_parse(body, &message), EIO);
    assert_non_null(message);
    json_decref(body);
    body = nst_ipc_error_new(99999, "x");
    assert_int_equal(nst_ipc_error_parse(body, &message), EIO);
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_truncated),
        cmocka_unit_test(test_header_hostile),
        cmocka_unit_test(test_header_other_version_is_told),
        cmocka_unit_test(test_header_longest),
        cmocka_unit_test(test_datagram),
        cmocka_unit_test(test_datagram_without_offender),
        cmocka_unit_test(test_datagram_address_padding),
        cmocka_unit_test(test_datagram_v6_round_trip),
        cmocka_unit_test(test_datagram_hostile),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_frame_hostile),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_deep),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_error_odd),
    };
    return cmocka_run_group_tests_name("ipc/proto", tests, NULL, NULL);
}
