/* Receive queues beside a plain array of bytes: random walks over everything that can happen to
 * one, and what memory small segments take. */
#include "core/tcp/recvq.h"

#include "core/base/bytes.h"

#include "../core.h"

#define TOTAL 65536 /* bytes of a walk's stream */

static struct test_core core;
static uint8_t stream[TOTAL];

static int setup(void **state)
{
    struct nst_prng prng;

    (void)state;
    test_core_init(&core);
    test_prng_init(&prng, 99);
    for (size_t i = 0; i < TOTAL; i++)
        stream[i] = (uint8_t)nst_prng_next(&prng);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

/* A queue, and which part of the stream it should hold. */
struct walk {
    struct nst_prng prng;
    struct nst_recvq q;
    size_t start, end;
    bool starved; /* the queue itself gets no memory */
};

static size_t below(struct walk *w, size_t bound)
{
    return (size_t)nst_prng_below(&w->prng, bound);
}

/* The next `len` bytes of the stream, cut at random, behind headers that are read already. */
static struct nst_pkt *next_pkt(struct walk *w, size_t len)
{
    size_t first = below(w, len + 1), headers = below(w, 60);
    uint8_t bytes[2 * NST_BUF_SMALL] = {0};
    const size_t lens[] = {headers, first, len - first};

    memcpy(bytes + headers, stream + w->end, len);
    struct nst_pkt *pkt = test_pkt_split(&core.pool, bytes, lens, 3);
    nst_pkt_pull(pkt, headers);
    w->end += len;
    return pkt;
}

/* The queue holds exactly stream[start .. end), however one looks at it. */
static void check(struct walk *w)
{
    static struct nst_slice slices[TOTAL];
    size_t max = below(w, 40), at = w->start, n = nst_recvq_peek(&w->q, slices, max);

    nst_recvq_check(&w->q);
    assert_int_equal(w->q.bytes, w->end - w->start);
    assert_int_equal(nst_recvq_empty(&w->q), w->end == w->start);
    assert_true(n <= max);
    for (size_t i = 0; i < n; at += slices[i++].len)
        assert_memory_equal(slices[i].base, stream + at, slices[i].len);
    assert_true(n == 0 || slices[0].len > 0);
    if (n < max)
        assert_int_equal(at, w->end);
}

static void push_take(struct walk *w, struct nst_pkt *pkt)
{
    size_t budget = core.pool.budget_bytes;

    if (w->starved)
        core.pool.budget_bytes = core.pool.used_bytes;
    nst_recvq_push_take(&w->q, pkt);
    core.pool.budget_bytes = budget;
}

static void push(struct walk *w)
{
    static const size_t maxima[] = {1, 20, 700, 2000};
    size_t max = maxima[below(w, NST_ARRAY_LEN(maxima))];
    size_t len = nst_min(1 + below(w, max), TOTAL - w->end);

    if (len == 0)
        return;
    struct nst_pkt *pkt = next_pkt(w, len);
    struct nst_pkt *clone = below(w, 4) ? NULL : nst_pkt_clone(pkt);
    push_take(w, pkt);
    if (clone)
        test_pkt_assert(clone, stream + w->end - len, len);
    nst_pkt_free(clone);
}

/* Another queue is filled, then moved behind this one. */
static void splice(struct walk *w)
{
    struct walk other = {.prng = w->prng, .start = w->end, .end = w->end, .starved = w->starved};

    nst_recvq_init(&other.q);
    for (size_t i = below(w, 4); i > 0; i--)
        push(&other);
    nst_recvq_splice_back(&w->q, &other.q);
    w->end = other.end;
    w->prng = other.prng;
    assert_true(nst_recvq_empty(&other.q));
    nst_recvq_check(&other.q);
}

/* Reads from a random offset into slices of random lengths, and nothing beyond them. */
static void read_out(struct walk *w)
{
    uint8_t bytes[4][512];
    struct nst_slice out[4];
    size_t off = below(w, w->q.bytes + 100), room = 0, n = below(w, 5);

    memset(bytes, 0x5a, sizeof bytes);
    for (size_t i = 0; i < n; room += out[i++].len)
        out[i] = (struct nst_slice){bytes[i], below(w, sizeof bytes[i])};
    size_t there = w->q.bytes - nst_min(off, w->q.bytes), done = 0;
    size_t got = nst_recvq_read(&w->q, off, out, n);
    assert_int_equal(got, nst_min(room, there));
    for (size_t i = 0; i < n; i++) {
        size_t here = nst_min(out[i].len, got - done);
        if (here > 0)
            assert_memory_equal(bytes[i], stream + w->start + off + done, here);
        assert_int_equal(bytes[i][here], 0x5a);
        done += here;
    }
}

static void consume(struct walk *w)
{
    size_t n = below(w, nst_min(w->q.bytes, 3000) + 1);

    nst_recvq_consume(&w->q, n);
    w->start += n;
}

static void pull_back(struct walk *w)
{
    if (nst_recvq_empty(&w->q))
        return;
    struct nst_pkt *pkt = nst_recvq_pull_back(&w->q);
    assert_false(nst_list_linked(&pkt->node));
    w->end -= pkt->len;
    test_pkt_assert(pkt, stream + w->end, pkt->len);
    nst_pkt_free(pkt);
}

static void random_walk(unsigned seed, bool starved)
{
    static void (*const steps[])(struct walk * w) = {push,     push,     push,    push,     splice,
                                                     read_out, read_out, consume, pull_back};
    struct walk w = {.starved = starved};

    test_prng_init(&w.prng, seed);
    nst_recvq_init(&w.q);
    for (unsigned i = 0; i < 400; i++) {
        steps[below(&w, NST_ARRAY_LEN(steps))](&w);
        check(&w);
    }
    nst_recvq_consume(&w.q, w.q.bytes);
    assert_int_equal(w.q.mem, 0);
    assert_true(nst_list_empty(&w.q.pkts));
    assert_int_equal(core.pool.used_bytes, 0);
}

static void test_random_walk(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++)
        random_walk(seed, false);
}

static void test_random_walk_without_memory(void **state)
{
    (void)state;
    for (unsigned seed = 21; seed <= 30; seed++)
        random_walk(seed, true);
}

/* ---- Memory ------------------------------------------------------------------------------ */

/* Whatever small size the peer chooses, memory is a few times the bytes, and it is all accounted
 * for. Without compaction it would be 2,400 times for segments of a byte. */
static void test_memory_of_small_segments(void **state)
{
    static const struct {
        size_t len, times; /* of a segment; at most so many times its bytes */
    } rows[] = {{1, 2}, {2, 2}, {100, 2}, {512, 2}, {700, 4}, {1448, 2}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct walk w = {.start = 0};
        nst_recvq_init(&w.q);
        while (w.end + rows[i].len <= TOTAL) {
            nst_recvq_push_take(&w.q, test_pkt(&core.pool, stream + w.end, rows[i].len));
            w.end += rows[i].len;
            assert_true(w.q.mem <= rows[i].times * w.q.bytes + 2 * NST_BUF_SMALL);
        }
        check(&w);
        assert_int_equal(core.pool.used_bytes, w.q.mem);
        nst_recvq_drop(&w.q, NST_DROP_sock_closed);
    }
}

/* Queues that meet are compacted where they meet. */
static void test_splicing_compacts(void **state)
{
    struct nst_recvq a, b;
    (void)state;

    nst_recvq_init(&a);
    nst_recvq_init(&b);
    nst_recvq_push_take(&a, test_pkt(&core.pool, stream, 5));
    nst_recvq_push_take(&b, test_pkt(&core.pool, stream + 5, 7));
    nst_recvq_push_take(&b, test_pkt(&core.pool, stream + 12, 1000));
    size_t mem = a.mem;
    nst_recvq_splice_back(&a, &b);
    assert_int_equal(a.bytes, 1012);
    assert_int_equal(a.mem, 2 * mem);
    assert_int_equal(core.pool.used_bytes, a.mem);
    nst_recvq_drop(&a, NST_DROP_sock_closed);
}

/* What is consumed of a packet gives its buffers back one by one. */
static void test_consuming_gives_memory_back(void **state)
{
    const size_t lens[] = {1900, 1900};
    struct nst_recvq q;
    (void)state;

    nst_recvq_init(&q);
    nst_recvq_push_take(&q, test_pkt_split(&core.pool, stream, lens, 2));
    size_t mem = q.mem;
    nst_recvq_consume(&q, 1899);
    assert_int_equal(q.mem, mem);
    nst_recvq_consume(&q, 1);
    assert_int_equal(q.mem, mem - sizeof(struct nst_buf) - NST_BUF_SMALL);
    assert_int_equal(core.pool.used_bytes, q.mem);
    nst_recvq_drop(&q, NST_DROP_sock_closed);
}

static void test_drop_tells_of_each_packet(void **state)
{
    struct nst_recvq q;
    (void)state;

    nst_recvq_init(&q);
    nst_recvq_drop(&q, NST_DROP_sock_closed);
    assert_int_equal(core.env.drops[NST_DROP_sock_closed], 0);
    for (unsigned i = 0; i < 3; i++)
        nst_recvq_push_take(&q, test_pkt(&core.pool, stream, 1000));
    nst_recvq_drop(&q, NST_DROP_sock_closed);
    assert_int_equal(core.env.drops[NST_DROP_sock_closed], 3);
    assert_true(nst_recvq_empty(&q));
    nst_recvq_check(&q);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_random_walk),
        TEST(test_random_walk_without_memory),
        TEST(test_memory_of_small_segments),
        TEST(test_splicing_compacts),
        TEST(test_consuming_gives_memory_back),
        TEST(test_drop_tells_of_each_packet),
    };
    return cmocka_run_group_tests_name("recvq", tests, NULL, NULL);
}
