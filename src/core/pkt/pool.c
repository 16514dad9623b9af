#include "core/pkt/pool.h"

#include <assert.h>

#include "core/pkt/loan.h"
#include "core/pkt/pkt.h"

static void *item_new(struct nst_pool *pool, struct nst_freelist *list)
{
    struct nst_allocator *a = &pool->env->allocator;
    void *item = list->first;

    if (list->item_bytes > pool->budget_bytes - pool->used_bytes)
        return NULL;
    if (item) {
        memcpy(&list->first, item, sizeof list->first);
        list->n--;
    } else if (!(item = a->alloc(a->ctx, list->item_bytes))) {
        return NULL;
    }
    pool->used_bytes += list->item_bytes;
    return item;
}

static void item_free(struct nst_pool *pool, struct nst_freelist *list, void *item)
{
    pool->used_bytes -= list->item_bytes;
    if (list->n >= list->max) {
        nst_env_free(pool->env, item, list->item_bytes);
        return;
    }
    memcpy(item, &list->first, sizeof list->first);
    list->first = item;
    list->n++;
}

static void list_fini(struct nst_pool *pool, struct nst_freelist *list)
{
    while (list->first) {
        void *item = list->first;
        memcpy(&list->first, item, sizeof list->first);
        nst_env_free(pool->env, item, list->item_bytes);
    }
}

void nst_pool_init(struct nst_pool *pool, struct nst_env *env, size_t budget_bytes)
{
    *pool = (struct nst_pool){
        .env = env,
        .budget_bytes = budget_bytes,
        .pkts = {.item_bytes = sizeof(struct nst_pkt), .max = 1024},
        .bufs = {{.item_bytes = sizeof(struct nst_buf) + NST_BUF_SMALL, .max = 1024},
                 {.item_bytes = sizeof(struct nst_buf) + NST_BUF_MEDIUM, .max = 128},
                 {.item_bytes = sizeof(struct nst_buf) + NST_BUF_LARGE, .max = 64}},
    };
    nst_list_init(&pool->loans);
    nst_list_init(&pool->returned);
}

void nst_pool_fini(struct nst_pool *pool)
{
    nst_loans_fini(pool);
    assert(pool->used_bytes == 0);
    list_fini(pool, &pool->pkts);
    for (unsigned i = 0; i < NST_BUF_SIZES; i++)
        list_fini(pool, &pool->bufs[i]);
}

static size_t buf_size(const struct nst_freelist *list)
{
    return list->item_bytes - sizeof(struct nst_buf);
}

/* The list of the least buffers that hold `size` bytes; NULL for more than the largest. */
static struct nst_freelist *bufs_for(struct nst_pool *pool, size_t size)
{
    for (unsigned i = 0; i < NST_BUF_SIZES; i++)
        if (size <= buf_size(&pool->bufs[i]))
            return &pool->bufs[i];
    return NULL;
}

struct nst_buf *nst_buf_new(struct nst_pool *pool, size_t size)
{
    struct nst_freelist *list = bufs_for(pool, size);
    struct nst_buf *buf = list ? item_new(pool, list) : NULL;

    if (buf)
        *buf = (struct nst_buf){.refs = 1, .size = (uint32_t)buf_size(list)};
    return buf;
}

void nst_buf_unref(struct nst_pool *pool, struct nst_buf *buf)
{
    assert(buf->refs > 0);
    if (--buf->refs == 0)
        item_free(pool, bufs_for(pool, buf->size), buf);
    else if (buf->refs == 1 && nst_buf_is_lent(buf))
        nst_loan_unused(pool, buf);
}

struct nst_pkt *nst_pool_pkt_new(struct nst_pool *pool)
{
    struct nst_pkt *pkt = item_new(pool, &pool->pkts);

    if (pkt) {
        memset(pkt, 0, offsetof(struct nst_pkt, slices));
        nst_list_init(&pkt->node);
        pkt->pool = pool;
    }
    return pkt;
}

void nst_pool_pkt_free(struct nst_pool *pool, struct nst_pkt *pkt)
{
    item_free(pool, &pool->pkts, pkt);
}
