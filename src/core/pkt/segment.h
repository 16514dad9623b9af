/* What a device with segmentation offload would do, in software: at the edge of the stack, so that
 * the protocols see large segments on any device. */
#ifndef NST_PKT_SEGMENT_H
#define NST_PKT_SEGMENT_H

#include "core/pkt/pkt.h"

/* Cuts an IPv4 packet with pkt->offload.gso set, which begins with its IP header (offload.hdr_len
 * covers IP and transport header from there), into packets of at most offload.gso_size bytes of
 * transport payload, and appends them to `out`; they share its payload. Each bears the description,
 * link and mac of the whole and its own headers: IP length and identification (counting up from the
 * whole's, if that is not 0), header checksum; for TCP sequence number, FIN and PSH only on the
 * last, CWR only on the first (RFC 3168 §6.1.2); for UDP its length. Urgent pointers are copied:
 * none belongs into such a packet. The transport checksum stays NST_CSUM_PARTIAL with the right
 * pseudo-header sum. All or nothing: without memory, or a free slice for the headers of a segment,
 * the packet ends as no_memory. */
void nst_pkt_segment_take(struct nst_pkt *pkt, struct nst_list *out);

#endif
