/* sendto(), recvfrom(), sendmsg(), recvmsg() and their plurals, when they come here: with an
 * address, or as messages.
 *
 * A stream needs no help: bytes have no addresses, so the kernel does the call. (What it would do
 * with an address to send to differs: AF_UNIX refuses, TCP looks away. So do we.) Datagrams are
 * copied out of or into the caller's memory, and client/local.h translates addresses and control
 * messages on the way. With MSG_FASTOPEN sending begins with what connect() does. To send a
 * datagram twice or to lose one, when a signal ends a call at the wrong moment, is within what UDP
 * promises. */
#include "run/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CONTROL_MAX = 1024,        /* bytes of control messages; IP's are few */
    DATAGRAM_MAX = 65536,      /* no datagram is as long */
    STREAM_PIECE = 256 * 1024, /* at most at once; the rest is for the caller to send again */
    VECTORS_MAX = 1024,        /* the kernel's UIO_MAXIOV */
};

/* The kernel's struct msghdr, copied from the caller, with what it points to. */
struct message {
    struct msghdr there; /* addresses are the caller's */
    struct iovec iov[VECTORS_MAX];
    size_t total; /* bytes that the vectors hold */
};

/* What a datagram passes through on its way. There is one, as calls are worked on one by one. */
static struct {
    struct message message;
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
    uint8_t data[STREAM_PIECE];
} work;

static bool is_stream(const struct nst_run_call *call)
{
    return call->name.protocol == IPPROTO_TCP;
}

static bool may_wait(const struct nst_run_call *call, int flags)
{
    return !(flags & MSG_DONTWAIT) && !nst_run_call_nonblocking(call);
}

/* ---- Messages in the caller's memory ------------------------------------------------------ */

/* Copies a message's head and vectors. -EFAULT, -EMSGSIZE, -EINVAL as the kernel says. */
static int read_message(const struct nst_run_call *call, uint64_t from, struct message *m)
{
    if (nst_run_target_read(call->tid, &m->there, from, sizeof m->there) != 0)
        return -EFAULT;
    if (m->there.msg_name && m->there.msg_namelen > INT32_MAX)
        return -EINVAL;
    if (m->there.msg_iovlen > VECTORS_MAX)
        return -EMSGSIZE;
    if (nst_run_target_read(call->tid, m->iov, (uintptr_t)m->there.msg_iov,
                            m->there.msg_iovlen * sizeof m->iov[0]) != 0)
        return -EFAULT;
    m->total = 0;
    for (size_t i = 0; i < m->there.msg_iovlen; i++) {
        if (m->iov[i].iov_len > SSIZE_MAX - m->total)
            return -EINVAL;
        m->total += m->iov[i].iov_len;
    }
    return 0;
}

/* The message that sendto() and recvfrom() mean. */
static void make_message(const struct nst_run_call *call, struct message *m)
{
    m->iov[0] = (struct iovec){(void *)(uintptr_t)call->args[1], call->args[2]};
    m->there = (struct msghdr){.msg_iovlen = 1};
    m->total = call->args[2];
}

/* ---- Sending ------------------------------------------------------------------------------ */

/* Copies name and control messages to where the real call reads them. */
static int read_ancillary(const struct nst_run_call *call, const struct msghdr *there,
                          struct msghdr *here)
{
    if (there->msg_controllen > sizeof work.control)
        return -ENOBUFS;
    if (there->msg_name) {
        here->msg_namelen = there->msg_namelen < sizeof work.name ? there->msg_namelen
                                                                  : (socklen_t)sizeof work.name;
        here->msg_name = &work.name;
    }
    if (there->msg_control && there->msg_controllen) {
        here->msg_controllen = there->msg_controllen;
        here->msg_control = work.control;
    }
    if (nst_run_target_read(call->tid, &work.name, (uintptr_t)there->msg_name, here->msg_namelen) !=
        0)
        return -EFAULT;
    return nst_run_target_read(call->tid, work.control, (uintptr_t)there->msg_control,
                               here->msg_controllen);
}

/* Sends what work.message describes: the number of bytes, or -errno. */
static ssize_t send_datagram(const struct nst_run_call *call, int flags)
{
    struct message *m = &work.message;
    struct iovec iov = {work.data, m->total};
    struct msghdr here = {.msg_iov = &iov, .msg_iovlen = 1};
    int err = m->total > DATAGRAM_MAX ? -EMSGSIZE : read_ancillary(call, &m->there, &here);

    if (!err)
        err = nst_run_target_gather(call->tid, work.data, m->iov, m->there.msg_iovlen, m->total);
    if (err)
        return err;
    return nst_client_sendmsg(call->fd, &here, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* An address or control messages, for a stream: TCP looks at neither. */
static ssize_t send_stream(const struct nst_run_call *call, int flags)
{
    struct message *m = &work.message;
    size_t len = m->total < STREAM_PIECE ? m->total : STREAM_PIECE;
    int err = nst_run_target_gather(call->tid, work.data, m->iov, m->there.msg_iovlen, len);

    if (err)
        return err;
    if (!nst_run_call_stands(call))
        return -EINTR;
    ssize_t n = send(call->fd, work.data, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

/* Ends the call, or parks it. The signal comes after the answer: it would end the call before,
 * which would begin again, and bring the signal again. */
static void finish_sending(struct nst_run_call *call, ssize_t n, int flags, nst_run_handler *again)
{
    bool pipe = n == -EPIPE && is_stream(call) && !(flags & MSG_NOSIGNAL);
    pid_t tid = call->tid;

    if (n == -EAGAIN && may_wait(call, flags))
        nst_run_call_wait(call, NST_LOOP_OUT, again, -EAGAIN);
    else
        nst_run_call_return(call, n);
    if (pipe)
        syscall(SYS_tkill, tid, SIGPIPE);
}

/* ---- Sending that connects (Fast Open) ---------------------------------------------------- */

static bool connects(const struct nst_run_call *call, int flags)
{
    return is_stream(call) && flags & MSG_FASTOPEN && call->name.kind == NST_IPC_NAME_PROGRAM;
}

/* From the start, with a socket that is connected now. */
static void on_connected(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);
    int err = r->result ? r->result : nst_client_identify(call->fd, &call->name);

    if (err || call->name.kind != NST_IPC_NAME_END)
        nst_run_call_return(call, err ? err : -ENOTCONN);
    else if (call->nr == SYS_sendto)
        nst_run_sendto(call);
    else
        nst_run_sendmsg(call);
}

/* If it could not be set, the socket is connecting already. */
static void on_option_set(struct nst_client_request *r)
{
    r->op = NST_CLIENT_CONNECT;
    nst_run_call_ask(nst_run_call_of(r), on_connected);
}

/* Connects so that the SYN waits for the data, if the server is known to take it, or else until the
 * connection is established. */
static void connect_first(struct nst_run_call *call, const struct msghdr *there, int flags)
{
    struct nst_client_request *r = &call->request;
    const int on = 1;
    int err = nst_run_call_get_name(call, (uintptr_t)there->msg_name, there->msg_namelen, &r->addr);

    r->op = NST_CLIENT_SETSOCKOPT;
    r->addrlen = there->msg_namelen;
    r->nonblock = !may_wait(call, flags);
    r->level = IPPROTO_TCP;
    r->option = TCP_FASTOPEN_CONNECT;
    r->value_len = sizeof on;
    memcpy(r->value, &on, sizeof on);
    if (err)
        nst_run_call_return(call, err);
    else if (nst_run_is_for_host(call))
        nst_run_pass_to_host(call);
    else
        nst_run_call_ask(call, on_option_set);
}

/* ---- Sending, again ----------------------------------------------------------------------- */

void nst_run_sendto(struct nst_run_call *call)
{
    struct message *m = &work.message;
    int flags = (int)call->args[3];

    if (nst_run_divert(call, call->args[4], call->args[5], nst_run_sendto))
        return;
    make_message(call, m);
    m->there.msg_name = (void *)(uintptr_t)call->args[4];
    m->there.msg_namelen = (socklen_t)call->args[5];
    if (call->args[5] > sizeof(struct sockaddr_storage))
        nst_run_call_return(call, -EINVAL);
    else if (connects(call, flags))
        connect_first(call, &m->there, flags);
    else
        finish_sending(call,
                       is_stream(call) ? send_stream(call, flags) : send_datagram(call, flags),
                       flags, nst_run_sendto);
}

void nst_run_sendmsg(struct nst_run_call *call)
{
    const struct msghdr *there = &work.message.there;
    int flags = (int)call->args[2], err = read_message(call, call->args[1], &work.message);

    if (err)
        nst_run_call_return(call, err);
    else if (there->msg_name && connects(call, flags))
        connect_first(call, there, flags);
    else if (is_stream(call) && !there->msg_name && !there->msg_controllen)
        nst_run_call_continue(call);
    else if (!nst_run_divert(call, (uintptr_t)there->msg_name, there->msg_namelen, nst_run_sendmsg))
        finish_sending(call,
                       is_stream(call) ? send_stream(call, flags) : send_datagram(call, flags),
                       flags, nst_run_sendmsg);
}

/* ---- Receiving ---------------------------------------------------------------------------- */

/* Copies what came with a datagram to where the caller wants it; `there` gets the lengths. */
static int write_ancillary(const struct nst_run_call *call, struct msghdr *there,
                           const struct msghdr *here)
{
    socklen_t name = here->msg_namelen < there->msg_namelen ? here->msg_namelen
                                                            : there->msg_namelen;
    int err = nst_run_target_write(call->tid, (uintptr_t)there->msg_name, here->msg_name,
                                   there->msg_name ? name : 0);

    if (!err)
        err = nst_run_target_write(call->tid, (uintptr_t)there->msg_control, here->msg_control,
                                   here->msg_controllen);
    there->msg_namelen = here->msg_namelen;
    there->msg_controllen = here->msg_controllen;
    there->msg_flags = here->msg_flags;
    return err;
}

/* Receives a datagram into work.message; the number of bytes as recvmsg() says it, or -errno. */
static ssize_t receive_datagram(const struct nst_run_call *call, int flags)
{
    struct message *m = &work.message;
    struct iovec iov = {work.data, m->total < DATAGRAM_MAX ? m->total : DATAGRAM_MAX};
    size_t control = m->there.msg_control ? m->there.msg_controllen : 0;
    struct msghdr here = {
        .msg_name = &work.name,
        .msg_namelen = sizeof work.name,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = work.control,
        .msg_controllen = control < sizeof work.control ? control : sizeof work.control,
    };
    if (flags & MSG_ERRQUEUE) /* in a plural; to AF_UNIX it would be the data */
        return -EAGAIN;
    ssize_t n = nst_client_recvmsg(call->fd, &here, flags | MSG_DONTWAIT);
    if (n < 0)
        return n;
    size_t len = (size_t)n < iov.iov_len ? (size_t)n : iov.iov_len;
    if (!nst_run_call_stands(call))
        return -EINTR;
    int err = nst_run_target_scatter(call->tid, m->iov, m->there.msg_iovlen, work.data, len);
    if (!err)
        err = write_ancillary(call, &m->there, &here);
    return err ? err : n;
}

static void finish_receiving(struct nst_run_call *call, ssize_t n, int flags,
                             nst_run_handler *again)
{
    if (n == -EAGAIN && may_wait(call, flags) && !(flags & MSG_ERRQUEUE))
        nst_run_call_wait(call, NST_LOOP_IN, again, -EAGAIN);
    else
        nst_run_call_return(call, n);
}

/* Asks for the first of the queue of errors; a stream keeps none. */
static void receive_error(struct nst_run_call *call, nst_client_done *done)
{
    call->request.op = NST_CLIENT_ERROR;
    if (is_stream(call))
        nst_run_call_return(call, -EAGAIN);
    else
        nst_run_call_ask(call, done);
}

/* Lets the kernel receive from a stream, and write no name of AF_UNIX' where TCP would write none:
 * the room for it, of which the length stands at `room_at`, is nothing. (How long the name would
 * have been it tells all the same. To receive here instead would be to lose bytes when a signal
 * ends the call.) */
static void receive_nameless(struct nst_run_call *call, uint64_t room_at)
{
    const socklen_t room = 0;
    int err = nst_run_call_stands(call)
                  ? nst_run_target_write(call->tid, room_at, &room, sizeof room)
                  : -EINTR;

    if (err)
        nst_run_call_return(call, err);
    else
        nst_run_call_continue(call);
}

/* Copies what came back, and where it had been going, as recvfrom() does. */
static ssize_t write_bare_error(struct nst_run_call *call, const struct nst_client_request *r)
{
    struct message *m = &work.message;

    make_message(call, m);
    size_t len = r->value_len < m->total ? r->value_len : m->total;
    if (!nst_run_call_stands(call))
        return -EINTR;
    int err = nst_run_target_scatter(call->tid, m->iov, m->there.msg_iovlen, r->value, len);
    if (!err && call->args[4])
        err = nst_run_call_put_name(call, call->args[4], call->args[5], &r->addr, r->addrlen);
    return err ? err : (ssize_t)len;
}

static void on_bare_error(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);

    nst_run_call_return(call, r->result ? r->result : write_bare_error(call, r));
}

void nst_run_recvfrom(struct nst_run_call *call)
{
    struct msghdr *there = &work.message.there;
    int flags = (int)call->args[3];

    if (flags & MSG_ERRQUEUE) {
        receive_error(call, on_bare_error);
        return;
    }
    if (is_stream(call)) {
        receive_nameless(call, call->args[5]);
        return;
    }
    make_message(call, &work.message);
    ssize_t n = receive_datagram(call, flags);
    if (n >= 0) {
        int err = nst_run_call_put_name(call, call->args[4], call->args[5], &work.name,
                                        there->msg_namelen);
        n = err ? err : n;
    }
    finish_receiving(call, n, flags, nst_run_recvfrom);
}

/* The caller's head, once a datagram has been received. */
static int write_head(const struct nst_run_call *call, uint64_t to)
{
    return nst_run_target_write(call->tid, to, &work.message.there, sizeof work.message.there);
}

/* Copies what came back, and why, to where the caller wants it: the number of bytes, or -errno. */
static ssize_t write_error(struct nst_run_call *call, const struct nst_client_request *r)
{
    struct message *m = &work.message;
    int err = read_message(call, call->args[1], m);
    size_t room = m->there.msg_control ? m->there.msg_controllen : 0;
    struct msghdr here = {.msg_name = (void *)(uintptr_t)&r->addr,
                          .msg_namelen = m->there.msg_name ? r->addrlen : 0,
                          .msg_control = work.control,
                          .msg_flags = MSG_ERRQUEUE};

    if (err || !nst_run_call_stands(call))
        return err ? err : -EINTR;
    nst_client_put_control(&here, room < sizeof work.control ? room : sizeof work.control,
                           IPPROTO_IP, IP_RECVERR, &r->error, sizeof r->error);
    size_t len = r->value_len < m->total ? r->value_len : m->total;
    here.msg_flags |= len < r->value_len ? MSG_TRUNC : 0;
    err = nst_run_target_scatter(call->tid, m->iov, m->there.msg_iovlen, r->value, len);
    if (!err)
        err = write_ancillary(call, &m->there, &here);
    if (!err)
        err = write_head(call, call->args[1]);
    return err ? err : (ssize_t)len;
}

static void on_error(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);

    nst_run_call_return(call, r->result ? r->result : write_error(call, r));
}

void nst_run_recvmsg(struct nst_run_call *call)
{
    int flags = (int)call->args[2], err = read_message(call, call->args[1], &work.message);

    if (!err && flags & MSG_ERRQUEUE) {
        receive_error(call, on_error);
        return;
    }
    if (!err && is_stream(call)) {
        if (work.message.there.msg_name)
            receive_nameless(call, call->args[1] + offsetof(struct msghdr, msg_namelen));
        else
            nst_run_call_continue(call);
        return;
    }
    ssize_t n = err ? err : receive_datagram(call, flags);
    if (n >= 0 && (err = write_head(call, call->args[1])) != 0)
        n = err;
    finish_receiving(call, n, flags, nst_run_recvmsg);
}

/* ---- Several at once ---------------------------------------------------------------------- */

static uint64_t nth(const struct nst_run_call *call, size_t i)
{
    return call->args[1] + i * sizeof(struct mmsghdr);
}

static int write_count(const struct nst_run_call *call, size_t i, ssize_t n)
{
    unsigned count = (unsigned)n;

    return nst_run_target_write(call->tid, nth(call, i) + offsetof(struct mmsghdr, msg_len), &count,
                                sizeof count);
}

/* The i-th message, sent. */
static ssize_t send_nth(const struct nst_run_call *call, size_t i, int flags)
{
    int err = read_message(call, nth(call, i), &work.message);
    ssize_t n = err ? err : send_datagram(call, flags);

    if (n >= 0 && (err = write_count(call, i, n)) != 0)
        return err;
    return n;
}

/* The i-th message, received. */
static ssize_t receive_nth(const struct nst_run_call *call, size_t i, int flags)
{
    int err = read_message(call, nth(call, i), &work.message);
    ssize_t n = err ? err : receive_datagram(call, flags);

    if (n >= 0 && ((err = write_head(call, nth(call, i))) || (err = write_count(call, i, n))))
        return err;
    return n;
}

/* How many messages could be moved before one could not; or, if that was the first, its error. */
static ssize_t move_all(const struct nst_run_call *call,
                        ssize_t (*move)(const struct nst_run_call *, size_t, int))
{
    unsigned want = (unsigned)call->args[2], done = 0;
    ssize_t n = 0;

    while (done < want && done < VECTORS_MAX && (n = move(call, done, (int)call->args[3])) >= 0)
        done++;
    return done || n >= 0 ? (ssize_t)done : n;
}

void nst_run_sendmmsg(struct nst_run_call *call)
{
    const struct msghdr *first = &work.message.there;

    if (is_stream(call))
        nst_run_call_continue(call);
    else if (call->args[2] == 0 || read_message(call, nth(call, 0), &work.message) != 0 ||
             !nst_run_divert(call, (uintptr_t)first->msg_name, first->msg_namelen,
                             nst_run_sendmmsg))
        finish_sending(call, move_all(call, send_nth), (int)call->args[3], nst_run_sendmmsg);
}

/* The kernel looks at the timeout before all else. */
static int check_timeout(const struct nst_run_call *call, uint64_t at)
{
    struct timespec timeout = {0};

    if (at && nst_run_target_read(call->tid, &timeout, at, sizeof timeout) != 0)
        return -EFAULT;
    return nst_client_is_time(&timeout) ? 0 : -EINVAL;
}

/* It returns with what is there, at least one: as with MSG_WAITFORONE. To collect more and then be
 * interrupted would be to lose them. */
void nst_run_recvmmsg(struct nst_run_call *call)
{
    int err = is_stream(call) ? 0 : check_timeout(call, call->args[4]);

    if (is_stream(call))
        nst_run_call_continue(call);
    else if (err)
        nst_run_call_return(call, err);
    else
        finish_receiving(call, move_all(call, receive_nth), (int)call->args[3], nst_run_recvmmsg);
}
