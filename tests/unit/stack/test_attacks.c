/* Attacks by single frames: what broke other stacks, one test a row, named by the row's number in
 * the project's list of attacks and the name under which it became known.
 *
 * Each frame must be dropped for the reason given, counted once, change nothing, and cause nothing
 * to be sent, or exactly the ICMP message that the RFCs allow; afterwards an unrelated ping is
 * answered. Floods and fragments are in test_floods.c and test_fragments.c.
 *
 * Rows: 4 25 38 40 44 45 47 48 49 52 78 79 80 83 86 87 88 96 98 101 104 107 112 113 117 118 123 137
 * 149 159 167 180 187 189 190 195 196 205 216 229 258 264 265 273 279 280 281 307 308 310 326 328
 * 329 330.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/base/drop.h"

#include "../harness.h"

#define OPEN_PORT 5000

/* ---- What the frames are bent from -------------------------------------------------------- */

static void echo(struct frame *f)
{
    frame_echo(f, 1, 1, 32);
}

static void udp(struct frame *f)
{
    frame_udp(f, &(struct frame_ip){0}, 40000, OPEN_PORT, NULL, 32);
}

static void udp_closed(struct frame *f)
{
    frame_udp(f, &(struct frame_ip){0}, 40000, 9, NULL, 32);
}

/* A UDP datagram with a broadcast MAC destination, as those to groups have. */
static void udp_group(struct frame *f)
{
    frame_udp(f, &(struct frame_ip){.mac_dst = BROADCAST, .dst = "192.0.2.255"}, 40000, 9, NULL,
              32);
}

static void tunnel(struct frame *f)
{
    struct frame inner;

    frame_udp(&inner, &(struct frame_ip){0}, 1, 2, NULL, 16);
    frame_ip(f, &(struct frame_ip){.proto = 4}, inner.bytes + IP, inner.len - IP);
}

static void tcp_syn(struct frame *f)
{
    static const uint8_t syn[20] = {0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff};

    frame_ip(f, &(struct frame_ip){.proto = 6}, syn, sizeof syn);
}

static void igmp_query(struct frame *f)
{
    static const uint8_t query[8] = {0x11, 100, 0xee, 0x9b};

    frame_ip(f, &(struct frame_ip){.proto = 2, .dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"},
             query, sizeof query);
}

static void igmp_v3_query(struct frame *f)
{
    static const uint8_t query[20] = {0x11, 100, 0,   0, 0xe8, 1, 2,   3, 2, 125,
                                      0,    2,   192, 0, 2,    7, 192, 0, 2, 8};

    frame_ip(f, &(struct frame_ip){.proto = 2, .dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"},
             query, sizeof query);
}

static void icmpv6_in_ipv4(struct frame *f)
{
    frame_ip(f, &(struct frame_ip){.proto = 58}, NULL, 24);
}

/* An ICMP error about a datagram from our open port. */
static void error_with(struct frame *f, const struct frame_ip *about, uint8_t type, uint8_t code)
{
    struct frame ours;

    frame_udp(&ours, about, OPEN_PORT, 53, NULL, 32);
    frame_icmp_error(f, GATEWAY, type, code, 0, &ours, ours.len - IP);
}

static void unreachable(struct frame *f)
{
    error_with(f, &(struct frame_ip){.src = US, .dst = FAR}, 3, 3);
}

static void unreachable_options(struct frame *f)
{
    const char *nops = "01010101010101010101 01010101010101010101 01010101010101010101 "
                       "01010101010101010100";

    error_with(f, &(struct frame_ip){.src = US, .dst = FAR, .options = nops}, 3, 3);
}

static void unreachable_bad_option(struct frame *f)
{
    frame_icmp(f, &(struct frame_ip){.options = "4d 29 0000"}, 3, 3, 0, NULL, 28);
}

static void redirect(struct frame *f)
{
    error_with(f, &(struct frame_ip){.src = US, .dst = FAR}, 5, 1);
    frame_put_addr(f, ICMP_REST, PEER);
    frame_fix(f);
}

static void mask_reply(struct frame *f)
{
    frame_icmp(f, &(struct frame_ip){0}, 18, 0, 1, "\xff\0\0\0", 4);
}

static void echo_lsrr(struct frame *f)
{
    frame_icmp(f, &(struct frame_ip){.options = "830704 c6336407 00"}, 8, 0, 1, NULL, 16);
}

static void udp_ssrr(struct frame *f)
{
    frame_udp(f, &(struct frame_ip){.options = "890704 c6336407 00"}, 1, OPEN_PORT, NULL, 16);
}

/* Two source routes, the second of which runs out of the header. */
static void udp_two_routes(struct frame *f)
{
    const char *options = "830704 c6336407 8927 04 c6336407 c6336407";

    frame_udp(f, &(struct frame_ip){.options = options}, 1, 9, NULL, 16);
}

static void udp_bad_option(struct frame *f)
{
    frame_udp(f, &(struct frame_ip){.options = "4d 29 0000"}, 1, OPEN_PORT, NULL, 16);
}

static void udp_closed_options(struct frame *f)
{
    const char *record_route =
        "07 27 04 000000000000000000000000000000000000000000000000000000000000"
        "000000000000 00";

    frame_udp(f, &(struct frame_ip){.options = record_route}, 1, 9, NULL, 600);
}

static void arp_request(struct frame *f)
{
    frame_arp(f, 1, "02:00:00:00:00:4d", STRANGER, "00:00:00:00:00:00", US);
}

static void arp_reply(struct frame *f)
{
    frame_arp(f, 2, "02:00:00:00:00:4d", STRANGER, US_MAC, US);
}

static void arp_other(struct frame *f)
{
    frame_arp(f, 1, "02:00:00:00:00:4d", STRANGER, "00:00:00:00:00:00", "192.0.2.99");
}

static void arp_gateway(struct frame *f)
{
    frame_arp(f, 2, "02:00:00:00:00:4d", GATEWAY, US_MAC, US);
}

static void llc(struct frame *f)
{
    echo(f);
    frame_put16(f, ETH_TYPE, (unsigned)(f->len - IP));
}

static void nothing(struct frame *f)
{
    f->len = 0;
}

/* ---- The rows ----------------------------------------------------------------------------- */

#define SILENT            (-1)
#define ICMP_3(code)      (code) /* destination unreachable with this code is sent to the source */
#define PARAMETER_PROBLEM 100

struct patch {
    size_t at;
    unsigned width; /* 0: the list ends */
    uint32_t value;
};

#define P8(at, value) \
    {                 \
        at, 1, value  \
    }
#define P16(at, value) \
    {                  \
        at, 2, value   \
    }
#define P32(at, value) \
    {                  \
        at, 4, value   \
    }

struct row {
    unsigned number;
    const char *id, *what;
    void (*make)(struct frame *f);
    struct patch patches[4];
    size_t cut;   /* the frame ends here; 0: where it ended */
    bool corrupt; /* the checksums stay as they were */
    enum nst_drop drop;
    int answer;
};

#define DROP(reason)            .drop = NST_DROP_##reason, .answer = SILENT
#define DROP_ICMP(reason, icmp) .drop = NST_DROP_##reason, .answer = (icmp)
#define MARTIAN_SRC(a, text)                                                 \
    {                                                                        \
        329, "martian source", text, udp, {P32(IP_SRC, a)}, 0, DROP(martian) \
    }
#define MARTIAN_DST(a, text)                                                      \
    {                                                                             \
        329, "martian destination", text, udp, {P32(IP_DST, a)}, 0, DROP(martian) \
    }

/* clang-format off */
static const struct row rows[] = {
    /* ---- Ethernet */
    {44, "CVE-2020-11906", "no byte at all", nothing, {{0}}, 0, DROP(runt)},
    {44, "CVE-2020-11906", "13 of 14 bytes", echo, {{0}}, 13, DROP(runt)},
    {44, "CVE-2020-11906", "802.3 length beyond the frame", llc, {P16(ETH_TYPE, 1500)}, 0,
     DROP(runt)},
    {44, "CVE-2020-11906", "802.3 without SNAP", llc, {{0}}, 0, DROP(ethertype)},
    {44, "CVE-2020-11906", "SNAP and nothing behind", llc,
     {P16(ETH_TYPE, 8), P32(14, 0xaaaa0300), P32(18, 0x0800)}, 22, DROP(runt)},
    {195, "CVE-2020-29129", "header alone, with an IP type", echo, {{0}}, 14, DROP(ip_short)},
    {229, "smoltcp #866", "an IP header of one byte", echo, {{0}}, 15, DROP(ip_short)},
    {104, "CVE-2019-12262", "RARP reply", arp_reply, {P16(ETH_TYPE, 0x8035), P16(ARP_OP, 4)}, 0,
     DROP(ethertype)},
    {123, "FreeRTOS+TCP 4.4.1", "our own MAC address as source", echo,
     {P16(ETH_SRC, 0x0200), P32(ETH_SRC + 2, 1)}, 0, DROP(l2_self)},
    {308, "RFC 826", "frame from a group address", echo, {P8(ETH_SRC, 3)}, 0, DROP(l2_source)},
    {308, "RFC 826", "frame from the zero address", echo, {P16(ETH_SRC, 0), P32(ETH_SRC + 2, 0)}, 0,
     DROP(l2_source)},
    {328, "QinQ", "802.1Q eight deep", echo,
     {P16(ETH_TYPE, 0x8100), P32(14, 0x00018100), P32(18, 0x00018100), P32(22, 0x00018100)}, 0,
     true, DROP(ethertype)},
    {328, "QinQ", "802.1ad", echo, {P16(ETH_TYPE, 0x88a8)}, 0, true, DROP(ethertype)},
    {328, "LLC", "a type between length and EtherType", echo, {P16(ETH_TYPE, 1501)}, 0, true,
     DROP(ethertype)},

    /* ---- ARP */
    {52, "CVE-2020-11914", "20 bytes", arp_request, {{0}}, ARP + 20, DROP(arp)},
    {52, "CVE-2020-11914", "hardware addresses of 7 bytes", arp_request, {P8(ARP + 4, 7)}, 0,
     DROP(arp)},
    {52, "CVE-2020-11914", "hardware addresses of 255 bytes", arp_request, {P8(ARP + 4, 255)}, 0,
     DROP(arp)},
    {52, "CVE-2020-11914", "protocol addresses of 16 bytes", arp_request, {P8(ARP + 5, 16)}, 0,
     DROP(arp)},
    {117, "CVE-2018-16600", "no byte of ARP", arp_request, {{0}}, ARP, DROP(arp)},
    {205, "lwIP PR #108", "27 of 28 bytes", arp_request, {{0}}, ARP_END - 1, DROP(arp)},
    {308, "RFC 826", "operation 3", arp_request, {P16(ARP_OP, 3)}, 0, DROP(arp)},
    {308, "RFC 826", "unsolicited reply", arp_reply, {{0}}, 0, DROP(arp_other)},
    {308, "RFC 5227", "gratuitous request of a stranger", arp_request, {P32(ARP_TPA, 0xc000024d)},
     0, DROP(arp_other)},
    {308, "RFC 826", "request for somebody else", arp_other, {{0}}, 0, DROP(arp_other)},
    {308, "RFC 826", "another MAC address for the gateway", arp_gateway, {{0}}, 0,
     DROP(arp_locked)},
    {308, "RFC 826", "sender's MAC address is a group", arp_request, {P8(ARP_SHA, 3)}, 0,
     DROP(arp_source)},
    {308, "RFC 826", "sender's MAC address is broadcast", arp_request,
     {P16(ARP_SHA, 0xffff), P32(ARP_SHA + 2, 0xffffffff)}, 0, DROP(arp_source)},
    {308, "RFC 826", "sender's MAC address is zero", arp_request,
     {P16(ARP_SHA, 0), P32(ARP_SHA + 2, 0)}, 0, DROP(arp_source)},
    {308, "RFC 826", "sender's MAC address is ours", arp_request,
     {P16(ARP_SHA, 0x0200), P32(ARP_SHA + 2, 1)}, 0, DROP(arp_source)},
    {308, "RFC 826", "sender's address is off-link", arp_request, {P32(ARP_SPA, 0xc6336407)}, 0,
     DROP(arp_source)},
    {308, "RFC 826", "sender's address is the broadcast one", arp_request,
     {P32(ARP_SPA, 0xc00002ff)}, 0, DROP(arp_source)},

    /* ---- The IPv4 header */
    {4, "CVE-2020-13987", "total length beyond the frame", udp, {P16(IP_LEN, 61)}, 0, DROP(ip_len)},
    {4, "CVE-2020-13987", "total length 65535", udp, {P16(IP_LEN, 65535)}, 0, DROP(ip_len)},
    {45, "CVE-2020-11907", "total length ends in the TCP header's IP header", tcp_syn,
     {P16(IP_LEN, 19)}, 0, DROP(ip_len)},
    {47, "CVE-2020-11909", "total length below the header's", udp, {P8(IP, 0x46), P16(IP_LEN, 23)},
     0, DROP(ip_len)},
    {78, "CVE-2021-31401", "total length zero", udp, {P16(IP_LEN, 0)}, 0, DROP(ip_len)},
    {79, "CVE-2020-35683", "total length below the header's, ICMP", echo,
     {P8(IP, 0x47), P16(IP_LEN, 27)}, 0, DROP(ip_len)},
    {80, "CVE-2020-35684", "total length below the header's, TCP", tcp_syn,
     {P8(IP, 0x47), P16(IP_LEN, 27)}, 0, DROP(ip_len)},
    {88, "CVE-2021-31346", "total length beyond the frame, ICMP", echo, {P16(IP_LEN, 1400)}, 0,
     DROP(ip_len)},
    {96, "CVE-2021-31890", "total length beyond the frame, TCP", tcp_syn, {P16(IP_LEN, 41)}, 0,
     DROP(ip_len)},
    {118, "CVE-2018-16601", "24 bytes of header, 20 in all", udp, {P8(IP, 0x46), P16(IP_LEN, 20)},
     0, DROP(ip_len)},
    {112, "CVE-2018-16526", "header of 16 bytes", udp, {P8(IP, 0x44)}, 0, DROP(ip_ihl)},
    {112, "CVE-2018-16526", "header of 0 bytes", udp, {P8(IP, 0x40)}, 0, DROP(ip_ihl)},
    {112, "CVE-2018-16526", "header of 60 bytes in 54", echo, {P8(IP, 0x4f)}, IP + 54,
     DROP(ip_ihl)},
    /* 1122-25 */
    {112, "CVE-2018-16526", "version 6 in a frame for 4", udp, {P8(IP, 0x65)}, 0, true,
     DROP(ip_version)},
    {326, "corruption", "header checksum", udp, {P16(IP_SUM, 1)}, 0, true, DROP(ip_checksum)},
    {329, "martian", "the reserved flag", udp, {P16(IP_FRAG, 0x8000)}, 0, DROP(ip_flags)},
    {280, "source routing", "LSRR", echo_lsrr, {{0}}, 0, DROP(ip_source_route)},
    {280, "source routing", "SSRR", udp_ssrr, {{0}}, 0, DROP(ip_source_route)},
    {86, "CVE-2021-31344", "echo by way of a third party", echo_lsrr, {{0}}, 0,
     DROP(ip_source_route)},
    {98, "CVE-2019-12256", "two source routes, the second too long", udp_two_routes, {{0}}, 0,
     DROP(ip_source_route)},
    {98, "CVE-2019-12256", "an option beyond the header", udp_bad_option, {{0}}, 0,
     DROP_ICMP(ip_option, PARAMETER_PROBLEM)},
    {98, "CVE-2019-12256", "an option of length 0", udp_bad_option, {P8(L4 + 1, 0)}, 0,
     DROP_ICMP(ip_option, PARAMETER_PROBLEM)},
    {98, "CVE-2019-12256", "an option of length 1", udp_bad_option, {P8(L4 + 1, 1)}, 0,
     DROP_ICMP(ip_option, PARAMETER_PROBLEM)},

    /* ---- Addresses (MUST-63, 1122-29, 1122-30, 1122-184) */
    {190, "CVE-2023-7060", "from 127.0.0.1", echo, {P32(IP_SRC, 0x7f000001)}, 0, DROP(martian)},
    {190, "CVE-2023-7060", "from our own address", echo, {P32(IP_SRC, 0xc0000201)}, 0,
     DROP(martian)},
    {258, "CVE-1999-0016 LAND", "from and to the same address and port", udp,
     {P32(IP_SRC, 0xc0000201), P16(UDP_SPORT, OPEN_PORT)}, 0, DROP(martian)},
    {258, "CVE-1999-0016 LAND", "TCP from and to the same address", tcp_syn,
     {P32(IP_SRC, 0xc0000201), P16(L4, 80)}, 0, DROP(martian)},
    {216, "smoltcp #354", "from 0.0.0.0", udp, {P32(IP_SRC, 0)}, 0, DROP(martian)},
    MARTIAN_SRC(0x00000001, "0.0.0.1"),
    MARTIAN_SRC(0x00ffffff, "0.255.255.255"),
    MARTIAN_SRC(0x7f000000, "127.0.0.0"),
    MARTIAN_SRC(0x7fffffff, "127.255.255.255"),
    MARTIAN_SRC(0xe0000001, "224.0.0.1"),
    MARTIAN_SRC(0xefffffff, "239.255.255.255"),
    MARTIAN_SRC(0xf0000000, "240.0.0.0"),
    MARTIAN_SRC(0xfffffffe, "255.255.255.254"),
    MARTIAN_SRC(0xffffffff, "255.255.255.255"),
    MARTIAN_SRC(0xc00002ff, "our network's broadcast address"),
    MARTIAN_SRC(0xc0000200, "our network's old broadcast address"),
    MARTIAN_DST(0x00000000, "0.0.0.0"),
    MARTIAN_DST(0x00ffffff, "0.255.255.255"),
    MARTIAN_DST(0x7f000001, "127.0.0.1"),
    MARTIAN_DST(0x7fffffff, "127.255.255.255"),
    MARTIAN_DST(0xf0000000, "240.0.0.0"),
    MARTIAN_DST(0xfffffffe, "255.255.255.254"),
    {329, "not ours", "a neighbour's address", udp, {P32(IP_DST, 0xc0000203)}, 0, DROP(ip_other)},
    {329, "not ours", "a group that nobody joined", udp, {P32(IP_DST, 0xe0000005)}, 0,
     DROP(ip_group)},
    {330, "1122-158", "unicast IP in a broadcast frame", udp,
     {P16(ETH_DST, 0xffff), P32(ETH_DST + 2, 0xffffffff)}, 0, DROP(ip_l2_broadcast)},
    {330, "RFC 1122 4.2.3.10", "TCP in a multicast frame", tcp_syn,
     {P16(ETH_DST, 0x0100), P32(ETH_DST + 2, 0x5e000001)}, 0, DROP(ip_l2_broadcast)},

    /* ---- What stands above IP */
    {38, "CVE-2020-11900", "IP in IP", tunnel, {{0}}, 0, DROP_ICMP(no_tunnel, ICMP_3(2))},
    {38, "CVE-2020-11900", "IP in IP, the inner one broken", tunnel,
     {P8(L4, 0x4f), P16(L4 + 2, 65535)}, 0, DROP_ICMP(no_tunnel, ICMP_3(2))},
    {40, "CVE-2020-11902", "IPv6 in IP", tunnel, {P8(IP_PROTO, 41)}, 0,
     DROP_ICMP(no_tunnel, ICMP_3(2))},
    {187, "CVE-2009-0687", "ICMPv6 in IPv4", icmpv6_in_ipv4, {{0}}, 0,
     DROP_ICMP(ip_proto, ICMP_3(2))},
    {101, "CVE-2019-12259", "IGMP of no bytes", igmp_query, {P16(IP_LEN, 20)}, 0,
     DROP(igmp_short)},
    {101, "CVE-2019-12259", "IGMPv2 query without router alert", igmp_query, {{0}}, 0,
     DROP(igmp_query)},
    {101, "CVE-2019-12259", "wrong IGMP checksum", igmp_query, {P16(L4 + 2, 1)}, 0, true,
     DROP(igmp_checksum)},
    {101, "CVE-2019-12259", "IGMPv3 query of 11 bytes", igmp_v3_query, {P16(IP_LEN, 20 + 11)}, 0,
     DROP(igmp_short)},
    {107, "CVE-2019-12265", "IGMPv3 query, one source more than there are", igmp_v3_query,
     {P16(L4 + 10, 3)}, 0, DROP(igmp_short)},
    {107, "CVE-2019-12265", "IGMPv3 query in a fragment", igmp_v3_query, {P16(IP_FRAG, 0x2000)}, 0,
     DROP(frag_proto)},
    {307, "IGMP flood", "IGMPv3 query of 65535 sources", igmp_v3_query, {P16(L4 + 10, 65535)}, 0,
     DROP(igmp_short)},
    {281, "CVE-1999-0918 IGMP nuke", "a later fragment of IGMP", igmp_query, {P16(IP_FRAG, 185)}, 0,
     DROP(frag_proto)},

    /* ---- ICMP */
    {113, "CVE-2018-16527", "7 of 8 bytes", echo, {P16(IP_LEN, 27)}, 0, DROP(icmp_short)},
    {113, "CVE-2018-16527", "no byte", echo, {P16(IP_LEN, 20)}, 0, DROP(icmp_short)},
    {326, "corruption", "ICMP checksum", echo, {P16(ICMP_SUM, 1)}, 0, true, DROP(icmp_checksum)},
    {48, "CVE-2020-11910", "3/4 that quotes nothing", unreachable,
     {P8(ICMP_CODE, 4), P16(IP_LEN, 28)}, 0, DROP(icmp_short)},
    {48, "CVE-2020-11910", "3/4 that quotes 27 bytes", unreachable,
     {P8(ICMP_CODE, 4), P16(IP_LEN, 28 + 27)}, 0, DROP(icmp_short)},
    {49, "CVE-2020-11911", "address mask reply", mask_reply, {{0}}, 0, DROP(icmp_type)},
    {49, "CVE-2020-11911", "address mask request", mask_reply, {P8(ICMP_TYPE, 17)}, 0,
     DROP(icmp_type)},
    {273, "RFC 6633", "source quench", unreachable, {P16(ICMP_TYPE, 0x0400)}, 0, DROP(icmp_type)},
    {159, "CVE-2023-23415", "quotes a later fragment", unreachable, {P16(ICMP_DATA + 6, 1)}, 0,
     DROP(icmp_quote)},
    {159, "CVE-2023-23415", "quotes a header of 60 bytes in 60", unreachable, {P8(ICMP_DATA, 0x4f)},
     0, DROP(icmp_short)},
    {159, "CVE-2023-23415", "quotes a header of 16 bytes", unreachable, {P8(ICMP_DATA, 0x44)}, 0,
     DROP(icmp_short)},
    {167, "CVE-2019-5598", "quotes somebody else's packet", unreachable,
     {P32(ICMP_DATA + 12, 0xc0000203)}, 0, DROP(icmp_quote)},
    {149, "CVE-2021-20322", "about a port that is closed", unreachable, {P16(ICMP_DATA + 20, 6)}, 0,
     DROP(icmp_unmatched)},
    {279, "redirect", "from the gateway itself", redirect, {{0}}, 0, DROP(icmp_redirect)},
    {264, "CVE-1999-0513 smurf", "echo to the network's broadcast address", echo,
     {P16(ETH_DST, 0xffff), P32(ETH_DST + 2, 0xffffffff), P32(IP_DST, 0xc00002ff)}, 0,
     DROP(icmp_broadcast)},
    {264, "CVE-1999-0513 smurf", "echo to 255.255.255.255", echo,
     {P16(ETH_DST, 0xffff), P32(ETH_DST + 2, 0xffffffff), P32(IP_DST, 0xffffffff)}, 0,
     DROP(icmp_broadcast)},
    {264, "CVE-1999-0513 smurf", "echo to all hosts", echo, {P32(IP_DST, 0xe0000001)}, 0,
     DROP(icmp_broadcast)},

    /* ---- UDP */
    {87, "CVE-2021-31345", "length beyond the datagram", udp, {P16(UDP_LEN, 41)}, 0, DROP(udp_len)},
    {87, "CVE-2021-31345", "length 65535", udp, {P16(UDP_LEN, 65535)}, 0, DROP(udp_len)},
    {87, "CVE-2021-31345", "length 7", udp, {P16(UDP_LEN, 7)}, 0, DROP(udp_len)},
    {87, "CVE-2021-31345", "length 0", udp, {P16(UDP_LEN, 0)}, 0, DROP(udp_len)},
    {196, "CVE-2021-3592", "7 of 8 bytes", udp, {P16(IP_LEN, 27)}, 0, DROP(udp_short)},
    {196, "CVE-2021-3592", "no byte", udp, {P16(IP_LEN, 20)}, 0, DROP(udp_short)},
    {137, "CVE-2015-5364", "wrong checksum", udp, {P16(UDP_SUM, 1)}, 0, true, DROP(udp_checksum)},
    {137, "CVE-2015-5364", "wrong checksum, closed port", udp_closed, {P16(UDP_SUM, 1)}, 0, true,
     DROP(udp_checksum)},
    {25, "CVE-2020-17467", "LLMNR, which is not spoken", udp, {P16(UDP_DPORT, 5355)}, 0,
     DROP_ICMP(udp_port, ICMP_3(3))},
    {83, "CVE-2021-36762", "TFTP, which is not spoken", udp, {P16(UDP_DPORT, 69)}, 0,
     DROP_ICMP(udp_port, ICMP_3(3))},
    {189, "CVE-2018-4407", "an error about 40 bytes of options", udp_closed_options, {{0}}, 0,
     DROP_ICMP(udp_port, ICMP_3(3))},
    {265, "CVE-1999-0103 fraggle", "broadcast to a closed port", udp_group, {{0}}, 0,
     DROP(udp_port)},
    {265, "CVE-1999-0103 fraggle", "all hosts, closed port", udp_group, {P32(IP_DST, 0xe0000001)},
     0, DROP(udp_port)},

    /* ---- Where no ICMP error may go */
    {310, "1122-57", "about an ICMP error", unreachable_bad_option, {{0}}, 0,
     DROP(ip_option)},
    {310, "RFC 1122 3.2.2", "about an ICMP type that nobody knows", unreachable_bad_option,
     {P8(L4 + 4, 99)}, 0, DROP(ip_option)},
    {180, "CVE-2022-23093", "quotes 40 bytes of options, about a closed port", unreachable_options,
     {P16(ICMP_DATA + 60, 6)}, 0, DROP(icmp_unmatched)},
    {310, "1122-58", "about a broadcast", udp_group, {P8(IP_PROTO, 99)}, 0, DROP(ip_proto)},
    {310, "1122-61", "to a source of many", udp_closed, {P32(IP_SRC, 0xc00002ff)}, 0,
     DROP(martian)},
};
/* clang-format on */

/* ---- Their test --------------------------------------------------------------------------- */

static void bend(struct frame *f, const struct row *row)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(row->patches); i++) {
        const struct patch *p = &row->patches[i];
        for (unsigned b = 0; b < p->width; b++)
            f->bytes[p->at + b] = (uint8_t)(p->value >> 8 * (p->width - 1 - b));
    }
    if (row->cut)
        f->len = row->cut;
    if (!row->corrupt)
        frame_fix(f);
}

/* An error quotes what came in, not more, and is no larger than 576 bytes. */
static void check_error(const struct harness *h, const struct row *row, const struct frame *bad)
{
    const struct frame *f = harness_sent(h);
    size_t quoted = f->len - ICMP_DATA;

    if (row->answer == PARAMETER_PROBLEM)
        harness_sent_icmp(h, 12, 0, PEER);
    else
        harness_sent_icmp(h, 3, (uint8_t)row->answer, PEER);
    assert_int_equal(f->bytes[IP], 0x45); /* no options */
    assert_true(f->len - IP <= 576);
    assert_int_equal(quoted, nst_min(bad->len - IP, 576 - 28));
    assert_memory_equal(f->bytes + ICMP_DATA, bad->bytes + IP, quoted);
}

static void check_alive(struct harness *h)
{
    struct frame ping;

    frame_echo(&ping, 77, 78, 56);
    harness_input(h, &ping);
    harness_sent_icmp(h, 0, 0, PEER);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct harness_state before;
    struct frame bad;
    struct harness h;

    harness_init(&h, NULL, 0);
    harness_udp(&h, NULL, OPEN_PORT);
    row->make(&bad);
    bend(&bad, row);
    harness_state(&h, &before);
    harness_input(&h, &bad);
    if (row->answer == SILENT)
        harness_silent(&h);
    else
        check_error(&h, row, &bad);
    harness_unchanged(&h, &before, row->drop, 1);
    check_alive(&h);
    harness_fini(&h);
}

static struct CMUnitTest tests[NST_ARRAY_LEN(rows)];
static char names[NST_ARRAY_LEN(rows)][128];

int main(void)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        union {
            const struct row *row;
            void *state;
        } row = {&rows[i]};
        snprintf(names[i], sizeof names[i], "%03u %s: %s", rows[i].number, rows[i].id,
                 rows[i].what);
        tests[i] = (struct CMUnitTest){names[i], test_row, NULL, NULL, row.state};
    }
    return cmocka_run_group_tests_name("attacks", tests, NULL, NULL);
}
