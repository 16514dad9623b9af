#!/usr/bin/python3
"""`make bench-queues`: a daemon on two queues, beside one on one.

The client is the kernel's, and what it talks to are the daemon's small services, so that the daemon
has all the work on our side. Nothing is pinned to a processor.
"""
import dataclasses

import bench
import testbed
from testbed import CLIENT, SERVER


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    queues: int


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    args: tuple
    value: str = "per_s"
    unit: str = "/s"
    scale: float = 1
    more: bool = True
    peers: tuple = ("netstack", "one queue")


PEERS = [Peer("netstack", 2), Peer("one queue", 1)]

ROWS = [
    *(Row(f"bulk {way}, {n} connections", ("--conns", str(n), mode), "gbps", "Gb/s")
      for way, mode in (("in", "send"), ("out", "receive")) for n in (2, 16)),
    *(Row(f"request/response, {n} connections", ("--conns", str(n), "roundtrips"))
      for n in (1, 32)),
    Row("connect, request, close, 32 at once", ("--conns", "32", "turnover")),
]


class Queues:
    """The namespace of one peer, and its daemon."""

    def __init__(self, peer):
        self.near = testbed.host()
        self.near.sysctl(tcp_max_syn_backlog=8192, ip_local_port_range="1024 65535")
        self.near.run("ip", "route", "add", "local", "10.9.128.0/17", "dev", "lo")
        self.daemon = self.near.spawn(testbed.program("netstack"), "up", "--device", bench.DEVICE,
                                      "--queues", peer.queues, "--services", "--address",
                                      f"{SERVER}/16", "--host-address", f"{CLIENT}/16")
        self.daemon.wait_for(r"ends it\.$")

    def close(self):
        self.near.close()

    def run_once(self, row, seconds):
        *args, mode = row.args
        args += ["--seconds", str(seconds)]
        if mode == "turnover":
            args += ["--source", bench.fresh_source()]
        before = testbed.cpu_times()
        client = testbed.start_client(self.near, mode, *args)
        try:
            result = client.json()
        finally:
            client.close()
        return result | bench.processor_time(before, result)


if __name__ == "__main__":
    bench.main(__doc__, "queues", ROWS, PEERS, Queues)
