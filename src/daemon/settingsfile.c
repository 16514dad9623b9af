/* The configuration file: lines of KEY=VALUE under [Section] headings, as systemd writes them.
 *
 * inih takes the lines apart; what it is lenient about is caught before it sees them. It gets its
 * lines from read_line(), which knows the number of the line in hand, refuses lines that would not
 * fit (inih would cut them in two) and takes off leading blanks (inih would take an indented line
 * for the continuation of the one before). A section that occurs twice describes two things, but
 * inih tells only names; so read_line() counts headings. The first fault ends the reading. */
#include "daemon/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

struct file {
    struct nst_settings *settings;
    struct nst_fault *fault;
    FILE *stream;
    int line;         /* the line in hand, from 1 */
    int heading;      /* headings seen, this line included */
    int open_heading; /* the one whose section has begun */
    int heading_line; /* where it stood, or rather its first key */
    int error;        /* 0, or what `fault` tells about */
};

__attribute__((format(printf, 3, 4))) static int fail(struct file *f, int line, const char *format,
                                                      ...);

static int fail(struct file *f, int line, const char *format, ...)
{
    char text[384];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->error = nst_fault_set(f->fault, -EINVAL, "%s:%d: %s", f->settings->file, line, text);
    return 0; /* what inih takes for a refusal */
}

/* inih's ini_reader: one line into buf, or NULL at the end. */
static char *read_line(char *buf, int size, void *ctx)
{
    struct file *f = ctx;

    if (f->error || !fgets(buf, size, f->stream))
        return NULL;
    f->line++;
    if (!strchr(buf, '\n') && !feof(f->stream)) {
        fail(f, f->line, "the line is longer than %d bytes or has a NUL byte in it", size - 2);
        return NULL;
    }
    size_t blanks = strspn(buf, " \t");
    memmove(buf, buf + blanks, strlen(buf + blanks) + 1);
    if (buf[0] == '[')
        f->heading++;
    return buf;
}

static void end_section(struct file *f)
{
    const char *why = nst_settings_end(f->settings);

    if (why && !f->error)
        fail(f, f->heading_line, "%s", why);
}

/* Before a section's first key. */
static void begin_section(struct file *f, const char *section)
{
    if (f->heading == f->open_heading)
        return;
    end_section(f);
    f->open_heading = f->heading;
    f->heading_line = f->line;
    const char *accepted = nst_settings_begin(f->settings, section);
    if (accepted && !f->error)
        fail(f, f->line, "[%s]: expected %s", section, accepted);
}

/* The row of a key, or NULL; tells whether the section has any. */
static const struct nst_setting *find_key(const char *section, const char *key, bool *known)
{
    *known = false;
    for (size_t i = 0; i < nst_settings_count; i++) {
        const struct nst_setting *row = &nst_settings_table[i];
        if (!row->section || strcmp(row->section, section) != 0)
            continue;
        *known = true;
        if (strcmp(row->key, key) == 0)
            return row;
    }
    return NULL;
}

/* inih's ini_handler: 1, or 0 after a fault. */
static int take_pair(void *ctx, const char *section, const char *key, const char *value)
{
    struct file *f = ctx;
    bool known_section;
    const struct nst_setting *row = find_key(section, key, &known_section);

    if (f->error)
        return 0;
    if (!*section)
        return fail(f, f->line, "%s= stands before the first [Section]", key);
    if (!known_section)
        return fail(f, f->line,
                    "unknown section [%s]: expected [Match], [Link], [Network], [Address], "
                    "[Route], [User] or [Netstack]",
                    section);
    if (!row)
        return fail(f, f->line, "unknown key %s= in [%s]", key, section);
    begin_section(f, section);
    if (f->error)
        return 0;
    const char *accepted = row->set(f->settings, value);
    if (accepted)
        return fail(f, f->line, "%s=%s: expected %s", key, value, accepted);
    return 1;
}

static void read_all(struct file *f)
{
    int bad_line = ini_parse_stream(read_line, f, take_pair, f);

    if (ferror(f->stream))
        f->error = nst_fault_system(f->fault, -EIO, "cannot read %s", f->settings->file);
    else if (bad_line > 0 && (!f->error || bad_line < f->line))
        fail(f, bad_line, "expected KEY=VALUE or [Section]");
    end_section(f);
}

int nst_settings_read(struct nst_settings *settings, struct nst_fault *fault)
{
    struct file f = {.settings = settings, .fault = fault, .open_heading = -1};

    f.stream = fopen(settings->file, "re");
    if (!f.stream)
        return nst_fault_set(fault, -errno, "cannot read %s: %s", settings->file, strerror(errno));
    read_all(&f);
    fclose(f.stream);
    return f.error;
}
