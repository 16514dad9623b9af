/* Every option: asked with rooms of several sizes, set to several values of several sizes. */
#include "semantics.h"

#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdint.h>

#define ROW(level, option)            \
    {                                 \
        level, option, #option, false \
    }
#define SIZED(level, option)         \
    {                                \
        level, option, #option, true \
    } /* its values are each stack's own */

struct option {
    int level, option;
    const char *name;
    bool own;
};

static const struct option OF_SOCKETS[] = {
    ROW(SOL_SOCKET, SO_DEBUG),
    ROW(SOL_SOCKET, SO_REUSEADDR),
    ROW(SOL_SOCKET, SO_TYPE),
    ROW(SOL_SOCKET, SO_ERROR),
    ROW(SOL_SOCKET, SO_DONTROUTE),
    ROW(SOL_SOCKET, SO_BROADCAST),
    SIZED(SOL_SOCKET, SO_SNDBUF),
    SIZED(SOL_SOCKET, SO_RCVBUF),
    ROW(SOL_SOCKET, SO_KEEPALIVE),
    ROW(SOL_SOCKET, SO_OOBINLINE),
    ROW(SOL_SOCKET, SO_NO_CHECK),
    ROW(SOL_SOCKET, SO_PRIORITY),
    ROW(SOL_SOCKET, SO_REUSEPORT),
    ROW(SOL_SOCKET, SO_RCVLOWAT),
    ROW(SOL_SOCKET, SO_SNDLOWAT),
    ROW(SOL_SOCKET, SO_TIMESTAMP),
    ROW(SOL_SOCKET, SO_ACCEPTCONN),
    ROW(SOL_SOCKET, SO_PROTOCOL),
    ROW(SOL_SOCKET, SO_DOMAIN),
    ROW(SOL_SOCKET, SO_MARK),
    ROW(SOL_SOCKET, SO_BUSY_POLL),
    {SOL_SOCKET, 9999, "SOCKET 9999", false},
    {-1, 1, "level -1", false},
    {IPPROTO_UDP, 9999, "UDP 9999", false},
    {IPPROTO_IPV6, 26, "IPV6_V6ONLY", false},
};

static const struct option OF_IP[] = {
    ROW(IPPROTO_IP, IP_TOS),
    ROW(IPPROTO_IP, IP_TTL),
    ROW(IPPROTO_IP, IP_RECVTOS),
    ROW(IPPROTO_IP, IP_RECVTTL),
    ROW(IPPROTO_IP, IP_PKTINFO),
    ROW(IPPROTO_IP, IP_RECVERR),
    ROW(IPPROTO_IP, IP_MTU_DISCOVER),
    ROW(IPPROTO_IP, IP_MTU),
    ROW(IPPROTO_IP, IP_FREEBIND),
    ROW(IPPROTO_IP, IP_MULTICAST_TTL),
    ROW(IPPROTO_IP, IP_MULTICAST_LOOP),
    ROW(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    ROW(IPPROTO_IP, IP_HDRINCL),
    ROW(IPPROTO_IP, IP_ROUTER_ALERT),
    ROW(IPPROTO_IP, IP_MULTICAST_ALL),
    ROW(IPPROTO_IP, IP_MINTTL),
    ROW(IPPROTO_IP, IP_RECVOPTS),
    ROW(IPPROTO_IP, IP_RETOPTS),
    {IPPROTO_IP, 9999, "IP 9999", false},
};

static const struct option OF_TCP[] = {
    ROW(IPPROTO_TCP, TCP_NODELAY),
    SIZED(IPPROTO_TCP, TCP_MAXSEG),
    ROW(IPPROTO_TCP, TCP_CORK),
    ROW(IPPROTO_TCP, TCP_KEEPIDLE),
    ROW(IPPROTO_TCP, TCP_KEEPINTVL),
    ROW(IPPROTO_TCP, TCP_KEEPCNT),
    ROW(IPPROTO_TCP, TCP_SYNCNT),
    ROW(IPPROTO_TCP, TCP_LINGER2),
    SIZED(IPPROTO_TCP, TCP_DEFER_ACCEPT),
    SIZED(IPPROTO_TCP, TCP_WINDOW_CLAMP),
    ROW(IPPROTO_TCP, TCP_USER_TIMEOUT),
    ROW(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    {IPPROTO_TCP, 9999, "TCP 9999", false},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void show_value(const struct option *o, int result, const uint8_t *value, socklen_t len)
{
    int number = 0;

    if (result != 0) {
        say("%s is %s", o->name, errno_name(errno));
        return;
    }
    memcpy(&number, value, len < sizeof number ? len : sizeof number);
    if (o->own)
        say("%s is of length %u", o->name, len);
    else
        say("%s is %d, length %u", o->name, number, len);
}

static void get(int fd, const struct option *o, socklen_t room)
{
    uint8_t value[64] = {0};
    socklen_t len = room;
    int result = getsockopt(fd, o->level, o->option, value, &len);

    show_value(o, result, value, len);
}

static void set(int fd, const struct option *o, int64_t number, socklen_t len)
{
    int result = setsockopt(fd, o->level, o->option, &number, len);

    say("%s = %ld of %u: %s", o->name, (long)number, len, result ? errno_name(errno) : "0");
    get(fd, o, sizeof(int));
}

static void try_option(int fd, const struct option *o)
{
    static const int values[] = {1, 0, -1, 2, 40, 255, 256, 100000, INT32_MAX};

    get(fd, o, 4);
    get(fd, o, 1);
    get(fd, o, 0);
    get(fd, o, 64);
    get(fd, o, (socklen_t)-1);
    for (size_t i = 0; i < COUNT(values); i++)
        set(fd, o, values[i], sizeof(int));
    set(fd, o, 1, 1);
    set(fd, o, 1, 0);
    set(fd, o, 1, 8);
    set(fd, o, 1, (socklen_t)-1);
}

static void try_all(int type, const struct option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int fd = socket(AF_INET, type, 0);
        try_option(fd, &options[i]);
        close(fd);
    }
}

static void socket_of_stream(void)
{
    try_all(SOCK_STREAM, OF_SOCKETS, COUNT(OF_SOCKETS));
}

static void socket_of_datagram(void)
{
    try_all(SOCK_DGRAM, OF_SOCKETS, COUNT(OF_SOCKETS));
}

static void ip_of_stream(void)
{
    try_all(SOCK_STREAM, OF_IP, COUNT(OF_IP));
}

static void ip_of_datagram(void)
{
    try_all(SOCK_DGRAM, OF_IP, COUNT(OF_IP));
}

static void tcp_of_stream(void)
{
    try_all(SOCK_STREAM, OF_TCP, COUNT(OF_TCP));
}

static void tcp_of_datagram(void)
{
    try_all(SOCK_DGRAM, OF_TCP, COUNT(OF_TCP));
}

static void try_linger(void)
{
    int s = stream_socket();
    struct linger in = {5, 7}, out = {0};
    socklen_t len = sizeof out;

    TRY(getsockopt(s, SOL_SOCKET, SO_LINGER, &out, &len));
    say("%d %d, length %u", out.l_onoff, out.l_linger, len);
    TRY(setsockopt(s, SOL_SOCKET, SO_LINGER, &in, sizeof in));
    TRY(getsockopt(s, SOL_SOCKET, SO_LINGER, &out, &len));
    say("%d %d", out.l_onoff, out.l_linger);
    in = (struct linger){0, 7};
    TRY(setsockopt(s, SOL_SOCKET, SO_LINGER, &in, sizeof in));
    TRY(getsockopt(s, SOL_SOCKET, SO_LINGER, &out, &len));
    say("%d", out.l_onoff);
    TRY(setsockopt(s, SOL_SOCKET, SO_LINGER, &in, 4));
    len = 4;
    TRY(getsockopt(s, SOL_SOCKET, SO_LINGER, &out, &len));
    SHOW(len);
}

static void time_limits(void)
{
    int s = stream_socket();
    struct timeval in = {3, 250000}, out = {0};
    socklen_t len = sizeof out;

    TRY(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &out, &len));
    say("%ld.%06ld, length %u", (long)out.tv_sec, (long)out.tv_usec, len);
    TRY(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &in, sizeof in));
    TRY(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &out, &len));
    say("%ld.%06ld", (long)out.tv_sec, (long)out.tv_usec);
    in.tv_usec = 2000000;
    TRY(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &in, sizeof in));
    in = (struct timeval){-1, 0};
    TRY(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &in, sizeof in));
    TRY(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &in, 4));
}

static void congestion(void)
{
    int s = stream_socket();
    char name[16] = "";
    socklen_t len = sizeof name;

    TRY(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    SHOW(len);
    TRY(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    TRY(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say("%s", name);
    TRY(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nothing", 7));
    TRY(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "", 0));
    len = 2;
    memset(name, '.', sizeof name - 1);
    TRY(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say("%s, length %u", name, len);
}

static void say_info(const char *what, int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int result = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);

    say("%s: %d, state %d, CA state %d, retransmits %d, unacked %u, lost %u", what, result,
        info.tcpi_state, info.tcpi_ca_state, info.tcpi_retransmits, info.tcpi_unacked,
        info.tcpi_lost);
    say("  options %x, data segments in %u, out %u",
        info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
        info.tcpi_data_segs_in, info.tcpi_data_segs_out);
}

static void info(void)
{
    struct pair p = pair();
    struct tcp_info info = {0};
    socklen_t len = 8;
    char data[10];

    say_info("fresh", stream_socket());
    say_info("listening", p.listener);
    TRY(send(p.a, "hello", 5, 0));
    await_bytes(p.b, 5);
    await_acked(p.a);
    say_info("sent", p.a);
    say_info("received", p.b);
    TRY(getsockopt(p.a, IPPROTO_TCP, TCP_INFO, &info, &len));
    SHOW(len);
    len = sizeof info;
    TRY(getsockopt(p.a, IPPROTO_TCP, TCP_INFO, &info, &len));
    SHOW(info.tcpi_rto >= 200000);
    SHOW(info.tcpi_rtt > 0);
    SHOW(info.tcpi_snd_mss > 500 && info.tcpi_snd_mss <= info.tcpi_pmtu);
    SHOW(info.tcpi_snd_cwnd > 0);
    SHOW(info.tcpi_snd_ssthresh == INT32_MAX);
    SHOW(info.tcpi_bytes_acked - info.tcpi_bytes_sent <= 1);
    TRY(shutdown(p.a, SHUT_WR));
    AWAIT(p.b, HALF_ENDED);
    await_state(p.a, 5); /* FIN-WAIT-2 */
    say_info("half-closed", p.a);
    say_info("half-closed by the peer", p.b);
    TRY(recv(p.b, data, sizeof data, 0));
    TRY(setsockopt(p.a, IPPROTO_TCP, TCP_INFO, &info, sizeof info));
}

const struct scenario option_scenarios[] = {
    {"socket_of_stream", socket_of_stream},
    {"socket_of_datagram", socket_of_datagram},
    {"ip_of_stream", ip_of_stream},
    {"ip_of_datagram", ip_of_datagram},
    {"tcp_of_stream", tcp_of_stream},
    {"tcp_of_datagram", tcp_of_datagram},
    {"linger", try_linger},
    {"time_limits", time_limits},
    {"congestion", congestion},
    {"info", info},
    {0},
};
