#include "client/hints.h"

#include "core/base/bytes.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>

#ifndef SO_MAX_PACING_RATE
#define SO_MAX_PACING_RATE 47
#endif

#define NOT_SET UINT32_MAX /* no limit, as far as the kernel is concerned */

static uint32_t flag_of(int option)
{
    return option == TCP_NODELAY ? 1u : option == TCP_CORK ? 2u : 0u;
}

static int read_flags(int fd, uint32_t *flags)
{
    socklen_t len = sizeof *flags;

    if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, flags, &len) != 0)
        return -errno;
    *flags = *flags == NOT_SET ? 0 : *flags;
    return 0;
}

static int write_flags(int fd, uint32_t flags)
{
    return setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &flags, sizeof flags) == 0 ? 0 : -errno;
}

bool nst_client_is_hint(int level, int option)
{
    return level == IPPROTO_TCP && flag_of(option) != 0;
}

int nst_client_set_hint(int fd, int option, const void *value, socklen_t len)
{
    uint32_t old, flag = flag_of(option);
    int on, err;

    if (len < sizeof on || len > INT32_MAX)
        return -EINVAL;
    memcpy(&on, value, sizeof on);
    if ((err = read_flags(fd, &old)) != 0)
        return err;
    uint32_t flags = on ? old | flag : old & ~flag;
    return flags == old ? 0 : write_flags(fd, flags);
}

int nst_client_get_hint(int fd, int option, void *value, socklen_t *len)
{
    uint32_t flags;
    int err = *len > INT32_MAX ? -EINVAL : read_flags(fd, &flags);

    if (err)
        return err;
    const int on = (flags & flag_of(option)) != 0;
    *len = (socklen_t)nst_min(*len, sizeof on);
    memcpy(value, &on, *len);
    return 0;
}

void nst_client_inherit(int fd, int listener)
{
    uint32_t flags;
    int in_line;
    socklen_t len = sizeof in_line;

    if (getsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &in_line, &len) == 0 && in_line)
        (void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, len);
    if (read_flags(listener, &flags) == 0 && flags)
        (void)write_flags(fd, flags);
}
