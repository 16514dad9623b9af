/* Sockets within the whole stack: handles, ports, which socket gets what, queues, events, options;
 * raw and packet sockets. */
#include "core/sock/socket.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../harness.h"

#define US2 "192.0.2.11"

static struct harness h;
static struct frame frame;
static struct nst_msg msg;
static uint8_t buf[2048];

static int setup(void **state)
{
    struct nst_prefix second = test_prefix(US2 "/24");
    (void)state;

    harness_init(&h, NULL, 0);
    assert_int_equal(nst_addr_add(h.stack, h.link, &second, NST_ACD_OFF), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

static struct nst_sockaddr name(const char *addr, uint16_t port)
{
    struct nst_sockaddr n = {.port = port};

    if (addr)
        n.addr = test_addr(addr);
    return n;
}

static int bind_to(nst_sock sock, const char *addr, uint16_t port)
{
    struct nst_sockaddr n = name(addr, port);

    return nst_bind(h.stack, sock, &n);
}

static int connect_to(nst_sock sock, const char *addr, uint16_t port)
{
    struct nst_sockaddr n = name(addr, port);

    return nst_connect(h.stack, sock, &n);
}

static nst_sock udp(void)
{
    return harness_socket(&h, NST_SOCK_DGRAM, 0);
}

static struct nst_sock_info info(nst_sock sock)
{
    struct nst_sock_info i;

    assert_int_equal(nst_info(h.stack, sock, &i), 0);
    return i;
}

static int64_t receive(nst_sock sock, uint32_t flags)
{
    return harness_recv(&h, sock, &msg, buf, sizeof buf, flags);
}

static void datagram(const char *src, uint16_t sport, const char *dst, uint16_t dport, size_t len)
{
    frame_udp(&frame, &(struct frame_ip){.src = src, .dst = dst}, sport, dport, NULL, len);
    harness_input(&h, &frame);
}

/* ---- Handles ------------------------------------------------------------------------------ */

static void test_kinds(void **state)
{
    static const struct {
        enum nst_family family;
        enum nst_sock_type type;
        uint8_t protocol;
        int result;
        uint8_t became;
    } table[] = {
        {NST_AF_INET, NST_SOCK_DGRAM, 0, 0, 17},
        {NST_AF_INET, NST_SOCK_DGRAM, 17, 0, 17},
        {NST_AF_INET, NST_SOCK_DGRAM, 1, 0, 1},
        {NST_AF_INET, NST_SOCK_DGRAM, 6, -EPROTONOSUPPORT, 0},
        {NST_AF_INET, NST_SOCK_RAW, 0, -EPROTONOSUPPORT, 0},
        {NST_AF_INET, NST_SOCK_RAW, 255, 0, 255},
        {NST_AF_UNSPEC, NST_SOCK_PACKET, 0, 0, 0},
        {NST_AF_INET6, NST_SOCK_DGRAM, 0, -EAFNOSUPPORT, 0},
        {NST_AF_INET, (enum nst_sock_type)9, 0, -EINVAL, 0},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(table); i++) {
        nst_sock sock = 0;
        assert_int_equal(
            nst_socket(h.stack, &sock, table[i].family, table[i].type, table[i].protocol, i),
            table[i].result);
        if (table[i].result)
            continue;
        assert_int_not_equal(sock, 0);
        assert_int_equal(info(sock).cookie, i);
        assert_int_equal(info(sock).type, table[i].type);
        assert_int_equal(info(sock).protocol, table[i].became);
    }
}

/* Every call refuses a handle that has ended, even when its slot is in use again. */
static void test_stale_handles(void **state)
{
    nst_sock ended = udp(), invented[] = {0, 1, UINT32_MAX, UINT64_MAX, (nst_sock)1 << 32, ended};
    struct nst_sockaddr n = name(US, 1);
    struct nst_sock_info i;
    int64_t value;
    (void)state;

    assert_int_equal(nst_close(h.stack, ended), 0);
    nst_sock again = udp();
    assert_int_not_equal(again, ended);
    for (size_t k = 0; k < NST_ARRAY_LEN(invented); k++) {
        nst_sock s = invented[k];
        assert_int_equal(nst_close(h.stack, s), -EBADF);
        assert_int_equal(nst_bind(h.stack, s, &n), -EBADF);
        assert_int_equal(nst_connect(h.stack, s, &n), -EBADF);
        assert_int_equal(harness_send(&h, s, PEER, 1, "x", 1), -EBADF);
        assert_int_equal(receive(s, 0), -EBADF);
        assert_int_equal(nst_setopt(h.stack, s, NST_OPT_TTL, 1), -EBADF);
        assert_int_equal(nst_getopt(h.stack, s, NST_OPT_TTL, &value), -EBADF);
        assert_int_equal(nst_info(h.stack, s, &i), -EBADF);
    }
    assert_int_equal(nst_close(h.stack, again), 0);
}

static void test_many(void **state)
{
    static nst_sock socks[1000];
    (void)state;

    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < NST_ARRAY_LEN(socks); i++)
            socks[i] = harness_udp(&h, NULL, (uint16_t)(1 + i));
        nst_stack_check(h.stack);
        for (size_t i = round; i < NST_ARRAY_LEN(socks); i++)
            assert_int_equal(nst_close(h.stack, socks[(i * 7) % 1000]), round && i < round);
        for (size_t i = 0; i < round; i++)
            assert_int_equal(nst_close(h.stack, socks[(i * 7) % 1000]), 0);
    }
    assert_int_equal(harness_stat(&h, "sock.opened"), 3000);
    assert_int_equal(harness_stat(&h, "sock.closed"), 3000);
}

/* ---- Ports -------------------------------------------------------------------------------- */

static void test_binding_rules(void **state)
{
    nst_sock any = udp(), one = udp(), other = udp(), echo;
    struct nst_sockaddr n;
    (void)state;

    assert_int_equal(bind_to(any, "192.0.2.99", 53), -EADDRNOTAVAIL);
    assert_int_equal(bind_to(any, NULL, 53), 0);
    assert_int_equal(bind_to(any, NULL, 54), -EINVAL);
    assert_int_equal(bind_to(one, NULL, 53), -EADDRINUSE);
    assert_int_equal(bind_to(one, US, 53), -EADDRINUSE);
    assert_int_equal(bind_to(one, US, 54), 0);
    assert_int_equal(bind_to(other, US, 54), -EADDRINUSE);
    assert_int_equal(bind_to(other, NULL, 54), -EADDRINUSE);
    assert_int_equal(bind_to(other, US2, 54), 0);
    echo = harness_socket(&h, NST_SOCK_DGRAM, 1); /* identifiers are no ports */
    assert_int_equal(bind_to(echo, NULL, 53), 0);
    assert_int_equal(nst_close(h.stack, any), 0);
    any = udp();
    n = name(NULL, 53);
    n.link = 9;
    assert_int_equal(nst_bind(h.stack, any, &n), -ENODEV);
    n = (struct nst_sockaddr){.addr.family = NST_AF_INET6, .port = 53};
    n.addr.bytes[15] = 1; /* ::1 */
    assert_int_equal(nst_bind(h.stack, any, &n), -EAFNOSUPPORT);
    assert_int_equal(nst_connect(h.stack, any, &n), -EAFNOSUPPORT);
    assert_int_equal(bind_to(any, "127.0.0.1", 53), 0);
}

/* RFC 6056: random, in the range of a current Linux. Shows 6056-1, 6056-2. */
static void test_chosen_ports(void **state)
{
    static uint16_t ports[2000];
    unsigned ascending = 0;
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(ports); i++) {
        ports[i] = info(harness_udp(&h, NULL, 0)).local.port;
        assert_in_range(ports[i], 32768, 60999);
        ascending += i > 0 && ports[i] > ports[i - 1];
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ports[i], ports[j]);
    }
    assert_in_range(ascending, 900, 1100);
}

static void test_all_ports_taken(void **state)
{
    nst_sock last = udp();
    (void)state;

    for (uint16_t port = 32768; port < 61000; port++)
        harness_udp(&h, NULL, port);
    assert_int_equal(bind_to(last, NULL, 0), -EADDRINUSE);
    assert_int_equal(harness_send(&h, last, PEER, 9, "x", 1), -EADDRINUSE);
    assert_int_equal(bind_to(last, NULL, 61000), 0);
}

/* ---- Which socket gets it ----------------------------------------------------------------- */

static void test_connected_socket(void **state)
{
    nst_sock exact = udp(), any = harness_udp(&h, NULL, 53);
    (void)state;

    assert_int_equal(bind_to(exact, NULL, 60), 0);
    assert_int_equal(connect_to(exact, PEER, 1000), 0);
    datagram(PEER, 1000, US, 60, 1);
    datagram(PEER, 1001, US, 60, 2);     /* another port of the peer's */
    datagram(STRANGER, 1000, US, 60, 3); /* another peer */
    datagram(PEER, 1000, US2, 60, 4);    /* another address of ours */
    datagram(STRANGER, 7, US2, 53, 5);
    assert_int_equal(receive(exact, 0), 1);
    assert_int_equal(receive(exact, 0), -EAGAIN);
    assert_int_equal(receive(any, 0), 5);
    assert_int_equal(harness_drops(&h, NST_DROP_udp_port), 3);
}

/* Among those that suit, the one that names most: addresses of ours apart, a connection wins. */
static void test_scores(void **state)
{
    nst_sock one = harness_udp(&h, US, 53), two = harness_udp(&h, US2, 53);
    (void)state;

    assert_int_equal(connect_to(two, PEER, 1000), 0);
    datagram(PEER, 1000, US, 53, 1);
    datagram(PEER, 1000, US2, 53, 2);
    datagram(PEER, 1001, US2, 53, 3);
    assert_int_equal(receive(one, 0), 1);
    assert_int_equal(receive(one, 0), -EAGAIN);
    assert_int_equal(receive(two, 0), 2);
    assert_int_equal(receive(two, 0), -EAGAIN);
}

#define MEMBERS 4
#define FLOWS   400

/* Who of the group gets a datagram of each flow; `gone` is not one of it any more. */
static void deal(const nst_sock member[MEMBERS], unsigned gone, unsigned who[FLOWS])
{
    for (unsigned i = 0; i < FLOWS; i++) {
        unsigned holders = 0;
        datagram(PEER, (uint16_t)(2000 + i), US, 53, 1);
        for (unsigned m = 0; m < MEMBERS; m++) {
            if (m == gone || receive(member[m], 0) != 1)
                continue;
            who[i] = m;
            holders++;
        }
        assert_int_equal(holders, 1);
    }
}

/* Each member has its share of the flows, each flow stays with its member, and when one leaves, no
 * flow moves but its own. */
static void test_group(void **state)
{
    unsigned before[FLOWS], again[FLOWS], after[FLOWS], share[MEMBERS] = {0};
    nst_sock member[MEMBERS];
    (void)state;

    for (unsigned m = 0; m < MEMBERS; m++) {
        member[m] = udp();
        assert_int_equal(nst_setopt(h.stack, member[m], NST_OPT_REUSEPORT, UINT16_MAX), 0);
        assert_int_equal(bind_to(member[m], US, 53), 0);
    }
    deal(member, MEMBERS, before);
    deal(member, MEMBERS, again);
    assert_memory_equal(before, again, sizeof before);
    for (unsigned i = 0; i < FLOWS; i++)
        share[before[i]]++;
    for (unsigned m = 0; m < MEMBERS; m++)
        assert_in_range(share[m], FLOWS / MEMBERS / 2, FLOWS / MEMBERS * 2);
    assert_int_equal(nst_close(h.stack, member[1]), 0);
    deal(member, 1, after);
    for (unsigned i = 0; i < FLOWS; i++)
        assert_true(before[i] == 1 || after[i] == before[i]);
}

/* A socket of any address and one of a certain address can come to share a port. */
static void test_the_one_that_names_most(void **state)
{
    nst_sock any = harness_udp(&h, NULL, 53), one = udp();
    struct nst_sockaddr nobody = {0};
    (void)state;

    assert_int_equal(connect_to(any, PEER, 9), 0);
    assert_int_equal(bind_to(one, US2, 53), 0);
    assert_int_equal(nst_connect(h.stack, any, &nobody), 0);
    datagram(PEER, 9, US, 53, 1);
    datagram(PEER, 9, US2, 53, 2);
    assert_int_equal(receive(any, 0), 1);
    assert_int_equal(receive(any, 0), -EAGAIN);
    assert_int_equal(receive(one, 0), 2);
}

/* Shows 1122-165. */
static void test_socket_of_one_link(void **state)
{
    nst_link eth1 = harness_link(&h, "eth1", "02:00:00:00:01:01", "10.0.0.1/8");
    nst_sock sock = udp();
    struct nst_sockaddr n = name(NULL, 53);
    (void)state;

    n.link = eth1;
    assert_int_equal(nst_bind(h.stack, sock, &n), 0);
    datagram(PEER, 1, US, 53, 1);
    assert_int_equal(receive(sock, 0), -EAGAIN);
    frame_udp(
        &frame,
        &(struct frame_ip){.src = "10.0.0.2", .dst = "10.0.0.1", .mac_dst = "02:00:00:00:01:01"}, 1,
        53, NULL, 2);
    harness_input_on(&h, eth1, &frame);
    assert_int_equal(receive(sock, 0), 2);
    assert_int_equal(msg.peer.link, eth1);
    /* It sends there too, whatever the routes say. */
    assert_int_equal(harness_send(&h, sock, PEER, 9, "x", 1), -ENETUNREACH);
    assert_int_equal(connect_to(sock, "10.0.0.2", 9), 0);
    assert_int_equal(connect_to(sock, PEER, 9), -ENETUNREACH);
}

/* Shows 1122-162. */
static void test_groups_reach_all(void **state)
{
    nst_sock any = udp(), one = harness_udp(&h, US, 53);
    nst_sock group = harness_udp(&h, "224.0.0.1", 53), echo = harness_socket(&h, NST_SOCK_DGRAM, 1);
    (void)state;

    assert_int_equal(bind_to(echo, NULL, 53), 0);
    assert_int_equal(nst_setopt(h.stack, any, NST_OPT_RCVBUF, 65536), 0);
    assert_int_equal(bind_to(any, NULL, 54), 0);
    frame_udp(&frame, &(struct frame_ip){.dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"}, 1, 53,
              NULL, 10);
    harness_input(&h, &frame);
    assert_int_equal(receive(group, 0), 10);
    assert_memory_equal(buf, frame.bytes + UDP_DATA, 10);
    assert_int_equal(receive(one, 0), -EAGAIN);
    assert_int_equal(receive(any, 0), -EAGAIN);
    assert_int_equal(receive(echo, 0), -EAGAIN);
    frame_udp(&frame, &(struct frame_ip){.dst = "192.0.2.255", .mac_dst = BROADCAST}, 1, 54, NULL,
              11);
    harness_input(&h, &frame);
    assert_int_equal(receive(any, 0), 11);
    assert_int_equal(receive(group, 0), -EAGAIN);
    harness_silent(&h);
}

/* ---- Sending: sources and rights ---------------------------------------------------------- */

/* RFC 1122 §3.2.1.3: none of these may be the source of what leaves the host.
 * Shows 1122-28, 1122-152, 1122-185. */
static void test_sources(void **state)
{
    nst_sock loopback = harness_udp(&h, "127.0.0.1", 50), group = harness_udp(&h, "224.0.0.1", 51);
    nst_sock broadcast = harness_udp(&h, "255.255.255.255", 52), gone = harness_udp(&h, US2, 53);
    struct nst_addr us2 = test_addr(US2);
    (void)state;

    assert_int_equal(harness_send(&h, loopback, PEER, 9, "x", 1), -EINVAL);
    assert_int_equal(harness_send(&h, loopback, US, 9, "x", 1), 1);
    harness_pull(&h);
    harness_silent(&h);
    assert_int_equal(harness_send(&h, group, PEER, 9, "x", 1), 1);
    assert_int_equal(harness_send(&h, broadcast, PEER, 9, "x", 1), 1);
    harness_pull(&h); /* frame_assert_sound() judges the sources */
    assert_int_equal(h.ntx, 2);
    assert_int_equal(frame_get32(h.tx[0], IP_SRC), 0xc0000201);
    assert_int_equal(frame_get32(h.tx[1], IP_SRC), 0xc0000201);
    assert_int_equal(harness_send(&h, gone, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    assert_int_equal(frame_get32(harness_sent(&h), IP_SRC), 0xc000020b);
    assert_int_equal(nst_addr_del(h.stack, h.link, &us2), 0);
    assert_int_equal(harness_send(&h, gone, PEER, 9, "x", 1), -EADDRNOTAVAIL);
}

/* Shows 1122-139, 1122-181. */
static void test_source_of_one_message(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_slice slice = {buf, 1};
    struct nst_msg m = {.data = &slice, .ndata = 1, .peer = name(PEER, 9), .tos = -1};
    (void)state;

    m.local = name(US2, 0);
    assert_int_equal(nst_send(h.stack, sock, &m), 1);
    harness_pull(&h);
    assert_int_equal(frame_get32(harness_sent(&h), IP_SRC), 0xc000020b);
    m.local = name("192.0.2.99", 0);
    assert_int_equal(nst_send(h.stack, sock, &m), -EADDRNOTAVAIL);
    m.local.addr = (struct nst_addr){.family = NST_AF_INET6, .bytes[15] = 1};
    assert_int_equal(nst_send(h.stack, sock, &m), -EAFNOSUPPORT);
}

static void test_send_errors(void **state)
{
    static uint8_t data[65508];
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_slice slice = {data, 1};
    struct nst_msg m = {.data = &slice, .ndata = 1, .peer = name(PEER, 9), .tos = -1};
    struct nst_addr six = {.family = NST_AF_INET6};
    (void)state;

    assert_int_equal(harness_send(&h, sock, NULL, 9, data, 1), -EDESTADDRREQ);
    assert_int_equal(harness_send(&h, sock, PEER, 0, data, 1), -EDESTADDRREQ);
    assert_int_equal(harness_send(&h, sock, "0.0.0.0", 9, data, 1), -ENETUNREACH);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 65508), -EMSGSIZE);
    assert_int_equal(harness_send(&h, sock, "192.0.2.255", 9, data, 1), -EACCES);
    assert_int_equal(harness_send(&h, sock, "255.255.255.255", 9, data, 1), -EACCES);
    assert_int_equal(connect_to(sock, "192.0.2.255", 9), -EACCES);
    m.options_len = 3;
    assert_int_equal(nst_send(h.stack, sock, &m), -EINVAL);
    m.options_len = 44;
    assert_int_equal(nst_send(h.stack, sock, &m), -EINVAL);
    m.options_len = 0;
    m.peer.addr = six;
    assert_int_equal(nst_send(h.stack, sock, &m), -EAFNOSUPPORT);
    m.peer = name(PEER, 9);
    m.peer.link = 9;
    assert_int_equal(nst_send(h.stack, sock, &m), -ENETUNREACH);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_DONTFRAG, 1), 0);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1473), -EMSGSIZE);
    assert_int_equal(harness_send(&h, sock, PEER, 9, data, 1472), 1472);
    assert_int_equal(info(sock).tx_bytes, 1472);
}

/* Shows 1122-183. */
static void test_connect_and_undo(void **state)
{
    nst_sock sock = udp();
    struct nst_sockaddr nobody = {0};
    (void)state;

    assert_int_equal(connect_to(sock, PEER, 9), 0);
    assert_int_equal(harness_send(&h, sock, NULL, 0, "x", 1), 1);
    harness_pull(&h);
    assert_int_equal(frame_get16(harness_sent(&h), UDP_DPORT), 9);
    assert_int_equal(frame_get16(harness_sent(&h), UDP_SPORT), info(sock).local.port);
    assert_int_equal(info(sock).local.addr.family, NST_AF_INET);
    assert_int_equal(nst_connect(h.stack, sock, &nobody), 0);
    assert_int_equal(info(sock).local.addr.family, NST_AF_UNSPEC);
    assert_int_equal(info(sock).peer.addr.family, NST_AF_UNSPEC);
    assert_int_equal(harness_send(&h, sock, NULL, 0, "x", 1), -EDESTADDRREQ);
}

/* Shows 1122-33, 1122-38, 1122-40, 1122-172, 1122-173, 1122-186, 1122-187. */
static void test_ttl_tos_options(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 5000);
    struct nst_slice slice = {buf, 4};
    struct nst_msg m = {.data = &slice, .ndata = 1, .peer = name(PEER, 9), .tos = -1};
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_TTL, 7), 0);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_TOS, 0xb8), 0);
    m.options_len = 8;
    memcpy(m.options, "\x07\x07\x04\0\0\0\0\0", 8);
    assert_int_equal(nst_send(h.stack, sock, &m), 4);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->bytes[IP_TTL], 7);
    assert_int_equal(harness_sent(&h)->bytes[IP_TOS], 0xb8);
    assert_int_equal(harness_sent(&h)->bytes[IP], 0x47);
    m.ttl = 9;
    m.tos = 0;
    assert_int_equal(nst_send(h.stack, sock, &m), 4);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->bytes[IP_TTL], 9);
    assert_int_equal(harness_sent(&h)->bytes[IP_TOS], 0);
}

/* ---- Receiving ---------------------------------------------------------------------------- */

/* Shows 1122-34, 1122-41, 1122-166, 1122-171, 1122-180, 1122-186, 1122-188. */
static void test_what_surrounds_a_datagram(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    struct nst_addr peer = test_addr(PEER), us = test_addr(US);
    (void)state;

    frame_udp(&frame, &(struct frame_ip){.ttl = 3, .tos = 0x2c, .options = "01010100"}, 1234, 53,
              NULL, 100);
    harness_input(&h, &frame);
    assert_int_equal(receive(sock, 0), 100);
    assert_memory_equal(buf, frame.bytes + UDP_DATA + 4, 100);
    assert_true(nst_addr_eq(&msg.peer.addr, &peer) && nst_addr_eq(&msg.local.addr, &us));
    assert_int_equal(msg.peer.port, 1234);
    assert_int_equal(msg.local.port, 53);
    assert_int_equal(msg.local.link, h.link);
    assert_int_equal(msg.ttl, 3);
    assert_int_equal(msg.tos, 0x2c);
    assert_int_equal(msg.options_len, 4);
    assert_int_equal(msg.time, TEST_START);
    assert_false(msg.truncated);
}

static void test_scattered_truncated_peeked(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    uint8_t a[3], b[5];
    struct nst_slice slices[] = {{a, 3}, {NULL, 0}, {b, 5}};
    struct nst_msg m = {.data = slices, .ndata = 3};
    (void)state;

    datagram(PEER, 1, US, 53, 8);
    datagram(PEER, 1, US, 53, 9);
    datagram(PEER, 1, US, 53, 0);
    assert_int_equal(info(sock).rx_bytes, 17);
    assert_int_equal(nst_recv(h.stack, sock, &m, NST_RECV_PEEK), 8);
    assert_int_equal(nst_recv(h.stack, sock, &m, 0), 8);
    assert_false(m.truncated);
    assert_memory_equal(a, frame.bytes + L4, 0);
    assert_int_equal(a[2], 14);
    assert_int_equal(b[4], 49);
    assert_int_equal(nst_recv(h.stack, sock, &m, 0), 9);
    assert_true(m.truncated);
    m.ndata = 0;
    assert_int_equal(nst_recv(h.stack, sock, &m, 0), 0);
    assert_false(m.truncated);
    assert_int_equal(nst_recv(h.stack, sock, &m, 0), -EAGAIN);
    assert_int_equal(info(sock).rx_bytes, 0);
    assert_int_equal(harness_memory(&h), 0);
}

static void test_receive_buffer(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RCVBUF, 10000), 0);
    for (unsigned i = 0; i < 10; i++)
        datagram(PEER, 1, US, 53, 100);
    assert_in_range(harness_memory(&h), 5000, 10000);
    assert_int_equal(info(sock).memory_bytes, harness_memory(&h));
    assert_int_equal(info(sock).rx_drops, harness_drops(&h, NST_DROP_sock_rcvbuf));
    assert_int_equal(info(sock).rx_bytes / 100 + info(sock).rx_drops, 10);
    assert_int_equal(nst_close(h.stack, sock), 0);
    assert_int_equal(harness_memory(&h), 0);
}

/* ---- Events ------------------------------------------------------------------------------- */

static unsigned events(nst_sock sock)
{
    struct nst_event event = {0};

    if (nst_events(h.stack, &event, 1) == 0)
        return 0;
    assert_int_equal(event.kind, NST_EVENT_READY);
    assert_int_equal(event.sock, sock);
    assert_int_equal(event.cookie, 7);
    return event.ready;
}

static void test_events_are_edges(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    (void)state;

    assert_int_equal(events(sock), 0);
    datagram(PEER, 1, US, 53, 1);
    datagram(PEER, 1, US, 53, 1);
    assert_int_equal(events(sock), NST_READY_IN | NST_READY_OUT);
    assert_int_equal(events(sock), 0); /* told once, though it is still ready */
    datagram(PEER, 1, US, 53, 1);
    assert_int_equal(events(sock), NST_READY_IN | NST_READY_OUT);
    datagram(PEER, 1, US, 53, 1);
    while (receive(sock, 0) > 0)
        ;
    assert_int_equal(events(sock), NST_READY_OUT); /* what holds now, not what was */
    datagram(PEER, 1, US, 53, 1);
    assert_int_equal(nst_close(h.stack, sock), 0);
    assert_int_equal(events(sock), 0);
}

static void test_events_in_turn(void **state)
{
    struct nst_event list[2];
    nst_sock socks[5];
    (void)state;

    for (uint16_t i = 0; i < 5; i++)
        socks[i] = harness_udp(&h, NULL, (uint16_t)(50 + i));
    for (uint16_t i = 0; i < 5; i++)
        datagram(PEER, 1, US, (uint16_t)(50 + i), 1);
    assert_int_equal(nst_events(h.stack, list, 0), 0);
    for (unsigned i = 0; i < 4; i += 2) {
        assert_int_equal(nst_events(h.stack, list, 2), 2);
        assert_int_equal(list[0].sock, socks[i]);
        assert_int_equal(list[1].sock, socks[i + 1]);
    }
    assert_int_equal(nst_events(h.stack, list, 2), 1);
    assert_int_equal(list[0].sock, socks[4]);
}

/* Who was refused hears of room; who was not, doesn't. */
static void test_room_to_send(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    unsigned sent = 0;
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_SNDBUF, 20000), 0);
    assert_int_equal(harness_send(&h, sock, PEER, 9, buf, 100), 100);
    harness_pull(&h);
    assert_int_equal(events(sock), 0);
    while (harness_send(&h, sock, PEER, 9, buf, 100) == 100)
        sent++;
    assert_in_range(sent, 4, 10);
    assert_int_equal(harness_send(&h, sock, PEER, 9, buf, 100), -EAGAIN);
    assert_int_equal(events(sock), 0);
    harness_pull(&h);
    assert_int_equal(h.ntx, sent);
    assert_int_equal(events(sock), NST_READY_OUT);
    assert_int_equal(info(sock).tx_bytes, 0);
}

/* One datagram of each socket in turn. */
static void test_senders_take_turns(void **state)
{
    nst_sock a = harness_udp(&h, NULL, 50), b = harness_udp(&h, NULL, 51);
    static const uint16_t order[] = {50, 51, 50, 51, 50, 50};
    (void)state;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(harness_send(&h, a, PEER, 9, "x", 1), 1);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(harness_send(&h, b, PEER, 9, "x", 1), 1);
    harness_pull(&h);
    assert_int_equal(h.ntx, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(frame_get16(h.tx[i], UDP_SPORT), order[i]);
}

static void test_neighbour_does_not_answer(void **state)
{
    nst_sock sock = harness_udp(&h, NULL, 53);
    (void)state;

    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RECVERR, 1), 0);
    assert_int_equal(harness_send(&h, sock, STRANGER, 9, "hello", 5), 5);
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(h.ntx, 3); /* asked three times */
    assert_int_equal(harness_drops(&h, NST_DROP_neigh_unreachable), 1);
    assert_true(info(sock).memory_bytes > 0); /* the error has some, too */
    assert_int_equal(info(sock).memory_bytes, harness_memory(&h));
    assert_int_equal(receive(sock, NST_RECV_ERROR), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(msg.error.err, EHOSTUNREACH);
    assert_int_equal(msg.peer.port, 9);
}

/* ---- Options ------------------------------------------------------------------------------ */

static void test_options(void **state)
{
    static const struct {
        enum nst_opt opt;
        int64_t value, got;
        int result;
    } table[] = {
        {NST_OPT_ERROR, 1, 0, -EINVAL},
        {NST_OPT_SNDBUF, 0, 4096, 0},
        {NST_OPT_SNDBUF, -1, 4096, -EINVAL},
        {NST_OPT_SNDBUF, INT64_MAX, 16 << 20, 0},
        {NST_OPT_RCVBUF, 100000, 100000, 0},
        {NST_OPT_RCVBUF, INT64_MIN, 100000, -EINVAL},
        {NST_OPT_BROADCAST, 1, 1, 0},
        {NST_OPT_BROADCAST, 2, 1, -EINVAL},
        {NST_OPT_TTL, 0, 64, -EINVAL},
        {NST_OPT_TTL, 1, 1, 0},
        {NST_OPT_TTL, 255, 255, 0},
        {NST_OPT_TTL, 256, 255, -EINVAL},
        {NST_OPT_TOS, 255, 255, 0},
        {NST_OPT_TOS, 256, 255, -EINVAL},
        {NST_OPT_DONTFRAG, 1, 1, 0},
        {NST_OPT_DONTFRAG, -1, 1, -EINVAL},
        {NST_OPT_RECVERR, 1, 1, 0},
        {NST_OPT_RECVERR, 0, 0, 0},
        {NST_OPT_ICMP_FILTER, 1, 0, -ENOPROTOOPT},
        {(enum nst_opt)99, 1, 0, -ENOPROTOOPT},
    };
    nst_sock sock = udp();
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(table); i++) {
        int64_t value = 0;
        assert_int_equal(nst_setopt(h.stack, sock, table[i].opt, table[i].value), table[i].result);
        assert_int_equal(nst_getopt(h.stack, sock, table[i].opt, &value),
                         table[i].result == -ENOPROTOOPT ? -ENOPROTOOPT : 0);
        assert_int_equal(value, table[i].got);
    }
    sock = harness_socket(&h, NST_SOCK_PACKET, 0);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_TTL, 1), -ENOPROTOOPT);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_RCVBUF, 10000), 0);
}

/* ---- Echo sockets ------------------------------------------------------------------------- */

static void test_echo_socket(void **state)
{
    static const uint8_t request[] = {8, 0, 0xba, 0xd0, 0xba, 0xd0, 0, 5, 'd', 'a', 't', 'a'};
    nst_sock a = harness_socket(&h, NST_SOCK_DGRAM, 1), b = harness_socket(&h, NST_SOCK_DGRAM, 1);
    (void)state;

    assert_int_equal(bind_to(b, NULL, 0x4321), 0);
    assert_int_equal(harness_send(&h, a, PEER, 0, request, 7), -EINVAL);
    assert_int_equal(harness_send(&h, a, PEER, 0, "\3\3\0\0\0\0\0\0", 8), -EINVAL);
    assert_int_equal(harness_send(&h, a, PEER, 0, "\10\1\0\0\0\0\0\0", 8), -EINVAL);
    assert_int_equal(harness_memory(&h), 0);
    assert_int_equal(harness_send(&h, a, PEER, 0, request, sizeof request), sizeof request);
    harness_pull(&h); /* frame_assert_sound() verifies the checksum */
    uint16_t id = info(a).local.port;
    assert_int_equal(frame_get16(harness_sent(&h), ICMP_REST), id);
    frame_icmp(&frame, &(struct frame_ip){0}, 0, 0, (uint32_t)id << 16 | 5, "data", 4);
    harness_input(&h, &frame);
    assert_int_equal(receive(b, 0), -EAGAIN);
    assert_int_equal(receive(a, 0), sizeof request);
    assert_memory_equal(buf, frame.bytes + L4, sizeof request);
    frame_icmp(&frame, &(struct frame_ip){0}, 0, 0, (uint32_t)(id ^ 1) << 16 | 5, "data", 4);
    harness_input(&h, &frame);
    assert_int_equal(harness_drops(&h, NST_DROP_icmp_unmatched), 1);
}

/* ---- Raw sockets -------------------------------------------------------------------------- */

/* Shows 1122-164. */
static void test_raw_gets_a_copy(void **state)
{
    nst_sock raw = harness_socket(&h, NST_SOCK_RAW, 17),
             ospf = harness_socket(&h, NST_SOCK_RAW, 89);
    nst_sock sock = harness_udp(&h, NULL, 53);
    (void)state;

    datagram(PEER, 1, US, 53, 100);
    assert_int_equal(receive(raw, 0), 128);
    assert_memory_equal(buf, frame.bytes + IP, 128);
    assert_int_equal(receive(sock, 0), 100);
    /* A raw socket does not keep a closed port from being told of. */
    datagram(PEER, 1, US, 54, 100);
    harness_sent_icmp(&h, 3, 3, PEER);
    assert_int_equal(receive(raw, 0), 128);
    /* But a protocol that only it speaks is spoken here. */
    frame_ip(&frame, &(struct frame_ip){.proto = 89}, NULL, 40);
    harness_input(&h, &frame);
    harness_silent(&h);
    assert_int_equal(receive(ospf, 0), 60);
    assert_int_equal(nst_close(h.stack, ospf), 0);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 3, 2, PEER);
}

static void test_raw_filters(void **state)
{
    nst_sock bound = harness_socket(&h, NST_SOCK_RAW, 1), connected, filtered;
    int64_t value;
    (void)state;

    connected = harness_socket(&h, NST_SOCK_RAW, 1);
    filtered = harness_socket(&h, NST_SOCK_RAW, 1);
    assert_int_equal(bind_to(bound, PEER, 0), -EADDRNOTAVAIL);
    assert_int_equal(bind_to(bound, US2, 0), 0);
    assert_int_equal(connect_to(connected, PEER, 0), 0);
    assert_int_equal(nst_setopt(h.stack, filtered, NST_OPT_ICMP_FILTER, 1 << 8), 0);
    assert_int_equal(nst_getopt(h.stack, filtered, NST_OPT_ICMP_FILTER, &value), 0);
    assert_int_equal(value, 1 << 8);
    frame_echo(&frame, 1, 1, 0);
    harness_input(&h, &frame);
    frame_icmp(&frame, &(struct frame_ip){.src = STRANGER, .dst = US2}, 13, 0, 1, NULL, 12);
    harness_input(&h, &frame);
    assert_int_equal(receive(bound, 0), 40);
    assert_int_equal(receive(bound, 0), -EAGAIN);
    assert_int_equal(receive(connected, 0), 28);
    assert_int_equal(receive(connected, 0), -EAGAIN);
    assert_int_equal(receive(filtered, 0), 40);
    assert_int_equal(receive(filtered, 0), -EAGAIN);
}

static void test_raw_sends(void **state)
{
    nst_sock raw = harness_socket(&h, NST_SOCK_RAW, 89);
    (void)state;

    assert_int_equal(harness_send(&h, raw, NULL, 0, "hello", 5), -EDESTADDRREQ);
    assert_int_equal(harness_send(&h, raw, PEER, 0, "hello", 5), 5);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->bytes[IP_PROTO], 89);
    assert_memory_equal(harness_sent(&h)->bytes + L4, "hello", 5);
    assert_int_equal(connect_to(raw, PEER, 0), 0);
    assert_int_equal(harness_send(&h, raw, NULL, 0, "", 0), 0);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->len, L4);
}

/* ---- Packet sockets ----------------------------------------------------------------------- */

static void test_packet_sockets(void **state)
{
    nst_sock all = harness_socket(&h, NST_SOCK_PACKET, 0), arp, unbound;
    struct nst_sockaddr n = {.link = h.link};
    (void)state;

    arp = harness_socket(&h, NST_SOCK_PACKET, 0);
    unbound = harness_socket(&h, NST_SOCK_PACKET, 0);
    assert_int_equal(nst_bind(h.stack, all, &n), 0);
    n.port = 0x0806;
    assert_int_equal(nst_bind(h.stack, arp, &n), 0);
    n.link = 2;
    assert_int_equal(nst_bind(h.stack, unbound, &n), -ENODEV);
    assert_int_equal(nst_connect(h.stack, all, &(struct nst_sockaddr){0}), -EOPNOTSUPP);
    frame_echo(&frame, 1, 1, 50);
    harness_input(&h, &frame);
    harness_sent_icmp(&h, 0, 0, PEER);
    assert_int_equal(receive(arp, 0), -EAGAIN);
    assert_int_equal(receive(unbound, 0), -EAGAIN);
    assert_int_equal(receive(all, 0), frame.len);
    assert_memory_equal(buf, frame.bytes, frame.len); /* the reply was not made in the same bytes */
    frame_arp(&frame, 1, PEER_MAC, PEER, "00:00:00:00:00:00", US);
    harness_input(&h, &frame);
    assert_int_equal(receive(arp, 0), frame.len);
    assert_int_equal(receive(all, 0), frame.len);
}

static void test_packet_sends(void **state)
{
    nst_sock sock = harness_socket(&h, NST_SOCK_PACKET, 0);
    struct nst_sockaddr n = {.link = h.link};
    static uint8_t data[1515];
    (void)state;

    frame_echo(&frame, 1, 1, 50);
    frame_put_mac(&frame, ETH_DST, PEER_MAC);
    frame_put_mac(&frame, ETH_SRC, US_MAC);
    assert_int_equal(harness_send(&h, sock, NULL, 0, frame.bytes, frame.len), -EDESTADDRREQ);
    assert_int_equal(nst_bind(h.stack, sock, &n), 0);
    assert_int_equal(harness_send(&h, sock, NULL, 0, frame.bytes, 13), -EINVAL);
    assert_int_equal(harness_send(&h, sock, NULL, 0, data, 1515), -EMSGSIZE);
    assert_int_equal(harness_send(&h, sock, NULL, 0, frame.bytes, frame.len), frame.len);
    harness_pull(&h);
    assert_int_equal(harness_sent(&h)->len, frame.len);
    assert_memory_equal(harness_sent(&h)->bytes, frame.bytes, frame.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_handles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_binding_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chosen_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_ports_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connected_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scores, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_one_that_names_most, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socket_of_one_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups_reach_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source_of_one_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_and_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ttl_tos_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_surrounds_a_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scattered_truncated_peeked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_are_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_to_send, setup, teardown),
        cmocka_unit_test_setup_teardown(test_senders_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbour_does_not_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_echo_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_gets_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_sends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packet_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packet_sends, setup, teardown),
    };

    return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
