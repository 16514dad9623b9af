/* The program that steers frames, run by a machine of our own, beside nst_spread_of(). */
#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "core/wire/eth.h"
#include "daemon/steer.h"

#include "../core.h"
#include "../frame.h"

#define STACKS 5

static struct test_memory memory;
static struct nst_stack *stack;
static nst_link link;
static struct frame frame;
static const struct nst_spread spread = {0, STACKS, "a key of 16 byt"};
static struct bpf_insn program[NST_STEER_MAX];
static size_t program_len;

static void begin(enum nst_medium medium)
{
    const struct nst_config c = {
        .now = TEST_START, .allocator = test_memory_allocator(&memory), .spread = spread};
    const struct nst_link_config l = {
        .name = "tap0", .mac = test_mac(US_MAC), .mtu = 1500, .medium = medium};
    const struct nst_prefix prefix = test_prefix(US "/24");

    assert_int_equal(nst_stack_new(&stack, &c), 0);
    assert_int_equal(nst_link_add(stack, &link, &l), 0);
    assert_int_equal(nst_addr_add(stack, link, &prefix, NST_ACD_OFF), 0);
    program_len = nst_steer_program(program, &spread, medium);
    assert_in_range(program_len, 1, NST_STEER_MAX);
}

static int setup(void **state)
{
    (void)state;
    begin(NST_MEDIUM_ETHERNET);
    return 0;
}

static int setup_bare(void **state)
{
    (void)state;
    begin(NST_MEDIUM_IP);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_stack_free(stack);
    assert_int_equal(memory.live_blocks, 0);
    return 0;
}

/* ---- The machine ----------------------------------------------------------------------------- */

struct machine {
    uint64_t r[11];
    const uint8_t *bytes;
    size_t len;
    bool over;
};

static size_t size_of(const struct bpf_insn *i)
{
    unsigned size = i->code & 0x18;

    return size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
}

/* As the kernel's: beyond the end the program returns 0. */
static void load(struct machine *m, const struct bpf_insn *i)
{
    uint64_t at = (uint32_t)i->imm + ((i->code & 0xe0) == BPF_IND ? m->r[i->src_reg] : 0);

    m->over = at + size_of(i) > m->len;
    m->r[0] = 0;
    for (size_t n = 0; !m->over && n < size_of(i); n++)
        m->r[0] = m->r[0] << 8 | m->bytes[at + n];
    memset(m->r + 1, 0xee, 5 * sizeof m->r[0]);
}

static void compute(struct machine *m, const struct bpf_insn *i)
{
    uint64_t *dst = &m->r[i->dst_reg];
    uint64_t x = i->code & BPF_X ? m->r[i->src_reg] : (uint64_t)(int64_t)i->imm;

    switch (i->code & 0xf0) {
    case BPF_MOV:
        *dst = x;
        break;
    case BPF_ADD:
        *dst += x;
        break;
    case BPF_AND:
        *dst &= x;
        break;
    case BPF_OR:
        *dst |= x;
        break;
    case BPF_XOR:
        *dst ^= x;
        break;
    case BPF_LSH:
        *dst <<= x;
        break;
    case BPF_RSH:
        *dst >>= x;
        break;
    case BPF_MOD:
        *dst %= x;
        break;
    default:
        fail_msg("operation %#x", i->code);
    }
}

static bool compare(const struct machine *m, const struct bpf_insn *i)
{
    uint64_t x = m->r[i->dst_reg], y = (uint64_t)(int64_t)i->imm;

    switch (i->code & 0xf0) {
    case BPF_JEQ:
        return x == y;
    case BPF_JGE:
        return x >= y;
    case BPF_JLE:
        return x <= y;
    default:
        fail_msg("comparison %#x", i->code);
        return false;
    }
}

/* One instruction; returns the next. */
static const struct bpf_insn *step(struct machine *m, const struct bpf_insn *i)
{
    switch (i->code & 7) {
    case BPF_LD:
        if (i->code != (BPF_LD | BPF_DW | BPF_IMM)) {
            load(m, i);
            return i + 1;
        }
        m->r[i->dst_reg] = (uint32_t)i[0].imm | (uint64_t)(uint32_t)i[1].imm << 32;
        return i + 2;
    case BPF_ALU: /* only to turn bytes round */
        assert_int_equal(i->code & 0xf0, BPF_END);
        assert_int_equal(i->imm, 32);
        m->r[i->dst_reg] = __builtin_bswap32((uint32_t)m->r[i->dst_reg]);
        return i + 1;
    case BPF_ALU64:
        compute(m, i);
        return i + 1;
    default:
        m->over = (i->code & 0xf0) == BPF_EXIT;
        return m->over || !compare(m, i) ? i + 1 : i + 1 + i->off;
    }
}

static uint64_t steered_to(const struct frame *f)
{
    struct machine m = {.bytes = f->bytes, .len = f->len};

    for (const struct bpf_insn *i = program; !m.over;) {
        assert_in_range(i - program, 0, program_len - 1);
        i = step(&m, i);
    }
    return m.r[0];
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static unsigned spread_of(const struct frame *f)
{
    struct nst_pkt *pkt = nst_pkt_alloc(stack, f->len);

    assert_non_null(pkt);
    nst_pkt_write(pkt, 0, f->bytes, f->len);
    unsigned whose = nst_spread_of(stack, link, pkt);
    nst_pkt_free(pkt);
    return whose;
}

static void segment(uint16_t sport, uint16_t dport)
{
    frame_tcp(&frame, &(struct frame_ip){0}, &(struct frame_tcp){.sport = sport, .dport = dport},
              "x", 1);
}

static void test_segments(void **state)
{
    unsigned of[STACKS] = {0};

    (void)state;
    for (uint16_t i = 0; i < 500; i++) {
        segment((uint16_t)(1024 + 77 * i), (uint16_t)(80 + 131 * i));
        assert_int_equal(steered_to(&frame), spread_of(&frame));
        of[spread_of(&frame)]++;
    }
    for (unsigned i = 0; i < STACKS; i++)
        assert_in_range(of[i], 60, 140);
}

static void without_ethernet(void)
{
    frame.len -= NST_ETH_HLEN;
    memmove(frame.bytes, frame.bytes + NST_ETH_HLEN, frame.len);
}

static void test_bare_segments(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 50; i++) {
        segment((uint16_t)(1024 + i), 80);
        without_ethernet();
        assert_int_equal(steered_to(&frame), spread_of(&frame));
    }
}

static void test_the_first_has_the_rest(void **state)
{
    (void)state;
    frame_udp(&frame, &(struct frame_ip){0}, 53, 5000, "x", 1);
    assert_int_equal(steered_to(&frame), 0);
    frame_arp(&frame, 2, PEER_MAC, PEER, US_MAC, US);
    assert_int_equal(steered_to(&frame), 0);
}

/* Where whatever bit is wrong and wherever the frame ends, both say the same. */
static void test_broken_headers(void **state)
{
    (void)state;
    for (size_t bit = 8 * 12; bit < 8 * (NST_ETH_HLEN + 24); bit++) {
        segment(1024, 80);
        frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(steered_to(&frame), spread_of(&frame));
    }
    segment(1024, 80);
    for (; frame.len > NST_ETH_HLEN; frame.len--)
        assert_int_equal(steered_to(&frame), spread_of(&frame));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_segments),
        cmocka_unit_test_setup_teardown(test_bare_segments, setup_bare, teardown),
        T(test_the_first_has_the_rest),
        T(test_broken_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
