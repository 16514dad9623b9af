/* Loans of the owner's memory: when they are returned, and that nobody ever writes to them. */
#include "core/pkt/loan.h"

#include "core/pkt/compact.h"

#include "../core.h"

static struct test_core core;
static uint8_t memory[5000];
static struct nst_loan *loan;
static struct nst_buf *buf;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    memset(memory, 7, sizeof memory);
    loan = nst_pool_lend(&core.pool, memory, sizeof memory, 99);
    assert_non_null(loan);
    buf = nst_loan_buf(loan);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof memory; i++)
        assert_int_equal(memory[i], 7);
    nst_loans_fini(&core.pool);
    test_core_fini(&core);
    return 0;
}

/* A packet with headers of its own in front of a part of what was lent. */
static struct nst_pkt *packet(size_t off, size_t len)
{
    struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, 0);

    assert_non_null(pkt);
    assert_true(nst_pkt_append(pkt, buf, memory + off, len));
    assert_non_null(nst_pkt_push(pkt, 20));
    nst_pkt_check(pkt);
    return pkt;
}

static void assert_returned(bool returned)
{
    struct nst_event event;

    assert_int_equal(nst_loan_events(&core.pool, &event, 1), returned);
    if (returned) {
        assert_int_equal(event.kind, NST_EVENT_RETURNED);
        assert_int_equal(event.cookie, 99);
    }
}

static void test_end_comes_last(void **state)
{
    (void)state;
    nst_pkt_free(packet(0, 100));
    assert_returned(false);
    nst_pkt_free(packet(0, 100));
    nst_pool_lend_end(&core.pool, loan);
    assert_returned(true);
    assert_returned(false);
}

static void test_end_comes_first(void **state)
{
    struct nst_pkt *a = packet(0, 5000), *b = nst_pkt_clone(a);
    (void)state;

    nst_pool_lend_end(&core.pool, loan);
    assert_returned(false);
    nst_pkt_free(a);
    assert_returned(false);
    nst_pkt_free(b);
    assert_returned(true);
}

/* One whose end was not said is gone with the pool; teardown() sees to the memory. */
static void test_no_end(void **state)
{
    (void)state;
    nst_pkt_free(packet(0, 100));
}

static void test_is_counted(void **state)
{
    size_t used = core.pool.used_bytes;
    (void)state;

    assert_true(used > 0);
    core.pool.budget_bytes = used;
    assert_null(nst_pool_lend(&core.pool, memory, 1, 0));
    core.pool.budget_bytes = (size_t)16 << 20;
    test_memory_fail_in(&core.memory, 1);
    assert_null(nst_pool_lend(&core.pool, memory, 1, 0));
    assert_int_equal(core.pool.used_bytes, used);
}

/* Headers are put into memory of ours, even by the only packet, after the owner's end. */
static void test_is_not_written_to(void **state)
{
    struct nst_pkt *pkt = packet(1000, 100);
    (void)state;

    nst_pool_lend_end(&core.pool, loan);
    nst_pkt_pull(pkt, 20);
    nst_pkt_consume(pkt, 0);
    uint8_t *head = nst_pkt_push(pkt, 40);
    assert_non_null(head);
    memset(head, 0xee, 40);
    nst_pkt_check(pkt);
    nst_pkt_free(pkt);
    assert_returned(true);
}

/* What a queue copies together: small packets, which it does not append to what was lent. */
static void test_compacted(void **state)
{
    struct nst_pkt *large = packet(0, 4000), *small = packet(4000, 10);
    (void)state;

    nst_pkt_pull(large, 20);
    nst_pkt_pull(small, 20);
    large = nst_pkt_compact_take(NULL, large);
    small = nst_pkt_compact_take(large, small);
    assert_int_equal(nst_pkt_len(large), 4000);
    test_pkt_assert(small, memory, 10);
    nst_pkt_free(small);
    nst_pkt_free(large);
}

/* What waits counts, and no more than that. */
static void test_truesize(void **state)
{
    struct nst_pkt *pkt = packet(0, 100);
    size_t with = nst_pkt_truesize(pkt);
    (void)state;

    nst_pkt_trim(pkt, 20 + 60);
    assert_int_equal(nst_pkt_truesize(pkt), with - 40);
    nst_pkt_free(pkt);
}

static void test_holds(void **state)
{
    (void)state;
    assert_true(nst_loan_holds(buf, memory, sizeof memory));
    assert_true(nst_loan_holds(buf, memory + sizeof memory, 0));
    assert_false(nst_loan_holds(buf, memory + 1, sizeof memory));
    assert_false(nst_loan_holds(buf, (const uint8_t *)&loan, 1));
    assert_false(nst_loan_holds(buf, memory + 1, SIZE_MAX));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_end_comes_last),    T(test_end_comes_first), T(test_no_end),   T(test_is_counted),
        T(test_is_not_written_to), T(test_compacted),       T(test_truesize), T(test_holds),
    };

    return cmocka_run_group_tests_name("pkt/loan", tests, NULL, NULL);
}
