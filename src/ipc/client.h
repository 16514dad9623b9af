/* The tools' side: a connection to a daemon, used by one thread that may wait. */
#ifndef NST_IPC_CLIENT_H
#define NST_IPC_CLIENT_H

#include "ipc/packet.h"
#include "ipc/path.h"

struct nst_ipc_client;

/* Connects to the instance `name` and awaits its greeting. -ENOENT when none is running, or another
 * error; `why` then says it in a sentence. */
int nst_ipc_client_open(struct nst_ipc_client **out, const char *name, char why[NST_IPC_WHY]);

/* Ends the connection. NULL is fine. */
void nst_ipc_client_free(struct nst_ipc_client *client);

/* Readable when nst_ipc_client_next() may have something. */
int nst_ipc_client_fd(const struct nst_ipc_client *client);

/* Calls: takes `call`, an object with "op" and arguments (NULL counts as no memory for it), and
 * waits for the answer, a new reference in `*result` (which may be NULL). Datagrams and frames that
 * come meanwhile are dropped. Errors: the daemon's own, -ECONNRESET when it ended, -ETIMEDOUT when
 * it does not answer; nst_ipc_client_why() says them in a sentence. */
int nst_ipc_client_call_take(struct nst_ipc_client *client, json_t *call, json_t **result);

/* The sentence about the last error. */
const char *nst_ipc_client_why(const struct nst_ipc_client *client);

/* Sends a datagram without waiting. -EAGAIN when there is no room, -ECONNRESET when the daemon
 * ended. */
int nst_ipc_client_send(struct nst_ipc_client *client, const struct nst_ipc_datagram *datagram,
                        const void *payload, size_t len);

/* The next message that answers no call, in a buffer that lasts until the next use of the client.
 * Waits for `timeout_ms` at most (0: not at all; -1: for ever). -ETIMEDOUT; -ECONNRESET when the
 * daemon ended; -EPROTO when it talks nonsense; -EINTR after a signal. */
int nst_ipc_client_next(struct nst_ipc_client *client, struct nst_ipc_msg *msg, int timeout_ms);

/* CLOCK_MONOTONIC in nanoseconds, as datagrams are stamped. */
uint64_t nst_ipc_clock(void);

#endif
