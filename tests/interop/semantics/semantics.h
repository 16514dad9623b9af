/* A program that tells what sockets do, line by line, so that two runs of it can be compared: one
 * on the kernel's stack, one on ours (test_semantics.py).
 *
 * It is many small *scenarios*, each in a process of its own. What a scenario says must be the same
 * in each run on one stack: no port that the system chose, no time, no pointer; descriptors are
 * shown as "fd". The lines don't depend on results, so the n-th line of one run answers the n-th
 * of the other. What needs time to get from one end to the other is awaited, never slept for, and
 * whole: neither kernel nor daemon changes all that poll() tells at one instant. */
#ifndef SEMANTICS_H
#define SEMANTICS_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tcp_info;

struct scenario {
    const char *name;
    void (*run)(void);
};

/* The tables of scenarios, one a file, each ended by an empty row. */
extern const struct scenario connect_scenarios[], stream_scenarios[], name_scenarios[],
    option_scenarios[], datagram_scenarios[], call_scenarios[], process_scenarios[];

/* ---- Saying ---- */

/* Makes a system call, and says what it was and what it gave. The value is what it gave. */
#define TRY(call) (errno = 0, say_result(#call, (long)(call)))

/* The same, of one that gives a descriptor. */
#define TRY_FD(call) (errno = 0, (int)say_fd(#call, (long)(call)))

/* A process that is stopped and goes on gets EINTR from epoll_wait(), and from what has a time
 * limit (signal(7)). A scenario that means neither makes such a call by TEMP_FAILURE_RETRY(). */

/* Says a value under its expression. */
#define SHOW(value) say_value(#value, (long)(value))

/* Polls until all of `want` is there, or patience is over; says what is. */
#define AWAIT(fd, want) await_events(#fd, (fd), (want))

/* What poll() comes to tell of a stream when the peer has ended it, both have, or it broke. */
#define HALF_ENDED (POLLIN | POLLRDHUP)
#define ENDED      (HALF_ENDED | POLLOUT | POLLHUP)
#define BROKEN     (ENDED | POLLERR)

/* Polls without waiting. */
#define LOOK(fd) await_events(#fd, (fd), 0)

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long say_result(const char *what, long result);
long say_fd(const char *what, long result);
void say_value(const char *what, long value);
void await_events(const char *what, int fd, short want);
const char *errno_name(int err);
const char *events_name(unsigned events);

/* ---- Without a word; what fails here ends the scenario ---- */

#define PATIENCE_MS 5000

/* 127.0.0.1 and the port; port 0: any. */
struct sockaddr_in local(unsigned port);
struct sockaddr_in address(const char *text, unsigned port);

/* Arguments of calls that take an address. */
#define ADDR(in) (struct sockaddr *)&(in), sizeof(in)

/* The address that a socket is bound to. */
struct sockaddr_in name_of(int fd);

int stream_socket(void);
int datagram_socket(void);            /* bound to 127.0.0.1 */
int listening(void);                  /* on 127.0.0.1, some port */
struct sockaddr_in closed_port(void); /* where nobody listens */
void nonblocking(int fd);
void time_limit(int fd, int option, long ms); /* SO_RCVTIMEO or SO_SNDTIMEO */
void linger(int fd, int seconds);

/* A connection: `a` connected, `b` was accepted. */
struct pair {
    int listener, a, b;
};
struct pair pair(void);

/* Waits until `condition` holds, or patience is over. */
#define UNTIL(condition)                                                   \
    do {                                                                   \
        for (long tries = PATIENCE_MS; !(condition) && tries > 0; tries--) \
            usleep(1000);                                                  \
    } while (0)

/* Waits until so many bytes can be read. */
void await_bytes(int fd, int n);

/* What TCP_INFO tells now. */
struct tcp_info tcp_info_of(int fd);

/* Waits until what a connection has sent is acknowledged; until it is in that state. */
void await_acked(int fd);
void await_state(int fd, int state);

/* Waits until what a datagram socket has sent before has come to where it is going. */
void await_passage(int fd);

/* Waits until the thread sleeps in a system call. */
void await_asleep(pid_t tid);

/* A moment, for what no event tells: what is said then must not depend on its length. */
void await_moment(void);

#endif
