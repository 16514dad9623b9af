/* A program for the kernel that steers frames to queues as nst_spread_of() says. */
#ifndef NST_IO_STEER_H
#define NST_IO_STEER_H

#include <linux/bpf.h>
#include <stddef.h>

#include "netstack/netstack.h"

#define NST_STEER_MAX 640 /* instructions of a program, at most */

/* Writes the program for frames of the medium. Its result is the number of the stack that a TCP
 * segment of IPv4 is for, and 0 for all else, as what ICMP quotes. Returns how many instructions.
 */
size_t nst_steer_program(struct bpf_insn out[NST_STEER_MAX], const struct nst_spread *spread,
                         enum nst_medium medium);

/* Loads the program: a descriptor, or -EPERM without the right CAP_BPF in the first user namespace,
 * or another negative errno value. */
int nst_steer_load(const struct bpf_insn *program, size_t len);

#endif
