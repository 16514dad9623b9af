/* Sends a file to whoever connects, from where it is mapped: file-server FILE [DEVICE]
 *
 *     sudo ./build/examples/file-server /usr/share/dict/words tap7 &
 *     sudo ip address add 10.7.0.1/24 dev tap7 && sudo ip link set tap7 up
 *     nc 10.7.0.2 5000
 */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct client {
    nst_sock sock;
    size_t sent;
};

static nst_sock listener;
static struct nst_loan *file; /* its memory; mapped for as long as the program runs */
static size_t size;

/* As much as there is room for. This is called again when there is more. */
static void serve(struct client *c)
{
    int64_t n = 0;

    while (c->sent < size &&
           (n = nst_send_lent(host_stack, c->sock, file, c->sent, size - c->sent, 0)) > 0)
        c->sent += (size_t)n;
    if (c->sent < size && (n == -EAGAIN || n == -ENOBUFS))
        return;
    nst_close(host_stack, c->sock); /* what is queued is still sent */
    free(c);
}

static void welcome(void)
{
    for (;;) {
        struct client *c = calloc(1, sizeof *c);
        if (!c || nst_accept(host_stack, listener, &c->sock, (uintptr_t)c) != 0) {
            free(c);
            return;
        } /* its first event follows */
    }
}

static void on_event(const struct nst_event *event)
{
    if (event->sock == listener)
        welcome();
    else
        serve((struct client *)(uintptr_t)event->cookie);
}

/* The file as memory that the stack may send from. It is never returned: it stays mapped. */
static int lend(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    size = (size_t)st.st_size;
    void *base = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return base == MAP_FAILED ? -errno : nst_lend(host_stack, &file, base, size, 0);
}

int main(int argc, char **argv)
{
    const struct nst_sockaddr local = {.port = 5000};

    if (argc < 2)
        return fputs("file-server FILE [DEVICE]\n", stderr), 2;
    if (host_start(argc > 2 ? argv[2] : "tap7", "10.7.0.2") || lend(argv[1]) ||
        nst_socket(host_stack, &listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0) ||
        nst_bind(host_stack, listener, &local) || nst_listen(host_stack, listener, 16))
        return fputs("file-server: cannot start\n", stderr), 1;
    puts("file-server: 10.7.0.2 port 5000");
    return host_run(on_event);
}
