/* Two segments are joined when they are of one flow, the second begins where the first ends, and
 * their headers say the same: acknowledgement, window, options with their timestamps, type of
 * service, time to live. All but the last are of one size, and PSH, FIN or a smaller size make one
 * the last. So nothing that a segment tells is lost: it is told once, for all. Those with a mark of
 * congestion are counted one by one, and stay alone.
 *
 * Checksums are verified before, for one that is wrong must not spoil its neighbours. Segments so
 * small that a queue would copy them together (compact.h) stay alone. */
#include "core/pkt/coalesce.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/pkt/compact.h"
#include "core/wire/tcp.h"

/* Where the fields stand in the TCP header. */
enum {
    PORTS = 0,
    SEQ = 4,
    ACK_NUMBER = 8,
    DATA_OFFSET = 12,
    FLAGS = 13,
    WINDOW = 14,
    OPTIONS = 20
};

/* In the type of service: congestion was experienced (RFC 3168 §5). */
#define CE 3

/* The longest packet that IP knows. */
#define LEN_MAX 65535

static uint8_t *tcp_header(const struct nst_pkt *pkt)
{
    return nst_pkt_head(pkt) + pkt->ip.hlen;
}

/* Of both headers, as the TCP header says. */
static size_t header_len(const struct nst_pkt *pkt)
{
    return pkt->ip.hlen + (size_t)(tcp_header(pkt)[DATA_OFFSET] >> 4) * 4;
}

/* Whether it has all of its headers in its first slice, and payload. */
static bool has_payload(const struct nst_pkt *pkt)
{
    return nst_pkt_head_len(pkt) >= pkt->ip.hlen + (size_t)NST_TCP_HLEN &&
           header_len(pkt) >= pkt->ip.hlen + (size_t)NST_TCP_HLEN &&
           header_len(pkt) <= nst_pkt_head_len(pkt) && header_len(pkt) < pkt->len;
}

bool nst_pkt_is_joinable(const struct nst_pkt *pkt)
{
    const struct nst_pkt_ip *ip = &pkt->ip;

    return pkt->offload.gso == NST_GSO_NONE && has_payload(pkt) &&
           tcp_header(pkt)[FLAGS] == NST_TCP_ACK && (ip->tos & CE) != CE && ip->options_len == 0 &&
           !ip->dst_group && !pkt->l2_group && !nst_pkt_is_wasteful(pkt);
}

static bool same_ip(const struct nst_pkt_ip *a, const struct nst_pkt_ip *b)
{
    return nst_addr_eq(&a->src, &b->src) && nst_addr_eq(&a->dst, &b->dst) && a->tos == b->tos &&
           a->ttl == b->ttl && a->df == b->df && a->hlen == b->hlen && b->options_len == 0;
}

/* Whether `next`, with payload, is what comes behind the segments in `pkt`, each of `size` bytes.
 */
static bool follows(const struct nst_pkt *pkt, const struct nst_pkt *next, size_t size)
{
    const uint8_t *a = tcp_header(pkt), *b = tcp_header(next);
    size_t hlen = header_len(pkt), payload = pkt->len - hlen;
    uint8_t ends = NST_TCP_PSH | NST_TCP_FIN;

    return nst_load32(a + PORTS) == nst_load32(b + PORTS) &&
           nst_load32(b + SEQ) == (uint32_t)(nst_load32(a + SEQ) + payload) &&
           nst_load32(a + ACK_NUMBER) == nst_load32(b + ACK_NUMBER) &&
           a[DATA_OFFSET] == b[DATA_OFFSET] && a[FLAGS] == NST_TCP_ACK &&
           (b[FLAGS] & ~ends) == NST_TCP_ACK && nst_load16(a + WINDOW) == nst_load16(b + WINDOW) &&
           memcmp(a + OPTIONS, b + OPTIONS, hlen - pkt->ip.hlen - OPTIONS) == 0 &&
           payload % size == 0 && next->len - hlen <= size && pkt->len + size <= LEN_MAX;
}

/* True once the checksum is known to be right; it isn't looked at again. */
static bool is_intact(struct nst_pkt *pkt)
{
    if (!nst_pkt_transport_ok(pkt, pkt->ip.hlen, pkt->len - pkt->ip.hlen))
        return false;
    pkt->offload.csum = NST_CSUM_VALID;
    return true;
}

static void append_payload(struct nst_pkt *pkt, const struct nst_pkt *next, size_t off)
{
    for (unsigned i = 0; i < next->nslices; i++, off = 0) {
        const struct nst_pkt_slice *s = &next->slices[i];
        nst_pkt_append(pkt, s->buf, s->data + off, s->len - off);
    }
}

bool nst_pkt_join_take(struct nst_pkt *pkt, struct nst_pkt *next)
{
    struct nst_offload *o = &pkt->offload;
    size_t hlen = header_len(pkt), size = o->gso ? o->gso_size : pkt->len - hlen;

    if (next->offload.gso != NST_GSO_NONE || next->l2_group != pkt->l2_group ||
        pkt->nslices + next->nslices > NST_PKT_SLICES || !same_ip(&pkt->ip, &next->ip) ||
        !has_payload(next) || !follows(pkt, next, size) || !is_intact(next) || !is_intact(pkt) ||
        nst_pkt_own_head(pkt) != 0)
        return false;
    tcp_header(pkt)[FLAGS] |= tcp_header(next)[FLAGS];
    o->gso = pkt->ip.src.family == NST_AF_INET ? NST_GSO_TCP4 : NST_GSO_TCP6;
    o->gso_size = (uint16_t)size;
    o->hdr_len = (uint16_t)hlen;
    append_payload(pkt, next, hlen);
    nst_pkt_free(next);
    return true;
}
