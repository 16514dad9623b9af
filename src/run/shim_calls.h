/* The system calls of the code that is compiled into the shim, past the shim's own functions of
 * these names and past the filter. The compiler includes this before each file. */
#ifndef NST_RUN_SHIM_CALLS_H
#define NST_RUN_SHIM_CALLS_H

#include "run/filter.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void nst_run_nothing(long a, long b, long c, long d, long e, long f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
}

/* Makes a system call that the filter lets through. The kernel keeps all registers, and libc's
 * functions of fewer arguments leave that of the sixth alone: so the magic must not stay in it, or
 * the program's next bind() would go through as well. */
static inline long nst_run_pass(long nr, long a, long b, long c, long d, long e)
{
    void (*volatile forget)(long, long, long, long, long, long) = nst_run_nothing;
    long result = syscall(nr, a, b, c, d, e, NST_RUN_MAGIC);

    forget(0, 0, 0, 0, 0, 0);
    return result;
}

#define NST_RUN_PASS(nr, a, b, c, d, e) \
    nst_run_pass((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* Makes one that the filter is to see. syscall() takes six arguments whatever it is given, and the
 * sixth that isn't given is what lies on the stack, where the magic has lain. */
#define NST_RUN_ASK(nr, a, b, c, d, e) \
    syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0L)

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
