/* IPv4 identifications: none comes again soon, and the seed decides. */
#include "core/ip/ident.h"

#include "../unit.h"

static void test_no_repetition_within_a_walk(void **state)
{
    static const uint8_t seed[32] = "a seed";
    static uint32_t last_seen[65536];
    struct nst_ident ident;
    (void)state;

    nst_ident_init(&ident, seed);
    for (uint32_t i = 1; i <= 200000; i++) {
        uint16_t id = nst_ident_next(&ident);
        assert_true(last_seen[id] == 0 || i - last_seen[id] > 32768);
        last_seen[id] = i;
    }
}

/* Each walk of 32,768 has an order of its own. */
static void test_walks_differ(void **state)
{
    static const uint8_t seed[32] = "a seed";
    static uint16_t first[32768];
    struct nst_ident ident;
    unsigned equal = 0;
    (void)state;

    nst_ident_init(&ident, seed);
    for (unsigned i = 0; i < 32768; i++)
        first[i] = nst_ident_next(&ident);
    for (unsigned walk = 1; walk < 4; walk++)
        for (unsigned i = 0; i < 32768; i++)
            equal += ((nst_ident_next(&ident) ^ first[i]) & 0x7fff) == 0;
    assert_in_range(equal, 0, 40); /* three are expected */
}

static void test_seed_decides(void **state)
{
    static const uint8_t seeds[2][32] = {"a seed", "another"};
    struct nst_ident a, again, other;
    unsigned equal = 0;
    (void)state;

    nst_ident_init(&a, seeds[0]);
    nst_ident_init(&again, seeds[0]);
    nst_ident_init(&other, seeds[1]);
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t id = nst_ident_next(&a);
        assert_int_equal(nst_ident_next(&again), id);
        equal += nst_ident_next(&other) == id;
    }
    assert_in_range(equal, 0, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_repetition_within_a_walk),
        cmocka_unit_test(test_walks_differ),
        cmocka_unit_test(test_seed_decides),
    };

    return cmocka_run_group_tests_name("ident", tests, NULL, NULL);
}
