/* Passive opens: from a SYN to a connection that waits to be accepted.
 *
 * A SYN makes a small record, which answers and repeats the answer; the handshake's last ACK turns
 * it into a connection on the accept queue. When the listener has as many half-open ones as it may,
 * SYNs are answered with cookies instead, which need no memory at all (RFC 4987 §3.6). When the
 * accept queue is full the last ACK is ignored, and the record goes on repeating its answer until
 * there is room or it gives up: that is the back-pressure that the peer sees. */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/share.h"
#include "core/tcp/tcb.h"

#define COOKIE_TIME (120 * NST_SEC) /* so long after the last cookie was sent they are believed */

/* ---- Listeners --------------------------------------------------------------------------- */

static struct nst_list *port_bucket(struct nst_tcps *tcps, uint16_t port)
{
    return &tcps->listeners[port % NST_TCP_PORT_BUCKETS];
}

static struct nst_tcp_listener *listener_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_tcp_listener, place);
}

static bool suits(const struct nst_tcp_listener *l, const struct nst_sockaddr *local)
{
    return l->local.port == local->port &&
           (!nst_addr_is_set(&l->local.addr) || nst_addr_eq(&l->local.addr, &local->addr)) &&
           (!l->local.link || l->local.link == local->link);
}

/* One bound to the very address goes before one bound to all (MUST-42). Of several that share it,
 * each flow has its own. */
static bool goes_before(const struct nst_tcps *tcps, const struct nst_flow_id *id,
                        const struct nst_tcp_listener *a, const struct nst_tcp_listener *b)
{
    bool exact = nst_addr_is_set(&a->local.addr);

    if (exact != nst_addr_is_set(&b->local.addr))
        return exact;
    uint64_t flow = nst_siphash(&tcps->flow_key, id, sizeof *id);
    return nst_share_weight(flow, a->member) > nst_share_weight(flow, b->member);
}

/* Connections stand in another table (MUST-41). */
struct nst_tcp_listener *nst_listener_find(struct nst_tcps *tcps, const struct nst_flow_id *id,
                                           nst_link link)
{
    const struct nst_sockaddr local = {id->local, id->lport, link};
    struct nst_tcp_listener *found = NULL;

    NST_LIST_FOREACH (e, port_bucket(tcps, local.port)) {
        struct nst_tcp_listener *l = listener_of(e);
        if (suits(l, &local) && (!found || goes_before(tcps, id, l, found)))
            found = l;
    }
    return found;
}

void nst_tcp_listen(struct nst_tcps *tcps, struct nst_tcp_listener *l)
{
    l->tcps = tcps;
    nst_list_init(&l->reqs);
    nst_list_init(&l->accept);
    nst_list_init(&l->changed_node);
    nst_list_init(&l->asking);
    nst_list_init(&l->fastopens);
    nst_list_push_back(port_bucket(tcps, l->local.port), &l->place);
}

void nst_listener_changed(struct nst_tcp_listener *l)
{
    if (!nst_list_linked(&l->changed_node))
        nst_list_push_back(&l->tcps->changed_listeners, &l->changed_node);
}

struct nst_tcb *nst_tcp_accept(struct nst_tcp_listener *l)
{
    struct nst_list *e = nst_list_pop_front(&l->accept);
    struct nst_tcb *t = e ? NST_CONTAINER(e, struct nst_tcb, place) : NULL;

    if (t) {
        l->naccept--;
        t->unaccepted = false;
        t->owner = 0;
    }
    return t;
}

/* ---- SYN-ACK ----------------------------------------------------------------------------- */

/* What a SYN has taught, whether a record or a cookie remembers it. */
struct offer {
    nst_seq iss, irs;
    uint32_t ts_recent;
    uint16_t mss;
    uint8_t wscale;
    bool ts_ok, sack_ok, ws_ok, ecn_ok;
    struct nst_tcp_cookie answer; /* Fast Open's, for the first SYN-ACK only; its length may be 0 */
};

static struct offer offer_of(const struct nst_tcp_listener *l, const struct nst_tcp_seg *seg)
{
    const struct nst_tcp_opts *o = &seg->h.opts;
    const struct nst_tcp_config *c = &l->tcps->config;

    return (struct offer){.irs = seg->h.seq,
                          .ts_recent = o->ts_val,
                          .mss = o->mss,
                          .wscale = (uint8_t)nst_min(o->wscale, 14), /* 7323-1 */
                          .ts_ok = c->timestamps && o->has_ts,
                          .sack_ok = c->sack && o->sack_ok,
                          .ws_ok = c->wscale && o->has_wscale,
                          .ecn_ok = nst_ecn_asks(l->opt.ecn, seg->h.flags)};
}

static uint32_t path_mtu(const struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_path path;

    nst_ip_path(tcps->ip, &id->peer, 0, &path);
    return path.mtu;
}

/* The window of a SYN-ACK, which is never scaled. */
static uint16_t first_window(const struct nst_tcp_listener *l)
{
    return (uint16_t)nst_min32(l->opt.rcvbuf / 2, 65535);
}

/* 7323-2, 2018-1: only what was offered. With a cookie the timestamp carries what the sequence
 * number has no room for (see syncookie.c). */
static void send_synack(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                        const struct offer *o, bool cookie)
{
    struct nst_tcps *tcps = l->tcps;
    uint32_t mss = path_mtu(tcps, id) - NST_IPV4_HLEN - NST_TCP_HLEN;
    uint32_t offset = nst_tcp_ts_offset(tcps, id);
    struct nst_tcp h = {.flags = NST_TCP_SYN | NST_TCP_ACK,
                        .seq = o->iss,
                        .ack = nst_seq_add(o->irs, 1),
                        .wnd = first_window(l)};

    if (o->ecn_ok) /* 3168-2 */
        h.flags |= NST_TCP_ECE;
    h.opts = (struct nst_tcp_opts){
        .mss = (uint16_t)(l->opt.user_mss ? nst_min32(mss, l->opt.user_mss) : mss),
        .sack_ok = o->sack_ok,
        .has_wscale = o->ws_ok,
        .wscale = nst_tcp_wscale(tcps),
        .has_ts = o->ts_ok,
        .ts_ecr = o->ts_recent,
        .has_fastopen = o->answer.len > 0,
        .fastopen = o->answer};
    h.opts.ts_val = nst_tcp_ts(tcps, offset);
    if (cookie)
        h.opts.ts_val =
            nst_cookie_ts(h.opts.ts_val, o->ws_ok ? o->wscale : 15, o->sack_ok, o->ecn_ok);
    nst_tcp_send_bare(tcps, id, &h, l->opt.ttl, l->opt.tos);
}

/* ---- Half-open connections --------------------------------------------------------------- */

static struct offer offer_of_req(const struct nst_tcp_req *req)
{
    return (struct offer){.iss = req->iss,
                          .irs = req->irs,
                          .ts_recent = req->ts_recent,
                          .mss = req->mss,
                          .wscale = req->wscale,
                          .ts_ok = req->ts_ok,
                          .sack_ok = req->sack_ok,
                          .ws_ok = req->ws_ok,
                          .ecn_ok = req->ecn_ok};
}

static void req_answer(struct nst_tcp_req *req)
{
    struct offer o = offer_of_req(req);

    if (req->fastopen)
        nst_fastopen_cookie(req->listener->tcps, &req->flow.id, req->fastopen_exp, &o.answer);
    req->fastopen = false;
    send_synack(req->listener, &req->flow.id, &o, false);
}

static nst_time req_wait(const struct nst_tcp_req *req)
{
    return NST_RTO_INITIAL << nst_min(req->retries, 7);
}

void nst_req_free(struct nst_tcp_req *req)
{
    struct nst_tcps *tcps = req->listener->tcps;

    nst_flow_remove(tcps, &req->flow);
    nst_timer_cancel(&tcps->env->wheel, &req->timer);
    nst_list_del(&req->place);
    req->listener->nreqs--;
    nst_env_free(tcps->env, req, sizeof *req);
}

/* One that was not answered yet, as if nobody had ever listened (RFC 9293 §3.10.7.1). */
void nst_req_reset(struct nst_tcp_req *req)
{
    struct nst_tcp h = {.flags = NST_TCP_RST | NST_TCP_ACK,
                        .seq = req->asked ? nst_seq_of(0) : nst_seq_add(req->iss, 1),
                        .ack = nst_seq_add(req->irs, 1)};

    NST_COUNT(req->listener->tcps->env, tcp_resets_sent);
    nst_tcp_send_bare(req->listener->tcps, &req->flow.id, &h, 0, 0);
}

/* The owner is told, and the answer waits: only nst_tcp_answer() gives it. */
static void ask(struct nst_tcp_req *req)
{
    struct nst_tcp_listener *l = req->listener;

    req->asked = true;
    if (!nst_list_linked(&l->asking))
        nst_list_push_back(&l->tcps->asking, &l->asking);
    nst_listener_changed(l);
}

/* Whether a SYN waits for the owner, or for others that do: those stand together, as the newest. */
static bool is_held(const struct nst_tcp_listener *l)
{
    return l->opt.syn_events || nst_list_linked(&l->asking);
}

static bool has_enough_reqs(const struct nst_tcp_listener *l)
{
    return l->nreqs >= nst_min32(l->tcps->config.max_reqs, nst_max32(l->backlog, 16));
}

/* The newest of the listener's. */
static void req_join(struct nst_tcp_req *req, struct nst_tcp_listener *l)
{
    req->listener = l;
    nst_list_push_back(&l->reqs, &req->place);
    l->nreqs++;
    if (is_held(l))
        ask(req);
    else
        req_answer(req);
}

static bool req_new(struct nst_tcp_listener *l, const struct nst_flow_id *id, const struct offer *o)
{
    struct nst_tcps *tcps = l->tcps;
    struct nst_tcp_req *req = nst_env_alloc(tcps->env, sizeof *req);

    if (!req)
        return false;
    *req = (struct nst_tcp_req){.flow.id = *id,
                                .iss = o->iss,
                                .irs = o->irs,
                                .ts_recent = o->ts_recent,
                                .mss = o->mss,
                                .wscale = o->wscale,
                                .ts_ok = o->ts_ok,
                                .sack_ok = o->sack_ok,
                                .ws_ok = o->ws_ok,
                                .ecn_ok = o->ecn_ok,
                                .fastopen = o->answer.len > 0,
                                .fastopen_exp = o->answer.experimental};
    if (nst_flow_insert(tcps, &req->flow, NST_FLOW_REQ) != 0) {
        nst_env_free(tcps->env, req, sizeof *req);
        return false;
    }
    nst_timer_init(&req->timer, NST_TIMER_TCP_REQ);
    nst_timer_arm(&tcps->env->wheel, &req->timer, tcps->env->now + req_wait(req));
    req_join(req, l);
    return true;
}

void nst_tcp_answer(struct nst_tcps *tcps)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&tcps->asking))) {
        struct nst_tcp_listener *l = NST_CONTAINER(e, struct nst_tcp_listener, asking);
        for (struct nst_list *r = l->reqs.prev; r != &l->reqs; r = r->prev) {
            struct nst_tcp_req *req = NST_CONTAINER(r, struct nst_tcp_req, place);
            if (!req->asked)
                break;
            req->asked = false;
            req_answer(req);
        }
    }
}

void nst_req_timeout(struct nst_tcp_req *req)
{
    struct nst_tcps *tcps = req->listener->tcps;

    if (req->retries >= tcps->config.synack_retries) {
        nst_req_free(req);
        return;
    }
    req->retries++;
    nst_timer_arm(&tcps->env->wheel, &req->timer, tcps->env->now + req_wait(req));
    if (!req->asked && (!req->acked || req->listener->naccept <= req->listener->backlog))
        req_answer(req);
}

/* ---- The end of a listener ----------------------------------------------------------------- */

/* One that was not answered yet is as if it came now: another listener's, if there is one. Where
 * that has no room the peer's next SYN will be judged by its rules. */
static void req_pass_on(struct nst_tcp_req *req)
{
    struct nst_tcp_listener *from = req->listener;
    struct nst_tcp_listener *to = nst_listener_find(from->tcps, &req->flow.id, from->local.link);

    if (!to)
        nst_req_reset(req);
    if (!to || to->naccept > to->backlog || has_enough_reqs(to)) {
        nst_req_free(req);
        return;
    }
    nst_list_del(&req->place);
    from->nreqs--;
    req->asked = false;
    req_join(req, to);
}

/* What was answered is reset, and so are unaccepted connections. */
void nst_tcp_unlisten(struct nst_tcp_listener *l)
{
    nst_list_del(&l->place);
    while (!nst_list_empty(&l->reqs)) {
        struct nst_tcp_req *req = NST_CONTAINER(l->reqs.next, struct nst_tcp_req, place);
        if (req->asked) {
            req_pass_on(req);
            continue;
        }
        nst_req_reset(req);
        nst_req_free(req);
    }
    while (!nst_list_empty(&l->accept)) {
        struct nst_tcb *t = nst_tcp_accept(l);
        nst_tcb_abort(t, ECONNRESET);
    }
    nst_fastopen_unlisten(l);
    nst_list_del(&l->changed_node);
    nst_list_del(&l->asking);
}

/* ---- The connection ---------------------------------------------------------------------- */

/* Into the table, where `req` (NULL: there is none) has kept its place. */
static bool take_place(struct nst_tcb *t, struct nst_tcp_req *req)
{
    if (!req)
        return nst_flow_insert(t->tcps, &t->flow, NST_FLOW_TCB) == 0;
    nst_flow_replace(t->tcps, &req->flow, &t->flow, NST_FLOW_TCB);
    return true;
}

/* An established connection on the accept queue, of what was `req` in the table or of nothing that
 * stood there (NULL). NULL without memory. */
static struct nst_tcb *open_passive(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                                    const struct offer *o, struct nst_tcp_req *req)
{
    struct nst_tcps *tcps = l->tcps;
    struct nst_tcb *t = nst_tcb_new(tcps, id);

    if (!t)
        return NULL;
    t->opt = l->opt;
    t->cc.number = l->cc->number;
    t->begun = true;
    t->mtu = (uint16_t)nst_min32(path_mtu(tcps, id), UINT16_MAX);
    t->snd.una = t->snd.nxt = nst_seq_add(o->iss, 1);
    t->rcv.nxt = t->last_ack_sent = nst_seq_add(o->irs, 1);
    t->rcv.adv = nst_seq_add(t->rcv.nxt, first_window(l));
    t->rcv_wscale = (o->ws_ok ? nst_tcp_wscale(tcps) : 0) & 15u;
    t->snd_wscale = (o->ws_ok ? o->wscale : 0) & 15u;
    t->peer_mss = o->mss;
    t->ts_ok = o->ts_ok;
    t->sack_ok = o->sack_ok;
    t->ws_ok = o->ws_ok;
    t->ecn_ok = o->ecn_ok;
    t->ts_recent = o->ts_recent;
    t->ts_recent_s = (uint32_t)(tcps->env->now / NST_SEC);
    t->ts_offset = nst_tcp_ts_offset(tcps, id);
    nst_tcb_set_mss(t);
    if (!take_place(t, req)) {
        nst_tcb_free(t);
        return NULL;
    }
    t->unaccepted = true;
    t->owner = (uintptr_t)l;
    nst_list_push_back(&l->accept, &t->place);
    l->naccept++;
    NST_COUNT(tcps->env, tcp_passive_opens);
    nst_listener_changed(l);
    return t;
}

/* The handshake's last ACK is good: the connection begins, with this segment as its first. `req`
 * (NULL after a cookie) goes; without memory it stays, and so does the peer's hope. */
static enum nst_drop complete(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                              const struct offer *o, struct nst_tcp_req *req,
                              struct nst_tcp_seg *seg)
{
    struct nst_tcb *t = open_passive(l, id, o, req);
    bool lost = req && req->retries;
    nst_time sent = 0;

    if (!t)
        return NST_DROP_no_memory;
    /* When the SYN-ACK was sent; a timer is rounded up, so that may seem later than now. A cookie
     * tells nothing of that, nor that anything was lost. */
    if (req) {
        sent = nst_min(nst_timer_at(&req->timer) - req_wait(req), l->tcps->env->now);
        nst_req_free(req);
    }
    seg->wnd = (uint32_t)seg->h.wnd << t->snd_wscale;
    t->snd.wnd = t->snd.max_wnd = seg->wnd;
    t->snd.wl1 = seg->h.seq;
    t->snd.wl2 = seg->h.ack;
    nst_tcb_establish(t, sent, lost);
    return nst_tcb_input(t, seg);
}

/* An ACK that says what is expected (RFC 9293 §3.10.7.4, RFC 5961 §3.2). */
static void req_challenge(struct nst_tcp_req *req)
{
    struct nst_tcps *tcps = req->listener->tcps;
    struct nst_tcp h = {.flags = NST_TCP_ACK,
                        .seq = nst_seq_add(req->iss, 1),
                        .ack = nst_seq_add(req->irs, 1),
                        .wnd = first_window(req->listener)};

    if (!nst_tcp_may_challenge(tcps, &req->challenged_ms))
        return;
    if (req->ts_ok) {
        h.opts.has_ts = true;
        h.opts.ts_val = nst_tcp_ts(tcps, nst_tcp_ts_offset(tcps, &req->flow.id));
        h.opts.ts_ecr = req->ts_recent;
    }
    NST_COUNT(tcps->env, tcp_challenges);
    nst_tcp_send_bare(tcps, &req->flow.id, &h, req->listener->opt.ttl, req->listener->opt.tos);
}

static bool is_same_syn(const struct nst_tcp_req *req, const struct nst_tcp *h)
{
    uint8_t flags = h->flags & (NST_TCP_SYN | NST_TCP_ACK | NST_TCP_RST);

    return flags == NST_TCP_SYN && nst_seq_eq(h->seq, req->irs);
}

/* The first four checks of RFC 9293 §3.10.7.4: what passes is a RST that counts, or an ACK. A SYN
 * does not lead back to LISTEN, unlike there: who only guesses shall not be able to do that. */
static enum nst_drop req_check(struct nst_tcp_req *req, const struct nst_tcp_seg *seg)
{
    nst_seq nxt = nst_seq_add(req->irs, 1);
    uint8_t flags = seg->h.flags;

    if (is_same_syn(req, &seg->h)) { /* our answer was lost; ECN may be why (3168-3). Or is due */
        req->ecn_ok &= nst_ecn_asks(req->listener->opt.ecn, flags);
        if (!req->asked)
            req_answer(req);
        return NST_DROP_tcp_dup;
    }
    if (!nst_tcp_in_window(seg, nxt, nst_seq_add(nxt, first_window(req->listener)))) {
        if (!(flags & NST_TCP_RST))
            req_challenge(req);
        return NST_DROP_tcp_seq;
    }
    if (flags & NST_TCP_RST && nst_seq_eq(seg->h.seq, nxt))
        return NST_DROP_NONE;
    if (flags & (NST_TCP_RST | NST_TCP_SYN)) {
        req_challenge(req);
        return flags & NST_TCP_RST ? NST_DROP_tcp_rst : NST_DROP_tcp_syn;
    }
    return flags & NST_TCP_ACK ? NST_DROP_NONE : NST_DROP_tcp_flags;
}

enum nst_drop nst_req_input(struct nst_tcp_req *req, struct nst_tcp_seg *seg)
{
    struct nst_tcp_listener *l = req->listener;
    const struct nst_tcp *h = &seg->h;
    const struct nst_flow_id id = req->flow.id;
    struct offer o = offer_of_req(req);
    enum nst_drop drop = req_check(req, seg);

    if (drop)
        return drop;
    if (h->flags & NST_TCP_RST) { /* back to LISTEN (MUST-11): nobody is told */
        nst_req_free(req);
        return NST_DROP_NONE;
    }
    if (!nst_seq_eq(h->ack, nst_seq_add(req->iss, 1))) {
        nst_tcp_send_rst_for(l->tcps, seg->pkt, h, seg->len);
        return NST_DROP_tcp_ack;
    }
    if (l->opt.defer_accept && seg->len == 0)
        return NST_DROP_NONE; /* TCP_DEFER_ACCEPT: the bare ACK is not enough */
    req->acked = true;
    if (l->naccept > l->backlog)
        return NST_DROP_tcp_accept_queue;
    if (req->ts_ok && h->opts.has_ts)
        o.ts_recent = h->opts.ts_val;
    return complete(l, &id, &o, req, seg);
}

/* ---- LISTEN (RFC 9293 §3.10.7.2) --------------------------------------------------------- */

/* Beyond all that a connection between the same ends has used before (RFC 9293 MAY-2), which may be
 * more than the clock has counted since. */
static nst_seq choose_iss(const struct nst_tcps *tcps, const struct nst_flow_id *id,
                          const struct nst_tcp_seg *seg)
{
    nst_seq iss = nst_tcp_isn(tcps, id), least = nst_seq_add(seg->used, 65536);

    return seg->reopens && nst_seq_lt(iss, least) ? least : iss;
}

/* A connection that takes the data of its SYN, and goes on before the handshake ends (7413-4).
 * False without memory: then it begins as others do. */
static bool open_fast(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                      const struct offer *o, struct nst_tcp_seg *seg, enum nst_drop *drop)
{
    struct nst_tcb *t = open_passive(l, id, o, NULL);

    if (!t)
        return false;
    if (!nst_tcb_activate(t) || !nst_fastopen_serve(t, l, &o->answer)) {
        nst_tcb_free(t);
        return false;
    }
    t->snd.wnd = t->snd.max_wnd = seg->h.wnd;
    t->snd.wl1 = seg->h.seq;
    t->snd.wl2 = o->iss;
    t->act->iss = o->iss;
    t->act->irs = o->irs;
    t->act->syn_time = l->tcps->env->now;
    nst_tcb_begin(t, false);
    t->act->first_unacked = l->tcps->env->now;
    *drop = nst_tcb_syn_data(t, seg);
    t->act->fastopen->synack_due = true;
    nst_tcb_rearm(t);
    return true;
}

static enum nst_drop input_syn(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                               struct nst_tcp_seg *seg)
{
    enum nst_drop drop = NST_DROP_NONE;
    struct nst_tcps *tcps = l->tcps;
    struct offer o = offer_of(l, seg);

    if (l->naccept > l->backlog)
        return NST_DROP_tcp_accept_queue;
    o.iss = choose_iss(tcps, id, seg);
    if (nst_fastopen_accepts(l, id, seg, &o.answer) && open_fast(l, id, &o, seg, &drop))
        return drop;
    if (!has_enough_reqs(l) && req_new(l, id, &o))
        return NST_DROP_NONE;
    if (!tcps->config.cookies)
        return NST_DROP_tcp_syn_queue;
    /* No room (4987-1): a cookie, which needs none (4987-2). */
    o.iss = nst_cookie_make(tcps, id, o.irs, o.mss);
    o.sack_ok &= o.ts_ok; /* what could not come back must not be agreed upon */
    o.ws_ok &= o.ts_ok;
    o.ecn_ok &= o.ts_ok;
    o.answer.len = 0;
    tcps->cookies_sent = tcps->env->now;
    NST_COUNT(tcps->env, tcp_cookies_sent);
    send_synack(l, id, &o, true);
    return NST_DROP_NONE;
}

/* An ACK out of nowhere: perhaps the answer to a cookie (4987-6). */
static enum nst_drop input_ack(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                               struct nst_tcp_seg *seg)
{
    struct nst_tcps *tcps = l->tcps;
    const struct nst_tcp_opts *opts = &seg->h.opts;
    struct offer o = {.irs = nst_seq_sub(seg->h.seq, 1), .iss = nst_seq_sub(seg->h.ack, 1)};
    bool expected = tcps->cookies_sent && tcps->env->now - tcps->cookies_sent < COOKIE_TIME;

    if (!expected || !nst_cookie_check(tcps, id, o.irs, o.iss, &o.mss)) {
        nst_tcp_send_rst_for(tcps, seg->pkt, &seg->h, seg->len);
        return expected ? NST_DROP_tcp_cookie : NST_DROP_tcp_ack;
    }
    if (l->naccept > l->backlog)
        return NST_DROP_tcp_accept_queue;
    if (opts->has_ts && tcps->config.timestamps) {
        uint32_t ours = opts->ts_ecr;
        o.ts_ok = true;
        o.ts_recent = opts->ts_val;
        o.ws_ok = nst_cookie_ts_read(ours, &o.wscale, &o.sack_ok, &o.ecn_ok);
    }
    NST_COUNT(tcps->env, tcp_cookies_accepted);
    return complete(l, id, &o, NULL, seg);
}

enum nst_drop nst_listen_input(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                               struct nst_tcp_seg *seg)
{
    uint8_t flags = seg->h.flags;

    if (flags & NST_TCP_RST)
        return NST_DROP_tcp_rst;
    if (flags & NST_TCP_ACK) {
        if (flags & NST_TCP_SYN) {
            nst_tcp_send_rst_for(l->tcps, seg->pkt, &seg->h, seg->len);
            return NST_DROP_tcp_ack;
        }
        return input_ack(l, id, seg);
    }
    if (!(flags & NST_TCP_SYN) || flags & NST_TCP_FIN)
        return NST_DROP_tcp_flags; /* SYN with FIN: CVE-2012-6638 */
    return input_syn(l, id, seg);
}
