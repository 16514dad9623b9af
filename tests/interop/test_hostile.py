"""Floods from the network and hostile clients: memory stays bounded, and the host's ping is
answered all the while. Everything here is bounded in count."""
import contextlib
import json
import os
import socket
import struct
import sys
import time

import pytest

from netns import PATIENCE, until
from packets import BROADCAST, ETH_P_ARP, ICMP, UDP, Wire, arp, echo, eth, ipv4

ERRORS_PER_SECOND, ERRORS_AT_ONCE = 500, 50  # to one destination, the stack's defaults
GROWTH_MAX = 96 << 20  # bytes; the stack's budget is 64 MiB


@contextlib.contextmanager
def bounded_memory(host):
    """The daemon may grow by its budget, and not keep packets for ever."""
    before = host.rss(host.daemon.pid)
    yield
    assert host.rss(host.daemon.pid) - before < GROWTH_MAX
    memory = host.view("stats")["memory"]
    assert memory["used"] <= memory["budget"]


@contextlib.contextmanager
def pinging(host):
    """The host pings for as long as the block lasts."""
    ping = host.spawn("ping", "-n", "-i", "0.01", "-W", "5", "10.0.0.2")
    ping.wait_for("icmp_seq=1 ")
    yield
    last = ping.out.count("icmp_seq=")
    ping.wait_for("icmp_seq=", count=last + 3)
    ping.close()
    host.assert_answers()


def from_host(wire, packet):
    return eth(wire.stack_mac, wire.mac, 0x0800, packet)


def test_fragment_flood(stack, wire):
    """First fragments of datagrams that never become whole."""
    with bounded_memory(stack), pinging(stack):
        wire.flood((from_host(wire, ipv4(f"10.0.0.{50 + i % 50}", "10.0.0.2", UDP, b"x" * 1400,
                                          ident=i & 0xFFFF, more=True)) for i in range(20000)))
    drops = stack.drops()
    assert drops["frag_budget"] > 10000
    stack.ping("-c", "1", "-s", "65507")  # whole ones still get together


def test_tiny_fragment_flood(stack, wire):
    """One sender's many small fragments cost no more than their memory."""
    with bounded_memory(stack), pinging(stack):
        wire.flood((from_host(wire, ipv4("10.0.0.66", "10.0.0.2", UDP, b"x" * 8, ident=i // 100,
                                          offset=8 + i % 100 * 16, more=True))
                     for i in range(20000)))


def test_arp_flood(stack, wire):
    """Requests from all of a /16 of senders, each with its MAC address."""
    def request(i):
        mac = f"02:00:00:00:{i >> 8 & 255:02x}:{i & 255:02x}"
        return eth(BROADCAST, mac, ETH_P_ARP,
                   arp(1, mac, f"10.0.0.{3 + i % 250}", "00:00:00:00:00:00", "10.0.0.2"))
    with bounded_memory(stack), pinging(stack):
        wire.flood((request(i) for i in range(20000)))
    assert len(stack.view("neigh")["neighbours"]) <= 1024


def test_scan_of_a_large_network(host):
    """65,536 senders of pings on one link: each answer needs a neighbour that isn't there."""
    host.daemon = host.up("--address", "10.0.0.2/8", "--host-address", "10.0.0.1/8")
    wire = Wire(host, "tun0", host.view("status")["device"].get("mac"))
    with bounded_memory(host), pinging(host):
        wire.flood((from_host(wire, ipv4(f"10.77.{i >> 8}.{i & 255}", "10.0.0.2", ICMP,
                                          echo(1, 1, b""))) for i in range(65536)
                     if i & 255 not in (0, 255)))
    wire.close()
    assert len(host.view("neigh")["neighbours"]) <= 4096


def test_outgoing_scan(stack):
    """The stack itself pings 250 addresses that nobody has, all at once."""
    with bounded_memory(stack), pinging(stack):
        pings = [stack.start("ping", "-c", "1", "-W", "0.1", f"10.0.0.{100 + i}")
                 for i in range(40)]
        for ping in pings:
            assert ping.wait() == 1


def test_udp_flood_is_answered_at_a_limited_rate(stack, wire):
    """Port unreachable: RFC 1812 §4.3.2.8."""
    def datagram(i):
        return from_host(wire, ipv4("10.0.0.1", "10.0.0.2", UDP,
                                    struct.pack("!HHHH", 1, i & 0xFFFF or 1, 8, 0)))
    begun = time.monotonic()
    with bounded_memory(stack), pinging(stack):
        wire.flood((datagram(i) for i in range(20000)))
    counters = stack.counters()
    assert stack.drops()["udp_port"] == 20000
    assert counters["icmp.errors_sent"] + counters["icmp.errors_limited"] == 20000
    assert counters["icmp.errors_sent"] <= ERRORS_AT_ONCE + \
        ERRORS_PER_SECOND * (time.monotonic() - begun)


def test_noise(stack, wire):
    """Frames of every length, of bytes that mean little, to the stack and to everybody."""
    def frame(i):
        length = i % 120 or wire.is_bare  # a packet of no bytes can't be sent
        noise = bytes((i * 7 + j * j * 13 + (j * i >> 3)) & 255 for j in range(length))
        dst = (wire.stack_mac, BROADCAST)[i & 1]
        kind = (0x0800, 0x0806, 0x86DD, i & 0xFFFF)[i & 3]
        return eth(dst, wire.mac, kind, noise)
    with bounded_memory(stack), pinging(stack):
        wire.flood((frame(i) for i in range(5000)))
    assert sum(stack.drops().values()) >= 4000


# ---- Clients ---------------------------------------------------------------------------------

HEADER = struct.Struct("=4sHHII")
DATAGRAM = struct.Struct("=IBBBB4s52x")  # socket, family, three of no use here, address
CALL, DATAGRAM_TYPE = 2, 5


def packet(body, magic=b"NSTK", version=2, kind=CALL, ident=1, length=None):
    return HEADER.pack(magic, version, kind, ident, len(body) if length is None else length) + body


def connect(host):
    """A raw connection to the daemon of a host."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(f"{host.root}/run/netstack/default.sock")
    client.settimeout(PATIENCE)
    return client


def ended(client):
    """Reads until the daemon has ended the connection."""
    try:
        while client.recv(1 << 18):
            pass
    except ConnectionResetError:
        pass
    return True


GARBAGE = {
    "one byte": b"x",
    "no JSON": packet(b"{"),
    "no object": packet(b"[1]"),
    "a repeated key": packet(b'{"op": "status", "op": "down"}'),
    "no op": packet(b'{"up": "status"}'),
    "wrong magic": packet(b"{}", magic=b"NTSK"),
    "wrong version": packet(b"{}", version=99),
    "wrong type": packet(b"{}", kind=77),
    "a reply": packet(b"{}", kind=3),
    "too short a length": packet(b"{}", length=1),
    "too long a length": packet(b"{}", length=0xFFFFFFFF),
    "a datagram too short": packet(b"x" * 10, kind=5),
    "deep nesting": packet(b"[" * 100000),
    "no UTF-8": packet(b'{"op": "\xff\xfe"}'),
    "zeros": bytes(70000),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_from_a_client(stack, what):
    """It ends that client, or is answered with an error; and nothing else happens."""
    with connect(stack) as client:
        client.recv(1 << 18)
        client.send(GARBAGE[what])
        client.shutdown(socket.SHUT_WR)
        assert ended(client)
    stack.assert_answers()
    assert stack.view("status")["clients"] == 1


def test_descriptors_that_nobody_asked_for(stack):
    """They are closed, not kept."""
    def descriptors():
        return len(os.listdir(f"/proc/{stack.daemon.pid}/fd"))
    until(lambda: stack.view("status")["clients"] == 1, "only we are connected")
    before = descriptors()
    for _ in range(20):
        with connect(stack) as client, open("/dev/null", "rb") as null:
            with contextlib.suppress(OSError):
                socket.send_fds(client, [packet(b'{"op": "status"}')], [null.fileno()] * 200)
    until(lambda: descriptors() <= before, "they are closed")
    stack.assert_answers()


def test_client_that_never_reads(stack):
    """Its calls pile up on its own side; memory and everybody else are untouched."""
    with bounded_memory(stack), pinging(stack), connect(stack) as client:
        client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 20000:
                client.send(packet(b'{"op": "stats"}', ident=sent))
                sent += 1
        assert sent < 20000
        assert "1 received" in stack.netstack("ping", "-c", "1", "10.0.0.1").stdout


def test_socket_that_never_reads(stack):
    """Thousands of answers that nobody takes, through a client's own ICMP socket."""
    with bounded_memory(stack), pinging(stack), connect(stack) as client:
        client.recv(1 << 18)
        client.send(packet(b'{"op": "socket", "type": "icmp"}'))
        sock = json.loads(client.recv(1 << 18)[HEADER.size:])["sock"]
        request = DATAGRAM.pack(sock, 4, 0, 0, 0, bytes([10, 0, 0, 1])) + echo(0, 1, b"x" * 1000)
        for _ in range(5000):
            client.send(packet(request, kind=DATAGRAM_TYPE, ident=0))
    until(lambda: stack.view("status")["sockets"] == 0, "its socket went with it")


CROWD = """
import signal, socket
clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(200)]
for client in clients:
    client.connect("/run/netstack/default.sock")
print(sum(client.recv(65536)[6] == 1 for client in clients), "let in", flush=True)
signal.pause()
"""


def test_too_many_connections(stack):
    """One user can't keep the others out: there are 64 for each, and some that only the owner
    gets."""
    crowd = stack.spawn("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                        sys.executable, "-c", CROWD)
    assert crowd.wait_for(r"(\d+) let in")[1] == "64"
    assert stack.view("status")["clients"] == 65
    stack.assert_answers()
    assert "1 received" in stack.netstack("ping", "-c", "1", "10.0.0.1").stdout
    crowd.close()
    until(lambda: stack.view("status")["clients"] == 1, "they are gone")


def test_clients_that_vanish(stack):
    """Killed in the middle of things, two hundred times: nothing of theirs is left."""
    before = len(os.listdir(f"/proc/{stack.daemon.pid}/fd"))
    with bounded_memory(stack):
        for i in range(200):
            with connect(stack) as client:
                client.send(packet(b'{"op": "socket", "type": "icmp"}'))
                client.send(packet(b'{"op": "capture"}', ident=2))
    until(lambda: stack.view("status")["clients"] == 1, "they are gone")
    assert stack.view("status")["sockets"] == 0
    until(lambda: len(os.listdir(f"/proc/{stack.daemon.pid}/fd")) <= before, "none is left open")
    stack.assert_answers()
