/* What the descriptor itself tells and does, without asking the daemon, and without any state.
 *
 * All calls work on the program's descriptor or any dup of it. None of them waits, unless the flags
 * given to sendmsg() and recvmsg() let it. */
#ifndef NST_CLIENT_LOCAL_H
#define NST_CLIENT_LOCAL_H

#include "ipc/name.h"

/* Which socket of the stack it is. -ENOTSOCK: it is none; leave it to the kernel. */
int nst_client_identify(int fd, struct nst_ipc_sockname *out);

/* getpeername() and getsockname(): -ENOTCONN if the peer is not known. -EAGAIN if the local name is
 * known to the daemon only (no connection): submit NST_CLIENT_GETSOCKNAME. `*len` is the room, and
 * then the length of the name, as for the system calls. */
int nst_client_peername(int fd, struct sockaddr *addr, socklen_t *len);
int nst_client_sockname(int fd, struct sockaddr *addr, socklen_t *len);

/* What is to be done with a descriptor that accept() gave, before the program uses it: the sentinel
 * goes in (without it, a reset that comes before the program has sent anything reads as the end of
 * the data). Then its peer's name; `addr` may be NULL. 0 or -errno as accept() would fail. */
int nst_client_accepted(int fd, struct sockaddr *addr, socklen_t *len);

/* sendmsg(), recvmsg() with the names, IP_PKTINFO, IP_TTL and IP_TOS of the socket's family, for
 * datagram sockets (streams need none of it). `flags` as for the system calls: MSG_DONTWAIT for
 * supervisors. Return the count or -errno; -EAGAIN: poll the descriptor. The messages' memory is
 * this process's. */
ssize_t nst_client_sendmsg_at(int fd, const struct msghdr *msg, int flags);
ssize_t nst_client_recvmsg_at(int fd, struct msghdr *msg, int flags);

#endif
