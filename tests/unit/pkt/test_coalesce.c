/* Joining segments: what is joined, with all its bytes, and each difference that forbids it. */
#include "core/pkt/coalesce.h"

#include "core/base/bytes.h"
#include "core/wire/checksum.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"

#include "../core.h"

#define LEN 1000
#define SEQ 0xfffffe00 /* wraps inside the first */

static struct test_core core;

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

/* ---- Segments ------------------------------------------------------------------------------ */

struct shape {
    struct nst_ipv4 ip;
    struct nst_tcp tcp;
    size_t len;
    bool broken; /* its checksum */
};

static struct shape shape(size_t number)
{
    return (struct shape){
        .ip = {.src = test_addr("192.0.2.2"),
               .dst = test_addr("192.0.2.1"),
               .ttl = 64,
               .tos = 2,
               .proto = NST_IPPROTO_TCP,
               .df = true},
        .tcp = {.sport = 5000,
                .dport = 80,
                .seq = {(uint32_t)(SEQ + number * LEN)},
                .ack = {7},
                .flags = NST_TCP_ACK,
                .wnd = 502,
                .opts = {.has_ts = true, .ts_val = 10, .ts_ecr = 20}},
        .len = LEN,
    };
}

static struct nst_pkt *make(struct shape s)
{
    uint8_t bytes[NST_IPV4_HLEN + NST_TCP_HLEN_MAX + 2 * LEN], *tcp = bytes + NST_IPV4_HLEN;

    nst_tcp_emit(&s.tcp, tcp);
    for (size_t i = 0; i < s.len; i++)
        tcp[s.tcp.hlen + i] = (uint8_t)(s.tcp.seq.v + i);
    s.ip.total_len = (uint16_t)(NST_IPV4_HLEN + s.tcp.hlen + s.len);
    nst_ipv4_emit(&s.ip, bytes);
    size_t len = s.tcp.hlen + s.len;
    nst_store16(tcp + 16, 0);
    uint16_t pseudo = nst_csum_pseudo(&s.ip.src, &s.ip.dst, NST_IPPROTO_TCP, (uint32_t)len);
    nst_store16(
        tcp + 16,
        (uint16_t)(nst_csum_finish(nst_csum_join(pseudo, nst_csum_sum(tcp, len), 0)) ^ s.broken));
    struct nst_pkt *pkt = test_pkt(&core.pool, bytes, s.ip.total_len);
    pkt->ip = (struct nst_pkt_ip){.src = s.ip.src,
                                  .dst = s.ip.dst,
                                  .proto = s.ip.proto,
                                  .ttl = s.ip.ttl,
                                  .tos = s.ip.tos,
                                  .df = s.ip.df,
                                  .hlen = NST_IPV4_HLEN};
    return pkt;
}

/* ---- What is joined ------------------------------------------------------------------------ */

static void assert_stream(const struct nst_pkt *pkt, size_t len)
{
    size_t hlen = pkt->len - len;

    nst_pkt_check(pkt);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte;
        nst_pkt_read(pkt, hlen + i, &byte, 1);
        assert_int_equal(byte, (uint8_t)(SEQ + i));
    }
}

static void test_a_run(void **state)
{
    struct nst_pkt *pkt = make(shape(0));
    size_t hlen = pkt->len - LEN;
    (void)state;

    assert_true(nst_pkt_is_joinable(pkt));
    for (size_t i = 1; i < NST_PKT_SLICES; i++)
        assert_true(nst_pkt_join_take(pkt, make(shape(i))));
    assert_stream(pkt, NST_PKT_SLICES * LEN);
    assert_int_equal(pkt->offload.gso, NST_GSO_TCP4);
    assert_int_equal(pkt->offload.gso_size, LEN);
    assert_int_equal(pkt->offload.hdr_len, hlen);
    assert_int_equal(pkt->offload.csum, NST_CSUM_VALID);
    struct nst_pkt *more = make(shape(NST_PKT_SLICES)); /* no slice is left */
    assert_false(nst_pkt_join_take(pkt, more));
    nst_pkt_free(more);
    nst_pkt_free(pkt);
}

/* PSH, FIN and a shorter one come last. */
static void test_the_last(void **state)
{
    static const struct {
        uint8_t flags;
        size_t len;
    } rows[] = {{NST_TCP_ACK | NST_TCP_PSH, LEN},
                {NST_TCP_ACK | NST_TCP_FIN, LEN},
                {NST_TCP_ACK | NST_TCP_PSH | NST_TCP_FIN, 1},
                {NST_TCP_ACK, LEN - 1}};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct shape last = shape(1), next = shape(2);
        struct nst_pkt *pkt = make(shape(0)), *more;
        last.tcp.flags = rows[i].flags;
        last.len = rows[i].len;
        next.tcp.seq.v -= (uint32_t)(LEN - last.len);
        assert_true(nst_pkt_join_take(pkt, make(last)));
        assert_stream(pkt, LEN + last.len);
        assert_int_equal(nst_pkt_head(pkt)[NST_IPV4_HLEN + 13], last.tcp.flags);
        more = make(next);
        assert_false(nst_pkt_join_take(pkt, more));
        nst_pkt_free(more);
        nst_pkt_free(pkt);
    }
}

/* A copy of the first, for a raw socket, doesn't change with it. */
static void test_shared_head(void **state)
{
    struct nst_pkt *pkt = make(shape(0)), *copy = nst_pkt_clone(pkt);
    struct shape last = shape(1);
    (void)state;

    last.tcp.flags |= NST_TCP_PSH;
    assert_true(nst_pkt_join_take(pkt, make(last)));
    assert_int_equal(nst_pkt_head(copy)[NST_IPV4_HLEN + 13], NST_TCP_ACK);
    assert_int_equal(copy->len + LEN, pkt->len);
    nst_pkt_free(copy);
    nst_pkt_free(pkt);
}

/* ---- What is not --------------------------------------------------------------------------- */

#define DIFFERS(name, field, value)   \
    static void name(struct shape *s) \
    {                                 \
        s->field = (value);           \
    }
DIFFERS(other_source, ip.src, test_addr("192.0.2.3"))
DIFFERS(other_destination, ip.dst, test_addr("192.0.2.9"))
DIFFERS(other_tos, ip.tos, 3)
DIFFERS(other_ttl, ip.ttl, 63)
DIFFERS(other_df, ip.df, false)
DIFFERS(other_sport, tcp.sport, 5001)
DIFFERS(other_dport, tcp.dport, 81)
DIFFERS(a_gap, tcp.seq.v, (uint32_t)(SEQ + LEN + 1))
DIFFERS(an_overlap, tcp.seq.v, (uint32_t)(SEQ + LEN - 1))
DIFFERS(other_ack, tcp.ack.v, 8)
DIFFERS(other_window, tcp.wnd, 501)
DIFFERS(other_time, tcp.opts.ts_val, 11)
DIFFERS(other_echo, tcp.opts.ts_ecr, 21)
DIFFERS(no_options, tcp.opts.has_ts, false)
DIFFERS(urgent, tcp.flags, NST_TCP_ACK | NST_TCP_URG)
DIFFERS(echo, tcp.flags, NST_TCP_ACK | NST_TCP_ECE)
DIFFERS(reduced, tcp.flags, NST_TCP_ACK | NST_TCP_CWR)
DIFFERS(reset, tcp.flags, NST_TCP_ACK | NST_TCP_RST)
DIFFERS(syn, tcp.flags, NST_TCP_ACK | NST_TCP_SYN)
DIFFERS(no_ack, tcp.flags, 0)
DIFFERS(larger, len, LEN + 1)
DIFFERS(empty, len, 0)
DIFFERS(broken, broken, true)

static void test_what_differs(void **state)
{
    static void (*const rows[])(struct shape *) = {other_source, other_destination,
                                                   other_tos,    other_ttl,
                                                   other_df,     other_sport,
                                                   other_dport,  a_gap,
                                                   an_overlap,   other_ack,
                                                   other_window, other_time,
                                                   other_echo,   no_options,
                                                   urgent,       echo,
                                                   reduced,      reset,
                                                   syn,          no_ack,
                                                   larger,       empty,
                                                   broken};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct shape s = shape(1);
        struct nst_pkt *pkt = make(shape(0)), *next;
        rows[i](&s);
        next = make(s);
        size_t len = pkt->len;
        if (nst_pkt_join_take(pkt, next))
            fail_msg("row %zu is joined", i);
        assert_int_equal(pkt->len, len);
        assert_stream(pkt, LEN);
        nst_pkt_free(next);
        nst_pkt_free(pkt);
    }
}

/* What doesn't even wait for another. */
static void test_what_stays_alone(void **state)
{
    static void (*const rows[])(struct shape *) = {urgent, echo,   reduced, reset,
                                                   syn,    no_ack, empty,   other_tos};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows) + 2; i++) {
        struct shape s = shape(0);
        if (i < NST_ARRAY_LEN(rows))
            rows[i](&s);
        else if (i == NST_ARRAY_LEN(rows))
            s.len = 100; /* a queue would copy it */
        else
            s.tcp.flags |= NST_TCP_PSH;
        struct nst_pkt *pkt = make(s);
        if (nst_pkt_is_joinable(pkt))
            fail_msg("row %zu waits", i);
        nst_pkt_free(pkt);
    }
}

/* Nothing of a first one with a wrong checksum joins anything. */
static void test_broken_first(void **state)
{
    struct shape s = shape(0);
    struct nst_pkt *pkt, *next = make(shape(1));
    (void)state;

    s.broken = true;
    pkt = make(s);
    assert_false(nst_pkt_join_take(pkt, next));
    nst_pkt_free(next);
    nst_pkt_free(pkt);
}

/* A data offset that points out of the packet, or into the fixed header. */
static void test_wrong_lengths(void **state)
{
    (void)state;
    for (unsigned offset = 0; offset < 16; offset++) {
        struct shape s = shape(1);
        s.tcp.opts.has_ts = false;
        s.len = 20;
        struct nst_pkt *pkt = make(shape(0)), *next = make(s);
        nst_pkt_head(next)[NST_IPV4_HLEN + 12] = (uint8_t)(offset << 4);
        assert_false(nst_pkt_join_take(pkt, next));
        (void)nst_pkt_is_joinable(next);
        nst_pkt_free(next);
        nst_pkt_free(pkt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_stays_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lengths, setup, teardown),
    };
    return cmocka_run_group_tests_name("coalesce", tests, NULL, NULL);
}
