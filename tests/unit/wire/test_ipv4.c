#include "core/wire/ipv4.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/checksum.h"

#include "../hex.h"

/* 192.168.0.1 to 192.168.0.199, UDP, DF, 115 bytes; the same as a middle fragment with a router
 * alert; and one with all the options that fit. */
#define PLAIN    "45 00 0073 1c46 4000 40 11 9c1b c0a80001 c0a800c7"
#define FRAGMENT "46 b9 0054 0001 20b9 3f 01 b12f 0a000001 0a000002 94040000"
#define FULL                                                                           \
    "4f 00 0040 0000 0000 01 fd 8f98 0a000001 0a000002 "                               \
    "07 27 04 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000" \
    "00000000 00"

static void set_checksum(uint8_t *p)
{
    size_t hlen = (size_t)(p[0] & 0xf) * 4;

    nst_store16(p + 10, 0);
    nst_store16(p + 10, nst_csum_finish(nst_csum_sum(p, hlen)));
}

/* ---- The header -------------------------------------------------------------------------- */

static void test_parses(void **state)
{
    struct hex h = hex_bytes(PLAIN);
    struct nst_addr src = nst_addr_v4(192, 168, 0, 1), dst = nst_addr_v4(192, 168, 0, 199);
    struct nst_ipv4 ip;
    (void)state;

    assert_drop(nst_ipv4_parse(&ip, h.p, h.len, 115), NST_DROP_NONE);
    assert_true(nst_addr_eq(&ip.src, &src) && nst_addr_eq(&ip.dst, &dst));
    assert_int_equal(ip.tos, 0);
    assert_int_equal(ip.ttl, 64);
    assert_int_equal(ip.proto, NST_IPPROTO_UDP);
    assert_true(ip.df && !ip.mf);
    assert_int_equal(ip.id, 0x1c46);
    assert_int_equal(ip.frag_off, 0);
    assert_int_equal(ip.total_len, 115);
    assert_int_equal(ip.options_len, 0);
    assert_int_equal(nst_ipv4_hlen(&ip), 20);
    hex_free(h);
}

static void test_parses_fragment_with_option(void **state)
{
    struct hex h = hex_bytes(FRAGMENT);
    struct nst_ipv4 ip;
    (void)state;

    assert_drop(nst_ipv4_parse(&ip, h.p, h.len, 84), NST_DROP_NONE);
    assert_int_equal(ip.tos, 0xb9);
    assert_true(!ip.df && ip.mf);
    assert_int_equal(ip.frag_off, 1480);
    assert_int_equal(ip.options_len, 4);
    assert_memory_equal(ip.options, "\x94\4\0\0", 4);
    assert_int_equal(nst_ipv4_hlen(&ip), 24);
    hex_free(h);
}

static void test_emits(void **state)
{
    struct nst_ipv4 plain = {
        .src = nst_addr_v4(192, 168, 0, 1),
        .dst = nst_addr_v4(192, 168, 0, 199),
        .ttl = 64,
        .proto = NST_IPPROTO_UDP,
        .df = true,
        .id = 0x1c46,
        .total_len = 115,
    };
    struct nst_ipv4 fragment = {
        .src = nst_addr_v4(10, 0, 0, 1),
        .dst = nst_addr_v4(10, 0, 0, 2),
        .tos = 0xb9,
        .ttl = 63,
        .proto = NST_IPPROTO_ICMP,
        .mf = true,
        .id = 1,
        .frag_off = 1480,
        .total_len = 84,
        .options_len = 4,
        .options = {NST_IPV4_OPT_RA, 4},
    };
    uint8_t p[NST_IPV4_HLEN_MAX];
    (void)state;

    nst_ipv4_emit(&plain, p);
    assert_hex(p, nst_ipv4_hlen(&plain), PLAIN);
    nst_ipv4_emit(&fragment, p);
    assert_hex(p, nst_ipv4_hlen(&fragment), FRAGMENT);
}

static void test_there_and_back(void **state)
{
    static const char *const rows[] = {PLAIN, FRAGMENT, FULL};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(rows[i]);
        struct nst_ipv4 ip;
        uint8_t p[NST_IPV4_HLEN_MAX];
        assert_drop(nst_ipv4_parse(&ip, h.p, h.len, NST_IPV4_LEN_MAX), NST_DROP_NONE);
        nst_ipv4_emit(&ip, p);
        assert_hex(p, nst_ipv4_hlen(&ip), rows[i]);
        hex_free(h);
    }
}

/* Too little for the fixed part, then too little for the options. */
static void test_every_truncation(void **state)
{
    static const char *const rows[] = {PLAIN, FRAGMENT, FULL};
    struct nst_ipv4 ip;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex whole = hex_bytes(rows[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct hex cut = hex_copy(whole.p, len);
            enum nst_drop drop = len < NST_IPV4_HLEN ? NST_DROP_ip_short : NST_DROP_ip_ihl;
            assert_drop(nst_ipv4_parse(&ip, cut.p, len, len), drop);
            assert_drop(nst_ipv4_parse(&ip, cut.p, len, NST_IPV4_LEN_MAX), drop);
            assert_drop(nst_ipv4_parse(&ip, whole.p, whole.len, len), drop);
            assert_drop(nst_ipv4_parse_quote(&ip, cut.p, len), drop);
            hex_free(cut);
        }
        hex_free(whole);
    }
}

/* One or two changed bytes in PLAIN, whose packet is `pkt_len` bytes long.
 * Shows 1122-25, 1122-26. */
static void test_refuses(void **state)
{
    static const struct {
        const char *what;
        struct {
            uint8_t at, value;
        } edits[2];
        size_t pkt_len;
        bool stale; /* the checksum stays as it was */
        enum nst_drop drop;
    } rows[] = {
        {"as it is", {{0, 0x45}}, 115, false, NST_DROP_NONE},
        {"padding behind it", {{0, 0x45}}, 1500, false, NST_DROP_NONE},
        {"version 6", {{0, 0x65}}, 115, false, NST_DROP_ip_version},
        {"version 0", {{0, 0x05}}, 115, false, NST_DROP_ip_version},
        {"header of 0 bytes", {{0, 0x40}}, 115, true, NST_DROP_ip_ihl},
        {"header of 16 bytes", {{0, 0x44}}, 115, true, NST_DROP_ip_ihl},
        {"header beyond the packet", {{0, 0x4f}}, 59, true, NST_DROP_ip_ihl},
        {"header of 24 bytes in a packet of 20", {{0, 0x46}, {3, 20}}, 20, true, NST_DROP_ip_ihl},
        {"total length 0", {{2, 0}, {3, 0}}, 115, false, NST_DROP_ip_len},
        {"total length 19", {{2, 0}, {3, 19}}, 115, false, NST_DROP_ip_len},
        {"total length 20", {{2, 0}, {3, 20}}, 115, false, NST_DROP_NONE},
        {"one byte more than there is", {{3, 116}}, 115, false, NST_DROP_ip_len},
        {"total length 65535", {{2, 0xff}, {3, 0xff}}, 115, false, NST_DROP_ip_len},
        {"the longest packet", {{2, 0xff}, {3, 0xff}}, 65535, false, NST_DROP_NONE},
        {"wrong checksum", {{10, 0}}, 115, true, NST_DROP_ip_checksum},
        {"length before checksum", {{3, 116}, {10, 0}}, 115, true, NST_DROP_ip_len},
        {"the reserved flag", {{6, 0x80}}, 115, false, NST_DROP_ip_flags},
        {"the reserved flag and all others", {{6, 0xff}}, 115, false, NST_DROP_ip_flags},
        {"checksum before flags", {{6, 0x80}}, 115, true, NST_DROP_ip_checksum},
    };
    struct nst_ipv4 ip;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(PLAIN);
        for (size_t j = 0; j < 2 && (j == 0 || rows[i].edits[j].at > 0); j++)
            h.p[rows[i].edits[j].at] = rows[i].edits[j].value;
        if (!rows[i].stale)
            set_checksum(h.p);
        enum nst_drop drop = nst_ipv4_parse(&ip, h.p, h.len, rows[i].pkt_len);
        if (drop != rows[i].drop)
            fail_msg("%s: %s", rows[i].what, hex_drop(drop));
        hex_free(h);
    }
}

static void test_header_longer_than_total_length(void **state)
{
    struct hex h = hex_bytes(FRAGMENT);
    struct nst_ipv4 ip;
    (void)state;

    nst_store16(h.p + 2, 20);
    set_checksum(h.p);
    assert_drop(nst_ipv4_parse(&ip, h.p, h.len, 84), NST_DROP_ip_len);
    hex_free(h);
}

/* Shows 1122-26. */
static void test_every_flipped_bit_is_noticed(void **state)
{
    struct hex h = hex_bytes(PLAIN);
    struct nst_ipv4 ip;
    (void)state;

    for (size_t bit = 0; bit < h.len * 8; bit++) {
        h.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(nst_ipv4_parse(&ip, h.p, h.len, 115) != NST_DROP_NONE);
        h.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_drop(nst_ipv4_parse(&ip, h.p, h.len, 115), NST_DROP_NONE);
    hex_free(h);
}

/* A quote may be all header, with lengths and checksum as some router left them. */
static void test_quote(void **state)
{
    struct hex h = hex_bytes(PLAIN);
    struct nst_ipv4 ip;
    (void)state;

    nst_store16(h.p + 2, 3);
    nst_store16(h.p + 10, 0xdead);
    assert_drop(nst_ipv4_parse_quote(&ip, h.p, h.len), NST_DROP_NONE);
    assert_int_equal(ip.total_len, 3);
    assert_int_equal(ip.proto, NST_IPPROTO_UDP);
    h.p[0] = 0x44;
    assert_drop(nst_ipv4_parse_quote(&ip, h.p, h.len), NST_DROP_ip_ihl);
    h.p[0] = 0x4f;
    assert_drop(nst_ipv4_parse_quote(&ip, h.p, h.len), NST_DROP_ip_ihl);
    h.p[0] = 0x65;
    assert_drop(nst_ipv4_parse_quote(&ip, h.p, h.len), NST_DROP_ip_version);
    h.p[0] = 0x45;
    h.p[6] = 0x80;
    assert_drop(nst_ipv4_parse_quote(&ip, h.p, h.len), NST_DROP_ip_flags);
    hex_free(h);
}

/* ---- Options ----------------------------------------------------------------------------- */

static struct nst_ipv4 with_options(const char *text)
{
    struct hex h = hex_bytes(text);
    struct nst_ipv4 ip = {.options_len = (uint8_t)h.len};

    assert_true(h.len % 4 == 0 && h.len <= sizeof ip.options);
    memset(ip.options, 0xff, sizeof ip.options); /* nobody may look behind options_len */
    memcpy(ip.options, h.p, h.len);
    hex_free(h);
    return ip;
}

static void test_options_check(void **state)
{
    static const struct {
        const char *what, *options;
        enum nst_drop drop;
        uint8_t pointer;
    } rows[] = {
        {"none", "", NST_DROP_NONE, 0},
        {"end of list", "00000000", NST_DROP_NONE, 0},
        {"anything behind the end", "00 83 00 ff", NST_DROP_NONE, 0},
        {"no operations", "01010101", NST_DROP_NONE, 0},
        {"unknown kind", "5e 04 ffff", NST_DROP_NONE, 0},
        {"unknown kind, only its length", "5e 02 01 00", NST_DROP_NONE, 0},
        {"router alert", "94 04 0000", NST_DROP_NONE, 0},
        {"kind without length", "010101 5e", NST_DROP_ip_option, 23},
        {"record route without length", "010101 07", NST_DROP_ip_option, 23},
        {"kind without length, in the last of all bytes",
         "5e 27 0000000000 0000000000 0000000000 0000000000 0000000000 0000000000 0000000000 0000 "
         "5e",
         NST_DROP_ip_option, 59},
        {"length 0", "5e 00 0000", NST_DROP_ip_option, 21},
        {"length 1", "5e 01 0000", NST_DROP_ip_option, 21},
        {"length past the end", "5e 05 0000", NST_DROP_ip_option, 21},
        {"length 255", "5e ff 0000", NST_DROP_ip_option, 21},
        {"length past the end, later", "01 5e 04 00", NST_DROP_ip_option, 22},
        {"second option of length 0", "94 04 0000 5e 00 0000", NST_DROP_ip_option, 25},
        {"router alert of 3 bytes", "94 03 00 00", NST_DROP_ip_option, 21},
        {"router alert of 8 bytes", "94 08 0000 00000000", NST_DROP_ip_option, 21},
        {"record route", "07 07 04 00000000 00", NST_DROP_NONE, 0},
        {"record route, second of two", "07 0b 08 0a000001 00000000 00", NST_DROP_NONE, 0},
        {"record route, full", "07 07 08 0a000001 00", NST_DROP_NONE, 0},
        {"record route for nobody", "07 03 04 00", NST_DROP_NONE, 0},
        {"record route, pointer 255", "07 07 ff 0a000001 00", NST_DROP_NONE, 0},
        {"record route of 2 bytes", "07 02 0000", NST_DROP_ip_option, 21},
        {"record route, pointer 0", "07 07 00 00000000 00", NST_DROP_ip_option, 22},
        {"record route, pointer 3", "07 07 03 00000000 00", NST_DROP_ip_option, 22},
        {"record route, no room for an address", "07 07 05 00000000 00", NST_DROP_ip_option, 22},
        {"record route, one byte left", "07 07 07 00000000 00", NST_DROP_ip_option, 22},
        {"record route behind a no operation", "01 07 07 03 00000000", NST_DROP_ip_option, 23},
        {"timestamps", "44 08 05 00 00000000", NST_DROP_NONE, 0},
        {"timestamps, full, overflown", "44 08 09 f0 00000000", NST_DROP_NONE, 0},
        {"timestamps with addresses", "44 0c 05 01 00000000 00000000", NST_DROP_NONE, 0},
        {"timestamps of given hosts", "44 0c 05 03 0a000001 00000000", NST_DROP_NONE, 0},
        {"timestamps of 3 bytes", "44 03 05 02", NST_DROP_ip_option, 21},
        {"timestamps, pointer 0", "44 08 00 00 00000000", NST_DROP_ip_option, 22},
        {"timestamps, pointer 4", "44 08 04 00 00000000", NST_DROP_ip_option, 22},
        {"timestamps, no room for one", "44 08 06 00 00000000", NST_DROP_ip_option, 22},
        {"no room for address and time", "44 08 05 01 00000000", NST_DROP_ip_option, 22},
        {"timestamps, flag 2", "44 08 05 02 00000000", NST_DROP_ip_option, 23},
        {"timestamps, flag 15", "44 08 05 0f 00000000", NST_DROP_ip_option, 23},
        {"loose source route", "83 07 04 0a000003 00", NST_DROP_ip_source_route, 0},
        {"strict source route", "89 07 04 0a000003 00", NST_DROP_ip_source_route, 0},
        {"source route, used up", "83 07 08 0a000003 00", NST_DROP_ip_source_route, 0},
        {"source route, pointer 0", "83 07 00 0a000003 00", NST_DROP_ip_source_route, 0},
        {"source route of no byte", "83 02 0000", NST_DROP_ip_source_route, 0},
        {"source route behind others", "01 94 04 0000 83 03 04", NST_DROP_ip_source_route, 0},
        {"source route twice", "83 03 04 89 03 04 0000", NST_DROP_ip_source_route, 0},
        {"source route of length 0", "83 00 0000", NST_DROP_ip_option, 21},
        {"source route past the end", "83 27 04 00", NST_DROP_ip_option, 21},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_ipv4 ip = with_options(rows[i].options);
        uint8_t pointer = 0;
        enum nst_drop drop = nst_ipv4_options_check(&ip, &pointer);
        if (drop != rows[i].drop || pointer != rows[i].pointer)
            fail_msg("%s: %s at %u", rows[i].what, hex_drop(drop), pointer);
    }
}

/* Whatever stands in the first two bytes, the walk ends and points into the header. */
static void test_options_walk_is_bounded(void **state)
{
    (void)state;

    for (unsigned start = 0; start <= UINT16_MAX; start++) {
        for (uint8_t len = 4; len <= NST_IP_OPTIONS_MAX; len = (uint8_t)(len + 12)) {
            struct nst_ipv4 ip = {.options_len = len};
            uint8_t pointer = NST_IPV4_HLEN;
            memset(ip.options, 0xff, sizeof ip.options);
            nst_store16(ip.options, (uint16_t)start);
            nst_ipv4_options_check(&ip, &pointer);
            assert_in_range(pointer, NST_IPV4_HLEN, nst_ipv4_hlen(&ip) - 1);
            nst_ipv4_options_keep_copied(&ip);
            assert_true(ip.options_len <= len && ip.options_len % 4 == 0);
        }
    }
}

static void test_keep_copied(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"00000000", ""},
        {"01010101", ""},
        {"07 07 04 00000000 00", ""},
        {"94 04 0000", "94 04 0000"},
        {"01 94 04 0000 01 0000", "94 04 0000"},
        {"07 07 04 00000000 01 94 04 0000", "94 04 0000"},
        {"82 03 aa 07 03 04 94 04 0000 0000", "82 03 aa 94 04 0000 00"}, /* padded again */
        {"94 04 0000 00 94 04 00", "94 04 0000"},                        /* not behind the end */
        {"94 04 0000 94 00 0000", "94 04 0000"}, /* nor behind what is malformed */
        {"94 05 0000", ""},
        {"88 28 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
         "0000",
         "88 28 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
         "0000"},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_ipv4 ip = with_options(rows[i][0]);
        nst_ipv4_options_keep_copied(&ip);
        assert_hex(ip.options, ip.options_len, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses),
        cmocka_unit_test(test_parses_fragment_with_option),
        cmocka_unit_test(test_emits),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_header_longer_than_total_length),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_options_check),
        cmocka_unit_test(test_options_walk_is_bounded),
        cmocka_unit_test(test_keep_copied),
    };
    return cmocka_run_group_tests_name("ipv4", tests, NULL, NULL);
}
