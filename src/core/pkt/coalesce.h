/* What a device that joins segments would do, in software: so that TCP looks at a run of segments
 * once, with one lookup and one acknowledgement, on any device. */
#ifndef NST_PKT_COALESCE_H
#define NST_PKT_COALESCE_H

#include "core/pkt/pkt.h"

/* Whether another segment might be joined to this packet, which is TCP, begins with its IP header,
 * and whose `ip` is filled in. */
bool nst_pkt_is_joinable(const struct nst_pkt *pkt);

/* Joins `next` to `pkt`, of the same kind, if TCP could not tell the result from the two, one
 * behind the other: then it is taken, by reference, and true is returned. `pkt` gets an offload
 * description with the size of its segments. The lengths in its IP header remain those of its first
 * segment. */
bool nst_pkt_join_take(struct nst_pkt *pkt, struct nst_pkt *next);

#endif
