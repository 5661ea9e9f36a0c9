"""Channels to a volume's agent without a cluster: in this process, or in one of its own; and one that breaks where it is told.

Each is a `lading.ports.volume.Channel`, so a `RemoteVolume` is tested over it as over a stream into a pod.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lading.errors import ChannelClosed, LadingError
from lading.ports.volume import Channel
from lading.volume import agent

_BYTES = 1 << 18


class SocketChannel:
    """A channel over a connected socket."""

    def __init__(self, connected: socket.socket, *, ended: Callable[[], None] = lambda: None) -> None:
        self._socket = connected
        self._ended = ended

    def send(self, data: bytes | memoryview) -> None:
        """Send all of *data*."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ChannelClosed(f"the socket broke: {error}") from error

    def receive(self) -> bytes:
        """The next bytes; empty at the end."""
        try:
            return self._socket.recv(_BYTES)
        except OSError as error:
            raise ChannelClosed(f"the socket broke: {error}") from error

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._ended()


def in_process(root: Path, *, read_only: bool = False) -> Channel:
    """A channel to an agent in a thread of this process."""
    ours, theirs = socket.socketpair()

    def work() -> None:
        peer = SocketChannel(theirs)
        with contextlib.suppress(LadingError):
            agent.serve(root, peer.receive, peer.send, read_only=read_only)
        peer.close()

    thread = threading.Thread(target=work, name="agent-under-test", daemon=True)
    thread.start()
    return SocketChannel(ours, ended=lambda: thread.join(20))


class ProcessChannel:
    """A channel to a program's stdin and stdout: ``lading agent`` by default."""

    def __init__(self, root: Path, *, argv: tuple[str, ...] | None = None, read_only: bool = False) -> None:
        given = argv or (sys.executable, "-m", "lading", "agent", str(root), *(["--read-only"] if read_only else []))
        self.process = subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._lock = threading.Lock()

    def send(self, data: bytes | memoryview) -> None:
        """Send all of *data*."""
        assert self.process.stdin is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self.process.stdin.write(rest) or 0 :]
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"the program ended: {error}") from error

    def receive(self) -> bytes:
        """The next bytes; empty at the end."""
        assert self.process.stdout is not None
        try:
            data = self.process.stdout.read(_BYTES) or b""
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"the program ended: {error}") from error
        if not data:
            self.process.stdout.close()  # by who reads it: nobody else knows that nobody reads any more
        return data

    def close(self) -> None:
        """End its input, and wait for it."""
        assert self.process.stdin is not None
        with self._lock:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            self.process.wait(20)


class BreakingChannel:
    """A channel that breaks after so many bytes in either direction, in the middle of a message too.

    Args:
        sent: How many bytes still get there; None: all.
        received: How many still come back; None: all.
    """

    def __init__(self, inner: Channel, *, sent: int | None = None, received: int | None = None) -> None:
        self._inner = inner
        self._sent = sent
        self._received = received

    def send(self, data: bytes | memoryview) -> None:
        """Send *data*, as much of it as still gets there."""
        if self._sent is None:
            return self._inner.send(data)
        part, self._sent = data[: self._sent], max(0, self._sent - len(data))
        if len(part):
            self._inner.send(part)
        if len(part) < len(data):
            self._inner.close()
            raise ChannelClosed("cut")
        return None

    def receive(self) -> bytes:
        """The next bytes, as many as still come."""
        if self._received == 0:
            self._inner.close()
            raise ChannelClosed("cut")
        data = self._inner.receive()
        if self._received is None:
            return data
        part, self._received = data[: self._received], max(0, self._received - len(data))
        return part

    def close(self) -> None:
        """End it."""
        self._inner.close()
