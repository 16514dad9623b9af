/* Names of hosts, by the host's own resolver. */
#ifndef NST_CLI_RESOLVE_H
#define NST_CLI_RESOLVE_H

#include "netstack/netstack.h"

#include <stddef.h>

/* The IPv4 address that `text` means: a number, or a name that is looked up. *numeric says which.
 * Returns NULL, or what is wrong in words. */
const char *nst_cli_resolve(struct nst_addr *out, const char *text, bool *numeric);

#endif
