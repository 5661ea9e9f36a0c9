"""One run of pieces of a file, through one buffer: received, hashed in its turn, written, kept."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from lading.errors import Cancelled, LadingError, RangesRefused, SourceChanged
from lading.events import FilePulled
from lading.transfer.arrival import Arrival, Piece
from lading.transfer.buffers import Buffer
from lading.transfer.patience import Attempts
from lading.weights.crc import crc32
from lading.weights.parts import Part

if TYPE_CHECKING:
    from lading.transfer.crew import Crew

LOOK_S = 0.05
"""How soon a thread that waits for another sees that there is nothing more to wait for."""


class Worker:
    """One thread with a buffer, for one run of pieces."""

    def __init__(self, crew: "Crew", buffer: Buffer) -> None:
        self._crew = crew
        self._shared = crew.shared
        self._buffer = buffer

    def close(self) -> None:
        """Give the buffer back."""
        self._crew.pool.give(self._buffer)

    def bring(self, arrival: Arrival, pieces: Sequence[Piece]) -> None:
        """Bring *pieces*, one after another, by as few requests as it takes; end the file where they were its last."""
        try:
            for piece, end in zip(pieces, ends(pieces, as_stream=arrival.as_stream), strict=True):
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
        arrival.staged.keep(Part(offset=piece.offset, size_bytes=count, crc=crc32(data)))
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
        if not part.is_of(data):
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


def ends(pieces: Sequence[Piece], *, as_stream: bool) -> list[int | None]:
    """Up to where one request brings each piece and those that follow it: to the next that is on disk already."""
    ends: list[int | None] = []
    end: int | None = None
    for piece in reversed(pieces):
        if isinstance(piece, Part) or end is None:
            end = None if piece.size_bytes is None else piece.offset + piece.size_bytes
        ends.append(None if as_stream else end)
        end = None if isinstance(piece, Part) else end
    return ends[::-1]
