/* UDP by itself: lengths, checksums, ports. */
#include "core/udp/udp.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/checksum.h"

#include "../core.h"

#define HLEN 20

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

/* A datagram with `extra` bytes behind it, to be judged. */
static struct nst_pkt *datagram(uint16_t len, size_t extra, uint16_t checksum)
{
    uint8_t bytes[HLEN + 64] = {0};

    nst_store16(bytes + HLEN, 4660);
    nst_store16(bytes + HLEN + 2, 53);
    nst_store16(bytes + HLEN + 4, len);
    nst_store16(bytes + HLEN + 6, checksum);
    memset(bytes + HLEN + 8, 0x55, 8);
    struct nst_pkt *pkt = test_pkt(&core.pool, bytes, HLEN + 16 + extra);
    pkt->ip = (struct nst_pkt_ip){
        .src = test_addr("192.0.2.2"), .dst = test_addr("192.0.2.1"), .proto = 17, .hlen = HLEN};
    return pkt;
}

static enum nst_drop judge(struct nst_pkt *pkt, size_t len)
{
    enum nst_drop drop = nst_udp_input(&core.env, pkt);

    if (!drop) {
        assert_int_equal(pkt->len, HLEN + len);
        assert_int_equal(pkt->sport, 4660);
        assert_int_equal(pkt->dport, 53);
    }
    nst_pkt_free(pkt);
    return drop;
}

/* Summed by hand:
 *   c000 + 0202 + c000 + 0201 + 0011 + 0010 = 18424 -> 8425
 *   1234 + 0035 + 0010 + 4 * 5555 = 167cd -> 67ce
 *   8425 + 67ce = ebf3, inverted 140c */
#define RIGHT 0x140c

/* Shows 1122-175, 1122-176. */
static void test_checksum(void **state)
{
    (void)state;
    assert_int_equal(judge(datagram(16, 0, RIGHT), 16), NST_DROP_NONE);
    assert_int_equal(judge(datagram(16, 0, RIGHT ^ 1), 16), NST_DROP_udp_checksum);
    assert_int_equal(judge(datagram(16, 0, 0), 16), NST_DROP_NONE); /* the sender made none */
    struct nst_pkt *vouched = datagram(16, 0, RIGHT ^ 1);
    vouched->offload.csum = NST_CSUM_VALID;
    assert_int_equal(judge(vouched, 16), NST_DROP_NONE);
}

static void test_lengths(void **state)
{
    (void)state;
    assert_int_equal(judge(datagram(16, 7, RIGHT), 16), NST_DROP_NONE);
    assert_int_equal(judge(datagram(17, 0, 0), 17), NST_DROP_udp_len);
    assert_int_equal(judge(datagram(7, 0, 0), 7), NST_DROP_udp_len);
    assert_int_equal(judge(datagram(8, 0, 0), 8), NST_DROP_NONE);
    for (size_t len = 0; len < 8; len++) {
        struct nst_pkt *pkt = datagram(16, 0, 0);
        nst_pkt_trim(pkt, HLEN + len);
        assert_int_equal(judge(pkt, len), NST_DROP_udp_short);
    }
}

static void test_output(void **state)
{
    uint8_t data[8];
    struct nst_pkt *pkt;
    (void)state;

    memset(data, 0x55, sizeof data);
    pkt = test_pkt(&core.pool, data, sizeof data);
    pkt->sport = 4660;
    pkt->dport = 53;
    pkt->ip = (struct nst_pkt_ip){.src = test_addr("192.0.2.1"), .dst = test_addr("192.0.2.2")};
    assert_int_equal(nst_udp_output(&core.env, pkt), 0);
    assert_int_equal(pkt->offload.csum, NST_CSUM_PARTIAL);
    assert_int_equal(nst_pkt_checksum_complete(pkt), 0);
    assert_hex(nst_pkt_head(pkt), pkt->len, "1234 0035 0010 140c 5555555555555555");
    nst_pkt_free(pkt);
}

/* A sum whose complement is zero is sent as ffff, for zero means that there is none (RFC 768). */
static void test_checksum_of_zero(void **state)
{
    uint8_t data[2];
    struct nst_pkt *pkt;
    (void)state;

    /* As above without the data: c000+0202+c000+0201+0011 + 2*000a + 0001+0035 = 1845e -> 845f. */
    nst_store16(data, 0xffff - 0x845f);
    pkt = test_pkt(&core.pool, data, sizeof data);
    pkt->sport = 1;
    pkt->dport = 53;
    pkt->ip = (struct nst_pkt_ip){.src = test_addr("192.0.2.1"), .dst = test_addr("192.0.2.2")};
    assert_int_equal(nst_udp_output(&core.env, pkt), 0);
    assert_int_equal(nst_pkt_checksum_complete(pkt), 0);
    assert_int_equal(nst_load16(nst_pkt_head(pkt) + 6), 0xffff);
    nst_pkt_free(pkt);
}

static void test_limits(void **state)
{
    struct nst_pkt *pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, 65527);
    (void)state;

    assert_int_equal(nst_udp_output(&core.env, pkt), 0);
    nst_pkt_free(pkt);
    pkt = nst_pkt_new(&core.pool, NST_PKT_HEADROOM, 65528);
    assert_int_equal(nst_udp_output(&core.env, pkt), -EMSGSIZE);
    nst_pkt_free(pkt);
    pkt = nst_pkt_new(&core.pool, 0, 10); /* no headroom, and no memory for a header */
    core.pool.budget_bytes = core.pool.used_bytes;
    assert_int_equal(nst_udp_output(&core.env, pkt), -ENOBUFS);
    nst_pkt_free(pkt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checksum_of_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };

    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
