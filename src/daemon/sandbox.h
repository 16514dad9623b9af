/* The sandbox: what the daemon can't do any more once it is set up. */
#ifndef NST_DAEMON_SANDBOX_H
#define NST_DAEMON_SANDBOX_H

#include <sys/types.h>

#include "daemon/fault.h"

/* Enters it, for ever. The process may go on with the descriptors that it has and with sockets of
 * the family AF_UNIX; any other system call ends it, with a line on its standard error. Of other
 * processes it may signal `child` alone (0: none). -errno. */
int nst_sandbox_enter(pid_t child, struct nst_fault *fault);

#endif
