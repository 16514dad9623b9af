#include "ipc/proto.h"

#include <errno.h>
#include <string.h>

static const uint8_t MAGIC[4] = {'N', 'S', 'T', 'K'};

/* Offsets in the header. */
enum {
    H_MAGIC = 0,
    H_VERSION = 4,
    H_TYPE = 6,
    H_ID = 8,
    H_LEN = 12,
};

/* Offsets in the fixed part of a DATAGRAM. */
enum {
    D_SOCK = 0,
    D_FAMILY = 4,
    D_TTL = 5,
    D_TOS = 6,
    D_FLAGS = 7,
    D_PEER = 8,
    D_OFFENDER = 24,
    D_ERRNO = 40,
    D_ICMP_TYPE = 42,
    D_ICMP_CODE = 43,
    D_INFO = 44,
    D_TIME = 48,
    D_PORT = 56,
    D_ZERO = 58, /* six bytes */
};

/* Offsets in the fixed part of a FRAME. */
enum {
    F_TIME = 0,
    F_LINK = 8,
    F_DROP = 12,
    F_DIRECTION = 14,
    F_ZERO = 15,
    F_LEN = 16,
    F_LOST = 20,
};

static uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

static void store32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static void store64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

int nst_ipc_header_parse(struct nst_ipc_header *out, const uint8_t *p, size_t len)
{
    if (len < NST_IPC_HLEN || len > NST_IPC_MSG_MAX)
        return -EPROTO;
    if (memcmp(p + H_MAGIC, MAGIC, sizeof MAGIC) != 0)
        return -EPROTO;
    *out = (struct nst_ipc_header){
        .version = load16(p + H_VERSION),
        .type = load16(p + H_TYPE),
        .id = load32(p + H_ID),
        .len = load32(p + H_LEN),
    };
    if (out->version != NST_IPC_VERSION)
        return -EPROTONOSUPPORT;
    if (out->type < NST_IPC_HELLO || out->type > NST_IPC_FRAME)
        return -EPROTO;
    return out->len == len - NST_IPC_HLEN ? 0 : -EPROTO;
}

void nst_ipc_header_emit(const struct nst_ipc_header *header, uint8_t *p)
{
    memcpy(p + H_MAGIC, MAGIC, sizeof MAGIC);
    store16(p + H_VERSION, header->version);
    store16(p + H_TYPE, header->type);
    store32(p + H_ID, header->id);
    store32(p + H_LEN, header->len);
}

static size_t addr_len(uint8_t family)
{
    return family == NST_AF_INET ? 4 : family == NST_AF_INET6 ? 16 : 0;
}

static struct nst_addr load_addr(uint8_t family, const uint8_t *p)
{
    struct nst_addr addr = {.family = family};

    memcpy(addr.bytes, p, addr_len(family));
    return addr;
}

/* An offender of all zeros is none. */
static struct nst_addr load_offender(uint8_t family, const uint8_t *p)
{
    static const struct nst_addr none;
    struct nst_addr addr = load_addr(family, p);

    return memcmp(addr.bytes, none.bytes, sizeof none.bytes) != 0 ? addr : none;
}

int nst_ipc_datagram_parse(struct nst_ipc_datagram *out, const uint8_t *p, size_t len)
{
    if (len < NST_IPC_DATAGRAM_HLEN)
        return -EPROTO;
    uint8_t family = p[D_FAMILY];
    if (family != NST_AF_UNSPEC && family != NST_AF_INET && family != NST_AF_INET6)
        return -EPROTO;
    if (p[D_FLAGS] & ~(NST_IPC_TRUNCATED | NST_IPC_REPORT | NST_IPC_BY_ICMP))
        return -EPROTO;
    if (load16(p + D_ZERO) != 0 || load32(p + D_ZERO + 2) != 0)
        return -EPROTO;
    *out = (struct nst_ipc_datagram){
        .sock = load32(p + D_SOCK),
        .ttl = p[D_TTL],
        .tos = p[D_TOS],
        .flags = p[D_FLAGS],
        .peer = load_addr(family, p + D_PEER),
        .offender = load_offender(family, p + D_OFFENDER),
        .err = load16(p + D_ERRNO),
        .icmp_type = p[D_ICMP_TYPE],
        .icmp_code = p[D_ICMP_CODE],
        .info = load32(p + D_INFO),
        .time = load64(p + D_TIME),
        .port = load16(p + D_PORT),
    };
    return 0;
}

void nst_ipc_datagram_emit(const struct nst_ipc_datagram *datagram, uint8_t *p)
{
    memset(p, 0, NST_IPC_DATAGRAM_HLEN);
    store32(p + D_SOCK, datagram->sock);
    p[D_FAMILY] = datagram->peer.family;
    p[D_TTL] = datagram->ttl;
    p[D_TOS] = datagram->tos;
    p[D_FLAGS] = datagram->flags;
    memcpy(p + D_PEER, datagram->peer.bytes, addr_len(datagram->peer.family));
    memcpy(p + D_OFFENDER, datagram->offender.bytes, addr_len(datagram->offender.family));
    store16(p + D_ERRNO, datagram->err);
    p[D_ICMP_TYPE] = datagram->icmp_type;
    p[D_ICMP_CODE] = datagram->icmp_code;
    store32(p + D_INFO, datagram->info);
    store64(p + D_TIME, datagram->time);
    store16(p + D_PORT, datagram->port);
}

int nst_ipc_frame_parse(struct nst_ipc_frame *out, const uint8_t *p, size_t len)
{
    if (len < NST_IPC_FRAME_HLEN)
        return -EPROTO;
    if (p[F_DIRECTION] > NST_IPC_OUT_DROPPED || p[F_ZERO] != 0)
        return -EPROTO;
    *out = (struct nst_ipc_frame){
        .time = load64(p + F_TIME),
        .link = load32(p + F_LINK),
        .drop = load16(p + F_DROP),
        .direction = p[F_DIRECTION],
        .len = load32(p + F_LEN),
        .lost = load32(p + F_LOST),
    };
    return len - NST_IPC_FRAME_HLEN <= out->len ? 0 : -EPROTO;
}

void nst_ipc_frame_emit(const struct nst_ipc_frame *frame, uint8_t *p)
{
    store64(p + F_TIME, frame->time);
    store32(p + F_LINK, frame->link);
    store16(p + F_DROP, frame->drop);
    p[F_DIRECTION] = frame->direction;
    p[F_ZERO] = 0;
    store32(p + F_LEN, frame->len);
    store32(p + F_LOST, frame->lost);
}

json_t *nst_ipc_json_parse(const uint8_t *p, size_t len)
{
    json_t *json = json_loadb((const char *)p, len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

json_t *nst_ipc_error_new(int err, const char *message)
{
    const char *name = strerrorname_np(err);

    return json_pack("{s:s, s:s}", "errno", name ? name : "EIO", "message", message);
}

/* The errno value of a name, from the C library's own list; names that it lacks become EIO. */
static int errno_value(const char *name)
{
    enum { ERRNO_MAX = 4095 }; /* the kernel's */

    for (int err = 1; name && err <= ERRNO_MAX; err++) {
        const char *known = strerrorname_np(err);
        if (known && strcmp(known, name) == 0)
            return err;
    }
    return EIO;
}

int nst_ipc_error_parse(const json_t *body, const char **message)
{
    const char *text = json_string_value(json_object_get(body, "message"));

    *message = text ? text : "the daemon reports an error without a message";
    return errno_value(json_string_value(json_object_get(body, "errno")));
}
