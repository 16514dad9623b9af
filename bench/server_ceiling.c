/* The device alone: what a TAP with virtio-net headers allows, without a stack behind it.
 *
 * It answers TCP as if nothing could go wrong, which on a TAP it doesn't: no reassembly, no timers,
 * no retransmission, no choice of segment sizes. Frames are as large as the device takes them, one
 * acknowledgement is sent for each batch, and payload is never touched. What it leaves out is what
 * a stack is for; what it reaches is what a stack can be measured by. UDP likewise. */
#include "services.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH     64
#define FRAME_MAX 65600
#define SUPER                                                                          \
    65160 /* bytes of payload in the largest frame, less than 64 KiB of headers and it \
           */
#define HEADERS (sizeof(struct ether_header) + sizeof(struct iphdr))
#define WSCALE  7
#define TABLE   (1 << 17)
#define QUEUE   512 /* frames: fewer than the device holds, since a lost one is lost for good */

struct conn {
    uint32_t peer, rcv_nxt, snd_una, snd_nxt, snd_wnd;
    uint16_t peer_port, port;
    uint8_t wscale;
    bool open, fin, ack_due;
};

struct headers {
    struct virtio_net_hdr offload;
    struct ether_header eth;
    struct iphdr ip;
    struct tcphdr tcp;
    uint8_t options[8];
};

struct datagram_headers {
    struct virtio_net_hdr offload;
    struct ether_header eth;
    struct iphdr ip;
    struct udphdr udp;
};

_Static_assert(offsetof(struct headers, tcp) == 10 + HEADERS, "headers have no gaps");

static struct server_options options;
static int tap;
static uint32_t mss;
static uint16_t window; /* as it stands in the header */
static uint8_t mac[6] = {2, 0, 0, 0, 9, 2}, peer_mac[6];
static struct conn *table; /* by the peer's address and port, of which no two are the same here */
static struct conn *due[BATCH];
static unsigned ndue;
static uint32_t ring[RING_WORDS];
static _Alignas(4) uint8_t space[2 + FRAME_MAX];
static uint8_t *const frame = space + 2; /* so that what follows Ethernet's header is aligned */
static uint64_t counted_pkts, counted_bytes;

/* ---- Checksums ------------------------------------------------------------------------------ */

static uint32_t sum(const void *data, size_t len, uint32_t s)
{
    const uint8_t *p = data;

    for (; len > 1; p += 2, len -= 2)
        s += (uint32_t)p[0] << 8 | p[1];
    return len ? s + ((uint32_t)*p << 8) : s;
}

static uint16_t fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return htons((uint16_t)(s + (s >> 16)));
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void fill_eth_ip(struct ether_header *eth, struct iphdr *ip, uint8_t protocol, uint32_t to,
                        size_t len)
{
    memcpy(eth->ether_dhost, peer_mac, 6);
    memcpy(eth->ether_shost, mac, 6);
    eth->ether_type = htons(ETHERTYPE_IP);
    *ip = (struct iphdr){.version = 4,
                         .ihl = 5,
                         .tot_len = htons((uint16_t)len),
                         .frag_off = htons(IP_DF),
                         .ttl = 64,
                         .protocol = protocol,
                         .saddr = options.address.s_addr,
                         .daddr = to};
    ip->check = (uint16_t)~fold(sum(ip, sizeof *ip, 0));
}

static uint32_t pseudo(const struct iphdr *ip, size_t len)
{
    return sum(&ip->saddr, 8, (uint32_t)(ip->protocol + len));
}

/* Writes what lies behind the virtio-net header, and that as well unless the device is plain. */
static void emit(const void *headers, size_t len, const void *data, size_t data_len)
{
    size_t skip = options.plain ? sizeof(struct virtio_net_hdr) : 0;
    struct iovec v[2] = {{(uint8_t *)(uintptr_t)headers + skip, len - skip},
                         {(void *)(uintptr_t)data, data_len}};

    if (writev(tap, v, data_len ? 2 : 1) < 0 && errno != EAGAIN)
        server_fail("write", errno);
}

static void offload(struct virtio_net_hdr *h, size_t l4_len, size_t offset, size_t data_len)
{
    h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h->csum_start = HEADERS;
    h->csum_offset = (uint16_t)offset;
    if (data_len > mss) {
        h->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        h->gso_size = (uint16_t)mss;
        h->hdr_len = (uint16_t)(HEADERS + l4_len);
    }
}

static void send_segment(struct conn *c, uint8_t flags, const void *data, size_t len)
{
    struct headers h = {0};
    size_t options_len = flags & TH_SYN ? sizeof h.options : 0;
    size_t tcp_len = sizeof h.tcp + options_len;
    const uint8_t syn_options[8] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 1, 3, 3, WSCALE};

    fill_eth_ip(&h.eth, &h.ip, IPPROTO_TCP, c->peer, sizeof h.ip + tcp_len + len);
    h.tcp.th_sport = htons(c->port);
    h.tcp.th_dport = htons(c->peer_port);
    h.tcp.th_seq = htonl(c->snd_nxt);
    h.tcp.th_ack = htonl(c->rcv_nxt);
    h.tcp.th_off = tcp_len / 4 & 0xf;
    h.tcp.th_flags = flags | TH_ACK;
    h.tcp.th_win = htons(flags & TH_SYN ? 65535 : window);
    memcpy(h.options, syn_options, sizeof h.options);
    uint32_t s = pseudo(&h.ip, tcp_len + len);
    if (options.plain) {
        h.tcp.th_sum = (uint16_t)~fold(sum(data, len, sum(&h.tcp, tcp_len, s)));
    } else {
        h.tcp.th_sum = fold(s);
        offload(&h.offload, tcp_len, offsetof(struct tcphdr, th_sum), len);
    }
    emit(&h, sizeof h - sizeof h.options + options_len, data, len);
    c->snd_nxt += (uint32_t)len + (flags & (TH_SYN | TH_FIN) ? 1 : 0);
    c->ack_due = false;
}

/* As much of the ring as the peer's window takes, in frames as large as they can be. */
static void send_ring(struct conn *c)
{
    uint32_t largest = options.plain ? mss : SUPER / mss * mss;

    for (int i = 0; i < 16; i++) {
        uint32_t out = c->snd_nxt - c->snd_una, room = c->snd_wnd > out ? c->snd_wnd - out : 0;
        if (room < largest && out > 0)
            return;
        if (room == 0)
            return;
        send_segment(c, TH_PUSH, ring, room < largest ? room : largest);
    }
}

static void send_datagram(uint32_t to, uint16_t to_port, uint16_t port, const void *data,
                          size_t len)
{
    struct datagram_headers h = {0};
    size_t udp_len = sizeof h.udp + len;

    fill_eth_ip(&h.eth, &h.ip, IPPROTO_UDP, to, sizeof h.ip + udp_len);
    h.udp.uh_sport = htons(port);
    h.udp.uh_dport = htons(to_port);
    h.udp.uh_ulen = htons((uint16_t)udp_len);
    uint32_t s = pseudo(&h.ip, udp_len);
    if (options.plain) {
        h.udp.uh_sum = (uint16_t)~fold(sum(data, len, sum(&h.udp, sizeof h.udp, s)));
    } else {
        h.udp.uh_sum = fold(s);
        offload(&h.offload, sizeof h.udp, offsetof(struct udphdr, uh_sum), 0);
    }
    emit(&h, sizeof h, data, len);
}

/* ---- In -------------------------------------------------------------------------------------- */

static void on_arp(const struct ether_arp *arp)
{
    struct {
        struct virtio_net_hdr offload;
        struct ether_header eth;
        struct ether_arp arp;
    } h = {0};

    if (arp->ea_hdr.ar_op != htons(ARPOP_REQUEST) || memcmp(arp->arp_tpa, &options.address, 4) != 0)
        return;
    memcpy(peer_mac, arp->arp_sha, 6);
    memcpy(h.eth.ether_dhost, peer_mac, 6);
    memcpy(h.eth.ether_shost, mac, 6);
    h.eth.ether_type = htons(ETHERTYPE_ARP);
    h.arp = *arp;
    h.arp.ea_hdr.ar_op = htons(ARPOP_REPLY);
    memcpy(h.arp.arp_tha, arp->arp_sha, 10);
    memcpy(h.arp.arp_sha, mac, 6);
    memcpy(h.arp.arp_spa, &options.address, 4);
    emit(&h, sizeof h, NULL, 0);
}

static uint8_t wscale_of(const struct tcphdr *tcp)
{
    const uint8_t *at = (const uint8_t *)(tcp + 1), *end = (const uint8_t *)tcp + 4 * tcp->th_off;

    while (at < end && *at != TCPOPT_EOL) {
        if (*at == TCPOPT_NOP) {
            at++;
            continue;
        }
        if (*at == TCPOPT_WINDOW)
            return at[2];
        if (at[1] < 2)
            break;
        at += at[1];
    }
    return 0;
}

static void on_syn(struct conn *c, const struct iphdr *ip, const struct tcphdr *tcp)
{
    *c = (struct conn){.peer = ip->saddr,
                       .peer_port = ntohs(tcp->th_sport),
                       .port = ntohs(tcp->th_dport),
                       .rcv_nxt = ntohl(tcp->th_seq) + 1,
                       .snd_una = 1,
                       .snd_nxt = 1,
                       .wscale = wscale_of(tcp),
                       .open = true};
    send_segment(c, TH_SYN, NULL, 0);
}

static void on_data(struct conn *c, const uint8_t *data, size_t len)
{
    uint32_t number;

    c->rcv_nxt += (uint32_t)len;
    if (c->port == ECHO) {
        send_segment(c, TH_PUSH, data, len);
    } else if (c->port == ANSWER && len == sizeof number) {
        memcpy(&number, data, sizeof number);
        send_segment(c, TH_PUSH, ring, ntohl(number) < SUPER ? ntohl(number) : SUPER);
    } else if (!c->ack_due) {
        c->ack_due = true;
        due[ndue++] = c;
    }
}

static void on_segment(const struct iphdr *ip, size_t ip_len)
{
    const struct tcphdr *tcp = (const void *)(ip + 1);
    struct conn *c = &table[(ntohs(tcp->th_sport) | (ntohl(ip->saddr) & 1) << 16) % TABLE];
    size_t header = sizeof *ip + 4 * tcp->th_off;

    if (tcp->th_flags & TH_SYN) {
        on_syn(c, ip, tcp);
        return;
    }
    if (!c->open || tcp->th_flags & TH_RST) {
        c->open = false;
        return;
    }
    c->snd_una = ntohl(tcp->th_ack);
    c->snd_wnd = (uint32_t)ntohs(tcp->th_win) << c->wscale;
    if (ip_len > header && ntohl(tcp->th_seq) == c->rcv_nxt)
        on_data(c, (const uint8_t *)ip + header, ip_len - header);
    if (tcp->th_flags & TH_FIN && !c->fin) {
        c->rcv_nxt++;
        c->fin = true;
        send_segment(c, TH_FIN, NULL, 0);
    } else if (c->port == SOURCE && !c->fin) {
        send_ring(c);
    }
}

static void on_datagram(const struct iphdr *ip)
{
    const struct udphdr *udp = (const void *)(ip + 1);
    size_t len = ntohs(udp->uh_ulen) - sizeof *udp;
    const uint8_t *data = (const uint8_t *)(udp + 1);
    uint16_t port = ntohs(udp->uh_dport), to = ntohs(udp->uh_sport);
    uint32_t request[2];

    if (port == DISCARD) {
        counted_pkts++;
        counted_bytes += len;
    } else if (port == COUNT) {
        uint64_t counts[2] = {htobe64(counted_pkts), htobe64(counted_bytes)};
        send_datagram(ip->saddr, to, port, counts, sizeof counts);
        counted_pkts = counted_bytes = 0;
    } else if (port == ECHO) {
        send_datagram(ip->saddr, to, port, data, len);
    } else if (port == SOURCE && len == sizeof request) {
        memcpy(request, data, sizeof request);
        for (uint32_t i = ntohl(request[1]); i > 0; i--)
            send_datagram(ip->saddr, to, port, ring, ntohl(request[0]));
    }
}

static void on_frame(size_t len)
{
    const struct ether_header *eth = (const void *)frame;
    const struct iphdr *ip = (const void *)(eth + 1);

    if (len < sizeof *eth + sizeof(struct ether_arp))
        return;
    if (eth->ether_type == htons(ETHERTYPE_ARP)) {
        on_arp((const void *)(eth + 1));
    } else if (eth->ether_type == htons(ETHERTYPE_IP)) {
        memcpy(peer_mac, eth->ether_shost, 6);
        if (ip->protocol == IPPROTO_TCP)
            on_segment(ip, ntohs(ip->tot_len));
        else if (ip->protocol == IPPROTO_UDP)
            on_datagram(ip);
    }
}

/* A batch of frames, then the acknowledgements; how many frames. */
static unsigned turn(void)
{
    struct virtio_net_hdr header;
    size_t skip = options.plain ? 0 : sizeof header;
    struct iovec v[2] = {{&header, skip}, {frame, FRAME_MAX}};
    unsigned n = 0;

    for (; n < BATCH; n++) {
        ssize_t len = readv(tap, v, 2);
        if (len < 0 && errno == EAGAIN)
            break;
        if (len < (ssize_t)skip)
            server_fail("read", errno);
        on_frame((size_t)len - skip);
    }
    while (ndue > 0)
        if (due[--ndue]->ack_due)
            send_segment(due[ndue], 0, NULL, 0);
    return n;
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    uint64_t busy_us = 0;

    options = server_options(argc, argv);
    mss = options.mtu - (uint32_t)(sizeof(struct iphdr) + sizeof(struct tcphdr));
    window = options.plain ? (uint16_t)(QUEUE * mss >> WSCALE) : 32768;
    table = calloc(TABLE, sizeof *table);
    ring_fill(ring);
    tap = server_tap(&options);
    server_ready();
    for (;;) {
        if (turn() > 0) {
            busy_us = options.spin_us ? now_us() : 0;
        } else if (options.spin_us == 0 || now_us() - busy_us > options.spin_us) {
            struct pollfd p = {.fd = tap, .events = POLLIN};
            poll(&p, 1, -1);
            busy_us = options.spin_us ? now_us() : 0;
        }
    }
}
