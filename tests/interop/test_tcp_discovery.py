"""What TCP negotiates and discovers, with the kernel as the peer: ECN, Fast Open, path MTU.

TCP_INFO is the kernel's word on what was agreed; what the stack made of it is in `sockets --json`.
"""
import socket
import struct

import netns

STACK = "10.0.0.2"
ECHO = 7
ECN, ECN_SEEN, SYN_DATA = 8, 16, 32  # tcpi_options
ECN_OFF, ECN_ASK, ECN_ACCEPT = 0, 1, 2


def up(host, *flags):
    host.daemon = host.up("--services", *flags)
    host.assert_answers()


def options(sock):
    return struct.unpack_from("6B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8))[5]


def echo(sock, size):
    """Sends that much, and gets it back: fewer bytes than both windows hold."""
    data = bytes(range(256)) * (size // 256)
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = sock.recv(65536)
        assert piece
        got += piece
    assert got == data


def connect(host):
    sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(netns.PATIENCE)
    sock.connect((STACK, ECHO))
    return sock


def info(host, port):
    """What the stack knows of its end of a connection from the kernel's `port`."""
    return next(s["info"] for s in host.view("sockets")["sockets"]
                if s.get("info") and s["peer"]["port"] == port)


def test_kernel_asks_for_ecn(host):
    up(host)
    host.sysctl(tcp_ecn=ECN_ASK)
    with connect(host) as sock:
        echo(sock, 16384)
        assert options(sock) & ECN and options(sock) & ECN_SEEN
        ours = info(host, sock.getsockname()[1])
        assert ours["ecn"] and ours["ecn_seen"]


def test_stack_refuses_ecn(host):
    up(host, "--ecn", "off")
    host.sysctl(tcp_ecn=ECN_ASK)
    with connect(host) as sock:
        echo(sock, 16384)
        assert not options(sock) & ECN


def test_stack_asks_for_ecn(host):
    up(host, "--ecn", "ask")
    host.sysctl(tcp_ecn=ECN_ACCEPT)
    listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.0.0.1", 0))
    listener.listen()
    listener.settimeout(netns.PATIENCE)
    nc = host.start("nc", "10.0.0.1", str(listener.getsockname()[1]))
    with listener, listener.accept()[0] as sock:
        assert options(sock) & ECN
    nc.stop()


def test_congestion_marks(host):
    """Every tenth packet of the stack is marked on the way: it slows down, and loses nothing."""
    up(host, "--no-offload")
    host.sysctl(tcp_ecn=ECN_ASK)
    host.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; };"
             "add rule inet t in iif tun0 ip ecn ect0 numgen inc mod 10 0 ip ecn set ce")
    with connect(host) as sock:
        for _ in range(32):
            echo(sock, 32768)
        ours = info(host, sock.getsockname()[1])
        assert ours["total_retrans"] == 0
        assert ours["snd_ssthresh"] is not None


def test_kernel_sends_data_with_its_syn(host):
    up(host, "--fastopen", "server")
    host.sysctl(tcp_fastopen=1)
    for turn in range(2):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            assert sock.sendto(b"hello", socket.MSG_FASTOPEN, (STACK, ECHO)) == 5
            sock.settimeout(netns.PATIENCE)
            assert sock.recv(16) == b"hello"
            assert bool(options(sock) & SYN_DATA) == (turn == 1)
    counters = {c["name"]: c["value"] for c in host.view("stats", "--all")["counters"]}
    assert counters["tcp.fastopen_passive"] == 1


def test_black_hole(host):
    """Large packets of the stack vanish without a word: smaller ones go through."""
    up(host, "--no-offload", "--mtu-probing", "black-hole")
    host.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; };"
             "add rule inet t in iif tun0 meta length > 1100 drop")
    with connect(host) as sock:
        echo(sock, 16384)
        ours = info(host, sock.getsockname()[1])
        assert ours["pmtu"] == 1064
