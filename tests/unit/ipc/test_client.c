/* The client against a daemon that the test plays itself, on a listening socket, message by
 * message. */
#include "ipc/client.h"

#include "fixture.h"
#include "ipc/listen.h"

#include <sys/wait.h>

static struct nst_ipc_listener listener;
static char why[NST_IPC_WHY];
static int passed = -1; /* what the daemon passes with its answer */

/* What the daemon says to whoever connects; run in a child, which then closes. */
static void play(const void *greeting, size_t len, const char *answer, uint16_t type)
{
    struct nst_slice body = {(void *)(uintptr_t)answer, answer ? strlen(answer) : 0};
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_header header;
    int fd;

    while ((fd = accept(listener.fd, NULL, NULL)) < 0)
        ;
    if (send(fd, greeting, len, MSG_NOSIGNAL) < 0)
        _exit(1);
    ssize_t got = answer ? recv(fd, buf, sizeof buf, 0) : 0;
    if (got > 0 && nst_ipc_header_parse(&header, buf, (size_t)got) == 0) {
        /* Something else first, which a call must not mistake for its answer. */
        nst_ipc_packet_send(fd, NST_IPC_REPLY, header.id + 1,
                            &(struct nst_slice){(char[]){"{}"}, 2}, 1);
        nst_ipc_packet_send(fd, NST_IPC_FRAME, header.id, &body, 1);
        nst_ipc_packet_pass(fd, type, header.id, &body, 1, passed);
    }
    _exit(0);
}

static pid_t daemon_says(const void *greeting, size_t len, const char *answer, uint16_t type)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        play(greeting, len, answer, type);
    return pid;
}

#define HELLO "NSTK\2\0\1\0\0\0\0\0\2\0\0\0{}"

static struct nst_ipc_client *open_client(void)
{
    struct nst_ipc_client *client = NULL;

    assert_int_equal(nst_ipc_client_open(&client, "t", why), 0);
    return client;
}

static int listen_here(void **state)
{
    (void)state;
    return nst_ipc_listen(&listener, "t", why);
}

static int unlisten_here(void **state)
{
    (void)state;
    while (wait(NULL) > 0)
        ;
    nst_ipc_unlisten(&listener);
    return 0;
}

static void test_nobody_there(void **state)
{
    struct nst_ipc_client *client = NULL;
    (void)state;

    assert_int_equal(nst_ipc_client_open(&client, "default", why), -ENOENT);
    assert_string_equal(why, "no netstack instance named 'default' is running; "
                             "start one with: sudo netstack up");
    assert_int_equal(nst_ipc_client_open(&client, "lab", why), -ENOENT);
    assert_string_equal(why, "no netstack instance named 'lab' is running; "
                             "start one with: sudo netstack up --name lab");
    assert_int_equal(nst_ipc_client_open(&client, "a/b", why), -EINVAL);
    assert_null(client);
}

static void test_left_over_socket(void **state)
{
    struct nst_ipc_client *client = NULL;
    (void)state;

    close(listener.fd);
    listener.fd = -1;
    assert_int_equal(nst_ipc_client_open(&client, "t", why), -ENOENT);
}

static void test_call(void **state)
{
    json_t *result = NULL;
    (void)state;

    daemon_says(HELLO, sizeof HELLO - 1, "{\"a\":5}", NST_IPC_REPLY);
    struct nst_ipc_client *client = open_client();
    assert_int_equal(nst_ipc_client_call_take(client, json_pack("{s:s}", "op", "x"), &result), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "a")), 5);
    json_decref(result);
    nst_ipc_client_free(client);
}

static void test_call_fails(void **state)
{
    (void)state;
    daemon_says(HELLO, sizeof HELLO - 1, "{\"errno\":\"EPERM\",\"message\":\"no\"}", NST_IPC_ERROR);
    struct nst_ipc_client *client = open_client();
    assert_int_equal(nst_ipc_client_call_take(client, json_pack("{s:s}", "op", "x"), NULL), -EPERM);
    assert_string_equal(nst_ipc_client_why(client), "no");
    nst_ipc_client_free(client);
}

/* A descriptor that nobody asked for: what sends it is no daemon. */
static void test_unexpected_descriptor(void **state)
{
    (void)state;
    passed = 0;
    daemon_says(HELLO, sizeof HELLO - 1, "{}", NST_IPC_REPLY);
    struct nst_ipc_client *client = open_client();
    assert_int_equal(nst_ipc_client_call_take(client, json_pack("{s:s}", "op", "x"), NULL),
                     -EPROTO);
    nst_ipc_client_free(client);
    passed = -1;
}

static void test_daemon_ends(void **state)
{
    struct nst_ipc_msg msg;
    (void)state;

    waitpid(daemon_says(HELLO, 0, NULL, 0), NULL, WNOHANG);
    struct nst_ipc_client *client = NULL;
    assert_int_equal(nst_ipc_client_open(&client, "t", why), -ECONNRESET);
    assert_string_equal(why, "the netstack daemon ended");

    daemon_says(HELLO, sizeof HELLO - 1, NULL, 0);
    client = open_client();
    assert_int_equal(nst_ipc_client_next(client, &msg, -1), -ECONNRESET);
    assert_int_equal(nst_ipc_client_call_take(client, json_pack("{s:s}", "op", "x"), NULL),
                     -ECONNRESET);
    assert_string_equal(nst_ipc_client_why(client), "the netstack daemon ended");
    struct nst_ipc_datagram datagram = {.sock = 1};
    assert_int_equal(nst_ipc_client_send(client, &datagram, "x", 1), -ECONNRESET);
    nst_ipc_client_free(client);
}

static void test_other_greetings(void **state)
{
    static const char refused[] =
        "NSTK\2\0\4\0\0\0\0\0\x23\0\0\0{\"errno\":\"EUSERS\",\"message\":\"full\"}";
    static const struct {
        const char *bytes;
        size_t len;
        int err;
        const char *why;
    } rows[] = {
        {"hello", 5, -EPROTO, "what answers there is not a netstack daemon"},
        {"NSTK\3\0\1\0\0\0\0\0\2\0\0\0{}", 18, -EPROTONOSUPPORT,
         "the daemon speaks version 3 of the protocol, this netstack 2"},
        {"NSTK\2\0\1\0\0\0\0\0\2\0\0\0[]", 18, -EPROTO,
         "what answers there is not a netstack daemon"},
        {"NSTK\2\0\3\0\0\0\0\0\2\0\0\0{}", 18, -EPROTO,
         "what answers there is not a netstack daemon"},
        {refused, sizeof refused - 1, -EUSERS, "full"},
    };
    struct nst_ipc_client *client = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        daemon_says(rows[i].bytes, rows[i].len, NULL, 0);
        assert_int_equal(nst_ipc_client_open(&client, "t", why), rows[i].err);
        assert_string_equal(why, rows[i].why);
        wait(NULL);
    }
    assert_null(client);
}

static void test_next_waits_no_longer_than_asked(void **state)
{
    struct nst_ipc_msg msg;
    (void)state;

    daemon_says(HELLO, sizeof HELLO - 1, "{}", NST_IPC_REPLY);
    struct nst_ipc_client *client = open_client();
    assert_int_equal(nst_ipc_client_next(client, &msg, 0), -ETIMEDOUT);
    assert_int_equal(nst_ipc_client_next(client, &msg, 5), -ETIMEDOUT);
    nst_ipc_client_free(client); /* the child reads the end and ends */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, listen_here, unlisten_here)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_there),
        TEST(test_left_over_socket),
        TEST(test_call),
        TEST(test_call_fails),
        TEST(test_unexpected_descriptor),
        TEST(test_daemon_ends),
        TEST(test_other_greetings),
        TEST(test_next_waits_no_longer_than_asked),
    };
    return cmocka_run_group_tests_name("ipc/client", tests, fixture_make_dir, fixture_remove_dir);
}
