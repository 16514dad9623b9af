/* A host that answers pings, embedded in a program of your own: ping-responder [DEVICE
 * [ADDRESS/LEN]]
 *
 *     sudo ./build/examples/ping-responder tap7 &
 *     sudo ip address add 10.7.0.1/24 dev tap7 && sudo ip link set tap7 up
 *     ping 10.7.0.2
 */
#include <netstack/device.h>
#include <netstack/loop.h>
#include <netstack/system.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BATCH 64

static struct nst_stack *stack;
static struct nst_device *device;
static nst_link link_id;

/* Frames from the device go into the stack. */
static bool on_readable(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                        unsigned budget)
{
    struct nst_pkt *pkts[BATCH];
    int n = nst_device_read(device, stack, pkts, BATCH);

    (void)fd, (void)events, (void)budget;
    if (n < 0)
        nst_loop_stop(loop, 1);
    else
        nst_input(stack, link_id, pkts, (size_t)n, nst_loop_now(loop));
    return n > 0;
}

/* Before sleeping: what the stack has to say goes to the device. */
static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct nst_pkt *pkts[BATCH];
    size_t n;

    (void)prepare;
    do {
        n = nst_output(stack, link_id, pkts, BATCH, nst_loop_now(loop));
        int written = nst_device_write(device, pkts, n);
        for (size_t i = written > 0 ? (size_t)written : 0; i < n; i++)
            nst_pkt_free(pkts[i]); /* the device is full: a host may lose packets */
    } while (n == BATCH);
    return nst_deadline(stack);
}

static void on_interrupt(struct nst_loop *loop, struct nst_loop_signal *s,
                         const struct signalfd_siginfo *info)
{
    (void)s, (void)info;
    nst_loop_stop(loop, 0);
}

static int start(const char *name)
{
    struct nst_device_config dev = {.kind = NST_DEVICE_TAP};
    struct nst_config config = {0};
    struct nst_link_config link = {.mac = {{2, 0, 0, 0, 0, 2}}, .mtu = 1500};
    const struct nst_prefix address = {{NST_AF_INET, {10, 7, 0, 2}}, 24};

    snprintf(dev.name, sizeof dev.name, "%s", name);
    int err = nst_device_open(&device, &dev);
    if (err)
        return fprintf(stderr, "ping-responder: %s: %s\n", name, strerror(-err)), err;
    memcpy(link.name, nst_device_name(device), sizeof link.name);
    link.offloads = nst_device_offloads(device);
    if (nst_system_config(&config) || nst_stack_new(&stack, &config) ||
        nst_link_add(stack, &link_id, &link))
        return -1;
    return nst_addr_add(stack, link_id, &address, NST_ACD_ANNOUNCE);
}

int main(int argc, char **argv)
{
    struct nst_loop_fd fd = {.fn = on_readable};
    struct nst_loop_prepare prepare = {.fn = on_prepare};
    struct nst_loop_signal interrupt = {.fn = on_interrupt};
    struct nst_loop *loop;

    if (start(argc > 1 ? argv[1] : "tap7") || nst_loop_new(&loop, NULL) ||
        nst_loop_prepare_add(loop, &prepare) || nst_loop_signal_add(loop, &interrupt, SIGINT) ||
        nst_loop_fd_add(loop, &fd, nst_device_fd(device), NST_LOOP_IN))
        return 1;
    int code = nst_loop_run(loop);
    nst_loop_free(loop);
    nst_stack_free(stack);
    nst_device_close(device);
    return code < 0;
}
