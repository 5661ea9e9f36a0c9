"""Threads that work on files of one kind: what is next, who works on what, with how many connections and buffers.

A thread has a buffer before it claims a piece, and gives it away only for another: so the oldest piece of each file,
which all later ones wait for, is never without one, and a pool that is used up holds the others back.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from lading.errors import Cancelled, LadingError
from lading.events import Emit
from lading.ports.source import KnowsDigests, Source
from lading.ports.volume import Settles, Staging
from lading.transfer.arrival import Arrival, Piece
from lading.transfer.buffers import Buffer, Pool
from lading.transfer.hashing import FileHash
from lading.transfer.meter import Meter
from lading.transfer.pace import Connections, Rate
from lading.transfer.patience import Attempts, Patience
from lading.transfer.worker import LOOK_S, Worker
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry
from lading.weights.parts import PART_BYTES

Hashes = Callable[[Entry, Mapping[str, str]], FileHash]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the work is cut.

    Attributes:
        workers: Connections for big files at most; `first_workers` to begin with.
        small_workers: Connections beside them, at most, for files of at most `small_bytes`; `first_small_workers` to begin with.
        part_bytes: What is received, hashed and written as one, and remembered when it is cut off.
        step_bytes: What is received before anybody looks whether to stop.
        run_bytes: What one request brings where there are as many files as connections; a quarter where several share one.
        memory_bytes: All buffers of a crew.
    """

    workers: int = 16
    first_workers: int = 4
    small_workers: int = 16
    first_small_workers: int = 4
    small_bytes: int = 1 << 20
    part_bytes: int = PART_BYTES
    step_bytes: int = 1 << 20
    run_bytes: int = 64 << 20
    memory_bytes: int = 80 << 20


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all threads of one run share."""

    source: Source
    staging: Staging
    cancel: threading.Event
    meter: Meter
    emit: Emit
    patience: Patience
    rate: Rate
    shape: Shape
    hashes: Hashes
    written: list[FileEntry] = field(default_factory=list)
    failures: list[LadingError] = field(default_factory=list)
    crashed: threading.Event = field(default_factory=threading.Event)

    def stopped(self) -> bool:
        """Whether nothing new is to be begun."""
        return bool(self.failures) or self.cancel.is_set() or self.crashed.is_set()


class Crew:
    """Threads that work on files of one kind: the queue, the files under way, and the buffers."""

    def __init__(
        self, shared: Shared, entries: Sequence[Entry], *, threads: int, first: int, buffer_bytes: int
    ) -> None:
        self.shared = shared
        self.queue = deque(entries)
        pieces = sum(max(1, (entry.size_bytes or 0) // buffer_bytes) for entry in entries)
        self.size = min(threads, pieces)
        self.connections = Connections(first, self.size)
        self.pool = Pool(max(1, shared.shape.memory_bytes // buffer_bytes), buffer_bytes)
        self._knows = shared.source if isinstance(shared.source, KnowsDigests) else None
        self._arrivals: list[Arrival] = []
        self._opening = 0
        self._changed = threading.Condition()

    def close(self) -> None:
        """Let go of what did not get to its end, keeping what can be kept."""
        for arrival in self._arrivals:
            with suppress(LadingError):  # what failed first is told; of what was not journalled nothing counts
                if arrival.spoilt:
                    arrival.staged.abandon()
                else:
                    arrival.staged.leave()

    def work(self) -> None:
        """One thread: run after run of pieces, until nothing is left to begin."""
        try:
            while self._turn():
                pass
            if isinstance(self.shared.staging, Settles):
                self.shared.staging.settle()  # the others may take hours
        except Cancelled:
            pass
        except LadingError as error:
            self.shared.failures.append(error)
        except BaseException:
            self.shared.crashed.set()
            raise

    def _turn(self) -> bool:
        """One run of pieces, with a connection and a buffer; whether there may be more."""
        self.connections.enter(self.shared.stopped)
        try:
            worker = Worker(self, self._buffer())
            try:
                claimed = self.claim()
                if claimed is None:
                    return False
                worker.bring(*claimed)
            finally:
                worker.close()
        finally:
            self.connections.leave()
        return True

    def _buffer(self) -> Buffer:
        """A buffer, once there is one: only then a piece is claimed.

        Raises:
            Cancelled: Nothing new is to be begun.
        """
        while (buffer := self.pool.spare()) is None:
            if self.shared.cancel.wait(LOOK_S) or self.shared.stopped():
                raise Cancelled("interrupted")
        return buffer

    # ------------------------------------------------------------------------------------------------- what is next

    def claim(self) -> tuple[Arrival, list[Piece]] | None:
        """A file and pieces of it to bring; None when nothing is left to begin."""
        while not self.shared.stopped():
            with self._changed:
                arrival = self._under_way()
                if arrival is None and not self.queue:
                    if not self._opening:
                        return None
                    self._changed.wait(LOOK_S)
                    continue
                if arrival is not None:
                    pieces = arrival.take(self._run_bytes())
                    if pieces:
                        return arrival, pieces
                    continue
                entry = self.queue.popleft()
                self._opening += 1
            self._open(entry)
        return None

    def again(self, arrival: Arrival, *, as_stream: bool) -> None:
        """Begin a file anew: with one stream, or because its bytes were wrong."""
        arrival.staged.abandon()
        with self._changed:
            self._arrivals.remove(arrival)
            self._opening += 1
        self._open(arrival.entry, as_stream=as_stream, refetched=arrival.refetched or not as_stream)

    def done(self, arrival: Arrival) -> None:
        """The file is finished."""
        with self._changed:
            self._arrivals.remove(arrival)

    def _under_way(self) -> Arrival | None:
        """A file to help with: none while there are more files, and fewer under way than connections."""
        open_ones = [arrival for arrival in self._arrivals if arrival.todo and arrival.is_open]
        if self.queue and len(self._arrivals) + self._opening < self.connections.allowed:
            open_ones = [arrival for arrival in open_ones if arrival.untouched]
        return min(open_ones, key=lambda arrival: arrival.taken, default=None)

    def _run_bytes(self) -> int:
        many = len(self._arrivals) + len(self.queue) >= self.connections.allowed
        return self.shared.shape.run_bytes if many else self.shared.shape.run_bytes // 4

    def _open(self, entry: Entry, *, as_stream: bool = False, refetched: bool = False) -> None:
        """Make a file one under way; it is asked of its source, and on disk, outside of the lock."""
        shared = self.shared
        made: Arrival | None = None
        try:
            said = self._said(entry)
            made = Arrival(
                entry,
                shared.staging.open(entry),
                shared.hashes(entry, said),
                part_bytes=self.pool.size_bytes,
                as_stream=as_stream or shared.staging.in_order or entry.size_bytes is None,
                refetched=refetched,
            )
        except LadingError as error:
            shared.failures.append(error)
        finally:
            with self._changed:
                self._opening -= 1
                if made is not None:
                    self._arrivals.append(made)
                self._changed.notify_all()

    def _said(self, entry: Entry) -> Mapping[str, str]:
        """What the source says the file hashes to."""
        if self._knows is None:
            return {}
        attempts = Attempts(self.shared.patience, self.shared.cancel, self.connections.busy)
        return attempts.until_progress(partial(self._knows.digests, entry))
