/* What a connection holds only while it is in use.
 *
 * Most connections of a large server are idle most of the time. So whatever means something only
 * while data moves stands in a struct of its own, `t->act`: the queues, the scoreboard, congestion
 * control at work, the deadlines of retransmission. It is made by the first thing that needs it: a
 * SYN of ours, data or a FIN to send, data that arrive. Without memory for it the owner's call
 * gives -ENOBUFS, the peer is not acknowledged and sends again, and a FIN is tried again later.
 *
 * It isn't given back between a request and the next, but when nothing has moved for a while: the
 * deadline NST_TCP_DL_REST asks now and then, so that what moves pays nothing for it. What is worth
 * keeping for longer is small and stands in the block: the round-trip times, and what congestion
 * control remembers (struct nst_cc_kept).
 *
 * What has gone wrong is counted in a struct that only those have of which there is something to
 * count, idle or not. Without memory for it the count goes on where nobody reads it. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define REST_AFTER (10 * NST_SEC)

uint32_t nst_tcp_ms(const struct nst_tcps *tcps)
{
    uint32_t ms = (uint32_t)(tcps->env->now / NST_MS);

    return ms ? ms : 1;
}

/* ---- Its life ------------------------------------------------------------------------------ */

bool nst_tcb_activate(struct nst_tcb *t)
{
    struct nst_env *env = t->tcps->env;
    struct nst_tcp_activity *act;

    if (t->act)
        return true;
    if (!(act = nst_env_alloc(env, sizeof *act)))
        return false;
    size_t model_bytes = nst_cc_of(&t->cc)->model_bytes;
    if (model_bytes && !(act->cc.model = nst_env_alloc(env, model_bytes))) {
        nst_env_free(env, act, sizeof *act);
        return false;
    }
    for (unsigned i = 0; i < NST_TCP_DLS_ACTIVE; i++)
        act->deadlines[i] = NST_TIME_NEVER;
    nst_sendq_init(&act->sendq, nst_tcb_snd_end(t));
    act->psh = act->sendq.end;
    nst_board_init(&act->board, t->snd.una);
    act->rack.fack = act->recovery_point = t->snd.una;
    act->rack.reordering_seen = t->reorders;
    nst_recvq_init(&act->recvq);
    act->rate.delivered = t->count.bytes_acked;
    act->ecn_held = t->ecn_cwr_due;
    act->ecn_point = t->snd.nxt;
    if (t->last_snd_ms)
        act->idle_since = env->now - (nst_tcp_ms(t->tcps) - t->last_snd_ms) * NST_MS;
    t->act = act;
    nst_recovery_begin(t);
    nst_rate_app_limited(t);
    nst_tcb_set(t, NST_TCP_DL_REST, env->now + REST_AFTER);
    return true;
}

void nst_tcb_release(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;
    struct nst_tcp_activity *act = t->act;

    if (!act)
        return;
    nst_sendq_free(&act->sendq, tcps->pool);
    nst_board_free(t);
    nst_fastopen_end(t);
    tcps->ooo_bytes -= nst_ooo_mem(act->ooo);
    nst_ooo_free(&act->ooo, tcps->env);
}

void nst_tcb_deactivate(struct nst_tcb *t)
{
    if (!t->act)
        return;
    nst_tcb_release(t);
    for (unsigned i = 0; i < NST_TCP_DLS_ACTIVE; i++)
        nst_tcb_clear(t, i);
    nst_recvq_drop(&t->act->recvq, NST_DROP_sock_closed);
    nst_chrono_rest(t);
    nst_env_free(t->tcps->env, t->act->cc.model, nst_cc_of(&t->cc)->model_bytes);
    nst_env_free(t->tcps->env, t->act, sizeof *t->act);
    t->act = NULL;
}

/* A FIN came before its turn, and is remembered until that comes. */
static bool awaits_fin(const struct nst_tcb *t)
{
    return t->fin_known && !t->fin_received;
}

/* Nothing waits for the peer, for the owner, or for its time. */
static bool is_at_rest(const struct nst_tcb *t)
{
    const struct nst_tcp_activity *act = t->act;

    for (unsigned i = 0; i < NST_TCP_DLS_ACTIVE; i++)
        if (i != NST_TCP_DL_REST && act->deadlines[i] != NST_TIME_NEVER)
            return false;
    return t->state >= NST_TCP_ESTABLISHED && !nst_tcb_waits(t) && !act->recvq.bytes && !act->ooo &&
           !awaits_fin(t) && !t->dsack_due && !t->rcv_urgent && !act->urgent_byte;
}

void nst_tcb_rest(struct nst_tcb *t)
{
    uint32_t now = nst_tcp_ms(t->tcps), after = REST_AFTER / NST_MS;
    uint32_t quiet = nst_min32(now - t->last_snd_ms, now - t->last_rcv_ms);

    if (quiet < after || !is_at_rest(t)) {
        uint32_t wait_ms = quiet < after ? after - quiet : after;
        nst_tcb_set(t, NST_TCP_DL_REST, t->tcps->env->now + wait_ms * NST_MS);
        return;
    }
    nst_cc_rest(&t->act->cc, &t->cc);
    nst_tcb_deactivate(t);
}

/* ---- Trouble --------------------------------------------------------------------------------- */

struct nst_tcp_trouble *nst_tcb_trouble(struct nst_tcb *t)
{
    if (!t->trouble)
        t->trouble = nst_env_alloc(t->tcps->env, sizeof *t->trouble);
    return t->trouble ? t->trouble : &t->tcps->uncounted;
}

const struct nst_tcp_trouble *nst_tcb_troubles(const struct nst_tcb *t)
{
    static const struct nst_tcp_trouble none;

    return t->trouble ? t->trouble : &none;
}

/* ---- What can be asked of any connection --------------------------------------------------- */

size_t nst_tcb_received_mem(const struct nst_tcb *t)
{
    return t->act ? t->act->recvq.mem + nst_ooo_mem(t->act->ooo) : 0;
}

enum nst_tcp_phase nst_tcb_phase(const struct nst_tcb *t)
{
    return t->act ? t->act->phase : NST_TCP_OPEN;
}

uint32_t nst_tcb_cwnd(const struct nst_tcb *t)
{
    return t->act ? t->act->cc.cwnd : t->cc.cwnd;
}

uint32_t nst_tcb_ssthresh(const struct nst_tcb *t)
{
    return t->act ? t->act->cc.ssthresh : t->cc.ssthresh;
}
