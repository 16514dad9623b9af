/* Payload that waits in a queue keeps the buffers that it came in. Much smaller pieces than the
 * buffers are copied together, so that a peer that sends a byte at a time, or whose segments are
 * cut down to a few bytes, does not pin a buffer for each of them (CVE-2018-5390 and kin). */
#ifndef NST_PKT_COMPACT_H
#define NST_PKT_COMPACT_H

#include "core/pkt/pkt.h"

/* Whether the packet keeps so much memory for so few bytes that they are worth copying. */
bool nst_pkt_is_wasteful(const struct nst_pkt *pkt);

/* Payload, at least a byte, that is about to be queued behind `last`; NULL: first. Returns what to
 * queue: `pkt`, perhaps in less memory, or NULL if its bytes were copied behind those of `last`,
 * whose nst_pkt_truesize() does not change by that. It never fails. */
struct nst_pkt *nst_pkt_compact_take(struct nst_pkt *last, struct nst_pkt *pkt);

#endif
