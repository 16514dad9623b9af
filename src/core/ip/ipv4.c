/* IPv4's part of the Internet layer (RFC 791, RFC 1122 §3). */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/ip/ip.h"
#include "core/wire/eth.h"

/* Packets of the host to itself that may wait at a time. */
#define LOOP_MAX 1000

#define TTL_DEFAULT 64

void nst_ip_init(struct nst_ip *ip, struct nst_env *env, const struct nst_ifaces *ifaces,
                 struct nst_neigh_table *neighbours, const struct nst_limits *limits, uint8_t ttl)
{
    *ip = (struct nst_ip){
        .env = env, .ifaces = ifaces, .neighbours = neighbours, .ttl = ttl ? ttl : TTL_DEFAULT};
    nst_route_init(&ip->routes, env, neighbours, limits->routes);
    nst_reassembly_init(&ip->reassembly, env, limits->fragment_bytes, limits->fragments);
    nst_ident_init(&ip->ident, env->seed);
    nst_list_init(&ip->loop);
    nst_env_reroute(env); /* nothing is remembered */
}

void nst_ip_fini(struct nst_ip *ip)
{
    nst_reassembly_fini(&ip->reassembly);
    nst_route_fini(&ip->routes);
    nst_pkt_free_all(&ip->loop);
}

/* ---- In ---------------------------------------------------------------------------------- */

/* A source that no other host can have (RFC 1812 §5.3.7; 1122-30, 1122-184, MUST-63). */
static bool source_is_martian(const struct nst_ip *ip, const struct nst_iface *iface,
                              const struct nst_addr *src)
{
    return !nst_addr_is_host(src) || nst_iface_addr_is_broadcast(iface, src) ||
           nst_ip_is_ours(ip, src);
}

static bool destination_is_martian(const struct nst_addr *dst)
{
    return !nst_addr_is_host(dst) && !nst_addr_is_multicast(dst) &&
           !nst_addr_is_limited_broadcast(dst);
}

/* A querier that has no address, such as a switch, asks from 0.0.0.0 (RFC 4541 §2.1.1). */
static bool is_nameless_igmp(const struct nst_pkt_ip *d)
{
    return d->proto == NST_IPPROTO_IGMP && nst_addr_is_any(&d->src) &&
           nst_addr_is_multicast(&d->dst);
}

/* Whether a packet to a group is for somebody here. IGMP is about whole groups, whatever sources
 * their members want. */
static enum nst_drop check_group(const struct nst_iface *iface, const struct nst_pkt_ip *d)
{
    bool heard = nst_group_hears(iface, &d->dst, &d->src) ||
                 (d->proto == NST_IPPROTO_IGMP && nst_group_find(iface, &d->dst));

    return heard ? NST_DROP_NONE : NST_DROP_ip_group;
}

/* What is for no single host: a group, or everybody. */
static enum nst_drop check_group_address(const struct nst_iface *iface, struct nst_pkt *pkt)
{
    const struct nst_addr *dst = &pkt->ip.dst;

    if (destination_is_martian(dst))
        return NST_DROP_martian;
    if (pkt->ip.dst_group)
        return check_group(iface, &pkt->ip);
    pkt->ip.dst_group = nst_iface_addr_is_broadcast(iface, dst);
    return pkt->ip.dst_group ? NST_DROP_NONE : NST_DROP_ip_other;
}

/* Whether the packet is for this host at all; sets `dst_group`. A packet from outside must come in
 * on the interface that bears its destination (the strong model, 1122-140). Nothing is forwarded
 * (1122-29), and what came for everybody must be for everybody (1122-158). */
static enum nst_drop check_addresses(const struct nst_ip *ip, const struct nst_iface *iface,
                                     struct nst_pkt *pkt)
{
    const struct nst_addr *dst = &pkt->ip.dst;

    pkt->ip.dst_group = nst_addr_is_multicast(dst);
    if (pkt->looped)
        return NST_DROP_NONE;
    if (source_is_martian(ip, iface, &pkt->ip.src) && !is_nameless_igmp(&pkt->ip))
        return NST_DROP_martian;
    if (!nst_iface_addr_is_ours(iface, dst))
        return check_group_address(iface, pkt);
    return pkt->l2_group ? NST_DROP_ip_l2_broadcast : NST_DROP_NONE;
}

/* For the layers above: with TOS (1122-34) and options (1122-41, 1122-166). */
static void describe(struct nst_pkt *pkt, const struct nst_ipv4 *header)
{
    pkt->ip.src = header->src;
    pkt->ip.dst = header->dst;
    pkt->ip.proto = header->proto;
    pkt->ip.ttl = header->ttl;
    pkt->ip.tos = header->tos;
    pkt->ip.df = header->df;
    pkt->ip.hlen = (uint8_t)nst_ipv4_hlen(header);
    pkt->ip.options_len = header->options_len;
    if (header->options_len > 0)
        memcpy(pkt->ip.options, header->options, sizeof pkt->ip.options);
    pkt->frag_off = header->frag_off;
}

/* The door that every packet comes in by (1122-16). */
struct nst_ip_verdict nst_ip_input(struct nst_ip *ip, const struct nst_iface *iface,
                                   struct nst_pkt *pkt)
{
    struct nst_ip_verdict v = {.drop = NST_DROP_NONE};
    struct nst_ipv4 *header = &v.header;

    NST_COUNT(ip->env, ipv4_in);
    v.drop = nst_ipv4_parse(header, nst_pkt_head(pkt), nst_pkt_head_len(pkt), pkt->len);
    if (v.drop)
        return v;
    nst_pkt_trim(pkt, header->total_len);
    describe(pkt, header);
    v.drop = check_addresses(ip, iface, pkt); /* whatever its TTL (1122-37) */
    if (!v.drop)
        v.drop = nst_ipv4_options_check(header, &v.pointer);
    v.fragment = header->mf || header->frag_off != 0;
    if (!v.drop && v.fragment && header->proto == NST_IPPROTO_IGMP)
        v.drop = NST_DROP_frag_proto;
    return v;
}

/* ---- Out --------------------------------------------------------------------------------- */

static int give_up(struct nst_pkt *pkt, enum nst_drop drop, int err)
{
    nst_pkt_drop(pkt, drop);
    return err;
}

/* Puts the header that pkt->ip describes in front, TTL (1122-36, 1122-38, 1122-39), TOS (1122-33)
 * and options (1122-40) included. */
static bool push_header(struct nst_ip *ip, struct nst_pkt *pkt, bool group)
{
    const struct nst_pkt_ip *d = &pkt->ip;
    struct nst_ipv4 header = {.src = d->src,
                              .dst = d->dst,
                              .tos = d->tos,
                              .ttl = d->ttl  ? d->ttl
                                     : group ? 1
                                             : ip->ttl,
                              .proto = d->proto,
                              .df = d->df,
                              .options_len = d->options_len};
    size_t hlen = nst_ipv4_hlen(&header);

    /* An atomic datagram needs no identification (6864-1). */
    header.id = d->df ? 0 : nst_ident_next(&ip->ident);
    header.total_len = (uint16_t)(pkt->len + hlen);
    if (d->options_len > 0)
        memcpy(header.options, d->options, sizeof header.options);
    uint8_t *p = nst_pkt_push(pkt, hlen);
    if (!p)
        return false;
    nst_ipv4_emit(&header, p);
    pkt->ip.hlen = (uint8_t)hlen;
    pkt->ethertype = NST_ETHERTYPE_IPV4;
    NST_COUNT(ip->env, ipv4_out);
    return true;
}

static int loop_back(struct nst_ip *ip, struct nst_pkt *pkt)
{
    if (ip->looped >= LOOP_MAX)
        return give_up(pkt, NST_DROP_link_queue, 0);
    pkt->looped = true;
    pkt->id = 0;
    pkt->time = ip->env->now;
    nst_list_push_back(&ip->loop, &pkt->node);
    ip->looped++;
    return 0;
}

/* Gives the members on this host a copy of what this host says to its group. */
static void loop_to_members(struct nst_ip *ip, const struct nst_pkt *pkt,
                            const struct nst_iface *iface)
{
    struct nst_pkt *copy;

    if (!pkt->loop_group || !nst_group_hears(iface, &pkt->ip.dst, &pkt->ip.src))
        return;
    if (!(copy = nst_pkt_clone(pkt)))
        return;
    copy->link = iface->link;
    loop_back(ip, copy);
}

/* Only a group's packet goes to a group's station (1122-157). */
static void send_to_hop(struct nst_ip *ip, struct nst_pkt *pkt, struct nst_destination *to)
{
    struct nst_iface *iface = to->path.hop.iface;

    if (iface->config.medium == NST_MEDIUM_ETHERNET && !to->path.group) {
        nst_neigh_output_take(ip->neighbours, nst_destination_neigh(ip, to), pkt);
        return;
    }
    pkt->mac = nst_addr_is_multicast(&pkt->ip.dst) ? nst_eth_multicast(&pkt->ip.dst)
                                                   : nst_mac_broadcast;
    nst_iface_output_take(iface, pkt);
}

/* The length that a packet will have with its IP header, or the largest of its segments. */
static size_t largest_piece(const struct nst_pkt *pkt)
{
    const struct nst_offload *o = &pkt->offload;
    size_t len = o->gso == NST_GSO_NONE ? pkt->len : (size_t)o->hdr_len + o->gso_size;

    return nst_min(len, pkt->len) + NST_IPV4_HLEN + pkt->ip.options_len;
}

int nst_ip_output_take(struct nst_ip *ip, struct nst_pkt *pkt)
{
    size_t total = pkt->len + NST_IPV4_HLEN + pkt->ip.options_len;
    struct nst_destination *to = nst_destination_of(ip, &pkt->ip.dst, pkt->link);
    const struct nst_path *path = &to->path;

    if (to->err == -ENETUNREACH)
        return give_up(pkt, NST_DROP_no_route, to->err);
    if (!nst_addr_is_set(&pkt->ip.src)) {
        if (to->err)
            return give_up(pkt, NST_DROP_no_source, to->err);
        pkt->ip.src = path->src;
    }
    if (total > NST_IPV4_LEN_MAX ||
        (largest_piece(pkt) > path->mtu && pkt->ip.df)) /* 1122-135, 1191-5 */
        return give_up(pkt, NST_DROP_too_big, -EMSGSIZE);
    if (!push_header(ip, pkt, path->group))
        return give_up(pkt, NST_DROP_no_memory, -ENOBUFS);
    if (path->ours)
        return loop_back(ip, pkt);
    loop_to_members(ip, pkt, path->hop.iface);
    send_to_hop(ip, pkt, to);
    return 0;
}
