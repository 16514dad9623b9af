/* What can be seen of a stack from outside. */
#include "core/base/bytes.h"
#include "core/stack/stack.h"

size_t nst_link_list(const struct nst_stack *stack, struct nst_link_info *out, size_t max)
{
    for (unsigned i = 0; i < stack->ifaces.n && i < max; i++) {
        const struct nst_iface *f = stack->ifaces.list[i];
        out[i] = (struct nst_link_info){.link = f->link,
                                        .config = f->config,
                                        .rx_pkts = f->rx_pkts,
                                        .rx_bytes = f->rx_bytes,
                                        .tx_pkts = f->tx_pkts,
                                        .tx_bytes = f->tx_bytes,
                                        .rx_drops = f->rx_drops,
                                        .tx_drops = f->tx_drops};
        out[i].config.down = !f->up;
    }
    return stack->ifaces.n;
}

size_t nst_addr_list(const struct nst_stack *stack, struct nst_addr_info *out, size_t max)
{
    size_t n = 0;

    for (unsigned l = 0; l < stack->ifaces.n; l++) {
        const struct nst_iface *iface = stack->ifaces.list[l];
        for (unsigned i = 0; i < iface->naddrs; i++, n++) {
            const struct nst_ifaddr *a = &iface->addrs[i];
            if (n < max)
                out[n] = (struct nst_addr_info){iface->link, a->prefix, a->acd, a->state};
        }
    }
    return n;
}

size_t nst_route_list(const struct nst_stack *stack, struct nst_route *out, size_t max)
{
    size_t n = 0;

    NST_LIST_FOREACH (e, &stack->ip.routes.entries) {
        if (n < max)
            out[n] = NST_CONTAINER(e, struct nst_route_entry, node)->route;
        n++;
    }
    return n;
}

static struct nst_neigh_info neigh_info(const struct nst_neigh *n)
{
    return (struct nst_neigh_info){.link = n->iface->link,
                                   .addr = n->addr,
                                   .mac = n->mac,
                                   .state = n->state,
                                   .confirmed = n->confirmed};
}

size_t nst_neigh_list(const struct nst_stack *stack, struct nst_neigh_info *out, size_t max)
{
    size_t n = 0;

    for (unsigned rank = NST_NEIGH_RANKS; rank-- > 0;) {
        NST_LIST_FOREACH (e, &stack->neighbours.lru[rank]) {
            if (n < max)
                out[n] = neigh_info(NST_CONTAINER(e, struct nst_neigh, lru));
            n++;
        }
    }
    return n;
}

static struct nst_metrics_info metrics_info(const struct nst_tcps *tcps,
                                            const struct nst_tcp_metrics *m)
{
    struct nst_metrics_info info = {.local = m->local,
                                    .peer = m->peer,
                                    .cookie = m->cookie.len > 0,
                                    .mss = m->mss,
                                    .failures = m->failures};

    if (nst_metrics_is_fresh(tcps, m)) {
        info.measured = m->measured;
        info.srtt = m->srtt_us * NST_US;
        info.rttvar = m->rttvar_us * NST_US;
        info.ssthresh = m->ssthresh;
        info.mtu = m->mtu;
        info.reordered = m->reordered;
    }
    return info;
}

size_t nst_metrics_list(const struct nst_stack *stack, struct nst_metrics_info *out, size_t max)
{
    const struct nst_tcp_metrics *m;
    size_t at = 0, n = 0;

    for (; (m = nst_metrics_next(&stack->tcps, &at)); n++)
        if (n < max)
            out[n] = metrics_info(&stack->tcps, m);
    return n;
}

uint64_t nst_drops(const struct nst_stack *stack, uint16_t drop)
{
    return drop > 0 && drop < NST_DROP_COUNT ? stack->env.drops[drop] : 0;
}

bool nst_stat(const struct nst_stack *stack, size_t index, const char **name, uint64_t *value)
{
    static const char *const names[] = {
#define NST_STAT_NAME(symbol, text) text,
        NST_STATS(NST_STAT_NAME)
#undef NST_STAT_NAME
    };

    if (index >= NST_STAT_COUNT)
        return false;
    *name = names[index];
    *value = stack->env.stats[index];
    return true;
}

void nst_memory(const struct nst_stack *stack, size_t *used_bytes, size_t *budget_bytes)
{
    *used_bytes = stack->pool.used_bytes;
    *budget_bytes = stack->pool.budget_bytes;
}

struct nst_pkt *nst_pkt_alloc(struct nst_stack *stack, size_t len)
{
    return nst_pkt_new(&stack->pool, 0, len);
}
