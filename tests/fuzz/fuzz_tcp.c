/* Fuzzes TCP by dialogue. The input is a tape of steps: each is one byte that chooses an action in
 * ACTIONS and the bytes that the action takes.
 *
 * What makes it get anywhere is that the peer knows the connection: sequence and acknowledgement
 * numbers, timestamps and SACK blocks are chosen relative to what the stack's own block says, a
 * little beside it if the tape wants. So a step of zeros is a good one, and every bit that is set
 * makes it worse.
 *
 * There are CALLS conversations: the first half are begun by the peer, who finds a listener, the
 * others by the stack. Both ends send bytes that follow from their place in the stream, so that
 * whatever one side reads, or the other sends, can be judged. After each step the stack's
 * invariants are checked; in the end all sockets are closed and the peer is silent: then every
 * connection must end by itself, and every byte of memory come back. */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"
#include "core/wire/checksum.h"
#include "core/wire/icmpv4.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"

#include "tape.h"

#undef NDEBUG
#include <assert.h>

#define CALLS       4
#define BATCH_MAX   24
#define STEPS_MAX   256
#define PACKET_MAX  65535
#define TEXT_MAX    40000
#define TEXT_PERIOD 2048  /* of text_at() */
#define END_STEPS   20000 /* deadlines until every connection has given up */

enum { LISTEN_PORT = 80, LOCAL_PORT = 1024, PEER_PORT = 5000 };

static const struct nst_addr US = {NST_AF_INET, {10, 0, 0, 1}};
static const struct nst_addr PEER = {NST_AF_INET, {10, 0, 0, 2}};

/* One conversation, as the peer knows it. */
struct call {
    uint16_t lport, pport;
    nst_sock sock;
    uint64_t written, read; /* by the stack's owner */
    bool urgent;            /* the peer has sent some: reading skips it */
    uint32_t iss;           /* of the peer's next attempt */
    uint32_t last_seq;      /* behind the last that the stack sent */
    uint32_t last_ts, ts;   /* the timestamps of both sides */
};

struct script {
    struct tape tape;
    struct tape_memory memory;
    struct nst_stack *stack;
    nst_link link;
    nst_time now;
    uint32_t mtu;
    nst_sock listener;
    struct call calls[CALLS];
    uint8_t packet[PACKET_MAX];
    struct nst_pkt *batch[BATCH_MAX]; /* for the stack's next input */
    unsigned nbatch;
    struct nst_offload offload; /* of the packets to come */
    unsigned loans;             /* that have ended and not returned */
};

static uint8_t take8(struct script *s)
{
    return tape_take8(&s->tape);
}

static uint16_t take16(struct script *s)
{
    return tape_take16(&s->tape);
}

static struct call *take_call(struct script *s)
{
    return &s->calls[take8(s) % CALLS];
}

/* The byte that stands at a place of a stream. */
static uint8_t text_at(uint64_t place)
{
    return (uint8_t)(place * 167 >> 3);
}

/* ---- What the peer knows ------------------------------------------------------------------- */

struct view {
    uint32_t una, nxt;     /* of what the stack sends */
    uint32_t rcv_nxt, adv; /* of what it receives */
    struct nst_tcb *tcb;   /* NULL: another thing, or none */
};

static struct view look(const struct script *s, const struct call *c)
{
    const struct nst_flow_id id = {.local = US, .peer = PEER, .lport = c->lport, .pport = c->pport};
    struct nst_flow *flow = nst_flow_find(&s->stack->tcps, &id);
    struct view v = {.una = c->last_seq, .nxt = c->last_seq, .rcv_nxt = c->iss, .adv = c->iss};

    if (flow && flow->kind == NST_FLOW_TCB) {
        struct nst_tcb *t = v.tcb = NST_CONTAINER(flow, struct nst_tcb, flow);
        v.una = t->snd.una.v;
        v.nxt = t->snd.nxt.v;
        if (t->state != NST_TCP_SYN_SENT) {
            v.rcv_nxt = t->rcv.nxt.v;
            v.adv = t->rcv.adv.v;
        }
    } else if (flow && flow->kind == NST_FLOW_REQ) {
        const struct nst_tcp_req *r = NST_CONTAINER(flow, struct nst_tcp_req, flow);
        v.una = r->iss.v;
        v.nxt = v.una + 1;
        v.rcv_nxt = r->irs.v + 1;
        v.adv = v.rcv_nxt + 65535;
    } else if (flow) {
        const struct nst_tcp_timewait *w = NST_CONTAINER(flow, struct nst_tcp_timewait, flow);
        v.una = v.nxt = w->snd_nxt.v;
        v.rcv_nxt = v.adv = w->rcv_nxt.v;
    }
    return v;
}

/* The connection that a socket has, or had. */
static const struct nst_tcb *tcb_of(const struct script *s, nst_sock sock)
{
    const struct nst_socket *socket = nst_sock_find(&s->stack->socks, sock);

    return socket ? nst_sock_tcb(socket) : NULL;
}

/* ---- In -------------------------------------------------------------------------------------- */

/* An IP packet from the peer, whose payload stands in s->packet already, for the batch. */
static void add_to_batch(struct script *s, uint8_t proto, uint8_t tos, size_t len)
{
    struct nst_ipv4 ip = {.src = PEER, .dst = US, .proto = proto, .tos = tos, .ttl = 64};
    struct nst_pkt *pkt;

    ip.total_len = (uint16_t)(NST_IPV4_HLEN + len);
    nst_ipv4_emit(&ip, s->packet);
    if (!(pkt = nst_pkt_alloc(s->stack, ip.total_len)))
        return;
    nst_pkt_write(pkt, 0, s->packet, ip.total_len);
    *nst_pkt_offload(pkt) = s->offload;
    nst_pkt_offload(pkt)->csum = NST_CSUM_VALID;
    s->batch[s->nbatch++] = pkt;
}

static void input_batch(struct script *s)
{
    nst_input(s->stack, s->link, s->batch, s->nbatch, s->now);
    s->nbatch = 0;
}

static void input(struct script *s, uint8_t proto, uint8_t tos, size_t len)
{
    add_to_batch(s, proto, tos, len);
    input_batch(s);
}

/* Puts a segment into the batch. */
static void add_segment(struct script *s, struct call *c, struct nst_tcp *h, uint8_t tos,
                        size_t len)
{
    uint8_t *p = s->packet + NST_IPV4_HLEN;
    uint32_t from = h->seq.v + !!(h->flags & NST_TCP_SYN);

    h->sport = c->pport;
    h->dport = c->lport;
    nst_tcp_emit(h, p);
    len = nst_min(len, (size_t)(PACKET_MAX - NST_IPV4_HLEN - h->hlen));
    for (size_t i = 0; i < len; i++)
        p[h->hlen + i] = text_at(from + (uint32_t)i);
    c->urgent |= h->flags & NST_TCP_URG;
    s->offload.hdr_len = (uint16_t)(NST_IPV4_HLEN + h->hlen);
    add_to_batch(s, NST_IPPROTO_TCP, tos, h->hlen + len);
}

static void send_segment(struct script *s, struct call *c, struct nst_tcp *h, uint8_t tos,
                         size_t len)
{
    add_segment(s, c, h, tos, len);
    input_batch(s);
}

/* A distance: mostly small. */
static uint32_t take_distance(struct script *s)
{
    uint8_t how = take8(s);

    return how < 192 ? how : how < 248 ? take16(s) : (uint32_t)take16(s) << 16 | take16(s);
}

static uint32_t take_seq(struct script *s, const struct view *v, const struct call *c)
{
    uint8_t how = take8(s);

    switch (how % 8) {
    case 1:
        return v->rcv_nxt + take_distance(s);
    case 2:
        return v->rcv_nxt - take_distance(s);
    case 3:
        return v->adv - take_distance(s);
    case 4:
        return v->adv + take_distance(s);
    case 5:
        return c->iss;
    default:
        return v->rcv_nxt;
    }
}

static uint32_t take_ack(struct script *s, const struct view *v)
{
    uint8_t how = take8(s);

    switch (how % 8) {
    case 1:
        return v->una;
    case 2:
        return v->una + take_distance(s);
    case 3:
        return v->una - take_distance(s);
    case 4:
        return v->nxt + take_distance(s);
    case 5:
        return v->nxt - take_distance(s);
    default:
        return v->nxt;
    }
}

static uint16_t take_window(struct script *s)
{
    uint8_t how = take8(s);

    return how == 0 ? 65535 : how == 1 ? 0 : how < 128 ? how : take16(s);
}

static size_t take_len(struct script *s)
{
    uint8_t how = take8(s);

    if (how < 64)
        return how;
    return how < 128 ? 536 : how < 192 ? 1400 : take16(s) % TEXT_MAX;
}

static void take_options(struct script *s, const struct view *v, struct call *c, struct nst_tcp *h)
{
    uint8_t how = take8(s);

    if (how & 1 || h->flags & NST_TCP_SYN)
        h->opts.mss = how & 2 ? take16(s) : 1460;
    h->opts.has_wscale = !(how & 4);
    h->opts.wscale = how & 8 ? take8(s) : 7;
    h->opts.sack_ok = !(how & 16);
    h->opts.has_ts = !(how & 32);
    c->ts += how & 64 ? take_distance(s) : 1;
    h->opts.ts_val = c->ts;
    h->opts.ts_ecr = c->last_ts;
    if (!(how & 128))
        return;
    h->opts.nsacks = take8(s) % (NST_TCP_SACK_MAX + 1);
    for (unsigned i = 0; i < h->opts.nsacks; i++) {
        uint32_t start = v->una + take_distance(s) - take8(s);
        h->opts.sacks[i] =
            (struct nst_tcp_sack){nst_seq_of(start), nst_seq_of(start + take_distance(s))};
    }
}

static void segment(struct script *s)
{
    static const uint8_t flags[] = {
        NST_TCP_ACK,
        NST_TCP_ACK | NST_TCP_PSH,
        NST_TCP_ACK | NST_TCP_FIN,
        NST_TCP_SYN,
        NST_TCP_SYN | NST_TCP_ACK,
        NST_TCP_RST,
        NST_TCP_RST | NST_TCP_ACK,
        NST_TCP_ACK | NST_TCP_URG,
    };
    struct call *c = take_call(s);
    struct view v = look(s, c);
    uint8_t how = take8(s);
    struct nst_tcp h = {.flags = how < 240 ? flags[how % NST_ARRAY_LEN(flags)] : take8(s)};

    h.seq = nst_seq_of(take_seq(s, &v, c));
    h.ack = nst_seq_of(h.flags & NST_TCP_ACK ? take_ack(s, &v) : 0);
    h.wnd = take_window(s);
    if (h.flags & NST_TCP_URG)
        h.urg = (uint16_t)take_distance(s);
    take_options(s, &v, c, &h);
    size_t len = take_len(s);
    send_segment(s, c, &h, how >> 3 & 3, len);
}

/* One more segment of a run: mostly what comes next, or else with a gap, once more, marked, ended,
 * from later or with a smaller window. */
static void next_of_run(struct script *s, struct call *c, struct nst_tcp *h, size_t len)
{
    uint8_t how = take8(s), tos = how == 1 ? 3 : 2;
    struct nst_tcp odd = *h;

    if (how == 2)
        h->seq = odd.seq = nst_seq_of(h->seq.v + take_distance(s));
    else if (how == 3)
        odd.seq = nst_seq_of(h->seq.v - take_distance(s));
    else if (how == 4)
        odd.flags |= take8(s);
    else if (how == 5)
        h->opts.ts_val = odd.opts.ts_val = ++c->ts;
    else if (how == 6)
        odd.wnd = take_window(s);
    else if (how == 7)
        len = take_len(s);
    add_segment(s, c, &odd, tos, len);
    if (nst_seq_eq(odd.seq, h->seq))
        h->seq = nst_seq_of(h->seq.v + (uint32_t)len);
}

/* What a device without offloads brings at once: a run of segments, which are joined where TCP
 * could not tell, with one of another conversation between them now and then. */
static void batch(struct script *s)
{
    struct call *c = take_call(s), *other = take_call(s);
    struct view v = look(s, c), w = look(s, other);
    unsigned n = 1 + take8(s) % BATCH_MAX;
    struct nst_tcp h = {.seq = nst_seq_of(v.rcv_nxt), .flags = NST_TCP_ACK, .wnd = 65535};
    struct nst_tcp stray = {.seq = nst_seq_of(w.rcv_nxt), .flags = NST_TCP_ACK, .wnd = 65535};

    h.ack = nst_seq_of(take_ack(s, &v));
    take_options(s, &v, c, &h);
    stray.ack = nst_seq_of(w.nxt);
    size_t len = nst_min(take_len(s), 1460);
    for (unsigned i = 0; i < n; i++) {
        if (other != c && take8(s) == 1)
            add_segment(s, other, &stray, 0, len);
        else
            next_of_run(s, c, &h, len);
    }
    input_batch(s);
}

/* What a device with offloads brings: a run of segments as one packet, whose description may be
 * nonsense. */
static void super_segment(struct script *s)
{
    uint8_t how = take8(s);

    s->offload = (struct nst_offload){.gso = how < 224 ? NST_GSO_TCP4 : how % 4,
                                      .gso_size = how & 1 ? take16(s) : 1000};
    segment(s);
    s->offload = (struct nst_offload){0};
}

/* An ICMP error about something that the connection sent. */
static void icmp_error(struct script *s)
{
    static const uint8_t types[] = {NST_ICMPV4_UNREACHABLE, NST_ICMPV4_UNREACHABLE,
                                    NST_ICMPV4_TIME_EXCEEDED, NST_ICMPV4_PARAMETER, 4};
    struct call *c = take_call(s);
    struct view v = look(s, c);
    uint8_t how = take8(s), *quote = s->packet + NST_IPV4_HLEN + NST_ICMPV4_HLEN;
    struct nst_icmpv4 icmp = {.type = types[how % NST_ARRAY_LEN(types)], .code = take8(s) % 16};
    struct nst_ipv4 ip = {.src = US, .dst = PEER, .proto = NST_IPPROTO_TCP, .ttl = 60, .df = true};
    struct nst_tcp h = {.sport = c->lport, .dport = c->pport, .flags = NST_TCP_ACK};

    icmp.mtu = take16(s);
    h.seq = nst_seq_of(take_ack(s, &v));
    ip.total_len = 1000;
    nst_ipv4_emit(&ip, quote);
    nst_tcp_emit(&h, quote + NST_IPV4_HLEN);
    nst_icmpv4_emit(&icmp, s->packet + NST_IPV4_HLEN);
    input(s, NST_IPPROTO_ICMP, 0, NST_ICMPV4_HLEN + NST_IPV4_HLEN + (how & 8 ? 8u : h.hlen));
}

/* ---- Out ------------------------------------------------------------------------------------- */

/* What the stack says is what its owner wrote, and lies inside what it says that it has sent.
 * (Without text, it may be an answer that had to wait for the device, from before the connection.)
 */
static void judge(struct script *s, struct call *c, const struct nst_tcp *h, const uint8_t *text,
                  size_t len)
{
    struct view v = look(s, c);

    if (h->opts.has_ts)
        c->last_ts = h->opts.ts_val;
    if (h->flags & NST_TCP_RST)
        return;
    c->last_seq = h->seq.v + (uint32_t)len + !!(h->flags & (NST_TCP_SYN | NST_TCP_FIN));
    if (!v.tcb || len == 0)
        return;
    assert(!nst_seq_gt(nst_seq_of(c->last_seq), v.tcb->snd.nxt));
    uint32_t first = v.una - (uint32_t)v.tcb->count.bytes_acked; /* of the stream */
    for (size_t i = 0; i < len; i++)
        assert(text[i] == text_at(h->seq.v + (uint32_t)i - first));
}

/* The peer has all of the segment, and says so. */
static void acknowledge(struct script *s, struct call *c, const struct nst_tcp *sent)
{
    struct view v = look(s, c);
    struct nst_tcp h = {.flags = NST_TCP_ACK, .wnd = 65535};

    if (sent->flags & NST_TCP_RST)
        return;
    h.seq = nst_seq_of(v.rcv_nxt);
    h.ack = nst_seq_of(c->last_seq);
    h.opts.has_ts = sent->opts.has_ts;
    h.opts.ts_val = ++c->ts;
    h.opts.ts_ecr = c->last_ts;
    send_segment(s, c, &h, 0, 0);
}

static void hear(struct script *s, const struct nst_pkt *pkt, bool answer)
{
    struct nst_ipv4 ip;
    struct nst_tcp h;

    nst_pkt_check(pkt);
    nst_pkt_read(pkt, 0, s->packet, pkt->len);
    assert(pkt->offload.gso != NST_GSO_NONE || pkt->len <= s->mtu);
    assert(nst_ipv4_parse(&ip, s->packet, pkt->len, pkt->len) == NST_DROP_NONE);
    if (ip.proto != NST_IPPROTO_TCP || ip.dst.bytes[3] != PEER.bytes[3])
        return;
    size_t hlen = nst_ipv4_hlen(&ip), len = pkt->len - hlen;
    assert(nst_tcp_parse(&h, s->packet + hlen, len, len) == NST_DROP_NONE);
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *c = &s->calls[i];
        if (c->lport != h.sport || c->pport != h.dport)
            continue;
        judge(s, c, &h, s->packet + hlen + h.hlen, len - h.hlen);
        if (answer && (len > h.hlen || h.flags & (NST_TCP_FIN | NST_TCP_SYN)))
            acknowledge(s, c, &h);
    }
}

static void pull(struct script *s, bool answer)
{
    struct nst_pkt *pkt;

    while (nst_output(s->stack, s->link, &pkt, 1, s->now) == 1) {
        hear(s, pkt, answer);
        nst_pkt_free(pkt);
    }
}

static void output(struct script *s)
{
    pull(s, take8(s) >= 128);
}

static void wait_a_while(struct script *s)
{
    static const nst_time units[] = {NST_MS, 1, NST_US, NST_SEC, 10 * NST_SEC, 100 * NST_SEC};
    nst_time deadline = nst_deadline(s->stack);
    uint8_t how = take8(s);

    if (how < 100 && deadline != NST_TIME_NEVER)
        s->now = nst_max(s->now, deadline);
    else
        s->now += take8(s) * units[how % NST_ARRAY_LEN(units)];
    pull(s, false);
}

static void fail_allocation(struct script *s)
{
    s->memory.fail_in = take8(s) % 16;
}

static void change_mtu(struct script *s)
{
    uint32_t mtu = take16(s);

    pull(s, false); /* what has been cut for the old one */
    if (nst_link_set_mtu(s->stack, s->link, mtu) == 0)
        s->mtu = mtu;
}

/* ---- The owner ------------------------------------------------------------------------------- */

static void owner_has(struct script *s, struct call *c, nst_sock sock)
{
    (void)nst_close(s->stack, c->sock);
    c->sock = sock;
    c->written = c->read = 0;
}

static void open_listener(struct script *s)
{
    const struct nst_sockaddr local = {.port = LISTEN_PORT};

    (void)nst_close(s->stack, s->listener);
    if (nst_socket(s->stack, &s->listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0) == 0 &&
        nst_bind(s->stack, s->listener, &local) == 0)
        (void)nst_listen(s->stack, s->listener, take8(s) % 8);
}

static void accept_call(struct script *s)
{
    struct nst_sock_info info;
    nst_sock sock;

    if (nst_accept(s->stack, s->listener, &sock, 1) != 0)
        return;
    assert(nst_info(s->stack, sock, &info) == 0);
    for (unsigned i = 0; i < CALLS; i++)
        if (s->calls[i].pport == info.peer.port)
            owner_has(s, &s->calls[i], sock);
}

static void connect_call(struct script *s)
{
    struct call *c = take_call(s);
    const struct nst_sockaddr local = {.port = c->lport}, peer = {PEER, c->pport, 0};
    nst_sock sock;

    if (nst_socket(s->stack, &sock, NST_AF_INET, NST_SOCK_STREAM, 0, 0) != 0)
        return;
    owner_has(s, c, sock);
    c->urgent = false;
    if (nst_bind(s->stack, sock, &local) == 0)
        (void)nst_connect(s->stack, sock, &peer);
    c->iss += 100000;
}

/* From memory that stays as it is: bytes repeat themselves every TEXT_PERIOD. */
static int64_t send_lent(struct script *s, const struct call *c, size_t len, uint32_t flags)
{
    static uint8_t text[TEXT_PERIOD + TEXT_MAX];
    struct nst_loan *loan;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = text_at(i);
    if (nst_lend(s->stack, &loan, text, sizeof text, 0) != 0)
        return -ENOMEM;
    s->loans++;
    int64_t sent = nst_send_lent(s->stack, c->sock, loan, c->written % TEXT_PERIOD, len, flags);
    nst_lend_end(s->stack, loan);
    return sent;
}

static void send_text(struct script *s)
{
    static uint8_t text[TEXT_MAX];
    struct call *c = take_call(s);
    uint8_t how = take8(s);
    struct nst_slice slice = {text, take_len(s)};
    const struct nst_msg msg = {.data = &slice, .ndata = 1, .flags = how & 3};

    for (size_t i = 0; i < slice.len; i++)
        text[i] = text_at(c->written + i);
    int64_t sent = how & 4 ? send_lent(s, c, slice.len, how & 3)
                           : nst_send(s->stack, c->sock, &msg);
    assert(sent <= (int64_t)slice.len);
    c->written += sent > 0 ? (uint64_t)sent : 0;
}

static void send_in_place(struct script *s)
{
    struct nst_slice out[NST_SEND_SLICES];
    struct call *c = take_call(s);
    size_t len = take_len(s), used = 0, commit = take_len(s);
    int n = nst_send_reserve(s->stack, c->sock, len, out);

    if (n <= 0)
        return;
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < out[i].len; j++)
            ((uint8_t *)out[i].base)[j] = text_at(c->written + used++);
    commit = nst_min(commit, used);
    assert(nst_send_commit(s->stack, c->sock, commit, take8(s) & 3) == 0);
    c->written += commit;
}

/* What the owner reads is what the peer has sent. */
static void judge_text(struct script *s, struct call *c, const uint8_t *text, size_t len)
{
    const struct nst_tcb *t = tcb_of(s, c->sock);

    assert(t);
    uint32_t first = t->rcv.nxt.v - t->fin_received - (uint32_t)t->count.bytes_received;
    for (size_t i = 0; i < len && !c->urgent; i++)
        assert(text[i] == text_at(first + (uint32_t)(c->read + i)));
}

static void receive_text(struct script *s)
{
    static uint8_t text[TEXT_MAX];
    struct call *c = take_call(s);
    uint8_t how = take8(s);
    struct nst_slice slice = {text, how & 1 ? take_len(s) : sizeof text};
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    uint32_t flags = how >> 1 & (NST_RECV_PEEK | NST_RECV_OOB);
    int64_t got = nst_recv(s->stack, c->sock, &msg, flags);

    assert(got <= (int64_t)slice.len);
    if (got <= 0 || flags & NST_RECV_OOB)
        return;
    judge_text(s, c, text, (size_t)got);
    c->read += flags & NST_RECV_PEEK ? 0 : (uint64_t)got;
}

static void receive_in_place(struct script *s)
{
    struct nst_slice out[4];
    struct call *c = take_call(s);
    size_t want = take_len(s), have = 0;
    int n = nst_recv_peek(s->stack, c->sock, out, NST_ARRAY_LEN(out));

    for (int i = 0; i < n; i++)
        have += out[i].len;
    if (have == 0)
        return;
    judge_text(s, c, out[0].base, out[0].len);
    assert(nst_recv_consume(s->stack, c->sock, nst_min(want, have)) == 0);
    c->read += nst_min(want, have);
}

static void shut_call(struct script *s)
{
    struct call *c = take_call(s);

    (void)nst_shutdown(s->stack, c->sock, (enum nst_shutdown)(1 + take8(s) % 3));
}

static void close_call(struct script *s)
{
    owner_has(s, take_call(s), 0);
}

static void set_option(struct script *s)
{
    nst_sock sock = take_call(s)->sock;
    enum nst_opt opt = (enum nst_opt)(take8(s) % 40);
    int64_t value = (int64_t)take_distance(s);

    if (opt == NST_OPT_USER_TIMEOUT) /* it may be 49 days, which finish() would have to wait */
        value %= 100000;
    (void)nst_setopt(s->stack, take8(s) == 255 ? s->listener : sock, opt, value - 1);
    (void)nst_getopt(s->stack, sock, opt, &value);
}

static void choose_congestion(struct script *s)
{
    static const char *const names[] = {"reno", "cubic", "bbr", "none"};
    nst_sock sock = take_call(s)->sock;

    (void)nst_set_congestion(s->stack, sock, names[take8(s) % NST_ARRAY_LEN(names)]);
}

/* Some events, of which those count that return what was lent; false when there are none. */
static bool take_events(struct script *s)
{
    struct nst_event events[4];
    size_t n = nst_events(s->stack, events, NST_ARRAY_LEN(events));

    for (size_t i = 0; i < n; i++)
        s->loans -= events[i].kind == NST_EVENT_RETURNED;
    return n > 0;
}

static void look_around(struct script *s)
{
    struct nst_sock_info list[4];
    struct nst_tcp_info info;
    uint64_t cursor = 0;

    (void)take_events(s);
    (void)nst_tcp_info(s->stack, take_call(s)->sock, &info);
    while (nst_sock_list(s->stack, &cursor, list, NST_ARRAY_LEN(list)) > 0)
        ;
}

/* The peer's good handshake with the listener. */
static void shake_hands(struct script *s)
{
    struct call *c = &s->calls[take8(s) % (CALLS / 2)];
    struct nst_tcp syn = {.seq = nst_seq_of(c->iss), .flags = NST_TCP_SYN, .wnd = 65535};

    take_options(s, &(struct view){0}, c, &syn);
    send_segment(s, c, &syn, 0, 0);
    pull(s, true);
    c->iss += 100000;
    accept_call(s);
}

/* ---- The run --------------------------------------------------------------------------------- */

static void (*const ACTIONS[])(struct script *s) = {
    segment,       segment,          segment,       segment,         segment,    output,
    wait_a_while,  shake_hands,      connect_call,  accept_call,     send_text,  send_in_place,
    receive_text,  receive_in_place, shut_call,     close_call,      set_option, choose_congestion,
    icmp_error,    look_around,      open_listener, fail_allocation, change_mtu, batch,
    super_segment,
};

/* The first byte says how small the stack's limits are and what the device does; then follows what
 * open_listener() takes. */
static bool start(struct script *s)
{
    static const size_t budgets[] = {(size_t)4 << 20, 1 << 20, 1 << 17, 20000};
    static const uint32_t mtus[] = {1500, 576, 9000, 65535};
    uint8_t how = take8(s);
    const struct nst_config config = {
        .seed = "fuzz",
        .now = 1,
        .allocator = tape_memory_allocator(&s->memory),
        .limits = {.memory_bytes = budgets[how & 3], .sockets = 8},
    };
    const struct nst_link_config link = {
        .name = "tun0",
        .medium = NST_MEDIUM_IP,
        .mtu = s->mtu = mtus[how >> 2 & 3],
        .offloads = how & 16 ? 0 : NST_LINK_CSUM | NST_LINK_TSO4,
    };
    const struct nst_prefix net = {US, 8};

    s->now = config.now;
    for (unsigned i = 0; i < CALLS; i++)
        s->calls[i] = (struct call){
            .lport = (uint16_t)(i < CALLS / 2 ? LISTEN_PORT : LOCAL_PORT + i),
            .pport = (uint16_t)(PEER_PORT + i),
            .iss = UINT32_MAX - 70000 + i * 3000,
        };
    if (nst_stack_new(&s->stack, &config) != 0 || nst_link_add(s->stack, &s->link, &link) != 0 ||
        nst_addr_add(s->stack, s->link, &net, NST_ACD_OFF) != 0)
        return false;
    s->stack->tcps.config.cookies = !(how & 32);
    s->stack->tcps.config.max_reqs = how & 64 ? 1 : 16;
    open_listener(s);
    return true;
}

/* Nobody is there any more, on either side. */
static void finish(struct script *s)
{
    unsigned steps = 0;

    s->memory.fail_in = 0;
    (void)nst_close(s->stack, s->listener);
    for (unsigned i = 0; i < CALLS; i++)
        owner_has(s, &s->calls[i], 0);
    pull(s, false);
    while (nst_deadline(s->stack) != NST_TIME_NEVER && s->stack->tcps.nflows > 0) {
        assert(steps++ < END_STEPS);
        s->now = nst_max(s->now, nst_deadline(s->stack));
        pull(s, false);
    }
    assert(s->stack->tcps.nflows == 0);
    while (take_events(s))
        ;
    assert(s->loans == 0);
    nst_stack_check(s->stack);
    nst_stack_free(s->stack);
    assert(s->memory.live_blocks == 0 && s->memory.live_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script s;

    s = (struct script){.tape = {data, size}};
    bool started = start(&s);
    assert(started);
    for (unsigned step = 0; step < STEPS_MAX && s.tape.len > 0; step++) {
        ACTIONS[take8(&s) % NST_ARRAY_LEN(ACTIONS)](&s);
        nst_stack_check(s.stack);
    }
    finish(&s);
    return 0;
}
