/* Pacing: a window's segments go out evenly over a round trip instead of all at once, so that they
 * need no room in the queues of the path.
 *
 * What goes at a time is a quantum, about a millisecond's worth at the rate: large enough that a
 * fast connection still sends large segments, and that timers are few. After each the connection's
 * next time to send lies by its length at the rate in the future; until then it is not held on the
 * list `ready` but by the one timer that it has. What was not used up of late is credited, up to an
 * initial window or a quantum: so a short answer goes at once, as it may (RFC 6928), and an owner
 * who comes late loses nothing.
 *
 * The rate is set by the congestion control, or follows from its window: twice what the window
 * gives in slow start, so that it can double, and 1.2 times later. */
#ifndef NST_TCP_PACE_H
#define NST_TCP_PACE_H

#include "core/base/timer.h"

struct nst_pace {
    nst_time at;            /* not before then; 0: at once */
    uint64_t bytes_per_sec; /* now; 0: not paced */
};

struct nst_tcb;

/* The window, the round-trip time or what the owner wants has changed. */
void nst_pace_update(struct nst_tcb *t);

/* Whether to wait; then the timer is set. */
bool nst_pace_holds(struct nst_tcb *t);

/* How much may go at once, bytes. */
uint32_t nst_pace_quantum(const struct nst_tcb *t);

/* `len` bytes went. */
void nst_pace_sent(struct nst_tcb *t, uint32_t len);

#endif
