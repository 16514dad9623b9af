/* What the files about clients' sockets share: sockets.c, streams.c. */
#ifndef NST_DAEMON_SOCKETS_H
#define NST_DAEMON_SOCKETS_H

#include "core/base/list.h"
#include "daemon/daemon.h"

struct nst_client {
    struct nst_daemon *daemon;
    struct nst_ipc_peer *peer;
    struct nst_list sockets;
    uint32_t nsockets, last_id;
};

enum nst_client_sock_kind {
    NST_CLIENT_ICMP,
    NST_CLIENT_PACKET,
    NST_CLIENT_UDP,
    NST_CLIENT_STREAM,
};

/* One socket of a client. A stream is one until it is connected: then it is a relay's. */
struct nst_client_sock {
    struct nst_handler handler;
    struct nst_list node;
    struct nst_client *client;
    nst_sock sock;
    uint32_t id;
    enum nst_client_sock_kind kind;
    bool waiting; /* stream: for the connection, or the next one; the answer is owed to `call` */
    uint32_t call;
};

/* ---- sockets.c --------------------------------------------------------------------------- */

/* The socket that the call names with "sock"; answers with an error if there is none. */
struct nst_client_sock *nst_client_sock_named(struct nst_ipc_peer *peer, uint32_t id,
                                              const json_t *args);

/* The end that the call names with "address" (optional) and "port"; answers with an error if that
 * is none. */
bool nst_client_parse_name(struct nst_ipc_peer *peer, uint32_t id, const json_t *args,
                           struct nst_sockaddr *out);

/* An object with the two members. */
json_t *nst_client_name_json(const char *addr_key, const char *port_key,
                             const struct nst_sockaddr *name);

/* Answers with the socket's own name. */
void nst_client_reply_local(struct nst_client_sock *s, uint32_t id);

/* Ends it for the client; with its socket of the stack, unless that is 0. */
void nst_client_sock_free(struct nst_client_sock *s);

/* ---- streams.c --------------------------------------------------------------------------- */

/* As struct nst_handler's `ready`, for streams. */
void nst_client_stream_ready(struct nst_handler *handler, uint32_t ready);

#endif
