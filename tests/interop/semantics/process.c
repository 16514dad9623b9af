/* Descriptors in several places, processes, threads, signals. */
#include "semantics.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/time.h>
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
    AWAIT(p.a, POLLRDHUP);
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
    AWAIT(p.a, POLLRDHUP);
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
    AWAIT(p.a, POLLRDHUP);
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

/* ---- Signals ------------------------------------------------------------------------------ */

static volatile sig_atomic_t alarms;
static int to_connect, to_send = -1;

/* The second one lets the call end that was taken up again. */
static void on_alarm(int signo)
{
    static const struct timeval later = {0, 50000};

    (void)signo;
    if (++alarms == 2 && to_send >= 0)
        (void)!write(to_send, "x", 1);
    if (alarms < 2)
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = later}, NULL);
}

static void on_next_alarm(int flags)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval soon = {.it_value.tv_usec = 50000};

    alarms = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void interrupted(void)
{
    struct pair p = pair();
    int u = datagram_socket(), s = stream_socket();
    struct sockaddr_in slow = address("10.0.0.1", 9);

    on_next_alarm(0);
    TRY_FD(accept(p.listener, NULL, NULL));
    on_next_alarm(0);
    TRY(recv(p.a, data, 10, 0));
    on_next_alarm(0);
    TRY(recv(u, data, 10, 0));
    on_next_alarm(0);
    TRY(connect(s, ADDR(slow)));
}

static void *send_later(void *arg)
{
    (void)arg;
    usleep(300000);
    struct sockaddr_in to = name_of(to_connect);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    connect(s, ADDR(to));
    return NULL;
}

static void restarted(void)
{
    struct pair p = pair();
    pthread_t thread;
    sigset_t set;

    to_connect = p.listener;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, send_later, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    on_next_alarm(SA_RESTART);
    TRY_FD(accept(p.listener, NULL, NULL));
    SHOW(alarms > 0);
    to_send = p.b;
    on_next_alarm(SA_RESTART);
    TRY(recv(p.a, data, 10, 0));
    SHOW(alarms);
}

/* With a time limit, SA_RESTART doesn't. */
static void restarted_with_limit(void)
{
    struct pair p = pair();
    int u = datagram_socket();
    struct sockaddr_in from;
    socklen_t len = sizeof from;

    time_limit(p.listener, SO_RCVTIMEO, 5000);
    time_limit(p.a, SO_RCVTIMEO, 5000);
    time_limit(u, SO_RCVTIMEO, 5000);
    on_next_alarm(SA_RESTART);
    TRY_FD(accept(p.listener, NULL, NULL));
    on_next_alarm(SA_RESTART);
    TRY(recv(p.a, data, 10, 0));
    on_next_alarm(SA_RESTART);
    TRY(recvfrom(u, data, 10, 0, (struct sockaddr *)&from, &len));
}

/* ---- Threads ------------------------------------------------------------------------------ */

static int to_close;

static void *close_soon(void *arg)
{
    (void)arg;
    usleep(50000);
    close(to_close);
    return NULL;
}

static void closed_meanwhile(void)
{
    struct pair p = pair();
    fd_set readable;
    struct timeval limit = {0, 200000};
    pthread_t thread;

    to_close = p.a;
    FD_ZERO(&readable);
    FD_SET(p.a, &readable);
    pthread_create(&thread, NULL, close_soon, NULL);
    TRY(select(p.a + 1, &readable, NULL, NULL, &limit));
    pthread_join(thread, NULL);
    limit = (struct timeval){0, 0};
    FD_SET(p.a, &readable);
    TRY(select(p.a + 1, &readable, NULL, NULL, &limit));
    LOOK(p.a);
    AWAIT(p.b, POLLRDHUP);
}

static void *shut_soon(void *arg)
{
    (void)arg;
    usleep(50000);
    shutdown(to_close, SHUT_RDWR);
    return NULL;
}

static void shut_meanwhile(void)
{
    struct pair p = pair();
    pthread_t thread;

    to_close = p.a;
    pthread_create(&thread, NULL, shut_soon, NULL);
    TRY(recv(p.a, data, 10, 0));
    pthread_join(thread, NULL);
    to_close = p.listener;
    pthread_create(&thread, NULL, shut_soon, NULL);
    TRY_FD(accept(p.listener, NULL, NULL));
    pthread_join(thread, NULL);
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
