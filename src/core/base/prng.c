#include "core/base/prng.h"

#include "core/base/bytes.h"

struct nst_siphash_key nst_prng_key(const uint8_t seed[32], const char *purpose)
{
    const struct nst_siphash_key first = {nst_load_le64(seed), nst_load_le64(seed + 8)};
    const struct nst_siphash_key second = {nst_load_le64(seed + 16), nst_load_le64(seed + 24)};
    size_t len = strlen(purpose);

    return (struct nst_siphash_key){nst_siphash(&first, purpose, len),
                                    nst_siphash(&second, purpose, len)};
}

void nst_prng_init(struct nst_prng *prng, const uint8_t seed[32], const char *purpose)
{
    prng->key = nst_prng_key(seed, purpose);
    prng->counter = 0;
}

uint64_t nst_prng_next(struct nst_prng *prng)
{
    uint8_t block[8];

    nst_store_le64(block, prng->counter++);
    return nst_siphash(&prng->key, block, sizeof block);
}

uint64_t nst_prng_below(struct nst_prng *prng, uint64_t bound)
{
    uint64_t excess = (UINT64_MAX - bound + 1) % bound; /* 2^64 mod bound: draws that would bias */
    uint64_t draw;

    do
        draw = nst_prng_next(prng);
    while (draw < excess);
    return draw % bound;
}
