/* Somebody has to outlive the program here, so that the stack is gone when the user's next command
 * begins. That is the original process: to its shell it looks like the program. It stops when the
 * program stops, passes on the signals that only it was sent, and dies of what the program died of.
 * Keys of the terminal need no passing on: both are in the same process group. */
#include "run/keep.h"

#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The stack ---------------------------------------------------------------------------- */

/* `netstack up`, away from the terminal, that ends when we do, however that comes. */
_Noreturn static void become_daemon(char *const *flags, size_t nflags, const char *name, int out)
{
    char **argv = calloc(nflags + 5, sizeof *argv);
    pid_t keeper = getppid();
    size_t n = 0;

    if (!argv)
        _exit(NST_RUN_FAILED);
    argv[n++] = (char *)"netstack";
    argv[n++] = (char *)"up";
    for (size_t i = 0; i < nflags; i++)
        argv[n++] = flags[i];
    argv[n++] = (char *)"--name";
    argv[n++] = (char *)name;
    setsid();
    dup2(out, STDOUT_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == keeper)
        execv("/proc/self/exe", argv);
    _exit(NST_RUN_FAILED);
}

static int wait_for(pid_t pid, int options)
{
    int status = 0;

    while (waitpid(pid, &status, options) < 0 && errno == EINTR)
        ;
    return status;
}

/* Returns its pid, or -1 after it has said why it can't. It says on its standard output that it is
 * up; what it may say there later, nobody reads, so writing must not wait. */
static pid_t start_daemon(char *const *flags, size_t nflags, const char *name)
{
    int out[2];

    if (pipe2(out, O_CLOEXEC) != 0)
        return -1;
    fcntl(out[1], F_SETFL, O_NONBLOCK);
    pid_t pid = fork();
    if (pid == 0)
        become_daemon(flags, nflags, name, out[1]);
    close(out[1]);
    struct pollfd pfd = {.fd = out[0], .events = POLLIN};
    while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
        ;
    if (pid > 0 && !(pfd.revents & POLLIN)) {
        wait_for(pid, 0);
        pid = -1;
    }
    return pid; /* the pipe's end stays open, so that the daemon is not told off for writing */
}

/* ---- The program -------------------------------------------------------------------------- */

static volatile pid_t program;

static void pass_on(int signo)
{
    int saved = errno;

    kill(program, signo);
    errno = saved;
}

static void catch_signals(void)
{
    static const int passed[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        sigaction(passed[i], &action, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
}

/* Ends as somebody with this wait status did. */
_Noreturn static void end_like(int status)
{
    if (WIFSIGNALED(status)) {
        struct rlimit no_core = {0, 0};
        sigset_t all;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(WTERMSIG(status), SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        raise(WTERMSIG(status));
    }
    exit(WEXITSTATUS(status));
}

_Noreturn static void keep(pid_t daemon)
{
    int status;

    catch_signals();
    while (WIFSTOPPED(status = wait_for(program, WUNTRACED)))
        raise(SIGSTOP);
    kill(daemon, SIGTERM);
    wait_for(daemon, 0);
    end_like(status);
}

int nst_run_keep(char *const *flags, size_t nflags, bool named, const char **instance)
{
    static char name[32];

    if (!named) {
        snprintf(name, sizeof name, "run-%d", (int)getpid());
        *instance = name;
    }
    pid_t daemon = start_daemon(flags, nflags, *instance);
    if (daemon < 0)
        return nst_run_fail(NST_RUN_FAILED, "there is no stack to run the program on");
    program = fork();
    if (program == 0)
        return -1;
    if (program < 0) {
        kill(daemon, SIGTERM);
        wait_for(daemon, 0);
        return nst_run_fail(NST_RUN_FAILED, "cannot fork: %s", strerror(errno));
    }
    keep(daemon);
}
