/* A whole stack under test: one Ethernet link, US with a neighbour and a gateway that are known for
 * good, a clock, memory that counts. Each frame goes in through a buffer that ends with it, each
 * that comes out is judged by frame_assert_sound(), and nst_stack_check() runs after each step. */
#ifndef NST_TESTS_HARNESS_H
#define NST_TESTS_HARNESS_H

#include "core.h"
#include "frame.h"

#define HARNESS_TX_MAX 4096

struct harness {
    struct test_memory memory;
    struct nst_stack *stack;
    nst_link link;
    nst_time now;
    /* What the last step sent. */
    struct frame *tx[HARNESS_TX_MAX];
    size_t ntx;
    bool held; /* nothing is pulled for now */
    /* Floods look only each so many steps whether all is consistent. */
    unsigned check_every, steps;
};

/* `limits` and `flags` as in struct nst_config; NULL and 0 for the defaults. */
void harness_init(struct harness *h, const struct nst_limits *limits, uint32_t flags);

/* Fails the test if the stack kept any memory. */
void harness_fini(struct harness *h);

/* Another Ethernet link, with one address if `prefix` is not NULL. */
nst_link harness_link(struct harness *h, const char *name, const char *mac, const char *prefix);

/* One step: a frame comes in on the link (false: there was no memory for it), or time passes from
 * deadline to deadline; then everything that the stack has to say on all links is pulled into `tx`.
 */
bool harness_input(struct harness *h, const struct frame *f);
bool harness_input_on(struct harness *h, nst_link link, const struct frame *f);
/* Frames that come in at one time, in batches of `each`; then `tx` is pulled. All must be taken. */
void harness_input_batches(struct harness *h, const struct frame *frames, size_t n, size_t each);
void harness_run(struct harness *h, nst_time duration);
void harness_pull(struct harness *h);

/* The only frame that the last step sent. */
const struct frame *harness_sent(const struct harness *h);

/* The last step sent nothing. */
void harness_silent(const struct harness *h);

/* The last step sent one frame: an ICMP message of this type and code to `dst`. */
void harness_sent_icmp(const struct harness *h, uint8_t type, uint8_t code, const char *dst);

uint64_t harness_drops(const struct harness *h, enum nst_drop drop);
uint64_t harness_stat(const struct harness *h, const char *name);
size_t harness_memory(const struct harness *h);

/* All that an outsider may not change: memory in use, neighbours, routes, addresses, incomplete
 * datagrams, what the sockets hold, the timers. And, apart from that, the drops. */
struct harness_state {
    size_t memory, fragments;
    nst_time deadline;
    size_t nneighs, nroutes, naddrs;
    struct nst_neigh_info neighs[64];
    struct nst_route routes[64];
    struct nst_addr_info addrs[16];
    size_t rx_bytes;
    uint64_t drops[NST_DROP_COUNT];
};

void harness_state(const struct harness *h, struct harness_state *out);

/* The state is as it was, and only `drop` has risen, by `n` (NONE: nothing was dropped). */
void harness_unchanged(const struct harness *h, const struct harness_state *before,
                       enum nst_drop drop, uint64_t n);

/* ---- Sockets: each call must succeed ------------------------------------------------------ */

nst_sock harness_udp(struct harness *h, const char *addr, uint16_t port);
nst_sock harness_socket(struct harness *h, enum nst_sock_type type, uint8_t protocol);

/* As nst_send() and nst_recv(), of one buffer; the send does not pull what it causes. */
int64_t harness_send(struct harness *h, nst_sock sock, const char *dst, uint16_t port,
                     const void *data, size_t len);
int64_t harness_recv(struct harness *h, nst_sock sock, struct nst_msg *msg, void *buf, size_t len,
                     uint32_t flags);

#endif
