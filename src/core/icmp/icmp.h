/* ICMP: echo, and the errors in both directions (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3).
 * Redirects are never sent (1122-67).
 *
 * Nothing here knows sockets: a message for them comes back as a verdict, and stack/ delivers it.
 * Errors that this host sends are limited, first for each destination, then in all, with a random
 * part in the cost, so that nobody can read from the limit what others received (CVE-2020-25705).
 */
#ifndef NST_ICMP_ICMP_H
#define NST_ICMP_ICMP_H

#include "core/ip/ip.h"
#include "core/wire/icmpv4.h"

#define NST_ICMP_BUCKETS 256

struct nst_bucket {
    nst_time refilled;
    uint32_t tokens;
};

struct nst_icmp {
    struct nst_env *env;
    struct nst_ip *ip;
    struct nst_siphash_key key;
    bool follow_redirects, answer_broadcasts;
    uint32_t per_sec, burst;
    struct nst_bucket all, each[NST_ICMP_BUCKETS]; /* by a keyed hash of the destination */
};

enum nst_icmp_kind {
    NST_ICMP_DONE,    /* needs nothing more */
    NST_ICMP_REQUEST, /* an echo request: nst_icmp_reply_take() */
    NST_ICMP_REPLY,   /* an echo reply, for the socket with its identifier */
    NST_ICMP_ERROR,   /* about a packet of ours: for the socket that sent it */
};

struct nst_icmp_verdict {
    enum nst_drop drop;
    enum nst_icmp_kind kind;
    uint16_t id;                 /* REPLY */
    struct nst_sock_error error; /* ERROR */
    struct nst_pkt_ip quoted;    /* ERROR: the header of the packet that caused it */
    uint16_t quote;              /* ERROR: where that packet's transport header begins in `pkt` */
};

void nst_icmp_init(struct nst_icmp *icmp, struct nst_ip *ip, const struct nst_limits *limits,
                   uint32_t flags);

/* Judges an ICMP message, which stands behind pkt->ip.hlen bytes of IP header. `iface` is where it
 * came in. Drops: icmp_short, icmp_checksum, icmp_type, icmp_broadcast, icmp_quote, icmp_redirect.
 */
struct nst_icmp_verdict nst_icmp_input(struct nst_icmp *icmp, struct nst_iface *iface,
                                       const struct nst_pkt *pkt);

/* Turns an echo request into its reply, in place, and sends it. */
void nst_icmp_reply_take(struct nst_icmp *icmp, struct nst_pkt *pkt);

/* An error about a received packet, which begins with its IP header; `pointer` is for parameter
 * problems. Silence where RFC 1122 §3.2.2 forbids one or the rate limit is reached. */
void nst_icmp_error(struct nst_icmp *icmp, const struct nst_pkt *about, enum nst_icmpv4_type type,
                    uint8_t code, uint8_t pointer);

/* The errno value (positive) that an unreachable, time-exceeded or parameter-problem message stands
 * for; 0 for other types. */
int nst_icmp_errno(uint8_t type, uint8_t code);

#endif
