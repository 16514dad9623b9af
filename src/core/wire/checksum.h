/* The Internet checksum (RFC 1071): sums are 16-bit ones' complement numbers in host order, not yet
 * inverted, so that the sums of pieces can be joined. */
#ifndef NST_WIRE_CHECKSUM_H
#define NST_WIRE_CHECKSUM_H

#include "netstack/netstack.h"

/* The sum of `len` bytes; an odd last byte counts as if a zero followed. */
uint16_t nst_csum_sum(const void *data, size_t len);

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
