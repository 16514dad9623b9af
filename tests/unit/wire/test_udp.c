#include "core/wire/udp.h"

#include "core/base/bytes.h"

#include "../hex.h"

#define HEADER "c000 0035 000c 1234"

static void test_parses(void **state)
{
    struct hex h = hex_bytes(HEADER);
    struct nst_udp udp;
    (void)state;

    assert_drop(nst_udp_parse(&udp, h.p, h.len, 12), NST_DROP_NONE);
    assert_int_equal(udp.sport, 49152);
    assert_int_equal(udp.dport, 53);
    assert_int_equal(udp.len, 12);
    assert_int_equal(udp.checksum, 0x1234);
    hex_free(h);
}

static void test_emits(void **state)
{
    struct nst_udp udp = {.sport = 49152, .dport = 53, .len = 12, .checksum = 0x1234};
    uint8_t p[NST_UDP_HLEN];
    (void)state;

    nst_udp_emit(&udp, p);
    assert_hex(p, sizeof p, HEADER);
}

static void test_every_truncation(void **state)
{
    struct hex whole = hex_bytes(HEADER);
    struct nst_udp udp;
    (void)state;

    for (size_t len = 0; len < whole.len; len++) {
        struct hex cut = hex_copy(whole.p, len);
        assert_drop(nst_udp_parse(&udp, cut.p, len, len), NST_DROP_udp_short);
        assert_drop(nst_udp_parse(&udp, cut.p, len, 12), NST_DROP_udp_short);
        hex_free(cut);
    }
    hex_free(whole);
}

static void test_lengths(void **state)
{
    static const struct {
        uint16_t len;
        size_t dgram_len;
        enum nst_drop drop;
    } rows[] = {
        {8, 8, NST_DROP_NONE},
        {8, 9, NST_DROP_NONE}, /* bytes behind are not UDP's */
        {65515, 65515, NST_DROP_NONE},
        {0, 8, NST_DROP_udp_len},
        {7, 8, NST_DROP_udp_len},
        {9, 8, NST_DROP_udp_len},
        {65535, 65515, NST_DROP_udp_len},
        {8, 7, NST_DROP_udp_short},
        {8, 0, NST_DROP_udp_short},
    };
    struct nst_udp udp;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(HEADER);
        nst_store16(h.p + 4, rows[i].len);
        assert_drop(nst_udp_parse(&udp, h.p, h.len, rows[i].dgram_len), rows[i].drop);
        hex_free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses),
        cmocka_unit_test(test_emits),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
