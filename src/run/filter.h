/* Which system calls of a program come to the supervisor: a seccomp filter, as classic BPF.
 *
 * What needs neither a name nor a set-up stays native, at full speed: read, write, poll, close and
 * all the rest never see the filter's later half, since the kernel remembers for each number that
 * it is always allowed. Trapped are the calls that name or set up a socket, and those that carry
 * addresses. The decisions are made with what a filter can see: numbers and register values, no
 * memory. */
#ifndef NST_RUN_FILTER_H
#define NST_RUN_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* What the shim, and the launcher itself, pass as a call's sixth argument, where the call has
 * fewer: it lets the call through. A convenience and no secret, as nothing here is a wall: see
 * docs/adr/0007-run.md. */
#define NST_RUN_MAGIC UINT64_C(0x6e65747374616b31)

/* Where the filter is to see the call, the shim passes this in its place: a mark, and below it a
 * number that the thread's calls have once. A call that is made again after a signal has all its
 * arguments again, and so is known for the same. What another program leaves in that register is
 * hardly such a mark: no address, and no text. */
#define NST_RUN_NUMBER_BITS 48
#define NST_RUN_NUMBERED(number)               \
    (UINT64_C(0xf5c1) << NST_RUN_NUMBER_BITS | \
     ((uint64_t)(number) & ((UINT64_C(1) << NST_RUN_NUMBER_BITS) - 1)))

/* A variable of the environment: set, it tells the shim of --host-loopback. */
#define NST_RUN_HOST_LOOPBACK "NETSTACK_RUN_HOST_LOOPBACK"

#define NST_RUN_FILTER_MAX 256

struct nst_run_filter {
    struct sock_filter code[NST_RUN_FILTER_MAX];
    size_t len;
};

/* Writes the filter. It fits by construction, which an assertion checks. */
void nst_run_filter_init(struct nst_run_filter *filter);

/* Installs it for this thread and all that it will start, after giving up the right to gain rights
 * (no_new_privs). Returns the descriptor of the notifications, close-on-exec, or -errno: -EBUSY
 * when the process runs under such a filter already. */
int nst_run_filter_install(const struct nst_run_filter *filter);

#endif
