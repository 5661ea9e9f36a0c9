"""A folder or a file of this machine as a source. A version on a volume is one, too.

Links to files are followed as long as they stay inside the folder (or, in a Hugging Face cache, inside that model's
cache): a link that leaves it would publish bytes nobody meant to publish.
"""

import asyncio
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.errors import HostileName, InvalidReference, SourceChanged, SourceDenied, SourceError, SourceMissing
from lading.sources.per_thread import PerThread
from lading.spec.nearest import nearest
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import LocalRef, Reference
from lading.weights import beside, listing
from lading.weights.listing import Entry, Listing


class LocalSource:
    """Reads folders and files of this machine."""

    def __init__(self, *, choices: Choices = PLAIN) -> None:  # noqa: ARG002 - of what is for sources it knows nothing
        self._open: PerThread[_OpenFile] = PerThread()

    async def resolve(self, ref: Reference) -> Listing:
        """All files below the folder, or the one file."""
        if not isinstance(ref, LocalRef):
            raise InvalidReference(f"{ref} is not a folder or a file of this machine")
        return await asyncio.to_thread(_resolve, ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        del end  # a range costs nothing here
        held = self._open.get()
        if held is None or held.key != entry.key:
            held = self._open.put(_OpenFile.of(entry))
        count = os.preadv(held.descriptor, [buffer], offset)
        if _etag(os.fstat(held.descriptor)) != entry.etag:
            self._open.drop()
            raise _changed(entry)
        return count

    def manifest(self, ref: Reference) -> bytes | None:
        """See `lading.ports.source.KeepsManifest.manifest`."""
        if not isinstance(ref, LocalRef):
            return None
        place = _place(ref)
        try:
            return (place.parent / beside.manifest_key(place.name)).read_bytes()
        except OSError:
            return None

    def close(self) -> None:
        """Close all files."""
        self._open.close()


@dataclass(frozen=True, slots=True)
class _OpenFile:
    key: str
    descriptor: int

    @classmethod
    def of(cls, entry: Entry) -> "_OpenFile":
        try:
            return cls(entry.key, os.open(entry.key, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except FileNotFoundError:
            raise _changed(entry) from None
        except PermissionError:
            raise SourceDenied(f"{entry.key} may not be read by this user") from None
        except OSError as error:
            raise SourceError(f"{entry.key} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        os.close(self.descriptor)


def _changed(entry: Entry) -> SourceChanged:
    return SourceChanged(
        f"{entry.key} changed while it was read", hint="run the same command again when nothing writes to it any more"
    )


def _resolve(ref: LocalRef) -> Listing:
    place = _place(ref)
    if place.is_dir():
        boundary, name, revision = _identity(place)
        entries = list(_walk(place, place, boundary))
        if not entries:
            raise SourceMissing(f"{ref} has no files in it")
        return listing.listing(ref, name, entries, revision=revision)
    return listing.listing(ref, place.stem, [_entry(place, place.name)])


def _place(ref: LocalRef) -> Path:
    """What *ref* names: the path as written, or a version of a model on a volume (its current one by default)."""
    written = Path(str(ref)).expanduser()
    path = Path(ref.path).expanduser()
    if ref.version is not None:
        path = path / ref.version if (path / ref.version).is_dir() or not written.exists() else written
    elif (path / "current").is_symlink():
        path = path / "current"
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        near = _near(path)
        raise SourceMissing(f"{ref} does not exist", hint=f"did you mean {near}?" if near else None) from None
    except PermissionError:
        raise SourceDenied(f"{ref} may not be read by this user") from None
    except OSError as error:
        raise SourceError(f"{ref} cannot be read: {error.strerror}") from error


def _near(path: Path) -> Path | None:
    try:
        near = nearest(path.name, [item.name for item in path.parent.iterdir()])
    except OSError:
        return None
    return path.parent / near if near else None


def _identity(folder: Path) -> tuple[Path, str, str | None]:
    """Where links may lead, the source's name, and its revision where the folder knows it.

    A snapshot in a Hugging Face cache (``models--ORG--NAME/snapshots/COMMIT``) is all links into ``blobs``, and its
    name is the commit. A folder called like a version (``NAME/current``) is on a volume: the model is above it.
    """
    cache = folder.parent.parent
    if folder.parent.name == "snapshots" and cache.name.startswith("models--"):
        return cache, cache.name.rpartition("--")[2], folder.name
    current = folder.parent / "current"
    if current.is_symlink():
        return folder, folder.parent.name, None
    return folder, folder.name, None


def _walk(folder: Path, root: Path, boundary: Path) -> Iterator[Entry]:
    try:
        items = sorted(os.scandir(folder), key=lambda item: item.name)
    except PermissionError:
        raise SourceDenied(f"{folder} may not be read by this user") from None
    for item in items:
        path = Path(item.path)
        if item.is_dir(follow_symlinks=False):
            yield from _walk(path, root, boundary)
        else:
            if item.is_symlink():
                _check_link(path, boundary)
            yield _entry(path, path.relative_to(root).as_posix())


def _check_link(path: Path, boundary: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(boundary):
        raise HostileName(
            f"{path} is a link that leaves {boundary}: it leads to {target}",
            hint="put the file itself there, or pull from the folder that has it",
        )
    if target.is_dir():
        raise HostileName(f"{path} is a link to a folder; only links to files are followed", hint="remove the link")
    if not target.exists():
        raise SourceMissing(f"{path} is a link to {target}, which does not exist")


def _entry(path: Path, name: str) -> Entry:
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise HostileName(f"{path} is not a regular file", hint="remove it from the folder")
    return Entry(path=name, size_bytes=found.st_size, etag=_etag(found), key=str(path))


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"
