/* Timers on the event loop. */
#include "loop_fixture.h"

/* A timer that knows its place among many; each firing appends the place to `fired`. */
enum { MANY = 5000 };

struct numbered {
    struct nst_loop_timer timer;
    unsigned number;
};

static unsigned fired[MANY], fired_count;

static void on_numbered(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    assert_null(timer->loop);
    assert_true(timer->deadline_ns <= nst_loop_now(loop));
    fired[fired_count++] = NST_CONTAINER(timer, struct numbered, timer)->number;
}

static int reset_fired(void **state)
{
    fired_count = 0;
    return setup_loop(state);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* By deadline, then by order of starting, which for this test is the address. */
static int compare(const void *a, const void *b)
{
    const struct numbered *x = *(struct numbered *const *)a, *y = *(struct numbered *const *)b;

    if (x->timer.deadline_ns != y->timer.deadline_ns)
        return x->timer.deadline_ns < y->timer.deadline_ns ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void test_thousands_fire_in_order(void **state)
{
    static struct numbered timers[MANY];
    static struct numbered *sorted[MANY];
    uint64_t start_ns = nst_loop_clock();
    uint32_t seed = 1;

    for (unsigned i = 0; i < MANY; i++) {
        timers[i] = (struct numbered){.timer.fn = on_numbered, .number = i};
        /* Within 10 ms, and few enough moments that many timers share one. */
        nst_loop_timer_start(*state, &timers[i].timer,
                             start_ns + next_random(&seed) % 1000 * 10000);
        sorted[i] = &timers[i];
    }
    nst_loop_check(*state);
    qsort(sorted, MANY, sizeof sorted[0], compare);
    while (fired_count < MANY)
        assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(fired[i], sorted[i]->number);
}

/* Random starts, moves and stops against a plain array; then all that is left fires in order. */
static void test_heap_against_a_model(void **state)
{
    enum { N = 300, STEPS = 20000 };
    static struct numbered timers[N];
    static uint64_t rank[N]; /* 0: stopped; else when it was started */
    uint64_t expected = 0, last_deadline_ns = 0, last_rank = 0;
    uint32_t seed = 2;

    for (unsigned i = 0; i < N; i++)
        timers[i] = (struct numbered){.timer.fn = on_numbered, .number = i};
    for (unsigned step = 1; step <= STEPS; step++) {
        unsigned i = next_random(&seed) % N;

        if (next_random(&seed) % 3 == 0) {
            nst_loop_timer_stop(&timers[i].timer);
            rank[i] = 0;
        } else {
            nst_loop_timer_start(*state, &timers[i].timer, next_random(&seed) % 50);
            rank[i] = step;
        }
        if (step % 64 == 0)
            nst_loop_check(*state);
    }
    for (unsigned i = 0; i < N; i++)
        expected += rank[i] != 0;
    turn(*state);
    assert_int_equal(fired_count, expected);
    for (unsigned i = 0; i < fired_count; i++) {
        uint64_t deadline_ns = timers[fired[i]].timer.deadline_ns;

        assert_true(rank[fired[i]] != 0);
        assert_true(deadline_ns > last_deadline_ns ||
                    (deadline_ns == last_deadline_ns && rank[fired[i]] > last_rank));
        last_deadline_ns = deadline_ns;
        last_rank = rank[fired[i]];
    }
}

/* 100 us, far below epoll_wait()'s millisecond: on_numbered() asserts that it isn't early. */
static void test_never_early(void **state)
{
    struct numbered timer = {.timer.fn = on_numbered};

    for (unsigned i = 1; i <= 20; i++) {
        nst_loop_timer_after(*state, &timer.timer, 100000);
        while (fired_count < i)
            assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    }
}

static void test_past_and_never(void **state)
{
    struct numbered past = {.timer.fn = on_numbered, .number = 1};
    struct numbered never = {.timer.fn = on_numbered, .number = 2};
    struct numbered saturated = {.timer.fn = on_numbered, .number = 3};

    nst_loop_timer_start(*state, &never.timer, NST_LOOP_NEVER);
    nst_loop_timer_after(*state, &saturated.timer, NST_LOOP_NEVER - 1);
    nst_loop_timer_start(*state, &past.timer, 0);
    assert_int_equal(saturated.timer.deadline_ns, NST_LOOP_NEVER);
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    turn(*state);
    assert_int_equal(fired_count, 1);
    assert_int_equal(fired[0], 1);
    assert_ptr_equal(never.timer.loop, *state);
    nst_loop_timer_stop(&saturated.timer);
    nst_loop_timer_stop(&never.timer);
    nst_loop_timer_stop(&never.timer);
    assert_null(never.timer.loop);
}

static void restart_at_zero(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    count_timer(loop, timer);
    nst_loop_timer_start(loop, timer, 0);
}

static void test_restarted_in_the_past_waits_for_the_next_turn(void **state)
{
    unsigned calls = 0;
    struct nst_loop_timer timer = {.fn = restart_at_zero, .arg = &calls};

    nst_loop_timer_start(*state, &timer, 0);
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
        assert_int_equal(calls, i);
    }
    nst_loop_timer_stop(&timer);
}

static void test_move(void **state)
{
    struct numbered a = {.timer.fn = on_numbered, .number = 1};
    struct numbered b = {.timer.fn = on_numbered, .number = 2};

    nst_loop_timer_start(*state, &a.timer, 1);
    nst_loop_timer_start(*state, &b.timer, NST_LOOP_NEVER - 1);
    nst_loop_timer_start(*state, &a.timer, NST_LOOP_NEVER - 1);
    turn(*state);
    assert_int_equal(fired_count, 0);
    nst_loop_timer_start(*state, &b.timer, 1);
    turn(*state);
    assert_int_equal(fired_count, 1);
    assert_int_equal(fired[0], 2);
    nst_loop_timer_stop(&a.timer);
}

/* Of two that are due in the same turn, the first stops and frees the second. */
static void stop_other(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_loop_timer *other = timer->arg;

    nst_loop_timer_stop(other);
    free(other);
    free(timer);
    nst_loop_check(loop);
    fired_count++;
}

static void test_stop_another_that_is_due(void **state)
{
    struct nst_loop_timer *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);

    *a = (struct nst_loop_timer){.fn = stop_other, .arg = b};
    *b = (struct nst_loop_timer){.fn = stop_other, .arg = a};
    nst_loop_timer_start(*state, b, 2);
    nst_loop_timer_start(*state, a, 1);
    turn(*state);
    assert_int_equal(fired_count, 1);
}

/* Of two that are due in the same turn, the first moves the second out of it. */
static void postpone_other(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    nst_loop_timer_start(loop, timer->arg, 0);
    nst_loop_check(loop);
}

static void test_move_another_that_is_due(void **state)
{
    struct numbered b = {.timer.fn = on_numbered};
    struct nst_loop_timer a = {.fn = postpone_other, .arg = &b.timer};

    nst_loop_timer_start(*state, &a, 1);
    nst_loop_timer_start(*state, &b.timer, 2);
    turn(*state);
    assert_int_equal(fired_count, 0);
    turn(*state);
    assert_int_equal(fired_count, 1);
}

static void test_move_to_another_loop(void **state)
{
    struct numbered timer = {.timer.fn = on_numbered};
    struct nst_loop *other;

    assert_int_equal(nst_loop_new(&other, NULL), 0);
    nst_loop_timer_start(*state, &timer.timer, 0);
    nst_loop_timer_start(other, &timer.timer, 0);
    turn(*state);
    assert_int_equal(fired_count, 0);
    turn(other);
    assert_int_equal(fired_count, 1);
    nst_loop_free(other);
}

#define timer_test(fn) cmocka_unit_test_setup_teardown(fn, reset_fired, teardown_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        timer_test(test_thousands_fire_in_order),
        timer_test(test_heap_against_a_model),
        timer_test(test_never_early),
        timer_test(test_past_and_never),
        timer_test(test_restarted_in_the_past_waits_for_the_next_turn),
        timer_test(test_move),
        timer_test(test_stop_another_that_is_due),
        timer_test(test_move_another_that_is_due),
        timer_test(test_move_to_another_loop),
    };
    return cmocka_run_group_tests_name("io/loop_timer", tests, NULL, NULL);
}
