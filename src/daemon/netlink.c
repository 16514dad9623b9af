/* One request at a time over an rtnetlink socket: build the message, send it, read answers until
 * the kernel says that it is done. libmnl checks the sequence numbers; an answer to an earlier
 * request, which an interrupted wait may have left behind, is passed over. The kernel's extended
 * acknowledgement, where it gives one, says better than errno what was wrong, so it goes into the
 * sentence.
 *
 * A watch is a second socket that hears of all links and reports one. When the kernel had to drop
 * notices (ENOBUFS) the watch asks for the link's present state on the same socket, so the answer
 * comes in the same way as any notice; it asks once the notices that were kept are read, else there
 * might be no room for the answer. The first state is got like this too. */
#include "daemon/netlink.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_BYTES 512
#define ANSWER_BYTES  32768 /* the most that the kernel puts into one piece of a dump */
#define DUMP_TRIES    8     /* how often a list may change while it is being read */

struct nst_netlink {
    struct mnl_socket *socket;
    unsigned sequence;
    char extended[128]; /* the kernel's words about the last failure, or empty */
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
};

/* A request being built. */
struct request {
    _Alignas(struct nlmsghdr) char bytes[REQUEST_BYTES];
    struct nlmsghdr *header;
};

/* ---- The connection ---------------------------------------------------------------------- */

static int open_socket(struct mnl_socket **out, unsigned groups, int flags)
{
    int on = 1;
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

    if (!socket)
        return -errno;
    /* Kernels that lack either option answer as well without. */
    (void)mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof on);
    (void)mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof on);
    if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
        int r = -errno;
        mnl_socket_close(socket);
        return r;
    }
    *out = socket;
    return 0;
}

int nst_netlink_open(struct nst_netlink **out, struct nst_fault *fault)
{
    struct nst_netlink *nl = calloc(1, sizeof *nl);
    int r = nl ? open_socket(&nl->socket, 0, 0) : -ENOMEM;

    if (r < 0) {
        free(nl);
        return nst_fault_system(fault, r, "cannot talk to the kernel about interfaces");
    }
    *out = nl;
    return 0;
}

void nst_netlink_close(struct nst_netlink *nl)
{
    if (!nl)
        return;
    mnl_socket_close(nl->socket);
    free(nl);
}

/* ---- Requests and answers ---------------------------------------------------------------- */

static void *begin(struct request *request, uint16_t type, uint16_t flags, size_t family_bytes)
{
    request->header = mnl_nlmsg_put_header(request->bytes);
    request->header->nlmsg_type = type;
    request->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    return mnl_nlmsg_put_extra_header(request->header, family_bytes);
}

/* libmnl's callback for the attributes of an acknowledgement. */
static int take_extended(const struct nlattr *attr, void *ctx)
{
    struct nst_netlink *nl = ctx;

    if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
        mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0) {
        strncpy(nl->extended, mnl_attr_get_str(attr), sizeof nl->extended - 1);
    }
    return MNL_CB_OK;
}

/* libmnl's callback for NLMSG_ERROR: an acknowledgement (error 0) or a failure. */
static int take_error(const struct nlmsghdr *header, void *ctx)
{
    struct nst_netlink *nl = ctx;
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

    if (mnl_nlmsg_get_payload_len(header) < sizeof *error) {
        errno = EBADMSG;
        return MNL_CB_ERROR;
    }
    if (header->nlmsg_flags & NLM_F_ACK_TLVS) {
        size_t echoed =
            header->nlmsg_flags & NLM_F_CAPPED ? 0 : error->msg.nlmsg_len - sizeof error->msg;
        mnl_attr_parse(header, (unsigned)(sizeof *error + echoed), take_extended, nl);
    }
    errno = -error->error;
    return error->error ? MNL_CB_ERROR : MNL_CB_STOP;
}

struct reader {
    struct nst_netlink *nl;
    mnl_cb_t take; /* for each message of the answer; may be NULL */
    void *ctx;
};

static int take_message(const struct nlmsghdr *header, void *ctx)
{
    const struct reader *reader = ctx;

    return reader->take ? reader->take(header, reader->ctx) : MNL_CB_OK;
}

static int take_failure(const struct nlmsghdr *header, void *ctx)
{
    const struct reader *reader = ctx;

    return take_error(header, reader->nl);
}

/* Reads answers until the last one. 0 or -errno. */
static int receive(struct nst_netlink *nl, mnl_cb_t take, void *ctx)
{
    static mnl_cb_t control[NLMSG_ERROR + 1] = {[NLMSG_ERROR] = take_failure};
    struct reader reader = {nl, take, ctx};
    int r;

    do {
        ssize_t n = mnl_socket_recvfrom(nl->socket, nl->answer, sizeof nl->answer);
        if (n < 0 && errno == EINTR) {
            r = MNL_CB_OK;
            continue;
        }
        if (n < 0)
            return -errno;
        r = mnl_cb_run2(nl->answer, (size_t)n, nl->sequence, mnl_socket_get_portid(nl->socket),
                        take_message, &reader, control, NST_ARRAY_LEN(control));
        if (r < 0 && errno == EPROTO) /* the answer to another request */
            r = MNL_CB_OK;
    } while (r > 0);
    return r < 0 ? -errno : 0;
}

/* Sends the request and reads its answer. 0 or -errno. */
static int transact(struct nst_netlink *nl, struct request *request, mnl_cb_t take, void *ctx)
{
    nl->extended[0] = 0;
    request->header->nlmsg_seq = ++nl->sequence;
    if (mnl_socket_sendto(nl->socket, request->header, request->header->nlmsg_len) < 0)
        return -errno;
    return receive(nl, take, ctx);
}

/* As nst_fault_system(), with the kernel's own words where it gave some. */
__attribute__((format(printf, 4, 5))) static int
fail(const struct nst_netlink *nl, struct nst_fault *fault, int error, const char *format, ...)
{
    char what[160];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (nl->extended[0])
        return nst_fault_system(fault, error, "%s (%s)", what, nl->extended);
    return nst_fault_system(fault, error, "%s", what);
}

/* ---- Links ------------------------------------------------------------------------------- */

static int take_link_attr(const struct nlattr *attr, void *ctx)
{
    struct nst_netlink_link *link = ctx;

    switch (mnl_attr_get_type(attr)) {
    case IFLA_IFNAME:
        if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
            strncpy(link->name, mnl_attr_get_str(attr), sizeof link->name - 1);
        break;
    case IFLA_CARRIER:
        if (mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
            link->carrier = mnl_attr_get_u8(attr);
        break;
    case IFLA_MTU:
        if (mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
            link->mtu = mnl_attr_get_u32(attr);
        break;
    case IFLA_TXQLEN:
        if (mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
            link->queue_pkts = mnl_attr_get_u32(attr);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

/* RTM_NEWLINK or RTM_DELLINK to a link's state. False if the message is too short, or speaks not of
 * the link but of its port in a bridge, which bears the link's index. */
static bool parse_link(const struct nlmsghdr *header, struct nst_netlink_link *out)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

    if (mnl_nlmsg_get_payload_len(header) < sizeof *info || info->ifi_family != AF_UNSPEC)
        return false;
    *out = (struct nst_netlink_link){
        .index = info->ifi_index,
        .up = info->ifi_flags & IFF_UP,
    };
    return mnl_attr_parse(header, sizeof *info, take_link_attr, out) >= 0;
}

static int take_link(const struct nlmsghdr *header, void *ctx)
{
    return parse_link(header, ctx) ? MNL_CB_OK : MNL_CB_ERROR;
}

int nst_netlink_get_link(struct nst_netlink *nl, const char *name, struct nst_netlink_link *out,
                         struct nst_fault *fault)
{
    struct request request;

    begin(&request, RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
    mnl_attr_put_u32(request.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    int r = transact(nl, &request, take_link, out);
    if (r == -ENODEV)
        return nst_fault_set(fault, r, "there is no interface called '%s'", name);
    return r < 0 ? fail(nl, fault, r, "cannot look at interface %s", name) : 0;
}

static struct ifinfomsg *begin_set_link(struct request *request, int index)
{
    struct ifinfomsg *info = begin(request, RTM_NEWLINK, NLM_F_ACK, sizeof *info);

    info->ifi_index = index;
    return info;
}

int nst_netlink_set_up(struct nst_netlink *nl, int index, bool up, struct nst_fault *fault)
{
    struct request request;
    struct ifinfomsg *info = begin_set_link(&request, index);

    info->ifi_change = IFF_UP;
    info->ifi_flags = up ? IFF_UP : 0;
    int r = transact(nl, &request, NULL, NULL);
    return r < 0 ? fail(nl, fault, r, "cannot take the device %s", up ? "up" : "down") : 0;
}

static int set_link_u32(struct nst_netlink *nl, int index, uint16_t attr, uint32_t value)
{
    struct request request;

    begin_set_link(&request, index);
    mnl_attr_put_u32(request.header, attr, value);
    return transact(nl, &request, NULL, NULL);
}

int nst_netlink_set_mtu(struct nst_netlink *nl, int index, uint32_t mtu, struct nst_fault *fault)
{
    int r = set_link_u32(nl, index, IFLA_MTU, mtu);

    return r < 0 ? fail(nl, fault, r, "cannot set the device's MTU to %u", mtu) : 0;
}

int nst_netlink_set_queue(struct nst_netlink *nl, int index, uint32_t packets,
                          struct nst_fault *fault)
{
    int r = set_link_u32(nl, index, IFLA_TXQLEN, packets);

    return r < 0 ? fail(nl, fault, r, "cannot set the device's queue to %u packets", packets) : 0;
}

/* ---- Addresses --------------------------------------------------------------------------- */

/* The last address of a network that has a broadcast address (RFC 3021: not with 31 bits). */
static uint32_t broadcast_of(const struct nst_prefix *prefix)
{
    return nst_load32(prefix->addr.bytes) | UINT32_MAX >> prefix->len;
}

static int change_addr(struct nst_netlink *nl, uint16_t type, uint16_t flags, int index,
                       const struct nst_prefix *prefix)
{
    struct request request;
    struct ifaddrmsg *msg = begin(&request, type, (uint16_t)(NLM_F_ACK | flags), sizeof *msg);
    uint8_t broadcast[4];

    msg->ifa_family = AF_INET;
    msg->ifa_prefixlen = prefix->len;
    msg->ifa_scope = RT_SCOPE_UNIVERSE;
    msg->ifa_index = (unsigned)index;
    mnl_attr_put(request.header, IFA_LOCAL, 4, prefix->addr.bytes);
    mnl_attr_put(request.header, IFA_ADDRESS, 4, prefix->addr.bytes);
    if (type == RTM_NEWADDR && prefix->len < 31) {
        nst_store32(broadcast, broadcast_of(prefix));
        mnl_attr_put(request.header, IFA_BROADCAST, 4, broadcast);
    }
    return transact(nl, &request, NULL, NULL);
}

int nst_netlink_add_addr(struct nst_netlink *nl, int index, const struct nst_prefix *prefix,
                         struct nst_fault *fault)
{
    char text[NST_PREFIX_TEXT];
    int r = change_addr(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, prefix);

    return r < 0 ? fail(nl, fault, r, "cannot give the device the host's address %s",
                        nst_prefix_print(text, prefix))
                 : 0;
}

int nst_netlink_del_addr(struct nst_netlink *nl, int index, const struct nst_prefix *prefix,
                         struct nst_fault *fault)
{
    char text[NST_PREFIX_TEXT];
    int r = change_addr(nl, RTM_DELADDR, 0, index, prefix);

    return r < 0 ? fail(nl, fault, r, "cannot take the host's address %s from the device",
                        nst_prefix_print(text, prefix))
                 : 0;
}

struct addr_list {
    struct nst_netlink_addr *out;
    size_t max, count;
};

static int take_addr_attr(const struct nlattr *attr, void *ctx)
{
    struct nst_addr *addr = ctx;

    /* The peer of a point-to-point link is IFA_ADDRESS; our own end is IFA_LOCAL. */
    if (mnl_attr_get_type(attr) == IFA_LOCAL && mnl_attr_get_payload_len(attr) == 4) {
        addr->family = NST_AF_INET;
        memcpy(addr->bytes, mnl_attr_get_payload(attr), 4);
    }
    return MNL_CB_OK;
}

static int take_addr(const struct nlmsghdr *header, void *ctx)
{
    struct addr_list *list = ctx;
    const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(header);
    struct nst_netlink_addr entry = {0};

    if (mnl_nlmsg_get_payload_len(header) < sizeof *msg || msg->ifa_prefixlen > 32) {
        errno = EBADMSG;
        return MNL_CB_ERROR;
    }
    entry.index = (int)msg->ifa_index;
    entry.prefix.len = msg->ifa_prefixlen;
    mnl_attr_parse(header, sizeof *msg, take_addr_attr, &entry.prefix.addr);
    if (list->count < list->max)
        list->out[list->count] = entry;
    list->count++;
    return MNL_CB_OK;
}

int nst_netlink_list_addrs(struct nst_netlink *nl, struct nst_netlink_addr *out, size_t max,
                           struct nst_fault *fault)
{
    struct addr_list list;
    int r, tries = 0;

    do {
        struct request request;
        struct ifaddrmsg *msg = begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof *msg);
        msg->ifa_family = AF_INET;
        list = (struct addr_list){out, max, 0};
        r = transact(nl, &request, take_addr, &list);
    } while (r == -EINTR && ++tries < DUMP_TRIES); /* the list changed meanwhile */
    if (r < 0)
        return fail(nl, fault, r, "cannot list the host's addresses");
    for (size_t i = 0; i < nst_min(list.count, max); i++)
        if_indextoname((unsigned)out[i].index, out[i].name);
    return (int)list.count;
}

/* ---- Watching ---------------------------------------------------------------------------- */

struct nst_netlink_watch {
    struct mnl_socket *socket;
    int index;
    bool lost;                          /* notices were dropped since we asked */
    struct nst_netlink_event now, told; /* the link's state, and what the owner knows of it */
    _Alignas(struct nlmsghdr) char notice[ANSWER_BYTES];
};

/* Asks for the link's state; the answer is read like a notice. */
static int ask(const struct nst_netlink_watch *watch)
{
    struct request request;
    struct ifinfomsg *info = begin(&request, RTM_GETLINK, 0, sizeof *info);

    info->ifi_index = watch->index;
    mnl_attr_put_u32(request.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    ssize_t n = mnl_socket_sendto(watch->socket, request.header, request.header->nlmsg_len);
    return n < 0 ? -errno : 0;
}

int nst_netlink_watch_open(struct nst_netlink_watch **out, int index, struct nst_fault *fault)
{
    struct nst_netlink_watch *watch = calloc(1, sizeof *watch);
    int r = watch ? open_socket(&watch->socket, RTMGRP_LINK, SOCK_NONBLOCK) : -ENOMEM;

    if (r == 0) {
        watch->index = index;
        r = ask(watch);
    }
    if (r < 0) {
        nst_netlink_watch_close(watch);
        return nst_fault_system(fault, r, "cannot watch the device");
    }
    *out = watch;
    return 0;
}

void nst_netlink_watch_close(struct nst_netlink_watch *watch)
{
    if (!watch)
        return;
    if (watch->socket)
        mnl_socket_close(watch->socket);
    free(watch);
}

int nst_netlink_watch_fd(const struct nst_netlink_watch *watch)
{
    return mnl_socket_get_fd(watch->socket);
}

/* What a notice makes of the last known state. */
static int take_notice(const struct nlmsghdr *header, void *ctx)
{
    struct nst_netlink_watch *watch = ctx;
    struct nst_netlink_link link;

    if (header->nlmsg_type == RTM_NEWLINK && parse_link(header, &link)) {
        if (link.index == watch->index)
            watch->now = (struct nst_netlink_event){link.mtu, link.up, link.carrier, false};
    } else if (header->nlmsg_type == RTM_DELLINK && parse_link(header, &link)) {
        if (link.index == watch->index)
            watch->now.gone = true;
    }
    return MNL_CB_OK;
}

/* The answer to ask() when the link is gone; other errors leave the state as it is. */
static int take_refusal(const struct nlmsghdr *header, void *ctx)
{
    struct nst_netlink_watch *watch = ctx;
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

    if (mnl_nlmsg_get_payload_len(header) >= sizeof *error && error->error == -ENODEV)
        watch->now.gone = true;
    return MNL_CB_OK;
}

/* What a failure to read means: 1 to read on, 0 when there is nothing, or -errno. */
static int take_failed_read(struct nst_netlink_watch *watch, int error)
{
    if (error == EINTR)
        return 1;
    if (error == ENOBUFS) {
        watch->lost = true;
        return 1;
    }
    if (error != EAGAIN)
        return -error;
    if (!watch->lost)
        return 0;
    watch->lost = false;
    int r = ask(watch);
    return r < 0 ? r : 1;
}

/* Reads one datagram into the state: 1, 0 if there was none, or -errno. */
static int read_notice(struct nst_netlink_watch *watch)
{
    static mnl_cb_t control[NLMSG_ERROR + 1] = {[NLMSG_ERROR] = take_refusal};
    ssize_t n = mnl_socket_recvfrom(watch->socket, watch->notice, sizeof watch->notice);

    if (n < 0)
        return take_failed_read(watch, errno);
    /* Notices bear no sequence or port number of ours: 0 turns those checks off. */
    (void)mnl_cb_run2(watch->notice, (size_t)n, 0, 0, take_notice, watch, control,
                      NST_ARRAY_LEN(control));
    return 1;
}

static bool is_same(const struct nst_netlink_event *a, const struct nst_netlink_event *b)
{
    return a->mtu == b->mtu && a->up == b->up && a->carrier == b->carrier && a->gone == b->gone;
}

int nst_netlink_watch_next(struct nst_netlink_watch *watch, struct nst_netlink_event *out)
{
    int r;

    /* To the end, so that a question about lost notices doesn't wait for another notice. */
    while ((r = read_notice(watch)) > 0)
        ;
    if (r < 0)
        return r;
    if (is_same(&watch->now, &watch->told))
        return 0;
    *out = watch->told = watch->now;
    return 1;
}
