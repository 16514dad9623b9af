/* The round-trip time of a connection and the retransmission timeout that follows from it (RFC
 * 6298).
 *
 * Each sample moves two averages: the smoothed RTT by an eighth, its mean deviation by a quarter.
 * The timeout is the smoothed RTT and four deviations, the latter at least 200 ms: the shape of
 * Linux, which peers' delayed ACKs of 40 to 200 ms are tuned to (RFC 6298 §2.4 would have 1 s for
 * the whole). Each expiry of the timer doubles it; the next sample undoes that.
 *
 * Before the first sample the deviation stands at a quarter of the initial timeout and the smoothed
 * RTT at zero, so that the one formula holds from the start.
 *
 * What an earlier connection measured (metrics.c) can make the timeout longer before the first
 * sample of data: the handshake's are of small segments, and too short where large ones queue.
 *
 * Beside them runs the least RTT of the last five minutes. Two samples are kept for it: the least,
 * and as its heir the least of those taken half a window or more later, which follows when the
 * first is five minutes old. What stands there is always a real sample of the window, and no sample
 * of the last half of the window was less.
 *
 * Which samples are valid (Karn: none of what was retransmitted, unless a timestamp tells) is the
 * caller's to know. */
#ifndef NST_TCP_RTT_H
#define NST_TCP_RTT_H

#include "core/base/timer.h"

#define NST_RTO_VAR_MIN    (200 * NST_MS) /* of the timeout's part for deviation */
#define NST_RTO_INITIAL    (1 * NST_SEC)  /* 6298-1 */
#define NST_RTO_FALLBACK   (3 * NST_SEC)  /* 6298-12 */
#define NST_RTO_MAX        (120 * NST_SEC)
#define NST_RTT_MIN_WINDOW (300 * NST_SEC)

/* To be read anywhere, changed by the functions below only. Every connection has one, idle or not:
 * so what needs no nanoseconds has none. */
struct nst_rtt {
    nst_time srtt;            /* smoothed, ns; 0: no sample yet */
    nst_time rttvar;          /* smoothed mean deviation, ns */
    uint32_t min_us, heir_us; /* the least, and what follows it when it has expired; 0: none */
    uint32_t min_at_ms, heir_at_ms; /* when they were sampled, in milliseconds that wrap */
    uint32_t least_rto_us;          /* until the next sample; 0: nothing is known */
    uint8_t backoff;                /* expiries since the last sample or reset; stops at 255 */
};

void nst_rtt_init(struct nst_rtt *rtt);

/* The timeout to arm now, backoff included: 200 ms to NST_RTO_MAX. */
nst_time nst_rtt_rto(const struct nst_rtt *rtt);

/* The least RTT of the last five minutes, as of the last sample, in whole microseconds (rounded
 * up); 0: none yet. */
nst_time nst_rtt_min(const struct nst_rtt *rtt);

/* A round trip was measured to take `sample` ns, at the time `now`. Takes any value: beyond 1 ns to
 * NST_RTO_MAX it is the nearest of the two. Ends the backoff. */
void nst_rtt_sample(struct nst_rtt *rtt, nst_time sample, nst_time now);

/* Earlier it took `srtt`, and deviated by `rttvar`: until the next sample the timeout is not
 * shorter than follows from that. For that reason it becomes no longer than NST_RTO_FALLBACK, which
 * is what one may have to begin with anyway. */
void nst_rtt_expect(struct nst_rtt *rtt, nst_time srtt, nst_time rttvar);

/* The retransmission timer expired: doubles the timeout (RFC 6298 §5.5). */
void nst_rtt_backoff(struct nst_rtt *rtt);

/* The path works after all, though there was nothing to measure: the timeout without its backoff.
 */
void nst_rtt_reset_backoff(struct nst_rtt *rtt);

/* The handshake ended after a SYN was retransmitted: unless it could be measured nevertheless, the
 * timeout for the first data is 3 s (RFC 6298 §5.7). Ends the backoff. */
void nst_rtt_syn_was_lost(struct nst_rtt *rtt);

#endif
