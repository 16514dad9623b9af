/* A stack on a TAP device: the owner's loop of netstack.h, in full. */
#include "host.h"

#include <netstack/device.h>
#include <netstack/loop.h>
#include <netstack/system.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BATCH 64

struct nst_stack *host_stack;
static struct nst_device *device;
static nst_link link_id;
static struct nst_loop *loop;
static void (*handle)(const struct nst_event *event);

/* Frames from the device go into the stack. */
static bool on_readable(struct nst_loop *l, struct nst_loop_fd *fd, unsigned events,
                        unsigned budget)
{
    struct nst_pkt *pkts[BATCH];
    int n = nst_device_read(device, host_stack, pkts, BATCH);

    (void)fd, (void)events, (void)budget;
    if (n < 0)
        nst_loop_stop(l, 1);
    else
        nst_input(host_stack, link_id, pkts, (size_t)n, nst_loop_now(l));
    return n > 0;
}

/* Before sleeping: events go to the program, and what the stack has to say to the device. */
static uint64_t on_prepare(struct nst_loop *l, struct nst_loop_prepare *prepare)
{
    struct nst_pkt *pkts[BATCH];
    struct nst_event event;
    size_t n;

    (void)prepare;
    do {
        while (nst_events(host_stack, &event, 1))
            if (event.kind == NST_EVENT_READY)
                handle(&event);
        n = nst_output(host_stack, link_id, pkts, BATCH, nst_loop_now(l));
        int written = nst_device_write(device, pkts, n);
        for (size_t i = written > 0 ? (size_t)written : 0; i < n; i++)
            nst_pkt_free(pkts[i]); /* the device is full: a host may lose packets */
    } while (n > 0);
    return nst_deadline(host_stack);
}

static void on_interrupt(struct nst_loop *l, struct nst_loop_signal *s,
                         const struct signalfd_siginfo *info)
{
    (void)s, (void)info;
    nst_loop_stop(l, 0);
}

int host_start(const char *name, const char *address)
{
    struct nst_device_config dev = {.kind = NST_DEVICE_TAP};
    struct nst_config config = {0};
    struct nst_link_config link = {.mac = {{2, 0, 0, 0, 0, 2}}, .mtu = 1500};
    struct nst_prefix prefix = {.addr.family = NST_AF_INET, .len = 24};
    int err;

    snprintf(dev.name, sizeof dev.name, "%s", name);
    if (inet_pton(AF_INET, address, prefix.addr.bytes) != 1)
        return -EINVAL;
    if ((err = nst_device_open(&device, &dev)))
        return err;
    memcpy(link.name, nst_device_name(device), sizeof link.name);
    link.offloads = nst_device_offloads(device);
    if ((err = nst_system_config(&config)) || (err = nst_stack_new(&host_stack, &config)) ||
        (err = nst_link_add(host_stack, &link_id, &link)) || (err = nst_loop_new(&loop, NULL)))
        return err;
    return nst_addr_add(host_stack, link_id, &prefix, NST_ACD_ANNOUNCE);
}

int host_run(void (*on_event)(const struct nst_event *event))
{
    struct nst_loop_fd fd = {.fn = on_readable};
    struct nst_loop_prepare prepare = {.fn = on_prepare};
    struct nst_loop_signal interrupt = {.fn = on_interrupt};

    handle = on_event;
    if (nst_loop_prepare_add(loop, &prepare) || nst_loop_signal_add(loop, &interrupt, SIGINT) ||
        nst_loop_fd_add(loop, &fd, nst_device_fd(device), NST_LOOP_IN))
        return 1;
    int code = nst_loop_run(loop);
    nst_loop_free(loop);
    nst_stack_free(host_stack);
    nst_device_close(device);
    return code;
}

void host_stop(int code)
{
    nst_loop_stop(loop, code);
}
