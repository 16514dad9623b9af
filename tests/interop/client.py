"""The client library, as Python sees it: sockets of the stack in the test's own process.

The daemon runs in a namespace, with its own /run; the library finds it there by $NETSTACK_SOCKET,
which must not be set for the daemon itself.
"""
import ctypes
import os
import socket
import struct

# An interpreter that is not sanitized can't load a library that is: then it takes the plain one.
LIBRARY = os.environ.get("NETSTACK_PLAIN_CLIENT") or os.environ.get(
    "NETSTACK_CLIENT", "build/src/client/libnetstack-client.so")


def _raised(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _packed(name):
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(name[1]),
                       socket.inet_aton(name[0]))


def _unpacked(raw):
    _, port, host = struct.unpack("=HH4s8x", raw)
    return socket.inet_ntoa(host), socket.ntohs(port)


class Name:
    """Room for an address that a call fills in."""

    def __init__(self):
        self.raw = ctypes.create_string_buffer(16)
        self.len = ctypes.c_uint(16)
        self.args = (self.raw, ctypes.byref(self.len))

    def value(self):
        return _unpacked(self.raw.raw)


class Client:
    def __init__(self):
        self.lib = ctypes.CDLL(LIBRARY)
        for call in ("sendto", "recvfrom", "sendmsg", "recvmsg"):
            getattr(self.lib, f"nst_client_{call}").restype = ctypes.c_ssize_t
        self.handle = ctypes.c_void_p()
        _raised(self.lib.nst_client_open(ctypes.byref(self.handle), None))

    def close(self):
        self.lib.nst_client_close(self.handle)

    def socket(self, kind=socket.SOCK_STREAM, protocol=0, family=socket.AF_INET, nonblocking=False):
        flags = socket.SOCK_CLOEXEC | (socket.SOCK_NONBLOCK if nonblocking else 0)
        fd = _raised(self.lib.nst_client_socket(self.handle, family, kind | flags, protocol))
        return Socket(self, fd)


class Socket:
    """A descriptor with the library's calls; `file` has the kernel's."""

    def __init__(self, client, fd):
        self.client, self.lib = client, client.lib
        self.file = socket.socket(fileno=fd)
        self.fd = fd

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.fd

    def close(self):
        self.file.close()

    def _call(self, op, *args):
        return _raised(getattr(self.lib, f"nst_client_{op}")(self.client.handle, self.fd, *args))

    def _local(self, op, *args):
        return _raised(getattr(self.lib, f"nst_client_{op}")(self.fd, *args))

    def bind(self, name):
        self._call("bind", _packed(name), 16)
        return self

    def connect(self, name):
        self._call("connect", _packed(name), 16)
        return self

    def connect_errno(self, name):
        return -self.lib.nst_client_connect(self.client.handle, self.fd, _packed(name), 16)

    def listen(self, backlog=16):
        self._call("listen", backlog)
        return self

    def accept(self, nonblocking=False):
        name = Name()
        flags = socket.SOCK_NONBLOCK if nonblocking else 0
        return Socket(self.client, self._local("accept", *name.args, flags)), name.value()

    def getsockname(self):
        name = Name()
        self._call("getsockname", *name.args)
        return name.value()

    def getpeername(self):
        name = Name()
        self._local("getpeername", *name.args)
        return name.value()

    def setsockopt(self, level, option, value):
        raw = struct.pack("i", value) if isinstance(value, int) else value
        self._call("setsockopt", level, option, raw, len(raw))

    def getsockopt(self, level, option, room=4):
        raw, size = ctypes.create_string_buffer(room), ctypes.c_uint(room)
        self._call("getsockopt", level, option, raw, ctypes.byref(size))
        return struct.unpack("i", raw.raw)[0] if room == 4 else raw.raw[:size.value]

    def error(self):
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def sendto(self, data, name):
        return self._local("sendto", data, ctypes.c_size_t(len(data)), 0, _packed(name), 16)

    def recvfrom(self, room=65536):
        raw, name = ctypes.create_string_buffer(room), Name()
        got = self._local("recvfrom", raw, ctypes.c_size_t(room), 0, *name.args)
        return raw.raw[:got], name.value()

    def recvmsg(self, room=65536):
        """Data, source, and the control messages by type."""
        data, control, name = (ctypes.create_string_buffer(n) for n in (room, 256, 16))
        iov = struct.pack("PN", ctypes.addressof(data), room)
        vector = ctypes.create_string_buffer(iov, len(iov))
        msg = ctypes.create_string_buffer(
            struct.pack("PI4xPNPNi4x", ctypes.addressof(name), 16, ctypes.addressof(vector), 1,
                        ctypes.addressof(control), 256, 0))
        got = self._local("recvmsg", msg, 0)
        fields = struct.unpack_from("PI4xPNPNi4x", msg)
        told, at = {}, 0
        while at < fields[5]:
            size, _, kind = struct.unpack_from("Nii", control, at)
            told[kind] = control.raw[at + 16:at + size]
            at += (size + 7) & ~7
        return data.raw[:got], _unpacked(name.raw), told
