/* A packet is forwarded only if every base chain on the forward hook lets it pass: an accept ends
 * one chain, a drop ends the packet. Hosts with Docker, ufw or firewalld have such chains, with a
 * policy of drop or a last rule that refuses the rest. They are other people's: we change nothing
 * in them but say what to type.
 *
 * We read nftables' own JSON, through libnftables, with a context of its own. iptables of the nft
 * kind shows up there as table `ip filter`; for the older kind its kernel interface is asked, and
 * only if it is in use already, since asking would load it. A chain that accepts our device by name
 * has been dealt with. */
#include "daemon/obstacle.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct search {
    struct nft_ctx *nft;
    const char *device, *uplink;
    char *out;
    size_t size, len;
};

/* Adds to the text; a line that doesn't fit is cut. */
__attribute__((format(printf, 2, 3))) static void say(struct search *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(s->out + s->len, s->size - s->len, format, args);
    va_end(args);
    if (n > 0)
        s->len = s->len + (size_t)n < s->size ? s->len + (size_t)n : s->size - 1;
}

/* ---- Rules ------------------------------------------------------------------------------- */

/* The list of objects that nftables answers `command` with: a new reference, or NULL. */
static json_t *ask(struct search *s, const char *command)
{
    if (nft_run_cmd_from_buffer(s->nft, command) != 0)
        return NULL;
    json_t *answer = json_loads(nft_ctx_get_output_buffer(s->nft), 0, NULL);
    json_t *list = json_incref(json_object_get(answer, "nftables"));
    json_decref(answer);
    return list;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Whether the rule accepts what comes in by `device`. */
static bool accepts(const json_t *rule, const char *device)
{
    bool for_device = false, accept = false;
    size_t i;
    json_t *statement;

    json_array_foreach(json_object_get(rule, "expr"), i, statement)
    {
        const json_t *match = json_object_get(statement, "match");
        const json_t *meta = json_object_get(json_object_get(match, "left"), "meta");
        if (strcmp(text_of(meta, "key"), "iifname") == 0)
            for_device |= strcmp(text_of(match, "right"), device) == 0;
        accept |= json_object_get(statement, "accept") != NULL;
    }
    return for_device && accept;
}

/* Whether the rule refuses all that gets to it. */
static bool refuses_all(const json_t *rule)
{
    static const char *const harmless[] = {"counter", "log"};
    bool refuses = false;
    size_t i;
    json_t *statement;

    json_array_foreach(json_object_get(rule, "expr"), i, statement)
    {
        bool verdict = json_object_get(statement, "drop") || json_object_get(statement, "reject");
        bool passes = verdict;
        for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++)
            passes |= json_object_get(statement, harmless[k]) != NULL;
        if (!passes)
            return false;
        refuses |= verdict;
    }
    return refuses;
}

struct verdict {
    bool exists;
    bool accepts_device; /* some rule does, by name */
    bool refuses_rest;   /* the last rule does */
};

/* What the rules of a chain do with our packets. */
static struct verdict judge(struct search *s, const char *family, const char *table,
                            const char *chain)
{
    char command[512];
    struct verdict verdict = {0};
    size_t i;
    json_t *entry;

    snprintf(command, sizeof command, "list chain %s %s %s", family, table, chain);
    json_t *list = ask(s, command);
    verdict.exists = list != NULL;
    json_array_foreach(list, i, entry)
    {
        const json_t *rule = json_object_get(entry, "rule");
        if (!rule)
            continue;
        verdict.accepts_device |= accepts(rule, s->device);
        verdict.refuses_rest = refuses_all(rule);
    }
    json_decref(list);
    return verdict;
}

/* ---- What to type ------------------------------------------------------------------------ */

static void advise_iptables(struct search *s, const char *program, const char *chain)
{
    say(s,
        "%s -I %s -i %s -o %s -j ACCEPT && %s -I %s -i %s -o %s -m conntrack --ctstate "
        "ESTABLISHED,RELATED -j ACCEPT\n",
        program, chain, s->device, s->uplink, program, chain, s->uplink, s->device);
}

static void advise_nft(struct search *s, const char *family, const char *table, const char *chain)
{
    say(s,
        "nft 'insert rule %s %s %s iifname \"%s\" oifname \"%s\" accept; insert rule %s %s %s "
        "iifname \"%s\" oifname \"%s\" ct state established,related accept'\n",
        family, table, chain, s->device, s->uplink, family, table, chain, s->uplink, s->device);
}

/* ---- Chains ------------------------------------------------------------------------------ */

/* A base chain on the forward hook. */
static void examine(struct search *s, const json_t *chain)
{
    const char *family = text_of(chain, "family"), *table = text_of(chain, "table");
    const char *name = text_of(chain, "name");
    bool iptables = strcmp(family, "ip") == 0 && strcmp(table, "filter") == 0 &&
                    strcmp(name, "FORWARD") == 0;
    struct verdict own = judge(s, family, table, name);
    struct verdict docker = iptables ? judge(s, family, table, "DOCKER-USER") : (struct verdict){0};

    if (strcmp(text_of(chain, "policy"), "drop") != 0 && !own.refuses_rest)
        return;
    if (own.accepts_device || docker.accepts_device)
        return;
    say(s,
        "forwarded packets are dropped by chain %s of the host's table '%s %s', which rules of our "
        "own can't overrule; to let them pass: ",
        name, family, table);
    if (iptables)
        advise_iptables(s, "iptables", docker.exists ? "DOCKER-USER" : "FORWARD");
    else
        advise_nft(s, family, table, name);
}

static void search_nftables(struct search *s)
{
    size_t i;
    json_t *entry, *list = ask(s, "list chains");

    json_array_foreach(list, i, entry)
    {
        const json_t *chain = json_object_get(entry, "chain");
        const char *family = text_of(chain, "family");
        bool sees_ipv4 = strcmp(family, "ip") == 0 || strcmp(family, "inet") == 0;
        if (sees_ipv4 && strcmp(text_of(chain, "hook"), "forward") == 0)
            examine(s, chain);
    }
    json_decref(list);
}

/* ---- The older iptables ------------------------------------------------------------------ */

/* Whether its table `filter` is in use. */
static bool has_legacy_filter(void)
{
    char name[64];
    bool found = false;
    FILE *names = fopen("/proc/net/ip_tables_names", "re");

    while (names && !found && fscanf(names, "%63s", name) == 1)
        found = strcmp(name, "filter") == 0;
    if (names)
        fclose(names);
    return found;
}

/* The FORWARD chain's policy, from a copy of the table: its last entry, whose target is standard.
 */
static bool drops_by_policy(const char *entries, const struct ipt_getinfo *info)
{
    struct ipt_entry entry;
    struct xt_standard_target target;
    unsigned at = info->underflow[NF_INET_FORWARD];

    if (at > info->size || info->size - at < sizeof entry)
        return false;
    memcpy(&entry, entries + at, sizeof entry);
    if (info->size - at - entry.target_offset < sizeof target)
        return false;
    memcpy(&target, entries + at + entry.target_offset, sizeof target);
    return target.verdict == -NF_DROP - 1;
}

static bool legacy_drops(int socket)
{
    struct ipt_getinfo info = {.name = "filter"};
    socklen_t len = sizeof info;

    if (getsockopt(socket, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len) < 0)
        return false;
    len = (socklen_t)sizeof(struct ipt_get_entries) + info.size;
    struct ipt_get_entries *table = calloc(1, len);
    if (!table)
        return false;
    memcpy(table->name, info.name, sizeof table->name);
    table->size = info.size;
    bool drops = getsockopt(socket, IPPROTO_IP, IPT_SO_GET_ENTRIES, table, &len) == 0 &&
                 drops_by_policy((const char *)table->entrytable, &info);
    free(table);
    return drops;
}

static void search_legacy(struct search *s)
{
    int fd = has_legacy_filter() ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    if (fd < 0)
        return;
    if (legacy_drops(fd)) {
        say(s, "forwarded packets are dropped by the policy of iptables-legacy's chain FORWARD, "
               "which rules of our own can't overrule; to let them pass: ");
        advise_iptables(s, "iptables-legacy", "FORWARD");
    }
    close(fd);
}

void nst_obstacle_find(const char *device, const char *uplink, char *out, size_t size)
{
    struct search s = {.device = device, .uplink = uplink, .out = out, .size = size};

    out[0] = 0;
    s.nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (s.nft && nft_ctx_buffer_output(s.nft) == 0 && nft_ctx_buffer_error(s.nft) == 0) {
        nft_ctx_output_set_flags(s.nft, NFT_CTX_OUTPUT_JSON);
        search_nftables(&s);
    }
    if (s.nft)
        nft_ctx_free(s.nft);
    search_legacy(&s);
}
