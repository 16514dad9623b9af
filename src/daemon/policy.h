/* What the users of the host may do with the instance's sockets: the [User] sections. */
#ifndef NST_DAEMON_POLICY_H
#define NST_DAEMON_POLICY_H

#include "daemon/config.h"

/* What is said about the user; the defaults if nothing is. */
const struct nst_up_person *nst_policy_of(const struct nst_up_config *config, uid_t uid);

/* Whether that user may bind to that name: 0 or -EACCES. */
int nst_policy_bind(const struct nst_up_person *person, const struct nst_sockaddr *local);

#endif
