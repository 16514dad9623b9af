/* The way in: from a frame to a socket, in the order of the functions from the last to the first.
 *
 *     nst_input -> input_frame -> ARP
 *                              -> nst_stack_input_ip -> reassembly -> deliver -> ICMP, UDP, TCP,
 * raw
 *
 * Each layer judges and says what is next, or why the packet ends here; only this file acts on it.
 */
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/arp.h"
#include "core/pkt/coalesce.h"
#include "core/stack/stack.h"
#include "core/udp/udp.h"
#include "core/wire/eth.h"

/* ---- Above IP ------------------------------------------------------------------------------ */

/* An error about a packet of ours: told to the socket that sent it (1122-55, 1122-168, MUST-54). */
static enum nst_drop deliver_error(struct nst_stack *stack, const struct nst_pkt *pkt,
                                   const struct nst_icmp_verdict *v)
{
    bool told = v->quoted.proto == NST_IPPROTO_TCP
                    ? nst_tcp_error(&stack->tcps, pkt, v->quote, &v->quoted, &v->error)
                    : nst_sock_error(&stack->socks, pkt, v->quote, &v->quoted, &v->error);

    return told ? NST_DROP_NONE : NST_DROP_icmp_unmatched;
}

/* Takes the packet unless it gives a drop reason. */
static enum nst_drop deliver_icmp(struct nst_stack *stack, struct nst_iface *iface,
                                  struct nst_pkt *pkt)
{
    struct nst_icmp_verdict v = nst_icmp_input(&stack->icmp, iface, pkt);

    if (v.drop)
        return v.drop;
    switch (v.kind) {
    case NST_ICMP_REQUEST:
        nst_icmp_reply_take(&stack->icmp, pkt);
        return NST_DROP_NONE;
    case NST_ICMP_REPLY:
        pkt->sport = 0;
        pkt->dport = v.id;
        return nst_dgram_input(&stack->socks, pkt);
    case NST_ICMP_ERROR:
        v.drop = deliver_error(stack, pkt, &v);
        break;
    case NST_ICMP_DONE:
        break;
    }
    if (!v.drop)
        nst_pkt_free(pkt);
    return v.drop;
}

static void release_held(struct nst_stack *stack)
{
    struct nst_pkt *held = stack->held;

    stack->held = NULL;
    if (held)
        nst_tcp_input_take(&stack->tcps, held);
}

/* TCP answers for itself, and takes every segment; but where the device doesn't join those of a
 * batch, each waits for the next one first. */
static enum nst_drop deliver_tcp(struct nst_stack *stack, struct nst_pkt *pkt)
{
    if (stack->held && nst_pkt_join_take(stack->held, pkt)) {
        NST_COUNT(&stack->env, tcp_joined);
        return NST_DROP_NONE;
    }
    release_held(stack);
    if (!pkt->looped && nst_pkt_is_joinable(pkt))
        stack->held = pkt;
    else
        nst_tcp_input_take(&stack->tcps, pkt);
    return NST_DROP_NONE;
}

static enum nst_drop deliver_udp(struct nst_stack *stack, struct nst_pkt *pkt)
{
    enum nst_drop drop = nst_udp_input(&stack->env, pkt);

    return drop ? drop : nst_dgram_input(&stack->socks, pkt);
}

/* Takes the packet unless it gives a drop reason. */
static enum nst_drop deliver_igmp(struct nst_stack *stack, struct nst_iface *iface,
                                  struct nst_pkt *pkt)
{
    enum nst_drop drop = nst_igmp_input(&stack->igmp, iface, pkt);

    if (!drop)
        nst_pkt_free(pkt);
    return drop;
}

/* To whom the protocol belongs, in the order of arrival. Takes the packet unless it gives a drop
 * reason. */
static enum nst_drop demultiplex(struct nst_stack *stack, struct nst_iface *iface,
                                 struct nst_pkt *pkt)
{
    if (pkt->ip.proto != NST_IPPROTO_TCP)
        release_held(stack);
    switch (pkt->ip.proto) {
    case NST_IPPROTO_ICMP:
        return deliver_icmp(stack, iface, pkt);
    case NST_IPPROTO_UDP:
        return deliver_udp(stack, pkt);
    case NST_IPPROTO_TCP:
        return deliver_tcp(stack, pkt);
    case NST_IPPROTO_IGMP:
        return deliver_igmp(stack, iface, pkt);
    case NST_IPPROTO_IPIP:
    case NST_IPPROTO_IPV6:
        return NST_DROP_no_tunnel;
    default:
        return NST_DROP_ip_proto;
    }
}

/* Whether a packet dropped for this reason did arrive after all if a raw socket has a copy. */
static bool raw_suffices(enum nst_drop drop)
{
    return drop == NST_DROP_icmp_unmatched || drop == NST_DROP_igmp || drop == NST_DROP_no_tunnel ||
           drop == NST_DROP_ip_proto;
}

static enum nst_drop deliver(struct nst_stack *stack, struct nst_iface *iface, struct nst_pkt *pkt)
{
    bool raw = nst_raw_input(&stack->socks, pkt);
    enum nst_drop drop = demultiplex(stack, iface, pkt);

    NST_COUNT(&stack->env, ipv4_delivered);
    if (!raw || !raw_suffices(drop))
        return drop;
    nst_pkt_free(pkt);
    return NST_DROP_NONE;
}

/* ---- IP ------------------------------------------------------------------------------------ */

/* Tells the sender by ICMP why its packet was dropped, where that is our duty (1122-62, 1122-63,
 * 1122-75, 1122-167, 1122-170). */
static void complain(struct nst_stack *stack, const struct nst_pkt *pkt, enum nst_drop drop,
                     uint8_t pointer)
{
    switch (drop) {
    case NST_DROP_ip_proto:
    case NST_DROP_no_tunnel:
        nst_icmp_error(&stack->icmp, pkt, NST_ICMPV4_UNREACHABLE, NST_ICMPV4_PROTOCOL, 0);
        break;
    case NST_DROP_udp_port:
        nst_icmp_error(&stack->icmp, pkt, NST_ICMPV4_UNREACHABLE, NST_ICMPV4_PORT, 0);
        break;
    case NST_DROP_ip_option:
        nst_icmp_error(&stack->icmp, pkt, NST_ICMPV4_PARAMETER, 0, pointer);
        break;
    default:
        break;
    }
}

void nst_stack_input_ip_take(struct nst_stack *stack, struct nst_iface *iface, struct nst_pkt *pkt)
{
    struct nst_ip_verdict v = nst_ip_input(&stack->ip, iface, pkt);

    if (!v.drop && v.fragment) {
        pkt = nst_reassembly_input_take(&stack->ip.reassembly, pkt, &v.header);
        if (!pkt || nst_stack_spread_take(stack, iface, pkt))
            return;
    }
    if (!v.drop)
        v.drop = deliver(stack, iface, pkt);
    if (v.drop) {
        complain(stack, pkt, v.drop, v.pointer);
        iface->rx_drops += !pkt->looped;
        nst_pkt_drop(pkt, v.drop);
    }
}

/* ---- Link ---------------------------------------------------------------------------------- */

static enum nst_drop check_stations(const struct nst_iface *iface, const struct nst_eth *eth)
{
    if (nst_mac_eq(&eth->src, &iface->config.mac))
        return NST_DROP_l2_self;
    if (nst_mac_is_group(&eth->src) || nst_mac_is_zero(&eth->src))
        return NST_DROP_l2_source;
    if (!nst_mac_is_group(&eth->dst) && !nst_mac_eq(&eth->dst, &iface->config.mac))
        return NST_DROP_l2_other;
    return NST_DROP_NONE;
}

/* The filter of group addresses that a device would have. It comes behind the packet sockets, which
 * see all frames that the link carries to us. */
static bool hears_station(const struct nst_iface *iface, const struct nst_mac *dst)
{
    return !nst_mac_is_group(dst) || nst_mac_is_broadcast(dst) || nst_group_hears_mac(iface, dst);
}

/* The packet behind the link header. Takes it unless it gives a drop reason. */
static enum nst_drop input_payload(struct nst_stack *stack, struct nst_iface *iface,
                                   struct nst_pkt *pkt, uint16_t type)
{
    enum nst_drop drop;

    switch (type) {
    case NST_ETHERTYPE_IPV4:
        nst_stack_input_ip_take(stack, iface, pkt);
        return NST_DROP_NONE;
    case NST_ETHERTYPE_ARP:
        if (iface->config.medium != NST_MEDIUM_ETHERNET)
            return NST_DROP_ethertype;
        drop = nst_arp_input(iface, &stack->neighbours, pkt);
        if (!drop)
            nst_pkt_free(pkt);
        return drop;
    default:
        return NST_DROP_ethertype;
    }
}

static enum nst_drop input_ethernet(struct nst_stack *stack, struct nst_iface *iface,
                                    struct nst_pkt *pkt)
{
    struct nst_eth eth;
    enum nst_drop drop = nst_eth_parse(&eth, nst_pkt_head(pkt), nst_pkt_head_len(pkt), pkt->len);

    if (!drop)
        drop = check_stations(iface, &eth);
    if (drop)
        return drop;
    nst_packet_input(&stack->socks, pkt, eth.type);
    if (!hears_station(iface, &eth.dst))
        return NST_DROP_l2_group;
    pkt->mac = eth.src;
    pkt->l2_group = nst_mac_is_group(&eth.dst); /* 1122-13 */
    nst_pkt_pull(pkt, eth.hlen);
    if (eth.payload_len)
        nst_pkt_trim(pkt, eth.payload_len);
    return input_payload(stack, iface, pkt, eth.type);
}

static enum nst_drop input_bare_ip(struct nst_stack *stack, struct nst_iface *iface,
                                   struct nst_pkt *pkt)
{
    if (nst_pkt_head_len(pkt) == 0)
        return NST_DROP_ip_short;
    uint16_t type = nst_pkt_head(pkt)[0] >> 4 == 6 ? NST_ETHERTYPE_IPV6 : NST_ETHERTYPE_IPV4;
    nst_packet_input(&stack->socks, pkt, type);
    return input_payload(stack, iface, pkt, type);
}

static void input_frame_take(struct nst_stack *stack, struct nst_iface *iface, struct nst_pkt *pkt)
{
    struct nst_env *env = &stack->env;
    enum nst_drop drop;

    pkt->id = ++stack->frames;
    pkt->time = env->now;
    pkt->link = iface->link;
    iface->rx_pkts++;
    iface->rx_bytes += pkt->len;
    if (env->trace) {
        struct nst_trace_event event = {
            .kind = NST_TRACE_RX, .time = env->now, .link = iface->link, .id = pkt->id, .pkt = pkt};
        env->trace(env->trace_ctx, &event);
    }
    if (!iface->up)
        drop = NST_DROP_link_down;
    else if (iface->config.medium == NST_MEDIUM_ETHERNET)
        drop = input_ethernet(stack, iface, pkt);
    else
        drop = input_bare_ip(stack, iface, pkt);
    if (drop) {
        iface->rx_drops++;
        nst_pkt_drop(pkt, drop);
    }
}

void nst_input(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t n,
               nst_time now)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);

    nst_stack_advance(stack, now);
    for (size_t i = 0; i < n; i++) {
        if (iface)
            input_frame_take(stack, iface, pkts[i]);
        else
            nst_pkt_drop(pkts[i], NST_DROP_no_link);
    }
    release_held(stack);
    nst_stack_drain(stack);
}
