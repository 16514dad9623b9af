/* The system calls of the code that is compiled into the shim, past the shim's own functions of
 * these names and past the filter. The compiler includes this before each file. */
#ifndef NST_RUN_SHIM_CALLS_H
#define NST_RUN_SHIM_CALLS_H

#include "run/filter.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NST_RUN_PASS(nr, a, b, c, d, e) syscall((nr), (a), (b), (c), (d), (e), NST_RUN_MAGIC)

static inline int nst_run_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return (int)NST_RUN_PASS(SYS_getsockname, fd, addr, len, 0, 0);
}

static inline int nst_run_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    return (int)NST_RUN_PASS(SYS_getpeername, fd, addr, len, 0, 0);
}

static inline int nst_run_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    return (int)NST_RUN_PASS(SYS_getsockopt, fd, level, option, value, len);
}

static inline int nst_run_setsockopt(int fd, int level, int option, const void *value,
                                     socklen_t len)
{
    return (int)NST_RUN_PASS(SYS_setsockopt, fd, level, option, value, len);
}

static inline ssize_t nst_run_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return NST_RUN_PASS(SYS_sendmsg, fd, msg, flags, 0, 0);
}

static inline ssize_t nst_run_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return NST_RUN_PASS(SYS_recvmsg, fd, msg, flags, 0, 0);
}

#define getsockname nst_run_getsockname
#define getpeername nst_run_getpeername
#define getsockopt  nst_run_getsockopt
#define setsockopt  nst_run_setsockopt
#define sendmsg     nst_run_sendmsg
#define recvmsg     nst_run_recvmsg

#endif
