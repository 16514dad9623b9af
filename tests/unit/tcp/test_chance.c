/* What a path loses by chance, told by hand: rounds with their round trips and their losses. */
#include "core/tcp/chance.h"

#include "core/base/bytes.h"

#include "../core.h"

#define MSS     1000
#define MIN_RTT (20 * NST_MS)
#define EMPTY   (MIN_RTT + 600 * NST_US) /* within a thirty-second */
#define QUEUED  (MIN_RTT + 700 * NST_US)
#define LEARNT  512

static struct nst_chance chance;

static int setup(void **state)
{
    (void)state;
    chance = (struct nst_chance){.count = 0};
    return 0;
}

static void samples(unsigned n, nst_time rtt)
{
    while (n-- > 0)
        nst_chance_sample(&chance, rtt);
    nst_chance_round(&chance, MIN_RTT);
}

/* Steady rounds of so many segments. */
static void round_of(nst_time rtt, unsigned sent, unsigned lost)
{
    samples(8, rtt);
    nst_chance_learn(&chance, MSS, (uint64_t)sent * MSS, (uint64_t)lost * MSS);
}

static bool exceeded(unsigned sent, unsigned lost)
{
    return nst_chance_exceeded(&chance, MSS, (uint64_t)sent * MSS, (uint64_t)lost * MSS, 2);
}

/* Before anything is known a tenth may be chance, unless there is a queue. */
static void test_unknown(void **state)
{
    (void)state;

    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 10);
    samples(8, QUEUED);
    assert_int_equal(nst_chance_share(&chance), 0);
    samples(8, EMPTY);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 10);
}

/* Fewer than eight round trips tell nothing, but count for the next round. */
static void test_samples(void **state)
{
    (void)state;

    samples(7, QUEUED);
    assert_false(chance.queue);
    samples(1, QUEUED);
    assert_true(chance.queue);
    nst_chance_sample(&chance, EMPTY);
    samples(7, QUEUED);
    assert_false(chance.queue);
}

/* On a short path half a millisecond is noise. */
static void test_short_path(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 8; i++)
        nst_chance_sample(&chance, 2 * NST_MS + 500 * NST_US);
    nst_chance_round(&chance, 2 * NST_MS);
    assert_false(chance.queue);
    for (unsigned i = 0; i < 8; i++)
        nst_chance_sample(&chance, 2 * NST_MS + 501 * NST_US);
    nst_chance_round(&chance, 2 * NST_MS);
    assert_true(chance.queue);
}

/* 512 segments are a share, the lesser of the last two is the chance. */
static void test_share(void **state)
{
    (void)state;

    round_of(EMPTY, LEARNT - 1, 15);
    assert_int_equal(chance.count, 0);
    round_of(EMPTY, 1, 1);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 32);
    round_of(EMPTY, LEARNT, 8);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 64);
    round_of(EMPTY, LEARNT, 32);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 64);
    round_of(EMPTY, LEARNT, 32);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 16);
}

/* Whatever is lost, more than a tenth of it is not chance. */
static void test_bound(void **state)
{
    (void)state;

    round_of(EMPTY, LEARNT, LEARNT / 2);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 10);
}

/* What is lost while there is a queue can lower it, never raise it. */
static void test_queue(void **state)
{
    (void)state;

    round_of(QUEUED, LEARNT, 32);
    assert_int_equal(nst_chance_share(&chance), 0);
    setup(NULL);
    round_of(EMPTY, LEARNT, 16);
    round_of(QUEUED, LEARNT, 64);
    round_of(QUEUED, LEARNT, 64);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 32);
    round_of(QUEUED, LEARNT, 8);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 64);
}

/* Nor do they tell how much is chance before rounds without a queue did. */
static void test_queue_first(void **state)
{
    (void)state;

    round_of(QUEUED, LEARNT, 32);
    round_of(EMPTY, LEARNT, 16);
    assert_int_equal(nst_chance_share(&chance), NST_CHANCE_ONE / 32);
}

/* Without chance, two of a hundred and the root of two are bearable. */
static void test_exceeded(void **state)
{
    (void)state;

    round_of(EMPTY, LEARNT, 0);
    assert_false(exceeded(100, 3));
    assert_true(exceeded(100, 4));
    assert_true(exceeded(20, 2));
}

/* With a chance of a sixteenth: 2 + 6.25, and the root of 2 + 9 * 6.25. */
static void test_exceeded_by_chance(void **state)
{
    (void)state;

    round_of(EMPTY, LEARNT, 32);
    assert_false(exceeded(100, 15));
    assert_true(exceeded(100, 16));
}

/* Only chance needs numbers to be told from. */
static void test_can_judge(void **state)
{
    (void)state;

    assert_false(nst_chance_can_judge(&chance, MSS, 255 * MSS));
    assert_true(nst_chance_can_judge(&chance, MSS, 256 * MSS));
    samples(8, QUEUED);
    assert_true(nst_chance_can_judge(&chance, MSS, MSS));
    setup(NULL);
    round_of(EMPTY, LEARNT, 0);
    assert_true(nst_chance_can_judge(&chance, MSS, MSS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_unknown, setup),
        cmocka_unit_test_setup(test_samples, setup),
        cmocka_unit_test_setup(test_short_path, setup),
        cmocka_unit_test_setup(test_share, setup),
        cmocka_unit_test_setup(test_bound, setup),
        cmocka_unit_test_setup(test_queue, setup),
        cmocka_unit_test_setup(test_queue_first, setup),
        cmocka_unit_test_setup(test_exceeded, setup),
        cmocka_unit_test_setup(test_exceeded_by_chance, setup),
        cmocka_unit_test_setup(test_can_judge, setup),
    };
    return cmocka_run_group_tests_name("chance", tests, NULL, NULL);
}
