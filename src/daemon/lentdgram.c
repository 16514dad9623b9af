/* Datagram sockets of programs: UDP and ICMP echo.
 *
 * A program's datagram socket is not connected, and whatever is sent to it by the daemon comes from
 * a socket that is called after where the datagram came from: so recvfrom() tells that. There is
 * one such *source* for each name that was lately needed. What the program sends goes to the
 * *sink*, with a header that says where to.
 *
 * After connect() there is one more socket, the *end*, named after both ends of the conversation
 * and connected with the program's both ways. Then the kernel lets nothing else through, send()
 * needs no header, and getpeername() tells the peer.
 *
 * When the program doesn't read, its queue fills, and datagrams are dropped, as a network would.
 *
 * That a connected socket has an error, as when a port is closed, the kernel is to say: to poll(),
 * to the next send() or recv(). It does so when a socket that has something unread turns away from
 * the one it is connected with; so the end gets something from the sink, and does that. The kernel
 * calls the error ECONNRESET, the library ECONNREFUSED, which it nearly always was. SO_ERROR tells
 * exactly, and so does the queue of errors that a program may keep (IP_RECVERR), if it asks.
 *
 * A call about a socket comes after what the program had sent before: see
 * nst_lent_dgram_catch_up(). */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/lent.h"
#include "ipc/packet.h"

#define SOURCES_MAX  32
#define DATAGRAM_MAX 65536
#define QUEUE_MAX    1024         /* datagrams, more than wait in any queue */
#define BUFFER       (256 * 1024) /* what a source may have in the program's queue */

struct source {
    struct nst_list node;
    int fd;
    struct sockaddr_un name;
};

/* A datagram that waits for room in the stack. */
struct nst_held {
    struct nst_ipc_send to;
    size_t len;
    uint8_t data[];
};

static struct nst_stack *stack_of(const struct nst_lent *lent)
{
    return lent->queue->stack;
}

/* ---- From the program ------------------------------------------------------------------------ */

/* Listens to the program, unless there is no room for what it says. */
static void listen_or_not(struct nst_lent *lent)
{
    struct nst_lent_dgram *d = &lent->dgram;
    bool deaf = d->held || nst_share_room(&lent->share) == 0;
    unsigned events = deaf ? 0 : NST_LOOP_IN;

    if (deaf != d->deaf && nst_loop_fd_modify(&d->sink_fd, events) == 0 &&
        (d->end < 0 || nst_loop_fd_modify(&d->end_fd, events) == 0))
        d->deaf = deaf;
}

/* Counts what waits. When it is too much, the errors go that nobody asked for. */
static void count(struct nst_lent *lent)
{
    struct nst_sock_info info;
    struct nst_msg msg = {.ndata = 0};

    if (!lent->account->owner)
        do {
            if (nst_info(stack_of(lent), lent->sock, &info) != 0)
                return;
            if (nst_share_set(&lent->share, info.memory_bytes))
                nst_account_recount(lent->account);
        } while (nst_share_room(&lent->share) == 0 &&
                 nst_recv(stack_of(lent), lent->sock, &msg, NST_RECV_ERROR) >= 0);
    listen_or_not(lent);
}

void nst_lent_dgram_recount(struct nst_lent *lent)
{
    count(lent);
}

/* Whether the user may send from there (unspecified: wherever the socket is): 0 or -errno. */
static int may_send_from(struct nst_lent *lent, const struct nst_addr *from)
{
    const struct nst_account *account = lent->account;
    const struct nst_addr *only = &account->person->addr;

    if (account->owner || !nst_addr_is_set(only))
        return 0;
    if (nst_addr_is_set(from) && !nst_addr_eq(from, only))
        return -EACCES;
    return nst_lent_restrict(lent);
}

/* Sends it. False: there is no room, try again later. What else is wrong, SO_ERROR tells. */
static bool send_on(struct nst_lent *lent, const struct nst_ipc_send *to, const uint8_t *p,
                    size_t len)
{
    struct nst_slice data = {(void *)(uintptr_t)p, len};
    const struct nst_msg msg = {.data = &data,
                                .ndata = 1,
                                .peer = to->to,
                                .local = to->from,
                                .ttl = to->ttl,
                                .tos = to->tos};
    int err = may_send_from(lent, &to->from.addr);
    int64_t sent = err ? err : nst_send(stack_of(lent), lent->sock, &msg);

    if (sent < 0 && sent != -EAGAIN)
        lent->error = (int)-sent;
    return sent != -EAGAIN;
}

static void hold(struct nst_lent *lent, const struct nst_ipc_send *to, const uint8_t *p, size_t len)
{
    struct nst_held *held = malloc(sizeof *held + len);

    if (!held)
        return; /* the datagram is lost, as datagrams are */
    held->to = *to;
    held->len = len;
    memcpy(held->data, p, len);
    lent->dgram.held = held;
}

static void send_held(struct nst_lent *lent)
{
    struct nst_held *held = lent->dgram.held;

    if (held && !send_on(lent, &held->to, held->data, held->len))
        return;
    free(held);
    lent->dgram.held = NULL;
}

/* Takes one datagram from the sink or the end. False when there is none, or no room. */
static bool take_one(struct nst_lent *lent, int fd, bool has_header)
{
    static uint8_t buffer[NST_IPC_SEND_HLEN + DATAGRAM_MAX];
    struct nst_ipc_send to = {.tos = -1};
    struct sockaddr_un from = {0};
    struct iovec iov = {buffer, sizeof buffer};
    struct msghdr msg = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
    size_t skip = has_header ? NST_IPC_SEND_HLEN : 0;
    ssize_t len = lent->dgram.deaf ? -EAGAIN : nst_ipc_datagram_take(fd, &msg);

    if (len < 0)
        return false;
    if (!nst_lent_is_program(lent, &from, msg.msg_namelen) ||
        (has_header && nst_ipc_send_parse(&to, buffer, (size_t)len) != 0))
        return true; /* not for us */
    if (!send_on(lent, &to, buffer + skip, (size_t)len - skip))
        hold(lent, &to, buffer + skip, (size_t)len - skip);
    count(lent);
    return true;
}

static void raise_error(struct nst_lent *lent);

static bool on_sink(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events, unsigned budget)
{
    struct nst_lent *lent = fd->arg;

    (void)loop, (void)events;
    while (budget > 0 && take_one(lent, fd->fd, fd == &lent->dgram.sink_fd))
        budget--;
    if (lent->error == ECONNREFUSED && !lent->dgram.raised) /* it came back for an earlier one */
        raise_error(lent);
    return budget == 0;
}

/* Takes what there is, of either kind; not what a program goes on writing meanwhile. */
static void take_all(struct nst_lent *lent)
{
    for (unsigned i = 0; i < QUEUE_MAX && take_one(lent, lent->dgram.sink, true); i++)
        ;
    for (unsigned i = 0; i < QUEUE_MAX && lent->dgram.end >= 0; i++)
        if (!take_one(lent, lent->dgram.end, false))
            return;
}

void nst_lent_dgram_catch_up(struct nst_lent *lent)
{
    if (lent->sock)
        take_all(lent);
}

/* ---- To the program -------------------------------------------------------------------------- */

static struct source *source_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct source, node);
}

static void source_free(struct nst_lent *lent, struct source *source)
{
    nst_list_del(&source->node);
    nst_lent_give_descriptor(lent);
    lent->dgram.nsources--;
    nst_ipc_datagram_close(source->fd);
    free(source);
}

static void sources_free(struct nst_lent *lent)
{
    NST_LIST_FOREACH_SAFE (e, &lent->dgram.sources)
        source_free(lent, source_of(e));
}

/* Connects a socket of ours with the program's. */
static int join(int fd, const struct nst_lent *lent)
{
    struct sockaddr_un program;
    socklen_t len = nst_lent_program(lent, &program);

    /* syscall: connect */
    return connect(fd, (const struct sockaddr *)&program, len) == 0 ? 0 : -errno;
}

/* A socket of that name, connected with the program's. A descriptor or -errno. */
static int open_towards(const struct nst_lent *lent, const struct nst_ipc_sockname *name)
{
    static const int buffer = BUFFER;
    int fd = nst_lent_socket(SOCK_DGRAM, name);

    if (fd < 0)
        return fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    int err = join(fd, lent);
    if (err)
        close(fd);
    return err ? err : fd;
}

/* Room for a source more, or for one instead of the oldest. */
static bool make_room(struct nst_lent *lent)
{
    struct nst_list *sources = &lent->dgram.sources;

    if (lent->dgram.nsources < SOURCES_MAX && nst_lent_take_descriptor(lent))
        return true;
    if (nst_list_empty(sources))
        return false;
    source_free(lent, source_of(sources->prev));
    return nst_lent_take_descriptor(lent);
}

static int source_new(struct source **out, struct nst_lent *lent,
                      const struct nst_ipc_sockname *name)
{
    struct source *source = calloc(1, sizeof *source);

    if (!source)
        return -ENOMEM;
    if (!make_room(lent)) {
        free(source);
        return -EMFILE;
    }
    source->fd = open_towards(lent, name);
    if (source->fd < 0) {
        int err = source->fd;
        nst_lent_give_descriptor(lent);
        free(source);
        return err;
    }
    (void)shutdown(source->fd, SHUT_RD); /* what a program sends there would lie for ever */
    nst_ipc_name_emit(name, &source->name);
    lent->dgram.nsources++;
    nst_list_push_front(&lent->dgram.sources, &source->node);
    *out = source;
    return 0;
}

/* The socket of that name: a descriptor or -errno. */
static int source_for(struct nst_lent *lent, const struct nst_ipc_sockname *name)
{
    struct sockaddr_un wanted;
    struct source *source;

    nst_ipc_name_emit(name, &wanted);
    NST_LIST_FOREACH (e, &lent->dgram.sources) {
        source = source_of(e);
        if (memcmp(&source->name, &wanted, sizeof wanted) == 0) {
            nst_list_del(&source->node);
            nst_list_push_front(&lent->dgram.sources, &source->node);
            return source->fd;
        }
    }
    int err = source_new(&source, lent, name);
    return err ? err : source->fd;
}

/* What the end is called. */
static struct nst_ipc_sockname end_name(const struct nst_lent *lent)
{
    struct nst_sock_info info = {0};

    nst_info(stack_of(lent), lent->sock, &info);
    return (struct nst_ipc_sockname){.kind = NST_IPC_NAME_END,
                                     .protocol = lent->protocol,
                                     .token = lent->token,
                                     .local = info.local,
                                     .peer = info.peer};
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static int part(int fd)
{
    static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    return connect(fd, &nobody, sizeof nobody) == 0 ? 0 : -errno;
}

/* Sends the end something to leave unread, which it takes while it is connected with nobody. */
static int send_to_end(const struct nst_lent *lent)
{
    const struct nst_ipc_sockname name = end_name(lent);
    struct sockaddr_un end;
    socklen_t len = nst_ipc_name_emit(&name, &end);
    ssize_t sent = sendto(lent->dgram.sink, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&end, len);

    return sent < 0 ? -errno : 0;
}

/* Gives the program's socket an error, if it is connected. */
static void raise_error(struct nst_lent *lent)
{
    struct nst_lent_dgram *d = &lent->dgram;

    if (d->end < 0)
        return;
    take_all(lent); /* or it would be lost */
    if (part(d->end) == 0 && send_to_end(lent) == 0 && join(d->end, lent) == 0)
        d->raised = part(d->end) == 0;
    (void)join(d->end, lent);
}

void nst_lent_dgram_was_told(struct nst_lent *lent)
{
    if (lent->dgram.raised)
        lent->error = 0;
    lent->dgram.raised = false;
}

void nst_lent_dgram_keep_errors(struct nst_lent *lent, bool on)
{
    (void)nst_setopt(stack_of(lent), lent->sock, NST_OPT_RECVERR, on);
}

int64_t nst_lent_dgram_error(struct nst_lent *lent, struct nst_msg *msg)
{
    if (lent->protocol == IPPROTO_TCP || !lent->sock)
        return -EAGAIN;
    lent->error = 0;
    return nst_recv(stack_of(lent), lent->sock, msg, NST_RECV_ERROR);
}

/* ---- What comes ------------------------------------------------------------------------------ */

/* What the program is told about a datagram, which is what it asked for. */
static struct nst_ipc_sockname source_name(const struct nst_lent *lent, const struct nst_msg *msg)
{
    uint8_t tell = lent->dgram.tell;
    struct nst_ipc_sockname name = {.kind = NST_IPC_NAME_SOURCE,
                                    .protocol = lent->protocol,
                                    .token = lent->token,
                                    .peer = {.addr = msg->peer.addr, .port = msg->peer.port},
                                    .flags = tell};

    if (tell & NST_IPC_TELL_PKTINFO)
        name.local = msg->local;
    if (tell & NST_IPC_TELL_TTL)
        name.ttl = msg->ttl;
    if (tell & NST_IPC_TELL_TOS)
        name.tos = (uint8_t)msg->tos;
    return name;
}

/* 0, -ECONNREFUSED when the program has gone, or another error: the datagram is lost. */
static int deliver(struct nst_lent *lent, const struct nst_msg *msg, size_t len)
{
    const struct nst_ipc_sockname name = source_name(lent, msg);
    int fd = lent->dgram.end >= 0 ? lent->dgram.end : source_for(lent, &name);

    if (fd < 0)
        return fd;
    /* syscall: sendto */
    return send(fd, msg->data->base, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* False when the socket has ended. */
static bool receive_all(struct nst_lent *lent)
{
    static uint8_t buffer[DATAGRAM_MAX];
    struct nst_slice data = {buffer, sizeof buffer};
    struct nst_msg msg = {.data = &data, .ndata = 1};
    int64_t len;

    while ((len = nst_recv(stack_of(lent), lent->sock, &msg, 0)) != -EAGAIN) {
        int err = len < 0 ? 0 : deliver(lent, &msg, (size_t)len);
        if (len < 0)
            lent->error = (int)-len;
        if (err == -ECONNREFUSED) {
            nst_lent_free(lent);
            return false;
        }
        lent->dgram.dropped += err != 0;
    }
    return true;
}

void nst_lent_dgram_ready(struct nst_handler *handler, uint32_t ready)
{
    struct nst_lent *lent = NST_CONTAINER(handler, struct nst_lent, handler);

    if ((ready & (NST_READY_IN | NST_READY_ERR)) && !receive_all(lent))
        return;
    if (ready & NST_READY_ERR)
        raise_error(lent);
    if (ready & NST_READY_OUT)
        send_held(lent);
    count(lent);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void close_end(struct nst_lent *lent)
{
    nst_loop_fd_del(&lent->dgram.end_fd);
    if (lent->dgram.end >= 0)
        nst_ipc_datagram_close(lent->dgram.end);
    lent->dgram.end = -1;
    lent->dgram.raised = false;
}

static int open_end(struct nst_lent *lent)
{
    const struct nst_ipc_sockname name = end_name(lent);
    int fd = open_towards(lent, &name);
    if (fd < 0)
        return fd;
    sources_free(lent);
    lent->dgram.end = fd;
    return nst_loop_fd_add(lent->daemon->loop, &lent->dgram.end_fd, fd,
                           lent->dgram.deaf ? 0 : NST_LOOP_IN);
}

int nst_lent_dgram_connect(struct nst_lent *lent, const struct nst_sockaddr *to)
{
    int err = nst_connect(stack_of(lent), lent->sock, to);

    if (err)
        return err;
    close_end(lent);
    return nst_addr_is_set(&to->addr) ? open_end(lent) : 0;
}

int nst_lent_dgram_init(struct nst_lent *lent)
{
    struct nst_lent_dgram *d = &lent->dgram;
    const struct nst_ipc_sockname name = {
        .kind = NST_IPC_NAME_SINK, .protocol = lent->protocol, .token = lent->token};

    lent->handler.ready = nst_lent_dgram_ready;
    d->sink_fd = d->end_fd = (struct nst_loop_fd){.fn = on_sink, .arg = lent};
    d->end = -1;
    nst_list_init(&d->sources);
    d->sink = nst_lent_socket(SOCK_DGRAM, &name);
    return d->sink < 0 ? d->sink
                       : nst_loop_fd_add(lent->daemon->loop, &d->sink_fd, d->sink, NST_LOOP_IN);
}

void nst_lent_dgram_fini(struct nst_lent *lent)
{
    close_end(lent);
    nst_loop_fd_del(&lent->dgram.sink_fd);
    if (lent->dgram.sink >= 0)
        nst_ipc_datagram_close(lent->dgram.sink);
    sources_free(lent);
    free(lent->dgram.held);
}
