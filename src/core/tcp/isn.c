/* Numbers that nobody outside can predict: each from a key of its own, so that what one reveals
 * helps against no other (6528-3, CVE-2024-10026). */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

/* RFC 6528 §3: a clock of 4 µs and a keyed hash of the ends (MUST-8, MUST-9, SHLD-1; 6528-1,
 * 6528-2). */
nst_seq nst_tcp_isn(const struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    uint64_t hash = nst_siphash(&tcps->isn_key, id, sizeof *id);

    return nst_seq_of((uint32_t)(hash + tcps->env->now / (4 * NST_US)));
}

/* Where the connection's timestamp clock begins (7323-11). */
uint32_t nst_tcp_ts_offset(const struct nst_tcps *tcps, const struct nst_flow_id *id)
{
    return (uint32_t)nst_flow_hash(&tcps->ts_key, id);
}

uint32_t nst_tcp_ts_at(nst_time at, uint32_t offset)
{
    return (uint32_t)(at / NST_MS) + offset;
}

uint32_t nst_tcp_ts(const struct nst_tcps *tcps, uint32_t offset)
{
    return nst_tcp_ts_at(tcps->env->now, offset);
}
