/* Two hosts ping each other over a faulty network for an hour.
 *
 * What must hold: each ping ends as answered, lost or in error, exactly once; no answer bears a
 * byte that was not sent; nothing is left over afterwards; the same seed gives the same frames. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/icmpv4.h"
#include "core/wire/ipv4.h"
#include "sim.h"

#define HOUR         (3600 * NST_SEC)
#define QUIET        (120 * NST_SEC) /* longer than anything that the stack remembers packets for */
#define ANSWER_WAIT  (60 * NST_SEC)
#define INTERVAL_MAX NST_SEC
#define MESSAGE_MAX  65515

enum fate { UNUSED, WAITING, ANSWERED, LOST, FAILED };

struct ping {
    enum fate fate;
    uint32_t len; /* of the message */
    nst_time sent;
};

struct pinger {
    struct sim_app app;
    struct nst_prng prng;
    struct nst_addr peer;
    nst_sock sock;
    nst_time end;
    unsigned sent, expired; /* the next to send, and the first not looked at for its age */
    unsigned count[FAILED + 1];
    unsigned repeated; /* answers and errors about what had ended before */
    struct ping pings[UINT16_MAX + 1];
};

/* ---- Messages ------------------------------------------------------------------------------- */

static uint8_t sent_bytes[MESSAGE_MAX], got_bytes[MESSAGE_MAX + 1];

/* Every ping has bytes of its own. */
static void fill(uint8_t *p, size_t len, unsigned seq)
{
    uint32_t x = 0x9e3779b9u * (seq + 1);

    for (size_t i = NST_ICMPV4_HLEN; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
}

/* From nothing to the largest: mostly in a single frame, often in some, sometimes in many. */
static size_t choose_len(struct nst_prng *prng)
{
    static const size_t most[] = {0, 64, 64, 1480, 1480, 1481, 4000, 20000, 65507};
    size_t kind = nst_prng_below(prng, NST_ARRAY_LEN(most));

    return NST_ICMPV4_HLEN + (kind % 2 ? most[kind] : nst_prng_below(prng, most[kind] + 1));
}

/* ---- A host --------------------------------------------------------------------------------- */

static void end_ping(struct pinger *p, unsigned seq, enum fate fate)
{
    struct ping *ping = &p->pings[seq];

    if (ping->fate != WAITING) {
        p->repeated++;
        return;
    }
    ping->fate = fate;
    p->count[WAITING]--;
    p->count[fate]++;
}

static int64_t receive(struct pinger *p, uint32_t flags)
{
    struct nst_slice slice = {got_bytes, sizeof got_bytes};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    return nst_recv(sim_stack(p->app.node), p->sock, &msg, flags);
}

static void check_answer(struct pinger *p, size_t len)
{
    unsigned seq = nst_load16(got_bytes + 6);
    const struct ping *ping = &p->pings[seq];

    SIM_REQUIRE(p->app.sim, ping->fate != UNUSED);
    SIM_REQUIRE(p->app.sim, len == ping->len);
    fill(sent_bytes, len, seq);
    SIM_REQUIRE(p->app.sim, memcmp(sent_bytes + NST_ICMPV4_HLEN, got_bytes + NST_ICMPV4_HLEN,
                                   len - NST_ICMPV4_HLEN) == 0);
    end_ping(p, seq, ANSWERED);
}

static void on_event(struct sim_app *app, const struct nst_event *event)
{
    struct pinger *p = NST_CONTAINER(app, struct pinger, app);
    int64_t len;

    if (event->kind != NST_EVENT_READY)
        return; /* a corrupted ARP packet looks like a conflict */
    while ((len = receive(p, 0)) >= 0)
        check_answer(p, (size_t)len);
    SIM_REQUIRE(app->sim, len == -EAGAIN);
    while ((len = receive(p, NST_RECV_ERROR)) >= NST_ICMPV4_HLEN)
        end_ping(p, nst_load16(got_bytes + 6), FAILED);
    SIM_REQUIRE(app->sim, len == -EAGAIN);
}

static void send_ping(struct pinger *p)
{
    struct nst_icmpv4 icmp = {.type = NST_ICMPV4_ECHO, .echo.seq = (uint16_t)p->sent};
    struct nst_slice slice = {sent_bytes, choose_len(&p->prng)};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .peer.addr = p->peer, .tos = -1};
    struct ping *ping = &p->pings[p->sent];

    nst_icmpv4_emit(&icmp, sent_bytes);
    fill(sent_bytes, slice.len, p->sent);
    int64_t n = nst_send(sim_stack(p->app.node), p->sock, &msg);
    SIM_REQUIRE(p->app.sim, n == (int64_t)slice.len);
    *ping = (struct ping){WAITING, (uint32_t)slice.len, sim_now(p->app.sim)};
    p->count[WAITING]++;
    p->sent++;
}

static void expire(struct pinger *p, nst_time now)
{
    for (; p->expired < p->sent; p->expired++) {
        const struct ping *ping = &p->pings[p->expired];
        if (now - ping->sent < ANSWER_WAIT)
            return;
        if (ping->fate == WAITING)
            end_ping(p, p->expired, LOST);
    }
}

static void on_timer(struct sim_app *app)
{
    struct pinger *p = NST_CONTAINER(app, struct pinger, app);
    nst_time now = sim_now(app->sim);

    expire(p, now);
    if (now < p->end)
        send_ping(p);
    if (now < p->end + ANSWER_WAIT)
        app->wake = now + 1 + nst_prng_below(&p->prng, INTERVAL_MAX);
}

static struct pinger *pinger_new(struct sim_node *node, unsigned number, unsigned peer,
                                 struct nst_prng prng)
{
    struct pinger *p = calloc(1, sizeof *p);
    struct nst_prefix ours = {nst_addr_v4(10, 0, 0, (uint8_t)number), 24};
    struct nst_stack *stack = sim_stack(node);

    if (!p)
        abort();
    p->app = (struct sim_app){.event = on_event, .timer = on_timer};
    sim_app_add(node, &p->app);
    p->app.wake = sim_now(p->app.sim);
    p->end = sim_now(p->app.sim) + HOUR;
    p->prng = prng;
    p->peer = nst_addr_v4(10, 0, 0, (uint8_t)peer);
    SIM_REQUIRE(p->app.sim, nst_addr_add(stack, 1, &ours, NST_ACD_ANNOUNCE) == 0);
    SIM_REQUIRE(p->app.sim, nst_socket(stack, &p->sock, NST_AF_INET, NST_SOCK_DGRAM,
                                       NST_IPPROTO_ICMP, sim_cookie(&p->app)) == 0);
    SIM_REQUIRE(p->app.sim, nst_setopt(stack, p->sock, NST_OPT_RECVERR, 1) == 0);
    return p;
}

/* ---- The hour ------------------------------------------------------------------------------ */

static struct sim_wire_config choose_wire(struct nst_prng *prng)
{
    return (struct sim_wire_config){
        .rate_bps = 2000000 + nst_prng_below(prng, 100000000),
        .queue_bytes = (uint32_t)(50000 + nst_prng_below(prng, 200000)),
        .delay = nst_prng_below(prng, 50 * NST_MS),
        .jitter = nst_prng_below(prng, 5 * NST_MS),
        .loss_ppm = (uint32_t)nst_prng_below(prng, 20000),
        .repeat_ppm = (uint32_t)nst_prng_below(prng, 10000),
        .reorder_ppm = (uint32_t)nst_prng_below(prng, 50000),
        .corrupt_ppm = (uint32_t)nst_prng_below(prng, 5000),
    };
}

/* Once all is quiet, every frame that went in has come to some end. */
static void check_wires(struct sim *sim, const struct sim_node *node)
{
    struct sim_wire_stats w[2];

    sim_port_stats(node, 1, &w[0], &w[1]);
    for (unsigned i = 0; i < 2; i++)
        SIM_REQUIRE(sim, w[i].sent + w[i].repeated == w[i].lost + w[i].overflowed + w[i].delivered);
}

static void check_end(const struct pinger *p)
{
    struct sim *sim = p->app.sim;
    size_t used, budget;

    SIM_REQUIRE(sim, p->count[WAITING] == 0);
    SIM_REQUIRE(sim, p->count[ANSWERED] + p->count[LOST] + p->count[FAILED] == p->sent);
    SIM_REQUIRE(sim, p->count[ANSWERED] > p->sent / 4);
    SIM_REQUIRE(sim, nst_close(sim_stack(p->app.node), p->sock) == 0);
    nst_memory(sim_stack(p->app.node), &used, &budget);
    SIM_REQUIRE(sim, used == 0);
    check_wires(sim, p->app.node);
}

static uint64_t run_hour(uint64_t seed, bool report)
{
    const struct sim_config config = {.seed = seed, .check = true};
    struct sim *sim = sim_new(&config);
    struct nst_prng prng = sim_prng(sim, "ping");
    struct pinger *p[2];

    sim_switch_add(sim);
    for (unsigned i = 0; i < 2; i++) {
        struct sim_node *node = sim_node_add(sim, NULL);
        const struct sim_wire_config tx = choose_wire(&prng), rx = choose_wire(&prng);
        sim_port_add(node, 0, NULL, &tx, &rx);
        p[i] = pinger_new(node, i + 1, 2 - i, sim_prng(sim, i ? "pinger 1" : "pinger 0"));
    }
    sim_run(sim, sim_now(sim) + HOUR + ANSWER_WAIT + QUIET, NULL, NULL);
    SIM_REQUIRE(sim, sim_in_flight(sim) == 0);
    for (unsigned i = 0; i < 2; i++) {
        check_end(p[i]);
        if (report)
            printf("# %u pings: %u answered, %u lost, %u in error; %u repeated\n", p[i]->sent,
                   p[i]->count[ANSWERED], p[i]->count[LOST], p[i]->count[FAILED], p[i]->repeated);
    }
    uint64_t digest = sim_digest(sim);
    sim_free(sim);
    free(p[0]);
    free(p[1]);
    return digest;
}

static void run(uint64_t seed)
{
    uint64_t first = run_hour(seed, true), again = run_hour(seed, false);

    printf("# digest %016" PRIx64 "\n", first);
    if (first != again) {
        printf("# the second run differs: %016" PRIx64 "\n", again);
        abort();
    }
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, "1-8", run);
}
