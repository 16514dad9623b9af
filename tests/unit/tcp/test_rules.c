/* Single rules of TCP, each in a short dialogue: what stops a timer, what a handshake may agree
 * upon, what goes into which segment. */
#include <errno.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define OPTIONS_ALL     "020405b4 0402 080a 00000064 00000000 01 030307" /* MSS, SACK, TS, WS 7 */
#define OPTIONS_SACK    "020405b4 01010402"
#define OPTIONS_SACK_WS "020405b4 01010402 01030307"

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

static void close_sock(void)
{
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    d.sock = 0;
    harness_pull(&h);
}

/* The option of this kind in a segment; NULL if it has none. */
static const uint8_t *option(const struct seg *s, uint8_t kind)
{
    for (size_t at = 0; at < s->opts_len && s->opts[at] != 0;) {
        if (s->opts[at] == kind)
            return s->opts + at;
        at += s->opts[at] == 1 ? 1 : s->opts[at + 1];
    }
    return NULL;
}

/* Time passes until the stack says something on this connection. */
static struct seg wait_for_segment(nst_time most)
{
    struct seg s;

    for (nst_time end = h.now + most; h.now < end;) {
        harness_run(&h, nst_min(nst_deadline(h.stack), end) - h.now);
        if (dialogue_out(&d, &s, 1))
            return s;
    }
    fail_msg("nothing came");
    return s;
}

/* ---- Timers ------------------------------------------------------------------------------ */

/* RFC 6298 §5.3: only an acknowledgement of new data restarts the timer. A peer that sends and
 * sends must not keep us from finding out that it has lost something. */
static void test_timeout_despite_traffic(void **state)
{
    (void)state;
    dialogue_open(&d);
    dialogue_write(&d, 100);
    for (int i = 0; i < 50; i++) {
        h.now += 50 * NST_MS;
        dialogue_say(&d, ACK | PSH, 10);
        struct seg out[4];
        size_t n = dialogue_out(&d, out, 4);
        for (size_t j = 0; j < n; j++)
            if (out[j].len == 100 && out[j].seq == d.ack)
                return;
    }
    fail_msg("never sent again");
}

static void test_orphan_gives_up_probing(void **state)
{
    (void)state;
    d.wnd = 0;
    dialogue_open(&d);
    dialogue_write(&d, 100);
    close_sock();
    assert_int_equal(dialogue_state(&d), NST_TCP_FIN_WAIT_1);
    for (int i = 0; i < 40 && dialogue_flow(&d); i++) { /* attack row 162 */
        harness_run(&h, 10 * NST_SEC);
        if (dialogue_flow(&d))
            dialogue_say(&d, ACK, 0);
    }
    assert_null(dialogue_flow(&d));
}

static void test_owner_probes_for_ever(void **state)
{
    (void)state;
    d.wnd = 0;
    dialogue_open(&d);
    dialogue_write(&d, 100);
    for (int i = 0; i < 1000; i++) { /* MUST-37 */
        struct seg probe = wait_for_segment(121 * NST_SEC);
        assert_int_equal(probe.seq, d.ack - 1); /* SHLD-12: no data */
        assert_int_equal(probe.len, 0);
        dialogue_say(&d, ACK, 0);
    }
    d.wnd = 1000;
    dialogue_say(&d, ACK, 0);
    assert_int_equal(dialogue_sent(&d).len, 100);
}

/* ---- Handshakes -------------------------------------------------------------------------- */

/* What does not fit is answered by an ACK, not by our SYN again: that would go on for ever. */
static void test_simultaneous_open_answers_with_ack(void **state)
{
    (void)state;
    dialogue_connect(&d);
    dialogue_say(&d, SYN, 0);
    assert_int_equal(dialogue_sent(&d).flags, SYN | ACK);
    assert_int_equal(dialogue_sent(&d).seq, d.ack - 1);
    d.seq--;
    dialogue_say(&d, SYN, 0); /* again */
    assert_int_equal(dialogue_sent(&d).flags, ACK);
    assert_int_equal(dialogue_sent(&d).seq, d.ack);
}

/* RFC 9293 §3.10.4: in SYN-RECEIVED the FIN waits for the handshake, whose SYN is sent again. */
static void test_close_in_syn_received(void **state)
{
    (void)state;
    dialogue_connect(&d);
    dialogue_say(&d, SYN, 0);
    close_sock();
    assert_int_equal(dialogue_state(&d), NST_TCP_SYN_RECEIVED);
    assert_int_equal(wait_for_segment(5 * NST_SEC).flags, SYN | ACK);
    dialogue_say(&d, ACK, 0);
    assert_int_equal(dialogue_sent(&d).flags, FIN | ACK);
    assert_int_equal(dialogue_state(&d), NST_TCP_FIN_WAIT_1);
    d.ack++;
    dialogue_say(&d, ACK, 0);
    assert_int_equal(dialogue_state(&d), NST_TCP_FIN_WAIT_2);
}

/* A cookie has no room for window scale and SACK but in the timestamp. */
static void test_cookie_agrees_upon_nothing_that_is_lost(void **state)
{
    (void)state;
    h.stack->tcps.config.max_reqs = 0;
    dialogue_listen(&d, 16);
    d.syn_options = OPTIONS_SACK_WS;
    dialogue_say(&d, SYN, 0);
    struct seg synack = dialogue_sent(&d);
    assert_non_null(option(&synack, 2));
    assert_null(option(&synack, 3));
    assert_null(option(&synack, 4));
    d.ack = synack.seq + 1;
    dialogue_say(&d, ACK, 0);
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
    assert_false(dialogue_tcb(&d)->ws_ok || dialogue_tcb(&d)->sack_ok);
}

static void test_cookie_keeps_options_in_timestamp(void **state)
{
    (void)state;
    h.stack->tcps.config.max_reqs = 0;
    dialogue_listen(&d, 16);
    d.syn_options = OPTIONS_ALL;
    dialogue_say(&d, SYN, 0);
    struct seg synack = dialogue_sent(&d);
    const uint8_t *ts = option(&synack, 8);
    assert_non_null(option(&synack, 3));
    char options[64];
    snprintf(options, sizeof options, "0101080a 00000065 %02x%02x%02x%02x", ts[2], ts[3], ts[4],
             ts[5]);
    const struct seg ack = {
        .seq = d.seq, .ack = synack.seq + 1, .flags = ACK, .wnd = 1000, .options = options};
    dialogue_in(&d, &ack);
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
    const struct nst_tcb *t = dialogue_tcb(&d);
    assert_true(t->ws_ok && t->sack_ok && t->ts_ok);
    assert_int_equal(t->snd_wscale, 7);
    assert_int_equal(t->snd.wnd, 1000 << 7);
    assert_int_equal(t->peer_mss, 1460);
}

/* Without memory for the connection the handshake isn't over. */
static void test_handshake_survives_lack_of_memory(void **state)
{
    (void)state;
    dialogue_listen(&d, 16);
    dialogue_say(&d, SYN, 0);
    d.ack = dialogue_sent(&d).seq + 1;
    h.memory.fail_size = sizeof(struct nst_tcb);
    dialogue_say(&d, ACK, 0);
    dialogue_silent(&d);
    assert_int_equal(harness_drops(&h, NST_DROP_no_memory), 1);
    h.memory.fail_size = 0;
    dialogue_say(&d, ACK | PSH, 10);
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
}

/* RFC 9293 §3.6.1, MAY-2: the new connection begins beyond the old one, however fast that was. */
static void test_reopened_beyond_the_last(void **state)
{
    (void)state;
    dialogue_open_passive(&d);
    assert_int_equal(nst_shutdown(h.stack, d.sock, NST_SHUT_WR), 0);
    harness_pull(&h);
    d.ack++;
    dialogue_say(&d, ACK, 0);
    dialogue_say(&d, FIN | ACK, 0);
    assert_int_equal(dialogue_state(&d), NST_TCP_TIME_WAIT);
    struct nst_flow *flow = dialogue_flow(&d);
    struct nst_tcp_timewait *w = NST_CONTAINER(flow, struct nst_tcp_timewait, flow);
    w->snd_nxt = nst_seq_add(w->snd_nxt, 1u << 30); /* as if so much had been sent */
    uint32_t used = w->snd_nxt.v;
    d.seq += 100;
    dialogue_say(&d, SYN, 0);
    struct seg synack = dialogue_sent(&d);
    assert_int_equal(synack.flags, SYN | ACK);
    assert_in_range(synack.seq - used, 1, 1u << 29);
}

/* ---- Segments ---------------------------------------------------------------------------- */

/* MUST-16: what is missing is said in a segment of its own; a full one has no room for it. */
static void test_full_segments_and_sack(void **state)
{
    struct seg out[8];
    (void)state;

    d.syn_options = OPTIONS_SACK;
    dialogue_open(&d);
    d.seq += 1000; /* a hole */
    assert_int_equal(harness_send(&h, d.sock, NULL, 0, (uint8_t[5000]){0}, 5000), 5000);
    const struct seg s = {.seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535, .len = 100};
    assert_true(dialogue_in(&d, &s));
    size_t n = dialogue_out(&d, out, 8);
    assert_int_equal(n, 5);
    assert_int_equal(out[0].len, 0);
    assert_non_null(option(&out[0], 5));
    for (size_t i = 1; i < n; i++)
        assert_true(out[i].len > 0 && out[i].len + out[i].opts_len <= 1460);
    assert_int_equal(out[1].len, 1460);
}

/* CVE-2019-11479: a peer's tiny MSS is raised; but never above what the way takes. */
static void test_small_segments(void **state)
{
    static const struct {
        const char *options;
        uint16_t mtu, mss;
    } rows[] = {
        {MSS_1460, 1500, 1460}, {"02040001", 1500, 48}, {"02040000", 1500, 536},  {NULL, 1500, 536},
        {"02040030", 1500, 48}, {MSS_1460, 68, 28},     {"0204ffff", 1500, 1460},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        assert_int_equal(nst_link_set_mtu(h.stack, h.link, rows[i].mtu), 0);
        dialogue_init(&d, &h, (uint16_t)(4000 + i), 5000);
        d.syn_options = rows[i].options;
        dialogue_open(&d);
        assert_int_equal(dialogue_tcb(&d)->snd_mss, rows[i].mss);
        dialogue_write(&d, 100);
        struct seg out[8];
        assert_true(dialogue_out(&d, out, 8) > 0);
        assert_int_equal(out[0].len, nst_min(rows[i].mss, 100));
    }
}

/* The largest segments that IPv4 can carry leave no room for a burst of them. */
static void test_largest_segments(void **state)
{
    (void)state;
    assert_int_equal(nst_link_set_mtu(h.stack, h.link, 65535), 0);
    d.syn_options = "0204ffff";
    dialogue_open(&d);
    assert_int_equal(dialogue_tcb(&d)->snd_mss, 65495);
    dialogue_write(&d, 65495);
    assert_int_equal(dialogue_sent(&d).len, 65495);
}

/* ---- Closing ----------------------------------------------------------------------------- */

static void test_text_behind_a_fin_is_ignored(void **state)
{
    (void)state;
    dialogue_open(&d);
    dialogue_say(&d, FIN | ACK, 0);
    close_sock();
    assert_int_equal(dialogue_state(&d), NST_TCP_LAST_ACK);
    dialogue_say(&d, ACK, 10);
    assert_int_equal(dialogue_state(&d), NST_TCP_LAST_ACK);
}

static void test_text_for_nobody_is_reset(void **state)
{
    (void)state;
    dialogue_open(&d);
    close_sock();
    d.ack++;
    dialogue_say(&d, ACK, 10);
    assert_int_equal(dialogue_sent(&d).flags, RST | ACK);
    assert_null(dialogue_flow(&d));
    assert_int_equal(harness_drops(&h, NST_DROP_tcp_closed), 1);
}

/* A writer that waits must hear of EPIPE. */
static void test_writable_after_shutdown(void **state)
{
    struct nst_event ev[4];
    (void)state;

    dialogue_open(&d);
    assert_int_equal(nst_shutdown(h.stack, d.sock, NST_SHUT_WR), 0);
    harness_pull(&h);
    d.ack++;
    dialogue_say(&d, ACK, 0);
    size_t n = nst_events(h.stack, ev, 4);
    assert_true(n > 0 && ev[n - 1].ready & NST_READY_OUT);
    assert_int_equal(harness_send(&h, d.sock, NULL, 0, "x", 1), -EPIPE);
}

/* Whether the owner is told that it may write. */
static bool told_writable(void)
{
    struct nst_event ev[4];
    bool writable = false;

    for (size_t n = nst_events(h.stack, ev, 4); n-- > 0;)
        writable |= (ev[n].ready & NST_READY_OUT) != 0;
    return writable;
}

/* Memory may become scarce between the acknowledgement and the owner's question. A writer that is
 * not told then must be told later. */
static void test_writable_while_memory_is_scarce(void **state)
{
    static const uint8_t data[8192];
    (void)state;

    dialogue_open(&d);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_SNDBUF, 4096), 0);
    while (harness_send(&h, d.sock, NULL, 0, data, sizeof data) > 0)
        continue;
    harness_pull(&h);
    (void)told_writable();
    d.ack += 3000;
    dialogue_say(&d, ACK, 0);
    size_t budget = h.stack->pool.budget_bytes;
    h.stack->pool.budget_bytes = h.stack->pool.used_bytes;
    if (told_writable())
        assert_int_equal(harness_send(&h, d.sock, NULL, 0, data, sizeof data), -EAGAIN);
    h.stack->pool.budget_bytes = budget;
    d.ack += 1096;
    dialogue_say(&d, ACK, 0);
    assert_true(told_writable());
}

/* Nor has one that could write less than all, because others hold the memory, to try again. */
static void test_writable_after_a_short_write(void **state)
{
    static const uint8_t data[65536];
    (void)state;

    dialogue_open(&d);
    (void)told_writable();
    size_t budget = h.stack->pool.budget_bytes;
    h.stack->pool.budget_bytes = h.stack->pool.used_bytes + 65536;
    int64_t sent = harness_send(&h, d.sock, NULL, 0, data, sizeof data);
    assert_true(sent > 0 && sent < (int64_t)sizeof data);
    assert_true(nst_tcb_send_room(dialogue_tcb(&d)) > 0);
    harness_pull(&h);
    assert_false(told_writable());
    h.stack->pool.budget_bytes = budget;
    d.ack += 1000;
    dialogue_say(&d, ACK, 0);
    assert_true(told_writable());
}

/* What only a living connection needs is given back with its end, though the owner still reads. */
static void test_end_frees_queues(void **state)
{
    uint8_t buf[100];
    (void)state;

    d.wnd = 0;
    dialogue_open(&d);
    size_t idle = harness_memory(&h);
    dialogue_write(&d, 50000);
    dialogue_say(&d, ACK, 60);
    dialogue_say(&d, RST, 0);
    assert_true(harness_memory(&h) < idle + 8192);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 60);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), -ECONNRESET);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 0);
}

/* What the congestion window holds back waits for acknowledgements, not for the cork's time. */
static void test_cork_runs_out_once(void **state)
{
    (void)state;

    dialogue_open(&d);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_CORK, 1), 0);
    dialogue_write(&d, 20000);
    assert_int_not_equal(nst_tcb_deadline(dialogue_tcb(&d), NST_TCP_DL_CORK), NST_TIME_NEVER);
    harness_run(&h, 200 * NST_MS);
    assert_int_equal(nst_tcb_deadline(dialogue_tcb(&d), NST_TCP_DL_CORK), NST_TIME_NEVER);
}

static int64_t urgent_at(void)
{
    int64_t at = 0;

    assert_int_equal(nst_getopt(h.stack, d.sock, NST_OPT_URGENT, &at), 0);
    return at;
}

/* Who reads in place is told where the urgent byte is, until he has passed it. */
static void test_urgent_in_place(void **state)
{
    struct nst_slice slices[4];
    (void)state;

    dialogue_open(&d);
    assert_int_equal(urgent_at(), -1);
    const struct seg s = {
        .seq = d.seq, .ack = d.ack, .flags = ACK | URG, .wnd = d.wnd, .urg = 4, .len = 10};
    dialogue_in(&d, &s);
    assert_int_equal(urgent_at(), 3);
    assert_int_equal(nst_recv_peek(h.stack, d.sock, slices, 4), 1);
    assert_int_equal(slices[0].len, 10);
    assert_int_equal(nst_recv_consume(h.stack, d.sock, 3), 0);
    assert_int_equal(urgent_at(), 0);
    assert_true(nst_tcb_readiness(dialogue_tcb(&d)) & NST_READY_PRI);
    assert_int_equal(nst_recv_consume(h.stack, d.sock, 2), 0);
    assert_int_equal(urgent_at(), -1);
    assert_false(nst_tcb_readiness(dialogue_tcb(&d)) & NST_READY_PRI);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_URGENT, 0), -EINVAL);
}

/* With a user timeout of a day there are more than a counter of eight bits can hold. */
static void test_expiries_do_not_wrap(void **state)
{
    (void)state;

    dialogue_open(&d);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_USER_TIMEOUT, 24 * 3600 * 1000), 0);
    dialogue_write(&d, 100);
    harness_run(&h, 12 * 3600 * NST_SEC);
    assert_int_equal(dialogue_tcb(&d)->act->retries, UINT8_MAX);
}

/* 8985-9: what a duplicate taught lasts for sixteen recoveries. */
static void test_reordering_window_persists(void **state)
{
    const struct nst_tcp_sack twice = {nst_seq_of(0), nst_seq_of(1)};
    const struct nst_tcp_acked a = {.dsack = &twice};
    (void)state;

    dialogue_open(&d);
    dialogue_write(&d, 1);
    struct nst_tcb *t = dialogue_tcb(&d);
    nst_rack_adapt(t, &a);
    assert_int_equal(t->act->rack.reo_wnd_mult, 1);
    for (int i = 0; i < 15; i++)
        nst_rack_recovered(t);
    assert_int_equal(t->act->rack.reo_wnd_mult, 1);
    nst_rack_recovered(t);
    assert_int_equal(t->act->rack.reo_wnd_mult, 0);
}

/* A socket begins with what the stack says, and has its own choice. */
static void test_recovery_is_chosen(void **state)
{
    int64_t value;
    (void)state;

    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_RECOVERY, NST_TCP_RECOVERY_ALL + 1),
                     -EINVAL);
    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_RECOVERY, NST_TCP_RECOVERY_RACK), 0);
    nst_sock sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_getopt(h.stack, sock, NST_OPT_RECOVERY, &value), 0);
    assert_int_equal(value, NST_TCP_RECOVERY_RACK);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECOVERY, -1), -EINVAL);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECOVERY, NST_TCP_RECOVERY_PRR), 0);
    assert_int_equal(nst_getopt(h.stack, sock, NST_OPT_RECOVERY, &value), 0);
    assert_int_equal(value, NST_TCP_RECOVERY_PRR);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_timeout_despite_traffic),
        T(test_orphan_gives_up_probing),
        T(test_owner_probes_for_ever),
        T(test_simultaneous_open_answers_with_ack),
        T(test_close_in_syn_received),
        T(test_cookie_agrees_upon_nothing_that_is_lost),
        T(test_cookie_keeps_options_in_timestamp),
        T(test_handshake_survives_lack_of_memory),
        T(test_reopened_beyond_the_last),
        T(test_full_segments_and_sack),
        T(test_small_segments),
        T(test_largest_segments),
        T(test_text_behind_a_fin_is_ignored),
        T(test_text_for_nobody_is_reset),
        T(test_writable_after_shutdown),
        T(test_writable_while_memory_is_scarce),
        T(test_writable_after_a_short_write),
        T(test_end_frees_queues),
        T(test_cork_runs_out_once),
        T(test_urgent_in_place),
        T(test_expiries_do_not_wrap),
        T(test_reordering_window_persists),
        T(test_recovery_is_chosen),
    };

    return cmocka_run_group_tests_name("tcp/rules", tests, NULL, NULL);
}
