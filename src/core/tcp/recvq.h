/* Received bytes without a gap: payload kept by reference, in order.
 *
 * The receive queue of a connection is one of these, and so is each run of what came out of order;
 * when the gap before a run closes it moves as a whole. Small pieces are compacted, so memory is a
 * few times the bytes at most, whatever segments the peer makes. No limit is applied here. */
#ifndef NST_TCP_RECVQ_H
#define NST_TCP_RECVQ_H

#include "core/pkt/pkt.h"

struct nst_recvq {
    struct nst_list pkts; /* of payload alone, none is empty */
    size_t bytes;
    size_t mem; /* by nst_pkt_truesize() */
};

void nst_recvq_init(struct nst_recvq *q);

static inline bool nst_recvq_empty(const struct nst_recvq *q)
{
    return q->bytes == 0;
}

/* Adds a packet of nothing but payload, at least a byte, behind what is there. */
void nst_recvq_push_take(struct nst_recvq *q, struct nst_pkt *pkt);

/* Moves all of `from` behind what `to` holds; the work does not depend on how much it is. */
void nst_recvq_splice_back(struct nst_recvq *to, struct nst_recvq *from);

/* Fills in up to `max` slices that begin at the queue's front, to be read in place: they hold until
 * their bytes are consumed. Returns how many. */
size_t nst_recvq_peek(const struct nst_recvq *q, struct nst_slice *out, size_t max);

/* Copies bytes from `off` on, as many as are there and `out` takes; they stay. Returns how many. */
size_t nst_recvq_read(const struct nst_recvq *q, size_t off, const struct nst_slice *out,
                      size_t nout);

/* Takes `n` bytes off the front, at most those that are there; they have been read. */
void nst_recvq_consume(struct nst_recvq *q, size_t n);

/* The last packet, now the caller's; the queue is not empty. */
struct nst_pkt *nst_recvq_pull_back(struct nst_recvq *q);

/* Ends all that waits, for this reason. */
void nst_recvq_drop(struct nst_recvq *q, enum nst_drop reason);

/* Aborts if it contradicts itself. */
void nst_recvq_check(const struct nst_recvq *q);

#endif
