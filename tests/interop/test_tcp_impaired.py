"""TCP between the stack and the kernel, with `netstack relay` in between as a bad network.

    the kernel (10.0.0.1)  <->  relay  <->  bridge  <->  the stack (10.0.0.2)

What the relay does follows from its seed. All that is claimed is that every byte arrives, in both
directions at once; how fast is a matter for bench/.
"""
import json
import socket

import pytest

import netns
from streams import MIB, Data, receive, sending

STACK, ECHO = "10.0.0.2", 7
BASE = "rate=200mbit,queue=250,delay=2ms"


@pytest.fixture
def joined(hosts):
    """Joins a stack and a kernel by a wire of that kind: joined(spec) is the kernel's host, the
    stack's, and the relay."""
    def join(spec=None, *flags):
        kernel, middle, stack = hosts(3)
        relay = middle.start("relay", "--json", "--seed", "1", "--both", ",".join(filter(None, (BASE, spec))),
                             "ka", "sa")
        relay.wait_for(r"^\{")
        stack.up("--services", "--host-address", "none", *flags)
        middle.run("ip", "link", "set", "ka", "netns", kernel.pid)
        middle.run("ip", "link", "set", "sa", "netns", stack.pid)
        stack.run("ip", "link", "add", "br0", "type", "bridge")
        for device in ("sa", "tun0"):
            stack.run("ip", "link", "set", device, "master", "br0", "up")
        stack.run("ip", "link", "set", "br0", "up")
        kernel.run("ip", "addr", "add", "10.0.0.1/24", "dev", "ka")
        kernel.run("ip", "link", "set", "ka", "up")
        return kernel, stack, relay
    return join


def dial(kernel):
    sock = kernel.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    sock.settimeout(4 * netns.PATIENCE)
    sock.connect((STACK, ECHO))
    return sock


def assert_echoes(kernel, size):
    data = Data()
    with dial(kernel) as sock, sending(sock, data.pieces(size)):
        assert receive(sock) == (size, data.digest(size))


def ended(relay):
    """What happened to the frames, both directions added up."""
    assert relay.stop() == 0, relay
    directions = json.loads(relay.out.splitlines()[-1])["directions"]
    return {key: sum(d[key] for d in directions) for key in directions[0]
            if isinstance(directions[0][key], int)}


@pytest.mark.parametrize("spec, happened", [
    ("loss=1%", ["lost"]),
    ("loss=5%", ["lost"]),
    ("burst=0.1%:14%", ["lost"]),
    ("reorder=25%:2ms", ["reordered"]),
    ("repeat=50%", ["repeated"]),
    ("corrupt=1%", ["corrupted"]),
    ("loss=1%,repeat=5%,reorder=5%:1ms,corrupt=1%", ["lost", "repeated", "reordered", "corrupted"]),
])
@pytest.mark.parametrize("flags", [(), ("--no-offload",)], ids=["offload", "plain"])
def test_every_byte_arrives(joined, spec, happened, flags):
    kernel, _, relay = joined(spec, *flags)
    assert_echoes(kernel, MIB)
    counts = ended(relay)
    assert all(counts[what] > 0 for what in happened), counts


def test_an_outage_is_survived(joined):
    """The kernel's side falls silent in the middle of a transfer, and comes back."""
    kernel, stack, _ = joined()
    data, size = Data(), 4 * MIB
    with dial(kernel) as sock, sending(sock, data.pieces(size)):
        first = sock.recv(MIB // 4, socket.MSG_WAITALL)
        kernel.run("ip", "link", "set", "ka", "down")
        netns.until(lambda: retransmitting(stack), "the stack has noticed")
        kernel.run("ip", "link", "set", "ka", "up")
        rest = b""
        while piece := sock.recv(MIB):
            rest += piece
    assert first + rest == b"".join(data.pieces(size))


def retransmitting(stack):
    return any(s.get("info") and s["info"]["backoff"] > 0 for s in stack.view("sockets")["sockets"])
