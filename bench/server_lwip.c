/* The services on lwIP, by its raw API, as Debian builds it: no offloads, no SACK, and windows of
 * at most 64 KiB are what its options say, and can't be set at run time.
 *
 * Its own thread runs the timers; this one reads the TAP and holds the core's lock for a batch of
 * frames, so no packet crosses a thread. */
#include "services.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <lwip/udp.h>
#include <netif/ethernet.h>

#define BATCH     64
#define FRAME_MAX 65600
#define IOVS      32

struct conn {
    enum service service;
    struct tcp_pcb *pcb;
    struct pbuf *waiting; /* echo: not sent back yet */
    uint64_t at, want;
    bool ended; /* the peer sends no more */
};

static struct server_options options;
static int tap;
static struct netif interface;
static uint32_t ring[RING_WORDS];
static uint64_t counted_pkts, counted_bytes;

/* ---- The device ----------------------------------------------------------------------------- */

static err_t write_frame(struct netif *netif, struct pbuf *p)
{
    struct iovec v[IOVS];
    int n = 0;

    (void)netif;
    for (struct pbuf *q = p; q && n < IOVS; q = q->next)
        v[n++] = (struct iovec){q->payload, q->len};
    return writev(tap, v, n) < 0 && errno != EAGAIN ? ERR_IF : ERR_OK;
}

static err_t init_interface(struct netif *netif)
{
    const uint8_t mac[6] = {2, 0, 0, 0, 9, 2};

    netif->name[0] = 't';
    netif->name[1] = 'p';
    netif->output = etharp_output;
    netif->linkoutput = write_frame;
    netif->mtu = (u16_t)options.mtu;
    netif->hwaddr_len = sizeof mac;
    memcpy(netif->hwaddr, mac, sizeof mac);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

/* ---- Streams -------------------------------------------------------------------------------- */

static err_t forget(struct conn *c)
{
    struct tcp_pcb *pcb = c->pcb;

    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    if (c->waiting)
        pbuf_free(c->waiting);
    free(c);
    if (tcp_close(pcb) == ERR_OK)
        return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

static void send_ring(struct conn *c, uint64_t len)
{
    while (len > 0) {
        size_t at = c->at % RING_BYTES, n = RING_BYTES - at, room = tcp_sndbuf(c->pcb);
        n = n < room ? n : room;
        n = n < len ? n : (size_t)len;
        n = n < 0xffff ? n : 0xffff;
        /* By reference: the ring doesn't change. */
        if (n == 0 || tcp_write(c->pcb, (const uint8_t *)ring + at, (u16_t)n, 0) != ERR_OK)
            break;
        c->at += n;
        len -= n;
    }
}

static void send_back(struct conn *c)
{
    while (c->waiting) {
        struct pbuf *p = c->waiting;
        if (p->len > tcp_sndbuf(c->pcb) ||
            tcp_write(c->pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        tcp_recved(c->pcb, p->len);
        c->waiting = p->next;
        if (c->waiting)
            pbuf_ref(c->waiting);
        pbuf_free(p);
    }
}

/* Whatever can be sent now. */
static err_t go_on(struct conn *c)
{
    if (c->service == SOURCE && !c->ended)
        send_ring(c, UINT64_MAX);
    else if (c->service == ANSWER)
        send_ring(c, c->want - c->at);
    else if (c->service == ECHO)
        send_back(c);
    if (c->ended && !c->waiting && c->at >= c->want)
        return forget(c);
    tcp_output(c->pcb);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)pcb, (void)len;
    return go_on(arg);
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct conn *c = arg;
    uint32_t number;

    (void)err;
    if (!p) {
        c->ended = true;
        return go_on(c);
    }
    if (c->service == ECHO) {
        if (c->waiting)
            pbuf_cat(c->waiting, p);
        else
            c->waiting = p;
        return go_on(c);
    }
    if (c->service == ANSWER && pbuf_copy_partial(p, &number, sizeof number, 0) == sizeof number) {
        c->at = 0;
        c->want = ntohl(number);
    }
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return c->service == DISCARD ? ERR_OK : go_on(c);
}

static void on_error(void *arg, err_t err)
{
    struct conn *c = arg;

    (void)err;
    if (c->waiting)
        pbuf_free(c->waiting);
    free(c);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct conn *c = err == ERR_OK ? calloc(1, sizeof *c) : NULL;

    if (!c)
        return ERR_MEM;
    c->service = (enum service)(uintptr_t)arg;
    c->pcb = pcb;
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    return c->service == SOURCE ? go_on(c) : ERR_OK;
}

static void listen_for(enum service service)
{
    struct tcp_pcb *pcb = tcp_new();

    if (!pcb || tcp_bind(pcb, IP_ADDR_ANY, (u16_t)service) != ERR_OK)
        server_fail("listen", ENOMEM);
    pcb = tcp_listen(pcb);
    tcp_arg(pcb, (void *)(uintptr_t)service);
    tcp_accept(pcb, on_accept);
}

/* ---- Datagrams ------------------------------------------------------------------------------ */

static void send_copy(struct udp_pcb *pcb, const ip_addr_t *to, u16_t port, const void *data,
                      size_t len)
{
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);

    if (!p)
        return;
    pbuf_take(p, data, (u16_t)len);
    udp_sendto(pcb, p, to, port);
    pbuf_free(p);
}

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                        u16_t port)
{
    enum service service = (enum service)(uintptr_t)arg;
    uint64_t counts[2] = {htobe64(counted_pkts), htobe64(counted_bytes)};
    uint32_t request[2];

    if (service == DISCARD) {
        counted_pkts++;
        counted_bytes += p->tot_len;
    } else if (service == ECHO) {
        udp_sendto(pcb, p, from, port);
    } else if (service == COUNT) {
        send_copy(pcb, from, port, counts, sizeof counts);
        counted_pkts = counted_bytes = 0;
    } else if (pbuf_copy_partial(p, request, sizeof request, 0) == sizeof request) {
        for (uint32_t i = ntohl(request[1]); i > 0; i--)
            send_copy(pcb, from, port, ring, ntohl(request[0]));
    }
    pbuf_free(p);
}

static void receive_for(enum service service)
{
    struct udp_pcb *pcb = udp_new();

    if (!pcb || udp_bind(pcb, IP_ADDR_ANY, (u16_t)service) != ERR_OK)
        server_fail("datagrams", ENOMEM);
    udp_recv(pcb, on_datagram, (void *)(uintptr_t)service);
}

/* ---- The loop ------------------------------------------------------------------------------- */

static unsigned turn(void)
{
    static uint8_t frame[FRAME_MAX];
    unsigned n = 0;

    LOCK_TCPIP_CORE();
    for (; n < BATCH; n++) {
        ssize_t len = read(tap, frame, sizeof frame);
        if (len <= 0)
            break;
        struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
        if (!p)
            continue;
        pbuf_take(p, frame, (u16_t)len);
        if (ethernet_input(p, &interface) != ERR_OK)
            pbuf_free(p);
    }
    UNLOCK_TCPIP_CORE();
    return n;
}

static void set_up(void)
{
    ip4_addr_t address = {options.address.s_addr}, mask, gateway = {0};

    IP4_ADDR(&mask, 255, 255, 0, 0);
    LOCK_TCPIP_CORE();
    netif_add(&interface, &address, &mask, &gateway, NULL, init_interface, ethernet_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
    listen_for(ECHO);
    listen_for(DISCARD);
    listen_for(SOURCE);
    listen_for(ANSWER);
    receive_for(ECHO);
    receive_for(DISCARD);
    receive_for(COUNT);
    receive_for(SOURCE);
    UNLOCK_TCPIP_CORE();
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
    options.plain = true;
    ring_fill(ring);
    tap = server_tap(&options);
    tcpip_init(NULL, NULL);
    set_up();
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
