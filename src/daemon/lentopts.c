/* Socket options of programs: Linux' numbers and layouts, and what the stack calls them.
 *
 * What the kernel does by itself to the program's descriptor never comes here; see the table in
 * src/client/options.c. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"
#include "daemon/lent.h"

#define DEFAULT_TTL 64

/* How a value stands for the stack's. */
enum form {
    FORM_NUMBER, /* an int, as it is */
    FORM_BOOL,   /* an int, 0 or not */
    FORM_BYTE,   /* of IP: an int or a single byte */
    FORM_BUFFER, /* an int, which Linux doubles */
    FORM_LINGER, /* struct linger */
};

struct option {
    int level, option;
    enum nst_opt opt;
    enum form form;
};

static const struct option options[] = {
    {SOL_SOCKET, SO_ERROR, NST_OPT_ERROR, FORM_NUMBER},
    {SOL_SOCKET, SO_SNDBUF, NST_OPT_SNDBUF, FORM_BUFFER},
    {SOL_SOCKET, SO_RCVBUF, NST_OPT_RCVBUF, FORM_BUFFER},
    {SOL_SOCKET, SO_REUSEADDR, NST_OPT_REUSEADDR, FORM_BOOL},
    {SOL_SOCKET, SO_BROADCAST, NST_OPT_BROADCAST, FORM_BOOL},
    {SOL_SOCKET, SO_KEEPALIVE, NST_OPT_KEEPALIVE, FORM_BOOL},
    {SOL_SOCKET, SO_LINGER, NST_OPT_LINGER, FORM_LINGER},
    {IPPROTO_IP, IP_TTL, NST_OPT_TTL, FORM_BYTE},
    {IPPROTO_IP, IP_TOS, NST_OPT_TOS, FORM_BYTE},
    {IPPROTO_IP, IP_MULTICAST_TTL, NST_OPT_MULTICAST_TTL, FORM_BYTE},
    {IPPROTO_IP, IP_MULTICAST_LOOP, NST_OPT_MULTICAST_LOOP, FORM_BYTE},
    {IPPROTO_TCP, TCP_CORK, NST_OPT_CORK, FORM_BOOL},
    {IPPROTO_TCP, TCP_MAXSEG, NST_OPT_MAXSEG, FORM_NUMBER},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, NST_OPT_DEFER_ACCEPT, FORM_BOOL},
    {IPPROTO_TCP, TCP_FASTOPEN, NST_OPT_FASTOPEN, FORM_NUMBER},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, NST_OPT_FASTOPEN_CONNECT, FORM_BOOL},
    {IPPROTO_TCP, TCP_QUICKACK, NST_OPT_QUICKACK, FORM_BOOL},
    {IPPROTO_TCP, TCP_KEEPIDLE, NST_OPT_KEEPIDLE, FORM_NUMBER},
    {IPPROTO_TCP, TCP_KEEPINTVL, NST_OPT_KEEPINTVL, FORM_NUMBER},
    {IPPROTO_TCP, TCP_KEEPCNT, NST_OPT_KEEPCNT, FORM_NUMBER},
    {IPPROTO_TCP, TCP_SYNCNT, NST_OPT_SYNCNT, FORM_NUMBER},
    {IPPROTO_TCP, TCP_LINGER2, NST_OPT_LINGER2, FORM_NUMBER},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, NST_OPT_USER_TIMEOUT, FORM_NUMBER},
};

/* What a program may ask to be told with each datagram. */
static const struct {
    int option;
    uint8_t flag;
} tells[] = {
    {IP_PKTINFO, NST_IPC_TELL_PKTINFO},
    {IP_RECVTTL, NST_IPC_TELL_TTL},
    {IP_RECVTOS, NST_IPC_TELL_TOS},
};

/* What is on or off and changes nothing here, but programs want to set: a flag of each in
 * `remembered`. No datagram's IP options are told, and the stack chooses ports late. */
static const struct {
    int level, option;
} idle_options[] = {
    {IPPROTO_IP, IP_RECVERR}, /* but for datagrams: see keep() */
    {IPPROTO_IP, IP_RECVOPTS},  {IPPROTO_IP, IP_RETOPTS}, {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {SOL_SOCKET, SO_OOBINLINE}, /* the descriptor's matter */
};

static struct nst_stack *stack_of(const struct nst_lent *lent)
{
    return lent->queue->stack;
}

static const struct option *find(int level, int option)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(options); i++)
        if (options[i].level == level && options[i].option == option)
            return &options[i];
    return NULL;
}

/* The flag in `tell`; 0 for another option. */
static uint8_t tell_flag(const struct nst_lent *lent, int level, int option)
{
    if (level == IPPROTO_IP && lent->protocol != IPPROTO_TCP)
        for (size_t i = 0; i < NST_ARRAY_LEN(tells); i++)
            if (tells[i].option == option)
                return tells[i].flag;
    return 0;
}

/* The flag in `remembered`; 0 for another option. */
static uint8_t idle_flag(int level, int option)
{
    for (unsigned i = 0; i < NST_ARRAY_LEN(idle_options); i++)
        if (idle_options[i].level == level && idle_options[i].option == option)
            return (uint8_t)(1u << i);
    return 0;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int read_int(const uint8_t *value, size_t len, int *out)
{
    if (len < sizeof *out)
        return -EINVAL;
    memcpy(out, value, sizeof *out);
    return 0;
}

/* IPPROTO_IP takes a byte where others want an int, and nothing for 0. */
static int read_byte(const uint8_t *value, size_t len, int *out)
{
    if (len >= sizeof *out)
        return read_int(value, len, out);
    *out = len ? value[0] : 0;
    return 0;
}

/* What Linux makes of values that are none. */
static int64_t forgiven(const struct option *o, int64_t number)
{
    switch (o->opt) {
    case NST_OPT_TOS:
        return number & UINT8_MAX;
    case NST_OPT_TTL:
        return number == -1 ? DEFAULT_TTL : number;
    case NST_OPT_MULTICAST_TTL:
        return number == -1 ? 1 : number;
    case NST_OPT_MULTICAST_LOOP:
        return number != 0;
    case NST_OPT_SNDBUF:
    case NST_OPT_RCVBUF:
        return number < 0 ? INT32_MAX : number;
    case NST_OPT_FASTOPEN:
        return number > UINT16_MAX ? UINT16_MAX : number;
    default:
        return number;
    }
}

static int read_value(enum form form, const uint8_t *value, size_t len, int64_t *out)
{
    struct linger linger;
    int number = 0;
    int err = form == FORM_BYTE ? read_byte(value, len, &number) : read_int(value, len, &number);

    if (err)
        return err;
    *out = number;
    if (form == FORM_BOOL)
        *out = number != 0;
    if (form != FORM_LINGER)
        return 0;
    if (len < sizeof linger)
        return -EINVAL;
    memcpy(&linger, value, sizeof linger);
    *out = !linger.l_onoff               ? -1
           : linger.l_linger < 0         ? 0
           : linger.l_linger > INT16_MAX ? INT16_MAX
                                         : linger.l_linger;
    return 0;
}

/* Copies what there is room for. */
static void write_value(uint8_t *value, size_t *len, const void *from, size_t size)
{
    *len = nst_min(*len, size);
    memcpy(value, from, *len);
}

static void write_number(enum form form, int64_t number, uint8_t *value, size_t *len)
{
    const struct linger linger = {number >= 0, number >= 0 ? (int)number : 0};
    int out = (int)number;

    if (form == FORM_LINGER)
        write_value(value, len, &linger, sizeof linger);
    else
        write_value(value, len, &out, sizeof out);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static struct nst_addr addr_of(const struct in_addr *in)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    memcpy(addr.bytes, in, sizeof *in);
    return addr;
}

/* struct ip_mreqn, or the shorter ip_mreq: the interface by its number, and not `lo`; or the only
 * one. */
static int change_membership(struct nst_lent *lent, bool join, const uint8_t *value, size_t len)
{
    struct ip_mreqn request = {0};

    if (len < sizeof(struct ip_mreq))
        return -EINVAL;
    memcpy(&request, value, nst_min(len, sizeof request));
    const struct nst_addr group = addr_of(&request.imr_multiaddr);
    if (request.imr_ifindex < 0 || request.imr_ifindex == nst_ipc_ifindex(0))
        return -ENODEV;
    /* A program that names a link by one of its addresses means the daemon's only one. */
    nst_link link = request.imr_ifindex          ? nst_ipc_link(request.imr_ifindex)
                    : request.imr_address.s_addr ? lent->queue->link
                                                 : 0;
    return join ? nst_join(stack_of(lent), lent->sock, link, &group, NULL)
                : nst_leave(stack_of(lent), lent->sock, link, &group, NULL);
}

/* Sockets of one user may share a port: the user's number tells the stack so. */
static int share_port(struct nst_lent *lent, const uint8_t *value, size_t len)
{
    int on = 0;
    int err = read_int(value, len, &on);

    return err ? err
               : nst_setopt(stack_of(lent), lent->sock, NST_OPT_REUSEPORT,
                            on ? lent->account->number : 0);
}

static int change_source(struct nst_lent *lent, bool join, const uint8_t *value, size_t len)
{
    struct ip_mreq_source request;

    if (len < sizeof request)
        return -EINVAL;
    memcpy(&request, value, sizeof request);
    const struct nst_addr group = addr_of(&request.imr_multiaddr);
    const struct nst_addr source = addr_of(&request.imr_sourceaddr);
    nst_link link = request.imr_interface.s_addr ? lent->queue->link : 0;
    return join ? nst_join(stack_of(lent), lent->sock, link, &group, &source)
                : nst_leave(stack_of(lent), lent->sock, link, &group, &source);
}

/* ---- setsockopt() ---------------------------------------------------------------------------- */

/* Those that are no number of the stack's. -ENOPROTOOPT for others. */
static int set_special(struct nst_lent *lent, int level, int option, const uint8_t *value,
                       size_t len)
{
    bool stream = lent->protocol == IPPROTO_TCP;
    char name[16] = "";
    int number = 0;

    if (level == IPPROTO_TCP && option == TCP_CONGESTION) {
        if (len == 0)
            return -EINVAL;
        memcpy(name, value, nst_min(len, sizeof name - 1));
        return nst_set_congestion(stack_of(lent), lent->sock, name);
    }
    if (level == SOL_SOCKET && option == SO_REUSEADDR)
        return 0; /* a port is free here as soon as nobody listens on it, whatever still ends */
    if (level == SOL_SOCKET && option == SO_REUSEPORT)
        return share_port(lent, value, len);
    if (level != IPPROTO_IP || stream)
        return -ENOPROTOOPT;
    switch (option) {
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
        return change_membership(lent, option == IP_ADD_MEMBERSHIP, value, len);
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
        return change_source(lent, option == IP_ADD_SOURCE_MEMBERSHIP, value, len);
    case IP_MULTICAST_IF:
        return nst_setopt(stack_of(lent), lent->sock, NST_OPT_MULTICAST_LINK, lent->queue->link);
    case IP_MTU_DISCOVER:
        if (read_byte(value, len, &number) != 0 || number < IP_PMTUDISC_DONT ||
            number > IP_PMTUDISC_OMIT)
            return -EINVAL;
        return nst_setopt(stack_of(lent), lent->sock, NST_OPT_DONTFRAG,
                          number == IP_PMTUDISC_DO || number == IP_PMTUDISC_PROBE);
    default:
        return -ENOPROTOOPT;
    }
}

/* Remembers what is on or off. */
static int keep(struct nst_lent *lent, uint8_t flag, const uint8_t *value, size_t len)
{
    int on = 0;
    int err = read_byte(value, len, &on);

    if (err)
        return err;
    lent->remembered = (uint8_t)(on ? lent->remembered | flag : lent->remembered & ~flag);
    if (flag == idle_flag(IPPROTO_IP, IP_RECVERR) && lent->protocol != IPPROTO_TCP)
        nst_lent_dgram_keep_errors(lent, on);
    return 0;
}

int nst_lent_setopt(struct nst_lent *lent, int level, int option, const uint8_t *value, size_t len)
{
    const struct option *o = find(level, option);
    uint8_t flag = tell_flag(lent, level, option), idle = idle_flag(level, option);
    int64_t number;
    int on, err;

    if (!lent->sock)
        return 0; /* it has ended, and there is nothing that would do otherwise */
    if (idle)
        return keep(lent, idle, value, len);
    if (flag) {
        if ((err = read_byte(value, len, &on)) == 0)
            lent->dgram.tell = (uint8_t)(on ? lent->dgram.tell | flag : lent->dgram.tell & ~flag);
        return err;
    }
    if (!o)
        return set_special(lent, level, option, value, len);
    if ((err = read_value(o->form, value, len, &number)))
        return err;
    return nst_setopt(stack_of(lent), lent->sock, o->opt, forgiven(o, number));
}

/* ---- TCP_INFO -------------------------------------------------------------------------------- */

static uint32_t usec(nst_time ns)
{
    return (uint32_t)(ns / 1000);
}

static uint32_t ago_ms(nst_time ns)
{
    return ns == NST_TIME_NEVER ? 0 : (uint32_t)(ns / NST_MS);
}

/* Linux counts segments where we count bytes. */
static uint32_t segments(const struct nst_tcp_info *i, uint32_t bytes)
{
    return i->snd_mss ? (bytes + i->snd_mss - 1) / i->snd_mss : 0;
}

/* The kernel's numbers of the states. */
static uint8_t state_number(enum nst_tcp_state state)
{
    static const uint8_t numbers[] = {
        [NST_TCP_CLOSED] = 7,       [NST_TCP_LISTEN] = 10,     [NST_TCP_SYN_SENT] = 2,
        [NST_TCP_SYN_RECEIVED] = 3, [NST_TCP_ESTABLISHED] = 1, [NST_TCP_FIN_WAIT_1] = 4,
        [NST_TCP_FIN_WAIT_2] = 5,   [NST_TCP_CLOSE_WAIT] = 8,  [NST_TCP_CLOSING] = 11,
        [NST_TCP_LAST_ACK] = 9,     [NST_TCP_TIME_WAIT] = 6};

    return numbers[state];
}

static void fill_info(const struct nst_tcp_info *i, struct tcp_info *out)
{
    static const uint8_t phases[] = {[NST_TCP_OPEN] = TCP_CA_Open,
                                     [NST_TCP_DISORDER] = TCP_CA_Disorder,
                                     [NST_TCP_RECOVERY] = TCP_CA_Recovery,
                                     [NST_TCP_LOSS] = TCP_CA_Loss};

    out->tcpi_state = state_number(i->state);
    out->tcpi_ca_state = phases[i->ca_state];
    out->tcpi_retransmits = i->retransmits;
    out->tcpi_probes = i->probes;
    out->tcpi_backoff = i->backoff;
    out->tcpi_options = (uint8_t)((i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
                                  (i->sack ? TCPI_OPT_SACK : 0) |
                                  (i->wscale ? TCPI_OPT_WSCALE : 0));
    out->tcpi_snd_wscale = i->snd_wscale & 15u;
    out->tcpi_rcv_wscale = i->rcv_wscale & 15u;
    out->tcpi_rto = usec(i->rto);
    out->tcpi_snd_mss = i->snd_mss;
    out->tcpi_rcv_mss = i->rcv_mss;
    out->tcpi_unacked = segments(i, i->unacked);
    out->tcpi_sacked = segments(i, i->sacked);
    out->tcpi_lost = segments(i, i->lost);
    out->tcpi_retrans = segments(i, i->retrans);
    out->tcpi_last_data_sent = ago_ms(i->last_data_sent);
    out->tcpi_last_data_recv = ago_ms(i->last_data_recv);
    out->tcpi_pmtu = i->pmtu;
    out->tcpi_rtt = usec(i->rtt);
    out->tcpi_rttvar = usec(i->rttvar);
    out->tcpi_min_rtt = usec(i->min_rtt);
    out->tcpi_snd_ssthresh = i->snd_ssthresh == UINT32_MAX ? INT32_MAX
                                                           : segments(i, i->snd_ssthresh);
    out->tcpi_snd_cwnd = segments(i, i->snd_cwnd);
    out->tcpi_rcv_space = i->rcv_wnd;
    out->tcpi_total_retrans = i->total_retrans;
    out->tcpi_bytes_acked = i->bytes_acked;
    out->tcpi_bytes_received = i->bytes_received;
    out->tcpi_bytes_sent = i->bytes_sent;
    out->tcpi_bytes_retrans = i->bytes_retrans;
    out->tcpi_segs_out = i->segs_out;
    out->tcpi_segs_in = i->segs_in;
    out->tcpi_data_segs_out = i->data_segs_out;
    out->tcpi_data_segs_in = i->data_segs_in;
    out->tcpi_notsent_bytes = i->notsent_bytes;
    out->tcpi_dsack_dups = i->dsack_dups;
    out->tcpi_reord_seen = i->reord_seen;
    out->tcpi_rcv_ooopack = i->rcv_ooopack;
    out->tcpi_snd_wnd = i->snd_wnd;
}

static int get_info(const struct nst_lent *lent, uint8_t *value, size_t *len)
{
    struct nst_tcp_info info = {.state = NST_TCP_CLOSED};
    struct tcp_info out = {0};
    int err = lent->sock ? nst_tcp_info(stack_of(lent), lent->sock, &info) : 0;

    if (err == -ENOTCONN) { /* a listener */
        info.state = NST_TCP_LISTEN;
        err = 0;
    }
    fill_info(&info, &out);
    if (!err)
        write_value(value, len, &out, sizeof out);
    return err;
}

/* ---- getsockopt() ---------------------------------------------------------------------------- */

/* The error that is pending, from wherever, and no longer. */
static int take_error(struct nst_lent *lent)
{
    int64_t pending = 0;
    int err = lent->error;

    if (!err && lent->sock && lent->protocol != IPPROTO_TCP)
        (void)nst_getopt(stack_of(lent), lent->sock, NST_OPT_ERROR, &pending);
    lent->error = 0;
    if (lent->protocol != IPPROTO_TCP)
        lent->dgram.raised = false;
    return err ? err : (int)pending;
}

static int get_special(struct nst_lent *lent, int level, int option, uint8_t *value, size_t *len)
{
    bool stream = lent->protocol == IPPROTO_TCP;
    char name[16] = "";
    int64_t number = 0;
    int err;

    if (level == IPPROTO_TCP && option == TCP_INFO && stream)
        return get_info(lent, value, len);
    if (level == IPPROTO_TCP && option == TCP_CONGESTION && stream) {
        const char *algorithm = lent->sock ? nst_get_congestion(stack_of(lent), lent->sock) : NULL;
        strncpy(name, algorithm ? algorithm : "", sizeof name - 1);
        write_value(value, len, name, sizeof name);
        return 0;
    }
    if (level == SOL_SOCKET && option == SO_REUSEPORT) {
        err = lent->sock ? nst_getopt(stack_of(lent), lent->sock, NST_OPT_REUSEPORT, &number) : 0;
        write_number(FORM_NUMBER, number != 0, value, len);
        return err;
    }
    if (level != IPPROTO_IP || stream || !lent->sock)
        return -ENOPROTOOPT;
    if (option == IP_MTU) {
        err = nst_getopt(stack_of(lent), lent->sock, NST_OPT_MTU, &number);
        write_number(FORM_NUMBER, number, value, len);
        return err;
    }
    if (option != IP_MTU_DISCOVER)
        return -ENOPROTOOPT;
    if ((err = nst_getopt(stack_of(lent), lent->sock, NST_OPT_DONTFRAG, &number)) == 0)
        write_number(FORM_NUMBER, number ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT, value, len);
    return err;
}

int nst_lent_getopt(struct nst_lent *lent, int level, int option, uint8_t *value, size_t *len)
{
    const struct option *o = find(level, option);
    uint8_t flag = tell_flag(lent, level, option), idle = idle_flag(level, option);
    int64_t number = 0;

    if (level == SOL_SOCKET && option == SO_ERROR)
        number = take_error(lent);
    else if (flag)
        number = (lent->dgram.tell & flag) != 0;
    else if (idle)
        number = (lent->remembered & idle) != 0;
    else if (!o)
        return get_special(lent, level, option, value, len);
    else if (lent->sock) {
        int err = nst_getopt(stack_of(lent), lent->sock, o->opt, &number);
        if (err)
            return err;
    }
    write_number(o ? o->form : FORM_NUMBER, number, value, len);
    return 0;
}
