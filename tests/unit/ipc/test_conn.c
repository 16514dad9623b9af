/* The queue of one connection, against a socket pair whose other end reads or doesn't. */
#include "ipc/conn.h"

#include "fixture.h"

#include <netinet/in.h>

struct pair {
    struct nst_ipc_conn conn;
    int far;
};

static int make_pair(void **state)
{
    static struct pair pair;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    nst_ipc_conn_init(&pair.conn, fds[0]);
    pair.far = fds[1];
    *state = &pair;
    return 0;
}

static int drop_pair(void **state)
{
    struct pair *pair = *state;

    nst_ipc_conn_fini(&pair->conn);
    return close(pair->far);
}

static int send_size(struct pair *pair, uint16_t type, uint32_t id, size_t len)
{
    static uint8_t bytes[NST_IPC_MSG_MAX];
    struct nst_slice parts[] = {{bytes, len / 2}, {NULL, 0}, {bytes, len - len / 2}};

    return nst_ipc_conn_send(&pair->conn, type, id, parts, 3);
}

/* Sends until the socket is full and something waits. Returns how many were sent. */
static uint32_t fill_socket(struct pair *pair)
{
    uint32_t n = 0;

    while (!nst_ipc_conn_waiting(&pair->conn) && n < 100000)
        assert_int_equal(send_size(pair, NST_IPC_FRAME, n++, 1000), 0);
    return n;
}

static void test_passes_through(void **state)
{
    struct pair *pair = *state;
    struct nst_slice parts[] = {{(char[]){"{\"a\""}, 4}, {(char[]){":1}"}, 3}};
    uint32_t id;
    char text[32];

    assert_int_equal(nst_ipc_conn_send(&pair->conn, NST_IPC_REPLY, 7, parts, 2), 0);
    assert_false(nst_ipc_conn_waiting(&pair->conn));
    assert_int_equal(raw_recv(pair->far, &id, text, sizeof text), NST_IPC_REPLY);
    assert_int_equal(id, 7);
    assert_string_equal(text, "{\"a\":1}");
}

static void test_longest_message(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(send_size(pair, NST_IPC_REPLY, 1, NST_IPC_BODY_MAX), 0);
    assert_int_equal(send_size(pair, NST_IPC_REPLY, 1, NST_IPC_BODY_MAX + 1), -EMSGSIZE);
    assert_int_equal(raw_recv(pair->far, NULL, NULL, 0), NST_IPC_REPLY);
    assert_int_equal(raw_recv(pair->far, NULL, NULL, 0), -EAGAIN);
    fill_socket(pair);
    assert_int_equal(send_size(pair, NST_IPC_REPLY, 1, NST_IPC_BODY_MAX + 1), -EMSGSIZE);
}

static void test_order_is_kept(void **state)
{
    struct pair *pair = *state;
    uint32_t sent = fill_socket(pair), id, got = 0;

    assert_int_equal(send_size(pair, NST_IPC_REPLY, sent++, 10), 0);
    assert_int_equal(send_size(pair, NST_IPC_FRAME, sent++, 10), 0);
    assert_true(nst_ipc_conn_backlogged(&pair->conn));
    while (got < sent) {
        while (raw_recv(pair->far, &id, NULL, 0) > 0)
            assert_int_equal(id, got++);
        assert_int_equal(nst_ipc_conn_flush(&pair->conn), 0);
    }
    assert_false(nst_ipc_conn_waiting(&pair->conn));
    assert_false(nst_ipc_conn_backlogged(&pair->conn));
    assert_int_equal(pair->conn.data_bytes, 0);
}

static void test_data_is_dropped_beyond_its_bound(void **state)
{
    struct pair *pair = *state;
    uint32_t queued = 0;

    fill_socket(pair);
    while (send_size(pair, NST_IPC_FRAME, 0, 1000) == 0)
        queued++;
    assert_in_range(queued, 200, NST_IPC_DATA_MAX / 1000);
    assert_true(pair->conn.data_bytes <= NST_IPC_DATA_MAX);
    assert_int_equal(send_size(pair, NST_IPC_FRAME, 0, 1000), -ENOBUFS);
    assert_int_equal(send_size(pair, NST_IPC_REPLY, 0, 1000), 0); /* control has room of its own */
    assert_true(nst_ipc_conn_backlogged(&pair->conn));
}

static void test_empty_messages_are_not_free(void **state)
{
    struct pair *pair = *state;
    uint32_t queued = 0;

    fill_socket(pair);
    while (send_size(pair, NST_IPC_DATAGRAM, 0, 0) == 0)
        assert_true(queued++ < NST_IPC_DATA_MAX);
    assert_true(queued < NST_IPC_DATA_MAX / 16);
}

static void test_control_is_bounded(void **state)
{
    struct pair *pair = *state;
    uint32_t queued = 0;

    fill_socket(pair);
    while (send_size(pair, NST_IPC_REPLY, 0, 10000) == 0)
        queued++;
    assert_in_range(queued, 10, NST_IPC_CONTROL_MAX / 10000);
}

static void test_far_end_gone(void **state)
{
    struct pair *pair = *state;

    fill_socket(pair);
    shutdown(pair->far, SHUT_RDWR);
    assert_int_equal(nst_ipc_conn_flush(&pair->conn), -EPIPE);
}

static void test_end_is_reported(void **state)
{
    struct pair *pair = *state;

    shutdown(pair->far, SHUT_WR);
    assert_int_equal(raw_recv(pair->conn.fd, NULL, NULL, 0), -ECONNRESET);
}

static void test_too_long_is_malformed(void **state)
{
    struct pair *pair = *state;
    static uint8_t bytes[NST_IPC_MSG_MAX + 1];
    struct nst_ipc_header header = {1, NST_IPC_CALL, 1, sizeof bytes - NST_IPC_HLEN};

    nst_ipc_header_emit(&header, bytes);
    assert_int_equal(send(pair->far, bytes, sizeof bytes, 0), sizeof bytes);
    assert_int_equal(raw_recv(pair->conn.fd, NULL, NULL, 0), -EPROTO);
}

static void test_descriptors_are_closed(void **state)
{
    struct pair *pair = *state;
    uint8_t bytes[NST_IPC_HLEN];
    struct nst_ipc_header header = {1, NST_IPC_CALL, 1, 0};
    int pipes[2], next = dup(0);

    nst_ipc_header_emit(&header, bytes);
    close(next);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(raw_send_fd(pair->far, bytes, sizeof bytes, pipes[1]), sizeof bytes);
    close(pipes[1]);
    assert_int_equal(raw_recv(pair->conn.fd, NULL, NULL, 0), -EPROTO);
    assert_int_equal(read(pipes[0], bytes, 1), 0); /* the last writer has gone */
    close(pipes[0]);
    assert_int_equal(dup(0), next);
    close(next);
}

/* Sends `far` a TCP socket with unsent data, whose last close would take a minute: that which the
 * message in flight holds. Not disarmed, it would keep the test until the harness ends it. */
static void send_lingering_socket(int far)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger minute = {1, 60};
    socklen_t len = sizeof addr;
    static char junk[65536];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    assert_true(accept(listener, NULL, NULL) >= 0); /* stays open, unread, until the test exits */
    while (send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &minute, sizeof minute), 0);
    assert_int_equal(raw_send_fd(far, "x", 1, fd), 1);
    close(fd);
    close(listener);
}

static void test_lingering_descriptor_does_not_block_receiving(void **state)
{
    struct pair *pair = *state;

    send_lingering_socket(pair->far);
    assert_int_equal(raw_recv(pair->conn.fd, NULL, NULL, 0), -EPROTO);
}

static void test_lingering_descriptor_does_not_block_closing(void **state)
{
    struct pair *pair = *state;

    send_lingering_socket(pair->far);
    send_lingering_socket(pair->far); /* the teardown closes with both unread */
}

/* Receives a message that brings a pipe's end, and reads what was written into the pipe. */
static char read_passed(struct pair *pair)
{
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_msg msg;
    char byte = 0;
    int passed;

    while (nst_ipc_packet_recv(pair->far, buf, &msg, &passed) == 0 && passed < 0)
        ;
    assert_true(passed >= 0);
    assert_int_equal(msg.header.type, NST_IPC_REPLY);
    assert_int_equal(read(passed, &byte, 1), 1);
    close(passed);
    return byte;
}

static void pass_pipe(struct pair *pair, char byte)
{
    struct nst_slice body = {(char[]){"{}"}, 2};
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], &byte, 1), 1);
    close(ends[1]);
    assert_int_equal(nst_ipc_conn_pass_take(&pair->conn, NST_IPC_REPLY, 1, &body, 1, ends[0]), 0);
}

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_descriptors_are_passed(void **state)
{
    struct pair *pair = *state;
    int lowest = lowest_free_fd();

    pass_pipe(pair, 'a');
    assert_int_equal(read_passed(pair), 'a');
    fill_socket(pair);
    pass_pipe(pair, 'b');
    pass_pipe(pair, 'c');
    while (raw_recv(pair->far, NULL, NULL, 0) == NST_IPC_FRAME)
        ;
    assert_int_equal(nst_ipc_conn_flush(&pair->conn), 0);
    assert_int_equal(read_passed(pair), 'b');
    assert_int_equal(read_passed(pair), 'c');
    assert_int_equal(lowest_free_fd(), lowest);
    fill_socket(pair);
    pass_pipe(pair, 'd'); /* the teardown forgets it, unsent */
}

static void test_one_descriptor_at_most(void **state)
{
    static const struct nst_ipc_header header = {NST_IPC_VERSION, NST_IPC_REPLY, 1, 0};
    struct pair *pair = *state;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {.header = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    uint8_t bytes[NST_IPC_HLEN];
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr two = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    struct nst_ipc_msg msg;
    int passed, lowest = lowest_free_fd();

    nst_ipc_header_emit(&header, bytes);
    memcpy(CMSG_DATA(&control.header), (int[]){1, 2}, 2 * sizeof(int));
    assert_int_equal(sendmsg(pair->conn.fd, &two, 0), sizeof bytes);
    assert_int_equal(nst_ipc_packet_recv(pair->far, buf, &msg, &passed), -EPROTO);
    assert_int_equal(passed == -1 ? lowest_free_fd() : -1, lowest);
    assert_int_equal(raw_send_fd(pair->conn.fd, "nonsense", 8, 1), 8);
    assert_int_equal(nst_ipc_packet_recv(pair->far, buf, &msg, &passed), -EPROTO);
    assert_int_equal(passed == -1 ? lowest_free_fd() : -1, lowest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_passes_through, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_longest_message, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_order_is_kept, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_data_is_dropped_beyond_its_bound, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_empty_messages_are_not_free, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_control_is_bounded, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_far_end_gone, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_end_is_reported, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_too_long_is_malformed, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_descriptors_are_closed, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_descriptors_are_passed, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_one_descriptor_at_most, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_lingering_descriptor_does_not_block_receiving,
                                        make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_lingering_descriptor_does_not_block_closing, make_pair,
                                        drop_pair),
    };
    return cmocka_run_group_tests_name("ipc/conn", tests, NULL, NULL);
}
