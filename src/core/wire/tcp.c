/* Options are read one after the other, each by its own length, wherever it begins (RFC 9293
 * §3.2, MUST-64), and none is looked at before all of it is known to lie inside the header. They
 * may stand in any segment (MUST-5); what they mean in one is the connection's business.
 *
 * What is written is a row of 32-bit words: an option of another length is filled up by NOPs in
 * front, so that its values are aligned and no padding is needed behind the last (MUST-69). Those
 * of a SYN go into no other segment (MUST-65), and SACK blocks not into a SYN. */
#include "core/wire/tcp.h"

#include <assert.h>

#include "core/base/bytes.h"

/* Lengths of options: kind, length and value. */
enum {
    MSS_LEN = 4,
    WSCALE_LEN = 3,
    SACK_OK_LEN = 2,
    SACK_LEN = 2, /* without blocks */
    SACK_BLOCK_LEN = 8,
    TS_LEN = 10,
    FASTOPEN_LEN = 2,     /* without cookie */
    EXPERIMENTAL_LEN = 4, /* the same, with the number that stands for Fast Open */
};

#define FASTOPEN_MAGIC 0xf989 /* RFC 7413, appendix; RFC 6994 */

#define WORD 4

/* ---- In ---------------------------------------------------------------------------------- */

/* The length of the option at `p`, of which `left` bytes are in the header; 0 if it is illegal. */
static size_t option_len(const uint8_t *p, size_t left)
{
    if (p[0] == NST_TCP_OPT_NOP)
        return 1;
    if (left < 2 || p[1] < 2 || p[1] > left)
        return 0;
    return p[1];
}

/* No header has room for more SACK blocks than there are places. */
_Static_assert((NST_TCP_HLEN_MAX - NST_TCP_HLEN - SACK_LEN) / SACK_BLOCK_LEN == NST_TCP_SACK_MAX,
               "SACK blocks");

/* A SACK option that does not end with a block says nothing. */
static void read_sack(struct nst_tcp_opts *opts, const uint8_t *p, size_t len)
{
    if ((len - SACK_LEN) % SACK_BLOCK_LEN != 0)
        return;
    opts->nsacks = (uint8_t)((len - SACK_LEN) / SACK_BLOCK_LEN);
    for (size_t i = 0; i < opts->nsacks; i++) {
        const uint8_t *block = p + SACK_LEN + i * SACK_BLOCK_LEN;
        opts->sacks[i].start = nst_seq_of(nst_load32(block));
        opts->sacks[i].end = nst_seq_of(nst_load32(block + 4));
    }
}

/* One that we know, by kind and length (MUST-4, MUST-68). */
static bool is_option(const uint8_t *p, size_t len, enum nst_tcp_opt kind, size_t kind_len)
{
    return p[0] == kind && len == kind_len;
}

/* A cookie, behind an option's head. One of a length that none has says nothing (7413-1). */
static void read_cookie(struct nst_tcp_opts *opts, const uint8_t *p, size_t len, bool experimental)
{
    if (len % 2 || len > NST_TCP_COOKIE_MAX || (len > 0 && len < 4))
        return;
    opts->has_fastopen = true;
    opts->fastopen = (struct nst_tcp_cookie){.len = (uint8_t)len, .experimental = experimental};
    memcpy(opts->fastopen.bytes, p, len);
}

static void read_ts(struct nst_tcp_opts *opts, const uint8_t *p)
{
    opts->has_ts = true;
    opts->ts_val = nst_load32(p + 2);
    opts->ts_ecr = nst_load32(p + 6);
}

/* Options that are not known, or not of the length that theirs is, are ignored (MUST-6). */
static void read_option(struct nst_tcp_opts *opts, const uint8_t *p, size_t len)
{
    if (is_option(p, len, NST_TCP_OPT_TS, TS_LEN)) {
        read_ts(opts, p);
    } else if (p[0] == NST_TCP_OPT_SACK) {
        read_sack(opts, p, len);
    } else if (is_option(p, len, NST_TCP_OPT_MSS, MSS_LEN)) {
        opts->mss = nst_load16(p + 2);
    } else if (is_option(p, len, NST_TCP_OPT_WSCALE, WSCALE_LEN)) {
        opts->has_wscale = true;
        opts->wscale = p[2];
    } else if (is_option(p, len, NST_TCP_OPT_SACK_OK, SACK_OK_LEN)) {
        opts->sack_ok = true;
    } else if (p[0] == NST_TCP_OPT_FASTOPEN) {
        read_cookie(opts, p + FASTOPEN_LEN, len - FASTOPEN_LEN, false);
    } else if (p[0] == NST_TCP_OPT_EXPERIMENTAL && len >= EXPERIMENTAL_LEN &&
               nst_load16(p + 2) == FASTOPEN_MAGIC) {
        read_cookie(opts, p + EXPERIMENTAL_LEN, len - EXPERIMENTAL_LEN, true);
    }
}

size_t nst_tcp_option_parse(struct nst_tcp_opts *opts, const uint8_t *p, size_t left)
{
    size_t len = option_len(p, left);

    if (len > 0)
        read_option(opts, p, len);
    return len;
}

/* Timestamps alone, laid out as RFC 7323, appendix A, recommends: the options of nearly every
 * segment. */
static bool is_only_ts(const uint8_t *p, size_t left)
{
    const uint32_t head = (uint32_t)NST_TCP_OPT_NOP << 24 | NST_TCP_OPT_NOP << 16 |
                          NST_TCP_OPT_TS << 8 | TS_LEN;

    return left == 2 + TS_LEN && nst_load32(p) == head;
}

static void read_options(struct nst_tcp_opts *opts, const uint8_t *p, size_t left)
{
    size_t len;

    if (is_only_ts(p, left)) {
        read_ts(opts, p + 2);
        return;
    }
    for (; left > 0 && p[0] != NST_TCP_OPT_END; p += len, left -= len) {
        len = nst_tcp_option_parse(opts, p, left);
        if (len == 0)
            return;
    }
}

enum nst_drop nst_tcp_parse(struct nst_tcp *out, const uint8_t *p, size_t len, size_t seg_len)
{
    if (len < NST_TCP_HLEN || seg_len < NST_TCP_HLEN)
        return NST_DROP_tcp_short;
    *out = (struct nst_tcp){
        .sport = nst_load16(p),
        .dport = nst_load16(p + 2),
        .seq = nst_seq_of(nst_load32(p + 4)),
        .ack = nst_seq_of(nst_load32(p + 8)),
        .hlen = (uint8_t)((p[12] >> 4) * WORD),
        .flags = p[13],
        .wnd = nst_load16(p + 14),
        .checksum = nst_load16(p + 16),
        .urg = nst_load16(p + 18),
    };
    if (out->hlen < NST_TCP_HLEN || out->hlen > seg_len)
        return NST_DROP_tcp_hlen;
    if (out->hlen > len)
        return NST_DROP_tcp_short;
    read_options(&out->opts, p + NST_TCP_HLEN, (size_t)out->hlen - NST_TCP_HLEN);
    return NST_DROP_NONE;
}

/* ---- Out --------------------------------------------------------------------------------- */

/* Without what fills up the last word. */
static size_t fastopen_len(const struct nst_tcp_cookie *cookie)
{
    return (cookie->experimental ? EXPERIMENTAL_LEN : FASTOPEN_LEN) + (size_t)cookie->len;
}

static size_t syn_options_len(const struct nst_tcp_opts *opts)
{
    size_t len = opts->mss ? MSS_LEN : 0;

    if (opts->has_ts)
        len += 2 + TS_LEN; /* the two are SACK-permitted, or NOPs */
    else if (opts->sack_ok)
        len += 2 + SACK_OK_LEN;
    if (opts->has_fastopen)
        len += (fastopen_len(&opts->fastopen) + WORD - 1) / WORD * WORD;
    return len + (opts->has_wscale ? 1 + WSCALE_LEN : 0);
}

/* The SACK blocks that fit beside the timestamps (2018-3). */
static size_t nsacks(const struct nst_tcp_opts *opts)
{
    return nst_min(opts->nsacks, opts->has_ts ? NST_TCP_SACK_MAX - 1 : NST_TCP_SACK_MAX);
}

static size_t plain_options_len(const struct nst_tcp_opts *opts)
{
    size_t len = opts->has_ts ? 2 + TS_LEN : 0;

    if (opts->nsacks > 0)
        len += 2 + SACK_LEN + nsacks(opts) * SACK_BLOCK_LEN;
    return len;
}

size_t nst_tcp_emit_len(const struct nst_tcp *tcp)
{
    return NST_TCP_HLEN +
           (tcp->flags & NST_TCP_SYN ? syn_options_len(&tcp->opts) : plain_options_len(&tcp->opts));
}

static uint8_t *put_word(uint8_t *p, uint32_t word)
{
    nst_store32(p, word);
    return p + WORD;
}

static uint8_t *put_bytes(uint8_t *p, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return put_word(p, (uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d);
}

/* Timestamps behind `a` and `b`, which align them. */
static uint8_t *put_ts(uint8_t *p, const struct nst_tcp_opts *opts, uint8_t a, uint8_t b)
{
    p = put_bytes(p, a, b, NST_TCP_OPT_TS, TS_LEN);
    p = put_word(p, opts->ts_val);
    return put_word(p, opts->ts_ecr);
}

static uint8_t *put_fastopen(uint8_t *p, const struct nst_tcp_cookie *cookie)
{
    size_t len = fastopen_len(cookie);
    uint8_t *end = p + (len + WORD - 1) / WORD * WORD;

    memset(p, NST_TCP_OPT_NOP, (size_t)(end - p));
    p[0] = cookie->experimental ? NST_TCP_OPT_EXPERIMENTAL : NST_TCP_OPT_FASTOPEN;
    p[1] = (uint8_t)len;
    if (cookie->experimental)
        nst_store16(p + 2, FASTOPEN_MAGIC);
    memcpy(p + len - cookie->len, cookie->bytes, cookie->len);
    return end;
}

/* What goes into SYNs only (7323-2). */
static uint8_t *put_syn_options(uint8_t *p, const struct nst_tcp_opts *opts)
{
    const uint8_t nop = NST_TCP_OPT_NOP;

    if (opts->mss)
        p = put_word(p, (uint32_t)NST_TCP_OPT_MSS << 24 | MSS_LEN << 16 | opts->mss);
    if (opts->has_ts && opts->sack_ok)
        p = put_ts(p, opts, NST_TCP_OPT_SACK_OK, SACK_OK_LEN);
    else if (opts->has_ts)
        p = put_ts(p, opts, nop, nop);
    else if (opts->sack_ok)
        p = put_bytes(p, nop, nop, NST_TCP_OPT_SACK_OK, SACK_OK_LEN);
    if (opts->has_wscale)
        p = put_bytes(p, nop, NST_TCP_OPT_WSCALE, WSCALE_LEN, opts->wscale);
    if (opts->has_fastopen)
        p = put_fastopen(p, &opts->fastopen);
    return p;
}

static uint8_t *put_plain_options(uint8_t *p, const struct nst_tcp_opts *opts)
{
    const uint8_t nop = NST_TCP_OPT_NOP;
    size_t n = nsacks(opts);

    if (opts->has_ts)
        p = put_ts(p, opts, nop, nop);
    if (n > 0)
        p = put_bytes(p, nop, nop, NST_TCP_OPT_SACK, (uint8_t)(SACK_LEN + n * SACK_BLOCK_LEN));
    for (size_t i = 0; i < n; i++) {
        p = put_word(p, opts->sacks[i].start.v);
        p = put_word(p, opts->sacks[i].end.v);
    }
    return p;
}

void nst_tcp_emit(struct nst_tcp *tcp, uint8_t *p)
{
    const uint8_t *begin = p;

    tcp->hlen = (uint8_t)nst_tcp_emit_len(tcp);
    nst_store16(p, tcp->sport);
    nst_store16(p + 2, tcp->dport);
    nst_store32(p + 4, tcp->seq.v);
    nst_store32(p + 8, tcp->ack.v);
    p[12] = (uint8_t)(tcp->hlen / WORD << 4);
    p[13] = tcp->flags;
    nst_store16(p + 14, tcp->wnd);
    nst_store16(p + 16, tcp->checksum);
    nst_store16(p + 18, tcp->urg);
    p += NST_TCP_HLEN;
    p = tcp->flags & NST_TCP_SYN ? put_syn_options(p, &tcp->opts)
                                 : put_plain_options(p, &tcp->opts);
    assert(p == begin + tcp->hlen);
}
