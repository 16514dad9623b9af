/* Randomness from the seed. The literal numbers were computed by another implementation. */
#include "core/base/prng.h"

#include "core/base/bytes.h"

#include "../unit.h"

static void make_seed(uint8_t seed[32])
{
    for (uint8_t i = 0; i < 32; i++)
        seed[i] = i;
}

static void test_literal(void **state)
{
    static const uint64_t draws[] = {0xd0f7adceb498c2a1, 0xfe759b0fbc6489d3, 0x854f2f4665d91c04};
    uint8_t seed[32];
    struct nst_prng prng;
    (void)state;

    make_seed(seed);
    nst_prng_init(&prng, seed, "isn");
    assert_int_equal(prng.key.k0, 0xcda79ee23b5bfcf2);
    assert_int_equal(prng.key.k1, 0x59dbd49aac03260d);
    for (size_t i = 0; i < NST_ARRAY_LEN(draws); i++)
        assert_int_equal(nst_prng_next(&prng), draws[i]);
}

static void test_each_seed_byte_matters(void **state)
{
    uint8_t seed[32];
    (void)state;

    make_seed(seed);
    struct nst_siphash_key key = nst_prng_key(seed, "x");
    for (unsigned i = 0; i < 32; i++) {
        seed[i] ^= 0x10;
        struct nst_siphash_key other = nst_prng_key(seed, "x");
        assert_memory_not_equal(&key, &other, sizeof key);
        seed[i] ^= 0x10;
    }
}

/* Two purposes' streams differ in about half of their bits, and one isn't the other shifted. */
static void test_purposes_are_independent(void **state)
{
    enum { DRAWS = 256 };
    uint8_t seed[32];
    struct nst_prng a, b;
    uint64_t of_a[DRAWS], of_b[DRAWS];
    unsigned differing = 0;
    (void)state;

    make_seed(seed);
    nst_prng_init(&a, seed, "ports");
    nst_prng_init(&b, seed, "portt");
    for (unsigned i = 0; i < DRAWS; i++) {
        of_a[i] = nst_prng_next(&a);
        of_b[i] = nst_prng_next(&b);
        differing += (unsigned)__builtin_popcountll(of_a[i] ^ of_b[i]);
    }
    assert_in_range(differing, DRAWS * 32 - 400, DRAWS * 32 + 400);
    for (unsigned i = 0; i < DRAWS; i++)
        for (unsigned j = 0; j < DRAWS; j++)
            assert_int_not_equal(of_a[i], of_b[j]);
}

static void test_below_stays_below(void **state)
{
    static const uint64_t bounds[] = {1,
                                      2,
                                      3,
                                      7,
                                      1000,
                                      (uint64_t)1 << 32,
                                      ((uint64_t)1 << 63) - 1,
                                      (uint64_t)1 << 63,
                                      ((uint64_t)1 << 63) + 1,
                                      UINT64_MAX};
    const uint8_t seed[32] = {1};
    struct nst_prng prng;
    (void)state;

    nst_prng_init(&prng, seed, "below");
    for (size_t i = 0; i < NST_ARRAY_LEN(bounds); i++)
        for (unsigned n = 0; n < 1000; n++)
            assert_true(nst_prng_below(&prng, bounds[i]) < bounds[i]);
}

/* Pearson's chi-squared: 27.9 for 9 degrees of freedom, 85.4 for 49, are exceeded by chance once in
 * a thousand; the draws are the same in every run. */
static void assert_uniform(unsigned buckets, uint64_t bound, double limit)
{
    enum { PER_BUCKET = 1000 };
    const uint8_t seed[32] = {2};
    unsigned seen[50] = {0};
    struct nst_prng prng;
    double chi2 = 0;

    nst_prng_init(&prng, seed, "uniform");
    for (unsigned n = 0; n < buckets * PER_BUCKET; n++)
        seen[nst_prng_below(&prng, bound) / (bound / buckets)]++;
    for (unsigned i = 0; i < buckets; i++) {
        double off = (double)seen[i] - PER_BUCKET;
        chi2 += off * off / PER_BUCKET;
    }
    assert_true(chi2 < limit);
}

/* With the largest bounds, a draw modulo the bound would fall below the middle twice as often. */
static void test_below_is_uniform(void **state)
{
    (void)state;

    assert_uniform(10, 10, 27.9);
    assert_uniform(50, 50, 85.4);
    assert_uniform(10, UINT64_MAX / 40 * 30, 27.9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal),
        cmocka_unit_test(test_each_seed_byte_matters),
        cmocka_unit_test(test_purposes_are_independent),
        cmocka_unit_test(test_below_stays_below),
        cmocka_unit_test(test_below_is_uniform),
    };
    return cmocka_run_group_tests_name("prng", tests, NULL, NULL);
}
