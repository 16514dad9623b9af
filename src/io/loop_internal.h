/* The inside of an event loop: what the files src/io/loop*.c share. The theory of operation is at
 * the top of loop.c. */
#ifndef NST_IO_LOOP_INTERNAL_H
#define NST_IO_LOOP_INTERNAL_H

#include <assert.h>
#include <signal.h>
#include <stddef.h>

#include "core/base/bytes.h"
#include "netstack/loop.h"

/* ---- Lists: circular, doubly linked. ----
 * They differ from those of core/base/list.h in that a link in no list is a zeroed one, so that a
 * source needs no initialisation, and in that the link's type is part of the public header. */

static inline void nst_loop_list_init(struct nst_loop_link *list)
{
    list->next = list->prev = list;
}

static inline bool nst_loop_list_empty(const struct nst_loop_link *list)
{
    return list->next == list;
}

static inline bool nst_loop_linked(const struct nst_loop_link *link)
{
    return link->next != NULL;
}

static inline void nst_loop_list_push(struct nst_loop_link *list, struct nst_loop_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static inline void nst_loop_unlink(struct nst_loop_link *link)
{
    assert(link->prev && link->next);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* Takes the first link out of `list`; NULL if there is none. */
static inline struct nst_loop_link *nst_loop_list_pop(struct nst_loop_link *list)
{
    struct nst_loop_link *link = list->next;

    if (link == list)
        return NULL;
    nst_loop_unlink(link);
    return link;
}

/* Moves all of `from` to `to`, which is uninitialised or empty. */
static inline void nst_loop_list_move(struct nst_loop_link *to, struct nst_loop_link *from)
{
    nst_loop_list_init(to);
    if (nst_loop_list_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    nst_loop_list_init(from);
}

/* ---- The poller: everything that knows epoll (loop_poller.c) ---- */

/* How many ready descriptors one turn takes from the kernel, which reports the others in the next.
 */
#define NST_LOOP_BATCH 128

struct nst_loop_poller {
    int fd;
    bool coarse; /* the kernel has no epoll_pwait2() */
};

struct nst_loop_report {
    uint64_t id; /* as given to nst_loop_poller_set() */
    unsigned events;
};

int nst_loop_poller_init(struct nst_loop_poller *poller);
void nst_loop_poller_fini(struct nst_loop_poller *poller);

/* Changes what `fd` is watched for from `was` to `events`; 0 is "not watched". Reports about it
 * will bear `id`. Returns 0 or -errno; -EPERM means that such a file can't be watched. */
int nst_loop_poller_set(struct nst_loop_poller *poller, int fd, uint64_t id, unsigned was,
                        unsigned events);

/* Waits until a watched descriptor is ready, but at most `timeout_ns`. Returns how many of the
 * NST_LOOP_BATCH `reports` it filled in (0 also if a signal handler interrupted it), or -errno. */
int nst_loop_poller_wait(struct nst_loop_poller *poller, struct nst_loop_report *reports,
                         uint64_t timeout_ns);

/* ---- The loop ---- */

struct nst_loop_slot {
    struct nst_loop_fd *source;
    uint32_t generation; /* how often this descriptor number was added */
};

struct nst_loop {
    struct nst_loop_poller poller;
    struct nst_loop_slot *slots; /* indexed by descriptor number */
    size_t slot_count;
    struct nst_loop_link ready;  /* fds that wait for their call */
    struct nst_loop_fd *current; /* the fd being called, unless it was taken back meanwhile */

    struct nst_loop_timer *timers; /* root of a pairing heap */
    uint64_t timer_order;          /* the next timer's rank among those of the same deadline */

    struct nst_loop_link tasks, wakes, prepares;
    struct nst_loop_fd wake_source; /* an eventfd */

    struct nst_loop_fd signal_source; /* a signalfd; its fd is -1 until the first signal is added */
    struct nst_loop_signal *signals[NSIG];
    sigset_t watched_signals, blocked_before;

    uint64_t now_ns;
    uint64_t ask_ns; /* when the kernel is to be asked again, even if there is work left */
    struct nst_loop_config config;
    bool doubted; /* the last wait brought a stale report */
    bool turning, stopped;
    int stop_code;
};

/* loop_fd.c: takes one batch of reports from the kernel, sleeping no longer than until `until_ns`,
 * and puts their sources on the ready list. 0 or -errno. */
int nst_loop_fds_collect(struct nst_loop *loop, uint64_t until_ns);
/* Calls every source that is on the ready list now, once. */
void nst_loop_fds_run(struct nst_loop *loop);
void nst_loop_fds_fini(struct nst_loop *loop);

/* loop_timer.c: calls every timer that is due at the time of this turn, once. */
void nst_loop_timers_run(struct nst_loop *loop);
void nst_loop_timers_fini(struct nst_loop *loop);

int nst_loop_wakes_init(struct nst_loop *loop);
void nst_loop_wakes_fini(struct nst_loop *loop);

void nst_loop_signals_fini(struct nst_loop *loop);

/* a + b, or NST_LOOP_NEVER if that is further away than a clock can show. */
static inline uint64_t nst_loop_later(uint64_t a, uint64_t b)
{
    return a > NST_LOOP_NEVER - b ? NST_LOOP_NEVER : a + b;
}

/* loop_check.c: asserts the invariants of the loop's lists, heap and table. For tests, between
 * turns or inside a callback. */
void nst_loop_check(const struct nst_loop *loop);

#endif
