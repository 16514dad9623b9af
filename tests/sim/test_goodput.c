/* What one bulk connection makes of a link: 100 Mb/s, a round trip of 20 ms and a queue of 250
 * packets, which loses, reorders or repeats, for each congestion control, with SACK and without;
 * and with what has made other stacks crawl (rows 241, 242, 246 and 282 of the list of attacks).
 *
 * Time is virtual: the figures follow from the seed alone. They are printed for people; required is
 * that a link without faults is used, that faults do not stop the flow, and that nothing stalls. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "tcp_apps.h"

#define RATE_BPS 100000000
#define ONE_WAY  (10 * NST_MS)
#define QUEUE    (250 * 1514)
#define PORT     7000
#define OFFLOADS (NST_LINK_CSUM | NST_LINK_TSO4)
#define DURATION (15 * NST_SEC)
#define SETTLED  (5 * NST_SEC) /* before that slow start and its losses */
#define STALL    (NST_SEC / 2) /* without loss something comes more often than that */

struct sink {
    struct sim_app app;
    nst_sock sock;
    struct tcp_end end;
    bool talks; /* as much as it hears */
};

static void on_event(struct sim_app *app, const struct nst_event *event)
{
    struct sink *s = NST_CONTAINER(app, struct sink, app);
    const struct tcp_plan plan = {.send = s->talks ? UINT64_MAX / 2 : 0, .keepalive = true};

    (void)event;
    if (!s->end.key && tcp_end_accept(&s->end, app->node, s->sock) == 0)
        tcp_end_begin(&s->end, &plan, 1);
}

static void listen_on(struct sink *s, struct sim_node *node)
{
    const struct nst_sockaddr local = {.port = PORT};
    struct nst_stack *stack = sim_stack(node);

    s->app = (struct sim_app){.event = on_event, .wake = NST_TIME_NEVER};
    sim_app_add(node, &s->app);
    SIM_REQUIRE(s->app.sim, nst_socket(stack, &s->sock, NST_AF_INET, NST_SOCK_STREAM, 0,
                                       sim_cookie(&s->app)) == 0);
    SIM_REQUIRE(s->app.sim, nst_bind(stack, s->sock, &local) == 0);
    SIM_REQUIRE(s->app.sim, nst_listen(stack, s->sock, 1) == 0);
}

/* Of the wire towards the receiver. */
struct fault {
    const char *name;
    uint32_t loss_ppm, reorder_ppm, repeat_ppm;
    double bbr_least; /* Mb/s that BBR with SACK makes of it at least */
};

struct variant {
    const struct nst_cc_ops *cc;
    bool sack, unpaced;
    struct fault fault;
    struct nst_link_config link;
    bool both;  /* ways at once */
    bool shrew; /* for 100 ms of each second nothing arrives */
};

/* Its own queue never fills: the bottleneck is the network. */
static const struct sim_wire_config device = {.rate_bps = 10 * (uint64_t)RATE_BPS};

static struct sim_wire_config bottleneck(const struct fault *f)
{
    return (struct sim_wire_config){.rate_bps = RATE_BPS,
                                    .queue_bytes = QUEUE,
                                    .delay = ONE_WAY,
                                    .loss_ppm = f->loss_ppm,
                                    .reorder_ppm = f->reorder_ppm,
                                    .repeat_ppm = f->repeat_ppm};
}

struct shrew {
    struct sim_app app;
    bool bites;
};

static void on_timer(struct sim_app *app)
{
    struct shrew *s = NST_CONTAINER(app, struct shrew, app);

    s->bites = !s->bites;
    app->wake = sim_now(app->sim) + (s->bites ? 100 : 900) * NST_MS;
    const struct fault fault = {.loss_ppm = s->bites ? SIM_PPM : 0};
    const struct sim_wire_config rx = bottleneck(&fault);
    sim_port_set(app->node, 1, &device, &rx);
}

static struct sim_node *host(struct sim *sim, unsigned number, const struct variant *v)
{
    const struct nst_prefix ours = {nst_addr_v4(10, 0, 0, (uint8_t)number), 24};
    const struct fault none = {.name = NULL};
    const struct sim_wire_config rx = bottleneck(number == 2 ? &v->fault : &none);
    struct sim_node *node = sim_node_add(sim, NULL);

    sim_port_add(node, 0, &v->link, &device, &rx);
    SIM_REQUIRE(sim, nst_addr_add(sim_stack(node), 1, &ours, NST_ACD_OFF) == 0);
    sim_stack(node)->tcps.config.cc = v->cc;
    sim_stack(node)->tcps.config.sack = v->sack;
    sim_stack(node)->tcps.config.pacing = !v->unpaced;
    return node;
}

static double megabits(uint64_t bytes)
{
    return (double)bytes * 8 / ((double)DURATION / (double)NST_SEC) / 1e6;
}

/* Until the end; without loss, neither end may stop for long. */
static void run_moving(struct sim *sim, nst_time until, const struct variant *v,
                       const struct tcp_end *a, const struct tcp_end *b)
{
    bool clean = !v->fault.loss_ppm && !v->fault.reorder_ppm && !v->shrew;

    while (sim_now(sim) < until) {
        uint64_t before_a = a->received, before_b = b->received;
        sim_run(sim, nst_min(sim_now(sim) + STALL, until), NULL, NULL);
        SIM_REQUIRE(sim, !clean || b->received > before_b);
        SIM_REQUIRE(sim, !clean || !v->both || a->received > before_a);
    }
}

/* Megabits of payload a second, once it has settled; of both ways, the lesser. */
static double transfer(uint64_t seed, const struct variant *v)
{
    const struct sim_config config = {.seed = seed};
    const struct tcp_plan bulk = {.send = UINT64_MAX / 2, .keepalive = true};
    const struct nst_sockaddr any = {.port = 0};
    const struct nst_sockaddr to = {.addr = nst_addr_v4(10, 0, 0, 2), .port = PORT};
    struct sim *sim = sim_new(&config);
    struct sim_node *from = host(sim, 1, v), *node = host(sim, 2, v);
    struct tcp_end source = {.key = 0};
    struct sink sink = {.talks = v->both};
    nst_time begun = sim_now(sim), bite = v->shrew ? begun + NST_SEC / 2 : NST_TIME_NEVER;
    struct shrew shrew = {.app = {.timer = on_timer, .wake = bite}};

    sim_switch_add(sim);
    listen_on(&sink, node);
    sim_app_add(node, &shrew.app);
    SIM_REQUIRE(sim, tcp_end_connect(&source, from, &bulk, 3, &any, &to));
    sim_run(sim, begun + SETTLED, NULL, NULL);
    uint64_t heard = sink.end.received, answered = source.received;
    run_moving(sim, begun + SETTLED + DURATION, v, &source, &sink.end);
    heard = sink.end.received - heard;
    answered = source.received - answered;
    SIM_REQUIRE(sim, heard > 0);
    sim_free(sim);
    return megabits(v->both ? nst_min(heard, answered) : heard);
}

/* Rows of the list of attacks, and the least that is left of 100 Mb/s. */
static const struct {
    const char *what;
    struct variant v;
    double least;
} rows[] = {
    {"241 both ways at once", {.both = true}, 70},
    {"242 large segments, cut by the device", {.link = {.offloads = OFFLOADS}}, 90},
    {"242 both ways, and an MTU of 576",
     {.link = {.mtu = 576, .offloads = OFFLOADS}, .both = true},
     60},
    {"246 an MTU of 576", {.link.mtu = 576}, 80},
    {"246 an MTU of 296", {.link.mtu = 296}, 70},
    {"282 shrew: no arrivals in a tenth of the time", {.shrew = true}, 10},
};

static void run_rows(uint64_t seed)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct variant v = rows[i].v;
        v.cc = &nst_cc_cubic;
        v.sack = true;
        double got = transfer(seed, &v);
        printf("# %-46s %8.2f\n", rows[i].what, got);
        if (got < rows[i].least)
            abort();
    }
}

/* Where a quarter is reordered, losses feed themselves: what was sent again fills a hole with a
 * newer timestamp, and PAWS lets its receiver drop whatever was sent before and comes later (RFC
 * 7323 §5.3, R1). With half of it the window seldom is so large that the queue overflows and it
 * begins. */
static const struct fault faults[] = {
    {"none", 0, 0, 0, 88},
    {"loss 0.01 %", 100, 0, 0, 88},
    {"loss 0.1 %", 1000, 0, 0, 88},
    {"loss 1 %", 10000, 0, 0, 84},
    {"loss 3 %", 30000, 0, 0, 80},
    {"loss 5 %", 50000, 0, 0, 76},
    {"loss 10 %", 100000, 0, 0, 60},
    {"reordered 1 %", 0, 10000, 0, 80},
    {"reordered 25 %", 0, 250000, 0, 80},
    {"reordered 50 %", 0, 500000, 0, 80},
    {"repeated 10 %", 0, 0, 100000, 80},
};

static void run(uint64_t seed)
{
    static const struct variant variants[] = {
        {.cc = &nst_cc_cubic, .sack = true},
        {.cc = &nst_cc_cubic, .sack = true, .unpaced = true},
        {.cc = &nst_cc_newreno, .sack = true},
        {.cc = &nst_cc_bbr, .sack = true},
        {.cc = &nst_cc_cubic},
        {.cc = &nst_cc_newreno},
        {.cc = &nst_cc_bbr},
    };

    printf("# Mb/s of 100            with SACK                           without\n"
           "# %-14s    cubic  unpaced     reno      bbr    cubic     reno      bbr\n",
           "fault");
    for (size_t f = 0; f < NST_ARRAY_LEN(faults); f++) {
        printf("# %-14s", faults[f].name);
        for (size_t i = 0; i < NST_ARRAY_LEN(variants); i++) {
            struct variant v = variants[i];
            v.fault = faults[f];
            double got = transfer(seed, &v);
            printf(" %8.2f", got);
            fflush(stdout);
            if ((f == 0 && got < 80) || got < 0.1)
                abort();
            if (v.cc == &nst_cc_bbr && v.sack && got < v.fault.bbr_least)
                abort();
        }
        puts("");
    }
    run_rows(seed);
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, "1", run);
}
