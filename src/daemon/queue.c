/* A queue of the device and the stack on it, from their beginning to their end. */
#include <errno.h>
#include <string.h>

#include "core/base/addr.h"
#include "daemon/daemon.h"
#include "netstack/system.h"

/* ---- The device ------------------------------------------------------------------------------ */

static int tell_packet_fault(const char *name, int err, struct nst_fault *fault)
{
    switch (err) {
    case -ENODEV:
        return nst_fault_set(fault, err, "there is no interface %s", name);
    case -EINVAL:
        return nst_fault_set(fault, err, "%s is not an Ethernet interface", name);
    case -EPERM:
        return nst_fault_set(fault, err, "a packet socket on %s needs the right CAP_NET_RAW", name);
    default:
        return nst_fault_system(fault, err, "cannot open a packet socket on %s", name);
    }
}

int nst_queue_open(struct nst_queue *q, struct nst_fault *fault)
{
    const struct nst_up_config *c = &q->daemon->config;
    struct nst_device_config config = {
        .kind = c->kind, .plain = !c->offload, .mac = q->daemon->mac};
    const char *name = c->device;

    memcpy(config.name, name, sizeof config.name);
    int err = nst_device_open(&q->device, &config);
    if (err && config.kind == NST_DEVICE_PACKET)
        return tell_packet_fault(name, err, fault);
    switch (err) {
    case 0:
        return 0;
    case -ENOENT:
    case -ENODEV:
        return nst_fault_set(fault, err,
                             "there is no /dev/net/tun: load the module with 'modprobe tun', or "
                             "give the container that device");
    case -EBUSY:
        return nst_fault_set(fault, err,
                             "the device %s is in use by another program: choose another with "
                             "--device",
                             name);
    case -EINVAL:
        return nst_fault_set(fault, err,
                             "%s exists and is not a %s device: choose another with --device", name,
                             config.kind == NST_DEVICE_TUN ? "TUN" : "TAP");
    default:
        return nst_fault_system(fault, err, "cannot open the device %s", name);
    }
}

/* ---- The stack ------------------------------------------------------------------------------- */

static int add_routes(struct nst_queue *q)
{
    const struct nst_up_config *c = &q->daemon->config;
    struct nst_route route = {
        .dst.addr.family = NST_AF_INET, .gateway = c->gateway, .link = q->link};
    int err = nst_addr_is_set(&c->gateway) ? nst_route_add(q->stack, &route) : 0;

    for (size_t i = 0; i < c->nroutes && !err; i++) {
        const struct nst_up_route *r = &c->routes[i];
        route = (struct nst_route){
            .dst = r->dst, .gateway = r->gateway, .link = q->link, .metric = r->metric};
        err = nst_route_add(q->stack, &route);
    }
    return err;
}

int nst_queue_start(struct nst_queue *q)
{
    const struct nst_up_config *c = &q->daemon->config;
    struct nst_config config = {.trace = nst_capture_trace};
    struct nst_link_config link = {.medium = c->kind == NST_DEVICE_TUN ? NST_MEDIUM_IP
                                                                       : NST_MEDIUM_ETHERNET,
                                   .mtu = c->mtu,
                                   .offloads = nst_device_offloads(q->device),
                                   .down = true};
    int err;

    link.mac = q->daemon->mac;
    memcpy(link.name, nst_device_name(q->device), sizeof link.name);
    config.trace_ctx = q->daemon->capture;
    if ((err = nst_system_config(&config)) || (err = nst_stack_new(&q->stack, &config)) ||
        (err = nst_link_add(q->stack, &q->link, &link)))
        return err;
    if ((err = nst_stack_setopt(q->stack, NST_STACK_TCP_ECN, c->ecn)) ||
        (err = nst_stack_setopt(q->stack, NST_STACK_TCP_FASTOPEN, c->fastopen)) ||
        (err = nst_stack_setopt(q->stack, NST_STACK_TCP_MTU_PROBING, c->mtu_probing)) ||
        (err = nst_stack_setopt(q->stack, NST_STACK_TCP_PACING, c->pacing)) ||
        (err = nst_stack_setopt(q->stack, NST_STACK_TCP_RECOVERY, c->recovery)))
        return err;
    for (size_t i = 0; i < c->naddresses && !err; i++)
        err = nst_addr_add(q->stack, q->link, &c->addresses[i].prefix, c->addresses[i].acd);
    if (!err)
        err = add_routes(q);
    if (!err)
        err = nst_set_congestion(q->stack, 0, c->congestion);
    return !err && c->services ? nst_services_new(&q->services, q) : err;
}

void nst_queue_free(struct nst_queue *q)
{
    nst_services_free(q->services);
    nst_stack_free(q->stack);
}
