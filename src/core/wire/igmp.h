/* IGMP: version 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 3376) share the first eight bytes; a query of
 * version 3 has four more and a list of sources, a report of version 3 is a list of records. */
#ifndef NST_WIRE_IGMP_H
#define NST_WIRE_IGMP_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#define NST_IGMP_HLEN        8
#define NST_IGMP_QUERY_HLEN  12 /* version 3; the sources stand behind, four bytes each */
#define NST_IGMP_RECORD_HLEN 8

enum nst_igmp_type {
    NST_IGMP_QUERY = 0x11,
    NST_IGMP_V1_REPORT = 0x12,
    NST_IGMP_V2_REPORT = 0x16,
    NST_IGMP_LEAVE = 0x17, /* version 2 */
    NST_IGMP_V3_REPORT = 0x22,
};

/* What a record of a version 3 report says (RFC 3376 §4.2.12). */
enum nst_igmp_record {
    NST_IGMP_IS_IN = 1, /* current state: only these sources */
    NST_IGMP_IS_EX = 2, /* current state: all but these */
    NST_IGMP_TO_IN = 3, /* the same as a change */
    NST_IGMP_TO_EX = 4,
    NST_IGMP_ALLOW = 5, /* these sources too */
    NST_IGMP_BLOCK = 6, /* these no more */
};

struct nst_igmp_msg {
    uint8_t type;          /* enum nst_igmp_type, or unknown */
    struct nst_addr group; /* 0.0.0.0 in a general query; without meaning in a version 3 report */
    /* Of a query: */
    uint8_t version;
    uint32_t max_resp_ms; /* to be answered within */
    uint8_t robustness;   /* version 3: QRV, 0 to 7 */
    uint32_t interval_s;  /* version 3: QQI */
    uint16_t nsources;    /* version 3 */
};

/* Reads what stands in the first eight bytes, or twelve of a version 3 query, of a message of
 * `msg_len` bytes, of which `len` are readable at `p`; that the sources are there too is checked.
 * The checksum is the caller's to verify, over the whole message. Drops: igmp_short. */
enum nst_drop nst_igmp_parse(struct nst_igmp_msg *out, const uint8_t *p, size_t len,
                             size_t msg_len);

/* Writes a report of version 1 or 2 or a leave message: NST_IGMP_HLEN bytes. */
void nst_igmp_emit(enum nst_igmp_type type, const struct nst_addr *group, uint8_t *p);

/* Writes a record; returns its length, NST_IGMP_RECORD_HLEN + 4 * n. */
size_t nst_igmp_emit_record(enum nst_igmp_record record, const struct nst_addr *group,
                            const struct nst_addr *sources, unsigned n, uint8_t *p);

/* Writes the header of a version 3 report in front of its records: `len` is that of all. */
void nst_igmp_emit_report(unsigned records, uint8_t *p, size_t len);

#endif
