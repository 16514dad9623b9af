/* netstack relay: a cable between two TAP devices that is as bad as one wants it to be. It needs no
 * daemon.
 *
 * There is a report when it begins, for each SIGUSR1, and at the end; with --json each of them is a
 * line, so whoever started it reads the first one to know that the devices are there. */
#include "cli/cli.h"
#include "cli/relay.h"
#include "cli/table.h"

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include "core/base/bytes.h"

enum {
    OPT_TO_A = NST_CLI_OPT_JSON + 1,
    OPT_TO_B,
    OPT_BOTH,
    OPT_SEED,
    OPT_TIME,
    OPT_BUSY_POLL,
};

static const struct option LONGS[] = {
    {"to-a", required_argument, NULL, OPT_TO_A},
    {"to-b", required_argument, NULL, OPT_TO_B},
    {"both", required_argument, NULL, OPT_BOTH},
    {"seed", required_argument, NULL, OPT_SEED},
    {"time", required_argument, NULL, OPT_TIME},
    {"busy-poll", required_argument, NULL, OPT_BUSY_POLL},
    {"help", no_argument, NULL, 'h'},
    NST_CLI_JSON_OPTION,
    NST_CLI_LAST_OPTION,
};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack relay [OPTION]... A B\n"
    "Join the TAP devices A and B, which are made if they aren't there, by a wire that delays,\n"
    "throttles, loses, repeats, reorders and corrupts frames. Needs no running stack.\n"
    "\n"
    "      --to-a SPEC         what happens to frames on their way to A\n"
    "      --to-b SPEC         and to B\n"
    "      --both SPEC         both; of options that set the same, the last one counts\n"
    "      --seed NUMBER       make the choices of the run that had this seed (random)\n"
    "      --time SECONDS      end by itself\n"
    "      --busy-poll MICROSECONDS\n"
    "                          go on polling for so long before going to sleep (0)\n"
    "      --json              print reports as JSON, one to a line\n"
    "  -h, --help              print this\n"
    "\n"
    "SPEC is a list, as in rate=100mbit,queue=250,delay=10ms,loss=1%. All of it is off by "
    "default:\n"
    "  rate=RATE               bits a second of whole frames: bit, kbit, mbit, gbit\n"
    "  queue=N                 what may wait for the rate: frames (1000), or with B, kB, KiB, ...\n"
    "                          bytes\n"
    "  delay=TIME              ns, us, ms, s\n"
    "  jitter=TIME             up to so much more; the order is kept\n"
    "  loss=SHARE              is lost, by chance: a percentage, as in 0.01%\n"
    "  burst=SHARE:SHARE       all is lost from when a burst begins to when it ends: the chances,\n"
    "                          before each frame, that it does\n"
    "  repeat=SHARE            comes twice\n"
    "  reorder=SHARE[:TIME]    comes later by up to TIME (10ms), so that others overtake it\n"
    "  corrupt=SHARE           has one bit wrong\n"
    "\n"
    "SIGUSR1 makes it report. Exit code: 0; 1 if a device went away; 2 if it could not be tried.\n",
    ":h",
    LONGS,
};

struct options {
    struct nst_relay_config relay;
    uint64_t time_ns; /* NST_LOOP_NEVER: until a signal */
    uint64_t busy_poll_ns;
    bool json;
};

struct session {
    struct options options;
    struct nst_loop *loop;
    struct nst_relay *relay;
    uint64_t start_ns;
    struct nst_loop_signal interrupt, terminate, report;
    struct nst_loop_timer end;
};

/* ---- Options ---- */

static void set_wire(char **argv, const char *option, struct nst_impair_config *config)
{
    char why[NST_IMPAIR_WHY];

    if (nst_impair_parse(config, optarg, why) < 0)
        nst_cli_misused(argv, "%s: %s", option, why);
}

static void set_option(struct options *o, char **argv, int c)
{
    switch (c) {
    case OPT_TO_A:
        set_wire(argv, "--to-a", &o->relay.to[NST_RELAY_A]);
        break;
    case OPT_TO_B:
        set_wire(argv, "--to-b", &o->relay.to[NST_RELAY_B]);
        break;
    case OPT_BOTH:
        set_wire(argv, "--both", &o->relay.to[NST_RELAY_A]);
        set_wire(argv, "--both", &o->relay.to[NST_RELAY_B]);
        break;
    case OPT_SEED:
        o->relay.seed = nst_cli_number(argv, optarg, 0, UINT64_MAX);
        break;
    case OPT_TIME:
        o->time_ns = nst_cli_seconds(argv, optarg);
        break;
    case OPT_BUSY_POLL:
        o->busy_poll_ns = 1000 * nst_cli_number(argv, optarg, 0, 1000000);
        break;
    default:
        o->json = true;
    }
}

static void set_devices(struct options *o, int argc, char **argv)
{
    const char **devices = o->relay.devices;

    if (argc - optind < NST_RELAY_ENDS)
        nst_cli_misused(argv, "the two devices to join are missing");
    devices[NST_RELAY_A] = argv[optind++];
    devices[NST_RELAY_B] = nst_cli_operand(argc, argv, "the device B");
    for (size_t i = 0; i < NST_RELAY_ENDS; i++)
        if (!*devices[i] || strlen(devices[i]) >= IFNAMSIZ)
            nst_cli_misused(argv, "'%s' is no name of a device", devices[i]);
    if (strcmp(devices[NST_RELAY_A], devices[NST_RELAY_B]) == 0)
        nst_cli_misused(argv, "%s can't be joined to itself", devices[NST_RELAY_A]);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.time_ns = NST_LOOP_NEVER};
    int c;

    if (getrandom(&o.relay.seed, sizeof o.relay.seed, 0) < 0)
        o.relay.seed = nst_loop_clock();
    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1)
        set_option(&o, argv, c);
    set_devices(&o, argc, argv);
    return o;
}

/* ---- Reports ---- */

static const struct counter {
    const char *name;
    size_t offset;
} counters[] = {
    {"sent", offsetof(struct nst_relay_stats, wire.sent)},
    {"bytes", offsetof(struct nst_relay_stats, wire.bytes)},
    {"overflowed", offsetof(struct nst_relay_stats, wire.overflowed)},
    {"lost", offsetof(struct nst_relay_stats, wire.lost)},
    {"repeated", offsetof(struct nst_relay_stats, wire.repeated)},
    {"reordered", offsetof(struct nst_relay_stats, wire.reordered)},
    {"corrupted", offsetof(struct nst_relay_stats, wire.corrupted)},
    {"delivered", offsetof(struct nst_relay_stats, wire.delivered)},
    {"refused", offsetof(struct nst_relay_stats, refused)},
    {"held", offsetof(struct nst_relay_stats, held)},
};

static uint64_t value(const struct nst_relay_stats *stats, const struct counter *counter)
{
    uint64_t v;

    memcpy(&v, (const char *)stats + counter->offset, sizeof v);
    return v;
}

static double seconds(const struct session *s)
{
    return (double)(nst_loop_clock() - s->start_ns) / NST_LOOP_SECOND;
}

static json_t *direction_json(const struct session *s, enum nst_relay_end to)
{
    const struct nst_relay_stats stats = nst_relay_stats(s->relay, to);
    const char *const *devices = s->options.relay.devices;
    json_t *object =
        json_pack("{s:s, s:s}", "from", devices[NST_RELAY_ENDS - 1 - to], "to", devices[to]);

    for (size_t i = 0; i < NST_ARRAY_LEN(counters); i++)
        json_object_set_new(object, counters[i].name,
                            json_integer((json_int_t)value(&stats, &counters[i])));
    return object;
}

static void report_json(const struct session *s)
{
    char seed[24];

    /* As a string, since not every reader's numbers have 64 bits. */
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)s->options.relay.seed);
    json_t *report = json_pack("{s:s, s:f, s:[o, o]}", "seed", seed, "seconds", seconds(s),
                               "directions", direction_json(s, NST_RELAY_B),
                               direction_json(s, NST_RELAY_A));
    json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(report);
}

static void report_text(const struct session *s)
{
    const struct nst_relay_stats to_a = nst_relay_stats(s->relay, NST_RELAY_A);
    const struct nst_relay_stats to_b = nst_relay_stats(s->relay, NST_RELAY_B);
    const char *const *devices = s->options.relay.devices;
    struct nst_cli_table *table = nst_cli_table_new("lrr");
    char b[IFNAMSIZ + 4], a[IFNAMSIZ + 4];

    snprintf(b, sizeof b, "to %s", devices[NST_RELAY_B]);
    snprintf(a, sizeof a, "to %s", devices[NST_RELAY_A]);
    nst_cli_table_row(table, (const char *const[]){NULL, b, a});
    for (size_t i = 0; i < NST_ARRAY_LEN(counters); i++) {
        char left[24], right[24];
        snprintf(left, sizeof left, "%llu", (unsigned long long)value(&to_b, &counters[i]));
        snprintf(right, sizeof right, "%llu", (unsigned long long)value(&to_a, &counters[i]));
        nst_cli_table_row(table, (const char *const[]){counters[i].name, left, right});
    }
    printf("after %.3f s\n", seconds(s));
    (void)nst_cli_table_print_take(table, stdout, 2); /* what can't be printed can't be helped */
}

static void report(const struct session *s)
{
    if (s->options.json)
        report_json(s);
    else
        report_text(s);
    fflush(stdout);
}

static void greet(const struct session *s)
{
    const struct nst_relay_config *config = &s->options.relay;

    if (s->options.json) {
        report_json(s);
    } else {
        nst_cli_put(stdout, config->devices[NST_RELAY_A]);
        fputs(" and ", stdout);
        nst_cli_put(stdout, config->devices[NST_RELAY_B]);
        printf(" are joined, seed %llu\n", (unsigned long long)config->seed);
    }
    fflush(stdout);
}

/* ---- The command ---- */

static void on_end_signal(struct nst_loop *loop, struct nst_loop_signal *signal,
                          const struct signalfd_siginfo *info)
{
    (void)signal, (void)info;
    nst_loop_stop(loop, 0);
}

static void on_report_signal(struct nst_loop *loop, struct nst_loop_signal *signal,
                             const struct signalfd_siginfo *info)
{
    (void)loop, (void)info;
    report(signal->arg);
}

static void on_end(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)timer;
    nst_loop_stop(loop, 0);
}

static int watch(struct session *s)
{
    s->interrupt.fn = s->terminate.fn = on_end_signal;
    s->report.fn = on_report_signal;
    s->report.arg = s;
    s->end.fn = on_end;
    nst_loop_timer_after(s->loop, &s->end, s->options.time_ns);
    int err = nst_loop_signal_add(s->loop, &s->interrupt, SIGINT);
    if (!err)
        err = nst_loop_signal_add(s->loop, &s->terminate, SIGTERM);
    if (!err)
        err = nst_loop_signal_add(s->loop, &s->report, SIGUSR1);
    return err;
}

static int set_up(struct session *s)
{
    const struct nst_loop_config config = {.busy_poll_ns = s->options.busy_poll_ns};
    const char *failed;

    int err = nst_loop_new(&s->loop, &config);
    if (!err)
        err = watch(s);
    if (err)
        return nst_cli_fail(NST_CLI_UNUSABLE, "cannot make the event loop: %s", strerror(-err));
    err = nst_relay_open(&s->relay, s->loop, &s->options.relay, &failed);
    if (err)
        return nst_cli_fail(NST_CLI_UNUSABLE, "cannot open the TAP device %s: %s", failed,
                            strerror(-err));
    return 0;
}

static int run(struct session *s)
{
    s->start_ns = nst_loop_clock();
    greet(s);
    int err = nst_loop_run(s->loop);
    report(s);
    if (err == -EBADFD)
        return nst_cli_fail(NST_CLI_FAILED, "a device went away");
    return err ? nst_cli_fail(NST_CLI_FAILED, "cannot wait: %s", strerror(-err)) : NST_CLI_OK;
}

int nst_cli_relay(int argc, char **argv)
{
    struct session s = {.options = parse(argc, argv)};

    /* The kernel may else wake us 50 us late, to save a wake-up. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    int status = set_up(&s);
    if (status == 0)
        status = run(&s);
    nst_relay_close(s.relay);
    nst_loop_free(s.loop);
    return status;
}
