/* TIME-WAIT (RFC 9293 §3.6.1, MUST-13): the record that keeps old segments from meeting a new
 * connection with the same ends. All wait equally long, so they stand in a queue with one timer;
 * past the limit the oldest goes. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define TIME_WAIT (60 * NST_SEC) /* 2 MSL, as Linux has it */

static struct nst_tcp_timewait *oldest(struct nst_tcps *tcps)
{
    return nst_list_empty(&tcps->timewaits)
               ? NULL
               : NST_CONTAINER(tcps->timewaits.next, struct nst_tcp_timewait, age);
}

static void rearm(struct nst_tcps *tcps)
{
    struct nst_tcp_timewait *w = oldest(tcps);

    if (w)
        nst_timer_arm(&tcps->env->wheel, &tcps->timewait_timer, w->until);
    else
        nst_timer_cancel(&tcps->env->wheel, &tcps->timewait_timer);
}

void nst_timewait_free(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    nst_flow_remove(tcps, &w->flow);
    nst_list_del(&w->age);
    tcps->ntimewaits--;
    nst_env_free(tcps->env, w, sizeof *w);
}

void nst_timewait_timeout(struct nst_tcps *tcps)
{
    struct nst_tcp_timewait *w;

    while ((w = oldest(tcps)) && w->until <= tcps->env->now)
        nst_timewait_free(tcps, w);
    rearm(tcps);
}

static void answer(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    struct nst_tcp h = {.flags = NST_TCP_ACK, .seq = w->snd_nxt, .ack = w->rcv_nxt, .wnd = w->wnd};

    if (w->ts_ok) {
        h.opts.has_ts = true;
        h.opts.ts_val = nst_tcp_ts(tcps, w->ts_offset);
        h.opts.ts_ecr = w->ts_recent;
    }
    nst_tcp_send_bare(tcps, &w->flow.id, &h, 0, 0);
}

/* What does not fit is answered like this, but not each time (RFC 5961 §7). */
static void challenge(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    if (!nst_tcp_may_challenge(tcps, &w->challenged_ms))
        return;
    NST_COUNT(tcps->env, tcp_challenges);
    answer(tcps, w);
}

/* The field in a header. Behind the peer's FIN there is nothing to come, but that it was offered
 * stays true, and Linux goes on saying so. */
static uint16_t last_window(const struct nst_tcb *t)
{
    uint32_t wnd = (uint32_t)nst_seq_diff(t->rcv.adv, t->rcv.nxt) >> t->rcv_wscale;

    return (uint16_t)nst_min32(wnd, UINT16_MAX);
}

void nst_timewait_enter(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;
    struct nst_tcp_timewait *w = nst_env_alloc(tcps->env, sizeof *w);
    bool ack_due = t->ack_now || t->ack_pending;

    if (w) {
        *w = (struct nst_tcp_timewait){.flow.id = t->flow.id,
                                       .until = tcps->env->now + TIME_WAIT,
                                       .snd_nxt = t->snd.nxt,
                                       .rcv_nxt = t->rcv.nxt,
                                       .wnd = last_window(t),
                                       .ts_ok = t->ts_ok,
                                       .ts_recent = t->ts_recent,
                                       .ts_offset = t->ts_offset};
        nst_list_init(&w->age);
    }
    nst_tcb_ended(t, 0); /* leaves the table; the owner may still read */
    if (!w)
        return;
    if (tcps->ntimewaits >= tcps->config.max_timewaits)
        nst_timewait_free(tcps, oldest(tcps));
    if (nst_flow_insert(tcps, &w->flow, NST_FLOW_TIMEWAIT) != 0) {
        nst_env_free(tcps->env, w, sizeof *w);
        return;
    }
    nst_list_push_back(&tcps->timewaits, &w->age);
    tcps->ntimewaits++;
    NST_COUNT(tcps->env, tcp_timewaits);
    if (ack_due) /* of the peer's FIN */
        answer(tcps, w);
    rearm(tcps);
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
    const struct nst_sockaddr local = {
        .addr = w->flow.id.local, .port = w->flow.id.lport, .link = pkt->link};

    return nst_listener_find(tcps, &local) != NULL;
}

/* The peer's FIN again: our last ACK was lost. */
static bool is_last_fin(const struct nst_tcp_timewait *w, const struct nst_tcp_seg *seg)
{
    nst_seq end = nst_seq_add(seg->seq, seg->len + 1);

    return seg->h.flags & NST_TCP_FIN && nst_seq_eq(end, w->rcv_nxt);
}

static void begin_again(struct nst_tcps *tcps, struct nst_tcp_timewait *w)
{
    w->until = tcps->env->now + TIME_WAIT;
    nst_list_del(&w->age);
    nst_list_push_back(&tcps->timewaits, &w->age);
    rearm(tcps);
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
        rearm(tcps);
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
        begin_again(tcps, w);
    challenge(tcps, w); /* a SYN that may be old too (6191-2) */
    return false;
}
