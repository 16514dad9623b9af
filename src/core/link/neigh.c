#include "core/link/neigh.h"

#include <assert.h>
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

/* RFC 4861 §10. */
#define RETRANS_TIME      NST_SEC
#define REACHABLE_TIME    (30 * NST_SEC) /* times 0.5 to 1.5 */
#define DELAY_FIRST_PROBE (5 * NST_SEC)
#define MAX_SOLICITATIONS 3
#define STALE_KEPT        (600 * NST_SEC) /* then an unused entry is forgotten (1122-3) */
#define FAILED_KEPT       (30 * NST_SEC)
#define LOCK_TIME         NST_SEC /* a confirmed MAC address does not change within */

int nst_neigh_init(struct nst_neigh_table *table, struct nst_env *env, uint32_t max,
                   uint32_t max_queue)
{
    size_t nbuckets = 1;

    while (nbuckets < max)
        nbuckets *= 2;
    *table = (struct nst_neigh_table){.env = env, .max = max, .max_queue = max_queue};
    table->key = nst_prng_key(env->seed, "neighbours");
    table->mask = nbuckets - 1;
    for (unsigned i = 0; i < NST_NEIGH_RANKS; i++)
        nst_list_init(&table->lru[i]);
    nst_list_init(&table->solicit);
    nst_list_init(&table->failed);
    table->buckets = nst_env_alloc(env, nbuckets * sizeof *table->buckets);
    if (!table->buckets)
        return -ENOMEM;
    for (size_t i = 0; i < nbuckets; i++)
        nst_list_init(&table->buckets[i]);
    return 0;
}

static struct nst_list *bucket_of(const struct nst_neigh_table *table,
                                  const struct nst_iface *iface, const struct nst_addr *addr)
{
    uint8_t id[sizeof iface->link + sizeof *addr];

    memcpy(id, &iface->link, sizeof iface->link);
    memcpy(id + sizeof iface->link, addr, sizeof *addr);
    return &table->buckets[nst_siphash(&table->key, id, sizeof id) & table->mask];
}

struct nst_neigh *nst_neigh_find(const struct nst_neigh_table *table, const struct nst_iface *iface,
                                 const struct nst_addr *addr)
{
    NST_LIST_FOREACH (e, bucket_of(table, iface, addr)) {
        struct nst_neigh *n = NST_CONTAINER(e, struct nst_neigh, bucket);
        if (n->iface == iface && nst_addr_eq(&n->addr, addr))
            return n;
    }
    return NULL;
}

/* Hands the packets that wait for `n` to the list of the undeliverable. */
static void queue_fail(struct nst_neigh_table *table, struct nst_neigh *n)
{
    nst_list_splice_back(&table->failed, &n->queue);
    n->queued = 0;
}

static void entry_free(struct nst_neigh_table *table, struct nst_neigh *n)
{
    nst_env_reroute(table->env);
    queue_fail(table, n);
    nst_timer_cancel(&table->env->wheel, &n->timer);
    nst_list_del(&n->bucket);
    nst_list_del(&n->lru);
    nst_list_del(&n->solicit);
    table->count--;
    nst_env_free(table->env, n, sizeof *n);
}

static void list_free(struct nst_neigh_table *table, struct nst_list *lru)
{
    while (!nst_list_empty(lru))
        entry_free(table, NST_CONTAINER(lru->next, struct nst_neigh, lru));
}

void nst_neigh_fini(struct nst_neigh_table *table)
{
    if (!table->buckets)
        return;
    for (unsigned i = 0; i < NST_NEIGH_RANKS; i++)
        list_free(table, &table->lru[i]);
    nst_pkt_free_all(&table->failed);
    nst_env_free(table->env, table->buckets, (table->mask + 1) * sizeof *table->buckets);
}

static enum nst_neigh_rank rank_of(const struct nst_neigh *n)
{
    if (n->state == NST_NEIGH_PERMANENT)
        return NST_NEIGH_FIXED;
    return n->confirmed ? NST_NEIGH_CONFIRMED : NST_NEIGH_RUMOURED;
}

/* Moves the entry to the young end of its rank, where who is talked to mostly stands already. */
static void used(struct nst_neigh_table *table, struct nst_neigh *n)
{
    struct nst_list *lru = &table->lru[rank_of(n)];

    if (lru->prev == &n->lru)
        return;
    nst_list_del(&n->lru);
    nst_list_push_back(lru, &n->lru);
}

/* Routes prefer a gateway that has not failed. */
static void set_state(struct nst_neigh_table *table, struct nst_neigh *n,
                      enum nst_neigh_state state)
{
    if ((n->state == NST_NEIGH_FAILED) != (state == NST_NEIGH_FAILED))
        nst_env_reroute(table->env);
    n->state = state;
}

/* Whether a new neighbour may take this one's place: anything that never answered, else what nobody
 * talks to. */
static bool evictable(const struct nst_neigh *n)
{
    return n->confirmed == 0 || n->state == NST_NEIGH_STALE;
}

/* Evicts the least recently used entry of a rank that may go. The search is bounded; what it must
 * keep it moves to the young end, so that the next search begins behind. */
static bool evict(struct nst_neigh_table *table, enum nst_neigh_rank rank)
{
    struct nst_list *lru = &table->lru[rank];

    for (unsigned looked = 0; looked < 32 && !nst_list_empty(lru); looked++) {
        struct nst_neigh *n = NST_CONTAINER(lru->next, struct nst_neigh, lru);
        if (evictable(n)) {
            NST_COUNT(table->env, neigh_evicted);
            entry_free(table, n);
            return true;
        }
        used(table, n);
    }
    return false;
}

static bool make_room(struct nst_neigh_table *table)
{
    return table->count < table->max || evict(table, NST_NEIGH_RUMOURED) ||
           evict(table, NST_NEIGH_CONFIRMED);
}

static struct nst_neigh *entry_new(struct nst_neigh_table *table, struct nst_iface *iface,
                                   const struct nst_addr *addr)
{
    struct nst_neigh *n = make_room(table) ? nst_env_alloc(table->env, sizeof *n) : NULL;

    if (!n)
        return NULL;
    n->iface = iface;
    n->addr = *addr;
    n->state = NST_NEIGH_FAILED;
    nst_timer_init(&n->timer, NST_TIMER_NEIGH);
    nst_list_init(&n->queue);
    nst_list_init(&n->solicit);
    nst_list_push_back(bucket_of(table, iface, addr), &n->bucket);
    nst_list_push_back(&table->lru[rank_of(n)], &n->lru);
    table->count++;
    NST_COUNT(table->env, neigh_created);
    return n;
}

/* Enters a state that asks nothing and lasts for `after`. */
static void enter(struct nst_neigh_table *table, struct nst_neigh *n, enum nst_neigh_state state,
                  nst_time after)
{
    set_state(table, n, state);
    n->probes = 0;
    nst_list_del(&n->solicit);
    nst_timer_arm(&table->env->wheel, &n->timer, table->env->now + after);
}

/* Asks the neighbour, and waits for a second. */
static void solicit(struct nst_neigh_table *table, struct nst_neigh *n)
{
    n->probes++;
    nst_list_del(&n->solicit);
    nst_list_push_back(&table->solicit, &n->solicit);
    nst_timer_arm(&table->env->wheel, &n->timer, table->env->now + RETRANS_TIME);
}

/* Enters a state in which the neighbour is asked, once a second (1122-4). */
static void enter_asking(struct nst_neigh_table *table, struct nst_neigh *n,
                         enum nst_neigh_state state)
{
    set_state(table, n, state);
    n->probes = 0;
    solicit(table, n);
}

static void send_to(struct nst_neigh *n, struct nst_pkt *pkt)
{
    pkt->mac = n->mac;
    nst_iface_output_take(n->iface, pkt);
}

static void queue_flush(struct nst_neigh *n)
{
    struct nst_list *e;

    n->queued = 0;
    while ((e = nst_list_pop_front(&n->queue)))
        send_to(n, NST_CONTAINER(e, struct nst_pkt, node));
}

/* The oldest makes room for the latest (1122-6). */
static void queue_push(struct nst_neigh_table *table, struct nst_neigh *n, struct nst_pkt *pkt)
{
    if (nst_pool_is_scarce(pkt->pool)) {
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    if (n->queued >= table->max_queue) {
        struct nst_list *oldest = nst_list_pop_front(&n->queue);
        nst_pkt_drop(NST_CONTAINER(oldest, struct nst_pkt, node), NST_DROP_neigh_queue);
        n->queued--;
    }
    pkt->link = n->iface->link;
    nst_list_push_back(&n->queue, &pkt->node);
    n->queued++;
}

struct nst_neigh *nst_neigh_obtain(struct nst_neigh_table *table, struct nst_iface *iface,
                                   const struct nst_addr *addr)
{
    struct nst_neigh *n = nst_neigh_find(table, iface, addr);

    return n ? n : entry_new(table, iface, addr);
}

void nst_neigh_output_take(struct nst_neigh_table *table, struct nst_neigh *n, struct nst_pkt *pkt)
{
    if (!n) {
        nst_pkt_drop(pkt, NST_DROP_neigh_full);
        return;
    }
    used(table, n);
    switch (n->state) {
    case NST_NEIGH_FAILED: /* not unreachable, but not known yet (1122-15) */
        enter_asking(table, n, NST_NEIGH_INCOMPLETE);
        queue_push(table, n, pkt);
        return;
    case NST_NEIGH_INCOMPLETE:
        queue_push(table, n, pkt);
        return;
    case NST_NEIGH_STALE: /* asked only if it is used and nothing confirms it (1122-122, 1122-123)
                           */
        enter(table, n, NST_NEIGH_DELAY, DELAY_FIRST_PROBE);
        break;
    case NST_NEIGH_REACHABLE:
    case NST_NEIGH_DELAY:
    case NST_NEIGH_PROBE:
    case NST_NEIGH_PERMANENT:
        break;
    }
    send_to(n, pkt);
}

/* For that time it isn't asked (1122-121). */
static void make_reachable(struct nst_neigh_table *table, struct nst_neigh *n)
{
    nst_time spread = nst_prng_below(&table->env->prng, REACHABLE_TIME);

    n->confirmed = table->env->now;
    n->reachable_ns = REACHABLE_TIME / 2 + spread;
    used(table, n);
    enter(table, n, NST_NEIGH_REACHABLE, n->reachable_ns);
    queue_flush(n);
}

/* Its MAC address is known but not confirmed. What waited for it is sent, which is the first use of
 * a stale neighbour. */
static void make_stale(struct nst_neigh_table *table, struct nst_neigh *n)
{
    if (n->queued > 0)
        enter(table, n, NST_NEIGH_DELAY, DELAY_FIRST_PROBE);
    else
        enter(table, n, NST_NEIGH_STALE, STALE_KEPT);
    queue_flush(n);
}

void nst_neigh_confirm(struct nst_neigh_table *table, struct nst_neigh *n)
{
    if (n->state == NST_NEIGH_REACHABLE)
        n->confirmed = table->env->now;
    else if (n->state == NST_NEIGH_STALE || n->state == NST_NEIGH_DELAY ||
             n->state == NST_NEIGH_PROBE)
        make_reachable(table, n);
}

void nst_neigh_doubt(struct nst_neigh_table *table, struct nst_neigh *n)
{
    if (n->state != NST_NEIGH_REACHABLE && n->state != NST_NEIGH_STALE &&
        n->state != NST_NEIGH_DELAY)
        return;
    enter_asking(table, n, NST_NEIGH_PROBE);
}

static bool was_asked(const struct nst_neigh *n)
{
    return n->state == NST_NEIGH_INCOMPLETE || n->state == NST_NEIGH_PROBE;
}

enum nst_drop nst_neigh_input(struct nst_neigh_table *table, struct nst_iface *iface,
                              const struct nst_addr *addr, const struct nst_mac *mac,
                              enum nst_neigh_news news)
{
    struct nst_neigh *n = nst_neigh_find(table, iface, addr);

    if (!n && news != NST_NEIGH_REQUEST) /* 826-2 */
        return NST_DROP_arp_other;
    if (!n && !(n = entry_new(table, iface, addr)))
        return NST_DROP_neigh_full;
    if (n->state == NST_NEIGH_PERMANENT)
        return nst_mac_eq(&n->mac, mac) ? NST_DROP_NONE : NST_DROP_arp_locked;
    if (news == NST_NEIGH_ANSWER && was_asked(n)) {
        n->mac = *mac;
        make_reachable(table, n);
        return NST_DROP_NONE;
    }
    bool known = n->state != NST_NEIGH_INCOMPLETE && n->state != NST_NEIGH_FAILED;
    if (known && nst_mac_eq(&n->mac, mac))
        return NST_DROP_NONE;
    if (known && n->confirmed != 0 && table->env->now - n->confirmed < LOCK_TIME)
        return NST_DROP_arp_locked;
    n->mac = *mac; /* 826-1 */
    make_stale(table, n);
    return NST_DROP_NONE;
}

/* It has died, for all we know (1122-119). */
static void fail(struct nst_neigh_table *table, struct nst_neigh *n)
{
    n->confirmed = 0;
    used(table, n);
    enter(table, n, NST_NEIGH_FAILED, FAILED_KEPT);
    NST_COUNT(table->env, neigh_failed);
    queue_fail(table, n);
}

/* Its time counts from the last confirmation, which may have come since the timer was armed. */
static void reachable_timeout(struct nst_neigh_table *table, struct nst_neigh *n)
{
    nst_time until = n->confirmed + n->reachable_ns;

    if (until > table->env->now)
        nst_timer_arm(&table->env->wheel, &n->timer, until);
    else
        make_stale(table, n);
}

void nst_neigh_timeout(struct nst_neigh_table *table, struct nst_neigh *n)
{
    switch (n->state) {
    case NST_NEIGH_REACHABLE:
        reachable_timeout(table, n);
        break;
    case NST_NEIGH_DELAY:
        enter_asking(table, n, NST_NEIGH_PROBE);
        break;
    case NST_NEIGH_INCOMPLETE:
    case NST_NEIGH_PROBE:
        if (n->probes < MAX_SOLICITATIONS)
            solicit(table, n);
        else
            fail(table, n);
        break;
    case NST_NEIGH_STALE:
    case NST_NEIGH_FAILED:
        entry_free(table, n);
        break;
    case NST_NEIGH_PERMANENT:
        break;
    }
}

int nst_neigh_table_set(struct nst_neigh_table *table, struct nst_iface *iface,
                        const struct nst_addr *addr, const struct nst_mac *mac)
{
    struct nst_neigh *n = nst_neigh_find(table, iface, addr);

    if (!n && !(n = entry_new(table, iface, addr)))
        return table->count >= table->max ? -ENOSPC : -ENOMEM;
    n->mac = *mac;
    set_state(table, n, NST_NEIGH_PERMANENT);
    nst_list_del(&n->solicit);
    nst_timer_cancel(&table->env->wheel, &n->timer);
    used(table, n);
    queue_flush(n);
    return 0;
}

int nst_neigh_table_del(struct nst_neigh_table *table, struct nst_iface *iface,
                        const struct nst_addr *addr)
{
    struct nst_neigh *n = nst_neigh_find(table, iface, addr);

    if (!n)
        return -ENOENT;
    entry_free(table, n);
    return 0;
}

static void entry_check(const struct nst_neigh_table *table, const struct nst_neigh *n)
{
    uint32_t queued = 0;

    NST_LIST_FOREACH (q, &n->queue)
        queued++;
    assert(queued == n->queued && queued <= table->max_queue);
    assert(queued == 0 || n->state == NST_NEIGH_INCOMPLETE);
    assert(!nst_list_linked(&n->solicit) || was_asked(n));
    assert(nst_timer_armed(&n->timer) == (n->state != NST_NEIGH_PERMANENT));
    assert(nst_neigh_find(table, n->iface, &n->addr) == n);
}

void nst_neigh_check(const struct nst_neigh_table *table)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < NST_NEIGH_RANKS; i++) {
        NST_LIST_FOREACH (e, &table->lru[i]) {
            const struct nst_neigh *n = NST_CONTAINER(e, struct nst_neigh, lru);
            assert(rank_of(n) == i);
            entry_check(table, n);
            count++;
        }
    }
    assert(count == table->count && count <= table->max);
}
