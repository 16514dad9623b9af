/* netstack/client.h: sockets of a running `netstack up`, as file descriptors.
 *
 *     struct nst_client *client;
 *     nst_client_open(&client, NULL);
 *     int fd = nst_client_socket(client, AF_INET, SOCK_STREAM, 0);
 *     nst_client_connect(client, fd, address, sizeof *address);
 *     write(fd, ...), poll(), epoll, dup(), fork(), sendfile(), close(fd)
 *
 * The calls are shaped like those of the system, and take and give the same structures, of AF_INET;
 * but they return 0 (or what there is to return) or a negative errno value. Data, readiness and
 * close() are the kernel's: a descriptor works wherever one does, also in a program that knows
 * nothing of this library, and it outlives the client.
 *
 * A client may be used by several threads at once; after fork(), both processes may go on with
 * it. None of the calls here waits for the network but connect(), which does so without holding up
 * other threads, and what recvmsg() and sendmsg() do by themselves.
 *
 * Errors beside those of the system calls: -ENETDOWN, no daemon is running, or the socket is of one
 * that has ended; -ENOTSOCK, the descriptor is no socket of a stack. */
#ifndef NETSTACK_CLIENT_H
#define NETSTACK_CLIENT_H

#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct nst_client;

/* A client of the instance `name`; NULL: $NETSTACK_NAME, or "default". The daemon need not run yet,
 * and may be restarted. -ENOMEM, -EINVAL (no such name can be), or that of a resource. */
int nst_client_open(struct nst_client **out, const char *name);

/* Ends it; its sockets go on. NULL is fine. */
void nst_client_close(struct nst_client *client);

/* socket(): AF_INET with SOCK_STREAM (TCP), or SOCK_DGRAM (UDP, or ICMP echo with IPPROTO_ICMP);
 * SOCK_NONBLOCK and SOCK_CLOEXEC. Returns the descriptor. */
int nst_client_socket(struct nst_client *client, int domain, int type, int protocol);

int nst_client_bind(struct nst_client *client, int fd, const struct sockaddr *addr, socklen_t len);
int nst_client_connect(struct nst_client *client, int fd, const struct sockaddr *addr,
                       socklen_t len);
int nst_client_listen(struct nst_client *client, int fd, int backlog);

/* accept4(); `addr` and `len` may be NULL. Other programs may use accept() itself. */
int nst_client_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags);

int nst_client_getsockname(struct nst_client *client, int fd, struct sockaddr *addr,
                           socklen_t *len);
int nst_client_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int nst_client_setsockopt(struct nst_client *client, int fd, int level, int option,
                          const void *value, socklen_t len);
int nst_client_getsockopt(struct nst_client *client, int fd, int level, int option, void *value,
                          socklen_t *len);

/* For datagram sockets, which have no other way to tell or be told an address. Control messages:
 * IP_PKTINFO, IP_TTL and IP_TOS both ways. */
ssize_t nst_client_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t nst_client_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t nst_client_sendto(int fd, const void *data, size_t size, int flags,
                          const struct sockaddr *addr, socklen_t len);
ssize_t nst_client_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *addr,
                            socklen_t *len);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
