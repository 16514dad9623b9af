#include "cli/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct nst_addr from_in_addr(struct in_addr in)
{
    struct nst_addr addr = {.family = NST_AF_INET};

    memcpy(addr.bytes, &in, sizeof in);
    return addr;
}

const char *nst_cli_resolve(struct nst_addr *out, const char *text, bool *numeric)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM}, *list;
    struct in_addr in;

    *numeric = inet_aton(text, &in) == 1;
    if (*numeric) {
        *out = from_in_addr(in);
        return NULL;
    }
    int err = getaddrinfo(text, NULL, &hints, &list);
    if (err)
        return err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err);
    struct sockaddr_in sin;
    memcpy(&sin, list->ai_addr, sizeof sin);
    *out = from_in_addr(sin.sin_addr);
    freeaddrinfo(list);
    return NULL;
}
