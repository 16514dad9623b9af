/* A query's version is not a field: it follows from its length and from whether it says how long
 * the answers may take (RFC 3376 §7.1). */
#include "core/wire/igmp.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/checksum.h"

#define V1_MAX_RESP_MS 10000 /* RFC 2236 §4: what version 1 leaves unsaid */

/* A number of eight bits, above 127 with three of them as an exponent (RFC 3376 §4.1.1). */
static uint32_t load_float(uint8_t code)
{
    return code < 128 ? code : ((code & 0xfu) | 0x10u) << (((code >> 4) & 7u) + 3);
}

static enum nst_drop parse_query(struct nst_igmp_msg *out, const uint8_t *p, size_t len,
                                 size_t msg_len)
{
    if (msg_len == NST_IGMP_HLEN) {
        out->version = p[1] ? 2 : 1;
        out->max_resp_ms = p[1] ? p[1] * 100u : V1_MAX_RESP_MS;
        return NST_DROP_NONE;
    }
    if (nst_min(len, msg_len) < NST_IGMP_QUERY_HLEN)
        return NST_DROP_igmp_short;
    out->version = 3;
    out->max_resp_ms = load_float(p[1]) * 100;
    out->robustness = p[8] & 7;
    out->interval_s = load_float(p[9]);
    out->nsources = nst_load16(p + 10);
    return out->nsources > (msg_len - NST_IGMP_QUERY_HLEN) / 4 ? NST_DROP_igmp_short
                                                               : NST_DROP_NONE;
}

enum nst_drop nst_igmp_parse(struct nst_igmp_msg *out, const uint8_t *p, size_t len, size_t msg_len)
{
    if (nst_min(len, msg_len) < NST_IGMP_HLEN)
        return NST_DROP_igmp_short;
    *out = (struct nst_igmp_msg){.type = p[0], .group = nst_addr_v4(p[4], p[5], p[6], p[7])};
    return out->type == NST_IGMP_QUERY ? parse_query(out, p, len, msg_len) : NST_DROP_NONE;
}

static void finish(uint8_t *p, size_t len)
{
    nst_store16(p + 2, nst_csum_finish(nst_csum_sum(p, len)));
}

void nst_igmp_emit(enum nst_igmp_type type, const struct nst_addr *group, uint8_t *p)
{
    memset(p, 0, NST_IGMP_HLEN);
    p[0] = (uint8_t)type;
    memcpy(p + 4, group->bytes, 4);
    finish(p, NST_IGMP_HLEN);
}

size_t nst_igmp_emit_record(enum nst_igmp_record record, const struct nst_addr *group,
                            const struct nst_addr *sources, unsigned n, uint8_t *p)
{
    p[0] = (uint8_t)record;
    p[1] = 0; /* no auxiliary data */
    nst_store16(p + 2, (uint16_t)n);
    memcpy(p + 4, group->bytes, 4);
    for (unsigned i = 0; i < n; i++)
        memcpy(p + NST_IGMP_RECORD_HLEN + (size_t)4 * i, sources[i].bytes, 4);
    return NST_IGMP_RECORD_HLEN + (size_t)4 * n;
}

void nst_igmp_emit_report(unsigned records, uint8_t *p, size_t len)
{
    memset(p, 0, NST_IGMP_HLEN);
    p[0] = NST_IGMP_V3_REPORT;
    nst_store16(p + 6, (uint16_t)records);
    finish(p, len);
}
