"""How a file's bytes reach the disk: past the page cache where that works and is not much slower, else in small buffered writes.

How quick both are depends on the disk, the kernel and the virtual machine; so it is tried on the very file system, once for
a staging, with a few megabytes that nobody sees.
"""

import errno
import mmap
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.weights.parts import ALIGN_BYTES

DIRECT_FROM_BYTES = 16 << 20
"""Smaller files are written through the page cache: they are soon read again, as indexes and configurations."""
MUCH_SLOWER = 2.0
_TRIALS = 3
_TRIAL_BYTES = 8 << 20
_STEP_BYTES = 2 << 20


class Ways:
    """Which way to write below *directory*: found out when the first big file asks. Thread-safe."""

    def __init__(self, fs: Fs, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fs = fs
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._direct: bool | None = None

    def direct(self, size_bytes: int | None) -> bool:
        """Whether a file of that size is written past the page cache."""
        if size_bytes is None or size_bytes < DIRECT_FROM_BYTES:
            return False
        with self._lock:
            if self._direct is None:
                self._direct = _pays(self._fs, self._directory, self._clock)
            return self._direct


class OpenFile:
    """A file open for writing, at any offset, by several threads.

    Attributes:
        inode, mode: As it was when it was opened.
    """

    def __init__(self, fs: Fs, path: Path, descriptor: int, *, direct: bool) -> None:
        self._fs = fs
        self._buffered = descriptor
        self._direct: int | None = None
        found = os.fstat(descriptor)
        self.inode, self.mode = found.st_ino, stat.S_IMODE(found.st_mode)
        if direct:
            with suppress(OSError):
                self._direct = fs.reopen(path, True)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of *data*; what is not aligned, such as the end of a file, goes through the page cache."""
        whole = len(data) // ALIGN_BYTES * ALIGN_BYTES if self._direct is not None and offset % ALIGN_BYTES == 0 else 0
        try:
            done = self._all(self._direct, data[:whole], offset, len(data)) if self._direct is not None else 0
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            done = 0  # the buffer is not aligned, or the file system wants it otherwise
        self._all(self._buffered, data[done:], offset + done, files.WRITE_BYTES)

    def begin_sync(self) -> None:
        """Start its bytes on their way to the disk."""
        self._fs.begin_sync(self._buffered)

    def sync(self) -> None:
        """Make what was written durable."""
        self._fs.sync(self._buffered)

    def close(self) -> None:
        """Let go of it."""
        if self._direct is not None:
            self._fs.close(self._direct)
        self._fs.close(self._buffered)

    def _all(self, descriptor: int, data: memoryview, offset: int, step_bytes: int) -> int:
        done = 0
        while done < len(data):
            done += self._fs.write_at(descriptor, data[done : done + step_bytes], offset + done)
        return done


def _pays(fs: Fs, directory: Path, clock: Callable[[], float]) -> bool:
    """Whether direct writes are not much slower than buffered ones that are then made durable.

    Where both take as long, direct ones win: they need no memory and half the processor. A few megabytes do not show that, and
    a disk that is busy with something else makes either look slow; so what is refused is refused several times.
    """
    with mmap.mmap(-1, _TRIAL_BYTES) as pages:
        noise = os.urandom(1 << 20)
        pages[:] = noise * (_TRIAL_BYTES // len(noise))
        with memoryview(pages) as data:

            def takes_s(*, direct: bool) -> float:
                return _trial(fs, directory, data, clock, direct=direct)

            try:
                return any(takes_s(direct=True) <= MUCH_SLOWER * takes_s(direct=False) for _ in range(_TRIALS))
            except OSError:
                return False  # no direct I/O; what else is wrong, the file itself will tell


def _trial(fs: Fs, directory: Path, data: memoryview, clock: Callable[[], float], *, direct: bool) -> float:
    """How long a file that is removed at once takes to be written durably, by *clock*."""
    path = directory / f".trial-{secrets.token_hex(8)}"
    fs.close(fs.create(path))
    try:
        descriptor = fs.reopen(path, direct)
    finally:
        fs.unlink(path)
    try:
        began = clock()
        _write(fs, descriptor, data, _STEP_BYTES if direct else files.WRITE_BYTES)
        return clock() - began
    finally:
        fs.close(descriptor)


def _write(fs: Fs, descriptor: int, data: memoryview, step_bytes: int) -> None:
    fs.allocate(descriptor, len(data))
    for start in range(0, len(data), step_bytes):
        fs.write_at(descriptor, data[start : start + step_bytes], start)
    fs.sync_data(descriptor)
