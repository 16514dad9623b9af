/* The pool: its budget, the reuse of what was given back, and memory that runs out. */
#include "core/pkt/pool.h"

#include "core/base/bytes.h"
#include "core/pkt/pkt.h"

#include "../core.h"

#define SMALL_BYTES (sizeof(struct nst_buf) + NST_BUF_SMALL)
#define LARGE_BYTES (sizeof(struct nst_buf) + NST_BUF_LARGE)

/* A pool with another budget than the test core's. */
static void pool_init(struct nst_pool *pool, struct test_core *core, size_t budget_bytes)
{
    test_core_init(core);
    nst_pool_init(pool, &core->env, budget_bytes);
}

static void pool_fini(struct nst_pool *pool, struct test_core *core)
{
    nst_pool_fini(pool);
    test_core_fini(core);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0,    1,     NST_BUF_SMALL - 1, NST_BUF_SMALL, NST_BUF_SMALL + 1,
                                   9000, 65535, NST_BUF_LARGE};
    struct test_core core;
    (void)state;

    test_core_init(&core);
    for (size_t i = 0; i < NST_ARRAY_LEN(sizes); i++) {
        struct nst_buf *buf = nst_buf_new(&core.pool, sizes[i]);
        assert_non_null(buf);
        assert_in_range(buf->size, nst_max(sizes[i], NST_BUF_SMALL), NST_BUF_LARGE);
        assert_true(sizes[i] > NST_BUF_SMALL || buf->size == NST_BUF_SMALL);
        assert_int_equal(buf->refs, 1);
        assert_int_equal(core.pool.used_bytes, sizeof *buf + buf->size);
        memset(buf->data, 0xff, buf->size); /* it is all there */
        nst_buf_unref(&core.pool, buf);
    }
    assert_null(nst_buf_new(&core.pool, NST_BUF_LARGE + 1));
    assert_null(nst_buf_new(&core.pool, SIZE_MAX));
    test_core_fini(&core);
}

static void test_budget_is_exact(void **state)
{
    struct test_core core;
    struct nst_pool pool;
    struct nst_buf *bufs[3];
    (void)state;

    pool_init(&pool, &core, 2 * SMALL_BYTES + LARGE_BYTES);
    bufs[0] = nst_buf_new(&pool, 1);
    bufs[1] = nst_buf_new(&pool, NST_BUF_LARGE);
    assert_null(nst_buf_new(&pool, NST_BUF_LARGE));
    bufs[2] = nst_buf_new(&pool, 1);
    assert_int_equal(pool.used_bytes, pool.budget_bytes);
    assert_null(nst_buf_new(&pool, 1));
    assert_null(nst_pool_pkt_new(&pool));
    nst_buf_unref(&pool, bufs[0]);
    bufs[0] = nst_buf_new(&pool, 1);
    assert_non_null(bufs[0]);
    for (size_t i = 0; i < NST_ARRAY_LEN(bufs); i++)
        nst_buf_unref(&pool, bufs[i]);
    assert_int_equal(pool.used_bytes, 0);
    pool_fini(&pool, &core);
}

/* One byte less than an item needs is too little, with and without items to reuse. */
static void test_budget_just_too_small(void **state)
{
    struct test_core core;
    struct nst_pool pool;
    (void)state;

    pool_init(&pool, &core, SMALL_BYTES - 1);
    assert_null(nst_buf_new(&pool, 1));
    pool.budget_bytes++;
    nst_buf_unref(&pool, nst_buf_new(&pool, 1));
    pool.budget_bytes--;
    assert_null(nst_buf_new(&pool, 1));
    pool_fini(&pool, &core);
}

static void test_references(void **state)
{
    struct test_core core;
    (void)state;

    test_core_init(&core);
    struct nst_buf *buf = nst_buf_new(&core.pool, 1);
    buf->refs++;
    nst_buf_unref(&core.pool, buf);
    assert_int_equal(core.pool.used_bytes, SMALL_BYTES);
    nst_buf_unref(&core.pool, buf);
    assert_int_equal(core.pool.used_bytes, 0);
    test_core_fini(&core);
}

static void test_reuse(void **state)
{
    struct test_core core;
    struct nst_buf *bufs[4];
    (void)state;

    test_core_init(&core);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < NST_ARRAY_LEN(bufs); i++)
            bufs[i] = nst_buf_new(&core.pool, i % 2 ? 1 : NST_BUF_LARGE);
        for (size_t i = 0; i < NST_ARRAY_LEN(bufs); i++)
            nst_buf_unref(&core.pool, bufs[i]);
        assert_int_equal(core.memory.calls, NST_ARRAY_LEN(bufs));
    }
    test_core_fini(&core);
}

/* Only so many items wait for reuse; the others go back to the owner. */
static void test_free_lists_stay_short(void **state)
{
    enum { MANY = 1100 };
    struct test_core core;
    struct nst_buf *bufs[MANY];
    struct nst_pkt *pkts[MANY];
    (void)state;

    test_core_init(&core);
    for (unsigned i = 0; i < MANY; i++) {
        bufs[i] = nst_buf_new(&core.pool, i < 100 ? NST_BUF_LARGE : 1);
        pkts[i] = nst_pool_pkt_new(&core.pool);
        assert_true(bufs[i] && pkts[i]);
    }
    assert_int_equal(core.memory.live_blocks, 2 * MANY);
    for (unsigned i = 0; i < MANY; i++) {
        nst_buf_unref(&core.pool, bufs[i]);
        nst_pool_pkt_free(&core.pool, pkts[i]);
    }
    assert_int_equal(core.pool.pkts.n, core.pool.pkts.max);
    assert_int_equal(core.memory.live_blocks, 1000 + 64 + core.pool.pkts.max);
    test_core_fini(&core);
}

/* A packet of two slices is three allocations; without any of them there is nothing, and nothing
 * stays behind. */
static void test_no_memory_at_each_allocation(void **state)
{
    (void)state;

    for (uint64_t n = 1; n <= 4; n++) {
        struct test_core core;
        test_core_init(&core);
        test_memory_fail_in(&core.memory, n);
        struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, 3000);
        assert_int_equal(pkt != NULL, n == 4);
        nst_pkt_free(pkt);
        assert_int_equal(core.pool.used_bytes, 0);
        test_core_fini(&core);
    }
}

/* What is in use is what the budget counts, whatever the order of taking and returning. */
static void test_random_walk(void **state)
{
    enum { HELD = 64, BUDGET = 24 * LARGE_BYTES };
    struct test_core core;
    struct nst_pool pool;
    struct nst_buf *held[HELD] = {NULL};
    struct nst_prng prng;
    size_t used = 0;
    (void)state;

    pool_init(&pool, &core, BUDGET);
    test_prng_init(&prng, 3);
    for (unsigned step = 0; step < 50000; step++) {
        struct nst_buf **at = &held[nst_prng_below(&prng, HELD)];
        size_t size = nst_prng_below(&prng, 2) ? NST_BUF_SMALL : NST_BUF_LARGE;
        if (*at) {
            used -= sizeof **at + (*at)->size;
            nst_buf_unref(&pool, *at);
            *at = NULL;
        } else if ((*at = nst_buf_new(&pool, size))) {
            used += sizeof **at + size;
        } else {
            assert_true(used + sizeof **at + size > BUDGET);
        }
        assert_int_equal(pool.used_bytes, used);
        assert_true(used <= BUDGET);
    }
    for (unsigned i = 0; i < HELD; i++)
        if (held[i])
            nst_buf_unref(&pool, held[i]);
    pool_fini(&pool, &core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_budget_is_exact),
        cmocka_unit_test(test_budget_just_too_small),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_free_lists_stay_short),
        cmocka_unit_test(test_no_memory_at_each_allocation),
        cmocka_unit_test(test_random_walk),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
