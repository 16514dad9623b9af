/* The path's MTU, found out by what arrives (RFC 4821; for other protocols RFC 8899).
 *
 * ICMP says when a segment was too large (user.c), if it says so at all: a router that drops large
 * packets in silence is a black hole, in which a connection ends that has only sent small ones so
 * far. So when segments above the base size time out again and again, smaller ones are tried. And
 * as nothing ever says that the path has become wider, that is tried after ten minutes.
 *
 *     mtu         what is used: that much has arrived, or is believed in
 *     mtu_high    what may still be possible; 0: nothing is to be found out
 *
 * Between the two lies the answer. A probe is one segment of new data, halfway between; what
 * follows it is enough for its loss to be seen soon. If it arrives, that is the MTU; if it alone is
 * lost, the answer lies below, and that is no congestion. Everything else that is lost means what
 * it always means.
 *
 * As in Linux (tcp_mtu_probing) that is off, begins in a black hole, or begins with the connection.
 * Where it is off, MTUs learnt by ICMP are given up after the ten minutes all the same. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define HEADERS       (NST_IPV4_HLEN + NST_TCP_HLEN)
#define MTU_BASE      (1024 + HEADERS) /* 4821-2: what nearly every path carries */
#define CLOSE_ENOUGH  8                /* bytes, and the search is over */
#define RAISE_AFTER_S 600              /* 4821-7, 8899-4, 1191-4: recommended; 300 is the least */
#define FLIGHT_MIN    11               /* segments: a smaller window has better things to do */
#define FOLLOWERS     4                /* segments behind a probe: its loss is seen by them */

static uint32_t clock_s(const struct nst_tcb *t)
{
    return (uint32_t)nst_max(t->tcps->env->now / NST_SEC, 1);
}

/* What the first hop carries, and the peer takes (8899-5). */
static uint32_t largest(const struct nst_tcb *t)
{
    struct nst_path path;
    uint32_t peer = t->peer_mss ? t->peer_mss + HEADERS : MTU_BASE;

    if (nst_ip_path(t->tcps->ip, &t->flow.id.peer, 0, &path) != 0)
        return t->mtu;
    return nst_min32(path.mtu, peer);
}

static void search_up_to(struct nst_tcb *t, uint32_t high)
{
    t->mtu_high = high >= (uint32_t)t->mtu + CLOSE_ENOUGH ? (uint16_t)nst_min32(high, UINT16_MAX)
                                                          : 0;
    t->mtu_since_s = clock_s(t);
}

static bool is_probing(const struct nst_tcb *t)
{
    return !nst_seq_eq(t->act->probe_start, t->act->probe_end);
}

void nst_mtu_probe_forget(struct nst_tcb *t)
{
    t->act->probe_start = t->act->probe_end = t->snd.una;
}

/* ---- When it begins ---------------------------------------------------------------------- */

void nst_mtu_begin(struct nst_tcb *t)
{
    uint32_t high = t->mtu;

    if (t->opt.mtu_probing != NST_TCP_MTU_PROBING_ALWAYS || t->mtu <= MTU_BASE)
        return;
    t->mtu = MTU_BASE;
    nst_tcb_set_mss(t);
    search_up_to(t, nst_min32(high, largest(t)));
}

/* As if this one had found it then. */
void nst_mtu_expect(struct nst_tcb *t, uint16_t mtu, uint32_t since_s)
{
    if (mtu >= t->mtu || clock_s(t) - since_s >= RAISE_AFTER_S)
        return;
    t->mtu = mtu;
    t->mtu_since_s = since_s;
    nst_tcb_set_mss(t);
}

uint16_t nst_mtu_found(const struct nst_tcb *t)
{
    struct nst_path path;

    if (!t->mtu_since_s || t->mtu_high || nst_ip_path(t->tcps->ip, &t->flow.id.peer, 0, &path) != 0)
        return 0;
    return t->mtu < path.mtu ? t->mtu : 0;
}

void nst_mtu_lowered(struct nst_tcb *t)
{
    t->mtu_high = 0;
    t->mtu_since_s = clock_s(t);
}

/* 4821-5, 8899-3: the timeouts go on, and nothing small is out that could tell more: half of it
 * each time below the base. */
void nst_mtu_timeout(struct nst_tcb *t)
{
    uint32_t lower = t->mtu > MTU_BASE ? MTU_BASE : nst_max32(t->mtu / 2, NST_TCP_PMTU_MIN);
    uint32_t high = t->mtu - 1u;

    if (is_probing(t)) /* lost, with everything else: that says nothing about its size */
        nst_mtu_probe_forget(t);
    if (t->opt.mtu_probing == NST_TCP_MTU_PROBING_OFF || t->snd_mss + (uint32_t)HEADERS <= lower ||
        t->act->retries < t->tcps->config.retries1)
        return;
    NST_COUNT(t->tcps->env, tcp_mtu_black_holes);
    t->mtu = (uint16_t)lower;
    nst_tcb_set_mss(t);
    search_up_to(t, nst_min32(high, largest(t)));
}

void nst_mtu_raise(struct nst_tcb *t)
{
    if (!t->mtu_since_s || t->mtu_high || clock_s(t) - t->mtu_since_s < RAISE_AFTER_S)
        return;
    uint32_t high = largest(t);
    t->mtu_since_s = 0;
    if (high <= t->mtu)
        return;
    if (t->opt.mtu_probing != NST_TCP_MTU_PROBING_OFF) {
        search_up_to(t, high);
        return;
    }
    t->mtu = (uint16_t)high;
    nst_tcb_set_mss(t);
}

/* ---- Probes ------------------------------------------------------------------------------ */

/* 4821-1: halfway; 4821-8, 4821-9. */
uint32_t nst_mtu_probe_len(struct nst_tcb *t, uint32_t queued, uint32_t sendable)
{
    struct nst_tcp_activity *a = t->act;
    uint32_t overhead = HEADERS + (t->ts_ok ? 12 : 0);

    if (!t->mtu_high || is_probing(t) || a->phase != NST_TCP_OPEN || t->snd_urgent ||
        a->cc.cwnd < FLIGHT_MIN * t->snd_mss || nst_pace_holds(t))
        return 0;
    uint32_t mtu = ((uint32_t)t->mtu + t->mtu_high + 1) / 2, len = mtu - overhead;
    if (len <= t->snd_mss || queued < len + FOLLOWERS * t->snd_mss || sendable < len)
        return 0;
    a->probe_start = t->snd.nxt;
    a->probe_end = nst_seq_add(t->snd.nxt, len);
    a->probe_mtu = (uint16_t)mtu;
    NST_COUNT(t->tcps->env, tcp_mtu_probes);
    return len;
}

bool nst_mtu_is_probe(const struct nst_tcb *t, nst_seq seq)
{
    return is_probing(t) && nst_seq_eq(seq, t->act->probe_start);
}

/* 4821-3. */
void nst_mtu_acked(struct nst_tcb *t)
{
    if (!is_probing(t) || nst_seq_lt(t->snd.una, t->act->probe_end))
        return;
    t->mtu = (uint16_t)nst_max32(t->mtu, t->act->probe_mtu);
    nst_tcb_set_mss(t);
    search_up_to(t, t->mtu_high);
    nst_mtu_probe_forget(t);
}

/* 4821-4, 4821-6, 8899-1: only it is lost, for what was sent before has arrived, and what follows
 * too. */
bool nst_mtu_probe_lost(struct nst_tcb *t)
{
    uint32_t len = (uint32_t)nst_seq_diff(t->act->probe_end, t->act->probe_start);

    if (!is_probing(t) || !nst_seq_eq(t->snd.una, t->act->probe_start) || t->act->board.lost != len)
        return false;
    search_up_to(t, t->act->probe_mtu - 1u);
    nst_mtu_probe_forget(t);
    t->act->phase = NST_TCP_LOSS;
    t->act->recovery_point = t->snd.nxt;
    t->act->rexmit_now = true;
    return true;
}
