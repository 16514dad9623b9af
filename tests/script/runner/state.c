/* What the stack tells: events, and expectations about its state. */
#include <string.h>

#include "command.h"
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"

/* ---- Events -------------------------------------------------------------------------------- */

static const char *sock_name(const struct world *w, nst_sock sock)
{
    for (unsigned i = w->nsocks; i-- > 0;)
        if (w->socks[i].sock == sock)
            return w->socks[i].name;
    return "?";
}

static const char *const addr_states[] = {[NST_ADDR_TENTATIVE] = "tentative",
                                          [NST_ADDR_VALID] = "valid",
                                          [NST_ADDR_CONFLICT] = "conflict"};

static void check_ready(struct world *w, const struct nst_event *event)
{
    static const char *const names[] = {"in", "out", "err", "hup", "rdhup", "pri", "syn"};
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

/* event none | NAME [in] [out] [err] [hup] [rdhup] [pri] | conflict ADDR STATION STATE: the next
 * one */
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

/* ---- Expectations --------------------------------------------------------------------------- */

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
    struct nst_route r = command_route(w);

    if (!has_route(w, &r))
        script_fail(w->s, "there is no such route");
}

static void expect_no_route(struct world *w)
{
    struct nst_route r = command_route(w);

    if (has_route(w, &r))
        script_fail(w->s, "there is such a route");
}

/* local NAME ADDR[:PORT] */
static void expect_local(struct world *w)
{
    nst_sock sock = command_sock(w);
    struct nst_sock_info info = {0};

    if (nst_info(w->stack, sock, &info) != 0)
        script_fail(w->s, "the socket has ended");
    command_check_sockaddr(w, "the local end is", &info.local);
}

/* stat NAME N: the counter's value */
static void expect_stat(struct world *w)
{
    const char *want = script_word(w->s), *name;
    uint64_t value;

    for (size_t i = 0; nst_stat(w->stack, i, &name, &value); i++)
        if (strcmp(name, want) == 0) {
            command_check_number(w, "the counter is", value);
            return;
        }
    script_fail(w->s, "there is no counter '%s'", want);
}

/* memory N: bytes in use by packets */
static void expect_memory(struct world *w)
{
    size_t used, budget;

    nst_memory(w->stack, &used, &budget);
    command_check_number(w, "memory in use is", used);
}

static void cmd_expect(struct world *w)
{
    static const struct command table[] = {
        {"drop", expect_drop},       {"silence", expect_silence}, {"neigh", expect_neigh},
        {"address", expect_address}, {"route", expect_route},     {"no-route", expect_no_route},
        {"local", expect_local},     {"stat", expect_stat},       {"memory", expect_memory},
        {"state", tcp_expect_state}, {"flow", tcp_expect_flow},   {"tcp", tcp_expect_number},
    };

    world_link(w, NULL);
    world_pull(w);
    const char *what = script_word(w->s);
    if (!command_run_one(w, table, NST_ARRAY_LEN(table), what))
        script_fail(w->s, "'%s' is no expectation", what);
    script_expect_end(w->s);
}

bool state_run(struct world *w, const char *name)
{
    static const struct command table[] = {{"event", cmd_event}, {"expect", cmd_expect}};

    return command_run_one(w, table, NST_ARRAY_LEN(table), name);
}
