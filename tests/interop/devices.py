"""The device that the suite's daemons run on, $NETSTACK_DEVICE, and the tests which that leaves out.

`make test` runs the suite on a TAP device with its offloads, `make test-devices` on all others. What
a test asks for itself it has on each of them.
"""
import os

KINDS = {
    "tap": [],
    "tap-plain": ["--no-offload"],
    "tun": ["--tun"],
    "tun-plain": ["--tun", "--no-offload"],
    "packet": ["--device", "packet:stack0"],
    "packet-plain": ["--device", "packet:stack0", "--no-offload"],
}

KIND = os.environ.get("NETSTACK_DEVICE", "tap")
IS_TUN, IS_PACKET = KIND.startswith("tun"), KIND.startswith("packet")
NAME = "stack0" if IS_PACKET else "tun0"  # as the stack names it; for the host it is tun0

# With these a test asks for its own.
OWN = {"--device", "-d", "--tun", "--no-offload"}
if IS_TUN:
    OWN |= {"--mac"}
if IS_PACKET:  # somebody else's interface, of which the stack sets nothing
    OWN |= {"--config", "--host-address", "--mtu", "--nat", "--queue-length", "--queues"}

# What isn't asked of a kind of device, and why; by the beginnings of tests' names.
LEFT_OUT = {
    "plain": {
        "it is about offloads": ["test_tcp.py::test_udp_segmentation", "test_views.py::test_status"],
    },
    "tun": {
        "there is no Ethernet": [
            "test_arping.py", "test_capture.py::test_snap_length", "test_cli_ping.py::test_arping",
            "test_hostile.py::test_arp_flood", "test_hostile.py::test_scan_of_a_large_network",
            "test_life.py::test_device_in_a_bridge", "test_tcp_impaired.py",
            "test_views.py::test_neigh", "test_views.py::test_text_and_json_agree[neigh]",
            "test_views.py::test_probed_address",
        ],
        "nobody says that a neighbour isn't there": [
            "test_cli_ping.py::test_deadline_ends_with_an_error",
            "test_cli_ping.py::test_unreachable_neighbour",
            "test_ping.py::test_another_host_is_not_answered_for",
            "test_semantics.py::test_same[shim-connect]",
            "test_semantics.py::test_same[traps-connect]", "test_tcp.py::test_nc_tells_why_not",
        ],
        "it is about a TAP device": [
            "test_config.py::test_everything_from_the_file", "test_failures.py::test_device_busy",
            "test_life.py::test_another_user_killed", "test_life.py::test_own_device_is_put_back",
            "test_views.py::test_status",
        ],
    },
    "packet": {
        "it is about a device that the daemon makes": [
            "test_config.py", "test_failures.py", "test_life.py", "test_nat.py",
            "test_queues.py", "test_views.py::test_status",
        ],
    },
}


def why_not(test):
    """Why the device isn't one for this test, of a name like "test_x.py::test_y[z]"; or None."""
    for part in KIND.split("-"):
        for why, beginnings in LEFT_OUT.get(part, {}).items():
            if test.startswith(tuple(beginnings)):
                return why
    return None


def flags(host, wanted):
    """What `netstack up` on `host` is given for the device, besides the flags that are `wanted`."""
    wanted = {str(flag) for flag in wanted}
    if wanted & OWN:
        return []
    return KINDS[KIND] + (on_veth(host, wanted) if IS_PACKET else [])


def on_veth(host, wanted):
    """Makes the pair, unless it is there from before; nothing about it is the stack's to choose."""
    if host.run("ip", "link", "show", "tun0", check=False).returncode != 0:
        host.run("ip", "link", "add", "tun0", "type", "veth", "peer", "name", "stack0")
        host.run("ip", "addr", "add", "10.0.0.1/24", "dev", "tun0")
        for link in ("tun0", "stack0"):
            host.run("ip", "link", "set", link, "up")
    defaults = {"--address": "10.0.0.2/24", "--gateway": "10.0.0.1"}
    return [word for flag in defaults.items() if flag[0] not in wanted for word in flag]
