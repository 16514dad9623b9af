/* TIME-WAIT (RFC 9293 §3.6.1, MUST-13): the record that keeps old segments from meeting a new
 * connection with the same ends.
 *
 * There may be very many of them, so a record is nothing but the flow and 16 bytes. It stands in no
 * list: whoever meets one whose time is over takes it for gone (table.c), and a sweep through the
 * table, a part of it at a time, gives back the memory. Past the limit the sweep takes the next one
 * on its way, whether its time is over or not. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define TIME_WAIT (60 * NST_SEC) /* 2 MSL, as Linux has it */

/* Times in a record: sixteenths of a second. They wrap after half an hour, which matters to nobody
 * as the sweep comes sooner; those of challenges after 16 s, so that later one of 32 is left out.
 */
#define TICK            (NST_SEC / 16)
#define TICKS_MASK      0x7fffu
#define CHALLENGE_PAUSE 8

#define SWEEP_BUCKETS 4096u          /* in one step */
#define SWEEP_STEP    (10 * NST_MS)  /* from one to the next */
#define SWEEP_PAUSE   (250 * NST_MS) /* from one round to the next, at least */

static uint32_t ticks_of(nst_time time)
{
    return (uint32_t)(time / TICK) & TICKS_MASK;
}

/* How long it waits still, in ticks; 0: its time is over. */
static uint32_t ticks_left(const struct nst_tcps *tcps, const struct nst_tcp_timewait *w)
{
    uint32_t left = (w->until - ticks_of(tcps->env->now)) & TICKS_MASK;

    return left <= TICKS_MASK / 2 ? left : 0;
}

bool nst_timewait_is_over(const struct nst_tcps *tcps, const struct nst_tcp_timewait *w)
{
    return ticks_left(tcps, w) == 0;
}

static void wait_anew(const struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    w->until = (uint16_t)(ticks_of(tcps->env->now + TIME_WAIT + TICK - 1) & TICKS_MASK);
}

void nst_timewait_free(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    nst_flow_remove(tcps, &w->flow);
    tcps->ntimewaits--;
    nst_env_free(tcps->env, w, sizeof *w);
}

/* ---- The sweep --------------------------------------------------------------------------- */

/* Frees those of one bucket whose time is over, and notes when the first of the others comes. */
static void sweep_bucket(struct nst_tcps *tcps, struct nst_flow *flow)
{
    while (flow) {
        struct nst_tcp_timewait *w = NST_CONTAINER(flow, struct nst_tcp_timewait, flow);
        bool waits = flow->kind == NST_FLOW_TIMEWAIT;
        flow = flow->next;
        if (!waits)
            continue;
        uint32_t left = ticks_left(tcps, w);
        if (left)
            tcps->sweep_next = nst_min(tcps->sweep_next, tcps->env->now + left * TICK);
        else
            nst_timewait_free(tcps, w);
    }
}

/* The round is over: when does the next one begin? */
static nst_time next_round(struct nst_tcps *tcps)
{
    nst_time now = tcps->env->now;
    nst_time at = tcps->sweep_next == NST_TIME_NEVER ? now + TIME_WAIT : tcps->sweep_next;

    tcps->sweep_next = NST_TIME_NEVER;
    return nst_max(at, now + SWEEP_PAUSE);
}

void nst_timewait_timeout(struct nst_tcps *tcps)
{
    uint32_t n = nst_min32(SWEEP_BUCKETS, tcps->mask + 1);

    for (uint32_t i = 0; i < n; i++)
        sweep_bucket(tcps, tcps->buckets[tcps->sweep_at++ & tcps->mask]);
    if (tcps->ntimewaits == 0)
        return;
    bool done = (tcps->sweep_at & tcps->mask) < n;
    nst_timer_arm(&tcps->env->wheel, &tcps->timewait_timer,
                  done ? next_round(tcps) : tcps->env->now + SWEEP_STEP);
}

/* Frees the next one that the sweep would come to. */
static void make_room(struct nst_tcps *tcps)
{
    for (;; tcps->sweep_at++)
        for (struct nst_flow *f = tcps->buckets[tcps->sweep_at & tcps->mask]; f; f = f->next)
            if (f->kind == NST_FLOW_TIMEWAIT) {
                nst_timewait_free(tcps, NST_CONTAINER(f, struct nst_tcp_timewait, flow));
                return;
            }
}

/* ---- What it says ------------------------------------------------------------------------ */

static void answer(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    struct nst_tcp h = {.flags = NST_TCP_ACK, .seq = w->snd_nxt, .ack = w->rcv_nxt, .wnd = w->wnd};

    if (w->ts_ok) {
        h.opts.has_ts = true;
        h.opts.ts_val = nst_tcp_ts(tcps, nst_tcp_ts_offset(tcps, &w->flow.id));
        h.opts.ts_ecr = w->ts_recent;
    }
    nst_tcp_send_bare(tcps, &w->flow.id, &h, 0, 0);
}

/* What does not fit is answered like this, but not each time (RFC 5961 §7). */
static void challenge(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    uint8_t now = (uint8_t)ticks_of(tcps->env->now), *last = &w->flow.challenged;

    if (*last && (uint8_t)(now - *last) < CHALLENGE_PAUSE)
        return;
    *last = now ? now : 1;
    NST_COUNT(tcps->env, tcp_challenges);
    answer(tcps, w);
}

/* ---- The connection's last state --------------------------------------------------------- */

/* The field in a header. Behind the peer's FIN there is nothing to come, but that it was offered
 * stays true, and Linux goes on saying so. */
static uint16_t last_window(const struct nst_tcb *t)
{
    uint32_t wnd = (uint32_t)nst_seq_diff(t->rcv.adv, t->rcv.nxt) >> t->rcv_wscale;

    return (uint16_t)nst_min32(wnd, UINT16_MAX);
}

static struct nst_tcp_timewait *record_new(const struct nst_tcb *t)
{
    struct nst_tcp_timewait *w = nst_env_alloc(t->tcps->env, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct nst_tcp_timewait){.flow.id = t->flow.id,
                                   .snd_nxt = t->snd.nxt,
                                   .rcv_nxt = t->rcv.nxt,
                                   .wnd = last_window(t),
                                   .ts_ok = t->ts_ok,
                                   .ts_recent = t->ts_recent};
    wait_anew(t->tcps, w);
    return w;
}

void nst_timewait_enter(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;
    struct nst_tcp_timewait *w = record_new(t);
    bool ack_due = t->ack_now || t->ack_pending;

    nst_tcb_ended(t, 0); /* leaves the table; the owner may still read */
    if (!w)
        return;
    if (tcps->ntimewaits >= tcps->config.max_timewaits)
        make_room(tcps);
    if (nst_flow_insert(tcps, &w->flow, NST_FLOW_TIMEWAIT) != 0) {
        nst_env_free(tcps->env, w, sizeof *w);
        return;
    }
    tcps->ntimewaits++;
    NST_COUNT(tcps->env, tcp_timewaits);
    if (ack_due) /* of the peer's FIN */
        answer(tcps, w);
    if (!nst_timer_armed(&tcps->timewait_timer))
        nst_timer_arm(&tcps->env->wheel, &tcps->timewait_timer, tcps->env->now + TIME_WAIT + TICK);
}

/* RFC 9293 §3.6.1 (SHLD-4, MAY-2), RFC 6191 §2 (6191-1): a SYN that cannot be an old one. */
static bool begins_anew(const struct nst_tcp_timewait *w, const struct nst_tcp_seg *seg)
{
    const struct nst_tcp *h = &seg->h;

    if ((h->flags & (NST_TCP_SYN | NST_TCP_ACK | NST_TCP_RST)) != NST_TCP_SYN)
        return false;
    if (w->ts_ok && h->opts.has_ts && h->opts.ts_val != w->ts_recent)
        return (int32_t)(h->opts.ts_val - w->ts_recent) > 0;
    return nst_seq_gt(h->seq, w->rcv_nxt);
}

/* A SYN that nobody waits for opens nothing, and so must not end the wait: anybody can send one. */
static bool is_listened_to(struct nst_tcps *tcps, const struct nst_pkt *pkt,
                           const struct nst_tcp_timewait *w)
{
    return nst_listener_find(tcps, &w->flow.id, pkt->link) != NULL;
}

/* The peer's FIN again: our last ACK was lost. */
static bool is_last_fin(const struct nst_tcp_timewait *w, const struct nst_tcp_seg *seg)
{
    nst_seq end = nst_seq_add(seg->seq, seg->len + 1);

    return seg->h.flags & NST_TCP_FIN && nst_seq_eq(end, w->rcv_nxt);
}

/* Nothing is taken any more, whatever was offered: only an empty segment at RCV.NXT fits. It is not
 * answered, or two ends that agree would go on for ever. */
bool nst_timewait_input(struct nst_tcps *tcps, struct nst_tcp_timewait *w, struct nst_tcp_seg *seg,
                        enum nst_drop *drop)
{
    if (begins_anew(w, seg) && is_listened_to(tcps, seg->pkt, w)) {
        seg->reopens = true;
        seg->used = w->snd_nxt;
        nst_timewait_free(tcps, w);
        return true;
    }
    if (seg->h.flags & NST_TCP_RST) { /* 1337-1: it doesn't end the wait */
        *drop = NST_DROP_tcp_rst;
        return false;
    }
    *drop = NST_DROP_tcp_seq;
    if (nst_tcp_in_window(seg, w->rcv_nxt, w->rcv_nxt))
        return false;
    if (is_last_fin(w, seg))
        wait_anew(tcps, w);
    challenge(tcps, w); /* a SYN that may be old too (6191-2) */
    return false;
}
