"""Both Debian arpings against the stack: Thomas Habets' (package arping) and iputils'."""
import pathlib
import re

import pytest

from conftest import SOURCE
from netns import PATIENCE
from packets import BROADCAST, ETH_P_ARP, arp, eth

# The packages exclude each other, so tools/setup unpacks the second one here.
IPUTILS = pathlib.Path(SOURCE, ".cache/iputils-arping/usr/bin/arping")


@pytest.fixture
def iputils_arping():
    if not IPUTILS.exists():
        pytest.skip("the package iputils-arping could not be fetched: run tools/setup test")
    return IPUTILS


@pytest.fixture
def stack_mac(stack):
    return stack.view("status")["device"]["mac"]


@pytest.mark.parametrize("source", [["-S", "0.0.0.0"], ["-S", "10.0.0.1"], ["-0"], []])
def test_habets(stack, stack_mac, source):
    arping = stack.run("arping", "-i", "tun0", "-C", "2", "-W", "0.1", *source, "10.0.0.2")
    answers = re.findall(r"bytes from (\S+) \(10\.0\.0\.2\)", arping.stdout)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) packets received",
                                        arping.stdout).groups())
    assert 2 <= received == len(answers) <= sent  # it asks again while an answer is late
    assert {a.lower() for a in answers} == {stack_mac}


def test_habets_finds_nobody_elsewhere(stack):
    arping = stack.run("arping", "-i", "tun0", "-c", "2", "-W", "0.05", "10.0.0.3", check=False)
    assert arping.returncode == 1
    assert "0 packets received" in arping.stdout


def test_iputils(stack, stack_mac, iputils_arping):
    arping = stack.run(iputils_arping, "-I", "tun0", "-c", "2", "-w", int(PATIENCE),
                       "10.0.0.2")
    assert arping.stdout.lower().count(f"unicast reply from 10.0.0.2 [{stack_mac}]") == 2
    assert "Received 2 response(s)" in arping.stdout


def test_iputils_detects_the_address(stack, iputils_arping):
    """-D is the probe of RFC 5227, from 0.0.0.0: its exit code 1 says that the address is taken."""
    taken = stack.run(iputils_arping, "-D", "-I", "tun0", "-c", "2", "-w", int(PATIENCE),
                      "10.0.0.2", check=False)
    assert taken.returncode == 1
    free = stack.run(iputils_arping, "-D", "-I", "tun0", "-c", "1", "10.0.0.3", check=False)
    assert free.returncode == 0


def test_conflict_is_reported_and_defended(stack, wire):
    """Somebody else announces our address: it is defended, and people are told."""
    thief = "02:00:00:00:00:66"
    wire.send(eth(BROADCAST, thief, ETH_P_ARP, arp(1, thief, "10.0.0.2", BROADCAST, "10.0.0.2")))
    defence = wire.receive(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == f[38:42])
    assert defence[:6] == b"\xff" * 6
    stack.daemon.wait_for(f"address conflict: {thief} says that 10.0.0.2 is its own", "err")
    stack.assert_answers()
