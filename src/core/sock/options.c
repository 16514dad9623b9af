#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

#define BUF_MIN 4096
#define BUF_MAX (16 * 1024 * 1024)

static bool is_raw_icmp(const struct nst_socket *s)
{
    return s->type == NST_SOCK_RAW && s->proto == NST_IPPROTO_ICMP;
}

/* Whether this kind of socket has the option at all. */
static bool has_option(const struct nst_socket *s, enum nst_opt opt)
{
    switch (opt) {
    case NST_OPT_ERROR:
    case NST_OPT_SNDBUF:
    case NST_OPT_RCVBUF:
        return true;
    case NST_OPT_MTU:
        return s->type != NST_SOCK_PACKET;
    case NST_OPT_REUSEADDR:
        return s->type == NST_SOCK_STREAM || s->type == NST_SOCK_DGRAM;
    case NST_OPT_BROADCAST:
    case NST_OPT_TTL:
    case NST_OPT_TOS:
    case NST_OPT_DONTFRAG:
    case NST_OPT_RECVERR:
        return s->type != NST_SOCK_PACKET;
    case NST_OPT_MULTICAST_TTL:
    case NST_OPT_MULTICAST_LOOP:
    case NST_OPT_MULTICAST_LINK:
        return s->type == NST_SOCK_DGRAM || s->type == NST_SOCK_RAW;
    case NST_OPT_REUSEPORT:
        return s->type == NST_SOCK_STREAM || s->type == NST_SOCK_DGRAM;
    case NST_OPT_UDP_SEGMENT:
    case NST_OPT_UDP_GRO:
        return s->type == NST_SOCK_DGRAM && s->proto == NST_IPPROTO_UDP;
    case NST_OPT_ICMP_FILTER:
        return is_raw_icmp(s);
    default:
        return s->type == NST_SOCK_STREAM;
    }
}

static bool in_range(enum nst_opt opt, int64_t value)
{
    switch (opt) {
    case NST_OPT_ERROR:
    case NST_OPT_MTU:
    case NST_OPT_URGENT:
        return false; /* cannot be set */
    case NST_OPT_SNDBUF:
    case NST_OPT_RCVBUF:
        return value >= 0;
    case NST_OPT_TTL:
    case NST_OPT_MULTICAST_TTL:
        return value >= 1 && value <= 255;
    case NST_OPT_TOS:
        return value >= 0 && value <= 255;
    case NST_OPT_REUSEADDR:
    case NST_OPT_BROADCAST:
    case NST_OPT_DONTFRAG:
    case NST_OPT_RECVERR:
    case NST_OPT_MULTICAST_LOOP:
    case NST_OPT_UDP_GRO:
        return value == 0 || value == 1;
    case NST_OPT_UDP_SEGMENT:
    case NST_OPT_REUSEPORT:
        return value >= 0 && value <= UINT16_MAX;
    case NST_OPT_MULTICAST_LINK:
        return value >= 0 && value <= NST_IFACES_MAX;
    case NST_OPT_ICMP_FILTER:
    case NST_OPT_USER_TIMEOUT:
        return value >= 0 && value <= UINT32_MAX;
    case NST_OPT_RECOVERY:
        return value >= 0 && value <= NST_TCP_RECOVERY_ALL;
    case NST_OPT_NODELAY:
    case NST_OPT_CORK:
    case NST_OPT_KEEPALIVE:
    case NST_OPT_OOBINLINE:
    case NST_OPT_DEFER_ACCEPT:
    case NST_OPT_QUICKACK:
    case NST_OPT_FASTOPEN_CONNECT:
    case NST_OPT_PACING:
    case NST_OPT_HYSTART:
        return value == 0 || value == 1;
    case NST_OPT_MAX_PACING_RATE:
        return value >= 0 && value <= UINT32_MAX;
    case NST_OPT_MAXSEG:
        return value >= 88 && value <= INT16_MAX;
    case NST_OPT_KEEPIDLE:
    case NST_OPT_KEEPINTVL:
        return value >= 1 && value <= INT16_MAX;
    case NST_OPT_KEEPCNT:
    case NST_OPT_SYNCNT:
        return value >= 1 && value <= 127;
    case NST_OPT_MTU_PROBING:
        return value >= NST_TCP_MTU_PROBING_OFF && value <= NST_TCP_MTU_PROBING_ALWAYS;
    case NST_OPT_FASTOPEN:
        return value >= 0 && value <= 4096;
    case NST_OPT_ECN:
        return value >= NST_TCP_ECN_OFF && value <= NST_TCP_ECN_ACCEPT;
    case NST_OPT_LINGER:
    case NST_OPT_LINGER2:
        return value >= -1 && value <= INT16_MAX;
    }
    return false;
}

static size_t buffer_of(int64_t value)
{
    return nst_max(BUF_MIN, nst_min((size_t)value, BUF_MAX));
}

int nst_sock_setopt(struct nst_socks *socks, struct nst_socket *s, enum nst_opt opt, int64_t value)
{
    if (!has_option(s, opt))
        return -ENOPROTOOPT;
    if (!in_range(opt, value))
        return -EINVAL;
    if (s->type == NST_SOCK_STREAM && nst_stream_setopt(s, opt, value) == 0)
        return 0;
    switch (opt) {
    case NST_OPT_SNDBUF:
        s->dgram->sndbuf = buffer_of(value);
        break;
    case NST_OPT_RCVBUF:
        s->dgram->rcvbuf = buffer_of(value);
        break;
    case NST_OPT_REUSEADDR:
        s->reuseaddr = value;
        if (s->type == NST_SOCK_STREAM)
            nst_stream_reuse(socks, s);
        break;
    case NST_OPT_BROADCAST:
        s->broadcast = value;
        break;
    case NST_OPT_TTL:
        s->ttl = (uint8_t)value;
        break;
    case NST_OPT_TOS:
        s->tos = (uint8_t)value;
        break;
    case NST_OPT_DONTFRAG:
        s->df = value;
        break;
    case NST_OPT_RECVERR:
        s->recverr = value;
        break;
    case NST_OPT_ICMP_FILTER:
        s->dgram->icmp_filter = (uint32_t)value;
        break;
    case NST_OPT_MULTICAST_TTL:
        s->dgram->multicast_ttl = (uint8_t)value;
        break;
    case NST_OPT_MULTICAST_LOOP:
        s->dgram->multicast_loop = value;
        break;
    case NST_OPT_MULTICAST_LINK:
        s->dgram->multicast_link = (nst_link)value;
        break;
    case NST_OPT_UDP_SEGMENT:
        s->dgram->segment_bytes = (uint16_t)value;
        break;
    case NST_OPT_UDP_GRO:
        s->dgram->gro = value;
        break;
    case NST_OPT_REUSEPORT:
        s->group = (uint16_t)value;
        break;
    default:
        break;
    }
    return 0;
}

/* Of the way to whom the socket is connected with. */
static int path_mtu(const struct nst_socks *socks, const struct nst_socket *s, int64_t *mtu)
{
    const struct nst_sockaddr peer = s->dgram ? s->dgram->peer : nst_stream_peer(s);
    struct nst_path path;

    if (!nst_addr_is_set(&peer.addr))
        return -ENOTCONN;
    int err = nst_ip_path(socks->ip, &peer.addr, peer.link, &path);
    *mtu = err ? 0 : path.mtu;
    return err;
}

int nst_sock_getopt(const struct nst_socks *socks, struct nst_socket *s, enum nst_opt opt,
                    int64_t *value)
{
    if (!has_option(s, opt))
        return -ENOPROTOOPT;
    if (s->type == NST_SOCK_STREAM && nst_stream_getopt(socks, s, opt, value) == 0)
        return 0;
    switch (opt) {
    case NST_OPT_ERROR:
        *value = -nst_sock_error_take(s);
        break;
    case NST_OPT_SNDBUF:
        *value = (int64_t)s->dgram->sndbuf;
        break;
    case NST_OPT_RCVBUF:
        *value = (int64_t)s->dgram->rcvbuf;
        break;
    case NST_OPT_REUSEADDR:
        *value = s->reuseaddr;
        break;
    case NST_OPT_BROADCAST:
        *value = s->broadcast;
        break;
    case NST_OPT_TTL:
        *value = s->ttl ? s->ttl : socks->ip->ttl;
        break;
    case NST_OPT_TOS:
        *value = s->tos;
        break;
    case NST_OPT_DONTFRAG:
        *value = s->df;
        break;
    case NST_OPT_RECVERR:
        *value = s->recverr;
        break;
    case NST_OPT_ICMP_FILTER:
        *value = s->dgram->icmp_filter;
        break;
    case NST_OPT_MULTICAST_TTL:
        *value = s->dgram->multicast_ttl;
        break;
    case NST_OPT_MULTICAST_LOOP:
        *value = s->dgram->multicast_loop;
        break;
    case NST_OPT_MULTICAST_LINK:
        *value = s->dgram->multicast_link;
        break;
    case NST_OPT_UDP_SEGMENT:
        *value = s->dgram->segment_bytes;
        break;
    case NST_OPT_UDP_GRO:
        *value = s->dgram->gro;
        break;
    case NST_OPT_REUSEPORT:
        *value = s->group;
        break;
    case NST_OPT_MTU:
        return path_mtu(socks, s, value);
    default:
        return -ENOPROTOOPT;
    }
    return 0;
}

/* Also which local address was taken (1122-183). */
void nst_sock_info(const struct nst_socket *s, struct nst_sock_info *out)
{
    *out = (struct nst_sock_info){.sock = s->handle,
                                  .cookie = s->cookie,
                                  .type = s->type,
                                  .protocol = s->proto,
                                  .local = s->local};
    if (s->type == NST_SOCK_STREAM) {
        nst_stream_info(s, out);
        return;
    }
    out->peer = s->dgram->peer;
    out->rx_bytes = s->dgram->rx_bytes;
    out->tx_bytes = s->dgram->tx_bytes;
    out->rx_drops = s->dgram->rx_drops;
}

static void orphan_info(const struct nst_tcp_orphan *o, struct nst_sock_info *out)
{
    const struct nst_flow_id *id = &o->id;

    *out = (struct nst_sock_info){.type = NST_SOCK_STREAM,
                                  .protocol = NST_IPPROTO_TCP,
                                  .state = o->state,
                                  .local = {id->local, id->lport, 0},
                                  .peer = {id->peer, id->pport, 0},
                                  .rx_bytes = o->rx_bytes,
                                  .tx_bytes = o->tx_bytes};
    if (o->listener)
        out->cookie = nst_stream_socket(o->listener->owner)->cookie;
}

#define IN_FLOWS (UINT64_C(1) << 63) /* the cursor is beyond the sockets */

size_t nst_socks_list(const struct nst_socks *socks, uint64_t *cursor, struct nst_sock_info *out,
                      size_t max)
{
    struct nst_tcp_orphan orphan;
    size_t n = 0;

    for (; n < max && *cursor < socks->nslots; ++*cursor)
        if (socks->slots[*cursor].socket)
            nst_sock_info(socks->slots[*cursor].socket, &out[n++]);
    if (n == max)
        return n;
    uint64_t at = *cursor & IN_FLOWS ? *cursor & ~IN_FLOWS : 0;
    while (n < max && nst_tcp_orphan_next(socks->tcps, &at, &orphan))
        orphan_info(&orphan, &out[n++]);
    *cursor = at | IN_FLOWS;
    return n;
}
