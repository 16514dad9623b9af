"""`netstack up --queues N`: one host to everybody, whichever queue a connection is on."""
import collections
import contextlib
import errno
import fcntl
import os
import random
import re
import select
import signal
import socket
import struct
import time

import pytest

import netns
from conftest import NETSTACK, finish, script
from streams import receive, sending
from test_capture import record, tshark

STACK, HOST = "10.0.0.2", "10.0.0.1"
FORGOTTEN = 4.0  # seconds; a TUN device remembers a silent flow for three
N = 40  # connections: that all are on one of two queues has a chance of 1 : 500,000,000,000


TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE = 0x400454ca, 2, 0x1000, 0x100

# Whoever may load BPF programs has the kernel steer connections to their queues.
MAY_STEER = {"steered": [], "not steered": ["setpriv", "--bounding-set=-bpf,-sys_admin"]}


def up(host, *flags, rights="steered"):
    daemon = host.spawn(*MAY_STEER[rights], NETSTACK, "up", "--queues", "2", "--services", *flags)
    daemon.wait_for(r"ends it\.$")
    host.daemons.append(daemon)
    return daemon


@pytest.fixture(params=MAY_STEER)
def queues(host, request):
    """A host with a stack on two queues."""
    host.daemon = up(host, rights=request.param)
    host.steered = request.param == "steered"
    return host


def connect(host, port=7):
    sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(netns.PATIENCE)
    sock.connect((STACK, port))
    return sock


def listen(host, port, backlog=N):
    sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(netns.PATIENCE)
    sock.bind((HOST, port))
    sock.listen(backlog)
    return sock


def established(host):
    return [s for s in host.view("sockets")["sockets"] if s["state"] == "established"]


def by_queue(sockets):
    return collections.Counter(s["queue"] for s in sockets)


def exchange(sock, text):
    """Sends it to who sends it back."""
    with sending(sock, [text]):
        assert b"".join(iter(lambda: sock.recv(65536), b"")) == text


# ---- Data ----------------------------------------------------------------------------------------

def test_connections_that_come_in(queues):
    """Byte for byte on both queues, also when the kernel has forgotten the flows."""
    socks = [connect(queues) for _ in range(N)]
    assert sorted(by_queue(established(queues))) == [0, 1]
    time.sleep(FORGOTTEN)  # the kernel's clock, which no event tells
    for i, sock in enumerate(socks):
        exchange(sock, random.Random(i).randbytes(200_000))
        sock.close()
    before = queues.drops()
    assert before.get("tcp_reset_unmatched", 0) == 0 and not established(queues)
    rows = queues.view("stats")["queues"]
    assert all(row["rx_bytes"] > 200_000 and row["tx_bytes"] > 200_000 for row in rows)
    assert sum(row["lost"] for row in rows) == 0


def test_connections_that_programs_begin(queues):
    """They are answered after a silence, when nothing but their ends tells whose they are."""
    server = listen(queues, 5000)
    process = queues.start("run", "--", *script(f"""
        import socket
        socks = [socket.create_connection(("{HOST}", 5000)) for _ in range({N})]
        print("connected")
        for sock in socks:
            data = b"".join(iter(lambda: sock.recv(65536), b""))
            sock.sendall(data)
            sock.close()
        """))
    process.wait_for("connected")
    peers = [server.accept()[0] for _ in range(N)]
    assert by_queue(established(queues)) == {0: N // 2, 1: N // 2}  # one after the other
    time.sleep(FORGOTTEN)
    for i, peer in enumerate(peers):
        text = random.Random(i).randbytes(50_000)
        peer.settimeout(netns.PATIENCE)
        peer.sendall(text)
        peer.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: peer.recv(65536), b"")) == text
        peer.close()
    finish(process)


def test_a_port_that_was_asked_for(queues):
    """The connection is where its ends say, and to another far end perhaps elsewhere."""
    servers = [listen(queues, 5000 + i) for i in range(8)]
    process = queues.start("run", "--", *script(f"""
        import socket
        for i in range(8):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", 6000))
            sock.connect(("{HOST}", 5000 + i))
            assert sock.getsockname() == ("{STACK}", 6000), sock.getsockname()
            sock.sendall(b"x%d" % i)
            sock.close()
        """))
    for i, server in enumerate(servers):
        peer, name = server.accept()
        assert name == (STACK, 6000) and peer.recv(10) == b"x%d" % i
        peer.close()
    finish(process)


def test_a_program_that_listens(queues):
    """It gets the connections of both queues, with what it set before and after listen(); the port
    is taken on both, and free when it is killed."""
    serve = script("""
        import socket, sys, threading
        server = socket.socket()
        server.bind(("", 8000))
        server.listen(64)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        print("listens")
        socks = []
        while True:
            sock, peer = server.accept()
            assert sock.getpeername() == peer and sock.getsockname() == ("10.0.0.2", 8000)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            socks.append(sock)
            def echo(sock=sock):
                while data := sock.recv(65536):
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            threading.Thread(target=echo, daemon=True).start()
        """)
    server = queues.start("run", "--", *serve)
    server.wait_for("listens")
    listeners = [s for s in queues.view("sockets")["sockets"]
                 if s["state"] == "listen" and s["local"]["port"] == 8000]
    assert sorted(s["queue"] for s in listeners) == [0, 1]
    assert len({s["owner"]["pid"] for s in listeners}) == 1
    other = queues.start("run", "--", *serve)
    assert other.wait() == 1 and "Address already in use" in other.err, other
    socks = [connect(queues, 8000) for _ in range(N)]
    for i, sock in enumerate(socks):
        with sending(sock, [random.Random(i).randbytes(20_000)]):
            assert receive(sock)[0] == 20_000
    socks += [connect(queues, 8000) for _ in range(N)]
    netns.until(lambda: sorted(by_queue(established(queues))) == [0, 1], "both have some")
    for pid in {s["owner"]["pid"] for s in listeners}:
        queues.run("kill", "-9", pid)
    for sock in socks[N:]:
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    netns.until(lambda: not [s for s in queues.view("sockets")["sockets"]
                             if s["local"]["port"] == 8000 and s["owner"]], "nothing is left")
    again = queues.start("run", "--", *serve)
    again.wait_for("listens")


def test_listeners_that_were_just_closed(queues):
    """Nobody is told of it: each queue asks when a SYN comes, and refuses."""
    process = queues.start("run", "--", *script(f"""
        import signal, socket
        for sock in [socket.create_server(("", 8000 + i)) for i in range({N})]:
            sock.close()
        print("closed")
        signal.pause()
        """))
    process.wait_for("closed")
    socks = [queues.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(N)]
    results = [sock.connect_ex((STACK, 8000 + i)) for i, sock in enumerate(socks)]
    assert results == [errno.ECONNREFUSED] * N
    process.stop()


def test_listener_that_all_ask_for(host, tmp_path):
    """While one thread finds out that a program has gone, it is nowhere taken for being there."""
    daemon = up(host)
    process = host.start("run", "--", *script("""
        import signal, socket
        server = socket.create_server(("", 8000), backlog=64)
        print("listens")
        signal.pause()
        """))
    process.wait_for("listens")
    tracer = host.spawn("strace", "-f", "-o", tmp_path / "trace", "-e",
                        "inject=bind:delay_exit=1000000", "-p", daemon.pid)
    tracer.wait_for("attached", "err")
    process.stop(signal.SIGKILL)
    socks = [host.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(8)]
    for sock in socks:
        sock.setblocking(False)
        assert sock.connect_ex((STACK, 8000)) == errno.EINPROGRESS
    for sock in socks:
        assert select.select([], [sock], [], netns.PATIENCE)[1]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    tracer.stop(signal.SIGINT)


def test_urgent_data(queues):
    process = queues.start("run", "--", *script(f"""
        import select, socket
        server = socket.create_server(("", 8000), backlog={N})
        print("ready")
        for sock in [server.accept()[0] for _ in range({N})]:
            select.select([], [], [sock])
            sock.send(sock.recv(1, socket.MSG_OOB), socket.MSG_OOB)
            sock.sendall(sock.recv(100))
        """))
    process.wait_for("ready")
    socks = [connect(queues, 8000) for _ in range(N)]
    for i, sock in enumerate(socks):
        sock.sendall(b"in line")
        sock.send(bytes([i]), socket.MSG_OOB)
    for i, sock in enumerate(socks):
        select.select([], [], [sock], netns.PATIENCE)
        assert sock.recv(1, socket.MSG_OOB) == bytes([i])
        assert b"".join(iter(lambda: sock.recv(100), b"")) == b"in line"
    finish(process)


def test_quota_of_what_waits(host, tmp_path):
    """It is a user's, on all queues together: what fills it on the one, others wait for on both."""
    config = tmp_path / "conf"
    config.write_text("[User]\nName=nobody\nBuffers=96K\n")
    host.up("--queues", "2", "--config", str(config))
    server = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    server.bind((HOST, 5000))
    server.listen()
    size, unread = 1 << 20, 20_000
    process = host.spawn("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", NETSTACK,
                         "run", "--", *script(f"""
        import fcntl, socket, struct, termios, threading, time
        def waits(sock):
            return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]
        late, other, idle, full = [socket.create_connection(("{HOST}", 5000)) for _ in range(4)]
        while waits(late) < {unread} or waits(other) < {unread}:
            time.sleep(0.01)
        filler = threading.Thread(target=full.sendall, args=(b"x" * {size},))
        filler.start()
        idle.recv(1)
        late.sendall(b"late")
        other.sendall(b"late")
        filler.join()
        full.close()
        idle.recv(1)
        """))
    late, other, idle, full = (server.accept()[0] for _ in range(4))
    for sock in late, other, idle, full:
        sock.settimeout(netns.PATIENCE)
    for sock in late, other:
        sock.sendall(b"y" * unread)

    def reached():
        return {c["name"]: c["value"] for c in host.view("stats")["counters"]}["quota.buffers"]

    netns.until(lambda: reached() > 0, "too much waits")
    assert by_queue(established(host)) == {0: 2, 1: 2}
    idle.sendall(b"!")
    assert receive(full)[0] == size
    assert [sock.recv(100) for sock in (late, other)] == [b"late", b"late"]
    idle.sendall(b"!")
    finish(process)


def test_bulk_both_ways_at_once(queues):
    """Eight programs, which are killed in the midst of it, beside eight that are not."""
    server = listen(queues, 5000)
    size = 4 << 20
    argv = script(f"""
        import socket, sys, threading
        sock = socket.create_connection(("{HOST}", 5000))
        sender = threading.Thread(target=lambda: (sock.sendall(b"x" * {size}),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        total = 0
        while data := sock.recv(65536):
            total += len(data)
        sender.join()
        print(total)
        """)
    victims = [queues.start("run", "--", *argv) for _ in range(4)]
    taken = [server.accept()[0] for _ in victims]
    for process in victims:
        process.popen.kill()
    for sock in taken:
        sock.close()
    works = [queues.start("run", "--", *argv) for _ in range(4)]
    for sock in [server.accept()[0] for _ in works]:
        sock.settimeout(netns.PATIENCE)
        with sending(sock, [b"y" * size]):
            assert receive(sock)[0] == size
        sock.close()
    for process in works:
        assert finish(process) == f"{size}\n"
    netns.until(lambda: not established(queues), "no connection is left")


def test_nc(queues):
    for _ in range(4):
        assert queues.netstack("nc", "-N", STACK, "7", input="to itself\n").stdout == "to itself\n"
    server = listen(queues, 5000)
    client = queues.start("nc", HOST, "5000")
    peer = server.accept()[0]
    peer.sendall(b"from outside\n")
    peer.close()
    assert finish(client) == "from outside\n"


def test_what_is_not_spread(queues):
    """Datagrams, pings and fragments find their way by whichever queue they come."""
    for port in range(20000, 20000 + N):
        with queues.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(netns.PATIENCE)
            sock.bind(("", port))
            sock.sendto(b"%d" % port, (STACK, 7))
            assert sock.recv(100) == b"%d" % port
    queues.ping("-c", "3", "-i", "0.01", "-s", "5000")
    queues.netstack("ping", "-c", "3", "-i", "0.01", HOST)
    stats = queues.view("stats")["queues"]
    assert (stats[0]["taken_over"] == 0) == queues.steered


def taken_over(host):
    return sum(row["taken_over"] for row in host.view("stats")["queues"])


def brief(host, n):
    """Connections that come and go, one after the other, from both sides."""
    for _ in range(n):
        with connect(host) as sock:
            exchange(sock, b"x")
    server = listen(host, 5000)
    process = host.start("run", "--", *script(f"""
        import socket
        for _ in range({n}):
            with socket.create_connection(("{HOST}", 5000)) as sock:
                sock.sendall(b"x")
                assert sock.recv(1) == b"x"
        """))
    for _ in range(n):
        peer, _ = server.accept()
        peer.sendall(peer.recv(1))
        assert peer.recv(1) == b""
        peer.close()
    finish(process)
    server.close()


@pytest.mark.parametrize("flags", [[], ["--tun"]], ids=["tap", "tun"])
def test_steered(host, flags):
    """The kernel knows from the first frame on whose a connection is: of TCP nothing is handed over."""
    up(host, *flags)
    assert host.view("status")["steered"] is True
    assert re.search(r"^queues +2, steered by the kernel$", host.netstack("status").stdout, re.M)
    brief(host, N)
    stats = host.view("stats")["queues"]
    assert all(row["rx_pkts"] > N for row in stats)
    assert stats[0]["taken_over"] == 0
    assert stats[1]["taken_over"] <= 8  # what neighbours say of themselves is for all


def test_not_steered(host):
    """Without the right to load a program all is as before, but that it is slower; it can be seen."""
    up(host, rights="not steered")
    assert host.view("status")["steered"] is False
    assert "not steered by the kernel" in host.netstack("status").stdout
    brief(host, N)
    assert taken_over(host) > N // 4


@pytest.fixture
def stays(host):
    """A device of several queues that was here before the daemon, which has steered it."""
    host.run("ip", "tuntap", "add", "dev", "stays", "mode", "tap", "multi_queue")
    host.daemon = up(host, "--device", "stays")
    assert host.view("status")["steered"] is True
    return host


def test_steering_is_undone(stays):
    """The kernel spreads again what comes for the next owner of the device."""
    stays.netstack("down")
    request = struct.pack("16sH22x", b"stays", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE)
    with contextlib.ExitStack() as stack:
        with stays.entered():
            tuns = [stack.enter_context(open("/dev/net/tun", "r+b", buffering=0)) for _ in range(2)]
            for tun in tuns:
                fcntl.ioctl(tun, TUNSETIFF, request)
                os.set_blocking(tun.fileno(), False)
        stays.run("ip", "addr", "add", f"{HOST}/24", "dev", "stays")
        stays.run("ip", "link", "set", "stays", "up")
        stays.run("ip", "neigh", "add", STACK, "lladdr", "02:00:00:00:00:98", "dev", "stays")
        for _ in range(N):
            with stays.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"datagram", (STACK, 7))
        for tun in tuns:
            assert b"datagram" in b"".join(iter(lambda tun=tun: tun.read(2000) or b"", b""))


def test_steering_of_a_killed_daemon(stays):
    """It has no meaning to the next one, whose answers tell the kernel where a connection is."""
    stays.daemon.popen.kill()
    stays.daemon.wait()
    up(stays, "--device", "stays", rights="not steered")
    socks = [connect(stays) for _ in range(N)]

    def taken_over_while(rounds):
        before = taken_over(stays)
        for sock in socks:
            for _ in range(rounds):
                sock.sendall(b"x")
                assert sock.recv(1) == b"x"
        return taken_over(stays) - before

    taken_over_while(1)
    assert taken_over_while(20) < 2 * N


# ---- Views ---------------------------------------------------------------------------------------

def test_views_add_up(queues):
    """Links are sums, each connection is listed once, and both queues have neighbours."""
    socks = [connect(queues) for _ in range(N)]
    for sock in socks:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    stats = queues.view("stats")
    for key in ("rx_pkts", "rx_bytes", "tx_pkts", "tx_bytes"):
        assert sum(row[key] for row in stats["queues"]) == stats["links"][0][key]
    counters = {c["name"]: c["value"] for c in stats["counters"]}
    assert counters["tcp.passive_opens"] == N
    assert sum(row["taken_over"] for row in stats["queues"]) == counters["queues.taken_over"]
    ports = [s["peer"]["port"] for s in established(queues)]
    assert sorted(ports) == sorted(sock.getsockname()[1] for sock in socks)
    assert queues.view("status")["queues"] == 2
    assert sorted(n["queue"] for n in queues.view("neigh")["neighbours"]) == [0, 1]
    assert re.search(r"^queues\n.*\n +0 ", queues.netstack("stats").stdout, re.MULTILINE)
    assert " queue\n" in queues.netstack("sockets").stdout
    assert "queue 1" in queues.netstack("neigh").stdout


def test_neighbour_that_changes(queues):
    """What a neighbour says of itself all stacks hear, whoever asked last."""
    mac = "02:00:00:00:00:98"
    for _ in range(N):
        with connect(queues) as sock:
            exchange(sock, b"x")

    def known(key):
        return [n[key] for n in queues.view("neigh")["neighbours"]]

    netns.until(lambda: [(ms or 0) > 1000 for ms in known("confirmed_ms_ago")] == [True, True],
                "both know it, and not so freshly that nobody else is believed")
    queues.sysctl(conf__tun0__arp_notify=1)
    queues.run("ip", "link", "set", "tun0", "address", mac)
    netns.until(lambda: known("mac") == [mac, mac], "both know the new address")


def test_capture(queues):
    """Frames of both queues are shown, each once."""
    recorder = record(queues)
    ports = []
    for _ in range(N):
        with connect(queues) as sock:
            ports.append(sock.getsockname()[1])
            exchange(sock, b"x" * 10)
    queues.assert_answers()
    netns.until(lambda: not established(queues), "all is over")
    assert recorder.stop(signal.SIGINT) == 0
    syns = tshark(queues, "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0", "-T", "fields", "-e",
                  "tcp.srcport").split()
    assert sorted(map(int, syns)) == sorted(ports)
    answers = tshark(queues, "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 1", "-T", "fields", "-e",
                     "tcp.dstport").split()
    assert sorted(map(int, answers)) == sorted(ports)
    for asks, answers in ((HOST, STACK), (STACK, HOST)):
        requests, replies = (tshark(queues, "-Y", f"arp.opcode == {op} && arp.src.proto_ipv4 == {src} "
                                    f"&& arp.dst.proto_ipv4 == {dst}").splitlines()
                             for op, src, dst in ((1, asks, answers), (2, answers, asks)))
        assert len(requests) == len(replies)


# ---- Life ----------------------------------------------------------------------------------------

def test_link_down_and_up(queues):
    """All stacks learn of it, and of another MTU; connections outlive it."""
    socks = [connect(queues) for _ in range(N)]
    queues.run("ip", "link", "set", "tun0", "down")
    netns.until(lambda: not queues.view("status")["device"]["carrier"], "the stack knows")
    queues.run("ip", "link", "set", "tun0", "mtu", "1400", "up")
    netns.until(lambda: queues.view("status")["device"]["carrier"], "the stack knows")
    netns.until(lambda: queues.view("status")["device"]["mtu"] == 1400, "the MTU, too")
    queues.run("ip", "route", "replace", "10.0.0.0/24", "dev", "tun0", "src", HOST)
    for sock in socks:
        exchange(sock, b"x" * 100_000)
        sock.close()


def test_device_removed(host):
    daemon = host.up("--queues", "3")
    host.run("ip", "link", "del", "tun0")
    assert daemon.wait() == 1
    assert daemon.err.count("was removed: ending") == 1, daemon


def test_killed(queues):
    """What it did to the host is undone by the keeper, and programs learn of it."""
    server = listen(queues, 5000)
    process = queues.start("run", "--", *script(f"""
        import socket
        socks = [socket.create_connection(("{HOST}", 5000)) for _ in range(4)]
        print("connected")
        for sock in socks:
            try:
                sock.recv(1)
            except ConnectionResetError:
                print("reset")
        """))
    process.wait_for("connected")
    peers = [server.accept()[0] for _ in range(4)]
    queues.daemon.popen.kill()
    queues.daemon.wait()
    assert finish(process).count("reset") == 4
    for peer in peers:
        peer.close()
    netns.until(lambda: not [link for link in queues.ip("link") if link["ifname"] == "tun0"],
                "the device is gone")


def test_device_that_exists(host):
    """It must have been made for several queues, and is told from one that was not."""
    host.run("ip", "tuntap", "add", "dev", "one", "mode", "tap")
    host.run("ip", "tuntap", "add", "dev", "more", "mode", "tap", "multi_queue")
    refused = host.netstack("up", "--queues", "2", "--device", "one", check=False)
    assert refused.returncode == 1
    assert "one exists and is not a TAP device of several queues" in refused.stderr
    host.up("--queues", "2", "--device", "more")
    host.assert_answers()


def test_no_room_for_a_thread(host):
    """The start fails in order while the threads that there are by then carry frames already, some of
    which are for queues that have none."""
    host.run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap", "multi_queue")
    host.run("ip", "link", "set", "tap0", "up")
    host.run("ip", "addr", "add", HOST + "/24", "dev", "tap0")
    host.run("ip", "neigh", "add", STACK, "lladdr", "02:00:00:00:00:77", "dev", "tap0")
    traffic = host.spawn(*script(f"""
        import socket
        print("begins")
        while True:
            for port in range(1000, 1060):
                with socket.socket() as sock:
                    sock.setblocking(False)
                    sock.connect_ex(("{STACK}", port))
        """))
    traffic.wait_for("begins")
    for _ in range(10):
        done = host.run("prlimit", "--nproc=4", *MAY_STEER["not steered"], NETSTACK, "up", "--queues",
                        "8", "--device", "tap0", "--mac", "02:00:00:00:00:77", "--host-address", "none",
                        "--user", "games", check=False)
        assert done.returncode == 1, done
        assert "temporarily unavailable" in done.stderr
