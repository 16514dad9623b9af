/* Set-up: the stack's configuration, links, addresses, routes, neighbours. */
#include <string.h>

#include "command.h"
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"

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

/* include FILE: its lines stand here */
static void cmd_include(struct world *w)
{
    const char *name = script_word(w->s);

    script_expect_end(w->s);
    script_include(w->s, name);
}

/* The owner's clock says so when the script begins. */
static void set_clock(struct world *w)
{
    w->start = w->now = w->config.now = script_number(w->s) * NST_SEC;
}

/* config seed N | ttl N | redirects | broadcast-echo | limit NAME N | clock N | tcp NAME N|on|off
 */
static void cmd_config(struct world *w)
{
    static const char *const names[] = {"seed",           "ttl",   "redirects",
                                        "broadcast-echo", "limit", "clock"};

    if (script_accept(w->s, "tcp")) {
        tcp_config(w);
        return;
    }
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
    case 4:
        set_limit(w);
        break;
    default:
        set_clock(w);
    }
    script_expect_end(w->s);
}

/* link NAME [ip] [mtu N] [tso] [uso] [down]: the MAC address is 02:ee:00:00:00:00 and up. */
static void cmd_link(struct world *w)
{
    struct nst_link_config config = {.mtu = 1500, .mac = {{2, 0xee, 0, 0, 0, (uint8_t)w->nlinks}}};

    snprintf(config.name, sizeof config.name, "%s", script_word(w->s));
    if (script_accept(w->s, "ip"))
        config.medium = NST_MEDIUM_IP;
    if (script_accept(w->s, "mtu"))
        config.mtu = (uint32_t)script_number(w->s);
    if (script_accept(w->s, "tso"))
        config.offloads |= NST_LINK_CSUM | NST_LINK_TSO4;
    if (script_accept(w->s, "uso"))
        config.offloads |= NST_LINK_CSUM | NST_LINK_USO;
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
    nst_link link = command_link(w)->link;

    command_result(w, nst_addr_add(w->stack, link, &prefix, acd));
}

/* no-address ADDR [link NAME] */
static void cmd_no_address(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    nst_link link = command_link(w)->link;

    command_result(w, nst_addr_del(w->stack, link, &addr));
}

static void cmd_route(struct world *w)
{
    struct nst_route r = command_route(w);

    command_result(w, nst_route_add(w->stack, &r));
}

static void cmd_no_route(struct world *w)
{
    struct nst_route r = command_route(w);

    r.origin = NST_ROUTE_STATIC;
    command_result(w, nst_route_del(w->stack, &r));
}

/* neighbour ADDR [at STATION] [link NAME]: permanent, at the station that bears the address. */
static void cmd_neighbour(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    struct nst_mac mac = script_station_of(&addr);

    if (script_accept(w->s, "at"))
        mac = script_station(w->s, &mac);
    nst_link link = command_link(w)->link;
    if (!nst_addr_is_set(&w->peer))
        w->peer = addr;
    command_result(w, nst_neigh_set(w->stack, link, &addr, &mac));
}

static void cmd_no_neighbour(struct world *w)
{
    struct nst_addr addr = script_addr(w->s);
    nst_link link = command_link(w)->link;

    command_result(w, nst_neigh_del(w->stack, link, &addr));
}

/* mtu N [link NAME] */
static void cmd_mtu(struct world *w)
{
    uint32_t mtu = (uint32_t)script_number(w->s);
    nst_link link = command_link(w)->link;

    command_result(w, nst_link_set_mtu(w->stack, link, mtu));
}

/* carrier up|down [link NAME] */
static void cmd_carrier(struct world *w)
{
    static const char *const names[] = {"down", "up"};
    bool up = script_choice(w->s, names, NST_ARRAY_LEN(names), "state of a carrier");
    nst_link link = command_link(w)->link;

    command_result(w, nst_link_set_carrier(w->stack, link, up));
}

bool setup_run(struct world *w, const char *name)
{
    static const struct command table[] = {
        {"include", cmd_include},
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
    };

    return command_run_one(w, table, NST_ARRAY_LEN(table), name);
}
