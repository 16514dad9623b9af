/* Wake-ups from other threads and signal handlers.
 *
 * A send sets the wake-up's flag; if it wasn't set, it also writes to the loop's eventfd, which
 * ends the loop's sleep. The loop first empties the eventfd and then looks for flags. So a flag
 * that is set too late to be seen comes with a write that is too late to be emptied: no send is
 * lost, and as many sends as there may be between two looks cost one write and one call. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/loop_internal.h"

static bool on_eventfd(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                       unsigned budget)
{
    struct nst_loop_link batch, *link;
    eventfd_t count;
    (void)events;
    (void)budget;

    (void)eventfd_read(source->fd, &count);
    nst_loop_list_move(&batch, &loop->wakes);
    while ((link = nst_loop_list_pop(&batch))) {
        struct nst_loop_wake *wake = NST_CONTAINER(link, struct nst_loop_wake, link);

        nst_loop_list_push(&loop->wakes, link);
        if (__atomic_exchange_n(&wake->sent, 0, __ATOMIC_ACQ_REL))
            wake->fn(loop, wake);
    }
    return false;
}

int nst_loop_wakes_init(struct nst_loop *loop)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    loop->wake_source.fn = on_eventfd;
    int err = nst_loop_fd_add(loop, &loop->wake_source, fd, NST_LOOP_IN);
    if (err) {
        close(fd);
        loop->wake_source.fd = -1;
    }
    return err;
}

void nst_loop_wakes_fini(struct nst_loop *loop)
{
    struct nst_loop_link *link;

    while ((link = nst_loop_list_pop(&loop->wakes)))
        NST_CONTAINER(link, struct nst_loop_wake, link)->loop = NULL;
    if (loop->wake_source.fd >= 0)
        close(loop->wake_source.fd);
}

int nst_loop_wake_add(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    if (!wake->fn)
        return -EINVAL;
    if (wake->loop)
        return -EEXIST;
    wake->loop = loop;
    wake->sent = 0;
    nst_loop_list_push(&loop->wakes, &wake->link);
    return 0;
}

void nst_loop_wake_send(struct nst_loop_wake *wake)
{
    int saved = errno; /* a signal handler must not change it */

    /* The write can only fail if the counter is full, and then the loop is awake anyway. */
    if (!__atomic_exchange_n(&wake->sent, 1, __ATOMIC_ACQ_REL))
        (void)eventfd_write(wake->loop->wake_source.fd, 1);
    errno = saved;
}

void nst_loop_wake_del(struct nst_loop_wake *wake)
{
    if (!wake->loop)
        return;
    nst_loop_unlink(&wake->link);
    wake->loop = NULL;
}
