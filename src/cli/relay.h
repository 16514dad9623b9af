/* The bridge behind `netstack relay`: two TAP devices, and a wire in each direction between them.
 */
#ifndef NST_CLI_RELAY_H
#define NST_CLI_RELAY_H

#include "cli/impair.h"
#include "netstack/loop.h"

/* The two ends; what is indexed by one concerns the direction towards it. */
enum nst_relay_end { NST_RELAY_A, NST_RELAY_B, NST_RELAY_ENDS };

struct nst_relay_config {
    const char
        *devices[NST_RELAY_ENDS]; /* interfaces, attached to or made; shorter than IFNAMSIZ */
    struct nst_impair_config to[NST_RELAY_ENDS];
    uint64_t seed;
};

struct nst_relay;

/* Opens the devices and starts carrying frames between them in the loop's turns. Should a device go
 * away, it stops the loop with -EBADFD. Returns 0, or the -errno of nst_device_open() or of the
 * loop, with the device's name in `*failed`, which is one of the config's. */
int nst_relay_open(struct nst_relay **out, struct nst_loop *loop,
                   const struct nst_relay_config *config, const char **failed);

/* Ends it and closes the devices; those that it made go away. Before the loop is freed. NULL is
 * allowed. */
void nst_relay_close(struct nst_relay *relay);

struct nst_relay_stats {
    struct nst_impair_stats wire;
    uint64_t held;    /* on the wire now */
    uint64_t refused; /* came out of the wire, but the device would not take them: it is down */
};

struct nst_relay_stats nst_relay_stats(const struct nst_relay *relay, enum nst_relay_end to);

#endif
