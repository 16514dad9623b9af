#include <assert.h>
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/share.h"
#include "core/sock/socket.h"

/* The range of a current Linux (6056-1); identifiers of echo sockets may be any but 0. */
#define PORT_FIRST 32768
#define PORT_LAST  60999

void nst_socks_init(struct nst_socks *socks, struct nst_pool *pool, struct nst_ip *ip,
                    struct nst_igmp *igmp, struct nst_tcps *tcps, uint32_t max)
{
    *socks = (struct nst_socks){.env = pool->env,
                                .pool = pool,
                                .ip = ip,
                                .igmp = igmp,
                                .tcps = tcps,
                                .max = max,
                                .generation = 1};
    socks->key = nst_prng_key(pool->env->seed, "ports");
    nst_list_init(&socks->raws);
    nst_list_init(&socks->packets);
    nst_list_init(&socks->sending);
    nst_list_init(&socks->changed);
    for (unsigned i = 0; i < NST_SOCK_BUCKETS; i++)
        nst_list_init(&socks->buckets[i]);
}

void nst_socks_fini(struct nst_socks *socks)
{
    for (uint32_t i = 0; i < socks->nslots; i++)
        if (socks->slots[i])
            nst_sock_close(socks, socks->slots[i]);
    nst_env_free(socks->env, socks->slots, socks->nslots * sizeof(struct nst_socket *));
}

/* ---- Handles: a generation, and the slot's number plus one -------------------------------- */

/* Whenever a socket ends a generation does, so what has its slot next has another handle: only when
 * 2^32 have ended may it be the same. */
static nst_sock handle_of(uint32_t slot, uint32_t generation)
{
    return (nst_sock)generation << 32 | (slot + 1);
}

struct nst_socket *nst_sock_find(const struct nst_socks *socks, nst_sock handle)
{
    uint32_t slot = (uint32_t)handle - 1;
    struct nst_socket *s = slot < socks->nslots ? socks->slots[slot] : NULL;

    return s && s->handle == handle ? s : NULL;
}

/* Doubles the slots. */
static bool slots_grow(struct nst_socks *socks)
{
    uint32_t n = socks->nslots ? 2 * socks->nslots : 16;
    struct nst_socket **slots = nst_env_alloc(socks->env, n * sizeof(struct nst_socket *));

    if (!slots)
        return false;
    if (socks->nslots)
        memcpy(slots, socks->slots, socks->nslots * sizeof(struct nst_socket *));
    nst_env_free(socks->env, socks->slots, socks->nslots * sizeof(struct nst_socket *));
    socks->next_free = socks->nslots;
    socks->slots = slots;
    socks->nslots = n;
    return true;
}

/* A free slot; UINT32_MAX without memory. */
static uint32_t slot_find(struct nst_socks *socks)
{
    if (socks->count == socks->nslots && !slots_grow(socks))
        return UINT32_MAX;
    while (socks->slots[socks->next_free])
        socks->next_free = (socks->next_free + 1) % socks->nslots;
    return socks->next_free;
}

/* The protocol that the call means; 0 for none that there is. */
static int check_kind(enum nst_family family, enum nst_sock_type type, uint8_t *protocol)
{
    switch (type) {
    case NST_SOCK_PACKET:
        return 0;
    case NST_SOCK_DGRAM:
        if (*protocol == 0)
            *protocol = NST_IPPROTO_UDP;
        if (*protocol != NST_IPPROTO_UDP && *protocol != NST_IPPROTO_ICMP)
            return -EPROTONOSUPPORT;
        break;
    case NST_SOCK_RAW:
        if (*protocol == 0)
            return -EPROTONOSUPPORT;
        break;
    case NST_SOCK_STREAM:
        if (*protocol == 0)
            *protocol = NST_IPPROTO_TCP;
        if (*protocol != NST_IPPROTO_TCP)
            return -EPROTONOSUPPORT;
        break;
    default:
        return -EINVAL;
    }
    return family == NST_AF_INET ? 0 : -EAFNOSUPPORT;
}

const struct nst_sock_kind *nst_sock_kind(const struct nst_socket *s)
{
    static const struct nst_sock_kind *const kinds[] = {
        [NST_SOCK_STREAM] = &nst_stream_kind,
        [NST_SOCK_DGRAM] = &nst_dgram_kind,
        [NST_SOCK_RAW] = &nst_raw_kind,
        [NST_SOCK_PACKET] = &nst_packet_kind,
    };

    return kinds[s->type];
}

static void socket_init(struct nst_socket *s, enum nst_sock_type type, uint8_t protocol)
{
    s->type = (uint8_t)type;
    s->proto = protocol;
    nst_list_init(&s->changed);
}

int nst_sock_new(struct nst_socks *socks, struct nst_socket **out, enum nst_sock_type type,
                 uint8_t protocol, uint64_t cookie)
{
    struct nst_socket *s;

    if (socks->count >= socks->max)
        return -ENFILE;
    uint32_t slot = slot_find(socks);
    if (slot == UINT32_MAX || !(s = nst_env_alloc(socks->env, sizeof *s)))
        return -ENOMEM;
    socket_init(s, type, protocol);
    s->cookie = cookie;
    s->handle = handle_of(slot, socks->generation);
    socks->slots[slot] = s;
    socks->count++;
    NST_COUNT(socks->env, sock_opened);
    *out = s;
    return 0;
}

static void socket_free(struct nst_socks *socks, struct nst_socket *s)
{
    nst_list_del(&s->changed);
    socks->slots[(uint32_t)s->handle - 1] = NULL;
    socks->generation++;
    socks->count--;
    NST_COUNT(socks->env, sock_closed);
    nst_env_free(socks->env, s, sizeof *s);
}

int nst_sock_open(struct nst_socks *socks, nst_sock *out, enum nst_family family,
                  enum nst_sock_type type, uint8_t protocol, uint64_t cookie)
{
    struct nst_socket *s;
    int err = check_kind(family, type, &protocol);

    if (err || (err = nst_sock_new(socks, &s, type, protocol, cookie)))
        return err;
    if ((err = nst_sock_kind(s)->open(socks, s))) {
        socket_free(socks, s);
        return err;
    }
    *out = s->handle;
    return 0;
}

void nst_sock_close(struct nst_socks *socks, struct nst_socket *s)
{
    nst_sock_kind(s)->close(socks, s);
    socket_free(socks, s);
}

/* ---- Ports -------------------------------------------------------------------------------- */

/* Of each protocol no more than 64 ports have one bucket, and only who binds them makes it so: that
 * takes no secret. */
static struct nst_list *bucket_of(struct nst_socks *socks, uint8_t proto, uint16_t port)
{
    return &socks->buckets[(port + proto) % NST_SOCK_BUCKETS];
}

static struct nst_socket *socket_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_dgram, place)->socket;
}

/* Whether two that are bound may have one name: both have SO_REUSEADDR, or are of one group. */
static bool may_share(const struct nst_socket *a, const struct nst_socket *b)
{
    return (a->reuseaddr && b->reuseaddr) || (a->group && a->group == b->group);
}

/* By a socket that won't share it with `for_whom` (NULL: with anybody). */
static bool port_is_taken(struct nst_socks *socks, uint8_t proto, const struct nst_addr *addr,
                          uint16_t port, const struct nst_socket *for_whom)
{
    NST_LIST_FOREACH (e, bucket_of(socks, proto, port)) {
        const struct nst_socket *s = socket_of(e);
        if (s->proto == proto && s->dgram->local.port == port &&
            !(for_whom && may_share(s, for_whom)) &&
            (!nst_addr_is_set(addr) || !nst_addr_is_set(&s->dgram->local.addr) ||
             nst_addr_eq(addr, &s->dgram->local.addr)))
            return true;
    }
    return false;
}

/* A random free port; 0 when a whole round found none. */
static uint16_t port_choose(struct nst_socks *socks, uint8_t proto, const struct nst_addr *addr)
{
    uint32_t first = proto == NST_IPPROTO_ICMP ? 1 : PORT_FIRST;
    uint32_t last = proto == NST_IPPROTO_ICMP ? UINT16_MAX : PORT_LAST;
    uint32_t n = last - first + 1;
    uint32_t start = (uint32_t)nst_prng_below(&socks->env->prng, n);

    for (uint32_t i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(first + (start + i) % n);
        if (!port_is_taken(socks, proto, addr, port, NULL))
            return port;
    }
    return 0;
}

int nst_sock_bind_port(struct nst_socks *socks, struct nst_socket *s,
                       const struct nst_sockaddr *local)
{
    uint16_t port = local->port;

    if (nst_addr_is_set(&local->addr) && !nst_ip_is_ours(socks->ip, &local->addr) &&
        !nst_ip_is_group(socks->ip, &local->addr))
        return -EADDRNOTAVAIL;
    if (port && port_is_taken(socks, s->proto, &local->addr, port, s))
        return -EADDRINUSE;
    if (!port && !(port = port_choose(socks, s->proto, &local->addr)))
        return -EADDRINUSE;
    s->dgram->local = *local;
    s->dgram->local.port = port;
    nst_list_del(&s->dgram->place);
    nst_list_push_back(bucket_of(socks, s->proto, port), &s->dgram->place);
    return 0;
}

/* How well the socket suits the packet: 0 not at all, more for each thing that it names. */
static unsigned score(const struct nst_socket *s, uint8_t proto, const struct nst_sockaddr *local,
                      const struct nst_sockaddr *peer)
{
    unsigned points = 1;

    if (s->proto != proto || s->dgram->local.port != local->port)
        return 0;
    if (s->dgram->local.link && s->dgram->local.link != local->link)
        return 0;
    if (nst_addr_is_set(&s->dgram->local.addr)) {
        if (!nst_addr_eq(&s->dgram->local.addr, &local->addr))
            return 0;
        points++;
    }
    if (nst_addr_is_set(&s->dgram->peer.addr)) {
        bool port_counts = proto != NST_IPPROTO_ICMP;
        if (!nst_addr_eq(&s->dgram->peer.addr, &peer->addr) ||
            (port_counts && s->dgram->peer.port != peer->port))
            return 0;
        points += 2;
    }
    return points;
}

/* Of two that suit a packet equally well, the one that was bound last, as in Linux; or, in a group,
 * the flow's own. */
static bool goes_before(const struct nst_socks *socks, const struct nst_sockaddr *local,
                        const struct nst_sockaddr *peer, const struct nst_socket *a,
                        const struct nst_socket *b)
{
    const struct nst_flow_id id = {local->addr, peer->addr, local->port, peer->port};

    if (!a->group || a->group != b->group)
        return true;
    uint64_t flow = nst_siphash(&socks->key, &id, sizeof id);

    return nst_share_weight(flow, a->handle) > nst_share_weight(flow, b->handle);
}

struct nst_socket *nst_sock_lookup(struct nst_socks *socks, uint8_t proto,
                                   const struct nst_sockaddr *local,
                                   const struct nst_sockaddr *peer)
{
    struct nst_socket *best = NULL;
    unsigned most = 0;

    NST_LIST_FOREACH (e, bucket_of(socks, proto, local->port)) {
        struct nst_socket *s = socket_of(e);
        unsigned points = score(s, proto, local, peer);
        if (points > most ||
            (points && points == most && goes_before(socks, local, peer, s, best))) {
            most = points;
            best = s;
        }
    }
    return best;
}

struct nst_socket *nst_sock_lookup_next(struct nst_socks *socks, struct nst_socket *prev,
                                        uint8_t proto, const struct nst_sockaddr *local,
                                        const struct nst_sockaddr *peer)
{
    struct nst_list *bucket = bucket_of(socks, proto, local->port);
    struct nst_list *e = prev ? prev->dgram->place.next : bucket->next;

    for (; e != bucket; e = e->next)
        if (score(socket_of(e), proto, local, peer) > 0)
            return socket_of(e);
    return NULL;
}

/* ---- Invariants --------------------------------------------------------------------------- */

static size_t memory_of(const struct nst_list *queue)
{
    size_t mem = 0;

    NST_LIST_FOREACH (e, queue)
        mem += nst_pkt_truesize(NST_CONTAINER(e, struct nst_pkt, node));
    return mem;
}

void nst_socks_check(const struct nst_socks *socks)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < socks->nslots; i++) {
        const struct nst_socket *s = socks->slots[i];
        if (!s)
            continue;
        count++;
        assert(nst_sock_find(socks, s->handle) == s);
        if (s->type == NST_SOCK_STREAM)
            continue;
        assert(memory_of(&s->dgram->rxq) == s->dgram->rx_mem &&
               memory_of(&s->dgram->errq) == s->dgram->err_mem);
        assert(memory_of(&s->dgram->txq) == s->dgram->tx_mem);
        assert(nst_list_linked(&s->dgram->sending) == !nst_list_empty(&s->dgram->txq));
    }
    assert(count == socks->count && count <= socks->max);
}
