#include "core/wire/icmpv4.h"

#include "core/base/bytes.h"

enum nst_drop nst_icmpv4_parse(struct nst_icmpv4 *out, const uint8_t *p, size_t len)
{
    if (len < NST_ICMPV4_HLEN)
        return NST_DROP_icmp_short;
    *out = (struct nst_icmpv4){.type = p[0], .code = p[1], .checksum = nst_load16(p + 2)};
    switch (out->type) {
    case NST_ICMPV4_UNREACHABLE:
        out->mtu = nst_load16(p + 6);
        break;
    case NST_ICMPV4_PARAMETER:
        out->pointer = p[4];
        break;
    case NST_ICMPV4_REDIRECT:
        out->gateway.family = NST_AF_INET;
        memcpy(out->gateway.bytes, p + 4, 4);
        break;
    default: /* echo, and all others that ask or answer */
        out->echo.id = nst_load16(p + 4);
        out->echo.seq = nst_load16(p + 6);
    }
    return NST_DROP_NONE;
}

void nst_icmpv4_emit(const struct nst_icmpv4 *icmp, uint8_t *p)
{
    p[0] = icmp->type;
    p[1] = icmp->code;
    nst_store16(p + 2, icmp->checksum);
    memset(p + 4, 0, 4);
    switch (icmp->type) {
    case NST_ICMPV4_UNREACHABLE:
        nst_store16(p + 6, icmp->mtu);
        break;
    case NST_ICMPV4_PARAMETER:
        p[4] = icmp->pointer;
        break;
    case NST_ICMPV4_REDIRECT:
        memcpy(p + 4, icmp->gateway.bytes, 4);
        break;
    default:
        nst_store16(p + 4, icmp->echo.id);
        nst_store16(p + 6, icmp->echo.seq);
    }
}

bool nst_icmpv4_is_error(uint8_t type)
{
    switch (type) {
    case NST_ICMPV4_ECHO:
    case NST_ICMPV4_ECHO_REPLY:
    case 9:  /* router advertisement, RFC 1256 */
    case 10: /* router solicitation */
    case NST_ICMPV4_TIMESTAMP:
    case NST_ICMPV4_TIMESTAMP_REPLY:
    case 15: /* information request */
    case 16: /* information reply */
    case NST_ICMPV4_MASK:
    case NST_ICMPV4_MASK_REPLY:
    case 42: /* extended echo request, RFC 8335 */
    case 43: /* extended echo reply */
        return false;
    default:
        return true;
    }
}
