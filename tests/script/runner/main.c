/* nst-script [--wrong|--starve] FILE|DIRECTORY...: runs each script, or all of a directory, and
 * prints TAP. README.md describes the language. With --wrong each must fail.
 *
 * With --starve each runs once for each allocation that the stack makes in it, which fails, and
 * once more for each, from which on all fail. Then the stack may say and do what it likes, so a
 * line that fails is passed over; but it may not contradict itself, hold on to memory, or touch
 * what isn't its own, which the sanitizers see. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "core/base/timer.h"

/* When a line holds: a moment, or anywhere between two. */
struct when {
    nst_time from, to;
};

/* [+]SECONDS: since the script's begin, or since the line before. */
static bool read_moment(const struct world *w, const char **p, bool relative, nst_time *out)
{
    nst_time since = relative ? w->now : w->start;

    if (!script_seconds(p, out))
        return false;
    *out += since;
    return true;
}

/* [+]SECONDS[..SECONDS]; without it, now. */
static struct when read_when(struct world *w)
{
    const char *p = script_peek(w->s);
    bool relative = *p == '+';
    struct when when = {w->now, w->now};

    if (!relative && (*p < '0' || *p > '9'))
        return when;
    p += relative;
    bool ok = read_moment(w, &p, relative, &when.from);
    when.to = when.from;
    if (ok && strncmp(p, "..", 2) == 0) {
        p += 2;
        ok = read_moment(w, &p, relative, &when.to);
    }
    if (!ok || *p)
        script_fail(w->s, "'%s' is no time", script_peek(w->s));
    script_word(w->s);
    return when;
}

/* NAME: in front of an arrow; the first link otherwise. */
static const struct world_link *read_link(struct world *w)
{
    const char *word = script_peek(w->s);
    size_t len = word ? strlen(word) : 0;
    char name[NST_LINK_NAME_MAX] = "";

    if (len < 2 || len > sizeof name || word[len - 1] != ':')
        return world_link(w, NULL);
    memcpy(name, word, len - 1);
    script_word(w->s);
    return world_link(w, name);
}

static void run_packet(struct world *w, struct when when, struct packet *p)
{
    const struct world_link *link = read_link(w);
    bool out = script_accept(w->s, ">");

    if (!out)
        script_expect(w->s, "<");
    w->s->packet_at = w->s->at;
    packet_read(w->s, p, &link->mac);
    script_expect_end(w->s);
    if (out) {
        world_expect(w, link, p, when.from, when.to);
        return;
    }
    world_advance(w, when.to);
    world_inject(w, link, p);
}

static bool is_packet(const struct script *s)
{
    const char *word = script_peek(s);

    return word && (*word == '<' || *word == '>' || word[strlen(word) - 1] == ':');
}

static void run_line(struct world *w, struct packet *p)
{
    struct when when = read_when(w);

    if (is_packet(w->s)) {
        run_packet(w, when, p);
    } else {
        if (when.from != when.to)
            script_fail(w->s, "only what the stack says can come in a range of time");
        world_advance(w, when.to);
        command_run(w);
    }
    world_check(w);
}

static void run_lines(struct world *w)
{
    while (script_line(w->s)) {
        struct packet p = {0};
        run_line(w, &p);
    }
}

static unsigned number, failures;
static bool wrong; /* the scripts are, and must fail */
static bool starving;

/* Everything that a script leaves behind after a failure hangs on these. */
static struct script script;
static struct world world;

static bool run_script(const char *path)
{
    bool ok = script_begin(&script, path);

    if (ok) {
        world_init(&world, &script, &(struct world_famine){0});
        if (setjmp(script.failed) == 0) {
            run_lines(&world);
            world_finish(&world);
        } else {
            ok = false;
        }
        world_fini(&world);
    }
    return ok;
}

/* ---- Without memory ------------------------------------------------------------------------ */

/* A line that fails is passed over. */
static void run_lines_on(void)
{
    (void)setjmp(script.failed);
    run_lines(&world);
}

/* False if it doesn't end well; `*hungry` if it came to the famine. */
static bool run_famine(const char *path, const struct world_famine *famine, bool *hungry)
{
    bool ok = script_begin(&script, path);

    if (!ok)
        return false;
    world_init(&world, &script, famine);
    run_lines_on();
    if (setjmp(script.failed) == 0)
        world_recover(&world);
    else
        ok = false;
    *hungry = world.allocations >= famine->begin;
    world_fini(&world);
    return ok;
}

static bool starve_script(const char *path)
{
    bool ok = true, hungry = true;

    for (uint64_t n = 1; ok && hungry; n++)
        for (int lasting = 0; ok && hungry && lasting < 2; lasting++) {
            if (n > 1 || lasting)
                script_end(&script);
            ok = run_famine(path, &(struct world_famine){n, lasting}, &hungry);
        }
    return ok;
}

#define LADDER_SHOWN 40

/* Where the ladder's last lines begin. */
static const char *ladder_tail(void)
{
    const char *p = script.ladder + script.ladder_len;

    for (unsigned lines = 0; p > script.ladder; p--)
        if (p[-1] == '\n' && lines++ == LADDER_SHOWN)
            break;
    return p;
}

static void print_failure(void)
{
    const struct script_file *f = &script.files[script.depth];

    printf("# %s:%u: %s\n#     %s\n", f->path, f->number, script.reason, script.text);
    if (starving)
        printf("# when allocation %llu fails%s\n", (unsigned long long)world.famine.begin,
               world.famine.lasting ? ", and all that follow" : "");
    if (!script.ladder_len)
        return;
    puts("# so far:");
    for (const char *line = ladder_tail(); *line; line += strcspn(line, "\n") + 1)
        printf("# %.*s\n", (int)strcspn(line, "\n"), line);
}

/* The last two parts of the path, without the suffix. */
static const char *name_of(const char *path, char *buf, size_t cap)
{
    const char *at = strrchr(path, '/');

    while (at && at > path && at[-1] != '/')
        at--;
    snprintf(buf, cap, "%s", at ? at : path);
    char *dot = strrchr(buf, '.');
    if (dot)
        *dot = '\0';
    return buf;
}

static void report(bool passed)
{
    char name[256];

    printf("%sok %u - %s: %s\n", passed ? "" : "not ", ++number,
           name_of(script.path, name, sizeof name), script.title);
    if (!passed) {
        print_failure();
        failures++;
    }
    fflush(stdout);
}

static void test_file(const char *path)
{
    report(starving ? starve_script(path) : run_script(path) != wrong);
    script_end(&script);
}

/* An assertion has failed, which has said so itself; nothing can go on from here. */
static void on_abort(int signal)
{
    (void)signal;
    strcpy(script.reason, "the stack contradicts itself and has aborted");
    report(false);
    _exit(1);
}

static int is_ladder(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');

    return dot && strcmp(dot, ".ladder") == 0;
}

/* Every script of a directory, by name; false if the path is none. */
static bool test_directory(const char *path)
{
    struct dirent **entries;
    char file[4096];
    int n = scandir(path, &entries, is_ladder, alphasort);

    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        test_file(file);
    }
    if (n >= 0)
        free(entries);
    return n >= 0;
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_abort);
    puts("TAP version 13");
    wrong = argc > 1 && strcmp(argv[1], "--wrong") == 0;
    starving = argc > 1 && strcmp(argv[1], "--starve") == 0;
    for (int i = 1 + (wrong || starving); i < argc; i++)
        if (!test_directory(argv[i]))
            test_file(argv[i]);
    printf("1..%u\n", number);
    if (number == 0)
        fputs("usage: nst-script [--wrong|--starve] FILE|DIRECTORY...\n", stderr);
    return number == 0 ? 2 : failures ? 1 : 0;
}
