#include "frame.h"

#include "core.h"

#define ICMP_PROTO 1
#define TCP_PROTO  6
#define UDP_PROTO  17

/* ---- Fields ------------------------------------------------------------------------------ */

void frame_copy(struct frame *to, const struct frame *from)
{
    to->len = from->len;
    memcpy(to->bytes, from->bytes, from->len);
}

void frame_put16(struct frame *f, size_t at, unsigned value)
{
    f->bytes[at] = (uint8_t)(value >> 8);
    f->bytes[at + 1] = (uint8_t)value;
}

void frame_put32(struct frame *f, size_t at, uint32_t value)
{
    frame_put16(f, at, value >> 16);
    frame_put16(f, at + 2, value & 0xffff);
}

void frame_put_addr(struct frame *f, size_t at, const char *addr)
{
    struct nst_addr a = test_addr(addr);

    memcpy(f->bytes + at, a.bytes, 4);
}

void frame_put_mac(struct frame *f, size_t at, const char *mac)
{
    struct nst_mac m = test_mac(mac);

    memcpy(f->bytes + at, m.bytes, 6);
}

unsigned frame_get16(const struct frame *f, size_t at)
{
    return (unsigned)f->bytes[at] << 8 | f->bytes[at + 1];
}

uint32_t frame_get32(const struct frame *f, size_t at)
{
    return (uint32_t)frame_get16(f, at) << 16 | frame_get16(f, at + 2);
}

/* ---- Checksums, the slow and plain way --------------------------------------------------- */

static uint32_t add(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return sum;
}

static unsigned fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static size_t ip_hlen(const struct frame *f)
{
    return (size_t)(f->bytes[IP] & 15) * 4;
}

/* The sum over the transport's message and, for UDP and TCP, its pseudo-header. */
static unsigned transport_sum(const struct frame *f)
{
    size_t at = IP + ip_hlen(f), len = IP + frame_get16(f, IP_LEN) - at;
    uint32_t sum = 0;

    if (f->bytes[IP_PROTO] == UDP_PROTO)
        len = frame_get16(f, at + 4);
    if (f->bytes[IP_PROTO] != ICMP_PROTO)
        sum = add((uint32_t)(f->bytes[IP_PROTO] + len), f->bytes + IP_SRC, 8);
    return fold(add(sum, f->bytes + at, len));
}

/* Where the transport's checksum stands; 0 when there is none that could be made. */
static size_t transport_sum_at(const struct frame *f)
{
    size_t at = IP + ip_hlen(f), end = IP + frame_get16(f, IP_LEN);

    if (end > f->len || at + 8 > end || frame_get16(f, IP_FRAG) & 0x3fff)
        return 0;
    if (f->bytes[IP_PROTO] == ICMP_PROTO)
        return at + 2;
    if (f->bytes[IP_PROTO] == TCP_PROTO)
        return at + 20 <= end ? at + 16 : 0;
    bool udp = f->bytes[IP_PROTO] == UDP_PROTO && at + frame_get16(f, at + 4) <= end;
    return udp ? at + 6 : 0;
}

static bool is_ip(const struct frame *f)
{
    return f->len >= L4 && frame_get16(f, ETH_TYPE) == 0x0800;
}

void frame_fix(struct frame *f)
{
    if (!is_ip(f) || ip_hlen(f) < 20 || IP + ip_hlen(f) > f->len)
        return;
    frame_put16(f, IP_SUM, 0);
    frame_put16(f, IP_SUM, 0xffff ^ fold(add(0, f->bytes + IP, ip_hlen(f))));
    size_t at = transport_sum_at(f);
    if (at) {
        frame_put16(f, at, 0);
        unsigned sum = 0xffff ^ transport_sum(f);
        frame_put16(f, at, sum || f->bytes[IP_PROTO] != UDP_PROTO ? sum : 0xffff);
    }
}

/* ---- Whole frames ------------------------------------------------------------------------ */

static const char *either(const char *value, const char *usual)
{
    return value ? value : usual;
}

static void put_payload(struct frame *f, const void *payload, size_t len)
{
    assert_true(f->len + len <= FRAME_MAX);
    for (size_t i = 0; !payload && i < len; i++)
        f->bytes[f->len + i] = (uint8_t)(i * 7 + i / 256);
    if (payload)
        memcpy(f->bytes + f->len, payload, len);
    f->len += len;
}

static void put_hex(struct frame *f, const char *text)
{
    struct hex bytes = hex_bytes(text);

    put_payload(f, bytes.p, bytes.len);
    hex_free(bytes);
}

void frame_ip(struct frame *f, const struct frame_ip *ip, const void *payload, size_t len)
{
    memset(f->bytes, 0, L4);
    frame_put_mac(f, ETH_DST, either(ip->mac_dst, US_MAC));
    frame_put_mac(f, ETH_SRC, either(ip->mac_src, PEER_MAC));
    frame_put16(f, ETH_TYPE, 0x0800);
    f->len = L4;
    if (ip->options)
        put_hex(f, ip->options);
    f->bytes[IP] = (uint8_t)(0x40 | (f->len - IP) / 4);
    f->bytes[IP_TOS] = ip->tos;
    frame_put16(f, IP_LEN, (unsigned)(f->len - IP + len));
    frame_put16(f, IP_ID, ip->id);
    frame_put16(f, IP_FRAG, ip->frag);
    f->bytes[IP_TTL] = ip->ttl ? ip->ttl : 64;
    f->bytes[IP_PROTO] = ip->proto;
    frame_put_addr(f, IP_SRC, either(ip->src, PEER));
    frame_put_addr(f, IP_DST, either(ip->dst, US));
    put_payload(f, payload, len);
    frame_fix(f);
}

void frame_udp(struct frame *f, const struct frame_ip *ip, uint16_t sport, uint16_t dport,
               const void *data, size_t len)
{
    struct frame_ip with_proto = *ip;

    with_proto.proto = UDP_PROTO;
    frame_ip(f, &with_proto, "\0\0\0\0\0\0\0", 8);
    size_t at = f->len - 8;
    put_payload(f, data, len);
    frame_put16(f, IP_LEN, (unsigned)(f->len - IP));
    frame_put16(f, at, sport);
    frame_put16(f, at + 2, dport);
    frame_put16(f, at + 4, (unsigned)(8 + len));
    frame_fix(f);
}

void frame_tcp(struct frame *f, const struct frame_ip *ip, const struct frame_tcp *tcp,
               const void *data, size_t len)
{
    static const uint8_t zeros[20];
    struct frame_ip with_proto = *ip;

    with_proto.proto = TCP_PROTO;
    frame_ip(f, &with_proto, zeros, sizeof zeros);
    size_t at = f->len - sizeof zeros;
    if (tcp->options)
        put_hex(f, tcp->options);
    f->bytes[at + 12] = (uint8_t)((f->len - at) / 4 << 4);
    put_payload(f, data, len);
    frame_put16(f, IP_LEN, (unsigned)(f->len - IP));
    frame_put16(f, at, tcp->sport);
    frame_put16(f, at + 2, tcp->dport);
    frame_put32(f, at + 4, tcp->seq);
    frame_put32(f, at + 8, tcp->ack);
    f->bytes[at + 13] = tcp->flags;
    frame_put16(f, at + 14, tcp->wnd);
    frame_put16(f, at + 18, tcp->urg);
    frame_fix(f);
}

void frame_icmp(struct frame *f, const struct frame_ip *ip, uint8_t type, uint8_t code,
                uint32_t rest, const void *data, size_t len)
{
    struct frame_ip with_proto = *ip;

    with_proto.proto = ICMP_PROTO;
    frame_ip(f, &with_proto, "\0\0\0\0\0\0\0", 8);
    size_t at = f->len - 8;
    put_payload(f, data, len);
    frame_put16(f, IP_LEN, (unsigned)(f->len - IP));
    f->bytes[at] = type;
    f->bytes[at + 1] = code;
    frame_put32(f, at + 4, rest);
    frame_fix(f);
}

void frame_echo(struct frame *f, uint16_t id, uint16_t seq, size_t len)
{
    frame_icmp(f, &(struct frame_ip){0}, 8, 0, (uint32_t)id << 16 | seq, NULL, len);
}

void frame_arp(struct frame *f, uint16_t op, const char *sha, const char *spa, const char *tha,
               const char *tpa)
{
    static const uint8_t kind[] = {0, 1, 8, 0, 6, 4};

    memset(f->bytes, 0, ARP_END);
    frame_put_mac(f, ETH_DST, op == 1 ? BROADCAST : US_MAC);
    frame_put_mac(f, ETH_SRC, sha);
    frame_put16(f, ETH_TYPE, 0x0806);
    memcpy(f->bytes + ARP, kind, sizeof kind);
    frame_put16(f, ARP_OP, op);
    frame_put_mac(f, ARP_SHA, sha);
    frame_put_addr(f, ARP_SPA, spa);
    frame_put_mac(f, ARP_THA, tha);
    frame_put_addr(f, ARP_TPA, tpa);
    f->len = ARP_END;
}

void frame_icmp_error(struct frame *f, const char *from, uint8_t type, uint8_t code, uint32_t rest,
                      const struct frame *about, size_t quoted)
{
    struct frame_ip ip = {.src = from, .mac_src = GATEWAY_MAC};

    assert_true(IP + quoted <= about->len);
    frame_icmp(f, &ip, type, code, rest, about->bytes + IP, quoted);
}

void frame_fragment(struct frame *f, const struct frame *whole, size_t off, size_t len)
{
    size_t hlen = ip_hlen(whole), end = frame_get16(whole, IP_LEN) - hlen;
    bool more = off + len < end;

    assert_true(off % 8 == 0 && off + len <= end);
    memcpy(f->bytes, whole->bytes, IP + hlen);
    f->len = IP + hlen;
    put_payload(f, whole->bytes + IP + hlen + off, len);
    frame_put16(f, IP_LEN, (unsigned)(hlen + len));
    frame_put16(f, IP_FRAG, (more ? FRAG_MF : 0) | (unsigned)(off / 8));
    frame_fix(f);
}

/* ---- Judging ----------------------------------------------------------------------------- */

static void assert_ip_sound(const struct frame *f)
{
    unsigned first = f->bytes[IP_SRC];

    assert_int_equal(f->bytes[IP] >> 4, 4);
    assert_true(ip_hlen(f) >= 20 && IP + ip_hlen(f) <= f->len);
    assert_int_equal(frame_get16(f, IP_LEN), f->len - IP);
    assert_int_equal(fold(add(0, f->bytes + IP, ip_hlen(f))), 0xffff);
    assert_true(f->bytes[IP_TTL] > 0);
    assert_true(first > 0 && first < 224 && first != 127);
    assert_false((frame_get16(f, IP_FRAG) & FRAG_DF) && (frame_get16(f, IP_FRAG) & 0x3fff));
    if (transport_sum_at(f))
        assert_int_equal(transport_sum(f), 0xffff);
}

void frame_assert_sound(const struct frame *f, const char *mac)
{
    struct nst_mac ours = test_mac(mac);

    assert_true(f->len >= IP);
    assert_memory_equal(f->bytes + ETH_SRC, ours.bytes, 6);
    if (frame_get16(f, ETH_TYPE) == 0x0800) {
        assert_ip_sound(f);
        return;
    }
    assert_int_equal(frame_get16(f, ETH_TYPE), 0x0806);
    assert_int_equal(f->len, ARP_END);
    assert_memory_equal(f->bytes + ARP_SHA, ours.bytes, 6);
}
