/* TCP sequence numbers (RFC 9293 §3.4): 32 bits that wrap. A type of their own, so that comparing
 * them with `<` does not compile. Comparisons hold for numbers less than 2^31 apart. */
#ifndef NST_BASE_SEQ_H
#define NST_BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t v;
} nst_seq;

static inline nst_seq nst_seq_of(uint32_t v)
{
    return (nst_seq){v};
}

static inline nst_seq nst_seq_add(nst_seq a, uint32_t n)
{
    return (nst_seq){a.v + n};
}

static inline nst_seq nst_seq_sub(nst_seq a, uint32_t n)
{
    return (nst_seq){a.v - n};
}

/* How far `a` is ahead of `b`; negative if it is behind. */
static inline int32_t nst_seq_diff(nst_seq a, nst_seq b)
{
    return (int32_t)(a.v - b.v);
}

static inline bool nst_seq_eq(nst_seq a, nst_seq b)
{
    return a.v == b.v;
}

static inline bool nst_seq_lt(nst_seq a, nst_seq b)
{
    return nst_seq_diff(a, b) < 0;
}

static inline bool nst_seq_le(nst_seq a, nst_seq b)
{
    return nst_seq_diff(a, b) <= 0;
}

static inline bool nst_seq_gt(nst_seq a, nst_seq b)
{
    return nst_seq_diff(a, b) > 0;
}

static inline bool nst_seq_ge(nst_seq a, nst_seq b)
{
    return nst_seq_diff(a, b) >= 0;
}

static inline nst_seq nst_seq_max(nst_seq a, nst_seq b)
{
    return nst_seq_gt(a, b) ? a : b;
}

static inline nst_seq nst_seq_min(nst_seq a, nst_seq b)
{
    return nst_seq_lt(a, b) ? a : b;
}

#endif
