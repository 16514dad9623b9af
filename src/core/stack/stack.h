/* The stack: the only code that wires the layers together.
 *
 * in.c is the way of a frame from the device to a socket, out.c the way of a packet to the device,
 * stack.c the configuration, api.c the owner's socket calls, info.c what can be seen from outside,
 * spread.c which of several stacks a frame is for. */
#ifndef NST_STACK_STACK_H
#define NST_STACK_STACK_H

#include "core/icmp/icmp.h"
#include "core/icmp/igmp.h"
#include "core/sock/socket.h"

struct nst_stack {
    struct nst_env env;
    struct nst_pool pool;
    struct nst_limits limits;
    struct nst_ifaces ifaces;
    struct nst_neigh_table neighbours;
    struct nst_ip ip;
    struct nst_icmp icmp;
    struct nst_igmp igmp;
    struct nst_tcps tcps;
    struct nst_socks socks;
    bool streams_next;    /* whose turn it is to send: connections', or datagram sockets' */
    uint64_t frames;      /* received so far: the number of the last */
    struct nst_pkt *held; /* inside nst_input(): a segment that the next one may be joined to */
    struct nst_list ready[NST_IFACES_MAX]; /* finished frames that wait to be pulled, by link */
    struct nst_list strays;                /* other stacks' frames, likewise, of all links */
};

/* Sets the time, runs the timers that are due, and does what they asked for. */
void nst_stack_advance(struct nst_stack *stack, nst_time now);

/* Does the work that lower layers have queued: packets of the host to itself, solicitations, and
 * what has become of packets that could not be delivered. */
void nst_stack_drain(struct nst_stack *stack);

/* The way in for a packet that begins with its IP header. */
void nst_stack_input_ip_take(struct nst_stack *stack, struct nst_iface *iface, struct nst_pkt *pkt);

/* Puts a packet that begins with its IP header aside for nst_spread_pull(), if it is another
 * stack's. Takes it then, and says so. */
bool nst_stack_spread_take(struct nst_stack *stack, const struct nst_iface *iface,
                           struct nst_pkt *pkt);

/* Aborts if the stack contradicts itself. */
void nst_stack_check(const struct nst_stack *stack);

#endif
