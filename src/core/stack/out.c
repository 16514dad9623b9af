/* The way out: what is queued becomes frames when the device has room for them.
 *
 *     nst_output -> finished frames
 *                <- build_frames <- the interface's queue <- neighbours, IP <- sockets
 *
 * Only here is a packet cut into segments or fragments and its checksum completed, where the device
 * does not, and the link header written. */
#include <assert.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/ip/fragment.h"
#include "core/link/acd.h"
#include "core/link/arp.h"
#include "core/pkt/segment.h"
#include "core/stack/stack.h"
#include "core/wire/eth.h"

/* ---- What timers and lower layers have asked for ------------------------------------------- */

static void run_timer(struct nst_stack *stack, struct nst_timer *timer)
{
    switch ((enum nst_timer_kind)timer->kind) {
    case NST_TIMER_NEIGH:
        nst_neigh_timeout(&stack->neighbours, NST_CONTAINER(timer, struct nst_neigh, timer));
        break;
    case NST_TIMER_ACD:
        nst_acd_timeout(NST_CONTAINER(timer, struct nst_ifaddr, timer));
        break;
    case NST_TIMER_FRAG:
        nst_reassembly_timeout(&stack->ip.reassembly, nst_datagram_of_timer(timer));
        break;
    case NST_TIMER_TCP:
        nst_tcb_timeout(NST_CONTAINER(timer, struct nst_tcb, timer));
        break;
    case NST_TIMER_TCP_REQ:
        nst_req_timeout(NST_CONTAINER(timer, struct nst_tcp_req, timer));
        break;
    case NST_TIMER_TIMEWAIT:
        nst_timewait_timeout(&stack->tcps);
        break;
    case NST_TIMER_ROUTE:
        nst_route_timeout(&stack->ip.routes, NST_CONTAINER(timer, struct nst_route_entry, timer));
        break;
    case NST_TIMER_GROUP:
        nst_igmp_group_timeout(&stack->igmp, NST_CONTAINER(timer, struct nst_group, timer));
        break;
    case NST_TIMER_IGMP_RESPONSE:
        nst_igmp_response_timeout(&stack->igmp,
                                  NST_CONTAINER(timer, struct nst_igmp_link, response));
        break;
    case NST_TIMER_IGMP_CHANGE:
        nst_igmp_change_timeout(&stack->igmp, NST_CONTAINER(timer, struct nst_igmp_link, change));
        break;
    }
}

void nst_stack_advance(struct nst_stack *stack, nst_time now)
{
    struct nst_timer *timer;

    if (now < stack->env.now) { /* only while the clock stands at 0: see env_init() */
        assert(now == 0 && stack->env.now == 1);
        now = 1;
    }
    stack->env.now = now;
    while ((timer = nst_wheel_pull(&stack->env.wheel, now)))
        run_timer(stack, timer);
    nst_stack_drain(stack);
}

/* A packet of ours whose neighbour does not answer: its socket hears what an ICMP error from this
 * host itself would say. */
static void report_unreachable_take(struct nst_stack *stack, struct nst_pkt *pkt)
{
    const struct nst_sock_error error = {
        .err = nst_icmp_errno(NST_ICMPV4_UNREACHABLE, NST_ICMPV4_HOST),
        .icmp = true,
        .type = NST_ICMPV4_UNREACHABLE,
        .code = NST_ICMPV4_HOST,
        .offender = pkt->ip.src,
    };

    if (pkt->len < pkt->ip.hlen + (size_t)NST_ICMPV4_HLEN)
        ; /* too short to tell whose it is */
    else if (pkt->ip.proto == NST_IPPROTO_TCP)
        nst_tcp_error(&stack->tcps, pkt, pkt->ip.hlen, &pkt->ip, &error);
    else
        nst_sock_error(&stack->socks, pkt, pkt->ip.hlen, &pkt->ip, &error);
    nst_pkt_drop(pkt, NST_DROP_neigh_unreachable);
}

static void solicit(struct nst_stack *stack)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&stack->neighbours.solicit)))
        nst_arp_solicit(NST_CONTAINER(e, struct nst_neigh, solicit));
}

/* The time to report that the rest of a datagram did not come (1122-131). */
static void report_expired_take(struct nst_stack *stack, struct nst_pkt *first)
{
    first->frag_off = 0;
    nst_icmp_error(&stack->icmp, first, NST_ICMPV4_TIME_EXCEEDED, NST_ICMPV4_REASSEMBLY, 0);
    nst_pkt_drop(first, NST_DROP_frag_timeout);
}

/* A multicast comes in where it went out; what the host says to itself, anywhere. */
static struct nst_iface *iface_of_looped(const struct nst_stack *stack, const struct nst_pkt *pkt)
{
    return nst_iface_of(&stack->ifaces, nst_addr_is_multicast(&pkt->ip.dst) ? pkt->link : 1);
}

void nst_stack_drain(struct nst_stack *stack)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&stack->ip.loop))) {
        struct nst_pkt *pkt = NST_CONTAINER(e, struct nst_pkt, node);
        stack->ip.looped--;
        nst_stack_input_ip_take(stack, iface_of_looped(stack, pkt), pkt);
    }
    while ((e = nst_list_pop_front(&stack->ip.reassembly.expired)))
        report_expired_take(stack, NST_CONTAINER(e, struct nst_pkt, node));
    while ((e = nst_list_pop_front(&stack->neighbours.failed)))
        report_unreachable_take(stack, NST_CONTAINER(e, struct nst_pkt, node));
    solicit(stack);
}

/* ---- From packets to frames ---------------------------------------------------------------- */

static bool push_link_header(const struct nst_iface *iface, struct nst_pkt *pkt)
{
    struct nst_eth eth = {.dst = pkt->mac, .src = iface->config.mac, .type = pkt->ethertype};
    uint8_t *p;

    if (iface->config.medium != NST_MEDIUM_ETHERNET || pkt->framed)
        return true;
    if (!(p = nst_pkt_push(pkt, NST_ETH_HLEN)))
        return false;
    nst_eth_emit(&eth, p);
    return true;
}

static void finish_frame_take(struct nst_stack *stack, struct nst_iface *iface, struct nst_pkt *pkt)
{
    bool complete = iface->config.offloads & NST_LINK_CSUM || nst_pkt_checksum_complete(pkt) == 0;

    if (!complete || !push_link_header(iface, pkt)) {
        iface->tx_drops++;
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    nst_list_push_back(&stack->ready[iface->link - 1], &pkt->node);
}

/* Whether the device cuts packets of this kind, which means writing their checksums too. */
static bool device_segments(const struct nst_iface *iface, enum nst_gso gso)
{
    static const uint32_t offloads[] = {
        [NST_GSO_TCP4] = NST_LINK_CSUM | NST_LINK_TSO4,
        [NST_GSO_TCP6] = NST_LINK_CSUM | NST_LINK_TSO6,
        [NST_GSO_UDP] = NST_LINK_CSUM | NST_LINK_USO,
    };

    return (iface->config.offloads & offloads[gso]) == offloads[gso];
}

/* Appends what the device can send: the packet itself, its segments, or its fragments. */
static void cut_take(const struct nst_iface *iface, struct nst_pkt *pkt, struct nst_list *pieces)
{
    bool large = pkt->offload.gso != NST_GSO_NONE;

    if (large && !device_segments(iface, pkt->offload.gso))
        nst_pkt_segment_take(pkt, pieces);
    else if (!large && pkt->ethertype == NST_ETHERTYPE_IPV4 && pkt->len > iface->config.mtu)
        nst_ipv4_fragment_take(pkt, iface->config.mtu, pieces);
    else
        nst_list_push_back(pieces, &pkt->node);
}

/* Turns the next packet of the interface into frames; false when there is none. */
static bool build_frames(struct nst_stack *stack, struct nst_iface *iface)
{
    struct nst_pkt *pkt = nst_iface_pull(iface);
    struct nst_list pieces, *e;

    if (!pkt)
        return false;
    nst_list_init(&pieces);
    cut_take(iface, pkt, &pieces);
    while ((e = nst_list_pop_front(&pieces)))
        finish_frame_take(stack, iface, NST_CONTAINER(e, struct nst_pkt, node));
    return true;
}

/* Lets a socket or a connection say one thing more: datagrams and streams in turn, so that neither
 * can keep the other from the device. */
static bool pull_from_above(struct nst_stack *stack)
{
    stack->streams_next = !stack->streams_next;
    if (stack->streams_next)
        return nst_sock_output(&stack->socks) || nst_tcp_output(&stack->tcps);
    return nst_tcp_output(&stack->tcps) || nst_sock_output(&stack->socks);
}

/* The next frame for the device; NULL when nothing is left to say. */
static struct nst_pkt *next_frame(struct nst_stack *stack, struct nst_iface *iface)
{
    struct nst_list *ready = &stack->ready[iface->link - 1], *e;

    while (!(e = nst_list_pop_front(ready))) {
        if (build_frames(stack, iface))
            continue;
        if (!pull_from_above(stack))
            return NULL;
        nst_stack_drain(stack);
    }
    return NST_CONTAINER(e, struct nst_pkt, node);
}

size_t nst_output(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t max,
                  nst_time now)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);
    struct nst_env *env = &stack->env;
    size_t n = 0;

    nst_stack_advance(stack, now);
    nst_tcp_answer(&stack->tcps);
    while (iface && n < max && (pkts[n] = next_frame(stack, iface))) {
        struct nst_pkt *pkt = pkts[n++];
        iface->tx_pkts++;
        iface->tx_bytes += pkt->len;
        if (env->trace) {
            struct nst_trace_event event = {
                .kind = NST_TRACE_TX, .time = now, .link = link, .pkt = pkt};
            env->trace(env->trace_ctx, &event);
        }
    }
    return n;
}

nst_time nst_deadline(const struct nst_stack *stack)
{
    return nst_wheel_deadline(&stack->env.wheel);
}
