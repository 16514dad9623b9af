"""`netstack relay` between two kernels, each in a namespace of its own."""
import fcntl
import hashlib
import json
import random
import signal
import socket
import struct
import threading

import pytest

from netns import PATIENCE, until

COUNT = 300
MEGABYTE = random.Random(3).randbytes(1 << 20)
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000
TUNSETIFF, TUNSETPERSIST, TUNSETOFFLOAD = 0x400454CA, 0x400454CB, 0x400454D0
OFFLOADS = 0xF  # checksum, TSO4, TSO6, ECN


class Line:
    """Two hosts, left (10.0.0.1) and right (10.0.0.2), and the relay that joins them."""

    def __init__(self, hosts):
        self.middle, self.left, self.right = hosts(3)
        self.relay = None
        self.reports = 0

    def start(self, *args, mtu=1500):
        """All frames on the line are those that the test sends."""
        self.relay = self.middle.start("relay", "--json", "--seed", "1", *args, "tapa", "tapb")
        self.report()
        ends = ((self.left, "tapa", "10.0.0.1"), (self.right, "tapb", "10.0.0.2"))
        for i, (host, device, address) in enumerate(ends):
            self.middle.run("ip", "link", "set", device, "netns", host.pid)
            host.run("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
            host.run("ip", "addr", "add", f"{address}/24", "dev", device)
            host.run("ip", "link", "set", device, "address", f"02:00:00:00:00:0{i + 1}",
                     "mtu", mtu, "up")
        for i, (host, device, address) in enumerate(ends):
            host.run("ip", "neigh", "add", ends[1 - i][2], "lladdr", f"02:00:00:00:00:0{2 - i}",
                     "dev", device, "nud", "permanent")
        return self

    def report(self):
        """The next one: to the right, to the left."""
        self.reports += 1
        line = self.relay.wait_for(r"^\{.*\}$", count=self.reports)[0]
        report = json.loads(line)
        for d in report["directions"]:
            assert d["sent"] + d["repeated"] == \
                d["lost"] + d["overflowed"] + d["delivered"] + d["held"]
        assert report["seed"] == "1"
        return report["directions"]

    def now(self):
        self.relay.send(signal.SIGUSR1)
        return self.report()

    def quiet(self):
        """The report once nothing is on the line any more."""
        return until(lambda: (now := self.now()) and not any(d["held"] for d in now) and now,
                     "all frames have come out")

    def end(self):
        """The last report."""
        assert self.relay.stop() == 0, self.relay
        assert self.relay.err == ""
        return self.report()

    def ping(self, *args, count=COUNT, check=True):
        return self.left.run("ping", "-nq", "-c", str(count), "-i", "0.002", "-W", "1", *args,
                             "10.0.0.2", check=check).stdout


@pytest.fixture
def line(hosts):
    return Line(hosts)


# ---- One effect at a time ----------------------------------------------------------------------

def test_nothing_happens_by_default(line):
    line.start()
    assert f"{COUNT} received, 0% packet loss" in line.ping()
    for d, ends in zip(line.end(), (("tapa", "tapb"), ("tapb", "tapa"))):
        assert (d["from"], d["to"]) == ends
        assert d["sent"] == d["delivered"] == COUNT
        assert d["bytes"] == COUNT * (14 + 20 + 8 + 56)
        assert not any(d[k] for k in ("lost", "overflowed", "repeated", "reordered", "corrupted",
                                      "refused", "held"))


def test_delay_adds_up(line):
    line.start("--to-b", "delay=30ms", "--to-a", "delay=20ms")
    fastest = line.ping(count=5).split("rtt min/avg/max/mdev = ")[1].split("/")[0]
    assert float(fastest) >= 50


def test_loss_is_what_the_kernel_misses(line):
    line.start("--to-b", "loss=10%", "--to-a", "loss=20%")
    line.ping()
    to_b, to_a = line.end()
    assert to_b["sent"] == COUNT
    assert 0 < to_b["lost"] < COUNT
    assert line.right.icmp("InEchos") == COUNT - to_b["lost"] == to_a["sent"]
    assert line.left.icmp("InEchoReps") == to_a["sent"] - to_a["lost"] < to_a["sent"]


def test_the_seed_decides(line, hosts):
    spec = ("--to-b", "loss=10%,burst=1%:25%,repeat=5%")
    line.start(*spec)
    line.ping()
    other = Line(hosts).start(*spec)
    other.ping()
    assert line.end()[0] == other.end()[0]


def test_repeats_come_twice(line):
    line.start("--to-b", "repeat=10%")
    line.ping()
    to_b, _ = line.quiet()
    assert to_b["repeated"] > 0
    assert line.right.icmp("InEchos") == COUNT + to_b["repeated"] == to_b["delivered"]


def test_one_wrong_bit_is_noticed(line):
    """Wherever it is: in the addresses, in the headers, in the data."""
    line.start("--to-b", "corrupt=100%")
    line.ping(check=False)
    to_b, to_a = line.end()
    assert to_b["corrupted"] == COUNT
    # Only the sender's MAC address and what the kernel doesn't check may differ: few.
    assert to_a["sent"] < COUNT / 4


def test_what_the_queue_has_no_room_for(line):
    """At a frame in a quarter of an hour, one is being sent and ten wait."""
    line.start("--to-b", "rate=1bit,queue=10")
    line.ping("-W", "0.1", count=30, check=False)
    to_b, _ = line.end()
    assert (to_b["sent"], to_b["overflowed"], to_b["held"]) == (30, 19, 11)


def test_a_device_that_is_down_refuses(line):
    line.start()
    line.right.run("ip", "link", "set", "tapb", "down")
    line.ping(count=3, check=False)
    to_b, _ = line.end()
    assert to_b["delivered"] == to_b["refused"] == 3


# ---- TCP ---------------------------------------------------------------------------------------

def transfer(line, data):
    """From the left to the right, and an answer of equal length back; what came, both ways."""
    listener = line.right.socket()
    listener.bind(("10.0.0.2", 7000))
    listener.listen()
    listener.settimeout(PATIENCE)
    got = {}

    def read_all(sock):
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))

    def serve():
        with listener, listener.accept()[0] as peer:
            peer.settimeout(2 * PATIENCE)
            got["right"] = read_all(peer)
            peer.sendall(data[::-1])

    server = threading.Thread(target=serve)
    server.start()
    with line.left.socket() as client:
        client.settimeout(2 * PATIENCE)
        client.connect(("10.0.0.2", 7000))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got["left"] = read_all(client)
    server.join()
    return got["right"], got["left"]


def assert_transfers(line, data):
    right, left = transfer(line, data)
    assert hashlib.sha256(right).digest() == hashlib.sha256(data).digest()
    assert hashlib.sha256(left).digest() == hashlib.sha256(data[::-1]).digest()


def test_tcp_through_everything_at_once(line):
    line.start("--both", "rate=100mbit,queue=250,delay=1ms,loss=1%,burst=0.1%:50%,repeat=1%,"
                         "reorder=5%:1ms,corrupt=1%")
    assert_transfers(line, MEGABYTE)
    for d in line.end():
        assert all(d[k] > 0 for k in ("lost", "repeated", "reordered", "corrupted"))
        assert d["bytes"] <= 1514 * d["sent"]  # no segments larger than a frame


def test_tcp_in_the_largest_frames(line):
    line.start(mtu=65521)
    assert_transfers(line, MEGABYTE)
    to_b, _ = line.end()
    assert to_b["refused"] == 0
    assert to_b["bytes"] / to_b["sent"] > 5000  # acknowledgements included


def test_offloads_of_the_last_owner_are_gone(line):
    """A TAP that stays remembers what was asked for; then frames would be segments of 64 KiB."""
    with line.middle.entered(), open("/dev/net/tun", "r+b", buffering=0) as tun:
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tapa", flags))
        fcntl.ioctl(tun, TUNSETOFFLOAD, OFFLOADS)
        fcntl.ioctl(tun, TUNSETPERSIST, 1)
    line.start()
    assert_transfers(line, MEGABYTE)
    to_b, _ = line.end()
    assert to_b["bytes"] <= 1514 * to_b["sent"]


# ---- Its life ----------------------------------------------------------------------------------

def test_it_ends_by_itself(host):
    done = host.netstack("relay", "--time", "0.01", "--seed", "7", "x", "y")
    assert done.stdout.startswith("x and y are joined, seed 7\nafter 0.")
    assert "\n              to y  to x\n  sent           0     0\n" in done.stdout
    assert not host.run("ip", "link", "show", "x", check=False).stdout


def test_interrupt(host):
    relay = host.start("relay", "--busy-poll", "1000", "x", "y")
    relay.wait_for("^x and y are joined, seed [0-9]+$")
    assert relay.stop(signal.SIGINT) == 0


def test_a_device_goes_away(host):
    relay = host.start("relay", "x", "y")
    relay.wait_for("^x and y are joined")
    host.run("ip", "link", "del", "y")
    assert relay.wait() == 1
    assert relay.err == "netstack: a device went away\n"


def test_a_device_that_is_taken(host):
    relay = host.start("relay", "x", "y")
    relay.wait_for("^x and y are joined")
    done = host.netstack("relay", "z", "y", check=False)
    assert done.returncode == 2
    assert done.stderr == "netstack: cannot open the TAP device y: Device or resource busy\n"
