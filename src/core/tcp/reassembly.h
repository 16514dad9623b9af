/* Out-of-order data: what came before its turn (RFC 9293 §3.10.7.4, SHLD-31).
 *
 * Segments wait by reference in runs of adjoining bytes; a run is one entry of an ordered tree, so
 * that finding a place costs the same few steps however many there are. What is there already wins
 * over what overlaps it and is cut, except that a run which lies wholly inside a new segment makes
 * way for it: one segment stays one piece. Each run is a queue like the connection's own, and moves
 * there as a whole.
 *
 * Both the number of runs and the memory are limited; past the limit what lies furthest ahead goes
 * first (that is what the sender will send again last), and a segment that would lie furthest is
 * refused. The runs that changed last are remembered, for SACK (RFC 2018 §4). */
#ifndef NST_TCP_REASSEMBLY_H
#define NST_TCP_REASSEMBLY_H

#include "core/tcp/recvq.h"
#include "core/wire/tcp.h"

#define NST_OOO_RUNS_MAX 512

struct nst_ooo;

/* Takes a segment's payload: `pkt` holds exactly the bytes from `seq` on (at least one), all inside
 * the receive window and behind rcv.nxt. `*ooo` is NULL while nothing waits, and is made and freed
 * here. `*dup` is set to the part of it that was here already, if any (start == end: none), for
 * DSACK (RFC 2883); of several parts the first. Drops, in which case the packet has ended:
 * tcp_ooo_full, tcp_dup (all of it was here), no_memory. */
enum nst_drop nst_ooo_push_take(struct nst_ooo **ooo, struct nst_env *env, struct nst_pkt *pkt,
                                nst_seq seq, size_t mem_max, struct nst_tcp_sack *dup);

/* Moves what is in order now, from `rcv_nxt` on, behind what `to` holds, and frees what lies before
 * it. Returns how many bytes rcv.nxt advances; the work does not depend on how many those are. */
size_t nst_ooo_pull(struct nst_ooo **ooo, struct nst_env *env, nst_seq rcv_nxt,
                    struct nst_recvq *to);

/* The first part of [start, end) that waits; start == end if none does. For DSACK of a segment in
 * order that reaches into what waits; NULL is allowed. */
struct nst_tcp_sack nst_ooo_overlap(const struct nst_ooo *ooo, nst_seq start, nst_seq end);

/* Fills in up to `max` SACK blocks: the run that changed last, or of which a byte came again,
 * first, no run twice. Returns how many; none for NULL. */
unsigned nst_ooo_sacks(const struct nst_ooo *ooo, struct nst_tcp_sack *out, unsigned max);

/* Payload bytes and memory that wait; 0 for NULL. */
size_t nst_ooo_bytes(const struct nst_ooo *ooo);
size_t nst_ooo_mem(const struct nst_ooo *ooo);

/* Frees all of it, as sock_closed; NULL is allowed. Sets `*ooo` to NULL. */
void nst_ooo_free(struct nst_ooo **ooo, struct nst_env *env);

/* Aborts if it contradicts itself; NULL is allowed. */
void nst_ooo_check(const struct nst_ooo *ooo);

#endif
