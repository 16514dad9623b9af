#include "core/link/iface.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

void nst_iface_init(struct nst_iface *iface, struct nst_pool *pool, nst_link link,
                    const struct nst_link_config *config, uint32_t txq_max)
{
    *iface = (struct nst_iface){.env = pool->env,
                                .pool = pool,
                                .link = link,
                                .config = *config,
                                .up = !config->down,
                                .txq_max = txq_max};
    nst_list_init(&iface->txq);
    nst_groups_init(&iface->groups);
}

void nst_iface_fini(struct nst_iface *iface)
{
    struct nst_pkt *pkt;

    while ((pkt = nst_iface_pull(iface)))
        nst_pkt_free(pkt);
    for (unsigned i = 0; i < iface->naddrs; i++)
        nst_timer_cancel(&iface->env->wheel, &iface->addrs[i].timer);
    nst_groups_fini(iface);
}

void nst_iface_output_take(struct nst_iface *iface, struct nst_pkt *pkt)
{
    enum nst_drop drop = !iface->up                          ? NST_DROP_link_down
                         : iface->txq_pkts >= iface->txq_max ? NST_DROP_link_queue
                                                             : NST_DROP_NONE;

    pkt->link = iface->link;
    if (drop) {
        iface->tx_drops++;
        nst_pkt_drop(pkt, drop);
        return;
    }
    nst_list_push_back(&iface->txq, &pkt->node);
    iface->txq_pkts++;
}

struct nst_pkt *nst_iface_pull(struct nst_iface *iface)
{
    struct nst_list *e = nst_list_pop_front(&iface->txq);

    if (!e)
        return NULL;
    iface->txq_pkts--;
    return NST_CONTAINER(e, struct nst_pkt, node);
}

struct nst_ifaddr *nst_iface_addr_find(struct nst_iface *iface, const struct nst_addr *addr)
{
    for (unsigned i = 0; i < iface->naddrs; i++)
        if (nst_addr_eq(&iface->addrs[i].prefix.addr, addr))
            return &iface->addrs[i];
    return NULL;
}

void nst_iface_addr_remove(struct nst_iface *iface, struct nst_ifaddr *ifaddr)
{
    struct nst_wheel *wheel = &iface->env->wheel;
    struct nst_ifaddr *last = &iface->addrs[--iface->naddrs];
    bool armed = nst_timer_armed(&last->timer);
    nst_time at = nst_timer_at(&last->timer);

    nst_env_reroute(iface->env);
    nst_timer_cancel(wheel, &ifaddr->timer);
    if (last == ifaddr)
        return;
    /* The last one moves into the gap; its timer, which stands on a list, moves by being set anew.
     */
    nst_timer_cancel(wheel, &last->timer);
    *ifaddr = *last;
    nst_timer_init(&ifaddr->timer, NST_TIMER_ACD);
    if (armed)
        nst_timer_arm(wheel, &ifaddr->timer, at);
}

bool nst_iface_addr_is_ours(const struct nst_iface *iface, const struct nst_addr *addr)
{
    for (unsigned i = 0; i < iface->naddrs; i++)
        if (iface->addrs[i].state == NST_ADDR_VALID &&
            nst_addr_eq(&iface->addrs[i].prefix.addr, addr))
            return true;
    return false;
}

bool nst_iface_addr_is_broadcast(const struct nst_iface *iface, const struct nst_addr *addr)
{
    if (nst_addr_is_limited_broadcast(addr))
        return true;
    for (unsigned i = 0; i < iface->naddrs; i++)
        if (nst_addr_is_subnet_broadcast(addr, &iface->addrs[i].prefix))
            return true;
    return false;
}

bool nst_iface_addr_is_onlink(const struct nst_iface *iface, const struct nst_addr *addr)
{
    for (unsigned i = 0; i < iface->naddrs; i++)
        if (nst_prefix_has(&iface->addrs[i].prefix, addr))
            return true;
    return false;
}
