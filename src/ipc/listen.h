/* The daemon's listening socket in the file system: made safely, removed exactly. */
#ifndef NST_IPC_LISTEN_H
#define NST_IPC_LISTEN_H

#include "ipc/path.h"

#include <sys/types.h>

struct nst_ipc_listener {
    int fd;      /* listening, non-blocking */
    int lock_fd; /* holds the lock for as long as the instance lives */
    char path[NST_IPC_PATH_MAX];
    char lock_path[NST_IPC_PATH_MAX + 8];
    dev_t dev; /* of the socket that we made */
    ino_t ino;
};

/* Takes the instance's name and listens. -EADDRINUSE when such an instance is running, or another
 * error; `why` then says it in a sentence. */
int nst_ipc_listen(struct nst_ipc_listener *out, const char *name, char why[NST_IPC_WHY]);

/* Stops listening and removes the socket and the lock, if they are still ours. */
void nst_ipc_unlisten(struct nst_ipc_listener *listener);

#endif
