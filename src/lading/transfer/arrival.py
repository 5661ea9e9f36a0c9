"""One file on its way: which spans are still to come, and the hash that follows them in order.

Spans are taken in order and arrive in any. Whoever has the span at the frontier, up to which all was hashed, hashes it
while it arrives, and then what was parked behind it.
"""

import threading
import time
from collections import deque

from lading.ports.volume import StagedFile
from lading.transfer.buffers import Buffer, Pool
from lading.transfer.hashing import FileHash
from lading.weights import parts
from lading.weights.listing import Entry
from lading.weights.parts import Part, Span

Piece = Span | Part


class Arrival:
    """The state that the threads of one file share.

    Attributes:
        as_stream: Read by one thread from its start to its end: the source or the volume can do no other.
        refetched: It came with wrong bytes once before.
        refused: Its source gives it whole only: what arrives still is thrown away, and it begins again as a stream.
        spoilt: Its bytes must not be kept.
        failed: It does not get to its end in this run.
    """

    def __init__(
        self, entry: Entry, staged: StagedFile, hashes: FileHash, *, part_bytes: int, as_stream: bool, refetched: bool
    ) -> None:
        self.entry = entry
        self.staged = staged
        self.hashes = hashes
        self.as_stream = as_stream
        self.refetched = refetched
        self.refused = self.spoilt = self.failed = False
        self.began_s = time.monotonic()
        self.todo: deque[Piece] = deque(parts.spans(entry.size_bytes, part_bytes=part_bytes, kept=staged.kept))
        self._taken = 0
        self._frontier = 0
        self._hashing = False
        self._parked: dict[int, tuple[Buffer, int]] = {}
        self._moved = threading.Condition()
        self._ended = False

    @property
    def is_open(self) -> bool:
        """Whether pieces of it are worth bringing."""
        return not (self.refused or self.spoilt or self.failed)

    @property
    def taken(self) -> int:
        """How many pieces are under way."""
        return self._taken

    @property
    def untouched(self) -> bool:
        """Whether nobody works on it yet."""
        return not self._taken and not self._frontier

    @property
    def size_bytes(self) -> int:
        """How many bytes were hashed: all, when it is whole."""
        return self._frontier

    def take(self, run_bytes: int) -> list[Piece]:
        """The next pieces, in order and without a gap, of about *run_bytes*; all of a stream."""
        taken: list[Piece] = []
        size_bytes = 0
        with self._moved:
            while self.todo and (self.as_stream or size_bytes < run_bytes or not taken):
                taken.append(self.todo.popleft())
                size_bytes += taken[-1].size_bytes or 0
            self._taken += len(taken)
        return taken

    def at_frontier(self, offset: int) -> bool:
        """Whether the bytes from *offset* on are the next to be hashed; the caller then hashes, and says `hashed`."""
        with self._moved:
            if self._hashing or self._frontier != offset:
                return False
            self._hashing = True
            return True

    def hashed(self, count: int, pool: Pool) -> None:
        """*count* bytes at the frontier were hashed; go on with what is parked behind them."""
        while True:
            with self._moved:
                self._frontier += count
                parked = self._parked.pop(self._frontier, None)
                if parked is None:
                    self._hashing = False
                    self._moved.notify_all()
                    return
            buffer, count = parked
            self.hashes.update(buffer.view[:count])
            pool.give(buffer)

    def stop_hashing(self) -> None:
        """The caller does not go on: the file is not to be whole."""
        with self._moved:
            self._hashing = False

    def park(self, offset: int, buffer: Buffer, count: int, pool: Pool) -> Buffer | None:
        """Leave *count* bytes at *offset* to whoever closes the gap before them; another buffer to go on with.

        None: there is no gap any more, and the caller hashes them as after `at_frontier`, or there is no other buffer:
        see `at_frontier` then.
        """
        with self._moved:
            if not self._hashing and self._frontier == offset:
                return None
            other = pool.spare()
            if other is not None:
                self._parked[offset] = (buffer, count)
            return other

    def wait(self, wait_s: float) -> None:
        """Wait until the frontier moved, or *wait_s*."""
        with self._moved:
            self._moved.wait(wait_s)

    def done_with(self, count: int) -> bool:
        """*count* pieces are done, or given up; whether the caller is to end the file: nothing of it is left to do."""
        with self._moved:
            self._taken -= count
            over = not (self._taken or self._hashing or self._ended) and not (self.is_open and self.todo)
            self._ended = self._ended or over
            return over

    def throw_away(self, pool: Pool) -> None:
        """Give back what is parked."""
        with self._moved:
            for buffer, _ in self._parked.values():
                pool.give(buffer)
            self._parked.clear()
