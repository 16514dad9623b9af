/* What a connection costs while nothing happens, and that nothing is lost by giving the rest back:
 * the budgets are those of docs/performance.md. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define IDLE_BYTES_MAX 432 /* the control block and the socket */

static struct harness h;
static struct dialogue d;

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    dialogue_init(&d, &h, 4000, 5000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

/* ---- The budgets ------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
    (void)state;
    assert_true(sizeof(struct nst_tcb) + sizeof(struct nst_socket) <= IDLE_BYTES_MAX);
    assert_true(sizeof(struct nst_tcp_req) <= 120);
    assert_true(sizeof(struct nst_tcp_timewait) <= 64);
}

/* A request and its answer. */
static void use(struct dialogue *who)
{
    uint8_t buf[200];

    dialogue_write(who, 100);
    who->ack += 100;
    dialogue_say(who, ACK | PSH, 200);
    assert_int_equal(dialogue_read(who, buf, sizeof buf), 200);
}

/* What the stack has now, after another connection has made its tables and its spare packets. */
static size_t memory_of_another(void)
{
    static struct dialogue other;

    dialogue_init(&other, &h, 4001, 5001);
    dialogue_open(&other);
    use(&other);
    harness_run(&h, 15 * NST_SEC);
    return h.memory.live_bytes;
}

/* What it really asks for. */
static void test_idle_after_accept(void **state)
{
    (void)state;
    dialogue_listen(&d, 10);
    size_t before = memory_of_another();
    dialogue_shake(&d);
    d.sock = dialogue_accept(&d);
    assert_null(dialogue_tcb(&d)->act);
    assert_true(h.memory.live_bytes - before <= IDLE_BYTES_MAX);
}

/* Who connects, sends and receives has more, and has given it back when it has been idle; but for
 * the name that it was bound to. */
static void test_idle_again(void **state)
{
    (void)state;

    size_t before = memory_of_another();
    dialogue_open(&d);
    use(&d);
    assert_non_null(dialogue_tcb(&d)->act);
    harness_run(&h, 15 * NST_SEC);
    assert_null(dialogue_tcb(&d)->act);
    assert_true(h.memory.live_bytes - before <= IDLE_BYTES_MAX + sizeof(struct nst_tcp_name));
}

/* The second half of 20 bytes comes before the first. */
static void use_out_of_order(void)
{
    uint8_t buf[20];

    d.seq += 10;
    dialogue_say(&d, ACK | PSH, 10);
    d.seq -= 20;
    dialogue_say(&d, ACK | PSH, 10);
    d.seq += 10;
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 20);
}

/* That something went wrong is told for as long as the connection lives, and costs others nothing.
 */
static void test_trouble_is_remembered(void **state)
{
    struct nst_tcp_info info;
    (void)state;

    dialogue_open_passive(&d);
    use(&d);
    assert_null(dialogue_tcb(&d)->trouble);
    use_out_of_order();
    harness_run(&h, 15 * NST_SEC);
    assert_null(dialogue_tcb(&d)->act);
    assert_int_equal(nst_tcp_info(h.stack, d.sock, &info), 0);
    assert_int_equal(info.rcv_ooopack, 1);
}

/* Without memory it isn't, and the connection goes on. */
static void test_trouble_without_memory(void **state)
{
    struct nst_tcp_info info;
    (void)state;

    dialogue_open_passive(&d);
    use(&d);
    h.memory.fail_size = sizeof(struct nst_tcp_trouble);
    d.seq += 10;
    dialogue_say(&d, ACK | PSH, 10);
    h.memory.fail_size = 0;
    d.seq -= 20;
    assert_int_equal(nst_tcp_info(h.stack, d.sock, &info), 0);
    assert_int_equal(info.rcv_ooopack, 0);
    use(&d);
}

/* ---- Sleep ------------------------------------------------------------------------------- */

/* A sleep of less than a tick of the kernel's clock (4 ms) makes it set the clock anew, which takes
 * as long as a message. Who talks all the time has nothing due so soon, but for the ends of slots
 * of the wheel: once in 262 ms. */
static void test_talk_leaves_nothing_due_soon(void **state)
{
    unsigned soon = 0;
    (void)state;

    dialogue_open(&d);
    for (unsigned ms = 0; ms < 1000; ms++) {
        use(&d);
        soon += nst_deadline(h.stack) < h.now + 4 * NST_MS;
        harness_run(&h, NST_MS);
    }
    assert_true(soon <= 1000 / 262 * 4 + 4);
}

/* ---- What keeps it ----------------------------------------------------------------------- */

static void test_unread_data_stay(void **state)
{
    uint8_t buf[200];
    (void)state;

    dialogue_open(&d);
    dialogue_say(&d, ACK | PSH, 200);
    harness_run(&h, 60 * NST_SEC);
    assert_non_null(dialogue_tcb(&d)->act);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 200);
    harness_run(&h, 20 * NST_SEC);
    assert_null(dialogue_tcb(&d)->act);
}

static void test_a_closed_window_keeps_it(void **state)
{
    (void)state;
    d.wnd = 0;
    dialogue_open(&d);
    dialogue_write(&d, 100);
    harness_run(&h, 30 * NST_SEC);
    assert_non_null(dialogue_tcb(&d)->act);
    assert_int_equal(nst_tcb_unacked(dialogue_tcb(&d)), 100);
}

/* What comes before the peer's FIN is missing for long. */
static void test_a_fin_that_waits_keeps_it(void **state)
{
    (void)state;
    dialogue_open(&d);
    d.seq += 100;
    dialogue_say(&d, ACK | FIN, 0);
    harness_run(&h, 30 * NST_SEC);
    assert_non_null(dialogue_tcb(&d)->act);
    d.seq -= 101;
    dialogue_say(&d, ACK | PSH, 100);
    assert_int_equal(dialogue_tcb(&d)->state, NST_TCP_CLOSE_WAIT);
}

/* ---- What outlasts it -------------------------------------------------------------------- */

static void test_what_is_remembered(void **state)
{
    (void)state;
    dialogue_open(&d);
    struct nst_tcb *t = dialogue_tcb(&d);
    t->act->cc.cwnd = 50000;
    t->act->cc.ssthresh = 40000;
    dialogue_write(&d, 100);
    harness_run(&h, 50 * NST_MS);
    d.ack += 100;
    dialogue_say(&d, ACK, 0);
    nst_time srtt = t->rtt.srtt, rto = nst_rtt_rto(&t->rtt);
    harness_run(&h, 15 * NST_SEC);
    assert_null(t->act);
    assert_int_equal(nst_tcb_cwnd(t), 50000);
    assert_int_equal(nst_tcb_ssthresh(t), 40000);
    dialogue_write(&d, 1000);
    assert_int_equal(dialogue_sent(&d).len, 1000);
    assert_int_equal(t->act->cc.cwnd, 50000);
    assert_int_equal(t->act->cc.ssthresh, 40000);
    assert_int_equal(t->rtt.srtt, srtt);
    assert_int_equal(nst_rtt_rto(&t->rtt), rto);
}

static void begin(struct nst_cc *cc, const struct nst_cc_kept *kept, nst_time now)
{
    *cc = (struct nst_cc){0};
    nst_cc_begin(cc, kept);
    cc->mss = 1000;
    cc->now = now;
    cc->ops->init(cc);
}

/* W_max of CUBIC is what the curve leads to, after a rest as before. */
static void test_cubic_remembers_its_curve(void **state)
{
    struct nst_cc_kept kept = {.number = NST_CC_CUBIC, .cwnd = 100000, .ssthresh = UINT32_MAX};
    struct nst_cc cc, after;
    (void)state;

    begin(&cc, &kept, NST_SEC);
    cc.cwnd = cc.ssthresh = cc.ops->ssthresh(&cc, cc.cwnd);
    nst_cc_rest(&cc, &kept);
    begin(&after, &kept, 60 * NST_SEC);
    assert_int_equal(after.cwnd, cc.cwnd);
    cc.now = after.now = 60 * NST_SEC;
    cc.srtt = after.srtt = 50 * NST_MS;
    cc.cwnd_limited = after.cwnd_limited = true;
    for (int i = 0; i < 200; i++) {
        cc.now = after.now += 50 * NST_MS;
        cc.ops->acked(&cc, cc.cwnd, cc.srtt);
        after.ops->acked(&after, after.cwnd, after.srtt);
        assert_int_equal(after.cwnd, cc.cwnd);
    }
    assert_true(cc.cwnd > 100000);
}

/* ---- Without memory ---------------------------------------------------------------------- */

static void lose_memory(bool lost)
{
    h.memory.fail_size = lost ? sizeof(struct nst_tcp_activity) : 0;
}

static void test_write_without_memory(void **state)
{
    uint8_t text[10] = {0};
    struct nst_slice slice = {text, sizeof text};
    const struct nst_msg msg = {.data = &slice, .ndata = 1};
    (void)state;

    dialogue_open_passive(&d);
    lose_memory(true);
    assert_int_equal(nst_send(h.stack, d.sock, &msg), -ENOBUFS);
    lose_memory(false);
    assert_int_equal(nst_send(h.stack, d.sock, &msg), 10);
}

/* What isn't taken isn't acknowledged, and may come again. */
static void test_data_without_memory(void **state)
{
    uint8_t buf[20];
    (void)state;

    dialogue_open_passive(&d);
    lose_memory(true);
    dialogue_say(&d, ACK | PSH, 10);
    dialogue_silent(&d);
    d.seq -= 10;
    lose_memory(false);
    dialogue_say(&d, ACK | PSH, 10);
    assert_int_equal(dialogue_sent(&d).ack, d.seq);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 10);
}

static void test_fin_without_memory(void **state)
{
    (void)state;
    dialogue_open_passive(&d);
    lose_memory(true);
    assert_int_equal(nst_shutdown(h.stack, d.sock, NST_SHUT_WR), 0);
    harness_pull(&h);
    dialogue_silent(&d);
    harness_run(&h, 10 * NST_SEC);
    lose_memory(false);
    harness_run(&h, 5 * NST_SEC);
    assert_true(dialogue_tcb(&d)->fin_sent);
}

/* An orphan that can't say good-bye is reset. */
static void test_close_without_memory(void **state)
{
    (void)state;
    dialogue_open_passive(&d);
    lose_memory(true);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    d.sock = 0;
    harness_pull(&h);
    assert_true(dialogue_sent(&d).flags & RST);
    assert_null(dialogue_flow(&d));
    lose_memory(false);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        T(test_idle_after_accept),
        T(test_idle_again),
        T(test_trouble_is_remembered),
        T(test_trouble_without_memory),
        T(test_talk_leaves_nothing_due_soon),
        T(test_unread_data_stay),
        T(test_a_closed_window_keeps_it),
        T(test_a_fin_that_waits_keeps_it),
        T(test_what_is_remembered),
        cmocka_unit_test(test_cubic_remembers_its_curve),
        T(test_write_without_memory),
        T(test_data_without_memory),
        T(test_fin_without_memory),
        T(test_close_without_memory),
    };

    return cmocka_run_group_tests_name("tcp/activity", tests, NULL, NULL);
}
