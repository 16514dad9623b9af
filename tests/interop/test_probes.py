"""What people point at a host to learn what it is: traceroute, nmap."""
import re

import pytest


@pytest.mark.parametrize("method", [[], ["-I"], ["-U"]])
def test_traceroute(stack, method):
    trace = stack.run("traceroute", "-n", "-w", "5", "-q", "2", *method, "10.0.0.2")
    hops = trace.stdout.splitlines()[1:]
    assert len(hops) == 1
    assert re.match(r"^ 1  10\.0\.0\.2(  \d+\.\d+ ms){2}$", hops[0])


def test_traceroute_large(stack):
    """Fragmented probes, whose errors quote the first fragment's bytes."""
    trace = stack.run("traceroute", "-n", "-w", "5", "-q", "2", "10.0.0.2", "4000")
    assert re.search(r"^ 1  10\.0\.0\.2(  \d+\.\d+ ms){2}$", trace.stdout, re.M)


def nmap(host, *args):
    """State by protocol or port. An answer that takes longer than nmap expects, by default twice
    the others' but a tenth of a second, is to it none."""
    scan = host.run("nmap", "-n", "-Pn", "--disable-arp-ping", "--max-rate", "100",
                    "--min-rtt-timeout", "1s", "--max-retries", "3", *args, "10.0.0.2", timeout=60)
    return dict(re.findall(r"^(\d+)\S*\s+(\S+)", scan.stdout.split("STATE")[1], re.M))


def test_nmap_protocols(stack):
    """ICMP, TCP and UDP are spoken, and IGMP needs no answer; of all others the stack says so
    (protocol unreachable)."""
    states = nmap(stack, "-sO", "-p", "1,2,6,17,41,47,50,132,255")
    assert states.pop("1") == "open"
    assert states.pop("6") == "open"
    assert states.pop("17") == "open"
    assert states.pop("2") == "open|filtered"
    for protocol, state in states.items():
        assert state == "closed", f"protocol {protocol}"
    stack.assert_answers()


def test_nmap_udp_ports(stack):
    assert set(nmap(stack, "-sU", "-p", "1,53,123,161,33434,65535").values()) == {"closed"}


def test_nmap_finds_the_host(stack):
    """Address scan by ARP, then by ICMP: one host, and it is up."""
    for probe in (["-PR"], ["--disable-arp-ping", "-PE"]):
        scan = stack.run("nmap", "-n", "-sn", *probe, "10.0.0.2")
        assert "1 host up" in scan.stdout
