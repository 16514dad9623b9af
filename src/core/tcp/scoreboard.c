/* What was sent and what of it has arrived: one record for each segment, of whatever size, in an
 * ordered tree. A segment is cut in two where a SACK or a retransmission covers only part of it, at
 * multiples of the segment size, so that nobody can cut finer than segments are (CVE-2019-11477,
 * CVE-2019-11478); for the same reason a SACK for part of a segment does not mark it.
 *
 * What is thought to be under way, being neither SACKed nor lost, stands on a list besides, in the
 * order in which it was sent last: so that what is overdue is found without a walk (RFC 8985 §6.2).
 *
 * Counts of bytes are kept by state, so that "pipe" (RFC 6675 §4) is a subtraction. */
#include <assert.h>
#include <errno.h>

#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define DUP_THRESH    3  /* RFC 6675 §2 */
#define SPARE_RECORDS 64 /* of all connections: short messages need no allocation each */

static struct nst_tcp_sent *sent_of(const struct nst_tree_node *node)
{
    return node ? NST_CONTAINER(node, struct nst_tcp_sent, node) : NULL;
}

static uint32_t len_of(const struct nst_tcp_sent *s)
{
    return (uint32_t)nst_seq_diff(s->end, s->start);
}

void nst_board_init(struct nst_tcp_board *b, nst_seq start)
{
    *b = (struct nst_tcp_board){.rexmit_from = start, .marked_upto = start};
    nst_list_init(&b->under_way);
}

/* ---- Memory ------------------------------------------------------------------------------ */

/* One that is on no list yet, its contents undefined: a spare one, if there is. NULL without
 * memory. */
static struct nst_tcp_sent *record_new(struct nst_tcps *tcps)
{
    struct nst_list *e = tcps->spare_records;

    if (!e)
        return nst_env_alloc(tcps->env, sizeof(struct nst_tcp_sent));
    tcps->spare_records = e->next;
    tcps->nspare_records--;
    return NST_CONTAINER(e, struct nst_tcp_sent, order);
}

static void record_free(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    struct nst_tcps *tcps = t->tcps;

    nst_tree_erase(&t->act->board.records, &s->node);
    nst_list_del(&s->order);
    if (tcps->nspare_records >= SPARE_RECORDS) {
        nst_env_free(tcps->env, s, sizeof *s);
        return;
    }
    s->order.next = tcps->spare_records;
    tcps->spare_records = &s->order;
    tcps->nspare_records++;
}

void nst_board_fini_spares(struct nst_tcps *tcps)
{
    while (tcps->nspare_records > 0) {
        struct nst_tcp_sent *s = record_new(tcps);
        nst_env_free(tcps->env, s, sizeof *s);
    }
}

void nst_board_free(struct nst_tcb *t)
{
    struct nst_tree_node *node;

    while ((node = nst_tree_first(&t->act->board.records)))
        record_free(t, sent_of(node));
}

/* ---- Counting ----------------------------------------------------------------------------------
 */

static void count(struct nst_tcp_board *b, uint8_t flags, uint32_t len)
{
    if (flags & NST_SENT_SACKED)
        b->sacked += len;
    if (flags & NST_SENT_LOST)
        b->lost += len;
    if (flags & NST_SENT_RETRANS)
        b->retrans += len;
}

static void uncount(struct nst_tcp_board *b, uint8_t flags, uint32_t len)
{
    if (flags & NST_SENT_SACKED)
        b->sacked -= len;
    if (flags & NST_SENT_LOST)
        b->lost -= len;
    if (flags & NST_SENT_RETRANS)
        b->retrans -= len;
}

/* Whether it arrives, for all that is known: the original, or what was sent again. */
static bool is_under_way(const struct nst_tcp_sent *s)
{
    return !(s->flags & NST_SENT_SACKED) &&
           (s->flags & (NST_SENT_LOST | NST_SENT_RETRANS)) != NST_SENT_LOST;
}

/* Whoever puts a segment under way puts it on the list, where its time belongs. */
static void set_flags(struct nst_tcp_board *b, struct nst_tcp_sent *s, uint8_t flags)
{
    uncount(b, s->flags, len_of(s));
    s->flags = flags;
    count(b, s->flags, len_of(s));
    if (!is_under_way(s))
        nst_list_del(&s->order);
}

/* 8985-2 */
static void sent_now(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    s->time = t->tcps->env->now;
    nst_list_del(&s->order);
    nst_list_push_back(&t->act->board.under_way, &s->order);
}

/* ---- Records -----------------------------------------------------------------------------------
 */

int nst_board_sent(struct nst_tcb *t, nst_seq start, nst_seq end)
{
    struct nst_tcp_sent *s = record_new(t->tcps);

    if (!s)
        return -ENOMEM;
    *s = (struct nst_tcp_sent){.start = start, .end = end};
    nst_list_init(&s->order);
    sent_now(t, s);
    nst_rate_sent(t, s);
    nst_tree_insert_before(&t->act->board.records, NULL, &s->node);
    return 0;
}

/* Cuts a record at `at`, which lies inside it; returns the rear part. NULL without memory. */
static struct nst_tcp_sent *split(struct nst_tcb *t, struct nst_tcp_sent *s, nst_seq at)
{
    struct nst_tcp_sent *rear = record_new(t->tcps);

    if (!rear)
        return NULL;
    *rear = (struct nst_tcp_sent){
        .start = at, .end = s->end, .time = s->time, .rate = s->rate, .flags = s->flags};
    s->end = at;
    nst_tree_insert_before(&t->act->board.records, nst_tree_next(&s->node), &rear->node);
    nst_list_init(&rear->order);
    if (nst_list_linked(&s->order))
        nst_list_insert_before(s->order.next, &rear->order);
    return rear;
}

nst_time nst_board_acked(struct nst_tcb *t, nst_seq una, struct nst_tcp_acked *a)
{
    struct nst_tcp_sent *s;
    nst_time newest = 0;
    bool again = false;

    while ((s = sent_of(nst_tree_first(&t->act->board.records))) && nst_seq_lt(s->start, una)) {
        nst_seq upto = nst_seq_min(s->end, una);
        uint32_t len = (uint32_t)nst_seq_diff(upto, s->start);
        uncount(&t->act->board, s->flags, len);
        if (s->flags & NST_SENT_SACKED && nst_seq_lt(s->start, t->act->board.marked_upto))
            t->act->board.sacked_below -= len;
        again |= s->flags & NST_SENT_EVER;
        if (!(s->flags & NST_SENT_SACKED)) {
            newest = s->time;
            nst_rate_delivered(t, s, len, a);
            nst_rack_delivered(t, s, upto, a);
        }
        if (nst_seq_eq(upto, s->end)) {
            record_free(t, s);
            continue;
        }
        s->start = upto;
        break;
    }
    t->act->board.rexmit_from = nst_seq_max(t->act->board.rexmit_from, una);
    t->act->board.marked_upto = nst_seq_max(t->act->board.marked_upto, una);
    return again ? 0 : newest;
}

/* ---- SACK -------------------------------------------------------------------------------- */

static int cmp_seq(const void *key, const struct nst_tree_node *node)
{
    return nst_seq_diff(*(const nst_seq *)key, sent_of(node)->start);
}

/* The record that holds the byte at `seq`. */
static struct nst_tcp_sent *record_at(const struct nst_tcb *t, nst_seq seq)
{
    return sent_of(nst_tree_floor(&t->act->board.records, &seq, cmp_seq));
}

/* Moves `at` inside the record to a multiple of the segment size from its start: `up`, or down. */
static nst_seq align(const struct nst_tcb *t, const struct nst_tcp_sent *s, nst_seq at, bool up)
{
    uint32_t off = (uint32_t)nst_seq_diff(at, s->start), mss = t->snd_mss;

    off = (off + (up ? mss - 1 : 0)) / mss * mss;
    return nst_seq_min(nst_seq_add(s->start, off), s->end);
}

/* The part of `s` that the block covers in whole segments becomes a record of its own, which is
 * returned; NULL if there is none, or no memory. */
static struct nst_tcp_sent *covered_part(struct nst_tcb *t, struct nst_tcp_sent *s,
                                         const struct nst_tcp_sack *block)
{
    nst_seq from = s->start, to = s->end;

    if (nst_seq_gt(block->start, s->start))
        from = align(t, s, block->start, true);
    if (nst_seq_lt(block->end, s->end))
        to = align(t, s, block->end, false);
    if (nst_seq_ge(from, to))
        return NULL;
    if (nst_seq_lt(to, s->end) && !split(t, s, to))
        return NULL;
    return nst_seq_gt(from, s->start) ? split(t, s, from) : s;
}

static void mark_sacked(struct nst_tcb *t, struct nst_tcp_sent *s, struct nst_tcp_acked *a)
{
    struct nst_tcp_board *b = &t->act->board;

    nst_rack_delivered(t, s, s->end, a);
    a->sacked += len_of(s);
    if (nst_seq_lt(s->start, b->marked_upto))
        b->sacked_below += len_of(s);
    nst_rate_delivered(t, s, len_of(s), a);
    s->rate.delivered_time = 0;
    set_flags(b, s, (uint8_t)((s->flags & NST_SENT_EVER) | NST_SENT_SACKED));
}

/* Makes one record of two neighbours that have both arrived, so that a run of them is passed in one
 * step however often it is reported (CVE-2019-11478). Returns the record that `b` is in then. */
static struct nst_tcp_sent *join(struct nst_tcb *t, struct nst_tcp_sent *a, struct nst_tcp_sent *b)
{
    if (!a || !b || !(a->flags & b->flags & NST_SENT_SACKED))
        return b;
    if (nst_seq_eq(b->start,
                   t->act->board.marked_upto)) { /* what is marked ends where a record does */
        t->act->board.marked_upto = b->end;
        t->act->board.sacked_below += len_of(b);
    }
    a->end = b->end;
    a->flags |= b->flags;
    a->time = a->time > b->time ? a->time : b->time;
    record_free(t, b);
    return a;
}

static struct nst_tcp_sent *join_neighbours(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    s = join(t, sent_of(nst_tree_prev(&s->node)), s);
    join(t, s, sent_of(nst_tree_next(&s->node)));
    return s;
}

void nst_board_sacked(struct nst_tcb *t, const struct nst_tcp_sack *block, struct nst_tcp_acked *a)
{
    struct nst_tcp_sent *s = record_at(t, block->start), *part;

    while (s && nst_seq_lt(s->start, block->end)) {
        if (!(s->flags & NST_SENT_SACKED) && (part = covered_part(t, s, block))) {
            mark_sacked(t, part, a);
            s = join_neighbours(t, part);
        }
        s = sent_of(nst_tree_next(&s->node));
    }
}

/* ---- Loss -------------------------------------------------------------------------------- */

static void mark_lost(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    if (!(s->flags & (NST_SENT_SACKED | NST_SENT_LOST))) { /* 2018-7 */
        set_flags(&t->act->board, s, s->flags | NST_SENT_LOST);
        nst_rate_lost(t, s);
        t->act->board.rexmit_from = nst_seq_min(t->act->board.rexmit_from, s->start);
    }
}

/* 6675-2, IsLost(): more than two segments' worth of bytes above it have been SACKed. The walk
 * goes on where the last one ended, so that each record is passed once. */
bool nst_board_mark_lost(struct nst_tcb *t)
{
    struct nst_tcp_board *b = &t->act->board;
    uint32_t above = b->sacked - b->sacked_below, enough = (DUP_THRESH - 1) * (uint32_t)t->snd_mss;
    struct nst_tcp_sent *s = above > enough ? record_at(t, b->marked_upto) : NULL;
    bool any = false;

    for (; s && above > enough; s = sent_of(nst_tree_next(&s->node))) {
        if (s->flags & NST_SENT_SACKED) {
            above -= len_of(s);
            b->sacked_below += len_of(s);
        } else {
            any |= !(s->flags & NST_SENT_LOST);
            mark_lost(t, s);
        }
        b->marked_upto = s->end;
    }
    return any;
}

void nst_board_mark_first_lost(struct nst_tcb *t)
{
    struct nst_tcp_sent *s = sent_of(nst_tree_first(&t->act->board.records));

    if (!s)
        return;
    if (len_of(s) > t->snd_mss)
        split(t, s, nst_seq_add(s->start, t->snd_mss)); /* one segment: the rest may have arrived */
    nst_board_mark_one_lost(t, s);
}

void nst_board_mark_one_lost(struct nst_tcb *t, struct nst_tcp_sent *s)
{
    if (s->flags & NST_SENT_RETRANS)
        set_flags(&t->act->board, s, (uint8_t)(s->flags & ~(NST_SENT_RETRANS | NST_SENT_LOST)));
    mark_lost(t, s);
}

struct nst_tcp_sent *nst_board_oldest(const struct nst_tcb *t)
{
    const struct nst_list *l = &t->act->board.under_way;

    return nst_list_empty(l) ? NULL : NST_CONTAINER(l->next, struct nst_tcp_sent, order);
}

bool nst_board_is_reneged(const struct nst_tcb *t)
{
    const struct nst_tcp_sent *first = sent_of(nst_tree_first(&t->act->board.records));

    return first && first->flags & NST_SENT_SACKED;
}

/* Under way again, in the order of the last transmission: before nearly all others, unless it was
 * sent again and lost again. */
static void put_back(struct nst_tcp_board *b, struct nst_tcp_sent *s)
{
    struct nst_list *at = b->under_way.next;

    while (at != &b->under_way && NST_CONTAINER(at, struct nst_tcp_sent, order)->time < s->time)
        at = at->next;
    nst_list_insert_before(at, &s->order);
}

void nst_board_unmark_lost(struct nst_tcb *t)
{
    struct nst_tcp_board *b = &t->act->board;
    struct nst_tcp_sent *s = b->lost ? sent_of(nst_tree_last(&b->records)) : NULL;

    for (; s; s = sent_of(nst_tree_prev(&s->node))) {
        if (!(s->flags & NST_SENT_LOST))
            continue;
        set_flags(b, s, s->flags & NST_SENT_EVER);
        if (!nst_list_linked(&s->order))
            put_back(b, s);
    }
    b->marked_upto = t->snd.una;
    b->sacked_below = 0;
}

/* 2018-6, 6675-9: after a timeout nothing that is out is thought to arrive. What was
 * SACKed is believed still, unless the first segment was: then the peer has reneged, and no SACK
 * counts. */
void nst_board_mark_all_lost(struct nst_tcb *t)
{
    struct nst_tcp_board *b = &t->act->board;
    bool reneged = nst_board_is_reneged(t);

    NST_TREE_FOREACH (n, &b->records) {
        struct nst_tcp_sent *s = sent_of(n);
        if (s->flags & NST_SENT_SACKED && !reneged)
            continue;
        if (!(s->flags & NST_SENT_LOST) || s->flags & NST_SENT_RETRANS)
            nst_rate_lost(t, s);
        set_flags(b, s, (uint8_t)((s->flags & NST_SENT_EVER) | NST_SENT_LOST));
    }
    b->rexmit_from = b->marked_upto = t->snd.una;
    b->sacked_below = 0;
}

struct nst_tcp_sent *nst_board_next_lost(struct nst_tcb *t)
{
    struct nst_tcp_board *b = &t->act->board;
    struct nst_tcp_sent *s;

    if (b->lost == b->retrans)
        return NULL;
    s = record_at(t, b->rexmit_from);
    while (s && (!(s->flags & NST_SENT_LOST) || s->flags & NST_SENT_RETRANS))
        s = sent_of(nst_tree_next(&s->node));
    if (s)
        b->rexmit_from = s->start;
    return s;
}

int nst_board_resent(struct nst_tcb *t, struct nst_tcp_sent *s, nst_seq end)
{
    if (nst_seq_lt(end, s->end) && !split(t, s, end))
        return -ENOMEM;
    uint8_t again = s->flags & NST_SENT_LOST ? NST_SENT_RETRANS : 0;
    sent_now(t, s);
    nst_rate_sent(t, s);
    set_flags(&t->act->board, s, s->flags | again | NST_SENT_EVER);
    return 0;
}

struct nst_tcp_sent *nst_board_last_segment(struct nst_tcb *t)
{
    struct nst_tcp_sent *s = sent_of(nst_tree_last(&t->act->board.records));
    nst_seq at = s ? align(t, s, nst_seq_sub(s->end, 1), false) : t->snd.una;

    return s && nst_seq_gt(at, s->start) ? split(t, s, at) : s;
}

void nst_board_check(const struct nst_tcb *t)
{
    struct nst_tcp_board sum = {0};
    nst_seq at = t->snd.una;

    nst_tree_check(&t->act->board.records);
    NST_TREE_FOREACH (n, &t->act->board.records) {
        const struct nst_tcp_sent *s = sent_of(n);
        assert(nst_seq_eq(s->start, at) && nst_seq_lt(s->start, s->end));
        assert(!(s->flags & NST_SENT_SACKED) || !(s->flags & (NST_SENT_LOST | NST_SENT_RETRANS)));
        assert(!(s->flags & NST_SENT_RETRANS) || s->flags & NST_SENT_LOST);
        assert(is_under_way(s) == nst_list_linked(&s->order));
        if (nst_seq_lt(s->start, t->act->board.marked_upto)) {
            assert(nst_seq_le(s->end, t->act->board.marked_upto));
            assert(s->flags & (NST_SENT_SACKED | NST_SENT_LOST));
            sum.sacked_below += s->flags & NST_SENT_SACKED ? len_of(s) : 0;
        }
        assert((s->flags & (NST_SENT_LOST | NST_SENT_RETRANS)) != NST_SENT_LOST ||
               nst_seq_ge(s->start, t->act->board.rexmit_from));
        count(&sum, s->flags, len_of(s));
        at = s->end;
    }
    assert(sum.sacked == t->act->board.sacked && sum.lost == t->act->board.lost);
    assert(sum.retrans == t->act->board.retrans && sum.sacked_below == t->act->board.sacked_below);
    assert(nst_tree_empty(&t->act->board.records) || nst_seq_eq(at, t->snd.nxt));
}
