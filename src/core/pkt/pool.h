/* Where packets and their data come from: free lists of three sizes over the owner's allocator,
 * with one budget. What is in use counts against the budget, not what waits on the free lists;
 * those are kept short. Past the budget an allocation gives NULL, which the caller turns into a
 * drop. */
#ifndef NST_PKT_POOL_H
#define NST_PKT_POOL_H

#include "core/base/env.h"
#include "core/base/list.h"

/* A reference-counted block of memory, which slices of packets point into. One of size 0 stands for
 * memory of the owner's (loan.h): slices point elsewhere then, and it is shared always. */
struct nst_buf {
    uint32_t refs;
    uint32_t size; /* of data[] */
    uint8_t data[];
};

static inline bool nst_buf_is_lent(const struct nst_buf *buf)
{
    return buf->size == 0;
}

/* Buffers come in these sizes: of an Ethernet frame, of a few, of the largest packet. */
#define NST_BUF_SMALL  2048
#define NST_BUF_MEDIUM 16384
#define NST_BUF_LARGE  65536
#define NST_BUF_SIZES  3

/* Items of one size; a free one begins with the pointer to the next. */
struct nst_freelist {
    void *first;
    size_t item_bytes;
    unsigned n, max;
};

struct nst_pool {
    struct nst_env *env;
    size_t budget_bytes, used_bytes;
    struct nst_freelist pkts;
    struct nst_freelist bufs[NST_BUF_SIZES];
    struct nst_list loans, returned; /* of the owner's memory; `returned` isn't known to it yet */
};

/* Whether memory is scarce. The last eighth of the budget is for packets on their way: what would
 * have to wait, for the owner, a neighbour or other fragments, is refused then. So whoever fills
 * the queues does not make the host deaf. */
static inline bool nst_pool_is_scarce(const struct nst_pool *pool)
{
    return pool->used_bytes > pool->budget_bytes - pool->budget_bytes / 8;
}

/* How much may be taken until it is, bytes. */
static inline size_t nst_pool_spare(const struct nst_pool *pool)
{
    return nst_pool_is_scarce(pool)
               ? 0
               : pool->budget_bytes - pool->budget_bytes / 8 - pool->used_bytes;
}

void nst_pool_init(struct nst_pool *pool, struct nst_env *env, size_t budget_bytes);

/* Gives all memory back; everything taken must have been returned (asserted). */
void nst_pool_fini(struct nst_pool *pool);

/* A buffer of the least size that holds `size` bytes, with one reference. NULL without memory, or
 * for more than NST_BUF_LARGE. */
struct nst_buf *nst_buf_new(struct nst_pool *pool, size_t size);

/* Takes away one reference; the last one gives the buffer back. */
void nst_buf_unref(struct nst_pool *pool, struct nst_buf *buf);

/* An empty packet descriptor, and its return; for pkt.c only. */
struct nst_pkt *nst_pool_pkt_new(struct nst_pool *pool);
void nst_pool_pkt_free(struct nst_pool *pool, struct nst_pkt *pkt);

#endif
