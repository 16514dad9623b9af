/* An interface: what it can do, the addresses it bears, the groups heard on it, and the queue of
 * packets that wait for its device. The queue holds whole network-layer packets with their next
 * hop's MAC address; they become frames (fragmented, checksummed, with a link header) only when the
 * device has room for them. */
#ifndef NST_LINK_IFACE_H
#define NST_LINK_IFACE_H

#include "core/base/env.h"
#include "core/link/group.h"
#include "core/pkt/pkt.h"

#define NST_IFACE_ADDRS 16

/* One address of an interface with its prefix (1122-27), and where its conflict detection stands
 * (acd.c). */
struct nst_ifaddr {
    struct nst_prefix prefix;
    enum nst_acd acd;
    enum nst_addr_state state;
    struct nst_iface *iface;
    struct nst_timer timer;
    uint8_t probes_left, announcements_left;
    nst_time defended; /* when last; 0 never */
    bool contested;    /* by `contender`, and the owner was not told yet */
    struct nst_mac contender;
};

struct nst_iface {
    struct nst_env *env;
    struct nst_pool *pool;
    nst_link link;
    struct nst_link_config config;
    bool up;
    struct nst_list txq; /* of struct nst_pkt */
    uint32_t txq_pkts, txq_max;
    struct nst_ifaddr addrs[NST_IFACE_ADDRS];
    unsigned naddrs;
    struct nst_groups groups;
    uint64_t rx_pkts, rx_bytes, tx_pkts, tx_bytes, rx_drops, tx_drops;
};

#define NST_IFACES_MAX 16

/* All interfaces of a stack (1122-18); number n is the link n + 1. */
struct nst_ifaces {
    struct nst_iface *list[NST_IFACES_MAX];
    unsigned n;
};

/* NULL for a link that does not exist. */
static inline struct nst_iface *nst_iface_of(const struct nst_ifaces *ifaces, nst_link link)
{
    return link >= 1 && link <= ifaces->n ? ifaces->list[link - 1] : NULL;
}

void nst_iface_init(struct nst_iface *iface, struct nst_pool *pool, nst_link link,
                    const struct nst_link_config *config, uint32_t txq_max);

/* Silently frees what is queued and stops the timers. */
void nst_iface_fini(struct nst_iface *iface);

/* Queues a packet for the device. Drops: link_down, link_queue. */
void nst_iface_output_take(struct nst_iface *iface, struct nst_pkt *pkt);

/* The queue's first packet, now the caller's; NULL when it is empty. */
struct nst_pkt *nst_iface_pull(struct nst_iface *iface);

/* The entry of an address, in any state; NULL when the interface has it not. */
struct nst_ifaddr *nst_iface_addr_find(struct nst_iface *iface, const struct nst_addr *addr);

/* Takes away an address of the interface. */
void nst_iface_addr_remove(struct nst_iface *iface, struct nst_ifaddr *ifaddr);

/* Whether packets to `addr` are for this host: an address in the state VALID. */
bool nst_iface_addr_is_ours(const struct nst_iface *iface, const struct nst_addr *addr);

/* The limited broadcast address, or that of a network the interface is on (1122-156). */
bool nst_iface_addr_is_broadcast(const struct nst_iface *iface, const struct nst_addr *addr);

/* Whether `addr` lies in a network that the interface is on. */
bool nst_iface_addr_is_onlink(const struct nst_iface *iface, const struct nst_addr *addr);

#endif
