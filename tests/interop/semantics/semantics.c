#include "semantics.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define SCENARIO_SECONDS 20
#define EVENTS           (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static const struct {
    const char *name;
    const struct scenario *scenarios;
} GROUPS[] = {
    {"connect", connect_scenarios}, {"stream", stream_scenarios},     {"name", name_scenarios},
    {"option", option_scenarios},   {"datagram", datagram_scenarios}, {"call", call_scenarios},
    {"process", process_scenarios},
};

/* ---- Saying ------------------------------------------------------------------------------- */

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

const char *errno_name(int err)
{
    const char *name = strerrorname_np(err);

    return name ? name : "?";
}

long say_result(const char *what, long result)
{
    int err = errno;

    if (result == -1)
        say("%s = -1 %s", what, errno_name(err));
    else
        say("%s = %ld", what, result);
    errno = err;
    return result;
}

long say_fd(const char *what, long result)
{
    int err = errno;

    if (result < 0)
        say("%s = -1 %s", what, errno_name(err));
    else
        say("%s = fd", what);
    errno = err;
    return result;
}

void say_value(const char *what, long value)
{
    say("%s: %ld", what, value);
}

const char *events_name(unsigned events)
{
    static const struct {
        unsigned event;
        const char *name;
    } names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"},   {POLLOUT, "OUT"},    {POLLERR, "ERR"},
                 {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
    static char text[64];
    size_t len = 0;

    strcpy(text, "-");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (events & names[i].event)
            len += (size_t)sprintf(text + len, "%s%s", len ? "|" : "", names[i].name);
    return text;
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void await_events(const char *what, int fd, short want)
{
    struct pollfd pfd = {.fd = fd, .events = EVENTS};
    long end = now_ms() + PATIENCE_MS;

    do {
        poll(&pfd, 1, 0);
    } while ((pfd.revents & want) != want && now_ms() < end && usleep(1000) == 0);
    say("poll(%s): %s", what, events_name((unsigned)pfd.revents));
}

/* ---- Sockets ------------------------------------------------------------------------------ */

static int need(int result, const char *what)
{
    if (result < 0) {
        say("cannot go on: %s: %s", what, errno_name(errno));
        exit(1);
    }
    return result;
}

#define NEED(call) need((call), #call)

struct sockaddr_in address(const char *text, unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = inet_addr(text)};
}

struct sockaddr_in local(unsigned port)
{
    return address("127.0.0.1", port);
}

struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;

    NEED(getsockname(fd, (struct sockaddr *)&in, &len));
    return in;
}

int stream_socket(void)
{
    return NEED(socket(AF_INET, SOCK_STREAM, 0));
}

int datagram_socket(void)
{
    struct sockaddr_in in = local(0);
    int fd = NEED(socket(AF_INET, SOCK_DGRAM, 0));

    NEED(bind(fd, ADDR(in)));
    return fd;
}

int listening(void)
{
    struct sockaddr_in in = local(0);
    int fd = stream_socket();

    NEED(bind(fd, ADDR(in)));
    NEED(listen(fd, 5));
    return fd;
}

struct sockaddr_in closed_port(void)
{
    struct sockaddr_in in = local(0);
    int fd = stream_socket(); /* which stays, so that nobody else gets the port */

    NEED(bind(fd, ADDR(in)));
    return name_of(fd);
}

void nonblocking(int fd)
{
    NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

void time_limit(int fd, int option, long ms)
{
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};

    NEED(setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit));
}

void linger(int fd, int seconds)
{
    struct linger value = {1, seconds};

    NEED(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value));
}

struct pair pair(void)
{
    struct pair p = {.listener = listening(), .a = stream_socket()};
    struct sockaddr_in in = name_of(p.listener);

    NEED(connect(p.a, ADDR(in)));
    p.b = NEED(accept(p.listener, NULL, NULL));
    return p;
}

void await_bytes(int fd, int n)
{
    long end = now_ms() + PATIENCE_MS;
    int have = 0;

    while (ioctl(fd, FIONREAD, &have) == 0 && have < n && now_ms() < end)
        usleep(1000);
}

void await_moment(void)
{
    usleep(100000);
}

/* ---- Running ------------------------------------------------------------------------------ */

/* In a process of its own, so that what hangs or dies ends itself only. */
static void run(const char *group, const struct scenario *scenario)
{
    int status = 0;

    say("== %s/%s", group, scenario->name);
    pid_t child = NEED(fork());
    if (child == 0) {
        alarm(SCENARIO_SECONDS);
        scenario->run();
        exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        say("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
}

/* semantics [GROUP[/SCENARIO]] */
int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
        for (const struct scenario *s = GROUPS[i].scenarios; s->name; s++) {
            char name[128];
            snprintf(name, sizeof name, "%s/%s", GROUPS[i].name, s->name);
            if (argc < 2 || strcmp(argv[1], GROUPS[i].name) == 0 || strcmp(argv[1], name) == 0)
                run(GROUPS[i].name, s);
        }
    }
    return 0;
}
