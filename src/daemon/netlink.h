/* Asking the kernel about network interfaces, and changing them: rtnetlink through libmnl. */
#ifndef NST_DAEMON_NETLINK_H
#define NST_DAEMON_NETLINK_H

#include "daemon/fault.h"
#include "netstack/netstack.h"

#include <net/if.h>

struct nst_netlink;

/* The state of an interface. */
struct nst_netlink_link {
    int index;
    char name[IF_NAMESIZE];
    uint32_t mtu;
    uint32_t queue_pkts; /* its transmit queue */
    bool up;             /* as the administrator wishes */
    bool carrier;        /* the device has a peer, whether up or not */
};

/* An IPv4 address of the host and the interface that bears it. */
struct nst_netlink_addr {
    int index;
    char name[IF_NAMESIZE]; /* empty when the interface has just gone */
    struct nst_prefix prefix;
};

/* Opens a connection to the kernel, which stays with the network namespace of this moment. All
 * calls below wait for the kernel's answer, which it gives at once. 0 or -errno with a sentence. */
int nst_netlink_open(struct nst_netlink **out, struct nst_fault *fault);
void nst_netlink_close(struct nst_netlink *nl); /* NULL is allowed */

/* The state of the interface called `name`; -ENODEV if there is none. */
int nst_netlink_get_link(struct nst_netlink *nl, const char *name, struct nst_netlink_link *out,
                         struct nst_fault *fault);

/* Changes an interface by index: each call changes one thing. */
int nst_netlink_set_up(struct nst_netlink *nl, int index, bool up, struct nst_fault *fault);
int nst_netlink_set_mtu(struct nst_netlink *nl, int index, uint32_t mtu, struct nst_fault *fault);
int nst_netlink_set_queue(struct nst_netlink *nl, int index, uint32_t packets,
                          struct nst_fault *fault);

/* Gives the interface an IPv4 address (-EEXIST if it has that one), or takes it away
 * (-EADDRNOTAVAIL if it hasn't). */
int nst_netlink_add_addr(struct nst_netlink *nl, int index, const struct nst_prefix *prefix,
                         struct nst_fault *fault);
int nst_netlink_del_addr(struct nst_netlink *nl, int index, const struct nst_prefix *prefix,
                         struct nst_fault *fault);

/* Fills up to `max` of the host's IPv4 addresses into `out`; returns how many there are in all, or
 * -errno. */
int nst_netlink_list_addrs(struct nst_netlink *nl, struct nst_netlink_addr *out, size_t max,
                           struct nst_fault *fault);

/* ---- Watching an interface --------------------------------------------------------------- */

struct nst_netlink_watch;

/* What an interface has become. */
struct nst_netlink_event {
    uint32_t mtu;
    bool up, carrier;
    bool gone; /* it was removed; the other fields tell its last known state */
};

/* Watches the interface with this index. Poll nst_netlink_watch_fd() for input. 0 or -errno with a
 * sentence. */
int nst_netlink_watch_open(struct nst_netlink_watch **out, int index, struct nst_fault *fault);
void nst_netlink_watch_close(struct nst_netlink_watch *watch); /* NULL is allowed */
int nst_netlink_watch_fd(const struct nst_netlink_watch *watch);

/* What changed since the last call, without waiting: 1 with `out` filled, 0 if nothing did, or
 * -errno. The first event tells the state at the start. Several changes since the last call melt
 * into one event; the last state is always told. */
int nst_netlink_watch_next(struct nst_netlink_watch *watch, struct nst_netlink_event *out);

#endif
