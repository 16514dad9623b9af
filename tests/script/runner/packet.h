/* A packet as a list of named fields, of which each may be known or not.
 *
 * It comes from a script's words (packet_read) or from a frame's bytes (packet_dissect); it can be
 * turned into bytes, unnamed fields taking defaults (packet_build), and compared with another, only
 * the fields that the first one names counting (packet_check). A new protocol is: rows in the table
 * of fields, a table of words, and its bytes there and back.
 *
 * Payloads are a pattern, so that `len` alone says what every byte is: see packet_pattern(). */
#ifndef NST_SCRIPT_PACKET_H
#define NST_SCRIPT_PACKET_H

#include "core/wire/ipv4.h"
#include "script.h"

enum packet_kind {
    KIND_NUMBER,
    KIND_ADDR,
    KIND_MAC,
    KIND_BYTES,
    KIND_IGMP,
    KIND_FLAGS,
    KIND_OPTIONS
};

/* X(symbol, kind, what failures call it). What comes behind IP stands behind IP_SUM_BAD: a later
 * fragment has none of it. */
#define PACKET_FIELDS(X)                                   \
    X(ETH_SRC, MAC, "Ethernet source")                     \
    X(ETH_DST, MAC, "Ethernet destination")                \
    X(ETH_PAD, NUMBER, "padding")                          \
    X(ARP_OP, NUMBER, "ARP operation")                     \
    X(ARP_SHA, MAC, "ARP sender's hardware address")       \
    X(ARP_SPA, ADDR, "ARP sender's address")               \
    X(ARP_THA, MAC, "ARP target's hardware address")       \
    X(ARP_TPA, ADDR, "ARP target's address")               \
    X(IP_SRC, ADDR, "source")                              \
    X(IP_DST, ADDR, "destination")                         \
    X(IP_TTL, NUMBER, "ttl")                               \
    X(IP_TOS, NUMBER, "tos")                               \
    X(IP_ID, NUMBER, "identification")                     \
    X(IP_DF, NUMBER, "df")                                 \
    X(IP_MF, NUMBER, "mf")                                 \
    X(IP_OFF, NUMBER, "fragment offset")                   \
    X(IP_LEN, NUMBER, "length of the IP payload")          \
    X(IP_PROTO, NUMBER, "protocol")                        \
    X(IP_OPTIONS, BYTES, "IP options")                     \
    X(IP_SUM_BAD, NUMBER, "wrong IP header checksum")      \
    X(ICMP_TYPE, NUMBER, "ICMP type")                      \
    X(ICMP_CODE, NUMBER, "ICMP code")                      \
    X(ICMP_ID, NUMBER, "ICMP identifier")                  \
    X(ICMP_SEQ, NUMBER, "ICMP sequence number")            \
    X(ICMP_MTU, NUMBER, "next hop's MTU")                  \
    X(ICMP_POINTER, NUMBER, "pointer")                     \
    X(ICMP_GATEWAY, ADDR, "gateway")                       \
    X(ICMP_QUOTE_LEN, NUMBER, "length of the quotation")   \
    X(IGMP, IGMP, "IGMP message")                          \
    X(UDP_SPORT, NUMBER, "source port")                    \
    X(UDP_DPORT, NUMBER, "destination port")               \
    X(UDP_NO_SUM, NUMBER, "absence of a checksum")         \
    X(TCP_SPORT, NUMBER, "source port")                    \
    X(TCP_DPORT, NUMBER, "destination port")               \
    X(TCP_FLAGS, FLAGS, "flags")                           \
    X(TCP_SEQ, NUMBER, "sequence number")                  \
    X(TCP_ACK, NUMBER, "acknowledgement")                  \
    X(TCP_WIN, NUMBER, "window")                           \
    X(TCP_URG, NUMBER, "urgent pointer")                   \
    X(TCP_OPTIONS, OPTIONS, "options")                     \
    X(TCP_HLEN, NUMBER, "data offset")                     \
    X(TCP_ISN, NUMBER, "initial sequence number")          \
    X(GSO, NUMBER, "segment size left to the device")      \
    X(SUM_BAD, NUMBER, "wrong checksum behind the header") \
    X(LEN, NUMBER, "length of the payload")                \
    X(FILL, NUMBER, "fill of the payload")

enum packet_field {
#define PACKET_FIELD_ENUM(symbol, kind, name) FIELD_##symbol,
    PACKET_FIELDS(PACKET_FIELD_ENUM)
#undef PACKET_FIELD_ENUM
        FIELD_COUNT
};

#define PACKET_BYTES_MAX 256 /* of IP options, or an IGMP message */

struct packet_value {
    bool set;
    uint64_t number;
    struct nst_addr addr;
    struct nst_mac mac;
    size_t len; /* of bytes */
    uint8_t bytes[PACKET_BYTES_MAX];
    bool any[NST_IP_OPTIONS_MAX]; /* KIND_OPTIONS: the byte does not matter */
};

enum packet_shape {
    SHAPE_NONE, /* bytes alone */
    SHAPE_ARP,
    SHAPE_IP,
    SHAPE_TRANSPORT, /* what stands behind an IP header, by itself */
};

struct packet {
    enum packet_shape shape;
    struct packet_value fields[FIELD_COUNT];
    struct packet *quote; /* in an ICMP error */
    bool is_quote;
    size_t payload_at; /* where in the message, or stream, the payload begins */
    /* Dissected: the payload's bytes that are here. */
    const uint8_t *payload;
    size_t payload_len;
};

/* Room for a message longer than any datagram, of which a fragment may be cut. */
#define PACKET_LEN_MAX 70000
#define PACKET_MAX     (PACKET_LEN_MAX + 200)

/* An empty packet to be quoted. It lasts until eight more were asked for: a line needs two. */
struct packet *packet_quote_new(void);

void packet_set(struct packet *p, enum packet_field field, uint64_t number);
void packet_set_addr(struct packet *p, enum packet_field field, const struct nst_addr *addr);
void packet_set_mac(struct packet *p, enum packet_field field, const struct nst_mac *mac);

/* The field's number, or `otherwise` when it is not set. */
uint64_t packet_number(const struct packet *p, enum packet_field field, uint64_t otherwise);

/* Reads the words of a packet. `us` is the MAC address of our end of the link. */
void packet_read(struct script *s, struct packet *p, const struct nst_mac *us);

/* A TCP header's flags as tcpdump writes them, `-` for none. `buf` has 16 bytes. */
const char *packet_print_flags(char *buf, uint8_t flags);

/* Reads what a datagram socket sends or receives: `icmp …`, or a payload alone. */
void packet_read_message(struct script *s, struct packet *p);

/* The byte at `at` of a payload. Shifts by any distance change it; so does another `fill`. */
static inline uint8_t packet_pattern(size_t at, uint64_t fill)
{
    return (uint8_t)(at ^ at >> 8 ^ fill);
}

/* Writes the packet, of up to PACKET_MAX bytes, without a link header for bare IP; its length. */
size_t packet_build(const struct packet *p, enum nst_medium medium, uint8_t *out);
/* The same for the shape TRANSPORT. */
size_t packet_build_message(const struct packet *p, uint8_t *out);

/* Reads a frame (or, with the shape TRANSPORT preset, a message of the protocol that is set).
 * Returns NULL, or what is wrong with it. `data` is referred to. */
const char *packet_dissect(struct packet *p, enum nst_medium medium, const uint8_t *data,
                           size_t len);
const char *packet_dissect_message(struct packet *p, const uint8_t *data, size_t len);

/* Whether `actual` is what `expected` says; if not, `why` of `cap` bytes tells the difference. */
bool packet_check(const struct packet *expected, const struct packet *actual, char *why,
                  size_t cap);

#endif
