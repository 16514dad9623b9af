"""The instruments of bench/: whatever the servers offer can be measured, and arrives unharmed."""
import json
import os
import pathlib

import pytest

from conftest import NETSTACK

BENCH = pathlib.Path(os.environ.get("BENCH", pathlib.Path(NETSTACK).parent / "bench"))
SERVER = "10.9.0.2"
SERVERS = ["server-netstack", "server-kernel", "server-ceiling"]


@pytest.fixture(params=SERVERS)
def measured(host, request):
    """Runs the client against a server: measured(mode, *args) is what it says."""
    args = [] if request.param == "server-kernel" else ["--device", "bench0"]
    if request.param == "server-kernel":
        host.run("ip", "addr", "add", f"{SERVER}/32", "dev", "lo")
    server = host.spawn(BENCH / request.param, *args)
    server.wait_for("^ready$")
    if args:
        host.run("ip", "addr", "add", "10.9.0.1/16", "dev", "bench0")
        host.run("ip", "link", "set", "bench0", "up")

    def run(mode, *args):
        done = host.run(BENCH / "client", "--seconds", "0.2", *args, mode, SERVER)
        return json.loads(done.stdout)
    return run


@pytest.mark.parametrize("measured", SERVERS[:2], indirect=True)
def test_every_byte_is_looked_at(measured):
    result = measured("receive", "--verify", "--step", "0.1", "--cc", "cubic")
    assert result["bytes"] == sum(result["timeline"]) > 0
    assert result["corrupt"] == 0


@pytest.mark.parametrize("measured", SERVERS[2:], indirect=True)
def test_wrong_bytes_are_noticed(measured):
    """The device alone sends the beginning of the ring in every frame."""
    assert measured("receive", "--verify")["corrupt"] > 0


def test_bulk(measured):
    assert measured("receive", "--conns", "4")["bytes"] > 0
    assert measured("send", "--conns", "4")["bytes"] > 0


def test_latency(measured):
    for args in ((), ("--conns", "8"), ("--conns", "8", "--spin")):
        result = measured("roundtrips", *args)
        assert 0 < result["p50_us"] <= result["p99_us"]
    result = measured("turnover", "--conns", "8")
    assert result["per_s"] > 0
    assert result["failed"] == 0
    assert measured("hold", "--conns", "20") == {"open": 20}


def test_datagrams(measured):
    for size in ("64", "1472"):
        assert measured("datagrams-in", "--size", size)["pkts"] > 0
        assert measured("datagrams-out", "--size", size)["pkts"] > 0
