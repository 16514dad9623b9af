#include "core/stack/stack.h"

#include <assert.h>
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/acd.h"

#define DEFAULT(field, value)  \
    do {                       \
        if ((field) == 0)      \
            (field) = (value); \
    } while (0)

static struct nst_limits limits_of(const struct nst_config *config)
{
    struct nst_limits l = config->limits;

    DEFAULT(l.memory_bytes, (size_t)64 << 20);
    DEFAULT(l.fragment_bytes, (size_t)4 << 20);
    l.fragment_bytes = nst_min(l.fragment_bytes, l.memory_bytes / 2);
    DEFAULT(l.fragments, 128);
    DEFAULT(l.neighbours, 1024);
    DEFAULT(l.neighbour_pkts, 3);
    DEFAULT(l.routes, 256);
    DEFAULT(l.sockets, 65536);
    DEFAULT(l.link_pkts, 1000);
    DEFAULT(l.icmp_per_sec, 1000);
    DEFAULT(l.icmp_burst, 50);
    l.icmp_per_sec = (uint32_t)nst_min(l.icmp_per_sec, NST_SEC); /* one each nanosecond */
    return l;
}

/* A time of 0 stands for none, in all layers: a clock that begins there is ahead by a nanosecond.
 */
static void env_init(struct nst_env *env, const struct nst_config *config)
{
    env->now = nst_max(config->now, 1);
    env->allocator = config->allocator;
    env->trace = config->trace;
    env->trace_ctx = config->trace_ctx;
    memcpy(env->seed, config->seed, sizeof env->seed);
    nst_prng_init(&env->prng, config->seed, "general");
    nst_wheel_init(&env->wheel, env->now);
}

static int layers_init(struct nst_stack *stack, const struct nst_config *config)
{
    struct nst_env *env = &stack->env;
    const struct nst_limits *l = &stack->limits;
    int err = nst_neigh_init(&stack->neighbours, env, l->neighbours, l->neighbour_pkts);

    if (err)
        return err;
    nst_pool_init(&stack->pool, env, l->memory_bytes);
    nst_ip_init(&stack->ip, env, &stack->ifaces, &stack->neighbours, l, config->ttl);
    nst_icmp_init(&stack->icmp, &stack->ip, l, config->flags);
    nst_igmp_init(&stack->igmp, &stack->ip);
    nst_socks_init(&stack->socks, &stack->pool, &stack->ip, &stack->igmp, &stack->tcps, l->sockets);
    for (unsigned i = 0; i < NST_IFACES_MAX; i++)
        nst_list_init(&stack->ready[i]);
    nst_list_init(&stack->strays);
    return nst_tcp_init(&stack->tcps, &stack->pool, &stack->ip, 0);
}

static bool spread_is_sound(const struct nst_spread *s)
{
    return s->index < s->count && s->count < NST_SPREAD_ALL;
}

int nst_stack_new(struct nst_stack **out, const struct nst_config *config)
{
    const struct nst_allocator *a = &config->allocator;
    struct nst_stack *stack;

    if (!a->alloc || !a->free || (config->spread.count && !spread_is_sound(&config->spread)))
        return -EINVAL;
    if (!(stack = a->alloc(a->ctx, sizeof *stack)))
        return -ENOMEM;
    memset(stack, 0, sizeof *stack);
    env_init(&stack->env, config);
    stack->limits = limits_of(config);
    int err = layers_init(stack, config);
    stack->tcps.spread = nst_tcp_spread(&config->spread);
    if (err) {
        nst_neigh_fini(&stack->neighbours);
        a->free(a->ctx, stack, sizeof *stack);
        return err;
    }
    *out = stack;
    return 0;
}

void nst_stack_free(struct nst_stack *stack)
{
    struct nst_allocator a;

    if (!stack)
        return;
    stack->env.trace = NULL;
    nst_pkt_free_all(&stack->strays);
    nst_socks_fini(&stack->socks);
    nst_tcp_fini(&stack->tcps);
    nst_ip_fini(&stack->ip);
    nst_neigh_fini(&stack->neighbours);
    for (unsigned i = 0; i < stack->ifaces.n; i++) {
        nst_pkt_free_all(&stack->ready[i]);
        nst_iface_fini(stack->ifaces.list[i]);
        nst_env_free(&stack->env, stack->ifaces.list[i], sizeof *stack->ifaces.list[i]);
    }
    nst_pool_fini(&stack->pool);
    a = stack->env.allocator;
    a.free(a.ctx, stack, sizeof *stack);
}

/* ---- Links --------------------------------------------------------------------------------- */

static bool config_is_sound(const struct nst_link_config *c)
{
    const char *end = memchr(c->name, '\0', sizeof c->name);

    if (!end || end == c->name || c->mtu < NST_IPV4_MTU_MIN || c->mtu > NST_IPV4_LEN_MAX)
        return false;
    return c->medium == NST_MEDIUM_IP || (c->medium == NST_MEDIUM_ETHERNET &&
                                          !nst_mac_is_group(&c->mac) && !nst_mac_is_zero(&c->mac));
}

int nst_link_add(struct nst_stack *stack, nst_link *out, const struct nst_link_config *config)
{
    struct nst_ifaces *ifaces = &stack->ifaces;
    struct nst_iface *iface;

    if (!config_is_sound(config))
        return -EINVAL;
    for (unsigned i = 0; i < ifaces->n; i++)
        if (strcmp(ifaces->list[i]->config.name, config->name) == 0)
            return -EEXIST;
    if (ifaces->n == NST_IFACES_MAX)
        return -ENOSPC;
    if (!(iface = nst_env_alloc(&stack->env, sizeof *iface)))
        return -ENOMEM;
    *out = ifaces->n + 1;
    nst_iface_init(iface, &stack->pool, *out, config, stack->limits.link_pkts);
    ifaces->list[ifaces->n++] = iface;
    nst_igmp_link_init(&stack->igmp, iface);
    return 0;
}

int nst_link_set_mtu(struct nst_stack *stack, nst_link link, uint32_t mtu)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);

    if (!iface)
        return -ENODEV;
    if (mtu < NST_IPV4_MTU_MIN || mtu > NST_IPV4_LEN_MAX)
        return -EINVAL;
    iface->config.mtu = mtu;
    return 0;
}

int nst_link_set_carrier(struct nst_stack *stack, nst_link link, bool up)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);

    if (!iface)
        return -ENODEV;
    if (iface->up == up)
        return 0;
    iface->up = up;
    for (unsigned i = 0; i < iface->naddrs; i++)
        nst_acd_carrier(&iface->addrs[i]);
    nst_igmp_carrier(&stack->igmp, iface);
    if (up)
        nst_tcp_carrier_up(&stack->tcps, link);
    return 0;
}

/* ---- Addresses ----------------------------------------------------------------------------- */

static struct nst_route connected_route(nst_link link, const struct nst_prefix *prefix)
{
    return (struct nst_route){
        .dst = nst_prefix_network(prefix), .link = link, .origin = NST_ROUTE_CONNECTED};
}

/* Whether another address of the interface lies in the same network, which keeps its route. */
static bool network_is_shared(const struct nst_iface *iface, const struct nst_ifaddr *except)
{
    struct nst_prefix network = nst_prefix_network(&except->prefix);

    for (unsigned i = 0; i < iface->naddrs; i++) {
        const struct nst_ifaddr *a = &iface->addrs[i];
        struct nst_prefix other = nst_prefix_network(&a->prefix);
        if (a != except && other.len == network.len && nst_addr_eq(&other.addr, &network.addr))
            return true;
    }
    return false;
}

static bool prefix_is_sound(const struct nst_prefix *p)
{
    return p->addr.family == NST_AF_INET && p->len >= 1 && p->len <= 32 &&
           nst_addr_is_host(&p->addr) && !nst_addr_is_subnet_broadcast(&p->addr, p);
}

int nst_addr_add(struct nst_stack *stack, nst_link link, const struct nst_prefix *prefix,
                 enum nst_acd acd)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);
    struct nst_route route = connected_route(link, prefix);
    struct nst_ifaddr *a;
    int err;

    if (!iface)
        return -ENODEV;
    if (!prefix_is_sound(prefix) || acd > NST_ACD_PROBE)
        return -EINVAL;
    if (nst_ip_is_ours(&stack->ip, &prefix->addr) || nst_iface_addr_find(iface, &prefix->addr))
        return -EEXIST;
    if (iface->naddrs == NST_IFACE_ADDRS)
        return -ENOSPC;
    err = nst_route_insert(&stack->ip.routes, &route, iface);
    if (err && err != -EEXIST)
        return err;
    a = &iface->addrs[iface->naddrs++];
    *a = (struct nst_ifaddr){.prefix = *prefix, .acd = acd, .iface = iface};
    nst_timer_init(&a->timer, NST_TIMER_ACD);
    nst_acd_start(a);
    return 0;
}

int nst_addr_del(struct nst_stack *stack, nst_link link, const struct nst_addr *addr)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);
    struct nst_ifaddr *a = iface ? nst_iface_addr_find(iface, addr) : NULL;

    if (!iface)
        return -ENODEV;
    if (!a)
        return -EADDRNOTAVAIL;
    if (!network_is_shared(iface, a)) {
        struct nst_route route = connected_route(link, &a->prefix);
        nst_route_remove(&stack->ip.routes, &route);
    }
    nst_iface_addr_remove(iface, a);
    return 0;
}

/* ---- Routes and neighbours ----------------------------------------------------------------- */

/* A neighbour on the link that is not this host itself. */
static int check_gateway(const struct nst_stack *stack, struct nst_iface *iface,
                         const struct nst_addr *gateway)
{
    if (!nst_addr_is_set(gateway))
        return 0;
    if (!nst_iface_addr_is_onlink(iface, gateway))
        return -ENETUNREACH;
    bool possible = !nst_iface_addr_is_broadcast(iface, gateway) &&
                    !nst_iface_addr_find(iface, gateway) && !nst_ip_is_ours(&stack->ip, gateway);
    return possible ? 0 : -EINVAL;
}

int nst_route_add(struct nst_stack *stack, const struct nst_route *route)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, route->link);
    struct nst_route r = *route;

    if (!iface)
        return -ENODEV;
    if (r.dst.addr.family != NST_AF_INET || r.dst.len > 32)
        return -EINVAL;
    r.dst = nst_prefix_network(&r.dst);
    r.origin = NST_ROUTE_STATIC;
    int err = check_gateway(stack, iface, &r.gateway);
    return err ? err : nst_route_insert(&stack->ip.routes, &r, iface);
}

int nst_route_del(struct nst_stack *stack, const struct nst_route *route)
{
    struct nst_route r = *route;

    r.dst = nst_prefix_network(&r.dst);
    if (r.origin != NST_ROUTE_REDIRECT)
        r.origin = NST_ROUTE_STATIC;
    return nst_route_remove(&stack->ip.routes, &r);
}

int nst_neigh_set(struct nst_stack *stack, nst_link link, const struct nst_addr *addr,
                  const struct nst_mac *mac)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);

    if (!iface || iface->config.medium != NST_MEDIUM_ETHERNET)
        return -ENODEV;
    if (!nst_addr_is_host(addr) || nst_mac_is_group(mac) || nst_mac_is_zero(mac))
        return -EINVAL;
    return nst_neigh_table_set(&stack->neighbours, iface, addr, mac);
}

int nst_neigh_del(struct nst_stack *stack, nst_link link, const struct nst_addr *addr)
{
    struct nst_iface *iface = nst_iface_of(&stack->ifaces, link);

    return iface ? nst_neigh_table_del(&stack->neighbours, iface, addr) : -ENODEV;
}

static uint32_t pkts_check(const struct nst_list *list)
{
    uint32_t n = 0;

    NST_LIST_FOREACH (e, list) {
        nst_pkt_check(NST_CONTAINER(e, struct nst_pkt, node));
        n++;
    }
    return n;
}

void nst_stack_check(const struct nst_stack *stack)
{
    for (unsigned i = 0; i < stack->ifaces.n; i++) {
        const struct nst_iface *iface = stack->ifaces.list[i];
        assert(pkts_check(&iface->txq) == iface->txq_pkts && iface->txq_pkts <= iface->txq_max);
        assert(iface->naddrs <= NST_IFACE_ADDRS);
        nst_groups_check(iface);
        pkts_check(&stack->ready[i]);
    }
    assert(pkts_check(&stack->ip.loop) == stack->ip.looped);
    assert(stack->ip.routes.count <= stack->ip.routes.max);
    nst_wheel_check(&stack->env.wheel);
    nst_neigh_check(&stack->neighbours);
    nst_reassembly_check(&stack->ip.reassembly);
    nst_socks_check(&stack->socks);
    nst_tcp_check(&stack->tcps);
    assert(stack->pool.used_bytes <= stack->pool.budget_bytes);
}
