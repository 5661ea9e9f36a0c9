"""Taking a folder that lies on a volume into its list: checked, hashed where it is, never moved or renamed."""

import hashlib
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lading.errors import FormatRefused, InvalidReference, VolumeError
from lading.spec.clock import utc_now
from lading.volume import reading, unmanaged
from lading.volume.reading import Progress
from lading.weights import names
from lading.weights.inventory import Adoption, Unmanaged
from lading.weights.manifest import FileEntry, Manifest, SourceEntry

_VERSION_DIGITS = 12


def folder(root: Path, adoption: Adoption, others: Iterable[Manifest]) -> Unmanaged:
    """The folder that is to be adopted, when it may be.

    Raises:
        InvalidReference: It is not there, or it and a published version lie in one another.
        FormatRefused: It is no whole model of the format wanted, or has links in it.
        HostileName: A name in it must not be in a manifest.
    """
    path = adoption.path if adoption.path == "." else names.check(adoption.path)
    other = next((one for one in others if _overlap(path, one.path)), None)
    if other is not None:
        raise InvalidReference(
            f"{root / path} and {other.model}@{other.version}, which lies at {root / other.path}, are one in the other",
            hint=f"remove that from the list first, or adopt another folder: lading show {root}/{other.model}@{other.version}",
        )
    try:
        found = unmanaged.at(root, path)
    except OSError as error:
        raise InvalidReference(f"{root / path} is no folder that can be read: {error.strerror}") from error
    _check(root, found, adoption.expect)
    names.check_all(found.files)
    return found


def manifest(root: Path, adoption: Adoption, found: Unmanaged, progress: Progress) -> Manifest:
    """The manifest of *found*, hashed on all cores; *progress* is called from several threads.

    Raises:
        VolumeError: A file changed meanwhile, or cannot be read.
    """
    files = _hashed(root, found, progress)
    digest = hashlib.sha256("".join(f"{file.sha256}  {file.path}\n" for file in files).encode()).hexdigest()
    return Manifest(
        model=adoption.model,
        version=adoption.version or digest[:_VERSION_DIGITS],
        path=found.path,
        source=SourceEntry(ref=adoption.source, revision=digest),
        format="files" if adoption.expect == "any" else found.format,
        files=files,
        published_at=utc_now(),
        published_by=adoption.by,
    )


def _check(root: Path, found: Unmanaged, expect: str) -> None:
    place = root / found.path
    if not found.files:
        raise FormatRefused(f"{place} has no files")
    links = found.problem is not None and "are links" in found.problem
    if found.problem is not None and (links or expect != "any"):
        hint = "replace them by the files" if links else "complete it first; to adopt it as it is: --expect any"
        raise FormatRefused(f"{place}: {found.problem}", hint=hint)
    if expect not in {"any", "auto", found.format}:
        raise FormatRefused(
            f"{place} is {found.format}, not {expect}", hint=f"--expect {found.format}, or leave it out"
        )
    if expect == "auto" and found.format == "files":
        raise FormatRefused(f"no model is in {place}", hint="to adopt it as it is: --expect any")


def _hashed(root: Path, found: Unmanaged, progress: Progress) -> tuple[FileEntry, ...]:
    """Every file's entry, by path; the biggest are begun first. What *progress* raises in one thread stops all."""
    stop = threading.Event()
    lock = threading.Lock()

    def tell(count: int) -> None:
        if stop.is_set():
            raise VolumeError("stopped")
        with lock:
            progress(count)

    def one(path: str) -> FileEntry:
        try:
            place = path if found.path == "." else f"{found.path}/{path}"
            size_bytes, sha256 = reading.hash_plain(root, place, found.files[path], tell)
        except BaseException:
            stop.set()
            raise
        if not sha256:
            stop.set()
            raise VolumeError(f"{root / found.path / path} changed while it was hashed", hint="stop what writes there")
        return FileEntry(path=path, size_bytes=size_bytes, sha256=sha256)

    by_size = sorted(found.files, key=lambda path: -found.files[path])
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="lading-adopt") as pool:
        work = [pool.submit(one, path) for path in by_size]
    failures = [error for error in (job.exception() for job in work) if error is not None]
    if failures:
        raise next((error for error in failures if str(error) != "stopped"), failures[0])
    return tuple(sorted((job.result() for job in work), key=lambda file: file.path))


def _overlap(one: str, other: str) -> bool:
    return "." in {one, other} or one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
