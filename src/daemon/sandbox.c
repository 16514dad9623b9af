/* The sandbox, which the daemon enters when all is set up and nothing has come from outside yet.
 *
 * Several walls, one behind the other; each would do by itself, if it had no hole:
 *
 * - no capability, in any set, and no way to get one (no_new_privs);
 * - private namespaces of files, IPC and host name, the first with an empty, read-only root, for
 *   who had the rights to make them; its network namespace is the lender's (lent.c);
 * - Landlock (landlock.c): no file is opened, made or removed, no TCP port bound or connected to,
 *   no UNIX socket of others spoken to, no other process signalled;
 * - memory is never both writable and executable (MDWE); no core is dumped, no file grows, no
 * process of the same user may look inside;
 * - a list of system calls. It is generated: the comments `syscall: NAME` beside the calls, in
 *   this directory, in io/ and in ipc/, are collected by tools/syscalls. What needs a closer look
 *   at its arguments is in `narrow`, what fails instead of ending the process in `refused`.
 *
 * Rights and Landlock are a thread's own, and a thread has those of the one that started it: so the
 * threads of further queues are started behind those walls (nst_sandbox_enter()) and before the
 * last (nst_sandbox_close()), which falls for all of them at once and lets no further one be
 * started.
 *
 * Older kernels don't know all of them, and in a container some may be forbidden; those are left
 * out, with a line in the log. Capabilities and the list of calls are not: without them the daemon
 * doesn't start, unless --no-sandbox says that it should. What needs rights at the end is done by
 * the keeper (keeper.c), which stays outside. docs/sandbox.md has the checklist. */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "daemon/landlock.h"
#include "daemon/log.h"

/* Newer than the headers of Debian 12. */
#define MDWE        65 /* PR_SET_MDWE, Linux 6.3 */
#define MDWE_REFUSE 1

/* ---- Capabilities and limits ------------------------------------------------------------- */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* who may not has none to lose */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
               ? -errno
               : 0;
}

/* Whether what we say goes to a file, which then grows. */
static bool logs_to_file(void)
{
    struct stat st;

    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            return true;
    return false;
}

/* A file that grows all the same fails (EFBIG) rather than that it ends the process. */
static void set_limits(void)
{
    const struct rlimit zero = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &zero);
    (void)setrlimit(RLIMIT_NPROC, &zero);
    if (!logs_to_file())
        (void)setrlimit(RLIMIT_FSIZE, &zero);
    signal(SIGXFSZ, SIG_IGN);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (prctl(MDWE, MDWE_REFUSE, 0, 0, 0) != 0)
        nst_log(NST_UP_LOG_DEBUG, "sandbox: the kernel doesn't know MDWE");
}

/* ---- Files ------------------------------------------------------------------------------- */

/* What nst_drop_rights() left is to be used, for the last time. */
static void raise_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, caps) != 0)
        return;
    for (size_t i = 0; i < NST_ARRAY_LEN(caps); i++)
        caps[i].effective = caps[i].permitted;
    (void)syscall(SYS_capset, &header, caps); /* without them there are no namespaces */
}

/* An empty root that nobody can write to, instead of all that there was. */
static int empty_root(void)
{
    const unsigned long flags = MS_NODEV | MS_NOEXEC | MS_NOSUID | MS_RDONLY;

    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0 ||
        mount("", "/", "", MS_PRIVATE | MS_REC, NULL) != 0 ||
        mount("", "/tmp", "tmpfs", flags, "nr_inodes=2,nr_blocks=0") != 0 || chdir("/tmp") != 0 ||
        syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return -errno;
    return 0;
}

/* ---- System calls ------------------------------------------------------------------------ */

/* And what libc does by itself: memory, streams, signals, the end. */
/* syscall: brk munmap */
/* syscall: mmap mremap (for much memory at once, where malloc sees fit) */
/* syscall: newfstatat */
/* syscall: rt_sigprocmask */
/* syscall: exit_group */
static const char *const allowed[] = {
#define SYSCALL(name) #name,
#include "syscalls.inc"
#undef SYSCALL
};

/* Of these only what has one of these values as this argument. */
static const struct {
    const char *name;
    unsigned arg;
    uint64_t value;
} narrow[] = {
    {"socket", 0, AF_UNIX},           {"ioctl", 1, FIONREAD}, {"ioctl", 1, SIOCOUTQ},
    {"ioctl", 1, SIOCATMARK},         {"fcntl", 1, F_GETFD},  {"fcntl", 1, F_DUPFD_CLOEXEC},
    {"ioctl", 1, TUNSETSTEERINGEBPF},
};

/* Of no use in here, and tried only at the end: the keeper does what they are for. */
static const char *const refused[] = {"unlink", "unlinkat", "rmdir"};

static bool is_narrow(const char *name)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(narrow); i++)
        if (strcmp(narrow[i].name, name) == 0)
            return true;
    return strcmp(name, "kill") == 0;
}

/* Lets `name` through if its argument `arg` is `value`. */
static int allow_value(scmp_filter_ctx filter, const char *name, unsigned arg, uint64_t value)
{
    const struct scmp_arg_cmp is = {.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};

    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 1,
                                  &is);
}

static int add_rules(scmp_filter_ctx filter, pid_t child)
{
    int err = 0;

    for (size_t i = 0; i < NST_ARRAY_LEN(allowed) && !err; i++)
        if (!is_narrow(allowed[i]))
            err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(allowed[i]),
                                   0);
    for (size_t i = 0; i < NST_ARRAY_LEN(narrow) && !err; i++)
        err = allow_value(filter, narrow[i].name, narrow[i].arg, narrow[i].value);
    for (size_t i = 0; i < NST_ARRAY_LEN(refused) && !err; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
                               seccomp_syscall_resolve_name(refused[i]), 0);
    return child && !err ? allow_value(filter, "kill", 0, (uint64_t)child) : err;
}

/* The last words of a process that did what it never does: then somebody else is at the helm, or
 * the list is wrong. */
static void on_violation(int signum, siginfo_t *info, void *context)
{
    char text[96];
    int n = snprintf(text, sizeof text, "netstack: the sandbox ends this: system call %d\n",
                     info->si_syscall);

    (void)context;
    /* syscall: write */
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(128 + signum);
    _exit(128 + signum);
}

static int restrict_calls(pid_t child)
{
    const struct sigaction action = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    sigset_t violation;

    if (!filter)
        return -ENOMEM;
    sigemptyset(&violation);
    sigaddset(&violation, SIGSYS);
    sigprocmask(SIG_UNBLOCK, &violation, NULL);
    sigaction(SIGSYS, &action, NULL);
    int err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!err)
        err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!err) /* for the threads that there are, too */
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!err)
        err = add_rules(filter, child);
    if (!err)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}

int nst_sandbox_enter(pid_t child, struct nst_fault *fault)
{
    int err;

    raise_capabilities();
    if ((err = empty_root()))
        nst_log(NST_UP_LOG_DEBUG, "sandbox: no private namespaces: %s", strerror(-err));
    if ((err = drop_capabilities()))
        return nst_fault_system(fault, err, "cannot give up the rights that are left");
    if ((err = nst_landlock_enter(child != 0)))
        nst_log(NST_UP_LOG_DEBUG, "sandbox: no Landlock: %s", strerror(-err));
    return 0;
}

int nst_sandbox_close(pid_t child, struct nst_fault *fault)
{
    set_limits();
    int err = restrict_calls(child);
    if (err)
        return nst_fault_system(fault, err, "cannot restrict system calls (see --no-sandbox)");
    return 0;
}
