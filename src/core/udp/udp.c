#include "core/udp/udp.h"

#include <errno.h>

#include "core/wire/checksum.h"

#define CHECKSUM_OFFSET 6

/* Whether a device may have joined so much. */
static enum nst_drop check_segments(struct nst_offload *o, size_t payload)
{
    if (o->gso != NST_GSO_UDP || o->gso_size == 0 || o->gso_size >= payload) {
        o->gso = NST_GSO_NONE;
        return NST_DROP_NONE;
    }
    return payload > (size_t)o->gso_size * NST_UDP_SEGMENTS_MAX ? NST_DROP_udp_segments
                                                                : NST_DROP_NONE;
}

enum nst_drop nst_udp_input(struct nst_env *env, struct nst_pkt *pkt)
{
    size_t off = pkt->ip.hlen;
    struct nst_udp udp;
    enum nst_drop drop =
        nst_udp_parse(&udp, nst_pkt_head(pkt) + off, nst_pkt_head_len(pkt) - off, pkt->len - off);

    if (drop)
        return drop;
    NST_COUNT(env, udp_in);
    nst_pkt_trim(pkt, off + udp.len);
    /* Zero: the sender made no checksum, which IPv4 allows (RFC 1122 §4.1.3.4). */
    if (udp.checksum != 0 && !nst_pkt_transport_ok(pkt, off, udp.len)) /* 1122-176 */
        return NST_DROP_udp_checksum;
    pkt->sport = udp.sport;
    pkt->dport = udp.dport;
    return check_segments(&pkt->offload, (size_t)udp.len - NST_UDP_HLEN);
}

/* Always with a checksum (1122-175, 1122-178). Of what is to be cut up, the header is the whole's.
 */
int nst_udp_output(struct nst_env *env, struct nst_pkt *pkt)
{
    struct nst_udp udp = {.sport = pkt->sport, .dport = pkt->dport};

    if (pkt->len + NST_UDP_HLEN > UINT16_MAX)
        return -EMSGSIZE;
    uint8_t *p = nst_pkt_push(pkt, NST_UDP_HLEN);
    if (!p)
        return -ENOBUFS;
    udp.len = (uint16_t)pkt->len;
    udp.checksum = nst_csum_pseudo(&pkt->ip.src, &pkt->ip.dst, NST_IPPROTO_UDP, udp.len);
    nst_udp_emit(&udp, p);
    pkt->offload.csum = NST_CSUM_PARTIAL;
    pkt->offload.csum_start = 0;
    pkt->offload.csum_offset = CHECKSUM_OFFSET;
    NST_COUNT(env, udp_out);
    return 0;
}
