/* The sandbox: what the daemon can't do any more once it is set up. */
#ifndef NST_DAEMON_SANDBOX_H
#define NST_DAEMON_SANDBOX_H

#include <sys/types.h>

#include "daemon/fault.h"

/* Enters it, for ever, as far as each thread has to by itself: rights, namespaces, files. Threads
 * that are started from now on are in it, too. It may signal `child` alone (0: none). -errno. */
int nst_sandbox_enter(pid_t child, struct nst_fault *fault);

/* Closes it behind all threads; there will be no further ones. The process may go on with the
 * descriptors that it has and with sockets of the family AF_UNIX; any other system call ends it,
 * with a line on its standard error; `child` is as above. -errno. */
int nst_sandbox_close(pid_t child, struct nst_fault *fault);

#endif
