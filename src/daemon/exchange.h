/* Frames that came in by another queue than that of the stack which they are for.
 *
 * The kernel steers a flow to the queue that its answers come from, so most frames come in where
 * they belong. Others are the first of a flow, or of one that was silent for some seconds, or of
 * more flows than the kernel remembers, or what belongs to no flow: they are handed over, as
 * copies, since no stack's memory is another's. */
#ifndef NST_DAEMON_EXCHANGE_H
#define NST_DAEMON_EXCHANGE_H

#include "daemon/daemon.h"

/* Opens the queue's inbox, on its loop. 0 or -errno. */
int nst_exchange_open(struct nst_queue *q);

/* Closes it, with what is in it. The queue's thread must have ended. */
void nst_exchange_close(struct nst_queue *q);

/* Hands over those of the packets that are for others, which it takes. Returns how many are left;
 * they are at the front, in order. */
size_t nst_exchange_sort(struct nst_queue *q, struct nst_pkt **pkts, size_t n);

/* The same for those that turned out to be when their fragments were put together. */
void nst_exchange_strays(struct nst_queue *q);

/* Of the queue: frames that it took over from others, and that were lost on the way to it. In a
 * visit. */
void nst_exchange_stats(const struct nst_queue *q, uint64_t *taken, uint64_t *lost);

#endif
