"""The daemon's sandbox (docs/sandbox.md): what is left to it once it is up."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

import netns
from conftest import NETSTACK, SOURCE, finish, script
from test_capture import record
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
    daemon = host.spawn("sh", "-c", 'exec 9</etc/passwd; exec "$0" up', NETSTACK)
    daemon.wait_for(r"ends it\.$")
    files = [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in flags_of(daemon.pid)]
    assert "/etc/passwd" not in files
    assert daemon.stop() == 0


def test_nobody_reads_the_banner(host):
    daemon = host.spawn("sh", "-c", 'exec "$0" up >/dev/null', NETSTACK)
    netns.until(lambda: host.netstack("status", check=False).returncode == 0, "it is up")
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
    assert re.search(r"Max file size\s+0\s+0\s", limits)
    assert os.stat(f"/proc/{boxed}/fd").st_uid == 0  # not dumpable: its files are root's


def test_log_in_a_file(host, tmp_path):
    """That one may grow."""
    daemon = host.spawn("sh", "-c", 'exec "$0" up --log-level debug 2>$1', NETSTACK, tmp_path / "log")
    daemon.wait_for(r"ends it\.$")
    host.netstack("down")
    finish(daemon)
    assert (tmp_path / "log").read_text().endswith("asked to end\n")


# ---- The list of system calls ---------------------------------------------------------------------

def listed(*flags):
    """The list, as it is made from the comments in the source."""
    files = [f for room in ("daemon", "io", "ipc") for f in (SOURCE / "src" / room).glob("*.c")]
    out = subprocess.run([SOURCE / "tools/syscalls", *flags, *files], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return set(re.findall(r"(?:SYSCALL\()?(\w+)\)?\n", out))


def work_of_all_kinds(host):
    """What makes the daemon do all that it does, once."""
    listener = host.socket()
    listener.bind(("10.0.0.1", 5000))
    listener.listen()
    for flags in [], ["--no-shim"]:
        finish(host.start("run", *flags, "--", *script("""
            import socket
            outside = socket.create_connection(("10.0.0.1", 5000))
            s = socket.create_server(("127.0.0.1", 5001))
            c = socket.create_connection(("127.0.0.1", 5001))
            a, _ = s.accept()
            a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7)
            a.sendall(bytes(3000000)[:c.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)])
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.bind(("127.0.0.1", 5002))
            u.sendto(b"x", u.getsockname())
            u.recvfrom(10)
            d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            d.connect(u.getsockname())
            d.send(b"x")
            u.recvfrom(10)
            c.connect_ex(("10.0.0.1", 1))
        """)))
    listener.close()
    capture = record(host, "-c", "1")
    host.assert_answers()
    finish(capture)
    host.netstack("sockets", "-p")


def test_list_is_what_is_used(host, tmp_path):
    """What the daemon does after the filter is in force: no call that isn't on the list, but those
    that the keeper does for it; and no call on the list that isn't made, but those whose comment
    says why."""
    daemon = host.spawn("strace", "-ff", "-qq", "-e", "signal=none", "-o", tmp_path / "trace",
                        NETSTACK, "up", "--daemon", "--ping", "10.0.0.1")
    daemon.wait_for("ends it")
    work_of_all_kinds(host)
    os.kill(host.view("status")["pid"], signal.SIGTERM)
    finish(daemon)
    [boxed] = [text for path in tmp_path.glob("trace.*")
               if "seccomp(SECCOMP_SET_MODE_FILTER" in (text := path.read_text())]
    after = boxed.rpartition("seccomp(SECCOMP_SET_MODE_FILTER")[2]
    calls = re.findall(r"^(\w+)\(.*?(?: = -1 (\w+) .*)?$", after, re.M)
    refused = {name for name, error in calls if error == "EACCES"}
    seen = {name for name, _ in calls} - refused
    assert seen - listed() == set()
    assert listed() - seen == listed("--unseen") - seen


def expand(names):
    """The system calls of a list that may have systemd's groups in it."""
    calls = set()
    for name in names:
        inside = []
        if name.startswith("@"):
            out = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True,
                                 text=True, stdout=subprocess.PIPE).stdout
            inside = re.findall(r"^ +([@\w-]+)$", out, re.M)
        calls |= expand(inside) if inside else {name}
    return calls


def unit_lines(key, dropin):
    """What the unit says about a key, with a drop-in after it or None."""
    files = [SOURCE / "share/netstack@.service"]
    files += [SOURCE / "share/netstack@.service.d" / dropin] if dropin else []
    return re.findall(rf"^{key}=(.*)$", "".join(file.read_text() for file in files), re.M)


def unit_calls(dropin):
    """What the lines SystemCallFilter= let through: each adds to the list or takes away."""
    allowed = expand(["@default"])
    for line in unit_lines("SystemCallFilter", dropin):
        calls = expand(line.lstrip("~").split())
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def unit_rights(dropin):
    """The capabilities, as setpriv wants them."""
    [*rights] = " ".join(unit_lines("AmbientCapabilities", dropin)).split()
    assert rights == " ".join(unit_lines("CapabilityBoundingSet", dropin)).split()
    return "-all," + ",".join("+" + right.removeprefix("CAP_").lower() for right in rights)


@pytest.mark.parametrize("dropin, flags", [(None, []), (None, ["--queues", "2"]),
                                           ("queues.conf", ["--queues", "2"])], ids=str)
def test_service_may_do_what_it_does(host, dropin, flags):
    """With the rights that the unit gives, whatever succeeds from beginning to end is a system call
    that the unit lets through; and the kernel steers if a drop-in wants it."""
    host.run("sh", "-ec", """
        install -d -o nobody /run/netstack /run/trace
        mknod -m 666 /run/tun c 10 200
        mount --bind /run/tun /dev/net/tun
    """)
    rights = unit_rights(dropin)
    daemon = host.spawn("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                        f"--inh-caps={rights}", f"--ambient-caps={rights}", f"--bounding-set={rights}",
                        "strace", "-ff", "-qq", "-e", "signal=none", "-o", "/run/trace/of",
                        NETSTACK, "up", *flags)
    daemon.wait_for("ends it")
    assert bool(host.view("status").get("steered")) == bool(dropin)
    host.netstack("down")
    finish(daemon)
    traces = [file.read_text() for file in pathlib.Path(host.root, "run/trace").iterdir()]
    made = set(re.findall(r"^(\w+)\(.* = (?!-1 )", "".join(traces), re.M))
    assert {"seccomp", "landlock_restrict_self", "capset"} <= made
    assert made - unit_calls(dropin) == set()


def test_without(host):
    daemon = host.up("--no-sandbox")
    status = status_of(daemon.pid)
    assert int(status["CapEff"], 16) != 0 and status["Seccomp"] == "0"
    assert [name for name in map(lambda p: status_of(p)["Name"], host.pids()) if "keeper" in name] == []
    host.assert_answers()
