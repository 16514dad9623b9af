/* Fuzzes the whole stack through its public calls. The input is a script: each step is one byte
 * that chooses an action in ACTIONS and the bytes that the action takes; it reads zeros when the
 * input is over.
 *
 * There are two links, one of each medium; a host on the first and the gateway are known for good.
 * Frames are taken from the input as they are, or as the payload of right headers with right
 * checksums, so that what is mutated gets as far as it deserves. After each step the invariants are
 * checked, and in the end every byte of memory must have been given back. */
#include "core/base/bytes.h"
#include "core/pkt/pkt.h"
#include "core/stack/stack.h"
#include "core/wire/arp.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/icmpv4.h"
#include "core/wire/udp.h"

#include "tape.h"

#undef NDEBUG
#include <assert.h>

#define SOCKS     8
#define FRAME_MAX 2048
#define STEPS_MAX 512
#define BATCH_MAX 16

struct script {
    struct tape tape;
    struct tape_memory memory;
    struct nst_stack *stack;
    nst_time now;
    nst_sock socks[SOCKS];
    uint8_t frame[FRAME_MAX];
    struct nst_pkt *batch[BATCH_MAX]; /* of one link, for the stack's next input */
    unsigned nbatch, gather;          /* given when there are `gather` */
    nst_link batch_link;
};

/* ---- The script --------------------------------------------------------------------------- */

static uint8_t take8(struct script *s)
{
    return tape_take8(&s->tape);
}

static uint16_t take16(struct script *s)
{
    return tape_take16(&s->tape);
}

/* A block whose length the script gives, at most `max` bytes; returns how many there were. */
static size_t take_block(struct script *s, uint8_t *out, size_t max)
{
    size_t n = take16(s) % (FRAME_MAX - 100);

    return tape_take(&s->tape, out, nst_min(n, max));
}

/* Mostly an address that means something here. */
static struct nst_addr take_addr(struct script *s)
{
    static const uint8_t known[][4] = {
        {192, 0, 2, 1}, {192, 0, 2, 2},       {192, 0, 2, 254}, {198, 51, 100, 7},
        {127, 0, 0, 1}, {255, 255, 255, 255}, {224, 0, 0, 1},   {192, 0, 2, 255},
        {10, 0, 0, 1},  {10, 0, 0, 2},        {0, 0, 0, 0},     {192, 0, 2, 9},
    };
    struct nst_addr a = {.family = NST_AF_INET};
    uint8_t which = take8(s);

    if (which < 200)
        memcpy(a.bytes, known[which % NST_ARRAY_LEN(known)], 4);
    else if (which < 240)
        take_block(s, a.bytes, 4);
    else
        a.family = which < 250 ? NST_AF_UNSPEC : which % 8;
    return a;
}

static nst_link take_link(struct script *s)
{
    uint8_t which = take8(s);

    return which < 250 ? which % 3 : which;
}

static struct nst_sockaddr take_name(struct script *s)
{
    struct nst_sockaddr n = {.addr = take_addr(s)};

    n.port = take8(s) % 8;
    n.link = take8(s) < 200 ? 0 : take_link(s);
    return n;
}

static nst_sock *take_sock(struct script *s)
{
    return &s->socks[take8(s) % SOCKS];
}

/* ---- Frames ------------------------------------------------------------------------------- */

static void input_batch(struct script *s)
{
    nst_input(s->stack, s->batch_link, s->batch, s->nbatch, s->now);
    s->nbatch = 0;
}

/* In a packet whose slices end where their buffers end. */
static void input(struct script *s, nst_link link, const uint8_t *bytes, size_t len,
                  struct nst_offload offload)
{
    struct nst_pkt *pkt = nst_pkt_alloc(s->stack, len);

    if (!pkt)
        return;
    for (unsigned i = 0; i < pkt->nslices; i++) {
        struct nst_pkt_slice *slice = &pkt->slices[i];
        slice->data = slice->buf->data + slice->buf->size - slice->len;
    }
    nst_pkt_write(pkt, 0, bytes, len);
    *nst_pkt_offload(pkt) = offload;
    if (s->nbatch > 0 && s->batch_link != link)
        input_batch(s);
    s->batch_link = link;
    s->batch[s->nbatch++] = pkt;
    if (s->nbatch >= s->gather)
        input_batch(s);
}

static void any_frame(struct script *s)
{
    nst_link link = take_link(s);
    uint8_t how = take8(s);
    struct nst_offload offload = {
        .csum = how % 3, .gso = how & 128 ? NST_GSO_UDP : NST_GSO_NONE, .gso_size = how % 32};
    size_t len = take_block(s, s->frame, sizeof s->frame);

    input(s, link, s->frame, len, offload);
}

static size_t put_eth(struct script *s, uint16_t type)
{
    struct nst_eth eth = {.dst = {{2, 0, 0, 0, 0, 1}}, .src = {{2, 0, 0, 0, 0, 2}}, .type = type};
    uint8_t how = take8(s);

    if (how & 1)
        eth.dst = (struct nst_mac){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    if (how & 2)
        eth.src.bytes[5] = how;
    nst_eth_emit(&eth, s->frame);
    return NST_ETH_HLEN;
}

static void arp_frame(struct script *s)
{
    size_t at = put_eth(s, NST_ETHERTYPE_ARP);
    struct nst_arp arp = {.op = take8(s) % 4, .sha = {{2, 0, 0, 0, 0, 0}}};

    arp.sha.bytes[5] = take8(s);
    arp.spa = take_addr(s);
    arp.tpa = take_addr(s);
    nst_arp_emit(&arp, s->frame + at);
    input(s, 1, s->frame, at + NST_ARP_LEN, (struct nst_offload){0});
}

/* The transport's checksum, over all `len` bytes at `p`. */
static void fix_transport(const struct nst_ipv4 *ip, uint8_t *p, size_t len)
{
    size_t at = ip->proto == NST_IPPROTO_ICMP ? 2 : 6;

    if (len < NST_UDP_HLEN || (ip->proto != NST_IPPROTO_ICMP && ip->proto != NST_IPPROTO_UDP))
        return;
    nst_store16(p + at, 0);
    uint16_t sum = nst_csum_sum(p, len);
    if (ip->proto == NST_IPPROTO_UDP)
        sum = nst_csum_join(nst_csum_pseudo(&ip->src, &ip->dst, ip->proto, (uint32_t)len), sum, 0);
    nst_store16(p + at, nst_csum_finish(sum));
}

/* A right IP header, with options and as a fragment if the script says so, before its bytes. */
static void ip_frame(struct script *s)
{
    static const uint8_t protos[] = {1, 17, 17, 1, 2, 4, 41, 6, 89, 17};
    nst_link link = 1 + take8(s) % 2;
    size_t at = link == 1 ? put_eth(s, NST_ETHERTYPE_IPV4) : 0;
    struct nst_ipv4 ip = {.src = take_addr(s), .ttl = 64};

    ip.dst = take_addr(s);
    uint8_t how = take8(s);
    ip.proto = protos[how % 10];
    ip.tos = how >> 6;
    ip.id = take8(s) % 4;
    if (how & 16)
        ip.frag_off = (uint16_t)(take8(s) * 8);
    ip.mf = how & 16 && how & 32;
    if (take8(s) % 8 == 7) {
        take_block(s, ip.options, NST_IP_OPTIONS_MAX);
        ip.options_len = NST_IP_OPTIONS_MAX;
    }
    uint8_t *payload = s->frame + at + nst_ipv4_hlen(&ip);
    size_t len = take_block(s, payload, FRAME_MAX - at - nst_ipv4_hlen(&ip));
    if (len >= NST_UDP_HLEN && ip.proto == NST_IPPROTO_UDP && !(how & 16))
        nst_store16(payload + 4, (uint16_t)len);
    fix_transport(&ip, payload, len);
    ip.total_len = (uint16_t)(nst_ipv4_hlen(&ip) + len);
    nst_ipv4_emit(&ip, s->frame + at);
    input(s, link, s->frame, at + ip.total_len, (struct nst_offload){0});
}

/* The last frame once more, with a byte changed and the IP checksum right. */
static void last_frame_changed(struct script *s)
{
    size_t at = take16(s) % FRAME_MAX, len = NST_ETH_HLEN + (size_t)nst_load16(s->frame + 16);

    s->frame[at] = take8(s);
    size_t hlen = (s->frame[14] & 15) * (size_t)4;
    if (hlen >= NST_IPV4_HLEN) {
        nst_store16(s->frame + 24, 0);
        nst_store16(s->frame + 24, nst_csum_finish(nst_csum_sum(s->frame + 14, hlen)));
    }
    input(s, 1, s->frame, nst_min(len, FRAME_MAX), (struct nst_offload){0});
}

/* An ICMP error about what the stack sent last, as routers make them. */
static void error_about_last(struct script *s)
{
    uint8_t quote[256], how = take8(s);
    struct nst_icmpv4 icmp = {.type = how % 2 ? NST_ICMPV4_UNREACHABLE : take8(s) % 20};
    struct nst_ipv4 ip = {.dst = {.family = NST_AF_INET}, .proto = NST_IPPROTO_ICMP, .ttl = 9};
    size_t at = NST_ETH_HLEN + NST_IPV4_HLEN, len = how & 2 ? how % 28 : 28 + how % 200;

    icmp.code = take8(s) % 16;
    if (icmp.type == NST_ICMPV4_REDIRECT)
        icmp.gateway = take_addr(s);
    memcpy(quote, s->frame + NST_ETH_HLEN, sizeof quote);
    put_eth(s, NST_ETHERTYPE_IPV4);
    ip.src = take_addr(s);
    memcpy(ip.dst.bytes, quote + 12, 4);
    nst_icmpv4_emit(&icmp, s->frame + at);
    memcpy(s->frame + at + NST_ICMPV4_HLEN, quote, len);
    fix_transport(&ip, s->frame + at, NST_ICMPV4_HLEN + len);
    ip.total_len = (uint16_t)(NST_IPV4_HLEN + NST_ICMPV4_HLEN + len);
    nst_ipv4_emit(&ip, s->frame + NST_ETH_HLEN);
    input(s, 1, s->frame, NST_ETH_HLEN + (size_t)ip.total_len, (struct nst_offload){0});
}

/* Several of them at once. */
static void batch(struct script *s)
{
    static void (*const frames[])(struct script * s) = {
        ip_frame, ip_frame, ip_frame, arp_frame, any_frame, last_frame_changed, error_about_last};

    s->gather = 1 + take8(s) % BATCH_MAX;
    for (unsigned i = 0; i < s->gather; i++)
        frames[take8(s) % NST_ARRAY_LEN(frames)](s);
    s->gather = 0;
    if (s->nbatch > 0)
        input_batch(s);
}

/* Pulls frames; the last is kept for error_about_last(). */
static void output(struct script *s)
{
    struct nst_pkt *pkts[8];
    nst_link link = take_link(s);
    size_t n = nst_output(s->stack, link, pkts, 1 + take8(s) % 8, s->now);

    for (size_t i = 0; i < n; i++) {
        nst_pkt_check(pkts[i]);
        assert(pkts[i]->len > 0);
        nst_pkt_read(pkts[i], 0, s->frame, nst_min(pkts[i]->len, FRAME_MAX));
        nst_pkt_free(pkts[i]);
    }
}

static void fail_allocation(struct script *s)
{
    s->memory.fail_in = take8(s) % 16;
}

static void wait_a_while(struct script *s)
{
    static const nst_time units[] = {1, NST_US, NST_MS, NST_SEC, 10 * NST_SEC, 100 * NST_SEC};
    nst_time deadline = nst_deadline(s->stack);
    uint8_t how = take8(s);

    if (how >= 200 && deadline != NST_TIME_NEVER)
        s->now = nst_max(s->now, deadline);
    else
        s->now += take8(s) * units[how % NST_ARRAY_LEN(units)];
    output(s);
}

/* ---- Sockets ------------------------------------------------------------------------------ */

static void open_socket(struct script *s)
{
    static const uint8_t protos[] = {0, 17, 1, 2, 4, 89, 6, 255};
    nst_sock *sock = take_sock(s);
    uint8_t how = take8(s);

    (void)nst_close(s->stack, *sock);
    (void)nst_socket(s->stack, sock, how < 250 ? NST_AF_INET : NST_AF_INET6, how % 6,
                     protos[take8(s) % 8], how);
}

static void close_socket(struct script *s)
{
    (void)nst_close(s->stack, *take_sock(s));
}

static void bind_socket(struct script *s)
{
    nst_sock sock = *take_sock(s);
    struct nst_sockaddr name = take_name(s);

    (void)nst_bind(s->stack, sock, &name);
}

static void connect_socket(struct script *s)
{
    nst_sock sock = *take_sock(s);
    struct nst_sockaddr name = take_name(s);

    (void)nst_connect(s->stack, sock, &name);
}

static void send_message(struct script *s)
{
    static uint8_t large[65600];
    nst_sock sock = *take_sock(s);
    struct nst_msg msg = {.peer = take_name(s), .tos = -1};
    uint8_t bytes[FRAME_MAX], how = take8(s);
    struct nst_slice slices[2] = {{bytes, 0}, {large, 0}};

    slices[0].len = take_block(s, bytes, sizeof bytes);
    if (how & 1)
        slices[1].len = (size_t)take16(s);
    if (how & 2)
        msg.local = take_name(s);
    if (how & 4)
        msg.ttl = take8(s);
    if ((how & 0x18) == 0x10)
        msg.segment_bytes = take8(s);
    if ((how & 0xf8) == 0xf8) {
        msg.options_len = take8(s) % 48;
        take_block(s, msg.options, NST_IP_OPTIONS_MAX);
    }
    msg.data = slices;
    msg.ndata = 2;
    int64_t sent = nst_send(s->stack, sock, &msg);
    assert(sent < 0 || (size_t)sent == slices[0].len + slices[1].len);
}

static void receive_message(struct script *s)
{
    nst_sock sock = *take_sock(s);
    uint8_t bytes[256];
    struct nst_slice slice = {bytes, take8(s)};
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t got = nst_recv(s->stack, sock, &msg, take8(s) % 4);

    assert(got < 0 || msg.truncated == ((size_t)got > slice.len));
}

static void set_option(struct script *s)
{
    nst_sock sock = *take_sock(s);
    enum nst_opt opt = take8(s) % 16;
    bool flag = take8(s) < 128;
    int64_t value = flag ? take8(s) % 2 : take16(s);

    (void)nst_setopt(s->stack, sock, opt, value);
    (void)nst_getopt(s->stack, sock, opt, &value);
}

static void pull_events(struct script *s)
{
    struct nst_event events[4];
    struct nst_sock_info info;
    size_t n = nst_events(s->stack, events, take8(s) % 4);

    for (size_t i = 0; i < n; i++)
        if (events[i].kind == NST_EVENT_READY)
            assert(nst_info(s->stack, events[i].sock, &info) == 0 && events[i].ready != 0);
}

/* ---- Configuration ------------------------------------------------------------------------ */

static void configure_address(struct script *s)
{
    nst_link link = take_link(s);
    struct nst_prefix prefix = {.addr = take_addr(s), .len = 24};
    uint8_t how = take8(s);

    if (how & 8)
        prefix.len = take8(s);
    if (how & 1)
        (void)nst_addr_del(s->stack, link, &prefix.addr);
    else
        (void)nst_addr_add(s->stack, link, &prefix, (enum nst_acd)(how >> 1 & 3));
}

static void configure_route(struct script *s)
{
    struct nst_route route = {.dst.addr = take_addr(s)};
    uint8_t how = take8(s);

    route.dst.len = take8(s) % 40;
    route.gateway = take_addr(s);
    route.link = take_link(s);
    route.metric = how & 6;
    (void)(how & 1 ? nst_route_del(s->stack, &route) : nst_route_add(s->stack, &route));
}

static void configure_neighbour(struct script *s)
{
    nst_link link = take_link(s);
    struct nst_addr addr = take_addr(s);
    struct nst_mac mac = {{2, 0, 0, 0, 0, take8(s)}};

    if (mac.bytes[5] % 4 == 0)
        (void)nst_neigh_del(s->stack, link, &addr);
    else
        (void)nst_neigh_set(s->stack, link, &addr, &mac);
}

static void configure_link(struct script *s)
{
    nst_link link = take_link(s);
    uint8_t how = take8(s);

    if (how & 1)
        (void)nst_link_set_carrier(s->stack, link, how & 2);
    else
        (void)nst_link_set_mtu(s->stack, link, how & 2 ? take16(s) : 68);
}

static void look_around(struct script *s)
{
    struct nst_link_info links[2];
    struct nst_addr_info addrs[2];
    struct nst_route routes[2];
    struct nst_neigh_info neighs[2];
    size_t used, budget, max = take8(s) % 3;

    nst_link_list(s->stack, links, max);
    nst_addr_list(s->stack, addrs, max);
    nst_route_list(s->stack, routes, max);
    nst_neigh_list(s->stack, neighs, max);
    nst_memory(s->stack, &used, &budget);
    assert(used <= budget);
}

/* ---- The run ------------------------------------------------------------------------------ */

static void (*const ACTIONS[])(struct script *s) = {
    any_frame,       arp_frame,       ip_frame,          last_frame_changed,  error_about_last,
    output,          wait_a_while,    open_socket,       close_socket,        bind_socket,
    connect_socket,  send_message,    receive_message,   set_option,          pull_events,
    configure_link,  configure_route, configure_address, configure_neighbour, look_around,
    fail_allocation, batch,
};

/* A stack with small limits, so that they are reached; the first byte says which. */
static bool start(struct script *s)
{
    static const size_t budgets[] = {(size_t)1 << 20, 1 << 17, 20000, 3000};
    uint8_t how = take8(s);
    struct nst_config config = {
        .seed = "fuzz",
        .now = 1,
        .allocator = tape_memory_allocator(&s->memory),
        .limits = {.memory_bytes = budgets[how & 3],
                   .fragments = 8,
                   .neighbours = 4,
                   .routes = 6,
                   .sockets = 6,
                   .link_pkts = 8},
        .flags = how >> 2 & 3,
    };
    struct nst_link_config eth = {.name = "eth0",
                                  .medium = NST_MEDIUM_ETHERNET,
                                  .mac = {{2, 0, 0, 0, 0, 1}},
                                  .mtu = how & 16 ? 1500 : 576,
                                  .offloads = how & 32 ? NST_LINK_CSUM : 0};
    struct nst_link_config tun = {.name = "tun0", .medium = NST_MEDIUM_IP, .mtu = 1280};
    struct nst_prefix net = {{NST_AF_INET, {192, 0, 2, 1}}, 24};
    struct nst_prefix net2 = {{NST_AF_INET, {10, 0, 0, 1}}, 8};
    struct nst_route route = {
        .dst.addr.family = NST_AF_INET, .gateway = {NST_AF_INET, {192, 0, 2, 254}}, .link = 1};
    const struct nst_addr known[] = {{NST_AF_INET, {192, 0, 2, 2}}, route.gateway};
    struct nst_mac mac = {{2, 0, 0, 0, 0, 2}};
    nst_link link;

    s->now = config.now;
    return nst_stack_new(&s->stack, &config) == 0 && nst_link_add(s->stack, &link, &eth) == 0 &&
           nst_link_add(s->stack, &link, &tun) == 0 &&
           nst_addr_add(s->stack, 1, &net, NST_ACD_ANNOUNCE) == 0 &&
           nst_addr_add(s->stack, 2, &net2, NST_ACD_OFF) == 0 &&
           nst_route_add(s->stack, &route) == 0 &&
           nst_neigh_set(s->stack, 1, &known[0], &mac) == 0 &&
           nst_neigh_set(s->stack, 1, &known[1], &mac) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script s;

    s = (struct script){.tape = {data, size}};
    bool started = start(&s);
    assert(started);
    for (unsigned step = 0; step < STEPS_MAX && s.tape.len > 0; step++) {
        ACTIONS[take8(&s) % NST_ARRAY_LEN(ACTIONS)](&s);
        nst_stack_check(s.stack);
    }
    nst_stack_free(s.stack);
    assert(s.memory.live_blocks == 0 && s.memory.live_bytes == 0);
    return 0;
}
