/* A host in simulated time, for packetdrill: the stack with one bare-IP link, and the descriptors
 * of the script's sockets.
 *
 * Time. Nothing waits for real time. The clock moves where the runner asks for it: usleep() goes
 * through every deadline on its way; netdev_receive() goes from deadline to deadline until there is
 * a packet; gettimeofday() takes a microsecond. What the stack says is pulled at once and keeps the
 * time at which it was said.
 *
 * Threads. The runner's main thread, the driver, moves time and packets. A call that blocks runs in
 * a thread of its own, which the runner sees sleeping: here, on the condition `changed`. After
 * everything that the driver does, the blocked threads look whether they can go on, and the driver
 * waits until each has returned or sleeps again (nst_pd_leave()): so the order of things is always
 * the same. What a call that returned saw as its time, its thread's next gettimeofday() returns. If
 * the driver itself would block, time moves instead, and it gets EDEADLK when nothing will ever
 * happen.
 *
 * Calls are -1 and errno at the table only; inside they give 0, a count, or a negative errno. */
#ifndef NST_PACKETDRILL_HOST_H
#define NST_PACKETDRILL_HOST_H

#include <pthread.h>

#include "core/stack/stack.h"
#include "packetdrill/interface.h"

/* ---- Flags ----------------------------------------------------------------------------------- */

/* What the text of --so_flags says; see nst_pd_flags_parse(). */
struct nst_pd_flags {
    struct nst_addr local; /* unspecified: learnt from bind() */
    uint32_t mtu;
    char proc[256]; /* the directory of the settings; empty: they are left alone */
};

/* Reads "key=value,...": ver=ipv4 or ipv4-mapped-ipv6, local=ADDR, remote=ADDR (which makes no
 * difference: everybody is reached), mtu=N, proc=0, 1, or a directory in place of
 * /proc/sys/net/ipv4. NULL is no flag at all. -EINVAL with the part that is wrong in `*wrong`. */
int nst_pd_flags_parse(struct nst_pd_flags *out, const char *text, const char **wrong);

/* ---- Descriptors ----------------------------------------------------------------------------- */

enum nst_pd_kind { NST_PD_SOCKET, NST_PD_EPOLL, NST_PD_PIPE_READ, NST_PD_PIPE_WRITE };

#define NST_PD_FILES     1024
#define NST_PD_PIPE_SIZE 65536

struct nst_pd_file {
    enum nst_pd_kind kind;
    int fd;
    unsigned users; /* the table of descriptors, and threads that sleep with it in hand */
    bool closed;
    bool nonblock;
    /* Sockets. */
    nst_sock sock;
    int domain, type;
    nst_time rcv_timeout, snd_timeout; /* 0: none */
    bool inq;                          /* TCP_INQ: recvmsg() tells what is left */
    uint64_t edges;                    /* how often something happened to it (EPOLLET) */
    struct nst_list interests;         /* epoll: of struct interest (poll.c) */
    struct nst_pd_pipe *pipe;          /* either end */
};

struct nst_pd_pipe {
    unsigned ends;
    bool written_by_nobody, read_by_nobody;
    size_t len;
    uint8_t bytes[NST_PD_PIPE_SIZE];
};

/* ---- The host -------------------------------------------------------------------------------- */

#define NST_PD_THREADS 16

struct nst_pd_host {
    struct nst_pd_flags flags;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* for the blocked: look again */
    pthread_cond_t settled; /* for the driver: all have looked */
    pthread_t driver;
    uint64_t generation;                   /* of `changed` */
    unsigned looking;                      /* threads that were woken and have not settled yet */
    nst_time asleep_until[NST_PD_THREADS]; /* a place for each thread that sleeps; 0: free */
    nst_time now;
    struct nst_stack *stack;
    nst_link link;
    struct nst_list sent; /* of struct nst_pkt, oldest first; `time` is when */
    struct nst_pd_file *files[NST_PD_FILES];
};

/* -ENOMEM, or what is wrong with the flags' addresses or MTU. */
int nst_pd_host_new(struct nst_pd_host **out, const struct nst_pd_flags *flags);
void nst_pd_host_free(struct nst_pd_host *host);

/* Begin and end every call of the table. */
void nst_pd_enter(struct nst_pd_host *host);
void nst_pd_leave(struct nst_pd_host *host);
/* The same as nst_pd_leave(), and what a system call returns for `result`. */
ssize_t nst_pd_return(struct nst_pd_host *host, ssize_t result);

/* Sleeps until something has happened, at `until` at the latest. 0; -EAGAIN when it is that late;
 * -EDEADLK in the driver when nothing will; -ENOMEM past NST_PD_THREADS; -EBADF when `file` (NULL:
 * none) was closed meanwhile and may have gone. */
int nst_pd_sleep(struct nst_pd_host *host, struct nst_pd_file *file, nst_time until);

/* What the stack has to say is taken down, and who is ready. After each call into the stack. */
void nst_pd_pump(struct nst_pd_host *host);

/* The host is reached at this address from now on. */
int nst_pd_learn_local(struct nst_pd_host *host, const struct nst_addr *addr);

/* A new descriptor, the lowest free one, or NULL. */
struct nst_pd_file *nst_pd_file_new(struct nst_pd_host *host, enum nst_pd_kind kind);
struct nst_pd_file *nst_pd_file(const struct nst_pd_host *host, int fd);
/* Closes it. It is there until the last who holds it has let go. */
void nst_pd_file_close(struct nst_pd_host *host, struct nst_pd_file *file);
void nst_pd_file_hold(struct nst_pd_file *file);
void nst_pd_file_release(struct nst_pd_file *file);
/* Only if it is a socket. -EBADF, -ENOTSOCK. */
int nst_pd_socket_of(const struct nst_pd_host *host, int fd, struct nst_pd_file **out);
/* The stack's socket; its connection, which listeners have not. */
struct nst_socket *nst_pd_core_socket(const struct nst_pd_host *host,
                                      const struct nst_pd_file *file);
const struct nst_tcb *nst_pd_tcb(const struct nst_pd_host *host, const struct nst_pd_file *file);

/* ---- Settings -------------------------------------------------------------------------------- */

/* Reads TCP's settings anew where the flags ask for it. */
void nst_pd_settings_read(struct nst_pd_host *host);

/* ---- TCP_INFO -------------------------------------------------------------------------------- */

#define NST_PD_TCP_INFO_LEN 280

/* In the kernel's layout; all zero but the state for a listener. */
void nst_pd_tcp_info(const struct nst_pd_host *host, const struct nst_pd_file *file,
                     uint8_t out[NST_PD_TCP_INFO_LEN]);

/* ---- The table's functions, by file ---------------------------------------------------------- */

void nst_pd_fill_time(struct packetdrill_interface *ifc);    /* host.c */
void nst_pd_fill_sockets(struct packetdrill_interface *ifc); /* sockets.c */
void nst_pd_fill_data(struct packetdrill_interface *ifc);    /* data.c */
void nst_pd_fill_options(struct packetdrill_interface *ifc); /* options.c */
void nst_pd_fill_poll(struct packetdrill_interface *ifc);    /* poll.c */
void nst_pd_fill_pipe(struct packetdrill_interface *ifc);    /* pipe.c */

/* ---- Between those files --------------------------------------------------------------------- */

/* A peer's name as the socket's family has it. */
void nst_pd_put_name(const struct nst_pd_file *file, const struct nst_sockaddr *name,
                     struct sockaddr *addr, socklen_t *len);
/* -EINVAL, -EAFNOSUPPORT. */
int nst_pd_get_name(const struct sockaddr *addr, socklen_t len, struct nst_sockaddr *out);

/* Until when a call on `file` may block; 0: not at all. */
nst_time nst_pd_patience(const struct nst_pd_host *host, const struct nst_pd_file *file,
                         nst_time timeout, int flags);
/* Moves bytes as read() and write() do, blocking; -EBADF for the wrong end. */
ssize_t nst_pd_pipe_read(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_slice out);
ssize_t nst_pd_pipe_write(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_slice in);
/* One attempt on a socket, without blocking. */
ssize_t nst_pd_try_recv(struct nst_pd_host *host, struct nst_pd_file *file, struct nst_msg *msg,
                        uint32_t flags);
ssize_t nst_pd_try_send(struct nst_pd_host *host, struct nst_pd_file *file,
                        const struct nst_msg *msg);
/* enum nst_ready of any descriptor. */
uint32_t nst_pd_readiness(const struct nst_pd_host *host, const struct nst_pd_file *file);
/* It is no part of any epoll any more. */
void nst_pd_forget_interests(struct nst_pd_host *host, const struct nst_pd_file *file);
void nst_pd_pipe_close(struct nst_pd_file *file);

#endif
