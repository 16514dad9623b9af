/* One direction of a wire that impairs: frames go in, and come out later, or not at all, or twice,
 * or damaged.
 *
 *     push -> queue -> lost? -> repeated? -> delayed, reordered -> corrupted? -> pull
 *
 * It is a pure machine as the stack is: time is an argument, every choice follows from the seed,
 * and nothing is written or read here. So the same frames at the same times meet the same fate. Its
 * terms are those of the simulator's wires (tests/sim/sim.h), where they mean the same. */
#ifndef NST_CLI_IMPAIR_H
#define NST_CLI_IMPAIR_H

#include "core/base/list.h"
#include "core/base/prng.h"
#include "core/base/timer.h"

#define NST_IMPAIR_PPM            1000000 /* chances are in millionths */
#define NST_IMPAIR_QUEUE_FRAMES   1000
#define NST_IMPAIR_REORDER_DELAY  (10 * NST_MS)
#define NST_IMPAIR_HELD_BYTES_MAX ((size_t)64 << 20)
#define NST_IMPAIR_WHY            256

/* What happens to frames. All zero is a perfect wire without delay. */
struct nst_impair_config {
    uint64_t rate_bps; /* bits a second, of whole frames as they are pushed; 0: no limit */
    /* How much may wait behind the frame that is being sent; what comes on top is dropped. 0: no
     * such limit; both 0: NST_IMPAIR_QUEUE_FRAMES. */
    uint32_t queue_frames, queue_bytes;
    nst_time delay;    /* of propagation */
    nst_time jitter;   /* up to so much more; the order is kept */
    uint32_t loss_ppm; /* gone */
    /* Gilbert's model of bursts: before each frame, a burst begins or ends by chance; while it
     * lasts everything is lost. So a burst takes 1 / end frames in the mean. */
    uint32_t burst_begin_ppm, burst_end_ppm;
    uint32_t repeat_ppm;    /* comes twice */
    uint32_t reorder_ppm;   /* comes later by up to reorder_delay, others overtake it */
    nst_time reorder_delay; /* 0: NST_IMPAIR_REORDER_DELAY */
    /* One bit that was clear is set, anywhere in the frame. Never the other way round: what two
     * wires in a row do to one frame then cannot cancel in the Internet checksum. */
    uint32_t corrupt_ppm;
};

/* Where frames went: sent + repeated = lost + overflowed + delivered + nst_impair_held(). */
struct nst_impair_stats {
    uint64_t sent, bytes, repeated, lost, overflowed, corrupted, reordered, delivered;
};

struct nst_impair_frame {
    struct nst_list link;
    nst_time time;  /* when it leaves the queue; later, when it comes out */
    uint64_t order; /* among those that come out at one time */
    size_t len;
    uint8_t data[];
};

struct nst_impair {
    struct nst_impair_config config;
    struct nst_impair_stats stats;
    /* One for each effect, so that to turn one on doesn't change what another does. */
    struct nst_prng loss, burst, repeat, jitter, reorder, corrupt;
    bool in_burst;

    struct nst_list queue; /* in order; the first is being sent */
    size_t queued_frames, queued_bytes;
    nst_time busy_until; /* the last one of the queue has been sent */
    uint64_t busy_rest;  /* and this much later, in ns / rate_bps */

    struct nst_impair_frame **flight; /* on their way: a binary heap, the next to come out first */
    size_t flight_len, flight_cap;
    uint64_t order;
    nst_time last_out; /* when the latest comes out of those that keep their order */
    size_t held_bytes; /* of the queue and the flight */
};

/* Starts a wire whose choices follow from `seed` and from its name, `purpose`. */
void nst_impair_init(struct nst_impair *w, const struct nst_impair_config *config,
                     const uint8_t seed[32], const char *purpose);

/* Frees what is on its way. */
void nst_impair_fini(struct nst_impair *w);

/* Puts a frame of at least one byte on the wire; it is copied. `now` must not go back. What finds
 * the queue full, no memory, or NST_IMPAIR_HELD_BYTES_MAX on the wire, is counted as overflowed. */
void nst_impair_push(struct nst_impair *w, const uint8_t *data, size_t len, nst_time now);

/* The next frame that has come out, which is the caller's, to be freed by
 * nst_impair_frame_free(); NULL when there is none until nst_impair_deadline(). */
struct nst_impair_frame *nst_impair_pull(struct nst_impair *w, nst_time now);

void nst_impair_frame_free(struct nst_impair_frame *frame);

/* When to pull next; NST_TIME_NEVER when the wire is empty. */
nst_time nst_impair_deadline(const struct nst_impair *w);

/* Frames on the wire. */
size_t nst_impair_held(const struct nst_impair *w);

/* Sets what `spec` names, as in "rate=100mbit,delay=10ms,loss=1%"; the rest stays. The keys and
 * their values are those of `netstack relay --help`. -EINVAL leaves a sentence in `why`, and in
 * `config` what came before the fault. */
int nst_impair_parse(struct nst_impair_config *config, const char *spec, char why[NST_IMPAIR_WHY]);

#endif
