"""A bounded pool of buffers: how much a transfer holds in memory, whatever the sizes of its files."""

import mmap
import threading


class Buffer:
    """Pages of our own: aligned, as direct I/O wants them; they go back to the system with their last user."""

    def __init__(self, size_bytes: int) -> None:
        self.view = memoryview(mmap.mmap(-1, size_bytes))


class Pool:
    """At most *count* buffers of *size_bytes*, made when they are first needed. Thread-safe."""

    def __init__(self, count: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._left = count
        self._free: list[Buffer] = []
        self._lock = threading.Lock()

    def spare(self) -> Buffer | None:
        """A buffer; None while there is none."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if not self._left:
                return None
            self._left -= 1
            return Buffer(self.size_bytes)

    def give(self, buffer: Buffer) -> None:
        """Take one back."""
        with self._lock:
            self._free.append(buffer)
