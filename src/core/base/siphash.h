/* SipHash-2-4: a keyed hash that is short, fast, and safe against chosen input.
 * Source: Aumasson & Bernstein, "SipHash: a fast short-input PRF" (2012). */
#ifndef NST_BASE_SIPHASH_H
#define NST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct nst_siphash_key {
    uint64_t k0, k1;
};

/* The 64-bit hash of `len` bytes at `data` under `key`. */
uint64_t nst_siphash(const struct nst_siphash_key *key, const void *data, size_t len);

#endif
