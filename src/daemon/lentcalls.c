/* The calls about lent sockets: what stands in a message becomes arguments, and the result an
 * answer. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/lent.h"
#include "daemon/log.h"
#include "daemon/policy.h"
#include "daemon/thread.h"

#define VALUE_MAX 512

/* ---- Arguments and answers ------------------------------------------------------------------- */

static json_int_t number(const json_t *args, const char *key)
{
    return json_integer_value(json_object_get(args, key));
}

static const char *text(const json_t *args, const char *key)
{
    return json_string_value(json_object_get(args, key));
}

/* The socket that the call names, up to date with what its program has done; NULL after an answer.
 */
static struct nst_lent *named(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                              const json_t *args)
{
    struct nst_ipc_token token;
    struct nst_lent *lent = NULL;
    int err = nst_ipc_token_parse(&token, text(args, "socket"));

    if (!err)
        err = nst_lent_find(&lent, d->lender, peer, &token);
    if (err) {
        nst_ipc_error(peer, id, err, "cannot use that socket: %s", strerror(-err));
        return NULL;
    }
    nst_queue_visit(lent->queue);
    if (lent->protocol != IPPROTO_TCP)
        nst_lent_dgram_catch_up(lent);
    return lent;
}

static bool parse_name(struct nst_ipc_peer *peer, uint32_t id, const json_t *args,
                       struct nst_sockaddr *out)
{
    const char *addr = text(args, "address");
    json_int_t port = number(args, "port");

    *out = (struct nst_sockaddr){.port = (uint16_t)port};
    if (addr && (!nst_addr_parse(&out->addr, addr) || out->addr.family != NST_AF_INET))
        nst_ipc_error(peer, id, -EAFNOSUPPORT, "\"address\" is not an IPv4 address");
    else if (port < 0 || port > UINT16_MAX)
        nst_ipc_error(peer, id, -EINVAL, "a port is a number from 0 to 65535");
    else
        return true;
    return false;
}

static json_t *name_json(const struct nst_lent *lent)
{
    struct nst_sock_info info = {0};
    char local[NST_ADDR_TEXT], peer[NST_ADDR_TEXT];

    if (lent->sock)
        nst_info(lent->queue->stack, lent->sock, &info);
    bool bound = nst_addr_is_set(&info.local.addr), met = nst_addr_is_set(&info.peer.addr);
    return json_pack(
        "{s:s?, s:i, s:s?, s:i}", "address", bound ? nst_addr_print(local, &info.local.addr) : NULL,
        "port", info.local.port, "peer_address", met ? nst_addr_print(peer, &info.peer.addr) : NULL,
        "peer_port", info.peer.port);
}

static void answer(struct nst_ipc_peer *peer, uint32_t id, const struct nst_lent *lent, int err,
                   const char *what)
{
    if (err)
        nst_ipc_error(peer, id, err, "cannot %s: %s", what, strerror(-err));
    else
        nst_ipc_reply_take(peer, id, name_json(lent));
}

/* ---- open ------------------------------------------------------------------------------------ */

/* The stack's socket. */
static int open_sock(struct nst_lent *lent)
{
    struct nst_stack *stack = lent->queue->stack;
    bool stream = lent->protocol == IPPROTO_TCP;
    int err = nst_socket(stack, &lent->sock, NST_AF_INET, stream ? NST_SOCK_STREAM : NST_SOCK_DGRAM,
                         lent->protocol, (uintptr_t)&lent->handler);

    /* What a program writes reaches us as a stream: whether it wants to wait for more, it cannot
     * tell; so nothing waits (client/hints.h). */
    return err || !stream ? err : nst_setopt(stack, lent->sock, NST_OPT_NODELAY, 1);
}

/* The program's descriptor, or -errno. */
static int open_program(struct nst_lent *lent)
{
    static const int buffer = NST_RELAY_BUFFER;
    const struct nst_ipc_sockname name = {
        .kind = NST_IPC_NAME_PROGRAM, .protocol = lent->protocol, .token = lent->token};
    int fd = nst_lent_socket(lent->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, &name);

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    return fd;
}

/* As nst_lent_new(); past a limit, those whose programs have gone make room. */
static int lend(struct nst_lent **out, struct nst_daemon *d, struct nst_account *account,
                uint8_t protocol, pid_t pid)
{
    int err = nst_lent_new(out, d, account, protocol, pid);

    if (err == -EMFILE || err == -ENFILE) {
        nst_lender_make_room(d->lender, account);
        err = nst_lent_new(out, d, account, protocol, pid);
    }
    return err == -EMFILE ? nst_account_refuse(account, NST_QUOTA_SOCKETS) : err;
}

void nst_lent_call_open(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_account *account = nst_session_account(nst_ipc_peer_data(peer));
    json_int_t protocol = number(args, "protocol"), pid = number(args, "pid");
    char token[NST_IPC_TOKEN_TEXT];
    struct nst_lent *lent = NULL;

    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_ICMP) {
        nst_ipc_error(peer, id, -EPROTONOSUPPORT, "there are TCP (6), UDP (17) and ICMP echo (1)");
        return;
    }
    pid = pid > 0 ? pid : nst_ipc_peer_cred(peer)->pid;
    int err = account ? lend(&lent, d, account, (uint8_t)protocol, (pid_t)pid) : -ENOMEM;
    int fd = err ? err : open_sock(lent);
    fd = fd ? fd : open_program(lent);
    if (fd >= 0) {
        nst_lent_watch(lent, true);
        nst_ipc_reply_pass_take(
            peer, id, json_pack("{s:s}", "socket", nst_ipc_token_print(token, &lent->token)), fd);
        return;
    }
    if (lent)
        nst_lent_free(lent);
    nst_ipc_error(peer, id, fd, "cannot open a socket: %s", strerror(-fd));
}

/* ---- bind, connect, listen ------------------------------------------------------------------- */

/* Binds it; those whose programs have gone make room. */
static int bind_sock(struct nst_lent *lent, const struct nst_sockaddr *local)
{
    int err = nst_bind(lent->queue->stack, lent->sock, local);

    if (err == -EADDRINUSE && nst_lender_clear_port(lent, local->port))
        err = nst_bind(lent->queue->stack, lent->sock, local);
    return err;
}

void nst_lent_call_bind(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    struct nst_sockaddr local;

    if (!lent || !parse_name(peer, id, args, &local))
        return;
    int err = lent->account->owner ? 0 : nst_policy_bind(lent->account->person, &local);
    if (err == 0)
        err = lent->sock ? bind_sock(lent, &local) : -EINVAL;
    answer(peer, id, lent, err, "bind");
}

void nst_lent_call_connect(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                           const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    struct nst_sockaddr to;

    if (!lent || !parse_name(peer, id, args, &to))
        return;
    int err = nst_lent_restrict(lent);
    if (!err)
        err = lent->protocol == IPPROTO_TCP ? nst_lent_stream_connect(lent, &to)
                                            : nst_lent_dgram_connect(lent, &to);
    if (err && err != -EINPROGRESS) {
        answer(peer, id, lent, err, "connect");
        return;
    }
    json_t *json = name_json(lent);
    json_object_set_new(json, "begun", json_boolean(err == -EINPROGRESS));
    nst_ipc_reply_take(peer, id, json);
}

void nst_lent_call_begin(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                         const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    json_int_t filler = number(args, "filler");
    bool wait = json_is_true(json_object_get(args, "wait"));

    if (!lent)
        return;
    struct nst_ipc_token token = lent->token;
    int err = lent->protocol != IPPROTO_TCP || filler < 0 ? -EINVAL : 0;
    if (!err && filler > 0)
        err = nst_lent_stream_begin(lent, (size_t)filler);
    if (err)
        nst_ipc_error(peer, id, err, "cannot connect: %s", strerror(-err));
    else if (nst_lent_find(&lent, d->lender, peer, &token) != 0) /* it ended at once */
        nst_ipc_error(peer, id, -ECONNRESET, "the connection has ended");
    else if (wait)
        nst_lent_stream_await(lent, peer, id);
    else
        nst_ipc_reply_take(peer, id, json_object());
}

void nst_lent_call_listen(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                          const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    json_int_t backlog = number(args, "backlog");
    struct nst_sock_info info;

    if (!lent)
        return;
    if (lent->protocol != IPPROTO_TCP) {
        answer(peer, id, lent, -EOPNOTSUPP, "listen");
        return;
    }
    uint32_t n = backlog < 0 || backlog > INT32_MAX ? INT32_MAX : (uint32_t)backlog;
    int err = nst_lent_restrict(lent);
    if (!err)
        err = nst_lent_stream_listen(lent, n);
    if (err == -EADDRINUSE && nst_info(lent->queue->stack, lent->sock, &info) == 0 &&
        nst_lender_clear_port(lent, info.local.port))
        err = nst_lent_stream_listen(lent, n);
    answer(peer, id, lent, err, "listen");
}

void nst_lent_call_name(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);

    if (lent)
        answer(peer, id, lent, 0, "name");
}

/* ---- Options --------------------------------------------------------------------------------- */

void nst_lent_call_setopt(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                          const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    uint8_t value[VALUE_MAX];
    int len = nst_ipc_hex_parse(value, sizeof value, text(args, "value"));

    if (!lent)
        return;
    int err = len < 0 ? len
                      : nst_lent_setopt(lent, (int)number(args, "level"),
                                        (int)number(args, "option"), value, (size_t)len);
    if (!err && lent->protocol == IPPROTO_TCP)
        nst_lent_spread_options(lent);
    if (err)
        nst_ipc_error(peer, id, err, "cannot set that option: %s", strerror(-err));
    else
        nst_ipc_reply_take(peer, id, json_object());
}

void nst_lent_call_getopt(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                          const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    json_int_t room = number(args, "length");
    const json_t *raised = json_object_get(args, "raised");
    uint8_t value[VALUE_MAX] = {0};
    char digits[2 * VALUE_MAX + 1] = "";
    size_t len = room < 0 ? 0 : nst_min((size_t)room, sizeof value);

    if (!lent)
        return;
    if (lent->protocol != IPPROTO_TCP && json_is_false(raised))
        nst_lent_dgram_was_told(lent);
    int err =
        nst_lent_getopt(lent, (int)number(args, "level"), (int)number(args, "option"), value, &len);
    if (err) {
        nst_ipc_error(peer, id, err, "cannot get that option: %s", strerror(-err));
        return;
    }
    nst_ipc_hex_print(digits, value, len);
    nst_ipc_reply_take(peer, id, json_pack("{s:s}", "value", digits));
}

/* ---- error ----------------------------------------------------------------------------------- */

void nst_lent_call_error(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                         const json_t *args)
{
    struct nst_lent *lent = named(d, peer, id, args);
    char sent[2 * VALUE_MAX + 1] = "", to[NST_ADDR_TEXT], offender[NST_ADDR_TEXT];
    uint8_t value[VALUE_MAX];
    struct nst_slice data = {value, sizeof value};
    struct nst_msg msg = {.data = &data, .ndata = 1};

    if (!lent)
        return;
    int64_t len = nst_lent_dgram_error(lent, &msg);
    if (len < 0) {
        nst_ipc_error(peer, id, (int)len, "there is no error");
        return;
    }
    const struct nst_sock_error *e = &msg.error;
    nst_ipc_hex_print(sent, value, nst_min((size_t)len, sizeof value));
    nst_ipc_reply_take(
        peer, id,
        json_pack("{s:i, s:b, s:i, s:i, s:I, s:s?, s:s, s:i, s:i, s:s}", "errno", e->err, "icmp",
                  e->icmp, "type", e->type, "code", e->code, "info", (json_int_t)e->info,
                  "offender",
                  nst_addr_is_set(&e->offender) ? nst_addr_print(offender, &e->offender) : NULL,
                  "address", nst_addr_print(to, &msg.peer.addr), "port", msg.peer.port, "ttl",
                  msg.ttl, "sent", sent));
}

/* ---- sweep, kill ----------------------------------------------------------------------------- */

void nst_lent_call_sweep(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                         const json_t *args)
{
    struct nst_account *account = nst_session_account(nst_ipc_peer_data(peer));

    (void)args;
    if (account)
        nst_lender_sweep(d->lender, account);
    nst_ipc_reply_take(peer, id, json_object());
}

void nst_lent_call_kill(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                        const json_t *args)
{
    json_int_t n = number(args, "number");
    struct nst_lent *lent = n < 0 || n > UINT32_MAX || !json_object_get(args, "number")
                                ? NULL
                                : nst_lent_numbered(d->lender, (uint32_t)n);

    if (!lent) {
        nst_ipc_error(peer, id, -ENOENT, "no socket has that number: see 'netstack sockets -p'");
    } else if (!nst_ipc_peer_is_owner(peer) && lent->account->uid != nst_ipc_peer_cred(peer)->uid) {
        nst_ipc_error(peer, id, -EPERM, "that socket is another user's");
    } else {
        nst_queue_visit(lent->queue);
        if (lent->sock)
            (void)nst_setopt(lent->queue->stack, lent->sock, NST_OPT_LINGER, 0);
        nst_lent_free(lent);
        nst_ipc_reply_take(peer, id, json_object());
    }
}
