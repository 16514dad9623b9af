/* What one connection finds out for the next (RFC 9040, temporal sharing): how long a round trip
 * between two hosts takes, whether segments overtake each other on the way, where slow start ended;
 * and what a server said about Fast Open.
 *
 * It is added when a connection ends, and taken when one begins, after its handshake: so a forged
 * SYN neither reads nor writes anything here, and each peer can only spoil what is remembered of
 * itself. What is taken changes little, and nothing for the worse for others: the first timeout
 * becomes longer, though no longer than it may be without any knowledge; losses are waited for a
 * quarter of a round trip longer. It is forgotten after an hour.
 *
 * What the path is found to carry is added at once, and believed for ten minutes like any such
 * thing (mtuprobe.c). A peer's MSS is for Fast Open only: all that follows a SYN has its own.
 *
 * As in Linux, a window is not remembered: the initial one (RFC 6928) is what a path that nobody
 * has tried of late may be given. Where slow start ended is, if the owner wants it: by default it
 * isn't, since the next connection may have the path for itself, and HyStart++ finds that out.
 *
 * The table has a fixed number of rows, each of which gets its memory when there is something to
 * put there first, and has room for a few pairs of hosts; a keyed hash of both addresses says which
 * row it is, and what was used least recently gives way. What servers said of Fast Open counts as
 * used an hour later than it was, and what is worth less makes nothing give way: so those who
 * connect to us, as many as they may be, leave what our own connections have brought home. */
#include "core/tcp/metrics.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define FRESH (3600 * NST_SEC) /* 9040-7; as in Linux */

/* ---- The table --------------------------------------------------------------------------- */

static struct nst_tcp_metrics **row_of(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_flow_id hosts = {.local = id->local, .peer = id->peer};
    uint64_t hash = nst_flow_hash(&tcps->metrics.key, &hosts);

    return &tcps->metrics.rows[hash % NST_TCP_METRICS_ROWS];
}

static struct nst_tcp_metrics *find_in(struct nst_tcp_metrics *row, const struct nst_flow_id *id)
{
    for (unsigned i = 0; row && i < NST_TCP_METRICS_WAYS; i++)
        if (row[i].used && nst_addr_eq(&row[i].peer, &id->peer) &&
            nst_addr_eq(&row[i].local, &id->local))
            return &row[i];
    return NULL;
}

struct nst_tcp_metrics *nst_metrics_find(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    return find_in(*row_of(tcps, id), id);
}

static nst_time worth(const struct nst_tcp_metrics *m)
{
    return m->cookie.len || m->failures ? m->used + FRESH : m->used;
}

static struct nst_tcp_metrics *least_worth(struct nst_tcp_metrics *row)
{
    struct nst_tcp_metrics *least = row;

    for (unsigned i = 1; i < NST_TCP_METRICS_WAYS; i++)
        least = worth(&row[i]) < worth(least) ? &row[i] : least;
    return least;
}

/* The place of these two hosts, old or new; what is worth no more than `limit` gives way. NULL if
 * nothing is, or without memory. */
static struct nst_tcp_metrics *place_of(struct nst_tcps *tcps, const struct nst_flow_id *id,
                                        nst_time limit)
{
    struct nst_tcp_metrics **row = row_of(tcps, id), *m = find_in(*row, id);

    if (!*row && !(*row = nst_env_alloc(tcps->env, NST_TCP_METRICS_WAYS * sizeof **row)))
        return NULL;
    if (!m) {
        m = least_worth(*row);
        if (worth(m) > limit)
            return NULL;
        *m = (struct nst_tcp_metrics){.local = id->local, .peer = id->peer};
    }
    m->used = nst_max(tcps->env->now, 1);
    return m;
}

struct nst_tcp_metrics *nst_metrics_of_server(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    return place_of(tcps, id, NST_TIME_NEVER);
}

const struct nst_tcp_metrics *nst_metrics_next(const struct nst_tcps *tcps, size_t *at)
{
    while (*at < NST_TCP_METRICS_ROWS * NST_TCP_METRICS_WAYS) {
        const struct nst_tcp_metrics *row = tcps->metrics.rows[*at / NST_TCP_METRICS_WAYS];
        const struct nst_tcp_metrics *m = row ? &row[*at % NST_TCP_METRICS_WAYS] : NULL;
        ++*at;
        if (m && m->used)
            return m;
    }
    return NULL;
}

size_t nst_metrics_forget(struct nst_tcps *tcps, const struct nst_addr *peer)
{
    size_t n = 0;

    for (unsigned i = 0; i < NST_TCP_METRICS_ROWS * NST_TCP_METRICS_WAYS; i++) {
        struct nst_tcp_metrics *row = tcps->metrics.rows[i / NST_TCP_METRICS_WAYS];
        struct nst_tcp_metrics *m = row ? &row[i % NST_TCP_METRICS_WAYS] : NULL;
        if (m && m->used && (!peer || nst_addr_eq(&m->peer, peer))) {
            *m = (struct nst_tcp_metrics){0};
            n++;
        }
    }
    return n;
}

void nst_metrics_fini(struct nst_tcps *tcps)
{
    for (unsigned i = 0; i < NST_TCP_METRICS_ROWS; i++)
        if (tcps->metrics.rows[i])
            nst_env_free(tcps->env, tcps->metrics.rows[i],
                         NST_TCP_METRICS_WAYS * sizeof *tcps->metrics.rows[i]);
}

bool nst_metrics_is_fresh(const struct nst_tcps *tcps, const struct nst_tcp_metrics *m)
{
    return m->measured && tcps->env->now < m->measured + FRESH;
}

/* ---- A connection begins ----------------------------------------------------------------- */

/* A window of two segments can still be told from a timeout's (RFC 5681 §3.1). */
static uint32_t threshold(const struct nst_tcb *t, const struct nst_tcp_metrics *m)
{
    if (!(t->tcps->config.metrics & NST_TCP_METRICS_SSTHRESH) || nst_cc_of(&t->cc)->control ||
        !m->ssthresh)
        return UINT32_MAX;
    return nst_max32(m->ssthresh, 2u * t->snd_mss);
}

/* 9040-1, 9040-2, 9040-7, 9040-8 */
void nst_metrics_begin(struct nst_tcb *t)
{
    const struct nst_tcp_metrics *m =
        t->tcps->config.metrics ? nst_metrics_find(t->tcps, &t->flow.id) : NULL;

    if (!m || !nst_metrics_is_fresh(t->tcps, m))
        return;
    t->cc.ssthresh = threshold(t, m);
    if (!(t->tcps->config.metrics & NST_TCP_METRICS_PATH))
        return;
    if (m->srtt_us)
        nst_rtt_expect(&t->rtt, m->srtt_us * NST_US, m->rttvar_us * NST_US);
    if (m->mtu)
        nst_mtu_expect(t, m->mtu, m->mtu_since_s);
    t->reorders = m->reordered && t->tcps->env->now < m->reordered + FRESH;
}

/* ---- It ends ----------------------------------------------------------------------------- */

/* A quarter, or an eighth, of the way down; all of it at once up: to wait for too long costs less
 * than not long enough (as in Linux). */
static uint32_t approach(uint32_t old, uint32_t now, unsigned shift)
{
    return now >= old ? now : old - ((old - now) >> shift);
}

/* 9040-4. Nothing came back at the end: then what was measured before says nothing. */
static void merge_rtt(struct nst_tcp_metrics *m, const struct nst_rtt *rtt)
{
    uint32_t srtt = (uint32_t)nst_max(rtt->srtt / NST_US, 1);
    uint32_t off = srtt > m->srtt_us ? srtt - m->srtt_us : m->srtt_us - srtt;
    uint32_t var = (uint32_t)(rtt->rttvar / NST_US);

    if (rtt->srtt == 0 || rtt->backoff) {
        m->srtt_us = m->rttvar_us = 0;
        return;
    }
    if (m->srtt_us)
        var = approach(m->rttvar_us, nst_max32(off, var), 2);
    m->rttvar_us = var;
    m->srtt_us = approach(m->srtt_us, srtt, 3);
}

/* 9040-5. What a window was good for counts while it is neither growing fast nor being reduced. */
static void merge_ssthresh(struct nst_tcp_metrics *m, const struct nst_tcb *t)
{
    uint32_t cwnd = nst_tcb_cwnd(t), ssthresh = nst_tcb_ssthresh(t);

    if (nst_cc_of(&t->cc)->control)
        return;
    if (ssthresh == UINT32_MAX) /* slow start has not ended yet */
        m->ssthresh = m->ssthresh ? nst_max32(m->ssthresh, cwnd / 2) : 0;
    else if (cwnd >= ssthresh && nst_tcb_phase(t) == NST_TCP_OPEN)
        m->ssthresh = nst_max32(cwnd / 2, ssthresh);
    else if (m->ssthresh)
        m->ssthresh = nst_max32(m->ssthresh, ssthresh);
}

/* 9040-9 */
static void merge_mtu(struct nst_tcp_metrics *m, const struct nst_tcb *t)
{
    uint16_t mtu = nst_mtu_found(t);

    if (!mtu)
        return;
    m->mtu = mtu;
    m->mtu_since_s = t->mtu_since_s;
}

/* What is too old to be used is not merged with, either. */
static void expire(const struct nst_tcps *tcps, struct nst_tcp_metrics *m)
{
    if (nst_metrics_is_fresh(tcps, m))
        return;
    m->reordered = 0;
    m->srtt_us = m->rttvar_us = m->ssthresh = m->mtu = 0;
}

/* Where to add to; NULL if nothing is to be. 9040-6: nothing of a handshake that was not finished.
 */
static struct nst_tcp_metrics *record_of(struct nst_tcb *t)
{
    struct nst_tcps *tcps = t->tcps;
    nst_time now = nst_max(tcps->env->now, 1);

    if (!tcps->config.metrics || t->state < NST_TCP_ESTABLISHED || nst_fastopen_shakes(t))
        return NULL;
    struct nst_tcp_metrics *m = place_of(tcps, &t->flow.id, now);
    if (!m)
        return NULL;
    expire(tcps, m);
    m->measured = now;
    return m;
}

void nst_metrics_narrowed(struct nst_tcb *t)
{
    struct nst_tcp_metrics *m = t->tcps->config.metrics & NST_TCP_METRICS_PATH ? record_of(t)
                                                                               : NULL;

    if (m)
        merge_mtu(m, t);
}

void nst_metrics_end(struct nst_tcb *t)
{
    struct nst_tcp_metrics *m = record_of(t);
    uint8_t mode = t->tcps->config.metrics;

    if (!m)
        return;
    if (mode & NST_TCP_METRICS_SSTHRESH)
        merge_ssthresh(m, t);
    if (!(mode & NST_TCP_METRICS_PATH))
        return;
    merge_rtt(m, &t->rtt);
    merge_mtu(m, t);
    if (nst_tcb_troubles(t)->reordered)
        m->reordered = m->measured;
}
