/* What the commands share: options, complaints, waiting for the daemon or a signal, text that is
 * safe to print.
 *
 * Exit codes: 0 it worked; 1 it didn't (no answer, the daemon ended or refused); 2 it could not be
 * tried (wrong usage, no daemon). */
#ifndef NST_CLI_CLI_H
#define NST_CLI_CLI_H

#include "ipc/client.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

enum nst_cli_exit {
    NST_CLI_OK = 0,
    NST_CLI_FAILED = 1,
    NST_CLI_UNUSABLE = 2,
};

/* The commands. argv[0] is the whole name, as in "netstack ping". */
int nst_cli_ping(int argc, char **argv);
int nst_cli_arping(int argc, char **argv);
int nst_cli_status(int argc, char **argv);
int nst_cli_addr(int argc, char **argv);
int nst_cli_route(int argc, char **argv);
int nst_cli_neigh(int argc, char **argv);
int nst_cli_metrics(int argc, char **argv);
int nst_cli_flush_metrics(int argc, char **argv);
int nst_cli_stats(int argc, char **argv);
int nst_cli_sockets(int argc, char **argv);
int nst_cli_kill_socket(int argc, char **argv);
int nst_cli_capture(int argc, char **argv);
int nst_cli_nc(int argc, char **argv);
int nst_cli_down(int argc, char **argv);
int nst_cli_relay(int argc, char **argv);

/* ---- Options ---- */

/* Long options that several commands have. NST_CLI_NAME_OPTION belongs into each command's list. */
enum nst_cli_option {
    NST_CLI_OPT_NAME = 256,
    NST_CLI_OPT_JSON,
};
/* clang-format off */
#define NST_CLI_NAME_OPTION {"name", required_argument, NULL, NST_CLI_OPT_NAME}, \
                            {"help", no_argument, NULL, 'h'}
#define NST_CLI_JSON_OPTION {"json", no_argument, NULL, NST_CLI_OPT_JSON}
#define NST_CLI_LAST_OPTION {NULL, 0, NULL, 0}
/* clang-format on */

/* What a command understands, and what it says about itself. */
struct nst_cli_usage {
    const char *text;   /* for --help */
    const char *shorts; /* begins with ':', which lets a missing value be told from other faults */
    const struct option *longs;
};

/* As getopt_long(), except that it answers --help and wrong options itself, by ending the process.
 */
int nst_cli_getopt(int argc, char **argv, const struct nst_cli_usage *usage);

/* Ends the process over wrong usage: prints the sentence and where help is. */
__attribute__((format(printf, 2, 3), noreturn)) void nst_cli_misused(char **argv,
                                                                     const char *format, ...);

/* Behind the options must stand one argument, which is `what`, or with NULL none; else misused.
 * Returns it. */
const char *nst_cli_operand(int argc, char **argv, const char *what);

/* An option's number from `min` to `max`; else misused. `seconds` may have a fraction, and come
 * back in nanoseconds. */
uint64_t nst_cli_number(char **argv, const char *text, uint64_t min, uint64_t max);
uint64_t nst_cli_seconds(char **argv, const char *text);

/* ---- Complaints and text ---- */

/* Prints "netstack: sentence" on stderr, returns `status`. */
__attribute__((format(printf, 2, 3))) int nst_cli_fail(int status, const char *format, ...);

/* Prints text that came from somewhere else: what is not printable ASCII becomes '?', so that
 * nothing can play with the terminal. */
void nst_cli_put(FILE *out, const char *text);

/* An object's member that is a string; "" when it is not there or no string. It belongs to
 * `object`.
 */
const char *nst_cli_member(const json_t *object, const char *key);

/* ---- The daemon ---- */

/* Connects to the instance (NULL: the default one). NULL after a complaint. */
struct nst_ipc_client *nst_cli_connect(const char *name);

/* Calls `op` with no arguments. NULL after a complaint. */
json_t *nst_cli_ask(struct nst_ipc_client *client, const char *op);

/* ---- Waiting ---- */

/* From now on SIGINT and SIGTERM ask the command to stop and SIGQUIT to report, and arrive only
 * inside nst_cli_wait(). */
void nst_cli_catch_signals(void);

/* Whether a stop was asked for. */
bool nst_cli_stopped(void);

/* Whether a report was asked for since the last call. */
bool nst_cli_report_wanted(void);

/* Waits until `fd` is readable, `until` (CLOCK_MONOTONIC, ns; UINT64_MAX: for ever) has come, or a
 * signal has arrived. */
void nst_cli_wait(int fd, uint64_t until);

#endif
