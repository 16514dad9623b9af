/* What is remembered of other hosts from one connection to the next; metrics.c does it. */
#ifndef NST_TCP_METRICS_H
#define NST_TCP_METRICS_H

#include "core/base/siphash.h"
#include "core/base/timer.h"
#include "core/wire/tcp.h"

/* Of a pair of hosts. */
struct nst_tcp_metrics {
    struct nst_addr local, peer;
    nst_time used; /* 0: an empty place */

    /* Of the path, as the last connections that ended found it. */
    nst_time measured;           /* when one added to that; 0: never */
    nst_time reordered;          /* when one last had segments overtake each other; 0: never */
    uint32_t srtt_us, rttvar_us; /* 0: not known */
    uint16_t mtu;                /* less than the first hop's; 0: not known */
    uint32_t mtu_since_s;        /* when that was found, in seconds */
    uint32_t ssthresh;           /* bytes; 0: not known */

    /* Of a server, for Fast Open (fastopen.c). */
    struct nst_tcp_cookie cookie; /* none: its length is 0 */
    uint16_t mss;                 /* that it had last time; 0: not known */
    uint8_t failures;             /* in a row; the last was at `failed` */
    nst_time failed;
};

#define NST_TCP_METRICS_ROWS 256
#define NST_TCP_METRICS_WAYS 4

/* Of a stack. */
struct nst_tcp_metrics_table {
    struct nst_siphash_key key;
    struct nst_tcp_metrics *rows[NST_TCP_METRICS_ROWS]; /* of so many ways; NULL: all empty */
};

#endif
