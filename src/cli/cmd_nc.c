/* netstack nc: standard input and output, and a connection of the stack's; as OpenBSD's nc.
 *
 * Over TCP the daemon hands us the connection as a descriptor, and two *flows* carry the data, one
 * each way, at the pace of whoever reads. Over UDP each read of standard input is a datagram. */
#include "cli/cli.h"
#include "cli/resolve.h"
#include "core/base/addr.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER   65536
#define DATAGRAM 16384 /* sent as one, at most */

struct options {
    const char *instance, *host, *source;
    uint16_t port, source_port;
    bool listen, udp, verbose;
    bool shut;       /* -N: end the connection's half when standard input ends */
    int idle_ms;     /* -w: to connect, and between two pieces of data; -1: for ever */
    int farewell_ms; /* -q: how long to go on when standard input has ended; -1: for ever */
};

struct session {
    struct options o;
    struct nst_ipc_client *client;
    uint32_t sock;
    struct nst_addr addr; /* of HOST */
};

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack nc [OPTION]... HOST PORT\n"
    "       netstack nc -l [OPTION]... [ADDRESS] PORT\n"
    "Connect standard input and output to a TCP port through the running stack.\n\n"
    "  -l              wait for a connection\n"
    "  -u              UDP\n"
    "  -N              when standard input ends, end our half of the connection\n"
    "  -q SECONDS      the same, and stop so much later; negative: never\n"
    "  -w SECONDS      give up connecting, and stop when nothing moves, after that long\n"
    "  -p PORT         connect from this port\n"
    "  -s ADDRESS      connect from this address of the stack\n"
    "  -v              say what happens\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n",
    "luNq:w:p:s:vh",
    LONGS,
};

static int milliseconds(char **argv, const char *text)
{
    return (int)(nst_cli_number(argv, text, 0, INT32_MAX / 1000) * 1000);
}

static void parse_farewell(struct options *o, char **argv, const char *text)
{
    o->shut = text[0] != '-';
    o->farewell_ms = o->shut ? milliseconds(argv, text) : -1;
}

static void parse_operands(struct options *o, int argc, char **argv)
{
    int n = argc - optind;

    if (n > 2)
        nst_cli_misused(argv, "unexpected argument '%s'", argv[argc - 1]);
    if (n < (o->listen ? 1 : 2))
        nst_cli_misused(argv, "%s is missing", n == 0 && !o->listen ? "the HOST" : "the PORT");
    o->host = n == 2 ? argv[optind] : NULL;
    o->port = (uint16_t)nst_cli_number(argv, argv[argc - 1], o->listen ? 0 : 1, UINT16_MAX);
    if (o->listen && (o->source || o->source_port))
        nst_cli_misused(argv, "-l is told its address and port without -s and -p");
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.idle_ms = -1, .farewell_ms = -1};
    int c;

    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1) {
        switch (c) {
        case 'l':
            o.listen = true;
            break;
        case 'u':
            o.udp = true;
            break;
        case 'N':
            o.shut = true;
            break;
        case 'q':
            parse_farewell(&o, argv, optarg);
            break;
        case 'w':
            o.idle_ms = milliseconds(argv, optarg);
            break;
        case 'p':
            o.source_port = (uint16_t)nst_cli_number(argv, optarg, 1, UINT16_MAX);
            break;
        case 's':
            o.source = optarg;
            break;
        case 'v':
            o.verbose = true;
            break;
        default:
            o.instance = optarg;
        }
    }
    parse_operands(&o, argc, argv);
    return o;
}

/* ---- Calls --------------------------------------------------------------------------------- */

static int fail_call(const struct session *s)
{
    return nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(s->client));
}

/* 0, or an exit code after a complaint. */
static int call_take(struct session *s, json_t *call, json_t **result)
{
    return nst_ipc_client_call_take(s->client, call, result) < 0 ? fail_call(s) : 0;
}

/* A call that names an end. `addr` may be unspecified. */
static json_t *name_call(const struct session *s, const char *op, const struct nst_addr *addr,
                         uint16_t port)
{
    char text[NST_ADDR_TEXT];

    return json_pack("{s:s, s:I, s:s*, s:i}", "op", op, "sock", (json_int_t)s->sock, "address",
                     nst_addr_is_set(addr) ? nst_addr_print(text, addr) : NULL, "port", port);
}

static json_t *sock_call(const struct session *s, const char *op)
{
    return json_pack("{s:s, s:I}", "op", op, "sock", (json_int_t)s->sock);
}

static int open_socket(struct session *s)
{
    json_t *result = NULL;
    int status = call_take(
        s, json_pack("{s:s, s:s}", "op", "socket", "type", s->o.udp ? "udp" : "stream"), &result);

    s->sock = (uint32_t)json_integer_value(json_object_get(result, "sock"));
    json_decref(result);
    return status;
}

static int resolve(const char *host, struct nst_addr *out)
{
    bool numeric;
    const char *wrong = nst_cli_resolve(out, host, &numeric);

    return wrong ? nst_cli_fail(NST_CLI_UNUSABLE, "%s: %s", host, wrong) : 0;
}

/* From here on somebody may come; `name` is the answer that says where. */
static void announce(const struct session *s, const json_t *name)
{
    if (!s->o.verbose)
        return;
    fprintf(stderr, "Listening on ");
    nst_cli_put(stderr, s->o.host ? s->o.host : "0.0.0.0");
    fprintf(stderr, " %lld\n", (long long)json_integer_value(json_object_get(name, "port")));
}

/* Binds to what -l, or -s and -p, say. */
static int bind_socket(struct session *s)
{
    const char *host = s->o.listen ? s->o.host : s->o.source;
    uint16_t port = s->o.listen ? s->o.port : s->o.source_port;
    struct nst_addr addr = {0};
    json_t *name = NULL;

    if (!s->o.listen && !host && !port)
        return 0;
    int status = host ? resolve(host, &addr) : 0;
    if (!status)
        status = call_take(s, name_call(s, "bind", &addr, port), &name);
    if (!status && s->o.listen && s->o.udp)
        announce(s, name);
    json_decref(name);
    return status;
}

static int listen_socket(struct session *s)
{
    json_t *name = NULL;
    int status = call_take(s, sock_call(s, "listen"), &name);

    if (!status)
        announce(s, name);
    json_decref(name);
    return status;
}

/* ---- TCP ----------------------------------------------------------------------------------- */

/* One direction. */
struct flow {
    int from, to; /* -1: ended */
    size_t start, len;
    uint8_t data[BUFFER];
};

/* Reads or writes, if poll() said so. -EPIPE when nobody reads any more, another errno when the
 * connection broke. Sets `*moved`. */
static int flow_move(struct flow *f, short from_events, short to_events, bool *moved)
{
    ssize_t n = 0;

    if (f->len == 0 && f->from >= 0 && from_events) {
        n = read(f->from, f->data, sizeof f->data);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
            f->from = -1;
        f->start = 0;
        f->len = (size_t)n;
    } else if (f->len > 0 && to_events) {
        n = write(f->to, f->data + f->start, f->len);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        f->start += (size_t)n;
        f->len -= (size_t)n;
    }
    *moved |= n > 0;
    return 0;
}

static bool flow_ended(const struct flow *f)
{
    return f->from < 0 && f->len == 0;
}

static struct pollfd flow_source(const struct flow *f)
{
    return (struct pollfd){.fd = f->len == 0 ? f->from : -1, .events = POLLIN};
}

static struct pollfd flow_target(const struct flow *f)
{
    return (struct pollfd){.fd = f->len > 0 ? f->to : -1, .events = POLLOUT};
}

/* The lesser of two waiting times, of which -1 is for ever. */
static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* How long poll() may wait; 0 when the time is up. `since` is when standard input ended. */
static int patience(const struct options *o, uint64_t since)
{
    if (!since || o->farewell_ms < 0)
        return o->idle_ms;
    uint64_t gone = (nst_ipc_clock() - since) / 1000000;
    int left = gone < (uint64_t)o->farewell_ms ? o->farewell_ms - (int)gone : 0;
    return sooner(o->idle_ms, left);
}

static int fail_flow(int err)
{
    return nst_cli_fail(NST_CLI_FAILED, "the connection broke: %s", strerror(-err));
}

/* Carries data until both directions have ended; a listener's is done with the peer's. */
static int carry(const struct options *o, int fd)
{
    static struct flow up, down;
    uint64_t since = 0;

    up = (struct flow){.from = STDIN_FILENO, .to = fd};
    down = (struct flow){.from = fd, .to = STDOUT_FILENO};
    while (!flow_ended(&down) || !(o->listen || flow_ended(&up))) {
        struct pollfd fds[] = {flow_source(&up), flow_target(&up), flow_source(&down),
                               flow_target(&down)};
        bool moved = false;
        int n = poll(fds, 4, patience(o, since)), err;
        if (n == 0)
            break;
        if (n < 0)
            continue;
        if ((err = flow_move(&down, fds[2].revents, fds[3].revents, &moved)) ||
            (err = flow_move(&up, fds[0].revents, fds[1].revents, &moved)))
            return fail_flow(err);
        if (flow_ended(&up) && !since) {
            since = nst_ipc_clock();
            if (o->shut)
                shutdown(fd, SHUT_WR);
        }
    }
    return NST_CLI_OK;
}

static int fetch_connection(struct session *s, json_t *call, int timeout_ms, int *fd)
{
    json_t *result = NULL;
    int err = nst_ipc_client_fetch_take(s->client, call, timeout_ms, &result, fd);

    if (err == -ETIMEDOUT && timeout_ms >= 0)
        return nst_cli_fail(NST_CLI_FAILED, "cannot connect: no answer in time");
    if (err)
        return fail_call(s);
    if (s->o.verbose) {
        fprintf(stderr, s->o.listen ? "Connection from " : "Connected to ");
        nst_cli_put(stderr, nst_cli_member(result, "peer_address"));
        fprintf(stderr, " %lld\n",
                (long long)json_integer_value(json_object_get(result, "peer_port")));
    }
    json_decref(result);
    return 0;
}

static int run_tcp(struct session *s)
{
    int fd, status = s->o.listen ? listen_socket(s) : 0;

    if (!status)
        status = s->o.listen ? fetch_connection(s, sock_call(s, "accept"), -1, &fd)
                             : fetch_connection(s, name_call(s, "connect", &s->addr, s->o.port),
                                                s->o.idle_ms, &fd);
    if (!status && s->o.listen)
        status = call_take(s, sock_call(s, "close"), NULL);
    if (status)
        return status;
    status = carry(&s->o, fd);
    close(fd);
    return status;
}

/* ---- UDP ----------------------------------------------------------------------------------- */

/* What came: data, which is printed, or an error. 0, or the error. */
static int take_in(struct session *s, struct nst_ipc_datagram *to, const struct nst_ipc_msg *msg)
{
    struct nst_ipc_datagram datagram;
    size_t len = msg->header.len - NST_IPC_DATAGRAM_HLEN;
    int err = msg->header.type == NST_IPC_DATAGRAM
                  ? nst_ipc_datagram_parse(&datagram, msg->body, msg->header.len)
                  : -EPROTO;

    if (err || datagram.sock != s->sock)
        return err;
    if (datagram.flags & NST_IPC_REPORT)
        return -datagram.err;
    if (!nst_addr_is_set(&to->peer)) { /* whoever speaks first is the peer of a listener */
        to->peer = datagram.peer;
        to->port = datagram.port;
        if (nst_ipc_client_call_take(s->client, name_call(s, "connect", &to->peer, to->port), NULL))
            return -EPROTO;
    }
    return fwrite(msg->body + NST_IPC_DATAGRAM_HLEN, 1, len, stdout) == len && !fflush(stdout)
               ? 0
               : -EPIPE;
}

/* One read of standard input is one datagram. Sets `*since` at its end. */
static int send_input(struct session *s, const struct nst_ipc_datagram *to, uint64_t *since)
{
    static uint8_t data[DATAGRAM];
    ssize_t n = read(STDIN_FILENO, data, sizeof data);

    if (n > 0)
        return nst_ipc_client_send(s->client, to, data, (size_t)n);
    *since = nst_ipc_clock();
    return 0;
}

static int carry_datagrams(struct session *s, struct nst_ipc_datagram *to)
{
    uint64_t since = 0;
    struct nst_ipc_msg msg;
    int n, err = 0;

    do {
        bool may_send = !since && nst_addr_is_set(&to->peer);
        struct pollfd fds[] = {{.fd = nst_ipc_client_fd(s->client), .events = POLLIN},
                               {.fd = may_send ? STDIN_FILENO : -1, .events = POLLIN}};
        n = poll(fds, 2, patience(&s->o, since));
        if (n > 0 && fds[1].revents)
            err = send_input(s, to, &since);
        while (err == 0 && (err = nst_ipc_client_next(s->client, &msg, 0)) == 0)
            err = take_in(s, to, &msg);
        if (err == -ETIMEDOUT || err == -EAGAIN)
            err = 0;
    } while (n != 0 && !err);
    return err ? fail_flow(err) : NST_CLI_OK;
}

static int run_udp(struct session *s)
{
    struct nst_ipc_datagram to = {.sock = s->sock, .peer = s->addr, .port = s->o.port};

    if (s->o.listen)
        to.peer = (struct nst_addr){0};
    else if (nst_ipc_client_call_take(s->client, name_call(s, "connect", &s->addr, s->o.port),
                                      NULL) < 0)
        return fail_call(s);
    return carry_datagrams(s, &to);
}

int nst_cli_nc(int argc, char **argv)
{
    struct session s = {.o = parse(argc, argv)};
    int status = s.o.listen ? 0 : resolve(s.o.host, &s.addr);

    if (status)
        return status;
    s.client = nst_cli_connect(s.o.instance);
    if (!s.client)
        return NST_CLI_UNUSABLE;
    if ((status = open_socket(&s)) == 0 && (status = bind_socket(&s)) == 0)
        status = s.o.udp ? run_udp(&s) : run_tcp(&s);
    nst_ipc_client_free(s.client);
    return status;
}
