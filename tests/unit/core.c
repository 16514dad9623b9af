#include "core.h"

#include <stdlib.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

/* ---- Memory ------------------------------------------------------------------------------ */

/* In front of each block; keeps the alignment that malloc() gave. */
struct block {
    _Alignas(max_align_t) size_t size;
};

static bool should_fail(struct test_memory *memory, size_t size)
{
    uint64_t call = ++memory->calls;

    return call == memory->fail_at || size == memory->fail_size ||
           (memory->fail_all && memory->fail_at && call > memory->fail_at);
}

static void *memory_alloc(void *ctx, size_t size)
{
    struct test_memory *memory = ctx;
    struct block *block;

    if (should_fail(memory, size))
        return NULL;
    block = malloc(sizeof *block + size);
    assert_non_null(block);
    memset(block + 1, 0xa5, size);
    block->size = size;
    memory->live_blocks++;
    memory->live_bytes += size;
    memory->peak_bytes = nst_max(memory->peak_bytes, memory->live_bytes);
    return block + 1;
}

static void memory_free(void *ctx, void *ptr, size_t size)
{
    struct test_memory *memory = ctx;
    struct block *block = (struct block *)ptr - 1;

    assert_int_equal(block->size, size);
    memory->live_blocks--;
    memory->live_bytes -= size;
    free(block);
}

struct nst_allocator test_memory_allocator(struct test_memory *memory)
{
    return (struct nst_allocator){.alloc = memory_alloc, .free = memory_free, .ctx = memory};
}

void test_memory_fail_in(struct test_memory *memory, uint64_t n)
{
    memory->fail_at = n ? memory->calls + n : 0;
}

/* ---- The core ---------------------------------------------------------------------------- */

void test_core_init(struct test_core *core)
{
    const struct nst_link_config config = {.name = "test0",
                                           .medium = NST_MEDIUM_ETHERNET,
                                           .mac = test_mac("02:00:00:00:00:01"),
                                           .mtu = 1500};

    *core = (struct test_core){.env = {.now = TEST_START, .seed = "the same in every run"}};
    core->env.allocator = test_memory_allocator(&core->memory);
    nst_wheel_init(&core->env.wheel, core->env.now);
    nst_prng_init(&core->env.prng, core->env.seed, "test");
    nst_pool_init(&core->pool, &core->env, (size_t)16 << 20);
    nst_iface_init(&core->iface, &core->pool, 1, &config, 1000);
    core->addr = test_core_addr_add(core, "192.0.2.1/24", NST_ACD_OFF);
}

void test_core_fini(struct test_core *core)
{
    nst_iface_fini(&core->iface);
    nst_wheel_check(&core->env.wheel);
    assert_int_equal(nst_wheel_deadline(&core->env.wheel), NST_TIME_NEVER);
    assert_int_equal(core->pool.used_bytes, 0);
    nst_pool_fini(&core->pool);
    assert_int_equal(core->memory.live_blocks, 0);
    assert_int_equal(core->memory.live_bytes, 0);
}

struct nst_ifaddr *test_core_addr_add(struct test_core *core, const char *prefix, enum nst_acd acd)
{
    struct nst_ifaddr *a = &core->iface.addrs[core->iface.naddrs];

    assert_true(core->iface.naddrs < NST_IFACE_ADDRS);
    core->iface.naddrs++;
    *a = (struct nst_ifaddr){
        .prefix = test_prefix(prefix), .acd = acd, .state = NST_ADDR_VALID, .iface = &core->iface};
    nst_timer_init(&a->timer, NST_TIMER_ACD);
    return a;
}

void test_core_run(struct test_core *core, nst_time until,
                   void (*fire)(void *ctx, struct nst_timer *timer), void *ctx)
{
    struct nst_wheel *wheel = &core->env.wheel;
    struct nst_timer *timer;

    for (;;) {
        nst_time next = nst_wheel_deadline(wheel);
        core->env.now = nst_max(core->env.now, nst_min(next, until));
        while ((timer = nst_wheel_pull(wheel, core->env.now)))
            fire(ctx, timer);
        if (next >= until)
            return;
    }
}

unsigned test_core_flush(struct test_core *core)
{
    struct nst_pkt *pkt;
    unsigned n = 0;

    for (; (pkt = nst_iface_pull(&core->iface)); n++)
        nst_pkt_free(pkt);
    return n;
}

/* ---- Values ------------------------------------------------------------------------------ */

struct nst_addr test_addr(const char *text)
{
    struct nst_addr addr;

    assert_true(nst_addr_parse(&addr, text));
    return addr;
}

struct nst_prefix test_prefix(const char *text)
{
    struct nst_prefix prefix;

    assert_true(nst_prefix_parse(&prefix, text));
    return prefix;
}

struct nst_mac test_mac(const char *text)
{
    struct nst_mac mac;

    assert_true(nst_mac_parse(&mac, text));
    return mac;
}

void test_prng_init(struct nst_prng *prng, unsigned seed)
{
    uint8_t bytes[32] = {0};

    nst_store32(bytes, seed);
    nst_prng_init(prng, bytes, "test");
}

/* ---- Packets ----------------------------------------------------------------------------- */

struct nst_pkt *test_pkt(struct nst_pool *pool, const void *bytes, size_t len)
{
    struct nst_pkt *pkt = nst_pkt_new(pool, NST_PKT_HEADROOM, len);

    assert_non_null(pkt);
    nst_pkt_write(pkt, 0, bytes, len);
    return pkt;
}

struct nst_pkt *test_pkt_hex(struct nst_pool *pool, const char *text)
{
    struct hex bytes = hex_bytes(text);
    struct nst_pkt *pkt = test_pkt(pool, bytes.p, bytes.len);

    hex_free(bytes);
    return pkt;
}

struct nst_pkt *test_pkt_split(struct nst_pool *pool, const void *bytes, const size_t *lens,
                               unsigned nslices)
{
    struct nst_pkt *pkt = nst_pool_pkt_new(pool);
    const uint8_t *from = bytes;

    assert_non_null(pkt);
    assert_true(nslices <= NST_PKT_SLICES);
    for (unsigned i = 0; i < nslices; i++) {
        /* Odd and even starts; everything behind the slice is poison. */
        size_t start = i == 0 ? NST_PKT_HEADROOM : i % 2;
        struct nst_buf *buf = nst_buf_new(pool, start + lens[i]);
        assert_non_null(buf);
        memset(buf->data, 0xee, buf->size);
        memcpy(buf->data + start, from, lens[i]);
        from += lens[i];
        pkt->slices[i] = (struct nst_pkt_slice){buf, buf->data + start, lens[i]};
        pkt->len += lens[i];
    }
    pkt->nslices = nslices;
    return pkt;
}

void test_pkt_assert(const struct nst_pkt *pkt, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    struct nst_slice slices[NST_PKT_SLICES];

    nst_pkt_check(pkt);
    assert_int_equal(nst_pkt_len(pkt), len);
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(slices[i].base, at, slices[i].len);
        at += slices[i].len;
    }
}
