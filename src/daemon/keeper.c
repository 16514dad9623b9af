/* Rights, given up and kept.
 *
 * In its sandbox, or as another user, the daemon may not undo what it did to the host before. So
 * before that it forks the keeper, which does nothing but wait at a pipe until the daemon has
 * ended, killed or not, then undoes it, and says so by ending too. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "ipc/listen.h"

struct nst_keeper {
    pid_t pid;
    int pipe; /* the end whose closing tells the keeper */
};

/* The keeper's life. */
_Noreturn static void keep(struct nst_daemon *d, int pipe)
{
    struct nst_fault fault;
    sigset_t all;
    char byte;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "netstack-keeper");
    /* The device must end with the daemon, not with us; and whoever reads what --daemon prints
     * would wait for us as well. */
    for (unsigned i = 0; i < d->nqueues; i++)
        nst_device_close(d->queues[i].device);
    if (d->config.daemon)
        nst_leave_terminal(d->null_fd);
    while (read(pipe, &byte, 1) < 0 && errno == EINTR)
        ;
    if (nst_nat_down(d->nat, &fault) != 0)
        nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
    if (nst_hostnet_down(d->host, &fault) != 0)
        nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
    nst_ipc_server_unlink(d->server);
    _exit(0);
}

int nst_keeper_start(struct nst_keeper **out, struct nst_daemon *d)
{
    struct nst_keeper *k = calloc(1, sizeof *k);
    int ends[2];

    if (!k)
        return -ENOMEM;
    if (pipe2(ends, O_CLOEXEC) != 0 || (k->pid = fork()) < 0) {
        int err = -errno;
        free(k);
        return err;
    }
    if (k->pid == 0) {
        close(ends[1]);
        keep(d, ends[0]);
    }
    close(ends[0]);
    k->pipe = ends[1];
    *out = k;
    return 0;
}

void nst_keeper_finish(struct nst_keeper *keeper)
{
    if (!keeper)
        return;
    close(keeper->pipe);
    /* syscall: wait4 */
    while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(keeper);
}

int nst_drop_rights(const struct nst_up_config *config, struct nst_fault *fault)
{
    /* Not in effect any more, but there for the sandbox, which makes namespaces and drops them. */
    if (config->sandbox)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (initgroups(config->user, config->gid) != 0 ||
        setresgid(config->gid, config->gid, config->gid) != 0 ||
        setresuid(config->uid, config->uid, config->uid) != 0)
        return nst_fault_system(fault, -errno, "cannot become the user %s", config->user);
    if (config->uid != 0 && setuid(0) == 0)
        return nst_fault_set(fault, -EPERM, "the rights of root could not be given up");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return 0;
}
