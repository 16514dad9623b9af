/* Which of several stacks that are one host a frame is for.
 *
 * The frame is read as far as that takes and judged by nobody: what is wrong with it, the stack
 * that gets it will find. */
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"

#define FIRST 0 /* who has all that is not spread */

#define PORTS_LEN   4      /* of a TCP header, what tells the connection */
#define FRAGMENT    0x3fff /* of the flags and the offset: MF, and any offset */
#define QUOTED_MAX  2      /* a packet, and one that it quotes */
#define IP_PROTO_AT 9
#define IP_SRC_AT   12
#define IP_DST_AT   16

static struct nst_addr load_addr(const uint8_t *p)
{
    return nst_addr_v4(p[0], p[1], p[2], p[3]);
}

/* Whose the connection is that a segment from, or to, its peer is of. */
static uint16_t spread_tcp(const struct nst_stack *stack, const uint8_t *ip, const uint8_t *tcp,
                           bool ours)
{
    const struct nst_addr src = load_addr(ip + IP_SRC_AT), dst = load_addr(ip + IP_DST_AT);
    const struct nst_flow_id id = {.local = ours ? src : dst,
                                   .peer = ours ? dst : src,
                                   .lport = nst_load16(ours ? tcp : tcp + 2),
                                   .pport = nst_load16(ours ? tcp + 2 : tcp)};

    return (uint16_t)nst_tcp_spread_of(&stack->tcps.spread, &id);
}

static bool quotes(uint8_t icmp_type)
{
    return icmp_type == NST_ICMPV4_UNREACHABLE || icmp_type == NST_ICMPV4_SOURCE_QUENCH ||
           icmp_type == NST_ICMPV4_REDIRECT || icmp_type == NST_ICMPV4_TIME_EXCEEDED ||
           icmp_type == NST_ICMPV4_PARAMETER;
}

/* A packet of which `len` bytes are readable; of one that an ICMP error quotes, we are the sender.
 */
static uint16_t spread_ip(const struct nst_stack *stack, const uint8_t *p, size_t len)
{
    for (unsigned depth = 0; depth < QUOTED_MAX; depth++) {
        size_t hlen = len >= NST_IPV4_HLEN ? (size_t)(p[0] & 15) * 4 : 0;
        bool fragment = hlen && nst_load16(p + 6) & FRAGMENT;

        if (hlen < NST_IPV4_HLEN || p[0] >> 4 != 4 || len < hlen + PORTS_LEN ||
            (fragment && depth == 0))
            return FIRST;
        if (p[IP_PROTO_AT] == NST_IPPROTO_TCP)
            return spread_tcp(stack, p, p + hlen, depth > 0);
        if (p[IP_PROTO_AT] != NST_IPPROTO_ICMP || len < hlen + NST_ICMPV4_HLEN || !quotes(p[hlen]))
            return FIRST;
        p += hlen + NST_ICMPV4_HLEN;
        len -= hlen + NST_ICMPV4_HLEN;
    }
    return FIRST;
}

/* What is asked of us, or claims to be us, is to be answered once. */
static uint16_t spread_arp(const struct nst_iface *iface, const uint8_t *p, size_t len)
{
    struct nst_arp arp;

    if (nst_arp_parse(&arp, p, len) || nst_iface_addr_is_ours(iface, &arp.spa))
        return FIRST;
    bool asked = arp.op == NST_ARP_REQUEST && nst_iface_addr_is_ours(iface, &arp.tpa);
    return asked ? FIRST : NST_SPREAD_ALL;
}

uint16_t nst_spread_of(const struct nst_stack *stack, nst_link link, const struct nst_pkt *pkt)
{
    const struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);
    const uint8_t *p = nst_pkt_head(pkt);
    size_t len = nst_pkt_head_len(pkt);
    struct nst_eth eth = {.type = NST_ETHERTYPE_IPV4};

    if (!iface || stack->tcps.spread.count < 2)
        return FIRST;
    if (iface->config.medium == NST_MEDIUM_ETHERNET && nst_eth_parse(&eth, p, len, pkt->len))
        return FIRST;
    p = p ? p + eth.hlen : p;
    switch (eth.type) {
    case NST_ETHERTYPE_IPV4:
        return spread_ip(stack, p, len - eth.hlen);
    case NST_ETHERTYPE_ARP:
        return spread_arp(iface, p, len - eth.hlen);
    default:
        return FIRST;
    }
}

/* ---- What shows only later ----------------------------------------------------------------- */

static void stray_push_take(struct nst_stack *stack, const struct nst_iface *iface,
                            struct nst_pkt *pkt)
{
    const struct nst_eth eth = {
        .dst = iface->config.mac, .src = pkt->mac, .type = NST_ETHERTYPE_IPV4};
    bool framed = iface->config.medium == NST_MEDIUM_ETHERNET;
    uint8_t *header = framed ? nst_pkt_push(pkt, NST_ETH_HLEN) : NULL;

    if (framed && !header) {
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    if (framed)
        nst_eth_emit(&eth, header);
    nst_list_push_back(&stack->strays, &pkt->node);
}

bool nst_stack_spread_take(struct nst_stack *stack, const struct nst_iface *iface,
                           struct nst_pkt *pkt)
{
    const struct nst_tcp_spread *s = &stack->tcps.spread;

    if (s->count < 2 || spread_ip(stack, nst_pkt_head(pkt), nst_pkt_head_len(pkt)) == s->index)
        return false;
    stray_push_take(stack, iface, pkt);
    return true;
}

size_t nst_spread_pull(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t max)
{
    size_t n = 0;

    NST_LIST_FOREACH_SAFE (e, &stack->strays) {
        struct nst_pkt *pkt = NST_CONTAINER(e, struct nst_pkt, node);
        if (n == max)
            break;
        if (pkt->link != link)
            continue;
        nst_list_del(e);
        pkts[n++] = pkt;
    }
    return n;
}
