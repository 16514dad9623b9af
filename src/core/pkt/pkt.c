#include "core/pkt/pkt.h"

#include <assert.h>
#include <errno.h>

#include "core/base/bytes.h"
#include "core/pkt/loan.h"
#include "core/wire/checksum.h"

static bool append(struct nst_pkt *pkt, struct nst_buf *buf, uint8_t *data, size_t len)
{
    if (!buf || pkt->nslices == NST_PKT_SLICES)
        return false;
    pkt->slices[pkt->nslices++] = (struct nst_pkt_slice){buf, data, len};
    pkt->len += len;
    return true;
}

bool nst_pkt_append(struct nst_pkt *pkt, struct nst_buf *buf, uint8_t *data, size_t len)
{
    if (!append(pkt, buf, data, len))
        return false;
    buf->refs++;
    return true;
}

struct nst_pkt *nst_pkt_new(struct nst_pool *pool, size_t headroom, size_t len)
{
    struct nst_pkt *pkt = nst_pool_pkt_new(pool);
    size_t head = nst_min(len, NST_BUF_SMALL - headroom);
    struct nst_buf *buf;

    assert(headroom <= NST_BUF_SMALL);
    if (!pkt)
        return NULL;
    buf = nst_buf_new(pool, NST_BUF_SMALL);
    if (!append(pkt, buf, buf ? buf->data + headroom : NULL, head))
        goto fail;
    if (len > head) {
        buf = nst_buf_new(pool, len - head);
        if (!append(pkt, buf, buf ? buf->data : NULL, len - head))
            goto fail;
    }
    return pkt;
fail:
    nst_pkt_free(pkt);
    return NULL;
}

void nst_pkt_free(struct nst_pkt *pkt)
{
    if (!pkt)
        return;
    for (unsigned i = 0; i < pkt->nslices; i++)
        nst_buf_unref(pkt->pool, pkt->slices[i].buf);
    nst_pool_pkt_free(pkt->pool, pkt);
}

void nst_pkt_free_all(struct nst_list *pkts)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(pkts)))
        nst_pkt_free(NST_CONTAINER(e, struct nst_pkt, node));
}

static bool in_range(const struct nst_pkt *pkt, size_t off, size_t len)
{
    return off <= pkt->len && len <= pkt->len - off;
}

/* Adds to `to` what `from` has in the range, by reference. */
static void share_range(struct nst_pkt *to, const struct nst_pkt *from, size_t off, size_t len)
{
    for (unsigned i = 0; i < from->nslices && len > 0; i++) {
        const struct nst_pkt_slice *s = &from->slices[i];
        if (off >= s->len) {
            off -= s->len;
            continue;
        }
        size_t n = nst_min(len, s->len - off);
        append(to, s->buf, s->data + off, n);
        s->buf->refs++;
        off = 0;
        len -= n;
    }
}

/* All that a packet is but its bytes. */
static void describe_as(struct nst_pkt *to, const struct nst_pkt *from)
{
    memcpy(to, from, offsetof(struct nst_pkt, len));
    nst_list_init(&to->node);
}

struct nst_pkt *nst_pkt_share(const struct nst_pkt *pkt, size_t off, size_t len)
{
    struct nst_pkt *part = nst_pool_pkt_new(pkt->pool);

    assert(in_range(pkt, off, len));
    if (!part)
        return NULL;
    describe_as(part, pkt);
    share_range(part, pkt, off, len);
    return part;
}

struct nst_pkt *nst_pkt_copy(const struct nst_pkt *pkt, size_t off, size_t len)
{
    struct nst_pkt *copy = nst_pkt_new(pkt->pool, 0, len);

    if (!copy)
        return NULL;
    describe_as(copy, pkt);
    for (unsigned i = 0; i < copy->nslices; off += copy->slices[i++].len)
        nst_pkt_read(pkt, off, copy->slices[i].data, copy->slices[i].len);
    return copy;
}

/* Counted (1122-24), and told to the trace (1122-23). */
void nst_pkt_drop(struct nst_pkt *pkt, enum nst_drop reason)
{
    struct nst_env *env = pkt->pool->env;

    env->drops[reason]++;
    if (env->trace) {
        struct nst_trace_event event = {.kind = NST_TRACE_DROP,
                                        .time = env->now,
                                        .link = pkt->link,
                                        .id = pkt->id,
                                        .drop = (uint16_t)reason,
                                        .pkt = pkt};
        env->trace(env->trace_ctx, &event);
    }
    nst_pkt_free(pkt);
}

/* The packet's first byte moves by `n`, forward when headers are pushed. */
static void offload_move(struct nst_offload *o, size_t n)
{
    if (o->csum == NST_CSUM_PARTIAL)
        o->csum_start = (uint16_t)(o->csum_start + n);
    if (o->gso != NST_GSO_NONE)
        o->hdr_len = (uint16_t)(o->hdr_len + n);
}

void nst_pkt_pull(struct nst_pkt *pkt, size_t n)
{
    assert(n <= nst_pkt_head_len(pkt));
    if (n == 0)
        return;
    offload_move(&pkt->offload, 0 - n);
    pkt->slices[0].data += n;
    pkt->slices[0].len -= n;
    pkt->len -= n;
}

void nst_pkt_consume(struct nst_pkt *pkt, size_t n)
{
    unsigned gone = 0;

    assert(n <= pkt->len);
    pkt->len -= n;
    while (gone < pkt->nslices && n >= pkt->slices[gone].len) {
        n -= pkt->slices[gone].len;
        nst_buf_unref(pkt->pool, pkt->slices[gone++].buf);
    }
    if (gone) {
        pkt->nslices -= gone;
        memmove(pkt->slices, pkt->slices + gone, pkt->nslices * sizeof pkt->slices[0]);
    }
    if (pkt->nslices) {
        pkt->slices[0].data += n;
        pkt->slices[0].len -= n;
    }
}

/* Puts an empty slice in front, with the usual headroom before it; false without memory or slices.
 */
static bool add_head(struct nst_pkt *pkt)
{
    struct nst_pkt_slice *head = &pkt->slices[0];
    struct nst_buf *buf;

    if (pkt->nslices == NST_PKT_SLICES || !(buf = nst_buf_new(pkt->pool, NST_BUF_SMALL)))
        return false;
    memmove(head + 1, head, pkt->nslices * sizeof *head);
    pkt->nslices++;
    *head = (struct nst_pkt_slice){buf, buf->data + NST_PKT_HEADROOM, 0};
    return true;
}

uint8_t *nst_pkt_push(struct nst_pkt *pkt, size_t n)
{
    struct nst_pkt_slice *head = &pkt->slices[0];

    assert(n <= NST_PKT_HEADROOM);
    bool room = pkt->nslices && head->buf->refs == 1 && n <= (size_t)(head->data - head->buf->data);
    if (!room && !add_head(pkt))
        return NULL;
    offload_move(&pkt->offload, n);
    head->data -= n;
    head->len += n;
    pkt->len += n;
    return head->data;
}

int nst_pkt_own_head(struct nst_pkt *pkt)
{
    struct nst_pkt_slice *head = &pkt->slices[0];
    struct nst_buf *buf;

    if (pkt->nslices == 0 || head->buf->refs == 1)
        return 0;
    assert(!nst_buf_is_lent(head->buf)); /* headers are ours */
    buf = nst_buf_new(pkt->pool, head->buf->size);
    if (!buf)
        return -ENOMEM;
    size_t off = (size_t)(head->data - head->buf->data);
    memcpy(buf->data + off, head->data, head->len);
    nst_buf_unref(pkt->pool, head->buf);
    head->buf = buf;
    head->data = buf->data + off;
    return 0;
}

void nst_pkt_trim(struct nst_pkt *pkt, size_t len)
{
    size_t before = 0;
    unsigned keep = 0;

    if (len >= pkt->len)
        return;
    /* The first slice stays even when it becomes empty: it has the headroom. */
    while (keep < pkt->nslices && (keep == 0 || before < len))
        before += pkt->slices[keep++].len;
    for (unsigned i = keep; i < pkt->nslices; i++)
        nst_buf_unref(pkt->pool, pkt->slices[i].buf);
    pkt->slices[keep - 1].len -= before - len;
    pkt->nslices = keep;
    pkt->len = len;
}

size_t nst_pkt_len(const struct nst_pkt *pkt)
{
    return pkt->len;
}

struct nst_offload *nst_pkt_offload(struct nst_pkt *pkt)
{
    return &pkt->offload;
}

size_t nst_pkt_slices(const struct nst_pkt *pkt, struct nst_slice *out, size_t max)
{
    size_t n = nst_min(pkt->nslices, max);

    for (size_t i = 0; i < n; i++)
        out[i] = (struct nst_slice){pkt->slices[i].data, pkt->slices[i].len};
    return n;
}

/* The part of slice `i` that lies in the range; advances the range behind it. */
static struct nst_slice range_next(const struct nst_pkt *pkt, unsigned i, size_t *off, size_t *len)
{
    const struct nst_pkt_slice *s = &pkt->slices[i];
    size_t skip = nst_min(*off, s->len), n = nst_min(*len, s->len - skip);

    *off -= skip;
    *len -= n;
    return (struct nst_slice){s->data + skip, n};
}

void nst_pkt_read(const struct nst_pkt *pkt, size_t off, void *out, size_t len)
{
    uint8_t *to = out;

    assert(in_range(pkt, off, len));
    for (unsigned i = 0; i < pkt->nslices && len > 0; i++) {
        struct nst_slice s = range_next(pkt, i, &off, &len);
        memcpy(to, s.base, s.len);
        to += s.len;
    }
}

void nst_pkt_write(struct nst_pkt *pkt, size_t off, const void *in, size_t len)
{
    const uint8_t *from = in;

    assert(in_range(pkt, off, len));
    for (unsigned i = 0; i < pkt->nslices && len > 0; i++) {
        struct nst_slice s = range_next(pkt, i, &off, &len);
        assert(s.len == 0 || pkt->slices[i].buf->refs == 1);
        memcpy(s.base, from, s.len);
        from += s.len;
    }
}

uint16_t nst_pkt_sum(const struct nst_pkt *pkt, size_t off, size_t len)
{
    uint16_t sum = 0;
    size_t done = 0;

    assert(in_range(pkt, off, len));
    for (unsigned i = 0; i < pkt->nslices && len > 0; i++) {
        struct nst_slice s = range_next(pkt, i, &off, &len);
        sum = nst_csum_join(sum, nst_csum_sum(s.base, s.len), done);
        done += s.len;
    }
    return sum;
}

bool nst_pkt_checksum_ok(const struct nst_pkt *pkt, size_t off, size_t len, uint16_t pseudo)
{
    if (pkt->offload.csum != NST_CSUM_NONE)
        return true;
    return nst_csum_join(pseudo, nst_pkt_sum(pkt, off, len), 0) == 0xffff;
}

bool nst_pkt_transport_ok(const struct nst_pkt *pkt, size_t off, size_t len)
{
    const struct nst_pkt_ip *ip = &pkt->ip;

    return pkt->offload.csum != NST_CSUM_NONE ||
           nst_pkt_checksum_ok(pkt, off, len,
                               nst_csum_pseudo(&ip->src, &ip->dst, ip->proto, (uint32_t)len));
}

int nst_pkt_checksum_complete(struct nst_pkt *pkt)
{
    struct nst_offload *o = &pkt->offload;
    uint8_t field[2];

    if (o->csum != NST_CSUM_PARTIAL)
        return 0;
    if (nst_pkt_own_head(pkt) != 0)
        return -ENOMEM;
    uint16_t check = nst_csum_finish(nst_pkt_sum(pkt, o->csum_start, pkt->len - o->csum_start));
    /* MUST-2. Zero would mean "no checksum" in UDP, and equals 0xffff in ones' complement (RFC
     * 768). */
    nst_store16(field, check ? check : 0xffff);
    nst_pkt_write(pkt, (size_t)o->csum_start + o->csum_offset, field, sizeof field);
    o->csum = NST_CSUM_NONE;
    return 0;
}

/* Of lent memory, which isn't the stack's, what waits counts all the same: it must not wait without
 * a limit. */
static size_t slice_truesize(const struct nst_pkt_slice *s)
{
    return nst_buf_is_lent(s->buf) ? s->len : s->buf->size;
}

size_t nst_pkt_truesize(const struct nst_pkt *pkt)
{
    size_t bytes = sizeof *pkt;

    for (unsigned i = 0; i < pkt->nslices; i++)
        bytes += sizeof(struct nst_buf) + slice_truesize(&pkt->slices[i]);
    return bytes;
}

static bool is_inside(const struct nst_pkt_slice *s)
{
    const struct nst_buf *buf = s->buf;

    if (nst_buf_is_lent(buf))
        return nst_loan_holds(buf, s->data, s->len);
    return s->data >= buf->data && s->len <= buf->size && s->data + s->len <= buf->data + buf->size;
}

void nst_pkt_check(const struct nst_pkt *pkt)
{
    size_t len = 0;

    assert(pkt->nslices <= NST_PKT_SLICES);
    for (unsigned i = 0; i < pkt->nslices; i++) {
        const struct nst_pkt_slice *s = &pkt->slices[i];
        assert(s->buf->refs > 0 && is_inside(s));
        len += s->len;
    }
    assert(len == pkt->len);
}
