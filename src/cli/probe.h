/* What ping and arping have in common: through a socket of the daemon's, send something now and
 * then, look at what comes back, until it is enough. */
#ifndef NST_CLI_PROBE_H
#define NST_CLI_PROBE_H

#include "cli/cli.h"

#define NST_CLI_PROBE_MAX 65536 /* bytes in a probe */

struct nst_cli_probe_ops {
    /* When to do the next thing: send, if that time has come and *send is set; else look again.
     * Returns false when all is done. */
    bool (*next)(void *state, uint64_t now, uint64_t *when, bool *send);
    /* Makes the next probe, returns its length. */
    size_t (*build)(void *state, uint64_t now, uint8_t *probe);
    /* Something came back. A negative errno ends it all. */
    int (*input)(void *state, const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                 size_t len);
    /* SIGQUIT; may be NULL. */
    void (*report)(void *state);
};

/* Runs the probes, each sent as `to` says, until they are done or SIGINT or SIGTERM comes: 0. Else
 * what `input` returned, or the client's error. */
int nst_cli_probe(struct nst_ipc_client *client, const struct nst_ipc_datagram *to,
                  const struct nst_cli_probe_ops *ops, void *state);

#endif
