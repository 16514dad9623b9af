/* Sockets lent to clients by messages: ICMP echo for `ping`, packet sockets for `arping`.
 *
 * A socket belongs to one client and ends with it. What arrives is passed on at once; when the
 * client doesn't read, its connection's bounded queue drops datagrams, as a network would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/list.h"
#include "daemon/daemon.h"

#define SOCKETS_MAX  64 /* of one client */
#define ICMP         1
#define DATAGRAM_MAX (65535 + 14)

struct nst_client {
    struct nst_daemon *daemon;
    struct nst_ipc_peer *peer;
    struct nst_list sockets;
    uint32_t nsockets, last_id;
};

/* One socket of a client; its address is the cookie of the stack's events. */
struct client_sock {
    struct nst_list node;
    struct nst_client *client;
    nst_sock sock;
    uint32_t id;
    bool packet;
};

struct nst_client *nst_client_new(struct nst_daemon *d, struct nst_ipc_peer *peer)
{
    struct nst_client *c = calloc(1, sizeof *c);

    if (c) {
        c->daemon = d;
        c->peer = peer;
        nst_list_init(&c->sockets);
    }
    return c;
}

static struct client_sock *sock_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct client_sock, node);
}

static void sock_free(struct client_sock *s)
{
    nst_close(s->client->daemon->stack, s->sock);
    nst_list_del(&s->node);
    s->client->nsockets--;
    s->client->daemon->nsockets--;
    free(s);
}

void nst_client_free(struct nst_client *client)
{
    if (!client)
        return;
    NST_LIST_FOREACH_SAFE (e, &client->sockets)
        sock_free(sock_of(e));
    free(client);
}

static struct client_sock *sock_find(struct nst_client *client, json_int_t id)
{
    if (!client)
        return NULL;
    NST_LIST_FOREACH (e, &client->sockets)
        if (sock_of(e)->id == id)
            return sock_of(e);
    return NULL;
}

/* The socket that the call names with "sock"; answers with an error if there is none. */
static struct client_sock *sock_named(struct nst_ipc_peer *peer, uint32_t id, const json_t *args)
{
    struct client_sock *s =
        sock_find(nst_ipc_peer_data(peer), json_integer_value(json_object_get(args, "sock")));

    if (!s)
        nst_ipc_error(peer, id, -EBADF, "no such socket");
    return s;
}

/* ---- socket ------------------------------------------------------------------------------- */

static int open_echo(struct client_sock *s)
{
    struct nst_stack *stack = s->client->daemon->stack;
    const struct nst_sockaddr any = {0};
    int err = nst_socket(stack, &s->sock, NST_AF_INET, NST_SOCK_DGRAM, ICMP, (uintptr_t)s);

    if (err)
        return err;
    err = nst_setopt(stack, s->sock, NST_OPT_RECVERR, 1);
    return err ? err : nst_bind(stack, s->sock, &any);
}

static int open_packet(struct client_sock *s, json_int_t ethertype)
{
    struct nst_daemon *d = s->client->daemon;
    const struct nst_sockaddr local = {.port = (uint16_t)ethertype, .link = d->link};
    int err = nst_socket(d->stack, &s->sock, NST_AF_UNSPEC, NST_SOCK_PACKET, 0, (uintptr_t)s);

    return err ? err : nst_bind(d->stack, s->sock, &local);
}

static json_t *describe(const struct client_sock *s)
{
    const struct nst_daemon *d = s->client->daemon;
    char mac[NST_MAC_TEXT], addr[NST_ADDR_TEXT];

    if (!s->packet)
        return json_pack("{s:I}", "sock", (json_int_t)s->id);
    return json_pack("{s:I, s:s, s:s, s:s}", "sock", (json_int_t)s->id, "link",
                     nst_device_name(d->device), "mac", nst_mac_print(mac, &d->mac), "address",
                     nst_addr_print(addr, &d->config.addresses[0].prefix.addr));
}

/* What a client asks for. */
struct wish {
    bool packet;
    const char *type, *link;
    json_int_t ethertype;
};

/* Whether the client may have such a socket; answers with an error if not. */
static bool may_open(struct nst_client *client, uint32_t id, const struct wish *wish)
{
    const struct nst_daemon *d = client->daemon;
    struct nst_ipc_peer *peer = client->peer;

    if (!wish->packet && strcmp(wish->type, "icmp") != 0)
        nst_ipc_error(peer, id, -EINVAL, "there are sockets of the types icmp and packet");
    else if (wish->packet && !nst_ipc_peer_is_owner(peer))
        nst_ipc_error(peer, id, -EPERM,
                      "packet sockets are for root and for the user who started the instance");
    else if (wish->packet && d->config.tun)
        nst_ipc_error(peer, id, -EOPNOTSUPP, "%s is a TUN device, which has no Ethernet and no ARP",
                      nst_device_name(d->device));
    else if (wish->ethertype < 0 || wish->ethertype > UINT16_MAX)
        nst_ipc_error(peer, id, -EINVAL, "an EtherType is a number of 16 bits");
    else if (wish->link && strcmp(wish->link, nst_device_name(d->device)) != 0)
        nst_ipc_error(peer, id, -ENODEV, "the instance's device is %s", nst_device_name(d->device));
    else if (client->nsockets >= SOCKETS_MAX)
        nst_ipc_error(peer, id, -EMFILE, "a client may have %d sockets", SOCKETS_MAX);
    else
        return true;
    return false;
}

static struct client_sock *sock_new(struct nst_client *client, bool packet)
{
    struct client_sock *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->client = client;
    s->packet = packet;
    s->id = ++client->last_id;
    client->nsockets++;
    client->daemon->nsockets++;
    nst_list_push_back(&client->sockets, &s->node);
    return s;
}

void nst_client_socket(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                       const json_t *args)
{
    struct nst_client *client = nst_ipc_peer_data(peer);
    struct wish wish = {.type = json_string_value(json_object_get(args, "type")),
                        .link = json_string_value(json_object_get(args, "link")),
                        .ethertype = json_integer_value(json_object_get(args, "ethertype"))};
    struct client_sock *s = NULL;

    (void)d;
    if (!wish.type)
        wish.type = "";
    wish.packet = strcmp(wish.type, "packet") == 0;
    if (client && !may_open(client, id, &wish))
        return;
    int err = client && (s = sock_new(client, wish.packet)) ? 0 : -ENOMEM;
    if (!err)
        err = wish.packet ? open_packet(s, wish.ethertype) : open_echo(s);
    if (!err) {
        nst_ipc_reply_take(peer, id, describe(s));
        return;
    }
    if (s)
        sock_free(s);
    nst_ipc_error(peer, id, err, "cannot open a socket: %s", strerror(-err));
}

/* ---- setopt, close -------------------------------------------------------------------------- */

void nst_client_setopt(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                       const json_t *args)
{
    struct client_sock *s = sock_named(peer, id, args);
    const char *option = json_string_value(json_object_get(args, "option"));
    json_int_t value = json_integer_value(json_object_get(args, "value"));

    if (!s)
        return;
    bool ttl = option && strcmp(option, "ttl") == 0, tos = option && strcmp(option, "tos") == 0;
    if (!ttl && !tos) {
        nst_ipc_error(peer, id, -ENOPROTOOPT, "there are the options ttl and tos");
        return;
    }
    int err = nst_setopt(d->stack, s->sock, ttl ? NST_OPT_TTL : NST_OPT_TOS, value);
    if (err)
        nst_ipc_error(peer, id, err, "%s may not be %lld", option, (long long)value);
    else
        nst_ipc_reply_take(peer, id, json_object());
}

void nst_client_close(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                      const json_t *args)
{
    struct client_sock *s = sock_named(peer, id, args);

    (void)d;
    if (!s)
        return;
    sock_free(s);
    nst_ipc_reply_take(peer, id, json_object());
}

/* ---- Datagrams ------------------------------------------------------------------------------ */

void nst_client_datagram(void *ctx, struct nst_ipc_peer *peer,
                         const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                         size_t len)
{
    struct nst_daemon *d = ctx;
    struct client_sock *s = sock_find(nst_ipc_peer_data(peer), datagram->sock);
    struct nst_slice data = {(void *)(uintptr_t)payload, len};
    struct nst_msg msg = {.data = &data,
                          .ndata = 1,
                          .peer.addr = datagram->peer,
                          .ttl = datagram->ttl,
                          .tos = (int16_t)(datagram->tos ? datagram->tos : -1)};

    if (!s)
        return;
    int64_t sent = nst_send(d->stack, s->sock, &msg);
    if (sent >= 0)
        return;
    struct nst_ipc_datagram report = *datagram;
    report.flags = NST_IPC_REPORT;
    report.err = (uint16_t)-sent;
    report.offender = (struct nst_addr){0};
    report.time = nst_loop_clock();
    nst_ipc_datagram_send(peer, &report, &data, 1);
}

static void pass_on(struct client_sock *s, const struct nst_msg *msg, size_t len, bool error)
{
    struct nst_ipc_datagram out = {.sock = s->id, .time = msg->time};
    struct nst_slice data = {msg->data[0].base, nst_min(len, msg->data[0].len)};

    if (!s->packet) {
        out.peer = msg->peer.addr;
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
    nst_ipc_datagram_send(s->client->peer, &out, &data, 1);
}

static void receive_all(struct client_sock *s, uint32_t flags)
{
    static uint8_t buffer[DATAGRAM_MAX];
    struct nst_slice data = {buffer, sizeof buffer};
    struct nst_msg msg = {.data = &data, .ndata = 1};
    int64_t len;

    while ((len = nst_recv(s->client->daemon->stack, s->sock, &msg, flags)) >= 0)
        pass_on(s, &msg, (size_t)len, flags & NST_RECV_ERROR);
}

void nst_client_ready(uint64_t cookie, uint32_t ready)
{
    struct client_sock *s = (struct client_sock *)(uintptr_t)cookie;

    if (ready & NST_READY_IN)
        receive_all(s, 0);
    if (ready & NST_READY_ERR)
        receive_all(s, NST_RECV_ERROR);
}
