/* Where an instance's socket is. */
#ifndef NST_IPC_PATH_H
#define NST_IPC_PATH_H

#include <stddef.h>

#define NST_IPC_DIR      "/run/netstack"
#define NST_IPC_NAME_MAX 32
#define NST_IPC_PATH_MAX 108 /* sizeof sockaddr_un.sun_path */
#define NST_IPC_WHY      320 /* room for a sentence that says what went wrong and what to do */

/* The instance that is meant: `given` if not NULL, else $NETSTACK_NAME, else "default". */
const char *nst_ipc_name(const char *given);

/* The path of an instance's socket: $NETSTACK_SOCKET, or NST_IPC_DIR/NAME.sock. -EINVAL for a name
 * that is not 1 to NST_IPC_NAME_MAX letters, digits, '.', '_', '-', beginning with a letter or a
 * digit; -ENAMETOOLONG for what no UNIX socket may be called. Both with a sentence in `why`. */
int nst_ipc_path(char path[NST_IPC_PATH_MAX], const char *name, char why[NST_IPC_WHY]);

#endif
