/* The daemon's log: lines on stderr, for people or as JSON. */
#ifndef NST_DAEMON_LOG_H
#define NST_DAEMON_LOG_H

#include "daemon/config.h"

/* Chooses what is logged, and how. */
void nst_log_init(enum nst_up_log level, bool json);

/* One line. What came from the network or from clients must have been made harmless before: of
 * control characters in the text, a question mark is left. */
__attribute__((format(printf, 2, 3))) void nst_log(enum nst_up_log level, const char *format, ...);

#endif
