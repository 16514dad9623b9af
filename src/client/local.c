#include "client/local.h"

#include "client/hints.h"
#include "core/base/bytes.h"
#include "ipc/packet.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PIECES       64
#define DATAGRAM_MAX 65507

/* ---- Addresses ------------------------------------------------------------------------------- */

int nst_client_addr_read(struct nst_sockaddr *out, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;

    *out = (struct nst_sockaddr){0};
    if (len < sizeof in)
        return -EINVAL;
    memcpy(&in, addr, sizeof in);
    if (in.sin_family != AF_INET)
        return -EAFNOSUPPORT;
    out->port = ntohs(in.sin_port);
    if (in.sin_addr.s_addr != INADDR_ANY) {
        out->addr.family = NST_AF_INET;
        memcpy(out->addr.bytes, &in.sin_addr, sizeof in.sin_addr);
    }
    return 0;
}

void nst_client_addr_write(const struct nst_sockaddr *from, struct sockaddr *addr, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(from->port)};

    memcpy(&in.sin_addr, from->addr.bytes, sizeof in.sin_addr);
    if (addr)
        memcpy(addr, &in, nst_min(*len, sizeof in));
    if (len)
        *len = sizeof in;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static int read_name(int (*get)(int, struct sockaddr *, socklen_t *), int fd,
                     struct nst_ipc_sockname *out)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof addr;

    if (get(fd, (struct sockaddr *)&addr, &len) != 0)
        return -errno;
    return nst_ipc_name_parse(out, &addr, len);
}

static int own_name(int fd, struct sockaddr *addr, socklen_t *len)
{
    return getsockname(fd, addr, len);
}

static int far_name(int fd, struct sockaddr *addr, socklen_t *len)
{
    return getpeername(fd, addr, len);
}

/* What it is connected to goes first: its own name is that of its listener, if it was accepted. */
int nst_client_identify(int fd, struct nst_ipc_sockname *out)
{
    int err = read_name(far_name, fd, out);

    if (err == -ENOTCONN)
        err = read_name(own_name, fd, out);
    return err == 0 || err == -EBADF ? err : -ENOTSOCK;
}

/* As the system calls do it. */
static int put_name(const struct nst_sockaddr *name, struct sockaddr *addr, socklen_t *len)
{
    if (!len || (!addr && *len > 0))
        return -EFAULT;
    if (*len > INT32_MAX)
        return -EINVAL;
    nst_client_addr_write(name, addr, len);
    return 0;
}

/* A connection that has failed or ended has no peer. */
static bool is_over(int fd, const struct nst_ipc_sockname *name)
{
    struct pollfd pfd = {.fd = fd};

    return name->protocol == IPPROTO_TCP && poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP);
}

int nst_client_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct nst_ipc_sockname name;
    int err = nst_client_identify(fd, &name);

    if (err)
        return err;
    if (name.kind != NST_IPC_NAME_END || is_over(fd, &name))
        return -ENOTCONN;
    return put_name(&name.peer, addr, len);
}

int nst_client_sockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct nst_ipc_sockname name;
    int err = nst_client_identify(fd, &name);

    if (err)
        return err;
    if (name.kind != NST_IPC_NAME_END)
        return -EAGAIN;
    return put_name(&name.local, addr, len);
}

/* ---- Accepting ------------------------------------------------------------------------------- */

int nst_client_accepted(int fd, int listener, struct sockaddr *addr, socklen_t *len)
{
    struct nst_ipc_sockname name;
    int err = nst_client_identify(fd, &name);

    if (err || name.kind != NST_IPC_NAME_END)
        return -ECONNABORTED; /* somebody else came in */
    if (listener >= 0) {
        (void)nst_ipc_stream_mark(fd); /* it fails if the connection has ended already */
        nst_client_inherit(fd, listener);
    }
    return addr ? put_name(&name.peer, addr, len) : 0;
}

/* ---- Sending datagrams ----------------------------------------------------------------------- */

static struct nst_addr addr_of(struct in_addr in)
{
    struct nst_addr addr = {0};

    if (in.s_addr != INADDR_ANY) {
        addr.family = NST_AF_INET;
        memcpy(addr.bytes, &in, sizeof in);
    }
    return addr;
}

/* Reads one control message. */
static int read_control(struct nst_ipc_send *out, const struct cmsghdr *c)
{
    struct in_pktinfo info;
    int number = 0;

    if (c->cmsg_level != IPPROTO_IP)
        return c->cmsg_level == SOL_SOCKET ? -EINVAL : 0;
    if (c->cmsg_type == IP_PKTINFO && c->cmsg_len == CMSG_LEN(sizeof info)) {
        memcpy(&info, CMSG_DATA(c), sizeof info);
        out->from.addr = addr_of(info.ipi_spec_dst);
        out->from.link = nst_ipc_link(info.ipi_ifindex);
        return 0;
    }
    if (c->cmsg_type == IP_TOS && c->cmsg_len == CMSG_LEN(1))
        number = *CMSG_DATA(c);
    else if (c->cmsg_len == CMSG_LEN(sizeof number))
        memcpy(&number, CMSG_DATA(c), sizeof number);
    else
        return -EINVAL;
    if (c->cmsg_type == IP_TTL && number >= 1 && number <= UINT8_MAX)
        out->ttl = (uint8_t)number;
    else if (c->cmsg_type == IP_TOS && number >= 0 && number <= UINT8_MAX)
        out->tos = (int16_t)number;
    else
        return -EINVAL;
    return 0;
}

/* What stands before the datagram. */
static int read_header(struct nst_ipc_send *out, const struct nst_ipc_sockname *name,
                       const struct msghdr *msg)
{
    struct msghdr copy = *msg; /* CMSG_NXTHDR() wants one that is not const */
    int err = 0;

    *out = (struct nst_ipc_send){.to = name->peer, .tos = -1};
    if (msg->msg_name)
        err = nst_client_addr_read(&out->to, msg->msg_name, msg->msg_namelen);
    else if (name->kind != NST_IPC_NAME_END)
        err = -EDESTADDRREQ;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && !err; c = CMSG_NXTHDR(&copy, c))
        err = read_control(out, c);
    if (!err && name->protocol == IPPROTO_UDP && out->to.port == 0)
        err = -EINVAL;
    return err;
}

/* What to make of errno after a call on a datagram socket. The kernel's word for an error that the
 * daemon gave it (lentdgram.c) is not the network's. */
static ssize_t why(void)
{
    return errno == ECONNRESET ? -ECONNREFUSED : -errno;
}

/* The header, then the message's pieces, to the socket's sink. */
static ssize_t send_with_header(int fd, const struct nst_ipc_sockname *name,
                                const struct msghdr *msg, int flags)
{
    const struct nst_ipc_sockname sink = {
        .kind = NST_IPC_NAME_SINK, .protocol = name->protocol, .token = name->token};
    uint8_t header[NST_IPC_SEND_HLEN];
    struct iovec iov[1 + PIECES] = {{header, sizeof header}};
    struct nst_ipc_send send;
    struct sockaddr_un to;
    size_t size = 0;
    int err = read_header(&send, name, msg);

    if (err)
        return err;
    if (msg->msg_iovlen > PIECES)
        return -EMSGSIZE;
    for (size_t i = 0; i < msg->msg_iovlen; size += msg->msg_iov[i++].iov_len)
        iov[1 + i] = msg->msg_iov[i];
    if (size > DATAGRAM_MAX)
        return -EMSGSIZE;
    nst_ipc_send_emit(&send, header);
    const struct msghdr out = {.msg_name = &to,
                               .msg_namelen = nst_ipc_name_emit(&sink, &to),
                               .msg_iov = iov,
                               .msg_iovlen = 1 + msg->msg_iovlen};
    ssize_t sent = sendmsg(fd, &out, flags);
    if (sent < 0)
        return errno == ECONNREFUSED || errno == ENOENT ? -ENETDOWN : why();
    return sent - (ssize_t)sizeof header;
}

ssize_t nst_client_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct nst_ipc_sockname name;
    int err = nst_client_identify(fd, &name);

    if (err)
        return err;
    bool bare = name.kind == NST_IPC_NAME_END && !msg->msg_name && msg->msg_controllen == 0;
    if (name.protocol != IPPROTO_TCP && !bare)
        return send_with_header(fd, &name, msg, flags);
    const struct msghdr plain = {.msg_iov = msg->msg_iov, .msg_iovlen = msg->msg_iovlen};
    ssize_t sent = sendmsg(fd, &plain, flags);
    if (sent < 0)
        return name.protocol == IPPROTO_TCP ? -errno : why();
    return sent;
}

ssize_t nst_client_sendto(int fd, const void *data, size_t size, int flags,
                          const struct sockaddr *addr, socklen_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, size};
    const struct msghdr msg = {.msg_name = (void *)(uintptr_t)addr,
                               .msg_namelen = addr ? len : 0,
                               .msg_iov = &iov,
                               .msg_iovlen = 1};

    return nst_client_sendmsg(fd, &msg, flags);
}

/* ---- Receiving datagrams --------------------------------------------------------------------- */

void nst_client_put_control(struct msghdr *msg, size_t room, int level, int type, const void *value,
                            size_t size)
{
    size_t space = CMSG_SPACE(size);
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};

    if (space > room - msg->msg_controllen) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    uint8_t *p = (uint8_t *)msg->msg_control + msg->msg_controllen;
    memset(p, 0, space);
    memcpy(p, &head, sizeof head);
    memcpy(p + CMSG_LEN(0), value, size);
    msg->msg_controllen += space;
}

/* What the program asked to be told is what the name tells. */
static void put_controls(struct msghdr *msg, size_t room, const struct nst_ipc_sockname *name)
{
    struct in_pktinfo info = {.ipi_ifindex = nst_ipc_ifindex(name->local.link)};
    int ttl = name->ttl;

    memcpy(&info.ipi_addr, name->local.addr.bytes, sizeof info.ipi_addr);
    info.ipi_spec_dst = info.ipi_addr;
    if (name->flags & NST_IPC_TELL_PKTINFO)
        nst_client_put_control(msg, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    if (name->flags & NST_IPC_TELL_TTL)
        nst_client_put_control(msg, room, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    if (name->flags & NST_IPC_TELL_TOS)
        nst_client_put_control(msg, room, IPPROTO_IP, IP_TOS, &name->tos, sizeof name->tos);
}

/* The kernel tells itself when a datagram arrived (SO_TIMESTAMP); nothing else is passed on. */
static void put_times(struct msghdr *msg, size_t room, struct msghdr *bare)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(bare); c; c = CMSG_NXTHDR(bare, c))
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type == SCM_TIMESTAMP || c->cmsg_type == SCM_TIMESTAMPNS))
            nst_client_put_control(msg, room, SOL_SOCKET, c->cmsg_type, CMSG_DATA(c),
                                   c->cmsg_len - CMSG_LEN(0));
}

ssize_t nst_client_recvmsg(int fd, struct msghdr *msg, int flags)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
    struct sockaddr_un from = {0};
    struct nst_ipc_sockname name = {0};
    size_t room = msg->msg_control ? msg->msg_controllen : 0;
    struct msghdr bare = {.msg_name = &from,
                          .msg_namelen = sizeof from,
                          .msg_iov = msg->msg_iov,
                          .msg_iovlen = msg->msg_iovlen};
    int err = nst_client_identify(fd, &name);

    if (!err && name.protocol != IPPROTO_TCP) {
        bare.msg_control = control;
        bare.msg_controllen = sizeof control;
    }
    ssize_t got = err ? err : recvmsg(fd, &bare, flags);

    if (got < 0)
        return err ? err : name.protocol == IPPROTO_TCP ? -errno : why();
    msg->msg_flags = bare.msg_flags & ~MSG_CTRUNC;
    msg->msg_controllen = 0;
    if (name.protocol == IPPROTO_TCP || nst_ipc_name_parse(&name, &from, bare.msg_namelen) != 0) {
        msg->msg_namelen = 0;
        return got;
    }
    if (msg->msg_name)
        nst_client_addr_write(&name.peer, msg->msg_name, &msg->msg_namelen);
    put_times(msg, room, &bare);
    put_controls(msg, room, &name);
    return got;
}

ssize_t nst_client_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *addr,
                            socklen_t *len)
{
    struct iovec iov = {data, size};
    struct msghdr msg = {
        .msg_name = addr, .msg_namelen = addr ? *len : 0, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got = nst_client_recvmsg(fd, &msg, flags);

    if (got >= 0 && addr)
        *len = msg.msg_namelen;
    return got;
}
