#include "core/ip/fragment.h"

#include "core/base/bytes.h"
#include "core/wire/ipv4.h"

/* One fragment: `len` bytes of the payload from `off`, behind the header `ip`, which has the
 * datagram's identification (6864-3). */
static struct nst_pkt *cut(const struct nst_pkt *pkt, size_t hlen, struct nst_ipv4 *ip, size_t off,
                           size_t len)
{
    struct nst_pkt *f = nst_pkt_share(pkt, hlen + off, len);
    uint8_t *header = f ? nst_pkt_push(f, nst_ipv4_hlen(ip)) : NULL;

    if (!header) {
        nst_pkt_free(f);
        return NULL;
    }
    ip->frag_off = (uint16_t)off;
    ip->total_len = (uint16_t)f->len;
    nst_ipv4_emit(ip, header);
    return f;
}

/* All fragments, or false without memory. */
static bool cut_all(const struct nst_pkt *pkt, size_t mtu, struct nst_list *out)
{
    struct nst_ipv4 ip;
    struct nst_pkt *f;

    nst_ipv4_parse_quote(&ip, nst_pkt_head(pkt), nst_pkt_head_len(pkt));
    size_t hlen = nst_ipv4_hlen(&ip), payload = pkt->len - hlen;
    for (size_t off = 0, n; off < payload; off += n) {
        n = nst_min((mtu - nst_ipv4_hlen(&ip)) & ~(size_t)7, payload - off);
        ip.mf = off + n < payload;
        if (!(f = cut(pkt, hlen, &ip, off, n)))
            return false;
        nst_list_push_back(out, &f->node);
        nst_ipv4_options_keep_copied(&ip);
    }
    return true;
}

void nst_ipv4_fragment_take(struct nst_pkt *pkt, size_t mtu, struct nst_list *out)
{
    struct nst_env *env = pkt->pool->env;
    struct nst_list fragments;

    if (pkt->ip.df) {
        nst_pkt_drop(pkt, NST_DROP_too_big);
        return;
    }
    nst_list_init(&fragments);
    if (nst_pkt_checksum_complete(pkt) != 0 || !cut_all(pkt, mtu, &fragments)) {
        nst_pkt_free_all(&fragments);
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    NST_COUNT(env, frag_fragmented);
    NST_LIST_FOREACH (e, &fragments)
        NST_COUNT(env, frag_out);
    nst_list_splice_back(out, &fragments);
    nst_pkt_free(pkt);
}
