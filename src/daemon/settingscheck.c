/* What no single setting can tell: whether they fit together. */
#include "core/base/addr.h"
#include "daemon/settings.h"

#include <errno.h>
#include <string.h>

/* Whether `addr` is on the network of one of the stack's addresses. */
static bool is_on_link(const struct nst_up_config *c, const struct nst_addr *addr)
{
    for (size_t i = 0; i < c->naddresses; i++) {
        if (nst_prefix_has(&c->addresses[i].prefix, addr))
            return true;
    }
    return false;
}

static bool is_own(const struct nst_up_config *c, const struct nst_addr *addr)
{
    for (size_t i = 0; i < c->naddresses; i++) {
        if (nst_addr_eq(&c->addresses[i].prefix.addr, addr))
            return true;
    }
    return false;
}

/* Whether a host may bear `addr` on each of the stack's networks that it lies in. */
static bool is_usable(const struct nst_up_config *c, const struct nst_addr *addr)
{
    for (size_t i = 0; i < c->naddresses; i++) {
        if (nst_addr_is_subnet_broadcast(addr, &c->addresses[i].prefix))
            return false;
    }
    return nst_addr_is_host(addr);
}

/* The lowest address in the first network that is not the stack's; unspecified if none is left. */
static struct nst_prefix first_host(const struct nst_up_config *c)
{
    struct nst_prefix host = nst_prefix_network(&c->addresses[0].prefix);
    bool reserves = host.len < 31; /* the all-zeros address, RFC 3021 */

    host.addr.bytes[3] = (uint8_t)(host.addr.bytes[3] + reserves);
    while (is_own(c, &host.addr)) {
        if (host.addr.bytes[3] == 255)
            return (struct nst_prefix){0};
        host.addr.bytes[3]++;
    }
    if (!nst_prefix_has(&c->addresses[0].prefix, &host.addr) || !is_usable(c, &host.addr))
        return (struct nst_prefix){0};
    return host;
}

static void fill_in(struct nst_settings *s)
{
    struct nst_up_config *c = s->config;

    if (c->naddresses == 0)
        c->addresses[c->naddresses++] = (struct nst_up_address){
            .prefix = {.addr = nst_addr_v4(10, 0, 0, 2), .len = 24}, .acd = NST_ACD_ANNOUNCE};
    for (size_t i = 0; s->has_acd && i < c->naddresses; i++)
        c->addresses[i].acd = s->acd;
    if (!s->has_host && c->kind != NST_DEVICE_PACKET)
        c->host = first_host(c);
    if (!s->has_gateway)
        c->gateway = c->host.addr;
}

static int check_addresses(const struct nst_up_config *c, struct nst_fault *fault)
{
    char text[NST_PREFIX_TEXT];

    for (size_t i = 0; i < c->naddresses; i++) {
        const struct nst_addr *addr = &c->addresses[i].prefix.addr;
        nst_prefix_print(text, &c->addresses[i].prefix);
        if (!is_usable(c, addr))
            return nst_fault_set(fault, -EINVAL,
                                 "the address %s is not one that a host can have: choose another "
                                 "with --address or Address=",
                                 text);
        for (size_t j = 0; j < i; j++) {
            if (nst_addr_eq(&c->addresses[j].prefix.addr, addr))
                return nst_fault_set(fault, -EINVAL, "the address %s is given twice", text);
        }
    }
    return 0;
}

/* The host and the stack must each see the other on their own network. */
static bool is_host_reachable(const struct nst_up_config *c)
{
    for (size_t i = 0; i < c->naddresses; i++) {
        if (nst_prefix_has(&c->addresses[i].prefix, &c->host.addr) &&
            nst_prefix_has(&c->host, &c->addresses[i].prefix.addr))
            return true;
    }
    return false;
}

static int check_host(const struct nst_settings *s, struct nst_fault *fault)
{
    const struct nst_up_config *c = s->config;
    char host[NST_PREFIX_TEXT], own[NST_PREFIX_TEXT];
    const char *why = NULL;

    nst_prefix_print(own, &c->addresses[0].prefix);
    if (!nst_addr_is_set(&c->host.addr)) {
        if (s->has_host || c->kind == NST_DEVICE_PACKET)
            return 0;
        return nst_fault_set(fault, -EINVAL,
                             "%s leaves no address for the host: choose a larger network with "
                             "--address, or give --host-address none",
                             own);
    }
    nst_prefix_print(host, &c->host);
    if (is_own(c, &c->host.addr))
        why = "is also the stack's";
    else if (!is_usable(c, &c->host.addr) || nst_addr_is_subnet_broadcast(&c->host.addr, &c->host))
        why = "is not one that a host can have";
    else if (!is_host_reachable(c))
        why = "is not on one network with the stack's";
    if (!why)
        return 0;
    return nst_fault_set(fault, -EINVAL,
                         "the host's address %s %s (%s): choose another with --host-address or "
                         "HostAddress=",
                         host, why, own);
}

/* `what` names the gateway and how to choose another. */
static int check_gateway(const struct nst_up_config *c, const struct nst_addr *gateway,
                         const char *what, const char *remedy, struct nst_fault *fault)
{
    char text[NST_ADDR_TEXT];
    const char *why = NULL;

    if (!nst_addr_is_set(gateway))
        return 0;
    if (is_own(c, gateway))
        why = "is the stack's own address";
    else if (!is_usable(c, gateway))
        why = "is not an address that a host can have";
    else if (!is_on_link(c, gateway))
        why = "is not on a network of the stack";
    if (!why)
        return 0;
    return nst_fault_set(fault, -EINVAL, "%s %s %s: choose another with %s", what,
                         nst_addr_print(text, gateway), why, remedy);
}

static int check_gateways(const struct nst_up_config *c, struct nst_fault *fault)
{
    int r = check_gateway(c, &c->gateway, "the gateway", "--gateway or Gateway=", fault);

    for (size_t i = 0; r == 0 && i < c->nroutes; i++)
        r = check_gateway(c, &c->routes[i].gateway, "a route's gateway", "Gateway= in its [Route]",
                          fault);
    return r;
}

/* Somebody else's interface stays as it is, and nobody but the user knows the network there. */
static int check_packet(const struct nst_settings *s, struct nst_fault *fault)
{
    const struct nst_up_config *c = s->config;
    const char *device = c->device;

    if (c->kind != NST_DEVICE_PACKET)
        return 0;
    if (c->naddresses == 0)
        return nst_fault_set(fault, -EINVAL,
                             "packet:%s is a network that exists: give an address of it that "
                             "nobody has, with --address or Address=",
                             device);
    if (nst_addr_is_set(&c->host.addr))
        return nst_fault_set(fault, -EINVAL,
                             "packet:%s is not changed, so --host-address (HostAddress=) can't be "
                             "given with it",
                             device);
    if (s->has_link)
        return nst_fault_set(fault, -EINVAL,
                             "packet:%s is not changed, so --mtu and --queue-length (MTUBytes=, "
                             "TransmitQueueLength=) can't be given with it",
                             device);
    if (c->nat[0])
        return nst_fault_set(fault, -EINVAL,
                             "--nat is for a device whose neighbour is the host: with packet:%s "
                             "give the network's --gateway",
                             device);
    return 0;
}

/* Only a device of our own has queues, and an address that is still being probed would have to be
 * kept out of use in all stacks. */
static int check_queues(const struct nst_up_config *c, struct nst_fault *fault)
{
    if (c->queues == 1)
        return 0;
    if (c->kind == NST_DEVICE_PACKET)
        return nst_fault_set(fault, -EINVAL,
                             "packet:%s has one queue only: leave out --queues (Queues=)",
                             c->device);
    for (size_t i = 0; i < c->naddresses; i++)
        if (c->addresses[i].acd == NST_ACD_PROBE)
            return nst_fault_set(fault, -EINVAL,
                                 "an address can't be probed for on several queues: leave out "
                                 "--queues (Queues=), or --acd probe");
    return 0;
}

static int check_device(const struct nst_up_config *c, struct nst_fault *fault)
{
    if (c->kind == NST_DEVICE_TUN && c->has_mac)
        return nst_fault_set(fault, -EINVAL,
                             "a TUN device has no MAC address: leave out --mac (MACAddress=) or "
                             "--tun (Kind=tun)");
    if (strcmp(c->nat, c->device) == 0)
        return nst_fault_set(fault, -EINVAL,
                             "--nat %s is the stack's own device: name the interface through which "
                             "the host reaches the outside",
                             c->nat);
    return 0;
}

int nst_settings_finish(struct nst_settings *s, struct nst_fault *fault)
{
    int r = check_packet(s, fault);

    fill_in(s);
    if (r == 0)
        r = check_addresses(s->config, fault);
    if (r == 0)
        r = check_host(s, fault);
    if (r == 0)
        r = check_gateways(s->config, fault);
    if (r == 0)
        r = check_queues(s->config, fault);
    return r == 0 ? check_device(s->config, fault) : r;
}
