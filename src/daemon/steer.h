/* A program for the kernel that steers frames to queues as nst_spread_of() says. */
#ifndef NST_DAEMON_STEER_H
#define NST_DAEMON_STEER_H

#include <linux/bpf.h>
#include <stddef.h>

#include "netstack/netstack.h"

struct nst_device;

#define NST_STEER_MAX 640 /* instructions of a program, at most */

/* Writes the program for frames of the medium. Its result is the number of the stack that a TCP
 * segment of IPv4 is for, and 0 for all else, as what ICMP quotes. Returns how many instructions.
 */
size_t nst_steer_program(struct bpf_insn out[NST_STEER_MAX], const struct nst_spread *spread,
                         enum nst_medium medium);

/* Has the kernel put each TCP segment into the queue of the stack that it is for, and all else into
 * the first. The queues are open, in the order of their stacks; `device` is any of them, and
 * `index` of no account. -EPERM without the right CAP_BPF in the first user namespace, or another
 * negative errno value. */
int nst_steer(struct nst_device *device, const struct nst_spread *spread, enum nst_medium medium);

#endif
