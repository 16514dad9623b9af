/* The table of lent sockets, and how the daemon learns that a program has gone.
 *
 * A connection's end tells of the program's: HUP. A socket without one - not connected yet, or
 * listening, or for datagrams - has nothing of the daemon's that would notice. Its name has: as
 * long as the program's file lives, nobody can bind to that name. So those are *idle*, and from
 * time to time somebody tries to: when a port is wanted that one of them has, or a SYN comes for
 * it, soon after a client of the same user has gone or said that a program did, and a few in every
 * second. A try costs what a message does, so nobody makes the daemon try more often than a share
 * of its time allows. */
#include "daemon/lent.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/log.h"
#include "daemon/thread.h"

#define LENT_MAX         16384 /* of all users */
#define DESCRIPTORS_KEPT 512   /* for clients, the device and the rest */
#define SLOW_NS          NST_LOOP_SECOND
#define SLOW_BATCH       64
#define SOON_NS          (20 * NST_LOOP_MSEC) /* a process that ends closes one file after the other */
#define SOON_AGAIN       (10 * NST_LOOP_MSEC)
#define SOON_BATCH       256
#define SCAN_PER_MESSAGE 64    /* of which the port is looked at, in the time of a message */
#define QUEUE_LEN        "512" /* datagrams that wait for a program */

struct nst_lender {
    struct nst_daemon *daemon;
    uint32_t epoch;
    struct nst_lent **slots;
    uint32_t nslots, count, next_free;
    uint32_t descriptors, descriptors_max;
    struct nst_list idle;
    uint32_t nidle;
    struct nst_accounts accounts;
    struct nst_loop_timer sweep;
    pthread_mutex_t asking; /* whether a program is there: who asks holds its name meanwhile */
    int probes[NST_UP_QUEUES]
              [2]; /* each queue's for datagrams and streams, bound to nothing; -1: none */
    int home_fd;   /* the network namespace that the daemon came from; -1: it never left */
};

/* ---- Names ----------------------------------------------------------------------------------- */

static struct nst_ipc_sockname program_name(const struct nst_lent *lent)
{
    return (struct nst_ipc_sockname){
        .kind = NST_IPC_NAME_PROGRAM, .protocol = lent->protocol, .token = lent->token};
}

socklen_t nst_lent_program(const struct nst_lent *lent, struct sockaddr_un *out)
{
    const struct nst_ipc_sockname name = program_name(lent);

    return nst_ipc_name_emit(&name, out);
}

bool nst_lent_is_program(const struct nst_lent *lent, const struct sockaddr_un *addr, socklen_t len)
{
    struct sockaddr_un own;

    return nst_lent_program(lent, &own) == len && memcmp(&own, addr, len) == 0;
}

int nst_lent_socket(int type, const struct nst_ipc_sockname *name)
{
    struct sockaddr_un addr;
    socklen_t len = nst_ipc_name_emit(name, &addr);
    /* syscall: socket */
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* syscall: bind */
    if (bind(fd, (const struct sockaddr *)&addr, len) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* The socket that tries is kept, until it succeeds. */
static bool is_name_free(const struct nst_lent *lent, struct nst_queue *q)
{
    int type = lent->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    int *probe = &q->daemon->lender->probes[q->index][type == SOCK_STREAM];
    struct sockaddr_un addr;
    socklen_t len = nst_lent_program(lent, &addr);

    if (*probe < 0)
        *probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (*probe < 0 || bind(*probe, (const struct sockaddr *)&addr, len) != 0)
        return false; /* EADDRINUSE; or no descriptor left to ask with */
    close(*probe);
    *probe = -1;
    return true;
}

bool nst_lent_is_alive(const struct nst_lent *lent, struct nst_queue *q)
{
    struct nst_lender *lender = q->daemon->lender;

    pthread_mutex_lock(&lender->asking);
    bool alive = !is_name_free(lent, q);
    pthread_mutex_unlock(&lender->asking);
    return alive;
}

/* ---- Who has gone ---------------------------------------------------------------------------- */

static void watch_soon(struct nst_account *account, bool idle)
{
    account->nidle += idle ? 1 : UINT32_MAX;
    account->soon = nst_min32(account->soon, account->nidle);
}

void nst_lent_watch(struct nst_lent *lent, bool idle)
{
    struct nst_lender *lender = lent->daemon->lender;

    if (nst_list_linked(&lent->idle) == idle)
        return;
    nst_list_del(&lent->idle);
    nst_list_del(&lent->own_idle);
    lender->nidle += idle ? 1 : UINT32_MAX;
    watch_soon(lent->account, idle);
    if (!idle)
        return;
    nst_list_push_back(&lender->idle, &lent->idle);
    nst_list_push_back(&lent->account->idle, &lent->own_idle);
    if (!lender->sweep.loop)
        nst_loop_timer_after(lent->daemon->loop, &lender->sweep, SLOW_NS);
}

static struct nst_lent *idle_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_lent, idle);
}

/* It goes to the end of both lists, or to its own. */
static void examine(struct nst_lent *lent)
{
    struct nst_lender *lender = lent->daemon->lender;

    nst_list_del(&lent->idle);
    nst_list_push_back(&lender->idle, &lent->idle);
    nst_list_del(&lent->own_idle);
    nst_list_push_back(&lent->account->idle, &lent->own_idle);
    if (!nst_lent_is_alive(lent, lent->daemon->home))
        nst_lent_free(lent);
}

/* The account's next ones, as many as that if there are. Returns how many. */
static uint32_t examine_some(struct nst_account *account, uint32_t max)
{
    uint32_t n = nst_min32(max, account->nidle), done = 0;

    for (; done < n && !nst_list_empty(&account->idle); done++)
        examine(NST_CONTAINER(account->idle.next, struct nst_lent, own_idle));
    return done;
}

/* A few of all. */
static void on_slow_sweep(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_lender *lender = timer->arg;

    for (uint32_t n = nst_min32(SLOW_BATCH, lender->nidle); n > 0 && lender->nidle > 0; n--)
        examine(idle_of(lender->idle.next));
    if (lender->nidle > 0)
        nst_loop_timer_after(loop, timer, SLOW_NS);
}

/* All of one user, many at a time. */
static void on_sweep(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_account *account = timer->arg;
    uint32_t batch = nst_min32(account->soon, SOON_BATCH);

    account->soon -= batch;
    (void)examine_some(account, batch);
    if (account->soon > 0)
        nst_loop_timer_after(loop, timer, SOON_AGAIN);
}

void nst_lender_sweep(struct nst_lender *lender, struct nst_account *account)
{
    account->soon = account->nidle;
    if (account->soon && !account->sweep.loop)
        nst_loop_timer_after(lender->daemon->loop, &account->sweep, SOON_NS);
}

static void charge(const struct nst_lender *lender, struct nst_account *account, uint64_t n)
{
    (void)nst_account_charge(account, n, nst_loop_now(lender->daemon->loop));
}

void nst_lender_make_room(struct nst_lender *lender, struct nst_account *account)
{
    charge(lender, account, examine_some(account, SLOW_BATCH));
}

bool nst_lender_clear_port(struct nst_lent *for_whom, uint16_t port)
{
    struct nst_lender *lender = for_whom->daemon->lender;
    struct nst_sock_info info;
    bool any = false;

    charge(lender, for_whom->account, lender->nidle / SCAN_PER_MESSAGE);
    NST_LIST_FOREACH_SAFE (e, &lender->idle) {
        struct nst_lent *lent = idle_of(e);
        if (lent == for_whom || lent->protocol != for_whom->protocol || !lent->sock)
            continue;
        nst_queue_visit(lent->queue);
        if (nst_info(lent->queue->stack, lent->sock, &info) != 0 || info.local.port != port ||
            nst_lent_is_alive(lent, lender->daemon->home))
            continue;
        nst_lent_free(lent);
        any = true;
    }
    return any;
}

/* ---- Accounts -------------------------------------------------------------------------------- */

static void recount(struct nst_lent *lent)
{
    if (lent->protocol == IPPROTO_TCP)
        nst_lent_stream_recount(lent);
    else
        nst_lent_dgram_recount(lent);
}

/* Something of the user's may have drained: those that wait for that go on. */
static void on_recount(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_account *account = timer->arg;
    struct nst_lender *lender = NST_CONTAINER(account->accounts, struct nst_lender, accounts);
    bool full = nst_account_is_full(account);

    (void)loop;
    for (uint32_t i = 0; i < lender->nslots; i++)
        if (lender->slots[i] && lender->slots[i]->account == account)
            recount(lender->slots[i]);
    if (full) /* some waited still when the last of these made room */
        nst_account_recount(account);
}

struct nst_account *nst_lender_account(struct nst_lender *lender, const struct nst_ipc_peer *peer)
{
    const struct nst_daemon *d = lender->daemon;

    return nst_account_hold(&lender->accounts, &d->config, nst_ipc_peer_cred(peer)->uid,
                            nst_ipc_peer_is_owner(peer), nst_loop_now(d->loop));
}

uint64_t nst_lender_reached(const struct nst_lender *lender, enum nst_quota quota)
{
    return lender->accounts.reached[quota];
}

/* ---- The table ------------------------------------------------------------------------------- */

static bool slots_grow(struct nst_lender *lender)
{
    uint32_t n = lender->nslots ? 2 * lender->nslots : 64;
    struct nst_lent **slots = reallocarray(lender->slots, n, sizeof(struct nst_lent *));

    if (!slots)
        return false;
    memset(slots + lender->nslots, 0, (n - lender->nslots) * sizeof(struct nst_lent *));
    lender->slots = slots;
    lender->next_free = lender->nslots;
    lender->nslots = n;
    return true;
}

static uint32_t slot_find(struct nst_lender *lender)
{
    while (lender->slots[lender->next_free])
        lender->next_free = (lender->next_free + 1) % lender->nslots;
    return lender->next_free;
}

/* ---- Descriptors of our own ------------------------------------------------------------------ */

/* The other end of a stream, or the door to it; of the others two: see lentdgram.c. */
static uint32_t descriptors_for(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? 1 : 2;
}

/* All but some are for lent sockets, and half of those for one user. */
static uint32_t find_descriptors_max(void)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    uint64_t max = nst_min(limit.rlim_cur, UINT32_MAX);
    return (uint32_t)nst_max(max / 2, max - nst_min(max, DESCRIPTORS_KEPT));
}

/* 0, -ENFILE (of all users) or -EMFILE (of this one). */
static int check_descriptors(const struct nst_lender *lender, const struct nst_account *account,
                             uint32_t n)
{
    if (lender->descriptors + n > lender->descriptors_max)
        return -ENFILE;
    return account->owner || account->descriptors + n <= lender->descriptors_max / 2 ? 0 : -EMFILE;
}

static void count_descriptors(struct nst_lent *lent, uint32_t n)
{
    lent->account->descriptors += n;
    lent->daemon->lender->descriptors += n;
}

bool nst_lent_take_descriptor(struct nst_lent *lent)
{
    if (check_descriptors(lent->daemon->lender, lent->account, 1) != 0)
        return false;
    count_descriptors(lent, 1);
    return true;
}

void nst_lent_give_descriptor(struct nst_lent *lent)
{
    count_descriptors(lent, UINT32_MAX);
}

/* ---- New ones, and their end ----------------------------------------------------------------- */

static int check_limits(const struct nst_daemon *d, const struct nst_account *account,
                        uint8_t protocol)
{
    if (d->lender->count >= LENT_MAX)
        return -ENFILE;
    if (!account->owner && account->sockets >= account->person->sockets)
        return -EMFILE;
    return check_descriptors(d->lender, account, descriptors_for(protocol));
}

int nst_lent_new(struct nst_lent **out, struct nst_daemon *d, struct nst_account *account,
                 uint8_t protocol, pid_t pid)
{
    struct nst_lender *lender = d->lender;
    int err = check_limits(d, account, protocol);

    if (err)
        return err;
    struct nst_lent *lent = calloc(1, sizeof *lent);
    if (!lent || (lender->count == lender->nslots && !slots_grow(lender))) {
        free(lent);
        return -ENOMEM;
    }
    lent->daemon = d;
    lent->queue = d->home;
    lent->errand.run = nst_lent_stream_attend;
    nst_list_init(&lent->errand.node);
    lent->account = lent->share.account = account;
    account->holds++;
    lent->protocol = protocol;
    lent->pid = pid;
    lent->token.epoch = lender->epoch;
    lent->token.id = slot_find(lender);
    /* syscall: getrandom */
    if (getrandom(lent->token.secret, sizeof lent->token.secret, 0) < 0)
        abort(); /* cannot fail for 16 bytes once the system has booted */
    nst_list_init(&lent->idle);
    nst_list_init(&lent->own_idle);
    lender->slots[lent->token.id] = lent;
    lender->count++;
    d->nsockets++;
    account->sockets++;
    count_descriptors(lent, descriptors_for(protocol));
    if (protocol == IPPROTO_TCP)
        nst_lent_stream_init(lent);
    else if ((err = nst_lent_dgram_init(lent)))
        nst_lent_free(lent);
    *out = err ? NULL : lent;
    return err;
}

void nst_lent_free(struct nst_lent *lent)
{
    struct nst_lender *lender = lent->daemon->lender;

    nst_queue_visit(lent->queue);
    nst_errand_cancel(&lent->errand);
    if (lent->protocol == IPPROTO_TCP)
        nst_lent_stream_fini(lent);
    else
        nst_lent_dgram_fini(lent);
    if (lent->sock)
        nst_close(lent->queue->stack, lent->sock);
    nst_lent_watch(lent, false);
    lender->slots[lent->token.id] = NULL;
    lender->count--;
    lent->daemon->nsockets--;
    lent->account->sockets--;
    count_descriptors(lent, 0u - descriptors_for(lent->protocol));
    (void)nst_share_set(&lent->share, 0);
    if (nst_account_is_full(lent->account)) /* its errand may have been to say so */
        nst_account_recount(lent->account);
    nst_account_release(lent->account);
    free(lent);
}

/* In a time that does not tell how much of the secret was right. */
static bool is_same(const struct nst_ipc_token *a, const struct nst_ipc_token *b)
{
    uint8_t differ = 0;

    for (size_t i = 0; i < sizeof a->secret; i++)
        differ |= a->secret[i] ^ b->secret[i];
    return differ == 0;
}

int nst_lent_find(struct nst_lent **out, struct nst_lender *lender, const struct nst_ipc_peer *peer,
                  const struct nst_ipc_token *token)
{
    struct nst_lent *lent = nst_lent_numbered(lender, token->id);

    if (token->epoch != lender->epoch)
        return -ENETDOWN;
    if (!lent || !is_same(&lent->token, token))
        return -ENOTCONN;
    if (lent->account->uid != nst_ipc_peer_cred(peer)->uid && !nst_ipc_peer_is_owner(peer))
        return -EPERM;
    *out = lent;
    return 0;
}

int nst_lent_restrict(struct nst_lent *lent)
{
    const struct nst_account *account = lent->account;
    struct nst_stack *stack = lent->queue->stack;
    const struct nst_sockaddr only = {.addr = account->person->addr};
    struct nst_sock_info info;

    if (account->owner || !nst_addr_is_set(&only.addr) || nst_info(stack, lent->sock, &info) != 0 ||
        info.local.port != 0)
        return 0;
    return nst_bind(stack, lent->sock, &only);
}

struct nst_lent *nst_lent_numbered(const struct nst_lender *lender, uint32_t id)
{
    return id < lender->nslots ? lender->slots[id] : NULL;
}

const struct nst_lent *nst_lent_of_cookie(uint64_t cookie)
{
    const struct nst_handler *h = (const struct nst_handler *)(uintptr_t)cookie;

    if (h->ready != nst_lent_stream_ready && h->ready != nst_lent_dgram_ready)
        return nst_lent_of_twin(h);
    return NST_CONTAINER(h, const struct nst_lent, handler);
}

/* ---- The private network namespace ----------------------------------------------------------- */

static void raise_queue_len(void)
{
    int fd = open("/proc/sys/net/unix/max_dgram_qlen", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, QUEUE_LEN, sizeof QUEUE_LEN - 1) < 0)
        nst_log(NST_UP_LOG_DEBUG, "programs' queues for datagrams stay short: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

void nst_lender_hide(struct nst_lender *lender)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home >= 0 && unshare(CLONE_NEWNET) == 0) {
        lender->home_fd = home;
        raise_queue_len();
        return;
    }
    nst_log(NST_UP_LOG_DEBUG, "programs' sockets are not in a namespace of their own: %s",
            strerror(errno));
    if (home >= 0)
        close(home);
}

void nst_lender_unhide(struct nst_lender *lender)
{
    if (!lender || lender->home_fd < 0)
        return;
    if (setns(lender->home_fd, CLONE_NEWNET) != 0)
        nst_log(NST_UP_LOG_DEBUG, "cannot go back: %s", strerror(errno));
    close(lender->home_fd);
    lender->home_fd = -1;
}

/* ---- The lender ------------------------------------------------------------------------------ */

int nst_lender_new(struct nst_lender **out, struct nst_daemon *d)
{
    struct nst_lender *lender = calloc(1, sizeof *lender);

    if (!lender)
        return -ENOMEM;
    lender->daemon = d;
    lender->home_fd = -1;
    memset(lender->probes, -1, sizeof lender->probes);
    pthread_mutex_init(&lender->asking, NULL);
    lender->descriptors_max = find_descriptors_max();
    lender->sweep = (struct nst_loop_timer){.fn = on_slow_sweep, .arg = lender};
    nst_list_init(&lender->idle);
    nst_accounts_init(&lender->accounts, d->loop, on_sweep, on_recount);
    if (getrandom(&lender->epoch, sizeof lender->epoch, 0) < 0)
        abort();
    *out = lender;
    return 0;
}

void nst_lender_free(struct nst_lender *lender)
{
    if (!lender)
        return;
    for (uint32_t i = 0; i < lender->nslots; i++)
        if (lender->slots[i])
            nst_lent_free(lender->slots[i]);
    nst_accounts_fini(&lender->accounts);
    nst_loop_timer_stop(&lender->sweep);
    for (size_t i = 0; i < NST_ARRAY_LEN(lender->probes); i++)
        for (size_t j = 0; j < NST_ARRAY_LEN(lender->probes[i]); j++)
            if (lender->probes[i][j] >= 0)
                close(lender->probes[i][j]);
    pthread_mutex_destroy(&lender->asking);
    free(lender->slots);
    free(lender);
}
