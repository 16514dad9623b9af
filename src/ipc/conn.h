/* The daemon's end of one connection: a socket and a bounded queue of messages on their way out.
 *
 * Messages are of two kinds. *Control* (hello, replies, errors) is never dropped: while any of it
 * waits, the daemon reads no further calls from that client (nst_ipc_conn_backlogged()), so a
 * client that doesn't read its answers only stops itself. *Data* (datagrams, frames) is dropped and
 * counted when the queue is full, as a network would. Both keep their order. */
#ifndef NST_IPC_CONN_H
#define NST_IPC_CONN_H

#include "ipc/packet.h"

#include <stdbool.h>

#define NST_IPC_CONTROL_MAX (512u * 1024) /* bytes of control waiting, at most */
#define NST_IPC_DATA_MAX    (256u * 1024) /* and of data */

struct nst_ipc_waiting;

struct nst_ipc_conn {
    int fd;
    struct nst_ipc_waiting *head, **tail;
    size_t control_bytes, data_bytes;
};

/* Takes over a connected, non-blocking socket. */
void nst_ipc_conn_init(struct nst_ipc_conn *conn, int fd);

/* Closes it and forgets what waits. */
void nst_ipc_conn_fini(struct nst_ipc_conn *conn);

/* Sends a message, or queues a copy of it. 0; -ENOBUFS when the queue is full: data is dropped, for
 * control that is the end; -EMSGSIZE: too long, nothing sent; another negative errno: the
 * connection is at its end. */
int nst_ipc_conn_send(struct nst_ipc_conn *conn, uint16_t type, uint32_t id,
                      const struct nst_slice *parts, size_t n);

/* The same with a descriptor, which it takes over and closes when that is sent, or can't be; -1 is
 * none. Only control may have one. */
int nst_ipc_conn_pass_take(struct nst_ipc_conn *conn, uint16_t type, uint32_t id,
                           const struct nst_slice *parts, size_t n, int passed);

/* Sends of what waits as much as there is room for. 0, or the error that ended the connection. */
int nst_ipc_conn_flush(struct nst_ipc_conn *conn);

/* Whether anything waits to be sent. */
static inline bool nst_ipc_conn_waiting(const struct nst_ipc_conn *conn)
{
    return conn->head != NULL;
}

/* Whether answers wait, so that no further calls should be read. */
static inline bool nst_ipc_conn_backlogged(const struct nst_ipc_conn *conn)
{
    return conn->control_bytes > 0;
}

#endif
