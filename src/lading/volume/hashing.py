"""A file's SHA-256 as it lies on the disk: read around the page cache where the file system can, one piece ahead of the hash.

What this host remembers of a file proves nothing of the disk, and a server's pages are not pushed out by a check. A file
is one chain of SHA-256, so one core hashes it: its next piece is on the way meanwhile, and other files take other cores.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lading.weights.parts import ALIGN_BYTES

PIECE_BYTES = 1 << 20
"""As much as a disk wants at once; two of them stay in a core's cache between reading and hashing (4 MB took a third longer)."""
Progress = Callable[[int], None]

_KEPT = threading.local()


def sha256(descriptor: int, size_bytes: int, progress: Progress) -> str:
    """64 hex digits of all that *descriptor* reads from its start; about *size_bytes* are expected.

    Raises:
        OSError: It cannot be read. What *progress* raises stops it.
    """
    with_cache = not _go_around_cache(descriptor)
    if with_cache:
        _advise(descriptor, "POSIX_FADV_SEQUENTIAL", 0, 0)
    if size_bytes > PIECE_BYTES:
        return _hashed_ahead(descriptor, progress)
    return _hashed(descriptor, progress)


def _hashed(descriptor: int, progress: Progress) -> str:
    """Of a small file: a thread more would cost more than it saves."""
    digest, offset, buffer = hashlib.sha256(), 0, _buffers()[0]
    while count := _read(descriptor, buffer, offset):
        digest.update(buffer[:count])
        offset += count
        progress(count)
    return digest.hexdigest()


def _hashed_ahead(descriptor: int, progress: Progress) -> str:
    digest, offset = hashlib.sha256(), 0
    now, after = _buffers()
    with ThreadPoolExecutor(1, thread_name_prefix="lading-ahead") as ahead:
        coming = ahead.submit(_read, descriptor, now, offset)
        while count := coming.result():
            offset += count
            coming = ahead.submit(_read, descriptor, after, offset)
            digest.update(now[:count])  # lets go of the GIL, so threads use all cores
            progress(count)
            now, after = after, now
    return digest.hexdigest()


def _read(descriptor: int, buffer: memoryview, offset: int) -> int:
    """As much of *buffer* as there is; where the file system takes back that it reads directly, through the cache."""
    try:
        count = os.preadv(descriptor, [buffer], offset)
    except OSError as error:
        if error.errno != errno.EINVAL or not _is_direct(descriptor):
            raise
        _set_direct(descriptor, on=False)
        count = os.preadv(descriptor, [buffer], offset)
    if not _is_direct(descriptor):
        _advise(descriptor, "POSIX_FADV_DONTNEED", offset, count)
    return count


def _go_around_cache(descriptor: int) -> bool:
    """Whether what is read from *descriptor* now comes from the disk itself."""
    try:
        _set_direct(descriptor, on=True)
    except OSError:
        return False
    return _is_direct(descriptor)


def _set_direct(descriptor: int, *, on: bool) -> None:
    direct = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~direct
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | direct if on else flags)


def _is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


def _advise(descriptor: int, name: str, offset: int, size_bytes: int) -> None:
    """Tell the kernel how the file is read, where it can be told."""
    advice = getattr(os, name, None)
    if advice is None:
        return
    try:
        os.posix_fadvise(descriptor, offset, size_bytes, advice)
    except OSError:
        pass  # it is advice


def _buffers() -> tuple[memoryview, memoryview]:
    """This thread's two buffers, each beginning at a page as direct reads want it."""
    found = getattr(_KEPT, "buffers", None)
    if found is None:
        assert PIECE_BYTES % ALIGN_BYTES == 0
        found = _KEPT.buffers = (memoryview(mmap.mmap(-1, PIECE_BYTES)), memoryview(mmap.mmap(-1, PIECE_BYTES)))
    buffers: tuple[memoryview, memoryview] = found
    return buffers
