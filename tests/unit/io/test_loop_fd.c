/* File descriptors on the event loop. */
#include "loop_fixture.h"

#include <stdio.h>
#include <sys/socket.h>

/* A source that records what it was called with, and returns `left`. */
struct probe {
    struct nst_loop_fd source;
    unsigned calls, events, budget;
    bool left;
};

static bool on_probe(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                     unsigned budget)
{
    struct probe *probe = source->arg;

    assert_ptr_equal(loop, source->loop);
    probe->calls++;
    probe->events = events;
    probe->budget = budget;
    return probe->left;
}

static void add_probe(struct nst_loop *loop, struct probe *probe, int fd, unsigned events)
{
    probe->source.fn = on_probe;
    probe->source.arg = probe;
    assert_int_equal(nst_loop_fd_add(loop, &probe->source, fd, events), 0);
}

static void test_arguments(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd source = {.fn = count_fd, .arg = &calls}, other = source, mute = {0};
    int fds[2];

    open_pipe(fds);
    assert_int_equal(nst_loop_fd_add(*state, &mute, fds[0], NST_LOOP_IN), -EINVAL);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_HUP), -EINVAL);
    assert_int_equal(nst_loop_fd_add(*state, &source, -1, NST_LOOP_IN), -EBADF);
    assert_int_equal(nst_loop_fd_add(*state, &source, 1 << 28, 0), -EBADF);
    assert_int_equal(nst_loop_fd_modify(&source, NST_LOOP_IN), -EINVAL);
    nst_loop_fd_del(&source);

    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[1], NST_LOOP_OUT), -EEXIST);
    assert_int_equal(nst_loop_fd_add(*state, &other, fds[0], NST_LOOP_IN), -EEXIST);
    assert_int_equal(nst_loop_fd_modify(&source, NST_LOOP_ERR), -EINVAL);
    assert_null(other.loop);
    nst_loop_fd_del(&source);
    nst_loop_fd_del(&source);
    assert_null(source.loop);
    assert_int_equal(nst_loop_fd_add(*state, &other, fds[0], NST_LOOP_IN), 0);
    nst_loop_fd_del(&other);
    assert_int_equal(calls, 0);
    close_pipe(fds);
}

static void test_readiness_is_level_triggered(void **state)
{
    struct probe reader = {0}, writer = {.source.budget = 7};
    int fds[2];
    char byte;

    open_pipe(fds);
    add_probe(*state, &reader, fds[0], NST_LOOP_IN);
    add_probe(*state, &writer, fds[1], NST_LOOP_OUT);
    turn(*state);
    assert_int_equal(reader.calls, 0);
    assert_int_equal(writer.events, NST_LOOP_OUT);
    assert_int_equal(writer.budget, 7);

    fill_pipe(fds);
    turn(*state);
    turn(*state);
    assert_int_equal(reader.calls, 2);
    assert_int_equal(reader.events, NST_LOOP_IN);
    assert_int_equal(reader.budget, NST_LOOP_BUDGET);

    assert_int_equal(read(fds[0], &byte, 1), 1);
    turn(*state);
    assert_int_equal(reader.calls, 2);

    nst_loop_fd_del(&writer.source);
    close(fds[1]);
    turn(*state);
    assert_int_equal(reader.events, NST_LOOP_HUP);
    nst_loop_fd_del(&reader.source);
    close(fds[0]);
}

static void test_edges(void **state)
{
    struct probe probe = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    add_probe(*state, &probe, fds[0], NST_LOOP_IN | NST_LOOP_RDHUP | NST_LOOP_EDGE);
    for (unsigned calls = 1; calls <= 2; calls++) {
        assert_int_equal(write(fds[1], "x", 1), 1);
        turn(*state);
        turn(*state); /* it stays unread, and that is no news */
        assert_int_equal(probe.calls, calls);
        assert_int_equal(probe.events, NST_LOOP_IN);
    }
    probe.left = true;
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    turn(*state);
    assert_int_equal(probe.events, NST_LOOP_IN | NST_LOOP_RDHUP);
    turn(*state); /* work that was left is work */
    assert_int_equal(probe.calls, 4);
    nst_loop_fd_del(&probe.source);
    close_pipe(fds);
}

static void test_error_is_reported_unasked(void **state)
{
    struct probe writer = {0};
    int fds[2];

    open_pipe(fds);
    add_probe(*state, &writer, fds[1], NST_LOOP_OUT);
    close(fds[0]);
    turn(*state);
    assert_int_equal(writer.events, NST_LOOP_OUT | NST_LOOP_ERR);
    nst_loop_fd_del(&writer.source);
    close(fds[1]);
}

static void test_modify(void **state)
{
    struct probe probe = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    add_probe(*state, &probe, fds[0], NST_LOOP_IN);
    turn(*state);
    assert_int_equal(probe.calls, 0);
    assert_int_equal(nst_loop_fd_modify(&probe.source, NST_LOOP_IN | NST_LOOP_OUT), 0);
    fill_pipe(fds);
    turn(*state);
    assert_int_equal(probe.events, NST_LOOP_IN | NST_LOOP_OUT);
    assert_int_equal(nst_loop_fd_modify(&probe.source, NST_LOOP_OUT), 0);
    turn(*state);
    assert_int_equal(probe.events, NST_LOOP_OUT);
    nst_loop_fd_del(&probe.source);
    close_pipe(fds);
}

static void test_pause_is_silent(void **state)
{
    struct probe probe = {0};
    int fds[2];

    open_pipe(fds);
    add_probe(*state, &probe, fds[0], 0);
    fill_pipe(fds);
    close(fds[1]);
    turn(*state);
    assert_int_equal(probe.calls, 0);
    assert_int_equal(nst_loop_fd_modify(&probe.source, NST_LOOP_IN), 0);
    turn(*state);
    assert_int_equal(probe.events, NST_LOOP_IN | NST_LOOP_HUP);
    assert_int_equal(nst_loop_fd_modify(&probe.source, 0), 0);
    turn(*state);
    assert_int_equal(probe.calls, 1);
    nst_loop_fd_del(&probe.source);
    close(fds[0]);
}

static void test_leftover_work_needs_no_kernel(void **state)
{
    struct probe probe = {.left = true};
    int fds[2];
    char byte;

    open_pipe(fds);
    add_probe(*state, &probe, fds[0], NST_LOOP_IN);
    fill_pipe(fds);
    turn(*state);
    assert_int_equal(read(fds[0], &byte, 1), 1);

    /* The pipe is empty, yet the loop must neither sleep nor forget. */
    assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
    assert_int_equal(probe.calls, 2);
    assert_int_equal(probe.events, NST_LOOP_IN);

    probe.left = false;
    turn(*state);
    turn(*state);
    assert_int_equal(probe.calls, 3);

    /* A pause forgets what was left. */
    probe.left = true;
    fill_pipe(fds);
    turn(*state);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(nst_loop_fd_modify(&probe.source, 0), 0);
    assert_int_equal(nst_loop_fd_modify(&probe.source, NST_LOOP_IN), 0);
    turn(*state);
    assert_int_equal(probe.calls, 4);
    nst_loop_fd_del(&probe.source);
    close_pipe(fds);
}

static bool pause_self(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                       unsigned budget)
{
    assert_int_equal(nst_loop_fd_modify(source, 0), 0);
    count_fd(loop, source, events, budget);
    return true;
}

static void test_pause_from_inside_wins_over_leftover(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd source = {.fn = pause_self, .arg = &calls};
    int fds[2];

    open_pipe(fds);
    fill_pipe(fds);
    close(fds[1]); /* not even the HUP may be left over */
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, 1);
    nst_loop_fd_del(&source);
    close(fds[0]);
}

/* Asks for OUT only and leaves work, at first of IN, which may not come back. */
static bool stop_reading(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                         unsigned budget)
{
    assert_int_equal(events, *(unsigned *)source->arg ? NST_LOOP_OUT : NST_LOOP_IN | NST_LOOP_OUT);
    assert_int_equal(nst_loop_fd_modify(source, NST_LOOP_OUT), 0);
    count_fd(loop, source, events, budget);
    return true;
}

static void test_leftover_is_limited_to_what_is_asked_for(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd source = {.fn = stop_reading, .arg = &calls};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fill_pipe(fds);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN | NST_LOOP_OUT), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, 2);
    nst_loop_fd_del(&source);
    close_pipe(fds);
}

/* ---- Taking back from inside callbacks ---- */

/* Whichever of a pair is called first takes the other one back, and frees it. */
struct rival {
    struct nst_loop_fd source;
    struct rival *other;
    unsigned *calls;
};

static bool kill_other(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                       unsigned budget)
{
    struct rival *self = NST_CONTAINER(source, struct rival, source);
    (void)events;
    (void)budget;

    ++*self->calls;
    nst_loop_fd_del(&self->other->source);
    free(self->other);
    nst_loop_check(loop);
    return false;
}

static void test_take_back_another_in_the_same_batch(void **state)
{
    unsigned calls = 0;
    struct rival *rivals[2];
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        open_pipe(fds[i]);
        fill_pipe(fds[i]);
        rivals[i] = calloc(1, sizeof *rivals[i]);
        *rivals[i] = (struct rival){.source.fn = kill_other, .calls = &calls};
        assert_int_equal(nst_loop_fd_add(*state, &rivals[i]->source, fds[i][0], NST_LOOP_IN), 0);
    }
    rivals[0]->other = rivals[1];
    rivals[1]->other = rivals[0];
    turn(*state);
    assert_int_equal(calls, 1);

    /* The first pipe was reported first. */
    nst_loop_fd_del(&rivals[0]->source);
    free(rivals[0]);
    close_pipe(fds[0]);
    close_pipe(fds[1]);
}

static bool free_self(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                      unsigned budget)
{
    count_fd(loop, source, events, budget);
    nst_loop_fd_del(source);
    free(source);
    return true;
}

static void test_take_back_oneself(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd *source = calloc(1, sizeof *source);
    int fds[2];

    open_pipe(fds);
    fill_pipe(fds);
    *source = (struct nst_loop_fd){.fn = free_self, .arg = &calls};
    assert_int_equal(nst_loop_fd_add(*state, source, fds[0], NST_LOOP_IN), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, 1);
    close_pipe(fds);
}

static bool add_again(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                      unsigned budget)
{
    char byte;

    count_fd(loop, source, events, budget);
    assert_int_equal(read(source->fd, &byte, 1), 1);
    nst_loop_fd_del(source);
    assert_int_equal(nst_loop_fd_add(loop, source, source->fd, NST_LOOP_IN), 0);
    return true;
}

static void test_leftover_of_a_former_registration_is_ignored(void **state)
{
    unsigned calls = 0;
    struct nst_loop_fd source = {.fn = add_again, .arg = &calls};
    int fds[2];

    open_pipe(fds);
    fill_pipe(fds);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(calls, 1);
    fill_pipe(fds);
    turn(*state);
    assert_int_equal(calls, 2);
    nst_loop_fd_del(&source);
    close_pipe(fds);
}

/* Takes `victim` back, closes it, and gives its number to a quiet pipe with a new source. */
struct usurper {
    struct nst_loop_fd source, victim, heir;
    int quiet[2];
};

static bool usurp(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                  unsigned budget)
{
    struct usurper *usurper = NST_CONTAINER(source, struct usurper, source);
    int fd = usurper->victim.fd;
    (void)events;
    (void)budget;

    nst_loop_fd_del(&usurper->victim);
    assert_int_equal(dup3(usurper->quiet[0], fd, O_CLOEXEC), fd);
    assert_int_equal(nst_loop_fd_add(loop, &usurper->heir, fd, NST_LOOP_IN), 0);
    nst_loop_fd_del(source);
    return false;
}

static void test_number_reused_in_the_same_batch(void **state)
{
    unsigned victim_calls = 0, heir_calls = 0;
    struct usurper usurper = {
        .source.fn = usurp,
        .victim = {.fn = count_fd, .arg = &victim_calls},
        .heir = {.fn = count_fd, .arg = &heir_calls},
    };
    int first[2], second[2];

    open_pipe(first);
    open_pipe(second);
    open_pipe(usurper.quiet);
    fill_pipe(first);
    fill_pipe(second);
    assert_int_equal(nst_loop_fd_add(*state, &usurper.source, first[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(*state, &usurper.victim, second[0], NST_LOOP_IN), 0);
    turn(*state);
    turn(*state);
    assert_int_equal(victim_calls, 0);
    assert_int_equal(heir_calls, 0);
    fill_pipe(usurper.quiet);
    turn(*state);
    assert_int_equal(heir_calls, 1);
    nst_loop_fd_del(&usurper.heir);
    close_pipe(first);
    close_pipe(second);
    close_pipe(usurper.quiet);
}

/* Closed before it was taken back, while a duplicate keeps the pipe open: the kernel goes on
 * reporting a source that is no more. Nothing of it arrives, and the loop can still sleep. */
static void test_closed_too_early(void **state)
{
    unsigned calls = 0, other_calls = 0;
    struct nst_loop_fd *source = calloc(1, sizeof *source);
    struct nst_loop_fd other = {.fn = count_fd, .arg = &other_calls}, late = other;
    int fds[2], bystander[2], closed[2];

    open_pipe(fds);
    open_pipe(bystander);
    open_pipe(closed);
    *source = (struct nst_loop_fd){.fn = count_fd, .arg = &calls};
    assert_int_equal(nst_loop_fd_add(*state, source, fds[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(*state, &late, closed[0], NST_LOOP_IN), 0);
    assert_int_equal(nst_loop_fd_add(*state, &other, bystander[0], NST_LOOP_IN), 0);
    int twin = dup(fds[0]);
    close(fds[0]);
    close_pipe(closed); /* and taken back later still */
    nst_loop_fd_del(source);
    free(source);
    fill_pipe(fds);
    turn(*state);
    expect_sleep(*state);
    assert_int_equal(calls, 0);

    fill_pipe(bystander);
    turn(*state);
    assert_int_equal(other_calls, 1);
    nst_loop_fd_del(&late);
    nst_loop_fd_del(&other);
    close(twin);
    close(fds[1]);
    close_pipe(bystander);
}

/* The same, and the number has a new owner, to whom the old file's reports must not go. */
static void test_closed_too_early_and_number_reused(void **state)
{
    unsigned calls = 0, heir_calls = 0;
    struct nst_loop_fd source = {.fn = count_fd, .arg = &calls};
    struct nst_loop_fd heir = {.fn = count_fd, .arg = &heir_calls};
    int fds[2], quiet[2];

    open_pipe(fds);
    open_pipe(quiet);
    assert_int_equal(nst_loop_fd_add(*state, &source, fds[0], NST_LOOP_IN), 0);
    int twin = dup(fds[0]);
    assert_int_equal(dup3(quiet[0], fds[0], O_CLOEXEC), fds[0]);
    nst_loop_fd_del(&source);
    assert_int_equal(nst_loop_fd_add(*state, &heir, fds[0], NST_LOOP_IN), 0);
    fill_pipe(fds);
    turn(*state);
    expect_sleep(*state);
    assert_int_equal(calls + heir_calls, 0);
    fill_pipe(quiet);
    turn(*state);
    assert_int_equal(heir_calls, 1);
    nst_loop_fd_del(&heir);
    close(twin);
    close_pipe(fds);
    close_pipe(quiet);
}

/* ---- Regular files, and many ---- */

static void test_regular_file_is_always_ready(void **state)
{
    struct probe probe = {0};
    FILE *file = tmpfile();

    add_probe(*state, &probe, fileno(file), NST_LOOP_IN | NST_LOOP_OUT);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(nst_loop_run_once(*state, NST_LOOP_NEVER), 0);
        assert_int_equal(probe.calls, i);
        assert_int_equal(probe.events, NST_LOOP_IN | NST_LOOP_OUT);
    }
    assert_int_equal(nst_loop_fd_modify(&probe.source, 0), 0);
    turn(*state);
    assert_int_equal(probe.calls, 3);
    assert_int_equal(nst_loop_fd_modify(&probe.source, NST_LOOP_IN), 0);
    turn(*state);
    assert_int_equal(probe.calls, 4);
    assert_int_equal(probe.events, NST_LOOP_IN);
    nst_loop_fd_del(&probe.source);
    turn(*state);
    assert_int_equal(probe.calls, 4);
    fclose(file);
}

/* More ready descriptors than the kernel reports at once: all are served alike. */
static void test_more_than_a_batch(void **state)
{
    enum { N = 3 * NST_LOOP_BATCH + 5, TURNS = 40 };
    static struct nst_loop_fd sources[N];
    static unsigned calls[N];
    static int fds[N][2];

    for (int i = 0; i < N; i++) {
        open_pipe(fds[i]);
        fill_pipe(fds[i]);
        sources[i] = (struct nst_loop_fd){.fn = count_fd, .arg = &calls[i]};
        assert_int_equal(nst_loop_fd_add(*state, &sources[i], fds[i][0], NST_LOOP_IN), 0);
    }
    for (int i = 0; i < TURNS; i++)
        turn(*state);
    for (int i = 0; i < N; i++) {
        assert_in_range(calls[i], TURNS * NST_LOOP_BATCH / N, TURNS * NST_LOOP_BATCH / N + 1);
        nst_loop_fd_del(&sources[i]);
        close_pipe(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(test_arguments),
        loop_test(test_readiness_is_level_triggered),
        loop_test(test_edges),
        loop_test(test_error_is_reported_unasked),
        loop_test(test_modify),
        loop_test(test_pause_is_silent),
        loop_test(test_leftover_work_needs_no_kernel),
        loop_test(test_pause_from_inside_wins_over_leftover),
        loop_test(test_leftover_is_limited_to_what_is_asked_for),
        loop_test(test_take_back_another_in_the_same_batch),
        loop_test(test_take_back_oneself),
        loop_test(test_leftover_of_a_former_registration_is_ignored),
        loop_test(test_number_reused_in_the_same_batch),
        loop_test(test_closed_too_early),
        loop_test(test_closed_too_early_and_number_reused),
        loop_test(test_regular_file_is_always_ready),
        loop_test(test_more_than_a_batch),
    };
    return cmocka_run_group_tests_name("io/loop_fd", tests, NULL, NULL);
}
