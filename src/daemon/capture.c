/* Shows what crosses the link to clients, with why it was dropped.
 *
 * The reason for a drop is known only after the frame has been judged, when its bytes may have been
 * changed already. So the bytes of each frame that comes in are set aside, and go out when the next
 * one comes or the batch has ended, with the reason if there was one meanwhile.
 *
 * Each queue has its own place for that. Clients are the main thread's, so frames of the other
 * queues wait, as copies, until that comes for them (thread.h). What all queues are told by
 * neighbours is shown once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "core/pkt/pkt.h"
#include "core/wire/eth.h"
#include "daemon/thread.h"

#define SNAPLEN_MAX (65535 + NST_ETH_HLEN)
#define COPIES_MAX  (4u << 20) /* bytes that wait for the main thread */

/* A client that captures. */
struct watcher {
    struct nst_list node;
    struct nst_ipc_peer *peer;
    uint32_t id; /* of its call */
    size_t snaplen;
};

/* A frame that waits for the main thread. */
struct copy {
    struct nst_list node;
    struct nst_ipc_frame frame;
    size_t len;
    uint8_t bytes[];
};

struct nst_capture {
    struct nst_queue *queue;
    struct nst_errand come; /* for the copies */
    struct nst_list copies;
    size_t copied_bytes;
    uint32_t lost; /* for want of room there, since the last copy */
    bool waiting;  /* a frame that came in waits for its verdict */
    struct nst_ipc_frame frame;
    uint8_t bytes[SNAPLEN_MAX];
};

static void show_copies(struct nst_errand *errand);

int nst_capture_new(struct nst_capture **out, struct nst_queue *q)
{
    struct nst_capture *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->queue = q;
    c->come.run = show_copies;
    nst_list_init(&c->come.node);
    nst_list_init(&c->copies);
    *out = c;
    return 0;
}

static struct watcher *watcher_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct watcher, node);
}

static void watcher_free(struct watcher *w)
{
    nst_list_del(&w->node);
    free(w);
}

void nst_capture_free(struct nst_capture *capture)
{
    if (!capture)
        return;
    nst_errand_cancel(&capture->come);
    NST_LIST_FOREACH_SAFE (e, &capture->copies)
        free(NST_CONTAINER(e, struct copy, node));
    free(capture);
}

/* ---- Frames --------------------------------------------------------------------------------- */

static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NST_SEC + (uint64_t)now.tv_nsec;
}

static void send_to_all(const struct nst_daemon *d, const struct nst_ipc_frame *frame,
                        const struct nst_slice *slices, size_t n)
{
    NST_LIST_FOREACH (e, &d->watchers) {
        const struct watcher *w = watcher_of(e);
        nst_ipc_frame_send(w->peer, w->id, frame, slices, n, w->snaplen);
    }
}

/* On the main thread, in a visit. */
static void show_copies(struct nst_errand *errand)
{
    struct nst_capture *c = NST_CONTAINER(errand, struct nst_capture, come);
    struct nst_list *e;

    while ((e = nst_list_pop_front(&c->copies))) {
        struct copy *copy = NST_CONTAINER(e, struct copy, node);
        const struct nst_slice bytes = {copy->bytes, copy->len};
        send_to_all(c->queue->daemon, &copy->frame, &bytes, 1);
        free(copy);
    }
    c->copied_bytes = 0;
}

static struct copy *copy_new(const struct nst_ipc_frame *frame, const struct nst_slice *slices,
                             size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += slices[i].len;
    struct copy *copy = malloc(sizeof *copy + len);
    if (!copy)
        return NULL;
    nst_list_init(&copy->node);
    copy->frame = *frame;
    copy->len = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(copy->bytes + copy->len, slices[i].base, slices[i].len);
        copy->len += slices[i].len;
    }
    return copy;
}

static void show_later(struct nst_capture *c, const struct nst_ipc_frame *frame,
                       const struct nst_slice *slices, size_t n)
{
    struct copy *copy = c->copied_bytes < COPIES_MAX ? copy_new(frame, slices, n) : NULL;

    if (!copy) {
        c->lost++;
        return;
    }
    copy->frame.lost = c->lost;
    c->lost = 0;
    c->copied_bytes += copy->len;
    nst_list_push_back(&c->copies, &copy->node);
    nst_queue_defer(c->queue, &c->come);
}

static void show(struct nst_capture *c, const struct nst_ipc_frame *frame,
                 const struct nst_slice *slices, size_t n)
{
    if (nst_queue_is_home(c->queue))
        send_to_all(c->queue->daemon, frame, slices, n);
    else
        show_later(c, frame, slices, n);
}

void nst_capture_flush(struct nst_capture *capture)
{
    struct nst_slice bytes = {capture->bytes, capture->frame.len};

    if (!capture->waiting)
        return;
    capture->waiting = false;
    show(capture, &capture->frame, &bytes, 1);
}

static struct nst_ipc_frame frame_of(const struct nst_trace_event *event,
                                     enum nst_ipc_direction direction)
{
    return (struct nst_ipc_frame){.time = wall_clock(),
                                  .link = event->link,
                                  .drop = event->drop,
                                  .direction = (uint8_t)direction,
                                  .len = (uint32_t)nst_pkt_len(event->pkt)};
}

static bool is_arp(const struct nst_pkt *pkt)
{
    struct nst_eth eth;

    return nst_eth_parse(&eth, nst_pkt_head(pkt), nst_pkt_head_len(pkt), pkt->len) == 0 &&
           eth.type == NST_ETHERTYPE_ARP;
}

static void set_aside(struct nst_capture *c, const struct nst_trace_event *event)
{
    nst_capture_flush(c);
    if (!nst_queue_is_home(c->queue) && is_arp(event->pkt))
        return; /* a copy */
    c->frame = frame_of(event, NST_IPC_IN);
    c->frame.len = (uint32_t)nst_min(c->frame.len, sizeof c->bytes);
    nst_pkt_read(event->pkt, 0, c->bytes, c->frame.len);
    c->waiting = true;
}

/* A packet of our own that ended before it was a frame is shown with the header it would have had.
 */
static void show_unsent(struct nst_capture *c, const struct nst_trace_event *event)
{
    const struct nst_daemon *d = c->queue->daemon;
    const struct nst_pkt *pkt = event->pkt;
    struct nst_eth eth = {.dst = pkt->mac, .src = d->mac, .type = pkt->ethertype};
    bool framed = pkt->framed || pkt->ethertype == 0 || d->config.kind == NST_DEVICE_TUN;
    struct nst_ipc_frame frame = frame_of(event, NST_IPC_OUT_DROPPED);
    struct nst_slice slices[1 + NST_PKT_SLICES];
    uint8_t header[NST_ETH_HLEN];
    size_t n = 0;

    if (pkt->ethertype == 0 && !pkt->framed)
        return; /* it had not come as far as its network header */
    if (!framed) {
        nst_eth_emit(&eth, header);
        slices[n++] = (struct nst_slice){header, sizeof header};
        frame.len += sizeof header;
    }
    n += nst_pkt_slices(pkt, slices + n, NST_PKT_SLICES);
    show(c, &frame, slices, n);
}

static void on_drop(struct nst_capture *c, const struct nst_trace_event *event)
{
    if (event->id == 0)
        show_unsent(c, event);
    else if (c->waiting && c->frame.drop == 0)
        c->frame.drop = event->drop;
}

void nst_capture_trace(void *ctx, const struct nst_trace_event *event)
{
    struct nst_capture *c = ctx;
    struct nst_slice slices[NST_PKT_SLICES];

    if (nst_list_empty(&c->queue->daemon->watchers))
        return;
    switch (event->kind) {
    case NST_TRACE_RX:
        set_aside(c, event);
        break;
    case NST_TRACE_TX: {
        struct nst_ipc_frame frame = frame_of(event, NST_IPC_OUT);
        nst_capture_flush(c);
        show(c, &frame, slices, nst_pkt_slices(event->pkt, slices, NST_PKT_SLICES));
        break;
    }
    case NST_TRACE_DROP:
        on_drop(c, event);
        break;
    }
}

/* ---- The call ------------------------------------------------------------------------------- */

static json_t *list_links(const struct nst_daemon *d)
{
    struct nst_link_info info;

    nst_link_list(d->home->stack, &info, 1);
    return json_pack("[{s:I, s:s, s:s, s:I}]", "index", (json_int_t)d->home->link, "name",
                     nst_device_name(d->home->device), "medium",
                     info.config.medium == NST_MEDIUM_IP ? "ip" : "ethernet", "mtu",
                     (json_int_t)info.config.mtu);
}

static json_t *list_drops(void)
{
    json_t *drops = json_array();

    for (uint16_t i = 1, n = (uint16_t)nst_drop_count(); i <= n; i++)
        json_array_append_new(drops, json_pack("{s:i, s:s, s:s}", "index", i, "reason",
                                               nst_drop_name(i), "text", nst_drop_text(i)));
    return drops;
}

void nst_capture_call(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                      const json_t *args)
{
    json_int_t snaplen = json_integer_value(json_object_get(args, "snaplen"));
    struct watcher *w = calloc(1, sizeof *w);

    if (!w) {
        nst_ipc_error(peer, id, -ENOMEM, "out of memory");
        return;
    }
    nst_capture_forget(d, peer);
    w->peer = peer;
    w->id = id;
    w->snaplen = snaplen > 0 && snaplen < SNAPLEN_MAX ? (size_t)snaplen : SNAPLEN_MAX;
    nst_queues_visit(d);
    nst_list_push_back(&d->watchers, &w->node);
    nst_ipc_reply_take(peer, id,
                       json_pack("{s:o, s:o}", "links", list_links(d), "drops", list_drops()));
}

void nst_capture_forget(struct nst_daemon *d, const struct nst_ipc_peer *peer)
{
    NST_LIST_FOREACH_SAFE (e, &d->watchers) {
        if (watcher_of(e)->peer != peer)
            continue;
        nst_queues_visit(d);
        watcher_free(watcher_of(e));
    }
}
