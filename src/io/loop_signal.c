/* Signals, through a signalfd.
 *
 * A signal that is watched is blocked, so that it stays pending until the signalfd yields it. One
 * at a time is read and handed over, so a callback that takes signals back needs no care: those
 * still pending stay in the kernel. The signalfd is made with the first signal, and kept. */
#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "io/loop_internal.h"

static bool on_signalfd(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                        unsigned budget)
{
    (void)events;

    for (unsigned i = 0; i < budget; i++) {
        struct signalfd_siginfo info;

        if (read(source->fd, &info, sizeof info) != sizeof info)
            return false;
        struct nst_loop_signal *signal = info.ssi_signo < NSIG ? loop->signals[info.ssi_signo]
                                                               : NULL;
        if (signal)
            signal->fn(loop, signal, &info);
    }
    return true;
}

/* Whether a signal can be waited for: it exists, isn't reserved by libc, can be blocked, and isn't
 * the sort that the kernel raises against an instruction, which can't go on while it is blocked. */
static bool can_wait_for(int signo)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t set;

    for (size_t i = 0; i < NST_ARRAY_LEN(never); i++) {
        if (signo == never[i])
            return false;
    }
    sigemptyset(&set);
    return sigaddset(&set, signo) == 0;
}

/* Makes the signalfd yield the signals in `set`; makes it first, if need be. */
static int watch(struct nst_loop *loop, const sigset_t *set)
{
    int fd = signalfd(loop->signal_source.fd, set, SFD_CLOEXEC | SFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (loop->signal_source.loop)
        return 0;
    loop->signal_source.fn = on_signalfd;
    int err = nst_loop_fd_add(loop, &loop->signal_source, fd, NST_LOOP_IN);
    if (err) {
        close(fd);
        loop->signal_source.fd = -1;
    }
    return err;
}

int nst_loop_signal_add(struct nst_loop *loop, struct nst_loop_signal *signal, int signo)
{
    sigset_t set = loop->watched_signals, old;

    if (!signal->fn || !can_wait_for(signo))
        return -EINVAL;
    if (signal->loop || loop->signals[signo])
        return -EEXIST;
    sigaddset(&set, signo);
    int err = watch(loop, &set);
    if (err)
        return err;

    loop->watched_signals = set;
    pthread_sigmask(SIG_BLOCK, &set, &old);
    if (sigismember(&old, signo))
        sigaddset(&loop->blocked_before, signo);
    else
        sigdelset(&loop->blocked_before, signo);
    loop->signals[signo] = signal;
    signal->loop = loop;
    signal->signo = signo;
    return 0;
}

/* Detaches `signal` and gives its signal the mask back that it had. */
static void release(struct nst_loop *loop, struct nst_loop_signal *signal)
{
    sigset_t set;

    loop->signals[signal->signo] = NULL;
    signal->loop = NULL;
    if (sigismember(&loop->blocked_before, signal->signo))
        return;
    sigemptyset(&set);
    sigaddset(&set, signal->signo);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void nst_loop_signal_del(struct nst_loop_signal *signal)
{
    struct nst_loop *loop = signal->loop;

    if (!loop)
        return;
    sigdelset(&loop->watched_signals, signal->signo);
    (void)watch(loop, &loop->watched_signals); /* can't fail: it exists */
    release(loop, signal);
}

/* Leaves the signalfd's mask alone, for after fork() it is shared with the other process. */
void nst_loop_signals_fini(struct nst_loop *loop)
{
    if (loop->signal_source.fd >= 0)
        close(loop->signal_source.fd);
    for (int signo = 1; signo < NSIG; signo++) {
        if (loop->signals[signo])
            release(loop, loop->signals[signo]);
    }
}
