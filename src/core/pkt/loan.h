/* Memory of the owner's that packets and send queues share: it is sent where it is.
 *
 * A loan is a buffer without memory of its own, behind whose head stands what was lent. It bears a
 * reference to itself from its beginning to its return; so nobody who shares it ever finds himself
 * alone with it, and writes to it. When that reference is the last, and the owner has said that he
 * sends no more of it, it is returned. */
#ifndef NST_PKT_LOAN_H
#define NST_PKT_LOAN_H

#include "core/pkt/pool.h"

struct nst_loan {
    struct nst_list node; /* of the pool */
    uint8_t *base;
    size_t len;
    uint64_t cookie;
    bool ended; /* the owner's word */
};

/* NULL without memory. */
struct nst_loan *nst_pool_lend(struct nst_pool *pool, const void *base, size_t len,
                               uint64_t cookie);

/* What stands for it in slices; each takes a reference. */
struct nst_buf *nst_loan_buf(struct nst_loan *loan);

/* Whether the range lies in the memory that the buffer, which is lent, stands for. */
bool nst_loan_holds(const struct nst_buf *buf, const uint8_t *data, size_t len);

/* The owner sends no more of it. */
void nst_pool_lend_end(struct nst_pool *pool, struct nst_loan *loan);

/* For nst_buf_unref(): there is no reference but its own. */
void nst_loan_unused(struct nst_pool *pool, struct nst_buf *buf);

/* Tells of up to `max` loans that were returned, and forgets them. */
size_t nst_loan_events(struct nst_pool *pool, struct nst_event *events, size_t max);

/* Forgets all of them. */
void nst_loans_fini(struct nst_pool *pool);

#endif
