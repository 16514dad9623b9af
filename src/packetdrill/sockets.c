/* The life of a script's sockets: from socket() to close(). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "packetdrill/host.h"

#define BACKLOG_DEFAULT 128

/* ---- Names ----------------------------------------------------------------------------------- */

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static int get_name4(const struct sockaddr *addr, struct nst_sockaddr *out)
{
    struct sockaddr_in in;

    memcpy(&in, addr, sizeof in);
    out->port = ntohs(in.sin_port);
    if (in.sin_addr.s_addr == htonl(INADDR_ANY))
        return 0;
    out->addr.family = NST_AF_INET;
    memcpy(out->addr.bytes, &in.sin_addr, 4);
    return 0;
}

/* Only "any" and mapped IPv4 addresses. */
static int get_name6(const struct sockaddr *addr, struct nst_sockaddr *out)
{
    struct sockaddr_in6 in6;

    memcpy(&in6, addr, sizeof in6);
    out->port = ntohs(in6.sin6_port);
    if (IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr))
        return 0;
    if (memcmp(&in6.sin6_addr, mapped_prefix, sizeof mapped_prefix) != 0)
        return -EAFNOSUPPORT;
    out->addr.family = NST_AF_INET;
    memcpy(out->addr.bytes, in6.sin6_addr.s6_addr + sizeof mapped_prefix, 4);
    return 0;
}

int nst_pd_get_name(const struct sockaddr *addr, socklen_t len, struct nst_sockaddr *out)
{
    *out = (struct nst_sockaddr){.port = 0};
    if (!addr)
        return -EFAULT;
    if (len >= sizeof(struct sockaddr_in) && addr->sa_family == AF_INET)
        return get_name4(addr, out);
    if (len >= sizeof(struct sockaddr_in6) && addr->sa_family == AF_INET6)
        return get_name6(addr, out);
    return len < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
}

void nst_pd_put_name(const struct nst_pd_file *file, const struct nst_sockaddr *name,
                     struct sockaddr *addr, socklen_t *len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } u = {.in.sin_family = 0};
    socklen_t size = sizeof u.in;

    if (!addr || !len)
        return;
    if (file->domain == AF_INET6) {
        u.in6.sin6_family = AF_INET6;
        u.in6.sin6_port = htons(name->port);
        memcpy(&u.in6.sin6_addr, mapped_prefix, sizeof mapped_prefix);
        memcpy(u.in6.sin6_addr.s6_addr + sizeof mapped_prefix, name->addr.bytes, 4);
        size = sizeof u.in6;
    } else {
        u.in.sin_family = AF_INET;
        u.in.sin_port = htons(name->port);
        memcpy(&u.in.sin_addr, name->addr.bytes, 4);
    }
    memcpy(addr, &u, nst_min(*len, size));
    *len = size;
}

/* ---- From socket() to close() ---------------------------------------------------------------- */

static int open_socket(struct nst_pd_host *host, int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct nst_pd_file *file;

    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (!(file = nst_pd_file_new(host, NST_PD_SOCKET)))
        return -EMFILE;
    file->domain = domain;
    file->type = kind;
    file->nonblock = type & SOCK_NONBLOCK;
    int err = nst_socket(host->stack, &file->sock, NST_AF_INET,
                         kind == SOCK_STREAM ? NST_SOCK_STREAM : NST_SOCK_DGRAM, (uint8_t)protocol,
                         (uint64_t)file->fd);
    if (err)
        nst_pd_file_close(host, file);
    return err ? err : file->fd;
}

static int pd_socket(void *userdata, int domain, int type, int protocol)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    nst_pd_settings_read(host);
    return (int)nst_pd_return(host, open_socket(host, domain, type, protocol));
}

/* The runner binds to the address that it plays the host at: so that is ours. */
static int bind_socket(struct nst_pd_host *host, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct nst_sockaddr name;
    struct nst_pd_file *file;
    int err = nst_pd_socket_of(host, fd, &file);

    if (err || (err = nst_pd_get_name(addr, len, &name)))
        return err;
    if (nst_addr_is_host(&name.addr) && (err = nst_pd_learn_local(host, &name.addr)))
        return err;
    return nst_bind(host->stack, file->sock, &name);
}

static int pd_bind(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    return (int)nst_pd_return(host, bind_socket(host, fd, addr, len));
}

static int pd_listen(void *userdata, int fd, int backlog)
{
    struct nst_pd_host *host = userdata;
    struct nst_pd_file *file;

    nst_pd_enter(host);
    int err = nst_pd_socket_of(host, fd, &file);
    if (!err)
        err =
            nst_listen(host->stack, file->sock, backlog < 0 ? BACKLOG_DEFAULT : (uint32_t)backlog);
    nst_pd_pump(host);
    return (int)nst_pd_return(host, err);
}

/* The connection gets a descriptor before it is known whether there is one. */
static int try_accept(struct nst_pd_host *host, const struct nst_pd_file *listener)
{
    struct nst_pd_file *file = nst_pd_file_new(host, NST_PD_SOCKET);

    if (!file)
        return -EMFILE;
    file->domain = listener->domain;
    file->type = listener->type;
    int err = nst_accept(host->stack, listener->sock, &file->sock, (uint64_t)file->fd);
    if (err)
        nst_pd_file_close(host, file);
    return err ? err : file->fd;
}

static int accept_socket(struct nst_pd_host *host, int fd, struct sockaddr *addr, socklen_t *len)
{
    struct nst_sock_info info;
    struct nst_pd_file *listener;
    int err = nst_pd_socket_of(host, fd, &listener), got;

    if (err)
        return err;
    nst_time until = nst_pd_patience(host, listener, listener->rcv_timeout, 0);
    while ((got = try_accept(host, listener)) == -EAGAIN)
        if ((err = nst_pd_sleep(host, listener, until)))
            return err;
    if (got < 0)
        return got;
    nst_info(host->stack, host->files[got]->sock, &info);
    nst_pd_put_name(host->files[got], &info.peer, addr, len);
    nst_pd_pump(host);
    return got;
}

static int pd_accept(void *userdata, int fd, struct sockaddr *addr, socklen_t *len)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    return (int)nst_pd_return(host, accept_socket(host, fd, addr, len));
}

/* How far the attempt has come: 0 when connected, -EINPROGRESS, or why it failed. */
static int connect_progress(struct nst_pd_host *host, const struct nst_pd_file *file)
{
    uint32_t ready = nst_pd_readiness(host, file);
    int64_t error = 0;

    if (ready & NST_READY_ERR)
        nst_getopt(host->stack, file->sock, NST_OPT_ERROR, &error);
    if (error)
        return (int)-error;
    return ready & NST_READY_OUT ? 0 : -EINPROGRESS;
}

static int connect_socket(struct nst_pd_host *host, int fd, const struct sockaddr *addr,
                          socklen_t len)
{
    struct nst_sockaddr peer;
    struct nst_pd_file *file;
    int err = nst_pd_socket_of(host, fd, &file);

    if (err || (err = nst_pd_get_name(addr, len, &peer)))
        return err;
    nst_time until = nst_pd_patience(host, file, file->snd_timeout, 0);
    err = nst_connect(host->stack, file->sock, &peer);
    nst_pd_pump(host);
    while (err == -EINPROGRESS && nst_pd_sleep(host, file, until) == 0)
        err = connect_progress(host, file);
    return err;
}

static int pd_connect(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    nst_pd_settings_read(host);
    return (int)nst_pd_return(host, connect_socket(host, fd, addr, len));
}

static int pd_shutdown(void *userdata, int fd, int how)
{
    static const enum nst_shutdown hows[] = {
        [SHUT_RD] = NST_SHUT_RD, [SHUT_WR] = NST_SHUT_WR, [SHUT_RDWR] = NST_SHUT_RDWR};
    struct nst_pd_host *host = userdata;
    struct nst_pd_file *file;

    nst_pd_enter(host);
    int err = nst_pd_socket_of(host, fd, &file);
    if (!err)
        err = how < 0 || how > SHUT_RDWR ? -EINVAL
                                         : nst_shutdown(host->stack, file->sock, hows[how]);
    nst_pd_pump(host);
    return (int)nst_pd_return(host, err);
}

static int pd_close(void *userdata, int fd)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    struct nst_pd_file *file = nst_pd_file(host, fd);
    if (file)
        nst_pd_file_close(host, file);
    nst_pd_pump(host);
    return (int)nst_pd_return(host, file ? 0 : -EBADF);
}

/* ---- fcntl() and ioctl() --------------------------------------------------------------------- */

static int control_file(struct nst_pd_file *file, int command, int arg)
{
    switch (command) {
    case F_GETFL:
        return O_RDWR | (file->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        file->nonblock = arg & O_NONBLOCK;
        return 0;
    case F_GETFD:
    case F_SETFD: /* nothing is ever executed */
        return 0;
    default:
        return -EINVAL;
    }
}

static int pd_fcntl(void *userdata, int fd, int command, ...)
{
    struct nst_pd_host *host = userdata;
    va_list args;

    va_start(args, command);
    int arg = command == F_SETFL || command == F_SETFD ? va_arg(args, int) : 0;
    va_end(args);
    nst_pd_enter(host);
    struct nst_pd_file *file = nst_pd_file(host, fd);
    return (int)nst_pd_return(host, file ? control_file(file, command, arg) : -EBADF);
}

/* What is queued of a stream. */
static int queued(const struct nst_pd_host *host, const struct nst_pd_file *file,
                  unsigned long request, int *out)
{
    struct nst_tcp_info tcp;
    struct nst_sock_info sock;
    int err = nst_tcp_info(host->stack, file->sock, &tcp);

    if (err || (err = nst_info(host->stack, file->sock, &sock)))
        return -EINVAL;
    *out = (int)(request == SIOCINQ    ? sock.rx_bytes
                 : request == SIOCOUTQ ? sock.tx_bytes
                                       : tcp.notsent_bytes);
    return 0;
}

static int control_socket(struct nst_pd_host *host, struct nst_pd_file *file, unsigned long request,
                          int *arg)
{
    if (!arg)
        return -EFAULT;
    switch (request) {
    case FIONBIO:
        file->nonblock = *arg;
        return 0;
    case SIOCINQ: /* FIONREAD too */
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        return queued(host, file, request, arg);
    default:
        return -ENOTTY;
    }
}

static int pd_ioctl(void *userdata, int fd, unsigned long request, ...)
{
    struct nst_pd_host *host = userdata;
    struct nst_pd_file *file;
    va_list args;

    va_start(args, request);
    int *arg = va_arg(args, int *);
    va_end(args);
    nst_pd_enter(host);
    int err = nst_pd_socket_of(host, fd, &file);
    return (int)nst_pd_return(host, err ? err : control_socket(host, file, request, arg));
}

void nst_pd_fill_sockets(struct packetdrill_interface *ifc)
{
    ifc->socket = pd_socket;
    ifc->bind = pd_bind;
    ifc->listen = pd_listen;
    ifc->accept = pd_accept;
    ifc->connect = pd_connect;
    ifc->fcntl = pd_fcntl;
    ifc->ioctl = pd_ioctl;
    ifc->close = pd_close;
    ifc->shutdown = pd_shutdown;
}
