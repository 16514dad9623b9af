"""Network namespaces that a test makes for itself, and processes in them.

Nothing here ever touches the machine's own network: isolate() first moves the whole test run into a
network and a mount namespace of its own, and every Namespace is another pair of them, with its own
/run. A namespace lives as long as its holder, a process that waits for the end of its standard
input: so it ends with the test run even if that is killed.

Events are awaited, never slept for; PATIENCE only keeps a test that has gone wrong from hanging.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import subprocess
import time

PATIENCE = 30.0  # seconds; for a busy machine and a build with sanitizers

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def isolate():
    """Moves this process into namespaces of its own, and makes it the parent of all orphans."""
    _checked(libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    _checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _checked(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def until(condition, what):
    """Waits until condition() is true, for what no event tells; returns its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)
    return value


class Process:
    """A running program, whose output is read as it comes."""

    def __init__(self, argv, env=None):
        self.argv = argv
        self.popen = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.popen.pid
        self.bytes = {"out": b"", "err": b""}
        self.selector = selectors.DefaultSelector()
        for name, pipe in (("out", self.popen.stdout), ("err", self.popen.stderr)):
            os.set_blocking(pipe.fileno(), False)
            self.selector.register(pipe, selectors.EVENT_READ, name)

    @property
    def out(self):
        return self.bytes["out"].decode(errors="replace")

    @property
    def err(self):
        return self.bytes["err"].decode(errors="replace")

    def _read(self, deadline):
        left = deadline - time.monotonic()
        assert left > 0, f"{self} went silent"
        for key, _ in self.selector.select(left):
            data = key.fileobj.read()
            self.bytes[key.data] += data or b""
            if data == b"":
                self.selector.unregister(key.fileobj)

    def wait_for(self, pattern, stream="out", count=1, patience=None):
        """Reads until the regular expression has matched `count` times; returns the last match."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while True:
            text = self.bytes[stream].decode(errors="replace")
            matches = list(re.finditer(pattern, text, re.MULTILINE))
            if len(matches) >= count:
                return matches[count - 1]
            assert self.selector.get_map(), f"{self} ended without {pattern!r}"
            self._read(deadline)

    def send(self, signum):
        self.popen.send_signal(signum)

    def wait(self):
        """Reads all output and returns the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.selector.get_map():
            self._read(deadline)
        return self.popen.wait(PATIENCE)

    def stop(self, signum=signal.SIGTERM):
        self.send(signum)
        return self.wait()

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.selector.close()
        self.popen.stdout.close()
        self.popen.stderr.close()

    def __str__(self):
        return f"{' '.join(self.argv)}\n--- out\n{self.out}\n--- err\n{self.err}\n---"


class Namespace:
    """A host of its own: network, /run, processes."""

    SETUP = ("mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && echo ready && "
             "exec cat >/dev/null")

    def __init__(self):
        self.processes = []
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", self.SETUP],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.pid = self.holder.pid
        self.id = os.stat(f"/proc/{self.pid}/ns/mnt").st_ino
        self.mark = f"NETNS_OF={self.id}"  # in the environment of all that runs here
        self.root = f"/proc/{self.pid}/root"  # its files, seen from outside

    # ---- Processes ----

    def argv(self, *argv):
        """The command line that runs a program here."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--", "env", self.mark,
                *map(str, argv)]

    def run(self, *argv, check=True, timeout=PATIENCE, **kwargs):
        """Runs a program to its end, its output as text."""
        done = subprocess.run(self.argv(*argv), stdin=None if "input" in kwargs else
                              subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, \
            f"{' '.join(map(str, argv))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def spawn(self, *argv, env=None):
        """Starts a program, which ends with the namespace at the latest."""
        process = Process(self.argv(*argv), env)
        self.processes.append(process)
        return process

    def pids(self):
        """Whatever runs here, the holder included, and what went into namespaces of its own."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if os.stat(f"/proc/{pid}/ns/mnt").st_ino == self.id or self.mark.encode() in environ:
                    found.append(int(pid))
        return found

    def close(self):
        for process in self.processes:
            process.close()
        for pid in self.pids():
            if pid != self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        self.holder.communicate()

    # ---- The network ----

    @contextlib.contextmanager
    def entered(self):
        """This process is in the network namespace meanwhile: for sockets, which stay there."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(libc.setns(there, CLONE_NEWNET))
            yield
        finally:
            _checked(libc.setns(home, CLONE_NEWNET))
            os.close(there)
            os.close(home)

    def socket(self, *args):
        with self.entered():
            return socket.socket(*args)

    def ip(self, command):
        """ip COMMAND; what it prints, parsed from JSON."""
        return json.loads(self.run("ip", "-j", *command.split()).stdout or "[]")

    def mac(self, link):
        return self.ip(f"link show {link}")[0]["address"]

    def sysctl(self, **values):
        """Sets net.ipv4.KEY; a dot in a key is written __."""
        for key, value in values.items():
            self.run("sysctl", "-qw", f"net.ipv4.{key.replace('__', '.')}={value}")

    def connect(self, link, address, other, other_link, other_address):
        """A veth pair between two namespaces, with an address on each end."""
        self.run("ip", "link", "add", link, "type", "veth", "peer", "name", other_link, "netns",
                 other.pid)
        for ns, name, addr in ((self, link, address), (other, other_link, other_address)):
            ns.run("ip", "addr", "add", addr, "dev", name)
            ns.run("ip", "link", "set", name, "up")
        for ns, name in ((self, link), (other, other_link)):
            until(lambda: ns.ip(f"link show {name}")[0]["operstate"] == "UP", f"{name} is up")

    def icmp(self, name):
        """A counter of the kernel's."""
        keys, values = (row.split() for row in self.run("grep", "^Icmp:", "/proc/net/snmp")
                        .stdout.splitlines())
        return int(values[keys.index(name)])

    def snapshot(self):
        """All of the host that a program might have changed, to compare before and after."""
        lines = self.run("sysctl", "-a", "-r", r"^net\.ipv4\.(ip_forward|conf\.)").stdout
        links = self.ip("link")
        for link in links:
            del link["qdisc"]  # the kernel's choice, made when a link goes up first
        return {
            "links": links,
            "addresses": self.ip("-4 addr"),
            "routes": self.ip("-4 route show table all"),
            "rules": self.ip("-4 rule"),
            "neighbours": self.ip("-4 neigh show nud permanent"),
            "nft": json.loads(self.run("nft", "-j", "list", "ruleset").stdout),
            "sysctl": sorted(lines.splitlines()),
            "run": sorted(self.run("find", "/run").stdout.split()),
            "processes": sorted(self.pids()),
        }
