"""Files from a source to a staging, whole files in parallel, the biggest first.

A file is read in order by one thread and hashed while it is written (`StagedFile`). What finished is journalled by the
staging, so a later run does not fetch it again, whatever happens to the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from lading.errors import Cancelled, LadingError, SourceChanged, VerificationFailed
from lading.events import Emit, FilePulled, PullProgress, ignore
from lading.ports import Source, StagedFile, Staging
from lading.transfer.patience import Attempts, Patience
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry

WORKERS = 8
BUFFER_BYTES = 1 << 20
REPORT_EVERY_S = 0.2
PATIENT = Patience()


class Meter:
    """Counts bytes from all threads and tells progress, a few times a second.

    The rate is that of the last few seconds, so that an ETA follows a network that changes.
    """

    def __init__(
        self, total_bytes: int, *, done_bytes: int = 0, emit: Emit = ignore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total_bytes
        self._done = done_bytes
        self._emit = emit
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int]] = deque([(clock(), done_bytes)], maxlen=25)

    def add(self, count: int) -> None:
        """Count bytes; negative where a file begins again."""
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._seen[-1][0] < REPORT_EVERY_S:
                return
            self._seen.append((now, self._done))
            event = self._progress()
        self._emit(event)

    def last(self) -> None:
        """Tell where it stands now."""
        with self._lock:
            self._seen.append((self._clock(), self._done))
            event = self._progress()
        self._emit(event)

    def _progress(self) -> PullProgress:
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        rate = max(0.0, (done - before) / (now - began)) if now > began else 0.0
        total = max(self._total, done)
        return PullProgress(
            done_bytes=done,
            total_bytes=total,
            rate_bytes_per_s=rate,
            eta_s=(total - done) / rate if rate > 0 else None,
        )


@dataclass(slots=True, kw_only=True)
class _Work:
    """What the threads of one run share."""

    source: Source
    staging: Staging
    cancel: threading.Event
    meter: Meter
    emit: Emit
    patience: Patience
    queue: deque[Entry]
    written: list[FileEntry] = field(default_factory=list)
    failures: list[LadingError] = field(default_factory=list)

    def next(self) -> Entry | None:
        """The next file, None when there are no more or one has failed: what is under way is still brought home."""
        if self.failures or self.cancel.is_set():
            return None
        try:
            return self.queue.popleft()
        except IndexError:
            return None


def run(
    entries: Iterable[Entry],
    source: Source,
    staging: Staging,
    *,
    cancel: threading.Event,
    meter: Meter,
    emit: Emit = ignore,
    patience: Patience = PATIENT,
    workers: int = WORKERS,
) -> tuple[FileEntry, ...]:
    """Write all *entries*, the biggest first, to *staging*; what was written, sorted by path.

    When a file fails, no new one is begun, and those under way are finished: they are kept for the next run. *emit* is
    called from several threads.

    Raises:
        Cancelled: *cancel* was set; seen within a buffer or a socket's time-out.
        LadingError: The first file's failure.
    """
    queue = deque(sorted(entries, key=lambda entry: -(entry.size_bytes or 0)))
    work = _Work(source=source, staging=staging, cancel=cancel, meter=meter, emit=emit, patience=patience, queue=queue)
    count = max(1, min(workers, len(queue)))
    with ThreadPoolExecutor(count, thread_name_prefix="lading-transfer") as pool:
        done = [pool.submit(_carry, work) for _ in range(count)]
    for thread in done:
        thread.result()
    if work.failures:
        raise _worst(work.failures)
    if queue:  # no failure, and yet files are left
        raise Cancelled("interrupted")
    return tuple(sorted(work.written, key=lambda file: file.path))


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


def _worst(failures: Sequence[LadingError]) -> LadingError:
    """The failure to tell: the first that is not merely the stop."""
    return next((error for error in failures if not isinstance(error, Cancelled)), failures[0])


def _carry(work: _Work) -> None:
    """One thread: file after file through one buffer."""
    with memoryview(bytearray(BUFFER_BYTES)) as buffer:
        while (entry := work.next()) is not None:
            try:
                began = time.monotonic()
                file = _file(work, entry, buffer)
            except LadingError as error:
                work.failures.append(error)
                return
            work.written.append(file)
            work.emit(
                FilePulled(
                    path=file.path, size_bytes=file.size_bytes, sha256=file.sha256, seconds=time.monotonic() - began
                )
            )


def _file(work: _Work, entry: Entry, buffer: memoryview) -> FileEntry:
    """One file from its start to its end; nothing of it is left when it fails."""
    staged = work.staging.open(entry)
    moved = 0
    try:
        for count in _reads(work, entry, buffer):
            staged.write(buffer[:count])
            moved += count
            work.meter.add(count)
        return _finished(staged, entry, moved)
    except BaseException:
        work.meter.add(-moved)
        raise
    finally:
        staged.abandon()


def _reads(work: _Work, entry: Entry, buffer: memoryview) -> Iterable[int]:
    """How many bytes each read put into *buffer*, until the end of *entry*; retried from where it was."""
    attempts = Attempts(work.patience, work.cancel)
    offset = 0
    while True:
        if work.cancel.is_set():
            raise Cancelled("interrupted")
        count = attempts.until_progress(partial(work.source.read_into, entry, offset, buffer))
        if count == 0:
            return
        offset += count
        yield count


def _finished(staged: StagedFile, entry: Entry, moved: int) -> FileEntry:
    """The file made durable, when it is as long as the listing says and has the digest that the source claims."""
    if entry.size_bytes is not None and moved != entry.size_bytes:
        raise SourceChanged(
            f"{entry.path} ended after {moved} bytes, its listing says {entry.size_bytes}",
            hint="run the same command again: it takes the source as it is then",
        )
    file = staged.finish()
    if entry.sha256 is not None and file.sha256 != entry.sha256:
        raise VerificationFailed(
            f"{entry.path} has SHA-256 {file.sha256}, its source says {entry.sha256}",
            hint="the source's file or its list of digests is damaged; nothing was published",
        )
    return file
