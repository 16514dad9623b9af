#include "cli/probe.h"

#include <errno.h>

struct run {
    struct nst_ipc_client *client;
    const struct nst_ipc_datagram *to;
    const struct nst_cli_probe_ops *ops;
    void *state;
};

/* A probe that finds no room is lost, as one on the network may be. */
static int send_probe(const struct run *r)
{
    static uint8_t probe[NST_CLI_PROBE_MAX];
    size_t len = r->ops->build(r->state, nst_ipc_clock(), probe);
    int err = nst_ipc_client_send(r->client, r->to, probe, len);

    return err == -EAGAIN ? 0 : err;
}

static int take_in(const struct run *r, const struct nst_ipc_msg *msg)
{
    struct nst_ipc_datagram datagram;

    if (msg->header.type != NST_IPC_DATAGRAM)
        return 0;
    int err = nst_ipc_datagram_parse(&datagram, msg->body, msg->header.len);
    if (err || datagram.sock != r->to->sock)
        return err;
    return r->ops->input(r->state, &datagram, msg->body + NST_IPC_DATAGRAM_HLEN,
                         msg->header.len - NST_IPC_DATAGRAM_HLEN);
}

/* Takes in all that has arrived. */
static int receive(const struct run *r)
{
    struct nst_ipc_msg msg;
    int err;

    do
        err = nst_ipc_client_next(r->client, &msg, 0);
    while (!err && (err = take_in(r, &msg)) == 0);
    return err == -ETIMEDOUT || err == -EINTR ? 0 : err;
}

int nst_cli_probe(struct nst_ipc_client *client, const struct nst_ipc_datagram *to,
                  const struct nst_cli_probe_ops *ops, void *state)
{
    const struct run r = {client, to, ops, state};
    uint64_t when, now = nst_ipc_clock();
    bool send;
    int err = 0;

    nst_cli_catch_signals();
    while (!err && !nst_cli_stopped() && ops->next(state, now, &when, &send)) {
        if (nst_cli_report_wanted() && ops->report)
            ops->report(state);
        if (send && when <= now)
            err = send_probe(&r);
        else
            nst_cli_wait(nst_ipc_client_fd(client), when);
        /* The time is read first: an answer that has come by then counts, however late it is that
         * we come to read it. */
        now = nst_ipc_clock();
        if (!err)
            err = receive(&r);
    }
    return err;
}
