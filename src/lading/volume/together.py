"""Small files made durable many at a time: what each costs alone is a wait for the disk, three times over.

A file that is finished waits for others. Whoever brings the last one of a batch starts all their bytes on the way, waits for each,
then once for each directory, and writes one line of the journal after another in one go. What a kill takes is at most a
batch: files that the journal does not have, and that come again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.volume.writing import OpenFile
from lading.weights.manifest import FileEntry

SMALL_BYTES = 1 << 20
"""Bigger files are not kept waiting: their own bytes take longer than the wait for the disk."""
BATCH_FILES = 64
BATCH_BYTES = 16 << 20
BATCH_S = 0.25


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that is written, and not durable yet."""

    file: OpenFile
    path: Path
    entry: FileEntry


class Together:
    """Collects files and hands them on in batches, one batch at a time. Thread-safe.

    Args:
        commit: Makes a batch durable and journals it; it closes the files whatever happens.
    """

    def __init__(
        self, commit: Callable[[Sequence[Waiting]], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._commit = commit
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._bytes = 0
        self._since = 0.0
        self._collecting = threading.Lock()
        self._committing = threading.Lock()

    def add(self, one: Waiting, *, at_once: bool = False) -> None:
        """Take a file; the batch that is full with it, or is to be *at_once*, is durable when this returns."""
        with self._collecting:
            self._since = self._since if self._waiting else self._clock()
            self._waiting.append(one)
            self._bytes += one.entry.size_bytes
            batch = self._taken() if at_once or self._is_full() else []
        if batch:
            with self._committing:
                self._commit(batch)

    def flush(self) -> None:
        """All files that were taken are durable when this returns."""
        with self._committing:
            with self._collecting:
                batch = self._taken()
            if batch:
                self._commit(batch)

    def flush_one(self, path: Path) -> None:
        """The file at *path* is durable when this returns, if it was taken."""
        with self._collecting:
            waits = any(one.path == path for one in self._waiting)
        if waits:
            self.flush()

    def _is_full(self) -> bool:
        late = self._clock() - self._since >= BATCH_S
        return late or len(self._waiting) >= BATCH_FILES or self._bytes >= BATCH_BYTES

    def _taken(self) -> list[Waiting]:
        batch, self._waiting, self._bytes = self._waiting, [], 0
        return batch
