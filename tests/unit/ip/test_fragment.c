/* Fragmentation by itself: sizes, options, what is shared, and memory that runs out. */
#include "core/ip/fragment.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/ipv4.h"

#include "../core.h"

#define RECORD_ROUTE 7   /* not copied */
#define SECURITY     130 /* copied */

static struct test_core core;
static struct nst_list out;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    nst_list_init(&out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

static struct nst_pkt *packet(size_t payload, bool options)
{
    static uint8_t bytes[65535];
    struct nst_ipv4 ip = {.src = test_addr("192.0.2.1"),
                          .dst = test_addr("192.0.2.2"),
                          .proto = 17,
                          .ttl = 64,
                          .id = 0x1234};

    if (options) {
        static const uint8_t list[] = {RECORD_ROUTE, 7, 4, 0, 0, 0, 0, SECURITY, 5, 1, 2, 3};
        memcpy(ip.options, list, sizeof list);
        ip.options_len = sizeof list;
    }
    ip.total_len = (uint16_t)(nst_ipv4_hlen(&ip) + payload);
    nst_ipv4_emit(&ip, bytes);
    for (size_t i = 0; i < payload; i++)
        bytes[nst_ipv4_hlen(&ip) + i] = (uint8_t)(i % 251);
    struct nst_pkt *pkt = test_pkt(&core.pool, bytes, ip.total_len);
    pkt->ip = (struct nst_pkt_ip){.src = ip.src, .dst = ip.dst, .proto = 17};
    pkt->ip.hlen = (uint8_t)nst_ipv4_hlen(&ip);
    return pkt;
}

/* Takes the fragments off `out`: they are in order, fit the MTU, use it, and hold `payload` bytes.
 * Returns how many there were. */
static unsigned assert_fragments(size_t mtu, size_t payload, bool options)
{
    unsigned n = 0;
    struct nst_list *e;
    size_t off = 0;

    while ((e = nst_list_pop_front(&out))) {
        struct nst_pkt *f = NST_CONTAINER(e, struct nst_pkt, node);
        struct nst_ipv4 ip;
        uint8_t byte;
        nst_pkt_check(f);
        assert_int_equal(nst_ipv4_parse(&ip, nst_pkt_head(f), nst_pkt_head_len(f), f->len),
                         NST_DROP_NONE);
        assert_int_equal(ip.total_len, f->len);
        assert_int_equal(ip.id, 0x1234);
        assert_int_equal(ip.frag_off, off);
        assert_int_equal(ip.options_len, options ? n == 0 ? 12 : 8 : 0);
        assert_true(f->len <= mtu);
        for (size_t i = nst_ipv4_hlen(&ip); i < f->len; i++, off++) {
            nst_pkt_read(f, i, &byte, 1);
            assert_int_equal(byte, off % 251);
        }
        assert_int_equal(ip.mf, off < payload);
        assert_true(!ip.mf || mtu - f->len < 8);
        nst_pkt_free(f);
        n++;
    }
    assert_int_equal(off, payload);
    return n;
}

static void cut(size_t payload, size_t mtu, bool options)
{
    nst_ipv4_fragment_take(packet(payload, options), mtu, &out);
}

/* Shows 791-5, 791-6, 6864-3, 1122-134. */
static void test_sizes(void **state)
{
    static const size_t mtus[] = {68, 69, 75, 76, 576, 1006, 1500, 9000};
    (void)state;

    for (size_t m = 0; m < NST_ARRAY_LEN(mtus); m++) {
        for (size_t payload = mtus[m] - 19; payload < 6000; payload += payload / 7) {
            cut(payload, mtus[m], false);
            assert_in_range(assert_fragments(mtus[m], payload, false), 2, 1000);
            if (payload < mtus[m] - 31)
                continue;
            cut(payload, mtus[m], true);
            assert_in_range(assert_fragments(mtus[m], payload, true), 2, 1000);
        }
    }
}

static void test_largest(void **state)
{
    (void)state;
    cut(65515, 1500, false);
    assert_int_equal(assert_fragments(1500, 65515, false), 45);
}

/* The checksum of the whole is completed before its payload is cut. */
static void test_partial_checksum(void **state)
{
    struct nst_pkt *pkt = packet(2000, false);
    uint8_t field[2];
    (void)state;

    pkt->offload =
        (struct nst_offload){.csum = NST_CSUM_PARTIAL, .csum_start = 20, .csum_offset = 6};
    nst_ipv4_fragment_take(pkt, 1500, &out);
    pkt = NST_CONTAINER(out.next, struct nst_pkt, node);
    nst_pkt_read(pkt, 26, field, 2);
    assert_int_not_equal(nst_load16(field), 6 << 8 | 7);
    while (!nst_list_empty(&out)) {
        pkt = NST_CONTAINER(nst_list_pop_front(&out), struct nst_pkt, node);
        assert_int_equal(pkt->offload.csum, NST_CSUM_NONE);
        nst_pkt_free(pkt);
    }
}

static void test_dont_fragment(void **state)
{
    struct nst_pkt *pkt = packet(2000, false);
    (void)state;

    pkt->ip.df = true;
    nst_ipv4_fragment_take(pkt, 1500, &out);
    assert_true(nst_list_empty(&out));
    assert_int_equal(core.env.drops[NST_DROP_too_big], 1);
}

/* All or nothing, at whichever piece the memory ends. */
static void test_memory_runs_out(void **state)
{
    size_t budget = core.pool.budget_bytes;
    (void)state;

    for (unsigned room = 0; room < 9; room++) {
        struct nst_pkt *pkt = packet(5000, false);
        core.pool.budget_bytes = core.pool.used_bytes + room * 1000;
        nst_ipv4_fragment_take(pkt, 1500, &out);
        assert_true(nst_list_empty(&out));
        assert_int_equal(core.pool.used_bytes, 0);
        assert_int_equal(core.env.drops[NST_DROP_no_memory], room + 1);
        core.pool.budget_bytes = budget;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dont_fragment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, teardown),
    };

    return cmocka_run_group_tests_name("fragment", tests, NULL, NULL);
}
