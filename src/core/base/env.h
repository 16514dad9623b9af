/* What the owner injects into the stack, and what it may observe: time, timers, randomness, memory,
 * counters. Every layer holds a pointer to the one of its stack. */
#ifndef NST_BASE_ENV_H
#define NST_BASE_ENV_H

#include <string.h>

#include "core/base/drop.h"
#include "core/base/prng.h"
#include "core/base/stat.h"
#include "core/base/timer.h"
#include "netstack/netstack.h"

struct nst_env {
    nst_time now;
    struct nst_wheel wheel;
    struct nst_prng prng;
    struct nst_allocator allocator;
    uint8_t seed[32];
    uint64_t stats[NST_STAT_COUNT];
    uint64_t drops[NST_DROP_COUNT];
    uint64_t reroutes; /* see nst_env_reroute() */
    bool contested;    /* somebody claims an address of ours, and the owner was not told yet */
    void (*trace)(void *ctx, const struct nst_trace_event *event);
    void *trace_ctx;
};

/* Zeroed memory, or NULL. */
static inline void *nst_env_alloc(struct nst_env *env, size_t size)
{
    void *p = env->allocator.alloc(env->allocator.ctx, size);

    if (p)
        memset(p, 0, size);
    return p;
}

static inline void nst_env_free(struct nst_env *env, void *p, size_t size)
{
    if (p)
        env->allocator.free(env->allocator.ctx, p, size);
}

/* Something has changed of which the way of packets depends: a link, an address, a route, whether a
 * neighbour answers, or that it is remembered at all. Who remembers ways notes `reroutes` with
 * them, and finds out anew what was noted with another number. */
static inline void nst_env_reroute(struct nst_env *env)
{
    env->reroutes++;
}

#define NST_COUNT(env, what) ((void)(env)->stats[NST_STAT_##what]++)

#endif
