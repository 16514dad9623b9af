/* The measuring client: plain sockets of the kernel against any of the servers. Each way of
 * measuring is a function, which prints one line of JSON. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "services.h"

#include <netinet/in.h>

struct client {
    struct sockaddr_in server; /* but for its port */
    double seconds;
    unsigned conns;
    uint32_t size;  /* of a message, or of a datagram; 0: what suits */
    const char *cc; /* congestion control of the client's own sockets */
    bool spin;      /* poll without sleeping */
    bool verify;    /* receive: compare every byte */
    double step;    /* receive: seconds between two entries of the timeline; 0: none */
    uint32_t
        source; /* turnover: the first of the addresses to use, in host order; 0: the route's */
};

void client_roundtrips(
    const struct client *c);                  /* a message to `echo` and back, on each connection */
void client_turnover(const struct client *c); /* connect, one byte there and back, close */
void client_send(const struct client *c);     /* bulk to `discard` */
void client_receive(const struct client *c);  /* bulk from `source` */
void client_hold(const struct client *c);     /* idle connections until standard input ends */
void client_datagrams_out(const struct client *c); /* to `discard` */
void client_datagrams_in(const struct client *c);  /* from `source` */

/* ---- Shared --------------------------------------------------------------------------------- */

/* Ends the process with code 1 and a sentence. */
_Noreturn void die(const char *what);

double clock_s(void);
double cpu_s(void); /* of this process */

/* A socket for `service`; not connected. */
int open_socket(const struct client *c, int type);
struct sockaddr_in service_of(const struct client *c, enum service service);

/* A connection, with TCP_NODELAY. */
int dial(const struct client *c, enum service service);

/* Waits for the end of standard input: whoever started us may look at the connections meanwhile. */
void wait_for_end(void);

/* Readies epoll on `n` descriptors, whose data is their index. */
int poller_of(const int *fds, unsigned n, uint32_t events);

/* Samples of a time, and their quantiles. */
void sample_add(double seconds);
size_t sample_count(void);
double sample_quantile_us(double q); /* 0 without samples */

#endif
