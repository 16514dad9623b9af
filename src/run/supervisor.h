/* The supervisor: a process beside a program that answers its trapped calls.
 *
 * Each trapped call is a struct nst_run_call, from the notification to the answer. Handlers (one
 * for each system call, in calls_*.c) read the caller's memory, ask the daemon or the descriptor,
 * and end the call with exactly one of the answers below. A call that can't be answered yet is
 * *parked*: on a request to the daemon, or on readiness of the descriptor. Nothing ever waits but
 * the loop.
 *
 * A signal may end a call at any moment: the kernel then forgets the notification, and the caller
 * sees EINTR, or makes the call again (SA_RESTART; or without any handler, when the process was
 * stopped or frozen and goes on). Every handler can therefore be begun again from the start, and
 * parked calls whose notification is gone are dropped: when their thread calls again, when what
 * they wait for comes, and in a sweep.
 *
 * But what the daemon was asked for is done, whoever waits for the answer: a socket is bound once,
 * an error told once. So a call that is made again goes on where it was, and has the answer if
 * that came meanwhile. The shim's calls have numbers, which tell that it is the same. Nor is it
 * certain that who was answered has heard it: when a signal comes at the same moment the kernel
 * takes the answer, and ends the call all the same. So the last answers are remembered.
 *
 * Without the shim it is a guess: a call that asks the daemon for what the same thread was
 * interrupted in asking for *takes up* that one. So does one that was given a descriptor and not
 * told. Until then the record stays, as long as its thread makes no other call (with a number: none
 * of the same kind, as a signal's handler may make others) and has the socket. */
#ifndef NST_RUN_SUPERVISOR_H
#define NST_RUN_SUPERVISOR_H

#include "client/local.h"
#include "client/request.h"
#include "run/target.h"

#include <linux/seccomp.h>

#define NST_RUN_ARGS 6

struct nst_run_supervisor;
struct nst_run_call;

typedef void nst_run_handler(struct nst_run_call *call);

struct nst_run_call {
    struct nst_run_supervisor *supervisor;
    struct nst_list node;   /* of the calls that are not answered yet */
    struct nst_list by_tid; /* of those in the same bucket */
    uint64_t id;            /* of the notification */
    pid_t tid;
    int nr;
    uint64_t args[NST_RUN_ARGS];
    int fd;                       /* a duplicate of argument 0; -1: none */
    int host_fd;                  /* what is to replace it (loopback.c); -1: nothing */
    size_t host_options;          /* how many options that one has been given */
    bool is_bound;                /* it is known to be, and so stays the stack's */
    struct nst_ipc_sockname name; /* whose socket it is */
    nst_run_handler *resume;      /* parked on the descriptor: what goes on then ... */
    unsigned events;              /* ... when it is ready for this */
    struct nst_list in_line;      /* of those who wait for descriptors */
    struct nst_loop_fd ready;
    struct nst_loop_timer timeout;
    int timeout_result;
    struct nst_client_request request;
    int given; /* the number of the descriptor that the caller was given; -1: none */
};

/* Answers the calls that come from `notify`, until no process is left that could call. Sockets are
 * those of the instance `name`, interfaces those that `place`, an Internet socket of the kernel's,
 * sees; with `host_loopback`, 127.0.0.0/8 is the kernel's. 0, or -errno when it can't even begin.
 */
int nst_run_supervise(int notify, int place, const char *name, bool host_loopback);

/* ---- For handlers: the answers; each ends the call ---- */

/* `result` is what the system call returns: a value, or -errno. */
void nst_run_call_return(struct nst_run_call *call, int64_t result);

/* Let the kernel do it: the descriptor is none of ours, or the kernel's own answer is right. */
void nst_run_call_continue(struct nst_run_call *call);

/* Gives the caller a descriptor and returns its number. Takes `fd` if it succeeds. Otherwise the
 * descriptor is still ours: the call has gone (-ENOENT), and has been ended; or it can't be given,
 * as when the caller has too many, which it was told. */
int nst_run_call_give(struct nst_run_call *call, int fd, bool cloexec);

/* Puts another file under the number that is argument 0; the call goes on. `fd` is borrowed.
 * -EBADF; -ENOENT: the call has gone. */
int nst_run_call_replace(struct nst_run_call *call, int fd);

/* ---- For handlers: parking ---- */

/* Whether somebody still waits for the answer. */
bool nst_run_call_stands(const struct nst_run_call *call);

/* Goes on with `resume` when the descriptor is ready for `events`. Of several calls that wait for
 * the same of the same socket, only the first is watched for, and the next when that is answered: a
 * thousand threads in accept() cost as little as one. If it takes longer than the
 * socket's timeout (SO_RCVTIMEO for NST_LOOP_IN, else SO_SNDTIMEO), the result is `late`. */
void nst_run_call_wait(struct nst_run_call *call, unsigned events, nst_run_handler *resume,
                       int late);

/* The result is `late` once the socket's timeout, named by its option, has passed. */
void nst_run_call_limit(struct nst_run_call *call, int option, int late);

/* Asks the daemon, or takes up what was asked; it is the last that is done with `call`, which may
 * be freed. call->request is filled in but for fd, pid and arg. `done` must ask nst_run_call_of()
 * whose it is, and end that call; it is called once more if the answer finds nobody, and the call
 * is made again. */
void nst_run_call_ask(struct nst_run_call *call, nst_client_done *done);
struct nst_run_call *nst_run_call_of(struct nst_client_request *request);

/* For SO_ERROR: the -errno that a connect() of the same thread and socket ended in after a signal
 * had ended the call; -EINPROGRESS: it has not ended. 0: there is none. It is told once. */
int nst_run_call_untold(const struct nst_run_call *call);

/* Whether the descriptor is in non-blocking mode. */
bool nst_run_call_nonblocking(const struct nst_run_call *call);

/* ---- For handlers: memory ---- */

/* Writes an address for the caller as the kernel does: `*to_len` is the room, and becomes the
 * length. -EFAULT, -EINVAL. */
int nst_run_call_put_name(struct nst_run_call *call, uint64_t to, uint64_t to_len,
                          const struct sockaddr_storage *addr, socklen_t len);

/* Reads an address of `len` bytes. -EFAULT, -EINVAL. */
int nst_run_call_get_name(struct nst_run_call *call, uint64_t from, uint64_t len,
                          struct sockaddr_storage *addr);

/* ---- Connections that were accepted for nobody ---- */

/* Keeps one for the next accept() on the listener, as long as the process of the thread that it
 * was accepted for lives: the call was given up meanwhile, or there was no place for it. Takes
 * `fd`. */
void nst_run_keep_take(struct nst_run_supervisor *supervisor, const struct nst_ipc_token *listener,
                       pid_t tid, int fd);

/* One that was kept for the listener, the caller's; -1: none. */
int nst_run_kept(struct nst_run_supervisor *supervisor, const struct nst_ipc_token *listener);

/* A socket of the kernel's, to be asked for interfaces. */
int nst_run_place_socket(const struct nst_run_supervisor *supervisor);

/* ---- The host's loopback (loopback.c) ---- */

bool nst_run_host_loopback(const struct nst_run_supervisor *supervisor);

/* Whether the call's socket, whose address is in the request, is to be the host's. */
bool nst_run_is_for_host(const struct nst_run_call *call);

/* Makes it the host's, and lets the kernel go on. */
void nst_run_pass_to_host(struct nst_run_call *call);

/* Takes the call, and returns true, if its socket is for datagrams and this one, for the address
 * `to` in the caller's memory, may have to go to the host's loopback. Then the socket is made the
 * host's, if nothing has bound it yet; or else `send` is called again, and this returns false. */
bool nst_run_divert(struct nst_run_call *call, uint64_t to, uint64_t to_len, nst_run_handler *send);

/* ---- The handlers ---- */

nst_run_handler nst_run_socket, nst_run_bind, nst_run_listen, nst_run_connect, nst_run_accept,
    nst_run_ioctl, nst_run_getsockname, nst_run_getpeername, nst_run_setsockopt, nst_run_getsockopt,
    nst_run_sendto, nst_run_recvfrom, nst_run_sendmsg, nst_run_recvmsg, nst_run_sendmmsg,
    nst_run_recvmmsg;

#endif
