/* A request is a short row of calls to the daemon, with what is to be done to the descriptor in
 * between. Its `step` is the function that takes the next answer. */
#include "client/request.h"

#include "client/hints.h"
#include "client/local.h"
#include "client/options.h"
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "ipc/conn.h"
#include "ipc/path.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWERS_BUDGET 64

struct nst_client_conn {
    struct nst_loop *loop;
    char name[NST_IPC_NAME_MAX + 1];
    struct nst_ipc_conn ipc; /* fd -1: not connected */
    struct nst_loop_fd source;
    struct nst_list requests;
    uint32_t last_call;
    uint8_t buf[NST_IPC_MSG_MAX];
};

static struct nst_client_request *request_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_client_request, node);
}

/* ---- The end of a request -------------------------------------------------------------------- */

static void on_finish(struct nst_loop *loop, struct nst_loop_task *task)
{
    struct nst_client_request *r = NST_CONTAINER(task, struct nst_client_request, finish);

    (void)loop;
    r->conn = NULL;
    r->done(r);
}

static void finish(struct nst_client_request *r, int result)
{
    r->result = result;
    r->call = 0;
    nst_list_del(&r->node);
    nst_loop_task_post(r->conn->loop, &r->finish);
}

void nst_client_cancel(struct nst_client_request *r)
{
    if (!r->conn)
        return;
    nst_list_del(&r->node);
    nst_loop_task_cancel(&r->finish);
    r->conn = NULL;
}

/* ---- The connection to the daemon ------------------------------------------------------------ */

static void disconnect(struct nst_client_conn *c)
{
    if (c->ipc.fd < 0)
        return;
    nst_loop_fd_del(&c->source);
    nst_ipc_conn_fini(&c->ipc);
    NST_LIST_FOREACH_SAFE (e, &c->requests) {
        struct nst_client_request *r = request_of(e);
        if (r->call)
            r->step(r, -ENETDOWN, NULL, -1);
    }
}

/* Waits for room as well while something waits to be sent. */
static void update_interest(struct nst_client_conn *c)
{
    unsigned events = NST_LOOP_IN | (nst_ipc_conn_waiting(&c->ipc) ? NST_LOOP_OUT : 0);

    if (c->ipc.fd >= 0 && nst_loop_fd_modify(&c->source, events) != 0)
        disconnect(c);
}

static void take_answer(struct nst_client_conn *c, const struct nst_ipc_msg *msg, int passed)
{
    struct nst_client_request *r = NULL;
    const char *message;

    NST_LIST_FOREACH (e, &c->requests)
        if (request_of(e)->call == msg->header.id)
            r = request_of(e);
    json_t *body = r ? nst_ipc_json_parse(msg->body, msg->header.len) : NULL;
    int err = msg->header.type == NST_IPC_ERROR ? -nst_ipc_error_parse(body, &message) : 0;
    if (passed >= 0 && !body) {
        close(passed); /* whoever wanted it has cancelled, or has no memory for it */
        passed = -1;
    }
    if (r) {
        r->call = 0;
        r->step(r, body ? err : -ENOMEM, body, passed);
    }
    json_decref(body);
}

static bool on_conn(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                    unsigned budget)
{
    struct nst_client_conn *c = source->arg;
    struct nst_ipc_msg msg;
    int passed, err = nst_ipc_conn_flush(&c->ipc);

    (void)loop, (void)events;
    for (; budget > 0 && !err; budget--) {
        err = nst_ipc_packet_recv(c->ipc.fd, c->buf, &msg, &passed);
        if (!err && (msg.header.type == NST_IPC_REPLY || msg.header.type == NST_IPC_ERROR))
            take_answer(c, &msg, passed);
        else if (!err && passed >= 0)
            close(passed);
        if (c->ipc.fd < 0)
            return false;
    }
    if (err && err != -EAGAIN)
        disconnect(c);
    else
        update_interest(c);
    return !err;
}

/* Without waiting: a daemon that has no room for another client now is taken for none. */
static int ensure_connected(struct nst_client_conn *c)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char why[NST_IPC_WHY];

    if (c->ipc.fd >= 0)
        return 0;
    int err = nst_ipc_path(addr.sun_path, c->name, why);
    int fd = err ? err : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err ? err : -errno;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        close(fd);
        return -ENETDOWN;
    }
    nst_ipc_conn_init(&c->ipc, fd);
    err = nst_loop_fd_add(c->loop, &c->source, fd, NST_LOOP_IN);
    if (err)
        nst_ipc_conn_fini(&c->ipc);
    return err;
}

/* Calls the daemon; `step` gets the answer. */
static void call_take(struct nst_client_request *r, json_t *call, nst_client_step *step)
{
    struct nst_client_conn *c = r->conn;
    char *text = call ? json_dumps(call, JSON_COMPACT) : NULL;
    int err = text ? ensure_connected(c) : -ENOMEM;

    json_decref(call);
    if (!err) {
        struct nst_slice body = {text, strlen(text)};
        c->last_call += c->last_call == UINT32_MAX ? 2 : 1; /* 0 stands for no call */
        err = nst_ipc_conn_send(&c->ipc, NST_IPC_CALL, c->last_call, &body, 1);
    }
    free(text);
    if (err) {
        step(r, err == -ENOMEM || err == -ENOBUFS || err == -EMFILE ? err : -ENETDOWN, NULL, -1);
        return;
    }
    r->call = c->last_call;
    r->step = step;
    update_interest(c);
}

/* The beginning of a call about the request's socket. */
static json_t *about(const struct nst_client_request *r, const char *op)
{
    char token[NST_IPC_TOKEN_TEXT];

    return json_pack("{s:s, s:s}", "op", op, "socket", nst_ipc_token_print(token, &r->name.token));
}

static json_t *about_end(const struct nst_client_request *r, const char *op,
                         const struct nst_sockaddr *end)
{
    json_t *call = about(r, op);
    char text[NST_ADDR_TEXT];

    if (nst_addr_is_set(&end->addr))
        json_object_set_new(call, "address", json_string(nst_addr_print(text, &end->addr)));
    json_object_set_new(call, "port", json_integer(end->port));
    return call;
}

/* An end that an answer tells. */
static struct nst_sockaddr end_in(const json_t *answer, const char *addr_key, const char *port_key)
{
    struct nst_sockaddr end = {
        .port = (uint16_t)json_integer_value(json_object_get(answer, port_key))};
    const char *text = json_string_value(json_object_get(answer, addr_key));

    if (text)
        (void)nst_addr_parse(&end.addr, text);
    return end;
}

/* Most requests are done with one answer. */
static void after_call(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    (void)answer, (void)passed;
    finish(r, err);
}

/* ---- socket() -------------------------------------------------------------------------------- */

enum {
    TYPES = 11,     /* of sockets, to Linux */
    PROTOCOLS = 263 /* IPPROTO_MAX of Linux, which counts some that IP cannot carry */
};

/* The protocol, or the errno that the kernel would give. */
static int protocol_of(const struct nst_client_request *r)
{
    int type = r->type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (type < 0 || type >= TYPES)
        return -EINVAL;
    if (r->domain != AF_INET)
        return -EAFNOSUPPORT;
    if (r->protocol < 0 || r->protocol >= PROTOCOLS)
        return -EINVAL;
    switch (type) {
    case SOCK_STREAM:
        return r->protocol == 0 || r->protocol == IPPROTO_TCP ? IPPROTO_TCP : -EPROTONOSUPPORT;
    case SOCK_DGRAM:
        if (r->protocol == IPPROTO_ICMP)
            return IPPROTO_ICMP;
        return r->protocol == 0 || r->protocol == IPPROTO_UDP ? IPPROTO_UDP : -EPROTONOSUPPORT;
    case SOCK_RAW:
        return r->protocol == 0 ? -EPROTONOSUPPORT : -EPERM;
    case SOCK_PACKET: /* the old name of AF_PACKET */
        return -EPERM;
    default:
        return -ESOCKTNOSUPPORT;
    }
}

/* The flags as asked for; the daemon passed it non-blocking, and closed on exec(). */
static void set_flags(int fd, int type)
{
    if (!(type & SOCK_NONBLOCK))
        (void)fcntl(fd, F_SETFL, 0);
    if (!(type & SOCK_CLOEXEC))
        (void)fcntl(fd, F_SETFD, 0);
}

static void after_open(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    (void)answer;
    if (passed >= 0)
        set_flags(passed, r->type);
    finish(r, err ? err : passed >= 0 ? passed : -EMFILE); /* there was no room for it here */
}

static void do_socket(struct nst_client_request *r)
{
    int protocol = protocol_of(r);
    pid_t pid = r->pid ? r->pid : getpid();

    if (protocol < 0)
        finish(r, protocol);
    else
        call_take(r,
                  json_pack("{s:s, s:i, s:i}", "op", "open", "protocol", protocol, "pid", (int)pid),
                  after_open);
}

/* ---- bind(), listen() ------------------------------------------------------------------------ */

static void do_bind(struct nst_client_request *r)
{
    struct nst_sockaddr local;
    struct sockaddr_in *in = (struct sockaddr_in *)&r->addr;

    if (in->sin_family == AF_UNSPEC && in->sin_addr.s_addr == INADDR_ANY)
        in->sin_family = AF_INET; /* as Linux takes it */
    int err = nst_client_addr_read(&local, (const struct sockaddr *)in, r->addrlen);

    if (err)
        finish(r, err);
    else
        call_take(r, about_end(r, "bind", &local), after_call);
}

/* First the program's end, so that the daemon finds it listening. */
static void do_listen(struct nst_client_request *r)
{
    json_t *call;

    if (r->name.protocol != IPPROTO_TCP) {
        finish(r, -EOPNOTSUPP);
    } else if (listen(r->fd, r->backlog) != 0) {
        finish(r, -errno);
    } else {
        call = about(r, "listen");
        json_object_set_new(call, "backlog", json_integer(r->backlog));
        call_take(r, call, after_call);
    }
}

/* ---- connect() ------------------------------------------------------------------------------- */

/* Connects the program's end with the daemon's. */
static int join(const struct nst_client_request *r, const json_t *answer)
{
    const struct nst_ipc_sockname end = {.kind = NST_IPC_NAME_END,
                                         .protocol = r->name.protocol,
                                         .token = r->name.token,
                                         .local = end_in(answer, "address", "port"),
                                         .peer = end_in(answer, "peer_address", "peer_port")};
    struct sockaddr_un addr;
    socklen_t len = nst_ipc_name_emit(&end, &addr);

    if (connect(r->fd, (const struct sockaddr *)&addr, len) == 0)
        return 0;
    return errno == ECONNREFUSED ? -ENETDOWN : -errno; /* nobody is there any more */
}

/* Writes until it is not writable, and one byte more, which is to stay as the sentinel. Returns how
 * many bytes that are. */
static size_t fill(int fd)
{
    static const char zeros[16 * 1024];
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    size_t total = 0;
    ssize_t n = 1;

    while (n > 0 && poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT)) {
        n = send(fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL);
        total += n > 0 ? (size_t)n : 0;
    }
    return total + (send(fd, zeros, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1);
}

/* What the kernel says has happened to an AF_UNIX socket whose other end has gone; no longer. */
static int take_kernels_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

static void after_begin(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    (void)answer, (void)passed;
    if (err && err != -ENETDOWN && !r->nonblock)
        (void)take_kernels_error(r->fd); /* connect() tells of it */
    finish(r, r->nonblock && !err ? -EINPROGRESS : err);
}

/* `filler` 0: only waits. */
static void begin(struct nst_client_request *r, size_t filler)
{
    json_t *call = about(r, "begin");

    json_object_set_new(call, "filler", json_integer((json_int_t)filler));
    json_object_set_new(call, "wait", json_boolean(!r->nonblock));
    call_take(r, call, after_begin);
}

static void after_connect(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    bool stream = r->name.protocol == IPPROTO_TCP;

    (void)passed;
    if (err == -EALREADY && !r->nonblock)
        begin(r, 0);
    else if (err || (stream && !json_is_true(json_object_get(answer, "begun"))))
        finish(r, err);
    else if ((err = join(r, answer)) || !stream)
        finish(r, err);
    else
        begin(r, fill(r->fd));
}

/* The descriptor is connected with nobody any more. */
static int part(int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    return connect(fd, &nobody, sizeof nobody) == 0 ? 0 : -errno;
}

/* connect() to nobody, which ends the association of a datagram socket. */
static void disassociate(struct nst_client_request *r)
{
    const struct nst_sockaddr none = {.port = 0};
    int err = r->name.protocol == IPPROTO_TCP ? 0 : part(r->fd);

    if (r->name.protocol == IPPROTO_TCP)
        finish(r, r->name.kind == NST_IPC_NAME_PROGRAM ? 0 : -EOPNOTSUPP);
    else if (err)
        finish(r, err);
    else
        call_take(r, about_end(r, "connect", &none), after_call);
}

static void do_connect(struct nst_client_request *r)
{
    struct nst_sockaddr to;
    int err = nst_client_addr_read(&to, (const struct sockaddr *)&r->addr, r->addrlen);

    if (r->addrlen >= sizeof(sa_family_t) && r->addr.ss_family == AF_UNSPEC) {
        disassociate(r);
        return;
    }
    if (!err && !nst_addr_is_set(&to.addr)) /* this host, says 4.4BSD */
        (void)nst_addr_parse(&to.addr, "127.0.0.1");
    if (!err && r->name.protocol != IPPROTO_TCP)
        err = part(r->fd); /* its present peer's end lets no other one come to it */
    if (err)
        finish(r, err);
    else
        call_take(r, about_end(r, "connect", &to), after_connect);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void after_name(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    const struct nst_sockaddr local = end_in(answer, "address", "port");

    (void)passed;
    r->addrlen = sizeof r->addr;
    nst_client_addr_write(&local, (struct sockaddr *)&r->addr, &r->addrlen);
    finish(r, err);
}

static void do_getsockname(struct nst_client_request *r)
{
    r->addrlen = sizeof r->addr;
    int err = nst_client_sockname(r->fd, (struct sockaddr *)&r->addr, &r->addrlen);

    if (err == -EAGAIN)
        call_take(r, about(r, "name"), after_name);
    else
        finish(r, err);
}

static void do_getpeername(struct nst_client_request *r)
{
    r->addrlen = sizeof r->addr;
    finish(r, nst_client_getpeername(r->fd, (struct sockaddr *)&r->addr, &r->addrlen));
}

/* ---- Options --------------------------------------------------------------------------------- */

static json_t *about_option(const struct nst_client_request *r, const char *op)
{
    json_t *call = about(r, op);

    json_object_set_new(call, "level", json_integer(r->level));
    json_object_set_new(call, "option", json_integer(r->option));
    return call;
}

/* Whether the level is one of the socket's. */
static bool speaks_level(const struct nst_client_request *r)
{
    return r->level == SOL_SOCKET || r->level == IPPROTO_IP || r->level == r->name.protocol;
}

/* One that has ended can be set to anything. */
static void after_setsockopt(struct nst_client_request *r, int err, const json_t *answer,
                             int passed)
{
    (void)answer, (void)passed;
    finish(r, err == -ENOTCONN ? 0 : err);
}

/* What means nothing to a datagram socket, but is remembered. */
static bool is_streams_own(const struct nst_client_request *r)
{
    return r->name.protocol != IPPROTO_TCP &&
           (r->option == SO_KEEPALIVE || r->option == SO_OOBINLINE);
}

static void do_setsockopt(struct nst_client_request *r)
{
    char digits[2 * NST_CLIENT_VALUE_MAX + 1] = "";
    int err;
    enum nst_client_answers who = nst_client_option(r->level, r->option, &err);

    if (!speaks_level(r))
        err = -ENOPROTOOPT;
    else if (r->level == SOL_SOCKET && r->value_len < sizeof(int))
        err = -EINVAL; /* the kernel looks at the length first */
    else if (r->level == IPPROTO_TCP && r->option == TCP_NODELAY)
        err = nst_client_set_hint(r->fd, r->option, r->value, r->value_len);
    else if (who == NST_CLIENT_BY_US || (r->level == SOL_SOCKET && r->option == SO_ERROR))
        err = -ENOPROTOOPT;
    else if (who == NST_CLIENT_BY_BOTH && is_streams_own(r))
        who = NST_CLIENT_BY_KERNEL;
    if (!err && (who == NST_CLIENT_BY_KERNEL || who == NST_CLIENT_BY_BOTH) &&
        setsockopt(r->fd, r->level, r->option, r->value, r->value_len) != 0)
        err = -errno;
    if (err || who == NST_CLIENT_BY_KERNEL || who == NST_CLIENT_BY_US) {
        finish(r, err);
        return;
    }
    nst_ipc_hex_print(digits, r->value, nst_min(r->value_len, sizeof r->value));
    json_t *call = about_option(r, "setsockopt");
    json_object_set_new(call, "value", json_string(digits));
    call_take(r, call, after_setsockopt);
}

static void put_int(struct nst_client_request *r, int value)
{
    r->value_len = (socklen_t)nst_min(r->value_len, sizeof value);
    memcpy(r->value, &value, r->value_len);
    finish(r, 0);
}

/* The kernel knows of a reset, the daemon of what else went wrong, perhaps since the kernel was
 * asked; asking clears both. */
static void after_error(struct nst_client_request *r, int err, const json_t *answer, int passed)
{
    int ours = 0, kernels = take_kernels_error(r->fd);

    (void)passed;
    if (err == -ENETDOWN) {
        put_int(r, ENETDOWN);
        return;
    }
    if (!err)
        (void)nst_ipc_hex_parse((uint8_t *)&ours, sizeof ours,
                                json_string_value(json_object_get(answer, "value")));
    kernels = kernels ? kernels : r->kernels_error;
    if (r->name.protocol != IPPROTO_TCP && kernels == ECONNRESET) /* raised since we asked */
        kernels = ECONNREFUSED;
    put_int(r, ours ? ours : kernels);
}

static void after_getsockopt(struct nst_client_request *r, int err, const json_t *answer,
                             int passed)
{
    int len = err ? 0
                  : nst_ipc_hex_parse(r->value, sizeof r->value,
                                      json_string_value(json_object_get(answer, "value")));

    (void)passed;
    r->value_len = len > 0 ? (socklen_t)len : 0;
    finish(r, err ? err : len < 0 ? -ENETDOWN : 0);
}

/* What a connection has from its listener, of which its own descriptor knows nothing. */
static bool may_be_inherited(const struct nst_client_request *r)
{
    return r->name.protocol == IPPROTO_TCP && r->level == SOL_SOCKET &&
           (r->option == SO_KEEPALIVE || r->option == SO_OOBINLINE || r->option == SO_REUSEADDR);
}

static void do_getsockopt(struct nst_client_request *r)
{
    int err;
    enum nst_client_answers who = nst_client_option(r->level, r->option, &err);
    bool is_error = r->level == SOL_SOCKET && r->option == SO_ERROR;

    if (!speaks_level(r))
        err = -EOPNOTSUPP;
    else if (r->value_len > INT32_MAX)
        err = -EINVAL;
    r->value_len = (socklen_t)nst_min(r->value_len, sizeof r->value);
    if (err) {
        finish(r, err);
    } else if (who == NST_CLIENT_BY_US && r->level == IPPROTO_TCP) {
        finish(r, nst_client_get_hint(r->fd, r->option, r->value, &r->value_len));
    } else if (who == NST_CLIENT_BY_US) {
        put_int(r, r->option == SO_DOMAIN ? AF_INET : r->name.protocol);
    } else if (who != NST_CLIENT_BY_DAEMON && !may_be_inherited(r)) {
        err = getsockopt(r->fd, r->level, r->option, r->value, &r->value_len) == 0 ? 0 : -errno;
        finish(r, err);
    } else {
        json_t *call = about_option(r, "getsockopt");
        json_object_set_new(call, "length", json_integer(is_error ? sizeof(int) : r->value_len));
        if (is_error) {
            r->kernels_error = take_kernels_error(r->fd);
            json_object_set_new(call, "raised", json_boolean(r->kernels_error));
        }
        call_take(r, call, is_error ? after_error : after_getsockopt);
    }
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static uint8_t byte_in(const json_t *answer, const char *key)
{
    return (uint8_t)json_integer_value(json_object_get(answer, key));
}

/* The error that poll() told of goes with the first: AF_UNIX knows but one. */
static void after_queued_error(struct nst_client_request *r, int err, const json_t *answer,
                               int passed)
{
    const struct nst_sockaddr to = end_in(answer, "address", "port"),
                              offender = end_in(answer, "offender", "");
    bool icmp = json_is_true(json_object_get(answer, "icmp"));
    socklen_t len = sizeof r->error.offender;
    int sent = err ? 0
                   : nst_ipc_hex_parse(r->value, sizeof r->value,
                                       json_string_value(json_object_get(answer, "sent")));

    (void)passed;
    (void)take_kernels_error(r->fd);
    r->value_len = sent > 0 ? (socklen_t)sent : 0;
    r->addrlen = sizeof r->addr;
    nst_client_addr_write(&to, (struct sockaddr *)&r->addr, &r->addrlen);
    nst_client_addr_write(&offender, (struct sockaddr *)&r->error.offender, &len);
    if (!nst_addr_is_set(&offender.addr))
        r->error.offender.sin_family = AF_UNSPEC;
    r->error.what = (struct sock_extended_err){
        .ee_errno = (uint32_t)json_integer_value(json_object_get(answer, "errno")),
        .ee_origin = icmp ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_LOCAL,
        .ee_type = byte_in(answer, "type"),
        .ee_code = byte_in(answer, "code"),
        .ee_info = (uint32_t)json_integer_value(json_object_get(answer, "info"))};
    finish(r, err);
}

static void do_error(struct nst_client_request *r)
{
    call_take(r, about(r, "error"), after_queued_error);
}

/* ---- Those that have gone -------------------------------------------------------------------- */

static void do_sweep(struct nst_client_request *r)
{
    call_take(r, json_pack("{s:s}", "op", "sweep"), after_call);
}

/* ---- Requests -------------------------------------------------------------------------------- */

void nst_client_submit(struct nst_client_conn *conn, struct nst_client_request *r)
{
    static void (*const ops[])(struct nst_client_request *) = {
        [NST_CLIENT_SOCKET] = do_socket,
        [NST_CLIENT_BIND] = do_bind,
        [NST_CLIENT_CONNECT] = do_connect,
        [NST_CLIENT_LISTEN] = do_listen,
        [NST_CLIENT_GETSOCKNAME] = do_getsockname,
        [NST_CLIENT_GETPEERNAME] = do_getpeername,
        [NST_CLIENT_SETSOCKOPT] = do_setsockopt,
        [NST_CLIENT_GETSOCKOPT] = do_getsockopt,
        [NST_CLIENT_ERROR] = do_error,
        [NST_CLIENT_SWEEP] = do_sweep,
    };

    r->conn = conn;
    r->call = 0;
    r->finish = (struct nst_loop_task){.fn = on_finish};
    nst_list_push_back(&conn->requests, &r->node);
    bool is_about_one = r->op != NST_CLIENT_SOCKET && r->op != NST_CLIENT_SWEEP;
    int err = is_about_one ? nst_client_identify(r->fd, &r->name) : 0;
    if (err)
        finish(r, err);
    else
        ops[r->op](r);
}

int nst_client_conn_new(struct nst_client_conn **out, struct nst_loop *loop, const char *name)
{
    struct nst_client_conn *c = calloc(1, sizeof *c);
    char path[NST_IPC_PATH_MAX], why[NST_IPC_WHY];

    if (!c)
        return -ENOMEM;
    name = nst_ipc_name(name);
    int err = nst_ipc_path(path, name, why);
    if (err) {
        free(c);
        return err;
    }
    strncpy(c->name, name, NST_IPC_NAME_MAX);
    c->loop = loop;
    c->ipc.fd = -1;
    c->source = (struct nst_loop_fd){.fn = on_conn, .arg = c, .budget = ANSWERS_BUDGET};
    nst_list_init(&c->requests);
    *out = c;
    return 0;
}

void nst_client_conn_free(struct nst_client_conn *c)
{
    if (!c)
        return;
    NST_LIST_FOREACH_SAFE (e, &c->requests)
        nst_client_cancel(request_of(e));
    disconnect(c);
    free(c);
}
