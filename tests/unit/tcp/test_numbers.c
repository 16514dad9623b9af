/* Numbers that nobody outside may predict: initial sequence numbers (attack rows 53 to 61, 81, 268,
 * 291), ports (146, 147, 292), timestamps (293), cookies (314), and what they follow from (236,
 * 237). The seeds are fixed, so that these statistics are the same in every run; their limits are
 * those of p > 0.001. */
#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define N 100000

static struct harness h;
static struct nst_tcps *tcps;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    tcps = &h.stack->tcps;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static struct nst_flow_id flow(unsigned i)
{
    struct nst_flow_id id = {
        .local = test_addr(US), .peer = test_addr(FAR), .lport = 80, .pport = (uint16_t)i};

    id.peer.bytes[2] = (uint8_t)(i >> 16);
    return id;
}

/* ---- Statistics -------------------------------------------------------------------------- */

/* Chi-square over 256 classes of equal chance: 255 degrees of freedom, p > 0.001. */
static void assert_uniform(const uint8_t *values, size_t n)
{
    size_t count[256] = {0};
    double chi = 0, expected = (double)n / 256;

    for (size_t i = 0; i < n; i++)
        count[values[i]]++;
    for (unsigned i = 0; i < 256; i++)
        chi += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
    assert_true(chi > 190 && chi < 331);
}

static uint8_t bytes[N];

/* Each byte of the numbers is uniform, and so is that of the differences of neighbours. */
static void assert_unpredictable(const uint32_t *values, size_t n)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(values[i] >> shift);
        assert_uniform(bytes, n);
        for (size_t i = 0; i + 1 < n; i++)
            bytes[i] = (uint8_t)((values[i + 1] - values[i]) >> shift);
        assert_uniform(bytes, n - 1);
    }
}

static uint32_t values[N];

/* ---- Initial sequence numbers ------------------------------------------------------------ */

/* Shows SHLD-1, 6528-1. */
static void test_053_isn_across_tuples(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        struct nst_flow_id id = flow(i);
        values[i] = nst_tcp_isn(tcps, &id).v;
    }
    assert_unpredictable(values, N);
}

/* 6528-1, MUST-8: between the same ends they go with a clock of 4 µs. */
static void test_054_isn_of_one_tuple_goes_on(void **state)
{
    struct nst_flow_id id = flow(7);
    uint32_t first = nst_tcp_isn(tcps, &id).v;
    (void)state;

    for (unsigned i = 1; i <= 240; i++) { /* two maximum lifetimes */
        h.stack->env.now += NST_SEC;
        assert_int_equal(nst_tcp_isn(tcps, &id).v - first, i * 250000);
    }
}

/* A stack of another boot. */
static struct nst_stack *boot(const char seed[32])
{
    struct nst_config config = {.now = h.now, .allocator = test_memory_allocator(&h.memory)};
    struct nst_stack *other;

    memcpy(config.seed, seed, sizeof config.seed);
    assert_int_equal(nst_stack_new(&other, &config), 0);
    return other;
}

/* Another seed, another offset: nothing is left of what was learnt before (MUST-9, 6528-2). */
static void test_055_isn_of_another_boot(void **state)
{
    struct nst_stack *other = boot((const char[32]){"another seed"});
    (void)state;

    for (unsigned i = 0; i < N; i++) {
        struct nst_flow_id id = flow(i);
        values[i] = nst_tcp_isn(tcps, &id).v - nst_tcp_isn(&other->tcps, &id).v;
    }
    assert_unpredictable(values, N);
    nst_stack_free(other);
}

/* What a SYN-ACK or SYN says is that number, not another one. */
static void test_056_isn_is_used(void **state)
{
    struct dialogue d;
    (void)state;

    dialogue_init(&d, &h, 4000, 5000);
    dialogue_connect(&d);
    struct nst_tcb *t = dialogue_tcb(&d);
    assert_int_equal(d.ack - 1, nst_tcp_isn(tcps, &t->flow.id).v);
    dialogue_init(&d, &h, 80, 5001);
    dialogue_listen(&d, 4);
    dialogue_say(&d, SYN, 0);
    struct nst_flow *req = dialogue_flow(&d);
    assert_int_equal(dialogue_sent(&d).seq, nst_tcp_isn(tcps, &req->id).v);
}

/* ---- Timestamps -------------------------------------------------------------------------- */

/* Row 293: the offset tells neither how long the host is up, nor that two connections are one
 * host's. */
static void test_293_timestamp_offsets(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        struct nst_flow_id id = flow(i);
        values[i] = nst_tcp_ts_offset(tcps, &id);
    }
    assert_unpredictable(values, N);
    struct nst_flow_id id = flow(1);
    uint32_t offset = nst_tcp_ts_offset(tcps, &id), before = nst_tcp_ts(tcps, offset);
    h.stack->env.now += 5 * NST_SEC; /* the same connection's clock is steady */
    assert_int_equal(nst_tcp_ts(tcps, offset) - before, 5000);
}

/* Of the same ends, the one tells nothing of the other (6528-3). */
static void test_isn_and_offset_are_strangers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        struct nst_flow_id id = flow(i);
        values[i] = nst_tcp_isn(tcps, &id).v - nst_tcp_ts_offset(tcps, &id);
    }
    assert_unpredictable(values, N);
}

/* ---- Ports ------------------------------------------------------------------------------- */

static void choose_ports(size_t n)
{
    const struct nst_flow_id id = flow(443);

    for (size_t i = 0; i < n; i++) {
        values[i] = nst_tcp_port_choose(tcps, &id);
        assert_in_range(values[i], 32768, 60999);
    }
}

/* The place among all ports, in 256 classes. */
static uint8_t class_of(uint32_t offset)
{
    return (uint8_t)(offset * 256 / (60999 - 32768 + 1));
}

static void test_146_ports_have_no_structure(void **state)
{
    (void)state;
    choose_ports(N);
    for (size_t i = 0; i < N; i++)
        bytes[i] = class_of(values[i] - 32768);
    assert_uniform(bytes, N);
    for (size_t i = 0; i + 1 < N; i++) /* from one to the next, around the circle */
        bytes[i] = class_of((values[i + 1] + 28232 - values[i]) % 28232);
    assert_uniform(bytes, N - 1);
}

/* Row 292, a test of runs: as many are greater than the one before as smaller, and the runs of
 * such are as many as chance makes: (2n - 1) / 3, with a variance of (16n - 29) / 90. */
static void test_292_ports_runs(void **state)
{
    size_t runs = 1;
    (void)state;

    choose_ports(10000);
    for (size_t i = 2; i < 10000; i++)
        runs += (values[i] > values[i - 1]) != (values[i - 1] > values[i - 2]);
    assert_in_range(runs, 6666 - 139, 6666 + 139); /* 3.3 standard deviations of 42 */
}

/* Row 292: not while the old one is in TIME-WAIT. Row 319: all of them, and quickly none. */
static void test_292_ports_in_use(void **state)
{
    struct nst_flow_id id = flow(443);
    static struct nst_flow flows[60999 - 32768 + 1];
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(flows); i++) {
        uint16_t port = nst_tcp_port_choose(tcps, &id);
        assert_in_range(port, 32768, 60999);
        flows[i].id = id;
        flows[i].id.lport = port;
        assert_null(nst_flow_find(tcps, &flows[i].id));
        nst_flow_insert(tcps, &flows[i], NST_FLOW_REQ);
    }
    assert_int_equal(nst_tcp_port_choose(tcps, &id), 0);
    struct nst_flow_id elsewhere = flow(444);
    assert_in_range(nst_tcp_port_choose(tcps, &elsewhere), 32768, 60999);
    for (size_t i = 0; i < NST_ARRAY_LEN(flows); i++)
        nst_flow_remove(tcps, &flows[i]);
}

/* ---- Cookies ----------------------------------------------------------------------------- */

static void test_314_cookies_have_no_structure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        struct nst_flow_id id = flow(i);
        values[i] = nst_cookie_make(tcps, &id, nst_seq_of(i), 1460).v;
        bytes[i] = (uint8_t)values[i];
    }
    assert_uniform(bytes, N);
    for (unsigned i = 0; i < N; i++)
        bytes[i] = (uint8_t)(values[i] >> 16);
    assert_uniform(bytes, N);
}

/* A guess is right once in 2^24, not for want of bits that are looked at. */
static void test_314_cookies_cannot_be_guessed(void **state)
{
    struct nst_flow_id id = flow(1), other = flow(2);
    nst_seq irs = nst_seq_of(77), cookie = nst_cookie_make(tcps, &id, irs, 1460);
    uint16_t mss;
    (void)state;

    assert_true(nst_cookie_check(tcps, &id, irs, cookie, &mss));
    assert_int_equal(mss, 1460);
    for (unsigned bit = 0; bit < 32; bit++)
        assert_false(nst_cookie_check(tcps, &id, irs, nst_seq_of(cookie.v ^ 1u << bit), &mss));
    assert_false(nst_cookie_check(tcps, &other, irs, cookie, &mss));
    assert_false(nst_cookie_check(tcps, &id, nst_seq_add(irs, 1), cookie, &mss));
    unsigned hits = 0;
    for (uint32_t guess = 0; guess < 1u << 20; guess++)
        hits += nst_cookie_check(tcps, &id, irs, nst_seq_of(guess * 4093), &mss);
    assert_true(hits <= 2);
}

static void test_314_cookies_age(void **state)
{
    struct nst_flow_id id = flow(1);
    nst_seq irs = nst_seq_of(77), cookie = nst_cookie_make(tcps, &id, irs, 1460);
    uint16_t mss;
    (void)state;

    h.stack->env.now += 59 * NST_SEC;
    assert_true(nst_cookie_check(tcps, &id, irs, cookie, &mss));
    for (unsigned minute = 2; minute < 32; minute++) {
        h.stack->env.now += 60 * NST_SEC;
        if (minute > 2)
            assert_false(nst_cookie_check(tcps, &id, irs, cookie, &mss));
    }
}

static void test_cookie_mss(void **state)
{
    static const struct {
        uint16_t offered, kept;
    } rows[] = {{0, 536},     {1, 48},      {48, 48},     {535, 48},    {536, 536},
                {1460, 1460}, {1459, 1440}, {8960, 8960}, {9000, 8960}, {65535, 8960}};
    struct nst_flow_id id = flow(1);
    uint16_t mss;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        nst_seq cookie = nst_cookie_make(tcps, &id, nst_seq_of(1), rows[i].offered);
        assert_true(nst_cookie_check(tcps, &id, nst_seq_of(1), cookie, &mss));
        assert_int_equal(mss, rows[i].kept);
    }
}

/* What travels in the timestamp comes back, and the clock is not put forward. */
static void test_cookie_timestamp(void **state)
{
    (void)state;
    for (uint32_t ts = UINT32_MAX - 70; ts != 70; ts++) {
        for (uint8_t scale = 0; scale <= 15; scale++) {
            for (unsigned bits = 0; bits < 4; bits++) {
                bool sack = bits & 1, ecn = bits & 2;
                uint32_t marked = nst_cookie_ts(ts, scale, sack, ecn);
                uint8_t got;
                bool got_sack, got_ecn;
                assert_true((int32_t)(ts - marked) >= 0 && ts - marked < 64);
                assert_int_equal(nst_cookie_ts_read(marked, &got, &got_sack, &got_ecn),
                                 scale != 15);
                assert_int_equal(got, scale == 15 ? 0 : scale);
                assert_int_equal(got_sack, sack);
                assert_int_equal(got_ecn, ecn);
            }
        }
    }
}

/* ---- Secrets ----------------------------------------------------------------------------- */

/* Whatever is chosen follows from all of the seed's bits. */
static void test_236_every_bit_of_the_seed_counts(void **state)
{
    char seed[32] = {0};
    struct nst_flow_id id = flow(1);
    unsigned same_ports = 0;
    (void)state;

    struct nst_stack *zero = boot(seed);
    uint16_t port = nst_tcp_port_choose(&zero->tcps, &id);
    for (unsigned bit = 0; bit < 256; bit++) {
        seed[bit / 8] = (char)(1 << bit % 8);
        struct nst_stack *other = boot(seed);
        values[bit] = nst_tcp_isn(&other->tcps, &id).v - nst_tcp_isn(&zero->tcps, &id).v;
        assert_int_not_equal(nst_tcp_ts_offset(&other->tcps, &id),
                             nst_tcp_ts_offset(&zero->tcps, &id));
        same_ports += nst_tcp_port_choose(&other->tcps, &id) == port;
        for (unsigned i = 0; i < bit; i++)
            assert_int_not_equal(values[bit], values[i]);
        nst_stack_free(other);
        seed[bit / 8] = 0;
    }
    nst_stack_free(zero);
    assert_true(same_ports < 3); /* of 28,232 */
}

/* Each purpose has a key of 128 bits of its own: what leaks of one helps against no other. */
static void test_237_no_secret_serves_twice(void **state)
{
    const struct nst_stack *s = h.stack;
    const struct nst_siphash_key *keys[] = {
        &tcps->flow_key,     &tcps->isn_key,        &tcps->ts_key,      &tcps->cookie_key,
        &tcps->fastopen_key, &tcps->metrics.key,    &s->neighbours.key, &s->icmp.key,
        &s->socks.key,       &s->ip.reassembly.key,
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(keys); i++) {
        assert_int_equal(sizeof *keys[i], 16);
        for (size_t j = 0; j < 2 * i; j++) /* and no half is another's */
            for (size_t half = 0; half < 2; half++)
                assert_memory_not_equal((const uint8_t *)keys[i] + half * 8,
                                        (const uint8_t *)keys[j / 2] + j % 2 * 8, 8);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_053_isn_across_tuples),
        T(test_054_isn_of_one_tuple_goes_on),
        T(test_055_isn_of_another_boot),
        T(test_056_isn_is_used),
        T(test_293_timestamp_offsets),
        T(test_isn_and_offset_are_strangers),
        T(test_146_ports_have_no_structure),
        T(test_292_ports_runs),
        T(test_292_ports_in_use),
        T(test_314_cookies_have_no_structure),
        T(test_314_cookies_cannot_be_guessed),
        T(test_314_cookies_age),
        T(test_cookie_mss),
        T(test_cookie_timestamp),
        T(test_236_every_bit_of_the_seed_counts),
        T(test_237_no_secret_serves_twice),
    };

    return cmocka_run_group_tests_name("tcp/numbers", tests, NULL, NULL);
}
