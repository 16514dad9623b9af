/* ARP (RFC 826) on one interface: requests for our addresses are answered, what neighbours say of
 * themselves goes to the neighbour cache, and what contradicts our own addresses to conflict
 * detection (acd.h).
 *
 * Nothing unasked creates a cache entry except a request for one of our addresses: that neighbour
 * is about to hear from us. */
#ifndef NST_LINK_ARP_H
#define NST_LINK_ARP_H

#include "core/link/neigh.h"

/* Handles an ARP packet, without its link header. A request for one of our addresses is answered
 * even when its sender cannot be remembered. Drops: arp, arp_source, arp_conflict, arp_other,
 * arp_locked, neigh_full; no_memory for the answer. */
enum nst_drop nst_arp_input(struct nst_iface *iface, struct nst_neigh_table *neighbours,
                            const struct nst_pkt *pkt);

/* Asks for a neighbour: unicast when its MAC address is thought to be known. */
void nst_arp_solicit(const struct nst_neigh *neigh);

/* Sends a request for `target` from `sender` to everybody: an ARP probe when `sender` is 0.0.0.0,
 * an announcement when it is the target itself (RFC 5227 §1.1). */
void nst_arp_request(struct nst_iface *iface, const struct nst_addr *sender,
                     const struct nst_addr *target);

#endif
