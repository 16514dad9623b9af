/* --host-loopback: 127.0.0.0/8 is the host's, not the stack's.
 *
 * Whose a socket is to be isn't known before it is bound or connected, or sends its first datagram.
 * So it begins as the stack's, like any other, and is replaced under its number by one of the
 * kernel's, which the supervisor makes in the host's network namespace; then the kernel does the
 * call. What the stack's socket was set to is set again: what its descriptor tells at once, the
 * rest one by one, as the daemon answers. (But the sizes of buffers: nobody knows whether a program
 * chose them.) It is bound to the device `lo`, so that no later call leads it out to the host's
 * network.
 *
 * Copies of the descriptor, and epoll instances it was added to before, keep the socket of the
 * stack. */
#include "run/supervisor.h"

#include "core/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* What AF_UNIX remembers, for itself or for the stack. */
static const int KEPT[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_RCVTIMEO,
                           SO_SNDTIMEO,  SO_RCVLOWAT,  SO_PRIORITY,  SO_TIMESTAMP};

/* What the daemon knows; from FIRST_OF_STREAMS on, of those alone. */
static const struct {
    int level, option;
} ASKED[] = {
    {IPPROTO_IP, IP_TTL},        {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_RECVERR},    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_RECVTTL},    {IPPROTO_IP, IP_RECVTOS},
    {SOL_SOCKET, SO_REUSEPORT},  {SOL_SOCKET, SO_LINGER},
    {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},  {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_LINGER2},  {IPPROTO_TCP, TCP_USER_TIMEOUT},
};
enum { FIRST_OF_STREAMS = 7 };

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
    /* The filter has said that this is done, whatever the program asked for. */
    if (stream)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* ---- The replacement ---------------------------------------------------------------------- */

static void replace(struct nst_run_call *call)
{
    int err = nst_run_call_replace(call, call->host_fd);

    if (err)
        nst_run_call_return(call, err);
    else
        nst_run_call_continue(call);
}

static void ask_next(struct nst_run_call *call);

/* An option that isn't there, or can't be set, is left as it is. */
static void on_option(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);

    if (r->result == 0)
        (void)setsockopt(call->host_fd, r->level, r->option, r->value, r->value_len);
    ask_next(call);
}

static void ask_next(struct nst_run_call *call)
{
    bool stream = call->name.protocol == IPPROTO_TCP;
    size_t i = call->host_options++;

    if (i == (stream ? NST_ARRAY_LEN(ASKED) : FIRST_OF_STREAMS)) {
        replace(call);
        return;
    }
    call->request.op = NST_CLIENT_GETSOCKOPT;
    call->request.level = ASKED[i].level;
    call->request.option = ASKED[i].option;
    call->request.value_len = sizeof(struct linger);
    nst_run_call_ask(call, on_option);
}

void nst_run_pass_to_host(struct nst_run_call *call)
{
    call->host_fd = socket_like(call);
    if (call->host_fd < 0)
        nst_run_call_return(call, call->host_fd);
    else
        ask_next(call);
}

/* ---- Which sockets ------------------------------------------------------------------------ */

bool nst_run_is_for_host(const struct nst_run_call *call)
{
    struct sockaddr_in in;

    memcpy(&in, &call->request.addr, sizeof in);
    return nst_run_host_loopback(call->supervisor) && call->request.addrlen >= sizeof in &&
           in.sin_family == AF_INET && ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET &&
           call->name.kind == NST_IPC_NAME_PROGRAM && call->name.protocol != IPPROTO_ICMP;
}

static void on_name(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);
    struct sockaddr_in in;

    memcpy(&in, &r->addr, sizeof in);
    call->is_bound = r->result != 0 || in.sin_port != 0;
    if (call->is_bound)
        call->resume(call);
    else
        nst_run_pass_to_host(call);
}

bool nst_run_divert(struct nst_run_call *call, uint64_t to, uint64_t to_len, nst_run_handler *send)
{
    if (!nst_run_host_loopback(call->supervisor) || call->is_bound || !to ||
        call->name.protocol != IPPROTO_UDP)
        return false;
    call->request.addrlen = (socklen_t)to_len;
    if (nst_run_call_get_name(call, to, to_len, &call->request.addr) != 0 ||
        !nst_run_is_for_host(call))
        return false;
    call->resume = send;
    call->request.op = NST_CLIENT_GETSOCKNAME;
    nst_run_call_ask(call, on_name);
    return true;
}
