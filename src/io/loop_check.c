/* The invariants of an event loop, for tests to assert after every step. */
#include <assert.h>

#include "io/loop_internal.h"

/* Links point back to each other. Returns the number of links. */
static size_t check_list(const struct nst_loop_link *list)
{
    size_t n = 0;

    for (const struct nst_loop_link *link = list->next; link != list; link = link->next, n++) {
        assert(link->next->prev == link);
        assert(link->prev->next == link);
    }
    return n;
}

/* No child before its parent; siblings and parents linked both ways. Children are as deep as the
 * heap, which a test keeps within the stack. */
static void check_heap(const struct nst_loop *loop, const struct nst_loop_timer *parent)
{
    const struct nst_loop_timer *left = parent;

    for (const struct nst_loop_timer *timer = parent->child; timer; timer = timer->next) {
        assert(timer->prev == left);
        assert(timer->loop == loop);
        assert(timer->fn);
        assert(!nst_loop_linked(&timer->due_link));
        assert(timer->deadline_ns >= parent->deadline_ns);
        assert(timer->deadline_ns > parent->deadline_ns || timer->order > parent->order);
        check_heap(loop, timer);
        left = timer;
    }
}

/* A source is on the ready list exactly if it has pending readiness that it asked for. */
static void check_fd(const struct nst_loop *loop, const struct nst_loop_fd *source, size_t fd)
{
    assert(source->loop == loop);
    assert(source->fn);
    assert(source->fd == (int)fd);
    assert(nst_loop_linked(&source->ready_link) == (source->ready != 0));
    assert(source->interest != 0 || source->ready == 0);
    assert(!(source->ready & ~(source->interest | NST_LOOP_ERR | NST_LOOP_HUP)));
}

void nst_loop_check(const struct nst_loop *loop)
{
    size_t ready = check_list(&loop->ready), marked = 0;

    for (size_t i = 0; i < loop->slot_count; i++) {
        const struct nst_loop_fd *source = loop->slots[i].source;

        if (!source)
            continue;
        check_fd(loop, source, i);
        marked += source->ready != 0;
    }
    assert(loop->turning ? ready <= marked : ready == marked);
    check_list(&loop->tasks);
    check_list(&loop->wakes);
    check_list(&loop->prepares);
    if (loop->timers) {
        assert(!loop->timers->next && !loop->timers->prev && loop->timers->loop == loop);
        check_heap(loop, loop->timers);
    }
}
