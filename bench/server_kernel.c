/* The services on the kernel's stack: plain sockets, one thread, epoll. */
#include "services.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* After the above, whose definitions it repeats in part. */
#include <linux/tcp.h>

#define EVENTS            256
#define CHUNK             (128 * 1024)
#define DATAGRAMS_AT_ONCE 64

struct peer {
    enum service service;
    bool listener, datagram;
    int fd;
    uint64_t at, want;
    uint32_t size;
    struct sockaddr_in to;
    struct peer *next; /* of all connections that send */
};

static struct server_options options;
static int poller;
static struct peer *senders;
static uint64_t counted_pkts, counted_bytes;
static uint32_t ring[RING_WORDS];
static uint8_t buffer[CHUNK];

static void watch(struct peer *p, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = p};

    if (epoll_ctl(poller, op, p->fd, &event) != 0)
        server_fail("epoll", errno);
}

/* ---- Streams -------------------------------------------------------------------------------- */

static void forget(struct peer *p)
{
    for (struct peer **q = &senders; *q; q = &(*q)->next) {
        if (*q == p) {
            *q = p->next;
            break;
        }
    }
    close(p->fd);
    free(p);
}

/* Both: 1 to go on, 0 when there is no more for now, -1 at the end. */
static int more(ssize_t n)
{
    return n > 0 ? 1 : n < 0 && errno == EAGAIN ? 0 : -1;
}

static int send_ring(struct peer *p, uint64_t len)
{
    while (len > 0) {
        size_t at = p->at % RING_BYTES, n = RING_BYTES - at;
        if (n > len)
            n = (size_t)len;
        ssize_t sent = send(p->fd, (uint8_t *)ring + at, n < CHUNK ? n : CHUNK, MSG_NOSIGNAL);
        if (sent <= 0)
            return more(sent);
        p->at += (uint64_t)sent;
        len -= (uint64_t)sent;
    }
    return 1;
}

static int echo(const struct peer *p)
{
    ssize_t n = recv(p->fd, buffer, sizeof buffer, 0);

    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(p->fd, buffer + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return -1;
        at += sent > 0 ? sent : 0;
    }
    return more(n);
}

static int answer(struct peer *p)
{
    uint32_t number;
    ssize_t n;

    do {
        if (p->at < p->want)
            return send_ring(p, p->want - p->at);
        n = recv(p->fd, &number, sizeof number, 0);
        if (n > 0) {
            p->at = 0;
            p->want = n == sizeof number ? ntohl(number) : 0;
        }
    } while (n > 0);
    return more(n);
}

static void serve_stream(struct peer *p, uint32_t events)
{
    int verdict;

    if (p->service == ECHO)
        verdict = echo(p);
    else if (p->service == ANSWER)
        verdict = answer(p);
    else
        verdict = events & EPOLLIN ? more(recv(p->fd, buffer, sizeof buffer, 0)) : 1;
    if (verdict >= 0 && p->service == SOURCE && events & EPOLLOUT)
        verdict = send_ring(p, CHUNK);
    if (verdict < 0)
        forget(p);
}

static void set_cc(int fd)
{
    if (options.cc &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options.cc, (socklen_t)strlen(options.cc)) != 0)
        server_fail(options.cc, errno);
}

static void welcome(const struct peer *listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *p = calloc(1, sizeof *p);
        if (!p)
            server_fail("accept", ENOMEM);
        p->service = listener->service;
        p->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (p->service == SOURCE || p->service == ANSWER) {
            p->next = senders;
            senders = p;
        }
        watch(p, EPOLL_CTL_ADD, p->service == SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* ---- Datagrams ------------------------------------------------------------------------------ */

static void flood(struct peer *p)
{
    for (int i = 0; i < DATAGRAMS_AT_ONCE && p->want > 0; i++) {
        if (sendto(p->fd, ring, p->size, 0, (struct sockaddr *)&p->to, sizeof p->to) < 0)
            break;
        p->want--;
    }
}

static void on_datagram(struct peer *p, struct sockaddr_in *from, size_t len)
{
    uint32_t request[2];

    if (p->service == DISCARD) {
        counted_pkts++;
        counted_bytes += len;
    } else if (p->service == SOURCE && len == sizeof request) {
        memcpy(request, buffer, sizeof request);
        p->size = ntohl(request[0]) < sizeof ring ? ntohl(request[0]) : sizeof ring;
        p->want = ntohl(request[1]);
        p->to = *from;
    } else if (p->service == COUNT) {
        uint64_t counts[2] = {htobe64(counted_pkts), htobe64(counted_bytes)};
        sendto(p->fd, counts, sizeof counts, 0, (struct sockaddr *)from, sizeof *from);
        counted_pkts = counted_bytes = 0;
    } else {
        sendto(p->fd, buffer, len, 0, (struct sockaddr *)from, sizeof *from);
    }
}

static void serve_datagrams(struct peer *p)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n;

    for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
        n = recvfrom(p->fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &len);
        if (n < 0)
            break;
        on_datagram(p, &from, (size_t)n);
    }
    if (p->service == SOURCE) {
        flood(p);
        watch(p, EPOLL_CTL_MOD, p->want > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* ---- The loop ------------------------------------------------------------------------------- */

static void open_service(enum service service, int type)
{
    const struct sockaddr_in local = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)service), .sin_addr = options.address};
    struct peer *p = calloc(1, sizeof *p);
    int one = 1, size = 4 << 20;

    if (!p)
        server_fail("service", ENOMEM);
    p->service = service;
    p->datagram = type == SOCK_DGRAM;
    p->listener = !p->datagram;
    p->fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (p->datagram)
        setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    else
        set_cc(p->fd);
    if (bind(p->fd, (const struct sockaddr *)&local, sizeof local) != 0 ||
        (p->listener && listen(p->fd, 4096) != 0))
        server_fail("service", errno);
    watch(p, EPOLL_CTL_ADD, EPOLLIN);
}

static void report(int signals)
{
    struct signalfd_siginfo signal;
    uint64_t sent = 0, again = 0;

    if (read(signals, &signal, sizeof signal) != sizeof signal)
        return;
    for (const struct peer *p = senders; p; p = p->next) {
        struct tcp_info tcp = {0};
        socklen_t len = sizeof tcp;
        if (getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &tcp, &len) == 0) {
            sent += tcp.tcpi_bytes_sent;
            again += tcp.tcpi_bytes_retrans;
        }
    }
    server_report(sent, again);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void turn(struct peer *signals)
{
    struct epoll_event events[EVENTS];
    static uint64_t busy_us;
    bool spin = options.spin_us > 0 && now_us() - busy_us < options.spin_us;
    int n = epoll_wait(poller, events, EVENTS, spin ? 0 : -1);

    if (n > 0 && options.spin_us > 0)
        busy_us = now_us();
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (p == signals)
            report(p->fd);
        else if (p->datagram)
            serve_datagrams(p);
        else if (p->listener)
            welcome(p);
        else
            serve_stream(p, events[i].events);
    }
}

static void block_signals(struct peer *signals)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK);
    watch(signals, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int argc, char **argv)
{
    const struct rlimit files = {1 << 18, 1 << 18};
    struct peer signals = {0};

    options = server_options(argc, argv);
    setrlimit(RLIMIT_NOFILE, &files);
    ring_fill(ring);
    poller = epoll_create1(0);
    block_signals(&signals);
    open_service(ECHO, SOCK_STREAM);
    open_service(DISCARD, SOCK_STREAM);
    open_service(SOURCE, SOCK_STREAM);
    open_service(ANSWER, SOCK_STREAM);
    open_service(ECHO, SOCK_DGRAM);
    open_service(DISCARD, SOCK_DGRAM);
    open_service(COUNT, SOCK_DGRAM);
    open_service(SOURCE, SOCK_DGRAM);
    server_ready();
    for (;;)
        turn(&signals);
}
