/* Timers: a hierarchical wheel that is asked, not one that calls.
 *
 * A timer is a deadline inside its owner's structure, with a kind that tells the owner's type. The
 * wheel has ten levels of 64 slots; a slot of level 0 is one tick of a microsecond, a slot of
 * each further level 64 times as long. A timer stands on the level of the highest six-bit digit in
 * which its tick differs from now's; when time reaches its slot there it moves to a lower level. So
 * arming and cancelling are constant work, and firing moves a timer at most nine times in its
 * life, however many there are.
 *
 * A timer never fires early, and less than a tick late. */
#ifndef NST_BASE_TIMER_H
#define NST_BASE_TIMER_H

#include "core/base/list.h"
#include "netstack/netstack.h"

#define NST_US  ((nst_time)1000)
#define NST_MS  (1000 * NST_US)
#define NST_SEC (1000 * NST_MS)

enum nst_timer_kind {
    NST_TIMER_NEIGH,
    NST_TIMER_ACD,
    NST_TIMER_FRAG,
    NST_TIMER_ROUTE,
    NST_TIMER_TCP,
    NST_TIMER_TCP_REQ,
    NST_TIMER_TIMEWAIT,
    NST_TIMER_GROUP,
    NST_TIMER_IGMP_RESPONSE,
    NST_TIMER_IGMP_CHANGE,
};

/* One word beside the list: microseconds of 64 bits of nanoseconds are 55. */
struct nst_timer {
    struct nst_list node;
    uint64_t tick : 56;
    uint64_t kind : 4;  /* enum nst_timer_kind */
    uint64_t level : 4; /* of the wheel, while armed */
};

#define NST_WHEEL_LEVELS 10 /* 60 bits of microseconds: every nst_time */
#define NST_WHEEL_SLOTS  64

struct nst_wheel {
    uint64_t tick;                       /* how far time has come */
    uint64_t next;                       /* no slot in use begins before */
    uint64_t occupied[NST_WHEEL_LEVELS]; /* bit n: slot n is not empty */
    struct nst_list slots[NST_WHEEL_LEVELS][NST_WHEEL_SLOTS];
};

void nst_wheel_init(struct nst_wheel *wheel, nst_time now);

void nst_timer_init(struct nst_timer *timer, enum nst_timer_kind kind);

/* Arms the timer, anew if it was armed, to fire at `at`: at once if that has passed, and not
 * at all at NST_TIME_NEVER. */
void nst_timer_arm(struct nst_wheel *wheel, struct nst_timer *timer, nst_time at);

/* Harmless on a timer that is not armed. */
void nst_timer_cancel(struct nst_wheel *wheel, struct nst_timer *timer);

static inline bool nst_timer_armed(const struct nst_timer *timer)
{
    return nst_list_linked(&timer->node);
}

/* When an armed timer fires: a whole microsecond, or NST_TIME_NEVER. */
nst_time nst_timer_at(const struct nst_timer *timer);

/* Takes one timer that is due at `now` off the wheel; NULL when none is (any more). */
struct nst_timer *nst_wheel_pull(struct nst_wheel *wheel, nst_time now);

/* When to pull next: no timer fires before, and at that time there is either one to fire or one to
 * move to a lower level. NST_TIME_NEVER when none is armed. */
nst_time nst_wheel_deadline(const struct nst_wheel *wheel);

/* Aborts if the wheel contradicts itself. */
void nst_wheel_check(const struct nst_wheel *wheel);

#endif
