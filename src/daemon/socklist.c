/* The call `sockets`: all sockets of the stack, and connections without one, page by page. */
#include <stddef.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/lent.h"
#include "daemon/thread.h"

/* Where in a cursor of the stack's the queue stands, one after the other. */
#define QUEUE_SHIFT 56
#define QUEUE_MASK  (UINT64_C(0x7f) << QUEUE_SHIFT)

#define PAGE 64 /* entries in an answer: with all that is told of each, half a message */

/* ---- TCP_INFO -------------------------------------------------------------------------------- */

#define PLACE(member) \
    offsetof(struct nst_tcp_info, member), sizeof(((struct nst_tcp_info *)0)->member)

/* The members that are numbers, under their own names; times, in nanoseconds, end in _ns. */
static const struct {
    const char *name;
    size_t offset, size;
} numbers[] = {
    {"snd_wscale", PLACE(snd_wscale)},
    {"rcv_wscale", PLACE(rcv_wscale)},
    {"retransmits", PLACE(retransmits)},
    {"probes", PLACE(probes)},
    {"backoff", PLACE(backoff)},
    {"rto_ns", PLACE(rto)},
    {"rtt_ns", PLACE(rtt)},
    {"rttvar_ns", PLACE(rttvar)},
    {"min_rtt_ns", PLACE(min_rtt)},
    {"last_data_sent_ns", PLACE(last_data_sent)},
    {"last_data_recv_ns", PLACE(last_data_recv)},
    {"age_ns", PLACE(age)},
    {"snd_mss", PLACE(snd_mss)},
    {"rcv_mss", PLACE(rcv_mss)},
    {"pmtu", PLACE(pmtu)},
    {"snd_cwnd", PLACE(snd_cwnd)},
    {"snd_ssthresh", PLACE(snd_ssthresh)},
    {"snd_wnd", PLACE(snd_wnd)},
    {"rcv_wnd", PLACE(rcv_wnd)},
    {"sndbuf", PLACE(sndbuf)},
    {"rcvbuf", PLACE(rcvbuf)},
    {"unacked", PLACE(unacked)},
    {"sacked", PLACE(sacked)},
    {"lost", PLACE(lost)},
    {"retrans", PLACE(retrans)},
    {"notsent_bytes", PLACE(notsent_bytes)},
    {"bytes_sent", PLACE(bytes_sent)},
    {"bytes_acked", PLACE(bytes_acked)},
    {"bytes_received", PLACE(bytes_received)},
    {"bytes_retrans", PLACE(bytes_retrans)},
    {"segs_out", PLACE(segs_out)},
    {"segs_in", PLACE(segs_in)},
    {"data_segs_out", PLACE(data_segs_out)},
    {"data_segs_in", PLACE(data_segs_in)},
    {"total_retrans", PLACE(total_retrans)},
    {"dsack_dups", PLACE(dsack_dups)},
    {"reord_seen", PLACE(reord_seen)},
    {"rcv_ooopack", PLACE(rcv_ooopack)},
    {"pacing_rate", PLACE(pacing_rate)},
    {"delivery_rate", PLACE(delivery_rate)},
    {"delivered", PLACE(delivered)},
    {"busy_time_ns", PLACE(busy_time)},
    {"rwnd_limited_ns", PLACE(rwnd_limited)},
    {"sndbuf_limited_ns", PLACE(sndbuf_limited)},
    {"undos", PLACE(undos)},
    {"loss_probes", PLACE(loss_probes)},
    {"reo_wnd_ns", PLACE(reo_wnd)},
    {"rcv_ce", PLACE(rcv_ce)},
    {"pmtu_high", PLACE(pmtu_high)},
    {"rcv_tos", PLACE(rcv_tos)},
};

/* Null for what is as large as can be, which stands for "never" or "none". */
static json_t *number(const struct nst_tcp_info *info, size_t offset, size_t size)
{
    const uint8_t *p = (const uint8_t *)info + offset;
    uint32_t u32;
    uint64_t u64;

    if (size == 1)
        return json_integer(*p);
    if (size == sizeof u32) {
        memcpy(&u32, p, sizeof u32);
        return u32 == UINT32_MAX ? json_null() : json_integer(u32);
    }
    memcpy(&u64, p, sizeof u64);
    return u64 == UINT64_MAX ? json_null() : json_integer((json_int_t)u64);
}

static json_t *json_info(const struct nst_stack *stack, nst_sock sock)
{
    static const char *const phases[] = {"open", "disorder", "cwr", "recovery", "loss"};
    struct nst_tcp_info info;

    if (!sock || nst_tcp_info(stack, sock, &info) != 0)
        return json_null();
    json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b}", "congestion",
                             info.congestion, "ca_state", phases[info.ca_state], "reduced_by",
                             nst_tcp_reason_name(info.reduced_by), "timestamps", info.timestamps,
                             "sack", info.sack, "wscale", info.wscale, "ecn", info.ecn, "ecn_seen",
                             info.ecn_seen, "syn_data", info.syn_data);
    json_object_set_new(json, "delivery_rate_app_limited",
                        json_boolean(info.delivery_rate_app_limited));
    for (size_t i = 0; i < NST_ARRAY_LEN(numbers); i++)
        json_object_set_new(json, numbers[i].name,
                            number(&info, numbers[i].offset, numbers[i].size));
    return json;
}

/* ---- A socket -------------------------------------------------------------------------------- */

static const char *protocol_name(const struct nst_sock_info *s)
{
    switch (s->type) {
    case NST_SOCK_STREAM:
        return "tcp";
    case NST_SOCK_DGRAM:
        return s->protocol == 1 ? "icmp" : "udp";
    case NST_SOCK_RAW:
        return "raw";
    case NST_SOCK_PACKET:
        return "packet";
    }
    return NULL;
}

static const char *state_name(const struct nst_sock_info *s)
{
    static const char *const names[] = {"closed",      "listen",     "syn-sent",   "syn-received",
                                        "established", "fin-wait-1", "fin-wait-2", "close-wait",
                                        "closing",     "last-ack",   "time-wait"};

    return s->type == NST_SOCK_STREAM ? names[s->state] : NULL;
}

/* A service, or the process that has it; null when nobody has it any more. */
static json_t *json_owner(uint64_t cookie)
{
    const char *service = cookie ? nst_services_name(cookie) : NULL;
    const struct ucred *cred = cookie ? nst_session_cred(cookie) : NULL;
    const struct nst_lent *lent = cookie ? nst_lent_of_cookie(cookie) : NULL;

    if (service)
        return json_pack("{s:s}", "service", service);
    if (lent)
        return json_pack("{s:i, s:i, s:I}", "pid", (int)lent->pid, "uid", (int)lent->account->uid,
                         "number", (json_int_t)lent->token.id);
    return cred ? json_pack("{s:i, s:i}", "pid", (int)cred->pid, "uid", (int)cred->uid)
                : json_null();
}

static json_t *json_name(const struct nst_sockaddr *name)
{
    char text[NST_ADDR_TEXT];
    bool set = nst_addr_is_set(&name->addr);

    return json_pack("{s:s?, s:i}", "address", set ? nst_addr_print(text, &name->addr) : NULL,
                     "port", name->port);
}

static json_t *entry(const struct nst_queue *q, const struct nst_sock_info *s, bool with_info)
{
    json_t *json = json_pack(
        "{s:s, s:s?, s:o, s:o, s:I, s:I, s:I, s:o, s:o*}", "protocol", protocol_name(s), "state",
        state_name(s), "local", json_name(&s->local), "peer", json_name(&s->peer), "rx_bytes",
        (json_int_t)s->rx_bytes, "tx_bytes", (json_int_t)s->tx_bytes, "rx_drops",
        (json_int_t)s->rx_drops, "owner", json_owner(s->cookie), "queue", nst_queue_json(q));

    if (with_info && s->type == NST_SOCK_STREAM)
        json_object_set_new(json, "info", json_info(q->stack, s->sock));
    return json;
}

void nst_socklist_call(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                       const json_t *args)
{
    uint64_t given = (uint64_t)json_integer_value(json_object_get(args, "cursor"));
    uint64_t index = (given & QUEUE_MASK) >> QUEUE_SHIFT, cursor = given & ~QUEUE_MASK;
    bool with_info = json_is_true(json_object_get(args, "info"));
    struct nst_sock_info infos[PAGE];
    struct nst_queue *q = &d->queues[nst_min(index, d->nqueues - 1)];
    json_t *list = json_array();

    nst_queue_visit(q);
    size_t n = nst_sock_list(q->stack, &cursor, infos, PAGE);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, entry(q, &infos[i], with_info));
    if (n == PAGE)
        cursor |= given & QUEUE_MASK;
    else
        cursor = index + 1 < d->nqueues ? (index + 1) << QUEUE_SHIFT : 0;
    json_t *next = cursor ? json_integer((json_int_t)cursor) : json_null();
    nst_ipc_reply_take(peer, id, json_pack("{s:o, s:o}", "sockets", list, "cursor", next));
}
