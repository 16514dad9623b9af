"""The daemon's sandbox (docs/sandbox.md): what is left to it once it is up."""
import os
import pathlib
import re

import pytest

from test_life import status_of


@pytest.fixture(params=[[], ["--user", "nobody"], ["--queues", "3"]], ids=str)
def boxed(host, request):
    """A daemon that is up, by its process id."""
    return host.up(*request.param).pid


def flags_of(pid):
    """Of each descriptor, by number: the flags it was opened with."""
    infos = pathlib.Path(f"/proc/{pid}/fdinfo").iterdir()
    return {int(i.name): int(re.search(r"flags:\s*(\d+)", i.read_text())[1], 8) for i in infos}


def test_no_rights(boxed):
    threads = os.listdir(f"/proc/{boxed}/task")
    for status in [status_of(f"{boxed}/task/{thread}") for thread in threads]:
        for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[caps], 16) == 0, caps
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


def test_descriptors_close_on_exec(boxed):
    flags = flags_of(boxed)
    assert len(flags) > 5
    assert [fd for fd, f in flags.items() if fd > 2 and not f & os.O_CLOEXEC] == []


def test_nothing_is_inherited(host):
    """What it is started with beside the standard streams is closed."""
    script = 'exec 9</etc/passwd; exec "$0" up'
    daemon = host.spawn("sh", "-c", script, os.environ["NETSTACK"])
    daemon.wait_for(r"ends it\.$")
    files = [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in flags_of(daemon.pid)]
    assert "/etc/passwd" not in files
    assert daemon.stop() == 0


def test_namespaces(host, boxed):
    """An empty root that cannot be written to, and nothing in common with the host but its processes
    and users."""
    root = f"/proc/{boxed}/root"
    assert os.listdir(root) == []
    with pytest.raises(OSError, match="Read-only file system"):
        os.mkdir(f"{root}/x")
    for thread in os.listdir(f"/proc/{boxed}/task"):
        for kind in ("mnt", "net", "ipc", "uts"):
            inside = os.readlink(f"/proc/{boxed}/task/{thread}/ns/{kind}")
            assert inside != os.readlink(f"/proc/{host.pid}/ns/{kind}")


def test_limits(boxed):
    limits = pathlib.Path(f"/proc/{boxed}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits)
    assert re.search(r"Max processes\s+0\s+0\s", limits)
    assert os.stat(f"/proc/{boxed}/fd").st_uid == 0  # not dumpable: its files are root's


def test_without(host):
    daemon = host.up("--no-sandbox")
    status = status_of(daemon.pid)
    assert int(status["CapEff"], 16) != 0 and status["Seccomp"] == "0"
    assert [name for name in map(lambda p: status_of(p)["Name"], host.pids()) if "keeper" in name] == []
    host.assert_answers()
