#include "core/tcp/sendq.h"

#include <assert.h>

#include "core/base/bytes.h"
#include "core/pkt/loan.h"

#define RING_FIRST 4 /* slots at first; the ring doubles */

void nst_sendq_init(struct nst_sendq *q, nst_seq start)
{
    *q = (struct nst_sendq){.end = start};
}

static struct nst_sendq_chunk *chunk(const struct nst_sendq *q, uint32_t i)
{
    return &q->ring[(q->first + i) & q->mask];
}

static void ring_free(struct nst_sendq *q, struct nst_env *env)
{
    nst_env_free(env, q->ring, (q->mask + 1) * sizeof *q->ring);
    q->ring = NULL;
}

/* A ring that has grown goes with what it held; the first stays for the next message. */
static void shrink(struct nst_sendq *q, struct nst_env *env)
{
    if (q->n == 0 && q->mask >= RING_FIRST)
        ring_free(q, env);
}

static void pop(struct nst_sendq *q, struct nst_pool *pool)
{
    nst_buf_unref(pool, chunk(q, 0)->buf);
    q->first++;
    q->n--;
    shrink(q, pool->env);
}

static void pop_back(struct nst_sendq *q, struct nst_pool *pool)
{
    nst_buf_unref(pool, chunk(q, q->n - 1)->buf);
    q->n--;
    shrink(q, pool->env);
}

void nst_sendq_free(struct nst_sendq *q, struct nst_pool *pool)
{
    while (q->n > 0)
        pop(q, pool);
    if (q->ring)
        ring_free(q, pool->env);
}

/* A free slot at the end of the ring. */
static bool make_slot(struct nst_sendq *q, struct nst_env *env)
{
    uint32_t slots = q->ring ? 2 * (q->mask + 1) : RING_FIRST;
    struct nst_sendq_chunk *ring;

    if (q->ring && q->n <= q->mask)
        return true;
    if (!(ring = nst_env_alloc(env, slots * sizeof *ring)))
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        ring[i] = *chunk(q, i);
    if (q->ring)
        ring_free(q, env);
    q->ring = ring;
    q->mask = slots - 1;
    q->first = 0;
    return true;
}

/* An empty chunk behind the last, which takes the reference. False without memory: then it has
 * given the reference back. */
static bool chunk_push(struct nst_sendq *q, struct nst_pool *pool, struct nst_buf *buf,
                       uint8_t *data)
{
    if (!make_slot(q, pool->env)) {
        nst_buf_unref(pool, buf);
        return false;
    }
    *chunk(q, q->n++) = (struct nst_sendq_chunk){.buf = buf, .data = data, .start = q->end};
    return true;
}

/* The same with memory of its own. NULL without memory. */
static struct nst_sendq_chunk *chunk_new(struct nst_sendq *q, struct nst_pool *pool, size_t wanted)
{
    struct nst_buf *buf =
        nst_buf_new(pool, q->n ? NST_BUF_MEDIUM : nst_min(wanted, NST_BUF_MEDIUM));

    return buf && chunk_push(q, pool, buf, buf->data) ? chunk(q, q->n - 1) : NULL;
}

/* The part of the chunk's room that `len` bytes take. */
static struct nst_slice room_of(const struct nst_sendq_chunk *c, size_t len)
{
    uint8_t *end = c->data + c->len;

    if (nst_buf_is_lent(c->buf))
        return (struct nst_slice){end, 0};
    return (struct nst_slice){end, nst_min(len, (size_t)(c->buf->data + c->buf->size - end))};
}

/* What is appended never overwrites what a segment on its way still points to: chunks only grow. */
size_t nst_sendq_reserve(struct nst_sendq *q, struct nst_pool *pool, size_t len,
                         struct nst_slice out[NST_SENDQ_ROOM])
{
    struct nst_sendq_chunk *last = q->n ? chunk(q, q->n - 1) : NULL;
    size_t n = 0;

    if (last && (out[0] = room_of(last, len)).len > 0)
        len -= out[n++].len;
    for (; len > 0 && n < NST_SENDQ_ROOM && (last = chunk_new(q, pool, len)); len -= out[n++].len)
        out[n] = room_of(last, len);
    return n;
}

static void grow(struct nst_sendq *q, struct nst_sendq_chunk *c, size_t len)
{
    c->len += (uint32_t)len;
    q->end = nst_seq_add(q->end, (uint32_t)len);
}

void nst_sendq_commit(struct nst_sendq *q, struct nst_pool *pool, size_t len)
{
    uint32_t i = q->n; /* from the last chunk that isn't empty, which may have had room, */

    while (i > 0 && chunk(q, --i)->len == 0)
        ;
    for (; i < q->n; i++) { /* to the last that was made for this */
        struct nst_sendq_chunk *c = chunk(q, i);
        size_t n = room_of(c, len).len;
        if (c->len == 0)
            c->start = q->end;
        grow(q, c, n);
        len -= n;
    }
    while (q->n > 0 && chunk(q, q->n - 1)->len == 0)
        pop_back(q, pool);
}

size_t nst_sendq_push(struct nst_sendq *q, struct nst_pool *pool, const void *data, size_t len)
{
    const uint8_t *from = data;
    struct nst_slice room[NST_SENDQ_ROOM];
    size_t done = 0, n;

    while (done < len && (n = nst_sendq_reserve(q, pool, len - done, room)) > 0) {
        size_t before = done;
        for (size_t i = 0; i < n; done += room[i++].len)
            memcpy(room[i].base, from + done, room[i].len);
        nst_sendq_commit(q, pool, done - before);
    }
    return done;
}

/* What goes on where the last chunk ends makes that one longer. */
bool nst_sendq_lend(struct nst_sendq *q, struct nst_pool *pool, struct nst_buf *buf,
                    const uint8_t *data, size_t len)
{
    struct nst_sendq_chunk *last = q->n ? chunk(q, q->n - 1) : NULL;

    if (!last || last->buf != buf || last->data + last->len != data) {
        buf->refs++;
        if (!chunk_push(q, pool, buf, (uint8_t *)(uintptr_t)data))
            return false;
        last = chunk(q, q->n - 1);
    }
    grow(q, last, len);
    return true;
}

void nst_sendq_consume(struct nst_sendq *q, struct nst_pool *pool, nst_seq una)
{
    while (q->n > 0) {
        struct nst_sendq_chunk *c = chunk(q, 0);
        int32_t before = nst_seq_diff(una, c->start);
        if (before <= 0)
            return;
        if ((uint32_t)before < c->len) {
            c->data += before;
            c->len -= (uint32_t)before;
            c->start = una;
            return;
        }
        pop(q, pool);
    }
}

/* The chunk that holds the byte at `seq`, by halving. */
static uint32_t find(const struct nst_sendq *q, nst_seq seq)
{
    uint32_t low = 0, high = q->n;

    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (nst_seq_le(chunk(q, middle)->start, seq))
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t nst_sendq_slice(const struct nst_sendq *q, struct nst_pkt *pkt, nst_seq start, size_t len)
{
    size_t done = 0;

    if (q->n == 0)
        return 0;
    for (uint32_t i = find(q, start); i < q->n && done < len; i++) {
        const struct nst_sendq_chunk *c = chunk(q, i);
        uint32_t skip = (uint32_t)nst_seq_diff(nst_seq_add(start, (uint32_t)done), c->start);
        size_t n = nst_min(len - done, c->len - skip);
        if (!nst_pkt_append(pkt, c->buf, c->data + skip, n))
            break;
        done += n;
    }
    return done;
}

void nst_sendq_check(const struct nst_sendq *q)
{
    nst_seq at = q->end;

    for (uint32_t i = q->n; i-- > 0;) {
        const struct nst_sendq_chunk *c = chunk(q, i);
        assert(c->len > 0);
        assert(nst_buf_is_lent(c->buf) ? nst_loan_holds(c->buf, c->data, c->len)
                                       : c->data + c->len <= c->buf->data + c->buf->size);
        at = nst_seq_sub(at, c->len);
        assert(nst_seq_eq(at, c->start));
    }
    assert(q->n == 0 || q->ring);
}
