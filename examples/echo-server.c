/* An echo server over TCP, embedded in a program of your own: echo-server [DEVICE]
 *
 *     sudo ./build/examples/echo-server tap7 &
 *     sudo ip address add 10.7.0.1/24 dev tap7 && sudo ip link set tap7 up
 *     nc 10.7.0.2 7
 */
#include "host.h"

#include <stdio.h>

static nst_sock listener;

/* What has arrived goes straight from the receive queue to the send queue. What finds no room there
 * stays where it is, and holds the peer back; this is called again when there is room. */
static void echo(nst_sock sock)
{
    struct nst_slice in[16];
    struct nst_msg msg = {.data = in};
    int n;

    while ((n = nst_recv_peek(host_stack, sock, in, 16)) > 0) {
        msg.ndata = (size_t)n;
        int64_t sent = nst_send(host_stack, sock, &msg);
        if (sent < 0)
            break;
        nst_recv_consume(host_stack, sock, (size_t)sent);
    }
    if (n == 0) /* the peer has said all: what is queued is still sent */
        nst_close(host_stack, sock);
}

static void on_event(const struct nst_event *event)
{
    nst_sock sock;

    if (event->sock != listener)
        echo(event->sock);
    else
        while (nst_accept(host_stack, listener, &sock, 0) == 0)
            ; /* its first event follows */
    if (event->ready & NST_READY_ERR)
        nst_close(host_stack, event->sock);
}

int main(int argc, char **argv)
{
    const struct nst_sockaddr local = {.port = 7};

    if (host_start(argc > 1 ? argv[1] : "tap7", "10.7.0.2") ||
        nst_socket(host_stack, &listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0) ||
        nst_bind(host_stack, listener, &local) || nst_listen(host_stack, listener, 16))
        return fputs("echo-server: cannot start\n", stderr), 1;
    puts("echo-server: 10.7.0.2 port 7");
    return host_run(on_event);
}
