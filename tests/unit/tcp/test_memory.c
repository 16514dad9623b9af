/* Without memory: connect, transfer both ways, with a hole, and close, where the n-th allocation
 * fails, for each n; and again where all fail from the n-th on until the scene is over. Each call
 * may give a defined error and nothing else; nothing leaks; what was established goes on once there
 * is memory again, with every byte in its place. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define LEN 6000

static struct harness h;

static bool is_defined(int64_t err)
{
    static const int errors[] = {0,        EAGAIN,       ENOMEM,     ENOBUFS,  EINPROGRESS,
                                 ENOTCONN, ECONNABORTED, ECONNRESET, ETIMEDOUT};

    if (err >= 0)
        return true;
    for (size_t i = 0; i < NST_ARRAY_LEN(errors); i++)
        if (err == -errors[i])
            return true;
    return false;
}

#define DEFINED(call) assert_true(is_defined(call))

/* ---- The peer: answers as a simple TCP does ---------------------------------------------- */

struct peer {
    struct dialogue d;
    bool synced, fin_seen, fin_sent;
    size_t sent;     /* of what it has to say; with a hole at first */
    size_t received; /* in order */
    uint32_t first;  /* of the stack's bytes */
    uint32_t begin;  /* of its own */
};

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 256);
}

static void peer_take(struct peer *p, const struct seg *s)
{
    const uint8_t *bytes = s->data;

    for (size_t i = 0; i < s->len; i++)
        assert_int_equal(bytes[i], pattern(s->seq + i - p->first));
    if ((int32_t)(s->seq - p->d.ack) > 0)
        return;
    uint32_t end = s->seq + (uint32_t)s->len + !!(s->flags & FIN);
    if ((int32_t)(end - p->d.ack) > 0) {
        p->d.ack = end;
        p->fin_seen |= s->flags & FIN;
    }
}

/* Takes what the last step sent; true if any of it wants an answer. */
static bool peer_hear(struct peer *p)
{
    struct seg out[64];
    size_t n = dialogue_out(&p->d, out, NST_ARRAY_LEN(out));
    bool answer = false;

    for (size_t i = 0; i < n; i++) {
        if (out[i].flags & SYN) {
            p->first = p->d.ack = out[i].seq + 1;
            answer = true;
        } else if (p->first) {
            peer_take(p, &out[i]);
            answer |= out[i].len > 0 || out[i].flags & FIN;
        }
    }
    return answer;
}

/* Its bytes from `at` on, which may not be taken for lack of memory. */
static void peer_say(struct peer *p, uint8_t flags, size_t at, size_t len)
{
    static uint8_t bytes[LEN];
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(at + i);
    const struct seg s = {.seq = p->begin + (uint32_t)at,
                          .ack = p->d.ack,
                          .flags = flags,
                          .wnd = 65535,
                          .data = bytes,
                          .len = len};
    (void)dialogue_in(&p->d, &s);
}

static void peer_syn(struct peer *p, uint8_t flags)
{
    const struct seg s = {.seq = p->begin - 1,
                          .ack = p->d.ack,
                          .flags = flags,
                          .wnd = 65535,
                          .options = "020405b4 01010402"};
    (void)dialogue_in(&p->d, &s);
}

/* ---- The scene --------------------------------------------------------------------------- */

static struct peer peer;
static nst_sock listener;
static size_t written, read_bytes;

/* Everything that can be done is tried. */
static void owner_acts(void)
{
    static uint8_t buf[LEN];
    struct dialogue *d = &peer.d;

    if (!d->sock && listener)
        DEFINED(nst_accept(h.stack, listener, &d->sock, 9));
    if (!d->sock)
        return;
    for (size_t i = 0; written + i < LEN; i++)
        buf[i] = pattern(written + i);
    if (written < LEN) {
        int64_t n = harness_send(&h, d->sock, NULL, 0, buf, LEN - written);
        DEFINED(n);
        written += n > 0 ? (size_t)n : 0;
    }
    int64_t n = dialogue_read(d, buf, sizeof buf);
    DEFINED(n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(buf[i], pattern(read_bytes++));
    harness_pull(&h);
}

static void peer_acts(struct peer *p)
{
    for (int i = 0; i < 4 && peer_hear(p); i++)
        peer_say(p, ACK, LEN, 0);
}

static void step(void)
{
    owner_acts();
    peer_acts(&peer);
    harness_run(&h, 200 * NST_MS);
    peer_acts(&peer);
}

/* All that either has to say goes through, as long as the connection lives. */
static void play(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        if (peer.first) {
            peer_say(&peer, ACK | PSH, 2000, 1000);
            peer_acts(&peer);
            peer_say(&peer, ACK | PSH, 4000, 2000);
            peer_acts(&peer);
            peer_say(&peer, ACK | PSH, 0, 2500);
            peer_acts(&peer);
            peer_say(&peer, ACK | PSH, 2500, 1500);
            peer_acts(&peer);
        }
        step();
    }
}

static void begin(bool passive)
{
    harness_init(&h, NULL, 0);
    h.stack->pool.pkts.max = 0; /* no free lists: each packet is an allocation */
    for (unsigned i = 0; i < NST_BUF_SIZES; i++)
        h.stack->pool.bufs[i].max = 0;
    peer = (struct peer){.begin = 5000000};
    dialogue_init(&peer.d, &h, 4000, 5000);
    written = read_bytes = 0;
    listener = 0;
    if (passive) {
        dialogue_listen(&peer.d, 4);
        listener = peer.d.listener;
    } else {
        peer.d.sock = harness_socket(&h, NST_SOCK_STREAM, 0);
        assert_int_equal(nst_bind(h.stack, peer.d.sock, &(struct nst_sockaddr){.port = 4000}), 0);
    }
}

static void open_active(void)
{
    const struct nst_sockaddr to = {.addr = test_addr(PEER), .port = 5000};

    for (int i = 0; i < 3 && !peer.first; i++) {
        int err = nst_connect(h.stack, peer.d.sock, &to);
        assert_true(is_defined(err) || err == -EALREADY);
        harness_run(&h, 3 * NST_SEC);
        peer_hear(&peer);
    }
    peer_syn(&peer, SYN | ACK);
}

static void open_passive(void)
{
    for (int i = 0; i < 3 && !peer.first; i++) {
        peer_syn(&peer, SYN);
        peer_hear(&peer);
    }
    peer_say(&peer, ACK, 0, 0);
}

static void finish(void)
{
    struct dialogue *d = &peer.d;

    if (d->sock)
        assert_int_equal(nst_close(h.stack, d->sock), 0);
    d->sock = 0;
    harness_pull(&h);
    peer_acts(&peer);
    peer_say(&peer, FIN | ACK, LEN, 0);
    for (int i = 0; i < 60 && dialogue_flow(d); i++) {
        harness_run(&h, 10 * NST_SEC);
        peer_acts(&peer);
    }
    assert_null(dialogue_flow(d));
}

/* One run where allocations fail from the n-th on; `all` of them, or one. True if it failed. */
static bool run(bool passive, uint64_t n, bool all)
{
    begin(passive);
    uint64_t calls = h.memory.calls;
    test_memory_fail_in(&h.memory, n);
    h.memory.fail_all = all;
    passive ? open_passive() : open_active();
    play(3);
    bool failed = h.memory.calls >= calls + n;
    test_memory_fail_in(&h.memory, 0);
    h.memory.fail_all = false;
    bool established = dialogue_tcb(&peer.d) && dialogue_tcb(&peer.d)->state >= NST_TCP_ESTABLISHED;
    for (int i = 0; i < 60; i++)
        step(); /* the peer only listens: nobody wakes a connection that forgot itself */
    if (established) {
        assert_int_equal(written, LEN);
        assert_int_equal(peer.d.ack - peer.first, LEN);
        play(3);
        assert_int_equal(read_bytes, LEN);
    }
    finish();
    harness_fini(&h);
    return failed;
}

static void run_all(bool passive, bool all)
{
    uint64_t n = 1;

    while (run(passive, n, all))
        n++;
    assert_true(n > 40);
}

static void test_active_one(void **state)
{
    (void)state;
    run_all(false, false);
}

static void test_active_all(void **state)
{
    (void)state;
    run_all(false, true);
}

static void test_passive_one(void **state)
{
    (void)state;
    run_all(true, false);
}

static void test_passive_all(void **state)
{
    (void)state;
    run_all(true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_active_one),
        cmocka_unit_test(test_active_all),
        cmocka_unit_test(test_passive_one),
        cmocka_unit_test(test_passive_all),
    };

    return cmocka_run_group_tests_name("tcp/memory", tests, NULL, NULL);
}
