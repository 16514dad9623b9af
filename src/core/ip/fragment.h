/* Fragmentation of this host's own datagrams (791-6, 1122-134), on their way to the device. */
#ifndef NST_IP_FRAGMENT_H
#define NST_IP_FRAGMENT_H

#include "core/pkt/pkt.h"

/* Cuts an IPv4 packet of more than `mtu` bytes, header included, and appends the fragments to
 * `out`; they share its payload. All or nothing: without memory the packet ends as no_memory, and
 * as too_big if it may not be fragmented (the MTU has shrunk since it was sent). */
void nst_ipv4_fragment_take(struct nst_pkt *pkt, size_t mtu, struct nst_list *out);

#endif
