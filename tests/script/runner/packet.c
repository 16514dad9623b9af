/* A packet's fields, from words and compared. */
#include "igmp.h"

#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/arp.h"
#include "core/wire/icmpv4.h"
#include "core/wire/tcp.h"
#include "core/wire/udp.h"
#include "options.h"

static const struct {
    enum packet_kind kind;
    const char *name;
} fields[] = {
#define PACKET_FIELD_ROW(symbol, kind, name) {KIND_##kind, name},
    PACKET_FIELDS(PACKET_FIELD_ROW)
#undef PACKET_FIELD_ROW
};

struct packet *packet_quote_new(void)
{
    static struct packet quotes[8];
    static unsigned next;
    struct packet *p = &quotes[next++ % NST_ARRAY_LEN(quotes)];

    memset(p, 0, sizeof *p);
    p->is_quote = true;
    return p;
}

void packet_set(struct packet *p, enum packet_field field, uint64_t number)
{
    p->fields[field] = (struct packet_value){.set = true, .number = number};
}

void packet_set_addr(struct packet *p, enum packet_field field, const struct nst_addr *addr)
{
    p->fields[field] = (struct packet_value){.set = true, .addr = *addr};
}

void packet_set_mac(struct packet *p, enum packet_field field, const struct nst_mac *mac)
{
    p->fields[field] = (struct packet_value){.set = true, .mac = *mac};
}

uint64_t packet_number(const struct packet *p, enum packet_field field, uint64_t otherwise)
{
    return p->fields[field].set ? p->fields[field].number : otherwise;
}

/* ---- From words ---------------------------------------------------------------------------- */

/* A word that names a field: its value follows, unless it is a flag, which carries it. */
struct word {
    const char *word;
    enum packet_field field;
    bool flag;
    uint64_t value;
};

static const struct word ip_words[] = {
    {"ttl", FIELD_IP_TTL, false, 0},
    {"tos", FIELD_IP_TOS, false, 0},
    {"id", FIELD_IP_ID, false, 0},
    {"df", FIELD_IP_DF, true, 1},
    {"no-df", FIELD_IP_DF, true, 0},
    {"mf", FIELD_IP_MF, true, 1},
    {"no-mf", FIELD_IP_MF, true, 0},
    {"options", FIELD_IP_OPTIONS, false, 0},
    {"proto", FIELD_IP_PROTO, false, 0},
    {"bad-ip-sum", FIELD_IP_SUM_BAD, true, 1},
    {"no-options", FIELD_IP_OPTIONS, true, 0},
    {"pad", FIELD_ETH_PAD, false, 0},
};

static const struct word icmp_words[] = {
    {"id", FIELD_ICMP_ID, false, 0},
    {"seq", FIELD_ICMP_SEQ, false, 0},
    {"code", FIELD_ICMP_CODE, false, 0},
    {"mtu", FIELD_ICMP_MTU, false, 0},
    {"pointer", FIELD_ICMP_POINTER, false, 0},
    {"gateway", FIELD_ICMP_GATEWAY, false, 0},
    {"quoted", FIELD_ICMP_QUOTE_LEN, false, 0},
};

static const struct word udp_words[] = {
    {"no-sum", FIELD_UDP_NO_SUM, true, 1},
    {"gso", FIELD_GSO, false, 0},
};

static const struct word tcp_words[] = {
    {"seq", FIELD_TCP_SEQ, false, 0},   {"ack", FIELD_TCP_ACK, false, 0},
    {"win", FIELD_TCP_WIN, false, 0},   {"urg", FIELD_TCP_URG, false, 0},
    {"hlen", FIELD_TCP_HLEN, false, 0}, {"isn", FIELD_TCP_ISN, false, 0},
    {"anew", FIELD_TCP_ISN, true, 0},   {"gso", FIELD_GSO, false, 0},
};

static const struct word payload_words[] = {
    {"len", FIELD_LEN, false, 0},
    {"fill", FIELD_FILL, false, 0},
    {"bad-sum", FIELD_SUM_BAD, true, 1},
};

static void read_value(struct script *s, struct packet *p, const struct word *w)
{
    struct packet_value *v = &p->fields[w->field];

    v->set = true;
    if (w->flag)
        v->number = w->value;
    else if (fields[w->field].kind == KIND_NUMBER)
        v->number = script_number(s);
    else if (fields[w->field].kind == KIND_ADDR)
        v->addr = script_addr(s);
    else
        v->len = script_hex(s, v->bytes, NST_IP_OPTIONS_MAX);
    if (packet_number(p, FIELD_LEN, 0) > PACKET_LEN_MAX)
        script_fail(s, "a payload of at most %d bytes", PACKET_LEN_MAX);
}

/* Takes words for as long as the table knows them. */
static bool read_words(struct script *s, struct packet *p, const struct word *table, size_t n)
{
    bool any = false;

    for (size_t i = 0; i < n && script_peek(s); i++) {
        if (!script_accept(s, table[i].word))
            continue;
        read_value(s, p, &table[i]);
        any = true;
        i = SIZE_MAX; /* from the beginning again */
    }
    return any;
}

#define READ_WORDS(s, p, table) read_words(s, p, table, NST_ARRAY_LEN(table))

static const char *const icmp_names[] = {
    [NST_ICMPV4_ECHO_REPLY] = "reply",
    [NST_ICMPV4_UNREACHABLE] = "unreachable",
    [NST_ICMPV4_SOURCE_QUENCH] = "quench",
    [NST_ICMPV4_REDIRECT] = "redirect",
    [NST_ICMPV4_ECHO] = "echo",
    [NST_ICMPV4_TIME_EXCEEDED] = "exceeded",
    [NST_ICMPV4_PARAMETER] = "parameter",
    [NST_ICMPV4_TIMESTAMP] = "timestamp",
    [NST_ICMPV4_MASK] = "mask",
};

static const char *const unreachable_names[] = {"net",  "host",    "protocol",
                                                "port", "too-big", "source-route"};
static const char *const exceeded_names[] = {"transit", "reassembly"};

static void read_ip(struct script *s, struct packet *p);
static void read_between_us(struct script *s, struct packet *p);

static void read_icmp(struct script *s, struct packet *p)
{
    packet_set(p, FIELD_IP_PROTO, NST_IPPROTO_ICMP);
    if (script_accept(s, "type"))
        packet_set(p, FIELD_ICMP_TYPE, script_number(s));
    else
        packet_set(p, FIELD_ICMP_TYPE,
                   script_choice(s, icmp_names, NST_ARRAY_LEN(icmp_names), "ICMP message"));
    if (packet_number(p, FIELD_ICMP_TYPE, 0) == NST_ICMPV4_UNREACHABLE)
        packet_set(p, FIELD_ICMP_CODE,
                   script_choice(s, unreachable_names, NST_ARRAY_LEN(unreachable_names), "code"));
    if (packet_number(p, FIELD_ICMP_TYPE, 0) == NST_ICMPV4_TIME_EXCEEDED)
        packet_set(p, FIELD_ICMP_CODE,
                   script_choice(s, exceeded_names, NST_ARRAY_LEN(exceeded_names), "code"));
    while (READ_WORDS(s, p, icmp_words) || READ_WORDS(s, p, payload_words))
        continue;
    if (!script_accept(s, "quoting"))
        return;
    p->quote = packet_quote_new();
    if (script_accept(s, "ip"))
        read_ip(s, p->quote);
    else
        read_between_us(s, p->quote);
}

/* A datagram may be a part of what was sent, or came, as one. */
static void read_place(struct script *s, struct packet *p)
{
    if (script_accept(s, "at"))
        p->payload_at = script_number(s);
}

static void read_udp(struct script *s, struct packet *p)
{
    packet_set(p, FIELD_IP_PROTO, NST_IPPROTO_UDP);
    packet_set(p, FIELD_UDP_SPORT, script_number(s));
    script_expect(s, ">");
    packet_set(p, FIELD_UDP_DPORT, script_number(s));
    while (READ_WORDS(s, p, udp_words) || READ_WORDS(s, p, payload_words))
        continue;
    read_place(s, p);
}

/* Unless the line says otherwise, it travels as RFC 3376 §4 wants it. */
static void read_igmp(struct script *s, struct packet *p)
{
    static const struct packet_value router_alert = {
        .set = true, .len = 4, .bytes = {NST_IPV4_OPT_RA, 4}};
    struct packet_value *options = &p->fields[FIELD_IP_OPTIONS];

    packet_set(p, FIELD_IP_PROTO, NST_IPPROTO_IGMP);
    packet_set(p, FIELD_IP_TTL, packet_number(p, FIELD_IP_TTL, 1));
    packet_set(p, FIELD_IP_TOS, packet_number(p, FIELD_IP_TOS, 0xc0));
    if (!options->set)
        *options = router_alert;
    igmp_read(s, &p->fields[FIELD_IGMP]);
    READ_WORDS(s, p, payload_words);
}

static const char flag_letters[] = "FSRP.UEW"; /* from the lowest bit */

const char *packet_print_flags(char *buf, uint8_t flags)
{
    static const char order[] = "SFPRUEW.";
    unsigned n = 0;

    for (const char *c = order; *c; c++)
        if (flags & 1u << (strchr(flag_letters, *c) - flag_letters))
            buf[n++] = *c;
    if (n == 0)
        buf[n++] = '-';
    buf[n] = '\0';
    return buf;
}

/* Letters of flags in any order, or `-` */
static void read_flags(struct script *s, struct packet *p)
{
    const char *word = script_peek(s), *letter;
    uint8_t flags = 0;

    if (!word || (strcmp(word, "-") != 0 && strspn(word, flag_letters) != strlen(word)))
        return;
    for (const char *c = script_word(s); *c && *c != '-'; c++) {
        letter = strchr(flag_letters, *c);
        flags |= (uint8_t)(1u << (letter - flag_letters));
    }
    packet_set(p, FIELD_TCP_FLAGS, flags);
}

/* SPORT > DPORT FLAGS [seq N] [ack N] ... [<OPTIONS>] */
static void read_tcp(struct script *s, struct packet *p)
{
    packet_set(p, FIELD_IP_PROTO, NST_IPPROTO_TCP);
    packet_set(p, FIELD_TCP_SPORT, script_number(s));
    script_expect(s, ">");
    packet_set(p, FIELD_TCP_DPORT, script_number(s));
    read_flags(s, p);
    if (!p->fields[FIELD_TCP_FLAGS].set && !p->is_quote)
        script_fail(s, "flags belong behind the ports");
    for (;;) {
        if (options_begin(s))
            options_read(s, &p->fields[FIELD_TCP_OPTIONS]);
        else if (!READ_WORDS(s, p, tcp_words) && !READ_WORDS(s, p, payload_words))
            break;
    }
}

static void read_transport(struct script *s, struct packet *p)
{
    if (script_accept(s, "icmp"))
        read_icmp(s, p);
    else if (script_accept(s, "igmp"))
        read_igmp(s, p);
    else if (script_accept(s, "udp"))
        read_udp(s, p);
    else if (script_accept(s, "tcp"))
        read_tcp(s, p);
    else {
        READ_WORDS(s, p, payload_words);
        read_place(s, p);
    }
}

/* Bytes that stand in front of the payload in a datagram of this protocol. */
static size_t transport_hlen(const struct packet *p)
{
    switch (packet_number(p, FIELD_IP_PROTO, 0)) {
    case NST_IPPROTO_ICMP:
        return NST_ICMPV4_HLEN;
    case NST_IPPROTO_UDP:
        return NST_UDP_HLEN;
    case NST_IPPROTO_TCP:
        return NST_TCP_HLEN + p->fields[FIELD_TCP_OPTIONS].len;
    default:
        return 0;
    }
}

/* `frag OFF+LEN`: the piece of the datagram described that this packet bears. */
static void read_fragment(struct script *s, struct packet *p)
{
    const char *word = script_word(s);
    unsigned off, len;
    char behind;

    if (sscanf(word, "%u+%u%c", &off, &len, &behind) != 2)
        script_fail(s, "'%s' is not OFFSET+LENGTH", word);
    packet_set(p, FIELD_IP_OFF, off);
    packet_set(p, FIELD_IP_LEN, len);
}

/* A fragment of a datagram of known length tells whether it is the last. */
static void derive_mf(struct packet *p)
{
    uint64_t end = packet_number(p, FIELD_IP_OFF, 0) + packet_number(p, FIELD_IP_LEN, 0);

    if (p->fields[FIELD_IP_MF].set || !p->fields[FIELD_IP_LEN].set || !p->fields[FIELD_LEN].set)
        return;
    packet_set(p, FIELD_IP_MF, end < transport_hlen(p) + packet_number(p, FIELD_LEN, 0));
}

/* A packet without an IP header in the script: the world knows between whom. */
static void read_between_us(struct script *s, struct packet *p)
{
    p->shape = SHAPE_IP;
    read_transport(s, p);
}

static void read_ip(struct script *s, struct packet *p)
{
    struct nst_addr src = script_addr(s);

    p->shape = SHAPE_IP;
    packet_set_addr(p, FIELD_IP_SRC, &src);
    script_expect(s, ">");
    struct nst_addr dst = script_addr(s);
    packet_set_addr(p, FIELD_IP_DST, &dst);
    for (;;) {
        if (script_accept(s, "frag"))
            read_fragment(s, p);
        else if (!READ_WORDS(s, p, ip_words))
            break;
    }
    read_transport(s, p);
    derive_mf(p);
}

static void read_arp_addrs(struct packet *p, const struct nst_addr *spa, const struct nst_addr *tpa)
{
    packet_set_addr(p, FIELD_ARP_SPA, spa);
    packet_set_addr(p, FIELD_ARP_TPA, tpa);
}

/* who-has TPA tell SPA | probe TPA | announce SPA | reply SPA is-at SHA [to TPA] */
static void read_arp(struct script *s, struct packet *p, const struct nst_mac *us)
{
    static const char *const forms[] = {"who-has", "probe", "announce", "reply"};
    const struct nst_addr nobody = nst_addr_v4(0, 0, 0, 0);
    unsigned form = script_choice(s, forms, NST_ARRAY_LEN(forms), "ARP packet");
    struct nst_addr first = script_addr(s), second;
    struct nst_mac mac;

    p->shape = SHAPE_ARP;
    packet_set(p, FIELD_ARP_OP, form == 3 ? NST_ARP_REPLY : NST_ARP_REQUEST);
    switch (form) {
    case 0:
        script_expect(s, "tell");
        second = script_addr(s);
        read_arp_addrs(p, &second, &first);
        break;
    case 1:
        read_arp_addrs(p, &nobody, &first);
        break;
    case 2:
        read_arp_addrs(p, &first, &first);
        break;
    default:
        packet_set_addr(p, FIELD_ARP_SPA, &first);
        script_expect(s, "is-at");
        mac = script_station(s, us);
        packet_set_mac(p, FIELD_ARP_SHA, &mac);
        if (script_accept(s, "to")) {
            second = script_addr(s);
            packet_set_addr(p, FIELD_ARP_TPA, &second);
        }
    }
    if (script_accept(s, "sha")) {
        mac = script_station(s, us);
        packet_set_mac(p, FIELD_ARP_SHA, &mac);
    }
}

static void read_station(struct script *s, struct packet *p, enum packet_field field,
                         const struct nst_mac *us)
{
    struct nst_mac mac;

    if (script_accept(s, "*"))
        return;
    mac = script_station(s, us);
    packet_set_mac(p, field, &mac);
}

void packet_read(struct script *s, struct packet *p, const struct nst_mac *us)
{
    if (script_accept(s, "eth")) {
        read_station(s, p, FIELD_ETH_SRC, us);
        script_expect(s, ">");
        read_station(s, p, FIELD_ETH_DST, us);
    }
    if (script_accept(s, "arp")) {
        read_arp(s, p, us);
    } else if (script_accept(s, "ip")) {
        read_ip(s, p);
    } else {
        read_between_us(s, p);
        if (!p->fields[FIELD_IP_PROTO].set)
            script_fail(s, "'%s' begins no packet", script_peek(s) ? script_peek(s) : "");
    }
}

void packet_read_message(struct script *s, struct packet *p)
{
    p->shape = SHAPE_TRANSPORT;
    read_transport(s, p);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static const char *value_print(char *buf, size_t cap, enum packet_kind kind,
                               const struct packet_value *v)
{
    char text[NST_ADDR_TEXT];
    size_t n = 0;

    switch (kind) {
    case KIND_NUMBER:
        snprintf(buf, cap, "%llu", (unsigned long long)v->number);
        break;
    case KIND_ADDR:
        snprintf(buf, cap, "%s", nst_addr_print(text, &v->addr));
        break;
    case KIND_MAC:
        snprintf(buf, cap, "%s", nst_mac_print(text, &v->mac));
        break;
    case KIND_BYTES:
        buf[0] = '\0';
        for (size_t i = 0; i < v->len && n + 3 < cap; i++)
            n += (size_t)snprintf(buf + n, cap - n, "%02x", v->bytes[i]);
        break;
    case KIND_IGMP:
        return igmp_print(buf, cap, v);
    case KIND_FLAGS:
        return packet_print_flags(buf, (uint8_t)v->number);
    case KIND_OPTIONS:
        return options_print(buf, cap, v);
    }
    return buf;
}

static bool options_eq(const struct packet_value *a, const struct packet_value *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (!a->any[i] && a->bytes[i] != b->bytes[i])
            return false;
    return true;
}

/* Whether `b` is what `a` says. */
static bool value_eq(enum packet_kind kind, const struct packet_value *a,
                     const struct packet_value *b)
{
    switch (kind) {
    case KIND_NUMBER:
    case KIND_FLAGS:
        return a->number == b->number;
    case KIND_ADDR:
        return nst_addr_eq(&a->addr, &b->addr);
    case KIND_MAC:
        return nst_mac_eq(&a->mac, &b->mac);
    case KIND_BYTES:
    case KIND_IGMP:
        return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
    case KIND_OPTIONS:
        return options_eq(a, b);
    }
    return false;
}

/* Whether the packet can show the field at all. */
static bool is_visible(const struct packet *actual, enum packet_field field)
{
    uint64_t off = packet_number(actual, FIELD_IP_OFF, 0);
    bool fragment = off > 0 || packet_number(actual, FIELD_IP_MF, 0);

    if (field == FIELD_FILL || field == FIELD_TCP_ISN || (field == FIELD_LEN && fragment))
        return false;
    return field <= FIELD_IP_SUM_BAD || off == 0;
}

static bool check_fields(const struct packet *expected, const struct packet *actual, char *why,
                         size_t cap)
{
    char want[200], got[200];

    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        const struct packet_value *e = &expected->fields[f], *a = &actual->fields[f];
        if (!e->set || !is_visible(actual, f))
            continue;
        if (a->set && value_eq(fields[f].kind, e, a))
            continue;
        snprintf(why, cap, "%s: %s instead of %s", fields[f].name,
                 a->set ? value_print(got, sizeof got, fields[f].kind, a) : "none",
                 value_print(want, sizeof want, fields[f].kind, e));
        return false;
    }
    return true;
}

static bool check_payload(const struct packet *expected, const struct packet *actual, char *why,
                          size_t cap)
{
    uint64_t fill = packet_number(expected, FIELD_FILL, 0);

    if (!expected->fields[FIELD_LEN].set)
        return true;
    for (size_t i = 0; i < actual->payload_len; i++) {
        size_t at = expected->payload_at + actual->payload_at + i;
        if (actual->payload[i] == packet_pattern(at, fill))
            continue;
        snprintf(why, cap, "payload: byte %zu is 0x%02x instead of 0x%02x", at, actual->payload[i],
                 packet_pattern(at, fill));
        return false;
    }
    return true;
}

static bool check_quote(const struct packet *expected, const struct packet *actual, char *why,
                        size_t cap)
{
    char inner[256];

    if (!expected->quote)
        return true;
    if (actual->quote && packet_check(expected->quote, actual->quote, inner, sizeof inner))
        return true;
    snprintf(why, cap, "in the quotation: %s", actual->quote ? inner : "nothing is quoted");
    return false;
}

bool packet_check(const struct packet *expected, const struct packet *actual, char *why, size_t cap)
{
    if (expected->shape != actual->shape) {
        snprintf(why, cap, "another protocol");
        return false;
    }
    return check_fields(expected, actual, why, cap) && check_payload(expected, actual, why, cap) &&
           check_quote(expected, actual, why, cap);
}
