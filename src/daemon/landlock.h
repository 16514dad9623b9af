/* Landlock: files and processes that the daemon has nothing to do with any more. */
#ifndef NST_DAEMON_LANDLOCK_H
#define NST_DAEMON_LANDLOCK_H

#include <stdbool.h>

/* Forbids, for ever, what the kernel knows how to forbid: every use of a file by its name (ABI 1),
 * to bind and connect TCP sockets of the host's (4), to speak to abstract UNIX sockets that were
 * made by anybody outside (6), and, unless `signals`, to send signals to others (6). Descriptors
 * that are open already go on. Wants no_new_privs. -errno: there is no Landlock. */
int nst_landlock_enter(bool signals);

#endif
