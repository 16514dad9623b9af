/* TCP's switches, and expectations about connections: what the public interface does not show is
 * looked up in the stack itself. */
#include <string.h>

#include "command.h"
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

/* X(name in scripts, member) of struct nst_tcp_config */
#define CONFIG_NUMBERS(X)               \
    X("max-orphans", max_orphans)       \
    X("max-timewaits", max_timewaits)   \
    X("max-half-open", max_reqs)        \
    X("rcvbuf", rcvbuf_initial)         \
    X("rcvbuf-max", rcvbuf_max)         \
    X("sndbuf", sndbuf_initial)         \
    X("sndbuf-max", sndbuf_max)         \
    X("syn-retries", syn_retries)       \
    X("synack-retries", synack_retries) \
    X("retries1", retries1)             \
    X("retries2", retries2)             \
    X("orphan-retries", orphan_retries) \
    X("ecn", ecn)                       \
    X("fastopen", fastopen)             \
    X("mtu-probing", mtu_probing)       \
    X("metrics", metrics)

#define CONFIG_SWITCHES(X)      \
    X("timestamps", timestamps) \
    X("sack", sack)             \
    X("wscale", wscale)         \
    X("cookies", cookies)       \
    X("pacing", pacing)         \
    X("hystart", hystart)       \
    X("restart-idle", restart_idle)

/* X(name in scripts, enum nst_tcp_recovery) */
#define CONFIG_RECOVERIES(X)         \
    X("rack", NST_TCP_RECOVERY_RACK) \
    X("tlp", NST_TCP_RECOVERY_TLP)   \
    X("prr", NST_TCP_RECOVERY_PRR)   \
    X("frto", NST_TCP_RECOVERY_FRTO) \
    X("undo", NST_TCP_RECOVERY_UNDO)

static bool read_switch(struct script *s)
{
    static const char *const states[] = {"off", "on"};

    return script_choice(s, states, NST_ARRAY_LEN(states), "state of a switch");
}

static void read_setting(struct world *w, struct nst_tcp_config *c, const char *name)
{
#define CONFIG_NUMBER(text, member)                             \
    if (strcmp(name, text) == 0) {                              \
        c->member = (__typeof__(c->member))script_number(w->s); \
        return;                                                 \
    }
#define CONFIG_SWITCH(text, member)    \
    if (strcmp(name, text) == 0) {     \
        c->member = read_switch(w->s); \
        return;                        \
    }
#define CONFIG_RECOVERY(text, bit)                                                           \
    if (strcmp(name, text) == 0) {                                                           \
        c->recovery = (uint8_t)(read_switch(w->s) ? c->recovery | bit : c->recovery & ~bit); \
        return;                                                                              \
    }
    CONFIG_NUMBERS(CONFIG_NUMBER)
    CONFIG_SWITCHES(CONFIG_SWITCH)
    CONFIG_RECOVERIES(CONFIG_RECOVERY)
#undef CONFIG_NUMBER
#undef CONFIG_SWITCH
#undef CONFIG_RECOVERY
    if (strcmp(name, "congestion") != 0)
        script_fail(w->s, "TCP has no such setting as '%s'", name);
    if (!(c->cc = nst_cc_find(script_word(w->s))))
        script_fail(w->s, "there is no such congestion control");
}

/* NAME N | NAME on|off | congestion NAME; holds for what begins from now on */
void tcp_config(struct world *w)
{
    read_setting(w, &world_stack(w)->tcps.config, script_word(w->s));
    script_expect_end(w->s);
}

/* ---- States -------------------------------------------------------------------------------- */

static const char *const states[] = {
    [NST_TCP_CLOSED] = "CLOSED",           [NST_TCP_LISTEN] = "LISTEN",
    [NST_TCP_SYN_SENT] = "SYN-SENT",       [NST_TCP_SYN_RECEIVED] = "SYN-RECEIVED",
    [NST_TCP_ESTABLISHED] = "ESTABLISHED", [NST_TCP_FIN_WAIT_1] = "FIN-WAIT-1",
    [NST_TCP_FIN_WAIT_2] = "FIN-WAIT-2",   [NST_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
    [NST_TCP_CLOSING] = "CLOSING",         [NST_TCP_LAST_ACK] = "LAST-ACK",
    [NST_TCP_TIME_WAIT] = "TIME-WAIT",
};

static void check_state(struct world *w, enum nst_tcp_state actual)
{
    if (script_choice(w->s, states, NST_ARRAY_LEN(states), "state") != actual)
        script_fail(w->s, "it is %s", states[actual]);
}

static struct nst_socket *stream_of(struct world *w)
{
    struct nst_socket *s = nst_sock_find(&w->stack->socks, command_sock(w));

    if (!s || s->type != NST_SOCK_STREAM)
        script_fail(w->s, "it is no TCP socket, or closed");
    return s;
}

static enum nst_tcp_state flow_state(const struct nst_flow *flow)
{
    if (!flow)
        return NST_TCP_CLOSED;
    if (flow->kind == NST_FLOW_REQ)
        return NST_TCP_SYN_RECEIVED;
    if (flow->kind == NST_FLOW_TIMEWAIT)
        return NST_TCP_TIME_WAIT;
    return NST_CONTAINER(flow, struct nst_tcb, flow)->state;
}

/* state NAME STATE: of the connection of a socket; TIME-WAIT, too */
void tcp_expect_state(struct world *w)
{
    struct nst_socket *s = stream_of(w);

    if (s->listening)
        check_state(w, NST_TCP_LISTEN);
    else if (s->tcb->state == NST_TCP_CLOSED)
        check_state(w, flow_state(nst_flow_find(&w->stack->tcps, &s->tcb->flow.id)));
    else
        check_state(w, s->tcb->state);
}

/* flow PORT PEERPORT STATE: of a connection with the first neighbour that may have no socket */
void tcp_expect_flow(struct world *w)
{
    struct nst_addr_info info = {0};
    struct nst_flow_id id = {.peer = w->peer};

    nst_addr_list(w->stack, &info, 1);
    id.local = info.prefix.addr;
    id.lport = (uint16_t)script_number(w->s);
    id.pport = (uint16_t)script_number(w->s);
    check_state(w, flow_state(nst_flow_find(&w->stack->tcps, &id)));
}

static void check_phase(struct world *w, const struct nst_tcb *t)
{
    static const char *const phases[] = {"open", "disorder", "cwr", "recovery", "loss"};

    if (script_choice(w->s, phases, NST_ARRAY_LEN(phases), "phase") != nst_tcb_phase(t))
        script_fail(w->s, "it is in %s", phases[nst_tcb_phase(t)]);
    script_expect_end(w->s);
}

static void check_reason(struct world *w, const struct nst_tcb *t)
{
    const char *name = nst_tcp_reason_name(t->reason);

    if (strcmp(script_word(w->s), name) != 0)
        script_fail(w->s, "it is %s", name);
    script_expect_end(w->s);
}

/* tcp NAME phase PHASE | reason REASON | WHAT N: a number of the connection's */
void tcp_expect_number(struct world *w)
{
    static const char *const names[] = {"phase",
                                        "reason",
                                        "cwnd",
                                        "ssthresh",
                                        "mss",
                                        "srtt-ms",
                                        "rto-ms",
                                        "rcvbuf",
                                        "sndbuf",
                                        "pacing-rate",
                                        "busy-ms",
                                        "rwnd-limited-ms",
                                        "sndbuf-limited-ms",
                                        "delivery-rate",
                                        "app-limited",
                                        "delivered",
                                        "undos",
                                        "reo-wnd-ms",
                                        "rcv-tos"};
    struct nst_tcp_info info;
    const struct nst_tcb *t = nst_sock_tcb(stream_of(w));

    if (!t)
        script_fail(w->s, "it has no connection");
    nst_tcb_info(t, &info);
    const uint64_t values[] = {0,
                               0,
                               info.snd_cwnd,
                               info.snd_ssthresh,
                               info.snd_mss,
                               info.rtt / NST_MS,
                               info.rto / NST_MS,
                               info.rcvbuf,
                               info.sndbuf,
                               info.pacing_rate,
                               info.busy_time / NST_MS,
                               info.rwnd_limited / NST_MS,
                               info.sndbuf_limited / NST_MS,
                               info.delivery_rate,
                               info.delivery_rate_app_limited,
                               info.delivered,
                               info.undos,
                               info.reo_wnd / NST_MS,
                               info.rcv_tos};
    unsigned which = script_choice(w->s, names, NST_ARRAY_LEN(names), "number of a connection");
    if (which == 0)
        check_phase(w, t);
    else if (which == 1)
        check_reason(w, t);
    else
        command_check_number(w, "it is", values[which]);
}
