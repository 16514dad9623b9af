/* The two ends of a TCP connection as applications of the simulator, each with a plan of what to
 * send, when to read, and how to end.
 *
 * A stream begins with eight bytes that name it, its key; every other byte follows from the key and
 * its position, so that the receiver knows each one. An end reads and writes only after the stack
 * has told it that it may, never by trying again: an event that is missing shows as a stall. */
#ifndef NST_SIM_TCP_APPS_H
#define NST_SIM_TCP_APPS_H

#include <errno.h>

#include "sim.h"

#define TCP_KEY_BYTES 8
#define TCP_REFUSED   EADDRINUSE /* the error of an end that its own stack would not connect */

enum tcp_finish {
    TCP_ORDERLY, /* shuts down its side, reads to the end, closes */
    TCP_CLOSE,   /* closes as soon as all is written, whatever may still come */
    TCP_ABORT,   /* closes with a reset once `quit_at` bytes went either way */
    TCP_QUIT,    /* closes then, without one if nothing is unread */
};

/* What an end does. Zero is a connection that sends its key, reads to the end and closes. */
struct tcp_plan {
    uint64_t send;        /* bytes after the key */
    uint32_t turn;        /* not 0: sends so many, then waits for as many */
    bool first;           /* ... and begins */
    bool after_peer;      /* sends only when the peer's stream has ended */
    uint32_t write_bytes; /* at a time; 0: as many as fit */
    nst_time write_pause; /* between writes */
    bool waits;           /* for the next event after a short write, as epoll(7) allows */
    uint32_t read_bytes;
    nst_time read_pause;
    nst_time read_after; /* since the beginning: until then the window may fill */
    enum tcp_finish finish;
    uint64_t quit_at;
    bool nodelay, cork, keepalive;
    bool fastopen;                  /* who connects sends its first data with the SYN, if it may */
    int64_t sndbuf, rcvbuf, maxseg; /* 0: the stack's */
};

struct tcp_end {
    struct sim_app app;
    struct tcp_plan plan;
    struct tcp_end *peer; /* NULL until both are there */
    struct tcp_end *next; /* for the owner */
    nst_sock sock;
    nst_time begun, moved; /* `moved`: when a byte was last written or read */
    nst_time read_at, write_at;
    uint64_t key, expected; /* of the own stream, of the peer's */
    uint64_t sent, received;
    bool readable, writable; /* told, and not tried since in vain */
    bool connected, shut, eof, closed;
    int broken; /* what writing gave, positive */
    int error;  /* why it ended early, positive */
    uint8_t head[TCP_KEY_BYTES];
};

/* Connects from `local` (port 0: any) to `peer`; the end is zeroed memory. False if the stack
 * refuses now: without memory, or because the ends are still in use. */
bool tcp_end_connect(struct tcp_end *e, struct sim_node *node, const struct tcp_plan *plan,
                     uint64_t key, const struct nst_sockaddr *local,
                     const struct nst_sockaddr *peer);

/* Takes a connection from a listening socket: 0, or what nst_accept() says. */
int tcp_end_accept(struct tcp_end *e, struct sim_node *node, nst_sock listener);

/* Begins to follow a plan on an accepted connection. */
void tcp_end_begin(struct tcp_end *e, const struct tcp_plan *plan, uint64_t key);

/* Ends it now, with a reset. */
void tcp_end_abort(struct tcp_end *e);

/* Whether it waits for the time, not for the network. */
bool tcp_end_pauses(const struct tcp_end *e);

void tcp_end_print(const struct tcp_end *e);

/* The eight bytes of a stream at `pos` and behind, a multiple of eight. */
uint64_t tcp_word(uint64_t key, uint64_t pos);

#endif
