/* How a connection ends. Anything may find that it has to: reading garbage, a failed send in the
 * middle of the daemon's own work. So ending is only noted (`ended`), the socket is taken off the
 * loop, and a task does the rest at the end of the turn, when nobody holds the peer. */
#include "ipc/server.h"

#include "core/base/bytes.h"
#include "ipc/conn.h"
#include "ipc/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPT_BUDGET = 16,  /* new clients in one turn */
    MESSAGE_BUDGET = 16, /* messages of one client in one turn */
};

struct nst_ipc_peer {
    struct nst_ipc_server *server;
    struct nst_ipc_conn conn;
    struct nst_loop_fd source;
    unsigned interest;           /* what the source waits for */
    struct nst_loop_timer pause; /* active: nothing is read until it is over */
    struct ucred cred;
    bool ended;
    uint32_t frames_lost;
    void *data;
};

struct nst_ipc_server {
    struct nst_loop *loop;
    struct nst_loop_fd source;
    struct nst_loop_task reap;
    struct nst_ipc_listener listener;
    int spare_fd; /* given up to accept, and so to refuse, a client when descriptors run out */
    const struct nst_ipc_ops *ops;
    void *ctx;
    uid_t owner;
    json_t *hello;
    struct nst_ipc_server_stats stats;
    struct nst_ipc_peer *peers[NST_IPC_PEERS_MAX]; /* the first stats.clients are in use */
    uint8_t buf[NST_IPC_MSG_MAX];
};

static bool is_owner(const struct nst_ipc_server *server, uid_t uid)
{
    return uid == 0 || uid == server->owner;
}

/* ---- Ending ---- */

static void peer_end(struct nst_ipc_peer *peer)
{
    if (peer->ended)
        return;
    peer->ended = true;
    nst_loop_fd_del(&peer->source);
    nst_loop_timer_stop(&peer->pause);
    nst_loop_task_post(peer->server->loop, &peer->server->reap);
}

static void peer_malformed(struct nst_ipc_peer *peer)
{
    peer->server->stats.malformed++;
    peer_end(peer);
}

/* Frees the peer at `index`; the last one takes its place. */
static void peer_free(struct nst_ipc_server *server, size_t index)
{
    struct nst_ipc_peer *peer = server->peers[index];

    server->peers[index] = server->peers[--server->stats.clients];
    peer->ended = true;
    server->ops->closed(server->ctx, peer);
    nst_loop_fd_del(&peer->source);
    nst_loop_timer_stop(&peer->pause);
    nst_ipc_conn_fini(&peer->conn);
    free(peer);
}

static void on_reap(struct nst_loop *loop, struct nst_loop_task *task)
{
    struct nst_ipc_server *server = task->arg;
    (void)loop;

    for (size_t i = server->stats.clients; i-- > 0;)
        if (server->peers[i]->ended)
            peer_free(server, i);
}

/* ---- Sending ---- */

static bool may_read(const struct nst_ipc_peer *peer)
{
    return !peer->ended && !peer->pause.loop && !nst_ipc_conn_backlogged(&peer->conn);
}

/* Waits for what there is to wait for: calls, unless it is not their turn; room, if answers do. */
static void peer_update(struct nst_ipc_peer *peer)
{
    unsigned interest = (may_read(peer) ? NST_LOOP_IN : 0u) |
                        (nst_ipc_conn_waiting(&peer->conn) ? NST_LOOP_OUT : 0u);

    if (peer->ended || interest == peer->interest)
        return;
    if (nst_loop_fd_modify(&peer->source, interest) < 0)
        peer_end(peer);
    peer->interest = interest;
}

/* Takes the descriptor `passed`; -1 is none. 0; -ENOBUFS or -EMSGSIZE when the message was not
 * sent; -EPIPE when the connection is at its end. */
static int peer_send(struct nst_ipc_peer *peer, uint16_t type, uint32_t id,
                     const struct nst_slice *parts, size_t n, int passed)
{
    int err;

    if (peer->ended) {
        if (passed >= 0)
            close(passed);
        return -EPIPE;
    }
    err = nst_ipc_conn_pass_take(&peer->conn, type, id, parts, n, passed);
    if (err && err != -ENOBUFS && err != -EMSGSIZE) {
        peer_end(peer);
        return -EPIPE;
    }
    peer_update(peer);
    return err;
}

/* Control can't be dropped: no room is the end. */
static int send_json(struct nst_ipc_peer *peer, uint16_t type, uint32_t id, const json_t *json,
                     int passed)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (!text) {
        if (passed >= 0)
            close(passed);
        return -ENOMEM;
    }
    struct nst_slice body = {text, strlen(text)};
    int err = peer_send(peer, type, id, &body, 1, passed);
    if (err == -ENOBUFS)
        peer_end(peer);
    free(text);
    return err;
}

void nst_ipc_reply_pass_take(struct nst_ipc_peer *peer, uint32_t id, json_t *result, int passed)
{
    int err = send_json(peer, NST_IPC_REPLY, id, result, passed);

    json_decref(result);
    if (err == -EMSGSIZE)
        nst_ipc_error(peer, id, err, "the answer is too long for one message");
    else if (err == -ENOMEM)
        nst_ipc_error(peer, id, err, "the daemon has no memory for the answer");
}

void nst_ipc_reply_take(struct nst_ipc_peer *peer, uint32_t id, json_t *result)
{
    nst_ipc_reply_pass_take(peer, id, result, -1);
}

void nst_ipc_error(struct nst_ipc_peer *peer, uint32_t id, int err, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_t *body = nst_ipc_error_new(-err, message);
    if (send_json(peer, NST_IPC_ERROR, id, body, -1) == -ENOMEM)
        peer_end(peer);
    json_decref(body);
}

/* Sends a fixed part and slices, of which there are at most NST_PKT_SLICES. */
static bool send_data(struct nst_ipc_peer *peer, uint16_t type, uint32_t id, struct nst_slice fixed,
                      const struct nst_slice *slices, size_t n)
{
    struct nst_slice parts[NST_IPC_PARTS] = {fixed};

    n = nst_min(n, NST_PKT_SLICES);
    for (size_t i = 0; i < n; i++)
        parts[1 + i] = slices[i];
    if (peer_send(peer, type, id, parts, 1 + n, -1) == 0)
        return true;
    peer->server->stats.dropped++;
    return false;
}

bool nst_ipc_datagram_send(struct nst_ipc_peer *peer, const struct nst_ipc_datagram *datagram,
                           const struct nst_slice *slices, size_t n)
{
    uint8_t bytes[NST_IPC_DATAGRAM_HLEN];

    nst_ipc_datagram_emit(datagram, bytes);
    return send_data(peer, NST_IPC_DATAGRAM, 0, (struct nst_slice){bytes, sizeof bytes}, slices, n);
}

/* Copies the slices that hold the first `max` bytes; returns how many. */
static size_t cut(struct nst_slice *out, const struct nst_slice *slices, size_t n, size_t max)
{
    size_t i = 0;

    for (; i < n && i < NST_PKT_SLICES && max > 0; i++) {
        out[i] = (struct nst_slice){slices[i].base, nst_min(slices[i].len, max)};
        max -= out[i].len;
    }
    return i;
}

bool nst_ipc_frame_send(struct nst_ipc_peer *peer, uint32_t id, const struct nst_ipc_frame *frame,
                        const struct nst_slice *slices, size_t n, size_t snaplen)
{
    uint8_t bytes[NST_IPC_FRAME_HLEN];
    struct nst_slice first[NST_PKT_SLICES];
    struct nst_ipc_frame with_lost = *frame;

    peer->frames_lost += frame->lost;
    with_lost.lost = peer->frames_lost;
    nst_ipc_frame_emit(&with_lost, bytes);
    n = cut(first, slices, n, nst_min(snaplen, NST_IPC_BODY_MAX - NST_IPC_FRAME_HLEN));
    bool sent =
        send_data(peer, NST_IPC_FRAME, id, (struct nst_slice){bytes, sizeof bytes}, first, n);
    if (!sent)
        peer->frames_lost++;
    return sent;
}

/* ---- Receiving ---- */

static void handle_call(struct nst_ipc_peer *peer, const struct nst_ipc_msg *msg)
{
    struct nst_ipc_server *server = peer->server;
    json_t *args = nst_ipc_json_parse(msg->body, msg->header.len);
    const char *op = json_string_value(json_object_get(args, "op"));

    if (!args)
        peer_malformed(peer);
    else if (!op)
        nst_ipc_error(peer, msg->header.id, -EINVAL, "a call names its operation in \"op\"");
    else
        server->ops->call(server->ctx, peer, msg->header.id, op, args);
    json_decref(args);
}

static void handle_datagram(struct nst_ipc_peer *peer, const struct nst_ipc_msg *msg)
{
    struct nst_ipc_server *server = peer->server;
    struct nst_ipc_datagram datagram;

    if (nst_ipc_datagram_parse(&datagram, msg->body, msg->header.len) < 0)
        peer_malformed(peer);
    else
        server->ops->datagram(server->ctx, peer, &datagram, msg->body + NST_IPC_DATAGRAM_HLEN,
                              msg->header.len - NST_IPC_DATAGRAM_HLEN);
}

static void on_pause_over(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)loop;
    peer_update(timer->arg);
}

/* Lets the next message wait, if there have been too many. */
static void pace(struct nst_ipc_peer *peer, size_t len)
{
    const struct nst_ipc_server *server = peer->server;
    uint64_t wait_ns = server->ops->pace ? server->ops->pace(server->ctx, peer, len) : 0;

    if (wait_ns)
        nst_loop_timer_after(server->loop, &peer->pause, wait_ns);
}

/* Receives and handles one message. Returns whether there was one. */
static bool peer_receive(struct nst_ipc_peer *peer)
{
    struct nst_ipc_msg msg;
    int err = nst_ipc_packet_recv(peer->conn.fd, peer->server->buf, &msg, NULL);

    if (err == -EAGAIN)
        return false;
    if (err == -EPROTO || err == -EPROTONOSUPPORT)
        peer_malformed(peer);
    else if (err)
        peer_end(peer);
    else if (msg.header.type == NST_IPC_CALL)
        handle_call(peer, &msg);
    else if (msg.header.type == NST_IPC_DATAGRAM)
        handle_datagram(peer, &msg);
    else
        peer_malformed(peer);
    if (!peer->ended)
        pace(peer, NST_IPC_HLEN + msg.header.len);
    return true;
}

static bool on_peer(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                    unsigned budget)
{
    struct nst_ipc_peer *peer = NST_CONTAINER(source, struct nst_ipc_peer, source);
    bool more = true;
    (void)loop;
    (void)events; /* a hint; both calls say by themselves when there is nothing to do */

    if (nst_ipc_conn_flush(&peer->conn) < 0)
        peer_end(peer);
    for (; budget > 0 && more; budget--)
        more = may_read(peer) && peer_receive(peer);
    peer_update(peer);
    return more;
}

/* ---- Accepting ---- */

static size_t count_user(const struct nst_ipc_server *server, uid_t uid)
{
    size_t n = 0;

    for (size_t i = 0; i < server->stats.clients; i++)
        n += server->peers[i]->cred.uid == uid;
    return n;
}

/* Why a user's next client can't be let in; NULL if it can. */
static const char *refusal(const struct nst_ipc_server *server, uid_t uid)
{
    size_t max = NST_IPC_PEERS_MAX - (is_owner(server, uid) ? 0 : NST_IPC_PEERS_RESERVED);

    if (server->stats.clients >= max)
        return "the daemon has too many clients";
    if (count_user(server, uid) >= NST_IPC_PEERS_PER_USER)
        return "the daemon has too many clients of this user";
    return NULL;
}

static void refuse(struct nst_ipc_server *server, int fd, const char *message)
{
    json_t *body = nst_ipc_error_new(EUSERS, message);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (text) {
        struct nst_slice slice = {text, strlen(text)};
        /* It fits into an empty socket; if not, the client sees the end only. */
        (void)nst_ipc_packet_send(fd, NST_IPC_ERROR, 0, &slice, 1);
    }
    free(text);
    json_decref(body);
    nst_ipc_packet_close(fd);
    server->stats.refused++;
}

/* Takes the connection over, and closes it on failure. */
static struct nst_ipc_peer *peer_new(struct nst_ipc_server *server, int fd,
                                     const struct ucred *cred)
{
    struct nst_ipc_peer *peer = calloc(1, sizeof *peer);

    if (!peer) {
        nst_ipc_packet_close(fd);
        return NULL;
    }
    peer->server = server;
    peer->cred = *cred;
    peer->source.fn = on_peer;
    peer->source.budget = MESSAGE_BUDGET;
    peer->interest = NST_LOOP_IN;
    peer->pause = (struct nst_loop_timer){.fn = on_pause_over, .arg = peer};
    nst_ipc_conn_init(&peer->conn, fd);
    if (nst_loop_fd_add(server->loop, &peer->source, fd, NST_LOOP_IN) == 0)
        return peer;
    nst_ipc_conn_fini(&peer->conn);
    free(peer);
    return NULL;
}

static void admit(struct nst_ipc_server *server, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    /* syscall: getsockopt */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        nst_ipc_packet_close(fd);
        return;
    }
    const char *message = refusal(server, cred.uid);
    if (message) {
        refuse(server, fd, message);
        return;
    }
    struct nst_ipc_peer *peer = peer_new(server, fd, &cred);
    if (!peer)
        return;
    server->peers[server->stats.clients++] = peer;
    server->stats.accepted++;
    server->ops->opened(server->ctx, peer);
    if (send_json(peer, NST_IPC_HELLO, 0, server->hello, -1) < 0)
        peer_end(peer);
}

static int take_spare(struct nst_ipc_server *server)
{
    server->spare_fd = fcntl(server->listener.fd, F_DUPFD_CLOEXEC, 0);
    return server->spare_fd < 0 ? -errno : 0;
}

/* Without descriptors left, a waiting client would keep the listening socket readable, and the loop
 * spinning, for ever. So it is let in on the spare one and refused. */
static void refuse_for_want_of_fds(struct nst_ipc_server *server)
{
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    /* syscall: accept4 */
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        refuse(server, fd, "the daemon has no file descriptor left");
    (void)take_spare(server);
}

static bool on_accept(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                      unsigned budget)
{
    struct nst_ipc_server *server = source->arg;
    (void)loop;
    (void)events;

    for (; budget > 0; budget--) {
        int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            admit(server, fd);
        else if (errno == EMFILE || errno == ENFILE)
            refuse_for_want_of_fds(server);
        else
            return false;
    }
    return true;
}

/* ---- The server ---- */

static int start(struct nst_ipc_server *server)
{
    int err = take_spare(server);

    return err ? err
               : nst_loop_fd_add(server->loop, &server->source, server->listener.fd, NST_LOOP_IN);
}

int nst_ipc_server_new(struct nst_ipc_server **out, struct nst_loop *loop,
                       const struct nst_ipc_server_config *config, char why[NST_IPC_WHY])
{
    struct nst_ipc_server *server = calloc(1, sizeof *server);

    snprintf(why, NST_IPC_WHY, "no memory for the daemon's socket");
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->ops = config->ops;
    server->ctx = config->ctx;
    server->owner = config->owner;
    server->spare_fd = server->listener.fd = server->listener.lock_fd = -1;
    server->source = (struct nst_loop_fd){.fn = on_accept, .arg = server, .budget = ACCEPT_BUDGET};
    server->reap = (struct nst_loop_task){.fn = on_reap, .arg = server};
    server->hello = json_pack("{s:s, s:s, s:i}", "name", config->name, "version", config->version,
                              "pid", (int)getpid());
    int err = server->hello ? nst_ipc_listen(&server->listener, config->name, why) : -ENOMEM;
    if (!err && (err = start(server)) != 0)
        snprintf(why, NST_IPC_WHY, "cannot watch the daemon's socket: %s", strerror(-err));
    if (err)
        nst_ipc_server_free(server);
    else
        *out = server;
    return err;
}

void nst_ipc_server_free(struct nst_ipc_server *server)
{
    if (!server)
        return;
    nst_loop_fd_del(&server->source);
    nst_ipc_unlisten(&server->listener); /* who sees his connection end finds the name free */
    while (server->stats.clients > 0)
        peer_free(server, server->stats.clients - 1);
    nst_loop_task_cancel(&server->reap);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    json_decref(server->hello);
    free(server);
}

void nst_ipc_server_stats(const struct nst_ipc_server *server, struct nst_ipc_server_stats *out)
{
    *out = server->stats;
}

const struct ucred *nst_ipc_peer_cred(const struct nst_ipc_peer *peer)
{
    return &peer->cred;
}

bool nst_ipc_peer_is_owner(const struct nst_ipc_peer *peer)
{
    return is_owner(peer->server, peer->cred.uid);
}

void nst_ipc_peer_set(struct nst_ipc_peer *peer, void *data)
{
    peer->data = data;
}

void *nst_ipc_peer_data(const struct nst_ipc_peer *peer)
{
    return peer->data;
}

void nst_ipc_server_unlink(struct nst_ipc_server *server)
{
    nst_ipc_unlisten(&server->listener);
}
