/* The bookkeeping and the words of ping, as iputils has them; no clock and no socket of its own.
 *
 * The owner sends what nst_cli_ping_build() makes when nst_cli_ping_next() says so, and reports
 * what comes back. Times are nanoseconds of one monotonic clock. Output goes to `out`, complaints
 * to `err`. */
#ifndef NST_CLI_PING_H
#define NST_CLI_PING_H

#include "ipc/proto.h"

#include <stdbool.h>
#include <stdio.h>

#define NST_CLI_PING_DATA_MAX 65507
#define NST_CLI_PING_STAMP    16 /* bytes at the beginning of the data that hold the time */

__extension__ typedef unsigned __int128 nst_cli_wide; /* squares of microseconds, and their sum */

struct nst_cli_ping_config {
    const char *target;   /* as the user wrote it */
    struct nst_addr addr; /* and what that means */
    bool names;           /* look up the names of those who answer */
    bool quiet;
    size_t data_len;      /* up to NST_CLI_PING_DATA_MAX */
    uint64_t count;       /* 0: without end */
    uint64_t deadline_ns; /* ask on until then, or until `count` answers have come; 0: none */
    uint64_t interval_ns; /* 0: as fast as answers come, at least 100 a second */
    uint64_t
        linger_ns; /* how long to wait for a first answer after the last request; 0: for ever */
    FILE *out, *err;
};

struct nst_cli_ping {
    struct nst_cli_ping_config config;
    uint64_t sent, received, repeats, errors;
    uint64_t start, last_sent; /* the times of the first and the last request */
    uint64_t exit_at;          /* when to give up; never, until that is known */
    uint64_t rtt_min_us, rtt_max_us, rtt_sum_us;
    nst_cli_wide rtt_sum_squares;
    uint64_t rtt_ewma8_us;   /* the moving average, times 8 */
    unsigned pipe;           /* most requests under way when an answer came */
    uint8_t seen[65536 / 8]; /* sequence numbers that were answered */
};

void nst_cli_ping_init(struct nst_cli_ping *ping, const struct nst_cli_ping_config *config);

/* Prints the first line. */
void nst_cli_ping_begin(const struct nst_cli_ping *ping);

/* When to do the next thing: send, if that time has come and *send is set; else look again. Returns
 * false when all is done. */
bool nst_cli_ping_next(struct nst_cli_ping *ping, uint64_t now, uint64_t *when, bool *send);

/* Makes the next request, an ICMP message of up to 8 + NST_CLI_PING_DATA_MAX bytes, and counts it
 * as sent. Returns its length. */
size_t nst_cli_ping_build(struct nst_cli_ping *ping, uint64_t now, uint8_t *message);

/* Takes note of what the daemon sent: an answer or an error, with the ICMP message that came or
 * that it is about. Anything else is ignored. */
void nst_cli_ping_input(struct nst_cli_ping *ping, const struct nst_ipc_datagram *datagram,
                        const uint8_t *message, size_t len);

/* Prints the state on one line (to `err`). */
void nst_cli_ping_report(const struct nst_cli_ping *ping);

/* Prints the statistics; returns the exit code. */
int nst_cli_ping_finish(const struct nst_cli_ping *ping);

#endif
