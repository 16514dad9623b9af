/* One TCP connection of the stack under test whose far end is the test itself: it makes every
 * segment by hand, right or wrong, and reads what the stack sends without the code under test. */
#ifndef NST_TESTS_DIALOGUE_H
#define NST_TESTS_DIALOGUE_H

#include "core/tcp/tcb.h"

#include "harness.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20

#define MSS_1460 "020405b4"

/* A segment on the wire. */
struct seg {
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t wnd, urg;
    const char *options; /* in: hexadecimal; out: not set */
    const void *data;    /* in: NULL stands for a pattern; out: inside the frame */
    size_t len;
    /* Of what came out: */
    const uint8_t *opts;
    size_t opts_len;
    uint16_t ip_id;
    bool df;
};

struct dialogue {
    struct harness *h;
    nst_sock sock, listener; /* 0: none */
    const char *peer;        /* its address; PEER at first */
    uint16_t lport, pport;
    uint32_t seq, ack; /* of the peer: what it sends and expects next */
    uint16_t wnd;      /* what it offers, unscaled; 65535 at first */
    const char *syn_options;
};

/* A conversation on ports of its own; nothing is sent. */
void dialogue_init(struct dialogue *d, struct harness *h, uint16_t lport, uint16_t pport);

/* One step: the segment comes in, as it is. False: there was no memory for it. */
bool dialogue_in(struct dialogue *d, const struct seg *s);

/* The same with the peer's numbers and window: `len` bytes of pattern, which advance `seq`, as SYN
 * and FIN do. */
void dialogue_say(struct dialogue *d, uint8_t flags, size_t len);

/* The segments of this connection that the last step sent, in their order; returns how many. */
size_t dialogue_out(const struct dialogue *d, struct seg *out, size_t max);

/* The only one. */
struct seg dialogue_sent(const struct dialogue *d);

/* The last step sent no segment of this connection. */
void dialogue_silent(const struct dialogue *d);

/* A listening socket on the local port. */
void dialogue_listen(struct dialogue *d, uint32_t backlog);

/* The stack connects to the peer: up to its SYN, which is not answered yet. */
void dialogue_connect(struct dialogue *d);

/* Handshakes, each from its beginning; the second leaves the new socket in `sock`. */
void dialogue_open(struct dialogue *d);
void dialogue_open_passive(struct dialogue *d);

/* The peer's part of a handshake with a listener: SYN, SYN-ACK, ACK; nothing is accepted. */
void dialogue_shake(struct dialogue *d);
nst_sock dialogue_accept(struct dialogue *d);

/* `len` bytes of pattern are written and pulled; all of it must fit. */
void dialogue_write(struct dialogue *d, size_t len);

/* Reads up to `len` bytes: how many, or -errno. */
int64_t dialogue_read(struct dialogue *d, void *buf, size_t len);

/* The connection inside the stack; NULL if there is none (any more). */
struct nst_tcb *dialogue_tcb(const struct dialogue *d);
struct nst_flow *dialogue_flow(const struct dialogue *d);

/* RFC 9293 §3.3.2, whatever structure stands for it. */
enum nst_tcp_state dialogue_state(const struct dialogue *d);

#endif
