/* A simulated network: many stacks, the links between them, and time, all from one seed.
 *
 * A node is a stack with any number of ports and applications. A port is plugged into a switch; a
 * switch hands a frame to the port whose MAC address it names, or to all others. Between a port and
 * its switch there is a wire for each direction, and every wire can lose, repeat, reorder, corrupt,
 * delay and throttle:
 *
 *     node A --[tx]--> switch --[rx]--> node B
 *
 * The tx wire is the node's own device: while its queue is full the stack is not asked for more
 * (output is pulled). The rx wire is the network: what finds its queue full is lost. So a shared
 * bottleneck is the rx wire of the node that many send to. What has come through it may wait for
 * more to come, as with a device that moderates its interrupts.
 *
 * There is one queue of events, ordered by time and, within one moment, by when they were made:
 * everything that happens follows from the seed. The digest of all frames tells two runs apart.
 *
 * An application is a small state machine: it is called when one of its sockets became ready and
 * when the time it asked for has come, and then makes socket calls on its node's stack. The cookie
 * of its sockets must be sim_cookie(app).
 *
 * What must not be ends the process by sim_fail() or an assertion; sim_main() has told then which
 * command repeats it. With $SIM_TRACE set every frame is printed besides. */
#ifndef NST_SIM_H
#define NST_SIM_H

#include "core/base/prng.h"
#include "core/base/timer.h"
#include "netstack/netstack.h"

#define SIM_PPM   1000000 /* chances are in millionths */
#define SIM_BATCH 64

/* What a wire does to frames. All zero is a perfect wire without delay. */
struct sim_wire_config {
    uint64_t rate_bps;      /* bits a second; 0: no limit */
    uint32_t queue_bytes;   /* of frames that wait for the rate; 0: 256 KiB */
    nst_time delay;         /* of propagation */
    nst_time jitter;        /* up to so much more; the order is kept */
    uint32_t loss_ppm;      /* gone */
    uint32_t repeat_ppm;    /* comes twice */
    uint32_t reorder_ppm;   /* comes later by up to reorder_delay, others overtake it */
    nst_time reorder_delay; /* 0: 10 ms */
    /* One bit that was clear is set, anywhere in the frame. Never the other way round: up to 15
     * such errors cannot cancel in the Internet checksum, so whatever is delivered wrong is a
     * mistake of the stack's. */
    uint32_t corrupt_ppm;
    uint32_t mark_ppm; /* congestion is met: marked CE, or lost if it isn't ECT (RFC 3168 §5) */
    /* Of an rx wire: what comes within so long after a frame is given to the stack with it, as one
     * batch, or once there are SIM_BATCH. 0: each by itself. */
    nst_time gather;
};

/* Where frames went; once all is quiet, sent + repeated = lost + overflowed + delivered. */
struct sim_wire_stats {
    uint64_t sent, bytes, repeated, lost, overflowed, corrupted, reordered, marked, delivered;
};

struct sim;
struct sim_node;
struct sim_app;

struct sim_config {
    uint64_t seed;
    bool check;     /* run every stack's invariants after each step */
    nst_time start; /* the time of the beginning; 0: 1 s */
};

struct sim *sim_new(const struct sim_config *config);

/* Ends it with all nodes. Fails if a stack leaks memory. */
void sim_free(struct sim *sim);

nst_time sim_now(const struct sim *sim);

/* A generator for one purpose, derived from the seed. */
struct nst_prng sim_prng(const struct sim *sim, const char *purpose);

/* Over every frame that a stack sent and that a stack received, with its time and port. */
uint64_t sim_digest(const struct sim *sim);

/* True in `ppm` of a million draws. */
bool sim_chance(struct nst_prng *prng, uint32_t ppm);

/* A node; `limits` may be NULL for the defaults. */
struct sim_node *sim_node_add(struct sim *sim, const struct nst_limits *limits);
struct nst_stack *sim_stack(struct sim_node *node);

/* Bytes of memory that the node's stack holds of its allocator. */
size_t sim_node_memory(const struct sim_node *node);

/* From now on so many of a million allocations of the node's stack fail. */
void sim_node_starve(struct sim_node *node, uint32_t ppm);

/* A switch. */
unsigned sim_switch_add(struct sim *sim);

/* Gives the node a port on the switch: an Ethernet link whose MAC address and name follow from the
 * order of the calls. `link` sets the MTU (0: 1500) and offloads; NULL for neither. */
nst_link sim_port_add(struct sim_node *node, unsigned to_switch, const struct nst_link_config *link,
                      const struct sim_wire_config *tx, const struct sim_wire_config *rx);

/* Changes a wire from now on: outages, new rates. */
void sim_port_set(struct sim_node *node, nst_link link, const struct sim_wire_config *tx,
                  const struct sim_wire_config *rx);
/* Changes the MTU of the node's link. False if the stack refuses. */
bool sim_port_set_mtu(struct sim_node *node, nst_link link, uint32_t mtu);
void sim_port_stats(const struct sim_node *node, nst_link link, struct sim_wire_stats *tx,
                    struct sim_wire_stats *rx);

struct sim_app {
    /* A socket of the application, or (sock 0) an address conflict; may be NULL. */
    void (*event)(struct sim_app *app, const struct nst_event *event);
    /* The time `wake` has come, which is NST_TIME_NEVER again now; may be NULL. */
    void (*timer)(struct sim_app *app);
    nst_time wake;
    struct sim *sim; /* set by sim_app_add() */
    struct sim_node *node;
    struct sim_app *next; /* of the node's */
};

/* Starts an application, whose memory stays the caller's until the simulation ends. */
void sim_app_add(struct sim_node *node, struct sim_app *app);

/* Has its timer called at `time`, unless it asks for an earlier one. For calls from outside the
 * simulation; an application just sets `wake`. */
void sim_app_wake(struct sim_app *app, nst_time time);

static inline uint64_t sim_cookie(const struct sim_app *app)
{
    return (uint64_t)(uintptr_t)app;
}

/* Runs until `until`, or until `done` (may be NULL) says so after a step. */
void sim_run(struct sim *sim, nst_time until, bool (*done)(void *ctx), void *ctx);

/* Frames on their way. */
size_t sim_in_flight(const struct sim *sim);

/* Fails with the place and the reason. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define SIM_REQUIRE(sim, condition)                                               \
    do {                                                                          \
        if (!(condition))                                                         \
            sim_fail((sim), "%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/* The main() of a simulation: runs `run` for each seed and prints TAP. The seeds are the arguments,
 * or $SEEDS, each a number or FROM-TO; without any, those that `seeds` names. If a run ends the
 * process, the last line is the command that repeats it. */
int sim_main(int argc, char **argv, const char *seeds, void (*run)(uint64_t seed));

#endif
