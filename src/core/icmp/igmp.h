/* IGMP, a host's part: tells the routers of a link which groups somebody here wants to hear
 * (1122-161; RFC 3376; RFC 2236 and RFC 1112 where an older querier is present). It stands beside
 * ICMP, as control traffic of the Internet layer that no socket sees.
 *
 * The groups themselves are the interface's (link/group.h); here is when to speak of them:
 *
 * - A change is reported at once, then again after random times of up to a second, as often as the
 *   querier's robustness variable says. All news of an interface goes into one report, at the end
 * of the batch of calls that made it, since a timer sends it.
 * - A query is answered at a random time within what it allows: a general one for all groups by a
 *   timer of the link, one about a group by the group's own timer. Never is more than one answer to
 *   each due, whatever comes in; a query that names more sources than are kept is answered as if it
 *   were about the whole group, which says no less.
 * - While a querier of version 1 or 2 has been heard of lately, each group is reported by itself,
 * and not when another host has just done so.
 *
 * What hosts report of source filters is RFC 5790's subset: see link/group.h. */
#ifndef NST_ICMP_IGMP_H
#define NST_ICMP_IGMP_H

#include "core/ip/ip.h"

struct nst_igmp_link {
    struct nst_iface *iface;
    nst_time v1_until, v2_until; /* a querier of that version counts as present */
    nst_time query_interval;     /* of the last querier that told it */
    uint8_t version;             /* in which we speak */
    struct nst_timer response;   /* to a general query, version 3 */
    struct nst_timer change;     /* the next report of news, version 3 */
};

struct nst_igmp {
    struct nst_env *env;
    struct nst_ip *ip;
    struct nst_igmp_link links[NST_IFACES_MAX];
};

void nst_igmp_init(struct nst_igmp *igmp, struct nst_ip *ip);

/* A new interface. */
void nst_igmp_link_init(struct nst_igmp *igmp, struct nst_iface *iface);

/* As nst_group_join() and nst_group_leave(), and tells the routers. A leave may free the group. */
int nst_igmp_join(struct nst_igmp *igmp, struct nst_iface *iface, const struct nst_addr *addr,
                  const struct nst_addr *source, struct nst_group **out);
void nst_igmp_leave(struct nst_igmp *igmp, struct nst_group *group, const struct nst_addr *source);

/* The carrier came or went. Who is at its other end now has heard nothing: all is told again. */
void nst_igmp_carrier(struct nst_igmp *igmp, struct nst_iface *iface);

/* Judges and acts on a message, which stands behind pkt->ip.hlen bytes of IP header; the packet
 * stays the caller's. Drops: igmp_short, igmp_checksum, igmp_query, igmp (nothing to be done). */
enum nst_drop nst_igmp_input(struct nst_igmp *igmp, struct nst_iface *iface,
                             const struct nst_pkt *pkt);

/* Timers have fired. */
void nst_igmp_response_timeout(struct nst_igmp *igmp, struct nst_igmp_link *link);
void nst_igmp_change_timeout(struct nst_igmp *igmp, struct nst_igmp_link *link);
void nst_igmp_group_timeout(struct nst_igmp *igmp, struct nst_group *group);

#endif
