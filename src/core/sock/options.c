#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

#define BUF_MIN 4096
#define BUF_MAX (16 * 1024 * 1024)

/* Who has an option, one bit each. */
enum {
    STREAM = 1 << 0,
    UDP = 1 << 1,
    ECHO = 1 << 2,
    RAW_ICMP = 1 << 3,
    RAW = 1 << 4, /* of any other protocol */
    PACKET = 1 << 5,
    DGRAM = UDP | ECHO,
    IP = STREAM | DGRAM | RAW_ICMP | RAW,
    ALL = IP | PACKET,
};

struct rule {
    uint8_t who;
    int64_t least, most; /* the values that may be set; most < least: it is only to be read */
};

#define READ_ONLY 1, 0

static const struct rule rules[] = {
    [NST_OPT_ERROR] = {ALL, READ_ONLY},
    [NST_OPT_SNDBUF] = {ALL, 0, INT64_MAX},
    [NST_OPT_RCVBUF] = {ALL, 0, INT64_MAX},
    [NST_OPT_BROADCAST] = {IP, 0, 1},
    [NST_OPT_TTL] = {IP, 1, 255},
    [NST_OPT_TOS] = {IP, 0, 255},
    [NST_OPT_DONTFRAG] = {IP, 0, 1},
    [NST_OPT_RECVERR] = {IP, 0, 1},
    [NST_OPT_MTU] = {IP, READ_ONLY},
    [NST_OPT_ICMP_FILTER] = {RAW_ICMP, 0, UINT32_MAX},
    [NST_OPT_MULTICAST_TTL] = {IP & ~STREAM, 1, 255},
    [NST_OPT_MULTICAST_LOOP] = {IP & ~STREAM, 0, 1},
    [NST_OPT_MULTICAST_LINK] = {IP & ~STREAM, 0, NST_IFACES_MAX},
    [NST_OPT_UDP_SEGMENT] = {UDP, 0, UINT16_MAX},
    [NST_OPT_UDP_GRO] = {UDP, 0, 1},
    [NST_OPT_REUSEADDR] = {STREAM | DGRAM, 0, 1},
    [NST_OPT_REUSEPORT] = {STREAM | DGRAM, 0, UINT16_MAX},
    [NST_OPT_NODELAY] = {STREAM, 0, 1},
    [NST_OPT_CORK] = {STREAM, 0, 1},
    [NST_OPT_MAXSEG] = {STREAM, 88, INT16_MAX},
    [NST_OPT_OOBINLINE] = {STREAM, 0, 1},
    [NST_OPT_DEFER_ACCEPT] = {STREAM, 0, 1},
    [NST_OPT_QUICKACK] = {STREAM, 0, 1},
    [NST_OPT_HOLD] = {STREAM, 0, 1},
    [NST_OPT_KEEPALIVE] = {STREAM, 0, 1},
    [NST_OPT_KEEPIDLE] = {STREAM, 1, INT16_MAX},
    [NST_OPT_KEEPINTVL] = {STREAM, 1, INT16_MAX},
    [NST_OPT_KEEPCNT] = {STREAM, 1, 127},
    [NST_OPT_SYNCNT] = {STREAM, 1, 127},
    [NST_OPT_LINGER] = {STREAM, -1, INT16_MAX},
    [NST_OPT_LINGER2] = {STREAM, -1, INT16_MAX},
    [NST_OPT_USER_TIMEOUT] = {STREAM, 0, UINT32_MAX},
    [NST_OPT_PACING] = {STREAM, 0, 1},
    [NST_OPT_HYSTART] = {STREAM, 0, 1},
    [NST_OPT_MAX_PACING_RATE] = {STREAM, 0, UINT32_MAX},
    [NST_OPT_RECOVERY] = {STREAM, 0, NST_TCP_RECOVERY_ALL},
    [NST_OPT_ECN] = {STREAM, NST_TCP_ECN_OFF, NST_TCP_ECN_ACCEPT},
    [NST_OPT_FASTOPEN] = {STREAM, 0, 4096},
    [NST_OPT_FASTOPEN_CONNECT] = {STREAM, 0, 1},
    [NST_OPT_URGENT] = {STREAM, READ_ONLY},
    [NST_OPT_SYN_EVENTS] = {STREAM, 0, 1},
    [NST_OPT_MTU_PROBING] = {STREAM, NST_TCP_MTU_PROBING_OFF, NST_TCP_MTU_PROBING_ALWAYS},
};

static uint8_t who_is(const struct nst_socket *s)
{
    bool icmp = s->proto == NST_IPPROTO_ICMP;

    switch (s->type) {
    case NST_SOCK_STREAM:
        return STREAM;
    case NST_SOCK_DGRAM:
        return icmp ? ECHO : UDP;
    case NST_SOCK_RAW:
        return icmp ? RAW_ICMP : RAW;
    default:
        return PACKET;
    }
}

/* NULL: this kind of socket hasn't the option. */
static const struct rule *rule_of(const struct nst_socket *s, enum nst_opt opt)
{
    return opt < NST_ARRAY_LEN(rules) && rules[opt].who & who_is(s) ? &rules[opt] : NULL;
}

static size_t buffer_of(int64_t value)
{
    return nst_max(BUF_MIN, nst_min((size_t)value, BUF_MAX));
}

int nst_sock_setopt(struct nst_socket *s, enum nst_opt opt, int64_t value)
{
    const struct rule *rule = rule_of(s, opt);

    if (!rule)
        return -ENOPROTOOPT;
    if (value < rule->least || value > rule->most)
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
            nst_stream_reuse(s);
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
    struct nst_sock_info info;
    struct nst_path path;

    nst_sock_info(s, &info);
    if (!nst_addr_is_set(&info.peer.addr))
        return -ENOTCONN;
    int err = nst_ip_path(socks->ip, &info.peer.addr, info.peer.link, &path);
    *mtu = err ? 0 : path.mtu;
    return err;
}

int nst_sock_getopt(const struct nst_socks *socks, struct nst_socket *s, enum nst_opt opt,
                    int64_t *value)
{
    if (!rule_of(s, opt))
        return -ENOPROTOOPT;
    if (s->type == NST_SOCK_STREAM && nst_stream_getopt(socks, s, opt, value) == 0)
        return 0;
    switch (opt) {
    case NST_OPT_ERROR:
        *value = -nst_sock_kind(s)->error_take(s);
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

void nst_sock_dgram_info(const struct nst_socket *s, struct nst_sock_info *out)
{
    out->local = s->dgram->local;
    out->peer = s->dgram->peer;
    out->rx_bytes = s->dgram->rx_bytes;
    out->tx_bytes = s->dgram->tx_bytes;
    out->rx_drops = s->dgram->rx_drops;
    out->memory_bytes = s->dgram->rx_mem + s->dgram->tx_mem + s->dgram->err_mem;
}

/* Also which local address was taken (1122-183). */
void nst_sock_info(const struct nst_socket *s, struct nst_sock_info *out)
{
    *out = (struct nst_sock_info){
        .sock = s->handle, .cookie = s->cookie, .type = s->type, .protocol = s->proto};
    nst_sock_kind(s)->info(s, out);
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
        if (socks->slots[*cursor])
            nst_sock_info(socks->slots[*cursor], &out[n++]);
    if (n == max)
        return n;
    uint64_t at = *cursor & IN_FLOWS ? *cursor & ~IN_FLOWS : 0;
    while (n < max && nst_tcp_orphan_next(socks->tcps, &at, &orphan))
        orphan_info(&orphan, &out[n++]);
    *cursor = at | IN_FLOWS;
    return n;
}
