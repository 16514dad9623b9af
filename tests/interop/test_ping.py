"""The host pings the stack, with iputils' ping."""
import pytest

from netns import PATIENCE

KINDS = {
    "tap": [],
    "tap-plain": ["--no-offload"],
    "tun": ["--tun"],
    "tun-plain": ["--tun", "--no-offload"],
}


@pytest.fixture(params=KINDS)
def any_stack(request, host):
    host.daemon = host.up(*KINDS[request.param])
    return host


def test_every_size(any_stack):
    """Nothing at all, one fragment, two, many, and the most that IPv4 can carry."""
    for size in (0, 1, 55, 56, 1471, 1472, 1473, 2952, 2953, 9000, 65506, 65507):
        ping = any_stack.echoes(2, "-i", "0.01", "-s", size)
        assert f"{size + 8} bytes from 10.0.0.2: icmp_seq=1 ttl=64" in ping.stdout
        assert "wrong" not in ping.stdout
    assert any_stack.view("status")["memory"]["used"] == 0


@pytest.mark.parametrize("mtu", [68, 576, 1280, 9000, 65521])
def test_mtu(host, mtu):
    host.up("--mtu", str(mtu))
    assert host.ip("link show tun0")[0]["mtu"] == mtu
    for size in (0, mtu - 28, min(mtu - 27, 65507), 4 * mtu if mtu < 10000 else 65507):
        host.echoes(2, "-i", "0.01", "-s", size)


def test_flood(any_stack):
    assert "duplicates" not in any_stack.echoes(2000, "-q", "-f").stdout


def test_flood_of_fragments(stack):
    stack.echoes(200, "-q", "-f", "-s", "20000")


def test_short_interval(stack):
    stack.echoes(500, "-q", "-i", "0.002")


@pytest.mark.parametrize("hint, size, answered", [
    ("do", 1472, True), ("do", 1473, False), ("want", 1472, True), ("want", 1473, True),
    ("dont", 1472, True), ("dont", 1473, True), ("dont", 65507, True)])
def test_path_mtu_discovery(stack, hint, size, answered):
    ping = stack.ping("-c", "1", "-M", hint, "-s", str(size), check=False)
    assert ping.returncode == (0 if answered else 1)
    assert answered == ("1 received" in ping.stdout)


@pytest.mark.parametrize("option", [["-R"], ["-T", "tsonly"], ["-T", "tsandaddr"], ["-Q", "0x10"],
                                    ["-t", "1"], ["-p", "ff00"], ["-l", "3"]])
def test_options(stack, option):
    ping = stack.echoes(3, "-i", "0.01", *option)
    assert "wrong data" not in ping.stdout


def test_many_at_once(stack):
    with stack.each_answered():
        pings = [stack.spawn("ping", "-n", "-q", "-c", "50", "-w", int(PATIENCE), "-i", "0.01",
                             "-s", 100 * i, "10.0.0.2") for i in range(20)]
        for ping in pings:
            assert ping.wait() == 0, ping
            assert "duplicates" not in ping.out


@pytest.mark.parametrize("address", ["10.0.0.255", "255.255.255.255", "224.0.0.1"])
def test_broadcast_is_not_answered(stack, address):
    stack.run("ip", "route", "add", "224.0.0.0/4", "dev", "tun0")
    args = ["-b"] if address.endswith("255") else []
    ping = stack.ping(*args, "-I", "tun0", "-c", "3", "-i", "0.01", "-W", "0.2", dst=address,
                      check=False)
    assert "3 packets transmitted, 0 received" in ping.stdout
    with stack.each_answered():  # it is behind the three, which have been judged then
        stack.assert_answers()
    assert stack.drops()["icmp_broadcast"] == 3


def test_another_host_is_not_answered_for(stack):
    ping = stack.ping("-c", "1", "-w", int(PATIENCE), dst="10.0.0.3", check=False)
    assert ping.returncode == 1
    assert "Destination Host Unreachable" in ping.stdout


def test_several_addresses(host):
    host.up("--address", "10.0.0.2/24", "--address", "10.0.0.7/24", "--address", "192.168.9.5/24")
    host.run("ip", "addr", "add", "192.168.9.1/24", "dev", "tun0")
    for address in ("10.0.0.2", "10.0.0.7", "192.168.9.5"):
        host.assert_answers(address)
