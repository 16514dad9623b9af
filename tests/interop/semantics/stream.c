/* Data, its end, and its break. */
#include "semantics.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <linux/sockios.h>
#include <linux/tcp.h>

static char data[1 << 20];

static int queued(int fd, unsigned long question)
{
    int n = -1;

    return ioctl(fd, question, &n) == 0 ? n : -errno;
}

static void await_received(int fd, unsigned n)
{
    UNTIL(tcp_info_of(fd).tcpi_bytes_received >= n);
}

static void half_close_first(void)
{
    struct pair p = pair();

    TRY(shutdown(p.a, SHUT_WR));
    AWAIT(p.b, HALF_ENDED);
    LOOK(p.a);
    TRY(recv(p.b, data, 10, 0));
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    TRY(send(p.b, "later", 5, 0));
    AWAIT(p.a, POLLIN);
    TRY(recv(p.a, data, 10, 0));
    TRY(shutdown(p.b, SHUT_WR));
    AWAIT(p.a, ENDED);
    AWAIT(p.b, ENDED);
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.b, data, 10, 0));
    TRY(send(p.b, "x", 1, MSG_NOSIGNAL));
}

static void shut_reading(void)
{
    struct pair p = pair();

    TRY(shutdown(p.a, SHUT_RD));
    LOOK(p.a);
    TRY(recv(p.a, data, 10, 0));
    TRY(send(p.a, "x", 1, 0));
    AWAIT(p.b, POLLIN);
    TRY(recv(p.b, data, 10, 0));
    TRY(send(p.b, "dropped?", 8, MSG_NOSIGNAL));
    await_received(p.a, 8);
    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
    TRY(shutdown(p.a, SHUT_RD));
}

static void shut_after_queued(void)
{
    struct pair p = pair();

    TRY(send(p.b, "queued", 6, 0));
    await_bytes(p.a, 6);
    TRY(shutdown(p.a, SHUT_RD));
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.a, data, 10, 0));
}

static void shut_states(void)
{
    struct pair p = pair();
    int fresh = stream_socket(), l = listening();

    TRY(shutdown(p.a, 3));
    TRY(shutdown(p.a, -1));
    TRY(shutdown(p.a, SHUT_RDWR));
    TRY(shutdown(p.a, SHUT_WR));
    AWAIT(p.b, HALF_ENDED);
    TRY(shutdown(p.b, SHUT_RDWR));
    AWAIT(p.b, ENDED);
    TRY(shutdown(p.b, SHUT_WR));
    TRY(shutdown(fresh, SHUT_WR));
    TRY(shutdown(fresh, SHUT_RD));
    TRY(shutdown(l, SHUT_WR));
    LOOK(l);
}

static void listener_shut(void)
{
    int l = listening();

    TRY(shutdown(l, SHUT_RD));
    LOOK(l);
    TRY_FD(accept(l, NULL, NULL));
    TRY(listen(l, 1));
}

static void reset_empty(void)
{
    struct pair p = pair();

    linger(p.b, 0);
    TRY(close(p.b));
    AWAIT(p.a, BROKEN);
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.a, data, 10, 0));
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    LOOK(p.a);
}

static void reset_by_error(void)
{
    struct pair p = pair();
    int error = 0;
    socklen_t len = sizeof error;

    linger(p.b, 0);
    TRY(close(p.b));
    AWAIT(p.a, BROKEN);
    TRY(getsockopt(p.a, SOL_SOCKET, SO_ERROR, &error, &len));
    say("%s", errno_name(error));
    TRY(recv(p.a, data, 10, 0));
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
}

static void reset_accepted(void)
{
    struct pair p = pair();

    linger(p.a, 0);
    TRY(close(p.a));
    AWAIT(p.b, BROKEN);
    TRY(recv(p.b, data, 10, 0));
    TRY(recv(p.b, data, 10, 0));
}

/* What had come before a reset is lost to the reader. */
static void reset_with_queued(void)
{
    struct pair p = pair();

    TRY(send(p.b, "queued", 6, 0));
    await_bytes(p.a, 6);
    linger(p.b, 0);
    TRY(close(p.b));
    AWAIT(p.a, BROKEN);
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.a, data, 10, 0));
}

static void close_with_unread(void)
{
    struct pair p = pair();

    TRY(send(p.a, "unread", 6, 0));
    await_bytes(p.b, 6);
    TRY(close(p.b));
    AWAIT(p.a, BROKEN);
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.a, data, 10, 0));
}

static void write_after_reset(void)
{
    struct pair p = pair();

    linger(p.b, 0);
    TRY(close(p.b));
    AWAIT(p.a, BROKEN);
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
}

/* The first write to one that has closed is answered with a reset. */
static void write_after_close(void)
{
    struct pair p = pair();

    TRY(close(p.b));
    AWAIT(p.a, HALF_ENDED);
    TRY(recv(p.a, data, 10, 0));
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    AWAIT(p.a, ENDED);
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    TRY(recv(p.a, data, 10, 0));
}

static volatile sig_atomic_t pipes;

static void on_pipe(int signo)
{
    pipes += signo == SIGPIPE;
}

static void sigpipe(void)
{
    struct pair p = pair();

    signal(SIGPIPE, on_pipe);
    TRY(shutdown(p.a, SHUT_WR));
    TRY(send(p.a, "x", 1, 0));
    SHOW(pipes);
    TRY(write(p.a, "x", 1));
    SHOW(pipes);
    TRY(send(p.a, "x", 1, MSG_NOSIGNAL));
    SHOW(pipes);
    struct sockaddr_in to = name_of(p.b);
    TRY(sendto(p.a, "x", 1, 0, ADDR(to)));
    UNTIL(pipes >= 3); /* without the library, the signal comes after the call */
    SHOW(pipes);
}

static void linger_seconds(void)
{
    struct pair p = pair();

    linger(p.a, 5);
    TRY(send(p.a, "all", 3, 0));
    TRY(close(p.a));
    AWAIT(p.b, HALF_ENDED);
    TRY(recv(p.b, data, 10, 0));
    TRY(recv(p.b, data, 10, 0));
}

static void time_limits(void)
{
    struct pair p = pair();

    time_limit(p.a, SO_RCVTIMEO, 50);
    TRY(TEMP_FAILURE_RETRY(recv(p.a, data, 10, 0)));
    TRY(TEMP_FAILURE_RETRY(read(p.a, data, 10)));
    TRY(send(p.b, "abc", 3, 0));
    await_bytes(p.a, 3);
    TRY(recv(p.a, data, 10, MSG_WAITALL));
    time_limit(p.listener, SO_RCVTIMEO, 50);
    TRY_FD(TEMP_FAILURE_RETRY(accept(p.listener, NULL, NULL)));
}

static void full(void)
{
    struct pair p = pair();
    struct pollfd writable = {.fd = p.a, .events = POLLOUT};

    nonblocking(p.a);
    /* What was written goes on to move: there may be room again at once. */
    UNTIL(send(p.a, data, sizeof data, 0) < 0 && poll(&writable, 1, 0) == 0);
    SHOW(writable.revents);
    UNTIL(recv(p.b, data, sizeof data, MSG_DONTWAIT) < 0 && poll(&writable, 1, 0) == 1);
    SHOW(writable.revents == POLLOUT);
}

static void send_time_limit(void)
{
    struct pair p = pair();

    time_limit(p.a, SO_SNDTIMEO, 200);
    UNTIL(send(p.a, data, sizeof data, 0) < 0 && errno != EINTR);
    say("%s", errno_name(errno));
}

static void flags(void)
{
    struct pair p = pair();

    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
    TRY(recv(p.a, data, 10, MSG_DONTWAIT | MSG_PEEK));
    TRY(send(p.b, "abcdef", 6, 0));
    await_bytes(p.a, 6);
    TRY(recv(p.a, data, 3, MSG_PEEK));
    say("%.3s", data);
    TRY(recv(p.a, data, 10, MSG_PEEK));
    TRY(recv(p.a, data, 2, MSG_WAITALL));
    say("%.2s", data);
    TRY(recv(p.a, data, 2, MSG_TRUNC));
    TRY(recv(p.a, data, 0, 0));
    TRY(recv(p.a, data, 10, 0));
    say("%.2s", data);
    TRY(send(p.b, "", 0, 0));
    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
    TRY(recv(p.a, data, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
    TRY(recv(p.a, data, 10, MSG_OOB));
}

static void wait_all(void)
{
    struct pair p = pair();

    TRY(send(p.b, "abc", 3, 0));
    TRY(shutdown(p.b, SHUT_WR));
    TRY(recv(p.a, data, 10, MSG_WAITALL));
    TRY(recv(p.a, data, 10, MSG_WAITALL));
}

static void peek_at_end(void)
{
    struct pair p = pair();

    TRY(shutdown(p.b, SHUT_WR));
    AWAIT(p.a, HALF_ENDED);
    TRY(recv(p.a, data, 10, MSG_PEEK));
    TRY(recv(p.a, data, 10, 0));
}

static void urgent(void)
{
    struct pair p = pair();

    TRY(send(p.b, "ab", 2, 0));
    TRY(send(p.b, "!", 1, MSG_OOB));
    TRY(send(p.b, "cd", 2, 0));
    AWAIT(p.a, POLLPRI);
    await_received(p.a, 5);
    SHOW(queued(p.a, SIOCATMARK));
    TRY(recv(p.a, data, 10, 0));
    SHOW(queued(p.a, SIOCATMARK));
    LOOK(p.a);
    TRY(recv(p.a, data, 10, MSG_OOB | MSG_PEEK));
    TRY(recv(p.a, data, 10, MSG_OOB));
    say("%c", data[0]);
    TRY(recv(p.a, data, 10, MSG_OOB));
    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
    say("%.2s", data);
    SHOW(queued(p.a, SIOCATMARK));
}

static void urgent_inline(void)
{
    struct pair p = pair();
    int one = 1;

    TRY(setsockopt(p.a, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    TRY(send(p.b, "ab", 2, 0));
    TRY(send(p.b, "!", 1, MSG_OOB));
    TRY(send(p.b, "cd", 2, 0));
    AWAIT(p.a, POLLPRI);
    await_received(p.a, 5);
    TRY(recv(p.a, data, 10, 0));
    SHOW(queued(p.a, SIOCATMARK));
    TRY(recv(p.a, data, 10, MSG_OOB));
    TRY(recv(p.a, data, 10, MSG_DONTWAIT));
    say("%.3s", data);
}

/* Each end's first byte, and its last one before the next. */
static void urgent_alone(void)
{
    struct pair p = pair();

    TRY(send(p.a, "!", 1, MSG_OOB));
    AWAIT(p.b, POLLPRI);
    TRY(recv(p.b, data, 10, MSG_OOB));
    say("%c", data[0]);
    TRY(recv(p.b, data, 10, MSG_DONTWAIT));
    TRY(send(p.b, "?", 1, MSG_OOB));
    AWAIT(p.a, POLLPRI);
    TRY(recv(p.a, data, 10, MSG_OOB));
    say("%c", data[0]);
    TRY(send(p.a, "more!", 5, MSG_OOB));
    AWAIT(p.b, POLLPRI);
    TRY(recv(p.b, data, 10, 0));
    say("%.4s", data);
    TRY(recv(p.b, data, 10, MSG_OOB));
    say("%c", data[0]);
    TRY(send(p.a, "plain", 5, 0));
    TRY(recv(p.b, data, 5, MSG_WAITALL));
    say("%.5s", data);
}

static void urgent_then_end(void)
{
    struct pair p = pair();

    TRY(send(p.a, "ab!", 3, MSG_OOB));
    TRY(shutdown(p.a, SHUT_WR));
    AWAIT(p.b, HALF_ENDED | POLLPRI);
    TRY(recv(p.b, data, 10, 0));
    TRY(recv(p.b, data, 10, MSG_OOB));
    say("%c", data[0]);
    TRY(recv(p.b, data, 10, 0));
}

static void urgent_then_reset(void)
{
    struct pair p = pair();

    TRY(send(p.a, "!", 1, MSG_OOB));
    AWAIT(p.b, POLLPRI);
    linger(p.a, 0);
    TRY(close(p.a));
    AWAIT(p.b, BROKEN);
    TRY(recv(p.b, data, 10, 0));
}

/* More urgent bytes than anybody reads, in a stream that goes on. */
static void urgent_amid(void)
{
    struct pair p = pair();
    int one = 1, n = 0, total = 0;

    TRY(setsockopt(p.b, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    memset(data, 'x', 1000);
    for (int i = 0; i < 100; i++)
        if (send(p.a, data, 1000, i % 3 ? 0 : MSG_OOB) == 1000)
            n++;
    SHOW(n);
    TRY(shutdown(p.a, SHUT_WR));
    while ((n = recv(p.b, data, sizeof data, 0)) > 0)
        total += n;
    SHOW(n);
    SHOW(total);
}

static void urgent_inherited(void)
{
    int l = listening(), s = stream_socket(), one = 1, b;
    struct sockaddr_in to = name_of(l);

    TRY(setsockopt(l, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    TRY(connect(s, ADDR(to)));
    b = TRY_FD(accept(l, NULL, NULL));
    TRY(send(s, "!", 1, MSG_OOB));
    AWAIT(b, POLLPRI);
    TRY(recv(b, data, 10, MSG_OOB));
    TRY(recv(b, data, 10, 0));
}

static void counts(void)
{
    struct pair p = pair();

    SHOW(queued(p.a, FIONREAD));
    TRY(send(p.b, "abcdef", 6, 0));
    await_bytes(p.a, 6);
    SHOW(queued(p.a, FIONREAD));
    await_acked(p.b);
    SHOW(queued(p.b, SIOCOUTQ));
    TRY(recv(p.a, data, 4, 0));
    SHOW(queued(p.a, SIOCINQ));
    SHOW(queued(p.listener, FIONREAD));
    SHOW(queued(stream_socket(), FIONREAD));
    SHOW(queued(stream_socket(), SIOCOUTQ));
    SHOW(queued(stream_socket(), SIOCATMARK));
}

static void vectors(void)
{
    struct pair p = pair();
    static struct iovec iov[1025];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1024};

    for (size_t i = 0; i < 1025; i++)
        iov[i] = (struct iovec){data + i, 1};
    for (size_t i = 0; i < 1024; i++)
        data[i] = (char)('a' + i % 26);
    TRY(sendmsg(p.a, &msg, 0));
    await_bytes(p.b, 1024);
    memset(data, 0, 1024);
    TRY(recvmsg(p.b, &msg, 0));
    say("%.26s, flags %x", data + 26, (unsigned)msg.msg_flags);
    msg.msg_iovlen = 1025;
    TRY(sendmsg(p.a, &msg, 0));
    TRY(recvmsg(p.b, &msg, 0));
    TRY(writev(p.a, iov, 1025));
    msg.msg_iovlen = 0;
    TRY(sendmsg(p.a, &msg, 0));
    TRY(recvmsg(p.b, &msg, MSG_DONTWAIT));
    iov[0].iov_len = (size_t)-1;
    msg.msg_iovlen = 1;
    TRY(sendmsg(p.a, &msg, 0));
}

/* TCP looks at no address to send to, and tells none that data is from. */
static void addresses(void)
{
    struct pair p = pair();
    struct sockaddr_in to = address("1.2.3.4", 5), from = {0};
    socklen_t len = sizeof from;
    struct iovec iov = {data, 10};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = len};

    TRY(sendto(p.a, "abc", 3, 0, ADDR(to)));
    await_bytes(p.b, 3);
    TRY(recvfrom(p.b, data, 10, 0, (struct sockaddr *)&from, &len));
    SHOW(len);
    SHOW(from.sin_family);
    TRY(sendto(p.a, "abc", 3, 0, (struct sockaddr *)&to, 1));
    await_bytes(p.b, 3);
    TRY(recvmsg(p.b, &msg, 0));
    SHOW(msg.msg_namelen);
    SHOW(msg.msg_controllen);
    SHOW(msg.msg_flags);
}

static void control_messages(void)
{
    struct pair p = pair();
    struct iovec iov = {"abc", 3};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
    TRY(sendmsg(p.a, &msg, 0));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    TRY(sendmsg(p.a, &msg, 0));
    c->cmsg_type = 99;
    TRY(sendmsg(p.a, &msg, 0));
}

static void not_connected(void)
{
    int s = stream_socket(), l = listening();

    TRY(recv(s, data, 1, MSG_DONTWAIT));
    TRY(recv(l, data, 1, MSG_DONTWAIT));
    TRY(send(l, "x", 1, MSG_NOSIGNAL));
    TRY(recv(s, data, 0, 0));
    TRY(send(s, "", 0, MSG_NOSIGNAL));
    struct sockaddr_in to = local(1);
    TRY(sendto(s, "x", 1, MSG_NOSIGNAL, ADDR(to)));
}

static void low_water(void)
{
    struct pair p = pair();
    int four = 4;

    TRY(setsockopt(p.a, SOL_SOCKET, SO_RCVLOWAT, &four, sizeof four));
    TRY(send(p.b, "ab", 2, 0));
    await_bytes(p.a, 2);
    LOOK(p.a);
    TRY(send(p.b, "cd", 2, 0));
    await_bytes(p.a, 4);
    LOOK(p.a);
    TRY(recv(p.a, data, 10, 0));
}

const struct scenario stream_scenarios[] = {
    {"half_close_first", half_close_first},
    {"shut_reading", shut_reading},
    {"shut_after_queued", shut_after_queued},
    {"shut_states", shut_states},
    {"listener_shut", listener_shut},
    {"reset_empty", reset_empty},
    {"reset_by_error", reset_by_error},
    {"reset_accepted", reset_accepted},
    {"reset_with_queued", reset_with_queued},
    {"close_with_unread", close_with_unread},
    {"write_after_reset", write_after_reset},
    {"write_after_close", write_after_close},
    {"sigpipe", sigpipe},
    {"linger_seconds", linger_seconds},
    {"time_limits", time_limits},
    {"full", full},
    {"send_time_limit", send_time_limit},
    {"flags", flags},
    {"wait_all", wait_all},
    {"peek_at_end", peek_at_end},
    {"urgent", urgent},
    {"urgent_inline", urgent_inline},
    {"urgent_alone", urgent_alone},
    {"urgent_then_end", urgent_then_end},
    {"urgent_then_reset", urgent_then_reset},
    {"urgent_amid", urgent_amid},
    {"urgent_inherited", urgent_inherited},
    {"counts", counts},
    {"vectors", vectors},
    {"addresses", addresses},
    {"control_messages", control_messages},
    {"not_connected", not_connected},
    {"low_water", low_water},
    {0},
};
