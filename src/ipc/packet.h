/* One message through a SOCK_SEQPACKET socket, in or out. Never blocks, never raises SIGPIPE. */
#ifndef NST_IPC_PACKET_H
#define NST_IPC_PACKET_H

#include "ipc/proto.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The pieces that a body may be gathered from: a fixed part and a packet's slices. */
#define NST_IPC_PARTS (1 + NST_PKT_SLICES)

/* A received message; the body lies in the receiver's buffer. */
struct nst_ipc_msg {
    struct nst_ipc_header header;
    const uint8_t *body;
};

/* The length of the body that the parts make. */
static inline size_t nst_ipc_parts_len(const struct nst_slice *parts, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    return len;
}

/* Sends a message whose body is the `n` parts in order, with a copy of the descriptor `passed`
 * unless that is -1. -EAGAIN when there is no room now, -EMSGSIZE (nothing sent), -EINVAL (too many
 * parts), or what sendmsg() says. */
int nst_ipc_packet_pass(int fd, uint16_t type, uint32_t id, const struct nst_slice *parts, size_t n,
                        int passed);

static inline int nst_ipc_packet_send(int fd, uint16_t type, uint32_t id,
                                      const struct nst_slice *parts, size_t n)
{
    return nst_ipc_packet_pass(fd, type, id, parts, n, -1);
}

/* Receives a message into `buf` of NST_IPC_MSG_MAX bytes. -EAGAIN when there is none; -ECONNRESET
 * when the other end has closed; -EPROTO or -EPROTONOSUPPORT (`out->header.version` tells the
 * version) for what is no message of ours; or what recvmsg() says.
 *
 * With `passed`, a message may bring one descriptor, the caller's then; *passed is -1 without one.
 * With NULL none is expected. What is not expected is closed, and makes it -EPROTO. */
int nst_ipc_packet_recv(int fd, uint8_t *buf, struct nst_ipc_msg *out, int *passed);

/* Receives from a connected stream socket as recvmsg() does, and gets rid of descriptors that may
 * come along. Bytes, 0 at the end, or -errno. */
ssize_t nst_ipc_stream_recv(int fd, struct iovec *iov, size_t n, int flags);

/* Receives a datagram as recvmsg() does, without waiting, and gets rid of descriptors that may come
 * along; `msg` has no room for control messages. Bytes or -errno. */
ssize_t nst_ipc_datagram_take(int fd, struct msghdr *msg);

/* Whether the next byte of a stream socket came with a descriptor, which is got rid of: the mark of
 * a byte that no program sent. -EAGAIN without a byte, or -errno. */
int nst_ipc_stream_marked(int fd);

/* Sends one such byte. 0 or -errno. */
int nst_ipc_stream_mark(int fd);

/* Closes the socket, without being held up by what the other end may have sent. */
void nst_ipc_packet_close(int fd);

/* The same for a connected stream, of which what is unread stays so: the other end gets ECONNRESET
 * for that. And for a datagram socket. */
void nst_ipc_stream_close(int fd);
void nst_ipc_datagram_close(int fd);

#endif
