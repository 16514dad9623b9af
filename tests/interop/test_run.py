"""netstack run: unmodified programs on the stack, against the kernel's stack on the other side.

Each test that depends on how sockets are reached runs twice: with the shim, and with traps alone.
"""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import textwrap

import pytest

import devices
import netns
from conftest import NETSTACK, finish, script

STACK, HOST = "10.0.0.2", "10.0.0.1"
HOSTILE_CALLS = os.environ.get("HOSTILE_CALLS")


# ---- TCP -----------------------------------------------------------------------------------------

def test_client(stack, program):
    """A connection out: names, data both ways, both ends of it, half-close."""
    server = stack.spawn(*script(f"""
        import socket
        s = socket.create_server(("{HOST}", 5000))
        print("ready")
        c, peer = s.accept()
        print("peer", *peer)
        data = b""
        while (more := c.recv(65536)):
            data += more
        c.sendall(data[::-1])
    """))
    server.wait_for("ready")
    out = finish(program(*script(f"""
        import socket
        s = socket.create_connection(("{HOST}", 5000))
        print("names", *s.getsockname(), *s.getpeername())
        s.sendall(b"abc" * 100000)
        s.shutdown(socket.SHUT_WR)
        data = b""
        while (more := s.recv(65536)):
            data += more
        assert data == b"cba" * 100000, len(data)
    """)))
    own, own_port, peer, peer_port = re.search(r"names (.*)", out)[1].split()
    assert (own, peer, peer_port) == (STACK, HOST, "5000")
    finish(server)
    assert f"peer {STACK} {own_port}" in server.out


def test_server(stack, program):
    """Connections in: accept() with names, several at once."""
    server = program(*script("""
        import socket
        s = socket.create_server(("", 5000))
        print("bound", *s.getsockname())
        for _ in range(20):
            c, peer = s.accept()
            assert c.getsockname() == ("10.0.0.2", 5000), c.getsockname()
            assert c.getpeername() == peer
            c.sendall(b"%s %d" % (peer[0].encode(), peer[1]))
            c.close()
    """))
    assert server.wait_for("bound (.+)\n")[1] == "0.0.0.0 5000"
    for _ in range(20):
        with stack.socket() as client:
            client.settimeout(netns.PATIENCE)
            client.connect((STACK, 5000))
            assert client.recv(100).decode() == "{} {}".format(*client.getsockname())
    finish(server)


def test_refused(program):
    finish(program(*script(f"""
        import errno, select, socket
        s = socket.socket()
        try:
            s.connect(("{HOST}", 1))
            assert False
        except ConnectionRefusedError:
            pass
        s = socket.socket()
        s.setblocking(False)
        assert s.connect_ex(("{HOST}", 1)) == errno.EINPROGRESS
        select.select([], [s], [])
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    """)))


def test_two_programs_talk(stack, program):
    """Through the stack, on its own address and on loopback."""
    for address in STACK, "127.0.0.1":
        server = program(*script(f"""
            import socket
            s = socket.create_server(("{address}", 5000))
            print("ready")
            c, peer = s.accept()
            c.sendall(c.recv(100).upper())
        """))
        server.wait_for("ready")
        finish(program(*script(f"""
            import socket
            s = socket.create_connection(("{address}", 5000))
            s.sendall(b"hello")
            assert s.recv(100) == b"HELLO"
        """)))
        finish(server)


def test_streams_have_no_addresses(program):
    """recvfrom() and recvmsg() leave the address alone, as TCP does."""
    finish(program(*script("""
        import ctypes, socket
        libc = ctypes.CDLL(None, use_errno=True)
        s = socket.create_server(("127.0.0.1", 5000))
        c = socket.create_connection(("127.0.0.1", 5000))
        a, _ = s.accept()
        a.sendall(b"abcdef")
        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
        class Message(ctypes.Structure):
            _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
                        ("iov", ctypes.POINTER(Vector)), ("iovlen", ctypes.c_size_t),
                        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                        ("flags", ctypes.c_int)]
        name, data = ctypes.create_string_buffer(b"?" * 128, 128), ctypes.create_string_buffer(3)
        room = ctypes.c_uint32(128)
        assert libc.recvfrom(c.fileno(), data, 3, 0, name, ctypes.byref(room)) == 3
        assert (data.raw, name.raw) == (b"abc", b"?" * 128)
        vector = Vector(ctypes.addressof(data), 3)
        message = Message(ctypes.addressof(name), 128, ctypes.pointer(vector), 1)
        assert libc.recvmsg(c.fileno(), ctypes.byref(message), 0) == 3
        assert (data.raw, name.raw) == (b"def", b"?" * 128)
    """)))


@pytest.mark.parametrize("flags", [[], ["--no-shim"], ["--no-namespaces"]],
                         ids=["shim", "traps", "no-namespaces"])
def test_host_loopback(stack, flags):
    """127.0.0.0/8 is the host's, both ways; other addresses are the stack's all the same."""
    stack.run("ip", "link", "set", "lo", "up")
    run = lambda *argv: stack.start("run", "--host-loopback", *flags, "--", *argv)
    echo = stack.spawn(*script(f"""
        import socket
        t, u = socket.create_server(("127.0.0.1", 5000)), socket.socket(socket.AF_INET, 2)
        u.bind(("127.0.0.1", 5000))
        o = socket.create_server(("{HOST}", 5000))
        print("ready")
        c, peer = t.accept()
        c.sendall(b"%d" % peer[1])
        data, peer = u.recvfrom(10)
        u.sendto(data.upper(), peer)
        c, peer = o.accept()
        c.sendall(peer[0].encode())
        assert c.recv(10) == b"it listens"
        c = socket.create_connection(("127.0.0.2", 6000))
        assert c.recv(10) == b"served"
    """))
    echo.wait_for("ready")
    finish(run(*script(f"""
        import fcntl, os, socket
        c = socket.socket()
        c.settimeout(30)
        c.connect(("127.0.0.1", 5000))
        assert c.recv(10) == b"%d" % c.getsockname()[1]
        assert c.getpeername() == ("127.0.0.1", 5000)
        assert not os.get_inheritable(c.fileno()) and not os.get_blocking(c.fileno())
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        os.set_inheritable(u.fileno(), True)
        u.connect(("127.0.0.1", 5000))
        assert os.get_inheritable(u.fileno())
        u.send(b"x")
        assert u.recvfrom(10) == (b"X", ("127.0.0.1", 5000))
        o = socket.create_connection(("{HOST}", 5000))
        assert o.recv(20) == b"{STACK}"
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.2", 6000))
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        s.listen()
        o.sendall(b"it listens")
        a, peer = s.accept()
        assert peer[0] == "127.0.0.1"
        a.sendall(b"served")
        stray = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stray.connect(("127.0.0.1", 9))
        device = stray.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert device == b"lo\\0", "no way to the host's network"
    """)))
    finish(echo)


@pytest.mark.parametrize("flags", [[], ["--no-shim"]], ids=["shim", "traps"])
def test_host_loopback_sending(stack, flags):
    """A socket whose first datagram goes there, by each of the calls; and one that is the stack's."""
    echo = stack.spawn(*script(f"""
        import socket
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 5000))
        print("ready")
        for _ in range(4):
            data, peer = u.recvfrom(10)
            u.sendto(data.upper(), peer)
    """))
    echo.wait_for("ready")
    finish(stack.start("run", "--host-loopback", *flags, "--", *script("""
        import ctypes, errno, socket, struct
        host = ("127.0.0.1", 5000)
        def datagrams():
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u = datagrams()
        u.sendto(b"to", host)
        assert u.recvfrom(10) == (b"TO", host)
        u.sendto(b"again", host)
        assert u.recvfrom(10) == (b"AGAIN", host)
        u = datagrams()
        u.sendmsg([b"m", b"sg"], [], 0, host)
        assert u.recvfrom(10) == (b"MSG", host)
        u = datagrams()
        data = ctypes.create_string_buffer(b"mmsg", 4)
        name = ctypes.create_string_buffer(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(5000),
                                                       socket.inet_aton("127.0.0.1")))
        vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), 4))
        message = ctypes.create_string_buffer(struct.pack(
            "PI4xPNPNi4xI4x", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0))
        assert ctypes.CDLL(None).sendmmsg(u.fileno(), message, 1, 0) == 1
        assert u.recvfrom(10) == (b"MMSG", host)
        stack, other = datagrams(), datagrams()
        stack.bind(("", 5000))
        other.bind(("", 0))
        other.sendto(b"here", host)
        assert stack.recvfrom(10) == (b"here", ("127.0.0.1", other.getsockname()[1]))
    """)))
    finish(echo)


def test_host_loopback_keeps_options(stack):
    """What was set before is set on the host's socket."""
    listener = stack.socket()
    listener.bind(("127.0.0.1", 5000))
    listener.listen()
    finish(stack.start("run", "--host-loopback", "--", *script("""
        import socket, struct
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                   (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),
                   (socket.IPPROTO_IP, socket.IP_TOS, 0x10), (socket.IPPROTO_IP, socket.IP_TTL, 7),
                   (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 11),
                   (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 12),
                   (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
                   (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)]
        linger = struct.pack("ii", 1, 9)
        s = socket.socket()
        for option in options:
            s.setsockopt(*option)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        s.connect(("127.0.0.1", 5000))
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\\0"
        for level, option, value in options:
            assert s.getsockopt(level, option) == value, (level, option)
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == linger
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        u.bind(("127.0.0.1", 0))
        assert u.getsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS) == 1
    """)))


# ---- UDP -----------------------------------------------------------------------------------------

def test_udp(stack, program):
    """Unconnected and connected, sendmsg() and recvmsg(), in both directions."""
    echo = stack.spawn(*script(f"""
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("{HOST}", 5000))
        print("ready")
        while True:
            data, peer = s.recvfrom(65536)
            s.sendto(data.upper(), peer)
    """))
    echo.wait_for("ready")
    finish(program(*script(f"""
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(b"one", ("{HOST}", 5000))
        assert s.recvfrom(100) == (b"ONE", ("{HOST}", 5000))
        s.sendmsg([b"tw", b"o"], [], 0, ("{HOST}", 5000))
        data, control, flags, peer = s.recvmsg(100, 100)
        assert (data, peer) == (b"TWO", ("{HOST}", 5000)), (data, peer)
        s.sendto(b"cut short", ("{HOST}", 5000))
        data, control, flags, peer = s.recvmsg(3)
        assert data == b"CUT" and flags & socket.MSG_TRUNC, (data, flags)
        s.connect(("{HOST}", 5000))
        assert s.getpeername() == ("{HOST}", 5000)
        assert s.getsockname()[0] == "{STACK}"
        s.send(b"three")
        assert s.recv(100) == b"THREE"
        s.settimeout(0.1)
        try:
            s.recvfrom(100)
            assert False
        except TimeoutError:
            pass
    """)))


def test_udp_server(stack, program):
    server = program(*script("""
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("", 5000))
        print("ready")
        for _ in range(10):
            data, peer = s.recvfrom(65536)
            s.sendto(f"{data.decode()} {peer[1]}".encode(), peer)
    """))
    server.wait_for("ready")
    for i in range(10):
        with stack.socket(2, 2) as client:
            client.settimeout(netns.PATIENCE)
            client.sendto(b"%d" % i, (STACK, 5000))
            data, peer = client.recvfrom(100)
            assert data.decode() == f"{i} {client.getsockname()[1]}"
            assert peer == (STACK, 5000)
    finish(server)


# ---- Ports that several share --------------------------------------------------------------------

def test_reuseport(stack, program):
    """Listeners and datagram sockets on one port: each gets its flows, and nobody else may join."""
    out = finish(program(*script(f"""
        import errno, selectors, socket
        def share(kind, port, on=1):
            s = socket.socket(socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, on)
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == on
            s.bind(("{STACK}", port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            s.setblocking(False)
            return s
        for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
            group = [share(kind, 5000) for _ in range(4)]
            try:
                share(kind, 5000, 0)
                assert False
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
            ready = selectors.DefaultSelector()
            for s in group:
                ready.register(s, selectors.EVENT_READ)
            share_of = dict.fromkeys(group, 0)
            clients = []
            for i in range(64):
                c = socket.socket(socket.AF_INET, kind)
                c.connect(("{STACK}", 5000))
                for j in range(1 if kind == socket.SOCK_STREAM else 2):
                    c.send(b"x")
                    (key, _), = ready.select(10)
                    if kind == socket.SOCK_STREAM:
                        clients.append(key.fileobj.accept()[0])
                        assert j == 0
                    else:
                        assert key.fileobj.recvfrom(10) == (b"x", c.getsockname())
                        assert j == 0 or key.fileobj is last
                    last = key.fileobj
                    share_of[last] += 1
                clients.append(c)
            assert all(share_of.values()), share_of
    """)))
    assert out == ""


def test_reuseport_processes(stack, program):
    """Servers of several processes; when one ends, the others go on."""
    server = script("""
        import os, socket
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("", 5000))
        s.listen(64)
        print("ready")
        while True:
            c, _ = s.accept()
            c.sendall(b"%d" % os.getpid())
            c.close()
    """)
    servers = [program(*server) for _ in range(3)]
    for each in servers:
        each.wait_for("ready")

    def ask():
        with stack.socket() as client:
            client.settimeout(netns.PATIENCE)
            client.connect((STACK, 5000))
            return int(client.recv(100))

    assert {ask() for _ in range(60)} == {each.popen.pid for each in servers}
    servers[0].stop(signal.SIGKILL)
    netns.until(lambda: [s["state"] for s in stack.view("sockets")["sockets"]].count("listen") == 2,
                "the daemon has noticed")
    assert {ask() for _ in range(60)} == {each.popen.pid for each in servers[1:]}


# ---- Errors that come back -----------------------------------------------------------------------

def test_error_queue(stack, program):
    """IP_RECVERR: poll() tells of an error, and the queue what it was and for what."""
    finish(program(*script(f"""
        import errno, select, socket, struct
        IP_RECVERR, MSG_ERRQUEUE, IP_MTU_DISCOVER, IP_MTU = 11, 0x2000, 10, 14
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        assert s.getsockopt(socket.IPPROTO_IP, IP_RECVERR) == 1
        s.connect(("{HOST}", 9))
        assert s.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1500
        p = select.poll()
        p.register(s, select.POLLIN)
        for text in b"one", b"two", b"three":
            try:
                s.recvmsg(100, 100, MSG_ERRQUEUE)
                assert False
            except BlockingIOError:
                pass
            s.send(text)
            (_, events), = p.poll(10000)
            assert events == select.POLLERR, events
            data, control, flags, to = s.recvmsg(100, 100, MSG_ERRQUEUE)
            assert (data, to, flags) == (text, ("{HOST}", 9), MSG_ERRQUEUE), (data, to, flags)
            (level, kind, value), = control
            number, origin, type_, code, _, info, _ = struct.unpack("IBBBBII", value[:16])
            assert (level, kind) == (socket.IPPROTO_IP, IP_RECVERR)
            assert (number, origin, type_, code) == (errno.ECONNREFUSED, 2, 3, 3)
            assert socket.inet_ntoa(value[20:24]) == "{HOST}"
            assert p.poll(0) == []
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        u.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2)
        u.sendto(bytes(2000), ("{HOST}", 9))
        while True:
            try:
                data, control, flags, to = u.recvmsg(100, 100, MSG_ERRQUEUE)
                break
            except BlockingIOError:
                select.select([], [], [], 0.01)
        number, origin, _, _, _, info, _ = struct.unpack("IBBBBII", control[0][2][:16])
        assert (number, origin, info, to) == (errno.EMSGSIZE, 1, 1500, ("{HOST}", 9))
    """)))


def test_interface_of_a_datagram(stack, program):
    """IP_PKTINFO names an interface that the program has; and one by which a group is joined."""
    receiver = program(*script(f"""
        import errno, socket, struct
        def sender():
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s = sender()
        s.setsockopt(socket.IPPROTO_IP, 8, 1)
        s.bind(("", 5000))
        print("ready")
        def interface():
            data, [(level, kind, value)], flags, peer = s.recvmsg(10, 100)
            return socket.if_indextoname(struct.unpack_from("I", value)[0])
        assert interface() == "{devices.NAME}"
        sender().sendto(b"x", ("127.0.0.1", 5000))
        assert interface() == "lo"
        def join(name):
            request = struct.pack("4s4si", socket.inet_aton("239.1.2.3"), bytes(4),
                                  socket.if_nametoindex(name))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        join("{devices.NAME}")
        try:
            join("lo")
            assert False
        except OSError as error:
            assert error.errno == errno.ENODEV
    """))
    receiver.wait_for("ready")
    with stack.socket(2, 2) as far:
        far.sendto(b"x", (STACK, 5000))
        finish(receiver)


def test_datagram_times(stack, program):
    """SO_TIMESTAMP: when a datagram came."""
    finish(program(*script("""
        import socket, struct, time
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 5000))
        s.setsockopt(socket.SOL_SOCKET, 29, 1)
        before = time.time()
        s.sendto(b"x", ("127.0.0.1", 5000))
        data, control, flags, peer = s.recvmsg(10, 100)
        (level, kind, value), = control
        seconds, micros = struct.unpack("ll", value)
        assert (level, kind) == (socket.SOL_SOCKET, 29)
        assert before - 1 <= seconds + micros / 1e6 <= time.time() + 1
    """)))


# ---- What is not there ---------------------------------------------------------------------------

def test_other_families(program):
    """What we don't offer gives what a kernel without it gives, and never the host's stack."""
    out = finish(program(*script("""
        import ctypes, errno, os, socket
        def attempt(*args):
            try:
                socket.socket(*args)
                return "OK"
            except OSError as error:
                return errno.errorcode[error.errno]
        print("packet", attempt(socket.AF_PACKET, socket.SOCK_RAW))
        print("unix", attempt(socket.AF_UNIX, socket.SOCK_STREAM))
        print("netlink", attempt(socket.AF_NETLINK, socket.SOCK_RAW))
        print("vsock", attempt(socket.AF_VSOCK, socket.SOCK_STREAM))
        print("sctp", attempt(socket.AF_INET, socket.SOCK_STREAM, 132))
        print("seqpacket", attempt(socket.AF_INET, socket.SOCK_SEQPACKET))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(425, 8, None)
        print("io_uring", errno.errorcode[ctypes.get_errno()])
    """)))
    assert dict(line.split() for line in out.splitlines()) == {
        "packet": "EPERM", "unix": "OK", "netlink": "OK", "vsock": "EAFNOSUPPORT",
        "sctp": "EPROTONOSUPPORT", "seqpacket": "ESOCKTNOSUPPORT", "io_uring": "ENOSYS"}


def test_other_descriptors_are_untouched(program):
    """AF_UNIX with its names and descriptors in messages, pipes, files."""
    finish(program(*script("""
        import array, os, socket, tempfile
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/socket"
            s = socket.socket(socket.AF_UNIX)
            s.bind(path)
            s.listen()
            c = socket.socket(socket.AF_UNIX)
            c.connect(path)
            a, _ = s.accept()
            assert c.getpeername() == path and a.getsockname() == path
            r, w = os.pipe()
            socket.send_fds(c, [b"x"], [r])
            data, fds, flags, address = socket.recv_fds(a, 10, 1)
            os.write(w, b"through")
            assert os.read(fds[0], 10) == b"through"
            u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            u.bind(path + "2")
            c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            c.bind(path + "3")
            c.sendto(b"hello", path + "2")
            assert u.recvfrom(10) == (b"hello", path + "3")
    """)))


# ---- Processes and threads -----------------------------------------------------------------------

def test_exit_codes(stack, program):
    assert program("sh", "-c", "exit 7").wait() == 7
    assert program("sh", "-c", "kill -TERM $$").wait() == -signal.SIGTERM
    assert program("sh", "-c", "kill -KILL $$").wait() == -signal.SIGKILL
    missing = program("/no/such/program")
    assert missing.wait() == 127 and "netstack: cannot run /no/such/program" in missing.err
    assert program("/etc/passwd").wait() == 126


def test_signals_reach_the_program(program):
    """The process that was started is the program."""
    process = program(*script("""
        import signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9))
        print("ready")
        while True:
            signal.pause()
    """))
    process.wait_for("ready")
    assert process.stop(signal.SIGUSR1) == 9


def test_parked_calls_and_signals(program):
    """A signal ends a call that waits, or lets it go on, as its handler wants; time limits hold."""
    finish(program(*script("""
        import errno, os, signal, socket, struct, threading, time

        def on_alarm(*_):
            raise InterruptedError

        s = socket.create_server(("127.0.0.1", 5000))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 5000))
        for call in lambda: s.accept(), lambda: u.recvfrom(10):
            signal.signal(signal.SIGALRM, on_alarm)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                call()
                assert False
            except InterruptedError:
                pass
        # One that is taken up again: Python does so when the handler returns.
        hits = []
        signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        def come():
            while len(hits) < 3:
                time.sleep(0.01)
            socket.create_connection(("127.0.0.1", 5000)).sendall(b"x")
        threading.Thread(target=come).start()
        c, _ = s.accept()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert c.recv(1) == b"x" and len(hits) >= 3
        for t in s, u:
            t.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
        for call in lambda: s.accept(), lambda: u.recvfrom(10):
            try:
                call()
                assert False
            except BlockingIOError:
                pass
    """)))


def test_threads(program):
    """A thousand threads in accept() on one listener. They take turns in the interpreter, each of which
    may be long on a busy machine: so there is a time limit for each hundred."""
    process = program(*script("""
        import socket, threading
        N = 1000
        s = socket.create_server(("127.0.0.1", 5000), backlog=N)
        def serve():
            c, peer = s.accept()
            c.sendall(b"%d" % peer[1])
            c.close()
        threading.stack_size(128 * 1024)
        threads = [threading.Thread(target=serve) for _ in range(N)]
        for t in threads:
            t.start()
        print("started")
        for i in range(N):
            with socket.create_connection(("127.0.0.1", 5000)) as c:
                assert int(c.recv(100)) == c.getsockname()[1]
            if i % 100 == 99:
                print("served")
        for t in threads:
            t.join()
    """))
    process.wait_for("started")
    for i in range(10):
        process.wait_for("served", count=i + 1)
    finish(process)


def test_processes(program):
    """fork, exec, posix_spawn, and a connection passed to another process."""
    finish(program(*script("""
        import os, socket, subprocess, sys
        s = socket.create_server(("127.0.0.1", 5000))
        # A child that inherits the listener and serves.
        if os.fork() == 0:
            c, _ = s.accept()
            c.sendall(b"child")
            os._exit(0)
        with socket.create_connection(("127.0.0.1", 5000)) as c:
            assert c.recv(100) == b"child"
        os.wait()
        # A program that is spawned, and makes a socket of its own.
        child = subprocess.Popen([sys.executable, "-c",
            "import socket; print(socket.create_connection(('127.0.0.1', 5000)).recv(9).decode())"],
            stdout=subprocess.PIPE)
        c, _ = s.accept()
        c.sendall(b"spawned")
        c.close()
        assert child.communicate()[0] == b"spawned\\n"
        # Close-on-exec holds.
        assert not os.get_inheritable(s.fileno())
        assert subprocess.run(["sh", "-c", f"ls /proc/self/fd/{s.fileno()}"],
                              stderr=subprocess.DEVNULL, close_fds=False).returncode != 0
        # An accepted connection, handed over.
        a, b = socket.socketpair()
        if os.fork() == 0:
            _, (fd,), _, _ = socket.recv_fds(b, 1, 1)
            taken = socket.socket(fileno=fd)
            taken.sendall(str(taken.getpeername()[1]).encode())
            os._exit(0)
        with socket.create_connection(("127.0.0.1", 5000)) as c:
            accepted, _ = s.accept()
            socket.send_fds(a, [b"x"], [accepted.fileno()])
            accepted.close()
            assert int(c.recv(100)) == c.getsockname()[1]
        os.wait()
    """)))


def test_killed(stack, program):
    """What is killed leaves nothing behind, be it in the midst of a call."""
    server = program(*script("""
        import socket
        s = socket.create_server(("", 5000))
        print("ready")
        s.accept()
    """))
    server.wait_for("ready")
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL

    def refused():
        with stack.socket() as client:
            return client.connect_ex((STACK, 5000)) == 111

    netns.until(refused, "the listener is gone")


def test_terminal(stack):
    """Keys of the terminal: Ctrl-Z and Ctrl-C reach the program, and the shell sees what happened."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        # Whatever has started the tests may ignore Ctrl-C; bash passes that on.
        stack.argv("env", "--default-signal=INT,TSTP", "setsid", "--ctty", "bash", "--norc", "-i"),
        stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "PS1": "prompt> "})
    os.close(slave)
    seen = b""

    def expect(what):
        nonlocal seen
        while what not in seen:
            assert select.select([master], [], [], netns.PATIENCE)[0], (what, seen)
            seen += os.read(master, 4096)
        seen = seen[seen.index(what) + len(what):]

    try:
        expect(b"prompt> ")
        os.write(master, f"{NETSTACK} run -- sh -c 'echo beg''un; exec cat'\n".encode())
        expect(b"begun")
        os.write(master, b"\x1a")
        expect(b"Stopped")
        expect(b"prompt> ")
        os.write(master, b"fg\n")
        expect(b"cat'")
        os.write(master, b"line\n")
        expect(b"line\r\nline\r\n")
        os.write(master, b"\x03")
        expect(b"prompt> ")
        os.write(master, b"echo code $?\n")
        expect(b"code 130")
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


# ---- The place it runs in ------------------------------------------------------------------------

def test_place(host):
    """The program sees the stack's address and name servers, not the host's interfaces."""
    host.up("--dns", "10.0.0.53")
    resolv = host.netstack("run", "--", "cat", "/etc/resolv.conf").stdout
    assert resolv == "nameserver 10.0.0.53\n"
    links = json.loads(host.netstack("run", "--", "ip", "-j", "addr").stdout)
    found = {l["ifname"]: [a["local"] for a in l["addr_info"] if a["family"] == "inet"]
             for l in links}
    assert found == {"lo": ["127.0.0.1"], devices.NAME: [STACK]}
    legacy = host.netstack("run", "--", *script(f"""
        import fcntl, socket, struct
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", b"{devices.NAME}"))[20:24]))
    """)).stdout
    assert legacy == STACK + "\n"
    outside = json.loads(host.netstack("run", "--no-namespaces", "--", "ip", "-j", "addr").stdout)
    assert HOST in str(outside)


def test_without_rights(stack):
    """Nobody in particular may run programs, and stays who he is."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    server = stack.spawn("nc", "-l", "-N", HOST, "5000")
    netns.until(lambda: "LISTEN" in stack.run("ss", "-Hltn", "sport = 5000").stdout, "nc listens")
    done = stack.run(*user, NETSTACK, "run", "--", "sh", "-c",
                     f"id -u; id -g; grep NoNewPrivs /proc/self/status; echo hello | nc -N {HOST} 5000")
    assert done.stdout.split() == ["65534", "65534", "NoNewPrivs:", "1"]
    finish(server)
    assert server.out == "hello\n"


def test_nested(stack):
    done = stack.netstack("run", "--", NETSTACK, "run", "--", "true", check=False)
    assert done.returncode == 125
    assert "already inside" in done.stderr


# ---- The daemon's life ---------------------------------------------------------------------------

# Makes the calls of these numbers fail with EPERM, in this process and all that come from it.
FORBID = """
import ctypes, struct
def forbid(*numbers, flags=0):
    load, jeq, ret = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 0)]
    for n in numbers:
        code += [(jeq, 0, 1, n), (ret, 0, 0, 0x50001)]
    code.append((ret, 0, 0, 0x7fff0000))
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    result = libc.syscall(SECCOMP, 1, flags, program)
    return ctypes.get_errno() if result < 0 else 0
"""
NUMBERS = {"x86_64": {"seccomp": 317, "mkdirat": 258, "process_vm_readv": 310, "pidfd_getfd": 438},
           "aarch64": {"seccomp": 277, "mkdirat": 34, "process_vm_readv": 270, "pidfd_getfd": 438}}
NUMBER = NUMBERS[os.uname().machine]
FORBID = FORBID.replace("SECCOMP", str(NUMBER["seccomp"]))


@pytest.mark.parametrize("call", ["process_vm_readv", "pidfd_getfd"])
def test_no_look_into_the_program(stack, call):
    """Where one process may not look into another, as Yama can have it: a sentence, no program."""
    process = stack.spawn("/usr/bin/python3", "-c", FORBID + f"""
import os
assert forbid({NUMBER[call]}) == 0
os.execv("{NETSTACK}", ["netstack", "run", "--", "echo", "it runs"])
""")
    assert process.wait() == 125
    assert process.out == ""
    assert re.fullmatch(r"netstack: the supervisor may not look into the program \(Operation not "
                        r"permitted\); this host allows .*ptrace_scope=0\n", process.err), process.err


def test_program_with_filters(stack, program):
    """A program that filters its own calls, as sandboxes do; only a listener it can't have."""
    finish(program("/usr/bin/python3", "-c", FORBID + f"""
import errno, os, socket, tempfile
server = socket.create_server(("127.0.0.1", 5000))
assert forbid({NUMBER["mkdirat"]}, 83) == 0
assert forbid(flags=8) == errno.EBUSY
try:
    os.mkdir(tempfile.gettempdir() + "/forbidden")
    assert False
except PermissionError:
    pass
client = socket.create_connection(("127.0.0.1", 5000))
accepted, peer = server.accept()
assert peer == client.getsockname()
"""))


def test_program_without_a_clock(program, tmp_path):
    """A sandbox may forbid to read the clock, which is a system call where the vDSO has none; here that
    ends the program."""
    source = tmp_path / "program.c"
    source.write_text(textwrap.dedent("""
        #include <netinet/in.h>
        #include <stdlib.h>
        #include <time.h>
        int clock_gettime(clockid_t clock, struct timespec *now)
        {
            abort();
        }
        int main(void)
        {
            struct sockaddr_in at = {.sin_family = AF_INET};
            socklen_t len = sizeof at;
            int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
            return bind(s, (struct sockaddr *)&at, len) || listen(s, 1) ||
                   getsockname(s, (struct sockaddr *)&at, &len) ||
                   connect(c, (struct sockaddr *)&at, len) || accept(s, NULL, NULL) < 0;
        }
    """))
    subprocess.run(["gcc", "-rdynamic", "-o", tmp_path / "program", source], check=True)
    finish(program(str(tmp_path / "program")))


def test_program_that_moves(stack, program):
    """Into namespaces of its own, where its sockets are the stack's still."""
    finish(program(*script("""
        import ctypes, os, socket
        libc = ctypes.CDLL(None, use_errno=True)
        server = socket.create_server(("127.0.0.1", 5000))
        assert libc.unshare(0x10000000 | 0x40000000) == 0, os.strerror(ctypes.get_errno())
        client = socket.create_connection(("127.0.0.1", 5000))
        accepted, peer = server.accept()
        assert peer == client.getsockname()
        late = socket.create_server(("10.0.0.2", 6000))
        assert late.getsockname() == ("10.0.0.2", 6000)
    """)))


def test_no_daemon(host):
    done = host.netstack("run", "--", "true", check=False)
    assert done.returncode == 125
    assert re.fullmatch(r"netstack: .*netstack up.*\n", done.stderr), done.stderr


def test_daemon_restarts(stack, program):
    """The program lives on: ENETDOWN while there is no daemon, and then it works again."""
    process = program(*script(f"""
        import errno, socket, sys
        s = socket.create_server(("", 5000))
        print("ready")
        sys.stdin.fileno()
        import signal
        signal.sigwait([signal.SIGUSR1])
        try:
            socket.socket()
            assert False
        except OSError as error:
            assert error.errno == errno.ENETDOWN, error
        print("down")
        signal.sigwait([signal.SIGUSR1])
        t = socket.create_server(("", 5001))
        print("again", *t.getsockname())
    """.replace("import errno", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, "
                                "[signal.SIGUSR1])\n        import errno")))
    process.wait_for("ready")
    stack.daemon.stop(signal.SIGKILL)
    stack.daemons.remove(stack.daemon)
    process.send(signal.SIGUSR1)
    process.wait_for("down")
    stack.up()
    process.send(signal.SIGUSR1)
    assert "again 0.0.0.0 5001" in finish(process)


def test_up(host):
    """A stack for one program, that goes with it, and its end is the program's."""
    server = host.spawn(*script("""
        import socket
        s = socket.create_server(("", 5000))
        while True:
            s.accept()[0].sendall(b"hello\\n")
    """))
    before = host.snapshot()
    done = host.netstack("run", "--up", "--address", "10.9.0.2/24", "--", "nc", "10.9.0.1", "5000")
    assert done.stdout == "hello\n"
    assert host.netstack("run", "--up", "--", "sh", "-c", "exit 9", check=False).returncode == 9
    killed = host.netstack("run", "--up", "--", "sh", "-c", "kill -TERM $$", check=False)
    assert killed.returncode == -signal.SIGTERM
    process = host.start("run", "--up", "--", *script("print('ready'); import time; time.sleep(99)"))
    process.wait_for("ready")
    assert process.stop(signal.SIGTERM) == -signal.SIGTERM
    refused = host.netstack("run", "--up", "--mtu", "1", "--", "true", check=False)
    assert refused.returncode == 125 and "--mtu 1" in refused.stderr
    after = host.snapshot()
    del before["processes"], after["processes"]
    assert after == before
    server.stop()


# ---- Bad input -----------------------------------------------------------------------------------

@pytest.mark.skipif(not HOSTILE_CALLS, reason="needs the program hostile-calls")
@pytest.mark.parametrize("flags", [[], ["--no-shim"]], ids=["shim", "traps"])
def test_hostile_program(stack, flags):
    """Random calls while descriptors and memory change underneath: the supervisor goes on, and nothing
    is left in the daemon."""
    assert stack.netstack("run", *flags, "--", HOSTILE_CALLS, "2000").stdout == "fine\n"
    netns.until(lambda: stack.view("status")["sockets"] == 0, "its sockets have gone")


def test_nothing_leaks(stack, program):
    """Neither in the supervisor nor in the daemon, over many sockets of all kinds of ends."""
    process = program(*script("""
        import signal, socket
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        while True:
            listener = socket.create_server(("127.0.0.1", 5000))
            for _ in range(300):
                c = socket.create_connection(("127.0.0.1", 5000))
                a, _ = listener.accept()
                a.close()
                c.close()
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                u.sendto(b"x", ("127.0.0.1", 9))
                u.close()
                assert socket.socket().connect_ex(("127.0.0.1", 1)) == 111
            listener.close()
            print("done")
            signal.sigwait([signal.SIGUSR1])
    """))
    process.wait_for("done")
    [supervisor] = [pid for pid in stack.pids()
                    if pathlib.Path(f"/proc/{pid}/comm").read_text() == "netstack-run\n"]

    def descriptors():
        netns.until(lambda: not [s for s in stack.view("sockets")["sockets"]
                                 if s["state"] != "time-wait"], "only the ends of connections remain")
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (supervisor, stack.daemon.pid)]

    before = descriptors()
    process.send(signal.SIGUSR1)
    process.wait_for("done", count=2)
    # One of the daemon's may be the connection of the tool that has just looked.
    netns.until(lambda: all(now <= then for now, then in zip(descriptors(), before)), "no more than before")
