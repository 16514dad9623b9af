/* `netstack run --up`: a stack for one program. */
#ifndef NST_RUN_KEEP_H
#define NST_RUN_KEEP_H

#include <stdbool.h>
#include <stddef.h>

/* Starts `netstack up` with these flags, and waits until it answers. Then this process forks: the
 * child returns -1 with `*instance` set to the new instance's name, and is to become the program.
 * The parent stays until the child has ended, ends the stack, and ends as the child did; or returns
 * an exit code, after a complaint, if there is no stack. `*instance` names it if it was chosen by
 * the user, which is when `named`. */
int nst_run_keep(char *const *flags, size_t nflags, bool named, const char **instance);

#endif
