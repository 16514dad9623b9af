/* Segments that come together are joined before TCP looks at them, and nothing in the dialogue may
 * tell: two stacks get the same frames, one in a batch and the other one by one, with losses,
 * repetitions, marks, options and broken checksums among them; they give the same answers, byte for
 * byte, and the same stream. There is one exception: a D-SACK tells of one repetition, and among
 * several in a batch it may be another. */
#include <errno.h>
#include <stdio.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include "../dialogue.h"

#define SEEDS      150
#define ROUNDS     30
#define FRAMES     40
#define MSS        1448
#define SYN_ECN    (SYN | 0xC0)
#define CE         3
#define ECT0       2
#define SYN_OPTS   "020405b40402080a%08x00000000"
#define SEG_OPTS   "0101080a%08x%08x"
#define OPTS_CHARS 40

enum { JOINED, SINGLE, WAYS };

static struct harness h[WAYS];
static struct dialogue d[WAYS];
static struct nst_prng prng;
static struct frame frames[FRAMES];

/* What the peer is about to say. */
static struct {
    uint32_t seq, sent, ts, ts_echo, ack_old, ack_new;
    bool ended, repeats;
} peer;

static size_t below(size_t n)
{
    return nst_prng_below(&prng, (uint32_t)n);
}

static bool one_in(size_t n)
{
    return below(n) == 0;
}

/* ---- The handshake ------------------------------------------------------------------------- */

static void open_with_ecn(struct dialogue *dialogue)
{
    char options[OPTS_CHARS];
    struct seg syn = {.seq = dialogue->seq, .flags = SYN_ECN, .wnd = 65535, .options = options};

    snprintf(options, sizeof options, SYN_OPTS, peer.ts);
    dialogue_listen(dialogue, 1);
    assert_true(dialogue_in(dialogue, &syn));
    struct seg synack = dialogue_sent(dialogue);
    assert_int_equal(synack.flags, SYN | ACK | 0x40);
    peer.ts_echo = nst_load32(synack.opts + 12);
    dialogue->seq++;
    dialogue->ack = synack.seq + 1;
    snprintf(options, sizeof options, SEG_OPTS, peer.ts, peer.ts_echo);
    struct seg ack = {
        .seq = dialogue->seq, .ack = dialogue->ack, .flags = ACK, .wnd = 65535, .options = options};
    assert_true(dialogue_in(dialogue, &ack));
    dialogue->sock = dialogue_accept(dialogue);
}

/* ---- A batch ------------------------------------------------------------------------------- */

/* `len` bytes from `seq` are sent. */
static void note_sent(uint32_t seq, size_t len)
{
    uint32_t end = seq + (uint32_t)len;

    peer.repeats |= seq != peer.sent;
    if ((int32_t)(end - peer.sent) > 0)
        peer.sent = end;
}

/* What it has to say next, or some of it again. */
static void make_segment(struct frame *f)
{
    char options[OPTS_CHARS];
    static uint8_t data[MSS];
    size_t len = one_in(8) ? below(MSS + 1) : one_in(30) ? 0 : MSS;
    uint32_t back = one_in(30) ? (uint32_t)below(4 * MSS) : 0;
    bool acks_more = one_in(2);
    struct frame_tcp tcp = {.sport = d[0].pport,
                            .dport = d[0].lport,
                            .seq = peer.seq - back,
                            .ack = acks_more ? peer.ack_new : peer.ack_old,
                            .flags = ACK,
                            .wnd = (uint16_t)(65535 - (one_in(20) ? below(100) : 0)),
                            .options = options};
    struct frame_ip ip = {.tos = one_in(15) ? CE : ECT0, .ttl = one_in(40) ? 63 : 64};

    if (acks_more)
        peer.ack_old = peer.ack_new;
    tcp.flags |= one_in(8) ? PSH : 0;
    tcp.flags |= one_in(60) ? URG : 0;
    tcp.flags |= one_in(60) ? 0x80 : 0; /* CWR */
    tcp.urg = tcp.flags & URG ? 1 : 0;
    if (!back && one_in(400)) {
        tcp.flags |= FIN;
        peer.ended = true;
    }
    peer.ts += one_in(12);
    snprintf(options, sizeof options, SEG_OPTS, peer.ts - (one_in(40) ? 5 : 0), peer.ts_echo);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((tcp.seq + i) * 7 + ((tcp.seq + i) >> 8));
    frame_tcp(f, &ip, &tcp, data, len);
    if (one_in(60))
        f->bytes[f->len - 1] ^= 1; /* the checksum is wrong now */
    note_sent(tcp.seq, len);
    peer.seq += back ? 0 : (uint32_t)len;
    if (one_in(60)) { /* lost */
        note_sent(peer.seq, MSS);
        peer.seq += MSS;
    }
}

static size_t make_batch(void)
{
    size_t n = 1 + below(FRAMES);

    peer.repeats = false;
    for (size_t i = 0; i < n; i++) {
        if (one_in(30))
            frame_echo(&frames[i], 7, (uint16_t)i, 8);
        else if (i > 0 && one_in(40)) {
            frame_copy(&frames[i], &frames[below(i)]);
            peer.repeats = true;
        } else
            make_segment(&frames[i]);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        if (!one_in(40))
            continue;
        static struct frame other;
        frame_copy(&other, &frames[i]);
        frame_copy(&frames[i], &frames[i + 1]);
        frame_copy(&frames[i + 1], &other);
    }
    return n;
}

/* ---- The same of both ---------------------------------------------------------------------- */

/* The SACK blocks of an answer without a D-SACK; their bytes and number. */
static const uint8_t *sack_blocks(const struct frame *f, size_t *n)
{
    const uint8_t *p = f->bytes + TCP_OPTIONS + 16;

    *n = L4 + (size_t)(f->bytes[TCP_HLEN] >> 4) * 4 > TCP_OPTIONS + 12 ? (p[-1] - 2u) / 8 : 0;
    bool below_ack = *n && (int32_t)(nst_load32(p) - frame_get32(f, TCP_ACK)) < 0;
    bool inside = *n > 1 && (int32_t)(nst_load32(p) - nst_load32(p + 8)) >= 0 &&
                  (int32_t)(nst_load32(p + 12) - nst_load32(p + 4)) >= 0;
    *n -= below_ack || inside;
    return below_ack || inside ? p + 8 : p;
}

/* All but the D-SACK, and what its room costs. */
static void assert_same_but_dsack(const struct frame *a, const struct frame *b)
{
    size_t na, nb;
    const uint8_t *sa = sack_blocks(a, &na), *sb = sack_blocks(b, &nb);

    assert_memory_equal(a->bytes, b->bytes, IP_LEN);
    assert_memory_equal(a->bytes + IP_SRC, b->bytes + IP_SRC, TCP_HLEN - IP_SRC);
    assert_memory_equal(a->bytes + TCP_FLAGS, b->bytes + TCP_FLAGS, TCP_SUM - TCP_FLAGS);
    assert_memory_equal(a->bytes + TCP_OPTIONS, b->bytes + TCP_OPTIONS, 12);
    assert_memory_equal(sa, sb, 8 * nst_min(na, nb));
}

static void assert_same_answers(void)
{
    assert_int_equal(h[JOINED].ntx, h[SINGLE].ntx);
    for (size_t i = 0; i < h[SINGLE].ntx; i++) {
        const struct frame *a = h[JOINED].tx[i], *b = h[SINGLE].tx[i];
        if (peer.repeats && a->bytes[IP_PROTO] == 6) {
            assert_same_but_dsack(a, b);
            continue;
        }
        assert_int_equal(a->len, b->len);
        assert_memory_equal(a->bytes, b->bytes, b->len);
    }
}

/* It goes back to what the last answer asks for. */
static void go_back(void)
{
    for (size_t i = 0; i < h[SINGLE].ntx; i++)
        if (h[SINGLE].tx[i]->bytes[IP_PROTO] == 6)
            peer.seq = frame_get32(h[SINGLE].tx[i], TCP_ACK);
}

static void assert_same_stream(size_t max)
{
    static uint8_t a[FRAMES * MSS], b[FRAMES * MSS];
    int64_t n = dialogue_read(&d[SINGLE], b, max);

    assert_int_equal(dialogue_read(&d[JOINED], a, max), n);
    if (n > 0)
        assert_memory_equal(a, b, (size_t)n);
}

static void send_some(size_t len)
{
    static const uint8_t text[3 * MSS];

    for (int way = 0; way < WAYS; way++) {
        struct nst_slice slice = {(void *)(uintptr_t)text, len};
        const struct nst_msg msg = {.data = &slice, .ndata = 1};
        (void)!nst_send(h[way].stack, d[way].sock, &msg);
        harness_pull(&h[way]);
    }
    assert_same_answers();
    for (size_t i = 0; i < h[SINGLE].ntx; i++) {
        const struct frame *f = h[SINGLE].tx[i];
        if (f->bytes[IP_PROTO] == 6)
            peer.ack_new = frame_get32(f, TCP_SEQ) +
                           (uint32_t)(f->len - L4 - (size_t)(f->bytes[TCP_HLEN] >> 4) * 4);
    }
}

static void one_round(void)
{
    size_t n = make_batch();
    nst_time pause = below(100) * NST_MS;

    harness_input_batches(&h[JOINED], frames, n, FRAMES);
    harness_input_batches(&h[SINGLE], frames, n, 1);
    assert_same_answers();
    if (one_in(2))
        go_back();
    if (!one_in(3))
        assert_same_stream(1 + below(FRAMES * MSS));
    for (int way = 0; way < WAYS; way++)
        harness_run(&h[way], pause);
    assert_same_answers();
    if (one_in(4) && !peer.ended)
        send_some(1 + below(3 * MSS));
}

static uint64_t compare(unsigned seed)
{
    uint64_t joined;

    test_prng_init(&prng, seed);
    memset(&peer, 0, sizeof peer);
    peer.ts = 1000;
    for (int way = 0; way < WAYS; way++) {
        harness_init(&h[way], NULL, 0);
        dialogue_init(&d[way], &h[way], 80, 5000);
        open_with_ecn(&d[way]);
    }
    peer.seq = peer.sent = d[0].seq;
    peer.ack_old = peer.ack_new = d[0].ack;
    for (unsigned round = 0; round < ROUNDS && !peer.ended; round++)
        one_round();
    joined = harness_stat(&h[JOINED], "tcp.joined");
    assert_int_equal(harness_stat(&h[SINGLE], "tcp.joined"), 0);
    for (int way = 0; way < WAYS; way++)
        harness_fini(&h[way]);
    return joined;
}

static void test_joined_or_single(void **state)
{
    uint64_t joined = 0;
    (void)state;

    for (unsigned seed = 1; seed <= SEEDS; seed++)
        joined += compare(seed);
    assert_true(joined > SEEDS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_or_single),
    };
    return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
