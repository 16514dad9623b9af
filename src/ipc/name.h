/* The names of lent sockets: what any process that holds one can ask the kernel about it.
 *
 * A socket that a program has from the daemon is an AF_UNIX socket of the daemon's private network
 * namespace. Its own name, and that of the daemon's end that it is connected to or got a datagram
 * from, is abstract and tells everything that needs no question to the daemon: which socket it is,
 * of which protocol, and the two ends of the connection, or where the datagram came from and went.
 *
 * The *token* in it is the socket's name in calls. Its 128 random bits make the name unguessable,
 * so that nobody connects to it who was not told. */
#ifndef NST_IPC_NAME_H
#define NST_IPC_NAME_H

#include "netstack/netstack.h"

#include <sys/socket.h>
#include <sys/un.h>

#define NST_IPC_SECRET     16
#define NST_IPC_TOKEN_TEXT 49 /* a token in hexadecimal digits, with the final 0 */

struct nst_ipc_token {
    uint32_t epoch; /* of the daemon: a restart makes another */
    uint32_t id;
    uint8_t secret[NST_IPC_SECRET];
};

enum nst_ipc_name_kind {
    NST_IPC_NAME_PROGRAM = 1, /* the program's socket itself; no ends are told */
    NST_IPC_NAME_END = 2,     /* the daemon's end of a connection; `local` and `peer` are known */
    NST_IPC_NAME_SINK = 3,    /* datagrams to any destination go here, with a header */
    NST_IPC_NAME_SOURCE = 4,  /* a datagram came from `peer`, to `local` */
};

enum nst_ipc_name_flag { /* what a program that receives a datagram asked to be told with it */
                         NST_IPC_TELL_PKTINFO = 1,
                         NST_IPC_TELL_TTL = 2,
                         NST_IPC_TELL_TOS = 4,
};

struct nst_ipc_sockname {
    enum nst_ipc_name_kind kind;
    uint8_t protocol; /* of IP: 6 (TCP), 17 (UDP), 1 (ICMP echo) */
    struct nst_ipc_token token;
    struct nst_sockaddr local, peer; /* END, SOURCE */
    uint8_t ttl, tos, flags;         /* SOURCE; enum nst_ipc_name_flag */
};

/* The abstract address of a name; returns its length. */
socklen_t nst_ipc_name_emit(const struct nst_ipc_sockname *name, struct sockaddr_un *out);

/* -ENOTSOCK if it is the address of something else. */
int nst_ipc_name_parse(struct nst_ipc_sockname *out, const struct sockaddr_un *addr, socklen_t len);

/* Bytes from hexadecimal digits: how many, or -EINVAL for more than `max` or something else. */
int nst_ipc_hex_parse(uint8_t *out, size_t max, const char *text);

/* The digits of `n` bytes, and the final 0. */
void nst_ipc_hex_print(char *out, const uint8_t *p, size_t n);

/* A token as text, and back: -EINVAL. */
const char *nst_ipc_token_print(char out[NST_IPC_TOKEN_TEXT], const struct nst_ipc_token *token);
int nst_ipc_token_parse(struct nst_ipc_token *out, const char *text);

/* Links as programs number interfaces: 1 is `lo`, by which comes what the host sends to itself, and
 * link 1, the first device, is 2, as in the network namespace that `netstack run` makes. 0 is none
 * in particular, and so is `lo` for what is sent. */
static inline int nst_ipc_ifindex(nst_link link)
{
    return (int)link + 1;
}

static inline nst_link nst_ipc_link(int ifindex)
{
    return ifindex > 1 ? (nst_link)(ifindex - 1) : 0;
}

/* In front of a datagram that a program sends to the SINK of its socket: where it goes. */
#define NST_IPC_SEND_HLEN 44
struct nst_ipc_send {
    struct nst_sockaddr to;
    struct nst_sockaddr from; /* IP_PKTINFO: address and link; unspecified: chosen */
    uint8_t ttl;              /* 0: the socket's */
    int16_t tos;              /* -1: the socket's */
};

void nst_ipc_send_emit(const struct nst_ipc_send *send, uint8_t out[NST_IPC_SEND_HLEN]);

/* -EPROTO for what is too short or no address. */
int nst_ipc_send_parse(struct nst_ipc_send *out, const uint8_t *p, size_t len);

#endif
