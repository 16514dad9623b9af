/* Rules of others that keep the stack's packets from being forwarded. */
#ifndef NST_DAEMON_OBSTACLE_H
#define NST_DAEMON_OBSTACLE_H

#include <stddef.h>

/* Looks for filters of the host that drop what goes from `device` to `uplink` and back. Writes into
 * `out` one line for each: what it is, and the command that lets the packets pass. Writes an empty
 * text if there is none, or if the filters can't be looked at. Changes nothing. */
void nst_obstacle_find(const char *device, const char *uplink, char *out, size_t size);

#endif
