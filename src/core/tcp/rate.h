/* Delivery-rate estimation (draft-cheng-iccrg-delivery-rate-estimation; draft-ietf-ccwg-bbr §4.1):
 * how fast data has arrived at the peer, measured from flight to flight.
 *
 * Each transmission takes a stamp: what had been delivered by then, and when. When it is itself
 * delivered, the difference of the two counts, over the time between, is a sample of the rate:
 *
 *     rate = (delivered now - delivered when it was sent) / max(ACK's interval, sending's interval)
 *
 * The longer interval counts, since ACKs may come compressed and nothing arrives faster than it is
 * sent. A sample is no measure of the path if the application had nothing more to send meanwhile;
 * the stamp knows.
 *
 * One ACK gives one sample, which lives in the stack's block while the ACK is being processed. */
#ifndef NST_TCP_RATE_H
#define NST_TCP_RATE_H

#include "core/base/seq.h"
#include "core/base/timer.h"

/* Of a connection. Bytes. */
struct nst_rate {
    uint64_t delivered;       /* ever */
    uint64_t lost;            /* ever marked so */
    nst_time delivered_time;  /* when `delivered` grew last */
    nst_time first_sent_time; /* of the flight that is being measured */
    uint64_t app_limited;     /* until `delivered` is past this, samples say little; 0: they do */
    uint64_t bytes_per_sec;   /* the last good sample; 0: none yet */
    bool was_app_limited;     /* ... and it is a lower bound only */
};

/* Of a transmission. */
struct nst_rate_stamp {
    uint64_t delivered;
    nst_time delivered_time; /* 0: this one has been counted */
    nst_time first_sent_time;
    uint32_t tx_in_flight; /* bytes, with this one */
    uint32_t lost;         /* the low bits */
    bool app_limited;
};

/* Of an ACK, while it is processed. */
struct nst_rate_ack {
    uint64_t delivered, lost; /* before it */
    struct nst_rate_stamp newest;
    nst_time newest_time, send_elapsed;
    nst_seq newest_end;
    nst_time rtt; /* the least of what it reports and was sent once; 0: none */
    bool has_data;
};

struct nst_tcb;
struct nst_tcp_sent;
struct nst_tcp_acked;

/* `s` is about to be sent, and not in flight yet. */
void nst_rate_sent(struct nst_tcb *t, struct nst_tcp_sent *s);

/* An ACK begins to be processed ... */
void nst_rate_begin(struct nst_tcb *t);
/* ... `len` bytes of `s` have arrived, as `acked` tells ... */
void nst_rate_delivered(struct nst_tcb *t, const struct nst_tcp_sent *s, uint32_t len,
                        const struct nst_tcp_acked *acked);
/* ... and it is done: a sample goes to the congestion control, which sets its outputs. */
void nst_rate_end(struct nst_tcb *t);

/* `s` is thought to be lost, at any time. */
void nst_rate_lost(struct nst_tcb *t, const struct nst_tcp_sent *s);

/* What is out now is all there is: it does not show what the path could carry. */
void nst_rate_app_limited(struct nst_tcb *t);

#endif
