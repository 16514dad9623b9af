#include "daemon/exchange.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/pkt/pkt.h"

#define INBOX_MAX (4u << 20) /* bytes that wait */

/* A frame on its way. */
struct parcel {
    struct nst_list node;
    struct nst_offload offload;
    size_t len;
    uint8_t bytes[];
};

struct nst_inbox {
    pthread_mutex_t lock; /* of what comes before `arrived` */
    struct nst_list parcels;
    size_t bytes;
    uint64_t refused; /* for want of room */
    struct nst_loop_wake arrived;
    uint64_t taken, lost; /* its owner's: taken out; and lost for want of memory */
};

/* ---- The sender's side ----------------------------------------------------------------------- */

static struct parcel *parcel_new(struct nst_pkt *pkt)
{
    size_t len = nst_pkt_len(pkt);
    struct parcel *p = malloc(sizeof *p + len);

    if (!p)
        return NULL;
    nst_list_init(&p->node);
    p->offload = *nst_pkt_offload(pkt);
    p->len = len;
    nst_pkt_read(pkt, 0, p->bytes, len);
    return p;
}

static void post(struct nst_queue *to, struct nst_pkt *pkt)
{
    struct nst_inbox *in = to->inbox;
    struct parcel *p = parcel_new(pkt);

    pthread_mutex_lock(&in->lock);
    bool room = p && in->bytes + p->len <= INBOX_MAX;
    in->refused += !room;
    if (room) {
        in->bytes += p->len;
        nst_list_push_back(&in->parcels, &p->node);
    }
    pthread_mutex_unlock(&in->lock);
    if (room)
        nst_loop_wake_send(&in->arrived);
    else
        free(p);
}

/* Whether the queue keeps the packet. */
static bool sort_one(struct nst_queue *q, struct nst_pkt *pkt)
{
    struct nst_daemon *d = q->daemon;
    unsigned whose = nst_spread_of(q->stack, q->link, pkt);

    if (whose == q->index)
        return true;
    if (whose != NST_SPREAD_ALL) {
        post(&d->queues[whose], pkt);
        return false;
    }
    for (unsigned i = 0; i < d->nqueues; i++)
        if (i != q->index)
            post(&d->queues[i], pkt);
    return true;
}

size_t nst_exchange_sort(struct nst_queue *q, struct nst_pkt **pkts, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (sort_one(q, pkts[i]))
            pkts[kept++] = pkts[i];
        else
            nst_pkt_free(pkts[i]);
    }
    return kept;
}

void nst_exchange_strays(struct nst_queue *q)
{
    struct nst_pkt *pkt;

    while (nst_spread_pull(q->stack, q->link, &pkt, 1) == 1) {
        (void)sort_one(q, pkt);
        nst_pkt_free(pkt);
    }
}

/* ---- The receiver's side --------------------------------------------------------------------- */

static struct nst_pkt *unpack(struct nst_queue *q, const struct parcel *p)
{
    struct nst_pkt *pkt = nst_pkt_alloc(q->stack, p->len);

    if (!pkt) {
        q->inbox->lost++;
        return NULL;
    }
    nst_pkt_write(pkt, 0, p->bytes, p->len);
    *nst_pkt_offload(pkt) = p->offload;
    return pkt;
}

/* Gives the stack the next of the parcels, a batch at most. */
static void unpack_batch(struct nst_queue *q, struct nst_list *parcels, nst_time now)
{
    struct nst_pkt *pkts[NST_PUMP_BATCH];
    struct nst_list *e;
    size_t n = 0;

    while (n < NST_PUMP_BATCH && (e = nst_list_pop_front(parcels))) {
        struct parcel *p = NST_CONTAINER(e, struct parcel, node);
        if ((pkts[n] = unpack(q, p)))
            n++;
        free(p);
    }
    q->inbox->taken += n;
    nst_input(q->stack, q->link, pkts, n, now);
    nst_exchange_strays(q);
}

static void on_arrived(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    struct nst_queue *q = wake->arg;
    struct nst_inbox *in = q->inbox;
    struct nst_list parcels;

    nst_list_init(&parcels);
    pthread_mutex_lock(&in->lock);
    nst_list_splice_back(&parcels, &in->parcels);
    in->bytes = 0;
    pthread_mutex_unlock(&in->lock);
    while (!nst_list_empty(&parcels))
        unpack_batch(q, &parcels, nst_loop_now(loop));
    nst_capture_flush(q->capture);
}

/* ---- Life ------------------------------------------------------------------------------------ */

int nst_exchange_open(struct nst_queue *q)
{
    struct nst_inbox *in = calloc(1, sizeof *in);

    if (!in)
        return -ENOMEM;
    pthread_mutex_init(&in->lock, NULL);
    nst_list_init(&in->parcels);
    in->arrived = (struct nst_loop_wake){.fn = on_arrived, .arg = q};
    q->inbox = in;
    return nst_loop_wake_add(q->loop, &in->arrived);
}

void nst_exchange_close(struct nst_queue *q)
{
    struct nst_inbox *in = q->inbox;

    if (!in)
        return;
    NST_LIST_FOREACH_SAFE (e, &in->parcels)
        free(NST_CONTAINER(e, struct parcel, node));
    nst_loop_wake_del(&in->arrived);
    pthread_mutex_destroy(&in->lock);
    free(in);
    q->inbox = NULL;
}

void nst_exchange_stats(const struct nst_queue *q, uint64_t *taken, uint64_t *lost)
{
    struct nst_inbox *in = q->inbox;

    *taken = *lost = 0;
    if (!in)
        return;
    pthread_mutex_lock(&in->lock);
    *lost = in->refused + in->lost;
    pthread_mutex_unlock(&in->lock);
    *taken = in->taken;
}
