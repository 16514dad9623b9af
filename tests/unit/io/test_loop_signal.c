/* Signals on the event loop. */
#include "loop_fixture.h"

static void test_signal_arguments(void **state)
{
    static const int unfit[] = {-1, 0, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 32, 65};
    unsigned calls = 0;
    struct nst_loop_signal a = {.fn = count_signal, .arg = &calls}, b = a, mute = {0};

    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        assert_int_equal(nst_loop_signal_add(*state, &a, unfit[i]), -EINVAL);
    assert_int_equal(nst_loop_signal_add(*state, &mute, SIGUSR1), -EINVAL);
    assert_int_equal(nst_loop_signal_add(*state, &a, SIGUSR1), 0);
    assert_int_equal(nst_loop_signal_add(*state, &a, SIGUSR2), -EEXIST);
    assert_int_equal(nst_loop_signal_add(*state, &b, SIGUSR1), -EEXIST);
    nst_loop_signal_del(&a);
    nst_loop_signal_del(&a);
    assert_int_equal(nst_loop_signal_add(*state, &b, SIGUSR1), 0);
    nst_loop_signal_del(&b);
}

static void test_signals_arrive_by_their_number(void **state)
{
    unsigned usr1 = 0, usr2 = 0;
    struct nst_loop_signal a = {.fn = count_signal, .arg = &usr1};
    struct nst_loop_signal b = {.fn = count_signal, .arg = &usr2};

    assert_int_equal(nst_loop_signal_add(*state, &a, SIGUSR1), 0);
    assert_int_equal(nst_loop_signal_add(*state, &b, SIGUSR2), 0);
    kill(getpid(), SIGUSR2);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    assert_int_equal(usr1, 0);
    assert_int_equal(usr2, 1);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    turn(*state);
    assert_int_equal(usr1, 1);
    assert_int_equal(usr2, 2);
    nst_loop_signal_del(&b);
    assert_false(is_blocked(SIGUSR2));
    kill(getpid(), SIGUSR1);
    turn(*state);
    assert_int_equal(usr1, 2);
    nst_loop_signal_del(&a);
}

static void test_signal_mask_is_restored(void **state)
{
    struct nst_loop_signal a = {.fn = ignore_signal}, b = a;
    struct nst_loop *loop;
    sigset_t set;
    (void)state;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert_int_equal(nst_loop_new(&loop, NULL), 0);
    assert_int_equal(nst_loop_signal_add(loop, &a, SIGUSR1), 0);
    assert_int_equal(nst_loop_signal_add(loop, &b, SIGUSR2), 0);
    assert_true(is_blocked(SIGUSR1));
    nst_loop_free(loop);
    assert_false(is_blocked(SIGUSR1));
    assert_true(is_blocked(SIGUSR2));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A signal that was blocked before belongs to someone else again, once it is taken back. */
static void test_loop_leaves_other_signals_pending(void **state)
{
    struct nst_loop_signal a = {.fn = ignore_signal}, b = a;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert_int_equal(nst_loop_signal_add(*state, &a, SIGUSR1), 0);
    assert_int_equal(nst_loop_signal_add(*state, &b, SIGUSR2), 0);
    nst_loop_signal_del(&b);
    raise(SIGUSR2);
    turn(*state);
    assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGUSR2);
    nst_loop_signal_del(&a);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The first callback takes another source back whose signal is pending, too. */
static void take_back_other(struct nst_loop *loop, struct nst_loop_signal *signal,
                            const struct signalfd_siginfo *info)
{
    (void)loop;
    (void)info;
    nst_loop_signal_del(signal->arg);
}

static void test_signal_taken_back_while_pending(void **state)
{
    unsigned calls = 0;
    struct nst_loop_signal second = {.fn = count_signal, .arg = &calls};
    struct nst_loop_signal first = {.fn = take_back_other, .arg = &second};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;

    sigaction(SIGUSR2, &ignore, &old);
    assert_int_equal(nst_loop_signal_add(*state, &first, SIGUSR1), 0);
    assert_int_equal(nst_loop_signal_add(*state, &second, SIGUSR2), 0);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, 0);
    nst_loop_signal_del(&first);
    sigaction(SIGUSR2, &old, NULL);
}

static void test_many_queued_signals(void **state)
{
    enum { N = 3 * NST_LOOP_BUDGET };
    unsigned calls = 0;
    struct nst_loop_signal signal = {.fn = count_signal, .arg = &calls};

    assert_int_equal(nst_loop_signal_add(*state, &signal, SIGRTMIN), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}), 0);
    turn(*state);
    assert_int_equal(calls, NST_LOOP_BUDGET);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, N);
    nst_loop_signal_del(&signal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(test_signal_arguments),
        loop_test(test_signals_arrive_by_their_number),
        cmocka_unit_test(test_signal_mask_is_restored),
        loop_test(test_loop_leaves_other_signals_pending),
        loop_test(test_signal_taken_back_while_pending),
        loop_test(test_many_queued_signals),
    };
    return cmocka_run_group_tests_name("io/loop_signal", tests, NULL, NULL);
}
