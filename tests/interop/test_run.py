"""netstack run: unmodified programs on the stack, against the kernel's stack on the other side.

Each test that depends on how sockets are reached runs twice: with the shim, and with traps alone.
"""
import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import pytest

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
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            try:
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
    """A thousand threads in accept() on one listener."""
    finish(program(*script("""
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
        for _ in range(N):
            with socket.create_connection(("127.0.0.1", 5000)) as c:
                assert int(c.recv(100)) == c.getsockname()[1]
        for t in threads:
            t.join()
    """)))


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
        stack.argv("setsid", "--ctty", "bash", "--norc", "-i"), stdin=slave, stdout=slave,
        stderr=slave, env={**os.environ, "PS1": "prompt> "})
    os.close(slave)
    seen = b""

    def expect(what):
        nonlocal seen
        while what not in seen:
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
    assert found == {"lo": ["127.0.0.1"], "tun0": [STACK]}
    legacy = host.netstack("run", "--", *script("""
        import fcntl, socket, struct
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", b"tun0"))[20:24]))
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
    assert descriptors() == before
