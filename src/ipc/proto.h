/* The messages of docs/ipc-protocol.md as bytes: what both ends agree about, and no system call.
 *
 * Parsers check every bound once and leave a plain struct; emitters write exactly the bytes that
 * the parsers read. Integers are in host byte order: the two ends share a machine. */
#ifndef NST_IPC_PROTO_H
#define NST_IPC_PROTO_H

#include "netstack/netstack.h"

#include <jansson.h>

#define NST_IPC_VERSION       2
#define NST_IPC_HLEN          16
#define NST_IPC_MSG_MAX       (128u * 1024) /* header and body */
#define NST_IPC_BODY_MAX      (NST_IPC_MSG_MAX - NST_IPC_HLEN)
#define NST_IPC_DATAGRAM_HLEN 64
#define NST_IPC_FRAME_HLEN    24

enum nst_ipc_type {
    NST_IPC_HELLO = 1,
    NST_IPC_CALL = 2,
    NST_IPC_REPLY = 3,
    NST_IPC_ERROR = 4,
    NST_IPC_DATAGRAM = 5,
    NST_IPC_FRAME = 6,
};

struct nst_ipc_header {
    uint16_t version; /* NST_IPC_VERSION; of a received message even when it is another */
    uint16_t type;    /* enum nst_ipc_type */
    uint32_t id;
    uint32_t len; /* of the body */
};

/* Reads the header of a message of `len` bytes, body included. -EPROTONOSUPPORT for another
 * version, with `out->version` set; -EPROTO for anything else that is not a message. */
int nst_ipc_header_parse(struct nst_ipc_header *out, const uint8_t *p, size_t len);

/* Writes NST_IPC_HLEN bytes. */
void nst_ipc_header_emit(const struct nst_ipc_header *header, uint8_t *p);

enum nst_ipc_datagram_flag {
    NST_IPC_TRUNCATED = 1, /* longer than what is here */
    NST_IPC_REPORT = 2,    /* an error came back for this datagram, which the client sent */
    NST_IPC_BY_ICMP = 4,   /* ... from the network, by an ICMP message of `offender` */
};

/* What surrounds a datagram of a socket that a client opened. */
struct nst_ipc_datagram {
    uint32_t sock;
    uint8_t ttl;
    uint8_t tos;
    uint8_t flags;            /* enum nst_ipc_datagram_flag */
    struct nst_addr peer;     /* unspecified: a packet socket, whose datagrams are whole frames */
    struct nst_addr offender; /* who reported the error; unspecified when not known */
    uint16_t err;             /* a positive errno value */
    uint8_t icmp_type, icmp_code;
    uint32_t info;
    uint64_t time; /* CLOCK_MONOTONIC, ns */
    uint16_t port; /* of the peer; UDP */
};

/* Reads the fixed part of a DATAGRAM's body, of `len` bytes; the datagram follows it. -EPROTO. */
int nst_ipc_datagram_parse(struct nst_ipc_datagram *out, const uint8_t *p, size_t len);

/* Writes NST_IPC_DATAGRAM_HLEN bytes. An offender must be of the peer's family. */
void nst_ipc_datagram_emit(const struct nst_ipc_datagram *datagram, uint8_t *p);

enum nst_ipc_direction {
    NST_IPC_IN = 0,
    NST_IPC_OUT = 1,
    NST_IPC_OUT_DROPPED = 2, /* on its way out, but ended before the device */
};

/* What surrounds a captured frame. */
struct nst_ipc_frame {
    uint64_t time; /* CLOCK_REALTIME, ns */
    uint32_t link; /* index, as in the reply to `capture` */
    uint16_t drop; /* index of the reason; 0: not dropped */
    uint8_t direction;
    uint32_t len;  /* of the whole frame */
    uint32_t lost; /* frames that this capture has missed so far */
};

/* Reads the fixed part of a FRAME's body, of `len` bytes; the frame's first bytes follow. -EPROTO,
 * also when more follows than the frame is long. */
int nst_ipc_frame_parse(struct nst_ipc_frame *out, const uint8_t *p, size_t len);

/* Writes NST_IPC_FRAME_HLEN bytes. */
void nst_ipc_frame_emit(const struct nst_ipc_frame *frame, uint8_t *p);

/* Reads a body that must be one JSON object, without duplicate keys. NULL if it is anything else;
 * a new reference otherwise. */
json_t *nst_ipc_json_parse(const uint8_t *p, size_t len);

/* The body of an ERROR: `err` is positive. NULL without memory. */
json_t *nst_ipc_error_new(int err, const char *message);

/* The errno value, positive, and the message of an ERROR's body; the message belongs to `body`. */
int nst_ipc_error_parse(const json_t *body, const char **message);

#endif
