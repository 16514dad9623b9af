/* How a window shrinks to ssthresh (RFC 6937, RFC 9937): in proportion to what arrives, so that it
 * is there when a round trip is over, without a pause in which nothing is sent and without a burst.
 * Should losses take away more than that, what arrives is replaced, segment for segment; and while
 * each acknowledgement brings progress without a new loss, by one segment more.
 *
 *     sent during the recovery = delivered during the recovery * ssthresh / in flight before it
 *
 * All is counted in bytes; only what was delivered counts, so that no number of acknowledgements
 * gains anything. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

void nst_prr_begin(struct nst_tcb *t, uint32_t news)
{
    uint32_t here = nst_board_pipe(t) + t->act->board.lost - t->act->board.retrans;

    t->act->prr = (struct nst_tcp_prr){.recover_fs = here + news}; /* 6937-1 */
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

/* 6937-2 */
static uint32_t in_proportion(const struct nst_tcp_prr *p, uint32_t ssthresh)
{
    uint64_t due = ((uint64_t)p->delivered * ssthresh + p->recover_fs - 1) / p->recover_fs;

    return due > p->out ? (uint32_t)nst_min(due - p->out, UINT32_MAX / 4) : 0;
}

/* PRR-CRB, and PRR-SSRB where it is safe (6937-3, 6937-4). Acknowledgements that come together are
 * all taken before anything goes, so what each of them grants is kept until it is sent. */
static uint32_t replacing(struct nst_tcb *t, uint32_t pipe, uint32_t news, bool safe)
{
    struct nst_tcp_prr *p = &t->act->prr;
    uint32_t extra = safe ? t->snd_mss : 0;

    p->granted += extra;
    uint32_t unsent = less(p->delivered + p->granted, p->out);
    return nst_min32(nst_max32(unsent, news + extra), t->act->cc.ssthresh - pipe);
}

void nst_prr_acked(struct nst_tcb *t, uint32_t news, bool safe)
{
    struct nst_tcp_prr *p = &t->act->prr;
    uint32_t pipe = nst_board_pipe(t), count;

    p->delivered += news;
    if (pipe > t->act->cc.ssthresh && p->recover_fs)
        count = in_proportion(p, t->act->cc.ssthresh);
    else
        count = replacing(t, nst_min32(pipe, t->act->cc.ssthresh), news, safe);
    if (p->out == 0 && t->act->phase == NST_TCP_RECOVERY) /* what is lost goes at once (6937-5) */
        count = nst_max32(count, t->snd_mss);
    t->act->cc.cwnd = pipe + count;
}
