/* libnetstack-packetdrill.so through its table of functions, as packetdrill uses it, in simulated
 * time: a test plays the peer, segment by segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/checksum.h"
#include "core/wire/ipv4.h"
#include "core/wire/tcp.h"
#include "packetdrill/interface.h"

#define US        "192.0.2.1"
#define PEER      "198.51.100.1"
#define PORT      8080
#define PEER_PORT 40000
#define PEER_ISS  1000u

#define S NST_TCP_SYN
#define A NST_TCP_ACK
#define F NST_TCP_FIN
#define P NST_TCP_PSH
#define R NST_TCP_RST

/* A sanitizer's runtime can't be bound over. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BIND 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BIND 0
#endif
#endif
#ifndef BIND
#define BIND RTLD_DEEPBIND
#endif

static const char *object; /* of the file */
static void (*init)(const char *flags, struct packetdrill_interface *ifc);
static struct packetdrill_interface pd;
#define PD pd.userdata

static uint16_t peer_port, our_port;
static uint8_t buf[100000];

/* ---- The peer -------------------------------------------------------------------------------- */

static void put(const struct nst_tcp *fields, const void *data, size_t len)
{
    static uint8_t p[2000];
    struct nst_tcp tcp = *fields;
    size_t tcp_len = nst_tcp_emit_len(&tcp) + len;
    struct nst_ipv4 ip = {.ttl = 64, .proto = 6, .total_len = (uint16_t)(20 + tcp_len)};

    assert_true(nst_addr_parse(&ip.src, PEER) && nst_addr_parse(&ip.dst, US));
    tcp.sport = peer_port;
    tcp.dport = our_port;
    tcp.checksum = 0;
    nst_ipv4_emit(&ip, p);
    nst_tcp_emit(&tcp, p + 20);
    if (len)
        memcpy(p + 20 + tcp.hlen, data, len);
    uint16_t sum = nst_csum_pseudo(&ip.src, &ip.dst, 6, (uint32_t)tcp_len);
    sum = nst_csum_join(sum, nst_csum_sum(p + 20, tcp_len), 0);
    nst_store16(p + 20 + 16, nst_csum_finish(sum));
    assert_int_equal(pd.netdev_send(PD, p, ip.total_len), 0);
}

static void put_plain(uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
    static const uint8_t zeros[1460];
    const struct nst_tcp tcp = {
        .flags = flags, .seq = nst_seq_of(seq), .ack = nst_seq_of(ack), .wnd = 65535};

    put(&tcp, zeros, len);
}

struct got {
    struct nst_tcp tcp;
    size_t len; /* payload, in `buf` */
    long long usecs;
};

/* The next packet, whose checksums are right. */
static struct got get(void)
{
    static uint8_t p[70000];
    size_t len = sizeof p;
    struct nst_ipv4 ip;
    struct got got;

    assert_int_equal(pd.netdev_receive(PD, p, &len, &got.usecs), 0);
    assert_int_equal(nst_ipv4_parse(&ip, p, len, len), NST_DROP_NONE);
    assert_int_equal(ip.total_len, len);
    uint16_t sum = nst_csum_pseudo(&ip.src, &ip.dst, 6, (uint32_t)len - 20);
    assert_int_equal(nst_csum_finish(nst_csum_join(sum, nst_csum_sum(p + 20, len - 20), 0)), 0);
    assert_int_equal(nst_tcp_parse(&got.tcp, p + 20, len - 20, len - 20), NST_DROP_NONE);
    got.len = len - 20 - got.tcp.hlen;
    memcpy(buf, p + 20 + got.tcp.hlen, got.len);
    return got;
}

static struct got expect(uint8_t flags, size_t len)
{
    struct got got = get();

    assert_int_equal(got.tcp.flags, flags);
    assert_int_equal(got.len, len);
    return got;
}

static void expect_nothing(void)
{
    size_t len = sizeof buf;
    long long usecs;

    assert_int_equal(pd.netdev_receive(PD, buf, &len, &usecs), -1);
}

static long long now_usecs(void)
{
    struct timeval tv;

    assert_int_equal(pd.gettimeofday(PD, &tv, NULL), 0);
    return tv.tv_sec * 1000000LL + tv.tv_usec;
}

/* ---- The host -------------------------------------------------------------------------------- */

static struct sockaddr_in name_of(const char *addr, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_int_equal(inet_pton(AF_INET, addr, &in.sin_addr), 1);
    return in;
}

static int bound_socket(uint16_t port)
{
    struct sockaddr_in us = name_of(US, port);
    int fd = pd.socket(PD, AF_INET, SOCK_STREAM, IPPROTO_TCP);

    assert_true(fd >= 3);
    assert_int_equal(pd.bind(PD, fd, (struct sockaddr *)&us, sizeof us), 0);
    return fd;
}

static int listener(void)
{
    int fd = bound_socket(PORT);

    assert_int_equal(pd.listen(PD, fd, 5), 0);
    return fd;
}

/* The peer opens a connection; returns the number that we begin with, acknowledged. */
static uint32_t handshake(void)
{
    const struct nst_tcp syn = {.flags = S,
                                .seq = nst_seq_of(PEER_ISS),
                                .wnd = 65535,
                                .opts = {.mss = 1460, .sack_ok = true}};

    peer_port = PEER_PORT;
    our_port = PORT;
    put(&syn, NULL, 0);
    struct got got = expect(S | A, 0);
    assert_int_equal(got.tcp.ack.v, PEER_ISS + 1);
    assert_int_equal(got.tcp.opts.mss, 1460);
    put_plain(A, PEER_ISS + 1, got.tcp.seq.v + 1, 0);
    return got.tcp.seq.v + 1;
}

static int accepted(int fd)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    int child = pd.accept(PD, fd, (struct sockaddr *)&peer, &len);

    assert_true(child > fd);
    assert_int_equal(len, sizeof peer);
    assert_int_equal(ntohs(peer.sin_port), PEER_PORT);
    assert_int_equal(peer.sin_addr.s_addr, inet_addr(PEER));
    return child;
}

static void start(const char *flags)
{
    memset(&pd, 0x5a, sizeof pd);
    init(flags, &pd);
}

static int setup(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pd.free(PD);
    return 0;
}

/* ---- Opening, sending, closing --------------------------------------------------------------- */

static void test_passive(void **state)
{
    int fd = listener(), child;
    uint32_t ours = handshake(), theirs = PEER_ISS + 1;
    char data[100];
    (void)state;

    child = accepted(fd);
    put_plain(P | A, theirs, ours, 100);
    assert_int_equal(expect(A, 0).tcp.ack.v, theirs + 100);
    assert_int_equal(pd.read(PD, child, data, sizeof data), 100);
    assert_int_equal(pd.write(PD, child, "hello", 5), 5);
    assert_int_equal(expect(P | A, 5).tcp.seq.v, ours);
    assert_memory_equal(buf, "hello", 5);
    put_plain(A, theirs + 100, ours + 5, 0);

    put_plain(F | A, theirs + 100, ours + 5, 0);
    assert_int_equal(expect(A, 0).tcp.ack.v, theirs + 101);
    assert_int_equal(pd.read(PD, child, data, sizeof data), 0);
    assert_int_equal(pd.close(PD, child), 0);
    assert_int_equal(expect(F | A, 0).tcp.seq.v, ours + 5);
    put_plain(A, theirs + 101, ours + 6, 0);
    assert_int_equal(pd.close(PD, child), -1);
    assert_int_equal(errno, EBADF);
    expect_nothing();
}

static void test_active(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    int fd = bound_socket(0), error = 1;
    socklen_t len = sizeof error;
    (void)state;

    assert_int_equal(pd.fcntl(PD, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    assert_int_equal(pd.fcntl(PD, fd, F_GETFL), O_RDWR | O_NONBLOCK);
    assert_int_equal(pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_int_equal(errno, EINPROGRESS);
    struct got syn = expect(S, 0);
    assert_int_equal(syn.tcp.dport, PORT);
    assert_int_equal(syn.tcp.opts.mss, 1460);
    peer_port = PORT;
    our_port = syn.tcp.sport;

    const struct nst_tcp synack = {.flags = S | A,
                                   .seq = nst_seq_of(PEER_ISS),
                                   .ack = nst_seq_add(syn.tcp.seq, 1),
                                   .wnd = 65535,
                                   .opts = {.mss = 1000}};
    put(&synack, NULL, 0);
    assert_int_equal(expect(A, 0).tcp.ack.v, PEER_ISS + 1);
    assert_int_equal(pd.getsockopt(PD, fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, 0);

    /* A large write goes out as a large segment, as it would to a device that cuts it. */
    static char data[4000];
    assert_int_equal(pd.write(PD, fd, data, sizeof data), sizeof data);
    assert_int_equal(expect(P | A, 4000).tcp.seq.v, syn.tcp.seq.v + 1);
    put_plain(R, PEER_ISS + 1, 0, 0);
    assert_int_equal(pd.read(PD, fd, data, sizeof data), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void test_refused(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    int fd = bound_socket(0);
    (void)state;

    pd.fcntl(PD, fd, F_SETFL, O_NONBLOCK);
    pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer);
    struct got syn = expect(S, 0);
    peer_port = PORT;
    our_port = syn.tcp.sport;
    put_plain(R | A, 0, syn.tcp.seq.v + 1, 0);
    assert_int_equal(pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void test_wrong_arguments(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    int fd = listener(), pipes[2];
    (void)state;

    assert_int_equal(pd.pipe(PD, pipes), 0);
    assert_int_equal(pd.listen(PD, pipes[0], 1), -1);
    assert_int_equal(errno, ENOTSOCK);
    assert_int_equal(pd.read(PD, 999, buf, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(pd.socket(PD, AF_UNIX, SOCK_STREAM, 0), -1);
    assert_int_equal(errno, EAFNOSUPPORT);
    assert_int_equal(pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    int child = (handshake(), accepted(fd));
    assert_int_equal(pd.write(PD, child, NULL, 1), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(pd.recv(PD, child, buf, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pd.setsockopt(PD, child, SOL_SOCKET, 9999, &fd, sizeof fd), -1);
    assert_int_equal(errno, ENOPROTOOPT);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void test_time(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    long long t = now_usecs(), sent;
    int fd = bound_socket(0);
    (void)state;

    assert_true(now_usecs() > t);
    t = now_usecs();
    assert_int_equal(pd.usleep(PD, 5000), 0);
    assert_in_range(now_usecs() - t, 5000, 5010);

    /* Each SYN bears the time when it was due, whether time was slept through or asked for. */
    pd.fcntl(PD, fd, F_SETFL, O_NONBLOCK);
    pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer);
    sent = expect(S, 0).usecs;
    pd.usleep(PD, 2500000);
    assert_int_equal(expect(S, 0).usecs, sent + 1000000);
    assert_int_equal(expect(S, 0).usecs, sent + 3000000);
    assert_true(now_usecs() >= sent + 3000000);
    pd.close(PD, fd);
    expect_nothing();
}

/* A call that nobody else can end lets time pass. */
static void test_driver_blocks(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    struct pollfd p = {.events = POLLIN};
    long long t;
    int fd = listener();
    (void)state;

    p.fd = fd;
    t = now_usecs();
    assert_int_equal(pd.poll(PD, &p, 1, 700), 0);
    assert_in_range(now_usecs() - t, 700000, 700010);
    assert_int_equal(pd.accept(PD, fd, NULL, NULL), -1);
    assert_int_equal(errno, EDEADLK);
    const struct timeval tv = {.tv_usec = 1000};
    pd.setsockopt(PD, fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    assert_int_equal(pd.accept(PD, fd, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    int active = bound_socket(0), once = 1;
    pd.setsockopt(PD, active, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof once);
    assert_int_equal(pd.connect(PD, active, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_int_equal(errno, ETIMEDOUT);
}

/* ---- Calls that block, in a thread ----------------------------------------------------------- */

struct call {
    pthread_t thread;
    int tid, fd;
    long long result;
    int error;
    struct timeval ended;
    char data[100];
};

static void *call_accept(void *arg)
{
    struct call *c = arg;

    __atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
    c->result = pd.accept(PD, c->fd, NULL, NULL);
    c->error = errno;
    pd.gettimeofday(PD, &c->ended, NULL);
    return NULL;
}

static void *call_read(void *arg)
{
    struct call *c = arg;

    __atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
    c->result = pd.read(PD, c->fd, c->data, sizeof c->data);
    c->error = errno;
    pd.gettimeofday(PD, &c->ended, NULL);
    return NULL;
}

/* As the runner sees it: by the thread's state in /proc. */
static bool sleeps(int tid)
{
    char path[64], state = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    if ((f = fopen(path, "re"))) {
        if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        fclose(f);
    }
    return state == 'S';
}

static void begin(struct call *c, void *(*fn)(void *), int fd)
{
    memset(c, 0, sizeof *c);
    c->fd = fd;
    assert_int_equal(pthread_create(&c->thread, NULL, fn, c), 0);
    while (!__atomic_load_n(&c->tid, __ATOMIC_ACQUIRE))
        usleep(100);
    while (!sleeps(c->tid)) /* for the mutex or the condition: it has begun, or will be let in */
        usleep(100);
}

static long long end(struct call *c)
{
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    return c->ended.tv_sec * 1000000LL + c->ended.tv_usec;
}

static void test_blocking(void **state)
{
    int fd = listener();
    struct call c;
    long long t;
    (void)state;

    begin(&c, call_accept, fd);
    pd.usleep(PD, 300000);
    t = now_usecs();
    uint32_t ours = handshake();
    pd.usleep(PD, 300000);
    assert_in_range(end(&c) - t, 0, 10);
    assert_true(c.result > fd);

    /* A read sleeps through what isn't data, and ends when there is some. */
    begin(&c, call_read, (int)c.result);
    put_plain(A, PEER_ISS + 1, ours, 0);
    pd.usleep(PD, 1000);
    t = now_usecs();
    put_plain(P | A, PEER_ISS + 1, ours, 10);
    expect(A, 0);
    assert_in_range(end(&c) - t, 0, 10);
    assert_int_equal(c.result, 10);
}

static void test_blocking_ends_by_time(void **state)
{
    const struct timeval tv = {.tv_sec = 2};
    int fd = listener(), child;
    struct call c;
    (void)state;

    handshake();
    child = accepted(fd);
    pd.setsockopt(PD, child, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    long long t = now_usecs();
    begin(&c, call_read, child);
    pd.usleep(PD, 5000000);
    assert_in_range(end(&c) - t, 2000000, 2000010);
    assert_int_equal(c.result, -1);
    assert_int_equal(c.error, EAGAIN);
}

static void test_closed_while_blocking(void **state)
{
    int fd = listener();
    struct call c;
    (void)state;

    begin(&c, call_accept, fd);
    assert_int_equal(pd.close(PD, fd), 0);
    end(&c);
    assert_int_equal(c.result, -1);
    assert_int_equal(c.error, EBADF);
}

/* ---- poll() and epoll ------------------------------------------------------------------------ */

static short poll_once(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    pd.poll(PD, &p, 1, 0);
    return p.revents;
}

static void test_poll(void **state)
{
    int fd = listener();
    (void)state;

    assert_int_equal(poll_once(fd, POLLIN), 0);
    uint32_t ours = handshake();
    assert_int_equal(poll_once(fd, POLLIN), POLLIN);
    int child = accepted(fd);
    assert_int_equal(poll_once(child, POLLIN | POLLOUT), POLLOUT);
    put_plain(P | A, PEER_ISS + 1, ours, 10);
    assert_int_equal(poll_once(child, POLLIN | POLLOUT), POLLIN | POLLOUT);
    put_plain(F | A, PEER_ISS + 11, ours, 0);
    assert_int_equal(poll_once(child, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
    put_plain(R, PEER_ISS + 12, 0, 0);
    assert_int_equal(poll_once(child, POLLIN) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
    assert_int_equal(poll_once(99, POLLIN), POLLNVAL);
}

static uint32_t epoll_once(int ep)
{
    struct epoll_event event = {.events = 0};
    int n = pd.epoll_wait(PD, ep, &event, 1, 0);

    assert_in_range(n, 0, 1);
    assert_true(n == 0 || event.data.u32 == 77);
    return n ? event.events : 0;
}

static void test_epoll(void **state)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 77};
    int fd = listener(), ep = pd.epoll_create(PD, 1);
    uint32_t ours = handshake();
    (void)state;

    int child = accepted(fd);
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_ADD, child, &event), 0);
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_ADD, child, &event), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(epoll_once(ep), 0);
    put_plain(P | A, PEER_ISS + 1, ours, 10);
    assert_int_equal(epoll_once(ep), EPOLLIN);
    assert_int_equal(epoll_once(ep), EPOLLIN);

    /* On edges: once, and again with each arrival. */
    event.events = EPOLLIN | EPOLLET;
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_MOD, child, &event), 0);
    assert_int_equal(epoll_once(ep), EPOLLIN);
    assert_int_equal(epoll_once(ep), 0);
    put_plain(P | A, PEER_ISS + 11, ours, 10);
    assert_int_equal(epoll_once(ep), EPOLLIN);
    assert_int_equal(epoll_once(ep), 0);

    event.events = EPOLLIN | EPOLLONESHOT;
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_MOD, child, &event), 0);
    assert_int_equal(epoll_once(ep), EPOLLIN);
    put_plain(P | A, PEER_ISS + 21, ours, 10);
    assert_int_equal(epoll_once(ep), 0);
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_DEL, child, NULL), 0);
    assert_int_equal(pd.epoll_ctl(PD, ep, EPOLL_CTL_DEL, child, NULL), -1);
    assert_int_equal(errno, ENOENT);
}

/* ---- Options --------------------------------------------------------------------------------- */

static int get_int(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(pd.getsockopt(PD, fd, level, name, &value, &len), 0);
    return value;
}

static void set_int(int fd, int level, int name, int value)
{
    assert_int_equal(pd.setsockopt(PD, fd, level, name, &value, sizeof value), 0);
}

static void test_options(void **state)
{
    int fd = bound_socket(PORT);
    char name[16];
    socklen_t len = sizeof name;
    struct linger l = {1, 5}, got = {0, 0};
    (void)state;

    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 20000);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), 40000);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 77);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    assert_int_equal(pd.setsockopt(PD, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    len = sizeof got;
    assert_int_equal(pd.getsockopt(PD, fd, SOL_SOCKET, SO_LINGER, &got, &len), 0);
    assert_memory_equal(&l, &got, sizeof l);
    assert_int_equal(pd.setsockopt(PD, fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    len = sizeof name;
    assert_int_equal(pd.getsockopt(PD, fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    assert_string_equal(name, "reno");
    assert_int_equal(pd.listen(PD, fd, 1), 0);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

static uint32_t info32(const uint8_t *info, size_t at)
{
    uint32_t value;

    memcpy(&value, info + at, sizeof value);
    return value;
}

/* The places are those of the kernel's struct. */
static void test_tcp_info(void **state)
{
    uint8_t info[400];
    socklen_t len = sizeof info;
    int fd = listener(), queued;
    (void)state;

    assert_int_equal(pd.getsockopt(PD, fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    assert_true(len >= 280 && info[0] == TCP_LISTEN);
    uint32_t ours = handshake();
    int child = accepted(fd);
    assert_int_equal(pd.write(PD, child, buf, 3000), 3000);
    expect(P | A, 3000);
    len = sizeof info;
    assert_int_equal(pd.getsockopt(PD, child, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    assert_true(len >= 280);
    assert_int_equal(info[0], TCP_ESTABLISHED);
    assert_int_equal(info[5], TCPI_OPT_SACK);
    assert_int_equal(info32(info, offsetof(struct tcp_info, tcpi_snd_mss)), 1460);
    assert_int_equal(info32(info, offsetof(struct tcp_info, tcpi_unacked)), 3);
    assert_int_equal(info32(info, offsetof(struct tcp_info, tcpi_snd_cwnd)), 10);
    assert_int_equal(info32(info, offsetof(struct tcp_info, tcpi_snd_ssthresh)), 0x7fffffff);
    assert_int_equal(info32(info, 156), 3);     /* data_segs_out */
    assert_int_equal(info32(info, 200), 3000);  /* bytes_sent */
    assert_int_equal(info32(info, 228), 65535); /* snd_wnd */
    assert_int_equal(pd.ioctl(PD, child, SIOCOUTQ, &queued), 0);
    assert_int_equal(queued, 3000);
    put_plain(A, PEER_ISS + 1, ours + 3000, 0);
    len = sizeof info;
    assert_int_equal(pd.getsockopt(PD, child, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    assert_int_equal(info32(info, offsetof(struct tcp_info, tcpi_unacked)), 0);
    assert_int_equal(info32(info, 120), 3000); /* bytes_acked */
    len = sizeof info;
    assert_int_equal(pd.getsockopt(PD, child, IPPROTO_TCP, TCP_CC_INFO, info, &len), 0);
    len = sizeof info;
    assert_int_equal(pd.getsockopt(PD, child, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
    assert_int_equal(len, 36);
    assert_int_equal(info32(info, 4 * SK_MEMINFO_WMEM_QUEUED), 0);
}

static void test_inq(void **state)
{
    union {
        struct cmsghdr align;
        char bytes[64];
    } control;
    char data[4];
    struct iovec iov = {data, sizeof data};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    int fd = listener(), left = 0;
    uint32_t ours = handshake();
    (void)state;

    int child = accepted(fd);
    set_int(child, IPPROTO_TCP, TCP_INQ, 1);
    put_plain(P | A, PEER_ISS + 1, ours, 10);
    put_plain(F | A, PEER_ISS + 11, ours, 0);
    assert_int_equal(pd.ioctl(PD, child, SIOCINQ, &left), 0);
    assert_int_equal(left, 10);
    assert_int_equal(pd.recvmsg(PD, child, &msg, 0), 4);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    assert_non_null(c);
    assert_int_equal(c->cmsg_type, TCP_CM_INQ);
    memcpy(&left, CMSG_DATA(c), sizeof left);
    assert_int_equal(left, 7);
}

/* ---- Pipes ----------------------------------------------------------------------------------- */

static void test_splice(void **state)
{
    int fd = listener(), ends[2];
    uint32_t ours = handshake();
    (void)state;

    int child = accepted(fd);
    assert_int_equal(pd.pipe(PD, ends), 0);
    assert_int_equal(pd.write(PD, ends[1], "through", 7), 7);
    assert_int_equal(poll_once(ends[0], POLLIN), POLLIN);
    assert_int_equal(pd.splice(PD, ends[0], NULL, child, NULL, 100, 0), 7);
    expect(P | A, 7);
    assert_memory_equal(buf, "through", 7);
    put_plain(P | A, PEER_ISS + 1, ours + 7, 10);
    assert_int_equal(pd.splice(PD, child, NULL, ends[1], NULL, 4, 0), 4);
    assert_int_equal(pd.splice(PD, child, NULL, ends[1], NULL, 100, 0), 6);
    assert_int_equal(pd.splice(PD, child, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pd.read(PD, ends[0], buf, sizeof buf), 10);
    pd.close(PD, ends[1]);
    assert_int_equal(pd.read(PD, ends[0], buf, sizeof buf), 0);
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static void test_table_is_full(void **state)
{
    void *words[sizeof pd / sizeof(void *)];
    (void)state;

    start("local=" US ",remote=" PEER ",mtu=1500,ver=ipv4,proc=0");
    memcpy(words, &pd, sizeof pd);
    assert_int_equal(NST_ARRAY_LEN(words), 33);
    for (size_t i = 0; i < NST_ARRAY_LEN(words); i++)
        assert_non_null(words[i]);
    pd.free(PD);
}

static void test_mtu(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    (void)state;

    start("mtu=576,local=" US);
    int fd = pd.socket(PD, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer);
    assert_int_equal(expect(S, 0).tcp.opts.mss, 536);
    pd.free(PD);
}

static void test_mapped(void **state)
{
    struct sockaddr_in6 us = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)}, peer;
    socklen_t len = sizeof peer;
    char text[INET6_ADDRSTRLEN];
    (void)state;

    start("ver=ipv4-mapped-ipv6");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:" US, &us.sin6_addr), 1);
    int fd = pd.socket(PD, AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(pd.bind(PD, fd, (struct sockaddr *)&us, sizeof us), 0);
    assert_int_equal(pd.listen(PD, fd, 1), 0);
    handshake();
    assert_true(pd.accept(PD, fd, (struct sockaddr *)&peer, &len) > fd);
    assert_int_equal(len, sizeof peer);
    inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
    assert_string_equal(text, "::ffff:" PEER);
    pd.free(PD);
}

static void test_wrong_flags(void **state)
{
    static const char *const wrong[] = {"mtu",      "mtu=",        "mtu=67",    "mtu=1500x",
                                        "ver=ipv6", "colour=1",    "local=::1", "local=127.0.0.1",
                                        "proc=yes", "mtu=1500,x=1"};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(wrong); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            close(STDERR_FILENO);
            init(wrong[i], &pd);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    }
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[300];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_non_null(f = fopen(path, "we"));
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Each SYN looks anew; what a file says wrongly changes nothing. */
static void test_settings(void **state)
{
    struct sockaddr_in peer = name_of(PEER, PORT);
    char dir[] = "/tmp/nst-settings-XXXXXX", flags[100];
    static const char *const files[] = {"tcp_timestamps", "tcp_sack", "tcp_rmem",
                                        "tcp_congestion_control"};
    char name[16];
    socklen_t len = sizeof name;
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(flags, sizeof flags, "local=" US ",proc=%s", dir);
    start(flags);
    write_file(dir, files[0], "0\n");
    write_file(dir, files[1], "seven\n");
    write_file(dir, files[2], "4096\t20000\t30000\n");
    write_file(dir, files[3], "reno\n");
    int fd = pd.socket(PD, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(pd.getsockopt(PD, fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    assert_string_equal(name, "reno");
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), 20000);
    pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer);
    struct got syn = expect(S, 0);
    assert_false(syn.tcp.opts.has_ts);
    assert_true(syn.tcp.opts.sack_ok);
    assert_int_equal(syn.tcp.opts.wscale, 0);
    write_file(dir, files[1], "0\n");
    fd = pd.socket(PD, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pd.connect(PD, fd, (struct sockaddr *)&peer, sizeof peer);
    assert_false(expect(S, 0).tcp.opts.sack_ok);
    for (size_t i = 0; i < NST_ARRAY_LEN(files); i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
    pd.free(PD);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_passive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_active, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_driver_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocking_ends_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_while_blocking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_epoll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tcp_info, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inq, setup, teardown),
        cmocka_unit_test_setup_teardown(test_splice, setup, teardown),
        cmocka_unit_test(test_table_is_full),
        cmocka_unit_test(test_mtu),
        cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_wrong_flags),
        cmocka_unit_test(test_settings),
    };

    object = argc > 1 ? argv[1] : "libnetstack-packetdrill.so";
    void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | BIND);
    void *symbol = handle ? dlsym(handle, "packetdrill_interface_init") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s: %s\n", object, dlerror());
        return 1;
    }
    memcpy(&init, &symbol, sizeof init);
    return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
