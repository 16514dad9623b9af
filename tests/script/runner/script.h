/* A script as text: its lines, the words of the line in hand, and the ladder of what has happened
 * so far, which a failure prints.
 *
 * All that reads words fails the script when the next word is something else: the functions return
 * only with what they promise. Failing is a jump back to script_begin()'s caller. */
#ifndef NST_SCRIPT_SCRIPT_H
#define NST_SCRIPT_SCRIPT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>

#include "netstack/netstack.h"

#define SCRIPT_LINE_MAX 512
#define SCRIPT_WORDS    96

/* A file being read. */
struct script_file {
    FILE *file;
    char path[1024];
    unsigned number; /* of the line in hand, from 1 */
};

struct script {
    const char *path;
    struct script_file files[2]; /* the script, and what it includes just now */
    unsigned depth;              /* which of them is being read */
    char text[SCRIPT_LINE_MAX];  /* the line as written, without its end */
    char split[SCRIPT_LINE_MAX];
    char *words[SCRIPT_WORDS];
    unsigned nwords, at;
    unsigned packet_at;          /* where the line's packet begins */
    char title[SCRIPT_LINE_MAX]; /* of the first line */
    char *ladder;                /* lines, each with its newline */
    size_t ladder_len;
    jmp_buf failed;
    char reason[2048];
};

/* Opens the file and reads its title; false, with a reason, if it has none. */
bool script_begin(struct script *s, const char *path);
void script_end(struct script *s);

/* Goes to the next line that has words; false at the end. */
bool script_line(struct script *s);

/* Goes on with the lines of another file, in the same directory, and then comes back. */
void script_include(struct script *s, const char *name);

/* Ends the script: `reason` says why. */
_Noreturn void script_fail(struct script *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds a line to the ladder. */
void script_log(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next word, or NULL behind the last; and the same, taken. */
const char *script_peek(const struct script *s);
const char *script_word(struct script *s);

/* Takes the next word if it is `word`. */
bool script_accept(struct script *s, const char *word);
void script_expect(struct script *s, const char *word);

/* Fails unless all words were taken. */
void script_expect_end(struct script *s);

/* The place of the next word in `names` (NULL entries are skipped). `what` is for the failure. */
unsigned script_choice(struct script *s, const char *const *names, unsigned n, const char *what);

uint64_t script_number(struct script *s);
struct nst_addr script_addr(struct script *s);
struct nst_prefix script_prefix(struct script *s);

/* ADDR or ADDR:PORT. */
struct nst_sockaddr script_sockaddr(struct script *s);

/* Six hex pairs, `broadcast`, `us` (the MAC address given), or an IPv4 address, which stands for
 * the station that bears it: 02:00 and its four bytes. */
struct nst_mac script_station(struct script *s, const struct nst_mac *us);
struct nst_mac script_station_of(const struct nst_addr *addr);

/* Pairs of hex digits, at most `max` bytes; returns how many. */
size_t script_hex(struct script *s, uint8_t *out, size_t max);

/* Seconds with up to nine decimals, from `p`, which moves behind them; false for something else. */
bool script_seconds(const char **p, nst_time *out);

/* The errno value of a name such as EAGAIN, and back; -1 and "?" for an unknown one. */
int script_errno(const char *name);
const char *script_errno_name(int err);

#endif
