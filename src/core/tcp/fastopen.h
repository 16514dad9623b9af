/* TCP Fast Open's state; what it does is in fastopen.c. */
#ifndef NST_TCP_FASTOPEN_H
#define NST_TCP_FASTOPEN_H

#include "core/base/list.h"
#include "core/wire/tcp.h"

struct nst_tcp_listener;

/* What is left of a handshake that data went ahead of, or wants to. */
struct nst_tcp_fastopen {
    struct nst_list place;             /* server: on its listener's list */
    struct nst_tcp_listener *listener; /* server: NULL when it is gone */
    struct nst_tcp_cookie cookie;      /* client: to send; server: to give */
    uint32_t sent;                     /* client: bytes in the SYN */
    uint16_t mss;                      /* client: that the server had last time; 0: not known */
    bool client;
    bool request : 1;    /* client: the SYN bears the option */
    bool waits : 1;      /* client: the SYN waits for the owner's first data */
    bool tried : 1;      /* client: a SYN went out that is more than usual */
    bool synack_due : 1; /* server */
};

#endif
