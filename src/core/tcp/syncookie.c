/* SYN cookies (RFC 4987 §3.6): an initial sequence number that is its own proof.
 *
 *     31      27 26   24 23                     0
 *     | minute  | MSS   | keyed hash of all this |
 *
 * The hash runs over both ends, the peer's sequence number, the minute and the MSS's number in a
 * table (4987-3); a cookie is good for two minutes (4987-4). What else the SYN said travels in the
 * low bits of our timestamp, which comes back with the ACK: the window scale (15: none) and whether
 * SACK and ECN may be used (4987-5); the timestamp is moved back a little for that, never forward.
 */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#define HASH_BITS  24
#define MINUTE     (60 * NST_SEC)
#define MINUTES    32
#define TS_BITS    6 /* ECN: 1, wscale: 4, SACK: 1 */
#define WSCALE_OFF 15

/* The usual ones; the greatest not above what was offered is taken. */
static const uint16_t mss_table[8] = {48, 536, 1024, 1220, 1360, 1440, 1460, 8960};

static uint32_t hash(const struct nst_tcps *tcps, const struct nst_flow_id *id, nst_seq irs,
                     uint32_t top)
{
    uint8_t block[sizeof *id + 8];

    memcpy(block, id, sizeof *id);
    nst_store32(block + sizeof *id, irs.v);
    nst_store32(block + sizeof *id + 4, top);
    return (uint32_t)nst_siphash(&tcps->cookie_key, block, sizeof block) >> (32 - HASH_BITS);
}

static uint64_t minute_of(const struct nst_tcps *tcps)
{
    return tcps->env->now / MINUTE;
}

nst_seq nst_cookie_make(const struct nst_tcps *tcps, const struct nst_flow_id *id, nst_seq irs,
                        uint16_t mss)
{
    uint32_t index = NST_ARRAY_LEN(mss_table) - 1;

    if (mss == 0)
        mss = 536;
    while (index > 0 && mss_table[index] > mss)
        index--;
    uint32_t top = (uint32_t)(minute_of(tcps) % MINUTES) << 3 | index;
    return nst_seq_of(top << HASH_BITS | hash(tcps, id, irs, top));
}

bool nst_cookie_check(const struct nst_tcps *tcps, const struct nst_flow_id *id, nst_seq irs,
                      nst_seq cookie, uint16_t *mss)
{
    uint32_t top = cookie.v >> HASH_BITS;
    uint64_t age = (minute_of(tcps) - (top >> 3)) % MINUTES;

    if (age > 1 || hash(tcps, id, irs, top) != (cookie.v & ((1u << HASH_BITS) - 1)))
        return false;
    *mss = mss_table[top & 7];
    return true;
}

uint32_t nst_cookie_ts(uint32_t ts, uint8_t wscale, bool sack_ok, bool ecn_ok)
{
    uint32_t bits = (uint32_t)ecn_ok << 5 | (uint32_t)wscale << 1 | sack_ok;
    uint32_t mask = (1u << TS_BITS) - 1;
    uint32_t marked = (ts & ~mask) | bits;

    return marked > ts ? marked - (1u << TS_BITS) : marked;
}

bool nst_cookie_ts_read(uint32_t ts, uint8_t *wscale, bool *sack_ok, bool *ecn_ok)
{
    *sack_ok = ts & 1;
    *ecn_ok = ts >> 5 & 1;
    *wscale = ts >> 1 & 15;
    if (*wscale != WSCALE_OFF)
        return true;
    *wscale = 0;
    return false;
}
