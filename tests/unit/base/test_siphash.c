/* SipHash against the reference vectors of its paper (appendix A and the authors' test program). */
#include "core/base/siphash.h"

#include "../unit.h"

static const struct nst_siphash_key KEY = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_reference_vectors(void **state)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
    };
    uint8_t input[16];
    (void)state;

    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(nst_siphash(&KEY, input, rows[i].len), rows[i].hash);
}

static void test_twelve_bytes(void **state)
{
    const uint8_t input[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    (void)state;

    assert_int_equal(nst_siphash_12(&KEY, 0x0807060504030201, 0x0c0b0a09),
                     nst_siphash(&KEY, input, sizeof input));
}

static void test_key_changes_everything(void **state)
{
    struct nst_siphash_key other = {KEY.k0 ^ 1, KEY.k1};
    (void)state;

    assert_int_not_equal(nst_siphash(&KEY, "x", 1), nst_siphash(&other, "x", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_twelve_bytes),
        cmocka_unit_test(test_key_changes_everything),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
