/* The checksum against the examples of its RFCs and against a model that adds byte by byte. */
#include "core/wire/checksum.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../hex.h"

#define LEN_MAX 2100

/* RFC 1071 §1, word by word. */
static uint16_t model(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* Bytes without a pattern that any word size shares. */
static void scramble(uint8_t *p, size_t len)
{
    uint32_t x = 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (uint8_t)(x >> 24);
    }
}

static void test_rfc1071_example(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    (void)state;

    assert_int_equal(nst_csum_sum(bytes, sizeof bytes), 0xddf2);
    assert_int_equal(nst_csum_finish(0xddf2), 0x220d);
    /* "the checksum of the whole is the sum of its parts" */
    assert_int_equal(nst_csum_join(nst_csum_sum(bytes, 4), nst_csum_sum(bytes + 4, 4), 4), 0xddf2);
}

static void test_small_sums(void **state)
{
    static const struct {
        const char *bytes;
        uint16_t sum;
    } rows[] = {
        {"", 0},
        {"00", 0},
        {"0000 0000", 0},
        {"01", 0x0100},
        {"0102 03", 0x0402},
        {"ffff", 0xffff},
        {"ffff ffff", 0xffff}, /* never 0 but for zeros alone */
        {"ffff 0001", 0x0001},
        {"8000 8000", 0x0001},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct hex h = hex_bytes(rows[i].bytes);
        assert_int_equal(nst_csum_sum(h.p, h.len), rows[i].sum);
        hex_free(h);
    }
}

static void test_every_length_and_alignment(void **state)
{
    uint8_t bytes[LEN_MAX];
    (void)state;

    scramble(bytes, sizeof bytes);
    for (size_t align = 0; align < 8; align++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            uint8_t *room = malloc(align + len); /* ends where the data ends */
            assert_true(room != NULL || align + len == 0);
            if (len > 0)
                memcpy(room + align, bytes, len);
            if (nst_csum_sum(room + align, len) != model(bytes, len))
                fail_msg("%zu bytes, %zu off alignment", len, align);
            free(room);
        }
    }
}

/* Every addition carries. */
static void test_all_ones(void **state)
{
    static uint8_t ones[70000];
    (void)state;

    memset(ones, 0xff, sizeof ones);
    for (size_t len = 1; len <= LEN_MAX; len++)
        assert_int_equal(nst_csum_sum(ones, len), len % 2 ? model(ones, len) : 0xffff);
    assert_int_equal(nst_csum_sum(ones, 65535), model(ones, 65535));
    assert_int_equal(nst_csum_sum(ones, sizeof ones), 0xffff);
}

/* Words of all ones carry most. */
static void test_headers(void **state)
{
    uint8_t bytes[60];
    (void)state;

    for (unsigned round = 0; round < 2; round++) {
        for (size_t words = 0; words <= sizeof bytes / 4; words++) {
            if (round == 0)
                scramble(bytes, sizeof bytes);
            else
                memset(bytes, 0xff, sizeof bytes);
            assert_int_equal(nst_csum_header(bytes, words), model(bytes, 4 * words));
        }
    }
}

static void test_join_at_every_offset(void **state)
{
    uint8_t bytes[67];
    (void)state;

    scramble(bytes, sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len++)
        for (size_t cut = 0; cut <= len; cut++)
            assert_int_equal(
                nst_csum_join(nst_csum_sum(bytes, cut), nst_csum_sum(bytes + cut, len - cut), cut),
                model(bytes, len));
}

/* Shows MUST-2, 1122-175. */
static void test_pseudo_header_v4(void **state)
{
    static const uint8_t pseudo[] = {10, 0, 0, 1, 192, 0, 2, 255, 0, 17, 0xff, 0xe3};
    struct nst_addr src = nst_addr_v4(10, 0, 0, 1), dst = nst_addr_v4(192, 0, 2, 255);
    (void)state;

    assert_int_equal(nst_csum_pseudo(&src, &dst, 17, 0xffe3), model(pseudo, sizeof pseudo));
}

static void test_pseudo_header_v6(void **state)
{
    static const uint8_t pseudo[40] = {
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0,    1,    /* source */
        0xff, 0x02, 0,    0,    0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0xab, 0xcd, /* destination */
        0x00, 0x01, 0x23, 0x45, 0, 0, 0, 58,
    };
    struct nst_addr src, dst;
    (void)state;

    assert_true(nst_addr_parse(&src, "2001:db8::1") && nst_addr_parse(&dst, "ff02::abcd"));
    assert_int_equal(nst_csum_pseudo(&src, &dst, 58, 0x12345), model(pseudo, sizeof pseudo));
}

/* RFC 1624 §4 has this one, where the older equation gives 0xffff. */
static void test_rfc1624_example(void **state)
{
    (void)state;

    assert_int_equal(nst_csum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void test_update_equals_a_new_sum(void **state)
{
    uint8_t bytes[20];
    (void)state;

    scramble(bytes, sizeof bytes);
    for (uint32_t word = 0; word <= UINT16_MAX; word++) {
        uint16_t check = nst_csum_finish(nst_csum_sum(bytes, sizeof bytes));
        uint16_t old = nst_load16(bytes + 8);
        nst_store16(bytes + 8, (uint16_t)word);
        assert_int_equal(nst_csum_update(check, old, (uint16_t)word),
                         nst_csum_finish(nst_csum_sum(bytes, sizeof bytes)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc1071_example),
        cmocka_unit_test(test_small_sums),
        cmocka_unit_test(test_every_length_and_alignment),
        cmocka_unit_test(test_all_ones),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_join_at_every_offset),
        cmocka_unit_test(test_pseudo_header_v4),
        cmocka_unit_test(test_pseudo_header_v6),
        cmocka_unit_test(test_rfc1624_example),
        cmocka_unit_test(test_update_equals_a_new_sum),
    };
    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
