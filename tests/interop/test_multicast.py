"""Multicast groups against the kernel: its bridge as querier and snooping switch, its sockets as other
members and senders. The daemon lends no such sockets, so a small program has the stack inside."""
import contextlib
import os
import signal
import socket

import pytest

from netns import PATIENCE, until

# The stack is a member of GROUP, the host of ANSWERS: in version 2, members of one group would report
# for each other.
GROUP, ANSWERS, HOST, STACK = "239.1.2.3", "239.1.2.4", "10.0.0.1", "10.0.0.2"


@pytest.fixture(params=[2, 3])
def version(request):
    return request.param


@pytest.fixture
def switch(host, version):
    """A host that is on a bridge, which asks for members and speaks one version."""
    host.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "1", "mcast_querier", "1",
             "mcast_igmp_version", version, "mcast_startup_query_interval", "20",
             "mcast_query_response_interval", "10", "mcast_last_member_interval", "10")
    host.run("ip", "addr", "add", f"{HOST}/24", "dev", "br0")
    host.run("ip", "link", "set", "br0", "up")
    host.sysctl(conf__br0__force_igmp_version=version)
    return host


@contextlib.contextmanager
def member(switch, *args):
    """The program, on a port of the bridge; ends with success."""
    program = switch.spawn(os.environ["MULTICAST"], "tap0", GROUP, ANSWERS, *args)
    program.wait_for("^joined$")
    switch.run("ip", "link", "set", "tap0", "master", "br0", "up")
    until(lambda: groups(switch) is not None, "the port is up")
    yield program
    assert program.stop() == 0, program


def groups(switch):
    """What the bridge has learnt of the stack's port: {(group, source)}."""
    out = switch.run("bridge", "mdb", "show", "dev", "br0").stdout
    lines = [line.split() for line in out.splitlines() if " port tap0 " in line]
    return {(words[words.index("grp") + 1],
             words[words.index("src") + 1] if "src" in words else None) for words in lines}


def host_socket(switch):
    sock = switch.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    with switch.entered():
        sock.bind(("", 5001))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        socket.inet_aton(ANSWERS) + socket.inet_aton(HOST))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
    return sock


def test_member(switch):
    """The bridge learns of the membership, traffic flows both ways, and leaving is heard."""
    with member(switch) as program, host_socket(switch) as sock:
        until(lambda: (GROUP, None) in groups(switch), "the bridge knows of the member")
        sock.sendto(b"hello", (GROUP, 5000))
        program.wait_for(f"^hello from {HOST}$")
        data, peer = sock.recvfrom(100)
        assert (data, peer) == (b"hello", (STACK, 5000))
        program.send(signal.SIGUSR1)
        until(lambda: (GROUP, None) not in groups(switch), "the bridge has heard of the leave")


def test_source(switch, version):
    """One source only: the bridge hears which, where its version can say so."""
    source = HOST if version == 3 else None
    with member(switch, HOST) as program, host_socket(switch) as sock:
        until(lambda: (GROUP, source) in groups(switch), "the bridge knows of the member")
        sock.sendto(b"hello", (GROUP, 5000))
        program.wait_for(f"^hello from {HOST}$")
        assert sock.recvfrom(100) == (b"hello", (STACK, 5000))


def test_queries_are_answered(switch):
    """A member of whom the bridge was made to forget is known again after its next query."""
    with member(switch):
        until(lambda: (GROUP, None) in groups(switch), "the bridge knows of the member")
        switch.run("ip", "link", "set", "br0", "type", "bridge", "mcast_snooping", "0")
        switch.run("bridge", "mdb", "del", "dev", "br0", "port", "tap0", "grp", GROUP, check=False)
        switch.run("ip", "link", "set", "br0", "type", "bridge", "mcast_snooping", "1")
        switch.run("ip", "link", "set", "br0", "type", "bridge", "mcast_querier", "0")
        switch.run("ip", "link", "set", "br0", "type", "bridge", "mcast_querier", "1")
        until(lambda: (GROUP, None) in groups(switch), "the bridge knows of the member again")
