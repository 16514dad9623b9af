/* The services on the library, embedded: a TAP, the event loop, and the stack's public calls.
 *
 * What a socket's cookie points to says what to do with it: of a connection that is sent to from
 * the ring, how far that has come; all of the others of a service have the one of their listener,
 * since an event tells which socket it is about. Events are edges, so whatever one is served until
 * the stack has no more for it, or no more room. */
#include "services.h"

#include <endian.h>
#include <errno.h>
#include <netstack/device.h>
#include <netstack/loop.h>
#include <netstack/system.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <linux/if.h>

#define BATCH        64
#define SLICES       16
#define CARRIER_POLL (5 * NST_LOOP_MSEC)

struct peer {
    enum service service;
    bool listener, datagram; /* which its own socket is */
    nst_sock sock;
    uint64_t at;   /* source: bytes sent; answer: bytes of the answer sent */
    uint64_t want; /* answer: its length; UDP source: datagrams still to send */
    uint32_t size; /* UDP source: of a datagram */
    struct nst_sockaddr to;
    struct peer *next; /* of all connections that send */
};

static struct server_options options;
static struct nst_stack *stack;
static struct nst_device *device;
static nst_link link_id;
static struct nst_pkt *held[BATCH]; /* pulled, but the device was full */
static size_t nheld;
static bool waiting; /* for the device */
static struct peer *senders;
static uint64_t counted_pkts, counted_bytes;
static uint32_t ring[RING_WORDS];
static struct nst_loan *loan; /* of the ring */
static uint8_t buffer[65536];

static void must(const char *what, int err)
{
    if (err)
        server_fail(what, -err);
}

/* ---- Streams -------------------------------------------------------------------------------- */

static void forget(struct peer *p)
{
    struct peer **q = &senders;

    while (*q != p)
        q = &(*q)->next;
    *q = p->next;
    free(p);
}

static int64_t send_part(const struct peer *p, size_t at, size_t len)
{
    struct nst_slice slice = {(uint8_t *)ring + at, len};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    return options.lent ? nst_send_lent(stack, p->sock, loan, at, len, 0)
                        : nst_send(stack, p->sock, &msg);
}

/* Sends the ring from byte `p->at` of the stream on; false when there is no more room. */
static bool send_ring(struct peer *p, uint64_t len)
{
    while (len > 0) {
        size_t at = p->at % RING_BYTES, n = RING_BYTES - at;
        int64_t sent = send_part(p, at, n < len ? n : (size_t)len);
        if (sent < 0)
            return false;
        p->at += (uint64_t)sent;
        len -= (uint64_t)sent;
    }
    return true;
}

static size_t total(const struct nst_slice *slices, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++)
        len += slices[i].len;
    return len;
}

/* Reads and forgets; what nst_recv_peek() said at last. */
static int discard(nst_sock sock)
{
    struct nst_slice in[SLICES];
    int n;

    while ((n = nst_recv_peek(stack, sock, in, SLICES)) > 0)
        nst_recv_consume(stack, sock, total(in, n));
    return n;
}

static int echo(nst_sock sock)
{
    struct nst_slice in[SLICES];
    struct nst_msg msg = {.data = in};
    int n;

    while ((n = nst_recv_peek(stack, sock, in, SLICES)) > 0) {
        msg.ndata = (size_t)n;
        int64_t sent = nst_send(stack, sock, &msg);
        if (sent < 0)
            return (int)sent;
        nst_recv_consume(stack, sock, (size_t)sent);
    }
    return n;
}

static int source(struct peer *p)
{
    int n = discard(p->sock);

    if (n == -EAGAIN)
        send_ring(p, UINT64_MAX);
    return n;
}

static int answer(struct peer *p)
{
    uint32_t number;
    struct nst_slice slice = {&number, sizeof number};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    for (;;) {
        if (!send_ring(p, p->want - p->at))
            return -EAGAIN;
        int64_t n = nst_recv(stack, p->sock, &msg, 0);
        if (n <= 0)
            return (int)n;
        p->at = 0;
        p->want = n == sizeof number ? ntohl(number) : 0; /* four bytes are never split here */
    }
}

static bool sends(enum service service)
{
    return service == SOURCE || service == ANSWER;
}

static void serve_stream(struct peer *p, nst_sock sock)
{
    int n = p->service == ECHO      ? echo(sock)
            : p->service == DISCARD ? discard(sock)
            : p->service == SOURCE  ? source(p)
                                    : answer(p);

    if (n == -EAGAIN)
        return;
    nst_close(stack, sock);
    if (sends(p->service))
        forget(p);
}

static bool welcome_sender(const struct peer *listener)
{
    struct peer *p = calloc(1, sizeof *p);

    if (!p || nst_accept(stack, listener->sock, &p->sock, (uintptr_t)p) != 0) {
        free(p);
        return false;
    }
    p->service = listener->service;
    nst_setopt(stack, p->sock, NST_OPT_NODELAY, 1);
    p->next = senders;
    senders = p;
    return true;
}

static bool welcome_other(const struct peer *listener)
{
    nst_sock sock;

    if (nst_accept(stack, listener->sock, &sock, (uintptr_t)listener) != 0)
        return false;
    nst_setopt(stack, sock, NST_OPT_NODELAY, 1);
    return true;
}

static void welcome(const struct peer *listener)
{
    while (sends(listener->service) ? welcome_sender(listener) : welcome_other(listener))
        ;
}

/* ---- Datagrams ------------------------------------------------------------------------------ */

static int64_t send_to(struct peer *p, const struct nst_sockaddr *to, void *data, size_t len)
{
    struct nst_slice slice = {data, len};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .peer = *to, .tos = -1};

    return nst_send(stack, p->sock, &msg);
}

static void flood(struct peer *p)
{
    while (p->want > 0 && send_to(p, &p->to, ring, p->size) >= 0)
        p->want--;
}

static void on_datagram(struct peer *p, const struct nst_msg *msg, size_t len)
{
    uint32_t request[2];

    if (p->service == ECHO) {
        send_to(p, &msg->peer, buffer, len);
    } else if (p->service == DISCARD) {
        counted_pkts++;
        counted_bytes += len;
    } else if (p->service == COUNT) {
        uint64_t counts[2] = {htobe64(counted_pkts), htobe64(counted_bytes)};
        send_to(p, &msg->peer, counts, sizeof counts);
        counted_pkts = counted_bytes = 0;
    } else if (len == sizeof request) {
        memcpy(request, buffer, sizeof request);
        p->size = ntohl(request[0]) < sizeof ring ? ntohl(request[0]) : sizeof ring;
        p->want = ntohl(request[1]);
        p->to = msg->peer;
    }
}

static void serve_datagrams(struct peer *p)
{
    struct nst_slice slice = {buffer, sizeof buffer};
    int64_t n;

    for (;;) {
        struct nst_msg msg = {.data = &slice, .ndata = 1};
        n = nst_recv(stack, p->sock, &msg, 0);
        if (n < 0)
            break;
        on_datagram(p, &msg, (size_t)n);
    }
    if (p->service == SOURCE)
        flood(p);
}

/* ---- The loop ------------------------------------------------------------------------------- */

static void dispatch(void)
{
    static struct nst_event events[BATCH]; /* static: not to be filled with zeros each time */
    size_t n;

    while ((n = nst_events(stack, events, BATCH)) > 0)
        for (size_t i = 0; i < n; i++) {
            struct peer *p = (struct peer *)(uintptr_t)events[i].cookie;
            if (events[i].kind != NST_EVENT_READY)
                continue;
            if (p->datagram)
                serve_datagrams(p);
            else if (p->listener && events[i].sock == p->sock)
                welcome(p);
            else
                serve_stream(p, events[i].sock);
        }
}

/* Pulls and writes until the stack has no more (true) or the device is full. */
static bool flush(nst_time now)
{
    for (;;) {
        if (nheld == 0)
            nheld = nst_output(stack, link_id, held, BATCH, now);
        if (nheld == 0)
            return true;
        int written = nst_device_write(device, held, nheld);
        if (written < 0)
            server_fail("device", -written);
        nheld -= (size_t)written;
        memmove(held, held + written, nheld * sizeof *held);
        if (nheld > 0)
            return false;
        dispatch(); /* what left the queues made room */
    }
}

static bool on_device(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                      unsigned budget)
{
    static struct nst_pkt *pkts[BATCH];

    (void)fd, (void)events, (void)budget;
    int n = nst_device_read(device, stack, pkts, BATCH);
    if (n < 0 && n != -EAGAIN)
        server_fail("device", -n);
    if (n > 0)
        nst_input(stack, link_id, pkts, (size_t)n, nst_loop_now(loop));
    return n > 0;
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct nst_loop_fd *fd = prepare->arg;

    dispatch();
    bool done = flush(nst_loop_now(loop));
    if (done == waiting) {
        waiting = !done;
        must("loop", nst_loop_fd_modify(fd, done ? NST_LOOP_IN : NST_LOOP_IN | NST_LOOP_OUT));
    }
    return done ? nst_deadline(stack) : NST_LOOP_NEVER;
}

static void on_report(struct nst_loop *loop, struct nst_loop_signal *signal,
                      const struct signalfd_siginfo *info)
{
    uint64_t sent = 0, again = 0;
    struct nst_tcp_info tcp;

    (void)loop, (void)signal, (void)info;
    for (struct peer *p = senders; p; p = p->next) {
        if (nst_tcp_info(stack, p->sock, &tcp) == 0) {
            sent += tcp.bytes_sent;
            again += tcp.bytes_retrans;
        }
    }
    server_report(sent, again);
}

static void on_carrier(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    static bool was_up = true;
    const int *probe = timer->arg;
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", nst_device_name(device));
    if (ioctl(*probe, SIOCGIFFLAGS, &request) == 0) {
        bool up = request.ifr_flags & IFF_RUNNING;
        if (up != was_up)
            nst_link_set_carrier(stack, link_id, up);
        was_up = up;
    }
    nst_loop_timer_after(loop, timer, CARRIER_POLL);
}

/* ---- Setting up ------------------------------------------------------------------------------ */

static void open_service(enum service service, enum nst_sock_type type)
{
    const struct nst_sockaddr local = {.port = (uint16_t)service};
    struct peer *p = calloc(1, sizeof *p);

    if (!p)
        server_fail("service", ENOMEM);
    p->service = service;
    p->datagram = type == NST_SOCK_DGRAM;
    p->listener = !p->datagram;
    must("socket", nst_socket(stack, &p->sock, NST_AF_INET, type, 0, (uintptr_t)p));
    if (p->listener && options.cc)
        must(options.cc, nst_set_congestion(stack, p->sock, options.cc));
    if (p->datagram)
        nst_setopt(stack, p->sock, NST_OPT_RCVBUF, 4 << 20);
    must("bind", nst_bind(stack, p->sock, &local));
    if (p->listener)
        must("listen", nst_listen(stack, p->sock, 4096));
}

static void set_up_stack(void)
{
    struct nst_device_config dev = {.kind = NST_DEVICE_TAP, .plain = options.plain};
    struct nst_config config = {.limits = {.memory_bytes = (size_t)1 << 30, .sockets = 1 << 17}};
    struct nst_link_config link = {.mac = {{2, 0, 0, 0, 9, 2}}, .mtu = options.mtu};
    struct nst_prefix prefix = {.addr.family = NST_AF_INET, .len = 16};

    snprintf(dev.name, sizeof dev.name, "%s", options.device);
    memcpy(prefix.addr.bytes, &options.address, sizeof options.address);
    must(options.device, nst_device_open(&device, &dev));
    memcpy(link.name, nst_device_name(device), sizeof link.name);
    link.offloads = nst_device_offloads(device);
    must("system", nst_system_config(&config));
    must("stack", nst_stack_new(&stack, &config));
    must("loan", nst_lend(stack, &loan, ring, sizeof ring, 0));
    must("link", nst_link_add(stack, &link_id, &link));
    must("address", nst_addr_add(stack, link_id, &prefix, NST_ACD_ANNOUNCE));
    open_service(ECHO, NST_SOCK_STREAM);
    open_service(DISCARD, NST_SOCK_STREAM);
    open_service(SOURCE, NST_SOCK_STREAM);
    open_service(ANSWER, NST_SOCK_STREAM);
    open_service(ECHO, NST_SOCK_DGRAM);
    open_service(DISCARD, NST_SOCK_DGRAM);
    open_service(COUNT, NST_SOCK_DGRAM);
    open_service(SOURCE, NST_SOCK_DGRAM);
}

int main(int argc, char **argv)
{
    options = server_options(argc, argv);
    const struct nst_loop_config config = {.busy_poll_ns = 1000 * (uint64_t)options.spin_us};
    struct nst_loop_fd fd = {.fn = on_device};
    struct nst_loop_prepare prepare = {.fn = on_prepare, .arg = &fd};
    struct nst_loop_signal report = {.fn = on_report};
    int probe = socket(AF_INET, SOCK_DGRAM, 0);
    struct nst_loop_timer carrier = {.fn = on_carrier, .arg = &probe};
    struct nst_loop *loop;

    prctl(PR_SET_TIMERSLACK, 1UL);
    ring_fill(ring);
    set_up_stack();
    must("loop", nst_loop_new(&loop, &config));
    must("device", nst_loop_fd_add(loop, &fd, nst_device_fd(device), NST_LOOP_IN));
    must("prepare", nst_loop_prepare_add(loop, &prepare));
    must("signal", nst_loop_signal_add(loop, &report, SIGUSR1));
    if (options.carrier)
        nst_loop_timer_after(loop, &carrier, CARRIER_POLL);
    server_ready();
    return nst_loop_run(loop);
}
