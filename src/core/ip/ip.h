/* The Internet layer: what is for this host, where the host's own packets go, and in which pieces.
 *
 * In: nst_ip_input() judges a packet and describes it in `pkt->ip`; the IP header stays in front of
 * the payload, for raw sockets and for the quotation in an ICMP error. Out: nst_ip_output_take()
 * takes a payload with `pkt->ip` filled in, finds route, source and header, and hands the packet to
 * the neighbour cache. Packets of this host to itself go to the list `loop`, which stack/ drains
 * into the way in. A packet beyond the MTU is cut only on its way to the device (fragment.h). */
#ifndef NST_IP_IP_H
#define NST_IP_IP_H

#include "core/ip/ident.h"
#include "core/ip/reassembly.h"
#include "core/ip/route.h"

/* The way of packets to one destination. */
struct nst_path {
    bool ours;  /* back to this host: no hop */
    bool group; /* to more than one host */
    struct nst_hop hop;
    struct nst_addr src; /* the source to use */
    uint32_t mtu;
};

/* What was found out of it. */
struct nst_destination {
    uint64_t reroutes; /* env's, when that was */
    struct nst_addr addr;
    nst_link link; /* asked for */
    int err;
    struct nst_path path;
    struct nst_neigh *neigh; /* the hop; NULL: not looked for yet, or there is none */
};

#define NST_DESTINATIONS_BITS 6

struct nst_ip {
    struct nst_env *env;
    const struct nst_ifaces *ifaces;
    struct nst_neigh_table *neighbours;
    struct nst_route_table routes;
    struct nst_reassembly reassembly;
    struct nst_ident ident;
    struct nst_destination destinations[1 << NST_DESTINATIONS_BITS]; /* see destination.c */
    struct nst_list loop; /* of struct nst_pkt, with IP header */
    uint32_t looped;
    uint8_t ttl; /* default */
};

void nst_ip_init(struct nst_ip *ip, struct nst_env *env, const struct nst_ifaces *ifaces,
                 struct nst_neigh_table *neighbours, const struct nst_limits *limits, uint8_t ttl);
void nst_ip_fini(struct nst_ip *ip);

/* What became of a packet on the way in. */
struct nst_ip_verdict {
    enum nst_drop drop;
    uint8_t pointer; /* ip_option: the offending byte, for ICMP */
    bool fragment;   /* goes to reassembly first, with `header` */
    struct nst_ipv4 header;
};

/* Judges a packet that begins with its IP header; fills in pkt->ip and pkt->frag_off
 * and cuts link padding.
 * Drops: those of nst_ipv4_parse() and nst_ipv4_options_check(); ip_version, martian, ip_other,
 * ip_group, ip_l2_broadcast, frag_proto. */
struct nst_ip_verdict nst_ip_input(struct nst_ip *ip, const struct nst_iface *iface,
                                   struct nst_pkt *pkt);

/* Sends a payload to pkt->ip.dst: proto, df, tos and options are taken from pkt->ip; a ttl of 0
 * stands for the default (255.255.255.255 and multicast: 1), an unspecified src is chosen;
 * pkt->link, if not 0, is the interface to use; with pkt->loop_group, members of a multicast group
 * on this host get a copy. 0; -ENETUNREACH (no_route), -EADDRNOTAVAIL
 * (no_source), -EMSGSIZE (too_big), -ENOBUFS (no_memory). The packet is gone in any case. What
 * happens later, at the neighbour or the device, is not told here. */
int nst_ip_output_take(struct nst_ip *ip, struct nst_pkt *pkt);

/* Finds the way to `dst`, over `link` if that is not 0. -ENETUNREACH: there is none;
 * -EADDRNOTAVAIL: there is, but no source address for it. */
int nst_ip_path(struct nst_ip *ip, const struct nst_addr *dst, nst_link link, struct nst_path *out);

/* The same as an entry of the cache, whose path is as nst_ip_path() says. It may be another's after
 * the next question about any destination. */
struct nst_destination *nst_destination_of(struct nst_ip *ip, const struct nst_addr *dst,
                                           nst_link link);

/* The neighbour that is next on the way over Ethernet to somebody who is neither this host nor a
 * group; a new one if it is not known. NULL when there is no room for it. */
struct nst_neigh *nst_destination_neigh(struct nst_ip *ip, struct nst_destination *to);

/* Aborts if a way that is remembered is not what would be found now. */
void nst_destinations_check(const struct nst_ip *ip);

/* An upper layer's word that what is sent to `dst` arrives: the next hop is there (1122-124; RFC
 * 4861 §7.3.1). */
void nst_ip_confirm(struct nst_ip *ip, const struct nst_addr *dst);

/* An upper layer's word that what is sent to `dst` does not arrive: the next hop is asked whether
 * it is still there (1122-124, MUST-20). */
void nst_ip_doubt(struct nst_ip *ip, const struct nst_addr *dst);

/* Whether some interface bears the address, or it is a loopback one. */
bool nst_ip_is_ours(const struct nst_ip *ip, const struct nst_addr *addr);

/* Whether packets to `addr` reach more than one host: multicast, or broadcast on some interface. */
bool nst_ip_is_group(const struct nst_ip *ip, const struct nst_addr *addr);

#endif
