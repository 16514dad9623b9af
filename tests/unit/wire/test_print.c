#include "core/wire/print.h"

#include "core/base/bytes.h"

#include "../hex.h"

#define LINE 256

#define MACS "020000000002 020000000001 "
#define ENDS "0a000001 0a000002 " /* 10.0.0.1 > 10.0.0.2 */

/* An IP packet of ours that an error brings back. */
#define QUOTED_UDP  "45 00 0024 0001 0000 40 11 0000 0a000002 0a000001 c000 0035 0010 0000"
#define QUOTED_ECHO "45 00 0054 0001 0000 40 01 0000 0a000002 0a000001 0800 0000 0007 0001"
#define QUOTED_TCP  "45 00 05dc 0001 4000 40 06 0000 0a000002 0a000001 1388 0050 00000007"

static void check_line(const char *name, enum nst_medium medium, const char *frame,
                       const char *wanted)
{
    struct hex h = hex_bytes(frame);
    char line[LINE];

    nst_frame_print(line, sizeof line, medium, h.p, h.len);
    if (strcmp(line, wanted) != 0)
        fail_msg("%s:\n  got:    %s\n  wanted: %s", name, line, wanted);
    hex_free(h);
}

struct row {
    const char *frame, *line;
};

static void check_rows(enum nst_medium medium, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_line(rows[i].frame, medium, rows[i].frame, rows[i].line);
}

static void test_ethernet(void **state)
{
    static const struct row rows[] = {
        {MACS "0800 45 00 0054 0000 0000 40 01 0000 " ENDS "0800 0000 0007 0001",
         "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64"},
        {MACS "86dd 60000000 0008 3a ff 20010db8000000000000000000000001 "
              "ff020000000000000000000000000002",
         "IP6 2001:db8::1 > ff02::2: next-header 58, length 8"},
        {MACS "88cc 0207", "02:00:00:00:00:01 > 02:00:00:00:00:02: ethertype 0x88cc"},
        {MACS "8100 0001 0800 45", "02:00:00:00:00:01 > 02:00:00:00:00:02: ethertype 0x8100"},
        {MACS "05e0", "02:00:00:00:00:01 > 02:00:00:00:00:02: ethertype 0x05e0"},
        {MACS "0026 424203 0000 0000 00",
         "02:00:00:00:00:01 > 02:00:00:00:00:02: 802.3, length 38"},
        {MACS "001c aaaa03 000000 0800 45 00 0014 0000 0000 40 fd 0000 " ENDS "ffff",
         "IP 10.0.0.1 > 10.0.0.2: protocol 253, length 0"},
        {MACS "000a aaaa03 000000 0800 45 00 0014 0000 0000 40 fd 0000 " ENDS, "IP [cut]"},
        {"", "Ethernet [cut]"},
        {MACS "08", "Ethernet [cut]"},
        {MACS "0026 424203 0000 0000", "Ethernet [cut]"},
        {MACS "0800", "IP [cut]"},
        {MACS "0806", "ARP [cut]"},
        {MACS "86dd", "IP6 [cut]"},
    };
    (void)state;

    check_rows(NST_MEDIUM_ETHERNET, rows, NST_ARRAY_LEN(rows));
}

static void test_arp(void **state)
{
    static const struct row rows[] = {
        {MACS "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002",
         "ARP who-has 10.0.0.2 tell 10.0.0.1"},
        {MACS "0806 0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002",
         "ARP reply 10.0.0.1 is-at 02:00:00:00:00:01"},
        {MACS "0806 0001 0800 06 04 0003 020000000001 0a000001 020000000002 0a000002", "ARP [arp]"},
        {MACS "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a0000", "ARP [cut]"},
    };
    (void)state;

    check_rows(NST_MEDIUM_ETHERNET, rows, NST_ARRAY_LEN(rows));
}

static void test_ipv4(void **state)
{
    static const struct row rows[] = {
        {"45 00 001c 0000 0000 40 11 0000 " ENDS "d431 0035 0008 0000",
         "IP 10.0.0.1.54321 > 10.0.0.2.53: UDP, length 0"},
        {"46 00 0020 0000 0000 40 11 0000 " ENDS "94040000 d431 0035 0010 0000",
         "IP 10.0.0.1.54321 > 10.0.0.2.53: UDP, length 8"},
        {"45 00 001c 0000 0000 40 11 0000 " ENDS "d431 0035 0007 0000",
         "IP 10.0.0.1 > 10.0.0.2: UDP [udp_len]"},
        {"45 00 001c 0000 0000 40 11 0000 " ENDS "d431 0035 0008 00",
         "IP 10.0.0.1 > 10.0.0.2: UDP [cut]"},
        {"45 00 001b 0000 0000 40 11 0000 " ENDS "d431 0035 0008 0000",
         "IP 10.0.0.1 > 10.0.0.2: UDP [cut]"}, /* the last byte is padding */
        {"45 00 05dc 0000 0000 40 fd 0000 " ENDS,
         "IP 10.0.0.1 > 10.0.0.2: protocol 253, length 1480"},
        {"45 00 0013 0000 0000 40 06 0000 " ENDS, "IP [ip_len]"},
        {"44 00 0014 0000 0000 40 06 0000 " ENDS, "IP [ip_ihl]"},
        {"46 00 0018 0000 0000 40 06 0000 " ENDS, "IP [ip_ihl]"},
        {"45 00 0014 0000 8000 40 06 0000 " ENDS, "IP [ip_flags]"},
        {"55 00 0014 0000 0000 40 06 0000 " ENDS, "IP [ip_version]"},
        {"45 00 0014 0000 0000 40 06 0000 0a000001 0a0000", "IP [cut]"},
        {"", "IP [cut]"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

static void test_fragments(void **state)
{
    static const struct row rows[] = {
        {"45 00 05dc 1234 2000 40 01 0000 " ENDS "0800 0000 0007 0001",
         "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 1480 (frag 4660:1480@0+)"},
        {"45 00 05dc 1234 20b9 40 01 0000 " ENDS "0800 0000 0007 0001",
         "IP 10.0.0.1 > 10.0.0.2: ICMP (frag 4660:1480@1480+)"},
        {"45 00 0024 1234 1fff 40 11 0000 " ENDS,
         "IP 10.0.0.1 > 10.0.0.2: UDP (frag 4660:16@65528)"},
        {"45 00 0024 1234 0001 40 06 0000 " ENDS, "IP 10.0.0.1 > 10.0.0.2: TCP (frag 4660:16@8)"},
        {"45 00 0024 1234 0001 40 59 0000 " ENDS,
         "IP 10.0.0.1 > 10.0.0.2: protocol 89 (frag 4660:16@8)"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

#define TCP(total_len) "45 00 " total_len " 0000 4000 40 06 0000 " ENDS "1388 0050 "
#define TCP_SAYS       "IP 10.0.0.1.5000 > 10.0.0.2.80: "

static void test_tcp(void **state)
{
    static const struct row rows[] = {
        {TCP("0040") "00000001 00000007 a0 12 01f6 0000 0000 020405b4 0402 080a 00000001 00000000 "
                     "01 030307 ffffffff",
         TCP_SAYS "Flags [S.], seq 1:5, ack 7, win 502, options [mss 1460,sackOK,TS val 1 ecr "
                  "0,nop,wscale 7], length 4"},
        {TCP("0028") "00000001 00000007 50 10 ffff 0000 0000",
         TCP_SAYS "Flags [.], ack 7, win 65535, length 0"},
        {TCP("002a") "ffffffff 00000007 50 19 0000 0000 0000 6869",
         TCP_SAYS "Flags [FP.], seq 4294967295:1, ack 7, win 0, length 2"},
        {TCP("0028") "ffffffff 00000007 50 04 0000 0000 0000",
         TCP_SAYS "Flags [R], seq 4294967295, win 0, length 0"},
        {TCP("0028") "00000001 00000007 50 e0 0000 0000 0009",
         TCP_SAYS "Flags [UEW], win 0, urg 9, length 0"},
        {TCP("0028") "00000001 00000007 50 00 0000 0000 0000",
         TCP_SAYS "Flags [none], win 0, length 0"},
        {TCP("0048") "00000001 00000007 d0 10 0001 0000 0000 01 01 08 0a 00000002 00000003 01 01 "
                     "05 "
                     "12 0000000a 00000014 0000001e 00000028",
         TCP_SAYS "Flags [.], ack 7, win 1, options [nop,nop,TS val 2 ecr 3,nop,nop,sack 2 "
                  "{10:20}{30:40}], length 0"},
        {TCP("0034") "00000001 00000007 80 02 0001 0000 0000 4d04aaaa 0203ff 0303 ff 00 01",
         TCP_SAYS "Flags [S], seq 1, win 1, options [kind 77,kind 2,wscale 255,eol], length 0"},
        {TCP("002c") "00000001 00000007 60 02 0001 0000 0000 01 02 04 05",
         TCP_SAYS "Flags [S], seq 1, win 1, options [nop,bad], length 0"},
        {TCP("0028") "00000001 00000007 40 02 0001 0000 0000", TCP_SAYS "TCP, seq 1 [tcp_hlen]"},
        {TCP("0028") "00000001 00000007 60 02 0001 0000 0000", TCP_SAYS "TCP, seq 1 [tcp_hlen]"},
        {TCP("002c") "00000001 00000007 60 02 0001 0000 0000 0204", TCP_SAYS "TCP, seq 1 [cut]"},
        {TCP("002c") "00000001 00", TCP_SAYS "TCP, seq 1 [cut]"},
        {TCP("001c") "00000001 00000007 50 10 ffff 0000 0000", TCP_SAYS "TCP, seq 1 [cut]"},
        {TCP("0028") "000000", "IP 10.0.0.1 > 10.0.0.2: TCP [cut]"},
        {TCP("0016") "00000001", "IP 10.0.0.1 > 10.0.0.2: TCP [cut]"},
        {"45 00 0400 1234 2000 40 06 0000 " ENDS "1388 0050 00000001 00000007 50 10 ffff 0000 0000",
         TCP_SAYS "Flags [.], seq 1:985, ack 7, win 65535, length 984 (frag 4660:1004@0+)"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

#define ICMP "45 00 001c 0000 0000 40 01 0000 " ENDS

static void test_icmp(void **state)
{
    static const struct row rows[] = {
        {ICMP "0000 0000 ffff fffe",
         "IP 10.0.0.1 > 10.0.0.2: ICMP echo reply, id 65535, seq 65534, length 8"},
        {ICMP "0d00 0000 0001 0002",
         "IP 10.0.0.1 > 10.0.0.2: ICMP timestamp request, id 1, seq 2, length 8"},
        {ICMP "0e00 0000 0001 0002",
         "IP 10.0.0.1 > 10.0.0.2: ICMP timestamp reply, id 1, seq 2, length 8"},
        {ICMP "1100 0000 0001 0002",
         "IP 10.0.0.1 > 10.0.0.2: ICMP address mask request, id 1, seq 2, length 8"},
        {ICMP "1200 0000 0001 0002",
         "IP 10.0.0.1 > 10.0.0.2: ICMP address mask reply, id 1, seq 2, length 8"},
        {ICMP "0900 0000 0001 0002", "IP 10.0.0.1 > 10.0.0.2: ICMP type 9, code 0, length 8"},
        {ICMP "ff07 0000 0001 0002", "IP 10.0.0.1 > 10.0.0.2: ICMP type 255, code 7, length 8"},
        {ICMP "0800 0000 0001 00", "IP 10.0.0.1 > 10.0.0.2: ICMP [cut]"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

#define ERROR "45 00 0038 0000 0000 40 01 0000 " ENDS
#define SAYS  "IP 10.0.0.1 > 10.0.0.2: ICMP "
#define UDP   ", length 36, quoting IP 10.0.0.2.49152 > 10.0.0.1.53: UDP, length 8"

static void test_icmp_errors(void **state)
{
    static const struct row rows[] = {
        {ERROR "0300 0000 00000000" QUOTED_UDP, SAYS "net unreachable" UDP},
        {ERROR "0301 0000 00000000" QUOTED_UDP, SAYS "host unreachable" UDP},
        {ERROR "0302 0000 00000000" QUOTED_UDP, SAYS "protocol unreachable" UDP},
        {ERROR "0303 0000 00000000" QUOTED_UDP, SAYS "port unreachable" UDP},
        {ERROR "0304 0000 00000240" QUOTED_UDP, SAYS "fragmentation needed, mtu 576" UDP},
        {ERROR "0305 0000 00000000" QUOTED_UDP, SAYS "source route failed" UDP},
        {ERROR "030d 0000 00000000" QUOTED_UDP, SAYS "unreachable, code 13" UDP},
        {ERROR "0400 0000 00000000" QUOTED_UDP, SAYS "source quench" UDP},
        {ERROR "0500 0000 0a0000fe" QUOTED_UDP, SAYS "redirect net to 10.0.0.254" UDP},
        {ERROR "0501 0000 0a0000fe" QUOTED_UDP, SAYS "redirect host to 10.0.0.254" UDP},
        {ERROR "0b00 0000 00000000" QUOTED_UDP, SAYS "time exceeded in transit" UDP},
        {ERROR "0b01 0000 00000000" QUOTED_UDP, SAYS "reassembly time exceeded" UDP},
        {ERROR "0c00 0000 15000000" QUOTED_UDP, SAYS "parameter problem at byte 21" UDP},
        {ERROR "0b00 0000 00000000" QUOTED_ECHO,
         SAYS "time exceeded in transit, length 36, quoting IP 10.0.0.2 > 10.0.0.1: ICMP echo "
              "request, id 7, seq 1, length 64"},
        {ERROR "0b00 0000 00000000" QUOTED_TCP,
         SAYS "time exceeded in transit, length 36, quoting IP 10.0.0.2.5000 > 10.0.0.1.80: TCP, "
              "seq 7 [cut]"},
        {"45 00 0044 0000 0000 40 01 0000 " ENDS "0304 0000 00000240" QUOTED_TCP
         "00000009 50 18 0100 0000 0000",
         SAYS "fragmentation needed, mtu 576, length 48, quoting IP 10.0.0.2.5000 > 10.0.0.1.80: "
              "Flags [P.], seq 7:1467, ack 9, win 256, length 1460"},
        {ERROR "0b00 0000 00000000 45 00", SAYS "time exceeded in transit, length 36, quoting IP "
                                                "[cut]"},
        {"45 00 001c 0000 0000 40 01 0000 " ENDS "0b00 0000 00000000" QUOTED_ECHO,
         SAYS "time exceeded in transit, length 8, quoting IP [cut]"}, /* that is padding */
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

/* An error about an error about an error ...: the line ends at the second. */
static void test_quotes_do_not_nest(void **state)
{
    static const struct row rows[] = {
        {"45 00 0070 0000 0000 40 01 0000 " ENDS "0b00 0000 00000000 "
         "45 00 0054 0000 0000 40 01 0000 " ENDS "0301 0000 00000000 "
         "45 00 0038 0000 0000 40 01 0000 " ENDS "0300 0000 00000000",
         SAYS "time exceeded in transit, length 92, quoting " SAYS "host unreachable, length 64"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
}

static void test_ipv6(void **state)
{
    static const struct row rows[] = {
        {"60000000 0014 06 40 fe800000000000000000000000000001 00000000000000000000000000000001",
         "IP6 fe80::1 > ::1: next-header 6, length 20"},
        {"60000000 0014 06 40 fe800000000000000000000000000001 000000000000000000000000000000",
         "IP6 [cut]"},
        {"60", "IP6 [cut]"},
    };
    (void)state;

    check_rows(NST_MEDIUM_IP, rows, NST_ARRAY_LEN(rows));
    check_line("IPv4 under IPv6's EtherType", NST_MEDIUM_ETHERNET,
               MACS "86dd 45000000 0014 06 40 fe800000000000000000000000000001 "
                    "00000000000000000000000000000001",
               "IP6 [ip_version]");
}

/* The line's beginning fits, whatever the room; nothing behind it is touched. */
static void test_small_buffers(void **state)
{
    struct hex h = hex_bytes(ERROR "0303 0000 00000000" QUOTED_UDP);
    char whole[LINE];
    (void)state;

    nst_frame_print(whole, sizeof whole, NST_MEDIUM_IP, h.p, h.len);
    for (size_t cap = 1; cap <= strlen(whole) + 1; cap++) {
        char *buf = malloc(cap);
        assert_non_null(buf);
        assert_ptr_equal(nst_frame_print(buf, cap, NST_MEDIUM_IP, h.p, h.len), buf);
        assert_int_equal(strlen(buf), cap - 1);
        assert_memory_equal(buf, whole, cap - 1);
        free(buf);
    }
    hex_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ethernet),    cmocka_unit_test(test_arp),
        cmocka_unit_test(test_ipv4),        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_tcp),         cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_icmp_errors), cmocka_unit_test(test_quotes_do_not_nest),
        cmocka_unit_test(test_ipv6),        cmocka_unit_test(test_small_buffers),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
