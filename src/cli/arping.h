/* The bookkeeping and the words of arping, as iputils has them; no clock and no socket of its own.
 */
#ifndef NST_CLI_ARPING_H
#define NST_CLI_ARPING_H

#include "netstack/netstack.h"

#include <stdbool.h>
#include <stdio.h>

#define NST_CLI_ARPING_FRAME 60 /* the shortest Ethernet frame: ARP and its padding */

enum nst_cli_arping_mode {
    NST_CLI_ARPING_ASK,      /* who has it? */
    NST_CLI_ARPING_DETECT,   /* does anybody have it already (RFC 5227: a probe)? */
    NST_CLI_ARPING_ANNOUNCE, /* we have it: requests to ourselves */
    NST_CLI_ARPING_ANSWER,   /* we have it: unasked replies */
};

struct nst_cli_arping_config {
    enum nst_cli_arping_mode mode;
    struct nst_addr target;
    struct nst_mac mac;   /* ours */
    struct nst_addr addr; /* ours; unspecified: none */
    const char *link;     /* its name */
    bool broadcast;       /* never unicast, though the target's address is known */
    bool quiet;
    bool first;           /* the first answer is enough */
    uint64_t count;       /* 0: without end */
    uint64_t deadline_ns; /* after the first request; 0: none */
    uint64_t interval_ns;
    FILE *out;
};

struct nst_cli_arping {
    struct nst_cli_arping_config config;
    struct nst_mac known; /* the target's; zero: not known yet */
    uint64_t start, last_sent;
    uint64_t sent, sent_broadcast;
    uint64_t received, requests, broadcasts;
};

void nst_cli_arping_init(struct nst_cli_arping *arping, const struct nst_cli_arping_config *config);

/* Prints the first line. */
void nst_cli_arping_begin(const struct nst_cli_arping *arping);

/* When to do the next thing: send, if that time has come and *send is set; else look again. Returns
 * false when all is done. */
bool nst_cli_arping_next(const struct nst_cli_arping *arping, uint64_t now, uint64_t *when,
                         bool *send);

/* Makes the next frame and counts it as sent. */
void nst_cli_arping_build(struct nst_cli_arping *arping, uint64_t now,
                          uint8_t frame[NST_CLI_ARPING_FRAME]);

/* Takes note of a frame that arrived at `time`; those that are no answer are ignored. */
void nst_cli_arping_input(struct nst_cli_arping *arping, const uint8_t *frame, size_t len,
                          uint64_t time);

/* Prints the statistics; returns the exit code. */
int nst_cli_arping_finish(const struct nst_cli_arping *arping);

#endif
