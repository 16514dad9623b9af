/* The command `netstack up`. */
#ifndef NST_DAEMON_UP_H
#define NST_DAEMON_UP_H

/* Runs an instance until it is ended; argv[0] is the command's name, `program` how the user called
 * the program. Returns the exit code: 0; 1 when it could not be set up, or broke; 2 for flags or a
 * configuration that make no sense. */
int nst_daemon_main(int argc, char **argv, const char *program);

#endif
