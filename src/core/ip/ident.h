/* IPv4 identifications that cannot be predicted and don't repeat soon (6864-2, attack class "idle
 * scan"): a secret permutation of 15 bits is walked through from end to end, the top bit telling
 * one walk from the next, each walk with a new permutation. So no identification comes again within
 * 32,768 datagrams. */
#ifndef NST_IP_IDENT_H
#define NST_IP_IDENT_H

#include "core/base/prng.h"

struct nst_ident {
    struct nst_prng prng;
    uint64_t round_key;
    uint16_t next; /* the top bit is the walk's */
};

void nst_ident_init(struct nst_ident *ident, const uint8_t seed[32]);
uint16_t nst_ident_next(struct nst_ident *ident);

#endif
