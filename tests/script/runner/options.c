#include "options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/wire/tcp.h"

static const struct {
    const char *name;
    uint8_t kind, len;
} forms[] = {
    {"eol", NST_TCP_OPT_END, 1},        {"nop", NST_TCP_OPT_NOP, 1},
    {"mss", NST_TCP_OPT_MSS, 4},        {"wscale", NST_TCP_OPT_WSCALE, 3},
    {"sackOK", NST_TCP_OPT_SACK_OK, 2}, {"TS", NST_TCP_OPT_TS, 10},
    {"tfo", NST_TCP_OPT_FASTOPEN, 2},
};

/* ---- From words ---------------------------------------------------------------------------- */

bool options_begin(const struct script *s)
{
    const char *word = script_peek(s);

    return word && word[0] == '<' && word[1];
}

static void put_bytes(struct script *s, struct packet_value *v, const void *p, size_t len, bool any)
{
    if (v->len + len > sizeof v->any)
        script_fail(s, "more than %zu bytes of options", sizeof v->any);
    memcpy(v->bytes + v->len, p, len);
    memset(v->any + v->len, any, len);
    v->len += len;
}

/* A number of `len` bytes, or `.` */
static void put_number(struct script *s, struct packet_value *v, const char *text, size_t len)
{
    bool any = text && strcmp(text, ".") == 0;
    uint8_t p[4];
    char *end;

    nst_store32(p, any || !text ? 0 : (uint32_t)strtoul(text, &end, 0));
    if (!text || (!any && (end == text || *end)))
        script_fail(s, "'%s' is no number of an option", text ? text : "");
    put_bytes(s, v, p + sizeof p - len, len, any);
}

static void expect_word(struct script *s, const char *word, const char *text)
{
    if (!text || strcmp(text, word) != 0)
        script_fail(s, "'%s' belongs before '%s'", word, text ? text : "");
}

/* sack START:END ... */
static void read_sack(struct script *s, struct packet_value *v, char **save)
{
    const uint8_t head[] = {NST_TCP_OPT_SACK, 2};
    size_t at = v->len;

    put_bytes(s, v, head, sizeof head, false);
    for (char *block; (block = strtok_r(NULL, " ", save));) {
        char *colon = strchr(block, ':');
        if (!colon)
            script_fail(s, "'%s' is not START:END", block);
        *colon = '\0';
        put_number(s, v, block, 4);
        put_number(s, v, colon + 1, 4);
    }
    v->bytes[at + 1] = (uint8_t)(v->len - at);
}

/* raw HEX: the option's bytes, whatever they mean */
static void read_raw(struct script *s, struct packet_value *v, const char *hex)
{
    size_t len = hex ? strlen(hex) : 0;
    unsigned byte;

    if (len == 0 || len % 2)
        script_fail(s, "'raw' wants pairs of hex digits");
    for (; *hex; hex += 2) {
        if (sscanf(hex, "%2x", &byte) != 1)
            script_fail(s, "'%s' is not hex", hex);
        put_bytes(s, v, &(uint8_t){(uint8_t)byte}, 1, false);
    }
}

static void read_form(struct script *s, struct packet_value *v, unsigned form, char **save)
{
    const uint8_t head[] = {forms[form].kind, forms[form].len};

    put_bytes(s, v, head, forms[form].len == 1 ? 1 : 2, false);
    if (forms[form].kind == NST_TCP_OPT_TS) {
        expect_word(s, "val", strtok_r(NULL, " ", save));
        put_number(s, v, strtok_r(NULL, " ", save), 4);
        expect_word(s, "ecr", strtok_r(NULL, " ", save));
        put_number(s, v, strtok_r(NULL, " ", save), 4);
    } else if (forms[form].len > 2) {
        put_number(s, v, strtok_r(NULL, " ", save), forms[form].len - 2u);
    }
}

static void read_option(struct script *s, struct packet_value *v, char *text)
{
    char *save, *name = strtok_r(text, " ", &save);
    unsigned i = 0;

    while (name && i < NST_ARRAY_LEN(forms) && strcmp(forms[i].name, name) != 0)
        i++;
    if (name && i < NST_ARRAY_LEN(forms))
        read_form(s, v, i, &save);
    else if (name && strcmp(name, "sack") == 0)
        read_sack(s, v, &save);
    else if (name && strcmp(name, "raw") == 0)
        read_raw(s, v, strtok_r(NULL, " ", &save));
    else
        script_fail(s, "'%s' is no TCP option", name ? name : "");
}

void options_read(struct script *s, struct packet_value *out)
{
    char text[SCRIPT_LINE_MAX] = "", *save, *end;

    do {
        strcat(strcat(text, text[0] ? " " : ""), script_word(s));
    } while (!(end = strchr(text, '>')));
    if (end[1])
        script_fail(s, "what does '%s' mean here?", end + 1);
    *end = '\0';
    *out = (struct packet_value){.set = true};
    for (char *o = strtok_r(text + 1, ",", &save); o; o = strtok_r(NULL, ",", &save))
        read_option(s, out, o);
    while (out->len % 4)
        put_bytes(s, out, "", 1, false);
}

/* ---- From bytes ---------------------------------------------------------------------------- */

/* The option at `at`: its length, or 0 if it has none that makes sense. */
static size_t option_len(const struct packet_value *v, size_t at)
{
    size_t left = v->len - at;

    if (v->bytes[at] <= NST_TCP_OPT_NOP)
        return 1;
    return left >= 2 && v->bytes[at + 1] >= 2 && v->bytes[at + 1] <= left ? v->bytes[at + 1] : 0;
}

static bool is_ts(const uint8_t *p, size_t len)
{
    return p[0] == NST_TCP_OPT_TS && len == 10;
}

static bool is_sack(const uint8_t *p, size_t len)
{
    return p[0] == NST_TCP_OPT_SACK && len % 8 == 2;
}

struct text {
    char *buf;
    size_t len, cap;
};

__attribute__((format(printf, 2, 3))) static void put_text(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(t->buf + t->len, t->cap - t->len, format, args);
    va_end(args);
    t->len = nst_min(t->len + (size_t)n, t->cap - 1);
}

static void print_number(struct text *t, const struct packet_value *v, size_t at, size_t len)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++)
        n = n << 8 | v->bytes[at + i];
    if (v->any[at])
        put_text(t, ".");
    else
        put_text(t, "%u", n);
}

static void print_option(struct text *t, const struct packet_value *v, size_t at, size_t len)
{
    const uint8_t *p = v->bytes + at;
    unsigned i = 0;

    while (i < NST_ARRAY_LEN(forms) && (forms[i].kind != p[0] || forms[i].len != len))
        i++;
    if (is_ts(p, len)) {
        put_text(t, "TS val ");
        print_number(t, v, at + 2, 4);
        put_text(t, " ecr ");
        print_number(t, v, at + 6, 4);
    } else if (is_sack(p, len)) {
        put_text(t, "sack");
        for (size_t b = 2; b < len; b += 8) {
            put_text(t, " ");
            print_number(t, v, at + b, 4);
            put_text(t, ":");
            print_number(t, v, at + b + 4, 4);
        }
    } else if (i < NST_ARRAY_LEN(forms)) {
        put_text(t, "%s%s", forms[i].name, len > 2 ? " " : "");
        if (len > 2)
            print_number(t, v, at + 2, len - 2);
    } else {
        put_text(t, "raw ");
        for (size_t b = 0; b < (len ? len : v->len - at); b++)
            put_text(t, "%02x", p[b]);
    }
}

const char *options_print(char *buf, size_t cap, const struct packet_value *v)
{
    struct text t = {buf, 0, cap};
    size_t len;

    buf[0] = '\0';
    for (size_t at = 0; at < v->len; at += len) {
        len = option_len(v, at);
        put_text(&t, "%s", at ? "," : "");
        print_option(&t, v, at, len);
        if (len == 0)
            break;
    }
    return buf;
}

/* ---- A conversation's numbers ---------------------------------------------------------------- */

void options_map(struct packet_value *v,
                 uint32_t (*change)(void *ctx, enum options_number which, uint32_t old, bool any),
                 void *ctx)
{
    size_t len;

    for (size_t at = 0; at < v->len && (len = option_len(v, at)); at += len) {
        uint8_t *p = v->bytes + at;
        bool ts = is_ts(p, len);
        if (!ts && !is_sack(p, len))
            continue;
        for (size_t i = 2; i < len; i += 4) {
            enum options_number which = !ts      ? OPTIONS_SACK
                                        : i == 2 ? OPTIONS_TS_VAL
                                                 : OPTIONS_TS_ECR;
            nst_store32(p + i, change(ctx, which, nst_load32(p + i), v->any[at + i]));
        }
    }
}
