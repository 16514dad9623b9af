"""What TCP negotiates and discovers, with the kernel as the peer: ECN, Fast Open, path MTU.

TCP_INFO is the kernel's word on what was agreed; what the stack made of it is in `sockets --json`.
"""
import socket
import struct

import pytest

import netns
from conftest import NETSTACK, PYTHON, finish

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


# What it sends first it sends with connect(), as the flag says, and gets back.
FAST_CLIENT = """
import socket, sys
TCP_FASTOPEN_CONNECT = 30
with socket.socket() as sock:
    if sys.argv[1] == "flag":
        assert sock.sendto(b"hello", socket.MSG_FASTOPEN, (sys.argv[2], 9999)) == 5
    else:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((sys.argv[2], 9999))
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
    assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
"""

# Three connections, echoed, with Fast Open.
FAST_SERVER = """
import contextlib, socket, sys
with socket.create_server((sys.argv[1], 9999)) as listener:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    print("listening", flush=True)
    for _ in range(3):
        sock, _ = listener.accept()
        with sock, contextlib.suppress(ConnectionError):
            data = sock.recv(16)
            print(data, flush=True)
            sock.sendall(data)
            sock.recv(16)
"""


def fast_server(host, *wrapper, address):
    server = host.spawn(*wrapper, PYTHON, "-c", FAST_SERVER, address)
    server.wait_for("listening")
    return server


def kernel_counter(host, name):
    names, values = [line.split() for line in host.run("cat", "/proc/net/netstat").stdout.splitlines()
                     if line.startswith("TcpExt:")]
    return int(values[names.index(name)])


@pytest.mark.parametrize("shim", [[], ["--no-shim"]])
@pytest.mark.parametrize("way", ["flag", "option"])
def test_program_sends_data_with_its_syn(host, way, shim):
    """A program on the stack, to the kernel: the first time it gets a cookie, then it is fast."""
    up(host)
    host.sysctl(tcp_fastopen=2)
    server = fast_server(host, address="10.0.0.1")
    for _ in range(3):
        host.netstack("run", *shim, "--", PYTHON, "-c", FAST_CLIENT, way, "10.0.0.1")
    finish(server)
    assert kernel_counter(host, "TCPFastOpenPassive") == 2
    (known,) = host.view("metrics")["metrics"]
    assert known["fastopen"] == {"cookie": True, "mss": 1460, "failures": 0}


def test_program_takes_data_with_a_syn(host):
    """The other way round."""
    up(host, "--fastopen", "server")
    host.sysctl(tcp_fastopen=1)
    server = fast_server(host, NETSTACK, "run", "--", address=STACK)
    for _ in range(3):
        host.run(PYTHON, "-c", FAST_CLIENT, "flag", STACK)
    finish(server)
    counters = {c["name"]: c["value"] for c in host.view("stats", "--all")["counters"]}
    assert counters["tcp.fastopen_passive"] == 2


def test_program_goes_before_it_has_sent_anything(host):
    """A connection that waits for its first data ends with the program."""
    up(host)
    host.sysctl(tcp_fastopen=2)
    server = fast_server(host, address="10.0.0.1")
    host.netstack("run", "--", PYTHON, "-c", FAST_CLIENT, "option", "10.0.0.1")
    nothing = FAST_CLIENT.replace('        sock.sendall(b"hello")\n', "        sys.exit()\n")
    host.netstack("run", "--", PYTHON, "-c", nothing, "option", "10.0.0.1")
    netns.until(lambda: not [s for s in host.view("sockets")["sockets"]
                             if s["state"] == "syn-sent"], "nothing is left of it")


def test_program_whose_first_data_is_lost(host):
    """SYNs with data vanish: the program has long written it all and gone when it is sent."""
    up(host)
    host.sysctl(tcp_fastopen=2)
    server = fast_server(host, address="10.0.0.1")
    for _ in range(2):
        host.netstack("run", "--", PYTHON, "-c", FAST_CLIENT, "option", "10.0.0.1")
    host.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; };"
             "add rule inet t in iif tun0 tcp flags syn meta length > 70 drop")
    writes = FAST_CLIENT[:FAST_CLIENT.index("    assert sock.recv")]
    host.netstack("run", "--", PYTHON, "-c", writes, "option", "10.0.0.1")
    assert finish(server).count("b'hello'") == 3
    (known,) = host.view("metrics")["metrics"]
    assert known["fastopen"]["failures"] == 1
