/* Timers: a pairing heap whose nodes are the timers themselves.
 *
 * Each node's children form a list, `child` being the first and `next` leading on; `prev` is the
 * left sibling, or for a first child the parent. To insert is one comparison; to remove is to meld
 * the children pairwise from left to right, and the pairs from right to left, which makes it
 * O(log n) amortised. Nothing is allocated, so starting a timer can't fail.
 * Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap" (1986).
 *
 * Timers of the same deadline fire in the order of starting, which `order` records. A timer that is
 * due moves from the heap to a list before any is called, and is in that list if its link is
 * linked. */
#include <assert.h>

#include "io/loop_internal.h"

static bool before(const struct nst_loop_timer *a, const struct nst_loop_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

/* Makes one heap of two, either of which may be NULL; neither root has siblings. */
static struct nst_loop_timer *meld(struct nst_loop_timer *a, struct nst_loop_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (before(b, a)) {
        struct nst_loop_timer *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Makes one heap of the siblings that begin with `first`. */
static struct nst_loop_timer *meld_siblings(struct nst_loop_timer *first)
{
    struct nst_loop_timer *root = NULL, *pairs = NULL; /* pairs: a stack, linked by `next` */

    while (first) {
        struct nst_loop_timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct nst_loop_timer *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void heap_push(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    timer->child = timer->next = timer->prev = NULL;
    loop->timers = meld(loop->timers, timer);
}

static void heap_remove(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_loop_timer *below = meld_siblings(timer->child);

    if (timer == loop->timers) {
        loop->timers = below;
        return;
    }
    if (timer->prev->child == timer)
        timer->prev->child = timer->next;
    else
        timer->prev->next = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    loop->timers = meld(loop->timers, below);
}

void nst_loop_timer_start(struct nst_loop *loop, struct nst_loop_timer *timer, uint64_t deadline_ns)
{
    assert(timer->fn);
    nst_loop_timer_stop(timer);
    timer->loop = loop;
    timer->deadline_ns = deadline_ns;
    timer->order = loop->timer_order++;
    timer->due_link = (struct nst_loop_link){0};
    heap_push(loop, timer);
}

void nst_loop_timer_after(struct nst_loop *loop, struct nst_loop_timer *timer, uint64_t delay_ns)
{
    nst_loop_timer_start(loop, timer, nst_loop_later(nst_loop_now(loop), delay_ns));
}

void nst_loop_timer_stop(struct nst_loop_timer *timer)
{
    if (!timer->loop)
        return;
    if (nst_loop_linked(&timer->due_link))
        nst_loop_unlink(&timer->due_link);
    else
        heap_remove(timer->loop, timer);
    timer->loop = NULL;
}

void nst_loop_timers_run(struct nst_loop *loop)
{
    struct nst_loop_link due, *link;
    struct nst_loop_timer *timer;

    nst_loop_list_init(&due);
    while ((timer = loop->timers) && timer->deadline_ns <= loop->now_ns) {
        heap_remove(loop, timer);
        nst_loop_list_push(&due, &timer->due_link);
    }
    while ((link = nst_loop_list_pop(&due))) {
        timer = NST_CONTAINER(link, struct nst_loop_timer, due_link);
        timer->loop = NULL;
        timer->fn(loop, timer);
    }
}

void nst_loop_timers_fini(struct nst_loop *loop)
{
    while (loop->timers)
        nst_loop_timer_stop(loop->timers);
}
