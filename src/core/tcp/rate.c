#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

void nst_rate_sent(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    struct nst_rate *r = &t->act->rate;
    nst_time now = t->tcps->env->now;
    uint32_t pipe = nst_board_pipe(t);

    if (pipe == 0)
        r->first_sent_time = r->delivered_time = now;
    s->rate = (struct nst_rate_stamp){
        .delivered = r->delivered,
        .delivered_time = r->delivered_time,
        .first_sent_time = r->first_sent_time,
        .tx_in_flight = pipe + (uint32_t)nst_seq_diff(s->end, s->start),
        .lost = (uint32_t)r->lost,
        .app_limited = r->app_limited != 0,
    };
}

void nst_rate_begin(struct nst_tcb *t)
{
    t->tcps->ack =
        (struct nst_rate_ack){.delivered = t->act->rate.delivered, .lost = t->act->rate.lost};
}

static bool is_newest(const struct nst_rate_ack *a, const struct nst_tcp_sent *s)
{
    return !a->has_data || s->time > a->newest_time ||
           (s->time == a->newest_time && nst_seq_gt(s->end, a->newest_end));
}

/* What was sent again, and arrives sooner than anything can, is the original, of which no stamp is
 * left. By that of the copy a round trip would begin and end with each segment that was only late,
 * and have delivered next to nothing. */
void nst_rate_delivered(struct nst_tcb *t, const struct nst_tcp_sent *s, uint32_t len,
                        const struct nst_tcp_acked *acked)
{
    struct nst_rate_ack *a = &t->tcps->ack;
    nst_time now = t->tcps->env->now, rtt = nst_max(now - s->time, 1);

    if (!s->rate.delivered_time) /* it was SACKed, and then reneged */
        return;
    t->act->rate.delivered += len;
    t->act->rate.delivered_time = now;
    if (!(s->flags & NST_SENT_EVER))
        a->rtt = a->rtt ? nst_min(a->rtt, rtt) : rtt;
    if (!is_newest(a, s) || nst_rack_may_be_of_original(t, s, acked))
        return;
    a->has_data = true;
    a->newest = s->rate;
    a->newest_time = s->time;
    a->newest_end = s->end;
    a->send_elapsed = s->time - s->rate.first_sent_time;
    t->act->rate.first_sent_time = s->time;
}

void nst_rate_lost(struct nst_tcb *t, const struct nst_tcp_sent *s)
{
    uint32_t len = (uint32_t)nst_seq_diff(s->end, s->start);

    t->act->rate.lost += len;
    if (!t->act->cc.ops->lost)
        return;
    const struct nst_cc_loss loss = {
        .bytes = len,
        .tx_in_flight = s->rate.tx_in_flight,
        .lost = (uint32_t)t->act->rate.lost - s->rate.lost,
        .delivered = t->act->rate.delivered,
        .prior_delivered = s->rate.delivered,
        .app_limited = s->rate.app_limited,
    };
    t->act->cc.now = t->tcps->env->now;
    t->act->cc.ops->lost(&t->act->cc, &loss);
}

/* Bytes a second; 0 if the interval is shorter than any round trip, as where ACKs came compressed
 * or a SACKed segment was sent needlessly again. */
static uint64_t rate_of(const struct nst_tcb *t, const struct nst_rate_ack *a)
{
    nst_time elapsed =
        nst_max(t->act->rate.delivered_time - a->newest.delivered_time, a->send_elapsed);

    if (!a->has_data || elapsed == 0 || elapsed + NST_US < nst_rtt_min(&t->rtt))
        return 0;
    return (t->act->rate.delivered - a->newest.delivered) * NST_SEC / elapsed;
}

static void remember(struct nst_rate *r, uint64_t rate, bool app_limited)
{
    if (rate == 0 || (app_limited && rate < r->bytes_per_sec))
        return;
    r->bytes_per_sec = rate;
    r->was_app_limited = app_limited;
}

static void control(struct nst_tcb *t, const struct nst_rate_ack *a, uint64_t rate)
{
    const struct nst_cc_sample sample = {
        .delivered = t->act->rate.delivered,
        .prior_delivered = a->newest.delivered,
        .rate = rate,
        .rtt = a->rtt,
        .acked = (uint32_t)(t->act->rate.delivered - a->delivered),
        .newly_lost = (uint32_t)(t->act->rate.lost - a->lost),
        .in_flight = nst_board_pipe(t),
        .tx_in_flight = a->newest.tx_in_flight,
        .lost = (uint32_t)t->act->rate.lost - a->newest.lost,
        .has_data = a->has_data,
        .app_limited = a->newest.app_limited,
        .recovery = t->act->phase >= NST_TCP_RECOVERY,
    };

    nst_recovery_prepare(t);
    t->act->cc.ops->control(&t->act->cc, &sample);
    if (t->act->cc.probing_rtt)
        nst_rate_app_limited(t);
}

void nst_rate_end(struct nst_tcb *t)
{
    const struct nst_rate_ack *a = &t->tcps->ack;
    struct nst_rate *r = &t->act->rate;
    uint64_t rate = rate_of(t, a);

    if (r->app_limited && r->delivered > r->app_limited)
        r->app_limited = 0;
    remember(r, rate, a->newest.app_limited);
    if (t->act->cc.ops->control && (r->delivered > a->delivered || r->lost > a->lost))
        control(t, a, rate);
    nst_pace_update(t);
}

void nst_rate_app_limited(struct nst_tcb *t)
{
    t->act->rate.app_limited = nst_max(t->act->rate.delivered + nst_board_pipe(t), 1);
}
