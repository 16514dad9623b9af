/* Ethernet II frames (RFC 894; 1122-7), and IEEE 802.3 frames with LLC and SNAP on the way in (RFC
 * 1042; 1122-8).
 */
#ifndef NST_WIRE_ETH_H
#define NST_WIRE_ETH_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_ETH_HLEN    14
#define NST_ETH_LEN_MAX 1500 /* up to here the type field is an 802.3 length */

enum nst_ethertype {
    NST_ETHERTYPE_IPV4 = 0x0800,
    NST_ETHERTYPE_ARP = 0x0806,
    NST_ETHERTYPE_RARP = 0x8035,
    NST_ETHERTYPE_VLAN = 0x8100,
    NST_ETHERTYPE_IPV6 = 0x86dd,
};

struct nst_eth {
    struct nst_mac dst, src;
    uint16_t type;
    uint8_t hlen;         /* 14, or 22 with LLC and SNAP */
    uint16_t payload_len; /* the 802.3 length field's rest; 0: all that follows */
};

/* Reads the header at `p`, a frame of `frame_len` bytes of which `len` are readable here. An 802.3
 * frame without SNAP has no EtherType: `ethertype`, and `type` is its length; one with nothing
 * behind SNAP is a runt. Drops: runt, ethertype (`dst`, `src` and `type` are set then). */
enum nst_drop nst_eth_parse(struct nst_eth *out, const uint8_t *p, size_t len, size_t frame_len);

/* Writes an Ethernet II header of NST_ETH_HLEN bytes. */
void nst_eth_emit(const struct nst_eth *eth, uint8_t *p);

/* The group MAC address of an IPv4 (RFC 1112 §6.4) or IPv6 (RFC 2464 §7) multicast address. */
struct nst_mac nst_eth_multicast(const struct nst_addr *group);

#endif
