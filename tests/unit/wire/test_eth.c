#include "core/wire/eth.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../hex.h"

#define MACS "020000000002 020000000001 "
#define SNAP "aaaa03 000000 "

static const struct nst_mac US = {{2, 0, 0, 0, 0, 2}}, PEER = {{2, 0, 0, 0, 0, 1}};

/* Shows 1122-7. */
static void test_parses_ethernet_ii(void **state)
{
    struct hex h = hex_bytes(MACS "0800 45");
    struct nst_eth eth;
    (void)state;

    assert_drop(nst_eth_parse(&eth, h.p, h.len, h.len), NST_DROP_NONE);
    assert_true(nst_mac_eq(&eth.dst, &US) && nst_mac_eq(&eth.src, &PEER));
    assert_int_equal(eth.type, NST_ETHERTYPE_IPV4);
    assert_int_equal(eth.hlen, 14);
    assert_int_equal(eth.payload_len, 0);
    hex_free(h);
}

/* Shows 1122-7, 1122-11, 1122-35. */
static void test_emits(void **state)
{
    struct nst_eth eth = {.dst = US, .src = PEER, .type = NST_ETHERTYPE_ARP};
    uint8_t p[NST_ETH_HLEN];
    (void)state;

    nst_eth_emit(&eth, p);
    assert_hex(p, sizeof p, MACS "0806");
}

/* Two bytes of payload behind SNAP, then padding. Shows 1122-8. */
static void test_parses_snap(void **state)
{
    struct hex h = hex_bytes(MACS "000a " SNAP "0806 0102 0000");
    struct nst_eth eth;
    (void)state;

    assert_drop(nst_eth_parse(&eth, h.p, h.len, h.len), NST_DROP_NONE);
    assert_true(nst_mac_eq(&eth.dst, &US) && nst_mac_eq(&eth.src, &PEER));
    assert_int_equal(eth.type, NST_ETHERTYPE_ARP);
    assert_int_equal(eth.hlen, 22);
    assert_int_equal(eth.payload_len, 2);
    hex_free(h);
}

static void test_longest_802_3_length(void **state)
{
    struct hex h = hex_bytes(MACS "05dc " SNAP "0800");
    struct nst_eth eth;
    (void)state;

    assert_drop(nst_eth_parse(&eth, h.p, h.len, 1514), NST_DROP_NONE);
    assert_int_equal(eth.payload_len, 1492);
    assert_drop(nst_eth_parse(&eth, h.p, h.len, 1513), NST_DROP_runt);
    hex_free(h);
}

static void test_every_truncation_is_a_runt(void **state)
{
    static const char *const frames[] = {MACS "0800", MACS "0009 " SNAP "0800 45"};
    struct nst_eth eth;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(frames); i++) {
        struct hex whole = hex_bytes(frames[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct hex cut = hex_copy(whole.p, len);
            assert_drop(nst_eth_parse(&eth, cut.p, len, len), NST_DROP_runt);
            hex_free(cut);
        }
        assert_drop(nst_eth_parse(&eth, whole.p, whole.len, whole.len), NST_DROP_NONE);
        hex_free(whole);
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *what, *frame;
        enum nst_drop drop;
    } rows[] = {
        {"neither length nor type", MACS "05dd 0000", NST_DROP_ethertype},
        {"the highest such", MACS "05ff 0000", NST_DROP_ethertype},
        {"the lowest type", MACS "0600 0000", NST_DROP_NONE},
        {"802.3 length beyond the frame", MACS "0009 " SNAP "0800", NST_DROP_runt},
        {"802.3 without LLC", MACS "0000", NST_DROP_ethertype},
        {"spanning tree", MACS "0007 424203 0000 0000", NST_DROP_ethertype},
        {"LLC without SNAP", MACS "0009 424203 0000 0000 0000", NST_DROP_ethertype},
        {"SNAP of another organisation", MACS "0009 aaaa03 00000c 0800 45", NST_DROP_ethertype},
        {"SNAP with a length for a type", MACS "0009 " SNAP "05dc 45", NST_DROP_ethertype},
        {"SNAP around nothing", MACS "0008 " SNAP "0800 0000", NST_DROP_runt},
    };
    struct nst_eth eth;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(rows[i].frame);
        enum nst_drop drop = nst_eth_parse(&eth, h.p, h.len, h.len);
        if (drop != rows[i].drop)
            fail_msg("%s: %s", rows[i].what, hex_drop(drop));
        hex_free(h);
    }
}

/* What is of no known type can still be shown to people. */
static void test_refused_frames_name_their_stations(void **state)
{
    struct hex h = hex_bytes(MACS "0007 424203 0000 0000");
    struct nst_eth eth;
    (void)state;

    assert_drop(nst_eth_parse(&eth, h.p, h.len, h.len), NST_DROP_ethertype);
    assert_true(nst_mac_eq(&eth.dst, &US) && nst_mac_eq(&eth.src, &PEER));
    assert_int_equal(eth.type, 7);
    hex_free(h);
}

static void test_multicast(void **state)
{
    static const char *const rows[][2] = {
        {"224.0.0.1", "01:00:5e:00:00:01"},
        {"239.255.255.250", "01:00:5e:7f:ff:fa"},
        {"224.129.2.3", "01:00:5e:01:02:03"}, /* the ninth bit from the left is lost */
        {"ff02::1:ff12:3456", "33:33:ff:12:34:56"},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_addr group;
        char buf[NST_MAC_TEXT];
        assert_true(nst_addr_parse(&group, rows[i][0]));
        struct nst_mac mac = nst_eth_multicast(&group);
        assert_string_equal(nst_mac_print(buf, &mac), rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_ethernet_ii),
        cmocka_unit_test(test_emits),
        cmocka_unit_test(test_parses_snap),
        cmocka_unit_test(test_longest_802_3_length),
        cmocka_unit_test(test_every_truncation_is_a_runt),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refused_frames_name_their_stations),
        cmocka_unit_test(test_multicast),
    };
    return cmocka_run_group_tests_name("eth", tests, NULL, NULL);
}
