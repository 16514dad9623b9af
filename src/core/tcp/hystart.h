/* HyStart++ (RFC 9406): slow start notices that a queue builds up before it overflows.
 *
 * In each round trip at least eight samples of the RTT are compared with the least of the round
 * before. Where they are all longer by an eighth (4 to 16 ms), growth slows down to a quarter
 * (Conservative Slow Start). If the delay was only noise it shrinks again and slow start goes on;
 * otherwise after five rounds congestion avoidance begins. Only the first slow start needs this:
 * later ones know their threshold.
 *
 * The window may treble in five rounds of it, and a queue that is shorter than that would overflow.
 * So slow start also ends once the delay has risen by 4 ms more in a round of CSS, where noise
 * would have gone: the RFC's five rounds are for telling the two apart. */
#ifndef NST_TCP_HYSTART_H
#define NST_TCP_HYSTART_H

#include "core/tcp/cc.h"

/* Zero: not begun. */
struct nst_hystart {
    nst_seq window_end;
    uint32_t current_us, last_us, baseline_us; /* the rounds' least RTTs; UINT32_MAX: none */
    uint8_t samples;                           /* of this round, up to N_RTT_SAMPLE */
    uint8_t css_rounds;                        /* begun in CSS; 0: in slow start */
    bool begun;
};

/* An ACK of `acked` bytes in slow start. Returns by how many the window may grow; ends slow start,
 * by ssthresh, when it is time. `rtt` 0: not measured. */
uint32_t nst_hystart_acked(struct nst_hystart *h, struct nst_cc *cc, uint32_t acked, nst_time rtt);

#endif
