/* Lent sockets, with a daemon, its stack and the programs in one process. */
#include "../unit.h"
#include "program.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "ipc/packet.h"

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

/* The socket with that number, counted from the one that was there first. */
static struct nst_lent *lent(uint32_t number)
{
    struct nst_lent *found = nst_lent_numbered(in.d.lender, number);

    assert_non_null(found);
    return found;
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
    return lent(0)->account;
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

/* The search for what has gone is paid for as so many messages: who is refused, soon waits. */
static void test_refusals_are_paid_for(void **state)
{
    int fds[64], err, refused = 0;
    (void)state;

    limits()->sockets = 64;
    limits()->messages = 1000; /* of which 125 at once */
    for (int i = 0; i < 64; i++)
        assert_true((fds[i] = program_socket(&stranger, SOCK_STREAM)) >= 0);
    while ((err = program_socket(&stranger, SOCK_STREAM)) == -EMFILE)
        assert_true(++refused < 5);
    assert_int_equal(err, -EINPROGRESS);
    assert_true(refused > 0);
    close_all(fds, 64);
}

/* Who says that a program has ended has his own sockets looked at, not everybody's. */
static void test_a_sweep_is_of_ones_own(void **state)
{
    struct nst_client_request r = {.op = NST_CLIENT_SWEEP};
    int mine[3], others[3];
    (void)state;

    for (int i = 0; i < 3; i++)
        mine[i] = program_socket(&stranger, i ? SOCK_STREAM : SOCK_DGRAM);
    for (int i = 0; i < 3; i++)
        others[i] = program_socket(&owner, SOCK_STREAM);
    assert_int_equal(lent(3)->account->nidle, 3);
    close_all(mine, 3);
    close_all(others, 3);
    assert_int_equal(program_do(&stranger, &r), 0);
    assert_int_equal(lent(0)->account->soon, 3);
    assert_int_equal(lent(3)->account->soon, 0);
    inside_pass(&in, 50 * NST_LOOP_MSEC);
    assert_int_equal(in.d.nsockets, 3);
    for (uint32_t i = 3; i < 6; i++)
        assert_int_equal(lent(i)->account->uid, getuid());
    inside_pass(&in, 2 * NST_LOOP_SECOND); /* nobody has said so: but somebody looks */
    assert_int_equal(in.d.nsockets, 0);
}

/* ---- Only so much ---------------------------------------------------------------------------- */

/* A connection to the daemon that speaks for itself. */
static int dial(uid_t uid)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    inside_be(uid);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", in.path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    inside_turn(&in);
    return fd;
}

/* The answers that are there, by what stands in them. */
static unsigned count_answers(int fd, const char *what)
{
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_msg msg;
    unsigned n = 0;

    while (nst_ipc_packet_recv(fd, buf, &msg, NULL) == 0)
        n += memmem(msg.body, msg.header.len, what, strlen(what)) != NULL;
    return n;
}

/* Calls that wait are kept; so there are only so many, and their answers all get through. */
static void test_calls_that_wait(void **state)
{
    int fd = program_socket(&owner, SOCK_STREAM), conn = dial((uid_t)-1);
    char token[NST_IPC_TOKEN_TEXT], text[160];
    struct nst_slice body = {text, 0};
    unsigned refused = 0, failed = 0;
    (void)state;

    assert_int_equal(program_connect(&owner, fd, "10.0.0.77", 80), -EINPROGRESS);
    snprintf(text, sizeof text, "{\"op\":\"begin\",\"socket\":\"%s\",\"filler\":0,\"wait\":true}",
             nst_ipc_token_print(token, &lent(0)->token));
    body.len = strlen(text);
    for (int i = 0; i < 3000;) {
        if (nst_ipc_packet_send(conn, NST_IPC_CALL, 1, &body, 1) == 0) {
            i++;
            continue;
        }
        inside_turn(&in);
        refused += count_answers(conn, "ENOBUFS");
    }
    inside_turn(&in);
    assert_int_equal(refused + count_answers(conn, "ENOBUFS"), 3000 - 2048);
    inside_pass(&in, 400 * NST_LOOP_SECOND); /* it times out */
    for (unsigned n = 1; n > 0; failed += n) {
        n = count_answers(conn, "ETIMEDOUT");
        inside_turn(&in);
    }
    assert_int_equal(failed, 2048);
    close(conn);
    close(fd);
}

/* A datagram that finds no room waits, and so do those behind it: without being asked for again. */
static void test_datagrams_wait_for_the_network(void **state)
{
    int fd = program_socket(&stranger, SOCK_DGRAM);
    uint8_t frame[2048];
    unsigned sent = 0, got = 0;
    (void)state;

    assert_int_equal(program_connect(&stranger, fd, "10.0.0.1", 9), 0);
    assert_int_equal(program_setsockopt(&stranger, fd, SOL_SOCKET, SO_SNDBUF, 4096), 0);
    for (; !lent(0)->dgram.held && sent < 1000; inside_turn(&in))
        sent += send(fd, frame, 1000, MSG_DONTWAIT) == 1000;
    assert_non_null(lent(0)->dgram.held);
    assert_true(lent(0)->dgram.deaf);
    for (int i = 0; i < 3; i++)
        sent += send(fd, frame, 1000, MSG_DONTWAIT) == 1000;
    for (unsigned before = got + 1; before != got; inside_pass(&in, NST_LOOP_SECOND))
        for (before = got; recv(in.network, frame, sizeof frame, 0) > 0;)
            got++;
    assert_int_equal(got, sent);
    assert_false(lent(0)->dgram.deaf);
    close(fd);
}

/* The same when the user has too much waiting elsewhere. */
static void test_datagrams_wait_for_the_quota(void **state)
{
    int fd = program_socket(&stranger, SOCK_DGRAM), ends[2];
    char bytes[1000] = "";
    (void)state;

    assert_int_equal(program_connect(&stranger, fd, INSIDE_ADDR, 5000), 0);
    assert_int_equal(program_bind(&stranger, fd, INSIDE_ADDR, 5000), -EINVAL); /* it has a port */
    limits()->buffer_bytes = 100000;
    program_pair(&stranger, 8080, ends);
    write_all(ends[0]);
    assert_true(nst_account_is_full(lent(0)->account));
    for (int i = 0; i < 4; i++) /* its least share it has still */
        assert_int_equal(send(fd, bytes, sizeof bytes, MSG_DONTWAIT), sizeof bytes);
    inside_turn(&in);
    assert_false(lent(0)->dgram.deaf);
    close(fd);
    close_all(ends, 2);
}

static unsigned sources(uint32_t number)
{
    return lent(number)->dgram.nsources;
}

/* Whom a user hears from costs descriptors of the daemon's: half of them are others'. */
static void test_quota_of_descriptors(void **state)
{
    struct rlimit old, few = {0};
    int fd, fds[64], n = 0, err;
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few.rlim_max = old.rlim_max;
    few.rlim_cur = 64; /* for a daemon that begins now: 32, of which a user has 16 */
    program_end(&owner);
    program_end(&stranger);
    assert_int_equal(inside_stop(&in), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    inside_start(&in, &config);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    program_start(&owner, &in, (uid_t)-1);
    program_start(&stranger, &in, INSIDE_STRANGER);

    fd = program_socket(&stranger, SOCK_DGRAM);
    assert_int_equal(program_bind(&stranger, fd, INSIDE_ADDR, 5000), 0);
    while ((err = program_socket(&stranger, SOCK_STREAM)) >= 0 && n < 12)
        fds[n++] = err;
    close(err);
    for (uint16_t port = 1; port < 40; port++) {
        struct nst_ipc_sockname from = {
            .peer = {.addr = {NST_AF_INET, {10, 0, 0, 2}}, .port = port}};
        int sender = program_socket(&owner, SOCK_DGRAM);
        assert_true(sender >= 0);
        assert_int_equal(program_bind(&owner, sender, INSIDE_ADDR2, port), 0);
        assert_int_equal(program_connect(&owner, sender, INSIDE_ADDR, 5000), 0);
        assert_int_equal(send(sender, &from, 1, 0), 1);
        inside_turn(&in);
        close(sender);
        inside_pass(&in, 2 * NST_LOOP_SECOND);
        assert_in_range(sources(0), 1, 2); /* 16 less 2, less 12 */
    }
    assert_int_equal(program_socket(&stranger, SOCK_STREAM), -EMFILE);
    assert_int_equal(reached(NST_QUOTA_SOCKETS), 1);
    fds[n] = program_socket(&owner, SOCK_STREAM);
    assert_true(fds[n] >= 0);
    close_all(fds, (size_t)n + 1);
    close(fd);
}

/* ---- Who may --------------------------------------------------------------------------------- */

static struct nst_sock_info info_of(uint32_t number)
{
    struct nst_sock_info info;

    assert_int_equal(nst_info(in.d.home->stack, lent(number)->sock, &info), 0);
    return info;
}

static void test_other_users_sockets(void **state)
{
    int fd = program_listener(&owner, 8080), conn = dial(INSIDE_STRANGER);
    static const char *const ops[] = {"bind", "connect",    "begin",      "listen",
                                      "name", "setsockopt", "getsockopt", "error"};
    char token[NST_IPC_TOKEN_TEXT], text[160];
    struct nst_slice body = {text, 0};
    (void)state;

    nst_ipc_token_print(token, &lent(0)->token);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        snprintf(text, sizeof text, "{\"op\":\"%s\",\"socket\":\"%s\"}", ops[i], token);
        body.len = strlen(text);
        assert_int_equal(nst_ipc_packet_send(conn, NST_IPC_CALL, 1, &body, 1), 0);
        inside_turn(&in);
        assert_int_equal(count_answers(conn, "EPERM"), 1);
    }
    body.len = (size_t)snprintf(text, sizeof text, "{\"op\":\"kill\",\"number\":0}");
    assert_int_equal(nst_ipc_packet_send(conn, NST_IPC_CALL, 1, &body, 1), 0);
    inside_turn(&in);
    assert_int_equal(count_answers(conn, "EPERM"), 1);
    assert_int_equal(info_of(0).state, NST_TCP_LISTEN);
    close(conn);
    close(fd);
}

static void assert_local(uint32_t number, const struct nst_addr *addr)
{
    const struct nst_sock_info info = info_of(number);

    assert_true(nst_addr_eq(&info.local.addr, addr));
}

/* Who may have but one address has it everywhere. */
static void test_the_only_address(void **state)
{
    const struct nst_addr only = {NST_AF_INET, {10, 0, 0, 3}};
    struct nst_ipc_send to = {.to = {.addr = {NST_AF_INET, {10, 0, 0, 1}}, .port = 9},
                              .from = {.addr = {NST_AF_INET, {10, 0, 0, 2}}},
                              .tos = -1};
    struct nst_ipc_sockname sink = {.kind = NST_IPC_NAME_SINK, .protocol = IPPROTO_UDP};
    int fds[4];
    uint8_t bytes[NST_IPC_SEND_HLEN];
    struct sockaddr_un addr;
    (void)state;

    limits()->addr = only;
    for (int i = 0; i < 4; i++)
        fds[i] = program_socket(&stranger, i < 2 ? SOCK_STREAM : SOCK_DGRAM);
    assert_int_equal(program_bind(&stranger, fds[0], INSIDE_ADDR, 8080), -EACCES);
    assert_int_equal(program_listen(&stranger, fds[0]), 0);
    assert_int_equal(program_connect(&stranger, fds[1], "10.0.0.77", 80), -EINPROGRESS);
    assert_int_equal(program_connect(&stranger, fds[2], "10.0.0.77", 80), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_local(i, &only);
    sink.token = lent(3)->token;
    nst_ipc_send_emit(&to, bytes);
    socklen_t len = nst_ipc_name_emit(&sink, &addr);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sendto(fds[3], bytes, sizeof bytes, 0, (struct sockaddr *)&addr, len),
                         sizeof bytes);
        assert_int_equal(program_error(&stranger, fds[3]), i ? 0 : EACCES);
        to.from = (struct nst_sockaddr){0};
        nst_ipc_send_emit(&to, bytes);
    }
    assert_local(3, &only);
    close_all(fds, 4);
}

/* Whether it has got what a peer sent, which is all for one: a connection, or two datagrams. */
static bool heard(int fd, int type)
{
    char first[4] = "", second[4] = "";

    if (type == SOCK_STREAM) {
        int got = accept(fd, NULL, NULL);
        if (got >= 0)
            close(got);
        return got >= 0;
    }
    if (recv(fd, first, 3, MSG_DONTWAIT) != 3)
        return false;
    assert_int_equal(recv(fd, second, 3, MSG_DONTWAIT), 3);
    assert_string_equal(first, "one");
    assert_string_equal(second, "two");
    return true;
}

/* As nginx' workers and DNS servers have it: each peer stays with one of the group, all have some,
 * and another user is not let in. */
static void check_reuseport(int type)
{
    int group[4], other = program_socket(&owner, type);
    unsigned who = 0, peers = 0;

    for (int i = 0; i < 4; i++) {
        group[i] = program_socket(&stranger, type | SOCK_NONBLOCK);
        assert_int_equal(program_setsockopt(&stranger, group[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
        assert_int_equal(program_bind(&stranger, group[i], INSIDE_ADDR, 8080), 0);
        if (type == SOCK_STREAM)
            assert_int_equal(program_listen(&stranger, group[i]), 0);
    }
    assert_int_equal(program_setsockopt(&owner, other, SOL_SOCKET, SO_REUSEPORT, 1), 0);
    assert_int_equal(program_bind(&owner, other, INSIDE_ADDR, 8080), -EADDRINUSE);
    close(other);
    for (; peers < 64; peers++) {
        int peer = program_socket(&owner, type | SOCK_NONBLOCK);
        unsigned heard_by = 0;
        assert_int_equal(program_connect(&owner, peer, INSIDE_ADDR, 8080), 0);
        if (type == SOCK_DGRAM)
            assert_int_equal(send(peer, "one", 3, 0) + send(peer, "two", 3, 0), 6);
        inside_turn(&in);
        for (unsigned i = 0; i < 4; i++)
            heard_by |= heard(group[i], type) ? 1u << i : 0;
        assert_true(heard_by && (heard_by & (heard_by - 1)) == 0); /* one of them */
        who |= heard_by;
        close(peer);
    }
    assert_int_equal(who, 15);
    close_all(group, 4);
    inside_pass(&in, 3 * NST_LOOP_SECOND);
}

static void test_reuseport_spreads_connections(void **state)
{
    (void)state;
    check_reuseport(SOCK_STREAM);
}

static void test_reuseport_spreads_datagrams(void **state)
{
    (void)state;
    check_reuseport(SOCK_DGRAM);
}

/* ---- What goes wrong ------------------------------------------------------------------------- */

/* Each allocation of a dialogue fails once: the program is told, and nothing is left. */
static void test_without_memory(void **state)
{
    bool failed = true;
    (void)state;

    for (uint64_t n = 1; failed && n < 2000; n++) {
        int fds[4] = {-1, -1, -1, -1};
        inside_fail_in(n);
        fds[0] = program_socket(&stranger, SOCK_STREAM | SOCK_NONBLOCK);
        if (fds[0] >= 0 && program_bind(&stranger, fds[0], INSIDE_ADDR, 8080) == 0 &&
            program_listen(&stranger, fds[0]) == 0 &&
            (fds[1] = program_socket(&stranger, SOCK_STREAM)) >= 0 &&
            program_connect(&stranger, fds[1], INSIDE_ADDR, 8080) == 0 &&
            (fds[2] = program_accept(&stranger, fds[0])) >= 0)
            (void)send(fds[1], "hello", 5, MSG_NOSIGNAL);
        fds[3] = program_socket(&stranger, SOCK_DGRAM);
        if (fds[3] >= 0 && program_connect(&stranger, fds[3], INSIDE_ADDR, 5000) == 0)
            (void)send(fds[3], "hello", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
        inside_turn(&in);
        failed = inside_has_failed();
        inside_fail_in(0);
        for (int i = 0; i < 4; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        inside_pass(&in, 130 * NST_LOOP_SECOND / 10);
        assert_int_equal(in.d.nsockets, 0);
    }
    assert_false(failed);
}

/* Whoever comes in by the door must be the program that was let out. */
static void test_a_stranger_at_the_door(void **state)
{
    const struct nst_sockaddr to = {.addr = {NST_AF_INET, {10, 0, 0, 77}}, .port = 80};
    int fd = program_socket(&stranger, SOCK_STREAM), other = program_socket(&owner, SOCK_STREAM);
    struct nst_ipc_sockname end = {.kind = NST_IPC_NAME_END, .protocol = IPPROTO_TCP, .peer = to};
    struct sockaddr_un addr;
    (void)state;

    assert_int_equal(nst_lent_stream_connect(lent(0), &to), -EINPROGRESS);
    end.token = lent(0)->token;
    end.local = info_of(0).local;
    socklen_t len = nst_ipc_name_emit(&end, &addr);
    assert_int_equal(nst_lent_stream_begin(lent(0), 1), -EINVAL); /* nobody has come yet */
    assert_int_equal(connect(other, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(send(other, "x", 1, 0), 1);
    assert_int_equal(nst_lent_stream_begin(lent(0), 1), -EPERM);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(nst_lent_stream_begin(lent(0), 2), -EINVAL); /* more than there is */
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
    assert_int_equal(nst_info(in.d.home->stack, lent(1)->sock, &info), 0);
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
    assert_int_equal(nst_info(in.d.home->stack, lent(0)->sock, &info), 0);
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
        T(test_quota_of_buffers_that_arrive),
        T(test_quota_of_messages),
        T(test_refusals_are_paid_for),
        T(test_a_sweep_is_of_ones_own),
        T(test_calls_that_wait),
        T(test_datagrams_wait_for_the_network),
        T(test_datagrams_wait_for_the_quota),
        T(test_quota_of_descriptors),
        T(test_other_users_sockets),
        T(test_the_only_address),
        T(test_reuseport_spreads_connections),
        T(test_reuseport_spreads_datagrams),
        T(test_without_memory),
        T(test_a_stranger_at_the_door),
        T(test_descriptors_in_what_is_unread),
        T(test_descriptors_in_the_filler),
        T(test_descriptors_at_the_door),
        T(test_descriptors_in_datagrams),
        T(test_a_source_takes_nothing),
    };
    return cmocka_run_group_tests_name("daemon/lent", tests, NULL, NULL);
}
