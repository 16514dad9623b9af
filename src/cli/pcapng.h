/* Writing capture files: pcapng, as draft-ietf-opsawg-pcapng has it, in the host's byte order. */
#ifndef NST_CLI_PCAPNG_H
#define NST_CLI_PCAPNG_H

#include "netstack/netstack.h"

#include <stdio.h>

enum nst_pcapng_direction {
    NST_PCAPNG_IN = 1, /* the values of epb_flags */
    NST_PCAPNG_OUT = 2,
};

struct nst_pcapng_packet {
    uint32_t interface; /* counted from 0, in the order in which they were written */
    uint64_t time_ns;   /* since 1970 */
    enum nst_pcapng_direction direction;
    uint64_t lost;       /* packets missed since the last one on this interface */
    const char *comment; /* NULL: none */
    const uint8_t *data;
    uint32_t len;      /* of the data here */
    uint32_t full_len; /* of the packet as it was */
};

/* Each writes one block, whole; 0 or the negative errno of the write. Blocks may stay in the
 * stream's buffer. A section begins the file, its interfaces follow, then packets. */
int nst_pcapng_section(FILE *out, const char *application);
int nst_pcapng_interface(FILE *out, const char *name, enum nst_medium medium, uint32_t snaplen);
int nst_pcapng_packet(FILE *out, const struct nst_pcapng_packet *packet);

#endif
