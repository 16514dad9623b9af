/* Where the program finds itself: a network namespace with nothing of the host's in it, where an
 * interface shows the stack's address to programs that look for one; and the stack's name servers
 * in /etc/resolv.conf. */
#ifndef NST_RUN_PLACE_H
#define NST_RUN_PLACE_H

#include "core/base/addr.h"

#define NST_RUN_WHY 256

struct nst_run_place {
    char device[16];        /* the stack's own, whose name the interface gets */
    struct nst_prefix addr; /* of the stack */
    struct nst_addr gateway;
    char resolv[512]; /* what resolv.conf is to say; empty: the host's own stays */
};

/* Moves this process into it. Root keeps all rights over files; others become themselves in a user
 * namespace. 0; or -errno with nothing changed, and a sentence in `why`. What is only missed (no
 * interface could be made, no resolv.conf) is said in `why` too, empty otherwise. */
int nst_run_place_enter(const struct nst_run_place *place, char why[NST_RUN_WHY]);

#endif
