/* Frames between the device and the stack.
 *
 * In: when the device is readable, a batch goes into the stack. Out: before the loop sleeps, events
 * are handed to their sockets and what the stack has to say is written. When the device is full,
 * the frames that were pulled wait here, nothing more is pulled, and the device is watched for
 * room. */
#include "daemon/daemon.h"

#include <errno.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/exchange.h"
#include "daemon/log.h"
#include "daemon/thread.h"

/* Frames written in one turn of the loop at most, so that output can't starve the rest. */
#define OUTPUT_MAX (16 * NST_PUMP_BATCH)

static void end_without_device(struct nst_errand *gone)
{
    struct nst_queue *q = NST_CONTAINER(gone, struct nst_queue, gone);
    struct nst_daemon *d = q->daemon;

    if (d->device_gone)
        return;
    d->device_gone = true;
    nst_log(NST_UP_LOG_ERROR, "the device %s was removed: ending", nst_device_name(q->device));
    nst_loop_stop(d->loop, 1);
}

void nst_pump_device_gone(struct nst_queue *q)
{
    nst_loop_fd_del(&q->pump.fd);
    if (nst_queue_is_home(q))
        end_without_device(&q->gone);
    else
        nst_queue_defer(q, &q->gone);
}

static bool on_device(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                      unsigned budget)
{
    struct nst_queue *q = fd->arg;
    struct nst_pkt *pkts[NST_PUMP_BATCH];
    size_t max = budget < NST_PUMP_BATCH ? budget : NST_PUMP_BATCH;

    if (!(events & ~(unsigned)NST_LOOP_OUT))
        return false; /* room to write: nst_pump's prepare function does it */
    int n = nst_device_read(q->device, q->stack, pkts, max);
    if (n == -EBADFD || (n < 0 && events & NST_LOOP_ERR)) {
        nst_pump_device_gone(q);
        return false;
    }
    if (n < 0) {
        nst_log(NST_UP_LOG_ERROR, "reading from %s: %s", nst_device_name(q->device), strerror(-n));
        return false;
    }
    size_t own = q->inbox ? nst_exchange_sort(q, pkts, (size_t)n) : (size_t)n;
    nst_input(q->stack, q->link, pkts, own, nst_loop_now(loop));
    if (q->inbox)
        nst_exchange_strays(q);
    nst_capture_flush(q->capture);
    return n > 0;
}

static void tell_conflict(const struct nst_event *e)
{
    char addr[NST_ADDR_TEXT], mac[NST_MAC_TEXT];

    nst_log(NST_UP_LOG_WARNING, "address conflict: %s says that %s is its own; %s",
            nst_mac_print(mac, &e->mac), nst_addr_print(addr, &e->addr),
            e->addr_state == NST_ADDR_CONFLICT ? "the address is not used" : "it was defended");
}

/* One at a time, since what serves one event may close the socket of the next. */
static bool dispatch_events(struct nst_queue *q)
{
    struct nst_event event;
    size_t n = 0;

    for (; n < NST_PUMP_BATCH && nst_events(q->stack, &event, 1) == 1; n++) {
        struct nst_handler *handler = (struct nst_handler *)(uintptr_t)event.cookie;
        if (event.kind == NST_EVENT_READY)
            handler->ready(handler, event.ready);
        else
            tell_conflict(&event);
    }
    return n > 0;
}

/* Writes what waits; true when all of it is written. */
static bool flush(struct nst_queue *q)
{
    struct nst_pump *p = &q->pump;
    int written = nst_device_write(q->device, p->unsent, p->nunsent);

    if (written < 0)
        return false; /* gone: reading reports it */
    p->nunsent -= (size_t)written;
    /* The array is one of pointers, as it should be: NOLINTNEXTLINE(bugprone-sizeof-expression) */
    memmove(p->unsent, p->unsent + written, p->nunsent * sizeof p->unsent[0]);
    return p->nunsent == 0;
}

/* Writes all there is, within the turn's limit. Returns when the stack wants the next turn. */
static uint64_t output(struct nst_queue *q, nst_time now)
{
    struct nst_pump *p = &q->pump;

    for (size_t total = 0; total < OUTPUT_MAX; total += NST_PUMP_BATCH) {
        if (!flush(q))
            return nst_deadline(q->stack);
        p->nunsent = nst_output(q->stack, q->link, p->unsent, NST_PUMP_BATCH, now);
        if (p->nunsent == 0 && !dispatch_events(q))
            return nst_deadline(q->stack);
    }
    return now;
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct nst_queue *q = prepare->arg;
    uint64_t next;

    dispatch_events(q);
    next = output(q, nst_loop_now(loop));
    nst_capture_flush(q->capture);
    if (q->pump.fd.loop) {
        unsigned wanted = NST_LOOP_IN | (q->pump.nunsent ? NST_LOOP_OUT : 0);
        if (nst_loop_fd_modify(&q->pump.fd, wanted) < 0)
            nst_pump_device_gone(q);
    }
    if (nst_queue_is_home(q))
        nst_queues_leave(q->daemon);
    return next;
}

int nst_pump_start(struct nst_queue *q)
{
    struct nst_pump *p = &q->pump;

    q->gone.run = end_without_device;
    nst_list_init(&q->gone.node);
    p->fd = (struct nst_loop_fd){.fn = on_device, .arg = q};
    p->prepare = (struct nst_loop_prepare){.fn = on_prepare, .arg = q};
    int err = nst_loop_fd_add(q->loop, &p->fd, nst_device_fd(q->device), NST_LOOP_IN);
    return err ? err : nst_loop_prepare_add(q->loop, &p->prepare);
}

void nst_pump_stop(struct nst_queue *q)
{
    struct nst_pump *p = &q->pump;

    nst_loop_fd_del(&p->fd);
    nst_loop_prepare_del(&p->prepare);
    while (p->nunsent > 0)
        nst_pkt_free(p->unsent[--p->nunsent]);
}
