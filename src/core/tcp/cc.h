/* Congestion control: a small table of functions for each algorithm, chosen per socket.
 *
 * The machinery around it (what is lost, when recovery begins and ends) belongs to recovery.c; an
 * algorithm only decides how the window grows and shrinks. All windows are in bytes; growth is
 * counted in bytes acknowledged, never in ACKs (RFC 3465, RFC 9438), so that dividing an ACK gains
 * nothing. No floating point. */
#ifndef NST_TCP_CC_H
#define NST_TCP_CC_H

#include "core/base/seq.h"
#include "core/base/timer.h"
#include "netstack/netstack.h"

#define NST_CC_STATE_BYTES 88
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
    nst_seq una, nxt;                 /* what is out */
    bool cwnd_limited; /* the window, not the application or the peer, held the last flight back */
    bool hystart;      /* slow start may end before there is a loss (RFC 9406) */
    bool sack;         /* all losses of a flight are known, not one in a round trip */
    bool paced;        /* what is sent goes out evenly (pace.h) */
    bool probing_rtt;  /* output: what is out is kept small on purpose */
    uint64_t pacing_rate; /* output, bytes a second; 0: as the window is worth, if paced at all */
    void *model; /* `model_bytes` of the algorithm's own, zeroed before `init`; NULL if that is 0 */
    uint64_t state[NST_CC_STATE_BYTES / 8]; /* the same, for what needs little */
};

/* What an ACK tells, for algorithms that model the path (rate.h has the terms). Bytes. */
struct nst_cc_sample {
    uint64_t delivered;       /* ever, by now */
    uint64_t prior_delivered; /* when the newest segment that it reports was sent */
    uint64_t rate;            /* delivered a second, in between; 0: no measure */
    nst_time rtt;             /* the least of what it reports; 0: no measure */
    uint32_t acked;           /* newly, by SACK too */
    uint32_t newly_lost;      /* marked so because of it */
    uint32_t in_flight;       /* after it */
    uint32_t tx_in_flight;    /* just after that segment was sent */
    uint32_t lost;            /* of all, since then */
    bool has_data;            /* it reports something: prior_delivered and below are valid */
    bool app_limited;         /* that segment was sent when there was too little to send */
    bool recovery;            /* in fast recovery, or after a timeout */
};

/* A segment is thought to be lost. Bytes. */
struct nst_cc_loss {
    uint64_t delivered;       /* ever, by now */
    uint64_t prior_delivered; /* when it was sent */
    uint32_t bytes;           /* of the segment */
    uint32_t tx_in_flight;    /* just after it was sent */
    uint32_t lost;            /* since then, with it */
    bool app_limited;         /* when it was sent */
};

/* What remains of it while nothing moves. */
struct nst_cc_kept {
    uint32_t cwnd, ssthresh;
    uint32_t kept[NST_CC_KEPT_WORDS];
    uint8_t number; /* enum nst_cc_number */
};

enum nst_cc_number {
    NST_CC_CUBIC,
    NST_CC_NEWRENO,
    NST_CC_BBR,
};

struct nst_cc_ops {
    const char *name; /* as in TCP_CONGESTION */
    uint8_t number;   /* enum nst_cc_number */
    size_t model_bytes;
    /* The connection begins, or goes on after a rest: then `kept` is what `rest` left there, else
     * zero. */
    void (*init)(struct nst_cc *cc);
    /* Nothing moves for a while: all but cwnd, ssthresh and `kept` will be gone. */
    void (*rest)(struct nst_cc *cc);
    /* Takes each ACK that reports something, after all else, and sets cwnd and pacing_rate: then
     * nobody else sets them, in fast recovery neither. NULL: the window follows from the others. */
    void (*control)(struct nst_cc *cc, const struct nst_cc_sample *sample);
    /* A segment has been marked as lost. May be NULL. */
    void (*lost)(struct nst_cc *cc, const struct nst_cc_loss *loss);
    /* A cumulative ACK for new data outside fast recovery, of `acked` bytes, `rtt` after they were
     * sent (0: that is not known). After a timeout `acked` is only what this ACK newly reports:
     * what SACK told before doesn't count, and without SACK no more than one mss does (RFC 3465
     * §2.3). */
    void (*acked)(struct nst_cc *cc, uint32_t acked, nst_time rtt); /* NULL with `control` */
    /* The window after a loss that begins fast recovery, or ECN: returns the new ssthresh; `flight`
     * is what is out, bytes. Changes nothing else but its own state, and keeps what that was for
     * `undo`. At a timeout the caller asks for it too, but not again when the same segment times
     * out again (RFC 5681 §3.1). */
    uint32_t (*ssthresh)(struct nst_cc *cc, uint32_t flight);
    /* A retransmission timeout happened; cwnd, to one mss, and ssthresh are set already. */
    void (*timeout)(struct nst_cc *cc);
    /* Fast recovery, or that after a timeout, is over. NULL where that is no matter. */
    void (*recovered)(struct nst_cc *cc);
    /* The reduction was unnecessary: cwnd and ssthresh are restored already. */
    void (*undo)(struct nst_cc *cc);
    /* Sending begins again after nothing was out for `idle`. The window stays: whoever wants it
     * smaller calls nst_cc_slow_start_restart() besides. */
    void (*restart)(struct nst_cc *cc, nst_time idle);
};

extern const struct nst_cc_ops nst_cc_newreno; /* RFC 5681, "reno" */
extern const struct nst_cc_ops nst_cc_cubic;   /* RFC 9438, "cubic" */
extern const struct nst_cc_ops nst_cc_bbr;     /* draft-ietf-ccwg-bbr, "bbr" */

/* The algorithm called `name`; NULL if there is none. */
const struct nst_cc_ops *nst_cc_find(const char *name);

/* That of a connection, at work or not. */
const struct nst_cc_ops *nst_cc_of(const struct nst_cc_kept *kept);

/* Congestion control begins to work from what was kept, except for what changes from call to call
 * and `init`, which are the caller's to do; and rests. `model` is there already. */
void nst_cc_begin(struct nst_cc *cc, const struct nst_cc_kept *kept);
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
