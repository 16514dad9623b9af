/* Addresses are classified by the prefixes that RFCs 1122, 5771 and 6890 set aside. Those of
 * IPv4 are told by the first byte, in the header, since every packet asks.
 *
 * Text is read by a cursor that moves through the string: each take_*() consumes what it knows and
 * leaves the cursor behind it, or returns false; the caller of the outermost one asks whether the
 * string ended there. Nothing is written to the result before all of it was understood. */
#include "core/base/addr.h"

#include "core/base/bytes.h"
#include "core/base/text.h"

#define V4_BYTES  4
#define V6_BYTES  16
#define V6_GROUPS (V6_BYTES / 2)

/* ---- Classes ----------------------------------------------------------------------------- */

static const struct nst_addr V6_LOOPBACK = {NST_AF_INET6, {[15] = 1}};
static const struct nst_prefix V6_MAPPED = {{NST_AF_INET6, {[10] = 0xff, [11] = 0xff}}, 96};

const struct nst_mac nst_mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

bool nst_addr_is_any(const struct nst_addr *a)
{
    const struct nst_addr any = {.family = a->family};

    return nst_addr_is_set(a) && nst_addr_eq(a, &any);
}

bool nst_addr_is_v6_loopback(const struct nst_addr *a)
{
    return nst_addr_eq(a, &V6_LOOPBACK);
}

bool nst_addr_is_v6_host(const struct nst_addr *a)
{
    return nst_addr_is_set(a) && !nst_addr_is_any(a) && !nst_addr_is_loopback(a) &&
           !nst_addr_is_multicast(a) && !nst_prefix_has(&V6_MAPPED, a);
}

/* The first `bits` bits of a byte, from the most significant. */
static uint8_t byte_mask(unsigned bits)
{
    return (uint8_t)(0xff00 >> bits);
}

static bool v4_prefix_has(const struct nst_prefix *net, const struct nst_addr *a)
{
    uint64_t differ = nst_load32(net->addr.bytes) ^ nst_load32(a->bytes);

    return differ >> (32 - net->len) == 0; /* 64 bits, so that 32 of them can be shifted out */
}

bool nst_prefix_has(const struct nst_prefix *net, const struct nst_addr *a)
{
    unsigned whole = net->len / 8, rest = net->len % 8;

    if (net->addr.family != a->family || net->len > nst_addr_bits(a->family))
        return false;
    if (a->family == NST_AF_INET)
        return v4_prefix_has(net, a);
    if (memcmp(net->addr.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((net->addr.bytes[whole] ^ a->bytes[whole]) & byte_mask(rest)) == 0;
}

struct nst_prefix nst_prefix_network(const struct nst_prefix *net)
{
    struct nst_prefix out = *net;

    for (unsigned i = net->len / 8; i < V6_BYTES; i++)
        out.addr.bytes[i] &= i == net->len / 8 ? byte_mask(net->len % 8) : 0;
    return out;
}

bool nst_mac_is_zero(const struct nst_mac *m)
{
    static const struct nst_mac zero = {{0}};

    return nst_mac_eq(m, &zero);
}

bool nst_mac_is_broadcast(const struct nst_mac *m)
{
    return nst_mac_eq(m, &nst_mac_broadcast);
}

/* ---- From text --------------------------------------------------------------------------- */

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    ++*s;
    return true;
}

/* The value of a hexadecimal digit of either case, -1 for anything else. */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_digit(char c, int base)
{
    int value = digit_value(c);

    return value >= 0 && value < base;
}

/* A decimal number up to `max`, without leading zeros: some read those as octal. */
static bool take_dec(const char **s, unsigned max, uint8_t *out)
{
    const char *first = *s;
    unsigned value = 0;

    for (; is_digit(**s, 10) && value <= max; ++*s)
        value = value * 10 + (unsigned)digit_value(**s);
    if (*s == first || value > max || (*first == '0' && *s - first > 1))
        return false;
    *out = (uint8_t)value;
    return true;
}

/* A hexadecimal number of `min` to `max` digits. */
static bool take_hex(const char **s, int min, int max, uint16_t *out)
{
    const char *first = *s;
    unsigned value = 0;

    for (; is_digit(**s, 16) && *s - first < max; ++*s)
        value = value << 4 | (unsigned)digit_value(**s);
    *out = (uint16_t)value;
    return *s - first >= min;
}

static bool take_v4(const char **text, uint8_t out[V4_BYTES])
{
    const char *s = *text;

    for (unsigned i = 0; i < V4_BYTES; i++)
        if ((i > 0 && !take_char(&s, '.')) || !take_dec(&s, 255, &out[i]))
            return false;
    *text = s;
    return true;
}

/* "::", which stands for one or more groups of zeros. */
static bool take_gap(const char **s)
{
    if ((*s)[0] != ':' || (*s)[1] != ':')
        return false;
    *s += 2;
    return true;
}

/* Groups of two bytes between colons, from `*n` on: up to a gap, or to the end, where the last four
 * bytes may be a dotted quad, behind which nothing stands. */
static bool take_groups(const char **s, uint8_t bytes[V6_BYTES], size_t *n)
{
    uint16_t group;

    do {
        if (*n + V4_BYTES <= V6_BYTES && take_v4(s, bytes + *n)) {
            *n += V4_BYTES;
            return **s != ':';
        }
        if (*n == V6_BYTES || !take_hex(s, 1, 4, &group))
            return false;
        nst_store16(bytes + *n, group);
        *n += 2;
    } while ((*s)[0] == ':' && (*s)[1] != ':' && take_char(s, ':'));
    return true;
}

/* RFC 4291 §2.2: eight groups, or fewer around one gap. */
static bool take_v6(const char **s, uint8_t out[V6_BYTES])
{
    uint8_t bytes[V6_BYTES] = {0};
    size_t n = 0, gap;

    if (**s != ':' && !take_groups(s, bytes, &n))
        return false;
    gap = n;
    if (!take_gap(s)) {
        memcpy(out, bytes, V6_BYTES);
        return n == V6_BYTES;
    }
    if (is_digit(**s, 16) && !take_groups(s, bytes, &n))
        return false;
    memset(out, 0, V6_BYTES);
    memcpy(out, bytes, gap);
    memcpy(out + V6_BYTES - (n - gap), bytes + gap, n - gap);
    return n < V6_BYTES;
}

static bool take_addr(const char **s, struct nst_addr *out)
{
    struct nst_addr v4 = {.family = NST_AF_INET}, v6 = {.family = NST_AF_INET6};

    if (take_v4(s, v4.bytes))
        *out = v4;
    else if (take_v6(s, v6.bytes))
        *out = v6;
    else
        return false;
    return true;
}

bool nst_addr_parse(struct nst_addr *out, const char *text)
{
    struct nst_addr addr;

    if (!take_addr(&text, &addr) || *text != '\0')
        return false;
    *out = addr;
    return true;
}

bool nst_prefix_parse(struct nst_prefix *out, const char *text)
{
    struct nst_prefix net;

    if (!take_addr(&text, &net.addr) || !take_char(&text, '/') ||
        !take_dec(&text, nst_addr_bits(net.addr.family), &net.len) || *text != '\0')
        return false;
    *out = net;
    return true;
}

bool nst_mac_parse(struct nst_mac *out, const char *text)
{
    struct nst_mac mac;
    uint16_t byte;

    for (unsigned i = 0; i < sizeof mac.bytes; i++) {
        if ((i > 0 && !take_char(&text, ':')) || !take_hex(&text, 2, 2, &byte))
            return false;
        mac.bytes[i] = (uint8_t)byte;
    }
    if (*text != '\0')
        return false;
    *out = mac;
    return true;
}

/* ---- To text ----------------------------------------------------------------------------- */

static void put_v4(struct nst_text *t, const uint8_t bytes[V4_BYTES])
{
    for (unsigned i = 0; i < V4_BYTES; i++) {
        if (i > 0)
            nst_text_char(t, '.');
        nst_text_dec(t, bytes[i]);
    }
}

/* A run of groups in an IPv6 address. */
struct run {
    unsigned start, len;
};

static uint16_t group_at(const uint8_t bytes[V6_BYTES], unsigned i)
{
    return nst_load16(bytes + (size_t)2 * i);
}

/* The longest run of zero groups, the first of equals; a single zero is none (RFC 5952 §4.2), and
 * none starts behind the end. */
static struct run longest_zeros(const uint8_t bytes[V6_BYTES])
{
    struct run best = {.start = V6_GROUPS, .len = 1}, here = {0};

    for (unsigned i = 0; i < V6_GROUPS; i++) {
        if (group_at(bytes, i) != 0) {
            here = (struct run){.start = i + 1};
            continue;
        }
        here.len++;
        if (here.len > best.len)
            best = here;
    }
    return best;
}

static void put_groups(struct nst_text *t, const uint8_t bytes[V6_BYTES])
{
    struct run zeros = longest_zeros(bytes);

    for (unsigned i = 0; i < V6_GROUPS; i++) {
        if (i == zeros.start) {
            nst_text_str(t, "::");
            i += zeros.len - 1;
            continue;
        }
        if (i > 0 && i != zeros.start + zeros.len)
            nst_text_char(t, ':');
        nst_text_hex(t, group_at(bytes, i), 1);
    }
}

/* RFC 5952; §5: an IPv4-mapped address shows its IPv4 address. */
static void put_v6(struct nst_text *t, const struct nst_addr *a)
{
    if (!nst_prefix_has(&V6_MAPPED, a)) {
        put_groups(t, a->bytes);
        return;
    }
    nst_text_str(t, "::ffff:");
    put_v4(t, a->bytes + V6_BYTES - V4_BYTES);
}

char *nst_addr_print(char buf[NST_ADDR_TEXT], const struct nst_addr *a)
{
    struct nst_text t = nst_text_init(buf, NST_ADDR_TEXT);

    switch (a->family) {
    case NST_AF_INET:
        put_v4(&t, a->bytes);
        break;
    case NST_AF_INET6:
        put_v6(&t, a);
        break;
    default:
        nst_text_char(&t, '-');
    }
    return buf;
}

char *nst_prefix_print(char buf[NST_PREFIX_TEXT], const struct nst_prefix *net)
{
    struct nst_text t = nst_text_init(buf, NST_PREFIX_TEXT);

    t.len = strlen(nst_addr_print(buf, &net->addr));
    nst_text_char(&t, '/');
    nst_text_dec(&t, net->len);
    return buf;
}

char *nst_mac_print(char buf[NST_MAC_TEXT], const struct nst_mac *m)
{
    struct nst_text t = nst_text_init(buf, NST_MAC_TEXT);

    for (unsigned i = 0; i < sizeof m->bytes; i++) {
        if (i > 0)
            nst_text_char(&t, ':');
        nst_text_hex(&t, m->bytes[i], 2);
    }
    return buf;
}
