/* The neighbour cache: every event in every state, the timers, and what happens when it is full.
 *
 * The neighbours are 192.0.2.N; MAC_A is what they say first, MAC_B another. */
#include "core/link/neigh.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../core.h"

#define MAX       8
#define MAX_QUEUE 3

static const struct nst_mac MAC_A = {{2, 0, 0, 0, 0, 0xa}}, MAC_B = {{2, 0, 0, 0, 0, 0xb}};

static struct test_core core;
static struct nst_neigh_table table;
static unsigned asked, failed; /* solicitations wanted, packets given up */
static nst_time asked_at[256]; /* of 192.0.2.N, last */

static void begin(uint32_t max)
{
    test_core_init(&core);
    memset(asked_at, 0, sizeof asked_at);
    asked = failed = 0;
    assert_int_equal(nst_neigh_init(&table, &core.env, max, MAX_QUEUE), 0);
}

static int setup(void **state)
{
    (void)state;
    begin(MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_neigh_fini(&table);
    test_core_flush(&core);
    test_core_fini(&core);
    return 0;
}

static struct nst_addr host(unsigned n)
{
    return nst_addr_v4((uint8_t)(192 + (n >> 24)), (uint8_t)(n >> 16), (uint8_t)(2 + (n >> 8)),
                       (uint8_t)n);
}

static struct nst_neigh *find(unsigned n)
{
    struct nst_addr addr = host(n);

    return nst_neigh_find(&table, &core.iface, &addr);
}

/* What stack/ does after each call: asks, and tells the senders of what cannot be delivered. */
static void drain(void)
{
    struct nst_list *e;

    nst_neigh_check(&table);
    while ((e = nst_list_pop_front(&table.solicit))) {
        const struct nst_neigh *n = NST_CONTAINER(e, struct nst_neigh, solicit);
        assert_true(n->state == NST_NEIGH_INCOMPLETE || n->state == NST_NEIGH_PROBE);
        uint8_t last = n->addr.bytes[3];
        assert_true(asked_at[last] == 0 || table.max > MAX ||
                    core.env.now - asked_at[last] >= NST_SEC);
        asked_at[last] = core.env.now;
        asked++;
    }
    while ((e = nst_list_pop_front(&table.failed))) {
        nst_pkt_free(NST_CONTAINER(e, struct nst_pkt, node));
        failed++;
    }
}

static void fire(void *ctx, struct nst_timer *timer)
{
    (void)ctx;
    assert_int_equal(timer->kind, NST_TIMER_NEIGH);
    nst_neigh_timeout(&table, NST_CONTAINER(timer, struct nst_neigh, timer));
    drain();
}

static void run(nst_time after)
{
    test_core_run(&core, core.env.now + after, fire, NULL);
}

static void output_id(unsigned n, uint64_t id)
{
    struct nst_addr addr = host(n);
    struct nst_pkt *pkt = test_pkt(&core.pool, "payload", 7);

    pkt->id = id;
    nst_neigh_output_take(&table, nst_neigh_obtain(&table, &core.iface, &addr), pkt);
    drain();
}

static void output(unsigned n)
{
    output_id(n, 0);
}

static enum nst_drop input(unsigned n, const struct nst_mac *mac, enum nst_neigh_news news)
{
    struct nst_addr addr = host(n);
    enum nst_drop drop = nst_neigh_input(&table, &core.iface, &addr, mac, news);

    drain();
    return drop;
}

static int set(unsigned n, const struct nst_mac *mac)
{
    struct nst_addr addr = host(n);
    int err = nst_neigh_table_set(&table, &core.iface, &addr, mac);

    drain();
    return err;
}

static int del(unsigned n)
{
    struct nst_addr addr = host(n);
    int err = nst_neigh_table_del(&table, &core.iface, &addr);

    drain();
    return err;
}

static void assert_state(unsigned n, enum nst_neigh_state state)
{
    assert_non_null(find(n));
    assert_int_equal(find(n)->state, state);
}

/* Brings a neighbour that is not in the cache to a state; the interface's queue is empty then. */
static void bring_to(unsigned n, enum nst_neigh_state state)
{
    if (state == NST_NEIGH_PERMANENT) {
        assert_int_equal(set(n, &MAC_A), 0);
        return;
    }
    output(n);
    if (state == NST_NEIGH_FAILED)
        run(3 * NST_SEC);
    if (state == NST_NEIGH_FAILED || state == NST_NEIGH_INCOMPLETE)
        return;
    assert_int_equal(input(n, &MAC_A, NST_NEIGH_ANSWER), NST_DROP_NONE);
    run(2 * NST_SEC); /* longer than the address is locked */
    if (state != NST_NEIGH_REACHABLE)
        run(43 * NST_SEC);
    if (state == NST_NEIGH_DELAY || state == NST_NEIGH_PROBE)
        output(n);
    if (state == NST_NEIGH_PROBE)
        run(5 * NST_SEC);
    test_core_flush(&core);
    assert_state(n, state);
}

/* ---- States ------------------------------------------------------------------------------ */

enum {
    NONE = NST_NEIGH_PERMANENT + 1, /* not in the cache */
    STATES,
    INC = NST_NEIGH_INCOMPLETE,
    REA = NST_NEIGH_REACHABLE,
    STA = NST_NEIGH_STALE,
    DEL = NST_NEIGH_DELAY,
    PRO = NST_NEIGH_PROBE,
    FAI = NST_NEIGH_FAILED,
    PER = NST_NEIGH_PERMANENT,
};

enum event {
    OUTPUT,
    ANSWER_A,
    ANSWER_B,
    REQUEST_A,
    REQUEST_B,
    RUMOUR_A,
    RUMOUR_B,
    CONFIRM,
    TIMEOUT,
    SET_B,
    FORGET,
    EVENTS
};

struct outcome {
    unsigned state;
    char mac; /* 'A', 'B', or 0: none is known */
    unsigned sent, asked, failed;
    enum nst_drop drop;
};

#define LOCKED NST_DROP_arp_locked
#define OTHER  NST_DROP_arp_other

/* RFC 4861 §7.3.3 and appendix C, with ARP's messages in the place of neighbour discovery's; an
 * answer to nothing asked confirms nothing. */
static const struct outcome OUTCOMES[STATES][EVENTS] = {
    [NONE] = {[OUTPUT] = {.state = INC, .asked = 1},
              [ANSWER_A] = {.state = NONE, .drop = OTHER},
              [ANSWER_B] = {.state = NONE, .drop = OTHER},
              [REQUEST_A] = {.state = STA, .mac = 'A'},
              [REQUEST_B] = {.state = STA, .mac = 'B'},
              [RUMOUR_A] = {.state = NONE, .drop = OTHER},
              [RUMOUR_B] = {.state = NONE, .drop = OTHER},
              [CONFIRM] = {.state = NONE},
              [TIMEOUT] = {.state = NONE},
              [SET_B] = {.state = PER, .mac = 'B'},
              [FORGET] = {.state = NONE}},
    [INC] = {[OUTPUT] = {.state = INC},
             [ANSWER_A] = {.state = REA, .mac = 'A', .sent = 1},
             [ANSWER_B] = {.state = REA, .mac = 'B', .sent = 1},
             [REQUEST_A] = {.state = DEL, .mac = 'A', .sent = 1},
             [REQUEST_B] = {.state = DEL, .mac = 'B', .sent = 1},
             [RUMOUR_A] = {.state = DEL, .mac = 'A', .sent = 1},
             [RUMOUR_B] = {.state = DEL, .mac = 'B', .sent = 1},
             [CONFIRM] = {.state = INC},
             [TIMEOUT] = {.state = INC, .asked = 1},
             [SET_B] = {.state = PER, .mac = 'B', .sent = 1},
             [FORGET] = {.state = NONE, .failed = 1}},
    [REA] = {[OUTPUT] = {.state = REA, .mac = 'A', .sent = 1},
             [ANSWER_A] = {.state = REA, .mac = 'A'},
             [ANSWER_B] = {.state = STA, .mac = 'B'},
             [REQUEST_A] = {.state = REA, .mac = 'A'},
             [REQUEST_B] = {.state = STA, .mac = 'B'},
             [RUMOUR_A] = {.state = REA, .mac = 'A'},
             [RUMOUR_B] = {.state = STA, .mac = 'B'},
             [CONFIRM] = {.state = REA, .mac = 'A'},
             [TIMEOUT] = {.state = STA, .mac = 'A'},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
    [STA] = {[OUTPUT] = {.state = DEL, .mac = 'A', .sent = 1},
             [ANSWER_A] = {.state = STA, .mac = 'A'},
             [ANSWER_B] = {.state = STA, .mac = 'B'},
             [REQUEST_A] = {.state = STA, .mac = 'A'},
             [REQUEST_B] = {.state = STA, .mac = 'B'},
             [RUMOUR_A] = {.state = STA, .mac = 'A'},
             [RUMOUR_B] = {.state = STA, .mac = 'B'},
             [CONFIRM] = {.state = REA, .mac = 'A'},
             [TIMEOUT] = {.state = NONE},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
    [DEL] = {[OUTPUT] = {.state = DEL, .mac = 'A', .sent = 1},
             [ANSWER_A] = {.state = DEL, .mac = 'A'},
             [ANSWER_B] = {.state = STA, .mac = 'B'},
             [REQUEST_A] = {.state = DEL, .mac = 'A'},
             [REQUEST_B] = {.state = STA, .mac = 'B'},
             [RUMOUR_A] = {.state = DEL, .mac = 'A'},
             [RUMOUR_B] = {.state = STA, .mac = 'B'},
             [CONFIRM] = {.state = REA, .mac = 'A'},
             [TIMEOUT] = {.state = PRO, .mac = 'A', .asked = 1},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
    [PRO] = {[OUTPUT] = {.state = PRO, .mac = 'A', .sent = 1},
             [ANSWER_A] = {.state = REA, .mac = 'A'},
             [ANSWER_B] = {.state = REA, .mac = 'B'},
             [REQUEST_A] = {.state = PRO, .mac = 'A'},
             [REQUEST_B] = {.state = STA, .mac = 'B'},
             [RUMOUR_A] = {.state = PRO, .mac = 'A'},
             [RUMOUR_B] = {.state = STA, .mac = 'B'},
             [CONFIRM] = {.state = REA, .mac = 'A'},
             [TIMEOUT] = {.state = PRO, .mac = 'A', .asked = 1},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
    [FAI] = {[OUTPUT] = {.state = INC, .asked = 1},
             [ANSWER_A] = {.state = STA, .mac = 'A'},
             [ANSWER_B] = {.state = STA, .mac = 'B'},
             [REQUEST_A] = {.state = STA, .mac = 'A'},
             [REQUEST_B] = {.state = STA, .mac = 'B'},
             [RUMOUR_A] = {.state = STA, .mac = 'A'},
             [RUMOUR_B] = {.state = STA, .mac = 'B'},
             [CONFIRM] = {.state = FAI},
             [TIMEOUT] = {.state = NONE},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
    [PER] = {[OUTPUT] = {.state = PER, .mac = 'A', .sent = 1},
             [ANSWER_A] = {.state = PER, .mac = 'A'},
             [ANSWER_B] = {.state = PER, .mac = 'A', .drop = LOCKED},
             [REQUEST_A] = {.state = PER, .mac = 'A'},
             [REQUEST_B] = {.state = PER, .mac = 'A', .drop = LOCKED},
             [RUMOUR_A] = {.state = PER, .mac = 'A'},
             [RUMOUR_B] = {.state = PER, .mac = 'A', .drop = LOCKED},
             [CONFIRM] = {.state = PER, .mac = 'A'},
             [TIMEOUT] = {.state = PER, .mac = 'A'},
             [SET_B] = {.state = PER, .mac = 'B'},
             [FORGET] = {.state = NONE}},
};

/* Lets the event happen to neighbour 10; returns why it was dropped. */
static enum nst_drop happen(enum event event)
{
    struct nst_neigh *n = find(10);

    switch (event) {
    case OUTPUT:
        output(10);
        break;
    case ANSWER_A:
    case ANSWER_B:
        return input(10, event == ANSWER_A ? &MAC_A : &MAC_B, NST_NEIGH_ANSWER);
    case REQUEST_A:
    case REQUEST_B:
        return input(10, event == REQUEST_A ? &MAC_A : &MAC_B, NST_NEIGH_REQUEST);
    case RUMOUR_A:
    case RUMOUR_B:
        return input(10, event == RUMOUR_A ? &MAC_A : &MAC_B, NST_NEIGH_RUMOUR);
    case CONFIRM:
        if (n)
            nst_neigh_confirm(&table, n);
        break;
    case TIMEOUT:
        if (n && nst_timer_armed(&n->timer))
            run(nst_timer_at(&n->timer) - core.env.now);
        break;
    case SET_B:
        assert_int_equal(set(10, &MAC_B), 0);
        break;
    case FORGET:
        assert_int_equal(del(10), n ? 0 : -ENOENT);
        break;
    case EVENTS:
        break;
    }
    drain();
    return NST_DROP_NONE;
}

/* How many packets went to a MAC address; no other may have gone. */
static unsigned count_sent(const struct nst_mac *mac)
{
    struct nst_pkt *pkt;
    unsigned n = 0;

    for (; (pkt = nst_iface_pull(&core.iface)); n++) {
        assert_true(mac && nst_mac_eq(&pkt->mac, mac));
        nst_pkt_free(pkt);
    }
    return n;
}

static char known_mac(const struct nst_neigh *n)
{
    if (!n || nst_mac_is_zero(&n->mac))
        return 0;
    return nst_mac_eq(&n->mac, &MAC_A) ? 'A' : 'B';
}

static struct outcome outcome_of(unsigned from, enum event event)
{
    if (from != NONE)
        bring_to(10, (enum nst_neigh_state)from);
    asked = failed = 0;
    enum nst_drop drop = happen(event);
    const struct nst_neigh *n = find(10);
    return (struct outcome){.state = n ? (unsigned)n->state : NONE,
                            .mac = known_mac(n),
                            .sent = count_sent(n ? &n->mac : NULL),
                            .asked = asked,
                            .failed = failed,
                            .drop = drop};
}

/* Shows 1122-3, 1122-123, 826-1, 826-2. */
static void test_every_event_in_every_state(void **state)
{
    (void)state;

    for (unsigned from = 0; from < STATES; from++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            const struct outcome *want = &OUTCOMES[from][event];
            begin(MAX);
            struct outcome got = outcome_of(from, (enum event)event);
            if (got.state != want->state || got.mac != want->mac || got.sent != want->sent ||
                got.asked != want->asked || got.failed != want->failed || got.drop != want->drop)
                fail_msg("event %u in state %u: state %u, MAC %c, %u sent, %u asked, %u failed, "
                         "drop %u",
                         event, from, got.state, got.mac ? got.mac : '-', got.sent, got.asked,
                         got.failed, got.drop);
            teardown(NULL);
        }
    }
}

/* ---- Time -------------------------------------------------------------------------------- */

static void test_resolution_gives_up_after_three(void **state)
{
    (void)state;

    output(10);
    output(10);
    assert_int_equal(asked, 1);
    run(NST_SEC - NST_US);
    assert_int_equal(asked, 1);
    run(NST_US);
    assert_int_equal(asked, 2);
    run(NST_SEC);
    assert_int_equal(asked, 3);
    run(NST_SEC - NST_US);
    assert_state(10, NST_NEIGH_INCOMPLETE);
    assert_int_equal(failed, 0);
    run(NST_US);
    assert_state(10, NST_NEIGH_FAILED);
    assert_int_equal(failed, 2);
    assert_int_equal(asked, 3);
    assert_int_equal(core.env.stats[NST_STAT_neigh_failed], 1);
    run(30 * NST_SEC);
    assert_null(find(10));
    assert_int_equal(asked, 3);
}

static void test_probing_gives_up_after_three(void **state)
{
    (void)state;

    bring_to(10, NST_NEIGH_STALE);
    asked = 0;
    output(10);
    run(5 * NST_SEC - NST_US);
    assert_state(10, NST_NEIGH_DELAY);
    assert_int_equal(asked, 0);
    run(NST_US);
    for (unsigned n = 1; n <= 3; n++) {
        assert_state(10, NST_NEIGH_PROBE);
        assert_int_equal(asked, n);
        output(10); /* goes to where it always went */
        run(NST_SEC);
    }
    assert_state(10, NST_NEIGH_FAILED);
    assert_int_equal(find(10)->confirmed, 0);
    assert_int_equal(count_sent(&MAC_A), 4);
}

/* 30 s times a random factor between 0.5 and 1.5 (RFC 4861 §6.3.2). */
static void test_reachable_time(void **state)
{
    nst_time least = NST_TIME_NEVER, most = 0;
    (void)state;

    bring_to(10, NST_NEIGH_REACHABLE);
    for (unsigned i = 0; i < 300; i++) {
        nst_neigh_doubt(&table, find(10));
        nst_neigh_confirm(&table, find(10));
        nst_time left = nst_timer_at(&find(10)->timer) - core.env.now;
        assert_in_range(left, 15 * NST_SEC, 45 * NST_SEC);
        least = nst_min(least, left);
        most = nst_max(most, left);
        assert_int_equal(find(10)->confirmed, core.env.now);
        run(NST_MS);
    }
    assert_true(least < 16 * NST_SEC && most > 44 * NST_SEC);
}

/* The timer is left alone, and goes on from the last confirmation when it fires. */
static void test_confirming_the_reachable(void **state)
{
    (void)state;

    bring_to(10, NST_NEIGH_REACHABLE);
    nst_time reachable_ns = find(10)->reachable_ns, first = nst_timer_at(&find(10)->timer);
    run(reachable_ns / 2);
    nst_neigh_confirm(&table, find(10));
    nst_time confirmed = core.env.now;
    assert_int_equal(find(10)->confirmed, confirmed);
    assert_int_equal(nst_timer_at(&find(10)->timer), first);
    run(first - core.env.now);
    assert_state(10, NST_NEIGH_REACHABLE);
    nst_time again = nst_timer_at(&find(10)->timer);
    assert_in_range(again, confirmed + reachable_ns, confirmed + reachable_ns + NST_US);
    run(again - core.env.now);
    assert_state(10, NST_NEIGH_STALE);
}

static void test_unused_is_forgotten(void **state)
{
    (void)state;

    input(10, &MAC_A, NST_NEIGH_REQUEST);
    run(600 * NST_SEC - NST_US);
    assert_state(10, NST_NEIGH_STALE);
    run(NST_US);
    assert_null(find(10));
    assert_int_equal(asked, 0);
}

/* A confirmed MAC address does not change within a second (ARP poisoning). */
static void test_confirmed_address_is_locked(void **state)
{
    static const enum nst_neigh_news news[] = {NST_NEIGH_ANSWER, NST_NEIGH_REQUEST,
                                               NST_NEIGH_RUMOUR};
    (void)state;

    output(10);
    input(10, &MAC_A, NST_NEIGH_ANSWER);
    run(NST_SEC - NST_US);
    for (size_t i = 0; i < NST_ARRAY_LEN(news); i++) {
        assert_int_equal(input(10, &MAC_B, news[i]), NST_DROP_arp_locked);
        assert_int_equal(input(10, &MAC_A, news[i]), NST_DROP_NONE);
        assert_true(nst_mac_eq(&find(10)->mac, &MAC_A));
        assert_state(10, NST_NEIGH_REACHABLE);
    }
    run(NST_US);
    assert_int_equal(input(10, &MAC_B, NST_NEIGH_RUMOUR), NST_DROP_NONE);
    assert_true(nst_mac_eq(&find(10)->mac, &MAC_B));
}

/* Whatever happens in whatever order, no neighbour is asked more than once a second (asserted in
 * drain()), and the cache never contradicts itself. Shows 1122-4. */
static void test_one_solicitation_a_second(void **state)
{
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 11);
    for (unsigned step = 0; step < 30000; step++) {
        unsigned n = (unsigned)nst_prng_below(&prng, MAX);
        const struct nst_mac *mac = nst_prng_below(&prng, 4) ? &MAC_A : &MAC_B;
        uint64_t what = nst_prng_below(&prng, 40);
        if (what < 20)
            output(n);
        else if (what < 23)
            input(n, mac, (enum nst_neigh_news)(what - 20));
        else if (what == 23 && find(n))
            nst_neigh_confirm(&table, find(n));
        else
            run(nst_prng_next(&prng) >> (31 + nst_prng_below(&prng, 16)));
        test_core_flush(&core);
    }
    assert_true(asked > 1000);
}

/* ---- Queues ------------------------------------------------------------------------------ */

static unsigned drops_seen;

static void record_drop(void *ctx, const struct nst_trace_event *event)
{
    uint64_t *first = ctx;

    assert_int_equal(event->drop, NST_DROP_neigh_queue);
    assert_int_equal(event->id, *first + drops_seen++);
}

/* The oldest make room for the newest (RFC 1122 §2.3.2.2: keep the latest), and order is kept.
 * Shows 1122-6. */
static void test_queue_keeps_the_latest(void **state)
{
    uint64_t first = 100;
    struct nst_pkt *pkt;
    (void)state;

    drops_seen = 0;
    core.env.trace = record_drop;
    core.env.trace_ctx = &first;
    for (uint64_t i = 0; i < 5; i++)
        output_id(10, first + i);
    assert_int_equal(drops_seen, 2);
    assert_int_equal(core.env.drops[NST_DROP_neigh_queue], 2);
    assert_int_equal(find(10)->queued, MAX_QUEUE);
    input(10, &MAC_A, NST_NEIGH_ANSWER);
    for (uint64_t i = 2; i < 5; i++) {
        pkt = nst_iface_pull(&core.iface);
        assert_int_equal(pkt->id, first + i);
        assert_int_equal(pkt->link, 1);
        nst_pkt_free(pkt);
    }
    assert_null(nst_iface_pull(&core.iface));
}

/* ---- A full cache ------------------------------------------------------------------------ */

static void test_evicts_the_least_recently_used(void **state)
{
    (void)state;

    for (unsigned n = 0; n < MAX; n++)
        output(n);
    output(0); /* now 1 is the oldest */
    output(100);
    assert_null(find(1));
    assert_non_null(find(0));
    assert_int_equal(failed, 1); /* its packet is not lost silently */
    assert_int_equal(core.env.stats[NST_STAT_neigh_evicted], 1);
    assert_int_equal(table.count, MAX);
}

/* Who answered survives any number of names that never did. */
static void test_confirmed_survive_rumours(void **state)
{
    (void)state;

    bring_to(0, NST_NEIGH_STALE);
    bring_to(1, NST_NEIGH_REACHABLE);
    bring_to(2, NST_NEIGH_PERMANENT);
    for (unsigned n = 100; n < 200; n++) {
        if (n % 2)
            output(n);
        else
            input(n, &MAC_B, NST_NEIGH_REQUEST);
    }
    assert_state(0, NST_NEIGH_STALE);
    assert_state(1, NST_NEIGH_REACHABLE);
    assert_state(2, NST_NEIGH_PERMANENT);
    assert_int_equal(table.count, MAX);
}

/* A forged request, then a forged ping whose reply goes out: the entry is in use, but by nobody who
 * ever answered. It must neither outlive a neighbour that did nor keep others from being asked. */
static void test_forged_use_gives_no_precedence(void **state)
{
    (void)state;

    bring_to(0, NST_NEIGH_STALE);
    for (unsigned n = 100; n < 200; n++) {
        input(n, &MAC_B, NST_NEIGH_REQUEST);
        output(n);
        assert_state(n, NST_NEIGH_DELAY);
    }
    assert_state(0, NST_NEIGH_STALE);
    output(1);
    assert_state(1, NST_NEIGH_INCOMPLETE);
    assert_int_equal(core.env.drops[NST_DROP_neigh_full], 0);
}

static void test_confirmed_give_way_when_stale(void **state)
{
    (void)state;

    for (unsigned n = 0; n < MAX; n++)
        bring_to(n, NST_NEIGH_STALE);
    output(100);
    assert_null(find(0));
    assert_state(1, NST_NEIGH_STALE);
    assert_state(100, NST_NEIGH_INCOMPLETE);
}

/* One second from their first packet to the last: nobody's reachability ends meanwhile. */
static void fill_with_reachable(unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        output(n);
        input(n, &MAC_A, NST_NEIGH_ANSWER);
    }
    test_core_flush(&core);
}

static void test_full_of_living_neighbours(void **state)
{
    (void)state;

    fill_with_reachable(MAX);
    output(100);
    assert_int_equal(core.env.drops[NST_DROP_neigh_full], 1);
    assert_int_equal(input(101, &MAC_B, NST_NEIGH_REQUEST), NST_DROP_neigh_full);
    assert_int_equal(set(102, &MAC_B), -ENOSPC);
    for (unsigned n = 0; n < MAX; n++)
        assert_state(n, NST_NEIGH_REACHABLE);
    assert_int_equal(set(0, &MAC_B), 0); /* one that is there can still be changed */
}

static void test_full_of_permanent_neighbours(void **state)
{
    (void)state;

    for (unsigned n = 0; n < MAX; n++)
        assert_int_equal(set(n, &MAC_A), 0);
    assert_int_equal(set(100, &MAC_A), -ENOSPC);
    output(100);
    assert_int_equal(core.env.drops[NST_DROP_neigh_full], 1);
    assert_int_equal(del(3), 0);
    output(100);
    assert_state(100, NST_NEIGH_INCOMPLETE);
}

/* The search for somebody stale among many living is bounded, and goes on where it ended. */
static void test_bounded_search_comes_round(void **state)
{
    enum { MANY = 100 };
    (void)state;

    teardown(NULL);
    begin(MANY);
    fill_with_reachable(MANY);
    run(2 * NST_SEC);
    input(MANY - 1, &MAC_B, NST_NEIGH_RUMOUR);
    assert_state(MANY - 1, NST_NEIGH_STALE);
    unsigned tries = 0;
    for (; !find(200); tries++) {
        assert_true(tries < MANY / 32 + 1);
        output(200);
    }
    assert_null(find(MANY - 1));
}

/* Many permanent entries, which may never go, do not cost a confirmed one its place. */
static void test_permanent_do_not_shield_rumours(void **state)
{
    enum { MANY = 100 };
    (void)state;

    teardown(NULL);
    begin(MANY);
    bring_to(0, NST_NEIGH_STALE);
    for (unsigned n = 1; n < MANY - 10; n++)
        assert_int_equal(set(n, &MAC_A), 0);
    for (unsigned n = 1000; n < 1000 + 3 * MANY; n++)
        input(n, &MAC_B, NST_NEIGH_REQUEST);
    assert_state(0, NST_NEIGH_STALE);
    for (unsigned n = 1; n < MANY - 10; n++)
        assert_state(n, NST_NEIGH_PERMANENT);
    assert_int_equal(table.count, MANY);
}

/* 65,536 names, asked for here and claimed there. */
static void test_flood(void **state)
{
    enum { BOUND = 64, NAMES = 65536 };
    size_t most = 0;
    (void)state;

    teardown(NULL);
    begin(BOUND);
    bring_to(0, NST_NEIGH_PERMANENT);
    bring_to(1, NST_NEIGH_REACHABLE);
    for (unsigned n = 1000; n < 1000 + NAMES; n++) {
        if (n % 3)
            output(n);
        else
            input(n, &MAC_B, NST_NEIGH_REQUEST);
        assert_true(table.count <= BOUND);
        if (n == 1000 + 4 * BOUND)
            most = core.memory.peak_bytes;
    }
    assert_int_equal(core.memory.peak_bytes, most);
    assert_state(0, NST_NEIGH_PERMANENT);
    assert_state(1, NST_NEIGH_REACHABLE);
    assert_int_equal(core.env.drops[NST_DROP_neigh_full], 0);
}

/* ---- Memory, interfaces ------------------------------------------------------------------ */

static void test_no_memory(void **state)
{
    struct nst_neigh_table other;
    (void)state;

    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(nst_neigh_init(&other, &core.env, UINT32_MAX, 1), -ENOMEM);
    nst_neigh_fini(&other);
    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(set(10, &MAC_A), -ENOMEM);
    test_memory_fail_in(&core.memory, 1);
    assert_int_equal(input(10, &MAC_A, NST_NEIGH_REQUEST), NST_DROP_neigh_full);
    assert_int_equal(table.count, 0);
}

static void test_same_address_on_another_interface(void **state)
{
    struct nst_link_config config = core.iface.config;
    struct nst_addr addr = host(10);
    struct nst_iface other;
    (void)state;

    nst_iface_init(&other, &core.pool, 2, &config, 10);
    assert_int_equal(set(10, &MAC_A), 0);
    assert_null(nst_neigh_find(&table, &other, &addr));
    assert_int_equal(nst_neigh_table_set(&table, &other, &addr, &MAC_B), 0);
    assert_true(nst_mac_eq(&find(10)->mac, &MAC_A));
    assert_int_equal(nst_neigh_table_del(&table, &other, &addr), 0);
    assert_non_null(find(10));
    nst_iface_fini(&other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_in_every_state),
        TEST(test_resolution_gives_up_after_three),
        TEST(test_probing_gives_up_after_three),
        TEST(test_reachable_time),
        TEST(test_confirming_the_reachable),
        TEST(test_unused_is_forgotten),
        TEST(test_confirmed_address_is_locked),
        TEST(test_one_solicitation_a_second),
        TEST(test_queue_keeps_the_latest),
        TEST(test_evicts_the_least_recently_used),
        TEST(test_confirmed_survive_rumours),
        TEST(test_forged_use_gives_no_precedence),
        TEST(test_confirmed_give_way_when_stale),
        TEST(test_full_of_living_neighbours),
        TEST(test_full_of_permanent_neighbours),
        TEST(test_bounded_search_comes_round),
        TEST(test_permanent_do_not_shield_rumours),
        TEST(test_flood),
        TEST(test_no_memory),
        TEST(test_same_address_on_another_interface),
    };
    return cmocka_run_group_tests_name("neigh", tests, NULL, NULL);
}
