/* A packet's fields, to bytes and back. */
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/arp.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/icmpv4.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"
#include "packet.h"

/* ---- To bytes ------------------------------------------------------------------------------ */

static size_t put_pattern(const struct packet *p, uint8_t *out)
{
    size_t len = packet_number(p, FIELD_LEN, 0);
    uint64_t fill = packet_number(p, FIELD_FILL, 0);

    for (size_t i = 0; i < len; i++)
        out[i] = packet_pattern(p->payload_at + i, fill);
    return len;
}

/* Spoils a checksum if the packet asks for it. */
static uint16_t spoilt(const struct packet *p, enum packet_field field, uint16_t sum)
{
    return packet_number(p, field, 0) ? (uint16_t)(sum ^ 0x0101) : sum;
}

static size_t put_quote(const struct packet *p, uint8_t *out)
{
    size_t len = packet_build(p->quote, NST_MEDIUM_IP, out);

    return nst_min(len, packet_number(p, FIELD_ICMP_QUOTE_LEN, len));
}

static size_t put_icmp(const struct packet *p, uint8_t *out)
{
    struct nst_icmpv4 msg = {.type = (uint8_t)packet_number(p, FIELD_ICMP_TYPE, 0),
                             .code = (uint8_t)packet_number(p, FIELD_ICMP_CODE, 0)};
    size_t len = NST_ICMPV4_HLEN;

    switch (msg.type) {
    case NST_ICMPV4_UNREACHABLE:
        msg.mtu = (uint16_t)packet_number(p, FIELD_ICMP_MTU, 0);
        break;
    case NST_ICMPV4_PARAMETER:
        msg.pointer = (uint8_t)packet_number(p, FIELD_ICMP_POINTER, 0);
        break;
    case NST_ICMPV4_REDIRECT:
        msg.gateway = p->fields[FIELD_ICMP_GATEWAY].addr;
        break;
    default:
        msg.echo.id = (uint16_t)packet_number(p, FIELD_ICMP_ID, 0);
        msg.echo.seq = (uint16_t)packet_number(p, FIELD_ICMP_SEQ, 0);
    }
    nst_icmpv4_emit(&msg, out);
    len += p->quote ? put_quote(p, out + len) : put_pattern(p, out + len);
    nst_store16(out + 2, spoilt(p, FIELD_SUM_BAD, nst_csum_finish(nst_csum_sum(out, len))));
    return len;
}

static size_t put_udp(const struct packet *p, uint8_t *out)
{
    struct nst_udp udp = {.sport = (uint16_t)packet_number(p, FIELD_UDP_SPORT, 0),
                          .dport = (uint16_t)packet_number(p, FIELD_UDP_DPORT, 0)};
    size_t len = NST_UDP_HLEN + put_pattern(p, out + NST_UDP_HLEN);

    udp.len = (uint16_t)len;
    nst_udp_emit(&udp, out);
    if (packet_number(p, FIELD_UDP_NO_SUM, 0))
        return len;
    uint16_t pseudo = nst_csum_pseudo(&p->fields[FIELD_IP_SRC].addr, &p->fields[FIELD_IP_DST].addr,
                                      NST_IPPROTO_UDP, udp.len);
    uint16_t sum = nst_csum_finish(nst_csum_join(pseudo, nst_csum_sum(out, len), 0));
    nst_store16(out + 6, spoilt(p, FIELD_SUM_BAD, sum ? sum : UINT16_MAX));
    return len;
}

static size_t put_igmp(const struct packet *p, uint8_t *out)
{
    const struct packet_value *v = &p->fields[FIELD_IGMP];

    memcpy(out, v->bytes, v->len);
    nst_store16(out + 2, spoilt(p, FIELD_SUM_BAD, nst_csum_finish(nst_csum_sum(out, v->len))));
    return v->len;
}

static size_t put_tcp(const struct packet *p, uint8_t *out)
{
    const struct packet_value *options = &p->fields[FIELD_TCP_OPTIONS];
    size_t hlen = NST_TCP_HLEN + options->len, len = hlen + put_pattern(p, out + hlen);

    memset(out, 0, NST_TCP_HLEN);
    nst_store16(out, (uint16_t)packet_number(p, FIELD_TCP_SPORT, 0));
    nst_store16(out + 2, (uint16_t)packet_number(p, FIELD_TCP_DPORT, 0));
    nst_store32(out + 4, (uint32_t)packet_number(p, FIELD_TCP_SEQ, 0));
    nst_store32(out + 8, (uint32_t)packet_number(p, FIELD_TCP_ACK, 0));
    out[12] = (uint8_t)(packet_number(p, FIELD_TCP_HLEN, hlen) / 4 << 4);
    out[13] = (uint8_t)packet_number(p, FIELD_TCP_FLAGS, NST_TCP_ACK);
    nst_store16(out + 14, (uint16_t)packet_number(p, FIELD_TCP_WIN, UINT16_MAX));
    nst_store16(out + 18, (uint16_t)packet_number(p, FIELD_TCP_URG, 0));
    memcpy(out + NST_TCP_HLEN, options->bytes, options->len);
    uint16_t pseudo = nst_csum_pseudo(&p->fields[FIELD_IP_SRC].addr, &p->fields[FIELD_IP_DST].addr,
                                      NST_IPPROTO_TCP, (uint32_t)len);
    uint16_t sum = nst_csum_finish(nst_csum_join(pseudo, nst_csum_sum(out, len), 0));
    nst_store16(out + 16, spoilt(p, FIELD_SUM_BAD, sum));
    return len;
}

size_t packet_build_message(const struct packet *p, uint8_t *out)
{
    switch (packet_number(p, FIELD_IP_PROTO, 0)) {
    case NST_IPPROTO_ICMP:
        return p->fields[FIELD_ICMP_TYPE].set ? put_icmp(p, out) : put_pattern(p, out);
    case NST_IPPROTO_IGMP:
        return p->fields[FIELD_IGMP].set ? put_igmp(p, out) : put_pattern(p, out);
    case NST_IPPROTO_UDP:
        return p->fields[FIELD_UDP_DPORT].set ? put_udp(p, out) : put_pattern(p, out);
    case NST_IPPROTO_TCP:
        return p->fields[FIELD_TCP_DPORT].set ? put_tcp(p, out) : put_pattern(p, out);
    default:
        return put_pattern(p, out);
    }
}

/* Leaves of a message of `len` bytes at `out` the piece that the fragment bears. */
static size_t keep_fragment(const struct nst_ipv4 *ip, const struct packet *p, uint8_t *out,
                            size_t len)
{
    size_t off = nst_min(ip->frag_off, len), rest = len - off;
    size_t n = nst_min(rest, packet_number(p, FIELD_IP_LEN, rest));

    memmove(out, out + off, n);
    return n;
}

static size_t put_ip(const struct packet *p, uint8_t *out)
{
    const struct packet_value *options = &p->fields[FIELD_IP_OPTIONS];
    struct nst_ipv4 ip = {
        .src = p->fields[FIELD_IP_SRC].addr,
        .dst = p->fields[FIELD_IP_DST].addr,
        .tos = (uint8_t)packet_number(p, FIELD_IP_TOS, 0),
        .ttl = (uint8_t)packet_number(p, FIELD_IP_TTL, 64),
        .proto = (uint8_t)packet_number(p, FIELD_IP_PROTO, 253 /* for experiments, RFC 3692 */),
        .df = packet_number(p, FIELD_IP_DF, 0),
        .mf = packet_number(p, FIELD_IP_MF, 0),
        .id = (uint16_t)packet_number(p, FIELD_IP_ID, 1),
        .frag_off = (uint16_t)packet_number(p, FIELD_IP_OFF, 0),
        .options_len = (uint8_t)((options->len + 3) / 4 * 4)};

    memcpy(ip.options, options->bytes, ip.options_len);
    size_t hlen = nst_ipv4_hlen(&ip);
    size_t len = packet_build_message(p, out + hlen);
    len = hlen + keep_fragment(&ip, p, out + hlen, len);
    ip.total_len = (uint16_t)len;
    nst_ipv4_emit(&ip, out);
    nst_store16(out + 10, spoilt(p, FIELD_IP_SUM_BAD, nst_load16(out + 10)));
    return len;
}

static size_t put_arp(const struct packet *p, uint8_t *out)
{
    struct nst_arp arp = {.op = (uint16_t)packet_number(p, FIELD_ARP_OP, 0),
                          .sha = p->fields[FIELD_ARP_SHA].mac,
                          .spa = p->fields[FIELD_ARP_SPA].addr,
                          .tha = p->fields[FIELD_ARP_THA].mac,
                          .tpa = p->fields[FIELD_ARP_TPA].addr};

    nst_arp_emit(&arp, out);
    return NST_ARP_LEN;
}

size_t packet_build(const struct packet *p, enum nst_medium medium, uint8_t *out)
{
    struct nst_eth eth = {.src = p->fields[FIELD_ETH_SRC].mac,
                          .dst = p->fields[FIELD_ETH_DST].mac,
                          .type = p->shape == SHAPE_ARP ? NST_ETHERTYPE_ARP : NST_ETHERTYPE_IPV4};
    size_t hlen = medium == NST_MEDIUM_ETHERNET ? NST_ETH_HLEN : 0;
    size_t pad = packet_number(p, FIELD_ETH_PAD, 0);

    if (hlen)
        nst_eth_emit(&eth, out);
    size_t len = hlen + (p->shape == SHAPE_ARP ? put_arp(p, out + hlen) : put_ip(p, out + hlen));
    memset(out + len, 0, pad);
    return len + pad;
}

/* ---- From bytes ---------------------------------------------------------------------------- */

static const char *take_ip(struct packet *p, const uint8_t *data, size_t len, bool quoted);

static void set_payload(struct packet *p, const uint8_t *data, size_t len, size_t at)
{
    p->payload = data;
    p->payload_len = len;
    p->payload_at = at;
}

static const char *take_quote(struct packet *p, const uint8_t *data, size_t len)
{
    packet_set(p, FIELD_ICMP_QUOTE_LEN, len);
    p->quote = packet_quote_new();
    return take_ip(p->quote, data, len, true);
}

static const char *take_icmp(struct packet *p, const uint8_t *data, size_t len, size_t whole)
{
    struct nst_icmpv4 msg;

    if (nst_icmpv4_parse(&msg, data, len))
        return "an ICMP message that is too short";
    packet_set(p, FIELD_ICMP_TYPE, msg.type);
    packet_set(p, FIELD_ICMP_CODE, msg.code);
    packet_set(p, FIELD_LEN, whole - NST_ICMPV4_HLEN);
    packet_set(p, FIELD_SUM_BAD, nst_csum_finish(nst_csum_sum(data, len)) != 0);
    set_payload(p, data + NST_ICMPV4_HLEN, len - NST_ICMPV4_HLEN, 0);
    switch (msg.type) {
    case NST_ICMPV4_UNREACHABLE:
        packet_set(p, FIELD_ICMP_MTU, msg.mtu);
        break;
    case NST_ICMPV4_PARAMETER:
        packet_set(p, FIELD_ICMP_POINTER, msg.pointer);
        break;
    case NST_ICMPV4_REDIRECT:
        packet_set_addr(p, FIELD_ICMP_GATEWAY, &msg.gateway);
        break;
    default:
        packet_set(p, FIELD_ICMP_ID, msg.echo.id);
        packet_set(p, FIELD_ICMP_SEQ, msg.echo.seq);
    }
    if (!nst_icmpv4_is_error(msg.type))
        return NULL;
    return take_quote(p, p->payload, p->payload_len);
}

static const char *take_udp(struct packet *p, const uint8_t *data, size_t len)
{
    struct nst_udp udp;

    if (len < NST_UDP_HLEN)
        return "a UDP datagram that is too short";
    nst_udp_parse(&udp, data, len, SIZE_MAX);
    packet_set(p, FIELD_UDP_SPORT, udp.sport);
    packet_set(p, FIELD_UDP_DPORT, udp.dport);
    packet_set(p, FIELD_UDP_NO_SUM, udp.checksum == 0);
    packet_set(p, FIELD_LEN, (size_t)udp.len - NST_UDP_HLEN);
    uint16_t pseudo = nst_csum_pseudo(&p->fields[FIELD_IP_SRC].addr, &p->fields[FIELD_IP_DST].addr,
                                      NST_IPPROTO_UDP, udp.len);
    uint16_t sum = nst_csum_join(pseudo, nst_csum_sum(data, len), 0);
    packet_set(p, FIELD_SUM_BAD, udp.checksum != 0 && nst_csum_finish(sum) != 0);
    set_payload(p, data + NST_UDP_HLEN, len - NST_UDP_HLEN, 0);
    return NULL;
}

static const char *take_igmp(struct packet *p, const uint8_t *data, size_t len)
{
    struct packet_value *v = &p->fields[FIELD_IGMP];

    if (len < 8 || len > sizeof v->bytes)
        return "an IGMP message of a strange length";
    *v = (struct packet_value){.set = true, .len = len};
    memcpy(v->bytes, data, len);
    nst_store16(v->bytes + 2, 0);
    packet_set(p, FIELD_SUM_BAD, nst_csum_finish(nst_csum_sum(data, len)) != 0);
    return NULL;
}

/* All of the header but what an ICMP error's quotation may lack. */
static const char *take_tcp_rest(struct packet *p, const uint8_t *data, size_t len, size_t whole)
{
    struct packet_value *options = &p->fields[FIELD_TCP_OPTIONS];
    size_t hlen = (size_t)(data[12] >> 4) * 4;

    if (hlen < NST_TCP_HLEN || hlen > len)
        return "a TCP segment with an impossible data offset";
    if (data[12] & 0xf)
        return "a TCP segment with reserved bits set";
    packet_set(p, FIELD_TCP_ACK, nst_load32(data + 8));
    packet_set(p, FIELD_TCP_FLAGS, data[13]);
    packet_set(p, FIELD_TCP_WIN, nst_load16(data + 14));
    packet_set(p, FIELD_TCP_URG, nst_load16(data + 18));
    packet_set(p, FIELD_TCP_HLEN, hlen);
    packet_set(p, FIELD_LEN, whole - hlen);
    *options = (struct packet_value){.set = true, .len = hlen - NST_TCP_HLEN};
    memcpy(options->bytes, data + NST_TCP_HLEN, options->len);
    uint16_t pseudo = nst_csum_pseudo(&p->fields[FIELD_IP_SRC].addr, &p->fields[FIELD_IP_DST].addr,
                                      NST_IPPROTO_TCP, (uint32_t)whole);
    uint16_t sum = nst_csum_join(pseudo, nst_csum_sum(data, len), 0);
    packet_set(p, FIELD_SUM_BAD, nst_csum_finish(sum) != 0);
    set_payload(p, data + hlen, len - hlen, 0);
    return NULL;
}

static const char *take_tcp(struct packet *p, const uint8_t *data, size_t len, size_t whole)
{
    if (len < 8 || (len < NST_TCP_HLEN && !p->is_quote))
        return "a TCP segment that is too short";
    packet_set(p, FIELD_TCP_SPORT, nst_load16(data));
    packet_set(p, FIELD_TCP_DPORT, nst_load16(data + 2));
    packet_set(p, FIELD_TCP_SEQ, nst_load32(data + 4));
    return len < NST_TCP_HLEN ? NULL : take_tcp_rest(p, data, len, whole);
}

/* `len` bytes are here of the `whole` message's. */
static const char *take_transport(struct packet *p, const uint8_t *data, size_t len, size_t whole)
{
    switch (packet_number(p, FIELD_IP_PROTO, 0)) {
    case NST_IPPROTO_ICMP:
        return take_icmp(p, data, len, whole);
    case NST_IPPROTO_IGMP:
        return take_igmp(p, data, len);
    case NST_IPPROTO_UDP:
        return take_udp(p, data, len);
    case NST_IPPROTO_TCP:
        return take_tcp(p, data, len, whole);
    default:
        packet_set(p, FIELD_LEN, whole);
        set_payload(p, data, len, 0);
        return NULL;
    }
}

static void set_ip(struct packet *p, const struct nst_ipv4 *ip)
{
    struct packet_value *options = &p->fields[FIELD_IP_OPTIONS];

    p->shape = SHAPE_IP;
    packet_set_addr(p, FIELD_IP_SRC, &ip->src);
    packet_set_addr(p, FIELD_IP_DST, &ip->dst);
    packet_set(p, FIELD_IP_TTL, ip->ttl);
    packet_set(p, FIELD_IP_TOS, ip->tos);
    packet_set(p, FIELD_IP_ID, ip->id);
    packet_set(p, FIELD_IP_DF, ip->df);
    packet_set(p, FIELD_IP_MF, ip->mf);
    packet_set(p, FIELD_IP_OFF, ip->frag_off);
    packet_set(p, FIELD_IP_LEN, ip->total_len - nst_ipv4_hlen(ip));
    packet_set(p, FIELD_IP_PROTO, ip->proto);
    packet_set(p, FIELD_IP_SUM_BAD, 0);
    *options = (struct packet_value){.set = true, .len = ip->options_len};
    memcpy(options->bytes, ip->options, ip->options_len);
}

/* What a later fragment bears lies behind the transport's header. */
static const char *take_later_fragment(struct packet *p, const struct nst_ipv4 *ip,
                                       const uint8_t *data, size_t len)
{
    size_t header = ip->proto == NST_IPPROTO_ICMP || ip->proto == NST_IPPROTO_UDP ? 8 : 0;

    set_payload(p, data, len, ip->frag_off - header);
    return NULL;
}

static const char *take_ip(struct packet *p, const uint8_t *data, size_t len, bool quoted)
{
    struct nst_ipv4 ip;

    if (quoted ? nst_ipv4_parse_quote(&ip, data, len) : nst_ipv4_parse(&ip, data, len, len))
        return "a malformed IP header";
    size_t hlen = nst_ipv4_hlen(&ip), whole = ip.total_len - hlen;
    set_ip(p, &ip);
    if (!quoted && len != ip.total_len)
        return "bytes behind the IP packet";
    if (ip.frag_off > 0)
        return take_later_fragment(p, &ip, data + hlen, len - hlen);
    const char *wrong = take_transport(p, data + hlen, nst_min(len - hlen, whole), whole);
    /* A part of a message does not tell whether the checksum of the whole is right. */
    if (ip.mf || quoted)
        p->fields[FIELD_SUM_BAD].set = false;
    return wrong;
}

static const char *take_arp(struct packet *p, const uint8_t *data, size_t len)
{
    struct nst_arp arp;

    p->shape = SHAPE_ARP;
    if (nst_arp_parse(&arp, data, len))
        return "a malformed ARP packet";
    packet_set(p, FIELD_ARP_OP, arp.op);
    packet_set_mac(p, FIELD_ARP_SHA, &arp.sha);
    packet_set_addr(p, FIELD_ARP_SPA, &arp.spa);
    packet_set_mac(p, FIELD_ARP_THA, &arp.tha);
    packet_set_addr(p, FIELD_ARP_TPA, &arp.tpa);
    return NULL;
}

const char *packet_dissect(struct packet *p, enum nst_medium medium, const uint8_t *data,
                           size_t len)
{
    struct nst_eth eth;

    if (medium == NST_MEDIUM_IP)
        return take_ip(p, data, len, false);
    if (nst_eth_parse(&eth, data, len, len))
        return "a malformed Ethernet header";
    packet_set_mac(p, FIELD_ETH_SRC, &eth.src);
    packet_set_mac(p, FIELD_ETH_DST, &eth.dst);
    if (eth.type == NST_ETHERTYPE_ARP)
        return take_arp(p, data + NST_ETH_HLEN, len - NST_ETH_HLEN);
    if (eth.type == NST_ETHERTYPE_IPV4)
        return take_ip(p, data + NST_ETH_HLEN, len - NST_ETH_HLEN, false);
    return "an unknown EtherType";
}

const char *packet_dissect_message(struct packet *p, const uint8_t *data, size_t len)
{
    p->shape = SHAPE_TRANSPORT;
    return take_transport(p, data, len, len);
}
