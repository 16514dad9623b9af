/* A line is built as the frame is: each put_*() says what its layer knows and hands what follows to
 * the next. The parsers are the stack's own, in the forms that don't insist on lengths and
 * checksums, since a frame may be cut and a bad one is all the more worth a look. Where the bytes
 * end before the story does, the line says "[cut]".
 *
 * Nothing of a frame gets into the text but as a number or an address. */
#include "core/wire/print.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/text.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"
#include "core/wire/icmpv4.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"

#define IPV6_HLEN 40

/* Bytes of a frame from some layer on. */
struct view {
    const uint8_t *p;
    size_t len;
};

static struct view behind(struct view v, size_t n)
{
    n = nst_min(n, v.len);
    return (struct view){v.p + n, v.len - n};
}

static struct view first(struct view v, size_t n)
{
    return (struct view){v.p, nst_min(n, v.len)};
}

/* ---- Words ------------------------------------------------------------------------------- */

static void put_field(struct nst_text *t, const char *name, uint64_t value)
{
    nst_text_str(t, name);
    nst_text_dec(t, value);
}

static void put_addr(struct nst_text *t, const struct nst_addr *a)
{
    char buf[NST_ADDR_TEXT];

    nst_text_str(t, nst_addr_print(buf, a));
}

static void put_mac(struct nst_text *t, const struct nst_mac *m)
{
    char buf[NST_MAC_TEXT];

    nst_text_str(t, nst_mac_print(buf, m));
}

/* What is wrong with a header, by the name that the statistics use; `cut` is the reason that says
 * no more than that there is too little of it. */
static void put_drop(struct nst_text *t, enum nst_drop drop, enum nst_drop cut)
{
    nst_text_str(t, " [");
    nst_text_str(t, drop == cut ? "cut" : nst_drop_name((uint16_t)drop));
    nst_text_char(t, ']');
}

/* ---- ICMP -------------------------------------------------------------------------------- */

static void put_unreachable(struct nst_text *t, const struct nst_icmpv4 *icmp)
{
    static const char *const codes[] = {
        [NST_ICMPV4_NET] = "net unreachable",
        [NST_ICMPV4_HOST] = "host unreachable",
        [NST_ICMPV4_PROTOCOL] = "protocol unreachable",
        [NST_ICMPV4_PORT] = "port unreachable",
        [NST_ICMPV4_FRAG_NEEDED] = "fragmentation needed, mtu ",
        [NST_ICMPV4_SOURCE_ROUTE] = "source route failed",
    };

    if (icmp->code >= NST_ARRAY_LEN(codes)) {
        put_field(t, "unreachable, code ", icmp->code);
        return;
    }
    nst_text_str(t, codes[icmp->code]);
    if (icmp->code == NST_ICMPV4_FRAG_NEEDED)
        nst_text_dec(t, icmp->mtu);
}

static void put_redirect(struct nst_text *t, const struct nst_icmpv4 *icmp)
{
    nst_text_str(t, icmp->code == NST_ICMPV4_NET ? "redirect net to " : "redirect host to ");
    put_addr(t, &icmp->gateway);
}

/* A message of a type that asks or answers and bears an identifier; NULL for all others. */
static const char *query_name(uint8_t type)
{
    static const char *const names[] = {
        [NST_ICMPV4_ECHO_REPLY] = "echo reply",
        [NST_ICMPV4_ECHO] = "echo request",
        [NST_ICMPV4_TIMESTAMP] = "timestamp request",
        [NST_ICMPV4_TIMESTAMP_REPLY] = "timestamp reply",
        [NST_ICMPV4_MASK] = "address mask request",
        [NST_ICMPV4_MASK_REPLY] = "address mask reply",
    };

    return type < NST_ARRAY_LEN(names) ? names[type] : NULL;
}

static void put_query(struct nst_text *t, const struct nst_icmpv4 *icmp)
{
    nst_text_str(t, query_name(icmp->type));
    put_field(t, ", id ", icmp->echo.id);
    put_field(t, ", seq ", icmp->echo.seq);
}

static void put_other_icmpv4(struct nst_text *t, const struct nst_icmpv4 *icmp)
{
    put_field(t, "type ", icmp->type);
    put_field(t, ", code ", icmp->code);
}

static void put_icmpv4_header(struct nst_text *t, const struct nst_icmpv4 *icmp)
{
    switch (icmp->type) {
    case NST_ICMPV4_UNREACHABLE:
        put_unreachable(t, icmp);
        break;
    case NST_ICMPV4_SOURCE_QUENCH:
        nst_text_str(t, "source quench");
        break;
    case NST_ICMPV4_REDIRECT:
        put_redirect(t, icmp);
        break;
    case NST_ICMPV4_TIME_EXCEEDED:
        nst_text_str(t, icmp->code == NST_ICMPV4_TTL ? "time exceeded in transit"
                                                     : "reassembly time exceeded");
        break;
    case NST_ICMPV4_PARAMETER:
        put_field(t, "parameter problem at byte ", icmp->pointer);
        break;
    default:
        if (query_name(icmp->type) != NULL)
            put_query(t, icmp);
        else
            put_other_icmpv4(t, icmp);
    }
}

/* Whether a packet follows the header: RFC 792's errors quote the one that they are about. */
static bool quotes(uint8_t type)
{
    switch (type) {
    case NST_ICMPV4_UNREACHABLE:
    case NST_ICMPV4_SOURCE_QUENCH:
    case NST_ICMPV4_REDIRECT:
    case NST_ICMPV4_TIME_EXCEEDED:
    case NST_ICMPV4_PARAMETER:
        return true;
    default:
        return false;
    }
}

static void put_ipv4(struct nst_text *t, struct view pkt, bool quoted);

/* A message of `full` bytes in its packet, that a frame may have cut. In a `quoted` one nothing is
 * looked for that it might quote itself. */
static void put_icmpv4(struct nst_text *t, struct view msg, size_t full, bool quoted)
{
    struct nst_icmpv4 icmp;

    nst_text_str(t, "ICMP");
    if (nst_icmpv4_parse(&icmp, msg.p, msg.len)) {
        nst_text_str(t, " [cut]");
        return;
    }
    nst_text_char(t, ' ');
    put_icmpv4_header(t, &icmp);
    put_field(t, ", length ", full);
    if (!quoted && quotes(icmp.type)) {
        nst_text_str(t, ", quoting ");
        put_ipv4(t, behind(msg, NST_ICMPV4_HLEN), true);
    }
}

/* ---- Transports -------------------------------------------------------------------------- */

struct ports {
    uint16_t src, dst;
};

/* Who sends to whom; ports, where there are any, stand with the addresses as in 10.0.0.1.53. */
static void put_ends(struct nst_text *t, const struct nst_ipv4 *ip, const struct ports *ports)
{
    put_addr(t, &ip->src);
    if (ports != NULL)
        put_field(t, ".", ports->src);
    nst_text_str(t, " > ");
    put_addr(t, &ip->dst);
    if (ports != NULL)
        put_field(t, ".", ports->dst);
    nst_text_str(t, ": ");
}

static void put_udp(struct nst_text *t, const struct nst_ipv4 *ip, struct view dgram)
{
    struct nst_udp udp;
    enum nst_drop drop = nst_udp_parse(&udp, dgram.p, dgram.len, SIZE_MAX);

    put_ends(t, ip, drop ? NULL : &(struct ports){udp.sport, udp.dport});
    nst_text_str(t, "UDP");
    if (drop)
        put_drop(t, drop, NST_DROP_udp_short);
    else
        put_field(t, ", length ", udp.len - NST_UDP_HLEN);
}

static void put_tcp_flags(struct nst_text *t, uint8_t flags)
{
    static const char letters[] = "FSRP.UEW"; /* from the lowest bit on */

    nst_text_str(t, "Flags [");
    for (unsigned bit = 0; bit < 8; bit++)
        if (flags & 1U << bit)
            nst_text_char(t, letters[bit]);
    nst_text_str(t, flags ? "]" : "none]");
}

static void put_sacks(struct nst_text *t, const struct nst_tcp_opts *opts)
{
    put_field(t, "sack ", opts->nsacks);
    nst_text_char(t, ' ');
    for (unsigned i = 0; i < opts->nsacks; i++) {
        put_field(t, "{", opts->sacks[i].start.v);
        put_field(t, ":", opts->sacks[i].end.v);
        nst_text_char(t, '}');
    }
}

/* What the parser has found in an option of this kind. */
static void put_tcp_option(struct nst_text *t, uint8_t kind, const struct nst_tcp_opts *found)
{
    if (kind == NST_TCP_OPT_NOP) {
        nst_text_str(t, "nop");
    } else if (found->mss) {
        put_field(t, "mss ", found->mss);
    } else if (found->has_wscale) {
        put_field(t, "wscale ", found->wscale);
    } else if (found->sack_ok) {
        nst_text_str(t, "sackOK");
    } else if (found->nsacks) {
        put_sacks(t, found);
    } else if (found->has_ts) {
        put_field(t, "TS val ", found->ts_val);
        put_field(t, " ecr ", found->ts_ecr);
    } else if (found->has_fastopen) {
        nst_text_str(t, found->fastopen.len ? "tfo cookie" : "tfo cookiereq");
    } else { /* one that says nothing to this host */
        put_field(t, "kind ", kind);
    }
}

/* The first of the options, of which there is at least one byte; returns what is left of them. */
static struct view put_first_tcp_option(struct nst_text *t, struct view v)
{
    struct nst_tcp_opts found = {0};
    bool end = v.p[0] == NST_TCP_OPT_END;
    size_t len = end ? 0 : nst_tcp_option_parse(&found, v.p, v.len);

    if (len == 0) {
        nst_text_str(t, end ? "eol" : "bad");
        return behind(v, v.len);
    }
    put_tcp_option(t, v.p[0], &found);
    return behind(v, len);
}

static void put_tcp_options(struct nst_text *t, struct view v)
{
    for (const char *separator = ", options ["; v.len > 0; separator = ",") {
        nst_text_str(t, separator);
        v = put_first_tcp_option(t, v);
    }
    nst_text_char(t, ']');
}

/* As tcpdump does: a sequence number where it matters, with its end where there are data. */
static void put_tcp_header(struct nst_text *t, const struct nst_tcp *tcp, size_t data_len)
{
    put_tcp_flags(t, tcp->flags);
    if (data_len > 0 || tcp->flags & (NST_TCP_SYN | NST_TCP_FIN | NST_TCP_RST))
        put_field(t, ", seq ", tcp->seq.v);
    if (data_len > 0)
        put_field(t, ":", nst_seq_add(tcp->seq, (uint32_t)data_len).v);
    if (tcp->flags & NST_TCP_ACK)
        put_field(t, ", ack ", tcp->ack.v);
    put_field(t, ", win ", tcp->wnd);
    if (tcp->flags & NST_TCP_URG)
        put_field(t, ", urg ", tcp->urg);
}

/* The beginning that every ICMP error quotes (RFC 792): ports and sequence number. */
#define TCP_QUOTE 8

static void put_cut_tcp(struct nst_text *t, const struct nst_ipv4 *ip, struct view segment,
                        enum nst_drop drop)
{
    if (segment.len < TCP_QUOTE) {
        put_ends(t, ip, NULL);
        nst_text_str(t, "TCP");
    } else {
        put_ends(t, ip, &(struct ports){nst_load16(segment.p), nst_load16(segment.p + 2)});
        put_field(t, "TCP, seq ", nst_load32(segment.p + 4));
    }
    put_drop(t, drop, NST_DROP_tcp_short);
}

static void put_tcp(struct nst_text *t, const struct nst_ipv4 *ip, struct view segment, size_t full)
{
    struct nst_tcp tcp;
    enum nst_drop drop = nst_tcp_parse(&tcp, segment.p, segment.len, full);

    if (drop) {
        put_cut_tcp(t, ip, segment, drop);
        return;
    }
    put_ends(t, ip, &(struct ports){tcp.sport, tcp.dport});
    put_tcp_header(t, &tcp, full - tcp.hlen);
    if (tcp.hlen > NST_TCP_HLEN)
        put_tcp_options(t, behind(first(segment, tcp.hlen), NST_TCP_HLEN));
    put_field(t, ", length ", full - tcp.hlen);
}

/* ---- IP ---------------------------------------------------------------------------------- */

/* The payload of a datagram or of its first fragment: `full` bytes of which `data` are here. */
static void put_payload(struct nst_text *t, const struct nst_ipv4 *ip, struct view data,
                        size_t full, bool quoted)
{
    switch (ip->proto) {
    case NST_IPPROTO_ICMP:
        put_ends(t, ip, NULL);
        put_icmpv4(t, data, full, quoted);
        break;
    case NST_IPPROTO_UDP:
        put_udp(t, ip, data);
        break;
    case NST_IPPROTO_TCP:
        put_tcp(t, ip, data, full);
        break;
    default:
        put_ends(t, ip, NULL);
        put_field(t, "protocol ", ip->proto);
        put_field(t, ", length ", full);
    }
}

/* Fragments behind the first hold no header to read. */
static void put_later_fragment(struct nst_text *t, const struct nst_ipv4 *ip)
{
    put_ends(t, ip, NULL);
    if (ip->proto == NST_IPPROTO_ICMP)
        nst_text_str(t, "ICMP");
    else if (ip->proto == NST_IPPROTO_UDP)
        nst_text_str(t, "UDP");
    else if (ip->proto == NST_IPPROTO_TCP)
        nst_text_str(t, "TCP");
    else
        put_field(t, "protocol ", ip->proto);
}

/* " (frag ID:LENGTH@OFFSET+)"; the plus says that more are to come. */
static void put_fragment(struct nst_text *t, const struct nst_ipv4 *ip, size_t full)
{
    put_field(t, " (frag ", ip->id);
    put_field(t, ":", full);
    put_field(t, "@", ip->frag_off);
    nst_text_str(t, ip->mf ? "+)" : ")");
}

static void put_ipv4(struct nst_text *t, struct view pkt, bool quoted)
{
    struct nst_ipv4 ip;
    enum nst_drop drop = nst_ipv4_parse_quote(&ip, pkt.p, pkt.len);

    nst_text_str(t, "IP");
    if (drop) {
        put_drop(t, drop, NST_DROP_ip_short);
        return;
    }
    if (ip.total_len < nst_ipv4_hlen(&ip)) {
        put_drop(t, NST_DROP_ip_len, NST_DROP_ip_short);
        return;
    }
    size_t full = ip.total_len - nst_ipv4_hlen(&ip);
    nst_text_char(t, ' ');
    if (ip.frag_off == 0)
        put_payload(t, &ip, first(behind(pkt, nst_ipv4_hlen(&ip)), full), full, quoted);
    else
        put_later_fragment(t, &ip);
    if (ip.frag_off > 0 || ip.mf)
        put_fragment(t, &ip, full);
}

static struct nst_addr load_ipv6(const uint8_t *p)
{
    struct nst_addr addr = {.family = NST_AF_INET6};

    memcpy(addr.bytes, p, sizeof addr.bytes);
    return addr;
}

static void put_ipv6(struct nst_text *t, struct view pkt)
{
    nst_text_str(t, "IP6");
    if (pkt.len < IPV6_HLEN || pkt.p[0] >> 4 != 6) {
        put_drop(t, pkt.len < IPV6_HLEN ? NST_DROP_ip_short : NST_DROP_ip_version,
                 NST_DROP_ip_short);
        return;
    }
    struct nst_addr src = load_ipv6(pkt.p + 8), dst = load_ipv6(pkt.p + 24);
    nst_text_char(t, ' ');
    put_addr(t, &src);
    nst_text_str(t, " > ");
    put_addr(t, &dst);
    put_field(t, ": next-header ", pkt.p[6]);
    put_field(t, ", length ", nst_load16(pkt.p + 4));
}

/* A packet on a link without headers, where the version field tells the families apart. */
static void put_ip(struct nst_text *t, struct view pkt)
{
    if (pkt.len > 0 && pkt.p[0] >> 4 == 6)
        put_ipv6(t, pkt);
    else
        put_ipv4(t, pkt, false);
}

/* ---- Ethernet ---------------------------------------------------------------------------- */

static void put_arp(struct nst_text *t, struct view pkt)
{
    struct nst_arp arp;
    enum nst_drop drop = nst_arp_parse(&arp, pkt.p, pkt.len);

    nst_text_str(t, "ARP");
    if (drop) {
        put_drop(t, pkt.len < NST_ARP_LEN ? NST_DROP_runt : drop, NST_DROP_runt);
    } else if (arp.op == NST_ARP_REQUEST) {
        nst_text_str(t, " who-has ");
        put_addr(t, &arp.tpa);
        nst_text_str(t, " tell ");
        put_addr(t, &arp.spa);
    } else {
        nst_text_str(t, " reply ");
        put_addr(t, &arp.spa);
        nst_text_str(t, " is-at ");
        put_mac(t, &arp.sha);
    }
}

/* A frame of a kind that this host does not speak: EtherType, or 802.3 length with LLC behind. */
static void put_unknown(struct nst_text *t, const struct nst_eth *eth)
{
    put_mac(t, &eth->src);
    nst_text_str(t, " > ");
    put_mac(t, &eth->dst);
    if (eth->type <= NST_ETH_LEN_MAX) {
        put_field(t, ": 802.3, length ", eth->type);
    } else {
        nst_text_str(t, ": ethertype 0x");
        nst_text_hex(t, eth->type, 4);
    }
}

static void put_ethernet(struct nst_text *t, struct view frame)
{
    struct nst_eth eth;
    enum nst_drop drop = nst_eth_parse(&eth, frame.p, frame.len, SIZE_MAX);

    if (drop == NST_DROP_runt) {
        nst_text_str(t, "Ethernet");
        put_drop(t, drop, NST_DROP_runt);
        return;
    }
    struct view payload = behind(frame, eth.hlen);
    if (eth.payload_len > 0)
        payload = first(payload, eth.payload_len);
    switch (eth.type) {
    case NST_ETHERTYPE_ARP:
        put_arp(t, payload);
        break;
    case NST_ETHERTYPE_IPV4:
        put_ipv4(t, payload, false);
        break;
    case NST_ETHERTYPE_IPV6:
        put_ipv6(t, payload);
        break;
    default:
        put_unknown(t, &eth);
    }
}

char *nst_frame_print(char *buf, size_t cap, enum nst_medium medium, const uint8_t *p, size_t len)
{
    struct nst_text t = nst_text_init(buf, cap);

    if (medium == NST_MEDIUM_ETHERNET)
        put_ethernet(&t, (struct view){p, len});
    else
        put_ip(&t, (struct view){p, len});
    return buf;
}
