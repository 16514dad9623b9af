/* netstack status, addr, route, neigh, metrics, stats: one call each, its answer for people or as
 * it came.
 *
 * What the daemon says is looked at with care all the same: a member that is missing or of another
 * type reads as empty or 0. */
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct view {
    const char *op;
    /* Prints the answer for people; -ENOMEM. */
    int (*print)(const json_t *answer, bool all);
    struct nst_cli_usage usage;
};

/* ---- Reading the answer ---- */

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

static bool truth(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* An object's member in decimal, into `buf`, which it returns. */
static const char *decimal(char buf[NST_CLI_FORMAT], const json_t *object, const char *key)
{
    snprintf(buf, NST_CLI_FORMAT, "%llu", (unsigned long long)number(object, key));
    return buf;
}

/* "before value", or nothing when there is no value. */
static const char *labelled(char *buf, size_t cap, const char *before, const char *value)
{
    snprintf(buf, cap, "%s%s", *value ? before : "", value);
    return buf;
}

#define ROW(table, ...) nst_cli_table_row(table, (const char *const[]){__VA_ARGS__})

/* ---- status ---- */

static void device_row(struct nst_cli_table *table, const json_t *device)
{
    char line[256];

    snprintf(line, sizeof line, "%s, %s, %s%s%smtu %llu, %s%s", nst_cli_member(device, "name"),
             nst_cli_member(device, "kind"), *nst_cli_member(device, "mac") ? "mac " : "",
             nst_cli_member(device, "mac"), *nst_cli_member(device, "mac") ? ", " : "",
             (unsigned long long)number(device, "mtu"),
             truth(device, "carrier") ? "up" : "no carrier",
             truth(device, "offload") ? ", offloads" : "");
    ROW(table, "device", line);
}

static const char *memory_text(char *buf, size_t cap, const json_t *answer)
{
    const json_t *memory = json_object_get(answer, "memory");
    char used[NST_CLI_FORMAT], budget[NST_CLI_FORMAT];

    snprintf(buf, cap, "%s of %s", nst_cli_format_bytes(used, number(memory, "used")),
             nst_cli_format_bytes(budget, number(memory, "budget")));
    return buf;
}

static int print_status(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("ll");
    char line[256], up[NST_CLI_FORMAT], count[NST_CLI_FORMAT];
    const json_t *address;
    size_t i;
    (void)all;

    snprintf(line, sizeof line, "%s, netstack %s, pid %llu, up %s", nst_cli_member(answer, "name"),
             nst_cli_member(answer, "version"), (unsigned long long)number(answer, "pid"),
             nst_cli_format_duration(up, number(answer, "uptime_s")));
    ROW(table, "instance", line);
    device_row(table, json_object_get(answer, "device"));
    json_array_foreach(json_object_get(answer, "addresses"), i, address)
        ROW(table, i == 0 ? "address" : "", json_string_value(address));
    if (*nst_cli_member(answer, "gateway"))
        ROW(table, "gateway", nst_cli_member(answer, "gateway"));
    json_array_foreach(json_object_get(answer, "dns"), i, address)
        ROW(table, i == 0 ? "DNS" : "", json_string_value(address));
    if (*nst_cli_member(answer, "host_address"))
        ROW(table, "host side", nst_cli_member(answer, "host_address"));
    if (*nst_cli_member(answer, "nat"))
        ROW(table, "NAT", labelled(line, sizeof line, "through ", nst_cli_member(answer, "nat")));
    ROW(table, "memory", memory_text(line, sizeof line, answer));
    ROW(table, "sockets", decimal(count, answer, "sockets"));
    ROW(table, "clients", decimal(count, answer, "clients"));
    if (number(answer, "queues") > 1) {
        snprintf(line, sizeof line, "%s, %s", decimal(count, answer, "queues"),
                 truth(answer, "steered") ? "steered by the kernel" : "not steered by the kernel");
        ROW(table, "queues", line);
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

/* ---- addr, route, neigh ---- */

static int print_addr(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("llll");
    const json_t *entry;
    size_t i;
    (void)all;

    json_array_foreach(json_object_get(answer, "addresses"), i, entry)
    {
        char acd[128];
        ROW(table, nst_cli_member(entry, "link"), nst_cli_member(entry, "address"),
            nst_cli_member(entry, "state"),
            labelled(acd, sizeof acd, "conflict detection: ", nst_cli_member(entry, "acd")));
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

static int print_route(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("lllll");
    const json_t *entry;
    size_t i;
    (void)all;

    json_array_foreach(json_object_get(answer, "routes"), i, entry)
    {
        char via[128], dev[128], metric[64];
        const char *destination = nst_cli_member(entry, "destination");
        snprintf(metric, sizeof metric, "metric %llu", (unsigned long long)number(entry, "metric"));
        ROW(table, strcmp(destination, "0.0.0.0/0") == 0 ? "default" : destination,
            labelled(via, sizeof via, "via ", nst_cli_member(entry, "gateway")),
            labelled(dev, sizeof dev, "dev ", nst_cli_member(entry, "link")), metric,
            nst_cli_member(entry, "origin"));
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

static int print_neigh(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("llllll");
    const json_t *entry;
    size_t i;
    (void)all;

    json_array_foreach(json_object_get(answer, "neighbours"), i, entry)
    {
        char dev[128], mac[128], queue[NST_CLI_FORMAT + 16] = "", age[NST_CLI_FORMAT],
                                                        confirmed[NST_CLI_FORMAT + 16] = "";
        if (json_is_integer(json_object_get(entry, "confirmed_ms_ago")))
            snprintf(confirmed, sizeof confirmed, "confirmed %s ago",
                     nst_cli_format_age(age, number(entry, "confirmed_ms_ago")));
        if (json_is_integer(json_object_get(entry, "queue")))
            snprintf(queue, sizeof queue, "queue %llu", (unsigned long long)number(entry, "queue"));
        ROW(table, nst_cli_member(entry, "address"),
            labelled(dev, sizeof dev, "dev ", nst_cli_member(entry, "link")),
            labelled(mac, sizeof mac, "lladdr ", nst_cli_member(entry, "mac")),
            nst_cli_member(entry, "state"), confirmed, queue);
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

/* ---- metrics ---- */

/* "before 1.234 ms", or nothing when it is not known. */
static const char *microseconds(char *buf, size_t cap, const char *before, const json_t *object,
                                const char *key)
{
    unsigned long long us = number(object, key);

    buf[0] = '\0';
    if (us)
        snprintf(buf, cap, "%s%llu.%03llu ms", before, us / 1000, us % 1000);
    return buf;
}

static const char *known(char *buf, size_t cap, const char *before, const json_t *object,
                         const char *key)
{
    char value[NST_CLI_FORMAT];

    return labelled(buf, cap, before, number(object, key) ? decimal(value, object, key) : "");
}

static const char *fastopen_text(char *buf, size_t cap, const json_t *entry)
{
    const json_t *fastopen = json_object_get(entry, "fastopen");

    if (truth(fastopen, "cookie"))
        snprintf(buf, cap, "Fast Open");
    else
        known(buf, cap, "Fast Open failures ", fastopen, "failures");
    return buf;
}

static int print_metrics(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("lllllllll");
    const json_t *entry;
    size_t i;
    (void)all;

    json_array_foreach(json_object_get(answer, "metrics"), i, entry)
    {
        char from[128], rtt[64], var[64], mtu[128], ssthresh[128], fastopen[128];
        char age[NST_CLI_FORMAT], measured[NST_CLI_FORMAT + 16] = "";
        if (json_is_integer(json_object_get(entry, "measured_ms_ago")))
            snprintf(measured, sizeof measured, "measured %s ago",
                     nst_cli_format_age(age, number(entry, "measured_ms_ago")));
        ROW(table, nst_cli_member(entry, "peer"),
            labelled(from, sizeof from, "from ", nst_cli_member(entry, "local")),
            microseconds(rtt, sizeof rtt, "rtt ", entry, "srtt_us"),
            microseconds(var, sizeof var, "var ", entry, "rttvar_us"),
            known(mtu, sizeof mtu, "mtu ", entry, "mtu"),
            known(ssthresh, sizeof ssthresh, "ssthresh ", entry, "ssthresh"),
            truth(entry, "reordered") ? "reorders" : "",
            fastopen_text(fastopen, sizeof fastopen, entry), measured);
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

/* ---- stats ---- */

static int print_counters(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("lr");
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(answer, "counters"), i, entry)
    {
        char value[NST_CLI_FORMAT];
        if (all || number(entry, "value") > 0)
            ROW(table, nst_cli_member(entry, "name"), decimal(value, entry, "value"));
    }
    puts("counters");
    return nst_cli_table_print_take(table, stdout, 2);
}

static int print_drops(const json_t *answer, bool all)
{
    struct nst_cli_table *table = nst_cli_table_new("lrl");
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(answer, "drops"), i, entry)
    {
        char value[NST_CLI_FORMAT];
        if (all || number(entry, "count") > 0)
            ROW(table, nst_cli_member(entry, "reason"), decimal(value, entry, "count"),
                nst_cli_member(entry, "text"));
    }
    puts("drops");
    return nst_cli_table_print_take(table, stdout, 2);
}

static int print_links(const json_t *answer)
{
    struct nst_cli_table *table = nst_cli_table_new("llrrr");
    const json_t *link;
    size_t i;

    ROW(table, "", "", "packets", "bytes", "dropped");
    json_array_foreach(json_object_get(answer, "links"), i, link)
    {
        char pkts[NST_CLI_FORMAT], bytes[NST_CLI_FORMAT], drops[NST_CLI_FORMAT];
        ROW(table, nst_cli_member(link, "link"), "in", decimal(pkts, link, "rx_pkts"),
            decimal(bytes, link, "rx_bytes"), decimal(drops, link, "rx_drops"));
        ROW(table, "", "out", decimal(pkts, link, "tx_pkts"), decimal(bytes, link, "tx_bytes"),
            decimal(drops, link, "tx_drops"));
    }
    puts("links");
    return nst_cli_table_print_take(table, stdout, 2);
}

static int print_queues(const json_t *answer)
{
    struct nst_cli_table *table = nst_cli_table_new("rrrrr");
    const json_t *queue;
    size_t i;

    ROW(table, "", "packets in", "packets out", "taken over", "lost");
    json_array_foreach(json_object_get(answer, "queues"), i, queue)
    {
        char index[NST_CLI_FORMAT], in[NST_CLI_FORMAT], out[NST_CLI_FORMAT], taken[NST_CLI_FORMAT],
            lost[NST_CLI_FORMAT];
        ROW(table, decimal(index, queue, "queue"), decimal(in, queue, "rx_pkts"),
            decimal(out, queue, "tx_pkts"), decimal(taken, queue, "taken_over"),
            decimal(lost, queue, "lost"));
    }
    puts("queues");
    return nst_cli_table_print_take(table, stdout, 2);
}

static int print_stats(const json_t *answer, bool all)
{
    char memory[2 * NST_CLI_FORMAT + 8];
    int err = print_links(answer);

    if (!err && json_object_get(answer, "queues"))
        err = print_queues(answer);
    if (!err)
        err = print_counters(answer, all);
    if (!err)
        err = print_drops(answer, all);
    if (!err)
        printf("memory\n  %s\n", memory_text(memory, sizeof memory, answer));
    return err;
}

/* ---- The commands ---- */

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_JSON_OPTION,
                                      NST_CLI_LAST_OPTION};
static const struct option STATS_LONGS[] = {
    {"all", no_argument, NULL, 'a'}, NST_CLI_NAME_OPTION, NST_CLI_JSON_OPTION, NST_CLI_LAST_OPTION};

#define COMMON_HELP                                                   \
    "      --json      print the daemon's answer as it is, as JSON\n" \
    "      --name NAME talk to the instance NAME\n"                   \
    "  -h, --help      print this\n"

static const struct view STATUS = {
    "status",
    print_status,
    {"Usage: netstack status [OPTION]...\n"
     "Show what is running: instance, device, addresses, use of memory.\n\n" COMMON_HELP,
     ":h", LONGS},
};
static const struct view ADDR = {
    "addr",
    print_addr,
    {"Usage: netstack addr [OPTION]...\n"
     "Show the addresses of the running stack.\n\n" COMMON_HELP,
     ":h", LONGS},
};
static const struct view ROUTE = {
    "route",
    print_route,
    {"Usage: netstack route [OPTION]...\n"
     "Show where the running stack sends packets.\n\n" COMMON_HELP,
     ":h", LONGS},
};
static const struct view NEIGH = {
    "neigh",
    print_neigh,
    {"Usage: netstack neigh [OPTION]...\n"
     "Show the neighbours that the running stack knows.\n\n" COMMON_HELP,
     ":h", LONGS},
};
static const struct view METRICS = {
    "metrics",
    print_metrics,
    {"Usage: netstack metrics [OPTION]...\n"
     "Show what the running stack's TCP has learnt of other hosts.\n\n" COMMON_HELP,
     ":h", LONGS},
};
static const struct view STATS = {
    "stats",
    print_stats,
    {"Usage: netstack stats [OPTION]...\n"
     "Show the running stack's counters and why packets were dropped.\n\n"
     "  -a, --all       also what is 0\n" COMMON_HELP,
     ":ah", STATS_LONGS},
};

struct options {
    const char *instance;
    bool json, all;
};

static struct options parse(int argc, char **argv, const struct nst_cli_usage *usage)
{
    struct options o = {0};
    int c;

    while ((c = nst_cli_getopt(argc, argv, usage)) != -1) {
        if (c == NST_CLI_OPT_NAME)
            o.instance = optarg;
        else if (c == NST_CLI_OPT_JSON)
            o.json = true;
        else
            o.all = true;
    }
    nst_cli_operand(argc, argv, NULL);
    return o;
}

static int print_json(const json_t *answer)
{
    int err = json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);

    putchar('\n');
    return err ? -ENOMEM : 0;
}

static int show(int argc, char **argv, const struct view *view)
{
    struct options o = parse(argc, argv, &view->usage);
    struct nst_ipc_client *client = nst_cli_connect(o.instance);

    if (!client)
        return NST_CLI_UNUSABLE;
    json_t *answer = nst_cli_ask(client, view->op);
    nst_ipc_client_free(client);
    if (!answer)
        return NST_CLI_FAILED;
    int err = o.json ? print_json(answer) : view->print(answer, o.all);
    json_decref(answer);
    if (err || fflush(stdout) != 0)
        return nst_cli_fail(NST_CLI_FAILED, "cannot print: %s", strerror(err ? -err : errno));
    return NST_CLI_OK;
}

int nst_cli_status(int argc, char **argv)
{
    return show(argc, argv, &STATUS);
}

int nst_cli_addr(int argc, char **argv)
{
    return show(argc, argv, &ADDR);
}

int nst_cli_route(int argc, char **argv)
{
    return show(argc, argv, &ROUTE);
}

int nst_cli_neigh(int argc, char **argv)
{
    return show(argc, argv, &NEIGH);
}

int nst_cli_metrics(int argc, char **argv)
{
    return show(argc, argv, &METRICS);
}

int nst_cli_stats(int argc, char **argv)
{
    return show(argc, argv, &STATS);
}
