"""status, addr, route, neigh, metrics and stats: for people, and as JSON."""
import re
import socket

import pytest

import devices
from netns import until

VIEWS = ["status", "addr", "route", "neigh", "stats"]


@pytest.mark.parametrize("view", VIEWS)
def test_text_and_json_agree(stack, view):
    """Whatever JSON tells as a word or an address, people are told too."""
    stack.assert_answers()
    data, text = stack.view(view), stack.netstack(view).stdout
    while (again := stack.view(view)) != data and view == "neigh":  # its states change with time
        data, text = again, stack.netstack(view).stdout
    assert text.endswith("\n")

    def words(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [word for item in value for word in words(item)]
        return [value] if isinstance(value, str) else []

    if view == "stats":  # what is 0 is left out
        data = {"drops": [d for d in data["drops"] if d["count"]],
                "counters": [c["name"] for c in data["counters"] if c["value"]]}
    for word in words(data):
        assert word.replace("0.0.0.0/0", "default") in text, word


def test_status(stack):
    status = stack.view("status")
    assert status["name"] == "default"
    assert status["pid"] == stack.daemon.pid
    assert status["uptime_s"] >= 0
    assert status["device"]["name"] == "tun0"
    assert status["device"]["kind"] == "tap"
    assert status["device"]["offload"] is True
    assert status["addresses"] == ["10.0.0.2/24"]
    assert (status["gateway"], status["host_address"]) == ("10.0.0.1", "10.0.0.1/24")
    assert status["nat"] is None
    assert (status["sockets"], status["clients"]) == (0, 1)


def test_addr_and_route(stack):
    assert stack.view("addr")["addresses"] == [
        {"link": devices.NAME, "address": "10.0.0.2/24", "state": "valid", "acd": "announce"}]
    assert stack.view("route")["routes"] == [
        {"destination": "10.0.0.0/24", "gateway": None, "link": devices.NAME, "metric": 0,
         "origin": "connected"},
        {"destination": "0.0.0.0/0", "gateway": "10.0.0.1", "link": devices.NAME, "metric": 0,
         "origin": "static"}]


def test_probed_address(host):
    """acd probe: the address is tentative while the network is asked, some five seconds."""
    host.up("--acd", "probe")
    state = lambda: host.view("addr")["addresses"][0]["state"]
    assert state() == "tentative"
    until(lambda: state() == "valid", "nobody has objected")
    host.assert_answers()


def test_probed_address_that_is_taken(host, hosts):
    """The host joins the device to a network where somebody has the address: it is not used."""
    other = hosts()
    host.connect("eth0", "10.5.0.1/24", other, "eth0", "10.0.0.2/24")
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "link", "set", "br0", "up")
    host.run("ip", "link", "set", "eth0", "master", "br0")
    host.run("ip", "tuntap", "add", "dev", "tun0", "mode", "tap")
    host.run("ip", "link", "set", "tun0", "master", "br0", "up")
    daemon = host.up("--acd", "probe", "--host-address", "none")
    daemon.wait_for("address conflict: .* says that 10.0.0.2 is its own; the address is not used",
                    "err")
    assert host.view("addr")["addresses"][0]["state"] == "conflict"


def test_neigh(stack):
    stack.netstack("ping", "-c", "1", "10.0.0.1")
    stack.netstack("ping", "-c", "1", "10.0.0.44", check=False)
    known = {n["address"]: n for n in stack.view("neigh")["neighbours"]}
    assert known["10.0.0.1"]["mac"] == stack.mac("tun0")
    assert known["10.0.0.1"]["confirmed_ms_ago"] >= 0
    assert known["10.0.0.44"]["mac"] is None
    assert known["10.0.0.44"]["state"] == "failed"


def test_stats_name_every_reason(stack):
    """All of them with --all and in JSON; of a UDP port, the count is right."""
    stats = stack.view("stats")
    reasons = [d["reason"] for d in stats["drops"]]
    assert len(reasons) == len(set(reasons)) > 40
    assert all(d["text"] for d in stats["drops"])
    everything = stack.netstack("stats", "--all").stdout
    for reason in reasons:
        assert re.search(rf"^  {reason} +\d+  ", everything, re.M), reason
    before = stack.drops().get("udp_port", 0)
    stack.run("bash", "-c", "for i in 1 2 3; do echo x >/dev/udp/10.0.0.2/99; done")
    stack.assert_answers()
    assert stack.drops()["udp_port"] == before + 3


def test_stats_count_frames(stack):
    before = stack.view("stats")["links"][0]
    stack.ping("-c", "10", "-i", "0.002", "-s", "100")
    after = stack.view("stats")["links"][0]
    assert after["rx_pkts"] >= before["rx_pkts"] + 10
    assert after["tx_bytes"] >= before["tx_bytes"] + 10 * (128 if devices.IS_TUN else 142)


def test_metrics(host):
    """What a connection has found out is there when it is gone, until it is to be forgotten."""
    host.up("--services")
    host.assert_answers()
    assert host.view("metrics")["metrics"] == []
    with host.socket() as sock:
        sock.connect(("10.0.0.2", 7))
        sock.sendall(b"x" * 1000)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass
    until(lambda: host.view("metrics")["metrics"], "the connection has gone")
    (known,) = host.view("metrics")["metrics"]
    assert (known["local"], known["peer"]) == ("10.0.0.2", "10.0.0.1")
    assert known["srtt_us"] > 0 and known["measured_ms_ago"] >= 0
    assert known["ssthresh"] is known["mtu"] is None
    assert re.match(r"10\.0\.0\.1 +from 10\.0\.0\.2 +rtt \d+\.\d{3} ms",
                    host.netstack("metrics").stdout)
    host.netstack("flush-metrics", "10.0.0.9")
    assert len(host.view("metrics")["metrics"]) == 1
    host.netstack("flush-metrics", "10.0.0.1")
    assert host.view("metrics")["metrics"] == []


def test_sockets_tell_of_recovery(host):
    """The phase, why the window was reduced last, and what was undone."""
    host.up("--services")
    host.assert_answers()
    with host.socket() as sock:
        sock.connect(("10.0.0.2", 7))
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        (info,) = [s["info"] for s in host.view("sockets", "-i")["sockets"]
                   if s["state"] == "established"]
        assert (info["ca_state"], info["reduced_by"], info["undos"]) == ("open", "none", 0)
        assert " ca:open reduced_by:none " in host.netstack("sockets", "-i").stdout
