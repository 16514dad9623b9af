/* Every block is: type, length, body, length again; options and data are padded to four bytes. So a
 * block's length is known before its first byte is written, and it is written straight to the
 * stream. */
#include "cli/pcapng.h"

#include <errno.h>
#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BLOCK_FRAME = 12, /* bytes around a block's body */

    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,

    OPT_END = 0,
    OPT_COMMENT = 1,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    EPB_DROPCOUNT = 4,

    COMMENT_MAX = 1024,
};

struct pcapng_option {
    uint16_t code, len;
    const void *value;
};

static uint32_t padding(uint32_t len)
{
    return -len & 3;
}

static void put(FILE *out, const void *bytes, uint32_t len)
{
    fwrite(bytes, 1, len, out);
}

static void put16(FILE *out, uint16_t value)
{
    put(out, &value, sizeof value);
}

static void put32(FILE *out, uint32_t value)
{
    put(out, &value, sizeof value);
}

static void put_padded(FILE *out, const void *bytes, uint32_t len)
{
    static const uint8_t zeros[4];

    put(out, bytes, len);
    put(out, zeros, padding(len));
}

/* Options without a value are left out. */
static uint32_t options_len(const struct pcapng_option *options, size_t n)
{
    uint32_t len = 4; /* the end */

    for (size_t i = 0; i < n; i++)
        if (options[i].value)
            len += 4 + options[i].len + padding(options[i].len);
    return len;
}

static void put_options(FILE *out, const struct pcapng_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!options[i].value)
            continue;
        put16(out, options[i].code);
        put16(out, options[i].len);
        put_padded(out, options[i].value, options[i].len);
    }
    put16(out, OPT_END);
    put16(out, 0);
}

static void begin(FILE *out, uint32_t type, uint32_t len)
{
    put32(out, type);
    put32(out, len);
}

static int end(FILE *out, uint32_t len)
{
    put32(out, len);
    return ferror(out) ? -(errno ? errno : EIO) : 0;
}

static struct pcapng_option text_option(uint16_t code, const char *text)
{
    return (struct pcapng_option){code, text ? (uint16_t)strnlen(text, COMMENT_MAX) : 0, text};
}

int nst_pcapng_section(FILE *out, const char *application)
{
    const struct pcapng_option option = text_option(SHB_USERAPPL, application);
    uint32_t len = BLOCK_FRAME + 16 + options_len(&option, 1);

    begin(out, BLOCK_SECTION, len);
    put32(out, BYTE_ORDER_MAGIC);
    put16(out, 1); /* version 1.0 */
    put16(out, 0);
    put32(out, UINT32_MAX); /* the section's length: not known */
    put32(out, UINT32_MAX);
    put_options(out, &option, 1);
    return end(out, len);
}

int nst_pcapng_interface(FILE *out, const char *name, enum nst_medium medium, uint32_t snaplen)
{
    static const uint8_t nanoseconds = 9;
    const struct pcapng_option options[] = {text_option(IF_NAME, name),
                                            {IF_TSRESOL, 1, &nanoseconds}};
    uint32_t len = BLOCK_FRAME + 8 + options_len(options, 2);

    begin(out, BLOCK_INTERFACE, len);
    put16(out, medium == NST_MEDIUM_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
    put16(out, 0);
    put32(out, snaplen);
    put_options(out, options, 2);
    return end(out, len);
}

int nst_pcapng_packet(FILE *out, const struct nst_pcapng_packet *packet)
{
    const uint32_t flags = packet->direction;
    const struct pcapng_option options[] = {
        {EPB_FLAGS, sizeof flags, &flags},
        {EPB_DROPCOUNT, sizeof packet->lost, packet->lost > 0 ? &packet->lost : NULL},
        text_option(OPT_COMMENT, packet->comment),
    };
    uint32_t len = BLOCK_FRAME + 20 + packet->len + padding(packet->len) + options_len(options, 3);

    begin(out, BLOCK_PACKET, len);
    put32(out, packet->interface);
    put32(out, (uint32_t)(packet->time_ns >> 32));
    put32(out, (uint32_t)packet->time_ns);
    put32(out, packet->len);
    put32(out, packet->full_len);
    put_padded(out, packet->data, packet->len);
    put_options(out, options, 3);
    return end(out, len);
}
