#include "core/base/text.h"

struct nst_text nst_text_init(char *buf, size_t cap)
{
    buf[0] = '\0';
    return (struct nst_text){.buf = buf, .cap = cap};
}

void nst_text_char(struct nst_text *t, char c)
{
    if (t->len + 1 >= t->cap)
        return;
    t->buf[t->len++] = c;
    t->buf[t->len] = '\0';
}

void nst_text_str(struct nst_text *t, const char *s)
{
    while (*s != '\0')
        nst_text_char(t, *s++);
}

/* `value` to `base` with at least `digits` digits. */
static void number(struct nst_text *t, uint64_t value, unsigned base, unsigned digits)
{
    char reversed[20]; /* the digits of 2^64 - 1, the first one last */
    size_t n = 0;

    do {
        reversed[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    for (; digits > n; digits--)
        nst_text_char(t, '0');
    while (n > 0)
        nst_text_char(t, reversed[--n]);
}

void nst_text_dec(struct nst_text *t, uint64_t value)
{
    number(t, value, 10, 1);
}

void nst_text_hex(struct nst_text *t, uint64_t value, unsigned digits)
{
    number(t, value, 16, digits);
}
