#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/siphash.h"
#include "core/stack/stack.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/ipv4.h"
#include "core/wire/print.h"

#define QUEUE_DEFAULT   (256 * 1024)
#define REORDER_DEFAULT (10 * NST_MS)

struct sim_wire {
    struct sim_wire_config config;
    struct sim_wire_stats stats;
    struct nst_prng prng;
    nst_time busy_until; /* the last accepted frame has left the queue */
    nst_time last_out;   /* and the latest in order comes out */
};

/* A port of a node; the stack's link number is its index + 1. */
struct sim_port {
    struct sim_node *node;
    nst_link link;
    unsigned index; /* in sim->ports */
    unsigned of_switch;
    struct nst_mac mac;
    size_t frame_max; /* of one that the device need not cut */
    size_t stale_max; /* of one that was finished before the MTU shrank: the device refuses it */
    struct sim_wire tx, rx;
    struct frame *batch[SIM_BATCH]; /* has arrived, and waits for more */
    unsigned nbatch;
};

struct sim_node {
    struct sim *sim;
    struct nst_stack *stack;
    size_t memory_bytes;
    struct nst_prng starving;
    uint32_t starve_ppm;
    struct sim_port *ports[NST_IFACES_MAX];
    unsigned nports;
    struct sim_app *apps;
    nst_time wake; /* the earliest event made to wake it; NST_TIME_NEVER if none */
    struct sim_node *next;
};

/* A frame on its way, as bytes. */
struct frame {
    unsigned refs;
    struct nst_offload offload;
    size_t len;
    uint8_t data[];
};

enum event_kind {
    EVENT_SWITCH,  /* the frame comes out of the port's tx wire */
    EVENT_ARRIVAL, /* it comes out of the port's rx wire */
    EVENT_BATCH,   /* nothing waits any longer for more to arrive */
    EVENT_WAKE,    /* the node wants to run */
};

struct event {
    nst_time time;
    uint64_t order;
    enum event_kind kind;
    struct sim_node *node; /* WAKE */
    struct sim_port *port;
    struct frame *frame;
};

struct sim {
    struct sim_config config;
    uint8_t seed[32];
    nst_time now;
    struct event *heap;
    size_t nevents, cap;
    uint64_t order;
    struct sim_node *nodes;
    unsigned nnodes, nswitches;
    struct sim_port **ports;
    unsigned nports;
    size_t in_flight;
    bool narrating;
    uint64_t digest;
};

/* ---- Life ---------------------------------------------------------------------------------- */

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

struct sim *sim_new(const struct sim_config *config)
{
    struct sim *sim = must(calloc(1, sizeof *sim));

    sim->config = *config;
    sim->now = config->start ? config->start : NST_SEC;
    nst_store_le64(sim->seed, config->seed);
    sim->narrating = getenv("SIM_TRACE") != NULL;
    return sim;
}

nst_time sim_now(const struct sim *sim)
{
    return sim->now;
}

struct nst_prng sim_prng(const struct sim *sim, const char *purpose)
{
    struct nst_prng prng;

    nst_prng_init(&prng, sim->seed, purpose);
    return prng;
}

/* One generator for each part that has a number. */
static struct nst_prng numbered_prng(const struct sim *sim, const char *what, unsigned number)
{
    char purpose[64];

    snprintf(purpose, sizeof purpose, "%s %u", what, number);
    return sim_prng(sim, purpose);
}

uint64_t sim_digest(const struct sim *sim)
{
    return sim->digest;
}

size_t sim_in_flight(const struct sim *sim)
{
    return sim->in_flight;
}

bool sim_chance(struct nst_prng *prng, uint32_t ppm)
{
    return ppm && nst_prng_below(prng, SIM_PPM) < ppm;
}

static void *node_alloc(void *ctx, size_t size)
{
    struct sim_node *node = ctx;

    if (sim_chance(&node->starving, node->starve_ppm))
        return NULL;
    node->memory_bytes += size;
    return must(malloc(size));
}

static void node_release(void *ctx, void *ptr, size_t size)
{
    struct sim_node *node = ctx;

    node->memory_bytes -= size;
    free(ptr);
}

struct sim_node *sim_node_add(struct sim *sim, const struct nst_limits *limits)
{
    struct sim_node *node = must(calloc(1, sizeof *node));
    struct nst_prng starving = numbered_prng(sim, "starving", sim->nnodes);
    struct nst_prng seeds = numbered_prng(sim, "node", sim->nnodes++);
    struct nst_config config = {.now = sim->now, .allocator = {node_alloc, node_release, node}};

    if (limits)
        config.limits = *limits;
    for (unsigned i = 0; i < sizeof config.seed; i += 8)
        nst_store_le64(config.seed + i, nst_prng_next(&seeds));
    *node = (struct sim_node){
        .sim = sim, .starving = starving, .wake = NST_TIME_NEVER, .next = sim->nodes};
    sim->nodes = node;
    SIM_REQUIRE(sim, nst_stack_new(&node->stack, &config) == 0);
    return node;
}

void sim_node_starve(struct sim_node *node, uint32_t ppm)
{
    node->starve_ppm = ppm;
}

struct nst_stack *sim_stack(struct sim_node *node)
{
    return node->stack;
}

size_t sim_node_memory(const struct sim_node *node)
{
    return node->memory_bytes;
}

unsigned sim_switch_add(struct sim *sim)
{
    return sim->nswitches++;
}

static struct sim_wire wire_of(const struct sim *sim, const struct sim_wire_config *config,
                               const char *direction, unsigned number)
{
    struct sim_wire wire = {.prng = numbered_prng(sim, direction, number)};

    if (config)
        wire.config = *config;
    return wire;
}

nst_link sim_port_add(struct sim_node *node, unsigned to_switch, const struct nst_link_config *link,
                      const struct sim_wire_config *tx, const struct sim_wire_config *rx)
{
    struct sim *sim = node->sim;
    struct sim_port *port = must(calloc(1, sizeof *port));
    struct nst_link_config config = link ? *link : (struct nst_link_config){0};
    unsigned n = sim->nports++;

    port->node = node;
    port->index = n;
    port->of_switch = to_switch;
    port->mac = (struct nst_mac){{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)(n + 1)}};
    port->tx = wire_of(sim, tx, "tx", n);
    port->rx = wire_of(sim, rx, "rx", n);
    config.mac = port->mac;
    config.mtu = config.mtu ? config.mtu : 1500;
    port->frame_max = config.mtu + NST_ETH_HLEN;
    snprintf(config.name, sizeof config.name, "port%u", n);
    SIM_REQUIRE(sim, nst_link_add(node->stack, &port->link, &config) == 0);
    node->ports[node->nports++] = port;
    sim->ports = must(realloc(sim->ports, sim->nports * sizeof(struct sim_port *)));
    sim->ports[n] = port;
    return port->link;
}

void sim_port_set(struct sim_node *node, nst_link link, const struct sim_wire_config *tx,
                  const struct sim_wire_config *rx)
{
    node->ports[link - 1]->tx.config = *tx;
    node->ports[link - 1]->rx.config = *rx;
}

bool sim_port_set_mtu(struct sim_node *node, nst_link link, uint32_t mtu)
{
    node->ports[link - 1]->stale_max = node->ports[link - 1]->frame_max;
    node->ports[link - 1]->frame_max = mtu + NST_ETH_HLEN;
    return nst_link_set_mtu(node->stack, link, mtu) == 0;
}

void sim_port_stats(const struct sim_node *node, nst_link link, struct sim_wire_stats *tx,
                    struct sim_wire_stats *rx)
{
    *tx = node->ports[link - 1]->tx.stats;
    *rx = node->ports[link - 1]->rx.stats;
}

/* ---- The queue of events: a binary heap ------------------------------------------------------ */

static bool before(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void event_push(struct sim *sim, struct event e)
{
    size_t i = sim->nevents++;

    if (sim->nevents > sim->cap) {
        sim->cap = sim->cap ? 2 * sim->cap : 256;
        sim->heap = must(realloc(sim->heap, sim->cap * sizeof *sim->heap));
    }
    e.order = sim->order++;
    for (; i > 0 && before(&e, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = e;
}

static struct event event_pull(struct sim *sim)
{
    struct event first = sim->heap[0], last = sim->heap[--sim->nevents];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < sim->nevents) {
        if (child + 1 < sim->nevents && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[i] = sim->heap[child];
        i = child;
    }
    sim->heap[i] = last;
    return first;
}

/* ---- Frames -------------------------------------------------------------------------------- */

static struct frame *frame_new(size_t len)
{
    struct frame *f = must(malloc(sizeof *f + len));

    *f = (struct frame){.refs = 1, .len = len};
    return f;
}

static void frame_free(struct frame *f)
{
    if (--f->refs == 0)
        free(f);
}

static struct frame *frame_of_pkt(struct nst_pkt *pkt)
{
    struct nst_slice slices[NST_PKT_SLICES];
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES), at = 0;
    struct frame *f = frame_new(nst_pkt_len(pkt));

    f->offload = *nst_pkt_offload(pkt);
    for (size_t i = 0; i < n; at += slices[i++].len)
        memcpy(f->data + at, slices[i].base, slices[i].len);
    return f;
}

/* NULL when the stack has no memory. */
static struct nst_pkt *frame_to_pkt(const struct frame *f, struct nst_stack *stack)
{
    struct nst_slice slices[NST_PKT_SLICES];
    struct nst_pkt *pkt = nst_pkt_alloc(stack, f->len);
    size_t at = 0;

    if (!pkt)
        return NULL;
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES);
    for (size_t i = 0; i < n; at += slices[i++].len)
        memcpy(slices[i].base, f->data + at, slices[i].len);
    *nst_pkt_offload(pkt) = f->offload;
    return pkt;
}

/* A copy with one more bit set: the first clear one from a random place on. */
static struct frame *frame_corrupt(const struct frame *f, struct nst_prng *prng)
{
    struct frame *copy = frame_new(f->len);
    size_t bits = 8 * f->len, bit = nst_prng_below(prng, bits), tries = 0;

    copy->offload = f->offload;
    memcpy(copy->data, f->data, f->len);
    while (f->data[bit / 8] >> bit % 8 & 1 && tries++ < bits)
        bit = (bit + 1) % bits;
    copy->data[bit / 8] |= (uint8_t)(1 << bit % 8);
    return copy;
}

/* The ECN field of an IPv4 packet; NULL if that is Not-ECT, or there is none. */
static uint8_t *ecn_field(struct frame *f)
{
    uint8_t *ip = f->data + NST_ETH_HLEN;

    if (f->len < NST_ETH_HLEN + NST_IPV4_HLEN || nst_load16(f->data + 12) != NST_ETHERTYPE_IPV4)
        return NULL;
    return ip[1] & 3 ? ip + 1 : NULL;
}

/* A copy that is marked CE. */
static struct frame *frame_mark(const struct frame *f)
{
    struct frame *copy = frame_new(f->len);
    uint8_t *ip = copy->data + NST_ETH_HLEN;

    copy->offload = f->offload;
    memcpy(copy->data, f->data, f->len);
    *ecn_field(copy) |= 3;
    nst_store16(ip + 10, 0);
    nst_store16(ip + 10, nst_csum_finish(nst_csum_sum(ip, (size_t)(ip[0] & 15) * 4)));
    return copy;
}

/* What goes over the wires in words, for whoever repeats a run that failed. */
static void narrate(const struct sim *sim, const struct sim_port *port, const char *what,
                    const struct frame *f)
{
    char text[256];

    nst_frame_print(text, sizeof text, NST_MEDIUM_ETHERNET, f->data, f->len);
    printf("# %.6f port%u %s %s\n", (double)sim->now / (double)NST_SEC, port->index, what, text);
}

static void digest(struct sim *sim, const struct sim_port *port, const char *what,
                   const struct frame *f)
{
    const struct nst_siphash_key key = {sim->digest, sim->now};
    const struct nst_siphash_key second = {port->index, (uint64_t)what[0]};

    if (sim->narrating)
        narrate(sim, port, what, f);

    sim->digest = nst_siphash(&key, f->data, f->len) ^ nst_siphash(&second, &sim->digest, 8);
}

/* ---- Wires --------------------------------------------------------------------------------- */

static uint64_t capacity(const struct sim_wire *w)
{
    return w->config.queue_bytes ? w->config.queue_bytes : QUEUE_DEFAULT;
}

/* Time that `bytes` take at the wire's rate. */
static nst_time span_of(const struct sim_wire *w, uint64_t bytes)
{
    return w->config.rate_bps ? bytes * 8 * NST_SEC / w->config.rate_bps : 0;
}

/* When there is room for another frame; in the past if there is now. */
static nst_time room_at(const struct sim_wire *w)
{
    nst_time full = span_of(w, capacity(w));

    return w->busy_until > full ? w->busy_until - full : 0;
}

/* When a frame that enters now comes out. */
static nst_time way_through(struct sim *sim, struct sim_wire *w, size_t len)
{
    const struct sim_wire_config *c = &w->config;
    nst_time jitter = c->jitter ? nst_prng_below(&w->prng, c->jitter) : 0;
    nst_time late = c->reorder_delay ? c->reorder_delay : REORDER_DEFAULT;

    w->busy_until = nst_max(w->busy_until, sim->now) + span_of(w, len);
    nst_time out = w->busy_until + c->delay + jitter;
    if (sim_chance(&w->prng, c->reorder_ppm)) {
        w->stats.reordered++;
        return out + nst_prng_below(&w->prng, late);
    }
    return w->last_out = nst_max(out, w->last_out);
}

static void deliver_at(struct sim *sim, enum event_kind kind, struct sim_port *port,
                       struct frame *f, nst_time time)
{
    f->refs++;
    sim->in_flight++;
    event_push(sim, (struct event){.time = time, .kind = kind, .port = port, .frame = f});
}

/* Puts a frame, which stays the caller's, on one of the port's wires. */
static void wire_push(struct sim *sim, struct sim_port *port, enum event_kind kind, struct frame *f)
{
    struct sim_wire *w = kind == EVENT_SWITCH ? &port->tx : &port->rx;
    unsigned copies = 1;

    w->stats.sent++;
    w->stats.bytes += f->len;
    if (kind == EVENT_ARRIVAL && room_at(w) > sim->now) {
        w->stats.overflowed++;
        return;
    }
    nst_time time = way_through(sim, w, f->len);
    bool met = sim_chance(&w->prng, w->config.mark_ppm);
    if (sim_chance(&w->prng, w->config.loss_ppm) || (met && !ecn_field(f))) {
        w->stats.lost++;
        return;
    }
    struct frame *whole = met ? frame_mark(f) : NULL;
    if (met)
        w->stats.marked++;
    if (sim_chance(&w->prng, w->config.repeat_ppm)) {
        w->stats.repeated++;
        copies++;
    }
    while (copies-- > 0) {
        bool spoil = sim_chance(&w->prng, w->config.corrupt_ppm);
        struct frame *sound = whole ? whole : f;
        struct frame *out = spoil ? frame_corrupt(sound, &w->prng) : sound;
        deliver_at(sim, kind, port, out, time);
        if (spoil) {
            w->stats.corrupted++;
            frame_free(out);
        }
    }
    if (whole)
        frame_free(whole);
}

/* The switch hands the frame on: to the port it names, else to all others. */
static void switch_frame(struct sim *sim, const struct sim_port *from, struct frame *f)
{
    struct sim_port *only = NULL;

    for (unsigned i = 0; i < sim->nports && !only; i++)
        if (sim->ports[i]->of_switch == from->of_switch && f->len >= 6 &&
            memcmp(sim->ports[i]->mac.bytes, f->data, 6) == 0)
            only = sim->ports[i];
    for (unsigned i = 0; i < sim->nports; i++) {
        struct sim_port *to = sim->ports[i];
        if (to->of_switch == from->of_switch && to != from && (!only || to == only))
            wire_push(sim, to, EVENT_ARRIVAL, f);
    }
}

/* ---- Nodes --------------------------------------------------------------------------------- */

static void node_wake_at(struct sim_node *node, nst_time time)
{
    if (time >= node->wake)
        return;
    node->wake = time;
    event_push(node->sim, (struct event){.time = time, .kind = EVENT_WAKE, .node = node});
}

/* Pulls frames for as long as the device has room. Returns when to go on, if it has not; the
 * stack's timers run in any case. */
static nst_time port_output(struct sim_port *port)
{
    struct sim *sim = port->node->sim;
    struct nst_pkt *pkt;

    for (;;) {
        bool room = room_at(&port->tx) <= sim->now;
        size_t n = nst_output(port->node->stack, port->link, &pkt, room, sim->now);
        if (n == 0)
            return room ? NST_TIME_NEVER : room_at(&port->tx);
        struct frame *f = frame_of_pkt(pkt);
        nst_pkt_free(pkt);
        if (f->len > port->frame_max && f->len <= port->stale_max && !f->offload.gso) {
            frame_free(f);
            continue;
        }
        port->stale_max = 0;
        SIM_REQUIRE(sim, f->len <= port->frame_max || f->offload.gso != NST_GSO_NONE);
        digest(sim, port, "sent", f);
        wire_push(sim, port, EVENT_SWITCH, f);
        frame_free(f);
    }
}

/* Tells applications what has become ready; false if nothing has. */
static bool node_events(struct sim_node *node)
{
    struct nst_event events[16];
    size_t n = nst_events(node->stack, events, NST_ARRAY_LEN(events));

    for (size_t i = 0; i < n; i++)
        for (struct sim_app *app = node->apps; app; app = app->next)
            if (app->event && (events[i].sock == 0 || events[i].cookie == sim_cookie(app)))
                app->event(app, &events[i]);
    return n > 0;
}

static nst_time node_timers(struct sim_node *node)
{
    nst_time next = NST_TIME_NEVER;

    for (struct sim_app *app = node->apps; app; app = app->next) {
        if (app->wake <= node->sim->now) {
            app->wake = NST_TIME_NEVER;
            if (app->timer)
                app->timer(app);
        }
        next = nst_min(next, app->wake);
    }
    return next;
}

/* Lets the node do all that it can do now. */
static void node_run(struct sim_node *node)
{
    struct sim *sim = node->sim;
    nst_time next;

    do {
        next = node_timers(node);
        for (unsigned i = 0; i < node->nports; i++)
            next = nst_min(next, port_output(node->ports[i]));
    } while (node_events(node) || next <= sim->now);
    if (sim->config.check)
        nst_stack_check(node->stack);
    nst_time due = nst_deadline(node->stack);
    SIM_REQUIRE(sim, due > sim->now);
    node_wake_at(node, nst_min(next, due));
}

/* Gives the stack what has arrived. */
static void port_input(struct sim_port *port)
{
    struct sim *sim = port->node->sim;
    struct nst_pkt *pkts[SIM_BATCH];
    size_t n = 0;

    for (unsigned i = 0; i < port->nbatch; i++) {
        struct frame *f = port->batch[i];
        digest(sim, port, "received", f);
        port->rx.stats.delivered++;
        pkts[n] = frame_to_pkt(f, port->node->stack);
        n += pkts[n] != NULL;
        frame_free(f);
    }
    sim->in_flight -= port->nbatch;
    port->nbatch = 0;
    nst_input(port->node->stack, port->link, pkts, n, sim->now);
    node_run(port->node);
}

static void port_arrival(struct sim_port *port, struct frame *f)
{
    struct sim *sim = port->node->sim;
    nst_time until = sim->now + port->rx.config.gather;

    f->refs++;
    sim->in_flight++;
    port->batch[port->nbatch++] = f;
    if (until == sim->now || port->nbatch == SIM_BATCH)
        port_input(port);
    else if (port->nbatch == 1)
        event_push(sim, (struct event){.time = until, .kind = EVENT_BATCH, .port = port});
}

void sim_app_add(struct sim_node *node, struct sim_app *app)
{
    app->sim = node->sim;
    app->node = node;
    app->next = node->apps;
    node->apps = app;
    node_wake_at(node, node->sim->now);
}

void sim_app_wake(struct sim_app *app, nst_time time)
{
    app->wake = nst_min(app->wake, time);
    node_wake_at(app->node, time);
}

/* ---- Running ------------------------------------------------------------------------------- */

static void event_run(struct sim *sim, struct event *e)
{
    switch (e->kind) {
    case EVENT_WAKE:
        if (e->node->wake == e->time) { /* no earlier one has been made since */
            e->node->wake = NST_TIME_NEVER;
            node_run(e->node);
        }
        return;
    case EVENT_BATCH: /* it may have been given with an earlier one */
        if (e->port->nbatch > 0)
            port_input(e->port);
        return;
    case EVENT_SWITCH:
        e->port->tx.stats.delivered++;
        switch_frame(sim, e->port, e->frame);
        break;
    case EVENT_ARRIVAL:
        port_arrival(e->port, e->frame);
        break;
    }
    sim->in_flight--;
    frame_free(e->frame);
}

void sim_run(struct sim *sim, nst_time until, bool (*done)(void *ctx), void *ctx)
{
    while (sim->nevents > 0 && sim->heap[0].time <= until) {
        struct event e = event_pull(sim);
        sim->now = e.time;
        event_run(sim, &e);
        if (done && done(ctx))
            return;
    }
    sim->now = nst_max(sim->now, until);
}

void sim_free(struct sim *sim)
{
    struct sim_node *next;

    while (sim->nevents > 0) {
        struct event e = event_pull(sim);
        if (e.frame)
            frame_free(e.frame);
    }
    for (struct sim_node *node = sim->nodes; node; node = next) {
        next = node->next;
        nst_stack_free(node->stack);
        if (node->memory_bytes)
            sim_fail(sim, "a stack leaks %zu bytes", node->memory_bytes);
        free(node);
    }
    for (unsigned i = 0; i < sim->nports; i++) {
        while (sim->ports[i]->nbatch > 0)
            frame_free(sim->ports[i]->batch[--sim->ports[i]->nbatch]);
        free(sim->ports[i]);
    }
    free(sim->ports);
    free(sim->heap);
    free(sim);
}

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("# at %.6f s: ", (double)sim->now / (double)NST_SEC);
    vprintf(format, args);
    puts("");
    va_end(args);
    fflush(stdout);
    abort();
}
