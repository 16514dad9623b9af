/* Local ports: which are taken, and which one a connection gets.
 *
 * bind() reserves a name for its socket until that is closed, in a small record of its own: whether
 * another may have the same are Linux's rules for SO_REUSEADDR and SO_REUSEPORT. Connections hold
 * no port: they are told apart by both ends, so a port serves as many of them as there are far
 * ends, and one that is in TIME-WAIT keeps nobody from binding to its port again.
 *
 * A search for a free port goes round the range once. When it found none, none is free for these
 * ends until something gives one back, so that is remembered, and asking again costs nothing
 * (attack row 319). */
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define PORT_FIRST 32768 /* 6056-1; the range of a current Linux */
#define PORT_LAST  60999

/* ---- Names that are bound ---------------------------------------------------------------- */

static struct nst_list *bucket_of(struct nst_tcps *tcps, uint16_t port)
{
    return &tcps->names[port % NST_TCP_PORT_BUCKETS];
}

static struct nst_tcp_name *name_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_tcp_name, place);
}

struct nst_tcp_name *nst_tcp_name_find(struct nst_tcps *tcps, uint16_t port, uint64_t owner)
{
    NST_LIST_FOREACH (e, bucket_of(tcps, port))
        if (name_of(e)->owner == owner)
            return name_of(e);
    return NULL;
}

static bool overlap(const struct nst_sockaddr *a, const struct nst_sockaddr *b)
{
    bool any = !nst_addr_is_set(&a->addr) || !nst_addr_is_set(&b->addr);

    return a->port == b->port && (any || nst_addr_eq(&a->addr, &b->addr)) &&
           (!a->link || !b->link || a->link == b->link);
}

/* Two may share a name if both say so, unless one of them listens; those of a group even then. */
static bool may_share(const struct nst_tcp_name *a, const struct nst_tcp_name *b)
{
    return (a->reuse && b->reuse && !b->listening) || (a->group && a->group == b->group);
}

static bool is_taken(struct nst_tcps *tcps, const struct nst_tcp_name *want)
{
    NST_LIST_FOREACH (e, bucket_of(tcps, want->local.port)) {
        const struct nst_tcp_name *n = name_of(e);
        if (n->owner != want->owner && overlap(&n->local, &want->local) && !may_share(want, n))
            return true;
    }
    return false;
}

int nst_tcp_bind(struct nst_tcps *tcps, const struct nst_tcp_name *want, uint16_t *port)
{
    const struct nst_flow_id id = {.local = want->local.addr};
    struct nst_tcp_name *n;

    *port = want->local.port ? want->local.port : nst_tcp_port_choose(tcps, &id);
    if (*port == 0 || (want->local.port && is_taken(tcps, want)))
        return -EADDRINUSE;
    if (!(n = nst_env_alloc(tcps->env, sizeof *n)))
        return -ENOMEM;
    *n = *want;
    n->local.port = *port;
    nst_list_push_back(bucket_of(tcps, *port), &n->place);
    return 0;
}

int nst_tcp_name_listen(struct nst_tcps *tcps, struct nst_tcp_name *n)
{
    if (is_taken(tcps, n))
        return -EADDRINUSE;
    n->listening = true;
    return 0;
}

void nst_tcp_unbind(struct nst_tcps *tcps, struct nst_tcp_name *n)
{
    tcps->nexhausted = 0;
    nst_list_del(&n->place);
    nst_env_free(tcps->env, n, sizeof *n);
}

/* ---- Choosing ---------------------------------------------------------------------------- */

static bool is_exhausted(const struct nst_tcps *tcps, const struct nst_flow_id *ends)
{
    for (unsigned i = 0; i < tcps->nexhausted; i++)
        if (memcmp(&tcps->exhausted[i], ends, sizeof *ends) == 0)
            return true;
    return false;
}

/* The last place serves all that there are no others for. */
static void exhausted_push(struct nst_tcps *tcps, const struct nst_flow_id *ends)
{
    if (tcps->nexhausted < NST_ARRAY_LEN(tcps->exhausted))
        tcps->nexhausted++;
    tcps->exhausted[tcps->nexhausted - 1] = *ends;
}

void nst_tcp_port_freed(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    struct nst_flow_id ends = *id;

    if (tcps->nexhausted == 0)
        return;
    ends.lport = 0;
    if (is_exhausted(tcps, &ends))
        tcps->nexhausted = 0;
}

static bool is_free(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    const struct nst_tcp_name want = {.local = {.addr = id->local, .port = id->lport}};

    if (id->pport && nst_tcp_spread_of(&tcps->spread, id) != tcps->spread.index)
        return false;
    NST_COUNT(tcps->env, tcp_port_tries);
    return !nst_flow_find(tcps, id) && !is_taken(tcps, &want);
}

/* RFC 6056 §3.3.3 (6056-2) with a random start each time (CVE-2022-32296): the search begins
 * somewhere and goes round once, so that it ends however many ports are taken. */
uint16_t nst_tcp_port_choose(struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    uint32_t n = PORT_LAST - PORT_FIRST + 1;
    uint32_t start = (uint32_t)nst_prng_below(&tcps->env->prng, n);
    struct nst_flow_id wanted = *id;

    wanted.lport = 0;
    if (is_exhausted(tcps, &wanted))
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        wanted.lport = (uint16_t)(PORT_FIRST + (start + i) % n);
        if (is_free(tcps, &wanted))
            return wanted.lport;
    }
    wanted.lport = 0;
    exhausted_push(tcps, &wanted);
    return 0;
}
