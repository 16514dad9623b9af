#ifndef NST_SCRIPT_IGMP_H
#define NST_SCRIPT_IGMP_H

#include "packet.h"

/* Reads the words of a message; its checksum stays zero. */
void igmp_read(struct script *s, struct packet_value *v);

/* What it says, in such words, for a failure. */
char *igmp_print(char *buf, size_t cap, const struct packet_value *v);

#endif
