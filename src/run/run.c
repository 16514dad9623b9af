/* netstack run: reads the options, asks the daemon where the program is to find itself, and
 * launches it. */
#include "run/run.h"

#include "ipc/client.h"
#include "run/keep.h"
#include "run/launch.h"

#include <getopt.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SHIM "libnetstack-shim.so"

struct options {
    const char *instance;
    bool shim, namespaces, host_loopback, verbose;
    char **up;  /* the flags of `netstack up`, from here ... */
    size_t nup; /* ... so many; `up` is NULL without --up */
    char **argv;
};

enum {
    OPT_NAME = 256,
    OPT_NO_SHIM,
    OPT_NO_NAMESPACES,
    OPT_HOST_LOOPBACK,
    OPT_UP,
};

static const struct option LONGS[] = {
    {"name", required_argument, NULL, OPT_NAME},
    {"no-shim", no_argument, NULL, OPT_NO_SHIM},
    {"no-namespaces", no_argument, NULL, OPT_NO_NAMESPACES},
    {"host-loopback", no_argument, NULL, OPT_HOST_LOOPBACK},
    {"up", no_argument, NULL, OPT_UP},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char USAGE[] =
    "Usage: netstack run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
    "       netstack run [OPTION]... --up [OPTION OF up]... -- PROGRAM [ARGUMENT]...\n"
    "Run a program, as it is, on the stack: its TCP and UDP sockets are the daemon's.\n"
    "\n"
    "      --name NAME      use the instance NAME\n"
    "      --up             start a stack for this program, and end it afterwards\n"
    "      --host-loopback  127.0.0.0/8 is the host's, for TCP and UDP\n"
    "      --no-namespaces  leave the program in the host's network namespace, where it sees\n"
    "                       the host's interfaces and name servers\n"
    "      --no-shim        do not preload the library that makes some calls faster\n"
    "  -v, --verbose        say what could not be had\n"
    "  -h, --help           print this\n";

__attribute__((noreturn)) static void misused(const char *what, const char *word)
{
    fprintf(stderr, "netstack run: %s%s; see 'netstack run --help'\n", what, word);
    exit(NST_RUN_FAILED);
}

/* What stands between --up and -- belongs to `netstack up`. Returns what is behind. */
static char **split_up(struct options *o, char **argv)
{
    o->up = argv;
    for (; argv[0] && strcmp(argv[0], "--") != 0; argv++)
        o->nup++;
    if (!argv[0])
        misused("behind --up and its options, -- and the program are missing", "");
    return argv + 1;
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.shim = true, .namespaces = true};
    int c;

    opterr = 0;
    while (!o.up && (c = getopt_long(argc, argv, "+:vh", LONGS, NULL)) != -1) {
        switch (c) {
        case OPT_NAME:
            o.instance = optarg;
            break;
        case OPT_NO_SHIM:
            o.shim = false;
            break;
        case OPT_NO_NAMESPACES:
            o.namespaces = false;
            break;
        case OPT_HOST_LOOPBACK:
            o.host_loopback = true;
            break;
        case OPT_UP:
            o.argv = split_up(&o, argv + optind);
            break;
        case 'v':
            o.verbose = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            exit(fflush(stdout) == 0 ? 0 : NST_RUN_FAILED);
        default:
            misused(c == ':' ? "a value is missing for " : "unknown option ", argv[optind - 1]);
        }
    }
    if (!o.up)
        o.argv = argv + optind;
    if (!o.argv[0])
        misused("the program is missing", "");
    return o;
}

/* ---- What the daemon says ----------------------------------------------------------------- */

static const char *member(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* What the program is to find in resolv.conf. */
static void write_resolv(struct nst_run_place *place, const json_t *servers)
{
    struct nst_addr addr;
    const json_t *server;
    size_t i, len = 0;

    json_array_foreach(servers, i, server)
    {
        const char *text = json_string_value(server);
        if (text && nst_addr_parse(&addr, text))
            len += (size_t)snprintf(place->resolv + len, sizeof place->resolv - len,
                                    "nameserver %s\n", text);
        if (len >= sizeof place->resolv - NST_ADDR_TEXT)
            break;
    }
}

/* A name of an interface: short enough, and of the letters that daemons choose from. */
static bool is_ifname(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < IF_NAMESIZE && !strchr(name, '/') && !strchr(name, ':');
}

static void read_place(struct nst_run_place *place, const json_t *status)
{
    const char *device = member(json_object_get(status, "device"), "name");
    const char *addr = json_string_value(json_array_get(json_object_get(status, "addresses"), 0));

    *place = (struct nst_run_place){0};
    snprintf(place->device, sizeof place->device, "%s", is_ifname(device) ? device : "net0");
    if (addr)
        nst_prefix_parse(&place->addr, addr);
    nst_addr_parse(&place->gateway, member(status, "gateway"));
    write_resolv(place, json_object_get(status, "dns"));
}

/* 0, or an exit code after a complaint. */
static int ask_place(struct nst_run_place *place, const char *instance)
{
    struct nst_ipc_client *client;
    char why[NST_IPC_WHY];
    json_t *status = NULL;

    if (nst_ipc_client_open(&client, instance, why) != 0)
        return nst_run_fail(NST_RUN_FAILED, "%s", why);
    int err = nst_ipc_client_call_take(client, json_pack("{s:s}", "op", "status"), &status);
    if (err)
        nst_run_fail(NST_RUN_FAILED, "%s", nst_ipc_client_why(client));
    else
        read_place(place, status);
    json_decref(status);
    nst_ipc_client_free(client);
    return err ? NST_RUN_FAILED : 0;
}

/* ---- The shim ----------------------------------------------------------------------------- */

/* Beside the program, as in a build directory; or where it is installed. NULL: nowhere. */
static const char *find_shim(void)
{
    static char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof SHIM);
    char *slash;

    if (len > 0) {
        path[len] = '\0';
        slash = strrchr(path, '/');
        memcpy(slash ? slash + 1 : path, SHIM, sizeof SHIM);
        if (access(path, R_OK) == 0)
            return path;
    }
    return access(NST_LIBDIR "/" SHIM, R_OK) == 0 ? NST_LIBDIR "/" SHIM : NULL;
}

int nst_run_main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct nst_run_place place;
    struct nst_run_launch launch = {
        .host_loopback = o.host_loopback, .verbose = o.verbose, .argv = o.argv};
    int status;

    launch.instance = nst_ipc_name(o.instance);
    if (o.up && (status = nst_run_keep(o.up, o.nup, o.instance, &launch.instance)) >= 0)
        return status;
    if ((status = ask_place(&place, launch.instance)) != 0)
        return status;
    launch.place = o.namespaces ? &place : NULL;
    launch.shim = o.shim ? find_shim() : NULL;
    if (o.shim && !launch.shim && o.verbose)
        nst_run_fail(0, "there is no %s; some calls will be slower", SHIM);
    return nst_run_launch(&launch);
}
