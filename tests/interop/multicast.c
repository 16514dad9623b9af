/* A member of a group, embedded in a program: multicast DEVICE GROUP ANSWERS [SOURCE]. It
 * has 10.0.0.2 on the TAP device, joins GROUP at port 5000, says what it receives there and sends
 * it to the group ANSWERS at port 5001. SIGUSR1 makes it leave the group, SIGTERM ends it. */
#include <netstack/device.h>
#include <netstack/loop.h>
#include <netstack/system.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64

static struct nst_stack *stack;
static struct nst_device *device;
static nst_link link_id;
static nst_sock sock;
static struct nst_addr group, answers;

static void check(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror((int)-result));
    exit(1);
}

static void echo(void)
{
    char text[1500];
    struct nst_slice slice = {text, sizeof text};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .tos = -1};
    int64_t len = nst_recv(stack, sock, &msg, 0);

    if (len < 0)
        return;
    const uint8_t *from = msg.peer.addr.bytes;
    printf("%.*s from %u.%u.%u.%u\n", (int)len, text, from[0], from[1], from[2], from[3]);
    slice.len = (size_t)len;
    msg = (struct nst_msg){
        .data = &slice, .ndata = 1, .tos = -1, .peer = {.addr = answers, .port = 5001}};
    check(nst_send(stack, sock, &msg), "send");
}

static bool on_frames(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                      unsigned budget)
{
    struct nst_pkt *pkts[BATCH];
    struct nst_event ready[BATCH];
    int n = nst_device_read(device, stack, pkts, BATCH);

    (void)fd, (void)events, (void)budget;
    check(n, "read");
    nst_input(stack, link_id, pkts, (size_t)n, nst_loop_now(loop));
    if (nst_events(stack, ready, BATCH) > 0)
        echo();
    return n > 0;
}

static void on_leave(struct nst_loop *loop, struct nst_loop_signal *s,
                     const struct signalfd_siginfo *info)
{
    (void)loop, (void)s, (void)info;
    check(nst_leave(stack, sock, 0, &group, NULL), "leave");
}

static void on_end(struct nst_loop *loop, struct nst_loop_signal *s,
                   const struct signalfd_siginfo *info)
{
    (void)s, (void)info;
    nst_loop_stop(loop, 0);
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct nst_pkt *pkts[BATCH];
    size_t n = nst_output(stack, link_id, pkts, BATCH, nst_loop_now(loop));
    int written = nst_device_write(device, pkts, n);

    (void)prepare;
    for (size_t i = written > 0 ? (size_t)written : 0; i < n; i++)
        nst_pkt_free(pkts[i]);
    return nst_deadline(stack);
}

static struct nst_addr address(const char *text)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    check(inet_pton(AF_INET, text, addr.bytes) - 1, text);
    return addr;
}

static void start(const char *name, const char *source)
{
    const struct nst_prefix ours = {address("10.0.0.2"), 24};
    const struct nst_sockaddr any = {.port = 5000};
    struct nst_device_config dev = {.kind = NST_DEVICE_TAP};
    struct nst_link_config link = {.mac = {{2, 0, 0, 0, 0, 2}}, .mtu = 1500};
    struct nst_config config = {0};
    struct nst_addr from;

    snprintf(dev.name, sizeof dev.name, "%s", name);
    check(nst_device_open(&device, &dev), name);
    snprintf(link.name, sizeof link.name, "%s", name);
    link.offloads = nst_device_offloads(device);
    check(nst_system_config(&config), "configuration");
    check(nst_stack_new(&stack, &config), "stack");
    check(nst_link_add(stack, &link_id, &link), "link");
    check(nst_addr_add(stack, link_id, &ours, NST_ACD_OFF), "address");
    check(nst_socket(stack, &sock, NST_AF_INET, NST_SOCK_DGRAM, 0, 0), "socket");
    check(nst_bind(stack, sock, &any), "bind");
    if (source)
        from = address(source);
    check(nst_join(stack, sock, link_id, &group, source ? &from : NULL), "join");
}

int main(int argc, char **argv)
{
    struct nst_loop_fd frames = {.fn = on_frames};
    struct nst_loop_signal leave = {.fn = on_leave}, end = {.fn = on_end};
    struct nst_loop_prepare prepare = {.fn = on_prepare};
    struct nst_loop *loop;

    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    group = address(argv[2]);
    answers = address(argv[3]);
    start(argv[1], argc > 4 ? argv[4] : NULL);
    check(nst_loop_new(&loop, NULL), "loop");
    check(nst_loop_prepare_add(loop, &prepare), "loop");
    check(nst_loop_fd_add(loop, &frames, nst_device_fd(device), NST_LOOP_IN), "loop");
    check(nst_loop_signal_add(loop, &leave, SIGUSR1), "loop");
    check(nst_loop_signal_add(loop, &end, SIGTERM), "loop");
    puts("joined");
    int code = nst_loop_run(loop);
    nst_loop_free(loop);
    nst_stack_free(stack);
    nst_device_close(device);
    return code;
}
