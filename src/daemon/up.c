/* `netstack up`, from its flags to its end. */
#include "daemon/up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "daemon/daemon.h"
#include "daemon/lent.h"
#include "daemon/log.h"
#include "daemon/ready.h"
#include "daemon/sandbox.h"
#include "daemon/steer.h"
#include "daemon/thread.h"

/* A locally administered unicast address at random, unless one was given. */
static void choose_mac(struct nst_daemon *d)
{
    d->mac = d->config.mac;
    if (d->config.has_mac || d->config.kind == NST_DEVICE_TUN)
        return;
    if (getrandom(d->mac.bytes, sizeof d->mac.bytes, 0) < 0)
        abort(); /* cannot fail for six bytes once the system has booted */
    d->mac.bytes[0] = (uint8_t)((d->mac.bytes[0] & 0xfc) | 0x02);
}

/* ---- What the host does to the device -------------------------------------------------------- */

static int set_mtu(struct nst_daemon *d, uint32_t mtu)
{
    int err = 0;

    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = nst_link_set_mtu(d->queues[i].stack, d->queues[i].link, mtu);
    return err;
}

static void follow(struct nst_daemon *d, const struct nst_netlink_event *e)
{
    const char *name = nst_device_name(d->home->device);
    bool carrier = e->up && e->carrier;
    struct nst_link_info info;

    nst_queues_visit(d);
    nst_link_list(d->home->stack, &info, 1);
    if (e->gone) {
        nst_pump_device_gone(d->home);
        return;
    }
    if (e->mtu != info.config.mtu) {
        if (set_mtu(d, e->mtu) == 0)
            nst_log(NST_UP_LOG_INFO, "the MTU of %s is %u now", name, e->mtu);
        else
            nst_log(NST_UP_LOG_WARNING, "the MTU of %s, %u, is none that the stack can use", name,
                    e->mtu);
    }
    if (carrier == !info.config.down)
        return;
    for (unsigned i = 0; i < d->nqueues; i++)
        nst_link_set_carrier(d->queues[i].stack, d->queues[i].link, carrier);
    nst_log(d->carrier_known ? NST_UP_LOG_INFO : NST_UP_LOG_DEBUG, "%s is %s", name,
            carrier ? "up" : "down");
    d->carrier_known = true;
}

static bool on_watch(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                     unsigned budget)
{
    struct nst_daemon *d = fd->arg;
    struct nst_netlink_event event;

    (void)loop, (void)events, (void)budget;
    if (nst_netlink_watch_next(d->watch, &event) > 0)
        follow(d, &event);
    return false;
}

static int watch_device(struct nst_daemon *d, struct nst_fault *fault)
{
    int index = (int)if_nametoindex(nst_device_name(d->home->device));
    struct nst_netlink_event now;
    int err = nst_netlink_watch_open(&d->watch, index, fault);

    if (err)
        return err;
    if (nst_netlink_watch_next(d->watch, &now) > 0)
        follow(d, &now);
    d->watch_fd = (struct nst_loop_fd){.fn = on_watch, .arg = d};
    err = nst_loop_fd_add(d->loop, &d->watch_fd, nst_netlink_watch_fd(d->watch), NST_LOOP_IN);
    return err ? nst_fault_system(fault, err, "cannot watch %s", nst_device_name(d->home->device))
               : 0;
}

/* ---- Signals, and the ping of --ping ----------------------------------------------------------
 */

static void on_quit(struct nst_loop *loop, struct nst_loop_task *task)
{
    (void)task;
    nst_loop_stop(loop, 0);
}

static void on_end_signal(struct nst_loop *loop, struct nst_loop_signal *s,
                          const struct signalfd_siginfo *info)
{
    (void)s, (void)info;
    nst_loop_stop(loop, 0);
}

static void on_child(struct nst_loop *loop, struct nst_loop_signal *s,
                     const struct signalfd_siginfo *info)
{
    struct nst_daemon *d = s->arg;

    (void)loop, (void)info;
    if (d->ping_pid && waitpid(d->ping_pid, NULL, WNOHANG) == d->ping_pid)
        d->ping_pid = 0;
}

static int catch_signals(struct nst_daemon *d)
{
    int err;

    d->quit = (struct nst_loop_task){.fn = on_quit};
    d->interrupt = d->terminate = d->hangup = (struct nst_loop_signal){.fn = on_end_signal};
    d->child = (struct nst_loop_signal){.fn = on_child, .arg = d};
    signal(SIGPIPE, SIG_IGN);
    if ((err = nst_loop_signal_add(d->loop, &d->interrupt, SIGINT)) ||
        (err = nst_loop_signal_add(d->loop, &d->terminate, SIGTERM)) ||
        (err = nst_loop_signal_add(d->loop, &d->hangup, SIGHUP)))
        return err;
    return nst_loop_signal_add(d->loop, &d->child, SIGCHLD);
}

/* Starts `netstack ping` beside us, as the user would. */
static void start_ping(struct nst_daemon *d)
{
    char addr[NST_ADDR_TEXT];
    char *argv[] = {(char *)"netstack",
                    (char *)"ping",
                    (char *)"--name",
                    d->config.name,
                    nst_addr_print(addr, &d->config.ping),
                    NULL};
    posix_spawnattr_t attr;
    sigset_t none;

    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int err = posix_spawn(&d->ping_pid, "/proc/self/exe", NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    if (err) {
        d->ping_pid = 0;
        nst_log(NST_UP_LOG_ERROR, "cannot start ping: %s", strerror(err));
    }
}

/* Lets ping print its summary, as it does when interrupted. */
static void stop_ping(struct nst_daemon *d)
{
    if (!d->ping_pid)
        return;
    /* syscall: kill */
    kill(d->ping_pid, SIGINT);
    waitpid(d->ping_pid, NULL, 0);
    d->ping_pid = 0;
}

/* ---- Set-up -----------------------------------------------------------------------------------
 */

static int start_server(struct nst_daemon *d, struct nst_fault *fault)
{
    const char *sudo_uid = getenv("SUDO_UID");
    struct nst_ipc_server_config config = {
        .name = d->config.name,
        .version = NST_VERSION,
        .owner = sudo_uid && getuid() == 0 ? (uid_t)strtoul(sudo_uid, NULL, 10) : getuid(),
        .ops = &nst_control_ops,
        .ctx = d,
    };
    char why[NST_IPC_WHY];
    int err = nst_ipc_server_new(&d->server, d->loop, &config, why);

    return err ? nst_fault_set(fault, err, "%s", why) : 0;
}

/* Nothing is done to the host from here on, until take_down(). */
static int give_up_rights(struct nst_daemon *d, struct nst_fault *fault)
{
    bool any = d->config.user[0] || d->config.sandbox;
    int err = any ? nst_keeper_start(&d->keeper, d) : 0;

    if (err)
        return nst_fault_system(fault, err, "cannot start the process that cleans up");
    nst_lender_hide(d->lender);
    return d->config.user[0] ? nst_drop_rights(&d->config, fault) : 0;
}

/* As many descriptors as we may have: each connection of a client takes one. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* with fewer, the last ones are refused */
    }
}

static void init_queues(struct nst_daemon *d)
{
    nst_list_init(&d->watchers);
    d->home = d->queues;
    d->nqueues = d->config.queues;
    for (unsigned i = 0; i < d->nqueues; i++) {
        d->queues[i].daemon = d;
        d->queues[i].index = i;
    }
}

/* Without that, what comes in by another queue than its own is handed over, which is slower. */
static void steer(struct nst_daemon *d)
{
    struct nst_spread spread = {.count = (uint16_t)d->nqueues};

    memcpy(spread.key, d->spread_key, sizeof spread.key);
    int err = nst_steer(d->home->device, &spread, nst_queue_medium(d->home));
    d->steered = err == 0;
    if (err)
        nst_log(NST_UP_LOG_INFO, "the kernel does not steer connections to their queues: %s",
                strerror(-err));
}

/* All of the device's before the first frame: when their number changes, flows move. */
static int start_queues(struct nst_daemon *d, struct nst_fault *fault)
{
    int err = 0;

    if (getrandom(d->spread_key, sizeof d->spread_key, 0) < 0)
        abort();
    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = nst_queue_open(&d->queues[i], fault);
    if (err)
        return err;
    if (d->nqueues > 1)
        steer(d);
    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = nst_queue_start(&d->queues[i]);
    return err ? nst_fault_system(fault, err, "cannot start the stack") : 0;
}

/* The threads inherit all that the process has given up by now. */
static int run_queues(struct nst_daemon *d, struct nst_fault *fault)
{
    int err = 0;

    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = nst_queue_watch(&d->queues[i]);
    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = nst_queue_run(&d->queues[i]);
    return err ? nst_fault_system(fault, err, "cannot watch the device") : 0;
}

/* The name is taken first, so that an instance that runs already is the first thing that is said;
 * the device is opened before anything on the host is changed. */
static int set_up(struct nst_daemon *d, struct nst_fault *fault)
{
    const struct nst_loop_config config = {.busy_poll_ns = UINT64_C(1000) * d->config.busy_poll_us};
    int err = nst_loop_new(&d->loop, &config);

    raise_limit();
    choose_mac(d);
    if (!err)
        err = catch_signals(d);
    if (err)
        return nst_fault_system(fault, err, "cannot start the event loop");
    if ((err = nst_lender_new(&d->lender, d)))
        return nst_fault_system(fault, err, "cannot lend sockets");
    if ((err = start_server(d, fault)) || (err = nst_nat_sweep(NST_IPC_DIR, fault)) ||
        (err = start_queues(d, fault)))
        return err;
    if ((err = nst_hostnet_up(&d->host, &d->config, nst_device_name(d->home->device), fault)) ||
        (err = nst_nat_up(&d->nat, &d->config, nst_device_name(d->home->device), NST_IPC_DIR,
                          fault)) ||
        (err = watch_device(d, fault)) || (err = give_up_rights(d, fault)))
        return err;
    return 0;
}

/* Undoes what was done, in the opposite order; everything may be missing. */
static void take_down(struct nst_daemon *d)
{
    struct nst_fault fault;

    stop_ping(d);
    for (unsigned i = d->nqueues; i-- > 0;)
        nst_queue_stop(&d->queues[i]);
    if (!d->keeper) {
        nst_lender_unhide(d->lender);
        if (nst_nat_down(d->nat, &fault) != 0)
            nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
        if (nst_hostnet_down(d->host, &fault) != 0)
            nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
    }
    nst_netlink_watch_close(d->watch);
    if (d->steered) /* the device may have been here before, and stay */
        (void)nst_device_steer(d->home->device, -1);
    for (unsigned i = 0; i < d->nqueues; i++)
        nst_device_close(d->queues[i].device);
    nst_keeper_finish(d->keeper);
    nst_ipc_server_free(d->server);
    nst_lender_free(d->lender);
    for (unsigned i = 0; i < d->nqueues; i++)
        nst_queue_free(&d->queues[i]);
    nst_loop_free(d->loop);
}

/* ---- Words -------------------------------------------------------------------------------------
 */

static void print_stack(const struct nst_daemon *d)
{
    const struct nst_up_config *c = &d->config;
    char text[NST_PREFIX_TEXT], addr[NST_ADDR_TEXT], mac[NST_MAC_TEXT];
    bool bare = c->kind == NST_DEVICE_TUN, gateway = nst_addr_is_set(&c->gateway);
    struct nst_link_info link;

    nst_link_list(d->home->stack, &link, 1);
    printf("  stack   %s%s%s, MTU %u%s%s\n", nst_prefix_print(text, &c->addresses[0].prefix),
           bare ? "" : " at ", bare ? "" : nst_mac_print(mac, &d->mac), link.config.mtu,
           gateway ? ", gateway " : "", gateway ? nst_addr_print(addr, &c->gateway) : "");
}

static void print_device(const struct nst_daemon *d)
{
    const struct nst_up_config *c = &d->config;
    const char *name = nst_device_name(d->home->device);
    const char *how = c->offload ? "with offloads" : "plain";
    char text[NST_PREFIX_TEXT];

    if (c->kind == NST_DEVICE_PACKET)
        printf("  device  %s (a packet socket, %s)\n", name, how);
    else
        printf("  host    %s on %s (%s, %s)\n",
               nst_addr_is_set(&c->host.addr) ? nst_prefix_print(text, &c->host) : "no address",
               name, c->kind == NST_DEVICE_TUN ? "TUN" : "TAP", how);
}

/* The host answers, or else the gateway, or else nobody but ourselves. */
static const struct nst_addr *someone_to_ping(const struct nst_up_config *c)
{
    if (nst_addr_is_set(&c->host.addr))
        return &c->host.addr;
    return nst_addr_is_set(&c->gateway) ? &c->gateway : &c->addresses[0].prefix.addr;
}

static void print_banner(const struct nst_daemon *d, const char *program)
{
    const struct nst_up_config *c = &d->config;
    char own[NST_ADDR_TEXT], peer[NST_ADDR_TEXT];
    const char *name = strcmp(c->name, "default") == 0 ? "" : c->name;
    const char *flag = *name ? " --name " : "";

    printf("netstack %s: instance '%s' is up\n", NST_VERSION, c->name);
    print_stack(d);
    print_device(d);
    if (c->nat[0])
        printf("  nat     what the host reaches through %s\n", c->nat);
    if (c->services)
        puts("  serves  echo 7, discard 9, daytime 13, chargen 19 (TCP and UDP)");
    nst_addr_print(own, &c->addresses[0].prefix.addr);
    nst_addr_print(peer, someone_to_ping(c));
    puts(c->kind == NST_DEVICE_PACKET ? "Try, from another host of that network and from here:"
                                      : "Try, in another terminal:");
    printf("  ping %s\n  %s ping%s%s %s\n  %s stats%s%s\n", own, program, flag, name, peer, program,
           flag, name);
    printf(c->daemon ? "'%s down%s%s' ends it.\n" : "Ctrl-C ends it.\n", program, flag, name);
    fflush(stdout);
}

static void print_warnings(const struct nst_daemon *d)
{
    char lines[4096], *rest = lines;

    if (!d->nat)
        return;
    snprintf(lines, sizeof lines, "%s", nst_nat_warnings(d->nat));
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            nst_log(NST_UP_LOG_WARNING, "%s", line);
}

/* ---- In the background --------------------------------------------------------------------------
 */

/* Goes on in a child. The parent waits until the child says that it is up (a byte) or has failed
 * (the end of the pipe), and ends with that. Returns the child's end, or -errno. */
static int daemonise(int *null)
{
    int ends[2];
    pid_t pid;
    char byte;

    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        return -errno;
    if (pid == 0) {
        close(ends[0]);
        setsid();
        *null = open("/dev/null", O_RDWR | O_CLOEXEC);
        return *null < 0 || chdir("/") != 0 ? -errno : ends[1];
    }
    close(ends[1]);
    ssize_t n = read(ends[0], &byte, 1);
    int status = 0;
    if (n != 1)
        waitpid(pid, &status, 0);
    _exit(n == 1 ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

void nst_leave_terminal(int null)
{
    /* syscall: dup2 */
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    close(null);
}

/* Tells the parent, and lets go of its terminal. */
static void detach(struct nst_daemon *d, int parent)
{
    nst_leave_terminal(d->null_fd);
    if (write(parent, "", 1) != 1)
        nst_log(NST_UP_LOG_DEBUG, "the parent process has gone");
    close(parent);
}

/* All that needs rights and paths. Who reads the banner finds the daemon in its sandbox. */
static int begin(struct nst_daemon *d, const char *program, struct nst_fault *fault)
{
    int manager = nst_ready_open();
    int err = set_up(d, fault);

    if (err)
        return err;
    if (nst_addr_is_set(&d->config.ping))
        start_ping(d);
    if ((d->config.sandbox && (err = nst_sandbox_enter(d->ping_pid, fault))) ||
        (err = run_queues(d, fault)) ||
        (d->config.sandbox && (err = nst_sandbox_close(d->ping_pid, fault))))
        return err;
    nst_queues_leave(d);
    print_banner(d, program);
    print_warnings(d);
    nst_ready_tell_take(manager);
    return 0;
}

int nst_daemon_main(int argc, char **argv, const char *program)
{
    static struct nst_daemon d;
    static char out[BUFSIZ]; /* else libc asks, in the sandbox, what kind of file it writes to */
    struct nst_fault fault = {""};
    int parent = -1, err;

    setvbuf(stdout, out, _IOFBF, sizeof out);
    close_range(3, ~0U, 0); /* whatever we were started with */
    err = nst_config_parse(&d.config, argc, argv, &fault);

    if (err == NST_CONFIG_HELP) {
        nst_config_usage(stdout);
        return 0;
    }
    nst_log_init(d.config.log_level, d.config.log_json);
    if (!err && d.config.daemon && (parent = daemonise(&d.null_fd)) < 0)
        err = nst_fault_system(&fault, parent, "cannot go to the background");
    if (err) {
        nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
        return err == -EINVAL ? 2 : 1;
    }
    init_queues(&d);
    d.started = nst_loop_clock();
    if (begin(&d, program, &fault) != 0) {
        nst_log(NST_UP_LOG_ERROR, "%s", fault.text);
        take_down(&d);
        return 1;
    }
    if (parent >= 0)
        detach(&d, parent);
    int code = nst_loop_run(d.loop);
    take_down(&d);
    return code < 0 ? 1 : code;
}
