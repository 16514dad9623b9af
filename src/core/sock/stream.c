/* Stream sockets: an owner's handle on a TCP connection or listener. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

#define BACKLOG_MAX 4096
#define BUF_MIN     4096

static uint64_t owner_of(const struct nst_socket *s)
{
    return (uintptr_t)s;
}

struct nst_socket *nst_stream_socket(uint64_t owner)
{
    return (struct nst_socket *)(uintptr_t)owner;
}

/* What bind() reserved for it. */
static struct nst_tcp_name *name_of(const struct nst_socket *s)
{
    struct nst_tcps *tcps = s->listening ? s->listener->tcps : s->tcb->tcps;
    uint16_t port = s->listening ? s->listener->local.port : s->tcb->flow.id.lport;

    return nst_tcp_name_find(tcps, port, owner_of(s));
}

static int stream_open(struct nst_socks *socks, struct nst_socket *s)
{
    const struct nst_flow_id nobody = {.lport = 0};

    s->tcb = nst_tcb_new(socks->tcps, &nobody);
    if (!s->tcb)
        return -ENOMEM;
    s->tcb->owner = owner_of(s);
    return 0;
}

static void stream_close(struct nst_socks *socks, struct nst_socket *s)
{
    struct nst_tcp_name *name = s->bound ? name_of(s) : NULL;

    if (s->listening) {
        nst_tcp_unlisten(s->listener);
        nst_env_free(socks->env, s->listener, sizeof *s->listener);
    } else {
        nst_tcb_close(s->tcb);
    }
    if (name)
        nst_tcp_unbind(socks->tcps, name);
}

static struct nst_sockaddr stream_local(const struct nst_socket *s)
{
    if (s->listening)
        return s->listener->local;
    if (s->bound && !s->connected)
        return name_of(s)->local;
    const struct nst_flow_id *id = &s->tcb->flow.id;
    return (struct nst_sockaddr){id->local, id->lport, 0};
}

static struct nst_sockaddr stream_peer(const struct nst_socket *s)
{
    const struct nst_sockaddr nobody = {.port = 0};
    const struct nst_flow_id *id = s->connected ? &s->tcb->flow.id : NULL;

    return id ? (struct nst_sockaddr){id->peer, id->pport, 0} : nobody;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static int stream_bind(struct nst_socks *socks, struct nst_socket *s,
                       const struct nst_sockaddr *local)
{
    uint16_t port;
    int err;

    if (s->bound || s->connected)
        return -EINVAL;
    if (nst_addr_is_set(&local->addr) && !nst_ip_is_ours(socks->ip, &local->addr))
        return -EADDRNOTAVAIL;
    const struct nst_tcp_name want = {
        .owner = owner_of(s), .local = *local, .reuse = s->reuseaddr, .group = s->group};
    err = nst_tcp_bind(socks->tcps, &want, &port);
    if (err)
        return err;
    s->tcb->flow.id.local = local->addr;
    s->tcb->flow.id.lport = port;
    s->bound = true;
    return 0;
}

void nst_stream_reuse(const struct nst_socket *s)
{
    if (s->bound)
        name_of(s)->reuse = s->reuseaddr;
}

/* Names both ends of the connection to be, its own as far as bind() has not. */
static int name_ends(struct nst_socks *socks, struct nst_flow_id *id,
                     const struct nst_sockaddr *peer)
{
    struct nst_path path;
    int err = nst_ip_path(socks->ip, &peer->addr, peer->link, &path);

    if (err)
        return err;
    id->peer = peer->addr;
    id->pport = peer->port;
    if (!nst_addr_is_set(&id->local)) /* MUST-43, MUST-44, MUST-45 */
        id->local = path.src;
    if (!id->lport && !(id->lport = nst_tcp_port_choose(socks->tcps, id)))
        return -EADDRNOTAVAIL;
    const struct nst_tcp_spread *spread = &socks->tcps->spread;
    return path.ours || nst_tcp_spread_of(spread, id) == spread->index ? 0 : -EXDEV;
}

static int stream_connect(struct nst_socks *socks, struct nst_socket *s,
                          const struct nst_sockaddr *peer)
{
    struct nst_tcb *t = s->tcb;
    int err;

    if (s->listening)
        return -EOPNOTSUPP;
    if (t->state == NST_TCP_SYN_SENT || t->state == NST_TCP_SYN_RECEIVED)
        return -EALREADY;
    if (t->state != NST_TCP_CLOSED)
        return -EISCONN;
    if (s->connected) /* it was, once: the attempt failed or the connection has ended */
        return t->error ? (err = -t->error, t->error = 0, err) : -ECONNABORTED;
    if (peer->addr.family != NST_AF_INET)
        return -EAFNOSUPPORT;
    if (peer->port == 0)
        return -EADDRNOTAVAIL;
    const struct nst_flow_id bound = t->flow.id;
    if ((err = name_ends(socks, &t->flow.id, peer)) || (err = nst_tcb_connect(t))) {
        t->flow.id = bound;
        return err;
    }
    s->connected = true;
    return nst_fastopen_waits(t) ? 0 : -EINPROGRESS;
}

/* ---- Listening ---------------------------------------------------------------------------------
 */

/* The options that were set before become those of the connections to come. */
static struct nst_tcp_listener *listener_new(struct nst_socks *socks, const struct nst_socket *s)
{
    struct nst_tcp_listener *l = nst_env_alloc(socks->env, sizeof *l);

    if (!l)
        return NULL;
    l->owner = owner_of(s);
    l->local = name_of(s)->local;
    l->member = s->handle;
    l->opt = s->tcb->opt;
    l->cc = nst_cc_of(&s->tcb->cc);
    return l;
}

static int stream_listen(struct nst_socks *socks, struct nst_socket *s, uint32_t backlog)
{
    const struct nst_sockaddr any = {.port = 0};
    struct nst_tcp_listener *l;
    int err;

    backlog = nst_min32(backlog, BACKLOG_MAX);
    if (s->listening) {
        s->listener->backlog = backlog;
        return 0;
    }
    if (s->connected)
        return -EINVAL;
    if (!s->bound && (err = stream_bind(socks, s, &any)))
        return err;
    if (!(l = listener_new(socks, s)))
        return -ENOMEM;
    if ((err = nst_tcp_name_listen(socks->tcps, name_of(s)))) {
        nst_env_free(socks->env, l, sizeof *l);
        return err;
    }
    l->backlog = backlog;
    nst_tcp_listen(socks->tcps, l);
    nst_tcb_free(s->tcb);
    s->listener = l;
    s->listening = true;
    return 0;
}

static int stream_accept(struct nst_socks *socks, struct nst_socket *s, uint64_t cookie,
                         nst_sock *out)
{
    struct nst_socket *child;
    struct nst_tcb *t;
    int err;

    if (!s->listening)
        return -EINVAL;
    if (nst_list_empty(&s->listener->accept))
        return -EAGAIN;
    if ((err = nst_sock_new(socks, &child, NST_SOCK_STREAM, NST_IPPROTO_TCP, cookie)))
        return err;
    *out = child->handle;
    t = nst_tcp_accept(s->listener);
    child->tcb = t;
    child->connected = true;
    child->reuseaddr = s->reuseaddr;
    t->owner = owner_of(child);
    nst_tcb_changed(t);
    return 0;
}

/* ---- Data -------------------------------------------------------------------------------- */

static int stream_error_take(struct nst_socket *s)
{
    int err = s->listening ? 0 : s->tcb->error;

    if (err)
        s->tcb->error = 0;
    return -err;
}

static int64_t stream_send(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg)
{
    if (s->listening)
        return -ENOTCONN;
    if (msg->flags & NST_SEND_FASTOPEN && s->tcb->state == NST_TCP_CLOSED && !s->connected) {
        s->tcb->opt.fastopen_connect = true;
        int err = stream_connect(socks, s, &msg->peer);
        if (err)
            return err;
    }
    if (s->tcb->error)
        return stream_error_take(s);
    return nst_tcb_send(s->tcb, msg->data, msg->ndata, msg->flags);
}

static int64_t stream_recv(struct nst_socket *s, struct nst_msg *msg, uint32_t flags)
{
    if (flags & NST_RECV_ERROR)
        return -EAGAIN;
    msg->peer = stream_peer(s);
    msg->local = stream_local(s);
    msg->truncated = false;
    return s->listening ? -ENOTCONN : nst_tcb_recv(s->tcb, msg->data, msg->ndata, flags);
}

static uint32_t stream_readiness(const struct nst_socket *s)
{
    if (s->listening)
        return (nst_list_empty(&s->listener->accept) ? 0u : NST_READY_IN) |
               (nst_list_linked(&s->listener->asking) ? NST_READY_SYN : 0u);
    return nst_tcb_readiness(s->tcb);
}

/* ---- Options ----------------------------------------------------------------------------- */

/* What a connection does at once about an option that was set. */
static void take_effect(struct nst_tcb *t, enum nst_opt opt)
{
    switch (opt) {
    case NST_OPT_NODELAY: /* MUST-17 */
        t->push_now |= t->opt.nodelay;
        break;
    case NST_OPT_CORK:
        t->push_now |= !t->opt.cork;
        break;
    case NST_OPT_KEEPALIVE: /* MUST-24 */
    case NST_OPT_KEEPIDLE:  /* MUST-27 */
        nst_tcb_keepalive_restart(t);
        break;
    case NST_OPT_PACING:
    case NST_OPT_MAX_PACING_RATE:
        if (t->act)
            nst_pace_update(t);
        break;
    case NST_OPT_HOLD:
        if (t->state >= NST_TCP_ESTABLISHED)
            nst_tcb_window_opened(t);
        break;
    default:
        break;
    }
    if (t->push_now && t->state >= NST_TCP_ESTABLISHED)
        nst_tcb_wants_output(t);
}

static struct nst_tcp_options *options_of(const struct nst_socket *s)
{
    return s->listening ? &s->listener->opt : &s->tcb->opt;
}

/* Those that are a number and nothing more: NST_OPT_, field, type. */
#define PLAIN_OPTIONS(X)                          \
    X(NODELAY, nodelay, bool)                     \
    X(CORK, cork, bool)                           \
    X(OOBINLINE, oobinline, bool)                 \
    X(DEFER_ACCEPT, defer_accept, bool)           \
    X(SYN_EVENTS, syn_events, bool)               \
    X(HOLD, hold, bool)                           \
    X(KEEPALIVE, keepalive, bool)                 \
    X(KEEPIDLE, keep_idle_s, uint16_t)            \
    X(KEEPINTVL, keep_interval_s, uint16_t)       \
    X(KEEPCNT, keep_count, uint8_t)               \
    X(MAXSEG, user_mss, uint16_t)                 \
    X(SYNCNT, syn_retries, uint8_t)               \
    X(LINGER, linger_s, int16_t)                  \
    X(LINGER2, linger2_s, int16_t)                \
    X(USER_TIMEOUT, user_timeout_ms, uint32_t)    \
    X(PACING, pacing, bool)                       \
    X(HYSTART, hystart, bool)                     \
    X(MAX_PACING_RATE, max_pacing_rate, uint32_t) \
    X(TTL, ttl, uint8_t)                          \
    X(ECN, ecn, uint8_t)                          \
    X(RECOVERY, recovery, uint8_t)                \
    X(FASTOPEN, fastopen_max, uint16_t)           \
    X(FASTOPEN_CONNECT, fastopen_connect, bool)

static int set_option(struct nst_tcp_options *o, enum nst_opt opt, int64_t value)
{
#define SET(name, field, type)  \
    case NST_OPT_##name:        \
        o->field = (type)value; \
        return 0;

    switch (opt) {
        PLAIN_OPTIONS(SET)
    case NST_OPT_TOS: /* SHLD-21; the ECN field is TCP's own */
        o->tos = (uint8_t)(value & 0xfc);
        return 0;
    case NST_OPT_MTU_PROBING:
        o->mtu_probing = (uint8_t)value & 3u;
        return 0;
    case NST_OPT_SNDBUF:
        o->sndbuf = (uint32_t)nst_max((size_t)value, BUF_MIN);
        o->sndbuf_fixed = true;
        return 0;
    case NST_OPT_RCVBUF:
        o->rcvbuf = (uint32_t)nst_max((size_t)value, BUF_MIN);
        o->rcvbuf_fixed = true;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
#undef SET
}

static int64_t max_segment(const struct nst_socket *s)
{
    const struct nst_tcb *t = s->tcb;

    return t && t->state != NST_TCP_CLOSED ? t->snd_mss : options_of(s)->user_mss;
}

static int get_option(const struct nst_tcp_options *o, enum nst_opt opt, int64_t *value)
{
#define GET(name, field, type) \
    case NST_OPT_##name:       \
        *value = o->field;     \
        return 0;

    switch (opt) {
        PLAIN_OPTIONS(GET)
    case NST_OPT_TOS:
        *value = o->tos;
        return 0;
    case NST_OPT_MTU_PROBING:
        *value = o->mtu_probing;
        return 0;
    case NST_OPT_SNDBUF:
        *value = o->sndbuf;
        return 0;
    case NST_OPT_RCVBUF:
        *value = o->rcvbuf;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
#undef GET
}

int nst_stream_setopt(struct nst_socket *s, enum nst_opt opt, int64_t value)
{
    int err;

    if (opt == NST_OPT_QUICKACK) {
        if (!s->listening)
            nst_tcb_quickack(s->tcb, value);
        return 0;
    }
    if ((err = set_option(options_of(s), opt, value)))
        return err;
    if (!s->listening)
        take_effect(s->tcb, opt);
    return 0;
}

int nst_stream_getopt(const struct nst_socks *socks, const struct nst_socket *s, enum nst_opt opt,
                      int64_t *value)
{
    const struct nst_tcp_options *o = options_of(s);

    switch (opt) {
    case NST_OPT_QUICKACK:
        *value = !s->listening && s->tcb->quick && !s->tcb->pingpong;
        return 0;
    case NST_OPT_MAXSEG: /* the effective one */
        *value = max_segment(s);
        return 0;
    case NST_OPT_TTL:
        *value = o->ttl ? o->ttl : socks->ip->ttl;
        return 0;
    case NST_OPT_URGENT:
        *value = s->listening ? -1 : nst_tcb_urgent_at(s->tcb);
        return 0;
    default:
        return get_option(o, opt, value);
    }
}

static void stream_info(const struct nst_socket *s, struct nst_sock_info *out)
{
    out->local = stream_local(s);
    out->peer = stream_peer(s);
    if (s->listening) {
        out->state = NST_TCP_LISTEN;
        out->rx_bytes = s->listener->naccept;
        out->tx_bytes = s->listener->backlog;
    } else {
        out->state = s->tcb->state;
        out->rx_bytes = nst_tcb_unread(s->tcb);
        out->tx_bytes = nst_tcb_unacked(s->tcb);
        out->memory_bytes = nst_tcb_received_mem(s->tcb) + out->tx_bytes;
    }
}

static int stream_shutdown(struct nst_socket *s, enum nst_shutdown how)
{
    if (s->listening)
        return -ENOTCONN;
    return nst_tcb_shutdown(s->tcb, how & NST_SHUT_RD, how & NST_SHUT_WR);
}

int nst_stream_set_congestion(struct nst_socket *s, const char *name)
{
    const struct nst_cc_ops *ops = nst_cc_find(name);

    if (s->listening || s->connected)
        return -EINVAL;
    if (!ops)
        return -ENOENT;
    s->tcb->cc.number = ops->number;
    return 0;
}

const struct nst_sock_kind nst_stream_kind = {
    .open = stream_open,
    .close = stream_close,
    .bind = stream_bind,
    .connect = stream_connect,
    .listen = stream_listen,
    .accept = stream_accept,
    .shutdown = stream_shutdown,
    .send = stream_send,
    .recv = stream_recv,
    .error_take = stream_error_take,
    .readiness = stream_readiness,
    .info = stream_info,
};
