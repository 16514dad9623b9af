/* Socket options: those of the stack by a table, and the few that are more than a number. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "core/base/bytes.h"
#include "packetdrill/host.h"

/* Options that are numbers in the stack too. */
static const struct {
    int level, name;
    enum nst_opt opt;
    int scale; /* what is set is multiplied by it, and read back so */
} numbers[] = {
    {SOL_SOCKET, SO_REUSEADDR, NST_OPT_REUSEADDR, 1},
    {SOL_SOCKET, SO_BROADCAST, NST_OPT_BROADCAST, 1},
    {SOL_SOCKET, SO_KEEPALIVE, NST_OPT_KEEPALIVE, 1},
    {SOL_SOCKET, SO_OOBINLINE, NST_OPT_OOBINLINE, 1},
    {SOL_SOCKET, SO_RCVBUF, NST_OPT_RCVBUF, 2},
    {SOL_SOCKET, SO_SNDBUF, NST_OPT_SNDBUF, 2},
    {SOL_SOCKET, SO_ERROR, NST_OPT_ERROR, 1},
    {SOL_SOCKET, SO_MAX_PACING_RATE, NST_OPT_MAX_PACING_RATE, 1},
    {IPPROTO_IP, IP_RECVERR, NST_OPT_RECVERR, 1},
    {IPPROTO_IP, IP_TOS, NST_OPT_TOS, 1},
    {IPPROTO_IP, IP_TTL, NST_OPT_TTL, 1},
    {IPPROTO_IPV6, IPV6_TCLASS, NST_OPT_TOS, 1},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, NST_OPT_TTL, 1},
    {IPPROTO_TCP, TCP_NODELAY, NST_OPT_NODELAY, 1},
    {IPPROTO_TCP, TCP_CORK, NST_OPT_CORK, 1},
    {IPPROTO_TCP, TCP_MAXSEG, NST_OPT_MAXSEG, 1},
    {IPPROTO_TCP, TCP_QUICKACK, NST_OPT_QUICKACK, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, NST_OPT_KEEPIDLE, 1},
    {IPPROTO_TCP, TCP_KEEPINTVL, NST_OPT_KEEPINTVL, 1},
    {IPPROTO_TCP, TCP_KEEPCNT, NST_OPT_KEEPCNT, 1},
    {IPPROTO_TCP, TCP_SYNCNT, NST_OPT_SYNCNT, 1},
    {IPPROTO_TCP, TCP_LINGER2, NST_OPT_LINGER2, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, NST_OPT_USER_TIMEOUT, 1},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, NST_OPT_DEFER_ACCEPT, 1},
    {IPPROTO_TCP, TCP_FASTOPEN, NST_OPT_FASTOPEN, 1},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, NST_OPT_FASTOPEN_CONNECT, 1},
    {IPPROTO_UDP, UDP_SEGMENT, NST_OPT_UDP_SEGMENT, 1},
    {IPPROTO_UDP, UDP_GRO, NST_OPT_UDP_GRO, 1},
};

/* What makes no difference to a host that nobody else is on. */
static const struct {
    int level, name;
} harmless[] = {
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_PRIORITY},
    {IPPROTO_IPV6, IPV6_V6ONLY},
};

static size_t find_number(int level, int name)
{
    size_t i = 0;

    while (i < NST_ARRAY_LEN(numbers) && (numbers[i].level != level || numbers[i].name != name))
        i++;
    return i;
}

static bool is_harmless(int level, int name)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(harmless); i++)
        if (harmless[i].level == level && harmless[i].name == name)
            return true;
    return false;
}

/* ---- Setting --------------------------------------------------------------------------------- */

/* Switches are any number but 0 for a program, and 1 for the stack. */
static int64_t as_the_stack_has_it(size_t i, int value)
{
    switch (numbers[i].opt) {
    case NST_OPT_BROADCAST:
    case NST_OPT_KEEPALIVE:
    case NST_OPT_OOBINLINE:
    case NST_OPT_RECVERR:
    case NST_OPT_NODELAY:
    case NST_OPT_CORK:
    case NST_OPT_QUICKACK:
    case NST_OPT_UDP_GRO:
    case NST_OPT_DEFER_ACCEPT:
    case NST_OPT_FASTOPEN_CONNECT:
        return value != 0;
    case NST_OPT_MAX_PACING_RATE: /* all ones: none */
        return value == -1 ? 0 : (int64_t)(uint32_t)value;
    default:
        return (int64_t)value * numbers[i].scale;
    }
}

static int set_number(struct nst_pd_host *host, const struct nst_pd_file *file, size_t i,
                      const void *value, socklen_t len)
{
    int number;

    if (len < sizeof number)
        return -EINVAL;
    memcpy(&number, value, sizeof number);
    int err = nst_setopt(host->stack, file->sock, numbers[i].opt, as_the_stack_has_it(i, number));
    nst_pd_pump(host);
    return err;
}

static int set_linger(struct nst_pd_host *host, const struct nst_pd_file *file, const void *value,
                      socklen_t len)
{
    struct linger l;

    if (len < sizeof l)
        return -EINVAL;
    memcpy(&l, value, sizeof l);
    return nst_setopt(host->stack, file->sock, NST_OPT_LINGER, l.l_onoff ? l.l_linger : -1);
}

static int set_timeout(nst_time *timeout, const void *value, socklen_t len)
{
    struct timeval tv;

    if (len < sizeof tv)
        return -EINVAL;
    memcpy(&tv, value, sizeof tv);
    *timeout = (nst_time)tv.tv_sec * NST_SEC + (nst_time)tv.tv_usec * NST_US;
    return 0;
}

static int set_congestion(struct nst_pd_host *host, const struct nst_pd_file *file,
                          const void *value, socklen_t len)
{
    char name[16] = "";

    memcpy(name, value, nst_min(len, sizeof name - 1));
    return nst_set_congestion(host->stack, file->sock, name);
}

static int set_inq(struct nst_pd_file *file, const void *value, socklen_t len)
{
    int on;

    if (len < sizeof on)
        return -EINVAL;
    memcpy(&on, value, sizeof on);
    file->inq = on;
    return on & ~1 ? -EINVAL : 0;
}

static int set_option(struct nst_pd_host *host, struct nst_pd_file *file, int level, int name,
                      const void *value, socklen_t len)
{
    size_t i = find_number(level, name);

    if (!value)
        return -EFAULT;
    if (i < NST_ARRAY_LEN(numbers))
        return set_number(host, file, i, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(host, file, value, len);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return set_timeout(&file->rcv_timeout, value, len);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return set_timeout(&file->snd_timeout, value, len);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(host, file, value, len);
    if (level == IPPROTO_TCP && name == TCP_INQ)
        return set_inq(file, value, len);
    return is_harmless(level, name) ? 0 : -ENOPROTOOPT;
}

static int pd_setsockopt(void *userdata, int fd, int level, int name, const void *value,
                         socklen_t len)
{
    struct nst_pd_host *host = userdata;
    struct nst_pd_file *file;

    nst_pd_enter(host);
    int err = nst_pd_socket_of(host, fd, &file);
    return (int)nst_pd_return(host, err ? err : set_option(host, file, level, name, value, len));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* As much of it as there is room for, and how much that was. */
static int give(void *to, socklen_t *len, const void *value, size_t size)
{
    *len = (socklen_t)nst_min(*len, size);
    memcpy(to, value, *len);
    return 0;
}

static int get_number(struct nst_pd_host *host, const struct nst_pd_file *file, size_t i,
                      void *value, socklen_t *len)
{
    int64_t number;
    int err = nst_getopt(host->stack, file->sock, numbers[i].opt, &number), out = (int)number;

    return err ? err : give(value, len, &out, sizeof out);
}

static int get_linger(struct nst_pd_host *host, const struct nst_pd_file *file, void *value,
                      socklen_t *len)
{
    struct linger l = {0};
    int64_t seconds;
    int err = nst_getopt(host->stack, file->sock, NST_OPT_LINGER, &seconds);

    l.l_onoff = seconds >= 0;
    l.l_linger = seconds < 0 ? 0 : (int)seconds;
    return err ? err : give(value, len, &l, sizeof l);
}

static int get_timeout(nst_time timeout, void *value, socklen_t *len)
{
    const struct timeval tv = {(time_t)(timeout / NST_SEC),
                               (suseconds_t)(timeout % NST_SEC / NST_US)};

    return give(value, len, &tv, sizeof tv);
}

static int get_meminfo(const struct nst_pd_host *host, const struct nst_pd_file *file, void *value,
                       socklen_t *len)
{
    const struct nst_socket *s = nst_pd_core_socket(host, file);
    uint32_t info[SK_MEMINFO_VARS] = {0};

    if (s->type != NST_SOCK_STREAM)
        info[SK_MEMINFO_DROPS] = (uint32_t)s->dgram->rx_drops;
    if (nst_sock_tcb(s)) {
        info[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)nst_tcb_received_mem(s->tcb);
        info[SK_MEMINFO_RCVBUF] = s->tcb->opt.rcvbuf;
        info[SK_MEMINFO_WMEM_QUEUED] = nst_tcb_unacked(s->tcb);
        info[SK_MEMINFO_SNDBUF] = s->tcb->opt.sndbuf;
    }
    return give(value, len, info, sizeof info);
}

static int get_tcp_info(const struct nst_pd_host *host, const struct nst_pd_file *file, void *value,
                        socklen_t *len)
{
    uint8_t info[NST_PD_TCP_INFO_LEN];

    nst_pd_tcp_info(host, file, info);
    return give(value, len, info, sizeof info);
}

static int get_of_socket(struct nst_pd_host *host, const struct nst_pd_file *file, int name,
                         void *value, socklen_t *len)
{
    const struct nst_socket *s = nst_pd_core_socket(host, file);
    const int listens = s->listening, protocol = s->proto;

    switch (name) {
    case SO_LINGER:
        return get_linger(host, file, value, len);
    case SO_RCVTIMEO:
        return get_timeout(file->rcv_timeout, value, len);
    case SO_SNDTIMEO:
        return get_timeout(file->snd_timeout, value, len);
    case SO_MEMINFO:
        return get_meminfo(host, file, value, len);
    case SO_TYPE:
        return give(value, len, &file->type, sizeof file->type);
    case SO_DOMAIN:
        return give(value, len, &file->domain, sizeof file->domain);
    case SO_PROTOCOL:
        return give(value, len, &protocol, sizeof protocol);
    case SO_ACCEPTCONN:
        return give(value, len, &listens, sizeof listens);
    default:
        return -ENOPROTOOPT;
    }
}

static int get_of_tcp(struct nst_pd_host *host, const struct nst_pd_file *file, int name,
                      void *value, socklen_t *len)
{
    const char *congestion;
    const int inq = file->inq;

    switch (name) {
    case TCP_INFO:
        return get_tcp_info(host, file, value, len);
    case TCP_CC_INFO:
        return give(value, len, "", 0);
    case TCP_CONGESTION:
        congestion = nst_get_congestion(host->stack, file->sock);
        return congestion ? give(value, len, congestion, strlen(congestion) + 1) : -EINVAL;
    case TCP_INQ:
        return give(value, len, &inq, sizeof inq);
    default:
        return -ENOPROTOOPT;
    }
}

static int get_option(struct nst_pd_host *host, const struct nst_pd_file *file, int level, int name,
                      void *value, socklen_t *len)
{
    size_t i = find_number(level, name);
    const int off = 0;

    if (!value || !len)
        return -EFAULT;
    if (i < NST_ARRAY_LEN(numbers))
        return get_number(host, file, i, value, len);
    if (is_harmless(level, name))
        return give(value, len, &off, sizeof off);
    if (level == SOL_SOCKET)
        return get_of_socket(host, file, name, value, len);
    if (level == IPPROTO_TCP && file->type == SOCK_STREAM)
        return get_of_tcp(host, file, name, value, len);
    return -ENOPROTOOPT;
}

static int pd_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len)
{
    struct nst_pd_host *host = userdata;
    struct nst_pd_file *file;

    nst_pd_enter(host);
    int err = nst_pd_socket_of(host, fd, &file);
    return (int)nst_pd_return(host, err ? err : get_option(host, file, level, name, value, len));
}

void nst_pd_fill_options(struct packetdrill_interface *ifc)
{
    ifc->getsockopt = pd_getsockopt;
    ifc->setsockopt = pd_setsockopt;
}
