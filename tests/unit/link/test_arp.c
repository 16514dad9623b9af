/* ARP packets in and out, as literal bytes.
 *
 * We are 192.0.2.1 (02:00:00:00:00:01); 192.0.2.2 is an address that we are still probing for, and
 * 192.0.2.3 one that we lost to another host. The neighbour is 192.0.2.10 (02:00:00:00:00:0a). */
#include "core/link/arp.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/acd.h"
#include "core/wire/arp.h"
#include "core/wire/eth.h"

#include "../core.h"

#define REQUEST "0001 0800 06 04 0001 "
#define REPLY   "0001 0800 06 04 0002 "

#define OUR_MAC   "020000000001 "
#define OUR_IP    "c0000201 "
#define PROBED_IP "c0000202 "
#define LOST_IP   "c0000203 "
#define MAC_A     "02000000000a "
#define MAC_B     "02000000000b "
#define IP_A      "c000020a "
#define NO_MAC    "000000000000 "
#define ALL_MAC   "ffffffffffff "
#define NO_IP     "00000000 "
#define OTHER_IP  "c0000263 "

#define OUR_REPLY REPLY OUR_MAC OUR_IP MAC_A IP_A

static struct test_core core;
static struct nst_neigh_table table;
static struct nst_ifaddr *probed, *lost;

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    probed = test_core_addr_add(&core, "192.0.2.2/24", NST_ACD_PROBE);
    probed->state = NST_ADDR_TENTATIVE;
    lost = test_core_addr_add(&core, "192.0.2.3/24", NST_ACD_PROBE);
    lost->state = NST_ADDR_CONFLICT;
    assert_int_equal(nst_neigh_init(&table, &core.env, 4, 3), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_neigh_check(&table);
    nst_neigh_fini(&table);
    test_core_fini(&core);
    return 0;
}

/* ---- In ---------------------------------------------------------------------------------- */

/* What the cache knows of the neighbour when the packet comes. */
enum before {
    UNKNOWN,
    ASKED,     /* incomplete; a packet waits */
    KNOWN,     /* MAC_A, reachable since 2 s */
    CONFIRMED, /* MAC_A, just now */
    PERMANENT, /* MAC_A */
};

#define ABSENT (-1) /* in the place of an enum nst_neigh_state */

struct row {
    const char *name, *arp;
    bool group; /* came in a broadcast frame */
    enum before before;
    enum nst_drop drop;
    const char *reply; /* NULL: none */
    int after;
    char mac; /* of the neighbour: A or B */
};

static const struct row ROWS[] = {
    {"request for us", REQUEST MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN, NST_DROP_NONE, OUR_REPLY,
     NST_NEIGH_STALE, 'A'},
    {"request for us, unicast", REQUEST MAC_A IP_A OUR_MAC OUR_IP, false, UNKNOWN, NST_DROP_NONE,
     OUR_REPLY, NST_NEIGH_STALE, 'A'},
    {"request for us from a known neighbour", REQUEST MAC_A IP_A NO_MAC OUR_IP, true, KNOWN,
     NST_DROP_NONE, OUR_REPLY, NST_NEIGH_REACHABLE, 'A'},
    {"request for us from a moved neighbour", REQUEST MAC_B IP_A NO_MAC OUR_IP, true, KNOWN,
     NST_DROP_NONE, REPLY OUR_MAC OUR_IP MAC_B IP_A, NST_NEIGH_STALE, 'B'},
    {"request for us that would move a locked one", REQUEST MAC_B IP_A NO_MAC OUR_IP, true,
     CONFIRMED, NST_DROP_NONE, REPLY OUR_MAC OUR_IP MAC_B IP_A, NST_NEIGH_REACHABLE, 'A'},
    {"request for us in a padded frame",
     REQUEST MAC_A IP_A NO_MAC OUR_IP "000102030405060708090a0b0c0d0e0f1011", true, UNKNOWN,
     NST_DROP_NONE, OUR_REPLY, NST_NEIGH_STALE, 'A'},
    {"request for another", REQUEST MAC_A IP_A NO_MAC OTHER_IP, true, UNKNOWN, NST_DROP_arp_other,
     NULL, ABSENT, 0},
    {"request for another from a known neighbour", REQUEST MAC_A IP_A NO_MAC OTHER_IP, true, KNOWN,
     NST_DROP_NONE, NULL, NST_NEIGH_REACHABLE, 'A'},
    {"request for another from a moved neighbour", REQUEST MAC_B IP_A NO_MAC OTHER_IP, true, KNOWN,
     NST_DROP_NONE, NULL, NST_NEIGH_STALE, 'B'},
    {"request for a broadcast address", REQUEST MAC_A IP_A NO_MAC "c00002ff", true, UNKNOWN,
     NST_DROP_arp_other, NULL, ABSENT, 0},
    {"request for 0.0.0.0", REQUEST MAC_A IP_A NO_MAC NO_IP, true, UNKNOWN, NST_DROP_arp_other,
     NULL, ABSENT, 0},
    {"request for an address being probed", REQUEST MAC_A IP_A NO_MAC PROBED_IP, true, UNKNOWN,
     NST_DROP_arp_other, NULL, ABSENT, 0},
    {"request for a lost address", REQUEST MAC_A IP_A NO_MAC LOST_IP, true, UNKNOWN,
     NST_DROP_arp_other, NULL, ABSENT, 0},

    {"probe for us", REQUEST MAC_A NO_IP NO_MAC OUR_IP, true, UNKNOWN, NST_DROP_NONE,
     REPLY OUR_MAC OUR_IP MAC_A NO_IP, ABSENT, 0},
    {"probe for another", REQUEST MAC_A NO_IP NO_MAC OTHER_IP, true, UNKNOWN, NST_DROP_arp_other,
     NULL, ABSENT, 0},
    {"probe for a known neighbour's address", REQUEST MAC_B NO_IP NO_MAC IP_A, true, KNOWN,
     NST_DROP_arp_other, NULL, NST_NEIGH_REACHABLE, 'A'},
    {"announcement", REQUEST MAC_A IP_A NO_MAC IP_A, true, UNKNOWN, NST_DROP_arp_other, NULL,
     ABSENT, 0},
    {"announcement of a move", REQUEST MAC_B IP_A NO_MAC IP_A, true, KNOWN, NST_DROP_NONE, NULL,
     NST_NEIGH_STALE, 'B'},
    {"announcement of a move within a second", REQUEST MAC_B IP_A NO_MAC IP_A, true, CONFIRMED,
     NST_DROP_arp_locked, NULL, NST_NEIGH_REACHABLE, 'A'},
    {"announcement by who is asked for", REQUEST MAC_A IP_A NO_MAC IP_A, true, ASKED, NST_DROP_NONE,
     NULL, NST_NEIGH_DELAY, 'A'},
    {"gratuitous reply", REPLY MAC_A IP_A ALL_MAC IP_A, true, UNKNOWN, NST_DROP_arp_other, NULL,
     ABSENT, 0},
    {"gratuitous reply, moved", REPLY MAC_B IP_A ALL_MAC IP_A, true, KNOWN, NST_DROP_NONE, NULL,
     NST_NEIGH_STALE, 'B'},
    {"gratuitous reply against a permanent entry", REPLY MAC_B IP_A ALL_MAC IP_A, true, PERMANENT,
     NST_DROP_arp_locked, NULL, NST_NEIGH_PERMANENT, 'A'},

    {"reply that was asked for", REPLY MAC_A IP_A OUR_MAC OUR_IP, false, ASKED, NST_DROP_NONE, NULL,
     NST_NEIGH_REACHABLE, 'A'},
    {"reply to us in a broadcast frame", REPLY MAC_A IP_A OUR_MAC OUR_IP, true, ASKED,
     NST_DROP_NONE, NULL, NST_NEIGH_DELAY, 'A'},
    {"reply to another", REPLY MAC_A IP_A MAC_B OTHER_IP, false, ASKED, NST_DROP_NONE, NULL,
     NST_NEIGH_DELAY, 'A'},
    {"reply that nobody asked for", REPLY MAC_A IP_A OUR_MAC OUR_IP, false, UNKNOWN,
     NST_DROP_arp_other, NULL, ABSENT, 0},
    {"reply from 0.0.0.0", REPLY MAC_A NO_IP OUR_MAC OUR_IP, false, UNKNOWN, NST_DROP_arp_source,
     NULL, ABSENT, 0},

    {"hardware type", "0006 0800 06 04 0001" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN, NST_DROP_arp,
     NULL, ABSENT, 0},
    {"protocol type", "0001 86dd 06 04 0001" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN, NST_DROP_arp,
     NULL, ABSENT, 0},
    {"hardware length", "0001 0800 07 04 0001" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp, NULL, ABSENT, 0},
    {"protocol length", "0001 0800 06 10 0001" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp, NULL, ABSENT, 0},
    {"operation 0", "0001 0800 06 04 0000" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN, NST_DROP_arp,
     NULL, ABSENT, 0},
    {"reverse request", "0001 0800 06 04 0003" MAC_A IP_A NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp, NULL, ABSENT, 0},
    {"one byte short", REQUEST MAC_A IP_A NO_MAC "c00002", true, UNKNOWN, NST_DROP_arp, NULL,
     ABSENT, 0},
    {"nothing", "", true, UNKNOWN, NST_DROP_arp, NULL, ABSENT, 0},

    {"from our own MAC address", REQUEST OUR_MAC IP_A NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"our own announcement, reflected", REQUEST OUR_MAC OUR_IP NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"our own probe, reflected", REQUEST OUR_MAC NO_IP NO_MAC PROBED_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from the broadcast MAC address", REPLY ALL_MAC IP_A OUR_MAC OUR_IP, false, ASKED,
     NST_DROP_arp_source, NULL, NST_NEIGH_INCOMPLETE, 0},
    {"from a multicast MAC address", REPLY "01005e000001" IP_A OUR_MAC OUR_IP, false, ASKED,
     NST_DROP_arp_source, NULL, NST_NEIGH_INCOMPLETE, 0},
    {"from the zero MAC address", REPLY NO_MAC IP_A OUR_MAC OUR_IP, false, ASKED,
     NST_DROP_arp_source, NULL, NST_NEIGH_INCOMPLETE, 0},
    {"from off the link", REQUEST MAC_A "c6336401" NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from the network's broadcast address", REQUEST MAC_A "c00002ff" NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from the network's old broadcast address", REQUEST MAC_A "c0000200" NO_MAC OUR_IP, true,
     UNKNOWN, NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from 255.255.255.255", REQUEST MAC_A "ffffffff" NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from a multicast address", REQUEST MAC_A "e0000001" NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
    {"from a loopback address", REQUEST MAC_A "7f000001" NO_MAC OUR_IP, true, UNKNOWN,
     NST_DROP_arp_source, NULL, ABSENT, 0},
};

static struct nst_mac mac_named(char name)
{
    return test_mac(name == 'A' ? "02:00:00:00:00:0a" : "02:00:00:00:00:0b");
}

static void no_timer(void *ctx, struct nst_timer *timer)
{
    (void)ctx;
    (void)timer;
    fail();
}

static void prepare(enum before before)
{
    const struct nst_addr addr = test_addr("192.0.2.10");
    const struct nst_mac mac = mac_named('A');

    if (before == UNKNOWN)
        return;
    if (before == PERMANENT) {
        assert_int_equal(nst_neigh_table_set(&table, &core.iface, &addr, &mac), 0);
        return;
    }
    nst_neigh_output_take(&table, nst_neigh_obtain(&table, &core.iface, &addr),
                          test_pkt(&core.pool, "x", 1));
    if (before != ASKED)
        nst_neigh_input(&table, &core.iface, &addr, &mac, NST_NEIGH_ANSWER);
    if (before == KNOWN)
        test_core_run(&core, core.env.now + 2 * NST_SEC, no_timer, NULL);
    test_core_flush(&core);
}

static enum nst_drop input(const char *hex, bool group)
{
    struct nst_pkt *pkt = test_pkt_hex(&core.pool, hex);

    pkt->l2_group = group;
    enum nst_drop drop = nst_arp_input(&core.iface, &table, pkt);
    nst_pkt_free(pkt);
    nst_neigh_check(&table);
    return drop;
}

/* The next packet for the device is this ARP packet, to the MAC address. */
static void assert_sent(const char *hex, const struct nst_mac *to)
{
    struct nst_pkt *pkt = nst_iface_pull(&core.iface);

    assert_non_null(pkt);
    assert_int_equal(nst_pkt_head_len(pkt), nst_pkt_len(pkt));
    assert_hex(nst_pkt_head(pkt), nst_pkt_len(pkt), hex);
    assert_int_equal(pkt->ethertype, NST_ETHERTYPE_ARP);
    assert_int_equal(pkt->link, 1);
    assert_true(nst_mac_eq(&pkt->mac, to));
    nst_pkt_free(pkt);
}

/* The reply goes to the MAC address that stands in the request. */
static void assert_replied(const struct row *row)
{
    struct hex request = hex_bytes(row->arp);
    struct nst_mac to;

    memcpy(to.bytes, request.p + 8, 6);
    hex_free(request);
    assert_sent(row->reply, &to);
}

static void check_row(const struct row *row)
{
    const struct nst_addr addr = test_addr("192.0.2.10");

    prepare(row->before);
    enum nst_drop drop = input(row->arp, row->group);
    if (drop != row->drop)
        fail_msg("%s: dropped for %s", row->name, hex_drop(drop));
    const struct nst_neigh *n = nst_neigh_find(&table, &core.iface, &addr);
    int after = n ? (int)n->state : ABSENT;
    if (after != row->after)
        fail_msg("%s: state %d instead of %d", row->name, after, row->after);
    struct nst_mac mac = mac_named(row->mac);
    if (row->mac && !nst_mac_eq(&n->mac, &mac))
        fail_msg("%s: not MAC %c", row->name, row->mac);
    if (row->before == ASKED && after != NST_NEIGH_INCOMPLETE)
        nst_pkt_free(nst_iface_pull(&core.iface)); /* what waited */
    if (row->reply)
        assert_replied(row);
    if (core.iface.txq_pkts != 0)
        fail_msg("%s: something was sent", row->name);
    assert_int_equal(table.count, n ? 1 : 0);
    assert_int_equal(core.env.stats[NST_STAT_acd_conflicts], 0);
    assert_int_equal(core.env.stats[NST_STAT_arp_in], row->drop != NST_DROP_arp);
    assert_int_equal(core.env.stats[NST_STAT_arp_replies_sent], row->reply != NULL);
}

/* Shows 826-1, 826-2, 826-3. */
static void test_input(void **state)
{
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(ROWS); i++) {
        setup(NULL);
        check_row(&ROWS[i]);
        teardown(NULL);
    }
}

/* Where the network is so wide that everything is on the link, some addresses still have no host.
 */
static void test_impossible_hosts(void **state)
{
    static const char *const senders[] = {
        REQUEST MAC_A "7f000001" NO_MAC OUR_IP,
        REQUEST MAC_A "e0000001" NO_MAC OUR_IP,
        REQUEST MAC_A "f0000001" NO_MAC OUR_IP,
        REQUEST MAC_A "00000001" NO_MAC OUR_IP,
    };
    (void)state;

    test_core_addr_add(&core, "198.51.100.7/0", NST_ACD_OFF);
    assert_int_equal(input(REQUEST MAC_A "cb007101" NO_MAC OUR_IP, true), NST_DROP_NONE);
    assert_int_equal(test_core_flush(&core), 1);
    for (size_t i = 0; i < NST_ARRAY_LEN(senders); i++)
        assert_int_equal(input(senders[i], true), NST_DROP_arp_source);
    assert_int_equal(core.iface.txq_pkts, 0);
}

/* What claims an address of ours goes to conflict detection, changes no entry and gets no reply. */
static void test_conflicts(void **state)
{
    static const struct {
        const char *arp;
        int contested; /* index of our address, -1 none */
    } rows[] = {
        {REQUEST MAC_A OUR_IP NO_MAC OTHER_IP, 0},     {REQUEST MAC_A OUR_IP NO_MAC OUR_IP, 0},
        {REPLY MAC_A OUR_IP OUR_MAC OUR_IP, 0},        {REPLY MAC_A OUR_IP ALL_MAC OUR_IP, 0},
        {REQUEST MAC_A PROBED_IP NO_MAC PROBED_IP, 1}, {REPLY MAC_A PROBED_IP OUR_MAC NO_IP, 1},
        {REQUEST MAC_A NO_IP NO_MAC PROBED_IP, 1}, /* two probe for it at once */
        {REPLY MAC_A IP_A NO_MAC PROBED_IP, -1},   /* an answer about somebody else */
        {REQUEST MAC_A LOST_IP NO_MAC LOST_IP, -1},    {REQUEST MAC_A NO_IP NO_MAC LOST_IP, -1},
    };
    (void)state;

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        setup(NULL);
        const struct nst_mac mac = mac_named('A');
        enum nst_drop drop = input(rows[i].arp, true);
        assert_int_equal(drop == NST_DROP_arp_conflict, rows[i].contested >= 0);
        for (int a = 0; a < 3; a++) {
            assert_int_equal(core.iface.addrs[a].contested, a == rows[i].contested);
            if (a == rows[i].contested)
                assert_true(nst_mac_eq(&core.iface.addrs[a].contender, &mac));
        }
        assert_int_equal(table.count, 0);
        assert_int_equal(core.iface.txq_pkts, 0);
        teardown(NULL);
    }
}

/* Who won an address from us is a neighbour like any other. */
static void test_winner_of_an_address_is_a_neighbour(void **state)
{
    const struct nst_mac to = mac_named('A');
    (void)state;

    assert_int_equal(input(REQUEST MAC_A LOST_IP NO_MAC OUR_IP, true), NST_DROP_NONE);
    assert_sent(REPLY OUR_MAC OUR_IP MAC_A LOST_IP, &to);
    assert_non_null(nst_neigh_find(&table, &core.iface, &lost->prefix.addr));
}

static void test_answers_although_the_cache_is_full(void **state)
{
    const struct nst_mac mac = mac_named('A');
    (void)state;

    for (uint8_t i = 0; i < 4; i++) {
        struct nst_addr addr = nst_addr_v4(192, 0, 2, (uint8_t)(20 + i));
        assert_int_equal(nst_neigh_table_set(&table, &core.iface, &addr, &mac), 0);
    }
    assert_int_equal(input(REQUEST MAC_A IP_A NO_MAC OUR_IP, true), NST_DROP_NONE);
    assert_sent(OUR_REPLY, &mac);
}

/* Without memory for the reply, or for the request of our own, there is none, and no count of it.
 */
static void test_no_memory(void **state)
{
    const struct nst_addr target = test_addr("192.0.2.10");
    (void)state;

    size_t budget = core.pool.budget_bytes;
    struct nst_pkt *pkt = test_pkt_hex(&core.pool, REQUEST MAC_A IP_A NO_MAC OUR_IP);
    core.pool.budget_bytes = core.pool.used_bytes;
    assert_int_equal(nst_arp_input(&core.iface, &table, pkt), NST_DROP_no_memory);
    nst_arp_request(&core.iface, &core.addr->prefix.addr, &target);
    core.pool.budget_bytes = budget;
    nst_pkt_free(pkt);
    assert_int_equal(core.iface.txq_pkts, 0);
    assert_int_equal(core.env.stats[NST_STAT_arp_replies_sent], 0);
    assert_int_equal(core.env.stats[NST_STAT_arp_requests_sent], 0);
}

/* Only what lies in the packet's first slice is read. */
static void test_split_packet(void **state)
{
    struct hex bytes = hex_bytes(REQUEST MAC_A IP_A NO_MAC OUR_IP);
    struct nst_pkt *pkt =
        test_pkt_split(&core.pool, bytes.p, (const size_t[]){NST_ARP_LEN - 1, 1}, 2);
    (void)state;

    hex_free(bytes);
    assert_int_equal(nst_arp_input(&core.iface, &table, pkt), NST_DROP_arp);
    nst_pkt_free(pkt);
}

/* ---- Out --------------------------------------------------------------------------------- */

static void test_probe_and_announcement(void **state)
{
    const struct nst_addr nobody = test_addr("0.0.0.0");
    (void)state;

    nst_arp_request(&core.iface, &nobody, &probed->prefix.addr);
    assert_sent(REQUEST OUR_MAC NO_IP NO_MAC PROBED_IP, &nst_mac_broadcast);
    nst_arp_request(&core.iface, &core.addr->prefix.addr, &core.addr->prefix.addr);
    assert_sent(REQUEST OUR_MAC OUR_IP NO_MAC OUR_IP, &nst_mac_broadcast);
    assert_int_equal(core.env.stats[NST_STAT_arp_requests_sent], 2);
}

static struct nst_neigh *neighbour(const char *text)
{
    struct nst_addr addr = test_addr(text);
    struct nst_neigh *n;

    nst_neigh_output_take(&table, nst_neigh_obtain(&table, &core.iface, &addr),
                          test_pkt(&core.pool, "x", 1));
    n = nst_neigh_find(&table, &core.iface, &addr);
    assert_non_null(n);
    return n;
}

/* The sender is our address in the neighbour's network; never one that is not in use. */
static void test_solicitation_bears_a_fitting_sender(void **state)
{
    (void)state;

    test_core_addr_add(&core, "198.51.100.7/25", NST_ACD_OFF);
    test_core_addr_add(&core, "2001:db8::1/64", NST_ACD_OFF);
    nst_arp_solicit(neighbour("192.0.2.99"));
    assert_sent(REQUEST OUR_MAC OUR_IP NO_MAC OTHER_IP, &nst_mac_broadcast);
    nst_arp_solicit(neighbour("198.51.100.8"));
    assert_sent(REQUEST OUR_MAC "c6336407" NO_MAC "c6336408", &nst_mac_broadcast);
    nst_arp_solicit(neighbour("203.0.113.1"));
    assert_sent(REQUEST OUR_MAC OUR_IP NO_MAC "cb007101", &nst_mac_broadcast);
    core.addr->state = NST_ADDR_CONFLICT;
    core.iface.addrs[3].state = NST_ADDR_TENTATIVE;
    nst_arp_solicit(neighbour("192.0.2.99"));
    assert_sent(REQUEST OUR_MAC NO_IP NO_MAC OTHER_IP, &nst_mac_broadcast);
}

static void test_probing_is_unicast(void **state)
{
    struct nst_neigh *n = neighbour("192.0.2.99");
    const struct nst_mac mac = mac_named('A');
    (void)state;

    nst_neigh_input(&table, &core.iface, &n->addr, &mac, NST_NEIGH_REQUEST);
    test_core_flush(&core);
    assert_int_equal(n->state, NST_NEIGH_DELAY);
    core.env.now += 5 * NST_SEC;
    assert_ptr_equal(nst_wheel_pull(&core.env.wheel, core.env.now), &n->timer);
    nst_neigh_timeout(&table, n);
    assert_int_equal(n->state, NST_NEIGH_PROBE);
    nst_arp_solicit(n);
    assert_sent(REQUEST OUR_MAC OUR_IP NO_MAC OTHER_IP, &mac);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_conflicts),
        TEST(test_impossible_hosts),
        TEST(test_winner_of_an_address_is_a_neighbour),
        TEST(test_answers_although_the_cache_is_full),
        TEST(test_no_memory),
        TEST(test_split_packet),
        TEST(test_probe_and_announcement),
        TEST(test_solicitation_bears_a_fitting_sender),
        TEST(test_probing_is_unicast),
    };
    return cmocka_run_group_tests_name("arp", tests, NULL, NULL);
}
