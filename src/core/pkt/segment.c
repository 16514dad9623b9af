/* Each segment is a share of the payload behind a copy of the headers, in which those fields are
 * written anew that tell one segment from the next. For TCP the whole is a range of the stream, and
 * its pieces are what would have been sent had they been made one by one. */
#include "core/pkt/segment.h"

#include <assert.h>

#include "core/base/bytes.h"
#include "core/base/seq.h"
#include "core/wire/checksum.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"

/* Where the fields stand in their headers. */
enum { UDP_LEN = 4, TCP_SEQ = 4, TCP_FLAGS = 13 };

/* The TCP header at `p`, a copy of the whole's, of the segment whose payload begins at `off`. */
static void advance_tcp(uint8_t *p, size_t off, bool last)
{
    nst_seq seq = nst_seq_of(nst_load32(p + TCP_SEQ));
    unsigned absent = (off == 0 ? 0 : NST_TCP_CWR) | (last ? 0 : NST_TCP_FIN | NST_TCP_PSH);

    nst_store32(p + TCP_SEQ, nst_seq_add(seq, (uint32_t)off).v);
    p[TCP_FLAGS] &= (uint8_t)~absent;
}

/* All headers of the segment that has `len` bytes of payload from `off`; `ip` is the whole's. */
static void write_headers(const struct nst_pkt *whole, struct nst_ipv4 ip, uint8_t *p, size_t off,
                          size_t len)
{
    const struct nst_offload *o = &whole->offload;
    uint8_t *transport = p + nst_ipv4_hlen(&ip);
    size_t transport_len = o->hdr_len - nst_ipv4_hlen(&ip) + len;

    nst_pkt_read(whole, 0, p, o->hdr_len);
    ip.total_len = (uint16_t)(o->hdr_len + len);
    if (ip.id != 0)
        ip.id = (uint16_t)(ip.id + off / o->gso_size);
    nst_ipv4_emit(&ip, p);
    if (o->gso == NST_GSO_UDP)
        nst_store16(transport + UDP_LEN, (uint16_t)transport_len);
    else
        advance_tcp(transport, off, o->hdr_len + off + len == whole->len);
    nst_store16(p + o->csum_start + o->csum_offset,
                nst_csum_pseudo(&ip.src, &ip.dst, ip.proto, (uint32_t)transport_len));
}

static struct nst_pkt *cut(const struct nst_pkt *whole, const struct nst_ipv4 *ip, size_t off,
                           size_t len)
{
    const struct nst_offload *o = &whole->offload;
    struct nst_pkt *segment = nst_pkt_share(whole, o->hdr_len + off, len);
    uint8_t *headers = segment ? nst_pkt_push(segment, o->hdr_len) : NULL;

    if (!headers) {
        nst_pkt_free(segment);
        return NULL;
    }
    segment->offload = (struct nst_offload){
        .csum = NST_CSUM_PARTIAL, .csum_start = o->csum_start, .csum_offset = o->csum_offset};
    write_headers(whole, *ip, headers, off, len);
    return segment;
}

/* All segments, at least one; false without memory. */
static bool cut_all(const struct nst_pkt *whole, struct nst_list *out)
{
    const struct nst_offload *o = &whole->offload;
    size_t payload = whole->len - o->hdr_len, off = 0, len;
    struct nst_pkt *segment;
    struct nst_ipv4 ip;

    nst_ipv4_parse_quote(&ip, nst_pkt_head(whole), nst_pkt_head_len(whole));
    do {
        len = nst_min(o->gso_size, payload - off);
        if (!(segment = cut(whole, &ip, off, len)))
            return false;
        nst_list_push_back(out, &segment->node);
    } while ((off += len) < payload);
    return true;
}

void nst_pkt_segment_take(struct nst_pkt *pkt, struct nst_list *out)
{
    struct nst_list segments;

    assert(pkt->offload.csum == NST_CSUM_PARTIAL && pkt->offload.gso_size > 0);
    assert(pkt->offload.hdr_len <= pkt->len);
    nst_list_init(&segments);
    if (!cut_all(pkt, &segments)) {
        nst_pkt_free_all(&segments);
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    nst_list_splice_back(out, &segments);
    nst_pkt_free(pkt);
}
