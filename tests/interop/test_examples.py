"""The examples that talk TCP do what their first lines promise."""
import os
import pathlib
import random
import re
import socket
import time

import pytest

import netns
from conftest import NETSTACK
from streams import sending

FORGOTTEN = 4.0  # seconds; a TUN device remembers a silent flow for three
EXAMPLES = pathlib.Path(os.environ.get("EXAMPLES", pathlib.Path(NETSTACK).parent / "examples"))


@pytest.fixture
def tap(host):
    """A host with the device tap7, its side set up; the example attaches to it."""
    host.run("ip", "tuntap", "add", "tap7", "mode", "tap")
    host.run("ip", "address", "add", "10.7.0.1/24", "dev", "tap7")
    host.run("ip", "link", "set", "tap7", "up")
    return host


def talk(host, port, data):
    """Sends, ends, and returns the answer."""
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(netns.PATIENCE)
        sock.connect(("10.7.0.2", port))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_echo_server(tap):
    server = tap.spawn("stdbuf", "-oL", EXAMPLES / "echo-server", "tap7")
    server.wait_for("port 7")
    assert talk(tap, 7, b"x" * 60000) == b"x" * 60000
    assert server.stop(2) == 0, server


def test_file_server(tap, tmp_path):
    """Two at once, one of whom reads late: the file goes to each from the same memory."""
    text = random.Random(1).randbytes(5_000_001)
    (tmp_path / "file").write_bytes(text)
    server = tap.spawn("stdbuf", "-oL", EXAMPLES / "file-server", tmp_path / "file", "tap7")
    server.wait_for("port 5000")
    with tap.socket(socket.AF_INET, socket.SOCK_STREAM) as late:
        late.settimeout(netns.PATIENCE)
        late.connect(("10.7.0.2", 5000))
        assert talk(tap, 5000, b"") == text
        assert b"".join(iter(lambda: late.recv(65536), b"")) == text
    assert server.stop(2) == 0, server


def test_many(tap):
    server = tap.spawn(EXAMPLES / "many", "tap7")
    server.wait_for("port 7000")
    socks = []
    for _ in range(300):
        sock = tap.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(netns.PATIENCE)
        sock.connect(("10.7.0.2", 7000))
        socks.append(sock)
    server.wait_for("many: 300 connections")
    for i, sock in enumerate(socks):
        sock.sendall(b"x" * i)
        sock.shutdown(socket.SHUT_WR)
    for i, sock in enumerate(socks):
        assert sock.recv(100) == b"%d bytes\n" % i
        sock.close()
    assert server.stop(2) == 0, server


def test_queues(host):
    """Each connection stays on its queue, or the wrong stack would reset it; idle ones, too, when
    the kernel has forgotten them."""
    server, n, size = host.spawn(EXAMPLES / "queues", "tun7", 2), 40, 200_000
    server.wait_for("on 2 queues")
    host.run("ip", "address", "add", "10.7.0.1/24", "dev", "tun7")
    host.run("ip", "link", "set", "tun7", "up")
    socks = [host.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(n)]
    for sock in socks:
        sock.settimeout(netns.PATIENCE)
        sock.connect(("10.7.0.2", 7))
    time.sleep(FORGOTTEN)  # the kernel's clock, which no event tells
    texts = [random.Random(i).randbytes(size) for i in range(n)]
    for sock, text in zip(socks, texts):
        with sending(sock, [text]):
            assert b"".join(iter(lambda: sock.recv(65536), b"")) == text
        sock.close()
    assert server.stop(2) == 0, server
    queues = [(int(c), int(b)) for c, b in
              re.findall(r"queue \d: (\d+) connections, (\d+) bytes", server.out)]
    assert [sum(column) for column in zip(*queues)] == [n, n * size]
    assert all(connections and bytes == connections * size for connections, bytes in queues)


def test_http_get(tap, tmp_path):
    (tmp_path / "page").write_text("a page\n" * 20000)
    server = tap.spawn("/usr/bin/python3", "-u", "-m", "http.server", "80", "--bind", "10.7.0.1",
                       "--directory", tmp_path)
    server.wait_for("Serving")
    done = tap.run(EXAMPLES / "http-get", "tap7", "10.7.0.1", "/page")
    head, _, body = done.stdout.partition("\r\n\r\n" if "\r" in done.stdout else "\n\n")
    assert head.startswith("HTTP/1.0 200 OK")
    assert body == "a page\n" * 20000
