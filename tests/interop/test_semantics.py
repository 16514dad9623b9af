"""The same program on the kernel's stack and on ours: every result and errno, line by line.

The program is in semantics/. Where the two may differ is said in semantics/gaps.py, and nowhere else.
"""
import os

import pytest

from conftest import NETSTACK
from semantics.gaps import GAPS

SEMANTICS = os.environ.get("SEMANTICS")
GROUPS = "connect", "stream", "name", "option", "datagram", "call", "process"
TIMEOUT = 240.0

# Port 9 of the neighbour doesn't answer.
SILENT = """table ip silent {
  chain input { type filter hook input priority 0; tcp dport 9 drop; }
}
"""

pytestmark = pytest.mark.skipif(not SEMANTICS, reason="needs the program semantics")


def scenarios(transcript):
    """Scenario to its lines."""
    found = {}
    for line in transcript.splitlines():
        if line.startswith("== "):
            lines = found[line[3:]] = []
        else:
            lines.append(line)
    return found


def run(host, *argv):
    return scenarios(host.run(*argv, timeout=TIMEOUT).stdout)


@pytest.fixture(scope="module")
def kernels():
    """Group to what the kernel does, found out once."""
    return {}


@pytest.fixture
def kernel(hosts, kernels):
    """kernel(GROUP): what the program says on the kernel's stack."""
    def ask(group):
        if group not in kernels:
            host, neighbour = hosts(2)
            neighbour.run("nft", "-f", "-", input=SILENT)
            host.connect("veth0", "10.0.0.2/24", neighbour, "veth0", "10.0.0.1/24")
            kernels[group] = run(host, SEMANTICS, group)
        return kernels[group]
    return ask


@pytest.fixture
def ours(host):
    """ours(GROUP, FLAG...): what it says under `netstack run`."""
    host.up("--gateway", "none")
    host.run("nft", "-f", "-", input=SILENT)
    return lambda group, *flags: run(host, NETSTACK, "run", *flags, "--", SEMANTICS, group)


def differences(kernel, ours):
    """(kernel's line, our line) where they differ; lines that one lacks are None."""
    longest = max(len(kernel), len(ours))
    pairs = zip(kernel + [None] * (longest - len(kernel)), ours + [None] * (longest - len(ours)))
    return [pair for pair in pairs if pair[0] != pair[1]]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("mode", ["shim", "traps"])
def test_same(kernel, ours, group, mode):
    expected = kernel(group)
    found = ours(group, *(["--no-shim"] if mode == "traps" else []))
    assert list(found) == list(expected)
    unknown = [f"{scenario}\n  kernel: {theirs}\n  ours:   {own}"
               for scenario in expected
               for theirs, own in differences(expected[scenario], found[scenario])
               if not any(gap.covers(scenario, mode, (theirs, own)) for gap in GAPS)]
    assert not unknown, "\n".join(unknown)
