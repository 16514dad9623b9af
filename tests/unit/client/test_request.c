/* Requests of the client library, to a daemon inside the process. */
#include "../unit.h"
#include "program.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct inside in;
static struct program p;

static int setup(void **state)
{
    (void)state;
    inside_start(&in, NULL);
    program_start(&p, &in, (uid_t)-1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    program_end(&p);
    return inside_stop(&in);
}

static void test_sockets_that_there_are_not(void **state)
{
    static const struct {
        int domain, type, protocol, result;
    } table[] = {
        {AF_INET6, SOCK_STREAM, 0, -EAFNOSUPPORT},
        {AF_INET, SOCK_STREAM, IPPROTO_UDP, -EPROTONOSUPPORT},
        {AF_INET, SOCK_DGRAM, IPPROTO_TCP, -EPROTONOSUPPORT},
        {AF_INET, SOCK_STREAM, -1, -EINVAL},
        {AF_INET, SOCK_STREAM, 263, -EINVAL},
        {AF_INET, 11, 0, -EINVAL},
        {AF_INET, SOCK_RAW, IPPROTO_ICMP, -EPERM},
        {AF_INET, SOCK_RAW, 0, -EPROTONOSUPPORT},
        {AF_INET, SOCK_SEQPACKET, 0, -ESOCKTNOSUPPORT},
    };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct nst_client_request r = {.op = NST_CLIENT_SOCKET,
                                       .domain = table[i].domain,
                                       .type = table[i].type,
                                       .protocol = table[i].protocol};
        assert_int_equal(program_do(&p, &r), table[i].result);
    }
}

static void test_descriptors_that_are_not_ours(void **state)
{
    int ends[2], plain = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;

    assert_int_equal(pipe(ends), 0);
    for (enum nst_client_op op = NST_CLIENT_BIND; op <= NST_CLIENT_ERROR; op++) {
        struct nst_client_request r = {.op = op, .fd = ends[0]};
        assert_int_equal(program_do(&p, &r), -ENOTSOCK);
        r.fd = plain;
        assert_int_equal(program_do(&p, &r), -ENOTSOCK);
        r.fd = -1;
        assert_int_equal(program_do(&p, &r), -EBADF);
    }
    close(ends[0]);
    close(ends[1]);
    close(plain);
}

static void test_wrong_arguments(void **state)
{
    int fd = program_socket(&p, SOCK_STREAM), udp = program_socket(&p, SOCK_DGRAM);
    struct nst_client_request r = {.op = NST_CLIENT_BIND, .fd = fd, .addrlen = 15};
    (void)state;

    assert_int_equal(program_do(&p, &r), -EINVAL);
    r.addrlen = sizeof(struct sockaddr_in);
    r.addr.ss_family = AF_INET6;
    assert_int_equal(program_do(&p, &r), -EAFNOSUPPORT);
    r.op = NST_CLIENT_CONNECT;
    assert_int_equal(program_do(&p, &r), -EAFNOSUPPORT);
    r.addrlen = 1;
    assert_int_equal(program_do(&p, &r), -EINVAL);
    assert_int_equal(program_listen(&p, udp), -EOPNOTSUPP);
    assert_int_equal(program_bind(&p, fd, "10.0.0.77", 80), -EADDRNOTAVAIL);
    r = (struct nst_client_request){.op = NST_CLIENT_SETSOCKOPT,
                                    .fd = fd,
                                    .level = SOL_SOCKET,
                                    .option = SO_KEEPALIVE,
                                    .value_len = 3};
    assert_int_equal(program_do(&p, &r), -EINVAL);
    assert_int_equal(program_setsockopt(&p, fd, SOL_SOCKET, SO_ERROR, 1), -ENOPROTOOPT);
    assert_int_equal(program_setsockopt(&p, fd, IPPROTO_TCP, 999, 1), -ENOPROTOOPT);
    r.op = NST_CLIENT_GETPEERNAME;
    assert_int_equal(program_do(&p, &r), -ENOTCONN);
    r.op = NST_CLIENT_ERROR;
    assert_int_equal(program_do(&p, &r), -EAGAIN);
    close(fd);
    close(udp);
}

static uint16_t port_of(const struct nst_client_request *r)
{
    return ntohs(((const struct sockaddr_in *)&r->addr)->sin_port);
}

static void test_names(void **state)
{
    int listener = program_listener(&p, 8080), fd = program_socket(&p, SOCK_STREAM);
    struct nst_client_request r = {.op = NST_CLIENT_GETSOCKNAME, .fd = listener};
    uint16_t own;
    (void)state;

    assert_int_equal(program_do(&p, &r), 0);
    assert_int_equal(port_of(&r), 8080);
    assert_int_equal(program_connect(&p, fd, INSIDE_ADDR, 8080), 0);
    int accepted = program_accept(&p, listener);
    assert_true(accepted >= 0);
    r.fd = fd;
    assert_int_equal(program_do(&p, &r), 0);
    own = port_of(&r);
    r.op = NST_CLIENT_GETPEERNAME;
    assert_int_equal(program_do(&p, &r), 0);
    assert_int_equal(port_of(&r), 8080);
    r.fd = accepted;
    assert_int_equal(program_do(&p, &r), 0);
    assert_int_equal(port_of(&r), own);
    close(accepted);
    close(fd);
    close(listener);
}

static int connect_without_waiting(int fd, uint16_t port)
{
    struct nst_client_request r = {.op = NST_CLIENT_CONNECT,
                                   .fd = fd,
                                   .nonblock = true,
                                   .addrlen = sizeof(struct sockaddr_in)};
    struct sockaddr_in *to = (struct sockaddr_in *)&r.addr;

    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    to->sin_addr.s_addr = htonl(port == 80 ? 0x0a00004d : 0x0a000002);
    return program_do(&p, &r);
}

/* What each connect() of a row gives. */
static void test_connecting(void **state)
{
    int listener = program_listener(&p, 8080), fd = program_socket(&p, SOCK_STREAM);
    (void)state;

    assert_int_equal(connect_without_waiting(fd, 8080), -EINPROGRESS);
    assert_int_equal(connect_without_waiting(fd, 8080), 0); /* told once */
    assert_int_equal(connect_without_waiting(fd, 8080), -EISCONN);
    close(fd);
    fd = program_socket(&p, SOCK_STREAM);
    assert_int_equal(connect_without_waiting(fd, 80), -EINPROGRESS);
    assert_int_equal(connect_without_waiting(fd, 80), -EALREADY);
    assert_int_equal(program_error(&p, fd), 0);
    close(fd);
    fd = program_socket(&p, SOCK_STREAM);
    assert_int_equal(connect_without_waiting(fd, 9), -EINPROGRESS);
    assert_int_equal(program_error(&p, fd), ECONNREFUSED);
    assert_int_equal(program_error(&p, fd), 0);
    assert_int_equal(connect_without_waiting(fd, 9), -ECONNABORTED);
    close(fd);
    close(listener);
}

/* One that was taken back leaves no descriptor behind when its answer comes. */
static void test_cancelled(void **state)
{
    struct nst_client_request r = {.op = NST_CLIENT_SOCKET, .domain = AF_INET, .type = SOCK_STREAM};
    int fd = program_socket(&p, SOCK_STREAM);
    unsigned before;
    (void)state;

    inside_pass(&in, 2 * NST_LOOP_SECOND);
    before = inside_descriptors();
    nst_client_submit(p.conn, &r);
    nst_client_cancel(&r);
    nst_client_cancel(&r);
    inside_turn(&in);
    inside_pass(&in, 2 * NST_LOOP_SECOND);
    assert_int_equal(inside_descriptors(), before);
    assert_int_equal(in.d.nsockets, 1);
    close(fd);
}

static void test_without_a_daemon(void **state)
{
    int fd = program_socket(&p, SOCK_STREAM);
    char path[64];
    (void)state;

    snprintf(path, sizeof path, "%s", getenv("NETSTACK_SOCKET"));
    nst_ipc_server_free(in.d.server); /* it ends, and with it the connection */
    in.d.server = NULL;
    for (int i = 0; i < 8; i++)
        assert_int_equal(nst_loop_run_once(in.d.loop, 0), 0);
    assert_int_equal(program_bind(&p, fd, INSIDE_ADDR, 80), -ENETDOWN);
    assert_int_equal(program_socket(&p, SOCK_STREAM), -ENETDOWN);
    assert_int_equal(program_error(&p, fd), ENETDOWN);
    close(fd);
}

/* Sockets are of the daemon that they are from. */
static void test_another_daemon(void **state)
{
    int fd = program_socket(&p, SOCK_STREAM), fresh;
    (void)state;

    program_end(&p);
    assert_int_equal(inside_stop(&in), -1); /* `fd` is open still */
    inside_start(&in, NULL);
    program_start(&p, &in, (uid_t)-1);
    assert_int_equal(program_bind(&p, fd, INSIDE_ADDR, 80), -ENETDOWN);
    fresh = program_socket(&p, SOCK_STREAM);
    assert_int_equal(program_bind(&p, fresh, INSIDE_ADDR, 80), 0);
    close(fresh);
    dup2(STDIN_FILENO, fd); /* as many descriptors as before */
}

/* Whatever fails for want of memory, here or in the daemon: each request ends. */
static void test_without_memory(void **state)
{
    bool failed = true;
    (void)state;

    for (uint64_t n = 1; failed && n < 1000; n++) {
        struct nst_client_request r = {.op = NST_CLIENT_GETSOCKNAME};
        inside_fail_in(n);
        r.fd = program_socket(&p, SOCK_STREAM);
        failed = inside_has_failed();
        assert_int_not_equal(r.fd, -EINPROGRESS);
        if (r.fd < 0)
            continue;
        assert_int_not_equal(program_bind(&p, r.fd, INSIDE_ADDR, 0), -EINPROGRESS);
        assert_int_not_equal(program_do(&p, &r), -EINPROGRESS);
        failed = inside_has_failed();
        inside_fail_in(0);
        close(r.fd);
    }
    assert_false(failed);
    inside_pass(&in, 3 * NST_LOOP_SECOND);
    assert_int_equal(in.d.nsockets, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sockets_that_there_are_not),
        T(test_descriptors_that_are_not_ours),
        T(test_wrong_arguments),
        T(test_names),
        T(test_connecting),
        T(test_cancelled),
        T(test_without_a_daemon),
        T(test_another_daemon),
        T(test_without_memory),
    };
    return cmocka_run_group_tests_name("client/request", tests, NULL, NULL);
}
