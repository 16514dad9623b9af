#!/usr/bin/python3
"""`make bench`: the stack's speed beside its peers', row after row.

A row is one figure; those that a run gives together come from the same runs. All of a row's peers
are measured in turn, and that several times over; so what one figure of a row is compared with comes
from the same minutes. Each server offers the same services (services.h), on a TAP device in the
client's namespace, or, for the kernel, at the other end of a veth pair. A run that the machine's
other work or its host disturbed is repeated, and marked if it stays so. README.md explains the rows.
"""
import argparse
import contextlib
import dataclasses
import fnmatch
import itertools
import pathlib
import statistics
import sys
import time

import report
import testbed
from testbed import CLIENT, SERVER, NotAvailable

DEVICE = "bench0"
SPIN_US = 200
IDLE = 10000
LOT, FORGOTTEN = 9000, 12  # connections; seconds until they count as idle
STOLEN, BUSY = 0.02, 0.10  # shares of the machine's time past which a run is spoilt
REPEATS = 3                # of a spoilt run
FRESH = 0x0A098000         # 10.9.128.0: addresses of the client for connections that come and go
KERNEL_SLABS = ("TCP", "sock_inode_cache", "filp", "dentry", "tcp_bind_bucket", "tcp_bind2_bucket",
                "ep_item", "eventpoll_epi", "request_sock_TCP")


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    server: str
    tap: bool = True
    offloads: bool = False
    spins: bool = False
    one_core: bool = True  # can be told to stay on one
    args: tuple = ()


PEERS = [
    Peer("netstack", "server-netstack", offloads=True, spins=True),
    Peer("kernel", "server-kernel", tap=False, offloads=True, spins=True),
    Peer("device", "server-ceiling", offloads=True, spins=True),
    Peer("gvisor", "server-gvisor", one_core=False),
    Peer("gvisor-gso", "server-gvisor", one_core=False, args=("-vnet",)),
    Peer("lwip", "server-lwip", spins=True),
]


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    mode: str           # the client's, or one of ours below
    value: str          # which of its figures
    unit: str
    scale: float = 1
    more: bool = True   # is better
    args: tuple = ()
    mtu: int = 1500
    plain: bool = False # for those that have offloads: without
    lent: bool = False  # ours sends from where the data is, by nst_send_lent()
    spin: bool = False
    cores: int = 1
    peers: tuple = ("netstack", "kernel", "device", "gvisor", "gvisor-gso", "lwip")


def bulk_rows():
    without = ("netstack", "kernel", "device", "gvisor", "lwip")
    for mode, way in (("receive", "out"), ("send", "in")):
        def row(name, *args, way=way, mode=mode, **more):
            return Row(f"bulk {way}, {name}", mode, "gbps", "Gb/s", args=args, cores=2, **more)

        yield row("1 connection")
        yield row("16 connections", "--conns", "16")
        yield row("1 connection, MTU 9000", mtu=9000)
        yield row("1 connection, no offloads", plain=True, peers=without)
        yield row("16 connections, no offloads", "--conns", "16", plain=True,
                  peers=without)
        yield row("1 connection, MTU 9000, no offloads", mtu=9000, plain=True, peers=without)
        if way == "out":
            beside = ("netstack", "kernel", "device")
            yield row("1 connection, lent", lent=True, peers=beside)
            yield row("16 connections, lent", "--conns", "16", lent=True, peers=beside)
        yield Row(f"bulk {way}, processor", mode, "cpu_s_per_gb", "s/GB", more=False, cores=2)


def latency_rows():
    def row(name, mode, conns, value="per_s", **more):
        return Row(name, mode, value, "/s" if value == "per_s" else "us", args=("--conns", conns),
                   more=value == "per_s", **more)

    spinning = ("netstack", "kernel", "device", "lwip")
    for where, more in (("", {}), (", two cores", {"cores": 2}),
                        (", two cores, busy", {"cores": 2, "spin": True, "peers": spinning})):
        for part in ("p50", "p99"):
            yield row(f"round trip, 1 connection, {part}{where}", "roundtrips", "1", f"{part}_us",
                      **more)
        yield row(f"round trips, 32 connections{where}", "roundtrips", "32", **more)
        for part in ("p50", "p99"):
            yield row(f"round trips, 32 connections, {part}{where}", "roundtrips", "32",
                      f"{part}_us", **more)
    for part in ("p50", "p99"):
        yield row(f"round trip, {part}, 10,000 others idle", "with-idle", "1", f"{part}_us",
                  peers=("netstack", "kernel", "gvisor", "gvisor-gso", "lwip"))
    yield row("connections, one after the other", "turnover", "1")
    yield row("connections, 32 at once", "turnover", "32")


def other_rows():
    for mode, way in (("datagrams-in", "out"), ("datagrams-out", "in")):
        for size in ("64", "1472"):
            yield Row(f"UDP {way}, {size} bytes", mode, "pkts_per_s", "k/s", scale=1e-3,
                      args=("--size", size), cores=2)
    yield Row("memory of an idle connection", "memory", "bytes", "B", more=False,
              peers=("netstack", "kernel", "gvisor", "lwip"))


ROWS = [*bulk_rows(), *latency_rows(), *other_rows()]


# ---- One run -------------------------------------------------------------------------------------

class Bench:
    """The namespaces of one peer."""

    def __init__(self, peer):
        self.peer = peer
        self.near = testbed.host()
        self.far = self.near if peer.tap else testbed.host()
        self.near.run("ip", "route", "add", "local", "10.9.128.0/17", "dev", "lo")
        for ns in {self.near, self.far}:
            ns.sysctl(tcp_max_syn_backlog=8192, ip_local_port_range="1024 65535")

    def close(self):
        for ns in {self.near, self.far}:
            ns.close()

    def _veth(self, mtu):
        self.near.run("ip", "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns",
                      self.far.pid)
        testbed.set_up(self.near, DEVICE, CLIENT, mtu)
        testbed.set_up(self.far, DEVICE, SERVER, mtu)

    def start(self, row):
        """The server, with its device set up at the client's end."""
        args = ["--address", SERVER, *self.peer.args]
        if self.peer.tap:
            args += ["--device", DEVICE, "--mtu", str(row.mtu)]
        else:
            self._veth(row.mtu)
        if self.peer.offloads and self.peer.tap and row.plain:
            args += ["--plain"]
        if row.spin:
            args += ["--spin", str(SPIN_US)]
        if self.peer.name in ("netstack", "kernel"):
            args += ["--cc", "cubic"]
        if self.peer.name == "netstack" and row.lent:
            args += ["--lent"]
        pin = 0 if row.cores == 1 or self.peer.one_core else None
        server = testbed.serve(self.far, self.peer.server, *args, cpu=pin)
        if self.peer.tap:
            testbed.set_up(self.near, DEVICE, CLIENT, row.mtu)
        return server

    def stop(self, server):
        server.close()
        if not self.peer.tap:
            self.near.run("ip", "link", "del", DEVICE)

    def client(self, row, mode, *args):
        spin = ["--spin"] if row.spin else []
        return testbed.start_client(self.near, mode, *args, *spin, "--cc", "cubic",
                                    cpu=row.cores - 1)

    def run_once(self, row, seconds):
        """What was measured, and `stolen`: the share of time that the machine's host took."""
        server = self.start(row)
        try:
            if row.mode == "memory":
                return memory(self, server, row)
            if row.mode == "with-idle":
                return with_idle(self, row, seconds)
            return run_client(self, row, seconds)
        finally:
            self.stop(server)


_fresh = itertools.count()


def fresh_source():
    """An address that, with the following ones, no connection has used."""
    address = FRESH + 16 * next(_fresh)
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def run_client(bench, row, seconds):
    args = list(row.args) + ["--seconds", str(seconds)]
    if row.mode == "turnover":
        args += ["--source", fresh_source()]
    before = testbed.cpu_times()
    client = bench.client(row, "roundtrips" if row.mode == "with-idle" else row.mode, *args)
    try:
        result = client.json()
    finally:
        client.close()
    return result | processor_time(before, result)


def processor_time(before, result):
    """What has been used since `before`, by all processors."""
    busy, stolen, whole = (now - then for now, then in zip(testbed.cpu_times(), before))
    used = {"stolen": stolen / whole}
    if "bytes" in result:
        used["cpu_s_per_gb"] = (busy / whole * testbed.os.cpu_count() * result["seconds"] /
                                (1e-9 * max(result["bytes"], 1)))
    return used


def slab_bytes():
    """Memory in the kernel's caches of what connections are made of."""
    rows = [r.split() for r in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]]
    return sum(int(r[1]) * int(r[3]) for r in rows if r[0] in KERNEL_SLABS)


def memory(bench, server, row):
    """Bytes that one more connection costs when as many others have long been idle: what those use
    no longer is there for others to use. The kernel has both ends of its own."""
    def used():
        return server.rss_bytes() if bench.peer.tap else slab_bytes() / 2

    def hold():
        client = clients.enter_context(
            contextlib.closing(bench.client(row, "hold", "--conns", str(LOT))))
        if (opened := client.json()["open"]) < LOT:
            raise NotAvailable(f"{opened} connections of {LOT}")

    with contextlib.ExitStack() as clients:
        hold()
        time.sleep(FORGOTTEN)
        before = used()
        hold()
        return {"bytes": (used() - before) / LOT, "stolen": 0}


def with_idle(bench, row, seconds):
    idle = bench.client(row, "hold", "--conns", str(IDLE))
    try:
        if idle.json()["open"] < IDLE:
            raise NotAvailable(f"fewer than {IDLE} connections")
        return run_client(bench, row, seconds)
    finally:
        idle.close()


def run(bench, row, seconds):
    """The first run that nothing disturbed, or the least disturbed one of several."""
    runs = []
    for _ in range(REPEATS):
        busy = testbed.busy_before()
        result = bench.run_once(row, seconds)
        spoilt = busy > BUSY or result["stolen"] > STOLEN
        runs.append(result | {"busy_before": busy, "spoilt": spoilt})
        if not spoilt:
            return runs[-1]
    return min(runs, key=lambda r: r["busy_before"] + r["stolen"])


# ---- The whole -----------------------------------------------------------------------------------

def same_runs(row):
    """What rows have in common that differ only in which figure of a run they show."""
    return dataclasses.replace(row, name="", value="", unit="", scale=1, more=True)


def measure_runs(row, benches, rounds, seconds):
    peers = {}
    for _ in range(rounds):
        for name in row.peers:
            peer = peers.setdefault(name, {"runs": []})
            if "missing" in peer:
                continue
            try:
                peer["runs"].append(run(benches[name], row, seconds))
            except (NotAvailable, RuntimeError) as problem:
                peer["missing"] = str(problem)
    return peers


def measure(row, benches, rounds, seconds, known):
    """A row's result; `known` has the runs of those before it."""
    key = same_runs(row)
    if key not in known:
        known[key] = measure_runs(row, benches, rounds, seconds)
    peers = {name: dict(peer) for name, peer in known[key].items()}
    for peer in peers.values():
        values = [r[row.value] for r in peer["runs"]]
        peer["value"] = row.scale * statistics.median(values) if values else None
        peer["spoilt"] = sum(r["spoilt"] for r in peer["runs"]) * 2 > len(values)
    return {"name": row.name, "unit": row.unit, "more": row.more, "peers": peers}


def main(what, kind, rows, peers, make_bench):
    """Measures the rows with each peer, on what `make_bench` makes for it; keeps results as `kind`."""
    parser = argparse.ArgumentParser(description=what.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each figure (5)")
    parser.add_argument("--seconds", type=float, default=2, help="of each run (2)")
    parser.add_argument("--rows", default="*", help="only the one of this name, or those that match this pattern")
    options = parser.parse_args()
    todo = [row for row in rows if row.name == options.rows] or [
        row for row in rows if fnmatch.fnmatch(row.name, f"*{options.rows}*")]
    if not todo:
        sys.exit(f"{kind}: no such row")
    testbed.netns.isolate()
    names = [peer.name for peer in peers]
    benches, known = {}, {}
    try:
        for peer in peers:
            benches[peer.name] = make_bench(peer)
        print(report.bench_heading(names), flush=True)
        for row in todo:
            result = measure(row, benches, options.rounds, options.seconds, known)
            report.save(kind, [result])
            print(report.bench_line(result, names), flush=True)
    finally:
        for bench in benches.values():
            bench.close()


if __name__ == "__main__":
    main(__doc__, "bench", ROWS, PEERS, Bench)
