/* netstack kill-socket: resets a connection, or ends a socket, that a program has. */
#include "cli/cli.h"

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack kill-socket [OPTION]... NUMBER\n"
    "Reset and end the socket NUMBER of the running stack; 'netstack sockets -p' has the numbers.\n"
    "\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n",
    ":h",
    LONGS,
};

int nst_cli_kill_socket(int argc, char **argv)
{
    const char *instance = NULL;

    while (nst_cli_getopt(argc, argv, &USAGE) != -1)
        instance = optarg;
    const char *operand = nst_cli_operand(argc, argv, "the NUMBER");
    uint64_t number = nst_cli_number(argv, operand, 0, UINT32_MAX);
    struct nst_ipc_client *client = nst_cli_connect(instance);
    if (!client)
        return NST_CLI_UNUSABLE;
    int err = nst_ipc_client_call_take(
        client, json_pack("{s:s, s:I}", "op", "kill", "number", (json_int_t)number), NULL);
    int status = err ? nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(client)) : NST_CLI_OK;
    nst_ipc_client_free(client);
    return status;
}
