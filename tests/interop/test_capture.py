"""`netstack capture`: other people's programs must read what it writes."""
import functools
import pathlib
import re
import signal

import pytest

import devices
from conftest import NETSTACK
from netns import until


def record(host, *args, file="/run/x.pcapng"):
    """Starts a capture to a file; returns when it records, which the file's header tells."""
    process = host.start("capture", "-w", file, *args)
    path = pathlib.Path(host.root + file)
    until(lambda: path.exists() and path.stat().st_size > 0, "the capture has begun")
    return process


def catch_up(host):
    """Waits until the file has what crosses the link now, and with it the count of what is missing
    before."""
    path = pathlib.Path(host.root, "run/x.pcapng")
    until(lambda: host.ping("-c", "1", "-p", "c0ffee11") and
          b"\xc0\xff\xee\x11" in path.read_bytes(), "the capture is up to date")


@pytest.fixture
def capture(stack):
    """Starts a capture of `stack`."""
    return functools.partial(record, stack)


def tshark(host, *args):
    return host.run("tshark", "-n", "-r", "/run/x.pcapng", *args).stdout


def test_file_is_readable(stack, capture):
    recorder = capture()
    stack.ping("-c", "3", "-i", "0.01", "-s", "4000")
    stack.run("bash", "-c", "echo x >/dev/udp/10.0.0.2/99")
    catch_up(stack)
    assert recorder.stop(signal.SIGINT) == 0
    assert re.fullmatch(r"\d+ frames captured, 0 missed\n", recorder.err)

    echoes = tshark(stack, "-Y", "icmp.type == 8 && icmp.seq < 4").splitlines()
    replies = tshark(stack, "-Y", "icmp.type == 0").splitlines()
    assert len(echoes) >= 3 and len(replies) >= 4
    assert "Malformed" not in tshark(stack, "-V")
    comments = tshark(stack, "-Y", "udp.dstport == 99 && !icmp", "-T", "fields", "-e",
                      "frame.comment")
    assert comments == "dropped: udp_port: no UDP socket on that port\n"
    directions = set(tshark(stack, "-Y", "arp || icmp", "-T", "fields", "-e", "ip.src", "-e",
                            "frame.packet_flags_direction").split("\n"))
    assert {"10.0.0.1\t0x00000001", "10.0.0.2\t0x00000002"} <= directions


def test_checksums_are_right(stack, capture):
    recorder = capture()
    stack.ping("-c", "2", "-i", "0.01", "-s", "3000")
    catch_up(stack)
    assert recorder.stop(signal.SIGINT) == 0

    def sums(status):
        return tshark(stack, "-o", "ip.check_checksum:TRUE", "-Y", "ip.src == 10.0.0.2 && ("
                      f'ip.checksum.status == "{status}" || icmp.checksum.status == "{status}")')
    assert sums("Good") and not sums("Bad")


def test_capinfos_and_tcpdump(stack, capture):
    recorder = capture("-c", "6")
    stack.ping("-c", "10", "-i", "0.01")
    assert recorder.wait() == 0
    info = stack.run("capinfos", "/run/x.pcapng").stdout
    assert re.search(r"Number of packets: +6\b", info)
    assert re.search(r"File type: .*pcapng", info)
    assert f"Name = {devices.NAME}" in info
    dump = stack.run("tcpdump", "-n", "-r", "/run/x.pcapng").stdout
    assert len(dump.splitlines()) == 6
    assert "ICMP echo re" in dump


def test_on_a_pipe(stack):
    """As `netstack capture -w - | tshark -i -`."""
    pipe = stack.spawn("sh", "-c", '"$0" capture -w - | tshark -n -l -i - -c 20', NETSTACK)
    until(lambda: stack.ping("-c", "2", "-i", "0.01") and pipe.popen.poll() is not None,
          "tshark has seen enough")
    assert pipe.wait() == 0
    assert len(re.findall(r"Echo \(ping\) (request|reply)", pipe.out)) >= 2


def test_tun_has_no_link_header(host):
    host.up("--tun")
    recorder = record(host, "-c", "30")
    host.ping("-c", "30", "-i", "0.01")
    assert recorder.wait() == 0
    assert "Raw IP" in host.run("capinfos", "-E", "/run/x.pcapng").stdout
    assert "Echo (ping) reply" in tshark(host)


def test_snap_length(stack, capture):
    recorder = capture("-s", "60", "-c", "30")
    stack.ping("-c", "30", "-i", "0.01", "-s", "1000")
    assert recorder.wait() == 0
    lengths = tshark(stack, "-Y", "ip", "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len")
    assert "1042\t60" in lengths


def test_lines_for_people(stack):
    viewer = stack.start("capture")
    stack.spawn("ping", "-n", "-i", "0.05", "10.0.0.2")
    viewer.wait_for("ICMP")
    stack.run("bash", "-c", "echo x >/dev/udp/10.0.0.2/99")
    viewer.wait_for(rf"^\d\d:\d\d:\d\d\.\d{{6}} {devices.NAME} in  .*10\.0\.0\.1.*10\.0\.0\.2.*echo")
    viewer.wait_for(rf"^\d\d:\d\d:\d\d\.\d{{6}} {devices.NAME} out .*10\.0\.0\.2.*10\.0\.0\.1.*echo")
    viewer.wait_for(r"\[dropped: udp_port: no UDP socket on that port\]$")
    assert viewer.stop(signal.SIGINT) == 0


def test_during_a_flood(stack, capture):
    """Nothing is lost to the ping, and what the capture misses it counts."""
    recorder = capture()
    stack.echoes(5000, "-q", "-f", "-s", "1400")
    catch_up(stack)
    assert recorder.stop(signal.SIGINT) == 0
    frames, missed = map(int, re.match(r"(\d+) frames captured, (\d+) missed",
                                       recorder.err).groups())
    assert frames + missed >= 10000
    assert len(tshark(stack, "-T", "fields", "-e", "frame.number").split()) == frames


def test_stopped_reader_stops_nobody(stack, capture):
    """A capture that doesn't read loses frames; the stack goes on, within bounds of memory."""
    recorder = capture()
    recorder.send(signal.SIGSTOP)
    stack.ping("-q", "-f", "-c", "5000", "-s", "1400")
    assert stack.rss(stack.daemon.pid) < 256 << 20
    recorder.send(signal.SIGCONT)
    catch_up(stack)
    assert recorder.stop(signal.SIGINT) == 0
    assert int(re.search(r"(\d+) missed", recorder.err)[1]) > 0


def test_unwritable_file(stack):
    done = stack.netstack("capture", "-w", "/nowhere/x", check=False)
    assert done.returncode == 2
    assert done.stderr == "netstack: cannot write /nowhere/x: No such file or directory\n"


def test_full_disk(stack):
    stack.run("mkdir", "/run/small")
    stack.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/run/small")
    recorder = record(stack, file="/run/small/x")
    stack.ping("-q", "-f", "-c", "200", "-s", "1400")
    assert recorder.wait() == 1
    assert "No space left on device" in recorder.err
    stack.assert_answers()


def test_daemon_ends_meanwhile(stack, capture):
    recorder = capture()
    stack.assert_answers()
    assert stack.daemon.stop() == 0
    assert recorder.wait() == 1
    assert "the netstack daemon ended" in recorder.err
    assert "Echo (ping) reply" in tshark(stack)
