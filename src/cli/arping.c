#include "cli/arping.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"

void nst_cli_arping_init(struct nst_cli_arping *arping, const struct nst_cli_arping_config *config)
{
    *arping = (struct nst_cli_arping){.config = *config};
    if (config->mode == NST_CLI_ARPING_DETECT) /* a probe says nothing about its sender's address */
        arping->config.addr = (struct nst_addr){.family = NST_AF_INET};
    else if (config->mode != NST_CLI_ARPING_ASK)
        arping->config.addr = config->target;
}

void nst_cli_arping_begin(const struct nst_cli_arping *arping)
{
    const struct nst_cli_arping_config *config = &arping->config;
    char target[NST_ADDR_TEXT], addr[NST_ADDR_TEXT];

    if (!config->quiet)
        fprintf(config->out, "ARPING %s from %s %s\n", nst_addr_print(target, &config->target),
                nst_addr_print(addr, &config->addr), config->link);
}

/* ---- Sending ---- */

static bool enough(const struct nst_cli_arping *arping)
{
    const struct nst_cli_arping_config *config = &arping->config;
    bool one_is_enough = config->first || config->mode == NST_CLI_ARPING_DETECT;

    return (one_is_enough && arping->received > 0) ||
           (config->count > 0 && arping->received >= config->count);
}

/* With a deadline, requests go on until it comes or enough answers have; without, the count says
 * how many there are, and the last one is given one interval. */
bool nst_cli_arping_next(const struct nst_cli_arping *arping, uint64_t now, uint64_t *when,
                         bool *send)
{
    const struct nst_cli_arping_config *config = &arping->config;
    uint64_t next = arping->sent == 0 ? now : arping->last_sent + config->interval_ns;
    uint64_t deadline = config->deadline_ns > 0 && arping->sent > 0
                            ? arping->start + config->deadline_ns
                            : NST_TIME_NEVER;
    bool last = config->count > 0 && config->deadline_ns == 0 && arping->sent >= config->count;

    *send = !last && next < deadline;
    *when = nst_min(next, deadline);
    return !enough(arping) && now < deadline && !(last && now >= next);
}

static bool to_all(const struct nst_cli_arping *arping)
{
    return arping->config.broadcast || nst_mac_is_zero(&arping->known);
}

void nst_cli_arping_build(struct nst_cli_arping *arping, uint64_t now,
                          uint8_t frame[NST_CLI_ARPING_FRAME])
{
    const struct nst_cli_arping_config *config = &arping->config;
    struct nst_eth eth = {.dst = to_all(arping) ? nst_mac_broadcast : arping->known,
                          .src = config->mac,
                          .type = NST_ETHERTYPE_ARP};
    struct nst_arp arp = {
        .op = NST_ARP_REQUEST, .sha = config->mac, .spa = config->addr, .tpa = config->target};

    if (config->mode == NST_CLI_ARPING_ANSWER) {
        arp.op = NST_ARP_REPLY;
        arp.tha = config->mac;
    }
    if (arping->sent++ == 0)
        arping->start = now;
    arping->sent_broadcast += to_all(arping);
    arping->last_sent = now;
    memset(frame, 0, NST_CLI_ARPING_FRAME);
    nst_eth_emit(&eth, frame);
    nst_arp_emit(&arp, frame + NST_ETH_HLEN);
}

/* ---- Answers ---- */

/* About the target, from somebody else, and meant for us, as far as we have an address. */
static bool concerns(const struct nst_cli_arping *arping, const struct nst_arp *arp)
{
    const struct nst_cli_arping_config *config = &arping->config;

    if (!nst_addr_eq(&arp->spa, &config->target) || nst_mac_eq(&arp->sha, &config->mac))
        return false;
    if (config->mode == NST_CLI_ARPING_ASK)
        return nst_addr_eq(&arp->tpa, &config->addr);
    return config->mode == NST_CLI_ARPING_DETECT;
}

static void print_mac(FILE *out, const char *before, const struct nst_mac *mac)
{
    const uint8_t *b = mac->bytes;

    fprintf(out, "%s[%02X:%02X:%02X:%02X:%02X:%02X] ", before, b[0], b[1], b[2], b[3], b[4], b[5]);
}

static void print_answer(const struct nst_cli_arping *arping, const struct nst_eth *eth,
                         const struct nst_arp *arp, uint64_t time)
{
    const struct nst_cli_arping_config *config = &arping->config;
    uint64_t us = time > arping->last_sent ? (time - arping->last_sent) / 1000 : 0;
    char addr[NST_ADDR_TEXT];

    fprintf(config->out, "%s %s from %s ", nst_mac_is_group(&eth->dst) ? "Broadcast" : "Unicast",
            arp->op == NST_ARP_REPLY ? "reply" : "request", nst_addr_print(addr, &arp->spa));
    print_mac(config->out, "", &arp->sha);
    if (!nst_addr_eq(&arp->tpa, &config->addr))
        fprintf(config->out, "for %s ", nst_addr_print(addr, &arp->tpa));
    if (arp->op == NST_ARP_REPLY && !nst_mac_eq(&arp->tha, &config->mac))
        print_mac(config->out, "for ", &arp->tha);
    if (arping->sent > 0)
        fprintf(config->out, " %llu.%03llums\n", (unsigned long long)us / 1000,
                (unsigned long long)us % 1000);
    else
        fputs(" UNSOLICITED?\n", config->out);
}

void nst_cli_arping_input(struct nst_cli_arping *arping, const uint8_t *frame, size_t len,
                          uint64_t time)
{
    struct nst_eth eth;
    struct nst_arp arp;

    if (nst_eth_parse(&eth, frame, len, len) != NST_DROP_NONE || eth.type != NST_ETHERTYPE_ARP ||
        nst_arp_parse(&arp, frame + eth.hlen, len - eth.hlen) != NST_DROP_NONE ||
        !concerns(arping, &arp))
        return;
    if (!arping->config.quiet)
        print_answer(arping, &eth, &arp, time);
    arping->received++;
    arping->requests += arp.op == NST_ARP_REQUEST;
    if (nst_mac_is_group(&eth.dst))
        arping->broadcasts++;
    else if (!nst_mac_is_group(&arp.sha))
        arping->known = arp.sha;
}

static int exit_code(const struct nst_cli_arping *arping)
{
    switch (arping->config.mode) {
    case NST_CLI_ARPING_ASK:
        return arping->received > 0 ? 0 : 1;
    case NST_CLI_ARPING_DETECT:
        return arping->received > 0 ? 1 : 0;
    default:
        return 0;
    }
}

int nst_cli_arping_finish(const struct nst_cli_arping *arping)
{
    FILE *out = arping->config.out;

    if (arping->config.quiet)
        return exit_code(arping);
    fprintf(out, "Sent %llu probes (%llu broadcast(s))\nReceived %llu response(s)",
            (unsigned long long)arping->sent, (unsigned long long)arping->sent_broadcast,
            (unsigned long long)arping->received);
    if (arping->requests && arping->broadcasts)
        fprintf(out, " (%llu request(s), %llu broadcast(s))", (unsigned long long)arping->requests,
                (unsigned long long)arping->broadcasts);
    else if (arping->requests)
        fprintf(out, " (%llu request(s))", (unsigned long long)arping->requests);
    else if (arping->broadcasts)
        fprintf(out, " (%llu broadcast(s))", (unsigned long long)arping->broadcasts);
    fputc('\n', out);
    return exit_code(arping);
}
