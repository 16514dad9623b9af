/* TCP sockets of clients: `connect`, `listen` and `accept`.
 *
 * A client's socket is a number until there is a connection. The answer to `connect` or `accept`
 * comes when there is one, together with a descriptor that is the connection from then on: a relay
 * carries its data (relay.c), whether or not the client stays. A socket that was connected is no
 * number any more; a listener goes on. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/relay.h"
#include "daemon/sockets.h"

#define BACKLOG 128

/* ---- A connection for the client ------------------------------------------------------------- */

static json_t *describe(const struct nst_sock_info *info)
{
    json_t *json = nst_session_name_json("address", "port", &info->local);
    json_t *peer = nst_session_name_json("peer_address", "peer_port", &info->peer);

    if (json_object_update(json, peer) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(peer);
    return json;
}

/* Answers the call with the connection, whose relay is ready. */
static void hand_over(struct nst_session *client, uint32_t call, struct nst_relay *relay,
                      nst_sock sock, int fd)
{
    struct nst_sock_info info = {0};

    nst_info(client->daemon->stack, sock, &info);
    nst_relay_start_take(relay, sock);
    nst_ipc_reply_pass_take(client->peer, call, describe(&info), fd);
}

static int relay_for(struct nst_session *client, struct nst_relay **out)
{
    int err = nst_relay_allowed(client->daemon, client->peer);

    return err ? err : nst_relay_new(out, client->daemon, client->peer);
}

/* ---- connect ----------------------------------------------------------------------------------
 */

static void connect_failed(struct nst_session_sock *s, uint32_t call, int err)
{
    nst_ipc_error(s->client->peer, call, err, "cannot connect: %s", strerror(-err));
    if (s->kind == NST_SESSION_STREAM)
        nst_session_sock_free(s);
}

static void connected(struct nst_session_sock *s)
{
    struct nst_session *client = s->client;
    nst_sock sock = s->sock;
    struct nst_relay *relay;
    int fd = relay_for(client, &relay);

    if (fd < 0) {
        connect_failed(s, s->call, fd);
        return;
    }
    uint32_t call = s->call;
    s->sock = 0;
    nst_session_sock_free(s);
    hand_over(client, call, relay, sock, fd);
}

static void connect_stream(struct nst_session_sock *s, uint32_t id, const struct nst_sockaddr *to)
{
    if (s->waiting) {
        nst_ipc_error(s->client->peer, id, -EALREADY, "the socket is busy with another call");
        return;
    }
    int err = nst_connect(s->client->daemon->stack, s->sock, to);
    if (err != -EINPROGRESS) {
        connect_failed(s, id, err ? err : -ENETUNREACH);
        return;
    }
    s->waiting = true;
    s->call = id;
}

void nst_session_connect(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                         const json_t *args)
{
    struct nst_session_sock *s = nst_session_sock_named(peer, id, args);
    struct nst_sockaddr to;

    if (!s || !nst_session_parse_name(peer, id, args, &to))
        return;
    if (!nst_addr_is_set(&to.addr) || to.port == 0) {
        nst_ipc_error(peer, id, -EINVAL, "whom to connect to is an \"address\" and a \"port\"");
    } else if (s->kind == NST_SESSION_STREAM) {
        connect_stream(s, id, &to);
    } else if (s->kind == NST_SESSION_UDP) {
        int err = nst_connect(d->stack, s->sock, &to);
        if (err)
            connect_failed(s, id, err);
        else
            nst_session_reply_local(s, id);
    } else {
        nst_ipc_error(peer, id, -EOPNOTSUPP, "this kind of socket is not connected");
    }
}

/* ---- listen, accept ---------------------------------------------------------------------------
 */

static struct nst_session_sock *stream_named(struct nst_ipc_peer *peer, uint32_t id,
                                             const json_t *args)
{
    struct nst_session_sock *s = nst_session_sock_named(peer, id, args);

    if (s && s->kind != NST_SESSION_STREAM) {
        nst_ipc_error(peer, id, -EOPNOTSUPP, "only a stream socket listens");
        return NULL;
    }
    return s;
}

void nst_session_listen(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_session_sock *s = stream_named(peer, id, args);
    const json_t *given = json_object_get(args, "backlog");
    json_int_t backlog = given ? json_integer_value(given) : BACKLOG;

    if (!s)
        return;
    int err = backlog < 0 ? -EINVAL : nst_listen(d->stack, s->sock, (uint32_t)backlog);
    if (err)
        nst_ipc_error(peer, id, err, "cannot listen: %s", strerror(-err));
    else
        nst_session_reply_local(s, id);
}

/* Answers the waiting call if a connection is there. */
static void accept_waiting(struct nst_session_sock *s)
{
    struct nst_stack *stack = s->client->daemon->stack;
    struct nst_relay *relay;
    nst_sock sock;
    int fd = relay_for(s->client, &relay);
    int err = fd < 0 ? fd : nst_accept(stack, s->sock, &sock, nst_relay_cookie(relay));

    if (err && fd >= 0) {
        nst_relay_drop(relay);
        close(fd);
    }
    s->waiting = err == -EAGAIN;
    if (!err)
        hand_over(s->client, s->call, relay, sock, fd);
    else if (err != -EAGAIN)
        nst_ipc_error(s->client->peer, s->call, err, "cannot accept: %s", strerror(-err));
}

void nst_session_accept(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_session_sock *s = stream_named(peer, id, args);

    (void)d;
    if (!s)
        return;
    if (s->waiting) {
        nst_ipc_error(peer, id, -EALREADY, "the socket is busy with another call");
        return;
    }
    s->call = id;
    accept_waiting(s);
}

/* ---- Events -----------------------------------------------------------------------------------
 */

void nst_session_stream_ready(struct nst_handler *handler, uint32_t ready)
{
    struct nst_session_sock *s = NST_CONTAINER(handler, struct nst_session_sock, handler);
    struct nst_stack *stack = s->client->daemon->stack;
    struct nst_sock_info info = {0};
    int64_t error = 0;

    if (!s->waiting)
        return;
    nst_info(stack, s->sock, &info);
    if (info.state == NST_TCP_LISTEN) {
        accept_waiting(s);
        return;
    }
    if (ready & NST_READY_ERR && nst_getopt(stack, s->sock, NST_OPT_ERROR, &error) == 0 && error)
        connect_failed(s, s->call, -(int)error);
    else if (info.state >= NST_TCP_ESTABLISHED)
        connected(s);
}
