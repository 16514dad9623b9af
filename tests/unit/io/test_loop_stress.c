/* The event loop under random use: sources of every kind are made, started, taken back and freed
 * from inside each other's callbacks, and descriptors closed, so that their numbers come round
 * again. Each cell knows whether its source may be called; its memory is freed when it is killed,
 * so under AddressSanitizer a call too late is a use after free as well. The seed is fixed, and the
 * loop's invariants are asserted throughout. */
#include "loop_fixture.h"

enum { CELLS = 96, CALLS = 100000 };

struct cell {
    enum { FD, TIMER, TASK, WAKE, PREPARE, KINDS } kind;
    bool active;
    const int *pipe;
    union {
        struct nst_loop_fd fd;
        struct nst_loop_timer timer;
        struct nst_loop_task task;
        struct nst_loop_wake wake;
        struct nst_loop_prepare prepare;
    } u;
};

static struct cell *cells[CELLS];
static int pipes[CELLS][2];
static unsigned calls[KINDS], calls_in_all;
static uint32_t seed = 20;

static uint32_t next_random(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

static void act(struct nst_loop *loop);

/* Every callback: may this source be called? Then do a few random things, perhaps to itself. */
static void called(struct nst_loop *loop, struct cell *cell)
{
    assert_true(cell->active);
    if (cell->kind == TIMER || cell->kind == TASK)
        cell->active = false;
    calls[cell->kind]++;
    calls_in_all++;
    for (uint32_t n = next_random(3); n > 0; n--)
        act(loop);
    if (next_random(32) == 0)
        nst_loop_check(loop);
}

static bool on_fd(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                  unsigned budget)
{
    char byte;

    assert_int_not_equal(events, 0);
    assert_int_equal(budget, NST_LOOP_BUDGET);
    (void)!read(source->fd, &byte, 1);
    called(loop, source->arg);
    return next_random(2) == 0;
}

static void on_timer(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    assert_true(timer->deadline_ns <= nst_loop_now(loop));
    called(loop, timer->arg);
}

static void on_task(struct nst_loop *loop, struct nst_loop_task *task)
{
    called(loop, task->arg);
}

static void on_wake(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    called(loop, wake->arg);
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    called(loop, prepare->arg);
    return NST_LOOP_NEVER;
}

static struct cell *new_cell(unsigned i)
{
    struct cell *cell = calloc(1, sizeof *cell);

    cell->kind = next_random(KINDS);
    cell->pipe = pipes[i];
    switch (cell->kind) {
    case FD:
        cell->u.fd = (struct nst_loop_fd){.fn = on_fd, .arg = cell};
        break;
    case TIMER:
        cell->u.timer = (struct nst_loop_timer){.fn = on_timer, .arg = cell};
        break;
    case TASK:
        cell->u.task = (struct nst_loop_task){.fn = on_task, .arg = cell};
        break;
    case WAKE:
        cell->u.wake = (struct nst_loop_wake){.fn = on_wake, .arg = cell};
        break;
    default:
        cell->u.prepare = (struct nst_loop_prepare){.fn = on_prepare, .arg = cell};
    }
    return cell;
}

/* Hands the source to the loop, or if it is active gives it a reason to be called. */
static void start(struct nst_loop *loop, struct cell *cell)
{
    int again = cell->active ? -EEXIST : 0;

    switch (cell->kind) {
    case FD:
        assert_int_equal(nst_loop_fd_add(loop, &cell->u.fd, cell->pipe[0], NST_LOOP_IN), again);
        fill_pipe(cell->pipe);
        break;
    case TIMER:
        nst_loop_timer_start(loop, &cell->u.timer, nst_loop_now(loop) + next_random(3) * 20000);
        break;
    case TASK:
        nst_loop_task_post(loop, &cell->u.task);
        break;
    case WAKE:
        assert_int_equal(nst_loop_wake_add(loop, &cell->u.wake), again);
        nst_loop_wake_send(&cell->u.wake);
        break;
    default:
        assert_int_equal(nst_loop_prepare_add(loop, &cell->u.prepare), again);
    }
    cell->active = true;
}

static void take_back(struct cell *cell)
{
    switch (cell->kind) {
    case FD:
        nst_loop_fd_del(&cell->u.fd);
        break;
    case TIMER:
        nst_loop_timer_stop(&cell->u.timer);
        break;
    case TASK:
        nst_loop_task_cancel(&cell->u.task);
        break;
    case WAKE:
        nst_loop_wake_del(&cell->u.wake);
        break;
    default:
        nst_loop_prepare_del(&cell->u.prepare);
    }
    cell->active = false;
}

static void kill_cell(unsigned i)
{
    take_back(cells[i]);
    free(cells[i]);
    cells[i] = NULL;
    close_pipe(pipes[i]);
}

/* One random thing to a random cell. */
static void act(struct nst_loop *loop)
{
    unsigned i = next_random(CELLS);
    struct cell *cell = cells[i];

    if (!cell) {
        open_pipe(pipes[i]);
        cells[i] = cell = new_cell(i);
    }
    switch (next_random(5)) {
    case 0:
        kill_cell(i);
        break;
    case 1:
        take_back(cell);
        break;
    case 2:
        if (cell->kind == FD && cell->active) {
            assert_int_equal(nst_loop_fd_modify(&cell->u.fd, next_random(2) * NST_LOOP_IN), 0);
            break;
        } /* fall through */
    default:
        start(loop, cell);
    }
}

static void test_random_use(void **state)
{
    while (calls_in_all < CALLS) {
        act(*state);
        turn(*state);
    }
    for (unsigned kind = 0; kind < KINDS; kind++)
        assert_true(calls[kind] > CALLS / 100);
    for (unsigned i = 0; i < CELLS; i++) {
        if (cells[i])
            kill_cell(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(test_random_use),
    };
    return cmocka_run_group_tests_name("io/loop_stress", tests, NULL, NULL);
}
