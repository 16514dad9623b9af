/* Vulnerability families of TCP, one named test each: the number is the row's in our list of them,
 * the id that of the incident.
 *
 * The first table is of single segments: to an established connection, to a listener, to nobody, or
 * to a connection that has sent its SYN. Each says why it is dropped, what is answered and how many
 * bytes become readable; afterwards the connection (or the listener) works as if nothing had been.
 * The dialogues that follow take more than one segment. */
#include <errno.h>
#include <stdio.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/stack/stack.h"

#include "../dialogue.h"

static struct harness h;
static struct dialogue d;

/* ---- Single segments --------------------------------------------------------------------- */

enum target {
    CONNECTION,
    SACK_CONNECTION, /* with 5 full segments out */
    LISTENER,
    NOBODY,
    SYN_SENT,
};

enum answer {
    SILENT,
    ANSWER_ACK,
    ANSWER_SYN_ACK,
    ANSWER_RST,
};

struct patch {
    size_t at;
    unsigned width; /* bytes; 0: the list ends */
    uint32_t value;
};

struct row {
    unsigned number;
    const char *id, *what;
    enum target to;
    struct seg s; /* its numbers are relative to those that the peer should use */
    struct frame_ip ip;
    struct patch patches[3];
    bool keep_sum; /* do not make the checksums right again */
    size_t trim;   /* the frame ends after so many bytes */
    enum nst_drop drop;
    enum answer answer;
    size_t delivered;
};

#define TEXT  .flags = ACK, .wnd = 65535, .len = 10
#define EMPTY .flags = ACK, .wnd = 65535
#define A_SYN .flags = SYN, .wnd = 65535

static const struct row rows[] = {
    /* Headers and lengths */
    {24,
     "CVE-2020-24341",
     "data offset beyond the segment",
     CONNECTION,
     {EMPTY},
     .patches = {{TCP_HLEN, 1, 0xf0}},
     .drop = NST_DROP_tcp_hlen},
    {24,
     "CVE-2020-24341",
     "data offset below five",
     CONNECTION,
     {TEXT},
     .patches = {{TCP_HLEN, 1, 0x40}},
     .drop = NST_DROP_tcp_hlen},
    {45,
     "CVE-2020-11907",
     "total length below both headers",
     CONNECTION,
     {TEXT},
     .patches = {{IP_LEN, 2, 40}, {TCP_HLEN, 1, 0x60}},
     .drop = NST_DROP_tcp_hlen},
    {80,
     "CVE-2020-35684",
     "total length below the IP header",
     CONNECTION,
     {TEXT},
     .patches = {{IP_LEN, 2, 19}},
     .drop = NST_DROP_ip_len},
    {96,
     "CVE-2021-31890",
     "total length beyond the frame",
     CONNECTION,
     {TEXT},
     .patches = {{IP_LEN, 2, 51}},
     .drop = NST_DROP_ip_len},
    {120,
     "CVE-2018-16603",
     "two bytes of TCP",
     CONNECTION,
     {EMPTY},
     .patches = {{IP_LEN, 2, 22}},
     .trim = L4 + 2,
     .drop = NST_DROP_tcp_short},
    {249,
     "CVE-2023-35846",
     "nineteen bytes of TCP",
     CONNECTION,
     {EMPTY},
     .patches = {{IP_LEN, 2, 39}},
     .trim = L4 + 19,
     .drop = NST_DROP_tcp_short},
    {252,
     "CVE-2023-35849",
     "no byte of TCP",
     CONNECTION,
     {EMPTY},
     .patches = {{IP_LEN, 2, 20}},
     .trim = L4,
     .drop = NST_DROP_tcp_short},
    {253,
     "CVE-2023-37459",
     "the flags are missing",
     LISTENER,
     {A_SYN},
     .patches = {{IP_LEN, 2, 33}},
     .trim = L4 + 13,
     .drop = NST_DROP_tcp_short},
    {254,
     "Contiki-NG PR1366",
     "options are missing",
     LISTENER,
     {A_SYN, .options = MSS_1460},
     .patches = {{TCP_HLEN, 1, 0x70}},
     .drop = NST_DROP_tcp_hlen},
    {326,
     "corruption",
     "wrong checksum",
     CONNECTION,
     {TEXT},
     .patches = {{TCP_SUM, 2, 0x1234}},
     .keep_sum = true,
     .drop = NST_DROP_tcp_checksum},
    {326,
     "corruption",
     "no checksum",
     CONNECTION,
     {TEXT},
     .patches = {{TCP_SUM, 2, 0}},
     .keep_sum = true,
     .drop = NST_DROP_tcp_checksum},

    /* Options */
    {5,
     "CVE-2020-13988",
     "MSS option cut off",
     LISTENER,
     {A_SYN, .options = "01010204"},
     .answer = ANSWER_SYN_ACK},
    {5,
     "CVE-2020-13988",
     "MSS option of length 3",
     LISTENER,
     {A_SYN, .options = "020305b4"},
     .answer = ANSWER_SYN_ACK},
    {20,
     "CVE-2020-24337",
     "unknown option of length 0",
     LISTENER,
     {A_SYN, .options = "4d000000"},
     .answer = ANSWER_SYN_ACK},
    {20,
     "CVE-2020-24337",
     "unknown option of length 0 with text",
     CONNECTION,
     {TEXT, .options = "4d000000"},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {20,
     "CVE-2020-24337",
     "forty NOPs",
     CONNECTION,
     {TEXT, .options = "01010101010101010101010101010101010101010101010101010101010101010101010101"
                       "010101"},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {50,
     "CVE-2020-11912",
     "SACK option beyond the header",
     SACK_CONNECTION,
     {EMPTY, .options = "0101050a"},
     .answer = SILENT},
    {95,
     "CVE-2021-31889",
     "SACK of length 11",
     SACK_CONNECTION,
     {EMPTY, .options = "01050b00000000000000000000000000"},
     .answer = SILENT},
    {95,
     "CVE-2021-31889",
     "SACK of length 2",
     SACK_CONNECTION,
     {EMPTY, .options = "01010502"},
     .answer = SILENT},
    {100,
     "CVE-2019-12258",
     "malformed options outside the window",
     CONNECTION,
     {EMPTY, .seq = 0x40000000, .options = "080a0000"},
     .drop = NST_DROP_tcp_seq,
     .answer = ANSWER_ACK},
    {102,
     "CVE-2019-12260",
     "TCP-AO of length 2 with URG",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .len = 10, .urg = 3, .options = "1d020101"},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {102,
     "CVE-2019-12260",
     "TCP-AO of length 255 with URG",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .len = 10, .urg = 3, .options = "1dff0101"},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {110,
     "CVE-2018-16524",
     "timestamps cut off",
     CONNECTION,
     {TEXT, .options = "0101080a"},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {199,
     "MD5",
     "MD5 signature that nobody asked for",
     CONNECTION,
     {TEXT, .options = "01011312000102030405060708090a0b0c0d0e0f"},
     .answer = ANSWER_ACK,
     .delivered = 10},

    /* Urgent data: the pointer is a number, nothing more */
    {6,
     "CVE-2020-17437",
     "urgent pointer beyond the text",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .len = 10, .urg = 11},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {77,
     "CVE-2021-31400",
     "urgent pointer far beyond",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .len = 10, .urg = 65535},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {97,
     "CVE-2019-12255",
     "urgent pointer 0",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .len = 10, .urg = 0},
     .answer = ANSWER_ACK,
     .delivered = 10},
    {256,
     "uIP",
     "urgent pointer without text",
     CONNECTION,
     {.flags = ACK | URG, .wnd = 65535, .urg = 500},
     .answer = SILENT},
    {267,
     "CVE-1999-0153 WinNuke",
     "urgent byte",
     CONNECTION,
     {.flags = ACK | URG | PSH, .wnd = 65535, .len = 10, .urg = 10},
     .answer = ANSWER_ACK,
     .delivered = 10},

    /* Blind attacks (RFC 5961) */
    {200,
     "CVE-2004-0230",
     "RST inside the window",
     CONNECTION,
     {.flags = RST, .seq = 100},
     .drop = NST_DROP_tcp_rst,
     .answer = ANSWER_ACK},
    {271,
     "CVE-2004-0230",
     "RST at the window's end",
     CONNECTION,
     {.flags = RST, .seq = 65534},
     .drop = NST_DROP_tcp_rst,
     .answer = ANSWER_ACK},
    {287,
     "RFC 5961 s3",
     "RST outside the window",
     CONNECTION,
     {.flags = RST | ACK, .seq = 0x10000000},
     .drop = NST_DROP_tcp_seq},
    {287,
     "RFC 5961 s3",
     "RST right below the window",
     CONNECTION,
     {.flags = RST, .seq = UINT32_MAX},
     .drop = NST_DROP_tcp_seq},
    {288,
     "RFC 5961 s4",
     "SYN at the right number",
     CONNECTION,
     {.flags = SYN},
     .drop = NST_DROP_tcp_syn,
     .answer = ANSWER_ACK},
    {288,
     "RFC 5961 s4",
     "SYN-ACK inside the window",
     CONNECTION,
     {.flags = SYN | ACK, .seq = 1000, .wnd = 65535},
     .drop = NST_DROP_tcp_syn,
     .answer = ANSWER_ACK},
    {288,
     "RFC 5961 s4",
     "SYN anywhere",
     CONNECTION,
     {.flags = SYN, .seq = 0x50000000},
     .drop = NST_DROP_tcp_seq,
     .answer = ANSWER_ACK},
    {289,
     "RFC 5961 s5",
     "text that acknowledges too much",
     CONNECTION,
     {TEXT, .ack = 1},
     .drop = NST_DROP_tcp_ack,
     .answer = ANSWER_ACK},
    {289,
     "RFC 5961 s5",
     "text that acknowledges what is too old",
     CONNECTION,
     {TEXT, .ack = UINT32_MAX - 65536},
     .drop = NST_DROP_tcp_ack,
     .answer = ANSWER_ACK},
    {283,
     "VU#102014",
     "optimistic ACK",
     SACK_CONNECTION,
     {EMPTY, .ack = 7301},
     .drop = NST_DROP_tcp_ack,
     .answer = ANSWER_ACK},
    {215, "smoltcp #338", "RST to nobody", NOBODY, {.flags = RST | ACK}, .drop = NST_DROP_tcp_port},

    /* The window's edges */
    {206,
     "esp-lwip #3",
     "text beyond the window's end",
     CONNECTION,
     {.flags = ACK, .wnd = 65535, .seq = 65535},
     .drop = NST_DROP_tcp_seq,
     .answer = ANSWER_ACK},
    {225,
     "smoltcp f56ed8b",
     "text that begins below the window",
     CONNECTION,
     {TEXT, .seq = UINT32_MAX - 4},
     .answer = ANSWER_ACK,
     .delivered = 5},
    {207, "esp-idf #2425", "empty ACK", CONNECTION, {EMPTY}, .answer = SILENT},

    /* Opening */
    {131,
     "CVE-2012-6638",
     "SYN with FIN",
     LISTENER,
     {.flags = SYN | FIN, .wnd = 65535},
     .drop = NST_DROP_tcp_flags},
    {276,
     "christmas tree",
     "all flags",
     LISTENER,
     {.flags = 0x3f, .wnd = 65535},
     .drop = NST_DROP_tcp_rst},
    {276, "null scan", "no flag", LISTENER, {.wnd = 65535}, .drop = NST_DROP_tcp_flags},
    {276, "FIN scan", "FIN", LISTENER, {.flags = FIN}, .drop = NST_DROP_tcp_flags},
    {276,
     "christmas tree",
     "FIN, PSH, URG",
     LISTENER,
     {.flags = FIN | PSH | URG, .urg = 1},
     .drop = NST_DROP_tcp_flags},
    {276,
     "null scan",
     "no flag, to nobody",
     NOBODY,
     {.wnd = 1},
     .drop = NST_DROP_tcp_port,
     .answer = ANSWER_RST},
    {216,
     "smoltcp #354",
     "SYN from 0.0.0.0",
     LISTENER,
     {A_SYN},
     .ip = {.src = "0.0.0.0"},
     .drop = NST_DROP_martian},
    {258,
     "CVE-1999-0016 LAND",
     "SYN from ourselves",
     LISTENER,
     {A_SYN},
     .ip = {.src = US},
     .drop = NST_DROP_martian},
    {330,
     "RFC 1122 4.2.3.10",
     "SYN in a broadcast frame",
     LISTENER,
     {A_SYN},
     .ip = {.mac_dst = BROADCAST},
     .drop = NST_DROP_ip_l2_broadcast},
    {330,
     "RFC 1122 4.2.3.10",
     "SYN to the network's broadcast address",
     LISTENER,
     {A_SYN},
     .ip = {.dst = "192.0.2.255", .mac_dst = BROADCAST},
     .drop = NST_DROP_tcp_group},
    {63,
     "RFC 9293 MUST-57",
     "SYN to a multicast group",
     LISTENER,
     {A_SYN},
     .ip = {.dst = "224.0.0.1", .mac_dst = "01:00:5e:00:00:01"},
     .drop = NST_DROP_tcp_group},
    {103,
     "CVE-2019-12261",
     "URG in a SYN-ACK that does not fit",
     SYN_SENT,
     {.flags = SYN | ACK | URG, .ack = 5, .urg = 9},
     .drop = NST_DROP_tcp_ack,
     .answer = ANSWER_RST},
    {218,
     "smoltcp #491",
     "SYN-ACK that acknowledges nothing",
     SYN_SENT,
     {.flags = SYN | ACK, .ack = UINT32_MAX, .wnd = 1},
     .drop = NST_DROP_tcp_ack,
     .answer = ANSWER_RST},
    {221, "smoltcp #538", "FIN", SYN_SENT, {.flags = FIN}, .drop = NST_DROP_tcp_flags},
    {221,
     "smoltcp #538",
     "FIN with an ACK that fits",
     SYN_SENT,
     {.flags = FIN | ACK},
     .drop = NST_DROP_tcp_flags},
    {278,
     "split handshake",
     "an ACK alone",
     SYN_SENT,
     {.flags = ACK, .wnd = 65535},
     .drop = NST_DROP_tcp_flags},
};

static void bend(struct frame *f, const struct row *row)
{
    for (const struct patch *p = row->patches; p->width; p++) {
        if (p->width == 1)
            f->bytes[p->at] = (uint8_t)p->value;
        else
            frame_put16(f, p->at, p->value);
        if (!row->keep_sum)
            frame_fix(f);
    }
    if (row->trim)
        f->len = row->trim;
}

static void come_to(enum target to)
{
    harness_init(&h, NULL, 0);
    dialogue_init(&d, &h, 4000, 5000);
    if (to == SACK_CONNECTION)
        d.syn_options = "020405b4 01010402";
    if (to == CONNECTION || to == SACK_CONNECTION)
        dialogue_open(&d);
    if (to == SACK_CONNECTION)
        dialogue_write(&d, 5 * 1460);
    if (to == LISTENER)
        dialogue_listen(&d, 4);
    if (to == SYN_SENT)
        dialogue_connect(&d);
}

static void check_answer(enum answer answer)
{
    static const uint8_t flags[] = {[ANSWER_ACK] = ACK, [ANSWER_SYN_ACK] = SYN | ACK};

    if (answer == SILENT)
        harness_silent(&h);
    else if (answer == ANSWER_RST)
        assert_true(dialogue_sent(&d).flags & RST);
    else
        assert_int_equal(dialogue_sent(&d).flags, flags[answer]);
}

/* So many bytes are readable, urgent ones among them: reading stops at the mark, and goes on. */
static void check_read(size_t len)
{
    uint8_t buf[100];
    size_t total = 0;
    int64_t got;

    if (!d.sock)
        return;
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_OOBINLINE, 1), 0);
    while ((got = dialogue_read(&d, buf, sizeof buf)) > 0)
        total += (size_t)got;
    assert_int_equal(total, len);
}

/* It goes on as if nothing had been. */
static void check_alive(const struct row *row)
{
    d.seq += (uint32_t)row->delivered;
    if (row->to == SYN_SENT)
        dialogue_say(&d, SYN | ACK, 0);
    if (row->to == LISTENER) {
        d.pport++;
        dialogue_open_passive(&d);
    }
    if (row->to == NOBODY)
        return;
    dialogue_say(&d, ACK | PSH, 20);
    check_read(20);
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
}

static void test_row(void **state)
{
    static struct frame f;
    const struct row *row = *state;
    struct frame_tcp tcp;
    uint64_t drops;

    come_to(row->to);
    tcp = (struct frame_tcp){.sport = d.pport,
                             .dport = d.lport,
                             .seq = d.seq + row->s.seq,
                             .ack = row->s.flags & ACK ? d.ack + row->s.ack : 0,
                             .flags = row->s.flags,
                             .wnd = row->s.wnd,
                             .urg = row->s.urg,
                             .options = row->s.options};
    if (row->ip.src && strcmp(row->ip.src, US) == 0)
        tcp.sport = d.lport;
    frame_tcp(&f, &row->ip, &tcp, NULL, row->s.len);
    bend(&f, row);
    drops = 0;
    for (uint16_t i = 1; i < NST_DROP_COUNT; i++)
        drops += nst_drops(h.stack, i);
    size_t memory = harness_memory(&h);
    assert_true(harness_input(&h, &f));
    check_answer(row->answer);
    for (uint16_t i = 1; i < NST_DROP_COUNT; i++)
        drops -= nst_drops(h.stack, i);
    assert_int_equal(-drops, row->drop ? 1 : 0);
    if (row->drop) {
        assert_int_equal(harness_drops(&h, row->drop), 1);
        assert_int_equal(harness_memory(&h), memory);
    }
    check_read(row->delivered);
    check_alive(row);
    harness_fini(&h);
}

/* ---- Dialogues --------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    harness_init(&h, NULL, 0);
    dialogue_init(&d, &h, 4000, 5000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_fini(&h);
    return 0;
}

/* A segment with numbers relative to the peer's, which do not advance. */
static void inject(struct dialogue *to, uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
    const struct seg s = {.seq = to->seq + seq,
                          .ack = flags & ACK ? to->ack + ack : 0,
                          .flags = flags,
                          .wnd = to->wnd,
                          .len = len};

    assert_true(dialogue_in(to, &s));
}

static size_t segments(const struct dialogue *of)
{
    struct seg out[64];

    return dialogue_out(of, out, NST_ARRAY_LEN(out));
}

static void established(void)
{
    assert_int_equal(dialogue_state(&d), NST_TCP_ESTABLISHED);
}

/* Whose challenges are used up says nothing about another connection: rows 129 and 290. */
static void test_129_cve_2016_5696(void **state)
{
    struct dialogue other;
    size_t answers = 0;
    (void)state;

    dialogue_open(&d);
    dialogue_init(&other, &h, 4001, 5001);
    dialogue_open(&other);
    for (int i = 0; i < 1000; i++) {
        inject(&d, RST, 100, 0, 0);
        answers += segments(&d);
    }
    assert_int_equal(answers, 1);
    inject(&other, RST, 100, 0, 0);
    assert_int_equal(dialogue_sent(&other).flags, ACK);
}

/* Rows 213 and 275: what does not fit is answered twice a second at most, however it comes. */
static void test_275_ack_storm(void **state)
{
    size_t answers = 0;
    (void)state;

    dialogue_open(&d);
    for (int i = 0; i < 5000; i++) {
        h.now += NST_MS;
        inject(&d, ACK, i % 2 ? 0x20000000 : 0, i % 2 ? 0 : 1, 0);
        answers += segments(&d);
    }
    assert_in_range(answers, 1, 10);
    established();
}

static void test_132_cve_2017_6214(void **state)
{
    uint8_t buf[4000], oob;
    size_t total = 0;
    (void)state;

    dialogue_open(&d);
    for (int i = 0; i < 100; i++) { /* each segment's fifth byte is urgent */
        const struct seg s = {
            .seq = d.seq, .ack = d.ack, .flags = ACK | URG, .wnd = 65535, .urg = 5, .len = 10};
        dialogue_in(&d, &s);
        d.seq += 10;
    }
    for (int i = 0; i < 1000; i++) {
        int64_t n = dialogue_read(&d, buf, sizeof buf);
        assert_true(n > 0 || n == -EAGAIN);
        total += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(total, 999); /* of many urgent bytes the last is taken out of line */
    struct nst_msg msg;
    assert_int_equal(harness_recv(&h, d.sock, &msg, &oob, 1, NST_RECV_OOB), 1);
    assert_int_equal(oob, 4 * 7);
    assert_int_equal(harness_recv(&h, d.sock, &msg, &oob, 1, NST_RECV_OOB), -EINVAL);
}

/* Out of turn: before the stream comes to it. It is read once. */
static void test_267_urgent_byte_once(void **state)
{
    struct nst_msg msg;
    uint8_t oob, buf[20];
    (void)state;

    dialogue_open(&d);
    const struct seg s = {
        .seq = d.seq, .ack = d.ack, .flags = ACK | URG, .wnd = 65535, .urg = 5, .len = 10};
    dialogue_in(&d, &s);
    d.seq += 10;
    assert_int_equal(harness_recv(&h, d.sock, &msg, &oob, 1, NST_RECV_OOB), 1);
    assert_int_equal(oob, 4 * 7);
    assert_int_equal(harness_recv(&h, d.sock, &msg, &oob, 1, NST_RECV_OOB), -EINVAL);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 4);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 5);
    assert_int_equal(harness_recv(&h, d.sock, &msg, &oob, 1, NST_RECV_OOB), -EINVAL);
}

static void test_134_cve_2010_4165(void **state)
{
    static const int64_t values[] = {-1, 0, 1, 8, 87, 32768, INT64_MAX};
    nst_sock sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(values); i++)
        assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_MAXSEG, values[i]), -EINVAL);
    assert_int_equal(nst_setopt(h.stack, sock, NST_OPT_MAXSEG, 88), 0);
    assert_int_equal(nst_bind(h.stack, sock, &(struct nst_sockaddr){.port = 4000}), 0);
    d.sock = sock;
    dialogue_open(&d);
    dialogue_write(&d, 88);
    assert_int_equal(dialogue_sent(&d).len, 88);
}

/* TCP is never fragmented, so that there is nothing to guess (RFC 6864). */
static void test_141_cve_2020_36516(void **state)
{
    static struct frame ours, error;
    struct seg out[16];
    (void)state;

    dialogue_open(&d);
    uint32_t mtu = dialogue_tcb(&d)->mtu;
    dialogue_write(&d, 3000);
    const struct frame_tcp quoted = {.sport = 4000, .dport = 5000, .seq = d.ack - 1, .flags = ACK};
    frame_tcp(&ours, &(struct frame_ip){.src = US, .dst = PEER}, &quoted, NULL, 8);
    frame_icmp_error(&error, GATEWAY, 3, 4, 600, &ours, 28); /* a number that is not out */
    harness_input(&h, &error);
    assert_int_equal(dialogue_tcb(&d)->mtu, mtu);
    frame_put32(&ours, TCP_SEQ, d.ack);
    frame_icmp_error(&error, GATEWAY, 3, 4, 68, &ours, 28); /* one that is */
    harness_input(&h, &error);
    assert_int_equal(dialogue_tcb(&d)->mtu, 552); /* but no lower than anything needs */
    size_t n = dialogue_out(&d, out, 16);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        assert_true(out[i].df && out[i].len <= 512);
}

/* RFC 5927: an established connection takes ICMP errors for hints. */
static void test_273_icmp_attacks(void **state)
{
    static const uint8_t errors[][2] = {{3, 0}, {3, 1}, {3, 2},  {3, 3},  {3, 5}, {3, 9},
                                        {4, 0}, {5, 1}, {11, 0}, {12, 0}, {3, 13}};
    static struct frame ours, error;
    (void)state;

    dialogue_open(&d);
    dialogue_write(&d, 100);
    for (size_t i = 0; i < NST_ARRAY_LEN(errors); i++) {
        uint32_t cwnd = dialogue_tcb(&d)->cc.cwnd;
        const struct frame_tcp quoted = {.sport = 4000, .dport = 5000, .seq = d.ack, .flags = ACK};
        frame_tcp(&ours, &(struct frame_ip){.src = US, .dst = PEER}, &quoted, NULL, 100);
        frame_icmp_error(&error, GATEWAY, errors[i][0], errors[i][1], 0, &ours, 28);
        harness_input(&h, &error);
        established();
        assert_int_equal(dialogue_tcb(&d)->cc.cwnd, cwnd);
        dialogue_silent(&d);
    }
    d.ack += 100;
    dialogue_say(&d, ACK, 10);
    check_read(10);
}

/* Row 149: what is remembered of a path comes from errors about what is really out, and is kept for
 * that pair of hosts: who guesses ports and numbers learns and changes nothing. */
static void test_149_cve_2021_20322(void **state)
{
    static struct frame ours, error;
    struct nst_metrics_info known;
    (void)state;

    dialogue_open(&d);
    dialogue_write(&d, 3000);
    for (uint16_t port = 4990; port < 5010; port++) {
        const struct frame_tcp guess = {
            .sport = 4000, .dport = port, .seq = d.ack + (port == 5000) * 3000u, .flags = ACK};
        frame_tcp(&ours, &(struct frame_ip){.src = US, .dst = PEER}, &guess, NULL, 8);
        frame_icmp_error(&error, GATEWAY, 3, 4, 600, &ours, 28);
        harness_input(&h, &error);
    }
    assert_int_equal(nst_metrics_list(h.stack, &known, 1), 0);
    const struct frame_tcp right = {.sport = 4000, .dport = 5000, .seq = d.ack, .flags = ACK};
    frame_tcp(&ours, &(struct frame_ip){.src = US, .dst = PEER}, &right, NULL, 8);
    frame_icmp_error(&error, GATEWAY, 3, 4, 600, &ours, 28);
    harness_input(&h, &error);
    assert_int_equal(nst_metrics_list(h.stack, &known, 1), 1);
    const struct nst_addr peer = test_addr(PEER);
    assert_true(nst_addr_eq(&known.peer, &peer));
    assert_int_equal(known.mtu, 600);
}

/* ECN abuse: a peer that sees congestion everywhere slows its own connection down, once a window
 * and not below two segments; whoever has not agreed to ECN, not at all. */
static void test_ecn_abuse(void **state)
{
    const uint8_t ece = 0x40;
    (void)state;

    dialogue_open(&d);
    struct nst_tcb *t = dialogue_tcb(&d);
    dialogue_write(&d, 14600);
    for (unsigned i = 0; i < 50; i++)
        dialogue_say(&d, ACK | ece, 1);
    assert_int_equal(nst_tcb_ssthresh(t), UINT32_MAX);
    t->ecn_ok = true;
    for (unsigned i = 0; i < 50; i++)
        dialogue_say(&d, ACK | ece, 1);
    assert_int_equal(nst_tcb_ssthresh(t), 14600 * 717 / 1024);
    for (unsigned i = 0; i < 10; i++) { /* of it, half a segment after the other */
        d.ack += 730;
        dialogue_say(&d, ACK | ece, 1);
    }
    assert_int_equal(nst_tcb_ssthresh(t), 14600 * 717 / 1024);
    for (unsigned i = 0; i < 30; i++) {
        d.ack = t->snd.nxt.v;
        dialogue_say(&d, ACK | ece, 1);
        dialogue_write(&d, 2920);
    }
    assert_int_equal(nst_tcb_ssthresh(t), 2 * 1460);
    assert_true(nst_tcb_cwnd(t) >= 1460);
    established();
}

/* Fast Open: cookies are not guessed, and are good for nobody else; who tries gets what everybody
 * gets, not an answer to his data. */
static void test_fast_open_cookies(void **state)
{
    struct nst_prng prng;
    char options[64];
    (void)state;

    assert_int_equal(nst_stack_setopt(h.stack, NST_STACK_TCP_FASTOPEN, NST_TCP_FASTOPEN_SERVER), 0);
    dialogue_listen(&d, 1000);
    assert_int_equal(nst_setopt(h.stack, d.listener, NST_OPT_FASTOPEN, 1000), 0);
    test_prng_init(&prng, 1);
    struct seg syn = {.flags = SYN, .wnd = 65535, .options = MSS_1460 "2202 0101"};
    dialogue_in(&d, &syn);
    struct seg synack = dialogue_sent(&d);
    const uint8_t *cookie = synack.opts + synack.opts_len - 12; /* kind, length, 8 bytes, padding */
    assert_int_equal(cookie[0], 34);
    snprintf(options, sizeof options, MSS_1460 "220a%08x%08x 0101", nst_load32(cookie + 2),
             nst_load32(cookie + 6));
    syn = (struct seg){.flags = SYN, .wnd = 65535, .options = options, .len = 100};
    d.peer = GATEWAY; /* another client's */
    d.pport++;
    dialogue_in(&d, &syn);
    assert_int_equal(dialogue_sent(&d).ack, 1);
    for (unsigned i = 0; i < 500; i++) {
        char guess[64];
        snprintf(guess, sizeof guess, MSS_1460 "220a%08x%08x 0101",
                 (unsigned)nst_prng_below(&prng, UINT32_MAX),
                 (unsigned)nst_prng_below(&prng, UINT32_MAX));
        syn.options = guess;
        d.pport++;
        dialogue_in(&d, &syn);
        assert_int_equal(dialogue_sent(&d).ack, 1);
        assert_int_equal(dialogue_sent(&d).len, 0);
    }
    assert_int_equal(harness_stat(&h, "tcp.fastopen_passive"), 0);
    syn.options = options; /* whose it is */
    d.peer = PEER;
    d.pport++;
    dialogue_in(&d, &syn);
    assert_int_equal(dialogue_sent(&d).ack, 101);
    assert_int_equal(harness_stat(&h, "tcp.fastopen_passive"), 1);
}

/* A whole transfer each way with loss, wherever the numbers begin: rows 210, 223, 226, 325. */
static void transfer(uint32_t peer_isn, uint32_t our_isn)
{
    uint8_t sack[32];
    char options[64];

    dialogue_init(&d, &h, (uint16_t)(d.lport + 1), 5000);
    d.seq = peer_isn;
    d.syn_options = "020405b4 01010402";
    const struct nst_flow_id id = {
        .local = test_addr(US), .peer = test_addr(PEER), .lport = d.lport, .pport = d.pport};
    harness_pull(&h);
    uint32_t isn = nst_tcp_isn(&h.stack->tcps, &id).v;
    harness_run(&h, (uint64_t)(our_isn - isn) * 4 * NST_US); /* its clock comes there */
    dialogue_open(&d);
    assert_in_range(d.ack - 1 - our_isn, 0, 1);
    dialogue_write(&d, 10 * 1460);
    snprintf(options, sizeof options, "0101050a %08x %08x", d.ack + 1460, d.ack + 10 * 1460);
    const struct seg dup = {
        .seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535, .options = options};
    dialogue_in(&d, &dup);
    assert_int_equal(dialogue_sent(&d).seq, d.ack);
    assert_int_equal(dialogue_sent(&d).len, 1460);
    d.ack += 10 * 1460;
    dialogue_say(&d, ACK, 0);
    inject(&d, ACK, 10, 0, 10); /* a hole */
    inject(&d, ACK, 30, 0, 10);
    assert_true(dialogue_sent(&d).opts_len > 0);
    inject(&d, ACK, 0, 0, 30);
    assert_int_equal(dialogue_read(&d, sack, sizeof sack), 32);
    d.seq += 40;
    assert_int_equal(nst_close(h.stack, d.sock), 0); /* with unread bytes: a reset */
    harness_pull(&h);
    assert_true(dialogue_sent(&d).flags & RST);
    assert_int_equal(dialogue_sent(&d).seq, d.ack);
}

static void test_210_numbers_wrap(void **state)
{
    static const uint32_t isns[] = {0,          1,          0x7fffffff, 0x80000000,
                                    0xffffffff, 0xfffffff0, 0xffffe000, 0x7fffff00};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(isns); i++)
        for (size_t j = 0; j < NST_ARRAY_LEN(isns); j++)
            transfer(isns[i], isns[j]);
}

/* Rows 217, 220, 324: the peer takes back what it offered. */
static void test_217_window_shrinks(void **state)
{
    size_t sent = 0;
    (void)state;

    dialogue_open(&d);
    dialogue_write(&d, 8000);
    d.wnd = 0;
    inject(&d, ACK, 0, 0, 0);
    for (int i = 0; i < 60; i++) {
        struct seg out[16];
        harness_run(&h, NST_SEC);
        size_t n = dialogue_out(&d, out, 16);
        for (size_t j = 0; j < n; j++)
            assert_int_equal(out[j].len, 0); /* probes only */
        sent += n;
        if (n)
            inject(&d, ACK, 0, 0, 0);
    }
    assert_in_range(sent, 4, 10);
    d.wnd = 100; /* less than what is out */
    inject(&d, ACK, 0, 1460, 0);
    d.wnd = 65535;
    inject(&d, ACK, 0, 8000, 0);
    harness_run(&h, 10 * NST_SEC);
    established();
    assert_int_equal(dialogue_tcb(&d)->snd.una.v, d.ack + 8000);
}

static void test_222_wrong_ack_in_syn_received(void **state)
{
    (void)state;
    dialogue_listen(&d, 4);
    dialogue_say(&d, SYN, 0);
    d.ack = dialogue_sent(&d).seq + 1;
    inject(&d, ACK, 0, 77, 0);
    assert_int_equal(dialogue_sent(&d).flags, RST);
    assert_int_equal(dialogue_sent(&d).seq, d.ack + 77);
    dialogue_say(&d, ACK, 0);
    established();
}

static void test_224_round_trip_of_hours(void **state)
{
    (void)state;
    dialogue_connect(&d);
    h.now += 2 * 3600 * NST_SEC;
    dialogue_say(&d, SYN | ACK, 0);
    if (!dialogue_tcb(&d))
        return; /* it has given up meanwhile */
    dialogue_write(&d, 100);
    h.now += 3 * 3600 * NST_SEC;
    inject(&d, ACK, 0, 100, 0);
    assert_in_range(nst_rtt_rto(&dialogue_tcb(&d)->rtt), 200 * NST_MS, 120 * NST_SEC);
}

static void test_230_listen_twice(void **state)
{
    const struct nst_sockaddr local = {.port = 4000};
    (void)state;

    dialogue_listen(&d, 4);
    assert_int_equal(nst_listen(h.stack, d.listener, 8), 0);
    nst_sock other = harness_socket(&h, NST_SOCK_STREAM, 0);
    assert_int_equal(nst_bind(h.stack, other, &local), -EADDRINUSE);
    dialogue_open_passive(&d);
    assert_int_equal(nst_listen(h.stack, d.sock, 4), -EINVAL);
    (void)nst_setopt(h.stack, d.listener, NST_OPT_NODELAY, 1); /* row 135 */
    d.pport++;
    dialogue_open_passive(&d);
}

/* Rows 238 and 315: the last ACK is ignored, not answered by a RST, and the listener lives. */
static void accept_queue_full(bool cookies)
{
    struct dialogue peers[6];

    if (cookies)
        h.stack->tcps.config.max_reqs = 0;
    dialogue_listen(&d, 2);
    for (int i = 0; i < 6; i++) {
        dialogue_init(&peers[i], &h, 4000, (uint16_t)(6000 + i));
        peers[i].listener = d.listener;
        dialogue_say(&peers[i], SYN, 0); /* all before the queue is full */
        peers[i].ack = dialogue_sent(&peers[i]).seq + 1;
    }
    for (int i = 0; i < 6; i++) {
        dialogue_say(&peers[i], ACK, 0);
        dialogue_silent(&peers[i]);
    }
    assert_int_equal(harness_drops(&h, NST_DROP_tcp_accept_queue), 3);
    struct dialogue late;
    dialogue_init(&late, &h, 4000, 7000);
    dialogue_say(&late, SYN, 0);
    dialogue_silent(&late);
    peers[0].sock = dialogue_accept(&peers[0]);
    dialogue_say(&peers[5], ACK | PSH, 10); /* text with the same ACK */
    assert_int_equal(dialogue_state(&peers[5]), NST_TCP_ESTABLISHED);
}

static void test_315_accept_queue_full(void **state)
{
    (void)state;
    accept_queue_full(false);
}

static void test_238_accept_queue_full_with_cookies(void **state)
{
    (void)state;
    accept_queue_full(true);
}

#define OPTIONS_TS "020405b4 0101080a 00000064 00000000"

static void say_at(uint32_t ts_val, uint32_t seq, size_t len)
{
    char options[40];
    const struct seg s = {.seq = d.seq + seq,
                          .ack = d.ack,
                          .flags = ACK,
                          .wnd = 65535,
                          .options = options,
                          .len = len};

    snprintf(options, sizeof options, "0101080a %08x 00000000", ts_val);
    assert_true(dialogue_in(&d, &s));
}

/* Timestamps that were agreed upon and do not come are no reason to drop. */
static void test_243_missing_timestamps(void **state)
{
    (void)state;
    d.syn_options = OPTIONS_TS;
    dialogue_open_passive(&d);
    assert_true(dialogue_tcb(&d)->ts_ok);
    dialogue_say(&d, ACK, 10);
    check_read(10);
}

/* Only what lies at the left edge sets the timestamp to compare with (RFC 7323 §4.3). */
static void test_272_cve_2005_0356(void **state)
{
    (void)state;
    d.syn_options = OPTIONS_TS;
    dialogue_open(&d);
    say_at(0x70000000, 0x20000000, 0); /* outside the window */
    say_at(0x70000000, 30000, 10);     /* inside, but not next */
    assert_int_equal(dialogue_tcb(&d)->ts_recent, 100);
    say_at(101, 0, 10);
    check_read(10);
    d.seq += 10;
    say_at(99, 0, 10); /* from the past */
    assert_int_equal(harness_drops(&h, NST_DROP_tcp_paws), 1);
    check_read(0);
    say_at(99, 0, 0);
    const struct seg rst = {.seq = d.seq, .flags = RST, .options = "0101080a 00000001 00000000"};
    dialogue_in(&d, &rst); /* which is exempt */
    assert_null(dialogue_flow(&d));
}

/* Row 277: what ends TIME-WAIT is time. */
static void test_277_time_wait_assassination(void **state)
{
    (void)state;
    dialogue_open(&d);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    harness_pull(&h);
    d.ack++;
    dialogue_say(&d, FIN | ACK, 0);
    assert_int_equal(dialogue_state(&d), NST_TCP_TIME_WAIT);
    for (int i = 0; i < 59; i++) {
        inject(&d, RST, 0, 0, 0);
        dialogue_silent(&d);
        inject(&d, RST | ACK, 0, 0, 0);
        dialogue_silent(&d);
        inject(&d, ACK, UINT32_MAX - 5000, 0, 100);
        inject(&d, ACK, 0, 12345, 0);
        inject(&d, FIN, 12345, 0, 0);
        inject(&d, SYN, 12345, 0, 0); /* nobody listens */
        harness_run(&h, NST_SEC);
        assert_int_equal(dialogue_state(&d), NST_TCP_TIME_WAIT);
    }
    inject(&d, FIN | ACK, UINT32_MAX, 0, 0); /* the last FIN: it begins anew */
    assert_int_equal(dialogue_sent(&d).flags, ACK);
    harness_run(&h, 59 * NST_SEC);
    assert_int_equal(dialogue_state(&d), NST_TCP_TIME_WAIT);
    harness_run(&h, 2 * NST_SEC);
    assert_null(dialogue_flow(&d));
}

/* How large the window is after a segment was acknowledged in so many steps. */
static uint32_t cwnd_after(unsigned acks)
{
    dialogue_init(&d, &h, (uint16_t)(d.lport + 1), 5000);
    dialogue_open(&d);
    dialogue_write(&d, 20 * 1460);
    for (unsigned i = 1; i <= acks; i++)
        inject(&d, ACK, 0, 1460 * i / acks, 0);
    return dialogue_tcb(&d)->cc.cwnd;
}

static void test_284_ack_division(void **state)
{
    (void)state;
    uint32_t once = cwnd_after(1), often = cwnd_after(1460);
    assert_true(often <= once + once / 20);
}

static void test_285_dupack_spoofing(void **state)
{
    static const char *const options[] = {MSS_1460, "020405b4 01010402"};
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(options); i++) {
        dialogue_init(&d, &h, (uint16_t)(4100 + i), 5000);
        d.syn_options = options[i];
        dialogue_open(&d);
        dialogue_write(&d, 60000);
        uint32_t nxt = dialogue_tcb(&d)->snd.nxt.v, cwnd = dialogue_tcb(&d)->cc.cwnd;
        for (int j = 0; j < 1000; j++)
            inject(&d, ACK, 0, 0, 0);
        assert_true(dialogue_tcb(&d)->cc.cwnd <= cwnd);
        if (i == 1) /* SACK was agreed upon: they say nothing */
            assert_int_equal(dialogue_tcb(&d)->snd.nxt.v, nxt);
    }
}

/* The peer forgets what it had reported: all of it is still here, and is sent again. */
static void test_286_sack_reneging(void **state)
{
    char options[40];
    (void)state;

    d.syn_options = "020405b4 01010402";
    dialogue_open(&d);
    dialogue_write(&d, 8 * 1460);
    snprintf(options, sizeof options, "0101050a %08x %08x", d.ack + 1460, d.ack + 8 * 1460);
    const struct seg sack = {
        .seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535, .options = options};
    dialogue_in(&d, &sack);
    assert_int_equal(dialogue_sent(&d).seq, d.ack);
    d.ack += 1460;
    dialogue_say(&d, ACK, 0); /* no more is known of the rest */
    for (int i = 0; i < 200 && dialogue_tcb(&d)->snd.una.v != dialogue_tcb(&d)->snd.nxt.v; i++) {
        struct seg out[16];
        harness_run(&h, NST_SEC / 2);
        size_t n = dialogue_out(&d, out, 16);
        for (size_t j = 0; j < n; j++)
            if (out[j].seq == d.ack)
                d.ack += (uint32_t)out[j].len;
        if (n)
            dialogue_say(&d, ACK, 0);
    }
    assert_int_equal(dialogue_tcb(&d)->snd.una.v, dialogue_tcb(&d)->snd.nxt.v);
}

/* Row 313: who forges a SYN makes us say six segments at most, with cookies one. */
static void test_313_syn_ack_reflection(void **state)
{
    size_t answers = 0;
    (void)state;

    dialogue_listen(&d, 4);
    dialogue_say(&d, SYN, 0);
    for (int i = 0; i < 200; i++) {
        answers += segments(&d);
        harness_run(&h, NST_SEC);
    }
    assert_int_equal(answers, 6);
    assert_null(dialogue_flow(&d));
    h.stack->tcps.config.max_reqs = 0;
    d.pport++;
    dialogue_say(&d, SYN, 0);
    assert_int_equal(segments(&d), 1);
    assert_null(dialogue_flow(&d));
    harness_run(&h, 200 * NST_SEC);
    dialogue_silent(&d);
}

/* Rows 316, 317, 174: connections without owners end, whatever the peer does or doesn't. */
static void test_317_closing_states_are_bounded(void **state)
{
    struct dialogue peers[5];
    (void)state;

    for (int i = 0; i < 5; i++) {
        dialogue_init(&peers[i], &h, (uint16_t)(4100 + i), 5000);
        peers[i].wnd = i == 3 ? 0 : 65535;
        dialogue_open(&peers[i]);
        if (i != 0)
            dialogue_write(&peers[i], 5000);
        if (i >= 2)
            dialogue_say(&peers[i], FIN | ACK, 0); /* so that LAST-ACK is where it ends */
        assert_int_equal(nst_close(h.stack, peers[i].sock), 0);
        harness_pull(&h);
    }
    peers[0].ack++;
    dialogue_say(&peers[0], ACK, 0);
    assert_int_equal(dialogue_state(&peers[0]), NST_TCP_FIN_WAIT_2);
    harness_run(&h, 61 * NST_SEC);
    assert_null(dialogue_flow(&peers[0]));
    harness_run(&h, 600 * NST_SEC);
    for (int i = 1; i < 5; i++)
        assert_null(dialogue_flow(&peers[i]));
    assert_int_equal(h.stack->tcps.nflows, 0);
    assert_int_equal(h.stack->tcps.norphans, 0);
}

/* Row 320: a full table refuses, counts, and keeps what it has. */
static void test_320_table_full(void **state)
{
    struct dialogue late;
    (void)state;

    dialogue_open_passive(&d);
    h.stack->tcps.config.max_flows = 1;
    dialogue_init(&late, &h, 4000, 6000);
    late.listener = d.listener;
    dialogue_shake(&late); /* with a cookie, which takes no place */
    assert_int_equal(dialogue_state(&late), NST_TCP_LISTEN);
    assert_int_equal(harness_drops(&h, NST_DROP_no_memory), 1);
    nst_sock sock = harness_socket(&h, NST_SOCK_STREAM, 0);
    const struct nst_sockaddr to = {.addr = test_addr(PEER), .port = 9};
    assert_int_equal(nst_connect(h.stack, sock, &to), -ENOBUFS);
    dialogue_say(&d, ACK, 10);
    check_read(10);
}

/* Row 322: a window of one byte makes one small segment for each time it stays open, no more. */
static void test_322_window_of_one_byte(void **state)
{
    size_t n = 0;
    (void)state;

    dialogue_open(&d);
    d.wnd = 1;
    inject(&d, ACK, 0, 0, 0);
    dialogue_write(&d, 5000);
    for (int i = 0; i < 100; i++) {
        struct seg out[8];
        size_t got = dialogue_out(&d, out, 8);
        for (size_t j = 0; j < got; j++) {
            assert_true(out[j].len <= 1);
            d.ack += out[j].seq == d.ack ? (uint32_t)out[j].len : 0;
        }
        n += got;
        inject(&d, ACK, 0, 0, 0);
        harness_run(&h, 100 * NST_MS);
    }
    assert_true(n < 60); /* in ten seconds */
    established();
}

/* Row 326: no bit of a segment can turn without that it is dropped. */
static void test_326_each_bit(void **state)
{
    static struct frame good, bad;
    const struct frame_tcp tcp = {
        .sport = 5000, .dport = 4000, .seq = 0, .ack = 0, .flags = ACK, .wnd = 65535};
    (void)state;

    dialogue_open(&d);
    frame_tcp(&good, &(struct frame_ip){0}, &tcp, NULL, 21);
    frame_put32(&good, TCP_SEQ, d.seq);
    frame_put32(&good, TCP_ACK, d.ack);
    frame_fix(&good);
    for (size_t bit = IP * 8; bit < good.len * 8; bit++) {
        frame_copy(&bad, &good);
        bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        harness_input(&h, &bad);
        check_read(0);
        established();
    }
    harness_input(&h, &good);
    check_read(21);
}

/* Row 327: what Ethernet fills up with is no payload. */
static void test_327_padding(void **state)
{
    static struct frame f;
    (void)state;

    dialogue_open(&d);
    for (size_t len = 0; len < 7; len++) {
        const struct frame_tcp tcp = {
            .sport = 5000, .dport = 4000, .seq = d.seq, .ack = d.ack, .flags = ACK, .wnd = 65535};
        frame_tcp(&f, &(struct frame_ip){0}, &tcp, NULL, len);
        memset(f.bytes + f.len, 0x5a, 100);
        f.len += 40;
        harness_input(&h, &f);
        check_read(len);
        d.seq += (uint32_t)len;
    }
}

/* Rows 219, 250, 251: an MSS that says 0 is none; the least that is used is 48. */
static void test_250_mss_of_nothing(void **state)
{
    static const struct {
        const char *options;
        size_t len;
    } cases[] = {{"02040000", 536}, {"02040001", 48}, {"0204002f", 48}, {"02040218", 536}};
    struct seg out[64];
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(cases); i++) {
        dialogue_init(&d, &h, (uint16_t)(4000 + i), 5000);
        d.syn_options = cases[i].options;
        dialogue_open_passive(&d);
        dialogue_write(&d, 10 * cases[i].len);
        assert_int_equal(dialogue_out(&d, out, NST_ARRAY_LEN(out)), 10);
        for (size_t j = 0; j < 10; j++)
            assert_int_equal(out[j].len, cases[i].len);
    }
}

/* Row 208: what is cut again and again, by acknowledgements inside of segments and an MTU that
 * shrinks, stays accounted for: the harness looks after each step, the peer for each byte. */
static void test_208_segments_are_split(void **state)
{
    static struct frame ours, error;
    static const uint16_t mtus[] = {1400, 900, 577, 576};
    uint32_t begin, got = 0;
    (void)state;

    dialogue_open(&d);
    begin = d.ack;
    dialogue_write(&d, 60000);
    for (int step = 0; got < 60000 && step < 2000; step++) {
        const struct frame_tcp quoted = {.sport = 4000, .dport = 5000, .seq = d.ack, .flags = ACK};
        frame_tcp(&ours, &(struct frame_ip){.src = US, .dst = PEER}, &quoted, NULL, 1000);
        frame_icmp_error(&error, GATEWAY, 3, 4, mtus[step / 10 % 4], &ours, 28);
        if (step % 10 == 5)
            harness_input(&h, &error);
        got += nst_min32(333, dialogue_tcb(&d)->snd.nxt.v - begin - got);
        d.ack = begin + got;
        dialogue_say(&d, ACK, 0);
        struct seg out[64];
        size_t n = dialogue_out(&d, out, NST_ARRAY_LEN(out));
        for (size_t i = 0; i < n; i++)
            for (size_t at = 0; at < out[i].len; at++) {
                size_t place = out[i].seq - begin + at;
                assert_int_equal(((const uint8_t *)out[i].data)[at],
                                 (uint8_t)(place * 7 + place / 256));
            }
        if (n == 0)
            harness_run(&h, NST_SEC);
    }
    assert_int_equal(got, 60000);
    assert_int_equal(dialogue_tcb(&d)->act->sendq.n, 0);
}

/* Row 239: an ICMP error and the owner's question meet while the handshake goes on. */
static void test_239_error_while_connecting(void **state)
{
    static struct frame syn, error;
    int64_t value;
    (void)state;

    for (int order = 0; order < 3; order++) {
        dialogue_init(&d, &h, (uint16_t)(4000 + order), 5000);
        dialogue_connect(&d);
        frame_copy(&syn, harness_sent(&h));
        frame_icmp_error(&error, GATEWAY, 3, order ? 3 : 5, 0, &syn, 28);
        harness_input(&h, &error);
        if (order == 1)
            assert_int_equal(nst_getopt(h.stack, d.sock, NST_OPT_ERROR, &value), 0);
        dialogue_say(&d, SYN | ACK, 0);
        assert_int_equal(nst_getopt(h.stack, d.sock, NST_OPT_ERROR, &value), 0);
        /* A source route that failed is a hint; a port that nobody listens on is an end. */
        assert_int_equal(dialogue_state(&d), order ? NST_TCP_CLOSED : NST_TCP_ESTABLISHED);
        assert_int_equal(value, order == 2 ? ECONNREFUSED : 0);
        assert_int_equal(nst_close(h.stack, d.sock), 0);
        harness_pull(&h);
    }
}

/* Row 244: who closes is in FIN-WAIT-1 at once, though the peer's window lets nothing out, and
 * nobody waits for ever. */
static void test_244_close_with_zero_window(void **state)
{
    (void)state;

    d.wnd = 0;
    dialogue_open(&d);
    dialogue_write(&d, 1000);
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    assert_int_equal(dialogue_state(&d), NST_TCP_FIN_WAIT_1);
    for (int i = 0; i < 1000 && dialogue_flow(&d); i++) {
        harness_run(&h, NST_SEC);
        if (dialogue_flow(&d) && segments(&d))
            dialogue_say(&d, ACK, 0); /* the window stays closed */
    }
    assert_null(dialogue_flow(&d));
    d.sock = 0;
}

/* Row 323: who says little for long is the application's to judge; it can see so and set a limit.
 */
static void test_323_slow_peers_show(void **state)
{
    struct nst_tcp_info info;
    uint8_t buf[10];
    (void)state;

    dialogue_open_passive(&d);
    dialogue_say(&d, ACK, 1);
    harness_run(&h, 30 * NST_SEC);
    assert_int_equal(nst_tcp_info(h.stack, d.sock, &info), 0);
    assert_int_equal(info.last_data_recv, 30 * NST_SEC);
    assert_int_equal(info.bytes_received, 1);
    assert_int_equal(info.age, 30 * NST_SEC);
    assert_int_equal(nst_setopt(h.stack, d.sock, NST_OPT_USER_TIMEOUT, 5000), 0);
    dialogue_write(&d, 100); /* which this peer never acknowledges */
    harness_run(&h, 10 * NST_SEC);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), 1);
    assert_int_equal(dialogue_read(&d, buf, sizeof buf), -ETIMEDOUT);
}

static void drop_sock(void)
{
    assert_int_equal(nst_close(h.stack, d.sock), 0);
    d.sock = 0;
}

/* Row 133: any call in any state, while anything comes in. */
static void any_call(struct nst_prng *prng)
{
    static uint8_t buf[3000];
    static const enum nst_opt opts[] = {NST_OPT_NODELAY, NST_OPT_CORK,      NST_OPT_KEEPALIVE,
                                        NST_OPT_MAXSEG,  NST_OPT_RCVBUF,    NST_OPT_SNDBUF,
                                        NST_OPT_LINGER,  NST_OPT_OOBINLINE, NST_OPT_ERROR};
    const struct nst_sockaddr to = {.addr = test_addr(PEER), .port = d.pport};
    enum nst_opt opt = opts[nst_prng_below(prng, NST_ARRAY_LEN(opts))];
    struct nst_msg msg;
    int64_t value;

    switch (nst_prng_below(prng, 9)) {
    case 0:
        (void)nst_connect(h.stack, d.sock, &to);
        break;
    case 1:
        (void)harness_send(&h, d.sock, NULL, 0, buf, (size_t)nst_prng_below(prng, 3000));
        break;
    case 2:
        (void)harness_recv(&h, d.sock, &msg, buf, (size_t)nst_prng_below(prng, 3000),
                           (uint32_t)nst_prng_below(prng, 8));
        break;
    case 3:
        (void)nst_shutdown(h.stack, d.sock, 1 + (unsigned)nst_prng_below(prng, 3));
        break;
    case 4:
        (void)nst_listen(h.stack, d.sock, 3);
        break;
    case 5:
        (void)nst_setopt(h.stack, d.sock, opt, (int64_t)nst_prng_below(prng, 5000));
        break;
    case 6:
        (void)nst_getopt(h.stack, d.sock, opt, &value);
        break;
    case 7:
        if (nst_prng_below(prng, 4) == 0)
            drop_sock();
        break;
    default:
        harness_run(&h, nst_prng_below(prng, 4) * NST_SEC);
    }
}

static void any_segment(struct nst_prng *prng)
{
    const struct nst_tcb *t = dialogue_tcb(&d);
    uint32_t near = (uint32_t)nst_prng_below(prng, 40) - 20;
    const struct seg s = {.seq = (t ? t->rcv.nxt.v : d.seq) + (nst_prng_below(prng, 3) ? 0 : near),
                          .ack = (t ? t->snd.nxt.v : d.ack) - (nst_prng_below(prng, 3) ? 0 : near),
                          .flags = nst_prng_below(prng, 3) ? (uint8_t)nst_prng_below(prng, 64)
                                                           : ACK,
                          .wnd = (uint16_t)nst_prng_below(prng, 65536),
                          .urg = (uint16_t)nst_prng_below(prng, 20),
                          .options = nst_prng_below(prng, 5) ? NULL : "020405b4 01010402",
                          .len = nst_prng_below(prng, 2) ? (size_t)nst_prng_below(prng, 1460) : 0};

    (void)dialogue_in(&d, &s);
}

static void test_133_any_call_in_any_state(void **state)
{
    const struct nst_sockaddr local = {.port = 4000};
    struct nst_prng prng;
    nst_sock sock;
    (void)state;

    test_prng_init(&prng, 133);
    for (int i = 0; i < 20000; i++) {
        if (!d.sock) {
            d.sock = harness_socket(&h, NST_SOCK_STREAM, 0);
            d.pport = (uint16_t)(5000 + i % 50);
            (void)nst_bind(h.stack, d.sock, &local);
        }
        if (nst_accept(h.stack, d.sock, &sock, 1) == 0)
            assert_int_equal(nst_close(h.stack, sock), 0);
        if (nst_prng_below(&prng, 2))
            any_call(&prng);
        else
            any_segment(&prng);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest dialogues[] = {
    T(test_129_cve_2016_5696),
    T(test_132_cve_2017_6214),
    T(test_133_any_call_in_any_state),
    T(test_134_cve_2010_4165),
    T(test_141_cve_2020_36516),
    T(test_208_segments_are_split),
    T(test_210_numbers_wrap),
    T(test_217_window_shrinks),
    T(test_222_wrong_ack_in_syn_received),
    T(test_224_round_trip_of_hours),
    T(test_149_cve_2021_20322),
    T(test_ecn_abuse),
    T(test_fast_open_cookies),
    T(test_230_listen_twice),
    T(test_239_error_while_connecting),
    T(test_238_accept_queue_full_with_cookies),
    T(test_243_missing_timestamps),
    T(test_244_close_with_zero_window),
    T(test_250_mss_of_nothing),
    T(test_267_urgent_byte_once),
    T(test_272_cve_2005_0356),
    T(test_273_icmp_attacks),
    T(test_275_ack_storm),
    T(test_277_time_wait_assassination),
    T(test_284_ack_division),
    T(test_285_dupack_spoofing),
    T(test_286_sack_reneging),
    T(test_313_syn_ack_reflection),
    T(test_315_accept_queue_full),
    T(test_317_closing_states_are_bounded),
    T(test_320_table_full),
    T(test_322_window_of_one_byte),
    T(test_323_slow_peers_show),
    T(test_326_each_bit),
    T(test_327_padding),
};

int main(void)
{
    static struct CMUnitTest tests[NST_ARRAY_LEN(rows) + NST_ARRAY_LEN(dialogues)];
    static char names[NST_ARRAY_LEN(rows)][128];

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        union {
            const struct row *row;
            void *state;
        } row = {&rows[i]};
        snprintf(names[i], sizeof names[i], "%03u %s: %s", rows[i].number, rows[i].id,
                 rows[i].what);
        tests[i] = (struct CMUnitTest){names[i], test_row, NULL, NULL, row.state};
    }
    memcpy(tests + NST_ARRAY_LEN(rows), dialogues, sizeof dialogues);
    return cmocka_run_group_tests_name("tcp/attacks", tests, NULL, NULL);
}
