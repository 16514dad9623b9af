/* The owner's socket calls: from a handle to its socket, and on to its kind. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/pkt/loan.h"
#include "core/stack/stack.h"

_Static_assert(NST_SEND_SLICES == NST_SENDQ_ROOM, "what is reserved fits");

static struct nst_socket *find(struct nst_stack *stack, nst_sock sock)
{
    return nst_sock_find(&stack->socks, sock);
}

int nst_socket(struct nst_stack *stack, nst_sock *out, enum nst_family family,
               enum nst_sock_type type, uint8_t protocol, uint64_t cookie)
{
    return nst_sock_open(&stack->socks, out, family, type, protocol, cookie);
}

int nst_set_cookie(struct nst_stack *stack, nst_sock sock, uint64_t cookie)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    s->cookie = cookie;
    return 0;
}

int nst_close(struct nst_stack *stack, nst_sock sock)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    nst_sock_close(&stack->socks, s);
    return 0;
}

/* What either end's name must be for every kind of socket. */
static int check_name(const struct nst_stack *stack, const struct nst_sockaddr *name)
{
    if (nst_addr_is_set(&name->addr) && name->addr.family != NST_AF_INET)
        return -EAFNOSUPPORT;
    return name->link && !nst_iface_of(&stack->ifaces, name->link) ? -ENODEV : 0;
}

int nst_bind(struct nst_stack *stack, nst_sock sock, const struct nst_sockaddr *local)
{
    struct nst_socket *s = find(stack, sock);
    int err = s ? check_name(stack, local) : -EBADF;

    return err ? err : nst_sock_kind(s)->bind(&stack->socks, s, local);
}

int nst_connect(struct nst_stack *stack, nst_sock sock, const struct nst_sockaddr *peer)
{
    struct nst_socket *s = find(stack, sock);
    int err = s ? check_name(stack, peer) : -EBADF;

    if (err)
        return err;
    return nst_sock_kind(s)->connect ? nst_sock_kind(s)->connect(&stack->socks, s, peer)
                                     : -EOPNOTSUPP;
}

int nst_listen(struct nst_stack *stack, nst_sock sock, uint32_t backlog)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    return nst_sock_kind(s)->listen ? nst_sock_kind(s)->listen(&stack->socks, s, backlog)
                                    : -EOPNOTSUPP;
}

int nst_accept(struct nst_stack *stack, nst_sock sock, nst_sock *out, uint64_t cookie)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    return nst_sock_kind(s)->accept ? nst_sock_kind(s)->accept(&stack->socks, s, cookie, out)
                                    : -EOPNOTSUPP;
}

int nst_shutdown(struct nst_stack *stack, nst_sock sock, enum nst_shutdown how)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    return nst_sock_kind(s)->shutdown ? nst_sock_kind(s)->shutdown(s, how) : -EOPNOTSUPP;
}

int64_t nst_send(struct nst_stack *stack, nst_sock sock, const struct nst_msg *msg)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_kind(s)->send(&stack->socks, s, msg) : -EBADF;
}

int64_t nst_recv(struct nst_stack *stack, nst_sock sock, struct nst_msg *msg, uint32_t flags)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_kind(s)->recv(s, msg, flags) : -EBADF;
}

/* ---- A stream's queues, in place ------------------------------------------------------------ */

static int find_tcb(struct nst_stack *stack, nst_sock sock, struct nst_tcb **out)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    if (s->type != NST_SOCK_STREAM)
        return -EOPNOTSUPP;
    *out = s->tcb;
    return s->listening ? -ENOTCONN : 0;
}

int nst_send_reserve(struct nst_stack *stack, nst_sock sock, size_t len,
                     struct nst_slice out[NST_SEND_SLICES])
{
    struct nst_tcb *t;
    int err = find_tcb(stack, sock, &t);

    if (!err)
        err = nst_stream_kind.error_take(find(stack, sock));
    return err ? err : nst_tcb_reserve(t, len, out);
}

int nst_send_commit(struct nst_stack *stack, nst_sock sock, size_t len, uint32_t flags)
{
    struct nst_tcb *t;
    int err = find_tcb(stack, sock, &t);

    if (!err)
        nst_tcb_commit(t, len, flags);
    return err;
}

int nst_recv_peek(struct nst_stack *stack, nst_sock sock, struct nst_slice *out, size_t max)
{
    struct nst_tcb *t;
    int err = find_tcb(stack, sock, &t);

    return err ? err : nst_tcb_peek(t, out, max);
}

int nst_recv_consume(struct nst_stack *stack, nst_sock sock, size_t len)
{
    struct nst_tcb *t;
    int err = find_tcb(stack, sock, &t);

    return err ? err : nst_tcb_consume(t, len);
}

/* ---- Memory of the owner's ------------------------------------------------------------------- */

int nst_lend(struct nst_stack *stack, struct nst_loan **out, const void *base, size_t len,
             uint64_t cookie)
{
    *out = nst_pool_lend(&stack->pool, base, len, cookie);
    return *out ? 0 : -ENOMEM;
}

void nst_lend_end(struct nst_stack *stack, struct nst_loan *loan)
{
    nst_pool_lend_end(&stack->pool, loan);
}

int64_t nst_send_lent(struct nst_stack *stack, nst_sock sock, struct nst_loan *loan, size_t offset,
                      size_t len, uint32_t flags)
{
    struct nst_tcb *t;
    int err = find_tcb(stack, sock, &t);

    if (err)
        return err;
    if (offset > loan->len || len > loan->len - offset)
        return -EINVAL;
    return nst_tcb_send_lent(t, loan, offset, len, flags);
}

/* ---- Options and information ---------------------------------------------------------------- */

int nst_join(struct nst_stack *stack, nst_sock sock, nst_link link, const struct nst_addr *group,
             const struct nst_addr *source)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_join(&stack->socks, s, link, group, source) : -EBADF;
}

int nst_leave(struct nst_stack *stack, nst_sock sock, nst_link link, const struct nst_addr *group,
              const struct nst_addr *source)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_leave(&stack->socks, s, link, group, source) : -EBADF;
}

int nst_stack_setopt(struct nst_stack *stack, enum nst_stack_opt opt, int64_t value)
{
    static const int64_t most[] = {[NST_STACK_TCP_ECN] = NST_TCP_ECN_ACCEPT,
                                   [NST_STACK_TCP_FASTOPEN] = UINT16_MAX,
                                   [NST_STACK_TCP_MTU_PROBING] = NST_TCP_MTU_PROBING_ALWAYS,
                                   [NST_STACK_TCP_PACING] = 1,
                                   [NST_STACK_TCP_HYSTART] = 1,
                                   [NST_STACK_TCP_RECOVERY] = NST_TCP_RECOVERY_ALL,
                                   [NST_STACK_TCP_METRICS] = NST_TCP_METRICS_ALL};
    struct nst_tcp_config *c = &stack->tcps.config;

    if (opt >= NST_ARRAY_LEN(most) || value < 0 || value > most[opt])
        return -EINVAL;
    switch (opt) {
    case NST_STACK_TCP_ECN:
        c->ecn = (uint8_t)value;
        break;
    case NST_STACK_TCP_FASTOPEN:
        c->fastopen = (uint16_t)value;
        break;
    case NST_STACK_TCP_MTU_PROBING:
        c->mtu_probing = (uint8_t)value;
        break;
    case NST_STACK_TCP_PACING:
        c->pacing = value;
        break;
    case NST_STACK_TCP_HYSTART:
        c->hystart = value;
        break;
    case NST_STACK_TCP_RECOVERY:
        c->recovery = (uint8_t)value;
        break;
    case NST_STACK_TCP_METRICS:
        c->metrics = (uint8_t)value;
        break;
    }
    return 0;
}

int nst_setopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t value)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    if (opt == NST_OPT_MULTICAST_LINK && (uint64_t)value > stack->ifaces.n)
        return -ENODEV;
    return nst_sock_setopt(s, opt, value);
}

int nst_getopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t *value)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_getopt(&stack->socks, s, opt, value) : -EBADF;
}

int nst_set_congestion(struct nst_stack *stack, nst_sock sock, const char *name)
{
    struct nst_socket *s = find(stack, sock);

    if (sock == 0)
        return nst_tcp_set_congestion(&stack->tcps, name);
    if (!s)
        return -EBADF;
    return s->type == NST_SOCK_STREAM ? nst_stream_set_congestion(s, name) : -EOPNOTSUPP;
}

const char *nst_get_congestion(const struct nst_stack *stack, nst_sock sock)
{
    const struct nst_socket *s = nst_sock_find(&stack->socks, sock);

    if (sock == 0)
        return stack->tcps.config.cc->name;
    const struct nst_tcb *t = s ? nst_sock_tcb(s) : NULL;
    return t ? nst_cc_of(&t->cc)->name : NULL;
}

int nst_info(const struct nst_stack *stack, nst_sock sock, struct nst_sock_info *out)
{
    const struct nst_socket *s = nst_sock_find(&stack->socks, sock);

    if (!s)
        return -EBADF;
    nst_sock_info(s, out);
    return 0;
}

int nst_tcp_info(const struct nst_stack *stack, nst_sock sock, struct nst_tcp_info *out)
{
    const struct nst_socket *s = nst_sock_find(&stack->socks, sock);

    if (!s)
        return -EBADF;
    if (s->type != NST_SOCK_STREAM)
        return -EOPNOTSUPP;
    if (s->listening)
        return -ENOTCONN;
    nst_tcb_info(s->tcb, out);
    return 0;
}

size_t nst_metrics_flush(struct nst_stack *stack, const struct nst_addr *peer)
{
    return nst_metrics_forget(&stack->tcps, peer);
}

size_t nst_sock_list(const struct nst_stack *stack, uint64_t *cursor, struct nst_sock_info *out,
                     size_t max)
{
    return nst_socks_list(&stack->socks, cursor, out, max);
}

/* The conflicts over our addresses that the owner was not told of yet. */
static size_t conflict_events(struct nst_stack *stack, struct nst_event *events, size_t max)
{
    size_t n = 0;

    if (!stack->env.contested)
        return 0;
    for (unsigned l = 0; l < stack->ifaces.n; l++) {
        struct nst_iface *iface = stack->ifaces.list[l];
        for (unsigned i = 0; i < iface->naddrs && n < max; i++) {
            struct nst_ifaddr *a = &iface->addrs[i];
            if (!a->contested)
                continue;
            a->contested = false;
            events[n++] = (struct nst_event){.kind = NST_EVENT_CONFLICT,
                                             .link = iface->link,
                                             .addr = a->prefix.addr,
                                             .mac = a->contender,
                                             .addr_state = a->state};
        }
    }
    stack->env.contested = n == max; /* there may be more */
    return n;
}

size_t nst_events(struct nst_stack *stack, struct nst_event *events, size_t max)
{
    size_t n = conflict_events(stack, events, max);

    if (!nst_list_empty(&stack->pool.returned))
        n += nst_loan_events(&stack->pool, events + n, max - n);
    return n + nst_sock_events(&stack->socks, events + n, max - n);
}
