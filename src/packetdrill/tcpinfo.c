/* TCP_INFO as the kernel lays it out. What the stack doesn't measure is 0: pacing and delivery
 * rates, the times of what held the sender back, Fast Open. Packets are counted in segments,
 * as there: the stack counts bytes. */
#include <limits.h>
#include <string.h>

#include "core/base/bytes.h"
#include "packetdrill/host.h"

/* The layout of struct tcp_info of Linux 6.18, under the same names. */
struct info {
    uint8_t state, ca_state, retransmits, probes, backoff, options;
    uint8_t wscale; /* the peer's in the low four bits, ours in the high ones */
    uint8_t flags;
    uint32_t rto, ato, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv; /* ms ago */
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt, rcv_space, total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time;
    uint32_t received_ce, accecn_bytes[6], accecn_modes;
};

_Static_assert(sizeof(struct info) == NST_PD_TCP_INFO_LEN, "the kernel's layout");
_Static_assert(offsetof(struct info, pacing_rate) == 104, "the kernel's layout");
_Static_assert(offsetof(struct info, bytes_sent) == 200, "the kernel's layout");
_Static_assert(offsetof(struct info, total_rto) == 240, "the kernel's layout");

#define MSS_DEFAULT 536 /* what the kernel shows before there is a connection */
#define REORDERING  3   /* segments: ours doesn't adapt */
#define HEADERS     (NST_IPV4_HLEN + NST_TCP_HLEN)

enum { OPT_TIMESTAMPS = 1, OPT_SACK = 2, OPT_WSCALE = 4, OPT_ECN = 8, OPT_ECN_SEEN = 16 };

/* The kernel's numbers of our states. */
static uint8_t state_of(enum nst_tcp_state state)
{
    static const uint8_t states[] = {
        [NST_TCP_CLOSED] = 7,       [NST_TCP_LISTEN] = 10,     [NST_TCP_SYN_SENT] = 2,
        [NST_TCP_SYN_RECEIVED] = 3, [NST_TCP_ESTABLISHED] = 1, [NST_TCP_FIN_WAIT_1] = 4,
        [NST_TCP_FIN_WAIT_2] = 5,   [NST_TCP_CLOSE_WAIT] = 8,  [NST_TCP_CLOSING] = 11,
        [NST_TCP_LAST_ACK] = 9,     [NST_TCP_TIME_WAIT] = 6,
    };

    return states[state];
}

static uint8_t ca_state_of(enum nst_tcp_phase phase)
{
    static const uint8_t states[] = {[NST_TCP_OPEN] = 0,
                                     [NST_TCP_DISORDER] = 1,
                                     [NST_TCP_CONGESTED] = 2,
                                     [NST_TCP_RECOVERY] = 3,
                                     [NST_TCP_LOSS] = 4};

    return states[phase];
}

static uint32_t usecs(nst_time t)
{
    return (uint32_t)(t / NST_US);
}

static uint32_t msecs(nst_time t)
{
    return t == NST_TIME_NEVER ? 0 : (uint32_t)(t / NST_MS);
}

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
    return (bytes + mss - 1) / mss;
}

/* What is out, by the scoreboard; a SYN is not on it. */
static void count_segments(const struct nst_tcb *t, struct info *out)
{
    if (t->state == NST_TCP_SYN_SENT || t->state == NST_TCP_SYN_RECEIVED)
        out->unacked = 1;
    if (!t->act)
        return;
    NST_TREE_FOREACH (n, &t->act->board.records) {
        const struct nst_tcp_sent *s = NST_CONTAINER(n, const struct nst_tcp_sent, node);
        uint32_t count = segments((uint32_t)nst_seq_diff(s->end, s->start), t->snd_mss);
        out->unacked += count;
        out->sacked += s->flags & NST_SENT_SACKED ? count : 0;
        out->lost += s->flags & NST_SENT_LOST ? count : 0;
        out->retrans += s->flags & NST_SENT_RETRANS ? count : 0;
    }
}

static void put_state(const struct nst_tcp_info *in, struct info *out)
{
    out->state = state_of(in->state);
    out->ca_state = ca_state_of(in->ca_state);
    out->retransmits = in->retransmits;
    out->probes = in->probes;
    out->backoff = in->backoff;
    out->options = (uint8_t)((in->timestamps ? OPT_TIMESTAMPS : 0) | (in->sack ? OPT_SACK : 0) |
                             (in->wscale ? OPT_WSCALE : 0) | (in->ecn ? OPT_ECN : 0) |
                             (in->ecn_seen ? OPT_ECN_SEEN : 0));
    out->wscale = (uint8_t)(in->snd_wscale | in->rcv_wscale << 4);
    out->last_data_sent = msecs(in->last_data_sent);
    out->last_data_recv = msecs(in->last_data_recv);
}

static void put_path(const struct nst_tcp_info *in, struct info *out)
{
    uint32_t mss = in->snd_mss ? in->snd_mss : MSS_DEFAULT;

    out->rto = usecs(in->rto);
    out->rtt = usecs(in->rtt);
    out->rttvar = usecs(in->rttvar);
    out->min_rtt = in->min_rtt ? usecs(in->min_rtt) : UINT32_MAX;
    out->snd_mss = mss;
    out->rcv_mss = in->rcv_mss;
    out->pmtu = in->pmtu;
    out->advmss = in->pmtu > HEADERS ? in->pmtu - HEADERS : 0;
    out->snd_cwnd = segments(in->snd_cwnd, mss);
    out->snd_ssthresh = in->snd_ssthresh == UINT32_MAX ? INT_MAX : in->snd_ssthresh / mss;
    out->reordering = REORDERING;
    out->snd_wnd = in->snd_wnd;
    out->rcv_wnd = in->rcv_wnd;
    out->rcv_ssthresh = out->rcv_space = in->rcvbuf / 2;
}

static void put_counts(const struct nst_tcp_info *in, struct info *out)
{
    out->notsent_bytes = in->notsent_bytes;
    out->total_retrans = in->total_retrans;
    out->bytes_acked = in->bytes_acked;
    out->bytes_received = in->bytes_received;
    out->bytes_sent = in->bytes_sent;
    out->bytes_retrans = in->bytes_retrans;
    out->segs_in = in->segs_in;
    out->segs_out = in->segs_out;
    out->data_segs_in = in->data_segs_in;
    out->data_segs_out = in->data_segs_out;
    out->dsack_dups = in->dsack_dups;
    out->reord_seen = in->reord_seen;
    out->rcv_ooopack = in->rcv_ooopack;
}

void nst_pd_tcp_info(const struct nst_pd_host *host, const struct nst_pd_file *file,
                     uint8_t out[NST_PD_TCP_INFO_LEN])
{
    struct info info = {.state = state_of(NST_TCP_LISTEN)};
    struct nst_tcp_info in;

    if (nst_tcp_info(host->stack, file->sock, &in) == 0) {
        put_state(&in, &info);
        put_path(&in, &info);
        put_counts(&in, &info);
        count_segments(nst_pd_tcb(host, file), &info);
    }
    memcpy(out, &info, sizeof info);
}
