/* A queue of the device and the stack on it, from their beginning to their end.
 *
 * Only the first one's stack speaks for the addresses: it announces and defends them. */
#include <errno.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/exchange.h"
#include "daemon/thread.h"
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
        .kind = c->kind, .plain = !c->offload, .mac = q->daemon->mac, .multi_queue = c->queues > 1};
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
                             "%s exists and is not a %s device%s: choose another with --device",
                             name, config.kind == NST_DEVICE_TUN ? "TUN" : "TAP",
                             config.multi_queue ? " of several queues" : "");
    default:
        return nst_fault_system(fault, err, "cannot open the device %s", name);
    }
}

enum nst_medium nst_queue_medium(const struct nst_queue *q)
{
    return q->daemon->config.kind == NST_DEVICE_TUN ? NST_MEDIUM_IP : NST_MEDIUM_ETHERNET;
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

static int set_options(struct nst_queue *q)
{
    const struct nst_up_config *c = &q->daemon->config;
    const struct {
        enum nst_stack_opt opt;
        int64_t value;
    } options[] = {{NST_STACK_TCP_ECN, c->ecn},
                   {NST_STACK_TCP_FASTOPEN, c->fastopen},
                   {NST_STACK_TCP_MTU_PROBING, c->mtu_probing},
                   {NST_STACK_TCP_PACING, c->pacing},
                   {NST_STACK_TCP_RECOVERY, c->recovery},
                   {NST_STACK_TCP_METRICS, c->metrics}};
    int err = 0;

    for (size_t i = 0; i < NST_ARRAY_LEN(options) && !err; i++)
        err = nst_stack_setopt(q->stack, options[i].opt, options[i].value);
    return err ? err : nst_set_congestion(q->stack, 0, c->congestion);
}

static int add_link(struct nst_queue *q)
{
    const struct nst_up_config *c = &q->daemon->config;
    struct nst_link_config link = {.medium = nst_queue_medium(q),
                                   .mac = q->daemon->mac,
                                   .mtu = c->mtu,
                                   .offloads = nst_device_offloads(q->device),
                                   .down = true};

    memcpy(link.name, nst_device_name(q->device), sizeof link.name);
    int err = nst_link_add(q->stack, &q->link, &link);
    for (size_t i = 0; i < c->naddresses && !err; i++)
        err = nst_addr_add(q->stack, q->link, &c->addresses[i].prefix,
                           q->index == 0 ? c->addresses[i].acd : NST_ACD_OFF);
    return err ? err : add_routes(q);
}

static int make_stack(struct nst_queue *q)
{
    const struct nst_daemon *d = q->daemon;
    struct nst_config config = {
        .trace = nst_capture_trace,
        .trace_ctx = q->capture,
        .spread = {.index = (uint16_t)q->index, .count = (uint16_t)d->nqueues}};
    int err = nst_system_config(&config);

    memcpy(config.spread.key, d->spread_key, sizeof config.spread.key);
    return err ? err : nst_stack_new(&q->stack, &config);
}

int nst_queue_start(struct nst_queue *q)
{
    int err;

    if ((err = nst_capture_new(&q->capture, q)) || (err = make_stack(q)) ||
        (err = set_options(q)) || (err = add_link(q)))
        return err;
    return q->daemon->config.services ? nst_services_new(&q->services, q) : 0;
}

json_t *nst_queue_json(const struct nst_queue *q)
{
    return q->daemon->nqueues > 1 ? json_integer(q->index) : NULL;
}

int nst_queue_watch(struct nst_queue *q)
{
    struct nst_daemon *d = q->daemon;
    int err = 0;

    if (q->index == 0)
        q->loop = d->loop;
    else
        err = nst_thread_new(q);
    return err || d->nqueues == 1 ? err : nst_exchange_open(q);
}

int nst_queue_run(struct nst_queue *q)
{
    int err = nst_queue_is_home(q) ? 0 : nst_thread_start(q);

    return err ? err : nst_pump_start(q);
}

void nst_queue_stop(struct nst_queue *q)
{
    nst_thread_finish(q);
    nst_pump_stop(q);
}

void nst_queue_free(struct nst_queue *q)
{
    nst_exchange_close(q);
    nst_services_free(q->services);
    nst_stack_free(q->stack);
    nst_capture_free(q->capture);
    if (q->loop != q->daemon->loop)
        nst_loop_free(q->loop);
}
