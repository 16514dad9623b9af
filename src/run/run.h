/* The command `netstack run`. */
#ifndef NST_RUN_RUN_H
#define NST_RUN_RUN_H

/* Becomes the program that argv names; argv[0] is the command's name. Returns only an exit code,
 * after a complaint, or --help. */
int nst_run_main(int argc, char **argv);

#endif
