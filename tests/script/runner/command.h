/* The lines that are no packets: set-up (setup.c), socket calls (sockets.c), and expectations about
 * state (state.c); here is what they share. */
#ifndef NST_SCRIPT_COMMAND_H
#define NST_SCRIPT_COMMAND_H

#include "world.h"

/* Runs the command in the words that are left. */
void command_run(struct world *w);

struct command {
    const char *name;
    void (*run)(struct world *w);
};

/* Runs the command of that name; false if the table has none. */
bool command_run_one(struct world *w, const struct command *table, size_t n, const char *name);

bool setup_run(struct world *w, const char *name);
bool sockets_run(struct world *w, const char *name);
bool state_run(struct world *w, const char *name);

/* What is TCP's own (tcp.c): a switch of the stack's, and expectations about connections. */
void tcp_config(struct world *w);
void tcp_expect_state(struct world *w);
void tcp_expect_flow(struct world *w);
void tcp_expect_number(struct world *w);

/* The line's end: `= NUMBER` or `= -ERROR`; without it, the call must not fail. */
void command_result(struct world *w, int64_t result);

/* `link NAME`, or the first link. */
const struct world_link *command_link(struct world *w);

/* PREFIX|default [via GATEWAY] [metric N] [link NAME] */
struct nst_route command_route(struct world *w);

/* The socket that the next word names. */
struct world_sock *command_named(struct world *w);
nst_sock command_sock(struct world *w);

/* Compares with the next word; `what` begins the failure. An address without a port means any. */
void command_check_sockaddr(struct world *w, const char *what, const struct nst_sockaddr *actual);
void command_check_number(struct world *w, const char *what, uint64_t actual);

#endif
