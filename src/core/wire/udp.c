#include "core/wire/udp.h"

#include "core/base/bytes.h"

enum nst_drop nst_udp_parse(struct nst_udp *out, const uint8_t *p, size_t len, size_t dgram_len)
{
    if (len < NST_UDP_HLEN || dgram_len < NST_UDP_HLEN)
        return NST_DROP_udp_short;
    *out = (struct nst_udp){
        .sport = nst_load16(p),
        .dport = nst_load16(p + 2),
        .len = nst_load16(p + 4),
        .checksum = nst_load16(p + 6),
    };
    return out->len < NST_UDP_HLEN || out->len > dgram_len ? NST_DROP_udp_len : NST_DROP_NONE;
}

void nst_udp_emit(const struct nst_udp *udp, uint8_t *p)
{
    nst_store16(p, udp->sport);
    nst_store16(p + 2, udp->dport);
    nst_store16(p + 4, udp->len);
    nst_store16(p + 6, udp->checksum);
}
