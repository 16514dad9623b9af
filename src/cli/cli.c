#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Options ---- */

/* Says what getopt didn't like, in our own words, since one line is enough for it. */
__attribute__((noreturn)) static void refuse_option(char **argv, bool lacks_value)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;

    if (lacks_value)
        nst_cli_misused(argv, "%s needs a value", word);
    if (is_long && optopt != 0) /* it is known, then */
        nst_cli_misused(argv, "%.*s takes no value", (int)strcspn(word, "="), word);
    if (is_long)
        nst_cli_misused(argv, "unknown option %s", word);
    nst_cli_misused(argv, "unknown option -%c", optopt);
}

int nst_cli_getopt(int argc, char **argv, const struct nst_cli_usage *usage)
{
    opterr = 0;
    int c = getopt_long(argc, argv, usage->shorts, usage->longs, NULL);

    if (c == 'h') {
        fputs(usage->text, stdout);
        exit(fflush(stdout) == 0 ? NST_CLI_OK : NST_CLI_FAILED);
    }
    if (c == '?' || c == ':')
        refuse_option(argv, c == ':');
    return c;
}

void nst_cli_misused(char **argv, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s: ", argv[0]);
    nst_cli_put(stderr, text);
    fprintf(stderr, "; see '%s --help'\n", argv[0]);
    exit(NST_CLI_UNUSABLE);
}

const char *nst_cli_operand(int argc, char **argv, const char *what)
{
    const char *operand = argv[optind];

    if (what && !operand)
        nst_cli_misused(argv, "%s is missing", what);
    if (argc - optind > (what ? 1 : 0))
        nst_cli_misused(argv, "unexpected argument '%s'", argv[argc - 1]);
    return operand;
}

uint64_t nst_cli_number(char **argv, const char *text, uint64_t min, uint64_t max)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end)
        nst_cli_misused(argv, "'%s' is not a number", text);
    if (errno || value < min || value > max)
        nst_cli_misused(argv, "%s is out of range: %llu to %llu", text, (unsigned long long)min,
                        (unsigned long long)max);
    return value;
}

uint64_t nst_cli_seconds(char **argv, const char *text)
{
    static const double max = 1e9; /* some thirty years */
    char *end;
    double value = strtod(text, &end);

    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end)
        nst_cli_misused(argv, "'%s' is not a number of seconds", text);
    if (value > max)
        nst_cli_misused(argv, "%s seconds are too long", text);
    return (uint64_t)(value * 1e9 + 0.5);
}

/* ---- Complaints and text ---- */

void nst_cli_put(FILE *out, const char *text)
{
    for (; *text; text++)
        putc(*text >= ' ' && *text <= '~' ? *text : '?', out);
}

int nst_cli_fail(int status, const char *format, ...)
{
    char text[NST_IPC_WHY + 64];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    fputs("netstack: ", stderr);
    nst_cli_put(stderr, text);
    fputc('\n', stderr);
    return status;
}

const char *nst_cli_member(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* ---- The daemon ---- */

struct nst_ipc_client *nst_cli_connect(const char *name)
{
    struct nst_ipc_client *client = NULL;
    char why[NST_IPC_WHY];

    if (nst_ipc_client_open(&client, nst_ipc_name(name), why) < 0)
        nst_cli_fail(NST_CLI_UNUSABLE, "%s", why);
    return client;
}

json_t *nst_cli_ask(struct nst_ipc_client *client, const char *op)
{
    json_t *result = NULL;

    if (nst_ipc_client_call_take(client, json_pack("{s:s}", "op", op), &result) < 0)
        nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(client));
    return result;
}

/* ---- Waiting ---- */

static volatile sig_atomic_t stop_asked, report_asked;
static sigset_t outside_mask; /* of the process before nst_cli_catch_signals() */

static void on_signal(int signo)
{
    if (signo == SIGQUIT)
        report_asked = 1;
    else
        stop_asked = 1;
}

void nst_cli_catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;

    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaddset(&blocked, signals[i]);
        sigaction(signals[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, &outside_mask);
}

bool nst_cli_stopped(void)
{
    return stop_asked;
}

bool nst_cli_report_wanted(void)
{
    bool wanted = report_asked;

    report_asked = 0;
    return wanted;
}

void nst_cli_wait(int fd, uint64_t until)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    uint64_t now = nst_ipc_clock();
    uint64_t left = until > now ? until - now : 0;
    struct timespec ts = {(time_t)(left / 1000000000), (long)(left % 1000000000)};

    ppoll(&pfd, 1, until == UINT64_MAX ? NULL : &ts, &outside_mask);
}
