/* Bulk data in both directions. The first part of a run, in which windows open, is left out of the
 * figures, except when the timeline is asked for: then all of it counts. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/tcp.h>

#define CHUNK  (128 * 1024)
#define WARM_S 0.3

static uint32_t ring[RING_WORDS];
static uint8_t buffer[CHUNK];

struct flow {
    uint64_t bytes, corrupt;
};

static struct pollfd *open_flows(const struct client *c, enum service service, short events)
{
    struct pollfd *polls = calloc(c->conns, sizeof *polls);

    if (!polls)
        die("connections");
    for (unsigned i = 0; i < c->conns; i++) {
        polls[i].fd = dial(c, service);
        polls[i].events = events;
        fcntl(polls[i].fd, F_SETFL, O_NONBLOCK);
    }
    return polls;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* What has arrived, not what was handed to the kernel. */
static uint64_t acknowledged(const struct pollfd *polls, unsigned n)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        struct tcp_info info = {0};
        socklen_t len = sizeof info;
        if (getsockopt(polls[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
            sum += info.tcpi_bytes_acked;
    }
    return sum;
}

static void send_until(struct pollfd *polls, unsigned n, double end)
{
    while (clock_s() < end) {
        if (poll(polls, n, 100) < 0)
            die("poll");
        for (unsigned i = 0; i < n; i++)
            if (polls[i].revents && send(polls[i].fd, buffer, CHUNK, MSG_NOSIGNAL) < 0 &&
                errno != EAGAIN)
                die("send");
    }
}

void client_send(const struct client *c)
{
    struct pollfd *polls = open_flows(c, DISCARD, POLLOUT);

    send_until(polls, c->conns, clock_s() + WARM_S);
    double start = clock_s(), cpu = cpu_s();
    uint64_t before = acknowledged(polls, c->conns);
    send_until(polls, c->conns, start + c->seconds);
    double elapsed = clock_s() - start;
    uint64_t bytes = acknowledged(polls, c->conns) - before;
    printf("{\"conns\": %u, \"bytes\": %llu, \"seconds\": %.6f, \"gbps\": %.4f, "
           "\"client_cpu\": %.3f}\n",
           c->conns, (unsigned long long)bytes, elapsed, 8e-9 * (double)bytes / elapsed,
           (cpu_s() - cpu) / elapsed);
    free(polls);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* How many of these bytes, which stand at `at` of the stream, are not the ring's. */
static uint64_t wrong_bytes(uint64_t at, const uint8_t *data, size_t len)
{
    uint64_t wrong = 0;

    while (len > 0) {
        const uint8_t *want = (const uint8_t *)ring + at % RING_BYTES;
        size_t n = RING_BYTES - at % RING_BYTES;
        n = n < len ? n : len;
        if (memcmp(want, data, n) != 0)
            for (size_t i = 0; i < n; i++)
                wrong += want[i] != data[i];
        at += n;
        data += n;
        len -= n;
    }
    return wrong;
}

static void take(const struct client *c, const struct pollfd *p, struct flow *flow)
{
    ssize_t n = recv(p->fd, buffer, CHUNK, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("receive");
    if (n < 0)
        return;
    if (c->verify)
        flow->corrupt += wrong_bytes(flow->bytes, buffer, (size_t)n);
    flow->bytes += (uint64_t)n;
}

static uint64_t sum_of(const struct flow *flows, unsigned n)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += flows[i].bytes;
    return sum;
}

static void receive_until(const struct client *c, struct pollfd *polls, struct flow *flows,
                          double end)
{
    for (double now; (now = clock_s()) < end;) {
        double wait_ms = 1e3 * (end - now) + 1;
        if (poll(polls, c->conns, wait_ms < 100 ? (int)wait_ms : 100) < 0)
            die("poll");
        for (unsigned i = 0; i < c->conns; i++)
            if (polls[i].revents)
                take(c, &polls[i], &flows[i]);
    }
}

/* The bytes of each step, and the whole as the figure. */
static uint64_t receive_steps(const struct client *c, struct pollfd *polls, struct flow *flows,
                              double start)
{
    uint64_t last = 0;

    printf("{\"start\": %.6f, \"timeline\": [", start);
    for (double t = c->step; t < c->seconds + c->step / 2; t += c->step) {
        receive_until(c, polls, flows, start + t);
        uint64_t now = sum_of(flows, c->conns);
        printf("%s%llu", last || t > c->step ? ", " : "", (unsigned long long)(now - last));
        last = now;
    }
    printf("], ");
    return last;
}

static uint64_t receive_warmed(const struct client *c, struct pollfd *polls, struct flow *flows,
                               double *start)
{
    receive_until(c, polls, flows, *start + WARM_S);
    uint64_t before = sum_of(flows, c->conns);
    *start = clock_s();
    receive_until(c, polls, flows, *start + c->seconds);
    printf("{");
    return sum_of(flows, c->conns) - before;
}

void client_receive(const struct client *c)
{
    struct flow *flows = calloc(c->conns, sizeof *flows);
    uint64_t corrupt = 0;

    ring_fill(ring);
    struct pollfd *polls = open_flows(c, SOURCE, POLLIN);
    double start = clock_s(), cpu = cpu_s();
    uint64_t bytes = c->step > 0 ? receive_steps(c, polls, flows, start)
                                 : receive_warmed(c, polls, flows, &start);
    double elapsed = clock_s() - start;
    for (unsigned i = 0; i < c->conns; i++)
        corrupt += flows[i].corrupt;
    printf("\"conns\": %u, \"bytes\": %llu, \"seconds\": %.6f, \"gbps\": %.6f, "
           "\"corrupt\": %llu, \"client_cpu\": %.3f}\n",
           c->conns, (unsigned long long)bytes, elapsed, 8e-9 * (double)bytes / elapsed,
           (unsigned long long)corrupt, (cpu_s() - cpu) / elapsed);
    fflush(stdout);
    if (c->step > 0)
        wait_for_end();
    free(polls);
    free(flows);
}
