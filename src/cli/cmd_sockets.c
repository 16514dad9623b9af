/* netstack sockets: every socket of the stack, as ss shows those of the kernel. */
#include "cli/cli.h"
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *instance;
    bool info, listening, processes, tcp, udp, json;
};

static const struct option LONGS[] = {{"info", no_argument, NULL, 'i'},
                                      {"listening", no_argument, NULL, 'l'},
                                      {"processes", no_argument, NULL, 'p'},
                                      {"tcp", no_argument, NULL, 't'},
                                      {"udp", no_argument, NULL, 'u'},
                                      NST_CLI_NAME_OPTION,
                                      NST_CLI_JSON_OPTION,
                                      NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack sockets [OPTION]...\n"
    "Show the sockets of the running stack, and connections without one.\n\n"
    "  -i, --info      what TCP knows of each connection\n"
    "  -l, --listening only those that wait for connections or datagrams\n"
    "  -p, --processes the program of each, and its number for kill-socket\n"
    "  -t, --tcp       only TCP\n"
    "  -u, --udp       only UDP\n"
    "      --json      print all of it, as JSON\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n",
    "ilptuh",
    LONGS,
};

static struct options parse(int argc, char **argv)
{
    struct options o = {0};
    int c;

    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1) {
        switch (c) {
        case 'i':
            o.info = true;
            break;
        case 'l':
            o.listening = true;
            break;
        case 'p':
            o.processes = true;
            break;
        case 't':
            o.tcp = true;
            break;
        case 'u':
            o.udp = true;
            break;
        case NST_CLI_OPT_JSON:
            o.json = true;
            break;
        default:
            o.instance = optarg;
        }
    }
    nst_cli_operand(argc, argv, NULL);
    return o;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct options *o, const json_t *s)
{
    const char *protocol = nst_cli_member(s, "protocol"), *state = nst_cli_member(s, "state");
    bool connected = json_integer_value(json_object_get(json_object_get(s, "peer"), "port")) != 0;

    if (o->listening && (*state ? strcmp(state, "listen") != 0 : connected))
        return false;
    return !(o->tcp || o->udp) || (o->tcp && strcmp(protocol, "tcp") == 0) ||
           (o->udp && strcmp(protocol, "udp") == 0);
}

/* Appends what is wanted of one page to `list`; `*cursor` is where the next begins, NULL after the
 * last. 0, or an exit code after a complaint. */
static int ask_page(struct nst_ipc_client *client, const struct options *o, json_t **cursor,
                    json_t *list)
{
    json_t *answer = NULL, *s;
    size_t i;
    int err = nst_ipc_client_call_take(client,
                                       json_pack("{s:s, s:b, s:o*}", "op", "sockets", "info",
                                                 o->info || o->json, "cursor", *cursor),
                                       &answer);

    *cursor = NULL;
    if (err)
        return nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(client));
    json_array_foreach(json_object_get(answer, "sockets"), i, s)
    {
        if (is_wanted(o, s))
            json_array_append(list, s);
    }
    if (json_is_integer(json_object_get(answer, "cursor")))
        *cursor = json_incref(json_object_get(answer, "cursor"));
    json_decref(answer);
    return 0;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static uint64_t member(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

static const char *decimal(char buf[24], const json_t *object, const char *key)
{
    snprintf(buf, 24, "%llu", (unsigned long long)member(object, key));
    return buf;
}

/* "10.0.0.2:80"; "*" for what is not set. */
static const char *name_text(char *buf, size_t cap, const json_t *name)
{
    const char *address = nst_cli_member(name, "address");
    unsigned port = (unsigned)member(name, "port");

    if (port)
        snprintf(buf, cap, "%s:%u", *address ? address : "*", port);
    else
        snprintf(buf, cap, "%s:*", *address ? address : "*");
    return buf;
}

/* What the kernel calls the program of a process, and a space; nothing for one that has gone. Who
 * is on the stack may be in no namespace of ours: then there is no such process here. */
static const char *program_of(char name[32], uint64_t pid)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/%llu/comm", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    name[0] = '\0';
    if (file && fgets(name, 31, file) && strchr(name, '\n'))
        *strchr(name, '\n') = ' ';
    if (file)
        fclose(file);
    return name;
}

static const char *owner_text(char *buf, size_t cap, const json_t *owner, bool with_program)
{
    const char *service = nst_cli_member(owner, "service");
    const json_t *number = json_object_get(owner, "number");
    char name[32];

    if (*service)
        snprintf(buf, cap, "service %s", service);
    else if (with_program && json_is_integer(number))
        snprintf(buf, cap, "%spid %llu, uid %llu, number %lld",
                 program_of(name, member(owner, "pid")), (unsigned long long)member(owner, "pid"),
                 (unsigned long long)member(owner, "uid"), (long long)json_integer_value(number));
    else if (json_is_object(owner))
        snprintf(buf, cap, "pid %llu, uid %llu", (unsigned long long)member(owner, "pid"),
                 (unsigned long long)member(owner, "uid"));
    else
        buf[0] = '\0';
    return buf;
}

static double ms(const json_t *info, const char *key)
{
    return (double)member(info, key) / 1e6;
}

/* " key:value" for each of the numbers that is not 0. */
static void append_numbers(FILE *out, const json_t *info, const char *const keys[])
{
    for (; *keys; keys++)
        if (member(info, *keys))
            fprintf(out, " %s:%llu", *keys, (unsigned long long)member(info, *keys));
}

/* " pacing_rate:12.5Mbps", if there is one. */
static void append_rate(FILE *out, const json_t *info, const char *key)
{
    if (member(info, key))
        fprintf(out, " %s:%.1fMbps", key, (double)member(info, key) * 8 / 1e6);
}

/* " busy:1200ms rwnd_limited:600ms(50.0%)", if there is any. */
static void append_times(FILE *out, const json_t *info)
{
    static const char *const limits[] = {"rwnd_limited", "sndbuf_limited"};
    double busy = ms(info, "busy_time_ns");
    char key[32];

    if (busy >= 1)
        fprintf(out, " busy:%.0fms", busy);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        snprintf(key, sizeof key, "%s_ns", limits[i]);
        if (ms(info, key) >= 1)
            fprintf(out, " %s:%.0fms(%.1f%%)", limits[i], ms(info, key),
                    100 * ms(info, key) / busy);
    }
}

/* What both ends agreed on, and used. */
static void print_agreed(FILE *out, const json_t *info)
{
    static const struct {
        const char *key, *word;
    } words[] = {{"timestamps", "ts"},
                 {"sack", "sack"},
                 {"ecn", "ecn"},
                 {"ecn_seen", "ecnseen"},
                 {"syn_data", "fastopen"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_is_true(json_object_get(info, words[i].key)))
            fprintf(out, " %s", words[i].word);
}

/* In the manner of ss -ti. */
static void print_info(FILE *out, const json_t *info)
{
    static const char *const numbers[] = {
        "snd_cwnd",    "snd_ssthresh",   "snd_wnd",       "rcv_wnd",
        "sndbuf",      "rcvbuf",         "unacked",       "sacked",
        "lost",        "retrans",        "notsent_bytes", "bytes_sent",
        "bytes_acked", "bytes_received", "bytes_retrans", "segs_out",
        "segs_in",     "data_segs_out",  "data_segs_in",  "total_retrans",
        "retransmits", "backoff",        "probes",        "dsack_dups",
        "reord_seen",  "rcv_ooopack",    "rcv_ce",        "undos",
        "loss_probes", "delivered",      "pmtu_high",     NULL};

    nst_cli_put(out, nst_cli_member(info, "congestion"));
    print_agreed(out, info);
    fprintf(out, " ca:");
    nst_cli_put(out, nst_cli_member(info, "ca_state"));
    fputs(" reduced_by:", out);
    nst_cli_put(out, nst_cli_member(info, "reduced_by"));
    if (json_is_true(json_object_get(info, "wscale")))
        fprintf(out, " wscale:%llu,%llu", (unsigned long long)member(info, "snd_wscale"),
                (unsigned long long)member(info, "rcv_wscale"));
    fprintf(out, " rto:%.0fms", ms(info, "rto_ns"));
    if (member(info, "rtt_ns"))
        fprintf(out, " rtt:%.3f/%.3fms minrtt:%.3fms", ms(info, "rtt_ns"), ms(info, "rttvar_ns"),
                ms(info, "min_rtt_ns"));
    fprintf(out, " mss:%llu rcvmss:%llu pmtu:%llu", (unsigned long long)member(info, "snd_mss"),
            (unsigned long long)member(info, "rcv_mss"), (unsigned long long)member(info, "pmtu"));
    append_rate(out, info, "pacing_rate");
    append_rate(out, info, "delivery_rate");
    if (json_is_true(json_object_get(info, "delivery_rate_app_limited")))
        fputs(" app_limited", out);
    append_times(out, info);
    append_numbers(out, info, numbers);
}

static void add_info(struct nst_cli_table *table, const json_t *info)
{
    char *text = NULL;
    size_t len;
    FILE *out = json_is_object(info) ? open_memstream(&text, &len) : NULL;

    if (!out)
        return;
    print_info(out, info);
    fclose(out);
    nst_cli_table_note(table, text);
    free(text);
}

static int print_sockets(const json_t *list, const struct options *o)
{
    bool queues = json_object_get(json_array_get(list, 0), "queue");
    struct nst_cli_table *table = nst_cli_table_new(queues ? "llrrlllr" : "llrrlll");
    const json_t *s;
    size_t i;

    nst_cli_table_row(table, (const char *const[]){"proto", "state", "recv-q", "send-q", "local",
                                                   "peer", "owner", "queue"});
    json_array_foreach(list, i, s)
    {
        char rx[24], tx[24], queue[24], local[64], peer[64], owner[128];
        const char *const cells[] = {
            nst_cli_member(s, "protocol"),
            nst_cli_member(s, "state"),
            decimal(rx, s, "rx_bytes"),
            decimal(tx, s, "tx_bytes"),
            name_text(local, sizeof local, json_object_get(s, "local")),
            name_text(peer, sizeof peer, json_object_get(s, "peer")),
            owner_text(owner, sizeof owner, json_object_get(s, "owner"), o->processes),
            decimal(queue, s, "queue"),
        };
        nst_cli_table_row(table, cells);
        if (o->info)
            add_info(table, json_object_get(s, "info"));
    }
    return nst_cli_table_print_take(table, stdout, 0);
}

static int print_json(const json_t *list)
{
    json_t *whole = json_pack("{s:O}", "sockets", list);
    int err = whole ? json_dumpf(whole, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

    putchar('\n');
    json_decref(whole);
    return err ? -ENOMEM : 0;
}

int nst_cli_sockets(int argc, char **argv)
{
    const struct options o = parse(argc, argv);
    struct nst_ipc_client *client = nst_cli_connect(o.instance);
    json_t *list = json_array(), *cursor = NULL;
    int status = client ? NST_CLI_OK : NST_CLI_UNUSABLE, err = 0;

    do
        status = status ? status : ask_page(client, &o, &cursor, list);
    while (!status && cursor);
    nst_ipc_client_free(client);
    if (!status)
        err = o.json ? print_json(list) : print_sockets(list, &o);
    json_decref(list);
    if (err || fflush(stdout) != 0)
        return nst_cli_fail(NST_CLI_FAILED, "cannot print: %s", strerror(err ? -err : errno));
    return status;
}
