/* The send queue: bytes that the peer has not acknowledged, and those that were not sent yet, in
 * shared buffers that segments slice.
 *
 * The queue is a ring of chunks in the order of the stream. A chunk begins small and the queue goes
 * on in larger ones, so that a short answer costs little and a bulk transfer few slices. One that
 * is lent lies in the owner's memory, in one piece however long it is. */
#ifndef NST_TCP_SENDQ_H
#define NST_TCP_SENDQ_H

#include "core/base/seq.h"
#include "core/pkt/pkt.h"

struct nst_sendq_chunk {
    struct nst_buf *buf;
    uint8_t *data; /* the bytes in use */
    uint32_t len;
    nst_seq start; /* of the first */
};

struct nst_sendq {
    struct nst_sendq_chunk *ring; /* NULL until something is queued */
    uint32_t mask, first, n;      /* mask: slots − 1 */
    nst_seq end;                  /* behind the last byte */
};

/* The queue begins, empty, at `start`. */
void nst_sendq_init(struct nst_sendq *q, nst_seq start);
void nst_sendq_free(struct nst_sendq *q, struct nst_pool *pool);

/* Appends up to `len` bytes; returns how many there was memory for. */
size_t nst_sendq_push(struct nst_sendq *q, struct nst_pool *pool, const void *data, size_t len);

/* Room for up to `len` further bytes, to be written in place: fills in slices, returns how many.
 * Nothing else may be asked of the queue before the commit. */
#define NST_SENDQ_ROOM 9
size_t nst_sendq_reserve(struct nst_sendq *q, struct nst_pool *pool, size_t len,
                         struct nst_slice out[NST_SENDQ_ROOM]);

/* The first `len` bytes of that room have been written; the rest is given back. */
void nst_sendq_commit(struct nst_sendq *q, struct nst_pool *pool, size_t len);

/* Appends `len` bytes, at least one, of a loan's memory, by reference. False without memory. */
bool nst_sendq_lend(struct nst_sendq *q, struct nst_pool *pool, struct nst_buf *buf,
                    const uint8_t *data, size_t len);

/* Forgets what lies before `una`. */
void nst_sendq_consume(struct nst_sendq *q, struct nst_pool *pool, nst_seq una);

/* Appends the bytes [start, start + len), by reference, to `pkt`, as far as it has slices. Returns
 * how many bytes that were. */
size_t nst_sendq_slice(const struct nst_sendq *q, struct nst_pkt *pkt, nst_seq start, size_t len);

/* Aborts if it contradicts itself. */
void nst_sendq_check(const struct nst_sendq *q);

#endif
