/* Datagram sockets: UDP, and ICMP echo, whose identifier takes the port's place. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"
#include "core/wire/udp.h"

#define BUF_DEFAULT (512 * (size_t)1024) /* memory, not payload: some 200 small datagrams */

int nst_dgram_open(struct nst_socks *socks, struct nst_socket *s)
{
    struct nst_dgram *d = nst_env_alloc(socks->env, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->socket = s;
    d->rcvbuf = d->sndbuf = BUF_DEFAULT;
    d->multicast_ttl = 1;
    d->multicast_loop = true;
    nst_list_init(&d->memberships);
    nst_list_init(&d->place);
    nst_list_init(&d->sending);
    nst_list_init(&d->rxq);
    nst_list_init(&d->txq);
    nst_list_init(&d->errq);
    s->dgram = d;
    return 0;
}

void nst_dgram_close(struct nst_socks *socks, struct nst_socket *s)
{
    nst_sock_leave_all(socks, s);
    nst_sock_queues_free(s->dgram);
    nst_list_del(&s->dgram->place);
    nst_list_del(&s->dgram->sending);
    nst_env_free(socks->env, s->dgram, sizeof *s->dgram);
}

static int dgram_bind(struct nst_socks *socks, struct nst_socket *s,
                      const struct nst_sockaddr *local)
{
    return s->dgram->local.port ? -EINVAL : nst_sock_bind_port(socks, s, local);
}

static void disconnect(struct nst_socket *s)
{
    s->dgram->peer = (struct nst_sockaddr){0};
    if (s->local_by_connect)
        s->dgram->local.addr = (struct nst_addr){0};
    s->local_by_connect = false;
}

static int dgram_connect(struct nst_socks *socks, struct nst_socket *s,
                         const struct nst_sockaddr *peer)
{
    struct nst_path path;
    int err;

    if (!nst_addr_is_set(&peer->addr)) {
        disconnect(s);
        return 0;
    }
    nst_link link = peer->link ? peer->link : nst_sock_link_to(s, &peer->addr);
    if ((err = nst_ip_path(socks->ip, &peer->addr, link, &path)))
        return err;
    if (path.group && !nst_addr_is_multicast(&peer->addr) && !s->broadcast)
        return -EACCES;
    if (!s->dgram->local.port && (err = nst_sock_bind_port(socks, s, &s->dgram->local)))
        return err;
    if (!nst_addr_is_set(&s->dgram->local.addr)) {
        s->dgram->local.addr = path.src;
        s->local_by_connect = true;
    }
    s->dgram->peer = *peer;
    return 0;
}

/* What a device joined is taken apart again, unless the socket wants it whole. Each piece gets
 * memory of its own, or any of them could keep that of all. */
static void push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt)
{
    size_t size = pkt->offload.gso_size;

    if (pkt->offload.gso != NST_GSO_UDP || s->dgram->gro) {
        nst_sock_rx_push_take(socks, s, pkt);
        return;
    }
    for (size_t off = 0; off < pkt->len; off += size) {
        struct nst_pkt *piece = nst_pkt_copy(pkt, off, nst_min(size, pkt->len - off));
        if (!piece) {
            nst_pkt_drop(pkt, NST_DROP_no_memory);
            return;
        }
        piece->offload.gso = NST_GSO_NONE;
        nst_sock_rx_push_take(socks, s, piece);
    }
    nst_pkt_free(pkt);
}

/* Gives a datagram for a group to every socket that it suits; true if there was one. A socket that
 * joined no group gets what others' memberships bring in. */
static bool input_group(struct nst_socks *socks, const struct nst_pkt *pkt,
                        const struct nst_sockaddr *local, const struct nst_sockaddr *peer)
{
    struct nst_socket *s = NULL;
    bool any = false;

    while ((s = nst_sock_lookup_next(socks, s, pkt->ip.proto, local, peer))) {
        struct nst_pkt *copy;
        if (!nst_sock_hears(s, pkt))
            continue;
        if ((copy = nst_pkt_clone(pkt)))
            push_take(socks, s, copy);
        any = true;
    }
    return any;
}

enum nst_drop nst_dgram_input(struct nst_socks *socks, struct nst_pkt *pkt)
{
    const struct nst_sockaddr local = {pkt->ip.dst, pkt->dport, pkt->link};
    const struct nst_sockaddr peer = {pkt->ip.src, pkt->sport, pkt->link};
    bool udp = pkt->ip.proto == NST_IPPROTO_UDP;
    struct nst_socket *s;

    size_t headers = pkt->ip.hlen + (udp ? (size_t)NST_UDP_HLEN : 0);
    if (pkt->ip.dst_group) {
        struct nst_pkt *payload = nst_pkt_share(pkt, headers, pkt->len - headers);
        if (!payload)
            return NST_DROP_no_memory;
        bool any = input_group(socks, payload, &local, &peer);
        nst_pkt_free(payload);
        if (any)
            nst_pkt_free(pkt);
        return any ? NST_DROP_NONE : NST_DROP_udp_port;
    }
    if (!(s = nst_sock_lookup(socks, pkt->ip.proto, &local, &peer)))
        return udp ? NST_DROP_udp_port : NST_DROP_icmp_unmatched;
    nst_pkt_pull(pkt, headers);
    push_take(socks, s, pkt);
    return NST_DROP_NONE;
}

const struct nst_sock_kind nst_dgram_kind = {
    .open = nst_dgram_open,
    .close = nst_dgram_close,
    .bind = dgram_bind,
    .connect = dgram_connect,
    .send = nst_sock_send,
    .recv = nst_sock_recv,
    .error_take = nst_sock_error_take,
    .readiness = nst_sock_readiness,
    .info = nst_sock_dgram_info,
};
