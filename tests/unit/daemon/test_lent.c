/* Lent sockets, with a daemon, its stack and the programs in one process. */
#include "../unit.h"
#include "program.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct inside in;
static struct program owner, stranger;
static struct nst_up_config config;

static int setup(void **state)
{
    (void)state;
    config = (struct nst_up_config){.npersons = 1, .persons = {NST_UP_ANYONE}};
    config.persons[0].uid = INSIDE_STRANGER;
    inside_start(&in, &config);
    program_start(&owner, &in, (uid_t)-1);
    program_start(&stranger, &in, INSIDE_STRANGER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    program_end(&owner);
    program_end(&stranger);
    return inside_stop(&in);
}

static struct nst_up_person *limits(void)
{
    return &in.d.config.persons[0];
}

static uint64_t reached(enum nst_quota quota)
{
    return nst_lender_reached(in.d.lender, quota);
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    inside_turn(&in);
}

/* Writes until there is no more room, and what was written went where it could. Returns the bytes.
 */
static size_t write_all(int fd)
{
    static const char bytes[4096];
    size_t total = 0;
    ssize_t n;

    do {
        for (; (n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0;)
            total += (size_t)n;
        assert_int_equal(errno, EAGAIN);
        inside_turn(&in);
        n = send(fd, bytes, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        total += n > 0;
    } while (n > 0);
    return total;
}

static size_t read_all(int fd)
{
    static char bytes[65536];
    size_t total = 0;
    ssize_t n;

    do {
        for (; (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
            total += (size_t)n;
        inside_turn(&in);
        n = recv(fd, bytes, 1, MSG_DONTWAIT);
        total += n > 0;
    } while (n > 0);
    return total;
}

/* ---- How it should be ------------------------------------------------------------------------ */

static void test_a_connection(void **state)
{
    int ends[2];
    char byte = 0;
    (void)state;

    program_pair(&stranger, 8080, ends);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(ends[i], "x", 1, 0), 1);
        inside_turn(&in);
        assert_int_equal(recv(ends[!i], &byte, 1, 0), 1);
        assert_int_equal(byte, 'x');
    }
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    inside_turn(&in);
    assert_int_equal(recv(ends[1], &byte, 1, 0), 0);
    assert_int_equal(send(ends[1], "y", 1, 0), 1); /* half-closed: the other way goes on */
    inside_turn(&in);
    assert_int_equal(recv(ends[0], &byte, 1, 0), 1);
    close(ends[1]);
    inside_turn(&in);
    assert_int_equal(recv(ends[0], &byte, 1, 0), 0);
    close(ends[0]);
    inside_turn(&in);
    assert_int_equal(in.d.nsockets, 1); /* the listener, until somebody looks */
    inside_pass(&in, 3 * NST_LOOP_SECOND);
    assert_int_equal(in.d.nsockets, 0);
}

static void test_refused(void **state)
{
    int fd = program_socket(&stranger, SOCK_STREAM);
    (void)state;

    assert_int_equal(program_connect(&stranger, fd, INSIDE_ADDR, 9), -ECONNREFUSED);
    close(fd);
}

/* ---- Quotas ---------------------------------------------------------------------------------- */

static void test_quota_of_sockets(void **state)
{
    int fds[4];
    (void)state;

    limits()->sockets = 3;
    for (int i = 0; i < 3; i++)
        assert_true((fds[i] = program_socket(&stranger, i ? SOCK_DGRAM : SOCK_STREAM)) >= 0);
    assert_int_equal(program_socket(&stranger, SOCK_STREAM), -EMFILE);
    assert_int_equal(reached(NST_QUOTA_SOCKETS), 1);
    assert_true((fds[3] = program_socket(&owner, SOCK_STREAM)) >= 0); /* others have theirs */
    close(fds[1]);
    assert_true((fds[1] = program_socket(&stranger, SOCK_STREAM)) >=
                0); /* one that has gone is found */
    assert_int_equal(reached(NST_QUOTA_SOCKETS), 1);
    close_all(fds, 4);
}

static void test_quota_of_listeners(void **state)
{
    int first, second;
    (void)state;

    limits()->listeners = 1;
    first = program_listener(&stranger, 8080);
    second = program_socket(&stranger, SOCK_STREAM);
    assert_int_equal(program_bind(&stranger, second, INSIDE_ADDR, 8081), 0);
    assert_int_equal(program_listen(&stranger, second), -EMFILE);
    assert_int_equal(reached(NST_QUOTA_LISTENERS), 1);
    assert_int_equal(program_listen(&stranger, first), 0); /* that it has already */
    close(first);
    assert_int_equal(program_listen(&stranger, second), 0);
    close(second);
}

static void test_quota_of_connecting(void **state)
{
    int fds[2] = {program_socket(&stranger, SOCK_STREAM), program_socket(&stranger, SOCK_STREAM)};
    (void)state;

    limits()->connecting = 1;
    assert_int_equal(program_connect(&stranger, fds[0], "10.0.0.77", 80), -EINPROGRESS);
    assert_int_equal(program_connect(&stranger, fds[1], "10.0.0.77", 80), -EAGAIN);
    assert_int_equal(reached(NST_QUOTA_CONNECTING), 1);
    close(fds[0]);
    inside_turn(&in);
    assert_int_equal(program_connect(&stranger, fds[1], "10.0.0.77", 80), -EINPROGRESS);
    close(fds[1]);
}

static const struct nst_account *account(void)
{
    return nst_lent_numbered(in.d.lender, 0)->account;
}

/* Whose programs read nothing has so much waiting and no more, and no other's connection notices.
 */
static void test_quota_of_buffers(void **state)
{
    int ends[8][2], others[2];
    size_t total = 0;
    (void)state;

    limits()->buffer_bytes = 1 << 20;
    for (int i = 0; i < 8; i++) /* first of all, so that account() is the stranger's */
        program_pair(&stranger, (uint16_t)(8000 + i), ends[i]);
    program_pair(&owner, 9000, others);
    assert_int_equal(account()->uid, INSIDE_STRANGER);
    for (int i = 0; i < 8; i++)
        total += write_all(ends[i][0]);
    assert_true(reached(NST_QUOTA_BUFFERS) > 0);
    assert_true(nst_account_is_full(account()));
    /* Beside it: what the kernel holds of what was written, and what had been offered. */
    assert_in_range(account()->buffered_bytes, 1 << 20, (1 << 20) + 8 * 65536);
    assert_true(write_all(others[0]) > 700000); /* nobody else's is less for it */
    assert_int_equal(write_all(ends[0][0]), 0);
    for (int i = 0; i < 8; i++) { /* and nothing is lost, once it is read */
        size_t got = read_all(ends[i][1]);
        total -= got;
        inside_pass(&in, 2 * NST_RECOUNT_NS);
        total -= read_all(ends[i][1]);
    }
    for (int round = 0; total > 0 && round < 100; round++) {
        inside_pass(&in, 2 * NST_RECOUNT_NS);
        for (int i = 0; i < 8; i++)
            total -= read_all(ends[i][1]);
    }
    assert_int_equal(total, 0);
    inside_pass(&in, 2 * NST_RECOUNT_NS);
    assert_false(nst_account_is_full(account()));
    assert_null(account()->recount.loop);
    for (int i = 0; i < 8; i++)
        close_all(ends[i], 2);
    close_all(others, 2);
}

/* What comes from the network for one who doesn't read: his windows open no further. */
static void test_quota_of_buffers_that_arrive(void **state)
{
    int ends[8][2];
    size_t at_first;
    (void)state;

    limits()->buffer_bytes = 1 << 20;
    for (int i = 0; i < 8; i++) {
        int listener = program_listener(&stranger, (uint16_t)(8000 + i));
        ends[i][0] = program_socket(&owner, SOCK_STREAM | SOCK_NONBLOCK);
        assert_int_equal(program_connect(&owner, ends[i][0], INSIDE_ADDR, (uint16_t)(8000 + i)), 0);
        inside_be(INSIDE_STRANGER);
        assert_true((ends[i][1] = program_accept(&stranger, listener)) >= 0);
        close(listener);
    }
    write_all(ends[0][0]);
    assert_true(nst_account_is_full(account()));
    at_first = account()->buffered_bytes;
    for (int i = 1; i < 8; i++)
        write_all(ends[i][0]);
    /* What a connection's first window had offered, but nothing more. */
    assert_in_range(account()->buffered_bytes - at_first, 7 * 65536, 7 * 80000);
    for (int i = 0; i < 8; i++)
        close_all(ends[i], 2);
}

/* Counted in messages that are dealt with: one at its limit doesn't take another's turns. */
static void test_quota_of_messages(void **state)
{
    int fd, other = program_socket(&owner, SOCK_STREAM), sent = 0;
    (void)state;

    limits()->messages = 1000;
    fd = program_socket(&stranger, SOCK_STREAM);
    while (program_setsockopt(&stranger, fd, IPPROTO_TCP, TCP_KEEPCNT, 5) == 0)
        assert_true(++sent < 1000);
    assert_in_range(sent, 100, 200); /* an eighth of a second's */
    assert_true(reached(NST_QUOTA_MESSAGES) > 0);
    for (int i = 0; i < 300; i++)
        assert_int_equal(program_setsockopt(&owner, other, IPPROTO_TCP, TCP_KEEPCNT, 5), 0);
    inside_pass(&in, NST_LOOP_SECOND);
    assert_int_equal(program_setsockopt(&stranger, fd, IPPROTO_TCP, TCP_KEEPCNT, 5), 0);
    close(fd);
    close(other);
}

/* ---- What a hostile program does with its descriptors ---------------------------------------- */

/* A socket whose last close would take as long as its owner pleased. */
static int trap(void)
{
    const struct linger forever = {1, INT16_MAX};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &forever, sizeof forever), 0);
    return fd;
}

/* The daemon has had it in hand before it let go of it. */
static void assert_disarmed(int fd)
{
    struct linger linger = {1, 1};
    socklen_t len = sizeof linger;

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    assert_int_equal(linger.l_onoff, 0);
    close(fd);
}

/* Sends `len` bytes with a descriptor, to the abstract name or whom it is connected with. */
static ssize_t send_trap(int fd, size_t len, int passed, const struct nst_ipc_sockname *to)
{
    static char bytes[256];
    struct sockaddr_un addr;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec iov = {bytes, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
    if (to) {
        msg.msg_namelen = nst_ipc_name_emit(to, &addr);
        msg.msg_name = &addr;
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The socket with that number, counted from the one that was there first. */
static struct nst_lent *lent(uint32_t number)
{
    struct nst_lent *found = nst_lent_numbered(in.d.lender, number);

    assert_non_null(found);
    return found;
}

static void test_descriptors_in_what_is_unread(void **state)
{
    int ends[2], traps[3] = {trap(), trap(), trap()};
    char byte;
    (void)state;

    program_pair(&stranger, 8080, ends);
    assert_int_equal(send_trap(ends[0], 100, traps[0], NULL), 100);
    assert_int_equal(send_trap(ends[0], 100, traps[1], NULL), 100);
    inside_turn(&in); /* one is read, or two */
    assert_int_equal(send_trap(ends[0], 100, traps[2], NULL), 100);
    nst_lent_free(lent(1));
    for (int i = 0; i < 3; i++)
        assert_disarmed(traps[i]);
    assert_int_equal(recv(ends[0], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, ECONNRESET); /* it is a reset all the same */
    close_all(ends, 2);
}

static void test_descriptors_in_the_filler(void **state)
{
    const struct nst_sockaddr to = {.addr = {NST_AF_INET, {10, 0, 0, 2}}, .port = 8080};
    int listener = program_listener(&stranger, 8080), fd = program_socket(&stranger, SOCK_STREAM);
    int traps[2] = {trap(), trap()};
    struct nst_ipc_sockname end = {.kind = NST_IPC_NAME_END, .protocol = IPPROTO_TCP, .peer = to};
    struct nst_sock_info info;
    struct sockaddr_un addr;
    (void)state;

    assert_int_equal(nst_lent_stream_connect(lent(1), &to), -EINPROGRESS);
    assert_int_equal(nst_info(in.d.stack, lent(1)->sock, &info), 0);
    end.token = lent(1)->token;
    end.local = info.local;
    socklen_t len = nst_ipc_name_emit(&end, &addr);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(send_trap(fd, 100, traps[0], NULL), 100);
    assert_int_equal(send_trap(fd, 100, traps[1], NULL), 100);
    assert_int_equal(nst_lent_stream_begin(lent(1), 200), 0);
    inside_turn(&in); /* established: the filler is drained */
    assert_disarmed(traps[0]);
    assert_disarmed(traps[1]);
    close(fd);
    close(listener);
}

static void test_descriptors_at_the_door(void **state)
{
    const struct nst_sockaddr to = {.addr = {NST_AF_INET, {10, 0, 0, 77}}, .port = 80};
    int fd = program_socket(&stranger, SOCK_STREAM), passed = trap();
    struct nst_ipc_sockname end = {.kind = NST_IPC_NAME_END, .protocol = IPPROTO_TCP, .peer = to};
    struct nst_sock_info info;
    struct sockaddr_un addr;
    (void)state;

    assert_int_equal(nst_lent_stream_connect(lent(0), &to), -EINPROGRESS);
    assert_int_equal(nst_info(in.d.stack, lent(0)->sock, &info), 0);
    end.token = lent(0)->token;
    end.local = info.local;
    socklen_t len = nst_ipc_name_emit(&end, &addr);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(send_trap(fd, 100, passed, NULL), 100);
    nst_lent_free(lent(0));
    assert_disarmed(passed);
    close(fd);
}

static void test_descriptors_in_datagrams(void **state)
{
    int fd = program_socket(&stranger, SOCK_DGRAM), traps[2] = {trap(), trap()};
    struct nst_ipc_sockname sink = {.kind = NST_IPC_NAME_SINK, .protocol = IPPROTO_UDP};
    (void)state;

    sink.token = lent(0)->token;
    assert_int_equal(send_trap(fd, 0, traps[0], &sink), 0);
    assert_int_equal(send_trap(fd, 100, traps[1], &sink), 100);
    nst_lent_free(lent(0));
    assert_disarmed(traps[0]);
    assert_disarmed(traps[1]);
    close(fd);
}

/* Where datagrams come from, none can be sent to: they would lie there for ever. */
static void test_a_source_takes_nothing(void **state)
{
    int fd = program_socket(&stranger, SOCK_DGRAM), other = program_socket(&owner, SOCK_DGRAM);
    struct nst_ipc_send to = {.to = {.addr = {NST_AF_INET, {10, 0, 0, 2}}, .port = 5000},
                              .tos = -1};
    struct nst_ipc_sockname name = {.kind = NST_IPC_NAME_SINK, .protocol = IPPROTO_UDP};
    struct sockaddr_un addr;
    uint8_t bytes[NST_IPC_SEND_HLEN + 1] = {0};
    socklen_t len;
    (void)state;

    assert_int_equal(program_bind(&stranger, fd, INSIDE_ADDR, 5000), 0);
    name.token = lent(1)->token;
    len = nst_ipc_name_emit(&name, &addr);
    nst_ipc_send_emit(&to, bytes);
    assert_int_equal(sendto(other, bytes, sizeof bytes, 0, (const struct sockaddr *)&addr, len),
                     sizeof bytes);
    inside_turn(&in);
    len = sizeof addr;
    assert_int_equal(
        recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&addr, &len), 1);
    assert_int_equal(nst_ipc_name_parse(&name, &addr, len), 0);
    assert_int_equal(name.kind, NST_IPC_NAME_SOURCE);
    assert_int_equal(sendto(fd, bytes, 1, MSG_NOSIGNAL, (const struct sockaddr *)&addr, len), -1);
    assert_int_equal(errno, EPIPE);
    close(fd);
    close(other);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_connection),
        T(test_refused),
        T(test_quota_of_sockets),
        T(test_quota_of_listeners),
        T(test_quota_of_connecting),
        T(test_quota_of_buffers),
        T(test_descriptors_in_what_is_unread),
        T(test_descriptors_in_the_filler),
        T(test_descriptors_at_the_door),
        T(test_descriptors_in_datagrams),
        T(test_a_source_takes_nothing),
        T(test_quota_of_buffers_that_arrive),
        T(test_quota_of_messages),
    };
    return cmocka_run_group_tests_name("daemon/lent", tests, NULL, NULL);
}
