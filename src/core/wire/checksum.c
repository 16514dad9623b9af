/* The sum is the same whatever the width and the byte order of the additions, as long as every
 * carry is added in again and the bytes of the result are swapped as those of the addends were
 * (RFC 1071 §2). So 64 bits are added at a time in the host's order, carries are counted apart,
 * and only the folded result is read in network order. */
#include "core/wire/checksum.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define WORD  8
#define BLOCK ((size_t)4 * WORD)

/* A sum of 64-bit words in host order: value + carries * 2^64. */
struct wide {
    uint64_t value, carries;
};

static inline void add(struct wide *sum, uint64_t word)
{
    sum->value += word;
    sum->carries += sum->value < word;
}

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, WORD);
    return word;
}

/* The last `len` bytes, fewer than a word. Copies of constant length, for headers are short and a
 * call of memcpy() would cost more than all of their sum. */
static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
    uint32_t quad = 0;
    uint16_t pair = 0, single = 0;

    if (len & 4)
        memcpy(&quad, p, 4);
    if (len & 2)
        memcpy(&pair, p + (len & 4), 2);
    if (len & 1)
        memcpy(&single, p + (len & 6), 1);
    return (uint64_t)quad + pair + single;
}

uint16_t nst_csum_sum(const void *data, size_t len)
{
    const uint8_t *p = data;
    struct wide even = {0}, odd = {0}; /* two chains of additions that need not wait for another */
    uint8_t bytes[2];

    for (; len >= BLOCK; len -= BLOCK, p += BLOCK) {
        add(&even, load(p));
        add(&odd, load(p + WORD));
        add(&even, load(p + (size_t)2 * WORD));
        add(&odd, load(p + (size_t)3 * WORD));
    }
    for (; len >= WORD; len -= WORD, p += WORD)
        add(&even, load(p));
    add(&even, load_tail(p, len));
    add(&even, odd.value);

    uint16_t sum = nst_csum_fold((uint64_t)nst_csum_fold(even.value) + even.carries + odd.carries);
    memcpy(bytes, &sum, sizeof bytes);
    return nst_load16(bytes);
}

uint16_t nst_csum_join(uint16_t a, uint16_t b, size_t offset)
{
    if (offset % 2 != 0)
        b = (uint16_t)(b << 8 | b >> 8);
    return nst_csum_fold((uint64_t)a + b);
}

uint16_t nst_csum_pseudo(const struct nst_addr *src, const struct nst_addr *dst, uint8_t proto,
                         uint32_t len)
{
    size_t addr_len = nst_addr_bits(src->family) / 8;

    if (src->family == NST_AF_INET)
        return nst_csum_fold((uint64_t)nst_load32(src->bytes) + nst_load32(dst->bytes) + proto +
                             len);
    return nst_csum_fold((uint64_t)nst_csum_sum(src->bytes, addr_len) +
                         nst_csum_sum(dst->bytes, addr_len) + proto + len);
}

uint16_t nst_csum_update(uint16_t check, uint16_t old_word, uint16_t new_word)
{
    return nst_csum_finish(
        nst_csum_fold((uint64_t)(uint16_t)~check + (uint16_t)~old_word + new_word));
}
