/* What is remembered of other hosts from one connection to the next (RFC 9040, temporal sharing).
 *
 * The table has a fixed number of rows, each of which gets its memory when there is something to
 * put there first, and has room for a few pairs of hosts; a keyed hash of both addresses says which
 * row it is, and what was used least recently gives way. */
#include "core/tcp/metrics.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

/* ---- The table --------------------------------------------------------------------------- */

static struct nst_tcp_metrics **row_of(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_addr ends[2] = {id->local, id->peer};
    uint64_t hash = nst_siphash(&tcps->metrics.key, ends, sizeof ends);

    return &tcps->metrics.rows[hash % NST_TCP_METRICS_ROWS];
}

struct nst_tcp_metrics *nst_metrics_find(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_tcp_metrics *row = *row_of(tcps, id);

    for (unsigned i = 0; row && i < NST_TCP_METRICS_WAYS; i++)
        if (row[i].used && nst_addr_eq(&row[i].peer, &id->peer) &&
            nst_addr_eq(&row[i].local, &id->local))
            return &row[i];
    return NULL;
}

static struct nst_tcp_metrics *least_recent(struct nst_tcp_metrics *row)
{
    struct nst_tcp_metrics *least = row;

    for (unsigned i = 1; i < NST_TCP_METRICS_WAYS; i++)
        least = row[i].used < least->used ? &row[i] : least;
    return least;
}

struct nst_tcp_metrics *nst_metrics_get(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_tcp_metrics *m = nst_metrics_find(tcps, id), **row = row_of(tcps, id);

    if (!*row && !(*row = nst_env_alloc(tcps->env, NST_TCP_METRICS_WAYS * sizeof **row)))
        return NULL;
    if (!m) {
        m = least_recent(*row);
        *m = (struct nst_tcp_metrics){.local = id->local, .peer = id->peer};
    }
    m->used = nst_max(tcps->env->now, 1);
    return m;
}

void nst_metrics_fini(struct nst_tcps *tcps)
{
    for (unsigned i = 0; i < NST_TCP_METRICS_ROWS; i++)
        if (tcps->metrics.rows[i])
            nst_env_free(tcps->env, tcps->metrics.rows[i],
                         NST_TCP_METRICS_WAYS * sizeof *tcps->metrics.rows[i]);
}
