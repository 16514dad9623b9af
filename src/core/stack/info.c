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
