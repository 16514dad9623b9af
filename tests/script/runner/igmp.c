/* IGMP messages, from words to bytes and back to words. A message is one field of a packet: its
 * bytes without the checksum. */
#include "igmp.h"

#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

enum { QUERY = 0x11, V1_REPORT = 0x12, V2_REPORT = 0x16, LEAVE = 0x17, V3_REPORT = 0x22 };

static const char *const names[] = {
    [QUERY] = "query", [V1_REPORT] = "v1-report", [V2_REPORT] = "v2-report",
    [LEAVE] = "leave", [V3_REPORT] = "v3-report",
};
static const char *const records[] = {NULL, "is-in", "is-ex", "to-in", "to-ex", "allow", "block"};

/* ---- From words ---------------------------------------------------------------------------- */

/* The number after `word`, or `otherwise` without it. */
static uint8_t read_option(struct script *s, const char *word, uint8_t otherwise)
{
    return script_accept(s, word) ? (uint8_t)script_number(s) : otherwise;
}

static void put_addr(struct packet_value *v, const struct nst_addr *addr)
{
    memcpy(v->bytes + v->len, addr->bytes, 4);
    v->len += 4;
}

/* Addresses, as many as there are; returns how many. */
static uint16_t read_sources(struct script *s, struct packet_value *v)
{
    struct nst_addr addr;
    uint16_t n = 0;

    for (; script_peek(s) && nst_addr_parse(&addr, script_peek(s)); n++) {
        if (v->len + 4 > sizeof v->bytes)
            script_fail(s, "too many sources");
        script_word(s);
        put_addr(v, &addr);
    }
    return n;
}

/* v1|v2|v3 [group ADDR] [max CODE] [qrv N] [interval CODE] [sources ADDR…] */
static void read_query(struct script *s, struct packet_value *v)
{
    static const char *const versions[] = {"v1", "v2", "v3"};
    unsigned version = 1 + script_choice(s, versions, NST_ARRAY_LEN(versions), "version");
    struct nst_addr group = nst_addr_v4(0, 0, 0, 0);

    if (script_accept(s, "group"))
        group = script_addr(s);
    v->bytes[1] = read_option(s, "max", version == 1 ? 0 : 100);
    put_addr(v, &group);
    if (version < 3)
        return;
    v->bytes[8] = read_option(s, "qrv", 2);
    v->bytes[9] = read_option(s, "interval", 125);
    v->len = 12;
    if (script_accept(s, "sources"))
        nst_store16(v->bytes + 10, read_sources(s, v));
}

/* RECORD GROUP [ADDR…] [and …] */
static void read_records(struct script *s, struct packet_value *v)
{
    uint16_t n = 0;

    v->len = 8;
    do {
        size_t at = v->len;
        if (at + 8 > sizeof v->bytes)
            script_fail(s, "too many records");
        v->bytes[at] = (uint8_t)script_choice(s, records, NST_ARRAY_LEN(records), "record");
        v->len += 4;
        struct nst_addr group = script_addr(s);
        put_addr(v, &group);
        nst_store16(v->bytes + at + 2, read_sources(s, v));
        n++;
    } while (script_accept(s, "and"));
    nst_store16(v->bytes + 6, n);
}

void igmp_read(struct script *s, struct packet_value *v)
{
    unsigned type = script_choice(s, names, NST_ARRAY_LEN(names), "IGMP message");

    *v = (struct packet_value){.set = true, .len = 4};
    v->bytes[0] = (uint8_t)type;
    if (type == QUERY) {
        read_query(s, v);
    } else if (type == V3_REPORT) {
        read_records(s, v);
    } else {
        struct nst_addr group = script_addr(s);
        put_addr(v, &group);
    }
}

/* ---- To words ------------------------------------------------------------------------------ */

struct text {
    char *buf;
    size_t cap, len;
};

static void put(struct text *t, const char *word)
{
    int n = snprintf(t->buf + t->len, t->cap - t->len, "%s%s", t->len ? " " : "", word);

    t->len = nst_min(t->len + (size_t)n, t->cap - 1);
}

/* The addresses that stand in `p`. */
static void put_addrs(struct text *t, const uint8_t *p, size_t n)
{
    char buf[NST_ADDR_TEXT];

    for (; n-- > 0; p += 4) {
        struct nst_addr addr = nst_addr_v4(p[0], p[1], p[2], p[3]);
        put(t, nst_addr_print(buf, &addr));
    }
}

static void print_records(struct text *t, const struct packet_value *v)
{
    for (size_t at = 8; at + 8 <= v->len;) {
        size_t n = nst_min(nst_load16(v->bytes + at + 2), (v->len - at - 8) / 4);
        uint8_t type = v->bytes[at];
        if (at > 8)
            put(t, "and");
        put(t, type < NST_ARRAY_LEN(records) && records[type] ? records[type] : "?");
        put_addrs(t, v->bytes + at + 4, 1 + n);
        at += 8 + 4 * n;
    }
}

char *igmp_print(char *buf, size_t cap, const struct packet_value *v)
{
    struct text t = {buf, cap, 0};
    uint8_t type = v->len ? v->bytes[0] : 0;

    buf[0] = '\0';
    put(&t, type < NST_ARRAY_LEN(names) && names[type] ? names[type] : "another message");
    if (type == V3_REPORT)
        print_records(&t, v);
    else if (v->len >= 8)
        put_addrs(&t, v->bytes + 4, 1);
    return buf;
}
