#!/usr/bin/python3
"""`make bench-loss`: how well a sender does on a bad network, beside the kernel.

    sender (our stack, or the kernel)  <->  netstack relay  <->  receiver (the kernel)

Both senders serve the same client, each in namespaces of its own, at the same time and with the
same seed of the relay; so what disturbs one disturbs the other. Some cells are measured at once: a
line of 100 Mb/s takes a few percent of a processor. The receiver compares every byte.
README.md says what the cells are, and how to choose among them.
"""
import argparse
import concurrent.futures
import contextlib
import dataclasses
import fnmatch
import json
import queue
import socket
import statistics
import sys
import time

import report
import testbed
from testbed import CLIENT, SERVER, SERVER_MAC, NotAvailable

RATE, QUEUE = "100mbit", 250
LOSSES = ("0", "0.01%", "0.1%", "1%", "3%", "5%", "10%")
STEP = 0.05  # seconds, of the timelines
JOBS = 2
SECONDS = {2: 5, 20: 6, 200: 10}
CCS = ("cubic", "bbr")
SENDERS = ("ours", "kernel")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A network, by what its wires do to frames in both directions."""
    rtt_ms: int
    effect: str  # a heading
    share: str   # how much of it
    spec: str    # and in the relay's words

    @property
    def name(self):
        return f"rtt{self.rtt_ms}/{self.effect}={self.share}"

    @property
    def wires(self):
        base = f"rate={RATE},queue={QUEUE},delay={self.rtt_ms * 1000 // 2}us"
        return f"{base},{self.spec}" if self.spec else base


def cells():
    def effect(rtt_ms, name, key, shares):
        for share in shares:
            yield Cell(rtt_ms, name, share, "" if share == "0" else f"{key}={share}")

    yield from effect(20, "loss", "loss", LOSSES)
    # 0.1 % of the frames begin a burst, which ends after seven in the mean: 0.7 % are lost.
    yield Cell(20, "bursts", "0.7%", "burst=0.1%:14.2%")
    yield from effect(20, "reorder", "reorder", ("1%", "25%", "50%"))
    yield from effect(20, "repeat", "repeat", ("1%", "10%", "50%"))
    yield from effect(20, "corrupt", "corrupt", ("0.1%", "1%", "5%"))
    yield from effect(2, "loss", "loss", LOSSES)
    yield from effect(200, "loss", "loss", LOSSES)


# ---- The line ------------------------------------------------------------------------------------

class Line:
    """Three namespaces in a row. The devices are made anew for each run, with the relay."""

    def __init__(self, sender):
        self.sender = sender
        self.far, self.middle, self.near = (testbed.host() for _ in range(3))

    def close(self):
        for ns in (self.far, self.middle, self.near):
            ns.close()

    @contextlib.contextmanager
    def up(self, wires, seed, cc):
        """The relay and the server at work; gives the server."""
        with contextlib.ExitStack() as stack:
            relay = testbed.Running(self.middle, testbed.program("netstack"), "relay", "--json",
                                    "--seed", seed, "--both", wires, "taps", "tapr")
            stack.callback(relay.close)
            relay.line()
            self.middle.run("ip", "link", "set", "taps", "netns", self.far.pid)
            self.middle.run("ip", "link", "set", "tapr", "netns", self.near.pid)
            testbed.set_up(self.near, "tapr", CLIENT)
            self.near.run("ip", "neigh", "replace", SERVER, "lladdr", SERVER_MAC, "dev", "tapr",
                          "nud", "permanent")
            server = self._serve_ours(cc) if self.sender == "ours" else self._serve_kernel(cc)
            stack.callback(server.close)
            if self.sender == "ours":
                stack.callback(self.far.run, "ip", "link", "del", "br0")
                self._bridge()
            yield server

    def _serve_kernel(self, cc):
        testbed.set_up(self.far, "taps", SERVER, mac=SERVER_MAC)
        return testbed.serve(self.far, "server-kernel", "--address", SERVER, "--cc", cc, "--report")

    def _serve_ours(self, cc):
        return testbed.serve(self.far, "server-netstack", "--device", "bench0", "--address", SERVER,
                             "--cc", cc, "--report", "--carrier")

    def _bridge(self):
        self.far.run("ip", "link", "add", "br0", "type", "bridge")
        for device in ("taps", "bench0"):
            self.far.run("ip", "link", "set", device, "master", "br0")
            testbed.set_up(self.far, device)
        testbed.set_up(self.far, "br0")

    @property
    def device(self):
        """The one next to the sender's stack."""
        return "bench0" if self.sender == "ours" else "taps"

    def receive(self, seconds, cc):
        return testbed.start_client(self.near, "receive", "--seconds", str(seconds), "--step",
                                    str(STEP), "--verify", "--cc", cc)


def counters(server):
    """What the server's connections have sent so far."""
    server.popen.send_signal(testbed.signal.SIGUSR1)
    return server.json()


# ---- Goodput -------------------------------------------------------------------------------------

def goodput(line, cell, cc, seed):
    """One run: what came through in the first seconds of a connection."""
    with line.up(cell.wires, seed, cc) as server:
        client = line.receive(SECONDS[cell.rtt_ms], cc)
        try:
            result = client.json()
            result |= counters(server)
        finally:
            client.close()
    return {"mbps": 8e-6 * result["bytes"] / result["seconds"], "corrupt": result["corrupt"],
            "retransmitted": result["retransmitted"], "sent": result["sent"],
            "share_again": result["retransmitted"] / max(result["sent"], 1)}


# ---- Blackouts -----------------------------------------------------------------------------------

BLACKOUTS = (0.1, 1, 5, 15)
BEFORE = 3.0  # seconds of undisturbed transfer
CALM = Cell(20, "blackout", "0", "")
SILENCE = """table inet blackout {
    chain in { type filter hook prerouting priority -400; drop; }
    chain out { type filter hook output priority -400; drop; }
}"""


def black_out(line, where, seconds):
    """The receiver falls silent, which the sender can't know; or the sender's carrier goes."""
    if where == "remote":
        line.near.run("nft", "-f", "-", input=SILENCE)
    else:
        line.far.run("ip", "link", "set", "dev", line.device, "carrier", "off")
    time.sleep(seconds)
    if where == "remote":
        line.near.run("nft", "delete", "table", "inet", "blackout")
    else:
        line.far.run("ip", "link", "set", "dev", line.device, "carrier", "on")
    return time.monotonic()


def recovered_after(timeline, end):
    """Seconds from `end` until the rate, over four steps, is 90 % of what it was at first."""
    before = int(BEFORE / STEP)
    usual = sum(timeline[before // 2:before - 2]) / (before - 2 - before // 2)
    for i in range(int(end / STEP) + 1, len(timeline) - 3):
        if sum(timeline[i:i + 4]) >= 0.9 * 4 * usual:
            return (i + 1) * STEP - end
    return None


def blackout(line, where, seconds, cc, seed):
    with line.up(CALM.wires, seed, cc):
        client = line.receive(BEFORE + 2.2 * seconds + 6, cc)
        try:
            time.sleep(BEFORE)
            end = black_out(line, where, seconds)
            result = client.json()
        finally:
            client.close()
    after = recovered_after(result["timeline"], end - result["start"])
    return {"seconds": after, "corrupt": result["corrupt"]}


# ---- Lost tails ----------------------------------------------------------------------------------

SEGMENT, SEGMENTS = 1448, 10
WARM_UP = 5
ANSWERS = 10
TAIL = """add table ip tail
add chain ip tail in {{ type filter hook prerouting priority -400; }}
flush chain ip tail in
add rule ip tail in tcp sport 20 @ih,0,32 >= {word} limit rate 1/hour burst {count} packets drop
"""


def ask(sock):
    """Seconds that an answer takes."""
    start, left = time.monotonic(), SEGMENT * SEGMENTS
    sock.sendall(left.to_bytes(4, "big"))
    while left > 0:
        data = sock.recv(left)
        if not data:
            raise RuntimeError("the answer ends early")
        left -= len(data)
    return time.monotonic() - start


def tail(line, count, cc, seed):
    """The median of answers whose last `count` segments are lost, once each. The first word of a
    segment tells where it belongs (services.h), which is how they are found."""
    times = []
    with line.up(CALM.wires, seed, cc), line.near.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(testbed.PATIENCE)
        sock.connect((SERVER, 20))
        for _ in range(WARM_UP):
            ask(sock)
        for _ in range(ANSWERS):
            line.near.run("nft", "-f", "-", input=TAIL.format(
                word=(SEGMENTS - count) * SEGMENT // 4, count=count))
            times.append(ask(sock))
            time.sleep(0.1)
        line.near.run("nft", "delete", "table", "ip", "tail")
    return {"ms": 1e3 * statistics.median(times)}


# ---- The whole -----------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Row:
    """Something to measure, for both senders and some seeds."""
    kind: str
    name: str
    cc: str
    run: object  # (line, seed) -> result
    cell: Cell = None
    seeds_max: int = 1000


def rows():
    for cc in CCS:
        for cell in cells():
            yield Row("goodput", cell.name, cc,
                      lambda line, seed, cell=cell, cc=cc: goodput(line, cell, cc, seed), cell)
    for where in ("remote", "local"):
        for seconds in BLACKOUTS:
            yield Row("blackout", f"{where}/{seconds:g}s", "cubic",
                      lambda line, seed, w=where, s=seconds: blackout(line, w, s, "cubic", seed),
                      seeds_max=3)
    for count in range(1, 6):
        yield Row("tail", f"last {count} of {SEGMENTS}", "cubic",
                  lambda line, seed, n=count: tail(line, n, "cubic", seed), seeds_max=3)


def wanted(row, patterns):
    full = f"{row.kind}/{row.cc}/{row.name}"
    return not patterns or any(fnmatch.fnmatch(full, f"*{p}*") for p in patterns)


def measure(row, lines, seeds):
    """Both senders at once, seed after seed."""
    result = {"kind": row.kind, "name": row.name, "cc": row.cc,
              "seeds": list(seeds)[:row.seeds_max], "runs": {s: [] for s in SENDERS}}
    if row.cell:
        result["cell"] = dataclasses.asdict(row.cell)
    with concurrent.futures.ThreadPoolExecutor(len(lines)) as pool:
        for seed in result["seeds"]:
            futures = {line.sender: pool.submit(row.run, line, seed) for line in lines}
            for sender, future in futures.items():
                try:
                    result["runs"][sender].append(future.result())
                except NotAvailable:
                    result.setdefault("missing", []).append(sender)
            if "missing" in result:
                break
    return result


def measure_all(todo, jobs, seeds):
    """The results in the order of `todo`, of which `jobs` are being measured at a time, each on lines
    of its own."""
    pairs = queue.SimpleQueue()

    def run(row):
        lines = pairs.get()
        try:
            return measure(row, lines, seeds)
        finally:
            pairs.put(lines)

    with contextlib.ExitStack() as stack:
        for _ in range(jobs):
            pairs.put([stack.enter_context(contextlib.closing(Line(s))) for s in SENDERS])
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(jobs))
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from pool.map(run, todo)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each cell (5)")
    parser.add_argument("--cells", default="", help="only those that match one of these patterns, "
                        "as in 'loss=1%% bbr/rtt200'")
    parser.add_argument("--jobs", type=int, default=JOBS,
                        help=f"so many cells are measured at a time ({JOBS})")
    options = parser.parse_args()
    todo = [row for row in rows() if wanted(row, options.cells.split())]
    if not todo:
        sys.exit("bench-loss: no such cell")
    testbed.netns.isolate()
    print(report.loss_heading(), flush=True)
    for result in measure_all(todo, options.jobs, range(1, options.seeds + 1)):
        report.save("loss", [result])
        print(report.loss_line(result), flush=True)


if __name__ == "__main__":
    main()
