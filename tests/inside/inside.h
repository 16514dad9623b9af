/* A daemon inside the test's own process: its server, its stack, its lent sockets, on a loop that
 * the test turns, and nothing of the host. Its network is a socket, which the test may read frames
 * from and write them to, bare IP; connections to the stack's own addresses don't come out there.
 *
 * Time stands still but for inside_pass(). Clients are whom the test says. Allocations fail when
 * told to. That takes the linker's --wrap of what inside.c defines as __wrap_...: `inside_dep` of
 * meson.build has it. */
#ifndef NST_TESTS_INSIDE_H
#define NST_TESTS_INSIDE_H

#include "daemon/lent.h"
#include "io/device_internal.h"

#define INSIDE_ADDR     "10.0.0.2" /* the stack's, and ... */
#define INSIDE_ADDR2    "10.0.0.3"
#define INSIDE_STRANGER 4242u /* a user who owns nothing, and has no section */

struct inside {
    struct nst_daemon d;
    struct nst_device device;
    int network;   /* the other end of the device */
    char path[64]; /* of its socket */
};

/* Starts one; `config` gives persons and their number, NULL: none. */
void inside_start(struct inside *in, const struct nst_up_config *config);

/* Ends it. Aborts if sockets or memory of the stack are left. -1: descriptors are. */
int inside_stop(struct inside *in);

/* Turns the loop until all that is under way has been done. */
void inside_turn(struct inside *in);

/* Lets time pass, with a turn now and then. */
void inside_pass(struct inside *in, uint64_t ns);

/* Whom the daemon takes for its client, from now on; (uid_t)-1: who it is. */
void inside_be(uid_t uid);

/* Lets the `n`-th allocation from now fail, from 1; 0: none. */
void inside_fail_in(uint64_t n);

/* Whether it did. */
bool inside_has_failed(void);

/* Descriptors that this process has open. */
unsigned inside_descriptors(void);

#endif
