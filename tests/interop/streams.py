"""Streams of bytes that both ends know, and their way through a socket."""
import contextlib
import hashlib
import random
import socket
import threading

MIB = 1 << 20


class Data:
    """A stream of bytes without end, always the same for a seed."""

    def __init__(self, seed=1):
        self.block = random.Random(seed).randbytes(MIB)

    def pieces(self, size):
        for at in range(0, size, MIB):
            yield self.block[:min(MIB, size - at)]

    def digest(self, size):
        digest = hashlib.sha256()
        for piece in self.pieces(size):
            digest.update(piece)
        return digest.hexdigest()


@contextlib.contextmanager
def sending(sock, pieces):
    """Sends in the background, then ends that half; an error is raised at the end."""
    failed = []

    def run():
        try:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def receive(sock):
    """Everything to the end: (length, digest)."""
    digest, length = hashlib.sha256(), 0
    while data := sock.recv(MIB):
        digest.update(data)
        length += len(data)
    return length, digest.hexdigest()
