"""A folder of this machine, or of a mounted disk, as the destination of a push.

An upload is a file beside the folder, on its file system, which is renamed into it when it is whole::

    PARENT/.lading/manifests/NAME.json       the manifest, beside the folder NAME
    PARENT/.lading/uploads/ID                an unfinished file, preallocated by nobody: parts lie where they belong
    PARENT/.lading/uploads/ID.parts          which parts are on the disk: a JSON line each
"""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lading.errors import InvalidInput, SourceDenied, SourceError
from lading.ports.destination import Cancel, SentPart
from lading.weights import beside, names
from lading.weights.crc import crc64nvme
from lading.weights.pushing import Held

BUFFER_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderDestination:
    """Writes to the folder *root*, which is made with its first file."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        if not self._root.name:
            raise InvalidInput(f"{root} cannot be pushed to", hint="name a folder in it")
        self._uploads = self._root.parent / beside.OURS / "uploads"
        self._manifest = self._root.parent / beside.manifest_key(self._root.name)

    @property
    def shown(self) -> str:
        """Its path."""
        return str(self._root)

    def files(self) -> Mapping[str, Held]:
        """All plain files below it."""
        with _faults(self._root):
            return {held.path: held for held in self._walk(self._root)}

    def digests(self, path: str) -> Mapping[str, str]:
        """Its SHA-256, read anew."""
        with _faults(self._root / path), self._file(path).open("rb") as file:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """See `lading.ports.destination.Destination.read_into`."""
        with _faults(self._root / path), self._file(path).open("rb", buffering=0) as file:
            return os.preadv(file.fileno(), [buffer], offset)

    def put(self, path: str, data: memoryview, *, cancel: Cancel | None = None) -> Held:
        """Written beside, made durable, renamed."""
        upload = self.begin(path, len(data))
        sent = [self.send(path, upload, 1, data, offset=0, cancel=cancel)] if data else []
        return self.complete(path, upload, sent)

    def begin(self, path: str, size_bytes: int | None) -> str:
        """An empty file with a name that nobody else has."""
        del path, size_bytes
        upload = secrets.token_hex(16)
        with _faults(self._uploads):
            self._uploads.mkdir(parents=True, exist_ok=True)
            (self._uploads / upload).touch(exist_ok=False)
        return upload

    def send(
        self, path: str, upload: str, number: int, data: memoryview, *, offset: int, cancel: Cancel | None = None
    ) -> SentPart:
        """Written where it belongs, durable, then noted."""
        del cancel  # a part is on the disk in a moment
        crc = crc64nvme(data)
        part = SentPart(number=number, size_bytes=len(data), etag=f"{crc:016x}", crc64nvme=crc)
        place = self._uploads / upload
        with _faults(self._root / path):
            descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write_all(descriptor, data, offset)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            with place.with_suffix(".parts").open("a") as notes:
                notes.write(json.dumps([number, len(data), crc]) + "\n")
        return part

    def parts(self, path: str, upload: str) -> Mapping[int, SentPart] | None:
        """As they were noted."""
        del path
        place = self._uploads / upload
        if not _plain_id(upload) or not place.is_file():
            return None
        with suppress(FileNotFoundError):
            return {part.number: part for part in _noted(place.with_suffix(".parts"))}
        return {}

    def complete(self, path: str, upload: str, parts: Sequence[SentPart]) -> Held:
        """Renamed to its place, and its name made durable."""
        place, target = self._uploads / upload, self._file(path)
        with _faults(target):
            if place.stat().st_size != sum(part.size_bytes for part in parts):
                raise SourceError(f"{target} was not written as it was sent", hint="run the same command again")
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(place)
            place.replace(target)
            _sync(target.parent)
            place.with_suffix(".parts").unlink(missing_ok=True)
            return _held(path, target.stat())

    def abort(self, path: str, upload: str) -> None:
        """Its file is removed."""
        del path
        if _plain_id(upload):
            with _faults(self._uploads):
                (self._uploads / upload).unlink(missing_ok=True)
                (self._uploads / upload).with_suffix(".parts").unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """The file alone; folders stay."""
        with _faults(self._root / path):
            self._file(path).unlink(missing_ok=True)

    def manifest(self) -> bytes | None:
        """What lies beside the folder."""
        with _faults(self._manifest), suppress(FileNotFoundError):
            return self._manifest.read_bytes()
        return None

    def require_manifest(self) -> None:
        """Its directory is made, where it is not there."""
        with _faults(self._manifest):
            self._manifest.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self._manifest.parent, os.W_OK):
                raise PermissionError

    def put_manifest(self, data: bytes) -> str:
        """Renamed to its place, when it is whole."""
        temporary = self._manifest.with_name(f".{self._manifest.name}.{secrets.token_hex(8)}")
        with _faults(self._manifest):
            self._manifest.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            _sync(temporary)
            temporary.replace(self._manifest)
            _sync(self._manifest.parent)
        return str(self._manifest)

    def close(self) -> None:
        """Remove the folder of uploads when nothing is in it."""
        with suppress(OSError):
            self._uploads.rmdir()

    def _file(self, path: str) -> Path:
        return self._root / names.check(path)

    def _walk(self, folder: Path) -> Iterator[Held]:
        if not folder.exists():
            return
        for item in os.scandir(folder):
            if item.is_dir(follow_symlinks=False):
                yield from self._walk(Path(item.path))
            elif not item.is_symlink():
                yield _held(Path(item.path).relative_to(self._root).as_posix(), item.stat())


def _held(path: str, found: os.stat_result) -> Held:
    """With the mark that `LocalSource` gives a file, too."""
    return Held(path=path, size_bytes=found.st_size, etag=f"{found.st_mtime_ns:x}-{found.st_size:x}")


def _noted(notes: Path) -> Iterator[SentPart]:
    """The last word on each part; a torn line is ignored: that part is sent again."""
    for line in notes.read_bytes().splitlines():
        with suppress(ValueError, TypeError, OverflowError, RecursionError):
            number, size_bytes, crc = map(int, json.loads(line))
            yield SentPart(number=number, size_bytes=size_bytes, etag=f"{crc:016x}", crc64nvme=crc)


def _plain_id(upload: str) -> bool:
    """Whether *upload*, which comes out of a journal, can be an id of ours: it becomes a file's name."""
    return upload.isalnum()


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _faults(place: Path) -> Iterator[None]:
    """What a file system says, in our words."""
    try:
        yield
    except PermissionError as error:
        raise SourceDenied(f"{place} may not be written by this user") from error
    except OSError as error:
        hint = "make room there" if error.errno in _FULL else None
        raise SourceError(f"{place} cannot be used: {error.strerror}", hint=hint) from error
