"""What the interop tests share: namespaces, and the daemon in them.

$NETSTACK names the program under test; without it, the release build's is taken.
"""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import textwrap

import pytest

import devices
import netns
from packets import Wire

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTORS = 16384  # more than a thousand connections take
NETSTACK = os.environ.get("NETSTACK", str(SOURCE / "build/netstack"))


def raise_limit():
    """Whoever logs in to Debian may have 1024 descriptors open until he asks for more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS), hard))


def prepare():
    """Takes the whole run away from the machine's own network; says why that can't be, or None."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    try:
        netns.isolate()
    except OSError as error:
        return f"needs network namespaces of its own: {error.strerror}"
    raise_limit()
    return None


def pytest_configure(config):
    config.obstacle = prepare()


def pytest_collection_modifyitems(config, items):
    others = [i for i in items if devices.why_not(f"{i.path.name}::{i.name}")]
    config.hook.pytest_deselected(items=others)
    items[:] = [i for i in items if i not in others]
    for item in items if config.obstacle else []:
        item.add_marker(pytest.mark.skip(reason=config.obstacle))


class Host(netns.Namespace):
    """A namespace where `netstack` is run."""

    def __init__(self):
        super().__init__()
        self.daemons = []

    def netstack(self, *args, check=True, **kwargs):
        return self.run(NETSTACK, *args, check=check, **kwargs)

    def start(self, *args, **kwargs):
        """A further `netstack` command, at work until it is stopped."""
        return self.spawn(NETSTACK, *args, **kwargs)

    def up(self, *flags, **kwargs):
        """`netstack up` in the foreground; returns once the stack answers."""
        daemon = self.start("up", *devices.flags(self, flags), *flags, **kwargs)
        daemon.wait_for(r"ends it\.$")
        self.daemons.append(daemon)
        return daemon

    def view(self, command, *args):
        """What `netstack COMMAND --json` says."""
        return json.loads(self.netstack(command, "--json", *args).stdout)

    def drops(self, *args):
        """Reason to count, of what was dropped."""
        drops = self.view("stats", *args)["drops"]
        return {d["reason"]: d["count"] for d in drops if d["count"]}

    def counters(self):
        """Name to count, of what the stack has counted."""
        return {c["name"]: c["value"] for c in self.view("stats")["counters"]}

    def ping(self, *args, check=True, dst="10.0.0.2"):
        """The host's own ping to the stack."""
        return self.run("ping", "-n", *args, dst, check=check)

    @contextlib.contextmanager
    def each_answered(self):
        """Each echo request that the host sends in this block is answered, and once. By the
        counts of both ends: ping itself waits for the last answer no longer than twice the
        longest round trip, or its interval, and a daemon may come to its turn later."""
        def counts():
            return (self.icmp("OutEchos"), self.counters()["icmp.echo_replied"],
                    self.icmp("InEchoReps"))

        def since():
            return [now - then for now, then in zip(counts(), before)]

        before = counts()
        yield
        netns.until(lambda: (s := since())[0] <= s[2], "every request is answered")
        asked, replied, received = since()
        assert asked == replied == received

    def echoes(self, n, *args, **kwargs):
        """The host's own ping, until it has n answers. It asks on while one is late, but doesn't
        make up for one that is lost."""
        with self.each_answered():
            return self.ping("-c", n, "-w", int(netns.PATIENCE), *args, **kwargs)

    def assert_answers(self, dst="10.0.0.2"):
        self.ping("-c", "1", "-W", "10", dst=dst)

    def rss(self, pid):
        """Memory in use, in bytes."""
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) * 1024

    def finish(self):
        """Ends the daemons that a test left running, which must go well."""
        for daemon in self.daemons:
            if daemon.popen.poll() is None:
                code = daemon.stop()
                assert code == 0, f"exit code {code}\n{daemon}"
            assert "Sanitizer" not in daemon.err and "runtime error" not in daemon.err, daemon.err


@pytest.fixture
def hosts():
    """Makes hosts: hosts() is one, hosts(3) a list."""
    made = []

    def make(n=None):
        new = [Host() for _ in range(n or 1)]
        made.extend(new)
        return new if n else new[0]

    yield make
    try:
        for host in made:
            host.finish()
    finally:
        for host in made:
            host.close()


@pytest.fixture
def host(hosts):
    """A host on which nothing runs yet."""
    return hosts()


@pytest.fixture
def stack(host):
    """A host with `netstack up` and no flags."""
    host.daemon = host.up()
    return host


@pytest.fixture
def wire(stack):
    """A raw wire to the stack of `stack`."""
    wire = Wire(stack, "tun0", stack.view("status")["device"].get("mac"))
    yield wire
    wire.close()


@pytest.fixture
def internet(hosts):
    """(host, gateway, server): the server owns 8.8.8.8, and knows of no private network but the
    host's; the gateway routes between them. The stack is two hops away from the server."""
    host, gateway, server = hosts(3)
    host.connect("wan0", "198.51.100.2/24", gateway, "lan0", "198.51.100.1/24")
    gateway.connect("net0", "8.8.8.1/24", server, "eth0", "8.8.8.8/24")
    host.run("ip", "route", "add", "default", "via", "198.51.100.1")
    server.run("ip", "route", "add", "198.51.100.0/24", "via", "8.8.8.1")
    gateway.sysctl(ip_forward=1)
    return host, gateway, server


# ---- Programs on the stack -----------------------------------------------------------------------

PYTHON = "/usr/bin/python3"


def script(text):
    """The arguments that run a Python script."""
    return PYTHON, "-u", "-c", textwrap.dedent(text)


def finish(process, code=0):
    """Waits for a process to end so; returns what it printed."""
    assert process.wait() == code, str(process)
    return process.out


@pytest.fixture(params=["shim", "traps"])
def program(request, stack):
    """program(ARGV...): a program that `netstack run` runs in `stack`, with the shim, and without."""
    flags = {"shim": [], "traps": ["--no-shim"]}[request.param]

    def start(*argv):
        return stack.start("run", *flags, "--", *argv)

    return start
