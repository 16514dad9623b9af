/* A daemon without a stack: real messages through the real server, answers as the test needs them.
 * The last byte of the address that is pinged chooses what becomes of the request. */
#ifndef NST_TESTS_CLI_FAKE_DAEMON_H
#define NST_TESTS_CLI_FAKE_DAEMON_H

#include "../ipc/fixture.h"
#include "core/base/addr.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"
#include "ipc/client.h"
#include "ipc/server.h"

#include <signal.h>
#include <sys/wait.h>

enum fate {
    ECHO = 1,
    SILENCE = 2,
    BY_ROUTER = 3, /* 10.0.0.254 says that the host can't be reached */
    BY_OURSELVES = 4,
    NO_ROUTE = 5,
    TWICE = 6,
    DAMAGED = 7,
    DAEMON_ENDS = 8, /* it answers the first request and is gone */
    TOO_LONG = 9,
};

static struct nst_loop *fake_loop;
static const char *fake_ttl = "64";

static const char FAKE_STATUS[] =
    "{\"name\":\"t\",\"version\":\"9.8\",\"pid\":42,\"uptime_s\":7380,\"device\":{\"name\":"
    "\"tun0\","
    "\"kind\":\"tap\",\"mtu\":1500,\"mac\":\"02:00:00:00:00:02\",\"carrier\":true,\"offload\":true}"
    ","
    "\"addresses\":[\"10.0.0.2/24\",\"10.0.1.2/24\"],\"gateway\":\"10.0.0.1\",\"host_address\":"
    "\"10.0.0.1/24\",\"nat\":\"eth0\",\"memory\":{\"used\":1536,\"budget\":67108864},\"sockets\":3,"
    "\"clients\":1}";
static const char FAKE_ADDR[] =
    "{\"addresses\":[{\"link\":\"tun0\",\"address\":\"10.0.0.2/24\",\"state\":\"valid\",\"acd\":"
    "\"announce\"},{\"link\":\"tun0\",\"address\":\"10.0.1.200/"
    "24\",\"state\":\"tentative\",\"acd\":"
    "\"probe\"}]}";
static const char FAKE_ROUTE[] =
    "{\"routes\":[{\"destination\":\"0.0.0.0/"
    "0\",\"gateway\":\"10.0.0.1\",\"link\":\"tun0\",\"metric\":"
    "0,\"origin\":\"static\"},{\"destination\":\"10.0.0.0/24\",\"gateway\":null,\"link\":\"tun0\","
    "\"metric\":5,\"origin\":\"connected\"}]}";
static const char FAKE_NEIGH[] =
    "{\"neighbours\":[{\"address\":\"10.0.0.1\",\"link\":\"tun0\",\"mac\":\"02:00:00:00:00:01\","
    "\"state\":\"reachable\",\"confirmed_ms_ago\":3249},{\"address\":\"10.0.0.77\",\"link\":"
    "\"tun0\","
    "\"mac\":null,\"state\":\"failed\",\"confirmed_ms_ago\":null}]}";
static const char FAKE_STATS[] =
    "{\"counters\":[{\"name\":\"ipv4.in\",\"value\":12},{\"name\":\"ipv4.out\",\"value\":0}],"
    "\"drops\":[{\"reason\":\"runt\",\"text\":\"too "
    "short\",\"count\":0},{\"reason\":\"arp\",\"text\":"
    "\"malformed\\u001b "
    "ARP\",\"count\":3}],\"links\":[{\"link\":\"tun0\",\"rx_pkts\":1,\"rx_bytes\":"
    "60,\"tx_pkts\":22,\"tx_bytes\":1234567,\"rx_drops\":3,\"tx_drops\":0}],\"memory\":{\"used\":0,"
    "\"budget\":67108864}}";
static const char FAKE_CAPTURE[] =
    "{\"links\":[{\"index\":7,\"name\":\"tun0\",\"medium\":\"ethernet\",\"mtu\":1500},{\"index\":9,"
    "\"name\":\"ip9\",\"medium\":\"ip\",\"mtu\":1500}],\"drops\":[{\"index\":4,\"reason\":\"icmp_"
    "type\","
    "\"text\":\"a type that is ignored\"}]}";

/* A ping of 10.0.0.2 by 10.0.0.1, as Ethernet and IP have it. */
static const uint8_t FAKE_FRAME[] = {
    2,    0, 0,    0,    0, 2, 2, 0, 0,  0, 0,    1,    8,  0,                    /* Ethernet */
    0x45, 0, 0,    28,   0, 0, 0, 0, 64, 1, 0x66, 0xde, 10, 0, 0, 1, 10, 0, 0, 2, /* IPv4 */
    8,    0, 0xf7, 0xfe, 0, 0, 0, 1};                                             /* ICMP */

static inline void fake_frame(struct nst_ipc_peer *peer, uint32_t id, uint32_t link, uint16_t drop,
                              uint8_t direction, size_t snaplen)
{
    size_t skip = link == 9 ? NST_ETH_HLEN : 0;
    struct nst_slice slice = {(void *)(uintptr_t)(FAKE_FRAME + skip), sizeof FAKE_FRAME - skip};
    struct nst_ipc_frame frame = {.time = UINT64_C(1700000000123456789),
                                  .link = link,
                                  .drop = drop,
                                  .direction = direction,
                                  .len = (uint32_t)slice.len};

    nst_ipc_frame_send(peer, id, &frame, &slice, 1, snaplen);
}

static inline void fake_capture(struct nst_ipc_peer *peer, uint32_t id, const json_t *args)
{
    size_t snaplen = (size_t)json_integer_value(json_object_get(args, "snaplen"));

    snaplen = snaplen ? snaplen : SIZE_MAX;
    nst_ipc_reply_take(peer, id, json_loads(FAKE_CAPTURE, 0, NULL));
    fake_frame(peer, id, 7, 0, NST_IPC_IN, snaplen);
    fake_frame(peer, id, 7, 4, NST_IPC_IN, snaplen);
    fake_frame(peer, id, 99, 0, NST_IPC_IN, snaplen); /* a link that nobody knows */
    fake_frame(peer, id, 9, 0, NST_IPC_OUT, snaplen);
}

static inline json_t *fake_socket(const json_t *args)
{
    if (strcmp(json_string_value(json_object_get(args, "type")), "icmp") == 0)
        return json_pack("{s:i}", "sock", 1);
    return json_pack("{s:i, s:s, s:s, s:s}", "sock", 2, "link", "tun0", "mac", "02:00:00:00:00:02",
                     "address", "10.0.0.2");
}

static inline void fake_call(void *ctx, struct nst_ipc_peer *peer, uint32_t id, const char *op,
                             const json_t *args)
{
    static const struct {
        const char *op, *answer;
    } fixed[] = {{"status", FAKE_STATUS}, {"addr", FAKE_ADDR},   {"route", FAKE_ROUTE},
                 {"neigh", FAKE_NEIGH},   {"stats", FAKE_STATS}, {"setopt", "{}"},
                 {"down", "{}"}};
    (void)ctx;

    if (strcmp(op, "setopt") == 0)
        fake_ttl = json_integer_value(json_object_get(args, "value")) == 1 ? "1" : "other";
    if (strcmp(op, "down") == 0)
        nst_loop_stop(fake_loop, 0);
    if (strcmp(op, "socket") == 0)
        nst_ipc_reply_take(peer, id, fake_socket(args));
    if (strcmp(op, "capture") == 0)
        fake_capture(peer, id, args);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (strcmp(op, fixed[i].op) == 0)
            nst_ipc_reply_take(peer, id, json_loads(fixed[i].answer, 0, NULL));
}

/* Gives a datagram back, as an answer or a report about itself. */
static inline void fake_answer(struct nst_ipc_peer *peer, const struct nst_ipc_datagram *datagram,
                               const uint8_t *message, size_t len)
{
    struct nst_slice slice = {(void *)(uintptr_t)message, len};

    nst_ipc_datagram_send(peer, datagram, &slice, 1);
}

static inline void fake_report(struct nst_ipc_peer *peer, struct nst_ipc_datagram datagram, int err,
                               uint8_t offender, const uint8_t *message, size_t len)
{
    datagram.flags = NST_IPC_REPORT | (offender == 254 ? NST_IPC_BY_ICMP : 0u);
    datagram.err = (uint16_t)err;
    if (offender)
        datagram.offender = nst_addr_v4(10, 0, 0, offender);
    datagram.icmp_type = 3;
    datagram.icmp_code = 1;
    datagram.info = 1500;
    fake_answer(peer, &datagram, message, len);
}

static inline void fake_ping(struct nst_ipc_peer *peer, const struct nst_ipc_datagram *request,
                             const uint8_t *message, size_t len)
{
    struct nst_ipc_datagram answer = *request;
    uint8_t fate = request->peer.bytes[3];
    uint8_t *copy = malloc(len);

    memcpy(copy, message, len);
    copy[0] = 0; /* an echo reply */
    answer.time = nst_ipc_clock();
    answer.ttl = fake_ttl[0] == '1' ? 1 : 64;
    if (fate == DAMAGED)
        copy[len - 1] ^= 1;
    if (fate == ECHO || fate == TWICE || fate == DAMAGED || fate == DAEMON_ENDS)
        fake_answer(peer, &answer, copy, len);
    if (fate == TWICE)
        fake_answer(peer, &answer, copy, len);
    if (fate == BY_ROUTER || fate == BY_OURSELVES)
        fake_report(peer, answer, EHOSTUNREACH, fate == BY_ROUTER ? 254 : 2, message, len);
    if (fate == NO_ROUTE || fate == TOO_LONG)
        fake_report(peer, answer, fate == NO_ROUTE ? ENETUNREACH : EMSGSIZE, 0, message, len);
    if (fate == DAEMON_ENDS)
        nst_loop_stop(fake_loop, 0);
    free(copy);
}

/* 10.0.0.1 answers ARP. */
static inline void fake_arp(struct nst_ipc_peer *peer, const struct nst_ipc_datagram *request,
                            const uint8_t *frame, size_t len)
{
    uint8_t out[60] = {0};
    struct nst_ipc_datagram answer = {.sock = request->sock, .time = nst_ipc_clock()};
    struct nst_arp arp;

    if (len != sizeof out || nst_arp_parse(&arp, frame + NST_ETH_HLEN, len - NST_ETH_HLEN) ||
        arp.tpa.bytes[3] != ECHO)
        return;
    struct nst_mac mac = {{2, 0, 0, 0, 0, 1}};
    struct nst_eth eth = {.dst = arp.sha, .src = mac, .type = NST_ETHERTYPE_ARP};
    struct nst_arp reply = {
        .op = NST_ARP_REPLY, .sha = mac, .spa = arp.tpa, .tha = arp.sha, .tpa = arp.spa};
    nst_eth_emit(&eth, out);
    nst_arp_emit(&reply, out + NST_ETH_HLEN);
    fake_answer(peer, &answer, out, sizeof out);
}

static inline void fake_datagram(void *ctx, struct nst_ipc_peer *peer,
                                 const struct nst_ipc_datagram *datagram, const uint8_t *payload,
                                 size_t len)
{
    (void)ctx;
    (datagram->sock == 1 ? fake_ping : fake_arp)(peer, datagram, payload, len);
}

static inline void fake_nothing(void *ctx, struct nst_ipc_peer *peer)
{
    (void)ctx;
    (void)peer;
}

static inline _Noreturn void fake_run(int ready)
{
    static const struct nst_ipc_ops ops = {fake_nothing, fake_call, fake_datagram, fake_nothing,
                                           NULL};
    struct nst_ipc_server_config config = {"t", "9.8", (uid_t)-1, &ops, NULL};
    struct nst_ipc_server *server;
    char why[NST_IPC_WHY];

    signal(SIGPIPE, SIG_IGN);
    if (nst_loop_new(&fake_loop, NULL) < 0 ||
        nst_ipc_server_new(&server, fake_loop, &config, why) < 0 || write(ready, "", 1) != 1)
        _exit(1);
    int err = nst_loop_run(fake_loop);
    nst_ipc_server_free(server);
    _exit(err);
}

static pid_t fake_pid;

static inline int fake_start(void **state)
{
    int ready[2];
    char byte;
    (void)state;

    if (pipe(ready) < 0 || (fake_pid = fork()) < 0)
        return -1;
    if (fake_pid == 0)
        fake_run(ready[1]);
    close(ready[1]);
    ssize_t got = read(ready[0], &byte, 1);
    close(ready[0]);
    return got == 1 ? 0 : -1;
}

/* Ends it, if it hasn't, without leaving a socket. */
static inline int fake_stop(void **state)
{
    char lock[80];
    (void)state;

    kill(fake_pid, SIGKILL);
    waitpid(fake_pid, NULL, 0);
    snprintf(lock, sizeof lock, "%s/t.lock", fixture_dir);
    unlink(fixture_path);
    unlink(lock);
    return 0;
}

#endif
