/* The multicast groups that sockets have joined. A membership is one thing that one socket wants: a
 * group on an interface, from any source or from a single one. What the memberships of all sockets
 * come to for an interface is counted in its groups (link/group.h). */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/sock/socket.h"

#define MEMBERSHIPS_MAX 64 /* of one socket */

struct nst_membership {
    struct nst_list node; /* of its socket's */
    struct nst_group *group;
    struct nst_addr source; /* unspecified: any */
};

static struct nst_membership *membership_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_membership, node);
}

nst_link nst_sock_link_to(const struct nst_socket *s, const struct nst_addr *dst)
{
    return s->dgram->local.link || !nst_addr_is_multicast(dst) ? s->dgram->local.link
                                                               : s->dgram->multicast_link;
}

/* The interface that the caller means; NULL when there is none. */
static struct nst_iface *find_iface(struct nst_socks *socks, nst_link link,
                                    const struct nst_addr *group)
{
    struct nst_path path;

    if (link)
        return nst_iface_of(socks->ip->ifaces, link);
    return nst_ip_path(socks->ip, group, 0, &path) == -ENETUNREACH ? NULL : path.hop.iface;
}

/* Whether it is one of the group, on the link if that is not 0. */
static bool is_of(const struct nst_membership *m, nst_link link, const struct nst_addr *group)
{
    return (!link || m->group->iface->link == link) && nst_addr_eq(&m->group->addr, group);
}

/* Whether the socket may join so, beside what it has joined already. */
static int check_joined(const struct nst_socket *s, const struct nst_iface *iface,
                        const struct nst_addr *group, const struct nst_addr *source)
{
    NST_LIST_FOREACH (e, &s->dgram->memberships) {
        const struct nst_membership *m = membership_of(e);
        if (!is_of(m, iface->link, group))
            continue;
        if (nst_addr_eq(&m->source, source))
            return -EADDRINUSE;
        if (!nst_addr_is_set(&m->source) || !nst_addr_is_set(source))
            return -EINVAL;
    }
    return s->dgram->nmemberships < MEMBERSHIPS_MAX ? 0 : -ENOBUFS;
}

static int add(struct nst_socks *socks, struct nst_socket *s, struct nst_iface *iface,
               const struct nst_addr *group, const struct nst_addr *source)
{
    struct nst_membership *m = nst_env_alloc(socks->env, sizeof *m);
    int err;

    if (!m)
        return -ENOMEM;
    if ((err = nst_igmp_join(socks->igmp, iface, group, source, &m->group))) {
        nst_env_free(socks->env, m, sizeof *m);
        return err;
    }
    m->source = *source;
    nst_list_push_back(&s->dgram->memberships, &m->node);
    s->dgram->nmemberships++;
    return 0;
}

int nst_sock_join(struct nst_socks *socks, struct nst_socket *s, nst_link link,
                  const struct nst_addr *group, const struct nst_addr *source)
{
    const struct nst_addr any = {0}, *from = source ? source : &any;
    struct nst_iface *iface;
    int err;

    if (s->type != NST_SOCK_DGRAM && s->type != NST_SOCK_RAW)
        return -ENOPROTOOPT;
    if (group->family != NST_AF_INET || !nst_addr_is_multicast(group))
        return -EINVAL;
    if (source && (source->family != group->family || !nst_addr_is_host(source)))
        return -EINVAL;
    if (!(iface = find_iface(socks, link, group)))
        return -ENODEV;
    if ((err = check_joined(s, iface, group, from)))
        return err;
    return add(socks, s, iface, group, from);
}

static void end(struct nst_socks *socks, struct nst_socket *s, struct nst_membership *m)
{
    nst_igmp_leave(socks->igmp, m->group, &m->source);
    nst_list_del(&m->node);
    s->dgram->nmemberships--;
    nst_env_free(socks->env, m, sizeof *m);
}

int nst_sock_leave(struct nst_socks *socks, struct nst_socket *s, nst_link link,
                   const struct nst_addr *group, const struct nst_addr *source)
{
    int result = -EADDRNOTAVAIL;

    if (!s->dgram)
        return -ENOPROTOOPT;
    NST_LIST_FOREACH_SAFE (e, &s->dgram->memberships) {
        struct nst_membership *m = membership_of(e);
        if (!is_of(m, link, group) || (source && !nst_addr_eq(&m->source, source)))
            continue;
        end(socks, s, m);
        result = 0;
    }
    return result;
}

void nst_sock_leave_all(struct nst_socks *socks, struct nst_socket *s)
{
    NST_LIST_FOREACH_SAFE (e, &s->dgram->memberships)
        end(socks, s, membership_of(e));
}

bool nst_sock_hears(const struct nst_socket *s, const struct nst_pkt *pkt)
{
    bool joined = false;

    if (!nst_addr_is_multicast(&pkt->ip.dst))
        return true;
    NST_LIST_FOREACH (e, &s->dgram->memberships) {
        const struct nst_membership *m = membership_of(e);
        if (!is_of(m, pkt->link, &pkt->ip.dst))
            continue;
        if (!nst_addr_is_set(&m->source) || nst_addr_eq(&m->source, &pkt->ip.src))
            return true;
        joined = true;
    }
    return !joined;
}
