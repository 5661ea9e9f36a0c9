"""Files from a source to a staging: in ranges over several connections, hashed in order while they arrive.

Big files first, and beside them a crew for the small ones. A thread has a buffer before it claims a piece, and gives it
away only for another: so the oldest piece of each file, which all later ones wait for, is never without one, and a pool
that is used up holds the others back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from lading.errors import Cancelled, LadingError, RangesRefused, SourceChanged
from lading.events import Emit, FilePulled, ignore
from lading.ports import KnowsDigests, Source, Staging
from lading.transfer.arrival import Arrival, Piece
from lading.transfer.buffers import Buffer, Pool
from lading.transfer.hashing import FileHash
from lading.transfer.meter import Meter
from lading.transfer.pace import Connections, Rate
from lading.transfer.patience import Attempts, Patience
from lading.weights import digests
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry
from lading.weights.parts import PART_BYTES, Part

PATIENT = Patience()
NO_LIMIT = Rate(None)
LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the work is cut.

    Attributes:
        workers: Connections for big files at most; `first_workers` to begin with.
        small_workers: Connections beside them for files of at most `small_bytes`.
        part_bytes: What is received, hashed and written as one, and remembered when it is cut off.
        step_bytes: What is received before anybody looks whether to stop.
        run_bytes: What one request brings where there are as many files as connections; a quarter where several share one.
        memory_bytes: All buffers of a crew.
    """

    workers: int = 16
    first_workers: int = 4
    small_workers: int = 16
    small_bytes: int = 1 << 20
    part_bytes: int = PART_BYTES
    step_bytes: int = 1 << 20
    run_bytes: int = 64 << 20
    memory_bytes: int = 128 << 20


PLAIN = Shape()
Hashes = Callable[[Entry, Mapping[str, str]], FileHash]


def run(
    entries: Iterable[Entry],
    source: Source,
    staging: Staging,
    *,
    cancel: threading.Event,
    meter: Meter,
    emit: Emit = ignore,
    patience: Patience = PATIENT,
    rate: Rate = NO_LIMIT,
    shape: Shape = PLAIN,
    hashes: Hashes = FileHash,
) -> tuple[FileEntry, ...]:
    """Write all *entries*, the biggest first, to *staging*; what was written, sorted by path.

    When a file fails nothing new is begun; pieces under way are finished and kept for the next run. *emit* is called from
    several threads. *hashes* makes what hashes a file.

    Raises:
        Cancelled: *cancel* was set; seen within a buffer or a socket's time-out.
        LadingError: The first file's failure.
    """
    ordered = sorted(entries, key=lambda entry: -(entry.size_bytes or 0))
    small = [entry for entry in ordered if entry.size_bytes is not None and entry.size_bytes <= shape.small_bytes]
    big = [entry for entry in ordered if entry.size_bytes is None or entry.size_bytes > shape.small_bytes]
    shared = _Shared(
        source=source,
        staging=staging,
        cancel=cancel,
        meter=meter,
        emit=emit,
        patience=patience,
        rate=rate,
        shape=shape,
        hashes=hashes,
    )
    crews = (
        _Crew(shared, big, threads=shape.workers, first=shape.first_workers, buffer_bytes=shape.part_bytes),
        _Crew(shared, small, threads=shape.small_workers, first=shape.small_workers, buffer_bytes=shape.small_bytes),
    )
    try:
        _together(crews)
    finally:
        for crew in crews:
            crew.close()
    if shared.failures:
        raise _worst(shared.failures)
    if any(crew.queue for crew in crews) or cancel.is_set():
        raise Cancelled("interrupted")
    return tuple(sorted(shared.written, key=lambda file: file.path))


@dataclass(slots=True, kw_only=True)
class _Shared:
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


def _together(crews: Sequence["_Crew"]) -> None:
    """Run all threads of all crews to their end; what crashed one of them is raised when all have ended."""
    with ThreadPoolExecutor(sum(crew.size for crew in crews) or 1, thread_name_prefix="lading-transfer") as pool:
        threads: list[Future[None]] = [pool.submit(crew.work) for crew in crews for _ in range(crew.size)]
    for thread in threads:
        thread.result()


def _worst(failures: Sequence[LadingError]) -> LadingError:
    """The failure to tell: the first that is not merely the stop."""
    return next((error for error in failures if not isinstance(error, Cancelled)), failures[0])


class _Crew:
    """Threads that work on files of one kind: the queue, the files under way, and the buffers."""

    def __init__(
        self, shared: _Shared, entries: Sequence[Entry], *, threads: int, first: int, buffer_bytes: int
    ) -> None:
        self.shared = shared
        self.queue = deque(entries)
        pieces = sum(max(1, (entry.size_bytes or 0) // buffer_bytes) for entry in entries)
        self.size = min(threads, pieces)
        self.connections = Connections(first, self.size)
        self.pool = Pool(max(1, shared.shape.memory_bytes // buffer_bytes), buffer_bytes)
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
        except Cancelled:
            pass
        except BaseException:
            self.shared.crashed.set()
            raise

    def _turn(self) -> bool:
        """One run of pieces, with a connection and a buffer; whether there may be more."""
        self.connections.enter(self.shared.stopped)
        try:
            worker = _Worker(self, self._buffer())
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
        source = self.shared.source
        if not isinstance(source, KnowsDigests):
            return {}
        attempts = Attempts(self.shared.patience, self.shared.cancel, self.connections.busy)
        return attempts.until_progress(partial(source.digests, entry))


class _Worker:
    """One thread with a buffer, for one run of pieces."""

    def __init__(self, crew: _Crew, buffer: Buffer) -> None:
        self._crew = crew
        self._shared = crew.shared
        self._buffer = buffer

    def close(self) -> None:
        """Give the buffer back."""
        self._crew.pool.give(self._buffer)

    def bring(self, arrival: Arrival, pieces: Sequence[Piece]) -> None:
        """Bring *pieces*, one after another, by as few requests as it takes; end the file where they were its last."""
        try:
            for piece, end in zip(pieces, _ends(pieces, as_stream=arrival.as_stream), strict=True):
                if self._shared.stopped():
                    raise Cancelled("interrupted")
                if not arrival.is_open:
                    break
                if piece.size_bytes is None:
                    self._stream(arrival)
                else:
                    self._piece(arrival, piece, piece.size_bytes, end)
        except RangesRefused:
            arrival.refused = True
        except LadingError as error:
            arrival.spoilt = arrival.spoilt or isinstance(error, SourceChanged)
            arrival.failed = True
            self._shared.failures.append(error)
        finally:
            over = arrival.done_with(len(pieces))
        if over:
            self._end(arrival)

    # ------------------------------------------------------------------------------------------------------ pieces

    def _stream(self, arrival: Arrival) -> None:
        """A file of unknown size, from its start to its end."""
        offset, count = 0, -1
        while count:
            count = self._receive(arrival, offset, self._crew.pool.size_bytes, None)
            arrival.staged.write(self._buffer.view[:count], offset)
            arrival.hashed(count, self._crew.pool)
            offset += count

    def _piece(self, arrival: Arrival, piece: Piece, size_bytes: int, end: int | None) -> None:
        """One piece, from the disk where an earlier attempt left it there, else from the source."""
        if isinstance(piece, Part) and self._read_back(arrival, piece):
            self._settle(arrival, piece.offset, size_bytes, hashed=False)
            return
        count = self._receive(arrival, piece.offset, size_bytes, end)
        if count < size_bytes:
            raise SourceChanged(
                f"{arrival.entry.path} ended after {piece.offset + count} bytes, its listing says "
                f"{arrival.entry.size_bytes}",
                hint="run the same command again: it takes the source as it is then",
            )
        data = self._buffer.view[:count]
        arrival.staged.write(data, piece.offset)
        arrival.staged.keep(Part(offset=piece.offset, size_bytes=count, crc64nvme=digests.crc64nvme(data)))
        self._settle(arrival, piece.offset, count, hashed=self._hot)

    def _read_back(self, arrival: Arrival, part: Part) -> bool:
        """Whether the bytes of *part* are on the disk as they were journalled; they are in the buffer then."""
        data = self._buffer.view[: part.size_bytes]
        got = 0
        while got < len(data):
            count = arrival.staged.read_into(part.offset + got, data[got:])
            if count == 0:
                return False
            got += count
        if digests.crc64nvme(data) != part.crc64nvme:
            return False
        self._shared.meter.add(part.size_bytes)
        return True

    _hot = False

    def _receive(self, arrival: Arrival, offset: int, size_bytes: int, end: int | None) -> int:
        """Fill the buffer with up to *size_bytes* from *offset*; fewer only at the file's end.

        Where it is the file's turn (`_hot` says it then) the bytes are hashed while they are in the processor's cache.
        """
        shared, view, connections = self._shared, self._buffer.view, self._crew.connections
        attempts = Attempts(shared.patience, shared.cancel, connections.busy)
        step_bytes = shared.rate.step_bytes(shared.shape.step_bytes)
        got = hashed = 0
        self._hot = False
        try:
            while got < size_bytes:
                if shared.cancel.is_set():
                    raise Cancelled("interrupted")
                step = view[got : min(size_bytes, got + step_bytes)]
                count = attempts.until_progress(
                    partial(shared.source.read_into, arrival.entry, offset + got, step, end=end)
                )
                if count == 0:
                    break
                shared.rate.wait(count, shared.cancel)
                shared.meter.add(count)
                connections.came(count)
                got += count
                self._hot = self._hot or arrival.at_frontier(offset)
                if self._hot:
                    arrival.hashes.update(view[hashed:got])
                    hashed = got
            self._hot = self._hot or (got == 0 and arrival.at_frontier(offset))
        except BaseException:
            if self._hot:
                arrival.stop_hashing()
            shared.meter.add(-got)
            raise
        return got

    def _settle(self, arrival: Arrival, offset: int, count: int, *, hashed: bool) -> None:
        """Have *count* bytes of the buffer hashed in their turn: now, or by whoever closes the gap before them."""
        if hashed or self._hash_or_park(arrival, offset, count):
            arrival.hashed(count, self._crew.pool)

    def _hash_or_park(self, arrival: Arrival, offset: int, count: int) -> bool:
        """Whether the bytes were hashed; else they are parked, or the file is not to be whole any more."""
        while not arrival.at_frontier(offset):
            other = arrival.park(offset, self._buffer, count, self._crew.pool)
            if other is not None:
                self._buffer = other
                return False
            if not arrival.is_open or self._shared.stopped():
                arrival.failed = arrival.failed or arrival.is_open
                return False
            arrival.wait(LOOK_S)
        arrival.hashes.update(self._buffer.view[:count])
        return True

    # ------------------------------------------------------------------------------------------------- a file's end

    def _end(self, arrival: Arrival) -> None:
        """All threads are done with a file: finish it, or begin it anew."""
        try:
            if arrival.failed or arrival.spoilt:
                arrival.throw_away(self._crew.pool)
            elif arrival.refused:
                self._restart(arrival, as_stream=True)
            elif (mismatch := arrival.hashes.mismatch()) is None:
                self._finish(arrival)
            elif arrival.refetched:
                arrival.spoilt = True
                raise mismatch.error(arrival.entry.path)
            else:
                self._restart(arrival, as_stream=arrival.as_stream)
        except LadingError as error:
            self._shared.failures.append(error)

    def _restart(self, arrival: Arrival, *, as_stream: bool) -> None:
        arrival.throw_away(self._crew.pool)
        self._shared.meter.add(-arrival.size_bytes)
        self._crew.again(arrival, as_stream=as_stream)

    def _finish(self, arrival: Arrival) -> None:
        """Make it durable, and tell."""
        file = arrival.staged.finish(arrival.size_bytes, arrival.hashes.sha256)
        self._crew.done(arrival)
        self._shared.written.append(file)
        self._shared.emit(
            FilePulled(
                path=file.path,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                seconds=time.monotonic() - arrival.began_s,
            )
        )


def _ends(pieces: Sequence[Piece], *, as_stream: bool) -> list[int | None]:
    """Up to where one request brings each piece and those that follow it: to the next that is on disk already."""
    ends: list[int | None] = []
    end: int | None = None
    for piece in reversed(pieces):
        if isinstance(piece, Part) or end is None:
            end = None if piece.size_bytes is None else piece.offset + piece.size_bytes
        ends.append(None if as_stream else end)
        end = None if isinstance(piece, Part) else end
    return ends[::-1]


def part(
    source: Source, entry: Entry, offset: int, size_bytes: int, *, cancel: threading.Event, patience: Patience = PATIENT
) -> bytes:
    """Up to *size_bytes* of *entry* from *offset* on; fewer only at its end. For heads and indexes: it is all in memory.

    Raises:
        Cancelled, SourceError: As `run`.
    """
    attempts = Attempts(patience, cancel)
    left = size_bytes if entry.size_bytes is None else max(0, min(size_bytes, entry.size_bytes - offset))
    data = memoryview(bytearray(left))
    got = 0
    while got < len(data):
        if cancel.is_set():
            raise Cancelled("interrupted")
        count = attempts.until_progress(partial(source.read_into, entry, offset + got, data[got:]))
        if count == 0:
            break
        got += count
    return bytes(data[:got])
