#include "core/ip/route.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define REDIRECT_KEPT (600 * NST_SEC)
#define REDIRECTS_MAX 64

void nst_route_init(struct nst_route_table *table, struct nst_env *env,
                    struct nst_neigh_table *neighbours, uint32_t max)
{
    *table = (struct nst_route_table){.env = env, .neighbours = neighbours, .max = max};
    nst_list_init(&table->entries);
}

static struct nst_route_entry *entry_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_route_entry, node);
}

static void entry_free(struct nst_route_table *table, struct nst_route_entry *entry)
{
    nst_env_reroute(table->env);
    if (entry->route.origin == NST_ROUTE_REDIRECT)
        table->redirects--;
    nst_timer_cancel(&table->env->wheel, &entry->timer);
    nst_list_del(&entry->node);
    table->count--;
    nst_env_free(table->env, entry, sizeof *entry);
}

void nst_route_fini(struct nst_route_table *table)
{
    while (!nst_list_empty(&table->entries))
        entry_free(table, entry_of(table->entries.next));
}

static bool same(const struct nst_route *a, const struct nst_route *b)
{
    return a->dst.len == b->dst.len && nst_addr_eq(&a->dst.addr, &b->dst.addr) &&
           nst_addr_eq(&a->gateway, &b->gateway) && a->link == b->link && a->origin == b->origin;
}

static struct nst_route_entry *find(struct nst_route_table *table, const struct nst_route *route)
{
    NST_LIST_FOREACH (e, &table->entries)
        if (same(&entry_of(e)->route, route))
            return entry_of(e);
    return NULL;
}

/* 1122-113: the default route is the shortest prefix. */
static bool goes_before(const struct nst_route *a, const struct nst_route *b)
{
    return a->dst.len != b->dst.len ? a->dst.len > b->dst.len : a->metric < b->metric;
}

int nst_route_insert(struct nst_route_table *table, const struct nst_route *route,
                     struct nst_iface *iface)
{
    struct nst_list *at = &table->entries;
    struct nst_route_entry *entry;

    if (find(table, route))
        return -EEXIST;
    if (table->count >= table->max)
        return -ENOSPC;
    if (!(entry = nst_env_alloc(table->env, sizeof *entry)))
        return -ENOMEM;
    entry->route = *route;
    entry->iface = iface;
    nst_timer_init(&entry->timer, NST_TIMER_ROUTE);
    NST_LIST_FOREACH (e, &table->entries) {
        if (goes_before(route, &entry_of(e)->route)) {
            at = e;
            break;
        }
    }
    nst_list_insert_before(at, &entry->node);
    table->count++;
    nst_env_reroute(table->env);
    return 0;
}

int nst_route_remove(struct nst_route_table *table, const struct nst_route *route)
{
    struct nst_route_entry *entry = find(table, route);

    if (!entry)
        return -ENOENT;
    entry_free(table, entry);
    return 0;
}

/* A neighbour, or behind a gateway? (1122-109, 1122-110) */
static struct nst_hop hop_of(const struct nst_route_entry *entry, const struct nst_addr *dst)
{
    bool direct = !nst_addr_is_set(&entry->route.gateway);

    return (struct nst_hop){entry->iface, direct ? *dst : entry->route.gateway};
}

static bool usable(const struct nst_route_table *table, const struct nst_route_entry *entry)
{
    const struct nst_neigh *n;

    if (!entry->iface->up) /* the layer below gives advice (1122-124) */
        return false;
    if (!nst_addr_is_set(&entry->route.gateway))
        return true;
    n = nst_neigh_find(table->neighbours, entry->iface, &entry->route.gateway);
    return !n || n->state != NST_NEIGH_FAILED;
}

/* The best usable entry for `dst`; the best of any, if none of its prefix length is usable. A
 * redirect whose gateway has died is forgotten, so that it cannot hide the gateway it came from. */
static struct nst_route_entry *lookup(struct nst_route_table *table, const struct nst_addr *dst,
                                      nst_link link)
{
    struct nst_route_entry *best = NULL;

    NST_LIST_FOREACH_SAFE (e, &table->entries) {
        struct nst_route_entry *entry = entry_of(e);
        if (best && entry->route.dst.len < best->route.dst.len)
            break;
        if ((link && link != entry->route.link) || !nst_prefix_has(&entry->route.dst, dst))
            continue;
        if (usable(table, entry))
            return entry;
        if (entry->route.origin == NST_ROUTE_REDIRECT)
            entry_free(table, entry);
        else if (!best)
            best = entry;
    }
    return best;
}

bool nst_route_lookup(struct nst_route_table *table, const struct nst_addr *dst, nst_link link,
                      struct nst_hop *out)
{
    const struct nst_route_entry *entry = lookup(table, dst, link);

    if (entry)
        *out = hop_of(entry, dst);
    return entry != NULL;
}

/* Forgets what another redirect said of this host. */
static void forget_redirect(struct nst_route_table *table, const struct nst_prefix *host)
{
    NST_LIST_FOREACH_SAFE (e, &table->entries) {
        struct nst_route_entry *entry = entry_of(e);
        if (entry->route.origin == NST_ROUTE_REDIRECT && entry->route.dst.len == host->len &&
            nst_addr_eq(&entry->route.dst.addr, &host->addr))
            entry_free(table, entry);
    }
}

/* What is learnt is remembered for the host (1122-111, 1122-112, 1122-117). */
enum nst_drop nst_route_redirect(struct nst_route_table *table, struct nst_iface *iface,
                                 const struct nst_addr *from, const struct nst_addr *dst,
                                 const struct nst_addr *gateway)
{
    struct nst_route route = {.dst = {*dst, (uint8_t)nst_addr_bits(dst->family)},
                              .gateway = *gateway,
                              .link = iface->link,
                              .origin = NST_ROUTE_REDIRECT};
    struct nst_hop hop;

    if (!nst_route_lookup(table, dst, 0, &hop) || hop.iface != iface ||
        !nst_addr_eq(&hop.addr, from) || nst_addr_eq(&hop.addr, dst) ||
        !nst_addr_is_host(gateway) || !nst_iface_addr_is_onlink(iface, gateway) ||
        nst_iface_addr_is_broadcast(iface, gateway) || nst_iface_addr_find(iface, gateway))
        return NST_DROP_icmp_redirect;
    forget_redirect(table, &route.dst);
    if (table->redirects >= REDIRECTS_MAX || nst_route_insert(table, &route, iface) != 0)
        return NST_DROP_icmp_redirect;
    struct nst_route_entry *entry = find(table, &route);
    nst_timer_arm(&table->env->wheel, &entry->timer, table->env->now + REDIRECT_KEPT);
    table->redirects++;
    NST_COUNT(table->env, icmp_redirects);
    return NST_DROP_NONE;
}

void nst_route_timeout(struct nst_route_table *table, struct nst_route_entry *entry)
{
    entry_free(table, entry);
}
