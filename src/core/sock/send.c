/* The way out of a socket, and back when a packet of it caused an error. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"
#include "core/udp/udp.h"
#include "core/wire/checksum.h"
#include "core/wire/icmpv4.h"

static bool is_udp(const struct nst_socket *s)
{
    return s->type == NST_SOCK_DGRAM && s->proto == NST_IPPROTO_UDP;
}

static bool is_echo(const struct nst_socket *s)
{
    return s->type == NST_SOCK_DGRAM && s->proto == NST_IPPROTO_ICMP;
}

/* What is found out of a message before it becomes a packet. */
struct parcel {
    struct nst_sockaddr to;
    struct nst_path path;
    size_t segment; /* the bytes of each datagram that it is cut into; 0: it is one */
};

static size_t segment_bytes(const struct nst_socket *s, const struct nst_msg *msg, size_t len)
{
    size_t bytes = msg->segment_bytes ? msg->segment_bytes : s->dgram->segment_bytes;

    return is_udp(s) && bytes < len ? bytes : 0;
}

/* Whether the way and the headers' fields allow so much. What is cut into datagrams isn't cut into
 * fragments, too. */
static int check_len(const struct nst_socket *s, const struct nst_msg *msg, struct parcel *p)
{
    size_t headers = NST_IPV4_HLEN + msg->options_len + (is_udp(s) ? (size_t)NST_UDP_HLEN : 0);
    size_t len = nst_msg_len(msg), segment = p->segment = segment_bytes(s, msg, len);

    if (len > NST_IPV4_LEN_MAX - headers ||
        ((segment || s->df) && headers + (segment ? segment : len) > p->path.mtu))
        return -EMSGSIZE;
    return segment && len > segment * NST_UDP_SEGMENTS_MAX ? -EINVAL : 0;
}

/* Finds where the message goes and whether it may. */
static int find_way(struct nst_socks *socks, const struct nst_socket *s, const struct nst_msg *msg,
                    struct parcel *p)
{
    struct nst_sockaddr *to = &p->to;
    int err;

    *to = nst_addr_is_set(&msg->peer.addr) ? msg->peer : s->dgram->peer;
    if (!nst_addr_is_set(&to->addr) || (is_udp(s) && to->port == 0))
        return -EDESTADDRREQ;
    if (to->addr.family != NST_AF_INET)
        return -EAFNOSUPPORT;
    if (msg->options_len % 4 != 0 || msg->options_len > NST_IP_OPTIONS_MAX)
        return -EINVAL;
    if (!to->link)
        to->link = nst_sock_link_to(s, &to->addr);
    if ((err = nst_ip_path(socks->ip, &to->addr, to->link, &p->path)))
        return err;
    if (p->path.group && !nst_addr_is_multicast(&to->addr) && !s->broadcast)
        return -EACCES;
    return check_len(s, msg, p);
}

/* The source: the message's, else the socket's unless that is bound to a group, else the one that
 * suits the way, where it ends up. It must be this host's still, and a loopback address does not
 * leave the host (1122-28, 1122-139, 1122-152, 1122-181, 1122-182, 1122-185). */
static int find_source(struct nst_socks *socks, const struct nst_socket *s,
                       const struct nst_msg *msg, struct nst_path *path)
{
    const struct nst_addr *bound = &s->dgram->local.addr;

    if (nst_addr_is_set(&msg->local.addr))
        path->src = msg->local.addr;
    else if (nst_addr_is_set(bound) && !nst_ip_is_group(socks->ip, bound))
        path->src = *bound;
    else
        return 0; /* the way's is one of ours, and suits it */
    if (path->src.family != NST_AF_INET)
        return -EAFNOSUPPORT;
    if (!nst_ip_is_ours(socks->ip, &path->src))
        return -EADDRNOTAVAIL;
    return nst_addr_is_loopback(&path->src) && !path->ours ? -EINVAL : 0;
}

static uint8_t ttl_for(const struct nst_socket *s, const struct nst_msg *msg, bool multicast)
{
    if (msg->ttl)
        return msg->ttl;
    return multicast ? s->dgram->multicast_ttl : s->ttl;
}

/* Notes in the packet how it is to travel (1122-172, 1122-173, 1122-186, 1122-187). */
static void describe(struct nst_pkt *pkt, const struct nst_socket *s, const struct nst_msg *msg,
                     const struct parcel *p)
{
    bool multicast = nst_addr_is_multicast(&p->to.addr);
    struct nst_pkt_ip *ip = &pkt->ip;

    if (p->segment)
        pkt->offload = (struct nst_offload){.gso = NST_GSO_UDP, .gso_size = (uint16_t)p->segment};
    pkt->link = p->to.link;
    pkt->loop_group = multicast && s->dgram->multicast_loop;
    pkt->sport = s->dgram->local.port;
    pkt->dport = p->to.port;
    ip->src = p->path.src;
    ip->dst = p->to.addr;
    ip->proto = s->proto;
    ip->ttl = ttl_for(s, msg, multicast);
    ip->tos = msg->tos >= 0 ? (uint8_t)msg->tos : s->tos;
    ip->df = s->df || p->segment;
    ip->options_len = msg->options_len;
    if (ip->options_len > 0)
        memcpy(ip->options, msg->options, sizeof ip->options);
}

/* What an echo socket sends is the whole message; identifier and checksum are filled in here
 * (1122-79). */
static int finish_echo(const struct nst_socket *s, struct nst_pkt *pkt)
{
    uint8_t *p = nst_pkt_head(pkt);

    if (pkt->len < NST_ICMPV4_HLEN || p[0] != NST_ICMPV4_ECHO || p[1] != 0)
        return -EINVAL;
    nst_store16(p + 4, s->dgram->local.port);
    nst_store16(p + 2, 0);
    nst_store16(p + 2, nst_csum_finish(nst_pkt_sum(pkt, 0, pkt->len)));
    return 0;
}

/* What is too long for the way comes back through the error queue, with what the way allows: a
 * socket that looks for the path MTU learns it so. */
static void tell_too_long(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg,
                          const struct parcel *p)
{
    const struct nst_sock_error error = {.err = EMSGSIZE, .info = p->path.mtu};
    struct nst_pkt *pkt = NULL;

    if (!s->recverr || nst_sock_tx_copy(socks, s, msg, &pkt) != 0)
        return;
    describe(pkt, s, msg, p);
    nst_sock_error_push_take(socks, s, pkt, &error);
}

int64_t nst_sock_send(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg)
{
    struct parcel parcel;
    struct nst_pkt *pkt;
    int err = nst_sock_error_take(s);

    if (err)
        return err;
    if ((err = find_way(socks, s, msg, &parcel)) == -EMSGSIZE)
        tell_too_long(socks, s, msg, &parcel);
    if (err || (err = find_source(socks, s, msg, &parcel.path)))
        return err;
    if (s->type == NST_SOCK_DGRAM && !s->dgram->local.port &&
        (err = nst_sock_bind_port(socks, s, &s->dgram->local)))
        return err;
    if ((err = nst_sock_tx_copy(socks, s, msg, &pkt)))
        return err;
    int64_t len = (int64_t)pkt->len;
    describe(pkt, s, msg, &parcel);
    if (is_echo(s) && (err = finish_echo(s, pkt))) {
        nst_pkt_free(pkt);
        return err;
    }
    nst_sock_tx_push_take(socks, s, pkt);
    return len;
}

static void output_take(struct nst_socks *socks, const struct nst_socket *s, struct nst_pkt *pkt)
{
    if (s->type == NST_SOCK_PACKET) {
        nst_iface_output_take(nst_iface_of(socks->ip->ifaces, pkt->link), pkt);
        return;
    }
    if (is_udp(s) && nst_udp_output(socks->env, pkt) != 0) {
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    nst_ip_output_take(socks->ip, pkt);
}

bool nst_sock_output(struct nst_socks *socks)
{
    struct nst_list *e = nst_list_pop_front(&socks->sending);

    if (!e)
        return false;
    struct nst_socket *s = NST_CONTAINER(e, struct nst_dgram, sending)->socket;
    struct nst_pkt *pkt = nst_sock_tx_pull(socks, s);
    if (!nst_list_empty(&s->dgram->txq))
        nst_list_push_back(&socks->sending, &s->dgram->sending);
    output_take(socks, s, pkt);
    return true;
}

/* ---- Errors that come back ---------------------------------------------------------------- */

/* Reads the ports of a quoted packet, of which at least eight bytes are there; false for a packet
 * that no datagram socket sends. */
static bool quoted_ports(const struct nst_pkt *pkt, size_t off, uint8_t proto, uint16_t *sport,
                         uint16_t *dport)
{
    uint8_t p[NST_ICMPV4_HLEN];

    nst_pkt_read(pkt, off, p, sizeof p);
    if (proto == NST_IPPROTO_ICMP) {
        *sport = nst_load16(p + 4);
        *dport = 0;
        return p[0] == NST_ICMPV4_ECHO;
    }
    *sport = nst_load16(p);
    *dport = nst_load16(p + 2);
    return proto == NST_IPPROTO_UDP;
}

/* A copy of the quoted packet from `off` on, as its sender knows it. */
static struct nst_pkt *quote_for(const struct nst_pkt *pkt, size_t off,
                                 const struct nst_pkt_ip *quoted, uint16_t sport, uint16_t dport)
{
    struct nst_pkt *copy = nst_pkt_share(pkt, off, pkt->len - off);

    if (copy) {
        copy->ip = *quoted;
        copy->sport = sport;
        copy->dport = dport;
    }
    return copy;
}

/* To the socket that sent what is quoted (1122-174). */
bool nst_sock_error(struct nst_socks *socks, const struct nst_pkt *pkt, size_t off,
                    const struct nst_pkt_ip *quoted, const struct nst_sock_error *error)
{
    struct nst_sockaddr local = {.addr = quoted->src, .link = pkt->link};
    struct nst_sockaddr peer = {.addr = quoted->dst, .link = pkt->link};
    struct nst_socket *s = NULL;
    bool any = false;

    if (quoted_ports(pkt, off, quoted->proto, &local.port, &peer.port))
        s = nst_sock_lookup(socks, quoted->proto, &local, &peer);
    if (s) {
        size_t header = is_udp(s) ? NST_UDP_HLEN : 0;
        nst_sock_error_push_take(
            socks, s, quote_for(pkt, off + header, quoted, local.port, peer.port), error);
        any = true;
    }
    NST_LIST_FOREACH (e, &socks->raws) {
        s = NST_CONTAINER(e, struct nst_dgram, place)->socket;
        if (s->proto != quoted->proto || (nst_addr_is_set(&s->dgram->peer.addr) &&
                                          !nst_addr_eq(&s->dgram->peer.addr, &quoted->dst)))
            continue;
        nst_sock_error_push_take(socks, s, quote_for(pkt, off, quoted, 0, 0), error);
        any = true;
    }
    return any;
}
