/* Who answers for a socket option: the kernel for the descriptor, the daemon for the socket. */
#ifndef NST_CLIENT_OPTIONS_H
#define NST_CLIENT_OPTIONS_H

enum nst_client_answers {
    NST_CLIENT_BY_DAEMON,
    NST_CLIENT_BY_KERNEL, /* it does the same for AF_UNIX sockets */
    NST_CLIENT_BY_BOTH,   /* set in both, asked of the kernel */
    NST_CLIENT_BY_US,     /* SO_DOMAIN, SO_PROTOCOL, TCP_NODELAY */
    NST_CLIENT_BY_NOBODY, /* not offered: `err` says how that is refused */
};

/* `*err` is 0, or -errno with BY_NOBODY. */
enum nst_client_answers nst_client_option(int level, int option, int *err);

#endif
