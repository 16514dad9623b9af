/* Fields at the door: nothing is taken from the header before the bytes it stands in are known to
 * be there, and nothing is believed about lengths before they were compared with each other. */
#include "core/wire/ipv4.h"

#include "core/base/bytes.h"
#include "core/wire/checksum.h"

#define FLAG_RESERVED 0x8000
#define FLAG_DF       0x4000
#define FLAG_MF       0x2000
#define OFFSET_MASK   0x1fff /* in units of 8 bytes */

/* ---- The header -------------------------------------------------------------------------- */

/* Whether `len` bytes at `p` hold a whole header; then `*hlen` is its length. */
static enum nst_drop check_bounds(const uint8_t *p, size_t len, size_t *hlen)
{
    if (len < NST_IPV4_HLEN)
        return NST_DROP_ip_short;
    if (p[0] >> 4 != 4) /* 1122-25 */
        return NST_DROP_ip_version;
    *hlen = (size_t)(p[0] & 0xf) * 4;
    return *hlen < NST_IPV4_HLEN || *hlen > len ? NST_DROP_ip_ihl : NST_DROP_NONE;
}

static struct nst_addr load_addr(const uint8_t *p)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    memcpy(addr.bytes, p, 4);
    return addr;
}

/* Reads a header whose bounds were checked. */
static enum nst_drop decode(struct nst_ipv4 *out, const uint8_t *p, size_t hlen)
{
    uint16_t frag = nst_load16(p + 6);

    *out = (struct nst_ipv4){
        .tos = p[1],
        .total_len = nst_load16(p + 2),
        .id = nst_load16(p + 4),
        .df = frag & FLAG_DF,
        .mf = frag & FLAG_MF,
        .frag_off = (uint16_t)((frag & OFFSET_MASK) * 8),
        .ttl = p[8],
        .proto = p[9],
        .src = load_addr(p + 12),
        .dst = load_addr(p + 16),
        .options_len = (uint8_t)(hlen - NST_IPV4_HLEN),
    };
    memcpy(out->options, p + NST_IPV4_HLEN, out->options_len);
    return frag & FLAG_RESERVED ? NST_DROP_ip_flags : NST_DROP_NONE;
}

enum nst_drop nst_ipv4_parse(struct nst_ipv4 *out, const uint8_t *p, size_t len, size_t pkt_len)
{
    size_t hlen;
    enum nst_drop drop = check_bounds(p, nst_min(len, pkt_len), &hlen);

    if (drop)
        return drop;
    uint16_t total_len = nst_load16(p + 2);
    if (total_len < hlen || total_len > pkt_len)
        return NST_DROP_ip_len;
    if (nst_csum_finish(nst_csum_header(p, hlen / 4)) != 0) /* 1122-26 */
        return NST_DROP_ip_checksum;
    return decode(out, p, hlen);
}

enum nst_drop nst_ipv4_parse_quote(struct nst_ipv4 *out, const uint8_t *p, size_t len)
{
    size_t hlen;
    enum nst_drop drop = check_bounds(p, len, &hlen);

    return drop ? drop : decode(out, p, hlen);
}

void nst_ipv4_emit(const struct nst_ipv4 *ip, uint8_t *p)
{
    size_t hlen = nst_ipv4_hlen(ip);
    int flags = (ip->df ? FLAG_DF : 0) | (ip->mf ? FLAG_MF : 0);

    p[0] = (uint8_t)(4 << 4 | hlen / 4);
    p[1] = ip->tos;
    nst_store16(p + 2, ip->total_len);
    nst_store16(p + 4, ip->id);
    nst_store16(p + 6, (uint16_t)(flags | ip->frag_off / 8));
    p[8] = ip->ttl;
    p[9] = ip->proto;
    nst_store16(p + 10, 0);
    memcpy(p + 12, ip->src.bytes, 4);
    memcpy(p + 16, ip->dst.bytes, 4);
    memcpy(p + NST_IPV4_HLEN, ip->options, ip->options_len);
    nst_store16(p + 10, nst_csum_finish(nst_csum_header(p, hlen / 4)));
}

/* ---- Options ----------------------------------------------------------------------------- */

/* Where things stand in an option: kind, length, and in those that record, a pointer from 1 on to
 * the next free byte. */
enum { KIND, LENGTH, POINTER, TS_FLAGS };

/* Whether the list goes on at `at`. */
static bool is_option(const struct nst_ipv4 *ip, size_t at)
{
    return at < ip->options_len && ip->options[at] != NST_IPV4_OPT_END;
}

/* The length of the option at `at`; 0 when that is impossible. */
static size_t option_len(const struct nst_ipv4 *ip, size_t at)
{
    size_t left = ip->options_len - at;

    if (ip->options[at] == NST_IPV4_OPT_NOP)
        return 1;
    if (left < 2 || ip->options[at + LENGTH] < 2 || ip->options[at + LENGTH] > left)
        return 0;
    return ip->options[at + LENGTH];
}

/* An option that each hop adds an entry to, of `fixed` bytes before the first: its pointer stands
 * on an entry that fits, or behind the last. Returns the offending byte's index, 0 if there is
 * none. */
static size_t bad_record(const uint8_t *option, size_t len, size_t fixed, size_t entry)
{
    if (len < fixed)
        return LENGTH;
    if (option[POINTER] <= fixed)
        return POINTER;
    return option[POINTER] <= len && option[POINTER] + entry > len + 1 ? POINTER : 0;
}

/* RFC 791, Internet Timestamp: flag 0 records times, 1 and 3 addresses with them. */
static size_t bad_timestamp(const uint8_t *option, size_t len)
{
    if (len <= TS_FLAGS)
        return LENGTH;
    switch (option[TS_FLAGS] & 0xf) {
    case 0:
        return bad_record(option, len, 4, 4);
    case 1:
    case 3:
        return bad_record(option, len, 4, 8);
    default:
        return TS_FLAGS;
    }
}

/* The index of the byte that is wrong in an option of `len` bytes, 0 if there is none. */
static size_t bad_byte(const uint8_t *option, size_t len)
{
    switch (option[KIND]) {
    case NST_IPV4_OPT_RR:
        return bad_record(option, len, 3, 4);
    case NST_IPV4_OPT_TS:
        return bad_timestamp(option, len);
    case NST_IPV4_OPT_RA:
        return len == 4 ? 0 : LENGTH;
    default:
        return 0;
    }
}

enum nst_drop nst_ipv4_options_check(const struct nst_ipv4 *ip, uint8_t *pointer)
{
    size_t len;

    for (size_t at = 0; is_option(ip, at); at += len) {
        uint8_t kind = ip->options[at];
        size_t bad;

        len = option_len(ip, at);
        if (len > 0 && (kind == NST_IPV4_OPT_LSRR || kind == NST_IPV4_OPT_SSRR))
            return NST_DROP_ip_source_route;
        bad = len > 0 ? bad_byte(ip->options + at, len) : LENGTH;
        if (bad > 0) {
            *pointer = (uint8_t)(NST_IPV4_HLEN + nst_min(at + bad, ip->options_len - 1U));
            return NST_DROP_ip_option;
        }
    }
    return NST_DROP_NONE;
}

bool nst_ipv4_options_have(const struct nst_ipv4 *ip, enum nst_ipv4_opt kind)
{
    size_t len;

    for (size_t at = 0; is_option(ip, at); at += len) {
        len = option_len(ip, at);
        if (len == 0 || ip->options[at] == kind)
            return len > 0;
    }
    return false;
}

void nst_ipv4_options_keep_copied(struct nst_ipv4 *ip)
{
    size_t kept = 0, len;

    for (size_t at = 0; is_option(ip, at); at += len) {
        len = option_len(ip, at);
        if (len == 0)
            break;
        if (ip->options[at] & NST_IPV4_OPT_COPIED) {
            memmove(ip->options + kept, ip->options + at, len);
            kept += len;
        }
    }
    memset(ip->options + kept, NST_IPV4_OPT_END, sizeof ip->options - kept);
    ip->options_len = (uint8_t)((kept + 3) / 4 * 4);
}
