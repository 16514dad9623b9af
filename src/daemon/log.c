#include "daemon/log.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <time.h>

static enum nst_up_log log_level = NST_UP_LOG_INFO;
static bool log_json;

static const char *const level_names[] = {
    [NST_UP_LOG_ERROR] = "error",
    [NST_UP_LOG_WARNING] = "warning",
    [NST_UP_LOG_INFO] = "info",
    [NST_UP_LOG_DEBUG] = "debug",
};

void nst_log_init(enum nst_up_log level, bool json)
{
    log_level = level;
    log_json = json;
}

static void print_json(enum nst_up_log level, const char *text)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_t *line = json_pack("{s:f, s:s, s:s}", "time",
                             (double)now.tv_sec + (double)now.tv_nsec / 1e9, "level",
                             level_names[level], "message", text);
    if (!line)
        return;
    json_dumpf(line, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(line);
}

void nst_log(enum nst_up_log level, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (level > log_level)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    if (log_json)
        print_json(level, text);
    else
        fprintf(stderr, "netstack: %s%s%s\n", level <= NST_UP_LOG_WARNING ? level_names[level] : "",
                level <= NST_UP_LOG_WARNING ? ": " : "", text);
}
