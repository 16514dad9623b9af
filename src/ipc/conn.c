#include "ipc/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct nst_ipc_waiting {
    struct nst_ipc_waiting *next;
    uint16_t type;
    uint32_t id;
    size_t len;
    int passed; /* a descriptor that goes with it; -1: none */
    uint8_t body[];
};

static bool is_data(uint16_t type)
{
    return type == NST_IPC_DATAGRAM || type == NST_IPC_FRAME;
}

/* What a waiting message counts: its memory, so that many small ones are not free. */
static size_t cost(size_t len)
{
    return sizeof(struct nst_ipc_waiting) + len;
}

static size_t *account(struct nst_ipc_conn *conn, uint16_t type)
{
    return is_data(type) ? &conn->data_bytes : &conn->control_bytes;
}

void nst_ipc_conn_init(struct nst_ipc_conn *conn, int fd)
{
    *conn = (struct nst_ipc_conn){.fd = fd};
    conn->tail = &conn->head;
}

static void drop_head(struct nst_ipc_conn *conn)
{
    struct nst_ipc_waiting *w = conn->head;

    *account(conn, w->type) -= cost(w->len);
    conn->head = w->next;
    if (!conn->head)
        conn->tail = &conn->head;
    if (w->passed >= 0)
        close(w->passed);
    free(w);
}

void nst_ipc_conn_fini(struct nst_ipc_conn *conn)
{
    while (conn->head)
        drop_head(conn);
    nst_ipc_packet_close(conn->fd);
    conn->fd = -1;
}

/* Takes the descriptor over when it returns 0. */
static int enqueue(struct nst_ipc_conn *conn, uint16_t type, uint32_t id,
                   const struct nst_slice *parts, size_t n, int passed)
{
    size_t limit = is_data(type) ? NST_IPC_DATA_MAX : NST_IPC_CONTROL_MAX;
    size_t len = nst_ipc_parts_len(parts, n);

    if (len > NST_IPC_BODY_MAX)
        return -EMSGSIZE;
    if (*account(conn, type) + cost(len) > limit)
        return -ENOBUFS;
    struct nst_ipc_waiting *w = malloc(cost(len));
    if (!w)
        return -ENOBUFS;
    *w = (struct nst_ipc_waiting){.type = type, .id = id, .len = len, .passed = passed};
    for (size_t i = 0, at = 0; i < n; at += parts[i++].len)
        if (parts[i].len > 0)
            memcpy(w->body + at, parts[i].base, parts[i].len);
    *account(conn, type) += cost(len);
    *conn->tail = w;
    conn->tail = &w->next;
    return 0;
}

int nst_ipc_conn_pass_take(struct nst_ipc_conn *conn, uint16_t type, uint32_t id,
                           const struct nst_slice *parts, size_t n, int passed)
{
    int err = conn->head ? -EAGAIN : nst_ipc_packet_pass(conn->fd, type, id, parts, n, passed);

    if (err == -EAGAIN && (err = enqueue(conn, type, id, parts, n, passed)) == 0)
        return 0;
    if (passed >= 0)
        close(passed);
    return err;
}

int nst_ipc_conn_send(struct nst_ipc_conn *conn, uint16_t type, uint32_t id,
                      const struct nst_slice *parts, size_t n)
{
    return nst_ipc_conn_pass_take(conn, type, id, parts, n, -1);
}

int nst_ipc_conn_flush(struct nst_ipc_conn *conn)
{
    while (conn->head) {
        struct nst_ipc_waiting *w = conn->head;
        struct nst_slice body = {w->body, w->len};
        int err = nst_ipc_packet_pass(conn->fd, w->type, w->id, &body, 1, w->passed);
        if (err)
            return err == -EAGAIN ? 0 : err;
        drop_head(conn);
    }
    return 0;
}
