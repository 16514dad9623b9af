#include "core/icmp/igmp.h"

#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/igmp.h"

/* RFC 3376 §8, RFC 2236 §8. */
#define ROBUSTNESS          2
#define QUERY_INTERVAL      (125 * NST_SEC)
#define UNSOLICITED_V3      NST_SEC
#define UNSOLICITED_V2      (10 * NST_SEC)
#define V1_MAX_RESP         (10 * NST_SEC)
#define MAX_RESP_RESOLUTION (100 * NST_MS)

#define TOS_CONTROL    0xc0 /* internetwork control, RFC 3376 §4 */
#define OPTIONS_LEN    4
#define REPORT_LEN_MAX (1500 - NST_IPV4_HLEN - OPTIONS_LEN)

static struct nst_igmp_link *link_of(struct nst_igmp *igmp, const struct nst_iface *iface)
{
    return &igmp->links[iface->link - 1];
}

static struct nst_group *group_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_group, node);
}

/* Whether routers may be told of it. */
static bool is_reported(const struct nst_group *group)
{
    return nst_group_is_wanted(group) && !nst_group_is_all_hosts(&group->addr);
}

/* A random time in (0, max]. */
static nst_time some_delay(struct nst_igmp *igmp, nst_time max)
{
    return 1 + nst_prng_below(&igmp->env->prng, max);
}

static void arm(struct nst_igmp *igmp, struct nst_timer *timer, nst_time delay)
{
    nst_timer_arm(&igmp->env->wheel, timer, igmp->env->now + delay);
}

static bool is_due_within(const struct nst_igmp *igmp, const struct nst_timer *timer,
                          nst_time delay)
{
    return nst_timer_armed(timer) && nst_timer_at(timer) <= igmp->env->now + delay;
}

/* ---- Messages out ------------------------------------------------------------------------ */

static void send_to(struct nst_igmp *igmp, struct nst_iface *iface, const struct nst_addr *dst,
                    const uint8_t *msg, size_t len)
{
    struct nst_pkt *pkt = nst_pkt_new(iface->pool, NST_PKT_HEADROOM, len);
    struct nst_path path;

    if (!pkt)
        return;
    nst_pkt_write(pkt, 0, msg, len);
    pkt->link = iface->link;
    pkt->ip = (struct nst_pkt_ip){.dst = *dst,
                                  .proto = NST_IPPROTO_IGMP,
                                  .ttl = 1,
                                  .tos = TOS_CONTROL,
                                  .df = true,
                                  .options_len = OPTIONS_LEN,
                                  .options = {NST_IPV4_OPT_RA, OPTIONS_LEN}};
    /* Groups may be joined before there is an address (RFC 3376 §4.2.13). */
    if (nst_ip_path(igmp->ip, dst, iface->link, &path) == -EADDRNOTAVAIL)
        pkt->ip.src = nst_addr_v4(0, 0, 0, 0);
    nst_ip_output_take(igmp->ip, pkt);
}

/* A version 3 report in the making. */
struct report {
    struct nst_igmp *igmp;
    struct nst_iface *iface;
    unsigned records;
    size_t len, max;
    uint8_t bytes[REPORT_LEN_MAX];
};

static void report_begin(struct report *r, struct nst_igmp *igmp, struct nst_iface *iface)
{
    r->igmp = igmp;
    r->iface = iface;
    r->records = 0;
    r->len = NST_IGMP_HLEN;
    r->max = nst_min(REPORT_LEN_MAX, iface->config.mtu - NST_IPV4_HLEN - OPTIONS_LEN);
}

static void report_send(struct report *r)
{
    const struct nst_addr v3_routers = nst_addr_v4(224, 0, 0, 22);

    if (r->records == 0)
        return;
    nst_igmp_emit_report(r->records, r->bytes, r->len);
    send_to(r->igmp, r->iface, &v3_routers, r->bytes, r->len);
    NST_COUNT(r->igmp->env, igmp_reports_sent);
    report_begin(r, r->igmp, r->iface);
}

/* Adds a record; what does not fit goes into the next report (RFC 3376 §4.2.16), which a record
 * without sources never does in part. */
static void report_add(struct report *r, enum nst_igmp_record type, const struct nst_addr *group,
                       const struct nst_addr *sources, unsigned n)
{
    do {
        if (r->len + NST_IGMP_RECORD_HLEN + (n > 0 ? 4 : 0) > r->max)
            report_send(r);
        size_t room = (r->max - r->len - NST_IGMP_RECORD_HLEN) / 4;
        unsigned some = (unsigned)nst_min(n, room);
        r->len += nst_igmp_emit_record(type, group, sources, some, r->bytes + r->len);
        r->records++;
        sources += some;
        n -= some;
    } while (n > 0);
}

enum choice {
    WANTED, /* sources that members name */
    CAME,   /* of these, those that are news */
    WENT,   /* those that no member names any more */
};

static unsigned choose_sources(const struct nst_group *group, enum choice choice,
                               struct nst_addr out[NST_GROUP_SOURCES])
{
    unsigned n = 0;

    for (unsigned i = 0; i < group->nsources; i++) {
        const struct nst_group_source *s = &group->sources[i];
        bool wanted = s->members > 0;
        if (wanted == (choice != WENT) && (choice == WANTED || s->news > 0))
            out[n++] = s->addr;
    }
    return n;
}

/* The state of the group, as it is or as a change: RFC 5790 knows no sources in EXCLUDE. */
static void report_state(struct report *r, const struct nst_group *group, bool change)
{
    struct nst_addr sources[NST_GROUP_SOURCES];
    unsigned n = choose_sources(group, WANTED, sources);

    if (group->any > 0)
        report_add(r, change ? NST_IGMP_TO_EX : NST_IGMP_IS_EX, &group->addr, sources, 0);
    else
        report_add(r, change ? NST_IGMP_TO_IN : NST_IGMP_IS_IN, &group->addr, sources, n);
}

/* What has changed (RFC 3376 §5.1). */
static void report_news(struct report *r, const struct nst_group *group)
{
    struct nst_addr sources[NST_GROUP_SOURCES];
    unsigned n;

    if (group->news > 0) {
        report_state(r, group, true);
        return;
    }
    if ((n = choose_sources(group, CAME, sources)) > 0)
        report_add(r, NST_IGMP_ALLOW, &group->addr, sources, n);
    if ((n = choose_sources(group, WENT, sources)) > 0)
        report_add(r, NST_IGMP_BLOCK, &group->addr, sources, n);
}

/* Of the sources that were asked for, those that are heard (RFC 3376 §5.2). */
static void report_asked(struct report *r, const struct nst_group *group)
{
    struct nst_addr sources[NST_GROUP_SOURCES];
    unsigned n = 0;

    for (unsigned i = 0; i < group->nasked; i++)
        if (nst_group_hears(group->iface, &group->addr, &group->asked[i]))
            sources[n++] = group->asked[i];
    if (n > 0)
        report_add(r, NST_IGMP_IS_IN, &group->addr, sources, n);
}

/* The report of versions 1 and 2, to the group itself, so that its other members hear it. */
static void send_old_report(struct nst_igmp *igmp, struct nst_group *group, unsigned version)
{
    uint8_t msg[NST_IGMP_HLEN];

    nst_igmp_emit(version == 1 ? NST_IGMP_V1_REPORT : NST_IGMP_V2_REPORT, &group->addr, msg);
    send_to(igmp, group->iface, &group->addr, msg, sizeof msg);
    group->spoken_for = false;
    NST_COUNT(igmp->env, igmp_reports_sent);
}

static void send_leave(struct nst_igmp *igmp, const struct nst_group *group)
{
    const struct nst_addr all_routers = nst_addr_v4(224, 0, 0, 2);
    uint8_t msg[NST_IGMP_HLEN];

    nst_igmp_emit(NST_IGMP_LEAVE, &group->addr, msg);
    send_to(igmp, group->iface, &all_routers, msg, sizeof msg);
    NST_COUNT(igmp->env, igmp_leaves_sent);
}

/* ---- Which version we speak -------------------------------------------------------------- */

/* Cancels all that was still to be said; groups that nobody wants end with it. */
static void forget_pending(struct nst_igmp *igmp, struct nst_igmp_link *link)
{
    struct nst_wheel *wheel = &igmp->env->wheel;

    nst_timer_cancel(wheel, &link->response);
    nst_timer_cancel(wheel, &link->change);
    NST_LIST_FOREACH_SAFE (e, &link->iface->groups.list) {
        struct nst_group *group = group_of(e);
        nst_timer_cancel(wheel, &group->timer);
        group->nasked = 0;
        group->repeats = 0;
        nst_group_forget_news(group);
        nst_group_release(group);
    }
}

/* Sees whether older queriers have come or gone; if so, nothing is pending any more and true comes
 * back (RFC 3376 §7.2.1). Each event begins with this. */
static bool refresh_version(struct nst_igmp *igmp, struct nst_igmp_link *link)
{
    nst_time now = igmp->env->now;
    uint8_t version = now < link->v1_until ? 1 : now < link->v2_until ? 2 : 3;

    if (version == link->version)
        return false;
    link->version = version;
    forget_pending(igmp, link);
    return true;
}

/* What a query tells of its sender: its version, and how it is tuned (RFC 3376 §4.1.6, §8.12). */
static void hear_querier(struct nst_igmp *igmp, struct nst_igmp_link *link,
                         const struct nst_igmp_msg *msg)
{
    uint8_t *robustness = &link->iface->groups.robustness;
    nst_time present = *robustness * link->query_interval + msg->max_resp_ms * NST_MS;

    if (msg->version == 1)
        link->v1_until = igmp->env->now + present;
    if (msg->version == 2)
        link->v2_until = igmp->env->now + present;
    if (msg->version == 3) {
        *robustness = msg->robustness ? msg->robustness : ROBUSTNESS;
        link->query_interval = msg->interval_s ? msg->interval_s * NST_SEC : QUERY_INTERVAL;
    }
    refresh_version(igmp, link);
}

/* ---- Changes ------------------------------------------------------------------------------- */

/* A group's state may have changed, and its marks say so. May free the group. */
static void changed(struct nst_igmp *igmp, struct nst_group *group)
{
    struct nst_igmp_link *link = link_of(igmp, group->iface);
    bool wanted = nst_group_is_wanted(group), told = group->told;
    bool can_report = group->iface->up && !nst_group_is_all_hosts(&group->addr);

    group->told = wanted;
    if (can_report && link->version == 3) {
        if (group->fresh)
            arm(igmp, &link->change, 0);
        nst_group_release(group);
        return;
    }
    nst_group_forget_news(group);
    if (wanted && !told && can_report) {
        group->repeats = group->iface->groups.robustness;
        arm(igmp, &group->timer, 0);
    }
    if (!wanted && told && link->version == 2 && !group->spoken_for && can_report)
        send_leave(igmp, group);
    nst_group_release(group);
}

int nst_igmp_join(struct nst_igmp *igmp, struct nst_iface *iface, const struct nst_addr *addr,
                  const struct nst_addr *source, struct nst_group **out)
{
    refresh_version(igmp, link_of(igmp, iface));
    int err = nst_group_join(iface, addr, source, out);
    if (!err)
        changed(igmp, *out);
    return err;
}

void nst_igmp_leave(struct nst_igmp *igmp, struct nst_group *group, const struct nst_addr *source)
{
    refresh_version(igmp, link_of(igmp, group->iface));
    nst_group_leave(group, source);
    changed(igmp, group);
}

void nst_igmp_carrier(struct nst_igmp *igmp, struct nst_iface *iface)
{
    struct nst_igmp_link *link = link_of(igmp, iface);

    forget_pending(igmp, link);
    link->v1_until = link->v2_until = 0;
    link->query_interval = QUERY_INTERVAL;
    link->version = 3;
    iface->groups.robustness = ROBUSTNESS;
    NST_LIST_FOREACH_SAFE (e, &iface->groups.list) {
        struct nst_group *group = group_of(e);
        group->told = group->spoken_for = false;
        nst_group_renew(group);
        changed(igmp, group);
    }
}

/* ---- Messages in --------------------------------------------------------------------------- */

static bool has_router_alert(const struct nst_pkt_ip *ip)
{
    struct nst_ipv4 header = {.options_len = ip->options_len};

    memcpy(header.options, ip->options, sizeof header.options);
    return nst_ipv4_options_have(&header, NST_IPV4_OPT_RA);
}

static bool is_general(const struct nst_igmp_msg *msg)
{
    return msg->version == 1 || nst_addr_is_any(&msg->group);
}

/* What routers send, and nobody can send from beyond them: with a router alert, and to all hosts if
 * it is for them (RFC 3376 §9.1). */
static bool query_is_sound(const struct nst_pkt_ip *ip, const struct nst_igmp_msg *msg)
{
    if (msg->version > 1 && !has_router_alert(ip))
        return false;
    if (!is_general(msg))
        return nst_addr_is_multicast(&msg->group);
    return !ip->dst_group || nst_group_is_all_hosts(&ip->dst);
}

/* A query that allows no time at all is answered within the least that there is. */
static nst_time max_resp(const struct nst_igmp_msg *msg)
{
    return msg->max_resp_ms ? msg->max_resp_ms * NST_MS : MAX_RESP_RESOLUTION;
}

/* Notes that the answer will be about this source; false if there is no room for it. */
static bool note_source(struct nst_group *group, const struct nst_addr *source)
{
    for (unsigned i = 0; i < group->nasked; i++)
        if (nst_addr_eq(&group->asked[i], source))
            return true;
    if (group->nasked == NST_GROUP_SOURCES)
        return false;
    group->asked[group->nasked++] = *source;
    return true;
}

/* Adds the sources of a query to those that the answer will be about. More than are kept make it a
 * query about the group. */
static void note_asked(struct nst_group *group, const struct nst_pkt *pkt, unsigned n)
{
    size_t off = pkt->ip.hlen + (size_t)NST_IGMP_QUERY_HLEN;
    bool fits = n <= NST_GROUP_SOURCES;

    for (unsigned i = 0; fits && i < n; i++) {
        struct nst_addr source = {.family = NST_AF_INET};
        nst_pkt_read(pkt, off + (size_t)4 * i, source.bytes, 4);
        fits = note_source(group, &source);
    }
    if (!fits)
        group->nasked = 0;
}

/* RFC 3376 §5.2, rules 1 to 5. */
static void answer_in_v3(struct nst_igmp *igmp, struct nst_igmp_link *link,
                         const struct nst_pkt *pkt, const struct nst_igmp_msg *msg)
{
    nst_time delay = some_delay(igmp, max_resp(msg));
    struct nst_group *group;

    if (is_due_within(igmp, &link->response, delay))
        return;
    if (is_general(msg)) {
        arm(igmp, &link->response, delay);
        return;
    }
    if (!(group = nst_group_find(link->iface, &msg->group)) || !is_reported(group))
        return;
    bool pending = nst_timer_armed(&group->timer);
    bool about_group = msg->nsources == 0 || (pending && group->nasked == 0);
    if (about_group || !pending)
        group->nasked = 0;
    if (!about_group)
        note_asked(group, pkt, msg->nsources);
    if (!is_due_within(igmp, &group->timer, delay))
        arm(igmp, &group->timer, delay);
}

/* RFC 2236 §3: a time that was chosen already stands if it is soon enough. */
static void answer_in_v2(struct nst_igmp *igmp, struct nst_igmp_link *link,
                         const struct nst_igmp_msg *msg)
{
    nst_time max = link->version == 1 ? V1_MAX_RESP : max_resp(msg);

    NST_LIST_FOREACH (e, &link->iface->groups.list) {
        struct nst_group *group = group_of(e);
        bool meant = is_general(msg) || nst_addr_eq(&group->addr, &msg->group);
        if (meant && is_reported(group) && !is_due_within(igmp, &group->timer, max))
            arm(igmp, &group->timer, some_delay(igmp, max));
    }
}

static enum nst_drop input_query(struct nst_igmp *igmp, struct nst_igmp_link *link,
                                 const struct nst_pkt *pkt, const struct nst_igmp_msg *msg)
{
    if (!query_is_sound(&pkt->ip, msg))
        return NST_DROP_igmp_query;
    hear_querier(igmp, link, msg);
    if (link->version == 3)
        answer_in_v3(igmp, link, pkt, msg);
    else
        answer_in_v2(igmp, link, msg);
    return NST_DROP_NONE;
}

/* Another member has told the routers what we were about to (RFC 2236 §3); in version 3 each speaks
 * for itself. */
static enum nst_drop input_report(struct nst_igmp *igmp, struct nst_igmp_link *link,
                                  const struct nst_pkt *pkt, const struct nst_igmp_msg *msg)
{
    refresh_version(igmp, link);
    struct nst_group *group = nst_group_find(link->iface, &msg->group);
    bool neighbour = nst_iface_addr_is_onlink(link->iface, &pkt->ip.src);

    if (link->version == 3 || !group || !neighbour || !nst_addr_eq(&pkt->ip.dst, &msg->group))
        return NST_DROP_igmp;
    nst_timer_cancel(&igmp->env->wheel, &group->timer);
    group->repeats = 0;
    group->spoken_for = true;
    return NST_DROP_NONE;
}

enum nst_drop nst_igmp_input(struct nst_igmp *igmp, struct nst_iface *iface,
                             const struct nst_pkt *pkt)
{
    size_t off = pkt->ip.hlen;
    struct nst_igmp_msg msg;
    enum nst_drop drop;

    NST_COUNT(igmp->env, igmp_in);
    drop =
        nst_igmp_parse(&msg, nst_pkt_head(pkt) + off, nst_pkt_head_len(pkt) - off, pkt->len - off);
    if (drop)
        return drop;
    if (!nst_pkt_checksum_ok(pkt, off, pkt->len - off, 0))
        return NST_DROP_igmp_checksum;
    if (pkt->looped)
        return NST_DROP_igmp;
    switch (msg.type) {
    case NST_IGMP_QUERY:
        return input_query(igmp, link_of(igmp, iface), pkt, &msg);
    case NST_IGMP_V1_REPORT:
    case NST_IGMP_V2_REPORT:
        return input_report(igmp, link_of(igmp, iface), pkt, &msg);
    default: /* for routers */
        return NST_DROP_igmp;
    }
}

/* ---- Timers -------------------------------------------------------------------------------- */

void nst_igmp_response_timeout(struct nst_igmp *igmp, struct nst_igmp_link *link)
{
    struct report r;

    if (refresh_version(igmp, link))
        return;
    report_begin(&r, igmp, link->iface);
    NST_LIST_FOREACH (e, &link->iface->groups.list)
        if (is_reported(group_of(e)))
            report_state(&r, group_of(e), false);
    report_send(&r);
}

void nst_igmp_change_timeout(struct nst_igmp *igmp, struct nst_igmp_link *link)
{
    bool again = false;
    struct report r;

    if (refresh_version(igmp, link))
        return;
    report_begin(&r, igmp, link->iface);
    NST_LIST_FOREACH_SAFE (e, &link->iface->groups.list) {
        struct nst_group *group = group_of(e);
        report_news(&r, group);
        nst_group_told(group);
        again |= nst_group_has_news(group);
        nst_group_release(group);
    }
    report_send(&r);
    if (again)
        arm(igmp, &link->change, some_delay(igmp, UNSOLICITED_V3));
}

void nst_igmp_group_timeout(struct nst_igmp *igmp, struct nst_group *group)
{
    struct nst_igmp_link *link = link_of(igmp, group->iface);
    struct report r;

    if (refresh_version(igmp, link) || !is_reported(group))
        return;
    if (link->version < 3) {
        send_old_report(igmp, group, link->version);
        if (group->repeats > 0 && --group->repeats > 0)
            arm(igmp, &group->timer, some_delay(igmp, UNSOLICITED_V2));
        return;
    }
    report_begin(&r, igmp, group->iface);
    if (group->nasked > 0)
        report_asked(&r, group);
    else
        report_state(&r, group, false);
    report_send(&r);
}

/* ---- Life ---------------------------------------------------------------------------------- */

void nst_igmp_init(struct nst_igmp *igmp, struct nst_ip *ip)
{
    *igmp = (struct nst_igmp){.env = ip->env, .ip = ip};
}

void nst_igmp_link_init(struct nst_igmp *igmp, struct nst_iface *iface)
{
    struct nst_igmp_link *link = link_of(igmp, iface);

    *link = (struct nst_igmp_link){.iface = iface, .query_interval = QUERY_INTERVAL, .version = 3};
    nst_timer_init(&link->response, NST_TIMER_IGMP_RESPONSE);
    nst_timer_init(&link->change, NST_TIMER_IGMP_CHANGE);
}
