/* The send queue: what is pushed comes out of slices, wherever it is cut and forgotten. */
#include "core/base/bytes.h"
#include "core/pkt/loan.h"
#include "core/tcp/sendq.h"

#include "../core.h"

static struct test_core core;
static struct nst_sendq q;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    nst_sendq_init(&q, nst_seq_of(UINT32_MAX - 20000)); /* it wraps */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_sendq_free(&q, &core.pool);
    nst_loans_fini(&core.pool);
    test_core_fini(&core);
    return 0;
}

static uint8_t pattern(uint32_t seq)
{
    return (uint8_t)(seq * 7 + (seq >> 8));
}

static size_t push(size_t len)
{
    static uint8_t bytes[65536];

    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(q.end.v + (uint32_t)i);
    size_t done = nst_sendq_push(&q, &core.pool, bytes, len);
    nst_sendq_check(&q);
    return done;
}

static struct nst_pkt *slice(nst_seq start, size_t len)
{
    static uint8_t bytes[65536];
    struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, 0);

    assert_non_null(pkt);
    size_t got = nst_sendq_slice(&q, pkt, start, len);
    assert_int_equal(got, len);
    assert_int_equal(nst_pkt_len(pkt), len);
    nst_pkt_read(pkt, 0, bytes, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], pattern(start.v + (uint32_t)i));
    return pkt;
}

static void test_random(void **state)
{
    struct nst_prng prng;
    nst_seq una = q.end;
    (void)state;

    test_prng_init(&prng, 1);
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t queued = (uint32_t)nst_seq_diff(q.end, una);
        if (queued < 200000 && nst_prng_below(&prng, 2)) {
            size_t len = nst_prng_below(&prng, nst_prng_below(&prng, 3) ? 200 : 60000);
            assert_int_equal(push(len), len);
        } else if (nst_prng_below(&prng, 2)) {
            uint32_t from = (uint32_t)nst_prng_below(&prng, queued + 1);
            size_t len = nst_prng_below(&prng, nst_min(queued - from, 60000) + 1);
            nst_pkt_free(slice(nst_seq_add(una, from), len));
        } else {
            una = nst_seq_add(una, (uint32_t)nst_prng_below(&prng, queued + 1));
            nst_sendq_consume(&q, &core.pool, una);
            nst_sendq_check(&q);
        }
    }
}

/* A segment on its way keeps its bytes, whatever becomes of the queue. */
static void test_slices_outlive_the_queue(void **state)
{
    uint8_t bytes[100];
    nst_seq start = q.end;
    (void)state;

    push(100);
    struct nst_pkt *pkt = slice(start, 100);
    nst_sendq_consume(&q, &core.pool, q.end);
    push(60000);
    nst_pkt_read(pkt, 0, bytes, sizeof bytes);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(bytes[i], pattern(start.v + i));
    nst_pkt_free(pkt);
}

/* Many small writes make few chunks. */
static void test_small_writes_share_buffers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(push(1), 1);
    assert_true(q.n <= 3);
    assert_true(core.pool.used_bytes <= 2 * 20000 + NST_BUF_MEDIUM);
}

/* As much is taken as there is memory for; the rest can come later. */
static void test_without_memory(void **state)
{
    nst_seq start = q.end;
    size_t total = 0;
    (void)state;

    for (uint64_t n = 1; n <= 6; n++) {
        test_memory_fail_in(&core.memory, n);
        total += push(40000);
        test_memory_fail_in(&core.memory, 0);
    }
    assert_int_equal(nst_seq_diff(q.end, start), total);
    assert_true(total > 0 && total < 240000);
    assert_int_equal(push(100), 100);
    nst_pkt_free(slice(start, nst_min(total, 60000)));
}

/* What is reserved and what is lent stand in the order in which they came, however they alternate;
 * a chunk that isn't full stays so once another follows. */
static void test_lent_between(void **state)
{
    static uint8_t lent[200000];
    struct nst_slice room[NST_SENDQ_ROOM];
    nst_seq start = q.end;
    (void)state;

    for (size_t i = 0; i < sizeof lent; i++)
        lent[i] = pattern(q.end.v + (uint32_t)i);
    struct nst_loan *loan = nst_pool_lend(&core.pool, lent, sizeof lent, 0);
    for (unsigned i = 0; i < 7; i++) {
        uint32_t off = (uint32_t)nst_seq_diff(q.end, start);
        assert_int_equal(push(100 + i), 100 + i); /* in the middle of a chunk */
        off += 100 + i;
        assert_true(nst_sendq_lend(&q, &core.pool, nst_loan_buf(loan), lent + off, 2000));
        off += 2000;
        assert_true(nst_sendq_lend(&q, &core.pool, nst_loan_buf(loan), lent + off, 1000));
        nst_sendq_check(&q);
        assert_int_equal(nst_sendq_reserve(&q, &core.pool, 50000, room), 4);
        memcpy(room[0].base, lent + off + 1000, 10);
        nst_sendq_commit(&q, &core.pool, 10);
        nst_sendq_check(&q);
    }
    assert_int_equal(q.n, 2 * 7 + 1); /* both parts of a loan are one chunk, as are the others */
    nst_pkt_free(slice(start, (size_t)nst_seq_diff(q.end, start)));
    nst_sendq_consume(&q, &core.pool, nst_seq_add(start, 1500));
    nst_pkt_free(slice(nst_seq_add(start, 1500), 15000));
    nst_sendq_consume(&q, &core.pool, q.end);
    assert_int_equal(nst_loan_buf(loan)->refs, 1);
}

static void test_lent_without_memory(void **state)
{
    static uint8_t lent[10];
    nst_seq end = q.end;
    (void)state;

    struct nst_loan *loan = nst_pool_lend(&core.pool, lent, sizeof lent, 0);
    test_memory_fail_in(&core.memory, 1);
    assert_false(nst_sendq_lend(&q, &core.pool, nst_loan_buf(loan), lent, sizeof lent));
    assert_true(nst_seq_eq(q.end, end));
    assert_int_equal(nst_loan_buf(loan)->refs, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_random),
        T(test_slices_outlive_the_queue),
        T(test_small_writes_share_buffers),
        T(test_without_memory),
        T(test_lent_between),
        T(test_lent_without_memory),
    };

    return cmocka_run_group_tests_name("tcp/sendq", tests, NULL, NULL);
}
