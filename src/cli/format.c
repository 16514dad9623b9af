#include "cli/format.h"

#include "core/base/bytes.h"

#include <stdio.h>

char *nst_cli_format_bytes(char buf[NST_CLI_FORMAT], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes / 1024;

    if (bytes < 1024) {
        snprintf(buf, NST_CLI_FORMAT, "%u B", (unsigned)bytes);
        return buf;
    }
    for (; value >= 1024 && unit + 1 < NST_ARRAY_LEN(units); unit++)
        value /= 1024;
    snprintf(buf, NST_CLI_FORMAT, "%.1f %s", value, units[unit]);
    return buf;
}

char *nst_cli_format_duration(char buf[NST_CLI_FORMAT], uint64_t seconds)
{
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    size_t i = 0;

    while (i + 1 < NST_ARRAY_LEN(units) && seconds < units[i].seconds)
        i++;
    int len = snprintf(buf, NST_CLI_FORMAT, "%llu %s",
                       (unsigned long long)(seconds / units[i].seconds), units[i].name);
    uint64_t rest = seconds % units[i].seconds;
    if (i + 1 < NST_ARRAY_LEN(units) && rest >= units[i + 1].seconds)
        snprintf(buf + len, NST_CLI_FORMAT - (size_t)len, " %llu %s",
                 (unsigned long long)(rest / units[i + 1].seconds), units[i + 1].name);
    return buf;
}

char *nst_cli_format_age(char buf[NST_CLI_FORMAT], uint64_t ms)
{
    if (ms >= 60000)
        return nst_cli_format_duration(buf, ms / 1000);
    snprintf(buf, NST_CLI_FORMAT, "%u.%u s", (unsigned)(ms / 1000), (unsigned)(ms % 1000 / 100));
    return buf;
}
