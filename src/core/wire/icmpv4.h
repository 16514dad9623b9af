/* ICMP for IPv4 (RFC 792): the message header; what follows depends on the type. */
#ifndef NST_WIRE_ICMPV4_H
#define NST_WIRE_ICMPV4_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_ICMPV4_HLEN 8

enum nst_icmpv4_type {
    NST_ICMPV4_ECHO_REPLY = 0,
    NST_ICMPV4_UNREACHABLE = 3,
    NST_ICMPV4_SOURCE_QUENCH = 4,
    NST_ICMPV4_REDIRECT = 5,
    NST_ICMPV4_ECHO = 8,
    NST_ICMPV4_TIME_EXCEEDED = 11,
    NST_ICMPV4_PARAMETER = 12,
    NST_ICMPV4_TIMESTAMP = 13,
    NST_ICMPV4_TIMESTAMP_REPLY = 14,
    NST_ICMPV4_MASK = 17,
    NST_ICMPV4_MASK_REPLY = 18,
};

enum nst_icmpv4_code {
    NST_ICMPV4_NET = 0, /* unreachable */
    NST_ICMPV4_HOST = 1,
    NST_ICMPV4_PROTOCOL = 2,
    NST_ICMPV4_PORT = 3,
    NST_ICMPV4_FRAG_NEEDED = 4,
    NST_ICMPV4_SOURCE_ROUTE = 5,
    NST_ICMPV4_TTL = 0, /* time exceeded */
    NST_ICMPV4_REASSEMBLY = 1,
};

struct nst_icmpv4 {
    uint8_t type, code;
    uint16_t checksum; /* as found; written as given */
    /* The four bytes after the checksum, by type. */
    union {
        struct {
            uint16_t id, seq; /* echo and its reply */
        } echo;
        uint16_t mtu;            /* fragmentation needed (RFC 1191): the last two bytes */
        uint8_t pointer;         /* parameter problem: the first byte */
        struct nst_addr gateway; /* redirect */
    };
};

/* Reads the header; the checksum is the caller's to verify, over the whole message.
 * Drops: icmp_short. */
enum nst_drop nst_icmpv4_parse(struct nst_icmpv4 *out, const uint8_t *p, size_t len);

/* Writes NST_ICMPV4_HLEN bytes. */
void nst_icmpv4_emit(const struct nst_icmpv4 *icmp, uint8_t *p);

/* Whether it is an error message, about which no other may be sent. Unknown types count as errors:
 * then silence is safe. */
bool nst_icmpv4_is_error(uint8_t type);

#endif
