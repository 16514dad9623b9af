/* netstack arping: asks the neighbours by ARP, spoken as iputils' does. Through a packet socket,
 * which sees all ARP frames of the link, so only the daemon's owner may. */
#include "cli/arping.h"
#include "cli/probe.h"
#include "cli/resolve.h"
#include "core/base/addr.h"

#include <string.h>

#define SECOND    UINT64_C(1000000000)
#define ETH_P_ARP 0x0806

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack arping [OPTION]... ADDRESS\n"
    "Let the running stack ask its neighbours for ADDRESS by ARP, and print the answers.\n"
    "\n"
    "  -c COUNT        stop after COUNT requests\n"
    "  -w SECONDS      go on until then, or until COUNT answers have come\n"
    "  -i SECONDS      time between requests (1)\n"
    "  -f              stop at the first answer\n"
    "  -b              always ask everybody, also once the answering station is known\n"
    "  -D              detect duplicates: does anybody have ADDRESS already?\n"
    "  -U              announce ADDRESS as ours, by requests\n"
    "  -A              announce ADDRESS as ours, by replies\n"
    "  -I LINK         the link to use (the first)\n"
    "  -q              print nothing\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n"
    "\n"
    "Exit code: 0 if there was an answer (with -D: if there was none), else 1; 2 if it could not "
    "be\n"
    "tried.\n",
    ":c:w:i:fbDUAI:qh",
    LONGS,
};

struct options {
    const char *instance, *link;
    struct nst_cli_arping_config arping;
};

struct session {
    struct nst_ipc_client *client;
    json_t *socket; /* the answer to the call `socket` */
    uint32_t sock;
    struct nst_cli_arping arping;
};

static struct options parse(int argc, char **argv, const char **target)
{
    struct options o = {.arping = {.interval_ns = SECOND, .out = stdout}};
    int c;

    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1) {
        switch (c) {
        case 'c':
            o.arping.count = nst_cli_number(argv, optarg, 1, INT64_MAX);
            break;
        case 'w':
            o.arping.deadline_ns = nst_cli_seconds(argv, optarg);
            break;
        case 'i':
            o.arping.interval_ns = nst_cli_seconds(argv, optarg);
            break;
        case 'f':
            o.arping.first = true;
            break;
        case 'b':
            o.arping.broadcast = true;
            break;
        case 'D':
            o.arping.mode = NST_CLI_ARPING_DETECT;
            break;
        case 'U':
            o.arping.mode = NST_CLI_ARPING_ANNOUNCE;
            break;
        case 'A':
            o.arping.mode = NST_CLI_ARPING_ANSWER;
            break;
        case 'I':
            o.link = optarg;
            break;
        case 'q':
            o.arping.quiet = true;
            break;
        default:
            o.instance = optarg;
        }
    }
    if (o.arping.interval_ns == 0)
        nst_cli_misused(argv, "the interval must be longer than 0");
    *target = nst_cli_operand(argc, argv, "the ADDRESS to ask for");
    return o;
}

/* Opens a packet socket for ARP and learns who we are on its link. */
static int open_socket(struct session *s, const char *link, struct nst_cli_arping_config *config)
{
    json_t *call = json_pack("{s:s, s:s, s:i, s:s*}", "op", "socket", "type", "packet", "ethertype",
                             ETH_P_ARP, "link", link);

    if (nst_ipc_client_call_take(s->client, call, &s->socket) < 0)
        return nst_cli_fail(NST_CLI_UNUSABLE, "%s", nst_ipc_client_why(s->client));
    s->sock = (uint32_t)json_integer_value(json_object_get(s->socket, "sock"));
    config->link = nst_cli_member(s->socket, "link");
    config->addr = (struct nst_addr){.family = NST_AF_INET};
    nst_addr_parse(&config->addr,
                   nst_cli_member(s->socket, "address")); /* stays 0.0.0.0 without one */
    if (!nst_mac_parse(&config->mac, nst_cli_member(s->socket, "mac")))
        return nst_cli_fail(NST_CLI_UNUSABLE, "%s has no Ethernet address, so no ARP",
                            config->link);
    return 0;
}

static bool next(void *state, uint64_t now, uint64_t *when, bool *send)
{
    return nst_cli_arping_next(state, now, when, send);
}

static size_t build(void *state, uint64_t now, uint8_t *probe)
{
    nst_cli_arping_build(state, now, probe);
    return NST_CLI_ARPING_FRAME;
}

static int input(void *state, const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                 size_t len)
{
    if (datagram->flags & NST_IPC_REPORT)
        fprintf(stderr, "arping: sendto: %s\n", strerror(datagram->err));
    else
        nst_cli_arping_input(state, payload, len, datagram->time);
    return 0;
}

static int session(struct session *s, const struct options *o)
{
    static const struct nst_cli_probe_ops ops = {next, build, input, NULL};
    const struct nst_ipc_datagram to = {.sock = s->sock};

    setvbuf(stdout, NULL, _IOLBF, 0);
    nst_cli_arping_init(&s->arping, &o->arping);
    nst_cli_arping_begin(&s->arping);
    int err = nst_cli_probe(s->client, &to, &ops, &s->arping);
    int status = nst_cli_arping_finish(&s->arping);
    return err ? nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(s->client)) : status;
}

int nst_cli_arping(int argc, char **argv)
{
    struct session s = {0};
    const char *target;
    bool numeric;
    struct options o = parse(argc, argv, &target);
    const char *wrong = nst_cli_resolve(&o.arping.target, target, &numeric);

    if (wrong)
        return nst_cli_fail(NST_CLI_UNUSABLE, "%s: %s", target, wrong);
    s.client = nst_cli_connect(o.instance);
    if (!s.client)
        return NST_CLI_UNUSABLE;
    int status = open_socket(&s, o.link, &o.arping);
    if (status == 0)
        status = session(&s, &o);
    json_decref(s.socket);
    nst_ipc_client_free(s.client);
    return status;
}
