"""What can go wrong at the start: one clear line on stderr, exit code 1 or 2, nothing left."""
import os
import shutil
import tempfile

import pytest

import netns
from conftest import NETSTACK

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def assert_fails(host, argv, code, *says):
    """Runs it, and looks at everything that it might have changed."""
    before = host.snapshot()
    done = host.run(*argv, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("netstack")
    for words in says:
        assert words in done.stderr
    assert host.snapshot() == before


def up(*flags):
    return [NETSTACK, "up", *flags]


@pytest.fixture
def public_netstack():
    """The program where every user can run it."""
    directory = tempfile.mkdtemp(prefix="netstack-")
    os.chmod(directory, 0o755)
    yield shutil.copy(NETSTACK, directory)
    shutil.rmtree(directory)


@pytest.mark.parametrize("flags, says", [
    (["--bogus"], "unknown flag --bogus: see 'netstack up --help'"),
    (["bogus"], "unexpected argument 'bogus'"),
    (["--mtu"], "--mtu needs a value: expected a number of bytes from 68 to 65521"),
    (["--mtu", "67"], "--mtu 67: expected"),
    (["--mtu", "65522"], "--mtu 65522: expected"),
    (["--mac", "01:00:00:00:00:00"], "expected a unicast MAC address"),
    (["--address", "10.0.0.2"], "expected an IPv4 address with its prefix length"),
    (["--address", "10.0.0.0/24"], "is not one that a host can have"),
    (["--address", "10.0.0.255/24"], "is not one that a host can have"),
    (["--address", "127.0.0.2/8"], "is not one that a host can have"),
    (["--address", "10.0.0.2/32"], "leaves no address for the host"),
    (["--address", "10.0.0.2/24", "--address", "10.0.0.2/24"], "is given twice"),
    (["--host-address", "10.0.0.2/24"], "is also the stack's"),
    (["--host-address", "10.9.9.9/24"], "is not on one network with the stack's"),
    (["--gateway", "10.0.1.1"], "is not on a network of the stack"),
    (["--gateway", "10.0.0.2"], "is the stack's own address"),
    (["--name", "../x"], "expected a name of"),
    (["--device", "much-too-long-a-name"], "expected an interface name"),
    (["--user", "nobody-of-that-name"], "expected the name of a user"),
    (["--log-level", "loud"], "expected error, warning, info or debug"),
    (["--acd", "maybe"], "expected off, announce or probe"),
    (["--ping", "somewhere"], "expected the IPv4 address of a host"),
    (["--tun", "--mac", "02:00:00:00:00:01"], "a TUN device has no MAC address"),
    (["--tun=yes"], "takes no value"),
    (["--nat", "tun0"], "is the stack's own device"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_malformed_flag(host, flags, says):
    assert_fails(host, up(*flags), 2, says)


def test_no_rights(host, public_netstack):
    """Without any right, and without the directory that root would make."""
    assert_fails(host, [*AS_NOBODY, public_netstack, "up"], 1, "Permission denied", "root")


@pytest.mark.parametrize("mode, says", [("600", "Permission denied"),  # without udev
                                        ("666", "Operation not permitted")])
def test_no_rights_for_the_device(host, public_netstack, mode, says):
    host.run("mkdir", "-m", "777", "/run/netstack")
    host.run("mount", "-t", "tmpfs", "tmpfs", "/dev/net")
    host.run("mknod", "-m", mode, "/dev/net/tun", "c", "10", "200")
    assert_fails(host, [*AS_NOBODY, public_netstack, "up"], 1, says, "run this as")


def test_no_rights_for_the_host(host, public_netstack):
    """May open a device of its own, but not change the host."""
    host.run("ip", "tuntap", "add", "dev", "tap9", "mode", "tap", "user", "nobody")
    host.run("mkdir", "-m", "777", "/run/netstack")
    host.run("mount", "-t", "tmpfs", "tmpfs", "/dev/net")
    host.run("mknod", "-m", "666", "/dev/net/tun", "c", "10", "200")
    assert_fails(host, [*AS_NOBODY, public_netstack, "up", "--device", "tap9"], 1,
                 "Operation not permitted", "run this as root, or give it CAP_NET_ADMIN")


def test_no_tun_device(host):
    host.run("mount", "-t", "tmpfs", "tmpfs", "/dev/net")
    assert_fails(host, up(), 1, "there is no /dev/net/tun: load the module with 'modprobe tun'")


def test_device_busy(host):
    host.up("--name", "first")
    assert_fails(host, up("--address", "10.1.0.2/24"), 1, "the device tun0 is in use by another",
                 "choose another with --device")


@pytest.mark.parametrize("make, flags, kind", [
    (["tuntap", "add", "dev", "other0", "mode", "tun"], [], "TAP"),
    (["tuntap", "add", "dev", "other0", "mode", "tap"], ["--tun"], "TUN"),
    (["link", "add", "other0", "type", "bridge"], [], "TAP")], ids=["tun", "tap", "bridge"])
def test_device_of_another_kind(host, make, flags, kind):
    host.run("ip", *make)
    assert_fails(host, up("--device", "other0", *flags), 1,
                 f"other0 exists and is not a {kind} device")


def test_address_in_use_on_the_host(host):
    host.run("ip", "link", "add", "eth0", "type", "bridge")
    host.run("ip", "addr", "add", "10.0.0.2/32", "dev", "eth0")
    assert_fails(host, up(), 1, "10.0.0.2 is an address of this host already, on eth0: choose")


def test_network_in_use_on_the_host(host):
    host.run("ip", "link", "add", "eth0", "type", "bridge")
    host.run("ip", "addr", "add", "10.0.0.77/16", "dev", "eth0")
    assert_fails(host, up(), 1, "the network of 10.0.0.2/24 overlaps that of 10.0.0.77/16, which "
                 "the host has on eth0: choose others with --address and --host-address")


def test_unknown_interface(host):
    assert_fails(host, up("--nat", "nowhere0"), 1, "--nat nowhere0: there is no such interface")


def test_missing_file(host):
    assert_fails(host, up("--config", "/run/nothing.conf"), 1,
                 "cannot read /run/nothing.conf: No such file or directory")


def test_instance_already_running(stack):
    assert_fails(stack, up(), 1, "an instance named 'default' is already running (pid "
                 f"{stack.daemon.pid})")
    stack.assert_answers()


def test_foreign_file_in_place_of_the_socket(host):
    """Something of somebody else's is not removed."""
    host.run("mkdir", "/run/netstack")
    host.run("touch", "/run/netstack/default.sock")
    assert_fails(host, up(), 1, "/run/netstack/default.sock")


@pytest.mark.parametrize("command", ["status", "addr", "route", "neigh", "metrics", "stats", "down",
                                     "capture", "flush-metrics all", "ping 10.0.0.1", "arping 10.0.0.1"])
def test_daemon_not_running(host, command):
    assert_fails(host, [NETSTACK, *command.split()], 2, "no netstack instance named 'default' is "
                 "running; start one with: sudo netstack up")
    assert_fails(host, [NETSTACK, *command.split(), "--name", "x"], 2,
                 "no netstack instance named 'x' is running; start one with: sudo netstack up "
                 "--name x")


@pytest.mark.parametrize("command", ["down", "capture", "arping 10.0.0.1",
                                     "flush-metrics all"])
def test_not_the_owner(stack, public_netstack, command):
    """Any user may look and ping, but not this."""
    done = stack.run(*AS_NOBODY, public_netstack, *command.split(), check=False)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1
    assert "for root and for the user who started the instance" in done.stderr
    stack.assert_answers()


@pytest.mark.parametrize("command", ["status", "stats --json", "ping -c 1 10.0.0.1"])
def test_any_user(stack, public_netstack, command):
    stack.run(*AS_NOBODY, public_netstack, *command.split())


def test_left_over_of_a_killed_instance(host):
    """The socket of a dead daemon is no daemon, and no obstacle."""
    daemon = host.up()
    daemon.send(netns.signal.SIGKILL)
    daemon.wait()
    assert_fails(host, [NETSTACK, "status"], 2, "no netstack instance named 'default' is running")
    host.up()
    host.assert_answers()


@pytest.mark.parametrize("args", [["pin"], ["--bogus"], ["ping"], ["ping", "-c", "x", "10.0.0.1"],
                                  ["ping", "--bogus"], ["status", "extra"]], ids=" ".join)
def test_malformed_command(host, args):
    assert_fails(host, [NETSTACK, *args], 2)
