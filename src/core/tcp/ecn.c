/* Explicit congestion notification (RFC 3168, SHLD-8): what a queue marks instead of dropping it
 * counts as lost, without being sent again.
 *
 *     the sender's data ECT(0) -> a queue marks it CE -> the receiver echoes ECE in every segment
 *         -> the sender shrinks its window and says CWR with its next new data -> ECE ends
 *
 * Both ends agree in the handshake: ECE and CWR in the SYN ask, ECE alone in the SYN-ACK accepts. A
 * SYN that had to be repeated asks for nothing, for the path may not like what it said. Nothing but
 * new data is ever marked ECT: not SYNs, acknowledgements, probes or what is sent again, of which a
 * loss would go unnoticed or a forgery count. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define ECN_MASK 3
#define ECT_0    2
#define CE       3

#define BOTH (NST_TCP_ECE | NST_TCP_CWR)

/* ---- The handshake (RFC 3168 §6.1.1) ----------------------------------------------------- */

/* 3168-1, 3168-7: what our SYN or, in a simultaneous open, SYN-ACK bears. One that does not ask
 * ends the matter, whatever the answer to an earlier one says (3168-3, 3168-19). */
uint8_t nst_ecn_syn_flags(struct nst_tcb *t)
{
    if (t->state != NST_TCP_SYN_SENT)
        return t->ecn_ok ? NST_TCP_ECE : 0;
    t->act->ecn_asked = t->opt.ecn == NST_TCP_ECN_ASK && t->act->retries == 0;
    return t->act->ecn_asked ? BOTH : 0;
}

/* A SYN-ACK that has CWR, too, was only reflected by somebody who does not know these flags
 * (3168-4). */
void nst_ecn_answered(struct nst_tcb *t, uint8_t flags)
{
    uint8_t agrees = flags & NST_TCP_ACK ? NST_TCP_ECE : BOTH;

    t->ecn_ok = t->act->ecn_asked && (flags & BOTH) == agrees;
}

bool nst_ecn_asks(uint8_t mode, uint8_t flags)
{
    return mode != NST_TCP_ECN_OFF && (flags & BOTH) == BOTH;
}

/* ---- The receiver (RFC 3168 §6.1.3) ------------------------------------------------------ */

/* Data that lies, at least in part, in the window: what is outside of it may be forged or a
 * duplicate, and says nothing (3168-14). CWR ends the echo of what came before it (3168-12).
 * Whoever has shrunk, or is to, may have very little out: it is answered at once. */
void nst_ecn_data_input(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    uint8_t ecn = seg->pkt->ip.tos & ECN_MASK;

    if (!t->ecn_ok || seg->len == 0)
        return;
    bool before = t->ecn_echo;
    if (seg->h.flags & NST_TCP_CWR)
        t->ecn_echo = false;
    t->ecn_seen |= ecn != 0;
    if (ecn == CE) { /* 3168-11 */
        t->ecn_echo = true;
        nst_tcb_trouble(t)->ce_segs++;
    }
    if (t->ecn_echo != before) {
        t->ack_now = true;
        nst_tcb_wants_output(t);
    }
}

/* ---- The sender (RFC 3168 §6.1.2) -------------------------------------------------------- */

/* For whatever reason: that is said with the next new data (3168-9), and no mark counts until
 * something that was sent later is acknowledged: one reduction for a window (3168-8). */
void nst_ecn_reduced(struct nst_tcb *t)
{
    t->ecn_cwr_due = t->ecn_ok;
    t->act->ecn_held = true;
    t->act->ecn_point = t->snd.nxt;
}

bool nst_ecn_congested(struct nst_tcb *t, const struct nst_tcp_seg *seg)
{
    if (t->act->ecn_held && nst_seq_gt(seg->h.ack, t->act->ecn_point))
        t->act->ecn_held = false;
    return t->ecn_ok && seg->h.flags & NST_TCP_ECE && !t->act->ecn_held &&
           nst_seq_lt(t->snd.una, t->snd.nxt);
}

/* The ECN field for `len` bytes of payload, which were never sent before if `fresh`, and the flags
 * beside it. A FIN alone is no data. */
uint8_t nst_ecn_mark(struct nst_tcb *t, struct nst_tcp *h, uint32_t len, bool fresh)
{
    if (!t->ecn_ok || len == 0 || !fresh)
        return 0;
    if (t->ecn_cwr_due)
        h->flags |= NST_TCP_CWR;
    t->ecn_cwr_due = false;
    return ECT_0; /* 3168-5; and no other: 3168-13, 3168-15, 3168-16 */
}
