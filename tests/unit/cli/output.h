/* A stream whose text a test can look at. */
#ifndef NST_TESTS_CLI_OUTPUT_H
#define NST_TESTS_CLI_OUTPUT_H

#include "../unit.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

struct output {
    FILE *stream;
    char *text;
    size_t len, seen;
};

static inline void output_init(struct output *o)
{
    o->stream = open_memstream(&o->text, &o->len);
    assert_non_null(o->stream);
    o->seen = 0;
}

static inline void output_fini(struct output *o)
{
    fclose(o->stream);
    free(o->text);
}

/* What was written until now doesn't matter. */
static inline void output_skip(struct output *o)
{
    fflush(o->stream);
    o->seen = o->len;
}

/* What was written since the last look must be exactly that. */
static inline void assert_output(struct output *o, const char *expected)
{
    fflush(o->stream);
    assert_string_equal(o->text + o->seen, expected);
    o->seen = o->len;
}

#endif
