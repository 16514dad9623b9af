/* The table of flows, and the life of control blocks in it.
 *
 * The table is hashed with a secret key over both ends and doubles while it is small enough, so a
 * lookup costs the same with one flow or a million, whoever chooses the addresses. */
#include <assert.h>
#include <errno.h>

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define BUCKETS_FIRST 64
#define BUCKETS_MAX   (1u << 22)

static const struct nst_tcp_config defaults = {
    .max_flows = 1u << 20,
    .max_orphans = 131072,
    .max_timewaits = 131072,
    .max_reqs = 2048,
    .rcvbuf_initial = 131072,
    .rcvbuf_max = 6291456,
    .sndbuf_initial = 87040,
    .sndbuf_max = 4194304,
    .syn_retries = 7, /* MUST-23: more than three minutes; Linux has 6, 127 s */
    .synack_retries = 5,
    .retries1 = 3,  /* SHLD-10 */
    .retries2 = 15, /* more than a quarter of an hour (SHLD-11) */
    .orphan_retries = 8,
    .timestamps = true,
    .sack = true,
    .wscale = true,
    .cookies = true,
    .pacing = true,
    .hystart = true,
    .recovery = NST_TCP_RECOVERY_ALL,
    .ecn = NST_TCP_ECN_ACCEPT,
    .fastopen = NST_TCP_FASTOPEN_CLIENT,
    .metrics = NST_TCP_METRICS_PATH,
    .cc = &nst_cc_cubic,
};

static struct nst_flow **buckets_new(struct nst_env *env, uint32_t n)
{
    return nst_env_alloc(env, n * sizeof(struct nst_flow *));
}

int nst_tcp_init(struct nst_tcps *tcps, struct nst_pool *pool, struct nst_ip *ip,
                 uint32_t max_flows)
{
    const uint8_t *seed = pool->env->seed;

    *tcps = (struct nst_tcps){.env = pool->env, .pool = pool, .ip = ip, .config = defaults};
    if (max_flows)
        tcps->config.max_flows = max_flows;
    tcps->flow_key = nst_prng_key(seed, "tcp flows");
    tcps->isn_key = nst_prng_key(seed, "tcp initial sequence numbers");
    tcps->ts_key = nst_prng_key(seed, "tcp timestamps");
    tcps->cookie_key = nst_prng_key(seed, "tcp cookies");
    tcps->fastopen_key = nst_prng_key(seed, "tcp fast open");
    tcps->metrics.key = nst_prng_key(seed, "tcp metrics");
    for (unsigned i = 0; i < NST_TCP_PORT_BUCKETS; i++)
        nst_list_init(&tcps->listeners[i]), nst_list_init(&tcps->names[i]);
    nst_list_init(&tcps->ready);
    nst_list_init(&tcps->changed);
    nst_list_init(&tcps->changed_listeners);
    nst_list_init(&tcps->asking);
    nst_list_init(&tcps->orphans);
    tcps->sweep_next = NST_TIME_NEVER;
    nst_timer_init(&tcps->timewait_timer, NST_TIMER_TIMEWAIT);
    tcps->buckets = buckets_new(tcps->env, BUCKETS_FIRST);
    tcps->mask = BUCKETS_FIRST - 1;
    return tcps->buckets ? 0 : -ENOMEM;
}

int nst_tcp_set_congestion(struct nst_tcps *tcps, const char *name)
{
    const struct nst_cc_ops *ops = nst_cc_find(name);

    if (!ops)
        return -ENOENT;
    tcps->config.cc = ops;
    return 0;
}

/* Ends one flow of whatever kind, silently. */
static void flow_free(struct nst_tcps *tcps, struct nst_flow *flow)
{
    switch ((enum nst_flow_kind)flow->kind) {
    case NST_FLOW_TCB:
        nst_tcb_free(NST_CONTAINER(flow, struct nst_tcb, flow));
        break;
    case NST_FLOW_REQ:
        nst_req_free(NST_CONTAINER(flow, struct nst_tcp_req, flow));
        break;
    case NST_FLOW_TIMEWAIT:
        nst_timewait_free(tcps, NST_CONTAINER(flow, struct nst_tcp_timewait, flow));
        break;
    }
}

void nst_tcp_fini(struct nst_tcps *tcps)
{
    if (!tcps->buckets)
        return;
    for (uint32_t i = 0; i <= tcps->mask; i++)
        while (tcps->buckets[i])
            flow_free(tcps, tcps->buckets[i]);
    nst_timer_cancel(&tcps->env->wheel, &tcps->timewait_timer);
    nst_metrics_fini(tcps);
    nst_board_fini_spares(tcps);
    nst_env_free(tcps->env, tcps->buckets, (tcps->mask + 1) * sizeof *tcps->buckets);
}

/* ---- Flows ----------------------------------------------------------------------------------- */

/* Of IPv4 only what is in use of an address is hashed: every segment passes here. */
uint64_t nst_flow_hash(const struct nst_siphash_key *key, const struct nst_flow_id *id)
{
    if (id->local.family != NST_AF_INET)
        return nst_siphash(key, id, sizeof *id);
    return nst_siphash_12(key,
                          (uint64_t)nst_load32(id->local.bytes) << 32 | nst_load32(id->peer.bytes),
                          (uint32_t)id->lport << 16 | id->pport);
}

static struct nst_flow **bucket_of(const struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    return &tcps->buckets[nst_flow_hash(&tcps->flow_key, id) & tcps->mask];
}

struct nst_flow *nst_flow_find(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_flow *flow = *bucket_of(tcps, id);

    while (flow && memcmp(&flow->id, id, sizeof *id) != 0)
        flow = flow->next;
    if (flow && flow->kind == NST_FLOW_TIMEWAIT) {
        struct nst_tcp_timewait *w = NST_CONTAINER(flow, struct nst_tcp_timewait, flow);
        if (nst_timewait_is_over(tcps, w)) {
            nst_timewait_free(tcps, w);
            return NULL;
        }
    }
    return flow;
}

/* Twice as many buckets; without memory the table goes on as it is, only slower. */
static void grow(struct nst_tcps *tcps)
{
    uint32_t n = tcps->mask + 1;
    struct nst_flow **old = tcps->buckets, **buckets = buckets_new(tcps->env, 2 * n);

    if (!buckets)
        return;
    tcps->buckets = buckets;
    tcps->mask = 2 * n - 1;
    for (uint32_t i = 0; i < n; i++) {
        while (old[i]) {
            struct nst_flow *flow = old[i], **to = bucket_of(tcps, &flow->id);
            old[i] = flow->next;
            flow->next = *to;
            *to = flow;
        }
    }
    nst_env_free(tcps->env, old, n * sizeof *old);
}

int nst_flow_insert(struct nst_tcps *tcps, struct nst_flow *flow, enum nst_flow_kind kind)
{
    struct nst_flow **bucket;

    if (tcps->nflows >= tcps->config.max_flows)
        return -ENOBUFS;
    if (tcps->nflows > tcps->mask && tcps->mask + 1 < BUCKETS_MAX)
        grow(tcps);
    bucket = bucket_of(tcps, &flow->id);
    flow->kind = kind & 15u;
    flow->placed = true;
    flow->next = *bucket;
    *bucket = flow;
    tcps->nflows++;
    return 0;
}

static struct nst_flow **place_of(struct nst_tcps *tcps, const struct nst_flow *flow)
{
    struct nst_flow **at = bucket_of(tcps, &flow->id);

    while (*at != flow)
        at = &(*at)->next;
    return at;
}

void nst_flow_remove(struct nst_tcps *tcps, struct nst_flow *flow)
{
    if (!flow->placed)
        return;
    *place_of(tcps, flow) = flow->next;
    flow->placed = false;
    tcps->nflows--;
    nst_tcp_port_freed(tcps, &flow->id);
}

void nst_flow_replace(struct nst_tcps *tcps, struct nst_flow *old, struct nst_flow *flow,
                      enum nst_flow_kind kind)
{
    flow->kind = kind & 15u;
    flow->placed = true;
    flow->next = old->next;
    *place_of(tcps, old) = flow;
    old->placed = false;
}

/* ---- Control blocks ----------------------------------------------------------------------------
 */

struct nst_tcb *nst_tcb_new(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_tcb *t = nst_env_alloc(tcps->env, sizeof *t);

    if (!t)
        return NULL;
    t->flow.id = *id;
    t->tcps = tcps;
    nst_list_init(&t->ready);
    nst_list_init(&t->place);
    nst_timer_init(&t->timer, NST_TIMER_TCP);
    t->watch = NST_TIME_NEVER;
    nst_rtt_init(&t->rtt);
    t->cc = (struct nst_cc_kept){.number = tcps->config.cc->number, .ssthresh = UINT32_MAX};
    t->opt = (struct nst_tcp_options){
        .rcvbuf = tcps->config.rcvbuf_initial,
        .sndbuf = tcps->config.sndbuf_initial,
        .ecn = tcps->config.ecn,
        .mtu_probing = tcps->config.mtu_probing & 3u,
        .syn_retries = tcps->config.syn_retries,
        .keep_idle_s = 7200, /* MUST-28; keep-alive itself is off (MUST-25) */
        .keep_interval_s = 75,
        .keep_count = 9,
        .linger2_s = 60,
        .linger_s = -1,
        .pacing = tcps->config.pacing,
        .hystart = tcps->config.hystart,
        .recovery = tcps->config.recovery,
    };
    t->started = tcps->env->now;
    return t;
}

struct nst_tcp_listener *nst_tcb_listener(const struct nst_tcb *t)
{
    return t->unaccepted ? (struct nst_tcp_listener *)(uintptr_t)t->owner : NULL;
}

/* Off the list on which it stands by whom it belongs to. */
static void leave_place(struct nst_tcb *t)
{
    struct nst_tcp_listener *l = nst_tcb_listener(t);

    if (l && nst_list_linked(&t->place))
        l->naccept--;
    else if (!t->owner && nst_list_linked(&t->place))
        t->tcps->norphans--;
    nst_list_del(&t->place);
}

void nst_tcb_disown(struct nst_tcb *t)
{
    nst_list_del(&t->place);
    t->owner = 0;
}

void nst_tcb_free(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;

    nst_flow_remove(tcps, &t->flow);
    nst_list_del(&t->ready);
    leave_place(t);
    nst_tcb_deactivate(t);
    nst_timer_cancel(&tcps->env->wheel, &t->timer);
    nst_env_free(tcps->env, t->trouble, sizeof *t->trouble);
    nst_env_free(tcps->env, t, sizeof *t);
}

void nst_tcb_wants_output(struct nst_tcb *t)
{
    if (!nst_list_linked(&t->ready))
        nst_list_push_back(&t->tcps->ready, &t->ready);
}

void nst_tcb_changed(struct nst_tcb *t)
{
    if (t->owner && !nst_list_linked(&t->place)) /* who is unaccepted stands elsewhere */
        nst_list_push_back(&t->tcps->changed, &t->place);
}

static void activity_check(const struct nst_tcb *t)
{
    nst_sendq_check(&t->act->sendq);
    nst_board_check(t);
    nst_ooo_check(t->act->ooo);
    nst_recvq_check(&t->act->recvq);
}

static void tcb_check(const struct nst_tcb *t)
{
    nst_time first = NST_TIME_NEVER;

    for (unsigned i = 0; i <= NST_TCP_DL_WATCH; i++)
        first = nst_min(first, nst_tcb_deadline(t, i));
    assert(first == NST_TIME_NEVER ||
           (nst_timer_armed(&t->timer) &&
            nst_timer_at(&t->timer) <= nst_max(first, t->tcps->env->now) + NST_US));
    assert(nst_seq_le(t->snd.una, t->snd.nxt));
    assert(t->act || nst_seq_eq(t->snd.una, t->snd.nxt));
    assert(nst_list_linked(&t->ready) || !nst_tcb_waits(t) ||
           nst_tcb_deadline(t, t->act ? NST_TCP_DL_RTO : NST_TCP_DL_WATCH) !=
               NST_TIME_NEVER); /* or it would wait for ever */
    assert(nst_seq_le(t->rcv.nxt, t->rcv.adv) || t->state < NST_TCP_ESTABLISHED);
    if (t->act)
        activity_check(t);
}

void nst_tcp_check(const struct nst_tcps *tcps)
{
    uint32_t n = 0;
    size_t ooo_bytes = 0;

    for (uint32_t i = 0; i <= tcps->mask; i++) {
        for (const struct nst_flow *f = tcps->buckets[i]; f; f = f->next) {
            n++;
            assert(f->placed && bucket_of(tcps, &f->id) == &tcps->buckets[i]);
            if (f->kind != NST_FLOW_TCB)
                continue;
            const struct nst_tcb *t = NST_CONTAINER(f, struct nst_tcb, flow);
            tcb_check(t);
            ooo_bytes += t->act ? nst_ooo_mem(t->act->ooo) : 0;
        }
    }
    assert(ooo_bytes == tcps->ooo_bytes);
    assert(n == tcps->nflows && n <= tcps->config.max_flows);
}
