"""`netstack ping` and `netstack arping`: the same words and exit codes as iputils' programs."""
import re
import signal

import pytest

import devices
from netns import PATIENCE, until

SUMS = r"(\d+) packets transmitted, (\d+) received, [\d.]+% packet loss"
UNTIL_ANSWERED = ("-w", int(PATIENCE))  # ask again while an answer is late, and count answers


def normalised(text):
    """Without what differs from run to run: times, and who we are."""
    for pattern, replacement in ((r"time=[\d.]+ ms", "time=T"), (r"time \d+ms", "time T"),
                                 (r"= [\d./]+ ms", "= T"), (r"(, )?pipe \d+", ""),
                                 (r"ipg/ewma [\d./]+ ms", "ipg/ewma T"),
                                 (r"From (10\.0\.0\.[12]|198\.51\.100\.[12]) ", "From US ")):
        text = re.sub(pattern, replacement, text)
    return text


def first_answers(text, count):
    """The output of a ping with a deadline, which may have had to ask more often: without what
    came beyond `count`, as if each answer had been in time."""
    lines = [line for line in text.splitlines()
             if not (seq := re.search(r"icmp_seq=(\d+) ", line)) or int(seq[1]) <= count]
    sent, received = map(int, re.search(SUMS, text).groups())
    assert count <= received <= sent
    return re.sub(SUMS, f"{count} packets transmitted, {count} received, 0% packet loss",
                  "\n".join(lines))


def assert_same(host, *args, trim=lambda text: text):
    """Our ping against iputils', of the same target; returns ours and its exit code."""
    theirs, ours = host.spawn("ping", *args), host.start("ping", *args)
    code = ours.wait()
    assert code == theirs.wait()
    assert normalised(trim(ours.out)) == normalised(trim(theirs.out))
    return ours, code


@pytest.mark.parametrize("args", [
    ["-c", "3", "-i", "0.01"], ["-n", "-c", "2", "-i", "0.01"],
    ["-q", "-c", "3", "-i", "0.01"], ["-c", "2", "-i", "0.01", "-s", "0"],
    ["-c", "2", "-i", "0.01", "-s", "8"], ["-c", "2", "-i", "0.01", "-s", "15"],
    ["-c", "2", "-i", "0.01", "-s", "16"], ["-c", "2", "-i", "0.01", "-s", "1473"],
    ["-c", "2", "-i", "0.1", "-s", "65507"], ["-c", "2", "-i", "0.01", "-t", "1"],
    ["-c", "5", "-i", "0", "-q"]], ids=" ".join)
def test_like_iputils(stack, args):
    count = int(args[args.index("-c") + 1])
    _, code = assert_same(stack, *args, *UNTIL_ANSWERED, "10.0.0.1",
                          trim=lambda text: first_answers(text, count))
    assert code == 0


@pytest.mark.parametrize("args", [["-c", "1"], ["-c", "1", "-W", "5"]], ids=" ".join)
def test_one_like_iputils(stack, args):
    """Without a deadline, where nothing but the time to linger ends the wait for the first answer."""
    ours, code = assert_same(stack, *args, "10.0.0.1")
    assert code == 0
    assert "1 packets transmitted, 1 received, 0% packet loss" in ours.out


def test_deadline_ends_with_an_error(stack):
    """One that comes after three seconds; how many requests there were is a matter of moments."""
    trim = lambda text: re.sub(r"\d+ packets transmitted|\+\d+ errors|(From .*\n)+", "", text)
    _, code = assert_same(stack, "-c", "20", *UNTIL_ANSWERED, "10.0.0.77", trim=trim)
    assert code == 1


@pytest.mark.parametrize("args", [["-c", "2", "-i", "0.1"], ["-q", "-c", "1"]], ids=" ".join)
def test_unreachable_neighbour(stack, args):
    ours, code = assert_same(stack, *args, "10.0.0.77")
    assert code == 1
    assert ("Destination Host Unreachable" in ours.out) == ("-q" not in args)


def test_no_answer(stack):
    """A neighbour that is there and says nothing."""
    stack.run("ip", "addr", "add", "10.0.0.8/24", "dev", "tun0")
    stack.sysctl(icmp_echo_ignore_all=1)
    _, code = assert_same(stack, "-c", "2", "-i", "0.1", "-W", "0.2", "10.0.0.8")
    assert code == 1


def test_no_route(host):
    """As iputils' ping says when there is no default route."""
    host.up("--gateway", "none")
    ours = host.netstack("ping", "-c", "1", "192.0.2.1", check=False)
    theirs = host.run("ping", "-c", "1", "192.0.2.1", check=False)
    assert ours.returncode == theirs.returncode == 2
    assert ours.stderr == theirs.stderr == "ping: connect: Network is unreachable\n"


def test_ttl_exceeded_on_the_way(internet):
    host, _, _ = internet
    host.up("--nat", "wan0")
    ours = host.netstack("ping", "-n", "-c", "2", "-i", "0.1", "-t", "1", "8.8.8.8", check=False)
    theirs = host.run("ping", "-n", "-c", "2", "-i", "0.1", "-t", "1", "8.8.8.8", check=False)
    assert normalised(ours.stdout) == normalised(theirs.stdout)
    assert "From 10.0.0.1 icmp_seq=1 Time to live exceeded" in ours.stdout
    assert ours.returncode == theirs.returncode == 1
    second = host.netstack("ping", "-n", "-c", "1", "-t", "2", "8.8.8.8", check=False)
    assert "From 198.51.100.1 icmp_seq=1 Time to live exceeded" in second.stdout


def test_many_users_at_once(stack):
    """Each gets its own answers, and as whom they run makes no difference."""
    pings = [stack.start("ping", "-c", "20", *UNTIL_ANSWERED, "-i", "0.02", "-s", 50 * i, "10.0.0.1")
             for i in range(20)]
    for i, ping in enumerate(pings):
        assert ping.wait() == 0, ping
        answers = re.findall(r"^(\d+) bytes from 10\.0\.0\.1: icmp_seq=(\d+) ", ping.out, re.M)
        assert answers == [(str(50 * i + 8), str(seq + 1)) for seq in range(len(answers))]
        assert int(re.search(SUMS, ping.out)[2]) == len(answers) >= 20
    until(lambda: stack.view("status")["sockets"] == 0, "all of them have gone")
    counters = stack.counters()
    assert counters["icmp.in"] >= 400 and not counters["icmp.errors_in"]
    assert stack.icmp("InEchos") == stack.icmp("OutEchoReps")


def test_interrupted(stack):
    """Ctrl-C ends it with the summary; Ctrl-\\ shows the sums so far."""
    ping = stack.start("ping", "-i", "0.01", "10.0.0.1")
    ping.wait_for(r"icmp_seq=5 ")
    ping.send(signal.SIGQUIT)
    sums = ping.wait_for(r"^\r?(\d+)/(\d+) packets, (\d+)% loss, min/avg/ewma/max = ", "err")
    received, sent, loss = map(int, sums.groups())
    assert 5 <= received <= sent and loss == 100 * (sent - received) // sent
    assert ping.stop(signal.SIGINT) == 0
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received, ",
                                        ping.out).groups())
    assert sent >= received == len(re.findall("^64 bytes from", ping.out, re.M))


def test_daemon_ends_meanwhile(stack):
    ping = stack.start("ping", "-i", "3600", "10.0.0.1")
    ping.wait_for("icmp_seq=1 ")
    assert stack.daemon.stop() == 0
    assert ping.wait() == 1
    assert ping.err == "netstack: the netstack daemon ended\n"
    assert "1 received" in ping.out


def test_flags_of_an_impossible_kind(stack):
    for args in (["-c", "0", "10.0.0.1"], ["-s", "65508", "10.0.0.1"], ["-t", "0", "10.0.0.1"],
                 ["-t", "256", "10.0.0.1"], ["-i", "x", "10.0.0.1"], ["-Z", "10.0.0.1"], [],
                 ["10.0.0.1", "10.0.0.2"], ["10.0.0.256"], ["-W", "-1", "10.0.0.1"]):
        ping = stack.netstack("ping", *args, check=False)
        assert ping.returncode == 2, args
        assert ping.stderr and not ping.stdout, args


def test_arping(stack):
    arping = stack.netstack("arping", "-c", "2", *UNTIL_ANSWERED, "-i", "0.01", "10.0.0.1")
    mac = stack.mac("tun0").upper()
    lines = arping.stdout.splitlines()
    assert lines[0] == f"ARPING 10.0.0.1 from 10.0.0.2 {devices.NAME}"
    for line in lines[1:-2]:
        assert re.match(rf"^Unicast reply from 10\.0\.0\.1 \[{mac}\]  [\d.]+ms$", line)
    probes, broadcasts = map(int, re.fullmatch(r"Sent (\d+) probes \((\d+) broadcast\(s\)\)",
                                               lines[-2]).groups())
    assert lines[-1] == f"Received {len(lines[1:-2])} response(s)"
    assert 2 <= len(lines[1:-2]) <= probes and 1 <= broadcasts <= probes


def test_arping_nobody(stack):
    arping = stack.netstack("arping", "-c", "1", "-w", "0.3", "10.0.0.9", check=False)
    assert arping.returncode == 1
    assert "Received 0 response(s)" in arping.stdout


def test_arping_detects_duplicates(stack):
    assert stack.netstack("arping", "-D", "-c", "1", *UNTIL_ANSWERED, "10.0.0.1",
                          check=False).returncode == 1
    assert stack.netstack("arping", "-D", "-c", "1", "-w", "0.3", "10.0.0.9").returncode == 0


def test_arping_needs_ethernet(host):
    host.up("--tun")
    arping = host.netstack("arping", "-c", "1", "10.0.0.1", check=False)
    assert arping.returncode == 2
    assert len(arping.stderr.splitlines()) == 1
