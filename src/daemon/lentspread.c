/* TCP sockets of programs over several queues.
 *
 * A socket is opened on the first queue's stack, bound there, and told its options. A connection is
 * then begun on the next queue in turn, or, from a port that was asked for, on the one whose it is:
 * the socket moves there first. A listener stays, and has a *twin* on each other queue, of the same
 * name and options; what one of them accepts remains on its queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "daemon/lent.h"
#include "daemon/thread.h"

/* ---- A socket on another stack --------------------------------------------------------------- */

/* A socket, and whose stack has it. */
struct place {
    struct nst_queue *queue;
    nst_sock sock;
};

/* Sets what differs. The copy's effective values may depend on what is only known to one of the
 * two, so that an option may be refused; then the default stays. */
static void copy_options(const struct place *from, const struct place *to)
{
    const char *congestion = nst_get_congestion(from->queue->stack, from->sock);
    const char *other = nst_get_congestion(to->queue->stack, to->sock);

    for (int opt = NST_OPT_SNDBUF; opt <= NST_OPT_SYN_EVENTS; opt++) {
        int64_t value, now;
        if (opt != NST_OPT_QUICKACK && opt != NST_OPT_MTU &&
            nst_getopt(from->queue->stack, from->sock, (enum nst_opt)opt, &value) == 0 &&
            nst_getopt(to->queue->stack, to->sock, (enum nst_opt)opt, &now) == 0 && value != now)
            (void)nst_setopt(to->queue->stack, to->sock, (enum nst_opt)opt, value);
    }
    if (congestion && (!other || strcmp(congestion, other) != 0))
        (void)nst_set_congestion(to->queue->stack, to->sock, congestion);
}

/* Makes a socket that is as `from` is: its options, and its name if it has one. */
static int copy_sock(const struct place *from, struct place *to, struct nst_handler *handler)
{
    struct nst_sock_info info;
    int err = nst_info(from->queue->stack, from->sock, &info);

    if (!err)
        err = nst_socket(to->queue->stack, &to->sock, NST_AF_INET, NST_SOCK_STREAM, 0,
                         (uintptr_t)handler);
    if (err)
        return err;
    copy_options(from, to);
    if (info.local.port)
        err = nst_bind(to->queue->stack, to->sock, &info.local);
    if (err) {
        nst_close(to->queue->stack, to->sock);
        to->sock = 0;
    }
    return err;
}

/* Moves it, which has neither connected nor listened yet. It stays where it is on an error. */
static int move(struct nst_lent *lent, struct nst_queue *q)
{
    const struct place from = {lent->queue, lent->sock};
    struct place to = {.queue = q};

    if (q == lent->queue)
        return 0;
    nst_queue_visit(from.queue);
    nst_queue_visit(q);
    int err = copy_sock(&from, &to, &lent->handler);
    if (err)
        return err;
    nst_close(from.queue->stack, from.sock);
    lent->queue = q;
    lent->sock = to.sock;
    return 0;
}

int nst_lent_spread_connect(struct nst_lent *lent, const struct nst_sockaddr *to)
{
    struct nst_daemon *d = lent->daemon;
    int err = -EXDEV;

    for (unsigned i = 0; i < d->nqueues && (err == -EXDEV || err == -EADDRNOTAVAIL); i++) {
        struct nst_queue *q = &d->queues[d->next_queue++ % d->nqueues];
        err = move(lent, q);
        if (!err)
            err = nst_connect(q->stack, lent->sock, to);
    }
    return err;
}

/* ---- Listeners ------------------------------------------------------------------------------- */

/* Twins are made together and end together. */
struct nst_lent_twin {
    struct nst_handler handler;
    struct nst_errand errand;
    struct nst_lent *lent;
    struct place place; /* its socket is 0 when the program has been found to have gone */
};

static void on_errand(struct nst_errand *errand)
{
    const struct nst_lent_twin *t = NST_CONTAINER(errand, struct nst_lent_twin, errand);

    if (t->place.sock)
        nst_lent_stream_offer(t->lent, t->place.queue, t->place.sock);
    else
        nst_lent_free(t->lent);
}

static void on_ready(struct nst_handler *handler, uint32_t ready)
{
    struct nst_lent_twin *t = NST_CONTAINER(handler, struct nst_lent_twin, handler);
    struct nst_queue *q = t->place.queue;
    bool gone = ready & NST_READY_SYN && !nst_lent_is_alive(t->lent, q);

    if (gone) { /* what refuses can't wait for the main thread */
        nst_close(q->stack, t->place.sock);
        t->place.sock = 0;
    }
    if (gone || ready & NST_READY_IN)
        nst_queue_defer(q, &t->errand);
}

struct nst_lent *nst_lent_of_twin(const struct nst_handler *handler)
{
    return handler->ready == on_ready ? NST_CONTAINER(handler, struct nst_lent_twin, handler)->lent
                                      : NULL;
}

void nst_lent_twins_free(struct nst_lent *lent)
{
    struct nst_lent_stream *s = &lent->stream;

    for (unsigned i = 0; i < s->ntwins; i++) {
        struct nst_lent_twin *t = &s->twins[i];
        nst_queue_visit(t->place.queue);
        nst_errand_cancel(&t->errand);
        nst_close(t->place.queue->stack, t->place.sock);
    }
    free(s->twins);
    s->twins = NULL;
    s->ntwins = 0;
}

static int twin_open(struct nst_lent *lent, struct nst_queue *q, uint32_t backlog)
{
    const struct place from = {lent->queue, lent->sock};
    struct nst_lent_twin *t = &lent->stream.twins[lent->stream.ntwins];

    t->handler.ready = on_ready;
    t->errand.run = on_errand;
    nst_list_init(&t->errand.node);
    t->lent = lent;
    t->place.queue = q;
    nst_queue_visit(q);
    int err = copy_sock(&from, &t->place, &t->handler);
    if (err)
        return err;
    lent->stream.ntwins++;
    return nst_listen(q->stack, t->place.sock, backlog);
}

static int twins_new(struct nst_lent *lent, uint32_t backlog)
{
    struct nst_daemon *d = lent->daemon;
    int err = 0;

    lent->stream.twins = calloc(d->nqueues, sizeof lent->stream.twins[0]);
    if (!lent->stream.twins)
        return -ENOMEM;
    for (unsigned i = 0; i < d->nqueues && !err; i++)
        if (&d->queues[i] != lent->queue)
            err = twin_open(lent, &d->queues[i], backlog);
    return err;
}

/* The port of one that has none must be the same on all. */
static int bind_first(struct nst_lent *lent)
{
    const struct nst_sockaddr any = {0};
    struct nst_sock_info info;
    int err = nst_info(lent->queue->stack, lent->sock, &info);

    return err || info.local.port ? err : nst_bind(lent->queue->stack, lent->sock, &any);
}

static int listen_again(struct nst_lent *lent, uint32_t backlog)
{
    for (unsigned i = 0; i < lent->stream.ntwins; i++) {
        const struct place *p = &lent->stream.twins[i].place;
        nst_queue_visit(p->queue);
        (void)nst_listen(p->queue->stack, p->sock, backlog);
    }
    return nst_listen(lent->queue->stack, lent->sock, backlog);
}

int nst_lent_spread_listen(struct nst_lent *lent, uint32_t backlog)
{
    if (lent->stream.twins)
        return listen_again(lent, backlog);
    int err = move(lent, lent->daemon->home);
    if (!err)
        err = bind_first(lent);
    if (!err)
        err = twins_new(lent, backlog);
    if (!err)
        err = nst_listen(lent->queue->stack, lent->sock, backlog);
    if (err)
        nst_lent_twins_free(lent);
    return err;
}

void nst_lent_spread_options(struct nst_lent *lent)
{
    const struct place from = {lent->queue, lent->sock};

    for (unsigned i = 0; i < lent->stream.ntwins; i++) {
        nst_queue_visit(lent->stream.twins[i].place.queue);
        copy_options(&from, &lent->stream.twins[i].place);
    }
}

bool nst_lent_spread_offer(struct nst_lent *lent)
{
    const struct nst_ipc_token token = lent->token;
    struct nst_lender *lender = lent->daemon->lender;

    for (unsigned i = 0; i < lent->stream.ntwins; i++) {
        const struct place *p = &lent->stream.twins[i].place;
        nst_lent_stream_offer(lent, p->queue, p->sock);
        if (nst_lent_numbered(lender, token.id) != lent)
            return false; /* its program has gone */
    }
    return true;
}
