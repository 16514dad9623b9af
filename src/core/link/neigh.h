/* The neighbour cache: which MAC address a neighbour has, and whether it still answers.
 *
 * States and rules are those of neighbour unreachability detection (RFC 4861 §7.3), for IPv4 as for
 * IPv6. An entry begins INCOMPLETE, with the packets that wait for it; an answer makes it REACHABLE
 * for some 30 s, then STALE; the next packet for a stale neighbour starts a DELAY of 5 s in which
 * something may confirm it, then it is asked up to three times, unicast (PROBE). Who doesn't answer
 * is FAILED: the packets go to the list `failed`, for stack/ to tell their senders, and the routes
 * prefer another gateway while there is one.
 *
 * The cache asks nobody itself: entries that want a solicitation stand on the list `solicit`, for
 * stack/ to send ARP or (later) neighbour solicitations.
 *
 * Bounds: `max` entries. A new neighbour takes the place of the least recently used one that has
 * never answered; if there is none, of one that has but is stale. So a flood of names, whether
 * asked for here or claimed there, displaces others of its kind, and a neighbour that does answer
 * is not forgotten for one that is still to be asked. Permanent entries always stay. */
#ifndef NST_LINK_NEIGH_H
#define NST_LINK_NEIGH_H

#include "core/link/iface.h"

struct nst_neigh {
    struct nst_list bucket, lru;
    struct nst_list solicit; /* on the table's list while a solicitation is wanted */
    struct nst_timer timer;
    struct nst_iface *iface;
    struct nst_addr addr;
    struct nst_mac mac;
    enum nst_neigh_state state;
    uint8_t probes;        /* solicitations since the state began */
    nst_time confirmed;    /* reachability, last; 0 never since the last failure */
    nst_time reachable_ns; /* so long after `confirmed` it stays REACHABLE */
    struct nst_list queue;
    uint32_t queued;
};

/* What an entry is worth when the cache is full, in ascending order. */
enum nst_neigh_rank {
    NST_NEIGH_RUMOURED,  /* never answered, or not since it failed */
    NST_NEIGH_CONFIRMED, /* did answer */
    NST_NEIGH_FIXED,     /* permanent: the owner's word */
    NST_NEIGH_RANKS
};

struct nst_neigh_table {
    struct nst_env *env;
    struct nst_siphash_key key;
    uint32_t max, max_queue;
    uint32_t count;
    size_t mask; /* number of buckets − 1 */
    struct nst_list *buckets;
    struct nst_list lru[NST_NEIGH_RANKS]; /* all entries, the oldest use first */
    struct nst_list solicit;              /* of struct nst_neigh: to be asked now */
    struct nst_list failed;               /* of struct nst_pkt: could not be delivered */
};

/* -ENOMEM. */
int nst_neigh_init(struct nst_neigh_table *table, struct nst_env *env, uint32_t max,
                   uint32_t max_queue);
void nst_neigh_fini(struct nst_neigh_table *table);

/* The entry, or NULL. */
struct nst_neigh *nst_neigh_find(const struct nst_neigh_table *table, const struct nst_iface *iface,
                                 const struct nst_addr *addr);

/* The same, or a new one that nothing is known of; NULL when there is no room for it. Where an
 * entry ends, nst_env_reroute() says so. */
struct nst_neigh *nst_neigh_obtain(struct nst_neigh_table *table, struct nst_iface *iface,
                                   const struct nst_addr *addr);

/* Sends a network-layer packet to a neighbour (NULL: there was no room for it), at once or when it
 * has answered. Drops: neigh_full, neigh_queue (the packet that waited longest), no_memory, and
 * those of the interface. */
void nst_neigh_output_take(struct nst_neigh_table *table, struct nst_neigh *neigh,
                           struct nst_pkt *pkt);

/* What was heard from a neighbour. */
enum nst_neigh_news {
    NST_NEIGH_ANSWER,  /* it answered, to us: reachable if it had been asked */
    NST_NEIGH_REQUEST, /* it asked for us: known from now on, but not confirmed */
    NST_NEIGH_RUMOUR,  /* it spoke to others: only changes what is known already */
};

/* Drops: arp_other (no entry to change and none made), arp_locked (a different MAC address within a
 * second of the confirmation), neigh_full. */
enum nst_drop nst_neigh_input(struct nst_neigh_table *table, struct nst_iface *iface,
                              const struct nst_addr *addr, const struct nst_mac *mac,
                              enum nst_neigh_news news);

/* An upper layer's word that the neighbour received what was sent (RFC 4861 §7.3.1). Costs next to
 * nothing for one that is REACHABLE: its timer goes on from there when it fires. */
void nst_neigh_confirm(struct nst_neigh_table *table, struct nst_neigh *neigh);

/* The opposite: it is asked at once. */
void nst_neigh_doubt(struct nst_neigh_table *table, struct nst_neigh *neigh);

/* The entry's timer has fired. */
void nst_neigh_timeout(struct nst_neigh_table *table, struct nst_neigh *neigh);

/* -ENOSPC, -ENOMEM; -ENOENT. */
int nst_neigh_table_set(struct nst_neigh_table *table, struct nst_iface *iface,
                        const struct nst_addr *addr, const struct nst_mac *mac);
int nst_neigh_table_del(struct nst_neigh_table *table, struct nst_iface *iface,
                        const struct nst_addr *addr);

/* Aborts if the cache contradicts itself. */
void nst_neigh_check(const struct nst_neigh_table *table);

#endif
