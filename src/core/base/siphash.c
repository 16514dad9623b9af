#include "core/base/siphash.h"

#include "core/base/bytes.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static inline struct state begin(const struct nst_siphash_key *key)
{
    return (struct state){
        .v0 = key->k0 ^ NST_SIPHASH_V0,
        .v1 = key->k1 ^ NST_SIPHASH_V1,
        .v2 = key->k0 ^ NST_SIPHASH_V2,
        .v3 = key->k1 ^ NST_SIPHASH_V3,
    };
}

static inline uint64_t finish(struct state *s)
{
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t nst_siphash(const struct nst_siphash_key *key, const void *data, size_t len)
{
    const uint8_t *p = data;
    struct state s = begin(key);
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8)
        absorb(&s, nst_load_le64(p));
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    absorb(&s, last);
    return finish(&s);
}

uint64_t nst_siphash_12(const struct nst_siphash_key *key, uint64_t first, uint32_t last)
{
    struct state s = begin(key);

    absorb(&s, first);
    absorb(&s, (uint64_t)12 << 56 | last);
    return finish(&s);
}
