/* TCP Fast Open (RFC 7413): data in the SYN, for a client that has been here before.
 *
 *     client                                  server
 *       SYN, option without cookie    ---->
 *                                     <----   SYN-ACK, cookie          the client remembers it
 *     and from the next connection on:
 *       SYN, cookie, data             ---->   the owner may read at once, and answer
 *                                     <----   SYN-ACK, data ...
 *       ACK                           ---->
 *
 * The cookie is a keyed hash of both addresses and of the hour in which it was made: it proves that
 * the client does receive what is sent to its address, so that nobody is flooded in its name. Those
 * of the hour before are good, too, but their clients get a new one. Nothing is stored for them.
 *
 * A connection that began so is ESTABLISHED in all that concerns its data, on both ends, although
 * the handshake goes on; what is left of that is a struct nst_tcp_fastopen. A listener has only so
 * many of them at a time (RFC 7413 §5.1), those that were reset included for a while; beyond that,
 * and whenever a cookie is wrong, the handshake is an ordinary one and the data in the SYN is
 * ignored: the client sends it again.
 *
 * What a client knows of servers stands in metrics.c's table. A server, or somebody on the way to
 * it, that does not answer such a SYN gets an ordinary one next, and none of these for a minute,
 * which doubles with each failure (RFC 7413 §4.1.3). */
#include "core/tcp/fastopen.h"

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define COOKIE_LEN   8
#define COOKIE_HOUR  (3600 * NST_SEC)
#define RESET_HELD   (60 * NST_SEC)
#define FAILED_WAIT  (60 * NST_SEC)
#define FAILURES_MAX 10
#define OPTIONS_MAX  (NST_TCP_HLEN_MAX - NST_TCP_HLEN)

/* ---- The server's cookies ---------------------------------------------------------------- */

static void cookie_make(const struct nst_tcps *tcps, const struct nst_flow_id *id, uint64_t hour,
                        struct nst_tcp_cookie *out)
{
    uint8_t block[sizeof id->peer + sizeof id->local + 4];

    memcpy(block, &id->peer, sizeof id->peer);
    memcpy(block + sizeof id->peer, &id->local, sizeof id->local);
    nst_store32(block + sizeof block - 4, (uint32_t)hour);
    uint64_t hash = nst_siphash(&tcps->fastopen_key, block, sizeof block);
    *out = (struct nst_tcp_cookie){.len = COOKIE_LEN};
    nst_store32(out->bytes, (uint32_t)(hash >> 32));
    nst_store32(out->bytes + 4, (uint32_t)hash);
}

/* Compares in a time that doesn't tell how much of it is right. */
static bool cookie_equal(const struct nst_tcp_cookie *a, const struct nst_tcp_cookie *b)
{
    uint8_t differs = a->len ^ b->len;

    for (size_t i = 0; i < NST_TCP_COOKIE_MAX; i++)
        differs |= a->bytes[i] ^ b->bytes[i];
    return differs == 0;
}

/* 7413-3, 7413-5: whether the SYN's cookie is good; `*answer` is the one to give back, if any. */
static bool cookie_check(const struct nst_tcps *tcps, const struct nst_flow_id *id,
                         const struct nst_tcp_opts *o, struct nst_tcp_cookie *answer)
{
    uint64_t hour = tcps->env->now / COOKIE_HOUR;
    struct nst_tcp_cookie ours, before;

    cookie_make(tcps, id, hour, &ours);
    cookie_make(tcps, id, hour - 1, &before);
    ours.experimental = before.experimental = o->fastopen.experimental;
    *answer = ours;
    if (cookie_equal(&o->fastopen, &ours)) {
        *answer = (struct nst_tcp_cookie){.len = 0};
        return true;
    }
    return cookie_equal(&o->fastopen, &before);
}

/* ---- The server -------------------------------------------------------------------------- */

static uint32_t pending_max(const struct nst_tcp_listener *l)
{
    return l->tcps->config.fastopen & NST_TCP_FASTOPEN_ALL && !l->opt.fastopen_max
               ? l->backlog
               : l->opt.fastopen_max;
}

/* 7413-6: how many there may be, those that were reset a short while ago included. */
static bool has_room(struct nst_tcp_listener *l)
{
    if (l->fastopen_reset && l->tcps->env->now >= l->fastopen_until)
        l->fastopen_reset = 0;
    return l->nfastopen + l->fastopen_reset < pending_max(l);
}

bool nst_fastopen_accepts(struct nst_tcp_listener *l, const struct nst_flow_id *id,
                          const struct nst_tcp_seg *seg, struct nst_tcp_cookie *answer)
{
    const struct nst_tcp_opts *o = &seg->h.opts;
    uint16_t mode = l->tcps->config.fastopen;

    *answer = (struct nst_tcp_cookie){.len = 0};
    if (!(mode & NST_TCP_FASTOPEN_SERVER) || !pending_max(l))
        return false;
    bool good = o->has_fastopen && cookie_check(l->tcps, id, o, answer);
    if (!(good || mode & NST_TCP_FASTOPEN_NO_COOKIE) || seg->len == 0)
        return false;
    if (has_room(l))
        return true;
    NST_COUNT(l->tcps->env, tcp_fastopen_full);
    return false;
}

bool nst_fastopen_serve(struct nst_tcb *t, struct nst_tcp_listener *l,
                        const struct nst_tcp_cookie *answer)
{
    struct nst_tcp_fastopen *f = nst_env_alloc(t->tcps->env, sizeof *f);

    if (!f)
        return false;
    *f = (struct nst_tcp_fastopen){.listener = l, .cookie = *answer};
    nst_list_push_back(&l->fastopens, &f->place);
    l->nfastopen++;
    t->act->fastopen = f;
    t->syn_data = true;
    NST_COUNT(t->tcps->env, tcp_fastopen_passive);
    return true;
}

/* The handshake is over, one way or the other. */
void nst_fastopen_end(struct nst_tcb *t)
{
    struct nst_tcp_fastopen *f = t->act->fastopen;

    if (!f)
        return;
    if (f->listener)
        f->listener->nfastopen--;
    nst_list_del(&f->place);
    t->act->fastopen = NULL;
    nst_env_free(t->tcps->env, f, sizeof *f);
}

/* 7413-7: who can make a client's host send RSTs would get around the limit otherwise. */
void nst_fastopen_reset(struct nst_tcb *t)
{
    struct nst_tcp_listener *l = nst_fastopen_shakes(t) ? t->act->fastopen->listener : NULL;

    if (!l)
        return;
    l->fastopen_reset++;
    l->fastopen_until = t->tcps->env->now + RESET_HELD;
}

void nst_fastopen_unlisten(struct nst_tcp_listener *l)
{
    struct nst_list *e;

    while ((e = nst_list_pop_front(&l->fastopens)))
        NST_CONTAINER(e, struct nst_tcp_fastopen, place)->listener = NULL;
}

bool nst_fastopen_acked(struct nst_tcb *t)
{
    if (!nst_fastopen_shakes(t))
        return false;
    if (t->act->retries == 0)
        nst_rtt_sample(&t->rtt, t->tcps->env->now - t->act->syn_time, t->tcps->env->now);
    else
        nst_rtt_syn_was_lost(&t->rtt);
    t->act->retries = 0;
    nst_fastopen_end(t);
    return true;
}

/* ---- What a client knows of servers ------------------------------------------------------ */

static bool has_failed(const struct nst_tcps *tcps, const struct nst_tcp_metrics *s)
{
    return s->failures && tcps->env->now < s->failed + (FAILED_WAIT << s->failures);
}

/* 7413-9: no answer came to a SYN with more than usual, or its data was ignored. */
static void failed(struct nst_tcb *t)
{
    struct nst_tcp_metrics *s = nst_metrics_of_server(t->tcps, &t->flow.id);

    NST_COUNT(t->tcps->env, tcp_fastopen_failed);
    if (!s)
        return;
    s->failures = (uint8_t)nst_min(s->failures + 1u, FAILURES_MAX);
    s->failed = t->tcps->env->now;
}

/* ---- The client -------------------------------------------------------------------------- */

void nst_fastopen_connect(struct nst_tcb *t)
{
    const struct nst_tcp_metrics *s = nst_metrics_find(t->tcps, &t->flow.id);
    uint16_t mode = t->tcps->config.fastopen;
    bool free_entry = mode & NST_TCP_FASTOPEN_CLIENT_NO_COOKIE;

    if (!(mode & NST_TCP_FASTOPEN_CLIENT) || (s && has_failed(t->tcps, s)))
        return;
    if (!(t->act->fastopen = nst_env_alloc(t->tcps->env, sizeof *t->act->fastopen)))
        return; /* an ordinary one, then */
    *t->act->fastopen = (struct nst_tcp_fastopen){.client = true, .mss = s ? s->mss : 0};
    nst_list_init(&t->act->fastopen->place);
    if (s)
        t->act->fastopen->cookie = s->cookie;
    t->act->fastopen->waits = t->act->fastopen->cookie.len || free_entry;
    t->act->fastopen->request = !free_entry || t->act->fastopen->cookie.len;
}

/* 7413-2 */
uint32_t nst_fastopen_syn(struct nst_tcb *t, struct nst_tcp *h)
{
    struct nst_tcp_fastopen *f = t->act->fastopen;

    if (!f)
        return 0;
    if (!f->client) { /* our SYN-ACK, whose cookie need not be repeated */
        h->opts.fastopen = f->cookie;
        h->opts.has_fastopen = f->cookie.len && t->act->retries == 0;
        return 0;
    }
    if (t->act->retries) { /* 7413-8: again, but as everybody knows it */
        if (f->tried)
            failed(t);
        nst_fastopen_end(t);
        return 0;
    }
    h->opts.has_fastopen = f->request;
    h->opts.fastopen = f->cookie;
    f->tried = f->request || f->waits;
    if (f->waits) {
        uint32_t mss = nst_min32(h->opts.mss, f->mss ? f->mss : 536);
        f->sent =
            nst_min32((uint32_t)nst_seq_diff(nst_tcb_snd_end(t), t->snd.nxt), mss - OPTIONS_MAX);
    }
    f->waits = false;
    return f->sent;
}

nst_seq nst_fastopen_sent(const struct nst_tcb *t)
{
    return nst_seq_add(t->snd.nxt,
                       t->act->fastopen && t->act->fastopen->client ? t->act->fastopen->sent : 0);
}

/* The SYN-ACK: a cookie for the next time, and how much of the data it acknowledges. A server that
 * took none of it, and had nothing better to offer, is not asked again soon (7413-9). */
void nst_fastopen_answered(struct nst_tcb *t, const struct nst_tcp *h)
{
    struct nst_tcp_fastopen *f = t->act->fastopen;

    if (!f || !f->client)
        return;
    bool taken = nst_seq_gt(h->ack, t->snd.nxt);
    bool new_cookie = h->opts.has_fastopen && h->opts.fastopen.len;
    struct nst_tcp_metrics *s = new_cookie || taken ? nst_metrics_of_server(t->tcps, &t->flow.id)
                                                    : NULL;
    if (s) { /* 9040-10, 9040-11 */
        s->mss = t->peer_mss;
        s->failures = 0;
        if (new_cookie) /* 7413-2 */
            s->cookie = h->opts.fastopen;
    }
    if (f->sent && !taken && !new_cookie)
        failed(t);
    t->syn_data = f->sent && nst_seq_eq(h->ack, nst_fastopen_sent(t));
    t->count.bytes_sent += f->sent;
    t->count.bytes_acked += (uint32_t)nst_seq_diff(h->ack, t->snd.nxt);
    t->snd.nxt = h->ack; /* the rest follows as if it had never been sent (7413-10) */
    nst_sendq_consume(&t->act->sendq, t->tcps->pool, h->ack);
    t->tx_blocked = false;
    nst_fastopen_end(t);
}
