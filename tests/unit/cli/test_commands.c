/* The program itself, run as a user runs it, against a daemon that plays its part. */
#include "fake_daemon.h"
#include "output.h"

#include <fcntl.h>
#include <spawn.h>

static char text[65536];

/* Runs a command in a shell, both outputs joined in `text`; returns its exit code. */
static int run_in_shell(const char *command)
{
    FILE *pipe = popen(command, "re");

    assert_non_null(pipe);
    size_t len = fread(text, 1, sizeof text - 1, pipe);
    text[len] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* `before` and the arguments in a line for the shell. */
__attribute__((format(printf, 2, 0))) static int run_line(const char *before, const char *format,
                                                          va_list list)
{
    char args[512], command[1024];

    vsnprintf(args, sizeof args, format, list);
    snprintf(command, sizeof command, "exec 2>&1; %s%s", before, args);
    return run_in_shell(command);
}

__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    int code = run_line("", format, list);
    va_end(list);
    return code;
}

/* Runs `netstack ARGS`. */
__attribute__((format(printf, 1, 2))) static int netstack(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    int code = run_line("\"$NETSTACK\" ", format, list);
    va_end(list);
    return code;
}

/* What was printed must match, '*' standing for figures that vary. */
static void assert_printed(const char *pattern)
{
    if (fnmatch(pattern, text, 0) != 0)
        fail_msg("printed:\n%s\nexpected:\n%s", text, pattern);
}

static void assert_says(const char *part)
{
    if (!strstr(text, part))
        fail_msg("printed:\n%s\nwithout: %s", text, part);
}

/* ---- The program ---- */

static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(netstack("%s", ""), 2);
    assert_says("Usage: netstack COMMAND");
    assert_int_equal(netstack("help"), 0);
    assert_says("\n  capture        show or record");
    assert_int_equal(netstack("--version"), 0);
    assert_string_equal(text, "netstack " NST_VERSION "\n");
}

static void test_help(void **state)
{
    static const char *const commands[] = {"ping",  "arping", "status",  "addr", "route",
                                           "neigh", "stats",  "capture", "down"};
    (void)state;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char usage[64], first[sizeof text];
        snprintf(usage, sizeof usage, "Usage: netstack %s [OPTION]", commands[i]);
        assert_int_equal(netstack("%s --help", commands[i]), 0);
        assert_says(usage);
        assert_says("--name NAME");
        snprintf(first, sizeof first, "%s", text);
        assert_int_equal(netstack("help %s", commands[i]), 0);
        assert_string_equal(text, first);
    }
}

static void test_unknown_command(void **state)
{
    (void)state;
    assert_int_equal(netstack("pign 10.0.0.1"), 2);
    assert_string_equal(text, "netstack: there is no command 'pign'; did you mean 'ping'?\n");
    assert_int_equal(netstack("help statsu"), 2);
    assert_says("did you mean 'stat");
    assert_int_equal(netstack("frobnicate"), 2);
    assert_string_equal(text, "netstack: there is no command 'frobnicate'; see 'netstack help'\n");
    assert_int_equal(netstack("\"$(printf 'a\\033b')\""), 2);
    assert_says("'a?b'");
}

static void test_misuse(void **state)
{
    static const struct {
        const char *args, *says;
    } rows[] = {
        {"ping", "netstack ping: the ADDRESS to ping is missing; see"},
        {"ping a b", "unexpected argument 'b'"},
        {"ping -c 0 10.0.0.1", "0 is out of range: 1 to"},
        {"ping -c x 10.0.0.1", "'x' is not a number"},
        {"ping -c -1 10.0.0.1", "'-1' is not a number"},
        {"ping -c 99999999999999999999 10.0.0.1", "out of range"},
        {"ping -s 65508 10.0.0.1", "65508 is out of range: 0 to 65507"},
        {"ping -t 0 10.0.0.1", "0 is out of range: 1 to 255"},
        {"ping -t 256 10.0.0.1", "256 is out of range"},
        {"ping -i -1 10.0.0.1", "'-1' is not a number of seconds"},
        {"ping -i 1s 10.0.0.1", "'1s' is not a number of seconds"},
        {"ping -i . 10.0.0.1", "'.' is not a number of seconds"},
        {"ping -W 1e3 10.0.0.1", "'1e3' is not a number of seconds"},
        {"ping -W 99999999999 10.0.0.1", "too long"},
        {"ping --frobnicate", "unknown option --frobnicate"},
        {"ping -c", "-c needs a value"},
        {"status --json=yes", "--json takes no value"},
        {"arping", "the ADDRESS to ask for is missing"},
        {"arping -i 0 10.0.0.1", "longer than 0"},
        {"status x", "unexpected argument 'x'"},
        {"stats -x", "unknown option -x"},
        {"capture -s 0", "out of range"},
        {"down x", "unexpected argument"},
        {"relay", "netstack relay: the two devices to join are missing"},
        {"relay a", "the two devices to join are missing"},
        {"relay a b c", "unexpected argument 'c'"},
        {"relay a a", "a can't be joined to itself"},
        {"relay a sixteen-letters-", "'sixteen-letters-' is no name of a device"},
        {"relay a ''", "'' is no name of a device"},
        {"relay --both loss=x a b", "--both: 'loss' needs a share from 0% to 100%"},
        {"relay --to-a los=1% a b", "--to-a: 'los' is not a key"},
        {"relay --to-b loss a b", "--to-b: 'loss' is not KEY=VALUE"},
        {"relay --seed x a b", "'x' is not a number"},
        {"relay --time x a b", "'x' is not a number of seconds"},
        {"relay --busy-poll 1000001 a b", "1000001 is out of range: 0 to 1000000"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(netstack("%s", rows[i].args), 2);
        assert_says(rows[i].says);
        assert_says("--help'\n");
    }
}

/* As of env(1), whose exit codes leave those of programs alone. */
static void test_run_misused(void **state)
{
    static const struct {
        const char *args, *says;
    } rows[] = {
        {"run", "netstack run: the program is missing; see 'netstack run --help'\n"},
        {"run --", "the program is missing"},
        {"run --name", "a value is missing for --name"},
        {"run --frobnicate -- true", "unknown option --frobnicate"},
        {"run -x true", "unknown option -x"},
        {"run --up --tun true", "-- and the program are missing"},
        {"run --up --", "the program is missing"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(netstack("%s", rows[i].args), 125);
        assert_says(rows[i].says);
    }
    assert_int_equal(netstack("run --help"), 0);
    assert_says("Usage: netstack run [OPTION]... [--] PROGRAM");
}

static void test_no_daemon(void **state)
{
    static const char *const commands[] = {"ping 10.0.0.1", "arping 10.0.0.1", "status",
                                           "addr",          "route",           "neigh",
                                           "stats",         "capture",         "down"};
    (void)state;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_int_equal(netstack("%s", commands[i]), 2);
        assert_string_equal(text,
                            "netstack: no netstack instance named 'default' is running; start "
                            "one with: sudo netstack up\n");
    }
    assert_int_equal(netstack("run -- true"), 125);
    assert_says("no netstack instance named 'default' is running");
    assert_int_equal(netstack("status --name lab"), 2);
    assert_says("'lab' is running; start one with: sudo netstack up --name lab");
    assert_int_equal(netstack("status --name ../x"), 2);
    assert_says("letters, digits");
}

/* ---- ping ---- */

static void test_ping(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -c 2 -w 30 -i 0.002 10.0.0.1"), 0);
    assert_printed("PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n"
                   "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=[0-9]* ms\n"
                   "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=[0-9]* ms\n"
                   "\n--- 10.0.0.1 ping statistics ---\n"
                   "* packets transmitted, 2 received, *% packet loss, time *ms\n"
                   "rtt min/avg/max/mdev = */*/*/* ms*\n");
}

static void test_ping_options(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -c 1 -s 8 -t 1 10.0.0.1"), 0);
    assert_printed("PING 10.0.0.1 (10.0.0.1) 8(36) bytes of data.\n"
                   "16 bytes from 10.0.0.1: icmp_seq=1 ttl=1\n"
                   "\n--- 10.0.0.1 ping statistics ---\n"
                   "1 packets transmitted, 1 received, 0% packet loss, time 0ms\n\n");
    assert_int_equal(netstack("ping -q -n -c 1 -s 65507 10.0.0.1"), 0);
    assert_printed("PING 10.0.0.1 (10.0.0.1) 65507(65535) bytes of data.\n"
                   "\n--- 10.0.0.1 ping statistics ---\n"
                   "1 packets transmitted, 1 received, 0% packet loss, time 0ms\nrtt *\n");
}

static void test_ping_by_name(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -n -c 1 localhost"), 0);
    assert_printed("PING localhost (127.0.0.1) 56(84) bytes of data.\n"
                   "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=*");
    assert_int_equal(netstack("ping -c 1 localhost"), 0);
    assert_says("64 bytes from localhost (127.0.0.1): icmp_seq=1 ttl=64 time=");
    assert_int_equal(netstack("ping -c 1 '10.0.0.1x '"), 2);
    assert_says("netstack: 10.0.0.1x : ");
}

static void test_ping_without_answer(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -c 2 -i 0.002 -W 0.05 10.0.0.2"), 1);
    assert_printed("PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n"
                   "\n--- 10.0.0.2 ping statistics ---\n"
                   "2 packets transmitted, 0 received, 100% packet loss, time *ms\n\n");
    assert_int_equal(netstack("ping -c 1 -w 0.05 -q 10.0.0.2"), 1);
    assert_says("1 packets transmitted, 0 received, 100% packet loss, time 0ms\n\n");
}

static void test_ping_errors(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -c 1 10.0.0.3"), 1);
    assert_says("\nFrom 10.0.0.254 icmp_seq=1 Destination Host Unreachable\n");
    assert_says("1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n");
    assert_int_equal(netstack("ping -c 1 10.0.0.4"), 1);
    assert_says("\nFrom 10.0.0.2 icmp_seq=1 Destination Host Unreachable\n");
    assert_int_equal(netstack("ping -c 1 10.0.0.5"), 2);
    assert_says("ping: connect: Network is unreachable\n");
    assert_int_equal(netstack("ping -c 1 10.0.0.9"), 1);
    assert_says("ping: local error: message too long, mtu=1500\n");
}

static void test_ping_oddities(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -c 2 -w 30 -i 0.01 10.0.0.6"), 0);
    assert_says(" (DUP!)\n");
    assert_says(" duplicates, ");
    assert_int_equal(netstack("ping -c 1 10.0.0.7"), 0);
    assert_says("\nwrong data byte #55 should be 0x37 but was 0x36\n#16\t10 11 ");
}

static void test_ping_when_the_daemon_ends(void **state)
{
    (void)state;
    assert_int_equal(netstack("ping -i 0.01 10.0.0.8"), 1);
    assert_printed("PING 10.0.0.8 (10.0.0.8) 56(84) bytes of data.\n"
                   "64 bytes from 10.0.0.8: icmp_seq=1 ttl=64 time=* ms\n"
                   "\n--- 10.0.0.8 ping statistics ---\n"
                   "*"
                   "netstack: the netstack daemon ended\n");
}

/* Starts `netstack ping` with its output in a pipe; waits for the first answer. */
static pid_t start_ping(FILE **output)
{
    char *argv[] = {(char[]){"netstack"}, (char[]){"ping"}, (char[]){"10.0.0.1"}, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    char line[256];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    assert_int_equal(posix_spawn(&pid, getenv("NETSTACK"), &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output = fdopen(ends[0], "r");
    assert_non_null(fgets(line, sizeof line, *output));
    assert_non_null(fgets(line, sizeof line, *output));
    assert_non_null(strstr(line, "icmp_seq=1"));
    return pid;
}

static void test_ping_signals(void **state)
{
    FILE *output;
    pid_t pid = start_ping(&output);
    char line[256];
    int status;
    (void)state;

    kill(pid, SIGQUIT);
    do
        assert_non_null(fgets(line, sizeof line, output));
    while (!strstr(line, "packets"));
    assert_int_equal(
        fnmatch("\r[1-9]/[1-9] packets, *% loss, min/avg/ewma/max = */*/*/* ms\n", line, 0), 0);
    kill(pid, SIGINT);
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    fclose(output);
    assert_says("\n--- 10.0.0.1 ping statistics ---\n");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- arping ---- */

static void test_arping(void **state)
{
    (void)state;
    assert_int_equal(netstack("arping -c 2 -i 0.01 10.0.0.1"), 0);
    assert_printed("ARPING 10.0.0.1 from 10.0.0.2 tun0\n"
                   "Unicast reply from 10.0.0.1 \\[02:00:00:00:00:01\\]  *ms\n"
                   "Unicast reply from 10.0.0.1 \\[02:00:00:00:00:01\\]  *ms\n"
                   "Sent 2 probes (1 broadcast(s))\nReceived 2 response(s)\n");
    assert_int_equal(netstack("arping -c 1 -i 0.01 10.0.0.2"), 1);
    assert_int_equal(netstack("arping -D -c 1 -i 0.01 10.0.0.2"), 0);
    assert_int_equal(netstack("arping -D -q -c 1 10.0.0.1"), 1);
    assert_string_equal(text, "");
    assert_int_equal(netstack("arping -f 10.0.0.1"), 0);
    assert_says("Sent 1 probes");
    assert_int_equal(netstack("arping -A -c 1 -i 0.01 10.0.0.2"), 0);
}

/* ---- What is running ---- */

static void test_status(void **state)
{
    (void)state;
    assert_int_equal(netstack("status"), 0);
    assert_string_equal(text,
                        "instance   t, netstack 9.8, pid 42, up 2 h 3 min\n"
                        "device     tun0, tap, mac 02:00:00:00:00:02, mtu 1500, up, offloads\n"
                        "address    10.0.0.2/24\n"
                        "           10.0.1.2/24\n"
                        "gateway    10.0.0.1\n"
                        "host side  10.0.0.1/24\n"
                        "NAT        through eth0\n"
                        "memory     1.5 KiB of 64.0 MiB\n"
                        "sockets    3\n"
                        "clients    1\n");
}

static void test_lists(void **state)
{
    (void)state;
    assert_int_equal(netstack("addr"), 0);
    assert_string_equal(text, "tun0  10.0.0.2/24    valid      conflict detection: announce\n"
                              "tun0  10.0.1.200/24  tentative  conflict detection: probe\n");
    assert_int_equal(netstack("route"), 0);
    assert_string_equal(text, "default      via 10.0.0.1  dev tun0  metric 0  static\n"
                              "10.0.0.0/24                dev tun0  metric 5  connected\n");
    assert_int_equal(netstack("neigh"), 0);
    assert_string_equal(text, "10.0.0.1   dev tun0  lladdr 02:00:00:00:00:01  reachable  confirmed "
                              "3.2 s ago\n"
                              "10.0.0.77  dev tun0                            failed\n");
}

static void test_stats(void **state)
{
    (void)state;
    assert_int_equal(netstack("stats"), 0);
    assert_string_equal(text, "links\n"
                              "             packets    bytes  dropped\n"
                              "  tun0  in         1       60        3\n"
                              "        out       22  1234567        0\n"
                              "counters\n  ipv4.in  12\n"
                              "drops\n  arp  3  malformed? ARP\n"
                              "memory\n  0 B of 64.0 MiB\n");
    assert_int_equal(netstack("stats -a"), 0);
    assert_says("  ipv4.out   0\n");
    assert_says("  runt  0  too short\n");
}

static void test_json(void **state)
{
    static const char *const ops[] = {"status", "addr", "route", "neigh", "stats"};
    static const char *const answers[] = {FAKE_STATUS, FAKE_ADDR, FAKE_ROUTE, FAKE_NEIGH,
                                          FAKE_STATS};
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(netstack("%s --json", ops[i]), 0);
        json_t *printed = json_loads(text, 0, NULL), *expected = json_loads(answers[i], 0, NULL);
        assert_true(printed && json_equal(printed, expected));
        json_decref(printed);
        json_decref(expected);
    }
}

static void test_output_that_fails(void **state)
{
    (void)state;
    assert_int_equal(netstack("status >/dev/full"), 1);
    assert_string_equal(text, "netstack: cannot print: No space left on device\n");
}

/* ---- capture ---- */

static void test_capture_prints(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    assert_int_equal(netstack("capture -c 3"), 0);
    assert_printed(
        "22:13:20.123456 tun0 in  IP 10.0.0.1 > 10.0.0.2: ICMP echo request*\n"
        "22:13:20.123456 tun0 in  IP * \\[dropped: icmp_type: a type that is ignored\\]\n"
        "22:13:20.123456 ip9 out IP 10.0.0.1 > 10.0.0.2: ICMP echo request*\n"
        "3 frames captured, 0 missed\n");
    assert_int_equal(netstack("capture -i ip9 -c 1"), 0);
    assert_printed("22:13:20.123456 ip9 out IP *\n1 frames captured, 0 missed\n");
    assert_int_equal(netstack("capture -i nosuch"), 2);
    assert_string_equal(text, "netstack: the stack has no link named 'nosuch'\n");
}

static void test_capture_writes(void **state)
{
    (void)state;
    assert_int_equal(netstack("capture -c 3 -w %s/x.pcapng", fixture_dir), 0);
    assert_string_equal(text, "3 frames captured, 0 missed\n");
    assert_int_equal(netstack("capture -w %s/no/such/file", fixture_dir), 2);
    assert_says("No such file or directory");
    assert_int_equal(netstack("capture -w /dev/full"), 1);
    assert_says("netstack: cannot write: No space left on device\n");
}

/* Other programs read what capture writes; skipped where there is no tshark. */
static void test_capture_is_read_by_tshark(void **state)
{
    (void)state;
    if (system("tshark --version >/dev/null 2>&1") != 0)
        skip();
    assert_int_equal(shell("tshark -r %s/x.pcapng -T fields -E separator=, "
                           "-e frame.interface_name -e frame.packet_flags_direction "
                           "-e frame.time_epoch -e ip.dst -e frame.comment 2>/dev/null",
                           fixture_dir),
                     0);
    assert_string_equal(text,
                        "tun0,0x00000001,1700000000.123456789,10.0.0.2,\n"
                        "tun0,0x00000001,1700000000.123456789,10.0.0.2,dropped: icmp_type: a type "
                        "that is ignored\n"
                        "ip9,0x00000002,1700000000.123456789,10.0.0.2,\n");
    assert_int_equal(
        shell("\"$NETSTACK\" capture -s 20 -c 3 -w - 2>/dev/null | tshark -r - -T fields "
              "-e frame.cap_len -e frame.len 2>/dev/null"),
        0);
    assert_string_equal(text, "20\t42\n20\t42\n20\t28\n");
    assert_int_equal(shell("capinfos -TmQ %s/x.pcapng", fixture_dir), 0);
}

static void test_capture_ends_with_the_daemon(void **state)
{
    (void)state;
    assert_int_equal(shell("\"$NETSTACK\" capture -w %s/y.pcapng & "
                           "while ! [ -s %s/y.pcapng ]; do sleep 0.01; done; "
                           "\"$NETSTACK\" down; wait $!",
                           fixture_dir, fixture_dir),
                     1);
    assert_says("3 frames captured, 0 missed\nnetstack: the netstack daemon ended\n");
}

/* ---- down ---- */

static void test_down(void **state)
{
    (void)state;
    assert_int_equal(netstack("down"), 0);
    assert_string_equal(text, "");
    assert_int_equal(access(fixture_path, F_OK), -1);
}

static int remove_files(void **state)
{
    char path[96];

    for (const char *name = "xy"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c.pcapng", fixture_dir, *name);
        unlink(path);
    }
    return fixture_remove_dir(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_start, fake_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_unknown_command),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_run_misused),
        cmocka_unit_test(test_no_daemon),
        TEST(test_ping),
        TEST(test_ping_options),
        TEST(test_ping_by_name),
        TEST(test_ping_without_answer),
        TEST(test_ping_errors),
        TEST(test_ping_oddities),
        TEST(test_ping_when_the_daemon_ends),
        TEST(test_ping_signals),
        TEST(test_arping),
        TEST(test_status),
        TEST(test_lists),
        TEST(test_stats),
        TEST(test_json),
        TEST(test_output_that_fails),
        TEST(test_capture_prints),
        TEST(test_capture_writes),
        TEST(test_capture_is_read_by_tshark),
        TEST(test_capture_ends_with_the_daemon),
        TEST(test_down),
    };
    return cmocka_run_group_tests_name("cli/commands", tests, fixture_make_dir, remove_files);
}
