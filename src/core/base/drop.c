#include "core/base/drop.h"

#include "core/base/bytes.h"
#include "netstack/netstack.h"

static const struct {
    const char *name, *text;
} REASONS[] = {
#define REASON(name, text) [NST_DROP_##name] = {#name, text},
    NST_DROPS(REASON)
#undef REASON
};

size_t nst_drop_count(void)
{
    return NST_DROP_COUNT - 1;
}

const char *nst_drop_name(uint16_t drop)
{
    return drop < NST_ARRAY_LEN(REASONS) ? REASONS[drop].name : NULL;
}

const char *nst_drop_text(uint16_t drop)
{
    return drop < NST_ARRAY_LEN(REASONS) ? REASONS[drop].text : NULL;
}
