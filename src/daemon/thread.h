/* The threads of all queues but the first, and how the main thread acts on what is theirs.
 *
 * A queue's thread turns the queue's loop, and in its turn nobody else touches the queue's device,
 * its stack, what serves the stack's sockets, or the loop. What concerns more than the queue - the
 * table of lent sockets, clients, the host - is the main thread's alone. Two doors lead across:
 *
 *   A *visit*. The main thread waits for the end of the queue's turn, and keeps the next one from
 *   beginning until it has done its work there. So it may do whatever it does to its own queue.
 *
 *   An *errand*. What a queue's thread finds that only the main thread can do, is put on a list,
 *   and the main thread does it in a visit.
 *
 * The main thread's own queue, which is the only one of most instances, has no thread here: to
 * visit it is nothing, and no lock is ever taken. */
#ifndef NST_DAEMON_THREAD_H
#define NST_DAEMON_THREAD_H

#include "daemon/daemon.h"

/* Makes the queue's loop, and what its thread needs. The queue is being visited from then on. 0 or
 * -errno. */
int nst_thread_new(struct nst_queue *q);

/* Makes the thread itself, which then waits for the visit's end. The sandbox's last wall falls when
 * all threads stand. 0 or -errno. */
int nst_thread_start(struct nst_queue *q);

/* Ends the thread; the queue is the main thread's then, with all that is in it. */
void nst_thread_finish(struct nst_queue *q);

/* Whether it is the main thread that turns the queue's loop. */
static inline bool nst_queue_is_home(const struct nst_queue *q)
{
    return q->thread == NULL;
}

/* Begins a visit, unless it is one already, until nst_queues_leave(). For the main thread. */
void nst_queue_visit(struct nst_queue *q);
void nst_queues_visit(struct nst_daemon *d); /* of all queues */

/* Ends all visits. What was changed takes effect at once. */
void nst_queues_leave(struct nst_daemon *d);

/* Has the main thread run the errand, once however often this is called before. For the queue's
 * thread, and in a visit. */
void nst_queue_defer(struct nst_queue *q, struct nst_errand *errand);

/* It will not be run. In a visit. */
void nst_errand_cancel(struct nst_errand *errand);

#endif
