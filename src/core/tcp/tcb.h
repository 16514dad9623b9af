/* The transmission control block, and what the files of this directory share (RFC 9293).
 *
 * A connection is one of three things in the table of flows, each as small as its state allows:
 *
 *     struct nst_tcp_req       a SYN was answered, the handshake isn't finished      (listen.c)
 *     struct nst_tcb           everything from SYN-SENT and ESTABLISHED to LAST-ACK
 *     struct nst_tcp_timewait  nothing is left but to guard the port pair            (timewait.c)
 *
 * The way in: nst_tcp_input_take() finds the flow; input.c follows the steps of RFC 9293 §3.10.7 in
 * their order, ack.c does what an acknowledgement means, scoreboard.c knows what was sent and what
 * of it arrived, recovery.c what is lost and how large the window is, with rack.c and tlp.c to find
 * losses, prr.c to pace what makes them good, and undo.c to find those that were none.
 *
 * The way out: nothing is ever queued. A connection that may have something to say stands on the
 * list `ready`; when the device has room, nst_tcp_output() asks output.c for one segment of it, as
 * large as it may be at that moment. So acknowledgements for a batch become one, and nothing that
 * is sent is stale.
 *
 * Up: a connection that changed for its owner stands on the list `changed`, which sock/ drains.
 *
 * Each connection has several deadlines and one timer, armed for the earliest or before (timers.c).
 */
#ifndef NST_TCP_TCB_H
#define NST_TCP_TCB_H

#include "core/base/bytes.h"
#include "core/base/seq.h"
#include "core/base/tree.h"
#include "core/ip/ip.h"
#include "core/tcp/cc.h"
#include "core/tcp/chrono.h"
#include "core/tcp/fastopen.h"
#include "core/tcp/metrics.h"
#include "core/tcp/pace.h"
#include "core/tcp/rate.h"
#include "core/tcp/reassembly.h"
#include "core/tcp/recvq.h"
#include "core/tcp/rtt.h"
#include "core/tcp/sendq.h"
#include "core/wire/tcp.h"

/* ---- Flows --------------------------------------------------------------------------------- */

/* The two ends of a connection. No padding: it is hashed as bytes. */
struct nst_flow_id {
    struct nst_addr local, peer;
    uint16_t lport, pport;
};

enum nst_flow_kind {
    NST_FLOW_TCB,
    NST_FLOW_REQ,
    NST_FLOW_TIMEWAIT,
};

struct nst_flow {
    struct nst_flow *next; /* in its bucket */
    struct nst_flow_id id;
    uint8_t kind : 4;   /* enum nst_flow_kind */
    uint8_t placed : 1; /* it stands in the table */
    uint8_t challenged; /* TIME-WAIT, which has no other room: when last, in ticks; 0: never */
};

/* ---- The connection -------------------------------------------------------------------------- */

/* Of the public enum nst_tcp_state, LISTEN is struct nst_tcp_listener, TIME-WAIT struct
 * nst_tcp_timewait; passive SYN-RECEIVED is struct nst_tcp_req, so that in a block it is
 * simultaneous open only. */

enum nst_tcp_deadline {
    NST_TCP_DL_RTO,    /* retransmission, or zero-window probe */
    NST_TCP_DL_REO,    /* what should have arrived by now, reordering included, is lost */
    NST_TCP_DL_PTO,    /* tail loss probe */
    NST_TCP_DL_DELACK, /* delayed acknowledgement */
    NST_TCP_DL_CORK,   /* a partial segment has been held back long enough */
    NST_TCP_DL_PACE,   /* pacing lets the next segment go */
    NST_TCP_DL_REST,   /* whether there is traffic still, or its state may go */
    NST_TCP_DLS_ACTIVE,
    NST_TCP_DL_WATCH = NST_TCP_DLS_ACTIVE, /* without traffic: keep-alive, the end of FIN-WAIT-2 */
};

/* One segment's worth of sequence space that is out, or was (scoreboard.c). */
struct nst_tcp_sent {
    struct nst_tree_node node;
    struct nst_list order; /* on the board's list while it is thought to be under way */
    nst_seq start, end;
    nst_time time;              /* of the last transmission */
    struct nst_rate_stamp rate; /* as of then */
    uint8_t flags;              /* enum nst_tcp_sent_flag */
};

enum nst_tcp_sent_flag {
    NST_SENT_SACKED = 1 << 0,
    NST_SENT_LOST = 1 << 1,
    NST_SENT_RETRANS = 1 << 2, /* sent again, and that copy is still out */
    NST_SENT_EVER = 1 << 3,    /* was sent again at some time (Karn) */
};

/* The sender's view of what is out. The records cover [snd.una, snd.nxt) without gaps. */
struct nst_tcp_board {
    struct nst_tree records;
    struct nst_list under_way;      /* in the order of their last transmission */
    uint32_t sacked, lost, retrans; /* bytes in records with these flags */
    nst_seq rexmit_from;            /* no lost byte below it waits for retransmission */
    nst_seq marked_upto;            /* every byte below it is SACKed or lost ... */
    uint32_t sacked_below;          /* ... and so many are SACKed */
};

/* RACK's state (rack.c), with the names of RFC 8985 §5.2. */
struct nst_tcp_rack {
    nst_time xmit_ts; /* of the segment sent last of those that have arrived; 0: none has */
    nst_time rtt;     /* its round trip */
    nst_seq end_seq;  /* its end */
    nst_seq fack;     /* the highest that has arrived */
    nst_seq dsack_round;
    uint8_t reo_wnd_mult;    /* in quarters of the least RTT, less one */
    uint8_t reo_wnd_persist; /* recoveries that the multiplier still outlives */
    bool in_dsack_round : 1; /* the multiplier has grown, until dsack_round is passed */
    bool reordering_seen : 1;
};

/* The tail loss probe (tlp.c). */
struct nst_tcp_tlp {
    nst_seq end_seq;      /* what was out when it was sent */
    uint32_t again_bytes; /* that it sent again; 0: it was new data */
    bool out : 1;         /* it was sent, and what came of it isn't known */
    bool due : 1;
};

/* Proportional rate reduction (prr.c), in bytes. */
struct nst_tcp_prr {
    uint32_t recover_fs; /* in flight when it began */
    uint32_t delivered;  /* since */
    uint32_t out;        /* sent since */
    uint32_t granted;    /* beyond what was delivered, where that was safe */
};

/* The last reduction of the window, in case that it turns out to have been wrong (undo.c). */
struct nst_tcp_undo {
    uint32_t cwnd, ssthresh; /* before it */
    nst_seq from, to;        /* what was sent again lies here */
    nst_seq first_end;       /* of what was sent again first, and its timestamp */
    uint32_t first_ts;
    uint32_t resent_bytes;  /* all that was sent again since, ... */
    uint32_t dsacked_bytes; /* ... and what of it came twice */
    bool possible : 1;
    bool resent : 1; /* something was sent again */
};

/* RFC 5682 §3.1. */
enum nst_tcp_frto {
    NST_FRTO_OFF,
    NST_FRTO_RESENT, /* step 2: the first segment was sent again */
    NST_FRTO_PROBED, /* step 3: it arrived, and new data goes rather than more of the old */
};

struct nst_tcp_counters {
    uint64_t bytes_acked, bytes_received, bytes_sent;
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
};

/* The same of what most connections never meet; made when one does (activity.c). */
struct nst_tcp_trouble {
    uint64_t bytes_retrans;
    uint32_t retrans, dsacks, ooo, reordered, undos, probes;
    uint32_t ce_segs; /* that came marked CE */
};

struct nst_tcp_listener;
struct nst_tcps;

/* What the owner chose. Of a listener: for the connections to come. */
struct nst_tcp_options {
    uint32_t rcvbuf, sndbuf; /* bytes; they grow by themselves unless fixed */
    uint32_t user_timeout_ms;
    uint32_t max_pacing_rate; /* bytes a second; 0: none */
    uint16_t keep_idle_s, keep_interval_s;
    uint16_t user_mss;           /* TCP_MAXSEG; 0: none */
    int16_t linger2_s, linger_s; /* FIN-WAIT-2 of orphans, SO_LINGER; negative: none, off */
    uint8_t ttl, tos;            /* ttl 0: the stack's */
    uint8_t syn_retries, keep_count;
    uint8_t recovery;                        /* enum nst_tcp_recovery */
    bool rcvbuf_fixed : 1, sndbuf_fixed : 1; /* by the owner: no auto-tuning */
    bool nodelay : 1, cork : 1, keepalive : 1, oobinline : 1;
    bool defer_accept : 1;     /* TCP_DEFER_ACCEPT: wait for data */
    bool syn_events : 1;       /* the owner hears of SYNs before they are answered */
    bool hold : 1;             /* the offered window opens no further */
    bool pacing : 1;           /* even if the congestion control doesn't need it */
    bool hystart : 1;          /* RFC 9406 */
    bool fastopen_connect : 1; /* TCP_FASTOPEN_CONNECT: the first data goes with the SYN */
    uint8_t mtu_probing : 2;   /* enum nst_tcp_mtu_probing */
    uint8_t ecn;               /* enum nst_tcp_ecn_mode */
    uint16_t fastopen_max;     /* TCP_FASTOPEN: of a listener, so many at a time */
};

/* What a connection needs while data moves, in either direction, and only then (activity.c). */
struct nst_tcp_activity {
    nst_time deadlines[NST_TCP_DLS_ACTIVE]; /* NST_TIME_NEVER: not set */

    /* Sending. */
    struct nst_sendq sendq;
    struct nst_tcp_board board;
    struct nst_cc cc;
    struct nst_rate rate;
    struct nst_pace pace;
    struct nst_chrono chrono;
    enum nst_tcp_phase phase;
    nst_seq recovery_point;
    nst_seq flight_end; /* of the flight that cwnd_was_full is about */
    struct nst_tcp_rack rack;
    struct nst_tcp_tlp tlp;
    struct nst_tcp_prr prr;
    struct nst_tcp_undo undo;
    enum nst_tcp_frto frto;
    uint32_t dupacks;
    bool rexmit_now : 1; /* one lost segment goes whatever the window says */
    bool starved : 1;    /* a retransmission waits for memory, at NST_TCP_DL_RTO */
    bool ecn_asked : 1;  /* by our SYN */
    bool ecn_held : 1;   /* the window was reduced: no mark counts before ecn_point is passed */
    nst_seq ecn_point;
    nst_seq psh;            /* the end of the last write: PSH belongs there */
    nst_seq iss, irs;       /* until the handshake is done; not if passive */
    nst_seq snd_up;         /* urgent pointer: behind the last urgent byte */
    uint8_t retries;        /* of the RTO, of probes */
    uint16_t syn_window;    /* what our SYN offered */
    nst_time syn_time;      /* when our SYN first went out */
    nst_time idle_since;    /* when the last of what was out was acknowledged; 0: nothing was yet */
    nst_time first_unacked; /* since when something is out or a window is closed; 0: not */
    int soft_error;         /* what ICMP said, for a time-out to report */
    nst_time advised;       /* when IP was last told that data arrives; 0: never */
    nst_seq probe_start, probe_end; /* of the path's MTU; equal: there is none */
    uint16_t probe_mtu;
    struct nst_tcp_fastopen *fastopen; /* while there is something of it to be done */

    /* Receiving. */
    struct nst_recvq recvq;
    struct nst_ooo *ooo;
    struct nst_tcp_sack dsack;
    nst_seq fin_at;
    nst_seq rcv_up;       /* urgent pointer */
    uint16_t urgent_byte; /* 0x100 | the urgent byte, when it waits out of line */
    nst_time tune_time;   /* receive-buffer tuning: when this round began ... */
    uint32_t tune_bytes;  /* ... and what the owner has taken since */
};

struct nst_tcb {
    struct nst_flow flow;
    struct nst_tcps *tcps;
    uint64_t
        owner; /* what sock/ set: its socket; while unaccepted its listener; 0: nobody has it */
    struct nst_list ready;        /* on the table's list, while there may be something to send */
    struct nst_list place;        /* with an owner: on the table's list, while it is to be told;
                                     else on its listener's accept queue, or the orphans' list */
    struct nst_tcp_activity *act; /* NULL while no data moves */
    struct nst_timer timer;
    nst_time watch; /* NST_TCP_DL_WATCH */

    struct {
        nst_seq una, nxt;
        nst_seq wl1, wl2; /* of the last window update */
        uint32_t wnd;     /* bytes, scaled (MUST-1, REC-1) */
        uint32_t max_wnd; /* the largest ever offered */
    } snd;
    struct {
        nst_seq nxt;
        nst_seq adv; /* the right edge that was offered last */
    } rcv;
    nst_seq last_ack_sent; /* RFC 7323 §4.3 */
    uint32_t ts_recent, ts_offset;
    uint32_t ts_recent_s;   /* when it was heard, in seconds of the clock */
    uint32_t last_rcv_ms;   /* data; in milliseconds of the clock, which wrap */
    uint32_t last_snd_ms;   /* the same; 0: never */
    uint32_t challenged_ms; /* the last challenge ACK; 0: never */
    uint16_t mtu;           /* of the path */
    uint16_t mtu_high;      /* what it may be at most; 0: nobody asks */
    uint32_t mtu_since_s;   /* when one of them became smaller, in seconds; 0: never */
    uint16_t snd_mss;       /* payload of a full segment, options taken off */
    uint16_t peer_mss;      /* what the peer said */
    uint16_t rcv_mss;       /* estimate of what the peer sends as a full segment */
    uint8_t snd_wscale : 4; /* of the peer's windows, ... */
    uint8_t rcv_wscale : 4; /* ... and of ours */
    uint8_t state;          /* enum nst_tcp_state */
    uint8_t probes;         /* keep-alive, unanswered */
    uint8_t quick;          /* quick acknowledgements left */
    uint8_t error;          /* why it ended: a positive errno value */
    uint8_t rcv_tos;        /* of the newest segment (MAY-9) */

    /* What has been agreed and seen, and what is to be done. */
    bool ts_ok : 1, sack_ok : 1, ws_ok : 1, ecn_ok : 1;
    bool fin_queued : 1;   /* our FIN follows what is queued */
    bool fin_sent : 1;     /* snd.nxt counts it */
    bool fin_known : 1;    /* the peer's FIN stands at fin_at, ... */
    bool fin_received : 1; /* ... and everything before it is here */
    bool rcv_shutdown : 1; /* the owner reads no more */
    bool ack_now : 1;      /* an acknowledgement is due */
    bool ack_pending : 1;  /* ... at NST_TCP_DL_DELACK at the latest */
    bool probe_now : 1;    /* a zero-window or keep-alive probe is due */
    bool snd_urgent : 1, rcv_urgent : 1;
    bool urgent_taken : 1;  /* the owner has had the urgent byte, which is in the queue still */
    bool pingpong : 1;      /* the owner answers: acknowledgements ride on data */
    bool push_now : 1;      /* a small segment may go now */
    bool more : 1;          /* the last write said that more follows */
    bool cwnd_was_full : 1; /* cwnd holds this flight back, or the one before did */
    bool dsack_due : 1;
    bool tx_blocked : 1;  /* a send was refused for lack of room */
    bool begun : 1;       /* the handshake was */
    bool ecn_seen : 1;    /* something came that was marked ECT or CE */
    bool ecn_echo : 1;    /* CE came: every segment bears ECE, until CWR comes */
    bool ecn_cwr_due : 1; /* the next new data bears CWR */
    bool unaccepted : 1;  /* on its listener's accept queue, or on the way there */
    bool r1_told : 1;     /* IP was told of R1 (MUST-20) */
    bool syn_data : 1;    /* data went with the SYN, and all of it was taken */
    bool reorders : 1;    /* the path does, as earlier connections have found */
    uint8_t reason : 3;   /* enum nst_tcp_reason: of the last reduction */

    struct nst_tcp_options opt;
    struct nst_rtt rtt;
    struct nst_cc_kept cc;         /* while there is no activity */
    struct nst_chrono_kept chrono; /* before this activity */
    nst_time started;
    struct nst_tcp_trouble *trouble; /* NULL: none so far */
    struct nst_tcp_counters count;
};

/* ---- Listening ------------------------------------------------------------------------------- */

struct nst_tcp_listener {
    struct nst_list place; /* in its port's bucket */
    struct nst_tcps *tcps;
    uint64_t owner;
    struct nst_sockaddr local;
    uint64_t member; /* what tells it from all others that share `local` */
    uint32_t backlog;
    struct nst_list reqs; /* of struct nst_tcp_req, oldest first */
    uint32_t nreqs;
    struct nst_list accept; /* of struct nst_tcb: finished handshakes */
    uint32_t naccept;
    bool changed; /* the owner is to be told */
    struct nst_list changed_node;
    struct nst_list asking; /* on the list of those with SYNs to answer */
    struct nst_tcp_options opt;
    const struct nst_cc_ops *cc;
    struct nst_list
        fastopens; /* of struct nst_tcp_fastopen: began with data, handshake to finish */
    uint32_t nfastopen;
    uint32_t fastopen_reset; /* so many more count until `fastopen_until`: they were reset */
    nst_time fastopen_until;
};

/* A half-open connection. */
struct nst_tcp_req {
    struct nst_flow flow;
    struct nst_list place; /* of its listener */
    struct nst_tcp_listener *listener;
    struct nst_timer timer;
    nst_seq iss, irs;
    uint32_t ts_recent;
    uint16_t mss;
    uint8_t wscale;
    uint8_t retries;
    bool ts_ok : 1, sack_ok : 1, ws_ok : 1, ecn_ok : 1;
    bool acked : 1;         /* the ACK came, but the accept queue was full */
    bool asked : 1;         /* the SYN is not answered yet; the newest of a listener */
    bool fastopen : 1;      /* the first answer gives a Fast Open cookie, ... */
    bool fastopen_exp : 1;  /* ... in the experimental option */
    uint32_t challenged_ms; /* when last (RFC 5961 §7); 0: never */
};

struct nst_tcp_timewait {
    struct nst_flow flow;
    nst_seq snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint16_t wnd;        /* as it was offered last: its edge does not move back (SHLD-14) */
    uint16_t until : 15; /* in ticks (timewait.c) */
    uint16_t ts_ok : 1;
};

/* A local name that a socket was bound to: its own until it is closed (port.c). */
struct nst_tcp_name {
    struct nst_list place; /* in its port's bucket */
    uint64_t owner;
    struct nst_sockaddr local;
    uint16_t group; /* those of the same one may share it; 0: SO_REUSEADDR decides */
    bool reuse;     /* SO_REUSEADDR, as it is now */
    bool listening;
};

/* ---- All of a stack's TCP ---------------------------------------------------------------------
 */

#define NST_TCP_PORT_BUCKETS 256

/* Defaults and limits. */
struct nst_tcp_config {
    uint32_t max_flows;
    uint32_t max_orphans;
    uint32_t max_timewaits;
    uint32_t max_reqs; /* half-open, each listener */
    uint32_t rcvbuf_initial, rcvbuf_max;
    uint32_t sndbuf_initial, sndbuf_max;
    uint8_t syn_retries, synack_retries, retries1, retries2, orphan_retries;
    bool timestamps, sack, wscale, cookies;
    bool restart_idle;   /* slow start after idle (RFC 5681 §4.1); off, as in Linux */
    bool pacing;         /* of window-based congestion control, too */
    bool hystart;        /* RFC 9406 */
    uint8_t recovery;    /* enum nst_tcp_recovery */
    uint8_t ecn;         /* enum nst_tcp_ecn_mode */
    uint16_t fastopen;   /* enum nst_tcp_fastopen_mode */
    uint8_t mtu_probing; /* enum nst_tcp_mtu_probing */
    uint8_t metrics;     /* enum nst_tcp_metrics_mode */
    const struct nst_cc_ops *cc;
};

/* struct nst_spread, ready for use. */
struct nst_tcp_spread {
    uint32_t index, count;
    struct nst_siphash_key key;
};

struct nst_tcps {
    struct nst_env *env;
    struct nst_pool *pool;
    struct nst_ip *ip;
    struct nst_tcp_config config;
    struct nst_tcp_spread spread;
    struct nst_siphash_key flow_key, isn_key, ts_key, cookie_key, fastopen_key;
    struct nst_tcp_metrics_table metrics;
    struct nst_flow **buckets;
    uint32_t mask, nflows;
    struct nst_list listeners[NST_TCP_PORT_BUCKETS];
    struct nst_list names[NST_TCP_PORT_BUCKETS]; /* of struct nst_tcp_name */
    struct nst_flow_id exhausted[8]; /* ends that no local port is left for; lport is 0 */
    uint32_t nexhausted;
    struct nst_list ready;   /* of struct nst_tcb */
    struct nst_list changed; /* of struct nst_tcb */
    struct nst_list changed_listeners;
    struct nst_list asking;  /* listeners whose owners hear of SYNs first */
    struct nst_list orphans; /* closed by their owners, not at their end yet */
    struct nst_timer timewait_timer;
    struct nst_rate_ack ack;        /* while one is processed */
    struct nst_list *spare_records; /* of struct nst_tcp_sent, by order.next */
    uint32_t nspare_records;
    uint32_t sweep_at;   /* the bucket that the sweep for TIME-WAIT records comes to next */
    nst_time sweep_next; /* when the first of those that it has met this round is over */
    uint32_t norphans, ntimewaits;
    struct nst_tcp_trouble uncounted; /* of connections without memory for their own */
    size_t ooo_bytes;                 /* memory of all that came out of order */
    nst_time cookies_sent;            /* when last; 0: never */
    uint32_t rst_tokens;
    nst_time rst_refilled;
};

/* A received segment on its way through the steps. */
struct nst_tcp_seg {
    struct nst_tcp h;
    struct nst_pkt *pkt; /* begins with its payload once it is text's turn; NULL when taken */
    nst_seq seq;         /* of the first payload byte, or of SYN */
    uint32_t len;        /* payload bytes */
    uint32_t wnd;        /* scaled */
    bool reopens;        /* a SYN for a connection that was in TIME-WAIT, ... */
    nst_seq used;        /* ... in which we have sent up to here */
};

/* ---- table.c ----------------------------------------------------------------------------------
 */

int nst_tcp_init(struct nst_tcps *tcps, struct nst_pool *pool, struct nst_ip *ip,
                 uint32_t max_flows);
void nst_tcp_fini(struct nst_tcps *tcps);
/* Of the connections to come. -ENOENT. */
int nst_tcp_set_congestion(struct nst_tcps *tcps, const char *name);
/* NULL if there is none (any more). */
struct nst_flow *nst_flow_find(struct nst_tcps *tcps, const struct nst_flow_id *id);
/* -ENOBUFS past the limit, -ENOMEM. */
int nst_flow_insert(struct nst_tcps *tcps, struct nst_flow *flow, enum nst_flow_kind kind);
/* Harmless for one that is not in the table. */
void nst_flow_remove(struct nst_tcps *tcps, struct nst_flow *flow);
/* Puts `flow`, of the same ends, in the place of `old`. */
void nst_flow_replace(struct nst_tcps *tcps, struct nst_flow *old, struct nst_flow *flow,
                      enum nst_flow_kind kind);
/* A keyed hash of both ends. */
uint64_t nst_flow_hash(const struct nst_siphash_key *key, const struct nst_flow_id *id);
/* A connection of these ends, in no table yet, with the stack's defaults. NULL without memory. */
struct nst_tcb *nst_tcb_new(struct nst_tcps *tcps, const struct nst_flow_id *id);
/* The listener on whose accept queue it stands; NULL when it stands on none. */
struct nst_tcp_listener *nst_tcb_listener(const struct nst_tcb *t);
/* Its owner lets go of it. */
void nst_tcb_disown(struct nst_tcb *t);
/* Ends it silently, wherever it stands. */
void nst_tcb_free(struct nst_tcb *t);
void nst_tcp_check(const struct nst_tcps *tcps);

/* The clock, in milliseconds that wrap; never 0. */
uint32_t nst_tcp_ms(const struct nst_tcps *tcps);
/* It may have something to send. */
void nst_tcb_wants_output(struct nst_tcb *t);
/* Its owner is to be told of a change. */
void nst_tcb_changed(struct nst_tcb *t);

/* ---- isn.c: numbers that nobody can predict ---------------------------------------------- */

nst_seq nst_tcp_isn(const struct nst_tcps *tcps, const struct nst_flow_id *id); /* RFC 6528 */
uint32_t nst_tcp_ts_offset(const struct nst_tcps *tcps, const struct nst_flow_id *id);
/* The timestamp clock: milliseconds and the connection's offset (RFC 7323 §5.4). */
uint32_t nst_tcp_ts(const struct nst_tcps *tcps, uint32_t offset);
/* The same of another time. */
uint32_t nst_tcp_ts_at(nst_time at, uint32_t offset);

/* ---- port.c: local ports ----------------------------------------------------------------- */

/* Reserves what is wanted, but for `place`; port 0: a random free one. `*port` is which.
 * -EADDRINUSE, -ENOMEM. */
int nst_tcp_bind(struct nst_tcps *tcps, const struct nst_tcp_name *want, uint16_t *port);
void nst_tcp_unbind(struct nst_tcps *tcps, struct nst_tcp_name *n);
/* What a socket reserved; NULL if it didn't. */
struct nst_tcp_name *nst_tcp_name_find(struct nst_tcps *tcps, uint16_t port, uint64_t owner);
/* Its socket listens from now on. -EADDRINUSE: another one that has the name does. */
int nst_tcp_name_listen(struct nst_tcps *tcps, struct nst_tcp_name *n);
/* A free local port for a connection to `id`'s far end (RFC 6056 §3.3.3), and of several stacks one
 * that makes it this one's; 0 if there is none. */
uint16_t nst_tcp_port_choose(struct nst_tcps *tcps, const struct nst_flow_id *id);
/* A connection of these ends has gone. */
void nst_tcp_port_freed(struct nst_tcps *tcps, const struct nst_flow_id *id);

/* ---- spread.c: which of several stacks a connection is for --------------------------------- */

struct nst_tcp_spread nst_tcp_spread(const struct nst_spread *config);
uint32_t nst_tcp_spread_of(const struct nst_tcp_spread *spread, const struct nst_flow_id *id);

/* ---- input.c ----------------------------------------------------------------------------- */

/* Whether any of the segment lies in the window [nxt, adv) (RFC 9293 §3.10.7.4, first check). */
bool nst_tcp_in_window(const struct nst_tcp_seg *seg, nst_seq nxt, nst_seq adv);
/* Judges and takes a segment, which stands behind pkt->ip.hlen bytes of IP header. */
void nst_tcp_input_take(struct nst_tcps *tcps, struct nst_pkt *pkt);
/* The steps for an established (or later) connection; for the ACK that makes one, too. */
enum nst_drop nst_tcb_input(struct nst_tcb *t, struct nst_tcp_seg *seg);
/* The handshake is done; our first SYN went out at `syn_time` (0: not known), and `lost` says
 * whether it had to be repeated. */
void nst_tcb_establish(struct nst_tcb *t, nst_time syn_time, bool lost);
/* Data may go: at the end of the handshake, or ahead of it. */
void nst_tcb_begin(struct nst_tcb *t, bool lost);
/* The data of a SYN, ahead of the handshake's end. */
enum nst_drop nst_tcb_syn_data(struct nst_tcb *t, struct nst_tcp_seg *seg);
/* An ICMP error about a segment of ours: its ports and sequence number stand at `off` in `pkt`. */
bool nst_tcp_error(struct nst_tcps *tcps, const struct nst_pkt *pkt, size_t off,
                   const struct nst_pkt_ip *quoted, const struct nst_sock_error *error);

/* ---- activity.c -------------------------------------------------------------------------- */

/* Makes sure that it has t->act. False without memory. */
bool nst_tcb_activate(struct nst_tcb *t);
/* Gives up what was not sent, not acknowledged or out of order; what the owner has not read stays.
 */
void nst_tcb_release(struct nst_tcb *t);
/* NST_TCP_DL_REST: frees t->act when nothing has moved for a while and nothing waits. */
void nst_tcb_rest(struct nst_tcb *t);
/* Frees it, with what the owner has not read. */
void nst_tcb_deactivate(struct nst_tcb *t);
/* To count in, and to read: neither is ever NULL. */
struct nst_tcp_trouble *nst_tcb_trouble(struct nst_tcb *t);
const struct nst_tcp_trouble *nst_tcb_troubles(const struct nst_tcb *t);

/* Behind the last byte of the owner's, sent or not. */
static inline nst_seq nst_tcb_snd_end(const struct nst_tcb *t)
{
    return t->act ? t->act->sendq.end : nst_seq_sub(t->snd.nxt, t->fin_sent);
}

/* Bytes that the owner has not read. */
static inline size_t nst_tcb_unread(const struct nst_tcb *t)
{
    return t->act ? t->act->recvq.bytes : 0;
}

/* Memory of what was received and has not been read. */
size_t nst_tcb_received_mem(const struct nst_tcb *t);
enum nst_tcp_phase nst_tcb_phase(const struct nst_tcb *t);
uint32_t nst_tcb_cwnd(const struct nst_tcb *t);
uint32_t nst_tcb_ssthresh(const struct nst_tcb *t);

/* ---- ack.c ------------------------------------------------------------------------------- */

/* RFC 9293 §3.10.7.4, fifth check. */
enum nst_drop nst_tcb_ack_input(struct nst_tcb *t, const struct nst_tcp_seg *seg);

/* ---- scoreboard.c ------------------------------------------------------------------------ */

/* What one acknowledgement told. */
struct nst_tcp_acked {
    uint32_t acked;     /* bytes by which SND.UNA moved */
    uint32_t delivered; /* of them, those that no SACK had told of before */
    uint32_t sacked;    /* bytes that its SACKs told of first */
    bool duplicate;
    bool congested; /* the network said so (ECN) */
    bool original;  /* some of it was sent once only, before the recovery that is on */
    bool has_ecr;
    uint32_t ecr;                     /* the timestamp that it echoes */
    const struct nst_tcp_sack *dsack; /* what came twice; NULL: nothing did */
};

void nst_board_init(struct nst_tcp_board *b, nst_seq start);
/* Gives back the records that no connection uses. */
void nst_board_fini_spares(struct nst_tcps *tcps);
void nst_board_free(struct nst_tcb *t);
/* [start, end) was sent, for the first time: it follows the last record. -ENOMEM. */
int nst_board_sent(struct nst_tcb *t, nst_seq start, nst_seq end);
/* The cumulative acknowledgement moved to `una`. Returns when the newest segment had been sent that
 * it tells of first; 0 if there is none, or if one of them was sent again: then it may have waited
 * for that one (Karn). */
nst_time nst_board_acked(struct nst_tcb *t, nst_seq una, struct nst_tcp_acked *a);
/* A SACK block; a->sacked counts what it tells first. */
void nst_board_sacked(struct nst_tcb *t, const struct nst_tcp_sack *block, struct nst_tcp_acked *a);
/* Marks as lost what RFC 6675 §4 calls so; true if anything is. */
bool nst_board_mark_lost(struct nst_tcb *t);
/* Marks everything that is not SACKed as lost, after a timeout; the first segment even if it is. */
void nst_board_mark_all_lost(struct nst_tcb *t);
/* Marks the first segment as lost (NewReno). */
void nst_board_mark_first_lost(struct nst_tcb *t);
/* Marks one record as lost, though it may have been sent again. */
void nst_board_mark_one_lost(struct nst_tcb *t, struct nst_tcp_sent *s);
/* Nothing is lost after all: what was taken for it is under way. */
void nst_board_unmark_lost(struct nst_tcb *t);
/* Of what is under way, that which was sent first; NULL if nothing is. */
struct nst_tcp_sent *nst_board_oldest(const struct nst_tcb *t);
/* Whether the first segment was SACKed: so its receiver does not have it (any more). */
bool nst_board_is_reneged(const struct nst_tcb *t);
/* The first lost segment that is not out again; NULL if there is none. */
struct nst_tcp_sent *nst_board_next_lost(struct nst_tcb *t);
/* The last segment that is out, as a record of its own; NULL without memory. */
struct nst_tcp_sent *nst_board_last_segment(struct nst_tcb *t);
/* It was sent again, up to `end`: what is left of it becomes a segment of its own. -ENOMEM. */
int nst_board_resent(struct nst_tcb *t, struct nst_tcp_sent *s, nst_seq end);
/* Bytes in flight, as far as is known (RFC 6675 "pipe"): what was sent (6675-3), less what has
 * arrived or is lost, plus what was sent again. Without SACK each duplicate ACK says that one
 * segment more has arrived (RFC 6582 §3.2): so the first two let new data out without moving the
 * congestion window (5681-8, 3042-1, 3042-2). */
static inline uint32_t nst_board_pipe(const struct nst_tcb *t)
{
    uint32_t out = (uint32_t)nst_seq_diff(t->snd.nxt, t->snd.una) + t->act->board.retrans;
    uint32_t gone = t->act->board.sacked + t->act->board.lost;

    if (!t->sack_ok)
        gone += t->act->dupacks * t->snd_mss;
    return out - nst_min32(gone, out);
}

void nst_board_check(const struct nst_tcb *t);

/* ---- rack.c ------------------------------------------------------------------------------ */

/* Whether it decides what is lost. */
bool nst_rack_is_on(const struct nst_tcb *t);
/* `s` was sent again, and what tells of its arrival may be about an earlier transmission (RFC 8985
 * §6.2, step 2). */
bool nst_rack_may_be_of_original(const struct nst_tcb *t, const struct nst_tcp_sent *s,
                                 const struct nst_tcp_acked *a);
/* The part of a record up to `end` has arrived, as is known first by this acknowledgement. */
void nst_rack_delivered(struct nst_tcb *t, const struct nst_tcp_sent *s, nst_seq end,
                        struct nst_tcp_acked *a);
/* The reordering window learns from an acknowledgement (RFC 8985 §6.2, step 4). */
void nst_rack_adapt(struct nst_tcb *t, const struct nst_tcp_acked *a);
/* A recovery has ended. */
void nst_rack_recovered(struct nst_tcb *t);
/* Marks what is lost, and sets the timer for what may be soon. True if anything more is lost. */
bool nst_rack_detect(struct nst_tcb *t);
/* The same after a timeout (RFC 8985 §6.3). */
void nst_rack_timeout(struct nst_tcb *t);
/* How much later than others a segment may arrive. */
nst_time nst_rack_reo_wnd(const struct nst_tcb *t);

/* ---- tlp.c ------------------------------------------------------------------------------- */

/* Data was sent or acknowledged: the probe waits anew. */
void nst_tlp_schedule(struct nst_tcb *t);
/* Whether a probe is to go now: asked once for each. */
bool nst_tlp_take_due(struct nst_tcb *t);
/* It went, and sent `again_bytes` that had been sent before. */
void nst_tlp_sent(struct nst_tcb *t, uint32_t again_bytes);
/* Whether it reports the probe as a duplicate: so what the probe sent again was only slow. */
bool nst_tlp_came_twice(const struct nst_tcb *t, const struct nst_tcp_acked *a);
/* Whether this acknowledgement says that the probe made good a loss (RFC 8985 §7.4). */
bool nst_tlp_acked(struct nst_tcb *t, const struct nst_tcp_acked *a);
/* Other means take over. */
void nst_tlp_stop(struct nst_tcb *t);

/* ---- prr.c ------------------------------------------------------------------------------- */

/* A reduction to ssthresh begins; `news` bytes were reported by the acknowledgement that did it. */
void nst_prr_begin(struct nst_tcb *t, uint32_t news);
/* Sets the window after an acknowledgement that reported `news` bytes; `safe` if it moved SND.UNA
 * and told of no further loss. */
void nst_prr_acked(struct nst_tcb *t, uint32_t news, bool safe);

/* ---- undo.c ------------------------------------------------------------------------------ */

/* The window is about to shrink because of a loss. */
void nst_undo_begin(struct nst_tcb *t);
/* [start, end) was sent again. */
void nst_undo_resent(struct nst_tcb *t, nst_seq start, nst_seq end);
/* Whether this acknowledgement shows that nothing was lost when the window shrank. */
bool nst_undo_acked(struct nst_tcb *t, const struct nst_tcp_acked *a);
/* The window as it was, and nothing is lost. */
void nst_undo_do(struct nst_tcb *t);

/* ---- recovery.c -------------------------------------------------------------------------- */

/* The connection begins, or goes on after a rest. */
void nst_recovery_begin(struct nst_tcb *t);
void nst_recovery_acked(struct nst_tcb *t, const struct nst_tcp_acked *a);
/* Tells the congestion control what it may know before it is called. */
void nst_recovery_prepare(struct nst_tcb *t);
/* The retransmission timer expired; the reordering timer did. */
void nst_recovery_timeout(struct nst_tcb *t);
void nst_recovery_reordered(struct nst_tcb *t);
/* Sending begins again after nothing was out. */
void nst_recovery_restart(struct nst_tcb *t);

/* ---- ecn.c ------------------------------------------------------------------------------- */

/* The flags of a SYN, or of a SYN-ACK in a simultaneous open. */
uint8_t nst_ecn_syn_flags(struct nst_tcb *t);
/* Whether a SYN with these flags asks for ECN, and shall have it. */
bool nst_ecn_asks(uint8_t mode, uint8_t flags);
/* The flags of the SYN-ACK, or SYN, that answers our SYN. */
void nst_ecn_answered(struct nst_tcb *t, uint8_t flags);
/* Data in the window. */
void nst_ecn_data_input(struct nst_tcb *t, const struct nst_tcp_seg *seg);
/* Whether an acceptable ACK, which is not processed yet, demands a smaller window. */
bool nst_ecn_congested(struct nst_tcb *t, const struct nst_tcp_seg *seg);
/* The window was made smaller. */
void nst_ecn_reduced(struct nst_tcb *t);
/* Adds to the flags of a segment with `len` bytes of payload, which was not sent before if `fresh`.
 * Returns the ECN field of its IP header. */
uint8_t nst_ecn_mark(struct nst_tcb *t, struct nst_tcp *h, uint32_t len, bool fresh);

/* ---- fastopen.c -------------------------------------------------------------------------- */

/* A connection that sends and receives already, although our SYN-ACK is not acknowledged yet. */
static inline bool nst_fastopen_shakes(const struct nst_tcb *t)
{
    return t->act && t->act->fastopen && !t->act->fastopen->client;
}

/* One whose SYN waits for the owner's first data. */
static inline bool nst_fastopen_waits(const struct nst_tcb *t)
{
    return t->act && t->act->fastopen && t->act->fastopen->waits;
}

/* Server: whether the data of a SYN may be taken at once; `*answer` is the cookie for the SYN-ACK,
 * of length 0 if none. */
bool nst_fastopen_accepts(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                          const struct nst_tcp_seg *seg, struct nst_tcp_cookie *answer);
/* The same cookie, for an answer that is sent later. */
void nst_fastopen_cookie(const struct nst_tcps *tcps, const struct nst_flow_id *id,
                         bool experimental, struct nst_tcp_cookie *out);
/* The connection begins so. False without memory. */
bool nst_fastopen_serve(struct nst_tcb *t, struct nst_tcp_listener *l,
                        const struct nst_tcp_cookie *answer);
/* An acknowledgement came that is not below SND.UNA; true if it ends the handshake. */
bool nst_fastopen_acked(struct nst_tcb *t);
/* The peer has reset it. */
void nst_fastopen_reset(struct nst_tcb *t);
void nst_fastopen_unlisten(struct nst_tcp_listener *l);
/* Client: the connection to be sends data with its SYN, if its peer is known to take it, or else
 * asks for a cookie. The ends are set. */
void nst_fastopen_connect(struct nst_tcb *t);
/* The options of a SYN, and how many bytes go with it. */
uint32_t nst_fastopen_syn(struct nst_tcb *t, struct nst_tcp *h);
/* Behind what a SYN-ACK may acknowledge. */
nst_seq nst_fastopen_sent(const struct nst_tcb *t);
/* The SYN-ACK, acceptable. */
void nst_fastopen_answered(struct nst_tcb *t, const struct nst_tcp *h);
void nst_fastopen_end(struct nst_tcb *t);

/* ---- metrics.c --------------------------------------------------------------------------- */

/* The connection begins: takes what earlier ones between its hosts have found out. */
void nst_metrics_begin(struct nst_tcb *t);
/* It goes on, and was told that the path is narrower. */
void nst_metrics_narrowed(struct nst_tcb *t);
/* It ends: adds what it has found out. */
void nst_metrics_end(struct nst_tcb *t);
/* What is known of these two hosts, until anything is added; NULL: nothing. */
struct nst_tcp_metrics *nst_metrics_find(struct nst_tcps *tcps, const struct nst_flow_id *id);
/* The same of a server, to add what Fast Open finds out. NULL without memory. */
struct nst_tcp_metrics *nst_metrics_of_server(struct nst_tcps *tcps, const struct nst_flow_id *id);
/* All of them, one after the other: the next one from `*at` on, which is 0 at first; NULL at the
 * end. */
const struct nst_tcp_metrics *nst_metrics_next(const struct nst_tcps *tcps, size_t *at);
/* Whether what it says of the path is fresh enough to be used. */
bool nst_metrics_is_fresh(const struct nst_tcps *tcps, const struct nst_tcp_metrics *m);
/* Forgets what is known of a peer, or with NULL of all. Returns how many entries that were. */
size_t nst_metrics_forget(struct nst_tcps *tcps, const struct nst_addr *peer);
void nst_metrics_fini(struct nst_tcps *tcps);

/* ---- mtuprobe.c -------------------------------------------------------------------------- */

#define NST_TCP_PMTU_MIN 552 /* Linux; 1191-2, 5927-4: nobody is made to send tiny segments */

/* The connection begins: at the base size, if it probes from the beginning. */
void nst_mtu_begin(struct nst_tcb *t);
/* An earlier connection found at that time, in seconds, that the path carries no more. */
void nst_mtu_expect(struct nst_tcb *t, uint16_t mtu, uint32_t since_s);
/* What the path was found to carry, at t->mtu_since_s, if that is less than the first hop does and
 * the search is over; else 0. */
uint16_t nst_mtu_found(const struct nst_tcb *t);
/* The MTU was made smaller, by what ICMP or the first hop say. */
void nst_mtu_lowered(struct nst_tcb *t);
/* The retransmission timer has expired. */
void nst_mtu_timeout(struct nst_tcb *t);
/* Ten minutes after the MTU was lowered the path may be another one: a larger MTU is looked for, or
 * believed in where nothing is probed. */
void nst_mtu_raise(struct nst_tcb *t);
/* How long the probe is that new data goes in now; 0: in none. It is about to be sent. */
uint32_t nst_mtu_probe_len(struct nst_tcb *t, uint32_t queued, uint32_t sendable);
/* It did not, for lack of memory; or what came of it will not be known. */
void nst_mtu_probe_forget(struct nst_tcb *t);
/* Whether new data that begins there is one. */
bool nst_mtu_is_probe(const struct nst_tcb *t, nst_seq seq);
/* SND.UNA has moved. */
void nst_mtu_acked(struct nst_tcb *t);
/* Something counts as lost: true if it is a probe, and nothing else. */
bool nst_mtu_probe_lost(struct nst_tcb *t);

/* ---- output.c ---------------------------------------------------------------------------- */

/* Sends one segment of one connection that has something to say, in turn. False when none has. */
bool nst_tcp_output(struct nst_tcps *tcps);
/* It may have something to send still, or again, after a segment or an acknowledgement. */
void nst_tcb_goes_on(struct nst_tcb *t);
/* Whether a challenge ACK may go now: if so, it is noted in `*last_ms` (0: there was none yet). */
bool nst_tcp_may_challenge(const struct nst_tcps *tcps, uint32_t *last_ms);
/* A challenge ACK or a repeated one, within that limit. */
void nst_tcb_challenge(struct nst_tcb *t);
/* What is sent now, outside the queue. */
void nst_tcb_send_rst(struct nst_tcb *t);
void nst_tcp_send_rst_for(struct nst_tcps *tcps, const struct nst_pkt *about,
                          const struct nst_tcp *h, uint32_t len);
/* A segment without payload between the ends of `id`; the checksum and the rest are done here. */
void nst_tcp_send_bare(struct nst_tcps *tcps, const struct nst_flow_id *id, struct nst_tcp *h,
                       uint8_t ttl, uint8_t tos);
/* The window to offer now, and its field in a header (RFC 9293 §3.8.6). */
uint32_t nst_tcb_window(struct nst_tcb *t);
/* The payload of a full segment follows from MTU, the peer's MSS and the options. */
void nst_tcb_set_mss(struct nst_tcb *t);
/* The way's MTU is smaller than it was: asks IP anew, or is told. */
void nst_tcb_set_mtu(struct nst_tcb *t, uint32_t mtu);
void nst_tcb_path_changed(struct nst_tcb *t);
/* Whether the owner's read opened the window enough to say so. */
void nst_tcb_window_opened(struct nst_tcb *t);

/* ---- listen.c, syncookie.c --------------------------------------------------------------- */

/* The listener for a flow that comes in over `link`; NULL if there is none. */
struct nst_tcp_listener *nst_listener_find(struct nst_tcps *tcps, const struct nst_flow_id *id,
                                           nst_link link);
/* A segment for a listener. */
enum nst_drop nst_listen_input(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                               struct nst_tcp_seg *seg);
/* A segment for a half-open connection. */
enum nst_drop nst_req_input(struct nst_tcp_req *req, struct nst_tcp_seg *seg);
void nst_req_timeout(struct nst_tcp_req *req);
void nst_req_free(struct nst_tcp_req *req);
/* Sends its peer a RST. */
void nst_req_reset(struct nst_tcp_req *req);
void nst_listener_changed(struct nst_tcp_listener *l);

/* The initial sequence number that holds what a SYN said (RFC 4987 §3.6), and what it says when it
 * comes back; false if it is none of ours, or too old. */
nst_seq nst_cookie_make(const struct nst_tcps *tcps, const struct nst_flow_id *id, nst_seq irs,
                        uint16_t mss);
/* The same for what travels in the timestamp; false if it says that windows are not scaled. */
uint32_t nst_cookie_ts(uint32_t ts, uint8_t wscale, bool sack_ok, bool ecn_ok);
bool nst_cookie_ts_read(uint32_t ts, uint8_t *wscale, bool *sack_ok, bool *ecn_ok);
bool nst_cookie_check(const struct nst_tcps *tcps, const struct nst_flow_id *id, nst_seq irs,
                      nst_seq cookie, uint16_t *mss);

/* ---- info.c: what can be seen from outside ----------------------------------------------- */

/* Bytes of the owner's that are not acknowledged yet, sent or not. */
uint32_t nst_tcb_unacked(const struct nst_tcb *t);
void nst_tcb_info(const struct nst_tcb *t, struct nst_tcp_info *out);

/* A connection that no socket has (yet, or any more). */
struct nst_tcp_orphan {
    struct nst_flow_id id;
    enum nst_tcp_state state;
    size_t rx_bytes, tx_bytes;
    const struct nst_tcp_listener *listener; /* to which it belongs; NULL: to nobody */
};

/* The next one from position `*at` on, which is 0 at first. False at the end. */
bool nst_tcp_orphan_next(const struct nst_tcps *tcps, uint64_t *at, struct nst_tcp_orphan *out);

/* ---- timewait.c -------------------------------------------------------------------------- */

/* The connection's last state: the block is freed, a record remains. */
void nst_timewait_enter(struct nst_tcb *t);
/* A segment for it. True if it is a SYN that may begin a new connection (RFC 6191, RFC 9293 MAY-2):
 * then the record is gone. */
bool nst_timewait_input(struct nst_tcps *tcps, struct nst_tcp_timewait *w, struct nst_tcp_seg *seg,
                        enum nst_drop *drop);
bool nst_timewait_is_over(const struct nst_tcps *tcps, const struct nst_tcp_timewait *w);
void nst_timewait_timeout(struct nst_tcps *tcps);
void nst_timewait_free(struct nst_tcps *tcps, struct nst_tcp_timewait *w);

/* ---- timers.c ---------------------------------------------------------------------------- */

/* NST_TIME_NEVER when it isn't set. */
static inline nst_time nst_tcb_deadline(const struct nst_tcb *t, enum nst_tcp_deadline which)
{
    if (which == NST_TCP_DL_WATCH)
        return t->watch;
    return t->act ? t->act->deadlines[which] : NST_TIME_NEVER;
}

/* All but NST_TCP_DL_WATCH only of an active connection. */
void nst_tcb_set(struct nst_tcb *t, enum nst_tcp_deadline which, nst_time at);
void nst_tcb_clear(struct nst_tcb *t, enum nst_tcp_deadline which);
void nst_tcb_timeout(struct nst_tcb *t);
/* (Re)starts, or stops, the retransmission and probe timer, as what is out demands. */
void nst_tcb_rearm(struct nst_tcb *t);
/* The same, unless it is running. */
void nst_tcb_rearm_if_idle(struct nst_tcb *t);
void nst_tcb_keepalive_restart(struct nst_tcb *t);
/* Whether something is out, or waits for the peer to let it go: then that timer runs. */
bool nst_tcb_waits(const struct nst_tcb *t);
/* A link works again: what waits for a timeout that was doubled over it goes on at once. */
void nst_tcp_carrier_up(struct nst_tcps *tcps, nst_link link);
/* In FIN-WAIT-2 nobody but an owner may wait for ever. */
void nst_tcb_fin_wait(struct nst_tcb *t);

/* ---- user.c: the owner's calls (RFC 9293 §3.9.1, §3.10.1 to §3.10.6) --------------------- */

/* The window scale that we offer: for the largest receive buffer that there may be. */
uint8_t nst_tcp_wscale(const struct nst_tcps *tcps);
void nst_tcp_listen(struct nst_tcps *tcps, struct nst_tcp_listener *l);
/* Resets what it has, but for SYNs that are not answered yet and that another one takes. */
void nst_tcp_unlisten(struct nst_tcp_listener *l);
/* Answers the SYNs that were left for listeners' owners to hear of. */
void nst_tcp_answer(struct nst_tcps *tcps);
/* The oldest finished handshake, now the caller's; NULL if there is none. */
struct nst_tcb *nst_tcp_accept(struct nst_tcp_listener *l);
/* Sends the SYN. The ends are set. -EADDRINUSE (the four are in use), -ENOBUFS. */
int nst_tcb_connect(struct nst_tcb *t);
/* How much of the send buffer is in use, bytes. */
uint32_t nst_tcb_sndbuf_used(const struct nst_tcb *t);
/* How much the send queue takes now, bytes. */
uint32_t nst_tcb_send_room(const struct nst_tcb *t);
/* Copies to the send queue: bytes; -EAGAIN, -EPIPE, -ENOTCONN, -ENOBUFS. */
int64_t nst_tcb_send(struct nst_tcb *t, const struct nst_slice *data, size_t n, uint32_t flags);
/* Sends the range, which lies inside the loan, from where it is. The same errors. */
int64_t nst_tcb_send_lent(struct nst_tcb *t, struct nst_loan *loan, size_t off, size_t len,
                          uint32_t flags);
/* Copies from the receive queue: bytes; 0 at the end; -EAGAIN, -ENOTCONN. */
int64_t nst_tcb_recv(struct nst_tcb *t, const struct nst_slice *data, size_t n, uint32_t flags);
/* The same in place, as nst_send_reserve(), nst_send_commit(), nst_recv_peek(), nst_recv_consume().
 */
int nst_tcb_reserve(struct nst_tcb *t, size_t len, struct nst_slice out[NST_SENDQ_ROOM]);
void nst_tcb_commit(struct nst_tcb *t, size_t len, uint32_t flags);
int nst_tcb_peek(struct nst_tcb *t, struct nst_slice *out, size_t max);
int nst_tcb_consume(struct nst_tcb *t, size_t n);
/* Where in the receive queue the last urgent byte stands; -1 when it is not there (yet). */
int64_t nst_tcb_urgent_at(const struct nst_tcb *t);
/* Bytes of the receive queue were used. */
void nst_tcb_consumed(struct nst_tcb *t, size_t n);
/* -ENOTCONN. */
int nst_tcb_shutdown(struct nst_tcb *t, bool rd, bool wr);
/* The owner lets go: the connection ends by itself, or at once by RST (unread data, linger 0). */
void nst_tcb_close(struct nst_tcb *t);
/* RST, and its end for the owner with `err`; the block stays until the owner lets go. */
void nst_tcb_abort(struct nst_tcb *t, int err);
/* It has ended by itself or by the peer: nothing is sent any more. Frees it if nobody owns it. */
void nst_tcb_ended(struct nst_tcb *t, int err);
/* Acknowledges at once, or leaves it to the ordinary rules again. */
void nst_tcb_quickack(struct nst_tcb *t, bool on);
/* enum nst_ready. */
uint32_t nst_tcb_readiness(const struct nst_tcb *t);

#endif
