#include "core/wire/igmp.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

static struct nst_igmp_msg parse(const char *text)
{
    struct hex h = hex_bytes(text);
    struct nst_igmp_msg msg;

    assert_drop(nst_igmp_parse(&msg, h.p, h.len, h.len), NST_DROP_NONE);
    hex_free(h);
    return msg;
}

static void assert_addr(const struct nst_addr *addr, const char *text)
{
    struct nst_addr want = test_addr(text);

    assert_true(nst_addr_eq(addr, &want));
}

static void test_v1_query(void **state)
{
    struct nst_igmp_msg msg = parse("11 00 eeff 00000000");

    (void)state;
    assert_int_equal(msg.type, NST_IGMP_QUERY);
    assert_int_equal(msg.version, 1);
    assert_int_equal(msg.max_resp_ms, 10000);
    assert_addr(&msg.group, "0.0.0.0");
}

static void test_v2_query(void **state)
{
    struct nst_igmp_msg msg = parse("11 ff 0000 ef010203");

    (void)state;
    assert_int_equal(msg.version, 2);
    assert_int_equal(msg.max_resp_ms, 25500); /* no exponent here */
    assert_addr(&msg.group, "239.1.2.3");
    assert_int_equal(msg.nsources, 0);
}

static void test_v3_query(void **state)
{
    struct nst_igmp_msg msg = parse("11 64 0000 e8010203 0a 7d 0002 c0000207 c0000208");

    (void)state;
    assert_int_equal(msg.version, 3);
    assert_int_equal(msg.max_resp_ms, 10000);
    assert_int_equal(msg.robustness, 2); /* and the S flag */
    assert_int_equal(msg.interval_s, 125);
    assert_int_equal(msg.nsources, 2);
    assert_addr(&msg.group, "232.1.2.3");
}

/* RFC 3376 §4.1.1 and §4.1.7: (mant | 0x10) << (exp + 3). */
static void test_v3_floating_codes(void **state)
{
    static const struct {
        const char *text;
        uint32_t max_resp_ms, interval_s;
    } rows[] = {
        {"11 00 0000 00000000 00 00 0000", 0, 0},
        {"11 7f 0000 00000000 00 7f 0000", 12700, 127},
        {"11 80 0000 00000000 00 80 0000", 12800, 128},
        {"11 8f 0000 00000000 00 9f 0000", 24800, 496},
        {"11 ff 0000 00000000 00 ff 0000", 3174400, 31744},
    };

    (void)state;
    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_igmp_msg msg = parse(rows[i].text);
        assert_int_equal(msg.max_resp_ms, rows[i].max_resp_ms);
        assert_int_equal(msg.interval_s, rows[i].interval_s);
    }
}

/* Bytes behind a query's sources, and behind other messages, are for later versions (§4.1.10). */
static void test_bytes_behind(void **state)
{
    struct nst_igmp_msg msg = parse("11 64 0000 00000000 02 7d 0000 dead");

    (void)state;
    assert_int_equal(msg.version, 3);
    msg = parse("16 00 0000 ef010203 dead");
    assert_int_equal(msg.type, NST_IGMP_V2_REPORT);
    assert_addr(&msg.group, "239.1.2.3");
}

/* Every length of a query with two sources: only 8, which is version 2, and the whole are right. */
static void test_truncated(void **state)
{
    struct hex h = hex_bytes("11 64 0000 e8010203 02 7d 0002 c0000207 c0000208");
    struct nst_igmp_msg msg;

    (void)state;
    for (size_t n = 0; n <= h.len; n++) {
        struct hex cut = hex_copy(h.p, n);
        assert_drop(nst_igmp_parse(&msg, cut.p, n, n),
                    n == 8 || n == 20 ? NST_DROP_NONE : NST_DROP_igmp_short);
        hex_free(cut);
    }
    /* What is readable may be less than what is there, but not of the header. */
    assert_drop(nst_igmp_parse(&msg, h.p, 12, 20), NST_DROP_NONE);
    assert_drop(nst_igmp_parse(&msg, h.p, 11, 20), NST_DROP_igmp_short);
    hex_free(h);
}

static void test_emit(void **state)
{
    struct nst_addr group = test_addr("239.1.2.3");
    uint8_t p[NST_IGMP_HLEN];

    (void)state;
    nst_igmp_emit(NST_IGMP_V2_REPORT, &group, p);
    assert_hex(p, sizeof p, "16 00 f8fa ef010203");
    nst_igmp_emit(NST_IGMP_LEAVE, &group, p);
    assert_hex(p, sizeof p, "17 00 f7fa ef010203");
}

static void test_emit_report(void **state)
{
    struct nst_addr any = test_addr("239.1.2.3"), one = test_addr("232.1.2.3");
    struct nst_addr sources[2] = {test_addr("192.0.2.7"), test_addr("192.0.2.8")};
    size_t len = NST_IGMP_HLEN;
    uint8_t p[32];

    (void)state;
    memset(p, 0xee, sizeof p);
    len += nst_igmp_emit_record(NST_IGMP_TO_EX, &any, NULL, 0, p + len);
    len += nst_igmp_emit_record(NST_IGMP_ALLOW, &one, sources, 2, p + len);
    nst_igmp_emit_report(2, p, len);
    assert_hex(p, len,
               "22 00 75e1 0000 0002"
               "04 00 0000 ef010203"
               "05 00 0002 e8010203 c0000207 c0000208");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1_query),     cmocka_unit_test(test_v2_query),
        cmocka_unit_test(test_v3_query),     cmocka_unit_test(test_v3_floating_codes),
        cmocka_unit_test(test_bytes_behind), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_emit),         cmocka_unit_test(test_emit_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
