/* libnetstack-shim.so: answers a program's questions about its sockets, and carries its datagrams,
 * without a trap.
 *
 * It is preloaded by `netstack run`, and stands in front of libc's functions. It knows nothing of
 * any descriptor: whether one is ours, whose, and from where, the kernel tells by its name each
 * time (client/local.h), so fork, dup, exec and threads can't confuse it, and a program that does
 * without it misses nothing but time. What it can't answer it leaves to the trap: syscall() without
 * the magic argument. */
#include "client/hints.h"
#include "client/local.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The functions stand in front of libc's of these names. They bear others here, since libc's
 * headers declare theirs with attributes and argument types (transparent unions) that only get in
 * the way. */
#define IN_FRONT_OF(name) __asm__(name) __attribute__((visibility("default")))

int shim_socket(int, int, int) IN_FRONT_OF("socket");
int shim_bind(int, const struct sockaddr *, socklen_t) IN_FRONT_OF("bind");
int shim_listen(int, int) IN_FRONT_OF("listen");
int shim_connect(int, const struct sockaddr *, socklen_t) IN_FRONT_OF("connect");
int shim_getsockname(int, struct sockaddr *, socklen_t *) IN_FRONT_OF("getsockname");
int shim_getpeername(int, struct sockaddr *, socklen_t *) IN_FRONT_OF("getpeername");
int shim_getsockopt(int, int, int, void *, socklen_t *) IN_FRONT_OF("getsockopt");
int shim_setsockopt(int, int, int, const void *, socklen_t) IN_FRONT_OF("setsockopt");
int shim_accept(int, struct sockaddr *, socklen_t *) IN_FRONT_OF("accept");
int shim_accept4(int, struct sockaddr *, socklen_t *, int) IN_FRONT_OF("accept4");
ssize_t shim_send(int, const void *, size_t, int) IN_FRONT_OF("send");
ssize_t shim_recv(int, void *, size_t, int) IN_FRONT_OF("recv");
ssize_t shim_recv_chk(int, void *, size_t, size_t, int) IN_FRONT_OF("__recv_chk");
ssize_t shim_sendto(int, const void *, size_t, int, const struct sockaddr *, socklen_t)
    IN_FRONT_OF("sendto");
ssize_t shim_recvfrom(int, void *, size_t, int, struct sockaddr *, socklen_t *)
    IN_FRONT_OF("recvfrom");
ssize_t shim_recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *)
    IN_FRONT_OF("__recvfrom_chk"); /* in programs that were built with _FORTIFY_SOURCE */
ssize_t shim_sendmsg(int, const struct msghdr *, int) IN_FRONT_OF("sendmsg");
ssize_t shim_recvmsg(int, struct msghdr *, int) IN_FRONT_OF("recvmsg");
int shim_sendmmsg(int, struct mmsghdr *, unsigned, int) IN_FRONT_OF("sendmmsg");
int shim_recvmmsg(int, struct mmsghdr *, unsigned, int, struct timespec *) IN_FRONT_OF("recvmmsg");

/* What libc makes of a result. What succeeds leaves errno as it was `before`, on which some
 * programs rely (lftp, with SO_ERROR). */
static ssize_t finish(int before, ssize_t result)
{
    errno = result < 0 ? (int)-result : before;
    return result < 0 ? -1 : result;
}

static ssize_t negated(ssize_t result)
{
    return result < 0 ? -errno : result;
}

/* A call that may wait is a place where the thread can be cancelled. */
#define WAITING(result, call)                                          \
    do {                                                               \
        int old_type;                                                  \
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old_type); \
        (result) = (call);                                             \
        pthread_setcanceltype(old_type, NULL);                         \
    } while (0)

/* The kernel is done with such a call before it looks at signals. A trap is a wait, which a handler
 * without SA_RESTART ends: then it is made again, and goes on where it was (supervisor.h). */
static ssize_t ask_to_the_end(long nr, long a, long b, long c, long d, long e)
{
    const uint64_t number = nst_run_number();

    return negated(TEMP_FAILURE_RETRY(NST_RUN_ASK(number, nr, a, b, c, d, e)));
}

#define ASK_TO_THE_END(nr, a, b, c, d, e) \
    ask_to_the_end((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* ---- Setting up --------------------------------------------------------------------------- */

int shim_socket(int domain, int type, int protocol)
{
    const int before = errno;

    return (int)finish(before, ASK_TO_THE_END(SYS_socket, domain, type, protocol, 0, 0));
}

int shim_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int before = errno;

    return (int)finish(before, ASK_TO_THE_END(SYS_bind, fd, addr, len, 0, 0));
}

int shim_listen(int fd, int backlog)
{
    const int before = errno;

    return (int)finish(before, ASK_TO_THE_END(SYS_listen, fd, backlog, 0, 0, 0));
}

/* One that waits for the other side may be ended. */
int shim_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    const uint64_t number = nst_run_number();
    const int before = errno;
    ssize_t n;

    do
        WAITING(n, negated(NST_RUN_ASK(number, SYS_connect, fd, addr, len, 0, 0)));
    while (n == -EINTR && fcntl(fd, F_GETFL) & O_NONBLOCK);
    return (int)finish(before, n);
}

/* ---- Names -------------------------------------------------------------------------------- */

int shim_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    const int before = errno;
    struct nst_ipc_sockname name;
    ssize_t n;

    if (nst_client_identify(fd, &name) != 0)
        n = negated(nst_run_getsockname(fd, addr, len));
    else if ((n = nst_client_sockname(fd, addr, len)) == -EAGAIN)
        n = ASK_TO_THE_END(SYS_getsockname, fd, addr, len, 0, 0);
    return (int)finish(before, n);
}

int shim_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    const int before = errno;
    struct nst_ipc_sockname name;
    bool ours = nst_client_identify(fd, &name) == 0;

    return (int)finish(before, ours ? nst_client_getpeername(fd, addr, len)
                                    : negated(nst_run_getpeername(fd, addr, len)));
}

/* Whether it is a hint, and of a stream of ours. */
static bool is_hint(int fd, int level, int option)
{
    struct nst_ipc_sockname name;

    return nst_client_is_hint(level, option) && nst_client_identify(fd, &name) == 0 &&
           name.protocol == IPPROTO_TCP;
}

int shim_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    const int before = errno;

    return (int)finish(before, is_hint(fd, level, option)
                                   ? nst_client_set_hint(fd, option, value, len)
                                   : ASK_TO_THE_END(SYS_setsockopt, fd, level, option, value, len));
}

/* Those whose answers are in the name or in the kernel's socket. */
int shim_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    const int before = errno;
    ssize_t n;

    if (is_hint(fd, level, option))
        n = nst_client_get_hint(fd, option, value, len);
    else if (level == SOL_SOCKET && (option == SO_TYPE || option == SO_ACCEPTCONN))
        n = negated(nst_run_getsockopt(fd, level, option, value, len));
    else
        n = ASK_TO_THE_END(SYS_getsockopt, fd, level, option, value, len);
    return (int)finish(before, n);
}

/* ---- accept() ----------------------------------------------------------------------------- */

/* A descriptor, or -errno. */
static ssize_t accept_one(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct nst_ipc_sockname name;
    ssize_t accepted;

    if (nst_client_identify(fd, &name) != 0)
        return negated(NST_RUN_PASS(SYS_accept4, fd, addr, len, flags, 0));
    WAITING(accepted, negated(NST_RUN_PASS(SYS_accept4, fd, NULL, NULL, flags, 0)));
    if (accepted < 0)
        return accepted;
    int err = nst_client_accepted((int)accepted, fd, addr, len);
    if (err)
        close((int)accepted);
    return err ? err : accepted;
}

int shim_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    const int before = errno;

    return (int)finish(before, accept_one(fd, addr, len, flags));
}

int shim_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return shim_accept4(fd, addr, len, 0);
}

/* ---- Data without an address -------------------------------------------------------------- */

/* The kernel's result: -1 with errno. What was told of a datagram socket is put into the words of
 * the network. */
static ssize_t in_our_words(int fd, ssize_t result)
{
    struct nst_ipc_sockname name;

    if (result < 0 && errno == ECONNRESET) {
        bool ours = nst_client_identify(fd, &name) == 0;
        errno = ours && name.protocol != IPPROTO_TCP ? ECONNREFUSED : ECONNRESET;
    }
    return result;
}

ssize_t shim_send(int fd, const void *data, size_t len, int flags)
{
    ssize_t n;

    WAITING(n, syscall(SYS_sendto, fd, data, len, flags, NULL, 0));
    return in_our_words(fd, n);
}

ssize_t shim_recv(int fd, void *data, size_t len, int flags)
{
    ssize_t n;

    WAITING(n, syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL));
    return in_our_words(fd, n);
}

ssize_t shim_recv_chk(int fd, void *data, size_t len, size_t room, int flags)
{
    if (len > room)
        __builtin_trap();
    return shim_recv(fd, data, len, flags);
}

/* ---- Messages ----------------------------------------------------------------------------- */

/* Whether 127.0.0.0/8 is the host's: then the supervisor has to see who sends there first. */
static bool host_loopback;

__attribute__((constructor)) static void ask_environment(void)
{
    host_loopback = getenv(NST_RUN_HOST_LOOPBACK) != NULL;
}

static bool may_be_for_host(int fd, const struct msghdr *msg)
{
    struct nst_ipc_sockname name;
    struct sockaddr_in in;

    if (!host_loopback || !msg->msg_name || msg->msg_namelen < sizeof in)
        return false;
    memcpy(&in, msg->msg_name, sizeof in);
    return in.sin_family == AF_INET && ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET &&
           nst_client_identify(fd, &name) == 0;
}

/* Fast Open. */
static bool connects_first(int fd, const struct msghdr *msg, int flags)
{
    struct nst_ipc_sockname name;

    return flags & MSG_FASTOPEN && msg->msg_name && nst_client_identify(fd, &name) == 0;
}

static ssize_t send_one(int fd, const struct msghdr *msg, int flags)
{
    ssize_t n;

    if (connects_first(fd, msg, flags) || may_be_for_host(fd, msg)) {
        WAITING(n, negated(NST_RUN_ASK(nst_run_number(), SYS_sendmsg, fd, msg, flags, 0, 0)));
        return n;
    }
    WAITING(n, nst_client_sendmsg(fd, msg, flags));
    if (n == -ENOTSOCK)
        WAITING(n, negated(nst_run_sendmsg(fd, msg, flags)));
    return n;
}

static ssize_t receive_one(int fd, struct msghdr *msg, int flags)
{
    struct nst_ipc_sockname name;
    ssize_t n;

    if (flags & MSG_ERRQUEUE && nst_client_identify(fd, &name) == 0)
        return negated(NST_RUN_ASK(nst_run_number(), SYS_recvmsg, fd, msg, flags, 0, 0));
    WAITING(n, nst_client_recvmsg(fd, msg, flags));
    if (n == -ENOTSOCK)
        WAITING(n, negated(nst_run_recvmsg(fd, msg, flags)));
    return n;
}

ssize_t shim_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    const int before = errno;

    return finish(before, send_one(fd, msg, flags));
}

ssize_t shim_recvmsg(int fd, struct msghdr *msg, int flags)
{
    const int before = errno;

    return finish(before, receive_one(fd, msg, flags));
}

ssize_t shim_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *addr,
                    socklen_t addr_len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr msg = {
        .msg_name = (void *)(uintptr_t)addr,
        .msg_namelen = addr_len,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };

    return addr ? shim_sendmsg(fd, &msg, flags) : shim_send(fd, data, len, flags);
}

ssize_t shim_recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *addr,
                      socklen_t *addr_len)
{
    struct iovec iov = {data, len};
    struct msghdr msg = {.msg_name = addr, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (!addr)
        return shim_recv(fd, data, len, flags);
    if (!addr_len) {
        WAITING(n, syscall(SYS_recvfrom, fd, data, len, flags, addr, NULL));
        return n;
    }
    msg.msg_namelen = *addr_len;
    n = shim_recvmsg(fd, &msg, flags);
    if (n >= 0)
        *addr_len = msg.msg_namelen;
    return n;
}

ssize_t shim_recvfrom_chk(int fd, void *data, size_t len, size_t room, int flags,
                          struct sockaddr *addr, socklen_t *addr_len)
{
    if (len > room)
        __builtin_trap();
    return shim_recvfrom(fd, data, len, flags, addr, addr_len);
}

/* How many were sent, or -errno of the first. */
static ssize_t send_all(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    struct nst_ipc_sockname name;
    unsigned done = 0;

    if (nst_client_identify(fd, &name) != 0)
        return negated(NST_RUN_PASS(SYS_sendmmsg, fd, messages, count, flags, 0));
    for (; done < count; done++) {
        ssize_t n = send_one(fd, &messages[done].msg_hdr, flags);
        if (n < 0)
            return done ? (ssize_t)done : n;
        messages[done].msg_len = (unsigned)n;
    }
    return (ssize_t)done;
}

int shim_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    const int before = errno;

    return (int)finish(before, send_all(fd, messages, count, flags));
}

/* As the supervisor has it, with what is there, but at least one. */
static ssize_t receive_all(int fd, struct mmsghdr *messages, unsigned count, int flags,
                           struct timespec *timeout)
{
    struct nst_ipc_sockname name;
    unsigned done = 0;

    if (nst_client_identify(fd, &name) != 0)
        return negated(NST_RUN_PASS(SYS_recvmmsg, fd, messages, count, flags, timeout));
    if (timeout && !nst_client_is_time(timeout))
        return -EINVAL;
    flags &= ~MSG_WAITFORONE;
    for (; done < count; done++) {
        ssize_t n = receive_one(fd, &messages[done].msg_hdr, done ? flags | MSG_DONTWAIT : flags);
        if (n < 0)
            return done ? (ssize_t)done : n;
        messages[done].msg_len = (unsigned)n;
    }
    return (ssize_t)done;
}

int shim_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                  struct timespec *timeout)
{
    const int before = errno;

    return (int)finish(before, receive_all(fd, messages, count, flags, timeout));
}
