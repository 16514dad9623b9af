#include "ipc/path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The variable's value; an empty one counts as none. */
static const char *environment(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value ? value : NULL;
}

const char *nst_ipc_name(const char *given)
{
    const char *name = given ? given : environment("NETSTACK_NAME");

    return name ? name : "default";
}

static bool name_valid(const char *name)
{
    size_t len = strlen(name);

    return len >= 1 && len <= NST_IPC_NAME_MAX && strspn(name, ALNUM "._-") == len &&
           strchr(ALNUM, name[0]) != NULL;
}

int nst_ipc_path(char path[NST_IPC_PATH_MAX], const char *name, char why[NST_IPC_WHY])
{
    const char *given = environment("NETSTACK_SOCKET");

    if (!name_valid(name)) {
        snprintf(why, NST_IPC_WHY,
                 "an instance's name is 1 to %d letters, digits, '.', '_' or '-', and begins with "
                 "a letter or digit",
                 NST_IPC_NAME_MAX);
        return -EINVAL;
    }
    int len = given ? snprintf(path, NST_IPC_PATH_MAX, "%s", given)
                    : snprintf(path, NST_IPC_PATH_MAX, "%s/%s.sock", NST_IPC_DIR, name);
    if (len < NST_IPC_PATH_MAX)
        return 0;
    snprintf(why, NST_IPC_WHY, "the socket's path in $NETSTACK_SOCKET is longer than %d bytes",
             NST_IPC_PATH_MAX - 1);
    return -ENAMETOOLONG;
}
