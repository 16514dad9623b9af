/* Wake-ups of the event loop from other threads and from signal handlers. */
#include "loop_fixture.h"

#include <pthread.h>
#include <sys/eventfd.h>

static void test_sends_are_coalesced(void **state)
{
    unsigned a_calls = 0, b_calls = 0;
    struct nst_loop_wake a = {.fn = count_wake, .arg = &a_calls};
    struct nst_loop_wake b = {.fn = count_wake, .arg = &b_calls}, mute = {0};

    assert_int_equal(nst_loop_wake_add(*state, &mute), -EINVAL);
    assert_int_equal(nst_loop_wake_add(*state, &a), 0);
    assert_int_equal(nst_loop_wake_add(*state, &a), -EEXIST);
    assert_int_equal(nst_loop_wake_add(*state, &b), 0);
    for (int i = 0; i < 100; i++)
        nst_loop_wake_send(&a);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    expect_sleep(*state);
    assert_int_equal(a_calls, 1);
    assert_int_equal(b_calls, 0);
    nst_loop_wake_send(&a);
    nst_loop_wake_send(&b);
    nst_loop_wake_del(&a);
    nst_loop_wake_del(&a);
    turn(*state);
    assert_int_equal(a_calls, 1);
    assert_int_equal(b_calls, 1);
    nst_loop_wake_del(&b);
}

static void free_both(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    struct nst_loop_wake *other = wake->arg;
    (void)loop;

    nst_loop_wake_del(other);
    nst_loop_wake_del(wake);
    free(other);
    free(wake);
}

static void test_wake_takes_others_back(void **state)
{
    struct nst_loop_wake *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);

    *a = (struct nst_loop_wake){.fn = free_both, .arg = b};
    *b = (struct nst_loop_wake){.fn = free_both, .arg = a};
    assert_int_equal(nst_loop_wake_add(*state, a), 0);
    assert_int_equal(nst_loop_wake_add(*state, b), 0);
    nst_loop_wake_send(a);
    nst_loop_wake_send(b);
    turn(*state);
}

/* ---- Another thread, while the loop waits ---- */

struct guest {
    struct nst_loop *loop;
    pthread_mutex_t turn; /* held by the loop but for its waits */
    struct nst_loop_wake wake;
    struct nst_loop_timer timer;
    unsigned waits, wakes, timers;
};

static void on_idle(void *arg)
{
    struct guest *g = arg;

    g->waits++;
    pthread_mutex_unlock(&g->turn);
}

static void on_resume(void *arg)
{
    struct guest *g = arg;

    pthread_mutex_lock(&g->turn);
}

static void *start_timer(void *arg)
{
    struct guest *g = arg;

    pthread_mutex_lock(&g->turn);
    nst_loop_timer_after(g->loop, &g->timer, 0);
    nst_loop_wake_send(&g->wake);
    pthread_mutex_unlock(&g->turn);
    return NULL;
}

static void test_a_thread_in_the_waits(void **state)
{
    struct guest g = {.turn = PTHREAD_MUTEX_INITIALIZER};
    const struct nst_loop_config config = {.idle = on_idle, .resume = on_resume, .arg = &g};
    pthread_t thread;
    (void)state;

    assert_int_equal(nst_loop_new(&g.loop, &config), 0);
    g.wake = (struct nst_loop_wake){.fn = count_wake, .arg = &g.wakes};
    g.timer = (struct nst_loop_timer){.fn = count_timer, .arg = &g.timers};
    assert_int_equal(nst_loop_wake_add(g.loop, &g.wake), 0);
    pthread_mutex_lock(&g.turn);
    assert_int_equal(pthread_create(&thread, NULL, start_timer, &g), 0);
    while (g.timers == 0) /* without the wake-up it would sleep for ever */
        assert_int_equal(nst_loop_run_once(g.loop, NST_LOOP_NEVER), 0);
    pthread_mutex_unlock(&g.turn);
    pthread_join(thread, NULL);
    assert_int_equal(g.timers, 1);
    assert_true(g.waits > 0);
    nst_loop_free(g.loop);
}

static struct nst_loop_wake *handler_wake;

static void send_from_handler(int signo)
{
    (void)signo;
    nst_loop_wake_send(handler_wake);
}

/* The handler's errno stays as it was even when the eventfd's counter is full. */
static void test_send_from_a_signal_handler(void **state)
{
    unsigned calls = 0;
    struct nst_loop_wake wake = {.fn = count_wake, .arg = &calls};
    struct sigaction action = {.sa_handler = send_from_handler}, old;

    assert_int_equal(nst_loop_wake_add(*state, &wake), 0);
    handler_wake = &wake;
    sigaction(SIGUSR2, &action, &old);
    assert_int_equal(eventfd_write(((struct nst_loop *)*state)->wake_source.fd, UINT64_MAX - 1), 0);
    errno = ERANGE;
    raise(SIGUSR2);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    assert_int_equal(calls, 1);
    sigaction(SIGUSR2, &old, NULL);
    nst_loop_wake_del(&wake);
}

/* Threads that each count in plain memory and send; if a send were lost the loop would hang, if
 * memory weren't passed on the sum would be short. */
enum { THREADS = 3, ROUNDS = 5000 };

struct producer {
    struct nst_loop_wake wake;
    pthread_t thread;
    unsigned produced, seen, *total;
};

static void *produce(void *arg)
{
    struct producer *producer = arg;

    for (int i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(&producer->produced, 1, __ATOMIC_RELAXED);
        nst_loop_wake_send(&producer->wake);
    }
    return NULL;
}

static void consume(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    struct producer *producer = NST_CONTAINER(wake, struct producer, wake);
    unsigned produced = __atomic_load_n(&producer->produced, __ATOMIC_RELAXED);

    *producer->total += produced - producer->seen;
    producer->seen = produced;
    if (*producer->total == THREADS * ROUNDS)
        nst_loop_stop(loop, 1);
}

static void test_no_wake_is_lost(void **state)
{
    struct producer producers[THREADS];
    unsigned total = 0;

    for (int i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){.wake.fn = consume, .total = &total};
        assert_int_equal(nst_loop_wake_add(*state, &producers[i].wake), 0);
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    assert_int_equal(nst_loop_run(*state), 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(producers[i].thread, NULL);
        nst_loop_wake_del(&producers[i].wake);
    }
    assert_int_equal(total, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(test_sends_are_coalesced),          loop_test(test_wake_takes_others_back),
        loop_test(test_send_from_a_signal_handler),   loop_test(test_no_wake_is_lost),
        cmocka_unit_test(test_a_thread_in_the_waits),
    };
    return cmocka_run_group_tests_name("io/loop_wake", tests, NULL, NULL);
}
