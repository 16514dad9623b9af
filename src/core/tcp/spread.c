/* Which of several stacks a connection is for (see struct nst_spread).
 *
 * It follows from both ends of the connection and a key, so all stacks find the same, and nothing
 * has to be told or looked up. A connection that one of them begins gets a port that makes it its
 * own; who asks for a port by name must turn to the stack whose that is. */
#include <string.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

struct nst_tcp_spread nst_tcp_spread(const struct nst_spread *config)
{
    struct nst_tcp_spread s = {.index = config->index, .count = config->count};

    memcpy(&s.key, config->key, sizeof s.key);
    return s;
}

uint32_t nst_tcp_spread_of(const struct nst_tcp_spread *s, const struct nst_flow_id *id)
{
    uint8_t ends[2 * sizeof id->local.bytes + 2 * sizeof(uint16_t)];
    uint8_t *ports = ends + 2 * sizeof id->local.bytes;

    if (s->count < 2)
        return 0;
    memcpy(ends, id->local.bytes, sizeof id->local.bytes);
    memcpy(ends + sizeof id->local.bytes, id->peer.bytes, sizeof id->peer.bytes);
    nst_store16(ports, id->lport);
    nst_store16(ports + 2, id->pport);
    return (uint32_t)(nst_siphash(&s->key, ends, sizeof ends) % s->count);
}
