"""netstack run when things go wrong: the daemon or the program is killed or stopped, limits are
reached, the user is somebody else.

$NETSTACK_RUN_CYCLES says how many processes are killed in the midst of their work (300).
"""
import contextlib
import errno
import hashlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import textwrap
import time

import pytest

import netns
from conftest import NETSTACK, finish, script

STACK, HOST = "10.0.0.2", "10.0.0.1"
CYCLES = int(os.environ.get("NETSTACK_RUN_CYCLES", "300"))
NOBODY = 65534
PIDFDS = 64  # that the supervisor keeps at most, of processes that called last


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def supervisor_of(host):
    """The process beside the only program."""
    [pid] = [pid for pid in host.pids()
             if pathlib.Path(f"/proc/{pid}/comm").read_text() == "netstack-run\n"]
    return pid


def live_sockets(host):
    """All but those that only remember a connection."""
    return [s for s in host.view("sockets")["sockets"] if s["state"] != "time-wait"]


def no_sockets(host):
    netns.until(lambda: not live_sockets(host), "no socket is left")


# ---- The daemon ----------------------------------------------------------------------------------

def test_daemon_killed_while_calls_wait(stack, program):
    """Whoever waits in whatever call learns of it."""
    silent = stack.socket()
    silent.bind((HOST, 5000))
    silent.listen()
    process = program(*script(f"""
        import errno, select, socket, threading
        results = {{}}
        def waits(name, call, *args):
            def run():
                try:
                    results[name] = call(*args)
                except OSError as error:
                    results[name] = errno.errorcode[error.errno]
            thread = threading.Thread(target=run)
            thread.start()
            return thread
        c = socket.create_connection(("{HOST}", 5000))
        d = socket.create_connection(("{HOST}", 5000))
        e = socket.socket()
        poll = select.poll()
        poll.register(d, select.POLLIN)
        threads = [waits("read", c.recv, 1), waits("poll", poll.poll),
                   waits("connect", e.connect, ("10.0.0.77", 1))]
        print("ready")
        for thread in threads:
            thread.join()
        print(results["read"], results["connect"], results["poll"][0][1] & select.POLLERR != 0)
    """))
    process.wait_for("ready")
    stack.daemon.stop(signal.SIGKILL)
    stack.daemons.remove(stack.daemon)
    assert finish(process).splitlines()[-1] == "ECONNRESET ENETDOWN True"


def test_server_goes_on_with_another_daemon(stack, program):
    """A server that opens its listener again serves again, in the same process."""
    process = program(*script("""
        import select, socket, time
        for _ in range(2):
            while True:
                try:
                    s = socket.create_server(("", 5000))
                    break
                except OSError:
                    time.sleep(0.02)
            print("listens")
            while True:
                ready, _, _ = select.select([s], [], [], 0.05)
                if ready:
                    s.accept()[0].sendall(b"hello")
                    break
    """))

    def talk():
        with stack.socket() as client:
            client.settimeout(netns.PATIENCE)
            client.connect((STACK, 5000))
            assert client.recv(5) == b"hello"

    process.wait_for("listens")
    talk()
    stack.daemon.stop(signal.SIGKILL)
    stack.daemons.remove(stack.daemon)
    stack.up()
    process.wait_for("listens", count=2)
    talk()
    finish(process)


# ---- Programs that end, or stand still ------------------------------------------------------------

def test_killed_program_ends_its_connections(stack, program):
    """The peer hears of it, with data unread (reset) or none (end)."""
    for unread, expected in (b"", b""), (b"x" * 1000, ConnectionResetError):
        with stack.socket() as listener:
            listener.setsockopt(1, 2, 1)
            listener.bind((HOST, 5000))
            listener.listen()
            process = program(*script(f"""
                import select, socket, time
                s = socket.create_connection(("{HOST}", 5000))
                if {bool(unread)}:
                    select.select([s], [], [])
                print("ready")
                time.sleep(1000)
            """))
            far, _ = listener.accept()
            far.settimeout(netns.PATIENCE)
            with far:
                far.sendall(unread)
                process.wait_for("ready")
                process.stop(signal.SIGKILL)
                with contextlib.nullcontext() if expected == b"" else pytest.raises(expected):
                    assert far.recv(1) == b""


def test_killed_at_any_point(stack, program):
    """Processes that do all kinds of calls are killed at random moments; nothing is left of them, in
    the daemon or in the supervisor."""
    alone = descriptors(stack.daemon.pid)
    process = program(*script(f"""
        import os, random, signal, socket, sys, time
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        def work():
            while True:
                s = socket.create_server(("127.0.0.1", 0), backlog=5)
                c = socket.create_connection(s.getsockname())
                a, _ = s.accept()
                a.sendall(b"x" * 100000)
                c.recv(1000)
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                u.bind(("127.0.0.1", 0))
                u.sendto(b"x", u.getsockname())
                u.recvfrom(10)
                d = socket.socket()
                d.setblocking(False)
                d.connect_ex(("10.0.0.77", 1))
        for _ in range({CYCLES}):
            child = os.fork()
            if child == 0:
                work()
            time.sleep(random.uniform(0, 0.01))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        print("done")
        signal.sigwait([signal.SIGUSR1])
    """))
    process.wait_for("done", patience=netns.PATIENCE + CYCLES / 10)
    no_sockets(stack)
    netns.until(lambda: descriptors(stack.daemon.pid) <= alone + 1, "the daemon has the supervisor only")
    assert descriptors(supervisor_of(stack)) <= 16 + PIDFDS
    process.send(signal.SIGUSR1)
    finish(process)


def test_signals_while_accepting(stack, program):
    """A connection that a signal takes back from accept() is the next one's, and brings nothing along."""
    process = program(*script("""
        import signal, socket
        signal.signal(signal.SIGALRM, lambda *_: None)
        s = socket.create_server(("", 5000), backlog=50)
        print("ready", flush=True)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for _ in range(300):
            c, _ = s.accept()
            c.sendall(b"whole")
            c.close()
        signal.setitimer(signal.ITIMER_REAL, 0)
    """))
    process.wait_for("ready")
    for _ in range(300):
        with stack.socket() as far:
            far.connect((STACK, 5000))
            got = b""
            while (data := far.recv(100)):
                got += data
            assert got == b"whole"
    finish(process)


def test_signals_while_asking(request, program):
    """A call that a signal ends and the kernel makes again is done once, and gives what it gave. The
    shim does so without SA_RESTART, too, for what a signal doesn't end in the kernel. Without the
    shim the signal must not come with the answer (ADR 7): that may spoil a round, and the signals
    come slower than traps take, on a busy machine too."""
    shim = request.node.callspec.params["program"] == "shim"
    tick, may_be_spoilt = (0.0005, 0) if shim else (0.005, 1)
    finish(program(*script(f"""
        import errno, select, signal, socket
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, {shim})
        def fresh(kind=socket.SOCK_STREAM, blocking=True):
            s = socket.socket(socket.AF_INET, kind)
            assert s.fileno() > 2
            s.setblocking(blocking)
            return s
        def error_of(s):
            return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        def wait_for(s, to):
            # It waits, and so a signal may end it.
            if {shim}:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            result = s.connect_ex(to)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
            return result
        def play():
            with fresh() as s, fresh(socket.SOCK_DGRAM) as u:
                s.bind(("127.0.0.1", 0))
                s.listen()
                u.bind(("127.0.0.1", 0))
            with fresh() as server, fresh() as waits, fresh(blocking=False) as goes_on:
                server.bind(("127.0.0.1", 0))
                server.listen()
                open = server.getsockname()
                assert wait_for(waits, open) == 0
                assert goes_on.connect_ex(open) == errno.EINPROGRESS
                server.settimeout(5)  # if a spoilt accept() has taken it along
                for s in waits, goes_on:
                    with server.accept()[0] as far:
                        far.sendall(b"x")
                        select.select([s], [], [])
                        assert s.recv(1) == b"x" and error_of(s) == 0
            with fresh() as waits, fresh(blocking=False) as goes_on:
                closed = "127.0.0.1", 1
                assert wait_for(waits, closed) == errno.ECONNREFUSED
                assert goes_on.connect_ex(closed) == errno.EINPROGRESS
                select.select([], [goes_on], [])
                assert error_of(goes_on) == errno.ECONNREFUSED
                assert error_of(goes_on) == 0
        spoilt = 0
        signal.setitimer(signal.ITIMER_REAL, {tick}, {tick})
        for _ in range(200):
            try:
                play()
            except (OSError, AssertionError):
                spoilt += 1
                if spoilt > {may_be_spoilt}:
                    raise
        signal.setitimer(signal.ITIMER_REAL, 0)
    """)))


def test_call_made_again_after_its_answer(program):
    """A signal that comes with the answer ends the call, and the kernel has taken the answer all the
    same. By the shim's number the call that is made again is known, and has it once more, whatever
    the signal's handler has called meanwhile."""
    finish(program(*script("""
        import ctypes, errno, os, platform, select, socket, struct
        SOCKET, BIND, LISTEN, CONNECT, GETSOCKOPT = {
            "x86_64": (41, 49, 50, 42, 55), "aarch64": (198, 200, 201, 203, 209),
        }[platform.machine()]
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        libc.syscall.argtypes = [ctypes.c_long] + 5 * [ctypes.c_void_p] + [ctypes.c_uint64]
        def call(number, nr, *args):
            args = [*args, 0, 0, 0][:5]
            result = libc.syscall(nr, *args, 0xf5c1 << 48 | number)
            return result if result >= 0 else -ctypes.get_errno()
        def twice(number, nr, *args):
            result = call(number, nr, *args)
            assert call(number, nr, *args) == result
            return result
        def address(port):
            return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), bytes([127, 0, 0, 1]))
        def new(number):
            before = len(os.listdir("/proc/self/fd"))
            fd = twice(number, SOCKET, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            assert fd > 2 and len(os.listdir("/proc/self/fd")) == before + 1
            return fd

        server, client = new(1), new(2)
        assert server != client
        ours = address(5000)
        assert twice(3, BIND, server, ours, 16) == 0
        assert twice(4, BIND, server, ours, 16) == -errno.EINVAL
        assert call(3, BIND, server, ours, 16) == 0
        assert twice(5, LISTEN, server, 1) == 0
        assert twice(6, CONNECT, client, address(1), 16) == -errno.EINPROGRESS
        poll = select.poll()
        poll.register(client, 0)
        poll.poll()
        def error_of(number, ask):
            error, length = ctypes.c_int(-1), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
            assert ask(number, GETSOCKOPT, client, socket.SOL_SOCKET, socket.SO_ERROR,
                       ctypes.addressof(error), ctypes.addressof(length)) == 0
            return error.value
        assert error_of(7, twice) == errno.ECONNREFUSED
        assert error_of(8, call) == 0
    """)))


def test_handler_that_makes_calls(stack, tmp_path):
    """A call that a signal ends and the kernel makes again is done once, even if the handler has made
    another meanwhile. (Without the shim that passes for a call that was given up.)"""
    source = tmp_path / "program.c"
    source.write_text(textwrap.dedent("""
        #include <netinet/in.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        static void on_signal(int signo)
        {
            listen(-1, signo);
            write(1, "handled\\n", 8);
        }
        int main(void)
        {
            struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
            struct sockaddr_in at = {.sin_family = AF_INET};
            sigset_t go;
            int signo, s = socket(AF_INET, SOCK_STREAM, 0);
            sigaction(SIGUSR1, &action, NULL);
            sigemptyset(&go);
            sigaddset(&go, SIGUSR2);
            sigprocmask(SIG_BLOCK, &go, NULL);
            dprintf(1, "ready: %d\\n", SYS_bind);
            sigwait(&go, &signo);
            return bind(s, (struct sockaddr *)&at, sizeof at) != 0;
        }
    """))
    subprocess.run(["gcc", "-o", tmp_path / "program", source], check=True)
    process = stack.start("run", "--", tmp_path / "program")
    number = process.wait_for(r"ready: (\d+)")[1]
    where = pathlib.Path(f"/proc/{process.pid}/syscall")
    stack.daemon.send(signal.SIGSTOP)
    process.send(signal.SIGUSR2)
    netns.until(lambda: where.read_text().startswith(number + " "), "it binds")
    for i in range(10):
        process.send(signal.SIGUSR1)
        process.wait_for("handled", count=i + 1)
    stack.daemon.send(signal.SIGCONT)
    finish(process)


def test_supervisor_is_stopped_and_goes_on(stack, program):
    """Wherever it is, as when the host is suspended: a program gets its descriptors once, and knows
    them."""
    process = program(*script("""
        import os, socket
        server = socket.create_server(("127.0.0.1", 5000))
        before = len(os.listdir("/proc/self/fd"))
        print("ready")
        for _ in range(1500):
            with socket.socket() as c:
                assert c.fileno() > 2
                c.connect(("127.0.0.1", 5000))
                with server.accept()[0] as a:
                    assert a.getpeername() == c.getsockname()
        assert len(os.listdir("/proc/self/fd")) == before
    """))
    process.wait_for("ready")
    supervisor = supervisor_of(stack)
    with contextlib.suppress(ProcessLookupError):
        while process.popen.poll() is None:
            os.kill(supervisor, signal.SIGSTOP)
            os.kill(supervisor, signal.SIGCONT)
            time.sleep(0.0002)
    finish(process)


def test_supervisor_is_interrupted(stack, program, tmp_path):
    """What stops or freezes the supervisor may end any question that it asks of the kernel (EINTR): it
    asks again, and no call is left without an answer. Here that is every other one."""
    process = program(*script("""
        import signal, socket, threading
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        print("ready")
        signal.sigwait([signal.SIGUSR1])
        def serve():
            for _ in range(20):
                with server.accept()[0] as a:
                    u.sendto(b"%d" % a.getpeername()[1], u.getsockname())
        server = socket.create_server(("127.0.0.1", 5000))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 5000))
        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", 5000)) as c:
                assert u.recvfrom(10) == (b"%d" % c.getsockname()[1], u.getsockname())
        thread.join()
    """))
    process.wait_for("ready")
    tracer = stack.spawn("strace", "-o", tmp_path / "trace", "-e", "trace=ioctl",
                         "-e", "inject=ioctl:error=EINTR:when=1+2", "-p", supervisor_of(stack))
    tracer.wait_for("attached", "err")
    process.send(signal.SIGUSR1)
    finish(process)
    tracer.wait()
    interrupted = re.findall(r"NOTIF_(\w+).* = -1 EINTR", (tmp_path / "trace").read_text())
    assert {"RECV", "ADDFD", "SEND"} <= set(interrupted)


def test_connect_that_a_signal_ended(stack, program):
    """It goes on, and SO_ERROR tells how it ended."""
    stack.run("nft", "-f", "-", input="table ip mute {\n chain in {\n"
              "type filter hook input priority 0\n tcp dport 99 drop\n }\n }\n")
    process = program(*script(f"""
        import errno, signal, socket
        class Enough(Exception):
            pass
        def enough(*_):
            raise Enough
        signal.signal(signal.SIGUSR1, enough)
        s = socket.socket()
        print("connects")
        try:
            s.connect(("{HOST}", 99))
        except Enough:
            print("gave up")
        while not (error := s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            pass  # so that it asks just when the answer comes
        assert error == errno.ECONNREFUSED, error
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    """))
    process.wait_for("connects")
    netns.until(lambda: [s["state"] for s in live_sockets(stack)] == ["syn-sent"], "it connects")
    process.send(signal.SIGUSR1)
    process.wait_for("gave up")
    stack.run("nft", "delete", "table", "ip", "mute")  # the SYN is repeated, and refused now
    finish(process)


def test_stopped_with_a_full_window(stack, program):
    """It costs nobody else anything, and goes on where it stood, in both directions."""
    process = program(*script("""
        import hashlib, socket, threading
        s = socket.create_server(("", 5000))
        print("ready")
        c, _ = s.accept()
        sender = threading.Thread(target=lambda: (c.sendall(b"reply" * 2000000), c.shutdown(1)))
        sender.start()
        digest, total = hashlib.sha256(), 0
        while (data := c.recv(65536)):
            digest.update(data)
            total += len(data)
        sender.join()
        print(total, digest.hexdigest())
    """))
    process.wait_for("ready")
    with stack.socket() as far:
        far.connect((STACK, 5000))
        process.send(signal.SIGSTOP)
        far.setblocking(False)
        block, sent = bytes(range(256)) * 256, 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += far.send(block[sent % 256:])
        stack.assert_answers()
        assert finish(program(*script(f"""
            import socket
            s = socket.create_server(("127.0.0.1", 5001))
            c = socket.create_connection(("127.0.0.1", 5001))
            s.accept()[0].sendall(b"meanwhile")
            print(c.recv(9).decode())
        """))) == "meanwhile\n"
        process.send(signal.SIGCONT)
        far.settimeout(netns.PATIENCE)
        back = b""
        while (data := far.recv(1 << 20)):
            back += data
        far.shutdown(1)
    assert back == b"reply" * 2000000
    whole = (bytes(range(256)) * (sent // 256 + 1))[:sent]
    assert finish(process).split()[-2:] == [str(sent), hashlib.sha256(whole).hexdigest()]


# ---- Limits --------------------------------------------------------------------------------------

def test_program_out_of_descriptors(stack, program):
    """EMFILE, as from a kernel; what waits in a queue is still there afterwards."""
    finish(program(*script("""
        import errno, os, resource, socket
        s = socket.create_server(("127.0.0.1", 5000))
        c = socket.create_connection(("127.0.0.1", 5000))
        c.sendall(b"hello")
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        def fails(call):
            try:
                held.append(call())
            except OSError as error:
                return error.errno
        while not (err := fails(lambda: os.open("/dev/null", os.O_RDONLY))):
            pass
        assert err == errno.EMFILE
        assert fails(socket.socket) == errno.EMFILE
        assert fails(s.accept) == errno.EMFILE
        for fd in held:
            os.close(fd)
        assert s.accept()[0].recv(5) == b"hello"
        socket.socket()
    """)))
    no_sockets(stack)


def test_supervisor_is_slow_to_close(stack, program, tmp_path):
    """What a call was about is the program's alone once that call has returned: who closes a listener
    then has closed it."""
    process = program(*script("""
        import signal, socket
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        server = socket.socket()
        server.bind(("", 8000))
        print("ready")
        signal.sigwait([signal.SIGUSR1])
        server.listen()
        server.close()
        print("closed")
        signal.pause()
    """))
    process.wait_for("ready")
    tracer = stack.spawn("strace", "-o", tmp_path / "trace", "-e", "inject=close:delay_enter=2000000",
                         "-p", supervisor_of(stack))
    tracer.wait_for("attached", "err")
    process.send(signal.SIGUSR1)
    process.wait_for("closed")
    with stack.socket() as client:
        assert client.connect_ex((STACK, 8000)) == errno.ECONNREFUSED
    tracer.stop(signal.SIGINT)
    process.stop()


def test_signal_while_a_connection_is_handed_over(stack, tmp_path):
    """Who has called accept() gives it up when the supervisor has taken a connection for him: another
    who waits for one gets it."""
    process = stack.start("run", "--no-shim", "--", *script("""
        import os, pathlib, signal, socket, time
        class Enough(Exception):
            pass
        def enough(*_):
            raise Enough
        server = socket.create_server(("", 5000))
        first = os.getpid()
        if os.fork() == 0:
            # it is in accept4(), which has this number on x86-64
            while not pathlib.Path(f"/proc/{first}/syscall").read_text().startswith("288 "):
                time.sleep(0.01)
            print("second waits")
            server.accept()[0].sendall(b"from the second")
        else:
            signal.signal(signal.SIGUSR1, enough)
            print("first is", first)
            try:
                server.accept()
            except Enough:
                print("gave up")
            os.wait()
    """))
    first = int(process.wait_for(r"first is (\d+)")[1])
    process.wait_for("second waits")
    tracer = stack.spawn("strace", "-o", tmp_path / "trace", "-e", "inject=accept4:delay_exit=2000000",
                         "-p", supervisor_of(stack))
    tracer.wait_for("attached", "err")
    with stack.socket() as client:
        client.settimeout(netns.PATIENCE)
        client.connect((STACK, 5000))
        netns.until(lambda: re.search(r"accept4.* = \d", (tmp_path / "trace").read_text()),
                    "the supervisor has it")
        os.kill(first, signal.SIGUSR1)
        assert client.recv(100) == b"from the second"
    process.wait_for("gave up")
    tracer.stop(signal.SIGINT)
    finish(process)


@pytest.mark.parametrize("whose", ["daemon", "supervisor"])
def test_others_out_of_descriptors(stack, program, whose):
    """The program is told so, and when there are some again all works, as it does meanwhile for what
    it has."""
    process = program(*script("""
        import errno, signal, socket
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        s = socket.create_server(("127.0.0.1", 5000))
        c = socket.create_connection(("127.0.0.1", 5000))
        a, _ = s.accept()
        print("ready")
        signal.sigwait([signal.SIGUSR1])
        held, failed = [], None
        while not failed and len(held) < 500:
            try:
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            except OSError as error:
                failed = error.errno
        a.sendall(b"still here")
        assert c.recv(10) == b"still here"
        print("failed", errno.errorcode.get(failed))
        signal.sigwait([signal.SIGUSR1])
        for u in held:
            u.close()
        c = socket.create_connection(("127.0.0.1", 5000))
        s.accept()[0].sendall(b"again")
        assert c.recv(5) == b"again"
        print("fine")
    """))
    process.wait_for("ready")
    pid = stack.daemon.pid if whose == "daemon" else supervisor_of(stack)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))  # all of those are in use
    process.send(signal.SIGUSR1)
    assert process.wait_for("failed (.*)\n")[1] in ("EMFILE", "ENFILE", "ENOMEM")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    process.send(signal.SIGUSR1)
    process.wait_for("fine")
    finish(process)
    no_sockets(stack)


# ---- Users ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags", [[], ["--no-shim"]], ids=["shim", "traps"])
def test_another_users_program(host, tmp_path, flags):
    """It may what its section says."""
    config = tmp_path / "conf"
    config.write_text("[User]\nName=nobody\nPorts=80,2000-2009\nSockets=5\nListeners=1\n")
    host.up("--config", str(config))
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    out = host.run(*user, NETSTACK, "run", *flags, "--", *script("""
        import errno, socket
        def attempt(call, *args):
            try:
                call(*args)
                return "fine"
            except OSError as error:
                return errno.errorcode[error.errno]
        for port in 80, 81, 2009, 2010:
            with socket.socket() as s:
                print(attempt(s.bind, ("", port)))
        held = [socket.socket() for _ in range(5)]
        print(attempt(socket.socket))
        print(attempt(held[0].listen), attempt(held[1].listen))
    """)).stdout
    assert out.split() == ["fine", "EACCES", "fine", "EACCES", "EMFILE", "fine", "EMFILE"]
