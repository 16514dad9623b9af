#include "core/wire/tcp.h"

#include "core/base/bytes.h"

#include "../hex.h"

#define FIXED(hlen_byte, flags) "1388 0050 fffffff0 00000007 " hlen_byte flags " 01f6 abcd 0009 "

static struct nst_tcp parse(const char *text)
{
    struct hex h = hex_bytes(text);
    struct nst_tcp tcp;

    assert_drop(nst_tcp_parse(&tcp, h.p, h.len, h.len), NST_DROP_NONE);
    hex_free(h);
    return tcp;
}

static bool same_options(const struct nst_tcp_opts *a, const struct nst_tcp_opts *b)
{
    return a->mss == b->mss && a->has_wscale == b->has_wscale && a->wscale == b->wscale &&
           a->sack_ok == b->sack_ok && a->has_ts == b->has_ts && a->ts_val == b->ts_val &&
           a->ts_ecr == b->ts_ecr && a->nsacks == b->nsacks &&
           memcmp(a->sacks, b->sacks, a->nsacks * sizeof *a->sacks) == 0;
}

static void assert_no_options(const struct nst_tcp_opts *opts)
{
    assert_true(same_options(opts, &(struct nst_tcp_opts){0}));
}

/* ---- The header -------------------------------------------------------------------------- */

static void test_parses_the_header(void **state)
{
    struct nst_tcp tcp = parse(FIXED("5f", "a5") "6869");
    (void)state;

    assert_int_equal(tcp.sport, 5000);
    assert_int_equal(tcp.dport, 80);
    assert_int_equal(tcp.seq.v, 0xfffffff0);
    assert_int_equal(tcp.ack.v, 7);
    assert_int_equal(tcp.hlen, 20); /* the reserved bits, all set, don't matter */
    assert_int_equal(tcp.flags, NST_TCP_CWR | NST_TCP_URG | NST_TCP_RST | NST_TCP_FIN);
    assert_int_equal(tcp.wnd, 502);
    assert_int_equal(tcp.checksum, 0xabcd);
    assert_int_equal(tcp.urg, 9);
    assert_no_options(&tcp.opts);
}

#define WHOLE                                                                                \
    FIXED("e0", "12")                                                                        \
    "020405b4 0402 080a 01020304 05060708 01 030307 050a 11111111 22222222 01 01 01 00 0000" \
    "6869"

/* Rows 24, 45, 120, 249, 252, 253, 254 of the attack list: nothing is read that is not there. */
static void test_every_truncation(void **state)
{
    struct hex whole = hex_bytes(WHOLE);
    size_t hlen = 56;
    struct nst_tcp tcp;
    (void)state;

    for (size_t len = 0; len <= whole.len; len++) {
        struct hex cut = hex_copy(whole.p, len);
        assert_drop(nst_tcp_parse(&tcp, cut.p, len, len), len < NST_TCP_HLEN ? NST_DROP_tcp_short
                                                          : len < hlen       ? NST_DROP_tcp_hlen
                                                                             : NST_DROP_NONE);
        assert_drop(nst_tcp_parse(&tcp, cut.p, len, whole.len),
                    len < hlen ? NST_DROP_tcp_short : NST_DROP_NONE);
        hex_free(cut);
    }
    hex_free(whole);
}

/* Bytes that can be read but are not the segment's: of the frame's padding. */
static void test_the_segment_ends_before_the_bytes(void **state)
{
    struct hex whole = hex_bytes(WHOLE);
    struct nst_tcp tcp;
    (void)state;

    assert_drop(nst_tcp_parse(&tcp, whole.p, whole.len, 56), NST_DROP_NONE);
    assert_drop(nst_tcp_parse(&tcp, whole.p, whole.len, 55), NST_DROP_tcp_hlen);
    assert_drop(nst_tcp_parse(&tcp, whole.p, whole.len, 20), NST_DROP_tcp_hlen);
    assert_drop(nst_tcp_parse(&tcp, whole.p, whole.len, 19), NST_DROP_tcp_short);
    assert_drop(nst_tcp_parse(&tcp, whole.p, whole.len, 0), NST_DROP_tcp_short);
    hex_free(whole);
}

static void test_every_data_offset(void **state)
{
    struct hex h = hex_bytes(FIXED("00", "10") "01010101 01010101 01010101 01010101 01010101");
    struct nst_tcp tcp;
    (void)state;

    for (unsigned words = 0; words < 16; words++) {
        h.p[12] = (uint8_t)(words << 4);
        assert_drop(nst_tcp_parse(&tcp, h.p, h.len, h.len),
                    words < 5 || words > 10 ? NST_DROP_tcp_hlen : NST_DROP_NONE);
    }
    hex_free(h);
}

/* ---- Options ----------------------------------------------------------------------------- */

/* Shows MUST-4, MUST-14. */
static void test_parses_every_option(void **state)
{
    struct nst_tcp tcp = parse(WHOLE);
    const struct nst_tcp_opts wanted = {
        .mss = 1460,
        .sack_ok = true,
        .has_ts = true,
        .ts_val = 0x01020304,
        .ts_ecr = 0x05060708,
        .has_wscale = true,
        .wscale = 7,
        .nsacks = 1,
        .sacks = {{{0x11111111}, {0x22222222}}},
    };
    (void)state;

    assert_int_equal(tcp.hlen, 56);
    assert_true(same_options(&tcp.opts, &wanted));
}

static void test_options(void **state)
{
    static const struct {
        const char *name, *header;
        struct nst_tcp_opts opts;
    } rows[] = {
        {"at an odd place (MUST-64)", FIXED("70", "02") "01 020405b4 01 01 00", {.mss = 1460}},
        {"in a segment without SYN (MUST-5)", FIXED("60", "10") "020405b4", {.mss = 1460}},
        {"behind an unknown one (MUST-6)", FIXED("70", "02") "4d04ffff 020405b4", {.mss = 1460}},
        {"behind an unknown one of no value",
         FIXED("70", "02") "fd02 020405b4 0101",
         {.mss = 1460}},
        {"behind the end", FIXED("70", "02") "00 02 020405b4 0000", {0}},
        {"only NOPs", FIXED("60", "02") "01010101", {0}},
        {"four SACK blocks",
         FIXED("e0", "10") "0522 00000001 00000002 00000003 00000004 00000005 00000006 ffffffff "
                           "00000000 0000",
         {.nsacks = 4, .sacks = {{{1}, {2}}, {{3}, {4}}, {{5}, {6}}, {{UINT32_MAX}, {0}}}}},
        {"twice, the later counts", FIXED("70", "02") "020405b4 02040200", {.mss = 512}},
        {"window scale of 255, as found",
         FIXED("60", "02") "0303ff 01",
         {.has_wscale = true, .wscale = 255}},
        {"row 5: MSS cut by the header's end", FIXED("60", "02") "01 020405", {0}},
        {"row 5: MSS of length 3, ignored",
         FIXED("70", "02") "0203ff 0303 09 00 00",
         {.has_wscale = true, .wscale = 9}},
        {"row 5: MSS of length 6, ignored",
         FIXED("70", "02") "0206 05b4 05b4 0402",
         {.sack_ok = true}},
        {"row 20: length 0", FIXED("70", "02") "4d00 020405b4 0101", {0}},
        {"row 20: length 1", FIXED("70", "02") "4d01 020405b4 0101", {0}},
        {"what was read before stands (MUST-7)",
         FIXED("80", "02") "020405b4 0402 4d00 01030307",
         {.mss = 1460, .sack_ok = true}},
        {"row 50: SACK cut", FIXED("70", "10") "050a 11111111 2222", {0}},
        {"row 50: timestamps cut", FIXED("70", "10") "080a 11111111 2222", {0}},
        {"SACK without blocks", FIXED("60", "10") "0502 0101", {0}},
        {"SACK of a block and a half",
         FIXED("90", "10") "050e 1111111122222222 33333333 0101",
         {0}},
        {"row 109, 250, 251: MSS 0 counts as absent", FIXED("60", "02") "02040000", {0}},
        {"row 110: a kind without a length", FIXED("60", "02") "010101 02", {0}},
        {"row 110: length 255", FIXED("60", "02") "02ff 05b4", {0}},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_tcp tcp = parse(rows[i].header);
        if (!same_options(&tcp.opts, &rows[i].opts))
            fail_msg("%s", rows[i].name);
    }
}

/* ---- Both ways --------------------------------------------------------------------------- */

/* Of the options those are written, and read again as they were meant, that may stand in such a
 * segment (MUST-65). */
static void check_emit(struct nst_tcp *tcp)
{
    struct hex out = {malloc(nst_tcp_emit_len(tcp)), nst_tcp_emit_len(tcp)};
    struct nst_tcp again;

    assert_true(out.len >= NST_TCP_HLEN && out.len <= NST_TCP_HLEN_MAX && out.len % 4 == 0);
    memset(out.p, 0x5a, out.len);
    nst_tcp_emit(tcp, out.p);
    assert_int_equal(tcp->hlen, out.len);
    assert_drop(nst_tcp_parse(&again, out.p, out.len, out.len), NST_DROP_NONE);
    assert_int_equal(again.hlen, out.len);

    struct nst_tcp_opts wanted = tcp->opts;
    if (tcp->flags & NST_TCP_SYN) {
        wanted.nsacks = 0;
    } else {
        wanted.mss = 0;
        wanted.sack_ok = wanted.has_wscale = false;
        wanted.wscale = 0;
        wanted.nsacks = (uint8_t)nst_min(wanted.nsacks, wanted.has_ts ? 3 : 4);
    }
    assert_true(same_options(&again.opts, &wanted));
    hex_free(out);
}

/* Every kind and length at every place of the option space, full of what looks like options; the
 * buffer ends with the header. */
static void check_option_at(uint8_t *p, size_t hlen, size_t at, unsigned kind, unsigned len)
{
    static const uint8_t fill[] = {NST_TCP_OPT_NOP, 2, 4, 5, 0xb4, 0xff};
    struct nst_tcp tcp;

    memset(p + NST_TCP_HLEN, NST_TCP_OPT_NOP, at);
    p[NST_TCP_HLEN + at] = (uint8_t)kind;
    for (size_t i = NST_TCP_HLEN + at + 1; i < hlen; i++)
        p[i] = fill[(i + kind) % sizeof fill];
    if (NST_TCP_HLEN + at + 1 < hlen)
        p[NST_TCP_HLEN + at + 1] = (uint8_t)len;
    assert_drop(nst_tcp_parse(&tcp, p, hlen, hlen), NST_DROP_NONE);
    assert_true(tcp.opts.nsacks <= NST_TCP_SACK_MAX);
    check_emit(&tcp);
}

/* Shows MUST-6, MUST-7, MUST-64. */
static void test_every_kind_and_length(void **state)
{
    (void)state;

    for (size_t hlen = NST_TCP_HLEN + 4; hlen <= NST_TCP_HLEN_MAX; hlen += 12) {
        struct hex h = hex_bytes(FIXED("00", "02") "00000000 0000000000000000 0000000000000000 "
                                                   "0000000000000000 00000000 0000000000000000");
        struct hex header = hex_copy(h.p, hlen);
        header.p[12] = (uint8_t)(hlen / 4 << 4);
        for (unsigned kind = 0; kind < 256; kind++) {
            for (unsigned len = 0; len < 256; len++) {
                header.p[13] = len % 2 ? NST_TCP_SYN : NST_TCP_ACK;
                check_option_at(header.p, hlen, 0, kind, len);
                check_option_at(header.p, hlen, (kind + len) % (hlen - NST_TCP_HLEN), kind, len);
            }
        }
        hex_free(h);
        hex_free(header);
    }
}

/* One option by itself: the length is 0, or within what is there. */
static void test_option_parse_every_pair(void **state)
{
    struct nst_tcp_opts opts;
    (void)state;

    for (size_t left = 1; left <= 40; left += left < 12 ? 1 : 7) {
        struct hex h = hex_copy((const uint8_t[40]){0}, left);
        for (unsigned kind = 1; kind < 256; kind++) {
            for (unsigned len = 0; len < 256; len++) {
                opts = (struct nst_tcp_opts){0};
                h.p[0] = (uint8_t)kind;
                if (left > 1)
                    h.p[1] = (uint8_t)len;
                size_t wanted = kind == NST_TCP_OPT_NOP             ? 1
                                : left < 2 || len < 2 || len > left ? 0
                                                                    : len;
                assert_int_equal(nst_tcp_option_parse(&opts, h.p, left), wanted);
                if (wanted == 0)
                    assert_no_options(&opts);
            }
        }
        hex_free(h);
    }
}

#define TS  .has_ts = true, .ts_val = 1, .ts_ecr = 2
#define WS  .has_wscale = true, .wscale = 7
#define S4  .nsacks = 4, .sacks = {{{1}, {2}}, {{3}, {4}}, {{5}, {6}}, {{7}, {8}}}
#define T12 "080a 00000001 00000002 "

/* The order is Linux's; what belongs to a SYN stays there (MUST-65).
 * Shows MUST-68, MUST-69, 2018-3, 7323-2. */
static void test_emits(void **state)
{
    static const struct {
        uint8_t flags;
        struct nst_tcp_opts opts;
        const char *header;
    } rows[] = {
        {NST_TCP_SYN,
         {.mss = 1460, .sack_ok = true, TS, WS},
         FIXED("a0", "02") "020405b4 0402 " T12 "01 030307"},
        {NST_TCP_SYN | NST_TCP_ACK,
         {.mss = 1460, .sack_ok = true, WS},
         FIXED("80", "12") "020405b4 0101 0402 01 030307"},
        {NST_TCP_SYN, {.mss = 1460, WS}, FIXED("70", "02") "020405b4 01 030307"},
        {NST_TCP_SYN, {.mss = 1460, TS}, FIXED("90", "02") "020405b4 0101 " T12},
        {NST_TCP_SYN, {.mss = 1460, TS, WS}, FIXED("a0", "02") "020405b4 0101 " T12 "01 030307"},
        {NST_TCP_SYN, {.mss = 1460, .sack_ok = true}, FIXED("70", "02") "020405b4 0101 0402"},
        {NST_TCP_SYN, {.mss = 65535}, FIXED("60", "02") "0204ffff"},
        {NST_TCP_SYN, {.has_wscale = true}, FIXED("60", "02") "01 030300"},
        {NST_TCP_SYN, {S4}, FIXED("50", "02")},
        {NST_TCP_SYN, {0}, FIXED("50", "02")},
        {NST_TCP_ACK, {0}, FIXED("50", "10")},
        {NST_TCP_ACK, {.mss = 1460, .sack_ok = true, WS}, FIXED("50", "10")},
        {NST_TCP_ACK, {TS}, FIXED("80", "10") "0101 " T12},
        {NST_TCP_ACK | NST_TCP_PSH,
         {TS, .mss = 1460, .sack_ok = true, .nsacks = 1, .sacks = {{{1}, {2}}}},
         FIXED("b0", "18") "0101 " T12 "0101 050a 00000001 00000002"},
        {NST_TCP_ACK,
         {S4},
         FIXED("e0", "10") "0101 0522 00000001 00000002 00000003 00000004 00000005 00000006 "
                           "00000007 00000008"},
        {NST_TCP_ACK,
         {TS, S4},
         FIXED("f0", "10") "0101 " T12 "0101 051a 00000001 00000002 00000003 00000004 00000005 "
                           "00000006"},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_tcp tcp = {.sport = 5000,
                              .dport = 80,
                              .seq = {0xfffffff0},
                              .ack = {7},
                              .flags = rows[i].flags,
                              .wnd = 502,
                              .checksum = 0xabcd,
                              .urg = 9,
                              .opts = rows[i].opts};
        uint8_t p[NST_TCP_HLEN_MAX];
        nst_tcp_emit(&tcp, p);
        assert_hex(p, tcp.hlen, rows[i].header);
        check_emit(&tcp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_the_header),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_the_segment_ends_before_the_bytes),
        cmocka_unit_test(test_every_data_offset),
        cmocka_unit_test(test_parses_every_option),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_every_kind_and_length),
        cmocka_unit_test(test_option_parse_every_pair),
        cmocka_unit_test(test_emits),
    };
    return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
