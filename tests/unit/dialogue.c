#include "dialogue.h"

#include <errno.h>

#include "core/base/bytes.h"
#include "core/stack/stack.h"

static const struct frame_ip *addresses(const struct dialogue *d)
{
    static struct frame_ip ip;

    ip = (struct frame_ip){.src = d->peer};
    return &ip;
}

void dialogue_init(struct dialogue *d, struct harness *h, uint16_t lport, uint16_t pport)
{
    *d = (struct dialogue){.h = h,
                           .peer = PEER,
                           .lport = lport,
                           .pport = pport,
                           .seq = 1000000,
                           .wnd = 65535,
                           .syn_options = MSS_1460};
}

/* ---- In ---------------------------------------------------------------------------------- */

bool dialogue_in(struct dialogue *d, const struct seg *s)
{
    static struct frame f;
    const struct frame_tcp tcp = {.sport = d->pport,
                                  .dport = d->lport,
                                  .seq = s->seq,
                                  .ack = s->ack,
                                  .flags = s->flags,
                                  .wnd = s->wnd,
                                  .urg = s->urg,
                                  .options = s->options};

    frame_tcp(&f, addresses(d), &tcp, s->data, s->len);
    return harness_input(d->h, &f);
}

void dialogue_say(struct dialogue *d, uint8_t flags, size_t len)
{
    const struct seg s = {.seq = d->seq,
                          .ack = flags & ACK ? d->ack : 0,
                          .flags = flags,
                          .wnd = d->wnd,
                          .options = flags & SYN ? d->syn_options : NULL,
                          .len = len};

    assert_true(dialogue_in(d, &s));
    d->seq += (uint32_t)len + !!(flags & SYN) + !!(flags & FIN);
}

/* ---- Out --------------------------------------------------------------------------------- */

static bool is_of(const struct dialogue *d, const struct frame *f)
{
    struct nst_addr peer = test_addr(d->peer);

    return frame_get16(f, ETH_TYPE) == 0x0800 && f->bytes[IP_PROTO] == 6 &&
           memcmp(f->bytes + IP_DST, peer.bytes, 4) == 0 && frame_get16(f, TCP_SPORT) == d->lport &&
           frame_get16(f, TCP_DPORT) == d->pport;
}

static struct seg seg_of(const struct frame *f)
{
    size_t hlen = (size_t)(f->bytes[TCP_HLEN] >> 4) * 4;

    assert_int_equal(f->bytes[IP], 0x45);
    assert_true(hlen >= 20 && L4 + hlen <= f->len);
    return (struct seg){.seq = frame_get32(f, TCP_SEQ),
                        .ack = frame_get32(f, TCP_ACK),
                        .flags = f->bytes[TCP_FLAGS],
                        .wnd = (uint16_t)frame_get16(f, TCP_WND),
                        .urg = (uint16_t)frame_get16(f, TCP_URG),
                        .data = f->bytes + L4 + hlen,
                        .len = f->len - L4 - hlen,
                        .opts = f->bytes + TCP_OPTIONS,
                        .opts_len = hlen - 20,
                        .ip_id = (uint16_t)frame_get16(f, IP_ID),
                        .df = frame_get16(f, IP_FRAG) == FRAG_DF};
}

size_t dialogue_out(const struct dialogue *d, struct seg *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < d->h->ntx; i++)
        if (is_of(d, d->h->tx[i]) && n < max)
            out[n++] = seg_of(d->h->tx[i]);
    return n;
}

struct seg dialogue_sent(const struct dialogue *d)
{
    struct seg out[2];

    assert_int_equal(dialogue_out(d, out, 2), 1);
    return out[0];
}

void dialogue_silent(const struct dialogue *d)
{
    struct seg out;

    assert_int_equal(dialogue_out(d, &out, 1), 0);
}

/* ---- Handshakes -------------------------------------------------------------------------- */

void dialogue_listen(struct dialogue *d, uint32_t backlog)
{
    const struct nst_sockaddr local = {.port = d->lport};

    d->listener = harness_socket(d->h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_bind(d->h->stack, d->listener, &local), 0);
    assert_int_equal(nst_listen(d->h->stack, d->listener, backlog), 0);
}

void dialogue_connect(struct dialogue *d)
{
    const struct nst_sockaddr local = {.port = d->lport};
    const struct nst_sockaddr peer = {.addr = test_addr(d->peer), .port = d->pport};

    if (!d->sock) {
        d->sock = harness_socket(d->h, NST_SOCK_STREAM, 0);
        assert_int_equal(nst_bind(d->h->stack, d->sock, &local), 0);
    }
    assert_int_equal(nst_connect(d->h->stack, d->sock, &peer), -EINPROGRESS);
    harness_pull(d->h);
    struct seg syn = dialogue_sent(d);
    assert_int_equal(syn.flags, SYN);
    d->ack = syn.seq + 1;
}

void dialogue_open(struct dialogue *d)
{
    dialogue_connect(d);
    dialogue_say(d, SYN | ACK, 0);
    assert_int_equal(dialogue_sent(d).flags, ACK);
    assert_int_equal(dialogue_state(d), NST_TCP_ESTABLISHED);
}

void dialogue_shake(struct dialogue *d)
{
    dialogue_say(d, SYN, 0);
    struct seg synack = dialogue_sent(d);
    assert_int_equal(synack.flags, SYN | ACK);
    assert_int_equal(synack.ack, d->seq);
    d->ack = synack.seq + 1;
    dialogue_say(d, ACK, 0);
}

nst_sock dialogue_accept(struct dialogue *d)
{
    nst_sock sock;

    assert_int_equal(nst_accept(d->h->stack, d->listener, &sock, 8), 0);
    return sock;
}

void dialogue_open_passive(struct dialogue *d)
{
    if (!d->listener)
        dialogue_listen(d, 16);
    dialogue_shake(d);
    dialogue_silent(d);
    d->sock = dialogue_accept(d);
    assert_int_equal(dialogue_state(d), NST_TCP_ESTABLISHED);
}

/* ---- Data -------------------------------------------------------------------------------- */

void dialogue_write(struct dialogue *d, size_t len)
{
    static uint8_t bytes[FRAME_MAX];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(harness_send(d->h, d->sock, NULL, 0, bytes, len), len);
    harness_pull(d->h);
}

int64_t dialogue_read(struct dialogue *d, void *buf, size_t len)
{
    struct nst_msg msg;

    return harness_recv(d->h, d->sock, &msg, buf, len, 0);
}

/* ---- Inside ------------------------------------------------------------------------------ */

struct nst_flow *dialogue_flow(const struct dialogue *d)
{
    const struct nst_flow_id id = {
        .local = test_addr(US), .peer = test_addr(d->peer), .lport = d->lport, .pport = d->pport};

    return nst_flow_find(&d->h->stack->tcps, &id);
}

struct nst_tcb *dialogue_tcb(const struct dialogue *d)
{
    struct nst_flow *flow = dialogue_flow(d);

    return flow && flow->kind == NST_FLOW_TCB ? NST_CONTAINER(flow, struct nst_tcb, flow) : NULL;
}

enum nst_tcp_state dialogue_state(const struct dialogue *d)
{
    const struct nst_flow *flow = dialogue_flow(d);

    if (!flow)
        return d->listener ? NST_TCP_LISTEN : NST_TCP_CLOSED;
    if (flow->kind == NST_FLOW_REQ)
        return NST_TCP_SYN_RECEIVED;
    return flow->kind == NST_FLOW_TIMEWAIT ? NST_TCP_TIME_WAIT : dialogue_tcb(d)->state;
}
