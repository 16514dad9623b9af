/* What the descriptor itself tells and does, without asking the daemon, and without any state;
 * beside nst_client_getpeername(), nst_client_sendmsg() and nst_client_recvmsg() of
 * netstack/client.h, which do no more either and wait only if `flags` and the descriptor let them.
 *
 * All calls work on the program's descriptor or any dup of it. */
#ifndef NST_CLIENT_LOCAL_H
#define NST_CLIENT_LOCAL_H

#include "ipc/name.h"
#include "netstack/client.h"

#include <netinet/in.h>
#include <time.h>

/* Which socket of the stack it is. -ENOTSOCK: it is none; leave it to the kernel. */
int nst_client_identify(int fd, struct nst_ipc_sockname *out);

/* getsockname(): -EAGAIN if it is known to the daemon only (there is no connection): submit
 * NST_CLIENT_GETSOCKNAME. */
int nst_client_sockname(int fd, struct sockaddr *addr, socklen_t *len);

/* What is to be done with a descriptor that accept() gave, before the program uses it: the sentinel
 * goes in (without it, a reset that comes before the program has sent anything reads as the end of
 * the data), and it gets its listener's hints. Both only once: `listener` is -1 when that was done
 * before. Then its peer's name; `addr` may be NULL. 0 or -errno, as accept() would fail. */
int nst_client_accepted(int fd, int listener, struct sockaddr *addr, socklen_t *len);

/* Whether it can be a timeout. */
static inline bool nst_client_is_time(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1000000000;
}

/* Appends a control message to those that msg->msg_control, `room` bytes, holds already, or notes
 * MSG_CTRUNC. */
void nst_client_put_control(struct msghdr *msg, size_t room, int level, int type, const void *value,
                            size_t size);

/* An address of AF_INET to ours, and back. -EINVAL (too short), -EAFNOSUPPORT. The other way,
 * `*len` is the room, and then the whole length, as for the system calls. */
int nst_client_addr_read(struct nst_sockaddr *out, const struct sockaddr *addr, socklen_t len);
void nst_client_addr_write(const struct nst_sockaddr *from, struct sockaddr *addr, socklen_t *len);

#endif
