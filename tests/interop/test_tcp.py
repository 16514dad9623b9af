"""TCP with the kernel's as the peer: bulk data, many connections, every way to end, windows, MTUs.

The stack runs the small services of --services; `netstack nc` is the other way in. Every byte is
compared: what is sent comes from a seeded generator, and its hash is known at both ends.
"""
import os
import random
import selectors
import socket
import struct

import pytest

import netns
from conftest import NETSTACK
from streams import MIB, Data, receive, sending

STACK = "10.0.0.2"
ECHO, DISCARD, DAYTIME, CHARGEN = 7, 9, 13, 19
UDP_SEGMENT, UDP_GRO = 103, 104
BULK = int(os.environ.get("NETSTACK_TCP_MIB", "256")) * MIB
PACKET = ("--device", "packet:stack0", "--address", "10.0.0.2/24", "--gateway", "10.0.0.1")
MODES = {"tap": (), "tap-plain": ("--no-offload",), "tun": ("--tun",),
         "tun-plain": ("--tun", "--no-offload"), "packet": PACKET,
         "packet-plain": (*PACKET, "--no-offload")}


def make_veth(host, mtu, plain):
    """The host's end has the address, the other one is for the stack."""
    host.run("ip", "link", "add", "host0", "mtu", mtu, "type", "veth",
             "peer", "name", "stack0", "mtu", mtu)
    host.run("ip", "addr", "add", "10.0.0.1/24", "dev", "host0")
    for link in ("host0", "stack0"):
        host.run("ip", "link", "set", link, "up")
    if plain:  # the kernel sends what would be on a wire, too
        host.run("ethtool", "-K", "host0", "tx", "off")


@pytest.fixture
def served(host):
    """Starts a stack with services: served(*flags, mode, mtu)."""
    def start(*flags, mode="tap", mtu=1500):
        link = ("--mtu", mtu)
        if mode.startswith("packet"):
            make_veth(host, mtu, "plain" in mode)
            link = ()
        host.daemon = host.up("--services", *MODES[mode], *link, *flags)
        host.assert_answers()
        return host
    return start


def tcp(host, cc="cubic", rcvbuf=None, sndbuf=None):
    sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())
    for option, size in ((socket.SO_RCVBUF, rcvbuf), (socket.SO_SNDBUF, sndbuf)):
        if size:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
    sock.settimeout(netns.PATIENCE)
    return sock


def connect(host, port, **options):
    sock = tcp(host, **options)
    sock.connect((STACK, port))
    return sock


def listen(host, **options):
    sock = tcp(host, **options)
    sock.bind(("10.0.0.1", 0))
    sock.listen()
    return sock, sock.getsockname()[1]


def assert_echoes(host, size, **options):
    data = Data()
    with connect(host, ECHO, **options) as sock, sending(sock, data.pieces(size)):
        assert receive(sock) == (size, data.digest(size))


def assert_forgotten(host):
    """Nothing is left of any connection but TIME-WAIT, and no memory of packets."""
    def left():
        return [s for s in host.view("sockets")["sockets"]
                if s["protocol"] == "tcp" and s["state"] not in ("listen", "time-wait")]
    netns.until(lambda: not left(), "all connections have ended")
    assert host.view("stats")["memory"]["used"] < 64 * 1024


# ---- Bulk ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("cc", ["cubic", "reno"])
def test_bulk_both_ways_at_once(served, cc):
    """Echo: the same bytes go in and out, as fast as both sides can."""
    host = served()
    assert_echoes(host, BULK, cc=cc)
    assert_forgotten(host)


@pytest.mark.parametrize("mode", MODES)
def test_bulk_in_every_mode(served, mode):
    host = served(mode=mode)
    assert_echoes(host, 32 * MIB)
    assert_forgotten(host)


def test_bbr(served):
    """What the daemon's connections begin with, and what is seen of it."""
    host = served("--congestion", "bbr")
    with connect(host, ECHO) as sock, sending(sock, Data().pieces(8 * MIB)):
        sock.recv(65536)
        info = next(s["info"] for s in host.view("sockets")["sockets"]
                    if s["state"] == "established")
        assert (info["congestion"], info["pacing_rate"] > 0) == ("bbr", True)
        receive(sock)
    assert_echoes(host, 32 * MIB)
    assert_forgotten(host)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mtu", [576, 1500, 9000, 65521])
def test_mtu(served, mtu, mode):
    host = served(mode=mode, mtu=mtu)
    assert_echoes(host, 8 * MIB)
    assert host.view("status")["device"]["mtu"] == mtu


def test_nc_sends_and_receives_in_bulk(served, tmp_path):
    """Through the daemon's descriptors: to a kernel's server, and from a kernel's client."""
    host, data = served(), Data()
    (tmp_path / "in").write_bytes(b"".join(data.pieces(BULK)))
    listener, port = listen(host)
    nc = host.spawn("sh", "-c", f"exec {NC} -N 10.0.0.1 {port} <{tmp_path}/in")
    with listener, listener.accept()[0] as sock:
        assert receive(sock) == (BULK, data.digest(BULK))
    assert nc.wait() == 0, nc
    nc = host.spawn("sh", "-c", f"exec {NC} -lv 5000 </dev/null >{tmp_path}/out")
    nc.wait_for("Listening on 0.0.0.0 5000", "err")
    with connect(host, 5000) as sock, sending(sock, data.pieces(BULK)):
        assert sock.recv(1) == b""
    assert nc.wait() == 0, nc
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert_forgotten(host)


# ---- Windows ------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [2304, 16 * MIB])
def test_windows_tiny_and_huge(served, size):
    """The kernel's least buffers, and its largest."""
    host = served()
    host.run("sysctl", "-qw", f"net.ipv4.tcp_rmem=4096 131072 {32 * MIB}")
    assert_echoes(host, MIB if size < MIB else 64 * MIB, rcvbuf=size, sndbuf=size)


def pattern(size):
    """What chargen sends (RFC 864)."""
    ring = bytes(range(32, 127))
    lines = b"".join((ring + ring)[n:n + 72] + b"\r\n" for n in range(95))
    return (lines * (size // len(lines) + 1))[:size]


def test_reader_that_pauses(served):
    """The window closes, and its opening is noticed: by the probes, if not by itself."""
    host, size = served(), 4 * MIB
    with connect(host, CHARGEN, rcvbuf=4096) as sock:
        info = netns.until(lambda: stalled(host), "the window is closed")
        assert info["notsent_bytes"] > 0
        got = b""
        while len(got) < size:
            got += sock.recv(size - len(got))
    assert got == pattern(size)
    assert_forgotten(host)


def stalled(host):
    """The TCP_INFO of a connection of chargen whose timer probes a closed window."""
    for s in host.view("sockets")["sockets"]:
        info = s.get("info")
        if s["local"]["port"] == CHARGEN and info and info["snd_wnd"] == 0 and info["backoff"] >= 2:
            return info
    return None


# ---- Many ---------------------------------------------------------------------------------------

def test_thousand_connections(served):
    """All open at once, each with bytes of its own."""
    host, n, size = served(), 1000, 20000
    texts = [random.Random(i).randbytes(size) for i in range(n)]
    socks = [connect(host, ECHO) for _ in range(n)]

    def established():
        return [s["state"] for s in host.view("sockets")["sockets"]].count("established")
    netns.until(lambda: established() == n, "the last handshakes are complete, and none is lost")
    selector, got = selectors.DefaultSelector(), [b""] * n
    for i, sock in enumerate(socks):
        sock.sendall(texts[i])
        sock.shutdown(socket.SHUT_WR)
        selector.register(sock, selectors.EVENT_READ, i)
    while selector.get_map():
        ready = selector.select(netns.PATIENCE)
        assert ready, "no connection moves"
        for key, _ in ready:
            data = key.fileobj.recv(65536)
            got[key.data] += data
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
    assert got == texts
    assert_forgotten(host)


# ---- The end ------------------------------------------------------------------------------------

def states(host, port):
    return [s["state"] for s in host.view("sockets")["sockets"]
            if s["local"]["port"] == port and s["state"] not in (None, "listen")]


def test_peer_closes_first(served):
    """CLOSE-WAIT, LAST-ACK: it is the peer who has to wait."""
    host = served()
    with connect(host, DISCARD) as sock:
        sock.sendall(b"x" * 1000)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    netns.until(lambda: not states(host, DISCARD), "nothing is left, TIME-WAIT neither")


def test_stack_closes_first(served):
    """FIN-WAIT-2 for as long as the peer likes, then TIME-WAIT."""
    host = served()
    with connect(host, DAYTIME) as sock:
        assert sock.recv(100).endswith(b"-UTC\r\n")
        assert sock.recv(100) == b""
        netns.until(lambda: states(host, DAYTIME) == ["fin-wait-2"], "the peer's ACK")
        sock.sendall(b"still talking")
    netns.until(lambda: states(host, DAYTIME) == ["time-wait"], "the peer's FIN")


def test_half_close_leaves_the_other_half(served):
    """All of the answer comes after the question has ended."""
    host = served()
    with connect(host, ECHO, rcvbuf=4096) as sock:
        sock.sendall(b"q" * 50000)
        sock.shutdown(socket.SHUT_WR)
        netns.until(lambda: states(host, ECHO) == ["close-wait"] or
                    states(host, ECHO) == ["last-ack"], "the FIN has arrived")
        assert receive(sock)[0] == 50000
    assert_forgotten(host)


@pytest.mark.parametrize("port", [ECHO, DISCARD, CHARGEN])
def test_peer_resets(served, port):
    host = served()
    sock = connect(host, port)
    sock.sendall(b"x" * 5000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    netns.until(lambda: not states(host, port), "the reset ends it")
    assert_forgotten(host)


def test_closed_port_is_refused(served):
    host = served()
    with pytest.raises(ConnectionRefusedError):
        connect(host, 99)


def test_urgent_byte(served):
    """It doesn't disturb the stream around it, in either direction of the kernel's reading."""
    host = served()
    with connect(host, ECHO) as sock:
        sock.sendall(b"before")
        assert sock.recv(6, socket.MSG_WAITALL) == b"before"
        sock.send(b"!", socket.MSG_OOB)
        sock.sendall(b"after")
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while data := sock.recv(100):
            got += data
    assert got in (b"after", b"!after")


# ---- nc -----------------------------------------------------------------------------------------

NC = f"{NETSTACK} nc"


def nc(host, args, text):
    return host.netstack("nc", *args, check=False, input=text)


def test_nc_half_close(served):
    """The peer ends first and still gets all that standard input has."""
    host = served()
    listener, port = listen(host)
    process = host.spawn("sh", "-c", f"(echo one; echo two) | "
                                     f"{NC} -N 10.0.0.1 {port}")
    with listener, listener.accept()[0] as sock:
        sock.sendall(b"bye\n")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock)[0] == len("one\ntwo\n")
    assert process.wait() == 0, process
    assert process.out == "bye\n"


def test_nc_to_the_stack_itself(served):
    host = served()
    done = nc(host, ["-N", STACK, ECHO], "hello\n")
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_nc_tells_why_not(served):
    host = served()
    done = nc(host, ["10.0.0.1", 9], "")
    assert (done.returncode, done.stderr) == (1, "netstack: cannot connect: Connection refused\n")
    done = nc(host, ["10.0.0.77", 9], "")
    assert (done.returncode, done.stderr) == (1, "netstack: cannot connect: No route to host\n")
    done = nc(host, ["-w", 1, "198.51.100.1", 9], "")
    assert done.returncode == 1


def test_nc_sees_a_reset(served):
    """What was sent before arrives; but it is no good end."""
    host = served()
    listener, port = listen(host)
    process = host.spawn("sh", "-c", f"sleep 1000 | {NC} 10.0.0.1 {port}")
    with listener:
        sock = listener.accept()[0]
    sock.sendall(b"part")
    process.wait_for("part")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    process.wait_for("the connection broke: Connection reset by peer", "err")
    assert_forgotten(host)


def test_killed_client_ends_its_connection(served):
    host = served()
    process = host.spawn("sh", "-c", f"exec {NC} -v {STACK} {CHARGEN} >/dev/full")
    assert process.wait() == 1
    assert_forgotten(host)


def test_nc_udp(served):
    host = served()
    process = host.spawn("sh", "-c", f"(printf datagram; exec sleep 1000) | {NC} -u {STACK} {ECHO}")
    process.wait_for("^datagram$")
    assert nc(host, ["-u", "-w", 1, STACK, DISCARD], "datagram").returncode == 0  # ends by itself
    process = host.start("nc", "-u", "-l", "-v", "5001")
    process.wait_for("Listening", "err")
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"to a listener\n", (STACK, 5001))
    process.wait_for("to a listener")


def test_strangers_may_connect_but_not_serve_low_ports(served):
    host = served()
    run = ["setpriv", "--reuid=65534", "--clear-groups", NETSTACK, "nc"]
    done = host.run(*run, "-N", STACK, ECHO, input="hello\n")
    assert done.stdout == "hello\n"
    done = host.run(*run, "-l", 80, check=False)
    assert (done.returncode, "owner" in done.stderr) == (1, True)


# ---- The services over UDP ----------------------------------------------------------------------

def ask(host, port, data, source=0, to=STACK):
    """The answer of a service, or None."""
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind(("10.0.0.1", source))
        sock.settimeout(netns.PATIENCE)
        sock.sendto(data, (to, port))
        # Datagrams keep their order here: an answer would come before the one to an echo.
        sock.sendto(b"end", (STACK, ECHO))
        answer = sock.recv(65536) if source == 0 or source >= 1024 else None
        return None if answer == b"end" else answer


def test_udp_services(served):
    host = served()
    assert ask(host, ECHO, b"x" * 1400) == b"x" * 1400
    assert ask(host, DAYTIME, b"").endswith(b"-UTC\r\n")
    assert ask(host, DISCARD, b"x") is None


def udp_packets(host):
    """How many the stack has received and sent."""
    counters = host.counters()
    return counters["udp.in"], counters["udp.out"]


@pytest.mark.parametrize("joined", (False, True))
@pytest.mark.parametrize("mode", MODES)
def test_udp_segmentation(served, mode, joined):
    """Thirty datagrams in one send of the kernel's are one packet both ways, if the device is able
    to; whether they are received as one is up to each socket."""
    host = served(mode=mode)
    data = random.Random(1).randbytes(29 * 1400 + 700)
    before = udp_packets(host)
    sizes, answer = [], b""
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(netns.PATIENCE)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, joined)
        sock.sendto(data, (STACK, ECHO))
        while len(answer) < len(data):
            piece = sock.recv(65536)
            sizes.append(len(piece))
            answer += piece
    assert answer == data
    able = "plain" not in mode
    assert sizes == [len(data)] if joined and able else [1400] * 29 + [700]
    after = udp_packets(host)
    assert [b - a for a, b in zip(before, after)] == [1 if able else 30] * 2


def test_udp_services_are_no_weapon(served):
    """Attack row 265: no broadcast is answered, no service's port, and chargen says little."""
    host = served()
    for port in (ECHO, DAYTIME, CHARGEN):
        assert ask(host, port, b"x", to="10.0.0.255") is None
        ask(host, port, b"x", source=CHARGEN)
    assert len(ask(host, CHARGEN, b"abc")) == 3
    assert len(ask(host, CHARGEN, b"x" * 1000)) <= 512
    counters = host.counters()
    assert counters["udp.in"] > counters["udp.out"]
