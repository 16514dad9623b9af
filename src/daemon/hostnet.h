/* The host's side of the stack's device: its link, its address, and how to undo them. */
#ifndef NST_DAEMON_HOSTNET_H
#define NST_DAEMON_HOSTNET_H

#include "daemon/config.h"

struct nst_hostnet;

/* Prepares the host's side of the open device `device` as `config` says: MTU, queue, the host's
 * address, up. Changes only what is not so already: for a device that somebody has prepared, no
 * rights are needed. Does nothing at all if the host's address is "none".
 *
 * Refuses with -EADDRINUSE when the network overlaps one that the host has on another interface, or
 * when the stack's address is one of the host's own. 0 or -errno with a sentence; after a failure
 * everything is as before. */
int nst_hostnet_up(struct nst_hostnet **out, const struct nst_up_config *config, const char *device,
                   struct nst_fault *fault);

/* Puts back what nst_hostnet_up() changed, as far as the device is still there, and ends `host`
 * (NULL is allowed). 0, or the first failure with a sentence. */
int nst_hostnet_down(struct nst_hostnet *host, struct nst_fault *fault);

#endif
