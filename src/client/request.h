/* Requests: what a program asks of its sockets that the kernel can't answer, without waiting.
 *
 * A socket of the stack is a real descriptor (ipc/name.h). Data, readiness, dup, fork, accept and
 * close are the kernel's business. This is the rest: a *request* goes to the daemon, and its `done`
 * is called from the loop when the answer is there. What can be said without the daemon is in
 * client/local.h.
 *
 * The daemon is never given a descriptor. Whatever has to be done to the program's own is done
 * here, by whoever holds it or a dup of it: listen(), connect() to the daemon's end, options.
 *
 *     struct nst_client_conn *conn;
 *     nst_client_conn_new(&conn, loop, NULL);
 *
 *     r->op = NST_CLIENT_CONNECT, r->fd = fd, r->addr = ..., r->done = on_done;
 *     nst_client_submit(conn, r);       on_done(r): r->result is what connect() would give
 *
 * The connection to the daemon is made with the first request, and again when the daemon was
 * restarted: what was asked of the old one, and all its sockets, give -ENETDOWN. */
#ifndef NST_CLIENT_REQUEST_H
#define NST_CLIENT_REQUEST_H

#include "core/base/list.h"
#include "ipc/name.h"
#include "netstack/loop.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/types.h>

struct nst_client_conn;
struct nst_client_request;

typedef void nst_client_done(struct nst_client_request *request);

/* What follows on an answer: `err` is 0 or -errno; `passed` is a descriptor or -1. */
struct json_t;
typedef void nst_client_step(struct nst_client_request *request, int err,
                             const struct json_t *answer, int passed);

enum nst_client_op {
    NST_CLIENT_SOCKET,      /* domain, type, protocol, pid -> result is a descriptor, yours */
    NST_CLIENT_BIND,        /* fd, addr, addrlen */
    NST_CLIENT_CONNECT,     /* fd, addr, addrlen, nonblock */
    NST_CLIENT_LISTEN,      /* fd, backlog */
    NST_CLIENT_GETSOCKNAME, /* fd -> addr, addrlen */
    NST_CLIENT_GETPEERNAME, /* fd -> addr, addrlen */
    NST_CLIENT_SETSOCKOPT,  /* fd, level, option, value, value_len */
    NST_CLIENT_GETSOCKOPT,  /* fd, level, option, value, value_len -> value, value_len */
    NST_CLIENT_ERROR,       /* fd -> error, of what was sent to addr: value, value_len; -EAGAIN */
    NST_CLIENT_SWEEP,       /* a process has ended: its sockets are to be found dead soon */
};

#define NST_CLIENT_VALUE_MAX 512 /* bytes of an option, or of what was sent */

/* What recvmsg(MSG_ERRQUEUE) tells with IP_RECVERR. */
struct nst_client_error {
    struct sock_extended_err what;
    struct sockaddr_in offender;
};

/* Fill in what the operation takes, `done`, and zero the rest. It must stay where it is, and the
 * descriptor must stay open, until `done` is called or the request is cancelled. */
struct nst_client_request {
    enum nst_client_op op;
    int fd;                     /* the program's, or any dup of it; it is borrowed */
    int domain, type, protocol; /* type: with SOCK_NONBLOCK and SOCK_CLOEXEC */
    pid_t pid;                  /* whose socket it is, for people to see; 0: this process's */
    struct sockaddr_storage addr;
    socklen_t addrlen;
    bool nonblock; /* connect: -EINPROGRESS at once; otherwise it takes as long as it takes */
    int backlog;
    int level, option;
    uint8_t value[NST_CLIENT_VALUE_MAX];
    socklen_t value_len; /* getsockopt: the room on the way in, what there is on the way out */

    struct nst_client_error error;

    nst_client_done *done;
    void *arg;  /* yours */
    int result; /* 0, or the descriptor, or -errno: what the system call would give */

    /* The connection's own: */
    struct nst_client_conn *conn; /* NULL: idle, or done */
    struct nst_list node;
    struct nst_loop_task finish;
    nst_client_step *step;
    uint32_t call; /* that awaits an answer; 0: none */
    struct nst_ipc_sockname name;
    int kernels_error; /* what SO_ERROR of the descriptor was */
};

/* Makes a connection to the instance `name` (NULL: see nst_ipc_name()), for requests in `loop`.
 * Does not connect yet. -ENOMEM, -EINVAL. */
int nst_client_conn_new(struct nst_client_conn **out, struct nst_loop *loop, const char *name);

/* Ends it; requests that are not done never will be. The sockets live on. NULL is fine. */
void nst_client_conn_free(struct nst_client_conn *conn);

/* Begins the operation. `done` is called once, from the loop, never from inside this call; it may
 * submit again, and free the request.
 *
 * Each may be repeated after a cancellation at any moment, as a system call that a signal
 * interrupted is: a connect() that goes on is waited for again (-EALREADY with `nonblock`), and
 * gives 0 once, then -EISCONN. The errors are those of the system calls; beside them -ENETDOWN (no
 * daemon, or not the one that the socket is from) and -ENOTSOCK (not a socket of ours). */
void nst_client_submit(struct nst_client_conn *conn, struct nst_client_request *request);

/* Takes the request back, wherever it is: `done` is not called any more, and the descriptor may be
 * closed. What it set going goes on. Does nothing to one that is idle. */
void nst_client_cancel(struct nst_client_request *request);

#endif
