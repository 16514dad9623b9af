/* Fuzzes the daemon's end of ipc: each input is what one client sends before it goes.
 *
 * An input is a row of messages: a type, a length of two bytes (little-endian), a body. A type
 * below 128 gets a proper header put before it, so that the body is looked at; others are sent as
 * they are. Whatever a client sends, the server must have forgotten it when it has gone, and still
 * serve the honest client that stays all the while. */
#include "ipc/packet.h"
#include "ipc/server.h"

#include "tape.h"

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TURNS 64 /* enough for all that one input can cause */

static struct nst_loop *loop;
static struct nst_ipc_server *server;
static struct sockaddr_un addr = {.sun_family = AF_UNIX};
static int honest;

static void on_peer(void *ctx, struct nst_ipc_peer *peer)
{
    (void)ctx;
    (void)peer;
}

static void on_call(void *ctx, struct nst_ipc_peer *peer, uint32_t id, const char *op,
                    const json_t *args)
{
    (void)ctx;
    nst_ipc_reply_take(peer, id, json_pack("{s:s, s:O}", "op", op, "args", args));
}

static void on_datagram(void *ctx, struct nst_ipc_peer *peer,
                        const struct nst_ipc_datagram *datagram, const uint8_t *payload, size_t len)
{
    struct nst_slice slice = {(void *)(uintptr_t)payload, len};
    (void)ctx;

    nst_ipc_datagram_send(peer, datagram, &slice, 1);
}

static void turn(void)
{
    for (int i = 0; i < TURNS; i++)
        assert(nst_loop_run_once(loop, 0) == 0);
}

static int connect_client(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    return fd;
}

static void remove_dir(void)
{
    char dir[sizeof addr.sun_path];

    nst_ipc_server_free(server);
    snprintf(dir, sizeof dir, "%s", addr.sun_path);
    *strrchr(dir, '/') = '\0';
    rmdir(dir);
}

static void start(void)
{
    static const struct nst_ipc_ops ops = {on_peer, on_call, on_datagram, on_peer, NULL};
    const struct nst_ipc_server_config config = {
        .name = "fuzz", .version = "0", .owner = getuid(), .ops = &ops};
    char dir[] = "/tmp/netstack-fuzz-XXXXXX", why[NST_IPC_WHY];

    assert(mkdtemp(dir));
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/s", dir);
    assert(setenv("NETSTACK_SOCKET", addr.sun_path, 1) == 0);
    assert(nst_loop_new(&loop, NULL) == 0);
    assert(nst_ipc_server_new(&server, loop, &config, why) == 0);
    atexit(remove_dir);
    honest = connect_client();
    turn();
}

/* Receives whatever there is. Returns the number of messages. */
static int drain(int fd)
{
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_msg msg;
    int n = 0;

    while (nst_ipc_packet_recv(fd, buf, &msg, NULL) == 0)
        n++;
    return n;
}

static void send_message(int fd, uint8_t type, const uint8_t *body, size_t len)
{
    struct nst_slice slice = {(void *)(uintptr_t)body, len};

    if (type < 128)
        nst_ipc_packet_send(fd, type, type, &slice, 1);
    else
        send(fd, body, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_all(int fd, const uint8_t *p, size_t left)
{
    while (left >= 3) {
        size_t len = (size_t)p[1] | (size_t)p[2] << 8;
        len = len < left - 3 ? len : left - 3;
        send_message(fd, p[0], p + 3, len);
        p += 3 + len;
        left -= 3 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t call[] = "{\"op\":\"x\"}";
    struct nst_ipc_server_stats stats;

    if (!loop)
        start();
    int fd = connect_client();
    send_all(fd, data, size);
    turn();
    drain(fd);
    close(fd);
    drain(honest);
    send_message(honest, NST_IPC_CALL, call, sizeof call - 1);
    turn();
    assert(drain(honest) == 1);
    nst_ipc_server_stats(server, &stats);
    assert(stats.clients == 1);
    return 0;
}
