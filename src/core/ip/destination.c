/* Where packets go: what is this host's, what is a group's, and the way to everybody else.
 *
 * The way to an address depends on links, addresses, routes and on which gateways answer. All of
 * that changes seldom and is asked several times for each packet, so what was found out is kept in
 * a Destination Cache (RFC 4861 §5.1), with the neighbour who is next on the way. An entry holds as
 * long as env->reroutes is what it was: whoever changes anything of the above counts that up, and
 * nobody has to know what it concerns. The cache is small and has one place for an address. Who
 * makes addresses share a place makes them be found out each time, as if there were no cache. */
#include <assert.h>
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/ip/ip.h"

bool nst_ip_is_ours(const struct nst_ip *ip, const struct nst_addr *addr)
{
    if (nst_addr_is_loopback(addr))
        return true;
    for (unsigned i = 0; i < ip->ifaces->n; i++)
        if (nst_iface_addr_is_ours(ip->ifaces->list[i], addr))
            return true;
    return false;
}

bool nst_ip_is_group(const struct nst_ip *ip, const struct nst_addr *addr)
{
    if (nst_addr_is_multicast(addr))
        return true;
    for (unsigned i = 0; i < ip->ifaces->n; i++)
        if (nst_iface_addr_is_broadcast(ip->ifaces->list[i], addr))
            return true;
    return nst_addr_is_limited_broadcast(addr);
}

/* The interface's valid address in the network of `hop`, else its first valid one. */
static const struct nst_addr *source_on(const struct nst_iface *iface, const struct nst_addr *hop)
{
    const struct nst_addr *first = NULL;

    for (unsigned i = 0; i < iface->naddrs; i++) {
        const struct nst_ifaddr *a = &iface->addrs[i];
        if (a->state != NST_ADDR_VALID || a->prefix.addr.family != hop->family)
            continue;
        if (nst_prefix_has(&a->prefix, hop))
            return &a->prefix.addr;
        if (!first)
            first = &a->prefix.addr;
    }
    return first;
}

/* The next hop. A group is its own next hop, on the interface asked for or the one that leads
 * furthest: that of the default route, or the first that is up. */
static bool find_hop(struct nst_ip *ip, const struct nst_addr *dst, nst_link link, bool group,
                     struct nst_hop *out)
{
    bool found = nst_route_lookup(&ip->routes, dst, link, out);

    if (!group)
        return found;
    if (!found || nst_addr_is_limited_broadcast(dst)) {
        out->iface = nst_iface_of(ip->ifaces, link);
        for (unsigned i = 0; !link && i < ip->ifaces->n && !out->iface; i++)
            if (ip->ifaces->list[i]->up)
                out->iface = ip->ifaces->list[i];
    }
    out->addr = *dst;
    return out->iface != NULL;
}

/* As nst_ip_path(), without a look into the cache. */
static int find_path(struct nst_ip *ip, const struct nst_addr *dst, nst_link link,
                     struct nst_path *out)
{
    const struct nst_addr *src;

    *out = (struct nst_path){.ours = nst_ip_is_ours(ip, dst),
                             .group = nst_ip_is_group(ip, dst),
                             .mtu = NST_IPV4_LEN_MAX};
    if (out->ours) {
        out->src = *dst;
        return 0;
    }
    bool possible = out->group || nst_addr_is_host(dst);
    if (!possible || !find_hop(ip, dst, link, out->group, &out->hop))
        return -ENETUNREACH;
    out->mtu = out->hop.iface->config.mtu; /* 1122-133 */
    if (!(src = source_on(out->hop.iface, &out->hop.addr)))
        return -EADDRNOTAVAIL;
    out->src = *src;
    return 0;
}

/* ---- The cache --------------------------------------------------------------------------- */

static struct nst_destination *place_of(struct nst_ip *ip, const struct nst_addr *dst)
{
    uint32_t word = nst_load32(dst->bytes) ^ nst_load32(dst->bytes + 4) ^
                    nst_load32(dst->bytes + 8) ^ nst_load32(dst->bytes + 12);

    return &ip->destinations[(word * 0x9e3779b1u) >> (32 - NST_DESTINATIONS_BITS)];
}

struct nst_destination *nst_destination_of(struct nst_ip *ip, const struct nst_addr *dst,
                                           nst_link link)
{
    struct nst_destination *d = place_of(ip, dst);

    if (d->reroutes == ip->env->reroutes && d->link == link && nst_addr_eq(&d->addr, dst))
        return d;
    *d = (struct nst_destination){.addr = *dst, .link = link};
    d->err = find_path(ip, dst, link, &d->path);
    d->reroutes = ip->env->reroutes; /* behind it, since it may forget a redirect */
    return d;
}

struct nst_neigh *nst_destination_neigh(struct nst_ip *ip, struct nst_destination *to)
{
    if (!to->neigh)
        to->neigh = nst_neigh_obtain(ip->neighbours, to->path.hop.iface, &to->path.hop.addr);
    return to->neigh;
}

int nst_ip_path(struct nst_ip *ip, const struct nst_addr *dst, nst_link link, struct nst_path *out)
{
    const struct nst_destination *to = nst_destination_of(ip, dst, link);

    *out = to->path;
    return to->err;
}

/* The neighbour through which packets to `dst` go, if it is known. */
static struct nst_neigh *next_hop(struct nst_ip *ip, const struct nst_addr *dst)
{
    struct nst_destination *to = nst_destination_of(ip, dst, 0);
    const struct nst_hop *hop = &to->path.hop;

    if (to->err || to->path.ours || to->path.group ||
        hop->iface->config.medium != NST_MEDIUM_ETHERNET)
        return NULL;
    if (!to->neigh)
        to->neigh = nst_neigh_find(ip->neighbours, hop->iface, &hop->addr);
    return to->neigh;
}

void nst_ip_confirm(struct nst_ip *ip, const struct nst_addr *dst)
{
    struct nst_neigh *n = next_hop(ip, dst);

    if (n)
        nst_neigh_confirm(ip->neighbours, n);
}

void nst_ip_doubt(struct nst_ip *ip, const struct nst_addr *dst)
{
    struct nst_neigh *n = next_hop(ip, dst);

    if (n)
        nst_neigh_doubt(ip->neighbours, n);
}

static bool same_path(const struct nst_path *a, const struct nst_path *b)
{
    return a->ours == b->ours && a->group == b->group && a->mtu == b->mtu &&
           a->hop.iface == b->hop.iface && nst_addr_eq(&a->hop.addr, &b->hop.addr) &&
           nst_addr_eq(&a->src, &b->src);
}

void nst_destinations_check(const struct nst_ip *ip)
{
    /* To find again what was found changes nothing: dead redirects on the way are gone. */
    struct nst_ip *again = (struct nst_ip *)(uintptr_t)ip;

    for (unsigned i = 0; i < NST_ARRAY_LEN(ip->destinations); i++) {
        const struct nst_destination *d = &ip->destinations[i];
        struct nst_path path;
        if (d->reroutes != ip->env->reroutes || !nst_addr_is_set(&d->addr))
            continue;
        assert(find_path(again, &d->addr, d->link, &path) == d->err);
        assert(same_path(&path, &d->path));
        assert(!d->neigh ||
               d->neigh == nst_neigh_find(ip->neighbours, path.hop.iface, &path.hop.addr));
    }
}
