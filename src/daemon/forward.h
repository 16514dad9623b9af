/* IPv4 forwarding of single interfaces, turned on for as long as an instance needs it. */
#ifndef NST_DAEMON_FORWARD_H
#define NST_DAEMON_FORWARD_H

#include "daemon/fault.h"

#include <stddef.h>

#define NST_FORWARD_INTERFACES 2

struct nst_forward;

/* Turns IPv4 forwarding on for the `n` (at most NST_FORWARD_INTERFACES) interfaces in `ifnames`, on
 * behalf of the instance `name`, and first puts right what killed instances left. Writes the record
 * RUN_DIR/NAME.nat; makes `run_dir` if there is none.
 *
 * 0 or -errno with a sentence; -EBUSY if a living instance has that name. After a failure
 * everything is as before. */
int nst_forward_up(struct nst_forward **out, const char *run_dir, const char *name,
                   const char *const *ifnames, size_t n, struct nst_fault *fault);

/* Turns off what was off before, unless another living instance needs it; removes the record and
 * ends `forward` (NULL is allowed). 0, or the first failure with a sentence. */
int nst_forward_down(struct nst_forward *forward, struct nst_fault *fault);

/* Only puts right what killed instances left. 0 or -errno with a sentence; no run_dir is success.
 */
int nst_forward_sweep(const char *run_dir, struct nst_fault *fault);

#endif
