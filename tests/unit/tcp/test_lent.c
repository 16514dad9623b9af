/* Streams that send the owner's memory from where it is: what goes out, and when it is returned. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define COOKIE 99
#define LEN    5000 /* more than three segments */

static struct harness h;
static struct dialogue d;
static uint8_t memory[40000];
static struct nst_loan *loan;

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof memory; i++)
        memory[i] = (uint8_t)(i * 7 + i / 256);
    harness_init(&h, NULL, 0);
    dialogue_init(&d, &h, 4000, 5000);
    dialogue_open(&d);
    assert_int_equal(nst_lend(h.stack, &loan, memory, sizeof memory, COOKIE), 0);
    return 0;
}

/* Whatever is still lent or on its way is forgotten with the stack. */
static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static bool returned(void)
{
    struct nst_event event;

    while (nst_events(h.stack, &event, 1))
        if (event.kind == NST_EVENT_RETURNED) {
            assert_int_equal(event.cookie, COOKIE);
            return true;
        }
    return false;
}

static int64_t send_lent(size_t offset, size_t len)
{
    return nst_send_lent(h.stack, d.sock, loan, offset, len, 0);
}

/* `LEN` bytes from `offset` on are out, and the last use of the loan is over. */
static void send_once(size_t offset)
{
    assert_int_equal(send_lent(offset, LEN), LEN);
    nst_lend_end(h.stack, loan);
    harness_pull(&h);
}

/* The last step sent the bytes from `offset` on, `len` of them, and nothing else. */
static void assert_sent(size_t offset, size_t len)
{
    struct seg out[16];
    size_t n = dialogue_out(&d, out, NST_ARRAY_LEN(out)), done = 0;

    for (size_t i = 0; i < n; done += out[i++].len) {
        assert_true(done + out[i].len <= len);
        assert_memory_equal(out[i].data, memory + offset + done, out[i].len);
    }
    assert_int_equal(done, len);
}

static void acknowledge(size_t len)
{
    d.ack += (uint32_t)len;
    dialogue_say(&d, ACK, 0);
}

/* ---- What goes out ----------------------------------------------------------------------- */

static void test_bytes(void **state)
{
    (void)state;
    send_once(123);
    assert_sent(123, LEN);
}

/* The same memory on two occasions, between bytes that are copied. */
static void test_mixed(void **state)
{
    uint8_t copied[3] = {1, 2, 3};
    struct seg out[16];
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(harness_send(&h, d.sock, NULL, 0, copied, sizeof copied), 3);
        assert_int_equal(send_lent(0, 1200), 1200);
    }
    harness_pull(&h);
    size_t n = dialogue_out(&d, out, NST_ARRAY_LEN(out)), len = 0;
    uint8_t bytes[4000];
    for (size_t i = 0; i < n; len += out[i++].len)
        memcpy(bytes + len, out[i].data, out[i].len);
    assert_int_equal(len, 2 * 1203);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(bytes + i * 1203, copied, 3);
        assert_memory_equal(bytes + i * 1203 + 3, memory, 1200);
    }
}

/* A full buffer takes a part; the rest comes when there is room, and is one piece with it. */
static void test_part(void **state)
{
    struct nst_event event;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_SNDBUF, LEN), 0);
    assert_int_equal(send_lent(0, sizeof memory), LEN);
    assert_int_equal(send_lent(LEN, 2000), -EAGAIN);
    while (nst_events(h.stack, &event, 1))
        ;
    harness_pull(&h);
    acknowledge(LEN);
    assert_int_equal(nst_events(h.stack, &event, 1), 1);
    assert_true(event.ready & NST_READY_OUT);
    assert_int_equal(send_lent(LEN, 2000), 2000);
    assert_int_equal(send_lent(LEN + 2000, 2000), 2000);
    assert_int_equal(dialogue_tcb(&d)->act->sendq.n, 1);
    harness_pull(&h);
    assert_sent(LEN, 4000);
}

/* Corked, as any other data is. */
static void test_more(void **state)
{
    (void)state;
    assert_int_equal(nst_send_lent(h.stack, d.sock, loan, 0, 1200, NST_SEND_MORE), 1200);
    harness_pull(&h);
    assert_sent(0, 0);
    assert_int_equal(send_lent(1200, 1200), 1200);
    harness_pull(&h);
    assert_sent(0, 2400);
}

static void test_errors(void **state)
{
    nst_sock udp = harness_udp(&h, US, 7);
    (void)state;

    assert_int_equal(send_lent(0, sizeof memory + 1), -EINVAL);
    assert_int_equal(send_lent(sizeof memory, 1), -EINVAL);
    assert_int_equal(send_lent(sizeof memory + 1, 0), -EINVAL);
    assert_int_equal(send_lent(1, SIZE_MAX), -EINVAL);
    assert_int_equal(send_lent(sizeof memory, 0), 0);
    assert_int_equal(nst_send_lent(h.stack, udp, loan, 0, 1, 0), -EOPNOTSUPP);
    assert_int_equal(nst_send_lent(h.stack, 0, loan, 0, 1, 0), -EBADF);
    assert_int_equal(nst_shutdown(h.stack, d.sock, NST_SHUT_WR), 0);
    assert_int_equal(send_lent(0, LEN), -EPIPE);
}

static void test_no_memory(void **state)
{
    struct nst_loan *other;
    (void)state;

    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(nst_lend(h.stack, &other, memory, 1, 0), -ENOMEM);
    test_memory_fail_in(&h.memory, 1);
    assert_int_equal(send_lent(0, LEN), -ENOBUFS);
    test_memory_fail_in(&h.memory, 0);
    nst_stack_check(h.stack);
    send_once(0);
    assert_sent(0, LEN);
}

/* ---- When it is returned ------------------------------------------------------------------- */

static void test_acknowledged(void **state)
{
    (void)state;
    send_once(0);
    assert_false(returned());
    acknowledge(LEN - 1);
    assert_false(returned());
    acknowledge(1);
    assert_true(returned());
    assert_false(returned());
}

static void test_lost(void **state)
{
    (void)state;
    send_once(0);
    acknowledge(1460);
    harness_run(&h, 5 * NST_SEC);
    assert_false(returned());
    struct seg out[16];
    size_t n = dialogue_out(&d, out, NST_ARRAY_LEN(out));
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(out[i].data, memory + (out[i].seq - (d.ack - 1460)), out[i].len);
    acknowledge(LEN - 1460);
    assert_true(returned());
}

static void test_reset(void **state)
{
    (void)state;
    send_once(0);
    dialogue_say(&d, RST, 0);
    assert_true(returned());
}

/* Frames that the owner has pulled keep what they consist of. */
static void test_reset_with_frames_pulled(void **state)
{
    struct nst_pkt *pkts[16];
    (void)state;

    assert_int_equal(send_lent(0, LEN), LEN);
    nst_lend_end(h.stack, loan);
    size_t n = nst_output(h.stack, h.link, pkts, NST_ARRAY_LEN(pkts), h.now);
    assert_int_equal(n, 4);
    dialogue_say(&d, RST, 0);
    assert_false(returned());
    for (size_t i = 0; i < n; i++)
        nst_pkt_free(pkts[i]);
    assert_true(returned());
}

static void test_closed(void **state)
{
    (void)state;
    send_once(0);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    harness_pull(&h);
    assert_false(returned());
    acknowledge(LEN);
    assert_true(returned());
}

static void test_aborted(void **state)
{
    (void)state;
    send_once(0);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_LINGER, 0), 0);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    harness_pull(&h);
    assert_true(returned());
}

/* The peer says nothing any more. */
static void test_given_up(void **state)
{
    (void)state;
    send_once(0);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    harness_run(&h, 3600 * NST_SEC);
    assert_true(returned());
}

/* A little is copied: nobody waits for it. */
static void test_short(void **state)
{
    (void)state;
    assert_int_equal(send_lent(0, 1000), 1000);
    nst_lend_end(h.stack, loan);
    assert_true(returned());
    memset(memory, 0, 1000);
    harness_pull(&h);
    assert_int_equal(((const uint8_t *)dialogue_sent(&d).data)[1], 7);
}

/* A connection of the stack to itself has it until it is read. */
static void test_to_itself(void **state)
{
    const struct nst_sockaddr here = {test_addr(US), 80, 0};
    nst_sock listener = harness_socket(&h, NST_SOCK_STREAM, 0), far;
    static uint8_t buf[LEN];
    struct nst_msg msg;
    (void)state;

    d.sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_bind(h.stack, listener, &here), 0);
    assert_int_equal(nst_listen(h.stack, listener, 1), 0);
    assert_int_equal(nst_connect(h.stack, d.sock, &here), -EINPROGRESS);
    harness_run(&h, NST_SEC);
    assert_int_equal(nst_accept(h.stack, listener, &far, 0), 0);
    send_once(0);
    harness_run(&h, NST_SEC);
    assert_int_equal(nst_tcb_unacked(nst_sock_tcb(nst_sock_find(&h.stack->socks, d.sock))), 0);
    assert_false(returned());
    assert_int_equal(harness_recv(&h, far, &msg, buf, LEN, 0), LEN);
    assert_memory_equal(buf, memory, LEN);
    assert_true(returned());
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_bytes),        T(test_mixed),
        T(test_part),         T(test_more),
        T(test_errors),       T(test_no_memory),
        T(test_acknowledged), T(test_lost),
        T(test_reset),        T(test_reset_with_frames_pulled),
        T(test_closed),       T(test_aborted),
        T(test_given_up),     T(test_short),
        T(test_to_itself),
    };

    return cmocka_run_group_tests_name("tcp/lent", tests, NULL, NULL);
}
