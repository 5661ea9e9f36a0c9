"""Hash the files of a version again and compare them with its manifest, on all cores."""

import asyncio
import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader

from lading.errors import VerificationFailed
from lading.events import Emit, FileBad, Problem, Verified, VerifyProgress, ignore
from lading.ports import Volume
from lading.weights.manifest import FileEntry, Manifest

BUFFER_BYTES = 1024**2
PROGRESS_S = 0.25
_NAMED = 5


async def verify(volume: Volume, manifest: Manifest, *, emit: Emit = ignore, threads: int | None = None) -> Verified:
    """Hash every file of *manifest* again; *threads* None: one per core.

    Emits `FileBad` per difference, in the manifest's order, files that it does not have last, then `Verified`.
    Cancelling waits until all threads have ended.

    Raises:
        VerificationFailed: Something differs; names the files.
    """
    began = time.monotonic()
    bad = await _hash_all(volume, manifest, emit, threads or os.cpu_count() or 1)
    bad += [_bad(manifest, path, "extra") for path in await asyncio.to_thread(volume.extra_files, manifest)]
    for event in bad:
        emit(event)
    result = Verified(
        model=manifest.model,
        version=manifest.version,
        files=len(manifest.files),
        size_bytes=manifest.size_bytes,
        bad=len(bad),
        seconds=time.monotonic() - began,
    )
    emit(result)
    if bad:
        raise _failure(manifest, bad)
    return result


async def _hash_all(volume: Volume, manifest: Manifest, emit: Emit, threads: int) -> list[FileBad]:
    """What is wrong with the manifest's files, in its order; the biggest are begun first, so that none is left for the end."""
    tally = _Tally(manifest.size_bytes)
    by_size = sorted(manifest.files, key=lambda file: -file.size_bytes)
    loop = asyncio.get_running_loop()
    telling = asyncio.ensure_future(_tell(tally, emit))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lading-verify")
    try:
        jobs = [loop.run_in_executor(pool, _compare, volume, manifest, file, tally) for file in by_size]
        found = dict(zip((file.path for file in by_size), await asyncio.gather(*jobs), strict=True))
    finally:
        tally.cancel.set()
        pool.shutdown(wait=True, cancel_futures=True)  # a thread looks at `cancel` per buffer: moments
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
    return [problem for file in manifest.files if (problem := found[file.path]) is not None]


class _Tally:
    """Bytes hashed so far, by all threads."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self.cancel = threading.Event()
        self.began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done_bytes += count

    def progress(self) -> VerifyProgress:
        seconds = time.monotonic() - self.began
        rate = self.done_bytes / seconds if seconds > 0 else 0.0
        return VerifyProgress(done_bytes=self.done_bytes, total_bytes=self.total_bytes, rate_bytes_per_s=rate)


async def _tell(tally: _Tally, emit: Emit) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        emit(tally.progress())


def _compare(volume: Volume, manifest: Manifest, file: FileEntry, tally: _Tally) -> FileBad | None:
    """What is wrong with one file; hashlib lets go of the GIL, so threads use all cores."""
    try:
        size_bytes, sha256 = _hashed(volume, manifest, file, tally)
    except (FileNotFoundError, NotADirectoryError):
        return _bad(manifest, file.path, "missing")
    except OSError as error:
        return _bad(manifest, file.path, "unreadable", error.strerror or str(error))
    if size_bytes != file.size_bytes:
        return _bad(manifest, file.path, "size", f"{size_bytes:,} bytes, not {file.size_bytes:,}")
    if sha256 != file.sha256:
        return _bad(manifest, file.path, "sha256", f"{sha256}, not {file.sha256}")
    return None


def _bad(manifest: Manifest, path: str, problem: Problem, detail: str = "") -> FileBad:
    return FileBad(path=path, problem=problem, detail=detail, model=manifest.model, version=manifest.version)


def _hashed(volume: Volume, manifest: Manifest, file: FileEntry, tally: _Tally) -> tuple[int, str]:
    with volume.open_file(manifest, file.path) as opened:
        size_bytes = os.fstat(opened.fileno()).st_size
        if size_bytes != file.size_bytes:
            return size_bytes, ""  # its hash would say nothing more
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(BUFFER_BYTES))
        for count in _reads(opened, buffer, tally.cancel):
            digest.update(buffer[:count])
            tally.add(count)
    return size_bytes, digest.hexdigest()


def _reads(opened: BufferedReader, buffer: memoryview, cancel: threading.Event) -> Iterator[int]:
    while not cancel.is_set() and (count := opened.readinto(buffer)):
        yield count


def _failure(manifest: Manifest, bad: list[FileBad]) -> VerificationFailed:
    named = ", ".join(f"{event.path} ({event.problem})" for event in bad[:_NAMED])
    more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    name = f"{manifest.model}@{manifest.version}"
    only_extra = all(event.problem == "extra" for event in bad)
    hint = (
        "remove what does not belong there: a server may load it"
        if only_extra
        else f"pull it again under another name: lading pull {manifest.source.ref} VOLUME --version NEW"
    )
    return VerificationFailed(f"{name} is not what its manifest says: {named}{more}", hint=hint)
