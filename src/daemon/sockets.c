/* Sockets for tools, whose data are messages: ICMP echo for `ping`, packet sockets for `arping`.
 * They are told with each message what programs are not: when it came, and who reported an error.
 *
 * A socket belongs to one client and ends with it. What arrives is passed on at once; when the
 * client doesn't read, its connection's bounded queue drops datagrams, as a network would. */
#include "daemon/lent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define SOCKETS_MAX  64   /* of one client */
#define WAITERS_MAX  2048 /* calls of one client */
#define ICMP         1
#define DATAGRAM_MAX (65535 + 14)

struct nst_session {
    struct nst_daemon *daemon;
    struct nst_ipc_peer *peer;
    struct nst_account *account; /* held */
    struct nst_list sockets;
    uint32_t nsockets, last_id;
    struct nst_list waiters;
    uint32_t nwaiters;
};

enum kind {
    KIND_ICMP,
    KIND_PACKET,
};

/* One socket of a client. */
struct session_sock {
    struct nst_handler handler;
    struct nst_list node;
    struct nst_session *session;
    nst_sock sock;
    uint32_t id;
    enum kind kind;
};

static void on_ready(struct nst_handler *handler, uint32_t ready);

struct nst_session *nst_session_new(struct nst_daemon *d, struct nst_ipc_peer *peer)
{
    struct nst_account *account = nst_lender_account(d->lender, peer);
    struct nst_session *c = account ? calloc(1, sizeof *c) : NULL;

    if (!c) {
        nst_account_release(account);
        return NULL;
    }
    c->daemon = d;
    c->peer = peer;
    c->account = account;
    nst_list_init(&c->sockets);
    nst_list_init(&c->waiters);
    return c;
}

static struct session_sock *sock_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct session_sock, node);
}

static void sock_free(struct session_sock *s)
{
    if (s->sock)
        nst_close(s->session->daemon->home->stack, s->sock);
    nst_list_del(&s->node);
    s->session->nsockets--;
    s->session->account->sockets--;
    s->session->daemon->nsockets--;
    free(s);
}

void nst_session_free(struct nst_session *session)
{
    if (!session)
        return;
    NST_LIST_FOREACH_SAFE (e, &session->sockets)
        sock_free(sock_of(e));
    NST_LIST_FOREACH_SAFE (e, &session->waiters)
        nst_waiter_free(NST_CONTAINER(e, struct nst_waiter, of_session));
    nst_account_release(session->account);
    free(session);
}

static struct session_sock *sock_find(struct nst_session *session, json_int_t id)
{
    if (!session)
        return NULL;
    NST_LIST_FOREACH (e, &session->sockets)
        if (sock_of(e)->id == id)
            return sock_of(e);
    return NULL;
}

static struct session_sock *sock_named(struct nst_ipc_peer *peer, uint32_t id, const json_t *args)
{
    struct session_sock *s =
        sock_find(nst_ipc_peer_data(peer), json_integer_value(json_object_get(args, "sock")));

    if (!s)
        nst_ipc_error(peer, id, -EBADF, "no such socket");
    return s;
}

const struct ucred *nst_session_cred(uint64_t cookie)
{
    const struct nst_handler *h = (const struct nst_handler *)(uintptr_t)cookie;

    if (h->ready != on_ready)
        return NULL;
    return nst_ipc_peer_cred(NST_CONTAINER(h, const struct session_sock, handler)->session->peer);
}

struct nst_account *nst_session_account(const struct nst_session *session)
{
    return session ? session->account : NULL;
}

bool nst_session_may_wait(const struct nst_session *session)
{
    return session->nwaiters < WAITERS_MAX;
}

void nst_session_waits(struct nst_session *session, struct nst_waiter *waiter)
{
    nst_list_push_back(&session->waiters, &waiter->of_session);
    session->nwaiters++;
}

void nst_session_waits_not(struct nst_session *session, struct nst_waiter *waiter)
{
    nst_list_del(&waiter->of_session);
    session->nwaiters--;
}

/* ---- socket ------------------------------------------------------------------------------- */

static int open_echo(struct session_sock *s)
{
    struct nst_stack *stack = s->session->daemon->home->stack;
    const struct nst_sockaddr any = {0};
    int err =
        nst_socket(stack, &s->sock, NST_AF_INET, NST_SOCK_DGRAM, ICMP, (uintptr_t)&s->handler);

    if (err)
        return err;
    err = nst_setopt(stack, s->sock, NST_OPT_RECVERR, 1);
    return err ? err : nst_bind(stack, s->sock, &any);
}

static int open_packet(struct session_sock *s, json_int_t ethertype)
{
    struct nst_daemon *d = s->session->daemon;
    const struct nst_sockaddr local = {.port = (uint16_t)ethertype, .link = d->home->link};
    int err = nst_socket(d->home->stack, &s->sock, NST_AF_UNSPEC, NST_SOCK_PACKET, 0,
                         (uintptr_t)&s->handler);

    return err ? err : nst_bind(d->home->stack, s->sock, &local);
}

static json_t *describe(const struct session_sock *s)
{
    const struct nst_daemon *d = s->session->daemon;
    char mac[NST_MAC_TEXT], addr[NST_ADDR_TEXT];

    if (s->kind != KIND_PACKET)
        return json_pack("{s:I}", "sock", (json_int_t)s->id);
    return json_pack("{s:I, s:s, s:s, s:s}", "sock", (json_int_t)s->id, "link",
                     nst_device_name(d->home->device), "mac", nst_mac_print(mac, &d->mac),
                     "address", nst_addr_print(addr, &d->config.addresses[0].prefix.addr));
}

/* What a client asks for. */
struct wish {
    enum kind kind;
    const char *link;
    json_int_t ethertype;
};

static bool parse_kind(const json_t *args, enum kind *out)
{
    static const char *const names[] = {[KIND_ICMP] = "icmp", [KIND_PACKET] = "packet"};
    const char *type = json_string_value(json_object_get(args, "type"));

    for (size_t i = 0; type && i < NST_ARRAY_LEN(names); i++) {
        if (strcmp(type, names[i]) == 0) {
            *out = (enum kind)i;
            return true;
        }
    }
    return false;
}

/* Whether the client may have such a socket; answers with an error if not. */
static bool may_open(struct nst_session *session, uint32_t id, const struct wish *wish)
{
    const struct nst_daemon *d = session->daemon;
    struct nst_ipc_peer *peer = session->peer;
    bool packet = wish->kind == KIND_PACKET;

    if (packet && !nst_ipc_peer_is_owner(peer))
        nst_ipc_error(peer, id, -EPERM,
                      "packet sockets are for root and for the user who started the instance");
    else if (packet && d->config.kind == NST_DEVICE_TUN)
        nst_ipc_error(peer, id, -EOPNOTSUPP, "%s is a TUN device, which has no Ethernet and no ARP",
                      nst_device_name(d->home->device));
    else if (wish->ethertype < 0 || wish->ethertype > UINT16_MAX)
        nst_ipc_error(peer, id, -EINVAL, "an EtherType is a number of 16 bits");
    else if (wish->link && strcmp(wish->link, nst_device_name(d->home->device)) != 0)
        nst_ipc_error(peer, id, -ENODEV, "the instance's device is %s",
                      nst_device_name(d->home->device));
    else if (session->nsockets >= SOCKETS_MAX)
        nst_ipc_error(peer, id, -EMFILE, "a client may have %d sockets", SOCKETS_MAX);
    else if (!session->account->owner &&
             session->account->sockets >= session->account->person->sockets)
        nst_ipc_error(peer, id, nst_account_refuse(session->account, NST_QUOTA_SOCKETS),
                      "this user may have %u sockets", session->account->person->sockets);
    else
        return true;
    return false;
}

static struct session_sock *sock_new(struct nst_session *session, enum kind kind)
{
    struct session_sock *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->handler.ready = on_ready;
    s->session = session;
    s->kind = kind;
    s->id = ++session->last_id;
    session->nsockets++;
    session->account->sockets++;
    session->daemon->nsockets++;
    nst_list_push_back(&session->sockets, &s->node);
    return s;
}

static int sock_open(struct session_sock *s, const struct wish *wish)
{
    switch (s->kind) {
    case KIND_ICMP:
        return open_echo(s);
    case KIND_PACKET:
        return open_packet(s, wish->ethertype);
    }
    return -EINVAL;
}

void nst_session_socket(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_session *session = nst_ipc_peer_data(peer);
    struct wish wish = {.link = json_string_value(json_object_get(args, "link")),
                        .ethertype = json_integer_value(json_object_get(args, "ethertype"))};
    struct session_sock *s = NULL;

    (void)d;
    if (!parse_kind(args, &wish.kind)) {
        nst_ipc_error(peer, id, -EINVAL, "there are sockets of the types icmp and packet");
        return;
    }
    if (session && !may_open(session, id, &wish))
        return;
    int err = session && (s = sock_new(session, wish.kind)) ? sock_open(s, &wish) : -ENOMEM;
    if (!err) {
        nst_ipc_reply_take(peer, id, describe(s));
        return;
    }
    if (s)
        sock_free(s);
    nst_ipc_error(peer, id, err, "cannot open a socket: %s", strerror(-err));
}

/* ---- setopt, close -------------------------------------------------------------------------- */

void nst_session_setopt(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    static const struct {
        const char *name;
        enum nst_opt opt;
    } options[] = {{"ttl", NST_OPT_TTL},
                   {"tos", NST_OPT_TOS},
                   {"broadcast", NST_OPT_BROADCAST},
                   {"rcvbuf", NST_OPT_RCVBUF},
                   {"sndbuf", NST_OPT_SNDBUF}};
    struct session_sock *s = sock_named(peer, id, args);
    const char *name = json_string_value(json_object_get(args, "option"));
    json_int_t value = json_integer_value(json_object_get(args, "value"));
    size_t i = 0;

    if (!s)
        return;
    while (i < NST_ARRAY_LEN(options) && (!name || strcmp(name, options[i].name) != 0))
        i++;
    if (i == NST_ARRAY_LEN(options)) {
        nst_ipc_error(peer, id, -ENOPROTOOPT,
                      "there are the options ttl, tos, broadcast, rcvbuf and sndbuf");
        return;
    }
    int err = nst_setopt(d->home->stack, s->sock, options[i].opt, value);
    if (err)
        nst_ipc_error(peer, id, err, "%s may not be %lld", name, (long long)value);
    else
        nst_ipc_reply_take(peer, id, json_object());
}

void nst_session_close(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                       const json_t *args)
{
    struct session_sock *s = sock_named(peer, id, args);

    (void)d;
    if (!s)
        return;
    sock_free(s);
    nst_ipc_reply_take(peer, id, json_object());
}

/* ---- Datagrams ------------------------------------------------------------------------------ */

void nst_session_datagram(void *ctx, struct nst_ipc_peer *peer,
                          const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                          size_t len)
{
    struct nst_daemon *d = ctx;
    struct session_sock *s = sock_find(nst_ipc_peer_data(peer), datagram->sock);
    struct nst_slice data = {(void *)(uintptr_t)payload, len};
    struct nst_msg msg = {.data = &data,
                          .ndata = 1,
                          .peer = {.addr = datagram->peer, .port = datagram->port},
                          .ttl = datagram->ttl,
                          .tos = (int16_t)(datagram->tos ? datagram->tos : -1)};

    if (!s)
        return;
    int64_t sent = nst_send(d->home->stack, s->sock, &msg);
    if (sent >= 0)
        return;
    struct nst_ipc_datagram report = *datagram;
    report.flags = NST_IPC_REPORT;
    report.err = (uint16_t)-sent;
    report.offender = (struct nst_addr){0};
    report.time = nst_loop_clock();
    nst_ipc_datagram_send(peer, &report, &data, 1);
}

static void pass_on(struct session_sock *s, const struct nst_msg *msg, size_t len, bool error)
{
    struct nst_ipc_datagram out = {.sock = s->id, .time = msg->time};
    struct nst_slice data = {msg->data[0].base, nst_min(len, msg->data[0].len)};

    if (s->kind != KIND_PACKET) {
        out.peer = msg->peer.addr;
        out.port = msg->peer.port;
        out.ttl = msg->ttl;
        out.tos = (uint8_t)msg->tos;
    }
    if (msg->truncated)
        out.flags |= NST_IPC_TRUNCATED;
    if (error) {
        out.flags |= NST_IPC_REPORT | (msg->error.icmp ? NST_IPC_BY_ICMP : 0u);
        out.err = (uint16_t)msg->error.err;
        out.offender = msg->error.offender;
        out.icmp_type = msg->error.type;
        out.icmp_code = msg->error.code;
        out.info = msg->error.info;
    }
    nst_ipc_datagram_send(s->session->peer, &out, &data, 1);
}

static void receive_all(struct session_sock *s, uint32_t flags)
{
    static uint8_t buffer[DATAGRAM_MAX];
    struct nst_slice data = {buffer, sizeof buffer};
    struct nst_msg msg = {.data = &data, .ndata = 1};
    int64_t len;

    while ((len = nst_recv(s->session->daemon->home->stack, s->sock, &msg, flags)) >= 0)
        pass_on(s, &msg, (size_t)len, flags & NST_RECV_ERROR);
}

static void on_ready(struct nst_handler *handler, uint32_t ready)
{
    struct session_sock *s = NST_CONTAINER(handler, struct session_sock, handler);

    if (ready & NST_READY_IN)
        receive_all(s, 0);
    if (ready & NST_READY_ERR)
        receive_all(s, NST_RECV_ERROR);
}
