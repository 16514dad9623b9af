#include "core/tcp/reassembly.h"

#include <assert.h>

#include "core/base/bytes.h"
#include "core/base/tree.h"

/* Bytes that adjoin, with a gap before and behind. */
struct run {
    struct nst_tree_node node; /* by `start` */
    struct nst_list recent;
    nst_seq start;
    struct nst_recvq data; /* never empty between calls */
};

struct nst_ooo {
    struct nst_tree runs;
    struct nst_list recent; /* runs, the one that changed last first */
    unsigned nruns;
    size_t bytes, mem; /* of all runs' data; mem also of the runs themselves */
};

/* ---- Runs -------------------------------------------------------------------------------- */

static struct run *run_of(struct nst_tree_node *node)
{
    return node ? NST_CONTAINER(node, struct run, node) : NULL;
}

static nst_seq end_of(const struct run *run)
{
    return nst_seq_add(run->start, (uint32_t)run->data.bytes);
}

/* Whether the run, if there is one, goes as far as `seq` without a gap. */
static bool reaches(const struct run *run, nst_seq seq)
{
    return run && nst_seq_ge(end_of(run), seq);
}

/* All runs lie in one receive window, so that sequence numbers order them. */
static int cmp(const void *key, const struct nst_tree_node *node)
{
    const nst_seq *seq = key;

    return nst_seq_diff(*seq, NST_CONTAINER(node, const struct run, node)->start);
}

/* The last run that starts at `seq` or before, or NULL. */
static struct run *find(const struct nst_ooo *ooo, nst_seq seq)
{
    return run_of(nst_tree_floor(&ooo->runs, &seq, cmp));
}

/* The run behind this one; behind NULL lies the first. */
static struct run *next_of(const struct nst_ooo *ooo, const struct run *run)
{
    return run_of(run ? nst_tree_next(&run->node) : nst_tree_first(&ooo->runs));
}

/* The run that changed last is told first (2018-2). */
static void touch(struct nst_ooo *ooo, struct run *run)
{
    nst_list_del(&run->recent);
    nst_list_push_front(&ooo->recent, &run->recent);
}

/* What happens to a run's data happens between these two. */
static void discharge(struct nst_ooo *ooo, const struct run *run)
{
    ooo->bytes -= run->data.bytes;
    ooo->mem -= run->data.mem + sizeof *run;
}

static void charge(struct nst_ooo *ooo, const struct run *run)
{
    ooo->bytes += run->data.bytes;
    ooo->mem += run->data.mem + sizeof *run;
}

/* An empty run, right before `next`; NULL without memory. */
static struct run *run_new(struct nst_ooo *ooo, struct nst_env *env, nst_seq start,
                           struct run *next)
{
    struct run *run = nst_env_alloc(env, sizeof *run);

    if (!run)
        return NULL;
    run->start = start;
    nst_recvq_init(&run->data);
    nst_list_init(&run->recent);
    nst_tree_insert_before(&ooo->runs, next ? &next->node : NULL, &run->node);
    ooo->nruns++;
    charge(ooo, run);
    return run;
}

/* Ends the run, and what it still holds for this reason. */
static void run_free(struct nst_ooo *ooo, struct nst_env *env, struct run *run,
                     enum nst_drop reason)
{
    discharge(ooo, run);
    ooo->nruns--;
    nst_recvq_drop(&run->data, reason);
    nst_tree_erase(&ooo->runs, &run->node);
    nst_list_del(&run->recent);
    nst_env_free(env, run, sizeof *run);
}

/* ---- The whole --------------------------------------------------------------------------- */

static struct nst_ooo *ooo_new(struct nst_env *env)
{
    struct nst_ooo *ooo = nst_env_alloc(env, sizeof *ooo);

    if (ooo)
        nst_list_init(&ooo->recent);
    return ooo;
}

static void free_if_empty(struct nst_ooo **ooo, struct nst_env *env)
{
    if (!*ooo || (*ooo)->nruns > 0)
        return;
    nst_env_free(env, *ooo, sizeof **ooo);
    *ooo = NULL;
}

void nst_ooo_free(struct nst_ooo **ooo, struct nst_env *env)
{
    while (*ooo && (*ooo)->nruns > 0)
        run_free(*ooo, env, next_of(*ooo, NULL), NST_DROP_sock_closed);
    free_if_empty(ooo, env);
}

/* ---- In ---------------------------------------------------------------------------------- */

/* The first part of [start, end) that waits; `prev` is the last run that starts before or at it. */
static struct nst_tcp_sack overlap(const struct nst_ooo *ooo, const struct run *prev, nst_seq start,
                                   nst_seq end)
{
    const struct run *next = next_of(ooo, prev);

    if (prev && nst_seq_gt(end_of(prev), start))
        return (struct nst_tcp_sack){start, nst_seq_min(end_of(prev), end)};
    if (next && nst_seq_lt(next->start, end))
        return (struct nst_tcp_sack){next->start, nst_seq_min(end_of(next), end)};
    return (struct nst_tcp_sack){start, start};
}

struct nst_tcp_sack nst_ooo_overlap(const struct nst_ooo *ooo, nst_seq start, nst_seq end)
{
    return ooo ? overlap(ooo, find(ooo, start), start, end) : (struct nst_tcp_sack){start, start};
}

/* Gives up the run's last packet, which may be all of it. */
static void evict(struct nst_ooo *ooo, struct nst_env *env, struct run *run)
{
    discharge(ooo, run);
    nst_pkt_drop(nst_recvq_pull_back(&run->data), NST_DROP_tcp_ooo_full);
    charge(ooo, run);
    if (nst_recvq_empty(&run->data))
        run_free(ooo, env, run, NST_DROP_NONE);
}

/* Evicts what lies furthest ahead until `mem` bytes and `runs` more are within the limits; false if
 * nothing is left that lies further than `end`. */
static bool make_room(struct nst_ooo *ooo, struct nst_env *env, nst_seq end, size_t mem,
                      unsigned runs, size_t mem_max)
{
    while (ooo->mem + mem > mem_max || ooo->nruns + runs > NST_OOO_RUNS_MAX) {
        struct run *last = run_of(nst_tree_last(&ooo->runs));
        if (!last || nst_seq_le(end_of(last), end))
            return false;
        evict(ooo, env, last);
    }
    return true;
}

/* Adds the packet's bytes at the run's end. If that closes the gap before `next` the two become
 * one. */
static void append_take(struct nst_ooo *ooo, struct nst_env *env, struct run *run, struct run *next,
                        struct nst_pkt *pkt)
{
    discharge(ooo, run);
    nst_recvq_push_take(&run->data, pkt);
    if (next && nst_seq_eq(end_of(run), next->start)) {
        discharge(ooo, next);
        nst_recvq_splice_back(&run->data, &next->data);
        charge(ooo, next);
        run_free(ooo, env, next, NST_DROP_NONE);
    }
    charge(ooo, run);
}

/* Puts what is new of the segment [seq, end) behind `prev`. It begins no earlier than `prev` ends;
 * runs that it covers make way for it, and it ends where the first one begins that it doesn't. */
static enum nst_drop insert(struct nst_ooo *ooo, struct nst_env *env, struct run *prev,
                            struct nst_pkt *pkt, nst_seq seq, nst_seq end)
{
    struct run *run = reaches(prev, seq) ? prev : run_new(ooo, env, seq, next_of(ooo, prev));
    struct run *next;

    if (!run)
        return NST_DROP_no_memory;
    nst_pkt_consume(pkt, (size_t)nst_seq_diff(end_of(run), seq));
    while ((next = next_of(ooo, run)) && nst_seq_le(end_of(next), end))
        run_free(ooo, env, next, NST_DROP_tcp_dup);
    if (next && nst_seq_lt(next->start, end))
        nst_pkt_trim(pkt, (size_t)nst_seq_diff(next->start, end_of(run)));
    append_take(ooo, env, run, next, pkt);
    touch(ooo, run);
    return NST_DROP_NONE;
}

/* Whether the segment adjoins or overlaps no run: it makes one more. */
static bool stands_alone(const struct nst_ooo *ooo, const struct run *prev, nst_seq seq,
                         nst_seq end)
{
    const struct run *next = next_of(ooo, prev);

    return !reaches(prev, seq) && !(next && nst_seq_le(next->start, end));
}

/* Takes the segment unless it gives a reason to drop it. */
static enum nst_drop input(struct nst_ooo *ooo, struct nst_env *env, struct nst_pkt *pkt,
                           nst_seq seq, size_t mem_max, struct nst_tcp_sack *dup)
{
    nst_seq end = nst_seq_add(seq, (uint32_t)pkt->len);
    struct run *prev = find(ooo, seq);
    unsigned runs = stands_alone(ooo, prev, seq, end);

    *dup = overlap(ooo, prev, seq, end); /* 2883-2, 2883-3 */
    if (reaches(prev, end)) {
        touch(ooo, prev);
        return NST_DROP_tcp_dup;
    }
    if (!make_room(ooo, env, end, nst_pkt_truesize(pkt) + runs * sizeof *prev, runs, mem_max))
        return NST_DROP_tcp_ooo_full;
    return insert(ooo, env, prev, pkt, seq, end);
}

enum nst_drop nst_ooo_push_take(struct nst_ooo **ooo, struct nst_env *env, struct nst_pkt *pkt,
                                nst_seq seq, size_t mem_max, struct nst_tcp_sack *dup)
{
    enum nst_drop drop = NST_DROP_no_memory;

    *dup = (struct nst_tcp_sack){seq, seq};
    if (!*ooo)
        *ooo = ooo_new(env);
    if (*ooo)
        drop = input(*ooo, env, pkt, seq, mem_max, dup);
    if (drop)
        nst_pkt_drop(pkt, drop);
    free_if_empty(ooo, env);
    return drop;
}

/* ---- Out --------------------------------------------------------------------------------- */

/* Moves what the run holds from `seq` on behind what `to` holds; what lies before it is gone. */
static void move(struct nst_ooo *ooo, struct run *run, nst_seq seq, struct nst_recvq *to)
{
    size_t before = (size_t)nst_seq_diff(seq, run->start);

    discharge(ooo, run);
    nst_recvq_consume(&run->data, nst_min(before, run->data.bytes));
    nst_recvq_splice_back(to, &run->data);
    charge(ooo, run);
}

size_t nst_ooo_pull(struct nst_ooo **ooo, struct nst_env *env, nst_seq rcv_nxt,
                    struct nst_recvq *to)
{
    size_t bytes = to->bytes;
    struct run *run;

    while (*ooo && (run = next_of(*ooo, NULL)) && nst_seq_le(run->start, rcv_nxt)) {
        move(*ooo, run, rcv_nxt, to);
        run_free(*ooo, env, run, NST_DROP_NONE);
        free_if_empty(ooo, env);
    }
    return to->bytes - bytes;
}

/* ---- What others want to know ------------------------------------------------------------ */

unsigned nst_ooo_sacks(const struct nst_ooo *ooo, struct nst_tcp_sack *out, unsigned max)
{
    unsigned n = 0;

    if (!ooo)
        return 0;
    NST_LIST_FOREACH (e, &ooo->recent) {
        const struct run *run = NST_CONTAINER(e, struct run, recent);
        if (n == max)
            break;
        out[n++] = (struct nst_tcp_sack){run->start, end_of(run)};
    }
    return n;
}

size_t nst_ooo_bytes(const struct nst_ooo *ooo)
{
    return ooo ? ooo->bytes : 0;
}

size_t nst_ooo_mem(const struct nst_ooo *ooo)
{
    return ooo ? ooo->mem : 0;
}

void nst_ooo_check(const struct nst_ooo *ooo)
{
    size_t bytes = 0, mem = 0;
    unsigned nruns = 0, nrecent = 0;

    if (!ooo)
        return;
    nst_tree_check(&ooo->runs);
    NST_TREE_FOREACH (node, &ooo->runs) {
        const struct run *run = run_of(node), *next = next_of(ooo, run);
        nst_recvq_check(&run->data);
        assert(!nst_recvq_empty(&run->data) && nst_list_linked(&run->recent));
        assert(!next || nst_seq_lt(end_of(run), next->start));
        bytes += run->data.bytes;
        mem += run->data.mem + sizeof *run;
        nruns++;
    }
    NST_LIST_FOREACH (e, &ooo->recent)
        nrecent++;
    assert(nruns > 0 && nruns <= NST_OOO_RUNS_MAX);
    assert(nruns == ooo->nruns && nrecent == nruns && bytes == ooo->bytes && mem == ooo->mem);
}
