/* The routing table: longest prefix first, then lowest metric; a route whose gateway is known not
 * to answer gives way to the next (1122-114, 1122-120, 1122-125) as long as there is one.
 *
 * Hosts have few routes, so the table is one sorted list; its length is bounded. */
#ifndef NST_IP_ROUTE_H
#define NST_IP_ROUTE_H

#include "core/link/neigh.h"

struct nst_route_entry {
    struct nst_list node;
    struct nst_timer timer; /* learnt from a redirect: when it ends */
    struct nst_route route;
    struct nst_iface *iface;
};

struct nst_route_table {
    struct nst_env *env;
    struct nst_neigh_table *neighbours;
    uint32_t max, count, redirects;
    struct nst_list entries; /* longest prefix first, then lowest metric */
};

/* Where a packet goes next. */
struct nst_hop {
    struct nst_iface *iface;
    struct nst_addr addr; /* of the neighbour */
};

void nst_route_init(struct nst_route_table *table, struct nst_env *env,
                    struct nst_neigh_table *neighbours, uint32_t max);
void nst_route_fini(struct nst_route_table *table);

/* -EEXIST, -ENOSPC, -ENOMEM. `iface` is the route's link (1122-115, 1122-126). */
int nst_route_insert(struct nst_route_table *table, const struct nst_route *route,
                     struct nst_iface *iface);

/* Removes the route with this destination, gateway, link and origin. -ENOENT. */
int nst_route_remove(struct nst_route_table *table, const struct nst_route *route);

/* The next hop for `dst`, over `link` if that is not 0. False without a route. */
bool nst_route_lookup(struct nst_route_table *table, const struct nst_addr *dst, nst_link link,
                      struct nst_hop *out);

/* A redirect (RFC 1122 §3.2.2.2; 1122-68, 1122-70) from `from`, heard on `iface`, for packets to
 * `dst`. Believed only when `from` is the gateway in use for `dst` and the new one is a neighbour
 * on the same link. Drops: icmp_redirect. */
enum nst_drop nst_route_redirect(struct nst_route_table *table, struct nst_iface *iface,
                                 const struct nst_addr *from, const struct nst_addr *dst,
                                 const struct nst_addr *gateway);

/* The entry's timer has fired. */
void nst_route_timeout(struct nst_route_table *table, struct nst_route_entry *entry);

#endif
