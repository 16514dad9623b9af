/* Fuzzes everything that reads or writes single messages. The first byte of an input chooses what
 * is tried with the rest; the numbers are places in TRIALS and stand in the seeds' names.
 *
 * What a parser accepts, the emitter must write again byte for byte, but for what the format leaves
 * open; libFuzzer hands each input over in a buffer of its size, so that AddressSanitizer sees a
 * read behind it. */
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/arp.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/icmpv4.h"
#include "core/wire/ipv4.h"
#include "core/wire/print.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"

#include "tape.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>

static void try_eth(const uint8_t *p, size_t len)
{
    struct nst_eth eth, again;
    uint8_t out[NST_ETH_HLEN];

    if (nst_eth_parse(&eth, p, len, len))
        return;
    assert(eth.hlen + (size_t)eth.payload_len <= len);
    nst_eth_emit(&eth, out);
    assert(memcmp(out, p, 12) == 0);
    assert(nst_eth_parse(&again, out, sizeof out, sizeof out) == NST_DROP_NONE);
    assert(again.type == eth.type && again.hlen == NST_ETH_HLEN);
}

static void try_arp(const uint8_t *p, size_t len)
{
    struct nst_arp arp;
    uint8_t out[NST_ARP_LEN];

    if (nst_arp_parse(&arp, p, len))
        return;
    nst_arp_emit(&arp, out);
    assert(memcmp(out, p, sizeof out) == 0);
}

/* The same header but for its checksum. */
static void check_ipv4_header(const struct nst_ipv4 *ip, const uint8_t *p)
{
    uint8_t out[NST_IPV4_HLEN_MAX];
    size_t hlen = nst_ipv4_hlen(ip);

    nst_ipv4_emit(ip, out);
    assert(memcmp(out, p, 10) == 0);
    assert(memcmp(out + 12, p + 12, hlen - 12) == 0);
    assert(nst_csum_sum(out, hlen) == UINT16_MAX);
}

static void try_ipv4(const uint8_t *p, size_t len)
{
    struct nst_ipv4 ip;

    if (!nst_ipv4_parse(&ip, p, len, len))
        assert(ip.total_len <= len);
    if (nst_ipv4_parse(&ip, p, len, NST_IPV4_LEN_MAX))
        return;
    check_ipv4_header(&ip, p);
    /* A sum of zeros has two spellings, and a sender may use either. */
    uint16_t sum = nst_load16(p + 10), ours;
    uint8_t out[NST_IPV4_HLEN_MAX];
    nst_ipv4_emit(&ip, out);
    ours = nst_load16(out + 10);
    assert(sum == ours || (sum == UINT16_MAX && ours == 0));
}

static void try_ipv4_quote(const uint8_t *p, size_t len)
{
    struct nst_ipv4 ip;

    if (!nst_ipv4_parse_quote(&ip, p, len))
        check_ipv4_header(&ip, p);
}

/* Good options stay good when only some are kept, and keeping twice changes nothing more. */
static void try_ipv4_options(const uint8_t *p, size_t len)
{
    struct nst_ipv4 ip = {.options_len = (uint8_t)(nst_min(len, NST_IP_OPTIONS_MAX) & ~3U)}, twice;
    uint8_t pointer = NST_IPV4_HLEN;

    memcpy(ip.options, p, ip.options_len);
    enum nst_drop drop = nst_ipv4_options_check(&ip, &pointer);
    assert(pointer >= NST_IPV4_HLEN);
    assert(drop != NST_DROP_ip_option || pointer < nst_ipv4_hlen(&ip));
    nst_ipv4_options_keep_copied(&ip);
    assert(drop || nst_ipv4_options_check(&ip, &pointer) == NST_DROP_NONE);
    twice = ip;
    nst_ipv4_options_keep_copied(&twice);
    assert(twice.options_len == ip.options_len);
    assert(memcmp(twice.options, ip.options, sizeof ip.options) == 0);
}

static void try_icmpv4(const uint8_t *p, size_t len)
{
    struct nst_icmpv4 icmp;
    uint8_t once[NST_ICMPV4_HLEN], twice[NST_ICMPV4_HLEN];

    if (nst_icmpv4_parse(&icmp, p, len))
        return;
    nst_icmpv4_emit(&icmp, once);
    assert(memcmp(once, p, 4) == 0);
    assert(nst_icmpv4_parse(&icmp, once, sizeof once) == NST_DROP_NONE);
    nst_icmpv4_emit(&icmp, twice);
    assert(memcmp(once, twice, sizeof once) == 0);
}

static void try_udp(const uint8_t *p, size_t len)
{
    struct nst_udp udp;
    uint8_t out[NST_UDP_HLEN];

    if (nst_udp_parse(&udp, p, len, len))
        return;
    assert(udp.len <= len);
    nst_udp_emit(&udp, out);
    assert(memcmp(out, p, sizeof out) == 0);
}

/* What is written of a header says the same, and then nothing more is lost by writing it again. */
static void try_tcp(const uint8_t *p, size_t len)
{
    struct nst_tcp tcp;
    uint8_t once[NST_TCP_HLEN_MAX], twice[NST_TCP_HLEN_MAX];

    if (nst_tcp_parse(&tcp, p, len, len))
        return;
    assert(tcp.hlen <= len && tcp.opts.nsacks <= NST_TCP_SACK_MAX);
    size_t emit_len = nst_tcp_emit_len(&tcp);
    assert(emit_len <= sizeof once);
    nst_tcp_emit(&tcp, once);
    assert(tcp.hlen == emit_len);
    assert(memcmp(once, p, 12) == 0 && memcmp(once + 13, p + 13, NST_TCP_HLEN - 13) == 0);
    assert(nst_tcp_parse(&tcp, once, emit_len, emit_len) == NST_DROP_NONE);
    assert(nst_tcp_emit_len(&tcp) == emit_len);
    nst_tcp_emit(&tcp, twice);
    assert(memcmp(once, twice, emit_len) == 0);
}

/* The sum of the whole, from two parts that meet at the place that the first byte names. */
static void try_checksum(const uint8_t *p, size_t len)
{
    uint32_t model = 0;
    size_t cut = len > 0 ? p[0] % len : 0;

    for (size_t i = 0; i < len; i++) {
        model += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        model = (model & UINT16_MAX) + (model >> 16);
    }
    assert(nst_csum_sum(p, len) == model);
    assert(nst_csum_join(nst_csum_sum(p, cut), nst_csum_sum(p + cut, len - cut), cut) == model);
}

/* A line is printable and ends within its buffer, whose size the first byte names. */
static void check_line(enum nst_medium medium, const uint8_t *p, size_t len)
{
    size_t cap = len > 0 ? p[0] + 1U : 1;
    char *buf = malloc(cap);

    assert(buf != NULL && nst_frame_print(buf, cap, medium, p, len) == buf);
    assert(memchr(buf, '\0', cap) != NULL);
    for (const char *s = buf; *s != '\0'; s++)
        assert(*s >= ' ' && *s <= '~');
    free(buf);
}

static void try_print_ethernet(const uint8_t *p, size_t len)
{
    check_line(NST_MEDIUM_ETHERNET, p, len);
}

static void try_print_ip(const uint8_t *p, size_t len)
{
    check_line(NST_MEDIUM_IP, p, len);
}

/* What was read as an address is the same when it was written and read again. */
static void try_addr_text(const uint8_t *p, size_t len)
{
    char *text = calloc(1, len + 1), buf[NST_PREFIX_TEXT];
    struct nst_prefix net = {0}, net2 = {0};
    struct nst_mac mac, mac2;

    assert(text != NULL);
    memcpy(text, p, len);
    if (nst_addr_parse(&net.addr, text))
        assert(nst_addr_parse(&net2.addr, nst_addr_print(buf, &net.addr)) &&
               nst_addr_eq(&net.addr, &net2.addr));
    if (nst_prefix_parse(&net, text))
        assert(nst_prefix_parse(&net2, nst_prefix_print(buf, &net)) && net.len == net2.len &&
               nst_addr_eq(&net.addr, &net2.addr));
    if (nst_mac_parse(&mac, text))
        assert(nst_mac_parse(&mac2, nst_mac_print(buf, &mac)) && nst_mac_eq(&mac, &mac2));
    free(text);
}

static void (*const TRIALS[])(const uint8_t *p, size_t len) = {
    try_eth, try_arp,      try_ipv4,           try_ipv4_quote, try_ipv4_options, try_icmpv4,
    try_udp, try_checksum, try_print_ethernet, try_print_ip,   try_addr_text,    try_tcp,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        TRIALS[data[0] % NST_ARRAY_LEN(TRIALS)](data + 1, size - 1);
    return 0;
}
