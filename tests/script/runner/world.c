#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/base/timer.h"
#include "core/stack/stack.h"
#include "core/wire/arp.h"
#include "core/wire/checksum.h"
#include "core/wire/eth.h"
#include "core/wire/print.h"

#define REST (3600 * NST_SEC) /* in which all ends that closed sockets have begun */

/* ---- Life ---------------------------------------------------------------------------------- */

static bool is_starving(const struct world *w)
{
    return w->famine.begin && w->allocations >= w->famine.begin &&
           (w->famine.lasting || w->allocations == w->famine.begin);
}

static void *count_alloc(void *ctx, size_t size)
{
    struct world *w = ctx;

    w->allocations++;
    if (is_starving(w))
        return NULL;
    w->blocks++;
    return malloc(size);
}

static void count_free(void *ctx, void *ptr, size_t size)
{
    struct world *w = ctx;
    (void)size;

    w->blocks--;
    free(ptr);
}

void world_init(struct world *w, struct script *s, const struct world_famine *famine)
{
    memset(w, 0, sizeof *w);
    w->s = s;
    w->famine = *famine;
    w->start = w->now = 1000 * NST_SEC;
    w->config =
        (struct nst_config){.seed = {1}, .now = w->now, .allocator = {count_alloc, count_free, w}};
}

static void frame_fini(struct world *w)
{
    free(w->pending[0].data);
    w->npending--;
    memmove(w->pending, w->pending + 1, w->npending * sizeof *w->pending);
}

void world_fini(struct world *w)
{
    while (w->npending)
        frame_fini(w);
    nst_stack_free(w->stack);
    w->stack = NULL;
}

/* Packets come from the allocator, each of them, so that any may fail. */
static void keep_no_packets(struct nst_pool *pool)
{
    pool->pkts.max = 0;
    for (unsigned i = 0; i < NST_BUF_SIZES; i++)
        pool->bufs[i].max = 0;
}

struct nst_stack *world_stack(struct world *w)
{
    if (!w->stack && nst_stack_new(&w->stack, &w->config))
        script_fail(w->s, "there is no memory for the stack");
    if (w->famine.begin)
        keep_no_packets(&w->stack->pool);
    return w->stack;
}

void world_check(const struct world *w)
{
    if (w->stack)
        nst_stack_check(w->stack);
}

/* ---- Links --------------------------------------------------------------------------------- */

void world_link_add(struct world *w, const struct nst_link_config *config)
{
    struct world_link *link = &w->links[w->nlinks];

    if (w->nlinks == WORLD_LINKS)
        script_fail(w->s, "too many links");
    int err = nst_link_add(world_stack(w), &link->link, config);
    if (err)
        script_fail(w->s, "the link is refused: %s", script_errno_name(-err));
    memcpy(link->name, config->name, sizeof link->name);
    link->medium = config->medium;
    link->mac = config->mac;
    w->nlinks++;
}

const struct world_link *world_link(struct world *w, const char *name)
{
    const struct nst_link_config eth0 = {.name = "eth0", .mac = {{2, 0xee}}, .mtu = 1500};

    if (w->nlinks == 0)
        world_link_add(w, &eth0);
    for (unsigned i = 0; i < w->nlinks; i++)
        if (!name || strcmp(w->links[i].name, name) == 0)
            return &w->links[i];
    script_fail(w->s, "there is no link '%s'", name);
}

/* ---- The ladder ---------------------------------------------------------------------------- */

void world_log(struct world *w, const char *format, ...)
{
    unsigned long long us = (w->now - w->start) / NST_US;
    char line[600];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    script_log(w->s, "%5llu.%06llu %s", us / 1000000, us % 1000000, line);
}

static const char *frame_text(const struct world_link *link, const uint8_t *data, size_t len)
{
    static char text[400];

    return nst_frame_print(text, sizeof text, link->medium, data, len);
}

/* A segment's numbers are relative in the ladder, too. */
static const char *segment_text(struct world *w, const struct world_link *link, const uint8_t *data,
                                size_t len)
{
    static char text[400];
    struct packet p = {0};

    if (packet_dissect(&p, link->medium, data, len) ||
        packet_number(&p, FIELD_IP_PROTO, 0) != NST_IPPROTO_TCP)
        return frame_text(link, data, len);
    talk_relative(&w->talks, &p);
    return talk_print(text, sizeof text, &p);
}

static void log_text(struct world *w, char arrow, const struct world_link *link, const char *text)
{
    if (w->nlinks > 1)
        world_log(w, "%s: %c %s", link->name, arrow, text);
    else
        world_log(w, "%c %s", arrow, text);
}

/* ---- Time and output ------------------------------------------------------------------------ */

/* No lack of memory excuses that, so no line that fails may hide it. */
_Noreturn static void contradict(struct world *w, const char *what)
{
    if (!w->famine.begin)
        script_fail(w->s, "%s", what);
    fprintf(stderr, "%s\n", what);
    abort();
}

/* What the device would do. */
static void complete_checksum(const struct nst_offload *o, uint8_t *data, size_t len)
{
    uint8_t *field = data + o->csum_start + o->csum_offset;

    if (o->csum == NST_CSUM_PARTIAL)
        nst_store16(field,
                    nst_csum_finish(nst_csum_sum(data + o->csum_start, len - o->csum_start)));
}

/* Segments teach where a conversation's numbers begin. */
static void note_segment(struct world *w, const struct world_frame *f)
{
    struct packet p = {0};

    if (!packet_dissect(&p, f->link->medium, f->data, f->len) && p.fields[FIELD_TCP_FLAGS].set &&
        p.shape == SHAPE_IP)
        talk_outgoing(&w->talks, &p, false);
    log_text(w, '>', f->link, segment_text(w, f->link, f->data, f->len));
}

static void keep_frame(struct world *w, const struct world_link *link, struct nst_pkt *pkt)
{
    struct world_frame *f = &w->pending[w->npending];
    struct nst_slice slices[NST_PKT_SLICES];
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES), at = 0;

    if (w->npending == WORLD_PENDING)
        contradict(w, "the stack does not stop talking");
    *f = (struct world_frame){.time = w->now, .link = link, .len = nst_pkt_len(pkt)};
    if (!(f->data = malloc(f->len)))
        abort();
    for (size_t i = 0; i < n; at += slices[i++].len)
        memcpy(f->data + at, slices[i].base, slices[i].len);
    const struct nst_offload *offload = nst_pkt_offload(pkt);
    complete_checksum(offload, f->data, f->len);
    f->gso_ecn = offload->gso_ecn;
    f->gso_size = offload->gso ? offload->gso_size : 0;
    w->npending++;
    nst_pkt_free(pkt);
    note_segment(w, f);
}

void world_pull(struct world *w)
{
    struct nst_pkt *pkts[16];
    size_t n;

    for (unsigned i = 0; i < w->nlinks; i++) {
        do {
            n = nst_output(w->stack, w->links[i].link, pkts, NST_ARRAY_LEN(pkts), w->now);
            for (size_t k = 0; k < n; k++)
                keep_frame(w, &w->links[i], pkts[k]);
        } while (n == NST_ARRAY_LEN(pkts));
    }
}

/* Lets time pass up to `to`, or until the stack says something: then true. */
static bool run(struct world *w, nst_time to)
{
    world_link(w, NULL);
    world_pull(w);
    while (!w->npending && w->now < to) {
        nst_time due = nst_deadline(w->stack);
        if (due <= w->now)
            contradict(w, "nst_deadline() lies in the past after nst_output()");
        w->now = nst_min(due, to);
        world_pull(w);
    }
    return w->npending > 0;
}

static void fail_unexpected(struct world *w)
{
    const struct world_frame *f = &w->pending[0];

    script_fail(w->s, "no line expects what the stack sends: %s",
                segment_text(w, f->link, f->data, f->len));
}

void world_advance(struct world *w, nst_time to)
{
    if (to < w->now)
        script_fail(w->s, "time would go back");
    while (to > w->now && run(w, to)) {
        if (!w->famine.begin)
            fail_unexpected(w);
        frame_fini(w);
    }
}

/* ---- In ------------------------------------------------------------------------------------ */

static void default_mac(struct packet *p, enum packet_field field, const struct nst_mac *mac)
{
    if (!p->fields[field].set)
        packet_set_mac(p, field, mac);
}

/* The link's first address, and whether `addr` is a neighbour's, or a broadcast address. */
static bool own_network(struct world *w, const struct world_link *link, const struct nst_addr *addr,
                        struct nst_addr *ours, bool *broadcast)
{
    struct nst_addr_info infos[32];
    size_t n = nst_min(nst_addr_list(w->stack, infos, NST_ARRAY_LEN(infos)), NST_ARRAY_LEN(infos));
    bool neighbour = false;

    *broadcast = nst_addr_is_limited_broadcast(addr);
    for (size_t i = n; i-- > 0;) {
        if (infos[i].link != link->link)
            continue;
        *ours = infos[i].prefix.addr;
        neighbour |= nst_prefix_has(&infos[i].prefix, addr);
        *broadcast |= nst_addr_is_subnet_broadcast(addr, &infos[i].prefix);
    }
    return neighbour;
}

/* The station that brings packets from `src`: its own, or the gateway's of the link. */
static struct nst_mac station_for(struct world *w, const struct world_link *link,
                                  const struct nst_addr *src)
{
    struct nst_route routes[32];
    size_t n =
        nst_min(nst_route_list(w->stack, routes, NST_ARRAY_LEN(routes)), NST_ARRAY_LEN(routes));
    struct nst_addr ours = {0};
    bool broadcast;

    if (!own_network(w, link, src, &ours, &broadcast))
        for (size_t i = 0; i < n; i++)
            if (routes[i].link == link->link && nst_addr_is_set(&routes[i].gateway))
                return script_station_of(&routes[i].gateway);
    return script_station_of(src);
}

static void default_addr(struct packet *p, enum packet_field field, const struct nst_addr *addr)
{
    if (!p->fields[field].set)
        packet_set_addr(p, field, addr);
}

/* A packet without an IP header in the script is between us and the first neighbour. */
static void complete_addrs(struct world *w, const struct world_link *link, struct packet *p,
                           bool ours)
{
    struct nst_addr us = {0};
    bool broadcast;

    if (p->quote)
        complete_addrs(w, link, p->quote, !ours);
    if (p->fields[FIELD_IP_SRC].set)
        return;
    own_network(w, link, &w->peer, &us, &broadcast);
    if (!nst_addr_is_set(&us) || !nst_addr_is_set(&w->peer))
        script_fail(w->s, "between whom? say ip, or have an address and a neighbour");
    default_addr(p, FIELD_IP_SRC, ours ? &us : &w->peer);
    default_addr(p, FIELD_IP_DST, ours ? &w->peer : &us);
}

static void complete_ip(struct world *w, const struct world_link *link, struct packet *p)
{
    complete_addrs(w, link, p, false);
    const struct nst_addr *dst = &p->fields[FIELD_IP_DST].addr;
    struct nst_mac src = station_for(w, link, &p->fields[FIELD_IP_SRC].addr);
    struct nst_addr ours = {0};
    bool broadcast;

    own_network(w, link, dst, &ours, &broadcast);
    struct nst_mac to = nst_addr_is_multicast(dst) ? nst_eth_multicast(dst)
                        : broadcast                ? nst_mac_broadcast
                                                   : link->mac;
    default_mac(p, FIELD_ETH_SRC, &src);
    default_mac(p, FIELD_ETH_DST, &to);
}

/* A request goes to everybody, a reply to us and about us. */
static void complete_arp(struct world *w, const struct world_link *link, struct packet *p)
{
    bool request = p->fields[FIELD_ARP_OP].number == NST_ARP_REQUEST, broadcast;
    const struct nst_addr *spa = &p->fields[FIELD_ARP_SPA].addr;
    struct nst_mac sha = p->fields[FIELD_ETH_SRC].set ? p->fields[FIELD_ETH_SRC].mac
                                                      : script_station_of(spa);
    struct nst_addr ours = {0};

    if (nst_addr_is_any(spa) && !p->fields[FIELD_ETH_SRC].set)
        script_fail(w->s, "say who probes: eth STATION > broadcast arp probe …");
    own_network(w, link, spa, &ours, &broadcast);
    default_mac(p, FIELD_ARP_SHA, &sha);
    default_mac(p, FIELD_ETH_SRC, &p->fields[FIELD_ARP_SHA].mac);
    default_mac(p, FIELD_ETH_DST, request ? &nst_mac_broadcast : &link->mac);
    default_mac(p, FIELD_ARP_THA, request ? &(struct nst_mac){{0}} : &link->mac);
    if (!p->fields[FIELD_ARP_TPA].set)
        packet_set_addr(p, FIELD_ARP_TPA, &ours);
}

/* As a device describes UDP datagrams that it has joined; TCP segments need no description. */
static void describe_joined(const struct packet *p, struct nst_offload *o)
{
    uint16_t size = (uint16_t)packet_number(p, FIELD_GSO, 0);

    if (size)
        *o = (struct nst_offload){.csum = NST_CSUM_VALID, .gso = NST_GSO_UDP, .gso_size = size};
}

void world_inject(struct world *w, const struct world_link *link, struct packet *p)
{
    struct nst_slice slices[NST_PKT_SLICES];
    size_t at = 0;

    if (p->shape == SHAPE_ARP)
        complete_arp(w, link, p);
    else
        complete_ip(w, link, p);
    log_text(w, '<', link, w->s->text + (w->s->words[w->s->packet_at] - w->s->split));
    talk_incoming(&w->talks, p, (uint32_t)((w->now - w->start) / NST_MS));
    size_t len = packet_build(p, link->medium, w->bytes);
    struct nst_pkt *pkt = nst_pkt_alloc(w->stack, len);
    if (!pkt)
        script_fail(w->s, "nst_pkt_alloc() has no memory");
    size_t n = nst_pkt_slices(pkt, slices, NST_PKT_SLICES);
    for (size_t i = 0; i < n; at += slices[i++].len)
        memcpy(slices[i].base, w->bytes + at, slices[i].len);
    describe_joined(p, nst_pkt_offload(pkt));
    nst_input(w->stack, link->link, &pkt, 1, w->now);
}

/* ---- Out ----------------------------------------------------------------------------------- */

static void default_number(struct packet *p, enum packet_field field, uint64_t number)
{
    if (!p->fields[field].set)
        packet_set(p, field, number);
}

static void complete_segment(struct packet *p)
{
    default_number(p, FIELD_SUM_BAD, 0);
    default_number(p, FIELD_LEN, 0);
    default_number(p, FIELD_TCP_URG, 0);
    default_number(p, FIELD_GSO, 0);
}

/* What every packet of ours is, unless the line says otherwise. */
static void complete_expected(const struct world_link *link, struct packet *p)
{
    if (link->medium == NST_MEDIUM_ETHERNET)
        default_mac(p, FIELD_ETH_SRC, &link->mac);
    if (p->shape != SHAPE_IP)
        return;
    default_number(p, FIELD_IP_OFF, 0);
    default_number(p, FIELD_IP_MF, 0);
    bool fragment = p->fields[FIELD_IP_OFF].number || p->fields[FIELD_IP_MF].number;
    uint64_t proto = packet_number(p, FIELD_IP_PROTO, 0);
    if (!fragment && (proto == NST_IPPROTO_ICMP || proto == NST_IPPROTO_UDP))
        default_number(p, FIELD_SUM_BAD, 0);
    if (!fragment && proto == NST_IPPROTO_UDP) {
        default_number(p, FIELD_UDP_NO_SUM, 0);
        default_number(p, FIELD_GSO, 0);
    }
    if (!fragment && proto == NST_IPPROTO_TCP)
        complete_segment(p);
}

static void expect_frame(struct world *w, const struct world_link *link,
                         const struct packet *expected, const struct world_frame *f)
{
    struct packet actual = {0};
    char why[512];

    if (f->link != link)
        script_fail(w->s, "it goes out on %s instead of %s", f->link->name, link->name);
    const char *text = segment_text(w, link, f->data, f->len);
    const char *malformed = packet_dissect(&actual, link->medium, f->data, f->len);
    if (malformed)
        script_fail(w->s, "what the stack sends is %s: %s", malformed, text);
    if (actual.shape == SHAPE_IP && actual.fields[FIELD_TCP_FLAGS].set) {
        talk_outgoing(&w->talks, &actual, expected->fields[FIELD_TCP_ISN].set);
        talk_relative(&w->talks, &actual);
        bool cwr = actual.fields[FIELD_TCP_FLAGS].number & NST_TCP_CWR;
        if (f->gso_size && f->gso_ecn != cwr)
            script_fail(w->s, "the device is told something else about CWR: %s", text);
    }
    packet_set(&actual, FIELD_GSO, f->gso_size);
    if (!packet_check(expected, &actual, why, sizeof why))
        script_fail(w->s, "the stack sends %s\n#     which differs: %s", text, why);
}

void world_expect(struct world *w, const struct world_link *link, struct packet *p, nst_time from,
                  nst_time to)
{
    if (to < w->now)
        script_fail(w->s, "time would go back");
    if (!run(w, to))
        script_fail(w->s, "the stack says nothing");
    const struct world_frame *f = &w->pending[0];
    if (f->time < from || f->time > to)
        script_fail(w->s, "it comes at %.9g s", (double)(f->time - w->start) / (double)NST_SEC);
    if (p->shape == SHAPE_IP)
        complete_addrs(w, link, p, true);
    complete_expected(link, p);
    expect_frame(w, link, p, f);
    frame_fini(w);
}

/* ---- The end ------------------------------------------------------------------------------- */

static void end_stack(struct world *w)
{
    nst_stack_free(w->stack);
    w->stack = NULL;
    if (w->blocks)
        script_fail(w->s, "%zu blocks of memory are left over", w->blocks);
}

void world_finish(struct world *w)
{
    world_stack(w);
    world_pull(w);
    if (w->npending)
        fail_unexpected(w);
    for (uint16_t i = 1; i < NST_DROP_COUNT; i++)
        if (nst_drops(w->stack, i) != w->drops[i])
            script_fail(w->s, "%llu drops as %s that no line expects",
                        (unsigned long long)(nst_drops(w->stack, i) - w->drops[i]),
                        nst_drop_name(i));
    end_stack(w);
}

void world_recover(struct world *w)
{
    w->famine.lasting = false;
    world_advance(w, w->now + NST_SEC);
    for (unsigned i = 0; i < w->nsocks; i++)
        (void)nst_close(w->stack, w->socks[i].sock);
    world_advance(w, w->now + REST);
    world_check(w);
    if (w->stack->tcps.nflows || w->stack->pool.used_bytes)
        script_fail(w->s, "%u connections and %zu bytes of packets never end",
                    w->stack->tcps.nflows, w->stack->pool.used_bytes);
    end_stack(w);
}
