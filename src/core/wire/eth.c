#include "core/wire/eth.h"

#include "core/base/bytes.h"

#define TYPE_MIN  0x0600 /* the lowest EtherType; between it and the longest length lies nothing */
#define SNAP_HLEN 8      /* LLC, OUI, EtherType */

static bool is_snap(const uint8_t *p)
{
    static const uint8_t rfc1042[] = {0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00};

    return memcmp(p, rfc1042, sizeof rfc1042) == 0;
}

/* The rest of an 802.3 frame, whose length field `out->type` holds. */
static enum nst_drop parse_802_3(struct nst_eth *out, const uint8_t *p, size_t len,
                                 size_t frame_len)
{
    uint16_t llc_len = out->type, type;

    if (frame_len - NST_ETH_HLEN < llc_len)
        return NST_DROP_runt;
    if (llc_len < SNAP_HLEN)
        return NST_DROP_ethertype;
    if (len < NST_ETH_HLEN + SNAP_HLEN)
        return NST_DROP_runt;
    type = nst_load16(p + NST_ETH_HLEN + SNAP_HLEN - 2);
    if (!is_snap(p + NST_ETH_HLEN) || type < TYPE_MIN)
        return NST_DROP_ethertype;
    if (llc_len == SNAP_HLEN) /* a payload_len of 0 means something else */
        return NST_DROP_runt;
    out->type = type;
    out->hlen = NST_ETH_HLEN + SNAP_HLEN;
    out->payload_len = (uint16_t)(llc_len - SNAP_HLEN);
    return NST_DROP_NONE;
}

enum nst_drop nst_eth_parse(struct nst_eth *out, const uint8_t *p, size_t len, size_t frame_len)
{
    if (nst_min(len, frame_len) < NST_ETH_HLEN)
        return NST_DROP_runt;
    *out = (struct nst_eth){.type = nst_load16(p + 12), .hlen = NST_ETH_HLEN};
    memcpy(out->dst.bytes, p, 6);
    memcpy(out->src.bytes, p + 6, 6);
    if (out->type <= NST_ETH_LEN_MAX)
        return parse_802_3(out, p, len, frame_len);
    return out->type < TYPE_MIN ? NST_DROP_ethertype : NST_DROP_NONE;
}

/* Ethernet II only (1122-11); there is no place for a TOS (1122-35). */
void nst_eth_emit(const struct nst_eth *eth, uint8_t *p)
{
    memcpy(p, eth->dst.bytes, 6);
    memcpy(p + 6, eth->src.bytes, 6);
    nst_store16(p + 12, eth->type);
}

struct nst_mac nst_eth_multicast(const struct nst_addr *group)
{
    const uint8_t *a = group->bytes;

    if (group->family == NST_AF_INET)
        return (struct nst_mac){{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}};
    return (struct nst_mac){{0x33, 0x33, a[12], a[13], a[14], a[15]}};
}
