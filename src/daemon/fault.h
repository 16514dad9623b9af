/* What went wrong, in one sentence for the person who started the program.
 *
 * The daemon's set-up code fails in many ways that only its user can mend, so beside the usual
 * negative errno it gives a line of text that says what to do. A caller hands in a struct nst_fault
 * and prints its text when the call fails; while calls succeed the text means nothing. */
#ifndef NST_DAEMON_FAULT_H
#define NST_DAEMON_FAULT_H

struct nst_fault {
    char text[512]; /* no newline at its end */
};

/* Writes the sentence and returns `error` (a negative errno value), ready to be returned on. */
__attribute__((format(printf, 3, 4))) int nst_fault_set(struct nst_fault *fault, int error,
                                                        const char *format, ...);

/* The same, followed by ": " and what the system says about `error`, and for missing rights by how
 * to get them. */
__attribute__((format(printf, 3, 4))) int nst_fault_system(struct nst_fault *fault, int error,
                                                           const char *format, ...);

#endif
