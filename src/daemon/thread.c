#include "daemon/thread.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base/bytes.h"

/* Whose turn it is: the thread's, which leaves while its loop waits, or the visitor's. A mutex
 * alone would do, if it were fair: a busy thread would have it again before the visitor has woken
 * up. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool turning;        /* the thread is in its turn */
    bool awaited, taken; /* the visitor waits, or is in */
};

struct nst_thread {
    struct gate gate;
    pthread_t thread;
    bool runs;                      /* its first instruction is behind it */
    int err;                        /* why its loop broke; 0: it didn't */
    struct nst_loop_wake look, end; /* on its loop: something has changed; it is over */
    struct nst_loop_wake call;      /* on the main thread's: there are errands */
    struct nst_list errands;
    bool visited; /* the main thread's own memory of it */
};

/* ---- The gate -------------------------------------------------------------------------------- */

static void gate_idle(void *arg)
{
    struct gate *g = arg;

    /* syscall: futex (several queues) */
    pthread_mutex_lock(&g->lock);
    g->turning = false;
    if (g->awaited)
        pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void gate_resume(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    while (g->awaited || g->taken)
        pthread_cond_wait(&g->changed, &g->lock);
    g->turning = true;
    pthread_mutex_unlock(&g->lock);
}

static void gate_enter(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->awaited = true;
    while (g->turning)
        pthread_cond_wait(&g->changed, &g->lock);
    g->awaited = false;
    g->taken = true;
    pthread_mutex_unlock(&g->lock);
}

static void gate_leave(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->taken = false;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* ---- Visits and errands ---------------------------------------------------------------------- */

void nst_queue_visit(struct nst_queue *q)
{
    struct nst_thread *t = q->thread;

    if (!t || t->visited)
        return;
    gate_enter(&t->gate);
    t->visited = true;
    q->daemon->visits++;
}

void nst_queues_visit(struct nst_daemon *d)
{
    for (unsigned i = 0; i < d->nqueues; i++)
        nst_queue_visit(&d->queues[i]);
}

static void leave(struct nst_queue *q)
{
    struct nst_thread *t = q->thread;

    if (!t || !t->visited)
        return;
    t->visited = false;
    q->daemon->visits--;
    gate_leave(&t->gate);
    if (t->look.loop) /* else there was no memory for it */
        nst_loop_wake_send(&t->look);
}

void nst_queues_leave(struct nst_daemon *d)
{
    for (unsigned i = 0; d->visits > 0 && i < d->nqueues; i++)
        leave(&d->queues[i]);
}

void nst_queue_defer(struct nst_queue *q, struct nst_errand *errand)
{
    if (nst_list_linked(&errand->node))
        return;
    nst_list_push_back(&q->thread->errands, &errand->node);
    nst_loop_wake_send(&q->thread->call);
}

void nst_errand_cancel(struct nst_errand *errand)
{
    if (nst_list_linked(&errand->node))
        nst_list_del(&errand->node);
}

/* On the main thread. */
static void on_call(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    struct nst_queue *q = wake->arg;
    struct nst_list *e;

    nst_queue_visit(q);
    if (q->thread->err)
        nst_loop_stop(loop, 1);
    while ((e = nst_list_pop_front(&q->thread->errands))) {
        struct nst_errand *errand = NST_CONTAINER(e, struct nst_errand, node);
        errand->run(errand);
    }
    nst_queues_leave(q->daemon);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void on_look(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    (void)loop, (void)wake; /* the turn that it begins is what was asked for */
}

static void on_end(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    (void)wake;
    nst_loop_stop(loop, 0);
}

static void *run(void *arg)
{
    struct nst_queue *q = arg;
    struct gate *g = &q->thread->gate;

    pthread_mutex_lock(&g->lock);
    q->thread->runs = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    gate_resume(g);
    q->thread->err = nst_loop_run(q->loop);
    gate_idle(g);
    if (q->thread->err)
        nst_loop_wake_send(&q->thread->call);
    /* What libc does at the end of a thread: */
    /* syscall: madvise exit (several queues) */
    return NULL;
}

static void await_first_instruction(struct nst_thread *t)
{
    pthread_mutex_lock(&t->gate.lock);
    while (!t->runs)
        pthread_cond_wait(&t->gate.changed, &t->gate.lock);
    pthread_mutex_unlock(&t->gate.lock);
}

static int make_loop(struct nst_queue *q)
{
    struct nst_thread *t = q->thread;
    const struct nst_loop_config config = {.busy_poll_ns = UINT64_C(1000) *
                                                           q->daemon->config.busy_poll_us,
                                           .idle = gate_idle,
                                           .resume = gate_resume,
                                           .arg = &t->gate};
    int err = nst_loop_new(&q->loop, &config);

    t->look = (struct nst_loop_wake){.fn = on_look};
    t->end = (struct nst_loop_wake){.fn = on_end};
    t->call = (struct nst_loop_wake){.fn = on_call, .arg = q};
    if (err || (err = nst_loop_wake_add(q->loop, &t->look)) ||
        (err = nst_loop_wake_add(q->loop, &t->end)))
        return err;
    return nst_loop_wake_add(q->daemon->loop, &t->call);
}

int nst_thread_new(struct nst_queue *q)
{
    struct nst_thread *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    /* Further arenas of malloc() would read files and protect memory. */
    mallopt(M_ARENA_MAX, 1);
    q->thread = t;
    nst_list_init(&t->errands);
    pthread_mutex_init(&t->gate.lock, NULL);
    pthread_cond_init(&t->gate.changed, NULL);
    nst_queue_visit(q);
    return make_loop(q);
}

int nst_thread_start(struct nst_queue *q)
{
    int err = -pthread_create(&q->thread->thread, NULL, run, q);

    if (!err)
        await_first_instruction(q->thread);
    return err;
}

void nst_thread_finish(struct nst_queue *q)
{
    struct nst_thread *t = q->thread;

    if (!t)
        return;
    nst_queues_leave(q->daemon);
    if (t->runs) {
        nst_loop_wake_send(&t->end);
        pthread_join(t->thread, NULL);
    }
    nst_loop_wake_del(&t->look);
    nst_loop_wake_del(&t->end);
    nst_loop_wake_del(&t->call);
    NST_LIST_FOREACH_SAFE (e, &t->errands)
        nst_list_del(e);
    pthread_cond_destroy(&t->gate.changed);
    pthread_mutex_destroy(&t->gate.lock);
    free(t);
    q->thread = NULL;
}
