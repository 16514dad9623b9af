/* A connection's deadlines: the earliest stands in the stack's wheel, or one that was earlier and
 * has been put off or dropped since. With most of them that happens, segment for segment, and few
 * come: so the timer is left where it is rather than moved each time. It is moved when it has come
 * near, for its time is that for which the owner of the stack may sleep, and short sleeps are dear.
 */
#include <errno.h>

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define OVERRIDE_MAX NST_SEC /* RFC 9293 §3.8.6.2.1: 0.1 to 1 s */

/* Two ticks of the clock of a kernel that has 250 a second, and what a slot of the wheel rounds
 * off. */
#define NEAR (12 * NST_MS)

static nst_time *deadline(struct nst_tcb *t, enum nst_tcp_deadline which)
{
    return which == NST_TCP_DL_WATCH ? &t->watch : &t->act->deadlines[which];
}

static nst_time fires_at(const struct nst_tcb *t)
{
    return nst_timer_armed(&t->timer) ? nst_timer_at(&t->timer) : NST_TIME_NEVER;
}

static nst_time earliest(const struct nst_tcb *t)
{
    nst_time at = NST_TIME_NEVER;

    for (unsigned i = 0; i <= NST_TCP_DL_WATCH; i++)
        at = nst_min(at, nst_tcb_deadline(t, i));
    return at;
}

/* Whether a timer that would fire at `fires` is near enough, and `at` far enough beyond, to move
 * it: what is set again and again at a short distance moves it once in half of that. */
static bool is_to_be_moved(nst_time now, nst_time fires, nst_time at)
{
    return fires < now + NEAR && at - fires >= fires - nst_min(now, fires);
}

void nst_tcb_set(struct nst_tcb *t, enum nst_tcp_deadline which, nst_time at)
{
    struct nst_env *env = t->tcps->env;
    nst_time fires = fires_at(t);

    *deadline(t, which) = at;
    if (at < fires)
        nst_timer_arm(&env->wheel, &t->timer, at);
    else if (is_to_be_moved(env->now, fires, at) && (at = earliest(t)) > fires)
        nst_timer_arm(&env->wheel, &t->timer, at);
}

void nst_tcb_clear(struct nst_tcb *t, enum nst_tcp_deadline which)
{
    if (nst_tcb_deadline(t, which) != NST_TIME_NEVER)
        *deadline(t, which) = NST_TIME_NEVER;
}

/* ---- Retransmission and probes ----------------------------------------------------------- */

static bool is_out(const struct nst_tcb *t)
{
    return nst_seq_lt(t->snd.una, t->snd.nxt);
}

/* Something waits that only a window update can set free, not the time. */
static bool is_blocked(const struct nst_tcb *t)
{
    if (nst_tcb_deadline(t, NST_TCP_DL_PACE) != NST_TIME_NEVER)
        return false;
    return nst_seq_lt(t->snd.nxt, nst_tcb_snd_end(t)) || (t->fin_queued && !t->fin_sent);
}

/* A FIN is to be sent, and there was no memory for what that takes. */
static bool is_starved(const struct nst_tcb *t)
{
    return !t->act && t->state >= NST_TCP_ESTABLISHED && is_blocked(t);
}

/* When the timer is to expire: not later than the owner is willing to wait. Data that a silly
 * window holds back waits for the override timeout (MUST-38). */
static nst_time rto_deadline(const struct nst_tcb *t)
{
    bool silly = !is_out(t) && t->snd.wnd && !nst_fastopen_shakes(t);
    nst_time rto = nst_rtt_rto(&t->rtt);
    nst_time at = t->tcps->env->now + (silly ? nst_min(rto, OVERRIDE_MAX) : rto);
    nst_time limit = t->act->first_unacked + t->opt.user_timeout_ms * NST_MS;

    return t->opt.user_timeout_ms ? nst_min(at, limit) : at;
}

bool nst_tcb_waits(const struct nst_tcb *t)
{
    return t->state >= NST_TCP_ESTABLISHED &&
           (is_out(t) || is_blocked(t) || nst_fastopen_shakes(t));
}

/* 6298-7, 6298-8, and after each acknowledgement of something new 6298-9. */
void nst_tcb_rearm(struct nst_tcb *t)
{
    if (t->state < NST_TCP_ESTABLISHED)
        return;
    if (!nst_tcb_waits(t)) {
        nst_tcb_clear(t, NST_TCP_DL_RTO);
        return;
    }
    if (is_starved(t)) {
        nst_tcb_set(t, NST_TCP_DL_WATCH, t->tcps->env->now + nst_rtt_rto(&t->rtt));
        return;
    }
    if (!t->act->first_unacked)
        t->act->first_unacked = t->tcps->env->now;
    nst_tcb_set(t, NST_TCP_DL_RTO, rto_deadline(t));
}

void nst_tcb_rearm_if_idle(struct nst_tcb *t)
{
    if (nst_tcb_deadline(t, NST_TCP_DL_RTO) == NST_TIME_NEVER)
        nst_tcb_rearm(t);
}

/* R2 (MUST-20), or what the owner asked for instead (MUST-21; RFC 5482). */
static bool has_waited_enough(const struct nst_tcb *t, uint8_t retries)
{
    nst_time waited = t->act->first_unacked ? t->tcps->env->now - t->act->first_unacked : 0;

    if (t->opt.user_timeout_ms)
        return waited >= t->opt.user_timeout_ms * NST_MS;
    return t->act->retries >= retries;
}

/* The owner hears what ICMP had to say, if it did (MUST-47, SHLD-25). */
static void give_up(struct nst_tcb *t)
{
    nst_tcb_abort(t, t->act->soft_error ? t->act->soft_error : ETIMEDOUT);
}

/* MUST-20: the next hop may be at fault. */
static void advise_ip(struct nst_tcb *t)
{
    if (t->act->retries < t->tcps->config.retries1 || t->r1_told)
        return;
    t->r1_told = true;
    nst_ip_doubt(t->tcps->ip, &t->flow.id.peer);
}

/* One expiry more. A user timeout allows for any number of them. */
static void count_expiry(struct nst_tcb *t)
{
    if (t->act->retries < UINT8_MAX)
        t->act->retries++;
}

/* R1 and R2 of a SYN (MUST-22). */
static void syn_timeout(struct nst_tcb *t)
{
    if (has_waited_enough(t, t->opt.syn_retries)) {
        nst_tcb_ended(t, t->act->soft_error ? t->act->soft_error : ETIMEDOUT);
        return;
    }
    count_expiry(t);
    advise_ip(t);
    nst_rtt_backoff(&t->rtt);
    nst_tcb_set(t, NST_TCP_DL_RTO, rto_deadline(t));
    t->probe_now = true;
    nst_tcb_wants_output(t);
}

/* The SYN-ACK of a connection that sends and receives already: what it sent waits for the ACK. */
static void synack_timeout(struct nst_tcb *t)
{
    if (has_waited_enough(t, t->tcps->config.synack_retries)) {
        nst_tcb_ended(t, ETIMEDOUT);
        return;
    }
    t->act->retries++;
    nst_rtt_backoff(&t->rtt);
    t->act->fastopen->synack_due = true;
    nst_tcb_rearm(t);
    nst_tcb_wants_output(t);
}

/* A window that stays closed, or was taken back (MUST-35, MUST-36, SHLD-17), is asked about for as
 * long as the peer answers (MUST-37), which sets `retries` back, unless nobody waits any more, or
 * what waits is kept from others (RFC 6429 §4). */
static bool has_probed_enough(const struct nst_tcb *t)
{
    const struct nst_tcp_config *c = &t->tcps->config;
    bool orphan = !t->owner;
    bool unwanted = orphan || nst_pool_is_scarce(t->tcps->pool);

    return (unwanted && t->rtt.backoff >= c->orphan_retries) || has_waited_enough(t, c->retries2);
}

static void probe(struct nst_tcb *t)
{
    if (t->snd.wnd) {
        t->push_now = true; /* too small a window to be worth it, but it stays so */
        return;
    }
    count_expiry(t);
    nst_rtt_backoff(&t->rtt); /* SHLD-29, SHLD-30 */
    t->probe_now = true;
}

/* A retransmission waited for memory, which is not the network's fault and so no reason to slow
 * down or give up; unless it is what nobody owns any more that fills the memory. */
static void starved_timeout(struct nst_tcb *t)
{
    if (!t->owner && has_waited_enough(t, t->tcps->config.orphan_retries)) {
        give_up(t);
        return;
    }
    if (!t->owner) {
        count_expiry(t);
        nst_rtt_backoff(&t->rtt);
    }
    t->act->starved = false;
    t->act->rexmit_now = t->act->board.lost > 0;
    nst_tcb_rearm(t);
    nst_tcb_wants_output(t);
}

static void rto_timeout(struct nst_tcb *t)
{
    bool orphan = !t->owner;
    uint8_t r2 = orphan ? t->tcps->config.orphan_retries : t->tcps->config.retries2;

    NST_COUNT(t->tcps->env, tcp_timeouts);
    if (t->state < NST_TCP_ESTABLISHED) {
        syn_timeout(t);
        return;
    }
    if (nst_fastopen_shakes(t)) {
        synack_timeout(t);
        return;
    }
    if (t->act->starved) {
        starved_timeout(t);
        return;
    }
    bool probing = !is_out(t) || t->snd.wnd == 0; /* also of what is out by now (SHLD-17) */
    if (probing ? has_probed_enough(t) : has_waited_enough(t, r2)) {
        give_up(t);
        return;
    }
    if (probing) {
        probe(t);
    } else {
        count_expiry(t);
        advise_ip(t);
        nst_mtu_timeout(t);
        nst_recovery_timeout(t);
        nst_rtt_backoff(&t->rtt); /* MUST-19 */
    }
    nst_tcb_rearm(t);
    nst_tcb_wants_output(t);
}

/* ---- Keep-alive (RFC 9293 §3.8.4; MAY-5) --------------------------------------------------------
 */

/* FIN-WAIT-2 that nobody owns, which ends by itself. */
static bool is_waiting_alone(const struct nst_tcb *t)
{
    return t->state == NST_TCP_FIN_WAIT_2 && !t->owner;
}

void nst_tcb_keepalive_restart(struct nst_tcb *t)
{
    if (is_waiting_alone(t) || is_starved(t))
        return;
    if (t->opt.keepalive && t->state >= NST_TCP_ESTABLISHED)
        nst_tcb_set(t, NST_TCP_DL_WATCH, t->tcps->env->now + t->opt.keep_idle_s * NST_SEC);
    else
        nst_tcb_clear(t, NST_TCP_DL_WATCH);
}

static void keepalive_timeout(struct nst_tcb *t)
{
    if (is_out(t) || is_blocked(t)) { /* the retransmission timer watches already */
        nst_tcb_keepalive_restart(t);
        return;
    }
    if (t->probes >= t->opt.keep_count) { /* not for one that is lost (MUST-29) */
        nst_tcb_abort(t, ETIMEDOUT);
        return;
    }
    t->probes++;
    t->probe_now = true;
    nst_tcb_wants_output(t);
    nst_tcb_set(t, NST_TCP_DL_WATCH, t->tcps->env->now + t->opt.keep_interval_s * NST_SEC);
}

/* ---- A link that works again ----------------------------------------------------------------- */

/* Whether what it waits for would have come long ago, but for what the network did. */
static bool is_stalled(const struct nst_tcb *t, nst_link link)
{
    struct nst_path path;

    return t->act && t->rtt.backoff > 0 && t->act->deadlines[NST_TCP_DL_RTO] != NST_TIME_NEVER &&
           nst_ip_path(t->tcps->ip, &t->flow.id.peer, 0, &path) == 0 && !path.ours &&
           path.hop.iface->link == link;
}

void nst_tcp_carrier_up(struct nst_tcps *tcps, nst_link link)
{
    for (uint32_t i = 0; i <= tcps->mask; i++) {
        for (struct nst_flow *f = tcps->buckets[i]; f; f = f->next) {
            struct nst_tcb *t = NST_CONTAINER(f, struct nst_tcb, flow);
            if (f->kind != NST_FLOW_TCB || !is_stalled(t, link))
                continue;
            nst_rtt_reset_backoff(&t->rtt);
            nst_tcb_set(t, NST_TCP_DL_RTO, tcps->env->now);
        }
    }
}

/* ---- All --------------------------------------------------------------------------------- */

void nst_tcb_fin_wait(struct nst_tcb *t)
{
    nst_time wait = t->opt.linger2_s > 0 ? (nst_time)t->opt.linger2_s * NST_SEC : 0;

    if (is_waiting_alone(t))
        nst_tcb_set(t, NST_TCP_DL_WATCH, t->tcps->env->now + wait);
}

static void watch_timeout(struct nst_tcb *t)
{
    if (is_waiting_alone(t))
        nst_tcb_ended(t, 0);
    else if (is_starved(t))
        nst_tcb_wants_output(t);
    else
        keepalive_timeout(t);
}

static bool is_due(struct nst_tcb *t, enum nst_tcp_deadline which)
{
    if (nst_tcb_deadline(t, which) > t->tcps->env->now)
        return false;
    nst_tcb_clear(t, which);
    return true;
}

/* One deadline at a time: what it does may end the connection. The timer is armed anew for the
 * next, which may be due at once. */
void nst_tcb_timeout(struct nst_tcb *t)
{
    nst_time next = earliest(t);

    if (next != NST_TIME_NEVER)
        nst_timer_arm(&t->tcps->env->wheel, &t->timer, next);
    if (is_due(t, NST_TCP_DL_DELACK)) {
        t->ack_now = true;
        t->pingpong = false;
        nst_tcb_wants_output(t);
    } else if (is_due(t, NST_TCP_DL_CORK)) {
        t->push_now = true;
        nst_tcb_wants_output(t);
    } else if (is_due(t, NST_TCP_DL_PACE)) {
        nst_tcb_wants_output(t);
    } else if (is_due(t, NST_TCP_DL_WATCH)) {
        watch_timeout(t);
    } else if (is_due(t, NST_TCP_DL_REST)) {
        nst_tcb_rest(t);
    } else if (is_due(t, NST_TCP_DL_REO)) {
        nst_recovery_reordered(t);
    } else if (is_due(t, NST_TCP_DL_PTO)) {
        t->act->tlp.due = true;
        nst_tcb_rearm(t);
        nst_tcb_wants_output(t);
    } else if (is_due(t, NST_TCP_DL_RTO)) {
        rto_timeout(t);
    }
}
