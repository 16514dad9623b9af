/* $NOTIFY_SOCKET is a path, or an abstract name with '@' for its first byte. The socket is found
 * before set-up, which ends in another network namespace, and written to in the sandbox: whoever
 * starts after this service finds the stack answering, and its daemon without rights.
 *
 * The variable may come from another service that we were started in by hand, so nothing fails
 * because of it. */
#include "daemon/ready.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"

/* The length of the address; 0 for a name that is none. */
static socklen_t address_of(struct sockaddr_un *addr, const char *name)
{
    size_t len = strlen(name);

    if ((*name != '/' && *name != '@') || len < 2 || len >= sizeof addr->sun_path)
        return 0;
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, name, len);
    if (*name == '@')
        addr->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int connect_to(const char *name)
{
    struct sockaddr_un addr;
    socklen_t len = address_of(&addr, name);

    if (!len)
        return -EINVAL;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, len) == 0)
        return fd < 0 ? -errno : fd;
    int err = -errno;
    close(fd);
    return err;
}

static void warn(int err)
{
    nst_log(NST_UP_LOG_WARNING,
            "cannot tell the service manager ($NOTIFY_SOCKET) that it is up: %s", strerror(-err));
}

int nst_ready_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    int fd = name ? connect_to(name) : -1;

    if (name && fd < 0)
        warn(fd);
    return fd < 0 ? -1 : fd;
}

void nst_ready_tell_take(int fd)
{
    static const char ready[] = "READY=1";

    if (fd < 0)
        return;
    /* syscall: write close */
    if (write(fd, ready, sizeof ready - 1) < 0)
        warn(-errno);
    close(fd);
}
