/* The simulator itself: what each setting of a wire does to frames. One host sends a burst of equal
 * frames, another notes when which one comes. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/wire/eth.h"
#include "sim.h"

#define FRAMES    200
#define FRAME_LEN 1000
#define ETHERTYPE 0x88b5 /* for local experiments, IEEE 802 */

/* One second of 8 Mb/s is 1,000 frames: a frame a millisecond. */
#define RATE 8000000

struct row {
    const char *what;
    struct sim_wire_config tx, rx;
    unsigned least, most; /* frames that come */
    bool in_order, intact;
    nst_time last; /* when the last one comes, after the first was sent; 0: whenever */
};

static const struct row rows[] = {
    {"perfect", {0}, {0}, FRAMES, FRAMES, true, true, 0},
    {"delay",
     {.delay = 7 * NST_MS},
     {.delay = 5 * NST_MS},
     FRAMES,
     FRAMES,
     true,
     true,
     12 * NST_MS},
    {"rate", {.rate_bps = RATE}, {0}, FRAMES, FRAMES, true, true, FRAMES *NST_MS},
    {"rate behind a short queue",
     {.rate_bps = RATE, .queue_bytes = 10 * FRAME_LEN},
     {0},
     FRAMES,
     FRAMES,
     true,
     true,
     FRAMES *NST_MS},
    {"bottleneck",
     {0},
     {.rate_bps = RATE, .queue_bytes = 10 * FRAME_LEN},
     11,
     11,
     true,
     true,
     11 * NST_MS},
    {"wide bottleneck",
     {.rate_bps = 2 * RATE},
     {.rate_bps = RATE},
     FRAMES,
     FRAMES,
     true,
     true,
     FRAMES *NST_MS + NST_MS / 2},
    /* Three full batches at once, and what is left when nothing waits any longer. */
    {"gathered", {0}, {.gather = 3 * NST_MS}, FRAMES, FRAMES, true, true, 3 * NST_MS},
    {"gathered as they come",
     {.rate_bps = RATE},
     {.gather = 3 * NST_MS},
     FRAMES,
     FRAMES,
     true,
     true,
     (FRAMES + 2) * NST_MS},
    {"outage", {.loss_ppm = SIM_PPM}, {0}, 0, 0, true, true, 0},
    {"loss", {.loss_ppm = SIM_PPM / 2}, {0}, 50, 150, true, true, 0},
    {"repeat", {0}, {.repeat_ppm = SIM_PPM}, 2 * FRAMES, 2 * FRAMES, true, true, 0},
    {"jitter", {.jitter = 50 * NST_MS}, {0}, FRAMES, FRAMES, true, true, 0},
    {"reorder",
     {.rate_bps = RATE, .reorder_ppm = SIM_PPM / 10},
     {0},
     FRAMES,
     FRAMES,
     false,
     true,
     0},
    {"corrupt", {0}, {.corrupt_ppm = SIM_PPM / 2}, 50, FRAMES, true, false, 0},
};

struct host {
    struct sim_app app;
    nst_sock sock;
    unsigned count, latest;
    bool out_of_order, damaged;
    nst_time last;
};

static void note(struct host *h, const uint8_t *p, size_t len)
{
    unsigned seq = nst_load16(p + NST_ETH_HLEN);

    h->count++;
    h->last = sim_now(h->app.sim);
    h->damaged |= len != FRAME_LEN;
    for (size_t i = NST_ETH_HLEN + 2; i < len; i++)
        h->damaged |= p[i] != 0;
    h->out_of_order |= seq < h->latest;
    h->latest = seq;
}

static void on_event(struct sim_app *app, const struct nst_event *event)
{
    struct host *h = NST_CONTAINER(app, struct host, app);
    uint8_t bytes[FRAME_LEN + 1];
    struct nst_slice slice = {bytes, sizeof bytes};
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t len;
    (void)event;

    while ((len = nst_recv(sim_stack(app->node), h->sock, &msg, 0)) >= 0)
        note(h, bytes, (size_t)len);
}

static void host_init(struct host *h, struct sim *sim, const struct sim_wire_config *tx,
                      const struct sim_wire_config *rx)
{
    struct nst_limits limits = {.link_pkts = FRAMES};
    struct sim_node *node = sim_node_add(sim, &limits);
    struct nst_sockaddr all = {.port = ETHERTYPE, .link = sim_port_add(node, 0, NULL, tx, rx)};
    struct nst_stack *stack = sim_stack(node);

    *h = (struct host){.app = {.event = on_event, .wake = NST_TIME_NEVER}};
    sim_app_add(node, &h->app);
    SIM_REQUIRE(sim, nst_socket(stack, &h->sock, NST_AF_UNSPEC, NST_SOCK_PACKET, 0,
                                sim_cookie(&h->app)) == 0);
    SIM_REQUIRE(sim, nst_setopt(stack, h->sock, NST_OPT_SNDBUF, 4 << 20) == 0);
    SIM_REQUIRE(sim, nst_setopt(stack, h->sock, NST_OPT_RCVBUF, 4 << 20) == 0);
    SIM_REQUIRE(sim, nst_bind(stack, h->sock, &all) == 0);
}

static void send_burst(struct host *h)
{
    const struct nst_eth eth = {
        .src = {{2, 0, 0, 0, 0, 1}}, .dst = {{2, 0, 0, 0, 0, 2}}, .type = ETHERTYPE};
    uint8_t bytes[FRAME_LEN] = {0};
    struct nst_slice slice = {bytes, sizeof bytes};
    const struct nst_msg msg = {.data = &slice, .ndata = 1};

    nst_eth_emit(&eth, bytes);
    for (unsigned i = 0; i < FRAMES; i++) {
        nst_store16(bytes + NST_ETH_HLEN, (uint16_t)i);
        int64_t n = nst_send(sim_stack(h->app.node), h->sock, &msg);
        SIM_REQUIRE(h->app.sim, n == FRAME_LEN);
    }
}

static void run_row(uint64_t seed, const struct row *row)
{
    const struct sim_config config = {.seed = seed, .check = true};
    struct sim *sim = sim_new(&config);
    struct host hosts[2];

    printf("# %s\n", row->what);
    sim_switch_add(sim);
    host_init(&hosts[0], sim, &row->tx, NULL);
    host_init(&hosts[1], sim, NULL, &row->rx);
    nst_time start = sim_now(sim);
    send_burst(&hosts[0]);
    sim_run(sim, start + 10 * NST_SEC, NULL, NULL);
    const struct host *h = &hosts[1];
    SIM_REQUIRE(sim, sim_in_flight(sim) == 0);
    SIM_REQUIRE(sim, h->count >= row->least && h->count <= row->most);
    SIM_REQUIRE(sim, h->out_of_order == !row->in_order || !row->intact);
    SIM_REQUIRE(sim, h->damaged == !row->intact);
    SIM_REQUIRE(sim, !row->last || h->last == start + row->last);
    sim_free(sim);
}

static void run(uint64_t seed)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++)
        run_row(seed, &rows[i]);
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, "1-4", run);
}
