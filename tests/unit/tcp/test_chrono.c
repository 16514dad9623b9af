/* What a connection has spent its time on, to the nanosecond. */
#include "core/tcp/chrono.h"

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#include "../core.h"

static struct test_core core;
static struct nst_tcps tcps;
static struct nst_tcb t;
static struct nst_tcp_activity act;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    tcps = (struct nst_tcps){.env = &core.env};
    act = (struct nst_tcp_activity){.cc = {.ops = &nst_cc_newreno, .cwnd = 14600}};
    t = (struct nst_tcb){.tcps = &tcps, .act = &act, .snd_mss = 1460, .snd.wnd = 65535};
    t.state = NST_TCP_ESTABLISHED;
    t.snd.una = t.snd.nxt = act.sendq.end = nst_seq_of(UINT32_MAX - 100);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_core_fini(&core);
    return 0;
}

/* So it is now, and stays for `ms`. */
static void for_ms(unsigned ms)
{
    nst_chrono_update(&t);
    core.env.now += ms * NST_MS;
}

static void write(uint32_t bytes)
{
    act.sendq.end = nst_seq_add(act.sendq.end, bytes);
}

static void send(uint32_t bytes)
{
    t.snd.nxt = nst_seq_add(t.snd.nxt, bytes);
}

static void assert_spent(unsigned busy, unsigned rwnd, unsigned sndbuf)
{
    assert_int_equal(nst_chrono_time(&t, NST_CHRONO_BUSY), busy * NST_MS);
    assert_int_equal(nst_chrono_time(&t, NST_CHRONO_RWND_LIMITED), rwnd * NST_MS);
    assert_int_equal(nst_chrono_time(&t, NST_CHRONO_SNDBUF_LIMITED), sndbuf * NST_MS);
}

static void test_kinds(void **state)
{
    (void)state;
    for_ms(5);
    assert_spent(0, 0, 0);
    write(3000);
    send(2920);
    for_ms(10); /* some is out */
    assert_spent(10, 0, 0);
    t.snd.wnd = 2920;
    for_ms(20); /* and the window is closed */
    assert_spent(10, 20, 0);
    t.snd.wnd = 65535;
    send(80);
    t.tx_blocked = true;
    for_ms(30); /* all is out, and the owner has more */
    assert_spent(10, 20, 30);
    t.cwnd_was_full = true;
    for_ms(3); /* but it is the congestion window that is in its way */
    assert_spent(13, 20, 30);
    t.snd.una = t.snd.nxt;
    for_ms(40);
    assert_spent(13, 20, 30);
}

/* The offered window holds back only what the congestion window would let go. */
static void test_the_smaller_window_counts(void **state)
{
    (void)state;
    write(20000);
    send(14000);
    t.snd.wnd = 14000;
    for_ms(7);
    assert_spent(7, 0, 0);
    act.cc.cwnd = 14000 + 1460;
    for_ms(7);
    assert_spent(7, 7, 0);
    t.snd.wnd = 14000 + 1460; /* a segment more */
    for_ms(7);
    assert_spent(14, 7, 0);
}

/* What is left fits into the window, however small that is; and the send buffer is no matter while
 * there is something in it to send. */
static void test_not_limited(void **state)
{
    (void)state;
    write(1000);
    send(900);
    t.snd.wnd = 1100;
    t.tx_blocked = true;
    for_ms(7);
    assert_spent(7, 0, 0);
}

/* A rest keeps whole milliseconds; what comes after it is added. */
static void test_rest(void **state)
{
    (void)state;
    write(100);
    send(100);
    for_ms(9);
    core.env.now += 999 * NST_US;
    t.snd.una = t.snd.nxt;
    nst_chrono_update(&t);
    nst_chrono_rest(&t);
    t.act = NULL;
    core.env.now += NST_SEC;
    assert_spent(9, 0, 0);
    act.chrono = (struct nst_chrono){.since = core.env.now};
    t.act = &act;
    write(100);
    for_ms(4);
    assert_spent(13, 0, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_kinds),
        T(test_the_smaller_window_counts),
        T(test_not_limited),
        T(test_rest),
    };
    return cmocka_run_group_tests_name("chrono", tests, NULL, NULL);
}
