"""Compare the files of a version with its manifest, where the volume is: hashed again on all cores there, or only looked at."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from typing import Self

from lading.errors import Cancelled, VerificationFailed
from lading.events import Emit, FileBad, Problem, Verified, VerifyProgress, ignore
from lading.ports.volume import Volume
from lading.weights import heads, noticing
from lading.weights.inventory import Seen
from lading.weights.manifest import FileEntry, Manifest

PROGRESS_S = 0.25
_NAMED = 5


async def verify(
    volume: Volume, manifest: Manifest, *, quick: bool = False, emit: Emit = ignore, threads: int | None = None
) -> Verified:
    """Hash every file of *manifest* again.

    *quick*: look at names, sizes and heads only. *threads* None: two per core, as half of them wait for the disk.
    Emits `FileBad` per difference, in the manifest's order, files that it does not have last, then `Verified`.
    Cancelling waits until all threads have ended.

    Raises:
        VerificationFailed: Something differs; names the files.
    """
    began = time.monotonic()
    if quick:
        bad = await asyncio.to_thread(_look, volume, manifest)
    else:
        bad = await _hash_all(volume, manifest, emit, threads or 2 * volume.cores)
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
        quick=quick,
    )
    emit(result)
    if bad:
        raise _failure(volume, manifest, bad)
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
        if self.cancel.is_set():
            raise Cancelled("interrupted")
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
    """What is wrong with one file."""
    try:
        size_bytes, sha256 = volume.hash_plain(manifest.file_path(file.path), file.size_bytes, tally.add)
    except (FileNotFoundError, NotADirectoryError):
        return _bad(manifest, file.path, "missing")
    except OSError as error:
        return _bad(manifest, file.path, "unreadable", error.strerror or str(error))
    if size_bytes != file.size_bytes:
        return _bad(manifest, file.path, "size", f"{size_bytes:,} bytes, not {file.size_bytes:,}")
    if sha256 != file.sha256:
        return _bad(manifest, file.path, "sha256", f"{sha256}, not {file.sha256}")
    return None


def _look(volume: Volume, manifest: Manifest) -> list[FileBad]:
    """What names, sizes and heads show; files whose size is wrong are not opened for their heads."""
    sizes = {file.path: file.size_bytes for file in manifest.files}
    bad = [found for seen in volume.look(manifest) if (found := _seen(manifest, seen, sizes[seen.path])) is not None]
    sound = {path: sizes[path] for path in sizes.keys() - {found.path for found in bad}}
    with _Reader(volume, manifest) as read:
        broken = heads.problems(manifest.format, sound, read, whole=not bad)
    return bad + [_bad(manifest, path, "head", detail) for path, detail in broken.items()]


def _seen(manifest: Manifest, seen: Seen, size_bytes: int) -> FileBad | None:
    if seen.problem is not None:
        return _bad(manifest, seen.path, seen.problem, seen.detail)
    if seen.size_bytes != size_bytes:
        return _bad(manifest, seen.path, "size", f"{seen.size_bytes:,} bytes, not {size_bytes:,}")
    return None


class _Reader:
    """Reads pieces of a version's files, each opened once: through a pod an opening is a journey."""

    def __init__(self, volume: Volume, manifest: Manifest) -> None:
        self._volume = volume
        self._manifest = manifest
        self._open: dict[str, BufferedReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for file in self._open.values():
            file.close()

    def __call__(self, path: str, offset: int, size_bytes: int) -> bytes:
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = self._volume.open_file(self._manifest, path)
        file.seek(offset)
        return file.read(size_bytes)


def _bad(manifest: Manifest, path: str, problem: Problem, detail: str = "") -> FileBad:
    known = [file.path for file in manifest.files] if problem == "extra" else ()  # by thousands may be missing
    return FileBad(
        path=path,
        problem=problem,
        detail=detail,
        model=manifest.model,
        version=manifest.version,
        noticed=noticing.noticed(problem, path, kind=manifest.format, known=known),
    )


def _failure(volume: Volume, manifest: Manifest, bad: list[FileBad]) -> VerificationFailed:
    named = ", ".join(f"{event.path} ({event.problem})" for event in bad[:_NAMED])
    more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    name = f"{manifest.model}@{manifest.version}"
    only_extra = all(event.problem == "extra" for event in bad)
    hint = (
        "remove what does not belong there: a server may load it"
        if only_extra
        else f"fetch again what is broken: lading verify {volume.shown}/{name} --repair"
    )
    return VerificationFailed(f"{name} is not what its manifest says: {named}{more}", hint=hint)
