/* accept() and accept4().
 *
 * The queue is the kernel's, and other processes that share the listener may take from it at any
 * time, by themselves or through us. Our duplicate of a listener in blocking mode is in blocking
 * mode too, and accept() has no flag to the contrary: so it is tried only when something is there,
 * and a *guard*, a signal in a few milliseconds, ends it if somebody else was faster. */
#include "run/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GUARD_NS 2000000

static void on_guard(int signo)
{
    (void)signo; /* its arrival is all */
}

/* A timer whose signal interrupts system calls. */
static timer_t guard_new(void)
{
    struct sigaction action = {.sa_handler = on_guard};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    timer_t timer = NULL;

    if (sigaction(SIGALRM, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        abort(); /* neither can fail, but for memory */
    return timer;
}

static void guard_set(timer_t timer, long ns)
{
    struct itimerspec time = {.it_value.tv_nsec = ns, .it_interval.tv_nsec = ns};

    timer_settime(timer, 0, &time, NULL);
}

static bool is_readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

/* -EAGAIN if there is nothing. */
static int accept_now(int listener, int flags, bool nonblocking)
{
    static timer_t guard;

    if (!is_readable(listener))
        return -EAGAIN;
    if (!nonblocking) {
        if (!guard)
            guard = guard_new();
        guard_set(guard, GUARD_NS);
    }
    int fd = accept4(listener, NULL, NULL, flags), err = -errno;
    if (!nonblocking)
        guard_set(guard, 0);
    if (fd >= 0)
        return fd;
    return err == -EINTR ? -EAGAIN : err;
}

/* What comes before the queue is looked at, as in the kernel. */
static int check_listener(const struct nst_run_call *call, int flags)
{
    int listens = 0, type = 0;
    socklen_t len = sizeof listens;

    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return -EINVAL;
    getsockopt(call->fd, SOL_SOCKET, SO_TYPE, &type, &len);
    getsockopt(call->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    if (type != SOCK_STREAM)
        return -EOPNOTSUPP;
    return listens ? 0 : -EINVAL;
}

/* Hands a connection over, which is kept for the next one if that can't be. Whether it was, says
 * `kept`. */
static void hand_over_take(struct nst_run_call *call, int fd, bool kept, bool cloexec)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    struct nst_run_supervisor *supervisor = call->supervisor;
    struct nst_ipc_token listener = call->name.token;
    pid_t tid = call->tid;
    int err = nst_client_accepted(fd, kept ? -1 : call->fd, (struct sockaddr *)&addr, &len);

    if (!err && call->args[1])
        err = nst_run_call_put_name(call, call->args[1], call->args[2], &addr, len);
    if (err && nst_run_call_stands(call)) {
        close(fd);
        nst_run_call_return(call, err);
    } else if (nst_run_call_give(call, fd, cloexec) != 0) {
        nst_run_keep_take(supervisor, &listener, tid, fd);
    }
}

void nst_run_accept(struct nst_run_call *call)
{
    int flags = call->nr == SYS_accept4 ? (int)call->args[3] : 0;
    bool nonblocking = nst_run_call_nonblocking(call);
    int err = check_listener(call, flags);

    if (err) {
        nst_run_call_return(call, err);
        return;
    }
    int fd = nst_run_kept(call->supervisor, &call->name.token);
    bool kept = fd >= 0;
    if (!kept)
        fd = accept_now(call->fd, (flags & SOCK_NONBLOCK) | SOCK_CLOEXEC, nonblocking);
    if (fd >= 0)
        hand_over_take(call, fd, kept, flags & SOCK_CLOEXEC);
    else if (fd == -EAGAIN && !nonblocking)
        nst_run_call_wait(call, NST_LOOP_IN, nst_run_accept, -EAGAIN);
    else
        nst_run_call_return(call, fd);
}
