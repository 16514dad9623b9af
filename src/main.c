/* netstack: finds the command that is meant, and helps when there is none. A further command is one
 * line in COMMANDS. */
#include "cli/cli.h"
#include "daemon/up.h"
#include "run/run.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *summary;
    int (*main)(int argc, char **argv); /* argv[0] is "netstack NAME" */
};

static const char *program; /* as the user called us */

static int up(int argc, char **argv)
{
    return nst_daemon_main(argc, argv, program);
}

static const struct command COMMANDS[] = {
    {"up", "start the stack on a device", up},
    {"down", "stop the running stack", nst_cli_down},
    {"run", "run a program on the stack", nst_run_main},
    {"ping", "ping a host from the stack", nst_cli_ping},
    {"arping", "ask a neighbour by ARP", nst_cli_arping},
    {"nc", "connect standard input and output to a port", nst_cli_nc},
    {"status", "what is running", nst_cli_status},
    {"addr", "its addresses", nst_cli_addr},
    {"route", "its routes", nst_cli_route},
    {"neigh", "its neighbours", nst_cli_neigh},
    {"metrics", "what its TCP has learnt of other hosts", nst_cli_metrics},
    {"flush-metrics", "let it forget that", nst_cli_flush_metrics},
    {"stats", "its counters, and why packets were dropped", nst_cli_stats},
    {"sockets", "its sockets and connections", nst_cli_sockets},
    {"kill-socket", "reset and end one of them", nst_cli_kill_socket},
    {"capture", "show or record what crosses its links", nst_cli_capture},
    {"relay", "a cable that delays, loses and corrupts, for tests", nst_cli_relay},
};

enum {
    COMMANDS_LEN = sizeof COMMANDS / sizeof COMMANDS[0],
    WORD_MAX = 32,      /* no command is as long */
    SIMILAR_ENOUGH = 2, /* letters to change, at most, for a suggestion */
};

static void print_usage(FILE *out)
{
    fputs("Usage: netstack COMMAND [OPTION]...\n"
          "A complete TCP/IP host in one process.\n\n",
          out);
    for (size_t i = 0; i < COMMANDS_LEN; i++)
        fprintf(out, "  %-15s%s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("\n'netstack help COMMAND' says more about one; 'netstack --version' which this is.\n",
          out);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS_LEN; i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* How many letters have to be changed, added or removed to make one of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], len = strlen(b);

    if (strlen(a) > WORD_MAX || len > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[len];
}

static int unknown(const char *name)
{
    const struct command *best = &COMMANDS[0];

    for (size_t i = 1; i < COMMANDS_LEN; i++)
        if (distance(name, COMMANDS[i].name) < distance(name, best->name))
            best = &COMMANDS[i];
    if (distance(name, best->name) <= SIMILAR_ENOUGH)
        return nst_cli_fail(NST_CLI_UNUSABLE, "there is no command '%s'; did you mean '%s'?", name,
                            best->name);
    return nst_cli_fail(NST_CLI_UNUSABLE, "there is no command '%s'; see 'netstack help'", name);
}

/* Runs a command under its whole name, which is how it speaks of itself. */
static int run(const struct command *command, int argc, char **argv)
{
    char name[WORD_MAX + sizeof "netstack "];

    snprintf(name, sizeof name, "netstack %s", command->name);
    argv[0] = name;
    return command->main(argc, argv);
}

static int help(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;
    char option[] = "--help";
    char *args[] = {NULL, option, NULL};

    if (command)
        return run(command, 2, args);
    if (argc > 1)
        return unknown(argv[1]);
    print_usage(stdout);
    return NST_CLI_OK;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    program = argc > 0 ? argv[0] : "netstack";
    if (!name) {
        print_usage(stderr);
        return NST_CLI_UNUSABLE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("netstack " NST_VERSION);
        return NST_CLI_OK;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    const struct command *command = find(name);
    return command ? run(command, argc - 1, argv + 1) : unknown(name);
}
