/* netstack nc: standard input and output, and a connection of the stack's; as OpenBSD's nc.
 *
 * It is a program like any other that uses the client library: what it has is a descriptor. Over
 * TCP two *flows* carry the data, one each way, at the pace of whoever reads. Over UDP each read of
 * standard input is a datagram. */
#include "cli/cli.h"
#include "cli/resolve.h"
#include "core/base/addr.h"
#include "netstack/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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
    struct nst_client *client;
    int fd;
    struct sockaddr_in peer; /* HOST and PORT; of a listener: whoever comes */
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

/* ---- Sockets ------------------------------------------------------------------------------- */

static int fail(const char *what, int err)
{
    return nst_cli_fail(NST_CLI_FAILED, "cannot %s: %s", what, strerror(-err));
}

/* 0, or an exit code after a complaint. Without a daemon, the tools' way to it says so best. */
static int open_socket(struct session *s)
{
    int type = (s->o.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int err = nst_client_open(&s->client, s->o.instance);

    s->fd = err ? err : nst_client_socket(s->client, AF_INET, type, 0);
    if (s->fd >= 0)
        return 0;
    struct nst_ipc_client *client = nst_cli_connect(s->o.instance);
    nst_ipc_client_free(client);
    return client ? fail("open a socket", s->fd) : NST_CLI_UNUSABLE;
}

/* `host` may be NULL, for any. */
static int resolve(struct sockaddr_in *out, const char *host, uint16_t port)
{
    struct nst_addr addr = {0};
    bool numeric;
    const char *wrong = host ? nst_cli_resolve(&addr, host, &numeric) : NULL;

    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&out->sin_addr, addr.bytes, sizeof out->sin_addr);
    return wrong ? nst_cli_fail(NST_CLI_UNUSABLE, "%s: %s", host, wrong) : 0;
}

static void say(const struct session *s, const char *what, const struct sockaddr_in *name)
{
    char text[INET_ADDRSTRLEN];

    if (s->o.verbose)
        fprintf(stderr, "%s %s %u\n", what, inet_ntop(AF_INET, &name->sin_addr, text, sizeof text),
                ntohs(name->sin_port));
}

/* From here on somebody may come. */
static void announce(const struct session *s)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof name;

    (void)nst_client_getsockname(s->client, s->fd, (struct sockaddr *)&name, &len);
    say(s, "Listening on", &name);
}

/* Binds to what -l, or -s and -p, say. */
static int bind_socket(struct session *s)
{
    const char *host = s->o.listen ? s->o.host : s->o.source;
    uint16_t port = s->o.listen ? s->o.port : s->o.source_port;
    struct sockaddr_in name;

    if (!s->o.listen && !host && !port)
        return 0;
    int status = resolve(&name, host, port);
    int err =
        status ? 0 : nst_client_bind(s->client, s->fd, (const struct sockaddr *)&name, sizeof name);
    if (err)
        return nst_cli_fail(NST_CLI_FAILED, "cannot bind to port %u: %s", port,
                            err == -EACCES ? "that is for the owner of the instance, or for users "
                                             "whom its configuration allows it"
                                           : strerror(-err));
    if (!status && s->o.listen && s->o.udp)
        announce(s);
    return status;
}

/* Whether something happens within the time; -1 is for ever. */
static bool await(int fd, short events, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    return poll(&pfd, 1, timeout_ms) > 0;
}

static int pending_error(const struct session *s)
{
    int error = 0;
    socklen_t len = sizeof error;
    int err = nst_client_getsockopt(s->client, s->fd, SOL_SOCKET, SO_ERROR, &error, &len);

    return err ? err : -error;
}

static int connect_socket(struct session *s)
{
    int err =
        nst_client_connect(s->client, s->fd, (const struct sockaddr *)&s->peer, sizeof s->peer);

    if (err == -EINPROGRESS)
        err = await(s->fd, POLLOUT, s->o.idle_ms) ? pending_error(s) : -EAGAIN;
    if (err == -EAGAIN)
        return nst_cli_fail(NST_CLI_FAILED, "cannot connect: no answer in time");
    if (err)
        return fail("connect", err);
    say(s, "Connected to", &s->peer);
    return 0;
}

/* The first that comes is the one. */
static int accept_one(struct session *s)
{
    socklen_t len = sizeof s->peer;
    int fd, err = nst_client_listen(s->client, s->fd, 1);

    if (err)
        return fail("listen", err);
    announce(s);
    do {
        await(s->fd, POLLIN, -1);
        fd = nst_client_accept(s->fd, (struct sockaddr *)&s->peer, &len,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd == -EAGAIN || fd == -EINTR || fd == -ECONNABORTED);
    close(s->fd);
    s->fd = fd;
    if (fd < 0)
        return fail("accept", fd);
    say(s, "Connection from", &s->peer);
    return 0;
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

static int run_tcp(struct session *s)
{
    int status = s->o.listen ? accept_one(s) : connect_socket(s);

    return status ? status : carry(&s->o, s->fd);
}

/* ---- UDP ----------------------------------------------------------------------------------- */

/* Prints one datagram. Whoever speaks first is the peer of a listener. 0, -EAGAIN or an error. */
static int take_in(struct session *s)
{
    static uint8_t data[UINT16_MAX];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = nst_client_recvfrom(s->fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);

    if (n < 0)
        return (int)n;
    if (s->peer.sin_port == 0) {
        s->peer = from;
        int err = nst_client_connect(s->client, s->fd, (const struct sockaddr *)&from, len);
        if (err)
            return err;
    }
    return fwrite(data, 1, (size_t)n, stdout) == (size_t)n && !fflush(stdout) ? 0 : -EPIPE;
}

/* One read of standard input is one datagram. Sets `*since` at its end. */
static int send_input(struct session *s, uint64_t *since)
{
    static uint8_t data[DATAGRAM];
    ssize_t n = read(STDIN_FILENO, data, sizeof data);

    if (n > 0)
        return send(s->fd, data, (size_t)n, MSG_NOSIGNAL) < 0 && errno != EAGAIN ? -errno : 0;
    *since = nst_ipc_clock();
    return 0;
}

static int run_udp(struct session *s)
{
    uint64_t since = 0;
    int n, err = 0, status = s->o.listen ? 0 : connect_socket(s);

    if (status)
        return status;
    do {
        bool may_send = !since && s->peer.sin_port != 0;
        struct pollfd fds[] = {{.fd = s->fd, .events = POLLIN},
                               {.fd = may_send ? STDIN_FILENO : -1, .events = POLLIN}};
        n = poll(fds, 2, patience(&s->o, since));
        if (n > 0 && fds[1].revents)
            err = send_input(s, &since);
        while (!err)
            err = take_in(s);
        if (err == -EAGAIN)
            err = pending_error(s); /* which nothing but asking for it tells */
    } while (n != 0 && !err);
    return err ? fail_flow(err) : NST_CLI_OK;
}

int nst_cli_nc(int argc, char **argv)
{
    struct session s = {.o = parse(argc, argv), .fd = -1};
    int status = s.o.listen ? 0 : resolve(&s.peer, s.o.host, s.o.port);

    if (status)
        return status;
    if ((status = open_socket(&s)) == 0 && (status = bind_socket(&s)) == 0)
        status = s.o.udp ? run_udp(&s) : run_tcp(&s);
    if (s.fd >= 0)
        close(s.fd);
    nst_client_close(s.client);
    return status;
}
