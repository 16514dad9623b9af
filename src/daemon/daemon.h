/* `netstack up`: one process that owns a device, runs a stack on it, and serves it to others.
 *
 * up.c sets it up and takes it down; queue.c is the device and its stack; pump.c carries frames
 * between them; control.c answers calls; lent*.c lend sockets to programs, relay.c carries the data
 * of connections for them; sockets.c serves tools that want single messages; services.c serves the
 * small services; capture.c shows frames to clients; keeper.c undoes with rights what was done with
 * rights. Everything happens in the main thread's loop, and nothing in it waits.
 *
 * With several queues of the device, the others have a stack, a loop and a thread each, which carry
 * their share of the TCP connections: thread.h tells how they and the main thread get on,
 * exchange.h how frames come to the right one, which steer.h spares most of them. */
#ifndef NST_DAEMON_DAEMON_H
#define NST_DAEMON_DAEMON_H

#include "core/base/list.h"
#include "daemon/config.h"
#include "daemon/hostnet.h"
#include "daemon/nat.h"
#include "daemon/netlink.h"
#include "ipc/server.h"
#include "netstack/device.h"
#include "netstack/loop.h"

#define NST_PUMP_BATCH 64

struct nst_session;
struct nst_account;
struct nst_waiter;
struct nst_thread; /* thread.h */
struct nst_inbox;  /* exchange.h */

/* Frames between the device and the stack. */
struct nst_pump {
    struct nst_loop_fd fd;
    struct nst_loop_prepare prepare;
    struct nst_pkt *unsent[NST_PUMP_BATCH]; /* pulled, but the device was full */
    size_t nunsent;
};

/* What the main thread is to do about a queue of another: see thread.h. Its node must have been
 * initialised. */
struct nst_errand {
    struct nst_list node;
    void (*run)(struct nst_errand *errand);
};

/* A queue of the device, with a stack of its own and the loop that turns it. */
struct nst_queue {
    struct nst_daemon *daemon;
    unsigned index;
    struct nst_thread *thread; /* whose loop it is; NULL: the main thread's */
    struct nst_loop *loop;
    struct nst_device *device;
    struct nst_stack *stack;
    nst_link link;
    struct nst_pump pump;
    struct nst_inbox *inbox; /* NULL: there is one queue only */
    struct nst_capture *capture;
    struct nst_services *services;
    struct nst_errand gone; /* the device is */
};

/* What serves a socket of the stack: its address is the cookie of the socket's events. `ready` is
 * called for each; it may close any socket. */
struct nst_handler {
    void (*ready)(struct nst_handler *handler, uint32_t ready);
};

struct nst_daemon {
    struct nst_up_config config;
    struct nst_loop *loop;
    struct nst_queue queues[NST_UP_QUEUES];
    unsigned nqueues;
    struct nst_queue *home; /* the first: its loop is the main thread's, and all that is not spread
                               over the queues is there */
    bool steered;           /* the kernel knows which queue a connection is on */
    unsigned visits;        /* how many queues are being visited, see thread.h */
    unsigned next_queue;    /* for the next connection that a program begins */
    uint8_t spread_key[16];
    struct nst_hostnet *host;
    struct nst_nat *nat;
    struct nst_netlink_watch *watch;
    struct nst_loop_fd watch_fd;
    struct nst_ipc_server *server;
    struct nst_loop_signal interrupt, terminate, hangup, child;
    struct nst_loop_task quit;
    struct nst_keeper *keeper;
    struct nst_list watchers; /* clients that capture; changed in a visit of all queues */
    struct nst_lender *lender;
    struct nst_mac mac;
    bool device_gone;
    bool carrier_known; /* the first report of it is no news */
    uint64_t started;   /* nst_loop_clock() */
    uint32_t nsockets;  /* that clients have */
    int ping_pid;       /* of --ping; 0: none */
    int null_fd;        /* with --daemon: /dev/null, until the terminal is left */
};

/* ---- queue.c ----------------------------------------------------------------------------- */

/* Opens the device. 0, or -errno with a sentence. */
int nst_queue_open(struct nst_queue *q, struct nst_fault *fault);

/* What the device's frames begin with. */
enum nst_medium nst_queue_medium(const struct nst_queue *q);

/* Makes the stack on it, as it is configured, without carrier. 0 or -errno. */
int nst_queue_start(struct nst_queue *q);

/* Gives it a loop, the main thread's to the first queue, and a way for the others to hand over
 * frames. 0 or -errno. */
int nst_queue_watch(struct nst_queue *q);

/* Begins to carry frames, which others may be for: all queues must have their loops by then. Every
 * queue but the first has a thread for it, which waits until nst_queues_leave(). 0 or -errno. */
int nst_queue_run(struct nst_queue *q);

/* Ends that, and the thread. */
void nst_queue_stop(struct nst_queue *q);

/* Ends the stack; the device must have been closed. Everything may be missing. */
void nst_queue_free(struct nst_queue *q);

/* ---- pump.c ------------------------------------------------------------------------------ */

/* Begins to carry frames. 0 or -errno. */
int nst_pump_start(struct nst_queue *q);
void nst_pump_stop(struct nst_queue *q);

/* Says that somebody removed the device, and ends the loop. Reading, writing and netlink may all
 * tell of it: it is said once. */
void nst_pump_device_gone(struct nst_queue *q);

/* ---- control.c --------------------------------------------------------------------------- */

extern const struct nst_ipc_ops nst_control_ops;

/* ---- sockets.c ---------------------------------------------------------------------------- */

/* A client's data is its struct nst_session; it may be NULL for want of memory. */
struct nst_session *nst_session_new(struct nst_daemon *d, struct nst_ipc_peer *peer);
void nst_session_free(struct nst_session *client); /* with all its sockets; NULL is allowed */

/* A call of a client's that acts for it, and answers itself, now or later. */
typedef void nst_session_call(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                              const json_t *args);
nst_session_call nst_session_socket, nst_session_setopt, nst_session_close;

/* The account of the client's user; NULL for no session. */
struct nst_account *nst_session_account(const struct nst_session *session);

/* A call of the client waits for a connection, or doesn't any more. Only so many may, that their
 * answers, which may come all at once, don't overflow its queue. */
bool nst_session_may_wait(const struct nst_session *session);
void nst_session_waits(struct nst_session *session, struct nst_waiter *waiter);
void nst_session_waits_not(struct nst_session *session, struct nst_waiter *waiter);

/* The client whose socket the cookie of a socket's events stands for; NULL if it is none. */
const struct ucred *nst_session_cred(uint64_t cookie);

/* As struct nst_ipc_ops' `datagram`: one to be sent. */
void nst_session_datagram(void *ctx, struct nst_ipc_peer *peer,
                          const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                          size_t len);

/* ---- services.c -------------------------------------------------------------------------- */

/* Opens the small services of --services: echo, discard, daytime, chargen. 0 or -errno. */
int nst_services_new(struct nst_services **out, struct nst_queue *q);
void nst_services_free(struct nst_services *services); /* NULL is allowed */

/* The service that the cookie of a socket's events stands for, as in "echo"; NULL if it is none. */
const char *nst_services_name(uint64_t cookie);

/* Its number, to be told where there are several queues; NULL where there is one. */
json_t *nst_queue_json(const struct nst_queue *q);

/* ---- socklist.c --------------------------------------------------------------------------- */

nst_session_call nst_socklist_call;

/* ---- capture.c --------------------------------------------------------------------------- */

/* -ENOMEM. */
int nst_capture_new(struct nst_capture **out, struct nst_queue *q);
void nst_capture_free(struct nst_capture *capture); /* NULL is allowed */

/* For struct nst_config: `ctx` is the capture. */
void nst_capture_trace(void *ctx, const struct nst_trace_event *event);

/* The frames of a batch have all been judged: what waits for its verdict goes out. */
void nst_capture_flush(struct nst_capture *capture);

/* The call `capture`, and the end of the client. */
void nst_capture_call(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                      const json_t *args);
void nst_capture_forget(struct nst_daemon *d, const struct nst_ipc_peer *peer);

/* ---- up.c -------------------------------------------------------------------------------- */

/* Lets go of the terminal, or whatever the standard streams are, for `null`, which it closes. */
void nst_leave_terminal(int null);

/* ---- keeper.c ---------------------------------------------------------------------------- */

/* Forks the keeper: a process that keeps the rights which the daemon is about to give up, and uses
 * them once, when the daemon has ended in any way, to undo what it did to the host. -errno. */
int nst_keeper_start(struct nst_keeper **out, struct nst_daemon *d);

/* Lets the keeper do its work and waits until it has. NULL is allowed. */
void nst_keeper_finish(struct nst_keeper *keeper);

/* Becomes config->user for good. 0 or -errno with a sentence. */
int nst_drop_rights(const struct nst_up_config *config, struct nst_fault *fault);

#endif
