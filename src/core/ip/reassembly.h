/* Reassembly of fragmented datagrams (RFC 791, RFC 815).
 *
 * The fragments of a datagram wait in order of their offset, by reference; when they are complete
 * the datagram is copied together into one packet. That copy is the only one on the way in: it
 * makes everything behind it as simple as for a datagram that came whole.
 *
 * Any overlap ends the datagram: an exact repetition is ignored, everything else is an attack (RFC
 * 5722), and what is left of the datagram is refused until its time is over. All that waits is
 * within one budget; when that is used up, the oldest datagram goes of those sources (by a keyed
 * hash) that hold the most, so that a flood displaces itself first. */
#ifndef NST_IP_REASSEMBLY_H
#define NST_IP_REASSEMBLY_H

#include "core/pkt/pkt.h"
#include "core/wire/ipv4.h"

#define NST_FRAG_BUCKETS 256
#define NST_FRAG_GROUPS  32

/* The datagrams of the sources whose hash ends alike. */
struct nst_frag_group {
    struct nst_list datagrams; /* oldest first */
    size_t bytes;
};

struct nst_reassembly {
    struct nst_env *env;
    struct nst_siphash_key key;
    size_t budget_bytes, used_bytes;
    uint32_t max_fragments; /* in one datagram */
    struct nst_list buckets[NST_FRAG_BUCKETS];
    struct nst_frag_group groups[NST_FRAG_GROUPS];
    struct nst_list expired; /* of struct nst_pkt: first fragments whose rest did not come */
};

struct nst_datagram;

void nst_reassembly_init(struct nst_reassembly *r, struct nst_env *env, size_t budget_bytes,
                         uint32_t max_fragments);
void nst_reassembly_fini(struct nst_reassembly *r);

/* Takes a fragment, which begins with the header `ip`, and returns the datagram if it is complete
 * now, with one header; otherwise NULL. Drops: frag_range, frag_overlap, frag_duplicate, frag_many,
 * frag_ecn, frag_budget, no_memory. */
struct nst_pkt *nst_reassembly_input_take(struct nst_reassembly *r, struct nst_pkt *pkt,
                                          const struct nst_ipv4 *ip);

/* The timer of a datagram has fired: its fragments end as frag_timeout, but the first goes to the
 * list `expired`, for stack/ to report (RFC 792). */
struct nst_datagram *nst_datagram_of_timer(struct nst_timer *timer);
void nst_reassembly_timeout(struct nst_reassembly *r, struct nst_datagram *d);

/* Aborts if it contradicts itself. */
void nst_reassembly_check(const struct nst_reassembly *r);

#endif
