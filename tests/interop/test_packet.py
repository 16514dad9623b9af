"""`netstack up --device packet:IFNAME`: a station more on an Ethernet that is somebody else's."""
import signal

import pytest

from conftest import NETSTACK
from packets import BROADCAST, ETH_P_IP, ICMP, Wire, echo, eth, ipv4

STACK = "10.0.0.2"
FLAGS = ("--device", "packet:stack0", "--address", f"{STACK}/24", "--gateway", "10.0.0.1")
OTHER = "02:00:00:00:00:99"


@pytest.fixture
def veth(host):
    """host0, which has the host's address, and stack0, up and without one."""
    host.run("ip", "link", "add", "host0", "type", "veth", "peer", "name", "stack0")
    host.run("ip", "addr", "add", "10.0.0.1/24", "dev", "host0")
    for link in ("host0", "stack0"):
        host.run("ip", "link", "set", link, "up")
    return host


def promiscuity(host):
    link = host.run("ip", "-d", "-j", "link", "show", "stack0").stdout
    return '"promiscuity":1' in link, '"allmulti":1' in link


def frames_in(host):
    """How many frames the stack has been given."""
    return host.view("stats")["links"][0]["rx_pkts"]


def overruns(host):
    return host.counters()["device.overruns"]


def test_nothing_of_the_interface_changes(veth):
    before = veth.snapshot()
    daemon = veth.up(*FLAGS)
    veth.assert_answers()
    assert "device  stack0 (a packet socket, with offloads)" in daemon.out
    assert veth.netstack("ping", "-c", 1, "10.0.0.1").returncode == 0
    assert veth.view("status")["device"]["kind"] == "packet"
    assert daemon.stop() == 0
    assert veth.snapshot() == before


def test_hears_its_own_address_only(veth):
    """Frames to others and those of a VLAN don't even reach the stack."""
    veth.up(*FLAGS)
    veth.assert_answers()
    mac = veth.view("status")["device"]["mac"]
    assert mac != veth.mac("stack0")
    assert promiscuity(veth) == (True, True)
    wire = Wire(veth, "host0", mac)
    ask = ipv4("10.0.0.1", STACK, ICMP, echo(9, 1, b"?"))
    tagged = eth(mac, wire.mac, 0x8100, b"\0\5\x08\0" + ask)
    wire.ping(1)
    before = frames_in(veth)
    for _ in range(50):
        wire.send(eth(OTHER, wire.mac, ETH_P_IP, ask))
        wire.send(tagged)
    wire.ping(2)
    assert frames_in(veth) - before < 50
    assert not set(veth.drops()) & {"l2_other", "ethertype"}
    wire.close()


@pytest.mark.parametrize("dst", [BROADCAST, "01:00:5e:00:00:01"])
def test_hears_groups(veth, dst):
    veth.up(*FLAGS)
    veth.assert_answers()
    wire = Wire(veth, "host0", veth.view("status")["device"]["mac"])
    before = frames_in(veth)
    for _ in range(50):
        wire.send(eth(dst, wire.mac, ETH_P_IP, ipv4("10.0.0.1", "224.0.0.1", ICMP, echo(9, 1, b""))))
    wire.ping(1)
    assert frames_in(veth) - before >= 51
    wire.close()


def test_what_came_too_fast_is_counted(veth):
    """More than the socket's buffer holds, 16 MiB with the kernel's overhead, while nobody reads."""
    daemon = veth.up(*FLAGS)
    veth.assert_answers()
    wire = Wire(veth, "host0", veth.view("status")["device"]["mac"])
    assert overruns(veth) == 0
    daemon.send(signal.SIGSTOP)
    for _ in range(20000):
        wire.send(eth(wire.stack_mac, wire.mac, ETH_P_IP, bytes(1400)))
    daemon.send(signal.SIGCONT)
    first = overruns(veth)
    assert 0 < first < 20000
    assert overruns(veth) == first
    wire.close()


def test_shares_the_interface_s_address_without_promiscuity(veth):
    veth.up(*FLAGS, "--mac", veth.mac("stack0"))
    veth.assert_answers()
    assert promiscuity(veth) == (False, True)


def test_down_and_up_again(veth):
    daemon = veth.up(*FLAGS)
    veth.assert_answers()
    veth.run("ip", "link", "set", "stack0", "down")
    daemon.wait_for("stack0 is down", "err")
    veth.run("ip", "link", "set", "stack0", "mtu", "1400", "up")
    daemon.wait_for("stack0 is up", "err")
    veth.assert_answers()
    assert veth.view("status")["device"]["mtu"] == 1400


def test_removed(veth):
    daemon = veth.up(*FLAGS)
    veth.daemons.remove(daemon)
    veth.run("ip", "link", "del", "stack0")
    daemon.wait_for("the device stack0 was removed: ending", "err")
    assert daemon.wait() == 1


@pytest.mark.parametrize("name, why", [
    ("none0", "there is no interface none0"), ("lo", "lo is not an Ethernet interface")])
def test_no_such_interface(host, name, why):
    done = host.netstack("up", "--device", f"packet:{name}", "--address", "10.0.0.2/24", check=False)
    assert (done.returncode, done.stderr) == (1, f"netstack: error: {why}\n")


def test_without_rights(veth):
    """Those of a device's owner are not enough for an interface of somebody else."""
    done = veth.run("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--",
                    NETSTACK, "up", *FLAGS, check=False)
    assert done.returncode == 1
    assert done.stderr == "netstack: error: a packet socket on stack0 needs the right CAP_NET_RAW\n"
