/* What all simulations' main() do: seeds, TAP, and how to repeat what failed. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "sim.h"

static char repeat[512];
static unsigned number;

/* An assertion or sim_fail() has ended the run: only calls that a signal handler may make. */
static void on_abort(int signal)
{
    ssize_t written = write(STDOUT_FILENO, repeat, strlen(repeat));

    (void)signal;
    _exit(written > 0 ? 1 : 2);
}

static void run_seed(const char *program, uint64_t seed, void (*run)(uint64_t seed))
{
    snprintf(repeat, sizeof repeat,
             "not ok %u - seed %" PRIu64 "\n# to repeat it: %s %" PRIu64 "\n", ++number, seed,
             program, seed);
    run(seed);
    printf("ok %u - seed %" PRIu64 "\n", number, seed);
    fflush(stdout);
}

/* NUMBER or FROM-TO; false for anything else. */
static bool run_range(const char *program, const char *text, void (*run)(uint64_t seed))
{
    char *end;
    uint64_t first = strtoull(text, &end, 10), last = first;

    if (end == text)
        return false;
    if (*end == '-') {
        text = end + 1;
        last = strtoull(text, &end, 10);
    }
    if (end == text || *end || last < first)
        return false;
    for (uint64_t seed = first; seed <= last; seed++)
        run_seed(program, seed, run);
    return true;
}

/* Ranges with blanks or commas between. */
static bool run_list(const char *program, const char *list, void (*run)(uint64_t seed))
{
    char text[512], *save = NULL;
    bool ok = true;

    snprintf(text, sizeof text, "%s", list);
    for (char *word = strtok_r(text, " ,", &save); word && ok; word = strtok_r(NULL, " ,", &save))
        ok = run_range(program, word, run);
    return ok;
}

int sim_main(int argc, char **argv, const char *seeds, void (*run)(uint64_t seed))
{
    const char *env = getenv("SEEDS");
    bool ok = true;

    signal(SIGABRT, on_abort);
    puts("TAP version 13");
    for (int i = 1; i < argc && ok; i++)
        ok = run_list(argv[0], argv[i], run);
    if (argc == 1)
        ok = run_list(argv[0], env && *env ? env : seeds, run);
    if (!ok) {
        fprintf(stderr, "usage: %s [SEED|FROM-TO]...\n", argv[0]);
        return 2;
    }
    printf("1..%u\n", number);
    return 0;
}
