/* The calls of clients: who may make them, and the answers. docs/ipc-protocol.md is the list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"
#include "daemon/exchange.h"
#include "daemon/lent.h"
#include "daemon/log.h"
#include "daemon/thread.h"

#define LIST_MAX 4096 /* entries in an answer */
#define LISTING  64   /* the surcharge for a list: messages */

/* ---- Small pieces of JSON -------------------------------------------------------------------- */

static json_t *json_addr(const struct nst_addr *a)
{
    char text[NST_ADDR_TEXT];

    return nst_addr_is_set(a) ? json_string(nst_addr_print(text, a)) : json_null();
}

static json_t *json_prefix(const struct nst_prefix *p)
{
    char text[NST_PREFIX_TEXT];

    return nst_addr_is_set(&p->addr) ? json_string(nst_prefix_print(text, p)) : json_null();
}

static json_t *json_mac(const struct nst_mac *m)
{
    char text[NST_MAC_TEXT];

    return nst_mac_is_zero(m) ? json_null() : json_string(nst_mac_print(text, m));
}

static json_t *json_memory(const struct nst_daemon *d)
{
    size_t all_used = 0, all_budget = 0, used, budget;

    for (unsigned i = 0; i < d->nqueues; i++) {
        nst_memory(d->queues[i].stack, &used, &budget);
        all_used += used;
        all_budget += budget;
    }
    return json_pack("{s:I, s:I}", "used", (json_int_t)all_used, "budget", (json_int_t)all_budget);
}

/* ---- The answers ------------------------------------------------------------------------------
 */

static json_t *device_status(const struct nst_daemon *d)
{
    struct nst_link_info info;

    nst_link_list(d->home->stack, &info, 1);
    return json_pack("{s:s, s:s, s:I, s:o, s:b, s:b}", "name", nst_device_name(d->home->device),
                     "kind", nst_config_kind(d->config.kind), "mtu", (json_int_t)info.config.mtu,
                     "mac", json_mac(&info.config.mac), "carrier", !info.config.down, "offload",
                     d->config.offload);
}

static json_t *call_status(struct nst_daemon *d)
{
    struct nst_ipc_server_stats clients;
    json_t *addresses = json_array(), *dns = json_array();

    for (size_t i = 0; i < d->config.naddresses; i++)
        json_array_append_new(addresses, json_prefix(&d->config.addresses[i].prefix));
    for (size_t i = 0; i < d->config.ndns; i++)
        json_array_append_new(dns, json_addr(&d->config.dns[i]));
    nst_ipc_server_stats(d->server, &clients);
    /* syscall: getpid */
    return json_pack("{s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:s?, s:o, s:I, s:I, s:i, s:b}",
                     "name", d->config.name, "version", NST_VERSION, "pid", (int)getpid(),
                     "uptime_s", (json_int_t)((nst_loop_clock() - d->started) / NST_SEC), "device",
                     device_status(d), "addresses", addresses, "gateway",
                     json_addr(&d->config.gateway), "dns", dns, "host_address",
                     json_prefix(&d->config.host), "nat", d->config.nat[0] ? d->config.nat : NULL,
                     "memory", json_memory(d), "sockets", (json_int_t)d->nsockets, "clients",
                     (json_int_t)clients.clients, "queues", (int)d->nqueues, "steered", d->steered);
}

static json_t *call_addr(struct nst_daemon *d)
{
    static const char *const states[] = {"tentative", "valid", "conflict"};
    static const char *const acds[] = {"off", "announce", "probe"};
    struct nst_addr_info infos[NST_UP_ADDRESSES];
    size_t n = nst_addr_list(d->home->stack, infos, NST_UP_ADDRESSES);
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:s}", "link",
                                              nst_device_name(d->home->device), "address",
                                              json_prefix(&infos[i].prefix), "state",
                                              states[infos[i].state], "acd", acds[infos[i].acd]));
    return json_pack("{s:o}", "addresses", list);
}

static json_t *call_route(struct nst_daemon *d)
{
    static const char *const origins[] = {"connected", "static", "redirect"};
    struct nst_route *routes = calloc(LIST_MAX, sizeof *routes);
    size_t n = routes ? nst_min(nst_route_list(d->home->stack, routes, LIST_MAX), LIST_MAX) : 0;
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:s, s:I, s:s}", "destination", json_prefix(&routes[i].dst),
                            "gateway", json_addr(&routes[i].gateway), "link",
                            nst_device_name(d->home->device), "metric",
                            (json_int_t)routes[i].metric, "origin", origins[routes[i].origin]));
    free(routes);
    return json_pack("{s:o}", "routes", list);
}

static json_t *neigh_entry(const struct nst_queue *q, const struct nst_neigh_info *n)
{
    static const char *const states[] = {"incomplete", "reachable", "stale",    "delay",
                                         "probe",      "failed",    "permanent"};
    json_t *ago = n->confirmed
                      ? json_integer((json_int_t)((nst_loop_clock() - n->confirmed) / NST_MS))
                      : json_null();

    return json_pack("{s:o, s:s, s:o, s:s, s:o, s:o*}", "address", json_addr(&n->addr), "link",
                     nst_device_name(q->device), "mac", json_mac(&n->mac), "state",
                     states[n->state], "confirmed_ms_ago", ago, "queue", nst_queue_json(q));
}

static void list_neighbours(const struct nst_queue *q, json_t *list)
{
    size_t room = LIST_MAX - json_array_size(list);
    struct nst_neigh_info *infos = calloc(room + 1, sizeof *infos);
    size_t n = infos ? nst_min(nst_neigh_list(q->stack, infos, room), room) : 0;

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, neigh_entry(q, &infos[i]));
    free(infos);
}

/* Each queue has a cache of its own. */
static json_t *call_neigh(struct nst_daemon *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->nqueues; i++)
        list_neighbours(&d->queues[i], list);
    return json_pack("{s:o}", "neighbours", list);
}

/* 0 stands for what is not known. */
static json_t *json_known(uint64_t value)
{
    return value ? json_integer((json_int_t)value) : json_null();
}

static json_t *metrics_entry(const struct nst_queue *q, const struct nst_metrics_info *m)
{
    uint64_t ago_ms = (nst_loop_clock() - m->measured) / NST_MS;
    json_t *fastopen = json_pack("{s:b, s:o, s:i}", "cookie", m->cookie, "mss", json_known(m->mss),
                                 "failures", m->failures);

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o*}", "local",
                     json_addr(&m->local), "peer", json_addr(&m->peer), "measured_ms_ago",
                     m->measured ? json_integer((json_int_t)ago_ms) : json_null(), "srtt_us",
                     json_known(m->srtt / NST_US), "rttvar_us", json_known(m->rttvar / NST_US),
                     "ssthresh", json_known(m->ssthresh), "mtu", json_known(m->mtu), "reordered",
                     m->reordered, "fastopen", fastopen, "queue", nst_queue_json(q));
}

static void list_metrics(const struct nst_queue *q, json_t *list)
{
    size_t room = LIST_MAX - json_array_size(list);
    struct nst_metrics_info *infos = calloc(room + 1, sizeof *infos);
    size_t n = infos ? nst_min(nst_metrics_list(q->stack, infos, room), room) : 0;

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, metrics_entry(q, &infos[i]));
    free(infos);
}

/* What each queue's connections have learnt is its own. */
static json_t *call_metrics(struct nst_daemon *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->nqueues; i++)
        list_metrics(&d->queues[i], list);
    return json_pack("{s:o}", "metrics", list);
}

/* Of a peer, or of all. */
static void call_flush_metrics(struct nst_daemon *d, struct nst_ipc_peer *peer, uint32_t id,
                               const json_t *args)
{
    const char *text = json_string_value(json_object_get(args, "peer"));
    struct nst_addr addr;
    size_t n = 0;

    if (text && !nst_addr_parse(&addr, text)) {
        nst_ipc_error(peer, id, -EINVAL, "'peer' is no address");
        return;
    }
    nst_queues_visit(d);
    for (unsigned i = 0; i < d->nqueues; i++)
        n += nst_metrics_flush(d->queues[i].stack, text ? &addr : NULL);
    nst_ipc_reply_take(peer, id, json_pack("{s:I}", "forgotten", (json_int_t)n));
}

/* A counter of all stacks. */
static uint64_t sum_of(const struct nst_daemon *d, size_t index)
{
    uint64_t sum = 0, value;
    const char *name;

    for (unsigned i = 0; i < d->nqueues; i++)
        sum += nst_stat(d->queues[i].stack, index, &name, &value) ? value : 0;
    return sum;
}

/* What the queues' devices lost, and what they handed over to each other. */
struct sums {
    uint64_t no_memory, refused, overruns, taken, lost;
};

static void sum_up(const struct nst_daemon *d, struct sums *sums)
{
    uint64_t no_memory, refused, taken, lost;

    for (unsigned i = 0; i < d->nqueues; i++) {
        nst_device_losses(d->queues[i].device, &no_memory, &refused);
        nst_exchange_stats(&d->queues[i], &taken, &lost);
        sums->no_memory += no_memory;
        sums->refused += refused;
        sums->overruns += nst_device_overruns(d->queues[i].device);
        sums->taken += taken;
        sums->lost += lost;
    }
}

static json_t *list_counters(const struct nst_daemon *d)
{
    struct nst_ipc_server_stats ipc;
    json_t *list = json_array();
    struct sums sums = {0};
    const char *name;
    uint64_t value;

    for (size_t i = 0; nst_stat(d->home->stack, i, &name, &value); i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I}", "name", name, "value", (json_int_t)sum_of(d, i)));
    sum_up(d, &sums);
    nst_ipc_server_stats(d->server, &ipc);
    const struct {
        const char *name;
        uint64_t value;
    } own[] = {
        {"device.lost_without_memory", sums.no_memory},
        {"device.refused", sums.refused},
        {"device.overruns", sums.overruns},
        {"queues.taken_over", sums.taken},
        {"queues.lost", sums.lost},
        {"ipc.accepted", ipc.accepted},
        {"ipc.refused", ipc.refused},
        {"ipc.malformed", ipc.malformed},
        {"ipc.dropped", ipc.dropped},
    };
    for (size_t i = 0; i < NST_ARRAY_LEN(own); i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I}", "name", own[i].name, "value", (json_int_t)own[i].value));
    for (enum nst_quota q = 0; q < NST_QUOTAS; q++)
        json_array_append_new(list, json_pack("{s:s, s:I}", "name", nst_quota_name(q), "value",
                                              (json_int_t)nst_lender_reached(d->lender, q)));
    return list;
}

static json_t *list_drops(const struct nst_daemon *d)
{
    json_t *list = json_array();

    for (uint16_t i = 1, n = (uint16_t)nst_drop_count(); i <= n; i++) {
        uint64_t sum = 0;
        for (unsigned q = 0; q < d->nqueues; q++)
            sum += nst_drops(d->queues[q].stack, i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "reason", nst_drop_name(i), "text",
                                              nst_drop_text(i), "count", (json_int_t)sum));
    }
    return list;
}

static json_t *link_stats(const char *key, json_t *name, const struct nst_link_info *l)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", key, name, "rx_pkts",
                     (json_int_t)l->rx_pkts, "rx_bytes", (json_int_t)l->rx_bytes, "tx_pkts",
                     (json_int_t)l->tx_pkts, "tx_bytes", (json_int_t)l->tx_bytes, "rx_drops",
                     (json_int_t)l->rx_drops, "tx_drops", (json_int_t)l->tx_drops);
}

static json_t *queue_stats(const struct nst_queue *q, const struct nst_link_info *l)
{
    json_t *json = link_stats("queue", json_integer(q->index), l);
    uint64_t taken, lost;

    nst_exchange_stats(q, &taken, &lost);
    json_object_set_new(json, "taken_over", json_integer((json_int_t)taken));
    json_object_set_new(json, "lost", json_integer((json_int_t)lost));
    return json;
}

static json_t *call_stats(struct nst_daemon *d)
{
    json_t *queues = d->nqueues > 1 ? json_array() : NULL;
    struct nst_link_info l, sum = {0};

    for (unsigned i = 0; i < d->nqueues; i++) {
        nst_link_list(d->queues[i].stack, &l, 1);
        if (queues)
            json_array_append_new(queues, queue_stats(&d->queues[i], &l));
        sum.rx_pkts += l.rx_pkts;
        sum.rx_bytes += l.rx_bytes;
        sum.tx_pkts += l.tx_pkts;
        sum.tx_bytes += l.tx_bytes;
        sum.rx_drops += l.rx_drops;
        sum.tx_drops += l.tx_drops;
    }
    return json_pack("{s:o, s:o, s:[o], s:o*, s:o}", "counters", list_counters(d), "drops",
                     list_drops(d), "links", link_stats("link", json_string(l.config.name), &sum),
                     "queues", queues, "memory", json_memory(d));
}

static json_t *call_down(struct nst_daemon *d)
{
    nst_log(NST_UP_LOG_INFO, "asked to end");
    nst_loop_task_post(d->loop, &d->quit);
    return json_object();
}

/* ---- From a call to its answer ----------------------------------------------------------------
 */

/* Each call either has an answer that depends on nothing but the daemon, or acts for its client and
 * answers itself. What takes the time of many messages is charged as so many more. */
static const struct {
    const char *op;
    bool owner_only;
    json_t *(*answer)(struct nst_daemon *d);
    nst_session_call *act;
    uint8_t surcharge;
} calls[] = {
    {"status", false, call_status, NULL, 0},
    {"addr", false, call_addr, NULL, 0},
    {"route", false, call_route, NULL, LISTING},
    {"neigh", false, call_neigh, NULL, LISTING},
    {"metrics", false, call_metrics, NULL, LISTING},
    {"flush_metrics", true, NULL, call_flush_metrics, 0},
    {"stats", false, call_stats, NULL, LISTING},
    {"sockets", false, NULL, nst_socklist_call, LISTING},
    {"socket", false, NULL, nst_session_socket, 0},
    {"open", false, NULL, nst_lent_call_open, 0},
    {"bind", false, NULL, nst_lent_call_bind, 0},
    {"connect", false, NULL, nst_lent_call_connect, 0},
    {"begin", false, NULL, nst_lent_call_begin, 0},
    {"listen", false, NULL, nst_lent_call_listen, 0},
    {"name", false, NULL, nst_lent_call_name, 0},
    {"setsockopt", false, NULL, nst_lent_call_setopt, 0},
    {"getsockopt", false, NULL, nst_lent_call_getopt, 0},
    {"error", false, NULL, nst_lent_call_error, 0},
    {"sweep", false, NULL, nst_lent_call_sweep, 0},
    {"kill", false, NULL, nst_lent_call_kill, 0},
    {"setopt", false, NULL, nst_session_setopt, 0},
    {"close", false, NULL, nst_session_close, 0},
    {"capture", true, NULL, nst_capture_call, 0},
    {"down", true, call_down, NULL, 0},
};

static void on_call(void *ctx, struct nst_ipc_peer *peer, uint32_t id, const char *op,
                    const json_t *args)
{
    struct nst_daemon *d = ctx;
    struct nst_account *account = nst_session_account(nst_ipc_peer_data(peer));
    size_t i = 0;

    while (i < NST_ARRAY_LEN(calls) && strcmp(op, calls[i].op) != 0)
        i++;
    if (account && i < NST_ARRAY_LEN(calls) && calls[i].surcharge)
        (void)nst_account_charge(account, calls[i].surcharge, nst_loop_now(d->loop));
    if (i == NST_ARRAY_LEN(calls)) {
        nst_ipc_error(peer, id, -ENOSYS, "this daemon (%s) knows no such call", NST_VERSION);
    } else if (calls[i].owner_only && !nst_ipc_peer_is_owner(peer)) {
        nst_ipc_error(peer, id, -EPERM,
                      "'%s' is for root and for the user who started the instance", calls[i].op);
    } else if (calls[i].answer) {
        nst_queues_visit(d);
        nst_ipc_reply_take(peer, id, calls[i].answer(d));
    } else {
        calls[i].act(d, peer, id, args);
    }
    nst_queues_leave(d);
}

static void on_opened(void *ctx, struct nst_ipc_peer *peer)
{
    nst_ipc_peer_set(peer, nst_session_new(ctx, peer));
}

static void on_closed(void *ctx, struct nst_ipc_peer *peer)
{
    struct nst_daemon *d = ctx;
    struct nst_session *session = nst_ipc_peer_data(peer);

    nst_capture_forget(d, peer);
    if (session) /* with the client, programs may have gone */
        nst_lender_sweep(d->lender, nst_session_account(session));
    nst_session_free(session);
    nst_ipc_peer_set(peer, NULL);
}

/* A message is a KiB at most, or counts as several. */
static uint64_t on_pace(void *ctx, struct nst_ipc_peer *peer, size_t len)
{
    const struct nst_daemon *d = ctx;
    struct nst_account *account = nst_session_account(nst_ipc_peer_data(peer));

    return account ? nst_account_charge(account, 1 + len / 1024, nst_loop_now(d->loop)) : 0;
}

const struct nst_ipc_ops nst_control_ops = {
    .opened = on_opened,
    .call = on_call,
    .datagram = nst_session_datagram,
    .closed = on_closed,
    .pace = on_pace,
};
