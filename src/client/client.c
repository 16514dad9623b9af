/* The calls of netstack/client.h: requests in a loop that turns until they are done.
 *
 * Whoever turns it holds the lock; every request is done in a round trip to the daemon or two. A
 * connect() that is to wait does so without the lock, as poll() on the descriptor. */
#include "client/local.h"
#include "client/request.h"
#include "core/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (10 * NST_LOOP_SECOND) /* a daemon that takes longer is stuck or stopped */

struct nst_client {
    pthread_mutex_t lock;
    pid_t pid; /* whose connection it is: a child makes its own */
    char *name;
    struct nst_loop *loop;
    struct nst_client_conn *conn;
};

/* ---- Life ------------------------------------------------------------------------------------ */

static int connection_new(struct nst_client *client)
{
    int err = nst_loop_new(&client->loop, NULL);

    if (!err)
        err = nst_client_conn_new(&client->conn, client->loop, client->name);
    client->pid = getpid();
    return err;
}

static void connection_free(struct nst_client *client)
{
    nst_client_conn_free(client->conn);
    nst_loop_free(client->loop);
    client->conn = NULL;
    client->loop = NULL;
}

int nst_client_open(struct nst_client **out, const char *name)
{
    struct nst_client *client = calloc(1, sizeof *client);

    if (!client)
        return -ENOMEM;
    pthread_mutex_init(&client->lock, NULL);
    client->name = name ? strdup(name) : NULL;
    int err = name && !client->name ? -ENOMEM : connection_new(client);
    if (err)
        nst_client_close(client);
    else
        *out = client;
    return err;
}

void nst_client_close(struct nst_client *client)
{
    if (!client)
        return;
    connection_free(client);
    pthread_mutex_destroy(&client->lock);
    free(client->name);
    free(client);
}

/* ---- A request ------------------------------------------------------------------------------- */

static void on_done(struct nst_client_request *request)
{
    *(bool *)request->arg = true;
}

static int perform_locked(struct nst_client *client, struct nst_client_request *request)
{
    uint64_t deadline = nst_loop_clock() + PATIENCE_NS, now;
    bool done = false;
    int err = 0;

    if (client->pid != getpid()) {
        connection_free(client);
        err = connection_new(client);
    }
    if (err)
        return err;
    request->done = on_done;
    request->arg = &done;
    nst_client_submit(client->conn, request);
    while (!done && !err && (now = nst_loop_clock()) < deadline)
        err = nst_loop_run_once(client->loop, deadline - now);
    if (done)
        return request->result;
    nst_client_cancel(request);
    return err ? err : -ENETDOWN;
}

static int perform(struct nst_client *client, struct nst_client_request *request)
{
    pthread_mutex_lock(&client->lock);
    int result = perform_locked(client, request);
    pthread_mutex_unlock(&client->lock);
    return result;
}

static int perform_named(struct nst_client *client, enum nst_client_op op, int fd,
                         const struct sockaddr *addr, socklen_t len)
{
    struct nst_client_request request = {.op = op, .fd = fd, .addrlen = len, .nonblock = true};

    if (len > sizeof request.addr)
        return -EINVAL;
    memcpy(&request.addr, addr, len);
    return perform(client, &request);
}

/* ---- The calls ------------------------------------------------------------------------------- */

int nst_client_socket(struct nst_client *client, int domain, int type, int protocol)
{
    struct nst_client_request request = {
        .op = NST_CLIENT_SOCKET, .domain = domain, .type = type, .protocol = protocol};

    return perform(client, &request);
}

int nst_client_bind(struct nst_client *client, int fd, const struct sockaddr *addr, socklen_t len)
{
    return perform_named(client, NST_CLIENT_BIND, fd, addr, len);
}

/* Waits until it is decided, and fetches what. */
static int await_connection(struct nst_client *client, int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    if (poll(&pfd, 1, -1) < 0)
        return -errno;
    int err = nst_client_getsockopt(client, fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return err ? err : -error;
}

int nst_client_connect(struct nst_client *client, int fd, const struct sockaddr *addr,
                       socklen_t len)
{
    int err = perform_named(client, NST_CLIENT_CONNECT, fd, addr, len);
    bool waits = !(fcntl(fd, F_GETFL) & O_NONBLOCK);

    if ((err != -EINPROGRESS && err != -EALREADY) || !waits)
        return err;
    if ((err = await_connection(client, fd)) == 0)
        err = perform_named(client, NST_CLIENT_CONNECT, fd, addr, len); /* which tells so, once */
    return err == -EISCONN ? 0 : err;
}

int nst_client_listen(struct nst_client *client, int fd, int backlog)
{
    struct nst_client_request request = {.op = NST_CLIENT_LISTEN, .fd = fd, .backlog = backlog};

    return perform(client, &request);
}

int nst_client_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int accepted = accept4(fd, NULL, NULL, flags);

    if (accepted < 0)
        return -errno;
    int err = nst_client_accepted(accepted, fd, addr, len);
    if (!err)
        return accepted;
    close(accepted);
    return err;
}

int nst_client_getsockname(struct nst_client *client, int fd, struct sockaddr *addr, socklen_t *len)
{
    struct nst_client_request request = {.op = NST_CLIENT_GETSOCKNAME, .fd = fd};
    int err = perform(client, &request);

    if (err)
        return err;
    memcpy(addr, &request.addr, nst_min(*len, request.addrlen));
    *len = request.addrlen;
    return 0;
}

int nst_client_setsockopt(struct nst_client *client, int fd, int level, int option,
                          const void *value, socklen_t len)
{
    struct nst_client_request request = {
        .op = NST_CLIENT_SETSOCKOPT,
        .fd = fd,
        .level = level,
        .option = option,
        .value_len = (socklen_t)nst_min(len, NST_CLIENT_VALUE_MAX)};

    memcpy(request.value, value, request.value_len);
    return perform(client, &request);
}

int nst_client_getsockopt(struct nst_client *client, int fd, int level, int option, void *value,
                          socklen_t *len)
{
    struct nst_client_request request = {
        .op = NST_CLIENT_GETSOCKOPT,
        .fd = fd,
        .level = level,
        .option = option,
        .value_len = (socklen_t)nst_min(*len, NST_CLIENT_VALUE_MAX)};
    int err = perform(client, &request);

    if (err)
        return err;
    *len = request.value_len;
    memcpy(value, request.value, request.value_len);
    return 0;
}
