/* Connections that other processes use as file descriptors. */
#ifndef NST_DAEMON_RELAY_H
#define NST_DAEMON_RELAY_H

#include "daemon/daemon.h"

struct nst_relay;

/* Whether a client may have one more connection: 0 or -EMFILE. */
int nst_relay_allowed(const struct nst_daemon *d, const struct nst_ipc_peer *peer);

/* Makes a relay for the client. Returns the client's descriptor, which is the caller's, or -errno.
 * It must be started, or dropped, before the loop goes on. */
int nst_relay_new(struct nst_relay **out, struct nst_daemon *d, const struct nst_ipc_peer *peer);

/* For the events of its connection. */
uint64_t nst_relay_cookie(const struct nst_relay *relay);

/* Joins it with an established connection, which it takes over; it lives until both have ended. */
void nst_relay_start_take(struct nst_relay *relay, nst_sock sock);

/* Ends one that was not started. */
void nst_relay_drop(struct nst_relay *relay);

/* Ends all: their clients see a reset, and so do the connections' peers if data is lost. */
void nst_relays_free(struct nst_daemon *d);

/* The client whose connection the cookie of a socket's events stands for; NULL if it is none. */
const struct ucred *nst_relay_cred(uint64_t cookie);

#endif
