#include "core/pkt/loan.h"

#include <assert.h>

#include "core/base/bytes.h"

#define LOAN_BYTES (sizeof(struct nst_buf) + sizeof(struct nst_loan))

_Static_assert(offsetof(struct nst_buf, data) % _Alignof(struct nst_loan) == 0,
               "a loan stands right behind the head of its buffer");

static struct nst_loan *loan_of(struct nst_buf *buf)
{
    assert(nst_buf_is_lent(buf));
    return (struct nst_loan *)(void *)buf->data;
}

struct nst_buf *nst_loan_buf(struct nst_loan *loan)
{
    return NST_CONTAINER(loan, struct nst_buf, data);
}

struct nst_loan *nst_pool_lend(struct nst_pool *pool, const void *base, size_t len, uint64_t cookie)
{
    struct nst_loan *loan;
    struct nst_buf *buf;

    if (LOAN_BYTES > nst_pool_spare(pool) || !(buf = nst_env_alloc(pool->env, LOAN_BYTES)))
        return NULL;
    buf->refs = 1;
    loan = loan_of(buf);
    *loan = (struct nst_loan){.base = (uint8_t *)(uintptr_t)base, .len = len, .cookie = cookie};
    nst_list_push_back(&pool->loans, &loan->node);
    pool->used_bytes += LOAN_BYTES;
    return loan;
}

bool nst_loan_holds(const struct nst_buf *buf, const uint8_t *data, size_t len)
{
    const struct nst_loan *loan = (const void *)buf->data;
    size_t off = (size_t)(data - loan->base);

    return data >= loan->base && off <= loan->len && len <= loan->len - off;
}

void nst_loan_unused(struct nst_pool *pool, struct nst_buf *buf)
{
    struct nst_loan *loan = loan_of(buf);

    if (!loan->ended)
        return;
    nst_list_del(&loan->node);
    nst_list_push_back(&pool->returned, &loan->node);
}

void nst_pool_lend_end(struct nst_pool *pool, struct nst_loan *loan)
{
    struct nst_buf *buf = nst_loan_buf(loan);

    loan->ended = true;
    if (buf->refs == 1)
        nst_loan_unused(pool, buf);
}

static void loan_free(struct nst_pool *pool, struct nst_list *node)
{
    struct nst_buf *buf = nst_loan_buf(NST_CONTAINER(node, struct nst_loan, node));

    assert(buf->refs == 1);
    pool->used_bytes -= LOAN_BYTES;
    nst_env_free(pool->env, buf, LOAN_BYTES);
}

size_t nst_loan_events(struct nst_pool *pool, struct nst_event *events, size_t max)
{
    struct nst_list *node;
    size_t n = 0;

    while (n < max && (node = nst_list_pop_front(&pool->returned))) {
        uint64_t cookie = NST_CONTAINER(node, struct nst_loan, node)->cookie;
        events[n++] = (struct nst_event){.kind = NST_EVENT_RETURNED, .cookie = cookie};
        loan_free(pool, node);
    }
    return n;
}

void nst_loans_fini(struct nst_pool *pool)
{
    struct nst_list *node;

    nst_list_splice_back(&pool->loans, &pool->returned);
    while ((node = nst_list_pop_front(&pool->loans)))
        loan_free(pool, node);
}
