"""Frames in literal bytes, and a raw wire to put them on: what no ordinary program would send."""
import ipaddress
import socket
import struct
import time

from netns import PATIENCE

SO_RCVBUFFORCE = 33  # which Python has no name for
RCVBUF = 16 << 20  # for what comes back while a test only sends
BURST = 400  # frames; less than the device's queue holds
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, 0x0800, 0x0806
ETH_LEN = 14
ICMP, UDP = 1, 17
BROADCAST, NO_MAC = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def addr_bytes(addr):
    return ipaddress.IPv4Address(addr).packed


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(dst, src, ethertype, payload):
    return mac_bytes(dst) + mac_bytes(src) + struct.pack("!H", ethertype) + payload


def arp(op, sha, spa, tha, tpa):
    return (struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, op) + mac_bytes(sha) + addr_bytes(spa) +
            mac_bytes(tha) + addr_bytes(tpa))


def ipv4(src, dst, proto, payload, ident=0, offset=0, more=False, ttl=64):
    """`offset` in bytes, as the payload's place in the whole."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident,
                         (0x2000 if more else 0) | offset // 8, ttl, proto, 0,
                         addr_bytes(src), addr_bytes(dst))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def echo(ident, seq, data, kind=8):
    message = struct.pack("!BBHHH", kind, 0, 0, ident, seq) + data
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def pieces(message, size):
    """Cuts it up: (offset, bytes, more)."""
    return [(at, message[at:at + size], at + size < len(message))
            for at in range(0, len(message), size)]


class Packet:
    """A received frame's IPv4 packet, as far as a test looks at it."""

    def __init__(self, frame):
        self.frame = frame
        self.ip = frame[14:]
        self.proto = self.ip[9]
        self.ident, fragment = struct.unpack("!HH", self.ip[4:8])
        self.more, self.offset = bool(fragment & 0x2000), (fragment & 0x1FFF) * 8
        self.src = str(ipaddress.IPv4Address(self.ip[12:16]))
        self.dst = str(ipaddress.IPv4Address(self.ip[16:20]))
        self.payload = self.ip[20:struct.unpack("!H", self.ip[2:4])[0]]

    def is_reply(self, ident, seq):
        return (self.proto == ICMP and self.offset == 0 and
                self.payload[:2] == b"\0\0" and
                self.payload[4:8] == struct.pack("!HH", ident, seq))


class Wire:
    """The host's end of a device, for whole frames; as anybody on that network could send them. Where
    there is no Ethernet (`stack_mac` is None) they lose and gain its header here."""

    def __init__(self, ns, device, stack_mac):
        self.is_bare = stack_mac is None
        self.mac, self.stack_mac = (NO_MAC, NO_MAC) if self.is_bare else (ns.mac(device), stack_mac)
        self.socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF)
        with ns.entered():
            self.socket.bind((device, ETH_P_ALL))

    def send(self, frame):
        self.socket.send(frame[ETH_LEN:] if self.is_bare else frame)

    def send_ip(self, packet, src=None):
        self.send(eth(self.stack_mac, src or self.mac, ETH_P_IP, packet))

    def receive(self, wanted, patience=PATIENCE):
        """The next frame from the other side that is `wanted`; None if none comes."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, source = self.socket.recvfrom(65600)
            except TimeoutError:
                return None
            if self.is_bare:
                frame = eth(NO_MAC, NO_MAC, ETH_P_IP, frame)
            if source[2] != socket.PACKET_OUTGOING and wanted(frame):
                return frame
        return None

    def receive_ip(self, wanted):
        """As receive(), of IPv4 packets."""
        frame = self.receive(lambda f: f[12:14] == b"\x08\x00" and wanted(Packet(f)))
        return frame and Packet(frame)

    def ping(self, seq, src="10.0.0.1", dst="10.0.0.2", ident=0x4E53):
        """Pings and waits for the answer: then all that was sent before has been judged."""
        self.send_ip(ipv4(src, dst, ICMP, echo(ident, seq, b"in order")))
        assert self.receive_ip(lambda p: p.is_reply(ident, seq)), "no answer"

    def flood(self, frames):
        """Sends them as fast as the stack takes them: none is lost on the way to it."""
        for i, frame in enumerate(frames):
            if i % BURST == 0:
                self.ping(i // BURST)
            self.send(frame)
        self.ping(0xFFFF)

    def close(self):
        self.socket.close()
