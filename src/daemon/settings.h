/* The settings of `netstack up`, one row each, whether they come from a flag or from a file.
 *
 * A row names its flag and its file key and has one function that reads a value into the
 * configuration. So a value means the same, is checked the same, and is refused in the same words
 * wherever it stands. */
#ifndef NST_DAEMON_SETTINGS_H
#define NST_DAEMON_SETTINGS_H

#include "daemon/config.h"

/* A configuration in the making, with what is needed only until it is finished. */
struct nst_settings {
    struct nst_up_config *config;
    const char *file; /* --config, or NULL */
    bool help;
    bool has_host, has_gateway, has_acd;
    bool has_link;                  /* an MTU or a queue, for a device of ours */
    enum nst_acd acd;               /* --acd: for every address */
    bool addresses_are_flags;       /* so the file's are forgotten already */
    bool dns_are_flags;             /* likewise */
    struct nst_up_address *address; /* that an [Address] section describes */
    struct nst_up_route *route;     /* that a [Route] section describes */
    struct nst_up_person *person;   /* that a [User] section describes */
};

struct nst_setting {
    const char *flag;          /* without dashes; NULL: only in a file */
    const char *section, *key; /* NULL: only a flag */
    const char *arg;     /* what the help text calls the flag's value; NULL: the flag has none */
    const char *implied; /* what such a flag sets */
    const char *help;
    char letter; /* the flag's short form, or 0 */

    /* Reads `value`. Returns NULL, or what is accepted, as in "an address such as 10.0.0.1". An
     * empty value is never accepted. */
    const char *(*set)(struct nst_settings *settings, const char *value);
};

extern const struct nst_setting nst_settings_table[];
extern const size_t nst_settings_count;

/* Starts or ends what a section of the file describes. Both return NULL, or the fault. */
const char *nst_settings_begin(struct nst_settings *settings, const char *section);
const char *nst_settings_end(struct nst_settings *settings);

/* Reads the file at settings->file. 0 or -errno with a sentence that begins with FILE:LINE. */
int nst_settings_read(struct nst_settings *settings, struct nst_fault *fault);

/* Fills in what nobody set and checks that the whole fits together. 0 or -EINVAL. */
int nst_settings_finish(struct nst_settings *settings, struct nst_fault *fault);

#endif
