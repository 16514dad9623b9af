/* File descriptors.
 *
 * A table, indexed by descriptor number, says which source watches it. The id under which the
 * poller watches a descriptor is its number and its slot's generation, which counts additions. So a
 * report can be told from one that is meant for an earlier owner of the number.
 *
 * Such stale reports come when someone closes a descriptor before taking its source back, while a
 * duplicate (dup(), fork(), SCM_RIGHTS) keeps the file open: epoll goes on watching the file, and
 * there is no number left by which to make it stop. They are never delivered; but the kernel
 * would repeat them for ever, and the loop never sleep again. So the first one makes the loop
 * build its poller anew from the table.
 *
 * A source with pending readiness is on the ready list. If its callback leaves work, it goes to the
 * end of the list again, and the next turn neither sleeps nor needs the kernel to report it. Files
 * that epoll refuses to watch (EPERM) are always ready, and so never leave the list. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "io/loop_internal.h"

#define ASKED   (NST_LOOP_IN | NST_LOOP_OUT | NST_LOOP_RDHUP | NST_LOOP_EDGE)
#define UNASKED ((unsigned)(NST_LOOP_ERR | NST_LOOP_HUP))

static uint64_t id_of(const struct nst_loop *loop, int fd)
{
    return (uint64_t)loop->slots[fd].generation << 32 | (uint32_t)fd;
}

/* The source that `id` names; NULL if its registration is a thing of the past. */
static struct nst_loop_fd *find(const struct nst_loop *loop, uint64_t id)
{
    uint32_t fd = (uint32_t)id;

    return loop->slots[fd].generation == id >> 32 ? loop->slots[fd].source : NULL;
}

/* Makes sure that `fd` exists and that its slot exists and is free. */
static int reserve_slot(struct nst_loop *loop, int fd)
{
    /* syscall: fcntl */
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    if ((size_t)fd < loop->slot_count)
        return loop->slots[fd].source ? -EEXIST : 0;

    size_t count = nst_max(2 * loop->slot_count, (size_t)fd + 1);
    struct nst_loop_slot *slots = reallocarray(loop->slots, count, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (size_t i = loop->slot_count; i < count; i++)
        slots[i] = (struct nst_loop_slot){0};
    loop->slots = slots;
    loop->slot_count = count;
    return 0;
}

/* Adds what `source` cares about of `events` to its pending readiness. */
static void mark_ready(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events)
{
    if (source->interest)
        source->ready |= events & (source->interest | UNASKED) & ~NST_LOOP_EDGE;
    if (source->ready && !nst_loop_linked(&source->ready_link))
        nst_loop_list_push(&loop->ready, &source->ready_link);
}

static void forget_ready(struct nst_loop_fd *source)
{
    source->ready = 0;
    if (nst_loop_linked(&source->ready_link))
        nst_loop_unlink(&source->ready_link);
}

/* Tells the poller, and fits the pending readiness to the new interest. */
static int set_interest(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events)
{
    if (!source->always_ready) {
        int err = nst_loop_poller_set(&loop->poller, source->fd, id_of(loop, source->fd),
                                      source->interest, events);
        if (err && err != -EPERM)
            return err;
        source->always_ready = err == -EPERM;
    }

    unsigned pending = source->always_ready ? events : source->ready;
    source->interest = events;
    forget_ready(source);
    mark_ready(loop, source, pending);
    return 0;
}

int nst_loop_fd_add(struct nst_loop *loop, struct nst_loop_fd *source, int fd, unsigned events)
{
    if (!source->fn || events & ~ASKED)
        return -EINVAL;
    if (source->loop)
        return -EEXIST;
    int err = reserve_slot(loop, fd);
    if (err)
        return err;

    struct nst_loop_slot *slot = &loop->slots[fd];
    slot->generation++;
    source->fd = fd;
    source->always_ready = false;
    source->interest = source->ready = 0;
    source->ready_link = (struct nst_loop_link){0};
    err = set_interest(loop, source, events);
    if (err)
        return err;
    slot->source = source;
    source->loop = loop;
    return 0;
}

int nst_loop_fd_modify(struct nst_loop_fd *source, unsigned events)
{
    if (!source->loop || events & ~ASKED)
        return -EINVAL;
    return set_interest(source->loop, source, events);
}

void nst_loop_fd_del(struct nst_loop_fd *source)
{
    struct nst_loop *loop = source->loop;

    if (!loop)
        return;
    /* This fails if the descriptor was closed too early; see above for why that is no harm. */
    if (!source->always_ready)
        (void)nst_loop_poller_set(&loop->poller, source->fd, 0, source->interest, 0);
    forget_ready(source);
    loop->slots[source->fd].source = NULL;
    if (loop->current == source)
        loop->current = NULL;
    source->loop = NULL;
}

/* Replaces the poller by a new one that watches what the table says and nothing else. If that fails
 * for want of resources, the next stale report is the occasion to try again. */
static void rebuild_poller(struct nst_loop *loop)
{
    struct nst_loop_poller fresh;

    if (nst_loop_poller_init(&fresh))
        return;
    for (size_t i = 0; i < loop->slot_count; i++) {
        const struct nst_loop_fd *source = loop->slots[i].source;

        if (!source || source->always_ready)
            continue;
        int err =
            nst_loop_poller_set(&fresh, source->fd, id_of(loop, source->fd), 0, source->interest);
        if (err && err != -EBADF && err != -EPERM) { /* these two: it was closed, too */
            nst_loop_poller_fini(&fresh);
            return;
        }
    }
    nst_loop_poller_fini(&loop->poller);
    loop->poller = fresh;
}

static int wait_once(struct nst_loop *loop, struct nst_loop_report *reports, uint64_t timeout_ns)
{
    const struct nst_loop_config *c = &loop->config;

    if (!c->idle)
        return nst_loop_poller_wait(&loop->poller, reports, timeout_ns);
    c->idle(c->arg);
    int n = nst_loop_poller_wait(&loop->poller, reports, timeout_ns);
    c->resume(c->arg);
    return n;
}

/* Polls without sleeping for as long as the configuration says, then sleeps. */
static int wait_until(struct nst_loop *loop, struct nst_loop_report *reports, uint64_t until_ns)
{
    uint64_t now_ns = until_ns ? nst_loop_clock() : 0;
    uint64_t spin_ns = nst_loop_later(now_ns, loop->config.busy_poll_ns);

    for (; now_ns < until_ns && now_ns < spin_ns; now_ns = nst_loop_clock()) {
        int n = wait_once(loop, reports, 0);
        if (n != 0)
            return n;
    }
    if (until_ns != NST_LOOP_NEVER)
        until_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    return wait_once(loop, reports, until_ns);
}

int nst_loop_fds_collect(struct nst_loop *loop, uint64_t until_ns)
{
    struct nst_loop_report reports[NST_LOOP_BATCH];
    bool stale = false;
    int n = wait_until(loop, reports, until_ns);

    for (int i = 0; i < n; i++) {
        struct nst_loop_fd *source = find(loop, reports[i].id);

        if (source)
            mark_ready(loop, source, reports[i].events);
        else
            stale = true;
    }
    /* One may be of a descriptor that another thread took back meanwhile. */
    if (stale && (loop->doubted || !loop->config.idle))
        rebuild_poller(loop);
    loop->doubted = stale;
    return n < 0 ? n : 0;
}

static void visit(struct nst_loop *loop, struct nst_loop_fd *source)
{
    unsigned events = source->ready;

    source->ready = 0;
    loop->current = source;
    bool left = source->fn(loop, source, events, source->budget ? source->budget : NST_LOOP_BUDGET);
    if (loop->current != source)
        return; /* it was taken back, and its memory may be gone */
    loop->current = NULL;
    if (source->always_ready)
        mark_ready(loop, source, source->interest);
    else if (left)
        mark_ready(loop, source, events);
}

void nst_loop_fds_run(struct nst_loop *loop)
{
    struct nst_loop_link batch, *link;

    nst_loop_list_move(&batch, &loop->ready);
    while ((link = nst_loop_list_pop(&batch)))
        visit(loop, NST_CONTAINER(link, struct nst_loop_fd, ready_link));
}

void nst_loop_fds_fini(struct nst_loop *loop)
{
    for (size_t i = 0; i < loop->slot_count; i++) {
        struct nst_loop_fd *source = loop->slots[i].source;

        if (!source)
            continue;
        forget_ready(source);
        source->loop = NULL;
    }
    free(loop->slots);
    loop->slots = NULL;
    loop->slot_count = 0;
}
