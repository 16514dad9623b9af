#include "ipc/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 }; /* a daemon that takes longer to answer is stuck or stopped */

struct nst_ipc_client {
    int fd;
    uint32_t last_id;
    char why[NST_IPC_WHY];
    uint8_t buf[NST_IPC_MSG_MAX];
};

uint64_t nst_ipc_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- What went wrong ---- */

/* Says it, returns `err`. */
__attribute__((format(printf, 3, 4))) static int fail(struct nst_ipc_client *client, int err,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(client->why, sizeof client->why, format, args);
    va_end(args);
    return err;
}

/* Says what an error of the transport means. */
static int fail_transport(struct nst_ipc_client *client, int err)
{
    switch (err) {
    case -ECONNRESET:
    case -EPIPE:
        return fail(client, -ECONNRESET, "the netstack daemon ended");
    case -ETIMEDOUT:
        return fail(client, err, "the netstack daemon does not answer");
    case -EPROTO:
        return fail(client, err, "what answers there is not a netstack daemon");
    default:
        return fail(client, err, "cannot talk to the netstack daemon: %s", strerror(-err));
    }
}

static int fail_connect(struct nst_ipc_client *client, const char *name, const char *path, int err)
{
    switch (err) {
    case -ENOENT:
    case -ECONNREFUSED: /* left over from one that was killed */
        return fail(
            client, -ENOENT,
            "no netstack instance named '%s' is running; start one with: sudo netstack up%s%s",
            name, strcmp(name, "default") == 0 ? "" : " --name ",
            strcmp(name, "default") == 0 ? "" : name);
    case -EAGAIN:
        return fail(client, err, "the netstack daemon is too busy to take connections");
    default:
        return fail(client, err, "cannot connect to %s: %s", path, strerror(-err));
    }
}

/* ---- Waiting ---- */

/* Waits for `events` until the moment `deadline`, in ns; UINT64_MAX: for ever. */
static int wait_for(struct nst_ipc_client *client, short events, uint64_t deadline)
{
    struct pollfd pfd = {.fd = client->fd, .events = events};
    uint64_t now = nst_ipc_clock();
    uint64_t left = deadline > now ? deadline - now : 0;
    struct timespec ts = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    int n = ppoll(&pfd, 1, deadline == UINT64_MAX ? NULL : &ts, NULL);

    return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

static uint64_t deadline_after(int timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : nst_ipc_clock() + (uint64_t)timeout_ms * 1000000;
}

/* The next message of any kind. */
static int receive(struct nst_ipc_client *client, struct nst_ipc_msg *msg, uint64_t deadline)
{
    int err;

    while ((err = nst_ipc_packet_recv(client->fd, client->buf, msg, NULL)) == -EAGAIN)
        if ((err = wait_for(client, POLLIN, deadline)) != 0)
            break;
    if (err == -EPROTONOSUPPORT)
        return fail(client, err, "the daemon speaks version %u of the protocol, this netstack %d",
                    msg->header.version, NST_IPC_VERSION);
    return err ? fail_transport(client, err) : 0;
}

/* ---- Connecting ---- */

static int greet(struct nst_ipc_client *client)
{
    struct nst_ipc_msg msg;
    const char *message;
    int err = receive(client, &msg, deadline_after(PATIENCE_MS));

    if (err)
        return err;
    json_t *greeting = nst_ipc_json_parse(msg.body, msg.header.len);
    if (greeting && msg.header.type == NST_IPC_ERROR) {
        err = -nst_ipc_error_parse(greeting, &message);
        err = fail(client, err, "%s", message);
    } else if (!greeting || msg.header.type != NST_IPC_HELLO) {
        err = fail_transport(client, -EPROTO);
    }
    json_decref(greeting);
    return err;
}

/* A failure's sentence goes to the caller's `why`, since the client does not outlive it. */
static int connect_to(struct nst_ipc_client *client, const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int err = nst_ipc_path(addr.sun_path, name, client->why);

    if (err)
        return err;
    client->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        return fail_transport(client, -errno);
    if (connect(client->fd, (const struct sockaddr *)&addr, sizeof addr) < 0)
        return fail_connect(client, name, addr.sun_path, -errno);
    return greet(client);
}

int nst_ipc_client_open(struct nst_ipc_client **out, const char *name, char why[NST_IPC_WHY])
{
    struct nst_ipc_client *client = calloc(1, sizeof *client);

    if (!client) {
        snprintf(why, NST_IPC_WHY, "out of memory");
        return -ENOMEM;
    }
    client->fd = -1;
    int err = connect_to(client, name);
    if (err) {
        memcpy(why, client->why, NST_IPC_WHY);
        nst_ipc_client_free(client);
    } else {
        *out = client;
    }
    return err;
}

void nst_ipc_client_free(struct nst_ipc_client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    free(client);
}

int nst_ipc_client_fd(const struct nst_ipc_client *client)
{
    return client->fd;
}

const char *nst_ipc_client_why(const struct nst_ipc_client *client)
{
    return client->why;
}

/* ---- Calling ---- */

static int send_call(struct nst_ipc_client *client, const json_t *call, uint32_t id,
                     uint64_t deadline)
{
    char *text = call ? json_dumps(call, JSON_COMPACT) : NULL;
    int err;

    if (!text)
        return fail(client, -ENOMEM, "out of memory");
    struct nst_slice body = {text, strlen(text)};
    while ((err = nst_ipc_packet_send(client->fd, NST_IPC_CALL, id, &body, 1)) == -EAGAIN)
        if ((err = wait_for(client, POLLOUT, deadline)) != 0)
            break;
    free(text);
    return err ? fail_transport(client, err) : 0;
}

static int take_answer(struct nst_ipc_client *client, const struct nst_ipc_msg *msg,
                       json_t **result)
{
    json_t *body = nst_ipc_json_parse(msg->body, msg->header.len);
    const char *message;
    int err = 0;

    if (!body)
        return fail_transport(client, -EPROTO);
    if (msg->header.type == NST_IPC_ERROR) {
        err = -nst_ipc_error_parse(body, &message);
        err = fail(client, err, "%s", message);
    } else if (result) {
        *result = json_incref(body);
    }
    json_decref(body);
    return err;
}

static bool answers(const struct nst_ipc_msg *msg, uint32_t id)
{
    return msg->header.id == id &&
           (msg->header.type == NST_IPC_REPLY || msg->header.type == NST_IPC_ERROR);
}

int nst_ipc_client_call_take(struct nst_ipc_client *client, json_t *call, json_t **result)
{
    uint64_t deadline = deadline_after(PATIENCE_MS);
    uint32_t id = ++client->last_id;
    struct nst_ipc_msg msg;
    bool answered = false;
    int err = send_call(client, call, id, deadline);

    json_decref(call);
    while (!err && !answered) {
        err = receive(client, &msg, deadline);
        answered = !err && answers(&msg, id);
    }
    return answered ? take_answer(client, &msg, result) : err;
}

/* ---- Datagrams and frames ---- */

int nst_ipc_client_send(struct nst_ipc_client *client, const struct nst_ipc_datagram *datagram,
                        const void *payload, size_t len)
{
    uint8_t bytes[NST_IPC_DATAGRAM_HLEN];
    struct nst_slice parts[] = {{bytes, sizeof bytes}, {(void *)(uintptr_t)payload, len}};

    nst_ipc_datagram_emit(datagram, bytes);
    int err = nst_ipc_packet_send(client->fd, NST_IPC_DATAGRAM, 0, parts, 2);
    return err && err != -EAGAIN ? fail_transport(client, err) : err;
}

int nst_ipc_client_next(struct nst_ipc_client *client, struct nst_ipc_msg *msg, int timeout_ms)
{
    uint64_t deadline = deadline_after(timeout_ms);
    int err = receive(client, msg, deadline);

    while (!err && msg->header.type != NST_IPC_DATAGRAM && msg->header.type != NST_IPC_FRAME)
        err = receive(client, msg, deadline);
    return err;
}
