/* What every server of the benchmarks offers, and the client measures. The servers differ in the
 * stack below them and in nothing else, so they share this file and the command line.
 *
 *     TCP 7   echo      sends back what it gets
 *     TCP 9   discard   reads, and forgets
 *     TCP 19  source    sends the ring, over and over, for as long as the client listens
 *     TCP 20  answer    for each four bytes, a number n: sends the first n bytes of the ring
 *     UDP 7   echo      as above
 *     UDP 9   discard   counts
 *     UDP 10  count     answers with the datagrams and bytes counted since it was last asked
 *     UDP 19  source    for a size and a number n: sends n datagrams of that size
 *
 * Numbers on the wire are in network order: 32 bits in requests, 64 in answers. On SIGUSR1 a server
 * with --report prints what its connections of `source` and `answer` have sent, as a line of JSON.
 */
#ifndef BENCH_SERVICES_H
#define BENCH_SERVICES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum service {
    ECHO = 7,
    DISCARD = 9,
    COUNT = 10,
    SOURCE = 19,
    ANSWER = 20,
};

/* The ring: 32-bit words, each of which is its own index, so that a byte in the wrong place is
 * noticed, and a packet's first word tells where it belongs. Their number is a prime: no size of
 * buffer or packet divides it. */
#define RING_WORDS 65521u
#define RING_BYTES (4 * (size_t)RING_WORDS)

/* Fills in RING_BYTES bytes. */
static inline void ring_fill(uint32_t *ring)
{
    for (uint32_t i = 0; i < RING_WORDS; i++)
        ring[i] = htonl(i);
}

/* The command line of a server. */
struct server_options {
    const char *device;       /* --device: a TAP's name; the kernel's server has none */
    const char *address_text; /* --address: of the server; the network is a /16 */
    struct in_addr address;
    uint32_t mtu;     /* --mtu */
    bool plain;       /* --plain: without offloads */
    const char *cc;   /* --cc: congestion control; NULL: the stack's default */
    uint32_t spin_us; /* --spin: go on polling for so long before going to sleep */
    bool report;      /* --report */
    bool carrier;     /* --carrier: watch the device's carrier */
    bool lent;        /* --lent: the ring is sent from where it is, by a stack that can */
};

/* Ends the process with code 2 and a sentence when the arguments are wrong. */
struct server_options server_options(int argc, char **argv);

/* Tells whoever started the server that it can be connected to. */
void server_ready(void);

/* The line that SIGUSR1 asks for. */
void server_report(uint64_t sent_bytes, uint64_t retransmitted_bytes);

/* Ends the process with code 1 and `what: strerror(err)`; with code 3 if `err` is ENOENT, which
 * stands for a congestion control that this stack doesn't have. */
_Noreturn void server_fail(const char *what, int err);

/* A TAP of that name, with or without virtio-net headers of ten bytes and offloads. */
int server_tap(const struct server_options *options);

#endif
