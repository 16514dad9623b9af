/* The event loop: turns, tasks, prepare functions, and fairness between all kinds of sources. */
#include "loop_fixture.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- The loop ---- */

static unsigned count_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_new_and_free(void **state)
{
    struct nst_loop_signal signal = {.fn = ignore_signal};
    struct nst_loop *loop = NULL;
    unsigned before = count_open_fds();
    (void)state;

    assert_int_equal(nst_loop_new(NULL, NULL), -EINVAL);
    assert_int_equal(nst_loop_new(&loop, NULL), 0);
    assert_int_equal(nst_loop_signal_add(loop, &signal, SIGUSR1), 0);
    assert_int_equal(count_open_fds(), before + 3);
    assert_int_equal(fcntl(loop->poller.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(loop->wake_source.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(loop->signal_source.fd, F_GETFD), FD_CLOEXEC);
    nst_loop_free(loop);
    assert_int_equal(count_open_fds(), before);
    nst_loop_free(NULL);
}

/* With no descriptor to be had, nothing is left behind. */
static void test_new_without_descriptors(void **state)
{
    struct rlimit limit, none;
    struct nst_loop *loop = NULL;
    unsigned before = count_open_fds();
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    close(next);
    for (rlim_t spare = 0; spare < 2; spare++) {
        none = (struct rlimit){.rlim_cur = (rlim_t)next + spare, .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        int err = nst_loop_new(&loop, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(err, -EMFILE);
        assert_null(loop);
    }
    assert_int_equal(count_open_fds(), before);
}

static void test_stop(void **state)
{
    struct nst_loop_timer timer = {.fn = stop_timer};

    nst_loop_stop(*state, 3);
    assert_int_equal(nst_loop_run(*state), 3);
    nst_loop_stop(*state, -EIO);
    assert_int_equal(nst_loop_run(*state), -EIO);
    nst_loop_timer_start(*state, &timer, 0);
    assert_int_equal(nst_loop_run(*state), 0);
}

static void test_stop_finishes_the_turn(void **state)
{
    unsigned calls = 0;
    struct nst_loop_timer stop = {.fn = stop_timer}, second = {.fn = count_timer, .arg = &calls};
    struct nst_loop_task task = {.fn = count_task, .arg = &calls};

    nst_loop_timer_start(*state, &stop, 0);
    nst_loop_timer_start(*state, &second, 0);
    nst_loop_task_post(*state, &task);
    assert_int_equal(nst_loop_run(*state), 0);
    assert_int_equal(calls, 2);
}

static void run_inside(struct nst_loop *loop, struct nst_loop_task *task)
{
    count_task(loop, task);
    assert_int_equal(nst_loop_run(loop), -EBUSY);
    assert_int_equal(nst_loop_run_once(loop, 0), -EBUSY);
}

static void test_turns_do_not_nest(void **state)
{
    unsigned calls = 0;
    struct nst_loop_task task = {.fn = run_inside, .arg = &calls};

    nst_loop_task_post(*state, &task);
    turn(*state);
    assert_int_equal(calls, 1);
}

static void look_at_clock(struct nst_loop *loop, struct nst_loop_task *task)
{
    uint64_t now_ns = nst_loop_now(loop);

    count_task(loop, task);
    while (nst_loop_clock() == now_ns)
        ;
    assert_int_equal(nst_loop_now(loop), now_ns);
}

static void test_time_stands_still_in_a_turn(void **state)
{
    unsigned calls = 0;
    struct nst_loop_task task = {.fn = look_at_clock, .arg = &calls};

    nst_loop_task_post(*state, &task);
    turn(*state);
    assert_int_equal(calls, 1);
    uint64_t before_ns = nst_loop_clock(), now_ns = nst_loop_now(*state);
    assert_in_range(now_ns, before_ns, nst_loop_clock());
}

static void test_timeout_ends_the_sleep(void **state)
{
    uint64_t start_ns = nst_loop_clock();

    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_MSEC), 0);
    assert_true(nst_loop_clock() - start_ns >= NST_LOOP_MSEC);
}

static void test_busy_polling_sees_everything(void **state)
{
    const struct nst_loop_config config = {.busy_poll_ns = NST_LOOP_MSEC / 2};
    unsigned calls = 0;
    struct nst_loop_fd source = {.fn = count_fd, .arg = &calls};
    struct nst_loop_timer timer = {.fn = stop_timer};
    struct nst_loop *loop;
    int fds[2];
    (void)state;

    assert_int_equal(nst_loop_new(&loop, &config), 0);
    open_pipe(fds);
    assert_int_equal(nst_loop_fd_add(loop, &source, fds[0], NST_LOOP_IN), 0);
    fill_pipe(fds);
    assert_int_equal(nst_loop_run_once(loop, NST_LOOP_NEVER), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(nst_loop_fd_modify(&source, 0), 0);
    nst_loop_timer_after(loop, &timer, NST_LOOP_MSEC / 4); /* comes while polling */
    assert_int_equal(nst_loop_run(loop), 0);
    nst_loop_timer_after(loop, &timer, NST_LOOP_MSEC); /* comes while asleep */
    assert_int_equal(nst_loop_run(loop), 0);
    nst_loop_free(loop);
    close_pipe(fds);
}

static void on_handler(int signo)
{
    (void)signo;
}

static void *interrupt(void *thread)
{
    /* Until the loop sleeps there is nothing to interrupt, so again and again. */
    for (;;) {
        pthread_kill(*(pthread_t *)thread, SIGUSR2);
        usleep(1000);
    }
    return NULL;
}

static void test_interrupted_sleep_is_a_turn(void **state)
{
    struct sigaction action = {.sa_handler = on_handler}, old;
    pthread_t self = pthread_self(), thread;

    sigaction(SIGUSR2, &action, &old);
    assert_int_equal(pthread_create(&thread, NULL, interrupt, &self), 0);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    sigaction(SIGUSR2, &old, NULL);
}

/* ---- In a child process ---- */

static void expect_exit(pid_t pid, int code)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

/* Makes epoll_pwait2() fail with `error` from now on. */
static int forbid_epoll_pwait2(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int run_without_epoll_pwait2(struct nst_loop *loop, unsigned error)
{
    unsigned turns = 0;
    struct nst_loop_timer timer = {.fn = stop_timer};
    struct nst_loop_prepare prepare = {.fn = count_prepare, .arg = &turns};

    if (forbid_epoll_pwait2(error) || nst_loop_prepare_add(loop, &prepare))
        return 2;
    uint64_t deadline_ns = nst_loop_clock() + 1500000;
    nst_loop_timer_start(loop, &timer, deadline_ns);
    if (nst_loop_run(loop) != 0)
        return 3;
    if (!loop->poller.coarse || nst_loop_clock() < deadline_ns)
        return 4;
    return turns <= 2 ? 0 : 5; /* more, if it rounded down and woke before the time */
}

static void test_kernel_without_epoll_pwait2(void **state)
{
    static const unsigned errors[] = {ENOSYS, EPERM};

    for (size_t i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(run_without_epoll_pwait2(*state, errors[i]));
        expect_exit(pid, 0);
    }
}

static void test_child_frees_its_copy(void **state)
{
    unsigned calls = 0, signals = 0;
    struct nst_loop_fd source = {.fn = count_fd, .arg = &calls};
    struct nst_loop_signal signal = {.fn = count_signal, .arg = &signals};
    int fds[2];

    open_pipe(fds);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_signal_add(*state, &signal, SIGUSR1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        nst_loop_free(*state);
        _exit(source.loop || signal.loop || is_blocked(SIGUSR1));
    }
    expect_exit(pid, 0);
    fill_pipe(fds);
    kill(getpid(), SIGUSR1);
    turn(*state);
    assert_int_equal(calls, 1);
    assert_int_equal(signals, 1);
    nst_loop_signal_del(&signal);
    nst_loop_fd_del(&source);
    close_pipe(fds);
}

/* ---- Tasks ---- */

/* A task that appends its number to a log, then does what `also` says. */
struct entry {
    struct nst_loop_task task, *post, *cancel;
    unsigned number;
};

static unsigned task_log[16], logged;

static void on_entry(struct nst_loop *loop, struct nst_loop_task *task)
{
    struct entry *entry = NST_CONTAINER(task, struct entry, task);

    assert_null(task->loop);
    task_log[logged++] = entry->number;
    if (entry->post)
        nst_loop_task_post(loop, entry->post);
    if (entry->cancel)
        nst_loop_task_cancel(entry->cancel);
}

#define expect_log(...)                                         \
    do {                                                        \
        const unsigned want[] = {__VA_ARGS__};                  \
        assert_int_equal(logged, sizeof want / sizeof want[0]); \
        assert_memory_equal(task_log, want, sizeof want);       \
        logged = 0;                                             \
    } while (0)

static void test_tasks_run_in_order_once(void **state)
{
    struct entry a = {.task.fn = on_entry, .number = 1}, b = a, c = a;

    b.number = 2;
    c.number = 3;
    nst_loop_task_post(*state, &a.task);
    nst_loop_task_post(*state, &b.task);
    nst_loop_task_post(*state, &c.task);
    nst_loop_task_post(*state, &a.task); /* keeps its place */
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    expect_log(1, 2, 3);
    turn(*state);
    assert_int_equal(logged, 0);
}

static void test_task_posted_by_a_task_waits_for_the_next_turn(void **state)
{
    struct entry a = {.task.fn = on_entry, .number = 1}, b = {.task.fn = on_entry, .number = 2};

    a.post = &a.task;
    b.post = &a.task;
    nst_loop_task_post(*state, &a.task);
    nst_loop_task_post(*state, &b.task);
    turn(*state);
    expect_log(1, 2);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    expect_log(1);
    nst_loop_task_cancel(&a.task);
    turn(*state);
    assert_int_equal(logged, 0);
}

static void test_cancel_another_task_in_the_same_batch(void **state)
{
    struct entry b = {.task.fn = on_entry, .number = 2}, c = {.task.fn = on_entry, .number = 3};
    struct entry a = {.task.fn = on_entry, .number = 1, .cancel = &b.task};

    nst_loop_task_post(*state, &a.task);
    nst_loop_task_post(*state, &b.task);
    nst_loop_task_post(*state, &c.task);
    turn(*state);
    expect_log(1, 3);
    nst_loop_task_cancel(&b.task);
    assert_null(b.task.loop);
}

static void test_task_moves_between_loops(void **state)
{
    struct entry a = {.task.fn = on_entry, .number = 1};
    struct nst_loop *other;

    assert_int_equal(nst_loop_new(&other, NULL), 0);
    nst_loop_task_post(*state, &a.task);
    nst_loop_task_post(other, &a.task);
    turn(*state);
    assert_int_equal(logged, 0);
    turn(other);
    expect_log(1);
    nst_loop_free(other);
}

static void post_from_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    nst_loop_task_post(loop, timer->arg);
}

static void test_task_posted_by_a_timer_runs_in_the_same_turn(void **state)
{
    struct entry a = {.task.fn = on_entry, .number = 1};
    struct nst_loop_timer timer = {.fn = post_from_timer, .arg = &a.task};

    nst_loop_timer_start(*state, &timer, 0);
    turn(*state);
    expect_log(1);
}

/* ---- Prepare functions ---- */

struct wish {
    struct nst_loop_prepare prepare;
    uint64_t until_ns;
    unsigned calls;
    struct nst_loop_prepare *del;
};

static uint64_t on_wish(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct wish *wish = NST_CONTAINER(prepare, struct wish, prepare);

    wish->calls++;
    if (wish->del)
        nst_loop_prepare_del(wish->del);
    nst_loop_check(loop);
    return wish->until_ns;
}

static void test_prepare_bounds_the_sleep(void **state)
{
    struct wish never = {.prepare.fn = on_wish, .until_ns = NST_LOOP_NEVER};
    struct wish soon = {.prepare.fn = on_wish, .until_ns = nst_loop_clock() + NST_LOOP_MSEC};
    struct nst_loop_prepare mute = {0};

    assert_int_equal(nst_loop_prepare_add(*state, &mute), -EINVAL);
    assert_int_equal(nst_loop_prepare_add(*state, &soon.prepare), 0);
    assert_int_equal(nst_loop_prepare_add(*state, &soon.prepare), -EEXIST);
    assert_int_equal(nst_loop_prepare_add(*state, &never.prepare), 0);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    assert_true(nst_loop_clock() >= soon.until_ns);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0); /* has passed: no sleep */
    assert_int_equal(soon.calls, 2);
    assert_int_equal(never.calls, 2);
    nst_loop_prepare_del(&soon.prepare);
    turn(*state);
    assert_int_equal(soon.calls, 2);
    assert_int_equal(never.calls, 3);
    nst_loop_prepare_del(&never.prepare);
    nst_loop_prepare_del(&never.prepare);
}

static void test_prepare_functions_take_each_other_back(void **state)
{
    struct wish a = {.prepare.fn = on_wish}, b = a, c = a;

    a.del = &b.prepare; /* before its call */
    c.del = &c.prepare; /* itself */
    assert_int_equal(nst_loop_prepare_add(*state, &a.prepare), 0);
    assert_int_equal(nst_loop_prepare_add(*state, &b.prepare), 0);
    assert_int_equal(nst_loop_prepare_add(*state, &c.prepare), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 0);
    assert_int_equal(c.calls, 1);
    nst_loop_prepare_del(&a.prepare);
}

static uint64_t stop_in_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    (void)prepare;
    nst_loop_stop(loop, 5);
    return NST_LOOP_NEVER;
}

static void test_stop_in_prepare_forgoes_the_sleep(void **state)
{
    struct nst_loop_prepare prepare = {.fn = stop_in_prepare};

    assert_int_equal(nst_loop_prepare_add(*state, &prepare), 0);
    assert_int_equal(nst_loop_run(*state), 5);
    nst_loop_prepare_del(&prepare);
}

/* ---- Fairness ---- */

static bool flood_fd(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                     unsigned budget)
{
    (void)count_fd(loop, source, events, budget);
    return true;
}

static void flood_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    count_timer(loop, timer);
    nst_loop_timer_start(loop, timer, 0);
}

static void flood_task(struct nst_loop *loop, struct nst_loop_task *task)
{
    count_task(loop, task);
    nst_loop_task_post(loop, task);
}

static void flood_signal(struct nst_loop *loop, struct nst_loop_signal *signal,
                         const struct signalfd_siginfo *info)
{
    count_signal(loop, signal, info);
    raise(signal->signo);
}

static void flood_wake(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    count_wake(loop, wake);
    nst_loop_wake_send(wake);
}

static void count_ask(void *arg)
{
    ++*(unsigned *)arg;
}

static void ignore_answer(void *arg)
{
    (void)arg;
}

/* A loop that counts how often it asks the kernel. */
static struct nst_loop *new_counting_loop(unsigned *asks)
{
    const struct nst_loop_config config = {.idle = count_ask, .resume = ignore_answer, .arg = asks};
    struct nst_loop *loop = NULL;

    assert_int_equal(nst_loop_new(&loop, &config), 0);
    return loop;
}

/* One source of each kind that never has enough, next to a pipe that is merely readable. Each of
 * them has its share, one call, or in the signal's case at most a budget of them: in each turn
 * those that the loop knows to be ready, in each turn in which it asks the kernel the others. */
static void test_a_flood_starves_nobody(void **state)
{
    enum { ASKS = 100 };
    unsigned turns = 0, asks = 0;
    unsigned flood = 0, quiet = 0, timers = 0, tasks = 0, signals = 0, wakes = 0;
    struct nst_loop *loop = new_counting_loop(&asks);
    struct nst_loop_fd flooding = {.fn = flood_fd, .arg = &flood};
    struct nst_loop_fd other = {.fn = count_fd, .arg = &quiet};
    struct nst_loop_timer timer = {.fn = flood_timer, .arg = &timers};
    struct nst_loop_task task = {.fn = flood_task, .arg = &tasks};
    struct nst_loop_signal signal = {.fn = flood_signal, .arg = &signals};
    struct nst_loop_wake wake = {.fn = flood_wake, .arg = &wakes};
    int fds[2][2];
    (void)state;

    for (int i = 0; i < 2; i++) {
        open_pipe(fds[i]);
        fill_pipe(fds[i]);
    }
    assert_int_equal(nst_loop_fd_add(loop, &flooding, fds[0][0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(loop, &other, fds[1][0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_signal_add(loop, &signal, SIGUSR1), 0);
    assert_int_equal(nst_loop_wake_add(loop, &wake), 0);
    nst_loop_timer_start(loop, &timer, 0);
    nst_loop_task_post(loop, &task);
    raise(SIGUSR1);
    nst_loop_wake_send(&wake);

    for (; asks < ASKS; turns++)
        turn(loop);
    assert_int_equal(flood, turns);
    assert_int_equal(timers, turns);
    assert_int_equal(tasks, turns);
    assert_int_equal(quiet, ASKS);
    assert_int_equal(wakes, ASKS);
    assert_in_range(signals, ASKS, ASKS * NST_LOOP_BUDGET);

    signal.fn = ignore_signal;
    nst_loop_fd_del(&flooding);
    turn(loop);
    nst_loop_signal_del(&signal);
    nst_loop_fd_del(&other);
    nst_loop_wake_del(&wake);
    nst_loop_timer_stop(&timer);
    nst_loop_task_cancel(&task);
    nst_loop_free(loop);
    close_pipe(fds[0]);
    close_pipe(fds[1]);
}

/* While a source has work left the kernel is asked at the times that are promised, and only then.
 */
static void test_work_left_saves_questions(void **state)
{
    enum { ASKS = 20 };
    unsigned calls = 0, asks = 0;
    struct nst_loop *loop = new_counting_loop(&asks);
    struct nst_loop_fd busy = {.fn = flood_fd, .arg = &calls};
    uint64_t asked_ns = 0;
    int fds[2];
    (void)state;

    open_pipe(fds);
    fill_pipe(fds);
    assert_int_equal(nst_loop_fd_add(loop, &busy, fds[0], NST_LOOP_IN), 0);
    while (asks < ASKS) {
        unsigned before = asks;
        turn(loop);
        uint64_t since_ns = loop->now_ns - asked_ns;
        assert_int_equal(asks - before, asked_ns == 0 || since_ns >= NST_LOOP_ASK_NS);
        if (asks > before)
            asked_ns = loop->now_ns;
    }
    busy.fn = count_fd; /* has enough at last */
    turn(loop);
    unsigned before = asks;
    turn(loop);
    assert_int_equal(asks, before + 1);
    assert_true(calls > ASKS);
    nst_loop_fd_del(&busy);
    nst_loop_free(loop);
    close_pipe(fds);
}

/* ---- The end ---- */

static void test_free_takes_everything_back(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd fd = {.fn = flood_fd, .arg = &calls}, idle = {.fn = count_fd};
    struct nst_loop_timer timers[3];
    struct nst_loop_task task = {.fn = count_task};
    struct nst_loop_signal signal = {.fn = ignore_signal};
    struct nst_loop_wake wake = {.fn = count_wake};
    struct wish wish = {.prepare.fn = on_wish};
    struct nst_loop *loop;
    int fds[2];
    (void)state;

    open_pipe(fds);
    fill_pipe(fds);
    assert_int_equal(nst_loop_new(&loop, NULL), 0);
    assert_int_equal(nst_loop_fd_add(loop, &fd, fds[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(loop, &idle, fds[1], 0), 0);
    assert_int_equal(nst_loop_signal_add(loop, &signal, SIGUSR1), 0);
    assert_int_equal(nst_loop_wake_add(loop, &wake), 0);
    assert_int_equal(nst_loop_prepare_add(loop, &wish.prepare), 0);
    turn(loop);
    for (unsigned i = 0; i < 3; i++) {
        timers[i] = (struct nst_loop_timer){.fn = count_timer};
        nst_loop_timer_start(loop, &timers[i], i);
    }
    nst_loop_task_post(loop, &task);
    nst_loop_free(loop);

    assert_false(fd.loop || idle.loop || task.loop || signal.loop || wake.loop);
    assert_false(timers[0].loop || timers[1].loop || timers[2].loop || wish.prepare.loop);
    nst_loop_fd_del(&fd);
    nst_loop_timer_stop(&timers[0]);
    nst_loop_task_cancel(&task);
    nst_loop_signal_del(&signal);
    nst_loop_wake_del(&wake);
    nst_loop_prepare_del(&wish.prepare);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    close_pipe(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_and_free),
        cmocka_unit_test(test_new_without_descriptors),
        loop_test(test_stop),
        loop_test(test_stop_finishes_the_turn),
        loop_test(test_turns_do_not_nest),
        loop_test(test_time_stands_still_in_a_turn),
        loop_test(test_timeout_ends_the_sleep),
        cmocka_unit_test(test_busy_polling_sees_everything),
        loop_test(test_interrupted_sleep_is_a_turn),
        loop_test(test_kernel_without_epoll_pwait2),
        loop_test(test_child_frees_its_copy),
        loop_test(test_tasks_run_in_order_once),
        loop_test(test_task_posted_by_a_task_waits_for_the_next_turn),
        loop_test(test_cancel_another_task_in_the_same_batch),
        loop_test(test_task_moves_between_loops),
        loop_test(test_task_posted_by_a_timer_runs_in_the_same_turn),
        loop_test(test_prepare_bounds_the_sleep),
        loop_test(test_prepare_functions_take_each_other_back),
        loop_test(test_stop_in_prepare_forgoes_the_sleep),
        cmocka_unit_test(test_a_flood_starves_nobody),
        cmocka_unit_test(test_work_left_saves_questions),
        cmocka_unit_test(test_free_takes_everything_back),
    };
    return cmocka_run_group_tests_name("io/loop", tests, NULL, NULL);
}
