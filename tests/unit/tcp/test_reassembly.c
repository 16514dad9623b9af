/* Out-of-order data beside a plain array of bytes, the examples of the SACK and DSACK RFCs, and
 * what an attacker would try: the limits, the cost, the memory.
 *
 * The module is compiled in here, with its comparisons of sequence numbers counted. */
#include "core/base/seq.h"

static unsigned comparisons;

static int32_t counted_diff(nst_seq a, nst_seq b)
{
    comparisons++;
    return nst_seq_diff(a, b);
}

#define nst_seq_diff counted_diff
#include "core/tcp/reassembly.c"
#undef nst_seq_diff

#include "../core.h"

#include <stdio.h>

#define TOTAL   16384 /* bytes of a walk's stream */
#define WINDOW  3000
#define NOLIMIT SIZE_MAX

static const uint32_t isns[] = {0, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000};

static struct test_core core;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

static uint64_t drops(enum nst_drop reason)
{
    return core.env.drops[reason];
}

/* ---- A receiver -------------------------------------------------------------------------- */

/* The least that a TCP does around it. Places in the stream are counted from 0, which is sequence
 * number `isn`. */
struct receiver {
    uint32_t isn;
    size_t nxt;
    size_t mem_max;
    struct nst_ooo *ooo;
    struct nst_recvq q;
    struct nst_tcp_sack dup; /* of the last segment; start == end: none */
};

static void receiver_init(struct receiver *r, uint32_t isn, size_t nxt)
{
    *r = (struct receiver){.isn = isn, .nxt = nxt, .mem_max = NOLIMIT};
    nst_recvq_init(&r->q);
}

static void receiver_fini(struct receiver *r)
{
    nst_ooo_free(&r->ooo, &core.env);
    assert_null(r->ooo);
    nst_recvq_drop(&r->q, NST_DROP_sock_closed);
}

static nst_seq seq_of(const struct receiver *r, size_t place)
{
    return nst_seq_add(nst_seq_of(r->isn), (uint32_t)place);
}

static size_t place_of(const struct receiver *r, nst_seq seq)
{
    return seq.v - r->isn;
}

/* Data in order: goes to the queue, and what has become in order behind it. */
static void receive_in_order(struct receiver *r, struct nst_pkt *pkt, size_t start)
{
    size_t end = start + pkt->len;

    r->dup = start < r->nxt
                 ? (struct nst_tcp_sack){seq_of(r, start), seq_of(r, nst_min(r->nxt, end))}
                 : nst_ooo_overlap(r->ooo, seq_of(r, start), seq_of(r, end));
    if (end <= r->nxt) {
        nst_pkt_free(pkt);
        return;
    }
    nst_pkt_consume(pkt, r->nxt - start);
    nst_recvq_push_take(&r->q, pkt);
    r->nxt = end;
    r->nxt += nst_ooo_pull(&r->ooo, &core.env, seq_of(r, end), &r->q);
}

static enum nst_drop receive(struct receiver *r, struct nst_pkt *pkt, size_t start)
{
    enum nst_drop drop = NST_DROP_NONE;

    if (start <= r->nxt)
        receive_in_order(r, pkt, start);
    else
        drop = nst_ooo_push_take(&r->ooo, &core.env, pkt, seq_of(r, start), r->mem_max, &r->dup);
    nst_ooo_check(r->ooo);
    nst_recvq_check(&r->q);
    return drop;
}

/* What the stream has at that place. */
static uint8_t true_byte(size_t place)
{
    return (uint8_t)(place * 31 + place / 256);
}

/* A segment of the true stream. */
static struct nst_pkt *segment(size_t start, size_t len)
{
    struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, len);

    assert_non_null(pkt);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = true_byte(start + i);
        nst_pkt_write(pkt, i, &byte, 1);
    }
    return pkt;
}

static enum nst_drop receive_true(struct receiver *r, size_t start, size_t len)
{
    return receive(r, segment(start, len), start);
}

/* The queue holds the true stream from `start` to nxt; empties it. */
static void assert_true_stream(struct receiver *r, size_t start)
{
    uint8_t byte;
    const struct nst_slice out = {&byte, 1};

    assert_int_equal(r->q.bytes, r->nxt - start);
    for (; start < r->nxt; start++) {
        assert_int_equal(nst_recvq_read(&r->q, 0, &out, 1), 1);
        assert_int_equal(byte, true_byte(start));
        nst_recvq_consume(&r->q, 1);
    }
}

/* ---- SACK and DSACK ---------------------------------------------------------------------- */

static size_t print_block(const struct receiver *r, char *text, const struct nst_tcp_sack *block)
{
    return (size_t)sprintf(text, " %zu-%zu", place_of(r, block->start), place_of(r, block->end));
}

/* What the acknowledgement of the last segment says: "ACK [DSACK] SACK …". */
static void assert_ack(const struct receiver *r, const char *wanted)
{
    struct nst_tcp_sack blocks[NST_TCP_SACK_MAX];
    char text[256];
    size_t len = (size_t)sprintf(text, "%zu", r->nxt);
    unsigned n = nst_ooo_sacks(r->ooo, blocks, NST_TCP_SACK_MAX);

    if (!nst_seq_eq(r->dup.start, r->dup.end))
        len += print_block(r, text + len, &r->dup);
    for (unsigned i = 0; i < n; i++)
        len += print_block(r, text + len, &blocks[i]);
    assert_string_equal(text, wanted);
}

struct example {
    size_t start, end;
    const char *ack;
};

static void run_example(size_t nxt, const struct example *rows)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(isns); i++) {
        struct receiver r;
        receiver_init(&r, isns[i], nxt);
        for (const struct example *row = rows; row->ack; row++) {
            receive_true(&r, row->start, row->end - row->start);
            assert_ack(&r, row->ack);
        }
        assert_true_stream(&r, nxt);
        receiver_fini(&r);
    }
}

/* RFC 2018 §4, eight segments of 500 bytes from 5000 on. Case 2: the first is lost.
 * Shows SHLD-31, 2018-2. */
static void test_sack_first_is_lost(void **state)
{
    static const struct example rows[] = {
        {5500, 6000, "5000 5500-6000"},
        {6000, 6500, "5000 5500-6500"},
        {6500, 7000, "5000 5500-7000"},
        {7000, 7500, "5000 5500-7500"},
        {7500, 8000, "5000 5500-8000"},
        {8000, 8500, "5000 5500-8500"},
        {8500, 9000, "5000 5500-9000"},
        {5000, 5500, "9000"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(5000, rows);
}

/* Case 3: the second, fourth, sixth and eighth are lost; then the fourth comes, then the second.
 * Shows 2018-2, 2018-3. */
static void test_sack_every_second_is_lost(void **state)
{
    static const struct example rows[] = {
        {5000, 5500, "5500"},
        {6000, 6500, "5500 6000-6500"},
        {7000, 7500, "5500 7000-7500 6000-6500"},
        {8000, 8500, "5500 8000-8500 7000-7500 6000-6500"},
        {6500, 7000, "5500 6000-7500 8000-8500"},
        {5500, 6000, "7500 8000-8500"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(5000, rows);
}

/* The blocks reported most recently are repeated, and the oldest falls out first. Shows 2018-3. */
static void test_sack_more_runs_than_blocks(void **state)
{
    static const struct example rows[] = {
        {100, 110, "0 100-110"},
        {200, 210, "0 200-210 100-110"},
        {300, 310, "0 300-310 200-210 100-110"},
        {400, 410, "0 400-410 300-310 200-210 100-110"},
        {500, 510, "0 500-510 400-410 300-310 200-210"},
        {110, 120, "0 100-120 500-510 400-410 300-310"},
        {390, 400, "0 390-410 100-120 500-510 300-310"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(0, rows);
}

/* RFC 2883 §4.1.1: a duplicate below the acknowledgement. */
static void test_dsack_duplicate(void **state)
{
    static const struct example rows[] = {
        {3000, 3500, "3500"}, {3500, 4000, "4000"}, {3000, 3500, "4000 3000-3500"}, {0, 0, NULL}};
    (void)state;
    run_example(3000, rows);
}

/* §4.1.2: the same while something waits out of order. */
static void test_dsack_duplicate_and_out_of_order(void **state)
{
    static const struct example rows[] = {
        {3000, 3500, "3500"},
        {3500, 4000, "4000"},
        {4500, 5000, "4000 4500-5000"},
        {3000, 3500, "4000 3000-3500 4500-5000"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(3000, rows);
}

/* §4.1.3: a duplicate of what waits: its block, then the block that it lies in. Shows 2883-3. */
static void test_dsack_duplicate_of_out_of_order(void **state)
{
    static const struct example rows[] = {
        {500, 1000, "1000"},
        {1500, 2000, "1000 1500-2000"},
        {2000, 2500, "1000 1500-2500"},
        {3000, 3500, "1000 3000-3500 1500-2500"},
        {2000, 2500, "1000 2000-2500 1500-2500 3000-3500"},
        {1000, 1500, "2500 3000-3500"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(500, rows);
}

/* §4.2.1: half of a larger segment was there, below the acknowledgement. */
static void test_dsack_part_in_order(void **state)
{
    static const struct example rows[] = {
        {500, 1000, "1000"}, {1000, 1500, "1500"}, {1000, 2000, "2000 1000-1500"}, {0, 0, NULL}};
    (void)state;
    run_example(500, rows);
}

/* §4.2.2: of two parts the first is reported, here the one below the acknowledgement. */
static void test_dsack_two_parts_in_order(void **state)
{
    static const struct example rows[] = {
        {500, 1000, "1000"},
        {1000, 1500, "1500"},
        {2000, 2500, "1500 2000-2500"},
        {1000, 2500, "2500 1000-1500"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(500, rows);
}

/* The same where only what waited was there already. */
static void test_dsack_in_order_reaches_what_waits(void **state)
{
    static const struct example rows[] = {
        {1500, 2000, "1000 1500-2000"},
        {2500, 3000, "1000 2500-3000 1500-2000"},
        {1000, 2700, "3000 1500-2000"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(1000, rows);
}

/* §4.2.3: two parts that both waited: the first, and the block that they lie in now.
 * Shows 2883-2. */
static void test_dsack_two_parts_out_of_order(void **state)
{
    static const struct example rows[] = {
        {500, 1000, "1000"},
        {1500, 2000, "1000 1500-2000"},
        {2500, 3000, "1000 2500-3000 1500-2000"},
        {3500, 4000, "1000 3500-4000 2500-3000 1500-2000"},
        {1500, 3000, "1000 1500-2000 1500-3000 3500-4000"},
        {0, 0, NULL},
    };
    (void)state;
    run_example(500, rows);
}

/* ---- A walk beside an array -------------------------------------------------------------- */

/* The model: which bytes are there, and in which order segments came. */
struct model {
    struct nst_prng prng;
    struct receiver r;
    uint8_t bytes[TOTAL];
    bool there[TOTAL + 1];
    size_t recent[1000], nrecent; /* a place in each segment, the last one last */
    size_t read;                  /* bytes that the application has */
};

static size_t below(struct model *m, size_t bound)
{
    return (size_t)nst_prng_below(&m->prng, bound);
}

static size_t run_start(const struct model *m, size_t place)
{
    while (place > m->r.nxt && m->there[place - 1])
        place--;
    return place;
}

static size_t run_end(const struct model *m, size_t place)
{
    while (m->there[place])
        place++;
    return place;
}

/* The first part of [start, end) that waits in the model; start == end: none. */
static void model_overlap(const struct model *m, size_t start, size_t end, size_t part[2])
{
    part[0] = start;
    while (part[0] < end && !m->there[part[0]])
        part[0]++;
    part[1] = nst_min(run_end(m, part[0]), end);
    if (part[0] == end)
        part[0] = part[1] = start;
}

/* What waited wins, except for runs that the segment covers; in order the segment wins. */
static void model_take(struct model *m, const uint8_t *bytes, size_t start, size_t end)
{
    bool keep[WINDOW] = {false};

    for (size_t i = start; i < end; i++)
        keep[i - start] = m->there[i] && start > m->r.nxt &&
                          (run_start(m, i) < start || run_end(m, i) > end);
    for (size_t i = start; i < end; i++) {
        if (!keep[i - start])
            m->bytes[i] = bytes[i - start];
        m->there[i] = true;
    }
    m->recent[m->nrecent++] = start;
}

/* A packet of these bytes, cut at random. */
static struct nst_pkt *cut_pkt(struct model *m, const uint8_t *bytes, size_t len)
{
    size_t first = below(m, len + 1);
    const size_t lens[] = {first, len - first};

    return test_pkt_split(&core.pool, bytes, lens, 2);
}

static void check_sacks(const struct model *m)
{
    struct nst_tcp_sack sacks[WINDOW];
    unsigned n = nst_ooo_sacks(m->r.ooo, sacks, WINDOW), seen = 0;
    size_t bytes = 0;
    bool told[TOTAL] = {false};

    for (size_t i = m->nrecent; i-- > 0;) {
        size_t place = m->recent[i];
        if (place < m->r.nxt || told[run_start(m, place)])
            continue;
        told[run_start(m, place)] = true;
        assert_true(seen < n);
        assert_int_equal(place_of(&m->r, sacks[seen].start), run_start(m, place));
        assert_int_equal(place_of(&m->r, sacks[seen].end), run_end(m, place));
        bytes += run_end(m, place) - run_start(m, place);
        seen++;
    }
    assert_int_equal(seen, n);
    assert_int_equal(nst_ooo_bytes(m->r.ooo), bytes);
    assert_int_equal(nst_ooo_sacks(m->r.ooo, sacks, 2), nst_min(n, 2));
    assert_true(n > 0 || !m->r.ooo);
}

/* The application reads all that is in order. */
static void check_stream(struct model *m)
{
    uint8_t got[TOTAL];
    const struct nst_slice out = {got, sizeof got};
    size_t n = m->r.q.bytes;

    assert_int_equal(m->read + n, m->r.nxt);
    assert_int_equal(nst_recvq_read(&m->r.q, 0, &out, 1), n);
    assert_memory_equal(got, m->bytes + m->read, n);
    nst_recvq_consume(&m->r.q, n);
    m->read += n;
}

/* A segment at a random place of the window, of random bytes: where it contradicts what is there it
 * shows which of them won. */
static void step(struct model *m)
{
    static const size_t maxima[] = {1, 10, 200, 1500};
    uint8_t bytes[WINDOW];
    bool in_order = below(m, 12) == 0;
    size_t start = m->r.nxt + (in_order ? 0 : 1 + below(m, WINDOW - 2)), part[2];
    size_t room = nst_min(m->r.nxt + WINDOW, TOTAL) - nst_min(start, TOTAL);
    size_t end = start + nst_min(room, 1 + below(m, maxima[below(m, NST_ARRAY_LEN(maxima))]));

    if (room == 0)
        return;
    memset(bytes, (int)below(m, 256), sizeof bytes);
    model_overlap(m, start, end, part);
    bool all = part[0] == start && part[1] == end;
    if (!all || in_order)
        model_take(m, bytes, start, end);
    else
        m->recent[m->nrecent++] = start;
    enum nst_drop drop = receive(&m->r, cut_pkt(m, bytes, end - start), start);
    assert_drop(drop, all && !in_order ? NST_DROP_tcp_dup : NST_DROP_NONE);
    assert_int_equal(place_of(&m->r, m->r.dup.start), part[0]);
    assert_int_equal(place_of(&m->r, m->r.dup.end), part[1]);
    if (in_order)
        assert_int_equal(m->r.nxt, run_end(m, start));
    check_sacks(m);
    check_stream(m);
}

static void random_walk(unsigned seed, uint32_t isn)
{
    struct model m = {.nrecent = 0};

    test_prng_init(&m.prng, seed);
    receiver_init(&m.r, isn, 0);
    while (m.nrecent < NST_ARRAY_LEN(m.recent) && m.r.nxt < TOTAL)
        step(&m);
    receiver_fini(&m.r);
    assert_int_equal(core.pool.used_bytes, 0);
}

static void test_random_walk(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 25; seed++)
        random_walk(seed, isns[seed % NST_ARRAY_LEN(isns)]);
}

/* ---- Limits ------------------------------------------------------------------------------ */

#define STEP 10 /* between the starts of runs */

/* As many runs of a byte as there may be: at STEP, 2 STEP … */
static void fill_runs(struct receiver *r)
{
    for (size_t i = 1; i <= NST_OOO_RUNS_MAX; i++)
        assert_drop(receive_true(r, i * STEP, 1), NST_DROP_NONE);
    assert_int_equal(nst_ooo_bytes(r->ooo), NST_OOO_RUNS_MAX);
}

static bool waits(const struct receiver *r, size_t place)
{
    struct nst_tcp_sack part = nst_ooo_overlap(r->ooo, seq_of(r, place), seq_of(r, place + 1));

    return !nst_seq_eq(part.start, part.end);
}

static void test_runs_are_limited(void **state)
{
    const size_t last = NST_OOO_RUNS_MAX * STEP;
    struct receiver r;
    (void)state;

    receiver_init(&r, 0xfffffff0, 0);
    fill_runs(&r);
    assert_drop(receive_true(&r, last + STEP, 1), NST_DROP_tcp_ooo_full);
    assert_int_equal(drops(NST_DROP_tcp_ooo_full), 1);
    assert_false(waits(&r, last + STEP));
    /* What needs no run of its own is welcome, be it furthest. */
    assert_drop(receive_true(&r, last + 1, 1), NST_DROP_NONE);
    assert_drop(receive_true(&r, STEP + 1, 1), NST_DROP_NONE);
    assert_drop(receive_true(&r, 3 * STEP - 1, 1), NST_DROP_NONE);
    assert_drop(receive_true(&r, 4 * STEP - 1, 3), NST_DROP_NONE);
    assert_true(waits(&r, last));
    /* What lies nearer takes the place of what lies furthest: a run, of one packet here. */
    assert_drop(receive_true(&r, STEP + 5, 1), NST_DROP_NONE);
    assert_int_equal(drops(NST_DROP_tcp_ooo_full), 2);
    assert_true(waits(&r, STEP + 5));
    assert_false(waits(&r, last) || waits(&r, last + 1));
    assert_true(waits(&r, last - STEP));
    /* A gap that closes makes a place. */
    assert_drop(receive_true(&r, STEP + 2, 3), NST_DROP_NONE);
    assert_drop(receive_true(&r, last, 1), NST_DROP_NONE);
    assert_int_equal(drops(NST_DROP_tcp_ooo_full), 2);
    assert_int_equal(drops(NST_DROP_tcp_dup), 1); /* the byte that a segment of three covered */
    receiver_fini(&r);
}

/* What so many segments of the usual size take. */
static size_t mem_of(size_t pkts, size_t runs)
{
    return pkts * (sizeof(struct nst_pkt) + sizeof(struct nst_buf) + NST_BUF_SMALL) +
           runs * sizeof(struct run);
}

static void test_memory_is_limited(void **state)
{
    struct receiver r;
    (void)state;

    receiver_init(&r, 0x7ffffff0, 0);
    r.mem_max = mem_of(3, 3);
    for (size_t i = 1; i <= 3; i++)
        assert_drop(receive_true(&r, i * 2000, 1000), NST_DROP_NONE);
    assert_int_equal(nst_ooo_mem(r.ooo), r.mem_max);
    assert_drop(receive_true(&r, 8000, 1000), NST_DROP_tcp_ooo_full);
    assert_drop(receive_true(&r, 6500, 1000), NST_DROP_tcp_ooo_full);
    assert_drop(receive_true(&r, 5500, 1500), NST_DROP_tcp_ooo_full);
    assert_true(waits(&r, 6000) && waits(&r, 6999));
    assert_drop(receive_true(&r, 3000, 500), NST_DROP_NONE);
    assert_true(waits(&r, 3499) && waits(&r, 4000) && !waits(&r, 6000));
    /* A duplicate costs nothing and pushes nothing out. */
    assert_drop(receive_true(&r, 2000, 1500), NST_DROP_tcp_dup);
    assert_true(waits(&r, 4999));
    assert_int_equal(drops(NST_DROP_tcp_ooo_full), 4);
    receiver_fini(&r);
}

/* Of a run only as many packets go, from its end, as must. */
static void test_eviction_is_by_packet(void **state)
{
    struct receiver r;
    (void)state;

    receiver_init(&r, 0, 0);
    for (size_t i = 0; i < 3; i++)
        assert_drop(receive_true(&r, 5000 + 1000 * i, 1000), NST_DROP_NONE);
    r.mem_max = mem_of(3, 2) - 1;
    assert_drop(receive_true(&r, 1000, 1000), NST_DROP_NONE);
    assert_int_equal(drops(NST_DROP_tcp_ooo_full), 2);
    assert_true(waits(&r, 1000) && waits(&r, 5999) && !waits(&r, 6000));
    assert_true(nst_ooo_mem(r.ooo) <= r.mem_max);
    receiver_fini(&r);
}

static void test_no_room_at_all(void **state)
{
    struct receiver r;
    (void)state;

    receiver_init(&r, 0, 0);
    r.mem_max = 2000;
    assert_drop(receive_true(&r, 1000, 1000), NST_DROP_tcp_ooo_full);
    assert_null(r.ooo);
    assert_int_equal(nst_ooo_mem(NULL) + nst_ooo_bytes(NULL) + nst_ooo_sacks(NULL, NULL, 4), 0);
    receiver_fini(&r);
}

/* At the limits nothing is right but the bytes; those always are. */
static void walk_at_the_limits(unsigned seed, uint32_t isn)
{
    struct nst_prng prng;
    struct receiver r;

    test_prng_init(&prng, seed);
    receiver_init(&r, isn, 0);
    for (unsigned i = 0; i < 500; i++) {
        size_t start = r.nxt + nst_prng_below(&prng, 20) * 97;
        r.mem_max = 2000 + nst_prng_below(&prng, 20000);
        size_t furthest = nst_max(r.mem_max, nst_ooo_mem(r.ooo));
        receive_true(&r, start, 1 + nst_prng_below(&prng, 1200));
        assert_true(nst_ooo_mem(r.ooo) <= furthest);
    }
    assert_true(r.nxt > 0);
    assert_true_stream(&r, 0);
    receiver_fini(&r);
}

static void test_walk_at_the_limits(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 10; seed++)
        walk_at_the_limits(seed, isns[seed % NST_ARRAY_LEN(isns)]);
    assert_true(drops(NST_DROP_tcp_ooo_full) > 0);
}

/* ---- Cost -------------------------------------------------------------------------------- */

/* CVE-2018-5390, CVE-2018-6922: a segment costs few steps however many runs wait. */
static void test_cost_with_all_runs(void **state)
{
    const unsigned log2_runs = 9; /* of NST_OOO_RUNS_MAX */
    struct nst_prng prng;
    struct receiver r;
    (void)state;

    test_prng_init(&prng, 3);
    receiver_init(&r, 0xfffff000, 0);
    fill_runs(&r);
    assert_int_equal(1u << log2_runs, NST_OOO_RUNS_MAX);
    for (unsigned i = 0; i < 1000; i++) {
        size_t place = STEP + nst_prng_below(&prng, NST_OOO_RUNS_MAX * STEP);
        struct nst_pkt *pkt = segment(place, 1);
        comparisons = 0;
        nst_ooo_push_take(&r.ooo, &core.env, pkt, seq_of(&r, place), NOLIMIT, &r.dup);
        assert_in_range(comparisons, 1, 2 * log2_runs);
    }
    receiver_fini(&r);
}

/* Every second byte of a stream, then one segment over all of it: it stays one piece, and what it
 * covers is gone. */
static void test_one_segment_over_many_runs(void **state)
{
    struct receiver r;
    (void)state;

    receiver_init(&r, 0xffffff00, 0);
    for (size_t i = 0; i < NST_OOO_RUNS_MAX; i++)
        receive_true(&r, 2 + 2 * i, 1);
    assert_drop(receive_true(&r, 1, 2 * NST_OOO_RUNS_MAX + 5), NST_DROP_NONE);
    assert_int_equal(drops(NST_DROP_tcp_dup), NST_OOO_RUNS_MAX);
    assert_ack(&r, "0 2-3 1-1030");
    assert_true(nst_ooo_mem(r.ooo) <= mem_of(1, 1));
    receive_true(&r, 0, 1);
    assert_int_equal(r.nxt, 2 * NST_OOO_RUNS_MAX + 6);
    assert_null(r.ooo);
    assert_true_stream(&r, 0);
    receiver_fini(&r);
}

/* ---- Memory ------------------------------------------------------------------------------ */

#define FLOOD 4000

static size_t forwards(size_t i)
{
    return i;
}

static size_t backwards(size_t i)
{
    return FLOOD - 1 - i;
}

/* Pairs of which the second byte comes first. */
static size_t swapped(size_t i)
{
    return i ^ 1;
}

/* Every tenth byte, then all behind those, and so on: runs that grow and join at the end. */
static size_t combed(size_t i)
{
    return i / (FLOOD / 10) + i % (FLOOD / 10) * 10;
}

/* A byte at a time, in whatever order, does not pin a buffer of 2,048 bytes for each. */
static void test_flood_of_bytes(void **state)
{
    static const struct {
        size_t (*order)(size_t i);
        size_t times; /* memory is at most so many times the bytes */
    } rows[] = {{forwards, 2}, {swapped, 2}, {backwards, 4}, {combed, 4}};
    (void)state;

    for (size_t row = 0; row < NST_ARRAY_LEN(rows); row++) {
        struct receiver r;
        receiver_init(&r, 0xfffffff0, 0);
        for (size_t i = 0; i < FLOOD; i++)
            assert_drop(receive_true(&r, 1 + rows[row].order(i), 1), NST_DROP_NONE);
        assert_int_equal(nst_ooo_bytes(r.ooo), FLOOD);
        assert_true(nst_ooo_mem(r.ooo) <= rows[row].times * FLOOD + mem_of(1, 1));
        receive_true(&r, 0, 1);
        assert_int_equal(r.nxt, 1 + FLOOD);
        assert_true_stream(&r, 0);
        receiver_fini(&r);
    }
}

/* A stream in segments that touch every path: gaps, both kinds of overlap, runs that join, one that
 * is covered, few bytes of a shared buffer. Prepared beforehand, so that only the module's own
 * allocations can fail: the `n`-th does. */
static void run_without_memory(struct receiver *r, uint64_t n)
{
    static const size_t at[][2] = {{100, 50},  {300, 600}, {200, 20}, {140, 70}, {1000, 5},
                                   {850, 200}, {1500, 3},  {290, 30}, {0, 10},   {5, 100}};
    struct nst_pkt *pkts[NST_ARRAY_LEN(at)], *clones[NST_ARRAY_LEN(at)];

    for (size_t i = 0; i < NST_ARRAY_LEN(at); i++) {
        pkts[i] = segment(at[i][0], at[i][1]);
        clones[i] = nst_pkt_clone(pkts[i]);
    }
    test_memory_fail_in(&core.memory, n);
    for (size_t i = 0; i < NST_ARRAY_LEN(at); i++) {
        enum nst_drop drop = receive(r, pkts[i], at[i][0]);
        assert_true(drop == NST_DROP_NONE || drop == NST_DROP_no_memory);
    }
    for (size_t i = 0; i < NST_ARRAY_LEN(at); i++)
        nst_pkt_free(clones[i]);
}

/* Every allocation fails once: what could not be kept is dropped by name, the rest is right. */
static void test_without_memory(void **state)
{
    bool failed = true;
    unsigned lost = 0;
    (void)state;

    for (uint64_t n = 1; failed; n++) {
        struct test_core outer = core;
        struct receiver r;
        test_core_init(&core);
        receiver_init(&r, 0xffffff00, 0);
        run_without_memory(&r, n);
        failed = core.memory.calls >= core.memory.fail_at;
        lost += drops(NST_DROP_no_memory) > 0;
        assert_true(failed || drops(NST_DROP_no_memory) == 0);
        core.memory.fail_at = 0;
        assert_true_stream(&r, 0);
        receiver_fini(&r);
        test_core_fini(&core);
        core = outer;
    }
    assert_true(lost > 0);
}

/* ---- The end ----------------------------------------------------------------------------- */

static void test_free_tells_of_each_packet(void **state)
{
    struct nst_ooo *none = NULL;
    struct receiver r;
    (void)state;

    receiver_init(&r, 0, 0);
    for (size_t i = 1; i <= 5; i++)
        receive_true(&r, i * 2000, 1000);
    receiver_fini(&r);
    assert_int_equal(drops(NST_DROP_sock_closed), 5);
    nst_ooo_free(&none, &core.env);
    nst_ooo_check(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sack_first_is_lost),
        TEST(test_sack_every_second_is_lost),
        TEST(test_sack_more_runs_than_blocks),
        TEST(test_dsack_duplicate),
        TEST(test_dsack_duplicate_and_out_of_order),
        TEST(test_dsack_duplicate_of_out_of_order),
        TEST(test_dsack_part_in_order),
        TEST(test_dsack_two_parts_in_order),
        TEST(test_dsack_in_order_reaches_what_waits),
        TEST(test_dsack_two_parts_out_of_order),
        TEST(test_random_walk),
        TEST(test_runs_are_limited),
        TEST(test_memory_is_limited),
        TEST(test_eviction_is_by_packet),
        TEST(test_no_room_at_all),
        TEST(test_walk_at_the_limits),
        TEST(test_cost_with_all_runs),
        TEST(test_one_segment_over_many_runs),
        TEST(test_flood_of_bytes),
        TEST(test_without_memory),
        TEST(test_free_tells_of_each_packet),
    };
    return cmocka_run_group_tests_name("reassembly", tests, NULL, NULL);
}
