/* Segmentation. A whole packet is built from a shape, cut, and each segment is read from a copy
 * that ends with it; sums are computed byte by byte, as a receiver of another make would. */
#include "core/pkt/segment.h"

#include "core/base/bytes.h"
#include "core/wire/eth.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"

#include "../core.h"

#define SEQ         0xfffff000 /* wraps within a packet */
#define ALL         0xff       /* flags */
#define HLEN(shape) (nst_ipv4_hlen(&(shape)->ip) + (shape)->transport_hlen)

struct shape {
    enum nst_gso gso;
    size_t payload, size;
    unsigned nslices;
    struct nst_ipv4 ip;
    struct nst_tcp tcp;
    size_t transport_hlen;
};

static struct test_core core;
static uint8_t bytes[NST_IPV4_LEN_MAX];

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

/* ---- Wholes ------------------------------------------------------------------------------ */

static struct shape shape_of(enum nst_gso gso, size_t payload, size_t size)
{
    struct shape s = {.gso = gso, .payload = payload, .size = size, .nslices = 1};

    s.ip = (struct nst_ipv4){.src = test_addr("192.0.2.1"),
                             .dst = test_addr("192.0.2.77"),
                             .ttl = 64,
                             .tos = 2,
                             .proto = gso == NST_GSO_UDP ? NST_IPPROTO_UDP : NST_IPPROTO_TCP,
                             .df = true};
    s.tcp = (struct nst_tcp){
        .sport = 5000, .dport = 80, .seq = {SEQ}, .ack = {7}, .flags = NST_TCP_ACK, .wnd = 502};
    s.transport_hlen = gso == NST_GSO_UDP ? NST_UDP_HLEN : NST_TCP_HLEN;
    return s;
}

static struct shape shape_tcp(size_t payload, size_t size)
{
    struct shape s = shape_of(NST_GSO_TCP4, payload, size);

    s.tcp.opts = (struct nst_tcp_opts){.has_ts = true, .ts_val = 11, .ts_ecr = 22};
    s.transport_hlen = nst_tcp_emit_len(&s.tcp);
    return s;
}

/* The whole's bytes, with nothing that is right in the fields that have to be written. */
static void write_whole(struct shape *s)
{
    size_t ip_hlen = nst_ipv4_hlen(&s->ip);
    struct nst_udp udp = {.sport = 5000, .dport = 80, .len = 0xdead, .checksum = 0xdead};

    s->ip.total_len = (uint16_t)(HLEN(s) + s->payload);
    s->tcp.checksum = 0xdead;
    nst_ipv4_emit(&s->ip, bytes);
    if (s->gso == NST_GSO_UDP)
        nst_udp_emit(&udp, bytes + ip_hlen);
    else
        nst_tcp_emit(&s->tcp, bytes + ip_hlen);
    for (size_t i = 0; i < s->payload; i++)
        bytes[HLEN(s) + i] = (uint8_t)(i * 31 + (i >> 8) * 7);
}

/* Slices of odd lengths, the first with the headers and perhaps more, the last with the rest. */
static struct nst_pkt *make(struct shape *s)
{
    size_t lens[NST_PKT_SLICES] = {0}, left = HLEN(s) + s->payload;
    struct nst_pkt *pkt;

    write_whole(s);
    for (unsigned i = 0; i < s->nslices; i++) {
        lens[i] = nst_min(left, i == 0 ? HLEN(s) + s->nslices % 3 : i * i * 7 + i % 2);
        if (i == s->nslices - 1)
            lens[i] = left;
        left -= lens[i];
    }
    pkt = test_pkt_split(&core.pool, bytes, lens, s->nslices);
    pkt->link = 1;
    pkt->mac = test_mac("02:00:00:00:00:99");
    pkt->ethertype = NST_ETHERTYPE_IPV4;
    pkt->ip = (struct nst_pkt_ip){.src = s->ip.src, .dst = s->ip.dst, .proto = s->ip.proto};
    pkt->ip.hlen = (uint8_t)nst_ipv4_hlen(&s->ip);
    pkt->offload = (struct nst_offload){.csum = NST_CSUM_PARTIAL,
                                        .gso = (uint8_t)s->gso,
                                        .gso_ecn = s->tcp.flags & NST_TCP_CWR,
                                        .gso_size = (uint16_t)s->size,
                                        .hdr_len = (uint16_t)HLEN(s),
                                        .csum_start = pkt->ip.hlen,
                                        .csum_offset = s->gso == NST_GSO_UDP ? 6 : 16};
    return pkt;
}

/* ---- Segments ---------------------------------------------------------------------------- */

static uint32_t sum_words(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return sum;
}

/* RFC 9293 §3.1, word by word over pseudo-header, header and data. */
static void assert_transport_sum(const struct nst_ipv4 *ip, const uint8_t *p, size_t len)
{
    uint32_t sum = sum_words(ip->proto + (uint32_t)len, ip->src.bytes, 4);

    sum = sum_words(sum_words(sum, ip->dst.bytes, 4), p, len);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff);
}

static void check_ipv4(const struct shape *s, const struct nst_ipv4 *ip, size_t nth, size_t len)
{
    assert_int_equal(ip->total_len, HLEN(s) + len);
    assert_int_equal(ip->id, s->ip.id ? (uint16_t)(s->ip.id + nth) : 0);
    assert_int_equal(ip->options_len, s->ip.options_len);
    assert_memory_equal(ip->options, s->ip.options, s->ip.options_len);
    assert_int_equal(ip->tos, s->ip.tos);
    assert_int_equal(ip->ttl, s->ip.ttl);
    assert_int_equal(ip->df, s->ip.df);
    assert_memory_equal(&ip->dst, &s->ip.dst, sizeof ip->dst);
}

static void check_tcp(const struct shape *s, const uint8_t *p, size_t off, size_t len)
{
    const uint8_t *whole = bytes + nst_ipv4_hlen(&s->ip);
    unsigned flags = s->tcp.flags;

    if (off > 0)
        flags &= ~(unsigned)NST_TCP_CWR;
    if (off + len < s->payload)
        flags &= ~(unsigned)(NST_TCP_FIN | NST_TCP_PSH);
    assert_int_equal(nst_load32(p + 4), (uint32_t)(SEQ + off));
    assert_int_equal(p[13], flags);
    /* Ports; acknowledgement and data offset; window; urgent pointer and options. */
    assert_memory_equal(p, whole, 4);
    assert_memory_equal(p + 8, whole + 8, 5);
    assert_memory_equal(p + 14, whole + 14, 2);
    assert_memory_equal(p + 18, whole + 18, s->transport_hlen - 18);
}

static void check_udp(const uint8_t *p, size_t len)
{
    assert_int_equal(nst_load32(p), 5000 << 16 | 80);
    assert_int_equal(nst_load16(p + 4), NST_UDP_HLEN + len);
}

static void check_description(const struct shape *s, const struct nst_pkt *pkt)
{
    const struct nst_mac mac = test_mac("02:00:00:00:00:99");
    const struct nst_offload *o = &pkt->offload;

    nst_pkt_check(pkt);
    assert_int_equal(pkt->link, 1);
    assert_memory_equal(&pkt->mac, &mac, sizeof mac);
    assert_int_equal(pkt->ethertype, NST_ETHERTYPE_IPV4);
    assert_int_equal(pkt->ip.hlen, nst_ipv4_hlen(&s->ip));
    assert_int_equal(o->csum, NST_CSUM_PARTIAL);
    assert_int_equal(o->gso, NST_GSO_NONE);
    assert_int_equal(o->gso_size + o->hdr_len + o->gso_ecn, 0);
    assert_int_equal(o->csum_start, nst_ipv4_hlen(&s->ip));
}

/* The segment whose payload begins at `off`; returns how long that is. */
static size_t check_segment(const struct shape *s, struct nst_pkt *pkt, size_t off)
{
    size_t len = nst_min(s->size, s->payload - off), ip_hlen = nst_ipv4_hlen(&s->ip);
    struct nst_ipv4 ip;

    check_description(s, pkt);
    assert_int_equal(nst_pkt_checksum_complete(pkt), 0);
    assert_int_equal(pkt->len, HLEN(s) + len);
    struct hex flat = {malloc(pkt->len), pkt->len};
    nst_pkt_read(pkt, 0, flat.p, flat.len);
    assert_drop(nst_ipv4_parse(&ip, flat.p, flat.len, flat.len), NST_DROP_NONE);
    check_ipv4(s, &ip, off / s->size, len);
    if (s->gso == NST_GSO_UDP)
        check_udp(flat.p + ip_hlen, len);
    else
        check_tcp(s, flat.p + ip_hlen, off, len);
    assert_transport_sum(&ip, flat.p + ip_hlen, flat.len - ip_hlen);
    assert_memory_equal(flat.p + HLEN(s), bytes + HLEN(s) + off, len);
    hex_free(flat);
    return len;
}

/* Behind what the list holds already come the segments, which together are the whole. */
static void check(struct shape *s)
{
    struct nst_pkt *pkt = make(s), *before = nst_pkt_clone(pkt);
    struct nst_list out, earlier, *e;
    size_t off = 0;

    nst_list_init(&out);
    nst_list_push_back(&out, &earlier);
    nst_pkt_segment_take(pkt, &out);
    assert_ptr_equal(nst_list_pop_front(&out), &earlier);
    assert_false(nst_list_empty(&out));
    while ((e = nst_list_pop_front(&out))) {
        pkt = NST_CONTAINER(e, struct nst_pkt, node);
        off += check_segment(s, pkt, off);
        nst_pkt_free(pkt);
    }
    assert_int_equal(off, s->payload);
    test_pkt_assert(before, bytes, HLEN(s) + s->payload); /* nobody wrote into what is shared */
    nst_pkt_free(before);
    assert_int_equal(core.pool.used_bytes, 0);
}

/* Shows MUST-2, SHLD-28. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = {1, 2, 7, 536, 1447, 1448, 1460, 8948};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        const size_t payloads[] = {0,        1,        size - 1,     size,
                                   size + 1, 2 * size, 2 * size + 1, 5 * size - 1};
        for (size_t j = 0; j < NST_ARRAY_LEN(payloads); j++) {
            struct shape tcp = shape_tcp(payloads[j], size);
            struct shape udp = shape_of(NST_GSO_UDP, payloads[j], size);
            check(&tcp);
            check(&udp);
        }
    }
}

static void test_the_largest(void **state)
{
    struct shape tcp = shape_tcp(NST_IPV4_LEN_MAX - 52, 1448);
    struct shape udp = shape_of(NST_GSO_UDP, NST_IPV4_LEN_MAX - 28, 1472);
    struct shape one = shape_tcp(NST_IPV4_LEN_MAX - 52, UINT16_MAX);
    (void)state;

    tcp.nslices = udp.nslices = one.nslices = 3; /* too long for one buffer with headroom */
    check(&tcp);
    check(&udp);
    check(&one);
}

static void test_slices(void **state)
{
    (void)state;

    for (unsigned n = 1; n <= NST_PKT_SLICES; n++) {
        for (size_t size = 1; size < 4000; size += 1 + size / 3 * 2) {
            struct shape s = shape_tcp(nst_min(size * 9 + n, 5000), size);
            s.nslices = n;
            check(&s);
        }
    }
}

static void test_every_flag(void **state)
{
    static const size_t payloads[] = {1, 100, 101, 300, 301};
    (void)state;

    for (unsigned flags = 0; flags <= ALL; flags++) {
        for (size_t i = 0; i < NST_ARRAY_LEN(payloads); i++) {
            struct shape s = shape_of(NST_GSO_TCP4, payloads[i], 100);
            s.tcp.flags = (uint8_t)flags;
            check(&s);
        }
    }
}

static void test_identifications(void **state)
{
    static const uint16_t ids[] = {0, 1, 4660, 65534, 65535};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(ids); i++) {
        struct shape tcp = shape_tcp(450, 100), udp = shape_of(NST_GSO_UDP, 450, 100);
        tcp.ip.id = udp.ip.id = ids[i];
        tcp.ip.df = udp.ip.df = false;
        check(&tcp);
        check(&udp);
    }
}

/* Headers of every length: the largest IP's and TCP's of both. */
static void test_options(void **state)
{
    (void)state;

    for (uint8_t len = 0; len <= NST_IP_OPTIONS_MAX; len = (uint8_t)(len + 4)) {
        struct shape tcp = shape_tcp(777, 100), udp = shape_of(NST_GSO_UDP, 777, 100);
        tcp.tcp.opts.nsacks = 3;
        tcp.transport_hlen = nst_tcp_emit_len(&tcp.tcp);
        tcp.ip.options_len = udp.ip.options_len = len;
        memset(tcp.ip.options, NST_IPV4_OPT_NOP, len);
        memset(udp.ip.options, NST_IPV4_OPT_NOP, len);
        check(&tcp);
        check(&udp);
    }
}

/* ---- What goes wrong --------------------------------------------------------------------- */

static bool cut(struct nst_pkt *pkt)
{
    struct nst_list out;

    nst_list_init(&out);
    nst_pkt_segment_take(pkt, &out);
    bool done = !nst_list_empty(&out);
    nst_pkt_free_all(&out);
    assert_int_equal(core.pool.used_bytes, 0);
    assert_int_equal(core.env.drops[NST_DROP_no_memory], done ? 0 : 1);
    return done;
}

/* All or nothing, whichever allocation fails. Each trial has a new core, whose free lists hold
 * nothing. */
static void test_no_memory(void **state)
{
    struct shape s = shape_tcp(450, 100);
    unsigned failed = 0;
    bool done;
    (void)state;

    do {
        test_core_fini(&core);
        test_core_init(&core);
        struct nst_pkt *pkt = make(&s);
        test_memory_fail_in(&core.memory, failed + 1);
        done = cut(pkt);
    } while (!done && ++failed);
    assert_int_equal(failed, 5 * 2); /* packet and headers of each */
}

/* A packet of all slices whose first has payload, and a segment that begins there and ends in the
 * last: its headers find no slice. Without payload in the first they do. */
static void test_no_slice(void **state)
{
    (void)state;

    for (size_t more = 0; more < 2; more++) {
        struct shape s = shape_tcp(200, 150);
        size_t lens[NST_PKT_SLICES] = {HLEN(&s) + more};
        struct nst_pkt *pkt = make(&s);
        struct nst_offload o = pkt->offload;

        for (unsigned i = 1; i < NST_PKT_SLICES; i++)
            lens[i] = 1;
        lens[NST_PKT_SLICES - 1] = 200 - more - (NST_PKT_SLICES - 2);
        nst_pkt_free(pkt);
        pkt = test_pkt_split(&core.pool, bytes, lens, NST_PKT_SLICES);
        pkt->offload = o;
        assert_int_equal(cut(pkt), more == 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),      TEST(test_the_largest),     TEST(test_slices),
        TEST(test_every_flag), TEST(test_identifications), TEST(test_options),
        TEST(test_no_memory),  TEST(test_no_slice),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
