/* What is remembered from one connection to the next: the table's limits, what gives way, and what
 * an outsider can do to it. What a connection takes from it is shown by tests/script/tcp. */
#include "core/tcp/metrics.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define ENTRIES (NST_TCP_METRICS_ROWS * NST_TCP_METRICS_WAYS)

static struct harness h;
static struct dialogue d;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    dialogue_init(&d, &h, 4000, 5000);
    dialogue_listen(&d, 100);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static size_t entries(void)
{
    return nst_metrics_list(h.stack, NULL, 0);
}

static struct nst_addr address(const char *text)
{
    struct nst_addr addr;

    assert_true(nst_addr_parse(&addr, text));
    return addr;
}

/* Of a peer; all 0 if nothing is known. */
static struct nst_metrics_info known(const char *peer)
{
    static struct nst_metrics_info list[ENTRIES];
    size_t n = nst_metrics_list(h.stack, list, ENTRIES);
    struct nst_addr addr = address(peer);

    for (size_t i = 0; i < n; i++)
        if (nst_addr_eq(&list[i].peer, &addr))
            return list[i];
    return (struct nst_metrics_info){0};
}

/* The peer connects from a port of its own, within `rtt`. */
static void shake(const char *peer, nst_time rtt)
{
    d.peer = peer;
    d.pport++;
    const struct seg syn = {.seq = d.seq, .flags = SYN, .wnd = 65535, .options = MSS_1460};
    dialogue_in(&d, &syn);
    d.ack = dialogue_sent(&d).seq + 1;
    d.seq++;
    harness_run(&h, rtt);
    dialogue_say(&d, ACK, 0);
}

static void shake_and_reset(const char *peer, nst_time rtt)
{
    shake(peer, rtt);
    dialogue_say(&d, RST, 0);
    nst_sock sock = dialogue_accept(&d);
    nst_close(h.stack, sock);
}

/* The first connection's figures are taken as they are. Shows 9040-4. */
static void test_figures(void **state)
{
    (void)state;
    shake_and_reset(PEER, 100 * NST_MS);
    struct nst_metrics_info m = known(PEER);
    assert_int_equal(m.srtt, 100 * NST_MS);
    assert_int_equal(m.rttvar, 50 * NST_MS);
    assert_int_equal(m.measured, h.now);
    assert_int_equal(m.ssthresh, 0);
    assert_false(m.reordered || m.cookie || m.failures);
    const struct nst_addr us = address(US);
    assert_true(nst_addr_eq(&m.local, &us));
}

/* Who has not finished a handshake leaves nothing, and may be anybody. Shows 9040-6. */
static void test_nothing_of_a_handshake(void **state)
{
    (void)state;
    d.pport++;
    const struct seg syn = {.seq = d.seq, .flags = SYN, .wnd = 65535, .options = MSS_1460};
    dialogue_in(&d, &syn);
    d.seq++;
    dialogue_say(&d, RST, 0);
    assert_int_equal(entries(), 0);
    struct dialogue active;
    dialogue_init(&active, &h, 4001, 5001);
    dialogue_connect(&active);
    active.seq = 0;
    dialogue_say(&active, RST | ACK, 0);
    assert_int_equal(dialogue_state(&active), NST_TCP_CLOSED);
    assert_int_equal(entries(), 0);
}

/* A peer that echoes timestamps of long ago makes its own round trips seem long. Its next
 * connection begins with what it might begin with anyway; nobody else's is touched. Shows 9040-8.
 */
static void test_a_peer_spoils_its_own_only(void **state)
{
    struct nst_rtt rtt;
    (void)state;

    shake_and_reset(GATEWAY, 10 * NST_MS);
    shake_and_reset(PEER, 10 * NST_MS);
    struct nst_flow_id id = {.local = known(PEER).local, .peer = address(PEER)};
    struct nst_tcp_metrics *m = nst_metrics_find(&h.stack->tcps, &id);
    m->srtt_us = m->rttvar_us = (uint32_t)(NST_RTO_MAX / NST_US);
    shake(PEER, 10 * NST_MS);
    rtt = dialogue_tcb(&d)->rtt;
    assert_int_equal(nst_rtt_rto(&rtt), NST_RTO_FALLBACK);
    shake(GATEWAY, 10 * NST_MS);
    rtt = dialogue_tcb(&d)->rtt;
    assert_int_equal(nst_rtt_rto(&rtt), 210 * NST_MS);
}

/* So many hosts that each place has been given away several times: a bounded table, of which only
 * what is in use has memory, and in which a server's cookie stands as before. Shows 9040-10. */
static void test_many_hosts(void **state)
{
    struct nst_flow_id server = {.local = address(US), .peer = address("192.0.2.1")};
    struct nst_tcps *tcps = &h.stack->tcps;
    char peer[16];
    (void)state;

    nst_metrics_of_server(tcps, &server)->cookie = (struct nst_tcp_cookie){.len = 8};
    h.check_every = 1000;
    shake_and_reset(PEER, NST_MS);
    size_t before = h.memory.live_bytes;
    for (unsigned i = 0; i < 4 * ENTRIES; i++) {
        snprintf(peer, sizeof peer, "198.51.%u.%u", 100 + i / 200, 1 + i % 200);
        shake_and_reset(peer, 0);
    }
    assert_in_range(entries(), ENTRIES * 9 / 10, ENTRIES);
    assert_true(h.memory.live_bytes - before <= ENTRIES * sizeof(struct nst_tcp_metrics) + 65536);
    assert_true(known(peer).measured);
    assert_false(known(PEER).measured);
    assert_true(known("192.0.2.1").cookie);
}

/* Where there is nothing but that, who connects to us leaves nothing. */
static void test_only_cookies(void **state)
{
    struct nst_flow_id server = {.local = address(US)};
    char peer[16];
    (void)state;

    for (unsigned i = 0; i < 4 * ENTRIES; i++) {
        snprintf(peer, sizeof peer, "198.51.%u.%u", 100 + i / 200, 1 + i % 200);
        server.peer = address(peer);
        nst_metrics_of_server(&h.stack->tcps, &server)->cookie = (struct nst_tcp_cookie){.len = 8};
    }
    assert_true(known(peer).cookie);
    size_t before = entries();
    shake_and_reset(peer, NST_MS);
    assert_true(known(peer).measured && known(peer).cookie);
    shake_and_reset(PEER, NST_MS);
    assert_int_equal(entries(), before);
    assert_false(known(PEER).measured);
}

/* It is worth an hour more than what everybody leaves, not for ever. */
static void test_old_cookies_give_way(void **state)
{
    struct nst_flow_id server = {.local = address(US), .peer = address("192.0.2.1")};
    char peer[16];
    (void)state;

    nst_metrics_of_server(&h.stack->tcps, &server)->cookie = (struct nst_tcp_cookie){.len = 8};
    h.check_every = 1000;
    harness_run(&h, 3700 * NST_SEC);
    for (unsigned i = 0; i < 4 * ENTRIES; i++) {
        snprintf(peer, sizeof peer, "198.51.%u.%u", 100 + i / 200, 1 + i % 200);
        shake_and_reset(peer, 0);
    }
    assert_false(known("192.0.2.1").cookie);
}

static void test_flush(void **state)
{
    struct nst_addr peer = address(PEER);
    (void)state;

    shake_and_reset(PEER, NST_MS);
    shake_and_reset(GATEWAY, NST_MS);
    assert_int_equal(nst_metrics_flush(h.stack, &peer), 1);
    assert_int_equal(nst_metrics_flush(h.stack, &peer), 0);
    assert_false(known(PEER).measured);
    assert_true(known(GATEWAY).measured);
    assert_int_equal(nst_metrics_flush(h.stack, NULL), 1);
    assert_int_equal(entries(), 0);
}

/* Without memory for its row a connection ends as ever. */
static void test_without_memory(void **state)
{
    (void)state;
    h.memory.fail_size = NST_TCP_METRICS_WAYS * sizeof(struct nst_tcp_metrics);
    shake_and_reset(PEER, NST_MS);
    assert_int_equal(entries(), 0);
    h.memory.fail_size = 0;
    shake_and_reset(PEER, NST_MS);
    assert_int_equal(entries(), 1);
}

static void test_switch(void **state)
{
    (void)state;
    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_METRICS, 4), -EINVAL);
    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_METRICS, 0), 0);
    shake_and_reset(PEER, NST_MS);
    assert_int_equal(entries(), 0);
    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_METRICS, NST_TCP_METRICS_PATH), 0);
    shake_and_reset(PEER, NST_MS);
    assert_int_equal(entries(), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_figures),    T(test_nothing_of_a_handshake), T(test_a_peer_spoils_its_own_only),
        T(test_many_hosts), T(test_only_cookies),           T(test_old_cookies_give_way),
        T(test_flush),      T(test_without_memory),         T(test_switch),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
