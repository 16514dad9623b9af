/* netstack down: asks the daemon to end, and waits until it has. */
#include "cli/cli.h"

#include <errno.h>

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack down [OPTION]...\n"
    "Stop the running stack, and wait until it has removed what it made.\n"
    "\n"
    "      --name NAME stop the instance NAME\n"
    "  -h, --help      print this\n",
    ":h",
    LONGS,
};

enum { PATIENCE_MS = 30000 };

static int stop(struct nst_ipc_client *client)
{
    json_t *answer = nst_cli_ask(client, "down");
    struct nst_ipc_msg msg;
    int err = 0;

    if (!answer)
        return NST_CLI_FAILED;
    json_decref(answer);
    while (!err)
        err = nst_ipc_client_next(client, &msg, PATIENCE_MS);
    if (err == -ECONNRESET)
        return NST_CLI_OK;
    return nst_cli_fail(NST_CLI_FAILED, "the daemon said that it would end, but hasn't");
}

int nst_cli_down(int argc, char **argv)
{
    const char *instance = NULL;

    while (nst_cli_getopt(argc, argv, &USAGE) != -1)
        instance = optarg;
    nst_cli_operand(argc, argv, NULL);
    struct nst_ipc_client *client = nst_cli_connect(instance);
    if (!client)
        return NST_CLI_UNUSABLE;
    int status = stop(client);
    nst_ipc_client_free(client);
    return status;
}
