/* TCP connections of every kind over every kind of network.
 *
 * A seed chooses hosts, their options and limits, the wires between them with all their faults, and
 * a number of connections, each with a plan for its two ends. What must hold: every byte that an
 * end reads is the one that was sent; a connection between two orderly ends delivers everything;
 * no connection stands still while the network works; each ends; nothing is left over of any.
 *
 * In a rough world (no memory, listeners that close, outages) connections may break, but must break
 * for both ends, and still leave nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "tcp_apps.h"

#define NODES_MAX   4
#define CONNS_MAX   64
#define PORT_SERVER 7000
#define PORT_CLIENT 20000
#define TIME_MAX    (2 * 3600 * NST_SEC)
#define STALL_MAX   (300 * NST_SEC) /* two of the longest retransmission timeouts and some */
#define ALONE_MAX   (960 * NST_SEC) /* until R2 gives up what a server with a full queue ignores */

struct world;

struct server {
    struct sim_app app;
    struct world *world;
    nst_sock sock;
    nst_time pause; /* between two accepts */
    bool pending, closed;
    nst_time close_at;
    struct tcp_end *spare;
};

/* A connection to be, or several with the same ends one after the other. */
struct conn {
    unsigned client, server; /* nodes */
    unsigned rounds;
    bool crossing; /* simultaneous open: both ends connect */
    bool loopback; /* by 127.0.0.1 */
    nst_time start;
    struct tcp_plan plan[2];
    struct tcp_end *end[2]; /* the latest */
};

struct world {
    struct sim *sim;
    struct nst_prng prng;
    bool rough;
    bool fast; /* Fast Open: where nothing comes twice, or so would data (RFC 7413 §2.1) */
    unsigned nnodes, nconns;
    struct sim_node *node[NODES_MAX];
    struct server server[NODES_MAX];
    struct conn conn[CONNS_MAX];
    struct tcp_end *ends;
    unsigned nends;
    /* The first host's wires are cut from `cut_at` to `cut_until`; then all is as it was. */
    struct sim_wire_config tx, rx;
    nst_time cut_at, cut_until;
    bool was_cut;
    nst_time shrink_at; /* then the first host's MTU is smaller; 0: never */
};

static uint64_t below(struct world *w, uint64_t bound)
{
    return nst_prng_below(&w->prng, bound);
}

static bool one_in(struct world *w, unsigned n)
{
    return below(w, n) == 0;
}

/* From 1 to about 2^bits, each power of two as likely. */
static uint64_t any_size(struct world *w, unsigned bits)
{
    uint64_t top = (uint64_t)1 << below(w, bits + 1);

    return top + below(w, top);
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static struct nst_addr addr_of(unsigned node)
{
    return nst_addr_v4(10, 0, 0, (uint8_t)(node + 1));
}

static struct tcp_end *end_new(struct world *w)
{
    struct tcp_end *e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->next = w->ends;
    w->ends = e;
    w->nends++;
    return e;
}

static uint64_t key_new(struct world *w)
{
    return nst_prng_next(&w->prng) | 1;
}

static void server_close(struct server *s)
{
    if (s->closed)
        return;
    s->closed = true;
    SIM_REQUIRE(s->world->sim, nst_close(sim_stack(s->app.node), s->sock) == 0);
}

/* Which connection it is follows from the client's port. */
static void server_took(struct server *s, struct tcp_end *e)
{
    struct nst_sock_info info;
    struct world *w = s->world;

    SIM_REQUIRE(w->sim, nst_info(sim_stack(s->app.node), e->sock, &info) == 0);
    unsigned i = info.peer.port - PORT_CLIENT;
    SIM_REQUIRE(w->sim, i < w->nconns && info.local.port == PORT_SERVER);
    w->conn[i].end[1] = e;
    e->peer = w->conn[i].end[0];
    e->peer->peer = e;
    tcp_end_begin(e, &w->conn[i].plan[1], key_new(w));
}

static void server_accept(struct server *s)
{
    int err = 0;

    while (s->pending && !s->closed && !err) {
        if (!s->spare)
            s->spare = end_new(s->world);
        err = tcp_end_accept(s->spare, s->app.node, s->sock);
        if (err == 0) {
            struct tcp_end *e = s->spare;
            s->spare = NULL;
            server_took(s, e);
        }
        if (err == -EAGAIN)
            s->pending = false;
        if (err != -EAGAIN && (err || s->pause)) {
            s->app.wake = nst_min(s->app.wake, sim_now(s->app.sim) + s->pause + NST_MS);
            return;
        }
    }
}

static void on_server_event(struct sim_app *app, const struct nst_event *event)
{
    struct server *s = NST_CONTAINER(app, struct server, app);

    if (event->kind != NST_EVENT_READY)
        return;
    s->pending = true;
    if (!s->pause || app->wake == NST_TIME_NEVER || app->wake == s->close_at)
        server_accept(s);
}

static void on_server_timer(struct sim_app *app)
{
    struct server *s = NST_CONTAINER(app, struct server, app);

    if (sim_now(app->sim) >= s->close_at)
        server_close(s);
    else
        app->wake = s->close_at;
    server_accept(s);
}

static void server_start(struct world *w, unsigned number)
{
    struct server *s = &w->server[number];
    struct nst_stack *stack = sim_stack(w->node[number]);
    const struct nst_sockaddr any = {.port = PORT_SERVER};
    uint32_t backlog = one_in(w, 4) ? (uint32_t)below(w, 3) : 64;

    *s = (struct server){.app = {.event = on_server_event, .timer = on_server_timer},
                         .world = w,
                         .close_at = NST_TIME_NEVER};
    s->app.wake = NST_TIME_NEVER;
    if (w->rough && one_in(w, 3))
        s->pause = below(w, 3 * NST_SEC);
    if (w->rough && one_in(w, 4))
        s->app.wake = s->close_at = sim_now(w->sim) + below(w, 60 * NST_SEC);
    sim_app_add(w->node[number], &s->app);
    SIM_REQUIRE(w->sim, nst_socket(stack, &s->sock, NST_AF_INET, NST_SOCK_STREAM, 0,
                                   sim_cookie(&s->app)) == 0);
    SIM_REQUIRE(w->sim, nst_bind(stack, s->sock, &any) == 0);
    SIM_REQUIRE(w->sim, nst_listen(stack, s->sock, backlog) == 0);
    if (w->fast)
        SIM_REQUIRE(w->sim,
                    nst_setopt(stack, s->sock, NST_OPT_FASTOPEN, 1 + (int64_t)below(w, 8)) == 0);
}

/* ---- Networks -------------------------------------------------------------------------------- */

static struct sim_wire_config any_wire(struct world *w, bool corrupt)
{
    static const uint64_t rates[] = {500000, 2000000, 10000000, 100000000, 1000000000, 0};
    static const nst_time delays[] = {0, NST_MS / 10, 2 * NST_MS, 20 * NST_MS, 150 * NST_MS};
    struct sim_wire_config c = {
        .rate_bps = rates[below(w, NST_ARRAY_LEN(rates))],
        .queue_bytes = (uint32_t)(20000 + any_size(w, 17)),
        .delay = below(w, delays[below(w, NST_ARRAY_LEN(delays))] + 1),
    };

    if (one_in(w, 3))
        c.jitter = below(w, 5 * NST_MS);
    if (one_in(w, 2))
        c.loss_ppm = (uint32_t)below(w, one_in(w, 4) ? 50000 : 10000);
    if (!w->fast && one_in(w, 3))
        c.repeat_ppm = (uint32_t)below(w, 20000);
    if (one_in(w, 3))
        c.reorder_ppm = (uint32_t)below(w, one_in(w, 4) ? 400000 : 20000);
    if (c.reorder_ppm)
        c.reorder_delay = 1 + below(w, 50 * NST_MS);
    if (corrupt && one_in(w, 3))
        c.corrupt_ppm = (uint32_t)below(w, 10000);
    if (one_in(w, 3))
        c.mark_ppm = (uint32_t)below(w, one_in(w, 4) ? 50000 : 10000);
    if (one_in(w, 2))
        c.gather = below(w, one_in(w, 4) ? 20 * NST_MS : NST_MS);
    return c;
}

static void any_options(struct world *w, struct nst_tcp_config *c)
{
    c->timestamps = !one_in(w, 4);
    c->sack = !one_in(w, 4);
    c->wscale = !one_in(w, 4);
    if (one_in(w, 3))
        c->cc = &nst_cc_newreno;
    if (one_in(w, 8))
        c->restart_idle = true;
    c->mtu_probing = (uint8_t)(w->nnodes % 3);
    if (w->fast)
        c->fastopen = NST_TCP_FASTOPEN_CLIENT | NST_TCP_FASTOPEN_SERVER;
    c->ecn = one_in(w, 2) ? NST_TCP_ECN_ASK : NST_TCP_ECN_ACCEPT;
    if (one_in(w, 8))
        c->max_reqs = 1;
    if (one_in(w, 8))
        c->max_timewaits = 1 + (uint32_t)below(w, 4);
    if (one_in(w, 4))
        c->rcvbuf_initial = 4096 + (uint32_t)any_size(w, 18);
    if (one_in(w, 4))
        c->sndbuf_initial = 4096 + (uint32_t)any_size(w, 18);
}

/* Lets the numbers that connections between these ends begin with stand just below their wrap. */
static void wrap_soon(struct world *w, unsigned node, const struct nst_flow_id *id)
{
    struct nst_tcps *tcps = &sim_stack(w->node[node])->tcps;
    uint32_t before = 1 << 16 | (uint32_t)any_size(w, 20);

    while (nst_tcp_isn(tcps, id).v < UINT32_MAX - before)
        tcps->isn_key.k0++;
    if (one_in(w, 2))
        while (nst_tcp_ts(tcps, nst_tcp_ts_offset(tcps, id)) < UINT32_MAX - 100000)
            tcps->ts_key.k0++;
}

static void node_start(struct world *w, unsigned number, uint32_t mtu, uint32_t offloads)
{
    struct nst_limits limits = {0};
    struct nst_prefix ours = {addr_of(number), 24};
    struct nst_link_config link = {.mtu = mtu, .offloads = offloads};
    bool corrupt = !(offloads & NST_LINK_CSUM);
    const struct sim_wire_config tx = any_wire(w, corrupt), rx = any_wire(w, corrupt);

    if (w->rough && one_in(w, 4))
        limits.memory_bytes = 300000 + any_size(w, 20);
    w->node[number] = sim_node_add(w->sim, &limits);
    sim_port_add(w->node[number], 0, &link, &tx, &rx);
    w->tx = number == 0 ? tx : w->tx;
    w->rx = number == 0 ? rx : w->rx;
    any_options(w, &sim_stack(w->node[number])->tcps.config);
    SIM_REQUIRE(w->sim, nst_addr_add(sim_stack(w->node[number]), 1, &ours, NST_ACD_ANNOUNCE) == 0);
}

static void network_start(struct world *w)
{
    static const uint32_t mtus[] = {576, 1500, 1500, 1500, 1280, 9000, 296, 65535};
    uint32_t mtu = mtus[below(w, NST_ARRAY_LEN(mtus))], offloads = 0;

    if (one_in(w, 3))
        offloads = NST_LINK_CSUM | (one_in(w, 4) ? 0 : NST_LINK_TSO4);
    w->nnodes = 2 + (one_in(w, 4) ? (unsigned)below(w, NODES_MAX - 1) : 0);
    sim_switch_add(w->sim);
    for (unsigned i = 0; i < w->nnodes; i++) {
        node_start(w, i, mtu, offloads);
        if (one_in(w, 6))
            mtu = mtus[below(w, NST_ARRAY_LEN(mtus))];
        server_start(w, i);
    }
}

/* ---- Plans ----------------------------------------------------------------------------------- */

static void any_pace(struct world *w, struct tcp_plan *p)
{
    if (one_in(w, 3))
        p->write_bytes = (uint32_t)any_size(w, 14);
    if (p->write_bytes && one_in(w, 2))
        p->write_pause = below(w, 100 * NST_MS);
    if (one_in(w, 3))
        p->read_bytes = (uint32_t)any_size(w, 14);
    if (p->read_bytes && one_in(w, 2))
        p->read_pause = below(w, 100 * NST_MS);
    if (one_in(w, 12))
        p->read_after = below(w, (one_in(w, 4) ? 900 : 5) * NST_SEC);
    /* Not so slow that it takes hours. */
    if (p->write_pause)
        p->send = nst_min(p->send, 200 * (uint64_t)p->write_bytes);
    if (p->read_pause)
        p->read_bytes = nst_max32(p->read_bytes, 2000);
}

static void any_finish(struct world *w, struct tcp_plan *p)
{
    static const enum tcp_finish finishes[] = {TCP_CLOSE, TCP_ABORT, TCP_QUIT, TCP_QUIT};

    if (!one_in(w, 6))
        return;
    p->finish = finishes[below(w, NST_ARRAY_LEN(finishes))];
    p->quit_at = below(w, 2 * p->send + 8);
}

static struct tcp_plan any_plan(struct world *w, unsigned bits)
{
    struct tcp_plan p = {.send = one_in(w, 8) ? 0 : any_size(w, bits),
                         .waits = one_in(w, 3),
                         .nodelay = one_in(w, 3),
                         .cork = one_in(w, 8),
                         .keepalive = true};

    any_pace(w, &p);
    any_finish(w, &p);
    if (one_in(w, 10))
        p.sndbuf = 1 + (int64_t)any_size(w, 18);
    if (one_in(w, 10))
        p.rcvbuf = 1 + (int64_t)any_size(w, 18);
    if (one_in(w, 12))
        p.maxseg = 88 + (int64_t)any_size(w, 10);
    return p;
}

static void conn_plan(struct world *w, struct conn *c, unsigned bits)
{
    c->plan[0] = any_plan(w, bits);
    c->plan[1] = any_plan(w, bits);
    if (one_in(w, 5)) {
        c->plan[0].turn = c->plan[1].turn = 8 + (uint32_t)any_size(w, 12);
        c->plan[0].first = true;
        c->plan[0].send = nst_min(c->plan[0].send, 100 * (uint64_t)c->plan[0].turn);
        c->plan[1].send = nst_min(c->plan[1].send, 100 * (uint64_t)c->plan[0].turn);
    } else if (one_in(w, 5)) {
        c->plan[1].after_peer = true;
    }
}

/* Whoever has long closed may give up on an end that doesn't read: that one lets it wait. */
static void wait_for_sleeper(struct conn *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct tcp_plan *sleeper = &c->plan[i], *other = &c->plan[1 - i];
        if (sleeper->read_after < 60 * NST_SEC)
            continue;
        sleeper->after_peer = true;
        other->after_peer = false;
        other->read_after = 0;
        other->turn = sleeper->turn = 0;
    }
}

static void conn_choose(struct world *w, struct conn *c, unsigned bits)
{
    c->client = (unsigned)below(w, w->nnodes);
    c->server = (unsigned)below(w, w->nnodes);
    if (c->server == c->client && !one_in(w, 8))
        c->server = (c->client + 1) % w->nnodes;
    c->loopback = c->server == c->client && one_in(w, 2);
    c->crossing = c->server != c->client && one_in(w, 12);
    c->rounds = one_in(w, 4) ? 1 + (unsigned)below(w, 4) : 1;
    if (c->crossing)
        c->rounds = 1;
    c->start = sim_now(w->sim) + (one_in(w, 2) ? 0 : below(w, 10 * NST_SEC));
    conn_plan(w, c, bits);
    wait_for_sleeper(c);
    c->plan[0].fastopen = w->fast && !c->crossing && !c->plan[0].after_peer && !one_in(w, 3);
}

static bool is_orderly(const struct conn *c)
{
    return c->plan[0].finish == TCP_ORDERLY && c->plan[1].finish == TCP_ORDERLY;
}

static void plans_make(struct world *w)
{
    static const struct {
        unsigned conns, bits;
    } mixes[] = {
        {1, 23}, {2, 21}, {4, 19}, {8, 17}, {16, 15}, {CONNS_MAX, 11},
    };
    unsigned mix = (unsigned)below(w, NST_ARRAY_LEN(mixes));

    w->nconns = 1 + (unsigned)below(w, mixes[mix].conns);
    for (unsigned i = 0; i < w->nconns; i++)
        conn_choose(w, &w->conn[i], mixes[mix].bits);
    if (one_in(w, 2)) {
        struct conn *c = &w->conn[0];
        struct nst_flow_id id = {.local = addr_of(c->client),
                                 .peer = addr_of(c->server),
                                 .lport = PORT_CLIENT,
                                 .pport = PORT_SERVER};
        c->start = sim_now(w->sim); /* the numbers grow with time */
        wrap_soon(w, c->client, &id);
        id = (struct nst_flow_id){id.peer, id.local, id.pport, id.lport};
        if (c->client != c->server)
            wrap_soon(w, c->server, &id);
    }
}

/* Troubles that end again. */
static void troubles_make(struct world *w)
{
    if (one_in(w, 4)) {
        w->cut_at = sim_now(w->sim) + below(w, 5 * NST_SEC);
        w->cut_until = w->cut_at + below(w, 30 * NST_SEC);
    }
    if (one_in(w, 6))
        w->shrink_at = sim_now(w->sim) + below(w, 2 * NST_SEC);
    if (w->rough && one_in(w, 4)) { /* the host dies */
        w->cut_at = sim_now(w->sim) + 1 + below(w, 5 * NST_SEC);
        w->cut_until = NST_TIME_NEVER;
    }
    for (unsigned i = 0; w->rough && i < w->nnodes; i++)
        if (one_in(w, 4))
            sim_node_starve(w->node[i], (uint32_t)any_size(w, 16));
}

static void troubles_run(struct world *w)
{
    const struct sim_wire_config cut = {.loss_ppm = SIM_PPM};
    nst_time now = sim_now(w->sim);

    if (w->shrink_at && now >= w->shrink_at) {
        SIM_REQUIRE(w->sim, sim_port_set_mtu(w->node[0], 1, 296 + (uint32_t)below(w, 500)));
        w->shrink_at = 0;
    }
    if (w->cut_at && now >= w->cut_at) {
        sim_port_set(w->node[0], 1, &cut, &cut);
        w->cut_at = 0;
        w->was_cut = true;
    }
    if (!w->cut_at && w->cut_until && now >= w->cut_until) {
        sim_port_set(w->node[0], 1, &w->tx, &w->rx);
        w->cut_until = 0;
    }
}

/* ---- Running --------------------------------------------------------------------------------- */

static struct nst_sockaddr end_addr(const struct conn *c, unsigned node, uint16_t port)
{
    const struct nst_addr loopback = nst_addr_v4(127, 0, 0, 1);

    return (struct nst_sockaddr){.addr = c->loopback ? loopback : addr_of(node), .port = port};
}

/* Connects, from one side or from both at once. */
static void conn_start(struct world *w, struct conn *c)
{
    uint16_t port = (uint16_t)(PORT_CLIENT + (c - w->conn));
    /* Two that cross must not meet a listener. */
    uint16_t peer_port = c->crossing ? (uint16_t)(port - PORT_SERVER) : PORT_SERVER;
    const struct nst_sockaddr client = end_addr(c, c->client, port);
    const struct nst_sockaddr server = end_addr(c, c->server, peer_port);
    bool again = c->end[0] && c->end[0]->error == TCP_REFUSED;
    struct tcp_end *e = again ? c->end[0] : end_new(w);

    c->end[0] = e;
    if (!again)
        c->end[1] = NULL;
    if (tcp_end_connect(e, w->node[c->client], &c->plan[0], key_new(w), &client, &server))
        c->rounds--;
    else
        c->start = sim_now(w->sim) + NST_SEC; /* later */
    if (!c->crossing)
        return; /* the listener's end comes with an accept */
    struct tcp_end *other = end_new(w);
    if (!tcp_end_connect(other, w->node[c->server], &c->plan[1], key_new(w), &server, &client))
        return; /* it has one that crossed an earlier attempt of ours, and awaits this one */
    c->end[1] = other;
    other->peer = e;
    e->peer = other;
}

static void start_due(struct world *w)
{
    for (unsigned i = 0; i < w->nconns; i++) {
        struct conn *c = &w->conn[i];
        bool idle = !c->end[0] || c->end[0]->closed;
        if (c->rounds && idle && c->start <= sim_now(w->sim))
            conn_start(w, c);
    }
}

/* The far end of a connection: the one whose stream it reads. */
static struct tcp_end *peer_of(const struct world *w, const struct tcp_end *e)
{
    struct tcp_end *p = w->ends;

    while (p && !(p->key && e->received >= TCP_KEY_BYTES && p->key == e->expected))
        p = p->next;
    return p;
}

static void print_connection(const struct nst_tcb *t)
{
    struct nst_tcp_info info;

    nst_tcb_info(t, &info);
    printf(" state %d phase %d out %d queued %d wnd %u cwnd %u lost %u retr %u sacked %u rto %.3f "
           "at %.3f retries %u fin %d/%d/%d rcvq %zu adv %d mss %u owner %d ready %d sndbuf %u "
           "rcvbuf %u active %d txb %d",
           t->state, nst_tcb_phase(t), nst_seq_diff(t->snd.nxt, t->snd.una),
           nst_seq_diff(nst_tcb_snd_end(t), t->snd.nxt), t->snd.wnd, nst_tcb_cwnd(t), info.lost,
           info.retrans, info.sacked, (double)info.rto / 1e9,
           (double)nst_tcb_deadline(t, NST_TCP_DL_RTO) / 1e9, info.retransmits, t->fin_queued,
           t->fin_sent, t->fin_received, nst_tcb_unread(t), nst_seq_diff(t->rcv.adv, t->rcv.nxt),
           t->snd_mss, t->owner != 0, nst_list_linked(&t->ready), info.sndbuf, info.rcvbuf,
           t->act != NULL, t->tx_blocked);
}

static void print_flows(const struct nst_tcps *tcps)
{
    for (uint32_t i = 0; i <= tcps->mask; i++)
        for (const struct nst_flow *f = tcps->buckets[i]; f; f = f->next) {
            printf("# flow %u-%u kind %d", f->id.lport, f->id.pport, f->kind);
            if (f->kind == NST_FLOW_TCB)
                print_connection(NST_CONTAINER(f, struct nst_tcb, flow));
            puts("");
        }
}

static void print_world(const struct world *w)
{
    for (const struct tcp_end *e = w->ends; e; e = e->next)
        if (e->app.sim && !e->closed)
            tcp_end_print(e);
    for (unsigned i = 0; i < w->nnodes; i++) {
        printf("# node %u\n", i);
        print_flows(&sim_stack(w->node[i])->tcps);
    }
}

#define REQUIRE(w, condition)               \
    do {                                    \
        if (!(condition))                   \
            print_world(w);                 \
        SIM_REQUIRE((w)->sim, (condition)); \
    } while (0)

/* Nobody's connection stands still that isn't waiting for time to pass. */
static void check_stall(struct world *w, const struct tcp_end *e)
{
    const struct tcp_end *peer = e->received >= TCP_KEY_BYTES ? peer_of(w, e) : e->peer;
    nst_time moved = e->moved;

    if (w->cut_at || w->cut_until || !e->app.sim || e->closed || tcp_end_pauses(e) || !e->key)
        return;
    if (peer)
        moved = nst_max(moved, peer->moved);
    if (peer && tcp_end_pauses(peer))
        return;
    REQUIRE(w, sim_now(w->sim) - moved < (peer ? STALL_MAX : ALONE_MAX));
}

static bool all_ended(struct world *w)
{
    for (unsigned i = 0; i < w->nconns; i++)
        if (w->conn[i].rounds)
            return false;
    for (const struct tcp_end *e = w->ends; e; e = e->next)
        if (e->app.sim && e->key && !e->closed)
            return false;
    return true;
}

static void run_until_ended(struct world *w)
{
    nst_time end = sim_now(w->sim) + TIME_MAX;

    while (!all_ended(w) || (w->cut_until && w->cut_until != NST_TIME_NEVER)) {
        start_due(w);
        troubles_run(w);
        sim_run(w->sim, sim_now(w->sim) + NST_SEC / 20, NULL, NULL);
        for (const struct tcp_end *e = w->ends; e; e = e->next)
            check_stall(w, e);
        REQUIRE(w, sim_now(w->sim) < end);
    }
    for (unsigned i = 0; i < w->nnodes; i++) {
        server_close(&w->server[i]);
        sim_app_wake(&w->server[i].app, sim_now(w->sim));
    }
}

static bool nothing_left(void *ctx)
{
    const struct world *w = ctx;

    for (unsigned i = 0; i < w->nnodes; i++) {
        const struct nst_stack *stack = sim_stack(w->node[i]);
        if (stack->tcps.nflows || stack->pool.used_bytes)
            return false;
    }
    return sim_in_flight(w->sim) == 0;
}

/* ---- What must be true at the end ------------------------------------------------------------ */

/* All SYNs were lost, or all questions for the neighbour, or a crossing end had given up. */
static bool is_unreachable(int error)
{
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ECONNREFUSED;
}

static void check_delivered(struct world *w, const struct conn *c)
{
    /* Not just the last that the server took: an ACK that comes late, with a SYN cookie in it,
     * makes a second connection where the first has ended. */
    const struct tcp_end *a = c->end[0], *b = peer_of(w, a);

    if (w->rough || !is_orderly(c))
        return;
    if (!a->connected && is_unreachable(a->error))
        return;
    if (!a->connected && c->crossing && a->error == ECONNREFUSED)
        return; /* the other end had given up before */
    if (a->error == ECONNRESET && sim_stack(w->node[c->server])->tcps.cookies_sent)
        return; /* the ACK that bore the cookie was lost, and what followed it was refused */
    if (a->error == ECONNRESET && !a->peer &&
        nst_drops(sim_stack(w->node[c->server]), NST_DROP_tcp_accept_queue))
        return; /* others came before it with each batch, until its record gave up */
    if (w->was_cut && a->error == 0 && b && b->error == ECONNRESET)
        return; /* nobody waited for what `a` still had to send: it was given up sooner than R2 */
    if (!(a && b) || a->error || b->error) {
        printf("# connection %u of nodes %u and %u%s\n", (unsigned)(c - w->conn), c->client,
               c->server, c->crossing ? ", crossing" : "");
        if (a)
            tcp_end_print(a);
        if (b)
            tcp_end_print(b);
    }
    REQUIRE(w, a && b && a->error == 0 && b->error == 0);
    REQUIRE(w, a->eof && a->received == TCP_KEY_BYTES + c->plan[1].send);
    REQUIRE(w, b->eof && b->received == TCP_KEY_BYTES + c->plan[0].send);
}

static void check_keys(struct world *w)
{
    for (const struct tcp_end *e = w->ends; e; e = e->next)
        if (e->received >= TCP_KEY_BYTES)
            REQUIRE(w, peer_of(w, e) != NULL);
}

static void check_node(struct world *w, unsigned number)
{
    struct nst_stack *stack = sim_stack(w->node[number]);
    const struct nst_tcps *tcps = &stack->tcps;
    size_t used, budget;

    nst_stack_check(stack);
    nst_memory(stack, &used, &budget);
    REQUIRE(w, used == 0);
    REQUIRE(w, tcps->nflows == 0 && tcps->norphans == 0 && tcps->ntimewaits == 0);
    REQUIRE(w, nst_list_empty(&tcps->ready) && nst_list_empty(&tcps->changed));
    REQUIRE(w, stack->socks.count == 0);
}

static void world_free(struct world *w)
{
    struct tcp_end *next;

    sim_free(w->sim);
    for (struct tcp_end *e = w->ends; e; e = next) {
        next = e->next;
        free(e);
    }
    free(w);
}

static void run(uint64_t seed)
{
    const struct sim_config config = {.seed = seed, .check = seed % 5 == 0};
    struct world *w = calloc(1, sizeof *w);

    if (!w)
        abort();
    w->sim = sim_new(&config);
    w->prng = sim_prng(w->sim, "world");
    w->rough = one_in(w, 3);
    w->fast = !w->rough && one_in(w, 3);
    network_start(w);
    plans_make(w);
    troubles_make(w);
    run_until_ended(w);
    for (unsigned i = 0; i < w->nconns; i++)
        check_delivered(w, &w->conn[i]);
    check_keys(w);
    sim_run(w->sim, sim_now(w->sim) + TIME_MAX, nothing_left, w);
    REQUIRE(w, nothing_left(w));
    for (unsigned i = 0; i < w->nnodes; i++)
        check_node(w, i);
    world_free(w);
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, "1-1000", run);
}
