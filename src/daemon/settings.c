#include "daemon/settings.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/tcp/cc.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BUFFERS_MAX (1u << 30)
#define MTU_MIN     68
#define MTU_MAX                                                                      \
    65521 /* what the kernel allows for a TAP device: 65,535 less an Ethernet header \
           */

/* ---- Values ---------------------------------------------------------------------------- */

/* Whether `value` is 1 to `max` characters, each a letter, a digit or one of `others`. */
static bool is_word(const char *value, size_t max, const char *others)
{
    size_t len = strlen(value);

    for (const char *p = value; *p; p++) {
        bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9');
        if (!alnum && !strchr(others, *p))
            return false;
    }
    return len >= 1 && len <= max;
}

/* Copies a word that was checked to fit. */
static void copy_word(char *field, const char *value)
{
    memcpy(field, value, strlen(value) + 1);
}

/* Narrower than the kernel's rule: no name that means something in a rule set or a path. */
static bool is_ifname(const char *value)
{
    return is_word(value, NST_UP_IFNAME_MAX, "_.-@+") && strcmp(value, ".") != 0 &&
           strcmp(value, "..") != 0;
}

/* A decimal number up to `max`; `end` gets what follows it. */
static bool parse_number(const char *value, uint32_t max, uint32_t *out, const char **end)
{
    uint64_t number = 0;
    const char *p = value;

    for (; *p >= '0' && *p <= '9'; p++) {
        number = number * 10 + (uint64_t)(*p - '0');
        if (number > max)
            return false;
    }
    *out = (uint32_t)number;
    *end = p;
    return p > value;
}

/* systemd's booleans. */
static bool parse_bool(const char *value, bool *out)
{
    static const char *const words[][6] = {{"0", "no", "n", "false", "f", "off"},
                                           {"1", "yes", "y", "true", "t", "on"}};

    for (size_t truth = 0; truth < 2; truth++) {
        for (size_t i = 0; i < NST_ARRAY_LEN(words[truth]); i++) {
            if (strcasecmp(value, words[truth][i]) == 0) {
                *out = truth;
                return true;
            }
        }
    }
    return false;
}

struct word {
    const char *word;
    int value;
};

static bool parse_word(const struct word *words, size_t n, const char *value, int *out)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(value, words[i].word) == 0) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_ipv4(const char *value, struct nst_addr *out)
{
    return nst_addr_parse(out, value) && out->family == NST_AF_INET;
}

static bool parse_ipv4_prefix(const char *value, struct nst_prefix *out)
{
    return nst_prefix_parse(out, value) && out->addr.family == NST_AF_INET;
}

/* ---- Settings -------------------------------------------------------------------------- */

static const char *set_name(struct nst_settings *s, const char *value)
{
    if (!is_word(value, NST_UP_NAME_MAX, "_.-"))
        return "a name of 1 to 32 letters, digits, '_', '.' or '-'";
    copy_word(s->config->name, value);
    return NULL;
}

static const char *set_ifname(char *field, const char *value)
{
    if (!is_ifname(value))
        return "an interface name of 1 to 15 letters, digits, '_', '.', '-', '@' or '+'";
    copy_word(field, value);
    return NULL;
}

/* A device of ours; or packet:IFNAME, somebody else's. */
static const char *set_device(struct nst_settings *s, const char *value)
{
    static const char packet[] = "packet:";

    if (strncmp(value, packet, strlen(packet)) == 0) {
        s->config->kind = NST_DEVICE_PACKET;
        value += strlen(packet);
    }
    return set_ifname(s->config->device, value);
}

static const char *set_nat(struct nst_settings *s, const char *value)
{
    return set_ifname(s->config->nat, value);
}

static const char *set_kind(struct nst_settings *s, const char *value)
{
    static const struct word kinds[] = {
        {"tap", NST_DEVICE_TAP}, {"tun", NST_DEVICE_TUN}, {"packet", NST_DEVICE_PACKET}};
    int kind;

    if (!parse_word(kinds, NST_ARRAY_LEN(kinds), value, &kind))
        return "tap, tun or packet";
    s->config->kind = (enum nst_device_kind)kind;
    return NULL;
}

static const char *set_mac(struct nst_settings *s, const char *value)
{
    struct nst_mac mac;

    if (!nst_mac_parse(&mac, value) || nst_mac_is_group(&mac) || nst_mac_is_zero(&mac))
        return "a unicast MAC address such as 02:00:00:00:00:01";
    s->config->mac = mac;
    s->config->has_mac = true;
    return NULL;
}

/* Bytes, or with systemd's suffixes (powers of 1024). */
static const char *set_mtu(struct nst_settings *s, const char *value)
{
    static const char accepted[] = "a number of bytes from 68 to 65521";
    const char *suffix;
    uint32_t mtu;

    if (!parse_number(value, MTU_MAX, &mtu, &suffix))
        return accepted;
    if (strcmp(suffix, "K") == 0)
        mtu *= 1024;
    else if (strcmp(suffix, "M") == 0)
        mtu = mtu ? MTU_MAX + 1 : 0;
    else if (*suffix)
        return accepted;
    if (mtu < MTU_MIN || mtu > MTU_MAX)
        return accepted;
    s->config->mtu = mtu;
    s->has_link = true;
    return NULL;
}

static const char *set_queue(struct nst_settings *s, const char *value)
{
    const char *end;
    uint32_t packets;

    if (!parse_number(value, 1000000, &packets, &end) || *end || packets == 0)
        return "a number of packets from 1 to 1000000";
    s->config->queue_pkts = packets;
    s->has_link = true;
    return NULL;
}

static const char *set_queues(struct nst_settings *s, const char *value)
{
    const char *end;

    if (!parse_number(value, NST_UP_QUEUES, &s->config->queues, &end) || *end ||
        s->config->queues == 0)
        return "a number from 1 to 16";
    return NULL;
}

static const char *set_busy_poll(struct nst_settings *s, const char *value)
{
    const char *end;

    if (!parse_number(value, 1000000, &s->config->busy_poll_us, &end) || *end)
        return "a number of microseconds from 0 to 1000000";
    return NULL;
}

static const char *set_offload(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->offload) ? NULL : "yes or no";
}

static const char *set_sandbox(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->sandbox) ? NULL : "yes or no";
}

static const char *set_log_json(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->log_json) ? NULL : "yes or no";
}

static const char *set_ecn(struct nst_settings *s, const char *value)
{
    static const struct word modes[] = {
        {"off", NST_TCP_ECN_OFF}, {"ask", NST_TCP_ECN_ASK}, {"accept", NST_TCP_ECN_ACCEPT}};
    int mode;

    if (!parse_word(modes, NST_ARRAY_LEN(modes), value, &mode))
        return "off, ask or accept";
    s->config->ecn = (enum nst_tcp_ecn_mode)mode;
    return NULL;
}

static const char *set_fastopen(struct nst_settings *s, const char *value)
{
    static const struct word modes[] = {
        {"off", 0},
        {"client", NST_TCP_FASTOPEN_CLIENT},
        {"server", NST_TCP_FASTOPEN_SERVER},
        {"both", NST_TCP_FASTOPEN_CLIENT | NST_TCP_FASTOPEN_SERVER}};
    int mode;

    if (!parse_word(modes, NST_ARRAY_LEN(modes), value, &mode))
        return "off, client, server or both";
    s->config->fastopen = (uint16_t)mode;
    return NULL;
}

static const char *set_mtu_probing(struct nst_settings *s, const char *value)
{
    static const struct word modes[] = {{"off", NST_TCP_MTU_PROBING_OFF},
                                        {"black-hole", NST_TCP_MTU_PROBING_BLACK_HOLE},
                                        {"always", NST_TCP_MTU_PROBING_ALWAYS}};
    int mode;

    if (!parse_word(modes, NST_ARRAY_LEN(modes), value, &mode))
        return "off, black-hole or always";
    s->config->mtu_probing = (enum nst_tcp_mtu_probing)mode;
    return NULL;
}

static const char *set_metrics(struct nst_settings *s, const char *value)
{
    static const struct word modes[] = {
        {"off", 0}, {"path", NST_TCP_METRICS_PATH}, {"all", NST_TCP_METRICS_ALL}};
    int mode;

    if (!parse_word(modes, NST_ARRAY_LEN(modes), value, &mode))
        return "off, path or all";
    s->config->metrics = (uint8_t)mode;
    return NULL;
}

/* Several, with commas between them. */
static const char *set_recovery(struct nst_settings *s, const char *value)
{
    static const struct word methods[] = {{"none", 0},
                                          {"all", NST_TCP_RECOVERY_ALL},
                                          {"rack", NST_TCP_RECOVERY_RACK},
                                          {"tlp", NST_TCP_RECOVERY_TLP},
                                          {"prr", NST_TCP_RECOVERY_PRR},
                                          {"frto", NST_TCP_RECOVERY_FRTO},
                                          {"undo", NST_TCP_RECOVERY_UNDO}};
    uint8_t chosen = 0;

    for (const char *next = value; next; next = strchr(next, ',')) {
        char word[8];
        int method;
        next += *next == ',';
        size_t len = strcspn(next, ",");
        snprintf(word, sizeof word, "%.*s", (int)nst_min(len, sizeof word), next);
        if (!parse_word(methods, NST_ARRAY_LEN(methods), word, &method))
            return "all, none, or of rack, tlp, prr, frto and undo some with commas between them";
        chosen |= (uint8_t)method;
    }
    s->config->recovery = chosen;
    return NULL;
}

static const char *set_log_level(struct nst_settings *s, const char *value)
{
    static const struct word levels[] = {{"error", NST_UP_LOG_ERROR},
                                         {"warning", NST_UP_LOG_WARNING},
                                         {"info", NST_UP_LOG_INFO},
                                         {"debug", NST_UP_LOG_DEBUG}};
    int level;

    if (!parse_word(levels, NST_ARRAY_LEN(levels), value, &level))
        return "error, warning, info or debug";
    s->config->log_level = (enum nst_up_log)level;
    return NULL;
}

/* A bare prefix for an address of the stack or the host: the whole network comes with it. */
static const char *parse_interface(const char *value, struct nst_prefix *out)
{
    if (!parse_ipv4_prefix(value, out) || out->len == 0)
        return "an IPv4 address with its prefix length such as 10.0.0.2/24";
    return NULL;
}

/* The next free place among the stack's addresses, or NULL. */
static struct nst_up_address *push_address(struct nst_settings *s)
{
    if (s->config->naddresses == NST_UP_ADDRESSES)
        return NULL;
    struct nst_up_address *address = &s->config->addresses[s->config->naddresses++];
    *address = (struct nst_up_address){.acd = NST_ACD_ANNOUNCE};
    return address;
}

static const char too_many_addresses[] = "at most 8 addresses in all";
static const char too_many_routes[] = "at most 32 [Route] sections";

static const char *add_address(struct nst_settings *s, const char *value)
{
    struct nst_prefix prefix;
    const char *accepted = parse_interface(value, &prefix);

    if (accepted)
        return accepted;
    struct nst_up_address *address = push_address(s);
    if (!address)
        return too_many_addresses;
    address->prefix = prefix;
    return NULL;
}

/* The first address among the flags replaces all that the file gave. */
static const char *add_address_flag(struct nst_settings *s, const char *value)
{
    if (!s->addresses_are_flags)
        s->config->naddresses = 0;
    s->addresses_are_flags = true;
    return add_address(s, value);
}

static const char *set_section_address(struct nst_settings *s, const char *value)
{
    return parse_interface(value, &s->address->prefix);
}

static const char *parse_acd(const char *value, enum nst_acd *out)
{
    static const struct word words[] = {
        {"off", NST_ACD_OFF},  {"announce", NST_ACD_ANNOUNCE}, {"probe", NST_ACD_PROBE},
        {"none", NST_ACD_OFF}, {"ipv4", NST_ACD_PROBE},        {"both", NST_ACD_PROBE},
    };
    int acd;

    if (!parse_word(words, NST_ARRAY_LEN(words), value, &acd))
        return "off, announce or probe";
    *out = (enum nst_acd)acd;
    return NULL;
}

static const char *set_section_acd(struct nst_settings *s, const char *value)
{
    return parse_acd(value, &s->address->acd);
}

static const char *set_acd_flag(struct nst_settings *s, const char *value)
{
    const char *accepted = parse_acd(value, &s->acd);

    s->has_acd = !accepted;
    return accepted;
}

static const char *set_host(struct nst_settings *s, const char *value)
{
    struct nst_prefix host = {0};

    if (strcmp(value, "none") != 0 && parse_interface(value, &host))
        return "none, or an IPv4 address with its prefix length such as 10.0.0.1/24";
    s->config->host = host;
    s->has_host = true;
    return NULL;
}

static const char *set_gateway(struct nst_settings *s, const char *value)
{
    struct nst_addr gateway = {0};

    if (strcmp(value, "none") != 0 && !parse_ipv4(value, &gateway))
        return "none, or an IPv4 address such as 10.0.0.1";
    s->config->gateway = gateway;
    s->has_gateway = true;
    return NULL;
}

static const char *add_dns(struct nst_settings *s, const char *value)
{
    struct nst_addr addr;

    if (!nst_addr_parse(&addr, value) || !nst_addr_is_host(&addr))
        return "the address of a name server such as 10.0.0.1";
    if (s->config->ndns == NST_UP_DNS)
        return "at most 3 name servers";
    s->config->dns[s->config->ndns++] = addr;
    return NULL;
}

/* As for addresses, those among the flags replace those of the file. */
static const char *add_dns_flag(struct nst_settings *s, const char *value)
{
    if (!s->dns_are_flags)
        s->config->ndns = 0;
    s->dns_are_flags = true;
    return add_dns(s, value);
}

static const char *set_ping(struct nst_settings *s, const char *value)
{
    struct nst_addr addr;

    if (!parse_ipv4(value, &addr) || !nst_addr_is_host(&addr))
        return "the IPv4 address of a host such as 10.0.0.1";
    s->config->ping = addr;
    return NULL;
}

static const char *set_route_dst(struct nst_settings *s, const char *value)
{
    struct nst_prefix dst;

    if (!parse_ipv4_prefix(value, &dst))
        return "an IPv4 network such as 192.0.2.0/24";
    s->route->dst = nst_prefix_network(&dst);
    return NULL;
}

static const char *set_route_gateway(struct nst_settings *s, const char *value)
{
    return parse_ipv4(value, &s->route->gateway) ? NULL : "an IPv4 address such as 10.0.0.1";
}

static const char *set_route_metric(struct nst_settings *s, const char *value)
{
    const char *end;
    uint32_t metric;

    if (!parse_number(value, UINT32_MAX, &metric, &end) || *end)
        return "a number from 0 to 4294967295";
    s->route->metric = metric;
    return NULL;
}

static const char *set_user(struct nst_settings *s, const char *value)
{
    const struct passwd *user = getpwnam(value);

    if (!user || strlen(value) > NST_UP_USER_MAX)
        return "the name of a user of this host";
    copy_word(s->config->user, value);
    s->config->uid = user->pw_uid;
    s->config->gid = user->pw_gid;
    return NULL;
}

/* ---- What users may do ------------------------------------------------------------------- */

static const char *set_person_name(struct nst_settings *s, const char *value)
{
    const struct passwd *user = getpwnam(value);

    if (!user)
        return "the name of a user of this host";
    s->person->uid = user->pw_uid;
    s->person->named = true;
    return NULL;
}

/* One port or a range; `*end` gets what follows. */
static bool parse_ports(const char *value, struct nst_up_ports *out, const char **end)
{
    uint32_t first, last;

    if (!parse_number(value, UINT16_MAX, &first, end))
        return false;
    last = first;
    if (**end == '-' && !parse_number(*end + 1, UINT16_MAX, &last, end))
        return false;
    *out = (struct nst_up_ports){(uint16_t)first, (uint16_t)last};
    return first > 0 && first <= last;
}

static const char *set_person_ports(struct nst_settings *s, const char *value)
{
    static const char accepted[] = "none, or up to 16 ports and ranges such as 80,443,8000-8099";
    struct nst_up_person *p = s->person;

    p->nports = 0;
    if (strcmp(value, "none") == 0)
        return NULL;
    for (bool more = true; more; value++) {
        if (p->nports == NST_UP_PORTS || !parse_ports(value, &p->ports[p->nports++], &value))
            return accepted;
        more = *value == ',';
        if (!more && *value)
            return accepted;
    }
    return NULL;
}

static const char *set_person_address(struct nst_settings *s, const char *value)
{
    return parse_ipv4(value, &s->person->addr) ? NULL : "an IPv4 address such as 10.0.0.2";
}

static const char *set_count(uint32_t *field, const char *value)
{
    const char *end;

    return parse_number(value, 16384, field, &end) && !*end ? NULL : "a number from 0 to 16384";
}

static const char *set_person_sockets(struct nst_settings *s, const char *value)
{
    return set_count(&s->person->sockets, value);
}

static const char *set_person_listeners(struct nst_settings *s, const char *value)
{
    return set_count(&s->person->listeners, value);
}

static const char *set_person_connecting(struct nst_settings *s, const char *value)
{
    return set_count(&s->person->connecting, value);
}

static const char *set_person_messages(struct nst_settings *s, const char *value)
{
    const char *end;

    if (!parse_number(value, 1000000, &s->person->messages, &end) || *end || !s->person->messages)
        return "a number of messages from 1 to 1000000";
    return NULL;
}

/* Bytes, or with systemd's suffixes. */
static const char *set_person_buffers(struct nst_settings *s, const char *value)
{
    uint32_t *bytes = &s->person->buffer_bytes, unit = 1;
    const char *suffix;

    if (parse_number(value, BUFFERS_MAX, bytes, &suffix)) {
        if (*suffix == 'K' || *suffix == 'M')
            unit = *suffix++ == 'K' ? 1024 : 1024 * 1024;
        if (!*suffix && *bytes <= BUFFERS_MAX / unit) {
            *bytes *= unit;
            return NULL;
        }
    }
    return "a number of bytes from 0 to 1024M, such as 16M";
}

/* ---- Switches ---------------------------------------------------------------------------- */

static const char *set_daemon(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->daemon) ? NULL : "yes or no";
}

static const char *set_services(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->services) ? NULL : "yes or no";
}

static const char *set_congestion(struct nst_settings *s, const char *value)
{
    const struct nst_cc_ops *ops = nst_cc_find(value);

    if (!ops)
        return "cubic, reno or bbr";
    s->config->congestion = ops->name;
    return NULL;
}

static const char *set_pacing(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->config->pacing) ? NULL : "yes or no";
}

static const char *set_file(struct nst_settings *s, const char *value)
{
    if (!*value)
        return "the path of a file";
    s->file = value;
    return NULL;
}

static const char *set_help(struct nst_settings *s, const char *value)
{
    return parse_bool(value, &s->help) ? NULL : "yes or no";
}

/* ---- The table --------------------------------------------------------------------------- */

#define FLAG(name, argument)    .flag = (name), .arg = (argument)
#define SWITCH(name, value)     .flag = (name), .implied = (value)
#define KEY(in_section, a_name) .section = (in_section), .key = (a_name)

const struct nst_setting nst_settings_table[] = {
    {FLAG("name", "NAME"), KEY("Netstack", "Name"), .set = set_name,
     .help = "this instance's name (default: $NETSTACK_NAME, or \"default\")"},
    {FLAG("config", "FILE"), .set = set_file, .help = "read FILE first; flags override it"},
    {FLAG("device", "[packet:]IFNAME"), KEY("Match", "Name"), .letter = 'd', .set = set_device,
     .help = "the device to make or attach to (default: tun0);\n"
             "packet: be a station more on the Ethernet interface IFNAME"},
    {SWITCH("tun", "tun"), KEY("Netstack", "Kind"), .set = set_kind,
     .help = "a TUN device (bare IP packets) instead of TAP"},
    {SWITCH("no-offload", "no"), KEY("Netstack", "Offload"), .set = set_offload,
     .help = "use the device without its offloads: plain frames"},
    {FLAG("mac", "MAC"), KEY("Link", "MACAddress"), .set = set_mac,
     .help = "the stack's MAC address (default: made up)"},
    {FLAG("mtu", "BYTES"), KEY("Link", "MTUBytes"), .set = set_mtu,
     .help = "largest IP packet (default: 1500)"},
    {FLAG("queue-length", "PACKETS"), KEY("Link", "TransmitQueueLength"), .set = set_queue,
     .help = "packets the device holds for the stack (default: 1000)"},
    {FLAG("queues", "N"), KEY("Netstack", "Queues"), .set = set_queues,
     .help = "queues of the device, each with a thread, over which TCP connections\n"
             "are spread (default: 1)"},
    {FLAG("address", "ADDR/LEN"), .set = add_address_flag,
     .help = "the stack's address; may be repeated (default: 10.0.0.2/24)"},
    {KEY("Network", "Address"), .set = add_address},
    {KEY("Address", "Address"), .set = set_section_address},
    {FLAG("acd", "off|announce|probe"), .set = set_acd_flag,
     .help = "address conflict detection, RFC 5227 (default: announce)"},
    {KEY("Address", "DuplicateAddressDetection"), .set = set_section_acd},
    {FLAG("host-address", "ADDR/LEN|none"), KEY("Netstack", "HostAddress"), .set = set_host,
     .help = "the host's address on the device (default: the network's first);\n"
             "none leaves the host's side of the device alone"},
    {FLAG("gateway", "ADDR|none"), KEY("Network", "Gateway"), .set = set_gateway,
     .help = "the stack's default gateway (default: the host's address)"},
    {FLAG("dns", "ADDR"), .set = add_dns_flag,
     .help = "a name server for programs that run on the stack; may be repeated"},
    {KEY("Network", "DNS"), .set = add_dns},
    {KEY("Route", "Destination"), .set = set_route_dst},
    {KEY("Route", "Gateway"), .set = set_route_gateway},
    {KEY("Route", "Metric"), .set = set_route_metric},
    {KEY("User", "Name"), .set = set_person_name},
    {KEY("User", "Ports"), .set = set_person_ports},
    {KEY("User", "Address"), .set = set_person_address},
    {KEY("User", "Sockets"), .set = set_person_sockets},
    {KEY("User", "Listeners"), .set = set_person_listeners},
    {KEY("User", "Connecting"), .set = set_person_connecting},
    {KEY("User", "Messages"), .set = set_person_messages},
    {KEY("User", "Buffers"), .set = set_person_buffers},
    {FLAG("nat", "IFNAME"), KEY("Netstack", "NAT"), .set = set_nat,
     .help = "let the stack reach, through IFNAME, what the host reaches"},
    {FLAG("ecn", "off|ask|accept"), KEY("TCP", "ECN"), .set = set_ecn,
     .help = "explicit congestion notification, RFC 3168 (default: accept)"},
    {FLAG("fastopen", "off|client|server|both"), KEY("TCP", "FastOpen"), .set = set_fastopen,
     .help = "data in SYNs, RFC 7413 (default: client)"},
    {FLAG("mtu-probing", "off|black-hole|always"), KEY("TCP", "MTUProbing"), .set = set_mtu_probing,
     .help = "find out what the path carries, RFC 4821 (default: off)"},
    {FLAG("recovery", "METHOD,..."), KEY("TCP", "Recovery"), .set = set_recovery,
     .help = "of rack, tlp, prr, frto and undo, or none (default: all)"},
    {FLAG("metrics", "off|path|all"), KEY("TCP", "Metrics"), .set = set_metrics,
     .help = "what connections learn from earlier ones, RFC 9040 (default: path)"},
    {SWITCH("services", "yes"), KEY("Netstack", "Services"), .set = set_services,
     .help = "offer echo 7, discard 9, daytime 13 and chargen 19"},
    {FLAG("congestion", "cubic|reno|bbr"), KEY("Netstack", "CongestionControl"),
     .set = set_congestion, .help = "TCP's congestion control (default: cubic)"},
    {SWITCH("no-pacing", "no"), KEY("Netstack", "Pacing"), .set = set_pacing,
     .help = "let TCP send at once all that its window allows"},
    {FLAG("ping", "ADDR"), .set = set_ping, .help = "ping ADDR from the stack at once"},
    {FLAG("busy-poll", "MICROSECONDS"), KEY("Netstack", "BusyPollUSec"), .set = set_busy_poll,
     .help = "go on polling for so long before going to sleep (default: 0)"},
    {FLAG("user", "USER"), KEY("Netstack", "User"), .set = set_user,
     .help = "become USER once the device is open"},
    {SWITCH("no-sandbox", "no"), KEY("Netstack", "Sandbox"), .set = set_sandbox,
     .help = "keep all rights and system calls, for debugging"},
    {FLAG("log-level", "LEVEL"), KEY("Netstack", "LogLevel"), .set = set_log_level,
     .help = "error, warning, info or debug (default: info)"},
    {SWITCH("log-json", "yes"), KEY("Netstack", "LogJSON"), .set = set_log_json,
     .help = "log lines of JSON"},
    {SWITCH("daemon", "yes"), .set = set_daemon,
     .help = "return once the stack answers, and run on in the background"},
    {SWITCH("help", "yes"), .letter = 'h', .set = set_help, .help = "show this text"},
};
const size_t nst_settings_count = NST_ARRAY_LEN(nst_settings_table);

/* ---- Sections that describe one thing each ----------------------------------------------- */

const char *nst_settings_begin(struct nst_settings *s, const char *section)
{
    if (strcmp(section, "Address") == 0) {
        s->address = push_address(s);
        return s->address ? NULL : too_many_addresses;
    }
    if (strcmp(section, "Route") == 0) {
        if (s->config->nroutes == NST_UP_ROUTES)
            return too_many_routes;
        s->route = &s->config->routes[s->config->nroutes++];
        *s->route = (struct nst_up_route){0};
    }
    if (strcmp(section, "User") == 0) {
        if (s->config->npersons == NST_UP_PERSONS)
            return "at most 32 [User] sections";
        s->person = &s->config->persons[s->config->npersons++];
        *s->person = (struct nst_up_person)NST_UP_ANYONE;
    }
    return NULL;
}

const char *nst_settings_end(struct nst_settings *s)
{
    const struct nst_up_address *address = s->address;
    struct nst_up_route *route = s->route;
    const struct nst_up_person *person = s->person;

    s->address = NULL;
    s->route = NULL;
    s->person = NULL;
    if (person && !person->named)
        return "the [User] section has no Name=";
    if (address && !nst_addr_is_set(&address->prefix.addr))
        return "the [Address] section has no Address=";
    if (!route || nst_addr_is_set(&route->dst.addr))
        return NULL;
    if (!nst_addr_is_set(&route->gateway))
        return "the [Route] section has neither Destination= nor Gateway=";
    route->dst.addr.family = route->gateway.family; /* 0.0.0.0/0: a default route */
    return NULL;
}
