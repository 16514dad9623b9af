/* The wire that impairs: arithmetic and order on virtual time, chances that follow from the seed,
 * and the text form of its settings. */
#include "../unit.h"

#include "cli/impair.h"
#include "core/base/bytes.h"

#include <errno.h>

#define START (5 * NST_SEC)
#define LEN   1250 /* 10,000 bits: 1 ms at 10 Mb/s */
#define MANY  20000

static const uint8_t seed[32] = {1, 2, 3};
static uint8_t data[LEN];

static void start(struct nst_impair *w, struct nst_impair_config config)
{
    nst_impair_init(w, &config, seed, "test");
}

/* A frame with a number. */
static void push(struct nst_impair *w, unsigned number, nst_time now)
{
    memset(data, 0, sizeof data);
    nst_store32(data, number);
    nst_impair_push(w, data, sizeof data, now);
}

static void push_many(struct nst_impair *w, unsigned n, nst_time now)
{
    for (unsigned i = 0; i < n; i++)
        push(w, i, now);
}

static void assert_nothing(struct nst_impair *w, nst_time now)
{
    assert_null(nst_impair_pull(w, now));
}

/* The next frame must be that one, come out exactly when the wire said, which is at `at`. */
static void assert_comes(struct nst_impair *w, unsigned number, nst_time at)
{
    assert_int_equal(nst_impair_deadline(w), at);
    assert_nothing(w, at - 1);
    struct nst_impair_frame *f = nst_impair_pull(w, at);
    assert_non_null(f);
    assert_int_equal(f->len, LEN);
    assert_int_equal(nst_load32(f->data), number);
    nst_impair_frame_free(f);
}

/* Pulls all there is, as it comes; folds numbers and times, in order, into a digest. */
static uint64_t drain(struct nst_impair *w)
{
    struct nst_impair_frame *f;
    uint64_t digest = 0;
    nst_time now;

    while ((now = nst_impair_deadline(w)) != NST_TIME_NEVER)
        while ((f = nst_impair_pull(w, now))) {
            digest = (digest ^ nst_load32(f->data) ^ now << 24) * UINT64_C(0x100000001b3);
            nst_impair_frame_free(f);
        }
    assert_int_equal(nst_impair_held(w), 0);
    assert_int_equal(w->held_bytes, 0);
    assert_int_equal(w->stats.sent + w->stats.repeated,
                     w->stats.lost + w->stats.overflowed + w->stats.delivered);
    return digest;
}

/* ---- Time and order ---- */

static void test_perfect(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){0});
    assert_int_equal(nst_impair_deadline(&w), NST_TIME_NEVER);
    assert_nothing(&w, START);
    push_many(&w, 3, START);
    assert_int_equal(nst_impair_held(&w), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_comes(&w, i, START);
    assert_int_equal(w.stats.bytes, 3 * LEN);
    drain(&w);
    nst_impair_fini(&w);
}

static void test_delay(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.delay = 7 * NST_MS});
    push(&w, 0, START);
    push(&w, 1, START + NST_MS);
    assert_comes(&w, 0, START + 7 * NST_MS);
    assert_comes(&w, 1, START + 8 * NST_MS);
    nst_impair_fini(&w);
}

/* A frame takes its length divided by the rate, behind those before it, and then the delay. */
static void test_rate(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.rate_bps = 10000000, .delay = 5 * NST_MS});
    push_many(&w, 3, START);
    assert_comes(&w, 0, START + 6 * NST_MS);
    assert_comes(&w, 1, START + 7 * NST_MS);
    assert_comes(&w, 2, START + 8 * NST_MS);
    push(&w, 3, START + 20 * NST_MS); /* after a pause */
    assert_comes(&w, 3, START + 26 * NST_MS);
    nst_impair_fini(&w);
}

/* 10,000 bits at 3 Gb/s take 3,333 1/3 ns: the thirds add up. */
static void test_rate_keeps_fractions(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.rate_bps = 3000000000});
    push_many(&w, 6, START);
    assert_comes(&w, 0, START + 3333);
    assert_comes(&w, 1, START + 6666);
    assert_comes(&w, 2, START + 10000);
    assert_comes(&w, 3, START + 13333);
    nst_impair_fini(&w); /* with frames on it */
}

static void test_queue_of_frames(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.rate_bps = 10000000, .queue_frames = 4});
    push_many(&w, 10, START);
    assert_int_equal(w.stats.overflowed, 5); /* one is being sent, four wait */
    push(&w, 10, START + NST_MS - 1);
    assert_int_equal(w.stats.overflowed, 6);
    push(&w, 11, START + NST_MS); /* the first has gone */
    assert_int_equal(w.stats.overflowed, 6);
    for (unsigned i = 0; i < 5; i++)
        assert_comes(&w, i, START + (i + 1) * NST_MS);
    assert_comes(&w, 11, START + 6 * NST_MS);
    drain(&w);
    nst_impair_fini(&w);
}

static void test_queue_of_bytes(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.rate_bps = 10000000, .queue_bytes = 4 * LEN});
    push_many(&w, 10, START);
    assert_int_equal(w.stats.overflowed, 5);
    nst_impair_push(&w, data, 1, START);
    assert_int_equal(w.stats.overflowed, 6);
    nst_impair_fini(&w);
    start(&w, (struct nst_impair_config){.rate_bps = 10000000, .queue_bytes = 4 * LEN + 1});
    push_many(&w, 10, START);
    nst_impair_push(&w, data, 1, START); /* smaller ones may still fit */
    assert_int_equal(w.stats.overflowed, 5);
    nst_impair_fini(&w);
}

static void test_queue_by_default(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.rate_bps = 1});
    push_many(&w, NST_IMPAIR_QUEUE_FRAMES + 3, START);
    assert_int_equal(w.stats.overflowed, 2);
    nst_impair_fini(&w);
}

/* Without a rate nothing queues; but a long wire doesn't take all the memory there is. */
static void test_memory_is_bounded(void **state)
{
    static uint8_t large[65535];
    const size_t fit = NST_IMPAIR_HELD_BYTES_MAX / sizeof large;
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.delay = NST_SEC});
    for (size_t i = 0; i < fit + 10; i++)
        nst_impair_push(&w, large, sizeof large, START);
    assert_int_equal(w.stats.overflowed, 10);
    assert_int_equal(nst_impair_held(&w), fit);
    nst_impair_frame_free(nst_impair_pull(&w, START + NST_SEC));
    nst_impair_push(&w, large, sizeof large, START + NST_SEC);
    assert_int_equal(w.stats.overflowed, 10);
    nst_impair_fini(&w);
}

static void test_jitter_keeps_the_order(void **state)
{
    struct nst_impair_frame *f;
    nst_time last = 0, now;
    struct nst_impair w;
    unsigned n = 0;
    (void)state;

    start(&w, (struct nst_impair_config){.delay = NST_MS, .jitter = NST_MS});
    for (unsigned i = 0; i < 100; i++)
        push(&w, i, START + i * 10 * NST_US);
    while ((now = nst_impair_deadline(&w)) != NST_TIME_NEVER) {
        f = nst_impair_pull(&w, now);
        if (!f)
            continue;
        assert_int_equal(nst_load32(f->data), n);
        assert_in_range(now, START + n * 10 * NST_US + NST_MS, START + 3 * NST_MS);
        assert_true(now >= last);
        last = now;
        n++;
        nst_impair_frame_free(f);
    }
    assert_int_equal(n, 100);
    assert_true(last > START + 2 * NST_MS);
    nst_impair_fini(&w);
}

static void test_reorder(void **state)
{
    struct nst_impair_frame *f;
    struct nst_impair w;
    unsigned overtaken = 0, latest = 0;
    (void)state;

    start(&w, (struct nst_impair_config){.reorder_ppm = 250000, .reorder_delay = 2 * NST_MS});
    for (unsigned i = 0; i < 100; i++)
        push(&w, i, START + i * 100 * NST_US);
    for (nst_time now = START; now < START + NST_SEC; now += 10 * NST_US)
        while ((f = nst_impair_pull(&w, now))) {
            unsigned n = nst_load32(f->data);
            assert_true(now <= START + n * 100 * NST_US + 2 * NST_MS);
            overtaken += n < latest;
            latest = n > latest ? n : latest;
            nst_impair_frame_free(f);
        }
    assert_int_equal(w.stats.delivered, 100);
    assert_int_equal(w.stats.reordered, 23);
    assert_true(overtaken > 15 && overtaken <= w.stats.reordered);
    drain(&w);
    nst_impair_fini(&w);
}

/* ---- Fate ---- */

static void test_certainties(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, (struct nst_impair_config){.loss_ppm = NST_IMPAIR_PPM});
    push_many(&w, 10, START);
    drain(&w);
    assert_int_equal(w.stats.lost, 10);
    nst_impair_fini(&w);

    start(&w, (struct nst_impair_config){.repeat_ppm = NST_IMPAIR_PPM});
    push_many(&w, 2, START);
    assert_comes(&w, 0, START);
    assert_comes(&w, 0, START);
    assert_comes(&w, 1, START);
    assert_comes(&w, 1, START);
    assert_int_equal(w.stats.repeated, 2);
    nst_impair_fini(&w);

    start(&w, (struct nst_impair_config){.burst_begin_ppm = NST_IMPAIR_PPM,
                                         .burst_end_ppm = NST_IMPAIR_PPM});
    push_many(&w, 10, START); /* every other one */
    for (unsigned i = 1; i < 10; i += 2)
        assert_comes(&w, i, START);
    assert_int_equal(w.stats.lost, 5);
    nst_impair_fini(&w);
}

static unsigned bits_of(const struct nst_impair_frame *f)
{
    unsigned bits = 0;

    for (size_t i = 0; i < f->len; i++)
        bits += (unsigned)__builtin_popcount(f->data[i]);
    return bits;
}

/* One bit more, never one less; in each copy another. */
static void test_corrupt(void **state)
{
    const uint8_t tight[2] = {0xff, 0xbf}, full[2] = {0xff, 0xff};
    struct nst_impair w;
    (void)state;

    start(&w,
          (struct nst_impair_config){.corrupt_ppm = NST_IMPAIR_PPM, .repeat_ppm = NST_IMPAIR_PPM});
    push(&w, 0, START);
    struct nst_impair_frame *f = nst_impair_pull(&w, START), *twin = nst_impair_pull(&w, START);
    assert_int_equal(bits_of(f), 1);
    assert_int_equal(bits_of(twin), 1);
    assert_memory_not_equal(f->data, twin->data, LEN);
    nst_impair_frame_free(f);
    nst_impair_frame_free(twin);
    assert_int_equal(w.stats.corrupted, 2);
    for (int i = 0; i < 20; i++) {
        nst_impair_push(&w, i & 1 ? full : tight, 2, START);
        while ((f = nst_impair_pull(&w, START))) {
            assert_memory_equal(f->data, full, 2);
            nst_impair_frame_free(f);
        }
    }
    nst_impair_fini(&w);
}

/* One tenth each, exactly these. */
static const struct nst_impair_config tenths = {.delay = NST_MS,
                                                .loss_ppm = 100000,
                                                .repeat_ppm = 100000,
                                                .reorder_ppm = 100000,
                                                .corrupt_ppm = 100000};

static void test_chances(void **state)
{
    struct nst_impair w;
    (void)state;

    start(&w, tenths);
    push_many(&w, MANY, START);
    drain(&w);
    assert_int_equal(w.stats.lost, 2004);
    assert_int_equal(w.stats.repeated, 1741);
    assert_int_equal(w.stats.reordered, 1849);
    assert_int_equal(w.stats.corrupted, 1938);
    nst_impair_fini(&w);

    /* A burst begins before every 100th frame and ends after four: a share of 0.01 / 0.26. */
    start(&w, (struct nst_impair_config){.burst_begin_ppm = 10000, .burst_end_ppm = 250000});
    push_many(&w, MANY, START);
    drain(&w);
    assert_int_equal(w.stats.lost, 785);
    nst_impair_fini(&w);
}

static void run(struct nst_impair *w, const struct nst_impair_config *config, uint8_t seed0,
                const char *purpose, uint64_t *digest)
{
    const uint8_t own[32] = {seed0};

    nst_impair_init(w, config, own, purpose);
    push_many(w, 1000, START);
    *digest = drain(w);
    nst_impair_fini(w);
}

static void test_the_seed_decides(void **state)
{
    struct nst_impair w;
    uint64_t first, again, other_seed, other_name;
    (void)state;

    run(&w, &tenths, 1, "x", &first);
    run(&w, &tenths, 1, "x", &again);
    run(&w, &tenths, 2, "x", &other_seed);
    run(&w, &tenths, 1, "y", &other_name);
    assert_int_equal(first, again);
    assert_int_not_equal(first, other_seed);
    assert_int_not_equal(first, other_name);
}

/* What is decided doesn't depend on how often the wire is looked at. */
static void test_looking_changes_nothing(void **state)
{
    const struct nst_impair_config config = {.rate_bps = 10000000,
                                             .loss_ppm = 100000,
                                             .jitter = NST_MS,
                                             .repeat_ppm = 100000,
                                             .reorder_ppm = 100000};
    struct nst_impair seldom, often;
    (void)state;

    start(&seldom, config);
    start(&often, config);
    for (unsigned i = 0; i < 500; i++) {
        push(&seldom, i, START + i * NST_US);
        push(&often, i, START + i * NST_US);
        for (unsigned look = 0; look < 10; look++)
            assert_nothing(&often, START + i * NST_US);
    }
    assert_int_equal(drain(&seldom), drain(&often));
    nst_impair_fini(&seldom);
    nst_impair_fini(&often);
}

/* The same frames are lost, whatever else happens to others. */
static void test_effects_are_independent(void **state)
{
    struct nst_impair alone, among;
    struct nst_impair_config config = {.loss_ppm = 300000};
    struct nst_impair_frame *f, *g;
    (void)state;

    start(&alone, config);
    config.jitter = 3;
    config.repeat_ppm = NST_IMPAIR_PPM;
    start(&among, config);
    for (unsigned i = 0; i < 1000; i++) {
        push(&alone, i, START + i * NST_US);
        push(&among, i, START + i * NST_US);
        f = nst_impair_pull(&alone, START + i * NST_US + 3);
        g = nst_impair_pull(&among, START + i * NST_US + 3);
        assert_int_equal(!f, !g);
        nst_impair_frame_free(f);
        nst_impair_frame_free(g);
        if (g)
            nst_impair_frame_free(nst_impair_pull(&among, START + i * NST_US + 3));
    }
    assert_int_equal(alone.stats.lost, among.stats.lost);
    nst_impair_fini(&alone);
    nst_impair_fini(&among);
}

/* ---- Text ---- */

static void test_parse(void **state)
{
    char why[NST_IMPAIR_WHY];
    struct nst_impair_config c = {.loss_ppm = 5, .queue_bytes = 9};
    (void)state;

    assert_int_equal(nst_impair_parse(&c,
                                      "rate=100mbit,queue=250,delay=10ms,jitter=1.5us,"
                                      "burst=0.7%:25%,repeat=50%,reorder=25%:5ms,corrupt=0.0001%",
                                      why),
                     0);
    assert_int_equal(c.rate_bps, 100000000);
    assert_int_equal(c.queue_frames, 250);
    assert_int_equal(c.queue_bytes, 0);
    assert_int_equal(c.delay, 10 * NST_MS);
    assert_int_equal(c.jitter, 1500);
    assert_int_equal(c.loss_ppm, 5); /* as before */
    assert_int_equal(c.burst_begin_ppm, 7000);
    assert_int_equal(c.burst_end_ppm, 250000);
    assert_int_equal(c.repeat_ppm, 500000);
    assert_int_equal(c.reorder_ppm, 250000);
    assert_int_equal(c.reorder_delay, 5 * NST_MS);
    assert_int_equal(c.corrupt_ppm, 1);
    assert_int_equal(nst_impair_parse(&c, "queue=64KiB,rate=1.5gbit,loss=100%,reorder=1%", why), 0);
    assert_int_equal(c.queue_frames, 0);
    assert_int_equal(c.queue_bytes, 65536);
    assert_int_equal(c.rate_bps, 1500000000);
    assert_int_equal(c.loss_ppm, NST_IMPAIR_PPM);
    assert_int_equal(c.reorder_delay, 5 * NST_MS); /* stays */
}

static void test_parse_refuses(void **state)
{
    static const struct {
        const char *spec, *why;
    } rows[] = {
        {"", "'' is not KEY=VALUE"},
        {"loss", "'loss' is not KEY=VALUE"},
        {"loss=1%,", "'' is not KEY=VALUE"},
        {"los=1%", "'los' is not a key"},
        {"loss=1", "'loss' needs a share"},
        {"loss=101%", "'loss' needs a share"},
        {"loss=-1%", "'loss' needs a share"},
        {"loss=1e1%", "'loss' needs a share"},
        {"loss=nan%", "'loss' needs a share"},
        {"loss=%", "'loss' needs a share"},
        {"loss=1.2.3%", "'loss' needs a share"},
        {"loss=1%x", "'loss' needs a share"},
        {"burst=1%", "'burst' needs two shares"},
        {"burst=1%:0%", "'burst' needs two shares"},
        {"burst=1:1", "'burst' needs two shares"},
        {"repeat=2", "'repeat' needs a share"},
        {"reorder=1%:", "'reorder' needs a share and perhaps a time"},
        {"reorder=:5ms", "'reorder' needs a share and perhaps a time"},
        {"corrupt=", "'corrupt' needs a share"},
        {"delay=10", "'delay' needs a time"},
        {"delay=3601s", "'delay' needs a time up to 3600s"},
        {"jitter=0x1ms", "'jitter' needs a time"},
        {"rate=100", "'rate' needs a rate"},
        {"rate=1001gbit", "'rate' needs a rate"},
        {"queue=0", "'queue' needs a number of frames from 1"},
        {"queue=5000000000", "'queue' needs"},
        {"queue=1GB", "'queue' needs"},
    };
    char why[NST_IMPAIR_WHY], longest[600];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct nst_impair_config c = {0};
        assert_int_equal(nst_impair_parse(&c, rows[i].spec, why), -EINVAL);
        if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s: %s", rows[i].spec, why);
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(nst_impair_parse(&(struct nst_impair_config){0}, longest, why), -EINVAL);
    assert_non_null(strstr(why, "is too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perfect),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_keeps_fractions),
        cmocka_unit_test(test_queue_of_frames),
        cmocka_unit_test(test_queue_of_bytes),
        cmocka_unit_test(test_queue_by_default),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_jitter_keeps_the_order),
        cmocka_unit_test(test_reorder),
        cmocka_unit_test(test_certainties),
        cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_chances),
        cmocka_unit_test(test_the_seed_decides),
        cmocka_unit_test(test_looking_changes_nothing),
        cmocka_unit_test(test_effects_are_independent),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
    };
    return cmocka_run_group_tests_name("cli/impair", tests, NULL, NULL);
}
