/* `netstack up --nat IFACE`: the stack reaches what the host reaches through IFACE. */
#ifndef NST_DAEMON_NAT_H
#define NST_DAEMON_NAT_H

#include "daemon/config.h"

struct nst_nat;

/* Lets the stack behind `device` reach what the host reaches through config->nat: turns on IPv4
 * forwarding of both interfaces and makes the nftables table `ip netstack_NAME`, which masquerades
 * what leaves the stack's networks and accepts it for forwarding. Keeps its record in `run_dir`
 * (/run/netstack). The table belongs to the nftables socket that this opens, so the kernel removes
 * it when the process ends, however it ends; call this in the process that will live on (after
 * daemonising). Does nothing at all if config->nat is empty.
 *
 * 0 or -errno with a sentence; after a failure everything is as before. */
int nst_nat_up(struct nst_nat **out, const struct nst_up_config *config, const char *device,
               const char *run_dir, struct nst_fault *fault);

/* What may keep packets from passing although all is set up: lines of text for the user, each with
 * the command that mends it; empty if nothing was found. Lives as long as `nat`. */
const char *nst_nat_warnings(const struct nst_nat *nat);

/* Removes the table, puts forwarding back unless another instance needs it, and ends `nat` (NULL is
 * allowed). The table goes without any rights; forwarding needs CAP_NET_ADMIN and the right to
 * remove files from run_dir. 0 or -errno with a sentence. */
int nst_nat_down(struct nst_nat *nat, struct nst_fault *fault);

/* Puts right what instances that were killed left behind, of whatever name: for every start. Does
 * nothing when there is no record of any. 0 or -errno with a sentence. */
int nst_nat_sweep(const char *run_dir, struct nst_fault *fault);

#endif
