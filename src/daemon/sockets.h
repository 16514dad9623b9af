/* What the files about clients' sockets share: sockets.c, streams.c. */
#ifndef NST_DAEMON_SOCKETS_H
#define NST_DAEMON_SOCKETS_H

#include "core/base/list.h"
#include "daemon/daemon.h"

struct nst_session {
    struct nst_daemon *daemon;
    struct nst_ipc_peer *peer;
    struct nst_list sockets;
    uint32_t nsockets, last_id;
};

enum nst_session_sock_kind {
    NST_SESSION_ICMP,
    NST_SESSION_PACKET,
    NST_SESSION_UDP,
    NST_SESSION_STREAM,
};

/* One socket of a client. A stream is one until it is connected: then it is a relay's. */
struct nst_session_sock {
    struct nst_handler handler;
    struct nst_list node;
    struct nst_session *client;
    nst_sock sock;
    uint32_t id;
    enum nst_session_sock_kind kind;
    bool waiting; /* stream: for the connection, or the next one; the answer is owed to `call` */
    uint32_t call;
};

/* ---- sockets.c --------------------------------------------------------------------------- */

/* The socket that the call names with "sock"; answers with an error if there is none. */
struct nst_session_sock *nst_session_sock_named(struct nst_ipc_peer *peer, uint32_t id,
                                                const json_t *args);

/* The end that the call names with "address" (optional) and "port"; answers with an error if that
 * is none. */
bool nst_session_parse_name(struct nst_ipc_peer *peer, uint32_t id, const json_t *args,
                            struct nst_sockaddr *out);

/* An object with the two members. */
json_t *nst_session_name_json(const char *addr_key, const char *port_key,
                              const struct nst_sockaddr *name);

/* Answers with the socket's own name. */
void nst_session_reply_local(struct nst_session_sock *s, uint32_t id);

/* Ends it for the client; with its socket of the stack, unless that is 0. */
void nst_session_sock_free(struct nst_session_sock *s);

/* ---- streams.c --------------------------------------------------------------------------- */

/* As struct nst_handler's `ready`, for streams. */
void nst_session_stream_ready(struct nst_handler *handler, uint32_t ready);

#endif
