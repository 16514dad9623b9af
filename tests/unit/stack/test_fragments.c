/* Attacks by fragments, and the legitimate use that must survive them; see test_attacks.c.
 *
 * A datagram that is given up is remembered until its time is over, so that its later fragments do
 * not begin it anew; apart from that record nothing may be kept.
 *
 * Rows: 7 27 34 36 107 125 155 165 178 184 192 193 209 211 235 245 257 259 260 261 262 263 281 310.
 * Where we differ: row 125 wants at most 64 fragments in a datagram; we allow 128, for 65,535 bytes
 * at an MTU of 576 take 119. */
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/base/drop.h"

#include "../harness.h"

static struct harness h;
static struct frame whole, part;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    return 0;
}

/* After their time no fragment and no record of one is left. */
static int teardown(void **state)
{
    struct harness_state left;
    (void)state;

    harness_run(&h, 60 * NST_SEC);
    harness_state(&h, &left);
    assert_int_equal(left.fragments, 0);
    assert_int_equal(left.memory, 0);
    harness_fini(&h);
    return 0;
}

/* An echo request of `len` bytes behind its header, in one frame that no link could carry. */
static void big_echo(uint16_t id, size_t len)
{
    frame_icmp(&whole, &(struct frame_ip){.id = id}, 8, 0, id, NULL, len);
}

static void feed_part(size_t off, size_t len)
{
    frame_fragment(&part, &whole, off, len);
    assert_true(harness_input(&h, &part));
}

/* Feeds the whole in order, in pieces of `step` bytes. */
static void feed_all(size_t step)
{
    size_t end = whole.len - L4;

    for (size_t off = 0; off < end; off += step)
        feed_part(off, nst_min(step, end - off));
}

/* The last step answered `whole`, an echo request, with as many bytes of the same content. */
static void assert_echoed(void)
{
    static uint8_t got[FRAME_MAX];
    size_t len = 0;

    for (size_t i = 0; i < h.ntx; i++) {
        const struct frame *f = h.tx[i];
        size_t off = (frame_get16(f, IP_FRAG) & 0x1fff) * 8;
        assert_int_equal(f->bytes[IP], 0x45);
        assert_int_equal(off, len);
        assert_int_equal(frame_get16(f, IP_ID), frame_get16(h.tx[0], IP_ID));
        assert_int_equal(!!(frame_get16(f, IP_FRAG) & FRAG_MF), i + 1 < h.ntx);
        memcpy(got + len, f->bytes + L4, f->len - L4);
        len += f->len - L4;
    }
    assert_int_equal(len, whole.len - L4);
    assert_int_equal(got[0], 0);
    assert_memory_equal(got + 4, whole.bytes + L4 + 4, len - 4);
}

static void assert_big_ping(uint16_t id, size_t len)
{
    big_echo(id, len);
    feed_all(1480);
    assert_echoed();
    assert_int_equal(harness_memory(&h), 0);
}

/* ---- Beyond 65,535 bytes ------------------------------------------------------------------ */

/* Shows 791-3. */
static void test_262_ping_of_death(void **state)
{
    struct harness_state before;
    (void)state;

    big_echo(1, 4000);
    feed_part(0, 1480);
    frame_fragment(&part, &whole, 1480, 1480);
    frame_put16(&part, IP_FRAG, 65528 / 8);
    frame_fix(&part);
    harness_input(&h, &part);
    harness_silent(&h);
    /* Both are gone, and what else belongs to them is refused. */
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 2);
    assert_int_equal(harness_memory(&h), 0);
    harness_state(&h, &before);
    feed_part(1480, 1480);
    harness_unchanged(&h, &before, NST_DROP_frag_overlap, 1);
}

static void test_7_last_fragment_with_options_beyond(void **state)
{
    (void)state;

    /* 65,528 + 8 bytes and 24 of header would not go into any total length. */
    frame_icmp(&whole, &(struct frame_ip){.id = 2, .options = "01010100"}, 8, 0, 1, NULL, 24);
    frame_fragment(&part, &whole, 24, 8);
    frame_put16(&part, IP_FRAG, 65528 / 8);
    frame_fix(&part);
    harness_input(&h, &part);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 1);
    harness_silent(&h);
}

/* The payload is within the limit that a header of 20 bytes allows, but the first fragment has 60.
 */
static void test_178_header_and_payload_beyond(void **state)
{
    static const char nops[] = "01010101010101010101 01010101010101010101 01010101010101010101 "
                               "01010101010101010101";
    (void)state;

    frame_icmp(&whole, &(struct frame_ip){.id = 3}, 8, 0, 1, NULL, 65507);
    feed_part(1480, 63992);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 0);
    feed_part(65472, 43);
    frame_ip(&part, &(struct frame_ip){.id = 3, .proto = 1, .frag = FRAG_MF, .options = nops},
             whole.bytes + L4, 1480);
    harness_input(&h, &part);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 3);
    assert_int_equal(harness_memory(&h), 0);
}

/* Shows 1122-129, 1122-130. */
static void test_262_largest_is_answered(void **state)
{
    (void)state;
    assert_big_ping(4, 65507);
}

static void test_lengths_that_no_sender_makes(void **state)
{
    (void)state;

    big_echo(5, 64);
    frame_fragment(&part, &whole, 0, 16);
    frame_put16(&part, IP_LEN, 20 + 15); /* not a multiple of eight, and more follow */
    frame_fix(&part);
    harness_input(&h, &part);
    big_echo(6, 64);
    frame_fragment(&part, &whole, 0, 16);
    frame_put16(&part, IP_LEN, 20);
    frame_fix(&part);
    harness_input(&h, &part);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 2);
    assert_int_equal(harness_memory(&h), 0);
}

/* ---- Overlaps ----------------------------------------------------------------------------- */

struct piece {
    size_t off, len;
};

static const struct {
    const char *what;
    struct piece first, second;
} overlaps[] = {
    {"teardrop: inside", {0, 48}, {24, 8}},
    {"from inside to behind", {0, 48}, {24, 48}},
    {"the same start, longer", {16, 24}, {16, 32}},
    {"the same start, shorter", {16, 24}, {16, 16}},
    {"the same end", {16, 24}, {24, 16}},
    {"bonk: from before to inside", {24, 24}, {16, 16}},
    {"boink: around", {24, 24}, {16, 40}},
    {"nestea: one unit", {0, 24}, {16, 24}},
    {"the last one inside", {0, 96}, {80, 24}},
    {"one behind the end", {96, 8}, {96, 16}},
};

/* Shows 791-4. */
static void test_259_260_overlaps(void **state)
{
    struct harness_state before;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(overlaps); i++) {
        uint64_t drops = harness_drops(&h, NST_DROP_frag_overlap) +
                         harness_drops(&h, NST_DROP_frag_range);
        big_echo((uint16_t)i, 96);
        feed_part(overlaps[i].first.off, overlaps[i].first.len);
        frame_fragment(&part, &whole, overlaps[i].second.off,
                       nst_min(overlaps[i].second.len, 104 - overlaps[i].second.off));
        harness_input(&h, &part);
        if (overlaps[i].first.off == 96) /* the whole has 104 bytes: this is an exact repetition */
            continue;
        assert_int_equal(harness_drops(&h, NST_DROP_frag_overlap) +
                             harness_drops(&h, NST_DROP_frag_range),
                         drops + 2);
        assert_int_equal(harness_memory(&h), 0);
        /* All that still comes is refused, and the datagram never completes. */
        harness_state(&h, &before);
        feed_all(8);
        harness_silent(&h);
        harness_unchanged(&h, &before, NST_DROP_frag_overlap, 13);
    }
}

/* Once its time is over, the identification can be used again. */
static void test_259_refused_until_timeout(void **state)
{
    (void)state;
    big_echo(9, 96);
    feed_part(0, 48);
    feed_part(24, 8);
    feed_all(48);
    harness_silent(&h);
    harness_run(&h, 31 * NST_SEC);
    harness_silent(&h);
    feed_all(48);
    assert_echoed();
}

static void test_27_holes_stay_holes(void **state)
{
    (void)state;
    big_echo(10, 96);
    feed_part(0, 32);
    feed_part(64, 40);
    feed_part(24, 48);
    harness_silent(&h);
    feed_part(32, 32);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_overlap), 4);
}

static void test_184_repetition_is_ignored(void **state)
{
    (void)state;
    big_echo(11, 96);
    for (int i = 0; i < 3; i++) {
        feed_part(0, 48);
        feed_part(96, 8);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_frag_duplicate), 4);
    feed_part(48, 48);
    assert_echoed();
}

static void test_two_ends_contradict(void **state)
{
    (void)state;
    big_echo(12, 96);
    feed_part(96, 8);
    frame_fragment(&part, &whole, 48, 8);
    frame_put16(&part, IP_FRAG, 48 / 8); /* as if it were the last */
    frame_fix(&part);
    harness_input(&h, &part);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 2);
    big_echo(13, 96);
    feed_part(48, 8);
    frame_fragment(&part, &whole, 0, 24);
    frame_put16(&part, IP_FRAG, 24 / 8);
    frame_fix(&part);
    harness_input(&h, &part);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_range), 4);
    assert_int_equal(harness_memory(&h), 0);
}

/* ---- What fragments hide ------------------------------------------------------------------ */

static void test_34_tunnel(void **state)
{
    struct frame inner;
    (void)state;

    frame_udp(&inner, &(struct frame_ip){0}, 1, 2, NULL, 64);
    frame_put16(&inner, IP_LEN, 40);
    frame_ip(&whole, &(struct frame_ip){.proto = 4, .id = 1}, inner.bytes + IP, inner.len - IP);
    feed_all(48);
    harness_sent_icmp(&h, 3, 2, PEER);
    assert_int_equal(harness_drops(&h, NST_DROP_no_tunnel), 1);
}

static void test_36_error_about_a_large_datagram(void **state)
{
    (void)state;
    frame_udp(&whole, &(struct frame_ip){.id = 2}, 40000, 9, NULL, 20000);
    feed_all(1480);
    harness_sent_icmp(&h, 3, 3, PEER);
    const struct frame *f = harness_sent(&h);
    assert_int_equal(f->len - IP, 576);
    /* The quotation is the datagram as it was put together. */
    assert_memory_equal(f->bytes + ICMP_DATA + 20, whole.bytes + L4, 528);
}

static void test_107_281_igmp(void **state)
{
    struct harness_state before;
    (void)state;

    frame_ip(
        &whole,
        &(struct frame_ip){.proto = 2, .id = 3, .dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"},
        NULL, 64);
    harness_state(&h, &before);
    feed_all(16);
    harness_silent(&h);
    harness_unchanged(&h, &before, NST_DROP_frag_proto, 4);
}

static void test_155_source_routes(void **state)
{
    struct harness_state before;
    (void)state;

    frame_icmp(&whole, &(struct frame_ip){.id = 4, .options = "830704 c6336407 00"}, 8, 0, 1, NULL,
               56);
    harness_state(&h, &before);
    feed_part(0, 24);
    feed_part(24, 24);
    feed_part(48, 16);
    harness_silent(&h);
    harness_unchanged(&h, &before, NST_DROP_ip_source_route, 3);
}

/* Only the first fragment's options count. */
static void test_155_options_of_the_first(void **state)
{
    nst_sock raw = harness_socket(&h, NST_SOCK_RAW, 1);
    struct nst_msg msg;
    uint8_t buf[256];
    (void)state;

    frame_icmp(&whole, &(struct frame_ip){.id = 5}, 8, 0, 1, NULL, 56);
    frame_ip(&part, &(struct frame_ip){.id = 5, .proto = 1, .frag = 32 / 8, .options = "01010100"},
             whole.bytes + L4 + 32, 32);
    harness_input(&h, &part);
    feed_part(0, 32);
    assert_echoed();
    assert_int_equal(harness_recv(&h, raw, &msg, buf, sizeof buf, 0), 84);
    assert_int_equal(msg.options_len, 0);
    assert_int_equal(buf[0], 0x45);
}

/* No error about a fragment that is not the first (RFC 1122 §3.2.2). Shows 1122-60. */
static void test_310_error_about_a_later_fragment(void **state)
{
    struct harness_state before;
    struct frame_ip ip = {.id = 6, .options = "4d 29 0000", .frag = 3 | FRAG_MF};
    (void)state;

    frame_udp(&whole, &ip, 1, 9, NULL, 16);
    harness_state(&h, &before);
    harness_input(&h, &whole);
    harness_silent(&h);
    harness_unchanged(&h, &before, NST_DROP_ip_option, 1);
    ip.frag = FRAG_MF;
    frame_udp(&whole, &ip, 1, 9, NULL, 16);
    harness_input(&h, &whole);
    harness_sent_icmp(&h, 12, 0, PEER);
}

/* Shows 1122-131. */
static void test_timeout_is_reported_if_the_first_is_here(void **state)
{
    (void)state;
    big_echo(7, 4000);
    feed_part(0, 1480);
    big_echo(8, 4000);
    feed_part(1480, 1480);
    harness_run(&h, 29 * NST_SEC);
    harness_silent(&h);
    harness_run(&h, 2 * NST_SEC);
    harness_sent_icmp(&h, 11, 1, PEER);
    assert_int_equal(frame_get16(harness_sent(&h), ICMP_DATA + 4), 7);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_timeout), 2);
}

/* RFC 3168 §5.3. */
static void test_ecn_of_the_whole(void **state)
{
    static const struct {
        uint8_t first, second;
        int whole; /* -1: dropped */
    } table[] = {{0, 0, 0}, {2, 2, 2}, {2, 3, 3}, {3, 1, 3}, {3, 3, 3}, {0, 3, -1}, {3, 0, -1}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(table); i++) {
        big_echo((uint16_t)(20 + i), 56);
        whole.bytes[IP_TOS] = table[i].first;
        feed_part(0, 32);
        whole.bytes[IP_TOS] = table[i].second;
        feed_part(32, 32);
        assert_int_equal(h.ntx, table[i].whole >= 0);
        if (table[i].whole >= 0)
            assert_int_equal(h.tx[0]->bytes[IP_TOS], table[i].whole);
        assert_int_equal(harness_memory(&h), 0);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_frag_ecn), 4);
}

/* ---- Legitimate use ------------------------------------------------------------------------ */

static void test_192_large_first_fragment(void **state)
{
    (void)state;
    big_echo(1, 65000);
    feed_part(60000, 5008);
    feed_part(0, 60000);
    assert_echoed();
}

static void test_209_pings_of_10000_bytes(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 50; i++)
        assert_big_ping(i, 10000);
    assert_int_equal(harness_stat(&h, "frag.reassembled"), 50);
}

static void test_235_sizes(void **state)
{
    uint16_t id = 0;
    (void)state;

    for (size_t len = 0; len < 65508; len += len < 40 ? 1 : len / 1480 * 37 + 29) {
        big_echo(id++, len);
        feed_all(1480);
        assert_echoed();
    }
    for (size_t len = 1464; len <= 1484; len++)
        assert_big_ping(id++, len);
    for (size_t len = 2944; len <= 2964; len++)
        assert_big_ping(id++, len);
}

/* Shows 791-1. */
static void test_235_any_order(void **state)
{
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 235);
    for (uint16_t id = 0; id < 60; id++) {
        size_t step = 8 * (1 + nst_prng_below(&prng, 20)), n, order[100];
        big_echo(id, 8 * nst_prng_below(&prng, 90) + 1);
        n = (whole.len - L4 + step - 1) / step;
        for (size_t i = 0; i < n; i++) { /* Fisher and Yates, inside out */
            size_t j = nst_prng_below(&prng, i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        for (size_t i = 0; i < n; i++) {
            harness_silent(&h);
            feed_part(order[i] * step, nst_min(step, whole.len - L4 - order[i] * step));
        }
        assert_echoed();
        harness_run(&h, 0);
    }
}

/* Without memory at any point: no answer, nothing kept, and the next ping is well. */
static void test_211_memory_runs_out(void **state)
{
    bool all_well = false;
    uint16_t id = 0;
    (void)state;

    for (uint64_t n = 1; !all_well; n++) {
        assert_in_range(n, 1, 200);
        harness_fini(&h);
        harness_init(&h, NULL, 0);
        big_echo(id++, 20000);
        test_memory_fail_in(&h.memory, n);
        for (size_t off = 0; off < whole.len - L4; off += 1480) {
            frame_fragment(&part, &whole, off, nst_min(1480, whole.len - L4 - off));
            harness_input(&h, &part);
        }
        all_well = h.memory.calls < h.memory.fail_at;
        test_memory_fail_in(&h.memory, 0);
        harness_run(&h, 31 * NST_SEC);
        assert_int_equal(harness_memory(&h), 0);
        assert_big_ping(id++, 20000);
    }
}

/* ---- Floods -------------------------------------------------------------------------------- */

#define FRAGMENT_BUDGET ((size_t)4 << 20)

static size_t fragment_memory(void)
{
    struct harness_state state;

    harness_state(&h, &state);
    return state.fragments;
}

/* Feeds a fragment of a datagram of 2,000 bytes from `src`. */
static void spam(const char *src, uint16_t id, size_t off, size_t len)
{
    frame_icmp(&whole, &(struct frame_ip){.id = id, .src = src, .mac_src = GATEWAY_MAC}, 8, 0, 1,
               NULL, 2000);
    feed_part(off, len);
}

static void test_125_tiny_fragments_at_random_offsets(void **state)
{
    struct nst_prng prng;
    size_t most = 0;
    (void)state;

    test_prng_init(&prng, 125);
    for (unsigned i = 0; i < 20000; i++) {
        spam(FAR, (uint16_t)nst_prng_below(&prng, 64), 8 * nst_prng_below(&prng, 250), 8);
        most = nst_max(most, fragment_memory());
    }
    assert_in_range(most, 1, FRAGMENT_BUDGET);
    assert_true(harness_drops(&h, NST_DROP_frag_budget) > 0);
    big_echo(1, 5000);
    feed_all(1480);
    assert_echoed();
}

static void test_245_fragments_in_one_datagram(void **state)
{
    (void)state;
    big_echo(1, 8 * 128 - 8);
    feed_all(8);
    assert_echoed();
    big_echo(2, 8 * 129 - 8);
    feed_all(8);
    harness_silent(&h);
    assert_int_equal(harness_drops(&h, NST_DROP_frag_many), 129);
    assert_int_equal(harness_memory(&h), 0);
}

static void test_261_jolt2(void **state)
{
    size_t memory;
    (void)state;

    big_echo(1, 4000);
    frame_fragment(&part, &whole, 2960, 1048);
    harness_input(&h, &part);
    memory = harness_memory(&h);
    for (unsigned i = 0; i < 20000; i++) {
        harness_input(&h, &part);
        assert_int_equal(harness_memory(&h), memory);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_frag_duplicate), 20000);
}

/* How many of `n` pings of 5,000 bytes are answered while `noise` goes on between fragments. */
static unsigned pings_answered(unsigned n, void (*noise)(unsigned i))
{
    unsigned answered = 0, i = 0;

    for (unsigned ping = 0; ping < n; ping++) {
        for (size_t off = 0; off < 5008; off += 1480) {
            for (unsigned j = 0; j < 100; j++)
                noise(i++);
            big_echo((uint16_t)ping, 5000);
            feed_part(off, nst_min(1480, 5008 - off));
        }
        answered += h.ntx == 4;
        assert_in_range(fragment_memory(), 0, FRAGMENT_BUDGET);
    }
    return answered;
}

static void one_source(unsigned i)
{
    spam(FAR, (uint16_t)i, 8, 1480);
}

static void test_257_one_source_cannot_starve_others(void **state)
{
    (void)state;
    assert_int_equal(pings_answered(50, one_source), 50);
    assert_true(harness_drops(&h, NST_DROP_frag_budget) > 1000);
}

/* Even where all of the memory is less than what fragments may have by default. */
static void test_257_with_little_memory(void **state)
{
    const struct nst_limits limits = {.memory_bytes = (size_t)1 << 20};
    (void)state;

    harness_fini(&h);
    harness_init(&h, &limits, 0);
    assert_int_equal(pings_answered(50, one_source), 50);
    assert_in_range(fragment_memory(), 1, limits.memory_bytes / 2);
}

static void many_sources(unsigned i)
{
    char src[16];

    snprintf(src, sizeof src, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
    spam(src, 1, 8, 1480);
}

/* With sources made up there is no telling who is who; but who comes whole within the time that a
 * whole budget of fragments takes is served. */
static void test_263_rose(void **state)
{
    (void)state;
    assert_in_range(pings_answered(50, many_sources), 25, 50);
    assert_true(harness_drops(&h, NST_DROP_frag_budget) > 1000);
}

int main(void)
{
#define ROW(name, test)                   \
    {                                     \
        name, test, setup, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        ROW("007 CVE-2020-17438: last fragment beyond 65,535 bytes, with options",
            test_7_last_fragment_with_options_beyond),
        ROW("027 CVE-2020-17469: holes stay holes", test_27_holes_stay_holes),
        ROW("034 CVE-2020-11896: fragmented IP in IP", test_34_tunnel),
        ROW("036 CVE-2020-11898: error about a large datagram",
            test_36_error_about_a_large_datagram),
        ROW("107, 281 CVE-2019-12265, CVE-1999-0918: fragmented IGMP", test_107_281_igmp),
        ROW("125, 165 CVE-2018-5391, CVE-2018-6923: tiny fragments at random offsets",
            test_125_tiny_fragments_at_random_offsets),
        ROW("155 CVE-2021-24074: source routes in fragments", test_155_source_routes),
        ROW("155 CVE-2021-24074: only the first fragment's options count",
            test_155_options_of_the_first),
        ROW("178 CVE-2023-3107: header and payload beyond 65,535 bytes",
            test_178_header_and_payload_beyond),
        ROW("184 CVE-2006-0381: repetition", test_184_repetition_is_ignored),
        ROW("192, 193 CVE-2019-14378, CVE-2019-15890: large first fragment",
            test_192_large_first_fragment),
        ROW("209 mbed-os #10979: pings of 10,000 bytes", test_209_pings_of_10000_bytes),
        ROW("211 lwIP 2025-06-03: memory runs out", test_211_memory_runs_out),
        ROW("235 smoltcp #1008: sizes", test_235_sizes),
        ROW("235 smoltcp #1094: any order", test_235_any_order),
        ROW("245 gVisor #4677: fragments in one datagram", test_245_fragments_in_one_datagram),
        ROW("257 mirage-tcpip #375: one source cannot starve others",
            test_257_one_source_cannot_starve_others),
        ROW("257 mirage-tcpip #375: with little memory", test_257_with_little_memory),
        ROW("259, 260 CVE-1999-0015, CVE-1999-0257: overlaps", test_259_260_overlaps),
        ROW("259 RFC 5722: refused until the timeout", test_259_refused_until_timeout),
        ROW("261 CVE-2000-0305 jolt2: the same last fragment", test_261_jolt2),
        ROW("262 CVE-1999-0128: ping of death", test_262_ping_of_death),
        ROW("262: the largest ping is answered", test_262_largest_is_answered),
        ROW("263 Rose: first fragments from everywhere", test_263_rose),
        ROW("310 RFC 1122 3.2.2: error about a later fragment",
            test_310_error_about_a_later_fragment),
        ROW("lengths that no sender makes", test_lengths_that_no_sender_makes),
        ROW("two ends contradict", test_two_ends_contradict),
        ROW("timeout is reported if the first is here",
            test_timeout_is_reported_if_the_first_is_here),
        ROW("ECN of the whole", test_ecn_of_the_whole),
    };

    return cmocka_run_group_tests_name("fragments", tests, NULL, NULL);
}
