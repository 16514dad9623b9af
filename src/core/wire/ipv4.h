/* The IPv4 header and its options (RFC 791). */
#ifndef NST_WIRE_IPV4_H
#define NST_WIRE_IPV4_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_IPV4_HLEN     20
#define NST_IPV4_HLEN_MAX 60
#define NST_IPV4_MTU_MIN  68
#define NST_IPV4_LEN_MAX  65535 /* of those put together, too: what may come in (1122-130) */

enum nst_ipproto {
    NST_IPPROTO_ICMP = 1,
    NST_IPPROTO_IGMP = 2,
    NST_IPPROTO_IPIP = 4,
    NST_IPPROTO_TCP = 6,
    NST_IPPROTO_UDP = 17,
    NST_IPPROTO_IPV6 = 41,
    NST_IPPROTO_ICMPV6 = 58,
};

struct nst_ipv4 {
    struct nst_addr src, dst;
    uint8_t tos; /* DSCP and ECN */
    uint8_t ttl;
    uint8_t proto;
    bool df, mf;
    uint16_t id;
    uint16_t frag_off;   /* bytes, a multiple of 8 */
    uint16_t total_len;  /* header and payload */
    uint8_t options_len; /* padded: a multiple of 4 up to 40; the header is 20 + this */
    uint8_t options[NST_IP_OPTIONS_MAX];
};

static inline size_t nst_ipv4_hlen(const struct nst_ipv4 *ip)
{
    return (size_t)NST_IPV4_HLEN + ip->options_len;
}

/* Reads and checks the header of a packet of `pkt_len` bytes, of which `len` are readable at `p`
 * (RFC 1812 §5.2.2: length, version, header length, total length, checksum). Bytes behind the total
 * length are padding, the caller's to cut. Options are copied, not examined.
 * Drops: ip_short, ip_version, ip_ihl, ip_len, ip_checksum, ip_flags (the reserved bit). */
enum nst_drop nst_ipv4_parse(struct nst_ipv4 *out, const uint8_t *p, size_t len, size_t pkt_len);

/* The same for the beginning of a packet that an ICMP error quotes: it may be cut behind the
 * header, and its checksum and total length may have been changed on the way. */
enum nst_drop nst_ipv4_parse_quote(struct nst_ipv4 *out, const uint8_t *p, size_t len);

/* Writes the header with its checksum: nst_ipv4_hlen() bytes. */
void nst_ipv4_emit(const struct nst_ipv4 *ip, uint8_t *p);

/* Options (RFC 791 §3.1). */
enum nst_ipv4_opt {
    NST_IPV4_OPT_END = 0,
    NST_IPV4_OPT_NOP = 1,
    NST_IPV4_OPT_RR = 7,
    NST_IPV4_OPT_TS = 68,
    NST_IPV4_OPT_LSRR = 131,
    NST_IPV4_OPT_SSRR = 137,
    NST_IPV4_OPT_RA = 148, /* router alert, RFC 2113 */
};
#define NST_IPV4_OPT_COPIED 0x80 /* bit of the kind: goes into every fragment */

/* Walks the options once. Unknown ones are ignored (1122-42, MUST-50).
 * Drops: ip_option, with `*pointer` at the offending byte's offset in the IP header (for ICMP's
 * parameter problem); ip_source_route. */
enum nst_drop nst_ipv4_options_check(const struct nst_ipv4 *ip, uint8_t *pointer);

/* Whether there is an option of this kind; the options were checked. */
bool nst_ipv4_options_have(const struct nst_ipv4 *ip, enum nst_ipv4_opt kind);

/* Keeps only what goes into fragments behind the first (791-5), padded again. */
void nst_ipv4_options_keep_copied(struct nst_ipv4 *ip);

#endif
