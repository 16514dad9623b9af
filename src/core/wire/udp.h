/* The UDP header (RFC 768). */
#ifndef NST_WIRE_UDP_H
#define NST_WIRE_UDP_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_UDP_HLEN 8

struct nst_udp {
    uint16_t sport, dport;
    uint16_t len;      /* header and payload */
    uint16_t checksum; /* 0: the sender made none (IPv4 only) */
};

/* Reads the header of a datagram of `dgram_len` bytes, of which `len` are readable at `p`; the
 * checksum is the caller's to verify. Drops: udp_short, udp_len. */
enum nst_drop nst_udp_parse(struct nst_udp *out, const uint8_t *p, size_t len, size_t dgram_len);

/* Writes NST_UDP_HLEN bytes. */
void nst_udp_emit(const struct nst_udp *udp, uint8_t *p);

#endif
