/* netstack flush-metrics: lets TCP forget what it has learnt of other hosts. */
#include "cli/cli.h"

#include <string.h>

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack flush-metrics [OPTION]... ADDRESS|all\n"
    "Forget what the running stack's TCP has learnt of the host ADDRESS, or of all of them.\n"
    "\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n",
    ":h",
    LONGS,
};

int nst_cli_flush_metrics(int argc, char **argv)
{
    const char *instance = NULL;

    while (nst_cli_getopt(argc, argv, &USAGE) != -1)
        instance = optarg;
    const char *operand = nst_cli_operand(argc, argv, "the ADDRESS, or 'all',");
    const char *peer = strcmp(operand, "all") == 0 ? NULL : operand;
    struct nst_ipc_client *client = nst_cli_connect(instance);
    if (!client)
        return NST_CLI_UNUSABLE;
    int err = nst_ipc_client_call_take(
        client, json_pack("{s:s, s:s*}", "op", "flush_metrics", "peer", peer), NULL);
    int status = err ? nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(client)) : NST_CLI_OK;
    nst_ipc_client_free(client);
    return status;
}
