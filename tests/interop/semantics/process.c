/* Descriptors in several places, processes, threads, signals. */
#include "semantics.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/wait.h>

static char data[100];

static void duplicates(void)
{
    struct pair p = pair();
    int d = dup(p.b), e = dup2(p.b, 100), f = fcntl(p.b, F_DUPFD_CLOEXEC, 50);

    TRY(close(p.b));
    TRY(send(p.a, "abc", 3, 0));
    await_bytes(d, 3);
    TRY(recv(d, data, 1, 0));
    TRY(recv(e, data, 1, 0));
    TRY(recv(f, data, 1, 0));
    close(d);
    close(e);
    LOOK(p.a);
    close(f);
    AWAIT(p.a, HALF_ENDED);
}

static void shared_mode(void)
{
    int s = stream_socket(), d = dup(s);

    nonblocking(s);
    say("%o", (unsigned)fcntl(d, F_GETFL));
}

static void inherited_by_fork(void)
{
    struct pair p = pair();
    int status;

    if (fork() == 0) {
        send(p.b, "child", 5, 0);
        _exit(0);
    }
    wait(&status);
    AWAIT(p.a, POLLIN);
    TRY(recv(p.a, data, 10, 0));
    TRY(send(p.b, "parent", 6, 0));
    AWAIT(p.a, POLLIN);
    TRY(recv(p.a, data, 10, 0));
}

static void over_exec(bool cloexec)
{
    struct pair p = pair();
    int status;
    char path[64];

    fcntl(p.b, F_SETFD, cloexec ? FD_CLOEXEC : 0);
    snprintf(path, sizeof path, "echo kept 2>/dev/null >&%d", p.b);
    fflush(stdout);
    if (fork() == 0) {
        execl("/bin/bash", "bash", "-c", path, NULL);
        _exit(99);
    }
    wait(&status);
    close(p.b);
    AWAIT(p.a, HALF_ENDED);
    TRY(recv(p.a, data, 10, 0));
}

static void kept_by_exec(void)
{
    over_exec(false);
}

static void closed_by_exec(void)
{
    over_exec(true);
}

/* An accepted connection goes to another process, and is closed here. */
static void passed_on(void)
{
    struct pair p = pair();
    int way[2], status;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {data, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    TRY(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
    if (fork() == 0) {
        int fd;
        close(p.b);
        TRY(recvmsg(way[1], &msg, 0));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
        struct sockaddr_in peer, own = name_of(p.a);
        socklen_t len = sizeof peer;
        TRY(getpeername(fd, (struct sockaddr *)&peer, &len));
        SHOW(peer.sin_port == own.sin_port);
        TRY(send(fd, "passed", 6, 0));
        _exit(0);
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &p.b, sizeof p.b);
    if (sendmsg(way[0], &msg, 0) != 1)
        say("cannot pass it: %s", errno_name(errno));
    close(p.b);
    wait(&status);
    AWAIT(p.a, HALF_ENDED);
    TRY(recv(p.a, data, 10, 0));
    TRY(recv(p.a, data, 10, 0));
}

static void listener_shared(void)
{
    int l = listening(), s = stream_socket(), status;
    struct sockaddr_in to = name_of(l);

    if (fork() == 0) {
        int b = accept(l, NULL, NULL);
        send(b, "child", 5, 0);
        _exit(0);
    }
    close(l);
    TRY(connect(s, ADDR(to)));
    TRY(recv(s, data, 10, MSG_WAITALL));
    wait(&status);
    s = stream_socket();
    TRY(connect(s, ADDR(to)));
}

/* ---- Meanwhile ---------------------------------------------------------------------------- */

/* A thread does something to a call of the scenario's, as soon as that waits. */
struct meanwhile {
    pid_t waiting; /* the thread that calls */
    pthread_t caller, helper;
    void (*act)(struct meanwhile *);
    int fd;
};

static volatile sig_atomic_t signals;

static void on_signal(int signo)
{
    (void)signo;
    signals++;
}

static void *help(void *arg)
{
    struct meanwhile *m = arg;

    await_asleep(m->waiting);
    m->act(m);
    return NULL;
}

static void begin_meanwhile(struct meanwhile *m, void (*act)(struct meanwhile *), int fd)
{
    *m = (struct meanwhile){.waiting = gettid(), .caller = pthread_self(), .act = act, .fd = fd};
    pthread_create(&m->helper, NULL, help, m);
}

static void end_meanwhile(struct meanwhile *m)
{
    pthread_join(m->helper, NULL);
}

#define MEANWHILE(act, fd, call)          \
    do {                                  \
        struct meanwhile m;               \
        begin_meanwhile(&m, (act), (fd)); \
        (void)(call);                     \
        end_meanwhile(&m);                \
    } while (0)

/* ---- Signals ------------------------------------------------------------------------------ */

static void interrupt(struct meanwhile *m)
{
    pthread_kill(m->caller, SIGUSR1);
}

/* Waits until the call goes on after a signal. */
static void interrupt_and_await(struct meanwhile *m)
{
    interrupt(m);
    UNTIL(signals > 0);
    await_asleep(m->waiting);
}

static void interrupt_and_connect(struct meanwhile *m)
{
    interrupt_and_await(m);
    struct sockaddr_in to = name_of(m->fd);
    int s = stream_socket();
    connect(s, ADDR(to));
}

static void interrupt_and_send(struct meanwhile *m)
{
    interrupt_and_await(m);
    (void)!write(m->fd, "x", 1);
}

static void handle_signals(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

    sigaction(SIGUSR1, &action, NULL);
    signals = 0;
}

static void interrupted(void)
{
    struct pair p = pair();
    int u = datagram_socket(), s = stream_socket();
    struct sockaddr_in slow = address("10.0.0.1", 9);

    handle_signals(0);
    MEANWHILE(interrupt, -1, TRY_FD(accept(p.listener, NULL, NULL)));
    MEANWHILE(interrupt, -1, TRY(recv(p.a, data, 10, 0)));
    MEANWHILE(interrupt, -1, TRY(recv(u, data, 10, 0)));
    MEANWHILE(interrupt, -1, TRY(connect(s, ADDR(slow))));
}

static void restarted(void)
{
    struct pair p = pair();

    handle_signals(SA_RESTART);
    MEANWHILE(interrupt_and_connect, p.listener, TRY_FD(accept(p.listener, NULL, NULL)));
    SHOW(signals);
    handle_signals(SA_RESTART);
    MEANWHILE(interrupt_and_send, p.b, TRY(recv(p.a, data, 10, 0)));
    SHOW(signals);
}

/* With a time limit, SA_RESTART doesn't. */
static void restarted_with_limit(void)
{
    struct pair p = pair();
    int u = datagram_socket();
    struct sockaddr_in from;
    socklen_t len = sizeof from;

    time_limit(p.listener, SO_RCVTIMEO, 1000);
    time_limit(p.a, SO_RCVTIMEO, 1000);
    time_limit(u, SO_RCVTIMEO, 1000);
    handle_signals(SA_RESTART);
    MEANWHILE(interrupt, -1, TRY_FD(accept(p.listener, NULL, NULL)));
    MEANWHILE(interrupt, -1, TRY(recv(p.a, data, 10, 0)));
    MEANWHILE(interrupt, -1, TRY(recvfrom(u, data, 10, 0, (struct sockaddr *)&from, &len)));
}

/* ---- Threads ------------------------------------------------------------------------------ */

static void close_it(struct meanwhile *m)
{
    close(m->fd);
}

static void closed_meanwhile(void)
{
    struct pair p = pair();
    fd_set readable;
    struct timeval limit = {1, 0};

    FD_ZERO(&readable);
    FD_SET(p.a, &readable);
    MEANWHILE(close_it, p.a, TRY(select(p.a + 1, &readable, NULL, NULL, &limit)));
    limit = (struct timeval){0, 0};
    FD_SET(p.a, &readable);
    TRY(select(p.a + 1, &readable, NULL, NULL, &limit));
    LOOK(p.a);
    AWAIT(p.b, HALF_ENDED);
}

static void shut_it(struct meanwhile *m)
{
    shutdown(m->fd, SHUT_RDWR);
}

static void shut_meanwhile(void)
{
    struct pair p = pair();

    MEANWHILE(shut_it, p.a, TRY(recv(p.a, data, 10, 0)));
    MEANWHILE(shut_it, p.listener, TRY_FD(accept(p.listener, NULL, NULL)));
}

const struct scenario process_scenarios[] = {
    {"duplicates", duplicates},
    {"shared_mode", shared_mode},
    {"inherited_by_fork", inherited_by_fork},
    {"kept_by_exec", kept_by_exec},
    {"closed_by_exec", closed_by_exec},
    {"passed_on", passed_on},
    {"listener_shared", listener_shared},
    {"interrupted", interrupted},
    {"restarted", restarted},
    {"restarted_with_limit", restarted_with_limit},
    {"closed_meanwhile", closed_meanwhile},
    {"shut_meanwhile", shut_meanwhile},
    {0},
};
