/* From `netstack run` to the program: it becomes the program, in place, with a supervisor beside
 * it.
 *
 * The process keeps its id, its parent, its terminal and its process group, so signals, job control
 * and exit codes need no help: they are the program's own. The supervisor is nobody's child, in a
 * session of its own, and lives until the last process under the filter has ended. */
#ifndef NST_RUN_LAUNCH_H
#define NST_RUN_LAUNCH_H

#include "run/place.h"

struct nst_run_launch {
    const char *instance;              /* whose sockets */
    const struct nst_run_place *place; /* NULL: the program stays where we are */
    const char *shim;                  /* to be preloaded; NULL: none */
    bool host_loopback;                /* 127.0.0.0/8 is the host's */
    bool verbose;
    char *const *argv; /* the program */
};

/* Exit codes as env(1) has them: 125 we failed, 126 it can't be run, 127 it isn't there. */
enum {
    NST_RUN_FAILED = 125,
    NST_RUN_CANNOT = 126,
    NST_RUN_MISSING = 127,
};

/* Doesn't return if all goes well; else the exit code, after a complaint. */
int nst_run_launch(const struct nst_run_launch *launch);

/* Prints "netstack: sentence" on stderr, returns `status`. */
__attribute__((format(printf, 2, 3))) int nst_run_fail(int status, const char *format, ...);

#endif
