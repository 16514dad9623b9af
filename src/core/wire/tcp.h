/* The TCP header and its options (RFC 9293 §3.1). */
#ifndef NST_WIRE_TCP_H
#define NST_WIRE_TCP_H

#include "core/base/drop.h"
#include "core/base/seq.h"
#include "netstack/netstack.h"

#define NST_TCP_HLEN     20
#define NST_TCP_HLEN_MAX 60

enum nst_tcp_flag {
    NST_TCP_FIN = 0x01,
    NST_TCP_SYN = 0x02,
    NST_TCP_RST = 0x04,
    NST_TCP_PSH = 0x08,
    NST_TCP_ACK = 0x10,
    NST_TCP_URG = 0x20,
    NST_TCP_ECE = 0x40,
    NST_TCP_CWR = 0x80,
};

enum nst_tcp_opt {
    NST_TCP_OPT_END = 0,
    NST_TCP_OPT_NOP = 1,
    NST_TCP_OPT_MSS = 2,
    NST_TCP_OPT_WSCALE = 3,
    NST_TCP_OPT_SACK_OK = 4,
    NST_TCP_OPT_SACK = 5,
    NST_TCP_OPT_TS = 8,
    NST_TCP_OPT_FASTOPEN = 34,      /* RFC 7413 */
    NST_TCP_OPT_EXPERIMENTAL = 254, /* RFC 6994: Fast Open's, before it had a number of its own */
};

#define NST_TCP_SACK_MAX 4

struct nst_tcp_sack {
    nst_seq start, end; /* [start, end) */
};

#define NST_TCP_COOKIE_MAX 16

/* Of Fast Open (RFC 7413 §4.1.1). */
struct nst_tcp_cookie {
    uint8_t len;       /* 4 to 16 and even; 0: none, which asks for one */
    bool experimental; /* in the experimental option */
    uint8_t bytes[NST_TCP_COOKIE_MAX];
};

/* The options that mean something here; everything else is ignored (MUST-6). */
struct nst_tcp_opts {
    uint16_t mss; /* 0: absent; one that says 0 counts as absent too */
    bool has_wscale, sack_ok, has_ts;
    uint8_t wscale; /* as sent: up to 255; the receiver of it clamps to 14 (RFC 7323 §2.3) */
    uint32_t ts_val, ts_ecr;
    uint8_t nsacks;
    struct nst_tcp_sack sacks[NST_TCP_SACK_MAX];
    bool has_fastopen;
    struct nst_tcp_cookie fastopen;
};

struct nst_tcp {
    uint16_t sport, dport;
    nst_seq seq, ack;
    uint8_t flags; /* enum nst_tcp_flag */
    uint8_t hlen;  /* bytes, options included; set by emit */
    uint16_t wnd;  /* as on the wire: unscaled */
    uint16_t checksum;
    uint16_t urg;
    struct nst_tcp_opts opts;
};

/* Reads the header of a segment of `seg_len` bytes, of which `len` are readable at `p` (at least
 * the header must be, or it is tcp_short). An option whose length is below 2 or beyond the header
 * ends the reading of options; what was read before it stands (MUST-7). One whose length is not
 * that of its kind (for SACK 8n + 2) is ignored; of two of a kind the later counts. SACK blocks are
 * given as found. The checksum is the caller's to verify. Drops: tcp_short, tcp_hlen (data offset
 * below 5 or beyond the segment). */
enum nst_drop nst_tcp_parse(struct nst_tcp *out, const uint8_t *p, size_t len, size_t seg_len);

/* Reads into `opts` the option at `p`, of which `left` > 0 bytes are in the header, as
 * nst_tcp_parse() does with one after the other up to NST_TCP_OPT_END. Returns its length; 0 if
 * that is illegal. */
size_t nst_tcp_option_parse(struct nst_tcp_opts *opts, const uint8_t *p, size_t left);

/* The bytes that nst_tcp_emit() writes: header and options, a multiple of four. The order is
 * Linux's: SYN: `mss, sackOK, TS, nop, wscale`, without timestamps `mss, nop, nop, sackOK, nop,
 * wscale`, without SACK `mss, nop, wscale`; last Fast Open, with NOPs behind it; others: `nop, nop,
 * TS`, then `nop, nop, SACK`, with as many blocks as there is room for. What has no place in such a
 * segment is left out. */
size_t nst_tcp_emit_len(const struct nst_tcp *tcp);

/* Writes them, with the checksum field as given, and sets `tcp->hlen`. */
void nst_tcp_emit(struct nst_tcp *tcp, uint8_t *p);

#endif
