/* What a packet costs while the queue that it is for is empty, and while an attacker has filled it:
 * at most twice as much.
 *
 * The work is counted, not timed: the core is built for this program so that every basic block that
 * is executed calls __sanitizer_cov_trace_pc(). So the figures are the same in every run of a
 * build. Compared are means over SAMPLES packets; a queue that is called empty holds twice as
 * many. */
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define SAMPLES 32

void __sanitizer_cov_trace_pc(void);

static uint64_t blocks;

void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

static struct harness h;
static struct dialogue d;
static nst_sock udp;

/* Packet `i` of those that fill, or of those that are measured; no number comes twice. */
typedef void packet(unsigned i);

struct queue {
    const char *what;
    void (*prepare)(void);
    packet *send;
    unsigned fill;           /* so many packets fill the queue */
    uint64_t (*level)(void); /* what has grown by then; NULL: nothing that could be seen */
};

/* ---- Connections --------------------------------------------------------------------------- */

/* Another peer for each number. */
static void from(unsigned i)
{
    static char text[16];

    snprintf(text, sizeof text, "198.51.%u.%u", 100 + (i >> 16 & 15), 1 + (i >> 8 & 127));
    d.peer = text;
    d.pport = (uint16_t)(1024 + (i & 255));
    d.seq = i * 7919;
}

static void prepare_listener(void)
{
    dialogue_listen(&d, 1000);
}

static void send_syn(unsigned i)
{
    from(i);
    const struct seg syn = {.seq = d.seq, .flags = SYN, .wnd = 65535, .options = MSS_1460};
    dialogue_in(&d, &syn);
}

static uint64_t half_open(void)
{
    return h.stack->tcps.nflows;
}

/* The last ACK of a handshake that never was. */
static void send_any_ack(unsigned i)
{
    from(i);
    const struct seg ack = {.seq = d.seq, .ack = i, .flags = ACK, .wnd = 65535};
    dialogue_in(&d, &ack);
}

static void connect_and_close(unsigned i)
{
    from(i);
    dialogue_shake(&d);
    assert_int_equal(nst_close(h.stack, dialogue_accept(&d)), 0);
    harness_pull(&h);
    d.ack++;
    dialogue_say(&d, FIN | ACK, 0);
}

static uint64_t timewaits(void)
{
    return h.stack->tcps.ntimewaits;
}

static void prepare_few_timewaits(void)
{
    h.stack->tcps.config.max_timewaits = 4000;
    dialogue_listen(&d, 1000);
}

static void shake(unsigned i)
{
    from(i);
    dialogue_shake(&d);
    (void)dialogue_accept(&d);
}

/* ---- Segments ------------------------------------------------------------------------------ */

static void prepare_connection(void)
{
    dialogue_open(&d);
}

static void send_byte(unsigned i)
{
    (void)i;
    dialogue_say(&d, ACK, 1);
}

static uint64_t received(void)
{
    return dialogue_tcb(&d)->act->recvq.bytes;
}

static void send_out_of_order(unsigned i)
{
    const struct seg s = {.seq = d.seq + 1 + i * 7919 % 32000 * 2,
                          .ack = d.ack,
                          .flags = ACK,
                          .wnd = 65535,
                          .len = 1};

    dialogue_in(&d, &s);
}

static uint64_t out_of_order(void)
{
    return nst_ooo_mem(dialogue_tcb(&d)->act->ooo);
}

/* 1,250 of the tiniest segments are out. */
static void prepare_sender(void)
{
    d.syn_options = "02040030 01010402";
    dialogue_open(&d);
    dialogue_tcb(&d)->cc.cwnd = 1u << 20;
    dialogue_write(&d, 60000);
}

/* Each reports two segments more, in an order that leaves holes everywhere. */
static void send_sacks(unsigned i)
{
    char options[64];
    uint32_t a = d.ack + 48 * (i * 389 % 600 * 2 + 1), b = d.ack + 48 * (i * 211 % 600 * 2 + 1);

    snprintf(options, sizeof options, "01010512 %08x %08x %08x %08x", a, a + 48, b, b + 48);
    const struct seg s = {
        .seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535, .options = options};
    dialogue_in(&d, &s);
}

static uint64_t sacked(void)
{
    return dialogue_tcb(&d)->act->board.sacked;
}

/* ---- Datagrams ----------------------------------------------------------------------------- */

static void prepare_udp(void)
{
    udp = harness_udp(&h, US, 5000);
    assert_int_equal(nst_setopt(h.stack, udp, NST_OPT_RCVBUF, 8 << 20), 0);
}

static void send_datagram(unsigned i)
{
    static struct frame f;

    frame_udp(&f, &(struct frame_ip){0}, (uint16_t)(1024 + i % 60000), 5000, NULL, 100);
    harness_input(&h, &f);
}

static uint64_t waiting(void)
{
    struct nst_sock_info info;

    assert_int_equal(nst_info(h.stack, udp, &info), 0);
    return info.rx_bytes;
}

static void nothing(void)
{
}

/* The first of two, from one of many. */
static void send_fragment(unsigned i)
{
    static struct frame whole, f;
    char src[16];

    snprintf(src, sizeof src, "198.51.%u.%u", 100 + (i >> 8 & 15), 1 + i % 200);
    frame_udp(&whole, &(struct frame_ip){.src = src, .id = (uint16_t)i}, 9, 9, NULL, 1400);
    frame_fragment(&f, &whole, 0, 800);
    harness_input(&h, &f);
}

static uint64_t fragments(void)
{
    return h.stack->ip.reassembly.used_bytes;
}

static void send_arp(unsigned i)
{
    static struct frame f;
    char sha[18], spa[16];

    snprintf(sha, sizeof sha, "02:00:00:01:%02x:%02x", i >> 8 & 255, i & 255);
    snprintf(spa, sizeof spa, "10.1.%u.%u", i >> 7 & 255, 1 + (i & 127));
    frame_arp(&f, 1, sha, spa, "00:00:00:00:00:00", "10.1.255.1");
    harness_input(&h, &f);
}

static uint64_t neighbours(void)
{
    return nst_neigh_list(h.stack, NULL, 0);
}

static void prepare_network(void)
{
    const struct nst_prefix net = test_prefix("10.1.255.1/16");

    assert_int_equal(nst_addr_add(h.stack, h.link, &net, NST_ACD_OFF), 0);
}

/* ---- The comparison ------------------------------------------------------------------------ */

static const struct queue queues[] = {
    {"half-open connections", prepare_listener, send_syn, 5000, half_open},
    {"cookies for nobody", prepare_listener, send_any_ack, 5000, NULL},
    {"established connections", prepare_listener, shake, 5000, half_open},
    {"TIME-WAIT", prepare_few_timewaits, connect_and_close, 5000, timewaits},
    {"text in order", prepare_connection, send_byte, 40000, received},
    {"text out of order", prepare_connection, send_out_of_order, 20000, out_of_order},
    {"selective acknowledgements", prepare_sender, send_sacks, 200, sacked},
    {"datagrams", prepare_udp, send_datagram, 5000, waiting},
    {"fragments", nothing, send_fragment, 5000, fragments},
    {"neighbours", prepare_network, send_arp, 5000, neighbours},
};

static uint64_t cost(packet *send, unsigned first)
{
    uint64_t before = blocks;

    for (unsigned i = 0; i < SAMPLES; i++)
        send(first + i);
    return (blocks - before) / SAMPLES;
}

static void test_queue(void **state)
{
    const struct queue *q = *state;

    harness_init(&h, NULL, 0);
    h.check_every = UINT32_MAX; /* the check looks at everything */
    dialogue_init(&d, &h, 4000, 5000);
    q->prepare();
    (void)cost(q->send, 0); /* what happens once: memory, the beginning of a recovery */
    uint64_t empty = cost(q->send, SAMPLES);
    uint64_t level = q->level ? q->level() : 0;
    for (unsigned i = 0; i < q->fill; i++)
        q->send(2 * SAMPLES + i);
    assert_true(!q->level || q->level() > level);
    uint64_t full = cost(q->send, 2 * SAMPLES + q->fill);
    print_message("# %-28s empty %6llu, full %6llu blocks a packet\n", q->what,
                  (unsigned long long)empty, (unsigned long long)full);
    nst_stack_check(h.stack);
    harness_fini(&h);
    assert_true(full <= 2 * empty);
}

int main(void)
{
    struct CMUnitTest tests[NST_ARRAY_LEN(queues)];

    for (size_t i = 0; i < NST_ARRAY_LEN(queues); i++) {
        union {
            const struct queue *queue;
            void *state;
        } q = {&queues[i]};
        tests[i] = (struct CMUnitTest){queues[i].what, test_queue, NULL, NULL, q.state};
    }
    return cmocka_run_group_tests_name("stack/cost", tests, NULL, NULL);
}
