/* What `netstack up` is to do: its flags and its configuration file, read and checked. */
#ifndef NST_DAEMON_CONFIG_H
#define NST_DAEMON_CONFIG_H

#include "daemon/fault.h"
#include "netstack/device.h"

#include <stdio.h>
#include <sys/types.h>

#define NST_UP_NAME_MAX   32 /* of an instance */
#define NST_UP_IFNAME_MAX 15 /* of a network interface: the kernel's IFNAMSIZ without the NUL */
#define NST_UP_USER_MAX   32
#define NST_UP_ADDRESSES  8
#define NST_UP_ROUTES     32
#define NST_UP_DNS        3 /* as many as a resolver of libc reads */
#define NST_UP_PERSONS    32
#define NST_UP_PORTS      16
#define NST_UP_QUEUES     16

enum nst_up_log {
    NST_UP_LOG_ERROR,
    NST_UP_LOG_WARNING,
    NST_UP_LOG_INFO,
    NST_UP_LOG_DEBUG,
};

struct nst_up_address {
    struct nst_prefix prefix;
    enum nst_acd acd;
};

struct nst_up_route {
    struct nst_prefix dst;   /* host bits clear */
    struct nst_addr gateway; /* unspecified: the destination is on the link itself */
    uint32_t metric;
};

struct nst_up_ports {
    uint16_t first, last;
};

/* What one user of the host may do, beside the owner of the instance, who may do everything. */
struct nst_up_person {
    uid_t uid;
    bool named; /* `uid` was given */
    struct nst_up_ports ports[NST_UP_PORTS];
    size_t nports;
    struct nst_addr addr;                    /* the only one to bind to; unspecified: any */
    uint32_t sockets, listeners, connecting; /* how many, at one time */
    uint32_t messages;                       /* to the daemon, in a second */
    uint32_t buffer_bytes;                   /* that wait in sockets, both ways */
};

/* Who has no section of his own. */
#define NST_UP_ANYONE                                                             \
    {                                                                             \
        .ports = {{1024, 65535}}, .nports = 1, .sockets = 2048, .listeners = 256, \
        .connecting = 512, .messages = 20000, .buffer_bytes = 16 * 1024 * 1024    \
    }

/* Every field is valid and they agree with each other: see nst_config_parse(). */
struct nst_up_config {
    char name[NST_UP_NAME_MAX + 1];
    char device[NST_UP_IFNAME_MAX + 1];
    enum nst_device_kind kind;
    bool offload;        /* let the device compute checksums and cut segments */
    bool has_mac;        /* else the owner makes one up */
    struct nst_mac mac;  /* unicast */
    uint32_t mtu;        /* 68 to 65,521 */
    uint32_t queue_pkts; /* the device's transmit queue, from the host to the stack */

    struct nst_up_address addresses[NST_UP_ADDRESSES]; /* the stack's */
    size_t naddresses;                                 /* at least 1 */
    struct nst_prefix host;                    /* unspecified: leave the host's side alone */
    struct nst_addr gateway;                   /* unspecified: no default route */
    struct nst_up_route routes[NST_UP_ROUTES]; /* beside the default route */
    size_t nroutes;
    struct nst_addr dns[NST_UP_DNS]; /* name servers, for programs that run on the stack */
    size_t ndns;

    struct nst_up_person persons[NST_UP_PERSONS];
    size_t npersons;

    char nat[NST_UP_IFNAME_MAX + 1]; /* the uplink; empty: no NAT */
    struct nst_addr ping;            /* unspecified: none */
    char user[NST_UP_USER_MAX + 1];  /* whom to become; empty: nobody else */
    uid_t uid;                       /* of `user` */
    gid_t gid;
    enum nst_up_log log_level;
    bool log_json;
    bool daemon;
    bool sandbox;           /* see sandbox.h */
    uint32_t busy_poll_us;  /* how long to poll before each sleep: latency, for processor time */
    uint32_t queues;        /* of the device, each with a thread and a stack; at least 1 */
    bool services;          /* offer echo, discard, daytime and chargen */
    const char *congestion; /* TCP's congestion control */
    bool pacing;
    enum nst_tcp_ecn_mode ecn;
    uint16_t fastopen; /* enum nst_tcp_fastopen_mode */
    enum nst_tcp_mtu_probing mtu_probing;
    uint8_t recovery; /* enum nst_tcp_recovery */
    uint8_t metrics;  /* enum nst_tcp_metrics_mode */
};

/* nst_config_parse() found --help and looked no further. */
#define NST_CONFIG_HELP 1

/* Reads the flags in argv[1] to argv[argc - 1] and the file that --config names, and checks that it
 * all fits together. Flags override the file, the file overrides $NETSTACK_NAME and the defaults.
 *
 * Returns 0 with `config` filled, NST_CONFIG_HELP, or a negative errno with a sentence that names
 * the flag or FILE:LINE, the value, and what is accepted; `config` is then worth nothing. -EINVAL
 * calls for exit code 2; any other value means that the file could not be read. */
int nst_config_parse(struct nst_up_config *config, int argc, char *const argv[],
                     struct nst_fault *fault);

/* The word for a kind of device, as in `tap`. */
const char *nst_config_kind(enum nst_device_kind kind);

/* Writes the help text for all flags. */
void nst_config_usage(FILE *out);

#endif
