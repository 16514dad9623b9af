/* Text into a fixed buffer without stdio: always NUL-terminated, cut where it ends. */
#ifndef NST_BASE_TEXT_H
#define NST_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct nst_text {
    char *buf;
    size_t cap; /* at least 1 */
    size_t len; /* without the NUL; stays below cap */
};

/* Starts an empty text in `buf` of `cap` bytes. */
struct nst_text nst_text_init(char *buf, size_t cap);

void nst_text_char(struct nst_text *t, char c);
void nst_text_str(struct nst_text *t, const char *s);
void nst_text_dec(struct nst_text *t, uint64_t value);
/* Lower-case hexadecimal with at least `digits` digits. */
void nst_text_hex(struct nst_text *t, uint64_t value, unsigned digits);

#endif
