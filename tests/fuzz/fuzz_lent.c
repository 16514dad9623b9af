/* Fuzzes lent sockets: each input is what two users' programs do with a daemon that is inside the
 * process, one after the other, by calls and by the descriptors that they got for them.
 *
 * The first byte chooses quotas; then each action is a byte, of which the high bit tells the user,
 * and its arguments. A socket is a number of SLOTS. Whatever they do: the stack stays sound, other
 * users' calls are answered, and when all have gone nothing is left. */
#include "core/base/addr.h"
#include "ipc/packet.h"
#include "program.h"
#include "tape.h"

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define USERS   2
#define SLOTS   8
#define ACTIONS 96
#define TURNS   6

/* What a user's program has. */
struct user {
    uid_t uid;
    int conn; /* to the daemon; -1: none */
};

/* A lent socket as its program knows it. */
struct slot {
    int fd;                       /* -1: none */
    struct nst_ipc_sockname name; /* its own, as the descriptor tells */
    struct nst_sockaddr local, peer;
};

static struct inside in;
static struct user users[USERS] = {{(uid_t)-1, -1}, {INSIDE_STRANGER, -1}};
static struct slot slots[SLOTS];
static uint8_t bytes[4096];

static void turn(void)
{
    for (int i = 0; i < TURNS; i++)
        assert(nst_loop_run_once(in.d.loop, 0) == 0);
}

/* ---- Talking to the daemon ------------------------------------------------------------------- */

static void hang_up(struct user *u)
{
    if (u->conn >= 0)
        close(u->conn);
    u->conn = -1;
}

static bool dial(struct user *u)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (u->conn >= 0)
        return true;
    inside_be(u->uid);
    u->conn = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", in.path);
    if (connect(u->conn, (const struct sockaddr *)&addr, sizeof addr) != 0)
        hang_up(u);
    turn();
    return u->conn >= 0;
}

static struct nst_sockaddr end_of(const json_t *answer, const char *addr, const char *port)
{
    const char *text = json_string_value(json_object_get(answer, addr));
    struct nst_sockaddr end = {.port = (uint16_t)json_integer_value(json_object_get(answer, port))};

    if (text)
        assert(nst_addr_parse(&end.addr, text));
    return end;
}

/* Takes what the daemon has said; a name in it is the slot's now, and so is a descriptor. */
static void listen_to(struct user *u, struct slot *s)
{
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_msg msg;
    int passed, err;

    while (u->conn >= 0 && (err = nst_ipc_packet_recv(u->conn, buf, &msg, &passed)) != -EAGAIN) {
        if (err) {
            hang_up(u);
            return;
        }
        json_t *answer = json_loadb((const char *)msg.body, msg.header.len, 0, NULL);
        if (json_object_get(answer, "peer_port")) {
            s->local = end_of(answer, "address", "port");
            s->peer = end_of(answer, "peer_address", "peer_port");
        }
        json_decref(answer);
        if (passed >= 0 && s->fd >= 0)
            close(passed);
        else if (passed >= 0)
            s->fd = passed;
    }
}

static void say_take(struct user *u, struct slot *s, json_t *call)
{
    char *text = call ? json_dumps(call, JSON_COMPACT) : NULL;
    struct nst_slice body = {text, text ? strlen(text) : 0};

    if (text && dial(u))
        (void)nst_ipc_packet_send(u->conn, NST_IPC_CALL, 1, &body, 1);
    free(text);
    json_decref(call);
    turn();
    listen_to(u, s);
}

static json_t *about(const struct slot *s, const char *op)
{
    char token[NST_IPC_TOKEN_TEXT];

    return json_pack("{s:s, s:s}", "op", op, "socket", nst_ipc_token_print(token, &s->name.token));
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void open_socket(struct user *u, struct slot *s, struct tape *t)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 0};
    struct sockaddr_un addr;
    socklen_t len = sizeof addr;

    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    say_take(u, s, json_pack("{s:s, s:i}", "op", "open", "protocol", protocols[tape_take8(t) % 4]));
    if (s->fd >= 0 && getsockname(s->fd, (struct sockaddr *)&addr, &len) == 0)
        (void)nst_ipc_name_parse(&s->name, &addr, len);
}

static const char *some_address(struct tape *t)
{
    static const char *const addrs[] = {INSIDE_ADDR, INSIDE_ADDR2, "127.0.0.1",      "10.0.0.77",
                                        "0.0.0.0",   "224.0.0.1",  "255.255.255.255"};

    return addrs[tape_take8(t) % (sizeof addrs / sizeof addrs[0])];
}

static void with_name(struct user *u, struct slot *s, struct tape *t, const char *op)
{
    json_t *call = about(s, op);
    uint8_t port = tape_take8(t);

    if (port != UINT8_MAX)
        json_object_set_new(call, "address", json_string(some_address(t)));
    json_object_set_new(call, "port", json_integer(port ? 8000 + port % 4 : 0));
    say_take(u, s, call);
}

static void with_number(struct user *u, struct slot *s, struct tape *t, const char *op,
                        const char *key)
{
    json_t *call = about(s, op);

    json_object_set_new(call, key, json_integer((int16_t)tape_take16(t)));
    json_object_set_new(call, "wait", json_boolean(tape_take8(t) & 1));
    say_take(u, s, call);
}

static void with_option(struct user *u, struct slot *s, struct tape *t, const char *op)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP};
    json_t *call = about(s, op);
    char digits[2 * 64 + 1];
    uint8_t level = tape_take8(t);

    json_object_set_new(call, "level", json_integer(levels[level % 4]));
    json_object_set_new(call, "option", json_integer(tape_take8(t)));
    json_object_set_new(call, "length", json_integer((int8_t)tape_take8(t)));
    nst_ipc_hex_print(digits, bytes, tape_take(t, bytes, level / 4));
    json_object_set_new(call, "value", json_string(digits));
    say_take(u, s, call);
}

/* Text of the fuzzer's; a '$' in it is the socket's token. */
static void with_text(struct user *u, struct slot *s, struct tape *t)
{
    char token[NST_IPC_TOKEN_TEXT], text[1024];
    size_t len = tape_take(t, bytes, tape_take8(t)), n = 0;

    nst_ipc_token_print(token, &s->name.token);
    for (size_t i = 0; i < len && n < sizeof text - sizeof token; i++) {
        if (bytes[i] == '$')
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", token);
        else
            text[n++] = (char)bytes[i];
    }
    struct nst_slice body = {text, n};
    if (dial(u))
        (void)nst_ipc_packet_send(u->conn, NST_IPC_CALL, 1, &body, 1);
    turn();
    listen_to(u, s);
}

static void call(struct user *u, struct slot *s, struct tape *t)
{
    switch (tape_take8(t) % 12) {
    case 0:
        with_name(u, s, t, "bind");
        break;
    case 1:
        with_name(u, s, t, "connect");
        break;
    case 2:
        with_number(u, s, t, "begin", "filler");
        break;
    case 3:
        with_number(u, s, t, "listen", "backlog");
        break;
    case 4:
        with_option(u, s, t, "setsockopt");
        break;
    case 5:
        with_option(u, s, t, "getsockopt");
        break;
    case 6:
        with_number(u, s, t, "kill", "number");
        break;
    case 7:
        say_take(u, s, about(s, "error"));
        break;
    case 8:
        say_take(u, s, about(s, "name"));
        break;
    case 9:
        say_take(u, s, about(s, "sweep"));
        break;
    case 10:
        say_take(u, s, json_pack("{s:s, s:b}", "op", "sockets", "info", 1));
        break;
    default:
        with_text(u, s, t);
        break;
    }
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

/* Connects the descriptor with a name of the daemon's, as the library does, or to another one. */
static void join(const struct slot *s, struct tape *t)
{
    struct nst_ipc_sockname end = {.kind = (enum nst_ipc_name_kind)(1 + tape_take8(t) % 4),
                                   .protocol = s->name.protocol,
                                   .token = s->name.token,
                                   .local = s->local,
                                   .peer = s->peer};
    struct sockaddr_un addr;
    socklen_t len = nst_ipc_name_emit(&end, &addr);

    (void)connect(s->fd, (const struct sockaddr *)&addr, len);
}

/* Some bytes, with or without a descriptor. */
static void write_some(int fd, size_t len, bool with_descriptor)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {bytes, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (with_descriptor) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
    }
    (void)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A datagram to any destination; or what looks like one. */
static void send_to_sink(const struct slot *s, struct tape *t)
{
    const struct nst_ipc_sockname sink = {
        .kind = NST_IPC_NAME_SINK, .protocol = s->name.protocol, .token = s->name.token};
    struct nst_ipc_send to = {.to = {.port = (uint16_t)(8000 + tape_take8(t) % 4)}, .tos = -1};
    struct sockaddr_un addr;
    socklen_t alen = nst_ipc_name_emit(&sink, &addr);
    size_t len = tape_take8(t) * 16u;

    assert(nst_addr_parse(&to.to.addr, some_address(t)));
    nst_ipc_send_emit(&to, bytes);
    tape_take(t, bytes + 16 * (tape_take8(t) % 3), tape_take8(t) % 16);
    (void)sendto(s->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&addr,
                 alen);
}

static void accept_one(struct slot *s, struct slot *into)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    (void)nst_ipc_stream_mark(fd);
    if (into->fd >= 0)
        close(into->fd);
    *into = *s;
    into->fd = fd;
}

static void act(struct slot *s, struct tape *t)
{
    uint8_t what = tape_take8(t);

    switch (what % 10) {
    case 0:
        join(s, t);
        break;
    case 1:
    case 2:
        write_some(s->fd, tape_take8(t) * 16u, what % 10 == 2);
        break;
    case 3:
        (void)recv(s->fd, bytes, tape_take8(t) * 16u, MSG_DONTWAIT);
        break;
    case 4:
        (void)listen(s->fd, tape_take8(t) % 3);
        break;
    case 5:
        accept_one(s, &slots[tape_take8(t) % SLOTS]);
        break;
    case 6:
        (void)shutdown(s->fd, tape_take8(t) % 3);
        break;
    case 7:
        send_to_sink(s, t);
        break;
    case 8:
        for (int i = 0; i < 64; i++) /* much at once */
            write_some(s->fd, sizeof bytes, false);
        break;
    default:
        close(s->fd);
        s->fd = -1;
        break;
    }
    turn();
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

static void frame(struct tape *t)
{
    size_t len = tape_take(t, bytes, tape_take8(t));

    (void)send(in.network, bytes, len, MSG_DONTWAIT);
    turn();
}

static void step(struct tape *t)
{
    uint8_t what = tape_take8(t);
    struct user *u = &users[what >> 7];
    struct slot *s = &slots[tape_take8(t) % SLOTS];

    switch (what % 16) {
    case 0:
        open_socket(u, s, t);
        break;
    case 1:
        inside_pass(&in, (uint64_t)(1 + tape_take8(t)) * NST_LOOP_MSEC);
        break;
    case 2:
        hang_up(u);
        turn();
        break;
    case 3:
        frame(t);
        break;
    case 4:
        inside_fail_in(tape_take8(t));
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        if (s->fd >= 0)
            act(s, t);
        break;
    default:
        call(u, s, t);
        break;
    }
}

/* Somebody else, in between, is served. */
static void serve_another(void)
{
    struct user other = {(uid_t)-1, -1};
    struct slot s = {.fd = -1};

    inside_fail_in(0);
    say_take(&other, &s, json_pack("{s:s, s:i}", "op", "open", "protocol", IPPROTO_TCP));
    assert(s.fd >= 0);
    close(s.fd);
    hang_up(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tape t = {data, size};
    struct nst_up_config config = {.npersons = 1, .persons = {NST_UP_ANYONE}};
    uint8_t quotas = tape_take8(&t);

    config.persons[0].uid = INSIDE_STRANGER;
    config.persons[0].sockets = 1 + quotas % 8;
    config.persons[0].listeners = config.persons[0].connecting = 1 + quotas / 8 % 4;
    config.persons[0].messages = quotas & 64 ? 8 : 100000;
    config.persons[0].buffer_bytes = quotas & 128 ? 20000 : 1 << 20;
    inside_start(&in, &config);
    for (int i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){.fd = -1};
    for (int i = 0; i < ACTIONS && t.len > 0; i++)
        step(&t);
    serve_another();
    inside_turn(&in);
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].fd >= 0)
            close(slots[i].fd);
    for (int i = 0; i < USERS; i++)
        hang_up(&users[i]);
    inside_turn(&in);
    assert(inside_stop(&in) == 0);
    return 0;
}
