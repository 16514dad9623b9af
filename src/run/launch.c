#include "run/launch.h"

#include "run/filter.h"
#include "run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int nst_run_fail(int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("netstack: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

/* ---- The supervisor's beginning ----------------------------------------------------------- */

/* What the launcher tells its supervisor: two descriptors of its own, and something to read, to
 * prove that the supervisor may look into it at all. */
struct hello {
    int notify; /* the filter's listener */
    int place;  /* an Internet socket of the kernel's, where the program is */
    uint64_t probe;
    uint64_t value; /* what stands at `probe` */
};

/* Leaves everything behind that the program's users might wait for: pipes, the terminal, mounts. */
static void detach(int door)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
        if (fd != door)
            dup2(null, fd);
    if (door > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)door - 1, 0);
    close_range((unsigned)door + 1, ~0u, 0);
    setsid();
    prctl(PR_SET_NAME, "netstack-run");
    signal(SIGPIPE, SIG_IGN);
    if (chdir("/") != 0)
        _exit(NST_RUN_FAILED);
}

/* Makes the descriptors ours. -EPERM where one process may not look into another. */
static int fetch(pid_t launcher, struct hello *hello)
{
    static struct nst_run_pidfds pidfds;
    uint64_t value = 0;
    int err = nst_run_target_read(launcher, &value, hello->probe, sizeof value);

    if (err || value != hello->value)
        return -EPERM;
    hello->notify = nst_run_target_fd(&pidfds, launcher, hello->notify);
    hello->place = nst_run_target_fd(&pidfds, launcher, hello->place);
    return hello->notify < 0 ? hello->notify : hello->place < 0 ? hello->place : 0;
}

_Noreturn static void supervise(pid_t launcher, int door, const struct nst_run_launch *launch)
{
    struct hello hello;

    detach(door);
    if (read(door, &hello, sizeof hello) != sizeof hello)
        _exit(NST_RUN_FAILED); /* the launcher gave up, and has said why */
    int err = fetch(launcher, &hello);
    if (write(door, &err, sizeof err) != sizeof err || err)
        _exit(NST_RUN_FAILED);
    close(door);
    err = nst_run_supervise(hello.notify, hello.place, launch->instance, launch->host_loopback);
    _exit(err == 0 ? 0 : NST_RUN_FAILED);
}

/* Starts it by way of a child that ends at once: so it is nobody the program could wait for.
 * Returns our end of the door, or -errno. */
static int start_supervisor(const struct nst_run_launch *launch)
{
    pid_t launcher = getpid(), child;
    int door[2], status;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, door) != 0)
        return -errno;
    if ((child = fork()) < 0)
        return -errno;
    if (child == 0) {
        pid_t supervisor = fork();
        if (supervisor == 0)
            supervise(launcher, door[1], launch);
        _exit(supervisor < 0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    close(door[1]);
    if (status != 0) {
        close(door[0]);
        return -EAGAIN;
    }
    return door[0];
}

/* ---- The program's beginning -------------------------------------------------------------- */

/* Installs the filter and hands its listener over. 0, or an exit code after a complaint. */
static int give_listener(int door)
{
    static volatile uint64_t probe = UINT64_C(0x70726f6265);
    struct nst_run_filter filter;
    int err;

    int place = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    nst_run_filter_init(&filter);
    int notify = nst_run_filter_install(&filter);
    if (notify == -EBUSY)
        return nst_run_fail(NST_RUN_FAILED,
                            "already inside of 'netstack run' (or another "
                            "supervisor of system calls), and there can be but one");
    if (notify < 0)
        return nst_run_fail(NST_RUN_FAILED, "cannot install the filter of system calls: %s",
                            strerror(-notify));
    struct hello hello = {notify, place, (uintptr_t)&probe, probe};
    if (write(door, &hello, sizeof hello) != sizeof hello ||
        read(door, &err, sizeof err) != sizeof err)
        return nst_run_fail(NST_RUN_FAILED, "the supervisor has ended");
    close(notify);
    close(place);
    if (err)
        return nst_run_fail(NST_RUN_FAILED,
                            "the supervisor may not look into the program (%s); this host allows "
                            "it only with user namespaces, or with kernel.yama.ptrace_scope=0",
                            strerror(-err));
    return 0;
}

static void enter_place(const struct nst_run_launch *launch)
{
    char why[NST_RUN_WHY];

    if (!launch->place)
        return;
    (void)nst_run_place_enter(launch->place, why); /* it is better there, but works here, too */
    if (launch->verbose && why[0])
        nst_run_fail(0, "%s", why);
}

static int preload(const struct nst_run_launch *launch)
{
    const char *others = getenv("LD_PRELOAD");
    char *all = NULL;

    if (!launch->shim)
        return 0;
    if (launch->host_loopback && setenv(NST_RUN_HOST_LOOPBACK, "1", 1) != 0)
        return -ENOMEM;
    if (asprintf(&all, "%s%s%s", launch->shim, others && *others ? ":" : "", others ? others : "") <
        0)
        return -ENOMEM;
    int err = setenv("LD_PRELOAD", all, 1);
    free(all);
    return err;
}

int nst_run_launch(const struct nst_run_launch *launch)
{
    int door = start_supervisor(launch), status;

    if (door < 0)
        return nst_run_fail(NST_RUN_FAILED, "cannot start a supervisor: %s", strerror(-door));
    enter_place(launch);
    if (preload(launch) != 0)
        return nst_run_fail(NST_RUN_FAILED, "no memory");
    if ((status = give_listener(door)) != 0)
        return status;
    execvp(launch->argv[0], launch->argv);
    int err = errno;
    return nst_run_fail(err == ENOENT ? NST_RUN_MISSING : NST_RUN_CANNOT, "cannot run %s: %s",
                        launch->argv[0], strerror(err));
}
