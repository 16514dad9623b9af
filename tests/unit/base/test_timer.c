/* The timer wheel against a model that keeps the times in an array and looks at all of them. */
#include "core/base/timer.h"

#include "core/base/bytes.h"

#include "../core.h"

#define TIMERS 48

/* What the model knows of each timer; `at` is when nst_timer_at() said that it would fire. */
struct model {
    struct nst_wheel wheel;
    struct nst_timer timers[TIMERS];
    nst_time at[TIMERS];
    uint64_t order[TIMERS]; /* of arming; 0: not armed */
    uint64_t armings;
    nst_time now;
    struct nst_prng prng;
};

static void model_init(struct model *m, unsigned seed, nst_time now)
{
    *m = (struct model){.now = now};
    test_prng_init(&m->prng, seed);
    nst_wheel_init(&m->wheel, now);
    for (unsigned i = 0; i < TIMERS; i++)
        nst_timer_init(&m->timers[i], NST_TIMER_ACD);
}

/* A random number of random magnitude. */
static uint64_t random_span(struct nst_prng *prng)
{
    return nst_prng_next(prng) >> nst_prng_below(prng, 64);
}

static nst_time add_saturating(nst_time a, nst_time b)
{
    return a > NST_TIME_NEVER - b ? NST_TIME_NEVER : a + b;
}

static void model_arm(struct model *m, unsigned i, nst_time at)
{
    nst_timer_arm(&m->wheel, &m->timers[i], at);
    m->at[i] = nst_timer_at(&m->timers[i]);
    m->order[i] = ++m->armings;
    assert_true(nst_timer_armed(&m->timers[i]));
    if (at > m->now) {
        assert_true(m->at[i] >= at); /* never early, less than a tick late */
        assert_true(m->at[i] - at < NST_US);
    } else {
        assert_true(m->at[i] < m->now + NST_US);
    }
}

static void model_cancel(struct model *m, unsigned i)
{
    nst_timer_cancel(&m->wheel, &m->timers[i]);
    m->order[i] = 0;
    assert_false(nst_timer_armed(&m->timers[i]));
}

/* The timer that must fire next: the earliest, of equals the one armed first; TIMERS if none. */
static unsigned model_next(const struct model *m)
{
    unsigned best = TIMERS;

    for (unsigned i = 0; i < TIMERS; i++) {
        if (m->order[i] == 0)
            continue;
        if (best == TIMERS || m->at[i] < m->at[best] ||
            (m->at[i] == m->at[best] && m->order[i] < m->order[best]))
            best = i;
    }
    return best;
}

static nst_time random_deadline(struct model *m)
{
    switch (nst_prng_below(&m->prng, 8)) {
    case 0:
        return m->now - nst_min(m->now, random_span(&m->prng));
    case 1:
        return NST_TIME_NEVER;
    case 2:
        return m->now;
    default:
        return add_saturating(m->now, random_span(&m->prng));
    }
}

/* Everything due fires, in order; sometimes what fired or another timer is armed or cancelled
 * meanwhile. */
static void model_pull(struct model *m)
{
    struct nst_timer *timer;

    for (unsigned fired = 0; (timer = nst_wheel_pull(&m->wheel, m->now)); fired++) {
        unsigned i = (unsigned)(timer - m->timers);
        assert_int_equal(i, model_next(m));
        assert_true(m->at[i] <= m->now);
        assert_false(nst_timer_armed(timer));
        m->order[i] = 0;
        if (fired < 2 * TIMERS && nst_prng_below(&m->prng, 4) == 0)
            model_arm(m, (unsigned)nst_prng_below(&m->prng, TIMERS), random_deadline(m));
        if (nst_prng_below(&m->prng, 8) == 0)
            model_cancel(m, (unsigned)nst_prng_below(&m->prng, TIMERS));
        nst_wheel_check(&m->wheel);
    }
    unsigned next = model_next(m);
    assert_true(next == TIMERS || m->at[next] == NST_TIME_NEVER ||
                m->at[next] / NST_US > m->now / NST_US);
}

/* A jump in time: any distance short of the end of time, to a deadline, or just before or at the
 * time of a timer. */
static void model_advance(struct model *m)
{
    unsigned next = model_next(m);
    nst_time to = m->now;

    switch (nst_prng_below(&m->prng, 4)) {
    case 0:
        to = add_saturating(m->now, random_span(&m->prng) >> 8);
        break;
    case 1:
        to = nst_wheel_deadline(&m->wheel);
        break;
    default:
        if (next < TIMERS)
            to = m->at[next] - nst_prng_below(&m->prng, 2);
        break;
    }
    if (to >= m->now && to < NST_TIME_NEVER / 2)
        m->now = to;
}

static void test_wheel_agrees_with_the_model(void **state)
{
    static struct model m;
    (void)state;

    for (unsigned seed = 0; seed < 12; seed++) {
        model_init(&m, seed, (nst_time)seed * seed * 1234567891011);
        for (unsigned step = 0; step < 3000; step++) {
            unsigned i = (unsigned)nst_prng_below(&m.prng, TIMERS);
            uint64_t what = nst_prng_below(&m.prng, 8);
            if (what < 4)
                model_arm(&m, i, random_deadline(&m));
            else if (what < 6)
                model_cancel(&m, i);
            else
                model_advance(&m);
            nst_wheel_check(&m.wheel);
            if (what >= 6)
                model_pull(&m);
            nst_wheel_check(&m.wheel);
        }
    }
}

/* Who sleeps until each deadline and pulls there sees every timer at its own time, after few calls:
 * one for each level that the timer comes down, and one to fire it. */
static void test_deadlines_lead_to_the_timer(void **state)
{
    static const nst_time starts[] = {0, 1, 999, 1000, 63999, 64000, 123456789012345678};
    struct nst_wheel wheel;
    struct nst_timer timer, *fired;
    (void)state;

    nst_timer_init(&timer, NST_TIMER_FRAG);
    for (size_t s = 0; s < NST_ARRAY_LEN(starts); s++) {
        for (unsigned bit = 0; bit < 62; bit++) {
            nst_time now = starts[s], at = now + ((nst_time)1 << bit) + bit % 3;
            nst_wheel_init(&wheel, now);
            nst_timer_arm(&wheel, &timer, at);
            unsigned calls = 0;
            do {
                nst_time next = nst_wheel_deadline(&wheel);
                assert_true(next > now && next <= nst_timer_at(&timer));
                now = next;
                fired = nst_wheel_pull(&wheel, now);
                nst_wheel_check(&wheel);
                assert_true(++calls <= NST_WHEEL_LEVELS);
            } while (!fired);
            assert_ptr_equal(fired, &timer);
            assert_true(now >= at && now - at < NST_US);
            assert_int_equal(nst_wheel_deadline(&wheel), NST_TIME_NEVER);
        }
    }
}

static void test_many_timers_by_deadline_alone(void **state)
{
    static struct model m;
    (void)state;

    model_init(&m, 99, 5 * NST_SEC);
    for (unsigned i = 0; i < TIMERS; i++)
        model_arm(&m, i, m.now + (random_span(&m.prng) >> 4));
    unsigned left = TIMERS;
    for (unsigned calls = 0; left > 0; calls++) {
        assert_true(calls < TIMERS * NST_WHEEL_LEVELS);
        nst_time next = nst_wheel_deadline(&m.wheel);
        assert_true(next >= m.now && next != NST_TIME_NEVER);
        m.now = next;
        struct nst_timer *timer = nst_wheel_pull(&m.wheel, m.now);
        nst_wheel_check(&m.wheel);
        if (!timer)
            continue;
        unsigned i = (unsigned)(timer - m.timers);
        assert_int_equal(m.at[i], m.now);
        m.order[i] = 0;
        left--;
    }
}

static void test_rearmed_while_pulling(void **state)
{
    struct nst_wheel wheel;
    struct nst_timer timer, *fired;
    nst_time due = NST_SEC;
    unsigned times = 0;
    (void)state;

    nst_wheel_init(&wheel, 0);
    nst_timer_init(&timer, NST_TIMER_ROUTE);
    nst_timer_arm(&wheel, &timer, due);
    while ((fired = nst_wheel_pull(&wheel, 2 * NST_SEC))) {
        assert_int_equal(nst_timer_at(fired), due);
        due += 10 * NST_MS;
        nst_timer_arm(&wheel, fired, due);
        nst_wheel_check(&wheel);
        times++;
    }
    assert_int_equal(times, 101);
    assert_int_equal(nst_timer_at(&timer), 2 * NST_SEC + 10 * NST_MS);
}

static void test_cancelled_while_pulling(void **state)
{
    struct nst_wheel wheel;
    struct nst_timer a, b;
    (void)state;

    nst_wheel_init(&wheel, 0);
    nst_timer_init(&a, NST_TIMER_ACD);
    nst_timer_init(&b, NST_TIMER_ACD);
    nst_timer_arm(&wheel, &a, NST_MS);
    nst_timer_arm(&wheel, &b, NST_MS);
    assert_ptr_equal(nst_wheel_pull(&wheel, NST_MS), &a);
    nst_timer_cancel(&wheel, &b);
    nst_timer_cancel(&wheel, &b);
    assert_null(nst_wheel_pull(&wheel, NST_SEC));
    nst_wheel_check(&wheel);
}

/* The owner's memory may hold anything before. */
static void test_init_needs_no_zeroed_memory(void **state)
{
    struct nst_wheel wheel;
    struct nst_timer timer;
    (void)state;

    nst_wheel_init(&wheel, 0);
    memset(&timer, 0xff, sizeof timer);
    nst_timer_init(&timer, NST_TIMER_NEIGH);
    assert_int_equal(timer.kind, NST_TIMER_NEIGH);
    assert_false(nst_timer_armed(&timer));
    nst_timer_cancel(&wheel, &timer);
    nst_wheel_check(&wheel);
    nst_timer_arm(&wheel, &timer, 1);
    assert_ptr_equal(nst_wheel_pull(&wheel, NST_US), &timer);
}

static void test_past_fires_at_once(void **state)
{
    struct nst_wheel wheel;
    struct nst_timer timer;
    (void)state;

    nst_wheel_init(&wheel, NST_SEC);
    nst_timer_init(&timer, NST_TIMER_ACD);
    nst_timer_arm(&wheel, &timer, 5);
    assert_int_equal(nst_wheel_deadline(&wheel), NST_SEC);
    assert_ptr_equal(nst_wheel_pull(&wheel, NST_SEC), &timer);
}

/* Time passes on an empty wheel too: nothing is due before it. */
static void test_time_passes_without_timers(void **state)
{
    struct nst_wheel wheel;
    struct nst_timer timer;
    (void)state;

    nst_wheel_init(&wheel, 0);
    nst_timer_init(&timer, NST_TIMER_ACD);
    assert_null(nst_wheel_pull(&wheel, 86400 * NST_SEC));
    nst_timer_arm(&wheel, &timer, 3600 * NST_SEC);
    assert_int_equal(nst_wheel_deadline(&wheel), 86400 * NST_SEC);
    assert_int_equal(nst_timer_at(&timer), 86400 * NST_SEC);
}

static void test_never_is_never(void **state)
{
    static const nst_time starts[] = {0, NST_SEC, NST_TIME_NEVER - 10 * NST_US};
    struct nst_wheel wheel;
    struct nst_timer timer;
    (void)state;

    nst_timer_init(&timer, NST_TIMER_ACD);
    for (size_t i = 0; i < NST_ARRAY_LEN(starts); i++) {
        nst_wheel_init(&wheel, starts[i]);
        nst_timer_arm(&wheel, &timer, NST_TIME_NEVER);
        nst_wheel_check(&wheel);
        assert_int_equal(nst_timer_at(&timer), NST_TIME_NEVER);
        assert_true(nst_wheel_deadline(&wheel) > starts[i]);
        assert_null(nst_wheel_pull(&wheel, NST_TIME_NEVER));
        nst_wheel_check(&wheel);
        assert_int_equal(nst_wheel_deadline(&wheel), NST_TIME_NEVER);
        nst_timer_cancel(&wheel, &timer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_agrees_with_the_model),
        cmocka_unit_test(test_deadlines_lead_to_the_timer),
        cmocka_unit_test(test_many_timers_by_deadline_alone),
        cmocka_unit_test(test_rearmed_while_pulling),
        cmocka_unit_test(test_cancelled_while_pulling),
        cmocka_unit_test(test_init_needs_no_zeroed_memory),
        cmocka_unit_test(test_past_fires_at_once),
        cmocka_unit_test(test_time_passes_without_timers),
        cmocka_unit_test(test_never_is_never),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
