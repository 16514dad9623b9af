/* The system calls of the code that is compiled into the shim, past the shim's own functions of
 * these names and past the filter. The compiler includes this before each file. */
#ifndef NST_RUN_SHIM_CALLS_H
#define NST_RUN_SHIM_CALLS_H

#include "run/filter.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long nst_run_nothing(long nr, ...)
{
    return nr;
}

/* Makes a system call with a sixth argument that the program's next call must not have. The kernel
 * keeps all registers, and libc's functions of fewer arguments leave that of the sixth alone;
 * syscall() takes six whatever it is given, from the stack. So both are overwritten. */
static inline long nst_run_syscall(long nr, long a, long b, long c, long d, long e, uint64_t sixth)
{
    long (*volatile forget)(long, ...) = nst_run_nothing;
    long result = syscall(nr, a, b, c, d, e, sixth);

    forget(0, 0L, 0L, 0L, 0L, 0L, 0L);
    return result;
}

/* One that the filter lets through. */
#define NST_RUN_PASS(nr, a, b, c, d, e) \
    nst_run_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), NST_RUN_MAGIC)

/* One that the filter is to see; `number` is from nst_run_number(), and the same when it is made
 * again. */
#define NST_RUN_ASK(number, nr, a, b, c, d, e) \
    nst_run_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (number))

/* From the processor's clock, which is read without a system call that the program's sandbox might
 * forbid. No thread makes two such calls in one tick, and the number begins anew after hours. */
static inline uint64_t nst_run_number(void)
{
#if defined __x86_64__
    uint64_t ticks = __builtin_ia32_rdtsc();
#elif defined __aarch64__
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
#else
#error "netstack run knows x86-64 and aarch64"
#endif
    return NST_RUN_NUMBERED(ticks);
}

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
