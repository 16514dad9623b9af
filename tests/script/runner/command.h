/* The lines that are no packets: set-up, socket calls, and expectations about state. */
#ifndef NST_SCRIPT_COMMAND_H
#define NST_SCRIPT_COMMAND_H

#include "world.h"

/* Runs the command in the words that are left. */
void command_run(struct world *w);

#endif
