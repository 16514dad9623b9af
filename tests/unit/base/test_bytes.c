/* Integers in byte buffers, at every alignment. */
#include "core/base/bytes.h"

#include "../unit.h"

static void test_network_order(void **state)
{
    uint8_t buf[16];
    (void)state;

    for (size_t at = 0; at < 8; at++) {
        uint8_t *p = buf + at;
        memset(buf, 0xaa, sizeof buf);
        nst_store16(p, 0x8001);
        assert_memory_equal(p, ((const uint8_t[]){0x80, 0x01, 0xaa}), 3);
        assert_int_equal(nst_load16(p), 0x8001);
        nst_store32(p, 0xfedcba98);
        assert_memory_equal(p, ((const uint8_t[]){0xfe, 0xdc, 0xba, 0x98, 0xaa}), 5);
        assert_int_equal(nst_load32(p), 0xfedcba98);
        assert_true(at == 0 || buf[at - 1] == 0xaa);
    }
}

static void test_little_endian(void **state)
{
    uint8_t buf[17];
    (void)state;

    for (size_t at = 0; at < 8; at++) {
        uint8_t *p = buf + at;
        memset(buf, 0xaa, sizeof buf);
        nst_store_le64(p, 0xfedcba9876543210);
        assert_memory_equal(
            p, ((const uint8_t[]){0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 0xaa}), 9);
        assert_true(nst_load_le64(p) == 0xfedcba9876543210);
    }
}

static void test_every_16_bit_value(void **state)
{
    uint8_t buf[2];
    (void)state;

    for (uint32_t v = 0; v <= UINT16_MAX; v++) {
        nst_store16(buf, (uint16_t)v);
        if (nst_load16(buf) != v || buf[0] != v / 256 || buf[1] != v % 256)
            fail_msg("%u comes back as %u", v, nst_load16(buf));
    }
}

static void test_min_max(void **state)
{
    (void)state;

    assert_int_equal(nst_min(0, SIZE_MAX), 0);
    assert_int_equal(nst_min(7, 3), 3);
    assert_int_equal(nst_max(0, SIZE_MAX), SIZE_MAX);
    assert_int_equal(nst_max(7, 3), 7);
}

static void test_container(void **state)
{
    struct {
        char first;
        int32_t member[3];
    } whole;
    (void)state;

    assert_int_equal(NST_ARRAY_LEN(whole.member), 3);
    assert_ptr_equal(NST_CONTAINER(&whole.member[2], __typeof__(whole), member[2]), &whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_order),      cmocka_unit_test(test_little_endian),
        cmocka_unit_test(test_every_16_bit_value), cmocka_unit_test(test_min_max),
        cmocka_unit_test(test_container),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
