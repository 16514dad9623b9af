#include "core/ip/reassembly.h"

#include <assert.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define TIMEOUT (30 * NST_SEC) /* as a current Linux, and fixed (1122-132) */

#define ECN_MASK 3
#define ECN_CE   3

struct nst_datagram {
    struct nst_list bucket;
    struct nst_list age; /* in its group */
    struct nst_timer timer;
    struct nst_addr src, dst;
    uint8_t proto;
    uint16_t id;
    bool refused; /* overlap was seen: nothing more is taken */
    struct nst_frag_group *group;
    struct nst_list fragments; /* by offset */
    uint32_t count;
    size_t bytes;   /* memory charged */
    uint32_t have;  /* payload bytes here */
    uint32_t total; /* payload bytes in all; 0 until the last fragment came */
};

void nst_reassembly_init(struct nst_reassembly *r, struct nst_env *env, size_t budget_bytes,
                         uint32_t max_fragments)
{
    *r = (struct nst_reassembly){
        .env = env, .budget_bytes = budget_bytes, .max_fragments = max_fragments};
    r->key = nst_prng_key(env->seed, "reassembly");
    nst_list_init(&r->expired);
    for (unsigned i = 0; i < NST_FRAG_BUCKETS; i++)
        nst_list_init(&r->buckets[i]);
    for (unsigned i = 0; i < NST_FRAG_GROUPS; i++)
        nst_list_init(&r->groups[i].datagrams);
}

static struct nst_pkt *pkt_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_pkt, node);
}

/* A waiting fragment keeps its place in the datagram in its description. */
static uint32_t offset_of(const struct nst_pkt *pkt)
{
    return pkt->frag_off;
}

static uint32_t end_of(const struct nst_pkt *pkt)
{
    return pkt->frag_off + (uint32_t)(pkt->len - pkt->ip.hlen);
}

static void charge(struct nst_reassembly *r, struct nst_datagram *d, size_t bytes)
{
    d->bytes += bytes;
    d->group->bytes += bytes;
    r->used_bytes += bytes;
}

static void discharge(struct nst_reassembly *r, struct nst_datagram *d, size_t bytes)
{
    d->bytes -= bytes;
    d->group->bytes -= bytes;
    r->used_bytes -= bytes;
}

static void fragments_drop(struct nst_reassembly *r, struct nst_datagram *d, enum nst_drop reason)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&d->fragments))) {
        discharge(r, d, nst_pkt_truesize(pkt_of(e)));
        nst_pkt_drop(pkt_of(e), reason);
    }
    d->count = d->have = d->total = 0;
}

static void datagram_free(struct nst_reassembly *r, struct nst_datagram *d)
{
    assert(nst_list_empty(&d->fragments));
    discharge(r, d, sizeof *d);
    assert(d->bytes == 0);
    nst_timer_cancel(&r->env->wheel, &d->timer);
    nst_list_del(&d->bucket);
    nst_list_del(&d->age);
    nst_env_free(r->env, d, sizeof *d);
}

void nst_reassembly_fini(struct nst_reassembly *r)
{
    struct nst_list *e;

    for (unsigned i = 0; i < NST_FRAG_GROUPS; i++) {
        struct nst_list *list = &r->groups[i].datagrams;
        while (!nst_list_empty(list)) {
            struct nst_datagram *d = NST_CONTAINER(list->next, struct nst_datagram, age);
            fragments_drop(r, d, NST_DROP_frag_timeout);
            datagram_free(r, d);
        }
    }
    while ((e = nst_list_pop_front(&r->expired)))
        nst_pkt_free(pkt_of(e));
}

/* Ends the oldest datagram of the group that holds the most. */
static void evict(struct nst_reassembly *r)
{
    struct nst_frag_group *most = &r->groups[0];

    for (unsigned i = 1; i < NST_FRAG_GROUPS; i++)
        if (r->groups[i].bytes > most->bytes)
            most = &r->groups[i];
    struct nst_datagram *d = NST_CONTAINER(most->datagrams.next, struct nst_datagram, age);
    if (!d->refused)
        NST_COUNT(r->env, frag_datagrams_failed);
    fragments_drop(r, d, NST_DROP_frag_budget);
    datagram_free(r, d);
}

static bool make_room(struct nst_reassembly *r, size_t bytes)
{
    if (bytes > r->budget_bytes)
        return false;
    while (r->used_bytes + bytes > r->budget_bytes)
        evict(r);
    return true;
}

static uint64_t hash_of(const struct nst_reassembly *r, const struct nst_ipv4 *ip)
{
    uint8_t id[sizeof ip->src + sizeof ip->dst + 3];

    memcpy(id, &ip->src, sizeof ip->src);
    memcpy(id + sizeof ip->src, &ip->dst, sizeof ip->dst);
    id[sizeof id - 3] = ip->proto;
    nst_store16(id + sizeof id - 2, ip->id);
    return nst_siphash(&r->key, id, sizeof id);
}

/* What belongs together (791-2). */
static struct nst_datagram *datagram_find(struct nst_list *bucket, const struct nst_ipv4 *ip)
{
    NST_LIST_FOREACH (e, bucket) {
        struct nst_datagram *d = NST_CONTAINER(e, struct nst_datagram, bucket);
        if (d->id == ip->id && d->proto == ip->proto && nst_addr_eq(&d->src, &ip->src) &&
            nst_addr_eq(&d->dst, &ip->dst))
            return d;
    }
    return NULL;
}

static struct nst_datagram *datagram_new(struct nst_reassembly *r, struct nst_list *bucket,
                                         const struct nst_ipv4 *ip)
{
    struct nst_datagram *d = nst_env_alloc(r->env, sizeof *d);
    uint64_t source = nst_siphash(&r->key, &ip->src, sizeof ip->src);

    if (!d)
        return NULL;
    d->src = ip->src;
    d->dst = ip->dst;
    d->proto = ip->proto;
    d->id = ip->id;
    d->group = &r->groups[source % NST_FRAG_GROUPS];
    nst_list_init(&d->fragments);
    nst_list_push_back(bucket, &d->bucket);
    nst_list_push_back(&d->group->datagrams, &d->age);
    nst_timer_init(&d->timer, NST_TIMER_FRAG);
    nst_timer_arm(&r->env->wheel, &d->timer, r->env->now + TIMEOUT);
    charge(r, d, sizeof *d);
    return d;
}

/* Gives the datagram up but remembers it, so that its later fragments don't begin it anew. */
static void refuse(struct nst_reassembly *r, struct nst_datagram *d, enum nst_drop reason)
{
    NST_COUNT(r->env, frag_datagrams_failed);
    fragments_drop(r, d, reason);
    d->refused = true;
}

/* Where the fragment belongs: before which other (791-1, 791-4). Most come in order, so the search
 * is from behind; it is bounded by the number of fragments. NONE with `*at` set, frag_duplicate or
 * frag_overlap. */
static enum nst_drop find_place(struct nst_datagram *d, const struct nst_pkt *pkt,
                                struct nst_list **at)
{
    struct nst_list *prev = d->fragments.prev;

    while (prev != &d->fragments && offset_of(pkt_of(prev)) > offset_of(pkt))
        prev = prev->prev;
    *at = prev->next;
    if (prev != &d->fragments && end_of(pkt_of(prev)) > offset_of(pkt)) {
        bool same = offset_of(pkt_of(prev)) == offset_of(pkt) &&
                    end_of(pkt_of(prev)) == end_of(pkt);
        return same ? NST_DROP_frag_duplicate : NST_DROP_frag_overlap;
    }
    if (*at != &d->fragments && end_of(pkt) > offset_of(pkt_of(*at)))
        return NST_DROP_frag_overlap;
    return NST_DROP_NONE;
}

/* Whether the fragment agrees with what is known of the datagram's end. */
static bool end_agrees(const struct nst_datagram *d, const struct nst_pkt *pkt, bool last)
{
    if (d->total)
        return end_of(pkt) <= d->total && (!last || end_of(pkt) == d->total);
    return !last || nst_list_empty(&d->fragments) ||
           end_of(pkt_of(d->fragments.prev)) <= end_of(pkt);
}

static enum nst_drop insert(struct nst_reassembly *r, struct nst_datagram *d, struct nst_pkt *pkt,
                            bool last)
{
    struct nst_list *at;
    enum nst_drop drop = d->refused ? NST_DROP_frag_overlap : find_place(d, pkt, &at);

    if (drop == NST_DROP_NONE && !end_agrees(d, pkt, last))
        drop = NST_DROP_frag_range;
    if (drop == NST_DROP_NONE && d->count >= r->max_fragments)
        drop = NST_DROP_frag_many;
    if (drop) {
        if (drop != NST_DROP_frag_duplicate && !d->refused)
            refuse(r, d, drop);
        return drop;
    }
    nst_list_insert_before(at, &pkt->node);
    charge(r, d, nst_pkt_truesize(pkt));
    d->count++;
    d->have += end_of(pkt) - offset_of(pkt);
    if (last)
        d->total = end_of(pkt);
    return NST_DROP_NONE;
}

/* What the whole's ECN field is (3168-17, 3168-18): CE if any fragment bears it. False when some
 * say that the transport is not capable of it: that datagram must be dropped. */
static bool ecn_join(const struct nst_datagram *d, uint8_t *tos)
{
    bool ce = false, not_ect = false;

    NST_LIST_FOREACH (e, &d->fragments) {
        uint8_t ecn = pkt_of(e)->ip.tos & ECN_MASK;
        ce |= ecn == ECN_CE;
        not_ect |= ecn == 0;
    }
    if (ce)
        *tos |= ECN_CE;
    return !(ce && not_ect);
}

/* Copies the payload of all fragments behind the room for a header of `hlen` bytes. */
static struct nst_pkt *copy_together(const struct nst_datagram *d, size_t hlen)
{
    struct nst_pkt *first = pkt_of(d->fragments.next);
    struct nst_pkt *whole = nst_pkt_new(first->pool, NST_PKT_HEADROOM, hlen + d->total);

    if (!whole)
        return NULL;
    NST_LIST_FOREACH (e, &d->fragments) {
        const struct nst_pkt *f = pkt_of(e);
        size_t from = f->ip.hlen, to = hlen + offset_of(f);
        for (unsigned i = 0; i < f->nslices; i++) {
            size_t skip = nst_min(from, f->slices[i].len), n = f->slices[i].len - skip;
            nst_pkt_write(whole, to, f->slices[i].data + skip, n);
            from -= skip;
            to += n;
        }
    }
    whole->id = first->id;
    whole->time = first->time;
    whole->link = first->link;
    whole->mac = first->mac;
    whole->l2_group = first->l2_group;
    whole->ip = first->ip;
    return whole;
}

/* The complete datagram as one packet; drops it and gives NULL if it cannot be made. */
static struct nst_pkt *complete(struct nst_reassembly *r, struct nst_datagram *d)
{
    const struct nst_pkt *first = pkt_of(d->fragments.next);
    struct nst_pkt *whole = NULL;
    enum nst_drop drop = NST_DROP_no_memory;
    uint8_t tos = first->ip.tos;
    struct nst_ipv4 ip;

    if (first->ip.hlen + d->total > NST_IPV4_LEN_MAX)
        drop = NST_DROP_frag_range;
    else if (!ecn_join(d, &tos))
        drop = NST_DROP_frag_ecn;
    else
        whole = copy_together(d, first->ip.hlen);
    if (whole) {
        nst_ipv4_parse_quote(&ip, nst_pkt_head(first), nst_pkt_head_len(first));
        ip.mf = false;
        ip.tos = whole->ip.tos = tos;
        ip.total_len = (uint16_t)whole->len;
        nst_ipv4_emit(&ip, nst_pkt_head(whole));
        NST_COUNT(r->env, frag_reassembled);
    } else {
        NST_COUNT(r->env, frag_datagrams_failed);
    }
    while (!nst_list_empty(&d->fragments)) {
        struct nst_pkt *f = pkt_of(nst_list_pop_front(&d->fragments));
        discharge(r, d, nst_pkt_truesize(f));
        if (whole)
            nst_pkt_free(f);
        else
            nst_pkt_drop(f, drop);
    }
    datagram_free(r, d);
    return whole;
}

/* 1122-31, 1122-127 to the largest datagram (1122-128, 1122-129), and not beyond (791-3). */
struct nst_pkt *nst_reassembly_input_take(struct nst_reassembly *r, struct nst_pkt *pkt,
                                          const struct nst_ipv4 *ip)
{
    size_t len = pkt->len - pkt->ip.hlen;
    bool sound = len > 0 && (!ip->mf || len % 8 == 0) &&
                 (size_t)ip->frag_off + len <= NST_IPV4_LEN_MAX - NST_IPV4_HLEN;
    struct nst_list *bucket = &r->buckets[hash_of(r, ip) % NST_FRAG_BUCKETS];
    struct nst_datagram *d;
    enum nst_drop drop = NST_DROP_NONE;

    NST_COUNT(r->env, frag_in);
    if (!sound)
        drop = NST_DROP_frag_range;
    else if (nst_pool_is_scarce(pkt->pool))
        drop = NST_DROP_no_memory;
    else if (!make_room(r, sizeof *d + nst_pkt_truesize(pkt)))
        drop = NST_DROP_frag_budget;
    d = datagram_find(bucket, ip);
    if (!drop && !d && !(d = datagram_new(r, bucket, ip)))
        drop = NST_DROP_no_memory;
    if (!sound && d && !d->refused)
        refuse(r, d, drop);
    if (!drop)
        drop = insert(r, d, pkt, !ip->mf);
    if (drop) {
        nst_pkt_drop(pkt, drop);
        return NULL;
    }
    return d->total && d->have == d->total ? complete(r, d) : NULL;
}

struct nst_datagram *nst_datagram_of_timer(struct nst_timer *timer)
{
    return NST_CONTAINER(timer, struct nst_datagram, timer);
}

void nst_reassembly_timeout(struct nst_reassembly *r, struct nst_datagram *d)
{
    struct nst_list *e = d->fragments.next;

    if (!d->refused)
        NST_COUNT(r->env, frag_datagrams_failed);
    if (e != &d->fragments && offset_of(pkt_of(e)) == 0) {
        nst_list_del(e);
        discharge(r, d, nst_pkt_truesize(pkt_of(e)));
        nst_list_push_back(&r->expired, e);
    }
    fragments_drop(r, d, NST_DROP_frag_timeout);
    datagram_free(r, d);
}

void nst_reassembly_check(const struct nst_reassembly *r)
{
    size_t used = 0;

    for (unsigned i = 0; i < NST_FRAG_GROUPS; i++) {
        size_t group = 0;
        NST_LIST_FOREACH (a, &r->groups[i].datagrams) {
            const struct nst_datagram *d = NST_CONTAINER(a, struct nst_datagram, age);
            uint32_t have = 0, count = 0, end = 0;
            size_t bytes = sizeof *d;
            NST_LIST_FOREACH (e, &d->fragments) {
                assert(offset_of(pkt_of(e)) >= end);
                end = end_of(pkt_of(e));
                have += end - offset_of(pkt_of(e));
                bytes += nst_pkt_truesize(pkt_of(e));
                count++;
            }
            assert(have == d->have && count == d->count && bytes == d->bytes);
            assert(d->total == 0 || end <= d->total);
            group += bytes;
        }
        assert(group == r->groups[i].bytes);
        used += group;
    }
    assert(used == r->used_bytes && used <= r->budget_bytes);
}
