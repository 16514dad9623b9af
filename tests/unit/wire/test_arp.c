#include "core/wire/arp.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../hex.h"

#define REQUEST "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002"
#define REPLY   "0001 0800 06 04 0002 020000000002 0a000002 020000000001 0a000001"

static void test_parses_request(void **state)
{
    struct hex h = hex_bytes(REQUEST);
    struct nst_addr spa = nst_addr_v4(10, 0, 0, 1), tpa = nst_addr_v4(10, 0, 0, 2);
    struct nst_arp arp;
    (void)state;

    assert_drop(nst_arp_parse(&arp, h.p, h.len), NST_DROP_NONE);
    assert_int_equal(arp.op, NST_ARP_REQUEST);
    assert_memory_equal(arp.sha.bytes, "\2\0\0\0\0\1", 6);
    assert_memory_equal(arp.tha.bytes, "\0\0\0\0\0\0", 6);
    assert_true(nst_addr_eq(&arp.spa, &spa) && nst_addr_eq(&arp.tpa, &tpa));
    hex_free(h);
}

static void test_emits_reply(void **state)
{
    struct nst_arp arp = {
        .op = NST_ARP_REPLY,
        .sha = {{2, 0, 0, 0, 0, 2}},
        .tha = {{2, 0, 0, 0, 0, 1}},
        .spa = nst_addr_v4(10, 0, 0, 2),
        .tpa = nst_addr_v4(10, 0, 0, 1),
    };
    uint8_t p[NST_ARP_LEN];
    (void)state;

    nst_arp_emit(&arp, p);
    assert_hex(p, sizeof p, REPLY);
}

static void test_there_and_back(void **state)
{
    static const char *const rows[] = {REQUEST, REPLY};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(rows[i]);
        struct nst_arp arp;
        uint8_t p[NST_ARP_LEN];
        assert_drop(nst_arp_parse(&arp, h.p, h.len), NST_DROP_NONE);
        nst_arp_emit(&arp, p);
        assert_hex(p, sizeof p, rows[i]);
        hex_free(h);
    }
}

static void test_padding_is_ignored(void **state)
{
    struct hex h = hex_bytes(REQUEST "ffff ffff ffff ffff ffff ffff ffff ffff ffff");
    struct nst_arp arp;
    (void)state;

    assert_drop(nst_arp_parse(&arp, h.p, h.len), NST_DROP_NONE);
    hex_free(h);
}

static void test_every_truncation(void **state)
{
    struct hex whole = hex_bytes(REQUEST);
    struct nst_arp arp;
    (void)state;

    for (size_t len = 0; len < whole.len; len++) {
        struct hex cut = hex_copy(whole.p, len);
        assert_drop(nst_arp_parse(&arp, cut.p, len), NST_DROP_arp);
        hex_free(cut);
    }
    hex_free(whole);
}

static void test_refuses(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        uint8_t value;
    } rows[] = {
        {"IEEE 802 hardware", 1, 6},     {"hardware type 257", 0, 1}, {"protocol 0x0801", 3, 1},
        {"protocol IPv6", 2, 0x86},      {"hardware length 0", 4, 0}, {"hardware length 5", 4, 5},
        {"hardware length 255", 4, 255}, {"protocol length 0", 5, 0}, {"protocol length 16", 5, 16},
        {"protocol length 255", 5, 255}, {"operation 0", 7, 0},       {"RARP request", 7, 3},
        {"operation 257", 6, 1},
    };
    struct nst_arp arp;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(REQUEST);
        h.p[rows[i].at] = rows[i].value;
        if (nst_arp_parse(&arp, h.p, h.len) != NST_DROP_arp)
            fail_msg("accepted: %s", rows[i].what);
        hex_free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_request),   cmocka_unit_test(test_emits_reply),
        cmocka_unit_test(test_there_and_back),   cmocka_unit_test(test_padding_is_ignored),
        cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests_name("arp", tests, NULL, NULL);
}
