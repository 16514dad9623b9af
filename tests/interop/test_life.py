"""The daemon's life: how it ends, what becomes of its device, several of them, in the background,
as somebody else."""
import json
import os
import pathlib
import re
import signal
import socket

import pytest

from conftest import NETSTACK
from netns import PATIENCE, until


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("flags", [[], ["--tun"], ["--user", "nobody"]], ids=str)
def test_signal_ends_it(host, signum, flags):
    before = host.snapshot()
    daemon = host.up(*flags)
    host.assert_answers()
    assert daemon.stop(signum) == 0
    assert daemon.err == ""
    assert host.snapshot() == before


def test_banner(host):
    """What was set up and three commands to try, which work as printed."""
    daemon = host.up("--mac", "02:00:00:00:00:01")
    lines = daemon.out.splitlines()
    assert len(lines) <= 9
    assert "10.0.0.2/24 at 02:00:00:00:00:01, MTU 1500, gateway 10.0.0.1" in daemon.out
    assert "10.0.0.1/24 on tun0" in daemon.out
    commands = [line.strip() for line in lines if line.startswith("  ")][-3:]
    for command in commands:
        if " ping " in f" {command}":
            command = command.replace("ping", "ping -c 1", 1) if command.startswith("ping") \
                else command + " -c 1"
        host.run("sh", "-c", command)


def test_down(stack):
    assert stack.netstack("down").stderr == ""
    assert stack.daemon.wait() == 0
    assert stack.netstack("down", check=False).returncode == 2


@pytest.mark.parametrize("flags", [[], ["--user", "nobody"], ["--no-sandbox"]], ids=str)
@pytest.mark.parametrize("name", ["/run/manager", "@manager"])
def test_service_manager_is_told(host, name, flags):
    """sd_notify(3): once, when whoever is told finds the stack answering."""
    manager = host.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = f"{host.root}{name}" if name.startswith("/") else name.replace("@", "\0")
    manager.bind(path)
    if name.startswith("/"):
        os.chmod(path, 0o777)
    host.spawn("env", f"NOTIFY_SOCKET={name}", NETSTACK, "up", *flags)
    manager.settimeout(PATIENCE)
    assert manager.recv(100) == b"READY=1"
    host.assert_answers()
    host.netstack("down")
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


@pytest.mark.parametrize("name", ["/run/nobody", "@nobody", "", "nobody", "/" + 107 * "x"])
def test_no_service_manager(host, name):
    """A name that came from elsewhere is said to be of no use, and does no harm."""
    daemon = host.spawn("env", f"NOTIFY_SOCKET={name}", NETSTACK, "up")
    daemon.wait_for(r"ends it\.$")
    assert "NOTIFY_SOCKET" in daemon.err
    assert daemon.stop() == 0


@pytest.mark.parametrize("user", [[], ["--user", "nobody"]], ids=str)
def test_background(host, user):
    """--daemon returns once the stack answers."""
    before = host.snapshot()
    host.netstack("up", "--daemon", *user)
    host.assert_answers()
    status = host.view("status")
    assert pathlib.Path(f"/proc/{status['pid']}/cwd").resolve() == pathlib.Path("/")
    assert os.getsid(status["pid"]) == status["pid"]
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{status['pid']}/fd/{fd}") == "/dev/null"
    host.netstack("down")
    until(lambda: reaped(host) == before["processes"], "the daemon is gone")
    assert host.snapshot() == before


def reaped(host):
    """The processes of the host, after taking leave of orphans that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return sorted(host.pids())


def test_background_fails_in_the_foreground(host):
    """What goes wrong is said before --daemon returns."""
    before = host.snapshot()
    up = host.netstack("up", "--daemon", "--nat", "nowhere0", check=False)
    assert up.returncode == 1
    assert up.stderr.startswith("netstack: error: --nat nowhere0: there is no such interface")
    assert len(up.stderr.splitlines()) == 1
    reaped(host)
    assert host.snapshot() == before


def test_another_user(host):
    """Nothing is left to the process but the device, and cleaning up is exact all the same."""
    before = host.snapshot()
    daemon = host.up("--user", "nobody")
    status = status_of(daemon.pid)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].split() in ([], ["65534"])
    for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[caps], 16) == 0
    assert status["NoNewPrivs"] == "1"
    host.assert_answers()
    assert "1 received" in host.netstack("ping", "-c", "1", "10.0.0.1").stdout
    assert daemon.stop() == 0
    assert host.snapshot() == before


def test_another_user_is_no_owner(host):
    """Other processes of the user that the daemon has become may no more than anybody."""
    host.up("--user", "nobody")
    done = host.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all",
                    NETSTACK, "down", check=False)
    assert done.returncode == 1 and "is for root" in done.stderr, done.stderr
    host.assert_answers()


@pytest.mark.parametrize("own_device", [False, True])
def test_another_user_killed(host, own_device):
    """The keeper undoes it, also on a device that stays."""
    if own_device:
        host.run("ip", "tuntap", "add", "dev", "tun0", "mode", "tap")
    before = host.snapshot()
    daemon = host.up("--user", "nobody", "--mtu", "1400", "--queue-length", "50")
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: reaped(host) == before["processes"], "the keeper is gone")
    assert host.snapshot() == before


def test_keeper_killed(host):
    """The daemon is not troubled, and the next start finds its way."""
    daemon = host.up("--user", "nobody")
    keepers = until(lambda: [pid for pid in host.pids()
                             if status_of(pid)["Name"] == "netstack-keeper"], "there is a keeper")
    assert len(keepers) == 1
    os.kill(keepers[0], signal.SIGKILL)
    host.assert_answers()
    assert daemon.stop() == 0
    host.up("--user", "nobody")
    host.assert_answers()


def test_killed_and_started_again(host):
    before = host.snapshot()
    for _ in range(3):
        daemon = host.up()
        host.assert_answers()
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert host.up().stop() == 0
    assert host.snapshot() == before


def test_own_device_is_put_back(host):
    """A device that was there before stays, as it was."""
    host.run("ip", "tuntap", "add", "dev", "tun0", "mode", "tap")
    host.run("ip", "link", "set", "tun0", "mtu", "1400", "txqueuelen", "77")
    before = host.snapshot()
    daemon = host.up("--mtu", "1300")
    host.assert_answers()
    assert daemon.stop() == 0
    assert host.snapshot() == before


def test_directory_of_the_administrator_stays(host):
    host.run("mkdir", "-m", "750", "/run/netstack")
    before = host.snapshot()
    assert host.up().stop() == 0
    assert host.snapshot() == before


def test_several_instances(host):
    """Each with its name, device and network, and none disturbs the others."""
    before = host.snapshot()
    kinds = [[], ["--tun"], ["--no-offload"], ["--user", "nobody"], ["--mtu", "9000"]]
    daemons = [host.up("--name", f"n{i}", "--device", f"tap{i}", "--address", f"10.{i}.0.2/24",
                       *flags) for i, flags in enumerate(kinds)]
    for i in range(len(kinds)):
        host.assert_answers(f"10.{i}.0.2")
        ping = host.netstack("ping", "--name", f"n{i}", "-c", "1", f"10.{i}.0.1")
        assert "1 received" in ping.stdout
        assert host.view("status", "--name", f"n{i}")["addresses"] == [f"10.{i}.0.2/24"]
    host.netstack("down", "--name", "n2")
    assert daemons[2].wait() == 0
    host.assert_answers("10.3.0.2")
    for daemon in daemons[:2] + daemons[3:]:
        assert daemon.stop() == 0
    assert host.snapshot() == before


def test_stacks_reach_each_other_through_the_host(host):
    host.sysctl(ip_forward=1)
    host.up("--name", "a", "--device", "tap0", "--address", "10.0.0.2/24")
    host.up("--name", "b", "--device", "tap1", "--address", "10.1.0.2/24")
    ping = host.netstack("ping", "--name", "a", "-c", "1", "-s", "5000", "10.1.0.2")
    assert "icmp_seq=1 ttl=63" in ping.stdout


def test_many_starters_at_once(host):
    """Of those who want one name, one gets it; the others say so, and leave nothing."""
    starters = [host.start("up", "--device", f"tap{i}") for i in range(6)]
    until(lambda: sum(s.popen.poll() is not None for s in starters) == 5, "all but one give up")
    losers = [s for s in starters if s.popen.poll() is not None]
    for loser in losers:
        assert loser.wait() == 1
        assert re.search("an instance named 'default' is (already running|just starting)",
                         loser.err)
    winner, = [s for s in starters if s not in losers]
    winner.wait_for(r"ends it\.$")
    host.assert_answers()
    assert winner.stop() == 0
    assert host.run("ls", "/run").stdout == ""


# ---- What the host does to the device -------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--user", "nobody"]], ids=str)
def test_device_removed(host, flags):
    """It ends, says why, and leaves nothing."""
    before = host.snapshot()
    daemon = host.up(*flags)
    host.run("ip", "link", "del", "tun0")
    assert daemon.wait() == 1
    errors = [line for line in daemon.err.splitlines() if "error" in line]
    assert errors == ["netstack: error: the device tun0 was removed: ending"]
    assert host.snapshot() == before


def test_link_down_and_up(stack):
    stack.run("ip", "link", "set", "tun0", "down")
    stack.daemon.wait_for("tun0 is down", "err")
    assert not stack.view("status")["device"]["carrier"]
    ping = stack.netstack("ping", "-c", "1", "-W", "0.3", "10.0.0.1", check=False)
    assert ping.returncode != 0
    stack.run("ip", "link", "set", "tun0", "up")
    stack.daemon.wait_for("tun0 is up", "err")
    stack.assert_answers()
    assert "1 received" in stack.netstack("ping", "-c", "1", "10.0.0.1").stdout


def test_device_in_a_bridge(host):
    """Joining a bridge and leaving it concern its port: the link itself stays as it is."""
    daemon = host.up("--host-address", "none")
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "addr", "add", "10.0.0.1/24", "dev", "br0")
    host.run("ip", "link", "set", "tun0", "master", "br0", "up")
    host.run("ip", "link", "set", "br0", "up")
    host.assert_answers()
    host.run("ip", "link", "set", "tun0", "nomaster")
    host.run("ip", "link", "set", "tun0", "master", "br0")
    host.assert_answers()
    assert daemon.popen.poll() is None


def test_mtu_changed(stack):
    for mtu in (600, 9000, 1500):
        stack.run("ip", "link", "set", "tun0", "mtu", str(mtu))
        stack.daemon.wait_for(f"the MTU of tun0 is {mtu} now", "err")
        assert stack.view("status")["device"]["mtu"] == mtu
        for size in (mtu - 28, mtu - 27, 3 * mtu):
            stack.ping("-c", "1", "-s", str(size))
            ping = stack.netstack("ping", "-c", "1", "-s", str(size), "10.0.0.1")
            assert "1 received" in ping.stdout


def test_host_address_removed_meanwhile(host):
    """What has gone by itself needs no undoing, and is no error."""
    before = host.snapshot()
    daemon = host.up()
    host.run("ip", "addr", "flush", "dev", "tun0")
    assert daemon.stop() == 0
    assert daemon.err == ""
    assert host.snapshot() == before


# ---- Words ----------------------------------------------------------------------------------


def test_json_log(host):
    """Every line is an object with the same members; what a stranger sends can't break it."""
    daemon = host.up("--log-json", "--log-level", "debug")
    host.run("ip", "link", "set", "tun0", "mtu", "1400")
    daemon.wait_for("the MTU of tun0", "err")
    host.run("ip", "link", "del", "tun0")
    assert daemon.wait() == 1
    lines = [json.loads(line) for line in daemon.err.splitlines()]
    assert len(lines) >= 2
    for line in lines:
        assert set(line) == {"time", "level", "message"}
        assert line["level"] in ("error", "warning", "info", "debug")
    assert lines[-1]["level"] == "error"
    assert lines[-1]["message"] == "the device tun0 was removed: ending"


def test_json_log_of_a_failure(host):
    up = host.netstack("up", "--log-json", "--nat", "nowhere0", check=False)
    assert up.returncode == 1
    assert json.loads(up.stderr)["level"] == "error"


@pytest.mark.parametrize("level, says", [("error", False), ("info", True)])
def test_log_level(host, level, says):
    daemon = host.up("--log-level", level)
    host.run("ip", "link", "set", "tun0", "mtu", "1400")
    until(lambda: host.view("status")["device"]["mtu"] == 1400, "the MTU has changed")
    assert daemon.stop() == 0
    assert ("MTU" in daemon.err) == says


@pytest.mark.parametrize("command", ["", "up", "down", "ping", "arping", "status", "addr", "route",
                                     "neigh", "metrics", "flush-metrics", "stats", "capture"])
def test_help(host, command):
    """--help is on stdout, with exit code 0, and needs nothing."""
    argv = [command, "--help"] if command else ["--help"]
    text = host.netstack(*argv).stdout
    assert text.startswith(f"Usage: netstack {command}".rstrip())
    assert max(map(len, text.splitlines())) <= 100
    if command:
        assert host.netstack("help", command).stdout == text
