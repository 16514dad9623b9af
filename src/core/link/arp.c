#include "core/link/arp.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/acd.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"

static enum nst_drop send(struct nst_iface *iface, const struct nst_arp *arp,
                          const struct nst_mac *to)
{
    struct nst_pkt *pkt = nst_pkt_new(iface->pool, NST_PKT_HEADROOM, NST_ARP_LEN);

    if (!pkt)
        return NST_DROP_no_memory;
    nst_arp_emit(arp, nst_pkt_head(pkt));
    pkt->ethertype = NST_ETHERTYPE_ARP;
    pkt->mac = *to;
    nst_iface_output_take(iface, pkt);
    return NST_DROP_NONE;
}

static void request(struct nst_iface *iface, const struct nst_addr *sender,
                    const struct nst_addr *target, const struct nst_mac *to)
{
    struct nst_arp arp = {
        .op = NST_ARP_REQUEST, .sha = iface->config.mac, .spa = *sender, .tpa = *target};

    if (send(iface, &arp, to) == NST_DROP_NONE)
        NST_COUNT(iface->env, arp_requests_sent);
}

void nst_arp_request(struct nst_iface *iface, const struct nst_addr *sender,
                     const struct nst_addr *target)
{
    request(iface, sender, target, &nst_mac_broadcast);
}

/* Our address in the network of `target`, or any other of ours, or 0.0.0.0. */
static struct nst_addr sender_for(const struct nst_iface *iface, const struct nst_addr *target)
{
    struct nst_addr sender = nst_addr_v4(0, 0, 0, 0);

    for (unsigned i = iface->naddrs; i-- > 0;) {
        const struct nst_ifaddr *a = &iface->addrs[i];
        if (a->state != NST_ADDR_VALID || a->prefix.addr.family != NST_AF_INET)
            continue;
        sender = a->prefix.addr;
        if (nst_prefix_has(&a->prefix, target))
            break;
    }
    return sender;
}

/* Asks for the neighbour's MAC address (1122-12). */
void nst_arp_solicit(const struct nst_neigh *neigh)
{
    struct nst_addr sender = sender_for(neigh->iface, &neigh->addr);
    bool known = neigh->state == NST_NEIGH_PROBE;

    request(neigh->iface, &sender, &neigh->addr, known ? &neigh->mac : &nst_mac_broadcast);
}

static enum nst_drop reply(struct nst_iface *iface, const struct nst_arp *to)
{
    struct nst_arp arp = {.op = NST_ARP_REPLY,
                          .sha = iface->config.mac,
                          .spa = to->tpa,
                          .tha = to->sha,
                          .tpa = to->spa};
    enum nst_drop drop = send(iface, &arp, &to->sha);

    if (!drop)
        NST_COUNT(iface->env, arp_replies_sent);
    return drop;
}

/* The address of ours that the packet contradicts: its sender claims it, or probes for one that we
 * are probing for too (RFC 5227 §2.1.1, §2.4; 5227-2). NULL if none. */
static struct nst_ifaddr *conflicting(struct nst_iface *iface, const struct nst_arp *arp)
{
    struct nst_ifaddr *claimed = nst_iface_addr_find(iface, &arp->spa);
    struct nst_ifaddr *probed = nst_iface_addr_find(iface, &arp->tpa);

    if (claimed && claimed->state != NST_ADDR_CONFLICT)
        return claimed;
    bool probe = arp->op == NST_ARP_REQUEST && nst_addr_is_any(&arp->spa);
    return probe && probed && probed->state == NST_ADDR_TENTATIVE ? probed : NULL;
}

/* Whether the sender's addresses are ones that a neighbour can have. */
static bool plausible(const struct nst_iface *iface, const struct nst_arp *arp)
{
    if (nst_mac_is_group(&arp->sha) || nst_mac_is_zero(&arp->sha) ||
        nst_mac_eq(&arp->sha, &iface->config.mac))
        return false;
    if (nst_addr_is_any(&arp->spa))
        return arp->op == NST_ARP_REQUEST;
    return nst_addr_is_host(&arp->spa) && nst_iface_addr_is_onlink(iface, &arp->spa) &&
           !nst_iface_addr_is_broadcast(iface, &arp->spa);
}

static enum nst_neigh_news news_of(const struct nst_arp *arp, bool to_us, const struct nst_pkt *pkt)
{
    if (arp->op == NST_ARP_REQUEST)
        return to_us ? NST_NEIGH_REQUEST : NST_NEIGH_RUMOUR;
    return to_us && !pkt->l2_group ? NST_NEIGH_ANSWER : NST_NEIGH_RUMOUR;
}

enum nst_drop nst_arp_input(struct nst_iface *iface, struct nst_neigh_table *neighbours,
                            const struct nst_pkt *pkt)
{
    struct nst_arp arp;
    enum nst_drop drop = nst_arp_parse(&arp, nst_pkt_head(pkt), nst_pkt_head_len(pkt));

    if (drop)
        return drop;
    NST_COUNT(iface->env, arp_in);
    if (!plausible(iface, &arp))
        return NST_DROP_arp_source;
    struct nst_ifaddr *contested = conflicting(iface, &arp);
    if (contested) {
        nst_acd_conflict(contested, &arp.sha);
        return NST_DROP_arp_conflict;
    }
    bool to_us = nst_iface_addr_is_ours(iface, &arp.tpa);
    if (nst_addr_is_any(&arp.spa)) /* a probe: there is nobody to remember */
        drop = to_us ? NST_DROP_NONE : NST_DROP_arp_other;
    else
        drop = nst_neigh_input(neighbours, iface, &arp.spa, &arp.sha, news_of(&arp, to_us, pkt));
    if (to_us && arp.op == NST_ARP_REQUEST) /* 826-3; a probe too (5227-6) */
        return reply(iface, &arp);
    return drop;
}
