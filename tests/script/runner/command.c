#include "command.h"

#include <errno.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"

/* ---- Results and names ---------------------------------------------------------------------- */

/* The line's end: `= NUMBER` or `= -ERROR`; without it, the call must not fail. */
static void expect_result(struct world *w, int64_t result)
{
    struct script *s = w->s;
    int64_t want = 0;
    char got[64];

    if (result < 0)
        snprintf(got, sizeof got, "-%s", script_errno_name((int)-result));
    else
        snprintf(got, sizeof got, "%lld", (long long)result);
    bool stated = script_accept(s, "=");
    if (stated && script_peek(s) && *script_peek(s) == '-') {
        want = -script_errno(script_word(s) + 1);
        if (want > 0)
            script_fail(s, "what error is that?");
    } else if (stated) {
        want = (int64_t)script_number(s);
    }
    script_expect_end(s);
    if (stated ? result != want : result < 0)
        script_fail(s, "the result is %s", got);
}

static nst_sock sock_named(struct world *w)
{
    const char *name = script_word(w->s);

    for (unsigned i = w->nsocks; i-- > 0;)
        if (strcmp(w->socks[i].name, name) == 0)
            return w->socks[i].sock;
    script_fail(w->s, "there is no socket '%s'", name);
}

static const char *sock_name(const struct world *w, nst_sock sock)
{
    for (unsigned i = w->nsocks; i-- > 0;)
        if (w->socks[i].sock == sock)
            return w->socks[i].name;
    return "?";
}

/* `link NAME`, or the first link. */
static const struct world_link *optional_link(struct world *w)
{
    return world_link(w, script_accept(w->s, "link") ? script_word(w->s) : NULL);
}

/* ---- Set-up -------------------------------------------------------------------------------- */

#define LIMIT_FIELDS(X) \
    X(memory_bytes)     \
    X(fragment_bytes)   \
    X(fragments)        \
    X(neighbours)       \
    X(neighbour_pkts)   \
    X(routes)           \
    X(sockets)          \
    X(link_pkts)        \
    X(icmp_per_sec)     \
    X(icmp_burst)

static void set_limit(struct world *w)
{
    struct nst_limits *l = &w->config.limits;
    const char *name = script_word(w->s);
    uint64_t n = script_number(w->s);

#define SET_LIMIT(field)                                 \
    if (strcmp(name, #field) == 0) {                     \
        if ((l->field = (uint32_t)n) != n)               \
            script_fail(w->s, "the limit is too large"); \
        return;                                          \
    }
    LIMIT_FIELDS(SET_LIMIT)
#undef SET_LIMIT
    script_fail(w->s, "there is no limit '%s'", name);
}

/* config seed N | ttl N | redirects | broadcast-echo | limit NAME N */
static void cmd_config(struct world *w)
{
    static const char *const names[] = {"seed", "ttl", "redirects", "broadcast-echo", "limit"};

    if (w->stack)
        script_fail(w->s, "'config' belongs before everything else");
    switch (script_choice(w->s, names, NST_ARRAY_LEN(names), "setting")) {
    case 0:
        nst_store32(w->config.seed, (uint32_t)script_number(w->s));
        break;
    case 1:
        w->config.ttl = (uint8_t)script_number(w->s);
        break;
    case 2:
        w->config.flags |= NST_STACK_REDIRECTS;
        break;
    case 3:
        w->config.flags |= NST_STACK_BROADCAST_ECHO;
        break;
    default:
        set_limit(w);
    }
    script_expect_end(w->s);
}

/* link NAME [ip] [mtu N] [down]: the MAC address is 02:ee:00:00:00:00 and up. */
static void cmd_link(struct world *w)
{
    struct nst_link_config config = {.mtu = 1500, .mac = {{2, 0xee, 0, 0, 0, (uint8_t)w->nlinks}}};

    snprintf(config.name, sizeof config.name, "%s", script_word(w->s));
    if (script_accept(w->s, "ip"))
        config.medium = NST_MEDIUM_IP;
    if (script_accept(w->s, "mtu"))
        config.mtu = (uint32_t)script_number(w->s);
    config.down = script_accept(w->s, "down");
    script_expect_end(w->s);
    world_link_add(w, &config);
}

/* address ADDR/LEN [announce|probe] [link NAME] */
static void cmd_address(struct world *w)
{
    struct nst_prefix prefix = script_prefix(w->s);
    enum nst_acd acd = script_accept(w->s, "announce") ? NST_ACD_ANNOUNCE
                       : script_accept(w->s, "probe")  ? NST_ACD_PROBE
                                                       : NST_ACD_OFF;
    nst_link link = optional_link(w)->link;

    expect_result(w, nst_addr_add(w->stack, link, &prefix, acd));
}

/* no-address ADDR [link NAME] */
static void cmd_no_address(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    nst_link link = optional_link(w)->link;

    expect_result(w, nst_addr_del(w->stack, link, &addr));
}

/* PREFIX|default [via GATEWAY] [metric N] [link NAME] */
static struct nst_route read_route(struct world *w)
{
    struct nst_route r = {0};

    if (script_accept(w->s, "default"))
        r.dst.addr = nst_addr_v4(0, 0, 0, 0);
    else
        r.dst = script_prefix(w->s);
    if (script_accept(w->s, "via"))
        r.gateway = script_addr(w->s);
    if (script_accept(w->s, "metric"))
        r.metric = (uint32_t)script_number(w->s);
    r.link = optional_link(w)->link;
    return r;
}

static void cmd_route(struct world *w)
{
    struct nst_route r = read_route(w);

    expect_result(w, nst_route_add(w->stack, &r));
}

static void cmd_no_route(struct world *w)
{
    struct nst_route r = read_route(w);

    r.origin = NST_ROUTE_STATIC;
    expect_result(w, nst_route_del(w->stack, &r));
}

/* neighbour ADDR [at STATION] [link NAME]: permanent, at the station that bears the address. */
static void cmd_neighbour(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    struct nst_mac mac = script_station_of(&addr);

    if (script_accept(w->s, "at"))
        mac = script_station(w->s, &mac);
    nst_link link = optional_link(w)->link;
    expect_result(w, nst_neigh_set(w->stack, link, &addr, &mac));
}

static void cmd_no_neighbour(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    nst_link link = optional_link(w)->link;

    expect_result(w, nst_neigh_del(w->stack, link, &addr));
}

/* mtu N [link NAME] */
static void cmd_mtu(struct world *w)
{
    uint32_t mtu = (uint32_t)script_number(w->s);
    nst_link link = optional_link(w)->link;

    expect_result(w, nst_link_set_mtu(w->stack, link, mtu));
}

/* carrier up|down [link NAME] */
static void cmd_carrier(struct world *w)
{
    static const char *const names[] = {"down", "up"};
    bool up = script_choice(w->s, names, NST_ARRAY_LEN(names), "state of a carrier");
    nst_link link = optional_link(w)->link;

    expect_result(w, nst_link_set_carrier(w->stack, link, up));
}

/* ---- Sockets ------------------------------------------------------------------------------- */

/* socket NAME udp | icmp | raw PROTO | packet */
static void cmd_socket(struct world *w)
{
    static const char *const names[] = {"udp", "icmp", "raw", "packet"};
    static const enum nst_sock_type types[] = {NST_SOCK_DGRAM, NST_SOCK_DGRAM, NST_SOCK_RAW,
                                               NST_SOCK_PACKET};
    struct world_sock *ws = &w->socks[w->nsocks];

    world_link(w, NULL);
    if (w->nsocks == WORLD_SOCKS)
        script_fail(w->s, "too many sockets");
    snprintf(ws->name, sizeof ws->name, "%s", script_word(w->s));
    unsigned kind = script_choice(w->s, names, NST_ARRAY_LEN(names), "kind of socket");
    uint8_t proto = kind == 2 ? (uint8_t)script_number(w->s) : kind == 1 ? NST_IPPROTO_ICMP : 0;
    int err = nst_socket(w->stack, &ws->sock, NST_AF_INET, types[kind], proto, w->nsocks);
    if (!err)
        w->nsocks++;
    expect_result(w, err);
}

static void cmd_close(struct world *w)
{
    nst_sock sock = sock_named(w);

    expect_result(w, nst_close(w->stack, sock));
}

/* bind NAME ADDR[:PORT] | link LINK [type N] */
static void cmd_bind(struct world *w)
{
    nst_sock sock = sock_named(w);
    struct nst_sockaddr local = {0};

    if (script_accept(w->s, "link"))
        local.link = world_link(w, script_word(w->s))->link;
    else
        local = script_sockaddr(w->s);
    if (script_accept(w->s, "type"))
        local.port = (uint16_t)script_number(w->s);
    if (nst_addr_is_any(&local.addr))
        local.addr = (struct nst_addr){0};
    expect_result(w, nst_bind(w->stack, sock, &local));
}

/* connect NAME ADDR[:PORT] | nobody */
static void cmd_connect(struct world *w)
{
    nst_sock sock = sock_named(w);
    struct nst_sockaddr peer = {0};

    if (!script_accept(w->s, "nobody"))
        peer = script_sockaddr(w->s);
    expect_result(w, nst_connect(w->stack, sock, &peer));
}

static bool is_packet_socket(const struct world *w, nst_sock sock)
{
    struct nst_sock_info info;

    return nst_info(w->stack, sock, &info) == 0 && info.type == NST_SOCK_PACKET;
}

/* What is sent: a frame for a packet socket, else a message. */
static size_t read_message(struct world *w, nst_sock sock)
{
    struct packet p = {0};
    size_t len;

    if (is_packet_socket(w, sock)) {
        packet_read(w->s, &p, &world_link(w, NULL)->mac);
        len = packet_build(&p, NST_MEDIUM_ETHERNET, w->bytes);
    } else {
        packet_read_message(w->s, &p);
        len = packet_build_message(&p, w->bytes);
    }
    packet_fini(&p);
    return len;
}

/* send NAME [to ADDR[:PORT]] [from ADDR] [link NAME] [ttl N] [tos N] [options HEX] MESSAGE */
static void cmd_send(struct world *w)
{
    struct script *s = w->s;
    nst_sock sock = sock_named(w);
    struct nst_slice slice = {w->bytes, 0};
    struct nst_msg msg = {.data = &slice, .ndata = 1, .tos = -1};

    if (script_accept(s, "to"))
        msg.peer = script_sockaddr(s);
    if (script_accept(s, "from"))
        msg.local.addr = script_addr(s);
    if (script_accept(s, "link"))
        msg.peer.link = world_link(w, script_word(s))->link;
    if (script_accept(s, "ttl"))
        msg.ttl = (uint8_t)script_number(s);
    if (script_accept(s, "tos"))
        msg.tos = (int16_t)script_number(s);
    if (script_accept(s, "options"))
        msg.options_len = (uint8_t)script_hex(s, msg.options, sizeof msg.options);
    slice.len = read_message(w, sock);
    expect_result(w, nst_send(w->stack, sock, &msg));
}

static void check_sockaddr(struct world *w, const char *what, const struct nst_sockaddr *actual)
{
    struct nst_sockaddr want = script_sockaddr(w->s);
    char text[NST_ADDR_TEXT];

    if (!nst_addr_eq(&want.addr, &actual->addr) || (want.port && want.port != actual->port))
        script_fail(w->s, "%s %s:%u", what, nst_addr_print(text, &actual->addr), actual->port);
}

static void check_number(struct world *w, const char *what, uint64_t actual)
{
    uint64_t want = script_number(w->s);

    if (want != actual)
        script_fail(w->s, "%s %llu", what, (unsigned long long)actual);
}

/* What surrounds a received datagram: [from ADDR[:PORT]] [to ADDR[:PORT]] [ttl N] [tos N]
 * [options HEX] [truncated] */
static void check_surroundings(struct world *w, const struct nst_msg *msg)
{
    uint8_t options[NST_IP_OPTIONS_MAX];

    if (script_accept(w->s, "from"))
        check_sockaddr(w, "it is from", &msg->peer);
    if (script_accept(w->s, "to"))
        check_sockaddr(w, "it is to", &msg->local);
    if (script_accept(w->s, "ttl"))
        check_number(w, "its ttl is", msg->ttl);
    if (script_accept(w->s, "tos"))
        check_number(w, "its tos is", (uint64_t)msg->tos);
    if (script_accept(w->s, "options")) {
        size_t len = script_hex(w->s, options, sizeof options);
        if (len != msg->options_len || memcmp(options, msg->options, len) != 0)
            script_fail(w->s, "its options differ");
    }
    if (script_accept(w->s, "truncated") != msg->truncated)
        script_fail(w->s, "it is %struncated", msg->truncated ? "" : "not ");
}

/* Reads a whole packet or a message from the words, and the same from the bytes. */
static const char *read_both(struct world *w, const struct nst_msg *msg, struct packet *want,
                             struct packet *got, size_t len)
{
    const char *next = script_peek(w->s);
    bool frame = strcmp(next, "eth") == 0 || strcmp(next, "arp") == 0;

    if (frame || strcmp(next, "ip") == 0) {
        packet_read(w->s, want, &world_link(w, NULL)->mac);
        return packet_dissect(got, frame ? NST_MEDIUM_ETHERNET : NST_MEDIUM_IP, w->bytes, len);
    }
    packet_read_message(w->s, want);
    if (want->fields[FIELD_IP_PROTO].set)
        got->fields[FIELD_IP_PROTO] = want->fields[FIELD_IP_PROTO];
    packet_set_addr(got, FIELD_IP_SRC, &msg->peer.addr);
    packet_set_addr(got, FIELD_IP_DST, &msg->local.addr);
    return packet_dissect_message(got, w->bytes, len);
}

static void check_content(struct world *w, const struct nst_msg *msg, size_t len)
{
    struct packet want = {0}, got = {0};
    char why[512];

    if (!script_peek(w->s) || strcmp(script_peek(w->s), "=") == 0)
        return;
    const char *wrong = read_both(w, msg, &want, &got, len);
    bool same = !wrong && packet_check(&want, &got, why, sizeof why);
    packet_fini(&want);
    packet_fini(&got);
    if (!same)
        script_fail(w->s, "what is received differs: %s", wrong ? wrong : why);
}

/* Receives; true if there was something to look at. */
static bool receive(struct world *w, nst_sock sock, struct nst_msg *msg, uint32_t flags,
                    int64_t *result)
{
    size_t room = PACKET_MAX;

    if (script_accept(w->s, "room"))
        room = nst_min(script_number(w->s), PACKET_MAX);
    msg->data->base = w->bytes;
    msg->data->len = room;
    *result = nst_recv(w->stack, sock, msg, flags);
    return *result >= 0;
}

/* recv NAME [peek] [room BYTES] [SURROUNDINGS] [PACKET or MESSAGE] */
static void cmd_recv(struct world *w)
{
    nst_sock sock = sock_named(w);
    uint32_t flags = script_accept(w->s, "peek") ? NST_RECV_PEEK : 0;
    struct nst_slice slice;
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t result;

    if (receive(w, sock, &msg, flags, &result)) {
        check_surroundings(w, &msg);
        check_content(w, &msg, nst_min((size_t)result, slice.len));
    } else if (script_peek(w->s) && strcmp(script_peek(w->s), "=") != 0) {
        script_fail(w->s, "nothing is received: -%s", script_errno_name((int)-result));
    }
    expect_result(w, result);
}

/* error NAME ERROR [type N code N] [info N] [by ADDR] [SURROUNDINGS] [MESSAGE]; or = -EAGAIN */
static void cmd_error(struct world *w)
{
    nst_sock sock = sock_named(w);
    struct nst_slice slice;
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    const struct nst_sock_error *e = &msg.error;
    int64_t result;

    if (receive(w, sock, &msg, NST_RECV_ERROR, &result)) {
        if (script_errno(script_word(w->s)) != e->err)
            script_fail(w->s, "the error is %s", script_errno_name(e->err));
        if (script_accept(w->s, "type"))
            check_number(w, "the type is", e->type);
        if (script_accept(w->s, "code"))
            check_number(w, "the code is", e->code);
        if (script_accept(w->s, "info"))
            check_number(w, "the info is", e->info);
        if (script_accept(w->s, "by"))
            check_sockaddr(w, "it is by", &(struct nst_sockaddr){.addr = e->offender});
        check_surroundings(w, &msg);
        check_content(w, &msg, nst_min((size_t)result, slice.len));
    }
    expect_result(w, result);
}

static const char *const option_names[] = {
    [NST_OPT_ERROR] = "error",
    [NST_OPT_SNDBUF] = "sndbuf",
    [NST_OPT_RCVBUF] = "rcvbuf",
    [NST_OPT_BROADCAST] = "broadcast",
    [NST_OPT_TTL] = "ttl",
    [NST_OPT_TOS] = "tos",
    [NST_OPT_DONTFRAG] = "dontfrag",
    [NST_OPT_RECVERR] = "recverr",
    [NST_OPT_ICMP_FILTER] = "icmp-filter",
};

/* setopt NAME OPTION N */
static void cmd_setopt(struct world *w)
{
    nst_sock sock = sock_named(w);
    unsigned opt = script_choice(w->s, option_names, NST_ARRAY_LEN(option_names), "option");
    int64_t value = (int64_t)script_number(w->s);

    expect_result(w, nst_setopt(w->stack, sock, (enum nst_opt)opt, value));
}

/* getopt NAME OPTION = N; the option `error` gives an error's name */
static void cmd_getopt(struct world *w)
{
    nst_sock sock = sock_named(w);
    unsigned opt = script_choice(w->s, option_names, NST_ARRAY_LEN(option_names), "option");
    int64_t value = 0;
    int err = nst_getopt(w->stack, sock, (enum nst_opt)opt, &value);

    expect_result(w, err ? err : opt == NST_OPT_ERROR ? -value : value);
}

/* ---- Events -------------------------------------------------------------------------------- */

static const char *const addr_states[] = {[NST_ADDR_TENTATIVE] = "tentative",
                                          [NST_ADDR_VALID] = "valid",
                                          [NST_ADDR_CONFLICT] = "conflict"};

static void check_ready(struct world *w, const struct nst_event *event)
{
    static const char *const names[] = {"in", "out", "err"};
    const char *name = script_word(w->s);
    uint32_t want = 0;

    if (event->kind != NST_EVENT_READY || strcmp(sock_name(w, event->sock), name) != 0)
        script_fail(w->s, "the event is another's: %s", sock_name(w, event->sock));
    while (script_peek(w->s))
        want |= 1u << script_choice(w->s, names, NST_ARRAY_LEN(names), "kind of readiness");
    if ((event->ready & want) != want)
        script_fail(w->s, "it is ready for 0x%x", event->ready);
}

/* conflict ADDR STATION STATE */
static void check_conflict(struct world *w, const struct nst_event *event)
{
    struct nst_addr addr = script_addr(w->s);
    struct nst_mac mac = script_station(w->s, &world_link(w, NULL)->mac);
    unsigned state = script_choice(w->s, addr_states, NST_ARRAY_LEN(addr_states), "state");

    if (event->kind != NST_EVENT_CONFLICT || !nst_addr_eq(&addr, &event->addr) ||
        !nst_mac_eq(&mac, &event->mac))
        script_fail(w->s, "the event is another");
    if (state != event->addr_state)
        script_fail(w->s, "the address is %s", addr_states[event->addr_state]);
}

/* event none | NAME [in] [out] [err] | conflict ADDR STATION STATE: the next one */
static void cmd_event(struct world *w)
{
    struct nst_event event;
    bool any = nst_events(world_stack(w), &event, 1) == 1;

    if (script_accept(w->s, "none")) {
        if (any)
            script_fail(w->s, "there is an event, of %s", sock_name(w, event.sock));
    } else if (!any) {
        script_fail(w->s, "there is no event");
    } else if (script_accept(w->s, "conflict")) {
        check_conflict(w, &event);
    } else {
        check_ready(w, &event);
    }
    script_expect_end(w->s);
}

/* ---- Expectations about state ---------------------------------------------------------------- */

/* drop NAME [N]: that many since the last line about it */
static void expect_drop(struct world *w)
{
    const char *name = script_word(w->s);
    uint16_t drop = 1;

    while (drop < NST_DROP_COUNT && strcmp(nst_drop_name(drop), name) != 0)
        drop++;
    if (drop == NST_DROP_COUNT)
        script_fail(w->s, "there is no drop reason '%s'", name);
    uint64_t want = script_peek(w->s) ? script_number(w->s) : 1;
    uint64_t got = nst_drops(w->stack, drop) - w->drops[drop];
    if (got != want)
        script_fail(w->s, "there were %llu such drops", (unsigned long long)got);
    w->drops[drop] += got;
}

/* silence SECONDS: time goes on by so much, and the stack says nothing */
static void expect_silence(struct world *w)
{
    const char *p = script_word(w->s);
    nst_time span;

    if (!script_seconds(&p, &span) || *p)
        script_fail(w->s, "'%s' is no time", p);
    if (w->npending)
        script_fail(w->s, "the stack has said something");
    world_advance(w, w->now + span);
}

/* neigh ADDR STATE|none [at STATION] */
static void expect_neigh(struct world *w)
{
    static const char *const states[] = {"incomplete", "reachable", "stale",     "delay",
                                         "probe",      "failed",    "permanent", "none"};
    struct nst_neigh_info infos[256];
    struct nst_addr addr = script_addr(w->s);
    unsigned want = script_choice(w->s, states, NST_ARRAY_LEN(states), "state of a neighbour");
    size_t n = nst_min(nst_neigh_list(w->stack, infos, NST_ARRAY_LEN(infos)), NST_ARRAY_LEN(infos));
    size_t i = 0;

    while (i < n && !nst_addr_eq(&infos[i].addr, &addr))
        i++;
    unsigned got = i < n ? infos[i].state : NST_ARRAY_LEN(states) - 1;
    if (got != want)
        script_fail(w->s, "the neighbour is %s", states[got]);
    if (!script_accept(w->s, "at"))
        return;
    struct nst_mac mac = script_station(w->s, &world_link(w, NULL)->mac);
    char text[NST_MAC_TEXT];
    if (!nst_mac_eq(&mac, &infos[i].mac))
        script_fail(w->s, "the neighbour is at %s", nst_mac_print(text, &infos[i].mac));
}

/* address ADDR STATE|none */
static void expect_address(struct world *w)
{
    static const char *const states[] = {"tentative", "valid", "conflict", "none"};
    struct nst_addr_info infos[64];
    struct nst_addr addr = script_addr(w->s);
    unsigned want = script_choice(w->s, states, NST_ARRAY_LEN(states), "state of an address");
    size_t n = nst_min(nst_addr_list(w->stack, infos, NST_ARRAY_LEN(infos)), NST_ARRAY_LEN(infos));
    size_t i = 0;

    while (i < n && !nst_addr_eq(&infos[i].prefix.addr, &addr))
        i++;
    unsigned got = i < n ? infos[i].state : NST_ARRAY_LEN(states) - 1;
    if (got != want)
        script_fail(w->s, "the address is %s", states[got]);
}

static bool has_route(struct world *w, const struct nst_route *want)
{
    struct nst_route routes[300];
    size_t n =
        nst_min(nst_route_list(w->stack, routes, NST_ARRAY_LEN(routes)), NST_ARRAY_LEN(routes));

    for (size_t i = 0; i < n; i++)
        if (nst_addr_eq(&routes[i].dst.addr, &want->dst.addr) &&
            routes[i].dst.len == want->dst.len && routes[i].link == want->link &&
            nst_addr_eq(&routes[i].gateway, &want->gateway))
            return true;
    return false;
}

static void expect_route(struct world *w)
{
    struct nst_route r = read_route(w);

    if (!has_route(w, &r))
        script_fail(w->s, "there is no such route");
}

static void expect_no_route(struct world *w)
{
    struct nst_route r = read_route(w);

    if (has_route(w, &r))
        script_fail(w->s, "there is such a route");
}

/* local NAME ADDR[:PORT] */
static void expect_local(struct world *w)
{
    nst_sock sock = sock_named(w);
    struct nst_sock_info info = {0};

    if (nst_info(w->stack, sock, &info) != 0)
        script_fail(w->s, "the socket has ended");
    check_sockaddr(w, "the local end is", &info.local);
}

/* stat NAME N: the counter's value */
static void expect_stat(struct world *w)
{
    const char *want = script_word(w->s), *name;
    uint64_t value;

    for (size_t i = 0; nst_stat(w->stack, i, &name, &value); i++)
        if (strcmp(name, want) == 0) {
            check_number(w, "the counter is", value);
            return;
        }
    script_fail(w->s, "there is no counter '%s'", want);
}

/* memory N: bytes in use by packets */
static void expect_memory(struct world *w)
{
    size_t used, budget;

    nst_memory(w->stack, &used, &budget);
    check_number(w, "memory in use is", used);
}

/* ---- The tables ---------------------------------------------------------------------------- */

struct command {
    const char *name;
    void (*run)(struct world *w);
};

static void run_one_of(struct world *w, const struct command *table, size_t n, const char *what)
{
    const char *name = script_word(w->s);

    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) {
            table[i].run(w);
            return;
        }
    script_fail(w->s, "'%s' is no %s", name, what);
}

static void cmd_expect(struct world *w)
{
    static const struct command table[] = {
        {"drop", expect_drop},       {"silence", expect_silence}, {"neigh", expect_neigh},
        {"address", expect_address}, {"route", expect_route},     {"no-route", expect_no_route},
        {"local", expect_local},     {"stat", expect_stat},       {"memory", expect_memory},
    };

    world_link(w, NULL);
    world_pull(w);
    run_one_of(w, table, NST_ARRAY_LEN(table), "expectation");
    script_expect_end(w->s);
}

void command_run(struct world *w)
{
    static const struct command table[] = {
        {"config", cmd_config},
        {"link", cmd_link},
        {"address", cmd_address},
        {"no-address", cmd_no_address},
        {"route", cmd_route},
        {"no-route", cmd_no_route},
        {"neighbour", cmd_neighbour},
        {"no-neighbour", cmd_no_neighbour},
        {"mtu", cmd_mtu},
        {"carrier", cmd_carrier},
        {"socket", cmd_socket},
        {"close", cmd_close},
        {"bind", cmd_bind},
        {"connect", cmd_connect},
        {"send", cmd_send},
        {"recv", cmd_recv},
        {"error", cmd_error},
        {"setopt", cmd_setopt},
        {"getopt", cmd_getopt},
        {"event", cmd_event},
        {"expect", cmd_expect},
    };

    world_log(w, "  %s", w->s->text + (w->s->words[w->s->at] - w->s->split));
    run_one_of(w, table, NST_ARRAY_LEN(table), "command");
}
