#include "packetdrill/host.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

#define START (1000 * NST_SEC)
#define BATCH 64

/* What this thread's next gettimeofday() returns: when its call returned; 0: what it is now. */
static _Thread_local nst_time returned_at;
/* This thread was woken, and the driver waits for it. */
static _Thread_local bool is_looked_for;

/* ---- Life ------------------------------------------------------------------------------------ */

static void *env_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void env_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx, (void)size;
    free(ptr);
}

static int add_link(struct nst_pd_host *host)
{
    /* The runner reads large segments as they are, like those from a device that cuts them. */
    const struct nst_link_config config = {.name = "packetdrill",
                                           .medium = NST_MEDIUM_IP,
                                           .mtu = host->flags.mtu,
                                           .offloads = NST_LINK_CSUM | NST_LINK_TSO4};
    struct nst_route everybody = {.dst.addr = nst_addr_v4(0, 0, 0, 0)};
    int err = nst_link_add(host->stack, &host->link, &config);

    everybody.link = host->link;
    if (!err)
        err = nst_route_add(host->stack, &everybody);
    if (!err && nst_addr_is_set(&host->flags.local))
        err = nst_pd_learn_local(host, &host->flags.local);
    return err;
}

static int make_stack(struct nst_pd_host *host)
{
    const struct nst_config config = {
        .seed = "packetdrill", .now = START, .allocator = {env_alloc, env_free, NULL}};
    int err = nst_stack_new(&host->stack, &config);

    if (!err) /* as in a kernel whose device has no queueing discipline that paces */
        err = nst_stack_setopt(host->stack, NST_STACK_TCP_PACING, 0);
    return err ? err : add_link(host);
}

int nst_pd_host_new(struct nst_pd_host **out, const struct nst_pd_flags *flags)
{
    struct nst_pd_host *host = calloc(1, sizeof *host);

    if (!host)
        return -ENOMEM;
    host->flags = *flags;
    host->now = START;
    host->driver = pthread_self();
    pthread_mutex_init(&host->mutex, NULL);
    pthread_cond_init(&host->changed, NULL);
    pthread_cond_init(&host->settled, NULL);
    nst_list_init(&host->sent);
    int err = make_stack(host);
    if (err) {
        nst_pd_host_free(host);
        return err;
    }
    *out = host;
    return 0;
}

void nst_pd_host_free(struct nst_pd_host *host)
{
    for (int fd = 0; fd < NST_PD_FILES; fd++)
        if (host->files[fd])
            nst_pd_file_close(host, host->files[fd]);
    nst_pkt_free_all(&host->sent);
    if (host->stack)
        nst_stack_free(host->stack);
    pthread_cond_destroy(&host->settled);
    pthread_cond_destroy(&host->changed);
    pthread_mutex_destroy(&host->mutex);
    free(host);
}

int nst_pd_learn_local(struct nst_pd_host *host, const struct nst_addr *addr)
{
    const struct nst_prefix alone = {*addr, 32};
    int err = nst_addr_add(host->stack, host->link, &alone, NST_ACD_OFF);

    return err == -EEXIST ? 0 : err;
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

struct nst_pd_file *nst_pd_file_new(struct nst_pd_host *host, enum nst_pd_kind kind)
{
    struct nst_pd_file *file;
    int fd = 3;

    while (fd < NST_PD_FILES && host->files[fd])
        fd++;
    if (fd == NST_PD_FILES || !(file = calloc(1, sizeof *file)))
        return NULL;
    file->kind = kind;
    file->fd = fd;
    file->users = 1;
    nst_list_init(&file->interests);
    host->files[fd] = file;
    return file;
}

struct nst_pd_file *nst_pd_file(const struct nst_pd_host *host, int fd)
{
    return fd >= 0 && fd < NST_PD_FILES ? host->files[fd] : NULL;
}

void nst_pd_file_hold(struct nst_pd_file *file)
{
    file->users++;
}

void nst_pd_file_release(struct nst_pd_file *file)
{
    if (--file->users > 0)
        return;
    if (file->pipe)
        nst_pd_pipe_close(file);
    free(file);
}

void nst_pd_file_close(struct nst_pd_host *host, struct nst_pd_file *file)
{
    nst_pd_forget_interests(host, file);
    if (file->sock)
        nst_close(host->stack, file->sock);
    file->sock = 0;
    file->closed = true;
    host->files[file->fd] = NULL;
    nst_pd_file_release(file);
}

int nst_pd_socket_of(const struct nst_pd_host *host, int fd, struct nst_pd_file **out)
{
    *out = nst_pd_file(host, fd);
    if (!*out)
        return -EBADF;
    return (*out)->kind == NST_PD_SOCKET ? 0 : -ENOTSOCK;
}

struct nst_socket *nst_pd_core_socket(const struct nst_pd_host *host,
                                      const struct nst_pd_file *file)
{
    return nst_sock_find(&host->stack->socks, file->sock);
}

const struct nst_tcb *nst_pd_tcb(const struct nst_pd_host *host, const struct nst_pd_file *file)
{
    return nst_sock_tcb(nst_pd_core_socket(host, file));
}

/* ---- The stack's output ---------------------------------------------------------------------- */

static void take_down(struct nst_pd_host *host, struct nst_pkt *pkt)
{
    pkt->time = host->now;
    nst_pkt_checksum_complete(pkt);
    nst_list_push_back(&host->sent, &pkt->node);
}

static void note_events(struct nst_pd_host *host)
{
    struct nst_event event;

    while (nst_events(host->stack, &event, 1) == 1) {
        struct nst_pd_file *file = nst_pd_file(host, (int)event.cookie);
        if (file)
            file->edges++;
    }
}

void nst_pd_pump(struct nst_pd_host *host)
{
    struct nst_pkt *pkts[BATCH];
    size_t n;

    do {
        n = nst_output(host->stack, host->link, pkts, BATCH, host->now);
        for (size_t i = 0; i < n; i++)
            take_down(host, pkts[i]);
    } while (n == BATCH);
    note_events(host);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static bool is_driver(const struct nst_pd_host *host)
{
    return pthread_equal(pthread_self(), host->driver);
}

/* Lets the blocked threads look, until each has returned from its call or sleeps again. */
static void settle(struct nst_pd_host *host)
{
    for (unsigned i = 0; i < NST_PD_THREADS; i++)
        host->looking += host->asleep_until[i] != 0;
    if (host->looking == 0)
        return;
    host->generation++;
    pthread_cond_broadcast(&host->changed);
    while (host->looking > 0)
        pthread_cond_wait(&host->settled, &host->mutex);
}

/* This thread has looked. */
static void report(struct nst_pd_host *host)
{
    if (!is_looked_for)
        return;
    is_looked_for = false;
    if (--host->looking == 0)
        pthread_cond_signal(&host->settled);
}

void nst_pd_enter(struct nst_pd_host *host)
{
    pthread_mutex_lock(&host->mutex);
}

void nst_pd_leave(struct nst_pd_host *host)
{
    if (is_looked_for)
        returned_at = host->now;
    report(host);
    if (is_driver(host))
        settle(host);
    pthread_mutex_unlock(&host->mutex);
}

ssize_t nst_pd_return(struct nst_pd_host *host, ssize_t result)
{
    nst_pd_leave(host);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* When something will happen by itself. */
static nst_time next_deadline(const struct nst_pd_host *host)
{
    nst_time next = nst_deadline(host->stack);

    for (unsigned i = 0; i < NST_PD_THREADS; i++)
        if (host->asleep_until[i] && host->asleep_until[i] < next)
            next = host->asleep_until[i];
    return next;
}

static void advance(struct nst_pd_host *host, nst_time to)
{
    host->now = nst_max(host->now, to);
    nst_pd_pump(host);
    settle(host);
}

static void run_until(struct nst_pd_host *host, nst_time until)
{
    nst_time next;

    while ((next = next_deadline(host)) <= until)
        advance(host, next);
    advance(host, until);
}

/* The driver's way to sleep. */
static int let_time_pass(struct nst_pd_host *host, nst_time until)
{
    nst_time next = next_deadline(host);

    next = until < next ? until : next;
    if (next == NST_TIME_NEVER)
        return -EDEADLK;
    advance(host, next);
    return 0;
}

/* A thread's way. */
static int wait_for_change(struct nst_pd_host *host, nst_time until)
{
    uint64_t generation = host->generation;
    unsigned place = 0;

    while (place < NST_PD_THREADS && host->asleep_until[place])
        place++;
    if (place == NST_PD_THREADS)
        return -ENOMEM;
    host->asleep_until[place] = until;
    report(host);
    while (host->generation == generation)
        pthread_cond_wait(&host->changed, &host->mutex);
    host->asleep_until[place] = 0;
    is_looked_for = true;
    return 0;
}

int nst_pd_sleep(struct nst_pd_host *host, struct nst_pd_file *file, nst_time until)
{
    if (until <= host->now)
        return -EAGAIN;
    if (is_driver(host))
        return let_time_pass(host, until);
    if (file)
        nst_pd_file_hold(file);
    int err = wait_for_change(host, until);
    if (file && file->closed)
        err = -EBADF;
    if (file)
        nst_pd_file_release(file);
    return err;
}

static int pd_usleep(void *userdata, useconds_t usecs)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    run_until(host, host->now + usecs * NST_US);
    return (int)nst_pd_return(host, 0);
}

static int pd_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz)
{
    struct nst_pd_host *host = userdata;
    nst_time now = returned_at;

    (void)tz;
    returned_at = 0;
    nst_pd_enter(host);
    if (now == 0 && is_driver(host))
        run_until(host, host->now + NST_US);
    if (now == 0)
        now = host->now;
    tv->tv_sec = (time_t)(now / NST_SEC);
    tv->tv_usec = (suseconds_t)(now % NST_SEC / NST_US);
    return (int)nst_pd_return(host, 0);
}

/* ---- Packets --------------------------------------------------------------------------------- */

static int pd_netdev_send(void *userdata, const void *buf, size_t count)
{
    struct nst_pd_host *host = userdata;

    nst_pd_enter(host);
    nst_pd_settings_read(host);
    struct nst_pkt *pkt = nst_pkt_alloc(host->stack, count);
    if (!pkt)
        return (int)nst_pd_return(host, -ENOBUFS);
    nst_pkt_write(pkt, 0, buf, count);
    nst_input(host->stack, host->link, &pkt, 1, host->now);
    nst_pd_pump(host);
    return (int)nst_pd_return(host, 0);
}

static int pd_netdev_receive(void *userdata, void *buf, size_t *count, long long *time_usecs)
{
    struct nst_pd_host *host = userdata;
    struct nst_list *e;

    nst_pd_enter(host);
    while (!(e = nst_list_pop_front(&host->sent))) {
        nst_time next = next_deadline(host);
        if (next == NST_TIME_NEVER)
            return (int)nst_pd_return(host, -EAGAIN);
        advance(host, next);
    }
    struct nst_pkt *pkt = NST_CONTAINER(e, struct nst_pkt, node);
    *count = nst_min(*count, pkt->len);
    *time_usecs = (long long)(pkt->time / NST_US);
    nst_pkt_read(pkt, 0, buf, *count);
    nst_pkt_free(pkt);
    return (int)nst_pd_return(host, 0);
}

void nst_pd_fill_time(struct packetdrill_interface *ifc)
{
    ifc->netdev_send = pd_netdev_send;
    ifc->netdev_receive = pd_netdev_receive;
    ifc->usleep = pd_usleep;
    ifc->gettimeofday = pd_gettimeofday;
}
