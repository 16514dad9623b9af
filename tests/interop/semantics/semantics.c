#include "semantics.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <linux/tcp.h>

#define SCENARIO_SECONDS 20
#define SCENARIOS_MAX    64 /* in a group */
#define EVENTS           (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static const struct {
    const char *name;
    const struct scenario *scenarios;
} GROUPS[] = {
    {"connect", connect_scenarios}, {"stream", stream_scenarios},     {"name", name_scenarios},
    {"option", option_scenarios},   {"datagram", datagram_scenarios}, {"call", call_scenarios},
    {"process", process_scenarios},
};

/* Those that merely wait, for seconds. */
static const char *const WAITING[] = {
    "connect/unreachable_host",
    "connect/timed_out",
    "process/closed_meanwhile",
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

void await_events(const char *what, int fd, short want)
{
    struct pollfd pfd = {.fd = fd, .events = EVENTS};

    UNTIL(poll(&pfd, 1, 0) >= 0 && (pfd.revents & want) == want);
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
    int have = 0;

    UNTIL(ioctl(fd, FIONREAD, &have) != 0 || have >= n);
}

struct tcp_info tcp_info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    return info;
}

void await_acked(int fd)
{
    UNTIL(tcp_info_of(fd).tcpi_unacked == 0);
}

void await_state(int fd, int state)
{
    UNTIL(tcp_info_of(fd).tcpi_state == state);
}

/* Order is kept from a socket on: when the last one is there, so are the others. */
void await_passage(int fd)
{
    int last = datagram_socket();
    struct sockaddr_in to = name_of(last);
    struct pollfd pfd = {.fd = last, .events = POLLIN};

    NEED(sendto(fd, "last", 4, 0, ADDR(to)));
    UNTIL(poll(&pfd, 1, 0) == 1);
    close(last);
}

/* "running", or the number of the call and its arguments; -1: it sleeps for another reason. */
static bool is_asleep(const char *path)
{
    FILE *f = fopen(path, "r");
    int first = f ? fgetc(f) : EOF;

    if (f)
        fclose(f);
    return first >= '0' && first <= '9';
}

void await_asleep(pid_t tid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
    UNTIL(is_asleep(path));
}

void await_moment(void)
{
    usleep(100000);
}

/* ---- Running ------------------------------------------------------------------------------ */

/* A scenario that has begun, and the file that it writes to. */
struct running {
    pid_t pid;
    FILE *said;
};

/* In a process of its own, so that what hangs or dies ends itself only. */
static struct running begin(const struct scenario *scenario)
{
    struct running r = {.said = tmpfile()};

    fflush(stdout);
    r.pid = NEED(r.said ? fork() : -1);
    if (r.pid != 0)
        return r;
    NEED(dup2(fileno(r.said), STDOUT_FILENO));
    alarm(SCENARIO_SECONDS);
    scenario->run();
    exit(0);
}

/* Waits for its end, and passes on what it said. */
static void finish(const char *group, const struct scenario *scenario, struct running r)
{
    int status = 0, c;

    waitpid(r.pid, &status, 0);
    say("== %s/%s", group, scenario->name);
    rewind(r.said);
    while ((c = fgetc(r.said)) != EOF)
        putchar(c);
    fclose(r.said);
    if (WIFSIGNALED(status))
        say("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
}

static bool is_waiting(const char *group, const struct scenario *scenario)
{
    char name[128];

    snprintf(name, sizeof name, "%s/%s", group, scenario->name);
    for (size_t i = 0; i < sizeof WAITING / sizeof WAITING[0]; i++)
        if (strcmp(WAITING[i], name) == 0)
            return true;
    return false;
}

/* One after the other, but beside those that wait. */
static void run_group(const char *group, const struct scenario *scenarios, const char *only)
{
    struct running waiting[SCENARIOS_MAX] = {0};

    for (size_t i = 0; scenarios[i].name; i++)
        if (is_waiting(group, &scenarios[i]) && (!only || strcmp(scenarios[i].name, only) == 0))
            waiting[i] = begin(&scenarios[i]);
    for (size_t i = 0; scenarios[i].name; i++)
        if (!only || strcmp(scenarios[i].name, only) == 0)
            finish(group, &scenarios[i],
                   is_waiting(group, &scenarios[i]) ? waiting[i] : begin(&scenarios[i]));
}

/* semantics GROUP [SCENARIO] */
int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++)
        if (argc > 1 && strcmp(argv[1], GROUPS[i].name) == 0)
            run_group(GROUPS[i].name, GROUPS[i].scenarios, argv[2]);
    return 0;
}
