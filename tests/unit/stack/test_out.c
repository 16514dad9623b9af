/* The way out: what of a large packet's cutting and summing the stack does, and what it leaves to
 * the device. */
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "core/wire/eth.h"

#include "../core.h"

#define MTU      1500
#define PAYLOAD  4000
#define SIZE     1000
#define SEGMENTS 4

/* 10.0.0.1 to 10.0.0.2; lengths and checksums are the segments'. */
#define TCP                                                                                \
    "45 00 0000 0000 4000 40 06 0000 0a000001 0a000002 1388 0050 00000001 00000007 50 10 " \
    "01f6 0000 0000"
#define UDP "45 00 0000 0000 4000 40 11 0000 0a000001 0a000002 1388 0050 0000 0000"

static const struct {
    enum nst_gso gso;
    uint32_t offloads;
    size_t frames;
    enum nst_csum csum;
} rows[] = {
    {NST_GSO_TCP4, 0, SEGMENTS, NST_CSUM_NONE},
    {NST_GSO_TCP4, NST_LINK_CSUM, SEGMENTS, NST_CSUM_PARTIAL},
    {NST_GSO_TCP4, NST_LINK_CSUM | NST_LINK_TSO6 | NST_LINK_USO, SEGMENTS, NST_CSUM_PARTIAL},
    {NST_GSO_TCP4, NST_LINK_TSO4, SEGMENTS, NST_CSUM_NONE}, /* would send wrong checksums */
    {NST_GSO_TCP4, NST_LINK_CSUM | NST_LINK_TSO4, 1, NST_CSUM_PARTIAL},
    {NST_GSO_UDP, 0, SEGMENTS, NST_CSUM_NONE},
    {NST_GSO_UDP, NST_LINK_CSUM | NST_LINK_TSO4 | NST_LINK_TSO6, SEGMENTS, NST_CSUM_PARTIAL},
    {NST_GSO_UDP, NST_LINK_CSUM | NST_LINK_USO, 1, NST_CSUM_PARTIAL},
    {NST_GSO_NONE, NST_LINK_CSUM | NST_LINK_TSO4 | NST_LINK_USO, 3, NST_CSUM_NONE}, /* fragments */
};

static struct nst_pkt *make(struct nst_pool *pool, enum nst_gso gso)
{
    struct hex headers = hex_bytes(gso == NST_GSO_TCP4 ? TCP : UDP);
    struct nst_pkt *pkt = nst_pkt_new(pool, NST_PKT_HEADROOM, headers.len + PAYLOAD);
    const uint8_t zeros[PAYLOAD] = {0};

    assert_non_null(pkt);
    nst_pkt_write(pkt, 0, headers.p, headers.len);
    nst_pkt_write(pkt, headers.len, zeros, PAYLOAD);
    pkt->ethertype = NST_ETHERTYPE_IPV4;
    pkt->offload = (struct nst_offload){.csum = NST_CSUM_PARTIAL,
                                        .gso = (uint8_t)gso,
                                        .gso_size = gso == NST_GSO_NONE ? 0 : SIZE,
                                        .hdr_len = (uint16_t)headers.len,
                                        .csum_start = 20,
                                        .csum_offset = gso == NST_GSO_TCP4 ? 16 : 6};
    hex_free(headers);
    return pkt;
}

static void check_row(size_t row)
{
    struct test_memory memory = {0};
    const struct nst_config config = {.allocator = test_memory_allocator(&memory)};
    const struct nst_link_config link_config = {
        .name = "t0", .medium = NST_MEDIUM_IP, .mtu = MTU, .offloads = rows[row].offloads};
    struct nst_pkt *frames[SEGMENTS + 1];
    struct nst_stack *stack;
    nst_link link;

    assert_int_equal(nst_stack_new(&stack, &config), 0);
    assert_int_equal(nst_link_add(stack, &link, &link_config), 0);
    nst_iface_output_take(nst_iface_of(&stack->ifaces, link), make(&stack->pool, rows[row].gso));
    size_t n = nst_output(stack, link, frames, NST_ARRAY_LEN(frames), 0);
    assert_int_equal(n, rows[row].frames);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(frames[i]->offload.csum, rows[row].csum);
        assert_int_equal(frames[i]->offload.gso, n == 1 ? rows[row].gso : NST_GSO_NONE);
        assert_true(n == 1 || frames[i]->len <= MTU);
        nst_pkt_free(frames[i]);
    }
    nst_stack_free(stack);
    assert_int_equal(memory.live_blocks, 0);
}

static void test_large_packets(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++)
        check_row(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_packets),
    };
    return cmocka_run_group_tests_name("out", tests, NULL, NULL);
}
