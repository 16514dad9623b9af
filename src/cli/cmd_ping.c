/* netstack ping: the stack's own ping, spoken as iputils' does. ping.c has the words and the
 * numbers; here are the options, the socket, and the time. */
#include "cli/ping.h"
#include "cli/probe.h"
#include "cli/resolve.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MSEC   UINT64_C(1000000)
#define SECOND (1000 * MSEC)

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack ping [OPTION]... ADDRESS\n"
    "Let the running stack send ICMP echo requests, and print the answers.\n"
    "\n"
    "  -c COUNT        stop after COUNT requests\n"
    "  -i SECONDS      time between requests (1; at least 0.002 unless root)\n"
    "  -s BYTES        data in each request (56; at most 65507)\n"
    "  -t TTL          time to live of the requests, 1 to 255\n"
    "  -w SECONDS      go on until then, or until COUNT answers have come\n"
    "  -W SECONDS      how long to wait for a first answer (10; 0 for ever)\n"
    "  -q              print only the first and the last lines\n"
    "  -n              print addresses only, look up no names\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n"
    "\n"
    "Exit code: 0 if anything answered (with -w: COUNT times), else 1; 2 if it could not be "
    "tried.\n",
    ":c:i:s:t:w:W:qnh",
    LONGS,
};

struct options {
    const char *instance;
    uint64_t ttl; /* 0: the stack's */
    struct nst_cli_ping_config ping;
};

struct session {
    struct nst_ipc_client *client;
    uint32_t sock;
    struct nst_cli_ping ping;
};

static void check_interval(char **argv, uint64_t interval_ns)
{
    if (interval_ns < 2 * MSEC && getuid() != 0)
        nst_cli_misused(argv, "only root may use an interval below 2 ms (-i 0.002)");
}

static struct options parse(int argc, char **argv)
{
    struct options o = {
        .ping = {.names = true,
                 .data_len = 56,
                 .interval_ns = SECOND,
                 .linger_ns = 10 * SECOND,
                 .out = stdout,
                 .err = stderr},
    };
    int c;

    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1) {
        switch (c) {
        case 'c':
            o.ping.count = nst_cli_number(argv, optarg, 1, INT64_MAX);
            break;
        case 'i':
            o.ping.interval_ns = nst_cli_seconds(argv, optarg);
            check_interval(argv, o.ping.interval_ns);
            break;
        case 's':
            o.ping.data_len = nst_cli_number(argv, optarg, 0, NST_CLI_PING_DATA_MAX);
            break;
        case 't':
            o.ttl = nst_cli_number(argv, optarg, 1, 255);
            break;
        case 'w':
            o.ping.deadline_ns = nst_cli_seconds(argv, optarg);
            break;
        case 'W':
            o.ping.linger_ns = nst_cli_seconds(argv, optarg);
            break;
        case 'q':
            o.ping.quiet = true;
            break;
        case 'n':
            o.ping.names = false;
            break;
        default:
            o.instance = optarg;
        }
    }
    o.ping.target = nst_cli_operand(argc, argv, "the ADDRESS to ping");
    return o;
}

static int fail_call(struct session *s)
{
    return nst_cli_fail(NST_CLI_UNUSABLE, "%s", nst_ipc_client_why(s->client));
}

static int open_socket(struct session *s, uint64_t ttl)
{
    json_t *call = json_pack("{s:s, s:s}", "op", "socket", "type", "icmp"), *result = NULL;

    if (nst_ipc_client_call_take(s->client, call, &result) < 0)
        return fail_call(s);
    s->sock = (uint32_t)json_integer_value(json_object_get(result, "sock"));
    json_decref(result);
    if (ttl == 0)
        return 0;
    call = json_pack("{s:s, s:I, s:s, s:I}", "op", "setopt", "sock", (json_int_t)s->sock, "option",
                     "ttl", "value", (json_int_t)ttl);
    return nst_ipc_client_call_take(s->client, call, NULL) < 0 ? fail_call(s) : 0;
}

static bool next(void *state, uint64_t now, uint64_t *when, bool *send)
{
    struct session *s = state;

    return nst_cli_ping_next(&s->ping, now, when, send);
}

static size_t build(void *state, uint64_t now, uint8_t *probe)
{
    struct session *s = state;

    return nst_cli_ping_build(&s->ping, now, probe);
}

/* Whether the report says that there is no way there at all, so that more requests make no sense.
 */
static bool hopeless(const struct session *s, const struct nst_ipc_datagram *datagram)
{
    return s->ping.sent == 1 && (datagram->flags & NST_IPC_REPORT) &&
           !(datagram->flags & NST_IPC_BY_ICMP) &&
           (datagram->err == ENETUNREACH || datagram->err == EACCES);
}

static int input(void *state, const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                 size_t len)
{
    struct session *s = state;

    if (hopeless(s, datagram))
        return -datagram->err;
    nst_cli_ping_input(&s->ping, datagram, payload, len);
    return 0;
}

static void report(void *state)
{
    struct session *s = state;

    nst_cli_ping_report(&s->ping);
}

static int run(struct session *s)
{
    static const struct nst_cli_probe_ops ops = {next, build, input, report};
    const struct nst_ipc_datagram to = {.sock = s->sock, .peer = s->ping.config.addr};

    return nst_cli_probe(s->client, &to, &ops, s);
}

static int finish(struct session *s, int err)
{
    if (err == -ENETUNREACH || err == -EACCES) {
        fprintf(stderr, "ping: connect: %s\n", strerror(-err));
        return NST_CLI_UNUSABLE;
    }
    int status = nst_cli_ping_finish(&s->ping);
    return err ? nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(s->client)) : status;
}

int nst_cli_ping(int argc, char **argv)
{
    static struct session s;
    struct options o = parse(argc, argv);
    bool numeric;
    const char *wrong = nst_cli_resolve(&o.ping.addr, o.ping.target, &numeric);

    if (wrong)
        return nst_cli_fail(NST_CLI_UNUSABLE, "%s: %s", o.ping.target, wrong);
    o.ping.names = o.ping.names && !numeric;
    s.client = nst_cli_connect(o.instance);
    if (!s.client)
        return NST_CLI_UNUSABLE;
    int status = open_socket(&s, o.ttl);
    if (status == 0) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        nst_cli_ping_init(&s.ping, &o.ping);
        nst_cli_ping_begin(&s.ping);
        status = finish(&s, run(&s));
    }
    nst_ipc_client_free(s.client);
    return status;
}
