#include "core/pkt/compact.h"

#include "core/base/bytes.h"

/* Worth copying: the packet keeps more than four times its length from other use. The largest copy
 * is that of a small buffer, so its cost has a limit however large the buffers are. */
bool nst_pkt_is_wasteful(const struct nst_pkt *pkt)
{
    return pkt->len <= NST_BUF_SMALL && pkt->len < nst_pkt_truesize(pkt) / 4;
}

/* Free bytes behind the packet's own, which nobody else can see. */
static size_t tail_room(const struct nst_pkt *pkt)
{
    const struct nst_pkt_slice *s = &pkt->slices[pkt->nslices - 1];

    return s->buf->refs > 1 ? 0 : (size_t)(s->buf->data + s->buf->size - (s->data + s->len));
}

/* Moves the bytes to the front of a small buffer of their own, if memory allows: then those that
 * follow have room behind them. */
static void repack(struct nst_pkt *pkt)
{
    struct nst_pkt_slice *s = pkt->slices;
    struct nst_buf *buf;

    if (pkt->nslices == 1 && s->buf->refs == 1 && s->buf->size == NST_BUF_SMALL) {
        memmove(s->buf->data, s->data, s->len);
        s->data = s->buf->data;
        return;
    }
    if (!(buf = nst_buf_new(pkt->pool, NST_BUF_SMALL)))
        return;
    nst_pkt_read(pkt, 0, buf->data, pkt->len);
    for (unsigned i = 0; i < pkt->nslices; i++)
        nst_buf_unref(pkt->pool, pkt->slices[i].buf);
    pkt->slices[0] = (struct nst_pkt_slice){buf, buf->data, pkt->len};
    pkt->nslices = 1;
}

struct nst_pkt *nst_pkt_compact_take(struct nst_pkt *last, struct nst_pkt *pkt)
{
    nst_pkt_consume(pkt, 0); /* the headers' buffer, if they had one */
    if (!nst_pkt_is_wasteful(pkt))
        return pkt;
    if (last && pkt->len <= tail_room(last)) {
        struct nst_pkt_slice *s = &last->slices[last->nslices - 1];
        nst_pkt_read(pkt, 0, s->data + s->len, pkt->len);
        s->len += pkt->len;
        last->len += pkt->len;
        nst_pkt_free(pkt);
        return NULL;
    }
    repack(pkt);
    return pkt;
}
