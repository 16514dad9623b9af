/* Frames for tests of the whole stack: built from fields, bent, and judged again when the stack
 * sends some, all without the code under test. */
#ifndef NST_TESTS_FRAME_H
#define NST_TESTS_FRAME_H

#include "netstack/netstack.h"

#include "unit.h"

#define FRAME_MAX 65600

struct frame {
    size_t len;
    uint8_t bytes[FRAME_MAX];
};

/* Where fields stand, behind an IP header without options. */
enum frame_field {
    ETH_DST = 0,
    ETH_SRC = 6,
    ETH_TYPE = 12,
    IP = 14,
    IP_TOS = 15,
    IP_LEN = 16,
    IP_ID = 18,
    IP_FRAG = 20,
    IP_TTL = 22,
    IP_PROTO = 23,
    IP_SUM = 24,
    IP_SRC = 26,
    IP_DST = 30,
    L4 = 34,
    ICMP_TYPE = L4,
    ICMP_CODE = L4 + 1,
    ICMP_SUM = L4 + 2,
    ICMP_REST = L4 + 4,
    ICMP_DATA = L4 + 8,
    UDP_SPORT = L4,
    UDP_DPORT = L4 + 2,
    UDP_LEN = L4 + 4,
    UDP_SUM = L4 + 6,
    UDP_DATA = L4 + 8,
    TCP_SPORT = L4,
    TCP_DPORT = L4 + 2,
    TCP_SEQ = L4 + 4,
    TCP_ACK = L4 + 8,
    TCP_HLEN = L4 + 12,
    TCP_FLAGS = L4 + 13,
    TCP_WND = L4 + 14,
    TCP_SUM = L4 + 16,
    TCP_URG = L4 + 18,
    TCP_OPTIONS = L4 + 20,
    ARP = 14,
    ARP_OP = ARP + 6,
    ARP_SHA = ARP + 8,
    ARP_SPA = ARP + 14,
    ARP_THA = ARP + 18,
    ARP_TPA = ARP + 24,
    ARP_END = ARP + 28,
};

#define FRAG_DF 0x4000
#define FRAG_MF 0x2000

/* Who is who: this host, a neighbour, the gateway, a station that nobody has heard of, and a host
 * behind the gateway. */
#define US          "192.0.2.1"
#define PEER        "192.0.2.2"
#define GATEWAY     "192.0.2.254"
#define STRANGER    "192.0.2.77"
#define FAR         "198.51.100.7"
#define US_MAC      "02:00:00:00:00:01"
#define PEER_MAC    "02:00:00:00:00:02"
#define GATEWAY_MAC "02:00:00:00:00:fe"
#define BROADCAST   "ff:ff:ff:ff:ff:ff"

/* An IP header's fields. What is left out: from PEER to US, ttl 64. */
struct frame_ip {
    const char *mac_src, *mac_dst;
    const char *src, *dst;
    uint8_t proto, ttl, tos;
    uint16_t id;
    uint16_t frag;       /* flags, and the offset in units of 8 bytes */
    const char *options; /* hexadecimal, a multiple of four bytes */
};

/* Each writes a whole frame with right checksums. NULL data stands for a pattern. */
void frame_ip(struct frame *f, const struct frame_ip *ip, const void *payload, size_t len);
void frame_udp(struct frame *f, const struct frame_ip *ip, uint16_t sport, uint16_t dport,
               const void *data, size_t len);

/* A TCP segment's fields. */
struct frame_tcp {
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t wnd, urg;
    const char *options; /* hexadecimal, a multiple of four bytes */
};

void frame_tcp(struct frame *f, const struct frame_ip *ip, const struct frame_tcp *tcp,
               const void *data, size_t len);
void frame_icmp(struct frame *f, const struct frame_ip *ip, uint8_t type, uint8_t code,
                uint32_t rest, const void *data, size_t len);
void frame_echo(struct frame *f, uint16_t id, uint16_t seq, size_t len);
void frame_arp(struct frame *f, uint16_t op, const char *sha, const char *spa, const char *tha,
               const char *tpa);

/* An ICMP error from `from` about the IP packet in `about`, of which `quoted` bytes are quoted. */
void frame_icmp_error(struct frame *f, const char *from, uint8_t type, uint8_t code, uint32_t rest,
                      const struct frame *about, size_t quoted);

/* The fragment of the IP packet in `whole` that holds `len` bytes of its payload from `off`. */
void frame_fragment(struct frame *f, const struct frame *whole, size_t off, size_t len);

/* A frame that came out is no larger than it must be: this copies it to where it can be changed. */
void frame_copy(struct frame *to, const struct frame *from);

void frame_put16(struct frame *f, size_t at, unsigned value);
void frame_put32(struct frame *f, size_t at, uint32_t value);
void frame_put_addr(struct frame *f, size_t at, const char *addr);
void frame_put_mac(struct frame *f, size_t at, const char *mac);
unsigned frame_get16(const struct frame *f, size_t at);
uint32_t frame_get32(const struct frame *f, size_t at);

/* Makes the checksums right again after fields were changed, as far as the lengths make sense. */
void frame_fix(struct frame *f);

/* Fails the test unless the frame is one that a host may send: whole, with right lengths and
 * checksums, from `mac`, and from a source address that can be a host's. */
void frame_assert_sound(const struct frame *f, const char *mac);

#endif
