/* The table of lent sockets, and how the daemon learns that a program has gone.
 *
 * A connection's end tells of the program's: HUP. A socket without one - not connected yet, or
 * listening, or for datagrams - has nothing of the daemon's that would notice. Its name has: as
 * long as the program's file lives, nobody can bind to that name. So those are *idle*, and from
 * time to time somebody tries to: when a port is wanted that one of them has, soon after a client
 * has gone or said that a program did, and a few in every second. */
#include "daemon/lent.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "daemon/log.h"
#include "daemon/policy.h"
#include "daemon/thread.h"

#define LENT_MAX   16384 /* of all users */
#define SLOW_NS    NST_LOOP_SECOND
#define SLOW_BATCH 64
#define SOON_NS    (20 * NST_LOOP_MSEC) /* a process that ends closes one file after the other */
#define SOON_AGAIN (2 * NST_LOOP_MSEC)
#define SOON_BATCH 256
#define QUEUE_LEN  "512" /* datagrams that wait for a program */

struct nst_lender {
    struct nst_daemon *daemon;
    uint32_t epoch;
    struct nst_lent **slots;
    uint32_t nslots, count, next_free;
    struct nst_list idle, accounts;
    uint32_t naccounts;
    uint32_t nidle, soon; /* how many are idle, and to be looked at before the sweep slows down */
    struct nst_loop_timer sweep;
    int home_fd; /* the network namespace that the daemon came from; -1: it never left */
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

bool nst_lent_is_alive(const struct nst_lent *lent)
{
    const struct nst_ipc_sockname name = program_name(lent);
    int fd = nst_lent_socket(lent->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, &name);

    if (fd < 0)
        return true; /* EADDRINUSE; or no descriptor left to ask with */
    close(fd);
    return false;
}

/* ---- Who has gone ---------------------------------------------------------------------------- */

void nst_lent_watch(struct nst_lent *lent, bool idle)
{
    struct nst_lender *lender = lent->daemon->lender;

    if (nst_list_linked(&lent->idle) == idle)
        return;
    if (idle)
        nst_list_push_back(&lender->idle, &lent->idle);
    else
        nst_list_del(&lent->idle);
    lender->nidle += idle ? 1 : UINT32_MAX;
}

static struct nst_lent *idle_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_lent, idle);
}

/* The first of the list goes to its end, or to its own. */
static void examine_first(struct nst_lender *lender)
{
    struct nst_lent *lent = idle_of(lender->idle.next);

    nst_list_del(&lent->idle);
    nst_list_push_back(&lender->idle, &lent->idle);
    if (!nst_lent_is_alive(lent))
        nst_lent_free(lent);
}

/* The next ones, as many as that if there are. */
static void examine(struct nst_lender *lender, uint32_t n)
{
    for (n = nst_min32(n, lender->nidle); n > 0 && lender->nidle > 0; n--)
        examine_first(lender);
}

static void on_sweep(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    struct nst_lender *lender = timer->arg;
    uint32_t batch = nst_min32(lender->soon ? lender->soon : lender->nidle,
                               lender->soon ? SOON_BATCH : SLOW_BATCH);

    lender->soon -= nst_min32(lender->soon, batch);
    examine(lender, batch);
    if (lender->nidle > 0)
        nst_loop_timer_after(loop, timer, lender->soon ? SOON_AGAIN : SLOW_NS);
}

void nst_lender_sweep(struct nst_lender *lender)
{
    bool waiting = lender->soon > 0;

    lender->soon = lender->nidle;
    if (lender->soon && !waiting)
        nst_loop_timer_after(lender->daemon->loop, &lender->sweep, SOON_NS);
}

void nst_lender_make_room(struct nst_lender *lender)
{
    examine(lender, SLOW_BATCH);
}

bool nst_lender_clear_port(struct nst_lent *for_whom, uint16_t port)
{
    struct nst_lender *lender = for_whom->daemon->lender;
    struct nst_sock_info info;
    bool any = false;

    NST_LIST_FOREACH_SAFE (e, &lender->idle) {
        struct nst_lent *lent = idle_of(e);
        if (lent == for_whom || lent->protocol != for_whom->protocol || !lent->sock)
            continue;
        nst_queue_visit(lent->queue);
        if (nst_info(lent->queue->stack, lent->sock, &info) != 0 || info.local.port != port ||
            nst_lent_is_alive(lent))
            continue;
        nst_lent_free(lent);
        any = true;
    }
    return any;
}

/* ---- Accounts -------------------------------------------------------------------------------- */

struct nst_account *nst_account_of(struct nst_lender *lender, const struct nst_ipc_peer *peer)
{
    uid_t uid = nst_ipc_peer_cred(peer)->uid;

    NST_LIST_FOREACH (e, &lender->accounts) {
        struct nst_account *account = NST_CONTAINER(e, struct nst_account, node);
        if (account->uid == uid)
            return account;
    }
    struct nst_account *account = calloc(1, sizeof *account);
    if (account) {
        account->uid = uid;
        account->number = ++lender->naccounts;
        account->owner = nst_ipc_peer_is_owner(peer);
        account->person = nst_policy_of(&lender->daemon->config, uid);
        nst_list_push_back(&lender->accounts, &account->node);
    }
    return account;
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

static int check_limits(const struct nst_daemon *d, const struct nst_account *account)
{
    if (d->lender->count >= LENT_MAX)
        return -ENFILE;
    return account->owner || account->sockets < account->person->sockets ? 0 : -EMFILE;
}

int nst_lent_new(struct nst_lent **out, struct nst_daemon *d, struct nst_account *account,
                 uint8_t protocol, pid_t pid)
{
    struct nst_lender *lender = d->lender;
    int err = check_limits(d, account);

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
    lent->account = account;
    lent->protocol = protocol;
    lent->pid = pid;
    lent->token.epoch = lender->epoch;
    lent->token.id = slot_find(lender);
    /* syscall: getrandom */
    if (getrandom(lent->token.secret, sizeof lent->token.secret, 0) < 0)
        abort(); /* cannot fail for 16 bytes once the system has booted */
    nst_list_init(&lent->idle);
    lender->slots[lent->token.id] = lent;
    lender->count++;
    d->nsockets++;
    account->sockets++;
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
    lender->sweep = (struct nst_loop_timer){.fn = on_sweep, .arg = lender};
    nst_list_init(&lender->idle);
    nst_list_init(&lender->accounts);
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
    NST_LIST_FOREACH_SAFE (e, &lender->accounts)
        free(NST_CONTAINER(e, struct nst_account, node));
    nst_loop_timer_stop(&lender->sweep);
    free(lender->slots);
    free(lender);
}
