/* Who of several that share an address and port gets a flow: the one for whom flow and member
 * together weigh most. So a flow stays with its member however many come, and when one leaves,
 * nobody's flows move but its own.
 * Source: Thaler & Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998). */
#ifndef NST_BASE_SHARE_H
#define NST_BASE_SHARE_H

#include <stdint.h>

/* `flow` is a keyed hash of the flow, `member` any number that no other one of the group has. */
static inline uint64_t nst_share_weight(uint64_t flow, uint64_t member)
{
    uint64_t x = flow ^ member * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

#endif
