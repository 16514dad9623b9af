#include "core/wire/arp.h"

#include "core/base/bytes.h"
#include "core/wire/eth.h"

/* Hardware type 1 is Ethernet, whose addresses are 6 bytes long; the protocol is IPv4 with 4. */
static const uint8_t ETHERNET_IPV4[] = {0, 1, NST_ETHERTYPE_IPV4 >> 8, NST_ETHERTYPE_IPV4 & 0xff,
                                        6, 4};

static struct nst_addr load_addr(const uint8_t *p)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    memcpy(addr.bytes, p, 4);
    return addr;
}

enum nst_drop nst_arp_parse(struct nst_arp *out, const uint8_t *p, size_t len)
{
    if (len < NST_ARP_LEN || memcmp(p, ETHERNET_IPV4, sizeof ETHERNET_IPV4) != 0)
        return NST_DROP_arp;
    *out = (struct nst_arp){
        .op = nst_load16(p + 6),
        .spa = load_addr(p + 14),
        .tpa = load_addr(p + 24),
    };
    memcpy(out->sha.bytes, p + 8, 6);
    memcpy(out->tha.bytes, p + 18, 6);
    return out->op == NST_ARP_REQUEST || out->op == NST_ARP_REPLY ? NST_DROP_NONE : NST_DROP_arp;
}

void nst_arp_emit(const struct nst_arp *arp, uint8_t *p)
{
    memcpy(p, ETHERNET_IPV4, sizeof ETHERNET_IPV4);
    nst_store16(p + 6, arp->op);
    memcpy(p + 8, arp->sha.bytes, 6);
    memcpy(p + 14, arp->spa.bytes, 4);
    memcpy(p + 18, arp->tha.bytes, 6);
    memcpy(p + 24, arp->tpa.bytes, 4);
}
