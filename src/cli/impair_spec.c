/* The text form of what a wire does to frames: KEY=VALUE, separated by commas. */
#include "cli/impair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"

#define SPEC_MAX 512 /* longer than all keys with their longest values */

/* ---- Values ---- */

struct unit {
    const char *name;
    double factor;
};

static const struct unit rate_units[] = {
    {"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0}};
static const struct unit time_units[] = {
    {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
static const struct unit share_units[] = {{"%", NST_IMPAIR_PPM / 100.0}, {NULL, 0}};
static const struct unit byte_units[] = {{"B", 1},      {"kB", 1e3},      {"MB", 1e6},
                                         {"KiB", 1024}, {"MiB", 1 << 20}, {NULL, 0}};
static const struct unit no_unit[] = {{"", 1}, {NULL, 0}};

/* A number with one of the units, in the smallest of them, rounded; false for anything else and for
 * what lies beyond `max`. */
static bool scaled(const char *text, const struct unit *unit, uint64_t max, uint64_t *value)
{
    size_t digits = strspn(text, "0123456789.");
    char *end;
    double number = strtod(text, &end);

    if (digits == 0 || end != text + digits)
        return false;
    while (unit->name && strcmp(unit->name, end) != 0)
        unit++;
    if (!unit->name || number * unit->factor > (double)max)
        return false;
    *value = (uint64_t)(number * unit->factor + 0.5);
    return true;
}

static bool small(const char *text, const struct unit *units, uint32_t max, uint32_t *value)
{
    uint64_t wide;

    if (!scaled(text, units, max, &wide))
        return false;
    *value = (uint32_t)wide;
    return true;
}

static bool share(const char *text, uint32_t *ppm)
{
    return small(text, share_units, NST_IMPAIR_PPM, ppm);
}

/* Up to an hour. */
static bool duration(const char *text, nst_time *time)
{
    return scaled(text, time_units, 3600 * NST_SEC, time);
}

/* Cuts "A:B" in two; NULL when there is no second part. */
static char *second_part(char *text)
{
    char *colon = strchr(text, ':');

    if (!colon)
        return NULL;
    *colon = '\0';
    return colon + 1;
}

/* ---- Keys ---- */

static bool set_rate(struct nst_impair_config *c, char *value)
{
    return scaled(value, rate_units, UINT64_C(1000000000000), &c->rate_bps);
}

static bool set_queue(struct nst_impair_config *c, char *value)
{
    c->queue_frames = c->queue_bytes = 0;
    if (!small(value, no_unit, UINT32_MAX, &c->queue_frames) &&
        !small(value, byte_units, UINT32_MAX, &c->queue_bytes))
        return false;
    return c->queue_frames || c->queue_bytes;
}

static bool set_delay(struct nst_impair_config *c, char *value)
{
    return duration(value, &c->delay);
}

static bool set_jitter(struct nst_impair_config *c, char *value)
{
    return duration(value, &c->jitter);
}

static bool set_loss(struct nst_impair_config *c, char *value)
{
    return share(value, &c->loss_ppm);
}

/* A burst that never ended would be no burst. */
static bool set_burst(struct nst_impair_config *c, char *value)
{
    const char *end = second_part(value);

    return end && share(value, &c->burst_begin_ppm) && share(end, &c->burst_end_ppm) &&
           c->burst_end_ppm > 0;
}

static bool set_repeat(struct nst_impair_config *c, char *value)
{
    return share(value, &c->repeat_ppm);
}

static bool set_reorder(struct nst_impair_config *c, char *value)
{
    const char *delay = second_part(value);

    return (!delay || duration(delay, &c->reorder_delay)) && share(value, &c->reorder_ppm);
}

static bool set_corrupt(struct nst_impair_config *c, char *value)
{
    return share(value, &c->corrupt_ppm);
}

static const struct key {
    const char *name;
    bool (*set)(struct nst_impair_config *c, char *value); /* may cut the value up */
    const char *form;
} keys[] = {
    {"rate", set_rate, "a rate up to 1000gbit, as in 100mbit; units are bit, kbit, mbit, gbit"},
    {"queue", set_queue, "a number of frames from 1, or of bytes, as in 250 or 64KiB"},
    {"delay", set_delay, "a time up to 3600s, as in 10ms; units are ns, us, ms, s"},
    {"jitter", set_jitter, "a time up to 3600s, as in 2ms; units are ns, us, ms, s"},
    {"loss", set_loss, "a share from 0% to 100%"},
    {"burst", set_burst, "two shares, of beginning and of ending, as in 0.1%:20%"},
    {"repeat", set_repeat, "a share from 0% to 100%"},
    {"reorder", set_reorder, "a share and perhaps a time, as in 25% or 25%:5ms"},
    {"corrupt", set_corrupt, "a share from 0% to 100%"},
};

static int refuse(char why[NST_IMPAIR_WHY], const char *item, const char *what, const char *form)
{
    snprintf(why, NST_IMPAIR_WHY, "'%.64s' %s%s", item, what, form);
    return -EINVAL;
}

static int parse_item(struct nst_impair_config *config, char *item, char why[NST_IMPAIR_WHY])
{
    char *equals = strchr(item, '=');

    if (!equals)
        return refuse(why, item, "is not KEY=VALUE", "");
    *equals = '\0';
    for (size_t i = 0; i < NST_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, item) != 0)
            continue;
        if (keys[i].set(config, equals + 1))
            return 0;
        return refuse(why, item, "needs ", keys[i].form);
    }
    return refuse(why, item, "is not a key", "");
}

int nst_impair_parse(struct nst_impair_config *config, const char *spec, char why[NST_IMPAIR_WHY])
{
    char copy[SPEC_MAX], *rest = copy, *item;
    int err = 0;

    if (strlen(spec) >= sizeof copy)
        return refuse(why, spec, "is too long", "");
    memcpy(copy, spec, strlen(spec) + 1);
    while (!err && (item = strsep(&rest, ",")))
        err = parse_item(config, item, why);
    return err;
}
