/* HyStart++ (RFC 9406): slow start notices that a queue builds up before it overflows.
 *
 * In each round trip at least eight samples of the RTT are compared with the least of the round
 * before. Where they are all longer by an eighth (4 to 16 ms), growth slows down to a quarter
 * (Conservative Slow Start). If the delay was only noise it shrinks again and slow start goes on;
 * otherwise after five rounds congestion avoidance begins. Only the first slow start needs this:
 * later ones know their threshold.
 *
 * All that a round's least RTT tells is how the path was when its first segments left, one round
 * before the last of them are acknowledged; meanwhile the window has doubled. Where a queue holds
 * less than twice what the path does, it would overflow before the RFC notices, or in the five
 * rounds, in which the window may treble. So the latest samples count as well:
 *
 * - While the last eight are all 4 ms longer than the least of the round before, a window that is
 *   paced doesn't grow. Pacing at twice the window's rate makes no queue before the window is half
 *   of what the path holds, and by the time its delay is known the window has doubled. If it was
 *   noise, growth goes on with the next sample that is less.
 * - Once the last eight are longer by 4 ms than it took for CSS to begin, slow start ends: the five
 *   rounds are for telling noise from a queue. */
#ifndef NST_TCP_HYSTART_H
#define NST_TCP_HYSTART_H

#include "core/tcp/cc.h"

/* Zero: not begun. */
struct nst_hystart {
    nst_seq window_end;
    uint32_t current_us, last_us, baseline_us; /* the rounds' least RTTs; UINT32_MAX: none */
    uint32_t late_us;   /* a sample is late from here on; UINT32_MAX: none is */
    uint8_t late;       /* samples in a row that are, up to N_RTT_SAMPLE */
    uint8_t samples;    /* of this round, up to N_RTT_SAMPLE */
    uint8_t css_rounds; /* begun in CSS; 0: in slow start */
    bool begun;
};

/* An ACK of `acked` bytes in slow start. Returns by how many the window may grow; ends slow start,
 * by ssthresh, when it is time. `rtt` 0: not measured. */
uint32_t nst_hystart_acked(struct nst_hystart *h, struct nst_cc *cc, uint32_t acked, nst_time rtt);

#endif
