/* Datagrams: how many a second get there. What the server received it counts itself; what it sends
 * is asked for in shares, so that it stops soon after the client does. */
#include "client.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define SHARE       20000u
#define PATIENCE_US 50000 /* after so long a silence, what is left of a share is lost */
#define ASKS        600   /* for the count, so often: only a server that is gone leaves them all */
#define SOCKBUF     (8 << 20)

static uint8_t buffer[65536];

static int open_datagram(const struct client *c, enum service service)
{
    const struct sockaddr_in to = service_of(c, service);
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    const int size = SOCKBUF;
    int fd = open_socket(c, SOCK_DGRAM);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    return fd;
}

/* Datagrams that the server has counted since the last time; asked until it answers. */
static uint64_t counted(const struct client *c)
{
    uint64_t counts[2] = {0};
    int fd = open_datagram(c, COUNT);

    for (int tries = 0; tries < ASKS; tries++) {
        if (send(fd, counts, 1, 0) == 1 && recv(fd, counts, sizeof counts, 0) == sizeof counts)
            return be64toh(counts[0]);
    }
    die("the server's count");
}

static void print_rate(const struct client *c, uint64_t pkts, double elapsed, double lost)
{
    printf("{\"size\": %u, \"pkts\": %llu, \"pkts_per_s\": %.0f, \"lost\": %.4f}\n", c->size,
           (unsigned long long)pkts, (double)pkts / elapsed, lost);
}

void client_datagrams_out(const struct client *c)
{
    int fd = open_datagram(c, DISCARD);
    uint64_t sent = 0;

    counted(c);
    double start = clock_s();
    while (clock_s() - start < c->seconds)
        for (int i = 0; i < 64; i++)
            sent += send(fd, buffer, c->size, 0) >= 0;
    double elapsed = clock_s() - start;
    uint64_t arrived = counted(c);
    print_rate(c, arrived, elapsed, sent ? 1 - (double)arrived / (double)sent : 0);
}

void client_datagrams_in(const struct client *c)
{
    const uint32_t request[2] = {htonl(c->size), htonl(SHARE)};
    int fd = open_datagram(c, SOURCE);
    uint64_t got = 0, shares = 0;
    double start = clock_s(), silent = 0;

    while (clock_s() - start < c->seconds) {
        if (send(fd, request, sizeof request, 0) < 0)
            die("send");
        shares++;
        for (uint32_t i = 0; i < SHARE; i++, got++)
            if (recv(fd, buffer, sizeof buffer, 0) < 0) {
                silent += 1e-6 * PATIENCE_US;
                break;
            }
    }
    print_rate(c, got, clock_s() - start - silent, 1 - (double)got / (double)(shares * SHARE));
}
