/* The host's side of the device, and the netlink calls below it, on veth pairs. */
#define _GNU_SOURCE
#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "daemon/hostnet.h"
#include "daemon/netlink.h"

#include "netns.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static struct nst_up_config configure(const char *flag, const char *value)
{
    char *argv[] = {"up", "--mtu=1400", "--queue-length=500", (char *)flag, (char *)value};
    struct nst_up_config config;
    struct nst_fault fault;

    if (nst_config_parse(&config, flag ? 5 : 3, argv, &fault) != 0)
        fail_msg("%s", fault.text);
    return config;
}

/* All that the host has, as text. */
static void snapshot(char text[16384])
{
    strcpy(text, shell("ip -details -o link; ip -4 -o addr; ip -4 route"));
}

static struct nst_netlink_link look(const char *name)
{
    struct nst_netlink *nl;
    struct nst_netlink_link link;
    struct nst_fault fault;

    assert_int_equal(nst_netlink_open(&nl, &fault), 0);
    assert_int_equal(nst_netlink_get_link(nl, name, &link, &fault), 0);
    nst_netlink_close(nl);
    return link;
}

/* ---- Netlink ----------------------------------------------------------------------------- */

static void test_links_are_found_by_name(void **state)
{
    struct nst_netlink *nl;
    struct nst_netlink_link link;
    struct nst_fault fault;
    (void)state;
    NEED_NETNS();

    assert_int_equal(nst_netlink_open(&nl, &fault), 0);
    assert_int_equal(nst_netlink_get_link(nl, "tun0", &link, &fault), 0);
    assert_int_equal(link.index, (int)if_nametoindex("tun0"));
    assert_string_equal(link.name, "tun0");
    assert_int_equal(link.mtu, 1500);
    assert_int_equal(link.queue_pkts, 1000);
    assert_false(link.up);
    assert_int_equal(nst_netlink_get_link(nl, "nothing0", &link, &fault), -ENODEV);
    assert_string_equal(fault.text, "there is no interface called 'nothing0'");
    nst_netlink_close(nl);
}

static void test_failures_bear_the_kernels_words(void **state)
{
    struct nst_netlink *nl;
    struct nst_fault fault;
    struct nst_prefix prefix = {nst_addr_v4(10, 0, 0, 1), 24};
    (void)state;
    NEED_NETNS();

    assert_int_equal(nst_netlink_open(&nl, &fault), 0);
    int index = (int)if_nametoindex("tun0");
    assert_int_equal(nst_netlink_set_mtu(nl, index, 10, &fault), -EINVAL);
    assert_string_equal(fault.text, "cannot set the device's MTU to 10 (mtu less than device "
                                    "minimum): Invalid argument");
    assert_int_equal(nst_netlink_add_addr(nl, index, &prefix, &fault), 0);
    assert_int_equal(nst_netlink_add_addr(nl, index, &prefix, &fault), -EEXIST);
    assert_int_equal(nst_netlink_del_addr(nl, index, &prefix, &fault), 0);
    assert_int_equal(nst_netlink_del_addr(nl, index, &prefix, &fault), -EADDRNOTAVAIL);
    assert_int_equal(nst_netlink_set_up(nl, 4711, true, &fault), -ENODEV);
    nst_netlink_close(nl);
}

static void test_long_lists_are_counted_whole(void **state)
{
    struct nst_netlink *nl;
    struct nst_netlink_addr addrs[4];
    struct nst_fault fault;
    (void)state;
    NEED_NETNS();

    shell("for i in $(seq 1 250); do echo addr add 10.5.$i.1/24 dev eth0; done | ip -batch -");
    assert_int_equal(nst_netlink_open(&nl, &fault), 0);
    assert_int_equal(nst_netlink_list_addrs(nl, addrs, 4, &fault), 250);
    assert_string_equal(addrs[3].name, "eth0");
    assert_int_equal(addrs[3].prefix.len, 24);
    nst_netlink_close(nl);
}

/* ---- Up and down ------------------------------------------------------------------------- */

static void test_what_was_made_is_removed_exactly(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    char before[16384], after[16384];
    (void)state;
    NEED_NETNS();

    config = configure(NULL, NULL);
    snapshot(before);
    assert_int_equal(nst_hostnet_up(&host, &config, "tun0", &fault), 0);
    struct nst_netlink_link link = look("tun0");
    assert_int_equal(link.mtu, 1400);
    assert_int_equal(link.queue_pkts, 500);
    assert_true(link.up);
    assert_non_null(strstr(shell("ip -4 -o addr show dev tun0"),
                           "inet 10.0.0.1/24 brd 10.0.0.255 scope global tun0"));
    assert_int_equal(nst_hostnet_down(host, &fault), 0);
    snapshot(after);
    assert_string_equal(before, after);
}

static void test_a_prepared_device_stays_as_it_is(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    char before[16384], after[16384];
    (void)state;
    NEED_NETNS();

    config = configure(NULL, NULL);
    shell("ip link set tun0 up mtu 1400 txqueuelen 500; ip addr add 10.0.0.1/24 dev tun0");
    snapshot(before);
    int status, child = fork();
    if (child == 0) { /* it takes no rights at all */
        drop_rights();
        _exit(nst_hostnet_up(&host, &config, "tun0", &fault) == 0 &&
                      nst_hostnet_down(host, &fault) == 0
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    snapshot(after);
    assert_string_equal(before, after);
}

static void test_a_device_that_went_needs_no_undoing(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    (void)state;
    NEED_NETNS();

    config = configure(NULL, NULL);
    assert_int_equal(nst_hostnet_up(&host, &config, "tun0", &fault), 0);
    shell("ip link del tun0");
    assert_int_equal(nst_hostnet_down(host, &fault), 0);
    assert_int_equal(nst_hostnet_down(NULL, &fault), 0);
}

static void test_the_hosts_side_can_be_left_alone(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    char before[16384], after[16384];
    (void)state;
    NEED_NETNS();

    config = configure("--host-address", "none");
    snapshot(before);
    assert_int_equal(nst_hostnet_up(&host, &config, "tun0", &fault), 0);
    snapshot(after);
    assert_string_equal(before, after);
    assert_int_equal(nst_hostnet_down(host, &fault), 0);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *prepare, *flag, *value, *device, *message;
        int error;
    } rows[] = {
        {"true", NULL, NULL, "nothing0", "there is no interface called 'nothing0'", -ENODEV},
        {"ip addr add 10.0.0.2/32 dev eth0", NULL, NULL, "tun0",
         "10.0.0.2 is an address of this host already, on eth0: choose another for the stack with "
         "--address",
         -EADDRINUSE},
        {"ip addr add 10.0.0.2/24 dev tun0", NULL, NULL, "tun0",
         "10.0.0.2 is an address of this host already, on tun0: choose another for the stack with "
         "--address",
         -EADDRINUSE},
        {"ip addr add 10.0.0.77/24 dev eth0", NULL, NULL, "tun0",
         "the network of 10.0.0.2/24 overlaps that of 10.0.0.77/24, which the host has on eth0: "
         "choose others with --address and --host-address",
         -EADDRINUSE},
        {"ip addr add 10.9.9.9/8 dev eth0", NULL, NULL, "tun0",
         "the network of 10.0.0.2/24 overlaps that of 10.9.9.9/8, which the host has on eth0: "
         "choose others with --address and --host-address",
         -EADDRINUSE},
        {"ip addr add 10.0.9.9/24 dev eth0", "--host-address", "10.0.0.1/16", "tun0",
         "the network of 10.0.0.1/16 overlaps that of 10.0.9.9/24, which the host has on eth0: "
         "choose others with --address and --host-address",
         -EADDRINUSE},
    };
    (void)state;
    NEED_NETNS();

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        struct nst_up_config config = configure(rows[i].flag, rows[i].value);
        struct nst_hostnet *host;
        struct nst_fault fault = {""};
        char before[16384], after[16384];
        shell("%s", rows[i].prepare);
        snapshot(before);
        assert_int_equal(nst_hostnet_up(&host, &config, rows[i].device, &fault), rows[i].error);
        assert_string_equal(fault.text, rows[i].message);
        assert_null(host);
        snapshot(after);
        assert_string_equal(before, after);
        shell("ip addr flush dev eth0; ip addr flush dev tun0");
    }
}

static void test_a_failure_undoes_the_steps_before_it(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    char before[16384], after[16384];
    (void)state;
    NEED_NETNS();

    config = configure(NULL, NULL);
    config.host.len = 40; /* the kernel refuses it, after MTU and queue were set */
    snapshot(before);
    assert_int_equal(nst_hostnet_up(&host, &config, "tun0", &fault), -EINVAL);
    snapshot(after);
    assert_string_equal(before, after);
}

static void test_missing_rights_are_said(void **state)
{
    struct nst_up_config config;
    struct nst_hostnet *host;
    struct nst_fault fault = {""};
    int pipefd[2];
    (void)state;
    NEED_NETNS();

    config = configure(NULL, NULL);
    assert_int_equal(pipe(pipefd), 0);
    int child = fork();
    if (child == 0) {
        drop_rights();
        nst_hostnet_up(&host, &config, "tun0", &fault);
        _exit(write(pipefd[1], fault.text, sizeof fault.text) < 0);
    }
    close(pipefd[1]);
    assert_int_equal(read(pipefd[0], fault.text, sizeof fault.text), sizeof fault.text);
    waitpid(child, NULL, 0);
    close(pipefd[0]);
    assert_string_equal(fault.text,
                        "cannot set the device's MTU to 1400: Operation not permitted: run this as "
                        "root, or give it CAP_NET_ADMIN");
}

/* ---- Watching ---------------------------------------------------------------------------- */

static void check_next(struct nst_netlink_watch *watch, uint32_t mtu, bool up, bool carrier,
                       bool gone)
{
    struct nst_netlink_event event;

    assert_int_equal(nst_netlink_watch_next(watch, &event), 1);
    assert_int_equal(event.mtu, mtu);
    assert_int_equal(event.up, up);
    assert_int_equal(event.carrier, carrier);
    assert_int_equal(event.gone, gone);
}

/* Waits for the next event. The kernel may take its time to tell of a carrier. */
static struct nst_netlink_event await_event(struct nst_netlink_watch *watch)
{
    struct nst_netlink_event event = {0};
    int r = 0;

    while (r == 0) {
        struct pollfd pollfd = {.fd = nst_netlink_watch_fd(watch), .events = POLLIN};
        assert_int_equal(poll(&pollfd, 1, 10000), 1);
        r = nst_netlink_watch_next(watch, &event);
    }
    assert_int_equal(r, 1);
    return event;
}

static void await_carrier(struct nst_netlink_watch *watch, bool carrier)
{
    while (await_event(watch).carrier != carrier)
        ;
}

static void check_silence(struct nst_netlink_watch *watch)
{
    struct nst_netlink_event event;

    assert_int_equal(nst_netlink_watch_next(watch, &event), 0);
}

static void test_changes_are_told_once(void **state)
{
    struct nst_netlink_watch *watch;
    struct nst_fault fault;
    (void)state;
    NEED_NETNS();

    assert_int_equal(nst_netlink_watch_open(&watch, (int)if_nametoindex("tun0"), &fault), 0);
    check_next(watch, 1500, false, false, false);
    shell("ip link set tun0-peer up; ip link set tun0 up");
    await_carrier(watch, true);
    shell("ip link set tun0 mtu 1300; ip link set tun0 mtu 1300 txqueuelen 77");
    check_next(watch, 1300, true, true, false);
    check_silence(watch);
    shell("ip link set eth0 up mtu 1280");
    check_silence(watch);
    shell("ip link set tun0-peer down");
    await_carrier(watch, false);
    shell("ip link set tun0 down");
    check_next(watch, 1300, false, false, false);
    shell("ip link del tun0");
    check_next(watch, 1300, false, false, true);
    check_silence(watch);
    nst_netlink_watch_close(watch);
}

static void test_lost_notices_are_made_up_for(void **state)
{
    struct nst_netlink_watch *watch;
    struct nst_fault fault;
    int small = 0;
    (void)state;
    NEED_NETNS();

    assert_int_equal(nst_netlink_watch_open(&watch, (int)if_nametoindex("tun0"), &fault), 0);
    check_next(watch, 1500, false, false, false);
    assert_int_equal(
        setsockopt(nst_netlink_watch_fd(watch), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    shell("for i in $(seq 1 100); do echo link set tun0 mtu $((1000 + i)); done | ip -batch -");
    assert_int_equal(await_event(watch).mtu, 1100);
    shell("(for i in $(seq 1 100); do echo link set tun0 mtu $((1000 + i)); done; "
          "echo link del tun0) | ip -batch -");
    assert_true(await_event(watch).gone);
    nst_netlink_watch_close(watch);
}

static void test_a_link_that_is_gone_from_the_start(void **state)
{
    struct nst_netlink_watch *watch;
    struct nst_fault fault;
    (void)state;
    NEED_NETNS();

    assert_int_equal(nst_netlink_watch_open(&watch, 4711, &fault), 0);
    check_next(watch, 0, false, false, true);
    check_silence(watch);
    nst_netlink_watch_close(watch);
}

static int make_links(void **state)
{
    (void)state;
    if (in_netns)
        shell("ip link add tun0 type veth peer name tun0-peer; "
              "ip link add eth0 type veth peer name eth0-peer; "
              "ip link set tun0 up; ip link set tun0 down" /* so that its qdisc is there */);
    return 0;
}

static int remove_links(void **state)
{
    (void)state;
    if (in_netns)
        shell("ip link del tun0 2>/dev/null; ip link del eth0 2>/dev/null; true");
    return 0;
}

#define LINK_TEST(function) cmocka_unit_test_setup_teardown(function, make_links, remove_links)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_links_are_found_by_name),
        LINK_TEST(test_failures_bear_the_kernels_words),
        LINK_TEST(test_long_lists_are_counted_whole),
        LINK_TEST(test_what_was_made_is_removed_exactly),
        LINK_TEST(test_a_prepared_device_stays_as_it_is),
        LINK_TEST(test_a_device_that_went_needs_no_undoing),
        LINK_TEST(test_the_hosts_side_can_be_left_alone),
        LINK_TEST(test_refusals),
        LINK_TEST(test_a_failure_undoes_the_steps_before_it),
        LINK_TEST(test_missing_rights_are_said),
        LINK_TEST(test_changes_are_told_once),
        LINK_TEST(test_lost_notices_are_made_up_for),
        LINK_TEST(test_a_link_that_is_gone_from_the_start),
    };
    enter_netns();
    return cmocka_run_group_tests_name("hostnet", tests, NULL, NULL);
}
