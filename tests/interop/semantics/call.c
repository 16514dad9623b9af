/* Sockets that aren't, addresses that are nowhere, lengths that can't be. */
#include "semantics.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static char data[100];

#define BAD (void *)8

static void kinds(void)
{
    TRY_FD(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    TRY_FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    TRY_FD(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    TRY_FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
    TRY_FD(socket(AF_INET, SOCK_STREAM, IPPROTO_ICMP));
    TRY_FD(socket(AF_INET, SOCK_STREAM, 255));
    TRY_FD(socket(AF_INET, SOCK_STREAM, 300));
    TRY_FD(socket(AF_INET, SOCK_STREAM, -1));
    TRY_FD(socket(AF_INET, SOCK_SEQPACKET, 0));
    TRY_FD(socket(AF_INET, 0, 0));
    TRY_FD(socket(AF_INET, 10, 0));
    TRY_FD(socket(AF_INET, 11, 0));
    TRY_FD(socket(AF_INET, SOCK_STREAM | 0x100, 0));
    TRY_FD(socket(AF_INET, SOCK_RAW, 0));
    TRY_FD(socket(AF_UNSPEC, SOCK_STREAM, 0));
    TRY_FD(socket(99, SOCK_STREAM, 0));
    TRY_FD(socket(-1, SOCK_STREAM, 0));
    int pair[2];
    TRY(socketpair(AF_INET, SOCK_STREAM, 0, pair));
}

/* As on a kernel that was started with ipv6.disable=1. */
static void ipv6(void)
{
    TRY_FD(socket(AF_INET6, SOCK_STREAM, 0));
    TRY_FD(socket(AF_INET6, SOCK_DGRAM, 0));
    TRY_FD(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static void creation_flags(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    say("%o %d", (unsigned)fcntl(s, F_GETFL), fcntl(s, F_GETFD));
    say("%o %d", (unsigned)fcntl(n, F_GETFL), fcntl(n, F_GETFD));
    say("%o %d", (unsigned)fcntl(u, F_GETFL), fcntl(u, F_GETFD));
}

static void every_call(int fd)
{
    struct sockaddr_in in = local(1);
    socklen_t len = sizeof in;
    struct msghdr msg = {0};
    int value = 0;

    TRY(bind(fd, ADDR(in)));
    TRY(listen(fd, 1));
    TRY(connect(fd, ADDR(in)));
    TRY(accept(fd, NULL, NULL));
    TRY(getsockname(fd, (struct sockaddr *)&in, &len));
    TRY(getpeername(fd, (struct sockaddr *)&in, &len));
    TRY(shutdown(fd, SHUT_RD));
    TRY(send(fd, data, 1, 0));
    TRY(sendto(fd, data, 1, 0, ADDR(in)));
    TRY(sendmsg(fd, &msg, 0));
    TRY(recv(fd, data, 1, 0));
    TRY(recvfrom(fd, data, 1, 0, (struct sockaddr *)&in, &len));
    TRY(recvmsg(fd, &msg, 0));
    TRY(sendmmsg(fd, NULL, 0, 0));
    TRY(recvmmsg(fd, NULL, 0, 0, NULL));
    len = sizeof value;
    TRY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, len));
    TRY(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &len));
}

static void no_descriptor(void)
{
    every_call(-1);
    every_call(999);
}

static void no_socket(void)
{
    int ends[2];

    TRY(pipe(ends));
    every_call(ends[0]);
}

static void only_a_path(void)
{
    every_call(open("/", O_PATH));
}

static void bad_pointers_stream(void)
{
    struct pair p = pair();
    int s = stream_socket();
    socklen_t len = 4;

    TRY(bind(s, BAD, 16));
    TRY(connect(s, BAD, 16));
    TRY(getsockname(s, BAD, &len));
    TRY(getsockname(s, BAD, BAD));
    TRY(getpeername(p.a, BAD, &len));
    TRY(send(p.a, BAD, 10, 0));
    TRY(sendto(p.a, BAD, 10, 0, BAD, 16));
    TRY(sendto(p.a, "x", 1, 0, BAD, 16));
    TRY(sendmsg(p.a, BAD, 0));
    TRY(recvmsg(p.a, BAD, MSG_DONTWAIT));
    TRY(setsockopt(p.a, SOL_SOCKET, SO_KEEPALIVE, BAD, 4));
    TRY(setsockopt(p.a, SOL_SOCKET, SO_SNDBUF, BAD, 4));
    TRY(getsockopt(p.a, SOL_SOCKET, SO_KEEPALIVE, BAD, &len));
    TRY(getsockopt(p.a, SOL_SOCKET, SO_KEEPALIVE, data, BAD));
    TRY(getsockopt(p.a, SOL_SOCKET, SO_SNDBUF, BAD, &len));
    TRY(ioctl(p.a, FIONREAD, BAD));
    TRY(send(p.b, "abc", 3, 0));
    await_bytes(p.a, 3);
    TRY(recv(p.a, BAD, 10, 0));
    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
}

static void bad_pointers_datagram(void)
{
    int s = datagram_socket();
    struct sockaddr_in own = name_of(s);
    socklen_t len = sizeof own, wrong = (socklen_t)-1;
    struct iovec iov = {BAD, 10};
    struct msghdr msg = {.msg_name = &own, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

    TRY(sendto(s, BAD, 10, 0, ADDR(own)));
    TRY(sendto(s, "x", 1, 0, BAD, 16));
    TRY(sendto(s, "x", 1, 0, (struct sockaddr *)&own, (socklen_t)-1));
    TRY(sendto(s, "x", 1, 0, (struct sockaddr *)&own, 1000));
    TRY(sendmsg(s, &msg, 0));
    TRY(sendmsg(s, BAD, 0));
    iov.iov_base = data;
    msg.msg_iov = BAD;
    TRY(sendmsg(s, &msg, 0));
    msg.msg_iov = &iov;
    msg.msg_control = BAD;
    msg.msg_controllen = 32;
    TRY(sendmsg(s, &msg, 0));
    TRY(recvfrom(s, data, 10, MSG_DONTWAIT, BAD, &len));
    TRY(sendto(s, "x", 1, 0, ADDR(own)));
    AWAIT(s, POLLIN);
    TRY(recvfrom(s, data, 10, MSG_DONTWAIT, (struct sockaddr *)&own, &wrong));
    TRY(recvfrom(s, data, 10, MSG_DONTWAIT, NULL, &len));
    own = name_of(s);
    TRY(sendto(s, "x", 1, 0, ADDR(own)));
    AWAIT(s, POLLIN);
    TRY(recvfrom(s, BAD, 10, MSG_DONTWAIT, (struct sockaddr *)&own, &len));
    TRY(recvfrom(s, data, 10, MSG_DONTWAIT, NULL, NULL));
    TRY(sendto(s, "x", 1, 0, ADDR(own)));
    AWAIT(s, POLLIN);
    TRY(recvfrom(s, data, 10, MSG_DONTWAIT, BAD, &len));
}

static void closed(void)
{
    int s = stream_socket(), e;

    TRY(close(s));
    TRY(close(s));
    TRY(connect(s, NULL, 0));
    e = dup(stream_socket());
    TRY(fcntl(e, F_GETFD));
    TRY(ftruncate(e, 10));
    TRY(lseek(e, 0, SEEK_CUR));
}

const struct scenario call_scenarios[] = {
    {"kinds", kinds},
    {"ipv6", ipv6},
    {"creation_flags", creation_flags},
    {"no_descriptor", no_descriptor},
    {"no_socket", no_socket},
    {"only_a_path", only_a_path},
    {"bad_pointers_stream", bad_pointers_stream},
    {"bad_pointers_datagram", bad_pointers_datagram},
    {"closed", closed},
    {0},
};
