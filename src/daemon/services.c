/* The small services of --services, over TCP and UDP: echo (RFC 862), discard (863), daytime (867)
 * and chargen (864), to try the stack with whatever is at hand.
 *
 * Each TCP connection is driven by its readiness: `run` goes on until the queue that it depends on
 * is empty or full, and is called again when that has changed. Data moves straight between the
 * queues of the stack. When as many connections are open as there may be, further ones wait in the
 * listeners' queues, and the stack's own back-pressure begins there.
 *
 * Over UDP these services are known as weapons: with a forged source address two of them shout at
 * each other for ever, or a third party is flooded with more than the attacker sent. So a datagram
 * is answered only when it was sent to an address of ours, from a port that no service has (below
 * 1024), and chargen answers with no more bytes than it was asked with. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/list.h"
#include "daemon/daemon.h"

#define CONNS_MAX    4096
#define BACKLOG      1024
#define SLICES       16
#define DATAGRAM_MAX 65536
#define PRIVILEGED   1024 /* ports below it are services' */

struct conn;

struct kind {
    const char *name;
    uint16_t port;
    /* Does what can be done now. A negative errno other than -EAGAIN ends the connection. */
    int (*run)(struct conn *c);
    /* The answer to a datagram of `len` bytes, which `buf` holds; may be longer or shorter. */
    size_t (*answer)(uint8_t *buf, size_t len);
};

/* A service on one protocol: a listener, or a UDP socket. */
struct port {
    struct nst_handler handler;
    struct nst_services *services;
    const struct kind *kind;
    nst_sock sock;
};

#define KINDS 4

struct nst_services {
    struct nst_queue *queue;
    struct port tcp[KINDS], udp[KINDS];
    struct nst_list conns;
    uint32_t nconns;
};

/* One TCP connection. */
struct conn {
    struct nst_handler handler;
    struct nst_list node;
    struct nst_services *services;
    const struct kind *kind;
    nst_sock sock;
    uint32_t at; /* chargen: the place in its pattern; daytime: 1 when the time was told */
};

static struct nst_stack *stack_of(const struct conn *c)
{
    return c->services->queue->stack;
}

/* ---- Pieces -------------------------------------------------------------------------------- */

static size_t length(const struct nst_slice *slices, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++)
        len += slices[i].len;
    return len;
}

/* Takes in and forgets all there is. 0 at the end of the stream, -EAGAIN before. */
static int discard_input(struct conn *c)
{
    struct nst_slice in[SLICES];
    int n;

    while ((n = nst_recv_peek(stack_of(c), c->sock, in, SLICES)) > 0)
        (void)nst_recv_consume(stack_of(c), c->sock, length(in, n));
    return n;
}

/* Our half is done; the connection is over when the peer's is, too. */
static int finish(struct conn *c)
{
    struct nst_sock_info info;

    (void)nst_shutdown(stack_of(c), c->sock, NST_SHUT_WR); /* again does no harm */
    if (nst_info(stack_of(c), c->sock, &info) == 0 && info.state == NST_TCP_CLOSED)
        return -ENOTCONN;
    return -EAGAIN;
}

/* ---- Echo and discard ---------------------------------------------------------------------- */

static int run_echo(struct conn *c)
{
    struct nst_slice in[SLICES];
    struct nst_msg msg = {.data = in};
    int n;

    while ((n = nst_recv_peek(stack_of(c), c->sock, in, SLICES)) > 0) {
        msg.ndata = (size_t)n;
        int64_t sent = nst_send(stack_of(c), c->sock, &msg);
        if (sent < 0)
            return (int)sent;
        (void)nst_recv_consume(stack_of(c), c->sock, (size_t)sent);
    }
    return n ? n : finish(c);
}

static size_t answer_echo(uint8_t *buf, size_t len)
{
    (void)buf;
    return len;
}

static int run_discard(struct conn *c)
{
    int err = discard_input(c);

    return err ? err : finish(c);
}

/* ---- Daytime ------------------------------------------------------------------------------- */

static size_t answer_daytime(uint8_t *buf, size_t len)
{
    time_t now = time(NULL);
    struct tm utc;

    (void)len;
    return strftime((char *)buf, 64, "%A, %B %e, %Y %H:%M:%S-UTC\r\n", gmtime_r(&now, &utc));
}

static int run_daytime(struct conn *c)
{
    uint8_t text[64];
    struct nst_slice data = {text, answer_daytime(text, 0)};
    const struct nst_msg msg = {.data = &data, .ndata = 1};

    if (c->at == 0) {
        int64_t sent = nst_send(stack_of(c), c->sock, &msg);
        if (sent < 0)
            return (int)sent;
        c->at = 1;
    }
    int end = finish(c), err = discard_input(c);
    return err ? err : end;
}

/* ---- Chargen ------------------------------------------------------------------------------- */

#define CHARS   95 /* the printable ones of ASCII */
#define LINE    74 /* 72 and the end of the line */
#define PATTERN (CHARS * LINE)

static uint8_t pattern[PATTERN];

/* Each line begins with the next character. */
static void make_pattern(void)
{
    for (uint32_t line = 0; line < CHARS; line++) {
        for (uint32_t i = 0; i < LINE - 2; i++)
            pattern[line * LINE + i] = (uint8_t)(' ' + (line + i) % CHARS);
        memcpy(pattern + line * LINE + LINE - 2, "\r\n", 2);
    }
}

static void write_pattern(struct conn *c, const struct nst_slice *room)
{
    uint8_t *to = room->base;

    for (size_t left = room->len; left > 0;) {
        size_t n = nst_min(left, PATTERN - c->at);
        memcpy(to, pattern + c->at, n);
        c->at = (c->at + (uint32_t)n) % PATTERN;
        to += n;
        left -= n;
    }
}

/* Until the peer has enough, which it says with its FIN. */
static int run_chargen(struct conn *c)
{
    struct nst_slice room[NST_SEND_SLICES];
    int n, err = discard_input(c);

    if (err != -EAGAIN)
        return err ? err : finish(c);
    while ((n = nst_send_reserve(stack_of(c), c->sock, DATAGRAM_MAX, room)) > 0) {
        for (int i = 0; i < n; i++)
            write_pattern(c, &room[i]);
        (void)nst_send_commit(stack_of(c), c->sock, length(room, n), 0);
    }
    return n;
}

static size_t answer_chargen(uint8_t *buf, size_t len)
{
    static uint32_t line;

    len = nst_min(len, LINE);
    memcpy(buf, pattern + line * LINE, len);
    line = (line + 1) % CHARS;
    return len;
}

static const struct kind kinds[KINDS] = {
    {"echo", 7, run_echo, answer_echo},
    {"discard", 9, run_discard, NULL},
    {"daytime", 13, run_daytime, answer_daytime},
    {"chargen", 19, run_chargen, answer_chargen},
};

/* ---- TCP ----------------------------------------------------------------------------------- */

static void accept_all(struct port *p);

static void conn_end(struct conn *c)
{
    struct nst_services *s = c->services;
    bool were_full = s->nconns == CONNS_MAX;

    nst_close(s->queue->stack, c->sock);
    nst_list_del(&c->node);
    s->nconns--;
    free(c);
    for (size_t i = 0; were_full && i < KINDS; i++)
        accept_all(&s->tcp[i]);
}

static void on_conn(struct nst_handler *handler, uint32_t ready)
{
    struct conn *c = NST_CONTAINER(handler, struct conn, handler);

    (void)ready; /* `run` finds out */
    if (c->kind->run(c) != -EAGAIN)
        conn_end(c);
}

/* False when no connection waits, or none can be taken. Its first event follows by itself. */
static bool accept_one(struct port *p)
{
    struct nst_services *s = p->services;
    struct conn *c = s->nconns < CONNS_MAX ? calloc(1, sizeof *c) : NULL;

    if (!c)
        return false;
    *c = (struct conn){.handler.ready = on_conn, .services = s, .kind = p->kind};
    if (nst_accept(s->queue->stack, p->sock, &c->sock, (uintptr_t)&c->handler) != 0) {
        free(c);
        return false;
    }
    nst_list_push_back(&s->conns, &c->node);
    s->nconns++;
    return true;
}

static void accept_all(struct port *p)
{
    while (accept_one(p))
        ;
}

static void on_listener(struct nst_handler *handler, uint32_t ready)
{
    (void)ready;
    accept_all(NST_CONTAINER(handler, struct port, handler));
}

/* ---- UDP ----------------------------------------------------------------------------------- */

static bool is_ours(const struct nst_daemon *d, const struct nst_addr *addr)
{
    for (size_t i = 0; i < d->config.naddresses; i++)
        if (nst_addr_eq(addr, &d->config.addresses[i].prefix.addr))
            return true;
    return false;
}

/* Attack row 265: nothing that could go round in circles, or hit many. */
static bool may_answer(const struct port *p, const struct nst_msg *msg)
{
    return p->kind->answer && msg->peer.port >= PRIVILEGED && nst_addr_is_host(&msg->peer.addr) &&
           is_ours(p->services->queue->daemon, &msg->local.addr);
}

static void on_udp(struct nst_handler *handler, uint32_t ready)
{
    static uint8_t buf[DATAGRAM_MAX];
    struct port *p = NST_CONTAINER(handler, struct port, handler);
    struct nst_stack *stack = p->services->queue->stack;
    struct nst_slice data = {buf, sizeof buf};
    struct nst_msg msg = {.data = &data, .ndata = 1};
    int64_t len;

    (void)ready;
    while ((len = nst_recv(stack, p->sock, &msg, 0)) >= 0) {
        if (may_answer(p, &msg)) {
            struct nst_slice answer = {buf, p->kind->answer(buf, (size_t)len)};
            const struct nst_msg reply = {.data = &answer,
                                          .ndata = 1,
                                          .peer = msg.peer,
                                          .local = msg.local,
                                          .tos = -1,
                                          .segment_bytes = msg.segment_bytes};
            (void)nst_send(stack, p->sock, &reply); /* without room it is lost, as any may be */
        }
    }
}

/* ---- All of them --------------------------------------------------------------------------- */

static int open_port(struct port *p, enum nst_sock_type type)
{
    struct nst_stack *stack = p->services->queue->stack;
    const struct nst_sockaddr local = {.port = p->kind->port};
    int err = nst_socket(stack, &p->sock, NST_AF_INET, type, 0, (uintptr_t)&p->handler);

    if (!err)
        err = nst_bind(stack, p->sock, &local);
    if (err)
        return err;
    if (type == NST_SOCK_DGRAM) /* what comes as one is one answer only to echo */
        return nst_setopt(stack, p->sock, NST_OPT_UDP_GRO, p->kind->answer == answer_echo);
    err = nst_setopt(stack, p->sock, NST_OPT_KEEPALIVE, 1);
    if (!err) /* with --fastopen server */
        err = nst_setopt(stack, p->sock, NST_OPT_FASTOPEN, BACKLOG);
    return err ? err : nst_listen(stack, p->sock, BACKLOG);
}

static int open_kind(struct nst_services *s, size_t i)
{
    s->tcp[i] = (struct port){{on_listener}, s, &kinds[i], 0};
    s->udp[i] = (struct port){{on_udp}, s, &kinds[i], 0};
    int err = open_port(&s->tcp[i], NST_SOCK_STREAM);
    /* Datagrams are the first queue's. */
    return err || s->queue->index > 0 ? err : open_port(&s->udp[i], NST_SOCK_DGRAM);
}

int nst_services_new(struct nst_services **out, struct nst_queue *q)
{
    struct nst_services *s = calloc(1, sizeof *s);
    int err = 0;

    if (!s)
        return -ENOMEM;
    tzset(); /* reads a file, which the sandbox would not let gmtime_r() do */
    s->queue = q;
    nst_list_init(&s->conns);
    make_pattern();
    for (size_t i = 0; i < KINDS && !err; i++)
        err = open_kind(s, i);
    if (err)
        nst_services_free(s);
    else
        *out = s;
    return err;
}

void nst_services_free(struct nst_services *services)
{
    if (!services)
        return;
    for (size_t i = 0; i < KINDS; i++) {
        nst_close(services->queue->stack, services->tcp[i].sock);
        nst_close(services->queue->stack, services->udp[i].sock);
    }
    NST_LIST_FOREACH_SAFE (e, &services->conns)
        conn_end(NST_CONTAINER(e, struct conn, node));
    free(services);
}

const char *nst_services_name(uint64_t cookie)
{
    const struct nst_handler *h = (const struct nst_handler *)(uintptr_t)cookie;

    if (h->ready == on_listener || h->ready == on_udp)
        return NST_CONTAINER(h, const struct port, handler)->kind->name;
    if (h->ready == on_conn)
        return NST_CONTAINER(h, const struct conn, handler)->kind->name;
    return NULL;
}
