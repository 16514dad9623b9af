"""The way out: a server two hops away, behind NAT, which owns 8.8.8.8."""
import re
import signal

import pytest

from conftest import NETSTACK, SOURCE
from netns import PATIENCE, until
from streams import receive


def forwarding(host, link):
    return host.run("sysctl", "-n", f"net.ipv4.conf.{link}.forwarding").stdout.strip()


def tables(host):
    return host.run("nft", "list", "tables").stdout.split("\n")[:-1]


def assert_reaches(host, *args):
    ping = host.netstack("ping", "-n", "-c", "1", "8.8.8.8", *args)
    assert "64 bytes from 8.8.8.8: icmp_seq=1 ttl=62" in ping.stdout


@pytest.mark.parametrize("kind", [[], ["--tun"], ["--no-offload"]], ids=str)
def test_ping_through_nat(internet, kind):
    host, _, server = internet
    before = host.snapshot()
    daemon = host.up("--nat", "wan0", *kind)
    assert_reaches(host)
    large = host.netstack("ping", "-c", "1", "-s", "20000", "8.8.8.8")
    assert "1 received" in large.stdout
    assert tables(host) == ["table ip netstack_default"]
    assert forwarding(host, "wan0") == forwarding(host, "tun0") == "1"
    assert forwarding(host, "all") == "0"
    assert daemon.stop() == 0
    assert daemon.err == ""
    assert host.snapshot() == before


def test_the_server_sees_only_the_host(internet):
    host, _, server = internet
    sniffer = server.spawn("tcpdump", "-n", "-l", "-i", "eth0", "-c", "1", "icmp")
    sniffer.wait_for("listening on", "err")
    host.up("--nat", "wan0")
    assert_reaches(host)
    sniffer.wait_for(r"IP 198\.51\.100\.2 > 8\.8\.8\.8: ICMP echo request")


def test_without_nat_nothing_is_changed(internet):
    host, _, _ = internet
    host.up()
    assert tables(host) == []
    assert forwarding(host, "wan0") == forwarding(host, "all") == "0"
    assert host.netstack("ping", "-c", "1", "-W", "0.3", "8.8.8.8", check=False).returncode == 1


def test_up_with_ping(internet):
    """Both in one, as the seed did."""
    host, _, _ = internet
    daemon = host.up("--nat", "wan0", "--ping", "8.8.8.8")
    daemon.wait_for(r"^64 bytes from 8\.8\.8\.8: icmp_seq=2 ttl=62 time=")
    assert daemon.stop(signal.SIGINT) == 0
    assert "8.8.8.8 ping statistics" in daemon.out


def test_error_from_afar(internet):
    """A port unreachable by the network's word: prohibited by the gateway."""
    host, gateway, _ = internet
    gateway.run("ip", "route", "add", "prohibit", "203.0.113.0/24")
    host.up("--nat", "wan0")
    ping = host.netstack("ping", "-n", "-c", "1", "203.0.113.5", check=False)
    assert "From 198.51.100.1 icmp_seq=1 Packet filtered" in ping.stdout
    assert ping.returncode == 1


def test_narrow_link(internet):
    """Behind the gateway, which may cut a ping into fragments."""
    host, gateway, server = internet
    gateway.run("ip", "link", "set", "net0", "mtu", "1000")
    server.run("ip", "link", "set", "eth0", "mtu", "1000")
    host.up("--nat", "wan0")
    ping = host.netstack("ping", "-n", "-c", "1", "-s", "1400", "8.8.8.8")
    assert "1 received" in ping.stdout


def test_path_mtu(internet):
    """Segments must not be fragmented: the gateway's error reaches the stack, which sends smaller
    ones."""
    host, gateway, server = internet
    gateway.run("ip", "link", "set", "net0", "mtu", "1000")
    host.up("--nat", "wan0")
    with server.socket() as listener:
        listener.settimeout(PATIENCE)
        listener.bind(("8.8.8.8", 0))
        listener.listen()
        port = listener.getsockname()[1]
        nc = host.spawn("sh", "-c", f"head -c 100000 /dev/zero | {NETSTACK} nc -N 8.8.8.8 {port}")
        with listener.accept()[0] as sock:
            sock.settimeout(PATIENCE)
            assert receive(sock)[0] == 100000
    assert nc.wait() == 0, nc
    known = until(lambda: host.view("metrics")["metrics"], "the connection has gone")
    assert [k["mtu"] for k in known] == [1000]


@pytest.mark.parametrize("user", [[], ["--user", "nobody"]], ids=str)
def test_killed_and_started_again(internet, user):
    """kill -9 takes the table with it; what else was changed is undone at the next start."""
    host, _, _ = internet
    before = host.snapshot()
    daemon = host.up("--nat", "wan0", *user)
    assert_reaches(host)
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: tables(host) == [], "the table is gone")
    daemon = host.up("--nat", "wan0", *user)
    assert_reaches(host)
    assert daemon.stop() == 0
    assert host.snapshot() == before


def test_next_start_cleans_up_without_nat(internet):
    host, _, _ = internet
    before = host.snapshot()
    host.up("--nat", "wan0").stop(signal.SIGKILL)
    daemon = host.up("--name", "another")
    assert forwarding(host, "wan0") == "0"
    assert daemon.stop() == 0
    after = host.snapshot()
    leftovers = set(after.pop("run")) - set(before.pop("run"))
    assert leftovers <= {"/run/netstack", "/run/netstack/default.lock",
                         "/run/netstack/default.sock"}
    assert after == before


def test_forwarding_that_was_on_stays_on(internet):
    host, _, _ = internet
    host.sysctl(ip_forward=1)
    before = host.snapshot()
    daemon = host.up("--nat", "wan0")
    assert_reaches(host)
    assert daemon.stop() == 0
    assert host.snapshot() == before


def test_two_instances(internet):
    """Each has its table, and forwarding ends with the last of them."""
    host, _, _ = internet
    before = host.snapshot()
    first = host.up("--nat", "wan0")
    second = host.up("--nat", "wan0", "--name", "b", "--device", "tun1", "--address", "10.1.0.2/24")
    assert_reaches(host)
    assert_reaches(host, "--name", "b")
    assert first.stop() == 0
    assert_reaches(host, "--name", "b")
    assert tables(host) == ["table ip netstack_b"]
    assert second.stop() == 0
    assert host.snapshot() == before


def test_foreign_rules_stay(internet):
    """The host's own rules are no business of ours, at the start, at the end, after a kill."""
    host, _, _ = internet
    host.run("nft", "-f", "-", input="table inet mine { chain c { type filter hook input "
             "priority 0; tcp dport 22 accept; }; }")
    before = host.snapshot()
    host.up("--nat", "wan0").stop()
    host.up("--nat", "wan0").stop(signal.SIGKILL)
    host.up("--nat", "wan0").stop()
    assert host.snapshot() == before


def test_obstacle_is_named_and_its_remedy_works(internet):
    """A filter that drops what is forwarded, as Docker's or ufw's: the warning says what to type,
    and that is right."""
    host, _, _ = internet
    host.run("nft", "-f", "-", input="table inet filter { chain forward { type filter hook forward "
             "priority 0; policy drop; }; }")
    daemon = host.up("--nat", "wan0")
    warning = daemon.wait_for("warning: forwarded packets are dropped by chain forward of the "
                              "host's table 'inet filter'.*to let them pass: (.*)$", "err")
    assert host.netstack("ping", "-c", "1", "-W", "0.3", "8.8.8.8", check=False).returncode == 1
    host.run("sh", "-c", warning[1])
    assert_reaches(host)


def shell_blocks(markdown):
    return re.findall(r"^```sh\n(.*?)^```", markdown, re.M | re.S)


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_by_hand(internet, tool):
    """docs/nat-by-hand.md, word for word, for an uplink called wan0: it works, and is undone."""
    host, _, _ = internet
    text = (SOURCE / "docs/nat-by-hand.md").read_text().replace("eth0", "wan0")
    section = text.split(f"## With {tool}\n")[1].split("\n## ")[0]
    forward = shell_blocks(text.split("## Forwarding\n")[1].split("\n## ")[0])[0]
    do, undo = shell_blocks(section)[:2]
    host.up()
    assert host.netstack("ping", "-c", "1", "-W", "0.3", "8.8.8.8", check=False).returncode == 1
    host.run("sh", "-ec", forward + do)
    assert_reaches(host)
    host.run("sh", "-ec", undo)
    assert forwarding(host, "wan0") == "0"
    assert not re.search("masquerade", host.run("nft", "list", "ruleset").stdout, re.I)


def test_stack_as_a_gateway_of_its_own(internet):
    """A static route beside the default one, from the file."""
    host, _, server = internet
    server.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    host.run("sh", "-c", "cat >/run/netstack.conf", input=(
        "[Network]\nAddress=10.0.0.2/24\nGateway=none\n\n"
        "[Route]\nDestination=192.0.2.0/24\nGateway=10.0.0.1\n\n[Netstack]\nNAT=wan0\n"))
    internet[1].run("ip", "route", "add", "192.0.2.0/24", "via", "8.8.8.8")
    host.up("--config", "/run/netstack.conf")
    assert "1 received" in host.netstack("ping", "-n", "-c", "1", "192.0.2.1").stdout
    assert "unreachable" in host.netstack("ping", "-c", "1", "8.8.8.8", check=False).stderr
