/* Each change is noted before the next one is made, so undoing is the same whether the set-up got
 * to its end or not: walk the notes. A device that was made for this run is removed with its last
 * file descriptor; what is put back here matters for one that outlives the run. */
#include "daemon/hostnet.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/netlink.h"

#include <errno.h>
#include <stdlib.h>

#define ADDRS_MAX 1024 /* of the host; more are not looked at */

struct nst_hostnet {
    struct nst_netlink *nl;
    struct nst_netlink_link before;
    struct nst_prefix added; /* unspecified: no address was added */
    bool changed_mtu, changed_queue, changed_up;
};

/* ---- Conflicts --------------------------------------------------------------------------- */

static bool overlaps(const struct nst_prefix *a, const struct nst_prefix *b)
{
    return nst_prefix_has(a, &b->addr) || nst_prefix_has(b, &a->addr);
}

/* Whether one of the stack's or the host's wishes clashes with an address that the host has. */
static int check_addr(const struct nst_up_config *config, const struct nst_netlink_addr *theirs,
                      int device, struct nst_fault *fault)
{
    char ours_text[NST_PREFIX_TEXT], theirs_text[NST_PREFIX_TEXT];
    const struct nst_prefix *ours = NULL;

    for (size_t i = 0; i < config->naddresses && !ours; i++) {
        const struct nst_prefix *own = &config->addresses[i].prefix;
        if (nst_addr_eq(&own->addr, &theirs->prefix.addr))
            return nst_fault_set(fault, -EADDRINUSE,
                                 "%s is an address of this host already, on %s: choose another for "
                                 "the stack with --address",
                                 nst_addr_print(ours_text, &own->addr), theirs->name);
        if (theirs->index != device && overlaps(own, &theirs->prefix))
            ours = own;
    }
    if (!ours && theirs->index != device && overlaps(&config->host, &theirs->prefix))
        ours = &config->host;
    if (!ours)
        return 0;
    return nst_fault_set(fault, -EADDRINUSE,
                         "the network of %s overlaps that of %s, which the host has on %s: choose "
                         "others with --address and --host-address",
                         nst_prefix_print(ours_text, ours),
                         nst_prefix_print(theirs_text, &theirs->prefix), theirs->name);
}

static int check_conflicts(struct nst_hostnet *host, const struct nst_up_config *config,
                           bool *has_address, struct nst_fault *fault)
{
    struct nst_netlink_addr *addrs = calloc(ADDRS_MAX, sizeof *addrs);

    *has_address = false;
    if (!addrs)
        return nst_fault_system(fault, -ENOMEM, "cannot list the host's addresses");
    int r = nst_netlink_list_addrs(host->nl, addrs, ADDRS_MAX, fault);
    size_t n = r < 0 ? 0 : nst_min((size_t)r, ADDRS_MAX);
    for (size_t i = 0; i < n && r >= 0; i++) {
        *has_address |= addrs[i].index == host->before.index &&
                        addrs[i].prefix.len == config->host.len &&
                        nst_addr_eq(&addrs[i].prefix.addr, &config->host.addr);
        r = check_addr(config, &addrs[i], host->before.index, fault);
    }
    free(addrs);
    return r < 0 ? r : 0;
}

/* ---- Up and down ------------------------------------------------------------------------- */

static int set_link(struct nst_hostnet *host, const struct nst_up_config *config,
                    struct nst_fault *fault)
{
    const struct nst_netlink_link *before = &host->before;
    int r = 0;

    if (before->mtu != config->mtu) {
        r = nst_netlink_set_mtu(host->nl, before->index, config->mtu, fault);
        host->changed_mtu = r == 0;
    }
    if (r == 0 && before->queue_pkts != config->queue_pkts) {
        r = nst_netlink_set_queue(host->nl, before->index, config->queue_pkts, fault);
        host->changed_queue = r == 0;
    }
    return r;
}

static int set_up(struct nst_hostnet *host, const struct nst_up_config *config, bool has_address,
                  struct nst_fault *fault)
{
    int index = host->before.index;
    int r = set_link(host, config, fault);

    if (r == 0 && !has_address) {
        r = nst_netlink_add_addr(host->nl, index, &config->host, fault);
        if (r == 0)
            host->added = config->host;
    }
    if (r == 0 && !host->before.up) {
        r = nst_netlink_set_up(host->nl, index, true, fault);
        host->changed_up = r == 0;
    }
    return r;
}

int nst_hostnet_up(struct nst_hostnet **out, const struct nst_up_config *config, const char *device,
                   struct nst_fault *fault)
{
    struct nst_hostnet *host = calloc(1, sizeof *host);
    bool has_address;

    *out = host;
    if (!host)
        return nst_fault_system(fault, -ENOMEM, "cannot prepare the device");
    if (!nst_addr_is_set(&config->host.addr))
        return 0;
    int r = nst_netlink_open(&host->nl, fault);
    if (r == 0)
        r = nst_netlink_get_link(host->nl, device, &host->before, fault);
    if (r == 0)
        r = check_conflicts(host, config, &has_address, fault);
    if (r == 0)
        r = set_up(host, config, has_address, fault);
    if (r < 0) {
        struct nst_fault ignored;
        nst_hostnet_down(host, &ignored);
        *out = NULL;
    }
    return r;
}

/* Keeps the first failure of a row of steps; what has gone by itself needs no undoing. */
static void note(int *first, struct nst_fault *fault, int r, const struct nst_fault *detail)
{
    if (r < 0 && r != -ENODEV && r != -EADDRNOTAVAIL && *first == 0) {
        *first = r;
        *fault = *detail;
    }
}

int nst_hostnet_down(struct nst_hostnet *host, struct nst_fault *fault)
{
    struct nst_fault detail;
    int first = 0;

    if (!host)
        return 0;
    int index = host->before.index;
    if (host->changed_up)
        note(&first, fault, nst_netlink_set_up(host->nl, index, false, &detail), &detail);
    if (nst_addr_is_set(&host->added.addr))
        note(&first, fault, nst_netlink_del_addr(host->nl, index, &host->added, &detail), &detail);
    if (host->changed_queue)
        note(&first, fault,
             nst_netlink_set_queue(host->nl, index, host->before.queue_pkts, &detail), &detail);
    if (host->changed_mtu)
        note(&first, fault, nst_netlink_set_mtu(host->nl, index, host->before.mtu, &detail),
             &detail);
    nst_netlink_close(host->nl);
    free(host);
    return first;
}
