/* Socket calls, with what they give. */
#include <string.h>

#include "command.h"
#include "core/base/addr.h"
#include "core/base/bytes.h"

/* A place for the socket that the next word names; it counts once it is open. */
static struct world_sock *new_sock(struct world *w)
{
    struct world_sock *ws = &w->socks[w->nsocks];

    if (w->nsocks == WORLD_SOCKS)
        script_fail(w->s, "too many sockets");
    *ws = (struct world_sock){.sock = 0};
    snprintf(ws->name, sizeof ws->name, "%s", script_word(w->s));
    return ws;
}

/* socket NAME udp | tcp | icmp | raw PROTO | packet */
static void cmd_socket(struct world *w)
{
    static const char *const names[] = {"udp", "icmp", "raw", "packet", "tcp"};
    static const enum nst_sock_type types[] = {NST_SOCK_DGRAM, NST_SOCK_DGRAM, NST_SOCK_RAW,
                                               NST_SOCK_PACKET, NST_SOCK_STREAM};
    struct world_sock *ws = new_sock(w);

    world_link(w, NULL);
    unsigned kind = script_choice(w->s, names, NST_ARRAY_LEN(names), "kind of socket");
    uint8_t proto = kind == 2 ? (uint8_t)script_number(w->s) : kind == 1 ? NST_IPPROTO_ICMP : 0;
    int err = nst_socket(w->stack, &ws->sock, NST_AF_INET, types[kind], proto, w->nsocks);
    if (!err)
        w->nsocks++;
    command_result(w, err);
}

static void cmd_close(struct world *w)
{
    nst_sock sock = command_sock(w);

    command_result(w, nst_close(w->stack, sock));
}

/* bind NAME ADDR[:PORT] | link LINK [type N] */
static void cmd_bind(struct world *w)
{
    nst_sock sock = command_sock(w);
    struct nst_sockaddr local = {0};

    if (script_accept(w->s, "link"))
        local.link = world_link(w, script_word(w->s))->link;
    else
        local = script_sockaddr(w->s);
    if (script_accept(w->s, "type"))
        local.port = (uint16_t)script_number(w->s);
    if (nst_addr_is_any(&local.addr))
        local.addr = (struct nst_addr){0};
    command_result(w, nst_bind(w->stack, sock, &local));
}

/* connect NAME ADDR[:PORT] | nobody */
static void cmd_connect(struct world *w)
{
    nst_sock sock = command_sock(w);
    struct nst_sockaddr peer = {0};

    if (!script_accept(w->s, "nobody"))
        peer = script_sockaddr(w->s);
    command_result(w, nst_connect(w->stack, sock, &peer));
}

/* listen NAME [backlog N] */
static void cmd_listen(struct world *w)
{
    nst_sock sock = command_sock(w);
    uint32_t backlog = 128;

    if (script_accept(w->s, "backlog"))
        backlog = (uint32_t)script_number(w->s);
    command_result(w, nst_listen(w->stack, sock, backlog));
}

/* accept NAME -> NAME */
static void cmd_accept(struct world *w)
{
    nst_sock sock = command_sock(w), dummy;
    bool named = script_accept(w->s, "->");
    struct world_sock *ws = named ? new_sock(w) : NULL;
    int err = nst_accept(w->stack, sock, ws ? &ws->sock : &dummy, w->nsocks);

    if (!err && !ws) {
        (void)nst_close(w->stack, dummy);
        script_fail(w->s, "a connection is accepted: '-> NAME' belongs here");
    }
    w->nsocks += !err;
    command_result(w, err);
}

/* shutdown NAME rd | wr | rdwr */
static void cmd_shutdown(struct world *w)
{
    static const char *const names[] = {"rd", "wr", "rdwr"};
    nst_sock sock = command_sock(w);
    unsigned how = script_choice(w->s, names, NST_ARRAY_LEN(names), "direction");

    command_result(w, nst_shutdown(w->stack, sock, (enum nst_shutdown)(how + 1)));
}

static bool is_type(const struct world *w, nst_sock sock, enum nst_sock_type type)
{
    struct nst_sock_info info;

    return nst_info(w->stack, sock, &info) == 0 && info.type == type;
}

/* What is sent: a frame for a packet socket, a stream's next bytes, else a message. */
static size_t read_message(struct world *w, const struct world_sock *ws)
{
    struct packet p = {.payload_at = ws->sent};
    size_t len;

    if (is_type(w, ws->sock, NST_SOCK_PACKET)) {
        packet_read(w->s, &p, &world_link(w, NULL)->mac);
        len = packet_build(&p, NST_MEDIUM_ETHERNET, w->bytes);
    } else {
        packet_read_message(w->s, &p);
        len = packet_build_message(&p, w->bytes);
    }
    return len;
}

/* send NAME [to ADDR[:PORT]] [from ADDR] [link NAME] [ttl N] [tos N] [segment N] [options HEX]
 * [more] [oob] MESSAGE */
static void cmd_send(struct world *w)
{
    struct script *s = w->s;
    struct world_sock *ws = command_named(w);
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
    if (script_accept(s, "segment"))
        msg.segment_bytes = (uint16_t)script_number(s);
    if (script_accept(s, "options"))
        msg.options_len = (uint8_t)script_hex(s, msg.options, sizeof msg.options);
    if (script_accept(s, "more"))
        msg.flags |= NST_SEND_MORE;
    if (script_accept(s, "oob"))
        msg.flags |= NST_SEND_OOB;
    if (script_accept(s, "fastopen"))
        msg.flags |= NST_SEND_FASTOPEN;
    slice.len = read_message(w, ws);
    int64_t result = nst_send(w->stack, ws->sock, &msg);
    if (result > 0 && is_type(w, ws->sock, NST_SOCK_STREAM))
        ws->sent += (size_t)result;
    command_result(w, result);
}

/* What surrounds a received datagram: [from ADDR[:PORT]] [to ADDR[:PORT]] [ttl N] [tos N]
 * [segment N] [options HEX] [truncated] */
static void check_surroundings(struct world *w, const struct nst_msg *msg)
{
    uint8_t options[NST_IP_OPTIONS_MAX];

    if (script_accept(w->s, "from"))
        command_check_sockaddr(w, "it is from", &msg->peer);
    if (script_accept(w->s, "to"))
        command_check_sockaddr(w, "it is to", &msg->local);
    if (script_accept(w->s, "ttl"))
        command_check_number(w, "its ttl is", msg->ttl);
    if (script_accept(w->s, "tos"))
        command_check_number(w, "its tos is", (uint64_t)msg->tos);
    uint64_t segment = script_accept(w->s, "segment") ? script_number(w->s) : 0;
    if (segment != msg->segment_bytes)
        script_fail(w->s, "its segments are of %u", msg->segment_bytes);
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
                             struct packet *got, size_t at, size_t len)
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
    const char *wrong = packet_dissect_message(got, w->bytes, len);
    got->payload_at = at;
    return wrong;
}

/* `at` is where in its stream it stands. */
static void check_content(struct world *w, const struct nst_msg *msg, size_t at, size_t len)
{
    struct packet want = {0}, got = {0};
    char why[512];

    if (!script_peek(w->s) || strcmp(script_peek(w->s), "=") == 0)
        return;
    const char *wrong = read_both(w, msg, &want, &got, at, len);
    bool same = !wrong && packet_check(&want, &got, why, sizeof why);
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
    if (*result < 0 && script_peek(w->s) && strcmp(script_peek(w->s), "=") != 0)
        script_fail(w->s, "nothing is received: -%s", script_errno_name((int)-*result));
    return *result >= 0;
}

/* recv NAME [peek] [oob] [room BYTES] [SURROUNDINGS] [PACKET or MESSAGE] */
static void cmd_recv(struct world *w)
{
    struct world_sock *ws = command_named(w);
    uint32_t flags = (script_accept(w->s, "peek") ? NST_RECV_PEEK : 0) |
                     (script_accept(w->s, "oob") ? NST_RECV_OOB : 0);
    struct nst_slice slice;
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    int64_t result;

    if (receive(w, ws->sock, &msg, flags, &result)) {
        check_surroundings(w, &msg);
        check_content(w, &msg, ws->received, nst_min((size_t)result, slice.len));
        if (!flags && is_type(w, ws->sock, NST_SOCK_STREAM))
            ws->received += (size_t)result;
    }
    command_result(w, result);
}

/* error NAME ERROR [type N code N] [info N] [by ADDR] [SURROUNDINGS] [MESSAGE]; or = -EAGAIN */
static void cmd_error(struct world *w)
{
    nst_sock sock = command_sock(w);
    struct nst_slice slice;
    struct nst_msg msg = {.data = &slice, .ndata = 1};
    const struct nst_sock_error *e = &msg.error;
    int64_t result;

    if (receive(w, sock, &msg, NST_RECV_ERROR, &result)) {
        if (script_errno(script_word(w->s)) != e->err)
            script_fail(w->s, "the error is %s", script_errno_name(e->err));
        if (script_accept(w->s, "type"))
            command_check_number(w, "the type is", e->type);
        if (script_accept(w->s, "code"))
            command_check_number(w, "the code is", e->code);
        if (script_accept(w->s, "info"))
            command_check_number(w, "the info is", e->info);
        if (script_accept(w->s, "by"))
            command_check_sockaddr(w, "it is by", &(struct nst_sockaddr){.addr = e->offender});
        check_surroundings(w, &msg);
        check_content(w, &msg, 0, nst_min((size_t)result, slice.len));
    }
    command_result(w, result);
}

typedef int membership_call(struct nst_stack *stack, nst_sock sock, nst_link link,
                            const struct nst_addr *group, const struct nst_addr *source);

/* join|leave NAME GROUP [source ADDR] [link NAME] */
static void membership(struct world *w, membership_call *call)
{
    nst_sock sock = command_sock(w);
    struct nst_addr group = script_addr(w->s), source;
    bool has_source = script_accept(w->s, "source");
    nst_link link = 0;

    if (has_source)
        source = script_addr(w->s);
    if (script_accept(w->s, "link"))
        link = world_link(w, script_word(w->s))->link;
    command_result(w, call(w->stack, sock, link, &group, has_source ? &source : NULL));
}

static void cmd_join(struct world *w)
{
    membership(w, nst_join);
}

static void cmd_leave(struct world *w)
{
    membership(w, nst_leave);
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
    [NST_OPT_MULTICAST_TTL] = "multicast-ttl",
    [NST_OPT_MULTICAST_LOOP] = "multicast-loop",
    [NST_OPT_MULTICAST_LINK] = "multicast-link",
    [NST_OPT_UDP_SEGMENT] = "udp-segment",
    [NST_OPT_UDP_GRO] = "udp-gro",
    [NST_OPT_OOBINLINE] = "oobinline",
    [NST_OPT_DEFER_ACCEPT] = "defer-accept",
    [NST_OPT_QUICKACK] = "quickack",
    [NST_OPT_HOLD] = "hold",
    [NST_OPT_REUSEADDR] = "reuseaddr",
    [NST_OPT_URGENT] = "urgent",
    [NST_OPT_SYN_EVENTS] = "syn-events",
    [NST_OPT_NODELAY] = "nodelay",
    [NST_OPT_CORK] = "cork",
    [NST_OPT_MAXSEG] = "maxseg",
    [NST_OPT_KEEPALIVE] = "keepalive",
    [NST_OPT_KEEPIDLE] = "keepidle",
    [NST_OPT_KEEPINTVL] = "keepintvl",
    [NST_OPT_KEEPCNT] = "keepcnt",
    [NST_OPT_SYNCNT] = "syncnt",
    [NST_OPT_LINGER] = "linger",
    [NST_OPT_LINGER2] = "linger2",
    [NST_OPT_USER_TIMEOUT] = "user-timeout",
    [NST_OPT_PACING] = "pacing",
    [NST_OPT_HYSTART] = "hystart",
    [NST_OPT_MAX_PACING_RATE] = "max-pacing-rate",
    [NST_OPT_RECOVERY] = "recovery",
    [NST_OPT_ECN] = "ecn",
    [NST_OPT_FASTOPEN] = "fastopen",
    [NST_OPT_MTU_PROBING] = "mtu-probing",
    [NST_OPT_FASTOPEN_CONNECT] = "fastopen-connect",
    [NST_OPT_REUSEPORT] = "reuseport",
    [NST_OPT_MTU] = "mtu",
};

/* setopt NAME OPTION N|off, or setopt NAME congestion ALGORITHM */
static void cmd_setopt(struct world *w)
{
    nst_sock sock = command_sock(w);
    if (script_accept(w->s, "congestion")) {
        const char *name = script_word(w->s);
        command_result(w, nst_set_congestion(w->stack, sock, name));
        return;
    }
    unsigned opt = script_choice(w->s, option_names, NST_ARRAY_LEN(option_names), "option");
    bool off = script_accept(w->s, "off"); /* -1 */
    int64_t value = off ? -1 : (int64_t)script_number(w->s);

    command_result(w, nst_setopt(w->stack, sock, (enum nst_opt)opt, value));
}

/* getopt NAME OPTION = N; the option `error` gives an error's name */
static void cmd_getopt(struct world *w)
{
    nst_sock sock = command_sock(w);
    unsigned opt = script_choice(w->s, option_names, NST_ARRAY_LEN(option_names), "option");
    int64_t value = 0;
    int err = nst_getopt(w->stack, sock, (enum nst_opt)opt, &value);

    command_result(w, err ? err : opt == NST_OPT_ERROR ? -value : value);
}

bool sockets_run(struct world *w, const char *name)
{
    static const struct command table[] = {
        {"socket", cmd_socket},   {"close", cmd_close},   {"bind", cmd_bind},
        {"listen", cmd_listen},   {"accept", cmd_accept}, {"shutdown", cmd_shutdown},
        {"connect", cmd_connect}, {"send", cmd_send},     {"recv", cmd_recv},
        {"error", cmd_error},     {"setopt", cmd_setopt}, {"getopt", cmd_getopt},
        {"join", cmd_join},       {"leave", cmd_leave},
    };

    return command_run_one(w, table, NST_ARRAY_LEN(table), name);
}
