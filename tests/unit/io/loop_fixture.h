/* What the tests of the event loop share: a loop for each test, pipes, and sources that count. */
#ifndef NST_TESTS_UNIT_IO_LOOP_FIXTURE_H
#define NST_TESTS_UNIT_IO_LOOP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../unit.h"
#include "io/loop_internal.h"

static inline int setup_loop(void **state)
{
    return nst_loop_new((struct nst_loop **)state, NULL);
}

static inline int teardown_loop(void **state)
{
    nst_loop_check(*state);
    nst_loop_free(*state);
    return 0;
}

#define loop_test(fn) cmocka_unit_test_setup_teardown(fn, setup_loop, teardown_loop)

/* One turn without sleeping, and a look at the invariants. */
static inline void turn(struct nst_loop *loop)
{
    assert_int_equal(nst_loop_run_once(loop, 0), 0);
    nst_loop_check(loop);
}

static inline void open_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static inline void close_pipe(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static inline void fill_pipe(const int fds[2])
{
    assert_int_equal(write(fds[1], "x", 1), 1);
}

/* Callbacks that count their calls in the unsigned that `arg` points to. */
static inline bool count_fd(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                            unsigned budget)
{
    (void)loop;
    (void)events;
    (void)budget;
    ++*(unsigned *)source->arg;
    return false;
}

static inline void count_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)loop;
    ++*(unsigned *)timer->arg;
}

static inline void count_task(struct nst_loop *loop, struct nst_loop_task *task)
{
    (void)loop;
    ++*(unsigned *)task->arg;
}

static inline void count_signal(struct nst_loop *loop, struct nst_loop_signal *signal,
                                const struct signalfd_siginfo *info)
{
    (void)loop;
    assert_int_equal(info->ssi_signo, signal->signo);
    ++*(unsigned *)signal->arg;
}

static inline void count_wake(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    (void)loop;
    ++*(unsigned *)wake->arg;
}

static inline uint64_t count_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    (void)loop;
    ++*(unsigned *)prepare->arg;
    return NST_LOOP_NEVER;
}

static inline void ignore_signal(struct nst_loop *loop, struct nst_loop_signal *signal,
                                 const struct signalfd_siginfo *info)
{
    (void)loop;
    (void)signal;
    (void)info;
}

static inline void stop_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)timer;
    nst_loop_stop(loop, 0);
}

static inline bool is_blocked(int signo)
{
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, signo);
}

/* Runs the loop until a timer ends it, and asserts that it slept: each wake-up costs a turn, and a
 * descriptor that nobody attends to costs thousands. */
static inline void expect_sleep(struct nst_loop *loop)
{
    unsigned turns = 0;
    struct nst_loop_timer timer = {.fn = stop_timer};
    struct nst_loop_prepare prepare = {.fn = count_prepare, .arg = &turns};

    assert_int_equal(nst_loop_prepare_add(loop, &prepare), 0);
    nst_loop_timer_after(loop, &timer, 5 * NST_LOOP_MSEC);
    assert_int_equal(nst_loop_run(loop), 0);
    assert_in_range(turns, 1, 2);
    nst_loop_prepare_del(&prepare);
}

#endif
