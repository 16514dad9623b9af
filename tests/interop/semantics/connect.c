/* The phases of a connection's beginning, and how it fails. */
#include "semantics.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int so_error(int fd)
{
    int error = -1;
    socklen_t len = sizeof error;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

#define SHOW_ERROR(fd) say("SO_ERROR of %s: %s", #fd, so_text(so_error(fd)))

static const char *so_text(int error)
{
    return error == 0 ? "0" : errno_name(error);
}

static void fresh(void)
{
    int s = stream_socket();
    char c;

    LOOK(s);
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    TRY(recv(s, &c, 1, 0));
    TRY(read(s, &c, 1));
    TRY(shutdown(s, SHUT_RDWR));
    LOOK(s);
    SHOW_ERROR(s);
}

static void blocking(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in to = name_of(l);

    TRY(connect(s, ADDR(to)));
    LOOK(s);
    TRY(connect(s, ADDR(to)));
    SHOW_ERROR(s);
    AWAIT(l, POLLIN);
    TRY_FD(accept(l, NULL, NULL));
    LOOK(l);
}

static void nonblocking_done(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in to = name_of(l);

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, POLLOUT);
    SHOW_ERROR(s);
    TRY(connect(s, ADDR(to)));
    TRY(connect(s, ADDR(to)));
}

static void refused_blocking(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    TRY(connect(s, ADDR(to)));
    LOOK(s);
    SHOW_ERROR(s);
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
}

static void refused_nonblocking(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, BROKEN);
    SHOW_ERROR(s);
    SHOW_ERROR(s);
    LOOK(s);
}

static void refused_by_read(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();
    char c;

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, BROKEN);
    TRY(recv(s, &c, 1, 0));
    TRY(recv(s, &c, 1, 0));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
}

static void refused_by_connect(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, BROKEN);
    TRY(connect(s, ADDR(to)));
}

static void again_after_refused(void)
{
    int s = stream_socket(), l = listening();
    struct sockaddr_in to = closed_port(), open = name_of(l);

    TRY(connect(s, ADDR(to)));
    TRY(connect(s, ADDR(open)));
}

static void refused_by_host(void)
{
    int s = stream_socket();
    struct sockaddr_in to = address("10.0.0.1", 1);

    TRY(connect(s, ADDR(to)));
}

static void closed_just_now(void)
{
    int s = stream_socket(), l = listening();
    struct sockaddr_in to = name_of(l);

    TRY(close(l));
    TRY(connect(s, ADDR(to)));
}

static void unreachable_net(void)
{
    int s = stream_socket(), n = stream_socket();
    struct sockaddr_in to = address("203.0.113.1", 1);

    TRY(connect(s, ADDR(to)));
    nonblocking(n);
    TRY(connect(n, ADDR(to)));
    SHOW_ERROR(n);
    LOOK(n);
}

static void unreachable_host(void)
{
    int s = stream_socket();
    struct sockaddr_in to = address("10.0.0.77", 1);

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, BROKEN);
    SHOW_ERROR(s);
}

/* Port 9 of the host drops what comes. */
static void timed_out(void)
{
    int s = stream_socket(), one = 1;
    struct sockaddr_in to = address("10.0.0.1", 9);

    TRY(setsockopt(s, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof one));
    TRY(connect(s, ADDR(to)));
    SHOW_ERROR(s);
}

static void under_way(void)
{
    int s = stream_socket();
    struct sockaddr_in to = address("10.0.0.1", 9), peer;
    socklen_t len = sizeof peer;
    char c;

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    LOOK(s);
    TRY(connect(s, ADDR(to)));
    SHOW_ERROR(s);
    TRY(recv(s, &c, 1, 0));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    TRY(getpeername(s, (struct sockaddr *)&peer, &len));
    TRY(listen(s, 1));
    TRY(bind(s, ADDR(to)));
    TRY(shutdown(s, SHUT_WR));
    LOOK(s);
    TRY(close(s));
}

static void time_limited(void)
{
    struct sockaddr_in to = address("10.0.0.1", 9);
    int s;

    do { /* made again it would be another connect() */
        s = stream_socket();
        time_limit(s, SO_SNDTIMEO, 50);
    } while (connect(s, ADDR(to)) < 0 && errno == EINTR);
    say("connect(s, ADDR(to)): %s", errno_name(errno));
    TRY(connect(s, ADDR(to)));
    LOOK(s);
}

static void by_select(int s)
{
    fd_set r, w, e;
    struct timeval limit = {PATIENCE_MS / 1000, 0};

    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    FD_SET(s, &r);
    FD_SET(s, &w);
    FD_SET(s, &e);
    TRY(select(s + 1, &r, &w, &e, &limit));
    say("readable %d, writable %d, exceptional %d", FD_ISSET(s, &r), FD_ISSET(s, &w),
        FD_ISSET(s, &e));
}

static void select_done(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in to = name_of(l);

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    by_select(s);
}

static void select_refused(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, BROKEN);
    by_select(s);
}

/* Says all events that come, at least `want`, until there are none for a moment. */
static void by_epoll(int e, unsigned want)
{
    struct epoll_event event;
    unsigned seen = 0;
    int n = 0;

    while (n < 20 && TEMP_FAILURE_RETRY(
                         epoll_wait(e, &event, 1, (seen & want) == want ? 50 : PATIENCE_MS)) == 1) {
        seen |= event.events;
        n++;
    }
    say("epoll: %s%s", events_name(seen), n == 20 ? ", and goes on" : "");
}

static int epoll_of(int s, unsigned events)
{
    struct epoll_event event = {.events = events};
    int e = epoll_create1(0);

    TRY(epoll_ctl(e, EPOLL_CTL_ADD, s, &event));
    return e;
}

static void epoll_phases(unsigned mode)
{
    int l = listening(), s = stream_socket(), b;
    int e = epoll_of(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | mode);
    struct sockaddr_in to = name_of(l);
    char data[10];

    nonblocking(s);
    by_epoll(e, POLLHUP);
    TRY(connect(s, ADDR(to)));
    AWAIT(s, POLLOUT);
    by_epoll(e, POLLOUT);
    b = TRY_FD(accept(l, NULL, NULL));
    TRY(send(b, "hello", 5, 0));
    AWAIT(s, POLLIN);
    by_epoll(e, POLLIN);
    TRY(recv(s, data, sizeof data, 0));
    by_epoll(e, 0);
    TRY(shutdown(b, SHUT_WR));
    AWAIT(s, HALF_ENDED);
    by_epoll(e, HALF_ENDED);
    TRY(shutdown(s, SHUT_WR));
    AWAIT(s, ENDED);
    by_epoll(e, ENDED);
}

static void epoll_level(void)
{
    epoll_phases(0);
}

static void epoll_edge(void)
{
    epoll_phases(EPOLLET);
}

static void epoll_refused(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    int e = epoll_of(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    AWAIT(s, BROKEN);
    by_epoll(e, BROKEN);
}

static void epoll_under_way(void)
{
    int s = stream_socket();
    struct sockaddr_in to = address("10.0.0.1", 9);
    struct epoll_event event;

    nonblocking(s);
    TRY(connect(s, ADDR(to)));
    int e = epoll_of(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    TRY(TEMP_FAILURE_RETRY(epoll_wait(e, &event, 1, 50)));
}

static void odd_addresses(void)
{
    int s = stream_socket(), l = listening();
    struct sockaddr_in any = name_of(l), zero = local(0), family = name_of(l);
    struct sockaddr_in broadcast = address("255.255.255.255", 5), group = address("224.0.0.1", 5);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    family.sin_family = AF_INET6;
    TRY(connect(s, ADDR(family)));
    TRY(connect(s, (struct sockaddr *)&any, 7));
    TRY(connect(s, (struct sockaddr *)&any, 1));
    TRY(connect(s, (struct sockaddr *)&any, 0));
    TRY(connect(s, (struct sockaddr *)&any, 1000));
    TRY(connect(s, (struct sockaddr *)8, sizeof any));
    TRY(connect(s, ADDR(broadcast)));
    TRY(connect(s, ADDR(group)));
    TRY(connect(s, ADDR(zero)));
    TRY(connect(s, ADDR(nobody)));
    s = stream_socket();
    any.sin_addr.s_addr = 0;
    TRY(connect(s, ADDR(any)));
}

static void disconnect(void)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    struct pair p = pair();
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    char c;

    long result = TRY(connect(p.a, ADDR(nobody)));
    await_events("p.b", p.b, result == 0 ? BROKEN : 0);
    TRY(recv(p.b, &c, 1, MSG_DONTWAIT));
    TRY(getpeername(p.a, (struct sockaddr *)&peer, &len));
}

static void self(void)
{
    int s = stream_socket();
    struct sockaddr_in me = local(0);
    char c;

    TRY(bind(s, ADDR(me)));
    me = name_of(s);
    TRY(connect(s, ADDR(me)));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    AWAIT(s, POLLIN);
    TRY(recv(s, &c, 1, 0));
}

static void listener_connects(void)
{
    int l = listening(), m = listening();
    struct sockaddr_in to = name_of(m);

    TRY(connect(l, ADDR(to)));
}

/* One that nobody has accepted, and whose listener closes. */
static void listener_closes(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in to = name_of(l);
    char c;

    TRY(connect(s, ADDR(to)));
    AWAIT(l, POLLIN);
    TRY(close(l));
    AWAIT(s, BROKEN);
    TRY(recv(s, &c, 1, 0));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
}

static void ends_before_accept(void)
{
    int l = listening(), s = stream_socket(), b;
    struct sockaddr_in to = name_of(l);
    char data[10];

    TRY(connect(s, ADDR(to)));
    TRY(send(s, "bye", 3, 0));
    TRY(close(s));
    AWAIT(l, POLLIN);
    await_moment();
    b = TRY_FD(accept(l, NULL, NULL));
    AWAIT(b, HALF_ENDED);
    TRY(recv(b, data, sizeof data, 0));
    TRY(recv(b, data, sizeof data, 0));
}

const struct scenario connect_scenarios[] = {
    {"fresh", fresh},
    {"blocking", blocking},
    {"nonblocking_done", nonblocking_done},
    {"refused_blocking", refused_blocking},
    {"refused_nonblocking", refused_nonblocking},
    {"refused_by_read", refused_by_read},
    {"refused_by_connect", refused_by_connect},
    {"refused_by_host", refused_by_host},
    {"again_after_refused", again_after_refused},
    {"closed_just_now", closed_just_now},
    {"unreachable_net", unreachable_net},
    {"unreachable_host", unreachable_host},
    {"timed_out", timed_out},
    {"under_way", under_way},
    {"time_limited", time_limited},
    {"select_done", select_done},
    {"select_refused", select_refused},
    {"epoll_level", epoll_level},
    {"epoll_edge", epoll_edge},
    {"epoll_refused", epoll_refused},
    {"epoll_under_way", epoll_under_way},
    {"odd_addresses", odd_addresses},
    {"disconnect", disconnect},
    {"self", self},
    {"listener_connects", listener_connects},
    {"listener_closes", listener_closes},
    {"ends_before_accept", ends_before_accept},
    {0},
};
