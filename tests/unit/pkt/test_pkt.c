/* Packets, whose bytes are the same however they are cut into slices.
 *
 * Most tests run over splits of LEN bytes: all into one, two or three slices, and random ones into
 * up to NST_PKT_SLICES, where slices may be empty. */
#include "core/pkt/pkt.h"

#include <errno.h>

#include "core/base/bytes.h"
#include "core/wire/checksum.h"

#include "../core.h"

#define LEN 37

struct split {
    size_t lens[NST_PKT_SLICES];
    unsigned n;
};

static struct test_core core;
static uint8_t flat[LEN];

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    for (uint8_t i = 0; i < LEN; i++)
        flat[i] = (uint8_t)(i * 7 + 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

/* The split of LEN bytes at these places, in ascending order. */
static struct split split_at(const size_t *cuts, unsigned ncuts)
{
    struct split split = {.n = ncuts + 1};
    size_t before = 0;

    for (unsigned i = 0; i < ncuts; before = cuts[i++])
        split.lens[i] = cuts[i] - before;
    split.lens[ncuts] = LEN - before;
    return split;
}

static struct split split_random(struct nst_prng *prng, unsigned n)
{
    size_t cuts[NST_PKT_SLICES];

    for (unsigned i = 0; i < n - 1; i++) {
        size_t cut = nst_prng_below(prng, LEN + 1);
        unsigned at = i;
        for (; at > 0 && cuts[at - 1] > cut; at--)
            cuts[at] = cuts[at - 1];
        cuts[at] = cut;
    }
    return split_at(cuts, n - 1);
}

static void for_each_split(void (*check)(const struct split *split))
{
    struct split split = split_at(NULL, 0);
    struct nst_prng prng;

    check(&split);
    for (size_t a = 1; a < LEN; a++) {
        split = split_at(&a, 1);
        check(&split);
        for (size_t b = a + 1; b < LEN; b++) {
            split = split_at((const size_t[]){a, b}, 2);
            check(&split);
        }
    }
    test_prng_init(&prng, 7);
    for (unsigned n = 2; n <= NST_PKT_SLICES; n++) {
        for (unsigned i = 0; i < 20; i++) {
            split = split_random(&prng, n);
            check(&split);
        }
    }
}

static struct nst_pkt *make(const struct split *split)
{
    return test_pkt_split(&core.pool, flat, split->lens, split->n);
}

/* ---- Bytes ------------------------------------------------------------------------------- */

static void check_read_sum_share(const struct split *split)
{
    struct nst_pkt *pkt = make(split);
    uint8_t out[LEN + 1];

    test_pkt_assert(pkt, flat, LEN);
    for (size_t off = 0; off <= LEN; off++) {
        for (size_t len = 0; len <= LEN - off; len++) {
            out[len] = 0x5a;
            nst_pkt_read(pkt, off, out, len);
            assert_memory_equal(out, flat + off, len);
            assert_int_equal(out[len], 0x5a);
            assert_int_equal(nst_pkt_sum(pkt, off, len), nst_csum_sum(flat + off, len));
            struct nst_pkt *part = nst_pkt_share(pkt, off, len);
            test_pkt_assert(part, flat + off, len);
            nst_pkt_free(part);
        }
    }
    nst_pkt_free(pkt);
}

static void test_read_sum_share(void **state)
{
    (void)state;
    for_each_split(check_read_sum_share);
}

static void check_write(const struct split *split)
{
    struct nst_pkt *pkt = make(split);
    uint8_t expected[LEN], other[LEN];

    for (size_t i = 0; i < LEN; i++)
        other[i] = (uint8_t)~flat[i];
    for (size_t off = 0; off <= LEN; off++) {
        for (size_t len = 0; len <= LEN - off; len++) {
            memcpy(expected, flat, LEN);
            memcpy(expected + off, other, len);
            nst_pkt_write(pkt, off, other, len);
            test_pkt_assert(pkt, expected, LEN);
            nst_pkt_write(pkt, off, flat + off, len);
        }
    }
    nst_pkt_free(pkt);
}

static void test_write(void **state)
{
    (void)state;
    for_each_split(check_write);
}

/* Takes `n` off twice: all of the first or none of the second may be a whole slice. */
static void check_consume(const struct split *split)
{
    for (size_t n = 0; n <= LEN; n++) {
        for (size_t more = 0; more <= LEN - n; more++) {
            struct nst_pkt *pkt = make(split);
            const struct nst_offload offload = {.gso = NST_GSO_TCP4, .hdr_len = 0};
            pkt->offload = offload;
            nst_pkt_consume(pkt, n);
            test_pkt_assert(pkt, flat + n, LEN - n);
            nst_pkt_consume(pkt, more);
            test_pkt_assert(pkt, flat + n + more, LEN - n - more);
            assert_true(pkt->nslices == 0 || pkt->slices[0].len > 0);
            assert_memory_equal(&pkt->offload, &offload, sizeof offload);
            nst_pkt_free(pkt);
        }
    }
}

/* Each buffer comes back as soon as its last byte is gone. */
static void test_consume(void **state)
{
    const struct split split = {{5, 0, 7, 25}, 4};
    struct nst_pkt *pkt = make(&split);
    (void)state;

    for (size_t left = LEN; left-- > 0;) {
        nst_pkt_consume(pkt, 1);
        assert_int_equal(pkt->nslices, left > 32 ? 4 : left > 25 ? 2 : left > 0 ? 1 : 0);
        assert_int_equal(core.pool.used_bytes, nst_pkt_truesize(pkt));
    }
    nst_pkt_free(pkt);
    for_each_split(check_consume);
}

static void check_trim(const struct split *split)
{
    for (size_t len = 0; len <= LEN + 1; len++) {
        struct nst_pkt *pkt = make(split);
        nst_pkt_trim(pkt, len);
        test_pkt_assert(pkt, flat, nst_min(len, LEN));
        assert_true(pkt->nslices >= 1); /* the headroom is still there */
        unsigned nslices = pkt->nslices;
        assert_non_null(nst_pkt_push(pkt, NST_PKT_HEADROOM));
        assert_int_equal(pkt->nslices, nslices);
        nst_pkt_free(pkt);
    }
}

static void test_trim(void **state)
{
    (void)state;
    for_each_split(check_trim);
}

/* What was pulled comes back by a push, in place. */
static void check_pull_push(const struct split *split)
{
    for (size_t n = 0; n <= split->lens[0]; n++) {
        struct nst_pkt *pkt = make(split);
        nst_pkt_pull(pkt, n);
        test_pkt_assert(pkt, flat + n, LEN - n);
        assert_int_equal(nst_pkt_head_len(pkt), split->lens[0] - n);
        uint8_t *pushed = nst_pkt_push(pkt, n);
        assert_ptr_equal(pushed, nst_pkt_head(pkt));
        test_pkt_assert(pkt, flat, LEN);
        assert_int_equal(pkt->nslices, split->n);
        nst_pkt_free(pkt);
    }
}

static void test_pull_push(void **state)
{
    (void)state;
    for_each_split(check_pull_push);
}

/* ---- Checksums --------------------------------------------------------------------------- */

#define PSEUDO 0xfedc

/* A field in the range makes the sum right; one wrong bit anywhere in it is seen. */
static void check_checksum(const struct split *split)
{
    for (size_t off = 0; off < 4; off++) {
        uint8_t field[2] = {0, 0};
        struct nst_pkt *pkt = make(split);
        nst_pkt_write(pkt, off + 6, field, 2);
        nst_store16(field,
                    nst_csum_finish(nst_csum_join(PSEUDO, nst_pkt_sum(pkt, off, LEN - off), 0)));
        nst_pkt_write(pkt, off + 6, field, 2);
        assert_true(nst_pkt_checksum_ok(pkt, off, LEN - off, PSEUDO));
        assert_false(nst_pkt_checksum_ok(pkt, off, LEN - off, PSEUDO ^ 1));
        for (size_t i = off; i < LEN; i++) {
            uint8_t byte;
            nst_pkt_read(pkt, i, &byte, 1);
            byte ^= (uint8_t)(1 << i % 8);
            nst_pkt_write(pkt, i, &byte, 1);
            assert_false(nst_pkt_checksum_ok(pkt, off, LEN - off, PSEUDO));
            byte ^= (uint8_t)(1 << i % 8);
            nst_pkt_write(pkt, i, &byte, 1);
        }
        nst_pkt_free(pkt);
    }
}

static void test_checksum(void **state)
{
    (void)state;
    for_each_split(check_checksum);
}

static void test_checksum_that_the_device_vouches_for(void **state)
{
    static const uint8_t vouched[] = {NST_CSUM_PARTIAL, NST_CSUM_VALID};
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN);
    (void)state;

    assert_false(nst_pkt_checksum_ok(pkt, 0, LEN, PSEUDO));
    for (size_t i = 0; i < NST_ARRAY_LEN(vouched); i++) {
        nst_pkt_offload(pkt)->csum = vouched[i];
        assert_true(nst_pkt_checksum_ok(pkt, 0, LEN, PSEUDO));
    }
    nst_pkt_free(pkt);
}

/* The description of what the device is to do counts from the first byte, wherever that is. */
static void test_offload_moves_with_the_head(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN);
    struct nst_offload *o = nst_pkt_offload(pkt);
    (void)state;

    nst_pkt_push(pkt, 8);
    nst_pkt_pull(pkt, 4);
    assert_int_equal(o->csum_start + o->hdr_len, 0); /* of no meaning, untouched */
    *o = (struct nst_offload){.csum = NST_CSUM_PARTIAL,
                              .csum_start = 10,
                              .csum_offset = 6,
                              .gso = NST_GSO_UDP,
                              .hdr_len = 18,
                              .gso_size = 100};
    nst_pkt_push(pkt, 20);
    nst_pkt_push(pkt, 14);
    nst_pkt_pull(pkt, 4);
    assert_int_equal(o->csum_start, 40);
    assert_int_equal(o->csum_offset, 6);
    assert_int_equal(o->hdr_len, 48);
    assert_int_equal(o->gso_size, 100);
    nst_pkt_free(pkt);
}

/* A partial checksum, whose field in the first slice holds the pseudo-header's sum, becomes one
 * that holds; a clone keeps it partial. */
static void check_checksum_complete(const struct split *split)
{
    enum { START = 3, OFFSET = 6 };
    uint8_t field[2];

    if (split->lens[0] < START + OFFSET + sizeof field)
        return;
    struct nst_pkt *pkt = make(split), *clone;
    nst_store16(field, PSEUDO);
    nst_pkt_write(pkt, START + OFFSET, field, sizeof field);
    pkt->offload =
        (struct nst_offload){.csum = NST_CSUM_PARTIAL, .csum_start = START, .csum_offset = OFFSET};
    clone = nst_pkt_clone(pkt);
    assert_int_equal(nst_pkt_checksum_complete(clone), 0);
    assert_int_equal(clone->offload.csum, NST_CSUM_NONE);
    assert_true(nst_pkt_checksum_ok(clone, START, LEN - START, PSEUDO));
    assert_int_equal(nst_pkt_checksum_complete(clone), 0); /* once is enough */
    assert_true(nst_pkt_checksum_ok(clone, START, LEN - START, PSEUDO));
    nst_pkt_read(pkt, START + OFFSET, field, sizeof field);
    assert_int_equal(nst_load16(field), PSEUDO);
    nst_pkt_free(clone);
    nst_pkt_free(pkt);
}

static void test_checksum_complete(void **state)
{
    (void)state;
    for_each_split(check_checksum_complete);
}

/* The sum of data and field may come out as 0xffff: what goes into the field is not its inverse, 0,
 * which UDP reads as "no checksum". */
static void test_checksum_complete_is_never_zero(void **state)
{
    const uint8_t bytes[] = {0xff, 0xff, 0, 0};
    struct nst_pkt *pkt = test_pkt(&core.pool, bytes, sizeof bytes);
    (void)state;

    pkt->offload = (struct nst_offload){.csum = NST_CSUM_PARTIAL, .csum_offset = 2};
    assert_int_equal(nst_pkt_checksum_complete(pkt), 0);
    test_pkt_assert(pkt, (const uint8_t[]){0xff, 0xff, 0xff, 0xff}, 4);
    nst_pkt_free(pkt);
}

static void test_checksum_complete_without_memory(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *clone;
    (void)state;

    pkt->offload.csum = NST_CSUM_PARTIAL;
    clone = nst_pkt_clone(pkt);
    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(nst_pkt_checksum_complete(clone), -ENOMEM);
    assert_int_equal(clone->offload.csum, NST_CSUM_PARTIAL);
    nst_pkt_free(clone);
    nst_pkt_free(pkt);
}

/* ---- Shared buffers ---------------------------------------------------------------------- */

/* Whatever is done to a clone's head, the original keeps its bytes; and the other way round. */
static void check_clone_is_safe(const struct split *split)
{
    for (unsigned write_original = 0; write_original < 2; write_original++) {
        struct nst_pkt *pkt = make(split), *clone = nst_pkt_clone(pkt);
        struct nst_pkt *written = write_original ? pkt : clone,
                       *kept = write_original ? clone : pkt;
        assert_int_equal(nst_pkt_own_head(written), 0);
        memset(nst_pkt_head(written), 0, nst_pkt_head_len(written));
        memset(nst_pkt_push(written, 20), 0, 20);
        test_pkt_assert(kept, flat, LEN);
        memset(nst_pkt_push(kept, 14), 0, 14);
        nst_pkt_pull(kept, 14);
        nst_pkt_check(written);
        nst_pkt_free(written);
        test_pkt_assert(kept, flat, LEN);
        nst_pkt_free(kept);
    }
}

static void test_clone_is_safe(void **state)
{
    (void)state;
    for_each_split(check_clone_is_safe);
}

static void test_push_does_not_use_a_shared_headroom(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *clone = nst_pkt_clone(pkt);
    uint8_t expected[4 + LEN] = {1, 1, 1, 1};
    (void)state;

    memcpy(expected + 4, flat, LEN);
    memset(nst_pkt_push(pkt, 4), 1, 4);
    memset(nst_pkt_push(clone, 4), 2, 4);
    test_pkt_assert(pkt, expected, sizeof expected);
    memset(expected, 2, 4);
    test_pkt_assert(clone, expected, sizeof expected);
    nst_pkt_free(pkt);
    nst_pkt_free(clone);
}

static void test_own_head_keeps_the_headroom(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *clone = nst_pkt_clone(pkt);
    (void)state;

    assert_int_equal(nst_pkt_own_head(clone), 0);
    assert_ptr_not_equal(nst_pkt_head(clone), nst_pkt_head(pkt));
    test_pkt_assert(clone, flat, LEN);
    assert_non_null(nst_pkt_push(clone, NST_PKT_HEADROOM));
    assert_int_equal(clone->nslices, 1);
    nst_pkt_free(clone);
    nst_pkt_free(pkt);
}

/* Once the others are gone the head is this packet's own again. */
static void test_last_reference_is_owned(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *clone = nst_pkt_clone(pkt);
    uint8_t *head = nst_pkt_head(clone);
    (void)state;

    nst_pkt_free(pkt);
    assert_int_equal(nst_pkt_own_head(clone), 0);
    assert_ptr_equal(nst_pkt_head(clone), head);
    assert_ptr_equal(nst_pkt_push(clone, 8), head - 8);
    nst_pkt_free(clone);
}

static void test_share_copies_the_description(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN);
    struct nst_list queue;
    (void)state;

    nst_list_init(&queue);
    nst_list_push_back(&queue, &pkt->node);
    pkt->id = 5;
    pkt->link = 3;
    pkt->sport = 1000;
    pkt->mac = test_mac("02:00:00:00:00:09");
    pkt->ip.src = test_addr("192.0.2.7");
    pkt->ip.options_len = 4;
    pkt->offload.csum = NST_CSUM_VALID;
    struct nst_pkt *part = nst_pkt_share(pkt, 3, 5);
    assert_false(nst_list_linked(&part->node));
    assert_ptr_equal(part->pool, &core.pool);
    assert_memory_equal(&part->id, &pkt->id,
                        offsetof(struct nst_pkt, len) - offsetof(struct nst_pkt, id));
    nst_list_del(&pkt->node);
    nst_pkt_free(part);
    nst_pkt_free(pkt);
}

/* Of each number of slices that a copy may have; what the whole's buffers hold no longer counts. */
static void test_copy(void **state)
{
    static uint8_t large[10000];
    const size_t ranges[][2] = {{0, 0}, {0, 1}, {2047, 2}, {100, 5000}, {0, sizeof large}};
    (void)state;

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 13 >> 2);
    struct nst_pkt *pkt = test_pkt(&core.pool, large, sizeof large), *copies[5];
    pkt->sport = 1000;
    for (size_t i = 0; i < 5; i++)
        assert_non_null(copies[i] = nst_pkt_copy(pkt, ranges[i][0], ranges[i][1]));
    nst_pkt_free(pkt);
    for (size_t i = 0; i < 5; i++) {
        test_pkt_assert(copies[i], large + ranges[i][0], ranges[i][1]);
        assert_int_equal(copies[i]->sport, 1000);
        nst_pkt_free(copies[i]);
    }
}

/* ---- Limits ------------------------------------------------------------------------------ */

static void test_new_lengths(void **state)
{
    enum { ROOM = NST_BUF_SMALL - NST_PKT_HEADROOM };
    static const struct {
        size_t len;
        unsigned nslices; /* 0: too long */
    } rows[] = {{0, 1},        {1, 1},
                {ROOM, 1},     {ROOM + 1, 2},
                {65535, 2},    {ROOM + NST_BUF_LARGE, 2},
                {SIZE_MAX, 0}, {ROOM + NST_BUF_LARGE + 1, 0}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, rows[i].len);
        assert_int_equal(pkt ? pkt->nslices : 0, rows[i].nslices);
        if (!pkt)
            continue;
        nst_pkt_check(pkt);
        assert_int_equal(nst_pkt_len(pkt), rows[i].len);
        assert_int_equal(nst_pkt_head(pkt) - pkt->slices[0].buf->data, NST_PKT_HEADROOM);
        nst_pkt_free(pkt);
    }
    assert_int_equal(core.pool.used_bytes, 0);
}

static void test_headroom_runs_out(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN);
    uint8_t expected[NST_PKT_HEADROOM + 1 + LEN];
    (void)state;

    memcpy(expected + NST_PKT_HEADROOM + 1, flat, LEN);
    for (size_t n = NST_PKT_HEADROOM + 1; n-- > 0;) {
        expected[n] = (uint8_t)n;
        *nst_pkt_push(pkt, 1) = (uint8_t)n;
        assert_int_equal(pkt->nslices, n == 0 ? 2 : 1);
    }
    test_pkt_assert(pkt, expected, sizeof expected);
    nst_pkt_free(pkt);
}

static void test_slices_run_out(void **state)
{
    struct nst_pkt *pkts[NST_PKT_SLICES + 1] = {test_pkt(&core.pool, flat, LEN)};
    unsigned n = 0;
    (void)state;

    /* A clone's headroom is shared, so that each push takes a slice. */
    for (; n < NST_PKT_SLICES - 1; n++) {
        pkts[n + 1] = nst_pkt_clone(pkts[n]);
        memset(nst_pkt_push(pkts[n + 1], 3), (int)n, 3);
        assert_int_equal(pkts[n + 1]->nslices, n + 2);
    }
    struct nst_pkt *last = pkts[n + 1] = nst_pkt_clone(pkts[n]);
    assert_null(nst_pkt_push(last, 3));
    nst_pkt_check(last);
    assert_int_equal(nst_pkt_len(last), LEN + 3 * (NST_PKT_SLICES - 1));
    for (unsigned i = 0; i <= n + 1; i++)
        nst_pkt_free(pkts[i]);
}

static void test_no_memory(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *clone = nst_pkt_clone(pkt);
    size_t used = core.pool.used_bytes;
    (void)state;

    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(nst_pkt_own_head(clone), -ENOMEM);
    clone->offload = (struct nst_offload){.csum = NST_CSUM_PARTIAL, .csum_start = 8};
    test_memory_fail_in(&core.memory, 1);
    assert_null(nst_pkt_push(clone, 1));
    assert_int_equal(clone->offload.csum_start, 8);
    test_memory_fail_in(&core.memory, 1);
    assert_null(nst_pkt_clone(pkt));
    test_pkt_assert(pkt, flat, LEN);
    test_pkt_assert(clone, flat, LEN);
    assert_int_equal(core.pool.used_bytes, used);
    nst_pkt_free(clone);
    nst_pkt_free(pkt);
}

static void test_empty_packet(void **state)
{
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN), *empty = nst_pkt_share(pkt, 5, 0);
    (void)state;

    assert_int_equal(empty->nslices, 0);
    assert_null(nst_pkt_head(empty));
    assert_int_equal(nst_pkt_head_len(empty), 0);
    assert_int_equal(nst_pkt_own_head(empty), 0);
    assert_int_equal(nst_pkt_sum(empty, 0, 0), 0);
    nst_pkt_pull(empty, 0);
    nst_pkt_trim(empty, 0);
    memcpy(nst_pkt_push(empty, 4), flat, 4);
    test_pkt_assert(empty, flat, 4);
    nst_pkt_free(empty);
    nst_pkt_free(pkt);
    nst_pkt_free(NULL);
}

static void test_slices_are_given_in_order(void **state)
{
    const struct split split = {{5, 7, 25}, 3};
    struct nst_pkt *pkt = make(&split);
    struct nst_slice out[4];
    (void)state;

    assert_int_equal(nst_pkt_slices(pkt, out, 0), 0);
    assert_int_equal(nst_pkt_slices(pkt, out, 2), 2);
    assert_int_equal(out[1].len, 7);
    assert_int_equal(nst_pkt_slices(pkt, out, 4), 3);
    assert_memory_equal(out[2].base, flat + 12, 25);
    assert_int_equal(nst_pkt_truesize(pkt),
                     sizeof *pkt + 3 * (sizeof(struct nst_buf) + NST_BUF_SMALL));
    nst_pkt_free(pkt);
}

/* ---- The end ----------------------------------------------------------------------------- */

static void record(void *ctx, const struct nst_trace_event *event)
{
    struct nst_trace_event *to = ctx;

    test_pkt_assert(event->pkt, flat, LEN); /* its bytes can be looked at */
    *to = *event;
}

/* Shows 1122-23, 1122-24. */
static void test_drop_is_counted_and_traced(void **state)
{
    struct nst_trace_event event = {.id = 0};
    struct nst_pkt *pkt = test_pkt(&core.pool, flat, LEN);
    (void)state;

    nst_pkt_drop(test_pkt(&core.pool, flat, LEN), NST_DROP_no_route);
    assert_int_equal(core.env.drops[NST_DROP_no_route], 1);
    core.env.trace = record;
    core.env.trace_ctx = &event;
    pkt->id = 77;
    pkt->link = 4;
    nst_pkt_drop(pkt, NST_DROP_no_route);
    assert_int_equal(core.env.drops[NST_DROP_no_route], 2);
    assert_int_equal(event.kind, NST_TRACE_DROP);
    assert_int_equal(event.time, TEST_START);
    assert_int_equal(event.id, 77);
    assert_int_equal(event.link, 4);
    assert_int_equal(event.drop, NST_DROP_no_route);
    assert_int_equal(core.pool.used_bytes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read_sum_share),
        TEST(test_write),
        TEST(test_consume),
        TEST(test_trim),
        TEST(test_pull_push),
        TEST(test_checksum),
        TEST(test_checksum_that_the_device_vouches_for),
        TEST(test_offload_moves_with_the_head),
        TEST(test_checksum_complete),
        TEST(test_checksum_complete_is_never_zero),
        TEST(test_checksum_complete_without_memory),
        TEST(test_clone_is_safe),
        TEST(test_push_does_not_use_a_shared_headroom),
        TEST(test_own_head_keeps_the_headroom),
        TEST(test_last_reference_is_owned),
        TEST(test_share_copies_the_description),
        TEST(test_copy),
        TEST(test_new_lengths),
        TEST(test_headroom_runs_out),
        TEST(test_slices_run_out),
        TEST(test_no_memory),
        TEST(test_empty_packet),
        TEST(test_slices_are_given_in_order),
        TEST(test_drop_is_counted_and_traced),
    };
    return cmocka_run_group_tests_name("pkt", tests, NULL, NULL);
}
