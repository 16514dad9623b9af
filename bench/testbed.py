"""Where things are measured: namespaces, the servers and the client in them.

Nothing here touches the machine's own network: see tests/interop/netns.py, which this builds upon.
"""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build-bench"))
RESULTS = pathlib.Path(os.environ.get("RESULTS", BUILD / "results"))

sys.path.insert(0, str(ROOT / "tests/interop"))
import netns  # noqa: E402

PATIENCE = 120.0  # seconds; only to end what hangs
netns.PATIENCE = PATIENCE

SERVER = "10.9.0.2"
CLIENT = "10.9.0.1"
SERVER_MAC = "02:00:00:00:09:02"
NO_SUCH_CC = 3  # a server's exit code


class NotAvailable(Exception):
    """What a stack doesn't have; says what."""


def program(name):
    return str(BUILD / name)


class Running:
    """A program in a namespace, with which one talks through its standard streams."""

    def __init__(self, ns, *argv, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.popen = subprocess.Popen(ns.argv(*pin, *argv), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.argv = argv

    def line(self, patience=PATIENCE):
        """The next line of its output; an error if it ends or is silent instead."""
        readable, _, _ = select.select([self.popen.stdout], [], [], patience)
        line = self.popen.stdout.readline() if readable else ""
        if not line:
            self.popen.kill()
            self.popen.wait()
            said = self.popen.stderr.read().strip()
            if self.popen.returncode == NO_SUCH_CC:
                raise NotAvailable(said)
            raise RuntimeError(f"{' '.join(map(str, self.argv))}: {said or 'silent'}")
        return line

    def json(self, patience=PATIENCE):
        return json.loads(self.line(patience))

    def cpu_seconds(self):
        """Processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        status = pathlib.Path(f"/proc/{self.popen.pid}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    def close(self):
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def serve(ns, server, *args, cpu=None):
    """Starts a server, and waits until it is there."""
    running = Running(ns, program(f"bench/{server}"), *args, cpu=cpu)
    try:
        running.line()
    except Exception:
        running.close()
        raise
    return running


def start_client(ns, mode, *args, cpu=None, server=SERVER):
    return Running(ns, program("bench/client"), *args, mode, server, cpu=cpu)


def host():
    """A namespace that behaves the same whatever happened in it before."""
    ns = netns.Namespace()
    ns.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
           "net.ipv6.conf.default.disable_ipv6=1")
    ns.sysctl(tcp_no_metrics_save=1)
    return ns


def set_up(ns, device, address=None, mtu=1500, mac=None):
    if address:
        ns.run("ip", "addr", "add", f"{address}/16", "dev", device)
    if mac:
        ns.run("ip", "link", "set", device, "address", mac)
    ns.run("ip", "link", "set", device, "mtu", mtu, "txqueuelen", 1000, "up")


# ---- Noise ---------------------------------------------------------------------------------------

def cpu_times():
    """Seconds since boot, all processors together: busy, stolen, all."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    return [t / tick for t in (sum(fields) - fields[3] - fields[4], fields[7], sum(fields))]


def busy_before(seconds=0.2):
    """How busy the machine is with other things, as a share of all of it."""
    before = cpu_times()
    time.sleep(seconds)
    after = cpu_times()
    return (after[0] - before[0]) / max(after[2] - before[2], 1e-9)


def machine():
    """What the results are from."""
    cpu = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo")
           if line.startswith("model name")]
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], text=True,
                            stdout=subprocess.PIPE, check=False).stdout.strip()
    return {"date": time.strftime("%Y-%m-%d"), "kernel": os.uname().release,
            "processor": cpu[0] if cpu else "?", "processors": os.cpu_count(), "commit": commit}
