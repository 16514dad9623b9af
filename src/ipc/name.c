#include "ipc/name.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const uint8_t MAGIC[4] = {'n', 's', 't', '2'};

/* Offsets in a name, behind the 0 that makes it abstract. */
enum {
    N_MAGIC = 0,
    N_KIND = 4,
    N_PROTOCOL = 5,
    N_TOKEN = 6,
    N_SHORT = N_TOKEN + sizeof(struct nst_ipc_token), /* the length of a name without ends */
    N_LOCAL = N_SHORT,
    N_PEER = N_LOCAL + 23,
    N_TTL = N_PEER + 23,
    N_TOS,
    N_FLAGS,
    N_LONG,
};

/* Offsets in an end. */
enum {
    E_FAMILY = 0,
    E_ADDR = 1,
    E_PORT = 17,
    E_LINK = 19,
};

/* Offsets before a datagram. */
enum {
    S_TO = 0,
    S_FROM = 19, /* without a port */
    S_LINK = 36,
    S_TTL = 40,
    S_HAS_TOS,
    S_TOS,
    S_ZERO,
};

static bool is_long(enum nst_ipc_name_kind kind)
{
    return kind == NST_IPC_NAME_END || kind == NST_IPC_NAME_SOURCE;
}

static void store_addr(uint8_t *p, const struct nst_addr *addr)
{
    p[0] = addr->family;
    memcpy(p + 1, addr->bytes, sizeof addr->bytes);
}

static bool load_addr(struct nst_addr *out, const uint8_t *p)
{
    out->family = p[0];
    memcpy(out->bytes, p + 1, sizeof out->bytes);
    return p[0] == NST_AF_UNSPEC || p[0] == NST_AF_INET || p[0] == NST_AF_INET6;
}

static void store_end(uint8_t *p, const struct nst_sockaddr *end)
{
    store_addr(p + E_FAMILY, &end->addr);
    memcpy(p + E_PORT, &end->port, sizeof end->port);
    memcpy(p + E_LINK, &end->link, sizeof end->link);
}

static bool load_end(struct nst_sockaddr *out, const uint8_t *p)
{
    memcpy(&out->port, p + E_PORT, sizeof out->port);
    memcpy(&out->link, p + E_LINK, sizeof out->link);
    return load_addr(&out->addr, p + E_FAMILY);
}

socklen_t nst_ipc_name_emit(const struct nst_ipc_sockname *name, struct sockaddr_un *out)
{
    uint8_t *p = (uint8_t *)out->sun_path + 1;
    size_t len = is_long(name->kind) ? N_LONG : N_SHORT;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(p + N_MAGIC, MAGIC, sizeof MAGIC);
    p[N_KIND] = (uint8_t)name->kind;
    p[N_PROTOCOL] = name->protocol;
    memcpy(p + N_TOKEN, &name->token, sizeof name->token);
    if (is_long(name->kind)) {
        store_end(p + N_LOCAL, &name->local);
        store_end(p + N_PEER, &name->peer);
        p[N_TTL] = name->ttl;
        p[N_TOS] = name->tos;
        p[N_FLAGS] = name->flags;
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

int nst_ipc_name_parse(struct nst_ipc_sockname *out, const struct sockaddr_un *addr, socklen_t len)
{
    const uint8_t *p = (const uint8_t *)addr->sun_path + 1;
    size_t head = offsetof(struct sockaddr_un, sun_path) + 1;

    if (len < head + N_SHORT || addr->sun_family != AF_UNIX || addr->sun_path[0] != '\0' ||
        memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return -ENOTSOCK;
    *out = (struct nst_ipc_sockname){.kind = p[N_KIND], .protocol = p[N_PROTOCOL]};
    memcpy(&out->token, p + N_TOKEN, sizeof out->token);
    if (out->kind < NST_IPC_NAME_PROGRAM || out->kind > NST_IPC_NAME_SOURCE ||
        len != head + (is_long(out->kind) ? N_LONG : N_SHORT))
        return -ENOTSOCK;
    if (!is_long(out->kind))
        return 0;
    out->ttl = p[N_TTL];
    out->tos = p[N_TOS];
    out->flags = p[N_FLAGS];
    return load_end(&out->local, p + N_LOCAL) && load_end(&out->peer, p + N_PEER) ? 0 : -ENOTSOCK;
}

void nst_ipc_hex_print(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

const char *nst_ipc_token_print(char out[NST_IPC_TOKEN_TEXT], const struct nst_ipc_token *token)
{
    nst_ipc_hex_print(out, (const uint8_t *)token, sizeof *token);
    return out;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int nst_ipc_hex_parse(uint8_t *out, size_t max, const char *text)
{
    size_t n = 0;

    for (; text && text[2 * n]; n++) {
        int high = digit(text[2 * n]), low = high < 0 ? -1 : digit(text[2 * n + 1]);
        if (n == max || low < 0)
            return -EINVAL;
        out[n] = (uint8_t)(high << 4 | low);
    }
    return text ? (int)n : -EINVAL;
}

int nst_ipc_token_parse(struct nst_ipc_token *out, const char *text)
{
    return nst_ipc_hex_parse((uint8_t *)out, sizeof *out, text) == sizeof *out ? 0 : -EINVAL;
}

void nst_ipc_send_emit(const struct nst_ipc_send *send, uint8_t out[NST_IPC_SEND_HLEN])
{
    memset(out, 0, NST_IPC_SEND_HLEN);
    store_addr(out + S_TO, &send->to.addr);
    memcpy(out + S_TO + E_PORT, &send->to.port, sizeof send->to.port);
    store_addr(out + S_FROM, &send->from.addr);
    memcpy(out + S_LINK, &send->from.link, sizeof send->from.link);
    out[S_TTL] = send->ttl;
    out[S_HAS_TOS] = send->tos >= 0;
    out[S_TOS] = send->tos >= 0 ? (uint8_t)send->tos : 0;
}

int nst_ipc_send_parse(struct nst_ipc_send *out, const uint8_t *p, size_t len)
{
    *out = (struct nst_ipc_send){.tos = -1};
    if (len < NST_IPC_SEND_HLEN || p[S_HAS_TOS] > 1 || p[S_ZERO] != 0 ||
        !load_addr(&out->to.addr, p + S_TO) || !load_addr(&out->from.addr, p + S_FROM))
        return -EPROTO;
    memcpy(&out->to.port, p + S_TO + E_PORT, sizeof out->to.port);
    memcpy(&out->from.link, p + S_LINK, sizeof out->from.link);
    out->ttl = p[S_TTL];
    if (p[S_HAS_TOS])
        out->tos = p[S_TOS];
    return 0;
}
