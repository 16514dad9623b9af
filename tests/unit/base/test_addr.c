#include "core/base/addr.h"

#include "core/base/bytes.h"

#include "../unit.h"

static struct nst_addr addr(const char *text)
{
    struct nst_addr a;

    assert_true(nst_addr_parse(&a, text));
    return a;
}

static struct nst_prefix prefix(const char *text)
{
    struct nst_prefix net;

    assert_true(nst_prefix_parse(&net, text));
    return net;
}

/* ---- Text -------------------------------------------------------------------------------- */

static void test_v4_bytes(void **state)
{
    struct nst_addr a = addr("192.0.2.1"), b = nst_addr_v4(192, 0, 2, 1);
    (void)state;

    assert_int_equal(a.family, NST_AF_INET);
    assert_memory_equal(a.bytes, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_true(nst_addr_eq(&a, &b));
}

static void test_v6_bytes(void **state)
{
    struct nst_addr a = addr("2001:db8::ff00:42:8329");
    (void)state;

    assert_int_equal(a.family, NST_AF_INET6);
    assert_memory_equal(a.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\0\xff\x00\x00\x42\x83\x29", 16);
}

/* Read, then written in RFC 5952's form. */
static void test_address_text(void **state)
{
    static const char *const rows[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"10.0.200.9", "10.0.200.9"},
        {"::", "::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"}, /* first of equals */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},                          /* longest */
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},                 /* one is no run */
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:0:0:0", "1:2:3:4:5::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::192.0.2.1", "::c000:201"},
        {"1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"::ffff:c000:0201", "::ffff:192.0.2.1"},
        {"::ffff:255.255.255.255", "::ffff:255.255.255.255"},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        char buf[NST_ADDR_TEXT];
        struct nst_addr a = addr(rows[i][0]);
        assert_string_equal(nst_addr_print(buf, &a), rows[i][1]);
        struct nst_addr again = addr(buf);
        assert_true(nst_addr_eq(&a, &again));
    }
}

static void test_no_address(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        ".1.2.3.4",
        "1..2.3",
        "256.1.1.1",
        "1.2.3.4294967297",
        "1.2.3.99999999999999999999",
        "01.2.3.4",
        "1.2.3.00",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.-4",
        "1.2.3.0x4",
        "1.2.3.a",
        "1.2.3.4/8",
        "localhost",
        ":",
        ":::",
        "1:",
        ":1",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "12345::",
        "::00001",
        "g::",
        "::1:",
        "1:::2",
        "1::2:",
        "::1.2.3",
        "::1.2.3.256",

        "1.2.3.4::",
        "1:1.2.3.4::",
        "::1.2.3.4::",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:1.2.3.4",
        "::1%eth0",
        "[::1]",
        "::1 ",
    };
    const struct nst_addr before = nst_addr_v4(1, 2, 3, 4);
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_addr a = before;
        if (nst_addr_parse(&a, rows[i]))
            fail_msg("read as an address: '%s'", rows[i]);
        assert_true(nst_addr_eq(&a, &before));
    }
}

static void test_unspecified_text(void **state)
{
    char buf[NST_ADDR_TEXT];
    struct nst_addr none = {0};
    (void)state;

    assert_string_equal(nst_addr_print(buf, &none), "-");
}

static void test_prefix_text(void **state)
{
    static const char *const rows[] = {
        "0.0.0.0/0",
        "10.0.0.1/24",
        "10.0.0.1/32",
        "::/0",
        "2001:db8::1/64",
        "fe80::/128",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
    };
    char buf[NST_PREFIX_TEXT];
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_prefix net = prefix(rows[i]);
        assert_string_equal(nst_prefix_print(buf, &net), rows[i]);
    }
}

static void test_no_prefix(void **state)
{
    static const char *const rows[] = {
        "",
        "/",
        "/8",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.0/8 ",
        "10.0.0.0 /8",
        "10.0.0.0/256",
        "10.0.0.0/4294967304",
        "10.0.0.0/255.0.0.0",
        "::/129",
        "::/",
        "1::2::3/64",
    };
    const struct nst_prefix before = prefix("1.2.3.4/5");
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_prefix net = before;
        if (nst_prefix_parse(&net, rows[i]))
            fail_msg("read as a prefix: '%s'", rows[i]);
        assert_memory_equal(&net, &before, sizeof net);
    }
}

static void test_mac_text(void **state)
{
    char buf[NST_MAC_TEXT];
    struct nst_mac mac;
    (void)state;

    assert_true(nst_mac_parse(&mac, "02:00:5E:0f:a0:ff"));
    assert_memory_equal(mac.bytes, "\x02\x00\x5e\x0f\xa0\xff", 6);
    assert_string_equal(nst_mac_print(buf, &mac), "02:00:5e:0f:a0:ff");
}

static void test_no_mac(void **state)
{
    static const char *const rows[] = {
        "",
        "02",
        "02:00:00:00:00",
        "02:00:00:00:00:00:00",
        "02:00:00:00:00:0",
        "2:0:0:0:0:0",
        "02-00-00-00-00-00",
        "02:00:00:00:00:0g",
        "02:00:00:00:00:00 ",
        "020000000000",
        "02:00:00:00:00:",
        ":02:00:00:00:00",
    };
    const struct nst_mac before = {{1, 2, 3, 4, 5, 6}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_mac mac = before;
        if (nst_mac_parse(&mac, rows[i]))
            fail_msg("read as a MAC address: '%s'", rows[i]);
        assert_true(nst_mac_eq(&mac, &before));
    }
}

/* ---- Classes ----------------------------------------------------------------------------- */

/* Each address with the classes that it is in: Any, Multicast, Loopback, Broadcast, Host. */
static void test_classes(void **state)
{
    static const char *const rows[][2] = {
        {"0.0.0.0", "A"},
        {"0.0.0.1", ""},
        {"0.255.255.255", ""},
        {"1.0.0.0", "H"},
        {"10.0.0.255", "H"},
        {"126.255.255.255", "H"},
        {"127.0.0.0", "L"},
        {"127.255.255.255", "L"},
        {"128.0.0.0", "H"},
        {"169.254.1.1", "H"},
        {"223.255.255.255", "H"},
        {"224.0.0.0", "M"},
        {"239.255.255.255", "M"},
        {"240.0.0.0", ""},
        {"255.255.255.254", ""},
        {"255.255.255.255", "B"},
        {"::", "A"},
        {"::1", "L"},
        {"::2", "H"},
        {"2001:db8::1", "H"},
        {"fe80::1", "H"},
        {"feff::", "H"},
        {"ff00::", "M"},
        {"ff02::1", "M"},
        {"::ffff:10.0.0.1", ""},
        {"::127.0.0.1", "H"},
        {"ffff:ffff:ffff::", "M"},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_addr a = addr(rows[i][0]);
        char classes[6] = "", *s = classes;
        if (nst_addr_is_any(&a))
            *s++ = 'A';
        if (nst_addr_is_multicast(&a))
            *s++ = 'M';
        if (nst_addr_is_loopback(&a))
            *s++ = 'L';
        if (nst_addr_is_limited_broadcast(&a))
            *s++ = 'B';
        if (nst_addr_is_host(&a))
            *s++ = 'H';
        if (strcmp(classes, rows[i][1]) != 0)
            fail_msg("%s is '%s', not '%s'", rows[i][0], classes, rows[i][1]);
    }
}

static void test_unspecified_is_in_no_class(void **state)
{
    const struct nst_addr none = {0};
    (void)state;

    assert_false(nst_addr_is_set(&none));
    assert_false(nst_addr_is_any(&none));
    assert_false(nst_addr_is_multicast(&none));
    assert_false(nst_addr_is_loopback(&none));
    assert_false(nst_addr_is_limited_broadcast(&none));
    assert_false(nst_addr_is_host(&none));
}

static void test_subnet_broadcast(void **state)
{
    static const struct {
        const char *addr, *net;
        bool broadcast;
    } rows[] = {
        {"10.0.0.255", "10.0.0.2/24", true},    {"10.0.0.0", "10.0.0.2/24", true},
        {"10.0.0.254", "10.0.0.2/24", false},   {"10.0.0.1", "10.0.0.2/24", false},
        {"10.0.1.255", "10.0.0.2/24", false},   {"10.0.255.255", "10.0.0.2/16", true},
        {"10.0.0.3", "10.0.0.2/30", true},      {"10.0.0.0", "10.0.0.2/30", true},
        {"10.0.0.2", "10.0.0.2/30", false},     {"10.0.0.3", "10.0.0.2/31", false},
        {"10.0.0.2", "10.0.0.2/31", false},     {"10.0.0.2", "10.0.0.2/32", false},
        {"255.255.255.255", "0.0.0.0/0", true}, {"0.0.0.0", "0.0.0.0/0", true},
        {"ff02::1", "10.0.0.2/24", false},      {"ff02::1", "ff02::/16", false},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_addr a = addr(rows[i].addr);
        struct nst_prefix net = prefix(rows[i].net);
        if (nst_addr_is_subnet_broadcast(&a, &net) != rows[i].broadcast)
            fail_msg("%s in %s", rows[i].addr, rows[i].net);
    }
}

/* A prefix of each length looks at exactly that many bits. */
static void check_prefix_bits(const char *text)
{
    struct nst_prefix net = {.addr = addr(text)};
    unsigned bits = nst_addr_bits(net.addr.family);

    for (unsigned len = 0; len <= bits; len++) {
        net.len = (uint8_t)len;
        for (unsigned bit = 0; bit < bits; bit++) {
            struct nst_addr other = net.addr;
            other.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            assert_int_equal(nst_prefix_has(&net, &other), bit >= len);
        }
        assert_true(nst_prefix_has(&net, &net.addr));
    }
}

static void test_prefix_has(void **state)
{
    const struct nst_prefix v4 = prefix("0.0.0.0/0"), v6 = prefix("::/0");
    struct nst_prefix too_long = {.addr = addr("10.0.0.1"), .len = 33};
    struct nst_addr a4 = addr("10.0.0.1"), a6 = addr("::1");
    (void)state;

    check_prefix_bits("10.165.0.255");
    check_prefix_bits("2001:db8:a5a5::ff");
    assert_true(nst_prefix_has(&v4, &a4) && nst_prefix_has(&v6, &a6));
    assert_false(nst_prefix_has(&v4, &a6) || nst_prefix_has(&v6, &a4));
    assert_false(nst_prefix_has(&too_long, &a4));
}

static void test_prefix_network(void **state)
{
    static const char *const rows[][2] = {
        {"255.255.255.255/0", "0.0.0.0/0"},
        {"255.255.255.255/1", "128.0.0.0/1"},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.255/25", "10.1.2.128/25"},
        {"10.1.2.3/31", "10.1.2.2/31"},
        {"10.1.2.3/32", "10.1.2.3/32"},
        {"2001:db8::ffff/127", "2001:db8::fffe/127"},
        {"2001:db8::ffff/128", "2001:db8::ffff/128"},
        {"ffff::1/0", "::/0"},
        {"2001:db8:ff::1/41", "2001:db8:80::/41"},
    };
    char buf[NST_PREFIX_TEXT];
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_prefix net = prefix(rows[i][0]);
        net = nst_prefix_network(&net);
        assert_string_equal(nst_prefix_print(buf, &net), rows[i][1]);
    }
}

static void test_mac_classes(void **state)
{
    const struct nst_mac zero = {{0}}, group = {{1, 0, 0x5e, 0, 0, 1}}, one = {{2, 0, 0, 0, 0, 1}};
    (void)state;

    assert_true(nst_mac_is_zero(&zero) && !nst_mac_is_zero(&one));
    assert_true(nst_mac_is_group(&group) && !nst_mac_is_group(&one));
    assert_true(nst_mac_is_group(&nst_mac_broadcast) && nst_mac_is_broadcast(&nst_mac_broadcast));
    assert_false(nst_mac_is_broadcast(&group));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v4_bytes),
        cmocka_unit_test(test_v6_bytes),
        cmocka_unit_test(test_address_text),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_unspecified_text),
        cmocka_unit_test(test_prefix_text),
        cmocka_unit_test(test_no_prefix),
        cmocka_unit_test(test_mac_text),
        cmocka_unit_test(test_no_mac),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_unspecified_is_in_no_class),
        cmocka_unit_test(test_subnet_broadcast),
        cmocka_unit_test(test_prefix_has),
        cmocka_unit_test(test_prefix_network),
        cmocka_unit_test(test_mac_classes),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
