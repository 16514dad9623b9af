/* IPv4 address conflict detection (RFC 5227): probing before use where that was asked for, two
 * announcements, and defence afterwards. An address in use is defended and kept (§2.4 (c)): it was
 * given by the owner, not learnt from the network, and the owner is told of each conflict. */
#ifndef NST_LINK_ACD_H
#define NST_LINK_ACD_H

#include "core/link/iface.h"

/* Starts for a new address. */
void nst_acd_start(struct nst_ifaddr *ifaddr);

/* The carrier came or went: a valid address is announced again; probing, which proves nothing
 * without a carrier, waits for one and begins anew. */
void nst_acd_carrier(struct nst_ifaddr *ifaddr);

/* The address' timer has fired. */
void nst_acd_timeout(struct nst_ifaddr *ifaddr);

/* The station `mac` claims the address, or probes for it as we do. The conflict is recorded in the
 * address for the owner to be told. */
void nst_acd_conflict(struct nst_ifaddr *ifaddr, const struct nst_mac *mac);

#endif
