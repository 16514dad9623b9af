/* Literal messages for tests, written as hexadecimal text. Each becomes a heap buffer of exactly
 * its size, so that AddressSanitizer sees the first byte read behind it. */
#ifndef NST_TESTS_HEX_H
#define NST_TESTS_HEX_H

#include "core/base/drop.h"
#include "netstack/netstack.h"

#include "unit.h"

#include <stdlib.h>

struct hex {
    uint8_t *p;
    size_t len;
};

/* A copy of `len` bytes, to be freed with hex_free(). */
static inline struct hex hex_copy(const uint8_t *p, size_t len)
{
    struct hex copy = {malloc(len), len};

    assert_true(copy.p != NULL || len == 0);
    if (len > 0)
        memcpy(copy.p, p, len);
    return copy;
}

static inline int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The bytes that `text` spells in lower-case pairs; blanks between pairs don't count. */
static inline struct hex hex_bytes(const char *text)
{
    uint8_t bytes[2048];
    size_t len = 0;

    for (const char *s = text; *s; s++) {
        if (*s == ' ')
            continue;
        assert_true(hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0 && len < sizeof bytes);
        bytes[len++] = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
        s++;
    }
    return hex_copy(bytes, len);
}

static inline void hex_free(struct hex h)
{
    free(h.p);
}

/* Whether `p` holds the bytes that `text` spells. */
static inline void assert_hex(const uint8_t *p, size_t len, const char *text)
{
    struct hex wanted = hex_bytes(text);

    assert_int_equal(len, wanted.len);
    assert_memory_equal(p, wanted.p, len);
    hex_free(wanted);
}

/* Compares drop reasons by name, which a failure then shows. */
#define assert_drop(got, wanted) assert_string_equal(hex_drop(got), hex_drop(wanted))

static inline const char *hex_drop(enum nst_drop drop)
{
    return drop ? nst_drop_name((uint16_t)drop) : "none";
}

#endif
