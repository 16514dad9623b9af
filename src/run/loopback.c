/* --host-loopback: 127.0.0.0/8 is the host's, not the stack's.
 *
 * Whose a socket is to be isn't known before it is bound or connected. So it begins as the stack's,
 * like any other, and is replaced under its number by one of the kernel's, which the supervisor
 * makes in the host's network namespace; then the kernel does the call. What the stack's socket was
 * set to is set again, as far as its descriptor tells. It is bound to the device `lo`, so that no
 * later call leads it out to the host's network.
 *
 * Copies of the descriptor, and epoll instances it was added to before, keep the socket of the
 * stack. */
#include "run/supervisor.h"

#include "core/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* What AF_UNIX remembers, for itself or for the stack. */
static const int KEPT[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_RCVTIMEO,
                           SO_SNDTIMEO,  SO_RCVLOWAT,  SO_PRIORITY,  SO_TIMESTAMP};

static void copy_options(int from, int to)
{
    uint8_t value[sizeof(struct timeval)];

    for (size_t i = 0; i < NST_ARRAY_LEN(KEPT); i++) {
        socklen_t len = sizeof value;
        if (getsockopt(from, SOL_SOCKET, KEPT[i], value, &len) == 0)
            (void)setsockopt(to, SOL_SOCKET, KEPT[i], value, len);
    }
}

/* One of the kernel's that is like the caller's, and stays on the host: a descriptor or -errno. */
static int socket_like(const struct nst_run_call *call)
{
    bool stream = call->name.protocol == IPPROTO_TCP;
    int flags = nst_run_call_nonblocking(call) ? SOCK_NONBLOCK : 0;
    int fd = socket(AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | flags,
                    call->name.protocol);

    if (fd < 0)
        return -errno;
    copy_options(call->fd, fd);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

bool nst_run_is_for_host(const struct nst_run_call *call)
{
    struct sockaddr_in in;

    memcpy(&in, &call->request.addr, sizeof in);
    return nst_run_host_loopback(call->supervisor) && call->request.addrlen >= sizeof in &&
           in.sin_family == AF_INET && ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET &&
           call->name.kind == NST_IPC_NAME_PROGRAM && call->name.protocol != IPPROTO_ICMP;
}

void nst_run_pass_to_host(struct nst_run_call *call)
{
    int fd = socket_like(call);
    int err = fd < 0 ? fd : nst_run_call_replace(call, fd);

    if (fd >= 0)
        close(fd);
    if (err)
        nst_run_call_return(call, err);
    else
        nst_run_call_continue(call);
}
