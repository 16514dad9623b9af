/* Attacks on TCP by many segments or many connections: memory and state stay within their limits,
 * the work for one segment does not grow with what an attacker has piled up, and somebody else's
 * connection goes on all the while.
 *
 * Work is counted, not timed: in the entries that a lookup has to pass, and in allocations.
 *
 * Rows: 109 124 126 to 128 130 131 139 162 164 174 to 176 186 197 198 228 247 266 269 270 274 312
 * 314 315 318 319 321. */
#include <errno.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define SYNS 100000

static struct harness h;
static struct dialogue d;     /* the attacker's */
static struct dialogue other; /* somebody else's */

static struct nst_tcps *tcps(void)
{
    return &h.stack->tcps;
}

static void begin(const struct nst_limits *limits)
{
    harness_init(&h, limits, 0);
    h.check_every = 5000;
    dialogue_init(&other, &h, 3999, 4999);
    dialogue_open(&other);
    dialogue_init(&d, &h, 4000, 5000);
}

static int setup(void **state)
{
    (void)state;
    begin(NULL);
    return 0;
}

/* With so little memory that a flood can fill it. */
static int setup_small(void **state)
{
    (void)state;
    begin(&(const struct nst_limits){.memory_bytes = (size_t)4 << 20});
    return 0;
}

/* Somebody else's connection moves bytes, both ways. */
static void assert_other_moves(void)
{
    uint8_t buf[200];

    dialogue_say(&other, ACK | PSH, 100);
    assert_int_equal(dialogue_read(&other, buf, sizeof buf), 100);
    assert_int_equal(memcmp(buf, (const uint8_t[]){0, 7, 14}, 3), 0);
    assert_int_equal(harness_send(&h, other.sock, NULL, 0, buf, 100), 100);
    harness_pull(&h);
    struct seg out[4];
    size_t n = dialogue_out(&other, out, 4);
    assert_true(n > 0 && out[n - 1].len == 100);
    other.ack += 100;
    dialogue_say(&other, ACK, 0);
}

static int teardown(void **state)
{
    (void)state;
    assert_other_moves();
    harness_fini(&h);
    return 0;
}

/* Another peer for each number. */
static void from(struct dialogue *who, unsigned i)
{
    static char text[16];

    snprintf(text, sizeof text, "198.51.%u.%u", 100 + (i >> 20 & 15), 1 + (i >> 14 & 63));
    who->peer = text;
    who->pport = (uint16_t)(1024 + (i & 0x3fff));
    who->seq = i * 7919;
}

/* Second by second: what is sent meanwhile is looked at by nobody. */
static void wait_seconds(unsigned n)
{
    while (n-- > 0)
        harness_run(&h, NST_SEC);
}

/* The longest way that a lookup has to go. */
static unsigned longest_chain(void)
{
    unsigned longest = 0;

    for (uint32_t i = 0; i <= tcps()->mask; i++) {
        unsigned n = 0;
        for (const struct nst_flow *f = tcps()->buckets[i]; f; f = f->next)
            n++;
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* ---- SYNs -------------------------------------------------------------------------------- */

static void send_syn(unsigned i)
{
    from(&d, i);
    const struct seg syn = {.seq = d.seq, .flags = SYN, .wnd = 65535, .options = MSS_1460};
    dialogue_in(&d, &syn);
}

/* Rows 197, 198, 228, 266, 314: half-open connections up to the limit, cookies afterwards. */
static void test_266_syn_flood(void **state)
{
    (void)state;
    dialogue_listen(&d, 100);
    for (unsigned i = 0; i < 2000; i++)
        send_syn(i);
    uint32_t flows = tcps()->nflows;
    size_t live = h.memory.live_bytes;
    assert_in_range(flows, 100, 130);
    assert_true(sizeof(struct nst_tcp_req) <= 192);
    uint64_t calls = 0;
    for (unsigned i = 2000; i < SYNS; i++) {
        uint64_t before = h.memory.calls;
        send_syn(i);
        calls += h.memory.calls - before;
        assert_true(dialogue_sent(&d).flags == (SYN | ACK));
    }
    assert_int_equal(tcps()->nflows, flows);
    assert_true(h.memory.live_bytes <= live + 65536); /* row 130: nothing is allocated */
    assert_true(calls < 100);
    assert_int_equal(harness_stat(&h, "tcp.cookies_sent"), SYNS - (flows - 1));
    struct dialogue honest;
    dialogue_init(&honest, &h, 4000, 9);
    honest.listener = d.listener;
    dialogue_open_passive(&honest);
    wait_seconds(200);
    assert_int_equal(tcps()->nflows, 2);
}

/* A listener whose owner hears of SYNs; it has heard of everything so far. */
static void listen_asked(uint32_t backlog)
{
    struct nst_event event;

    dialogue_listen(&d, backlog);
    assert_int_equal(nst_setopt(h.stack, d.listener, NST_OPT_SYN_EVENTS, 1), 0);
    while (nst_events(h.stack, &event, 1) == 1)
        ;
}

/* Such an owner has one event for all that came together, and none once there are only cookies. */
static void test_266_syn_flood_asked(void **state)
{
    struct nst_event events[2];
    (void)state;

    listen_asked(100);
    for (unsigned i = 0; i < 20; i++) {
        h.held = true;
        for (unsigned j = 0; j < 300; j++)
            send_syn(300 * i + j);
        assert_int_equal(nst_events(h.stack, events, 2), i == 0);
        assert_true(i > 0 || events[0].ready == NST_READY_SYN);
        h.held = false;
        harness_pull(&h);
        assert_int_equal(h.ntx, 300);
        assert_in_range(tcps()->nflows, 100, 130);
    }
    assert_int_equal(harness_stat(&h, "tcp.cookies_sent"), 6000 - (tcps()->nflows - 1));
    wait_seconds(200);
    assert_int_equal(tcps()->nflows, 1);
}

/* Who hears of SYNs and then has the stack do nothing: they are answered once at last, or
 * forgotten. */
static void test_266_asked_and_left(void **state)
{
    (void)state;
    listen_asked(100);
    h.held = true;
    send_syn(1);
    h.now += 1500 * NST_MS;
    send_syn(2);
    h.held = false;
    harness_pull(&h);
    assert_int_equal(dialogue_sent(&d).flags, SYN | ACK);
    from(&d, 1);
    assert_int_equal(dialogue_sent(&d).flags, SYN | ACK);

    h.held = true;
    send_syn(3);
    from(&d, 4);
    for (unsigned i = 0; i < 200; i++) {
        h.now += NST_SEC;
        dialogue_in(&d, &(const struct seg){.flags = SYN | FIN, .wnd = 1});
    }
    from(&d, 3);
    assert_null(dialogue_flow(&d));
    h.held = false;
    harness_pull(&h);
    dialogue_silent(&d);
}

static void test_131_syn_fin_flood(void **state)
{
    (void)state;
    dialogue_listen(&d, 100);
    size_t live = h.memory.live_bytes;
    uint32_t flows = tcps()->nflows;
    for (unsigned i = 0; i < SYNS / 10; i++) {
        from(&d, i);
        dialogue_in(&d, &(const struct seg){.flags = SYN | FIN, .wnd = 1});
        harness_silent(&h);
    }
    assert_int_equal(tcps()->nflows, flows);
    assert_int_equal(h.memory.live_bytes, live);
}

/* Rows 274, 312: strangers get a thousand RSTs a second, of forty bytes each. */
static void test_312_resets_are_limited(void **state)
{
    size_t resets = 0;
    (void)state;

    harness_run(&h, NST_SEC);
    for (unsigned i = 0; i < 20000; i++) { /* in two seconds */
        h.now += 100 * NST_US;
        from(&d, i);
        dialogue_in(&d, &(const struct seg){.flags = i % 2 ? ACK : SYN});
        struct seg out[2];
        size_t n = dialogue_out(&d, out, 2);
        assert_true(n == 0 || (out[0].len == 0 && out[0].opts_len == 0));
        resets += n;
    }
    assert_in_range(resets, 2000, 3100);
    assert_int_equal(harness_stat(&h, "tcp.resets_limited"), 20000 - resets);
    assert_int_equal(tcps()->nflows, 1);
}

/* Row 139: whoever chooses addresses and ports cannot make lookups long. */
static void test_139_hash_flood(void **state)
{
    (void)state;
    tcps()->config.max_reqs = UINT32_MAX;
    dialogue_listen(&d, 100);
    nst_socket(h.stack, &(nst_sock){0}, NST_AF_INET, NST_SOCK_STREAM, 0, 0);
    for (struct nst_list *e = tcps()->listeners[4000 % NST_TCP_PORT_BUCKETS].next;
         e != &tcps()->listeners[4000 % NST_TCP_PORT_BUCKETS]; e = e->next)
        NST_CONTAINER(e, struct nst_tcp_listener, place)->backlog = UINT32_MAX;
    for (unsigned i = 0; i < 65536; i++)
        send_syn(i << 4); /* the same low bits */
    assert_int_equal(tcps()->nflows, 65537);
    assert_true(longest_chain() <= 12);
}

/* ---- Connections ------------------------------------------------------------------------- */

/* Row 315: nobody accepts. */
static void test_315_accept_queue_exhaustion(void **state)
{
    (void)state;
    dialogue_listen(&d, 50);
    for (unsigned i = 0; i < 5000; i++) {
        send_syn(i);
        struct seg out;
        if (dialogue_out(&d, &out, 1) == 0)
            continue;
        const struct seg ack = {.seq = d.seq + 1, .ack = out.seq + 1, .flags = ACK, .wnd = 1};
        dialogue_in(&d, &ack);
        dialogue_silent(&d);
    }
    assert_true(tcps()->nflows <= 1 + 51 + 50);
    assert_true(harness_drops(&h, NST_DROP_tcp_accept_queue) > 4000);
}

static nst_sock socks[4000];

/* Opens `n` connections that the server has accepted. */
static void open_many(unsigned n)
{
    if (!d.listener)
        dialogue_listen(&d, 100);
    for (unsigned i = 0; i < n; i++) {
        from(&d, i);
        dialogue_shake(&d);
        socks[i] = dialogue_accept(&d);
    }
}

/* Row 269: an idle connection costs little, and nothing of the packets' memory. */
static void test_269_naptha(void **state)
{
    (void)state;
    dialogue_listen(&d, 100);
    size_t live = h.memory.live_bytes, pkts = harness_memory(&h);
    open_many(2000);
    assert_true((h.memory.live_bytes - live) / 2000 <= 2048);
    assert_true(harness_memory(&h) <= pkts + 8192);
}

/* Row 270: who connects, asks for much and closes the window holds memory; not all of it, and not
 * for ever when it is scarce. */
static void test_270_sockstress(void **state)
{
    static uint8_t answer[60000];
    unsigned refused = 0;
    (void)state;

    d.wnd = 0;
    open_many(200);
    for (unsigned i = 0; i < 200; i++)
        refused += harness_send(&h, socks[i], NULL, 0, answer, sizeof answer) < 60000;
    harness_pull(&h);
    assert_true(refused > 100);
    assert_true(nst_pool_is_scarce(&h.stack->pool));
    assert_other_moves();
    for (unsigned i = 0; i < 2000 && nst_pool_is_scarce(&h.stack->pool); i++)
        harness_run(&h, NST_SEC);
    assert_false(nst_pool_is_scarce(&h.stack->pool));
    assert_other_moves();
}

/* Rows 321, 175: data that nobody reads, in order and out of it. */
static void test_321_receive_memory(void **state)
{
    size_t most = 0;
    (void)state;

    open_many(300);
    for (uint32_t at = 0; at < 60000; at += 2000) {
        for (unsigned i = 0; i < 300; i++) {
            from(&d, i);
            const struct nst_tcb *t = dialogue_tcb(&d);
            const struct seg s = {.seq = d.seq + 1 + at + (i % 2 ? 0 : 1000),
                                  .ack = t->snd.nxt.v,
                                  .flags = ACK,
                                  .wnd = 65535,
                                  .len = 1000};
            dialogue_in(&d, &s);
        }
        most = nst_max(most, tcps()->ooo_bytes);
        assert_other_moves();
    }
    assert_true(most > 0 && most <= ((size_t)4 << 20) / 4);
    assert_true(harness_memory(&h) < (size_t)4 << 20);
}

static void say_ahead(uint32_t at)
{
    const struct seg s = {.seq = d.seq + at, .ack = d.ack, .flags = ACK, .wnd = 65535, .len = 1000};

    dialogue_in(&d, &s);
}

/* While memory is scarce what waits behind a hole grows no further: what is nearer takes the place
 * of what is further ahead. What the owner reads goes on. */
static void test_321_holes_while_memory_is_scarce(void **state)
{
    struct nst_pkt *pkts[4096];
    size_t n = 0;
    (void)state;

    dialogue_open(&d);
    say_ahead(4000);
    while (!nst_pool_is_scarce(&h.stack->pool) && n < NST_ARRAY_LEN(pkts))
        assert_non_null(pkts[n++] = nst_pkt_alloc(h.stack, 1500));
    assert_true(nst_pool_is_scarce(&h.stack->pool));
    for (uint32_t at = 6000; at < 40000; at += 2000)
        say_ahead(at);
    assert_int_equal(nst_ooo_bytes(dialogue_tcb(&d)->act->ooo), 1000);
    assert_int_equal(harness_drops(&h, NST_DROP_tcp_ooo_full), 17);
    say_ahead(2000);
    assert_int_equal(nst_ooo_bytes(dialogue_tcb(&d)->act->ooo), 1000);
    assert_int_equal(harness_drops(&h, NST_DROP_tcp_ooo_full), 18);
    assert_other_moves();
    while (n > 0)
        nst_pkt_free(pkts[--n]);
    say_ahead(4000);
    assert_int_equal(nst_ooo_bytes(dialogue_tcb(&d)->act->ooo), 2000);
}

/* Row 174: ten thousand that close with data which the peer does not take, none left after it. */
static void test_174_last_ack_flood(void **state)
{
    (void)state;
    open_many(1000);
    for (unsigned i = 0; i < 1000; i++) {
        from(&d, i);
        const struct nst_tcb *t = dialogue_tcb(&d);
        const struct seg fin = {
            .seq = t->rcv.nxt.v, .ack = t->snd.nxt.v, .flags = FIN | ACK, .wnd = 0};
        dialogue_in(&d, &fin);
        assert_int_equal(harness_send(&h, socks[i], NULL, 0, "unsent", 6), 6);
        assert_int_equal(nst_close(h.stack, socks[i]), 0);
    }
    assert_int_equal(tcps()->norphans, 1000);
    wait_seconds(600);
    assert_int_equal(tcps()->norphans, 0);
    assert_int_equal(tcps()->nflows, 1);
}

static void test_162_orphans_are_limited(void **state)
{
    (void)state;
    tcps()->config.max_orphans = 100;
    d.wnd = 0;
    open_many(300);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(nst_close(h.stack, socks[i]), 0);
    harness_pull(&h);
    assert_int_equal(tcps()->norphans, 100);
    assert_int_equal(harness_stat(&h, "tcp.orphans_reset"), 200);
}

/* Row 318: the server closes first, again and again. */
static void test_318_time_wait_churn(void **state)
{
    (void)state;
    tcps()->config.max_timewaits = 1000;
    dialogue_listen(&d, 100);
    assert_true(sizeof(struct nst_tcp_timewait) <= 64);
    for (unsigned i = 0; i < 5000; i++) {
        from(&d, i);
        dialogue_shake(&d);
        assert_int_equal(nst_close(h.stack, dialogue_accept(&d)), 0);
        harness_pull(&h);
        d.ack++;
        dialogue_say(&d, FIN | ACK, 0);
        assert_int_equal(dialogue_state(&d), NST_TCP_TIME_WAIT);
        assert_true(tcps()->ntimewaits <= 1000);
    }
    assert_int_equal(tcps()->nflows, 1001);
    d.seq += 1000; /* RFC 6191: the same ends again */
    dialogue_shake(&d);
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
    wait_seconds(61);
    assert_int_equal(tcps()->ntimewaits, 0);
}

/* Row 319: every port to one peer is in use; another peer is as good as ever. That there is none is
 * found out once, until one is given back. */
static void test_319_port_exhaustion(void **state)
{
    const struct nst_sockaddr to = {.addr = test_addr(PEER), .port = 80};
    const struct nst_sockaddr else_where = {.addr = test_addr(PEER), .port = 81};
    static bool seen[65536];
    struct nst_sock_info info;
    nst_sock sock, last = 0;
    uint16_t last_port = 0;
    (void)state;

    for (unsigned i = 0; i < 60999 - 32768 + 1; i++) {
        sock = harness_socket(&h, NST_SOCK_STREAM, 0);
        assert_int_equal(nst_connect(h.stack, sock, &to), -EINPROGRESS);
        assert_int_equal(nst_info(h.stack, sock, &info), 0);
        assert_false(seen[info.local.port]);
        seen[info.local.port] = true;
        last = sock;
        last_port = info.local.port;
        if (i % 1000 == 0)
            harness_pull(&h);
    }
    sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_connect(h.stack, sock, &to), -EADDRNOTAVAIL);
    uint64_t tries = harness_stat(&h, "tcp.port_tries");
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(nst_connect(h.stack, sock, &to), -EADDRNOTAVAIL);
    assert_int_equal(harness_stat(&h, "tcp.port_tries"), tries);
    assert_int_equal(nst_connect(h.stack, sock, &else_where), -EINPROGRESS);
    assert_in_range(harness_stat(&h, "tcp.port_tries"), tries + 1, tries + 10);
    harness_pull(&h);

    nst_close(h.stack, last); /* gives its port back */
    sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_connect(h.stack, sock, &to), -EINPROGRESS);
    assert_int_equal(nst_info(h.stack, sock, &info), 0);
    assert_int_equal(info.local.port, last_port);
    harness_pull(&h);
}

/* ---- Segments ---------------------------------------------------------------------------- */

/* Rows 124, 164, 176: a byte here, a byte there. */
static void test_124_out_of_order_bombs(void **state)
{
    (void)state;
    dialogue_open(&d);
    size_t pkts = harness_memory(&h);
    for (uint32_t i = 0; i < 60000; i++) {
        const struct seg s = {.seq = d.seq + 1 + (i * 7919) % 64000 / 2 * 2,
                              .ack = d.ack,
                              .flags = ACK,
                              .wnd = 65535,
                              .len = 1};
        dialogue_in(&d, &s);
        assert_true(nst_ooo_mem(dialogue_tcb(&d)->act->ooo) <= 2 * dialogue_tcb(&d)->opt.rcvbuf);
    }
    assert_true(harness_memory(&h) <= pkts + (3u << 20));
    assert_true(harness_drops(&h, NST_DROP_tcp_ooo_full) > 10000);
    dialogue_say(&d, ACK, 1460); /* in order: taken, whatever waits */
    assert_true(dialogue_tcb(&d)->act->recvq.bytes >= 1460);
}

/* Row 247: one byte a segment, in order, and nobody reads. */
static void test_247_one_byte_segments(void **state)
{
    (void)state;
    dialogue_open(&d);
    size_t pkts = harness_memory(&h);
    for (unsigned i = 0; i < 60000; i++)
        dialogue_say(&d, ACK, 1);
    assert_int_equal(dialogue_tcb(&d)->act->recvq.bytes, 60000);
    assert_true(harness_memory(&h) - pkts <= 2 * 60000 + 16384);
}

static void sack(uint32_t from_byte, uint32_t to_byte)
{
    char options[40];

    snprintf(options, sizeof options, "0101050a %08x %08x", d.ack + from_byte, d.ack + to_byte);
    const struct seg s = {
        .seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535, .options = options};
    dialogue_in(&d, &s);
}

static size_t records(void)
{
    size_t n = 0;

    NST_TREE_FOREACH (node, &dialogue_tcb(&d)->act->board.records)
        n++;
    return n;
}

/* Many tiny segments out at once: the peer's MSS is 48. */
static void fill(size_t len)
{
    d.syn_options = "02040030 01010402";
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 1500), 0);
    dialogue_open(&d);
    dialogue_tcb(&d)->act->cc.cwnd = 1u << 20; /* as after a long time */
    dialogue_write(&d, len);
}

/* Rows 126, 127, 186: each second segment is reported, from either end, in parts and wholes. */
static void test_127_sack_bombs(void **state)
{
    (void)state;
    fill(48 * 1200);
    size_t most = 0;
    for (uint32_t i = 1; i < 1200; i += 2) {
        sack(48 * i, 48 * (i + 1));
        sack(48 * (1200 - i), 48 * (1201 - i) - 1);
        sack(48 * i + 1, 48 * i + 2);
        nst_board_check(dialogue_tcb(&d));
        most = nst_max(most, records());
    }
    assert_true(most <= 1201); /* never finer than segments are */
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
}

/* Row 127: what is reported again and again is passed in one step. */
static void test_127_sack_of_all(void **state)
{
    (void)state;
    fill(48 * 1200);
    for (uint32_t i = 2; i <= 1200; i++) {
        sack(48, 48 * i);
        assert_true(records() <= 4);
    }
    assert_int_equal(records(), 2);
    struct nst_tcp_board *b = &dialogue_tcb(&d)->act->board;
    assert_int_equal(b->sacked, 48 * 1199);
}

/* Row 128: the tiniest segments are 48 bytes, whatever the peer says. */
static void test_128_low_mss(void **state)
{
    struct seg out[64];
    (void)state;

    d.syn_options = "02040001";
    dialogue_open(&d);
    dialogue_write(&d, 480);
    size_t n = dialogue_out(&d, out, 64);
    assert_int_equal(n, 10);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out[i].len, 48);
}

#define T(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_266_syn_flood),
        T(test_266_syn_flood_asked),
        T(test_266_asked_and_left),
        T(test_131_syn_fin_flood),
        T(test_312_resets_are_limited),
        T(test_139_hash_flood),
        T(test_315_accept_queue_exhaustion),
        T(test_269_naptha),
        SMALL(test_270_sockstress),
        SMALL(test_321_receive_memory),
        SMALL(test_321_holes_while_memory_is_scarce),
        T(test_174_last_ack_flood),
        T(test_162_orphans_are_limited),
        T(test_318_time_wait_churn),
        T(test_319_port_exhaustion),
        T(test_124_out_of_order_bombs),
        T(test_247_one_byte_segments),
        T(test_127_sack_bombs),
        T(test_127_sack_of_all),
        T(test_128_low_mss),
    };

    return cmocka_run_group_tests_name("tcp/floods", tests, NULL, NULL);
}
