#include "run/supervisor.h"

#include "core/base/bytes.h"
#include "run/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* since Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define SWEEP_NS (100 * NST_LOOP_MSEC)

enum {
    BUCKETS = 256,
    KEPT_MAX = 64,
    TOLD_MAX = 256,
};

/* An answer that the kernel took, for who may not have heard it. */
struct told {
    pid_t tid;
    int nr;
    uint64_t args[NST_RUN_ARGS];
    struct seccomp_notif_resp answer;
};

struct kept {
    struct nst_ipc_token listener;
    pid_t process; /* that it was accepted for */
    int fd;
};

struct nst_run_supervisor {
    struct nst_loop *loop;
    struct nst_client_conn *conn;
    struct nst_loop_fd notify;
    int place;
    bool host_loopback;
    struct seccomp_notif *notif; /* of the size that the kernel wants */
    size_t notif_len;
    struct nst_run_pidfds pidfds;
    struct nst_list calls, by_tid[BUCKETS], lines[BUCKETS];
    struct nst_loop_timer sweep;
    struct kept kept[KEPT_MAX]; /* the oldest first */
    size_t nkept;
    struct told told[TOLD_MAX]; /* by number; a later one takes the place */
};

static const struct {
    int nr;
    nst_run_handler *handler;
} HANDLERS[] = {
    {SYS_socket, nst_run_socket},
    {SYS_bind, nst_run_bind},
    {SYS_listen, nst_run_listen},
    {SYS_connect, nst_run_connect},
    {SYS_accept, nst_run_accept},
    {SYS_accept4, nst_run_accept},
    {SYS_ioctl, nst_run_ioctl},
    {SYS_getsockname, nst_run_getsockname},
    {SYS_getpeername, nst_run_getpeername},
    {SYS_setsockopt, nst_run_setsockopt},
    {SYS_getsockopt, nst_run_getsockopt},
    {SYS_sendto, nst_run_sendto},
    {SYS_recvfrom, nst_run_recvfrom},
    {SYS_sendmsg, nst_run_sendmsg},
    {SYS_recvmsg, nst_run_recvmsg},
    {SYS_sendmmsg, nst_run_sendmmsg},
    {SYS_recvmmsg, nst_run_recvmmsg},
};

/* ---- Lines: those who wait for descriptors, by socket -------------------------------------- */

static struct nst_list *line_of(const struct nst_run_call *call)
{
    return &call->supervisor->lines[call->name.token.id % BUCKETS];
}

static bool is_about_same(const struct nst_run_call *a, const struct nst_run_call *b)
{
    return memcmp(&a->name.token, &b->name.token, sizeof a->name.token) == 0;
}

static bool wants_same(const struct nst_run_call *a, const struct nst_run_call *b)
{
    return a->events == b->events && is_about_same(a, b);
}

/* Sees to it that the first of those who want what `like` wants is watched for. */
static void watch_first(const struct nst_run_call *like)
{
    NST_LIST_FOREACH (e, line_of(like)) {
        struct nst_run_call *call = NST_CONTAINER(e, struct nst_run_call, in_line);
        if (!wants_same(call, like))
            continue;
        if (!call->ready.loop &&
            nst_loop_fd_add(call->supervisor->loop, &call->ready, call->fd, call->events) != 0)
            continue; /* no memory for it: the next one, then */
        return;
    }
}

static void leave_line(struct nst_run_call *call)
{
    if (!nst_list_linked(&call->in_line))
        return;
    nst_list_del(&call->in_line);
    nst_loop_fd_del(&call->ready);
    watch_first(call);
}

/* ---- A call's life ------------------------------------------------------------------------ */

static void close_duplicate(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Before the program goes on: what it closes then shall have no other end that is open here. */
static void let_go(struct nst_run_call *call)
{
    leave_line(call);
    close_duplicate(&call->fd);
    close_duplicate(&call->host_fd);
}

static void call_free(struct nst_run_call *call)
{
    let_go(call);
    nst_client_cancel(&call->request);
    nst_loop_timer_stop(&call->timeout);
    nst_list_del(&call->node);
    nst_list_del(&call->by_tid);
    free(call);
}

/* ---- Calls that are made again -------------------------------------------------------------- */

static struct nst_list *bucket_of(const struct nst_run_call *call)
{
    return &call->supervisor->by_tid[call->tid % BUCKETS];
}

/* Whether the daemon was asked for it; then it is done or will be, whoever waits for the answer. */
static bool was_asked(const struct nst_run_call *call)
{
    return call->request.done != NULL;
}

/* Whether something was done for it that can't be undone, or will be. */
static bool has_begun(const struct nst_run_call *call)
{
    return was_asked(call) || call->given >= 0;
}

static bool is_numbered(const struct nst_run_call *call)
{
    const uint64_t number = call->args[NST_RUN_ARGS - 1];

    return number == NST_RUN_NUMBERED(number);
}

/* Whether `call` can't be `older` made again: of most calls the shim makes none but the same again,
 * until it has an answer. */
static bool is_another(const struct nst_run_call *call, const struct nst_run_call *older)
{
    return is_numbered(older) && older->nr != SYS_connect && older->nr != SYS_sendmsg &&
           older->nr != SYS_recvmsg &&
           call->args[NST_RUN_ARGS - 1] != older->args[NST_RUN_ARGS - 1];
}

/* Whether the daemon was asked for the same; what its answers don't change. */
static bool asks_same(const struct nst_run_call *call, const struct nst_run_call *older)
{
    const struct nst_client_request *x = &call->request, *y = &older->request;
    bool names = x->op == NST_CLIENT_BIND || x->op == NST_CLIENT_CONNECT,
         sets = x->op == NST_CLIENT_SETSOCKOPT;

    return was_asked(older) && !is_another(call, older) && x->op == y->op && x->done == y->done &&
           is_about_same(call, older) && x->nonblock == y->nonblock && x->domain == y->domain &&
           x->type == y->type && x->protocol == y->protocol && x->backlog == y->backlog &&
           x->level == y->level && x->option == y->option &&
           (!names ||
            (x->addrlen == y->addrlen && memcmp(&x->addr, &y->addr, sizeof x->addr) == 0)) &&
           (!sets || (x->value_len == y->value_len &&
                      memcmp(x->value, y->value, nst_min(x->value_len, sizeof x->value)) == 0));
}

/* Whether `call` asks for SO_ERROR, and so perhaps what became of `older`, a connect(). */
static bool asks_for_error_of(const struct nst_run_call *call, const struct nst_run_call *older)
{
    return call->nr == SYS_getsockopt && (int)call->args[1] == SOL_SOCKET &&
           (int)call->args[2] == SO_ERROR && was_asked(older) &&
           older->request.op == NST_CLIENT_CONNECT && is_about_same(call, older);
}

/* Whether `older` was given what `call` wants. */
static bool wants_given(const struct nst_run_call *call, const struct nst_run_call *older)
{
    return older->given >= 0 && call->nr == older->nr && is_about_same(call, older) &&
           memcmp(call->args, older->args, sizeof call->args) == 0;
}

/* Of what the thread called for before `call`, what `fits`; the last call is the last in its
 * bucket. NULL: nothing. */
static struct nst_run_call *find_older(const struct nst_run_call *call,
                                       bool (*fits)(const struct nst_run_call *call,
                                                    const struct nst_run_call *older))
{
    NST_LIST_FOREACH (e, bucket_of(call)) {
        struct nst_run_call *older = NST_CONTAINER(e, struct nst_run_call, by_tid);
        if (older == call)
            return NULL;
        if (older->tid == call->tid && fits(call, older))
            return older;
    }
    return NULL;
}

/* Whether what has begun may be made again: by `call`, if it is by the system call `but`; or after
 * it, which then is made by a signal's handler. That needs a number, and one of each system call is
 * enough. */
static bool may_go_on(const struct nst_run_call *older, const struct nst_run_call *call, int but)
{
    return has_begun(older) && (older->nr == but || (is_numbered(older) && older->nr != call->nr));
}

/* Who makes another call has given up what he waited for, but what may go on, or what he asks
 * about. */
static void drop_older(const struct nst_run_call *call, int but)
{
    NST_LIST_FOREACH_SAFE (e, bucket_of(call)) {
        struct nst_run_call *older = NST_CONTAINER(e, struct nst_run_call, by_tid);
        if (older == call)
            return;
        if (older->tid == call->tid && !may_go_on(older, call, but) &&
            !asks_for_error_of(call, older))
            call_free(older);
    }
}

/* It goes on, or ends, in the place of the one by which it is made again; that one is freed. A time
 * limit begins anew, as it would in the kernel. */
static void take_up(struct nst_run_call *older, struct nst_run_call *call)
{
    bool is_limited = call->timeout.loop != NULL;
    int late = call->timeout_result;

    older->id = call->id;
    nst_list_del(&older->by_tid);
    nst_list_push_back(bucket_of(older), &older->by_tid);
    memcpy(older->args, call->args, sizeof older->args);
    if (older->fd < 0) {
        older->fd = older->request.fd = call->fd;
        call->fd = -1;
    }
    call_free(call);
    nst_loop_timer_stop(&older->timeout);
    if (is_limited)
        nst_run_call_limit(older, SO_SNDTIMEO, late);
    if (!older->request.conn)
        older->request.done(&older->request);
}

int nst_run_call_untold(const struct nst_run_call *call)
{
    struct nst_run_call *older = find_older(call, asks_for_error_of);

    if (!older)
        return 0;
    if (older->request.conn)
        return -EINPROGRESS;
    int result = older->request.result;
    call_free(older);
    return result;
}

/* Whether a call whose notification has gone may be made again: its thread lives, and has the
 * socket still. */
static bool may_be_repeated(struct nst_run_call *call)
{
    struct nst_run_call now = {.fd = -1};
    bool is_new = call->nr == SYS_socket;

    if (!has_begun(call) || (is_new && call->given < 0))
        return call->request.conn != NULL;
    now.fd = nst_run_target_fd(&call->supervisor->pidfds, call->tid,
                               is_new ? call->given : (int)call->args[0]);
    bool has = now.fd >= 0 && nst_client_identify(now.fd, &now.name) == 0 &&
               (is_new || is_about_same(&now, call));
    close_duplicate(&now.fd);
    return has;
}

/* Tells a thread of the descriptor that it was given when it was interrupted; whether there was
 * one. */
static bool tell_given(struct nst_run_call *call)
{
    const struct nst_run_call *older = find_older(call, wants_given);

    if (older) {
        call->given = older->given;
        nst_run_call_return(call, call->given);
    }
    return older != NULL;
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Asks or tells the kernel something about a notification. What stops or freezes us may end that
 * before anything is done (EINTR), which must not pass for a call that has gone (ENOENT). */
static int control(const struct nst_run_supervisor *s, unsigned long what, const void *arg)
{
    return (int)TEMP_FAILURE_RETRY(ioctl(s->notify.fd, what, arg));
}

/* Whether the kernel takes it; if not, the call has gone. */
static bool answer(const struct nst_run_supervisor *s, const struct seccomp_notif_resp *resp)
{
    return control(s, SECCOMP_IOCTL_NOTIF_SEND, resp) == 0;
}

/* Where the answer to it is remembered. */
static struct told *told_place(const struct nst_run_call *call)
{
    return &call->supervisor->told[call->args[NST_RUN_ARGS - 1] % TOLD_MAX];
}

/* What the kernel does is no answer: it does that once more. */
static void remember(const struct nst_run_call *call, const struct seccomp_notif_resp *resp)
{
    struct told *told = told_place(call);

    if (!is_numbered(call) || resp->flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE)
        return;
    *told = (struct told){.tid = call->tid, .nr = call->nr, .answer = *resp};
    memcpy(told->args, call->args, sizeof told->args);
}

/* Whether it was answered before; then it is again, the same. */
static bool tell_again(const struct nst_run_call *call)
{
    const struct told *told = told_place(call);

    if (!is_numbered(call) || told->tid != call->tid || told->nr != call->nr ||
        memcmp(told->args, call->args, sizeof told->args) != 0)
        return false;
    struct seccomp_notif_resp resp = told->answer;
    resp.id = call->id;
    (void)answer(call->supervisor, &resp);
    return true;
}

/* If nobody hears it, the record stays for who makes the call again. */
static void answer_take(struct nst_run_call *call, const struct seccomp_notif_resp *resp)
{
    drop_older(call, -1);
    let_go(call);
    bool told = answer(call->supervisor, resp);
    if (told)
        remember(call, resp);
    if (told || !has_begun(call))
        call_free(call);
}

void nst_run_call_return(struct nst_run_call *call, int64_t result)
{
    const struct seccomp_notif_resp resp = {
        .id = call->id, .val = result < 0 ? 0 : result, .error = result < 0 ? (int32_t)result : 0};

    answer_take(call, &resp);
}

void nst_run_call_continue(struct nst_run_call *call)
{
    const struct seccomp_notif_resp resp = {.id = call->id,
                                            .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    answer_take(call, &resp);
}

/* SECCOMP_ADDFD_FLAG_SEND would make one step of both. But when we are stopped or frozen in the
 * midst of it, the kernel takes the descriptor back and lets the answer stand, which is 0 then. */
int nst_run_call_give(struct nst_run_call *call, int fd, bool cloexec)
{
    struct seccomp_notif_addfd add = {
        .id = call->id,
        .srcfd = (uint32_t)fd,
        .newfd_flags = cloexec ? O_CLOEXEC : 0,
    };

    call->request.done = NULL; /* once more, it would be another one */
    drop_older(call, -1);
    let_go(call);
    int number = control(call->supervisor, SECCOMP_IOCTL_NOTIF_ADDFD, &add),
        err = number < 0 ? -errno : 0;
    if (!err) {
        close(fd);
        call->given = number;
    }
    nst_run_call_return(call, err ? err : number);
    return err;
}

int nst_run_call_replace(struct nst_run_call *call, int fd)
{
    const int number = (int)call->args[0];
    struct seccomp_notif_addfd add = {
        .id = call->id,
        .flags = SECCOMP_ADDFD_FLAG_SETFD,
        .srcfd = (uint32_t)fd,
        .newfd = (uint32_t)number,
        .newfd_flags = nst_run_target_cloexec(call->tid, number) ? O_CLOEXEC : 0,
    };

    return control(call->supervisor, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
}

bool nst_run_call_stands(const struct nst_run_call *call)
{
    uint64_t id = call->id;

    return control(call->supervisor, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* ---- Kept connections --------------------------------------------------------------------- */

/* Takes it off the list. */
static int forget_kept(struct nst_run_supervisor *s, size_t i)
{
    int fd = s->kept[i].fd;

    memmove(&s->kept[i], &s->kept[i + 1], (--s->nkept - i) * sizeof s->kept[0]);
    return fd;
}

static void sweep_soon(struct nst_run_supervisor *s)
{
    if (!s->sweep.loop)
        nst_loop_timer_after(s->loop, &s->sweep, SWEEP_NS);
}

static bool awaits(const struct nst_run_call *call, const struct nst_ipc_token *listener)
{
    return call->resume == nst_run_accept &&
           memcmp(&call->name.token, listener, sizeof *listener) == 0;
}

/* Of others who wait for the listener the first has what was kept; the kernel won't tell them. */
static void offer_kept(struct nst_run_supervisor *s, const struct nst_ipc_token *listener)
{
    NST_LIST_FOREACH_SAFE (e, &s->lines[listener->id % BUCKETS]) {
        struct nst_run_call *call = NST_CONTAINER(e, struct nst_run_call, in_line);
        if (!awaits(call, listener))
            continue;
        if (nst_run_call_stands(call)) {
            call->resume(call);
            return;
        }
        call_free(call);
    }
}

void nst_run_keep_take(struct nst_run_supervisor *s, const struct nst_ipc_token *listener,
                       pid_t tid, int fd)
{
    pid_t process = nst_run_target_process(&s->pidfds, tid);

    if (process == 0) {
        close(fd);
        return;
    }
    if (s->nkept == KEPT_MAX)
        close(forget_kept(s, 0));
    s->kept[s->nkept++] = (struct kept){*listener, process, fd};
    sweep_soon(s);
    offer_kept(s, listener);
}

int nst_run_kept(struct nst_run_supervisor *s, const struct nst_ipc_token *listener)
{
    for (size_t i = 0; i < s->nkept; i++)
        if (memcmp(&s->kept[i].listener, listener, sizeof *listener) == 0)
            return forget_kept(s, i);
    return -1;
}

/* Drops what nobody waits for any more: a killed process's sockets end with it. */
static void on_sweep(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_run_supervisor *s = timer->arg;

    NST_LIST_FOREACH_SAFE (e, &s->calls) {
        struct nst_run_call *call = NST_CONTAINER(e, struct nst_run_call, node);
        if (!nst_run_call_stands(call) && !may_be_repeated(call))
            call_free(call);
    }
    for (size_t i = s->nkept; i-- > 0;)
        if (kill(s->kept[i].process, 0) != 0 && errno == ESRCH)
            close(forget_kept(s, i));
    if (!nst_list_empty(&s->calls) || s->nkept > 0)
        nst_loop_timer_after(loop, timer, SWEEP_NS);
}

/* ---- Parking ------------------------------------------------------------------------------ */

static bool on_ready(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                     unsigned budget)
{
    struct nst_run_call *call = source->arg;

    (void)loop, (void)events, (void)budget;
    if (nst_run_call_stands(call))
        call->resume(call);
    else
        call_free(call);
    return false;
}

void nst_run_call_wait(struct nst_run_call *call, unsigned events, nst_run_handler *resume,
                       int late)
{
    if (nst_list_linked(&call->in_line)) /* it was its turn, but somebody else was faster */
        return;
    call->resume = resume;
    call->events = events;
    call->ready.fn = on_ready;
    call->ready.arg = call;
    nst_run_call_limit(call, events & NST_LOOP_IN ? SO_RCVTIMEO : SO_SNDTIMEO, late);
    nst_list_push_back(line_of(call), &call->in_line);
    watch_first(call);
}

static void on_late(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_run_call *call = timer->arg;

    (void)loop;
    if (nst_run_call_stands(call))
        nst_run_call_return(call, call->timeout_result);
}

void nst_run_call_limit(struct nst_run_call *call, int option, int late)
{
    struct timeval limit = {0};
    socklen_t len = sizeof limit;

    if (call->timeout.loop || getsockopt(call->fd, SOL_SOCKET, option, &limit, &len) != 0 ||
        (limit.tv_sec == 0 && limit.tv_usec == 0))
        return;
    call->timeout.fn = on_late;
    call->timeout.arg = call;
    call->timeout_result = late;
    nst_loop_timer_after(call->supervisor->loop, &call->timeout,
                         (uint64_t)limit.tv_sec * NST_LOOP_SECOND +
                             (uint64_t)limit.tv_usec * (NST_LOOP_MSEC / 1000));
}

void nst_run_call_ask(struct nst_run_call *call, nst_client_done *done)
{
    call->request.done = done;
    struct nst_run_call *older = find_older(call, asks_same);
    if (older) {
        take_up(older, call);
        return;
    }
    drop_older(call, -1);
    call->request.fd = call->fd;
    call->request.pid = nst_run_target_process(&call->supervisor->pidfds, call->tid);
    call->request.arg = call;
    nst_client_submit(call->supervisor->conn, &call->request);
}

struct nst_run_call *nst_run_call_of(struct nst_client_request *request)
{
    return request->arg;
}

bool nst_run_call_nonblocking(const struct nst_run_call *call)
{
    return (fcntl(call->fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* ---- Memory ------------------------------------------------------------------------------- */

int nst_run_call_get_name(struct nst_run_call *call, uint64_t from, uint64_t len,
                          struct sockaddr_storage *addr)
{
    memset(addr, 0, sizeof *addr);
    if ((uint32_t)len > sizeof *addr)
        return -EINVAL;
    return nst_run_target_read(call->tid, addr, from, (uint32_t)len);
}

int nst_run_call_put_name(struct nst_run_call *call, uint64_t to, uint64_t to_len,
                          const struct sockaddr_storage *addr, socklen_t len)
{
    int32_t room;

    if (nst_run_target_read(call->tid, &room, to_len, sizeof room) != 0)
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    if (!nst_run_call_stands(call)) /* the memory may be another's by now */
        return -EFAULT;
    if (nst_run_target_write(call->tid, to, addr, (socklen_t)room < len ? (size_t)room : len) != 0)
        return -EFAULT;
    return nst_run_target_write(call->tid, to_len, &len, sizeof len);
}

bool nst_run_host_loopback(const struct nst_run_supervisor *s)
{
    return s->host_loopback;
}

int nst_run_place_socket(const struct nst_run_supervisor *s)
{
    return s->place;
}

/* ---- From a notification to a handler ------------------------------------------------------ */

static nst_run_handler *find_handler(int nr)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(HANDLERS); i++)
        if (HANDLERS[i].nr == nr)
            return HANDLERS[i].handler;
    return nst_run_call_continue;
}

static void handle(struct nst_run_call *call)
{
    drop_older(call, call->nr);
    if (!tell_given(call))
        find_handler(call->nr)(call);
}

/* Finds out whose descriptor it is; what isn't ours stays the kernel's. */
static void begin(struct nst_run_call *call)
{
    struct nst_run_supervisor *s = call->supervisor;

    if (call->nr == SYS_socket) {
        handle(call);
        return;
    }
    call->fd = nst_run_target_fd(&s->pidfds, call->tid, (int)call->args[0]);
    if (call->fd == -EMFILE || call->fd == -ENFILE) /* ours: we can't tell, so it can't be done */
        nst_run_call_return(call, -ENFILE);
    else if (call->fd < 0 || nst_client_identify(call->fd, &call->name) != 0)
        nst_run_call_continue(call);
    else
        handle(call);
}

static void refuse(struct nst_run_supervisor *s, uint64_t id, int err)
{
    struct seccomp_notif_resp resp = {.id = id, .error = err};

    (void)answer(s, &resp);
}

static void begin_call(struct nst_run_supervisor *s, const struct seccomp_notif *notif)
{
    struct nst_run_call *call = calloc(1, sizeof *call);

    if (!call) {
        refuse(s, notif->id, -ENOMEM);
        return;
    }
    call->supervisor = s;
    call->id = notif->id;
    call->tid = (pid_t)notif->pid;
    call->nr = notif->data.nr;
    call->fd = call->host_fd = call->given = -1;
    for (size_t i = 0; i < NST_RUN_ARGS; i++)
        call->args[i] = notif->data.args[i];
    nst_list_push_back(&s->calls, &call->node);
    nst_list_push_back(bucket_of(call), &call->by_tid);
    nst_list_init(&call->in_line);
    sweep_soon(s);
    if (tell_again(call))
        call_free(call);
    else
        begin(call);
}

static bool is_pending(int notify)
{
    struct pollfd pfd = {.fd = notify, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1 && pfd.revents & POLLIN;
}

/* To receive waits when there is nothing, so each is asked for first. */
static bool on_notify(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                      unsigned budget)
{
    struct nst_run_supervisor *s = source->arg;

    if (!(events & NST_LOOP_IN) && events & NST_LOOP_HUP) { /* nobody is left */
        nst_loop_stop(loop, 0);
        return false;
    }
    for (; budget > 0 && is_pending(source->fd); budget--) {
        memset(s->notif, 0, s->notif_len);
        if (ioctl(source->fd, SECCOMP_IOCTL_NOTIF_RECV, s->notif) == 0)
            begin_call(s, s->notif);
    }
    return false;
}

/* ---- The supervisor's own life ------------------------------------------------------------- */

static int set_up(struct nst_run_supervisor *s, int notify, const char *name)
{
    struct seccomp_notif_sizes sizes;
    int err;

    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
        return -errno;
    s->notif_len = sizes.seccomp_notif;
    if (!(s->notif = calloc(1, s->notif_len)))
        return -ENOMEM;
    s->notify = (struct nst_loop_fd){.fn = on_notify, .arg = s};
    s->sweep = (struct nst_loop_timer){.fn = on_sweep, .arg = s};
    if ((err = nst_loop_new(&s->loop, NULL)) != 0 ||
        (err = nst_client_conn_new(&s->conn, s->loop, name)) != 0)
        return err;
    /* The caller sleeps until the answer, so both may as well share a processor, which saves waking
     * another. Older kernels don't know it. */
    (void)ioctl(notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    return nst_loop_fd_add(s->loop, &s->notify, notify, NST_LOOP_IN);
}

static void tear_down(struct nst_run_supervisor *s)
{
    NST_LIST_FOREACH_SAFE (e, &s->calls)
        call_free(NST_CONTAINER(e, struct nst_run_call, node));
    nst_client_conn_free(s->conn);
    if (s->loop)
        nst_loop_free(s->loop);
    free(s->notif);
}

int nst_run_supervise(int notify, int place, const char *name, bool host_loopback)
{
    static struct nst_run_supervisor s;
    struct rlimit files;

    nst_list_init(&s.calls);
    for (size_t i = 0; i < BUCKETS; i++) {
        nst_list_init(&s.by_tid[i]);
        nst_list_init(&s.lines[i]);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* one for each call that is parked */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    s.place = place;
    s.host_loopback = host_loopback;
    int err = set_up(&s, notify, name);
    if (!err)
        err = nst_loop_run(s.loop);
    tear_down(&s);
    return err;
}
