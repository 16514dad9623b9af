#include "talk.h"

#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/tcp.h"
#include "options.h"

#define PEER_ISN 1000000
#define FIRST_TS 1000 /* so that 0 can stand for none */

static struct talk *find(struct talks *talks, const struct packet *p, bool ours)
{
    const struct nst_addr *us = &p->fields[ours ? FIELD_IP_SRC : FIELD_IP_DST].addr;
    const struct nst_addr *peer = &p->fields[ours ? FIELD_IP_DST : FIELD_IP_SRC].addr;
    uint16_t our_port = (uint16_t)packet_number(p, ours ? FIELD_TCP_SPORT : FIELD_TCP_DPORT, 0);
    uint16_t peer_port = (uint16_t)packet_number(p, ours ? FIELD_TCP_DPORT : FIELD_TCP_SPORT, 0);
    struct talk *t = talks->all;

    for (; t < talks->all + talks->n; t++)
        if (t->our_port == our_port && t->peer_port == peer_port && nst_addr_eq(&t->us, us) &&
            nst_addr_eq(&t->peer, peer))
            return t;
    if (talks->n < TALKS_MAX)
        talks->n++;
    else
        t--; /* the last has to make way */
    *t = (struct talk){*us, *peer, our_port, peer_port, .peer_isn = PEER_ISN};
    return t;
}

static bool has_flag(const struct packet *p, enum nst_tcp_flag flag)
{
    return packet_number(p, FIELD_TCP_FLAGS, 0) & flag;
}

/* Behind the segment's last byte, in whatever numbers it has. */
static uint32_t end_of(const struct packet *p)
{
    return (uint32_t)(packet_number(p, FIELD_TCP_SEQ, 0) + packet_number(p, FIELD_LEN, 0) +
                      has_flag(p, NST_TCP_SYN) + has_flag(p, NST_TCP_FIN));
}

static void advance(uint32_t *next, uint32_t end)
{
    if ((int32_t)(end - *next) > 0)
        *next = end;
}

/* What is added to the numbers of a segment. */
struct shift {
    uint32_t seq, ack, val, ecr;
    const struct talk *fill; /* where the script has a `.`: from this conversation ... */
    uint32_t now_ms;         /* ... and clock */
};

static uint32_t shift_option(void *ctx, enum options_number which, uint32_t old, bool any)
{
    const struct shift *by = ctx;

    switch (which) {
    case OPTIONS_SACK:
        return old + by->ack;
    case OPTIONS_TS_VAL:
        return (any && by->fill ? by->now_ms : old) + by->val;
    case OPTIONS_TS_ECR:
        if (old == 0 && !any)
            return 0; /* none */
        return (any && by->fill ? by->fill->ts_last : old) + by->ecr;
    }
    return old;
}

static void shift_number(struct packet *p, enum packet_field field, uint32_t by)
{
    if (p->fields[field].set)
        packet_set(p, field, (uint32_t)(p->fields[field].number + by));
}

static void shift(struct packet *p, struct shift *by)
{
    shift_number(p, FIELD_TCP_SEQ, by->seq);
    if (has_flag(p, NST_TCP_ACK))
        shift_number(p, FIELD_TCP_ACK, by->ack);
    options_map(&p->fields[FIELD_TCP_OPTIONS], shift_option, by);
}

/* Where in the stream the payload begins, from relative numbers. */
static void place_payload(struct packet *p)
{
    p->payload_at = (uint32_t)packet_number(p, FIELD_TCP_SEQ, 0) + has_flag(p, NST_TCP_SYN) - 1;
}

static void default_number(struct packet *p, enum packet_field field, uint64_t number)
{
    if (!p->fields[field].set)
        packet_set(p, field, number);
}

/* What a script quotes was ours. */
static void quoted(struct talks *talks, struct packet *p)
{
    const struct talk *t = find(talks, p, true);

    place_payload(p);
    shift(p, &(struct shift){.seq = t->our_isn, .ack = t->peer_isn, .val = t->ts_first});
}

void talk_incoming(struct talks *talks, struct packet *p, uint32_t now_ms)
{
    if (p->quote)
        talk_incoming(talks, p->quote, now_ms);
    if (packet_number(p, FIELD_IP_PROTO, 0) != NST_IPPROTO_TCP)
        return;
    if (p->is_quote) {
        quoted(talks, p);
        return;
    }
    struct talk *t = find(talks, p, false);
    if (p->fields[FIELD_TCP_ISN].set) {
        t->peer_isn = (uint32_t)p->fields[FIELD_TCP_ISN].number;
        t->isn_known = t->ts_known = false;
        t->peer_next = t->our_next = 0;
    }
    default_number(p, FIELD_TCP_SEQ, t->peer_next);
    if (has_flag(p, NST_TCP_ACK))
        default_number(p, FIELD_TCP_ACK, t->our_next);
    advance(&t->peer_next, end_of(p));
    place_payload(p);
    shift(p, &(struct shift){.seq = t->peer_isn,
                             .ack = t->our_isn,
                             .ecr = t->ts_first,
                             .fill = t,
                             .now_ms = now_ms});
}

/* Keeps our first and last timestamp, changing nothing. */
static uint32_t note_ts(void *ctx, enum options_number which, uint32_t old, bool any)
{
    struct talk *t = ctx;
    (void)any;

    if (which != OPTIONS_TS_VAL)
        return old;
    if (!t->ts_known)
        t->ts_first = old - FIRST_TS;
    t->ts_known = true;
    t->ts_last = old - t->ts_first;
    return old;
}

void talk_outgoing(struct talks *talks, const struct packet *p, bool anew)
{
    struct talk *t = find(talks, p, true);
    struct packet_value options = p->fields[FIELD_TCP_OPTIONS];

    if (has_flag(p, NST_TCP_SYN) && (anew || !t->isn_known)) {
        t->our_isn = (uint32_t)packet_number(p, FIELD_TCP_SEQ, 0);
        t->isn_known = true;
        t->ts_known = false;
        t->our_next = 0;
    }
    options_map(&options, note_ts, t);
    advance(&t->our_next, end_of(p) - t->our_isn);
}

void talk_relative(struct talks *talks, struct packet *p)
{
    const struct talk *t = find(talks, p, true);

    shift(p,
          &(struct shift){.seq = 0 - t->our_isn, .ack = 0 - t->peer_isn, .val = 0 - t->ts_first});
    place_payload(p);
}

const char *talk_print(char *buf, size_t cap, const struct packet *p)
{
    char flags[16], options[200];
    const struct packet_value *o = &p->fields[FIELD_TCP_OPTIONS];
    unsigned n = 0;

#define PUT(...)      n += (unsigned)snprintf(buf + n, n < cap ? cap - n : 0, __VA_ARGS__)
#define NUMBER(field) (unsigned)packet_number(p, FIELD_##field, 0)
    PUT("tcp %u > %u %s seq %u", NUMBER(TCP_SPORT), NUMBER(TCP_DPORT),
        packet_print_flags(flags, (uint8_t)NUMBER(TCP_FLAGS)), NUMBER(TCP_SEQ));
    if (has_flag(p, NST_TCP_ACK))
        PUT(" ack %u", NUMBER(TCP_ACK));
    PUT(" win %u", NUMBER(TCP_WIN));
    if (has_flag(p, NST_TCP_URG))
        PUT(" urg %u", NUMBER(TCP_URG));
    if (o->len)
        PUT(" <%s>", options_print(options, sizeof options, o));
    if (NUMBER(LEN))
        PUT(" len %u", NUMBER(LEN));
#undef NUMBER
#undef PUT
    return buf;
}
