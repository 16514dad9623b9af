/* ioctl() on a socket of ours, about interfaces.
 *
 * Asked of an AF_UNIX socket of the daemon's namespace, the kernel would tell of the daemon's
 * private place. So an Internet socket of the program's own place, which the launcher made before
 * there was a filter, is asked instead. */
#include "run/supervisor.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>

enum { INTERFACES_MAX = 64 };

/* What is asked for by name or index. */
static int ask_one(const struct nst_run_call *call, int socket)
{
    struct ifreq ifr;

    if (nst_run_target_read(call->tid, &ifr, call->args[2], sizeof ifr) != 0)
        return -EFAULT;
    if (ioctl(socket, (unsigned)call->args[1], &ifr) != 0)
        return -errno;
    return nst_run_target_write(call->tid, call->args[2], &ifr, sizeof ifr);
}

/* SIOCGIFCONF: all that have addresses; without a buffer, how long it would have to be. */
static int ask_all(const struct nst_run_call *call, int socket)
{
    struct ifreq list[INTERFACES_MAX];
    struct ifconf conf;
    int err = nst_run_target_read(call->tid, &conf, call->args[2], sizeof conf);
    char *there = conf.ifc_buf;

    if (err)
        return err;
    conf.ifc_buf = there ? (char *)list : NULL;
    if (conf.ifc_len > (int)sizeof list)
        conf.ifc_len = sizeof list;
    if (ioctl(socket, SIOCGIFCONF, &conf) != 0)
        return -errno;
    if (there)
        err = nst_run_target_write(call->tid, (uintptr_t)there, list, (size_t)conf.ifc_len);
    conf.ifc_buf = there;
    return err ? err : nst_run_target_write(call->tid, call->args[2], &conf, sizeof conf);
}

void nst_run_ioctl(struct nst_run_call *call)
{
    int socket = nst_run_place_socket(call->supervisor);

    nst_run_call_return(call, (unsigned)call->args[1] == SIOCGIFCONF ? ask_all(call, socket)
                                                                     : ask_one(call, socket));
}
