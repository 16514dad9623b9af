/* Packet sockets: whole frames of one link, of one EtherType or (0) of all. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/sock/socket.h"
#include "core/wire/eth.h"

static int packet_open(struct nst_socks *socks, struct nst_socket *s)
{
    int err = nst_dgram_open(socks, s);

    if (!err)
        nst_list_push_back(&socks->packets, &s->dgram->place);
    return err;
}

static int packet_bind(struct nst_socks *socks, struct nst_socket *s,
                       const struct nst_sockaddr *local)
{
    if (!nst_iface_of(socks->ip->ifaces, local->link))
        return -ENODEV;
    s->dgram->local = *local;
    return 0;
}

static int64_t packet_send(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg)
{
    const struct nst_iface *iface = nst_iface_of(socks->ip->ifaces, s->dgram->local.link);
    size_t len = nst_msg_len(msg);
    struct nst_pkt *pkt;
    int err;

    if (!iface)
        return -EDESTADDRREQ;
    size_t header = iface->config.medium == NST_MEDIUM_ETHERNET ? NST_ETH_HLEN : 0;
    if (len < header || len == 0)
        return -EINVAL;
    if (len > iface->config.mtu + header)
        return -EMSGSIZE;
    if ((err = nst_sock_tx_copy(socks, s, msg, &pkt)))
        return err;
    pkt->link = s->dgram->local.link;
    pkt->framed = true;
    nst_sock_tx_push_take(socks, s, pkt);
    return (int64_t)len;
}

void nst_packet_input(struct nst_socks *socks, const struct nst_pkt *frame, uint16_t type)
{
    NST_LIST_FOREACH (e, &socks->packets) {
        struct nst_socket *s = NST_CONTAINER(e, struct nst_dgram, place)->socket;
        bool wanted = s->dgram->local.link == frame->link &&
                      (!s->dgram->local.port || s->dgram->local.port == type);
        struct nst_pkt *copy = wanted ? nst_pkt_clone(frame) : NULL;
        if (!copy)
            continue;
        NST_COUNT(socks->env, packet_in);
        nst_sock_rx_push_take(socks, s, copy);
    }
}

const struct nst_sock_kind nst_packet_kind = {
    .open = packet_open,
    .close = nst_dgram_close,
    .bind = packet_bind,
    .send = packet_send,
    .recv = nst_sock_recv,
    .error_take = nst_sock_error_take,
    .readiness = nst_sock_readiness,
    .info = nst_sock_dgram_info,
};
