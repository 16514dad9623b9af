/* Several stacks that are one host: each frame is for the one that has what it is about. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../core.h"
#include "../frame.h"

#define STACKS 3

static struct test_memory memory;
static struct nst_stack *stacks[STACKS];
static nst_link link;
static struct frame frame, part, quoted;

static int setup(void **state)
{
    const struct nst_prefix prefix = test_prefix(US "/24");
    const struct nst_link_config config = {
        .name = "tap0", .mac = test_mac(US_MAC), .mtu = 1500, .medium = NST_MEDIUM_ETHERNET};
    const struct nst_addr peer = test_addr(PEER);
    const struct nst_mac mac = test_mac(PEER_MAC);

    (void)state;
    for (uint16_t i = 0; i < STACKS; i++) {
        const struct nst_config c = {.now = TEST_START,
                                     .seed = {(uint8_t)i},
                                     .allocator = test_memory_allocator(&memory),
                                     .spread = {i, STACKS, "a key of 16 byt"}};
        assert_int_equal(nst_stack_new(&stacks[i], &c), 0);
        assert_int_equal(nst_link_add(stacks[i], &link, &config), 0);
        assert_int_equal(nst_addr_add(stacks[i], link, &prefix, NST_ACD_OFF), 0);
        assert_int_equal(nst_neigh_set(stacks[i], link, &peer, &mac), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STACKS; i++)
        nst_stack_free(stacks[i]);
    assert_int_equal(memory.live_blocks, 0);
    return 0;
}

/* ---- Frames in and out --------------------------------------------------------------------- */

static struct nst_pkt *pkt_of(struct nst_stack *stack, const struct frame *f)
{
    struct nst_pkt *pkt = nst_pkt_alloc(stack, f->len);

    assert_non_null(pkt);
    nst_pkt_write(pkt, 0, f->bytes, f->len);
    return pkt;
}

/* Whose the frame is; all stacks must agree. */
static unsigned spread_of(const struct frame *f)
{
    unsigned whose[STACKS];

    for (unsigned i = 0; i < STACKS; i++) {
        struct nst_pkt *pkt = pkt_of(stacks[i], f);
        whose[i] = nst_spread_of(stacks[i], link, pkt);
        assert_int_equal(whose[i], whose[0]);
        nst_pkt_free(pkt);
    }
    return whose[0];
}

static void input(struct nst_stack *stack, const struct frame *f)
{
    struct nst_pkt *pkt = pkt_of(stack, f);

    nst_input(stack, link, &pkt, 1, TEST_START);
}

/* The next frame that the stack sends; false if there is none. */
static bool output(struct nst_stack *stack, struct frame *f)
{
    struct nst_pkt *pkt;

    if (nst_output(stack, link, &pkt, 1, TEST_START) == 0)
        return false;
    f->len = nst_pkt_len(pkt);
    nst_pkt_read(pkt, 0, f->bytes, f->len);
    nst_pkt_free(pkt);
    return true;
}

static void segment(struct frame *f, uint16_t sport, uint16_t dport, uint8_t flags)
{
    frame_tcp(f, &(struct frame_ip){0},
              &(struct frame_tcp){.sport = sport, .dport = dport, .flags = flags, .wnd = 1000}, "x",
              1);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void test_connections_are_spread(void **state)
{
    unsigned of[STACKS] = {0};

    (void)state;
    for (uint16_t port = 1024; port < 1024 + 300; port++) {
        segment(&frame, port, 80, 2);
        of[spread_of(&frame)]++;
    }
    for (unsigned i = 0; i < STACKS; i++)
        assert_in_range(of[i], 60, 140);
}

/* A connection that one begins is its own, by its port; from a port that was asked for, it is
 * whose it is. */
static void test_connecting(void **state)
{
    const struct nst_sockaddr peer = {test_addr(PEER), 80, 0};
    unsigned begun = 0;
    nst_sock sock;

    (void)state;
    for (unsigned i = 0; i < STACKS; i++) {
        for (unsigned n = 0; n < 50; n++) {
            assert_int_equal(nst_socket(stacks[i], &sock, NST_AF_INET, NST_SOCK_STREAM, 0, 0), 0);
            assert_int_equal(nst_connect(stacks[i], sock, &peer), -EINPROGRESS);
            assert_true(output(stacks[i], &frame));
            segment(&part, 80, (uint16_t)frame_get16(&frame, TCP_SPORT), 0x12);
            assert_int_equal(spread_of(&part), i);
        }
        const struct nst_sockaddr own = {.port = 5000};
        assert_int_equal(nst_socket(stacks[i], &sock, NST_AF_INET, NST_SOCK_STREAM, 0, 0), 0);
        assert_int_equal(nst_bind(stacks[i], sock, &own), 0);
        int err = nst_connect(stacks[i], sock, &peer);
        segment(&part, 80, 5000, 0x12);
        assert_int_equal(err, spread_of(&part) == i ? -EINPROGRESS : -EXDEV);
        begun += err == -EINPROGRESS;
    }
    assert_int_equal(begun, 1);
}

/* To itself, a host connects inside one stack, from whatever port. */
static void test_connecting_to_itself(void **state)
{
    const struct nst_sockaddr peer = {test_addr(US), 80, 0}, own = {.port = 5000};
    nst_sock sock;

    (void)state;
    for (unsigned i = 0; i < STACKS; i++) {
        assert_int_equal(nst_socket(stacks[i], &sock, NST_AF_INET, NST_SOCK_STREAM, 0, 0), 0);
        assert_int_equal(nst_bind(stacks[i], sock, &own), 0);
        assert_int_equal(nst_connect(stacks[i], sock, &peer), -EINPROGRESS);
    }
}

static void test_icmp_goes_to_whom_it_is_about(void **state)
{
    (void)state;
    for (uint16_t port = 1024; port < 1024 + 20; port++) {
        segment(&frame, 80, port, 0x10);
        unsigned whose = spread_of(&frame);
        frame_tcp(&quoted, &(struct frame_ip){.src = US, .dst = PEER},
                  &(struct frame_tcp){.sport = port, .dport = 80}, "x", 1);
        frame_icmp_error(&frame, GATEWAY, 3, 4, 1400, &quoted, 28);
        assert_int_equal(spread_of(&frame), whose);
    }
}

static void test_the_first_has_the_rest(void **state)
{
    (void)state;
    frame_udp(&frame, &(struct frame_ip){0}, 53, 5000, "x", 1);
    assert_int_equal(spread_of(&frame), 0);
    frame_icmp_error(&part, GATEWAY, 3, 3, 0, &frame, 28);
    assert_int_equal(spread_of(&part), 0);
    frame_echo(&frame, 1, 1, 32);
    assert_int_equal(spread_of(&frame), 0);
    frame_arp(&frame, 1, PEER_MAC, PEER, "00:00:00:00:00:00", US);
    assert_int_equal(spread_of(&frame), 0);
    frame_arp(&frame, 2, PEER_MAC, US, US_MAC, US); /* a conflict */
    assert_int_equal(spread_of(&frame), 0);
}

static void test_neighbours_tell_all(void **state)
{
    (void)state;
    frame_arp(&frame, 2, PEER_MAC, PEER, US_MAC, US);
    assert_int_equal(spread_of(&frame), NST_SPREAD_ALL);
    frame_arp(&frame, 1, PEER_MAC, PEER, "00:00:00:00:00:00", PEER);
    assert_int_equal(spread_of(&frame), NST_SPREAD_ALL);
}

/* Nothing that is cut short is read beyond its end. */
static void test_whatever_is_cut_short(void **state)
{
    (void)state;
    frame_tcp(&quoted, &(struct frame_ip){.src = US, .dst = PEER}, &(struct frame_tcp){.sport = 1},
              "x", 1);
    frame_icmp_error(&frame, GATEWAY, 3, 4, 1400, &quoted, 28);
    for (size_t len = 1; len < frame.len; len++) {
        frame_copy(&part, &frame);
        part.len = len;
        struct nst_pkt *pkt = pkt_of(stacks[0], &part);
        assert_in_range(nst_spread_of(stacks[0], link, pkt), 0, STACKS - 1);
        nst_pkt_free(pkt);
    }
}

/* A segment in fragments comes to the first, which hands it on in one piece and says nothing. */
static void test_fragments(void **state)
{
    struct nst_pkt *pkt;
    uint16_t port = 1024;

    (void)state;
    do {
        const struct frame_tcp tcp = {.sport = ++port, .dport = 80, .flags = 0x10, .wnd = 1000};
        frame_tcp(&frame, &(struct frame_ip){.id = port}, &tcp, NULL, 2000);
    } while (spread_of(&frame) == 0);
    for (size_t off = 0; off < frame.len - L4; off += 800) {
        frame_fragment(&part, &frame, off, nst_min(800, frame.len - L4 - off));
        assert_int_equal(spread_of(&part), 0);
        assert_int_equal(nst_spread_pull(stacks[0], link, &pkt, 1), 0);
        input(stacks[0], &part);
    }
    assert_false(output(stacks[0], &part));
    assert_int_equal(nst_spread_pull(stacks[0], link, &pkt, 1), 1);
    test_pkt_assert(pkt, frame.bytes, frame.len);
    assert_int_equal(nst_spread_of(stacks[0], link, pkt), spread_of(&frame));
    nst_pkt_free(pkt);
}

static void test_places(void **state)
{
    struct nst_config c = {.allocator = test_memory_allocator(&memory), .spread = {2, 2, ""}};
    struct nst_stack *stack;

    (void)state;
    assert_int_equal(nst_stack_new(&stack, &c), -EINVAL);
    c.spread.index = 1;
    assert_int_equal(nst_stack_new(&stack, &c), 0);
    nst_stack_free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connections_are_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connecting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connecting_to_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_icmp_goes_to_whom_it_is_about, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_has_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbours_tell_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whatever_is_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fragments, setup, teardown),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
