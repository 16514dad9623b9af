/* What one user of the host has of the instance, and may have: the quotas of the [User] sections.
 *
 * A user's sockets and clients hold his account; one that nobody holds goes when it has nothing to
 * remember any more. Sockets, listeners and connections that are being made are counted, and past
 * the number there is an error. Messages are a rate: past it the user's clients are read later.
 * What waits in sockets, in either direction, is a number of bytes: past it nothing more is read
 * from the user's programs, and the windows of their connections open no further, except that each
 * socket may always have a little, so that none waits for another for ever. The owner of the
 * instance has no quota.
 *
 * The main thread has all of this, but for what waits: that is counted in the threads of all
 * queues, which may let in together what any one of them was allowed. */
#ifndef NST_DAEMON_ACCOUNT_H
#define NST_DAEMON_ACCOUNT_H

#include <stdatomic.h>

#include "core/base/list.h"
#include "daemon/config.h"
#include "netstack/loop.h"

enum nst_quota {
    NST_QUOTA_SOCKETS,
    NST_QUOTA_LISTENERS,
    NST_QUOTA_CONNECTING,
    NST_QUOTA_MESSAGES,
    NST_QUOTA_BUFFERS,
    NST_QUOTAS,
};

#define NST_SHARE_MIN  4096                 /* what any socket may have waiting, bytes */
#define NST_RECOUNT_NS (50 * NST_LOOP_MSEC) /* between two looks at what is too much */

struct nst_accounts {
    struct nst_loop *loop;
    nst_loop_timer_fn *sweep, *recount;   /* of each, with the account as argument */
    struct nst_list list;                 /* by number */
    _Atomic uint64_t reached[NST_QUOTAS]; /* how often each quota was, by any user */
};

struct nst_account {
    struct nst_list node;
    struct nst_accounts *accounts;
    uid_t uid;
    uint32_t number; /* from 1 on; unique among those that are */
    uint32_t holds;
    bool owner; /* of the instance: no limits but the instance's; for good */
    const struct nst_up_person *person;
    uint32_t sockets, listeners, connecting;
    uint32_t descriptors; /* the daemon's, for all its sockets */
    struct nst_list idle; /* of its sockets, those whose programs can go unnoticed */
    uint32_t nidle, soon; /* how many, and how many of them are to be looked at soon */
    struct nst_loop_timer sweep;
    int64_t credit;                /* of messages, in billionths; negative: in debt */
    uint64_t credited_ns;          /* when that was so, nst_loop_clock() */
    _Atomic size_t buffered_bytes; /* by all its sockets */
    struct nst_loop_timer recount; /* soon, while they are too many */
};

/* The account's part that one socket has: its owner's memory, zero but for the account. */
struct nst_share {
    struct nst_account *account;
    size_t bytes;
};

void nst_accounts_init(struct nst_accounts *accounts, struct nst_loop *loop,
                       nst_loop_timer_fn *sweep, nst_loop_timer_fn *recount);
void nst_accounts_fini(struct nst_accounts *accounts);

/* The account of a user, held. A new one has the user's section of `config` or the defaults. NULL
 * without memory. */
struct nst_account *nst_account_hold(struct nst_accounts *accounts,
                                     const struct nst_up_config *config, uid_t uid, bool owner,
                                     uint64_t now_ns);
void nst_account_release(struct nst_account *account);

/* A quota was reached: counts it, and returns what a call gives for that. */
int nst_account_refuse(struct nst_account *account, enum nst_quota quota);

/* Takes `n` messages out of what the user may send, and tells how long he is to be silent now, in
 * ns; 0: he may go on. */
uint64_t nst_account_charge(struct nst_account *account, uint64_t n, uint64_t now_ns);

/* How many bytes more may wait in the socket that has this share. */
size_t nst_share_room(const struct nst_share *share);

/* That many wait there now. True: with them it has become too much, and the main thread is to be
 * told by nst_account_recount(). */
bool nst_share_set(struct nst_share *share, size_t bytes);

/* The account's `recount` is called soon, which is to find out whether there is room again. */
void nst_account_recount(struct nst_account *account);

/* Whether more waits in the user's sockets than may. */
bool nst_account_is_full(const struct nst_account *account);

/* As in the statistics. */
const char *nst_quota_name(enum nst_quota quota);

#endif
