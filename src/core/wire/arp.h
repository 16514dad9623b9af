/* ARP for IPv4 over Ethernet (RFC 826). */
#ifndef NST_WIRE_ARP_H
#define NST_WIRE_ARP_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_ARP_LEN 28

enum nst_arp_op {
    NST_ARP_REQUEST = 1,
    NST_ARP_REPLY = 2,
};

struct nst_arp {
    uint16_t op;
    struct nst_mac sha, tha;  /* sender's and target's hardware address */
    struct nst_addr spa, tpa; /* sender's and target's protocol address */
};

/* Reads a packet; trailing padding is ignored. Drops: arp (short, not Ethernet and IPv4, or neither
 * request nor reply). */
enum nst_drop nst_arp_parse(struct nst_arp *out, const uint8_t *p, size_t len);

/* Writes NST_ARP_LEN bytes. */
void nst_arp_emit(const struct nst_arp *arp, uint8_t *p);

#endif
