/* IPv4 address conflict detection (RFC 5227): probing before use where that was asked for, two
 * announcements, and defence afterwards. An address in use is defended and kept (§2.4 (c)): it was
 * given by the owner, not learnt from the network, and the owner is told of each conflict. */
#ifndef NST_LINK_ACD_H
#define NST_LINK_ACD_H

#include "core/link/iface.h"

/* Starts for a new address. */
void nst_acd_start(struct nst_ifaddr *a);

/* The interface's carrier came or went. Without it nothing is said, and probing begins anew when it
 * is there: what nobody heard was not probed. A valid address is announced again. */
void nst_acd_carrier(struct nst_ifaddr *a);

/* Announces a valid address again. */
void nst_acd_announce(struct nst_ifaddr *a);

/* The address' timer has fired. */
void nst_acd_timeout(struct nst_ifaddr *a);

/* The station `mac` claims the address, or probes for it as we do. The conflict is recorded in the
 * address for the owner to be told. */
void nst_acd_conflict(struct nst_ifaddr *a, const struct nst_mac *mac);

#endif
