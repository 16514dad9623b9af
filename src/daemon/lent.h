/* Sockets that programs have as file descriptors.
 *
 * Each is an AF_UNIX socket that the daemon made and gave away (ipc/name.h says what it is called).
 * The daemon keeps no copy of it: it holds the other end, once there is one, and the socket of the
 * stack. Calls name a lent socket by its token, and whoever calls must be of the user who opened it
 * (or the owner): the token alone can be read in /proc/PID/net/unix.
 *
 * lent.c is their table, their accounts, and how the daemon learns that a program has gone;
 * lentcalls.c the calls; lentstream.c TCP; lentspread.c TCP on several queues; lentdgram.c UDP and
 * ICMP echo; lentopts.c the options.
 *
 * All of it is the main thread's, but for one thing: the relay of a connection on another queue
 * runs in that queue's thread. So whoever touches a socket visits its queue (thread.h), and what
 * the stack, or the relay, has to say about one beside its data is an errand. */
#ifndef NST_DAEMON_LENT_H
#define NST_DAEMON_LENT_H

#include "core/base/list.h"
#include "daemon/account.h"
#include "daemon/relay.h"
#include "ipc/name.h"

/* A call that waits for a connection. */
struct nst_waiter {
    struct nst_list of_lent, of_session;
    struct nst_session *session;
    struct nst_ipc_peer *peer;
    uint32_t call;
};

enum nst_stream_state {
    NST_STREAM_FRESH,
    NST_STREAM_CONNECTING,
    NST_STREAM_CONNECTED,
    NST_STREAM_LISTENING,
    NST_STREAM_FAILED, /* over, but why is still to be told */
};

struct nst_lent_stream {
    enum nst_stream_state state;
    int door;      /* connecting: where the program's end is to come in; -1: it has */
    size_t filler; /* bytes that keep the program's end from being writable */
    bool told;     /* connected, and a connect() has been told so */
    bool early;    /* its SYN waits for the first data (Fast Open) */
    struct nst_relay relay;
    bool crowded; /* more waits than the user may have, and the main thread is to hear of it */
    bool over;    /* the relay ended, as `end` says, and the main thread has not heard of it */
    int end;
    struct nst_list waiters;
    struct nst_loop_timer timer; /* connecting: until it must be in; listening: to offer again */
    uint64_t delay_ns;           /* listening: between offers */
    struct nst_lent *held;       /* listening: accepted, but the program's queue was full */
    struct nst_lent_twin *twins; /* listening: on the other queues */
    unsigned ntwins;
};

struct nst_lent_dgram {
    int sink, end; /* what comes with a header, and without: to the connected peer; -1: none */
    struct nst_loop_fd sink_fd, end_fd;
    struct nst_list sources; /* of struct source, the last used first */
    unsigned nsources;
    bool deaf;             /* nothing is read from the program: there is no room for it */
    bool raised;           /* the program's socket was given the error */
    uint8_t tell;          /* enum nst_ipc_name_flag */
    uint64_t dropped;      /* for want of room in the program's queue */
    struct nst_held *held; /* read, but the stack had no room for it */
};

struct nst_lent {
    struct nst_handler handler; /* of its socket */
    struct nst_errand errand;   /* its queue's thread has something for the main thread */
    struct nst_list idle; /* on the lender's list: nothing will tell of the program's end, ... */
    struct nst_list own_idle; /* ... and on the account's */
    struct nst_daemon *daemon;
    struct nst_queue *queue;     /* whose stack has its socket */
    struct nst_account *account; /* held */
    struct nst_share share;      /* of what may wait for the account's sockets */
    struct nst_ipc_token token;
    uint8_t protocol;   /* of IP */
    pid_t pid;          /* whose it is, as far as known */
    nst_sock sock;      /* 0: it has ended */
    int error;          /* for SO_ERROR, positive */
    uint8_t remembered; /* options that are set and change nothing: see lentopts.c */
    union {
        struct nst_lent_stream stream;
        struct nst_lent_dgram dgram;
    };
};

/* ---- lent.c ------------------------------------------------------------------------------ */

/* -ENOMEM. */
int nst_lender_new(struct nst_lender **out, struct nst_daemon *d);
void nst_lender_free(struct nst_lender *lender); /* with all sockets; NULL is allowed */

/* Enters a network namespace of the daemon's own, in which lent sockets are made, so that their
 * names are known to nobody else; without the right to, it stays. */
void nst_lender_hide(struct nst_lender *lender);

/* Goes back to where it came from, for what is to be undone there. */
void nst_lender_unhide(struct nst_lender *lender);

/* A new one of `account`, with no socket of the stack yet. -ENFILE, -EMFILE (a limit), -ENOMEM. */
int nst_lent_new(struct nst_lent **out, struct nst_daemon *d, struct nst_account *account,
                 uint8_t protocol, pid_t pid);

/* Ends it: the program's descriptor loses its other end. */
void nst_lent_free(struct nst_lent *lent);

/* Its program's end can close unnoticed from now on, or can't. */
void nst_lent_watch(struct nst_lent *lent, bool idle);

/* Asks the kernel whether its program's descriptor is still open. For the thread of that queue. */
bool nst_lent_is_alive(const struct nst_lent *lent, struct nst_queue *q);

/* Frees those whose programs have gone and that stand on the port that `for_whom` wants. Whether
 * there was one. */
bool nst_lender_clear_port(struct nst_lent *for_whom, uint16_t port);

/* Looks whether the programs of some of the account's have gone, when a limit is reached. May free
 * any that is idle; the user is charged for it. */
void nst_lender_make_room(struct nst_lender *lender, struct nst_account *account);

/* Looks soon for those of the account whose programs have gone. */
void nst_lender_sweep(struct nst_lender *lender, struct nst_account *account);

/* The account of a client's user, held. NULL without memory. */
struct nst_account *nst_lender_account(struct nst_lender *lender, const struct nst_ipc_peer *peer);

/* How often users have reached a quota. */
uint64_t nst_lender_reached(const struct nst_lender *lender, enum nst_quota quota);

/* The one of a token: -ENETDOWN if it is another daemon's, -ENOTCONN if it has ended, -EPERM if the
 * client may not use it. */
int nst_lent_find(struct nst_lent **out, struct nst_lender *lender, const struct nst_ipc_peer *peer,
                  const struct nst_ipc_token *token);

/* A descriptor more for it, from now on, beside those that every socket has; or one less. Whether
 * there may be: others shall have theirs. */
bool nst_lent_take_descriptor(struct nst_lent *lent);
void nst_lent_give_descriptor(struct nst_lent *lent);

/* A user who may have but one address has it also where he asks for none. 0, or as bind() fails. */
int nst_lent_restrict(struct nst_lent *lent);

/* The one of that number; NULL if there is none. */
struct nst_lent *nst_lent_numbered(const struct nst_lender *lender, uint32_t id);

/* The one whose socket's events bear the cookie; NULL if it is another's. */
const struct nst_lent *nst_lent_of_cookie(uint64_t cookie);

/* A socket of the daemon's that is called `name`: a descriptor or -errno. */
int nst_lent_socket(int type, const struct nst_ipc_sockname *name);

/* Its program's end, as an address. */
socklen_t nst_lent_program(const struct nst_lent *lent, struct sockaddr_un *out);

/* Whether the address is that of its program's end. */
bool nst_lent_is_program(const struct nst_lent *lent, const struct sockaddr_un *addr,
                         socklen_t len);

/* ---- lentstream.c ------------------------------------------------------------------------ */

void nst_lent_stream_init(struct nst_lent *lent);
void nst_lent_stream_fini(struct nst_lent *lent);
void nst_lent_stream_ready(struct nst_handler *handler, uint32_t ready);

/* Begins to connect: -EINPROGRESS. 0: it is connected, and nobody was told yet. -EALREADY: it goes
 * on already; or as connect() fails. */
int nst_lent_stream_connect(struct nst_lent *lent, const struct nst_sockaddr *to);

/* The program's end has come in, with so many bytes of filler. 0 or -errno. */
int nst_lent_stream_begin(struct nst_lent *lent, size_t filler);

/* Answers the call when it is decided whether the connection comes about. */
void nst_lent_stream_await(struct nst_lent *lent, struct nst_ipc_peer *peer, uint32_t call);
void nst_waiter_free(struct nst_waiter *waiter);

/* The user has room again for what waits, perhaps: goes on. May end it. */
void nst_lent_stream_recount(struct nst_lent *lent);

int nst_lent_stream_listen(struct nst_lent *lent, uint32_t backlog);

/* Offers the program the connections that wait for the listener `sock` of that queue, in a visit of
 * the queue. May free it, when the program has gone. */
void nst_lent_stream_offer(struct nst_lent *lent, struct nst_queue *q, nst_sock sock);

/* What its queue's thread had for the main thread, in a visit. May free it. */
void nst_lent_stream_attend(struct nst_errand *errand);

/* ---- lentspread.c: with several queues --------------------------------------------------- */

/* As nst_connect() and nst_listen(), wherever it suits. */
int nst_lent_spread_connect(struct nst_lent *lent, const struct nst_sockaddr *to);
int nst_lent_spread_listen(struct nst_lent *lent, uint32_t backlog);

/* An option of a listener was set. */
void nst_lent_spread_options(struct nst_lent *lent);

/* Offers what waits for all twins. False: it was freed, for the program has gone. */
bool nst_lent_spread_offer(struct nst_lent *lent);

/* The listener whose twin's handler it is; NULL if it is none. */
struct nst_lent *nst_lent_of_twin(const struct nst_handler *handler);
void nst_lent_twins_free(struct nst_lent *lent); /* there may be none */

/* ---- lentdgram.c ------------------------------------------------------------------------- */

int nst_lent_dgram_init(struct nst_lent *lent);
void nst_lent_dgram_fini(struct nst_lent *lent);
void nst_lent_dgram_ready(struct nst_handler *handler, uint32_t ready);

/* Connects it, or with an unspecified address ends that. 0 or -errno. */
int nst_lent_dgram_connect(struct nst_lent *lent, const struct nst_sockaddr *to);

/* The user has room again for what waits, perhaps: goes on. */
void nst_lent_dgram_recount(struct nst_lent *lent);

/* Works off what the program has sent until now. */
void nst_lent_dgram_catch_up(struct nst_lent *lent);

/* The program's socket has the error no more that it was given: send() or recv() has told of it. */
void nst_lent_dgram_was_told(struct nst_lent *lent);

/* Keeps errors in a queue, or doesn't any more. */
void nst_lent_dgram_keep_errors(struct nst_lent *lent, bool on);

/* The first error of the queue, with what had been sent in `msg`: how long that was. -EAGAIN. */
int64_t nst_lent_dgram_error(struct nst_lent *lent, struct nst_msg *msg);

/* ---- lentopts.c -------------------------------------------------------------------------- */

/* setsockopt() and getsockopt() with Linux' numbers and layouts. 0 or -errno; `*len` is the room,
 * and then what there is. */
int nst_lent_setopt(struct nst_lent *lent, int level, int option, const uint8_t *value, size_t len);
int nst_lent_getopt(struct nst_lent *lent, int level, int option, uint8_t *value, size_t *len);

/* ---- lentcalls.c ------------------------------------------------------------------------- */

nst_session_call nst_lent_call_open, nst_lent_call_bind, nst_lent_call_connect, nst_lent_call_begin,
    nst_lent_call_listen, nst_lent_call_name, nst_lent_call_setopt, nst_lent_call_getopt,
    nst_lent_call_error, nst_lent_call_sweep, nst_lent_call_kill;

#endif
