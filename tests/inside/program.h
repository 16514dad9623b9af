/* A program with sockets of an inside daemon: what the client library and the system do for it, one
 * call after the other. */
#ifndef NST_TESTS_PROGRAM_H
#define NST_TESTS_PROGRAM_H

#include "client/request.h"
#include "inside.h"

struct program {
    struct inside *in;
    uid_t uid;
    struct nst_client_conn *conn;
};

void program_start(struct program *p, struct inside *in, uid_t uid);

/* Its descriptors stay open: they are the test's. */
void program_end(struct program *p);

/* Submits the request and turns the loop: what it gives, or -EINPROGRESS if it is not done (it is
 * cancelled then). */
int program_do(struct program *p, struct nst_client_request *r);

/* The system calls: a descriptor, 0 or -errno. */
int program_socket(struct program *p, int type);
int program_bind(struct program *p, int fd, const char *addr, uint16_t port);
int program_listen(struct program *p, int fd);
int program_connect(struct program *p, int fd, const char *addr, uint16_t port);
int program_setsockopt(struct program *p, int fd, int level, int option, int value);
int program_error(struct program *p, int fd); /* SO_ERROR, positive */

/* A listener on INSIDE_ADDR and this port, which must work. */
int program_listener(struct program *p, uint16_t port);

/* What accept() gives, of the library. */
int program_accept(struct program *p, int fd);

/* A connection between two of the program's descriptors, through the stack; with a listener at that
 * port, which is closed again. */
void program_pair(struct program *p, uint16_t port, int ends[2]);

#endif
