/* One line about a frame, in the manner of tcpdump, for people. */
#ifndef NST_WIRE_PRINT_H
#define NST_WIRE_PRINT_H

#include "netstack/netstack.h"

/* Describes the frame whose first `len` bytes stand at `p` (it may be cut short; the text says so)
 * into `buf` of `cap` bytes. Writes printable ASCII only, whatever the frame holds. Returns `buf`.
 */
char *nst_frame_print(char *buf, size_t cap, enum nst_medium medium, const uint8_t *p, size_t len);

#endif
