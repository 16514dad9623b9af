/* The client's command line, and what its measurements share. */
#include "client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <netinet/tcp.h>

_Noreturn void die(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

double clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double seconds(struct timeval tv)
{
    return (double)tv.tv_sec + 1e-6 * (double)tv.tv_usec;
}

double cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* ---- Sockets -------------------------------------------------------------------------------- */

struct sockaddr_in service_of(const struct client *c, enum service service)
{
    struct sockaddr_in to = c->server;

    to.sin_port = htons((uint16_t)service);
    return to;
}

int open_socket(const struct client *c, int type)
{
    int fd = socket(AF_INET, type, 0), one = 1;

    if (fd < 0)
        die("socket");
    if ((type & 0xf) != SOCK_STREAM)
        return fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, c->cc, (socklen_t)strlen(c->cc)) != 0)
        die(c->cc);
    return fd;
}

int dial(const struct client *c, enum service service)
{
    const struct sockaddr_in to = service_of(c, service);
    int fd = open_socket(c, SOCK_STREAM);

    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    return fd;
}

int poller_of(const int *fds, unsigned n, uint32_t events)
{
    int poller = epoll_create1(0);

    for (unsigned i = 0; i < n; i++) {
        struct epoll_event event = {.events = events, .data.u32 = i};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fds[i], &event) != 0)
            die("epoll");
    }
    return poller;
}

void wait_for_end(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

/* ---- Samples -------------------------------------------------------------------------------- */

static float *samples;
static size_t nsamples, room;

void sample_add(double value)
{
    if (nsamples == room) {
        room = room ? 2 * room : 1 << 20;
        samples = realloc(samples, room * sizeof *samples);
        if (!samples)
            die("samples");
    }
    samples[nsamples++] = (float)value;
}

size_t sample_count(void)
{
    return nsamples;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

double sample_quantile_us(double q)
{
    if (nsamples == 0)
        return 0;
    qsort(samples, nsamples, sizeof *samples, compare);
    return 1e6 * (double)samples[(size_t)(q * (double)(nsamples - 1) + 0.5)];
}

/* ---- The command line ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(const struct client *c);
} MODES[] = {
    {"roundtrips", client_roundtrips},
    {"turnover", client_turnover},
    {"send", client_send},
    {"receive", client_receive},
    {"hold", client_hold},
    {"datagrams-out", client_datagrams_out},
    {"datagrams-in", client_datagrams_in},
};

static const struct option LONGS[] = {
    {"seconds", required_argument, NULL, 't'},
    {"conns", required_argument, NULL, 'n'},
    {"size", required_argument, NULL, 's'},
    {"cc", required_argument, NULL, 'c'},
    {"spin", no_argument, NULL, 'p'},
    {"verify", no_argument, NULL, 'v'},
    {"step", required_argument, NULL, 'i'},
    {"source", required_argument, NULL, 'b'},
    {NULL, 0, NULL, 0},
};

static void set_option(struct client *c, int option)
{
    struct in_addr address;

    switch (option) {
    case 't':
        c->seconds = strtod(optarg, NULL);
        break;
    case 'n':
        c->conns = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 's':
        c->size = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'c':
        c->cc = optarg;
        break;
    case 'p':
        c->spin = true;
        break;
    case 'v':
        c->verify = true;
        break;
    case 'i':
        c->step = strtod(optarg, NULL);
        break;
    case 'b':
        c->source = inet_pton(AF_INET, optarg, &address) == 1 ? ntohl(address.s_addr) : 0;
        break;
    default:
        exit(2);
    }
}

int main(int argc, char **argv)
{
    const struct rlimit files = {1 << 18, 1 << 18};
    struct client c = {.server.sin_family = AF_INET, .seconds = 3, .conns = 1};
    int option;

    while ((option = getopt_long(argc, argv, "", LONGS, NULL)) != -1)
        set_option(&c, option);
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc - optind == 2 && inet_pton(AF_INET, argv[optind + 1], &c.server.sin_addr) == 1)
        for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++)
            if (strcmp(argv[optind], MODES[i].name) == 0) {
                MODES[i].run(&c);
                return 0;
            }
    fputs("usage: client [OPTION]... MODE ADDRESS\n", stderr);
    return 2;
}
