/* The same seed and the same calls give the same bytes, on any compiler: prints a digest of all
 * that a stack says in a long and mixed life, which tools/check-digests compares between builds.
 *
 * The life: some 10,000 steps, drawn from a generator with a fixed seed. Frames come in: pings,
 * datagrams for open and closed ports, fragments in order and not, ARP of all kinds, noise, and any
 * of these with a byte changed. The owner opens and closes sockets, answers what it receives, sends
 * to neighbours who are there and who are not. Time passes, sometimes for long. All frames, events,
 * counters and drops go into the digest.
 *
 * By itself the program is a test too: it fails unless a second run gives the same digest and a
 * stack with another seed of its own gives another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/prng.h"
#include "core/base/timer.h"
#include "core/wire/arp.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/icmpv4.h"
#include "core/wire/ipv4.h"
#include "core/wire/udp.h"
#include "netstack/netstack.h"

#define STEPS     28000
#define SOCKS     6
#define FRAME_MAX 1600
#define HEADERS   (NST_ETH_HLEN + NST_IPV4_HLEN)

struct life {
    struct nst_prng prng;
    struct nst_stack *stack;
    nst_link link;
    nst_time now;
    nst_sock socks[SOCKS];
    uint64_t digest, frames;
    uint8_t frame[FRAME_MAX];
    size_t len;
};

/* ---- The digest --------------------------------------------------------------------------- */

static void digest(struct life *l, const void *data, size_t len)
{
    struct nst_siphash_key key = {l->digest, len};

    l->digest = nst_siphash(&key, data, len);
}

/* By value, so that neither padding nor the byte order counts. */
static void digest64(struct life *l, uint64_t value)
{
    uint8_t bytes[8];

    nst_store_le64(bytes, value);
    digest(l, bytes, sizeof bytes);
}

static void digest_pkt(struct life *l, const struct nst_pkt *pkt)
{
    struct nst_slice slices[NST_PKT_SLICES];
    static uint8_t bytes[65600];
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES), len = 0;

    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + len, slices[i].base, slices[i].len);
        len += slices[i].len;
    }
    digest64(l, l->now);
    digest(l, bytes, len);
    l->frames++;
}

/* ---- Frames that come in ------------------------------------------------------------------ */

static uint32_t below(struct life *l, uint32_t bound)
{
    return (uint32_t)nst_prng_below(&l->prng, bound);
}

static struct nst_addr neighbour(struct life *l)
{
    return nst_addr_v4(192, 0, 2, (uint8_t)(2 + below(l, 40)));
}

static void input(struct life *l)
{
    struct nst_pkt *pkt = nst_pkt_alloc(l->stack, l->len);
    struct nst_slice slice;

    if (!pkt || nst_pkt_slices(pkt, &slice, 1) != 1)
        abort();
    memcpy(slice.base, l->frame, l->len);
    nst_input(l->stack, l->link, &pkt, 1, l->now);
}

static void put_eth(struct life *l, uint8_t from, uint16_t type)
{
    struct nst_eth eth = {.dst = {{2, 0, 0, 0, 0, 1}}, .src = {{2, 0, 0, 0, 0, from}}};

    eth.type = type;
    nst_eth_emit(&eth, l->frame);
}

/* The IP and transport headers before `len` bytes of payload, which stand there already. */
static void finish_ip(struct life *l, struct nst_ipv4 *ip, size_t len)
{
    uint8_t *p = l->frame + HEADERS;
    bool whole = !ip->mf && ip->frag_off == 0;

    if (whole && ip->proto == NST_IPPROTO_ICMP)
        nst_store16(p + 2, nst_csum_finish(nst_csum_sum(p, len)));
    ip->ttl = 64;
    ip->dst = nst_addr_v4(192, 0, 2, 1);
    ip->total_len = (uint16_t)(NST_IPV4_HLEN + len);
    put_eth(l, ip->src.bytes[3], NST_ETHERTYPE_IPV4);
    nst_ipv4_emit(ip, l->frame + NST_ETH_HLEN);
    l->len = HEADERS + len;
}

static void fill(struct life *l, uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)nst_prng_next(&l->prng);
}

static void echo_in(struct life *l)
{
    struct nst_ipv4 ip = {.src = neighbour(l), .proto = NST_IPPROTO_ICMP};
    struct nst_icmpv4 icmp = {.type = NST_ICMPV4_ECHO, .echo = {7, (uint16_t)below(l, 65536)}};
    size_t len = below(l, 1400);

    nst_icmpv4_emit(&icmp, l->frame + HEADERS);
    fill(l, l->frame + HEADERS + NST_ICMPV4_HLEN, len);
    finish_ip(l, &ip, NST_ICMPV4_HLEN + len);
    input(l);
}

static void udp_in(struct life *l)
{
    struct nst_ipv4 ip = {.src = neighbour(l), .proto = NST_IPPROTO_UDP};
    size_t len = below(l, 600);
    struct nst_udp udp = {.sport = 1000, .len = (uint16_t)(NST_UDP_HLEN + len)};

    udp.dport = (uint16_t)(5000 + below(l, SOCKS + 2));
    nst_udp_emit(&udp, l->frame + HEADERS);
    fill(l, l->frame + HEADERS + NST_UDP_HLEN, len);
    finish_ip(l, &ip, NST_UDP_HLEN + len);
    input(l);
}

/* One of the four fragments of one of eight datagrams of each neighbour. */
static void fragment_in(struct life *l)
{
    struct nst_ipv4 ip = {.src = neighbour(l), .proto = NST_IPPROTO_ICMP};
    unsigned part = below(l, 4);
    size_t len = 800;

    ip.id = (uint16_t)below(l, 8);
    ip.frag_off = (uint16_t)(part * len);
    ip.mf = part < 3;
    /* Each part is filled with its number; 400 words of 0101, 0202 and 0303 and the header sum to
     * 7169. */
    memset(l->frame + HEADERS, (int)part, len);
    if (part == 0)
        nst_icmpv4_emit(&(struct nst_icmpv4){.type = NST_ICMPV4_ECHO, .checksum = 0x8e96},
                        l->frame + HEADERS);
    finish_ip(l, &ip, len);
    input(l);
}

static void arp_in(struct life *l)
{
    struct nst_arp arp = {.op = (uint16_t)(1 + below(l, 2)), .sha = {{2, 0, 0, 0, 0, 0}}};

    arp.spa = neighbour(l);
    arp.sha.bytes[5] = below(l, 20) ? arp.spa.bytes[3] : 0x66;
    arp.tpa = below(l, 3) ? nst_addr_v4(192, 0, 2, 1) : neighbour(l);
    put_eth(l, arp.sha.bytes[5], NST_ETHERTYPE_ARP);
    nst_arp_emit(&arp, l->frame + NST_ETH_HLEN);
    l->len = NST_ETH_HLEN + NST_ARP_LEN;
    input(l);
}

static void changed_in(struct life *l)
{
    if (l->len == 0)
        return;
    l->frame[below(l, (uint32_t)l->len)] = (uint8_t)below(l, 256);
    input(l);
}

static void noise_in(struct life *l)
{
    l->len = below(l, FRAME_MAX);
    fill(l, l->frame, l->len);
    input(l);
}

/* ---- The owner ---------------------------------------------------------------------------- */

static void open_or_close(struct life *l)
{
    unsigned i = below(l, SOCKS);
    struct nst_sockaddr name = {.port = (uint16_t)(5000 + i)};

    if (nst_close(l->stack, l->socks[i]) == 0 ||
        nst_socket(l->stack, &l->socks[i], NST_AF_INET, NST_SOCK_DGRAM, 0, i) != 0)
        return;
    (void)nst_bind(l->stack, l->socks[i], &name);
    (void)nst_setopt(l->stack, l->socks[i], NST_OPT_RECVERR, i % 2);
}

static void send_some(struct life *l)
{
    static uint8_t data[4000];
    struct nst_slice slice = {data, 1 + below(l, sizeof data)};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .tos = -1};

    msg.peer = (struct nst_sockaddr){.addr = neighbour(l), .port = 9};
    digest64(l, (uint64_t)nst_send(l->stack, l->socks[below(l, SOCKS)], &msg));
}

/* Receives what there is, and sends it back. */
static void answer(struct life *l, nst_sock sock)
{
    uint8_t data[1024];
    struct nst_slice slice = {data, sizeof data};
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t got;

    while ((got = nst_recv(l->stack, sock, &msg, 0)) >= 0) {
        slice.len = nst_min((size_t)got, sizeof data);
        digest(l, data, slice.len);
        msg.local = (struct nst_sockaddr){0};
        msg.options_len = 0;
        digest64(l, (uint64_t)nst_send(l->stack, sock, &msg));
        slice.len = sizeof data;
    }
    while ((got = nst_recv(l->stack, sock, &msg, NST_RECV_ERROR)) >= 0)
        digest64(l, (uint64_t)got << 32 | (uint64_t)msg.error.err);
}

static void act_on_events(struct life *l)
{
    struct nst_event events[4];
    size_t n;

    while ((n = nst_events(l->stack, events, 4)) > 0) {
        for (size_t i = 0; i < n; i++) {
            digest64(l, events[i].kind);
            digest64(l, events[i].sock);
            digest64(l, events[i].ready);
            if (events[i].kind == NST_EVENT_READY)
                answer(l, events[i].sock);
        }
    }
}

static void pull(struct life *l)
{
    struct nst_pkt *pkts[8];
    size_t max = 1 + below(l, 8), n;

    do {
        n = nst_output(l->stack, l->link, pkts, max, l->now);
        for (size_t i = 0; i < n; i++) {
            digest_pkt(l, pkts[i]);
            nst_pkt_free(pkts[i]);
        }
    } while (n == max);
}

static void pass_time(struct life *l)
{
    nst_time deadline = nst_deadline(l->stack);

    if (below(l, 4) == 0 && deadline != NST_TIME_NEVER)
        l->now = nst_max(l->now, deadline);
    else
        l->now += below(l, 100) ? nst_prng_below(&l->prng, 20 * NST_MS) : 40 * NST_SEC;
    pull(l);
}

/* ---- The life ----------------------------------------------------------------------------- */

static void *memory_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void memory_free(void *ctx, void *p, size_t size)
{
    (void)ctx;
    (void)size;
    free(p);
}

static void start(struct life *l, const char *seed)
{
    struct nst_config config = {.now = NST_SEC, .allocator = {memory_alloc, memory_free, NULL}};
    struct nst_link_config link = {
        .name = "eth0", .medium = NST_MEDIUM_ETHERNET, .mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500};
    struct nst_prefix prefix = {nst_addr_v4(192, 0, 2, 1), 24};
    static const uint8_t script[32] = "the script of this life";

    *l = (struct life){.now = config.now};
    memcpy(config.seed, seed, strlen(seed));
    nst_prng_init(&l->prng, script, "life");
    if (nst_stack_new(&l->stack, &config) != 0 || nst_link_add(l->stack, &l->link, &link) != 0 ||
        nst_addr_add(l->stack, l->link, &prefix, NST_ACD_PROBE) != 0)
        abort();
}

static void finish(struct life *l)
{
    const char *name;
    uint64_t value;

    for (size_t i = 0; nst_stat(l->stack, i, &name, &value); i++)
        digest64(l, value);
    for (uint16_t drop = 1; drop <= nst_drop_count(); drop++)
        digest64(l, nst_drops(l->stack, drop));
    nst_stack_free(l->stack);
}

static void (*const ACTIONS[])(struct life *l) = {
    echo_in,  udp_in,     udp_in,     fragment_in,   fragment_in, arp_in,        arp_in,
    noise_in, changed_in, changed_in, open_or_close, send_some,   act_on_events, pass_time,
};

static uint64_t live(const char *seed, uint64_t *frames)
{
    static struct life l;

    start(&l, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        ACTIONS[below(&l, NST_ARRAY_LEN(ACTIONS))](&l);
        pull(&l);
    }
    finish(&l);
    *frames = l.frames;
    return l.digest;
}

int main(void)
{
    uint64_t frames, again, others;
    uint64_t first = live("a seed", &frames), second = live("a seed", &again);
    uint64_t other = live("another", &others);

    printf("%016" PRIx64 " %" PRIu64 " frames\n", first, frames);
    return first == second && frames == again && first != other && frames > 1000 ? 0 : 1;
}
