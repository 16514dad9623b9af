/* Raw sockets: a copy of every IP packet of one protocol, with its header; payloads out (1122-164).
 */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

static int raw_open(struct nst_socks *socks, struct nst_socket *s)
{
    int err = nst_dgram_open(socks, s);

    if (!err)
        nst_list_push_back(&socks->raws, &s->dgram->place);
    return err;
}

static int raw_bind(struct nst_socks *socks, struct nst_socket *s, const struct nst_sockaddr *local)
{
    if (nst_addr_is_set(&local->addr) && !nst_ip_is_ours(socks->ip, &local->addr))
        return -EADDRNOTAVAIL;
    s->dgram->local = *local;
    return 0;
}

static int raw_connect(struct nst_socks *socks, struct nst_socket *s,
                       const struct nst_sockaddr *peer)
{
    struct nst_path path;
    int err;

    if (nst_addr_is_set(&peer->addr) &&
        (err = nst_ip_path(socks->ip, &peer->addr, peer->link, &path)))
        return err;
    s->dgram->peer = *peer;
    return 0;
}

static bool filtered(const struct nst_socket *s, const struct nst_pkt *pkt)
{
    uint8_t type;

    if (s->proto != NST_IPPROTO_ICMP || pkt->len <= pkt->ip.hlen)
        return false;
    nst_pkt_read(pkt, pkt->ip.hlen, &type, 1);
    return type < 32 && (s->dgram->icmp_filter >> type & 1);
}

static bool wants(const struct nst_socket *s, const struct nst_pkt *pkt)
{
    return s->proto == pkt->ip.proto &&
           (!s->dgram->local.link || s->dgram->local.link == pkt->link) &&
           (!nst_addr_is_set(&s->dgram->local.addr) ||
            nst_addr_eq(&s->dgram->local.addr, &pkt->ip.dst)) &&
           (!nst_addr_is_set(&s->dgram->peer.addr) ||
            nst_addr_eq(&s->dgram->peer.addr, &pkt->ip.src)) &&
           nst_sock_hears(s, pkt) && !filtered(s, pkt);
}

bool nst_raw_input(struct nst_socks *socks, const struct nst_pkt *pkt)
{
    bool any = false;

    NST_LIST_FOREACH (e, &socks->raws) {
        struct nst_socket *s = NST_CONTAINER(e, struct nst_dgram, place)->socket;
        struct nst_pkt *copy = wants(s, pkt) ? nst_pkt_clone(pkt) : NULL;
        if (!copy)
            continue;
        NST_COUNT(socks->env, raw_in);
        nst_sock_rx_push_take(socks, s, copy);
        any = true;
    }
    return any;
}

const struct nst_sock_kind nst_raw_kind = {
    .open = raw_open,
    .close = nst_dgram_close,
    .bind = raw_bind,
    .connect = raw_connect,
    .send = nst_sock_send,
    .recv = nst_sock_recv,
    .error_take = nst_sock_error_take,
    .readiness = nst_sock_readiness,
    .info = nst_sock_dgram_info,
};
