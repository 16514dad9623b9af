/* Hints: options that are set and read back, and change nothing.
 *
 * What a program writes reaches the stack as a stream of bytes, of which nobody knows where one
 * write ended: so nothing ever waits for more (TCP_NODELAY), or is made to (TCP_CORK). Servers set
 * both for each request. What they set stands with the descriptor itself, in a number that the
 * kernel keeps for every socket and that means nothing to AF_UNIX: so neither the daemon nor a trap
 * is needed, and fork, dup and descriptors that are passed on keep it. */
#ifndef NST_CLIENT_HINTS_H
#define NST_CLIENT_HINTS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether it is one of IPPROTO_TCP. */
bool nst_client_is_hint(int level, int option);

/* setsockopt() and getsockopt() of a stream socket's hint. 0 or -errno: -EINVAL, -EBADF. */
int nst_client_set_hint(int fd, int option, const void *value, socklen_t len);
int nst_client_get_hint(int fd, int option, void *value, socklen_t *len);

/* What the descriptor of an accepted connection has from its listener's: hints, and SO_OOBINLINE.
 */
void nst_client_inherit(int fd, int listener);

#endif
