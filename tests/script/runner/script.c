#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"

/* ---- Lines -------------------------------------------------------------------------------- */

static bool read_line(struct script *s)
{
    struct script_file *f = &s->files[s->depth];

    while (!fgets(s->text, sizeof s->text, f->file)) {
        if (s->depth == 0)
            return false;
        fclose(f->file);
        f = &s->files[--s->depth];
    }
    f->number++;
    s->text[strcspn(s->text, "\n")] = '\0';
    return true;
}

static bool open_file(struct script_file *f, const char *dir, const char *name)
{
    snprintf(f->path, sizeof f->path, "%s%s", dir, name);
    f->file = fopen(f->path, "r");
    f->number = 0;
    return f->file != NULL;
}

bool script_begin(struct script *s, const char *path)
{
    memset(s, 0, sizeof *s);
    s->path = path;
    if (!open_file(&s->files[0], path, "")) {
        snprintf(s->reason, sizeof s->reason, "cannot be read: %s", strerror(errno));
        return false;
    }
    if (!read_line(s) || strncmp(s->text, "# RFC ", 6) != 0) {
        snprintf(s->reason, sizeof s->reason, "the first line must be '# RFC n §m: what it shows'");
        return false;
    }
    strcpy(s->title, s->text + 2);
    return true;
}

void script_end(struct script *s)
{
    for (unsigned i = 0; i <= s->depth; i++)
        if (s->files[i].file)
            fclose(s->files[i].file);
    free(s->ladder);
}

void script_include(struct script *s, const char *name)
{
    const char *slash = strrchr(s->path, '/');
    size_t dir = slash ? (size_t)(slash + 1 - s->path) : 0;
    char path[1024];

    if (s->depth)
        script_fail(s, "an included file includes none");
    snprintf(path, sizeof path, "%.*s", (int)dir, s->path);
    if (!open_file(&s->files[1], path, name))
        script_fail(s, "'%s' cannot be read: %s", name, strerror(errno));
    s->depth = 1;
}

static void split(struct script *s)
{
    char *save = NULL;

    strcpy(s->split, s->text);
    s->split[strcspn(s->split, "#")] = '\0';
    s->nwords = s->at = 0;
    for (char *w = strtok_r(s->split, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
        if (s->nwords == SCRIPT_WORDS)
            script_fail(s, "too many words");
        s->words[s->nwords++] = w;
    }
}

bool script_line(struct script *s)
{
    do {
        if (!read_line(s))
            return false;
        split(s);
    } while (s->nwords == 0);
    return true;
}

void script_fail(struct script *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->reason, sizeof s->reason, format, args);
    va_end(args);
    longjmp(s->failed, 1);
}

void script_log(struct script *s, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t len = nst_min((size_t)n, sizeof line - 1);
    char *ladder = realloc(s->ladder, s->ladder_len + len + 2);
    if (!ladder)
        abort();
    memcpy(ladder + s->ladder_len, line, len);
    memcpy(ladder + s->ladder_len + len, "\n", 2);
    s->ladder = ladder;
    s->ladder_len += len + 1;
}

/* ---- Words -------------------------------------------------------------------------------- */

const char *script_peek(const struct script *s)
{
    return s->at < s->nwords ? s->words[s->at] : NULL;
}

const char *script_word(struct script *s)
{
    if (s->at == s->nwords)
        script_fail(s, "the line ends too early");
    return s->words[s->at++];
}

bool script_accept(struct script *s, const char *word)
{
    const char *next = script_peek(s);

    if (!next || strcmp(next, word) != 0)
        return false;
    s->at++;
    return true;
}

void script_expect(struct script *s, const char *word)
{
    if (!script_accept(s, word))
        script_fail(s, "'%s' belongs before '%s'", word, script_peek(s) ? script_peek(s) : "");
}

void script_expect_end(struct script *s)
{
    if (script_peek(s))
        script_fail(s, "what does '%s' mean here?", script_peek(s));
}

unsigned script_choice(struct script *s, const char *const *names, unsigned n, const char *what)
{
    const char *word = script_word(s);

    for (unsigned i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return i;
    script_fail(s, "'%s' is no %s", word, what);
}

uint64_t script_number(struct script *s)
{
    const char *word = script_word(s);
    char *end;

    errno = 0;
    uint64_t n = strtoull(word, &end, 0);
    if (end == word || *end || errno || *word == '-')
        script_fail(s, "'%s' is no number", word);
    return n;
}

struct nst_addr script_addr(struct script *s)
{
    const char *word = script_word(s);
    struct nst_addr addr;

    if (!nst_addr_parse(&addr, word))
        script_fail(s, "'%s' is no address", word);
    return addr;
}

struct nst_prefix script_prefix(struct script *s)
{
    const char *word = script_word(s);
    struct nst_prefix prefix;

    if (!nst_prefix_parse(&prefix, word))
        script_fail(s, "'%s' is no ADDR/LEN", word);
    return prefix;
}

struct nst_sockaddr script_sockaddr(struct script *s)
{
    char *word = s->at < s->nwords ? s->words[s->at] : NULL;
    struct nst_sockaddr out = {0};
    struct nst_addr whole;

    if (!word || nst_addr_parse(&whole, word) || !strrchr(word, ':')) {
        out.addr = script_addr(s);
        return out;
    }
    *strrchr(word, ':') = '\0';
    out.addr = script_addr(s);
    s->words[--s->at] = word + strlen(word) + 1;
    uint64_t port = script_number(s);
    if (port > UINT16_MAX)
        script_fail(s, "no such port");
    out.port = (uint16_t)port;
    return out;
}

struct nst_mac script_station_of(const struct nst_addr *addr)
{
    struct nst_mac mac = {{2, 0}};

    memcpy(mac.bytes + 2, addr->bytes, 4);
    return mac;
}

struct nst_mac script_station(struct script *s, const struct nst_mac *us)
{
    const char *word = script_word(s);
    struct nst_addr addr;
    struct nst_mac mac;

    if (strcmp(word, "us") == 0)
        return *us;
    if (strcmp(word, "broadcast") == 0)
        return nst_mac_broadcast;
    if (nst_addr_parse(&addr, word) && addr.family == NST_AF_INET)
        return script_station_of(&addr);
    if (!nst_mac_parse(&mac, word))
        script_fail(s, "'%s' is no station", word);
    return mac;
}

size_t script_hex(struct script *s, uint8_t *out, size_t max)
{
    const char *word = script_word(s);
    size_t n = 0;

    for (; word[2 * n]; n++) {
        unsigned byte;
        if (n == max || !word[2 * n + 1] || sscanf(word + 2 * n, "%2x", &byte) != 1)
            script_fail(s, "'%s' is not up to %zu pairs of hex digits", word, max);
        out[n] = (uint8_t)byte;
    }
    return n;
}

bool script_seconds(const char **p, nst_time *out)
{
    const char *at = *p;
    nst_time ns = 0, unit = 1000000000;

    if (*at < '0' || *at > '9')
        return false;
    while (*at >= '0' && *at <= '9')
        ns = ns * 10 + (nst_time)(*at++ - '0');
    ns *= unit;
    if (at[0] == '.' && at[1] >= '0' && at[1] <= '9')
        for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
            ns += (nst_time)(*at - '0') * (unit /= 10);
    *p = at;
    *out = ns;
    return true;
}

/* ---- Names of errors ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    int err;
} errors[] = {
    {"EACCES", EACCES},
    {"EALREADY", EALREADY},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNRESET", ECONNRESET},
    {"EINPROGRESS", EINPROGRESS},
    {"EISCONN", EISCONN},
    {"ENFILE", ENFILE},
    {"ENOMEM", ENOMEM},
    {"ENOTCONN", ENOTCONN},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EPIPE", EPIPE},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EADDRINUSE", EADDRINUSE},
    {"EADDRNOTAVAIL", EADDRNOTAVAIL},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"EAGAIN", EAGAIN},
    {"EBADF", EBADF},
    {"ECONNREFUSED", ECONNREFUSED},
    {"EDESTADDRREQ", EDESTADDRREQ},
    {"EEXIST", EEXIST},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"EINVAL", EINVAL},
    {"EMSGSIZE", EMSGSIZE},
    {"ENETUNREACH", ENETUNREACH},
    {"ENOBUFS", ENOBUFS},
    {"ENODEV", ENODEV},
    {"ENOENT", ENOENT},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"ENOSPC", ENOSPC},
    {"EPROTO", EPROTO},
    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
};

int script_errno(const char *name)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(errors); i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].err;
    return -1;
}

const char *script_errno_name(int err)
{
    for (size_t i = 0; i < NST_ARRAY_LEN(errors); i++)
        if (errors[i].err == err)
            return errors[i].name;
    return "?";
}
