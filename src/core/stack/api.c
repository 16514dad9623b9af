/* The owner's socket calls: from a handle to its socket, and on to its kind. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/stack/stack.h"

static struct nst_socket *find(struct nst_stack *stack, nst_sock sock)
{
    return nst_sock_find(&stack->socks, sock);
}

int nst_socket(struct nst_stack *stack, nst_sock *out, enum nst_family family,
               enum nst_sock_type type, uint8_t protocol, uint64_t cookie)
{
    return nst_sock_open(&stack->socks, out, family, type, protocol, cookie);
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
    int err = check_name(stack, local);

    if (!s)
        return -EBADF;
    if (err)
        return err;
    switch (s->type) {
    case NST_SOCK_PACKET:
        return nst_packet_bind(&stack->socks, s, local);
    case NST_SOCK_RAW:
        return nst_raw_bind(&stack->socks, s, local);
    default:
        return nst_dgram_bind(&stack->socks, s, local);
    }
}

int nst_connect(struct nst_stack *stack, nst_sock sock, const struct nst_sockaddr *peer)
{
    struct nst_socket *s = find(stack, sock);
    int err = check_name(stack, peer);

    if (!s)
        return -EBADF;
    if (err)
        return err;
    switch (s->type) {
    case NST_SOCK_PACKET:
        return -EOPNOTSUPP;
    case NST_SOCK_RAW:
        return nst_raw_connect(&stack->socks, s, peer);
    default:
        return nst_dgram_connect(&stack->socks, s, peer);
    }
}

int64_t nst_send(struct nst_stack *stack, nst_sock sock, const struct nst_msg *msg)
{
    struct nst_socket *s = find(stack, sock);

    if (!s)
        return -EBADF;
    return s->type == NST_SOCK_PACKET ? nst_packet_send(&stack->socks, s, msg)
                                      : nst_sock_send(&stack->socks, s, msg);
}

int64_t nst_recv(struct nst_stack *stack, nst_sock sock, struct nst_msg *msg, uint32_t flags)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_recv(s, msg, flags) : -EBADF;
}

int nst_setopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t value)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_setopt(s, opt, value) : -EBADF;
}

int nst_getopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t *value)
{
    struct nst_socket *s = find(stack, sock);

    return s ? nst_sock_getopt(&stack->socks, s, opt, value) : -EBADF;
}

int nst_info(const struct nst_stack *stack, nst_sock sock, struct nst_sock_info *out)
{
    const struct nst_socket *s = nst_sock_find(&stack->socks, sock);

    if (!s)
        return -EBADF;
    nst_sock_info(s, out);
    return 0;
}

/* The conflicts over our addresses that the owner was not told of yet. */
static size_t conflict_events(struct nst_stack *stack, struct nst_event *events, size_t max)
{
    size_t n = 0;

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
    return n;
}

size_t nst_events(struct nst_stack *stack, struct nst_event *events, size_t max)
{
    size_t n = conflict_events(stack, events, max);

    return n + nst_sock_events(&stack->socks, events + n, max - n);
}
