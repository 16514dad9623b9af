/* Compacting: what is copied, what stays where it is, and that nobody else's bytes change. */
#include "core/pkt/compact.h"

#include "core/base/bytes.h"

#include "../core.h"

#define LEN 4096

static struct test_core core;
static uint8_t flat[LEN];

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    for (size_t i = 0; i < LEN; i++)
        flat[i] = (uint8_t)(i * 7 + i / 256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

/* What a packet in one small buffer keeps from other use. */
static size_t small_truesize(void)
{
    return sizeof(struct nst_pkt) + sizeof(struct nst_buf) + NST_BUF_SMALL;
}

/* `len` bytes from `off` of the stream, in a buffer of `size` with `headroom`. */
static struct nst_pkt *piece(size_t off, size_t len, size_t size, size_t headroom)
{
    struct nst_pkt *pkt = nst_pool_pkt_new(&core.pool);
    struct nst_buf *buf = nst_buf_new(&core.pool, size);

    assert_non_null(pkt);
    assert_non_null(buf);
    memset(buf->data, 0xee, buf->size);
    memcpy(buf->data + headroom, flat + off, len);
    pkt->slices[pkt->nslices++] = (struct nst_pkt_slice){buf, buf->data + headroom, len};
    pkt->len = len;
    return pkt;
}

static void test_a_byte_at_a_time(void **state)
{
    struct nst_pkt *pkts[2];
    size_t n = 0, off = 0;
    (void)state;

    for (; off < LEN; off++) {
        struct nst_pkt *pkt =
            nst_pkt_compact_take(n ? pkts[n - 1] : NULL, piece(off, 1, NST_BUF_SMALL, 200));
        assert_true(!pkt || n < NST_ARRAY_LEN(pkts));
        if (pkt)
            pkts[n++] = pkt;
    }
    /* Each buffer was filled to its end before the next one began. */
    assert_int_equal(n, 2);
    for (size_t i = 0, at = 0; i < n; at += pkts[i++]->len) {
        test_pkt_assert(pkts[i], flat + at, i < 1 ? NST_BUF_SMALL : LEN - at);
        assert_int_equal(nst_pkt_truesize(pkts[i]), small_truesize());
    }
    assert_int_equal(core.pool.used_bytes, n * small_truesize());
    for (size_t i = 0; i < n; i++)
        nst_pkt_free(pkts[i]);
}

/* A quarter of what it keeps from other use is where a packet begins to be worth its buffer. */
static void test_where_copying_begins(void **state)
{
    size_t quarter = small_truesize() / 4;
    (void)state;

    for (size_t len = quarter - 2; len <= quarter + 2; len++) {
        struct nst_pkt *last = piece(0, 1, NST_BUF_SMALL, 0);
        struct nst_pkt *pkt = piece(1, len, NST_BUF_SMALL, 0);
        struct nst_pkt *got = nst_pkt_compact_take(last, pkt);
        assert_ptr_equal(got, len < quarter ? NULL : pkt);
        test_pkt_assert(last, flat, len < quarter ? 1 + len : 1);
        nst_pkt_free(got);
        nst_pkt_free(last);
    }
}

static void test_room_to_the_last_byte(void **state)
{
    (void)state;

    for (size_t room = 0; room < 4; room++) {
        struct nst_pkt *last = piece(0, 1000 - room, NST_BUF_SMALL, NST_BUF_SMALL - 1000);
        struct nst_pkt *pkt = piece(1000 - room, 2, NST_BUF_SMALL, 9);
        struct nst_pkt *got = nst_pkt_compact_take(last, pkt);
        assert_ptr_equal(got, room < 2 ? pkt : NULL);
        test_pkt_assert(last, flat, 1000 - room + (room < 2 ? 0 : 2));
        nst_pkt_free(got);
        nst_pkt_free(last);
    }
}

/* Behind the packet may lie bytes that another one sees. */
static void test_shared_buffers_are_not_written(void **state)
{
    struct nst_pkt *whole = piece(0, 100, NST_BUF_SMALL, 0);
    struct nst_pkt *last = nst_pkt_share(whole, 0, 50), *pkt = piece(200, 7, NST_BUF_SMALL, 0);
    (void)state;

    assert_ptr_equal(nst_pkt_compact_take(last, pkt), pkt);
    test_pkt_assert(last, flat, 50);
    test_pkt_assert(whole, flat, 100);
    nst_pkt_free(whole);
    /* Now it is this packet's alone. */
    assert_null(nst_pkt_compact_take(last, pkt));
    nst_pkt_trim(last, 50);
    assert_null(nst_pkt_compact_take(last, piece(50, 1, NST_BUF_SMALL, 0)));
    test_pkt_assert(last, flat, 51);
    nst_pkt_free(last);
}

/* Few bytes of a shared or a large buffer come to lie in a small one of their own. */
static void test_few_bytes_do_not_pin_much(void **state)
{
    struct nst_pkt *large = piece(0, LEN, NST_BUF_LARGE, 0), *parts[4];
    const size_t lens[] = {3, 7, 11, 13};
    (void)state;

    parts[0] = nst_pkt_share(large, 5, 10);
    parts[1] = test_pkt_split(&core.pool, flat + 5, lens, 1);
    parts[2] = test_pkt_split(&core.pool, flat + 5, lens, 4);
    parts[3] = piece(5, NST_BUF_SMALL, NST_BUF_LARGE, 0);
    struct nst_pkt *shared = nst_pkt_clone(parts[1]);
    for (size_t i = 0; i < NST_ARRAY_LEN(parts); i++) {
        size_t len = parts[i]->len;
        assert_ptr_equal(nst_pkt_compact_take(NULL, parts[i]), parts[i]);
        test_pkt_assert(parts[i], flat + 5, len);
        assert_int_equal(nst_pkt_truesize(parts[i]), small_truesize());
        assert_int_equal(parts[i]->slices[0].buf->refs, 1);
    }
    assert_int_equal(shared->slices[0].buf->refs, 1);
    nst_pkt_free(large);
    nst_pkt_free(shared);
    for (size_t i = 0; i < NST_ARRAY_LEN(parts); i++)
        nst_pkt_free(parts[i]);
}

/* One byte more than a small buffer holds is never copied. */
static void test_much_is_not_copied(void **state)
{
    struct nst_pkt *last = piece(0, 1, NST_BUF_LARGE, 0);
    struct nst_pkt *pkt = piece(1, NST_BUF_SMALL + 1, NST_BUF_LARGE, 0);
    const uint8_t *data = nst_pkt_head(pkt);
    (void)state;

    assert_ptr_equal(nst_pkt_compact_take(last, pkt), pkt);
    assert_ptr_equal(nst_pkt_head(pkt), data);
    nst_pkt_free(last);
    nst_pkt_free(pkt);
}

/* The buffer that only had headers goes back even where nothing is copied. */
static void test_empty_slices_in_front_go(void **state)
{
    const size_t lens[] = {20, 1500};
    struct nst_pkt *pkt = test_pkt_split(&core.pool, flat, lens, 2);
    (void)state;

    nst_pkt_pull(pkt, 20);
    assert_ptr_equal(nst_pkt_compact_take(NULL, pkt), pkt);
    test_pkt_assert(pkt, flat + 20, 1500);
    assert_int_equal(core.pool.used_bytes, small_truesize());
    nst_pkt_free(pkt);
}

static void test_without_memory_it_stays_as_it_is(void **state)
{
    struct nst_pkt *pkt = piece(0, 10, NST_BUF_LARGE, 0);
    (void)state;

    test_memory_fail_in(&core.memory, 1);
    assert_ptr_equal(nst_pkt_compact_take(NULL, pkt), pkt);
    test_pkt_assert(pkt, flat, 10);
    assert_int_equal(pkt->slices[0].buf->size, NST_BUF_LARGE);
    nst_pkt_free(pkt);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_byte_at_a_time),          TEST(test_where_copying_begins),
        TEST(test_room_to_the_last_byte),     TEST(test_shared_buffers_are_not_written),
        TEST(test_few_bytes_do_not_pin_much), TEST(test_much_is_not_copied),
        TEST(test_empty_slices_in_front_go),  TEST(test_without_memory_it_stays_as_it_is),
    };
    return cmocka_run_group_tests_name("compact", tests, NULL, NULL);
}
