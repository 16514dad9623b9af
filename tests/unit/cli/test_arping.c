/* arping's frames, words and ends, on a clock of the test's own. */
#include "cli/arping.h"

#include "core/base/addr.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"
#include "output.h"

#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define T0  (UINT64_C(5) * SEC)

static struct output out;
static struct nst_cli_arping arping;
static uint8_t frame[NST_CLI_ARPING_FRAME];

static const struct nst_mac OURS = {{2, 0, 0, 0, 0, 2}},
                            THEIRS = {{0xd2, 0xe1, 0xa5, 0x8c, 0x3d, 0x27}};
static const struct nst_addr US = {4, {10, 9, 9, 1}}, THEM = {4, {10, 9, 9, 2}};

static int begin(void **state)
{
    (void)state;
    output_init(&out);
    return 0;
}

static int end(void **state)
{
    (void)state;
    output_fini(&out);
    return 0;
}

static struct nst_cli_arping_config usual(enum nst_cli_arping_mode mode)
{
    return (struct nst_cli_arping_config){.mode = mode,
                                          .target = THEM,
                                          .mac = OURS,
                                          .addr = US,
                                          .link = "v0",
                                          .interval_ns = SEC,
                                          .out = out.stream};
}

static void start(enum nst_cli_arping_mode mode, uint64_t count)
{
    struct nst_cli_arping_config config = usual(mode);

    config.count = count;
    nst_cli_arping_init(&arping, &config);
}

/* Their frame, as an answer to the question; parts of it vary. */
static void answer(const struct nst_arp *arp, const struct nst_mac *dst, uint64_t time)
{
    const struct nst_eth eth = {.dst = *dst, .src = THEIRS, .type = NST_ETHERTYPE_ARP};
    uint8_t bytes[NST_CLI_ARPING_FRAME] = {0};

    nst_eth_emit(&eth, bytes);
    nst_arp_emit(arp, bytes + NST_ETH_HLEN);
    nst_cli_arping_input(&arping, bytes, sizeof bytes, time);
}

static struct nst_arp reply(void)
{
    return (struct nst_arp){
        .op = NST_ARP_REPLY, .sha = THEIRS, .spa = THEM, .tha = OURS, .tpa = US};
}

static const struct nst_arp *plain_reply(void)
{
    static struct nst_arp arp;

    arp = reply();
    return &arp;
}

static void test_frames(void **state)
{
    static const uint8_t question[NST_CLI_ARPING_FRAME] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0, 0, 2, 8, 6, /* Ethernet */
        0,    1,    8,    0,    6,    4,    0,  1,                   /* a request */
        2,    0,    0,    0,    0,    2,    10, 9, 9, 1, 0, 0, 0, 0, 0, 0, 10, 9, 9, 2};
    (void)state;

    start(NST_CLI_ARPING_ASK, 0);
    nst_cli_arping_build(&arping, T0, frame);
    assert_memory_equal(frame, question, sizeof frame);
    answer(plain_reply(), &OURS, T0 + MS);
    nst_cli_arping_build(&arping, T0 + SEC, frame);
    assert_memory_equal(frame, THEIRS.bytes, 6); /* now that we know it */
    assert_memory_equal(frame + 6, question + 6, sizeof frame - 6);
}

static void test_frames_of_other_modes(void **state)
{
    struct nst_arp arp;
    (void)state;

    start(NST_CLI_ARPING_DETECT, 0);
    nst_cli_arping_build(&arping, T0, frame);
    assert_int_equal(nst_arp_parse(&arp, frame + NST_ETH_HLEN, NST_ARP_LEN), NST_DROP_NONE);
    assert_int_equal(arp.op, NST_ARP_REQUEST);
    assert_true(nst_addr_is_any(&arp.spa));
    assert_true(nst_addr_eq(&arp.tpa, &THEM));

    start(NST_CLI_ARPING_ANNOUNCE, 0);
    nst_cli_arping_build(&arping, T0, frame);
    nst_arp_parse(&arp, frame + NST_ETH_HLEN, NST_ARP_LEN);
    assert_int_equal(arp.op, NST_ARP_REQUEST);
    assert_true(nst_addr_eq(&arp.spa, &THEM) && nst_addr_eq(&arp.tpa, &THEM));

    start(NST_CLI_ARPING_ANSWER, 0);
    nst_cli_arping_build(&arping, T0, frame);
    nst_arp_parse(&arp, frame + NST_ETH_HLEN, NST_ARP_LEN);
    assert_int_equal(arp.op, NST_ARP_REPLY);
    assert_true(nst_mac_eq(&arp.sha, &OURS) && nst_mac_eq(&arp.tha, &OURS));
    assert_true(nst_mac_is_broadcast(
        &(struct nst_mac){{frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]}}));
}

static void test_words(void **state)
{
    (void)state;
    start(NST_CLI_ARPING_ASK, 2);
    nst_cli_arping_begin(&arping);
    nst_cli_arping_build(&arping, T0, frame);
    answer(plain_reply(), &OURS, T0 + 570000);
    nst_cli_arping_build(&arping, T0 + SEC, frame);
    answer(plain_reply(), &OURS, T0 + SEC + 556999);
    assert_int_equal(nst_cli_arping_finish(&arping), 0);
    assert_output(&out, "ARPING 10.9.9.2 from 10.9.9.1 v0\n"
                        "Unicast reply from 10.9.9.2 [D2:E1:A5:8C:3D:27]  0.570ms\n"
                        "Unicast reply from 10.9.9.2 [D2:E1:A5:8C:3D:27]  0.556ms\n"
                        "Sent 2 probes (1 broadcast(s))\n"
                        "Received 2 response(s)\n");
}

static void test_other_answers(void **state)
{
    struct nst_arp arp = reply();
    (void)state;

    start(NST_CLI_ARPING_ASK, 0);
    nst_cli_arping_build(&arping, T0, frame);
    arp.tha = THEIRS;
    answer(&arp, &nst_mac_broadcast, T0);
    arp.op = NST_ARP_REQUEST;
    answer(&arp, &OURS, T0);
    assert_int_equal(nst_cli_arping_finish(&arping), 0);
    assert_output(
        &out, "Broadcast reply from 10.9.9.2 [D2:E1:A5:8C:3D:27] for [D2:E1:A5:8C:3D:27]  0.000ms\n"
              "Unicast request from 10.9.9.2 [D2:E1:A5:8C:3D:27]  0.000ms\n"
              "Sent 1 probes (1 broadcast(s))\n"
              "Received 2 response(s) (1 request(s), 1 broadcast(s))\n");
}

static void test_strangers_are_ignored(void **state)
{
    struct nst_arp arp = reply();
    (void)state;

    start(NST_CLI_ARPING_ASK, 0);
    nst_cli_arping_build(&arping, T0, frame);
    arp.spa.bytes[3] = 3; /* somebody else */
    answer(&arp, &OURS, T0);
    arp = reply();
    arp.tpa.bytes[3] = 9; /* to somebody else */
    answer(&arp, &OURS, T0);
    arp = reply();
    arp.sha = OURS; /* ourselves */
    answer(&arp, &OURS, T0);
    for (size_t len = 0; len < NST_ETH_HLEN + NST_ARP_LEN; len++)
        nst_cli_arping_input(&arping, frame, len, T0);
    assert_int_equal(nst_cli_arping_finish(&arping), 1);
    assert_output(&out, "Sent 1 probes (1 broadcast(s))\nReceived 0 response(s)\n");
}

static void test_duplicate_address(void **state)
{
    struct nst_arp arp = reply();
    uint64_t when;
    bool send;
    (void)state;

    start(NST_CLI_ARPING_DETECT, 2);
    nst_cli_arping_begin(&arping);
    nst_cli_arping_build(&arping, T0, frame);
    assert_int_equal(nst_cli_arping_finish(&arping), 0);
    arp.tpa = (struct nst_addr){.family = 4};
    answer(&arp, &OURS, T0 + 538000);
    assert_false(nst_cli_arping_next(&arping, T0, &when, &send));
    assert_int_equal(nst_cli_arping_finish(&arping), 1);
    assert_output(&out, "ARPING 10.9.9.2 from 0.0.0.0 v0\n"
                        "Sent 1 probes (1 broadcast(s))\nReceived 0 response(s)\n"
                        "Unicast reply from 10.9.9.2 [D2:E1:A5:8C:3D:27]  0.538ms\n"
                        "Sent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n");
}

static void test_announcing_always_works(void **state)
{
    (void)state;
    start(NST_CLI_ARPING_ANNOUNCE, 1);
    nst_cli_arping_build(&arping, T0, frame);
    answer(plain_reply(), &OURS, T0);
    assert_int_equal(arping.received, 0);
    assert_int_equal(nst_cli_arping_finish(&arping), 0);
}

static void test_quiet(void **state)
{
    struct nst_cli_arping_config config = usual(NST_CLI_ARPING_ASK);
    (void)state;

    config.quiet = true;
    nst_cli_arping_init(&arping, &config);
    nst_cli_arping_begin(&arping);
    nst_cli_arping_build(&arping, T0, frame);
    answer(plain_reply(), &OURS, T0);
    assert_int_equal(nst_cli_arping_finish(&arping), 0);
    assert_output(&out, "");
}

/* ---- When ---- */

static void assert_next(uint64_t now, bool send, uint64_t when)
{
    uint64_t w;
    bool s;

    assert_true(nst_cli_arping_next(&arping, now, &w, &s));
    assert_int_equal(s, send);
    assert_int_equal(w, when);
}

static void assert_done(uint64_t now)
{
    uint64_t when;
    bool send;

    assert_false(nst_cli_arping_next(&arping, now, &when, &send));
}

static void test_pace(void **state)
{
    (void)state;
    start(NST_CLI_ARPING_ASK, 2);
    assert_next(T0, true, T0);
    nst_cli_arping_build(&arping, T0, frame);
    assert_next(T0, true, T0 + SEC);
    nst_cli_arping_build(&arping, T0 + SEC, frame);
    assert_next(T0 + SEC, false, T0 + 2 * SEC); /* the last one may be answered */
    assert_done(T0 + 2 * SEC);
}

static void test_ends_when_all_is_answered(void **state)
{
    (void)state;
    start(NST_CLI_ARPING_ASK, 1);
    nst_cli_arping_build(&arping, T0, frame);
    answer(plain_reply(), &OURS, T0);
    assert_done(T0);
}

static void test_first_answer_is_enough(void **state)
{
    struct nst_cli_arping_config config = usual(NST_CLI_ARPING_ASK);
    (void)state;

    config.first = true;
    nst_cli_arping_init(&arping, &config);
    nst_cli_arping_build(&arping, T0, frame);
    assert_next(T0, true, T0 + SEC);
    answer(plain_reply(), &OURS, T0);
    assert_done(T0);
}

static void test_deadline(void **state)
{
    struct nst_cli_arping_config config = usual(NST_CLI_ARPING_ASK);
    (void)state;

    config.deadline_ns = 2 * SEC + MS;
    config.count = 2; /* answers, with a deadline */
    nst_cli_arping_init(&arping, &config);
    for (uint64_t i = 0; i < 3; i++) {
        assert_next(T0 + i * SEC, true, T0 + i * SEC);
        nst_cli_arping_build(&arping, T0 + i * SEC, frame);
    }
    assert_next(T0 + 2 * SEC, false, T0 + 2 * SEC + MS);
    assert_done(T0 + 2 * SEC + MS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frames),
        TEST(test_frames_of_other_modes),
        TEST(test_words),
        TEST(test_other_answers),
        TEST(test_strangers_are_ignored),
        TEST(test_duplicate_address),
        TEST(test_announcing_always_works),
        TEST(test_quiet),
        TEST(test_pace),
        TEST(test_ends_when_all_is_answered),
        TEST(test_first_answer_is_enough),
        TEST(test_deadline),
    };
    return cmocka_run_group_tests_name("cli/arping", tests, NULL, NULL);
}
