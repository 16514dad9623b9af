#include "client/options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/socket.h>

/* Others of SOL_SOCKET mean something else, or nothing, for a socket of this kind; others of the
 * protocols are the daemon's to know. */
static const struct {
    int level, option;
    enum nst_client_answers answers;
    int err;
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, NST_CLIENT_BY_BOTH, 0},
    {SOL_SOCKET, SO_REUSEPORT, NST_CLIENT_BY_DAEMON, 0},
    {SOL_SOCKET, SO_KEEPALIVE, NST_CLIENT_BY_BOTH, 0},
    {SOL_SOCKET, SO_BROADCAST, NST_CLIENT_BY_BOTH, 0},
    {SOL_SOCKET, SO_OOBINLINE, NST_CLIENT_BY_BOTH, 0},
    {SOL_SOCKET, SO_RCVTIMEO, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_SNDTIMEO, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_RCVLOWAT, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_TIMESTAMP, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_TIMESTAMPNS, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_PRIORITY, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_MARK, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_DEBUG, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_DONTROUTE, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_NO_CHECK, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_SNDLOWAT, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_BUSY_POLL, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_TYPE, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_ACCEPTCONN, NST_CLIENT_BY_KERNEL, 0},
    {SOL_SOCKET, SO_SNDBUF, NST_CLIENT_BY_DAEMON, 0},
    {SOL_SOCKET, SO_RCVBUF, NST_CLIENT_BY_DAEMON, 0},
    {SOL_SOCKET, SO_LINGER, NST_CLIENT_BY_DAEMON, 0},
    {SOL_SOCKET, SO_ERROR, NST_CLIENT_BY_DAEMON, 0},
    {SOL_SOCKET, SO_DOMAIN, NST_CLIENT_BY_US, 0},
    {SOL_SOCKET, SO_PROTOCOL, NST_CLIENT_BY_US, 0},
    {IPPROTO_TCP, TCP_NODELAY, NST_CLIENT_BY_US, 0},
    {SOL_SOCKET, SO_ZEROCOPY, NST_CLIENT_BY_NOBODY, EOPNOTSUPP},
    {IPPROTO_UDP, UDP_SEGMENT, NST_CLIENT_BY_NOBODY, EOPNOTSUPP},
    {IPPROTO_UDP, UDP_GRO, NST_CLIENT_BY_NOBODY, EOPNOTSUPP},
};

enum nst_client_answers nst_client_option(int level, int option, int *err)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].level == level && options[i].option == option) {
            *err = -options[i].err;
            return options[i].answers;
        }
    }
    *err = level == SOL_SOCKET ? -ENOPROTOOPT : 0;
    return *err ? NST_CLIENT_BY_NOBODY : NST_CLIENT_BY_DAEMON;
}
