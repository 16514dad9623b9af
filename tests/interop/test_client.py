"""Sockets of the stack as descriptors, through the client library, with the kernel's as the peer."""
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import select
import signal
import socket
import struct
import threading

import pytest

import client as library
import netns
from conftest import NETSTACK

HOST, STACK = "10.0.0.1", "10.0.0.2"
NOBODY = 65534
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def stack(host):
    host.daemon = host.up()
    host.assert_answers()
    return host


@pytest.fixture
def client(stack, monkeypatch):
    """Of the instance that runs already; one that is started later must not see the variable."""
    monkeypatch.setenv("NETSTACK_SOCKET", f"{stack.root}/run/netstack/default.sock")
    client = library.Client()
    yield client
    client.close()


@pytest.fixture
def kernel(stack):
    """Makes sockets of the kernel's on the host: kernel(), kernel(listen=True), ..."""
    with contextlib.ExitStack() as open_sockets:
        def make(kind=socket.SOCK_STREAM, listen=False, connect=None):
            sock = open_sockets.enter_context(stack.socket(socket.AF_INET, kind))
            sock.settimeout(netns.PATIENCE)
            if connect:
                sock.connect(connect)
            elif kind == socket.SOCK_DGRAM or listen:
                sock.bind((HOST, 0))
            if listen:
                sock.listen()
            return sock
        yield make


def sockets(stack, *wanted):
    """The sockets of clients, or of some state."""
    return [s for s in stack.view("sockets")["sockets"]
            if not wanted or s["state"] in wanted or s["protocol"] in wanted]


def assert_nothing_left(stack):
    netns.until(lambda: not [s for s in sockets(stack)
                             if s["state"] != "time-wait" and s["owner"]],
                "the stack has no socket of anybody's")


def pair(client, kernel, port=8080):
    """A connection that was accepted: the listener, our end, the kernel's."""
    listener = client.socket().bind((STACK, port)).listen()
    far = kernel(connect=(STACK, port))
    return listener, listener.accept()[0], far


def poll(sock, timeout=netns.PATIENCE):
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    ready = poller.poll(timeout * 1000)
    return ready[0][1] if ready else 0


# ---- connect ------------------------------------------------------------------------------------

def test_connect(client, kernel, stack):
    listener = kernel(listen=True)
    with client.socket().connect(listener.getsockname()) as sock:
        far, name = listener.accept()
        assert name == sock.getsockname() and name[0] == STACK
        assert sock.getpeername() == listener.getsockname()
        sock.file.sendall(b"there")
        assert far.recv(100) == b"there"
        far.sendall(b"back")
        assert sock.file.recv(100) == b"back"
        assert sock.connect_errno(listener.getsockname()) == errno.EISCONN
        far.close()
        assert sock.file.recv(100) == b""
    assert_nothing_left(stack)


def test_connect_is_refused(client):
    with client.socket() as sock:
        assert sock.connect_errno((HOST, 9)) == errno.ECONNREFUSED
        assert sock.error() == 0
        assert sock.connect_errno((HOST, 9)) == errno.ECONNABORTED  # a gap: see ADR 9


def test_connect_without_waiting_is_refused(client):
    with client.socket(nonblocking=True) as sock:
        assert sock.connect_errno((HOST, 9)) == errno.EINPROGRESS
        assert poll(sock) & (select.POLLIN | select.POLLOUT | select.POLLERR | select.POLLHUP) == \
            select.POLLIN | select.POLLOUT | select.POLLERR | select.POLLHUP
        assert (sock.error(), sock.error()) == (errno.ECONNREFUSED, 0)
        with pytest.raises(OSError) as info:
            sock.getpeername()
        assert info.value.errno == errno.ENOTCONN


def test_a_connection_that_nobody_answers_is_not_ready(client, stack):
    stack.run("nft", "add", "table", "ip", "mute")
    stack.run("nft", "add", "chain", "ip", "mute", "in", "{ type filter hook input priority 0; }")
    stack.run("nft", "add", "rule", "ip", "mute", "in", "tcp", "dport", "99", "drop")
    with client.socket(nonblocking=True) as sock:
        assert sock.connect_errno((HOST, 99)) == errno.EINPROGRESS
        assert poll(sock, 0) == 0
        edge = select.epoll()
        edge.register(sock.fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        assert edge.poll(0) == [] and select.select([sock], [sock], [], 0) == ([], [], [])
        assert sock.connect_errno((HOST, 99)) == errno.EALREADY
        assert [s["state"] for s in sockets(stack, "tcp")] == ["syn-sent"]
        stack.run("nft", "delete", "table", "ip", "mute")
        assert edge.poll(netns.PATIENCE)  # the SYN is repeated, and refused now
        assert sock.error() == errno.ECONNREFUSED
        edge.close()


@pytest.mark.parametrize("edge", [0, select.EPOLLET])
def test_a_connection_becomes_writable_once(client, kernel, edge):
    listener = kernel(listen=True)
    with client.socket(nonblocking=True) as sock, select.epoll() as epoll:
        epoll.register(sock.fd, select.EPOLLOUT | edge)
        epoll.poll(0)
        assert sock.connect_errno(listener.getsockname()) == errno.EINPROGRESS
        assert epoll.poll(netns.PATIENCE) == [(sock.fd, select.EPOLLOUT)]
        assert sock.error() == 0
        assert sock.connect_errno(listener.getsockname()) == 0  # once, as the kernel's
        assert sock.connect_errno(listener.getsockname()) == errno.EISCONN


def test_closed_while_it_connects(client, stack):
    with client.socket(nonblocking=True) as sock:
        assert sock.connect_errno((HOST, 9)) in (errno.EINPROGRESS,)
    assert_nothing_left(stack)


def test_wrong_arguments(client):
    with client.socket() as sock:
        for name, expected in (((HOST, 0), errno.EADDRNOTAVAIL),):
            assert sock.connect_errno(name) == expected
        with pytest.raises(OSError) as info:
            sock.bind(("192.0.2.1", 0))
        assert info.value.errno == errno.EADDRNOTAVAIL
    for arguments, expected in (((socket.SOCK_STREAM, 0, socket.AF_INET6), errno.EAFNOSUPPORT),
                                ((socket.SOCK_STREAM, 17), errno.EPROTONOSUPPORT),
                                ((socket.SOCK_RAW, 1), errno.EPERM),
                                ((socket.SOCK_SEQPACKET,), errno.ESOCKTNOSUPPORT)):
        with pytest.raises(OSError) as info:
            client.socket(*arguments)
        assert info.value.errno == expected
    with open("/dev/null", "rb") as file:
        assert client.lib.nst_client_listen(client.handle, file.fileno(), 1) == -errno.ENOTSOCK


# ---- The end of a connection --------------------------------------------------------------------

def test_half_close_both_ways(client, kernel, stack):
    listener, sock, far = pair(client, kernel)
    sock.file.sendall(b"question")
    sock.file.shutdown(socket.SHUT_WR)
    assert (far.recv(100), far.recv(100)) == (b"question", b"")
    far.sendall(b"answer")
    assert sock.file.recv(100) == b"answer"
    far.shutdown(socket.SHUT_WR)
    assert sock.file.recv(100) == b""
    sock.close()
    listener.close()
    assert_nothing_left(stack)


@pytest.mark.parametrize("sent", [b"", b"some", b"x" * 100_000])
@pytest.mark.parametrize("answered", [b"", b"answer"])
def test_reset_after_data(client, kernel, sent, answered):
    """What was sent is lost or not, but the end is never taken for a good one."""
    listener, sock, far = pair(client, kernel)
    far.sendall(sent)
    sock.file.sendall(answered)
    assert far.recv(100) == answered if answered else True
    netns.until(lambda: not sent or (poll(sock, 0) & select.POLLIN and
                                     sock.file.recv(200_000, socket.MSG_PEEK) == sent),
                "it arrived")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    far.close()
    with pytest.raises(ConnectionResetError):
        while sock.file.recv(200_000):
            pass
    assert sock.error() == 0
    sock.close()
    listener.close()


def expect_reset(far):
    with pytest.raises(ConnectionResetError):
        while far.recv(65536):
            pass


def test_close_with_unread_data_resets(client, kernel):
    _, sock, far = pair(client, kernel)
    far.sendall(b"never read")
    netns.until(lambda: poll(sock, 0) & select.POLLIN, "it arrived")
    sock.close()
    expect_reset(far)


def test_linger_zero_resets(client, kernel):
    _, sock, far = pair(client, kernel)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET
    sock.close()
    expect_reset(far)


def test_peek_and_oob_inline(client, kernel):
    _, sock, far = pair(client, kernel)
    far.sendall(b"data")
    assert sock.file.recv(2, socket.MSG_PEEK) == b"da"
    assert sock.file.recv(4, socket.MSG_WAITALL) == b"data"


def test_urgent_both_ways(client, kernel):
    """As out-of-band data of the descriptor: a read ends before it, and it is had on its own."""
    _, sock, far = pair(client, kernel)
    for source, sink in ((sock.file, far), (far, sock.file)):
        source.send(b"ab!", socket.MSG_OOB)
        source.send(b"cd")
        urgent = select.poll()
        urgent.register(sink.fileno(), select.POLLPRI)
        assert urgent.poll(netns.PATIENCE * 1000)
        assert sink.recv(1, socket.MSG_OOB) == b"!"
        assert sink.recv(2, socket.MSG_WAITALL) == b"ab"
        assert sink.recv(2, socket.MSG_WAITALL) == b"cd"


def test_bulk_both_ways(client, kernel):
    _, sock, far = pair(client, kernel)
    block = os.urandom(1 << 20)

    def send(out):
        for _ in range(32):
            out.sendall(block)
        out.shutdown(socket.SHUT_WR)

    def receive(source):
        left, digest = 32 * len(block), hashlib.sha256()
        while data := source.recv(len(block)):
            left -= len(data)
            digest.update(data)
        assert (left, digest.digest()) == (0, hashlib.sha256(32 * block).digest())

    threads = [threading.Thread(target=send, args=(end,)) for end in (sock.file, far)]
    for thread in threads:
        thread.start()
    receive(far)
    receive(sock.file)
    for thread in threads:
        thread.join()


# ---- Listening ----------------------------------------------------------------------------------

def test_names_of_what_was_accepted(client, kernel):
    with client.socket().bind(("0.0.0.0", 0)).listen() as listener:
        port = listener.getsockname()[1]
        far = kernel(connect=(STACK, port))
        sock, name = listener.accept()
        assert name == far.getsockname() == sock.getpeername()
        assert sock.getsockname() == (STACK, port)
        sock.close()


def test_accept_from_four_processes(client, kernel, stack):
    """As prefork servers do, with accept() itself: each connection goes to one of them."""
    listener = client.socket().bind((STACK, 8080)).listen(64)
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    sock, _ = listener.file.accept()
                    sock.sendall(str(os.getpid()).encode())
                    sock.close()
            finally:
                os._exit(1)
        children.append(pid)
    try:
        served = [int(kernel(connect=(STACK, 8080)).recv(100)) for _ in range(100)]
        assert set(served) <= set(children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    listener.close()
    assert_nothing_left(stack)


def test_a_full_queue_holds_connections_back(client, kernel, stack):
    """Those that don't fit wait in the stack, and come when there is room."""
    with client.socket().bind((STACK, 8080)).listen(1) as listener:
        far = [kernel(connect=(STACK, 8080)) for _ in range(4)]
        for sock in far:
            sock.sendall(b"x")
        for _ in far:
            sock, _ = listener.accept()
            assert sock.file.recv(1) == b"x"
            sock.close()


def test_closing_a_listener_resets_what_waits(client, kernel, stack):
    listener = client.socket().bind((STACK, 8080)).listen(1)
    far = [kernel(connect=(STACK, 8080)) for _ in range(3)]
    listener.close()
    client.socket().bind((STACK, 8080)).close()  # the port is free
    for sock in far:
        expect_reset(sock)
    assert_nothing_left(stack)


def test_a_port_is_taken_as_long_as_its_socket_lives(client):
    first = client.socket().bind((STACK, 8080)).listen()
    with client.socket() as second:
        with pytest.raises(OSError) as info:
            second.bind((STACK, 8080))
        assert info.value.errno == errno.EADDRINUSE
        first.close()
        second.bind((STACK, 8080)).listen()


def test_loopback_inside_the_stack(client):
    with client.socket().bind(("127.0.0.1", 9000)).listen() as listener, \
            client.socket().connect(("127.0.0.1", 9000)) as sock:
        peer, name = listener.accept()
        assert name == sock.getsockname() and name[0] == "127.0.0.1"
        sock.file.sendall(b"hello")
        assert peer.file.recv(100) == b"hello"
        peer.close()


# ---- Datagrams ----------------------------------------------------------------------------------

def test_udp_without_connection(client, kernel):
    with client.socket(socket.SOCK_DGRAM).bind((STACK, 5000)) as sock:
        peers = [kernel(socket.SOCK_DGRAM) for _ in range(40)]  # more than have a source at once
        for i, peer in enumerate(peers):
            peer.sendto(b"%d" % i, (STACK, 5000))
            data, name = sock.recvfrom()
            assert (data, name) == (b"%d" % i, peer.getsockname())
            assert sock.sendto(b"back", name) == 4
            assert peer.recvfrom(100) == (b"back", (STACK, 5000))


@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 65507])
def test_udp_sizes(client, kernel, size):
    data = os.urandom(size)
    peer = kernel(socket.SOCK_DGRAM)
    with client.socket(socket.SOCK_DGRAM) as sock:
        assert sock.sendto(data, peer.getsockname()) == size
        got, name = peer.recvfrom(70000)
        assert got == data
        peer.sendto(data, name)
        assert sock.recvfrom(70000) == (data, peer.getsockname())
        with pytest.raises(OSError) as info:
            sock.sendto(b"x" * 65508, peer.getsockname())
        assert info.value.errno == errno.EMSGSIZE


def test_udp_connected(client, kernel):
    peer, other = kernel(socket.SOCK_DGRAM), kernel(socket.SOCK_DGRAM)
    with client.socket(socket.SOCK_DGRAM).connect(peer.getsockname()) as sock:
        assert sock.getpeername() == peer.getsockname()
        sock.file.send(b"plain")
        data, name = peer.recvfrom(100)
        assert (data, name) == (b"plain", sock.getsockname())
        other.sendto(b"not for you", name)
        peer.sendto(b"for you", name)
        assert sock.file.recv(100) == b"for you"
        sock.sendto(b"to another", other.getsockname())
        assert other.recvfrom(100) == (b"to another", name)
        sock.connect(other.getsockname())
        other.sendto(b"now", name)
        assert sock.recvfrom() == (b"now", other.getsockname())


def test_udp_tells_what_was_asked(client, kernel):
    peer = kernel(socket.SOCK_DGRAM)
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 7)
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x28)
    with client.socket(socket.SOCK_DGRAM).bind(("0.0.0.0", 5000)) as sock:
        for option in (8, socket.IP_RECVTTL if hasattr(socket, "IP_RECVTTL") else 12,
                       socket.IP_RECVTOS):
            sock.setsockopt(socket.IPPROTO_IP, option, 1)
            assert sock.getsockopt(socket.IPPROTO_IP, option) == 1
        peer.sendto(b"marked", (STACK, 5000))
        data, name, told = sock.recvmsg()
        assert (data, name) == (b"marked", peer.getsockname())
        assert told[8][8:] == socket.inet_aton(STACK)
        assert struct.unpack("i", told[socket.IP_TTL])[0] == 7
        assert told[socket.IP_TOS] == b"\x28"


def test_udp_error_of_the_network(client):
    with client.socket(socket.SOCK_DGRAM).connect((HOST, 9)) as sock:
        sock.file.send(b"nobody there")
        netns.until(lambda: sock.error() == errno.ECONNREFUSED, "the ICMP error")


def test_udp_that_nobody_reads_is_dropped(client, kernel, stack):
    peer = kernel(socket.SOCK_DGRAM)
    with client.socket(socket.SOCK_DGRAM).bind((STACK, 5000)) as sock:
        for _ in range(3000):
            peer.sendto(b"x" * 1000, (STACK, 5000))
        netns.until(lambda: stack.ping("-c", "1", "-W", "1", check=False).returncode == 0,
                    "the stack goes on")
        while poll(sock, 0) & select.POLLIN:
            assert len(sock.file.recv(2000)) == 1000
        peer.sendto(b"later", (STACK, 5000))
        assert sock.recvfrom()[0] == b"later"


def test_ping(client):
    with client.socket(socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.sendto(b"\x08\0\0\0\0\0\0\x01ping", (HOST, 0))
        data, name = sock.recvfrom()
        assert (data[0], data[6:], name[0]) == (0, b"\0\x01ping", HOST)


# ---- Options ------------------------------------------------------------------------------------

def test_options(client, kernel):
    _, sock, _ = pair(client, kernel)
    for level, option, values in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, (1, 0)),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, (1, 0)),
            (socket.IPPROTO_TCP, socket.TCP_CORK, (1, 0)),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, (77,)),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (5000,)),
            (socket.IPPROTO_IP, socket.IP_TTL, (9,)),
            (socket.IPPROTO_IP, socket.IP_TOS, (0x10,))):
        for value in values:
            sock.setsockopt(level, option, value)
            assert sock.getsockopt(level, option) == value, option
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
    name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    assert name.rstrip(b"\0") == b"cubic"
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    assert info[0] == 1 and struct.unpack_from("I", info, 16)[0] >= 1400  # established, snd_mss
    for level, option, expected in ((socket.SOL_SOCKET, 60, errno.EOPNOTSUPP),
                                    (socket.SOL_SOCKET, 26, errno.ENOPROTOOPT),
                                    (socket.IPPROTO_TCP, 999, errno.ENOPROTOOPT),
                                    (socket.IPPROTO_IP, socket.IP_TTL, errno.EINVAL)):
        with pytest.raises(OSError) as error:
            sock.setsockopt(level, option, 1 if expected != errno.EINVAL else 300)
        assert error.value.errno == expected, (level, option)


# ---- Who may, and how much ----------------------------------------------------------------------

ENTER = """
import contextlib, errno, os, socket, sys
sys.path.insert(0, {here!r})
import client as library
client = library.Client()
def attempt(call, *args):
    try:
        call(*args)
        return "fine"
    except OSError as error:
        return errno.errorcode[error.errno]
"""


def python(host, text, uid=0):
    """The end of a program that runs on the host with a client."""
    here = str(pathlib.Path(__file__).parent)
    return host.spawn("env", "-u", "NETSTACK_SOCKET", "setpriv", f"--reuid={uid}", "--clear-groups", "--no-new-privs",
                      "env", f"NETSTACK_CLIENT={os.path.abspath(library.LIBRARY)}",
                      "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3", "-c",
                      ENTER.format(here=here) + text)


def test_strangers_may_do_what_the_configuration_says(host, tmp_path):
    config = tmp_path / "conf"
    config.write_text("[User]\nName=nobody\nPorts=80,2000-2009\nSockets=5\nListeners=1\n")
    host.up("--config", str(config))
    process = python(host, """
ports = [attempt(client.socket().bind, ("0.0.0.0", port)) for port in (80, 81, 2009, 2010)]
kept = [client.socket() for _ in range(5)]
print(*ports, attempt(client.socket), attempt(kept[0].listen), attempt(kept[1].listen))
""", uid=NOBODY)
    assert process.wait() == 0, str(process)
    assert process.out.split() == ["fine", "EACCES", "fine", "EACCES", "EMFILE", "fine", "EMFILE"]
    counters = {c["name"]: c["value"] for c in json.loads(host.netstack("stats", "--json").stdout)["counters"]}
    assert counters["quota.sockets"] == 1 and counters["quota.listeners"] == 1
    assert "quota.sockets" in host.netstack("stats").stdout


def test_another_users_socket_is_not_ones_own(stack, client):
    """A descriptor may be passed on to whomever, but calls about it are for its user."""
    with client.socket().bind((STACK, 8080)) as sock:
        files = os.open(f"/proc/{stack.pid}/ns/mnt", os.O_RDONLY)
        pid = os.fork()
        if pid == 0:
            netns.libc.setns(files, 0)
            os.environ["NETSTACK_SOCKET"] = "/run/netstack/default.sock"
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os._exit(-client.lib.nst_client_listen(client.handle, sock.fd, 1))
        os.close(files)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == errno.EPERM


def test_sockets_tells_whose_they_are_and_kill_socket_ends_one(stack, client, kernel):
    listener, sock, far = pair(client, kernel)
    shown = stack.netstack("sockets", "-p").stdout
    assert f"pid {os.getpid()}" in shown and "python3" in shown
    number = next(s["owner"]["number"] for s in sockets(stack, "established"))
    refused = stack.run("env", "-u", "NETSTACK_SOCKET", "setpriv", f"--reuid={NOBODY}", "--clear-groups", NETSTACK, "kill-socket",
                        number, check=False)
    assert (refused.returncode, "another user's" in refused.stderr) == (1, True)
    stack.netstack("kill-socket", number)
    expect_reset(far)
    with pytest.raises(ConnectionResetError):
        sock.file.recv(1)
    assert "no socket has that number" in stack.netstack("kill-socket", 9999, check=False).stderr


# ---- Death --------------------------------------------------------------------------------------

def test_killed_programs_leave_nothing(stack, kernel):
    """At whatever point it is killed."""
    listener = kernel(listen=True)
    port = listener.getsockname()[1]
    for turn in range(12):
        process = python(stack, f"""
import time
sockets = []
while True:
    s = client.socket(); sockets.append(s)
    kind = len(sockets) % 4
    if kind == 0: s.connect(({HOST!r}, {port}))
    if kind == 1: s.bind(("0.0.0.0", 0)).listen()
    if kind == 2: client.socket(socket.SOCK_DGRAM).sendto(b"x", ({HOST!r}, 9))
    if len(sockets) == {turn * 3}: print("ready", flush=True)
    if len(sockets) > 60: time.sleep(1000)
""")
        process.wait_for("ready") if turn else netns.until(
            lambda: sockets(stack, "udp"), "it has begun")
        process.stop(signal.SIGKILL)
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
    assert_nothing_left(stack)


def test_a_thousand_cycles_leave_nothing(stack, client):
    client.socket().close()
    assert_nothing_left(stack)
    fds = len(os.listdir(f"/proc/{stack.daemon.pid}/fd"))
    for i in range(1000):
        with client.socket(nonblocking=True) as sock:
            if i % 3 == 0:
                sock.connect_errno((HOST, 9))
            elif i % 3 == 1:
                sock.bind((STACK, 0)).listen()
        client.socket(socket.SOCK_DGRAM).sendto(b"x", (HOST, 9))
    assert_nothing_left(stack)
    netns.until(lambda: len(os.listdir(f"/proc/{stack.daemon.pid}/fd")) <= fds, "no descriptor")


def test_a_stopped_program_shuts_its_window(stack, kernel):
    process = python(stack, f"""
listener = client.socket().bind(({STACK!r}, 8080)).listen()
print("ready", flush=True)
sock, _ = listener.accept()
total = 0
while data := sock.file.recv(65536): total += len(data)
print("got", total, flush=True)
""")
    process.wait_for("ready")
    far = kernel(connect=(STACK, 8080))
    process.send(signal.SIGSTOP)
    far.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += far.send(b"x" * 65536)
    stack.assert_answers()
    process.send(signal.SIGCONT)
    far.setblocking(True)
    far.close()
    process.wait_for(f"got {sent}")


def test_a_daemon_that_was_killed_and_one_that_follows(stack, client, kernel):
    """Connections break; the client goes on with the new one, but not the old sockets."""
    _, sock, far = pair(client, kernel)
    fresh = client.socket()
    stack.daemon.stop(signal.SIGKILL)
    with pytest.raises(ConnectionResetError):
        sock.file.recv(1)
    with pytest.raises(OSError) as error:
        client.socket()
    assert error.value.errno == errno.ENETDOWN
    stack.daemons.remove(stack.daemon)
    path = os.environ.pop("NETSTACK_SOCKET")
    stack.up()
    os.environ["NETSTACK_SOCKET"] = path
    assert fresh.connect_errno((HOST, 9)) == errno.ENETDOWN
    with client.socket() as new:
        assert new.connect_errno((HOST, 9)) == errno.ECONNREFUSED
