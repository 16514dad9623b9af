#include "core/ip/ident.h"

#define WALK_BIT 0x8000

void nst_ident_init(struct nst_ident *ident, const uint8_t seed[32])
{
    nst_prng_init(&ident->prng, seed, "ipv4 identification");
    ident->round_key = nst_prng_next(&ident->prng);
    ident->next = 0;
}

/* A mixing function of eight bits, keyed; it need not be invertible. */
static unsigned mix(unsigned half, unsigned key)
{
    unsigned x = (half ^ key) * 0x9e3779b1u;

    return x >> 16 ^ x >> 24;
}

/* An unbalanced Feistel network over 7 + 8 bits: a permutation for every key. */
static uint16_t permute(uint16_t value, uint64_t key)
{
    unsigned left = value >> 8 & 0x7f, right = value & 0xff;

    for (unsigned round = 0; round < 4; round++) {
        left = (left ^ mix(right, (unsigned)(key >> 16 * round) & 0xff)) & 0x7f;
        right = (right ^ mix(left, (unsigned)(key >> (16 * round + 8)) & 0xff)) & 0xff;
    }
    return (uint16_t)(left << 8 | right);
}

uint16_t nst_ident_next(struct nst_ident *ident)
{
    uint16_t value = ident->next++;

    if ((value & ~WALK_BIT) == 0)
        ident->round_key = nst_prng_next(&ident->prng);
    return (uint16_t)((value & WALK_BIT) | permute(value & (WALK_BIT - 1), ident->round_key));
}
