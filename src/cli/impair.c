/* Theory of operation. A frame waits at two places. The queue is in order: each frame knows from
 * the beginning when it will have been sent at the wire's rate, and when that time has come it
 * departs: its fate is decided then, in the order of departure, so it doesn't matter how often
 * anybody looks. What is not lost is then in flight, ordered by the time at which it comes out.
 *
 * Nothing needs to happen at the moment of a departure itself: it is made up for at the next push
 * or pull. So there is one deadline, when the next frame may come out. */
#include "cli/impair.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/bytes.h"

static void prng_init(struct nst_prng *prng, const uint8_t seed[32], const char *purpose,
                      const char *effect)
{
    struct nst_siphash_key key = nst_prng_key(seed, purpose);
    uint8_t own[32] = {0};

    nst_store_le64(own, key.k0);
    nst_store_le64(own + 8, key.k1);
    nst_prng_init(prng, own, effect);
}

void nst_impair_init(struct nst_impair *w, const struct nst_impair_config *config,
                     const uint8_t seed[32], const char *purpose)
{
    *w = (struct nst_impair){.config = *config};
    if (!config->queue_frames && !config->queue_bytes)
        w->config.queue_frames = NST_IMPAIR_QUEUE_FRAMES;
    if (!config->reorder_delay)
        w->config.reorder_delay = NST_IMPAIR_REORDER_DELAY;
    nst_list_init(&w->queue);
    prng_init(&w->loss, seed, purpose, "loss");
    prng_init(&w->burst, seed, purpose, "burst");
    prng_init(&w->repeat, seed, purpose, "repeat");
    prng_init(&w->jitter, seed, purpose, "jitter");
    prng_init(&w->reorder, seed, purpose, "reorder");
    prng_init(&w->corrupt, seed, purpose, "corrupt");
}

void nst_impair_fini(struct nst_impair *w)
{
    struct nst_list *link;

    while ((link = nst_list_pop_front(&w->queue)))
        nst_impair_frame_free(NST_CONTAINER(link, struct nst_impair_frame, link));
    while (w->flight_len > 0)
        nst_impair_frame_free(w->flight[--w->flight_len]);
    free(w->flight);
    w->flight = NULL;
}

static struct nst_impair_frame *frame_new(const uint8_t *data, size_t len)
{
    struct nst_impair_frame *f = malloc(sizeof *f + len);

    if (!f)
        return NULL;
    *f = (struct nst_impair_frame){.len = len};
    nst_list_init(&f->link);
    memcpy(f->data, data, len);
    return f;
}

void nst_impair_frame_free(struct nst_impair_frame *frame)
{
    free(frame);
}

/* ---- In flight: a binary heap ---- */

static bool before(const struct nst_impair_frame *a, const struct nst_impair_frame *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static bool flight_grow(struct nst_impair *w)
{
    size_t cap = w->flight_cap ? 2 * w->flight_cap : 256;
    struct nst_impair_frame **flight = realloc(w->flight, cap * sizeof(struct nst_impair_frame *));

    if (!flight)
        return false;
    w->flight = flight;
    w->flight_cap = cap;
    return true;
}

static void flight_push_take(struct nst_impair *w, struct nst_impair_frame *f)
{
    size_t i = w->flight_len;

    if (i == w->flight_cap && !flight_grow(w)) {
        w->stats.overflowed++;
        nst_impair_frame_free(f);
        return;
    }
    f->order = w->order++;
    for (; i > 0 && before(f, w->flight[(i - 1) / 2]); i = (i - 1) / 2)
        w->flight[i] = w->flight[(i - 1) / 2];
    w->flight[i] = f;
    w->flight_len++;
    w->held_bytes += f->len;
}

static struct nst_impair_frame *flight_pull(struct nst_impair *w)
{
    struct nst_impair_frame *first = w->flight[0], *last = w->flight[--w->flight_len];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < w->flight_len) {
        if (child + 1 < w->flight_len && before(w->flight[child + 1], w->flight[child]))
            child++;
        if (!before(w->flight[child], last))
            break;
        w->flight[i] = w->flight[child];
        i = child;
    }
    w->flight[i] = last;
    w->held_bytes -= first->len;
    return first;
}

/* ---- Fate ---- */

static bool chance(struct nst_prng *prng, uint32_t ppm)
{
    return ppm && nst_prng_below(prng, NST_IMPAIR_PPM) < ppm;
}

static nst_time up_to(struct nst_prng *prng, nst_time most)
{
    return most ? nst_prng_below(prng, most + 1) : 0;
}

/* Both kinds of loss are asked about every frame, so that neither disturbs the other. */
static bool is_lost(struct nst_impair *w)
{
    const struct nst_impair_config *c = &w->config;
    bool lost = chance(&w->loss, c->loss_ppm);

    if (chance(&w->burst, w->in_burst ? c->burst_end_ppm : c->burst_begin_ppm))
        w->in_burst = !w->in_burst;
    return lost || w->in_burst;
}

/* When a frame that departs now comes out. */
static nst_time way_through(struct nst_impair *w, nst_time departure)
{
    const struct nst_impair_config *c = &w->config;
    nst_time out = departure + c->delay + up_to(&w->jitter, c->jitter);

    if (chance(&w->reorder, c->reorder_ppm)) {
        w->stats.reordered++;
        return out + up_to(&w->reorder, c->reorder_delay);
    }
    return w->last_out = nst_max(out, w->last_out);
}

/* Sets the first clear bit from a random place on. */
static void corrupt(struct nst_impair *w, struct nst_impair_frame *f)
{
    size_t bits = 8 * f->len, bit = nst_prng_below(&w->corrupt, bits), tries = 0;

    while (f->data[bit / 8] >> bit % 8 & 1 && tries++ < bits)
        bit = (bit + 1) % bits;
    f->data[bit / 8] |= (uint8_t)(1 << bit % 8);
    w->stats.corrupted++;
}

static void launch_take(struct nst_impair *w, struct nst_impair_frame *f, nst_time out)
{
    f->time = out;
    if (chance(&w->corrupt, w->config.corrupt_ppm))
        corrupt(w, f);
    flight_push_take(w, f);
}

static void depart_take(struct nst_impair *w, struct nst_impair_frame *f)
{
    struct nst_impair_frame *twin = NULL;

    if (is_lost(w)) {
        w->stats.lost++;
        nst_impair_frame_free(f);
        return;
    }
    nst_time out = way_through(w, f->time);
    if (chance(&w->repeat, w->config.repeat_ppm))
        twin = frame_new(f->data, f->len);
    launch_take(w, f, out);
    if (twin) {
        w->stats.repeated++;
        launch_take(w, twin, out);
    }
}

/* ---- The queue ---- */

static struct nst_impair_frame *queue_first(const struct nst_impair *w)
{
    return NST_CONTAINER(w->queue.next, struct nst_impair_frame, link);
}

/* Lets go what has been sent by now. */
static void queue_advance(struct nst_impair *w, nst_time now)
{
    while (!nst_list_empty(&w->queue) && queue_first(w)->time <= now) {
        struct nst_impair_frame *f = queue_first(w);

        nst_list_del(&f->link);
        w->queued_frames--;
        w->queued_bytes -= f->len;
        w->held_bytes -= f->len;
        depart_take(w, f);
    }
}

/* The frame at the head is being sent, and doesn't wait any more. */
static bool queue_has_room(const struct nst_impair *w, size_t len)
{
    const struct nst_impair_config *c = &w->config;

    if (w->held_bytes + len > NST_IMPAIR_HELD_BYTES_MAX)
        return false;
    if (nst_list_empty(&w->queue))
        return true;
    size_t waiting_bytes = w->queued_bytes - queue_first(w)->len;
    return (!c->queue_frames || w->queued_frames - 1 < c->queue_frames) &&
           (!c->queue_bytes || waiting_bytes + len <= c->queue_bytes);
}

/* When a frame that joins the queue now has been sent. What the division leaves is kept, so that
 * the rate is exact in the long run. */
static nst_time sent_at(struct nst_impair *w, size_t len, nst_time now)
{
    uint64_t rate = w->config.rate_bps;

    if (w->busy_until < now || !rate) {
        w->busy_until = now;
        w->busy_rest = 0;
    }
    if (rate) {
        uint64_t work = (uint64_t)len * 8 * NST_SEC + w->busy_rest;
        w->busy_until += work / rate;
        w->busy_rest = work % rate;
    }
    return w->busy_until;
}

/* ---- In and out ---- */

void nst_impair_push(struct nst_impair *w, const uint8_t *data, size_t len, nst_time now)
{
    assert(len > 0);
    queue_advance(w, now);
    w->stats.sent++;
    w->stats.bytes += len;
    struct nst_impair_frame *f = queue_has_room(w, len) ? frame_new(data, len) : NULL;
    if (!f) {
        w->stats.overflowed++;
        return;
    }
    f->time = sent_at(w, len, now);
    nst_list_push_back(&w->queue, &f->link);
    w->queued_frames++;
    w->queued_bytes += len;
    w->held_bytes += len;
}

struct nst_impair_frame *nst_impair_pull(struct nst_impair *w, nst_time now)
{
    queue_advance(w, now);
    if (w->flight_len == 0 || w->flight[0]->time > now)
        return NULL;
    w->stats.delivered++;
    return flight_pull(w);
}

nst_time nst_impair_deadline(const struct nst_impair *w)
{
    nst_time out = w->flight_len ? w->flight[0]->time : NST_TIME_NEVER;

    if (nst_list_empty(&w->queue))
        return out;
    return nst_min(out, queue_first(w)->time + w->config.delay);
}

size_t nst_impair_held(const struct nst_impair *w)
{
    return w->queued_frames + w->flight_len;
}
