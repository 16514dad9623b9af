/* Names, and what bind(), listen() and accept() say. */
#include "semantics.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>

/* Says a name; a port that the system chose is told as one that is known, or as "some". */
static void say_name(const char *what, int result, const struct sockaddr_in *in, socklen_t len,
                     const struct sockaddr_in *known)
{
    const char *port = in->sin_port == 0                          ? "0"
                       : known && in->sin_port == known->sin_port ? "known"
                                                                  : "some";

    if (result != 0)
        say("%s: %s", what, errno_name(errno));
    else
        say("%s: family %d, %s, port %s, length %u", what, in->sin_family, inet_ntoa(in->sin_addr),
            port, len);
}

static void say_names(const char *what, int fd, const struct sockaddr_in *known)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    int result = getsockname(fd, (struct sockaddr *)&in, &len);

    say_name(what, result, &in, len, known);
    in = (struct sockaddr_in){0};
    len = sizeof in;
    result = getpeername(fd, (struct sockaddr *)&in, &len);
    say_name("  its peer", result, &in, len, known);
}

static bool has_peer(int fd)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;

    return getpeername(fd, (struct sockaddr *)&in, &len) == 0;
}

static void of_a_stream(void)
{
    int l = stream_socket(), s = stream_socket();
    struct sockaddr_in in = local(0), from = {0};
    socklen_t len = sizeof from;

    say_names("fresh", l, NULL);
    TRY(bind(l, ADDR(in)));
    say_names("bound", l, NULL);
    TRY(listen(l, 5));
    in = name_of(l);
    say_names("listening", l, &in);
    TRY(connect(s, ADDR(in)));
    say_names("connected", s, &in);
    int b = accept(l, (struct sockaddr *)&from, &len);
    struct sockaddr_in own = name_of(s);
    say_name("accepted", b < 0, &from, len, &own);
    say_names("accepted", b, &own);
    TRY(shutdown(s, SHUT_WR));
    AWAIT(b, HALF_ENDED);
    say_names("half-closed", s, &in);
    say_names("half-closed by the peer", b, &in);
    TRY(shutdown(b, SHUT_WR));
    AWAIT(s, ENDED);
    UNTIL(!has_peer(s) && !has_peer(b));
    say_names("closed", s, &in);
    say_names("closed", b, &in);
}

static void after_reset(void)
{
    struct pair p = pair();
    struct sockaddr_in known = name_of(p.b);
    char c;

    linger(p.b, 0);
    close(p.b);
    AWAIT(p.a, BROKEN);
    say_names("reset", p.a, &known);
    TRY(recv(p.a, &c, 1, 0));
    say_names("and told", p.a, &known);
}

static void after_refused(void)
{
    int s = stream_socket();
    struct sockaddr_in to = closed_port();

    TRY(connect(s, ADDR(to)));
    say_names("refused", s, &to);
}

static void of_a_datagram(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), d = datagram_socket();
    struct sockaddr_in to = name_of(d);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    say_names("fresh", s, NULL);
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    say_names("after a datagram", s, NULL);
    TRY(connect(s, ADDR(to)));
    say_names("connected", s, &to);
    TRY(connect(s, ADDR(nobody)));
    say_names("no more", s, &to);
    say_names("bound", d, &to);
    TRY(connect(d, ADDR(nobody)));
    say_names("never connected", d, &to);
}

static void short_room(void)
{
    int l = listening();
    unsigned char bytes[16];
    socklen_t len = 4;

    memset(bytes, 0xee, sizeof bytes);
    TRY(getsockname(l, (struct sockaddr *)bytes, &len));
    SHOW(len);
    SHOW(bytes[0]);
    SHOW(bytes[4]);
    len = 0;
    TRY(getsockname(l, (struct sockaddr *)bytes, &len));
    SHOW(len);
    len = (socklen_t)-1;
    TRY(getsockname(l, (struct sockaddr *)bytes, &len));
    len = sizeof bytes;
    TRY(getsockname(l, NULL, &len));
    TRY(getsockname(l, (struct sockaddr *)bytes, NULL));
    TRY(getpeername(l, NULL, NULL));
    struct pair p = pair();
    len = (socklen_t)-1;
    TRY(getpeername(p.a, (struct sockaddr *)bytes, &len));
    len = 5;
    TRY(getpeername(p.a, (struct sockaddr *)bytes, &len));
    SHOW(len);
    TRY(getpeername(p.a, NULL, &len));
}

static void bind_errors(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in used = name_of(l), foreign = address("192.0.2.1", 0), some = local(0);
    struct sockaddr_in unspec = name_of(l), six = local(0), group = address("224.0.0.5", 0);
    struct sockaddr_in all = address("255.255.255.255", 0);

    TRY(bind(s, ADDR(used)));
    TRY(bind(s, ADDR(foreign)));
    TRY(bind(s, ADDR(group)));
    TRY(bind(s, ADDR(all)));
    TRY(bind(s, (struct sockaddr *)&some, 15));
    TRY(bind(s, (struct sockaddr *)&some, 0));
    TRY(bind(s, (struct sockaddr *)&some, 129));
    TRY(bind(s, NULL, sizeof some));
    six.sin_family = AF_INET6;
    TRY(bind(s, ADDR(six)));
    unspec.sin_family = AF_UNSPEC;
    TRY(bind(s, ADDR(unspec)));
    unspec.sin_addr.s_addr = 0;
    unspec.sin_port = 0;
    TRY(bind(s, ADDR(unspec)));
    TRY(bind(s, ADDR(some)));
    struct pair p = pair();
    TRY(bind(p.a, ADDR(some)));
    TRY(bind(p.b, ADDR(some)));
    TRY(bind(l, ADDR(some)));
}

static void bind_long(void)
{
    int s = stream_socket();
    struct sockaddr_storage some = {0};
    struct sockaddr_in in = local(0);

    memcpy(&some, &in, sizeof in);
    TRY(bind(s, ADDR(some)));
}

static void privileged_port(void)
{
    int s = stream_socket();
    struct sockaddr_in in = local(700);

    TRY(bind(s, ADDR(in)));
}

static void reuse_with(int option, int type)
{
    int first = socket(AF_INET, type, 0), second = socket(AF_INET, type, 0), one = 1;
    struct sockaddr_in in = local(0), any = {0};

    TRY(bind(first, ADDR(in)));
    in = any = name_of(first);
    any.sin_addr.s_addr = 0;
    TRY(bind(second, ADDR(in)));
    TRY(bind(second, ADDR(any)));
    TRY(setsockopt(second, SOL_SOCKET, option, &one, sizeof one));
    TRY(bind(second, ADDR(in)));
    close(second);
    second = socket(AF_INET, type, 0);
    TRY(setsockopt(first, SOL_SOCKET, option, &one, sizeof one));
    TRY(bind(second, ADDR(in)));
    TRY(setsockopt(second, SOL_SOCKET, option, &one, sizeof one));
    TRY(bind(second, ADDR(in)));
    if (type == SOCK_STREAM) {
        TRY(listen(first, 1));
        TRY(listen(second, 1));
        TRY(bind(stream_socket(), ADDR(in)));
    }
}

static void reuse_address(void)
{
    reuse_with(SO_REUSEADDR, SOCK_STREAM);
}

static void reuse_port(void)
{
    reuse_with(SO_REUSEPORT, SOCK_STREAM);
}

static void reuse_address_datagram(void)
{
    reuse_with(SO_REUSEADDR, SOCK_DGRAM);
}

static void reuse_port_datagram(void)
{
    reuse_with(SO_REUSEPORT, SOCK_DGRAM);
}

/* A server that starts again while its connections end. */
static void restart(int reuse)
{
    struct pair p = pair();
    struct sockaddr_in in = name_of(p.listener);
    char c;
    int one = 1, s = stream_socket();

    close(p.listener);
    close(p.b);
    AWAIT(p.a, HALF_ENDED);
    TRY(recv(p.a, &c, 1, 0));
    close(p.a);
    await_moment();
    if (reuse)
        TRY(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    TRY(bind(s, ADDR(in)));
}

static void restart_without(void)
{
    restart(0);
}

static void restart_with_reuse(void)
{
    restart(1);
}

static void port_while_connected(void)
{
    struct pair p = pair();
    struct sockaddr_in in = name_of(p.listener), own = name_of(p.a);
    int s = stream_socket(), t = stream_socket();

    close(p.listener);
    TRY(bind(s, ADDR(in)));
    TRY(bind(t, ADDR(own)));
}

static void listening_states(void)
{
    int s = stream_socket(), u = datagram_socket();
    struct pair p = pair();

    TRY(listen(s, 5));
    say_names("without bind()", s, NULL);
    TRY(listen(s, 0));
    TRY(listen(s, -1));
    TRY(listen(u, 5));
    TRY(listen(p.a, 5));
    TRY(listen(p.b, 5));
}

static void accepting(void)
{
    int s = stream_socket(), u = datagram_socket(), l = listening();
    struct pair p = pair();
    struct sockaddr_in in;
    socklen_t len = sizeof in;

    TRY_FD(accept(s, NULL, NULL));
    TRY_FD(accept(u, NULL, NULL));
    TRY_FD(accept(p.a, NULL, NULL));
    nonblocking(l);
    TRY_FD(accept(l, NULL, NULL));
    TRY_FD(accept4(l, NULL, NULL, 1));
    TRY_FD(accept4(l, NULL, NULL, MSG_DONTWAIT | SOCK_NONBLOCK));
    struct sockaddr_in to = name_of(l);
    TRY(connect(s, ADDR(to)));
    AWAIT(l, POLLIN);
    int b = TRY_FD(accept4(l, (struct sockaddr *)&in, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    say("flags %o %d", (unsigned)fcntl(b, F_GETFL), fcntl(b, F_GETFD));
    s = stream_socket();
    TRY(connect(s, ADDR(to)));
    AWAIT(l, POLLIN);
    b = TRY_FD(accept(l, NULL, NULL));
    say("flags %o %d", (unsigned)fcntl(b, F_GETFL), fcntl(b, F_GETFD));
    s = stream_socket();
    TRY(connect(s, ADDR(to)));
    AWAIT(l, POLLIN);
    TRY_FD(accept(l, (struct sockaddr *)&in, NULL));
    TRY_FD(accept(l, NULL, &len));
}

static void accept_bad_room(void)
{
    int l = listening(), s = stream_socket();
    struct sockaddr_in to = name_of(l);
    socklen_t len = (socklen_t)-1;

    nonblocking(l);
    TRY(connect(s, ADDR(to)));
    AWAIT(l, POLLIN);
    TRY_FD(accept(l, (struct sockaddr *)&to, &len));
    TRY_FD(accept(l, NULL, NULL));
}

static void backlog_full(void)
{
    int l = stream_socket(), s[8];
    struct sockaddr_in in = local(0);

    TRY(bind(l, ADDR(in)));
    TRY(listen(l, 1));
    in = name_of(l);
    for (int i = 0; i < 8; i++) {
        s[i] = stream_socket();
        nonblocking(s[i]);
        connect(s[i], ADDR(in));
    }
    AWAIT(s[0], POLLOUT);
    AWAIT(s[1], POLLOUT);
    LOOK(s[7]);
    for (int i = 0; i < 2; i++)
        TRY_FD(accept(l, NULL, NULL));
    AWAIT(s[1], POLLOUT);
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    return getsockopt(fd, level, option, &value, &len) == 0 ? value : -errno;
}

static void inherited(void)
{
    int l = stream_socket(), s = stream_socket(), one = 1, seven = 7, ttl = 33;
    struct sockaddr_in in = local(0);
    struct linger lingering = {1, 3}, got = {0};
    struct timeval limit = {7, 0}, had = {0};
    socklen_t len = sizeof got;

    TRY(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    TRY(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
    TRY(setsockopt(l, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    TRY(setsockopt(l, SOL_SOCKET, SO_LINGER, &lingering, sizeof lingering));
    TRY(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    TRY(setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &seven, sizeof seven));
    TRY(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    TRY(setsockopt(l, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
    TRY(bind(l, ADDR(in)));
    TRY(listen(l, 5));
    in = name_of(l);
    TRY(connect(s, ADDR(in)));
    int b = TRY_FD(accept(l, NULL, NULL));
    SHOW(option_of(b, SOL_SOCKET, SO_REUSEADDR));
    SHOW(option_of(b, SOL_SOCKET, SO_KEEPALIVE));
    SHOW(option_of(b, SOL_SOCKET, SO_OOBINLINE));
    SHOW(option_of(b, IPPROTO_TCP, TCP_KEEPIDLE));
    SHOW(option_of(b, IPPROTO_TCP, TCP_NODELAY));
    SHOW(option_of(b, IPPROTO_IP, IP_TTL));
    SHOW(option_of(b, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW(option_of(l, SOL_SOCKET, SO_ACCEPTCONN));
    TRY(getsockopt(b, SOL_SOCKET, SO_LINGER, &got, &len));
    say("linger %d %d", got.l_onoff, got.l_linger);
    len = sizeof had;
    TRY(getsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &had, &len));
    say("limit %ld", (long)had.tv_sec);
}

const struct scenario name_scenarios[] = {
    {"of_a_stream", of_a_stream},
    {"after_reset", after_reset},
    {"after_refused", after_refused},
    {"of_a_datagram", of_a_datagram},
    {"short_room", short_room},
    {"bind_errors", bind_errors},
    {"bind_long", bind_long},
    {"privileged_port", privileged_port},
    {"reuse_address", reuse_address},
    {"reuse_port", reuse_port},
    {"reuse_address_datagram", reuse_address_datagram},
    {"reuse_port_datagram", reuse_port_datagram},
    {"restart_without", restart_without},
    {"restart_with_reuse", restart_with_reuse},
    {"port_while_connected", port_while_connected},
    {"listening_states", listening_states},
    {"accepting", accepting},
    {"accept_bad_room", accept_bad_room},
    {"backlog_full", backlog_full},
    {"inherited", inherited},
    {0},
};
