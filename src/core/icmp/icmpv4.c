#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/icmp/icmp.h"
#include "core/wire/checksum.h"

#define ERROR_LEN_MAX 576 /* RFC 1812 §4.3.2.3 */
#define QUOTE_MIN     8   /* bytes of the quoted packet behind its header (RFC 792) */

void nst_icmp_init(struct nst_icmp *icmp, struct nst_ip *ip, const struct nst_limits *limits,
                   uint32_t flags)
{
    *icmp = (struct nst_icmp){.env = ip->env,
                              .ip = ip,
                              .key = nst_prng_key(ip->env->seed, "icmp limits"),
                              .follow_redirects = flags & NST_STACK_REDIRECTS,
                              .answer_broadcasts = flags & NST_STACK_BROADCAST_ECHO,
                              .per_sec = limits->icmp_per_sec,
                              .burst = limits->icmp_burst};
    icmp->all.tokens = icmp->burst;
    for (unsigned i = 0; i < NST_ICMP_BUCKETS; i++)
        icmp->each[i].tokens = icmp->burst;
}

/* ---- In ---------------------------------------------------------------------------------- */

int nst_icmp_errno(uint8_t type, uint8_t code)
{
    static const int unreachable[] = {
        ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED, EMSGSIZE,     EOPNOTSUPP,
        ENETUNREACH,  EHOSTDOWN,    ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
        EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH,
    };

    if (type == NST_ICMPV4_UNREACHABLE)
        return code < NST_ARRAY_LEN(unreachable) ? unreachable[code] : EHOSTUNREACH;
    if (type == NST_ICMPV4_TIME_EXCEEDED)
        return EHOSTUNREACH;
    return type == NST_ICMPV4_PARAMETER ? EPROTO : 0;
}

/* Reads the packet that an error quotes (1122-169). Only one that this host can have sent counts:
 * from the address that the error came to, and not about a later fragment. */
static enum nst_drop read_quote(const struct nst_pkt *pkt, size_t off, struct nst_icmp_verdict *v)
{
    const uint8_t *p = nst_pkt_head(pkt) + off;
    size_t len = nst_pkt_head_len(pkt) - off;
    struct nst_ipv4 ip;

    if (nst_ipv4_parse_quote(&ip, p, len) || len < nst_ipv4_hlen(&ip) + QUOTE_MIN)
        return NST_DROP_icmp_short;
    if (!nst_addr_eq(&ip.src, &pkt->ip.dst) || ip.frag_off != 0)
        return NST_DROP_icmp_quote;
    v->quoted = (struct nst_pkt_ip){
        .src = ip.src, .dst = ip.dst, .proto = ip.proto, .ttl = ip.ttl, .tos = ip.tos};
    v->quote = (uint16_t)(off + nst_ipv4_hlen(&ip));
    return NST_DROP_NONE;
}

/* Unreachable, time exceeded and parameter problem go up (1122-64, 1122-74, 1122-76). */
static void input_error(struct nst_icmp *icmp, const struct nst_pkt *pkt,
                        const struct nst_icmpv4 *msg, struct nst_icmp_verdict *v)
{
    v->kind = NST_ICMP_ERROR;
    v->drop = read_quote(pkt, (size_t)pkt->ip.hlen + NST_ICMPV4_HLEN, v);
    if (v->drop)
        return;
    NST_COUNT(icmp->env, icmp_errors_in);
    v->error = (struct nst_sock_error){.err = nst_icmp_errno(msg->type, msg->code),
                                       .icmp = true,
                                       .type = msg->type,
                                       .code = msg->code,
                                       .offender = pkt->ip.src};
    if (msg->type == NST_ICMPV4_UNREACHABLE && msg->code == NST_ICMPV4_FRAG_NEEDED)
        v->error.info = msg->mtu;
}

/* For hosts and networks alike (1122-69). */
static void input_redirect(struct nst_icmp *icmp, struct nst_iface *iface,
                           const struct nst_pkt *pkt, const struct nst_icmpv4 *msg,
                           struct nst_icmp_verdict *v)
{
    v->kind = NST_ICMP_DONE;
    v->drop = NST_DROP_icmp_redirect;
    if (!icmp->follow_redirects || msg->code > 3)
        return;
    v->drop = read_quote(pkt, (size_t)pkt->ip.hlen + NST_ICMPV4_HLEN, v);
    if (!v->drop)
        v->drop = nst_route_redirect(&icmp->ip->routes, iface, &pkt->ip.src, &v->quoted.dst,
                                     &msg->gateway);
}

struct nst_icmp_verdict nst_icmp_input(struct nst_icmp *icmp, struct nst_iface *iface,
                                       const struct nst_pkt *pkt)
{
    struct nst_icmp_verdict v = {.drop = NST_DROP_NONE};
    size_t off = pkt->ip.hlen;
    struct nst_icmpv4 msg;

    NST_COUNT(icmp->env, icmp_in);
    v.drop = nst_icmpv4_parse(&msg, nst_pkt_head(pkt) + off, nst_pkt_head_len(pkt) - off);
    if (v.drop)
        return v;
    if (!nst_pkt_checksum_ok(pkt, off, pkt->len - off, 0)) {
        v.drop = NST_DROP_icmp_checksum;
        return v;
    }
    /* 1122-80, 1122-81 */
    if (pkt->ip.dst_group && !(msg.type == NST_ICMPV4_ECHO && icmp->answer_broadcasts)) {
        v.drop = NST_DROP_icmp_broadcast;
        return v;
    }
    switch (msg.type) {
    case NST_ICMPV4_ECHO:
        v.kind = NST_ICMP_REQUEST;
        break;
    case NST_ICMPV4_ECHO_REPLY: /* 1122-84 */
        v.kind = NST_ICMP_REPLY;
        v.id = msg.echo.id;
        break;
    case NST_ICMPV4_UNREACHABLE:
    case NST_ICMPV4_TIME_EXCEEDED:
    case NST_ICMPV4_PARAMETER:
        input_error(icmp, pkt, &msg, &v);
        break;
    case NST_ICMPV4_REDIRECT:
        input_redirect(icmp, iface, pkt, &msg, &v);
        break;
    default: /* source quench (RFC 6633, MUST-55, 5927-3), masks and information (RFC 6918), what
                nobody knows (1122-52) */
        v.drop = NST_DROP_icmp_type;
        break;
    }
    return v;
}

/* ---- Out --------------------------------------------------------------------------------- */

/* 1122-78, from the address that was asked (1122-82, 1122-138), with its data (1122-83). */
void nst_icmp_reply_take(struct nst_icmp *icmp, struct nst_pkt *pkt)
{
    struct nst_addr from = pkt->ip.dst_group ? (struct nst_addr){0} : pkt->ip.dst;

    if (nst_pkt_own_head(pkt) != 0) {
        nst_pkt_drop(pkt, NST_DROP_no_memory);
        return;
    }
    nst_pkt_pull(pkt, pkt->ip.hlen);
    uint8_t *p = nst_pkt_head(pkt);
    uint16_t check = nst_csum_update(nst_load16(p + 2), NST_ICMPV4_ECHO << 8, 0);
    /* A reply of nothing but zeros has the sum +0, whose complement is the one that an update
     * cannot tell from the other zero. */
    nst_store16(p + 2, check ? check : 0xffff);
    p[0] = NST_ICMPV4_ECHO_REPLY;
    /* Options are not echoed: a source route would lead the reply to a third party. */
    pkt->ip = (struct nst_pkt_ip){
        .src = from, .dst = pkt->ip.src, .proto = NST_IPPROTO_ICMP, .tos = pkt->ip.tos};
    pkt->offload = (struct nst_offload){0};
    pkt->frag_off = 0;
    pkt->id = 0;
    NST_COUNT(icmp->env, icmp_echo_replied);
    nst_ip_output_take(icmp->ip, pkt);
}

static bool is_icmp_error(const struct nst_pkt *pkt)
{
    const uint8_t *type = nst_pkt_head(pkt) + pkt->ip.hlen;

    return pkt->ip.proto == NST_IPPROTO_ICMP &&
           (pkt->len <= pkt->ip.hlen || nst_icmpv4_is_error(*type));
}

/* RFC 1812 §4.3.2.7; 1122-57, 1122-58, 1122-59, 1122-60, 1122-61. */
static bool may_cause_error(const struct nst_icmp *icmp, const struct nst_pkt *about)
{
    const struct nst_addr *src = &about->ip.src;

    if (about->l2_group || about->ip.dst_group || about->frag_off != 0 || is_icmp_error(about))
        return false;
    return about->looped || (nst_addr_is_host(src) && !nst_ip_is_group(icmp->ip, src));
}

/* Fills the bucket up to now: whole tokens only, the rest of the time stays for later. */
static void refill(struct nst_bucket *b, nst_time now, uint32_t per_sec, uint32_t burst)
{
    nst_time per_token = NST_SEC / per_sec, earned = (now - b->refilled) / per_token;

    if (earned >= burst - nst_min(b->tokens, burst)) {
        b->tokens = burst;
        b->refilled = now;
        return;
    }
    b->tokens += (uint32_t)earned;
    b->refilled += earned * per_token;
}

static bool spend(struct nst_bucket *b, uint32_t cost)
{
    if (b->tokens < cost)
        return false;
    b->tokens -= cost;
    return true;
}

static bool within_limits(struct nst_icmp *icmp, const struct nst_addr *to)
{
    uint64_t hash = nst_siphash(&icmp->key, to, sizeof *to);
    struct nst_bucket *one = &icmp->each[hash % NST_ICMP_BUCKETS];
    nst_time now = icmp->env->now;

    /* One destination may have half of what all have. */
    refill(one, now, (icmp->per_sec + 1) / 2, (icmp->burst + 1) / 2);
    if (!spend(one, 1))
        return false;
    refill(&icmp->all, now, icmp->per_sec, icmp->burst);
    return spend(&icmp->all, 1 + (nst_prng_below(&icmp->env->prng, 4) == 0));
}

/* The message: header, then as much of the packet as fits (RFC 1812 §4.3.2.3; 1122-53, 1122-54). */
static struct nst_pkt *error_new(const struct nst_pkt *about, const struct nst_icmpv4 *msg)
{
    size_t quote = nst_min(about->len, ERROR_LEN_MAX - NST_IPV4_HLEN - NST_ICMPV4_HLEN);
    struct nst_pkt *pkt = nst_pkt_new(about->pool, NST_PKT_HEADROOM, NST_ICMPV4_HLEN + quote);

    if (!pkt)
        return NULL;
    uint8_t *p = nst_pkt_head(pkt);
    nst_icmpv4_emit(msg, p);
    nst_pkt_read(about, 0, p + NST_ICMPV4_HLEN, quote);
    nst_store16(p + 2, nst_csum_finish(nst_csum_sum(p, pkt->len)));
    return pkt;
}

/* Sent with a TOS of 0 (1122-56). */
void nst_icmp_error(struct nst_icmp *icmp, const struct nst_pkt *about, enum nst_icmpv4_type type,
                    uint8_t code, uint8_t pointer)
{
    struct nst_icmpv4 msg = {.type = (uint8_t)type, .code = code};
    struct nst_pkt *pkt;

    if (type == NST_ICMPV4_PARAMETER)
        msg.pointer = pointer;
    if (!may_cause_error(icmp, about)) {
        NST_COUNT(icmp->env, icmp_errors_forbidden);
        return;
    }
    if (!within_limits(icmp, &about->ip.src) || !(pkt = error_new(about, &msg))) {
        NST_COUNT(icmp->env, icmp_errors_limited);
        return;
    }
    pkt->ip =
        (struct nst_pkt_ip){.src = about->ip.dst, .dst = about->ip.src, .proto = NST_IPPROTO_ICMP};
    NST_COUNT(icmp->env, icmp_errors_sent);
    nst_ip_output_take(icmp->ip, pkt);
}
