#include "core/wire/icmpv4.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../hex.h"

/* One message of each shape that the four bytes behind the checksum can have. */
#define ECHO       "08 00 f7fd 0007 0001"
#define ECHO_REPLY "00 00 fff7 0007 0001"
#define NEEDED     "03 04 f71f 0000 05dc"
#define TIME       "0b 00 f4ff 0000 0000"
#define PARAMETER  "0c 00 deff 1500 0000"
#define REDIRECT   "05 01 f100 0a0000fe"

static struct nst_icmpv4 parse(const char *text)
{
    struct hex h = hex_bytes(text);
    struct nst_icmpv4 icmp;

    assert_drop(nst_icmpv4_parse(&icmp, h.p, h.len), NST_DROP_NONE);
    hex_free(h);
    return icmp;
}

static void test_parses_echo(void **state)
{
    struct nst_icmpv4 icmp = parse(ECHO);
    (void)state;

    assert_int_equal(icmp.type, NST_ICMPV4_ECHO);
    assert_int_equal(icmp.code, 0);
    assert_int_equal(icmp.checksum, 0xf7fd);
    assert_int_equal(icmp.echo.id, 7);
    assert_int_equal(icmp.echo.seq, 1);
}

static void test_parses_errors(void **state)
{
    struct nst_addr gateway = nst_addr_v4(10, 0, 0, 254);
    struct nst_icmpv4 redirect = parse(REDIRECT);
    (void)state;

    assert_int_equal(parse(NEEDED).code, NST_ICMPV4_FRAG_NEEDED);
    assert_int_equal(parse(NEEDED).mtu, 1500);
    assert_int_equal(parse(PARAMETER).pointer, 21);
    assert_int_equal(redirect.code, 1);
    assert_true(nst_addr_eq(&redirect.gateway, &gateway));
}

static void test_emits(void **state)
{
    static const struct {
        struct nst_icmpv4 icmp;
        const char *bytes;
    } rows[] = {
        {{.type = NST_ICMPV4_ECHO, .checksum = 0xf7fd, .echo = {7, 1}}, ECHO},
        {{.type = NST_ICMPV4_ECHO_REPLY, .checksum = 0xfff7, .echo = {7, 1}}, ECHO_REPLY},
        {{.type = NST_ICMPV4_UNREACHABLE, .code = 4, .checksum = 0xf71f, .mtu = 1500}, NEEDED},
        {{.type = NST_ICMPV4_TIME_EXCEEDED, .checksum = 0xf4ff}, TIME},
        {{.type = NST_ICMPV4_PARAMETER, .checksum = 0xdeff, .pointer = 21}, PARAMETER},
        {{.type = NST_ICMPV4_REDIRECT,
          .code = 1,
          .checksum = 0xf100,
          .gateway = {NST_AF_INET, {10, 0, 0, 254}}},
         REDIRECT},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        uint8_t p[NST_ICMPV4_HLEN];
        memset(p, 0xaa, sizeof p);
        nst_icmpv4_emit(&rows[i].icmp, p);
        assert_hex(p, sizeof p, rows[i].bytes);
    }
}

static void test_there_and_back(void **state)
{
    static const char *const rows[] = {ECHO,
                                       ECHO_REPLY,
                                       NEEDED,
                                       TIME,
                                       PARAMETER,
                                       REDIRECT,
                                       "0d 00 1111 2222 3333",
                                       "2a 01 ffff 8765 4321"};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_icmpv4 icmp = parse(rows[i]);
        uint8_t p[NST_ICMPV4_HLEN];
        nst_icmpv4_emit(&icmp, p);
        assert_hex(p, sizeof p, rows[i]);
    }
}

static void test_every_truncation(void **state)
{
    static const char *const rows[] = {ECHO, NEEDED, PARAMETER, REDIRECT};
    struct nst_icmpv4 icmp;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex whole = hex_bytes(rows[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct hex cut = hex_copy(whole.p, len);
            assert_drop(nst_icmpv4_parse(&icmp, cut.p, len), NST_DROP_icmp_short);
            hex_free(cut);
        }
        hex_free(whole);
    }
}

static void test_errors_and_others(void **state)
{
    static const uint8_t harmless[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43};
    (void)state;

    for (unsigned type = 0; type <= UINT8_MAX; type++)
        assert_int_equal(nst_icmpv4_is_error((uint8_t)type),
                         memchr(harmless, (int)type, sizeof harmless) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_echo),
        cmocka_unit_test(test_parses_errors),
        cmocka_unit_test(test_emits),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_errors_and_others),
    };
    return cmocka_run_group_tests_name("icmpv4", tests, NULL, NULL);
}
