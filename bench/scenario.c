/* What the stack itself costs, without a device: scenario NAME CONNECTIONS ACTIVE COUNT
 *
 * One stack, and a peer that is played by hand, so that nothing but the stack is measured. Each
 * round of a scenario prepares something, measures one step of the stack, and puts things back;
 * which of the ACTIVE among all CONNECTIONS it concerns is drawn by lot. It prints nanoseconds a
 * round; under callgrind, which it tells where the step begins and ends, there are instructions to
 * count. The link takes checksums and segmentation, as a TAP does; it is one without a link header,
 * or, for what is to be compared with a server on a device, Ethernet. */
#include <errno.h>
#include <netstack/system.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <valgrind/callgrind.h>

#include "core/base/bytes.h"
#include "core/base/prng.h"
#include "core/base/timer.h"
#include "core/wire/eth.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"

#define MSS            1448
#define SUPER          (44 * MSS) /* the most that is less than 64 KiB */
#define WARM_UP        100        /* rounds */
#define BATCH          64
#define BURST          32
#define PORT           7
#define PEER_PORT      1024
#define PEER_NET       UINT32_C(0x0A010000)
#define PEERS_PER_ADDR 60000

/* A connection, seen from the peer. */
struct remote {
    nst_sock sock;
    uint32_t seq, ack; /* of the next segment */
    uint32_t ts_recent;
    uint32_t number;
};

static struct nst_stack *stack;
static nst_link link_id;
static nst_sock listener, datagrams;
static nst_time now;
static struct remote *remotes;
static bool ethernet;
static const struct nst_addr OUR_ADDR = {NST_AF_INET, {10, 0, 0, 2}};
static const struct nst_mac OUR_MAC = {{2, 0, 0, 0, 0, 2}}, PEER_MAC = {{2, 0, 0, 0, 0, 1}};
static uint8_t payload[SUPER];
static struct nst_pkt *prepared; /* for the measured step */
static struct nst_pkt *burst[BURST];

static void must(const char *what, int64_t err)
{
    if (err >= 0)
        return;
    fprintf(stderr, "scenario: %s: %s\n", what, strerror((int)-err));
    exit(1);
}

/* ---- The peer -------------------------------------------------------------------------------- */

static struct nst_addr peer_addr(uint32_t number)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    nst_store32(addr.bytes, PEER_NET + number / PEERS_PER_ADDR);
    return addr;
}

/* Of the link header. */
static size_t link_hlen(void)
{
    return ethernet ? NST_ETH_HLEN : 0;
}

/* A packet with these headers and `len` bytes of payload. */
static struct nst_pkt *build(uint32_t number, uint8_t protocol, const uint8_t *header, size_t hlen,
                             size_t len)
{
    const struct nst_eth eth = {.dst = OUR_MAC, .src = PEER_MAC, .type = NST_ETHERTYPE_IPV4};
    size_t link_len = link_hlen(), headers_len = link_len + NST_IPV4_HLEN + hlen;
    uint8_t bytes[NST_ETH_HLEN + NST_IPV4_HLEN + NST_TCP_HLEN_MAX];
    struct nst_ipv4 ip = {.total_len = (uint16_t)(NST_IPV4_HLEN + hlen + len),
                          .df = true,
                          .ttl = 64,
                          .proto = protocol,
                          .src = peer_addr(number),
                          .dst = OUR_ADDR};
    struct nst_pkt *pkt = nst_pkt_alloc(stack, headers_len + len);
    struct nst_slice slices[NST_PKT_SLICES];

    if (!pkt)
        must("packet", -ENOMEM);
    if (ethernet)
        nst_eth_emit(&eth, bytes);
    nst_ipv4_emit(&ip, bytes + link_len);
    memcpy(bytes + link_len + NST_IPV4_HLEN, header, hlen);
    nst_pkt_slices(pkt, slices, NST_PKT_SLICES);
    memcpy(slices[0].base, bytes, headers_len);
    nst_pkt_offload(pkt)->csum = NST_CSUM_VALID;
    return pkt;
}

static struct nst_pkt *segment(const struct remote *r, uint8_t flags, size_t len)
{
    uint8_t header[NST_TCP_HLEN_MAX];
    struct nst_tcp tcp = {
        .sport = (uint16_t)(PEER_PORT + r->number % PEERS_PER_ADDR),
        .dport = PORT,
        .seq = {r->seq},
        .ack = {r->ack},
        .flags = flags,
        .wnd = 65535,
        .opts = {.has_ts = true, .ts_val = (uint32_t)(now / NST_MS), .ts_ecr = r->ts_recent}};
    if (flags & NST_TCP_SYN) {
        tcp.opts.mss = MSS + 12;
        tcp.opts.sack_ok = tcp.opts.has_wscale = true;
        tcp.opts.wscale = 10;
    }
    nst_tcp_emit(&tcp, header);
    struct nst_pkt *pkt = build(r->number, 6, header, tcp.hlen, len);
    if (len > MSS) {
        struct nst_offload *o = nst_pkt_offload(pkt);
        o->gso = NST_GSO_TCP4;
        o->gso_size = MSS;
        o->hdr_len = (uint16_t)(link_hlen() + NST_IPV4_HLEN + tcp.hlen);
    }
    return pkt;
}

static void input(struct nst_pkt *pkt)
{
    nst_input(stack, link_id, &pkt, 1, now);
}

/* Arrays are static below, since the compiler would fill automatic ones with zeros, round for
 * round.
 *
 * What the stack says goes nowhere; the last segment to `r` is noted. Returns how many packets. */
static size_t output(struct remote *r)
{
    static struct nst_pkt *pkts[BATCH];
    static struct nst_slice slices[NST_PKT_SLICES];
    size_t n, all = 0;

    while ((n = nst_output(stack, link_id, pkts, BATCH, now)) > 0) {
        nst_pkt_slices(pkts[n - 1], slices, NST_PKT_SLICES);
        const uint8_t *tcp = (const uint8_t *)slices[0].base + link_hlen() + NST_IPV4_HLEN;
        size_t hlen = link_hlen() + NST_IPV4_HLEN + (size_t)(tcp[12] >> 4) * 4;
        if (r) {
            r->ack = nst_load32(tcp + 4) + (uint32_t)(nst_pkt_len(pkts[n - 1]) - hlen) +
                     (tcp[13] & (NST_TCP_SYN | NST_TCP_FIN) ? 1u : 0u);
            r->ts_recent = nst_load32(tcp + (tcp[13] & NST_TCP_SYN ? 28 : 24));
        }
        all += n;
        for (size_t i = 0; i < n; i++)
            nst_pkt_free(pkts[i]);
    }
    return all;
}

static void events(void)
{
    static struct nst_event all[BATCH];

    while (nst_events(stack, all, BATCH) == BATCH)
        ;
}

/* ---- The steps ------------------------------------------------------------------------------- */

static void prepare_segment(struct remote *r)
{
    prepared = segment(r, NST_TCP_ACK, MSS);
    r->seq += MSS;
}

/* What a peer's window brings through a device that doesn't join segments. */
static void prepare_burst(struct remote *r)
{
    for (size_t i = 0; i < BURST; i++) {
        burst[i] = segment(r, NST_TCP_ACK, MSS);
        r->seq += MSS;
    }
}

static void prepare_super(struct remote *r)
{
    prepared = segment(r, NST_TCP_ACK, SUPER);
    r->seq += SUPER;
}

static void prepare_request(struct remote *r)
{
    prepared = segment(r, NST_TCP_ACK | NST_TCP_PSH, 1);
    r->seq += 1;
}

static void read_all(nst_sock sock)
{
    static struct nst_slice in[BATCH];
    int n;

    while ((n = nst_recv_peek(stack, sock, in, BATCH)) > 0) {
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += in[i].len;
        must("consume", nst_recv_consume(stack, sock, len));
    }
}

static void send_bytes(nst_sock sock, size_t len)
{
    struct nst_slice slice = {payload, len};
    const struct nst_msg msg = {.data = &slice, .ndata = 1};

    must("send", nst_send(stack, sock, &msg));
}

static void step_in(struct remote *r)
{
    input(prepared);
    events();
    read_all(r->sock);
    output(r);
}

static void step_burst_in(struct remote *r)
{
    nst_input(stack, link_id, burst, BURST, now);
    events();
    read_all(r->sock);
    output(r);
}

static void step_out(struct remote *r)
{
    send_bytes(r->sock, MSS);
    output(r);
}

static void step_super_out(struct remote *r)
{
    send_bytes(r->sock, SUPER);
    output(r);
}

static void step_exchange(struct remote *r)
{
    input(prepared);
    events();
    read_all(r->sock);
    send_bytes(r->sock, 1);
    output(r);
}

static void step_input(struct remote *r)
{
    input(prepared);
    events();
    output(r);
}

static void acknowledge(struct remote *r)
{
    input(segment(r, NST_TCP_ACK, 0));
    events();
    output(r);
}

static void prepare_ack(struct remote *r)
{
    step_out(r);
    prepared = segment(r, NST_TCP_ACK, 0);
}

static void nothing(struct remote *r)
{
    (void)r;
}

/* ---- Connections ------------------------------------------------------------------------------
 */

static void step_connect(struct remote *r)
{
    input(prepared);
    output(r);
    r->seq++;
    input(segment(r, NST_TCP_ACK, 0));
    events();
    must("accept", nst_accept(stack, listener, &r->sock, 0));
    output(NULL);
}

static void prepare_syn(struct remote *r)
{
    r->seq = r->number * 7919;
    r->ack = r->ts_recent = 0;
    prepared = segment(r, NST_TCP_SYN, 0);
}

static void prepare_again(struct remote *r)
{
    input(segment(r, NST_TCP_RST, 0));
    nst_close(stack, r->sock);
    events();
    output(NULL);
    prepare_syn(r);
}

/* The peer's next segment, which costs nothing. */
static void input_free_of_charge(struct remote *r, uint8_t flags, size_t len)
{
    CALLGRIND_TOGGLE_COLLECT;
    struct nst_pkt *pkt = segment(r, flags, len);
    CALLGRIND_TOGGLE_COLLECT;

    r->seq += (uint32_t)len + (flags & (NST_TCP_SYN | NST_TCP_FIN) ? 1u : 0u);
    input(pkt);
    events();
}

/* A connection from its first segment to its last: six of the peer's, each of which comes alone,
 * and three of ours. */
static void step_turnover(struct remote *r)
{
    input_free_of_charge(r, NST_TCP_SYN, 0);
    output(r);
    input_free_of_charge(r, NST_TCP_ACK, 0);
    must("accept", nst_accept(stack, listener, &r->sock, 0));
    must("option", nst_setopt(stack, r->sock, NST_OPT_NODELAY, 1));
    output(NULL);
    input_free_of_charge(r, NST_TCP_ACK | NST_TCP_PSH, 1);
    read_all(r->sock);
    send_bytes(r->sock, 1);
    output(r);
    input_free_of_charge(r, NST_TCP_ACK, 0);
    output(NULL);
    input_free_of_charge(r, NST_TCP_ACK | NST_TCP_FIN, 0);
    read_all(r->sock);
    must("close", nst_close(stack, r->sock));
    r->sock = 0;
    output(r);
    input_free_of_charge(r, NST_TCP_ACK, 0);
    output(NULL);
}

/* The first round begins with the connection of set_up(). */
static void prepare_turnover(struct remote *r)
{
    if (r->sock) {
        input(segment(r, NST_TCP_RST, 0));
        nst_close(stack, r->sock);
        events();
    }
    r->sock = 0;
    r->ack = r->ts_recent = 0;
}

/* ---- Datagrams --------------------------------------------------------------------------------
 */

#define DATAGRAM 64

static void prepare_datagram(struct remote *r)
{
    uint8_t header[NST_UDP_HLEN];
    const struct nst_udp udp = {.sport = (uint16_t)(PEER_PORT + r->number % PEERS_PER_ADDR),
                                .dport = PORT,
                                .len = NST_UDP_HLEN + DATAGRAM};

    nst_udp_emit(&udp, header);
    prepared = build(r->number, 17, header, sizeof header, DATAGRAM);
}

static void step_datagram_in(struct remote *r)
{
    struct nst_slice slice = {payload, sizeof payload};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    (void)r;
    input(prepared);
    events();
    must("receive", nst_recv(stack, datagrams, &msg, 0));
}

static void step_datagram_out(struct remote *r)
{
    struct nst_slice slice = {payload, DATAGRAM};
    const struct nst_msg msg = {
        .data = &slice, .ndata = 1, .tos = -1, .peer = {.addr = peer_addr(r->number), .port = 9}};

    must("send", nst_send(stack, datagrams, &msg));
    output(NULL);
}

/* What a socket's buffer gathers before the device is asked. */
static void step_datagrams_out(struct remote *r)
{
    struct nst_slice slice = {payload, DATAGRAM};
    const struct nst_msg msg = {
        .data = &slice, .ndata = 1, .tos = -1, .peer = {.addr = peer_addr(r->number), .port = 9}};

    for (size_t i = 0; i < BURST; i++)
        must("send", nst_send(stack, datagrams, &msg));
    output(NULL);
}

static void prepare_datagrams(struct remote *r)
{
    for (size_t i = 0; i < BURST; i++) {
        prepare_datagram(r);
        burst[i] = prepared;
    }
}

static void step_datagrams_in(struct remote *r)
{
    struct nst_slice slice = {payload, sizeof payload};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    (void)r;
    nst_input(stack, link_id, burst, BURST, now);
    events();
    for (size_t i = 0; i < BURST; i++)
        must("receive", nst_recv(stack, datagrams, &msg, 0));
}

/* ---- The whole --------------------------------------------------------------------------------
 */

static const struct scenario {
    const char *name;
    void (*prepare)(struct remote *r); /* not measured */
    void (*step)(struct remote *r);    /* measured */
    void (*finish)(struct remote *r);  /* not measured */
    bool ethernet;
} SCENARIOS[] = {
    {"segment-in", prepare_segment, step_in, nothing, false},
    {"burst-in", prepare_burst, step_burst_in, nothing, false},
    {"super-segment-in", prepare_super, step_in, nothing, false},
    {"segment-out", nothing, step_out, acknowledge, false},
    {"super-segment-out", nothing, step_super_out, acknowledge, false},
    {"ack-in", prepare_ack, step_input, nothing, false},
    {"exchange", prepare_request, step_exchange, nothing, false},
    {"connect", prepare_again, step_connect, nothing, false},
    {"datagram-in", prepare_datagram, step_datagram_in, nothing, false},
    {"datagram-out", nothing, step_datagram_out, nothing, false},
    {"turnover", prepare_turnover, step_turnover, nothing, true},
    {"datagrams-in", prepare_datagrams, step_datagrams_in, nothing, true},
    {"datagrams-out", nothing, step_datagrams_out, nothing, true},
};

static void open_sockets(void)
{
    const struct nst_sockaddr local = {.port = PORT};

    must("socket", nst_socket(stack, &listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0));
    must("bind", nst_bind(stack, listener, &local));
    must("listen", nst_listen(stack, listener, 1024));
    must("socket", nst_socket(stack, &datagrams, NST_AF_INET, NST_SOCK_DGRAM, 0, 0));
    must("bind", nst_bind(stack, datagrams, &local));
}

static void set_up(uint32_t conns)
{
    struct nst_config config;
    const struct nst_link_config link = {.name = "l0",
                                         .medium = ethernet ? NST_MEDIUM_ETHERNET : NST_MEDIUM_IP,
                                         .mac = OUR_MAC,
                                         .mtu = 1500,
                                         .offloads = NST_LINK_CSUM | NST_LINK_TSO4};
    const struct nst_prefix prefix = {OUR_ADDR, 8};

    memset(&config, 0, sizeof config);
    must("system", nst_system_config(&config));
    memset(config.seed, 1, sizeof config.seed);
    config.now = now = NST_SEC;
    config.limits.sockets = conns + 16;
    config.limits.memory_bytes = (size_t)4 << 30;
    must("stack", nst_stack_new(&stack, &config));
    must("link", nst_link_add(stack, &link_id, &link));
    must("address", nst_addr_add(stack, link_id, &prefix, NST_ACD_OFF));
    for (uint32_t i = 0; ethernet && i < conns; i += PEERS_PER_ADDR) {
        const struct nst_addr addr = peer_addr(i);
        must("neighbour", nst_neigh_set(stack, link_id, &addr, &PEER_MAC));
    }
    open_sockets();
    remotes = calloc(conns, sizeof *remotes);
    for (uint32_t i = 0; i < conns; i++) {
        now += NST_US;
        remotes[i].number = i;
        prepare_syn(&remotes[i]);
        step_connect(&remotes[i]);
    }
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NST_SEC + (uint64_t)t.tv_nsec;
}

/* One round; the nanoseconds of its step, with those of reading the clock. */
static uint64_t run_round(const struct scenario *s, struct remote *r)
{
    now += 20 * NST_US;
    s->prepare(r);
    uint64_t start = clock_ns();
    CALLGRIND_TOGGLE_COLLECT;
    s->step(r);
    CALLGRIND_TOGGLE_COLLECT;
    uint64_t ns = clock_ns() - start;
    s->finish(r);
    return ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* One of `active` connections that are spread among all. */
static struct remote *draw(struct nst_prng *lots, uint32_t conns, uint32_t active)
{
    return &remotes[nst_prng_below(lots, active) * (conns / active)];
}

static void measure(const struct scenario *s, uint32_t conns, uint32_t active, uint32_t count)
{
    struct nst_prng lots;
    uint64_t *ns = calloc(count, sizeof *ns), sum = 0, all = 0;
    const uint8_t seed[32] = {2};

    CALLGRIND_START_INSTRUMENTATION;
    nst_prng_init(&lots, seed, "lots");
    for (uint32_t i = 0; i < WARM_UP; i++)
        run_round(s, draw(&lots, conns, active));
    CALLGRIND_ZERO_STATS;
    for (uint32_t i = 0; i < count; i++)
        ns[i] = run_round(s, draw(&lots, conns, active));
    qsort(ns, count, sizeof *ns, compare);
    /* The slowest are those that something else interrupted. */
    for (uint32_t i = 0; i < count - count / 20; i++, all++)
        sum += ns[i];
    printf("{\"ns\": %.1f}\n", (double)sum / (double)all);
    free(ns);
}

int main(int argc, char **argv)
{
    uint32_t n[3] = {0}; /* connections, active, count */

    for (int i = 0; i < 3 && i + 2 < argc; i++)
        n[i] = (uint32_t)strtoul(argv[i + 2], NULL, 10);
    for (size_t i = 0; i < NST_ARRAY_LEN(SCENARIOS) && n[1] > 0 && n[1] <= n[0] && n[2]; i++) {
        if (strcmp(argv[1], SCENARIOS[i].name) != 0)
            continue;
        ethernet = SCENARIOS[i].ethernet;
        set_up(n[0]);
        measure(&SCENARIOS[i], n[0], n[1], n[2]);
        nst_stack_free(stack);
        free(remotes);
        return 0;
    }
    fputs("usage: scenario NAME CONNECTIONS ACTIVE COUNT\n", stderr);
    return 2;
}
