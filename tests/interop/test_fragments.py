"""Fragments as no ordinary program sends them, by a raw socket."""
import pytest

from packets import ICMP, echo, ipv4, pieces

IDENT = 0x4E53
DATA = bytes(range(256)) * 8  # an echo request of 2,056 bytes


def orders(n):
    ascending = list(range(n))
    return {
        "ascending": ascending,
        "descending": ascending[::-1],
        "last first": [n - 1] + ascending[:-1],
        "first last": ascending[1:] + [0],
        "odd before even": ascending[1::2] + ascending[::2],
        "from the middle": sorted(ascending, key=lambda i: abs(i - n // 2)),
        "every one twice": [i for i in ascending[:-1] for _ in (0, 1)] + [n - 1],
        "all again before the last": ascending[:-1] * 2 + [n - 1],
    }


def send_pieces(wire, message, size, order, ident):
    cut = pieces(message, size)
    for i in order:
        offset, data, more = cut[i]
        wire.send_ip(ipv4("10.0.0.1", "10.0.0.2", ICMP, data, ident, offset, more))


def whole_reply(wire, seq):
    """The data of the echo reply, put together again."""
    first = wire.receive_ip(lambda p: p.is_reply(IDENT, seq))
    assert first, "no answer"
    data, more = first.payload, first.more
    while more:
        part = wire.receive_ip(lambda p: p.ident == first.ident and p.offset == len(data))
        assert part, "a fragment of the answer is missing"
        data, more = data + part.payload, part.more
    return data[8:]


@pytest.mark.parametrize("size", [24, 64, 1000, 1480])
@pytest.mark.parametrize("order", orders(3))
def test_orders(stack, wire, size, order):
    n = len(pieces(echo(IDENT, 1, DATA), size))
    send_pieces(wire, echo(IDENT, 1, DATA), size, orders(n)[order], ident=77)
    assert whole_reply(wire, 1) == DATA
    assert stack.view("status")["memory"]["used"] == 0


def test_two_datagrams_interleaved(stack, wire):
    """Told apart by their identification."""
    first, second = pieces(echo(IDENT, 1, DATA), 512), pieces(echo(IDENT, 2, DATA[::-1]), 512)
    for pair in zip(first, second):
        for ident, (offset, data, more) in zip((100, 101), pair):
            wire.send_ip(ipv4("10.0.0.1", "10.0.0.2", ICMP, data, ident, offset, more))
    assert whole_reply(wire, 1) == DATA
    assert whole_reply(wire, 2) == DATA[::-1]


def test_overlap_is_dropped_with_its_datagram(stack, wire):
    """RFC 5722: nobody can change what has arrived, and nothing of it is answered."""
    message = echo(IDENT, 1, DATA)
    for offset, end, more in ((0, 512, True), (504, 1024, True), (512, 1024, True),
                              (1024, len(message), False)):
        wire.send_ip(ipv4("10.0.0.1", "10.0.0.2", ICMP, message[offset:end], 9, offset, more))
    wire.send_ip(ipv4("10.0.0.1", "10.0.0.2", ICMP, echo(IDENT, 2, b"")))
    assert wire.receive_ip(lambda p: p.is_reply(IDENT, 1) or p.is_reply(IDENT, 2)) \
        .is_reply(IDENT, 2)
    assert stack.drops()["frag_overlap"] >= 1


def test_beyond_65535(stack, wire):
    """The ping of death."""
    wire.send_ip(ipv4("10.0.0.1", "10.0.0.2", ICMP, b"x" * 1480, 9, 65528, False))
    wire.ping(1)
    assert stack.drops()["frag_range"] == 1


def test_more_than_allowed(stack, wire):
    """One datagram of many tiny fragments is given up, and nothing of it is kept."""
    send_pieces(wire, echo(IDENT, 1, DATA), 8, range(257), ident=9)
    wire.ping(2)
    assert stack.drops()["frag_many"] >= 1
    assert stack.view("stats")["memory"]["used"] < 64 * 1024
