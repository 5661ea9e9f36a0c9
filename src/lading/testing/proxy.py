"""A TCP proxy on loopback that counts what a real server sent, and can hold or cut it.

What was fetched again after a kill is counted here, not by the one who fetched.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE_BYTES = 1 << 16


@dataclass(slots=True)
class Counting:
    """A running proxy.

    Attributes:
        port: Where it listens.
        sent_bytes: From the server to all clients so far, headers included.
        taken_bytes: From all clients to the server.
        rate_bytes_per_s: Of each connection; None: as fast as it goes.
    """

    port: int
    rate_bytes_per_s: float | None = None
    sent_bytes: int = 0
    taken_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ends: list[socket.socket] = field(default_factory=list)

    def count(self, size_bytes: int) -> None:
        """Note bytes of the server; waits where a rate is set."""
        with self._lock:
            self.sent_bytes += size_bytes
        if self.rate_bytes_per_s is not None:
            time.sleep(size_bytes / self.rate_bytes_per_s)

    def count_taken(self, size_bytes: int) -> None:
        """Note bytes of a client."""
        with self._lock:
            self.taken_bytes += size_bytes

    def carry(self, *ends: socket.socket) -> None:
        """Note the ends of a connection."""
        with self._lock:
            self._ends += ends

    def cut(self) -> None:
        """Break all connections that are open; new ones are taken."""
        with self._lock:
            ends, self._ends = self._ends, []
        _end(*ends)


@contextmanager
def counting(host: str, port: int, *, listen: str = "127.0.0.1") -> Iterator[Counting]:
    """A proxy in front of *host*:*port*, at the address *listen*; closed at the end."""
    with socket.create_server((listen, 0)) as listener:
        listener.settimeout(0.1)
        proxy = Counting(port=listener.getsockname()[1])
        stop = threading.Event()
        accepting = threading.Thread(target=_accept, args=(listener, (host, port), proxy, stop), daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            stop.set()
            accepting.join()


def _accept(listener: socket.socket, upstream: tuple[str, int], proxy: Counting, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        try:
            server = socket.create_connection(upstream, timeout=5)
        except OSError:
            client.close()
            continue
        server.settimeout(None)
        client.settimeout(None)
        proxy.carry(client, server)
        threading.Thread(target=_pump, args=(client, server, proxy.count_taken), daemon=True).start()
        threading.Thread(target=_pump, args=(server, client, proxy.count), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, count_bytes: Callable[[int], None]) -> None:
    """Move bytes one way until either side ends; then end both."""
    buffer = memoryview(bytearray(_PIECE_BYTES))
    try:
        while count := source.recv_into(buffer):
            count_bytes(count)
            sink.sendall(buffer[:count])
    except OSError:
        pass
    finally:
        _end(source, sink)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
