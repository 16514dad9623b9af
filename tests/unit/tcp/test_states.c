/* What a segment does to a connection: every combination of state, flags, sequence number,
 * acknowledgement and payload, against a small model that is written from RFC 9293 §3.10.7, with
 * RFC 5961 (blind attacks; row 181 of the list) and RFC 1337 (TIME-WAIT) applied. Where the stack
 * differs with a reason, the reason stands in the table `exceptions`.
 *
 * The model knows the connection by its numbers alone. It says what the next state is, the only
 * segment that goes out in answer, how many bytes become readable, and what the owner is told. */
#include <errno.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

#define RCVBUF      4096            /* the least that there is */
#define WINDOW      (RCVBUF / 2)    /* that it offers */
#define OUT         200             /* bytes that wait for an acknowledgement, in some states */
#define BEYOND      (WINDOW + 1000) /* a payload larger than the window */
#define PEER_WINDOW 5000

/* ---- The combinations ------------------------------------------------------------------------ */

enum seq_class {
    SEQ_FAR_BELOW,
    SEQ_BELOW, /* by one: as in a keep-alive */
    SEQ_NEXT,
    SEQ_INSIDE,
    SEQ_LAST,
    SEQ_BEHIND, /* the right edge, the first outside */
    SEQ_FAR_BEHIND,
    SEQ_WRAPPED, /* half of the number space away */
    SEQ_CLASSES
};

enum ack_class {
    ACK_ANCIENT, /* older than the window allows: RFC 5961 §5 */
    ACK_OLD,
    ACK_UNA,
    ACK_BETWEEN,
    ACK_NEXT,
    ACK_BEYOND,
    ACK_CLASSES
};

/* Passive and active SYN-RECEIVED are two: what is a RST's meaning for one is not for the other. */
#define ACTIVE_SYN_RECEIVED 11
#define STATES              12

static const size_t payloads[] = {0, 1, BEYOND};

struct combination {
    unsigned state;
    uint8_t flags;
    enum seq_class seq;
    enum ack_class ack;
    size_t len;
};

/* ---- The model ------------------------------------------------------------------------------- */

enum reply {
    NONE,
    AN_ACK,
    A_SYN_ACK,
    A_RST,     /* <SEQ=SEG.ACK><CTL=RST> */
    A_RST_ACK, /* <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> */
};

struct outcome {
    unsigned state;
    enum reply reply;
    uint32_t reply_seq, reply_ack;
    size_t delivered;
    int error;
};

/* A connection as the RFC sees it. */
struct model {
    unsigned state;
    bool fin_sent;
    uint32_t iss, una, nxt, max_wnd; /* SND */
    uint32_t rcv_nxt, rcv_wnd;
    struct outcome out;
};

static bool before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static bool at_most(uint32_t a, uint32_t b)
{
    return !before(b, a);
}

static uint32_t seg_len(const struct seg *s)
{
    return (uint32_t)s->len + !!(s->flags & SYN) + !!(s->flags & FIN);
}

static void reply_ack(struct model *m)
{
    m->out.reply = AN_ACK;
}

static void reply_rst(struct model *m, const struct seg *s)
{
    m->out.reply = s->flags & ACK ? A_RST : A_RST_ACK;
    m->out.reply_seq = s->flags & ACK ? s->ack : 0;
    m->out.reply_ack = s->flags & ACK ? 0 : s->seq + seg_len(s);
}

/* §3.10.7.1 */
static void model_closed(struct model *m, const struct seg *s)
{
    if (!(s->flags & RST))
        reply_rst(m, s);
}

/* §3.10.7.2 */
static void model_listen(struct model *m, const struct seg *s)
{
    if (s->flags & RST)
        return;
    if (s->flags & ACK) {
        reply_rst(m, s);
        return;
    }
    if (!(s->flags & SYN))
        return;
    m->rcv_nxt = s->seq + 1;
    m->state = NST_TCP_SYN_RECEIVED;
    m->out.reply = A_SYN_ACK;
}

/* The table of the first check; of a RST only the number itself counts (RFC 5961 §3.2). */
static bool acceptable(const struct model *m, const struct seg *s)
{
    uint32_t len = s->flags & RST ? 0 : seg_len(s), last = s->seq + len - 1;
    bool first_in = at_most(m->rcv_nxt, s->seq) && before(s->seq, m->rcv_nxt + m->rcv_wnd);
    bool last_in = at_most(m->rcv_nxt, last) && before(last, m->rcv_nxt + m->rcv_wnd);

    if (m->rcv_wnd == 0)
        return len == 0 && s->seq == m->rcv_nxt;
    /* What covers all of it is not in the table, and holds what is expected all the same. */
    bool covers = len > m->rcv_wnd && before(s->seq, m->rcv_nxt) && at_most(m->rcv_nxt, last);

    return first_in || (len > 0 && (last_in || covers));
}

/* Second check. */
static void model_rst(struct model *m, const struct seg *s)
{
    if (s->seq != m->rcv_nxt) {
        reply_ack(m);
        return;
    }
    switch (m->state) {
    case NST_TCP_SYN_RECEIVED:
        m->state = NST_TCP_LISTEN;
        return;
    case ACTIVE_SYN_RECEIVED:
        m->out.error = ECONNREFUSED;
        break;
    case NST_TCP_CLOSING:
    case NST_TCP_LAST_ACK:
        break;
    case NST_TCP_TIME_WAIT: /* RFC 1337 */
        return;
    default:
        m->out.error = ECONNRESET;
    }
    m->state = NST_TCP_CLOSED;
}

static void fin_acknowledged(struct model *m)
{
    if (m->state == NST_TCP_FIN_WAIT_1)
        m->state = NST_TCP_FIN_WAIT_2;
    else if (m->state == NST_TCP_CLOSING)
        m->state = NST_TCP_TIME_WAIT;
    else if (m->state == NST_TCP_LAST_ACK)
        m->state = NST_TCP_CLOSED;
}

/* Fifth check. False: drop the segment and return. */
static bool model_ack(struct model *m, const struct seg *s)
{
    if (m->state == NST_TCP_SYN_RECEIVED || m->state == ACTIVE_SYN_RECEIVED) {
        if (at_most(s->ack, m->una) || before(m->nxt, s->ack)) {
            reply_rst(m, s);
            return false;
        }
        m->state = NST_TCP_ESTABLISHED;
    } else if (before(s->ack, m->una - m->max_wnd) || before(m->nxt, s->ack)) {
        reply_ack(m); /* RFC 5961 §5.2 */
        return false;
    }
    if (before(m->una, s->ack))
        m->una = s->ack;
    if (m->fin_sent && m->una == m->nxt)
        fin_acknowledged(m);
    return m->state != NST_TCP_CLOSED;
}

static bool receives(const struct model *m)
{
    return m->state == NST_TCP_ESTABLISHED || m->state == NST_TCP_FIN_WAIT_1 ||
           m->state == NST_TCP_FIN_WAIT_2;
}

/* Seventh check. Returns whether the segment's end, where its FIN stands, is inside the window. */
static bool model_text(struct model *m, const struct seg *s)
{
    uint32_t edge = m->rcv_nxt + m->rcv_wnd, end = s->seq + (uint32_t)s->len;
    bool whole = at_most(end, edge);

    if (s->len == 0)
        return true;
    reply_ack(m);
    if (before(m->rcv_nxt, s->seq) || at_most(end, m->rcv_nxt))
        return whole;
    end = whole ? end : edge;
    m->out.delivered = end - m->rcv_nxt;
    m->rcv_nxt = end;
    m->rcv_wnd = edge - end;
    return whole;
}

/* Eighth check. */
static void model_fin(struct model *m, const struct seg *s)
{
    if (!(s->flags & FIN) || s->seq + (uint32_t)s->len != m->rcv_nxt)
        return;
    m->rcv_nxt++;
    if (m->state == NST_TCP_ESTABLISHED)
        m->state = NST_TCP_CLOSE_WAIT;
    else if (m->state == NST_TCP_FIN_WAIT_1)
        m->state = NST_TCP_CLOSING;
    else
        m->state = NST_TCP_TIME_WAIT;
    reply_ack(m);
}

/* Sixth to eighth; the URG bit changes nothing that is looked at here but the readiness. */
static void model_rest(struct model *m, const struct seg *s)
{
    if (receives(m) && model_text(m, s))
        model_fin(m, s);
}

/* Figure 8: after a simultaneous open the peer's SYN comes again with the ACK that is awaited. */
static bool is_syn_of_figure_8(const struct model *m, const struct seg *s)
{
    return m->state == ACTIVE_SYN_RECEIVED && (s->flags & (SYN | RST | ACK)) == (SYN | ACK) &&
           s->seq + 1 == m->rcv_nxt && s->ack == m->nxt;
}

/* §3.10.7.4 */
static void model_synchronized(struct model *m, const struct seg *s)
{
    if (is_syn_of_figure_8(m, s)) {
        struct seg rest = *s;
        rest.flags &= (uint8_t)~SYN;
        rest.seq++;
        model_synchronized(m, &rest);
        return;
    }
    if (!acceptable(m, s)) {
        if (!(s->flags & RST))
            reply_ack(m);
        return;
    }
    if (s->flags & RST) {
        model_rst(m, s);
        return;
    }
    if (s->flags & SYN) { /* fourth */
        if (m->state == NST_TCP_SYN_RECEIVED)
            m->state = NST_TCP_LISTEN;
        else
            reply_ack(m); /* RFC 5961 §4 */
        return;
    }
    if (s->flags & ACK && model_ack(m, s))
        model_rest(m, s);
}

/* §3.10.7.3 */
static void model_syn_sent(struct model *m, const struct seg *s)
{
    bool ack_ok = s->flags & ACK && before(m->iss, s->ack) && at_most(s->ack, m->nxt);

    if (s->flags & ACK && !ack_ok) {
        if (!(s->flags & RST))
            reply_rst(m, s);
        return;
    }
    if (s->flags & RST) {
        if (ack_ok) {
            m->out.error = ECONNREFUSED;
            m->state = NST_TCP_CLOSED;
        }
        return;
    }
    if (!(s->flags & SYN))
        return;
    m->rcv_nxt = s->seq + 1;
    m->rcv_wnd = WINDOW;
    m->state = ACTIVE_SYN_RECEIVED;
    m->out.reply = A_SYN_ACK;
    if (ack_ok) {
        struct seg rest = *s;
        m->una = s->ack;
        m->state = NST_TCP_ESTABLISHED;
        rest.seq++;
        reply_ack(m);
        model_rest(m, &rest);
    }
}

static void model_input(struct model *m, const struct seg *s)
{
    switch (m->state) {
    case NST_TCP_CLOSED:
        model_closed(m, s);
        break;
    case NST_TCP_LISTEN:
        model_listen(m, s);
        break;
    case NST_TCP_SYN_SENT:
        model_syn_sent(m, s);
        break;
    default:
        model_synchronized(m, s);
    }
    m->out.state = m->state;
    if (m->out.reply == AN_ACK || m->out.reply == A_SYN_ACK) {
        m->out.reply_seq = m->out.reply == A_SYN_ACK ? m->iss : m->nxt;
        m->out.reply_ack = m->rcv_nxt;
    }
}

/* ---- Where the stack differs ----------------------------------------------------------------- */

struct exception {
    const char *reason;
    bool (*applies)(const struct combination *c);
    void (*alter)(const struct combination *c, struct model *m);
};

static bool is_syn_fin_to_listener(const struct combination *c)
{
    return c->state == NST_TCP_LISTEN && (c->flags & (SYN | FIN | ACK | RST)) == (SYN | FIN);
}

static void nothing_happens(const struct combination *c, struct model *m)
{
    m->out = (struct outcome){.state = c->state};
}

static bool is_reset_in_close_wait(const struct combination *c)
{
    return c->state == NST_TCP_CLOSE_WAIT && c->flags & RST;
}

static void broken_pipe(const struct combination *c, struct model *m)
{
    (void)c;
    if (m->out.error == ECONNRESET)
        m->out.error = EPIPE;
}

static bool is_syn_again(const struct combination *c)
{
    return c->state == NST_TCP_SYN_RECEIVED && c->seq == SEQ_BELOW &&
           (c->flags & (SYN | RST | ACK)) == SYN;
}

static void answer_again(const struct combination *c, struct model *m)
{
    m->out = (struct outcome){
        .state = c->state, .reply = A_SYN_ACK, .reply_seq = m->iss, .reply_ack = m->rcv_nxt};
}

/* One that the RFC takes back to LISTEN. */
static bool is_syn_to_half_open(const struct combination *c)
{
    return c->state == NST_TCP_SYN_RECEIVED && (c->flags & (SYN | RST)) == SYN && !is_syn_again(c);
}

static void challenge(const struct combination *c, struct model *m)
{
    m->out = (struct outcome){
        .state = c->state, .reply = AN_ACK, .reply_seq = m->nxt, .reply_ack = m->rcv_nxt};
}

static bool is_empty_in_time_wait(const struct combination *c)
{
    return c->state == NST_TCP_TIME_WAIT && c->seq == SEQ_NEXT && c->len == 0 &&
           !(c->flags & (SYN | FIN));
}

static const struct exception exceptions[] = {
    {"SYN with FIN opens nothing: no sender means it, and half-open records would be made for "
     "nothing (CVE-2012-6638)",
     is_syn_fin_to_listener, nothing_happens},
    {"a RST after the peer's FIN is EPIPE, as in Linux: what was read is complete",
     is_reset_in_close_wait, broken_pipe},
    {"the same SYN again is answered by the same SYN-ACK again: that was lost", is_syn_again,
     answer_again},
    {"another SYN gets a challenge ACK in SYN-RECEIVED, too: blind attackers shall not undo "
     "handshakes, and a peer that began anew answers it with a RST, which does",
     is_syn_to_half_open, challenge},
    {"TIME-WAIT does not answer an empty segment at RCV.NXT, whatever that acknowledges: an answer "
     "could go to and fro for ever",
     is_empty_in_time_wait, nothing_happens},
};

static void apply_exceptions(const struct combination *c, struct model *m)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(exceptions); i++)
        if (exceptions[i].applies(c))
            exceptions[i].alter(c, m);
}

/* ---- The stack in each state ----------------------------------------------------------------- */

static struct harness h;

static void small_buffer(struct dialogue *d)
{
    const struct nst_sockaddr local = {.port = d->lport};

    d->sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_setopt(h.stack, d->sock, NST_OPT_RCVBUF, RCVBUF), 0);
    /* So that every byte counts alike, urgent or not. */
    assert_int_equal(nst_setopt(h.stack, d->sock, NST_OPT_OOBINLINE, 1), 0);
    assert_int_equal(nst_bind(h.stack, d->sock, &local), 0);
}

static void finish_writing(struct dialogue *d)
{
    assert_int_equal(nst_shutdown(h.stack, d->sock, NST_SHUT_WR), 0);
    harness_pull(&h);
}

static void open_and_write(struct dialogue *d)
{
    dialogue_open(d);
    dialogue_write(d, OUT);
}

/* Leads a connection to the state; `d->ack` stays at SND.UNA. */
static void reach(struct dialogue *d, unsigned state)
{
    if (state == NST_TCP_CLOSED || state == NST_TCP_LISTEN)
        return;
    if (state == NST_TCP_SYN_RECEIVED) {
        dialogue_say(d, SYN, 0);
        d->ack = dialogue_sent(d).seq + 1;
        return;
    }
    small_buffer(d);
    switch (state) {
    case NST_TCP_SYN_SENT:
        dialogue_connect(d);
        break;
    case ACTIVE_SYN_RECEIVED:
        dialogue_connect(d);
        dialogue_say(d, SYN, 0);
        break;
    case NST_TCP_ESTABLISHED:
        open_and_write(d);
        break;
    case NST_TCP_FIN_WAIT_1:
        open_and_write(d);
        finish_writing(d);
        break;
    case NST_TCP_FIN_WAIT_2:
    case NST_TCP_TIME_WAIT:
        dialogue_open(d);
        finish_writing(d);
        d->ack++;
        dialogue_say(d, ACK, 0);
        if (state == NST_TCP_TIME_WAIT)
            dialogue_say(d, FIN | ACK, 0);
        break;
    case NST_TCP_CLOSE_WAIT:
        open_and_write(d);
        dialogue_say(d, FIN | ACK, 0);
        break;
    case NST_TCP_CLOSING:
        open_and_write(d);
        finish_writing(d);
        dialogue_say(d, FIN | ACK, 0);
        break;
    case NST_TCP_LAST_ACK:
        open_and_write(d);
        dialogue_say(d, FIN | ACK, 0);
        finish_writing(d);
        break;
    default:
        fail();
    }
}

static struct model model_of(const struct dialogue *d, unsigned state)
{
    static const uint8_t out[STATES] = {
        [NST_TCP_ESTABLISHED] = OUT, [NST_TCP_CLOSE_WAIT] = OUT,   [NST_TCP_FIN_WAIT_1] = OUT + 1,
        [NST_TCP_CLOSING] = OUT + 1, [NST_TCP_LAST_ACK] = OUT + 1,
    };
    bool syn_is_out = state == NST_TCP_SYN_SENT || state == NST_TCP_SYN_RECEIVED ||
                      state == ACTIVE_SYN_RECEIVED;
    struct model m = {.state = state,
                      .rcv_nxt = d->seq,
                      .rcv_wnd = state == NST_TCP_TIME_WAIT ? 0 : WINDOW,
                      .iss = d->ack - 1,
                      .una = syn_is_out ? d->ack - 1 : d->ack,
                      .nxt = d->ack + out[state],
                      .max_wnd = PEER_WINDOW};

    m.fin_sent = out[state] == OUT + 1 || state == NST_TCP_FIN_WAIT_2;
    return m;
}

/* ---- One combination ------------------------------------------------------------------------- */

static uint32_t seq_of(const struct model *m, enum seq_class class)
{
    switch (class) {
    case SEQ_FAR_BELOW:
        return m->rcv_nxt - 10000;
    case SEQ_BELOW:
        return m->rcv_nxt - 1;
    case SEQ_INSIDE:
        return m->rcv_nxt + WINDOW / 2;
    case SEQ_LAST:
        return m->rcv_nxt + WINDOW - 1;
    case SEQ_BEHIND:
        return m->rcv_nxt + WINDOW;
    case SEQ_FAR_BEHIND:
        return m->rcv_nxt + WINDOW + 10000;
    case SEQ_WRAPPED:
        return m->rcv_nxt + 0x80000000u;
    default:
        return m->rcv_nxt;
    }
}

static uint32_t ack_of(const struct model *m, enum ack_class class)
{
    switch (class) {
    case ACK_ANCIENT:
        return m->una - m->max_wnd - 1;
    case ACK_OLD:
        return m->una - 1;
    case ACK_BETWEEN:
        return m->una + (m->nxt - m->una) / 2;
    case ACK_NEXT:
        return m->nxt;
    case ACK_BEYOND:
        return m->nxt + 1;
    default:
        return m->una;
    }
}

static const char *state_name(unsigned state)
{
    static const char *const names[STATES] = {
        "CLOSED",      "LISTEN",     "SYN-SENT",   "SYN-RECEIVED",
        "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
        "CLOSING",     "LAST-ACK",   "TIME-WAIT",  "SYN-RECEIVED (active)"};

    return names[state];
}

static enum reply kind_of(const struct seg *s)
{
    switch (s->flags & (SYN | RST | ACK)) {
    case ACK:
        return AN_ACK;
    case SYN | ACK:
        return A_SYN_ACK;
    case RST:
        return A_RST;
    default:
        return A_RST_ACK;
    }
}

/* What the owner can read, and what was said about the end. */
static void see_owner(struct dialogue *d, struct outcome *out)
{
    static uint8_t buf[2 * BEYOND];
    int64_t error = 0;

    if (!d->sock && d->listener)
        (void)nst_accept(h.stack, d->listener, &d->sock, 8);
    if (!d->sock)
        return;
    assert_int_equal(nst_setopt(h.stack, d->sock, NST_OPT_OOBINLINE, 1), 0);
    int64_t got = dialogue_read(d, buf, sizeof buf);
    out->delivered = got > 0 ? (size_t)got : 0;
    if (got < 0 && got != -EAGAIN && got != -ENOTCONN)
        out->error = (int)-got;
    else if (nst_getopt(h.stack, d->sock, NST_OPT_ERROR, &error) == 0)
        out->error = (int)error;
}

static struct outcome observe(struct dialogue *d)
{
    struct seg sent[3];
    size_t n = dialogue_out(d, sent, 3);
    struct outcome out = {.state = dialogue_state(d)};

    if (out.state == NST_TCP_SYN_RECEIVED && dialogue_tcb(d))
        out.state = ACTIVE_SYN_RECEIVED;
    assert_true(n <= 1);
    if (n == 1) {
        out.reply = kind_of(&sent[0]);
        out.reply_seq = sent[0].seq;
        out.reply_ack = sent[0].flags & ACK ? sent[0].ack : 0;
    }
    see_owner(d, &out);
    return out;
}

static void print(const char *what, const struct model *m, const struct outcome *o)
{
    static const char *const replies[] = {"nothing", "ACK", "SYN-ACK", "RST", "RST-ACK"};

    print_error("  %s: %s, answer %s seq una%+d ack nxt%+d, %zu bytes, error %d\n", what,
                state_name(o->state), replies[o->reply], (int)(o->reply_seq - m->una),
                (int)(o->reply_ack - m->rcv_nxt), o->delivered, o->error);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->state == b->state && a->reply == b->reply && a->reply_seq == b->reply_seq &&
           a->reply_ack == b->reply_ack && a->delivered == b->delivered && a->error == b->error;
}

static unsigned failures;

static void compare(const struct combination *c, const struct model *start,
                    const struct outcome *expected, const struct outcome *seen)
{
    if (same(expected, seen))
        return;
    if (failures++ >= 20)
        return;
    print_error("%s, flags %s%s%s%s%s%s, seq class %d, ack class %d, %zu bytes\n",
                state_name(c->state), c->flags & FIN ? "F" : "", c->flags & SYN ? "S" : "",
                c->flags & RST ? "R" : "", c->flags & PSH ? "P" : "", c->flags & ACK ? "A" : "",
                c->flags & URG ? "U" : "", c->seq, c->ack, c->len);
    print("expected", start, expected);
    print("seen", start, seen);
}

static uint16_t next_port;
static nst_sock listener;

static void try(const struct combination *c)
{
    bool listening = c->state == NST_TCP_LISTEN || c->state == NST_TCP_SYN_RECEIVED;
    struct dialogue d;

    dialogue_init(&d, &h, 80, next_port++);
    d.lport = listening ? 80 : (uint16_t)(10000 + next_port % 20000);
    d.listener = listening ? listener : 0;
    d.wnd = PEER_WINDOW;
    reach(&d, c->state);
    if (c->state != NST_TCP_CLOSED)
        assert_int_equal(dialogue_state(&d),
                         c->state == ACTIVE_SYN_RECEIVED ? NST_TCP_SYN_RECEIVED : c->state);
    if (c->state == NST_TCP_TIME_WAIT)
        h.now += NST_SEC;
    struct model m = model_of(&d, c->state), start = m;
    struct seg s = {.seq = seq_of(&m, c->seq),
                    .ack = c->flags & ACK ? ack_of(&m, c->ack) : 0,
                    .flags = c->flags,
                    .wnd = PEER_WINDOW,
                    .urg = c->flags & URG ? 1 : 0,
                    .len = c->len};
    assert_true(dialogue_in(&d, &s));
    if (c->state == NST_TCP_LISTEN && dialogue_flow(&d)) /* the model can't know what is random */
        m.iss = dialogue_sent(&d).seq;
    model_input(&m, &s);
    apply_exceptions(c, &m);
    struct outcome seen = observe(&d);
    compare(c, &start, &m.out, &seen);
    if (d.sock) {
        assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_LINGER, 0), 0);
        assert_int_equal(nst_close(h.stack, d.sock), 0);
    }
    h.now += 2 * NST_MS; /* for the limits of answers to strangers */
}

static void test_flags(unsigned state, uint8_t flags)
{
    bool ack_matters = flags & ACK;

    harness_init(&h, NULL, 0);
    h.check_every = 16;
    next_port = 1024;
    listener = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_setopt(h.stack, listener, NST_OPT_OOBINLINE, 1), 0);
    assert_int_equal(nst_setopt(h.stack, listener, NST_OPT_RCVBUF, RCVBUF), 0);
    assert_int_equal(nst_bind(h.stack, listener, &(struct nst_sockaddr){.port = 80}), 0);
    assert_int_equal(nst_listen(h.stack, listener, 1000), 0);
    for (unsigned seq = 0; seq < SEQ_CLASSES; seq++)
        for (unsigned ack = 0; ack < (ack_matters ? ACK_CLASSES : 1); ack++)
            for (size_t i = 0; i < NST_ARRAY_LEN(payloads); i++)
                try(&(struct combination){state, flags, seq, ack, payloads[i]});
    harness_fini(&h);
}

static void test_state(void **state)
{
    const unsigned *which = *state;

    failures = 0;
    for (unsigned flags = 0; flags < 64; flags++)
        test_flags(*which, (uint8_t)flags);
    assert_int_equal(failures, 0);
}

int main(void)
{
    static unsigned numbers[STATES];
    static struct CMUnitTest tests[STATES];

    for (unsigned i = 0; i < STATES; i++) {
        numbers[i] = i;
        tests[i] = (struct CMUnitTest){state_name(i), test_state, NULL, NULL, &numbers[i]};
    }
    return cmocka_run_group_tests_name("tcp/states", tests, NULL, NULL);
}
