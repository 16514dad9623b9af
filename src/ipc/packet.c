/* Descriptors travel from the daemon to its clients only, and only where a client expects one.
 *
 * Those that nobody asked for are a danger. The last close of a TCP socket with SO_LINGER blocks
 * for as long as its owner pleased to set; so whoever may pass us one could stop the loop:
 * measured, by a discarded message, by closing a connection with unread messages, with or without a
 * buffer for descriptors. Linux 6.16 lets us refuse them (SO_PASSRIGHTS, see listen.c). Before
 * that, and where the mark of a stream is one, we take every descriptor in, disarm it, and close
 * it; and read a connection empty before it is closed, or at least look at all that is in it. */
#include "ipc/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SCM_FDS_MAX = 253 }; /* the kernel's limit in one message */

/* Where the descriptors of a message arrive. */
union rights {
    struct cmsghdr align;
    char space[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
};

/* Puts one descriptor into the message. */
static void attach(struct msghdr *msg, union rights *rights, int passed)
{
    rights->align = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof passed)};
    memcpy(CMSG_DATA(&rights->align), &passed, sizeof passed);
    msg->msg_control = rights;
    msg->msg_controllen = CMSG_SPACE(sizeof passed);
}

int nst_ipc_packet_pass(int fd, uint16_t type, uint32_t id, const struct nst_slice *parts, size_t n,
                        int passed)
{
    uint8_t bytes[NST_IPC_HLEN];
    struct iovec iov[1 + NST_IPC_PARTS] = {{bytes, sizeof bytes}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1 + n};
    size_t len = nst_ipc_parts_len(parts, n);
    union rights rights;

    if (n > NST_IPC_PARTS)
        return -EINVAL;
    if (len > NST_IPC_BODY_MAX)
        return -EMSGSIZE;
    struct nst_ipc_header header = {NST_IPC_VERSION, type, id, (uint32_t)len};
    nst_ipc_header_emit(&header, bytes);
    for (size_t i = 0; i < n; i++)
        iov[1 + i] = (struct iovec){parts[i].base, parts[i].len};
    if (passed >= 0)
        attach(&msg, &rights, passed);
    /* syscall: sendmsg */
    while (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static void close_disarmed(int fd)
{
    const struct linger off = {0};

    /* syscall: setsockopt */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off); /* fails for what is no socket */
    /* syscall: close */
    close(fd);
}

/* Closes the descriptors that came with a message, except the first `keep`, which go to `kept`.
 * Returns how many there were. */
static size_t take_rights(struct msghdr *msg, int *kept, size_t keep)
{
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < keep)
                kept[count] = fd;
            else
                close_disarmed(fd);
        }
    }
    return count;
}

/* Closes what came with a message that is none. */
static void forget(int *passed)
{
    if (!passed || *passed < 0)
        return;
    close_disarmed(*passed);
    *passed = -1;
}

/* One packet. Returns its length, 0 at the end, -EPROTO for one that was too long or came with
 * descriptors that weren't expected, or what recvmsg() says. One that came with a descriptor for
 * which this process has no room has come without. */
static ssize_t receive(int fd, void *buf, size_t size, int *passed)
{
    struct iovec iov = {buf, size};
    union rights rights;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights};
    size_t expected = passed ? 1 : 0;
    ssize_t got;

    if (passed)
        *passed = -1;
    do {
        msg.msg_controllen = sizeof rights;
        /* syscall: recvmsg */
        got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    size_t rights_taken = take_rights(&msg, passed, expected);
    bool no_room = passed && rights_taken == 0 && msg.msg_flags & MSG_CTRUNC;
    if (rights_taken <= expected && !(msg.msg_flags & MSG_TRUNC) &&
        (no_room || !(msg.msg_flags & MSG_CTRUNC)))
        return got;
    forget(passed);
    return -EPROTO;
}

/* What stands in the packet; it must be a message. */
static int parse(const uint8_t *buf, size_t len, struct nst_ipc_msg *out)
{
    out->body = buf + NST_IPC_HLEN;
    return nst_ipc_header_parse(&out->header, buf, len);
}

int nst_ipc_packet_recv(int fd, uint8_t *buf, struct nst_ipc_msg *out, int *passed)
{
    ssize_t got = receive(fd, buf, NST_IPC_MSG_MAX, passed);

    if (got < 0)
        return (int)got;
    /* The end, or an empty packet, which is no message and ends it as well. */
    int err = got ? parse(buf, (size_t)got, out) : -ECONNRESET;
    if (err)
        forget(passed);
    return err;
}

/* recvmsg() that gets rid of descriptors which may come along. */
static ssize_t receive_bare(int fd, struct msghdr *msg, int flags)
{
    union rights rights;
    ssize_t got;

    msg->msg_control = &rights;
    do {
        msg->msg_controllen = sizeof rights;
        got = recvmsg(fd, msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    take_rights(msg, NULL, 0);
    return got;
}

ssize_t nst_ipc_stream_recv(int fd, struct iovec *iov, size_t n, int flags)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};

    return receive_bare(fd, &msg, flags);
}

ssize_t nst_ipc_datagram_take(int fd, struct msghdr *msg)
{
    return receive_bare(fd, msg, 0);
}

int nst_ipc_stream_marked(int fd)
{
    char byte;
    struct iovec iov = {&byte, 1};
    union rights rights;
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t got = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got <= 0)
        return got < 0 ? -errno : -EAGAIN;
    /* Without a descriptor of our own left, the kernel says at least that there was one. */
    return take_rights(&msg, NULL, 0) > 0 || (msg.msg_flags & MSG_CTRUNC) != 0;
}

int nst_ipc_stream_mark(int fd)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union rights rights;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    attach(&msg, &rights, ends[0]);
    int err = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
    close(ends[0]);
    close(ends[1]);
    return err;
}

void nst_ipc_packet_close(int fd)
{
    uint8_t byte;
    ssize_t got;

    /* syscall: shutdown */
    shutdown(fd, SHUT_RDWR); /* what is queued now is all there will be */
    do
        got = receive(fd, &byte, sizeof byte, NULL);
    while (got > 0 || got == -EPROTO);
    close(fd);
}

void nst_ipc_stream_close(int fd)
{
    static char junk[64 * 1024];
    static const int begin = 0;
    struct iovec iov = {junk, sizeof junk};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    /* A descriptor that is peeked at is the one in the queue, and so disarms that. Each peek sees
     * what the one before has not, until there is nothing: a queue does not grow any more. */
    shutdown(fd, SHUT_RD);
    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &begin, sizeof begin);
    while (receive_bare(fd, &msg, MSG_PEEK) > 0)
        ;
    close(fd);
}

void nst_ipc_datagram_close(int fd)
{
    struct msghdr msg = {0};

    shutdown(fd, SHUT_RD);
    while (nst_ipc_datagram_take(fd, &msg) >= 0)
        ;
    close(fd);
}
