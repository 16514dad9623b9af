/* Two things make a router of the host: forwarding (forward.c) and a table of rules.
 *
 * The table is `ip netstack_NAME`, all ours, made in one transaction through libnftables. Its flag
 * `owner` binds it to the netlink socket it was made through: nobody else can change it, `nft flush
 * ruleset` passes it by, and the kernel removes it with the socket, so that a kill -9 leaves no
 * rules behind. So the library's context must live as long as the table, and nothing else is done
 * through that context: the library might open a new socket in its stead.
 *
 * An accept in our chain ends only our chain: a chain of another table that drops forwarded packets
 * still drops them, and no rule of ours can overrule it. obstacle.c looks for those. */
#include "daemon/nat.h"

#include "core/base/addr.h"
#include "daemon/forward.h"
#include "daemon/netlink.h"
#include "daemon/obstacle.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

struct nst_nat {
    struct nst_forward *forward;
    struct nft_ctx *nft; /* owns the table */
    char warnings[2048];
};

/* ---- The table --------------------------------------------------------------------------- */

/* Writes the rules. The table is removed first, in case a foreign one of our name is there. */
static void write_rules(FILE *out, const struct nst_up_config *c, const char *device)
{
    char net[NST_PREFIX_TEXT];

    fprintf(out, "table ip netstack_%s\ndelete table ip netstack_%s\n", c->name, c->name);
    fprintf(out, "table ip netstack_%s {\n\tflags owner;\n\tcomment \"netstack on %s\";\n", c->name,
            device);
    fputs("\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n", out);
    fprintf(out, "\t\tiifname \"%s\" oifname \"%s\" accept\n", device, c->nat);
    fprintf(out, "\t\tiifname \"%s\" oifname \"%s\" ct state established,related accept\n\t}\n",
            c->nat, device);
    fputs("\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
          out);
    for (size_t i = 0; i < c->naddresses; i++) {
        struct nst_prefix network = nst_prefix_network(&c->addresses[i].prefix);
        fprintf(out, "\t\toifname \"%s\" ip saddr %s masquerade\n", c->nat,
                nst_prefix_print(net, &network));
    }
    fputs("\t}\n}\n", out);
}

/* The first line of what nftables complains about, without its "Error: ". */
static void explain(struct nft_ctx *nft, const struct nst_up_config *c, struct nst_fault *fault)
{
    static const char prefix[] = "Error: ";
    const char *text = nft_ctx_get_error_buffer(nft);

    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    const char *remedy = strstr(text, "Operation not permitted")
                             ? ": run this as root, or give it CAP_NET_ADMIN; if that is so, the "
                               "table belongs to another running instance"
                             : "";
    nst_fault_set(fault, -EPERM, "cannot make the nftables table 'ip netstack_%s': %.*s%s", c->name,
                  (int)strcspn(text, "\n"), text, remedy);
}

static char *format_rules(const struct nst_up_config *c, const char *device)
{
    char *rules = NULL;
    size_t size;
    FILE *out = open_memstream(&rules, &size);

    if (!out)
        return NULL;
    write_rules(out, c, device);
    if (fclose(out) == 0)
        return rules;
    free(rules);
    return NULL;
}

static int make_table(struct nst_nat *nat, const struct nst_up_config *c, const char *device,
                      struct nst_fault *fault)
{
    char *rules = format_rules(c, device);
    int r = -ENOMEM;

    nat->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!rules || !nat->nft || nft_ctx_buffer_error(nat->nft) != 0) {
        nst_fault_system(fault, r, "cannot talk to nftables");
    } else if (nft_run_cmd_from_buffer(nat->nft, rules) != 0) {
        explain(nat->nft, c, fault);
        r = -EPERM;
    } else {
        r = 0;
    }
    free(rules);
    return r;
}

/* ---- Up and down ------------------------------------------------------------------------- */

static int check_uplink(const char *uplink, struct nst_fault *fault)
{
    struct nst_netlink *nl;
    struct nst_netlink_link link;
    int r = nst_netlink_open(&nl, fault);

    if (r < 0)
        return r;
    r = nst_netlink_get_link(nl, uplink, &link, fault);
    nst_netlink_close(nl);
    if (r == -ENODEV)
        nst_fault_set(fault, r,
                      "--nat %s: there is no such interface: name the one through which the host "
                      "reaches the outside",
                      uplink);
    return r;
}

int nst_nat_up(struct nst_nat **out, const struct nst_up_config *config, const char *device,
               const char *run_dir, struct nst_fault *fault)
{
    const char *const ifnames[] = {device, config->nat};
    struct nst_nat *nat = calloc(1, sizeof *nat);

    *out = nat;
    if (!nat)
        return nst_fault_system(fault, -ENOMEM, "cannot set up NAT");
    if (!config->nat[0])
        return 0;
    int r = check_uplink(config->nat, fault);
    if (r == 0)
        r = nst_forward_up(&nat->forward, run_dir, config->name, ifnames, 2, fault);
    if (r == 0)
        r = make_table(nat, config, device, fault);
    if (r < 0) {
        struct nst_fault ignored;
        nst_nat_down(nat, &ignored);
        *out = NULL;
        return r;
    }
    nst_obstacle_find(device, config->nat, nat->warnings, sizeof nat->warnings);
    return 0;
}

const char *nst_nat_warnings(const struct nst_nat *nat)
{
    return nat->warnings;
}

int nst_nat_down(struct nst_nat *nat, struct nst_fault *fault)
{
    if (!nat)
        return 0;
    if (nat->nft)
        nft_ctx_free(nat->nft);
    int r = nst_forward_down(nat->forward, fault);
    free(nat);
    return r;
}

int nst_nat_sweep(const char *run_dir, struct nst_fault *fault)
{
    return nst_forward_sweep(run_dir, fault);
}
