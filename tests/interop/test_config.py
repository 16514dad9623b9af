"""Flags, the configuration file, and who wins."""
import os

import pytest

FILE = "/run/netstack.conf"


def write(host, text):
    host.run("sh", "-c", f"cat >{FILE}", input=text)


WHOLE = """
# a comment
[Match]
Name=tap7

[Link]
MACAddress=02:00:00:00:00:07
MTUBytes=1400
TransmitQueueLength=500

[Network]
Address=192.168.7.2/24
Address=192.168.7.3/24
Gateway=192.168.7.254

[Address]
Address=192.168.8.2/24
DuplicateAddressDetection=off

[Route]
Destination=203.0.113.0/24
Gateway=192.168.8.9
Metric=5

[Netstack]
Name=seven
HostAddress=192.168.7.1/24
Offload=no
LogLevel=debug
"""


def test_everything_from_the_file(host):
    write(host, WHOLE)
    host.up("--config", FILE)
    status = host.view("status", "--name", "seven")
    assert status["device"] == {"name": "tap7", "kind": "tap", "mtu": 1400, "carrier": True,
                                "mac": "02:00:00:00:00:07", "offload": False}
    assert status["addresses"] == ["192.168.7.2/24", "192.168.7.3/24", "192.168.8.2/24"]
    assert status["gateway"] == "192.168.7.254"
    assert status["host_address"] == "192.168.7.1/24"
    routes = host.view("route", "--name", "seven")["routes"]
    assert {"destination": "203.0.113.0/24", "gateway": "192.168.8.9", "link": "tap7", "metric": 5,
            "origin": "static"} in routes
    addresses = host.view("addr", "--name", "seven")["addresses"]
    assert [a["acd"] for a in addresses] == ["announce", "announce", "off"]
    link = host.ip("link show tap7")[0]
    assert (link["mtu"], link["txqlen"]) == (1400, 500)
    host.assert_answers("192.168.7.2")


def test_flags_override_the_file(host):
    write(host, WHOLE.replace("Gateway=192.168.8.9", "Gateway=192.168.7.9"))
    host.up("--config", FILE, "--name", "eight", "--device", "tap8", "--mac", "02:00:00:00:00:08",
            "--mtu", "1300", "--address", "192.168.7.8/24", "--gateway", "192.168.7.253",
            "--host-address", "192.168.7.5/24", "--log-level", "error")
    status = host.view("status", "--name", "eight")
    assert status["device"]["name"] == "tap8"
    assert status["device"]["mac"] == "02:00:00:00:00:08"
    assert status["device"]["mtu"] == 1300
    assert status["addresses"] == ["192.168.7.8/24"]
    assert status["gateway"] == "192.168.7.253"
    assert status["host_address"] == "192.168.7.5/24"
    host.assert_answers("192.168.7.8")


def test_name_from_the_environment(host):
    env = {"NETSTACK_NAME": "nine", "PATH": "/usr/sbin:/usr/bin"}
    host.up(env=env)
    assert host.view("status", "--name", "nine")["name"] == "nine"
    assert host.netstack("status", env=env).stdout.startswith("instance   nine")
    assert host.netstack("status", check=False).returncode == 2


def test_socket_from_the_environment(host):
    env = {"NETSTACK_SOCKET": "/run/elsewhere.sock", "PATH": "/usr/sbin:/usr/bin"}
    daemon = host.up(env=env)
    assert "instance   default" in host.netstack("status", env=env).stdout
    assert daemon.stop() == 0
    assert host.run("ls", "/run").stdout == ""


def test_tun_from_the_file(host):
    write(host, "[Netstack]\nKind=tun\n")
    host.up("--config", FILE)
    assert host.view("status")["device"]["kind"] == "tun"
    host.assert_answers()


def test_host_side_left_alone(host):
    """--host-address none: no address, no MTU, not taken up; the user does it."""
    host.up("--host-address", "none", "--mtu", "1400")
    link = host.ip("addr show tun0")[0]
    assert "UP" not in link["flags"]
    assert (link["mtu"], link["addr_info"]) == (1500, [])
    host.run("ip", "addr", "add", "10.0.0.1/24", "dev", "tun0")
    host.run("ip", "link", "set", "tun0", "up")
    host.assert_answers()


def test_point_to_point(host):
    host.up("--address", "10.0.0.2/31")
    assert host.view("status")["host_address"] == "10.0.0.3/31"
    host.assert_answers()


@pytest.mark.parametrize("text, line, says", [
    ("[Network]\nAddress=10.0.0.2/24\nGatway=10.0.0.1\n", 3, "unknown key Gatway="),
    ("[Netwrok]\nAddress=10.0.0.2/24\n", 2, "unknown section [Netwrok]"),
    ("[Network]\n\nAddress=10.0.0.256/24\n", 3, "expected an IPv4 address"),
    ("[Network]\nAddress=10.0.0.2\n", 2, "expected an IPv4 address with its prefix length"),
    ("[Link]\nMTUBytes=67\n", 2, "expected a number of bytes from 68 to 65521"),
    ("[Link]\nMTUBytes=1500x\n", 2, "expected a number of bytes"),
    ("[Link]\nMACAddress=ff:ff:ff:ff:ff:ff\n", 2, "expected a unicast MAC address"),
    ("[Match]\nName=a-name-that-is-too-long\n", 2, "expected an interface name"),
    ("[Netstack]\nKind=tup\n", 2, "expected tap, tun or packet"),
    ("[Netstack]\nUser=nobody-of-that-name\n", 2, "expected the name of a user"),
    ("Address=10.0.0.2/24\n", 1, ""),
    ("[Network\nAddress=10.0.0.2/24\n", 1, ""),
    ("[Network]\nAddress\n", 2, ""),
    ("[Route]\nMetric=1\n", 2, "neither Destination= nor Gateway="),
    ("# " + "x" * 300 + "\n", 1, "longer than"),
    ("[Network]\nAddress=10.0.0.2/24\n\0\n", 3, "NUL"),
])
def test_malformed_file(host, text, line, says):
    """One line on stderr with file and line; exit code 2; nothing is left."""
    write(host, text)
    before = host.snapshot()
    up = host.netstack("up", "--config", FILE, check=False)
    assert up.returncode == 2
    assert up.stdout == ""
    assert len(up.stderr.splitlines()) == 1, up.stderr
    assert up.stderr.startswith(f"netstack: error: {FILE}:{line}: "), up.stderr
    assert says in up.stderr
    assert host.snapshot() == before


def test_example_file(host):
    """share/netstack.conf.example, as it is, but for the sandbox of a build that can't have one."""
    from conftest import SOURCE
    text = (SOURCE / "share/netstack.conf.example").read_text()
    write(host, text.replace("Sandbox=yes", "Sandbox=" + os.environ.get("SANDBOX", "yes")))
    daemon = host.up("--config", FILE)
    assert daemon.stop() == 0
