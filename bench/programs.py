#!/usr/bin/python3
"""`make bench-programs`: well-known servers under `netstack run`, beside the same on the kernel.

The client is the kernel's in both cases. Under `netstack run` it reaches the server through the TAP
device of a daemon in its own namespace; on the kernel, at the other end of a veth pair. Nothing is
pinned to a processor: with a daemon between them there are three who work.
"""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import tempfile

import bench
import testbed
from testbed import CLIENT, SERVER

DEVICE = bench.DEVICE
STREAMS = (1, 16)
NGINX = """
daemon off; user root; worker_processes 2; pid {dir}/pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{ listen 8000; root {dir}; }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    server: str  # see Programs.start()
    client: tuple
    read: object  # a function that makes figures of what the client printed
    value: str = "per_s"
    unit: str = "/s"
    scale: float = 1
    more: bool = True
    peers: tuple = ("netstack", "kernel")


PEERS = [Peer("netstack"), Peer("kernel")]


# ---- What the clients print ----------------------------------------------------------------------

def read_iperf3(text):
    end = json.loads(text)["end"]["sum_received"]
    return {"gbps": end["bits_per_second"] / 1e9, "bytes": end["bytes"], "seconds": end["seconds"]}


def read_wrk(text):
    if "Socket errors" in text or "Non-2xx" in text:
        raise RuntimeError(f"wrk: {text}")
    return {"per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}


def read_redis(text):
    return {"per_s": float(re.search(r"([\d.]+) requests per second", text)[1])}


# ---- Rows ----------------------------------------------------------------------------------------

def rows():
    for streams in STREAMS:
        for way, flags in (("out", ("-R",)), ("in", ())):
            name = f"iperf3 {way}, {streams} stream{'s' if streams > 1 else ''}"
            client = ("iperf3", "-J", "-c", SERVER, "-t", "{seconds}", "-P", str(streams), *flags)
            yield Row(name, "iperf3", client, read_iperf3, "gbps", "Gb/s")
            yield Row(f"{name}, processor", "iperf3", client, read_iperf3, "cpu_s_per_gb", "s/GB",
                      more=False)
    for header in ("keep-alive", "close"):
        yield Row(f"nginx, wrk with 32 connections, {header}", "nginx",
                  ("wrk", "-t", "1", "-c", "32", "-d", "{seconds}", "-H", f"Connection: {header}",
                   f"http://{SERVER}:8000/small"), read_wrk)
    for depth in ("1", "16"):
        yield Row(f"redis-benchmark, GET, 50 clients, {depth} at once", "redis",
                  ("redis-benchmark", "-h", SERVER, "-q", "-t", "get", "-c", "50", "-P", depth, "-n",
                   "{requests}"), read_redis)


# ---- One run -------------------------------------------------------------------------------------

class Programs:
    """The namespaces of one peer, and the files that its servers want."""

    def __init__(self, peer):
        self.through_daemon = peer.name == "netstack"
        self.near = testbed.host()
        self.far = self.near if self.through_daemon else testbed.host()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="netstack-bench-"))
        self.directory.chmod(0o755)
        (self.directory / "small").write_text("x" * 600)
        (self.directory / "nginx.conf").write_text(NGINX.format(dir=self.directory))
        for ns in {self.near, self.far}:
            ns.sysctl(tcp_max_syn_backlog=8192, ip_local_port_range="1024 65535")
        if self.through_daemon:
            self.daemon = self.near.spawn(testbed.program("netstack"), "up", "--device", DEVICE,
                                          "--address", f"{SERVER}/16", "--host-address", f"{CLIENT}/16")
            self.daemon.wait_for(r"ends it\.$")
        else:
            self.near.run("ip", "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE,
                          "netns", self.far.pid)
            testbed.set_up(self.near, DEVICE, CLIENT)
            testbed.set_up(self.far, DEVICE, SERVER)

    def close(self):
        for ns in {self.near, self.far}:
            ns.close()
        shutil.rmtree(self.directory)

    def start(self, server):
        argv, says = {
            "iperf3": (("iperf3", "-s", "--forceflush"), "Server listening"),
            "nginx": (("nginx", "-c", self.directory / "nginx.conf"), None),
            "redis": (("redis-server", "--save", "", "--protected-mode", "no", "--dir",
                       self.directory), "Ready to accept"),
        }[server]
        run = (testbed.program("netstack"), "run", "--") if self.through_daemon else ()
        process = self.far.spawn(*run, *argv)
        if says:
            process.wait_for(says)
        else:
            testbed.netns.until(self.nginx_answers, "nginx answers")
        return process

    def nginx_answers(self):
        with self.near.socket() as client:
            return client.connect_ex((SERVER, 8000)) == 0

    def run_once(self, row, seconds):
        seconds = max(1, round(seconds))
        values = {"seconds": seconds, "requests": 50000 * seconds}
        server = self.start(row.server)
        try:
            before = testbed.cpu_times()
            done = self.near.run(*(part.format(**values) for part in row.client))
            result = row.read(done.stdout)
            return result | bench.processor_time(before, result)
        finally:
            server.stop()


if __name__ == "__main__":
    bench.main(__doc__, "programs", list(rows()), PEERS, Programs)
