/* A server of many connections, each with a state of its own: many [DEVICE]
 *
 *     sudo ./build/examples/many tap7 &
 *     sudo ip address add 10.7.0.1/24 dev tap7 && sudo ip link set tap7 up
 *     for i in $(seq 1000); do echo "line $i" | nc -N 10.7.0.2 7000 & done
 *
 * Every connection counts the bytes that it receives, and is told the number at its end. The cookie
 * of a socket leads from its events to its state without any search.
 */
#include "host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct visitor {
    nst_sock sock;
    uint64_t bytes;
};

static nst_sock listener;
static unsigned visitors;

static void say_goodbye(struct visitor *v)
{
    char text[64];
    struct nst_slice out = {text, 0};
    const struct nst_msg msg = {.data = &out, .ndata = 1};

    out.len = (size_t)snprintf(text, sizeof text, "%" PRIu64 " bytes\n", v->bytes);
    nst_send(host_stack, v->sock, &msg);
}

/* Takes in what there is, without copying it anywhere. */
static void serve(struct visitor *v)
{
    struct nst_slice in[16];
    int n;

    while ((n = nst_recv_peek(host_stack, v->sock, in, 16)) > 0) {
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += in[i].len;
        nst_recv_consume(host_stack, v->sock, len);
        v->bytes += len;
    }
    if (n == -EAGAIN)
        return;
    if (n == 0)
        say_goodbye(v);
    nst_close(host_stack, v->sock);
    free(v);
    visitors--;
}

/* The state is made first, so that the connection's cookie can be its address. */
static void welcome(void)
{
    struct visitor *v;

    while ((v = calloc(1, sizeof *v))) {
        if (nst_accept(host_stack, listener, &v->sock, (uintptr_t)v) != 0) {
            free(v);
            break;
        }
        visitors++;
    }
    printf("many: %u connections\n", visitors);
}

static void on_event(const struct nst_event *event)
{
    if (event->sock == listener)
        welcome();
    else
        serve((struct visitor *)(uintptr_t)event->cookie);
}

int main(int argc, char **argv)
{
    const struct nst_sockaddr local = {.port = 7000};

    if (host_start(argc > 1 ? argv[1] : "tap7", "10.7.0.2") ||
        nst_socket(host_stack, &listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0) ||
        nst_bind(host_stack, listener, &local) || nst_listen(host_stack, listener, 4096))
        return fputs("many: cannot start\n", stderr), 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("many: 10.7.0.2 port 7000");
    return host_run(on_event);
}
