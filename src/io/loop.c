/* The event loop: its turns, tasks, and prepare functions.
 *
 * Theory of operation. One turn is:
 *
 *     prepare    ask each prepare function how long the loop may sleep
 *     collect    sleep, but no longer than until the earliest deadline, and not at all if a source
 *                is on the ready list or a task is posted; move what the kernel reports to the
 *                ready list. If a source is there already, the kernel is asked every
 *                NST_LOOP_ASK_NS only: a device that had a frame while the last one was answered
 *                is read again without a system call between
 *     timers     call those that are due
 *     fds        call those on the ready list; signals and wake-ups arrive here too, as fds
 *     tasks      call those that are posted
 *
 * Each of the last three first moves everything that it is going to call to a list of its own, and
 * only then calls it, taking one source after the other off that list. Two promises follow.
 *
 *   Fairness: what becomes due during a step lands on the loop's own list, that is, in the next
 * turn. So every step ends, and every kind of source gets its share of every turn.
 *
 *   Cancellation: before the first callback runs, nothing refers to a source any more but the links
 *   inside the source. To take it back is to unlink it, from whichever list it is in; then no
 *   stale batch of the kernel's, no iterator, no saved "next" pointer can reach it. The one
 *   exception is the fd that is just being called (loop->current in loop_fd.c), since the
 *   loop wants to know what the callback returned.
 *
 * The kernel's reports name a source by descriptor number and generation, never by pointer, see
 * loop_fd.c. All that knows epoll is in loop_poller.c. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "io/loop_internal.h"

int nst_loop_new(struct nst_loop **out, const struct nst_loop_config *config)
{
    if (!out)
        return -EINVAL;
    struct nst_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;

    nst_loop_list_init(&loop->ready);
    nst_loop_list_init(&loop->tasks);
    nst_loop_list_init(&loop->wakes);
    nst_loop_list_init(&loop->prepares);
    loop->wake_source.fd = loop->signal_source.fd = -1;
    sigemptyset(&loop->watched_signals);
    sigemptyset(&loop->blocked_before);
    if (config)
        loop->config = *config;

    int err = nst_loop_poller_init(&loop->poller);
    if (!err)
        err = nst_loop_wakes_init(loop);
    if (err)
        nst_loop_free(loop);
    else
        *out = loop;
    return err;
}

void nst_loop_free(struct nst_loop *loop)
{
    struct nst_loop_link *link;

    if (!loop)
        return;
    assert(!loop->turning);
    while ((link = nst_loop_list_pop(&loop->tasks)))
        NST_CONTAINER(link, struct nst_loop_task, link)->loop = NULL;
    while ((link = nst_loop_list_pop(&loop->prepares)))
        NST_CONTAINER(link, struct nst_loop_prepare, link)->loop = NULL;
    nst_loop_timers_fini(loop);
    nst_loop_fds_fini(loop);
    nst_loop_wakes_fini(loop);
    nst_loop_poller_fini(&loop->poller);
    nst_loop_signals_fini(loop); /* last, since a signal that is pending may end the process */
    free(loop);
}

/* ---- Turns ---- */

/* Calls the prepare functions; returns the earliest time that one of them asks for. */
static uint64_t prepare(struct nst_loop *loop)
{
    uint64_t until_ns = NST_LOOP_NEVER;
    struct nst_loop_link batch, *link;

    nst_loop_list_move(&batch, &loop->prepares);
    while ((link = nst_loop_list_pop(&batch))) {
        struct nst_loop_prepare *hook = NST_CONTAINER(link, struct nst_loop_prepare, link);

        nst_loop_list_push(&loop->prepares, link);
        uint64_t wish_ns = hook->fn(loop, hook);
        if (wish_ns < until_ns)
            until_ns = wish_ns;
    }
    return until_ns;
}

static void run_tasks(struct nst_loop *loop)
{
    struct nst_loop_link batch, *link;

    nst_loop_list_move(&batch, &loop->tasks);
    while ((link = nst_loop_list_pop(&batch))) {
        struct nst_loop_task *task = NST_CONTAINER(link, struct nst_loop_task, link);

        task->loop = NULL;
        task->fn(loop, task);
    }
}

/* How long this turn may sleep: until `until_ns` or the first timer, and not if there is work. */
static uint64_t sleep_until(const struct nst_loop *loop, uint64_t until_ns)
{
    if (loop->stopped || !nst_loop_list_empty(&loop->ready) || !nst_loop_list_empty(&loop->tasks))
        return 0;
    if (loop->timers && loop->timers->deadline_ns < until_ns)
        return loop->timers->deadline_ns;
    return until_ns;
}

/* Puts what the kernel reports on the ready list, unless that has sources whose work is left and
 * the kernel was asked just now; then sets the time of the turn. */
static int collect(struct nst_loop *loop, uint64_t until_ns)
{
    if (!nst_loop_list_empty(&loop->ready)) {
        loop->now_ns = nst_loop_clock();
        if (loop->now_ns < loop->ask_ns)
            return 0;
    }
    int err = nst_loop_fds_collect(loop, until_ns);
    loop->now_ns = nst_loop_clock();
    loop->ask_ns = loop->now_ns + NST_LOOP_ASK_NS;
    return err;
}

int nst_loop_run_once(struct nst_loop *loop, uint64_t timeout_ns)
{
    if (loop->turning)
        return -EBUSY;
    loop->turning = true;
    loop->now_ns = nst_loop_clock();

    uint64_t limit_ns = nst_loop_later(loop->now_ns, timeout_ns);
    uint64_t until_ns = prepare(loop);
    int err = collect(loop, sleep_until(loop, until_ns < limit_ns ? until_ns : limit_ns));
    if (!err) {
        nst_loop_timers_run(loop);
        nst_loop_fds_run(loop);
        run_tasks(loop);
    }
    loop->turning = false;
    return err;
}

int nst_loop_run(struct nst_loop *loop)
{
    int err = loop->turning ? -EBUSY : 0;

    while (!err && !loop->stopped)
        err = nst_loop_run_once(loop, NST_LOOP_NEVER);
    if (err)
        return err;
    loop->stopped = false;
    return loop->stop_code;
}

void nst_loop_stop(struct nst_loop *loop, int code)
{
    loop->stopped = true;
    loop->stop_code = code;
}

uint64_t nst_loop_now(const struct nst_loop *loop)
{
    return loop->turning ? loop->now_ns : nst_loop_clock();
}

uint64_t nst_loop_clock(void)
{
    struct timespec now;

    /* syscall: clock_gettime (where there is no vDSO) */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NST_LOOP_SECOND + (uint64_t)now.tv_nsec;
}

/* ---- Tasks ---- */

void nst_loop_task_post(struct nst_loop *loop, struct nst_loop_task *task)
{
    assert(task->fn);
    if (task->loop == loop)
        return;
    nst_loop_task_cancel(task);
    task->loop = loop;
    nst_loop_list_push(&loop->tasks, &task->link);
}

void nst_loop_task_cancel(struct nst_loop_task *task)
{
    if (!task->loop)
        return;
    nst_loop_unlink(&task->link);
    task->loop = NULL;
}

/* ---- Prepare functions ---- */

int nst_loop_prepare_add(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    if (!prepare->fn)
        return -EINVAL;
    if (prepare->loop)
        return -EEXIST;
    prepare->loop = loop;
    nst_loop_list_push(&loop->prepares, &prepare->link);
    return 0;
}

void nst_loop_prepare_del(struct nst_loop_prepare *prepare)
{
    if (!prepare->loop)
        return;
    nst_loop_unlink(&prepare->link);
    prepare->loop = NULL;
}
