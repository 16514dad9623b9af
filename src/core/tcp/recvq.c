#include "core/tcp/recvq.h"

#include <assert.h>

#include "core/base/bytes.h"
#include "core/pkt/compact.h"

static struct nst_pkt *pkt_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_pkt, node);
}

void nst_recvq_init(struct nst_recvq *q)
{
    *q = (struct nst_recvq){.bytes = 0};
    nst_list_init(&q->pkts);
}

/* ---- In ---------------------------------------------------------------------------------- */

void nst_recvq_push_take(struct nst_recvq *q, struct nst_pkt *pkt)
{
    struct nst_pkt *last = nst_list_empty(&q->pkts) ? NULL : pkt_of(q->pkts.prev);

    assert(pkt->len > 0);
    q->bytes += pkt->len;
    pkt = nst_pkt_compact_take(last, pkt);
    if (pkt) {
        q->mem += nst_pkt_truesize(pkt);
        nst_list_push_back(&q->pkts, &pkt->node);
    }
}

/* Takes the packet off, as it is. */
static struct nst_pkt *pull(struct nst_recvq *q, struct nst_list *e)
{
    struct nst_pkt *pkt = pkt_of(e);

    nst_list_del(e);
    q->bytes -= pkt->len;
    q->mem -= nst_pkt_truesize(pkt);
    return pkt;
}

void nst_recvq_splice_back(struct nst_recvq *to, struct nst_recvq *from)
{
    if (nst_recvq_empty(from))
        return;
    /* The first packet may join the last one here; the rest has met its neighbours before. */
    nst_recvq_push_take(to, pull(from, from->pkts.next));
    nst_list_splice_back(&to->pkts, &from->pkts);
    to->bytes += from->bytes;
    to->mem += from->mem;
    nst_recvq_init(from);
}

/* ---- Out --------------------------------------------------------------------------------- */

size_t nst_recvq_peek(const struct nst_recvq *q, struct nst_slice *out, size_t max)
{
    size_t n = 0;

    NST_LIST_FOREACH (e, &q->pkts) {
        if (n == max)
            break;
        n += nst_pkt_slices(pkt_of(e), out + n, max - n);
    }
    return n;
}

/* Where copied bytes go: what is left of the caller's slices, and how much of the first is full. */
struct target {
    const struct nst_slice *out;
    size_t nout, filled;
};

/* Copies what the packet has from `off` on; returns how much there was room for. */
static size_t scatter(const struct nst_pkt *pkt, size_t off, struct target *to)
{
    size_t at = off;

    while (at < pkt->len && to->nout > 0) {
        size_t n = nst_min(to->out->len - to->filled, pkt->len - at);
        if (n > 0)
            nst_pkt_read(pkt, at, (uint8_t *)to->out->base + to->filled, n);
        at += n;
        to->filled += n;
        if (to->filled == to->out->len)
            *to = (struct target){to->out + 1, to->nout - 1, 0};
    }
    return at - off;
}

size_t nst_recvq_read(const struct nst_recvq *q, size_t off, const struct nst_slice *out,
                      size_t nout)
{
    struct target to = {out, nout, 0};
    size_t done = 0;

    NST_LIST_FOREACH (e, &q->pkts) {
        size_t skip = nst_min(off, pkt_of(e)->len);
        off -= skip;
        done += scatter(pkt_of(e), skip, &to);
        if (to.nout == 0)
            break;
    }
    return done;
}

void nst_recvq_consume(struct nst_recvq *q, size_t n)
{
    assert(n <= q->bytes);
    while (n > 0) {
        struct nst_pkt *pkt = pull(q, q->pkts.next);
        size_t now = nst_min(n, pkt->len);
        n -= now;
        nst_pkt_consume(pkt, now);
        if (pkt->len == 0) {
            nst_pkt_free(pkt);
            continue;
        }
        q->bytes += pkt->len;
        q->mem += nst_pkt_truesize(pkt);
        nst_list_push_front(&q->pkts, &pkt->node);
    }
}

struct nst_pkt *nst_recvq_pull_back(struct nst_recvq *q)
{
    return pull(q, q->pkts.prev);
}

void nst_recvq_drop(struct nst_recvq *q, enum nst_drop reason)
{
    while (!nst_list_empty(&q->pkts))
        nst_pkt_drop(pull(q, q->pkts.next), reason);
}

void nst_recvq_check(const struct nst_recvq *q)
{
    size_t bytes = 0, mem = 0;

    NST_LIST_FOREACH (e, &q->pkts) {
        const struct nst_pkt *pkt = pkt_of(e);
        nst_pkt_check(pkt);
        assert(pkt->len > 0 && pkt->slices[0].len > 0);
        bytes += pkt->len;
        mem += nst_pkt_truesize(pkt);
    }
    assert(bytes == q->bytes && mem == q->mem);
}
