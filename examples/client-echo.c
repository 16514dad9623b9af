/* client-echo: an echo server on the stack of a running `netstack up`, for one client at a time.
 *
 *     netstack up &
 *     client-echo 7000 &
 *     nc 10.0.0.2 7000
 *
 * Once there is a descriptor, nothing here is about netstack any more. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netstack/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, int err)
{
    fprintf(stderr, "client-echo: %s: %s\n", what, strerror(-err));
    return 1;
}

static void echo(int fd)
{
    char data[4096];
    ssize_t n;

    while ((n = read(fd, data, sizeof data)) > 0)
        if (write(fd, data, (size_t)n) != n)
            break;
    close(fd);
}

int main(int argc, char **argv)
{
    const int port = argc == 2 ? atoi(argv[1]) : 7000;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct nst_client *client;
    char text[INET_ADDRSTRLEN];
    int fd, err = nst_client_open(&client, NULL);

    if (err)
        return fail("no client", err);
    int listener = nst_client_socket(client, AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        return fail("no socket", listener);
    if ((err = nst_client_bind(client, listener, (struct sockaddr *)&name, sizeof name)) ||
        (err = nst_client_listen(client, listener, 16)))
        return fail("cannot listen", err);
    nst_client_close(client); /* the sockets go on */
    do {
        socklen_t len = sizeof name;
        fd = nst_client_accept(listener, (struct sockaddr *)&name, &len, 0);
        if (fd >= 0) {
            printf("%s port %d\n", inet_ntop(AF_INET, &name.sin_addr, text, sizeof text),
                   ntohs(name.sin_port));
            fflush(stdout);
            echo(fd);
        }
    } while (fd >= 0);
    return fail("cannot accept", fd);
}
