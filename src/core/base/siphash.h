/* SipHash-2-4: a keyed hash that is short, fast, and safe against chosen input.
 * Source: Aumasson & Bernstein, "SipHash: a fast short-input PRF" (2012). */
#ifndef NST_BASE_SIPHASH_H
#define NST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct nst_siphash_key {
    uint64_t k0, k1;
};

/* What a key is xored with to begin. */
#define NST_SIPHASH_V0 UINT64_C(0x736f6d6570736575)
#define NST_SIPHASH_V1 UINT64_C(0x646f72616e646f6d)
#define NST_SIPHASH_V2 UINT64_C(0x6c7967656e657261)
#define NST_SIPHASH_V3 UINT64_C(0x7465646279746573)

/* The 64-bit hash of `len` bytes at `data` under `key`. */
uint64_t nst_siphash(const struct nst_siphash_key *key, const void *data, size_t len);

/* The same of twelve bytes: the first eight and the last four as little-endian numbers. What is
 * asked for each packet fits into so much. */
uint64_t nst_siphash_12(const struct nst_siphash_key *key, uint64_t first, uint32_t last);

#endif
