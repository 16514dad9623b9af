/* netstack/system.h: what a stack takes from the operating system: memory and randomness. */
#ifndef NETSTACK_SYSTEM_H
#define NETSTACK_SYSTEM_H

#include "netstack/netstack.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Fills in what struct nst_config needs and the system has: an allocator over malloc(3), a seed
 * from getrandom(2), and CLOCK_MONOTONIC's time. 0, or the negative errno value of getrandom. */
int nst_system_config(struct nst_config *config);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
