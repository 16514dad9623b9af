/* The Internet checksum (RFC 1071): sums are 16-bit ones' complement numbers in host order, not yet
 * inverted, so that the sums of pieces can be joined. */
#ifndef NST_WIRE_CHECKSUM_H
#define NST_WIRE_CHECKSUM_H

#include "netstack/netstack.h"

#include "core/base/bytes.h"

/* The sum of `len` bytes; an odd last byte counts as if a zero followed. */
uint16_t nst_csum_sum(const void *data, size_t len);

/* A sum of 16-bit words, or of larger ones, that was kept in a wider number. */
static inline uint16_t nst_csum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32); /* a carry out of the top counts as 1 */
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}

/* The sum of a header, which consists of few 32-bit words. */
static inline uint16_t nst_csum_header(const uint8_t *p, size_t words)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < words; i++)
        sum += nst_load32(p + 4 * i);
    return nst_csum_fold(sum);
}

/* The sum of a whole whose first `offset` bytes sum to `a` and whose rest sums to `b`. */
uint16_t nst_csum_join(uint16_t a, uint16_t b, size_t offset);

/* What goes into the header: the inverted sum. */
static inline uint16_t nst_csum_finish(uint16_t sum)
{
    return (uint16_t)~sum;
}

/* The sum of the pseudo-header of UDP, TCP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1); both
 * addresses are of one family. */
uint16_t nst_csum_pseudo(const struct nst_addr *src, const struct nst_addr *dst, uint8_t proto,
                         uint32_t len);

/* The checksum field `check` after a 16-bit word of the data changed (RFC 1624, equation 3). */
uint16_t nst_csum_update(uint16_t check, uint16_t old_word, uint16_t new_word);

#endif
