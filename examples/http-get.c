/* A small HTTP client: http-get DEVICE ADDRESS [PATH], prints what the server at port 80 answers.
 *
 *     sudo ./build/examples/http-get tap7 10.7.0.1 /
 *
 * while another terminal sets up the host's side of the device and serves:
 *
 *     sudo ip address add 10.7.0.1/24 dev tap7 && sudo ip link set tap7 up
 *     sudo python3 -m http.server 80
 */
#include "host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static nst_sock sock;
static char request[512];

/* The connection is there (the first event), or more of the answer. */
static void on_event(const struct nst_event *event)
{
    char answer[4096];
    struct nst_slice in = {answer, sizeof answer}, out = {request, strlen(request)};
    struct nst_msg question = {.data = &out, .ndata = 1}, msg = {.data = &in, .ndata = 1};
    int64_t n;

    if (request[0] && event->ready & NST_READY_OUT) {
        if (nst_send(host_stack, sock, &question) == (int64_t)out.len)
            request[0] = '\0';
    }
    while ((n = nst_recv(host_stack, sock, &msg, 0)) > 0)
        fwrite(answer, 1, (size_t)n, stdout);
    if (n == 0 || event->ready & NST_READY_ERR) {
        if (n < 0)
            fprintf(stderr, "http-get: %s\n", strerror((int)-n));
        nst_close(host_stack, sock);
        host_stop(n < 0);
    }
}

int main(int argc, char **argv)
{
    struct nst_sockaddr server = {.addr.family = NST_AF_INET, .port = 80};

    if (argc < 3 || inet_pton(AF_INET, argv[2], server.addr.bytes) != 1)
        return fputs("usage: http-get DEVICE ADDRESS [PATH]\n", stderr), 2;
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n",
             argc > 3 ? argv[3] : "/", argv[2]);
    if (host_start(argv[1], "10.7.0.2") ||
        nst_socket(host_stack, &sock, NST_AF_INET, NST_SOCK_STREAM, 0, 0) ||
        nst_connect(host_stack, sock, &server) != -EINPROGRESS)
        return fputs("http-get: cannot start\n", stderr), 1;
    return host_run(on_event);
}
