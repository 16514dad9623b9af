#include "core/base/timer.h"

#include <assert.h>

#include "core/base/bytes.h"

#define DIGIT_BITS 6
#define DIGIT_MASK (NST_WHEEL_SLOTS - 1)
#define TICK_MASK  (((uint64_t)1 << 56) - 1)

static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (DIGIT_BITS * level)) & DIGIT_MASK;
}

/* When a tick begins; behind the last one that a nst_time can hold lies never. */
static nst_time start_of(uint64_t tick)
{
    return tick > NST_TIME_NEVER / NST_US ? NST_TIME_NEVER : tick * NST_US;
}

/* The level of the highest digit in which two ticks differ. */
static unsigned level_between(uint64_t a, uint64_t b)
{
    uint64_t diff = a ^ b;

    return diff ? (63 - (unsigned)__builtin_clzll(diff)) / DIGIT_BITS : 0;
}

static void place(struct nst_wheel *wheel, struct nst_timer *timer)
{
    unsigned level = level_between(timer->tick, wheel->tick), shift = DIGIT_BITS * level;
    unsigned slot = digit(timer->tick, level);
    uint64_t begins = timer->tick >> shift << shift;

    timer->level = level & 15u;
    nst_list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->occupied[level] |= (uint64_t)1 << slot;
    if (begins < wheel->next)
        wheel->next = begins;
}

/* The start of the earliest slot in use, with its level and number; false when all are empty. A
 * timer's slot lies ahead of now's digit on its level, so the lowest set bit is the earliest. */
static bool earliest(const struct nst_wheel *wheel, uint64_t *tick, unsigned *level, unsigned *slot)
{
    for (unsigned l = 0; l < NST_WHEEL_LEVELS; l++) {
        if (wheel->occupied[l] == 0)
            continue;
        unsigned shift = DIGIT_BITS * l;
        *level = l;
        *slot = (unsigned)__builtin_ctzll(wheel->occupied[l]);
        *tick = ((wheel->tick >> shift & ~(uint64_t)DIGIT_MASK) | *slot) << shift;
        return true;
    }
    return false;
}

/* Time has reached a slot above level 0: its timers move down. */
static void cascade(struct nst_wheel *wheel, unsigned level, unsigned slot)
{
    struct nst_list *e;

    wheel->occupied[level] &= ~((uint64_t)1 << slot);
    while ((e = nst_list_pop_front(&wheel->slots[level][slot])))
        place(wheel, NST_CONTAINER(e, struct nst_timer, node));
}

void nst_wheel_init(struct nst_wheel *wheel, nst_time now)
{
    wheel->tick = now / NST_US;
    wheel->next = UINT64_MAX;
    for (unsigned l = 0; l < NST_WHEEL_LEVELS; l++) {
        wheel->occupied[l] = 0;
        for (unsigned s = 0; s < NST_WHEEL_SLOTS; s++)
            nst_list_init(&wheel->slots[l][s]);
    }
}

void nst_timer_init(struct nst_timer *timer, enum nst_timer_kind kind)
{
    *timer = (struct nst_timer){.kind = kind & 15u};
    nst_list_init(&timer->node);
}

void nst_timer_arm(struct nst_wheel *wheel, struct nst_timer *timer, nst_time at)
{
    uint64_t tick = at / NST_US + (at % NST_US != 0);

    nst_timer_cancel(wheel, timer);
    timer->tick = (tick > wheel->tick ? tick : wheel->tick) & TICK_MASK;
    place(wheel, timer);
}

void nst_timer_cancel(struct nst_wheel *wheel, struct nst_timer *timer)
{
    if (!nst_timer_armed(timer))
        return;

    unsigned level = timer->level, slot = digit(timer->tick, level);

    nst_list_del(&timer->node);
    if (nst_list_empty(&wheel->slots[level][slot]))
        wheel->occupied[level] &= ~((uint64_t)1 << slot);
}

nst_time nst_timer_at(const struct nst_timer *timer)
{
    return start_of(timer->tick);
}

/* As nst_wheel_pull(), but looks. */
static struct nst_timer *pull_due(struct nst_wheel *wheel, uint64_t now_tick)
{
    uint64_t tick = UINT64_MAX;
    unsigned level, slot;

    while (earliest(wheel, &tick, &level, &slot) && tick <= now_tick) {
        wheel->tick = tick;
        if (level > 0) {
            cascade(wheel, level, slot);
            continue;
        }
        struct nst_list *e = wheel->slots[0][slot].next;
        struct nst_timer *timer = NST_CONTAINER(e, struct nst_timer, node);
        nst_timer_cancel(wheel, timer);
        return timer;
    }
    wheel->next = tick;
    return NULL;
}

/* This is asked with every packet, and nearly always nothing is due. */
struct nst_timer *nst_wheel_pull(struct nst_wheel *wheel, nst_time now)
{
    uint64_t now_tick = now / NST_US;
    struct nst_timer *timer = now_tick < wheel->next ? NULL : pull_due(wheel, now_tick);

    if (!timer && now_tick > wheel->tick)
        wheel->tick = now_tick;
    return timer;
}

nst_time nst_wheel_deadline(const struct nst_wheel *wheel)
{
    uint64_t tick;
    unsigned level, slot;

    return earliest(wheel, &tick, &level, &slot) ? start_of(tick) : NST_TIME_NEVER;
}

void nst_wheel_check(const struct nst_wheel *wheel)
{
    for (unsigned l = 0; l < NST_WHEEL_LEVELS; l++) {
        for (unsigned s = 0; s < NST_WHEEL_SLOTS; s++) {
            bool marked = wheel->occupied[l] >> s & 1;
            assert(marked == !nst_list_empty(&wheel->slots[l][s]));
            NST_LIST_FOREACH (e, &wheel->slots[l][s]) {
                const struct nst_timer *timer = NST_CONTAINER(e, struct nst_timer, node);
                assert(timer->tick >= wheel->tick && timer->level == l);
                assert(timer->tick >= wheel->next);
                assert(level_between(timer->tick, wheel->tick) == l && digit(timer->tick, l) == s);
            }
        }
    }
}
