/* Flags and configuration file: every setting by both ways, everything malformed with the sentence
 * that it earns. */
#define _GNU_SOURCE
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/config.h"

#include "../unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "test.conf"

static char workdir[] = "/tmp/netstack-config-XXXXXX";

/* Splits `flags` at its blanks and parses them. */
static int parse(struct nst_up_config *config, const char *flags, struct nst_fault *fault)
{
    char words[512], *argv[64] = {"up"}, *save;
    int argc = 1;

    assert_true(strlen(flags) < sizeof words);
    strcpy(words, flags);
    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return nst_config_parse(config, argc, argv, fault);
}

static void write_bytes(const char *text, size_t len)
{
    FILE *file = fopen(FILE_NAME, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static int parse_file(struct nst_up_config *config, const char *text, struct nst_fault *fault)
{
    write_bytes(text, strlen(text));
    return parse(config, "--config " FILE_NAME, fault);
}

/* The configuration as text, one field a line, so that tables can tell what is expected. */
static const char *describe(const struct nst_up_config *c)
{
    static char text[2048];
    char a[NST_PREFIX_TEXT], b[NST_PREFIX_TEXT];
    FILE *out = fmemopen(text, sizeof text, "w");

    fprintf(out, "%s %s %s%s", c->name, c->device, nst_config_kind(c->kind),
            c->offload ? " offload" : "");
    if (c->has_mac)
        fprintf(out, " mac=%s", nst_mac_print(a, &c->mac));
    fprintf(out, " mtu=%u queue=%u", c->mtu, c->queue_pkts);
    if (c->queues != 1)
        fprintf(out, " queues=%u", c->queues);
    if (c->busy_poll_us)
        fprintf(out, " poll=%u", c->busy_poll_us);
    for (size_t i = 0; i < c->naddresses; i++)
        fprintf(out, " %s/acd%d", nst_prefix_print(a, &c->addresses[i].prefix),
                c->addresses[i].acd);
    fprintf(out, " host=%s",
            nst_addr_is_set(&c->host.addr) ? nst_prefix_print(a, &c->host) : "none");
    fprintf(out, " via=%s", nst_addr_is_set(&c->gateway) ? nst_addr_print(a, &c->gateway) : "none");
    for (size_t i = 0; i < c->ndns; i++)
        fprintf(out, " dns=%s", nst_addr_print(a, &c->dns[i]));
    for (size_t i = 0; i < c->nroutes; i++)
        fprintf(out, " route=%s,%s,%u", nst_prefix_print(a, &c->routes[i].dst),
                nst_addr_is_set(&c->routes[i].gateway) ? nst_addr_print(b, &c->routes[i].gateway)
                                                       : "link",
                c->routes[i].metric);
    fprintf(out, " nat=%s", c->nat);
    if (nst_addr_is_set(&c->ping))
        fprintf(out, " ping=%s", nst_addr_print(a, &c->ping));
    fprintf(out, " user=%s log=%d%s%s%s", c->user, c->log_level, c->log_json ? " json" : "",
            c->daemon ? " daemon" : "", c->services ? " services" : "");
    if (c->ecn != NST_TCP_ECN_ACCEPT || c->fastopen != NST_TCP_FASTOPEN_CLIENT || c->mtu_probing)
        fprintf(out, " tcp=%d,%d,%d", c->ecn, c->fastopen, c->mtu_probing);
    if (c->recovery != NST_TCP_RECOVERY_ALL)
        fprintf(out, " recovery=%d", c->recovery);
    if (c->metrics != NST_TCP_METRICS_PATH)
        fprintf(out, " metrics=%d", c->metrics);
    if (strcmp(c->congestion, "cubic") != 0 || !c->pacing)
        fprintf(out, " %s%s", c->congestion, c->pacing ? "" : " unpaced");
    fclose(out);
    return text;
}

struct good {
    const char *input, *expected;
};

/* What stands around the part that a row is about. */
#define DEVICE    "default tun0 tap offload"
#define LIMITS    " mtu=1500 queue=1000"
#define ADDRESS   " 10.0.0.2/24/acd1 host=10.0.0.1/24 via=10.0.0.1"
#define REST      " nat= user= log=2"
#define DEFAULTS  DEVICE LIMITS ADDRESS REST
#define NET(text) DEVICE LIMITS text REST

static void check_good(const struct good *rows, size_t n,
                       int (*parser)(struct nst_up_config *, const char *, struct nst_fault *))
{
    for (size_t i = 0; i < n; i++) {
        struct nst_up_config config;
        struct nst_fault fault = {""};
        int r = parser(&config, rows[i].input, &fault);
        if (r != 0)
            fail_msg("row %zu: '%s' gives %d: %s", i, rows[i].input, r, fault.text);
        assert_string_equal(describe(&config), rows[i].expected);
    }
}

static void test_flags(void **state)
{
    static const struct good rows[] = {
        {"", DEFAULTS},
        {"--name a_B.9-z", "a_B.9-z tun0 tap offload" LIMITS ADDRESS REST},
        {"--name=x", "x tun0 tap offload" LIMITS ADDRESS REST},
        {"--name x --name y", "y tun0 tap offload" LIMITS ADDRESS REST},
        {"--device tap7", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"-d tap7", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"-dtap7", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"--device 0123456789abcde", "default 0123456789abcde tap offload" LIMITS ADDRESS REST},
        {"--tun", "default tun0 tun offload" LIMITS ADDRESS REST},
        {"--device packet:veth0 --address 192.0.2.9/24",
         "default veth0 packet offload" LIMITS " 192.0.2.9/24/acd1 host=none via=none" REST},
        {"-dpacket:veth0 --address 192.0.2.9/24 --gateway 192.0.2.1 --host-address none",
         "default veth0 packet offload" LIMITS " 192.0.2.9/24/acd1 host=none via=192.0.2.1" REST},
        {"--no-offload", "default tun0 tap" LIMITS ADDRESS REST},
        {"--mac 02:00:00:00:00:0a", DEVICE " mac=02:00:00:00:00:0a" LIMITS ADDRESS REST},
        {"--mtu 68", DEVICE " mtu=68 queue=1000" ADDRESS REST},
        {"--mtu 65521", DEVICE " mtu=65521 queue=1000" ADDRESS REST},
        {"--mtu 9K", DEVICE " mtu=9216 queue=1000" ADDRESS REST},
        {"--queue-length 1", DEVICE " mtu=1500 queue=1" ADDRESS REST},
        {"--queues 16", DEVICE LIMITS " queues=16" ADDRESS REST},
        {"--busy-poll 50", DEVICE LIMITS " poll=50" ADDRESS REST},
        {"--address 192.168.7.1/24",
         NET(" 192.168.7.1/24/acd1 host=192.168.7.2/24 via=192.168.7.2")},
        {"--address 10.9.0.0/31", NET(" 10.9.0.0/31/acd1 host=10.9.0.1/31 via=10.9.0.1")},
        {"--address 10.0.0.2/24 --address 10.0.0.1/24 --address 10.7.0.9/16",
         NET(" 10.0.0.2/24/acd1 10.0.0.1/24/acd1 10.7.0.9/16/acd1 host=10.0.0.3/24 via=10.0.0.3")},
        {"--address 10.0.0.2/32 --host-address none", NET(" 10.0.0.2/32/acd1 host=none via=none")},
        {"--acd off", NET(" 10.0.0.2/24/acd0 host=10.0.0.1/24 via=10.0.0.1")},
        {"--acd announce", DEFAULTS},
        {"--acd probe", NET(" 10.0.0.2/24/acd2 host=10.0.0.1/24 via=10.0.0.1")},
        {"--host-address 10.0.0.9/24", NET(" 10.0.0.2/24/acd1 host=10.0.0.9/24 via=10.0.0.9")},
        {"--host-address none --gateway 10.0.0.77",
         NET(" 10.0.0.2/24/acd1 host=none via=10.0.0.77")},
        {"--gateway 10.0.0.9", NET(" 10.0.0.2/24/acd1 host=10.0.0.1/24 via=10.0.0.9")},
        {"--gateway none", NET(" 10.0.0.2/24/acd1 host=10.0.0.1/24 via=none")},
        {"--dns 10.0.0.1 --dns 192.0.2.53",
         NET(" 10.0.0.2/24/acd1 host=10.0.0.1/24 via=10.0.0.1 dns=10.0.0.1 dns=192.0.2.53")},
        {"--nat eth0.100", DEVICE LIMITS ADDRESS " nat=eth0.100 user= log=2"},
        {"--ping 8.8.8.8", DEVICE LIMITS ADDRESS " nat= ping=8.8.8.8 user= log=2"},
        {"--user nobody", DEVICE LIMITS ADDRESS " nat= user=nobody log=2"},
        {"--log-level error", DEVICE LIMITS ADDRESS " nat= user= log=0"},
        {"--log-level warning", DEVICE LIMITS ADDRESS " nat= user= log=1"},
        {"--log-level debug", DEVICE LIMITS ADDRESS " nat= user= log=3"},
        {"--services", DEVICE LIMITS ADDRESS " nat= user= log=2 services"},
        {"--ecn ask --fastopen both --mtu-probing always",
         DEVICE LIMITS ADDRESS " nat= user= log=2 tcp=1,3,2"},
        {"--ecn off --fastopen off --mtu-probing black-hole",
         DEVICE LIMITS ADDRESS " nat= user= log=2 tcp=0,0,1"},
        {"--recovery rack,tlp,undo", DEVICE LIMITS ADDRESS " nat= user= log=2 recovery=19"},
        {"--recovery none,frto", DEVICE LIMITS ADDRESS " nat= user= log=2 recovery=8"},
        {"--recovery all", DEVICE LIMITS ADDRESS " nat= user= log=2"},
        {"--metrics off", DEVICE LIMITS ADDRESS " nat= user= log=2 metrics=0"},
        {"--metrics path", DEVICE LIMITS ADDRESS " nat= user= log=2"},
        {"--metrics all", DEVICE LIMITS ADDRESS " nat= user= log=2 metrics=3"},
        {"--congestion bbr", DEVICE LIMITS ADDRESS " nat= user= log=2 bbr"},
        {"--congestion reno --no-pacing", DEVICE LIMITS ADDRESS " nat= user= log=2 reno unpaced"},
        {"--log-json --daemon", DEVICE LIMITS ADDRESS " nat= user= log=2 json daemon"},
    };
    (void)state;

    check_good(rows, NST_ARRAY_LEN(rows), parse);
}

static void test_file(void **state)
{
    static const struct good rows[] = {
        {"", DEFAULTS},
        {"# a comment\n; another\n\n[Match]\n", DEFAULTS},
        {"[Match]\nName=tap7\n", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"[Match]\r\nName = tap7 \r\n", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"\xef\xbb\xbf[Match]\nName=tap7", "default tap7 tap offload" LIMITS ADDRESS REST},
        {"  [Link]\n  MTUBytes=1000\n\tMACAddress=02:00:00:00:00:01 ; ours\n",
         DEVICE " mac=02:00:00:00:00:01 mtu=1000 queue=1000" ADDRESS REST},
        {"[Link]\nMTUBytes=2K\nTransmitQueueLength=77\n", DEVICE " mtu=2048 queue=77" ADDRESS REST},
        {"[Network]\nAddress=10.1.0.2/16\nAddress=10.2.0.2/16\nGateway=10.2.0.9\n",
         NET(" 10.1.0.2/16/acd1 10.2.0.2/16/acd1 host=10.1.0.1/16 via=10.2.0.9")},
        {"[Network]\nDNS=10.0.0.1\nDNS=2001:db8::53\nDNS=192.0.2.53\n",
         NET(" 10.0.0.2/24/acd1 host=10.0.0.1/24 via=10.0.0.1 dns=10.0.0.1 dns=2001:db8::53"
             " dns=192.0.2.53")},
        {"[Address]\nAddress=10.1.0.2/16\nDuplicateAddressDetection=ipv4\n"
         "[Address]\nDuplicateAddressDetection=none\nAddress=10.2.0.2/16\n"
         "[Address]\nAddress=10.3.0.2/16\nDuplicateAddressDetection=both\n"
         "[Address]\nAddress=10.4.0.2/16\nDuplicateAddressDetection=announce\n",
         NET(" 10.1.0.2/16/acd2 10.2.0.2/16/acd0 10.3.0.2/16/acd2 10.4.0.2/16/acd1"
             " host=10.1.0.1/16 via=10.1.0.1")},
        {"[Route]\nDestination=192.0.2.7/24\nGateway=10.0.0.8\nMetric=4294967295\n"
         "[Route]\nGateway=10.0.0.9\n[Route]\n[Route]\nDestination=198.51.100.0/24\n",
         NET(" 10.0.0.2/24/acd1 host=10.0.0.1/24 via=10.0.0.1"
             " route=192.0.2.0/24,10.0.0.8,4294967295 route=0.0.0.0/0,10.0.0.9,0"
             " route=198.51.100.0/24,link,0")},
        {"[Netstack]\nName=web\nHostAddress=10.0.0.5/24\nNAT=eth0\nUser=nobody\nLogLevel=debug\n"
         "LogJSON=yes\nKind=tun\nOffload=no\n",
         "web tun0 tun" LIMITS " 10.0.0.2/24/acd1 host=10.0.0.5/24 via=10.0.0.5"
         " nat=eth0 user=nobody log=3 json"},
        {"[TCP]\nECN=off\nFastOpen=server\nMTUProbing=off\n",
         DEVICE LIMITS ADDRESS " nat= user= log=2 tcp=0,2,0"},
        {"[TCP]\nRecovery=prr\n", DEVICE LIMITS ADDRESS " nat= user= log=2 recovery=4"},
        {"[Netstack]\nServices=yes\n", DEVICE LIMITS ADDRESS " nat= user= log=2 services"},
        {"[Netstack]\nCongestionControl=bbr\nPacing=no\n",
         DEVICE LIMITS ADDRESS " nat= user= log=2 bbr unpaced"},
        {"[Netstack]\nLogJSON=Off\nKind=tap\nOffload=1\nHostAddress=none\n",
         NET(" 10.0.0.2/24/acd1 host=none via=none")},
    };
    (void)state;

    check_good(rows, NST_ARRAY_LEN(rows), parse_file);
}

static void test_flags_override_file_and_environment(void **state)
{
    static const char file[] = "[Match]\nName=tap7\n[Link]\nMTUBytes=1000\n"
                               "[Address]\nAddress=10.1.0.2/16\nDuplicateAddressDetection=none\n"
                               "[Netstack]\nName=from-file\nHostAddress=none\nKind=tun\n";
    static const struct good rows[] = {
        {"--config " FILE_NAME, "from-file tap7 tun offload mtu=1000 queue=1000"
                                " 10.1.0.2/16/acd0 host=none via=none" REST},
        {"--name f --address 10.5.0.2/24 --mtu 1400 --config " FILE_NAME " -d tap8",
         "f tap8 tun offload mtu=1400 queue=1000 10.5.0.2/24/acd1 host=none via=none" REST},
        {"--acd probe --config=" FILE_NAME " --host-address 10.1.0.9/16",
         "from-file tap7 tun offload mtu=1000 queue=1000"
         " 10.1.0.2/16/acd2 host=10.1.0.9/16 via=10.1.0.9" REST},
        {"", "from-env tun0 tap offload" LIMITS ADDRESS REST},
        {"--name f", "f tun0 tap offload" LIMITS ADDRESS REST},
    };
    (void)state;

    write_bytes(file, sizeof file - 1);
    setenv("NETSTACK_NAME", "from-env", 1);
    check_good(rows, NST_ARRAY_LEN(rows), parse);
    unsetenv("NETSTACK_NAME");
}

struct bad {
    const char *input, *message;
};

static void check_bad(const struct bad *rows, size_t n,
                      int (*parser)(struct nst_up_config *, const char *, struct nst_fault *))
{
    for (size_t i = 0; i < n; i++) {
        struct nst_up_config config;
        struct nst_fault fault = {""};
        if (parser(&config, rows[i].input, &fault) != -EINVAL)
            fail_msg("row %zu: '%s' is accepted", i, rows[i].input);
        assert_string_equal(fault.text, rows[i].message);
    }
}

#define NAME_RULE "expected a name of 1 to 32 letters, digits, '_', '.' or '-'"
#define IFNAME_RULE \
    "expected an interface name of 1 to 15 letters, digits, '_', '.', '-', '@' or '+'"
#define MAC_RULE    "expected a unicast MAC address such as 02:00:00:00:00:01"
#define MTU_RULE    "expected a number of bytes from 68 to 65521"
#define PREFIX_RULE "expected an IPv4 address with its prefix length such as 10.0.0.2/24"
#define HOST_RULE   "expected none, or an IPv4 address with its prefix length such as 10.0.0.1/24"
#define SEE_HELP    "see 'netstack up --help'"

static void test_bad_flags(void **state)
{
    static const struct bad rows[] = {
        {"--nonsense", "unknown flag --nonsense: " SEE_HELP},
        {"--nonsense=3", "unknown flag --nonsense: " SEE_HELP},
        {"--addr 10.0.0.2/24", "unknown flag --addr: " SEE_HELP},
        {"--", "unknown flag --: " SEE_HELP},
        {"-x", "unknown flag -x: " SEE_HELP},
        {"tun7", "unexpected argument 'tun7': " SEE_HELP},
        {"-", "unexpected argument '-': " SEE_HELP},
        {"--tun tun7", "unexpected argument 'tun7': " SEE_HELP},
        {"--tun=tun7", "--tun takes no value, but was given 'tun7'"},
        {"--mtu", "--mtu needs a value: " MTU_RULE},
        {"--congestion vegas", "--congestion vegas: expected cubic, reno or bbr"},
        {"--mtu --tun", "--mtu needs a value: " MTU_RULE},
        {"--config", "--config needs a value: expected the path of a file"},
        {"--config=", "--config : expected the path of a file"},
        {"-d", "-d needs a value: " IFNAME_RULE},
        {"--name=", "--name : " NAME_RULE},
        {"--name a/b", "--name a/b: " NAME_RULE},
        {"--name 123456789012345678901234567890123",
         "--name 123456789012345678901234567890123: " NAME_RULE},
        {"-d 0123456789abcdef", "-d 0123456789abcdef: " IFNAME_RULE},
        {"--device tun\"0", "--device tun\"0: " IFNAME_RULE},
        {"--device ..", "--device ..: " IFNAME_RULE},
        {"--device packet:", "--device packet:: " IFNAME_RULE},
        {"--nat eth*", "--nat eth*: " IFNAME_RULE},
        {"--mac 01:00:00:00:00:01", "--mac 01:00:00:00:00:01: " MAC_RULE},
        {"--mac 00:00:00:00:00:00", "--mac 00:00:00:00:00:00: " MAC_RULE},
        {"--mac 02:00:00:00:00", "--mac 02:00:00:00:00: " MAC_RULE},
        {"--mtu 67", "--mtu 67: " MTU_RULE},
        {"--mtu 65522", "--mtu 65522: " MTU_RULE},
        {"--mtu 64K", "--mtu 64K: " MTU_RULE},
        {"--mtu 4M", "--mtu 4M: " MTU_RULE},
        {"--mtu 1500x", "--mtu 1500x: " MTU_RULE},
        {"--mtu 18446744073709551716", "--mtu 18446744073709551716: " MTU_RULE},
        {"--busy-poll 1000001",
         "--busy-poll 1000001: expected a number of microseconds from 0 to 1000000"},
        {"--queues 0", "--queues 0: expected a number from 1 to 16"},
        {"--queues 17", "--queues 17: expected a number from 1 to 16"},
        {"--queues 2 --acd probe",
         "an address can't be probed for on several queues: leave out --queues (Queues=), or --acd "
         "probe"},
        {"--queues 2 --device packet:veth0 --address 10.0.0.2/24",
         "packet:veth0 has one queue only: leave out --queues (Queues=)"},
        {"--queue-length 0", "--queue-length 0: expected a number of packets from 1 to 1000000"},
        {"--address 10.0.0.2", "--address 10.0.0.2: " PREFIX_RULE},
        {"--address 10.0.0.2/33", "--address 10.0.0.2/33: " PREFIX_RULE},
        {"--address 10.0.0.2/0", "--address 10.0.0.2/0: " PREFIX_RULE},
        {"--address 10.0.0.256/24", "--address 10.0.0.256/24: " PREFIX_RULE},
        {"--address 2001:db8::2/64", "--address 2001:db8::2/64: " PREFIX_RULE},
        {"--acd maybe", "--acd maybe: expected off, announce or probe"},
        {"--host-address nobody", "--host-address nobody: " HOST_RULE},
        {"--gateway 10.0.0.1/24",
         "--gateway 10.0.0.1/24: expected none, or an IPv4 address such as 10.0.0.1"},
        {"--dns ns.example",
         "--dns ns.example: expected the address of a name server such as 10.0.0.1"},
        {"--dns 10.0.0.1 --dns 10.0.0.2 --dns 10.0.0.3 --dns 10.0.0.4",
         "--dns 10.0.0.4: expected at most 3 name servers"},
        {"--ping host", "--ping host: expected the IPv4 address of a host such as 10.0.0.1"},
        {"--ping 224.0.0.1",
         "--ping 224.0.0.1: expected the IPv4 address of a host such as 10.0.0.1"},
        {"--user no-such-user", "--user no-such-user: expected the name of a user of this host"},
        {"--log-level loud", "--log-level loud: expected error, warning, info or debug"},
    };
    (void)state;

    check_bad(rows, NST_ARRAY_LEN(rows), parse);
}

static void test_bad_files(void **state)
{
    static const struct bad rows[] = {
        {"Name=tun0\n", "test.conf:1: Name= stands before the first [Section]"},
        {"[Match]\nName\n", "test.conf:2: expected KEY=VALUE or [Section]"},
        {"[Match]\n\nName=tun7\n[Link\nMTUBytes=x\n",
         "test.conf:4: expected KEY=VALUE or [Section]"},
        {"[Matsch]\nName=tun0\n",
         "test.conf:2: unknown section [Matsch]: expected [Match], [Link], [Network], [Address], "
         "[Route], [User] or [Netstack]"},
        {"[User]\nMessages=0\n",
         "test.conf:2: Messages=0: expected a number of messages from 1 to 1000000"},
        {"[User]\nBuffers=1025M\n",
         "test.conf:2: Buffers=1025M: expected a number of bytes from 0 to 1024M, such as 16M"},
        {"[User]\nBuffers=1KB\n",
         "test.conf:2: Buffers=1KB: expected a number of bytes from 0 to 1024M, such as 16M"},
        {"[Match]\nname=tun0\n", "test.conf:2: unknown key name= in [Match]"},
        {"[Link]\nName=tun0\n", "test.conf:2: unknown key Name= in [Link]"},
        {"[Match]\nName=\n", "test.conf:2: Name=: " IFNAME_RULE},
        {"[Link]\nMTUBytes=12\n", "test.conf:2: MTUBytes=12: " MTU_RULE},
        {"[Link]\r\n\r\nMTUBytes=12\r\n", "test.conf:3: MTUBytes=12: " MTU_RULE},
        {"[Link]\n  MACAddress=02:00:00:00:00:01\n  MTUBytes=12\n",
         "test.conf:3: MTUBytes=12: " MTU_RULE},
        {"[Network]\nAddress=10.0.0.2/24\nAddress=10.0.0.3\n",
         "test.conf:3: Address=10.0.0.3: " PREFIX_RULE},
        {"[Network]\nGateway=x\n",
         "test.conf:2: Gateway=x: expected none, or an IPv4 address such as 10.0.0.1"},
        {"[Address]\nDuplicateAddressDetection=none\n[Link]\nMTUBytes=1500\n",
         "test.conf:2: the [Address] section has no Address="},
        {"[Address]\nDuplicateAddressDetection=none\n",
         "test.conf:2: the [Address] section has no Address="},
        {"[Address]\nDuplicateAddressDetection=ipv6\n",
         "test.conf:2: DuplicateAddressDetection=ipv6: expected off, announce or probe"},
        {"[Route]\nMetric=3\n",
         "test.conf:2: the [Route] section has neither Destination= nor Gateway="},
        {"[Route]\nMetric=-3\n", "test.conf:2: Metric=-3: expected a number from 0 to 4294967295"},
        {"[Route]\nDestination=192.0.2.0\n",
         "test.conf:2: Destination=192.0.2.0: expected an IPv4 network such as 192.0.2.0/24"},
        {"[Route]\nGateway=none\n",
         "test.conf:2: Gateway=none: expected an IPv4 address such as 10.0.0.1"},
        {"[Netstack]\nKind=tape\n", "test.conf:2: Kind=tape: expected tap, tun or packet"},
        {"[Netstack]\nOffload=maybe\n", "test.conf:2: Offload=maybe: expected yes or no"},
        {"[Netstack]\nLogJSON=\n", "test.conf:2: LogJSON=: expected yes or no"},
        {"[Netstack]\nHostAddress=\n", "test.conf:2: HostAddress=: " HOST_RULE},
    };
    (void)state;

    check_bad(rows, NST_ARRAY_LEN(rows), parse_file);
}

static void test_lines_that_do_not_fit(void **state)
{
    static const char message[] =
        "test.conf:2: the line is longer than 198 bytes or has a NUL byte in it";
    struct nst_up_config config;
    struct nst_fault fault;
    char text[512];
    (void)state;

    snprintf(text, sizeof text, "[Match]\n#%0197d\nName=tap7\n", 0);
    assert_int_equal(parse_file(&config, text, &fault), 0);
    assert_string_equal(config.device, "tap7");
    snprintf(text, sizeof text, "[Match]\n#%0198d\nName=tap7\n", 0);
    assert_int_equal(parse_file(&config, text, &fault), -EINVAL);
    assert_string_equal(fault.text, message);
    write_bytes("[Match]\nName=t\0p7\n", 18);
    assert_int_equal(parse(&config, "--config " FILE_NAME, &fault), -EINVAL);
    assert_string_equal(fault.text, message);
}

static void test_what_users_may_have(void **state)
{
    static const struct {
        const char *text;
        uint32_t bytes;
    } rows[] = {{"0", 0}, {"4095", 4095}, {"3K", 3072}, {"1024M", 1u << 30}};
    struct nst_up_config config;
    struct nst_fault fault;
    char text[128];
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, "[User]\nName=root\nMessages=17\nBuffers=%s\n", rows[i].text);
        assert_int_equal(parse_file(&config, text, &fault), 0);
        assert_int_equal(config.persons[0].messages, 17);
        assert_int_equal(config.persons[0].buffer_bytes, rows[i].bytes);
    }
    assert_int_equal(parse_file(&config, "[User]\nName=root\n", &fault), 0);
    assert_int_equal(config.persons[0].messages, 20000);
    assert_int_equal(config.persons[0].buffer_bytes, 16 << 20);
}

static void test_unreadable_files(void **state)
{
    struct nst_up_config config;
    struct nst_fault fault;
    (void)state;

    assert_int_equal(parse(&config, "--config absent.conf", &fault), -ENOENT);
    assert_string_equal(fault.text, "cannot read absent.conf: No such file or directory");
    assert_int_equal(parse(&config, "--config /", &fault), -EIO);
    assert_string_equal(fault.text, "cannot read /: Input/output error");
}

static void test_what_does_not_fit_together(void **state)
{
#define NOT_A_HOST(text)                                                                      \
    "the address " text " is not one that a host can have: choose another with --address or " \
    "Address="
#define HOST(text)    "the host's address " text ": choose another with --host-address or HostAddress="
#define GATEWAY(text) "the gateway " text ": choose another with --gateway or Gateway="
#define PACKET        "-d packet:veth0 --address 192.0.2.9/24"
#define NO_LINK_RULE                                                                          \
    "is not changed, so --mtu and --queue-length (MTUBytes=, TransmitQueueLength=) can't be " \
    "given "                                                                                  \
    "with it"
    static const struct bad rows[] = {
        {"--address 10.0.0.0/24", NOT_A_HOST("10.0.0.0/24")},
        {"--address 10.0.0.255/24", NOT_A_HOST("10.0.0.255/24")},
        {"--address 127.0.0.2/8", NOT_A_HOST("127.0.0.2/8")},
        {"--address 224.0.0.2/8", NOT_A_HOST("224.0.0.2/8")},
        {"--address 0.0.0.2/8", NOT_A_HOST("0.0.0.2/8")},
        {"--address 10.0.0.2/24 --address 10.0.0.2/16", "the address 10.0.0.2/16 is given twice"},
        {"--address 10.0.0.2/32",
         "10.0.0.2/32 leaves no address for the host: choose a larger network with --address, or "
         "give --host-address none"},
        {"--host-address 10.0.0.2/24", HOST("10.0.0.2/24 is also the stack's (10.0.0.2/24)")},
        {"--host-address 10.0.0.255/24",
         HOST("10.0.0.255/24 is not one that a host can have (10.0.0.2/24)")},
        {"--host-address 10.0.0.3/30",
         HOST("10.0.0.3/30 is not one that a host can have (10.0.0.2/24)")},
        {"--host-address 10.0.1.1/24",
         HOST("10.0.1.1/24 is not on one network with the stack's (10.0.0.2/24)")},
        {"--host-address 10.0.0.129/25",
         HOST("10.0.0.129/25 is not on one network with the stack's (10.0.0.2/24)")},
        {"--gateway 10.0.1.1", GATEWAY("10.0.1.1 is not on a network of the stack")},
        {"--gateway 10.0.0.2", GATEWAY("10.0.0.2 is the stack's own address")},
        {"--gateway 10.0.0.255", GATEWAY("10.0.0.255 is not an address that a host can have")},
        {"--tun --mac 02:00:00:00:00:01",
         "a TUN device has no MAC address: leave out --mac (MACAddress=) or --tun (Kind=tun)"},
        {"-d packet:veth0", "packet:veth0 is a network that exists: give an address of it that "
                            "nobody has, with --address or Address="},
        {PACKET " --host-address 192.0.2.1/24",
         "packet:veth0 is not changed, so --host-address (HostAddress=) can't be given with it"},
        {PACKET " --mtu 1400", "packet:veth0 " NO_LINK_RULE},
        {PACKET " --queue-length 9", "packet:veth0 " NO_LINK_RULE},
        {PACKET " --nat eth0",
         "--nat is for a device whose neighbour is the host: with packet:veth0 give the network's "
         "--gateway"},
        {"-d eth0 --nat eth0",
         "--nat eth0 is the stack's own device: name the interface through which the host reaches "
         "the outside"},
    };
    static const struct bad route = {
        "[Route]\nDestination=192.0.2.0/24\nGateway=10.0.1.1\n",
        "a route's gateway 10.0.1.1 is not on a network of the stack: choose another with Gateway= "
        "in its [Route]"};
    (void)state;

    check_bad(rows, NST_ARRAY_LEN(rows), parse);
    check_bad(&route, 1, parse_file);
}

static void test_limits(void **state)
{
    struct nst_up_config config;
    struct nst_fault fault;
    char text[2048] = "[Network]\n";
    (void)state;

    for (int i = 2; i < 10; i++)
        sprintf(text + strlen(text), "Address=10.0.0.%d/24\n", i);
    assert_int_equal(parse_file(&config, text, &fault), 0);
    strcat(text, "[Address]\nAddress=10.0.0.10/24\n");
    assert_int_equal(parse_file(&config, text, &fault), -EINVAL);
    assert_string_equal(fault.text, "test.conf:11: [Address]: expected at most 8 addresses in all");

    text[0] = 0;
    for (int i = 0; i < 32; i++)
        strcat(text, "[Route]\nGateway=10.0.0.1\n");
    assert_int_equal(parse_file(&config, text, &fault), 0);
    strcat(text, "[Route]\nGateway=10.0.0.1\n");
    assert_int_equal(parse_file(&config, text, &fault), -EINVAL);
    assert_string_equal(fault.text, "test.conf:66: [Route]: expected at most 32 [Route] sections");
}

static void test_bad_environment(void **state)
{
    struct nst_up_config config;
    struct nst_fault fault;
    (void)state;

    setenv("NETSTACK_NAME", "a b", 1);
    assert_int_equal(parse(&config, "", &fault), -EINVAL);
    assert_string_equal(fault.text, "$NETSTACK_NAME is 'a b': " NAME_RULE);
    unsetenv("NETSTACK_NAME");
}

static void test_the_example_file_shows_the_defaults(void **state)
{
    struct nst_up_config config;
    struct nst_fault fault = {""};
    char *argv[] = {"up", "--config", EXAMPLE_FILE};
    (void)state;

    if (nst_config_parse(&config, 3, argv, &fault) != 0)
        fail_msg("%s", fault.text);
    assert_string_equal(describe(&config), DEFAULTS);
}

static void test_help(void **state)
{
    static const char *const flags[] = {
        "--name",         "--config",    "-d, --device",   "--tun",     "--no-offload",
        "--mac",          "--mtu",       "--queue-length", "--address", "--acd",
        "--host-address", "--gateway",   "--dns",          "--nat",     "--ping",
        "--user",         "--log-level", "--log-json",     "--daemon",  "--services",
        "--congestion",   "--no-pacing", "-h, --help",     "--ecn",     "--fastopen",
        "--mtu-probing",  "--recovery",  "--metrics"};
    struct nst_up_config config;
    struct nst_fault fault;
    char *text, *save;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;

    assert_int_equal(parse(&config, "--mtu 1500 --help --config absent", &fault), NST_CONFIG_HELP);
    assert_int_equal(parse(&config, "-h", &fault), NST_CONFIG_HELP);
    nst_config_usage(out);
    fclose(out);
    for (size_t i = 0; i < NST_ARRAY_LEN(flags); i++)
        assert_non_null(strstr(text, flags[i]));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        assert_true(strlen(line) <= 100);
    free(text);
}

static int enter_workdir(void **state)
{
    (void)state;
    unsetenv("NETSTACK_NAME");
    return mkdtemp(workdir) && chdir(workdir) == 0 ? 0 : -1;
}

static int leave_workdir(void **state)
{
    (void)state;
    unlink(FILE_NAME);
    return chdir("/") == 0 && rmdir(workdir) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_flags_override_file_and_environment),
        cmocka_unit_test(test_bad_flags),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_lines_that_do_not_fit),
        cmocka_unit_test(test_what_users_may_have),
        cmocka_unit_test(test_unreadable_files),
        cmocka_unit_test(test_what_does_not_fit_together),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bad_environment),
        cmocka_unit_test(test_the_example_file_shows_the_defaults),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests_name("config", tests, enter_workdir, leave_workdir);
}
