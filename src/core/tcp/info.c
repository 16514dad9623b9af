/* What can be seen of connections from outside. */
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

/* How long ago; never for 0. */
static nst_time ago(const struct nst_tcb *t, uint32_t then_ms)
{
    return then_ms ? (nst_tcp_ms(t->tcps) - then_ms) * NST_MS : NST_TIME_NEVER;
}

uint32_t nst_tcb_unacked(const struct nst_tcb *t)
{
    nst_seq end = nst_tcb_snd_end(t);

    if (t->state < NST_TCP_SYN_SENT)
        return 0;
    if (t->state < NST_TCP_ESTABLISHED) /* behind the SYN: what is to go with it, if anything */
        return (uint32_t)nst_seq_diff(end, t->snd.nxt);
    return (uint32_t)nst_seq_diff(end, nst_seq_min(t->snd.una, end));
}

/* What was written but not sent: behind snd.nxt, which counts a FIN, too. */
static uint32_t not_sent(const struct nst_tcb *t)
{
    bool begun = t->state >= NST_TCP_ESTABLISHED;

    return begun ? (uint32_t)nst_seq_diff(nst_tcb_snd_end(t),
                                          nst_seq_min(t->snd.nxt, nst_tcb_snd_end(t)))
                 : 0;
}

const char *nst_tcp_reason_name(enum nst_tcp_reason reason)
{
    static const char *const names[] = {
        [NST_TCP_REASON_NONE] = "none",       [NST_TCP_REASON_RACK] = "rack",
        [NST_TCP_REASON_DUPACKS] = "dupacks", [NST_TCP_REASON_TLP] = "tlp",
        [NST_TCP_REASON_RTO] = "rto",         [NST_TCP_REASON_ECN] = "ecn",
    };

    return (size_t)reason < NST_ARRAY_LEN(names) ? names[reason] : NULL;
}

static void describe_path(const struct nst_tcb *t, struct nst_tcp_info *out)
{
    out->rto = nst_rtt_rto(&t->rtt);
    out->rtt = t->rtt.srtt;
    out->rttvar = t->rtt.rttvar;
    out->min_rtt = nst_rtt_min(&t->rtt);
    out->backoff = t->rtt.backoff;
    out->snd_mss = t->snd_mss;
    out->rcv_mss = t->rcv_mss;
    out->pmtu = t->mtu;
    out->snd_cwnd = nst_tcb_cwnd(t);
    out->snd_ssthresh = nst_tcb_ssthresh(t);
    out->congestion = nst_cc_of(&t->cc)->name;
    out->reduced_by = t->reason;
    out->reo_wnd = nst_rack_reo_wnd(t);
    out->snd_wnd = t->snd.wnd;
    if (t->state >= NST_TCP_ESTABLISHED)
        out->rcv_wnd = (uint32_t)nst_seq_diff(t->rcv.adv, t->rcv.nxt);
    out->snd_wscale = t->snd_wscale;
    out->rcv_wscale = t->rcv_wscale;
}

/* How fast it goes, and what keeps it from being faster. */
static void describe_rates(const struct nst_tcb *t, struct nst_tcp_info *out)
{
    out->delivered = t->count.bytes_acked;
    if (t->act) {
        out->pacing_rate = t->act->pace.bytes_per_sec;
        out->delivery_rate = t->act->rate.bytes_per_sec;
        out->delivery_rate_app_limited = t->act->rate.was_app_limited;
        out->delivered = t->act->rate.delivered;
    }
    out->rwnd_limited = nst_chrono_time(t, NST_CHRONO_RWND_LIMITED);
    out->sndbuf_limited = nst_chrono_time(t, NST_CHRONO_SNDBUF_LIMITED);
    out->busy_time = nst_chrono_time(t, NST_CHRONO_BUSY) + out->rwnd_limited + out->sndbuf_limited;
}

static void describe_counters(const struct nst_tcb *t, struct nst_tcp_info *out)
{
    const struct nst_tcp_counters *c = &t->count;
    const struct nst_tcp_trouble *had = nst_tcb_troubles(t);

    out->bytes_sent = c->bytes_sent;
    out->bytes_acked = c->bytes_acked;
    out->bytes_received = c->bytes_received;
    out->bytes_retrans = had->bytes_retrans;
    out->segs_out = c->segs_out;
    out->segs_in = c->segs_in;
    out->data_segs_out = c->data_segs_out;
    out->data_segs_in = c->data_segs_in;
    out->total_retrans = had->retrans;
    out->dsack_dups = had->dsacks;
    out->reord_seen = had->reordered;
    out->rcv_ooopack = had->ooo;
    out->undos = had->undos;
    out->loss_probes = had->probes;
}

void nst_tcb_info(const struct nst_tcb *t, struct nst_tcp_info *out)
{
    *out = (struct nst_tcp_info){
        .state = nst_fastopen_shakes(t) ? NST_TCP_SYN_RECEIVED : t->state,
        .ca_state = nst_tcb_phase(t),
        .timestamps = t->ts_ok,
        .sack = t->sack_ok,
        .wscale = t->ws_ok,
        .ecn = t->ecn_ok,
        .ecn_seen = t->ecn_seen,
        .syn_data = t->syn_data,
        .rcv_tos = t->rcv_tos,
        .pmtu_high = t->mtu_high,
        .rcv_ce = nst_tcb_troubles(t)->ce_segs,
        .probes = t->probes,
        .last_data_sent = ago(t, t->last_snd_ms),
        .last_data_recv = ago(t, t->last_rcv_ms),
        .age = t->tcps->env->now - t->started,
        .sndbuf = t->opt.sndbuf,
        .rcvbuf = t->opt.rcvbuf,
        .unacked = nst_tcb_unacked(t) - not_sent(t),
        .notsent_bytes = not_sent(t),
    };
    if (t->act) {
        out->retransmits = t->act->retries;
        out->sacked = t->act->board.sacked;
        out->lost = t->act->board.lost;
        out->retrans = t->act->board.retrans;
    }
    describe_path(t, out);
    describe_rates(t, out);
    describe_counters(t, out);
}

/* ---- Connections without a socket --------------------------------------------------------------
 */

static bool has_socket(const struct nst_flow *flow)
{
    const struct nst_tcb *t = NST_CONTAINER(flow, const struct nst_tcb, flow);

    return flow->kind == NST_FLOW_TCB && t->owner && !t->unaccepted;
}

static bool is_over(const struct nst_tcps *tcps, const struct nst_flow *flow)
{
    return flow->kind == NST_FLOW_TIMEWAIT &&
           nst_timewait_is_over(tcps, NST_CONTAINER(flow, const struct nst_tcp_timewait, flow));
}

static void describe_flow(const struct nst_flow *flow, struct nst_tcp_orphan *out)
{
    *out = (struct nst_tcp_orphan){.id = flow->id};
    switch ((enum nst_flow_kind)flow->kind) {
    case NST_FLOW_TCB: {
        const struct nst_tcb *t = NST_CONTAINER(flow, const struct nst_tcb, flow);
        out->state = t->state;
        out->rx_bytes = nst_tcb_unread(t);
        out->tx_bytes = nst_tcb_unacked(t);
        out->listener = nst_tcb_listener(t);
        break;
    }
    case NST_FLOW_REQ:
        out->state = NST_TCP_SYN_RECEIVED;
        out->listener = NST_CONTAINER(flow, const struct nst_tcp_req, flow)->listener;
        break;
    case NST_FLOW_TIMEWAIT:
        out->state = NST_TCP_TIME_WAIT;
        break;
    }
}

/* A position is a bucket and how many flows of its chain come before. */
#define CHAIN_BITS 20

bool nst_tcp_orphan_next(const struct nst_tcps *tcps, uint64_t *at, struct nst_tcp_orphan *out)
{
    uint64_t bucket = *at >> CHAIN_BITS, skip = *at & ((1u << CHAIN_BITS) - 1), i = 0;

    for (; bucket <= tcps->mask; bucket++, skip = 0) {
        i = 0;
        for (const struct nst_flow *f = tcps->buckets[bucket]; f; f = f->next, i++) {
            if (i < skip || has_socket(f) || is_over(tcps, f))
                continue;
            describe_flow(f, out);
            *at = bucket << CHAIN_BITS | (i + 1);
            return true;
        }
    }
    *at = bucket << CHAIN_BITS;
    return false;
}
