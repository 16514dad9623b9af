#include "daemon/policy.h"

#include <errno.h>

#include "core/base/addr.h"

static const struct nst_up_person anyone = NST_UP_ANYONE;

const struct nst_up_person *nst_policy_of(const struct nst_up_config *config, uid_t uid)
{
    for (size_t i = 0; i < config->npersons; i++)
        if (config->persons[i].uid == uid)
            return &config->persons[i];
    return &anyone;
}

int nst_policy_bind(const struct nst_up_person *person, const struct nst_sockaddr *local)
{
    bool port_is_fine = local->port == 0; /* one of the ephemeral ones, which are anybody's */

    for (size_t i = 0; i < person->nports; i++)
        port_is_fine |= person->ports[i].first <= local->port &&
                        local->port <= person->ports[i].last;
    if (!port_is_fine)
        return -EACCES;
    if (nst_addr_is_set(&person->addr) && !nst_addr_eq(&person->addr, &local->addr))
        return -EACCES;
    return 0;
}
