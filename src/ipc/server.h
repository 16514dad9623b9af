/* The daemon's side: accepts clients, checks what they say, and hands it over through a small table
 * of functions. It knows messages, not what they mean.
 *
 * Every client is a *peer*. Whatever one does - floods, stalls, sends garbage, passes descriptors -
 * costs that peer its connection at worst; each gets the same small share of a turn of the loop,
 * and queues and numbers are bounded; one that sends more than it may is read later. A peer lives
 * until `closed` is called for it, which happens from the loop only, never inside a call that the
 * daemon makes. */
#ifndef NST_IPC_SERVER_H
#define NST_IPC_SERVER_H

#include "ipc/path.h"
#include "ipc/proto.h"
#include "netstack/loop.h"

#include <sys/socket.h>

#define NST_IPC_PEERS_MAX      256 /* connections at one time, */
#define NST_IPC_PEERS_PER_USER 64  /* of one user, */
#define NST_IPC_PEERS_RESERVED 16  /* and the last ones of all, kept for the owner */

struct nst_ipc_server;
struct nst_ipc_peer;

/* What the daemon does about its clients. */
struct nst_ipc_ops {
    /* A client came. What is set with nst_ipc_peer_set() here is there in the other functions. */
    void (*opened)(void *ctx, struct nst_ipc_peer *peer);
    /* A client calls `op`; answer with nst_ipc_reply_take() or nst_ipc_error(), now or later.
     * `args` is the whole object, borrowed. */
    void (*call)(void *ctx, struct nst_ipc_peer *peer, uint32_t id, const char *op,
                 const json_t *args);
    /* A client sends a datagram; all of it is borrowed. */
    void (*datagram)(void *ctx, struct nst_ipc_peer *peer, const struct nst_ipc_datagram *datagram,
                     const uint8_t *payload, size_t len);
    /* The client has gone; the peer ends after this. */
    void (*closed)(void *ctx, struct nst_ipc_peer *peer);
    /* A message of `len` bytes was dealt with: how long to let the client's next one wait, in ns;
     * 0: not at all. NULL: nobody has to wait. */
    uint64_t (*pace)(void *ctx, struct nst_ipc_peer *peer, size_t len);
};

struct nst_ipc_server_config {
    const char *name;    /* of the instance: see nst_ipc_name() */
    const char *version; /* of the program, for HELLO */
    uid_t owner;         /* who may do everything, beside root */
    const struct nst_ipc_ops *ops;
    void *ctx;
};

struct nst_ipc_server_stats {
    uint32_t clients;   /* now */
    uint64_t accepted;  /* ever */
    uint64_t refused;   /* past a limit */
    uint64_t malformed; /* ended for what they sent */
    uint64_t dropped;   /* datagrams and frames that found a full queue */
};

/* Takes the instance's name and serves it on `loop`. -EADDRINUSE when it is taken, or another
 * error; `why` then says it in a sentence. Strings of `config` are copied, `ops` is kept. */
int nst_ipc_server_new(struct nst_ipc_server **out, struct nst_loop *loop,
                       const struct nst_ipc_server_config *config, char why[NST_IPC_WHY]);

/* Removes the socket, then ends all connections (with `closed`). Not from inside `ops`. NULL is
 * fine.
 */
void nst_ipc_server_free(struct nst_ipc_server *server);

/* Removes the socket, and nothing else: for a process that shares the server with the one that runs
 * it, and may do what that one may not. */
void nst_ipc_server_unlink(struct nst_ipc_server *server);

void nst_ipc_server_stats(const struct nst_ipc_server *server, struct nst_ipc_server_stats *out);

/* Who it is, as the kernel says: SO_PEERCRED, from the time of connect(). */
const struct ucred *nst_ipc_peer_cred(const struct nst_ipc_peer *peer);

/* Whether it may do everything: root, or the configured owner. */
bool nst_ipc_peer_is_owner(const struct nst_ipc_peer *peer);

/* A pointer of the daemon's, NULL at first. */
void nst_ipc_peer_set(struct nst_ipc_peer *peer, void *data);
void *nst_ipc_peer_data(const struct nst_ipc_peer *peer);

/* Answers a call; takes `result`, which may be NULL when there was no memory for it. An answer that
 * can't be given becomes an error. */
void nst_ipc_reply_take(struct nst_ipc_peer *peer, uint32_t id, json_t *result);

/* The same, and gives the client the descriptor `passed`, which it takes over. */
void nst_ipc_reply_pass_take(struct nst_ipc_peer *peer, uint32_t id, json_t *result, int passed);

/* Answers a call with an error: `err` is a negative errno value, the text one sentence. */
__attribute__((format(printf, 4, 5))) void nst_ipc_error(struct nst_ipc_peer *peer, uint32_t id,
                                                         int err, const char *format, ...);

/* Gives the client a datagram: the fixed part and the slices, at most NST_PKT_SLICES. Returns false
 * when it was dropped, which is counted. */
bool nst_ipc_datagram_send(struct nst_ipc_peer *peer, const struct nst_ipc_datagram *datagram,
                           const struct nst_slice *slices, size_t n);

/* Gives the client a captured frame: the first `snaplen` bytes of its slices, in answer to call
 * `id`. `frame->lost` is how many before it were lost on the way here; the client is told of all
 * that it has missed. Returns false when it was dropped. */
bool nst_ipc_frame_send(struct nst_ipc_peer *peer, uint32_t id, const struct nst_ipc_frame *frame,
                        const struct nst_slice *slices, size_t n, size_t snaplen);

#endif
