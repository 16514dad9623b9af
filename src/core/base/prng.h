/* Randomness that nobody outside can predict, from the seed alone: SipHash in counter mode. Each
 * purpose derives a generator or a key of its own, so that what one reveals helps against no other.
 */
#ifndef NST_BASE_PRNG_H
#define NST_BASE_PRNG_H

#include <stdint.h>

#include "core/base/siphash.h"

struct nst_prng {
    struct nst_siphash_key key;
    uint64_t counter;
};

/* The key for one purpose, named by a short string. */
struct nst_siphash_key nst_prng_key(const uint8_t seed[32], const char *purpose);

void nst_prng_init(struct nst_prng *prng, const uint8_t seed[32], const char *purpose);

uint64_t nst_prng_next(struct nst_prng *prng);

/* Uniform in 0 … bound − 1; bound is at least 1. */
uint64_t nst_prng_below(struct nst_prng *prng, uint64_t bound);

#endif
