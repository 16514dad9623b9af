/* ping's words and numbers, on a clock of the test's own, against what iputils prints. */
#include "cli/ping.h"

#include "output.h"

#include <errno.h>

#define US   UINT64_C(1000)
#define MS   UINT64_C(1000000)
#define SEC  UINT64_C(1000000000)
#define T0   (UINT64_C(77) * SEC + 123) /* when the first request goes */
#define DATA NST_CLI_PING_DATA_MAX

static struct output out, err;
static struct nst_cli_ping ping;
static uint8_t message[8 + DATA];
static uint64_t now;

static const struct nst_addr TARGET = {4, {10, 0, 0, 1}};
static const struct nst_addr ROUTER = {4, {192, 0, 2, 9}};

static int begin(void **state)
{
    (void)state;
    output_init(&out);
    output_init(&err);
    now = T0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    output_fini(&out);
    output_fini(&err);
    return 0;
}

/* A ping of 10.0.0.1 with the usual options; `data_len` and `count` vary. */
static struct nst_cli_ping_config usual(size_t data_len, uint64_t count)
{
    return (struct nst_cli_ping_config){.target = "10.0.0.1",
                                        .addr = TARGET,
                                        .data_len = data_len,
                                        .count = count,
                                        .interval_ns = SEC,
                                        .linger_ns = 10 * SEC,
                                        .out = out.stream,
                                        .err = err.stream};
}

static void start(size_t data_len, uint64_t count)
{
    struct nst_cli_ping_config config = usual(data_len, count);

    nst_cli_ping_init(&ping, &config);
}

static size_t send_at(uint64_t when)
{
    now = when;
    return nst_cli_ping_build(&ping, now, message);
}

/* The answer to the last request, `rtt` after it was sent. */
static void answer(size_t len, uint64_t rtt)
{
    struct nst_ipc_datagram datagram = {.peer = TARGET, .ttl = 64, .time = now + rtt};

    message[0] = 0;
    nst_cli_ping_input(&ping, &datagram, message, len);
}

/* An error about the last request. */
static void report(uint8_t flags, int errnum, uint8_t type, uint8_t code, uint32_t info)
{
    struct nst_ipc_datagram datagram = {.peer = TARGET,
                                        .flags = NST_IPC_REPORT | flags,
                                        .offender = flags ? ROUTER : (struct nst_addr){0},
                                        .err = (uint16_t)errnum,
                                        .icmp_type = type,
                                        .icmp_code = code,
                                        .info = info};

    nst_cli_ping_input(&ping, &datagram, message, 8 + ping.config.data_len);
}

static void test_header(void **state)
{
    (void)state;
    start(56, 0);
    nst_cli_ping_begin(&ping);
    assert_output(&out, "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n");
}

static void test_request(void **state)
{
    static const uint8_t first[] = {8, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,  0,
                                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 17};
    static const uint8_t second[] = {8, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0,  0,
                                     0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 16, 17};
    (void)state;

    start(18, 0);
    assert_int_equal(send_at(T0), sizeof first);
    assert_memory_equal(message, first, sizeof first);
    assert_int_equal(send_at(T0 + 2 * SEC + 5), sizeof second);
    assert_memory_equal(message, second, sizeof second);
}

static void test_request_sizes(void **state)
{
    (void)state;
    start(0, 0);
    assert_int_equal(send_at(T0), 8);
    start(15, 0);
    assert_int_equal(send_at(T0), 23);
    assert_int_equal(message[8], 0);
    assert_int_equal(message[22], 14); /* no time: the pattern alone */
    start(DATA, 0);
    assert_int_equal(send_at(T0), 8 + DATA);
    assert_int_equal(message[8 + 65506], (uint8_t)65506);
}

static void test_answer_line(void **state)
{
    static const struct {
        uint64_t rtt;
        const char *text;
    } rows[] = {
        {0, "0.000"},         {45 * US + 999, "0.045"}, {999 * US, "0.999"},  {1000 * US, "1.00"},
        {1994 * US, "1.99"},  {1995 * US, "2.00"},      {9994 * US, "9.99"},  {9995 * US, "10.0"},
        {10049 * US, "10.0"}, {10050 * US, "10.1"},     {99949 * US, "99.9"}, {99950 * US, "100"},
        {100499 * US, "100"}, {100500 * US, "101"},     {3000 * MS, "3000"},
    };
    (void)state;

    start(56, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[128];
        send_at(T0 + i * SEC);
        answer(64, rows[i].rtt);
        snprintf(expected, sizeof expected,
                 "64 bytes from 10.0.0.1: icmp_seq=%zu ttl=64 time=%s ms\n", i + 1, rows[i].text);
        assert_output(&out, expected);
    }
}

static void test_no_time_without_room_for_it(void **state)
{
    (void)state;
    start(15, 1);
    send_at(T0);
    answer(23, MS);
    assert_output(&out, "23 bytes from 10.0.0.1: icmp_seq=1 ttl=64\n");
    assert_int_equal(nst_cli_ping_finish(&ping), 0);
    assert_output(&out, "\n--- 10.0.0.1 ping statistics ---\n"
                        "1 packets transmitted, 1 received, 0% packet loss, time 0ms\n\n");
}

static void test_duplicate(void **state)
{
    (void)state;
    start(56, 0);
    send_at(T0);
    answer(64, MS);
    answer(64, 3 * MS);
    assert_output(&out, "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1.00 ms\n"
                        "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=3.00 ms (DUP!)\n");
    nst_cli_ping_finish(&ping);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n"
                  "1 packets transmitted, 1 received, +1 duplicates, 0% packet loss, time 0ms\n"
                  "rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms\n");
}

/* Sequence numbers come round after 65,536; that is no repetition. */
static void test_sequence_wraps(void **state)
{
    (void)state;
    start(0, 0);
    for (uint32_t i = 0; i < 65536 + 3; i++) {
        send_at(T0 + i * MS);
        answer(8, US);
    }
    assert_int_equal(ping.received, 65539);
    assert_int_equal(ping.repeats, 0);
    assert_int_equal(ping.pipe, 1);
}

static void test_wrong_data(void **state)
{
    (void)state;
    start(52, 0);
    send_at(T0);
    message[8 + 20] = 0xff;
    answer(60, MS);
    assert_output(&out,
                  "60 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1.00 ms\n"
                  "wrong data byte #20 should be 0x14 but was 0xff\n"
                  "#16\t10 11 12 13 ff 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23 24 25 26 27 28 "
                  "29 2a 2b 2c 2d 2e 2f \n"
                  "#48\t30 31 32 33 \n");
    assert_int_equal(ping.received, 1);
}

static void test_truncated(void **state)
{
    (void)state;
    start(56, 0);
    send_at(T0);
    answer(40, MS);
    assert_output(&out, "40 bytes from 10.0.0.1: icmp_seq=1 ttl=64 (truncated)\n");
}

/* An answer whose time lies in the future, or makes no sense, counts as immediate. */
static void test_forged_time(void **state)
{
    (void)state;
    start(56, 0);
    send_at(T0);
    send_at(T0 + SEC);
    memset(message + 8, 0xff, 16);
    answer(64, MS);
    assert_output(&out, "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=0.000 ms\n");
    assert_output(&err, "ping: Warning: the answer tells a time that has not been\n");
}

/* Not even on the clock that the daemon reports may the time run backwards. */
static void test_arrival_before_departure(void **state)
{
    struct nst_ipc_datagram datagram = {.peer = TARGET, .ttl = 64, .time = 5};
    (void)state;

    start(56, 0);
    send_at(T0);
    message[0] = 0;
    nst_cli_ping_input(&ping, &datagram, message, 64);
    assert_output(&out, "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.000 ms\n");
}

static void test_other_messages_are_ignored(void **state)
{
    struct nst_ipc_datagram datagram = {.peer = TARGET, .ttl = 64, .time = T0};
    (void)state;

    start(56, 0);
    send_at(T0);
    for (size_t len = 0; len < 8; len++)
        nst_cli_ping_input(&ping, &datagram, message, len);
    for (unsigned type = 1; type < 256; type++) {
        message[0] = (uint8_t)type;
        nst_cli_ping_input(&ping, &datagram, message, 64);
    }
    assert_output(&out, "");
    assert_int_equal(ping.received + ping.errors, 0);
}

static void test_errors(void **state)
{
    static const struct {
        uint8_t type, code;
        uint32_t info;
        const char *text;
    } rows[] = {
        {3, 0, 0, "Destination Net Unreachable"},
        {3, 1, 0, "Destination Host Unreachable"},
        {3, 2, 0, "Destination Protocol Unreachable"},
        {3, 3, 0, "Destination Port Unreachable"},
        {3, 4, 1400, "Frag needed and DF set (mtu = 1400)"},
        {3, 5, 0, "Source Route Failed"},
        {3, 9, 0, "Destination Net Prohibited"},
        {3, 10, 0, "Destination Host Prohibited"},
        {3, 13, 0, "Packet filtered"},
        {3, 15, 0, "Precedence Cutoff"},
        {3, 16, 0, "Dest Unreachable, Bad Code: 16"},
        {4, 0, 0, "Source Quench"},
        {11, 0, 0, "Time to live exceeded"},
        {11, 1, 0, "Frag reassembly time exceeded"},
        {11, 2, 0, "Time exceeded, Bad Code: 2"},
        {12, 0, 20, "Parameter problem: pointer = 20"},
        {99, 0, 0, "Bad ICMP type: 99"},
    };
    (void)state;

    start(56, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[128];
        send_at(T0);
        report(NST_IPC_BY_ICMP, EHOSTUNREACH, rows[i].type, rows[i].code, rows[i].info);
        snprintf(expected, sizeof expected, "From 192.0.2.9 icmp_seq=%zu %s\n", i + 1,
                 rows[i].text);
        assert_output(&out, expected);
    }
    assert_int_equal(ping.errors, sizeof rows / sizeof rows[0]);
}

static void test_errors_of_our_own(void **state)
{
    struct nst_ipc_datagram datagram = {.peer = TARGET,
                                        .flags = NST_IPC_REPORT,
                                        .offender = {4, {10, 0, 0, 2}},
                                        .err = EHOSTUNREACH};
    (void)state;

    start(56, 0);
    send_at(T0);
    nst_cli_ping_input(&ping, &datagram, message, 64);
    assert_output(&out, "From 10.0.0.2 icmp_seq=1 Destination Host Unreachable\n");
    report(0, EMSGSIZE, 0, 0, 1500);
    assert_output(&err, "ping: local error: message too long, mtu=1500\n");
    report(0, ENOBUFS, 0, 0, 0);
    assert_output(&err, "ping: sendmsg: No buffer space available\n");
    assert_output(&out, "");
    nst_cli_ping_finish(&ping);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n"
                  "1 packets transmitted, 0 received, +3 errors, 100% packet loss, time 0ms\n\n");
}

static void test_statistics(void **state)
{
    (void)state;
    start(56, 3);
    send_at(T0);
    answer(64, 46 * US);
    send_at(T0 + SEC + 3 * MS);
    answer(64, 67 * US);
    send_at(T0 + 2013 * MS);
    answer(64, 67 * US);
    output_skip(&out);
    assert_int_equal(nst_cli_ping_finish(&ping), 0);
    assert_output(&out, "\n--- 10.0.0.1 ping statistics ---\n"
                        "3 packets transmitted, 3 received, 0% packet loss, time 2013ms\n"
                        "rtt min/avg/max/mdev = 0.046/0.060/0.067/0.009 ms\n");
}

static void test_statistics_of_nothing(void **state)
{
    (void)state;
    start(56, 0);
    assert_int_equal(nst_cli_ping_finish(&ping), 1);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n0 packets transmitted, 0 received\n\n");
}

static void test_loss_and_pipe(void **state)
{
    (void)state;
    start(56, 0);
    send_at(T0);
    send_at(T0 + SEC);
    send_at(T0 + 2 * SEC);
    message[7] = 1; /* the first one's answer, late */
    memset(message + 8, 0, 16);
    answer(64, 0);
    assert_output(&out, "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=2000 ms\n");
    assert_int_equal(nst_cli_ping_finish(&ping), 0);
    assert_output(&out, "\n--- 10.0.0.1 ping statistics ---\n"
                        "3 packets transmitted, 1 received, 66.6667% packet loss, time 2000ms\n"
                        "rtt min/avg/max/mdev = 2000.000/2000.000/2000.000/0.000 ms, pipe 3\n");
}

/* An answer to what was never asked says nothing about how many were under way. */
static void test_answer_from_the_future(void **state)
{
    (void)state;
    start(56, 0);
    send_at(T0);
    message[7] = 200;
    answer(64, 0);
    assert_int_equal(ping.pipe, 0);
}

static void test_unreachable_statistics(void **state)
{
    (void)state;
    start(56, 2);
    send_at(T0);
    send_at(T0 + 1020 * MS);
    message[7] = 1;
    report(NST_IPC_BY_ICMP, EHOSTUNREACH, 3, 1, 0);
    message[7] = 2;
    report(NST_IPC_BY_ICMP, EHOSTUNREACH, 3, 1, 0);
    assert_output(&out, "From 192.0.2.9 icmp_seq=1 Destination Host Unreachable\n"
                        "From 192.0.2.9 icmp_seq=2 Destination Host Unreachable\n");
    assert_int_equal(nst_cli_ping_finish(&ping), 1);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n"
                  "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1020ms\n"
                  "pipe 2\n");
}

static void test_report(void **state)
{
    (void)state;
    start(56, 0);
    nst_cli_ping_report(&ping);
    assert_output(&err, "\r0/0 packets, 0% loss\n");
    send_at(T0);
    answer(64, 46 * US);
    send_at(T0 + SEC);
    answer(64, 67 * US);
    nst_cli_ping_report(&ping);
    assert_output(&err, "\r2/2 packets, 0% loss, min/avg/ewma/max = 0.046/0.056/0.048/0.067 ms\n");
}

static void test_quiet(void **state)
{
    struct nst_cli_ping_config config = usual(56, 0);
    (void)state;

    config.quiet = true;
    nst_cli_ping_init(&ping, &config);
    send_at(T0);
    answer(64, MS);
    report(NST_IPC_BY_ICMP, EHOSTUNREACH, 3, 1, 0);
    assert_output(&out, "");
    assert_int_equal(ping.received, 1);
    assert_int_equal(ping.errors, 1);
}

/* Of many large round trips, no sum overflows. */
static void test_long_run(void **state)
{
    (void)state;
    start(16, 0);
    for (uint64_t i = 0; i < 200000; i++) {
        send_at(T0 + i * SEC);
        answer(24, i % 2 ? 600 * SEC : 1400 * SEC);
    }
    output_skip(&out);
    nst_cli_ping_finish(&ping);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n"
                  "200000 packets transmitted, 200000 received, 0% packet loss, time "
                  "199999000ms\n"
                  "rtt min/avg/max/mdev = 600000.000/1000000.000/1400000.000/400000.000 ms\n");
}

/* ---- When ---- */

static void assert_next(bool send, uint64_t when)
{
    uint64_t w;
    bool s;

    assert_true(nst_cli_ping_next(&ping, now, &w, &s));
    assert_int_equal(s, send);
    assert_int_equal(w, when);
}

static void assert_done(void)
{
    uint64_t when;
    bool send;

    assert_false(nst_cli_ping_next(&ping, now, &when, &send));
}

static void test_pace(void **state)
{
    (void)state;
    start(56, 0);
    assert_next(true, T0);
    send_at(T0);
    assert_next(true, T0 + SEC);
    answer(64, MS);
    assert_next(true, T0 + SEC);
}

static void test_ends_with_the_last_answer(void **state)
{
    (void)state;
    start(56, 2);
    send_at(T0);
    answer(64, MS);
    assert_next(true, T0 + SEC);
    send_at(T0 + SEC);
    assert_next(false, T0 + 2 * SEC); /* an interval, as that is longer than two round trips */
    answer(64, MS);
    assert_done();
}

static void test_waits_twice_the_longest_round_trip(void **state)
{
    (void)state;
    start(56, 2);
    send_at(T0);
    answer(64, 3 * SEC);
    send_at(T0 + 4 * SEC);
    assert_next(false, T0 + 10 * SEC);
    now = T0 + 10 * SEC;
    assert_done();
}

static void test_lingers_without_any_answer(void **state)
{
    (void)state;
    start(56, 1);
    send_at(T0);
    assert_next(false, T0 + 10 * SEC);
    now = T0 + 10 * SEC;
    assert_done();
}

static void test_lingers_for_ever(void **state)
{
    struct nst_cli_ping_config config = usual(56, 1);
    (void)state;

    config.linger_ns = 0;
    nst_cli_ping_init(&ping, &config);
    send_at(T0);
    assert_next(false, NST_TIME_NEVER);
}

static void test_errors_count_as_answers(void **state)
{
    (void)state;
    start(56, 1);
    send_at(T0);
    report(NST_IPC_BY_ICMP, EHOSTUNREACH, 3, 1, 0);
    assert_done();
}

static void start_until(uint64_t deadline_ns, uint64_t count)
{
    struct nst_cli_ping_config config = usual(56, count);

    config.deadline_ns = deadline_ns;
    nst_cli_ping_init(&ping, &config);
}

/* With a deadline the count is one of answers: what is late or lost is asked again. */
static void test_deadline_counts_answers(void **state)
{
    (void)state;
    start_until(9 * SEC, 2);
    send_at(T0);
    answer(64, MS);
    send_at(T0 + SEC);
    assert_next(true, T0 + 2 * SEC);
    send_at(T0 + 2 * SEC);
    answer(64, MS);
    assert_done();
    assert_int_equal(nst_cli_ping_finish(&ping), 0);
}

static void test_deadline_ends_it(void **state)
{
    (void)state;
    start_until(2500 * MS, 2);
    send_at(T0);
    answer(64, MS);
    send_at(T0 + SEC);
    send_at(T0 + 2 * SEC);
    assert_next(false, T0 + 2500 * MS);
    now = T0 + 2500 * MS;
    assert_done();
    assert_int_equal(nst_cli_ping_finish(&ping), 1); /* one answer is fewer than two */
}

static void test_deadline_without_count(void **state)
{
    (void)state;
    start_until(1500 * MS, 0);
    send_at(T0);
    answer(64, MS);
    send_at(T0 + SEC);
    now = T0 + 1500 * MS;
    assert_done();
    assert_int_equal(nst_cli_ping_finish(&ping), 0);
}

static void test_deadline_does_not_outlive_an_error(void **state)
{
    (void)state;
    start_until(9 * SEC, 2);
    send_at(T0);
    report(NST_IPC_BY_ICMP, EHOSTUNREACH, 3, 1, 0);
    assert_done();
}

/* With an interval of 0: when the answer is here, or after 10 ms. */
static void test_as_fast_as_answers(void **state)
{
    struct nst_cli_ping_config config = usual(56, 0);
    (void)state;

    config.interval_ns = 0;
    nst_cli_ping_init(&ping, &config);
    send_at(T0);
    now += MS;
    assert_next(true, T0 + 10 * MS);
    answer(64, 0);
    assert_next(true, now);
    send_at(T0 + 2 * MS);
    answer(64, 2 * MS);
    output_skip(&out);
    nst_cli_ping_finish(&ping);
    assert_output(&out,
                  "\n--- 10.0.0.1 ping statistics ---\n"
                  "2 packets transmitted, 2 received, 0% packet loss, time 2ms\n"
                  "rtt min/avg/max/mdev = 1.000/1.500/2.000/0.500 ms, ipg/ewma 2.000/1.125 ms\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_header),
        TEST(test_request),
        TEST(test_request_sizes),
        TEST(test_answer_line),
        TEST(test_no_time_without_room_for_it),
        TEST(test_duplicate),
        TEST(test_sequence_wraps),
        TEST(test_wrong_data),
        TEST(test_truncated),
        TEST(test_forged_time),
        TEST(test_arrival_before_departure),
        TEST(test_other_messages_are_ignored),
        TEST(test_errors),
        TEST(test_errors_of_our_own),
        TEST(test_statistics),
        TEST(test_statistics_of_nothing),
        TEST(test_loss_and_pipe),
        TEST(test_answer_from_the_future),
        TEST(test_unreachable_statistics),
        TEST(test_report),
        TEST(test_quiet),
        TEST(test_long_run),
        TEST(test_pace),
        TEST(test_ends_with_the_last_answer),
        TEST(test_waits_twice_the_longest_round_trip),
        TEST(test_lingers_without_any_answer),
        TEST(test_lingers_for_ever),
        TEST(test_errors_count_as_answers),
        TEST(test_deadline_counts_answers),
        TEST(test_deadline_ends_it),
        TEST(test_deadline_without_count),
        TEST(test_deadline_does_not_outlive_an_error),
        TEST(test_as_fast_as_answers),
    };
    return cmocka_run_group_tests_name("cli/ping", tests, NULL, NULL);
}
