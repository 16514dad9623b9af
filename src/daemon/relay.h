/* Data between a connection of the stack and the descriptor that a program has for it. */
#ifndef NST_DAEMON_RELAY_H
#define NST_DAEMON_RELAY_H

#include "daemon/account.h"
#include "daemon/daemon.h"

/* How much either end may hold of what the other has not read. */
#define NST_RELAY_BUFFER (256 * 1024)

struct nst_relay {
    struct nst_queue *queue;
    struct nst_share *share; /* what waits in both is counted here */
    nst_sock sock;           /* its owner's; 0: not started */
    int fd;                  /* our end */
    struct nst_loop_fd end;
    struct nst_loop_timer retry; /* after there was no memory */
    bool sentinel;               /* the first byte in the socket has been sent already */
    bool amid;                   /* what is in the socket is the rest of more */
    bool dry;                    /* all was sent that was in the socket when it was last readable */
    bool maybe_marked;           /* ... or is a mark: nothing was read yet */
    bool urgent;                 /* something urgent may be among what the connection received */
    bool no_more, gone, broken;  /* RDHUP, HUP and ERR were seen */
    bool fin_sent, eof_given;
    bool held; /* the connection's window, for the user has too much waiting */
    /* Called last: `err` is 0 when both directions have ended in order, else why not (-errno). The
     * owner ends the relay and the connection. */
    void (*ended)(struct nst_relay *relay, int err);
    /* More waits than the user may have: the owner sees to nst_account_recount(). */
    void (*crowded)(struct nst_relay *relay);
};

enum nst_relay_start {
    NST_RELAY_FILLED,   /* one byte is unread that no program sent: the sentinel */
    NST_RELAY_ACCEPTED, /* such a byte may come, with a mark */
};

/* Watches `fd`, one end of a stream socket pair, for its other end's close; takes it over, whatever
 * comes of it. `*relay` is zero but for what is called. 0 or -errno. */
int nst_relay_init_take(struct nst_relay *relay, struct nst_queue *q, struct nst_share *share,
                        int fd);

/* Begins to carry; may end it. */
void nst_relay_start(struct nst_relay *relay, nst_sock sock, enum nst_relay_start how);

/* The connection has become ready (enum nst_ready); may end it. */
void nst_relay_ready(struct nst_relay *relay, uint32_t ready);

/* Lets go of the loop: the relay does nothing more until its end. */
void nst_relay_halt(struct nst_relay *relay);

/* Closes our end: the program sees a reset, unless the relay ended in order. */
void nst_relay_fini(struct nst_relay *relay);

#endif
