/* Frames of every length, every truncation of every kind of frame, every flipped bit: whatever the
 * frame, it is dropped once or handled, and the stack stays consistent.
 *
 * Rows of the list of attacks (see test_attacks.c): 44 195 229 326 327. */
#include "core/base/bytes.h"
#include "core/base/drop.h"

#include "../harness.h"

#define LEN_MAX 1600

static struct harness h;
static struct frame frame, whole;
static nst_link tun;
static nst_sock sock;

static int setup(void **state)
{
    struct nst_link_config config = {.name = "tun0", .medium = NST_MEDIUM_IP, .mtu = 1500};
    struct nst_prefix prefix = test_prefix("203.0.113.1/30");
    (void)state;

    harness_init(&h, NULL, 0);
    assert_int_equal(nst_link_add(h.stack, &tun, &config), 0);
    assert_int_equal(nst_addr_add(h.stack, tun, &prefix, NST_ACD_OFF), 0);
    sock = harness_udp(&h, NULL, 5000);
    h.check_every = 16;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static uint64_t all_drops(void)
{
    uint64_t n = 0;

    for (uint16_t d = 1; d < NST_DROP_COUNT; d++)
        n += nst_drops(h.stack, d);
    return n;
}

/* Nothing comes of the frame but one drop. */
static void assert_dropped(nst_link link)
{
    uint64_t drops = all_drops();

    harness_input_on(&h, link, &frame);
    harness_silent(&h);
    assert_int_equal(all_drops(), drops + 1);
    assert_int_equal(harness_memory(&h), 0);
}

static void every_length(int byte)
{
    struct nst_prng prng;

    test_prng_init(&prng, 1600);
    for (frame.len = 0; frame.len <= LEN_MAX; frame.len++) {
        for (size_t i = 0; i < frame.len; i++)
            frame.bytes[i] = byte >= 0 ? (uint8_t)byte : (uint8_t)nst_prng_next(&prng);
        assert_dropped(h.link);
        assert_dropped(tun);
    }
}

static void test_zeros(void **state)
{
    (void)state;
    every_length(0);
}

static void test_ones(void **state)
{
    (void)state;
    every_length(0xff);
}

static void test_noise(void **state)
{
    (void)state;
    every_length(-1);
}

/* A right Ethernet header before noise, so that the next layer gets it. */
static void test_noise_for_each_layer(void **state)
{
    static const size_t right[] = {ETH_TYPE + 2, IP + 1, L4, L4 + 8};
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 7);
    for (unsigned round = 0; round < 4 * NST_ARRAY_LEN(right); round++) {
        for (size_t len = 0; len < LEN_MAX - 100; len += 1 + len / 50) {
            frame_echo(&frame, 1, 1, len);
            if (round % 2)
                frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, len);
            for (size_t i = right[round % 4]; i < frame.len; i++)
                frame.bytes[i] = (uint8_t)nst_prng_next(&prng);
            if (round >= 8)
                frame_fix(&frame);
            harness_input(&h, &frame);
        }
    }
    harness_run(&h, 60 * NST_SEC);
}

/* ---- Valid frames, cut and bent ------------------------------------------------------------ */

static void make_echo(void)
{
    frame_echo(&whole, 1, 1, 64);
}

static void make_echo_options(void)
{
    frame_icmp(&whole, &(struct frame_ip){.options = "07 0b 04 0000000000000000 00"}, 8, 0, 1, NULL,
               64);
}

static void make_udp(void)
{
    frame_udp(&whole, &(struct frame_ip){0}, 1, 5000, NULL, 64);
}

static void make_udp_closed(void)
{
    frame_udp(&whole, &(struct frame_ip){0}, 1, 9, NULL, 64);
}

static void make_unreachable(void)
{
    struct frame ours;

    frame_udp(&ours, &(struct frame_ip){.src = US, .dst = FAR}, 5000, 53, NULL, 64);
    frame_icmp_error(&whole, GATEWAY, 3, 3, 0, &ours, ours.len - IP);
}

static void make_fragment(void)
{
    struct frame all;

    frame_udp(&all, &(struct frame_ip){.id = 1}, 1, 5000, NULL, 64);
    frame_fragment(&whole, &all, 32, 32);
}

static void make_arp(void)
{
    frame_arp(&whole, 1, "02:00:00:00:00:4d", STRANGER, "00:00:00:00:00:00", US);
}

static void make_broadcast(void)
{
    frame_udp(&whole, &(struct frame_ip){.dst = "255.255.255.255", .mac_dst = BROADCAST}, 1, 5000,
              NULL, 64);
}

static void (*const kinds[])(void) = {
    make_echo,        make_echo_options, make_udp, make_udp_closed,
    make_unreachable, make_fragment,     make_arp, make_broadcast,
};

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < NST_ARRAY_LEN(kinds); kind++) {
        kinds[kind]();
        for (size_t len = 0; len < whole.len; len++) {
            frame_copy(&frame, &whole);
            frame.len = len;
            assert_dropped(h.link);
        }
    }
}

/* The same, but the IP header agrees with what is left and the checksums are right. */
static void test_every_consistent_truncation(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < NST_ARRAY_LEN(kinds); kind++) {
        kinds[kind]();
        for (size_t len = L4; len < whole.len; len++) {
            frame_copy(&frame, &whole);
            frame.len = len;
            frame_put16(&frame, IP_LEN, (unsigned)(len - IP));
            frame_fix(&frame);
            harness_input(&h, &frame);
        }
    }
    harness_run(&h, 60 * NST_SEC);
}

/* Nothing that a checksum covers may change unseen. */
static void test_326_every_flipped_bit(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < NST_ARRAY_LEN(kinds); kind++) {
        if (kinds[kind] == make_arp || kinds[kind] == make_fragment)
            continue;
        kinds[kind]();
        for (size_t bit = 8 * IP; bit < 8 * whole.len; bit++) {
            frame_copy(&frame, &whole);
            frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_dropped(h.link);
        }
    }
}

/* Each length byte, type and code takes each value, with right checksums. */
static void test_every_value_of_every_header_byte(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < NST_ARRAY_LEN(kinds); kind++) {
        kinds[kind]();
        for (size_t at = ETH_TYPE; at < L4 + 36 && at < whole.len; at++) {
            for (unsigned value = 0; value < 256; value++) {
                frame_copy(&frame, &whole);
                frame.bytes[at] = (uint8_t)value;
                frame_fix(&frame);
                harness_input(&h, &frame);
            }
        }
        harness_run(&h, 60 * NST_SEC);
    }
}

/* What Ethernet adds to fill a frame is not part of the message. */
static void test_327_padding(void **state)
{
    struct nst_msg msg;
    uint8_t buf[64];
    (void)state;

    for (size_t len = 0; len < 18; len++) {
        frame_udp(&frame, &(struct frame_ip){0}, 1, 5000, NULL, len);
        memset(frame.bytes + frame.len, 0xaa, 60 - frame.len);
        frame.len = 60;
        harness_input(&h, &frame);
        assert_int_equal(harness_recv(&h, sock, &msg, buf, sizeof buf, 0), len);
        frame_echo(&frame, 1, 1, len);
        memset(frame.bytes + frame.len, 0xaa, 60 - frame.len);
        frame.len = 60;
        harness_input(&h, &frame);
        assert_int_equal(harness_sent(&h)->len, ICMP_DATA + len);
    }
}

int main(void)
{
#define ROW(name, test)                   \
    {                                     \
        name, test, setup, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        ROW("44, 195, 229: zeros of every length", test_zeros),
        ROW("44, 195, 229: ones of every length", test_ones),
        ROW("44, 195, 229: noise of every length", test_noise),
        ROW("noise for each layer", test_noise_for_each_layer),
        ROW("every truncation of valid frames", test_every_truncation),
        ROW("every consistent truncation of valid frames", test_every_consistent_truncation),
        ROW("every value of every header byte", test_every_value_of_every_header_byte),
        ROW("326: every flipped bit", test_326_every_flipped_bit),
        ROW("327: padding", test_327_padding),
    };

    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
