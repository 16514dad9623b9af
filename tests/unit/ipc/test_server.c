/* The server against honest and hostile clients, turn by turn on a loop of the test's own. */
#include "ipc/server.h"

#include "fixture.h"
#include "ipc/conn.h"

#include <fcntl.h>
#include <sys/resource.h>

struct daemon {
    struct nst_loop *loop;
    struct nst_ipc_server *server;
    int opened, closed, calls, datagrams;
    struct nst_ipc_peer *last;
    char payload[64];
    const struct nst_ipc_peer *paced; /* who has to wait after each message, ... */
    uint64_t wait_ns;                 /* ... and for how long */
    size_t paced_bytes;
};

static struct daemon d;

static void on_opened(void *ctx, struct nst_ipc_peer *peer)
{
    assert_ptr_equal(ctx, &d);
    d.opened++;
    d.last = peer;
}

/* Ops: echo answers its argument; big gives an answer of that size; fail; late answers nothing. */
static void on_call(void *ctx, struct nst_ipc_peer *peer, uint32_t id, const char *op,
                    const json_t *args)
{
    (void)ctx;
    d.calls++;
    d.last = peer;
    if (strcmp(op, "echo") == 0) {
        nst_ipc_reply_take(peer, id, json_pack("{s:O?}", "value", json_object_get(args, "value")));
    } else if (strcmp(op, "big") == 0) {
        size_t size = (size_t)json_integer_value(json_object_get(args, "size"));
        char *text = malloc(size + 1);
        memset(text, 'x', size);
        text[size] = '\0';
        nst_ipc_reply_take(peer, id, json_pack("{s:s}", "big", text));
        free(text);
    } else if (strcmp(op, "fail") == 0) {
        nst_ipc_error(peer, id, -EPERM, "only %s may do that", "the owner");
    }
}

static void on_datagram(void *ctx, struct nst_ipc_peer *peer,
                        const struct nst_ipc_datagram *datagram, const uint8_t *payload, size_t len)
{
    struct nst_slice slice = {(void *)(uintptr_t)payload, len};
    (void)ctx;

    d.datagrams++;
    snprintf(d.payload, sizeof d.payload, "%.*s", (int)len, (const char *)payload);
    nst_ipc_datagram_send(peer, datagram, &slice, 1);
}

static void on_closed(void *ctx, struct nst_ipc_peer *peer)
{
    (void)ctx;
    (void)peer;
    d.closed++;
}

static uint64_t on_pace(void *ctx, struct nst_ipc_peer *peer, size_t len)
{
    (void)ctx;
    if (peer != d.paced)
        return 0;
    d.paced_bytes += len;
    return d.wait_ns;
}

static const struct nst_ipc_ops OPS = {on_opened, on_call, on_datagram, on_closed, on_pace};

static int start(void **state)
{
    static char why[NST_IPC_WHY];
    struct nst_ipc_server_config config = {"t", "1.2", getuid(), &OPS, &d};
    (void)state;

    memset(&d, 0, sizeof d);
    if (nst_loop_new(&d.loop, NULL) < 0)
        return -1;
    return nst_ipc_server_new(&d.server, d.loop, &config, why);
}

static int stop(void **state)
{
    (void)state;
    nst_ipc_server_free(d.server);
    nst_loop_free(d.loop);
    return d.opened == d.closed ? 0 : -1;
}

/* Turns the loop often enough for everything that is under way to end. */
static void turn(void)
{
    for (int i = 0; i < 32; i++)
        assert_true(nst_loop_run_once(d.loop, 0) >= 0);
}

static struct nst_ipc_server_stats stats(void)
{
    struct nst_ipc_server_stats s;

    nst_ipc_server_stats(d.server, &s);
    return s;
}

/* A client that has read its greeting. */
static int greeted(void)
{
    int fd = raw_connect();

    assert_true(fd >= 0);
    turn();
    assert_int_equal(raw_recv(fd, NULL, NULL, 0), NST_IPC_HELLO);
    return fd;
}

/* An honest client's dialogue, which must work whatever others do. */
static void assert_served(int fd)
{
    uint32_t id;
    char text[64];

    assert_int_equal(raw_call(fd, 42, "{\"op\":\"echo\",\"value\":5}"), 0);
    turn();
    assert_int_equal(raw_recv(fd, &id, text, sizeof text), NST_IPC_REPLY);
    assert_int_equal(id, 42);
    assert_string_equal(text, "{\"value\":5}");
}

static void assert_ended(int fd)
{
    int type;

    turn();
    while ((type = raw_recv(fd, NULL, NULL, 0)) > 0 || type == -EAGAIN)
        turn();
    assert_int_equal(type, -ECONNRESET);
    close(fd);
}

static void test_greeting(void **state)
{
    char text[128], expected[128];
    (void)state;

    int fd = raw_connect();
    turn();
    assert_int_equal(raw_recv(fd, NULL, text, sizeof text), NST_IPC_HELLO);
    snprintf(expected, sizeof expected, "{\"name\":\"t\",\"version\":\"1.2\",\"pid\":%d}",
             (int)getpid());
    assert_string_equal(text, expected);
    assert_int_equal(nst_ipc_peer_cred(d.last)->uid, getuid());
    assert_int_equal(nst_ipc_peer_cred(d.last)->pid, getpid());
    assert_true(nst_ipc_peer_is_owner(d.last)); /* as configured */
    assert_null(nst_ipc_peer_data(d.last));
    nst_ipc_peer_set(d.last, &d);
    assert_ptr_equal(nst_ipc_peer_data(d.last), &d);
    close(fd);
    turn();
    assert_int_equal(d.closed, 1);
    assert_int_equal(stats().clients, 0);
    assert_int_equal(stats().malformed, 0);
}

static void test_calls(void **state)
{
    char text[128];
    uint32_t id;
    (void)state;

    int fd = greeted();
    assert_served(fd);
    raw_call(fd, 7, "{\"op\":\"fail\"}");
    turn();
    assert_int_equal(raw_recv(fd, &id, text, sizeof text), NST_IPC_ERROR);
    assert_int_equal(id, 7);
    assert_string_equal(text, "{\"errno\":\"EPERM\",\"message\":\"only the owner may do that\"}");
    close(fd);
}

static void test_call_without_op(void **state)
{
    static const char *const bodies[] = {"{}", "{\"op\":5}", "{\"op\":null}"};
    uint32_t id;
    (void)state;

    int fd = greeted();
    for (size_t i = 0; i < 3; i++) {
        raw_call(fd, 9, bodies[i]);
        turn();
        assert_int_equal(raw_recv(fd, &id, NULL, 0), NST_IPC_ERROR);
        assert_int_equal(id, 9);
    }
    assert_int_equal(d.calls, 0);
    assert_served(fd);
    close(fd);
}

static void test_datagrams(void **state)
{
    uint8_t fixed[NST_IPC_DATAGRAM_HLEN];
    struct nst_slice parts[] = {{fixed, sizeof fixed}, {(char[]){"ping"}, 4}};
    struct nst_ipc_datagram out = {.sock = 1, .peer = {4, {10, 0, 0, 1}}};
    (void)state;

    int fd = greeted();
    nst_ipc_datagram_emit(&out, fixed);
    assert_int_equal(nst_ipc_packet_send(fd, NST_IPC_DATAGRAM, 0, parts, 2), 0);
    turn();
    assert_string_equal(d.payload, "ping");
    assert_int_equal(raw_recv(fd, NULL, NULL, 0), NST_IPC_DATAGRAM);
    close(fd);
}

/* ---- Hostile ones ---- */

struct garbage {
    const char *what;
    const void *bytes;
    size_t len;
};

#define ROW(what, text)             \
    {                               \
        what, text, sizeof text - 1 \
    }
#define HEAD(version, type, len) "NSTK" version "\0" type "\0\1\0\0\0" len "\0\0\0"

static const struct garbage GARBAGE[] = {
    ROW("one byte", "x"),
    ROW("half a header", "NSTK\2\0\2"),
    ROW("bad magic", "nSTK\1\0\2\0\1\0\0\0\2\0\0\0{}"),
    ROW("version 0", HEAD("\0", "\2", "\2") "{}"),
    ROW("version 1", HEAD("\1", "\2", "\2") "{}"),
    ROW("type 0", HEAD("\2", "\0", "\2") "{}"),
    ROW("type 7", HEAD("\2", "\7", "\2") "{}"),
    ROW("a HELLO from a client", HEAD("\2", "\1", "\2") "{}"),
    ROW("a REPLY from a client", HEAD("\2", "\3", "\2") "{}"),
    ROW("an ERROR from a client", HEAD("\2", "\4", "\2") "{}"),
    ROW("a FRAME from a client", HEAD("\2", "\6", "\2") "{}"),
    ROW("length too short", HEAD("\2", "\2", "\1") "{}"),
    ROW("length too long", HEAD("\2", "\2", "\3") "{}"),
    ROW("an enormous length", "NSTK\2\0\2\0\1\0\0\0\xff\xff\xff\xff{}"),
    ROW("empty JSON", HEAD("\2", "\2", "\0")),
    ROW("JSON array", HEAD("\2", "\2", "\2") "[]"),
    ROW("no JSON", HEAD("\2", "\2", "\4") "\0\1\2\3"),
    ROW("two objects", HEAD("\2", "\2", "\4") "{}{}"),
    ROW("half a datagram", HEAD("\2", "\5", "\4") "abcd"),
};

static void test_garbage_ends_only_its_sender(void **state)
{
    (void)state;
    int honest = greeted();

    for (size_t i = 0; i < sizeof GARBAGE / sizeof GARBAGE[0]; i++) {
        int hostile = greeted();
        assert_int_equal(send(hostile, GARBAGE[i].bytes, GARBAGE[i].len, MSG_NOSIGNAL),
                         GARBAGE[i].len);
        raw_call(hostile, 1, "{\"op\":\"echo\"}"); /* what follows is not looked at */
        turn();
        if (stats().malformed != i + 1)
            fail_msg("%s was not refused", GARBAGE[i].what);
        assert_ended(hostile);
        assert_served(honest);
        assert_int_equal(d.calls, i + 1);
    }
    assert_int_equal(stats().clients, 1);
    assert_int_equal(d.datagrams, 0);
    close(honest);
}

static void test_huge_message(void **state)
{
    static uint8_t bytes[NST_IPC_MSG_MAX + 1];
    struct nst_ipc_header header = {1, NST_IPC_CALL, 1, NST_IPC_BODY_MAX};
    (void)state;

    int honest = greeted(), hostile = greeted();
    nst_ipc_header_emit(&header, bytes);
    assert_int_equal(send(hostile, bytes, sizeof bytes, 0), sizeof bytes);
    assert_ended(hostile);
    assert_served(honest);
    close(honest);
}

static void test_empty_packet(void **state)
{
    (void)state;
    int honest = greeted(), hostile = greeted();

    assert_int_equal(send(hostile, "", 0, 0), 0);
    assert_ended(hostile);
    assert_served(honest);
    close(honest);
}

/* Newer kernels refuse descriptors to their sender; older ones deliver them, which ends him. */
static void test_descriptors(void **state)
{
    static const char call[] = HEAD("\2", "\2", "\2") "{}";
    (void)state;

    int honest = greeted(), hostile = greeted();
    int before = dup(0);
    close(before);
    if (raw_send_fd(hostile, call, sizeof call - 1, 0) < 0) {
        assert_int_equal(errno, EPERM);
        close(hostile);
    } else {
        assert_ended(hostile);
    }
    assert_int_equal(d.calls, 0);
    assert_served(honest);
    close(honest);
}

/* Nobody reads the answers: calls stop being read, nothing grows, and all is answered once he does.
 */
static void test_never_reads(void **state)
{
    int sent = 0, got = 0;
    (void)state;

    int honest = greeted(), lazy = greeted();
    for (; sent < 100000 && raw_call(lazy, 1, "{\"op\":\"big\",\"size\":60000}") == 0; sent++)
        turn();
    assert_true(sent < 100000); /* his own sends block in the end */
    assert_true(d.calls < 100);
    assert_served(honest);
    int type;
    while ((type = raw_recv(lazy, NULL, NULL, 0)) > 0 || (type == -EAGAIN && got < sent)) {
        got += type > 0;
        turn();
    }
    assert_int_equal(got, sent);
    assert_served(lazy);
    close(lazy);
    close(honest);
}

static void test_closes_with_answers_waiting(void **state)
{
    (void)state;
    int lazy = greeted();

    for (int i = 0; i < 100000 && raw_call(lazy, 1, "{\"op\":\"big\",\"size\":60000}") == 0; i++)
        turn();
    close(lazy);
    turn();
    assert_int_equal(stats().clients, 0);
    assert_int_equal(d.closed, 1);
}

/* Frames for one who doesn't read are dropped and counted, and he is told the number. */
static void test_frames_are_dropped_and_counted(void **state)
{
    static uint8_t bytes[2000], buf[NST_IPC_MSG_MAX];
    struct nst_slice slices[] = {{bytes, 1000}, {bytes + 1000, 1000}};
    struct nst_ipc_frame frame = {.len = 2000, .link = 1}, got;
    struct nst_ipc_msg msg;
    uint32_t sent = 0, lost = 0, received = 0;
    (void)state;

    int fd = greeted();
    for (int i = 0; i < 2000; i++) {
        bool ok = nst_ipc_frame_send(d.last, 3, &frame, slices, 2, 1500);
        *(ok ? &sent : &lost) += 1;
    }
    assert_true(sent > 0 && lost > 0);
    assert_int_equal(stats().dropped, lost);
    do {
        turn();
        while (nst_ipc_packet_recv(fd, buf, &msg, NULL) == 0)
            received++;
    } while (received < sent);
    assert_true(nst_ipc_frame_send(d.last, 3, &frame, slices, 2, 1500));
    assert_int_equal(nst_ipc_packet_recv(fd, buf, &msg, NULL), 0);
    assert_int_equal(msg.header.id, 3);
    assert_int_equal(msg.header.len, NST_IPC_FRAME_HLEN + 1500);
    assert_int_equal(nst_ipc_frame_parse(&got, msg.body, msg.header.len), 0);
    assert_int_equal(got.lost, lost);
    assert_int_equal(got.len, 2000);
    assert_served(fd);
    close(fd);
}

/* One who floods gets his share of a turn, no more: the honest one is served in the next. */
static void test_flood_does_not_starve(void **state)
{
    int sent = 0, got = 0, turns = 0;
    (void)state;

    int honest = greeted(), flooder = greeted();
    while (raw_call(flooder, 1, "{\"op\":\"late\"}") == 0)
        sent++;
    assert_true(sent > 100);
    raw_call(honest, 2, "{\"op\":\"echo\"}");
    while (!got && turns++ < 2) {
        assert_true(nst_loop_run_once(d.loop, 0) >= 0);
        got = raw_recv(honest, NULL, NULL, 0) == NST_IPC_REPLY;
    }
    assert_true(got);
    assert_true(d.calls <= 2 * 16 + 1);
    turn();
    assert_int_equal(d.calls, sent + 1);
    close(flooder);
    close(honest);
}

/* A client that floods; the daemon lets it wait so long after each message. */
static int flooding(uint64_t wait_ns, int *sent)
{
    int fd = greeted();

    d.paced = d.last;
    d.wait_ns = wait_ns;
    for (*sent = 0; raw_call(fd, 1, "{\"op\":\"late\"}") == 0;)
        ++*sent;
    return fd;
}

static void test_who_has_to_wait_is_not_read(void **state)
{
    static const char call[] = "{\"op\":\"late\"}";
    int sent, honest = greeted(), flooder = flooding(3600 * NST_LOOP_SECOND, &sent);
    (void)state;

    turn();
    assert_int_equal(d.calls, 1);
    assert_int_equal(d.paced_bytes, NST_IPC_HLEN + strlen(call));
    nst_ipc_error((struct nst_ipc_peer *)(uintptr_t)d.paced, 1, -EPERM, "late");
    turn(); /* what it is told goes out all the same */
    assert_int_equal(raw_recv(flooder, NULL, NULL, 0), NST_IPC_ERROR);
    assert_int_equal(d.calls, 1);
    assert_served(honest);
    assert_int_equal(stats().clients, 2);
    assert_int_equal(stats().malformed, 0);
    close(flooder);
    close(honest);
}

/* Slowed down, not cut: all of it is read in the end. */
static void test_who_had_to_wait_is_read_again(void **state)
{
    int sent, flooder = flooding(1, &sent);
    (void)state;

    while (d.calls < sent)
        assert_int_equal(nst_loop_run_once(d.loop, NST_LOOP_SECOND), 0);
    assert_served(flooder);
    close(flooder);
}

static void test_answer_too_long(void **state)
{
    char text[128];
    (void)state;

    int fd = greeted();
    raw_call(fd, 1, "{\"op\":\"big\",\"size\":140000}");
    turn();
    assert_int_equal(raw_recv(fd, NULL, text, sizeof text), NST_IPC_ERROR);
    assert_string_equal(
        text, "{\"errno\":\"EMSGSIZE\",\"message\":\"the answer is too long for one message\"}");
    assert_served(fd);
    close(fd);
}

static void test_too_many_clients(void **state)
{
    int fds[NST_IPC_PEERS_PER_USER], type;
    char text[128];
    (void)state;

    for (size_t i = 0; i < NST_IPC_PEERS_PER_USER; i++)
        fds[i] = greeted();
    int fd = raw_connect();
    turn();
    assert_int_equal(raw_recv(fd, NULL, text, sizeof text), NST_IPC_ERROR);
    assert_non_null(strstr(text, "EUSERS"));
    type = raw_recv(fd, NULL, NULL, 0);
    assert_int_equal(type, -ECONNRESET);
    close(fd);
    assert_int_equal(stats().refused, 1);
    assert_int_equal(stats().clients, NST_IPC_PEERS_PER_USER);
    assert_served(fds[0]);
    close(fds[1]);
    turn();
    fds[1] = greeted();
    assert_served(fds[1]);
    for (size_t i = 0; i < NST_IPC_PEERS_PER_USER; i++)
        close(fds[i]);
}

/* Out of descriptors, the server refuses instead of spinning, and goes on afterwards. */
static void test_no_descriptors_left(void **state)
{
    struct rlimit old, few;
    int honest = greeted(), waiting = raw_connect(), next = dup(0);
    (void)state;

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    turn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(stats().refused, 1);
    assert_int_equal(raw_recv(waiting, NULL, NULL, 0), NST_IPC_ERROR);
    close(waiting);
    assert_served(honest);
    waiting = greeted();
    assert_served(waiting);
    close(waiting);
    close(honest);
}

static void test_name_is_taken(void **state)
{
    struct nst_ipc_server_config config = {"t", "1.2", getuid(), &OPS, &d};
    struct nst_ipc_server *second = NULL;
    char why[NST_IPC_WHY];
    (void)state;

    assert_int_equal(nst_ipc_server_new(&second, d.loop, &config, why), -EADDRINUSE);
    assert_null(second);
    int fd = greeted();
    assert_served(fd);
    close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_greeting),
        TEST(test_calls),
        TEST(test_call_without_op),
        TEST(test_datagrams),
        TEST(test_garbage_ends_only_its_sender),
        TEST(test_huge_message),
        TEST(test_empty_packet),
        TEST(test_descriptors),
        TEST(test_never_reads),
        TEST(test_closes_with_answers_waiting),
        TEST(test_frames_are_dropped_and_counted),
        TEST(test_flood_does_not_starve),
        TEST(test_who_has_to_wait_is_not_read),
        TEST(test_who_had_to_wait_is_read_again),
        TEST(test_answer_too_long),
        TEST(test_too_many_clients),
        TEST(test_no_descriptors_left),
        TEST(test_name_is_taken),
    };
    return cmocka_run_group_tests_name("ipc/server", tests, fixture_make_dir, fixture_remove_dir);
}
