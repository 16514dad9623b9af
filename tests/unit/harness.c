#include "harness.h"

#include <stdlib.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

#define PULL      32
#define BATCH_MAX 64

/* ---- The stack --------------------------------------------------------------------------- */

static void neighbour(struct harness *h, const char *addr, const char *mac)
{
    struct nst_addr a = test_addr(addr);
    struct nst_mac m = test_mac(mac);

    assert_int_equal(nst_neigh_set(h->stack, h->link, &a, &m), 0);
}

void harness_init(struct harness *h, const struct nst_limits *limits, uint32_t flags)
{
    struct nst_config config = {.seed = "the same in every run", .now = TEST_START, .flags = flags};
    struct nst_route route = {.dst.addr.family = NST_AF_INET, .gateway = test_addr(GATEWAY)};

    *h = (struct harness){.now = TEST_START, .check_every = 1};
    config.allocator = test_memory_allocator(&h->memory);
    if (limits)
        config.limits = *limits;
    assert_int_equal(nst_stack_new(&h->stack, &config), 0);
    h->link = harness_link(h, "eth0", US_MAC, US "/24");
    route.link = h->link;
    assert_int_equal(nst_route_add(h->stack, &route), 0);
    neighbour(h, PEER, PEER_MAC);
    neighbour(h, GATEWAY, GATEWAY_MAC);
}

static void forget_sent(struct harness *h)
{
    while (h->ntx > 0)
        free(h->tx[--h->ntx]);
}

void harness_fini(struct harness *h)
{
    forget_sent(h);
    nst_stack_check(h->stack);
    nst_stack_free(h->stack);
    assert_int_equal(h->memory.live_blocks, 0);
    assert_int_equal(h->memory.live_bytes, 0);
}

nst_link harness_link(struct harness *h, const char *name, const char *mac, const char *prefix)
{
    struct nst_link_config config = {
        .medium = NST_MEDIUM_ETHERNET, .mac = test_mac(mac), .mtu = 1500};
    nst_link link;

    memcpy(config.name, name, strlen(name));
    assert_int_equal(nst_link_add(h->stack, &link, &config), 0);
    if (prefix) {
        struct nst_prefix p = test_prefix(prefix);
        assert_int_equal(nst_addr_add(h->stack, link, &p, NST_ACD_OFF), 0);
    }
    return link;
}

/* ---- Steps ------------------------------------------------------------------------------- */

/* Copies a packet; it need not be kept whole in memory, so no FRAME_MAX here. */
static struct frame *frame_of(const struct nst_pkt *pkt)
{
    size_t len = nst_pkt_len(pkt), at = 0;
    struct frame *f = malloc(offsetof(struct frame, bytes) + nst_max(len, L4));
    struct nst_slice slices[NST_PKT_SLICES];

    assert_non_null(f);
    nst_pkt_check(pkt);
    f->len = len;
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES);
    for (size_t i = 0; i < n; i++) {
        memcpy(f->bytes + at, slices[i].base, slices[i].len);
        at += slices[i].len;
    }
    return f;
}

static void check(struct harness *h)
{
    if (++h->steps % h->check_every == 0)
        nst_stack_check(h->stack);
}

static void pull_link(struct harness *h, const struct nst_link_info *info)
{
    struct nst_pkt *pkts[PULL];
    char mac[NST_MAC_TEXT];
    size_t n;

    nst_mac_print(mac, &info->config.mac);
    do {
        n = nst_output(h->stack, info->link, pkts, PULL, h->now);
        for (size_t i = 0; i < n; i++) {
            assert_true(h->ntx < HARNESS_TX_MAX);
            h->tx[h->ntx] = frame_of(pkts[i]);
            nst_pkt_free(pkts[i]);
            if (info->config.medium == NST_MEDIUM_ETHERNET)
                frame_assert_sound(h->tx[h->ntx], mac);
            h->ntx++;
        }
        check(h);
    } while (n == PULL);
}

static void pull_all(struct harness *h)
{
    struct nst_link_info links[16];
    size_t n = nst_link_list(h->stack, links, NST_ARRAY_LEN(links));

    /* What one link's output causes may go out on another. */
    for (size_t i = 0; i < n; i++)
        pull_link(h, &links[i]);
    for (size_t i = 0; i + 1 < n; i++)
        pull_link(h, &links[i]);
}

void harness_pull(struct harness *h)
{
    forget_sent(h);
    if (!h->held)
        pull_all(h);
}

/* A packet that holds the frame, each slice at the very end of its buffer. */
static struct nst_pkt *pkt_of(struct harness *h, const struct frame *f)
{
    struct nst_pkt *pkt = nst_pkt_alloc(h->stack, f->len);

    if (!pkt)
        return NULL;
    for (unsigned i = 0; i < pkt->nslices; i++) {
        struct nst_pkt_slice *s = &pkt->slices[i];
        memset(s->buf->data, 0xee, s->buf->size);
        s->data = s->buf->data + s->buf->size - s->len;
    }
    nst_pkt_write(pkt, 0, f->bytes, f->len);
    return pkt;
}

bool harness_input_on(struct harness *h, nst_link link, const struct frame *f)
{
    struct nst_pkt *pkt = pkt_of(h, f);

    if (pkt)
        nst_input(h->stack, link, &pkt, 1, h->now);
    check(h);
    harness_pull(h);
    return pkt != NULL;
}

bool harness_input(struct harness *h, const struct frame *f)
{
    return harness_input_on(h, h->link, f);
}

void harness_input_batches(struct harness *h, const struct frame *frames, size_t n, size_t each)
{
    struct nst_pkt *pkts[BATCH_MAX];
    size_t now;

    assert_true(each <= BATCH_MAX);
    for (size_t i = 0; i < n; i += now) {
        now = nst_min(n - i, each);
        for (size_t j = 0; j < now; j++)
            assert_non_null(pkts[j] = pkt_of(h, &frames[i + j]));
        nst_input(h->stack, h->link, pkts, now, h->now);
        check(h);
    }
    harness_pull(h);
}

void harness_run(struct harness *h, nst_time duration)
{
    nst_time until = h->now + duration, next;

    harness_pull(h);
    while ((next = nst_deadline(h->stack)) <= until) {
        h->now = nst_max(h->now, next);
        pull_all(h);
    }
    h->now = until;
    pull_all(h);
}

/* ---- What can be seen -------------------------------------------------------------------- */

const struct frame *harness_sent(const struct harness *h)
{
    assert_int_equal(h->ntx, 1);
    return h->tx[0];
}

void harness_silent(const struct harness *h)
{
    assert_int_equal(h->ntx, 0);
}

void harness_sent_icmp(const struct harness *h, uint8_t type, uint8_t code, const char *dst)
{
    const struct frame *f = harness_sent(h);
    struct nst_addr to = test_addr(dst);

    assert_int_equal(frame_get16(f, ETH_TYPE), 0x0800);
    assert_int_equal(f->bytes[IP_PROTO], 1);
    assert_int_equal(f->bytes[ICMP_TYPE], type);
    assert_int_equal(f->bytes[ICMP_CODE], code);
    assert_memory_equal(f->bytes + IP_DST, to.bytes, 4);
}

uint64_t harness_drops(const struct harness *h, enum nst_drop drop)
{
    return nst_drops(h->stack, (uint16_t)drop);
}

uint64_t harness_stat(const struct harness *h, const char *name)
{
    const char *got;
    uint64_t value;

    for (size_t i = 0; nst_stat(h->stack, i, &got, &value); i++)
        if (strcmp(got, name) == 0)
            return value;
    fail_msg("no counter called %s", name);
    return 0;
}

size_t harness_memory(const struct harness *h)
{
    size_t used, budget;

    nst_memory(h->stack, &used, &budget);
    assert_true(used <= budget);
    return used;
}

void harness_state(const struct harness *h, struct harness_state *out)
{
    const struct nst_socks *socks = &h->stack->socks;

    memset(out, 0, sizeof *out);
    out->memory = harness_memory(h);
    out->fragments = h->stack->ip.reassembly.used_bytes;
    out->deadline = nst_deadline(h->stack);
    out->nneighs = nst_neigh_list(h->stack, out->neighs, NST_ARRAY_LEN(out->neighs));
    out->nroutes = nst_route_list(h->stack, out->routes, NST_ARRAY_LEN(out->routes));
    out->naddrs = nst_addr_list(h->stack, out->addrs, NST_ARRAY_LEN(out->addrs));
    for (uint32_t i = 0; i < socks->nslots; i++)
        if (socks->slots[i] && socks->slots[i]->type != NST_SOCK_STREAM)
            out->rx_bytes += socks->slots[i]->dgram->rx_bytes;
    for (uint16_t d = 1; d < NST_DROP_COUNT; d++)
        out->drops[d] = nst_drops(h->stack, d);
}

static bool same_neigh(const struct nst_neigh_info *a, const struct nst_neigh_info *b)
{
    return a->link == b->link && a->state == b->state && a->confirmed == b->confirmed &&
           nst_addr_eq(&a->addr, &b->addr) && nst_mac_eq(&a->mac, &b->mac);
}

/* Their order tells who was used last, which is no secret and no harm. */
static bool has_neigh(const struct harness_state *state, const struct nst_neigh_info *neigh)
{
    for (size_t i = 0; i < state->nneighs && i < NST_ARRAY_LEN(state->neighs); i++)
        if (same_neigh(&state->neighs[i], neigh))
            return true;
    return false;
}

static bool same_route(const struct nst_route *a, const struct nst_route *b)
{
    return a->link == b->link && a->metric == b->metric && a->origin == b->origin &&
           a->dst.len == b->dst.len && nst_addr_eq(&a->dst.addr, &b->dst.addr) &&
           nst_addr_eq(&a->gateway, &b->gateway);
}

static bool same_addr(const struct nst_addr_info *a, const struct nst_addr_info *b)
{
    return a->link == b->link && a->state == b->state && a->prefix.len == b->prefix.len &&
           nst_addr_eq(&a->prefix.addr, &b->prefix.addr);
}

static void assert_same_state(const struct harness_state *a, const struct harness_state *b)
{
    assert_int_equal(a->memory, b->memory);
    assert_int_equal(a->fragments, b->fragments);
    assert_int_equal(a->deadline, b->deadline);
    assert_int_equal(a->rx_bytes, b->rx_bytes);
    assert_int_equal(a->nneighs, b->nneighs);
    assert_int_equal(a->nroutes, b->nroutes);
    assert_int_equal(a->naddrs, b->naddrs);
    for (size_t i = 0; i < a->nneighs && i < NST_ARRAY_LEN(a->neighs); i++)
        assert_true(has_neigh(b, &a->neighs[i]));
    for (size_t i = 0; i < a->nroutes && i < NST_ARRAY_LEN(a->routes); i++)
        assert_true(same_route(&a->routes[i], &b->routes[i]));
    for (size_t i = 0; i < a->naddrs && i < NST_ARRAY_LEN(a->addrs); i++)
        assert_true(same_addr(&a->addrs[i], &b->addrs[i]));
}

void harness_unchanged(const struct harness *h, const struct harness_state *before,
                       enum nst_drop drop, uint64_t n)
{
    struct harness_state after;

    harness_state(h, &after);
    for (uint16_t d = 1; d < NST_DROP_COUNT; d++) {
        uint64_t rise = after.drops[d] - before->drops[d], wanted = d == (uint16_t)drop ? n : 0;
        if (rise != wanted)
            fail_msg("%s rose by %llu, not by %llu", nst_drop_name(d), (unsigned long long)rise,
                     (unsigned long long)wanted);
    }
    assert_same_state(before, &after);
}

/* ---- Sockets ----------------------------------------------------------------------------- */

nst_sock harness_socket(struct harness *h, enum nst_sock_type type, uint8_t protocol)
{
    nst_sock sock;

    assert_int_equal(nst_socket(h->stack, &sock, NST_AF_INET, type, protocol, 7), 0);
    return sock;
}

nst_sock harness_udp(struct harness *h, const char *addr, uint16_t port)
{
    nst_sock sock = harness_socket(h, NST_SOCK_DGRAM, 0);
    struct nst_sockaddr local = {.port = port};

    if (addr)
        local.addr = test_addr(addr);
    assert_int_equal(nst_bind(h->stack, sock, &local), 0);
    return sock;
}

int64_t harness_send(struct harness *h, nst_sock sock, const char *dst, uint16_t port,
                     const void *data, size_t len)
{
    union {
        const void *in;
        void *base;
    } bytes = {data};
    struct nst_slice slice = {bytes.base, len};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .peer.port = port, .tos = -1};

    if (dst)
        msg.peer.addr = test_addr(dst);
    return nst_send(h->stack, sock, &msg);
}

int64_t harness_recv(struct harness *h, nst_sock sock, struct nst_msg *msg, void *buf, size_t len,
                     uint32_t flags)
{
    struct nst_slice slice = {buf, len};

    *msg = (struct nst_msg){.data = &slice, .ndata = 1};
    int64_t got = nst_recv(h->stack, sock, msg, flags);
    msg->data = NULL;
    msg->ndata = 0;
    return got;
}
