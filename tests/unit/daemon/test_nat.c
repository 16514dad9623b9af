/* NAT: the table, the forwarding switches, several instances, instances that were killed, and what
 * other people's filters do. On veth pairs. */
#define _GNU_SOURCE
#include "core/base/bytes.h"
#include "daemon/nat.h"
#include "daemon/obstacle.h"

#include "netns.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

static char run_dir[] = "/tmp/netstack-nat-XXXXXX";

static struct nst_up_config configure(const char *name)
{
    char *argv[] = {"up",
                    "--nat=eth0",
                    "--name",
                    (char *)name,
                    "--address=10.0.0.2/24",
                    "--address=10.7.0.9/16"};
    struct nst_up_config config;
    struct nst_fault fault;

    if (nst_config_parse(&config, NST_ARRAY_LEN(argv), argv, &fault) != 0)
        fail_msg("%s", fault.text);
    return config;
}

static struct nst_nat *up(const char *name, const char *device)
{
    struct nst_up_config config = configure(name);
    struct nst_nat *nat;
    struct nst_fault fault;

    if (nst_nat_up(&nat, &config, device, run_dir, &fault) != 0)
        fail_msg("%s", fault.text);
    return nat;
}

static void down(struct nst_nat *nat)
{
    struct nst_fault fault;

    if (nst_nat_down(nat, &fault) != 0)
        fail_msg("%s", fault.text);
}

static void sweep(void)
{
    struct nst_fault fault;

    if (nst_nat_sweep(run_dir, &fault) != 0)
        fail_msg("%s", fault.text);
}

/* A process that sets up NAT and waits to be killed. */
static int up_elsewhere(const char *name, const char *device)
{
    int ready[2], child;
    char byte;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct nst_up_config config = configure(name);
        struct nst_nat *nat;
        struct nst_fault fault;
        close(ready[0]);
        if (nst_nat_up(&nat, &config, device, run_dir, &fault) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void kill_hard(int child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* The switches of tun0, tun1, eth0 and the whole host, as in "1010". */
static const char *switches(void)
{
    return shell("cd /proc/sys/net/ipv4/conf; cat tun0/forwarding tun1/forwarding "
                 "eth0/forwarding all/forwarding | tr -d '\\n'");
}

static void assert_nothing_is_left(void)
{
    assert_string_equal(shell("nft list ruleset"), "");
    assert_string_equal(shell("ls -A %s", run_dir), "");
}

/* ---- One instance ------------------------------------------------------------------------ */

static void test_exactly_what_was_made_is_removed(void **state)
{
    static const char table[] =
        "\tflags owner\n"
        "\tcomment \"netstack on tun0\"\n\n"
        "\tchain forward {\n"
        "\t\ttype filter hook forward priority filter; policy accept;\n"
        "\t\tiifname \"tun0\" oifname \"eth0\" accept\n"
        "\t\tiifname \"eth0\" oifname \"tun0\" ct state established,related accept\n"
        "\t}\n\n"
        "\tchain postrouting {\n"
        "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        "\t\toifname \"eth0\" ip saddr 10.0.0.0/24 masquerade\n"
        "\t\toifname \"eth0\" ip saddr 10.7.0.0/16 masquerade\n"
        "\t}\n"
        "}\n";
    (void)state;
    NEED_NETNS();

    struct nst_nat *nat = up("a_B.9-z", "tun0");
    const char *rules = shell("nft list ruleset");
    assert_non_null(strstr(rules, "table ip netstack_a_B.9-z {"));
    assert_string_equal(strchr(rules, '\n') + 1, table);
    assert_string_equal(switches(), "1010");
    assert_string_equal(shell("ls -A %s", run_dir), "a_B.9-z.nat\n");
    assert_string_equal(nst_nat_warnings(nat), "");
    down(nat);
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_nothing_happens_unless_asked(void **state)
{
    struct nst_up_config config;
    struct nst_nat *nat;
    struct nst_fault fault;
    (void)state;
    NEED_NETNS();

    config = configure("a");
    config.nat[0] = 0;
    assert_int_equal(nst_nat_up(&nat, &config, "tun0", run_dir, &fault), 0);
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
    assert_string_equal(nst_nat_warnings(nat), "");
    down(nat);
    down(NULL);
}

static void test_what_was_on_stays_on(void **state)
{
    (void)state;
    NEED_NETNS();

    shell("echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding");
    struct nst_nat *nat = up("a", "tun0");
    assert_string_equal(switches(), "1010");
    down(nat);
    assert_string_equal(switches(), "0010");
    assert_nothing_is_left();
}

static void test_what_the_host_turned_on_meanwhile_stays_on(void **state)
{
    (void)state;
    NEED_NETNS();

    struct nst_nat *nat = up("a", "tun0");
    shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    down(nat);
    assert_string_equal(switches(), "1111");
    assert_nothing_is_left();
}

static void test_other_rules_and_a_flush_do_no_harm(void **state)
{
    (void)state;
    NEED_NETNS();

    shell("nft add table ip netstack_a; nft add table ip theirs");
    struct nst_nat *nat = up("a", "tun0"); /* replaces a table of its name that belongs to nobody */
    shell("nft list chain ip netstack_a postrouting");
    shell("nft flush ruleset; nft add table ip theirs");
    shell("nft list chain ip netstack_a postrouting");
    down(nat);
    assert_string_equal(shell("nft list tables"), "table ip theirs\n");
}

/* ---- Failures ---------------------------------------------------------------------------- */

static void check_failure(const char *uplink, const char *dir, int error, const char *message)
{
    struct nst_up_config config = configure("a");
    struct nst_nat *nat;
    struct nst_fault fault = {""};

    strcpy(config.nat, uplink);
    assert_int_equal(nst_nat_up(&nat, &config, "tun0", dir, &fault), error);
    assert_string_equal(fault.text, message);
    assert_null(nat);
}

static void test_unknown_uplink(void **state)
{
    (void)state;
    NEED_NETNS();

    check_failure("eth9", run_dir, -ENODEV,
                  "--nat eth9: there is no such interface: name the one through which the host "
                  "reaches the outside");
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_a_name_that_lives_is_refused(void **state)
{
    (void)state;
    NEED_NETNS();

    struct nst_nat *nat = up("a", "tun0");
    check_failure("eth0", run_dir, -EBUSY,
                  "another instance of this name is using --nat: stop it with 'netstack down', or "
                  "choose another --name");
    assert_string_equal(switches(), "1010");
    down(nat);
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_a_table_that_cannot_be_made_leaves_nothing(void **state)
{
    char other_dir[] = "/tmp/netstack-nat-XXXXXX";
    (void)state;
    NEED_NETNS();

    assert_non_null(mkdtemp(other_dir));
    struct nst_nat *nat = up("a", "tun1");
    check_failure("eth0", other_dir, -EPERM,
                  "cannot make the nftables table 'ip netstack_a': Could not process rule: "
                  "Operation not permitted: run this as root, or give it CAP_NET_ADMIN; if that is "
                  "so, the table belongs to another running instance");
    assert_int_equal(rmdir(other_dir), 0);
    assert_string_equal(switches(), "0110");
    down(nat);
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_a_directory_that_cannot_be_used(void **state)
{
    (void)state;
    NEED_NETNS();

    check_failure("eth0", "/dev/null", -ENOTDIR,
                  "cannot use the directory /dev/null: Not a directory");
    assert_string_equal(switches(), "0000");
}

/* ---- Several instances, and killed ones -------------------------------------------------- */

static void test_the_last_one_restores(void **state)
{
    (void)state;
    NEED_NETNS();

    for (int first = 0; first < 2; first++) {
        struct nst_nat *nat[] = {up("a", "tun0"), up("b", "tun1")};
        assert_string_equal(switches(), "1110");
        down(nat[first]);
        assert_string_equal(switches(), first == 0 ? "0110" : "1010");
        shell("nft list table ip netstack_%s", first == 0 ? "b" : "a");
        down(nat[!first]);
        assert_string_equal(switches(), "0000");
        assert_nothing_is_left();
    }
}

static void test_a_killed_instance_leaves_no_rules(void **state)
{
    (void)state;
    NEED_NETNS();

    kill_hard(up_elsewhere("a", "tun0"));
    assert_string_equal(shell("nft list ruleset"), "");
    assert_string_equal(switches(), "1010");
    assert_string_equal(shell("ls -A %s", run_dir), "a.nat\n");
    sweep();
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_the_next_start_cleans_up(void **state)
{
    (void)state;
    NEED_NETNS();

    for (size_t i = 0; i < 2; i++) { /* of the same name, of another */
        kill_hard(up_elsewhere("a", "tun0"));
        struct nst_nat *nat = up(i == 0 ? "a" : "b", "tun1");
        assert_string_equal(switches(), "0110");
        down(nat);
        assert_string_equal(switches(), "0000");
        assert_nothing_is_left();
    }
}

static void test_the_dead_do_not_disturb_the_living(void **state)
{
    (void)state;
    NEED_NETNS();

    int child = up_elsewhere("a", "tun0");
    struct nst_nat *nat = up("b", "tun1");
    kill_hard(child);
    sweep();
    assert_string_equal(switches(), "0110");
    shell("nft list table ip netstack_b");
    down(nat);
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_the_living_do_not_fall_for_the_dead(void **state)
{
    (void)state;
    NEED_NETNS();

    int child = up_elsewhere("a", "tun0");
    struct nst_nat *nat = up("b", "tun1");
    kill_hard(child);
    down(nat); /* the last one alive, though a's record still claims eth0 */
    assert_string_equal(switches(), "0000");
    assert_nothing_is_left();
}

static void test_a_new_interface_of_the_same_name_is_let_be(void **state)
{
    (void)state;
    NEED_NETNS();

    kill_hard(up_elsewhere("a", "tun0"));
    shell("ip link del eth0; ip link add eth0 type veth peer name eth0-peer; "
          "echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding");
    sweep();
    assert_string_equal(switches(), "0010");
    assert_nothing_is_left();
}

static void test_records_that_are_not_ours_are_let_be(void **state)
{
    static const char *const records[] = {
        "garbage",
        "",
        "[]",
        "{\"netns\":1,\"on\":[{\"interface\":\"eth0\",\"index\":2,\"ip_forward\":false}]}",
    };
    (void)state;
    NEED_NETNS();

    shell("echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding; mkdir %s/dir.nat; "
          "ln -s /etc/passwd %s/link.nat; mkfifo %s/fifo.nat",
          run_dir, run_dir, run_dir);
    for (size_t i = 0; i < NST_ARRAY_LEN(records); i++)
        shell("printf '%s' > %s/r%zu.nat", records[i], run_dir, i);
    sweep();
    assert_string_equal(switches(), "0010");
    assert_string_equal(shell("ls -A %s", run_dir), "dir.nat\nfifo.nat\nlink.nat\nr3.nat\n");
}

/* ---- Other people's filters -------------------------------------------------------------- */

#define FROM_NFT(chain)                             \
    "forwarded packets are dropped by chain " chain \
    ", which rules of our own can't overrule; to let them pass: "
#define IPTABLES(program, chain)                                               \
    program " -I " chain " -i tun0 -o eth0 -j ACCEPT && " program " -I " chain \
            " -i eth0 -o tun0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n"

static void test_filters_that_drop_are_named_with_their_cure(void **state)
{
    static const struct {
        const char *prepare, *warning;
    } rows[] = {
        {"true", ""},
        {"iptables -P FORWARD ACCEPT; nft add table inet t; "
         "nft 'add chain inet t c { type filter hook input priority 0; policy drop; }'",
         ""},
        {"iptables -P FORWARD DROP",
         FROM_NFT("FORWARD of the host's table 'ip filter'") IPTABLES("iptables", "FORWARD")},
        {"iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; "
         "iptables -A DOCKER-USER -j RETURN",
         FROM_NFT("FORWARD of the host's table 'ip filter'") IPTABLES("iptables", "DOCKER-USER")},
        {"nft add table inet t; "
         "nft 'add chain inet t c { type filter hook forward priority 0; policy drop; }'",
         FROM_NFT("c of the host's table 'inet t'") "nft 'insert rule inet t c iifname \"tun0\" "
                                                    "oifname \"eth0\" accept; insert rule inet t c "
                                                    "iifname \"eth0\" oifname \"tun0\" ct state "
                                                    "established,related accept'\n"},
        {"nft add table ip t; "
         "nft 'add chain ip t c { type filter hook forward priority 10; }; "
         "add rule ip t c ip daddr 10.0.0.9 drop; add rule ip t c counter reject'",
         FROM_NFT("c of the host's table 'ip t'") "nft 'insert rule ip t c iifname \"tun0\" "
                                                  "oifname \"eth0\" accept; insert rule ip t c "
                                                  "iifname \"eth0\" oifname \"tun0\" ct state "
                                                  "established,related accept'\n"},
        {"nft add table ip t; "
         "nft 'add chain ip t c { type filter hook forward priority 10; }; "
         "add rule ip t c counter reject; add rule ip t c ip daddr 10.0.0.9 drop'",
         ""},
        {"nft add table ip6 t; "
         "nft 'add chain ip6 t c { type filter hook forward priority 0; policy drop; }'",
         ""},
    };
    (void)state;
    NEED_NETNS();

    for (size_t i = 0; i < NST_ARRAY_LEN(rows); i++) {
        char warning[2048];
        shell("%s", rows[i].prepare);
        struct nst_nat *nat = up("a", "tun0");
        assert_string_equal(nst_nat_warnings(nat), rows[i].warning);
        down(nat);
        if (rows[i].warning[0]) { /* the advice must work, and be seen to */
            shell("%s", strrchr(rows[i].warning, ':') + 2);
            nst_obstacle_find("tun0", "eth0", warning, sizeof warning);
            assert_string_equal(warning, "");
            nst_obstacle_find("tun1", "eth0", warning, sizeof warning);
            assert_string_not_equal(warning, "");
        }
        shell("nft flush ruleset");
    }
}

static void test_iptables_of_the_older_kind(void **state)
{
    char warning[2048];
    (void)state;
    NEED_NETNS();
    if (system("iptables-legacy -P FORWARD DROP >/dev/null 2>&1") != 0)
        skip();

    nst_obstacle_find("tun0", "eth0", warning, sizeof warning);
    assert_string_equal(
        warning, "forwarded packets are dropped by the policy of iptables-legacy's chain "
                 "FORWARD, which rules of our own can't overrule; to let them pass: " IPTABLES(
                     "iptables-legacy", "FORWARD"));
    shell("iptables-legacy -A FORWARD -j ACCEPT; iptables-legacy -P FORWARD ACCEPT");
    nst_obstacle_find("tun0", "eth0", warning, sizeof warning);
    assert_string_equal(warning, "");
}

static void test_a_text_that_is_too_long_is_cut(void **state)
{
    char warning[64];
    (void)state;
    NEED_NETNS();

    shell("iptables -P FORWARD DROP");
    nst_obstacle_find("tun0", "eth0", warning, sizeof warning);
    assert_int_equal(strlen(warning), sizeof warning - 1);
    shell("nft flush ruleset");
}

static int make_links(void **state)
{
    (void)state;
    if (!in_netns)
        return 0;
    shell("for i in tun0 tun1 eth0; do ip link add $i type veth peer name $i-peer; done; "
          "echo 0 > /proc/sys/net/ipv4/ip_forward");
    strcpy(run_dir + strlen(run_dir) - 6, "XXXXXX");
    return mkdtemp(run_dir) ? 0 : -1;
}

static int remove_links(void **state)
{
    (void)state;
    if (in_netns)
        shell("for i in tun0 tun1 eth0; do ip link del $i; done; nft flush ruleset; rm -r %s",
              run_dir);
    return 0;
}

#define LINK_TEST(function) cmocka_unit_test_setup_teardown(function, make_links, remove_links)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_exactly_what_was_made_is_removed),
        LINK_TEST(test_nothing_happens_unless_asked),
        LINK_TEST(test_what_was_on_stays_on),
        LINK_TEST(test_what_the_host_turned_on_meanwhile_stays_on),
        LINK_TEST(test_other_rules_and_a_flush_do_no_harm),
        LINK_TEST(test_unknown_uplink),
        LINK_TEST(test_a_name_that_lives_is_refused),
        LINK_TEST(test_a_table_that_cannot_be_made_leaves_nothing),
        LINK_TEST(test_a_directory_that_cannot_be_used),
        LINK_TEST(test_the_last_one_restores),
        LINK_TEST(test_a_killed_instance_leaves_no_rules),
        LINK_TEST(test_the_next_start_cleans_up),
        LINK_TEST(test_the_dead_do_not_disturb_the_living),
        LINK_TEST(test_the_living_do_not_fall_for_the_dead),
        LINK_TEST(test_a_new_interface_of_the_same_name_is_let_be),
        LINK_TEST(test_records_that_are_not_ours_are_let_be),
        LINK_TEST(test_filters_that_drop_are_named_with_their_cure),
        LINK_TEST(test_iptables_of_the_older_kind),
        LINK_TEST(test_a_text_that_is_too_long_is_cut),
    };
    enter_netns();
    return cmocka_run_group_tests_name("nat", tests, NULL, NULL);
}
