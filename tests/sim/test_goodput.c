/* What one bulk connection makes of a link: 100 Mb/s, a round trip of 20 ms and a queue of 250
 * packets, which loses, reorders or repeats, for each congestion control, with SACK and without.
 *
 * Time is virtual: the figures follow from the seed alone. They are printed for people; only that a
 * link without faults is used, and that faults do not stop the flow, is required. */
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
#define DURATION (15 * NST_SEC)
#define SETTLED  (5 * NST_SEC) /* before that slow start and its losses */

struct sink {
    struct sim_app app;
    nst_sock sock;
    struct tcp_end end;
};

static void on_event(struct sim_app *app, const struct nst_event *event)
{
    struct sink *s = NST_CONTAINER(app, struct sink, app);
    const struct tcp_plan plan = {.keepalive = true};

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

/* Of the wire towards the receiver; 10 % is 100,000 ppm. */
struct fault {
    const char *name;
    uint32_t loss_ppm, reorder_ppm, repeat_ppm;
};

struct variant {
    const struct nst_cc_ops *cc;
    bool sack;
    const struct fault *fault;
};

static struct sim_node *host(struct sim *sim, unsigned number, const struct variant *v)
{
    const struct nst_prefix ours = {nst_addr_v4(10, 0, 0, (uint8_t)number), 24};
    /* The device's own queue never fills: the bottleneck is the network. */
    const struct sim_wire_config tx = {.rate_bps = 10 * (uint64_t)RATE_BPS};
    const struct sim_wire_config rx = {.rate_bps = RATE_BPS,
                                       .queue_bytes = QUEUE,
                                       .delay = ONE_WAY,
                                       .loss_ppm = number == 2 ? v->fault->loss_ppm : 0,
                                       .reorder_ppm = number == 2 ? v->fault->reorder_ppm : 0,
                                       .repeat_ppm = number == 2 ? v->fault->repeat_ppm : 0};
    struct sim_node *node = sim_node_add(sim, NULL);

    sim_port_add(node, 0, NULL, &tx, &rx);
    SIM_REQUIRE(sim, nst_addr_add(sim_stack(node), 1, &ours, NST_ACD_OFF) == 0);
    sim_stack(node)->tcps.config.cc = v->cc;
    sim_stack(node)->tcps.config.sack = v->sack;
    return node;
}

/* Megabits of payload a second, once it has settled. */
static double transfer(uint64_t seed, const struct variant *v)
{
    const struct sim_config config = {.seed = seed};
    const struct tcp_plan bulk = {.send = UINT64_MAX / 2, .keepalive = true};
    const struct nst_sockaddr any = {.port = 0};
    const struct nst_sockaddr to = {.addr = nst_addr_v4(10, 0, 0, 2), .port = PORT};
    struct sim *sim = sim_new(&config);
    struct sim_node *from = host(sim, 1, v), *node = host(sim, 2, v);
    struct tcp_end source = {.key = 0};
    struct sink sink = {.sock = 0};
    nst_time begun = sim_now(sim);

    sim_switch_add(sim);
    listen_on(&sink, node);
    SIM_REQUIRE(sim, tcp_end_connect(&source, from, &bulk, 3, &any, &to));
    sim_run(sim, begun + SETTLED, NULL, NULL);
    uint64_t settled = sink.end.received;
    sim_run(sim, begun + SETTLED + DURATION, NULL, NULL);
    uint64_t bytes = sink.end.received - settled;
    SIM_REQUIRE(sim, bytes > 0);
    sim_free(sim);
    return (double)bytes * 8 / ((double)DURATION / (double)NST_SEC) / 1e6;
}

static const struct fault faults[] = {
    {"none", 0, 0, 0},
    {"loss 0.01 %", 100, 0, 0},
    {"loss 0.1 %", 1000, 0, 0},
    {"loss 1 %", 10000, 0, 0},
    {"loss 3 %", 30000, 0, 0},
    {"loss 5 %", 50000, 0, 0},
    {"loss 10 %", 100000, 0, 0},
    {"reordered 1 %", 0, 10000, 0},
    {"reordered 25 %", 0, 250000, 0},
    {"reordered 50 %", 0, 500000, 0},
    {"repeated 10 %", 0, 0, 100000},
};

static void run(uint64_t seed)
{
    printf("# %-14s  cubic SACK   no SACK   reno SACK   no SACK   Mb/s of 100\n", "fault");
    for (size_t f = 0; f < NST_ARRAY_LEN(faults); f++) {
        printf("# %-14s", faults[f].name);
        for (unsigned i = 0; i < 4; i++) {
            const struct variant v = {.cc = i / 2 ? &nst_cc_newreno : &nst_cc_cubic,
                                      .sack = i % 2 == 0,
                                      .fault = &faults[f]};
            double got = transfer(seed, &v);
            printf(" %10.2f", got);
            fflush(stdout);
            if ((f == 0 && got < 80) || got < 0.1)
                abort();
        }
        puts("");
    }
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, "1", run);
}
