/* What a connection with something to send has spent its time on, as TCP_INFO tells it.
 *
 * At any moment it is one of: idle; busy; held back by the window that the peer offers; or by the
 * send buffer, which is all out while the owner would write more. Busy as it is told includes the
 * latter two. */
#ifndef NST_TCP_CHRONO_H
#define NST_TCP_CHRONO_H

#include "core/base/timer.h"

enum nst_chrono_kind {
    NST_CHRONO_IDLE,
    NST_CHRONO_BUSY,
    NST_CHRONO_RWND_LIMITED,
    NST_CHRONO_SNDBUF_LIMITED,
    NST_CHRONO_KINDS,
};

struct nst_chrono {
    nst_time since; /* when `kind` began */
    nst_time sum[NST_CHRONO_KINDS];
    uint8_t kind;
};

/* The sums of NST_CHRONO_BUSY and the two below it, in milliseconds, up to the last rest. */
struct nst_chrono_kept {
    uint32_t ms[NST_CHRONO_KINDS - 1];
};

struct nst_tcb;

/* What holds the connection back may have changed; while it is active. */
void nst_chrono_update(struct nst_tcb *t);

/* Its activity ends: the sums are kept. */
void nst_chrono_rest(struct nst_tcb *t);

/* Time spent so far, ns. */
nst_time nst_chrono_time(const struct nst_tcb *t, enum nst_chrono_kind kind);

#endif
