#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

static struct nst_pkt *pkt_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_pkt, node);
}

/* ---- Readiness ---------------------------------------------------------------------------- */

uint32_t nst_sock_readiness(const struct nst_socket *s)
{
    return (nst_list_empty(&s->dgram->rxq) ? 0u : NST_READY_IN) |
           (s->dgram->tx_mem < s->dgram->sndbuf && !s->dgram->tx_blocked ? NST_READY_OUT : 0u) |
           (s->dgram->error || !nst_list_empty(&s->dgram->errq) ? NST_READY_ERR : 0u);
}

/* Something new for the owner: an event is due, even if the socket was ready before. */
static void changed(struct nst_socks *socks, struct nst_socket *s)
{
    if (!nst_list_linked(&s->changed))
        nst_list_push_back(&socks->changed, &s->changed);
}

/* What TCP says of its connections and listeners. */
static void pull_tcp_changes(struct nst_socks *socks)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&socks->tcps->changed)))
        changed(socks, nst_stream_socket(NST_CONTAINER(e, struct nst_tcb, place)->owner));
    while ((e = nst_list_pop_front(&socks->tcps->changed_listeners)))
        changed(socks,
                nst_stream_socket(NST_CONTAINER(e, struct nst_tcp_listener, changed_node)->owner));
}

size_t nst_sock_events(struct nst_socks *socks, struct nst_event *events, size_t max)
{
    size_t n = 0;

    pull_tcp_changes(socks);

    while (n < max && !nst_list_empty(&socks->changed)) {
        struct nst_list *e = nst_list_pop_front(&socks->changed);
        struct nst_socket *s = NST_CONTAINER(e, struct nst_socket, changed);
        uint32_t ready = nst_sock_kind(s)->readiness(s);
        if (ready)
            events[n++] = (struct nst_event){
                .kind = NST_EVENT_READY, .sock = s->handle, .cookie = s->cookie, .ready = ready};
    }
    return n;
}

int nst_sock_error_take(struct nst_socket *s)
{
    int error = s->dgram->error;

    s->dgram->error = 0;
    return -error;
}

/* ---- In ---------------------------------------------------------------------------------- */

void nst_sock_rx_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt)
{
    size_t mem = nst_pkt_truesize(pkt);
    enum nst_drop drop = s->dgram->rx_mem + mem > s->dgram->rcvbuf ? NST_DROP_sock_rcvbuf
                         : nst_pool_is_scarce(socks->pool)         ? NST_DROP_no_memory
                                                                   : NST_DROP_NONE;

    if (drop) {
        s->dgram->rx_drops++;
        nst_pkt_drop(pkt, drop);
        return;
    }
    s->dgram->rx_mem += mem;
    s->dgram->rx_bytes += pkt->len;
    nst_list_push_back(&s->dgram->rxq, &pkt->node);
    changed(socks, s);
}

/* Only an error queue tells of everything; otherwise a connected socket learns of what will not get
 * better (1122-65, 1122-66, 1122-77), and with the next call. */
void nst_sock_error_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt,
                              const struct nst_sock_error *error)
{
    size_t mem = pkt ? nst_pkt_truesize(pkt) : 0;
    bool hard = error->err == ECONNREFUSED || error->err == ENOPROTOOPT || error->err == EPROTO;

    if (s->recverr && pkt && s->dgram->err_mem + mem <= s->dgram->rcvbuf &&
        !nst_pool_is_scarce(socks->pool)) {
        pkt->error = *error;
        pkt->time = socks->env->now;
        s->dgram->err_mem += mem;
        nst_list_push_back(&s->dgram->errq, &pkt->node);
        changed(socks, s);
        return;
    }
    nst_pkt_free(pkt);
    if (!s->recverr && hard && nst_addr_is_set(&s->dgram->peer.addr)) {
        s->dgram->error = error->err;
        changed(socks, s);
    }
}

/* Copies as much as fits into the message's slices. */
static void copy_out(const struct nst_pkt *pkt, struct nst_msg *msg)
{
    size_t off = 0;

    for (size_t i = 0; i < msg->ndata && off < pkt->len; i++) {
        size_t n = nst_min(msg->data[i].len, pkt->len - off);
        nst_pkt_read(pkt, off, msg->data[i].base, n);
        off += n;
    }
    msg->truncated = off < pkt->len;
}

/* What surrounds the datagram (1122-165, 1122-171, 1122-180, 1122-188); an error tells where the
 * datagram had been going. */
static void describe(const struct nst_pkt *pkt, bool error, struct nst_msg *msg)
{
    const struct nst_sockaddr src = {pkt->ip.src, pkt->sport, pkt->link};
    const struct nst_sockaddr dst = {pkt->ip.dst, pkt->dport, pkt->link};

    msg->peer = error ? dst : src;
    msg->local = error ? src : dst;
    msg->ttl = pkt->ip.ttl;
    msg->tos = pkt->ip.tos;
    msg->segment_bytes = pkt->offload.gso == NST_GSO_UDP ? pkt->offload.gso_size : 0;
    msg->time = pkt->time;
    msg->error = pkt->error;
    msg->options_len = pkt->ip.options_len;
    memcpy(msg->options, pkt->ip.options, sizeof msg->options);
}

int64_t nst_sock_recv(struct nst_socket *s, struct nst_msg *msg, uint32_t flags)
{
    bool from_errors = flags & NST_RECV_ERROR;
    struct nst_list *queue = from_errors ? &s->dgram->errq : &s->dgram->rxq;
    int err = from_errors ? 0 : nst_sock_error_take(s);

    if (err)
        return err;
    if (nst_list_empty(queue))
        return -EAGAIN;
    struct nst_pkt *pkt = pkt_of(queue->next);
    int64_t len = (int64_t)pkt->len;
    copy_out(pkt, msg);
    describe(pkt, from_errors, msg);
    if (flags & NST_RECV_PEEK)
        return len;
    nst_list_del(&pkt->node);
    if (from_errors) {
        s->dgram->err_mem -= nst_pkt_truesize(pkt);
    } else {
        s->dgram->rx_mem -= nst_pkt_truesize(pkt);
        s->dgram->rx_bytes -= pkt->len;
    }
    nst_pkt_free(pkt);
    return len;
}

/* ---- Out --------------------------------------------------------------------------------- */

size_t nst_msg_len(const struct nst_msg *msg)
{
    size_t len = 0;

    for (size_t i = 0; i < msg->ndata; i++)
        len += msg->data[i].len;
    return len;
}

int nst_sock_tx_copy(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg,
                     struct nst_pkt **out)
{
    size_t off = 0;

    if (s->dgram->tx_mem >= s->dgram->sndbuf) {
        s->dgram->tx_blocked = true;
        return -EAGAIN;
    }
    if (nst_pool_is_scarce(socks->pool))
        return -ENOBUFS;
    struct nst_pkt *pkt = nst_pkt_new(socks->pool, NST_PKT_HEADROOM, nst_msg_len(msg));
    if (!pkt)
        return -ENOBUFS;
    for (size_t i = 0; i < msg->ndata; i++) {
        nst_pkt_write(pkt, off, msg->data[i].base, msg->data[i].len);
        off += msg->data[i].len;
    }
    *out = pkt;
    return 0;
}

void nst_sock_tx_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt)
{
    s->dgram->tx_mem += nst_pkt_truesize(pkt);
    s->dgram->tx_bytes += pkt->len;
    nst_list_push_back(&s->dgram->txq, &pkt->node);
    if (!nst_list_linked(&s->dgram->sending))
        nst_list_push_back(&socks->sending, &s->dgram->sending);
}

struct nst_pkt *nst_sock_tx_pull(struct nst_socks *socks, struct nst_socket *s)
{
    struct nst_pkt *pkt = pkt_of(nst_list_pop_front(&s->dgram->txq));

    s->dgram->tx_mem -= nst_pkt_truesize(pkt);
    s->dgram->tx_bytes -= pkt->len;
    /* Who was refused is told once half of the room is free again, not for each datagram. */
    if (s->dgram->tx_blocked && s->dgram->tx_mem <= s->dgram->sndbuf / 2) {
        s->dgram->tx_blocked = false;
        changed(socks, s);
    }
    return pkt;
}

static void queue_free(struct nst_list *queue, bool received)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(queue))) {
        if (received)
            nst_pkt_drop(pkt_of(e), NST_DROP_sock_closed);
        else
            nst_pkt_free(pkt_of(e));
    }
}

void nst_sock_queues_free(struct nst_dgram *d)
{
    queue_free(&d->rxq, true);
    queue_free(&d->txq, false);
    queue_free(&d->errq, false);
}
