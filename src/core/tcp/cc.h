/* Congestion control: a small table of functions for each algorithm, chosen per socket.
 *
 * The machinery around it (what is lost, when recovery begins and ends) belongs to recovery.c; an
 * algorithm only decides how the window grows and shrinks. All windows are in bytes; growth is
 * counted in bytes acknowledged, never in ACKs (RFC 3465, RFC 9438), so that dividing an ACK gains
 * nothing. No floating point. */
#ifndef NST_TCP_CC_H
#define NST_TCP_CC_H

#include "core/base/timer.h"
#include "netstack/netstack.h"

#define NST_CC_STATE_BYTES 64
#define NST_CC_KEPT_WORDS  2

/* What algorithms see and change of a connection. */
struct nst_cc {
    const struct nst_cc_ops *ops;
    uint32_t mss;           /* payload of a full segment now, bytes: 48 to 65,535 */
    uint32_t cwnd;          /* bytes, at least one mss */
    uint32_t ssthresh;      /* bytes; UINT32_MAX at the start */
    uint32_t cwnd_cnt;      /* what was acknowledged but has not grown cwnd yet; the algorithm's */
    uint32_t cwnd_max;      /* a limit of the owner's; UINT32_MAX: none */
    nst_time now;           /* set by the caller before each call */
    nst_time srtt, min_rtt; /* 0: not measured yet */
    uint32_t kept[NST_CC_KEPT_WORDS]; /* what the algorithm wants to remember while at rest */
    bool cwnd_limited; /* the window, not the application or the peer, held the last flight back */
    uint64_t state[NST_CC_STATE_BYTES / 8]; /* the algorithm's own; zeroed before `init` */
};

/* What remains of it while nothing moves. */
struct nst_cc_kept {
    const struct nst_cc_ops *ops;
    uint32_t cwnd, ssthresh;
    uint32_t kept[NST_CC_KEPT_WORDS];
};

struct nst_cc_ops {
    const char *name; /* as in TCP_CONGESTION */
    /* The connection begins, or goes on after a rest: then `kept` is what `rest` left there, else
     * zero. */
    void (*init)(struct nst_cc *cc);
    /* Nothing moves for a while: all but cwnd, ssthresh and `kept` will be gone. */
    void (*rest)(struct nst_cc *cc);
    /* A cumulative ACK for new data outside fast recovery, of `acked` bytes, `rtt` after they were
     * sent (0: that is not known). After a timeout `acked` is only what this ACK newly reports:
     * what SACK told before doesn't count, and without SACK no more than one mss does (RFC 3465
     * §2.3). */
    void (*acked)(struct nst_cc *cc, uint32_t acked, nst_time rtt);
    /* The window after a loss that begins fast recovery, or ECN: returns the new ssthresh; `flight`
     * is what is out, bytes. Changes nothing else but its own state, and keeps what that was for
     * `undo`. At a timeout the caller asks for it too, but not again when the same segment times
     * out again (RFC 5681 §3.1). */
    uint32_t (*ssthresh)(struct nst_cc *cc, uint32_t flight);
    /* A retransmission timeout happened; cwnd, to one mss, and ssthresh are set already. */
    void (*timeout)(struct nst_cc *cc);
    /* The reduction was unnecessary: cwnd and ssthresh are restored already. */
    void (*undo)(struct nst_cc *cc);
    /* Sending begins again after nothing was out for `idle`. The window stays: whoever wants it
     * smaller calls nst_cc_slow_start_restart() besides. */
    void (*restart)(struct nst_cc *cc, nst_time idle);
};

extern const struct nst_cc_ops nst_cc_newreno; /* RFC 5681, "reno" */
extern const struct nst_cc_ops nst_cc_cubic;   /* RFC 9438, "cubic" */

/* The algorithm called `name`; NULL if there is none. */
const struct nst_cc_ops *nst_cc_find(const char *name);

/* Congestion control begins to work, from what was kept and with an mss of `mss`, and rests. */
void nst_cc_begin(struct nst_cc *cc, const struct nst_cc_kept *kept, uint32_t mss, nst_time now);
void nst_cc_rest(struct nst_cc *cc, struct nst_cc_kept *kept);

/* Every name, for the owner's information: NULL past the last. */
const char *nst_cc_name(size_t index);

/* The initial window for this mss, bytes (6928-1): ten segments, or fewer large ones: as many
 * as 14,600 bytes hold, at least two. */
uint32_t nst_cc_initial_window(uint32_t mss);

/* After a connection was idle for longer than its timeout: back to the initial window (RFC 5681
 * §4.1). */
void nst_cc_slow_start_restart(struct nst_cc *cc);

/* For the algorithms. */

/* Slow start, as far as `acked` bytes lead towards ssthresh. Returns how many of them are left for
 * congestion avoidance; an ACK for more than a whole window counts as one for a window. */
uint32_t nst_cc_slow_start(struct nst_cc *cc, uint32_t acked);

/* The window grows by so many bytes: not beyond the owner's limit, nor the 1 GiB that is the
 * largest window a peer can offer (RFC 7323 §2.3). */
void nst_cc_grow(struct nst_cc *cc, uint32_t bytes);

#endif
