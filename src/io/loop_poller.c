/* The loop's poller, made of epoll.
 *
 * This file is the whole of what the loop knows of its kernel interface: a set of descriptors, each
 * with an id and a mask, and a wait that reports ids and masks. A poller on io_uring (multishot
 * polls, cancelled and re-armed in the same submission as the wait) fits behind the same four
 * calls. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/loop_internal.h"

/* Event masks pass through unchanged. */
static_assert((int)NST_LOOP_IN == (int)EPOLLIN, "IN");
static_assert((int)NST_LOOP_OUT == (int)EPOLLOUT, "OUT");
static_assert((int)NST_LOOP_ERR == (int)EPOLLERR, "ERR");
static_assert((int)NST_LOOP_HUP == (int)EPOLLHUP, "HUP");
static_assert((int)NST_LOOP_RDHUP == (int)EPOLLRDHUP, "RDHUP");
static_assert(NST_LOOP_EDGE == EPOLLET, "EDGE");

int nst_loop_poller_init(struct nst_loop_poller *poller)
{
    /* syscall: epoll_create1 (somebody closed what is watched) */
    *poller = (struct nst_loop_poller){.fd = epoll_create1(EPOLL_CLOEXEC)};
    return poller->fd < 0 ? -errno : 0;
}

void nst_loop_poller_fini(struct nst_loop_poller *poller)
{
    if (poller->fd >= 0)
        close(poller->fd);
    poller->fd = -1;
}

int nst_loop_poller_set(struct nst_loop_poller *poller, int fd, uint64_t id, unsigned was,
                        unsigned events)
{
    struct epoll_event event = {.events = events, .data.u64 = id};
    int op = !was ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    if (was == events)
        return 0;
    /* syscall: epoll_ctl */
    return epoll_ctl(poller->fd, op, fd, &event) ? -errno : 0;
}

/* epoll_wait()'s timeout: milliseconds, rounded up so as not to wake before the time. */
static int to_msec(uint64_t timeout_ns)
{
    if (timeout_ns == NST_LOOP_NEVER)
        return -1;
    uint64_t msec = timeout_ns / NST_LOOP_MSEC + (timeout_ns % NST_LOOP_MSEC != 0);
    return msec < INT_MAX ? (int)msec : INT_MAX;
}

/* epoll_pwait2() came with Linux 5.11. A kernel without it says ENOSYS; a system call filter that
 * doesn't know it may say EPERM, which the call itself never does. */
static int wait_for_events(struct nst_loop_poller *poller, struct epoll_event *events,
                           uint64_t timeout_ns)
{
    if (!poller->coarse) {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NST_LOOP_SECOND),
                                   .tv_nsec = (long)(timeout_ns % NST_LOOP_SECOND)};
        /* syscall: epoll_pwait2 */
        int n = epoll_pwait2(poller->fd, events, NST_LOOP_BATCH,
                             timeout_ns == NST_LOOP_NEVER ? NULL : &timeout, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        poller->coarse = true;
    }
    /* syscall: epoll_wait (before Linux 5.11) */
    return epoll_wait(poller->fd, events, NST_LOOP_BATCH, to_msec(timeout_ns));
}

int nst_loop_poller_wait(struct nst_loop_poller *poller, struct nst_loop_report *reports,
                         uint64_t timeout_ns)
{
    struct epoll_event events[NST_LOOP_BATCH];
    int n = wait_for_events(poller, events, timeout_ns);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++)
        reports[i] = (struct nst_loop_report){.id = events[i].data.u64, .events = events[i].events};
    return n;
}
