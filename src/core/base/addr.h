/* Network addresses of either family: comparing, classifying, reading and writing their text. */
#ifndef NST_BASE_ADDR_H
#define NST_BASE_ADDR_H

#include "netstack/netstack.h"

#include <string.h>

#include "core/base/bytes.h"

#define NST_ADDR_TEXT   46 /* the longest IPv6 address and its NUL (INET6_ADDRSTRLEN) */
#define NST_PREFIX_TEXT (NST_ADDR_TEXT + 4)
#define NST_MAC_TEXT    18

static inline struct nst_addr nst_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct nst_addr){.family = NST_AF_INET, .bytes = {a, b, c, d}};
}

/* Two words rather than a call of memcmp(): every packet asks this several times. */
static inline bool nst_addr_eq(const struct nst_addr *a, const struct nst_addr *b)
{
    uint64_t x[2], y[2];

    memcpy(x, a->bytes, sizeof x);
    memcpy(y, b->bytes, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (uint64_t)(a->family ^ b->family)) == 0;
}

static inline bool nst_addr_is_set(const struct nst_addr *a)
{
    return a->family != NST_AF_UNSPEC;
}

/* Bits in an address of this family: 32 or 128; 0 for an unspecified one. */
static inline unsigned nst_addr_bits(enum nst_family family)
{
    return family == NST_AF_INET ? 32 : family == NST_AF_INET6 ? 128 : 0;
}

/* 0.0.0.0, or ::. */
bool nst_addr_is_any(const struct nst_addr *a);

/* Parts of nst_addr_is_loopback() and nst_addr_is_host(), which ask it of no other family. */
bool nst_addr_is_v6_loopback(const struct nst_addr *a);
bool nst_addr_is_v6_host(const struct nst_addr *a);

/* The first bytes of IPv4's classes. */
enum {
    NST_V4_THIS_NETWORK = 0,
    NST_V4_LOOPBACK = 127,
    NST_V4_MULTICAST = 224,
    NST_V4_RESERVED = 240
};

static inline bool nst_addr_is_multicast(const struct nst_addr *a)
{
    if (a->family == NST_AF_INET)
        return a->bytes[0] >= NST_V4_MULTICAST && a->bytes[0] < NST_V4_RESERVED;
    return a->family == NST_AF_INET6 && a->bytes[0] == 0xff;
}

/* 127.0.0.0/8, or ::1. */
static inline bool nst_addr_is_loopback(const struct nst_addr *a)
{
    if (a->family == NST_AF_INET)
        return a->bytes[0] == NST_V4_LOOPBACK;
    return nst_addr_is_v6_loopback(a);
}

/* 255.255.255.255. */
static inline bool nst_addr_is_limited_broadcast(const struct nst_addr *a)
{
    return a->family == NST_AF_INET && nst_load32(a->bytes) == UINT32_MAX;
}

/* Whether `a` lies in `net` (of the same family). */
bool nst_prefix_has(const struct nst_prefix *net, const struct nst_addr *a);

/* IPv4 with a prefix of at most 30 bits: the host part is all ones, or (the old form, RFC 1122
 * §3.3.6) all zeros. */
static inline bool nst_addr_is_subnet_broadcast(const struct nst_addr *a,
                                                const struct nst_prefix *net)
{
    if (a->family != NST_AF_INET || net->len > 30)
        return false;

    uint32_t host_mask = UINT32_MAX >> net->len;
    uint32_t host = nst_load32(a->bytes) & host_mask;
    return (host == host_mask || host == 0) && nst_prefix_has(net, a);
}

/* Whether some host could bear the address: not unspecified, loopback, multicast, broadcast or
 * reserved (0/8, 240/4). */
static inline bool nst_addr_is_host(const struct nst_addr *a)
{
    if (a->family == NST_AF_INET)
        return a->bytes[0] != NST_V4_THIS_NETWORK && a->bytes[0] != NST_V4_LOOPBACK &&
               a->bytes[0] < NST_V4_MULTICAST;
    return nst_addr_is_v6_host(a);
}

/* `net` with the bits behind its length cleared. */
struct nst_prefix nst_prefix_network(const struct nst_prefix *net);

static inline bool nst_mac_eq(const struct nst_mac *a, const struct nst_mac *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The group bit: multicast or broadcast. */
static inline bool nst_mac_is_group(const struct nst_mac *m)
{
    return m->bytes[0] & 1;
}

bool nst_mac_is_zero(const struct nst_mac *m);
bool nst_mac_is_broadcast(const struct nst_mac *m);
extern const struct nst_mac nst_mac_broadcast;

/* Text to address and back. `parse` takes the whole string: dotted quads without leading zeros,
 * RFC 4291 for IPv6; "ADDR/LEN" for a prefix; six hex pairs with colons for a MAC. They return
 * false and leave `out` alone when it is something else. `print` writes RFC 5952 form ("-" for an
 * unspecified family) and a NUL into `buf`, which it returns. */
bool nst_addr_parse(struct nst_addr *out, const char *text);
bool nst_prefix_parse(struct nst_prefix *out, const char *text);
bool nst_mac_parse(struct nst_mac *out, const char *text);
char *nst_addr_print(char buf[NST_ADDR_TEXT], const struct nst_addr *a);
char *nst_prefix_print(char buf[NST_PREFIX_TEXT], const struct nst_prefix *net);
char *nst_mac_print(char buf[NST_MAC_TEXT], const struct nst_mac *m);

#endif
