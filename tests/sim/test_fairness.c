/* How flows share a path: 100 Mb/s, a round trip of 20 ms and a queue of 250 packets, many senders
 * and one receiver, each flow from a host of its own. Where a name begins with packets the queue is
 * that short; where it begins with a loss, as much is lost by chance on the way to the receiver.
 *
 *     rate     what all deliver, of 100 Mb/s, in the last 20 s
 *     jain     Jain's index of their shares: 1000 is equal, 1000/n is one that has all
 *     bbr      the part of BBR's flows, where others are there as well
 *     again    what was sent more than once, of all that was sent
 *     queue    what the mean of all round trips is longer than the path's
 *     even     when, after the last flow came, the index of a second was 900 for the first time
 *     turn     how long 10 kB there and 10 kB back take, turn by turn, beside the others
 *
 * Time is virtual and chance has a seed: the figures follow from the code alone. They are kept in a
 * file, to which this compares; a change that moves them shows how in its own diff:
 *
 *     build/tests/sim/sim-fairness --print >tests/sim/fairness.txt */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "tcp_apps.h"

#define RATE_BPS  100000000
#define RTT_MS    20
#define QUEUE     250
#define FRAME     1514
#define PORT      7000
#define STEP      (100 * NST_MS)
#define STEPS     300
#define MEASURED  200 /* of them, the last */
#define WINDOW    10  /* steps: for the time until it is even */
#define FLOWS_MAX 16
#define TURN      10000
#define LINE      140

struct scenario {
    const char *name;
    unsigned cubic, reno, bbr; /* bulk flows */
    unsigned late;             /* steps after which the last of them begins */
    bool turns;                /* a request/response flow beside them */
    unsigned queue, rtt_ms;    /* packets; 0: as above */
    uint32_t loss_ppm;         /* by chance, towards the receiver */
};

static const struct scenario scenarios[] = {
    {"cubic", .cubic = 1},
    {"rtt 80, cubic", .cubic = 1, .rtt_ms = 80},
    {"rtt 200, cubic", .cubic = 1, .rtt_ms = 200},
    {"cubic x 2", .cubic = 2},
    {"cubic x 4", .cubic = 4},
    {"cubic x 16", .cubic = 16},
    {"reno x 4", .reno = 4},
    {"bbr x 2", .bbr = 2},
    {"bbr x 4", .bbr = 4},
    {"bbr x 16", .bbr = 16},
    {"cubic + reno", .cubic = 1, .reno = 1},
    {"cubic + bbr", .cubic = 1, .bbr = 1},
    {"2 cubic + 2 bbr", .cubic = 2, .bbr = 2},
    {"8 cubic + 8 bbr", .cubic = 8, .bbr = 8},
    {"cubic, a second", .cubic = 2, .late = 50},
    {"bbr, a second", .bbr = 2, .late = 50},
    {"cubic and turns", .cubic = 1, .turns = true},
    {"bbr and turns", .bbr = 1, .turns = true},
    {"5 packets, bbr x 2", .bbr = 2, .queue = 5},
    {"5 packets, bbr x 16", .bbr = 16, .queue = 5},
    {"16 packets, bbr", .bbr = 1, .queue = 16},
    {"16 packets, bbr x 16", .bbr = 16, .queue = 16},
    {"16 packets, cubic + bbr", .cubic = 1, .bbr = 1, .queue = 16},
    {"40 packets, bbr x 4", .bbr = 4, .queue = 40},
    {"loss 3 %, bbr", .bbr = 1, .loss_ppm = 30000},
    {"loss 10 %, bbr", .bbr = 1, .loss_ppm = 100000},
    {"loss 10 %, rtt 2, bbr", .bbr = 1, .loss_ppm = 100000, .rtt_ms = 2},
    {"loss 10 %, rtt 200, bbr", .bbr = 1, .loss_ppm = 100000, .rtt_ms = 200},
    {"loss 3 %, bbr x 4", .bbr = 4, .loss_ppm = 30000},
    {"loss 3 %, 5, bbr x 4", .bbr = 4, .loss_ppm = 30000, .queue = 5},
};

struct flow {
    struct sim_node *node;
    struct tcp_end source;
    const struct nst_cc_ops *cc;
    uint64_t bytes[STEPS]; /* delivered by the end of each step */
};

struct path {
    struct sim_app app; /* the receiver's */
    const struct scenario *scenario;
    struct sim *sim;
    struct sim_node *receiver;
    nst_sock sock;
    struct flow flows[FLOWS_MAX];
    struct tcp_end ends[FLOWS_MAX + 1];
    unsigned nflows, nends;
    struct flow turns; /* the first to connect, if it does */
    bool has_turns;
    uint64_t rtt_sum_us, rtt_count;
};

/* ---- Hosts ----------------------------------------------------------------------------------- */

static void on_accept(struct sim_app *app, const struct nst_event *event)
{
    struct path *p = NST_CONTAINER(app, struct path, app);
    const struct tcp_plan reads = {.keepalive = true};
    const struct tcp_plan answers = {.send = UINT64_MAX / 2, .turn = TURN, .keepalive = true};
    struct tcp_end *e = &p->ends[p->nends];

    (void)event;
    while (p->nends < NST_ARRAY_LEN(p->ends) && tcp_end_accept(e, app->node, p->sock) == 0) {
        tcp_end_begin(e, p->has_turns && p->nends == 0 ? &answers : &reads, 1000 + p->nends);
        e = &p->ends[++p->nends];
    }
}

static nst_time rtt_of(const struct scenario *s)
{
    return (s->rtt_ms ? s->rtt_ms : RTT_MS) * NST_MS;
}

static struct sim_node *host_add(struct path *p, unsigned number, const struct nst_cc_ops *cc)
{
    const struct scenario *s = p->scenario;
    const struct nst_prefix ours = {nst_addr_v4(10, 0, 0, (uint8_t)number), 24};
    const struct sim_wire_config tx = {.rate_bps = 10 * (uint64_t)RATE_BPS};
    const struct sim_wire_config rx = {.rate_bps = RATE_BPS,
                                       .queue_bytes = (s->queue ? s->queue : QUEUE) * FRAME,
                                       .delay = rtt_of(s) / 2,
                                       .loss_ppm = number == 1 ? s->loss_ppm : 0};
    struct sim_node *node = sim_node_add(p->sim, NULL);

    sim_port_add(node, 0, NULL, &tx, &rx);
    SIM_REQUIRE(p->sim, nst_addr_add(sim_stack(node), 1, &ours, NST_ACD_OFF) == 0);
    sim_stack(node)->tcps.config.cc = cc;
    return node;
}

static void receiver_start(struct path *p)
{
    const struct nst_sockaddr local = {.port = PORT};
    struct nst_stack *stack;

    p->receiver = host_add(p, 1, &nst_cc_cubic);
    stack = sim_stack(p->receiver);
    p->app = (struct sim_app){.event = on_accept, .wake = NST_TIME_NEVER};
    sim_app_add(p->receiver, &p->app);
    SIM_REQUIRE(p->sim, nst_socket(stack, &p->sock, NST_AF_INET, NST_SOCK_STREAM, 0,
                                   sim_cookie(&p->app)) == 0);
    SIM_REQUIRE(p->sim, nst_bind(stack, p->sock, &local) == 0);
    SIM_REQUIRE(p->sim, nst_listen(stack, p->sock, FLOWS_MAX) == 0);
}

static void flow_start(struct path *p, struct flow *f, uint32_t turn)
{
    const struct tcp_plan plan = {
        .send = UINT64_MAX / 2, .turn = turn, .first = turn > 0, .keepalive = true};
    const struct nst_sockaddr any = {.port = 0};
    const struct nst_sockaddr to = {.addr = nst_addr_v4(10, 0, 0, 1), .port = PORT};
    uint64_t key = turn ? 999 : 1 + (uint64_t)(f - p->flows);

    SIM_REQUIRE(p->sim, tcp_end_connect(&f->source, f->node, &plan, key, &any, &to));
}

static void flows_add(struct path *p, unsigned n, const struct nst_cc_ops *cc)
{
    while (n-- > 0) {
        struct flow *f = &p->flows[p->nflows++];
        f->cc = cc;
        f->node = host_add(p, 1 + p->nflows, cc);
    }
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* What came of that flow: its key tells which end has it. */
static uint64_t received(const struct path *p, const struct flow *f)
{
    for (unsigned i = 0; i < p->nends; i++)
        if (p->ends[i].received >= TCP_KEY_BYTES && p->ends[i].expected == f->source.key)
            return p->ends[i].received;
    return 0;
}

static void sample(struct path *p, unsigned step)
{
    p->turns.bytes[step] = p->turns.source.received;
    for (unsigned i = 0; i < p->nflows; i++) {
        struct flow *f = &p->flows[i];
        struct nst_tcp_info info;
        f->bytes[step] = received(p, f);
        if (step < STEPS - MEASURED || !f->bytes[step])
            continue;
        SIM_REQUIRE(p->sim, nst_tcp_info(sim_stack(f->node), f->source.sock, &info) == 0);
        p->rtt_sum_us += info.rtt / NST_US;
        p->rtt_count++;
    }
}

/* Jain's index of what came between two steps, in thousandths. */
static uint64_t jain(const struct path *p, unsigned from, unsigned to)
{
    uint64_t sum = 0, squares = 0;

    for (unsigned i = 0; i < p->nflows; i++) {
        uint64_t kb = (p->flows[i].bytes[to] - p->flows[i].bytes[from]) / 1000;
        sum += kb;
        squares += kb * kb;
    }
    return squares ? sum * sum * 1000 / (p->nflows * squares) : 0;
}

static uint64_t delivered(const struct path *p, const struct nst_cc_ops *cc)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < p->nflows; i++)
        if (!cc || p->flows[i].cc == cc)
            sum += p->flows[i].bytes[STEPS - 1] - p->flows[i].bytes[STEPS - 1 - MEASURED];
    return sum;
}

/* What was sent more than once, of all that was sent, in thousandths. */
static uint64_t again(const struct path *p)
{
    uint64_t sent = 0, retrans = 0;

    for (unsigned i = 0; i < p->nflows; i++) {
        const struct flow *f = &p->flows[i];
        struct nst_tcp_info info;
        SIM_REQUIRE(p->sim, nst_tcp_info(sim_stack(f->node), f->source.sock, &info) == 0);
        sent += info.bytes_sent;
        retrans += info.bytes_retrans;
    }
    return retrans * 1000 / nst_max(sent, 1);
}

/* In steps; STEPS if never. */
static unsigned even_after(const struct path *p, unsigned begun)
{
    for (unsigned i = begun + WINDOW; i < STEPS; i++)
        if (jain(p, i - WINDOW, i) >= 900)
            return i - begun;
    return STEPS;
}

/* ---- Running --------------------------------------------------------------------------------- */

static void report(const struct path *p, const struct scenario *s, char *line)
{
    uint64_t mbps10 = delivered(p, NULL) * 8 / (MEASURED / 10) / 100000;
    uint64_t queue10 = (p->rtt_sum_us / p->rtt_count - rtt_of(s) / NST_US) / 100;
    unsigned even = even_after(p, s->late);
    int n = snprintf(line, LINE, "%-24s rate %" PRIu64 ".%" PRIu64 "  queue %2" PRIu64 ".%" PRIu64,
                     s->name, mbps10 / 10, mbps10 % 10, queue10 / 10, queue10 % 10);

    n += snprintf(line + n, LINE - (size_t)n,
                  " ms  again %2" PRIu64 ".%" PRIu64 " %%  jain %4" PRIu64 "  even %2u.%u s",
                  again(p) / 10, again(p) % 10, jain(p, STEPS - 1 - MEASURED, STEPS - 1), even / 10,
                  even % 10);
    if (s->bbr && s->bbr < p->nflows)
        n += snprintf(line + n, LINE - (size_t)n, "  bbr %2" PRIu64 " %%",
                      100 * delivered(p, &nst_cc_bbr) / delivered(p, NULL));
    if (s->turns) {
        const uint64_t *bytes = p->turns.bytes;
        uint64_t turns = (bytes[STEPS - 1] - bytes[STEPS - 1 - MEASURED]) / TURN;
        uint64_t tenths = MEASURED * STEP / NST_MS * 10 / nst_max(turns, 1);
        snprintf(line + n, LINE - (size_t)n, "  turn %" PRIu64 ".%" PRIu64 " ms", tenths / 10,
                 tenths % 10);
    }
}

static void run(const struct scenario *s, char *line)
{
    const struct sim_config config = {.seed = 1};
    struct path *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->scenario = s;
    p->sim = sim_new(&config);
    sim_switch_add(p->sim);
    p->has_turns = s->turns;
    receiver_start(p);
    flows_add(p, s->cubic, &nst_cc_cubic);
    flows_add(p, s->reno, &nst_cc_newreno);
    flows_add(p, s->bbr, &nst_cc_bbr);
    if (s->turns) {
        p->turns.node = host_add(p, 100, &nst_cc_cubic);
        flow_start(p, &p->turns, TURN);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned i = 0; i < p->nflows; i++)
            if (step == (i == p->nflows - 1 && s->late ? s->late : 1))
                flow_start(p, &p->flows[i], 0);
        sim_run(p->sim, sim_now(p->sim) + STEP, NULL, NULL);
        sample(p, step);
    }
    report(p, s, line);
    sim_free(p->sim);
    free(p);
}

/* The line of the file that tells of the scenario; NULL if there is none. */
static const char *kept(const char *text, const char *name)
{
    size_t len = strlen(name);

    while (text && (strncmp(text, name, len) != 0 || text[len] != ' '))
        text = (text = strchr(text, '\n')) ? text + 1 : NULL;
    return text;
}

static char *read_file(const char *path)
{
    static char text[8192];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

    if (!f || n == 0) {
        printf("Bail out! cannot read %s\n", path);
        exit(1);
    }
    fclose(f);
    text[n] = '\0';
    return text;
}

static bool is_as_kept(const char *line, const char *before)
{
    size_t len = strlen(line);

    return before && strncmp(line, before, len) == 0 && before[len] == '\n';
}

int main(int argc, char **argv)
{
    bool print = argc == 2 && strcmp(argv[1], "--print") == 0, same = true;
    const char *text = argc == 2 && !print ? read_file(argv[1]) : NULL;
    char line[LINE];

    if (!print && !text) {
        fprintf(stderr, "usage: sim-fairness FILE | --print\n");
        return 2;
    }
    if (!print)
        printf("TAP version 13\n1..%zu\n", NST_ARRAY_LEN(scenarios));
    for (size_t i = 0; i < NST_ARRAY_LEN(scenarios); i++) {
        run(&scenarios[i], line);
        bool ok = print || is_as_kept(line, kept(text, scenarios[i].name));
        printf("%s%s%s\n", print ? "" : ok ? "ok " : "not ok ", print ? "" : "- ", line);
        fflush(stdout);
        same &= ok;
    }
    return same ? 0 : 1;
}
