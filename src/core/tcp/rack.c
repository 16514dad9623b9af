/* Losses by time (RFC 8985, RACK): a segment is lost when one that was sent enough later has
 * arrived. "Enough" is the reordering window: nothing while no reordering was ever seen and three
 * segments' worth are SACKed, as the classic rule has it; otherwise a quarter of the least round
 * trip, and a quarter more each time a duplicate shows that it was too little, for the next sixteen
 * recoveries.
 *
 * Only times of transmission count, not sequence numbers: so retransmissions are found to be lost
 * in the same way as originals, and so is the last segment but for those behind it. What was sent
 * before the newest that arrived but isn't overdue yet gets a timer, each for its own time.
 *
 * The segments under way stand on a list in the order of their transmission (scoreboard.c): an
 * acknowledgement looks at those that it declares lost and one more, whatever a peer makes of its
 * SACKs (CVE-2019-5599). */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define DUP_THRESH  3  /* RFC 8985 §3.1 */
#define PERSISTENCE 16 /* recoveries: RFC 8985 §3.2 */

#define JITTER_SHARE 8 /* of the least round trip */

bool nst_rack_is_on(const struct nst_tcb *t)
{
    /* 8985-1 */
    return t->sack_ok && t->opt.recovery & NST_TCP_RECOVERY_RACK;
}

/* ---- What has arrived ------------------------------------------------------------------------ */

/* Step 2: an acknowledgement of what was sent again may be for the original (8985-4). The timestamp
 * that it echoes is of what moved the receiver's left edge (RFC 7323 §4.3): it says nothing about
 * what was SACKed, as a tail's probe is, for which it is always too old. And what comes sooner than
 * the least round trip by less than an eighth is the network's jitter. */
bool nst_rack_may_be_of_original(const struct nst_tcb *t, const struct nst_tcp_sent *s,
                                 const struct nst_tcp_acked *a)
{
    uint32_t sent_ts = nst_tcp_ts_at(s->time, t->ts_offset);
    nst_time least = nst_rtt_min(&t->rtt), soon = least - least / JITTER_SHARE;
    bool echoed = a->has_ecr && nst_seq_eq(s->start, t->snd.una);

    if (!(s->flags & NST_SENT_EVER))
        return false;
    return (echoed && (int32_t)(a->ecr - sent_ts) < 0) || t->tcps->env->now - s->time < soon;
}

/* Step 3: something sent once only arrives after what was behind it (8985-6). */
static void note_order(struct nst_tcb *t, const struct nst_tcp_sent *s, nst_seq end)
{
    struct nst_tcp_rack *r = &t->act->rack;

    if (nst_seq_gt(end, r->fack)) {
        r->fack = end;
    } else if (nst_seq_lt(end, r->fack) && !(s->flags & NST_SENT_EVER)) {
        r->reordering_seen = true;
        nst_tcb_trouble(t)->reordered++;
    }
}

void nst_rack_delivered(struct nst_tcb *t, const struct nst_tcp_sent *s, nst_seq end,
                        struct nst_tcp_acked *a)
{
    struct nst_tcp_rack *r = &t->act->rack;
    bool newer = s->time > r->xmit_ts || (s->time == r->xmit_ts && nst_seq_gt(end, r->end_seq));

    note_order(t, s, end);
    if (!(s->flags & NST_SENT_EVER) && nst_seq_le(end, t->act->recovery_point))
        a->original = true;
    if (!newer || nst_rack_may_be_of_original(t, s, a))
        return;
    r->xmit_ts = s->time; /* 8985-3 */
    r->end_seq = end;
    r->rtt = t->tcps->env->now - s->time;
}

/* ---- The reordering window --------------------------------------------------------------- */

/* Step 4: a duplicate means that the window was too small; once a round trip (8985-8). */
void nst_rack_adapt(struct nst_tcb *t, const struct nst_tcp_acked *a)
{
    struct nst_tcp_rack *r = &t->act->rack;

    if (r->in_dsack_round && nst_seq_ge(t->snd.una, r->dsack_round))
        r->in_dsack_round = false;
    if (!a->dsack || r->in_dsack_round || nst_tlp_came_twice(t, a))
        return;
    r->in_dsack_round = true;
    r->dsack_round = t->snd.nxt;
    r->reo_wnd_persist = PERSISTENCE;
    if (r->reo_wnd_mult < UINT8_MAX)
        r->reo_wnd_mult++;
}

/* 8985-9 */
void nst_rack_recovered(struct nst_tcb *t)
{
    struct nst_tcp_rack *r = &t->act->rack;

    if (r->reo_wnd_persist && --r->reo_wnd_persist == 0)
        r->reo_wnd_mult = 0;
}

static nst_time reo_wnd(const struct nst_tcb *t)
{
    const struct nst_tcp_rack *r = &t->act->rack;
    bool enough = t->act->board.sacked > (DUP_THRESH - 1) * (uint32_t)t->snd_mss;

    if (!r->reordering_seen && (enough || t->act->phase >= NST_TCP_RECOVERY)) /* 8985-7 */
        return 0;
    return nst_min((r->reo_wnd_mult + 1u) * (nst_rtt_min(&t->rtt) / 4), t->rtt.srtt); /* 8985-10 */
}

nst_time nst_rack_reo_wnd(const struct nst_tcb *t)
{
    return t->act ? reo_wnd(t) : 0;
}

/* ---- What is lost ------------------------------------------------------------------------ */

static bool sent_before(const struct nst_tcp_sent *s, const struct nst_tcp_rack *r)
{
    return s->time < r->xmit_ts || (s->time == r->xmit_ts && nst_seq_lt(s->end, r->end_seq));
}

/* Step 5 (8985-11, 8985-12). */
bool nst_rack_detect(struct nst_tcb *t)
{
    nst_time wait = t->act->rack.rtt + reo_wnd(t), now = t->tcps->env->now;
    struct nst_tcp_sent *s;
    bool any = false;

    while ((s = nst_board_oldest(t)) && sent_before(s, &t->act->rack) && s->time + wait <= now) {
        nst_board_mark_one_lost(t, s); /* even if it was sent again (8985-5) */
        any = true;
    }
    if (s && sent_before(s, &t->act->rack))
        nst_tcb_set(t, NST_TCP_DL_REO, s->time + wait);
    else
        nst_tcb_clear(t, NST_TCP_DL_REO);
    return any;
}

/* RFC 8985 §6.3: the first is lost, and what is overdue; the rest may well be under way (8985-13).
 */
void nst_rack_timeout(struct nst_tcb *t)
{
    nst_time rtt = t->act->rack.rtt ? t->act->rack.rtt : t->rtt.srtt;
    nst_time wait = rtt + reo_wnd(t), now = t->tcps->env->now;
    struct nst_tcp_sent *s;

    nst_tcb_clear(t, NST_TCP_DL_REO);
    nst_board_mark_first_lost(t);
    while ((s = nst_board_oldest(t)) && s->time + wait <= now)
        nst_board_mark_one_lost(t, s);
}
