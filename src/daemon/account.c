#include "daemon/account.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/bytes.h"
#include "daemon/policy.h"

#define MESSAGE     INT64_C(1000000000)   /* of credit: so a rate is credit for each ns */
#define SAVINGS_NS  (125 * NST_LOOP_MSEC) /* of credit may be used at once */
#define DEBT_MAX_NS NST_LOOP_SECOND       /* what goes beyond is remitted */

const char *nst_quota_name(enum nst_quota quota)
{
    static const char *const names[] = {
        [NST_QUOTA_SOCKETS] = "quota.sockets",       [NST_QUOTA_LISTENERS] = "quota.listeners",
        [NST_QUOTA_CONNECTING] = "quota.connecting", [NST_QUOTA_MESSAGES] = "quota.messages",
        [NST_QUOTA_BUFFERS] = "quota.buffers",
    };

    return names[quota];
}

/* ---- Messages -------------------------------------------------------------------------------- */

static int64_t savings_max(const struct nst_account *account)
{
    return (int64_t)(account->person->messages * SAVINGS_NS);
}

static void earn(struct nst_account *account, uint64_t now_ns)
{
    uint64_t past_ns = nst_min(now_ns - account->credited_ns, DEBT_MAX_NS + SAVINGS_NS);

    account->credited_ns = now_ns;
    account->credit += (int64_t)(past_ns * account->person->messages);
    if (account->credit > savings_max(account))
        account->credit = savings_max(account);
}

uint64_t nst_account_charge(struct nst_account *account, uint64_t n, uint64_t now_ns)
{
    uint64_t rate = account->person->messages;
    int64_t debt_max = (int64_t)(rate * DEBT_MAX_NS);

    if (account->owner)
        return 0;
    earn(account, now_ns);
    account->credit -= (int64_t)nst_min(n, UINT32_MAX) * MESSAGE;
    if (account->credit >= 0)
        return 0;
    if (account->credit < -debt_max)
        account->credit = -debt_max;
    account->accounts->reached[NST_QUOTA_MESSAGES]++;
    return (uint64_t)-account->credit / rate + 1;
}

/* ---- What waits ------------------------------------------------------------------------------ */

static size_t buffered(const struct nst_account *account)
{
    return atomic_load_explicit(&account->buffered_bytes, memory_order_relaxed);
}

bool nst_account_is_full(const struct nst_account *account)
{
    return !account->owner && buffered(account) >= account->person->buffer_bytes;
}

size_t nst_share_room(const struct nst_share *share)
{
    const struct nst_account *account = share->account;
    size_t own = NST_SHARE_MIN - nst_min(share->bytes, NST_SHARE_MIN);

    if (account->owner)
        return SIZE_MAX;
    size_t max = account->person->buffer_bytes;
    return nst_max(own, max - nst_min(buffered(account), max));
}

/* Of several threads, only the one that crosses the line sees it crossed. */
bool nst_share_set(struct nst_share *share, size_t bytes)
{
    struct nst_account *account = share->account;
    size_t more = bytes - share->bytes; /* or less: it wraps */

    if (account->owner || more == 0)
        return false;
    size_t max = account->person->buffer_bytes;
    size_t before = atomic_fetch_add_explicit(&account->buffered_bytes, more, memory_order_relaxed);
    share->bytes = bytes;
    if (before >= max || before + more < max)
        return false;
    account->accounts->reached[NST_QUOTA_BUFFERS]++;
    return true;
}

void nst_account_recount(struct nst_account *account)
{
    if (!account->recount.loop)
        nst_loop_timer_after(account->accounts->loop, &account->recount, NST_RECOUNT_NS);
}

/* ---- The rest -------------------------------------------------------------------------------- */

int nst_account_refuse(struct nst_account *account, enum nst_quota quota)
{
    account->accounts->reached[quota]++;
    return quota == NST_QUOTA_CONNECTING ? -EAGAIN : -EMFILE;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static struct nst_account *account_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_account, node);
}

static void account_free(struct nst_account *account)
{
    nst_loop_timer_stop(&account->sweep);
    nst_loop_timer_stop(&account->recount);
    nst_list_del(&account->node);
    free(account);
}

/* Nobody holds it, and whoever comes back finds nothing better in a new one. */
static bool is_over(struct nst_account *account, uint64_t now_ns)
{
    if (account->holds > 0)
        return false;
    earn(account, now_ns);
    return account->credit >= savings_max(account);
}

/* The account before which one with the least free number, `*number`, belongs. */
static struct nst_list *find_place(struct nst_accounts *accounts, uint32_t *number)
{
    *number = 1;
    NST_LIST_FOREACH (e, &accounts->list) {
        if (account_of(e)->number != *number)
            return e;
        ++*number;
    }
    return &accounts->list;
}

static struct nst_account *account_new(struct nst_accounts *accounts,
                                       const struct nst_up_config *config, uid_t uid, bool owner,
                                       uint64_t now_ns)
{
    struct nst_account *account = calloc(1, sizeof *account);

    if (!account)
        return NULL;
    account->accounts = accounts;
    account->uid = uid;
    account->owner = owner;
    account->person = nst_policy_of(config, uid);
    account->credit = savings_max(account);
    account->credited_ns = now_ns;
    account->sweep = (struct nst_loop_timer){.fn = accounts->sweep, .arg = account};
    account->recount = (struct nst_loop_timer){.fn = accounts->recount, .arg = account};
    nst_list_init(&account->idle);
    nst_list_push_back(find_place(accounts, &account->number), &account->node);
    return account;
}

struct nst_account *nst_account_hold(struct nst_accounts *accounts,
                                     const struct nst_up_config *config, uid_t uid, bool owner,
                                     uint64_t now_ns)
{
    struct nst_account *account = NULL;

    NST_LIST_FOREACH_SAFE (e, &accounts->list) {
        if (account_of(e)->uid == uid)
            account = account_of(e);
        else if (is_over(account_of(e), now_ns))
            account_free(account_of(e));
    }
    if (!account && !(account = account_new(accounts, config, uid, owner, now_ns)))
        return NULL;
    account->holds++;
    return account;
}

void nst_account_release(struct nst_account *account)
{
    if (account)
        account->holds--;
}

void nst_accounts_init(struct nst_accounts *accounts, struct nst_loop *loop,
                       nst_loop_timer_fn *sweep, nst_loop_timer_fn *recount)
{
    *accounts = (struct nst_accounts){.loop = loop, .sweep = sweep, .recount = recount};
    nst_list_init(&accounts->list);
}

void nst_accounts_fini(struct nst_accounts *accounts)
{
    NST_LIST_FOREACH_SAFE (e, &accounts->list)
        account_free(account_of(e));
}
