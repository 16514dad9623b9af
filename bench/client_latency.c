/* Round trips, and connections that come and go. One epoll serves any number of connections, so
 * that one or many differ in nothing else. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS  256
#define STUCK_S 4.0 /* a connection that takes longer has failed */

struct conn {
    int fd;
    enum { CONNECTING, ASKED, ENDING } state;
    double since;
    size_t got;
};

static void print_latency(const struct client *c, double elapsed, double cpu, unsigned failed)
{
    printf("{\"conns\": %u, \"per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"failed\": %u, \"client_cpu\": %.3f}\n",
           c->conns, (double)sample_count() / elapsed, sample_quantile_us(.5),
           sample_quantile_us(.99), failed, cpu / elapsed);
}

/* ---- Round trips ----------------------------------------------------------------------------- */

static uint8_t message[65536];

static void ask(struct conn *conn, size_t size)
{
    conn->since = clock_s();
    conn->got = 0;
    if (send(conn->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("send");
}

static void on_answer(struct conn *conn, size_t size)
{
    ssize_t n = recv(conn->fd, message, size - conn->got, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("receive");
    conn->got += n > 0 ? (size_t)n : 0;
    if (conn->got < size)
        return;
    sample_add(clock_s() - conn->since);
    ask(conn, size);
}

/* One connection without epoll, since nobody would use it for one: the call that sleeps is the one
 * that reads. */
static void one_by_one(struct conn *conn, size_t size, bool spin, double end)
{
    ssize_t n;

    do {
        ask(conn, size);
        for (; conn->got < size; conn->got += (size_t)n) {
            do
                n = recv(conn->fd, message, size - conn->got, spin ? MSG_DONTWAIT : 0);
            while (n < 0 && errno == EAGAIN);
            if (n <= 0)
                die("receive");
        }
        sample_add(clock_s() - conn->since);
    } while (clock_s() < end);
}

static void all_at_once(struct conn *conns, const struct client *c, size_t size, double end)
{
    struct epoll_event events[EVENTS];
    int *fds = calloc(c->conns, sizeof *fds);

    if (!fds)
        die("connections");
    for (unsigned i = 0; i < c->conns; i++) {
        fds[i] = conns[i].fd;
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    int poller = poller_of(fds, c->conns, EPOLLIN);
    for (unsigned i = 0; i < c->conns; i++)
        ask(&conns[i], size);
    while (clock_s() < end) {
        int n = epoll_wait(poller, events, EVENTS, c->spin ? 0 : 100);
        for (int i = 0; i < n; i++)
            on_answer(&conns[events[i].data.u32], size);
    }
    free(fds);
}

void client_roundtrips(const struct client *c)
{
    size_t size = c->size ? c->size : 1;
    struct conn *conns = calloc(c->conns, sizeof *conns);

    if (!conns || size > sizeof message)
        die("connections");
    for (unsigned i = 0; i < c->conns; i++)
        conns[i].fd = dial(c, ECHO);
    double start = clock_s(), cpu = cpu_s();
    if (c->conns == 1)
        one_by_one(conns, size, c->spin, start + c->seconds);
    else
        all_at_once(conns, c, size, start + c->seconds);
    print_latency(c, clock_s() - start, cpu_s() - cpu, 0);
    free(conns);
}

/* ---- Connections that come and go ------------------------------------------------------------ */

#define FIRST_PORT 2000u
#define PORTS      60000u

/* A pair of address and port that was not used yet: TIME-WAIT stays out of the picture. */
static void bind_fresh(const struct client *c, int fd)
{
    static uint32_t used;
    struct sockaddr_in from = {.sin_family = AF_INET};

    if (!c->source)
        return;
    from.sin_addr.s_addr = htonl(c->source + used / PORTS);
    from.sin_port = htons((uint16_t)(FIRST_PORT + used % PORTS));
    used++;
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        die("bind");
}

static void begin(const struct client *c, int poller, struct conn *conns, unsigned i)
{
    const struct sockaddr_in to = service_of(c, ECHO);
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = i};
    struct conn *conn = &conns[i];

    conn->fd = open_socket(c, SOCK_STREAM | SOCK_NONBLOCK);
    bind_fresh(c, conn->fd);
    conn->since = clock_s();
    conn->state = CONNECTING;
    if (connect(conn->fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        die("connect");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("epoll");
}

/* The next step of a connection: 0, 1 when it is finished, -1 if it failed. */
static int step(int poller, struct conn *conn, unsigned i)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    uint8_t byte = 1;
    ssize_t n;

    if (conn->state == CONNECTING) {
        epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event);
        conn->state = ASKED;
        return send(conn->fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
    }
    n = recv(conn->fd, &byte, 1, 0);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if (conn->state == ENDING)
        return n == 0 ? 1 : -1;
    conn->state = ENDING;
    return n == 1 && shutdown(conn->fd, SHUT_WR) == 0 ? 0 : -1;
}

static unsigned restart_stuck(const struct client *c, int poller, struct conn *conns)
{
    unsigned stuck = 0;

    for (unsigned i = 0; i < c->conns; i++) {
        if (clock_s() - conns[i].since < STUCK_S)
            continue;
        stuck++;
        close(conns[i].fd);
        begin(c, poller, conns, i);
    }
    return stuck;
}

void client_turnover(const struct client *c)
{
    struct conn *conns = calloc(c->conns, sizeof *conns);
    struct epoll_event events[EVENTS];
    int poller = epoll_create1(0);
    unsigned failed = 0;

    double start = clock_s(), end = start + c->seconds, cpu = cpu_s(), checked = start;
    for (unsigned i = 0; i < c->conns; i++)
        begin(c, poller, conns, i);
    for (double now = start; now < end; now = clock_s()) {
        int n = epoll_wait(poller, events, EVENTS, c->spin ? 0 : 100);
        for (int k = 0; k < n; k++) {
            unsigned i = events[k].data.u32;
            int verdict = step(poller, &conns[i], i);
            if (verdict == 0)
                continue;
            if (verdict > 0)
                sample_add(clock_s() - conns[i].since);
            failed += verdict < 0;
            close(conns[i].fd);
            begin(c, poller, conns, i);
        }
        if (now - checked > 1) {
            checked = now;
            failed += restart_stuck(c, poller, conns);
        }
    }
    print_latency(c, clock_s() - start, cpu_s() - cpu, failed);
    free(conns);
}

/* ---- Idle connections ------------------------------------------------------------------------ */

void client_hold(const struct client *c)
{
    uint8_t byte = 1;
    unsigned open = 0;

    for (; open < c->conns; open++) {
        int fd = dial(c, ECHO);
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
            break;
    }
    printf("{\"open\": %u}\n", open);
    fflush(stdout);
    wait_for_end();
}
